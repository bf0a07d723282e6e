"""What the measures share: a daemon for each, how numbers are summed up, and a graft's function without its walls."""
import os
import shutil

import resp
from servers import ROOT, Failed, Graftd, run


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


def native(settings, path, function, pairs, args):
    """A function of a graft in a process of its own, without walls or daemon: µs."""
    program = os.path.join(settings.tmp, "native")
    run(os.environ.get("CC", "cc"), "-O2", "-I" + source("include"), "-DFUNCTION=graft_function_" + function, "-o", program,
        source("bench/native.c"), source(path))
    flat = [word for key, value in pairs for word in (key, value.hex())]
    return float(run(program, str(settings.seconds / 2), str(len(pairs)), *flat, *args)) / 1000
