#!/usr/bin/env python3
"""Between a crash and the start after it another engine (pyiceberg) appends to our table and expires every snapshot of ours: nothing is lost, nothing
counts twice, its rows stay, and they stop neither search nor verify nor replay."""
import os
import re
import sys
import tempfile

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

try:
    import pyarrow as pa
    from pyiceberg.catalog.sql import SqlCatalog
except ImportError as missing:
    skip("foreign_commit", missing)
    sys.exit(0)

NDJSON = {"Content-Type": "application/x-ndjson"}
CONFIG = "commit_interval: 1h\ncommit_interval_idle: 1h\n"
# where we died → what of the second batch is in the table then
POINTS = {"wal.after_sync": 0, "hydrate.stored": 0, "table.before_commit": 0, "table.after_commit": 40, "hydrate.before_trim": 40}


def events(first, count):
    return b"".join(b'{"n":%d,"who":"ours","deep":{"a":[%d]}}\n' % (n, n) for n in range(first, first + count))


def newest(lake, collection):
    versions = [int(m.group(1)) for m in (re.search(r"/metadata/v(\d+)\.metadata\.json$", k) for k in lake_files(lake, collection + "/metadata")) if m]
    return max(versions)


def other_engine(lake):
    """Two appends and an expiry of all that is not theirs, each a version of the table, as an engine over Hadoop's catalog would name them."""
    work = tempfile.mkdtemp()
    catalog = SqlCatalog("c", uri="sqlite:///%s/c.db" % work, **iceberg_properties())
    catalog.create_namespace("ns")
    n = newest(lake, "ev")
    place = lake_url(lake) if TEST_LAKE else os.path.abspath(lake)
    table = catalog.register_table("ns.ev", "%s/ev/metadata/v%d.metadata.json" % (place, n))
    ours = [s.snapshot_id for s in table.metadata.snapshots]

    def publish():
        nonlocal n
        n += 1
        written = "ev/metadata/" + table.metadata_location.rpartition("/")[2]
        lake_write(lake, "ev/metadata/v%d.metadata.json" % n, lake_read(lake, written))

    for k in range(2):
        schema = table.schema().as_arrow()
        some = [schema.field(name) for name in ("__time", "n", "who")]
        table.append(pa.table({"__time": [1790000000000000 + k] * 3, "n": [-1 - 3 * k, -2 - 3 * k, -3 - 3 * k], "who": ["theirs"] * 3}, schema=pa.schema(some)))
        publish()
    table.maintenance.expire_snapshots().by_ids(ours + [table.metadata.snapshots[-2].snapshot_id]).commit()
    publish()
    shutil.rmtree(work)
    return ours, [s.snapshot_id for s in table.metadata.snapshots]


def numbers(lake):
    return sorted(r["n"] for r in query("select n from ev", lake))


def died_at(point, committed):
    lake = "lake-" + point
    with open("hydrant.yaml", "w", encoding="utf-8") as f:
        f.write(CONFIG)
    with Server(lake, "--config", "hydrant.yaml") as s:
        s.post("ev", events(0, 60), NDJSON)
        s.request("POST", "/v1/collections/ev/flush")
        equal("%s: 40 more" % point, s.post("ev", events(60, 40), NDJSON)[0], 200)
        s.kill()
    acked, sent = list(range(100)), set(range(100))
    with Server(lake, "--config", "hydrant.yaml", env={"HYDRANT_FAULT": point}) as s:
        try:
            s.request("POST", "/v1/collections/ev/flush") if committed or point != "wal.after_sync" else s.post("ev", events(100, 10), NDJSON)
        except OSError:
            pass
        equal(point + ": died there", s.process.wait(20), -9)
    in_table = lake_iceberg(lake, "ev").scan(selected_fields=("n",)).to_arrow()["n"].to_pylist()
    equal(point + ": committed before the crash", len(in_table), 60 + committed)
    ours, left = other_engine(lake)
    check(point + ": every snapshot of ours expired", ours and not set(ours) & set(left) and len(left) == 1, (ours, left))
    theirs = [-6, -5, -4, -3, -2, -1]
    maybe = list(range(100, 110)) if point == "wal.after_sync" else []  # never answered: all of it, or none
    with Server(lake, "--config", "hydrant.yaml") as s:
        got = numbers(lake)
        check(point + ": hot and committed events once after the start", got in (theirs + acked, theirs + acked + maybe), got)
        equal(point + ": and more come", s.post("ev", events(200, 5), NDJSON)[0], 200)
        equal(point + ": which are committed", s.request("POST", "/v1/collections/ev/flush")[0], 200)
        got += list(range(200, 205))
        equal(point + ": every event once", numbers(lake), got)
        equal(point + ": the server ends well", s.stop(), 0)
    table = lake_iceberg(lake, "ev")
    equal(point + ": pyiceberg sees the same", sorted(table.scan(selected_fields=("n",)).to_arrow()["n"].to_pylist()), got)
    equal(point + ": their rows are as they were", len([r for r in table.scan(selected_fields=("who",)).to_arrow()["who"].to_pylist() if r == "theirs"]), 6)


def search(lake, text):
    done = hydrant("search", "ev", text, "--lake", lake)
    return sorted(done.stdout.splitlines()), done.stderr.decode()


def theirs_are_read(lake, ours):
    """Their rows hold no event's bytes: search shows their columns, verify and replay go on and say how many there are."""
    want = sorted(b'{"n":-%d,"who":"theirs"}' % n for n in range(1, 7))
    equal("search finds their rows by their columns", search(lake, "who:theirs")[0], want)
    equal("search finds one of them", search(lake, "n:-3")[0], [b'{"n":-3,"who":"theirs"}'])
    equal("search finds ours beside them", search(lake, "n:7")[0], [events(7, 1).strip()])
    done = hydrant("verify", "ev", "--lake", lake)
    text = done.stdout.decode()
    problems = [line for line in text.splitlines()[:-1] if "another program" not in line and ": metadata/" not in line]
    equal("verify finds nothing wrong but their catalog's own metadata, which nobody needs any more", problems, [])
    check("verify counts their rows apart", "%d events and 6 rows of other programs" % ours in text, text)
    equal("verify names both of their files", text.count("written by another program: its rows hold no event's bytes"), 2)
    done = hydrant("replay", "ev", "--to", "stdout", "--lake", lake)
    equal("replay sends exact events only", (done.returncode, len(done.stdout.splitlines()), b"theirs" in done.stdout), (0, ours, False))
    check("replay says what it passed over", b"6 rows of another program passed over" in done.stderr, done.stderr)


for point, committed in POINTS.items():
    died_at(point, committed)
theirs_are_read("lake-hydrate.before_trim", 105)
done_testing()
