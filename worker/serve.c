/*
 * Everything that the worker will ever have is mapped before its jail is shut, and by its template already, in one piece:
 *
 *     guard | heap: memory_max | guard       what malloc() gives, and what host calls give
 *     guard | stack: stack_max | guard       graft code and the host calls run on it
 *     guard | frame | guard                  what is sent
 *     guard | reply | guard
 *
 * Guards are wider than any object that a compiler steps over blindly, so that running past an end is a SIGSEGV.
 */
#include "worker/serve.h"

#include "policy/jail.h"
#include "worker/channel.h"
#include "worker/fault.h"
#include "worker/heap.h"
#include "worker/host.h"
#include "worker/interpose.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    GUARD = 1024 * 1024,           /* bytes on each side */
    CODE_SPACE = 64 * 1024 * 1024, /* bytes of address space for this program and its libraries */
};

static struct heap heap;
static struct jail_limits limits;
static const struct graft *served;

/* The end of a worker that could not begin. Before the jail is shut and after it. */
static _Noreturn void give_up(const char *text)
{
    channel_last_words(text);
    _exit(1);
}

static uint64_t whole_pages(uint64_t size) { return (size + PAGE - 1) & ~(uint64_t)(PAGE - 1); }

/* ---- memory ---- */

enum area { HEAP, STACK, FRAME, REPLY, AREA_COUNT };

struct room {
    uint64_t sizes[AREA_COUNT]; /* bytes, whole pages */
    uint64_t whole;             /* bytes, guards and all */
    uint8_t *areas[AREA_COUNT]; /* [0] NULL: not mapped */
};

/* Of the workers of this template: what it mapped, they find. */
static struct room room;

static struct room room_for(const struct wire_SPAWN *order)
{
    struct room r = { .sizes = { [HEAP] = whole_pages(order->memory_max), [STACK] = whole_pages(order->stack_max),
                                 [FRAME] = whole_pages(CHANNEL_FRAME_MAX), [REPLY] = whole_pages(VALUE_SIZE_MAX) } };

    for (int i = 0; i < AREA_COUNT; i++)
        r.whole += r.sizes[i] + 2 * (uint64_t)GUARD;
    return r;
}

/* Each area between two guards, for good; it costs nothing until it is touched. */
static enum err room_map(struct room *r, struct failure *f)
{
    uint8_t *p = mmap(NULL, r->whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *at = p;
    bool good = p != MAP_FAILED;

    for (int i = 0; i < AREA_COUNT && good; i++) {
        r->areas[i] = at + GUARD;
        good = mprotect(r->areas[i], r->sizes[i], PROT_READ | PROT_WRITE) == 0;
        at = r->areas[i] + r->sizes[i] + GUARD;
    }
    if (good)
        return jail_seal(p, r->whole, f);
    fail(f, ERR_NOMEM, "the worker has no room for %llu bytes of memory: %s", (unsigned long long)r->whole,
         strerror(errno));
    if (p != MAP_FAILED)
        munmap(p, r->whole);
    return f->err;
}

static enum err room_make(const struct wire_SPAWN *order, struct failure *f)
{
    struct room r = room_for(order);
    enum err err;

    if (room.areas[0] != NULL && memcmp(r.sizes, room.sizes, sizeof r.sizes) == 0)
        return OK;
    err = room_map(&r, f);
    if (err == OK)
        room = r;
    return err;
}

void serve_prepare(const struct wire_SPAWN *order)
{
    static bool tried;
    struct failure f = { .err = OK };

    if (!tried)
        (void)room_make(order, &f);
    tried = true;
}

static void keep_channel(int channel)
{
    if (dup2(channel, JAIL_CHANNEL) < 0 || close_range(JAIL_CHANNEL + 1, ~0u, 0) != 0 || close_range(0, 2, 0) != 0)
        _exit(1);
}

static _Noreturn void broken_heap(const char *what) { fault_die(what); }

static void make_heap(void)
{
    heap_init(&heap, room.areas[HEAP], room.sizes[HEAP]);
    heap.refused = host_memory_refused;
    heap.broken = broken_heap;
}

/* ---- serving, on the graft's stack ---- */

static void run_init(void)
{
    char text[64];
    int rc = served->init == NULL ? 0 : served->init();

    if (rc != 0) {
        snprintf(text, sizeof text, "graft_init returned %d", rc);
        give_up(text);
    }
    heap_mark(&heap);
    host_ready();
}

static bool run_call(const struct wire_CALL *m)
{
    enum err err;

    if (m->function >= served->function_count)
        _exit(1);
    err = host_begin(m);
    if (err == ERR_PROTOCOL)
        _exit(1);
    return host_end(err == OK ? served->functions[m->function](&host_call) : GRAFT_NO_MEMORY);
}

/* Of a CALL's beginning: its first field. */
static uint64_t call_txn(struct bytes body)
{
    struct reader r = reader_of(body);

    return read_u64(&r);
}

/* False: the call failed. */
static bool serve_one(void)
{
    struct wire_CALL m;
    struct bytes body;
    uint8_t number;
    enum err err = channel_receive_call(&number, &body);

    if (number != WIRE_CALL)
        _exit(1);
    if (err != OK)
        return host_no_room(call_txn(body));
    if (!wire_read_CALL(body, &m))
        _exit(1);
    return run_call(&m);
}

static void serve(void)
{
    struct failure f = { .err = OK };

    if (jail_worker(&limits, &f) != OK)
        give_up(f.text);
    run_init();
    (void)CHANNEL_SEND(READY);
    while (serve_one())
        heap_reset(&heap);
    channel_await_end();
}

/* ---- coming to be ---- */

_Noreturn void serve_run(const struct wire_SPAWN *order, const struct graft *graft, int channel)
{
    struct failure f = { .err = OK };
    struct fault_place place;
    static ucontext_t context;

    keep_channel(channel);
    served = graft;
    if (room_make(order, &f) != OK)
        give_up(f.text);
    channel_init(room.areas[FRAME]);
    host_init(order, room.areas[REPLY]);
    make_heap();
    interpose_use(&heap);
    place = (struct fault_place){ .guard = room.areas[STACK] - GUARD, .guard_size = GUARD, .image = graft->image,
                                  .image_size = graft->image_size };
    limits = (struct jail_limits){ .stack = room.sizes[STACK], .cpu_s = order->cpu_s_max,
                                   .address_space = CODE_SPACE + graft->image_size + room.whole };
    if (fault_watch(&place) != 0 || getcontext(&context) != 0)
        give_up("the worker cannot watch for faults");
    context.uc_stack = (stack_t){ .ss_sp = room.areas[STACK], .ss_size = room.sizes[STACK] };
    context.uc_link = NULL;
    makecontext(&context, serve, 0);
    setcontext(&context);
    give_up("the worker has no stack");
}
