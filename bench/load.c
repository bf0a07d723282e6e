/* Clients, clock and figures of the load generators: see load.h. One thread, one epoll, no allocation while it measures
 * but the growth of buffers. A client asks again as soon as an answer is read, so the load is closed: a slow server is
 * asked less often, and its longest latencies are counted less often than users would meet them. */
#include "bench/load.h"
#include "bench/histogram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NS UINT64_C(1000000000)
#define DRAIN_NS (10 * NS) /* how long the last answers may take */

enum { WORD_MAX = 255, EVENTS = 64 };

static struct load {
    const struct protocol *protocol;
    struct client *clients;
    unsigned client_count, pipeline, keys;
    bool errors;
    struct bytes words[WORDS_MAX]; /* as they are given */
    bool drawn[WORDS_MAX];         /* with an @ in them */
    size_t word_count;
    int epoll;
    bool asking, counting;
    unsigned under_way;
    uint64_t random;
    struct histogram latency; /* ns */
} load;

void load_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

void load_want(enum err err)
{
    if (err != 0)
        load_die("no memory for a request or an answer");
}

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

/* ---- streams ---- */

int stream_connect(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof a.sun_path)
        load_die("no socket, or its path is too long: %s", path);
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        load_die("cannot connect to %s: %s", path, strerror(errno));
    return fd;
}

