"""What a runaway costs the others, measured from outside: python3 latency.py overshoot|successor DAEMON-PID

overshoot   many calls of loop.run, one by one: how much later than its limit of time each error comes
successor   kill -9 to the worker of nop, many times: how long until the next call of nop is answered

It speaks RESP itself, over $GRAFTD_SOCKET. Prints one line.
"""
import os
import signal
import socket
import sys
import time

LIMIT_MS = 40  # of time by the clock; the policy allows more, of CPU too


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.reader = self.socket.makefile("rb")

    def ask(self, *words):
        """The first line of the reply, which is all of it for what is asked here."""
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word.encode()))
        self.socket.sendall(b"".join(parts))
        return self.reader.readline().decode()


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))]


def tell(what, values):
    print("  %-58s p50 %6.2f ms   p99 %6.2f ms   max %6.2f ms   (%d times)"
          % (what, percentile(values, 50), percentile(values, 99), max(values), len(values)))


def overshoot(client):
    late = []
    for _ in range(200):
        begun = time.monotonic()
        error = client.ask("CALL", "loop.run", "TIMEOUT", str(LIMIT_MS))
        took = (time.monotonic() - begun) * 1000
        if not error.startswith("-TIMEOUT"):
            sys.exit("loop.run was to time out, and said: " + error)
        late.append(took - LIMIT_MS)
    tell("error of a spinning call, after its limit of %d ms" % LIMIT_MS, late)


def children(pid):
    found = []
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/children" % (pid, task)) as f:
            found += [int(word) for word in f.read().split()]
    return found


def leaves(pid):
    below = children(pid)
    return [leaf for child in below for leaf in leaves(child)] if below else [pid]


def successor(client, daemon):
    took = []
    while len(took) < 200:
        if not client.ask("FCALL", "nop.nop", "0").startswith("$"):
            sys.exit("nop.nop does not answer")
        workers = leaves(daemon)
        begun = time.monotonic()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        while not client.ask("FCALL", "nop.nop", "0").startswith("$"):
            pass
        took.append((time.monotonic() - begun) * 1000)
    tell("answer by the successor, after kill -9 of the worker", took)


def main():
    client = Client(os.environ["GRAFTD_SOCKET"])
    if sys.argv[1] == "overshoot":
        overshoot(client)
    else:
        successor(client, int(sys.argv[2]))


main()
