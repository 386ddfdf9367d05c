#!/usr/bin/env python3
"""The JSON test suite through a running server: what is JSON comes back byte for byte, what is not is refused or kept in quarantine."""
import glob
import http.client
import os

import sys
sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

cases = sorted(glob.glob(os.path.join(SHARED or "", "json-test-suite", "test_parsing", "*.json")))
if not SHARED or not cases:
    skip("json_suite", "there is no test suite beside the checkout")
    sys.exit(0)

# The rule for what RFC 8259 leaves open stands in src/json/scan.h. Bytes that are not UTF-8 are refused, and so is a byte order mark that is
# not framing; numbers of any size and escapes of lone surrogates are legal text.
REFUSED = """i_string_UTF-16LE_with_BOM i_string_UTF-8_invalid_sequence i_string_UTF8_surrogate_U+D800 i_string_invalid_utf-8
i_string_iso_latin_1 i_string_lone_utf8_continuation_byte i_string_not_in_unicode_range i_string_overlong_sequence_2_bytes
i_string_overlong_sequence_6_bytes i_string_overlong_sequence_6_bytes_null i_string_truncated-utf-8 i_string_utf16BE_no_BOM
i_string_utf16LE_no_BOM i_structure_500_nested_arrays""".split()
FRAMING = ["i_structure_UTF-8_BOM_empty_object"]  # the mark is the body's framing: the event is what follows it


class Client:
    """One connection, kept alive: hundreds of small requests."""

    def __init__(self, server):
        self.server = server
        self.c = None

    def post(self, collection, body, query="", type="application/json"):
        if not self.c:
            self.c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        try:
            self.c.request("POST", "/v1/collections/%s/events%s" % (collection, query), body, {"Content-Type": type})
            r = self.c.getresponse()
            answer = r.read()
            if r.getheader("Connection") == "close":
                self.c.close()
                self.c = None
        except Exception:
            self.c = None
            raise
        try:
            return r.status, json.loads(answer)
        except ValueError:
            return r.status, answer


def load(path):
    with open(path, "rb") as f:
        return f.read()


def name_of(path):
    return os.path.basename(path)[:-5]


def expectation(path):
    name = name_of(path)
    if name.startswith("i_"):
        return name not in REFUSED
    return name.startswith("y_")


def differences(got, want):
    """Multisets: events that came in the same microsecond may stand in any order."""
    got, want = sorted(got), sorted(want)
    return "" if got == want else "missing %.200r, extra %.200r" % ([w for w in want if w not in got][:3], [g for g in got if g not in want][:3])


def event_of(path):
    """?body=event keeps the body; the JSON text without white space around it, and without a byte order mark, is what counts as the event."""
    body = load(path)
    return body[3:] if name_of(path) in FRAMING else body


def alone(server):
    client = Client(server)
    wrong, kept = [], []
    for path in cases:
        name = name_of(path)
        status, answer = client.post("alone", load(path), "?body=event")
        want = 200 if expectation(path) else 400
        if status != want:
            wrong.append("%s: %s %.80r, not %d" % (name, status, answer, want))
        if status == 200:
            kept.append(event_of(path))
            if answer.get("accepted") != 1 or answer.get("quarantined") != 0:
                wrong.append("%s: %r" % (name, answer))
        elif status == 400 and not (isinstance(answer, dict) and answer.get("error", {}).get("message")):
            wrong.append("%s: no message: %r" % (name, answer))
    check("each y_ case is taken, each n_ case gets 400, i_ cases follow the rule", not wrong, "%d: %s" % (len(wrong), "; ".join(wrong[:4])))
    return kept


def among(server):
    """As one line among valid ones, where a case is one line."""
    client = Client(server)
    wrong, rows, bad = [], [], []
    for i, path in enumerate(cases):
        name, body = name_of(path), load(path)
        if b"\n" in body or b"\r" in body or not body.strip(b" \t") or name in FRAMING:
            continue
        before, after = b'{"before":%d}' % i, b'{"after":%d}' % i
        status, answer = client.post("among", before + b"\n" + body + b"\n" + after + b"\n", type="application/x-ndjson")
        valid = expectation(path)
        if status != 200 or answer.get("quarantined") != (0 if valid else 1) or answer.get("accepted") != 3:
            wrong.append("%s: %s %.120r" % (name, status, answer))
            continue
        if not valid and answer["errors"][0]["line"] != 2:
            wrong.append("%s: line %r" % (name, answer["errors"][0]))
        rows += [before, after]
        (rows if valid else bad).append(body.strip(b" \t"))
    check("a bad line among valid ones is quarantined, the others are rows", not wrong, "%d: %s" % (len(wrong), "; ".join(wrong[:4])))
    return rows, bad


def nothing_kept_when_rejecting(server):
    client = Client(server)
    wrong = []
    for i, path in enumerate(cases):
        body = load(path)
        if b"\n" in body or b"\r" in body or not body.strip(b" \t") or expectation(path) or name_of(path) in FRAMING:
            continue
        status, answer = client.post("among", b'{"before":0}\n' + body + b"\n", "?on_error=reject", "application/x-ndjson")
        if status != 400:
            wrong.append("%s: %s %.120r" % (name_of(path), status, answer))
    check("on_error=reject refuses the whole body", not wrong, "; ".join(wrong[:4]))


def compare(stage, kept, rows, bad):
    equal_sets = lambda name, got, want: check("%s: %s" % (stage, name), not differences(got, want), differences(got, want))
    equal_sets("every accepted case comes back byte for byte", replayed("alone"), kept)
    equal_sets("every row among bad ones comes back", [p.strip(b" \t") for p in replayed("among")], rows)
    equal_sets("every bad line lies in quarantine with its bytes", [p.strip(b" \t") for p in replayed("among__quarantine")], bad)
    count = query("select count(*) as n from alone", "lake")[0]["n"]
    equal("%s: SQL counts them" % stage, count, len(kept))


with Server("lake") as server:
    kept = alone(server)
    rows, bad = among(server)
    nothing_kept_when_rejecting(server)
    compare("hot", kept, rows, bad)
    flushed = [server.request("POST", "/v1/collections/%s/flush" % c)[0] for c in ("alone", "among")]
    equal("flush", flushed, [200, 200])
    compare("committed", kept, rows, bad)
    equal("the server answers still", server.request("GET", "/healthz")[0], 200)
    metrics = server.request("GET", "/metrics")[1].decode()
    check("no 5xx", 'responses_total{class="5xx"} 0' in metrics, metrics[-300:])
    equal("drains", server.stop(), 0)
compare("after the server's end", kept, rows, bad)
done_testing()
