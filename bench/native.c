/*
 * The unsafe path: a graft's function called in this process, with no walls, no transaction and no daemon. Linked with
 * one graft's source, -DFUNCTION=graft_function_NAME; the host calls below are a table in memory.
 *
 *     native SECONDS KEYS [KEY VALUE]… ARG…      (KEYS: how many pairs; a VALUE is in hex)
 *
 * Prints the ns that one call takes: of batches, the median.
 */
#include <graft.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEYS_MAX = 4, VALUE_MAX = 65536, BATCHES_MAX = 10000, BATCH_NS = 100000 };

struct graft_call {
    size_t keys, args;
    char **arg;
    struct {
        const char *name;
        char value[VALUE_MAX];
        size_t len;
    } key[KEYS_MAX];
    size_t replied; /* so that no work can be left out */
};

static struct graft_call the_call;

int FUNCTION(graft_call *call);

graft_bytes graft_str(const char *text) { return graft_bytes_of(text, strlen(text)); }
size_t graft_arg_count(graft_call *call) { return call->args; }
graft_bytes graft_arg(graft_call *call, size_t i) { return i < call->args ? graft_str(call->arg[i]) : graft_str(""); }
size_t graft_key_count(graft_call *call) { return call->keys; }
graft_bytes graft_key(graft_call *call, size_t i)
{
    return i < call->keys ? graft_str(call->key[i].name) : graft_str("");
}

static int whole_number(const char *text, int64_t *value)
{
    char *end;

    *value = strtoll(text, &end, 10);
    return *text != '\0' && *end == '\0' ? GRAFT_OK : GRAFT_BAD_ARG;
}

int graft_arg_i64(graft_call *call, size_t i, int64_t *value)
{
    return i < call->args ? whole_number(call->arg[i], value) : GRAFT_BAD_ARG;
}

/* The place of a key; a key that is not there gets one. */
static size_t place(graft_call *call, graft_bytes key)
{
    size_t i = 0;

    while (i < call->keys &&
           (strlen(call->key[i].name) != key.len || memcmp(call->key[i].name, key.data, key.len) != 0))
        i++;
    if (i == call->keys) {
        fprintf(stderr, "native: a key that was not declared\n");
        exit(1);
    }
    return i;
}

int graft_kv_get(graft_call *call, graft_bytes key, graft_bytes *value)
{
    size_t i = place(call, key);

    *value = graft_bytes_of(call->key[i].value, call->key[i].len);
    return GRAFT_OK;
}

int graft_kv_put(graft_call *call, graft_bytes key, graft_bytes value)
{
    size_t i = place(call, key);

    if (value.len >= VALUE_MAX)
        return GRAFT_TOO_LARGE;
    memcpy(call->key[i].value, value.data, value.len);
    call->key[i].value[value.len] = '\0';
    call->key[i].len = value.len;
    return GRAFT_OK;
}

int graft_kv_get_i64(graft_call *call, graft_bytes key, int64_t *value)
{
    return whole_number(call->key[place(call, key)].value, value) == GRAFT_OK ? GRAFT_OK : GRAFT_BAD_VALUE;
}

int graft_kv_put_i64(graft_call *call, graft_bytes key, int64_t value)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%lld", (long long)value);

    return graft_kv_put(call, key, graft_bytes_of(text, (size_t)len));
}

int graft_kv_add_i64(graft_call *call, graft_bytes key, int64_t by, int64_t *sum)
{
    int64_t value;
    int err = graft_kv_get_i64(call, key, &value);

    if (err != GRAFT_OK)
        return err;
    if (sum != NULL)
        *sum = value + by;
    return graft_kv_put_i64(call, key, value + by);
}

int graft_reply_i64(graft_call *call, int64_t value) { return call->replied += (size_t)value, GRAFT_OK; }
int graft_reply_nil(graft_call *call) { return call->replied++, GRAFT_OK; }
int graft_reply_array(graft_call *call, size_t count) { return call->replied += count, GRAFT_OK; }

int graft_reply_bytes(graft_call *call, graft_bytes value)
{
    for (size_t i = 0; i < value.len; i += 64)
        call->replied += ((const unsigned char *)value.data)[i];
    return GRAFT_OK;
}

int graft_abort(graft_call *call, const char *format, ...)
{
    va_list args;

    (void)call;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

int graft_call_function(graft_call *call, const char *function, const graft_bytes *args, size_t arg_count,
                        graft_value *reply)
{
    (void)args;
    (void)arg_count;
    (void)reply;
    return graft_abort(call, "%s cannot be called here", function);
}

/* ---- the measure ---- */

static void put_hex(graft_call *call, const char *key, const char *hex)
{
    char value[VALUE_MAX];
    unsigned byte;
    size_t len = 0;

    for (; len < VALUE_MAX && sscanf(hex, "%2x", &byte) == 1; hex += 2)
        value[len++] = (char)byte;
    if (*hex != '\0' || graft_kv_put(call, graft_str(key), graft_bytes_of(value, len)) != GRAFT_OK)
        graft_abort(call, "the value of %s is too long, or not in hex", key);
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static double batch(int64_t calls)
{
    int64_t begun = now_ns();

    for (int64_t i = 0; i < calls; i++)
        if (FUNCTION(&the_call) != GRAFT_OK)
            exit(1);
    return (double)(now_ns() - begun) / (double)calls;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static double took[BATCHES_MAX];
    size_t count = 0, first;
    int64_t end, calls = 1;

    if (argc < 3 || (the_call.keys = strtoul(argv[2], NULL, 10)) > KEYS_MAX ||
        (first = 3 + 2 * the_call.keys) > (size_t)argc)
        return fprintf(stderr, "usage: native SECONDS KEYS [KEY VALUE]... ARG...\n"), 2;
    for (size_t i = 0; i < the_call.keys; i++) {
        the_call.key[i].name = argv[3 + 2 * i];
        put_hex(&the_call, argv[3 + 2 * i], argv[4 + 2 * i]);
    }
    the_call.arg = argv + first;
    the_call.args = (size_t)argc - first;
    while (batch(calls) * (double)calls < BATCH_NS)
        calls *= 2;
    for (end = now_ns() + (int64_t)(strtod(argv[1], NULL) * 1e9);
         count < BATCHES_MAX && (now_ns() < end || count == 0);)
        took[count++] = batch(calls);
    qsort(took, count, sizeof *took, ascending);
    printf("%.1f\n", took[count / 2]);
    return the_call.replied == SIZE_MAX;
}
