#!/usr/bin/env python3
"""The sample events of the shared folder through ingest, convert and restore: exact counts, exact bytes, whatever interrupts."""
import collections
import glob
import gzip
import os
import re

import sys
sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

if not SHARED or not os.path.isdir(os.path.join(SHARED, "events")):
    skip("shared_data", "there is no sample data beside the checkout")
    sys.exit(0)

ROWS = {"cloudtrail.ndjson": 2900, "nginxplus-status.ndjson": None, "apache-combined.log": None, "auth.log": None}
for packed in glob.glob(os.path.join(SHARED, "events", "*.gz")):
    with gzip.open(packed) as f, open(os.path.basename(packed)[:-3], "wb") as out:
        out.write(f.read())


def lines(path):
    with open(path, "rb") as f:
        return f.read().splitlines()


def ingest(lake, collection, *args, env=None, input=None):
    """The message; raises if it fails."""
    done = hydrant("ingest", collection, *args, "--lake", lake, env=env, input=input)
    if done.returncode:
        raise RuntimeError("ended with %d: %s" % (done.returncode, done.stderr.decode()))
    return done.stderr.decode()


def count(lake, collection):
    return query("select count(*) as n from %s" % collection, lake)[0]["n"]


def test_trail():
    said = ingest("lake", "trail", "cloudtrail.ndjson")
    check("ingest says how many", "2,900 events" in said and "0 quarantined" in said, said)
    equal("trail has every event", count("lake", "trail"), 2900)
    said = ingest("lake", "trail", "cloudtrail.ndjson")
    check("the same file again says so", "already" in said and "--again" in said, said)
    equal("and adds nothing", count("lake", "trail"), 2900)
    want = collections.Counter((json.loads(line).get("userIdentity") or {}).get("type") for line in lines("cloudtrail.ndjson"))
    got = {row["type"]: row["n"] for row in query("select userIdentity.type as type, count(*) as n from trail group by 1", "lake")}
    equal("userIdentity.type as jq counts it", got, dict(want))
    os.makedirs("other")
    with open("other/name.ndjson", "wb") as f, open("cloudtrail.ndjson", "rb") as source:
        f.write(source.read())
    said = ingest("lake", "trail", "other/name.ndjson")
    check("the same content under another name adds nothing", "already" in said and count("lake", "trail") == 2900, said)
    ingest("lake", "trail", "cloudtrail.ndjson", "--again")
    equal("--again adds it once more", count("lake", "trail"), 5800)


def test_others():
    for file, collection in (("nginxplus-status.ndjson", "nginx"), ("apache-combined.log", "apache"), ("auth.log", "auth")):
        said = ingest("lake", collection, file)
        check(file + " without quarantine", " 0 quarantined" in said, said)
        equal(file + " whole", count("lake", collection), len(lines(file)))
    want = sum(1 for line in lines("auth.log") if b"Failed" in line)
    got = query("select count(*) as n from auth where text like '%Failed%'", "lake")[0]["n"]
    equal("text lines can be queried", got, want)
    verify = hydrant("verify", "--lake", "lake")
    check("verify finds all in order", verify.returncode == 0 and verify.stdout.count(b"in order") == 4, verify.stdout + verify.stderr)
    done = hydrant("replay", "auth", "--to", "file://auth.out", "--lake", "lake")
    with open("auth.out", "rb") as f:
        got = f.read().splitlines()
    check("replay gives every line of auth.log", done.returncode == 0 and sorted(got) == sorted(lines("auth.log")), done.stderr)


def test_convert():
    for file in ROWS:
        done = hydrant("convert", file, file + ".parquet", "--stats", "--check")
        share = re.search(rb"rows with __raw \d+ \(([0-9.]+) %\)", done.stdout)
        if done.returncode or not share:
            not_ok("convert " + file, done.stderr)
            continue
        check(file + ": __raw in under 1 % of rows", float(share.group(1)) < 1, share.group(0))
        restored = hydrant("restore", file + ".parquet")
        with open(file, "rb") as f:
            check(file + ": restored byte for byte", restored.returncode == 0 and restored.stdout == f.read(), restored.stderr)
    for codec in ("snappy", "lz4_raw", "gzip", "uncompressed", "zstd:9"):
        hydrant("convert", "cloudtrail.ndjson", "c.parquet", "--codec", codec)
        restored = hydrant("restore", "c.parquet")
        with open("cloudtrail.ndjson", "rb") as f:
            check("restored from " + codec, restored.stdout == f.read(), restored.stderr)


