# Listens where graftd tells how it is, and writes a line for each message. argv: the socket, a path or an abstract name (@…); the file of
# the lines.
import socket
import sys

listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listening.bind("\0" + sys.argv[1][1:] if sys.argv[1][0] == "@" else sys.argv[1])
with open(sys.argv[2], "w", buffering=1) as lines:
    while True:
        lines.write(listening.recv(4096).decode() + "\n")
