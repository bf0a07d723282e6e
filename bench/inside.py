"""What has no peer: graftd's own paths and limits. Each function measures one thing on daemons that it starts, and returns what goes into
the JSON and lines for people. Times are in µs unless they say ms or s."""
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

import resp
from servers import ROOT, Failed, Graftd, descendants, fill, run

ABOUT = {
    "overshoot": "how late the error of a spinning call is, on an idle machine and on one that is busy",
    "successor": "from the kill of a worker to the next answer",
    "vino": "VINO's paths: base, null, unsafe, safe, abort",
    "abort-cost": "a call that is taken back: a + b * locks + c * undo records",
    "first": "from GRAFT LOAD to the first answer",
    "grafts": "memory and speed, from 1 graft to 1000",
    "recovery": "start after SIGKILL, with a full log",
    "keys": "speed, from 10^3 keys on",
}


class Settings:
    """How much is measured; work has the build directory and the temporary one."""

    def __init__(self, build, tmp, quick, keys_max):
        self.build, self.tmp, self.quick, self.keys_max = build, tmp, quick, keys_max
        self.seconds = 0.1 if quick else 0.5
        self.times = 20 if quick else 200


class running:
    """A daemon of its own for one measure; it ends with it, and so does its directory."""

    def __init__(self, settings, name, policy=""):
        self.daemon = Graftd(settings.build, settings.tmp, name, policy)

    def __enter__(self):
        try:
            self.daemon.start()
        except BaseException:
            self.__exit__()
            raise
        return self.daemon

    def __exit__(self, *_):
        self.daemon.stop()
        shutil.rmtree(self.daemon.dir, ignore_errors=True)


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))]


def spread(values):
    return {"p50": percentile(values, 50), "p99": percentile(values, 99), "max": max(values), "times": len(values)}


def spread_line(what, s, unit):
    return "  %-46s p50 %8.2f  p99 %8.2f  max %8.2f %s (%d times)" % (what, s["p50"], s["p99"], s["max"], unit, s["times"])


def source(path):
    return os.path.join(ROOT, path)


def fails(client, *words):
    """The error that the words are answered with."""
    try:
        client.ask(*words)
    except resp.Error as error:
        return str(error)
    raise Failed("%s was to fail, and did not" % words[1])


# ---- what a bad graft costs ----

class busy:
    """A loop for each CPU that does nothing but use it, until the end; and at most for LOOP_SECONDS."""

    LOOP_SECONDS = 300

    def __enter__(self):
        loop = "import time\nend = time.monotonic() + %d\nwhile time.monotonic() < end: pass" % self.LOOP_SECONDS
        self.loops = [subprocess.Popen([sys.executable, "-c", loop]) for _ in os.sched_getaffinity(0)]

    def __exit__(self, *_):
        for loop in self.loops:
            loop.kill()
            loop.wait()


def lateness(client, limit_ms, times):
    late = []
    for _ in range(times):
        begun = time.monotonic()
        error = fails(client, "CALL", "loop.run", "TIMEOUT", limit_ms)
        late.append((time.monotonic() - begun) * 1000 - limit_ms)
        if not error.startswith("TIMEOUT"):
            raise Failed("loop.run was to time out, and said: " + error)
    return spread(late)


def overshoot(settings):
    limit_ms = 40
    with running(settings, "overshoot") as daemon:
        daemon.load_graft("loop", daemon.build_graft(source("tests/naughty/loop.c")))
        client = daemon.client()
        idle = lateness(client, limit_ms, settings.times)
        with busy():
            loaded = lateness(client, limit_ms, settings.times)
    return {"limit_ms": limit_ms, "late_ms": idle, "late_busy_ms": loaded}, [
        spread_line("after the limit of %d ms" % limit_ms, idle, "ms"),
        spread_line("the same, with every CPU busy", loaded, "ms"),
    ]


def leaves(pid):
    below = [child for child in descendants(pid)]
    return [child for child in below if not descendants(child)]


