#!/usr/bin/env python3
"""The HTTP contract as a new user meets it: every answer has the status, the counts and the words that were promised."""
import gzip
import os
import re
import shutil
import threading

import sys
sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

JSON, NDJSON = {"Content-Type": "application/json"}, {"Content-Type": "application/x-ndjson"}


def error_of(answer):
    return answer.get("error", {}) if isinstance(answer, dict) else {}


def count(collection, lake="lake"):
    return query("select count(*) as n from %s" % collection, lake)[0]["n"]


def curl(*args, input=None):
    return subprocess.run(["curl", "-sS", "--max-time", "20", *args], input=input, stdin=None if input is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def raw(server, data, timeout=10, shut=False):
    """Sends bytes, reads until the server closes or is silent for a second after something came."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as s:
        s.sendall(data)
        if shut:
            s.shutdown(socket.SHUT_WR)
        out = b""
        try:
            while True:
                piece = s.recv(65536)
                if not piece:
                    return out
                out += piece
                s.settimeout(0.5)
        except (socket.timeout, ConnectionResetError):
            return out


def statuses(answer):
    return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d{3})", answer)]


def test_new_user(s):
    url = "http://127.0.0.1:%d/v1/collections/" % s.port
    done = curl("-d", '{"a":1}', url + "first/events")
    answer = json.loads(done.stdout)
    check("curl -d without a header", answer.get("accepted") == 1 and answer.get("quarantined") == 0 and answer.get("position"), done.stdout)
    equal("a query right after the 200 sees it", query("select a from first", "lake"), [{"a": 1}])
    with open("events.ndjson", "wb") as f:
        f.writelines(b'{"n":%d}\n' % i for i in range(100))
    answer = json.loads(curl("--data-binary", "@events.ndjson", url + "second/events").stdout)
    equal("curl --data-binary @file", (answer.get("accepted"), answer.get("format")), (100, "ndjson"))
    answer = json.loads(curl("-d", "@events.ndjson", url + "third/events").stdout)
    equal("curl -d @file, which takes the newlines out", answer.get("accepted"), 100)
    equal("both are counted", (count("second"), count("third")), (100, 100))
    done = curl("-w", "%{http_code}", "-d", '{\n "a": 1,\n "b": tru\n}', url + "typo/events")
    said = done.stdout.decode()
    check("a typo gets 400 with line and column", said.endswith("400") and "line 3" in said and "column" in said, said)
    done = hydrant("query", "select * from typo", "--lake", "lake")
    check("and nothing is kept", done.returncode == 1 and b"typo" in done.stderr, done.stderr)
    found = hydrant("search", "first", "a:1", "--lake", "lake")
    equal("search right after the 200 sees it", found.stdout, b'{"a":1}\n')


def test_bodies(s):
    status, answer = s.post("arrays", b'[{"a":1},{"a":2},{"a":3}]', JSON)
    equal("each element of an array is an event", (status, answer["accepted"]), (200, 3))
    status, answer = s.post("arrays", b'[{"a":4},{"a":5}]', JSON, "?body=event")
    equal("with ?body=event the array is one", (status, answer["accepted"], count("arrays")), (200, 1, 4))
    status, answer = s.post("arrays", b"[]", JSON)
    check("an empty array holds no event", status == 400 and "no event" in error_of(answer).get("message", ""), answer)
    status, answer = s.post("mixed", b'{"a":1}\n{"a":\n{"a":2}\n\nnonsense\n', NDJSON)
    lines = [e["line"] for e in answer.get("errors", [])]
    equal("NDJSON with bad lines", (status, answer["accepted"], answer["quarantined"], lines), (200, 4, 2, [2, 5]))
    equal("rows and quarantine add up", (count("mixed"), count("mixed__quarantine")), (2, 2))
    status, answer = s.post("mixed", b'{"a":1}\n{"a":\n', NDJSON, "?on_error=reject")
    check("?on_error=reject refuses it whole", status == 400 and "line 2" in error_of(answer).get("message", ""), answer)
    status, answer = s.post("mixed", b"nonsense\nmore\n", NDJSON)
    equal("none valid: 400", status, 400)
    equal("and nothing was kept", (count("mixed"), count("mixed__quarantine")), (2, 2))
    status, answer = s.post("mixed", b"bad\n" * 50 + b"{}\n", NDJSON)
    equal("only the first ten errors are listed", (status, answer["quarantined"], len(answer["errors"])), (200, 50, 10))
    status, answer = s.post("lines", b"one line\nanother\n", {"Content-Type": "text/plain"})
    equal("text is lines", (status, answer["accepted"], answer["format"]), (200, 2, "text"))
    equal("in column text", query("select text from lines order by 1", "lake"), [{"text": "another"}, {"text": "one line"}])
    blob = bytes(range(256)) * 10
    status, answer = s.post("blobs", blob, {"Content-Type": "application/octet-stream"})
    equal("bytes are one event", (status, answer["accepted"], answer["format"]), (200, 1, "raw"))
    equal("and come back", hydrant("replay", "blobs", "--to", "stdout", "--framing", "length", "--lake", "lake").stdout[4:], blob)
    status, answer = s.post("sniffed", b'{"a":1}{"a":2} {"a":3}', {})
    equal("concatenated JSON without a type", (status, answer["accepted"]), (200, 3))
    status, answer = s.post("sniffed", b"", JSON)
    check("an empty body is told", status == 400 and error_of(answer).get("message"), answer)
    status, answer = s.post("scalars", b"17", JSON)
    equal("a bare number is an event", (status, query("select value from scalars", "lake")), (200, [{"value": 17}]))


def test_codings(s):
    body = b"".join(b'{"n":%d}\n' % i for i in range(1000))
    status, answer = s.post("packed", gzip.compress(body), {**NDJSON, "Content-Encoding": "gzip"})
    equal("gzip", (status, answer.get("accepted")), (200, 1000))
    if shutil.which("zstd"):
        packed = subprocess.run(["zstd", "-q", "-c"], input=body, stdout=subprocess.PIPE).stdout
        status, answer = s.post("packed", packed, {**NDJSON, "Content-Encoding": "zstd"})
        equal("zstd", (status, answer.get("accepted")), (200, 1000))
    else:
        import pyarrow
        packed = pyarrow.compress(body, "zstd", asbytes=True)
        status, answer = s.post("packed", packed, {**NDJSON, "Content-Encoding": "zstd"})
        equal("zstd", (status, answer.get("accepted")), (200, 1000))
    status, answer = s.post("packed", body, {**NDJSON, "Content-Encoding": "gzip"})
    check("what is no gzip gets 400", status == 400 and error_of(answer).get("message"), answer)
    status, answer = s.post("packed", gzip.compress(body)[:-20], {**NDJSON, "Content-Encoding": "gzip"})
    check("half a gzip gets 400", status == 400, answer)
    status, answer = s.post("packed", body, {**NDJSON, "Content-Encoding": "br"})
    check("another coding gets 415 that names those there are", status == 415 and "gzip" in error_of(answer).get("message", ""), answer)
    bomb = gzip.compress(b" " * (80 << 20), 1)
    status, answer = s.post("packed", bomb, {**NDJSON, "Content-Encoding": "gzip"})
    check("a bomb gets 413 that says what to do", status == 413 and "split" in error_of(answer).get("message", "").lower(), answer)
    equal("only the good ones count", count("packed"), 2000)


def test_transport(s):
    head = b"POST /v1/collections/wire/events HTTP/1.1\r\nHost: x\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (b'{"a"', b":1}\n", b'{"a":2}\n')) + b"0\r\n\r\n"
    answer = raw(s, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    check("chunked", statuses(answer) == [200] and b'"accepted":2' in answer, answer)
    answer = raw(s, head + b"Content-Length: 7\r\n\r\n{\"a\":1}" + head + b"Content-Length: 7\r\n\r\n{\"a\":x}" + head + b"Content-Length: 7\r\n\r\n{\"a\":3}")
    equal("pipelined requests are answered in order", statuses(answer), [200, 400, 200])
    with socket.create_connection(("127.0.0.1", s.port), timeout=10) as c:
        c.sendall(head + b"Content-Length: 7\r\nExpect: 100-continue\r\n\r\n")
        first = c.recv(1000)
        c.sendall(b'{"a":4}')
        second = c.recv(10000)
        check("Expect: 100-continue", b" 100 " in first.split(b"\r\n")[0] and statuses(second) == [200], (first, second))
        for i in range(20):
            c.sendall(head + b"Content-Length: 7\r\n\r\n{\"a\":5}")
            if statuses(c.recv(10000)) != [200]:
                not_ok("keep-alive", "request %d" % i)
                break
        else:
            ok("keep-alive")
    answer = raw(s, b"POST /v1/collections/Wire/events HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n")
    equal("a refusal comes instead of 100", statuses(answer), [404])
    answer = raw(s, head.replace(b"1.1", b"1.0", 1) + b"Content-Length: 7\r\n\r\n{\"a\":6}")
    check("HTTP/1.0 is answered and closed", b"200" in answer.split(b"\r\n")[0], answer)
    equal("the sum is what was acked", count("wire"), 2 + 2 + 1 + 20 + 1)


def test_routes(s):
    for name in ("Upper", "1st", "a__b", "a-b", "x" * 64, "first__quarantine", "%2e%2e"):
        status, answer = s.post(name, b'{"a":1}', JSON)
        check("no collection is called " + name[:20], status in (404, 400) and error_of(answer).get("message"), (status, answer))
    equal("a name of 63 is fine", s.post("x" * 63, b"{}", JSON)[0], 200)
    for method, path, want in (("GET", "/v1/collections/first/events", 405), ("PUT", "/v1/query", 405), ("POST", "/nothing", 404), ("GET", "/v2/x", 404),
                               ("GET", "/v1/collections/nowhere", 404)):
        status, body, headers = s.request(method, path, b"" if method != "GET" else None)
        check("%s %s" % (method, path), status == want and json.loads(body)["error"]["message"], (status, body))
        if want == 405:
            check("405 names what is allowed", headers.get("Allow") and "no" not in headers["Allow"], headers)
    status, body, _ = s.request("GET", "/v1/collections/first")
    check("a collection is described", status == 200 and json.loads(body)["events"] == 1, body)
    equal("it is listed", "first" in [c["name"] for c in json.loads(s.request("GET", "/v1/collections")[1])["collections"]], True)
    for path, words in (("/healthz", b"ok"), ("/readyz", b"true"), ("/metrics", b"hydrant_accepted_events_total"), ("/", b"hydrant")):
        status, body, _ = s.request("GET", path)
        check("GET " + path, status == 200 and words in body, (status, body[:100]))
    status, body, _ = s.request("POST", "/v1/query", b'{"sql":"select count(*) as n from first"}', JSON)
    check("POST /v1/query", (status, json.loads(body)) == (200, [{"n": 1}]), body)
    status, body, _ = s.request("POST", "/v1/query", b'{"sql":"selec 1"}', JSON)
    check("bad SQL gets 400 with words", status == 400 and json.loads(body)["error"]["message"], body)
    status, body, _ = s.request("POST", "/v1/query", b"{", JSON)
    check("a bad call gets 400", status == 400 and json.loads(body)["error"]["message"], body)
    status, body, _ = s.request("POST", "/v1/query", json.dumps({"sql": "copy (select 1) to '/tmp/hydrant-escape.csv'"}).encode(), JSON)
    check("SQL cannot write files", status == 400 and not os.path.exists("/tmp/hydrant-escape.csv"), body)
    status, body, _ = s.request("POST", "/v1/query", json.dumps({"sql": "select * from read_text('/etc/hostname')"}).encode(), JSON)
    check("SQL cannot read files", status == 400, body)


def test_bodies(s):
    """What a body does not mean to say is told, by the member's name; nothing is answered as if it were not there."""
    wrong = [("query", {"sql": "select 1"}, m) for m in ({"sql": 1}, {"format": ["csv"]}, {"width": "80"}, {"from": {}}, {"to": True}, {"SQL": "select 2"})]
    wrong += [("search", {"collection": "first"}, m) for m in ({"query": 7}, {"limit": "5"}, {"limit": 1.5}, {"payloads_only": 1}, {"from": []}, {"where": "a:1"})]
    wrong += [("replay", {"collection": "first"}, m) for m in ({"until": "2020-01-01"}, {"where": {"n": 5}}, {"rate": "5/s"}, {"speed": -1}, {"framing": 4}, {"to_url": 1}, {"limit": 3})]
    for path, body, member in wrong:
        status, answer, _ = s.request("POST", "/v1/" + path, json.dumps({**body, **member}), JSON)
        name = next(iter(member))
        check("/v1/%s refuses %s" % (path, member), status == 400 and '"%s"' % name in json.loads(answer)["error"]["message"], (status, answer[:200]))
    status, answer, _ = s.request("POST", "/v1/replay", json.dumps({"collection": "first", "where": None, "from": "2020-01-01", "to": None, "rate": 1000, "speed": 0, "framing": "nul", "to_url": None}), JSON)
    equal("all members at once, null is none", (status, answer), (200, b'{"a":1}\0'))
    status, answer, _ = s.request("POST", "/v1/search", json.dumps({"collection": "first", "query": "a:1", "from": 1600000000, "to": None, "limit": None, "payloads_only": True}), JSON)
    equal("of a search, too", (status, answer), (200, b'{"a":1}\n'))


def with_key(s, key, body):
    return s.post("keyed", body, {**JSON, "Idempotency-Key": key})


def test_keys(s):
    first = with_key(s, "k1", b'{"a":1}')
    again = with_key(s, "k1", b'{"a":1}')
    check("the same key and body is answered alike", again[0] == 200 and again[1]["position"] == first[1]["position"], (first, again))
    equal("and counted once", count("keyed"), 1)
    status, answer = with_key(s, "k1", b'{"a":2}')
    check("another body gets 409", status == 409 and "k1" in error_of(answer).get("message", ""), answer)
    results = []
    threads = [threading.Thread(target=lambda: results.append(with_key(s, "k2", b'{"a":3}'))) for _ in range(64)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    positions = {r[1].get("position") for r in results}
    check("sixty-four at once with one key", [r[0] for r in results] == [200] * 64 and len(positions) == 1, results)
    equal("count once", count("keyed"), 2)
    equal("a bad body does not use its key up", (with_key(s, "k3", b"{")[0], with_key(s, "k3", b'{"a":4}')[0]), (400, 200))
    equal("the same key in another collection is another", (s.post("keyed2", b'{"a":9}', {**JSON, "Idempotency-Key": "k1"})[0], count("keyed2")), (200, 1))
    return first[1]["position"]


def test_keys_after_restart(s, position):
    status, answer = with_key(s, "k1", b'{"a":1}')
    equal("the key is known after a restart", (status, answer.get("position"), count("keyed")), (200, position, 3))
    equal("another body still gets 409", with_key(s, "k1", b'{"a":2}')[0], 409)


def test_second_server(pid):
    done = hydrant("serve", "--lake", "lake", "--listen", "127.0.0.1:%d" % free_port(), timeout=20)
    said = done.stderr.decode()
    check("a second server says who holds the lake", done.returncode == 1 and "hydrant serve (pid %d)" % pid in said and "127.0.0.1" in said, said)
    done = hydrant("serve", "--lake", "lake2", "--listen", "0.0.0.0:%d" % free_port(), timeout=20)
    said = done.stderr.decode()
    check("beyond loopback without a token is refused", done.returncode == 2 and "HYDRANT_TOKEN" in said and "--insecure" in said, said)
    done = hydrant("serve", "--lake", "lake2", "--listen", "nonsense", timeout=20)
    check("a bad address is told", done.returncode in (1, 2) and b"nonsense" in done.stderr, done.stderr)


def test_token():
    with Server("tokened", env={"HYDRANT_TOKEN": "s3cret"}) as s:
        status, answer = s.post("c", b"{}", JSON)
        check("without the token 401", status == 401 and "Authorization" in error_of(answer).get("message", ""), answer)
        equal("a wrong one 401", s.post("c", b"{}", {**JSON, "Authorization": "Bearer s3cres"})[0], 401)
        equal("the right one 200", s.post("c", b"{}", {**JSON, "Authorization": "Bearer s3cret"})[0], 200)
        equal("queries want it, too", s.request("POST", "/v1/query", b'{"sql":"select 1"}', JSON)[0], 401)
        equal("health does not", s.request("GET", "/healthz")[0], 200)
        done = hydrant("query", "select count(*) as n from c", "--format", "csv", "--lake", "tokened", env={"HYDRANT_TOKEN": "s3cret"})
        check("a command with the token asks the server", done.stdout.split() == [b"n", b"1"], done.stderr)
        done = hydrant("query", "select 1", "--lake", "tokened")
        check("a command without it is told", done.returncode == 1 and b"oken" in done.stderr, done.stderr)
        check("the token is not in the log", "s3cret" not in open(s.log).read())


def test_full_log():
    with open("tiny.yaml", "w") as f:
        f.write("collection_log_size: 1M\n")
    body = b"".join(b'{"n":%d,"pad":"%s"}\n' % (i, b"x" * 100) for i in range(1000))
    with Server("tiny", "--config", "tiny.yaml") as s:
        lake_write("tiny", "crowded/metadata/v1.metadata.json", b"no table")  # it cannot be committed
        kept = 0
        for _ in range(40):
            status, answer, headers = s.request("POST", "/v1/collections/crowded/events", body, NDJSON)
            if status != 200:
                break
            kept += json.loads(answer)["accepted"]
        check("a full share of the log gets 429 with Retry-After", status == 429 and int(headers.get("Retry-After", 0)) > 0 and kept,
              (status, kept, answer[:200], headers))
        equal("another collection does not notice", s.post("free", b"{}", JSON)[0], 200)
        lake_remove("tiny", "crowded/metadata/v1.metadata.json")
        equal("readers neither", count("crowded", "tiny"), kept)
        s.request("POST", "/v1/collections/crowded/flush")
        equal("after a commit it takes events again", s.request("POST", "/v1/collections/crowded/events", body, NDJSON)[0], 200)
        equal("nothing is lost or doubled", count("crowded", "tiny"), kept + 1000)


def test_drain():
    s = Server("drained")
    c = socket.create_connection(("127.0.0.1", s.port), timeout=20)
    c.sendall(b"POST /v1/collections/slow/events HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n{\"a\":1}")
    time.sleep(0.2)
    s.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    c.sendall(b'{"a":2}')
    answer = c.recv(10000)
    check("a request in flight is answered while draining", statuses(answer) == [200] and b'"accepted":2' in answer, answer)
    c.close()
    equal("SIGTERM ends with 0", s.process.wait(30), 0)
    equal("what was acked is there", count("slow", "drained"), 2)


def switches(pid):
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, task)) as f:
            total += sum(int(line.split()[1]) for line in f if "voluntary_ctxt_switches" in line)
    return total


