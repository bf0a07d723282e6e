#include "tests/worker_kit.h"

static char scratch[] = "/tmp/graft-worker-test-XXXXXX";

void worker_kit_open(unsigned seconds_max)
{
    alarm(seconds_max);
    signal(SIGPIPE, SIG_IGN);
    if (mkdtemp(scratch) == NULL)
        exit(1);
}

int worker_kit_close(int failed)
{
    char command[256];

    snprintf(command, sizeof command, "rm -rf %s", scratch);
    return system(command) != 0 || failed != 0;
}

/* ---- building ---- */

int build(const char *name, const char *source)
{
    const char *top = getenv("GRAFTD_TOP");
    char path[256], command[1024];
    FILE *file;
    int fd;

    snprintf(path, sizeof path, "%s/%s.c", scratch, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(source, file);
    fclose(file);
    snprintf(command, sizeof command,
             "gcc -O2 -w -fPIC -shared -nostdlib -fvisibility=hidden -Wl,-z,relro,-z,now -I%s/include -I%s -o "
             "%s/%s.graft %s",
             top != NULL ? top : ".", top != NULL ? top : ".", scratch, name, path);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/%s.graft", scratch, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* ---- frames ---- */

static uint8_t frame[FRAME_ROOM];

int take(int socket, struct bytes *body, int *fd)
{
    struct iovec part = { .iov_base = frame, .iov_len = sizeof frame };
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } space;
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof space };
    ssize_t n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    uint8_t number;
    size_t used;

    if (n <= 0)
        return -1;
    if (fd != NULL)
        *fd = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL && fd != NULL; c = CMSG_NXTHDR(&m, c))
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    assert_int_equal(wire_next(bytes_of(frame, (size_t)n), &number, body, &used), OK);
    assert_int_equal(used, n);
    return number;
}

void order(int socket, const struct wire_SPAWN *m, const int fds[], size_t count)
{
    struct buf b;
    struct iovec part;
    union {
        char space[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } space = { .space = { 0 } };
    struct msghdr h = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = CMSG_SPACE(count * sizeof(int))
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);

    buf_init(&b, WIRE_ORDER_MAX);
    assert_int_equal(wire_add_SPAWN(&b, m), OK);
    part = (struct iovec){ .iov_base = b.data, .iov_len = b.len };
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    assert_true(sendmsg(socket, &h, 0) == (ssize_t)b.len);
    buf_fini(&b);
}

int hear(int channel, struct bytes *body)
{
    size_t have = 0, used = 0;
    uint8_t number;

    for (;;) {
        size_t want = have < 4 ? 4 : used;
        ssize_t n = recv(channel, frame + have, want - have, 0);

        if (n <= 0)
            return -1;
        have += (size_t)n;
        if (wire_next(bytes_of(frame, have), &number, body, &used) == OK)
            return number;
        assert_true(used <= sizeof frame);
    }
}

void tell(int channel, struct buf *b)
{
    assert_true(send(channel, b->data, b->len, MSG_NOSIGNAL) == (ssize_t)b->len);
    buf_fini(b);
}

/* ---- the tree ---- */

struct wire_SPAWN worker_order = {
    .id = 5, .memory_max = MEMORY_MAX, .stack_max = STACK_MAX, .cpu_s_max = 1, .key_max = 4096, .value_max = 65536
};

pid_t start(int *control, const char *flag)
{
    const char *path = getenv("GRAFT_WORKER");
    char *argv[] = { (char *)(uintptr_t) "graft-worker", (char *)(uintptr_t)flag, NULL }, *none[] = { NULL };
    int pair[2];
    pid_t pid;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (pair[1] == 3)
            fcntl(3, F_SETFD, 0);
        else
            dup2(pair[1], 3);
        execve(path != NULL ? path : "./graft-worker", argv, none);
        _exit(127);
    }
    close(pair[1]);
    *control = pair[0];
    return pid;
}

int spawn_template(int zygote, int file, int *pidfd)
{
    struct wire_SPAWN m = { .id = 1 };
    struct bytes body;
    int pair[2], fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    fds[0] = pair[1];
    fds[1] = file;
    order(zygote, &m, fds, 2);
    close(pair[1]);
    assert_int_equal(take(zygote, &body, pidfd), WIRE_BORN);
    return pair[0];
}

struct worker spawn_worker(struct tree *t)
{
    struct worker w = { -1, -1 };
    struct bytes body;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    order(t->template, &worker_order, &pair[1], 1);
    close(pair[1]);
    assert_int_equal(take(t->template, &body, &w.pidfd), WIRE_BORN);
    w.channel = pair[0];
    return w;
}

struct worker ready_worker(struct tree *t)
{
    struct worker w = spawn_worker(t);
    struct bytes body;

    assert_int_equal(hear(w.channel, &body), WIRE_READY);
    return w;
}

void end_tree(struct tree *t)
{
    int status;

    close(t->template);
    close(t->zygote);
    assert_int_equal(waitpid(t->keeper, &status, 0), t->keeper);
    assert_true(WIFEXITED(status));
}

uint16_t find_function(struct bytes manifest, const char *name, size_t *count)
{
    const char *p = manifest.data, *end = p + manifest.len;
    uint16_t found = UINT16_MAX;

    for (*count = 0; p < end; p += strlen(p) + 1) {
        if (strncmp(p, "function\t", 9) != 0)
            continue;
        if (strncmp(p + 9, name, strlen(name)) == 0 && p[9 + strlen(name)] == '\t')
            found = (uint16_t)*count;
        ++*count;
    }
    assert_int_not_equal(found, UINT16_MAX);
    return found;
}

void lay_down(struct worker *w)
{
    close(w->channel);
    close(w->pidfd);
}

