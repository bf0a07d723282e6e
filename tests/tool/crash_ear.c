/* Who is told without asking: SUBSCRIBE on a connection of its own, in RESP2, where each message is an array. */
#include "tests/tool/crash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A line without its end. False: the connection is lost. */
static bool read_line(FILE *ear, char *line, int size)
{
    if (fgets(line, size, ear) == NULL || strchr(line, '\r') == NULL)
        return false;
    line[strcspn(line, "\r")] = '\0';
    return true;
}

/* What a line begins, a text or a number, as text. */
static bool read_word(FILE *ear, char word[EAR_TEXT])
{
    char head[EAR_TEXT];

    if (!read_line(ear, head, sizeof head))
        return false;
    if (head[0] == ':') {
        memcpy(word, head + 1, strlen(head));
        return true;
    }
    if (head[0] != '$' || atoi(head + 1) >= EAR_TEXT - 2)
        complain("SUBSCRIBE: \"%s\" is no part of a message", head);
    return read_line(ear, word, EAR_TEXT);
}

/* The parts of a message, of which there must be so many. */
static bool read_message(FILE *ear, int count, char words[][EAR_TEXT])
{
    char head[EAR_TEXT];

    if (!read_line(ear, head, sizeof head))
        return false;
    if (head[0] != '*' || atoi(head + 1) != count)
        complain("SUBSCRIBE: \"%s\" is no message", head);
    for (int i = 0; i < count; i++)
        if (!read_word(ear, words[i]))
            return false;
    return true;
}

FILE *ear_open(const char *topic, int64_t after)
{
    int fd = reach_bare();
    FILE *ear = fd < 0 ? NULL : fdopen(fd, "r+");
    char words[3][EAR_TEXT];

    if (ear == NULL)
        return NULL;
    setvbuf(ear, NULL, _IOFBF, 65536);
    fprintf(ear, "SUBSCRIBE %s AFTER %" PRId64 "\r\n", topic, after);
    if (fflush(ear) != 0 || !read_message(ear, 3, words)) {
        fclose(ear);
        return NULL;
    }
    if (strcmp(words[0], "subscribe") != 0 || strcmp(words[1], topic) != 0)
        complain("SUBSCRIBE %s: confirmed as %s %s", topic, words[0], words[1]);
    return ear;
}

bool ear_hear(FILE *ear, const char *topic, int64_t *id, char text[EAR_TEXT])
{
    char words[4][EAR_TEXT];

    if (!read_message(ear, 4, words))
        return false;
    if (strcmp(words[0], "message") != 0 || strcmp(words[1], topic) != 0)
        complain("SUBSCRIBE %s: told %s %s", topic, words[0], words[1]);
    *id = strtoll(words[3], NULL, 10);
    memcpy(text, words[2], EAR_TEXT);
    return true;
}