def successor(settings):
    took = []
    with running(settings, "successor") as daemon:
        daemon.load_graft("nop", daemon.build_graft(source("grafts/nop/nop.c")))
        client = daemon.client()
        for _ in range(settings.times):
            client.ask("FCALL", "nop.nop", 0)
            workers = leaves(daemon.process.pid)
            begun = time.monotonic()
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
            while not answers(client):
                pass
            took.append((time.monotonic() - begun) * 1000)
    found = spread(took)
    return {"ms": found}, [spread_line("kill -9 of the workers, to the next answer", found, "ms")]


def answers(client):
    try:
        client.ask("FCALL", "nop.nop", 0)
        return True
    except resp.Error:
        return False


# ---- VINO's table ----

class Vino:
    """One of the four grafts: how it is made ready, and how it is called; and its keys' values for the native program."""

    def __init__(self, name, function, ready, keys, args, values):
        self.name, self.function, self.ready, self.keys, self.args, self.values = name, function, ready, keys, args, values
        self.path = "grafts/vino/%s.c" % name

    def words(self, suffix=""):
        return ["FCALL", "%s%s.%s" % (self.name, suffix, self.function), str(len(self.keys))] + self.keys + self.args


def as_list(numbers):
    return b"".join(int(n).to_bytes(4, "little") for n in numbers)


def vino_grafts():
    numbers = [str(n) for n in range(100, 164)]
    turns = ["5", "900", "900", "2"]
    runnable = [str(n) for n in range(65, 1, -1) if n != 5]
    return [
        Vino("readahead", "next", ["FCALL", "readahead.plan", "1", "plan"] + numbers, ["plan", "place"], [numbers[32]],
             [as_list(numbers), b"0"]),
        Vino("evict", "choose", ["FCALL", "evict.keep", "1", "hot"] + numbers, ["hot"], numbers[-7:] + ["7"], [as_list(numbers)]),
        Vino("schedule", "next", ["FCALL", "schedule.delegate", "1", "turns"] + turns, ["turns"], ["5"] + runnable, [as_list(turns)]),
        Vino("encrypt", "block", ["SET", "secret", "s" * 32], ["secret", "count"], ["%8192"], [b"s" * 32, b"0"]),
    ]


def native(settings, path, function, pairs, args):
    """A function of a graft in a process of its own, without walls or daemon: µs."""
    program = os.path.join(settings.tmp, "native")
    run(os.environ.get("CC", "cc"), "-O2", "-I" + source("include"), "-DFUNCTION=graft_function_" + function, "-o", program,
        source("bench/native.c"), source(path))
    flat = [word for key, value in pairs for word in (key, value.hex())]
    return float(run(program, str(settings.seconds / 2), str(len(pairs)), *flat, *args)) / 1000


def vino_row(settings, daemon, graft):
    """VINO's paths of one graft: the latency of one client, in rounds, each path in turn; of the rounds' medians the median."""
    daemon.load_graft(graft.name, daemon.build_graft(source(graft.path)))
    daemon.load_graft(graft.name + "_abort", daemon.build_graft(source(graft.path), source("bench/abort.h")))
    daemon.client().ask(*graft.ready)
    paths = {"base": ["PING"], "null": ["FCALL", "nop.nop", "0"], "safe": graft.words(), "abort": graft.words("_abort")}
    found = {path: [] for path in paths}
    for _ in range(3):
        for path, words in paths.items():
            found[path].append(daemon.load(words, 1, 1, settings.seconds, errors=path == "abort")["p50"])
    args = ["x" * 8192 if arg == "%8192" else arg for arg in graft.args]
    row = {path: statistics.median(each) for path, each in found.items()}
    row["unsafe"] = native(settings, graft.path, graft.function, list(zip(graft.keys, graft.values)), args)
    return row


def vino(settings):
    """With durability off, as VINO had no disk in its transactions."""
    paths = ("base", "null", "unsafe", "safe", "abort")
    rows, lines = {}, ["  %-12s" % "graft" + "".join("%10s" % path for path in paths)]
    with running(settings, "vino", "durability off\n") as daemon:
        daemon.load_graft("nop", daemon.build_graft(source("grafts/nop/nop.c")))
        for graft in vino_grafts():
            row = rows[graft.name] = vino_row(settings, daemon, graft)
            lines.append("  %-12s" % graft.name + "".join("%10.2f" % row[path] for path in paths))
    return {"p50_us": rows}, lines


# ---- the cost of an abort ----

