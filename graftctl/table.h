/*
 * Rows of cells on stdout: aligned and safe for a terminal when people read, else one row a line with tabs, every byte
 * as it is but for \t \n \r \\, which are written so.
 */
#ifndef GRAFTD_GRAFTCTL_TABLE_H
#define GRAFTD_GRAFTCTL_TABLE_H

#include "lib/buf.h"

enum {
    TABLE_TEXT_MAX = 512 * 1024 * 1024, /* bytes of all cells */
    TABLE_WIDTH_MAX = 64,               /* columns of a terminal that one cell takes, save in the last column */
};

struct cell {
    size_t at, len, width; /* in the table's text; width in columns of a terminal */
    bool number;
};

struct table {
    size_t columns;
    bool people;        /* stdout is a terminal */
    struct cell *cells; /* owned */
    size_t count, cap;
    struct buf text;
};

/* True if stdout is a terminal. */
bool table_for_people(void);
void table_init(struct table *t, size_t columns);
void table_fini(struct table *t);
/* The next cell, row by row. Numbers are aligned to the right. ERR_LIMIT, ERR_NOMEM. */
enum err table_add(struct table *t, struct bytes cell, bool number);
/* Prints all rows; titles, columns many or NULL, stand above them for people alone. */
void table_print(const struct table *t, const char *const *titles);

/* Adds one cell's text as table_print shows it. *width may be NULL. */
enum err cell_add(struct buf *out, struct bytes cell, bool people, size_t *width);

#endif
