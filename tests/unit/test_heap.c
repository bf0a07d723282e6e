/*
 * The graft's heap against a model: what was handed out never overlaps, keeps its bytes, and all comes back.
 */
#include "worker/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECONDS_MAX = 60, SIZE = 256 * 1024, PIECES = 200, STEPS = 100000 };

static _Alignas(HEAP_ALIGN) uint8_t memory[SIZE];
static size_t refusals;
static jmp_buf broke;

static void count_refusal(const struct heap *heap, size_t wanted)
{
    (void)heap;
    (void)wanted;
    refusals++;
}

static void jump_out(const char *what)
{
    (void)what;
    longjmp(broke, 1);
}

static struct heap fresh(size_t size)
{
    struct heap heap;

    heap_init(&heap, memory, size);
    heap.refused = count_refusal;
    heap.broken = jump_out;
    refusals = 0;
    return heap;
}

static void gives_aligned_blocks_of_their_own(void **state)
{
    struct heap heap = fresh(SIZE);
    uint8_t *a = heap_alloc(&heap, 0), *b = heap_alloc(&heap, 1), *c = heap_alloc(&heap, 17);

    (void)state;
    assert_true(a != NULL && b != NULL && c != NULL && a != b && b != c);
    assert_int_equal((uintptr_t)a % HEAP_ALIGN | (uintptr_t)b % HEAP_ALIGN | (uintptr_t)c % HEAP_ALIGN, 0);
    assert_true(heap_usable(&heap, c) >= 17);
}

static void refuses_what_cannot_fit_and_says_so_each_time(void **state)
{
    struct heap heap = fresh(SIZE);
    void *p = heap_alloc(&heap, 100);

    (void)state;
    assert_null(heap_alloc(&heap, SIZE));
    assert_null(heap_alloc(&heap, SIZE_MAX));
    assert_null(heap_resize(&heap, p, SIZE_MAX - 8));
    assert_null(heap_alloc_aligned(&heap, (size_t)1 << 60, 1));
    assert_null(heap_alloc_aligned(&heap, 4096, SIZE_MAX - 100));
    assert_int_equal(refusals, 5);
}

static void a_heap_of_next_to_nothing_refuses(void **state)
{
    (void)state;
    for (size_t size = 0; size < 100; size++) {
        struct heap heap = fresh(size);
        void *p = heap_alloc(&heap, 1);

        assert_int_equal(p != NULL, size >= 32);
        heap_mark(&heap);
        heap_reset(&heap);
    }
}

static void freed_neighbours_become_one(void **state)
{
    struct heap heap = fresh(SIZE);
    void *pieces[PIECES];

    (void)state;
    for (size_t i = 0; i < PIECES; i++)
        assert_non_null(pieces[i] = heap_alloc(&heap, 1000));
    for (size_t i = 0; i < PIECES; i += 2)
        heap_free(&heap, pieces[i]);
    for (size_t i = 1; i < PIECES; i += 2)
        heap_free(&heap, pieces[i]);
    assert_int_equal(heap.used, 0);
    assert_non_null(heap_alloc(&heap, SIZE - HEAP_HEAD));
}

static void grows_in_place_when_the_neighbour_is_free(void **state)
{
    struct heap heap = fresh(SIZE);
    uint8_t *p = heap_alloc(&heap, 100);

    (void)state;
    assert_ptr_equal(heap_resize(&heap, p, 50000), p);
    assert_ptr_equal(heap_resize(&heap, p, 10), p);
    assert_true(heap.used < 100);
}

static void a_reset_takes_back_all_but_what_was_marked(void **state)
{
    struct heap heap = fresh(SIZE);
    char *kept = heap_alloc(&heap, 100), *gone = heap_alloc(&heap, 100), *also = heap_alloc(&heap, 100);
    size_t used;

    (void)state;
    strcpy(kept, "kept");
    heap_free(&heap, gone);
    heap_mark(&heap);
    used = heap.used;
    for (int i = 0; i < 10; i++) {
        char *most = heap_alloc(&heap, SIZE - 1000);

        assert_non_null(most);
        assert_true(most > also);
        memset(most, i, SIZE - 1000);
        heap_free(&heap, kept); /* permanent: nothing happens */
        assert_null(heap_alloc(&heap, SIZE / 2));
        heap_reset(&heap);
        assert_int_equal(heap.used, used);
    }
    assert_string_equal(kept, "kept");
    gone = heap_resize(&heap, kept, 5000);
    assert_true(gone != kept);
    assert_string_equal(gone, "kept");
}

static void aligned_blocks_are_aligned_and_come_back(void **state)
{
    struct heap heap = fresh(SIZE);

    (void)state;
    for (size_t align = 8; align <= 8192; align *= 2)
        for (size_t n = 0; n < 300; n += 37) {
            uint8_t *p = heap_alloc(&heap, 33), *q = heap_alloc_aligned(&heap, align, n);

            assert_non_null(q);
            assert_int_equal((uintptr_t)q % align, 0);
            memset(q, 0xee, n);
            heap_free(&heap, p);
            heap_free(&heap, q);
            assert_int_equal(heap.used, 0);
        }
    assert_non_null(heap_alloc(&heap, SIZE - HEAP_HEAD));
}

