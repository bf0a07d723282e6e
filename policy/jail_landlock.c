#include "policy/jail_landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    CREATE_VERSION = 1,    /* flag of create_ruleset: tell the version */
    RULE_PATH_BENEATH = 1, /* kind of rule */
    ABI_MAX = 7,           /* what we know; later ones have all of it */
};

struct ruleset {
    uint64_t files, ports, peers; /* rights that are taken */
};

struct path_beneath {
    uint64_t rights;
    int32_t fd;
} __attribute__((packed));

/* What each version knows; [0] is none. */
static const struct ruleset known[ABI_MAX + 1] = {
    [1] = { 0x1fff, 0, 0 }, [2] = { 0x3fff, 0, 0 }, [3] = { 0x7fff, 0, 0 }, [4] = { 0x7fff, 3, 0 },
    [5] = { 0xffff, 3, 0 }, [6] = { 0xffff, 3, 3 }, [7] = { 0xffff, 3, 3 },
};

/* Rights that a file can have; the others are of directories. */
#define OF_FILES (LANDLOCK_EXECUTE | LANDLOCK_WRITE_FILE | LANDLOCK_READ_FILE | LANDLOCK_TRUNCATE | (uint64_t)1 << 15)

int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

    return abi < 0 ? 0 : (int)abi;
}

static int add_path(int ruleset, const struct landlock_path *p, uint64_t handled)
{
    struct path_beneath rule = { .rights = p->rights & handled };
    struct stat st;
    int rc = -1;

    rule.fd = open(p->path, O_PATH | O_CLOEXEC);
    if (rule.fd < 0)
        return errno == ENOENT ? 0 : -1;
    if (fstat(rule.fd, &st) == 0) {
        if (!S_ISDIR(st.st_mode))
            rule.rights &= OF_FILES;
        rc = (int)syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
    }
    close(rule.fd);
    return rc;
}

int landlock_enter(const struct landlock_path *paths, size_t count, bool peers)
{
    int abi = landlock_abi(), fd, rc = 0;
    struct ruleset rules;

    if (abi == 0) {
        errno = ENOSYS;
        return -1;
    }
    rules = known[abi > ABI_MAX ? ABI_MAX : abi];
    if (!peers)
        rules.peers = 0;
    fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
    if (fd < 0)
        return -1;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = add_path(fd, &paths[i], rules.files);
    if (rc == 0)
        rc = (int)syscall(SYS_landlock_restrict_self, fd, 0);
    close(fd);
    return rc;
}
