#!/usr/bin/env python3
"""id_field: an event whose id was seen is acked and not kept again; across kill -9, commits, many senders at once."""
import os
import sys
import threading

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

NDJSON = {"Content-Type": "application/x-ndjson"}
CONFIG = lake_yaml("lake") + """
commit_interval: 1s
commit_interval_idle: 1s
collections:
  orders: {id_field: order.id}
"""


def body(numbers):
    return b"".join(b'{"order":{"id":"o-%d"},"n":%d}\n' % (n, n) for n in numbers)


def send(s, collection, numbers, headers=NDJSON):
    return s.post(collection, body(numbers), headers)


def test_ids():
    with open("hydrant.yaml", "w", encoding="utf-8") as f:
        f.write(CONFIG)
    with Server(None, "--config", "hydrant.yaml") as s:
        status, answer = send(s, "orders", range(100))
        equal("new ids are kept", (status, answer["accepted"], answer.get("deduplicated")), (200, 100, None))
        status, answer = send(s, "orders", range(50, 150))
        equal("seen ones are acked and not kept again", (status, answer["accepted"], answer.get("deduplicated")), (200, 100, 50))
        status, again = send(s, "orders", range(150))
        equal("a body of seen ones only is acked, too", (status, again["deduplicated"], again["position"]), (200, 150, answer["position"]))
        status, answer = send(s, "other", [1, 1])
        equal("other collections have no ids", (status, answer.get("deduplicated")), (200, None))
        equal("a query sees each once, with its id", query("select count(*) as n, count(distinct __id) as ids, min(__id) as least from orders", "lake"),
              [{"n": 150, "ids": 150, "least": "o-0"}])
        s.kill()
    with Server(None, "--config", "hydrant.yaml") as s:
        status, answer = send(s, "orders", range(151))
        equal("the window outlives kill -9", (status, answer["deduplicated"]), (200, 150))
        s.request("POST", "/v1/collections/orders/flush")
        s.kill()
    with Server(None, "--config", "hydrant.yaml") as s:
        status, answer = send(s, "orders", range(152))
        equal("and a commit", (status, answer["deduplicated"]), (200, 151))
        kept = []

        def sender():
            for at in range(1000, 6000, 50):
                status, answer = send(s, "orders", range(at, at + 50))
                kept.append(answer["accepted"] - answer.get("deduplicated", 0) if status == 200 else -10000)

        threads = [threading.Thread(target=sender) for _ in range(6)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        equal("of six that send the same, each event is kept once", sum(kept), 5000)
        equal("PUT declares it as well", s.request("PUT", "/v1/collections/put", b'{"id_field":"n"}')[0], 200)
        send(s, "put", [1, 2, 3])
        equal("at once", send(s, "put", [3, 4])[1]["deduplicated"], 1)
        text = s.request("GET", "/metrics")[1].decode()
        value = [line for line in text.splitlines() if line.startswith("hydrant_deduplicated_events_total ")]
        equal("metrics count them", value, ["hydrant_deduplicated_events_total %d" % (151 + 5 * 5000 + 1)])
        for name in ("orders", "put"):
            s.request("POST", "/v1/collections/%s/flush" % name)
        equal("the server ends well", s.stop(), 0)
    equal("the table holds each once", query("select count(*) as n, count(distinct __id) as ids from orders", "lake"), [{"n": 5152, "ids": 5152}])
    done = hydrant("verify", "orders", "--lake", "lake")
    check("verify agrees", done.returncode == 0 and b"5,152 events" in done.stdout, done.stdout + done.stderr)


test_ids()
done_testing()
