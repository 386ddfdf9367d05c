#!/usr/bin/env python3
"""Odd but legal documents: accepted, queryable under the names that the schema gives, restored exactly; hot, committed, and after a restart."""
import os

import sys
sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *


def pairs(n, prefix):
    return b"{" + b",".join(b'"%s%d":%d' % (prefix, i, i) for i in range(n)) + b"}"


# collection -> payloads, in the order of sending
EVENTS = {
    "keys": [pairs(10000, b"k"), pairs(3, b"k")],
    "deep": [b"[" * 128 + b"]" * 128, b'{"a":' * 127 + b"{}" + b"}" * 127, b'{"a":' * 127 + b"1" + b"}" * 127],
    "big": [b'{"s":"' + b"x" * (16 << 20) + b'"}', b'{"s":"small"}'],
    "empties": [b"{}", b"[]", b"null", b'{"a":{}}', b'{"a":[]}', b'{"a":null}', b'{"a":{"b":[{}]}}', b'""', b"0", b"true", b"[[],[[]]]"],
    "cases": [b'{"a":1,"A":2}', b'{"A":3}', b'{"a":4}'],
    "years": [b'{"year":2026,"month":"May","day":1,"hour":23}'],
    "dots": [b'{"a.b":1,"a":{"b":2}}', b'{"a":{"b":3},"a.b":4}', b'{"a.b":5}'],
    "machinery": [b'{"__typename":"User","__time":"never","__shape":1,"__raw":"r","__rest":{},"__source":1,"__pos":2,"__id":3}'],
    "suffixes": [b'{"x":1,"x__double":2.5,"x__string":"s"}', b'{"x":"one","x__double":"two"}', b'{"x":3}'],
    "changing": [b'{"f":1,"n":1}', b'{"f":"one","n":2}', b'{"f":{"g":1},"n":3}', b'{"f":[1,"a",{}],"n":4}', b'{"f":true,"n":5}', b'{"f":null,"n":6}', b'{"f":2,"n":7}'],
    "fractions": [b'{"v":10}', b'{"v":10.5}', b'{"v":1.0}', b'{"v":-0}', b'{"v":-0.0}', b'{"v":1e2}', b'{"v":1E400}', b'{"v":0.10}'],
    "twice": [b'{"a":1,"a":2}', b'{"a":{"b":1},"a":"s"}', b'{"a":7}'],
    "names": ['{"":1}'.encode(), '{"größe":1,"名前":"x","naïve key":{"ключ":[1,2]}}'.encode(), '{"\\u00e9":1,"é":2}'.encode(), b'{"a\\u0000b":1}',
              b'{"select":1,"order":"by","from":[1]}', b'{"a b":1,"a-b":2,"a_b":3}', b'{"1":1,"-":2,"\\"":3,"\\\\":4}'],
    "numbers": [b'{"i":1234567890123456789}', b'{"i":-9223372036854775808}', b'{"i":9223372036854775807}', b'{"i":123456789012345678901234567890}',
                b'{"i":9223372036854775808}', b'{"i":' + b"9" * 400 + b"}"],
    "floats": [b'{"f":1e400}', b'{"f":-1e-400}', b'{"f":0.1}', b'{"f":1.7976931348623157e308}', b'{"f":5e-324}', b'{"f":100000000000000000000000.5}'],
    "strings": ['{"s":"\\ud800"}'.encode(), '{"s":"\\ud83d\\ude00 and 😀"}'.encode(), b'{"s":"\\/\\b\\f\\n\\r\\t\\u0000"}', b'{"s":"\\u003cb\\u003E"}', b'{"s":"\x7f"}'],
    "spaces": [b' { "a" : 1 ,\t"b" : [ 1 , 2 ] } ', b'{"a":1,"b":[1,2]}', b'{\n  "a": 1,\n  "b": [\n    1\n  ]\n}\n'],
    "times": [b'{"t":"2026-11-22T10:00:00Z"}', b'{"t":"2026-11-22T10:00:00.123456789Z"}', b'{"t":"2026-02-30T10:00:00Z"}', b'{"t":"2026-11-22T10:00:00+01:00"}',
              b'{"t":"0001-01-01T00:00:00Z"}', b'{"t":"9999-12-31T23:59:60Z"}', b'{"t":1}'],
    "scalars": [b"1", b"1.5", b'"text"', b"false", b"[1,[2,{}]]", b'{"value":1}'],
}

