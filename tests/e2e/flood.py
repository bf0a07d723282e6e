# Clients that want more than their share. argv: socket, what to do, its arguments. Rules are asserted; floods just run.
import os
import re
import resource
import socket
import sys
import threading
import time

path, what, rest = sys.argv[1], sys.argv[2], sys.argv[3:]


def enc(*words):
    words = [w if isinstance(w, bytes) else w.encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def client(timeout=20):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(path)
    return s


def answer(s):
    try:
        return s.recv(1 << 16)
    except ConnectionError:
        return b""


def ask(s, *words):
    s.sendall(enc(*words))
    return answer(s)


def to_the_end(s):  # all that still comes
    got = b""
    while True:
        data = answer(s)
        if not data:
            return got
        got += data


def lives(s):
    return ask(s, "PING") == b"+PONG\r\n"


def info(name):
    s = client()
    s.sendall(enc("INFO", "clients"))
    text = answer(s).decode()
    return int([line for line in text.splitlines() if line.startswith(name + ":")][0].split(":")[1])


# ---- rules ----


def refused(s):
    reply = to_the_end(s)
    assert re.match(rb"-BUSY .* in the policy\. limit=clients(-per-user)? allowed=\d+ used=\d+\r\n$", reply), reply
    return reply


def as_user(uid, work):  # in a process of its own
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            work()
            os._exit(0)
        except BaseException as e:
            print(repr(e))
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def places(per_user, all_users):  # both limits; as root another user is there, too
    mine = [client() for _ in range(per_user)]
    assert all(lives(s) for s in mine)
    reply = refused(client())
    assert b"may have no more: close some, or raise `limit clients-per-user`" in reply, reply
    assert b"limit=clients-per-user allowed=%d used=%d" % (per_user, per_user) in reply, reply

    def another():
        others = [client() for _ in range(all_users - per_user)]
        assert all(lives(s) for s in others)
        assert b"limit=clients allowed=%d used=%d" % (all_users, all_users) in refused(client())

    if os.getuid() == 0:
        as_user(12345, another)
    mine.pop().close()
    deadline = time.monotonic() + 10
    while True:  # the place is free as soon as the daemon saw it
        s = client()
        if lives(s):
            break
        assert time.monotonic() < deadline, "the place did not become free"


def lingering(per_user):  # closed connections that still owe replies have a place
    s = client()
    assert ask(s, "SET", "big", b"x" * (4 << 20)) == b"+OK\r\n"
    owing = []
    for _ in range(per_user - 1):
        c = client()
        c.sendall(enc("GET", "big") + enc("QUIT"))
        owing.append(c)
    assert lives(s)
    refused(client())


def half():  # the first half of a request; the second never comes, or one byte at a time
    for begin in (b"*2\r\n$4\r\nECHO\r\n$5\r\nhe", b"PIN", b"*", b"*1\r\n$60000000\r\n" + b"x" * 100000):
        s = client()
        s.sendall(begin)
        assert b"-TIMEOUT the rest of a request did not come" in to_the_end(s), begin
    s = client()
    begin = time.monotonic()
    try:
        s.sendall(b"*2\r\n$4\r\nECHO\r\n$1000\r\n")
        while time.monotonic() < begin + 20:
            s.sendall(b"x")
            time.sleep(0.02)
    except ConnectionError:
        pass
    assert time.monotonic() < begin + 10, "who sends a byte now and then is heard for ever"
    idle = client()
    time.sleep(1)
    assert lives(idle), "one that just waits was closed"


def unread():  # replies that nobody reads
    s = client()
    assert ask(s, "SET", "big", b"x" * (8 << 20)) == b"+OK\r\n"
    before = info("clients_stalled")
    c = client()
    c.sendall(enc("GET", "big"))
    deadline = time.monotonic() + 20
    while info("clients_stalled") == before:
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.05)
    slow = client()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(enc("GET", "big"))
    got = 0
    while got < (8 << 20):  # slow, but it reads
        got += len(slow.recv(1 << 18))
        time.sleep(0.02)
    assert lives(s)


def stuck(seconds):  # stays, with replies that it does not read
    c = client()
    try:
        c.sendall(enc("GET", "big") * 20)
        time.sleep(float(seconds))
    except ConnectionError:
        pass


