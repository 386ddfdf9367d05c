#!/usr/bin/env python3
"""SQL between two times: of all collections, committed and hot, by a server and without one."""
import os
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

NDJSON = {"Content-Type": "application/x-ndjson"}


def body(days, hour=12):
    return b"".join(b'{"time":"2026-03-%02dT%02d:00:00Z","n":%d}\n' % (d, hour, d) for d in days)


def count(*times):
    return query("select count(*) as n, min(n) as low, max(n) as high from a join (select count(*) as others from b) on true", "lake", *times)[0]


def check_times(where):
    equal("all of it " + where, count(), {"n": 30, "low": 1, "high": 30})
    equal("from a time on " + where, count("--from", "2026-03-10T12:00:00Z"), {"n": 21, "low": 10, "high": 30})
    equal("just behind it " + where, count("--from", "2026-03-10T12:00:00.000001Z"), {"n": 20, "low": 11, "high": 30})
    equal("up to a time " + where, count("--to", "2026-03-10T12:00:00Z"), {"n": 9, "low": 1, "high": 9})
    equal("between two " + where, count("--from", "2026-03-05", "--to", "2026-03-08"), {"n": 3, "low": 5, "high": 7})
    equal("of all collections " + where, query("select (select count(*) from a) as a, (select count(*) from b) as b", "lake", "--from", "2026-03-20"),
          [{"a": 11, "b": 1}])
    equal("nothing there " + where, query("select count(*) as n from a", "lake", "--from", "2027-01-01"), [{"n": 0}])


with Server("lake") as s:
    s.post("a", body(range(1, 21)), NDJSON)
    s.post("b", body([2, 25]), NDJSON)
    for name in "ab":
        equal("commit of " + name, s.request("POST", "/v1/collections/%s/flush" % name)[0], 200)
    s.post("a", body(range(21, 31)), NDJSON)
    check_times("(server, a third hot)")
    answer = s.request("POST", "/v1/query", b'{"sql":"select count(*) as n from a","from":"2026-03-29","to":1774828800}', {"Content-Type": "application/json"})
    equal("over HTTP", json.loads(answer[1]), [{"n": 1}])
    answer = s.request("POST", "/v1/query", b'{"sql":"select 1","from":"yesterday"}', {"Content-Type": "application/json"})
    check("a time that is none is 400", answer[0] == 400 and b'\\"from\\"' in answer[1], answer)
check_times("(no server)")
done_testing()
