#!/usr/bin/env python3
"""A canary secret key and a canary token are in no output, log, metric, argument, core or lake object, nor on the local disk: of a server that commits to a
bucket, answers and refuses, and of a bucket that refuses it. A core is what the kernel would dump of the running server: each readable mapping that is not
marked as left out; and gcore's, where there is one."""
import glob
import os
import re
import shutil
import ssl
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "s3"))
from lib import *
import servers

TOKEN = "canary-token-83a1f7c2e5"
NDJSON = {"Content-Type": "application/x-ndjson"}
BEARER = {"Authorization": "Bearer " + TOKEN}


def dumped(pid):
    """(name, bytes) of each mapping that a core would have."""
    maps = []
    with open("/proc/%d/smaps" % pid) as f:
        for line in f:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (r\S*) \S+ \S+ \S+ *(.*)", line)
            if head:
                maps.append([int(head[1], 16), int(head[2], 16), head[4].strip() or "anonymous", False])
            elif line.startswith("VmFlags:") and maps:
                maps[-1][3] = " dd" in line
    with open("/proc/%d/mem" % pid, "rb") as f:
        for start, end, name, left_out in maps:
            if not left_out and name not in ("[vvar]", "[vsyscall]"):
                try:
                    f.seek(start)
                    yield name, f.read(end - start)
                except OSError:
                    pass  # pages of a file that has none there


def held(canaries, pieces):
    """Names of the pieces that hold a canary."""
    return sorted({name for name, piece in pieces for canary in canaries if canary in piece})


def files(*folders):
    for folder in folders:
        for path in glob.glob(folder + "/**", recursive=True) + glob.glob(folder + "/.**", recursive=True):
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    yield path, f.read()


def objects(server):
    s3 = server.client(server.owner)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=servers.BUCKET):
        for o in page.get("Contents", []):
            yield o["Key"], s3.get_object(Bucket=servers.BUCKET, Key=o["Key"])["Body"].read()


def exercise(node):
    """All kinds of requests, some of them wrong; everything that was answered."""
    said = []
    ask = lambda *a, **k: said.append(("answer to %s %s" % a[:2], repr(node.request(*a, **k)).encode()))
    for i in range(3):
        ask("POST", "/v1/collections/c/events", b'{"n":%d}\n{bad\n' % i, {**NDJSON, **BEARER})
        ask("POST", "/v1/collections/c/flush", headers=BEARER)
    ask("POST", "/v1/query", b'{"sql":"select count(*) from c"}', BEARER)
    ask("POST", "/v1/query", b'{"sql":"select * from nothing"}', BEARER)
    ask("POST", "/v1/search", b'{"collection":"c"}', BEARER)
    for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": "Basic " + TOKEN}, BEARER):
        for path in ("/v1/collections", "/metrics", "/readyz", "/v1/nothing"):
            ask("GET", path, headers=headers)
    ask("POST", "/v1/collections/c/events", b"x" * 100, {"Content-Encoding": "gzip", **BEARER})
    with socket.create_connection(("localhost", node.port)) as plain:  # two in one packet, and one that is no request
        c = node.tls.wrap_socket(plain, server_hostname="localhost") if node.tls else plain
        one = "GET /v1/collections HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n" % TOKEN
        c.sendall((one * 2 + "GET / HTTP/9.9\r\nAuthorization: Bearer %s\r\n\r\n" % TOKEN).encode())
        while piece := c.recv(65536):
            said.append(("answer to a pipeline", piece))
    return said


def cores(name, pid, canaries):
    check(name + ": the memory that is looked at has what the server knows", held([b"hydrant.position."], dumped(pid)))
    equal(name + ": no canary in what a core would have", held(canaries, dumped(pid)), [])
    if shutil.which("gcore"):
        done = subprocess.run(["gcore", "-o", name + ".core", str(pid)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        core = "%s.core.%d" % (name, pid)
        check(name + ": gcore makes a core", os.path.exists(core), done.stdout[-300:])
        with open(core, "rb") as f:
            equal(name + ": no canary in it", held(canaries, [(core, f.read())]), [])
        os.remove(core)
    else:
        print("# there is no gcore", file=sys.stderr)


def on_server(server):
    name, lake, data = server.name, "s3://%s/canary" % servers.BUCKET, server.name + "-data"
    canaries = [server.owner.secret.encode(), TOKEN.encode()]
    os.environ.update(server.environment(), HYDRANT_TOKEN=TOKEN)
    with Server(None, "--config", "canary.yaml", "--lake", lake, "--data", data, ready=60) as node:
        said = exercise(node)
        cores(name, node.process.pid, canaries)
        with open("/proc/%d/cmdline" % node.process.pid, "rb") as f:
            said.append(("cmdline", f.read()))
        with open("/proc/%d/environ" % node.process.pid, "rb") as f:
            said.append(("environ", f.read()))
        equal(name + ": it ends well", node.stop(), 0)
    for command in (["doctor", "--lake", lake], ["verify", "--lake", lake, "--data", data], ["collections", "--lake", lake, "--data", data],
                    ["query", "select * from c", "--lake", lake, "--data", data], ["serve", "--check", "--config", "canary.yaml"]):
        for env in ({}, {"AWS_ACCESS_KEY_ID": "NOBODY", "AWS_REGION": "canary-1"}):
            done = hydrant(*command, env=env)
            said.append((" ".join(command), done.stdout + done.stderr))
    # over TLS, and with a bucket that refuses the right secret of the wrong key: its words come back in errors
    os.environ["AWS_ACCESS_KEY_ID"] = server.stranger.access
    tls = ssl.create_default_context(cafile="server.crt")
    with Server(None, "--config", "tls.yaml", "--lake", lake + "2", "--data", data + "2", ready=60, tls=tls) as node:
        said += exercise(node)
        equal(name + ": no canary in a core over TLS, while the bucket refuses", held(canaries, dumped(node.process.pid)), [])
        node.kill()
    check(name + ": it was refused", any(b"answered 403" in text for _, text in said), [text[:200] for _, text in said[-8:]])
    equal(name + ": nor in answers, metrics, arguments, what commands say", held(canaries, said), [])
    equal(name + ": nor in logs and on the disk", held(canaries, list(files(data, data + "2")) + [(p, open(p, "rb").read()) for p in glob.glob("server-*.log")]), [])
    stored = list(objects(server))
    check(name + ": there are objects", len(stored) > 10, len(stored))
    equal(name + ": nor in objects", held(canaries, stored), [])


with open("canary.yaml", "w") as f:
    f.write("commit_interval: 1s\ncommit_interval_idle: 1s\ntoken: ${HYDRANT_TOKEN}\n")
with open("tls.yaml", "w") as f:
    f.write(open("canary.yaml").read() + "tls: {cert: server.crt, key: server.key}\n")
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost", "-keyout", "server.key", "-out", "server.crt"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
servers.each(on_server)
done_testing()
