#include "graftctl/command.h"

#include "graftctl/ask.h"
#include "lib/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command commands[] = {
#define COMMAND(function, name, ...) { name, command_##function, __VA_ARGS__ },
#include "graftctl/command.def"
#undef COMMAND
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

/* ---- options ---- */

static const char global_options[] = "socket= help version";

/* Looks the word up in "a b= c"; *takes_value if it is there with "=". The place of its name, or NULL. */
static const char *find_option(const char *options, struct bytes word, bool *takes_value)
{
    while (*options != '\0') {
        size_t n = strcspn(options, "= ");
        if (bytes_equal(bytes_of(options, n), word)) {
            *takes_value = options[n] == '=';
            return options;
        }
        options += strcspn(options, " ");
        options += *options == ' ';
    }
    return NULL;
}

static enum outcome keep_option(struct invocation *in, const char *name, size_t n, const char *value)
{
    struct bytes word = bytes_of(name, n);

    if (bytes_equal(word, bytes_str("socket")))
        in->socket = value;
    else if (bytes_equal(word, bytes_str("help")))
        in->help = true;
    else if (bytes_equal(word, bytes_str("version")))
        in->version = true;
    else
        in->options[in->option_count++] = (struct option){ name, n, value };
    return OUTCOME_DONE;
}

/* --name, --name=value, --name value, -o value, -h. *i is moved past what was read. */
static enum outcome read_option(struct invocation *in, int argc, char **argv, int *i)
{
    const char *word = argv[(*i)++], *start = word + strspn(word, "-"), *equals = strchr(start, '='), *name,
               *value = NULL;
    size_t n = equals == NULL ? strlen(start) : (size_t)(equals - start);
    struct bytes given = strcmp(word, "-h") == 0 ? bytes_str("help") : bytes_of(start, n);
    bool takes_value = false;

    name = find_option(global_options, given, &takes_value);
    if (name == NULL && in->command != NULL)
        name = find_option(in->command->options, given, &takes_value);
    if (name == NULL)
        return usage_error(in, "unknown option %s%s", word,
                           in->command == NULL ? ""
                                               : "; an argument that begins with -- goes behind a word -- of its own");
    if (equals != NULL && !takes_value)
        return usage_error(in, "option %.*s takes no value", (int)(equals - word), word);
    if (equals != NULL)
        value = equals + 1;
    else if (takes_value && *i == argc)
        return usage_error(in, "option %s wants a value", word);
    else if (takes_value)
        value = argv[(*i)++];
    return keep_option(in, name, given.len, value);
}

/* A lone "-" is an argument, and so is "-5", and "-n" to a command that has no such option. */
static bool is_option(const struct invocation *in, const char *word)
{
    bool takes_value;

    return strncmp(word, "--", 2) == 0 || strcmp(word, "-h") == 0 || strcmp(word, "-o") == 0 ||
           (strcmp(word, "-n") == 0 && in->command != NULL &&
            find_option(in->command->options, bytes_str("n"), &takes_value) != NULL);
}

const char *option_value(const struct invocation *in, const char *name)
{
    for (size_t i = in->option_count; i > 0; i--) {
        const struct option *o = &in->options[i - 1];
        if (bytes_equal(bytes_of(o->name, o->name_len), bytes_str(name)))
            return o->value == NULL ? "" : o->value;
    }
    return NULL;
}

enum outcome option_number(const struct invocation *in, const char *name, uint64_t max, uint64_t *value)
{
    const char *text = option_value(in, name);
    uint64_t v;

    if (text == NULL)
        return OUTCOME_DONE;
    if (!bytes_to_u64(bytes_str(text), &v) || v > max)
        return usage_error(in, "--%s %s: must be a whole number from 0 to %llu", name, text, (unsigned long long)max);
    *value = v;
    return OUTCOME_DONE;
}

/* ---- the invocation ---- */

/* "txn list" is two words: a name that begins with the first is not whole without the second. */
static enum outcome find_command(struct invocation *in, int argc, char **argv, int *i)
{
    const char *first = argv[(*i)++];
    size_t n = strlen(first);
    bool is_group = false;

