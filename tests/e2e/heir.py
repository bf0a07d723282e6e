# Takes a graftd's socket over and dies, as a broken new graftd would. argv: socket, when: given · released · silent.
#
# given: as soon as it has the socket. released: when the store is free. silent: as given, and its two pipes alone are closed.
import array
import os
import select
import socket
import sys
import time

path, when = sys.argv[1:3]
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(path)
s.sendall(b"SHUTDOWN HANDOVER\r\n")
reply, control, _, _ = s.recvmsg(512, socket.CMSG_SPACE(3 * 4))
assert reply == b"+HANDOVER own\r\n", reply
fds = array.array("i")
fds.frombytes(control[0][2])
listening, life, ready = fds
if when == "released":
    poll = select.poll()
    poll.register(life, select.POLLIN)
    assert poll.poll(20000), "the store was not released"
    assert os.read(life, 1) == b""
if when == "silent":
    os.close(life)
    os.close(ready)
    time.sleep(0.2)
