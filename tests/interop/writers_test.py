#!/usr/bin/env python3
"""Documents as the JSON writers of nine languages write them (interop/writers): restored byte for byte, __raw in at most 0.5 % of the rows,
columns equal to what Python's json reads; as files, in a lake, and all of them in one collection."""
import json
import os
import re
import tarfile

import sys
sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

try:
    import pyarrow.parquet as pq
except ImportError as missing:
    skip("writers", missing)
    sys.exit(0)
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "interop"))
from column_model import *

RAW_SHARE = 0.005
with tarfile.open(os.path.join(os.environ["HYDRANT_TESTS"], "interop", "writers", "writers.tar.xz")) as t:
    names = sorted(m.name for m in t.getmembers() if m.name.endswith(".json"))
    for m in names:
        with open(os.path.basename(m), "wb") as out:
            out.write(t.extractfile(m).read())
names = [os.path.basename(n)[:-5] for n in names]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def payloads(text):
    """The documents' own texts, whatever stands between them: an array's elements, or values one after the other."""
    text = text.decode()
    decode, out, at = json.JSONDecoder(strict=False).raw_decode, [], 0
    while True:
        while at < len(text) and text[at] in " \t\r\n,[]":
            at += 1
        if at == len(text):
            return out
        end = decode(text, at)[1]
        out.append(text[at:end].encode())
        at = end


def check_columns(name, path, docs):
    file = pq.ParquetFile(path)
    rows = file.read().to_pylist()
    nodes = nodes_of(file.schema_arrow, file.metadata.metadata[b"hydrant.fields"])
    wrong = []
    for i, (row, doc) in enumerate(zip(rows, docs)):
        want, rest = predict(nodes, doc.decode())
        has = {n.name: canonical(seen(n, row[n.name])) for n in nodes}
        wrong += ["row %d, %s: %.80r, not %.80r" % (i, k, has[k], v) for k, v in want.items() if has[k] != v]
        got = without_empty({k: load(v) for k, v in as_map(row.get("__rest")).items()})
        texts = {k: v for k, v in got.items() if k not in rest}
        if {k: v for k, v in got.items() if k in rest} != without_empty(rest) or not only_texts(doc.decode(), texts):
            wrong.append("row %d, __rest: %.100r, not %.100r" % (i, got, rest))
    check("%s: columns hold what the documents say" % name, not wrong and len(rows) == len(docs), "%d: %s" % (len(wrong), "; ".join(wrong[:3])))


def check_file(name):
    path, out = name + ".json", name + ".parquet"
    done = hydrant("convert", path, out, "--stats", "--check", "--strict")
    if done.returncode:
        not_ok(name, done.stderr)
        return
    docs, stats = payloads(read(path)), done.stdout.decode()
    number = lambda label: int(re.search(r"^%s +(\d+)" % label, stats, re.M).group(1))
    equal("%s: a row for each document" % name, number("rows"), len(docs))
    check("%s: __raw in few rows" % name, number("rows with __raw") <= RAW_SHARE * len(docs), stats)
    equal("%s: no row had to be healed" % name, number("mismatches"), 0)
    check("%s: restored" % name, hydrant("restore", out).stdout == read(path), "the bytes differ")
    hydrant("convert", path, out + "2", "--threads", "2")
    check("%s: two threads write the same file" % name, read(out) == read(out + "2"), "they differ")
    check_columns(name, out, docs)


def replayed(lake, collection):
    done = hydrant("replay", collection, "--to", "stdout", "--framing", "nul", "--lake", lake)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return done.stdout.split(b"\0")[:-1]


def check_lake(name):
    collection = name.replace("-", "_")
    done = hydrant("ingest", collection, name + ".json", "--lake", "lake")
    check("%s: in a lake" % name, replayed("lake", collection) == payloads(read(name + ".json")), done.stderr)


for name in names:
    check_file(name)
for name in [n for n in names if not re.search("-(indent|pretty|sorted|compact|lines|slashes|unicode|tabs)$", n)]:
    check_lake(name)

# Nobody's one dialect or notation: every writer's documents in turn, through one file and one collection.
lines = [payloads(read(n + ".json"))[i] for i in range(12) for n in names]
with open("all.json", "wb") as f:
    f.write(b"\n".join(lines) + b"\n")
done = hydrant("convert", "all.json", "all.parquet", "--check", "--format", "json")
check("all writers in one file: restored", hydrant("restore", "all.parquet").stdout == read("all.json"), done.stderr)
with Server("served") as server:
    answers = [server.post("everyone", line, {"Content-Type": "application/json"}, "?body=event") for line in lines]
    refused = [a for a in answers if a[0] != 200 or a[1]["quarantined"]]
    check("all writers in one collection: accepted", not refused, refused[:2])
    equal("all writers in one collection: hot", replayed("served", "everyone"), lines)
    server.request("POST", "/v1/collections/everyone/flush")
    equal("all writers in one collection: committed", replayed("served", "everyone"), lines)
    sums = query("select count(*) as n, count(id) as ids, sum(id) as sum, count(reading) as readings from everyone", "served")[0]
    docs = [json.loads(d) for d in lines]
    equal("all writers in one collection: SQL counts them", sums, {"n": len(docs), "ids": len(docs), "sum": sum(d["id"] for d in docs), "readings": sum("reading" in d for d in docs)})
done_testing()
