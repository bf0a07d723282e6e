# Calls that wait for one worker, of three users. argv: socket. A call's reply is the number of its turn.
import os
import socket
import sys
import time


def enc(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)


def client(uid):  # who asks is who connects
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    os.seteuid(uid)
    s.connect(sys.argv[1])
    os.seteuid(0)
    return s


def ask(s, *words):
    s.sendall(enc(*words))
    return s.recv(1 << 20)


holder, lister = client(0), client(0)
assert ask(holder, "BEGIN") == b"+OK\r\n"
assert ask(holder, "SET", "turn", "0") == b"+OK\r\n"


def calls(uid, count, waiting):  # all that wait so far, with these
    clients = [client(uid) for _ in range(count)]
    for c in clients:
        c.sendall(enc("FCALL", "bank.deposit", "1", "turn", "1"))
    deadline = time.monotonic() + 20
    while ask(lister, "TXN", "LIST", "COUNT", "1000").count(b"bank.deposit") < waiting:
        assert time.monotonic() < deadline, "they do not wait"
        time.sleep(0.01)
    return clients


many = calls(1001, 30, 30)
few = calls(1002, 3, 33)
one = calls(1003, 1, 34)
gone = few.pop()  # one that leaves the queue takes nobody's turn
gone.close()
assert ask(holder, "ROLLBACK") == b"+OK\r\n"
turns = [[int(c.recv(100)[1:]) for c in clients] for clients in (many, few, one)]
assert sorted(sum(turns, [])) in (list(range(1, 34)), list(range(1, 35))), turns
assert turns[0] == sorted(turns[0]) and turns[1] == sorted(turns[1]), turns
assert turns[2][0] <= 5 and turns[1][1] <= 9, turns

# A connection that sends its calls without waiting has a few in a row, and then it is somebody else's turn.
assert ask(holder, "DEL", "turn") == b":1\r\n"
assert ask(holder, "BEGIN") == b"+OK\r\n"
assert ask(holder, "SET", "turn", "0") == b"+OK\r\n"
deep = client(1001)
deep.sendall(enc("FCALL", "bank.deposit", "1", "turn", "1") * 200)
one = calls(1003, 1, 2)[0]
assert ask(holder, "ROLLBACK") == b"+OK\r\n"
turn = int(one.recv(100)[1:])
assert turn <= 20, turn
replies = b""
while replies.count(b"\r\n") < 200:
    got = deep.recv(1 << 20)
    assert got, replies
    replies += got
assert [int(r[1:]) for r in replies.split()] == [n for n in range(1, 202) if n != turn], replies