static void assert_breaks(void (*sin)(struct heap *heap))
{
    struct heap heap = fresh(SIZE);

    if (setjmp(broke) == 0) {
        sin(&heap);
        fail_msg("nobody noticed");
    }
}

static void free_twice(struct heap *heap)
{
    void *p = heap_alloc(heap, 10);

    heap_free(heap, p);
    heap_free(heap, p);
}

static void free_inside(struct heap *heap)
{
    uint8_t *p = heap_alloc(heap, 100);

    memset(p, 0, 100);
    heap_free(heap, p + 32);
}

static void free_elsewhere(struct heap *heap)
{
    static _Alignas(HEAP_ALIGN) uint8_t other[64];

    heap_free(heap, other + 32);
}

static void overrun(struct heap *heap)
{
    uint8_t *p = heap_alloc(heap, 32), *q = heap_alloc(heap, 32);

    memset(p, 0xff, 64);
    heap_free(heap, q);
}

static void write_after_free(struct heap *heap)
{
    uint8_t *p = heap_alloc(heap, 64);

    heap_alloc(heap, 64);
    heap_free(heap, p);
    memset(p, 0x7f, 16); /* the bin's links */
    for (int i = 0; i < 100; i++)
        heap_alloc(heap, 64);
}

static void a_cycle_of_free_blocks(struct heap *heap)
{
    void *p[3];

    for (int i = 0; i < 3; i++) {
        p[i] = heap_alloc(heap, 40);
        heap_alloc(heap, 40);
    }
    for (int i = 0; i < 3; i++)
        heap_free(heap, p[i]);
    *(void **)p[0] = (uint8_t *)p[2] - HEAP_HEAD; /* last in its bin points to the first: the search must end */
    for (int i = 0; i < 100; i++)
        heap_alloc(heap, 41);
    heap_free(heap, p[0]);
    heap_free(heap, p[0]);
}

static void damage_ends_it_and_never_loops(void **state)
{
    (void)state;
    assert_breaks(free_twice);
    assert_breaks(free_inside);
    assert_breaks(free_elsewhere);
    assert_breaks(overrun);
    assert_breaks(a_cycle_of_free_blocks);
}

static void a_freed_block_that_was_written_to_is_noticed(void **state)
{
    (void)state;
    if (setjmp(broke) == 0) {
        struct heap heap = fresh(SIZE);

        heap_free(&heap, heap_alloc(&heap, 64));
        write_after_free(&heap);
        fail_msg("nobody noticed");
    }
}

/* ---- model ---- */

struct piece {
    uint8_t *p;
    size_t n;
    uint8_t fill;
};

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static void check_piece(const struct piece *piece)
{
    for (size_t i = 0; i < piece->n; i++)
        assert_int_equal(piece->p[i], piece->fill);
}

static void set_piece(struct piece *piece, void *p, size_t n)
{
    *piece = (struct piece){ .p = p, .n = p == NULL ? 0 : n, .fill = (uint8_t)draw(256) };
    if (p != NULL)
        memset(p, piece->fill, n);
}

static void change(struct heap *heap, struct piece *piece)
{
    size_t n = draw(draw(20) == 0 ? 20000 : 500);
    uint8_t *moved;

    check_piece(piece);
    if (piece->p == NULL) {
        set_piece(piece, draw(4) == 0 ? heap_alloc_aligned(heap, (size_t)1 << draw(10), n) : heap_alloc(heap, n), n);
    } else if (draw(3) == 0) {
        moved = heap_resize(heap, piece->p, n + 1);
        if (moved == NULL)
            return;
        piece->p = moved;
        piece->n = n + 1 < piece->n ? n + 1 : piece->n;
        check_piece(piece);
        set_piece(piece, moved, n + 1);
    } else {
        heap_free(heap, piece->p);
        piece->p = NULL;
        piece->n = 0;
    }
}

static void behaves_like_a_model(void **state)
{
    static struct piece pieces[PIECES];
    struct heap heap = fresh(SIZE);

    (void)state;
    seed = 0x9e3779b97f4a7c15;
    printf("seed %llx\n", (unsigned long long)seed);
    for (int i = 0; i < STEPS; i++)
        change(&heap, &pieces[draw(PIECES)]);
    for (size_t i = 0; i < PIECES; i++) {
        check_piece(&pieces[i]);
        heap_free(&heap, pieces[i].p);
    }
    assert_int_equal(heap.used, 0);
    assert_non_null(heap_alloc(&heap, SIZE - HEAP_HEAD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_aligned_blocks_of_their_own),
        cmocka_unit_test(refuses_what_cannot_fit_and_says_so_each_time),
        cmocka_unit_test(a_heap_of_next_to_nothing_refuses),
        cmocka_unit_test(freed_neighbours_become_one),
        cmocka_unit_test(grows_in_place_when_the_neighbour_is_free),
        cmocka_unit_test(a_reset_takes_back_all_but_what_was_marked),
        cmocka_unit_test(aligned_blocks_are_aligned_and_come_back),
        cmocka_unit_test(damage_ends_it_and_never_loops),
        cmocka_unit_test(a_freed_block_that_was_written_to_is_noticed),
        cmocka_unit_test(behaves_like_a_model),
    };

    alarm(SECONDS_MAX);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
