#!/usr/bin/env python3
"""What an enemy sends, as one table: each request gets exactly this status, code and message, and nothing of it is stored. Where the end of a
request is in doubt, the connection ends with the answer, so that nothing behind it is taken for a request; else the next one is answered.
HOSTILE_LONG=1 also waits for the body that never comes (20 s)."""
import gzip
import os
import re
import struct
import sys
import threading
import zlib

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

EVENT = b'{"a":1}'
EVENTS = b"/v1/collections/c/events"
JSON, NDJSON = b"Content-Type: application/json", b"Content-Type: application/x-ndjson"
SMUGGLED = b'POST /v1/collections/smuggled/events HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{"s":1}'
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HOST = b"\r\nHost: x\r\n\r\n"


def send(*headers, body=EVENT, path=EVENTS, version=b"1.1", method=b"POST", length=True):
    lines = [b"%s %s HTTP/%s" % (method, path, version), b"Host: x", *headers] + ([b"Content-Length: %d" % len(body)] if length else [])
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def bare(*headers, body=EVENT):
    """Says its own length."""
    return send(*headers, body=body, length=False)


def chunks(body):
    return bare(b"Transfer-Encoding: chunked", body=body)


def trailers(lines):
    return chunks(b"7\r\n" + EVENT + b"\r\n0\r\n" + lines)


def gz(body):
    return send(b"Content-Encoding: gzip", body=body)


def zstd(body):
    return send(b"Content-Encoding: zstd", body=body)


def rle(blocks, window=0x58, last=True):
    """A zstd frame: each block is 128 KiB of blanks in four bytes. The upper five bits of window are its logarithm less 10."""
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([window])
    return frame + b"".join(struct.pack("<I", 131072 << 3 | 2 | (last and i == blocks - 1))[:3] + b" " for i in range(blocks))


def typed(body, path=EVENTS, method=b"POST"):
    return send(JSON, body=body, path=path, method=method)


def named(name):
    return send(path=b"/v1/collections/%s/events" % name)


# ---- messages that come more than once ----
NOT_HTTP = "this is not an HTTP request line (METHOD /path HTTP/1.1); this port speaks plain HTTP, not TLS"
LINE = "the request line is not METHOD SP target SP HTTP/1.1, or its target holds bytes that must be percent-encoded"
VERSION = "only HTTP/1.1 and HTTP/1.0 are spoken here"
BARE_LF = "a line of the request's head ends with LF alone: end lines with CR LF"
CONTROL = "a header's value holds a control character"
NO_HEADER = "a line of the head is not a header (name: value)"
TWO_LENGTHS = "there are two Content-Length headers"
NO_NUMBER = "Content-Length is not a decimal number"
BOTH = "there are both Content-Length and Transfer-Encoding"
ONLY_CHUNKED = "the only Transfer-Encoding known here is chunked"
ONCE = "Transfer-Encoding must be chunked, once"
SIZE = "a chunk's size is not a hexadecimal number of up to 15 digits"
EXTENSION = "a chunk extension holds a control character, or all of them are too long"
TRAILER = "a trailer line is not a header (name: value)"
TARGET = "the request target must be a path that begins with /"
ESCAPE = "the request target holds a % that is not followed by two hexadecimal digits"
DOTS = "the path holds a . or .. part"
LONG_TARGET = "the request target is too long: put large values into the body"
LARGE = ("the body is larger than the limit (after decompression): send it in several requests, cut between two events (for a file with one event "
         "a line: split -C 16m FILE)")
NO_GZIP = "the body is not gzip as Content-Encoding says, or it is damaged"
NO_ZSTD = "the body is not zstd as Content-Encoding says, or it is damaged"
WINDOW = "the zstd body needs a window of over 8 MiB: compress without --ultra and --long"
CUT = "the compressed body ends in the middle: it was cut off before it was sent"
CODING = "this Content-Encoding is not supported: use gzip, zstd or identity, only one of them"
EXPECT = "the only Expect known here is 100-continue"
POST_ONLY = "this address takes POST"
NOTHING = "nothing is at this address; events go to POST /v1/collections/NAME/events"
EMPTY = "the body holds no event; nothing was kept"
MULTIPART = "multipart bodies (curl -F) are not taken apart: send the events themselves as the body, as curl --data-binary @FILE does"


def at(column, what, line=1):
    return "line %d, column %d: %s; nothing was kept" % (line, column, what)


def no_name(name):
    return "'%s' is no collection name: use [a-z][a-z0-9_]{0,62} without '__'" % name


DEEP, UTF8 = "nested too deeply", "invalid UTF-8"