def test_framings():
    """What stands between the events is the file's, and comes back with it."""
    for name, content in {
        "no last newline": b'{"a":1}\n{"a":2}',
        "CRLF": b'{"a":1}\r\n{"a":2}\r\n',
        "BOM and blank lines": b'\xef\xbb\xbf\n{"a":1}\n\n\n{"a":2}\n\n',
        "spaces in and around": b' { "a" : 1 }\n\t{"a":2}  \n',
        "an array": b'[{"a":1}, {"a":2},\n {"b":[]}]\n',
        "pretty objects": b'{\n  "a": 1\n}\n{\n  "a": 2\n}\n',
        "text": b"one\n\n two \r\nthree",
        "bytes": bytes(range(256)),
        "a bad line": b'{"a":1}\n{"a":\n{"a":2}\n',
        "nothing": b"",
    }.items():
        with open("in", "wb") as f:
            f.write(content)
        done = hydrant("convert", "in", "in.parquet")
        restored = hydrant("restore", "in.parquet")
        check("restored with its framing: " + name, done.returncode == 0 and restored.stdout == content,
              "%r %r %r" % (done.stderr, restored.stdout[:100], restored.stderr))


def test_interrupted():
    for fault in ("hydrate.built", "store.before_name", "hydrate.stored", "table.before_commit", "table.after_commit", "hydrate.committed"):
        lake = "lake-" + fault
        died = hydrant("ingest", "trail", "cloudtrail.ndjson", "--lake", lake, env={"HYDRANT_FAULT": fault})
        ingest(lake, "trail", "cloudtrail.ndjson")
        rows = query("select count(*) as n, count(distinct eventID) as ids from trail", lake)[0]
        ids = {json.loads(line).get("eventID") for line in lines("cloudtrail.ndjson")} - {None}
        check("kill -9 at %s, run again: every event once" % fault, died.returncode == -9 and rows == {"n": 2900, "ids": len(ids)},
              "%s %s" % (died.returncode, rows))


def test_grown():
    with open("grown.ndjson", "wb") as f:
        f.writelines(b'{"n":%d}\n' % i for i in range(1000))
    ingest("lake", "grown", "grown.ndjson")
    with open("grown.ndjson", "ab") as f:
        f.writelines(b'{"n":%d}\n' % i for i in range(1000, 1300))
    said = ingest("lake", "grown", "grown.ndjson")
    check("a grown file says what it adds", "300 events" in said, said)
    equal("a grown file adds only what is new", query("select count(*) as n, count(distinct n) as d from grown", "lake")[0], {"n": 1300, "d": 1300})
    ingest("lake", "grown", "grown.ndjson")
    equal("and nothing the third time", count("lake", "grown"), 1300)


def test_stdin():
    body = b"".join(b'{"n":%d}\n' % i for i in range(500))
    ingest("lake", "piped", "-", input=body)
    equal("standard input as -", count("lake", "piped"), 500)
    ingest("lake", "piped", input=body)
    equal("standard input without a file, taken again", count("lake", "piped"), 1000)


def test_quarantine():
    with open("mixed.ndjson", "wb") as f:
        f.write(b'{"a":1}\n{"a":oops}\n{"a":3}\n')
    said = ingest("lake", "mixed", "mixed.ndjson")
    check("ingest counts what it quarantines", "1 quarantined" in said, said)
    equal("the valid ones are rows", count("lake", "mixed"), 2)
    done = hydrant("replay", "mixed__quarantine", "--to", "stdout", "--lake", "lake")
    equal("the bad line keeps its bytes", done.stdout, b'{"a":oops}\n')


def test_mistakes():
    for name, args, code, words in (
        ("a missing file", ("ingest", "trail", "nothing.ndjson"), 1, ["nothing.ndjson"]),
        ("a bad collection name", ("ingest", "Trail", "auth.log"), 1, ["Trail"]),
        ("an unknown collection", ("query", "select * from nowhere"), 1, ["nowhere"]),
        ("an unknown command", ("ingets", "trail"), 2, ["ingets", "hydrant -h"]),
        ("an unknown option", ("ingest", "trail", "auth.log", "--agian"), 2, ["--agian"]),
        ("no arguments", ("ingest",), 2, ["usage"]),
        ("a file that is no Parquet", ("restore", "auth.log"), 1, ["auth.log"]),
    ):
        done = hydrant(*args, "--lake", "lake")
        said = done.stderr.decode()
        check(name + " is told in a line", done.returncode == code and all(w in said for w in words) and said.count("\n") <= 2,
              "%d %s" % (done.returncode, said))


for test in (test_trail, test_others, test_convert, test_framings, test_interrupted, test_grown, test_stdin, test_quarantine, test_mistakes):
    try:
        test()
    except Exception as e:
        not_ok(test.__name__, "%s: %s" % (type(e).__name__, e))
done_testing()
