/*
 * The walls around the real graft-worker, with this test as the daemon: a graft reaches nothing but host calls (W1), a loop
 * can be killed and has a net below it (W3), memory is bounded and ends with the call (W4), a fault ends with last words,
 * and nothing outlives the daemon.
 */
#include "tests/worker_zoo.h"

#include <errno.h>

enum { SECONDS_MAX = 120 };

static void says_which_walls_stand_or_refuses_by_name(void **state)
{
    struct tree t = { .template = -1 };
    struct wire_MANIFEST m;
    struct wire_REFUSED refused;
    struct bytes body;
    int number, status;

    (void)state;
    t.keeper = start(&t.zygote, NULL);
    number = take(t.zygote, &body, NULL);
    if (number == WIRE_REFUSED) { /* a machine without namespaces: it must say which */
        assert_true(wire_read_REFUSED(body, &refused));
        assert_non_null(memmem(refused.text.data, refused.text.len, "sandbox degraded allow", 22));
    } else {
        assert_int_equal(number, WIRE_MANIFEST);
        assert_true(wire_read_MANIFEST(body, &m));
        assert_memory_equal(m.text.data, "walls\tseccomp=2-stage/", 22);
        assert_non_null(memmem(m.text.data, m.text.len, "nnp=1 selftest=1 degraded=none", 31));
        printf("%s\n", (const char *)m.text.data);
    }
    close(t.zygote);
    assert_int_equal(waitpid(t.keeper, &status, 0), t.keeper);
}

static void a_graft_that_wants_more_is_refused(void **state)
{
    struct tree *t = *state;
    int file = build("wants", "#include <graft.h>\nGRAFT_MODULE(\"wants\", \"1\", \"\");\nint open(); int socket();\n"
                              "GRAFT_FUNCTION(f, \"\") { return open(\"x\", 0) + socket(); }\n"), pidfd, control;
    struct wire_REFUSED m;
    struct bytes body;

    control = spawn_template(t->zygote, file, &pidfd);
    assert_int_equal(take(control, &body, NULL), WIRE_REFUSED);
    assert_true(wire_read_REFUSED(body, &m));
    assert_true(m.text.len > 12 && memcmp(m.text.data, "wants.graft wants ", 18) == 0);
    assert_non_null(memmem(m.text.data, m.text.len, "open()", 6));
    assert_non_null(memmem(m.text.data, m.text.len, "socket()", 8));
    assert_int_equal(take(control, &body, NULL), -1);
    assert_int_equal(take(t->zygote, &body, NULL), WIRE_OBITUARY);
    close(control);
    close(pidfd);
    close(file);
}

static void an_order_without_its_descriptors_is_stillborn(void **state)
{
    struct tree *t = *state;
    struct wire_SPAWN m = { .id = 9 };
    struct wire_STILLBORN still;
    struct bytes body;
    int null = open("/dev/null", O_RDONLY);

    order(t->zygote, &m, &null, 1);
    assert_int_equal(take(t->zygote, &body, NULL), WIRE_STILLBORN);
    assert_true(wire_read_STILLBORN(body, &still));
    assert_true(still.id == 9 && still.errnum == EINVAL);
    close(null);
}

static void faults_end_with_last_words(void **state)
{
    static const struct { int function; const char *words; int signal; } cases[] = {
        { NULLPTR, "SIGSEGV at address 0x0, by the graft's code at 0x", SIGSEGV },
        { DEEP, "(stack overflow), by the graft's code at 0x", SIGSEGV },
        { DIVIDE, "SIGFPE (division by zero), by the graft's code at 0x", SIGFPE },
        { ABORT, "abort() called", SIGILL },
        { TWICE, "free() or realloc() of what malloc() did not give", SIGILL },
        { TEXT, "SIGSEGV at address 0x", SIGSEGV },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct worker w = ready_worker(*state);

        call(&w, cases[i].function, NULL, "", false);
        assert_dies(*state, &w, cases[i].words, cases[i].signal);
    }
}

static struct worker raw_call(struct tree *t, const char *args)
{
    struct worker w = ready_worker(t);

    call(&w, RAW, NULL, args, false);
    return w;
}

static void forbidden_system_calls_kill(void **state)
{
    static const struct { long number, a, b, c; } calls[] = {
        { SYS_read, 0, 0, 0 }, { SYS_write, 2, 0, 0 }, { SYS_write, 0x100000003, 0, 0 },
        { SYS_clone, 17, 0, 0 }, { SYS_openat, -100, 0, 0 }, { SYS_mmap, 0, 4096, 7 }, { SYS_mprotect, 0, 4096, 7 },
        { SYS_kill, 1, 9, 0 }, { SYS_unshare, 0x10000000, 0, 0 },
        { 0x40000000 | SYS_write, 3, 0, 0 }, { 9999, 0, 0, 0 }, { -1, 0, 0, 0 },
    };

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct worker w;
        char args[100];

        snprintf(args, sizeof args, "%ld %ld %ld %ld", calls[i].number, calls[i].a, calls[i].b, calls[i].c);
        w = raw_call(*state, args);
        assert_dies(*state, &w, NULL, SIGSYS);
    }
}

/* All but those that a worker may make, and two that the kernel never shows to a filter: uretprobe (335) and uprobe
 * (336), which do nothing for a process that is not being probed. */
