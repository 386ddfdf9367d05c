#!/usr/bin/env python3
"""Tokens with scopes and collections on every route, rotation and reload without a dropped connection, and no secret anywhere."""
import glob
import hashlib
import http.client
import os
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

JSON = {"Content-Type": "application/json"}
CANARY = "canary-5e1f"
INGEST, READ, REPLAY, ADMIN, OLD, NEW = ["%s-%s" % (CANARY, n) for n in ("ingest", "read", "replay", "admin", "old", "new")]


def sha(token):
    return hashlib.sha256(token.encode()).hexdigest()


def write(text, name="hydrant.yaml"):
    with open(name, "w", encoding="utf-8") as f:
        f.write(text)


def config(extra="", rotating="[%s, %s]" % (sha(OLD), sha(NEW))):
    return lake_yaml("lake") + """token: ${CANARY_TOKEN}
tokens:
  sender: {sha256: %s, scopes: [ingest], collections: ["cust_a*"]}
  reader: {sha256: %s, scopes: [read], collections: [cust_a, public]}
  replayer: {sha256: %s, scopes: [replay], collections: [cust_a]}
  keeper: {sha256: %s, scopes: [admin], collections: ["cust_*"]}
  rotating: {sha256: %s, scopes: [ingest, read]}
%s""" % (sha(INGEST), sha(READ), sha(REPLAY), sha(ADMIN), rotating, extra)


def as_(token):
    return {**JSON, **({"Authorization": "Bearer " + token} if token else {})}


def call(s, token, method, path, body=None):
    status, answer, _ = s.request(method, path, json.dumps(body).encode() if body is not None else None, as_(token))
    return status, answer


def events(collection):
    return "/v1/collections/%s/events" % collection


def test_scopes(s):
    for c in ("cust_a", "cust_b", "public"):
        equal("the one token does everything: " + c, call(s, MASTER, "POST", events(c), {"n": 1})[0], 200)
    s.request("POST", events("cust_b"), b'{"n":2}\n{bad\n', {"Authorization": "Bearer " + MASTER})
    table = [
        ("no token", None, "POST", events("cust_a"), {"n": 1}, 401), ("an unknown token", "guess", "POST", events("cust_a"), {"n": 1}, 401),
        ("the hash is no token", sha(INGEST), "POST", events("cust_a"), {"n": 1}, 401),
        ("sender sends", INGEST, "POST", events("cust_a"), {"n": 1}, 200), ("… to a pattern's other collection", INGEST, "POST", events("cust_a2"), {"n": 1}, 200),
        ("… not to others", INGEST, "POST", events("cust_b"), {"n": 1}, 403), ("sender does not list", INGEST, "GET", "/v1/collections", None, 403),
        ("sender does not query", INGEST, "POST", "/v1/query", {"sql": "select 1"}, 403),
        ("sender does not search", INGEST, "POST", "/v1/search", {"collection": "cust_a"}, 403),
        ("sender does not drop", INGEST, "DELETE", "/v1/collections/cust_a", None, 403),
        ("sender does not flush", INGEST, "POST", "/v1/collections/cust_a/flush", None, 403),
        ("reader does not send", READ, "POST", events("cust_a"), {"n": 1}, 403), ("reader shows", READ, "GET", "/v1/collections/cust_a", None, 200),
        ("reader shows no other", READ, "GET", "/v1/collections/cust_b", None, 403), ("… nor one that is not there", READ, "GET", "/v1/collections/cust_x", None, 403),
        ("reader searches", READ, "POST", "/v1/search", {"collection": "cust_a"}, 200),
        ("reader searches no other", READ, "POST", "/v1/search", {"collection": "cust_b"}, 403),
        ("… nor its quarantine", READ, "POST", "/v1/search", {"collection": "cust_b__quarantine"}, 403),
        ("reader does not replay", READ, "POST", "/v1/replay", {"collection": "cust_a"}, 403),
        ("reader has no schema of others", READ, "GET", "/v1/collections/cust_b/schema", None, 403),
        ("replayer replays", REPLAY, "POST", "/v1/replay", {"collection": "cust_a"}, 200),
        ("replayer replays no other", REPLAY, "POST", "/v1/replay", {"collection": "cust_b"}, 403),
        ("replayer does not query", REPLAY, "POST", "/v1/query", {"sql": "select 1"}, 403),
        ("keeper does all on its own", ADMIN, "POST", "/v1/collections/cust_b/flush", None, 200),
        ("… not on others", ADMIN, "POST", "/v1/collections/public/flush", None, 403),
        ("sender sets nothing", INGEST, "PUT", "/v1/collections/cust_a", {"time_field": "at"}, 403),
        ("keeper sets", ADMIN, "PUT", "/v1/collections/cust_b", {"time_field": "at", "commit_interval": 5, "file_size": 1 << 27}, 200),
        ("… what there is to set", ADMIN, "PUT", "/v1/collections/cust_b", {"time_feild": "at"}, 400),
        ("… of the right kind", ADMIN, "PUT", "/v1/collections/cust_b", {"commit_interval": "soon"}, 400),
        ("… and sane", ADMIN, "PUT", "/v1/collections/cust_b", {"retention": 30}, 400),
        ("… and not what only the file can say", ADMIN, "PUT", "/v1/collections/cust_b", {"lake": "other"}, 501),
        ("… for its own", ADMIN, "PUT", "/v1/collections/public", {}, 403),
        ("what is not there needs a token, too", None, "GET", "/v1/nothing", None, 401), ("health does not", None, "GET", "/healthz", None, 200),
    ]
    for name, token, method, path, body, want in table:
        status, answer = call(s, token, method, path, body)
        check(name, status == want, "%d, not %d: %s" % (status, want, answer[:150]))
    status, answer = call(s, READ, "POST", events("cust_a"), {"n": 1})
    check("403 says which scope is missing", b"'ingest'" in answer and b"reader" in answer, answer)