/* ---- calls ---- */

uint64_t last_txn;

void call_index(const struct worker *w, uint16_t index, const char *const *keys, const char *args, bool readonly)
{
    uint8_t seed[WIRE_SEED] = { 42 };
    struct wire_CALL m;
    struct buf b, k, a;
    uint32_t count = 0;

    buf_init(&b, 1 << 20);
    buf_init(&k, 1 << 20);
    buf_init(&a, 1 << 20);
    for (const char *const *p = keys; p != NULL && *p != NULL; p += 2)
        count++;
    buf_add_u32(&k, count);
    for (const char *const *p = keys; p != NULL && *p != NULL; p += 2) {
        buf_add_bytes(&k, bytes_str(p[0]));
        buf_add_u8(&k, p[1] != NULL);
        buf_add_bytes(&k, bytes_str(p[1] != NULL ? p[1] : ""));
    }
    count = args[0] != '\0';
    for (const char *p = args; *p != '\0'; p++)
        count += *p == ' ';
    buf_add_u32(&a, count);
    while (count-- > 0) {
        size_t n = strcspn(args, " ");

        buf_add_bytes(&a, bytes_of(args, n));
        args += n + 1;
    }
    m = (struct wire_CALL){ .txn = ++last_txn,
                            .function = index,
                            .readonly = readonly,
                            .seed = bytes_of(seed, sizeof seed),
                            .keys = buf_bytes(&k),
                            .args = buf_bytes(&a) };
    assert_int_equal(wire_add_CALL(&b, &m), OK);
    tell(w->channel, &b);
    buf_fini(&k);
    buf_fini(&a);
}

struct wire_DONE done(const struct worker *w)
{
    struct wire_DONE m;
    struct bytes body;

    assert_int_equal(hear(w->channel, &body), WIRE_DONE);
    assert_true(wire_read_DONE(body, &m));
    return m;
}

void assert_text(struct bytes b, const char *text)
{
    assert_int_equal(b.len, strlen(text));
    assert_memory_equal(b.data, text, b.len);
}

void assert_replied(struct wire_DONE m, enum value kind, const char *text, int64_t number)
{
    struct reader r = reader_of(m.reply);

    assert_int_equal(m.how, 0);
    assert_true(value_valid(m.reply));
    assert_int_equal(read_u8(&r), kind);
    if (kind == VALUE_I64)
        assert_int_equal(read_u64(&r), (uint64_t)number);
    else if (kind == VALUE_BYTES)
        assert_text(read_bytes(&r), text);
}

void assert_dies(struct tree *t, struct worker *w, const char *words, int signal)
{
    struct wire_OBITUARY m;
    struct wire_DYING dying;
    struct bytes body;
    struct pollfd p = { .fd = w->pidfd, .events = POLLIN };

    if (words != NULL) {
        if (hear(w->channel, &body) != WIRE_DYING)
            fail_msg("no last words, but %s expected", words);
        assert_true(wire_read_DYING(body, &dying));
        if (memmem(dying.text.data, dying.text.len, words, strlen(words)) == NULL)
            fail_msg("last words: %.*s", (int)dying.text.len, (const char *)dying.text.data);
    }
    assert_int_equal(hear(w->channel, &body), -1);
    assert_int_equal(poll(&p, 1, -1), 1);
    assert_int_equal(take(t->template, &body, NULL), WIRE_OBITUARY);
    assert_true(wire_read_OBITUARY(body, &m));
    assert_int_equal(m.id, 5);
    if (signal == 0)
        assert_int_equal(m.code, CLD_EXITED);
    else
        assert_true(m.code == CLD_KILLED || m.code == CLD_DUMPED);
    if (signal != 0 && m.status != (uint32_t)signal)
        fail_msg("died of signal %u, not %d", m.status, signal);
    assert_true(m.rss_max_kib > 0);
    lay_down(w);
}

void dismiss(struct tree *t, struct worker *w)
{
    assert_int_equal(syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0), 0);
    assert_dies(t, w, NULL, SIGKILL);
}

/* ---- what it asks for, and gets ---- */

void assert_reads(const struct worker *w, const char *key, const char *value)
{
    struct wire_KV_GET get;
    struct bytes body;
    struct buf b;

    assert_int_equal(hear(w->channel, &body), WIRE_KV_GET);
    assert_true(wire_read_KV_GET(body, &get));
    assert_text(get.key, key);
    buf_init(&b, 1000);
    wire_add_VALUE(&b, &(struct wire_VALUE){ .present = 1, .value = bytes_str(value) });
    tell(w->channel, &b);
}

void assert_puts(const struct worker *w, const char *key, const char *value)
{
    struct wire_KV_PUT put;
    struct bytes body;

    assert_int_equal(hear(w->channel, &body), WIRE_KV_PUT);
    assert_true(wire_read_KV_PUT(body, &put));
    assert_text(put.key, key);
    assert_text(put.value, value);
}

struct guest load_guest(const struct tree *t, const char *name, const char *source)
{
    struct guest g = { .tree = { .zygote = t->zygote } };
    struct wire_MANIFEST m;
    struct bytes body;
    int file = build(name, source);

    g.tree.template = spawn_template(t->zygote, file, &g.pidfd);
    close(file);
    assert_int_equal(take(g.tree.template, &body, NULL), WIRE_MANIFEST);
    assert_true(wire_read_MANIFEST(body, &m));
    g.manifest = m.text;
    return g;
}

void unload_guest(struct guest *g)
{
    struct bytes body;

    close(g->tree.template);
    assert_int_equal(take(g->tree.zygote, &body, NULL), WIRE_OBITUARY);
    close(g->pidfd);
}
