"""graftd beside other servers, and by itself: python3 run.py BUILD-DIRECTORY [options]. scripts/bench builds first, and doc/bench.md tells
what is measured, how, and how to read it."""
import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import time

import grid
import inside
import resp
import show
from servers import ACCOUNTS, AMOUNT, PEERS, Failed, Graftd, run

SPIN_US = 50


class Clock:
    """How long the whole may take: what would begin after it is left out, and said."""

    def __init__(self, seconds):
        self.begun, self.seconds, self.left_out = time.monotonic(), seconds, []

    def spent(self):
        return time.monotonic() - self.begun

    def allows(self, what, part=1.0):
        if self.spent() < self.seconds * part:
            return True
        self.left_out.append("%s: no time was left" % what)
        return False


def options():
    p = argparse.ArgumentParser(prog="scripts/bench", description="graftd beside redis, postgresql and tarantool, and by itself")
    p.add_argument("build", help=argparse.SUPPRESS)
    p.add_argument("--quick", action="store_true", help="about a minute: fewer cells, short rounds")
    p.add_argument("--rounds", type=int, help="of each cell (5; quick: 3)")
    p.add_argument("--seconds", type=float, help="of a run in a round (0.5; quick: 0.08)")
    p.add_argument("--limit", type=float, help="minutes for all; what would begin later is left out (14; quick: 2)")
    p.add_argument("--only", default="", help="kinds of work and measures, with commas: " + ",".join([*grid.WORKS, *inside.ABOUT]))
    p.add_argument("--peers", default=",".join(peer.name for peer in PEERS), help="whom to measure beside, with commas; '' is nobody")
    p.add_argument("--keys-max", type=int, default=6, help="the power of ten up to which keys grow (6)")
    p.add_argument("-o", "--out", help="where bench.json and bench.svg go (BUILD/bench)")
    o = p.parse_args()
    o.rounds = o.rounds or (3 if o.quick else 5)
    o.seconds = o.seconds or (0.08 if o.quick else 0.5)
    o.limit = 60 * (o.limit or (2 if o.quick else 14))
    o.only = [word for word in o.only.split(",") if word] or [*grid.WORKS, *inside.ABOUT]
    o.peers = [word for word in o.peers.split(",") if word]
    unknown = set(o.only) - {*grid.WORKS, *inside.ABOUT} | set(o.peers) - {peer.name for peer in PEERS}
    if unknown:
        p.error("unknown: " + ", ".join(sorted(unknown)))
    return o


def machine(tmp):
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
    return {"processors": os.cpu_count(), "model": model, "kernel": platform.release(), "load_at_start": os.getloadavg()[0],
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "file_system": file_system(tmp), "fsync_us": fsync_us(tmp)}


def file_system(path):
    """Its type: on tmpfs a sync is free, and nothing that is durable is measured."""
    with open("/proc/self/mounts") as f:
        mounts = [line.split()[1:3] for line in f]
    return max((mount for mount in mounts if (path + "/").startswith(mount[0].rstrip("/") + "/")), key=lambda mount: len(mount[0]))[1]


def fsync_us(folder):
    """What all that is durable waits for: 4 KiB more in a file, and fdatasync; the median."""
    took = []
    with open(os.path.join(folder, "fsync"), "wb", buffering=0) as f:
        for _ in range(50):
            begun = time.perf_counter()
            f.write(b"x" * 4096)
            os.fdatasync(f.fileno())
            took.append((time.perf_counter() - begun) * 1e6)
    return round(statistics.median(took), 1)


def versions(servers):
    found = {}
    for server in servers:
        program = {"graftd": [os.path.join(server.build, "bin/graftd"), "--version"], "redis": ["redis-server", "--version"],
                   "postgresql": [getattr(server, "bin", "") + "/postgres", "--version"], "tarantool": ["tarantool", "--version"]}
        found[server.name] = run(*program[server.name]).splitlines()[0]
        if server.name == "tarantool":
            found[server.name] += ", functions in " + ("C" if server.in_c else "Lua")
    return found


def start_all(o, tmp, left_out):
    servers = []
    for kind in [Graftd] + [peer for peer in PEERS if peer.name in o.peers]:
        server = kind(o.build, tmp)
        why = server.missing()
        try:
            if why is None:
                servers.append(server)
                server.start()
                server.prepare()
        except (Failed, resp.Error, OSError) as failed:
            why = str(failed)
            servers.remove(server)
            server.stop()
        if why is not None:
            left_out.append("%s: %s" % (server.name, why))
            if server.name == "graftd":
                raise Failed(why)
    return servers


