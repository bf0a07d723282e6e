/* client: what applications and the command line make of a daemon that answers well, badly, late, or not at all. */
#include "graftctl/command.h"
#include "include/graft_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define HELLO "%1\r\n$6\r\nserver\r\n$6\r\ngraftd\r\n"

enum { LARGE = 4 * 1024 * 1024 };

static char dir[] = "/tmp/test_client-XXXXXX";
static char socket_path[64];
static pid_t daemon_pid;

/* ---- a daemon that says what it is told to ---- */

static void send_slowly(int fd, const char *text, size_t piece)
{
    for (size_t left = strlen(text), n; left > 0; text += n, left -= n) {
        n = left < piece ? left : piece;
        if (send(fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
            _exit(0);
    }
}

/* Reads until that many bytes came, or the peer hung up. */
static void receive(int fd, size_t bytes)
{
    char part[4096];

    while (bytes > 0) {
        ssize_t n = recv(fd, part, bytes < sizeof part ? bytes : sizeof part, 0);
        if (n <= 0)
            _exit(0);
        bytes -= (size_t)n;
    }
}

static void wait_for_end(int fd)
{
    char c;

    while (recv(fd, &c, 1, 0) > 0)
        continue;
}

static const size_t hello_size = sizeof "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n" - 1;

/* Answers the greeting, waits for a request of that size, and says the text in pieces. "": hangs up. NULL: says
 * nothing. */
struct script {
    const char *hello, *text;
    size_t request, piece;
};

static void serve(int fd, const struct script *script)
{
    receive(fd, hello_size);
    send_slowly(fd, script->hello, 1024);
    receive(fd, script->request);
    if (script->text != NULL)
        send_slowly(fd, script->text, script->piece);
    if (script->text == NULL || *script->text != '\0')
        wait_for_end(fd);
}

/* Sends a large reply before it reads the large request. */
static void serve_crosswise(int fd, const struct script *script)
{
    char *reply = malloc(LARGE);

    receive(fd, hello_size);
    send_slowly(fd, script->hello, 1024);
    memset(reply, 'x', LARGE);
    dprintf(fd, "$%d\r\n", LARGE);
    for (int sent = 0; sent < LARGE;) {
        ssize_t n = send(fd, reply + sent, (size_t)(LARGE - sent), MSG_NOSIGNAL);
        if (n <= 0)
            _exit(0);
        sent += (int)n;
    }
    dprintf(fd, "\r\n");
    receive(fd, LARGE);
    wait_for_end(fd);
    free(reply);
}

static void start(void (*run)(int fd, const struct script *script), struct script script)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(address.sun_path, socket_path);
    unlink(socket_path);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    fflush(NULL);
    daemon_pid = fork();
    if (daemon_pid == 0) {
        alarm(30);
        run(accept(listener, NULL, NULL), &script);
        _exit(0);
    }
    close(listener);
}

static void stop(void)
{
    kill(daemon_pid, SIGKILL);
    waitpid(daemon_pid, NULL, 0);
}

static graft_client *connected(void)
{
    graft_client *client = graft_client_new();

    assert_non_null(client);
    assert_int_equal(graft_client_connect(client, socket_path), GRAFT_CLIENT_OK);
    return client;
}

static const size_t ping_size = sizeof "*1\r\n$4\r\nPING\r\n" - 1;

/* ---- the API ---- */

static void replies_come_in_order_however_they_arrive(void **state)
{
    graft_client_bytes ping = { "PING", 4 };
    graft_client *client;
    graft_reply *reply = NULL;

    (void)state;
    start(serve,
          (struct script){ HELLO, "+A\r\n>1\r\n+news\r\n:-7\r\n%2\r\n$1\r\nk\r\n*2\r\n,0.5\r\n_\r\n$1\r\nl\r\n#t\r\n",
                           3 * ping_size, 1 });
    client = connected();
    for (int i = 0; i < 3; i++)
        assert_int_equal(graft_client_append(client, 1, &ping), GRAFT_CLIENT_OK);
    assert_int_equal(graft_client_command(client, 1, &ping, &reply), GRAFT_CLIENT_BAD_ARG); /* three are pending */
    assert_int_equal(graft_client_next(client, &reply), GRAFT_CLIENT_OK);
    assert_string_equal(graft_client_text(reply, NULL), "A");
    graft_client_free_reply(&reply);
    assert_int_equal(graft_client_next(client, &reply), GRAFT_CLIENT_OK);
    assert_int_equal(graft_client_integer(reply), -7);
    graft_client_free_reply(&reply);
    assert_int_equal(graft_client_next(client, &reply), GRAFT_CLIENT_OK);
    assert_int_equal(graft_client_kind(reply), GRAFT_REPLY_MAP);
    assert_true(graft_client_number(graft_client_item(graft_client_find(reply, "k"), 0)) == 0.5);
    assert_int_equal(graft_client_kind(graft_client_find(reply, "l")), GRAFT_REPLY_BOOL);
    assert_null(graft_client_find(reply, "m"));
    assert_null(graft_client_item(reply, 4));
    assert_int_equal(graft_client_kind(NULL), GRAFT_REPLY_NIL);
    graft_client_free_reply(&reply);
    assert_int_equal(graft_client_next(client, &reply), GRAFT_CLIENT_BAD_ARG);
    graft_client_free(&client);
    stop();
}

static void a_peer_that_talks_before_it_listens_stops_nobody(void **state)
{
    char *large = calloc(1, LARGE);
    graft_client_bytes words[] = { { "SET", 3 }, { large, LARGE } };
    graft_reply *reply = NULL;
    graft_client *client;

    (void)state;
    start(serve_crosswise, (struct script){ HELLO, NULL, 0, 0 });
    client = connected();
    assert_int_equal(graft_client_command(client, 2, words, &reply), GRAFT_CLIENT_OK);
    graft_client_free_reply(&reply);
    graft_client_free(&client);
    free(large);
    stop();
}

static void a_request_is_kept_whole_or_not_at_all(void **state)
{
    graft_client_bytes huge[] = { { "SET", 3 }, { "", (size_t)GRAFT_CLIENT_SEND_MAX } }, ping = { "PING", 4 };
    graft_reply *reply = NULL;
    graft_client *client;

    (void)state;
    start(serve, (struct script){ HELLO, "+PONG\r\n", ping_size, 64 });
    client = connected();
    assert_int_equal(graft_client_append(client, 2, huge), GRAFT_CLIENT_TOO_LARGE);
    assert_int_equal(graft_client_append(client, 0, NULL), GRAFT_CLIENT_BAD_ARG);
    assert_int_equal(graft_client_pending(client), 0);
    assert_int_equal(graft_client_command(client, 1, &ping, &reply), GRAFT_CLIENT_OK);
    graft_client_free_reply(&reply);
    graft_client_free(&client);
    stop();
}

/* What PING gives when the daemon says text. */
static int ping_code(const char *text, unsigned timeout_ms)
{
    graft_reply *reply = NULL;
    graft_client *client;
    int code;

    start(serve, (struct script){ HELLO, text, ping_size, 64 });
    client = connected();
    graft_client_timeout(client, timeout_ms);
    code = graft_client_ask(client, &reply, "PING", NULL);
    graft_client_free_reply(&reply);
    if (code != GRAFT_CLIENT_OK) {
        assert_true(graft_client_error(client)[0] != '\0');
        assert_int_equal(graft_client_ask(client, &reply, "PING", NULL), GRAFT_CLIENT_LOST); /* it stays closed */
    }
    graft_client_free(&client);
    stop();
    return code;
}

static void tells_bad_peers_apart(void **state)
{
    (void)state;
    assert_int_equal(ping_code("-ABORTED no\r\n", 0), GRAFT_CLIENT_OK);
    assert_int_equal(ping_code("", 0), GRAFT_CLIENT_LOST);
    assert_int_equal(ping_code("HTTP/1.1 400\r\n", 0), GRAFT_CLIENT_PROTOCOL);
    assert_int_equal(ping_code("$99999999999\r\n", 0), GRAFT_CLIENT_PROTOCOL);
    assert_int_equal(ping_code(NULL, 50), GRAFT_CLIENT_TIMEOUT);
    assert_int_equal(ping_code("$4\r\nPO", 50), GRAFT_CLIENT_TIMEOUT);
}

static void finds_the_socket_by_its_rules(void **state)
{
    char path[GRAFT_CLIENT_PATH_MAX];

    (void)state;
    setenv("GRAFTD_SOCKET", "/a", 1);
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    assert_string_equal(graft_client_path("/x", path, sizeof path), "/x");
    assert_string_equal(graft_client_path(NULL, path, sizeof path), "/a");
    setenv("GRAFTD_SOCKET", "", 1);
    assert_string_equal(graft_client_path(NULL, path, sizeof path), "/run/user/7/graftd.sock");
    unsetenv("XDG_RUNTIME_DIR");
    assert_string_equal(graft_client_path(NULL, path, sizeof path), "/run/graftd/graftd.sock");
    assert_string_equal(graft_client_path("/long", path, 3), "/l");
}

static void says_that_nobody_is_there(void **state)
{
    char long_path[200];
    graft_client *client = graft_client_new();

    (void)state;
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(graft_client_connect(client, long_path), GRAFT_CLIENT_UNREACHABLE);
    assert_non_null(strstr(graft_client_error(client), "107"));
    assert_int_equal(graft_client_connect(client, "/nowhere/sock"), GRAFT_CLIENT_UNREACHABLE);
    assert_non_null(strstr(graft_client_error(client), "/nowhere/sock"));
    assert_int_equal(graft_client_append(client, 1, &(graft_client_bytes){ "PING", 4 }), GRAFT_CLIENT_LOST);
    graft_client_free(&client);
}

/* ---- what graftctl exits with ---- */

static enum outcome run_words(char **words)
{
    int count = 0;
    struct invocation in;
    enum outcome outcome;

    while (words[count] != NULL)
        count++;
    outcome = invocation_read(&in, count, words);
    if (outcome == OUTCOME_DONE)
        outcome = in.command->run(&in);
    invocation_fini(&in);
    return outcome;
}

static enum outcome run_ping(const char *hello, const char *text)
{
    enum outcome outcome;

    start(serve, (struct script){ hello, text, ping_size, 64 });
    outcome = run_words((char *[]){ "graftctl", "--socket", socket_path, "ping", NULL });
    stop();
    return outcome;
}

static void exit_codes_say_what_happened(void **state)
{
    (void)state;
    assert_int_equal(run_ping(HELLO, "+PONG\r\n"), OUTCOME_DONE);
    assert_int_equal(run_ping(HELLO, "-ABORTED insufficient funds txn=1\r\n"), OUTCOME_FAILED);
    assert_int_equal(run_ping(HELLO, "-DENIEDLY not that word\r\n"), OUTCOME_FAILED);
    assert_int_equal(run_ping(HELLO, "-DENIED write kv \"x\"\r\n"), OUTCOME_DENIED);
    assert_int_equal(run_ping(HELLO, "-NOPERM you may not\r\n"), OUTCOME_DENIED);
    assert_int_equal(run_ping("-NOPERM you may not come in\r\n", "+PONG\r\n"), OUTCOME_DENIED);
    assert_int_equal(run_ping(HELLO, ""), OUTCOME_UNREACHABLE);
    assert_int_equal(run_ping(HELLO, "?\r\n"), OUTCOME_UNREACHABLE);
    assert_int_equal(run_words((char *[]){ "graftctl", "--socket=/nowhere", "ping", NULL }), OUTCOME_UNREACHABLE);
}

static void bad_command_lines_are_usage(void **state)
{
    static char *lines[][6] = {
        { "graftctl" },
        { "graftctl", "fly" },
        { "graftctl", "pin" },
        { "graftctl", "txn" },
        { "graftctl", "txn", "fly" },
        { "graftctl", "ping", "x" },
        { "graftctl", "get" },
        { "graftctl", "get", "--fly", "x" },
        { "graftctl", "get", "--json=1", "x" },
        { "graftctl", "call" },
        { "graftctl", "call", "f.g", "--timeout", "soon" },
        { "graftctl", "call", "f.g", "--timeout" },
        { "graftctl", "call", "f.g", "--batch", "x" },
        { "graftctl", "unload", "x", "--wait", "-1" },
        { "graftctl", "new", "Bad-Name" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_int_equal(run_words(lines[i]), OUTCOME_USAGE);
}

static void words_behind_two_dashes_are_arguments(void **state)
{
    struct invocation in;

    (void)state;
    assert_int_equal(
        invocation_read(&in, 8, (char *[]){ "graftctl", "call", "--key=a", "f.g", "-5", "--", "--ro", "--" }),
        OUTCOME_DONE);
    assert_int_equal(in.arg_count, 4);
    assert_string_equal(in.args[1], "-5");
    assert_string_equal(in.args[2], "--ro");
    assert_string_equal(in.args[3], "--");
    assert_false(option_given(&in, "ro"));
    assert_string_equal(option_value(&in, "key"), "a");
    invocation_fini(&in);
}

static int make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(socket_path, sizeof socket_path, "%s/sock", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(socket_path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_come_in_order_however_they_arrive),
        cmocka_unit_test(a_peer_that_talks_before_it_listens_stops_nobody),
        cmocka_unit_test(a_request_is_kept_whole_or_not_at_all),
        cmocka_unit_test(tells_bad_peers_apart),
        cmocka_unit_test(finds_the_socket_by_its_rules),
        cmocka_unit_test(says_that_nobody_is_there),
        cmocka_unit_test(exit_codes_say_what_happened),
        cmocka_unit_test(bad_command_lines_are_usage),
        cmocka_unit_test(words_behind_two_dashes_are_arguments),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