def least_squares(points):
    """(a, b, c) of a + b * x + c * y that fits points (x, y, z) best: the normal equations, by Gauss."""
    rows = [[1.0, x, y] for x, y, _ in points]
    m = [[sum(r[i] * r[j] for r in rows) for j in range(3)] + [sum(r[i] * p[2] for r, p in zip(rows, points))] for i in range(3)]
    for i in range(3):
        pivot = max(range(i, 3), key=lambda r: abs(m[r][i]))
        m[i], m[pivot] = m[pivot], m[i]
        for j in range(3):
            if j != i:
                factor = m[j][i] / m[i][i]
                m[j] = [a - factor * b for a, b in zip(m[j], m[i])]
    return [m[i][3] / m[i][i] for i in range(3)]


def average_error(fit, points):
    a, b, c = fit
    return statistics.mean(abs(a + b * x + c * y - z) for x, y, z in points)


def call_time(client, locks, undos, give_up):
    """The time of one call, with a pause behind it so that a fresh worker waits for the next."""
    words = ["FCALL", "work.locks", locks] + ["lock:%d" % i for i in range(locks)] + [undos, int(give_up)]
    begun = time.perf_counter()
    if give_up:
        fails(client, *words)
    else:
        client.ask(*words)
    took = (time.perf_counter() - begun) * 1e6
    time.sleep(0.003)
    return took


