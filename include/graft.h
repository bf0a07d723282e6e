/*
 * graft.h: all that the author of a graft sees.
 *
 *     #include <graft.h>
 *
 *     GRAFT_MODULE("hello", "1.0.0", "greets people");
 *
 *     GRAFT_FUNCTION(greet, "name")
 *     {
 *         return graft_reply_format(call, "hello, %s", graft_text(call, graft_arg(call, 0)));
 *     }
 *
 *     $ graftctl build hello.c && graftctl load hello.graft && graftctl call hello.greet ada
 *
 * A call is a transaction. If the function returns GRAFT_OK, everything that it did is committed, and
 * its reply is sent once that is on disk. If it returns anything else, aborts, crashes, runs past its
 * deadline or passes a limit, everything that it did is undone, and the caller gets one error.
 *
 * Rules:
 *  - Results leave by the last pointer argument and are untouched on failure. Errors are small
 *    positive numbers. A host call that the policy denies, or that passes a limit, ends the call
 *    there and then: it does not return.
 *  - Bytes that a host call gave are borrowed: they stay valid, and unchanged, until the call ends.
 *    Bytes that you pass are copied before the host call returns.
 *  - Memory from malloc() ends with the call. What graft_init allocated stays for as long as the
 *    worker lives, and so do globals; a worker serves one call at a time and any number in a row, so
 *    globals are a cache at best: state belongs into keys.
 *  - The host offers the functions below and the C functions listed in graft_import.def. Nothing else
 *    can be called: `graftctl build` names the line that tries.
 */
#ifndef GRAFT_H
#define GRAFT_H

#include <stddef.h>
#include <stdint.h>

/*
 * ABI change log. A graft names the ABI that it was built for; a host refuses newer ones and names both.
 *   1  first
 *   2  nested calls: graft_call_function(), graft_value_item(), GRAFT_CALL_FAILED
 *   3  files, events, timers: graft_file_*(), graft_emit(), graft_after(), graft_cancel()
 */
#define GRAFT_ABI 3

/* ---- codes ---- */

#define GRAFT_OK 0
#define GRAFT_NOT_FOUND 1  /* no such key, file or timer */
#define GRAFT_BAD_ARG 2    /* no such argument, or it is not what was asked for */
#define GRAFT_BAD_VALUE 3  /* the stored value is not a whole number */
#define GRAFT_OVERFLOW 4   /* the sum does not fit 64 bits */
#define GRAFT_TOO_LARGE 5  /* a key, value or reply is longer than the limit */
#define GRAFT_NO_MEMORY 6  /* the graft's memory is used up */
#define GRAFT_BAD_REPLY 7  /* replies nested too deep, or not as announced */
#define GRAFT_ABORTED 8    /* what graft_abort() gives */
#define GRAFT_CALL_FAILED 9 /* the nested call failed: what it did is undone */

/* ---- what a module says about itself ---- */

/* Text records in a section of the object: readable without running it (`graftctl verify` prints them).
 * name: [a-z][a-z0-9_]*, at most 63 bytes. version: at most 31 bytes. */
#define GRAFT_MODULE(name, version, about) \
    GRAFT_RECORD_(graft_record_module, "module\t" GRAFT_STR_(GRAFT_ABI) "\t" name "\t" version "\t" about); \
    struct graft_swallow_semicolon_

/* Defines a function that can be called as "module.name". The parameters are documentation for people.
 * Inside, `call` is the call. Returns GRAFT_OK, or what a failed host call gave. */
#define GRAFT_FUNCTION(name, parameters) GRAFT_FUNCTION_(name, "write", parameters)

/* The same for a function that changes nothing: its declared keys are locked shared, so that calls of it run side by
 * side, and an effect fails the call. */
#define GRAFT_FUNCTION_RO(name, parameters) GRAFT_FUNCTION_(name, "read", parameters)

/* Optional: `GRAFT_INIT { …; return GRAFT_OK; }` runs once in each new worker, inside the jail, before any call.
 * It may use memory, graft_log and computation, but no keys. Anything but GRAFT_OK refuses the graft. */
