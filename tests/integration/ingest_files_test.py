#!/usr/bin/env python3
"""`hydrant ingest` of files that are not as they should be, and ended in the middle."""
import os
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *


def write(name, content):
    with open(name, "wb") as f:
        f.write(content)


def numbers(start, end):
    return b"".join(b'{"n":%d}\n' % n for n in range(start, end))


def count(collection):
    return query("select count(*) as n, count(distinct n) as d from " + collection, "lake")[0]


def test_bad_files():
    """One bad file does not keep those behind it out."""
    write("good1", numbers(0, 10))
    write("good2", numbers(10, 20))
    write("cut.gz", bytes.fromhex("1f8b0800000000000003") + b"x" * 5)
    done = hydrant("ingest", "bad", "good1", "absent", "cut.gz", "good2", "--lake", "lake")
    said = done.stderr.decode()
    equal("bad files: it ends with 1", done.returncode, 1)
    check("says which, and how many", "absent" in said and "cut.gz" in said and "2 of 4 files could not be loaded" in said, said)
    equal("and all others are in", count("bad"), {"n": 20, "d": 20})
    one = hydrant("ingest", "bad", "absent", "--lake", "lake")
    equal("a single one: 1, and its one line", (one.returncode, one.stderr.count(b"\n")), (1, 1))


test_bad_files()
done_testing()
