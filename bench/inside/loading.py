"""Loading grafts: the time to the first answer, and what many of them take."""
import time

from inside.kit import running, source, spread, spread_line


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
