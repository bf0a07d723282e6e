"""The servers that are measured: how each is started on a Unix socket in a directory of its own, at the same durability, with the same
functions and the same accounts; and how each is asked for the same work. What is started is ended, by its process id."""
import glob
import json
import os
import pwd
import shutil
import signal
import subprocess
import time

import resp

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
ACCOUNTS = 10000
AMOUNT = 10**9
START_SECONDS = 30
STOP_SECONDS = 20


class Failed(Exception):
    """What could not be started or measured, and why."""


def run(*words, **more):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode != 0:
        raise Failed("%s: %s" % (os.path.basename(words[0]), (done.stderr or done.stdout).strip()[-500:]))
    return done.stdout


class Server:
    name = ""
    program = ""  # whose absence leaves it out
    loader = ""  # the load generator
    stop_signal = signal.SIGTERM

    def __init__(self, build, tmp):
        self.build = build
        self.dir = os.path.join(tmp, self.name)
        self.socket = os.path.join(self.dir, "socket")
        self.process = None
        self.user = None

    def missing(self):
        """Why it cannot be measured here, or None."""
        if self.program and shutil.which(self.program) is None:
            return "%s is not installed" % self.program
        if not os.path.exists(self.tool(self.loader)):
            return "bench/%s was not built: its headers are missing" % self.loader
        return None

    def tool(self, name):
        return os.path.join(self.build, "bench", name)

    def spawn(self, *words):
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, cwd=self.dir, user=self.user)

    def await_ready(self, is_ready):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if is_ready():
                    return
            except (OSError, resp.Error, Failed):
                pass
            time.sleep(0.002)
        raise Failed("%s did not start: %s" % (self.name, self.last_words()))

    def last_words(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as log:
            return log.read()[-600:]

    def stop(self, with_signal=None):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(with_signal or self.stop_signal)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def total(self):
        """What is on all accounts together."""
        raise NotImplementedError

    def address(self):
        return self.socket

    def load_command(self, words, clients, pipeline, seconds, errors=False):
        return [self.tool(self.loader), self.address(), str(clients), str(pipeline), str(seconds)] + ["-e"] * errors + list(words)

    def load(self, words, clients, pipeline, seconds, errors=False, keys=ACCOUNTS):
        """One run: calls a second, and latencies in µs, as the load generator prints them."""
        command = self.load_command(words, clients, pipeline, seconds, errors)
        try:
            return json.loads(run(*command, env=dict(os.environ, KEYS=str(keys)), timeout=seconds + 60))
        except subprocess.TimeoutExpired:
            raise Failed("%s gave no figures in time" % os.path.basename(command[0]))


class Graftd(Server):
    name = "graftd"
    loader = "load_resp"
    policy = 'graft default { allow read write kv "*" }\n'

    def __init__(self, build, tmp, name="graftd", policy=""):
        self.name = name
        super().__init__(build, tmp)
        self.policy = policy + Graftd.policy

    def start(self):
        os.makedirs(self.dir, exist_ok=True)
        with open(os.path.join(self.dir, "policy.scfg"), "w") as f:
            f.write(self.policy)
        self.spawn(os.path.join(self.build, "bin/graftd"), "--data", os.path.join(self.dir, "data"), "--policy",
                   os.path.join(self.dir, "policy.scfg"), "--socket", self.socket)
        self.await_ready(lambda: self.client().ask("PING") == "PONG")

    def client(self):
        return resp.Client(self.socket)

    def build_graft(self, source, before=None):
        """The built graft's bytes. before: a header to put before its source."""
        out = os.path.join(self.dir, "built.graft")
        if before is not None:
            wrapper = os.path.join(self.dir, "wrapped.c")
            with open(wrapper, "w") as f:
                f.write('#include "%s"\n#include "%s"\n' % (before, source))
            source = wrapper
        run(os.path.join(self.build, "bin/graftctl"), "build", source, "-o", out,
            env=dict(os.environ, GRAFT_INCLUDE=os.path.join(ROOT, "include")))
        with open(out, "rb") as f:
            return f.read()

    def load_graft(self, name, code, *options):
        return self.client().ask("GRAFT", "LOAD", name, code, *options)

    def prepare(self):
        for name, source in (("nop", "grafts/nop/nop.c"), ("bank", "grafts/bank/bank.c"), ("work", "bench/work.c")):
            self.load_graft(name, self.build_graft(os.path.join(ROOT, source)))
        fill(self.client(), ACCOUNTS)

    def words(self, work, rounds):
        return {
            "nop": ["FCALL", "nop.nop", "0", "hello"],
            "transfer": ["FCALL", "bank.transfer", "2", "acct:@", "acct:@", "1"],
            "incr": ["INCR", "acct:@"],
            "put": ["SET", "blob:@", "%4096"],
            "spin": ["FCALL", "work.spin", "0", rounds],
            "abort": ["FCALL", "work.give_up", "2", "acct:@", "acct:@"],
            "nested": ["FCALL", "work.outer", "2", "acct:@", "acct:@"],
        }.get(work)

    def total(self):
        return total(self.client())

    def pids(self):
        """The daemon and all below it."""
        return [self.process.pid] + descendants(self.process.pid)


class Redis(Server):
    name = "redis"
    program = "redis-server"
    loader = "load_resp"

    def start(self):
        os.makedirs(self.dir, exist_ok=True)
        self.spawn("redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.dir, "--appendonly", "yes",
                   "--appendfsync", "always", "--save", "")
        self.await_ready(lambda: resp.Client(self.socket).ask("PING") == "PONG")

    def prepare(self):
        client = resp.Client(self.socket)
        with open(os.path.join(HERE, "peers/redis.lua"), "rb") as f:
            client.ask("FUNCTION", "LOAD", f.read())
        fill(client, ACCOUNTS)

    def total(self):
        return total(resp.Client(self.socket))

    def words(self, work, rounds):
        return {
            "nop": ["FCALL_RO", "nop", "0", "hello"],
            "transfer": ["FCALL", "transfer", "2", "acct:@", "acct:@", "1"],
            "incr": ["INCR", "acct:@"],
            "put": ["SET", "blob:@", "%4096"],
            "spin": ["FCALL_RO", "spin", "0", rounds],
            "nested": ["FCALL", "outer", "1", "acct:@", "acct:@"],
        }.get(work)


class Postgresql(Server):
    name = "postgresql"
    loader = "load_pg"
    stop_signal = signal.SIGINT  # fast: does not wait for clients

    def __init__(self, build, tmp):
        super().__init__(build, tmp)
        self.bin = max(glob.glob("/usr/lib/postgresql/*/bin"), default="", key=lambda path: float(path.split("/")[4]))

    def missing(self):
        return super().missing() if os.path.exists(self.bin + "/initdb") else "postgresql is not installed"

    def start(self):
        os.makedirs(self.dir, exist_ok=True)
        if os.getuid() == 0:  # which PostgreSQL does not run as
            self.user = "postgres"
            os.chown(self.dir, pwd.getpwnam(self.user).pw_uid, -1)
        data = os.path.join(self.dir, "data")
        run(self.bin + "/initdb", "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C", user=self.user, cwd=self.dir)
        self.spawn(self.bin + "/postgres", "-D", data, "-k", self.dir, "-c", "listen_addresses=", "-c", "fsync=on",
                   "-c", "synchronous_commit=on")
        self.await_ready(lambda: self.psql("-c", "SELECT 1"))

    def psql(self, *words):
        return run(self.bin + "/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", self.address(), *words)

    def address(self):
        return "host=%s user=bench dbname=postgres" % self.dir

    def prepare(self):
        self.psql("-f", os.path.join(HERE, "peers/postgresql.sql"))
        self.psql("-c", "INSERT INTO account SELECT 'acct:' || lpad(i::text, 8, '0'), %d FROM generate_series(0, %d) i"
                  % (AMOUNT, ACCOUNTS - 1))
        self.psql("-c", "VACUUM ANALYZE")

    def total(self):
        return int(self.psql("-tAc", "SELECT sum(value) FROM account"))

    def words(self, work, rounds):
        return {
            "nop": ["SELECT nop($1)", "hello"],
            "transfer": ["SELECT transfer($1, $2, $3)", "acct:@", "acct:@", "1"],
            "incr": ["UPDATE account SET value = value + 1 WHERE key = $1 RETURNING value", "acct:@"],
            "put": ["INSERT INTO blob VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value", "blob:@", "%4096"],
            "spin": ["SELECT spin($1)", rounds],
            "abort": ["SELECT give_up($1, $2)", "acct:@", "acct:@"],
            "nested": ["SELECT outer_call($1, $2)", "acct:@", "acct:@"],
        }.get(work)


class Tarantool(Server):
    name = "tarantool"
    program = "tarantool"
    loader = "load_tarantool"
    in_c = False

    def start(self):
        os.makedirs(self.dir, exist_ok=True)
        if os.path.exists(self.tool("tarantool_work.so")):
            shutil.copy(self.tool("tarantool_work.so"), self.dir)
            self.in_c = True
        self.spawn("tarantool", os.path.join(HERE, "peers/tarantool.lua"), self.dir, str(ACCOUNTS), str(AMOUNT))
        self.await_ready(lambda: os.path.exists(os.path.join(self.dir, "ready")))

    def prepare(self):
        pass  # tarantool.lua has done it

    def total(self):
        return int(run("tarantool", os.path.join(HERE, "peers/tarantool_total.lua"), self.socket))

    def words(self, work, rounds):
        prefix = "tarantool_work." if self.in_c else ""
        return {
            "nop": [prefix + "nop", "hello"],
            "transfer": [prefix + "transfer", "acct:@", "acct:@", "1"],
            "incr": ["add", "acct:@"],
            "put": ["replace", "blob:@", "%4096"],
            "spin": [prefix + "spin", rounds],
            "abort": [prefix + "give_up", "acct:@", "acct:@"],
            "nested": ["outer", "acct:@", "acct:@"],
        }.get(work)


PEERS = [Redis, Postgresql, Tarantool]


def fill(client, keys, begin=0):
    """The accounts from begin up to keys, 1000 in a request, and 8 requests under way."""
    under_way = 0
    for first in range(begin, keys, 1000):
        words = ["MSET"]
        for i in range(first, min(first + 1000, keys)):
            words += ["acct:%08d" % i, AMOUNT]
        client.send(*words)
        under_way += 1
        if under_way == 8:
            client.receive()
            under_way -= 1
    for _ in range(under_way):
        client.receive()


def total(client):
    return sum(int(value) for first in range(0, ACCOUNTS, 1000)
               for value in client.ask("MGET", *("acct:%08d" % i for i in range(first, first + 1000))))


def descendants(pid):
    found = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, task)) as f:
                found += [int(word) for word in f.read().split()]
    except OSError:
        return []
    return found + [below for child in found for below in descendants(child)]
