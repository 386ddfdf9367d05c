#!/usr/bin/env python3
"""Load while the store fails: every tenth request in one of eight ways, and a store that is gone for a while. No event refused, lost or there twice;
counted by pyiceberg and DuckDB.

Sizes: S3_EVENTS of the first law (20,000; make s3-load: 1,000,000); S3_GONE seconds without a store (6; 600) at S3_GONE_RATE MB/s (20).
"""
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "s3"))
from lib import *
import faults
import servers

EVENTS = int(os.environ.get("S3_EVENTS") or 20000)
GONE, RATE = float(os.environ.get("S3_GONE") or 6), float(os.environ.get("S3_GONE_RATE") or 20)
SENDERS, BATCH = 4, 500
ENOUGH = 8  # requests that failed
PER_SECOND = max(2500, EVENTS / 120)  # so that it is many commits
BODY_EVENTS = 2000  # of the second law, 500 bytes each
NDJSON = {"Content-Type": "application/x-ndjson"}


def place(server, url, collection):
    """This process and its commands use the bucket, by this URL."""
    os.environ.update(server.environment(), AWS_ENDPOINT_URL_S3=url)
    return "s3://%s/%s" % (servers.BUCKET, collection)


def table_of(server, lake, collection, columns):
    """The current snapshot as an Arrow table, read past the proxy."""
    from pyiceberg.table import StaticTable
    s3, prefix = server.client(server.owner), lake.split("/", 3)[3] + "/%s/metadata/" % collection
    names = [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=servers.BUCKET, Prefix=prefix) for o in page.get("Contents", [])]
    newest = max((n for n in names if n.endswith(".metadata.json")), key=lambda n: int(n[len(prefix) + 1:].split(".")[0]))
    table = StaticTable.from_metadata("s3://%s/%s" % (servers.BUCKET, newest), properties={
        "s3.endpoint": server.url, "s3.access-key-id": server.owner.access, "s3.secret-access-key": server.owner.secret,
        "s3.region": servers.REGION, "s3.force-virtual-addressing": "false"})
    return table.scan(selected_fields=columns).to_arrow()


def rows(sql, **tables):
    import duckdb
    con = duckdb.connect()
    for name, table in tables.items():
        con.register(name, table)
    return con.sql(sql).fetchall()


def metric(node, name):
    lines = node.request("GET", "/metrics")[1].decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("hydrant_" + name) and line[8 + len(name)] in " {")


def flushed(node, seconds):
    """All that waits is committed; the seconds that took, None if it was not."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if metric(node, "log_pending_bytes") == 0:
            return time.monotonic() - began
        for line in node.request("GET", "/metrics")[1].decode().splitlines():
            if line.startswith("hydrant_waiting_events{") and not line.endswith(" 0"):
                node.request("POST", "/v1/collections/%s/flush" % line.split('"')[1], timeout=600)
        time.sleep(0.2)
    return None


def batch_of(w, b, rng):
    return "".join('{"w":%d,"i":%d,"h":"%0200x","at":%d.25}\n' % (w, b * BATCH + j, rng.getrandbits(800), j) for j in range(BATCH)).encode()


def failed_of(counts):
    return {k: counts[k] for k in faults.KINDS if k in counts}


def send(node, w, first, batches, stuck):
    """Each batch until it is acked, under a key of its own, so that a retry counts once."""
    rng, began = random.Random("%d %d" % (w, first)), time.monotonic()
    for b in range(first, batches):
        time.sleep(max(0, began + (b - first) * BATCH * SENDERS / PER_SECOND - time.monotonic()))
        body, deadline = batch_of(w, b, rng), time.monotonic() + 120
        while True:
            try:
                status = node.post("events", body, {**NDJSON, "Idempotency-Key": "%d-%d" % (w, b)})[0]
            except OSError:
                status = 0
            if status == 200:
                break
            if time.monotonic() > deadline:
                stuck.append((w, b, status))
                return
            time.sleep(0.1)


def tenth_fails(server):
    """The first third comes while the store is gone, so that what is then committed is large enough for multipart uploads in the full form."""
    with faults.FaultProxy(server.url, 13) as proxy:
        lake = place(server, proxy.url, "tenth")
        proxy.set(rate=0.1)
        with Server(lake, "--config", "tenth.yaml", "--data", server.name + "-tenth", ready=60) as node:
            began, stuck, batches = time.monotonic(), [], -(-EVENTS // (SENDERS * BATCH))
            proxy.set(down=True)
            senders = [threading.Thread(target=send, args=(node, w, 0, batches, stuck)) for w in range(SENDERS)]
            for s in senders:
                s.start()
            while metric(node, "accepted_events_total") < EVENTS / 3 and any(s.is_alive() for s in senders):
                time.sleep(0.05)
            proxy.set(down=False)
            for s in senders:
                s.join()
            acked = time.monotonic() - began
            drained = flushed(node, 600)
            # A slow machine puts all of it into so few commits that chance may spare them: then some more.
            while sum(failed_of(proxy.counts()).values()) < ENOUGH and drained is not None and not stuck:
                for w in range(SENDERS):
                    send(node, w, batches, batches + 1, stuck)
                batches, drained = batches + 1, flushed(node, 600)
            counts, files, requests = proxy.counts(), metric(node, "committed_files_total"), metric(node, "store_requests_total")
            equal(server.name + ": it ends well", node.stop(120), 0)
        failed, total = failed_of(counts), batches * SENDERS * BATCH
        table = table_of(server, lake, "events", ("w", "i", "h"))
        got = rows("select count(*), count(distinct (w, i)), count(h), min(i), max(i) from t", t=table)[0]
        print("# %s: %d events acked in %.1f s, drained %.1f s later; %d files, %d requests (%d parts of multipart uploads), of which failed: %s, gone: %d" % (
            server.name, total, acked, drained or -1, files, requests, counts.get("op:UploadPart", 0), failed, counts.get("down", 0)), file=sys.stderr)
        check(server.name + ": requests did fail", sum(failed.values()) >= ENOUGH and counts.get("down"), counts)
        equal("%s: every tenth request failed: %d events, 0 lost, 0 twice" % (server.name, total), (stuck, drained is not None, got),
              ([], True, (total, total, total, 0, batches * BATCH - 1)))
        verified = hydrant("verify", "--lake", lake, env={"AWS_ENDPOINT_URL_S3": server.url}, timeout=600)
        check(server.name + ": verify agrees", verified.returncode == 0, verified.stdout + verified.stderr)


class Stream:
    """Bodies of 1 MB at a rate, on as many connections as that takes, whatever the answers' delay."""
    PLACE = b"1000000000"

    def __init__(self, node, connections=32):
        pad = "x" * 430
        self.template = "".join('{"b":1000000000,"j":%d,"kind":"filler","pad":"%s"}\n' % (j, pad) for j in range(BODY_EVENTS)).encode()
        self.node, self.next, self.lock, self.bad, self.slowest, self.end = node, 0, threading.Lock(), [], 0.0, None
        self.pace = len(self.template) / (RATE * 1e6)
        self.began = time.monotonic()
        self.threads = [threading.Thread(target=self.run) for _ in range(connections)]

    def run(self):
        c = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=120)
        while not self.bad:
            with self.lock:
                b, self.next = self.next, self.next + 1
            at = self.began + b * self.pace
            if at - self.began >= self.end:
                with self.lock:
                    self.next = min(self.next, b)
                return
            time.sleep(max(0, at - time.monotonic()))
            sent = time.monotonic()
            c.request("POST", "/v1/collections/gone/events", self.template.replace(self.PLACE, b"%d" % (1000000000 + b)), NDJSON)
            r = c.getresponse()
            answer = r.read()
            self.slowest = max(self.slowest, time.monotonic() - sent)
            if r.status != 200:
                self.bad.append((b, r.status, answer[:200]))

    def play(self, seconds):
        self.end = seconds
        for t in self.threads:
            t.start()
        for t in self.threads:
            t.join()
        self.took = time.monotonic() - self.began


