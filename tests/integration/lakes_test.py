#!/usr/bin/env python3
"""hydrant.yaml: several lakes, one of them broken; --check, which finds every mistake; commands that find the file by themselves."""
import os
import shutil
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}


def write(name, text):
    with open(name, "w", encoding="utf-8") as f:
        f.write(text)
    return name


def checked(name, env=None):
    done = hydrant("serve", "--check", "--config", name, timeout=20, env=env)
    return done.returncode, (done.stderr + done.stdout).decode()


CONFIG = lake_yaml("main") + """
lakes:
  second: SECOND
  third: {url: "${ELSEWHERE:-THIRD}"}
collections:
  "x*": {lake: second, commit_interval: 1s, commit_interval_idle: 1s}
  y: {lake: {url: "THIRD"}, time_field: at}
  "z?": {url: "THIRD"}
""".replace("SECOND", lake_url("second")).replace("THIRD", lake_url("third"))


def has_table(lake, collection):
    return "%s/metadata/version-hint.text" % collection in lake_files(lake, collection)


def test_lakes():
    write("hydrant.yaml", CONFIG)
    with Server(None, "--config", "hydrant.yaml") as s:
        for name in ("a", "x1", "y", "zz"):
            equal("post to " + name, s.post(name, b'{"n":1,"at":"2020-02-03T04:05:06Z"}\n{"n":2,"at":"2020-02-03T04:05:06Z"}\n{bad\n', NDJSON)[0], 200)
        equal("queries see all lakes while nothing is committed",
              query("select (select count(*) from a) + (select count(*) from x1) + (select sum(n) from y) as n", "main"), [{"n": 7}])
        for name in ("a", "y", "zz"):
            equal("commit of " + name, s.request("POST", "/v1/collections/%s/flush" % name)[0], 200)
        deadline = time.monotonic() + 30
        while not has_table("second", "x1") and time.monotonic() < deadline:
            time.sleep(0.1)
        places = {name: [lake for lake in ("main", "second", "third") if has_table(lake, name)]
                  for name in ("a", "x1", "x1__quarantine", "y", "zz")}
        equal("each table is where its setting says, its quarantine beside it; the interval was its own", places,
              {"a": ["main"], "x1": ["second"], "x1__quarantine": ["second"], "y": ["third"], "zz": ["third"]})
        check("by the time field of its own", lake_files("third", "y/data/year=2020/month=02/day=03"))
        done = hydrant("collections", "list", "--json", "--lake", "main")
        names = [c["name"] for c in json.loads(done.stdout)]
        equal("collections lists them", [n for n in names if "__" not in n], ["a", "x1", "y", "zz"])
        done = hydrant("verify", "--lake", "main")
        check("verify beside the server looks into all lakes", done.returncode == 0 and all(b"\n%s: 2 events" % n in b"\n" + done.stdout
              for n in (b"a", b"x1", b"y", b"zz")), done.stdout + done.stderr)
        equal("the server ends well", s.stop(), 0)


def test_without_server():
    # without --config: the data folder knows which file it was served with
    equal("SQL without a server and without --config", query("select sum(n) as n from (select n from a union all select n from x1 union all select n from y)",
                                                             "main"), [{"n": 9}])
    done = hydrant("search", "x1", "n:2", "--lake", "main")
    equal("search", done.stdout, b'{"n":2,"at":"2020-02-03T04:05:06Z"}\n')
    done = hydrant("replay", "zz", "--to", "stdout", "--lake", "main")
    equal("replay", len(done.stdout.splitlines()), 2)
    done = hydrant("schema", "y", "--lake", "main")
    check("schema", b"at: " in done.stdout, done.stdout + done.stderr)
    write("more.ndjson", '{"n":40}\n{"n":50}\n')
    done = hydrant("ingest", "x1", "more.ndjson", "--lake", "main")
    equal("ingest of a file goes to the collection's lake", (done.returncode, query("select sum(n) as n from x1", "main")), (0, [{"n": 93}]))
    done = hydrant("query", "select 1 as one", "--lake", "main", "--config", "nothing.yaml")
    check("a config file that is not there is told", done.returncode == 2 and b"nothing.yaml" in done.stderr, done.stderr)
    os.makedirs("noted/config")
    done = hydrant("collections", "--lake", "main", "--data", "noted")
    check("a note of the config file that cannot be read is not taken for none", done.returncode == 2 and b"noted/config" in done.stderr
          and b"give --config" in done.stderr, done.stderr)
    done = hydrant("convert", "more.ndjson", "more.parquet", "--data", "noted")
    equal("and in nobody's way who needs no lake", done.returncode, 0)
    done = hydrant("collections", "delete", "zz", "--purge", "--lake", "main")
    check("delete", done.returncode == 0 and not lake_files("third", "zz") and lake_files("third", "y"), done.stderr)


def break_lake():
    """Where it is, and what repairs it."""
    if TEST_LAKE:
        bucket = "baway-" + os.urandom(4).hex()  # a bucket that is not there
        return "s3://%s/x" % bucket, lambda: s3_client().create_bucket(Bucket=bucket)
    write("baway", "a file where a folder should be")
    return "baway", lambda: os.remove("baway")


