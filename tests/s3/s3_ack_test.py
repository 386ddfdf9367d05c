#!/usr/bin/env python3
"""`ack: store` in front of a real S3 server on bad days: a tenth of the requests fail, replies are lost, the store is away; servers die and lose their
disks all the while. Every acked event is there once. HYDRANT_ACK_SECONDS=300 for a long run (4)."""
import os
import shutil
import sys
import threading
import time

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "s3"))
from lib import *
import faults
import servers

SECONDS = float(os.environ.get("HYDRANT_ACK_SECONDS", "4"))


def config(name, lake):
    with open(name + ".yaml", "w") as f:
        f.write("lake: %s\ndata: %s\nack: store\nadopt_after: 5s\n" % (lake, os.path.abspath(name)))
    return name + ".yaml"


def metric(server, name):
    text = server.request("GET", "/metrics")[1].decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("hydrant_%s " % name))


class Load:
    def __init__(self):
        self.lock, self.next, self.acked, self.answers, self.latencies = threading.Lock(), 0, set(), {}, []

    def post(self, server, count=1):
        with self.lock:
            numbers = range(self.next, self.next + count)
            self.next += count
        start = time.monotonic()
        try:
            status = server.post("c", "".join('{"n":%d}\n' % n for n in numbers).encode())[0]
        except OSError:
            status = 0
        with self.lock:
            self.answers[status] = self.answers.get(status, 0) + 1
            if status == 200:
                self.acked.update(numbers)
                self.latencies.append(time.monotonic() - start)
        return status

    def run(self, server, seconds, clients=4):
        end = time.monotonic() + seconds
        def client(k):
            while time.monotonic() < end:
                if self.post(server, 1 + 30 * (k == 0)) == 0:
                    return
        threads = [threading.Thread(target=client, args=(k,)) for k in range(clients)]
        for t in threads:
            t.start()
        return threads


def on_server(server):
    lake, load, name = "s3://%s/ack" % servers.BUCKET, Load(), server.name
    with faults.FaultProxy(server.url, 11) as proxy:
        env = dict(server.environment(server.owner), AWS_ENDPOINT_URL_S3=proxy.url)
        start = lambda node: Server(None, "--config", config(node, lake), env=env, ready=60)
        with start("keeper") as keeper:
            load.run(keeper, 0.3)[0].join()
            proxy.set(rate=0.1)
            end, lives = time.monotonic() + SECONDS, 0
            while time.monotonic() < end:
                victim = start("victim%d" % lives)
                threads = load.run(victim, 30)
                time.sleep(2)
                victim.kill()
                for t in threads:
                    t.join()
                shutil.rmtree("victim%d" % lives)
                lives += 1
            proxy.set(rate=0, down=True)
            equal(name + ": while the store is away nothing is acked", [load.post(keeper) for _ in range(2)], [503, 503])
            proxy.set(down=False, rate=0.1)
            deadline = time.monotonic() + 30
            while load.post(keeper) != 200 and time.monotonic() < deadline:
                time.sleep(0.2)
            check(name + ": and again, when it is back", time.monotonic() < deadline)
            deadline = time.monotonic() + 90
            while metric(keeper, "adopted_logs_total") < lives and time.monotonic() < deadline:
                time.sleep(0.3)
            equal(name + ": each log was taken over", metric(keeper, "adopted_logs_total"), lives)
            proxy.set(rate=0)
            there = [r["n"] for r in query("select n from c", lake, "--data", "keeper")]
            equal(name + ": acked and lost", len(load.acked - set(there)), 0)
            equal(name + ": there twice", len(there) - len(set(there)), 0)
            equal(name + ": an orderly end", keeper.stop(), 0)
        counts = proxy.counts()
        check(name + ": requests did fail", sum(counts.get(k, 0) for k in faults.KINDS) > 4, counts)
        s3 = server.client(server.owner)
        left = [o["Key"] for o in s3.list_objects_v2(Bucket=servers.BUCKET, Prefix="ack/_hydrant/log/").get("Contents", [])]
        check(name + ": only seals stay", all(s3.head_object(Bucket=servers.BUCKET, Key=k)["ContentLength"] == 2176 for k in left), left)
        slow = sorted(load.latencies)
        print("# %s: %d lives, answers %s, ack p50 %.0f ms, p99 %.0f ms; %s" % (name, lives, load.answers, slow[len(slow) // 2] * 1e3,
                                                                           slow[len(slow) * 99 // 100] * 1e3, counts))


servers.each(on_server)
done_testing()
