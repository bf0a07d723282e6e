/*
 * Bent images of files and timers: fuzz_image [seed [count]].
 *
 * Holds, for any bytes in the store: nothing crashes or reads out of bounds; what is read keeps the bounds of its header, and is
 * exactly what would be written for it.
 */
#include "tests/fuzz/fuzz.h"
#include "txn/file_image.h"
#include "txn/timer_image.h"

enum { COUNT_DEFAULT = 50000, BENDS_MAX = 5, ROOM = 4096 };

/* ---- what must hold ---- */

static bool check_file(struct bytes in)
{
    struct file_image image = { .kind = 77 };
    const char *why;
    char shown[128];
    struct buf again;

    if (!file_image_read(in, &image)) {
        CHECK(image.kind == 77);
        return false;
    }
    CHECK(image.origin.len == 0 || file_path_valid(image.origin, false, &why));
    CHECK(file_image_size(&image) <= INT64_MAX);
    CHECK(file_image_show(&image, shown, sizeof shown)[0] != '\0');
    buf_init(&again, FILE_IMAGE_MAX);
    CHECK(file_image_add(&again, &image));
    CHECK(bytes_equal(buf_bytes(&again), in));
    buf_fini(&again);
    return true;
}

static bool check_timer(struct bytes in)
{
    struct timer timer = { .tries = 77 };
    struct buf again;

    if (!timer_image_read(in, &timer)) {
        CHECK(timer.tries == 77);
        return false;
    }
    CHECK(timer.group_count <= TIMER_GROUPS_MAX);
    CHECK(timer.function.len > 0 && timer.function.len <= TIMER_FUNCTION_MAX);
    CHECK(timer.args.len <= TIMER_ARGS_MAX && timer.error.len <= TIMER_ERROR_MAX);
    buf_init(&again, TIMER_IMAGE_MAX);
    CHECK(timer_image_add(&again, &timer));
    CHECK(bytes_equal(buf_bytes(&again), in));
    buf_fini(&again);
    return true;
}

/* A path as a graft may give it: both kinds, and what is refused has a reason. */
static void check_path(struct bytes in)
{
    for (int directory = 0; directory < 2; directory++) {
        const char *why = NULL;
        if (file_path_valid(in, directory == 1, &why))
            CHECK(in.len > 0 && in.len <= FILE_PATH_MAX && memchr(in.data, '\0', in.len) == NULL);
        else
            CHECK(why != NULL && why[0] != '\0');
    }
}

/* ---- input ---- */

static void bend(uint8_t *data, size_t *len)
{
    static const uint8_t edges[] = { 0, 1, 2, 4, 5, 0x7f, 0x80, 0xff, '/', '.' };
    size_t at = random_below(*len), n = 1 + random_below(8);

    switch (random_below(5)) {
    case 0:
        data[at] ^= (uint8_t)(1 << random_below(8));
        break;
    case 1:
        data[at] = edges[random_below(sizeof edges)];
        break;
    case 2: /* bytes lost */
        n = n < *len - at ? n : *len - at;
        memmove(data + at, data + at + n, *len - at - n);
        *len -= n;
        break;
    case 3: /* bytes that were not there */
        n = n < ROOM - *len ? n : ROOM - *len;
        memmove(data + at + n, data + at, *len - at);
        memset(data + at, edges[random_below(sizeof edges)], n);
        *len += n;
        break;
    case 4: /* the end lost */
        *len = random_below(4) == 0 ? at : *len;
        break;
    }
}

/* Bent so often, in memory of its exact size. Owned by the caller. */
static struct bytes make_input(struct bytes good, size_t bends)
{
    uint8_t room[ROOM], *data;
    size_t len = good.len;

    CHECK(len <= ROOM);
    memcpy(room, good.data, len);
    for (; bends > 0 && len > 0; bends--)
        bend(room, &len);
    data = malloc(len + (len == 0));
    CHECK(data != NULL);
    memcpy(data, room, len);
    return bytes_of(data, len);
}

static uint64_t check(const struct corpus *c, size_t n, size_t bends)
{
    struct bytes in = make_input(c->list[n], bends);
    bool file = check_file(in), timer = check_timer(in);

    check_path(in);
    CHECK(bends > 0 || file || timer); /* what is kept is good */
    free((void *)(uintptr_t)in.data);
    return file || timer;
}

int main(int argc, char **argv)
{
    uint64_t count = fuzz_begin("fuzz_image", argc, argv, COUNT_DEFAULT), good_count = 0;
    struct corpus c;

    corpus_open(&c, "image", "");
    for (size_t i = 0; i < c.count; i++)
        check(&c, i, 0);
    for (uint64_t i = 0; corpus_goes_on(i, count); i++)
        good_count += check(&c, random_below(c.count), 1 + random_below(BENDS_MAX));
    printf("fuzz_image: %llu were images\n", (unsigned long long)good_count);
    corpus_close(&c);
    return 0;
}
