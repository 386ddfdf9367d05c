#!/usr/bin/env python3
"""A proxy in front of a real S3 server that does what real servers seldom do on demand.

    tests/s3/faults.py http://127.0.0.1:PORT [SEED]        prints its URL and that of its control port, a line each

By a seed it makes a share of the requests fail. Settings: POST JSON to the control port; counts of what was done: GET from it.

    {"rate": 0.1, "kinds": ["slow_down", ...]}   this share of requests fails, in one of these ways; default: all but delay
    {"down": true}                               the store is gone: every connection is reset
    {"forbid": ["ListBucket", ...]}              these operations are answered 403 AccessDenied
    {"unknown": ["CreateMultipartUpload", ...]}  these are answered 501 NotImplemented
    {"delay": 0.2}                               seconds, of the kind `delay`
    {"external_id": "x"}                         an AssumeRole without this ExternalId is refused, as AWS does where the role's owner asks for it
    {"skew": 3600}                               seconds that the store's clock is ahead: 403 RequestTimeTooSkewed until requests are dated so

Kinds: slow_down (503), error (500), reset_before: nothing is forwarded.  reset_after, error_after: the store did it, the reply is lost.
short (the reply's body ends early), delay, conflict (409 ConditionalRequestConflict for a create), error_in_200 (a multipart completion or copy
that says 200 and has an <Error> inside). The Host header goes through as it came, so signatures hold.
"""
import asyncio
import calendar
import email.utils
import json
import random
import socket
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request

BLOCK = 1 << 18
KINDS = ["slow_down", "error", "reset_before", "reset_after", "error_after", "short", "conflict", "error_in_200"]
ACTIONS = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject", "POST": "PostObject"}


class Reset(Exception):
    """End the connection with a RST."""


