#!/usr/bin/env python3
"""An answer that is streamed has said 200 before it knows how it ends: what comes of it later is told all the same."""
import os
import random
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *


def ingest(name):
    """A file of a thousand events, most of whose bytes are what they are padded with. Its key."""
    before = set(lake_files("lake", "c/data"))
    with open("in.ndjson", "w") as f:
        f.writelines('{"n":%d,"in":"%s","pad":"%s"}\n' % (i, name, random.randbytes(100).hex()) for i in range(1000))
    done = hydrant("ingest", "c", "in.ndjson", "--lake", "lake")
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    (key,) = set(lake_files("lake", "c/data")) - before
    return key


def test_limit():
    """A search that its limit cut says so, whether a server was asked or not, and also behind an answer that had begun long before."""
    for limit, said in ((3, True), (900, True), (1999, True), (2000, False), (0, True)):
        for flags in ([], ["--json"]):
            done = hydrant("search", "c", "n:>=0", "--limit", limit, *flags, "--lake", "lake")
            equal("the limit of %d with %s" % (limit, flags), (len(done.stdout.splitlines()), ("the first %d hits" % limit).encode() in done.stderr), (limit, said))


def test_damage(s, damaged):
    """The older of two files is damaged: the newer one's hits are on their way already when that is found."""
    status = []
    for path, body in (("search", {"collection": "c", "query": "n:>=0", "limit": 5000}), ("search", {"collection": "c", "limit": 5000, "payloads_only": True})):
        try:
            status.append(s.request("POST", "/v1/" + path, json.dumps(body), {"Content-Type": "application/json"})[0])
        except (http.client.HTTPException, OSError) as e:
            status.append(type(e).__name__)
    check("the answer is cut, not ended", all(x in ("IncompleteRead", "ConnectionResetError") for x in status), status)
    done = hydrant("search", "c", "n:>=0", "--limit", "5000", "--lake", "lake")
    check("the command fails and points to the server's log", done.returncode == 1 and b"broke off" in done.stderr and b"log" in done.stderr, done.stderr)
    check("the newer file's hits came", done.stdout.count(b'"in":"new"') >= 100, len(done.stdout))
    with open(s.log, encoding="utf-8") as f:
        told = [line for line in f if " error /v1/search of c: " in line]
    check("the log names request, file and reason of each", len(told) == 3 and all(os.path.basename(damaged) in line for line in told), told)


old = ingest("old")
ingest("new")
test_limit()
with Server("lake") as server:
    test_limit()
    body = json.dumps({"collection": "c", "limit": 7}).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as c:
        c.sendall(b"POST /v1/search HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        answer = b"".join(iter(lambda: c.recv(65536), b""))
    check("an HTTP/1.0 client gets the hits alone", answer.count(b"\n{") == 7 and b"first" not in answer and answer.endswith(b'"}}\n'), answer[-100:])
content = lake_read("lake", old)
at = len(content) // 2
lake_write("lake", old, content[:at] + bytes(b ^ 0xff for b in content[at:at + 64]) + content[at + 64:])
with Server("lake") as server:
    test_damage(server, old)
done_testing()
