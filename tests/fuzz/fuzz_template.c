/*
 * Damaged object files through the real thing: fuzz_template [seed [count]]. graft-worker runs as the daemon would
 * start it; each file goes to a template of its own. It must refuse with a sentence, or accept; in either case it ends
 * by itself and not by a signal. What it accepted is run: a worker is forked, and whatever becomes of that one, its
 * template must answer afterwards. A file that broke a template is left in $TMPDIR.
 * GRAFT_WORKER: the program, else bin/graft-worker.
 */
#include "lib/wire.h"
#include "tests/fuzz/elf_bend.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    COUNT_DEFAULT = 2000,
    SECONDS_MAX = 900,
    CONTROL_FD = 3,
    INIT_MS_MAX = 100, /* for graft_init of what was accepted */
    DATAGRAM = WIRE_ORDER_MAX,
};

static uint8_t datagram[DATAGRAM];

static pid_t start_zygote(int *control)
{
    const char *path = getenv("GRAFT_WORKER");
    char *argv[] = { (char *)(uintptr_t) "graft-worker", NULL }, *none[] = { NULL };
    int pair[2];
    pid_t pid;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        int fd = dup(pair[1]); /* never CONTROL_FD itself, which would keep its close-on-exec */
        if (dup2(fd, CONTROL_FD) >= 0)
            execve(path != NULL ? path : "bin/graft-worker", argv, none);
        _exit(127);
    }
    close(pair[1]);
    *control = pair[0];
    return pid;
}

/* One message of a nursery: its number, 0 when it hung up. fd: what came beside it, or -1; may be NULL. */
static uint8_t hear(int socket, struct bytes *body, int *fd)
{
    struct iovec part = { .iov_base = datagram, .iov_len = sizeof datagram };
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } space;
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof space };
    ssize_t n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    int got = -1;
    uint8_t number;
    size_t used;

    if (n <= 0)
        return 0;
    if (c != NULL)
        memcpy(&got, CMSG_DATA(c), sizeof got);
    if (fd != NULL)
        *fd = got;
    else if (got >= 0)
        close(got);
    CHECK(wire_next(bytes_of(datagram, (size_t)n), &number, body, &used) == OK && used == (size_t)n);
    return number;
}

static void order(int socket, const struct wire_SPAWN *m, const int fds[], size_t count)
{
    union {
        char space[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } space = { .space = { 0 } };
    struct iovec part;
    struct msghdr h = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = CMSG_SPACE(count * sizeof(int))
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    struct buf b;

    buf_init(&b, WIRE_ORDER_MAX);
    CHECK(wire_add_SPAWN(&b, m) == OK);
    part = (struct iovec){ .iov_base = b.data, .iov_len = b.len };
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    CHECK(sendmsg(socket, &h, MSG_NOSIGNAL) == (ssize_t)b.len);
    buf_fini(&b);
}

static int spawn(int nursery, const struct wire_SPAWN *m, int type, int file)
{
    int pair[2];

    CHECK(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) == 0);
    order(nursery, m, (int[]){ pair[1], file }, file < 0 ? 1 : 2);
    close(pair[1]);
    return pair[0];
}

/* Forks a worker and lets its graft_init run. False: the template does not answer. */
static bool run(int template)
{
    static const struct wire_SPAWN m = {
        .id = 1, .memory_max = 1 << 20, .stack_max = 256 << 10, .cpu_s_max = 5, .key_max = 4096, .value_max = 1 << 20
    };
    int channel = spawn(template, &m, SOCK_STREAM, -1), pidfd = -1;
    struct bytes body;
    bool well = hear(template, &body, &pidfd) == WIRE_BORN && pidfd >= 0;

    (void)poll(&(struct pollfd){ .fd = channel, .events = POLLIN }, 1, INIT_MS_MAX);
    if (well)
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    well = well && hear(template, &body, NULL) == WIRE_OBITUARY;
    if (pidfd >= 0)
        close(pidfd);
    close(channel);
    return well;
}

struct counts {
    unsigned long accepted, refused;
};

/* One file. False: its template did what no template may. */
static bool try(int zygote, const uint8_t *file, size_t n, struct counts *counts)
{
    struct wire_SPAWN m = { .id = 1 };
    struct wire_OBITUARY end;
    struct wire_REFUSED refused;
    struct bytes body;
    int fd = memfd_create("graft", MFD_CLOEXEC), template;
    uint8_t number;
    bool well;

    CHECK(fd >= 0 && write(fd, file, n) == (ssize_t)n);
    template = spawn(zygote, &m, SOCK_SEQPACKET, fd);
    close(fd);
    CHECK(hear(zygote, &body, NULL) == WIRE_BORN);
    number = hear(template, &body, NULL);
    if (number == WIRE_MANIFEST)
        well = run(template);
    else
        well = number == WIRE_REFUSED && wire_read_REFUSED(body, &refused) && refused.text.len > 0;
    counts->accepted += number == WIRE_MANIFEST;
    counts->refused += number == WIRE_REFUSED;
    close(template); /* it ends */
    CHECK(hear(zygote, &body, NULL) == WIRE_OBITUARY && wire_read_OBITUARY(body, &end));
    return well && end.code == CLD_EXITED;
}

static void keep(const uint8_t *file, size_t n)
{
    const char *tmp = getenv("TMPDIR");
    char path[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/fuzz_template.%d.graft", tmp != NULL ? tmp : "/tmp", (int)getpid());
    f = fopen(path, "w");
    CHECK(f != NULL && fwrite(file, 1, n, f) == n && fclose(f) == 0);
    printf("kept: %s\n", path);
}

int main(int argc, char **argv)
{
    static uint8_t good[FILE_ROOM], file[FILE_ROOM];
    unsigned long count = bend_begin("fuzz_template", argc, argv, COUNT_DEFAULT), round;
    struct counts counts = { 0, 0 };
    size_t size, n = 0;
    struct bytes body;
    bool well = true;
    int zygote, status;
    pid_t keeper;

    alarm(SECONDS_MAX);
    signal(SIGPIPE, SIG_IGN);
    size = build(good);
    keeper = start_zygote(&zygote);
    if (hear(zygote, &body, NULL) != WIRE_MANIFEST) {
        printf("skipped: this machine lacks walls\n");
        return 77;
    }
    CHECK(try(zygote, good, size, &counts) && counts.accepted == 1); /* or nothing below means anything */
    for (round = 0; round < count && well; round++) {
        n = damage(file, good, size);
        well = try(zygote, file, n, &counts);
    }
    printf("fuzz_template: %lu files: %lu refused, %lu accepted and run\n", round, counts.refused, counts.accepted - 1);
    if (!well)
        keep(file, n);
    close(zygote);
    CHECK(waitpid(keeper, &status, 0) == keeper);
    return well ? 0 : 1;
}
