#!/usr/bin/env python3
"""The server over TLS, as curl and Python see it: pipelines, large chunked bodies, slow and wrong handshakes, commands, reload."""
import os
import ssl
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

TOKEN = "canary-tls-token"


def run(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def make_ca():
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.crt")


def make_pair(serial):
    """A certificate of the CA for localhost, put in place as people do it: one file, then the other."""
    run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    with open("san.cnf", "w") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    run("openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", str(serial), "-days", "1", "-extfile", "san.cnf", "-out", "server.crt")


def curl(s, path, *args, input=None):
    return subprocess.run(["curl", "-sS", "--cacert", "ca.crt", "-H", "Authorization: Bearer " + TOKEN, *args, "https://localhost:%d%s" % (s.port, path)],
                          input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)


def serial_of(s):
    der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("localhost", s.port)))
    with open("seen.der", "wb") as f:
        f.write(der)
    return subprocess.run(["openssl", "x509", "-inform", "der", "-in", "seen.der", "-noout", "-serial"], stdout=subprocess.PIPE).stdout.decode().strip()


def test_curl(s):
    done = curl(s, "/v1/collections/c/events", "-d", '{"n":1}')
    equal("curl posts with the CA's certificate", json.loads(done.stdout or b"{}").get("accepted"), 1)
    done = subprocess.run(["curl", "-sS", "https://localhost:%d/healthz" % s.port], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    check("and not without", done.returncode == 60, done.stderr)
    lines = b"".join(b'{"n":%d,"pad":"%s"}\n' % (i, b"x" * 80) for i in range(200000))
    done = curl(s, "/v1/collections/big/events", "-H", "Transfer-Encoding: chunked", "-H", "Content-Type: application/x-ndjson", "--data-binary", "@-", input=lines)
    equal("a chunked body of 20 MB arrives whole", json.loads(done.stdout or b"{}").get("accepted"), 200000)
    done = curl(s, "/v1/replay", "-d", '{"collection":"big"}')
    equal("and comes back whole", done.stdout, lines)
    done = curl(s, "/v1/collections", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0")
    check("TLS 1.1 is refused", done.returncode == 35, done.stderr)
    done = curl(s, "/healthz", "--http2", "-w", " %{http_version}")
    equal("ALPN falls back to HTTP/1.1", done.stdout, b"ok\n 1.1")


def test_sockets(s, context):
    raw = [socket.create_connection(("localhost", s.port), timeout=30) for _ in range(3)]
    raw[0].sendall(b"\x16\x03\x01")  # a hello that does not go on
    raw[1].sendall(bytes(range(256)) * 4)
    raw[2].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with socket.create_connection(("localhost", s.port)) as plain, context.wrap_socket(plain, server_hostname="localhost") as c:
        one = "POST /v1/collections/p/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Length: 7\r\n\r\n{\"n\":%d}"
        c.sendall("".join(one % (TOKEN, i) for i in range(1, 9)).encode())
        answer = b""
        while answer.count(b'"accepted":1') < 8:
            piece = c.recv(65536)
            if not piece:
                break
            answer += piece
        equal("pipelined requests are all answered, beside a handshake that does not go on", answer.count(b"HTTP/1.1 200"), 8)
    check("plain HTTP is told to use https", b"https://" in raw[2].recv(4096))
    try:
        rest = raw[1].recv(4096)
        while rest and (more := raw[1].recv(4096)):
            rest += more
        ended = True
    except ConnectionError:
        ended = True
    check("garbage ends its connection", ended)
    raw[0].settimeout(25)
    try:
        ended = raw[0].recv(100) == b""
    except ConnectionError:
        ended = True
    except TimeoutError:
        ended = False
    check("a handshake has ten seconds", ended)
    equal("the server lives", s.request("GET", "/healthz")[0], 200)


def test_commands(s):
    env = {"HYDRANT_TOKEN": TOKEN}
    done = hydrant("query", "select count(*) as n from p", "--lake", "lake", "--format", "csv", env=env)
    equal("a command finds the server and knows it by its key", done.stdout.split(), [b"n", b"8"])
    done = hydrant("collections", "list", "--server", "https://localhost:%d" % s.port, env={**env, "SSL_CERT_FILE": "ca.crt"})
    check("--server https:// with SSL_CERT_FILE", b"big" in done.stdout, done.stderr)
    done = hydrant("collections", "list", "--server", "https://localhost:%d" % s.port, env=env)
    check("… and not without", done.returncode == 1 and b"certificate" in done.stderr, done.stderr)


def test_renewal(s, context):
    with socket.create_connection(("localhost", s.port)) as plain, context.wrap_socket(plain, server_hostname="localhost") as c:
        before = serial_of(s)
        make_pair(2)
        s.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while serial_of(s) == before and time.monotonic() < deadline:
            time.sleep(0.05)
        equal("SIGHUP renews the certificate", (before, serial_of(s)), ("serial=01", "serial=02"))
        c.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        check("an open connection goes on", c.recv(4096).startswith(b"HTTP/1.1 200"))
    done = hydrant("query", "select 1 as one", "--lake", "lake", "--format", "csv", env={"HYDRANT_TOKEN": TOKEN})
    equal("commands know the new one", done.stdout.split(), [b"one", b"1"])
    with open("server.key", "w") as f:
        f.write("no key")
    s.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while "all stays as it was" not in open(s.log).read() and time.monotonic() < deadline:
        time.sleep(0.05)
    check("a pair that does not fit is told, and the old one stays", "server.key" in open(s.log).read() and serial_of(s) == "serial=02", s.last_line())


make_ca()
make_pair(1)
with open("tls.yaml", "w") as f:
    f.write(lake_yaml("lake") + "tls: {cert: server.crt, key: server.key}\n")
context = ssl.create_default_context(cafile="ca.crt")
with Server(None, "--config", "tls.yaml", env={"HYDRANT_TOKEN": TOKEN}, tls=context) as s:
    test_curl(s)
    test_sockets(s, context)
    test_commands(s)
    test_renewal(s, context)
    check("the token is not in the log", TOKEN not in open(s.log).read())
    equal("it ends well", s.stop(), 0)
done_testing()