def test_broken_lake():
    away, repair = break_lake()
    write("broken.yaml", lake_yaml("bmain") + "lakes: {away: \"%s\"}\ncollections: {b: {lake: away, commit_interval: 1s, commit_interval_idle: 1s}}\n" % away)
    with Server(None, "--config", "broken.yaml") as s:
        equal("a broken lake does not keep the server from starting, nor its events out", s.post("b", b'{"n":1}', JSON)[0], 200)
        equal("others neither", s.post("a", b'{"n":2}', JSON)[0], 200)
        equal("others are committed", s.request("POST", "/v1/collections/a/flush")[0], 200)
        deadline = time.monotonic() + 30
        problems = []
        while not problems and time.monotonic() < deadline:
            time.sleep(0.1)
            problems = [p for p in json.loads(s.request("GET", "/readyz")[1])["problems"] if p.get("collection") == "b"]
        check("readyz says which and why", problems and "baway" in problems[0]["error"], problems)
        check("metrics say it", b'hydrant_commit_failing{collection="b"} 1' in s.request("GET", "/metrics")[1])
        listed = json.loads(s.request("GET", "/v1/collections")[1])
        check("the list has the others, and says what it cannot read", [c["name"] for c in listed["collections"]] == ["a", "b"] and
              "error" in listed["collections"][1] and "events" in listed["collections"][0] and "baway" in str(listed.get("problems")), listed)
        equal("SQL on others works", query("select n from a", "bmain"), [{"n": 2}])
        done = hydrant("query", "select n from b", "--lake", "bmain")
        check("SQL on it fails and does not show less than there is", done.returncode == 1 and b"baway" in done.stderr, (done.stdout, done.stderr))
        done = hydrant("verify", "--lake", "bmain")
        check("verify names it and looks at the others", done.returncode == 1 and b"b: cannot be verified" in done.stdout and b"a: 1 event" in done.stdout,
              done.stdout + done.stderr)
        repair()
        deadline = time.monotonic() + 60
        while not has_table(away, "b") and time.monotonic() < deadline:
            time.sleep(0.2)
        equal("repaired, it drains by itself", query("select n from b", "bmain"), [{"n": 1}])


BAD = """lake: main
listn: 127.0.0.1:1
memory: lots
lakes:
  one: {bucket: B, regoin: x}
  two: {url: folder, region: eu-west-1}
  three: {bucket: good-bucket, secret_key: abc}
  four: {bucket: good-bucket, external_id: x}
collections:
  Upper: {lake: one}
  ok: {lake: too}
  "a*": {file_size: 1G}
  "ab*": {file_size: 2G}
  both: {lake: one, bucket: other-bucket}
  later: {retention: 30m}
  twice: {}
  twice: {}
tokens:
  a: {sha256: short, scopes: [ingest, reed]}
  b: {scopes: [read]}
tls: {cert: missing.crt, key: missing.key}
data: ${HYDRANT_NO_SUCH}
retention: soon
"""

WANTED = ["line 2: 'listn' is no setting of hydrant; did you mean 'listen'?", "line 3: memory wants a size", "line 5: 'regoin' is no setting of lake 'one'; did you mean 'region'?",
          "'B' is no bucket name", "line 6: lake 'two' is ", "line 7: a secret does not stand in this file", "line 8: lake 'four' has an external_id",
          "line 10: 'Upper' is no collection name", "line 11: there is no lake 'too' among lakes:; did you mean 'two'?", "line 13: 'ab*' never counts: 'a*' in line 12",
          "line 14: collection 'both' has a lake and a place of its own", "line 15: retention wants a time of at least a day, such as 90d, not '30m'", "line 17: 'twice' stands here a second time",
          "line 19: sha256 of token 'a' wants 64", "'reed' is not one of ingest, read, replay, admin; did you mean 'read'?", "line 20: token 'b' has no sha256",
          "line 21: the certificate", "line 22: the environment has no HYDRANT_NO_SUCH", "line 23: retention wants a time of at least a day, such as 90d, not 'soon'"]


def test_check():
    write("bad.yaml", BAD)
    code, said = checked("bad.yaml")
    missing = [w for w in WANTED if w not in said]
    check("--check lists every problem", code == 1 and not missing, "missing %s in %s" % (missing, said))
    done = hydrant("collections", "--config", "bad.yaml", timeout=20)
    check("commands refuse it with the first", done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"listn" in done.stderr, done.stderr)
    write("yaml.yaml", "lake: [\n")
    code, said = checked("yaml.yaml")
    check("no YAML is told with its line", code == 2 and "yaml.yaml, line" in said, said)
    write("deep.yaml", "lake: " + "[" * 100000)
    check("depth has a limit", hydrant("serve", "--check", "--config", "deep.yaml", timeout=20).returncode == 2)
    write("big.yaml", "#" * (2 << 20))
    check("size has a limit", hydrant("serve", "--check", "--config", "big.yaml", timeout=20).returncode == 2)
    write("env.yaml", "lake: ${WHERE}/${SUB:-sub}\ncommit_interval: ${WHERE}\n")
    code, said = checked("env.yaml", env={"WHERE": "canary-7f3a"})
    check("what a variable holds is in no error", code == 1 and "commit_interval wants" in said and "canary-7f3a" not in said, said)


def test_example():
    example = os.path.join(os.environ["HYDRANT_TESTS"], "..", "packaging", "hydrant.yaml")
    code, said = checked(example)
    check("packaging/hydrant.yaml is accepted", code == 0 and "is fine" in said, said)
    lines = [line[1:] if line.startswith("#") and not (line[1:2] == " " and line[2:3] != " ") else line for line in open(example, encoding="utf-8")]
    text = "".join(lines)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=localhost",
                    "-keyout", "server.key", "-out", "server.crt"], check=True, stderr=subprocess.DEVNULL)
    write("full.yaml", text.replace("/etc/hydrant/tls/", ""))
    code, said = checked("full.yaml")
    check("and so are all its examples", code == 0 and "3 lakes, 2 settings of collections, 2 tokens, TLS on" in said, said)


test_lakes()
test_without_server()
test_broken_lake()
test_check()
test_example()
done_testing()
