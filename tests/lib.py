"""Helpers for tests in Python:  sys.path.insert(0, os.environ["HYDRANT_TESTS"]); from lib import *

A test runs in an empty folder of its own; whatever it starts is ended with it.
"""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

HYDRANT = os.environ["HYDRANT"]
SHARED = os.environ.get("HYDRANT_SHARED") or None
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


# ---- the lakes of a test ----
# Lake "x" is the folder x of the test; with HYDRANT_TEST_LAKE=s3://BUCKET/PREFIX (tests/s3/servers.py) a prefix of its own there, and what is
# local stands in the folder x.data. A test that looks into a lake does so by lake_files, lake_read …, and is the same over both.

TEST_LAKE = os.environ.get("HYDRANT_TEST_LAKE") or None


def lake_url(lake):
    """What --lake and the settings are told."""
    if not TEST_LAKE or "://" in str(lake):
        return str(lake)
    return "%s/%s/%s" % (TEST_LAKE, os.path.basename(sys.argv[0]).partition(".")[0], os.path.relpath(lake).replace("..", "up"))


def lake_data(lake):
    """The folder of log and cache."""
    return os.path.abspath(str(lake) + ".data" if TEST_LAKE else os.path.join(lake, "_hydrant", "local"))


def lake_yaml(lake):
    """The lines of a config file that say where it is."""
    return "lake: %s\ndata: %s\n" % (lake_url(lake), lake_data(lake)) if TEST_LAKE else "lake: %s\n" % lake


def on_store(args):
    """The same arguments for where the lake after --lake is."""
    args = [str(a) for a in args]
    if not TEST_LAKE or "--lake" not in args:
        return args
    at = args.index("--lake") + 1
    lake, args[at] = args[at], lake_url(args[at])
    return args if "--data" in args or "://" in lake else args[:at + 1] + ["--data", lake_data(lake)] + args[at + 1:]


def s3_client():
    import boto3  # tests/requirements.txt
    from botocore.config import Config
    return boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"], config=Config(s3={"addressing_style": "path"}))


def bucket_and_key(lake, key=""):
    bucket, _, prefix = lake_url(lake).partition("://")[2].partition("/")
    return bucket, prefix + "/" + key


def lake_files(lake, under=""):
    """Keys of the files below a folder of the lake (its own log and caches left out), sorted."""
    if TEST_LAKE:
        bucket, prefix = bucket_and_key(lake, under.rstrip("/") + "/" if under else "")
        root = len(bucket_and_key(lake)[1])
        pages = s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(o["Key"][root:] for page in pages for o in page.get("Contents", []) if not o["Key"].endswith("/"))
    found = [os.path.relpath(os.path.join(folder, name), lake) for folder, _, names in os.walk(os.path.join(lake, under)) for name in names]
    return sorted(f for f in found if not f.startswith("_hydrant/local/"))


def lake_read(lake, key):
    if TEST_LAKE:
        bucket, name = bucket_and_key(lake, key)
        return s3_client().get_object(Bucket=bucket, Key=name)["Body"].read()
    with open(os.path.join(lake, key), "rb") as f:
        return f.read()


def lake_write(lake, key, content):
    if TEST_LAKE:
        bucket, name = bucket_and_key(lake, key)
        s3_client().put_object(Bucket=bucket, Key=name, Body=content)
        return
    os.makedirs(os.path.dirname(os.path.join(lake, key)), exist_ok=True)
    with open(os.path.join(lake, key), "wb") as f:
        f.write(content)


def lake_remove(lake, key):
    if TEST_LAKE:
        bucket, name = bucket_and_key(lake, key)
        s3_client().delete_object(Bucket=bucket, Key=name)
    else:
        os.remove(os.path.join(lake, key))


def lake_copy(lake, under=""):
    """A folder with the files as they are now: the lake itself, or a copy of what is in the bucket."""
    if not TEST_LAKE:
        return str(lake)
    folder = lake_data(lake) + ".copy"
    shutil.rmtree(folder, ignore_errors=True)
    for key in lake_files(lake, under):
        path = os.path.join(folder, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(lake_read(lake, key))
    return folder


def iceberg_properties():
    """What pyiceberg needs to know of the bucket."""
    env = os.environ
    return {"s3.endpoint": env["AWS_ENDPOINT_URL_S3"], "s3.access-key-id": env["AWS_ACCESS_KEY_ID"], "s3.secret-access-key": env["AWS_SECRET_ACCESS_KEY"],
            "s3.region": env["AWS_REGION"], "s3.force-virtual-addressing": "false"} if TEST_LAKE else {}


def lake_iceberg(lake, collection):
    """The table's newest version, by pyiceberg, which reads it where it stands; None: there is none."""
    from pyiceberg.table import StaticTable
    names = [k.rpartition("/")[2] for k in lake_files(lake, collection + "/metadata")]
    names = [n for n in names if n.endswith(".metadata.json") and n[0] == "v"]  # other engines' have other names
    if not names:
        return None
    newest = "%s/metadata/%s" % (collection, max(names, key=lambda n: int(n[1:].split(".")[0])))
    place = lake_url(lake) if TEST_LAKE else os.path.abspath(lake)
    return StaticTable.from_metadata("%s/%s" % (place, newest), properties=iceberg_properties())


# ---- the program ----

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


def replayed(collection, lake="lake"):
    """Payloads in the order of sending."""
    done = hydrant("replay", collection, "--to", "stdout", "--framing", "length", "--lake", lake)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    out, at = [], 0
    while at < len(done.stdout):
        n = int.from_bytes(done.stdout[at:at + 4], "big")
        out.append(done.stdout[at + 4:at + 4 + n])
        at += 4 + n
    return out


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
