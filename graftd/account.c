#include "graftd/account.h"

#include "lib/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Few: users with a connection. Found by walking. */
struct account {
    struct account *next;
    uid_t uid;
    size_t places, bytes;
};

static struct account *find(const struct core *core, uid_t uid)
{
    struct account *a = core->accounts;

    while (a != NULL && a->uid != uid)
        a = a->next;
    return a;
}

static struct account *find_or_make(struct core *core, uid_t uid)
{
    struct account *a = find(core, uid);

    if (a != NULL || (a = calloc(1, sizeof *a)) == NULL)
        return a;
    *a = (struct account){ .next = core->accounts, .uid = uid };
    core->accounts = a;
    return a;
}

struct account *account_enter(struct core *core, uid_t uid, char text[ACCOUNT_TEXT_MAX])
{
    const struct policy_limits *limits = policy_limits(core->policy);
    struct account *a = find(core, uid);

    if (core->client_count >= limits->client_max)
        snprintf(text, ACCOUNT_TEXT_MAX,
                 "%zu connections are open, and no more may be: close some, or raise `limit clients` in the policy. "
                 "limit=clients allowed=%" PRIu64 " used=%zu",
                 core->client_count, limits->client_max, core->client_count);
    else if (a != NULL && a->places >= limits->client_user_max)
        snprintf(
            text, ACCOUNT_TEXT_MAX,
            "user %u has %zu connections open, and may have no more: close some, or raise `limit clients-per-user` "
            "in the policy. limit=clients-per-user allowed=%" PRIu64 " used=%zu",
            (unsigned)uid, a->places, limits->client_user_max, a->places);
    else if ((a = find_or_make(core, uid)) == NULL)
        snprintf(text, ACCOUNT_TEXT_MAX, "no memory for another client");
    else {
        a->places++;
        core->client_count++;
        return a;
    }
    return NULL;
}

void account_leave(struct core *core, struct account **account)
{
    struct account *a = *account, **at = &core->accounts;

    *account = NULL;
    core->client_count--;
    if (--a->places > 0)
        return;
    CHECK(a->bytes == 0);
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    free(a);
}

void account_charge(struct core *core, struct account *a, size_t *held, size_t now)
{
    a->bytes += now - *held;
    core->client_bytes += now - *held;
    *held = now;
}

bool account_allows(const struct core *core, const struct account *a, size_t held)
{
    return held <= ACCOUNT_SMALL || (a->bytes <= ACCOUNT_USER_MAX && core->client_bytes <= ACCOUNT_ALL_MAX);
}