def calibrate(o, tmp):
    """How many rounds of spin.h take 50 µs in C here."""
    settings = inside.Settings(o.build, tmp, o.quick, 0)
    return max(1, round(SPIN_US * 10000 / inside.native(settings, "bench/work.c", "spin", [], ["10000"])))


def check_totals(servers):
    """A transfer neither makes money nor loses it; whoever did was not doing this work."""
    for server in servers:
        if server.total() != ACCOUNTS * AMOUNT:
            raise Failed("%s: the accounts hold %d together after transfers, not %d" % (server.name, server.total(), ACCOUNTS * AMOUNT))


def measure_grid(o, servers, clock, spin_rounds, measured):
    peers = [server.name for server in servers if server.name != "graftd"]
    works = [work for work in grid.WORKS if work in o.only]
    if works:
        print("graftd's calls a second, and as a multiple of each peer's: median of %d rounds (least-greatest)\n" % o.rounds)
        print(show.heading(peers))
    for cell in grid.cells(works, o.quick):
        if not clock.allows("%s, %d clients, %d deep" % cell, 0.75 if set(o.only) & set(inside.ABOUT) else 1.0):
            continue
        runs, failed = grid.run_cell(servers, cell, o.rounds, o.seconds, spin_rounds)
        clock.left_out += ["%s, %d clients, %d deep: %s" % (*cell, "%s: %s" % pair) for pair in failed.items()]
        measured.append({"work": cell[0], "clients": cell[1], "pipeline": cell[2], "runs": runs, **grid.summary(runs)})
        print(show.line(measured[-1], peers), flush=True)
        if cell[0] == "transfer":
            check_totals(servers)
    if measured:
        print("\nlatencies in us: p50 / p99 / p99.9, medians of the rounds\n")
        print(show.latencies(measured, [server.name for server in servers]))


def measure_inside(o, tmp, clock):
    settings = inside.Settings(o.build, tmp, o.quick, o.keys_max)
    results = {}
    for name, about in inside.ABOUT.items():
        if name not in o.only or not clock.allows(name):
            continue
        print("\n%s: %s" % (name, about), flush=True)
        try:
            results[name], lines = inside.MEASURES[name](settings)
            print("\n".join(lines))
        except (Failed, resp.Error, OSError) as why:
            clock.left_out.append("%s: %s" % (name, why))
    return results


def write_out(o, result):
    folder = o.out or os.path.join(o.build, "bench")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "bench.json"), "w") as f:
        json.dump(result, f, indent=1)
    m = result["machine"]
    peers = [name for name in result["versions"] if name != "graftd"]
    svg = show.chart(result["cells"], peers, "%s; %d processors, %s; dot: median of %d rounds, line: least to greatest"
                     % (m["at"][:10], m["processors"], m["model"], o.rounds))
    if svg is not None:
        with open(os.path.join(folder, "bench.svg"), "w") as f:
            f.write(svg)
    print("\n%s has bench.json%s; doc/bench.md tells how to read them." % (folder, " and bench.svg" if svg else ""))


def bench(o, tmp, clock):
    result = {"machine": machine(tmp), "rounds": o.rounds, "seconds": o.seconds, "cells": []}
    servers = []
    print("%(processors)d processors, %(model)s, load %(load_at_start).2f; %(file_system)s, a sync takes %(fsync_us).0f us" % result["machine"])
    if result["machine"]["file_system"] == "tmpfs":
        print("a sync costs nothing on tmpfs: set TMPDIR to a directory on a disk")
    try:
        servers = start_all(o, tmp, clock.left_out) if set(o.only) & set(grid.WORKS) else []
        result["versions"] = versions(servers)
        result["spin_rounds"] = calibrate(o, tmp)
        measure_grid(o, servers, clock, result["spin_rounds"], result["cells"])
    finally:
        for server in servers:
            server.stop()
    result["inside"] = measure_inside(o, tmp, clock)
    result["machine"]["load_at_end"] = os.getloadavg()[0]
    result["left_out"] = clock.left_out
    for line in clock.left_out:
        print("left out: " + line)
    write_out(o, result)
    print("%.0f s" % clock.spent())


def main():
    o = options()
    o.build = os.path.abspath(o.build)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tmp = tempfile.mkdtemp(prefix="graftd-bench-")
    os.chmod(tmp, 0o711)  # PostgreSQL, as a user of its own, has a directory inside
    try:
        bench(o, tmp, Clock(o.limit))
    except (Failed, resp.Error, OSError) as why:
        sys.exit("bench: %s" % why)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


main()
