/*
 * What the commands that look into the past share: asking the store, and telling effects.
 */
#ifndef GRAFTD_HISTORY_H
#define GRAFTD_HISTORY_H

#include "graftd/client.h"

struct call_view;

enum {
    HISTORY_PAGE_MAX = 1000, /* rows of one listing */
    HISTORY_COUNT = 20,      /* of TXN LIST and BLAME, without COUNT */
    HISTORY_ROW_FIELDS = 9,  /* pairs of history_add_row */
    HISTORY_NAME_MAX = 160,  /* bytes of "graft.function" */
};

/* Submits r->store; done() follows, with r as its owner. */
void history_ask(struct request *r, void (*done)(struct store_request *));
/* The same for what only looks: the next request of the connection may begin meanwhile. */
void history_look(struct request *r, void (*done)(struct store_request *));
/* True: the store said no, or nobody reads the reply any more; the request has failed and may be gone. */
bool history_failed(struct request *r);
/* [FROM name] [COUNT n], from word 2 on, into r->store; without COUNT, HISTORY_PAGE_MAX. False: the words are off. Borrowed from r. */
bool history_page(struct request *r);
/* A page may be empty and have more behind it. True: so it was, and done() follows again with what is there. */
bool history_goes_on(struct request *r, void (*done)(struct store_request *));
/* A number from 1 on. */
bool history_id(struct bytes word, uint64_t *id);
/* Asks for its row alone, whatever its effects weigh. The answer may be the row of an older one. */
struct store_request history_row(uint64_t id);

/* Fields of a reply that is a map; a text of NULL is nil. */
void history_add_text(struct request *r, const char *name, const char *value);
void history_add_number(struct request *r, const char *name, uint64_t value);
void history_add_ms(struct request *r, const char *name, uint64_t us);
void history_add_id(struct request *r, const char *name, uint64_t id); /* 0: nil */
/* "graft.function", or what stands for it; each may be NULL. Returns out. */
const char *history_name(const char *graft, const char *function, char out[HISTORY_NAME_MAX]);
/* What TXN LIST tells of one transaction, HISTORY_ROW_FIELDS pairs: of the past, or running. */
void history_add_row(struct request *r, const struct store_row *row);
void history_add_running(struct request *r, const struct call_view *v);
/* A map: seq, resource, key, before, after. Of kv these are bytes; of the others what a reader can use: a file's path
 * and "120 bytes" or "directory"; an event's topic and data; a timer's id and "bank.remind due 2026-11-23T10:00:00Z".
 * ERR_LIMIT, ERR_NOMEM. */
enum err history_add_effect(struct request *r, uint64_t seq, const struct store_effect *e);
/* The image alone, in the same words; absent: nil. */
enum err history_add_image(struct request *r, char resource, const struct image *image);
/* The topic of an event's key. */
struct bytes history_topic(struct bytes key);
/* An array of what t did so far. ERR_LIMIT: it is not all in memory, or too much; ERR_NOMEM. */
enum err history_add_effects_of(struct request *r, const struct txn *t);

/* Words of TXN: LIST (command_txn_list.c), UNDO and REDO (command_undo.c). */
void history_list(struct request *r);
void history_undo(struct request *r);
void history_redo(struct request *r);

#endif
