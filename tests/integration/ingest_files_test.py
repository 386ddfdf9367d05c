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


def test_long_line():
    """A line that is longer than an event may be: its beginning is quarantined, and all the rest is in."""
    write("long", numbers(0, 5) + b'{"n":5,"text":"' + b"x" * (33 << 20) + b'"}\n' + numbers(6, 9))
    done = hydrant("ingest", "long", "long", "--lake", "lake")
    said = done.stderr.decode()
    check("a long line: all but it", done.returncode == 0 and "9 events" in said and "1 quarantined" in said, said)
    equal("the events before and behind it", count("long"), {"n": 8, "d": 8})
    kept = query("select octet_length(__raw) as n, reason from long__quarantine", "lake")
    check("its beginning is kept with the reason", len(kept) == 1 and kept[0]["n"] == 65536 and "line 6" in kept[0]["reason"], kept)
    check("and the file is known", b"already" in hydrant("ingest", "long", "long", "--lake", "lake").stderr)
    write("array", b"[1,\n2,\n\"" + b"x" * (33 << 20) + b'",4]')
    done = hydrant("ingest", "elements", "array", "--lake", "lake")
    said = done.stderr.decode()
    check("an array: which line and where", done.returncode == 1 and "behind byte 5: the event that begins in line 3" in said, said)
    equal("what precedes it is in", query("select count(*) as n from elements", "lake"), [{"n": 2}])


def left():
    folder = os.path.dirname(lake_data("lake"))
    return sorted(name for name in os.listdir(folder) if "-ingest-" in name)


def test_interrupted():
    """Beside a server it has a folder of its own, which is gone whatever ends it."""
    base = os.path.basename(lake_data("lake"))
    folder = os.path.dirname(lake_data("lake"))
    os.mkfifo("fifo")
    with Server("lake"):
        for old, name in ((True, base + "-ingest-999999999"), (False, base + "-ingest-999999998"), (True, base + "-ingest-x")):
            os.makedirs(os.path.join(folder, name, "hot"))
            write(os.path.join(folder, name, "lock"), b"")
            if old:
                os.utime(os.path.join(folder, name), (time.time() - 90000,) * 2)
        for signal in (2, 15):
            p = subprocess.Popen([HYDRANT, *on_store(["ingest", "stopped", "fifo", "--lake", "lake"])], stdin=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, preexec_fn=lambda: __import__("signal").signal(2, 0))
            with open("fifo", "wb") as f:
                f.write(numbers(0, 10))
                f.flush()
                check("it has a folder while it runs", base + "-ingest-%d" % p.pid in left(), left())
                p.send_signal(signal)
                p.wait(20)
            check("signal %d ends it, and removes its folder" % signal, p.returncode == -signal and base + "-ingest-%d" % p.pid not in left(),
                  "%s %s" % (p.returncode, left()))
        equal("old ones that nobody uses are swept, others not", left(), [base + "-ingest-999999998", base + "-ingest-x"])


test_bad_files()
test_interrupted()
test_long_line()
done_testing()