# (collection, SQL, rows): what the columns that result are good for
QUERIES = [
    ("keys", "select count(*) as n from keys", [{"n": 2}]),
    ("keys", "select k0, k2 from keys", [{"k0": 0, "k2": 2}] * 2),
    ("keys", "select __rest['k9999'] as v from keys order by v", [{"v": "9999"}, {"v": None}]),
    ("machinery", "select _typename, _time, _shape, _pos from machinery", [{"_typename": "User", "_time": "never", "_shape": 1, "_pos": 2}]),
    ("names", "select gr_e, _2 from names where gr_e is not null", [{"gr_e": 1, "_2": "x"}]),
    ("big", "select max(length(s)) as n from big", [{"n": 16 << 20}]),
    ("empties", "select count(*) as n from empties", [{"n": 11}]),
    ("cases", "select count(*) as n, sum(a) as a, sum(a_2) as b from cases", [{"n": 3, "a": 5, "b": 5}]),
    ("dots", "select a.b as inner, a_b as outer from dots order by coalesce(a_b, 9)", [{"inner": 2, "outer": 1}, {"inner": 3, "outer": 4}, {"inner": None, "outer": 5}]),
    ("changing", "select n, f from changing where f is not null order by n", [{"n": 1, "f": 1}, {"n": 7, "f": 2}]),
    ("changing", "select n, f__string as f from changing where f__string is not null", [{"n": 2, "f": "one"}]),
    ("changing", "select n, f__object.g as g from changing where f__object is not null", [{"n": 3, "g": 1}]),
    ("fractions", "select count(*) as n from fractions where v = 10", [{"n": 1}]),
    ("fractions", "select v from fractions where v = 10.5", [{"v": 10.5}]),
    ("twice", "select count(*) as n from twice where a = 2", [{"n": 1}]),
    ("numbers", "select count(*) as n from numbers where i = 1234567890123456789", [{"n": 1}]),
    ("years", "select count(*) as n from years", [{"n": 1}]),
    ("spaces", "select count(*) as n, sum(a) as a from spaces", [{"n": 3, "a": 3}]),
    ("scalars", "select count(*) as n from scalars", [{"n": 6}]),
    ("suffixes", "select x from suffixes where x is not null order by x", [{"x": 1}, {"x": 3}]),
]


def compare(stage, queries=True):
    for collection, want in EVENTS.items():
        name = "%s: %s" % (stage, collection)
        try:
            got = replayed(collection)
        except Exception as e:
            not_ok(name + " restored", e)
            continue
        lost, extra = [w for w in want if w not in got], [g for g in got if g not in want]
        check(name + " restored exactly", sorted(got) == sorted(want), "%d for %d; lost %.150r, extra %.150r" % (len(got), len(want), lost[:2], extra[:2]))
    for collection, sql, want in QUERIES if queries else []:
        try:
            got = query(sql, "lake")
        except Exception as e:
            not_ok("%s: %s" % (stage, sql.replace(":", "")), e)
            continue
        equal("%s: %s" % (stage, sql), got, want)


def check_all_columns(stage):
    """Every collection can be read whole by SQL, whatever its columns are called."""
    for collection, want in EVENTS.items():
        done = hydrant("query", "select * from %s" % collection, "--format", "ndjson", "--lake", "lake")
        check("%s: select * from %s" % (stage, collection), done.returncode == 0 and done.stdout.count(b"\n") == len(want), done.stderr[-300:])


def files():
    """The same as files: convert and restore, ingest and replay."""
    for collection, payloads in EVENTS.items():
        lines = [p for p in payloads if b"\n" not in p]
        with open(collection, "wb") as f:
            f.write(b"\n".join(lines) + b"\n")
        done = hydrant("convert", collection, collection + ".parquet", "--strict", "--check")
        with open(collection, "rb") as f:
            check("converted and restored: " + collection, hydrant("restore", collection + ".parquet").stdout == f.read(), done.stderr)
        done = hydrant("ingest", collection, collection, "--lake", "files", "--format", "ndjson")
        got = hydrant("replay", collection, "--to", "stdout", "--framing", "nul", "--lake", "files").stdout.split(b"\0")[:-1]
        check("ingested and replayed: " + collection, sorted(got) == sorted(p.strip(b" ") for p in lines) and b" 0 quarantined" in done.stderr, done.stderr)


files()
with Server("lake") as server:
    wrong = []
    for collection, payloads in EVENTS.items():
        for payload in payloads:
            status, answer = server.post(collection, payload, {"Content-Type": "application/json"}, "?body=event")
            if status != 200 or answer["quarantined"]:
                wrong.append("%s %.60r: %s %.200r" % (collection, payload, status, answer))
    check("all are accepted", not wrong, "; ".join(wrong))
    too_deep = server.post("deep", b"[" * 129 + b"]" * 129, {"Content-Type": "application/json"}, "?body=event")
    check("129 levels are told", too_deep[0] == 400 and "deep" in json.dumps(too_deep[1]) or "128" in json.dumps(too_deep[1]), too_deep)
    compare("hot")
    check_all_columns("hot")
    flushed = {c: server.request("POST", "/v1/collections/%s/flush" % c)[0] for c in EVENTS}
    equal("flush", {c: s for c, s in flushed.items() if s != 200}, {})
    compare("committed", queries=False)  # the restart comes at once, and asks
    equal("drains", server.stop(), 0)
with Server("lake") as server:
    compare("after a restart")
    wrong = []
    for collection, payloads in EVENTS.items():
        status, answer = server.post(collection, b"\n".join(p for p in payloads if b"\n" not in p), {"Content-Type": "application/x-ndjson"})
        if status != 200 or answer["quarantined"]:
            wrong.append("%s: %s %.200r" % (collection, status, answer))
    check("all are accepted again, as NDJSON", not wrong, "; ".join(wrong))
    for collection in EVENTS:
        EVENTS[collection] = EVENTS[collection] + [p.strip(b" ") for p in EVENTS[collection] if b"\n" not in p]
        server.request("POST", "/v1/collections/%s/flush" % collection)
    compare("twice committed", queries=False)
    check_all_columns("twice committed")
    verify = hydrant("verify", "--lake", "lake")
    check("verify finds all in order", verify.returncode == 0, verify.stdout[-300:] + verify.stderr)
done_testing()
