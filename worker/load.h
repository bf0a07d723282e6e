/*
 * Opening a graft: reads the file once, to its last byte, checks that copy, maps the same file, and finds what the
 * daemon will call. Runs in the template, inside its jail; none of the graft's code is run here.
 */
#ifndef GRAFTD_WORKER_LOAD_H
#define GRAFTD_WORKER_LOAD_H

#include "lib/buf.h"
#include "lib/err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    LOAD_FUNCTIONS_MAX = 256, /* of one graft */
    LOAD_NAME_MAX = 63,       /* bytes of a graft's or a function's name */
    LOAD_FIXED_MAX = 17,      /* every segment, and what is read-only after relocation */
};

struct graft_call;

struct graft {
    uint8_t *image;      /* mapped for the life of the process */
    size_t image_size;   /* bytes */
    struct {
        size_t start, size; /* whole pages of the image, mapped and never written again */
    } fixed[LOAD_FIXED_MAX];
    size_t fixed_count;
    int (*functions[LOAD_FUNCTIONS_MAX])(struct graft_call *call); /* in the manifest's order */
    size_t function_count;
    int (*init)(void);     /* NULL: none */
    struct bytes manifest; /* owned: the text of section .graft */
};

/* Address of what a graft may call that was built for that ABI, NULL for anything else. */
typedef void *load_resolve(const char *name, unsigned abi);

/* fd: the graft's file, read-only, not changed by anyone from here on. ERR_BADGRAFT with a sentence for the author. */
enum err graft_load(int fd, load_resolve *resolve, struct graft *graft, struct failure *f);
/* Unmaps and frees; for tests, a template lives and dies with its graft. */
void graft_unload(struct graft *graft);

#endif
