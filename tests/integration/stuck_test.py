#!/usr/bin/env python3
"""A collection whose place refuses: the others' acks, what they see of their events and the log's disk stay as they are, it alone is refused when
its share is full, and all of it is there once, when the place works again. HYDRANT_STUCK_SECONDS=600: for longer."""
import os
import sys
import threading
import time

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

SECONDS = float(os.environ.get("HYDRANT_STUCK_SECONDS", "6"))
MIB = 1 << 20
LOG = 24 * MIB
NDJSON = {"Content-Type": "application/x-ndjson"}
PLACE = os.path.abspath("refuses")
CONFIG = lake_yaml("main") + """
log_size: 24M
collection_log_size: 8M
commit_interval: 1s
commit_interval_idle: 1s
lakes:
  refuses: {url: "%s"}
collections:
  stuck: {lake: refuses}
""" % PLACE


def body(first, count):
    return b"".join(b'{"n":%d,"text":"%s"}\n' % (n, b"x" * 1000) for n in range(first, first + count))


def metrics(s):
    lines = s.request("GET", "/metrics")[1].decode().splitlines()
    return {k: float(v) for k, _, v in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


class Sender(threading.Thread):
    """Batches at a pace. acks: seconds each; refused: status codes other than 200."""

    def __init__(self, server, collection, first, count, pause, seconds):
        super().__init__()
        self.args = server, collection, count, pause, time.monotonic() + seconds
        self.next, self.acks, self.refused, self.acked = first, [], [], set()
        self.start()

    def run(self):
        server, collection, count, pause, end = self.args
        while time.monotonic() < end:
            begin = time.monotonic()
            status, _ = server.post(collection, body(self.next, count), NDJSON)
            if status == 200:
                self.acks.append(time.monotonic() - begin)
                self.acked.update(range(self.next, self.next + count))
            else:
                self.refused.append(status)
            self.next += count
            time.sleep(pause)


def p99(acks):
    return sorted(acks)[len(acks) * 99 // 100]


def alone_and_together(s):
    alone = Sender(s, "well", 0, 100, 0.01, SECONDS / 2)
    alone.join()
    stucks = [Sender(s, "stuck", i * 1000000, 100, 0.01, SECONDS) for i in range(4)]
    well = Sender(s, "well", alone.next, 100, 0.01, SECONDS)
    most = {"log": 0, "aside": 0, "waiting": 0, "oldest": 0}
    while well.is_alive():
        m = metrics(s)
        for name, key in (("log", "hydrant_log_bytes"), ("aside", "hydrant_log_aside_bytes"), ("waiting", 'hydrant_waiting_bytes{collection="well"}'),
                          ("oldest", 'hydrant_waiting_oldest_seconds{collection="well"}')):
            most[name] = max(most[name], m.get(key, 0))
        time.sleep(0.1)
    for sender in (well, *stucks):
        sender.join()
    stuck = stucks[0]
    for other in stucks[1:]:
        stuck.acked |= other.acked
        stuck.acks += other.acks
        stuck.refused += other.refused
    print("# alone: %d acks, p99 %.1f ms; beside the stuck one (%d acks, %d refused): %d acks, p99 %.1f ms; at most %s" % (
        len(alone.acks), 1e3 * p99(alone.acks), len(stuck.acks), len(stuck.refused), len(well.acks), 1e3 * p99(well.acks), most), file=sys.stderr)
    return alone, well, stuck, most


def counts(collection):
    return query("select count(*) as c, count(distinct n) as d from %s" % collection, "main")[0]


def main():
    os.makedirs(PLACE)
    with open(os.path.join(PLACE, "stuck"), "w") as f:
        f.write("in the way of the table's folder\n")
    with open("hydrant.yaml", "w", encoding="utf-8") as f:
        f.write(CONFIG)
    with Server(None, "--config", "hydrant.yaml") as s:
        alone, well, stuck, most = alone_and_together(s)
        acked = alone.acked | well.acked
        check("more than the log can hold went through it", len(acked) * 1000 > LOG, len(acked))
        equal("others are never refused", alone.refused + well.refused, [])
        check("others' acks are as fast", p99(well.acks) < max(10 * p99(alone.acks), 0.5), (p99(well.acks), p99(alone.acks)))
        check("others are committed as soon", most["oldest"] < 10 and most["waiting"] < 8 * MIB, most)
        check("the log does not grow by what cannot be committed", most["log"] < LOG * 3 / 4, most)
        check("the stuck one fills its own share, in files of its own", 6 * MIB < most["aside"] < 12 * MIB, most)
        check("and is then refused with 429", set(stuck.refused) == {429} and len(stuck.acked) * 1000 > 6 * MIB, (set(stuck.refused), len(stuck.acked)))
        equal("its events are seen meanwhile", counts("stuck"), {"c": len(stuck.acked), "d": len(stuck.acked)})
        equal("and the others'", counts("well"), {"c": len(acked), "d": len(acked)})
        s.kill()
    with Server(None, "--config", "hydrant.yaml") as s:
        equal("after a kill they are there as before", counts("stuck"), {"c": len(stuck.acked), "d": len(stuck.acked)})
        equal("and the others'", counts("well"), {"c": len(acked), "d": len(acked)})
        again = Sender(s, "well", well.next, 100, 0.01, SECONDS / 3)
        again.join()
        equal("others go on", again.refused, [])
        acked |= again.acked
        os.remove(os.path.join(PLACE, "stuck"))
        for name in ("stuck", "well"):
            equal("all is committed when the place works again: " + name, s.request("POST", "/v1/collections/%s/flush" % name)[0], 200)
        deadline = time.monotonic() + 20
        while metrics(s)["hydrant_log_aside_files"] and time.monotonic() < deadline:
            time.sleep(0.1)
        equal("the files are gone", [f for f in os.listdir(os.path.join(lake_data("main"), "log")) if f.endswith(".aside")], [])
        equal("each event is there once", (counts("stuck"), counts("well")),
              ({"c": len(stuck.acked), "d": len(stuck.acked)}, {"c": len(acked), "d": len(acked)}))
        equal("and it takes events again", s.post("stuck", body(stuck.next, 10), NDJSON)[0], 200)
        equal("the server ends well", s.stop(), 0)
    done = hydrant("verify", "--lake", "main")
    check("verify finds nothing missing", done.returncode == 0 and "stuck: {:,} events in ".format(len(stuck.acked)).encode() in done.stdout, done.stdout + done.stderr)


main()
done_testing()
