#!/usr/bin/env python3
"""Converted files read by DuckDB, pyarrow and Polars: every column of every file equal by hash, and equal to what the source JSON says."""
import glob
import gzip
import os
import random

import sys
sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

try:
    import duckdb
    import polars
    import pyarrow.parquet as pq
except ImportError as missing:
    skip("convert_readers", missing)
    sys.exit(0)
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "interop"))
from column_model import *


def hashes(names, rows, maps):
    """{column: hash} of rows given as dicts."""
    out = {}
    for n in names:
        column = (row[n] for row in rows)
        out[n] = digest((sorted(as_map(v).items()) for v in column) if n in maps else (canonical(v) for v in column))
    return out


def read_duckdb(path):
    con = duckdb.connect()
    con.execute("set timezone='UTC'")
    result = con.sql("select * from read_parquet('%s')" % path)
    return next(getattr(result, m) for m in ("to_arrow_table", "fetch_arrow_table") if hasattr(result, m))().to_pylist()


READERS = {
    "pyarrow": lambda path: pq.read_table(path).to_pylist(),
    "duckdb": read_duckdb,
    "polars": lambda path: polars.read_parquet(path, use_pyarrow=False, glob=False).to_dicts(),
}


def check_source(name, file, rows, lines):
    """Columns against Python's json over the source."""
    nodes = nodes_of(file.schema_arrow, file.metadata.metadata[b"hydrant.fields"])
    wrong, leaves = [], 0
    for i, (row, line) in enumerate(zip(rows, lines)):
        want, rest = predict(nodes, line)
        leaves += line.count(b":")
        for column, value in want.items():
            if canonical(row[column]) != value:
                wrong.append("row %d, %s: %.80r, the source says %.80r" % (i, column, canonical(row[column]), value))
        got, rest = without_empty({k: load(v) for k, v in as_map(row.get("__rest")).items()}), without_empty(rest)
        texts = {k: got.pop(k) for k in list(got) if k not in rest}
        if got != rest or not only_texts(line, texts):
            wrong.append("row %d, __rest: %.100r, the source says %.100r" % (i, {k: v for k, v in got.items() if rest.get(k) != v}, {k: v for k, v in rest.items() if got.get(k) != v}))
    check("%s: %d members equal to the source's JSON" % (name, leaves), not wrong and len(rows) == len(lines), "%d: %s" % (len(wrong), "; ".join(wrong[:3])))


def check_file(path, codec="zstd:1"):
    name = "%s as %s" % (os.path.basename(path), codec.split(":")[0])
    out = path + "." + codec.replace(":", "-") + ".parquet"
    done = hydrant("convert", path, out, "--codec", codec)
    if done.returncode:
        not_ok(name, done.stderr)
        return
    file = pq.ParquetFile(out)
    names = file.schema_arrow.names
    maps = [f.name for f in file.schema_arrow if pa.types.is_map(f.type)]
    got, first = {}, None
    for reader, read in READERS.items():
        try:
            rows = read(os.path.abspath(out))
            got[reader] = hashes(names, rows, maps)
            first = first or rows
        except Exception as e:
            not_ok("%s read by %s" % (name, reader), "%s: %s" % (type(e).__name__, e))
    for reader in got:
        differ = [n for n in names if got[reader][n] != got["pyarrow"][n]]
        check("%s: %d columns the same in %s" % (name, len(names), reader), not differ, "differ: %s" % differ[:5])
    with open(path, "rb") as f:
        lines = f.read().splitlines()
    if codec != "zstd:1":
        return
    if path.endswith(".ndjson"):
        check_source(name, file, first, lines)
    else:
        equal("%s: every line in column text" % name, [row["text"].encode() for row in first], lines)


def made_up():
    """Kinds that the sample files lack: decimals, doubles, siblings, mixed lists, times, big and negative numbers, sparse and null columns."""
    r = random.Random(7)
    with open("made.ndjson", "w", encoding="utf-8") as f:
        for i in range(2500):
            e = {"id": i, "price": decimal.Decimal(r.randrange(-10**6, 10**6)) / 100, "ratio": r.random(), "name": r.choice(["Zoë", "名前", "", "x" * 300, "q\"\\\n"]),
                 "at": "2026-0%d-1%dT0%d:00:00Z" % (r.randrange(1, 10), r.randrange(10), r.randrange(10)), "ok": r.random() < 0.5,
                 "big": 2**63 - 1 - i if i % 2 else -(2**63) + i, "tags": [r.choice("abc") for _ in range(r.randrange(4))],
                 "nested": {"list": [{"a": j, "b": [None, j, j]} if j % 2 else {"a": None} for j in range(r.randrange(3))]},
                 "user-agent": "curl/%d" % (i % 7), "a.b": i, "a": {"b": -i}, "A": "upper", "year": 2026}
            if i % 3 == 0:
                e["odd"] = r.choice([i, "text", True, {"x": i}, [i], None, {}, []])
            if i % 500 == 0:
                e["rare"] = {"deep": {"er": i}}
            if i % 1000 == 1:
                e["once%d" % i] = "here"
            if i % 5:
                e["maybe"] = None if i % 7 == 0 else 1.5 * i
            text = json.dumps(e, ensure_ascii=i % 2 == 0, separators=(",", ":"), default=lambda d: "D%.2fD" % d)
            f.write(re_decimal(text) + "\n")
    return "made.ndjson"


def re_decimal(text):
    """json.dumps has no way to write a Decimal as it is."""
    return text.replace('"D', "").replace('D"', "")


files = [made_up()]
for packed in sorted(glob.glob(os.path.join(SHARED or "", "events", "*.gz"))):
    with gzip.open(packed) as f, open(os.path.basename(packed)[:-3], "wb") as out:
        out.write(f.read())
    files.append(os.path.basename(packed)[:-3])
if len(files) == 1:
    skip("sample data", "there is none beside the checkout")
for path in files:
    check_file(path)
for codec in ("snappy", "lz4_raw", "gzip", "uncompressed"):
    check_file(files[0], codec)
done_testing()
