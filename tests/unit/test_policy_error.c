/* policy: a broken file, or a directory of them, is refused and all that is wrong is listed, with its place (P3). */
#include "tests/policy_kit.h"

#include <dirent.h>
#include <sys/stat.h>

static void lists_all_errors_of_a_file(void **state)
{
    (void)state;
    expect_errors("data relative\n"
                  "durabilty full\n"
                  "durability ful\n"
                  "socket \"/s\" mode 0999 grup 1\n"
                  "limit keys 1K lock-wait 5 value\n"
                  "data \"/again\n"
                  "data \"/again\"\n"
                  "point \"bank.fee\" { type function }\n"
                  "graft Bank {\n"
                  "    limit memry 64M\n"
                  "    sign required key \"ops.pub\"\n"
                  "    allow read write kv \"a*b\"\n"
                  "    allow write file \"/x\"\n"
                  "    allow emmit \"bank.*\"\n"
                  "    on-fault quarantine after 3 in 1m\n"
                  "}\n"
                  "graft bank { limit cpu 1s; limit cpu 2s }\n"
                  "graft bank { limit wall 2d }\n"
                  "caller user no_such_user_here { allow call \"bank\"; allow lod }\n"
                  "caller nobody { alow kill }\n"
                  "txn idle 5s spill 9G\n",
                  "t.scfg:1:6: error: this path must begin with /, or it would depend on where graftd was started\n"
                  "    data relative\n"
                  "         ^~~~~~~~\n"
                  "t.scfg:2:1: error: unknown directive \"durabilty\"; did you mean \"durability\"?\n"
                  "    durabilty full\n"
                  "    ^~~~~~~~~\n"
                  "t.scfg:3:12: error: unknown durability \"ful\"; did you mean \"full\"?\n"
                  "    durability ful\n"
                  "               ^~~\n"
                  "t.scfg:4:18: error: \"0999\" is not a mode for a socket; it is octal, 0600 to 0777, such as 0660\n"
                  "    socket \"/s\" mode 0999 grup 1\n"
                  "                     ^~~~\n"
                  "t.scfg:4:23: error: unknown socket option \"grup\"; did you mean \"group\"?\n"
                  "    socket \"/s\" mode 0999 grup 1\n"
                  "                          ^~~~\n"
                  "t.scfg:5:7: error: unknown limit \"keys\"; did you mean \"key\"?\n"
                  "    limit keys 1K lock-wait 5 value\n"
                  "          ^~~~\n"
                  "t.scfg:5:25: error: \"5\" is not a duration: write a whole number with ms, s, m, h or d behind it, "
                  "such as 50ms\n"
                  "    limit keys 1K lock-wait 5 value\n"
                  "                            ^\n"
                  "t.scfg:5:27: error: limit value has no value behind it\n"
                  "    limit keys 1K lock-wait 5 value\n"
                  "                              ^~~~~\n"
                  "t.scfg:6:6: error: this quote is not closed on its line\n"
                  "    data \"/again\n"
                  "         ^\n"
                  "t.scfg:7:1: error: data is set twice; first at t.scfg:1:1\n"
                  "    data \"/again\"\n"
                  "    ^~~~\n"
                  "t.scfg:8:1: error: \"point\" is not supported by this version\n"
                  "    point \"bank.fee\" { type function }\n"
                  "    ^~~~~\n"
                  "t.scfg:9:7: error: no graft has this name: it is a letter, then letters, digits and _, all lower "
                  "case, at most 63 bytes\n"
                  "    graft Bank {\n"
                  "          ^~~~\n"
                  "t.scfg:10:11: error: unknown limit \"memry\"; did you mean \"memory\"?\n"
                  "    limit memry 64M\n"
                  "          ^~~~~\n"
                  "t.scfg:11:5: error: \"sign\" is not supported by this version\n"
                  "    sign required key \"ops.pub\"\n"
                  "    ^~~~\n"
                  "t.scfg:12:25: error: a * can only stand at the end of a pattern\n"
                  "    allow read write kv \"a*b\"\n"
                  "                        ^~~~~\n"
                  "t.scfg:13:22: error: a file's pattern begins with a root's name, not with /; write "
                  "\"statements/*\"\n"
                  "    allow write file \"/x\"\n"
                  "                     ^~~~\n"
                  "t.scfg:14:11: error: unknown right \"emmit\"; did you mean \"emit\"?\n"
                  "    allow emmit \"bank.*\"\n"
                  "          ^~~~~\n"
                  "t.scfg:15:5: error: \"on-fault\" is not supported by this version\n"
                  "    on-fault quarantine after 3 in 1m\n"
                  "    ^~~~~~~~\n"
                  "t.scfg:17:34: error: limit cpu is set twice; first at t.scfg:17:20\n"
                  "    graft bank { limit cpu 1s; limit cpu 2s }\n"
                  "                                     ^~~\n"
                  "t.scfg:18:7: error: graft bank is set twice; first at t.scfg:17:7\n"
                  "    graft bank { limit wall 2d }\n"
                  "          ^~~~\n"
                  "t.scfg:18:25: error: limit wall 2d is out of range; it can be 1ms to 24h\n"
                  "    graft bank { limit wall 2d }\n"
                  "                            ^~\n"
                  "t.scfg:19:13: error: there is no user \"no_such_user_here\" on this system\n"
                  "    caller user no_such_user_here { allow call \"bank\"; allow lod }\n"
                  "                ^~~~~~~~~~~~~~~~~\n"
                  "t.scfg:19:44: error: no function has this name; write \"bank.*\" for all functions of a graft\n"
                  "    caller user no_such_user_here { allow call \"bank\"; allow lod }\n"
                  "                                               ^~~~~~\n"
                  "t.scfg:19:58: error: unknown right \"lod\"; did you mean \"load\"?\n"
                  "    caller user no_such_user_here { allow call \"bank\"; allow lod }\n"
                  "                                                             ^~~\n"
                  "t.scfg:20:8: error: unknown kind of caller \"nobody\"; it can be any, user or group\n"
                  "    caller nobody { alow kill }\n"
                  "           ^~~~~~\n"
                  "t.scfg:20:17: error: unknown directive \"alow\"; did you mean \"allow\"?\n"
                  "    caller nobody { alow kill }\n"
                  "                    ^~~~\n"
                  "t.scfg:21:5: error: \"idle\" is not supported by this version\n"
                  "    txn idle 5s spill 9G\n"
                  "        ^~~~\n"
                  "t.scfg:21:19: error: txn spill 9G is out of range; it can be 64K to 1G\n"
                  "    txn idle 5s spill 9G\n"
                  "                      ^~\n");
}

