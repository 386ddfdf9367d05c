#!/usr/bin/env python3
"""When things change under a running server: rights taken away and given back, a lake that is away, a bucket made anew, keys changed. No event is
refused, what is missing is said in the bucket owner's words, everything drains by itself once it is put right, and each event is there once."""
import json
import os
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "s3"))
from lib import *
import faults
import servers

ALL = os.environ.get("HYDRANT_S3") == "all"  # `make s3`; otherwise what takes half a minute, on one server
SETTINGS = "commit_interval: 1s\ncommit_interval_idle: 1s\n"
BATCH = 20


def write(name, text):
    with open(name, "w") as f:
        f.write(text)
    return name


def until(seconds, condition):
    """What the condition gave when it was true, or at last."""
    deadline = time.monotonic() + seconds
    while True:
        got = condition()
        if got or time.monotonic() > deadline:
            return got
        time.sleep(0.1)


class Load:
    """Events {"i": 0}, {"i": 1}, … until it is stopped; every answer is kept."""

    def __init__(self, node, collection="events"):
        self.node, self.collection, self.sent, self.answers, self.going = node, collection, 0, {}, True
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while self.going:
            lines = "".join('{"i":%d}\n' % (self.sent + i) for i in range(BATCH))
            try:
                status = self.node.post(self.collection, lines.encode(), {"Content-Type": "application/x-ndjson"})[0]
            except OSError as e:
                status = repr(e)
            self.answers[status] = self.answers.get(status, 0) + 1
            self.sent += BATCH
            time.sleep(0.02)

    def stop(self):
        self.going = False
        self.thread.join()


def problems(node):
    return json.loads(node.request("GET", "/readyz")[1])["problems"]


def metrics(node):
    return node.request("GET", "/metrics")[1].decode()


def log(node):
    with open(node.log, encoding="utf-8", errors="replace") as f:
        return f.read()


def waiting(node, collection="events"):
    found = [line for line in metrics(node).splitlines() if line.startswith('hydrant_waiting_events{collection="%s"}' % collection)]
    return int(found[0].split()[1]) if found else 0


def counted(lake, data, env, collection="events", *args):
    """(rows, different ones, the sum of i) of the committed table and of the log."""
    done = hydrant("query", 'select count(*) as n, count(distinct i) as d, sum(i) as s from "%s"' % collection, "--format", "ndjson", "--lake", lake, "--data", data,
                   *args, env=env)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    row = json.loads(done.stdout)
    return row["n"], row["d"], row["s"]


def all_of(n):
    return n, n, n * (n - 1) // 2


class Granted:
    """The bucket's owner gives a stranger what `hydrant policy` prints, and takes statements back."""

    def __init__(self, server, lake):
        self.server, self.admin = server, server.client(server.admin)
        self.policy = json.loads(hydrant("policy", "--lake", lake, "--principal", server.stranger.arn).stdout)
        self.without()

    def without(self, *gone):
        self.admin.put_bucket_policy(Bucket=servers.BUCKET, Policy=json.dumps(
            dict(self.policy, Statement=[s for s in self.policy["Statement"] if s["Sid"] not in gone])))