static void every_other_system_call_kills(void **state)
{
    enum { NUMBERS = 480, URETPROBE = 335, UPROBE = 336 };

    for (int n = 0; n < NUMBERS; n++) {
        struct worker w;
        char args[40];

        if (n == SYS_read || n == SYS_write || n == SYS_rt_sigreturn || n == SYS_exit_group || n == URETPROBE ||
            n == UPROBE)
            continue;
        snprintf(args, sizeof args, "%d 3 0 0", n);
        w = raw_call(*state, args);
        assert_dies(*state, &w, NULL, SIGSYS);
    }
}

static void the_other_system_call_table_kills(void **state)
{
    struct worker w = ready_worker(*state);

    call(&w, INT80, NULL, "", false);
    assert_dies(*state, &w, NULL, SIGSYS);
}

static void a_loop_can_be_killed_and_has_a_net_below_it(void **state)
{
    struct worker w = ready_worker(*state);

    call(&w, LOOP, NULL, "", false);
    dismiss(*state, &w);
    w = ready_worker(*state);
    call(&w, LOOP, NULL, "", false);
    assert_dies(*state, &w, NULL, SIGKILL); /* RLIMIT_CPU, one second */
}

static void memory_is_bounded_and_ends_with_the_call(void **state)
{
    struct worker w = ready_worker(*state);
    struct wire_MEMORY m;
    struct wire_DONE end;
    struct bytes body;

    for (int i = 0; i < 5; i++) {
        call(&w, LARGE, NULL, "", false);
        assert_replied(done(&w), VALUE_BYTES, "kept", 0);
    }
    call(&w, GREEDY, NULL, "", false);
    assert_int_equal(hear(w.channel, &body), WIRE_MEMORY);
    assert_true(wire_read_MEMORY(body, &m));
    assert_int_equal(m.wanted, 10000);
    assert_true(m.allowed == MEMORY_MAX && m.used <= m.allowed && m.used > MEMORY_MAX - 20000);
    end = done(&w);
    assert_int_equal(end.how, 0);
    call(&w, LARGE, NULL, "", false);
    assert_replied(done(&w), VALUE_BYTES, "kept", 0);
    dismiss(*state, &w);
}

static void a_call_too_large_for_the_memory_is_refused(void **state)
{
    struct worker w = ready_worker(*state);
    size_t size = 3 * MEMORY_MAX / 2;
    uint8_t seed[WIRE_SEED] = { 0 }, *args = calloc(1, size);
    struct wire_DONE m;
    struct bytes body;
    struct buf b;

    buf_init(&b, 2 * size);
    wire_add_CALL(&b, &(struct wire_CALL){ .function = index_of[HELLO], .seed = bytes_of(seed, sizeof seed),
                                           .args = bytes_of(args, size) });
    tell(w.channel, &b);
    assert_int_equal(hear(w.channel, &body), WIRE_MEMORY);
    m = done(&w);
    assert_int_equal(m.how, 2);
    assert_int_equal(m.code, 6);
    free(args);
    dismiss(*state, &w);
}

/* A tree with a worker that spins; ended by `end`. Then nothing of it is left. */
static void assert_all_end(void (*end)(struct tree *t))
{
    struct tree t;
    struct worker w;
    struct bytes body;
    int file = build("zoo", zoo), pidfd, status;
    struct pollfd p[2];

    t.keeper = start(&t.zygote, "--degraded");
    assert_int_equal(take(t.zygote, &body, NULL), WIRE_MANIFEST);
    t.template = spawn_template(t.zygote, file, &pidfd);
    assert_int_equal(take(t.template, &body, NULL), WIRE_MANIFEST);
    w = ready_worker(&t);
    call(&w, LOOP, NULL, "", false);
    end(&t);
    p[0] = (struct pollfd){ .fd = pidfd, .events = POLLIN };
    p[1] = (struct pollfd){ .fd = w.pidfd, .events = POLLIN };
    assert_int_equal(waitpid(t.keeper, &status, 0), t.keeper);
    assert_int_equal(poll(&p[0], 1, -1), 1);
    assert_int_equal(poll(&p[1], 1, -1), 1);
    lay_down(&w);
    close(pidfd);
    close(file);
    close(t.template);
}

static void kill_keeper(struct tree *t)
{
    assert_int_equal(kill(t->keeper, SIGKILL), 0);
    close(t->zygote);
}

static void hang_up(struct tree *t) { close(t->zygote); }

static void nothing_outlives_the_keeper(void **state)
{
    (void)state;
    assert_all_end(kill_keeper);
}

static void nothing_outlives_the_control_socket(void **state)
{
    (void)state;
    assert_all_end(hang_up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_which_walls_stand_or_refuses_by_name),
        cmocka_unit_test_setup_teardown(a_graft_that_wants_more_is_refused, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(an_order_without_its_descriptors_is_stillborn, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(faults_end_with_last_words, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(forbidden_system_calls_kill, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(every_other_system_call_kills, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(the_other_system_call_table_kills, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(a_loop_can_be_killed_and_has_a_net_below_it, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(memory_is_bounded_and_ends_with_the_call, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(a_call_too_large_for_the_memory_is_refused, zoo_set_up, zoo_tear_down),
        cmocka_unit_test(nothing_outlives_the_keeper),
        cmocka_unit_test(nothing_outlives_the_control_socket),
    };

    worker_kit_open(SECONDS_MAX);
    return worker_kit_close(cmocka_run_group_tests(tests, NULL, NULL));
}
