/* raw SOCKET: sends standard input as it stands, and prints what comes back until the other side closes. */
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CHUNK = 65536, SECONDS_MAX = 60 };

static char out[CHUNK], in[CHUNK];

static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        err(3, "%s", path);
    return fd;
}

int main(int argc, char **argv)
{
    ssize_t have = 0, sent = 0, n;
    struct pollfd fds[2] = { { .fd = STDIN_FILENO, .events = POLLIN } };

    if (argc != 2)
        errx(2, "usage: raw SOCKET");
    alarm(SECONDS_MAX);
    fds[1].fd = connect_to(argv[1]);
    for (;;) {
        fds[1].events = (short)(POLLIN | (sent < have ? POLLOUT : 0));
        if (poll(fds, 2, -1) < 0)
            err(1, "poll");
        if (sent == have && fds[0].revents != 0) {
            have = read(STDIN_FILENO, out, sizeof out);
            sent = 0;
            if (have <= 0) {
                have = 0;
                fds[0].fd = -1;
                shutdown(fds[1].fd, SHUT_WR);
            }
        }
        if ((fds[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            n = read(fds[1].fd, in, sizeof in);
            if (n <= 0)
                return 0;
            fwrite(in, 1, (size_t)n, stdout);
            fflush(stdout);
        }
        if (sent < have && (fds[1].revents & POLLOUT) != 0) {
            n = send(fds[1].fd, out + sent, (size_t)(have - sent), MSG_NOSIGNAL);
            if (n <= 0)
                return 0;
            sent += n;
        }
    }
}
