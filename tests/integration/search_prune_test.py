#!/usr/bin/env python3
"""Search leaves out row groups and pages by what the files say of their columns: it must find what a look at every payload finds."""
import os
import pathlib
import random
import re
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *


class Text(str):
    """A number's or literal's own text."""


def parse(line):
    return json.loads(line, object_pairs_hook=lambda pairs: ("object", pairs), parse_int=Text, parse_float=Text)


def lower(s):
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in s)


def number(s):
    try:
        return float(s)
    except ValueError:
        return None


def compare(op, a, b):
    return {"=": a == b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op]


def value_matches(v, op, text, quoted):
    if isinstance(v, tuple):
        return False
    if isinstance(v, list):
        return any(value_matches(x, op, text, quoted) for x in v)
    wanted = None if quoted or not (text[:1].isdigit() or text[:1] == "-") else number(text)
    scalar = Text("true" if v is True else "false" if v is False else "null") if v is None or isinstance(v, bool) else v
    if isinstance(scalar, Text):
        if op == "*":
            return lower(scalar).startswith(text)
        if number(scalar) is None or wanted is None:
            return op == "=" and lower(scalar) == text
        if re.fullmatch("-?[0-9]+", scalar) and re.fullmatch("-?[0-9]+", text):
            return compare(op, int(scalar), int(text))
        return op == "=" and scalar == text or compare(op, number(scalar), wanted)
    if op == "*":
        return lower(scalar).startswith(text)
    if op == "=":
        return lower(scalar) == text
    return wanted is None and compare(op, scalar.encode(), text.encode())


def path_matches(v, path, *term):
    if isinstance(v, list):
        return any(path_matches(x, path, *term) for x in v if isinstance(x, (list, tuple)))
    if not isinstance(v, tuple):
        return False
    for key, x in v[1]:
        if key == path and value_matches(x, *term):
            return True
        if path.startswith(key + ".") and path_matches(x, path[len(key) + 1:], *term):
            return True
    return False


def events(rng, batch):
    """What columns hold, and what they do not: conflicts, duplicates, keys with dots, keys beyond any plan, mixed lists, empty things."""
    words = ["alpha", "Beta", "GAMMA", "delta-%d" % batch, "x" * 80 + "Y", "ünï", "", "Null", "nu", "503", "a\tb"]
    for i in range(400):
        e = {"n": batch * 1000 + i, "s": rng.choice(words), "big": 2**53 + i, "ratio": i / 8, "flag": i % 3 == 0, "at": "2026-0%d-11T0%d:00:00Z" % (1 + batch, i % 10),
             "id": "%08x" % rng.randrange(2**32), "code": str(rng.randrange(10**6)), "o": {"deep": {"k": i % 7 + batch}, "t": [rng.choice(words) for _ in range(i % 4)]},
             "list": [{"p": i % 50 + batch * 50, "q": rng.choice(words)} for _ in range(i % 3)], "a.b": i, "a": {"b": -i}, "ids": [i, i + 0.5] if i % 5 else []}
        if i % 11 == batch:
            e["s"] = rng.choice([7, True, None, {"z": 1}, ["alpha", 4], "503"])
        if i % 97 == batch:
            e["n"] = rng.choice(["text", 1.5, [1, 2], None])
        if i % 50 == 3:
            e["only%d" % batch] = "here"
        if i % 40 == 1:
            e["r%d_%d" % (batch, i)] = {"x": i}
        text = json.dumps(e, ensure_ascii=i % 2 == 0)
        if i % 61 == 5:
            text = '{"n": %d, ' % (500000 + i) + text[1:]  # both count, and only the last is in a column
        if i % 83 == 7:
            text = '[{"n":%d,"s":"in a list"}]' % (700000 + i)
        if i % 101 == 9:
            text = '{"n": %d.0, "ratio": %d.50, "s": "Zz%d"}' % (600000 + i, i, batch)
        yield text


