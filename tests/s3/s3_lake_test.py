#!/usr/bin/env python3
"""A lake in a bucket of a real S3 server: three servers on one collection, one of them killed and one paused while all send a new key with three
types; then a store that fails every tenth request, and is gone for a while. Counts and values are read by pyiceberg."""
import json
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "s3"))
from lib import *
import faults
import servers

BATCH, BATCHES = 100, 60
VALUES = [lambda i: i, lambda i: "s%d" % i, lambda i: {"o": i}]
SETTINGS = "settings.yaml"


def send(port_of, writer, batches, stuck):
    """Each batch until it is acked, under a key of its own, so that a retry counts once."""
    for batch in range(batches):
        lines = [{"w": writer, "i": batch * BATCH + j, "fresh%d" % (batch // 10): VALUES[writer % 3](j)} for j in range(BATCH)]
        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
        deadline = time.monotonic() + 60
        while True:
            try:
                status = port_of(writer).post("events", body, {"Content-Type": "application/x-ndjson", "Idempotency-Key": "%d-%d" % (writer, batch)})[0]
            except OSError:
                status = 0
            if status == 200:
                break
            if time.monotonic() > deadline:
                stuck.append((writer, batch, status))
                return
            time.sleep(0.1)
        time.sleep(0.02)


def rows(server, lake):
    """The table's current snapshot, by an engine that is not ours."""
    from pyiceberg.table import StaticTable
    s3, prefix = server.client(server.owner), lake.split("/", 3)[3] + "/events/metadata/"
    names = [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=servers.BUCKET, Prefix=prefix) for o in page.get("Contents", [])]
    newest = max((n for n in names if n.endswith(".metadata.json")), key=lambda n: int(n[len(prefix) + 1:].split(".")[0]))
    table = StaticTable.from_metadata("s3://%s/%s" % (servers.BUCKET, newest), properties={
        "s3.endpoint": server.url, "s3.access-key-id": server.owner.access, "s3.secret-access-key": server.owner.secret,
        "s3.region": servers.REGION, "s3.force-virtual-addressing": "false"})
    return table.scan().to_arrow()


def counted(table):
    pairs = list(zip(table["w"].to_pylist(), table["i"].to_pylist()))
    return len(pairs), len(set(pairs))


def serve(lake, data, env):
    return Server(lake, "--config", SETTINGS, "--data", data, env=env, ready=30)


def three_servers(server):
    lake, env = "s3://%s/three" % servers.BUCKET, server.environment(server.owner)
    nodes = [serve(lake, "%s-%d" % (server.name, n), env) for n in range(3)]
    stuck = []
    senders = [threading.Thread(target=send, args=(lambda w: nodes[w], w, BATCHES, stuck)) for w in range(3)]
    for sender in senders:
        sender.start()
    time.sleep(1)
    nodes[1].kill()
    nodes[1] = serve(lake, server.name + "-1", env)
    nodes[2].process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    nodes[2].process.send_signal(signal.SIGCONT)
    for sender in senders:
        sender.join()
    flushed = [node.request("POST", "/v1/collections/events/flush")[0] for node in nodes]
    equal(server.name + ": all was acked and committed", (stuck, flushed), ([], [200, 200, 200]))
    for node in nodes:
        node.stop()
    table = rows(server, lake)
    equal(server.name + ": three servers, one killed, one paused: each event once", counted(table), (3 * BATCH * BATCHES,) * 2)
    for n in range(BATCHES // 10):
        columns = ["fresh%d" % n, "fresh%d__string" % n, "fresh%d__object" % n]
        kinds = sorted(len(table[c]) - table[c].null_count for c in table.column_names if c.split("__")[0] == columns[0])
        equal("%s: %s has the values of all three types" % (server.name, columns[0]), kinds, [10 * BATCH] * 3)
    verified = hydrant("verify", "--lake", lake, env=env)
    check(server.name + ": verify agrees", verified.returncode == 0, verified.stdout + verified.stderr)


def failing_store(server):
    """Every tenth request fails in one of eight ways; for a while all do."""
    lake, env = "s3://%s/faults" % servers.BUCKET, server.environment(server.owner)
    with faults.FaultProxy(server.url, 11) as proxy:
        env["AWS_ENDPOINT_URL_S3"] = proxy.url
        proxy.set(rate=0.1)
        node, stuck = serve(lake, server.name + "-f", env), []
        sender = threading.Thread(target=send, args=(lambda w: node, 0, 2 * BATCHES, stuck))
        sender.start()
        time.sleep(1)
        proxy.set(down=True)
        time.sleep(3)
        status = node.post("events", json.dumps({"w": 9, "i": 0}).encode())[0]
        equal(server.name + ": a store that is gone refuses no event", status, 200)
        proxy.set(down=False)
        sender.join()
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and node.request("POST", "/v1/collections/events/flush")[0] != 200:
            time.sleep(0.5)
        counts = proxy.counts()
        node.stop()
    check(server.name + ": requests did fail", sum(counts.get(k, 0) for k in faults.KINDS) > 3, counts)
    equal(server.name + ": every tenth request failed and the store was gone: each event once", (stuck, counted(rows(server, lake))),
          ([], (2 * BATCH * BATCHES + 1,) * 2))


with open(SETTINGS, "w") as f:
    f.write("commit_interval: 1s\ncommit_interval_idle: 1s\n")
servers.each(three_servers, failing_store)
done_testing()
