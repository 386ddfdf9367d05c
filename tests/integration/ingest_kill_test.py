#!/usr/bin/env python3
"""`hydrant ingest` of one file, killed again and again at any moment and at the points where its order matters, and run again: the exact count.

INGEST_KILLS=20 INGEST_EVENTS=40000000 is the long form: a file of several commits (one each 16 M events), so that some of it is there before a kill."""
import os
import random
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

KILLS = int(os.environ.get("INGEST_KILLS") or 6)
EVENTS = int(os.environ.get("INGEST_EVENTS") or 300000)
POINTS = ("hydrate.built", "store.written", "store.after_name", "table.before_commit", "table.after_commit", "hydrate.committed")
if TEST_LAKE:
    POINTS = tuple(p for p in POINTS if p != "store.written")  # a bucket shows no object before it is whole


def write_file(path):
    """n from 0; every 1000th line is none."""
    bad = 0
    with open(path, "w", encoding="utf-8") as f:
        for start in range(0, EVENTS, 1000):
            f.writelines('{"n":%d,"m":"%d"}\n' % (n, n % 97) for n in range(start, min(start + 1000, EVENTS)))
            f.write('{"n":\n')
            bad += 1
    return bad


def sums(collection):
    """None: there is no such collection yet."""
    try:
        row = query("select count(*) as count, sum(n)::varchar as sum, sum(n::hugeint * n)::varchar as squares from " + collection, "lake")[0]
        return int(row["count"]), int(row["sum"] or 0), int(row["squares"] or 0)
    except RuntimeError as e:
        if "collection" in str(e):
            return None
        raise


def ingest_process(collection, env=None):
    return subprocess.Popen([HYDRANT, *on_store(["ingest", collection, "events.ndjson", "--lake", "lake"])], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ, **(env or {})))


def killed_once(collection, i, rng, usual):
    """False: it was done before."""
    if i % 2:
        p = ingest_process(collection, {"HYDRANT_FAULT": "%s:%d" % (POINTS[i // 2 % len(POINTS)], rng.randint(1, 2))})
    else:
        p = ingest_process(collection)
        try:
            p.wait(rng.uniform(0, usual * 0.5))
        except subprocess.TimeoutExpired:
            p.kill()
    said = p.communicate()[1]
    if p.returncode not in (0, -9):
        not_ok("ends by itself only when it is done", said)
    return p.returncode == -9


def main():
    rng, bad = random.Random(EVENTS + KILLS), write_file("events.ndjson")
    whole = (EVENTS, EVENTS * (EVENTS - 1) // 2, (EVENTS - 1) * EVENTS * (2 * EVENTS - 1) // 6)
    began = time.monotonic()
    done = hydrant("ingest", "ev", "events.ndjson", "--lake", "lake", timeout=1200)
    usual = time.monotonic() - began
    equal("a run that nobody kills", (done.returncode, sums("ev")), (0, whole))
    collections, killed, partly = [], 0, 0
    while killed < KILLS:
        collections.append("ev%d" % len(collections))  # another, when this one has all before it was killed often enough
        for _ in range(KILLS):
            if not killed_once(collections[-1], killed, rng, usual):
                break
            killed += 1
            got = sums(collections[-1])
            partly += bool(got and 0 < got[0] < EVENTS)
            if killed == KILLS:
                break
        p = ingest_process(collections[-1])
        p.communicate()
        equal("the last run of %s ends well" % collections[-1], p.returncode, 0)
    print("# %d kills of ingest of %d events into %d collections in %.0f s, %d times a part of it was there" % (
        killed, EVENTS, len(collections), time.monotonic() - began, partly))
    for name in collections:
        equal("killed and run again, every event once: " + name, sums(name), whole)
        equal("and every line that is none: " + name, query("select count(*) as n from %s__quarantine" % name, "lake"), [{"n": bad}])
    done = hydrant("ingest", collections[-1], "events.ndjson", "--lake", "lake", timeout=1200)
    check("once more says that it is there", done.returncode == 0 and b"already" in done.stderr, done.stderr)
    equal("and adds nothing", sums(collections[-1]), whole)
    done = hydrant("verify", "--lake", "lake", timeout=1200)
    equal("verify agrees", done.returncode, 0)


main()
done_testing()