def edges():
    """Values that stand at the end of a file's range, or in no column at all."""
    for batch in range(4):
        first = batch * 1000
        for op, value in (("=", first), ("=", first + 399), ("<", first), ("<", first + 1), ("<=", first), (">", first + 399), (">", first + 398), (">=", first + 399)):
            yield "n", op, str(value)
        yield "s", "=", "zz%d" % batch
        yield "s", "*", "zz%d" % batch
        yield "s", ">=", "zz%d" % batch
        yield "s", "<", "Zz%d" % batch
        yield "at", ">=", "2026-0%d-11T03:00:00Z" % (batch + 1)
    yield from (("n", "=", v) for v in ("500005", "500066", "700007", "600009", "600009.0", "6.00009e5", "null", "text", "1.5", "nothing", "500004"))
    yield from (("n", ">", "500000"), ("n", ">=", "700339"), ("n", "*", "7000"), ("n", "*", "60000"), ("ratio", "*", "1.5"), ("big", "*", "90071992547409"), ("ids", "*", "39"), ("flag", "*", "tr"), ("s", "=", "in a list"), ("s", "=", "null"), ("s", "*", "n"), ("ratio", "=", "9.5"), ("ratio", "=", "9.50"))
    yield from (("o.deep.k", "=", "9"), ("o.deep.k", ">", "8"), ("list.p", "=", "0"), ("list.p", "=", "199"), ("a.b", "=", "-399"), ("a.b", "=", "399"), ("big", "=", str(2**53 + 1)), ("big", "=", str(2**53)), ("big", "<=", str(2**53 + 1)), ("big", ">", str(2**53 + 398)), ("r1_41.x", "=", "41"))


def queries(rng, parsed):
    fields = ["n", "s", "big", "ratio", "flag", "at", "id", "code", "o.deep.k", "o.t", "list.p", "list.q", "a.b", "ids", "only2", "r1_41.x", "none", "o.deep", "s.z"]
    values = ["5", "1005", "2399", "503", "503.0", "5e2", "alpha", "ALPHA", "beta", "gamma", "delta-1", "delta-3", "null", "nu", "true", "x" * 80 + "y", "ünï", "here", "-7",
              "2026-02-11T03:00:00Z", str(2**53 + 1), "1.5", "0.125", "zzz", "in", "9005", "99999"]
    for event in parsed[::70]:
        if isinstance(event, tuple):
            values += [x for k, x in event[1] if k in ("id", "code") and isinstance(x, str)]
    for field, op, value in edges():
        for quoted in (True, False) if op == "=" and " " in value or op == "=" and rng.random() < 0.2 else (False,):
            if " " not in value or quoted:
                yield '%s:%s' % (field, '"%s"' % value if quoted else value + "*" if op == "*" else value if op == "=" else op + value), (field, op, value, quoted)
    for _ in range(120):
        field, value = rng.choice(fields), rng.choice(values)
        op = rng.choice(["=", "=", "=", "*", "<", "<=", ">", ">="])
        quoted = op == "=" and rng.random() < 0.2
        written = '%s:%s' % (field, '"%s"' % value if quoted else value + "*" if op == "*" else value if op == "=" else op + value)
        yield written, (field, op, lower(value) if op in "=*" else value, quoted)


def hidden():
    """Files in which a value can be seen in one place only: (what, lines, format, columns that may hide something, terms). In the files of
    events() each row group has all such places, and so one that is overlooked would be looked at for the sake of another."""
    plain = ['{"n":%d,"s":"plain"}' % i for i in range(300)]
    texts = ['{"n":%d,"s":"plain"}' % i if i % 3 else "no json %d" % i for i in range(300)]
    kinds = [(7, True, None, [4, "alpha"], {"z": i}, "word")[i % 6] for i in range(60)]
    yield "a repeated key", plain + ['{"n":800001,"n":5,"s":"plain"}'], "auto", {"__raw"}, ("n:800001", "n:>800000")
    yield "keys without a column", plain + ['{"n":3,"k%d":{"x":%d}}' % (i, i) for i in range(3000)], "auto", {"__rest"}, ("k2999.x:2999", "k1.x:<2")
    yield "a number's own text", plain + ['{"n":600009.0,"s":"plain"}'], "auto", {"__rest"}, ("n:600009", "n:600009.0")
    yield "no object", plain + ['[{"n":800003}]', '"n"'], "auto", {"value"}, ("n:800003", "n:>800000")
    yield "lines of text", texts, "text", {"text"}, ("n:200", "s:plain", "n:<2")
    yield "a column for each type", plain + [json.dumps({"n": i, "m": m}) for i, m in enumerate(kinds)], "auto", set(), ("m.z:16", "m:alpha", "m:4", "m:word", "m:true")
    yield "JSON as text", plain + ['{"n":%d,"m":[%d,"word",{"z":%d}]}' % (i, i, i + 500) for i in range(60)], "auto", set(), ("m.z:516", "m.z:>558", "m:59", "m:word")