def store_gone(server):
    with faults.FaultProxy(server.url, 17) as proxy:
        lake = place(server, proxy.url, "gone")
        with Server(lake, "--config", "gone.yaml", "--data", server.name + "-gone", ready=60) as node:
            node.post("gone", b'{"b":0,"j":0,"kind":"first","pad":""}\n', NDJSON)
            equal(server.name + ": it works", node.request("POST", "/v1/collections/gone/flush")[0], 200)
            proxy.set(down=True)
            stream = Stream(node)
            stream.play(GONE)
            size, waiting = stream.next * len(stream.template), metric(node, "log_pending_bytes")
            failing = json.loads(node.request("GET", "/readyz")[1])["problems"]
            if GONE > 60:  # a commit fails when its request has been tried for a while
                check(server.name + ": readyz says what is wrong", any(p.get("collection") == "gone" for p in failing), failing)
            proxy.set(down=False)
            drained = flushed(node, 60 + GONE * 3)
            with open("/proc/%d/status" % node.process.pid) as f:
                peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024
            equal(server.name + ": it ends well", node.stop(120), 0)
    print("# %s: store gone, %.0f MB in %.1f s (%.1f MB/s), slowest ack %.2f s, %.0f MB in the log; drained in %.1f s; peak memory %.0f MiB" % (
        server.name, size / 1e6, stream.took, size / 1e6 / stream.took, stream.slowest, waiting / 1e6, drained or -1, peak), file=sys.stderr)
    equal("%s: store gone for %d s at %d MB/s: no ack refused" % (server.name, GONE, RATE), stream.bad, [])
    check(server.name + ": at that rate", size / 1e6 / stream.took > RATE * 0.9, "%.1f MB/s" % (size / 1e6 / stream.took))
    check(server.name + ": all drained after", drained is not None, "not in %d s" % (60 + GONE * 3))
    check(server.name + ": within the memory budget", peak < 512, "%.0f MiB" % peak)
    n = BODY_EVENTS
    wrong = rows("""select b, count(*), sum(j), bit_xor(hash(j)) from t where b > 0 group by b
                    having count(*) <> %d or sum(j) <> %d or bit_xor(hash(j)) <> (select bit_xor(hash(range::bigint)) from range(%d))""" % (n, n * (n - 1) // 2, n),
                 t=(table := table_of(server, lake, "gone", ("b", "j"))))
    equal(server.name + ": each event once", (len(table), rows("select count(distinct b) from t", t=table)[0][0], wrong),
          (stream.next * n + 1, stream.next + 1, []))


with open("tenth.yaml", "w") as f:
    f.write("commit_interval: 0.5s\ncommit_interval_idle: 0.5s\n")
with open("gone.yaml", "w") as f:  # one collection may have all of the log
    f.write("commit_interval: 5s\ncommit_interval_idle: 5s\nlog_size: 16G\ncollection_log_size: 16G\n")
servers.each(tenth_fails, store_gone, kinds=os.environ.get("S3_KINDS", " ".join(servers.KINDS)).split())
done_testing()
