/*
 * Files as tests have them: a tree in memory with the contract of txn/file_disk.h, for tests/sim/store_mem.
 * Deterministic; time is a counter. It survives what the store that uses it does not, for it is part of the disk.
 *
 * What it leaves out: roots (there is the standard one alone), directories' times, and being interrupted half-way.
 */
#ifndef GRAFTD_TESTS_SIM_FILE_MEM_H
#define GRAFTD_TESTS_SIM_FILE_MEM_H

#include "txn/file_disk.h"

struct file_mem; /* opaque */

struct file_mem *file_mem_new(void);
void file_mem_free(struct file_mem **m);

/* As files_…() of file_disk.h. */
enum err file_mem_stat(struct file_mem *m, struct bytes path, struct file_image *i, struct failure *why);
enum err file_mem_list(struct file_mem *m, struct bytes directory, struct bytes from, size_t max,
                       enum err (*visit)(struct bytes path, const struct file_image *i, void *user), void *user,
                       bool *more);
enum err file_mem_read(struct file_mem *m, uint64_t txn, const struct file_image *i, uint64_t offset, size_t len,
                       struct buf *out, struct failure *why);
void file_mem_stage(struct file_mem *m, uint64_t txn, uint64_t stage, uint64_t offset, struct bytes data,
                    uint64_t *inode);
enum err file_mem_apply(struct file_mem *m, uint64_t txn, const struct file_change *changes, size_t count,
                        struct failure *why);
void file_mem_undo(struct file_mem *m, uint64_t txn);
void file_mem_end(struct file_mem *m, uint64_t txn);
void file_mem_sweep(struct file_mem *m, bool (*known)(uint64_t txn, void *user), void *user);

/* For tests: what stands, and what is in .graftd. The content is borrowed until the tree changes; present false: no
 * file. */
bool file_mem_content(const struct file_mem *m, struct bytes path, struct bytes *content);
bool file_mem_has_directory(const struct file_mem *m, struct bytes path);
size_t file_mem_count(const struct file_mem *m); /* files and directories */
size_t file_mem_stage_count(const struct file_mem *m);
size_t file_mem_kept_count(const struct file_mem *m);
/* Somebody else than graftd: a new file, with the directories that it needs; gone. */
void file_mem_put(struct file_mem *m, struct bytes path, struct bytes content);
void file_mem_remove(struct file_mem *m, struct bytes path);

#endif