    for (size_t k = 0; k < COMMAND_COUNT; k++) {
        const char *name = commands[k].name;
        if (strncmp(name, first, n) != 0 || (name[n] != '\0' && name[n] != ' '))
            continue;
        is_group = is_group || name[n] == ' ';
        if (name[n] == ' ' && (*i == argc || strcmp(name + n + 1, argv[*i]) != 0))
            continue;
        *i += name[n] == ' ';
        in->command = &commands[k];
        return OUTCOME_DONE;
    }
    if (!is_group)
        return usage_error(in, "unknown command %s; graftctl --help lists them", first);
    if (*i < argc && (strcmp(argv[*i], "--help") == 0 || strcmp(argv[*i], "-h") == 0)) {
        in->help = true;
        *i = argc;
        return OUTCOME_DONE;
    }
    return usage_error(in, "%s wants one more word; graftctl --help lists the commands", first);
}

static enum outcome check_count(const struct invocation *in)
{
    const struct command *c = in->command;

    if (in->help || in->version)
        return OUTCOME_DONE;
    if (c == NULL)
        return usage_error(in, "which command?");
    if (in->arg_count < c->arg_min)
        return usage_error(in, "an argument is missing");
    if (in->arg_count > c->arg_max)
        return usage_error(in, "one argument too many: %s", in->args[c->arg_max]);
    return OUTCOME_DONE;
}

enum outcome invocation_read(struct invocation *in, int argc, char **argv)
{
    bool only_args = false;
    enum outcome outcome = OUTCOME_DONE;
    int i = 1;

    *in = (struct invocation){ 0 };
    in->args = calloc((size_t)argc + 1, sizeof *in->args);
    in->options = calloc((size_t)argc + 1, sizeof *in->options);
    if (in->args == NULL || in->options == NULL)
        return complain("out of memory");
    while (i < argc && outcome == OUTCOME_DONE) {
        if (!only_args && strcmp(argv[i], "--") == 0) {
            only_args = true;
            i++;
        } else if (!only_args && is_option(in, argv[i])) {
            outcome = read_option(in, argc, argv, &i);
        } else if (in->command == NULL) {
            outcome = find_command(in, argc, argv, &i);
        } else {
            in->args[in->arg_count++] = argv[i++];
        }
    }
    return outcome != OUTCOME_DONE ? outcome : check_count(in);
}

void invocation_fini(struct invocation *in)
{
    graft_client_free(&in->client);
    free(in->args);
    free(in->options);
    *in = (struct invocation){ 0 };
}

/* ---- help ---- */

static const char *space_before(const char *usage) { return *usage == '\0' ? "" : " "; }

enum outcome usage_error(const struct invocation *in, const char *format, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    complain("%s", text);
    if (in->command != NULL)
        fprintf(stderr, "usage: graftctl %s%s%s\n", in->command->name, space_before(in->command->usage),
                in->command->usage);
    else
        fprintf(stderr, "usage: graftctl [--socket PATH] COMMAND …; graftctl --help lists the commands\n");
    return OUTCOME_USAGE;
}

static void print_overview(void)
{
    printf("usage: graftctl [--socket PATH] COMMAND …\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-13s %s\n", commands[i].name, commands[i].help);
    printf(
        "\n"
        "  graftctl COMMAND --help   how it goes, with an example\n"
        "  graftctl --version\n"
        "\n"
        "The socket: --socket, else $GRAFTD_SOCKET, else $XDG_RUNTIME_DIR/graftd.sock, else /run/graftd/graftd.sock.\n"
        "Output is for people on a terminal; elsewhere it is one row a line, with tabs, no titles, and \\t \\n \\r "
        "\\\\\n"
        "for those bytes.\n"
        "Exit codes: 0 done, 1 the call failed and was rolled back, 2 usage, 3 cannot reach graftd, 4 denied.\n");
}

void help_print(const struct command *command)
{
    if (command == NULL) {
        print_overview();
        return;
    }
    printf("usage: graftctl %s%s%s\n\n%s\n\n%s", command->name, space_before(command->usage), command->usage,
           command->help, command->example);
}
