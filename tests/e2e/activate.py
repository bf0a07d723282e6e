# Starts a program as systemd does with a socket unit. argv: pid to name, or self; how many sockets; path; command.
import fcntl
import os
import socket
import sys

pid, count, path, command = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]
passed = []
for i in range(count):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path if i == 0 else path + str(i))
    s.listen(128)
    passed.append(fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 64))
for i, fd in enumerate(passed):
    os.dup2(fd, 3 + i, inheritable=True)
os.environ["LISTEN_PID"] = str(os.getpid()) if pid == "self" else pid
os.environ["LISTEN_FDS"] = str(count)
os.execvp(command[0], command)
