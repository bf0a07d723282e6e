"""The same work for all servers, in turn: the cells of the table, each a kind of work with so many clients and so deep a pipeline. Each
cell is run in rounds, and in each round every server gets its turn, so that a machine that gets slower does so for all; a ratio
is of two runs of one round."""
import statistics

from servers import Failed

WORKS = {
    "nop": "a call that gives back its argument",
    "transfer": "2 reads and 2 writes, on disk",
    "incr": "one number one up, without a function",
    "put": "4 KiB under a key, without a function",
    "spin": "a computation of 50 µs in C",
    "abort": "2 writes, and an error that takes them back",
    "nested": "a write, and one in a call inside",
}
FIGURES = ("rate", "p50", "p99", "p999")


def cells(works, quick):
    shapes = [(1, 1), (16, 1), (16, 16)] if quick else [(c, p) for p in (1, 16) for c in (1, 16, 64)]
    return [(work, clients, pipeline) for work in works for clients, pipeline in shapes]


def run_cell(servers, cell, rounds, seconds, spin_rounds):
    """{server: [figures of each round]}, and what failed: {server: why}. A server that has no such work is in neither."""
    work, clients, pipeline = cell
    runs, failed = {}, {}
    for number in range(rounds):
        turn = number % len(servers)
        for server in servers[turn:] + servers[:turn]:
            words = server.words(work, str(spin_rounds))
            if words is None or server.name in failed:
                continue
            try:
                runs.setdefault(server.name, []).append(server.load(words, clients, pipeline, seconds, errors=work == "abort"))
            except Failed as why:
                failed[server.name] = str(why)
                runs.pop(server.name, None)
    return runs, failed


def summary(runs):
    """For each server the medians of its figures, and for each peer how graftd's rate compares, round by round."""
    medians = {name: {f: statistics.median(run[f] for run in of) for f in FIGURES} for name, of in runs.items()}
    ratios = {}
    for name, of in runs.items():
        if name != "graftd" and "graftd" in runs:
            each = [ours["rate"] / theirs["rate"] for ours, theirs in zip(runs["graftd"], of)]
            ratios[name] = {"median": statistics.median(each), "min": min(each), "max": max(each)}
    return {"medians": medians, "ratios": ratios}
