/*
 * The real world's loop, as the parts of the real port see it. Only port_uv.c knows that it is libuv.
 */
#ifndef GRAFTD_PORT_UV_H
#define GRAFTD_PORT_UV_H

#include "graftd/port.h"
#include "policy/cgroup.h"
#include "policy/layer.h"

/* HANGUP: the peer sends no more, or is gone. GONE: the latter alone, told as HANGUP. */
enum { WATCH_READ = 1, WATCH_WRITE = 2, WATCH_HANGUP = 4, WATCH_GONE = 8 };

/* Readiness of one descriptor (borrowed: close it after watch_free). Level-triggered. */
struct watch;
typedef void watch_ready(void *owner, int events);
enum err watch_new(struct port *, int fd, watch_ready *ready, void *owner, struct watch **out);
void watch_set(struct watch *, int events); /* 0: none */
void watch_free(struct watch **);           /* no callback follows */

/* Runs once before the loop sleeps, every turn in which it was asked for. */
struct flush {
    struct flush *next;
    bool queued;
    void (*run)(struct flush *);
};
void flush_soon(struct port *, struct flush *);
void flush_cancel(struct port *, struct flush *);

/* Processes: process.c. program is started and becomes the zygote. */
enum err process_open_zygote(struct port *, const char *program, const struct layer_rules *,
                             const struct process_events *, void *owner, struct port_process **out,
                             struct failure *why);

/* The loop itself. */
/* worker_program: path; layers: what the policy says of walls that are missing; cgroup: NULL, there are no groups. All
 * borrowed. */
enum err port_uv_new(const char *worker_program, const struct layer_rules *layers, const struct cgroup *cgroup,
                     struct port **out, struct failure *why);
void port_uv_run(struct port *); /* until port_uv_stop */
void port_uv_stop(struct port *);
void port_uv_free(struct port **);
/* Another number in each callback of the loop: what was learnt in the same one is not asked for again. */
uint64_t port_uv_moment(struct port *);
/* Thread-safe: makes the loop call tick soon. */
void port_uv_wake(void *port);
/* signum arrives on the loop. At most 8. */
enum err port_uv_signal(struct port *, int signum, void (*arrived)(void *owner, int signum), void *owner);

/* What stream.c and process.c give to the table of functions. */
enum err stream_open(struct port *, int fd, size_t in_max, size_t out_max, const struct stream_events *, void *owner,
                     struct port_stream **out);
struct buf *stream_in(struct port_stream *);
enum err stream_send(struct port_stream *, struct bytes);
size_t stream_unsent(struct port_stream *);
enum err stream_give(struct port_stream *, struct bytes, const int *fds, size_t count);
void stream_pause(struct port_stream *, bool);
void stream_close(struct port_stream **);
enum err process_spawn(struct port *, struct port_process *nursery, const struct process_limits *, int file,
                       const struct process_events *, void *owner, struct port_process **out, struct failure *why);
enum err process_send(struct port_process *, struct bytes frames);
void process_resume(struct port_process *);
bool process_said_more(struct port_process *);
void process_kill(struct port_process *);
void process_end(struct port_process *);
void process_slow(struct port_process *, struct port_group *);
uint64_t process_cpu_us(struct port_process *);
pid_t process_pid(struct port_process *);
int process_pidfd(struct port_process *); /* borrowed; -1: not known yet */

/* group.c. As in the table; cgroup: NULL, there are none. */
struct port_group *group_new(struct port *, const struct cgroup *, struct port_process *template, const char *name,
                             uint32_t weight, void (*done)(void *owner), void *owner);
void group_slow(struct port_group *, struct port_process *); /* for process_slow(); harmless with NULL */
void group_free(struct port_group **);

#endif
