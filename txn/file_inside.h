/*
 * What the files behind file_disk.h share: roots and places in them (file_root.c), the names of a directory
 * (file_window.c), the directory that a transaction has in a root's .graftd (file_keep.c), and the deeds of a transaction in one root (file_deed.c), which file_make.c makes
 * ready, file_apply.c does and file_undo.c takes back. Nothing else includes this. Errors of the system end here: they
 * leave as enum err and a sentence.
 */
#ifndef GRAFTD_TXN_FILE_INSIDE_H
#define GRAFTD_TXN_FILE_INSIDE_H

#include "txn/file_disk.h"

#include <errno.h>
#include <sys/types.h>
#include <time.h>

struct root {
    char *name; /* owned; "" for the standard one */
    char *path; /* owned; for people */
    int fd;     /* of the directory, O_PATH */
    int keep;   /* of its .graftd */
    uint64_t device, inode;
};

/* Names of a directory as they were read: the smallest from one on, see file_window.c. */
enum {
    WINDOW_NAMES_MAX = 4096,
    WINDOW_MAX = 8,                     /* kept at a time; at most 9 MiB */
    WINDOW_SLICE = 4096,                /* entries read at a time: a ms or two */
    WINDOW_NAME_MAX = FILE_NAME_MAX + 1 /* bytes: a directory's ends in "/" */
};
struct window {
    char **names; /* owned, sorted; NULL: never used */
    size_t count; /* at most WINDOW_NAMES_MAX */
    bool whole;   /* no name lies behind the last one */
    bool lasting; /* it may be used again while the directory is as it was */
    uint64_t device, inode;
    int64_t changed_ns;
    size_t from_len;
    uint8_t from[WINDOW_NAME_MAX + 1]; /* no name from here on is missing; cut behind what a name can have */
};

struct file_disk {
    bool sync;
    size_t count;
    struct root roots[FILE_ROOT_MAX + 1]; /* [0]: the standard one */
    struct window windows[WINDOW_MAX];
    size_t window_next; /* which is given up for the next one, and is read into */
    struct window_reading {
        void *stream;     /* owned DIR; NULL: no window is being read */
        size_t count;     /* entries so far */
        uint64_t changes; /* file_disk.changes when it began */
        bool whole;       /* in one go: something changed while it was read in slices */
        bool settled;     /* the directory had not just been changed when it began */
    } reading;
    uint64_t changes; /* how often graftd has changed the tree */
};

/* ---- roots and places ---- */

/* ERR_STORAGE, or ERR_BADARG for a path that no file of ours can have, ERR_NOMEM. error: an errno. doing: "read", …. */
enum err file_fail(struct failure *why, int error, struct bytes path, const char *doing);

/* A path and the root that it lies in. */
struct spot {
    struct root *root;
    struct bytes path; /* whole, for people; borrowed */
    struct bytes rel;  /* below the root, without a slash at its end; empty: the root itself */
    bool directory;    /* path ends in "/" */
};
struct spot spot_of(struct file_disk *d, struct bytes path);

/* Which file it is, and which state of it. */
struct file_id {
    uint64_t inode, size;
    int64_t mtime_ns;
};
static inline bool file_id_equal(const struct file_id *a, const struct file_id *b)
{
    return a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns;
}

/* For utimensat: the time of the last access stays. */
struct file_times {
    struct timespec t[2];
};
struct file_times file_times_of(int64_t mtime_ns);

enum seen_kind {
    SEEN_NOTHING,
    SEEN_BLOCKED /* no directory where one must be */,
    SEEN_FILE,
    SEEN_DIRECTORY,
    SEEN_OTHER
};
struct seen {
    enum seen_kind kind;
    struct file_id id;
    uint32_t mode, links, uid, gid;
    uint64_t device;
    int64_t changed_ns; /* ctime: nobody can set it */
    const char *other;  /* SEEN_OTHER, SEEN_BLOCKED: what it is instead, a phrase */
};

/* Nothing stands there below the root: it went, or somebody put another thing, a link or a mount in its way. */
static inline bool is_gone(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ELOOP || error == EXDEV;
}
/* Descriptor below the root, closed by the caller, or -1 with errno. rel: without a slash at its end; empty: the root. */
int root_open(const struct root *r, struct bytes rel, int flags);
/* The directory in which rel's last component lies, O_PATH, and that component. -1 with errno. */
int root_open_parent(const struct root *r, struct bytes rel, char name[FILE_NAME_MAX + 1]);
static inline struct bytes parent_of(struct bytes rel)
{
    while (rel.len > 0 && ((const char *)rel.data)[rel.len - 1] != '/')
        rel.len--;
    return bytes_of(rel.data, rel.len > 0 ? rel.len - 1 : 0);
}
/* What name is in that directory; name "": the descriptor itself. 0, or -1 with errno; nothing there is no error. */
int seen_at(int directory, const char *name, struct seen *s);
/* What stands there. Never fails for what stands there: symbolic links and the like are SEEN_OTHER. ERR_STORAGE. */
enum err spot_look(const struct spot *s, struct seen *seen, struct failure *why);
/* Opens the regular file with flags, its state in *seen. ERR_ABSENT, ERR_BADARG, ERR_STORAGE. */
enum err spot_open(const struct spot *s, int flags, int *fd, struct seen *seen, struct failure *why);

