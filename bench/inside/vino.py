"""VINO's table: its four grafts, by each of its paths."""
import statistics

from inside.kit import native, running, source


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
