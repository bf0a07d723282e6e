"""What a bad graft costs the others: how late it is stopped, and when the next call is answered."""
import contextlib
import os
import signal
import subprocess
import sys
import time

import resp
from inside.kit import fails, running, source, spread, spread_line
from servers import Failed, descendants


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
                with contextlib.suppress(ProcessLookupError):  # a spare one may just have been dismissed
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
