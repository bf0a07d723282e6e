/*
 * dump SOCKET [PREFIX]: prints every key and value but those whose key begins with PREFIX, sorted by key, as hexadecimal
 * digits, a pair a line. Two states are the same byte for byte when their dumps are.
 */
#include "include/graft_client.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECONDS_MAX = 60, PAIRS_MAX = 1000000 };

struct pair {
    char *key, *value; /* hexadecimal */
};

static struct pair *pairs;
static size_t count, room;

static char *hex_of(const char *bytes, size_t len)
{
    char *text = malloc(2 * len + 1);

    if (text == NULL)
        errx(1, "out of memory");
    text[2 * len] = '\0';
    for (size_t i = 0; i < len; i++)
        sprintf(text + 2 * i, "%02x", (unsigned char)bytes[i]);
    return text;
}

static graft_reply *ask(graft_client *client, size_t argc, const graft_client_bytes *args)
{
    graft_reply *reply;

    if (graft_client_command(client, argc, args, &reply) != GRAFT_CLIENT_OK)
        errx(1, "%s", graft_client_error(client));
    if (graft_client_kind(reply) == GRAFT_REPLY_ERROR)
        errx(1, "%s", graft_client_text(reply, NULL));
    return reply;
}

static void add(graft_client *client, const char *key, size_t len)
{
    graft_reply *reply = ask(client, 2, (graft_client_bytes[]){ { "GET", 3 }, { key, len } });
    size_t value_len;
    const char *value = graft_client_text(reply, &value_len);

    if (count == PAIRS_MAX)
        errx(1, "more than %d keys", PAIRS_MAX);
    if (count == room) {
        room = room == 0 ? 64 : 2 * room;
        pairs = realloc(pairs, room * sizeof *pairs);
        if (pairs == NULL)
            errx(1, "out of memory");
    }
    /* A key that went away since it was scanned shows as such. */
    pairs[count].value = graft_client_kind(reply) == GRAFT_REPLY_NIL ? strdup("gone") : hex_of(value, value_len);
    pairs[count++].key = hex_of(key, len);
    graft_client_free_reply(&reply);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

int main(int argc, char **argv)
{
    const char *without = argc > 2 ? argv[2] : NULL;
    graft_client *client = graft_client_new();
    char cursor[32] = "0";

    if (argc < 2)
        errx(2, "usage: dump SOCKET [PREFIX]");
    alarm(SECONDS_MAX);
    if (client == NULL || graft_client_connect(client, argv[1]) != GRAFT_CLIENT_OK)
        errx(1, "%s", client != NULL ? graft_client_error(client) : "out of memory");
    do {
        graft_reply *page = ask(client, 4, (graft_client_bytes[]){ { "SCAN", 4 }, { cursor, strlen(cursor) }, { "COUNT", 5 },
                                                                   { "1000", 4 } });
        const graft_reply *keys = graft_client_item(page, 1);
        for (size_t i = 0; i < graft_client_count(keys); i++) {
            size_t len;
            const char *key = graft_client_text(graft_client_item(keys, i), &len);
            if (without == NULL || len < strlen(without) || memcmp(key, without, strlen(without)) != 0)
                add(client, key, len);
        }
        snprintf(cursor, sizeof cursor, "%s", graft_client_text(graft_client_item(page, 0), NULL));
        graft_client_free_reply(&page);
    } while (strcmp(cursor, "0") != 0);
    if (count > 0)
        qsort(pairs, count, sizeof *pairs, by_key);
    for (size_t i = 0; i < count; i++) {
        printf("%s %s\n", pairs[i].key, pairs[i].value);
        free(pairs[i].key);
        free(pairs[i].value);
    }
    free(pairs);
    graft_client_free(&client);
    return 0;
}
