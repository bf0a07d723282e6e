/*
 * ask SOCKET WORD…: sends one command as it stands, and prints the reply, nested ones with two spaces a level. "@FILE" is
 * the content of a file, "@@…" the word "@…". An error reply goes to stderr, and the status is 1.
 */
#include "include/graft_client.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARGS_MAX = 64, FILE_MAX = 48 * 1024 * 1024, SECONDS_MAX = 60 };

static graft_client_bytes content_of(const char *path)
{
    FILE *f = fopen(path, "r");
    char *content = malloc(FILE_MAX);
    size_t n;

    if (f == NULL || content == NULL)
        err(2, "%s", path);
    n = fread(content, 1, FILE_MAX, f);
    fclose(f);
    return (graft_client_bytes){ content, n };
}

static graft_client_bytes word_of(const char *text)
{
    if (text[0] == '@' && text[1] != '@')
        return content_of(text + 1);
    text += text[0] == '@';
    return (graft_client_bytes){ text, strlen(text) };
}

static void print(const graft_reply *reply, int level)
{
    size_t len;
    const char *text = graft_client_text(reply, &len);

    printf("%*s", 2 * level, "");
    switch (graft_client_kind(reply)) {
    case GRAFT_REPLY_NIL:
        printf("(nil)\n");
        return;
    case GRAFT_REPLY_ARRAY:
    case GRAFT_REPLY_MAP:
        printf("%s %zu\n", graft_client_kind(reply) == GRAFT_REPLY_MAP ? "map" : "array", graft_client_count(reply));
        for (size_t i = 0; i < graft_client_count(reply); i++)
            print(graft_client_item(reply, i), level + 1);
        return;
    case GRAFT_REPLY_BOOL:
        printf("%s\n", graft_client_integer(reply) != 0 ? "true" : "false");
        return;
    default:
        fwrite(text, 1, len, stdout);
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    static graft_client_bytes args[ARGS_MAX];
    graft_client *client = graft_client_new();
    graft_reply *reply;
    int status;

    if (argc < 3 || argc - 2 > ARGS_MAX)
        errx(2, "usage: ask SOCKET WORD…");
    alarm(SECONDS_MAX);
    for (int i = 2; i < argc; i++)
        args[i - 2] = word_of(argv[i]);
    if (client == NULL || graft_client_connect(client, argv[1]) != GRAFT_CLIENT_OK)
        errx(3, "%s", client != NULL ? graft_client_error(client) : "out of memory");
    if (graft_client_command(client, (size_t)argc - 2, args, &reply) != GRAFT_CLIENT_OK)
        errx(3, "%s", graft_client_error(client));
    status = graft_client_kind(reply) == GRAFT_REPLY_ERROR;
    if (status != 0)
        fprintf(stderr, "%s\n", graft_client_text(reply, NULL));
    else
        print(reply, 0);
    graft_client_free_reply(&reply);
    graft_client_free(&client);
    return status;
}
