/*
 * One policy in the place of another, under those who hold it: P3 says when (never with an error), this file what. Who
 * may do what, and grants of grafts that are loaded from then on, change at once; what the daemon was built with stays
 * until it is started again, so that the policy in force is always what it says.
 */
#include "policy/policy.h"

#include "policy/policy_impl.h"

#include <string.h>

/* Of the daemon's amounts: those that are read whenever they are needed. */
static const bool at_once[DAEMON_ITEM_COUNT] = {
    [DAEMON_CLIENTS] = true,     [DAEMON_CLIENTS_PER_USER] = true,
    [DAEMON_QUEUE] = true, /* by grafts that are loaded from then on */
    [DAEMON_DRAIN] = true,       [DAEMON_IDLE] = true,          [DAEMON_TIMERS] = true,
    [DAEMON_TIMER_TRIES] = true, [DAEMON_TIMER_BACKOFF] = true,
};

static bool text_differs(const char *a, const char *b) { return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0; }

static bool socket_differs(const struct policy *a, const struct policy *b)
{
    return text_differs(a->socket, b->socket) || a->socket_mode != b->socket_mode || a->socket_group != b->socket_group;
}

static bool roots_differ(const struct policy *a, const struct policy *b)
{
    bool differ = a->root_count != b->root_count;

    for (size_t i = 0; i < a->root_count && !differ; i++)
        differ = text_differs(a->roots[i].name, b->roots[i].name) || text_differs(a->roots[i].path, b->roots[i].path);
    return differ;
}

static bool sandbox_differs(const struct policy *a, const struct policy *b)
{
    return a->layers.degraded != b->layers.degraded || a->layers.required != b->layers.required ||
           a->layers.may_lack != b->layers.may_lack || a->daemon_open != b->daemon_open;
}

/* By weights; by `sandbox require` it is one of the sandbox's. */
static bool shares_differ(const struct policy *a, const struct policy *b)
{
    return a->shares_cpu != b->shares_cpu && ((a->layers.required ^ b->layers.required) & layer_bit(LAYER_CGROUP)) == 0;
}

static enum err add_name(struct buf *out, bool differs, const char *first, const char *second)
{
    if (!differs)
        return OK;
    return buf_addf(out, "%s%s%s%s", buf_len(out) > 0 ? ", " : "", first, *second != '\0' ? " " : "", second);
}

static enum err add_names(const struct policy *a, const struct policy *b, struct buf *out)
{
    enum err err = add_name(out, text_differs(a->data, b->data), "data", "");

    if (err == OK)
        err = add_name(out, socket_differs(a, b), "socket", "");
    if (err == OK)
        err = add_name(out, a->durability != b->durability, "durability", "");
    if (err == OK)
        err = add_name(out, sandbox_differs(a, b), "sandbox", "");
    if (err == OK)
        err = add_name(out, text_differs(a->backup, b->backup), "backup", "");
    if (err == OK)
        err = add_name(out, roots_differ(a, b), "root", "");
    if (err == OK)
        err = add_name(out, shares_differ(a, b), "limit", "cpu-weight");
    for (size_t i = 0; i < DAEMON_ITEM_COUNT && err == OK; i++)
        err = add_name(out, !at_once[i] && a->settings[i].value != b->settings[i].value, daemon_quantities[i].directive,
                       daemon_quantities[i].word);
    return err;
}

#define SWAP(a, b) \
    do { \
        __typeof__(a) swapped = (a); \
        (a) = (b); \
        (b) = swapped; \
    } while (0)

/* The names and paths themselves stay, too: the daemon uses them as long as it runs. */
static void carry_roots(struct policy *a, struct policy *b)
{
    bool differ = roots_differ(a, b);

    for (size_t i = 0; i < POLICY_ROOT_MAX; i++) {
        SWAP(a->roots[i].name, b->roots[i].name);
        SWAP(a->roots[i].path, b->roots[i].path);
        if (differ)
            b->roots[i].place = (struct place){ 0 }; /* they stand in no file any more */
    }
    SWAP(a->root_count, b->root_count);
}

/* What a keeps in force goes into b, which will be a. */
static void carry(struct policy *a, struct policy *b)
{
    SWAP(a->data, b->data);
    SWAP(a->socket, b->socket);
    SWAP(a->backup, b->backup);
    b->socket_mode = a->socket_mode;
    b->socket_group = a->socket_group;
    b->durability = a->durability;
    b->layers = a->layers;
    b->daemon_open = a->daemon_open;
    b->shares_cpu = a->shares_cpu;
    for (size_t i = 0; i < DAEMON_ITEM_COUNT; i++)
        if (!at_once[i])
            b->settings[i].value = a->settings[i].value;
    policy_limits_fill(b);
    carry_roots(a, b);
}

enum err policy_replace(struct policy *p, struct policy **by, struct buf *restart)
{
    enum err err = add_names(p, *by, restart);

    if (err != OK)
        return err;
    carry(p, *by);
    SWAP(*p, **by);
    policy_free(by);
    return OK;
}