def rights_taken_and_given_back(server):
    name, lake = server.name, "s3://%s/rights" % servers.BUCKET
    granted, env, data = Granted(server, lake), server.environment(server.stranger), server.name + "-rights"
    # who wrote an object may read it for that alone, where objects have owners: this one is the owner's
    granted.admin.put_object(Bucket=servers.BUCKET, Key="rights/0-sample", Body=b"the owner's")
    node = Server(lake, "--config", write("settings.yaml", SETTINGS), "--data", data, env=env, ready=30)
    check(name + ": doctor runs at the start, and finds every right", until(20, lambda: "every right that is needed is there" in log(node)), log(node))
    equal(name + ": readyz has no problem", problems(node), [])
    load = Load(node)
    until(20, lambda: "committed events" in log(node))
    for gone, right in (("HydrantWrite", "write"), ("HydrantList", "list"))[:2 if ALL else 1]:
        granted.without(gone)
        node.request("GET", "/v1/collections")  # commits list nothing
        told = until(40, lambda: [p for p in problems(node) if p.get("missing") == right])
        check("%s: without %s readyz says so in the owner's words" % (name, gone), told and "(%s)" % gone in told[0]["error"] and told[0]["lake"] == lake, told)
        equal("%s: and of no other statement" % name, {p["missing"] for p in problems(node) if "missing" in p}, {right})
        check("%s: the metric says it" % name, 'hydrant_lake_right{lake="%s",right="%s"} 0' % (lake, right) in metrics(node))
        check("%s: the log says it, once" % name, log(node).count("(%s)" % gone) == 1, log(node)[-600:])
        granted.without()
        check("%s: given back, all of it is committed without help" % name, until(60, lambda: not problems(node) and waiting(node) < 200), problems(node))
        check("%s: and the metric says so" % name, 'hydrant_lake_right{lake="%s",right="%s"} 1' % (lake, right) in metrics(node))
    load.stop()
    equal(name + ": no event was refused", load.answers, {200: load.sent // BATCH})
    until(30, lambda: not waiting(node))
    node.stop()
    equal(name + ": each event is there once", counted(lake, data, env), all_of(load.sent))


def a_lake_that_is_away_hinders_no_other(server):
    """Of three lakes one answers nobody, and one refuses."""
    name, data = server.name, server.name + "-away"
    Granted(server, "s3://%s/good" % servers.BUCKET)
    with faults.FaultProxy(server.url, 3) as proxy:
        proxy.set(down=True)
        place = "{bucket: %s, prefix: %s, endpoint: \"%s\", path_style: true}"
        write("away.yaml", SETTINGS + "collections:\n  good: %s\n  away: %s\n  refused: %s\n" % (
            place % (servers.BUCKET, "good", server.url), place % (servers.BUCKET, "good", proxy.url), place % (servers.BUCKET, "bad", server.url)))
        env = dict(server.environment(server.stranger), AWS_ENDPOINT_URL_S3="http://127.0.0.1:9")
        began = time.monotonic()
        node = Server(name + "-main", "--config", "away.yaml", "--data", data, env=env, ready=30)
        check(name + ": a lake that is away does not delay the start", time.monotonic() - began < 3, time.monotonic() - began)
        statuses = [node.post(c, b'{"i":0}\n{"i":1}\n', {"Content-Type": "application/x-ndjson"})[0] for c in ("good", "away", "refused")]
        equal(name + ": events of all three are taken", statuses, [200, 200, 200])
        check(name + ": the good one is committed", until(15, lambda: 'hydrant_committed_events_total{collection="good"} 2' in metrics(node)), log(node)[-600:])
        said = until(30, lambda: {p.get("missing", "away") for p in problems(node) if "lake" in p} >= {"away", "write"} and problems(node))
        check(name + ": each of the others is told apart", said and all(("(HydrantWrite)" in p["error"]) == (p["lake"].endswith("/bad"))
              for p in said if p.get("missing") == "write") and any("lake" in p and "missing" not in p and p["lake"].endswith("/good") for p in said), said)
        proxy.set(down=False)
        check(name + ": the one that was away is committed once it is back", until(90, lambda: not waiting(node, "away")), problems(node))
        equal(name + ": and the one that refuses is all that is left", until(90, lambda: {p["lake"][-4:] for p in problems(node) if "lake" in p} == {"/bad"}), True)
        node.stop()


def a_lake_that_hangs_hinders_nobody(server):
    """Connections to it are taken, and nothing is ever answered: to the start, to those who ask for other lakes, to the end."""
    name = server.name
    Granted(server, "s3://%s/fine" % servers.BUCKET)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as hanging:
        endpoint = "http://127.0.0.1:%d" % hanging.getsockname()[1]
        write("hang.yaml", SETTINGS + "collections:\n  fine: {bucket: %s, prefix: fine, endpoint: \"%s\", path_style: true}\n" % (servers.BUCKET, server.url))
        env = dict(server.environment(server.stranger), AWS_ENDPOINT_URL_S3=endpoint)
        began = time.monotonic()
        node = Server("s3://%s/hangs" % servers.BUCKET, "--config", "hang.yaml", "--data", name + "-hang", env=env, ready=60)
        took = time.monotonic() - began
        check(name + ": the start waits for it no longer than a few seconds", took < 6, took)
        statuses = [node.post(c, b'{"i":0}\n', {"Content-Type": "application/x-ndjson"})[0] for c in ("fine", "hangs", "hangs2", "hangs3", "hangs4", "hangs5")]
        equal(name + ": all events are taken", statuses, [200] * 6)
        check(name + ": the other lake is committed to", until(20, lambda: 'hydrant_committed_events_total{collection="fine"} 1' in metrics(node)), log(node)[-600:])
        check(name + ": readyz says that it does not answer", until(60, lambda: any(p.get("lake", "").endswith("/hangs") for p in problems(node))), problems(node))
        began = time.monotonic()
        status, answer, _ = node.request("POST", "/v1/query", json.dumps({"sql": "select i from fine"}), {"Content-Type": "application/json"})
        took = time.monotonic() - began
        check(name + ": a query of another lake is answered at once", status == 200 and took < 5, (status, answer, took))
        began = time.monotonic()
        equal(name + ": the server ends well", node.stop(), 0)
        took = time.monotonic() - began
        check(name + ": and soon", took < 8, took)


def keys_of(s3, prefix):
    return [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=servers.BUCKET, Prefix=prefix) for o in page.get("Contents", [])]


def missing_changed_and_foreign_files_are_named(server):
    """By verify each of them and no other file; a query that needs one fails, and does not show less than there is."""
    name, lake, env, data = server.name, "s3://%s/tampered" % servers.BUCKET, server.environment(server.owner), server.name + "-tampered"
    s3 = server.client(server.owner)
    for day in range(1, 5):  # a file each
        write("day.ndjson", "".join('{"time":"2026-03-%02dT00:00:00Z","i":%d,"text":"%040d"}\n' % (day, i, i * 7919) for i in range(300)))
        hydrant("ingest", "events", "day.ndjson", "--lake", lake, "--data", data, env=env)
    files = sorted(k for k in keys_of(s3, "tampered/events/data/") if k.endswith(".parquet"))
    equal(name + ": four files", len(files), 4)
    verified = hydrant("verify", "--lake", lake, env=env)
    check(name + ": in order at first", verified.returncode == 0 and b"1,200 events" in verified.stdout, verified.stdout + verified.stderr)
    gone, cut, flipped, whole = files
    bodies = {k: s3.get_object(Bucket=servers.BUCKET, Key=k)["Body"].read() for k in files}
    s3.delete_object(Bucket=servers.BUCKET, Key=gone)
    s3.put_object(Bucket=servers.BUCKET, Key=cut, Body=bodies[cut][:-1000])
    middle = len(bodies[flipped]) // 3
    s3.put_object(Bucket=servers.BUCKET, Key=flipped, Body=bodies[flipped][:middle] + bytes([bodies[flipped][middle] ^ 0x55]) + bodies[flipped][middle + 1:])
    foreign = ["tampered/events/data/year=2026/month=03/day=01/part-0.parquet", "tampered/events/metadata/v77.metadata.json.bak", "tampered/events/readme.txt"]
    for key in foreign:
        s3.put_object(Bucket=servers.BUCKET, Key=key, Body=bodies[whole])
    verified = hydrant("verify", "--lake", lake, env=env)
    said = verified.stdout.decode()
    named = {k: [line for line in said.splitlines() if k.split("/events/", 1)[1] in line] for k in [*files, *foreign]}
    equal(name + ": verify fails", verified.returncode, 1)
    check(name + ": it names the missing file", any("missing" in line for line in named[gone]), said)
    check(name + ": the one that was cut", any("size" in line for line in named[cut]), said)
    check(name + ": the one whose bytes were changed", named[flipped], said)
    check(name + ": each foreign one", all(any("foreign" in line for line in named[k]) for k in foreign), said)
    check(name + ": and no other", not named[whole] and not any("foreign" in line for k in files for line in named[k]), said)
    damaged = {k: s3.get_object(Bucket=servers.BUCKET, Key=k)["Body"].read() for k in (cut, flipped)}
    for key in (gone, cut, flipped):
        s3.put_object(Bucket=servers.BUCKET, Key=key, Body=bodies[key])
    sql = ("query", "select count(text) as n from events", "--format", "ndjson")
    search = ("search", "events", "i:7", "--limit", "5000")
    # DuckDB does not look at the checksums of pages: a changed byte is found by search, replay and verify
    for key, what, commands in ((gone, "missing", (sql, search)), (cut, "cut", (sql, search)), (flipped, "changed", (search,))):
        if key in damaged:
            s3.put_object(Bucket=servers.BUCKET, Key=key, Body=damaged[key])
        else:
            s3.delete_object(Bucket=servers.BUCKET, Key=key)
        for command in commands:
            os.makedirs("fresh-%s-%s-%s" % (name, what, command[0]))  # no copies of before
            done = hydrant(*command, "--lake", lake, env=dict(env, TMPDIR=os.path.abspath("fresh-%s-%s-%s" % (name, what, command[0]))))
            check("%s: %s fails at a file that is %s, and names it" % (name, command[0], what), done.returncode == 1 and
                  key.split("/events/")[1].encode() in done.stderr, done.stdout[-200:] + done.stderr)
        s3.put_object(Bucket=servers.BUCKET, Key=key, Body=bodies[key])
    done = hydrant(*sql, "--lake", lake, env=env)
    equal(name + ": when all are put back SQL answers, without the foreign rows", (done.returncode, done.stdout.strip()), (0, b'{"n":1200}'))
    for key in foreign:
        s3.delete_object(Bucket=servers.BUCKET, Key=key)
    verified = hydrant("verify", "--lake", lake, env=env)
    check(name + ": put back, all is in order", verified.returncode == 0 and b"1,200 events" in verified.stdout, verified.stdout + verified.stderr)


def poisoned_metadata_is_named_and_survived(server):
    """A version that nobody committed, a hint that leads astray: commits and queries fail and name it, or go by what is there; nothing is lost."""
    name, lake, env, data = server.name, "s3://%s/poison" % servers.BUCKET, server.environment(server.admin), server.name + "-poison"
    s3 = server.client(server.admin)
    node = Server(lake, "--config", write("settings.yaml", SETTINGS), "--data", data, env=env, ready=30)
    load = Load(node)
    until(20, lambda: "committed events" in log(node))
    for hint in (b"999999", b"not a number", b"-1", b""):
        s3.put_object(Bucket=servers.BUCKET, Key="poison/events/metadata/version-hint.text", Body=hint)
        before = log(node).count("committed events")
        check("%s: a hint that says %r does not stop commits" % (name, hint), until(30, lambda: log(node).count("committed events") > before + 1), log(node)[-500:])
    load.stop()
    until(30, lambda: not waiting(node))
    newest = max(int(k.rsplit("/v", 1)[1].split(".")[0]) for k in keys_of(s3, "poison/events/metadata/v") if k.endswith(".metadata.json"))
    poisoned = "poison/events/metadata/v%d.metadata.json" % (newest + 1)
    s3.put_object(Bucket=servers.BUCKET, Key=poisoned, Body=b"<html>not what it should be</html>")
    more = node.post("events", b'{"i":%d}' % load.sent)[0]
    equal(name + ": events are taken while a version is poisoned", more, 200)
    told = until(30, lambda: [p for p in problems(node) if p.get("collection") == "events"])
    check(name + ": readyz names the file", told and "v%d.metadata.json" % (newest + 1) in told[0]["error"], told)
    status, answer, _ = node.request("POST", "/v1/query", json.dumps({"sql": "select count(*) from events"}), {"Content-Type": "application/json"})
    check(name + ": a query fails and names it, too", status >= 400 and b"v%d.metadata.json" % (newest + 1) in answer, (status, answer))
    s3.delete_object(Bucket=servers.BUCKET, Key=poisoned)
    check(name + ": taken away, all is committed", until(60, lambda: not problems(node) and not waiting(node)), problems(node))
    node.stop()
    equal(name + ": each event is there once", counted(lake, data, env), all_of(load.sent + 1))


def a_bucket_made_anew_gets_what_waits(server):
    name, bucket = server.name, "short-lived"
    lake, env, data = "s3://%s/lake" % bucket, server.environment(server.owner), server.name + "-anew"
    s3 = server.client(server.owner)
    s3.create_bucket(Bucket=bucket)
    node = Server(lake, "--config", write("settings.yaml", SETTINGS), "--data", data, env=env, ready=30)
    load = Load(node)
    until(20, lambda: "committed events" in log(node))
    load.stop()
    equal(name + ": all is committed", node.request("POST", "/v1/collections/events/flush")[0], 200)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for o in page.get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=o["Key"])
    s3.delete_bucket(Bucket=bucket)
    first, second = load.sent, Load(node)
    told = until(30, lambda: [p for p in problems(node) if "bucket is not there" in p["error"]])
    check(name + ": readyz says that the bucket is not there", told, problems(node))
    s3.create_bucket(Bucket=bucket)
    check(name + ": made anew, it gets what waits", until(60, lambda: not problems(node) and waiting(node) < 200), problems(node))
    second.stop()
    until(30, lambda: not waiting(node))
    equal(name + ": no event was refused", second.answers, {200: second.sent // BATCH})
    node.stop()
    equal(name + ": each event since then is there once", counted(lake, data, env), all_of(second.sent))
    check(name + ": and the bucket is a lake again", any(k.endswith("_hydrant/lake.json") for k in
          [o["Key"] for o in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]))
    verified = hydrant("verify", "--lake", lake, env=env)
    check(name + ": verify agrees", verified.returncode == 0, verified.stdout + verified.stderr)


def a_store_that_lacks_an_operation_is_told_and_committed_to(server):
    """Uploads in parts are not known there: only large files need them."""
    name, lake = server.name, "s3://%s/lacks" % servers.BUCKET
    with faults.FaultProxy(server.url, 9) as proxy:
        proxy.set(unknown=["CreateMultipartUpload"])
        env = dict(server.environment(server.admin), AWS_ENDPOINT_URL_S3=proxy.url)
        node = Server(lake, "--config", write("settings.yaml", SETTINGS), "--data", name + "-lacks", env=env, ready=30)
        told = until(20, lambda: [p for p in problems(node) if p.get("lake") == lake])
        check(name + ": readyz says what was answered", told and "501" in told[0]["error"], told)
        for i in range(3):
            equal(name + ": events are taken", node.post("events", b'{"i":%d}' % i)[0], 200)
            check(name + ": and committed", until(20, lambda: not waiting(node)), log(node)[-400:])
        proxy.set(unknown=[])
        check(name + ": once it is known, that is told, too", until(60, lambda: not problems(node)), problems(node))
        node.stop()


def keys_that_are_changed_are_found(server):
    """Those of a profile file by themselves, those of hydrant.yaml with SIGHUP; the old ones are deleted first."""
    name, data, admin = server.name, server.name + "-keys", server.client(server.admin)
    accounts = [server.user("keys%d" % i) for i in (1, 2)]
    statements = []
    for n, account in enumerate(accounts):
        policy = json.loads(hydrant("policy", "--lake", "s3://%s/keys" % servers.BUCKET, "--principal", account.arn).stdout)
        statements += [dict(s, Sid=s["Sid"] + str(n)) for s in policy["Statement"]]
    admin.put_bucket_policy(Bucket=servers.BUCKET, Policy=json.dumps(dict(policy, Statement=statements)))

    def hand_out(account):
        write("credentials", "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n" % (account.access, account.secret))
        write("access.txt", account.access)
        write("secret.txt", account.secret)

    hand_out(accounts[0])
    write("keys.yaml", SETTINGS + "collections:\n  kept: {bucket: %s, prefix: keys/kept, endpoint: \"%s\", path_style: true, access_key_file: access.txt, secret_key_file: "
          "secret.txt}\n" % (servers.BUCKET, server.url))
    lake, env = "s3://%s/keys/main" % servers.BUCKET, dict(server.environment(), AWS_SHARED_CREDENTIALS_FILE=os.path.abspath("credentials"))
    del env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
    node = Server(lake, "--config", "keys.yaml", "--data", data, env=env, ready=30)
    loads = [Load(node, "events"), Load(node, "kept")]
    check(name + ": both are committed", until(20, lambda: all("committed %s events" % c in log(node) for c in ("events", "kept"))), log(node)[-600:])
    server.forget(accounts[0])
    said = until(60, lambda: len({p["lake"] for p in problems(node) if "lake" in p}) == 2 and problems(node))
    check(name + ": readyz says of both lakes that the key is not taken", said and all("key" in p["error"] for p in said if "lake" in p), said or problems(node))
    hand_out(accounts[1])
    check(name + ": the profile's new key is found without help", until(90, lambda: waiting(node, "events") < 200 and not any(
        p.get("lake") == lake for p in problems(node))), problems(node))
    check(name + ": that of hydrant.yaml not yet", waiting(node, "kept") > 200)
    node.process.send_signal(signal.SIGHUP)
    check(name + ": but with SIGHUP", until(60, lambda: waiting(node, "kept") < 200 and not problems(node)), problems(node))
    for load in loads:
        load.stop()
        equal("%s: no event for %s was refused" % (name, load.collection), load.answers, {200: load.sent // BATCH})
    until(30, lambda: not waiting(node, "events") and not waiting(node, "kept"))
    said = log(node)
    node.stop()
    for load in loads:
        equal("%s: each event of %s is there once" % (name, load.collection), counted(lake, data, env, load.collection, "--config", "keys.yaml"), all_of(load.sent))
    check(name + ": no secret is in the log", not any(a.secret in said for a in accounts))


def a_wrong_region_is_put_right_and_a_wrong_clock_is_said(server):
    name, lake = server.name, "s3://%s/region" % servers.BUCKET
    with faults.FaultProxy(server.url, 5) as proxy:
        env = dict(server.environment(server.admin), AWS_ENDPOINT_URL_S3=proxy.url, AWS_REGION="eu-north-9")
        done = hydrant("doctor", "--lake", lake, "--maintenance", env=env)
        equal(name + ": every right is there in spite of a wrong region", done.returncode, 0)
        # radosgw takes any region
        equal(name + ": doctor names the right one, if the store does", b"the bucket is in us-east-1, not in eu-north-9" in done.stdout, name == "versitygw")
        proxy.set(skew=7200)
        done = hydrant("doctor", "--lake", lake, "--maintenance", env=dict(env, AWS_REGION=servers.REGION))
        # the proxy's clock is ahead, the real server's behind it is not: requests that suit the one are refused by the other
        check(name + ": a clock that is two hours off is said, and is no missing right", done.returncode == 1 and b"clock" in done.stderr and
              b"MISSING" not in done.stdout, done.stdout + done.stderr)


SHORT = (rights_taken_and_given_back, missing_changed_and_foreign_files_are_named, a_bucket_made_anew_gets_what_waits, keys_that_are_changed_are_found)
LONG = (a_store_that_lacks_an_operation_is_told_and_committed_to, poisoned_metadata_is_named_and_survived, a_lake_that_is_away_hinders_no_other, a_lake_that_hangs_hinders_nobody, a_wrong_region_is_put_right_and_a_wrong_clock_is_said)


def on_server(server):
    names = os.environ.get("S3_LAWS")  # some, by name
    for law in SHORT + LONG:
        if law.__name__ not in names.split(",") if names else not ALL and law in LONG:
            continue
        began = time.monotonic()
        try:
            server.client(server.admin).delete_bucket_policy(Bucket=servers.BUCKET)
            law(server)
        except Exception as e:  # the next law is another's
            not_ok("%s: %s" % (server.name, law.__name__), repr(e))
        print("# %s: %s: %.0f s" % (server.name, law.__name__, time.monotonic() - began), flush=True)


for kind in sorted(servers.KINDS, reverse=True):  # versitygw is up in a second
    try:
        with servers.start(kind) as server:
            on_server(server)
        if not ALL:
            break
    except servers.Unavailable as why:
        skip(kind, why)
done_testing()
