#include "lib/resp_reply.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

enum {
    DOUBLE_TEXT_MAX = 64, /* bytes */
    VERBATIM_HEAD = 4,    /* bytes: "txt:" */
};

/* How a kind goes on behind its first byte. */
enum form { FORM_NONE, FORM_LINE, FORM_BLOB, FORM_ITEMS };

struct kind_row {
    enum form form;
    enum resp_kind kind;
    unsigned items_each; /* FORM_ITEMS: nodes per counted thing */
    bool may_be_nil;     /* RESP2: a length of -1 means nil */
};

static const struct kind_row kinds[256] = {
    ['+'] = { FORM_LINE, RESP_STATUS, 0, false },
    ['-'] = { FORM_LINE, RESP_ERROR, 0, false },
    [':'] = { FORM_LINE, RESP_INTEGER, 0, false },
    [','] = { FORM_LINE, RESP_DOUBLE, 0, false },
    ['#'] = { FORM_LINE, RESP_BOOL, 0, false },
    ['('] = { FORM_LINE, RESP_BIG, 0, false },
    ['_'] = { FORM_LINE, RESP_NIL, 0, false },
    ['$'] = { FORM_BLOB, RESP_STRING, 0, true },
    ['!'] = { FORM_BLOB, RESP_ERROR, 0, false },
    ['='] = { FORM_BLOB, RESP_VERBATIM, 0, false },
    ['*'] = { FORM_ITEMS, RESP_ARRAY, 1, true },
    ['~'] = { FORM_ITEMS, RESP_SET, 1, false },
    ['>'] = { FORM_ITEMS, RESP_PUSH, 1, false },
    ['%'] = { FORM_ITEMS, RESP_MAP, 2, false },
};

static enum err refuse(struct failure *why, const char *what)
{
    return fail(why, ERR_PROTOCOL, "the reply is not RESP: %s", what);
}

static enum err refuse_limit(struct failure *why, const char *what, size_t max)
{
    return fail(why, ERR_PROTOCOL, "the reply is too large: it has more than %zu %s", max, what);
}

/* The line at the front of in, without its end. *scanned bytes hold no '\r' and are not looked at again. */
static enum err read_line(struct bytes in, size_t *scanned, struct bytes *line, struct failure *why)
{
    const char *text = in.data, *end;
    size_t seen = in.len < RESP_REPLY_LINE_MAX + 1 ? in.len : RESP_REPLY_LINE_MAX + 1;

    end = seen == *scanned ? NULL : memchr(text + *scanned, '\r', seen - *scanned);
    if (end == NULL && seen > RESP_REPLY_LINE_MAX)
        return refuse_limit(why, "bytes in one line", RESP_REPLY_LINE_MAX);
    if (end == NULL) {
        *scanned = seen;
        return ERR_AGAIN;
    }
    *scanned = (size_t)(end - text);
    if (*scanned + 1 == in.len)
        return ERR_AGAIN;
    if (end[1] != '\n' || memchr(text, '\n', *scanned) != NULL)
        return refuse(why, "a line does not end in CR LF");
    *line = bytes_of(text, *scanned);
    return OK;
}

static bool read_double(struct bytes text, double *v)
{
    char copy[DOUBLE_TEXT_MAX + 1], *end;
    const char *p = text.data;
    double d;

    if (text.len == 0 || text.len > DOUBLE_TEXT_MAX || p[0] <= ' ')
        return false;
    memcpy(copy, p, text.len);
    copy[text.len] = '\0';
    d = strtod(copy, &end);
    if (end != copy + text.len)
        return false;
    *v = d;
    return true;
}

