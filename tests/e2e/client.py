"""redis-py against graftd: what an application does, checked as it goes."""
import sys
import threading

import redis

path = sys.argv[1]
r = redis.Redis(unix_socket_path=path, decode_responses=True)

assert r.ping()
assert r.set("a", "1") and r.get("a") == "1" and r.incrby("a", 4) == 5
assert r.mset({"b": "2", "c": "3"}) and r.mget("a", "b", "c", "d") == ["5", "2", "3", None]
assert r.exists("a", "b", "d") == 2 and r.delete("a", "d") == 1
assert r.set("n", "1", nx=True) and r.set("n", "2", nx=True) is None

assert r.execute_command("FCALL", "bank.deposit", 1, "acct:ada", 100) == 100
assert r.execute_command("FCALL", "bank.transfer", 2, "acct:ada", "acct:bob", 30) == 70

for call, word in ((("bank.transfer", 2, "acct:ada", "acct:bob", 3000), "ABORTED"), (("segv.run", 0, "write"), "CRASHED"),
                   (("no.graft", 0), "NOGRAFT")):
    try:
        r.execute_command("FCALL", *call)
        raise SystemExit(f"{call} succeeded")
    except redis.ResponseError as e:
        assert str(e).split()[0] == word, e
assert r.get("acct:ada") == "70" and r.get("naughty:segv") is None

with r.pipeline(transaction=False) as p:
    for i in range(100):
        p.set(f"p:{i:03}", i)
        p.incr("count")
    assert p.execute()[1::2] == list(range(1, 101))
assert sorted(r.scan_iter("p:*", count=7)) == [f"p:{i:03}" for i in range(100)]

failures = []


def work(n):
    try:
        own = redis.Redis(unix_socket_path=path, decode_responses=True)
        for _ in range(50):
            own.execute_command("FCALL", "bank.transfer", 2, "acct:ada", "acct:bob", 1)
            own.execute_command("FCALL", "bank.transfer", 2, "acct:bob", "acct:ada", 1)
            own.incr("threads")
    except Exception as e:
        failures.append(e)


threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for t in threads:
    t.start()
for t in threads:
    t.join()
assert not failures, failures
assert r.get("threads") == "400" and r.mget("acct:ada", "acct:bob") == ["70", "30"]
