/*
 * What a compiled graft says about itself: section .graft of an ELF file, read without loading it. The file is
 * hostile: every offset is checked against its size before use. What the records mean beyond the module's name
 * is policy/manifest.h's matter, and whether the code may be loaded the daemon's.
 */
#ifndef GRAFTD_GRAFTCTL_OBJECT_H
#define GRAFTD_GRAFTCTL_OBJECT_H

#include "lib/buf.h"

enum {
    OBJECT_SIZE_MAX = 16 * 1024 * 1024, /* bytes of a graft's file */
    OBJECT_SECTION_MAX = 1024,          /* sections looked at */
    OBJECT_TEXT_MAX = 32 * 1024,        /* bytes of section .graft */
    OBJECT_NAME_MAX = 63,               /* bytes of a module's name */
};

/* The records of the file, borrowed from it. ERR_BADGRAFT says what is wrong. */
enum err object_text(struct bytes file, struct bytes *text, struct failure *why);
/* The name in the one module record, checked to be [a-z][a-z0-9_]*. ERR_BADGRAFT. */
enum err object_name(struct bytes text, char name[OBJECT_NAME_MAX + 1], struct failure *why);
/* [a-z][a-z0-9_]*, at most OBJECT_NAME_MAX bytes. */
bool object_name_valid(struct bytes name);

#endif