def memory(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


def test_idle(s, name):
    time.sleep(1.0)
    before, at = switches(s.process.pid), time.monotonic()
    time.sleep(3)
    rate = (switches(s.process.pid) - before) / (time.monotonic() - at)
    check("under 5 wake-ups a second " + name, rate < 5, "%.1f a second" % rate)
    check("under 40 MiB " + name, memory(s.process.pid) < 40, "%.1f MiB" % memory(s.process.pid))


def test_start():
    """Ready within 200 ms. The machine may be busy with other tests: the best of five counts."""
    best = 9.0
    for i in range(5):
        start = time.monotonic()
        with Server("quick") as s:
            best = min(best, time.monotonic() - start)
            if i == 0:
                s.post("c", b'{"a":1}\n' * 1000, NDJSON)
            s.stop()
    check("ready within 200 ms", best < 0.2, "%.3f s" % best)


def guarded(test, *args):
    try:
        return test(*args)
    except Exception as e:
        not_ok(test.__name__, "%s: %s" % (type(e).__name__, e))


with Server("lake") as server:
    guarded(test_idle, server, "at rest")
    for test in (test_new_user, test_bodies, test_codings, test_transport, test_routes):
        guarded(test, server)
    position = guarded(test_keys, server)
    guarded(test_second_server, server.process.pid)
    equal("no answer was 5xx", 'responses_total{class="5xx"} 0' in server.request("GET", "/metrics")[1].decode(), True)
    server.kill()
with Server("lake") as server:
    guarded(test_keys_after_restart, server, position)
    equal("what was acked before the kill is there", (count("first"), count("second")), (1, 100))
    guarded(test_idle, server, "with events in the log")
    equal("SIGTERM ends with 0", server.stop(), 0)
for test in (test_token, test_full_log, test_drain, test_start):
    guarded(test)
done_testing()
