/*
 * history SOCKET SECONDS SEED [CLIENTS]: clients work on few lists at random, all at once, in every way in which graftd has
 * transactions; then what they were told is checked (history.h). The graft lists (tests/e2e/lists.c) is loaded.
 *
 *     calls with declared keys and without · BEGIN … COMMIT with savepoints, reads before writes, scans · MULTI … EXEC ·
 *     calls under a token, sent twice · calls that abort, crash, run into their limit · calls inside calls, some of which
 *     fail · clients that hang up in the middle, or before they hear
 *
 * Keys come and go: a list gets some ten values, then others take its place, so that there are keys that are not there yet
 * (phantoms). The seed fixes what each client asks, and is part of the names of its keys; in which order it happens is the
 * daemon's.
 */
#include "tests/history/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 64,
    TXNS_MAX = 60000, /* of all clients: the check is bounded, too */
};

static struct client clients[CLIENTS_MAX];
static int64_t end_ns;
static atomic_uint begun;

static void *run_client(void *arg)
{
    struct client *c = arg;

    while (now_ns() < end_ns && atomic_fetch_add(&begun, 1) < TXNS_MAX && connected(c)) {
        unsigned kind = draw(c, 20);
        if (kind < 7)
            single_call(c, false);
        else if (kind < 8)
            single_call(c, true);
        else if (kind < 9)
            call_twice(c);
        else if (kind < 13)
            multi_exec(c);
        else if (kind < 19 || draw(c, 4) > 0)
            session(c);
        else
            ask_and_go(c);
    }
    hang_up(c);
    return NULL;
}

/* ---- the whole ---- */

/* Reads every list, when all is done. */
static void read_all(struct client *c, struct history *h)
{
    uint32_t last = atomic_load(&appended) / VALUES_PER_KEY + WINDOW + 1;
    struct history_txn *t;
    struct words w;
    graft_reply *r;

    connected(c);
    t = history_begin(h, now_ns());
    for (uint32_t key = 0; key <= last; key++) {
        w.count = 0;
        add(&w, "GET");
        add_key(&w, key);
        r = ask(c, &w);
        read_list(t, key, r);
        graft_client_free_reply(&r);
    }
    end(t, HISTORY_OK);
    hang_up(c);
}

static int report(const struct history *h, const struct client *all, int count)
{
    static struct history_findings f;
    size_t by_status[4] = { 0 };

    for (size_t i = 0; i < h->count; i++)
        by_status[h->txns[i]->status]++;
    history_check(h, &f);
    printf("%zu transactions: %zu answered, %zu failed, %zu unknown; %u appends, %zu edges;", f.txns,
           by_status[HISTORY_OK], by_status[HISTORY_FAILED], by_status[HISTORY_UNKNOWN], atomic_load(&appended),
           f.edges);
    for (size_t e = 0; e < sizeof error_words / sizeof error_words[0]; e++) {
        uint64_t n = 0;
        for (int i = 0; i < count; i++)
            n += all[i].by_error[e];
        printf(" %s %" PRIu64, error_words[e], n);
    }
    printf("\n");
    for (size_t i = 0; i < f.count && i < HISTORY_FINDINGS_MAX; i++)
        fprintf(stderr, "%s: %s\n", f.finding[i].name, f.finding[i].text);
    if (f.count == 0)
        printf("strictly serializable: no anomaly\n");
    return f.count == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct history h = { 0 };
    int seconds = argc > 3 ? atoi(argv[2]) : 0, count = argc > 4 ? atoi(argv[4]) : 16, status;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;

    if (seconds <= 0 || count <= 0 || count > CLIENTS_MAX) {
        fprintf(stderr, "usage: history SOCKET SECONDS SEED [CLIENTS]\n");
        return 2;
    }
    socket_path = argv[1];
    run_number = (unsigned)seed;
    alarm((unsigned)seconds + 120);
    printf("seed %" PRIu64 ", %d clients, %d s\n", seed, count, seconds);
    fflush(stdout);
    end_ns = now_ns() + (int64_t)seconds * 1000000000;
    for (int i = 0; i < count; i++) {
        clients[i].number = i;
        clients[i].random = seed * 1000 + (uint64_t)i;
        if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
            complain("no more threads");
    }
    for (int i = 0; i < count; i++) {
        pthread_join(clients[i].thread, NULL);
        history_merge(&h, &clients[i].history);
    }
    sleep(1); /* what was asked by those who hung up has ended */
    read_all(&clients[0], &h);
    status = report(&h, clients, count);
    history_free(&h);
    return status;
}
