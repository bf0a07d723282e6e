/*
 * What the readers of a policy share: policy_load.c (files), policy_read.c (blocks and settings), policy_rule.c
 * (rights), policy_root.c (roots),
 * policy_include.c (include), policy_word.c (words, amounts, users). No other file includes this.
 *
 * None of them stops at an error: it is added to the file, and what it concerns is left out.
 */
#ifndef GRAFTD_POLICY_POLICY_LOADER_H
#define GRAFTD_POLICY_POLICY_LOADER_H

#include "lib/scfg.h"
#include "policy/policy_impl.h"

enum {
    SHOWN_MAX = 80,  /* bytes of a word in a message */
    PLACE_MAX = 512, /* bytes of a place in a message */
};

/* The files of one policy while they are read: all stay, as their errors come out together, in order. */
struct reading {
    struct policy *p; /* has their names */
    struct scfg *list[POLICY_FILE_MAX];
    size_t count;
};

struct loader {
    struct reading *all;
    struct policy *p;
    struct scfg *scfg;          /* the file being read */
    const char *file;           /* its name, owned by the policy */
    const struct loader *above; /* whose include it is; NULL: nobody's */
    unsigned depth;             /* includes above it */
    bool on_disk;               /* it is a file; else text that came otherwise */
    dev_t dev;                  /* if so, which */
    ino_t ino;
    enum err err; /* memory was short: reading ends */
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- words ---- */

struct place word_place(const struct loader *l, const struct scfg_word *w);
const char *word_show(const struct scfg_word *w, char out[SHOWN_MAX]);
bool word_is(const struct scfg_word *w, const char *text);
char *word_dup(struct loader *l, const struct scfg_word *w); /* owned; NULL when memory is short */
const struct scfg_word *directive_last(const struct scfg_directive *d);

/* The words that can stand in one place. */
struct choice {
    const char *const *words;
    size_t count;
    const char *const *later; /* words of later releases, NULL at the end; may be NULL itself */
};

/* Index of the word, or -1; with an error that calls the word a `what` if it is choose. */
int choice_find(const struct choice *c, const struct scfg_word *w);
int word_choose(struct loader *l, const struct choice *c, const struct scfg_word *w, const char *what);
bool choice_is_later(const struct choice *c, const struct scfg_word *w);
void choice_error(struct loader *l, const struct choice *c, const struct scfg_word *w, const char *what);

/* Notes in *place that the setting stands at w. False, with an error, if it already stood in the same file; what stood
 * in an earlier one is replaced. */
bool word_settle(struct loader *l, const struct scfg_word *w, const char *directive, struct place *place);
/* The number of the user or group that w names, by name or number. False with an error. */
bool word_id(struct loader *l, const struct scfg_word *w, bool group, uint32_t *id);

/* ---- directives: false with an error ---- */

bool directive_expect_no_block(struct loader *l, const struct scfg_directive *d);
bool directive_expect_block(struct loader *l, const struct scfg_directive *d);
/* min to max words in all; usage shows one that is right. */
bool directive_expect_words(struct loader *l, const struct scfg_directive *d, size_t min, size_t max,
                            const char *usage);

/* How to read the directives of a block, by their name. */
struct row {
    const char *word;
    void (*read)(struct loader *l, const struct scfg_directive *d, void *into);
};

void rows_read(struct loader *l, const struct scfg_directive *d, const struct row *rows, size_t count,
               const char *const *later, void *into);
/* Pairs of a word and an amount: the entries of the table that are of this directive. settings has one per entry of the
 * table. */
void amounts_read(struct loader *l, const struct scfg_directive *d, const struct quantity *table, size_t count,
                  const char *const *later, struct setting *settings);
/* `allow …` or `deny …`, of a caller or of a graft. */
void rule_read(struct loader *l, const struct scfg_directive *d, bool caller, struct policy_rules *rules);

/* `root NAME PATH` */
void root_read(struct loader *l, const struct scfg_directive *d, void *into);
/* True for an absolute path of at most max bytes. */
bool path_check(struct loader *l, const struct scfg_word *w, size_t max);
/* `sandbox …`: a row of the top level. */
void sandbox_read(struct loader *l, const struct scfg_directive *d, void *into);

/* ---- the whole ---- */

/* Reads one file, or a text, into the policy, which keeps the name. Takes over scfg. There is room for it. ERR_NOMEM;
 * all else is an error of the file. */
enum err file_read(struct reading *all, struct scfg *scfg, const char *name, bool on_disk, const struct loader *above);
/* `include "other.scfg"` */
void include_read(struct loader *l, const struct scfg_directive *d, void *into);

/* Room for one more in an owned list of *count items of size bytes, zeroed and counted; NULL when memory is short, and
 * the list is as it was. */
void *array_grow(void *list, size_t *count, size_t *cap, size_t size);

#endif
