"""undo.py SOCKET SEED STEPS FILES: random changes of keys, timers and files (in the directory FILES), and random ones of them taken back,
put again, or with all that builds on them.

After each step the state must be that of a run that never did what is taken back. Prints nothing when all is well.
"""
import os
import random
import socket
import sys


class Refused(Exception):
    pass


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            data = str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self.socket.sendall(b"".join(parts))
        return self.reply()

    def reply(self):
        line = self.file.readline().rstrip(b"\r\n").decode()
        kind, rest = line[0], line[1:]
        if kind == "-":
            raise Refused(rest)
        if kind == ":":
            return int(rest)
        if kind == "+":
            return rest
        n = int(rest)
        if n < 0:
            return None
        if kind == "$":
            return self.file.read(n + 2)[:-2].decode()
        return [self.reply() for _ in range(n)]


def pairs(reply):
    return dict(zip(reply[::2], reply[1::2]))


def change(state, operation):
    """What an operation does to the model; False: nothing."""
    kind, *a = operation
    if kind == "SET":
        state[a[0]] = a[1]
    elif kind == "MSET":
        state[a[0]], state[a[2]] = a[1], a[3]
    elif kind == "DEL":
        if a[0] not in state:
            return False
        del state[a[0]]
    elif kind == "AFTER":
        state["timer " + a[0]] = "armed"
    elif kind == "CANCEL":
        return state.pop("timer " + a[0], None) is not None
    elif kind == "FILES":
        return change_files(state, a)
    else:  # FCALL bank.transfer
        source, target, amount = a[2], a[3], int(a[4])
        if int(state.get(source, 0)) < amount or source not in state:
            return False
        state[source] = str(int(state[source]) - amount)
        state[target] = str(int(state.get(target, 0)) + amount)
    return True


def change_files(state, words):
    """The words of filer.run, in order. False: one of them finds no file."""
    words = list(words)
    while words:
        word, a = words.pop(0), "file " + words.pop(0)
        if word in ("remove", "rename") and a not in state:
            return False
        if word == "remove":
            del state[a]
            continue
        b = words.pop(0)
        if word == "write":
            state[a] = b
        elif word == "append":
            state[a] = state.get(a, "") + b
        elif word == "rename":
            state["file " + b] = state.pop(a)
    return True


def files_in(directory):
    found = {}
    for root, directories, files in os.walk(directory):
        if ".graftd" in directories:
            directories.remove(".graftd")
        for name in files:
            path = os.path.join(root, name)
            with open(path) as file:
                found["file " + os.path.relpath(path, directory)] = file.read()
    return found


def random_words(chance):
    """Of filer.run: some changes of few files, and an event, which nothing takes back."""
    paths = ["a", "b", "d/a", "d/b"]
    words = []
    for _ in range(chance.randrange(1, 4)):
        text = "%x." % chance.randrange(1 << 32)
        words += chance.choice([["write", chance.choice(paths), text * chance.randrange(1, 4)],
                                ["append", chance.choice(paths), text], ["append", chance.choice(paths), text],
                                ["remove", chance.choice(paths)], ["rename", *chance.sample(paths, 2)],
                                ["emit", "topic", text]])
    return words


def main():
    path, seed, steps, directory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    chance, client = random.Random(seed), Client(path)
    names = ["k%d" % i for i in range(8)]
    operations, active, undoes = {}, {}, {}  # by transaction
    timers = []
    counts = {"accepted": 0, "refused": 0, "cascaded": 0}

    def expected():
        state = {}
        for txn in operations:  # in the order in which they were done
            if active[txn] and not change(state, operations[txn]):
                raise SystemExit("transaction %d has no effect without those that were taken back" % txn)
        return state

    def check(what):
        got = dict(zip(names, client.ask("MGET", *names)))
        got = {name: value for name, value in got.items() if value is not None}
        got.update(files_in(directory))
        got.update({"timer " + pairs(timer)["id"]: "armed" for timer in client.ask("TIMER", "LIST")})
        if got != expected():
            raise SystemExit("after %s: %s, expected %s" % (what, got, expected()))

    def toggle(txn):
        if txn in undoes:
            toggle(undoes[txn])
        else:
            active[txn] = not active[txn]

    def do():
        a, b = chance.sample(names, 2)
        value, other = str(chance.randrange(100)), str(chance.randrange(100))
        operation = chance.choice([("SET", a, value), ("MSET", a, value, b, other), ("DEL", a),
                                   ("FCALL", "bank.transfer", "2", a, b, str(chance.randrange(1, 30))),
                                   ("FILES", *random_words(chance)), ("FILES", *random_words(chance)),
                                   ("AFTER", "?"), ("CANCEL", chance.choice(timers or ["?"]))])
        if not change(expected(), operation):
            return
        if operation[0] == "FILES":
            reply = client.ask("FCALL", "filer.run", "0", *operation[1:])
            if set(reply.split()) != {"0"}:
                raise SystemExit("%s: %s" % (operation, reply))
        elif operation[0] == "AFTER":
            operation = ("AFTER", client.ask("FCALL", "filer.run", "0", "after", "86400000", "filer.run"))
            timers.append(operation[1])
        elif operation[0] == "CANCEL":
            client.ask("FCALL", "filer.run", "0", "cancel", operation[1])
        else:
            client.ask(*operation)
        txn = pairs(client.ask("TXN", "LIST", "COUNT", "1")[0])["id"]
        operations[txn], active[txn] = operation, True

    def take_back():
        txn = chance.choice(list(operations) + list(undoes))
        words = ["TXN", chance.choice(["UNDO", "UNDO", "REDO"]), txn]
        if chance.random() < 0.3:
            words.append("CASCADE")
        try:
            tried = pairs(client.ask(*words, "DRYRUN"))
            check("a dry run of %s" % words)
            done = pairs(client.ask(*words))
        except Refused as refused:
            counts["refused"] += 1
            text = str(refused)
            if not text.startswith(("CONFLICT", "BADARG", "ERR")) or "no longer" in text:
                raise SystemExit("%s: %s" % (words, text))
            check("a refusal of %s" % words)
            return
        if tried["effects"] != done["effects"]:
            raise SystemExit("%s: the dry run told of other effects" % words)
        for item in map(pairs, done["undone"]):
            toggle(item["id"])
            undoes[item["by"]] = item["id"]
        counts["accepted"] += 1
        counts["cascaded"] += len(done["undone"]) > 1
        check(words)
        for item in map(pairs, done["undone"]):
            if client.ask("TXN", "STATUS", item["id"]) != "undone":
                raise SystemExit("%s: transaction %d is not undone" % (words, item["id"]))

    for _ in range(steps):
        if not operations or chance.random() < 0.5:
            do()
        else:
            take_back()
    check("all steps")
    for txn in operations:
        status = client.ask("TXN", "STATUS", txn)
        if status != ("committed" if active[txn] else "undone"):
            raise SystemExit("transaction %d is %s" % (txn, status))
    if min(counts.values()) == 0:
        raise SystemExit("too few steps: %s" % counts)


main()
