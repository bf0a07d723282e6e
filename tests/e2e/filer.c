/*
 * Does to files, events and timers what its arguments say, one after the other, and replies what came of it, a line each:
 *
 *     write PATH DATA · append PATH DATA · remove PATH · rename FROM TO · fill PATH BYTES
 *     read PATH · part PATH OFFSET LENGTH · length PATH (reads it all) · stat PATH · list DIRECTORY
 *     put KEY VALUE · emit TOPIC DATA · after MS FUNCTION · cancel ID
 *     try GRAFT.FUNCTION ARGUMENT: a nested call of that, which may fail
 *     abort · crash · loop · code
 */
#include <graft.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

GRAFT_MODULE("filer", "1.0.0", "does what it is told with files");

struct out {
    char text[16384];
    size_t len;
};

static void say(struct out *out, const char *text, size_t len)
{
    if (len + 1 > sizeof out->text - out->len)
        abort();
    memcpy(out->text + out->len, text, len);
    out->len += len;
    out->text[out->len++] = '\n';
}

static void say_bytes(struct out *out, graft_bytes b) { say(out, b.data, b.len); }
static void say_code(struct out *out, int code) { say(out, (const char[]){ (char)('0' + code) }, 1); }

static int visit(graft_call *call, graft_bytes path, const graft_file_info *info, void *user)
{
    say_bytes(user, graft_format(call, "%s %llu", graft_text(call, path), (unsigned long long)info->size));
    return GRAFT_OK;
}

static int fill(graft_call *call, graft_bytes path, size_t size)
{
    char *data = malloc(size);

    if (data == NULL)
        return GRAFT_NO_MEMORY;
    memset(data, 'x', size);
    return graft_file_append(call, path, graft_bytes_of(data, size));
}

/* Those that reply what they got; -1: it is none of them. */
static int look(graft_call *call, const char *op, size_t i, struct out *out)
{
    graft_bytes a = graft_arg(call, i), got = { "", 0 };
    graft_file_info info;
    int64_t offset = 0, length = 0;
    int rc;

    if (strcmp(op, "read") == 0) {
        rc = graft_file_read(call, a, &got);
    } else if (strcmp(op, "length") == 0) {
        rc = graft_file_read(call, a, &got);
        if (rc == GRAFT_OK)
            got = graft_format(call, "%zu", got.len);
    } else if (strcmp(op, "part") == 0) {
        graft_arg_i64(call, i + 1, &offset);
        graft_arg_i64(call, i + 2, &length);
        rc = graft_file_read_part(call, a, (uint64_t)offset, (size_t)length, &got);
    } else if (strcmp(op, "stat") == 0) {
        rc = graft_file_stat(call, a, &info);
        if (rc == GRAFT_OK)
            got = graft_format(call, info.directory ? "directory" : "file %llu", (unsigned long long)info.size);
    } else if (strcmp(op, "list") == 0) {
        return graft_file_list(call, a, visit, out);
    } else {
        return -1;
    }
    if (rc == GRAFT_OK)
        say_bytes(out, got);
    else
        say_code(out, rc);
    return GRAFT_OK;
}

static int try(graft_call *call, graft_bytes function, graft_bytes argument, struct out *out)
{
    graft_bytes args[2] = { argument, argument };
    graft_value value;
    int rc = graft_call_function(call, graft_text(call, function), args, 1, &value);

    say_bytes(out, value.bytes);
    return rc == GRAFT_CALL_FAILED ? GRAFT_OK : rc;
}

/* These say a code, 0 when all is well, but for two that say what they got. */
static int change(graft_call *call, const char *op, graft_bytes a, graft_bytes b, struct out *out)
{
    const char *text = graft_text(call, b);
    graft_bytes id;
    int rc;

    if (strcmp(op, "write") == 0)
        return graft_file_write(call, a, b);
    if (strcmp(op, "append") == 0)
        return graft_file_append(call, a, b);
    if (strcmp(op, "remove") == 0)
        return graft_file_remove(call, a);
    if (strcmp(op, "rename") == 0)
        return graft_file_rename(call, a, b);
    if (strcmp(op, "fill") == 0)
        return fill(call, a, (size_t)atol(text));
    if (strcmp(op, "put") == 0)
        return graft_kv_put(call, a, b);
    if (strcmp(op, "emit") == 0)
        return graft_emit(call, a, b);
    if (strcmp(op, "cancel") == 0)
        return graft_cancel(call, a);
    if (strcmp(op, "try") == 0)
        return try(call, a, b, out);
    if (strcmp(op, "after") != 0)
        return graft_abort(call, "there is no such thing as %s", op);
    rc = graft_after(call, (uint64_t)atol(graft_text(call, a)), text, NULL, 0, &id);
    if (rc == GRAFT_OK)
        say_bytes(out, id);
    return rc;
}

static size_t count_of(const char *op)
{
    if (strcmp(op, "part") == 0)
        return 3;
    return strcmp(op, "remove") != 0 && strcmp(op, "read") != 0 && strcmp(op, "length") != 0 && strcmp(op, "stat") != 0 &&
                   strcmp(op, "list") != 0 && strcmp(op, "cancel") != 0
               ? 2
               : 1;
}

static void misbehave(const char *op)
{
    volatile unsigned turns = 0;
    volatile int *volatile nowhere = NULL;

    if (strcmp(op, "crash") == 0)
        *nowhere = 1;
    while (strcmp(op, "loop") == 0)
        turns = turns + 1;
}

static int run(graft_call *call)
{
    struct out *out = calloc(1, sizeof *out);
    int rc;

    if (out == NULL)
        return GRAFT_NO_MEMORY;
    for (size_t i = 0; i < graft_arg_count(call);) {
        const char *op = graft_text(call, graft_arg(call, i));

        misbehave(op);
        if (strcmp(op, "abort") == 0)
            return graft_abort(call, "as it was told");
        if (strcmp(op, "code") == 0)
            return 77;
        rc = look(call, op, i + 1, out);
        if (rc < 0) {
            rc = change(call, op, graft_arg(call, i + 1), graft_arg(call, i + 2), out);
            if (rc == GRAFT_ABORTED)
                return rc;
            if (rc != GRAFT_OK || (strcmp(op, "try") != 0 && strcmp(op, "after") != 0))
                say_code(out, rc);
            rc = GRAFT_OK;
        }
        if (rc != GRAFT_OK)
            return rc;
        i += 1 + count_of(op);
    }
    return graft_reply_bytes(call, graft_bytes_of(out->text, out->len == 0 ? 0 : out->len - 1));
}

GRAFT_FUNCTION(run, "what …") { return run(call); }
GRAFT_FUNCTION_RO(look, "what …") { return run(call); }

/* Writes a file and fails: a nested call for `try`. */
GRAFT_FUNCTION(fails, "path")
{
    int rc = graft_file_write(call, graft_arg(call, 0), graft_str("of a call that failed"));

    return rc != GRAFT_OK ? rc : graft_abort(call, "it fails");
}

GRAFT_FUNCTION(appends, "path")
{
    return graft_file_append(call, graft_arg(call, 0), graft_str("+nested"));
}
