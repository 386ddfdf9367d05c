#!/usr/bin/env python3
"""Two SQL children run at a time: further queries wait for one of them to end, but not for ever, what is beyond the workers is told to come
again, and neither a client that goes away nor a server that ends leaves a child behind."""
import glob
import os
import sys
import threading

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

JSON = {"Content-Type": "application/json"}
SLOW = "select sleep_ms(90000)"
SLOTS, WORKERS, DRAIN, SLOT_WAIT = 2, 8, 25, 15


def children(pid):
    found = set()
    for path in glob.glob("/proc/%d/task/*/children" % pid):
        try:
            with open(path) as f:
                found |= {int(child) for child in f.read().split()}
        except OSError:
            pass  # that thread has ended
    return found


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def ask(s, sql):
    status, body, headers = s.request("POST", "/v1/query", json.dumps({"sql": sql}), JSON)
    return status, json.loads(body), headers


def ask_slowly(s):
    """A client that can go away."""
    body = json.dumps({"sql": SLOW}).encode()
    c = socket.create_connection(("127.0.0.1", s.port), timeout=90)
    c.sendall(b"POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    return c


def queries_seen(s):
    return int(float(next(line.split()[1] for line in s.request("GET", "/metrics")[1].decode().splitlines() if line.startswith("hydrant_queries_total "))))


def ask_until_taken(s, sql):
    """A worker that has just answered something else may still count as busy for a moment: then 503, and once more."""
    end = time.monotonic() + 30
    while True:
        answer = ask(s, sql)
        if answer[0] != 503 or time.monotonic() > end:
            return answer
        time.sleep(0.1)


def test_slots(s):
    pid, answers = s.process.pid, []
    s.post("c", b'{"a":1}', JSON)
    slow = [ask_slowly(s) for _ in range(SLOTS)]
    check("two queries run", wait_for(lambda: len(children(pid)) == SLOTS), children(pid))
    gone = [ask_slowly(s) for _ in range(WORKERS - SLOTS)]
    wait_for(lambda: queries_seen(s) == WORKERS)
    for c in gone:
        c.close()
    time.sleep(1)
    start = time.monotonic()
    status, answer, headers = ask(s, "select 1")
    took = time.monotonic() - start
    check("whoever waits and goes away takes no place, and who waits in vain gets 503 with Retry-After", status == 503 and int(headers.get("Retry-After", 0)) > 0 and "SQL" in answer["error"]["message"], answer)
    check("after its time", SLOT_WAIT - 1 < took < SLOT_WAIT + 10, "%.1f s" % took)
    threads = [threading.Thread(target=lambda: answers.append(ask_until_taken(s, "select a from c"))) for _ in range(WORKERS - SLOTS)]
    threads[0].start()
    wait_for(lambda: queries_seen(s) == WORKERS + 2)
    equal("a search does not wait for SQL", s.request("POST", "/v1/search", b'{"collection":"c","query":"a:1"}', JSON)[0], 200)
    for t in threads[1:]:
        t.start()
    wait_for(lambda: queries_seen(s) >= 2 * WORKERS - SLOTS + 1)
    time.sleep(2)
    equal("a third waits, and starts no child", (answers, len(children(pid))), ([], SLOTS))
    status, answer, headers = ask(s, "select 1")
    check("beyond eight: 503 with Retry-After", status == 503 and int(headers.get("Retry-After", 0)) > 0 and "queries" in answer["error"]["message"], answer)
    equal("events are taken all the same", s.post("c", b'{"a":1}', JSON)[0], 200)
    slow.pop().close()
    for t in threads:
        t.join(60)
    rows = [(status, len(body), body[0]["a"]) for status, body, _ in answers]
    check("when a client goes away, those that wait are answered one by one", rows == [(200, 2, 1)] * len(threads), answers)
    check("and only the other slow one is left", wait_for(lambda: len(children(pid)) == SLOTS - 1), children(pid))
    return slow[0]


def test_end(s, client):
    left, start = children(s.process.pid), time.monotonic()
    equal("SIGTERM ends with 0 although a query runs", s.stop(), 0)
    took = time.monotonic() - start
    check("after the time for draining", DRAIN - 1 < took < DRAIN + 15, "%.1f s" % took)
    check("its child ends with it", left and wait_for(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in left), 5), left)
    client.settimeout(5)
    try:
        answer = client.recv(1000)
    except ConnectionResetError:
        answer = b""
    check("no answer that looks complete", b" 200 " not in answer, answer)
    equal("the lake opens again with all that was acked", query("select count(*) as n from c", "lake"), [{"n": 2}])


if not os.path.exists(os.environ.get("HYDRANT_DUCKDB") or os.path.join(os.path.dirname(HYDRANT), "libduckdb.so")):
    skip("query slots", "there is no libduckdb.so beside the program")
elif not os.path.exists("/proc/self/task/%d/children" % os.getpid()):
    skip("query slots", "this kernel does not tell which children a process has")
else:
    with Server("lake") as server:
        test_end(server, test_slots(server))
done_testing()
