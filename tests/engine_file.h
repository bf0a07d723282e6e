/*
 * Files behind either engine: effects on them, as the manager would make them, and what stands there without the store.
 */
#ifndef GRAFTD_TESTS_ENGINE_FILE_H
#define GRAFTD_TESTS_ENGINE_FILE_H

#include "tests/engine_kit.h"
#include "txn/file_image.h"

/* An image as bytes, in one of 64 buffers, in turn. */
struct bytes encoded(const struct file_image *i);
/* What stands there. */
struct image standing(struct world *w, const char *path, struct file_image *image);
/* Puts text into that stage file of the transaction, and returns its inode. */
uint64_t stage(struct world *w, uint64_t txn, const char *path, uint64_t number, uint64_t offset, const char *text);

/* The whole content, by this transaction's stage file of this number. */
struct store_effect wrote(struct world *w, uint64_t txn, const char *path, uint64_t number, const char *text);
struct store_effect appended(struct world *w, uint64_t txn, const char *path, uint64_t number, const char *text);
struct store_effect removed(struct world *w, const char *path);
struct store_effect made_directory(const char *path);

enum err apply(struct world *w, uint64_t txn);
/* All that a commit with files takes. */
void commit_files(struct world *w, uint64_t txn, const struct store_effect *e, size_t count);

/* Without the store. */
const char *under_files(struct world *w, const char *path);
bool file_holds(struct world *w, const char *path, const char *text);
bool has_directory(struct world *w, const char *path);
/* By somebody else. */
void put_outside(struct world *w, const char *path, const char *text);
/* How many files .graftd has: content on its way, what is kept, what an undo must know. */
size_t hidden(struct world *w);

#endif
