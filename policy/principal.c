/* Users as POLICY WHY names them: what a socket would say of a process of theirs. */
#include "policy/why.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

enum { ENTRY_MAX = 64 * 1024, SHOWN_MAX = 80 }; /* bytes */

enum err principal_find(const char *name, struct principal *who, struct failure *why)
{
    char memory[ENTRY_MAX], shown[SHOWN_MAX];
    struct passwd pw, *user = NULL;
    int count = PRINCIPAL_GROUP_MAX, error;
    uint64_t uid = 0;
    bool number = bytes_to_u64(bytes_str(name), &uid) && uid < UINT32_MAX;

    error = number ? getpwuid_r((uid_t)uid, &pw, memory, sizeof memory, &user)
                   : getpwnam_r(name, &pw, memory, sizeof memory, &user);
    if (user == NULL && !number)
        return fail(why, ERR_BADARG, "there is no user \"%s\" on this system%s%s",
                    bytes_show(bytes_str(name), shown, sizeof shown), error != 0 ? ": " : "",
                    error != 0 ? strerror(error) : "");
    *who = (struct principal){ .uid = (uid_t)uid, .gid = (gid_t)-1 };
    if (user == NULL)
        return OK;
    who->uid = pw.pw_uid;
    who->gid = pw.pw_gid;
    if (getgrouplist(pw.pw_name, pw.pw_gid, who->groups, &count) < 0)
        count = PRINCIPAL_GROUP_MAX; /* in more: the first ones count, as with a socket's */
    who->group_count = (size_t)count;
    return OK;
}