def heavy():  # requests that are half sent hold memory: a bound for all that one user has
    before = info("clients_heavy")
    held = []
    for _ in range(25):
        c = client()
        try:
            c.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000000\r\n")
            c.sendall(b"x" * 19000000)
        except ConnectionError:
            pass
        held.append(c)
    assert info("clients_heavy") > before
    told = [to_the_end(c) for c in held]
    assert sum(t.startswith(b"-BUSY requests and replies in the works hold more") for t in told) > 5, told
    s = client()
    assert lives(s)
    assert ask(s, "SET", "small", b"x" * 100000) == b"+OK\r\n"


def short():  # the daemon has little memory left: who wants much is closed, who wants little is served
    s = client()
    assert lives(s)
    for _ in range(20):
        c = client(10)
        try:
            c.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$60000000\r\n" + b"x" * 50000000)
            assert not to_the_end(c), "it was answered"
        except ConnectionError:
            pass
        assert lives(s)
        assert ask(s, "SET", "small", b"x" * 1000) == b"+OK\r\n"
        assert ask(s, "FCALL", "bank.deposit", "1", "short", "1").startswith(b":")


def shapes():  # what no client should send
    for bad in (
        b"*1\r\n*1\r\n$4\r\nPING\r\n",
        b"*1\r\n" * 50000,
        b"*1\r\n$999999999999999999999\r\n",
        b"*99999999\r\n",
        b"*-5\r\n",
        b"*1\r\n$-1\r\n",
        b"x" * 200000,
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67000000\r\n",
        os.urandom(100000) + b"\r\n",
    ):
        s = client()
        try:
            s.sendall(bad)
            s.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass
        to_the_end(s)
        assert lives(client()), bad[:40]
    s = client()
    s.sendall(enc("PING") * 20000)
    s.shutdown(socket.SHUT_WR)
    assert to_the_end(s) == b"+PONG\r\n" * 20000, "half-closed, and not everything was answered"


# ---- floods, until the file appears ----


def until(enough, work):
    while not os.path.exists(enough):
        try:
            work()
        except OSError:
            time.sleep(0.001)


def flood_connects(enough):
    until(enough, lambda: client().close())


def flood_held(enough):
    held = []

    def more():
        held.append(client())
        if len(held) > 400:
            del held[:]

    until(enough, more)


def flood_pipeline(enough):
    def work():
        s = client()
        s.setblocking(False)
        burst = enc("PING") * 2000
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            try:
                s.send(burst)
            except BlockingIOError:
                pass
            try:
                while s.recv(1 << 20):
                    pass
            except BlockingIOError:
                pass

    until(enough, work)


def flood_unread(enough):
    def work():
        clients = [client() for _ in range(5)]
        for c in clients:
            c.sendall(enc("GET", "big") * 50)
        time.sleep(0.3)

    until(enough, work)


def flood_halves(enough):
    def work():
        clients = [client() for _ in range(5)]
        for c in clients:
            c.sendall(b"*2\r\n$4\r\nECHO\r\n$9000000\r\n" + b"x" * 8000000)
        time.sleep(0.1)

    until(enough, work)


def flood_noise(enough):
    until(enough, lambda: client().sendall(os.urandom(5000)))


def flood_calls(function, enough):
    until(enough, lambda: ask(client(), "CALL", function))


def storm(enough, *functions):
    work = [flood_connects, flood_held, flood_pipeline, flood_unread, flood_halves, flood_noise]
    threads = [threading.Thread(target=w, args=(enough,)) for w in work]
    threads += [threading.Thread(target=flood_calls, args=(f, enough)) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


# ---- somebody else ----


def bystander(label, count):  # calls of a graft that has nothing to do with it: none may fail
    s = client(60)
    times = []
    for i in range(int(count)):
        begin = time.monotonic()
        reply = ask(s, "FCALL", "bank.deposit", "1", "bystander", "1")
        times.append(time.monotonic() - begin)
        assert reply.startswith(b":"), (i, reply)
    times.sort()
    print("%s: %s calls, p50 %.2f ms, p99 %.2f ms, max %.1f ms" % (
        label, count, times[len(times) // 2] * 1e3, times[len(times) * 99 // 100] * 1e3, times[-1] * 1e3))


resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
globals()[what](*(int(a) if a.isdigit() else a for a in rest))
