#!/usr/bin/env python3
"""retention: days that are over leave the table and its quarantine in one commit, by `hydrant expire` and beside a running server; other engines
see the younger ones, and the earlier snapshot for a while."""
import os
import sys
from datetime import datetime, timedelta, timezone

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

try:
    import pyiceberg  # noqa: F401
except ImportError as missing:
    skip("retention", missing)
    sys.exit(0)

NOW = datetime.now(timezone.utc)
NDJSON = {"Content-Type": "application/x-ndjson"}
CONFIG = lake_yaml("lake") + """
collections:
  kept: {time_field: at}
  short: {time_field: at, retention: 10d}
"""


def body(days):
    return b"".join(json.dumps({"at": (NOW - timedelta(days=d)).isoformat(), "age": d, "i": i}).encode() + b"\n" for d in days for i in range(3))


def test_retention():
    with open("hydrant.yaml", "w", encoding="utf-8") as f:
        f.write(CONFIG)
    with Server(None, "--config", "hydrant.yaml") as s:
        for name in ("kept", "short"):
            for days in (range(0, 20), range(5, 25)):
                equal("post to " + name, s.post(name, body(days) + b"{bad\n", NDJSON)[0], 200)
                equal("commit of " + name, s.request("POST", "/v1/collections/%s/flush" % name)[0], 200)
        before = lake_iceberg("lake", "short").current_snapshot().snapshot_id
        done = hydrant("expire", "--config", "hydrant.yaml")
        # days 11 to 24 are over: 9 of them twice; 0 to 10 stay, the tenth because a part of that day is not over yet
        check("expire says what it took out", done.returncode == 0 and b"short: 69 events in 23 files" in done.stdout and
              b"kept: 0 events in 0 files" in done.stdout, done.stdout + done.stderr)
        equal("SQL of the running server sees the younger days", query("select count(*) as n, max(age) as oldest from short", "lake"), [{"n": 51, "oldest": 10}])
        equal("and more that comes", s.post("short", body([0, 15]), NDJSON)[0], 200)
        equal("… is committed", s.request("POST", "/v1/collections/short/flush")[0], 200)
        equal("without a retention nothing goes", query("select count(*) as n from kept", "lake"), [{"n": 120}])
        equal("events in quarantine are as old as their receipt", query("select count(*) as n from short__quarantine", "lake"), [{"n": 2}])
        equal("the server ends well", s.stop(), 0)
    table = lake_iceberg("lake", "short")
    rows = table.scan().to_arrow().to_pylist()
    equal("pyiceberg sees the same", sorted(r["age"] for r in rows), sorted([d for d in range(0, 11) for _ in range(6 if d >= 5 else 3)] + [0] * 3 + [15] * 3))
    operations = [str(x.summary.operation.value) for x in table.metadata.snapshots]
    equal("as a delete between appends", operations, ["append", "append", "delete", "append"])
    equal("and all that was, in the snapshot before", len(table.scan(snapshot_id=before).to_arrow()), 120)
    done = hydrant("expire", "short", "--config", "hydrant.yaml")
    check("what came late goes the next time", done.returncode == 0 and b"short: 3 events in 1 file" in done.stdout, done.stdout + done.stderr)
    done = hydrant("verify", "--lake", "lake")
    check("verify agrees", done.returncode == 0 and b"short: 54 events" in done.stdout, done.stdout + done.stderr)
    done = hydrant("expire", "nothing", "--config", "hydrant.yaml")
    check("a name that is not there is an error", done.returncode == 1 and b"nothing" in done.stderr, done.stderr)


test_retention()
done_testing()