#define GRAFT_INIT GRAFT_EXPORT_ int graft_init(void)

#define GRAFT_STR_(x) GRAFT_STR2_(x)
#define GRAFT_STR2_(x) #x
#define GRAFT_EXPORT_ __attribute__((visibility("default"), used))
#define GRAFT_RECORD_(id, text) \
    __attribute__((section(".graft"), used, aligned(1))) static const char id[] = text
#define GRAFT_FUNCTION_(name, access, parameters) \
    GRAFT_RECORD_(graft_record_##name, "function\t" #name "\t" access "\t" parameters); \
    GRAFT_EXPORT_ int graft_function_##name(graft_call *call); \
    int graft_function_##name(graft_call *call __attribute__((unused)))

/* ---- types ---- */

typedef struct graft_call graft_call;

/* Bytes with their length; may contain any byte. Borrowed until the call ends. */
typedef struct {
    const void *data;
    size_t len;
} graft_bytes;

/* ---- the call ---- */

/* Declared keys (FCALL's numkeys, CALL's KEYS) and arguments, counted from 0. Empty when there is none such. */
size_t graft_key_count(graft_call *call);
size_t graft_arg_count(graft_call *call);
graft_bytes graft_key(graft_call *call, size_t i);
graft_bytes graft_arg(graft_call *call, size_t i);
/* The argument as a decimal whole number. GRAFT_BAD_ARG. */
int graft_arg_i64(graft_call *call, size_t i, int64_t *value);

/* When the call began: microseconds since 1970. The same throughout a call, so that it can be replayed exactly. */
int64_t graft_now(graft_call *call);
/* Fills with random bytes, derived from a seed of the call; fit for tokens and keys. At most 64 KiB a time, else GRAFT_TOO_LARGE. */
int graft_random(graft_call *call, void *out, size_t len);
/* Who is asking: the user id of the caller's process. */
uint32_t graft_principal(graft_call *call);

/* One line in the daemon's log, printf-like; at most 1 KiB, longer text is cut. Not undone. */
#define GRAFT_DEBUG 0
#define GRAFT_INFO 1
#define GRAFT_WARNING 2
#define GRAFT_ERROR 3
void graft_log(graft_call *call, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Says why the call cannot be done: the caller sees "ABORTED " and this sentence, at most 255 bytes.
 * `return graft_abort(call, "…")`: everything is undone once the function has returned. */
int graft_abort(graft_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- keys and values ---- */

/* Keys are 1 byte to 4 KiB, values 0 bytes to 16 MiB, unless the policy says less. A key is locked by the first use
 * and until the call has ended: shared by a read, exclusively by a write. Declared keys are there before the function runs, so
 * reading one costs nothing. */
int graft_kv_get(graft_call *call, graft_bytes key, graft_bytes *value);  /* GRAFT_NOT_FOUND, GRAFT_TOO_LARGE */
int graft_kv_put(graft_call *call, graft_bytes key, graft_bytes value);   /* GRAFT_TOO_LARGE */
int graft_kv_delete(graft_call *call, graft_bytes key);                   /* GRAFT_NOT_FOUND */
int graft_kv_exists(graft_call *call, graft_bytes key, int *exists);
/* Decimal text, as Redis does, so that GET shows it. A key that is not there reads as GRAFT_NOT_FOUND, and adds as 0. */
int graft_kv_get_i64(graft_call *call, graft_bytes key, int64_t *value);  /* GRAFT_BAD_VALUE */
int graft_kv_put_i64(graft_call *call, graft_bytes key, int64_t value);
int graft_kv_add_i64(graft_call *call, graft_bytes key, int64_t by, int64_t *now); /* now may be NULL; GRAFT_BAD_VALUE, GRAFT_OVERFLOW */

/* Visits the keys that begin with prefix, in byte order, with their values, until visit gives something other than GRAFT_OK, which
 * is then the result. Own changes of this call are seen. What visit changes behind the visited key is seen too. */
typedef int graft_kv_visit(graft_call *call, graft_bytes key, graft_bytes value, void *user);
int graft_kv_scan(graft_call *call, graft_bytes prefix, graft_kv_visit *visit, void *user);

/* ---- the reply ---- */

/* A function replies once; without a reply the caller gets nil. An array or a map is opened with its count, and the next values
 * fill it (a map takes 2 × count: key, value, key, …); they nest to 15 deep. A reply is at most 32 MiB. GRAFT_BAD_REPLY,
 * GRAFT_TOO_LARGE. */
int graft_reply_nil(graft_call *call);
int graft_reply_i64(graft_call *call, int64_t value);
int graft_reply_double(graft_call *call, double value);
int graft_reply_bytes(graft_call *call, graft_bytes value);
int graft_reply_format(graft_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
int graft_reply_status(graft_call *call, const char *text); /* such as "OK" */
int graft_reply_error(graft_call *call, const char *text);  /* as a value of an array; to fail a call use graft_abort */
int graft_reply_array(graft_call *call, size_t count);
int graft_reply_map(graft_call *call, size_t count);

/* ---- other grafts ---- */

/* What a nested call replied. Fields that are not of the value's kind are 0 and empty. Everything in it is borrowed
 * until the call ends. */
typedef struct {
    int kind;          /* GRAFT_VALUE_… */
    uint32_t count;    /* ARRAY: of items. MAP: of pairs; the items are then key, value, key, …: 2 × count */
    int64_t integer;   /* I64 */
    double number;     /* DOUBLE */
    graft_bytes bytes; /* BYTES, STATUS, ERROR */
    const void *items; /* the host's: read them with graft_value_item() */
} graft_value;

#define GRAFT_VALUE_NIL 0
#define GRAFT_VALUE_I64 1
#define GRAFT_VALUE_DOUBLE 2
#define GRAFT_VALUE_BYTES 3
#define GRAFT_VALUE_STATUS 4
#define GRAFT_VALUE_ERROR 5
#define GRAFT_VALUE_ARRAY 6
#define GRAFT_VALUE_MAP 7

/* Arguments of one nested call. Their bytes, and 4 for each: at most 32 MiB together. */
#define GRAFT_CALL_ARGS_MAX 4096

/* Calls a function of another graft, such as "bank.transfer", as a nested transaction: it sees what this
 * call did, and what it does is committed or undone with this call. It runs in a worker of its own, with its own
 * graft's rights and limits; whoever made this call must be allowed to call it too; this call's deadlines go on. In a
 * read-only call it is read-only too.
 *
 * GRAFT_OK: *reply is what it replied. GRAFT_CALL_FAILED: what it did is undone and nothing else, this call may go on,
 * and *reply is a GRAFT_VALUE_ERROR whose bytes are "WORD sentence", such as "ABORTED bank.transfer: insufficient
 * funds…". GRAFT_TOO_LARGE: the name, the arguments or their number are; nothing was called. GRAFT_NO_MEMORY: the
 * arguments do not fit, and nothing was called; or the answer does not, and what was called may have been done: then
 * fail this call. reply may be NULL; args too, when arg_count is 0. */
int graft_call_function(graft_call *call, const char *function, const graft_bytes *args, size_t arg_count,
                        graft_value *reply);
/* Item i of an array or a map, counted from 0. GRAFT_BAD_ARG: there is none such. out may be the value itself. */
int graft_value_item(const graft_value *value, size_t i, graft_value *out);

/* ---- files ---- */

/* Files under the roots that the operator names, by relative paths such as "statements/2026/ada.txt": 1 to 1024 bytes,
 * at most 32 components of at most 255 bytes between single slashes, none of them "." or ".." or beginning with
 * ".graftd", no zero byte; else GRAFT_BAD_ARG. The first component is a root's name, or a name in the standard root.
 *
 * Nothing is touched before the call commits, and then all of it is, or nothing: others see a file as before or as
 * after. The call itself sees what it did. A path is locked as a key is: shared by a read, exclusively by a write, until
 * the call ends; a listing lets no file appear in the directory, nor go.
 *
 * A symbolic link anywhere in a path, a directory where a file is wanted, a file where a directory is wanted: the call
 * ends, and its caller sees BADARG with the path. It ends with CONFLICT when somebody else than graftd changed a file
 * that it has used. */

/* GRAFT_NOT_FOUND. GRAFT_TOO_LARGE: over the limit for values, 16 MiB unless the policy says less. */
int graft_file_read(graft_call *call, graft_bytes path, graft_bytes *content);
/* At most len bytes from offset on; fewer, or none, at the end of the file. GRAFT_NOT_FOUND, GRAFT_TOO_LARGE: len is. */
int graft_file_read_part(graft_call *call, graft_bytes path, uint64_t offset, size_t len, graft_bytes *part);
/* The whole content; a file that was there keeps its mode, a new one has 0644. Directories on the way are made.
 * GRAFT_TOO_LARGE: over the limit for values; all that a call writes to files together has a limit too, `limit disk`. */
int graft_file_write(graft_call *call, graft_bytes path, graft_bytes content);
/* The same at the end of the file, or of a new one. */
int graft_file_append(graft_call *call, graft_bytes path, graft_bytes more);
int graft_file_remove(graft_call *call, graft_bytes path); /* GRAFT_NOT_FOUND */
/* A file at `to` is replaced. Both must be in the same root, or the call ends with BADARG. GRAFT_NOT_FOUND */
int graft_file_rename(graft_call *call, graft_bytes from, graft_bytes to);

typedef struct {
    int directory;    /* 1: it is one */
    uint64_t size;    /* bytes */
    int64_t mtime_us; /* since 1970; of what this transaction changed: when it began */
} graft_file_info;

/* GRAFT_NOT_FOUND. A directory's path may end in "/"; a file's may not: there is no such thing then. */
int graft_file_stat(graft_call *call, graft_bytes path, graft_file_info *info);
/* Visits what is directly in the directory ("" is the standard root, "statements" or "statements/" a directory), in
 * byte order of whole paths, in which directories end in "/", until visit gives something other than GRAFT_OK, which is
 * then the result. An absent directory is an empty one. What visit changes behind the visited path is seen too. */
typedef int graft_file_visit(graft_call *call, graft_bytes path, const graft_file_info *info, void *user);
int graft_file_list(graft_call *call, graft_bytes directory, graft_file_visit *visit, void *user);

/* ---- events and timers ---- */

/* Tells those who listen to the topic, once this call has committed, and never if it fails; in the order of commits, at
 * least once. topic: 1 to 127 letters, digits and . _ - : /, else GRAFT_BAD_ARG. GRAFT_TOO_LARGE: data is over the limit
 * for values. */
int graft_emit(graft_call *call, graft_bytes topic, graft_bytes data);

/* Calls a function, such as "bank.remind", this many milliseconds after graft_now(), as a call of its own for the same
 * principal, who must be allowed to call it then; also when graftd was stopped meanwhile. It is armed when this call
 * commits, and never if it fails. A call that fails is tried again, later and later, and in the end parked, where the
 * operator sees it. GRAFT_BAD_ARG: no function is named so, or it is more than 68 years. GRAFT_TOO_LARGE: more than
 * GRAFT_CALL_ARGS_MAX arguments, or, with 4 bytes for each, more than 65532 bytes of them. *id, which may be NULL, names
 * the timer: borrowed until the call ends. */
int graft_after(graft_call *call, uint64_t ms, const char *function, const graft_bytes *args, size_t arg_count,
                graft_bytes *id);
/* It does not fire any more, if this call commits. GRAFT_NOT_FOUND: it has fired, or the principal of this call armed
 * none of that id. */
int graft_cancel(graft_call *call, graft_bytes id);

/* ---- bytes and text ---- */

static inline graft_bytes graft_bytes_of(const void *data, size_t len)
{
    graft_bytes b = { data, len };
    return b;
}
graft_bytes graft_str(const char *text);                  /* the bytes of a C string */
const char *graft_text(graft_call *call, graft_bytes b);  /* a C string of bytes: copied, cut at the first NUL; "" if memory is short */
/* Bytes put together printf-like, in the call's memory: graft_kv_get(call, graft_format(call, "acct:%s", who), &v).
 * Empty when memory is short. */
graft_bytes graft_format(graft_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
