# Clients that connect, write and read while daemons change. A refusal to connect ends it with 1. argv: socket, a file that ends it.
#
# A write that was answered must be there; one that was cut off may or may not be. So each client counts with INCR, and the
# counter must be between what was answered and what was sent.
import os
import socket
import sys
import threading
import time

CLIENTS = 4
path, enough = sys.argv[1:3]
failed = []
connects = [0] * CLIENTS
waits = []


def ask(stream, words):
    stream.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
    reply = b""
    while not reply.endswith(b"\r\n"):
        data = stream.recv(4096)
        if not data:
            raise ConnectionResetError("cut off")
        reply += data
    return reply


def run(number):
    answered = sent = 0
    key = b"counter:%d" % number
    while not os.path.exists(enough):
        begin = time.monotonic()
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(20)
        try:
            stream.connect(path)
        except OSError as e:  # whatever it is: the socket must take everybody in
            failed.append("connect: %s" % e)
            return
        connects[number] += 1
        try:
            for _ in range(3):
                sent += 1
                reply = ask(stream, [b"INCR", key])
                if reply.startswith(b":"):
                    now = int(reply[1:])
                    if not answered < now <= sent:
                        failed.append("%d answered and %d sent, and the counter is %d" % (answered, sent, now))
                        return
                    answered = sent = now
                elif not reply.startswith(b"-BUSY"):
                    failed.append("INCR: %r" % reply)
                    return
                else:
                    sent -= 1
        except (ConnectionError, BrokenPipeError):
            pass  # whether it took place is not known
        stream.close()
        waits.append(time.monotonic() - begin)


threads = [threading.Thread(target=run, args=(n,)) for n in range(CLIENTS)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print("%d connections, the longest wait %.0f ms" % (sum(connects), max(waits) * 1000 if waits else 0))
for f in failed:
    print(f)
sys.exit(1 if failed else 0)
