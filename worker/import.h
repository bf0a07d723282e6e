/*
 * What a graft may call: include/graft_import.def with addresses.
 */
#ifndef GRAFTD_WORKER_IMPORT_H
#define GRAFTD_WORKER_IMPORT_H

/* NULL: a graft that was built for this ABI may not call it. */
void *import_find(const char *name, unsigned abi);

#endif
