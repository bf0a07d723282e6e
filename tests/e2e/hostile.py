# A client that asks for much at once, and one that goes away in two steps. argv: socket.
import socket
import sys
import time


def enc(*words):
    words = [w if isinstance(w, bytes) else w.encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def client():
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.settimeout(20)
    return s


def ask(s, *words):
    s.sendall(enc(*words))
    time.sleep(0.1)
    return s.recv(1 << 16)


a = client()
big = b"x" * (4 << 20)
a.sendall(enc("SET", "big", big))
assert a.recv(16) == b"+OK\r\n"

count = 100  # more than all output that a client may have waiting
b = client()
b.sendall(enc("GET", "big") * count)
want, got = count * (len(b"$%d\r\n" % len(big)) + len(big) + 2), 0
while got < want:
    data = b.recv(1 << 20)
    assert data, "cut after %d of %d bytes" % (got, want)
    got += len(data)

assert ask(a, "BEGIN") == b"+OK\r\n"
assert ask(a, "SET", "lock", "1") == b"+OK\r\n"
b = client()
b.sendall(enc("MSET", "half", "1", "lock", "2"))
time.sleep(0.1)
b.shutdown(socket.SHUT_WR)
time.sleep(0.1)
b.close()
time.sleep(0.2)
assert ask(a, "COMMIT") == b"+OK\r\n"
assert ask(a, "MGET", "half", "lock") == b"*2\r\n$-1\r\n$1\r\n1\r\n", "what a lost client asked for was done"