def test_sql(s):
    def sql(token, text):
        status, answer = call(s, token, "POST", "/v1/query", {"sql": text, "format": "ndjson"})
        return status, answer.decode()

    listed = json.loads(call(s, READ, "GET", "/v1/collections")[1])["collections"]
    equal("the list shows what the token may see", [c["name"] for c in listed], ["cust_a", "public"])
    equal("SQL reads it", sql(READ, "select count(*) as n from cust_a"), (200, '{"n":2}\n'))
    for text in ("select * from cust_b", 'select * from "cust_b"', "select * from CUST_B", "select n from cust_a union all select n from cust_b",
                 "select * from cust_b__quarantine", "select * from read_parquet('%s/cust_b/data/**/*.parquet')" % PLACE,
                 "select * from glob('%s/**')" % PLACE, "select * from '%s/_hydrant/lake.json'" % PLACE):
        status, answer = sql(READ, text)
        check("SQL does not: " + text.replace(PLACE, "lake").replace(":", ""), status >= 400, (status, answer))
    spills = os.path.join(DATA, "sql")
    os.makedirs(os.path.join(spills, "another"), exist_ok=True)
    with open(os.path.join(spills, "another", "spilled.tmp"), "w") as f:
        f.write("of cust_b")
    for text in ("select * from read_text('%s/**')" % spills, "select * from glob('%s/*/*')" % spills, "select * from read_text('%s/another/spilled.tmp')" % spills):
        status, answer = sql(READ, text)
        check("nor what another query has spilled: " + text.replace(DATA, "").replace(":", ""), status >= 400 and "of cust_b" not in answer, (status, answer))
    equal("and leaves nothing there itself", sorted(os.listdir(spills)), ["another"])
    status, answer = sql(READ, "show tables")
    check("nor does the catalog tell of others", status == 200 and "cust_a" in answer and "cust_b" not in answer, answer)
    status, answer = sql(READ, "select * from nothing_like_it")
    check("nor an error", status == 400 and "cust_b" not in answer, answer)


def send_on(c, token):
    c.request("POST", events("cust_a"), b'{"n":1}', as_(token))
    r = c.getresponse()
    r.read()
    return r.status


def reloaded(s, want):
    """SIGHUP, and the log's word about it."""
    before = open(s.log).read().count(want)
    s.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if open(s.log).read().count(want) > before:
            return True
        time.sleep(0.02)
    return False