# The connection ends with the answer.
ENDS = [
    # what a proxy in front may read otherwise
    ("length and chunked", bare(b"Content-Length: 7", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400, "bad_request", BOTH),
    ("chunked and length", bare(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"), 400, "bad_request", BOTH),
    ("two lengths", bare(b"Content-Length: 7", b"Content-Length: 8"), 400, "bad_request", TWO_LENGTHS),
    ("the same length twice", bare(b"Content-Length: 7", b"Content-Length: 7"), 400, "bad_request", TWO_LENGTHS),
    ("a list of lengths", bare(b"Content-Length: 7, 7"), 400, "bad_request", NO_NUMBER),
    ("a negative length", bare(b"Content-Length: -1"), 400, "bad_request", NO_NUMBER),
    ("a length with a sign", bare(b"Content-Length: +7"), 400, "bad_request", NO_NUMBER),
    ("a hexadecimal length", bare(b"Content-Length: 0x7"), 400, "bad_request", NO_NUMBER),
    ("a length with a blank in it", bare(b"Content-Length: 1 0"), 400, "bad_request", NO_NUMBER),
    ("an empty length", bare(b"Content-Length:"), 400, "bad_request", NO_NUMBER),
    ("a length over 2^64", bare(b"Content-Length: 18446744073709551623"), 413, "body_too_large", LARGE),
    ("a length of 40 digits", bare(b"Content-Length: " + b"9" * 40), 413, "body_too_large", LARGE),
    ("another transfer coding", bare(b"Transfer-Encoding: xchunked"), 501, "transfer_encoding", ONLY_CHUNKED),
    ("gzip as transfer coding", bare(b"Transfer-Encoding: gzip, chunked"), 501, "transfer_encoding", ONLY_CHUNKED),
    ("identity as transfer coding", bare(b"Transfer-Encoding: identity"), 501, "transfer_encoding", ONLY_CHUNKED),
    ("chunked with a parameter", bare(b"Transfer-Encoding: chunked;q=1"), 501, "transfer_encoding", ONLY_CHUNKED),
    ("chunked in quotes", bare(b'Transfer-Encoding: "chunked"'), 501, "transfer_encoding", ONLY_CHUNKED),
    ("chunked twice in a list", bare(b"Transfer-Encoding: chunked, chunked"), 400, "bad_request", ONCE),
    ("chunked behind an empty item", bare(b"Transfer-Encoding: , chunked", body=b"0\r\n\r\n"), 400, "bad_request", ONCE),
    ("an empty transfer coding", bare(b"Transfer-Encoding:"), 400, "bad_request", ONCE),
    ("two transfer codings", bare(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400, "bad_request",
     "there are two Transfer-Encoding headers"),
    ("chunked behind a vertical tab", bare(b"Transfer-Encoding:\x0bchunked"), 400, "bad_request", CONTROL),
    ("chunked and a NUL", bare(b"Transfer-Encoding: chunked\0"), 400, "bad_request", CONTROL),
    ("chunked for HTTP/1.0", send(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"1.0", length=False), 400, "bad_request",
     "Transfer-Encoding needs HTTP/1.1"),
    ("a blank before the colon", bare(b"Content-Length : 7"), 400, "bad_request", "there is white space before the colon of a header"),
    ("a folded header", bare(b"A: b", b" Content-Length: 7"), 400, "bad_request", "a header is folded over two lines: send it as one"),
    ("bare LF everywhere", send().replace(b"\r\n", b"\n"), 400, "bad_request", BARE_LF),
    ("bare LF in one header", send(b"A: b\nTransfer-Encoding: chunked"), 400, "bad_request", BARE_LF),
    ("bare CR everywhere", send().replace(b"\r\n", b"\r") + HOST, 400, "bad_request", "the request line does not end with HTTP/1.1"),
    ("bare CR in a header", send(b"A: b\rTransfer-Encoding: chunked"), 400, "bad_request", CONTROL),
    ("a NUL in a value", send(b"A: b\0c"), 400, "bad_request", CONTROL),
    ("a NUL in a name", send(b"A\0: b"), 400, "bad_request", NO_HEADER),
    ("a header without a name", send(b": b"), 400, "bad_request", NO_HEADER),
    ("a header without a colon", send(b"novalue"), 400, "bad_request", NO_HEADER),
    ("a name that is no token", send(b"Transf\xe9r-Encoding: chunked"), 400, "bad_request", NO_HEADER),
    ("no Host", b"POST " + EVENTS + b" HTTP/1.1\r\nContent-Length: 7\r\n\r\n" + EVENT, 400, "bad_request", "the Host header is missing"),
    ("two Hosts", send(b"Host: y"), 400, "bad_request", "there are two Host headers"),
    ("a Host with a path", b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400, "bad_request", "the Host header is not host or host:port"),
    # request lines
    ("no HTTP", b"hello\r\n\r\n", 400, "bad_request", NOT_HTTP),
    ("HTTP/0.9", b"GET /\r\n\r\n", 400, "bad_request", LINE),
    ("HTTP/1.2", b"GET / HTTP/1.2" + HOST, 505, "http_version", VERSION),
    ("HTTP/2 without its preface", b"GET / HTTP/2.0" + HOST, 505, "http_version", VERSION),
    ("HTTP/2 with its preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 505, "http_version", VERSION),
    ("a version of two digits", b"GET / HTTP/1.10" + HOST, 400, "bad_request", "the request line does not end with HTTP/1.1"),
    ("a version in lower case", b"GET / http/1.1" + HOST, 400, "bad_request", "the request line does not end with HTTP/1.1"),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_request", NOT_HTTP),
    ("SSH", b"SSH-2.0-OpenSSH\r\n\r\n", 400, "bad_request", NOT_HTTP),
    ("Redis", b"*1\r\n$4\r\nPING\r\n", 400, "bad_request", NOT_HTTP),
    ("PROXY protocol", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + send(), 400, "bad_request", "the request line does not end with HTTP/1.1"),
    ("nine blank lines first", b"\r\n" * 9 + send(), 400, "bad_request", NOT_HTTP),
    ("CONNECT", b"CONNECT x:443 HTTP/1.1" + HOST, 501, "not_implemented", "CONNECT is not supported: this is not a proxy"),
    ("a NUL in the target", b"GET /\0 HTTP/1.1" + HOST, 400, "bad_request", LINE),
    ("a fragment in the target", b"GET /a#b HTTP/1.1" + HOST, 400, "bad_request", LINE),
    ("raw UTF-8 in the target", b"GET /\xc3\xa4 HTTP/1.1" + HOST, 400, "bad_request", LINE),
    ("another scheme", b"GET file:///etc/passwd HTTP/1.1" + HOST, 400, "bad_request", TARGET),
    ("absolute-form without a path", b"GET http://x HTTP/1.1" + HOST, 400, "bad_request", TARGET),
    ("a relative target", b"GET healthz HTTP/1.1" + HOST, 400, "bad_request", TARGET),
    ("* for what is not OPTIONS", b"GET * HTTP/1.1" + HOST, 400, "bad_request", TARGET),
    ("half an escape in the path", b"GET /a%2 HTTP/1.1" + HOST, 400, "bad_request", ESCAPE),
    ("a bad escape in the query", b"GET /?a=%zz HTTP/1.1" + HOST, 400, "bad_request", ESCAPE),
    ("a target of 9,000 bytes", b"GET /" + b"a" * 9000 + b" HTTP/1.1" + HOST, 414, "uri_too_long", LONG_TARGET),
    ("a request line that never ends", b"GET /" + b"a" * 70000, 414, "uri_too_long", LONG_TARGET),
    ("a path of 33 parts", b"GET " + b"/a" * 33 + b" HTTP/1.1" + HOST, 400, "bad_request", "the path has over 32 parts"),
    # floods
    ("101 headers", send(*[b"A: b"] * 99), 431, "header_too_large", "the request has too many headers"),
    ("a header of 40 KB", send(b"A: " + b"b" * 40000), 431, "header_too_large", "the headers are too large altogether"),
    ("headers that never end", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000, 431, "header_too_large", "the headers are too large altogether"),
    ("101 trailers", trailers(b"a: b\r\n" * 101 + b"\r\n"), 431, "header_too_large", "there are too many trailers"),
    ("a trailer of 40 KB", trailers(b"a: " + b"b" * 40000), 431, "header_too_large", "the trailers are too large"),
    ("chunk extensions of 20 KB", chunks(b"7;" + b"x" * 20000 + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"), 400, "bad_chunk", EXTENSION),
    ("one-byte chunks with long extensions", chunks(b"1;aaaaaaaaaaaaaaa=b\r\n \r\n" * 1000), 400, "bad_chunk", EXTENSION),
    # chunks
    ("no chunk size", chunks(b"\r\n"), 400, "bad_chunk", SIZE),
    ("a negative chunk", chunks(b"-7\r\n" + EVENT), 400, "bad_chunk", SIZE),
    ("a chunk size with 0x", chunks(b"0x7\r\n" + EVENT), 400, "bad_chunk", SIZE),
    ("a chunk size with a blank", chunks(b"7 \r\n" + EVENT), 400, "bad_chunk", SIZE),
    ("a chunk size of 16 digits", chunks(b"ffffffffffffffff\r\n" + EVENT), 400, "bad_chunk", SIZE),
    ("a chunk size of 16 digits, most of them 0", chunks(b"0000000000000007\r\n" + EVENT + b"\r\n0\r\n\r\n"), 400, "bad_chunk", SIZE),
    ("a huge chunk is refused before it is sent", chunks(b"7fffffffffffff0\r\n" + EVENT), 413, "body_too_large", LARGE),
    ("chunks with bare LF", chunks(b"7\n" + EVENT + b"\n0\n\n"), 400, "bad_chunk", SIZE),
    ("a bare LF in a chunk extension", chunks(b"7;a\n0\r\n\r\n" + EVENT), 400, "bad_chunk", EXTENSION),
    ("a chunk that is longer than it says", chunks(b"6\r\n" + EVENT + b"\r\n0\r\n\r\n"), 400, "bad_chunk", "a chunk is longer than its size says"),
    ("a chunk without CR LF behind it", chunks(b"7\r\n" + EVENT + b"0\r\n\r\n"), 400, "bad_chunk", "a chunk is longer than its size says"),
    ("a folded trailer", trailers(b"A: b\r\n c\r\n\r\n"), 400, "bad_chunk", TRAILER),
    ("a trailer with a bare LF", trailers(b"A: b\n\r\n"), 400, "bad_chunk", "a trailer's value holds a control character"),
    # compressed bodies
    ("gzip that is none", gz(EVENT), 400, "corrupt_body", NO_GZIP),
    ("zlib for gzip", gz(zlib.compress(EVENT)), 400, "corrupt_body", NO_GZIP),
    ("gzip cut off", gz(gzip.compress(EVENT)[:-1]), 400, "corrupt_body", CUT),
    ("gzip with a wrong checksum", gz(gzip.compress(EVENT)[:-8] + bytes(8)), 400, "corrupt_body", NO_GZIP),
    ("gzip with garbage behind", gz(gzip.compress(EVENT) + b"garbage"), 400, "corrupt_body", NO_GZIP),
    ("a gzip bomb", gz(gzip.compress(b" " * (65 << 20), 1)), 413, "body_too_large", LARGE),
    ("a gzip bomb of many members", gz(gzip.compress(b" " * (1 << 20), 1) * 65), 413, "body_too_large", LARGE),
    ("a gzip bomb in chunks", bare(b"Content-Encoding: gzip", b"Transfer-Encoding: chunked",
                                   body=b"".join(b"%x\r\n%s\r\n" % (len(m), m) for m in [gzip.compress(b" " * (1 << 20), 1)] * 65)), 413,
     "body_too_large", LARGE),
    ("zstd that is none", zstd(EVENT), 400, "corrupt_body", NO_ZSTD),
    ("a zstd bomb of 2 KB", zstd(rle(513)), 413, "body_too_large", LARGE),
    ("a zstd bomb of many frames", zstd(rle(8) * 65), 413, "body_too_large", LARGE),
    ("a zstd frame without an end", zstd(rle(10, last=False)), 400, "corrupt_body", CUT),
    ("a zstd window of 16 MiB", zstd(rle(1, window=14 << 3)), 400, "corrupt_body", WINDOW),
    ("a zstd window of 2 TiB", zstd(rle(1, window=31 << 3)), 400, "corrupt_body", WINDOW),
    ("a zstd content size of 2^62", zstd(b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 62) + b"\x01\0\0"), 400, "corrupt_body", WINDOW),
    ("a zstd frame with a dictionary", zstd(b"\x28\xb5\x2f\xfd\x03\x58\x01\x02\x03\x04\x01\0\0"), 400, "corrupt_body", NO_ZSTD),
    ("a zstd skippable frame of 4 GiB", zstd(struct.pack("<II", 0x184D2A50, 0xffffffff)), 400, "corrupt_body", CUT),
    # paths
    ("..", named(b".."), 400, "bad_request", DOTS),
    (".. escaped", named(b"%2e%2E"), 400, "bad_request", DOTS),
    (". at the end", b"GET /v1/collections/. HTTP/1.1" + HOST, 400, "bad_request", DOTS),
    ("NUL in a path", named(b"c%00"), 400, "bad_request", "the path holds a NUL (%00)"),
    # sizes
    ("a body over 64 MiB", bare(b"Content-Length: 67108865"), 413, "body_too_large", LARGE),
    ("a query over 4 MiB", typed(b'{"sql":"' + b" " * (5 << 20) + b'"}', b"/v1/query"), 413, "body_too_large", LARGE),
]

# The connection stays, in step.
STAYS = [
    ("an unknown expectation", send(b"Expect: wonders"), 417, "expectation_failed", EXPECT),
    ("a list of expectations", send(b"Expect: 100-continue, wonders"), 417, "expectation_failed", EXPECT),
    ("an empty expectation", send(b"Expect:"), 417, "expectation_failed", EXPECT),
    ("a method in lower case", send(method=b"post"), 405, "method_not_allowed", POST_ONLY),
    ("GET with a body", send(method=b"GET"), 405, "method_not_allowed", POST_ONLY),
    ("a method of 9,000 letters", send(method=b"X" * 9000), 405, "method_not_allowed", POST_ONLY),
    ("TRACE", b"TRACE / HTTP/1.1" + HOST, 404, "not_found", NOTHING),
    ("two slashes first", b"GET //x/ HTTP/1.1" + HOST, 404, "not_found", NOTHING),
    ("Content-Encoding: br", send(b"Content-Encoding: br"), 415, "unsupported_encoding", CODING),
    ("Content-Encoding: deflate", send(b"Content-Encoding: deflate", body=zlib.compress(EVENT)), 415, "unsupported_encoding", CODING),
    ("gzip in gzip, said", send(b"Content-Encoding: gzip, gzip", body=gzip.compress(gzip.compress(EVENT))), 415, "unsupported_encoding", CODING),
    ("gzip said twice", send(b"Content-Encoding: gzip", b"Content-Encoding: gzip", body=gzip.compress(EVENT)), 415, "unsupported_encoding", CODING),
    ("multipart", send(b"Content-Type: multipart/form-data; boundary=x", body=b"--x\r\n\r\n{}\r\n--x--\r\n"), 415, "unsupported_type", MULTIPART),
    ("no event", send(body=b""), 400, "invalid", EMPTY),
    ("an empty gzip", gz(b""), 400, "invalid", EMPTY),
    ("100,000 empty gzip members", gz(gzip.compress(b"") * 100000), 400, "invalid", EMPTY),
    ("zstd frames that only skip", zstd((struct.pack("<II", 0x184D2A50, 8) + bytes(8)) * 10000), 400, "invalid", EMPTY),
    ("blank lines for 8 MiB", send(NDJSON, body=b"\r\n" * (4 << 20)), 400, "invalid", EMPTY),
    ("an unknown format", send(path=EVENTS + b"?format=xml"), 400, "invalid", "format 'xml' is not one of auto, ndjson, json, text, raw"),
    ("a key of 1,025 bytes", send(b"Idempotency-Key: " + b"k" * 1025), 400, "invalid",
     "the Idempotency-Key has 1025 bytes, at most 1024 are allowed"),
    # JSON
    ("text that calls itself JSON", typed(b"hello"), 400, "invalid", at(1, "expected a value")),
    ("text that calls itself NDJSON", send(NDJSON, body=b"hello\nworld\n"), 400, "invalid", at(1, "expected a value")),
    ("UTF-16", typed('{"a":1}'.encode("utf-16")), 400, "invalid", at(1, "expected a value")),
    ("two byte order marks", typed(b"\xef\xbb\xbf" * 2 + EVENT), 400, "invalid", at(2, "expected a value")),
    ("100,000 brackets", typed(b"[" * 100000), 400, "invalid", at(130, DEEP)),
    ("5,000 arrays in each other", typed(b"[" * 5000 + b"]" * 5000), 400, "invalid", at(130, DEEP)),
    ("5,000 objects in each other", typed(b'{"a":' * 5000 + b"1" + b"}" * 5000), 400, "invalid", at(641, DEEP)),
    ("129 objects in each other in a line", send(NDJSON, body=b'{"a":' * 129 + b"1" + b"}" * 129), 400, "invalid", at(641, DEEP)),
    ("a byte that is no UTF-8", typed(b'{"a":"\xff"}'), 400, "invalid", at(7, UTF8)),
    ("a key that is no UTF-8", typed(b'{"\xff":1}'), 400, "invalid", at(3, UTF8)),
    ("overlong UTF-8", typed(b'{"a":"\xc0\xaf"}'), 400, "invalid", at(7, UTF8)),
    ("a surrogate in UTF-8", typed(b'{"a":"\xed\xa0\x80"}'), 400, "invalid", at(7, UTF8)),
    ("UTF-8 beyond Unicode", typed(b'{"a":"\xf4\x90\x80\x80"}'), 400, "invalid", at(7, UTF8)),
    ("half a character at the end", typed(b'{"a":"\xe2\x82'), 400, "invalid", at(8, "the text ends inside a UTF-8 character")),
    ("a NUL in a string", typed(b'{"a":"\0"}'), 400, "invalid", at(7, "control character in a string (it must be written as an escape)")),
    ("NaN", typed(b'{"a":NaN}'), 400, "invalid", at(6, "expected a value")),
    ("a number with a leading 0", typed(b'{"a":01}'), 400, "invalid", at(7, "a number must not begin with 0 and another digit")),
    ("a comment", typed(b'{"a":1/*x*/}'), 400, "invalid", at(7, "expected , or } after a member")),
    ("a comma too many", typed(b'{"a":1,}'), 400, "invalid", at(8, "a comma must be followed by a member")),
    ("single quotes", typed(b"{'a':1}"), 400, "invalid", at(2, "expected a key in double quotes")),
    ("a string that never ends", typed(b'{"a":"' + b"x" * 5000000), 400, "invalid", at(5000007, "the text ends inside a string")),
    ("a million open objects in lines", send(NDJSON, body=b'{"a":\n' * 1000000), 400, "invalid",
     at(6, "the text ends where a value is expected")),
    ("an event of 33 MiB", typed(b'{"a":"%s"}' % (b"x" * (33 << 20))), 413, "too_large",
     "the event that begins in line 1 has 34603016 bytes, more than the limit of 33554432: split it"),
    # names
    ("../ escaped", named(b"..%2f..%2fetc"), 404, "bad_name", no_name("../../etc")),
    ("..\\ escaped", named(b"..%5c..%5cx"), 404, "bad_name", no_name("..\\..\\x")),
    ("an absolute path", named(b"%2fetc%2fpasswd"), 404, "bad_name", no_name("/etc/passwd")),
    ("an empty name", named(b""), 404, "bad_name", no_name("")),
    ("CR LF in a name", named(b"c%0d%0aX:1"), 404, "bad_name", no_name("c\r\nX:1")),
    ("SQL in a name", named(b"c%22%3bdrop"), 404, "bad_name", no_name('c";drop')),
    ("a name that is UTF-8", named(b"%c3%a4"), 404, "bad_name", no_name("ä")),
    ("a name that is no UTF-8 is answered in UTF-8", named(b"%ff%c0%af"), 404, "bad_name", no_name("\ufffd\ufffd\ufffd")),
    ("a name of 64", named(b"c" * 64), 404, "bad_name", no_name("c" * 64)),
    ("a name of 5,000 is cut short in the answer", named(b"c" * 5000), 404, "bad_name", "'" + "c" * 2046),
    ("a name of our own", named(b"_hydrant"), 404, "bad_name", no_name("_hydrant")),
    ("quarantine is not written to", named(b"c__quarantine"), 404, "bad_name", no_name("c__quarantine")),
    # calls
    ("a query that is an array", typed(b"[]", b"/v1/query"), 400, "invalid", "the body is no JSON object"),
    ("a query that is 5,000 deep", typed(b'{"sql":' + b"[" * 5000, b"/v1/query"), 400, "invalid",
     "the body is no JSON: line 1, column 2055: maximum parsing depth reached near '['"),
    ("a search in ../../etc", typed(b'{"collection":"../../etc","query":"*"}', b"/v1/search"), 400, "invalid",
     "'../../etc' is no collection name: [a-z][a-z0-9_]{0,62} without '__'"),
    ("a replay of ../../etc", typed(b'{"collection":"../../etc"}', b"/v1/replay"), 400, "invalid",
     "'../../etc' is no collection name: [a-z][a-z0-9_]{0,62} without '__'"),
    ("a declaration of ../x", typed(b"{}", b"/v1/collections/..%2fx", b"PUT"), 400, "invalid",
     "'../x' is no collection name: [a-z][a-z0-9_]{0,62} without '__'"),
    ("dropping ../x", b"DELETE /v1/collections/..%2fx HTTP/1.1" + HOST, 404, "bad_name", "'../x' is no collection name"),
]

# Odd, but right: how many events each brings.
FINE = [
    ("chunk extensions", chunks(b'7;a=b;c="d"\r\n' + EVENT + b"\r\n0;e\r\n\r\n"), 1),
    ("trailers are read and dropped", trailers(b"Content-Length: 9\r\nTransfer-Encoding: gzip\r\nHost: y\r\n\r\n"), 1),
    ("a chunk a byte", chunks(b"".join(b"1\r\n%c\r\n" % c for c in EVENT) + b"0\r\n\r\n"), 1),
    ("absolute-form", send(path=b"http://elsewhere.example" + EVENTS), 1),
    ("absolute-form with a user and a port", send(path=b"HTTPS://u:p@h:1" + EVENTS + b"?x=/../"), 1),
    ("TE: gzip", send(b"TE: gzip, trailers", b"Connection: TE"), 1),
    ("an upgrade to h2c is not taken", send(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"), 1),
    ("a WebSocket neither", send(b"Connection: upgrade", b"Upgrade: websocket"), 1),
    ("HTTP/1.0 keep-alive", send(b"Connection: keep-alive", version=b"1.0"), 1),
    ("Expect means nothing in HTTP/1.0", send(b"Connection: keep-alive", b"Expect: wonders", version=b"1.0"), 1),
    ("a tab before chunked", bare(b"Transfer-Encoding:\tChunKed", body=b"7\r\n" + EVENT + b"\r\n0\r\n\r\n"), 1),
    ("bytes over 127 in a value", send(b"A: \xff\xfe"), 1),
    ("99 headers", send(*[b"A:"] * 97), 1),
    ("gzip members, some empty", gz(gzip.compress(b"") * 1000 + gzip.compress(EVENT) + gzip.compress(EVENT) * 9), 10),
    ("gzip in gzip, not said: bytes", gz(gzip.compress(gzip.compress(b" " * (80 << 20), 1), 1)), 1),
    ("a window of 8 MiB", zstd(rle(1, window=13 << 3)[:-4] + struct.pack("<I", 7 << 3 | 1)[:3] + EVENT), 1),
    ("a byte order mark", typed(b"\xef\xbb\xbf" + EVENT), 1),
    ("128 objects in each other", typed(b'{"a":' * 128 + b"1" + b"}" * 128), 1),
    ("half a surrogate, escaped", typed(b'{"a":"\\ud800"}'), 1),
    ("an escaped NUL", typed(b'{"a":"\\u0000"}'), 1),
    ("a key twice", typed(b'{"a":1,"a":2}'), 1),
    ("1e999", typed(b'{"a":1e999}'), 1),
    ("a number of 100,000 digits", typed(b'{"a":' + b"1" * 100000 + b"}"), 1),
    ("an XML type: lines of text", send(b"Content-Type: application/xml", body=b"<a>\n</a>\n"), 2),
]


def ask(server, data, end):
    """All that comes back until the connection ends, or until `end` has come."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as c:
        out = b""
        try:
            c.sendall(data)
        except OSError:
            pass  # answered before all of it was read
        while True:
            try:
                piece = c.recv(65536)
            except OSError as e:
                return out + b" (%s)" % str(e).encode()
            out += piece
            if not piece or (end and out.endswith(end)):
                return out


def stored(server):
    text = server.request("GET", "/metrics")[1].decode()
    return int(re.search(r"^hydrant_accepted_events_total (\d+)$", text, re.M).group(1))


def answer(status, code, message, close):
    """A pattern: the whole of it, but for the date and the words behind the status."""
    text = message.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\u000d").replace("\n", "\\u000a")
    body = ('{"error":{"code":"%s","message":"%s"}}\n' % (code, text)).encode()
    extra = b"(?:Accept-Encoding: gzip, zstd\r\n)?" if status == 415 else b"Allow: POST\r\n" if status == 405 else b""
    return (rb"HTTP/1\.1 %d [A-Z][A-Za-z- ]+\r\nDate: [^\r]+\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s%s\r\n%s" %
            (status, len(body), extra, b"Connection: close\r\n" if close else b"", re.escape(body)))


def test_table(s):
    before = stored(s)
    for name, request, status, code, message in ENDS:
        got = ask(s, request + SMUGGLED, None)
        check("%s: %d, and the connection ends" % (name, status), re.fullmatch(answer(status, code, message, True), got), got)
        equal("%s: nothing is stored" % name, stored(s), before)
    for name, request, status, code, message in STAYS:
        got = ask(s, request + ALIVE, b"\r\n\r\nok\n")
        wanted = answer(status, code, message, False) + rb"HTTP/1\.1 200 OK\r\n.*\r\n\r\nok\n"
        if len(message) > 2000:  # cut to what a message may have
            wanted = rb"HTTP/1\.1 %d .*%s\"}}\nHTTP/1\.1 200 OK\r\n.*\r\n\r\nok\n" % (status, re.escape(message.encode()))
        check("%s: %d, and the next is answered" % (name, status), re.fullmatch(wanted, got, re.S), got)
        equal("%s: nothing is stored" % name, stored(s), before)
    lake = json.loads(s.request("GET", "/v1/collections")[1])
    equal("no collection was made by any of them", lake, {"collections": []})


def test_fine(s):
    for name, request, events in FINE:
        before = stored(s)
        got = ask(s, request + ALIVE, b"\r\n\r\nok\n")
        fine = re.fullmatch(rb"HTTP/1\.1 200 OK\r\n[^{]*\{\"accepted\":%d,\"quarantined\":0,[^\n]*\nHTTP/1\.1 200 OK\r\n.*ok\n" % events, got, re.S)
        check("%s: %d" % (name, events), fine and stored(s) == before + events, (stored(s) - before, got))
    equal("all of it is there", query("select count(*) as n from c", "lake"), [{"n": sum(events for _, _, events in FINE)}])


def test_gone(s):
    """Whoever goes in the middle of a body has sent nothing."""
    before = stored(s)
    for name, request in (("a length", bare(b"Content-Length: 100")), ("chunks", chunks(b"7\r\n" + EVENT + b"\r\n")),
                          ("chunks up to the last CR LF", chunks(b"7\r\n" + EVENT + b"\r\n0\r\n")),
                          ("gzip", bare(b"Content-Encoding: gzip", b"Content-Length: 100", body=gzip.compress(EVENT)))):
        for reset in (False, True):
            with socket.create_connection(("127.0.0.1", s.port), timeout=20) as c:
                c.sendall(request)
                if reset:
                    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    continue
                c.shutdown(socket.SHUT_WR)
                got = b"".join(iter(lambda: c.recv(65536), b""))
                text = "the sender closed the connection in the middle of this request"
                check("gone in the middle of %s: 400" % name, re.fullmatch(answer(400, "bad_request", text, True), got), got)
    equal("gone in the middle: nothing is stored", stored(s), before)


def seconds(s, body):
    """Of processor time of the server."""
    def spent():
        with open("/proc/%d/stat" % s.process.pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    before = spent()
    status, said = s.post("wide", body, {"Content-Type": "application/json"})
    if status != 200:
        raise RuntimeError("wide: %d %s" % (status, said))
    query("select count(*) from wide", "lake")
    s.request("POST", "/v1/collections/wide/flush")
    return spent() - before


def test_wide(s):
    """Four times the keys take about four times as long, whatever they are: nothing is quadratic. Their hashes have a seed of the process
    (base/map.h), so that whoever writes keys cannot choose where they meet."""
    for name, key in (("numbers", '"%d":0'), ("one long beginning", '"' + "k" * 60 + '%d":0'), ("nested", '"a%d":{"b":{"c":[0]}}')):
        took = [seconds(s, ("{" + ",".join(key % (n * 100000 + i) for i in range(n)) + "}").encode()) for n in (10000, 40000)]
        check("keys: %s: linear time" % name, took[1] < 8 * took[0] + 0.5, took)
        print("# keys: %s: 10,000 in %.2f s, 40,000 in %.2f s" % (name, *took))


def slow(s, name, data, least, most):
    """A byte now and then does not help: the time of the whole counts."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", s.port), timeout=1) as c:
        c.sendall(data)
        got = b""
        while time.monotonic() < started + most:
            try:
                got = c.recv(65536)
                break
            except socket.timeout:
                c.sendall(b"a")
        text = "the request did not arrive in time: send it faster, or in smaller ones"
        took = time.monotonic() - started
        check("%s: 408 in time" % name, re.fullmatch(answer(408, "timeout", text, True), got) and least <= took < most, (took, got))


def guarded(test, *args):
    try:
        return test(*args)
    except Exception as e:
        not_ok(test.__name__, "%s: %s" % (type(e).__name__, e))


with Server("lake") as server:
    waits = [threading.Thread(target=guarded, args=(slow, server, "a head of a byte a second", b"GET /v1/collections HTTP/1.1\r\nHost: x\r\nX: ", 9.5, 15))]
    if os.environ.get("HOSTILE_LONG"):
        waits += [threading.Thread(target=guarded, args=(slow, server, name, data, 19.5, 26)) for name, data in (
            ("a body of a byte a second", bare(b"Content-Length: 1000", body=b"{")),
            ("chunks of a byte a second", chunks(b"100\r\n{")))]
    for t in waits:
        t.start()
    for test in (test_table, test_fine, test_gone, test_wide):
        guarded(test, server)
    for t in waits:
        t.join()
    told = re.search(r'responses_total\{class="5xx"\} (\d+)', server.request("GET", "/metrics")[1].decode())
    equal("no answer was 5xx but those of the table", int(told.group(1)), sum(row[2] >= 500 for row in ENDS + STAYS))
    equal("SIGTERM ends with 0", server.stop(), 0)
done_testing()
