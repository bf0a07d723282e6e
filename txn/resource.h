/*
 * The classes of state that a transaction can change. One byte each: in undo records, in the history, and, inside the
 * manager, in front of every key, so that one lock table, one overlay and one undo log serve them all.
 *
 *     kv     key: the client's.                   image: the value
 *     file   key: a path; a directory's ends in / image: what the path holds, see file_image.h
 *     event  key: topic, a zero byte, "txn.n"     image: the payload; there or not, never changed
 *     timer  key: "txn.n"                         image: see timer_image.h
 */
#ifndef GRAFTD_TXN_RESOURCE_H
#define GRAFTD_TXN_RESOURCE_H

enum resource { RESOURCE_KV = 'k', RESOURCE_FILE = 'f', RESOURCE_EVENT = 'e', RESOURCE_TIMER = 't' };

/* "kv", "file", "event", "timer"; "?" for anything else. */
static inline const char *resource_name(char resource)
{
    switch (resource) {
    case RESOURCE_KV: return "kv";
    case RESOURCE_FILE: return "file";
    case RESOURCE_EVENT: return "event";
    case RESOURCE_TIMER: return "timer";
    default: return "?";
    }
}

#endif