def abort_cost(settings):
    """Whole calls as their caller meets them, aborted and, to compare, committed: each kind in turn, in rounds, and the median of each.
    durability off, else the fsync would hide the rest."""
    kinds = [(locks, undos, give_up) for locks in (1, 8, 32, 64) for undos in (0, 16, 64, 256) for give_up in (False, True)]
    took = {kind: [] for kind in kinds}
    with running(settings, "abort-cost", "durability off\ngraft work { workers min 4 max 4 }\n") as daemon:
        daemon.load_graft("work", daemon.build_graft(source("bench/work.c")))
        client = daemon.client()
        for _ in range(settings.times // 4):
            for kind in kinds:
                took[kind].append(call_time(client, *kind))
    points = {how: [(locks, undos, statistics.median(took[locks, undos, give_up])) for locks, undos, give_up in kinds if give_up == which]
              for how, which in (("committed", False), ("aborted", True))}
    fits = {how: least_squares(of) for how, of in points.items()}
    lines = ["  a call that is %-10s %8.2f + %6.3f * locks + %6.3f * undo records us, off by %.1f on average"
             % (how, *fit, average_error(fit, points[how])) for how, fit in fits.items()]
    return {"fits_us": fits, "points": points}, lines


# ---- loading, and many grafts ----

def first(settings):
    load, answer = [], []
    with running(settings, "first") as daemon:
        code = daemon.build_graft(source("grafts/nop/nop.c"))
        client = daemon.client()
        for _ in range(settings.times // 4):
            begun = time.monotonic()
            client.ask("GRAFT", "LOAD", "nop", code)
            loaded = time.monotonic()
            client.ask("FCALL", "nop.nop", 0)
            load.append((loaded - begun) * 1000)
            answer.append((time.monotonic() - begun) * 1000)
            client.ask("GRAFT", "UNLOAD", "nop", "WAIT", 1000)
    result = {"load_ms": spread(load), "first_answer_ms": spread(answer)}
    return result, [spread_line("GRAFT LOAD", result["load_ms"], "ms"),
                    spread_line("and until the first answer", result["first_answer_ms"], "ms")]


def private_bytes(pids):
    """Memory that no other process shares."""
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                total += sum(int(line.split()[1]) * 1024 for line in f if line.startswith(("Private_Clean", "Private_Dirty")))
        except OSError:
            pass  # it has ended
    return total


def grafts(settings):
    """One built file, with another name written into it each time."""
    steps, lines = [], ["  %8s %14s %16s %12s %10s %10s" % ("grafts", "private MiB", "KiB for each", "processes", "nop/s", "p50 us")]
    with running(settings, "grafts") as daemon:
        code = daemon.build_graft(source("bench/many.c"))
        client = daemon.client()
        begun, loaded = private_bytes(daemon.pids()), 0
        for count in (1, 10, 100) if settings.quick else (1, 10, 100, 1000):
            for loaded in range(loaded, count):
                name = "many%04d" % loaded
                client.ask("GRAFT", "LOAD", name, code.replace(b"many0000", name.encode()))
            loaded = count
            time.sleep(0.2)  # what a load leaves to do
            pids = daemon.pids()
            private = private_bytes(pids)
            words = ["FCALL", "many%04d.nop" % (count - 1), "0"]
            step = {"grafts": count, "private_bytes": private, "each_bytes": (private - begun) / count, "processes": len(pids),
                    "rate": daemon.load(words, 16, 1, settings.seconds)["rate"], "p50": daemon.load(words, 1, 1, settings.seconds)["p50"]}
            steps.append(step)
            lines.append("  %8d %14.1f %16.1f %12d %10.0f %10.1f" % (count, private / 2**20, step["each_bytes"] / 1024, len(pids),
                                                                     step["rate"], step["p50"]))
    return {"before_bytes": begun, "steps": steps}, lines


# ---- recovery ----

LOG_FULL = 28 * 2**20  # graftd moves its log into the database at 32 MiB


def restart_ms(daemon):
    daemon.stop(signal.SIGKILL)
    begun = time.monotonic()
    daemon.start()
    return (time.monotonic() - begun) * 1000


def fill_log(daemon, seconds):
    """Load until the log is nearly full, and then SIGKILL, before it is moved: its size then."""
    wal = os.path.join(daemon.dir, "data/graftd.db-wal")
    load = subprocess.Popen(daemon.load_command(["SET", "blob:@", "%4096"], 16, 1, seconds), stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    try:
        while load.poll() is None and (not os.path.exists(wal) or os.path.getsize(wal) < LOG_FULL):
            time.sleep(0.002)
    finally:
        daemon.process.kill()
        load.wait()
    return os.path.getsize(wal)


def recovery(settings):
    result, lines = {}, []
    with running(settings, "recovery") as daemon:
        for _ in range(1 if settings.quick else 3):
            size = fill_log(daemon, 3 if settings.quick else 15)
            took = restart_ms(daemon)
            result.setdefault("full_log", []).append({"log_bytes": size, "ms": took})
            lines.append("  SIGKILL with a log of %.1f MiB: ready after %.1f ms" % (size / 2**20, took))
        client = daemon.client()
        client.ask("BEGIN")
        for i in range(4096):
            client.ask("SET", "open:%d" % i, b"x" * 4096)
        took = restart_ms(daemon)
        if daemon.client().ask("EXISTS", "open:0") != 0:
            raise Failed("a transaction that never ended is there after recovery")
        result["open_transaction"] = {"bytes": 4096 * 4096, "ms": took}
        lines.append("  SIGKILL with 16 MiB of a transaction that is open: undone and ready after %.1f ms" % took)
        took = restart_ms(daemon)
        result["nothing_to_do"] = {"ms": took}
        lines.append("  SIGKILL with nothing to do: ready after %.1f ms" % took)
    return result, lines


# ---- many keys ----

def keys(settings):
    """A transfer among ever more accounts. The cache (64 MiB) does not hold the last steps."""
    steps, lines, have = [], ["  %10s %14s %10s %10s %12s" % ("keys", "transfers/s", "p50 us", "p99 us", "data MiB")], 0
    with running(settings, "keys", "history size 16M\n") as daemon:
        daemon.load_graft("bank", daemon.build_graft(source("grafts/bank/bank.c")))
        words = daemon.words("transfer", 0)
        for power in range(3, (5 if settings.quick else settings.keys_max) + 1):
            fill(daemon.client(), 10**power, have)
            have = 10**power
            many = daemon.load(words, 16, 1, settings.seconds, keys=have)
            one = daemon.load(words, 1, 1, settings.seconds, keys=have)
            size = sum(os.path.getsize(os.path.join(daemon.dir, "data", f)) for f in ("graftd.db", "graftd.db-wal"))
            steps.append({"keys": have, "rate": many["rate"], "p50": one["p50"], "p99": one["p99"], "bytes": size})
            lines.append("  %10d %14.0f %10.1f %10.1f %12.1f" % (have, many["rate"], one["p50"], one["p99"], size / 2**20))
    return {"steps": steps}, lines


MEASURES = {name: globals()[name.replace("-", "_")] for name in ABOUT}
