#!/usr/bin/env python3
"""Posts an NDJSON file to a running server in bodies of a given size: post_file.py FILE URL COLLECTION [MiB]. Waits when told to (429, 503).
Prints the events accepted, the seconds, and how often it had to wait."""
import http.client
import json
import sys
import time
import urllib.parse


def post_file(path, url, collection, size=8 << 20):
    host = urllib.parse.urlsplit(url).netloc
    connection = http.client.HTTPConnection(host, timeout=120)
    accepted = waits = 0
    began = time.monotonic()
    with open(path, "rb") as f:
        rest = b""
        while True:
            data = f.read(size - len(rest))
            body = rest + data
            if not body:
                break
            end = body.rfind(b"\n") + 1 if data else len(body)
            body, rest = body[:end], body[end:]
            while True:
                connection.request("POST", "/v1/collections/%s/events" % collection, body, {"Content-Type": "application/x-ndjson"})
                r = connection.getresponse()
                answer = json.loads(r.read())
                if r.status == 200:
                    break
                if r.status not in (429, 503):
                    raise RuntimeError("%d %s" % (r.status, answer))
                waits += 1
                time.sleep(0.2)
            accepted += answer["accepted"]
    return accepted, time.monotonic() - began, waits


if __name__ == "__main__":
    print("%d events, %.1f s, %d waits" % post_file(sys.argv[1], sys.argv[2], sys.argv[3], int(float((sys.argv[4:] or ["8"])[0]) * (1 << 20))))