static bool is_whole_number(struct bytes text)
{
    const char *p = text.data;
    size_t i = text.len > 0 && p[0] == '-';

    if (i == text.len)
        return false;
    for (; i < text.len; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return true;
}

static enum err check_line(struct resp_node *node, struct failure *why)
{
    switch (node->kind) {
    case RESP_INTEGER:
        return bytes_to_i64(node->text, &node->integer) ? OK : refuse(why, "an integer is not a number of 64 bits");
    case RESP_DOUBLE:
        return read_double(node->text, &node->number) ? OK : refuse(why, "a double is not a number");
    case RESP_BIG:
        return is_whole_number(node->text) ? OK : refuse(why, "a big number is not a number");
    case RESP_BOOL:
        node->integer = bytes_equal(node->text, bytes_str("t"));
        if (node->integer == 0 && !bytes_equal(node->text, bytes_str("f")))
            return refuse(why, "a boolean is neither t nor f");
        return OK;
    case RESP_NIL:
        return node->text.len == 0 ? OK : refuse(why, "a nil has content");
    default:
        return OK;
    }
}

/* A verbatim string names its format before its text. */
static enum err strip_format(struct resp_node *node, struct failure *why)
{
    const char *text = node->text.data;

    if (node->text.len < VERBATIM_HEAD || text[VERBATIM_HEAD - 1] != ':')
        return refuse(why, "a verbatim string does not name its format");
    node->text = bytes_of(text + VERBATIM_HEAD, node->text.len - VERBATIM_HEAD);
    return OK;
}

/* The bytes of a string of n bytes behind its head. */
static enum err read_blob(struct bytes in, size_t head, size_t n, struct resp_node *node, size_t *used,
                          struct failure *why)
{
    const char *p = (const char *)in.data + head;

    if (in.len - head < n + 2)
        return ERR_AGAIN;
    if (p[n] != '\r' || p[n + 1] != '\n')
        return refuse(why, "a string is not followed by CR LF");
    *used = head + n + 2;
    node->text = bytes_of(p, n);
    return node->kind == RESP_VERBATIM ? strip_format(node, why) : OK;
}

/* One node without its items, at the front of in. OK: *used says how many bytes it took. */
static enum err read_node(struct bytes in, size_t *scanned, const struct resp_reply_limits *limits,
                          struct resp_node *node, size_t *used, struct failure *why)
{
    const uint8_t *p = in.data;
    const struct kind_row *row;
    struct bytes line;
    uint64_t n;
    enum err err;

    if (in.len == 0)
        return ERR_AGAIN;
    row = &kinds[p[0]];
    if (row->form == FORM_NONE)
        return refuse(why, "the first byte of a value is unknown");
    err = read_line(bytes_of(p + 1, in.len - 1), scanned, &line, why);
    if (err != OK)
        return err;
    *node = (struct resp_node){ .kind = row->kind, .text = line };
    *used = 1 + line.len + 2;
    if (row->form == FORM_LINE)
        return check_line(node, why);
    node->text = bytes_of(NULL, 0);
    if (row->may_be_nil && bytes_equal(line, bytes_str("-1"))) {
        node->kind = RESP_NIL;
        return OK;
    }
    if (!bytes_to_u64(line, &n))
        return refuse(why, "a length is not a number");
    if (row->form == FORM_ITEMS) {
        if (n > limits->nodes_max / row->items_each)
            return refuse_limit(why, "values", limits->nodes_max);
        node->count = (size_t)n * row->items_each;
        return OK;
    }
    if (n > limits->size_max)
        return refuse_limit(why, "bytes", limits->size_max);
    return read_blob(in, *used, (size_t)n, node, used, why);
}

static struct bytes bytes_from(struct bytes in, size_t at)
{
    return bytes_of((const uint8_t *)in.data + at, in.len - at);
}

/* One step of the first pass: a node is counted, and so are the items that it announces. */
static enum err walk_node(struct resp_reply_parser *p, struct bytes in, const struct resp_reply_limits *limits,
                          struct failure *why)
{
    struct resp_node node;
    size_t used;
    enum err err = read_node(bytes_from(in, p->at), &p->scanned, limits, &node, &used, why);

    if (err == ERR_AGAIN && in.len > limits->size_max)
        return refuse_limit(why, "bytes", limits->size_max);
    if (err != OK)
        return err;
    if (p->at + used > limits->size_max)
        return refuse_limit(why, "bytes", limits->size_max);
    if (p->nodes > limits->nodes_max || node.count > limits->nodes_max - p->nodes)
        return refuse_limit(why, "values", limits->nodes_max);
    if (node.count > 0 && p->depth == RESP_REPLY_DEPTH_MAX)
        return refuse_limit(why, "values inside each other", RESP_REPLY_DEPTH_MAX);
    p->at += used;
    p->scanned = 0;
    p->nodes += node.count;
    if (node.count > 0) {
        p->left[p->depth++] = node.count;
        return OK;
    }
    while (p->depth > 0 && --p->left[p->depth - 1] == 0)
        p->depth--;
    return OK;
}

/* The second pass, over bytes that the first one has checked. */
struct builder {
    struct bytes in; /* the copy, from the next node on */
    struct resp_node *next; /* first node that is not taken */
    const struct resp_reply_limits *limits;
};

/* Items of one parent lie side by side. Recursion is bounded by RESP_REPLY_DEPTH_MAX. */
static void build_node(struct builder *b, struct resp_node *node)
{
    struct resp_node *items = b->next;
    size_t scanned = 0, used = 0;
    enum err err = read_node(b->in, &scanned, b->limits, node, &used, NULL);

    CHECK(err == OK);
    b->in = bytes_from(b->in, used);
    if (node->text.data != NULL)
        ((char *)(uintptr_t)node->text.data)[node->text.len] = '\0'; /* over the '\r': it is our copy */
    if (node->count == 0)
        return;
    node->items = items;
    b->next += node->count;
    for (size_t i = 0; i < node->count; i++)
        build_node(b, &items[i]);
}

static enum err build_tree(struct bytes in, size_t nodes, const struct resp_reply_limits *limits,
                           struct resp_node **root)
{
    struct resp_node *tree;
    struct builder b;
    size_t size;
    char *copy;

    if (__builtin_mul_overflow(nodes, sizeof *tree, &size) || __builtin_add_overflow(size, in.len, &size))
        return ERR_NOMEM;
    tree = malloc(size);
    if (tree == NULL)
        return ERR_NOMEM;
    copy = (char *)(tree + nodes);
    memcpy(copy, in.data, in.len);
    b = (struct builder){ bytes_of(copy, in.len), tree + 1, limits };
    build_node(&b, tree);
    CHECK(b.next == tree + nodes);
    *root = tree;
    return OK;
}

enum err resp_reply_next(struct resp_reply_parser *p, struct bytes in, const struct resp_reply_limits *limits,
                         struct resp_node **root, size_t *used, struct failure *why)
{
    size_t size, nodes;
    enum err err;

    if (p->at == 0)
        p->nodes = 1;
    do {
        err = walk_node(p, in, limits, why);
        if (err != OK)
            return err;
    } while (p->depth > 0);
    size = p->at;
    nodes = p->nodes;
    *p = (struct resp_reply_parser){ 0 };
    err = build_tree(bytes_of(in.data, size), nodes, limits, root);
    if (err == OK)
        *used = size;
    return err;
}

void resp_reply_free(struct resp_node **root)
{
    free(*root);
    *root = NULL;
}
