/* Telling the service manager how we are, in the protocol of systemd's sd_notify(3). */
#ifndef GRAFTD_NOTIFY_H
#define GRAFTD_NOTIFY_H

/* state: "READY=1", "STOPPING=1". Does nothing when nobody asked for it ($NOTIFY_SOCKET), or does not listen. */
void notify(const char *state);

#endif
