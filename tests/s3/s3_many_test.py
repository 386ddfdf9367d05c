#!/usr/bin/env python3
"""Many collections with an event a second each, committed to a bucket: within the memory budget, and what it costs in requests and files a day.

Sizes: S3_MANY collections (100; make s3-many: 1,000), S3_MANY_SECONDS (15; 1,800), S3_MANY_INTERVAL seconds between two commits of a collection
(5; 900, the default of a collection with little traffic). S3_KINDS: the servers, radosgw alone if unset.
"""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "s3"))
from lib import *
import servers

COLLECTIONS = int(os.environ.get("S3_MANY") or 100)
SECONDS = float(os.environ.get("S3_MANY_SECONDS") or 15)
INTERVAL = float(os.environ.get("S3_MANY_INTERVAL") or 5)
CONNECTIONS = 10
BUDGET_MIB = 512
DAY = 86400


def metrics(node):
    """{name or name{kind}: value}, summed over collections."""
    out = {}
    for line in node.request("GET", "/metrics")[1].decode().splitlines():
        if line.startswith("#"):
            continue
        name, value = line.rsplit(" ", 1)
        name = name.partition("{collection=")[0].replace("hydrant_", "", 1)
        out[name] = out.get(name, 0) + float(value)
    return out


def usage(pid):
    """(CPU seconds, peak memory in MiB)"""
    with open("/proc/%d/stat" % pid) as f:
        ticks = f.read().rpartition(")")[2].split()
    with open("/proc/%d/status" % pid) as f:
        peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK"), peak / 1024


class Sender(threading.Thread):
    """Every CONNECTIONS-th collection: an event to each in every second, all requests of a second in one pipeline."""

    def __init__(self, node, k):
        super().__init__(daemon=True)
        self.node, self.mine = node, range(k, COLLECTIONS, CONNECTIONS)
        self.k, self.sent, self.bad, self.late, self.stop = k, 0, [], 0.0, False

    def run(self):
        c = socket.create_connection(("127.0.0.1", self.node.port), timeout=60)
        answers, began = c.makefile("rb"), time.monotonic() + self.k / CONNECTIONS
        while not self.stop:
            time.sleep(max(0, began + self.sent - time.monotonic()))
            self.late = max(self.late, time.monotonic() - began - self.sent)
            out = []
            for n in self.mine:
                body = '{"n":%d,"service":"service-%d","level":"info","message":"request %d took its time","took":%d.5}' % (self.sent, n, self.sent * 7919, n)
                out.append("POST /v1/collections/many_%04d/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                           % (n, len(body), body))
            c.sendall("".join(out).encode())
            for n in self.mine:
                status, length = answers.readline(), 0
                while (line := answers.readline().strip()):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                answers.read(length)
                if b" 200 " not in status:
                    self.bad.append((n, self.sent, status))
            self.sent += 1
        c.close()


def report(name, window, before, after, cpu, peak):
    """What the window of that many seconds cost, and a day of it; returns requests a committed file."""
    delta = {k: after[k] - before.get(k, 0) for k in after}
    files, commits = delta["committed_files_total"], delta["commits_total"]
    kinds = {k.split('"')[1]: v for k, v in delta.items() if k.startswith("store_requests_total{")}
    requests = sum(kinds.values())
    say = lambda text: print("# %s: %s" % (name, text), file=sys.stderr, flush=True)
    say("in %.0f s: %d events, %d commits, %d files, %d requests (%s); CPU %.1f s (%.1f %% of a core); peak memory %.0f MiB" % (
        window, delta["committed_events_total"], commits, files, requests, ", ".join("%s %d" % (k, v) for k, v in sorted(kinds.items()) if v), cpu,
        100 * cpu / window, peak))
    if not files:
        return 0
    per_file = {k: v / files for k, v in kinds.items()}
    day = COLLECTIONS * DAY / INTERVAL
    say("requests a committed file: %.1f (%s)" % (requests / files, ", ".join("%s %.1f" % (k, v) for k, v in sorted(per_file.items()) if v)))
    say("a day of %d collections, committed every %.0f s: %d files, %.2f million requests (%s)" % (
        COLLECTIONS, INTERVAL, day, day * requests / files / 1e6, ", ".join("%s %.2f" % (k, v * day / 1e6) for k, v in sorted(per_file.items()) if v)))
    return requests / files


def many(server):
    with open("many.yaml", "w") as f:
        f.write("commit_interval: %gs\ncommit_interval_idle: %gs\n" % (INTERVAL, INTERVAL))
    lake, env = "s3://%s/many" % servers.BUCKET, server.environment()
    with Server(lake, "--config", "many.yaml", "--data", server.name + "-many", env=env, ready=60) as node:
        senders = [Sender(node, k) for k in range(CONNECTIONS)]
        began, first = time.monotonic(), None
        for s in senders:
            s.start()
        while time.monotonic() - began < SECONDS:
            time.sleep(min(1, max(0, began + SECONDS - time.monotonic())))
            if first is None and metrics(node).get("commits_total", 0) >= COLLECTIONS:  # tables are made once
                first = (time.monotonic(), metrics(node), usage(node.process.pid)[0])
        for s in senders:
            s.stop = True
        for s in senders:
            s.join(120)
        cpu, peak = usage(node.process.pid)
        start = {k: 0 for k in metrics(node)}
        report(server.name + " with the making of tables", time.monotonic() - began, start, metrics(node), cpu, peak)
        if first:
            each = report(server.name, time.monotonic() - first[0], first[1], metrics(node), cpu - first[2], peak)
            check(server.name + ": a committed file takes 15 requests", 0 < each < 15.5, "%.1f" % each)
        sent = sum(s.sent * len(s.mine) for s in senders)
        check(server.name + ": every event was acked", not any(s.bad for s in senders), [s.bad[:2] for s in senders])
        check("%s: an event a second, to %d collections" % (server.name, COLLECTIONS), sent >= COLLECTIONS * (SECONDS - 3), sent)
        check(server.name + ": within the memory budget", peak < BUDGET_MIB, "%.0f MiB" % peak)
        flushed = [node.request("POST", "/v1/collections/many_%04d/flush" % n, timeout=120)[0] for n in range(COLLECTIONS)]
        committed = metrics(node)
        equal(server.name + ": all is committed", (set(flushed), committed["committed_events_total"], committed["log_pending_bytes"]), ({200}, sent, 0))
        check(server.name + ": a commit makes a file", committed["committed_files_total"] == committed["commits_total"], committed)
        equal(server.name + ": it ends well", node.stop(120), 0)
        print("# %s: latest second %.2f s late" % (server.name, max(s.late for s in senders)), file=sys.stderr)


servers.each(many, kinds=os.environ.get("S3_KINDS", "radosgw").split())
done_testing()
