/*
 * What each test of files on disk starts with, over disk_kit.h: files a and b, a directory d with a file x, and z in
 * the root r; and short ways to look at them and to change them. Each leaves its reason in why.
 */
#ifndef GRAFTD_TESTS_DISK_CASE_H
#define GRAFTD_TESTS_DISK_CASE_H

#include "tests/disk_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

extern struct disk_kit kit;
extern struct failure why;

int setup(void **state);
int teardown(void **state);

enum err look(const char *path, struct file_image *i);
/* "a b d/ …" with a blank behind each, borrowed until the next one; NULL: it failed. */
const char *list(const char *directory, const char *from, size_t max, bool *more);
/* A slice of it alone; ERR_WAIT: nothing was found yet. */
enum err list_slice(const char *directory, const char *from, size_t max, bool *more);
enum err read_all(const char *path, const struct file_image *i, uint64_t offset, size_t len, char out[512]);
/* How the staging of a first byte for that path fails. */
enum err stage_error(const char *path);

/* The transaction that disk_kit.h was told. */
enum err apply(void);
enum err undo(void);

void assert_applied(void); /* applies it, and all is as it must be then */
void assert_text(const char *path, const char *text);
void assert_says(const char *word); /* why has it */
bool exists(const char *path);
ino_t inode_of(const char *path);
void link_to(const char *target, const char *path);

#endif
