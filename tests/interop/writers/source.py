#!/usr/bin/env python3
"""The documents that the writers write: 400 of four kinds, with what JSON writers differ in. One document a line, on stdout.

`at` is µs since the epoch here; each writer turns it into its language's usual text. A number with a point is a floating-point number in every
language, one without is an integer.
"""
import json
import random

r = random.Random(20261122)
NAMES = ["Zoë Müller", "José Ñúñez", "Łukasz Żółć", "山田 太郎", "김철수", "محمد علي", "שרה לוי", "Дарья Ёжикова", "O'Brien & Sons", "Ann", "Bob <bob@example.org>", "नमस्ते", "ไทย", "Ελένη"]
TEXTS = ["plain words", "a \"quoted\" word", "back\\slash", "</script><b>bold & new</b>", "line\nbreak\r\n\ttab", "bell\b feed\f", "line\u2028para\u2029graph", "del\x7fete",
         "\x01\x1b[31mred\x1b[0m\x1f", "😀 emoji 👩‍💻 and 🏳️‍🌈", "Straße 12 / Hof", "a=b+c`d'e", "\u00a0nbsp\u00adshy\u200bzwsp\ufeffbom\ufffdrepl", "C1 \x80\x9f", "q?x=1&y=<2>#a+b", "mixed é ü / 漢字 \U0001f600",
         "\u0000nul", "", " ", "\ue000\ufffe private", "tag \U000e0041 \U0010ffff"]
FLOATS = [0.1, 1e21, 1e-7, 100.0, 1.5e300, -0.0, 0.0, 1e16, 1e15, 1e17, 123456789012345680.0, 12345678901234567.0, 5e-324, 1.7976931348623157e308, 2.2250738585072014e-308,
          0.001, 0.0001, 0.00001, 0.000001, 9007199254740993.0, 1e7, 9999999.0, 12345678.9, 1e20, 1e22, -1e-5, 1.0e-10, 123456.789, 3.0, 2.5, -17.0, 0.30000000000000004, 1 / 3]
BIG = [9007199254740993, 9223372036854775807, -9223372036854775808, 1234567890123456789, 2**53, -(2**53) - 1, 0, 1]


def money():
    return r.randrange(0, 10**6) / 100


def document(i):
    kind = ("order", "view", "log", "sensor")[i % 4]
    d = {"kind": kind, "id": i, "at": 1795341600000000 + i * 61_000_000 + r.choice([0, 0, 250_000, 123_456])}
    if kind == "order":
        d |= {"customer": {"name": r.choice(NAMES), "größe": r.randrange(150, 200), "vip": r.random() < 0.2}, "total": money(), "note": r.choice(TEXTS),
              "items": [{"sku": "A-%d" % r.randrange(99), "qty": r.randrange(1, 5), "price": money()} for _ in range(r.randrange(4))],
              "ship/to": {"city": r.choice(["Zürich", "東京", "São Paulo", "New York"]), "<zip>": str(r.randrange(10**5))}}
    elif kind == "view":
        d |= {"url": "https://example.org/%d/ü?a=1&b=<2>" % r.randrange(50), "referrer": r.choice([None, "https://search.example/?q=" + r.choice(TEXTS)]), "agent": "Mozilla/5.0 (X11; Linux x86_64)",
              "geo": [round(r.uniform(-90, 90), 6), round(r.uniform(-180, 180), 6)], "props": {}, "tags": [r.choice(TEXTS) for _ in range(r.randrange(3))], "took": r.expovariate(1)}
    elif kind == "log":
        d |= {"level": r.choice(["info", "warn"]), "message": r.choice(TEXTS) + r.choice(TEXTS), "trace": "%032x" % r.getrandbits(128), "serial": r.choice(BIG), "名前": r.choice(NAMES), "elapsed": r.choice([1.0, 2.0, 0.5, 12.25]),
              "context": {"a": {"b": [[1, 2], [], [3]]}, "empty": [], "null": None}}
    else:
        d |= {"value": r.choice(FLOATS), "mean": r.gauss(0, 1), "total": float(r.randrange(1000)), "samples": [r.choice(FLOATS) for _ in range(3)], "unit": r.choice(["°C", "µm", "m/s"]), "ok": True,
              "reading": r.choice([3, 7, 2.5, 4.0, -1]), "at_px": [r.choice([0, 1.5, 2.0, 3]) for _ in range(2)]}
    return d


if __name__ == "__main__":
    for i in range(400):
        print(json.dumps(document(i)))
