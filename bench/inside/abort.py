"""What an abort costs, by locks and undo records."""
import statistics
import time

from inside.kit import fails, running, source


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
