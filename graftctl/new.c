/* A graft to start from: graftctl new. */
#include "graftctl/ask.h"
#include "graftctl/file.h"
#include "graftctl/object.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* In each text NAME becomes the graft's name. */
static const char source_text[] =
    "/* NAME: says what it is for. <graft.h> lists all that a graft can do. */\n"
    "#include <graft.h>\n"
    "\n"
    "GRAFT_MODULE(\"NAME\", \"0.1.0\", \"greets, and counts whom it greeted\");\n"
    "\n"
    "/* A call is a transaction: whatever fails in here, nothing of it stays. */\n"
    "GRAFT_FUNCTION(greet, \"who\")\n"
    "{\n"
    "    graft_bytes who = graft_arg(call, 0);\n"
    "    int64_t times;\n"
    "    int err;\n"
    "\n"
    "    if (who.len == 0)\n"
    "        return graft_abort(call, \"who is to be greeted?\");\n"
    "    err = graft_kv_add_i64(call, graft_format(call, \"NAME:%s\", graft_text(call, who)), 1, &times);\n"
    "    if (err != GRAFT_OK)\n"
    "        return err;\n"
    "    return graft_reply_format(call, \"hello, %s (%lld)\", graft_text(call, who), (long long)times);\n"
    "}\n";

static const char test_text[] =
    "#!/bin/sh\n"
    "# Builds NAME, loads it into a graftd of its own, and looks at what it answers.\n"
    "# GRAFTD and GRAFTCTL name the programs when they are not in PATH.\n"
    "set -eu\n"
    "\n"
    "graftd=${GRAFTD:-graftd} graftctl=${GRAFTCTL:-graftctl}\n"
    "source=$(cd \"$(dirname \"$0\")\" && pwd)/NAME.c\n"
    "dir=$(mktemp -d)\n"
    "export GRAFTD_SOCKET=\"$dir/sock\"\n"
    "\n"
    "\"$graftd\" --data \"$dir/data\" --socket \"$dir/sock\" 2>\"$dir/log\" &\n"
    "daemon=$!\n"
    "trap 'kill \"$daemon\" 2>/dev/null || true; wait \"$daemon\" || true; rm -rf \"$dir\"' EXIT\n"
    "\n"
    "tries=0\n"
    "until \"$graftctl\" ping >/dev/null 2>&1; do\n"
    "    tries=$((tries + 1))\n"
    "    if [ \"$tries\" -gt 100 ]; then\n"
    "        cat \"$dir/log\" >&2\n"
    "        exit 1\n"
    "    fi\n"
    "    sleep 0.1\n"
    "done\n"
    "\n"
    "expect() { # EXPECTED GOT\n"
    "    if [ \"$1\" != \"$2\" ]; then\n"
    "        echo \"expected: $1\" >&2\n"
    "        echo \"got:      $2\" >&2\n"
    "        exit 1\n"
    "    fi\n"
    "}\n"
    "\n"
    "\"$graftctl\" build \"$source\" -o \"$dir/NAME.graft\" >/dev/null\n"
    "\"$graftctl\" load \"$dir/NAME.graft\" >/dev/null\n"
    "expect 'hello, ada (1)' \"$(\"$graftctl\" call NAME.greet ada)\"\n"
    "expect 'hello, ada (2)' \"$(\"$graftctl\" call NAME.greet ada)\"\n"
    "if \"$graftctl\" call NAME.greet 2>/dev/null; then\n"
    "    echo 'nobody was greeted, and it went well' >&2\n"
    "    exit 1\n"
    "fi\n"
    "expect 2 \"$(\"$graftctl\" get NAME:ada)\"\n"
    "echo 'NAME: all well'\n";

static const char readme_text[] =
    "# NAME\n"
    "\n"
    "A graft for graftd. Build it, load it (`--replace` for a new version), call it, see what the calls did:\n"
    "\n"
    "    graftctl build NAME.c\n"
    "    graftctl load NAME.graft\n"
    "    graftctl call NAME.greet ada\n"
    "    graftctl txn list\n"
    "\n"
    "`./test.sh` tests it in a graftd of its own, with a data folder that is thrown away. Each call is a\n"
    "transaction: when it fails, nothing of it stays, and the caller gets one error.\n";

/* The text with the name put in. NULL when memory is short. */
static char *fill_in(const char *text, const char *name)
{
    size_t size = strlen(text) * (1 + strlen(name)) + 1; /* more than enough */
    char *filled = malloc(size), *p = filled;

    while (filled != NULL && *text != '\0') {
        const char *found = strstr(text, "NAME");
        size_t n = found == NULL ? strlen(text) : (size_t)(found - text);
        p = mempcpy(p, text, n);
        text += n;
        if (found == NULL)
            continue;
        p = stpcpy(p, name);
        text += strlen("NAME");
    }
    if (filled != NULL)
        *p = '\0';
    return filled;
}

static enum outcome write_one(const char *name, const char *file, const char *text, unsigned mode)
{
    char path[2 * OBJECT_NAME_MAX + 32], *content = fill_in(text, name);
    struct failure why = { 0 };
    enum err err;

    if (content == NULL)
        return complain("out of memory");
    snprintf(path, sizeof path, "%s/%s", name, file);
    err = file_create(path, bytes_str(content), mode, &why);
    free(content);
    if (err != OK)
        return complain_failure(&why);
    printf("%s\n", path);
    return OUTCOME_DONE;
}

enum outcome command_new(struct invocation *in)
{
    const char *name = in->args[0];
    char source[OBJECT_NAME_MAX + 3];
    enum outcome outcome;

    if (!object_name_valid(bytes_str(name)))
        return usage_error(in, "%s: a name is a small letter, then small letters, digits and _, %d at most", name,
                           OBJECT_NAME_MAX);
    if (mkdir(name, 0777) != 0)
        return complain("cannot make the folder %s: %s", name, strerror(errno));
    snprintf(source, sizeof source, "%s.c", name);
    outcome = write_one(name, source, source_text, 0666);
    if (outcome == OUTCOME_DONE)
        outcome = write_one(name, "test.sh", test_text, 0777);
    if (outcome == OUTCOME_DONE)
        outcome = write_one(name, "README.md", readme_text, 0666);
    return outcome;
}
