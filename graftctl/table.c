#include "graftctl/table.h"

#include "lib/check.h"
#include "lib/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool table_for_people(void) { return isatty(STDOUT_FILENO); }

void table_init(struct table *t, size_t columns)
{
    *t = (struct table){ .columns = columns, .people = table_for_people() };
    buf_init(&t->text, TABLE_TEXT_MAX);
}

void table_fini(struct table *t)
{
    buf_fini(&t->text);
    free(t->cells);
    *t = (struct table){ 0 };
}

static enum err add_escaped(struct buf *out, struct bytes cell)
{
    static const char from[] = "\t\n\r\\", to[] = "tnr\\";
    const char *p = cell.data;
    enum err err = OK;

    for (size_t i = 0, n; i < cell.len && err == OK; i += n) {
        const char *special = p[i] == '\0' ? NULL : strchr(from, p[i]);
        for (n = 1; special == NULL && i + n < cell.len && (p[i + n] == '\0' || strchr(from, p[i + n]) == NULL); n++)
            continue;
        err = special == NULL ? buf_add(out, p + i, n) : buf_add(out, (char[]){ '\\', to[special - from] }, 2);
    }
    return err;
}

enum err cell_add(struct buf *out, struct bytes cell, bool people, size_t *width)
{
    size_t columns = 0;
    enum err err = people ? utf8_show(out, cell, &columns) : add_escaped(out, cell);

    if (err == OK && width != NULL)
        *width = columns;
    return err;
}

enum err table_add(struct table *t, struct bytes cell, bool number)
{
    static const char cut[] = "…";
    size_t cap = t->cap == 0 ? 64 : t->cap * 2, at = buf_len(&t->text), width = 0;
    bool last = (t->count + 1) % t->columns == 0, too_wide = t->people && !last && cell.len > TABLE_WIDTH_MAX;
    struct cell *cells;
    enum err err;

    if (t->count == t->cap) {
        cells = reallocarray(t->cells, cap, sizeof *cells);
        if (cells == NULL)
            return ERR_NOMEM;
        t->cells = cells;
        t->cap = cap;
    }
    if (too_wide)
        cell.len = TABLE_WIDTH_MAX - 1;
    err = cell_add(&t->text, cell, t->people, &width);
    if (err == OK && too_wide)
        err = buf_add(&t->text, cut, sizeof cut - 1);
    if (err == OK)
        t->cells[t->count++] = (struct cell){ at, buf_len(&t->text) - at, width + too_wide, number };
    return err;
}

struct layout {
    size_t width;
    bool right;
};

static struct layout column_layout(const struct table *t, size_t column, const char *title)
{
    struct layout l = { title == NULL ? 0 : strlen(title), t->count > 0 };

    for (size_t i = column; i < t->count; i += t->columns) {
        l.width = t->cells[i].width > l.width ? t->cells[i].width : l.width;
        l.right = l.right && t->cells[i].number;
    }
    return l;
}

static void print_padded(struct bytes text, size_t width, struct layout l, bool last)
{
    int pad = (int)(l.width - width);

    if (l.right)
        printf("%*s", pad, "");
    fwrite(text.data, 1, text.len, stdout);
    if (!l.right && !last)
        printf("%*s", pad, "");
    fputs(last ? "\n" : "  ", stdout);
}

static void print_aligned(const struct table *t, const char *const *titles)
{
    struct layout *layouts = calloc(t->columns, sizeof *layouts);

    if (layouts == NULL)
        return;
    for (size_t c = 0; c < t->columns; c++)
        layouts[c] = column_layout(t, c, titles == NULL ? NULL : titles[c]);
    for (size_t c = 0; titles != NULL && c < t->columns; c++)
        print_padded(bytes_str(titles[c]), strlen(titles[c]), layouts[c], c + 1 == t->columns);
    for (size_t i = 0; i < t->count; i++)
        print_padded(bytes_of(buf_bytes(&t->text).data + t->cells[i].at, t->cells[i].len), t->cells[i].width,
                     layouts[i % t->columns], (i + 1) % t->columns == 0);
    free(layouts);
}

void table_print(const struct table *t, const char *const *titles)
{
    const char *text = buf_bytes(&t->text).data;

    CHECK(t->count % t->columns == 0);
    if (t->people) {
        print_aligned(t, titles);
        return;
    }
    for (size_t i = 0; i < t->count; i++) {
        fwrite(text + t->cells[i].at, 1, t->cells[i].len, stdout);
        putchar((i + 1) % t->columns == 0 ? '\n' : '\t');
    }
}
