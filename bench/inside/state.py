"""The store: how long recovery takes, and what many keys cost."""
import os
import signal
import subprocess
import time

from inside.kit import running, source
from servers import Failed, fill


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