def test_hidden():
    import pyarrow.parquet
    for at, (what, lines, form, places, terms) in enumerate(hidden()):
        name = "hidden%d" % at
        with open(name + ".txt", "w", encoding="utf-8") as f:
            f.writelines(line + "\n" for line in lines)
        done = hydrant("ingest", name, name + ".txt", "--format", form, "--lake", "lake")
        if done.returncode:
            not_ok(what, done.stderr)
            continue
        held = set()
        for path in pathlib.Path(lake_copy("lake", name), name).rglob("*.parquet"):
            table = pyarrow.parquet.ParquetFile(path).read(columns=["__raw", "__rest", "value", "text"])
            held |= {c for c in table.column_names if table[c].null_count < len(table)}
        equal(what + " is where it should be", held, places)
        parsed = [parse(line) if form == "auto" or line[0] == "{" else None for line in lines]
        for written in terms:
            path, text = written.split(":")
            op, text = ("=", text) if text[0] not in "<>" else (text[0], text[1:])
            want = [line for line, event in zip(lines, parsed) if path_matches(event, path, op, text, False)]
            got = hydrant("search", name, written, "--limit", "100000", "--lake", "lake").stdout.decode().splitlines()
            check("%s: %s" % (what, written), sorted(got) == sorted(want) and want, "%d hits, want %d" % (len(got), len(want)))


def test_minus():
    """A query that begins with a minus looks like an option: what is to be done is said, and helps."""
    done = hydrant("search", "hidden0", "-s:other -n:>0", "--lake", "lake")
    check("it is refused with the way out", done.returncode == 2 and b"hydrant search \xe2\x80\xa6 -- '-s:other -n:>0'" in done.stderr, done.stderr)
    done = hydrant("search", "--lake", "lake", "hidden0", "--", "-s:other -n:>0")
    equal("the way out", (done.returncode, done.stdout), (0, b'{"n":0,"s":"plain"}\n'))


def main():
    rng = random.Random(5)
    for batch in range(4):
        with open("e%d.ndjson" % batch, "w", encoding="utf-8") as f:
            f.writelines(line + "\n" for line in events(rng, batch))
        done = hydrant("ingest", "found", "e%d.ndjson" % batch, "--lake", "lake")
        if done.returncode:
            return not_ok("ingest", done.stderr)
    everything = hydrant("search", "found", "", "--limit", "100000", "--lake", "lake").stdout.decode().splitlines()
    lines = [line for b in range(4) for line in open("e%d.ndjson" % b, encoding="utf-8").read().splitlines()]
    equal("all events", sorted(everything), sorted(lines))
    parsed = [parse(line) for line in lines]
    wrong = hits = 0
    for query_text, term in queries(rng, parsed):
        want = sorted(line for line, event in zip(lines, parsed) if path_matches(event, term[0], *term[1:]))
        got = sorted(hydrant("search", "found", query_text, "--limit", "100000", "--lake", "lake").stdout.decode().splitlines())
        hits += len(got)
        if got != want:
            wrong += 1
            not_ok(query_text, "%d hits, want %d; lost: %s; too many: %s" % (len(got), len(want), [x for x in want if x not in got][:1], [x for x in got if x not in want][:1]))
    check("all queries find what a look at every payload finds, %d hits" % hits, not wrong and hits > 3000)


main()
test_hidden()
test_minus()
done_testing()