bool stream_send(struct client *c)
{
    while (buf_len(&c->out) > 0) {
        struct bytes b = buf_bytes(&c->out);
        ssize_t n = send(c->fd, b.data, b.len, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            return false;
        if (n < 0)
            load_die("cannot send: %s", strerror(errno));
        buf_consume(&c->out, (size_t)n);
    }
    return true;
}

void stream_receive(struct client *c)
{
    enum { CHUNK = 64 * 1024 };
    uint8_t *room;
    ssize_t n;

    load_want(buf_reserve(&c->in, CHUNK, &room));
    n = read(c->fd, room, CHUNK);
    if (n == 0)
        load_die("the server closed the connection");
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        load_die("cannot read: %s", strerror(errno));
    if (n > 0)
        buf_wrote(&c->in, (size_t)n);
}

/* ---- requests ---- */

static uint64_t draw(void) /* xorshift64 */
{
    load.random ^= load.random << 13;
    load.random ^= load.random >> 7;
    return load.random ^= load.random << 17;
}

/* Each @ becomes a key's number; one request draws each of them differently: last is the one before. */
static struct bytes fill_in(struct bytes word, char *room, unsigned *last)
{
    const char *from = word.data;
    size_t len = 0;

    for (size_t i = 0; i < word.len; i++) {
        if (from[i] != '@') {
            room[len++] = from[i];
            continue;
        }
        unsigned key = (unsigned)(draw() % load.keys);

        *last = key == *last ? (key + 1) % load.keys : key;
        key = *last;
        for (size_t digit = KEY_DIGITS; digit-- > 0; key /= 10)
            room[len + digit] = (char)('0' + key % 10);
        len += KEY_DIGITS;
    }
    return bytes_of(room, len);
}

static void ask(struct client *c)
{
    char room[WORDS_MAX][WORD_MAX + 1];
    struct bytes words[WORDS_MAX];
    unsigned last = UINT32_MAX;

    for (size_t i = 0; i < load.word_count; i++)
        words[i] = load.drawn[i] ? fill_in(load.words[i], room[i], &last) : load.words[i];
    c->asked[(c->first + c->waiting) % PIPELINE_MAX] = now();
    load.protocol->ask(c, words, load.word_count);
    c->waiting++;
    load.under_way++;
}

static void pump(struct client *c)
{
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
    bool wants_room;

    while (load.asking && c->waiting < load.pipeline)
        ask(c);
    wants_room = !load.protocol->send(c);
    if (wants_room == c->wants_room)
        return;
    c->wants_room = wants_room;
    e.events |= wants_room ? (uint32_t)EPOLLOUT : 0;
    epoll_ctl(load.epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void take_answer(struct client *c, const struct answer *a)
{
    char text[WORD_MAX];

    if (c->waiting == 0)
        load_die("an answer that nobody asked for");
    if (a->is_error != load.errors)
        load_die("%s: %s", a->is_error ? "failed" : "was to fail, and did not", bytes_show(a->text, text, sizeof text));
    if (load.counting)
        histogram_add(&load.latency, now() - c->asked[c->first]);
    c->first = (c->first + 1) % PIPELINE_MAX;
    c->waiting--;
    load.under_way--;
}

static void wait_for_answers(void)
{
    struct epoll_event events[EVENTS];
    struct answer a;
    int n = epoll_wait(load.epoll, events, EVENTS, 100);

    for (int i = 0; i < n; i++) {
        struct client *c = events[i].data.ptr;

        if (events[i].events & (uint32_t)~EPOLLOUT) {
            load.protocol->receive(c);
            while (load.protocol->next(c, &a))
                take_answer(c, &a);
        }
        pump(c);
    }
}

/* ---- a run ---- */

static void connect_all(const char *address)
{
    struct epoll_event e = { .events = EPOLLIN };

    load.clients = calloc(load.client_count, sizeof *load.clients);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load.clients == NULL || load.epoll < 0)
        load_die("no memory or descriptors for %u clients", load.client_count);
    for (unsigned i = 0; i < load.client_count; i++) {
        struct client *c = e.data.ptr = &load.clients[i];

        buf_init(&c->out, STREAM_MAX);
        buf_init(&c->in, STREAM_MAX);
        load.protocol->open(c, address, load.words, load.word_count);
        if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
            load_die("cannot wait for a client: %s", strerror(errno));
    }
}

static uint64_t run_until(uint64_t end)
{
    while (now() < end)
        wait_for_answers();
    return now();
}

static void run(double seconds)
{
    uint64_t ns = (uint64_t)(seconds * (double)NS), begun, ended;

    load.asking = true;
    for (unsigned i = 0; i < load.client_count; i++)
        pump(&load.clients[i]);
    begun = run_until(now() + ns / 5); /* to warm up */
    load.counting = true;
    ended = run_until(begun + ns);
    load.counting = load.asking = false;
    for (uint64_t last = ended + DRAIN_NS; load.under_way > 0 && now() < last;)
        wait_for_answers();
    if (load.latency.count == 0)
        load_die("no answer within %g s", seconds);
    printf("{\"calls\": %llu, \"rate\": %.1f, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}\n",
           (unsigned long long)load.latency.count, (double)load.latency.count * (double)NS / (double)(ended - begun),
           histogram_at(&load.latency, 0.5) / 1e3, histogram_at(&load.latency, 0.99) / 1e3,
           histogram_at(&load.latency, 0.999) / 1e3, (double)load.latency.max / 1e3);
}

static unsigned number(const char *text, unsigned max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0' || n == 0 || n > max)
        load_die("%s must be a whole number from 1 to %u", text, max);
    return (unsigned)n;
}

static struct bytes payload(size_t len)
{
    char *data = malloc(len);

    if (data == NULL || len <= WORD_MAX)
        load_die("a payload needs memory, and more than %d bytes", WORD_MAX);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)draw(); /* nothing that a server could compress */
    return bytes_of(data, len);
}

static struct bytes read_word(const char *word)
{
    if (word[0] == '%' && word[1] != '\0')
        return payload(number(word + 1, STREAM_MAX / PIPELINE_MAX));
    if (strchr(word, '@') != NULL && strlen(word) > WORD_MAX / KEY_DIGITS)
        load_die("too long for a word with @: %s", word);
    return bytes_str(word);
}

int load_main(int argc, char **argv, const struct protocol *protocol)
{
    int i = 5;

    if (argc < 6)
        load_die("usage: %s SOCKET CLIENTS PIPELINE SECONDS [-e] WORD…", argv[0]);
    load.protocol = protocol;
    load.client_count = number(argv[2], CLIENTS_MAX);
    load.pipeline = number(argv[3], PIPELINE_MAX);
    load.keys = getenv("KEYS") != NULL ? number(getenv("KEYS"), 100000000) : KEYS_DEFAULT;
    load.random = UINT64_C(88172645463325252) ^ now();
    if ((load.errors = strcmp(argv[i], "-e") == 0))
        i++;
    for (; i < argc && load.word_count < WORDS_MAX; i++) {
        load.drawn[load.word_count] = argv[i][0] != '%' && strchr(argv[i], '@') != NULL;
        load.words[load.word_count++] = read_word(argv[i]);
    }
    if (i < argc)
        load_die("at most %d words", WORDS_MAX);
    connect_all(argv[1]);
    run(strtod(argv[4], NULL));
    return 0;
}
