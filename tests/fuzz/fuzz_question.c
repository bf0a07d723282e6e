/*
 * Bent questions to a policy: fuzz_question [seed [count]].
 *
 * Holds, for any words in POLICY WHY: nothing crashes or reads out of bounds; a question that is refused says how one goes; one
 * that is taken gets one verdict for a caller and one for a graft, in visible text, and the same that the rules give.
 */
#include "lib/utf8.h"
#include "policy/why.h"
#include "tests/fuzz/fuzz.h"

enum { COUNT_DEFAULT = 20000, BENDS_MAX = 4, ROOM = 256, ANSWER_MAX = 1 << 20 };

static const char rules[] =
    "data /x; root s /srv/s\n"
    "graft till { allow read write file \"s/*\"; deny write file \"s/a\"; allow read kv \"a*\"; allow emit t; allow "
    "timer \"till.*\" }\n"
    "caller user 5 { allow call \"bank.*\"; deny kill; allow load \"ba*\"; allow read kv \"acct:*\"; allow undo }\n"
    "caller any { deny command \"graft load\"; allow read event \"t.*\" }\n";

static const char *const pieces[] = { " ",      "  ",   "\"",     "\\", "*",     "\xff",  "\x1b",
                                      "\n",     "read", "write ", "kv", "file ", "call ", "command ",
                                      "graft ", "load", "undo",   "s/", "..",    "#",     "\xe2\x80\xae" };

static void check_text(const struct buf *out)
{
    struct bytes left = buf_bytes(out);

    CHECK(bytes_start_with(left, bytes_str("allowed: ")) || bytes_start_with(left, bytes_str("denied: ")));
    while (left.len > 0) {
        const char *line = left.data, *end = memchr(line, '\n', left.len);
        CHECK(end != NULL);
        CHECK(utf8_text(bytes_of(line, (size_t)(end - line))));
        left = bytes_of(end + 1, left.len - (size_t)(end + 1 - line));
    }
}

static void ask(const struct policy *p, const struct question *q, bool of_graft)
{
    const struct principal who = { .uid = 5, .gid = 6 };
    bool allowed, told;
    struct place place;
    struct buf out;

    buf_init(&out, ANSWER_MAX);
    if (of_graft) {
        CHECK(policy_why_graft(p, "till", NULL, q, &out) == OK);
        allowed = policy_rules_allow(policy_graft_rules(p, "till"), q->right, q->subject, &place);
    } else {
        CHECK(policy_why_caller(p, &who, "app", q, &out) == OK);
        allowed = q->right == RIGHT_COMMAND ? policy_command_may(p, &who, q->subject, &place)
                                            : policy_caller_may(p, &who, q->right, q->subject, &place);
    }
    check_text(&out);
    told = bytes_start_with(buf_bytes(&out), bytes_str("allowed: "));
    CHECK(told == allowed);
    buf_fini(&out);
}

/* Words between spaces, each in memory of its exact size. */
static size_t cut(const char *text, size_t len, struct bytes *words)
{
    size_t count = 0, at = 0;

    while (count < QUESTION_WORDS_MAX + 1) {
        const char *end = memchr(text + at, ' ', len - at);
        size_t n = end != NULL ? (size_t)(end - text) - at : len - at;
        char *word = malloc(n + (n == 0));
        CHECK(word != NULL);
        memcpy(word, text + at, n);
        words[count++] = bytes_of(word, n);
        if (end == NULL)
            break;
        at += n + 1;
    }
    return count;
}

static bool check_input(const struct policy *p, const char *text, size_t len)
{
    struct bytes words[QUESTION_WORDS_MAX + 1];
    size_t count = cut(text, len, words);
    bool taken = false;

    for (int of_graft = 0; of_graft < 2 && count <= QUESTION_WORDS_MAX; of_graft++) {
        struct failure why = { 0 };
        struct question q;
        enum err err = question_read(words, count, of_graft == 1, &q, &why);
        CHECK(err == why.err && (err == OK || err == ERR_BADARG));
        CHECK(err == OK || why.text[0] != '\0');
        taken = taken || err == OK;
        if (err == OK)
            ask(p, &q, of_graft == 1);
    }
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)words[i].data);
    return taken;
}

static void bend(char *text, size_t *len)
{
    const char *piece = pieces[random_below(sizeof pieces / sizeof pieces[0])];
    size_t at = random_below(*len + 1), n = strlen(piece);

    if (random_below(3) == 0 && at < *len) {
        text[at] = (char)(text[at] ^ 1 << random_below(8));
    } else if (random_below(3) == 0) {
        n = *len - at < 5 ? *len - at : random_below(5);
        memmove(text + at, text + at + n, *len - at - n);
        *len -= n;
    } else if (*len + n <= ROOM) {
        memmove(text + at + n, text + at, *len - at);
        memcpy(text + at, piece, n);
        *len += n;
    }
}

static uint64_t check(const struct policy *p, struct bytes good, size_t bends)
{
    char text[ROOM];
    size_t len = good.len;
    bool taken;

    CHECK(len <= ROOM);
    memcpy(text, good.data, len);
    for (size_t i = 0; i < bends; i++)
        bend(text, &len);
    taken = check_input(p, text, len);
    CHECK(bends > 0 || taken); /* what is kept is good */
    return taken;
}

int main(int argc, char **argv)
{
    uint64_t count = fuzz_begin("fuzz_question", argc, argv, COUNT_DEFAULT), good_count = 0;
    struct policy *p = NULL;
    struct buf errors;
    struct corpus c;

    buf_init(&errors, ANSWER_MAX);
    CHECK(policy_parse("t.scfg", bytes_str(rules), 1, &p, &errors) == OK);
    corpus_open(&c, "question", "");
    for (size_t i = 0; i < c.count; i++)
        check(p, c.list[i], 0);
    for (uint64_t i = 0; corpus_goes_on(i, count); i++)
        good_count += check(p, c.list[random_below(c.count)], 1 + random_below(BENDS_MAX));
    printf("fuzz_question: %llu were questions\n", (unsigned long long)good_count);
    corpus_close(&c);
    policy_free(&p);
    buf_fini(&errors);
    return 0;
}
