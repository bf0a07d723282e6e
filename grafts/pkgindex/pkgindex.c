/*
 * Keeps an index of Debian packages by section; index.h says what it holds and how it reads a stanza.
 *
 *     graftctl call --batch stanzas.jsonl        each line: ["pkgindex.add", "Package: bash\nSection: shells\n…"]
 *     graftctl call pkgindex.table
 *     graftctl call pkgindex.files               packages/SECTION.tsv for each section
 */
#include "index.h"

GRAFT_MODULE("pkgindex", "1.0.0", "counts Debian packages by section");

GRAFT_FUNCTION(add, "stanza [prefix]")
{
    struct stanza s;
    int err = read_stanza(call, graft_arg(call, 0), &s);

    return err != GRAFT_OK ? err : index_stanza(call, prefix_parameter(call, 1), &s);
}

GRAFT_FUNCTION_RO(table, "[prefix]")
{
    return reply_table(call, prefix_parameter(call, 0));
}

GRAFT_FUNCTION(files, "[prefix]")
{
    return write_table(call, prefix_parameter(call, 0));
}