def test_reload(s):
    c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=30)
    equal("both live tokens work", (send_on(c, OLD), send_on(c, NEW)), (200, 200))
    first = c.sock
    write(config(rotating=sha(NEW), extra='collections:\n  "cust_a*": {time_field: at}\n'))
    check("SIGHUP reads the file again", reloaded(s, "was read again"), s.last_line())
    equal("the old one is gone, the new one stays, on the same connection", (send_on(c, OLD), send_on(c, NEW), c.sock is first), (401, 200, True))
    write(config(extra="listn: x\n"))
    check("a bad file is told", reloaded(s, "listn") and "all stays as it was" in s.last_line(), s.last_line())
    equal("and changes nothing", (send_on(c, NEW), send_on(c, OLD), c.sock is first), (200, 401, True))
    write(config(extra='collections:\n  "cust_a*": {lake: {url: elsewhere}}\n'))
    check("a collection is not moved by it", reloaded(s, "cust_a") and "restart" in open(s.log).read(), s.last_line())
    os.rename("hydrant.yaml", "away.yaml")
    check("a file that is gone is told", reloaded(s, "all stays as it was"), s.last_line())
    equal("and changes nothing, either", send_on(c, NEW), 200)
    os.rename("away.yaml", "hydrant.yaml")
    c.close()


def test_commands():
    done = hydrant("query", "select count(*) as n from public", "--lake", "lake", "--format", "csv", env={"HYDRANT_TOKEN": READ, "CANARY_TOKEN": "x"})
    equal("a command asks with its token", done.stdout.split(), [b"n", b"1"])
    done = hydrant("collections", "--lake", "lake", "--server", "http://127.0.0.1:%d" % port, env={"HYDRANT_TOKEN": "nobody", "CANARY_TOKEN": "x"})
    check("without it is told what to set", done.returncode == 1 and b"HYDRANT_TOKEN" in done.stderr, done.stderr)
    made = [hydrant("token", "new", "--scopes", "ingest,read", "--collections", "cust_*, trail", "--name", "agents").stdout.decode() for _ in range(2)]
    token, rest = made[0].split("\n", 1)
    check("token new prints a token and the lines for its hash", len(token) > 40 and sha(token) in rest and "scopes: [ingest, read]" in rest and
          'collections: ["cust_*", "trail"]' in rest and token not in rest and made[0] != made[1], made[0])
    write("lake: other\n" + rest, "made.yaml")
    done = hydrant("serve", "--check", "--config", "made.yaml")
    check("--check takes them as they are", done.returncode == 0 and b"1 token" in done.stdout, done.stderr)
    check("a wrong scope makes none", hydrant("token", "new", "--scopes", "all").returncode == 2)


def holds_canary(key):
    try:
        return CANARY.encode() in lake_read("lake", key)
    except Exception:
        if key in lake_files("lake"):  # else the server has removed it since: a canary of rights, a hint
            raise
        return False


def test_secrets(s):
    said = open(s.log).read() + s.request("GET", "/metrics")[1].decode() + s.request("GET", "/readyz")[1].decode()
    check("no token in log, metrics, readiness", CANARY not in said and MASTER not in said)
    with open("/proc/%d/cmdline" % s.process.pid, "rb") as f:
        check("nor in the arguments", CANARY.encode() not in f.read())
    found = [key for key in lake_files("lake") if holds_canary(key)]
    found += [path for path in glob.glob(lake_data("lake") + "/**", recursive=True) if os.path.isfile(path) and CANARY.encode() in open(path, "rb").read()]
    equal("nor in the lake, nor in its log", found, [])


MASTER = CANARY + "-master"
PLACE = lake_url(os.path.abspath("lake"))
DATA = os.path.abspath(lake_data("lake"))
write(config())
with Server(None, "--config", "hydrant.yaml", env={"CANARY_TOKEN": MASTER}) as s:
    port = s.port
    test_scopes(s)
    test_sql(s)
    test_reload(s)
    test_commands()
    test_secrets(s)
write("lake: two\ntokens: {a: {sha256: %s, scopes: [ingest]}}\n" % sha(INGEST), "beyond.yaml")
done = hydrant("serve", "--check", "--config", "beyond.yaml", "--listen", "0.0.0.0:1")
check("with tokens, beyond loopback is allowed", done.returncode == 0, done.stderr)
write("lake: two\n", "beyond.yaml")
done = hydrant("serve", "--check", "--config", "beyond.yaml", "--listen", "0.0.0.0:1")
check("without, it is refused", done.returncode == 1 and b"--insecure" in done.stderr, done.stderr)
done_testing()