class Proxy:
    def __init__(self, upstream, seed=1):
        u = urllib.parse.urlsplit(upstream)
        self.upstream = (u.hostname, u.port)
        self.dice = random.Random(seed)
        self.set = {"rate": 0.0, "kinds": KINDS, "down": False, "forbid": [], "unknown": [], "delay": 0.2, "skew": 0, "external_id": None}
        self.counts = {"requests": 0}
        self.open = set()

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    # ---- one message ----

    @staticmethod
    async def head(reader):
        """(first line, [(name, value)]) or None at the end."""
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        lines = raw[:-4].decode("latin-1").split("\r\n")
        return lines[0], [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]

    @staticmethod
    def value(headers, name):
        return next((v for n, v in headers if n.lower() == name), None)

    @classmethod
    async def pass_body(cls, headers, reader, writer, limit=None):
        """Body by length or in chunks, to the writer (None: nowhere), not past `limit` bytes of it (then False)."""
        if "chunked" in (cls.value(headers, "transfer-encoding") or "").lower():
            while True:
                line = await reader.readuntil(b"\r\n")
                size = int(line.split(b";")[0], 16)
                block = line + await reader.readexactly(size + 2)
                if writer:
                    writer.write(block)
                    await writer.drain()
                if not size:
                    return True
        left = int(cls.value(headers, "content-length") or 0)
        while left:
            block = await reader.read(min(left, BLOCK))
            if not block:
                raise ConnectionError("ended early")
            left -= len(block)
            if writer:
                if limit is not None and len(block) >= limit:
                    writer.write(block[:limit])
                    return False
                limit = limit - len(block) if limit is not None else None
                writer.write(block)
                await writer.drain()
        return True

    @staticmethod
    async def answer(writer, status, code, more=""):
        body = "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>made by tests/s3/faults.py</Message></Error>" % code
        writer.write(("HTTP/1.1 %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nDate: %s\r\n%s\r\n%s"
                      % (status, len(body), email.utils.formatdate(usegmt=True), more, body)).encode())
        await writer.drain()

    # ---- what to do with a request ----

    @staticmethod
    def action(method, target):
        path, _, query = target.partition("?")
        q = urllib.parse.parse_qs(query, keep_blank_values=True)
        if "uploads" in q:
            return "CreateMultipartUpload" if method == "POST" else "ListMultipartUploads"
        if "uploadId" in q:
            return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}.get(method, "ListParts")
        if method == "GET" and ("list-type" in q or "prefix" in q or path.count("/") < 2):
            return "ListBucket"
        return ACTIONS.get(method, method)

    def choose(self, action, headers):
        if not self.set["rate"] or self.dice.random() >= self.set["rate"]:
            return None
        kind = self.dice.choice(self.set["kinds"])
        if kind == "conflict" and not self.value(headers, "if-none-match"):
            kind = "slow_down"
        if kind == "error_in_200" and action != "CompleteMultipartUpload":
            kind = "error"
        if kind == "short" and action not in ("GetObject", "ListBucket"):
            kind = "reset_after"
        return kind

    def skewed(self, headers):
        if not self.set["skew"]:
            return False
        date = self.value(headers, "x-amz-date")
        at = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ")) if date else 0
        return abs(time.time() + self.set["skew"] - at) > 900

    async def refuse(self, headers, reader, writer, status, code, more=""):
        """Answers at once what is not to be forwarded; an Expect is answered by it, too."""
        if not self.value(headers, "expect"):
            await self.pass_body(headers, reader, None)
        else:
            more += "Connection: close\r\n"
        await self.answer(writer, status, code, more)
        return "expect" not in [n.lower() for n, _ in headers]

    async def one(self, reader, writer, up):
        """One request and its reply. False: this connection is at its end."""
        got = await self.head(reader)
        if not got:
            return False
        line, headers = got
        method, target, _ = line.split(" ", 2)
        action = self.action(method, target)
        self.counts["requests"] += 1
        self.count("op:" + action)
        if self.set["down"]:
            self.count("down")
            raise Reset
        if action in self.set["forbid"]:
            self.count("forbidden")
            return await self.refuse(headers, reader, writer, "403 Forbidden", "AccessDenied")
        if action in self.set["unknown"]:
            self.count("unknown")
            return await self.refuse(headers, reader, writer, "501 Not Implemented", "NotImplemented")
        if self.set["external_id"] and method == "POST" and target == "/":
            body = await reader.readexactly(int(self.value(headers, "content-length") or 0))
            reader = asyncio.StreamReader()
            reader.feed_data(body)
            form = urllib.parse.parse_qs(body.decode("latin-1"))
            self.count("sts:" + "".join(form.get("Action", [])))
            if form.get("Action") == ["AssumeRole"] and form.get("ExternalId") != [self.set["external_id"]]:
                await self.answer(writer, "403 Forbidden", "AccessDenied")
                return True
        if self.skewed(headers):
            self.count("skewed")
            date = email.utils.formatdate(time.time() + self.set["skew"], usegmt=True)
            await self.pass_body(headers, reader, None) if not self.value(headers, "expect") else None
            body = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large</Message></Error>"
            writer.write(("HTTP/1.1 403 Forbidden\r\nDate: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
                          % (date, 0 if method == "HEAD" else len(body), "" if method == "HEAD" else body)).encode())
            await writer.drain()
            return False
        kind = self.choose(action, headers)
        if kind:
            self.count(kind)
        if kind == "reset_before":
            raise Reset
        if kind == "slow_down":
            return await self.refuse(headers, reader, writer, "503 Slow Down", "SlowDown", self.dice.choice(["", "Retry-After: 1\r\n"]))
        if kind == "error":
            return await self.refuse(headers, reader, writer, "500 Internal Server Error", "InternalError")
        if kind == "conflict":
            return await self.refuse(headers, reader, writer, "409 Conflict", "ConditionalRequestConflict")
        if kind == "error_in_200":
            return await self.refuse(headers, reader, writer, "200 OK", "InternalError")
        if kind == "delay":
            await asyncio.sleep(self.set["delay"])
        return await self.forward(line, headers, reader, writer, up, kind)

    async def forward(self, line, headers, reader, writer, up, kind):
        method = line.split(" ", 1)[0]
        up_reader, up_writer = up
        if self.value(headers, "expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            headers = [(n, v) for n, v in headers if n.lower() != "expect"]
        up_writer.write((line + "\r\n" + "".join("%s: %s\r\n" % h for h in headers) + "\r\n").encode("latin-1"))
        await self.pass_body(headers, reader, up_writer)
        await up_writer.drain()
        reply = await self.head(up_reader)
        while reply and reply[0].split(" ")[1] == "100":
            reply = await self.head(up_reader)
        if not reply:
            raise Reset
        status_line, reply_headers = reply
        status = int(status_line.split(" ")[1])
        bodyless = method == "HEAD" or status in (204, 304)
        if kind in ("reset_after", "error_after"):
            if not bodyless:
                await self.pass_body(reply_headers, up_reader, None)
            if kind == "reset_after":
                raise Reset
            await self.answer(writer, "500 Internal Server Error", "InternalError", "Connection: close\r\n")
            return False
        writer.write((status_line + "\r\n" + "".join("%s: %s\r\n" % h for h in reply_headers) + "\r\n").encode("latin-1"))
        length = int(self.value(reply_headers, "content-length") or 0)
        if not bodyless and not await self.pass_body(reply_headers, up_reader, writer, length // 2 if kind == "short" and length > 1 else None):
            await writer.drain()
            return False  # the rest of the body never comes
        await writer.drain()
        return (self.value(reply_headers, "connection") or "").lower() != "close"

    async def connection(self, reader, writer):
        up = None
        self.open.add(writer)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            up = await asyncio.open_connection(*self.upstream, limit=1 << 20)
            while await self.one(reader, writer, up):
                pass
        except (Reset, ConnectionError, OSError, asyncio.IncompleteReadError):
            if sock.fileno() >= 0:  # else `down` was quicker
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        finally:
            self.open.discard(writer)
            writer.close()
            if up:
                up[1].close()

    async def control(self, reader, writer):
        got = await self.head(reader)
        if got and got[0].startswith("POST"):
            self.set.update(json.loads(await reader.readexactly(int(self.value(got[1], "content-length")))))
            if self.set["down"]:
                for w in list(self.open):
                    w.transport.abort()
        body = json.dumps({"counts": self.counts, "set": self.set}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def serve(self):
        data = await asyncio.start_server(self.connection, "127.0.0.1", 0, limit=1 << 20, backlog=256)
        control = await asyncio.start_server(self.control, "127.0.0.1", 0)
        for s in (data, control):
            print("http://127.0.0.1:%d" % s.sockets[0].getsockname()[1], flush=True)
        await asyncio.gather(data.serve_forever(), control.serve_forever())


class FaultProxy:
    """The proxy in a process of its own.  with FaultProxy(server.url, seed) as f: f.set(rate=0.1); f.url; f.counts()"""

    def __init__(self, upstream, seed=1):
        self.process = subprocess.Popen([sys.executable, __file__, upstream, str(seed)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.url, self.control = (self.process.stdout.readline().strip() for _ in range(2))

    def ask(self, body=None):
        with urllib.request.urlopen(urllib.request.Request(self.control, body), timeout=10) as r:
            return json.load(r)

    def set(self, **what):
        return self.ask(json.dumps(what).encode())

    def counts(self):
        return self.ask()["counts"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


if __name__ == "__main__":
    try:
        asyncio.run(Proxy(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1).serve())
    except KeyboardInterrupt:
        pass
