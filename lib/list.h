/*
 * Intrusive doubly linked list: a circle through the head. No allocation; a node is on one list at a
 * time. A zeroed or unlinked node is "on no list".
 */
#ifndef GRAFTD_LIB_LIST_H
#define GRAFTD_LIB_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define list_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *head) { head->next = head->prev = head; }
static inline bool list_empty(const struct list *head) { return head->next == head; }
static inline bool list_linked(const struct list *node) { return node->next != NULL; }

static inline void list_insert(struct list *node, struct list *prev, struct list *next)
{
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
}

static inline void list_push(struct list *head, struct list *node)
{
    list_insert(node, head->prev, head);
} /* at the end */
static inline void list_push_front(struct list *head, struct list *node) { list_insert(node, head, head->next); }

static inline void list_remove(struct list *node) /* harmless when on no list */
{
    if (node->next == NULL)
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
}

static inline struct list *list_first(const struct list *head) { return list_empty(head) ? NULL : head->next; }
static inline struct list *list_last(const struct list *head) { return list_empty(head) ? NULL : head->prev; }

static inline struct list *list_pop(struct list *head) /* NULL when empty */
{
    struct list *node = list_first(head);

    if (node != NULL)
        list_remove(node);
    return node;
}

/* All of from goes behind what is in to. */
static inline void list_move_all(struct list *from, struct list *to)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* The loop body may remove node itself, and nothing else. */
#define list_each(node, head) \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head); \
         node = node##_next, node##_next = node->next)

#endif
