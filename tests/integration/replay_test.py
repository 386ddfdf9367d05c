#!/usr/bin/env python3
"""A replay keeps the pace that it was asked for with a server and without one, stops when it is told to, and what it says of itself is so."""
import http.server
import json
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *


class Destination:
    """Takes POSTs and notes them: (time, headers, body). `refuse` from the so-many-th on."""

    def __init__(self, refuse=None):
        self.got, self.refuse = [], refuse
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((time.monotonic(), dict(self.headers), body))
                self.send_response(400 if outer.refuse and len(outer.got) >= outer.refuse else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/in" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def start(*args):
    p = subprocess.Popen([HYDRANT, *on_store(["replay", *args])], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    timer = threading.Timer(20, p.kill)  # whoever waits for its output does not wait for ever
    timer.daemon = True
    timer.start()
    return p


def test_pace(how):
    d, begin = Destination(), time.monotonic()
    done = hydrant("replay", "c", "--to", d.url, "--rate", "5/s", "--lake", "lake")
    at = [t - begin for t, _, _ in d.got]
    check("all events come " + how, done.returncode == 0 and len(at) == 10, done.stderr)
    check("by the rate that was asked for " + how, at and at[-1] - at[0] > 1.6, at)


def test_stop(how):
    for rate, seen in (("20/s", 5), ("0.01/s", 1)):
        p = start("c", "--to", "stdout", "--rate", rate, "--lake", "lake")
        out = b"".join(p.stdout.readline() for _ in range(seen))  # they come while it runs
        p.send_signal(signal.SIGINT)
        begin = time.monotonic()
        rest, said = p.communicate(timeout=30)
        took, n = time.monotonic() - begin, (out + rest).count(b"\n")
        check("at %s it stops when it is told to %s" % (rate, how), p.returncode == 1 and took < 3, "%.1f s: %s" % (took, said))
        check("at %s all that it counts is out %s" % (rate, how), n >= seen and b"stopped after %d events" % n in said, said)


def test_stop_while_nobody_reads(how):
    p = start("big", "--to", "stdout", "--lake", "lake")
    p.stdout.read(1)
    time.sleep(0.5)
    p.send_signal(signal.SIGINT)
    begin = time.monotonic()
    try:
        p.wait(5)
    except subprocess.TimeoutExpired:
        p.kill()
    check("a reader at rest does not keep it " + how, p.wait() == 1 and time.monotonic() - begin < 3, p.returncode)
    p.communicate()


def test_failure(how):
    d = Destination(refuse=4)
    done = hydrant("replay", "c", "--to", d.url, "--lake", "lake")
    check("a failure says how far it got " + how, done.returncode == 1 and b"after 3 events: " in done.stderr and len(d.got) == 4, done.stderr)


ODD = [b"[error] disk full", b"hello", b"caf\xc3\xa9 {", b"\xff\x00raw", b'[1,[2,"x"]]', b'"text"', b"{} ", b'{"a":1}']


def read_as(payload):
    return "application/json" if payload[:1] in b'{"' or payload[:2] == b"[1" else "application/octet-stream" if payload[:1] == b"\xff" else "text/plain"


def test_into_another(how):
    d = Destination()
    done = hydrant("replay", "odd", "--to", d.url, "--lake", "lake")
    got = {body: headers["Content-Type"].split(";")[0] for _, headers, body in d.got}
    want = {p: read_as(p) for p in ODD}
    check("what is sent says what it is " + how, done.returncode == 0 and got == want, "%s %s" % (got, done.stderr))
    name = "copy_" + how.replace(" ", "_")
    with Server("other") as s:
        done = hydrant("replay", "odd", "--to", "http://127.0.0.1:%d/v1/collections/%s/events?body=event" % (s.port, name), "--lake", "lake")
        check("another hydrant takes all of it " + how, done.returncode == 0, done.stderr)
        s.stop()
    equal("as the events that they were " + how, sorted(replayed(name, "other")), sorted(ODD))


def test_known_again(how):
    first, again = Destination(refuse=6), Destination()
    token = "Authorization: Bearer geheim"
    failed = hydrant("replay", "c", "--to", first.url, "--header", token, "--header=X-Mine: 1", "--lake", "lake")
    done = hydrant("replay", "c", "--to", again.url, "--lake", "lake")
    keys = [[headers.get("Idempotency-Key") for _, headers, _ in d.got] for d in (first, again)]
    check("a replay begun again sends the same keys " + how, done.returncode == 0 and len(set(keys[1])) == 10 and keys[0] == keys[1][:6], keys)
    check("with the headers given " + how, all(h["Authorization"] == "Bearer geheim" and h["X-Mine"] == "1" for _, h, _ in first.got), first.got)
    bad = hydrant("replay", "c", "--to", first.url, "--header", "geheim", "--lake", "lake")
    check("and no message shows them " + how, failed.returncode == 1 and bad.returncode == 2 and b"geheim" not in failed.stderr + bad.stderr, bad.stderr)


def test_range_and_file(how):
    for args in (("--to", "2100-01-01"), ("--to=2100-01-01",), ("--to=-100d",)):
        done = hydrant("replay", "c", "--to", "stdout", *args, "--lake", "lake")
        want = 0 if args[0].endswith("-100d") else 10
        check("%s is the end of the range %s" % (" ".join(args), how), done.returncode == 0 and done.stdout.count(b"\n") == want, done.stderr)
    check("and no file of that name %s" % how, not [n for n in os.listdir(".") if n.startswith(("2100", "-100"))], os.listdir("."))
    failed = [hydrant("replay", "nosuch", "--to", "file://x", "--lake", "lake").stderr for _ in range(2)]
    check("a call that failed leaves no empty file %s" % how, b"no collection" in failed[0] and failed[0] == failed[1] and not os.path.exists("x"), failed)


def all_of_it(how):
    test_range_and_file(how)
    test_known_again(how)
    test_into_another(how)
    test_pace(how)
    test_stop(how)
    test_stop_while_nobody_reads(how)
    test_failure(how)


with Server("lake") as s:
    s.post("c", b"".join(b'{"n":%d}\n' % i for i in range(10)))
    s.post("big", b"".join(b'{"n":%d,"text":"%s"}\n' % (i, b"x" * 1000) for i in range(4000)))
    for payload in ODD:
        s.post("odd", payload, {"Content-Type": read_as(payload)}, "?body=event")
    all_of_it("through a server")
    s.stop()
all_of_it("without one")


def test_server_starts_beside_it():
    p = start("c", "--to", "stdout", "--rate", "4/s", "--lake", "lake")
    out = p.stdout.readline()
    with Server("lake") as s:
        check("a server starts while a replay runs", p.poll() is None)
        s.post("c", b'{"later":1}')
        rest, said = p.communicate(timeout=30)
        check("and the replay gives what there was when it began", p.returncode == 0 and (out + rest).count(b"\n") == 10, said)
        check("and takes its files with it", not [n for n in os.listdir(lake_data("lake")) if n.startswith("hot-")], os.listdir(lake_data("lake")))


test_server_starts_beside_it()
done_testing()