static void each_slip_has_its_sentence(void **state)
{
    static const char *const slips[][2] = {
        { "data", "something is missing behind this word; write it like this: data \"/var/lib/graftd\"" },
        { "data /a /b", "one word too many; write it like this: data \"/var/lib/graftd\"" },
        { "data /a { }", "data takes no block" },
        { "data \"\"", "this path must begin with /, or it would depend on where graftd was started" },
        { "durability off; durability off", "durability is set twice; first at t.scfg:1:1" },
        { "durability maybe", "unknown durability \"maybe\"; it can be full, normal or off" },
        { "sandbox degraded yes", "unknown answer \"yes\"; it can be refuse or allow" },
        { "sandbox degraded allow; sandbox degraded allow", "sandbox degraded is set twice; first at t.scfg:1:9" },
        { "sandbox daemon maybe", "unknown answer \"maybe\"; it can be on or off" },
        { "sandbox daemon on; sandbox daemon off", "sandbox daemon is set twice; first at t.scfg:1:9" },
        { "sandbox demon off", "unknown sandbox setting \"demon\"; did you mean \"daemon\"?" },
        { "sandbox require usrns", "unknown layer \"usrns\"; did you mean \"userns\"?" },
        { "sandbox allow-missing seccomp", "seccomp always stands, and nothing in a policy changes that" },
        { "sandbox allow-missing pidfd", "pidfd always stands, and nothing in a policy changes that" },
        { "sandbox require mdwe; sandbox allow-missing mseal mdwe", "mdwe is both required and allowed to be missing" },
        { "backup here", "this path must begin with /, or it would depend on where graftd was started" },
        { "backup /a; backup /b", "backup is set twice; first at t.scfg:1:1" },
        { "graft default { worker fresh always }", "\"always\" is not an occasion: write never or call" },
        { "graft default { worker warm call }", "unknown worker \"warm\"; it can be fresh" },
        { "sandbox allow", "something is missing behind this word; write it like this: sandbox degraded refuse" },
        { "socket /s mode 0060", "\"0060\" is not a mode for a socket; it is octal, 0600 to 0777, such as 0660" },
        { "socket /s mode 7777", "\"7777\" is not a mode for a socket; it is octal, 0600 to 0777, such as 0660" },
        { "socket /s mode", "socket mode has no value behind it" },
        { "socket /s mode 600 mode 600", "socket mode is set twice on this line" },
        { "socket /s group no_such_group_here", "there is no group \"no_such_group_here\" on this system" },
        { "socket /s group 4294967295", "group number 4294967295 is out of range; it can be 0 to 4294967294" },
        { "limit", "limit sets nothing; name an item and its value behind it" },
        { "limit cpu 1s",
          "unknown limit \"cpu\"; it can be key, value, clients, clients-per-user, queue, lock-wait, cache, drain, "
          "idle, timers or locks" },
        { "limit lock 16M", "unknown limit \"lock\"; did you mean \"locks\"?" },
        { "limit timer 5", "unknown limit \"timer\"; did you mean \"timers\"?" },
        { "event keep 5s", "unknown directive \"event\"; did you mean \"events\"?" },
        { "events", "events sets nothing; name an item and its value behind it" },
        { "events kep 5s", "unknown events \"kep\"; did you mean \"keep\"?" },
        { "events keep 5s keep 5s", "events keep is set twice; first at t.scfg:1:8" },
        { "timers tries 0", "timers tries 0 is out of range; it can be 1 to 1000" },
        { "timers trys 5", "unknown timers \"trys\"; did you mean \"tries\"?" },
        { "root", "something is missing behind this word; write it like this: root statements \"/srv/statements\"" },
        { "root a /a b", "one word too many; write it like this: root statements \"/srv/statements\"" },
        { "root a /a { }", "root takes no block" },
        { "rot a /a", "unknown directive \"rot\"; did you mean \"root\"?" },
        { "root A /a", "this is no name for a root: it has 1 to 63 small letters, digits, _ and -" },
        { "root '' /a", "this is no name for a root: it has 1 to 63 small letters, digits, _ and -" },
        { "root a/b /a", "this is no name for a root: it has 1 to 63 small letters, digits, _ and -" },
        { "root a a", "this path must begin with /, or it would depend on where graftd was started" },
        { "root a /a/", "write this path without . .. // and a / at its end" },
        { "root a /a/../b", "write this path without . .. // and a / at its end" },
        { "root a /.", "write this path without . .. // and a / at its end" },
        { "root a //a", "write this path without . .. // and a / at its end" },
        { "root a /a; root a /b", "root a is set twice; first at t.scfg:1:1" },
        { "root a /a; root b /a", "this directory is root a already, at t.scfg:1:1" },
        { "root a /a; root b /a/b",
          "this directory and that of root a, at t.scfg:1:1, lie in each other: a file would have two names" },
        { "root a /a/b; root b /a",
          "this directory and that of root a, at t.scfg:1:1, lie in each other: a file would have two names" },
        { "root a /a; root b /",
          "this directory and that of root a, at t.scfg:1:1, lie in each other: a file would have two names" },
        { "limit key 1K key 1K", "limit key is set twice; first at t.scfg:1:7" },
        { "graft bank", "graft needs a block { } behind it" },
        { "graft { }", "something is missing behind this word; write it like this: graft bank { \xe2\x80\xa6 }" },
        { "graft default { }; graft default { }", "graft default is set twice; first at t.scfg:1:7" },
        { "graft a { allow call \"x.*\" }", "unknown right \"call\"; it can be read, write, emit or timer" },
        { "graft a { allow kv \"x\" }", "unknown right \"kv\"; it can be read, write, emit or timer" },
        { "graft a { allow }", "allow names no right" },
        { "graft a { deny \"x\" }", "unknown right \"x\"; it can be read, write, emit or timer" },
        { "graft a { allow read }", "read and write need a resource and a pattern: allow read kv \"acct:*\"" },
        { "graft a { allow read \"x\" }", "unknown resource \"x\"; it can be kv or file" },
        { "graft a { allow read fil \"x\" }", "unknown resource \"fil\"; did you mean \"file\"?" },
        { "graft a { allow read event \"x\" }", "unknown resource \"event\"; it can be kv or file" },
        { "graft a { allow read file \"/etc/*\" }",
          "a file's pattern begins with a root's name, not with /; write \"statements/*\"" },
        { "graft a { allow read file \"a/../b\" }",
          "no file has this name: it has no . or .. and nothing empty between its slashes" },
        { "graft a { allow read file \"../*\" }",
          "no file has this name: it has no . or .. and nothing empty between its slashes" },
        { "graft a { allow read file \"a/.\" }",
          "no file has this name: it has no . or .. and nothing empty between its slashes" },
        { "graft a { allow read file \"a//b*\" }",
          "no file has this name: it has no . or .. and nothing empty between its slashes" },
        { "graft a { allow read file \"\" }", "an empty pattern matches nothing; write \"*\" for everything" },
        { "graft a { allow emit }", "a pattern is missing behind this word; \"*\" is everything" },
        { "graft a { allow emit read kv \"x\" }; graft b { allow timer \"b.f\"; allow tmer \"x\" }",
          "unknown right \"tmer\"; did you mean \"timer\"?" },
        { "graft a { allow read emit \"x\" }", "emit and other rights each need a line of their own" },
        { "graft a { allow timer \"a\" }", "no function has this name; write \"a.*\" for all functions of a graft" },
        { "caller any { allow emit \"x\" }",
          "unknown right \"emit\"; it can be call, read, write, command, load, unload, undo, kill, info or admin" },
        { "caller any { allow read file \"x\" }", "unknown resource \"file\"; it can be kv or event" },
        { "caller any { allow write event \"x\" }",
          "nobody writes an event but grafts, with emit; write allow read event \"bank.*\"" },
        { "caller any { deny command }", "a pattern is missing behind this word; \"*\" is everything" },
        { "caller any { deny command \"GRAFT LOAD\" }",
          "no command has this name; write it in small letters, such as \"backup\" or \"graft load\"" },
        { "caller any { allow command \"backup\" }",
          "every command is allowed that no rule denies, if its other rights are there; there is only deny command "
          "\"backup\"" },
        { "graft a { allow read kv }", "a pattern is missing behind this word; \"*\" is everything" },
        { "graft a { allow read kv \"\" }", "an empty pattern matches nothing; write \"*\" for everything" },
        { "graft a { allow read kv \"**\" }", "a * can only stand at the end of a pattern" },
        { "graft a { allow read kv \"x\" { } }", "allow takes no block" },
        { "caller user { }",
          "something is missing behind this word; write it like this: caller user app { \xe2\x80\xa6 }, "
          "caller group ops { \xe2\x80\xa6 } or caller any { \xe2\x80\xa6 }" },
        { "caller any 5 { }", "one word too many; write it like this: caller user app { \xe2\x80\xa6 }, "
                              "caller group ops { \xe2\x80\xa6 } or caller any { \xe2\x80\xa6 }" },
        { "caller user 4294967295 { }", "user number 4294967295 is out of range; it can be 0 to 4294967294" },
        { "caller any", "caller needs a block { } behind it" },
        { "caller any { allow call }", "a pattern is missing behind this word; \"*\" is everything" },
        { "caller any { allow kill call \"a.b\" }", "call and other rights each need a line of their own" },
        { "caller any { allow kill read kv \"a\" }", "read and write and other rights each need a line of their own" },
        { "caller any { allow load unlod }", "unknown right \"unlod\"; did you mean \"unload\"?" },
        { "caller any { allow load bank }", "unknown right \"bank\"; if it is a graft's name, put it in quotes" },
        { "caller any { allow load undo \"bank\" }",
          "only load and unload take a pattern; the other rights need a line of their own" },
        { "caller any { allow attach \"x\" }", "\"attach\" is not supported by this version" },
        { "caller any { allow load attach }", "\"attach\" is not supported by this version" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof slips / sizeof slips[0]; i++)
        expect_error(slips[i][0], slips[i][1]);
}

/* ---- files ---- */

struct dir {
    char path[64];
};

static void dir_open(struct dir *d)
{
    strcpy(d->path, "/tmp/test_policy.XXXXXX");
    assert_non_null(mkdtemp(d->path));
}

static void dir_write(const struct dir *d, const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", d->path, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    chmod(path, 0600);
}

static void dir_close(const struct dir *d)
{
    DIR *dir = opendir(d->path);
    const struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.' || entry->d_name[1] == 'h')
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(d->path);
}

static void expect_load(const char *path, enum err err, const char *expected)
{
    struct policy *p = NULL;
    struct buf errors;

    buf_init(&errors, TEXT_MAX);
    assert_int_equal(policy_load(path, OWNER, &p, &errors), err);
    assert_string_equal(text_of(&errors), expected);
    buf_fini(&errors);
    policy_free(&p);
}

static void a_directory_is_one_policy_in_byte_order(void **state)
{
    struct dir d;
    char expected[512];

    (void)state;
    dir_open(&d);
    snprintf(expected, sizeof expected, "%s: error: no policy file (*.scfg) in this directory\n", d.path);
    expect_load(d.path, ERR_BADARG, expected);
    dir_write(&d, "b.scfg", "limit key 1K\ndta\n");
    dir_write(&d, "a.scfg", "limit key 2K\n");
    dir_write(&d, ".hidden.scfg", "nonsense\n");
    dir_write(&d, "README", "nonsense\n");
    snprintf(expected, sizeof expected,
             "%s/b.scfg:2:1: error: unknown directive \"dta\"; did you mean \"data\"?\n"
             "    dta\n"
             "    ^~~\n",
             d.path);
    expect_load(d.path, ERR_BADARG, expected);
    dir_write(&d, "b.scfg", "limit value 1K\n");
    expect_load(d.path, OK, "");
    chmod(d.path, 0702);
    snprintf(expected, sizeof expected,
             "%s: error: everybody may add files to this directory; take that away with chmod o-w\n", d.path);
    expect_load(d.path, ERR_BADARG, expected);
    chmod(d.path, 0700);
    for (int i = 0; i < 64; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.scfg", i);
        dir_write(&d, name, "");
    }
    snprintf(expected, sizeof expected, "%s: error: more than 64 policy files (*.scfg) in one directory\n", d.path);
    expect_load(d.path, ERR_BADARG, expected);
    dir_close(&d);
}

static void a_missing_file_is_an_error(void **state)
{
    (void)state;
    expect_load("/nonexistent/p.scfg", ERR_BADARG,
                "/nonexistent/p.scfg: error: cannot be opened: No such file or directory\n");
}

static void check_says_ok_or_what_is_wrong(void **state)
{
    struct buf out;
    struct dir d;

    (void)state;
    buf_init(&out, TEXT_MAX);
    assert_int_equal(policy_check(NULL, OWNER, &out), OK);
    assert_string_equal(text_of(&out), "policy ok: 4 rules\n");
    buf_clear(&out);
    dir_open(&d);
    dir_write(&d, "p.scfg", "graft g { }}");
    assert_int_equal(policy_check(d.path, OWNER, &out), ERR_BADARG);
    assert_non_null(strstr(text_of(&out), "/p.scfg:1:12: error: this } closes nothing\n"));
    dir_close(&d);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_all_errors_of_a_file),
        cmocka_unit_test(each_slip_has_its_sentence),
        cmocka_unit_test(a_directory_is_one_policy_in_byte_order),
        cmocka_unit_test(a_missing_file_is_an_error),
        cmocka_unit_test(check_says_ok_or_what_is_wrong),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
