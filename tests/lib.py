"""Helpers for tests in Python:  sys.path.insert(0, os.environ["HYDRANT_TESTS"]); from lib import *

A test runs in an empty folder of its own; whatever it starts is ended with it.
"""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time

HYDRANT = os.environ["HYDRANT"]
SHARED = os.environ.get("HYDRANT_SHARED") or None
TEST_LAKE = os.environ.get("HYDRANT_TEST_LAKE") or None
failures = 0


def ok(name):
    print("ok " + name, flush=True)


def not_ok(name, why=""):
    """The test goes on."""
    global failures
    failures += 1
    print("not ok %s: %s" % (name, str(why).replace("\n", " ")[:300]), flush=True)


def skip(name, reason):
    print("skip %s: %s" % (name, reason), flush=True)


def check(name, condition, why=""):
    ok(name) if condition else not_ok(name, why)


def equal(name, got, want):
    ok(name) if got == want else not_ok(name, "got %.120r, want %.120r" % (got, want))


def done_testing():
    sys.exit(1 if failures else 0)


def on_store(args):
    """The same arguments; with HYDRANT_TEST_LAKE=s3://BUCKET/PREFIX (tests/s3/servers.py) the lake "x" of a test is a prefix of its own there,
    and its log and cache stay in the folder x.data."""
    args = [str(a) for a in args]
    if not TEST_LAKE or "--lake" not in args:
        return args
    at = args.index("--lake") + 1
    lake = args[at]
    if "://" in lake:
        return args
    name = os.path.relpath(lake).replace("..", "up")
    args[at] = "%s/%s/%s" % (TEST_LAKE, os.path.basename(sys.argv[0]).partition(".")[0], name)
    return args if "--data" in args else args + ["--data", os.path.abspath(lake) + ".data"]


def hydrant(*args, input=None, timeout=120, env=None):
    """Runs a command; returns a CompletedProcess with bytes."""
    return subprocess.run([HYDRANT, *on_store(args)], input=input, stdin=None if input is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, env=dict(os.environ, **(env or {})))


def query(sql, lake, *args):
    """Rows as dicts."""
    done = hydrant("query", sql, "--format", "ndjson", "--lake", lake, *args)
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace").strip())
    return [json.loads(line) for line in done.stdout.splitlines()]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """`hydrant serve` on a lake, ready when made. with Server("lake") as s: s.post("c", b"{}")

    lake None: the config file says it. tls: an ssl.SSLContext, where the server speaks https."""

    def __init__(self, lake, *args, env=None, wrap=(), ready=10.0, tls=None):
        self.tls = tls
        self.port = free_port()
        self.log = "server-%d.log" % self.port
        with open(self.log, "wb") as log:
            where = ["--lake", lake] if lake else []
            self.process = subprocess.Popen([*wrap, HYDRANT, *on_store(["serve", *where, "--listen", "127.0.0.1:%d" % self.port, *args])],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ, **(env or {})))
        deadline = time.monotonic() + ready
        while True:
            if self.process.poll() is not None:
                raise RuntimeError("the server ended at its start: " + self.last_line())
            try:
                if self.request("GET", "/readyz", timeout=2)[0] == 200:
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError("the server was not ready within %g s: %s" % (ready, self.last_line()))
            time.sleep(0.01)

    def last_line(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return (f.read().strip().splitlines() or ["(it said nothing)"])[-1]

    def request(self, method, path, body=None, headers=None, timeout=60):
        """(status, body bytes, headers)"""
        c = (http.client.HTTPSConnection("localhost", self.port, timeout=timeout, context=self.tls) if self.tls else
             http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout))
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return r.status, r.read(), dict(r.getheaders())
        finally:
            c.close()

    def post(self, collection, body, headers=None, query=""):
        """(status, parsed answer)"""
        status, answer, _ = self.request("POST", "/v1/collections/%s/events%s" % (collection, query), body, headers)
        try:
            return status, json.loads(answer)
        except ValueError:
            return status, answer

    def stop(self, timeout=60):
        """Drains; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