enum err root_init(struct root *r, const char *name, const char *path, bool sync, struct failure *why);
void root_fini(struct root *r);
/* ERR_STORAGE: two of them are one directory, or one lies in another. */
enum err roots_apart(const struct file_disk *d, struct failure *why);

/* ---- listing ---- */

/* The names of the open directory from `from` on, as many as a window has; borrowed until the next call. directory:
 * whole, "" or "a/b/". ERR_WAIT: a slice of it was read; asked again with the same, and nothing else in between, it goes
 * on. ERR_LIMIT: it has too many entries. ERR_STORAGE, ERR_NOMEM. */
enum err window_open(struct file_disk *d, int fd, struct bytes directory, struct bytes from, const struct window **out,
                     struct failure *why);
void windows_fini(struct file_disk *d);
/* Of the standard root, which has no other entry of that name then. */
bool is_root_name(const struct file_disk *d, struct bytes directory, const char *name);

/* ---- the directory .graftd/<txn> ---- */

enum { KEEP_NAME_MAX = 32 };
/* Descriptor, or -1 with errno. make: it is made if need be. */
int keep_open(const struct root *r, uint64_t txn, bool make);
const char *keep_name(char out[KEEP_NAME_MAX], const char *what, uint64_t number); /* "old.7" */
/* Removes the entries of which drop() says so. *left: others stay. 0, or -1 with errno of the first that failed. */
int keep_clear(int dir, bool (*drop)(const char *name), bool *left);
/* Whether the open directory has no entries. 0, or -1 with errno. */
int directory_is_empty(int dir, bool *empty);
bool keep_is_passing(const char *name); /* needed until the transaction ends, not longer */
bool keep_is_any(const char *name);
/* Removes the transaction's directory if it is empty. 0, or -1 with errno. */
int keep_remove(const struct root *r, uint64_t txn);
/* The stage file of an image: opened, of at least stage_len bytes. ERR_STORAGE, ERR_CONFLICT. */
enum err stage_open(int dir, const struct file_image *i, struct bytes path, int flags, int *fd, struct failure *why);

/* Whether the standing or kept file is the one that the image is made of. */
bool file_base_is(const struct file_image *i, const struct seen *s);
/* The file that the image is made of. ERR_CONFLICT: it is another by now. */
enum err base_open(struct file_disk *d, const struct file_image *i, struct bytes path, int *fd, struct seen *seen,
                   struct failure *why);

/* ---- deeds ---- */

enum deed_kind {
    DEED_PLACE = 1, /* nothing was there: put.<seq> goes there */
    DEED_REPLACE,   /* put.<seq> replaces what is linked as old.<seq>. Files only */
    DEED_REMOVE,    /* what is there goes to old.<seq> */
    DEED_APPEND,    /* staged content is written behind the file, in place */
};

struct deed {
    uint8_t kind;
    bool directory;
    bool unbegun; /* APPEND, in the process that does it: it was not begun */
    bool taken;   /* PLACE, when it is planned: something is there */
    uint64_t seq;
    struct bytes rel;                 /* without a slash at its end */
    struct file_id before, after;     /* PLACE, REPLACE: after is put.<seq>. APPEND: after.size alone */
    const struct file_change *change; /* NULL when read from was */
    bool heir;                        /* it takes the group of its directory */
    uint32_t mode, uid, gid;          /* of what is there, while it is made ready */
};

/* A directory of the tree that is touched. */
struct touched {
    struct bytes rel;
    bool timed; /* it was there before, at mtime_ns */
    int64_t mtime_ns;
};

/* The share of one root in what a transaction does. */
struct work {
    struct file_disk *d;
    struct root *root;
    uint64_t txn;
    int dir;            /* .graftd/<txn> */
    bool noted;         /* was is written: the tree may have been touched */
    struct deed *deeds; /* owned; sorted by path */
    size_t deed_count;
    struct touched *touched; /* owned; sorted */
    size_t touched_count;
    struct buf was; /* what the above were read from */
};

void work_fini(struct work *w);
struct spot work_spot(const struct work *w, struct bytes rel);
/* The deed that does this to rel, or NULL. */
struct deed *work_find(const struct work *w, struct bytes rel, uint8_t kind, bool directory);
/* Writes was, synced. ERR_STORAGE. */
enum err work_note(struct work *w, struct failure *why);
/* Reads was; w->noted: there is one. ERR_UNKNOWN: it is damaged. ERR_STORAGE, ERR_NOMEM. */
enum err work_recall(struct work *w, struct failure *why);
/* Syncs what was touched. */
enum err work_sync(const struct work *w, struct failure *why);

/* Finds the deeds of these changes in w->root and checks that all stands as they say; nothing is changed. */
enum err work_plan(struct work *w, const struct file_change *changes, size_t count, struct failure *why);
/* Makes put.<seq> and old.<seq>: nothing in the tree changes. */
enum err work_prepare(struct work *w, struct failure *why);
/* Takes back what was done, however far it came. changes: for when was is not there. */
enum err work_undo(struct work *w, const struct file_change *changes, size_t count, struct failure *why);

#endif
