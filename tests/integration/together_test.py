#!/usr/bin/env python3
"""Writers and readers at once on one collection: a server's clients, files ingested beside it, commits, queries. Each event is there once, and a
reader never sees a number that was not true at some moment."""
import os
import threading

import sys
sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

CLIENTS, REQUESTS, EVENTS = 4, 150, 25
FILES, LINES = 3, 4000
problems, seen = [], []
done = threading.Event()


def guarded(f):
    def run(*args):
        try:
            f(*args)
        except Exception as e:
            problems.append("%s: %s: %s" % (f.__name__, type(e).__name__, e))
    return run


@guarded
def client(server, c):
    for r in range(REQUESTS):
        first = (c * REQUESTS + r) * EVENTS
        # every client brings keys and kinds of its own, so that the schemas of writers clash
        body = "".join('{"n":%d,"from":"client","c%d_%d":%d,"mixed":%s}\n' % (n, c, r // 10, n, ("%d" % n, '"text"', "true", "[1]")[c])
                       for n in range(first, first + EVENTS))
        status, answer = server.post("busy", body.encode(), {"Content-Type": "application/x-ndjson"})
        if status != 200 or answer["accepted"] != EVENTS:
            problems.append("post: %s %s" % (status, answer))


@guarded
def file_ingest(i):
    start = 1000000 + i * LINES
    with open("file%d" % i, "w") as f:
        f.writelines('{"n":%d,"from":"file","f%d":{"x":%d},"mixed":%d.5}\n' % (n, i, n, n) for n in range(start, start + LINES))
    said = hydrant("ingest", "busy", "file%d" % i, "--lake", "lake")
    if said.returncode:
        problems.append("ingest: " + said.stderr.decode())


@guarded
def committer(server):
    while not done.is_set():
        status, body, _ = server.request("POST", "/v1/collections/busy/flush")
        if status != 200:
            problems.append("flush: %d %s" % (status, body))
        time.sleep(0.05)


@guarded
def reader(server):
    while not done.is_set():
        status, body, _ = server.request("POST", "/v1/query", b'{"sql":"select count(*) as n, count(distinct n) as d from busy"}')
        if status == 200:
            row = json.loads(body)[0]
            seen.append(row["n"])
            if row["n"] != row["d"]:
                problems.append("a reader saw events twice: %s" % row)
        elif status != 400 or b"busy" not in body:
            problems.append("query: %d %s" % (status, body))


def run(server):
    writers = [threading.Thread(target=client, args=(server, c)) for c in range(CLIENTS)] + \
              [threading.Thread(target=file_ingest, args=(i,)) for i in range(FILES)]
    others = [threading.Thread(target=committer, args=(server,)), threading.Thread(target=reader, args=(server,))]
    for t in writers + others:
        t.start()
    for t in writers:
        t.join()
    done.set()
    for t in others:
        t.join()


def twice(round):
    """One file by two processes at once, as by a cron job that overlaps itself."""
    name = "twice%d" % round
    with open(name, "w") as f:
        f.writelines('{"n":%d,"text":"%x"}\n' % (n, n * 2654435761) for n in range(60000))
    both = [subprocess.Popen([HYDRANT, *on_store(["ingest", name, name, "--lake", "lake"])], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE) for _ in range(2)]
    said = [p.communicate(timeout=120)[1].decode() for p in both]
    check("two at once: both end well, one of them with nothing to add", [p.returncode for p in both] == [0, 0] and "".join(said).count("already") == 1, said)
    equal("and each event is there once", query("select count(*) as n, count(distinct n) as d from " + name, "lake"), [{"n": 60000, "d": 60000}])


total = CLIENTS * REQUESTS * EVENTS + FILES * LINES
want = {"n": total, "d": total, "s": sum(range(CLIENTS * REQUESTS * EVENTS)) + sum(range(1000000, 1000000 + FILES * LINES))}
sql = "select count(*) as n, count(distinct n) as d, sum(n) as s from busy"
with Server("lake") as server:
    run(server)
    check("nothing failed", not problems, "%d: %s" % (len(problems), "; ".join(problems[:3])))
    check("readers saw it grow", seen and seen == sorted(seen), seen)
    equal("every event is there once", query(sql, "lake"), [want])
    for i in range(FILES):
        said = hydrant("ingest", "busy", "file%d" % i, "--lake", "lake").stderr.decode()
        check("file %d is known beside a server, too" % i, "already" in said, said)
    equal("still once", query(sql, "lake"), [want])
    for round in range(2):
        twice(round)
    server.kill()
equal("after kill -9, without a server", query(sql, "lake"), [want])
with Server("lake") as server:
    equal("and with one", query(sql, "lake"), [want])
    server.request("POST", "/v1/collections/busy/flush")
    equal("committed", query(sql, "lake"), [want])
    equal("drains", server.stop(), 0)
verify = hydrant("verify", "--lake", "lake")
check("verify finds all in order", verify.returncode == 0, verify.stdout + verify.stderr)
payloads = hydrant("replay", "busy", "--to", "stdout", "--lake", "lake").stdout.splitlines()
equal("replay gives each once", (len(payloads), len({json.loads(p)["n"] for p in payloads})), (total, total))
done_testing()
