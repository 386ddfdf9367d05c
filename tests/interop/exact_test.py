#!/usr/bin/env python3
"""10,000 adversarial documents (adversarial.py) come back byte for byte, in order: as files of every framing, converted with one and two
threads, and from a lake, hot and committed. Their columns are what Python's json reads, and the same for pyarrow and DuckDB."""
import json
import os
import re

import sys
sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

try:
    import duckdb
    import pyarrow.parquet as pq
except ImportError as missing:
    skip("exact", missing)
    sys.exit(0)
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "interop"))
from adversarial import *
from column_model import *


def made():
    """{file name: (bytes, format, the payloads or None)}; every file's end and line ends differ."""
    r = random.Random(99)
    one, two, three, four = documents(4000, 1), documents(2000, 2), documents(2000, 3, " \t\r\n"), documents(1000, 4, " \n")
    plain = b"\n".join(one) + b"\n"
    windows = b"\xef\xbb\xbf" + b"".join(d + r.choice((b"\r\n", b"\r\n", b"\n", b"\r\n\r\n \t\r\n")) for d in two)
    stream = b"".join(r.choice((b"", b"\n", b" ", b"\n\n\t")) + d + (b" " if d[-1:] not in b"]}\"" else b"") for d in three)
    array = b"\n [" + b",".join(r.choice((b"", b"\n", b"  ")) + d + r.choice((b"", b"\n")) for d in four) + b"] \n\n"
    lines = documents(1000, 5)
    for i in range(0, 1000, 3):
        lines[i] = r.choice(BROKEN)
    broken = b"\n\n".join(lines)
    text = b"\n".join(d if i % 5 else r.choice(BROKEN) + b"\r" for i, d in enumerate(documents(500, 6)))
    return {"plain": (plain, "ndjson", one), "windows": (windows, "ndjson", two), "stream": (stream, "json", three), "array": (array, "json", four),
            "broken": (broken, "ndjson", None), "text": (text, "text", None), "bytes": (b"".join(BROKEN), "raw", None), "nothing": (b"", "auto", []), "blank": (b"\xef\xbb\xbf\r\n \n", "auto", [])}


def whole(text):
    """Without lone surrogates: columns have U+FFFD for them."""
    if isinstance(text, str):
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    if isinstance(text, list):
        return [whole(v) for v in text]
    return {whole(k): whole(v) for k, v in text.items()} if isinstance(text, dict) else text


def check_columns(name, path, docs):
    file = pq.ParquetFile(path)
    rows = file.read().to_pylist()
    nodes = nodes_of(file.schema_arrow, file.metadata.metadata[b"hydrant.fields"])
    wrong, values = [], 0
    for i, (row, doc) in enumerate(zip(rows, docs)):
        doc = doc.decode()
        if row.get("__raw") is not None or doc.lstrip()[0] != "{": # what such a row's columns hold is not promised
            continue
        want, rest = predict(nodes, doc)
        for n in nodes:
            if n.name not in want:
                continue
            has = whole(canonical(seen(n, row[n.name])))
            values += has is not None
            if has != whole(want[n.name]):
                wrong.append("row %d, %s: %.80r, not %.80r" % (i, n.name, has, want[n.name]))
        got, rest = without_empty({k: load(v) for k, v in as_map(row.get("__rest")).items()}), without_empty(rest)
        texts = {k: got.pop(k) for k in list(got) if k not in rest}
        if got != rest or not only_texts(doc, texts):
            wrong.append("row %d, __rest: %.100r, not %.100r; texts %.100r" % (i, {k: v for k, v in got.items() if rest.get(k) != v}, {k: v for k, v in rest.items() if got.get(k) != v}, texts))
    check("%s: %d values in columns are what the documents say" % (name, values), not wrong and len(rows) == len(docs), "%d: %s" % (len(wrong), "; ".join(wrong[:3])))
    con = duckdb.connect()
    con.execute("set timezone='UTC'")
    result = con.sql("select * from read_parquet('%s')" % path)
    others = next(getattr(result, m) for m in ("to_arrow_table", "fetch_arrow_table") if hasattr(result, m))().to_pylist()
    differ = [c for c in file.schema_arrow.names if digest(canonical(as_map(r[c]) if c == "__rest" else r[c]) for r in rows) != digest(canonical(as_map(r[c]) if c == "__rest" else r[c]) for r in others)]
    check("%s: DuckDB sees the same" % name, not differ, differ[:5])


def framed(text):
    out, at = [], 0
    while at < len(text):
        n = int.from_bytes(text[at:at + 4], "big")
        out.append(text[at + 4:at + 4 + n])
        at += 4 + n
    return out


def check_costs(name, stats):
    """--stats says what restoring costs, as pyarrow finds it in the file."""
    file, found = pq.ParquetFile(name + ".parquet").metadata, {"__shape": 0, "__raw": 0, "__rest": 0}
    for g in range(file.num_row_groups):
        for c in range(file.num_columns):
            column = file.row_group(g).column(c)
            top = column.path_in_schema.split(".")[0]
            if top in found:
                found[top] += column.total_compressed_size
    keys = file.metadata[b"hydrant.keys"]
    found["key table"] = len(keys) - len("base64:") if keys.startswith(b"base64:") else (len(keys) + 2) // 3 * 4
    said = {k: int(re.search(r"^  %s +(\d+) \(" % k, stats, re.M).group(1)) for k in found}
    equal("%s: --stats says what restoring costs" % name, said, found)


def check_file(name, content, form, docs):
    with open(name, "wb") as f:
        f.write(content)
    done = hydrant("convert", name, name + ".parquet", "--format", form, "--stats", "--check")
    if done.returncode:
        not_ok("%s: converted" % name, done.stderr)
        return
    stats = done.stdout.decode()
    check_costs(name, stats)
    equal("%s: no row had to be healed" % name, re.search(r"^mismatches +(\d+)", stats, re.M).group(1), "0")
    back = hydrant("restore", name + ".parquet").stdout
    differs = next((i for i, (a, b) in enumerate(zip(back, content)) if a != b), min(len(back), len(content)))
    check("%s: restored byte for byte" % name, back == content, "at %d: %.60r, not %.60r" % (differs, back[differs - 20:], content[differs - 20:]))
    hydrant("convert", name, name + ".two", "--format", form, "--threads", "2")
    check("%s: and with two threads" % name, hydrant("restore", name + ".two").stdout == content, "the bytes differ")
    if docs is None:
        return
    equal("%s: a row for each document" % name, int(re.search(r"^rows +(\d+)", stats, re.M).group(1)), len(docs))
    check("%s: each document alone" % name, framed(hydrant("restore", name + ".parquet", "--framing", "length").stdout) == [d.strip(b" \t\r\n") for d in docs], "they differ")
    if docs:
        check_columns(name, name + ".parquet", docs)


def replayed(lake, collection):
    done = hydrant("replay", collection, "--to", "stdout", "--framing", "length", "--lake", lake)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return framed(done.stdout)


def check_ingest(name, form, docs):
    done = hydrant("ingest", name, name, "--format", form, "--lake", "lake")
    if done.returncode:
        not_ok("%s: ingested" % name, done.stderr)
    else:
        check("%s: ingested and replayed in order" % name, replayed("lake", name) == [d.strip(b" \t\r\n") for d in docs], done.stderr)


def check_broken(content):
    """What is no JSON is kept with its exact bytes."""
    lines = [line for line in content.split(b"\n") if line.strip(b" \t\r")]
    bad = [line for line in lines if line in BROKEN]
    hydrant("ingest", "broken", "broken", "--format", "ndjson", "--lake", "lake")
    equal("broken: quarantined with their bytes", replayed("lake", "broken__quarantine"), bad)
    equal("broken: the others are rows", replayed("lake", "broken"), [line.strip(b" \t") for line in lines if line not in BROKEN])


def check_served(docs):
    want = [d.strip(b" \t\r\n") for d in docs]
    with Server("served") as server:
        for first in range(0, len(docs), 500):
            status, answer = server.post("adversarial", b"\n".join(docs[first:first + 500]), {"Content-Type": "application/x-ndjson"})
            if status != 200 or answer["accepted"] != len(docs[first:first + 500]) or answer["quarantined"]:
                not_ok("served: accepted", "%s %.300r" % (status, answer))
        check("served: hot events are given back in order", replayed("served", "adversarial") == want, "they differ")
        server.request("POST", "/v1/collections/adversarial/flush")
        check("served: and committed ones", replayed("served", "adversarial") == want, "they differ")
        metrics = server.request("GET", "/metrics")[1].decode()
        check("served: /metrics count rows with __raw, and none that had to be healed", 'hydrant_restore_mismatches_total{collection="adversarial"} 0\n' in metrics and
              int(re.search(r'^hydrant_raw_rows_total{collection="adversarial"} (\d+)', metrics, re.M).group(1)) > 0, metrics[-2000:])
        ids = query("select count(*) as n, count(id) as ids, sum(id) as sum from adversarial", "served")[0]
        parsed = [json.loads(d) for d in docs]
        have = [d["id"] for d in parsed if isinstance(d, dict) and "id" in d]
        equal("served: SQL counts and adds them", ids, {"n": len(docs), "ids": len(have), "sum": sum(have)})


files = made()
for name, (content, form, docs) in files.items():
    check_file(name, content, form, docs)
for name in ("plain", "windows", "stream", "array"):
    check_ingest(name, files[name][1], files[name][2])
check_broken(files["broken"][0])
check_served(files["windows"][2])
verify = hydrant("verify", "--lake", "lake")
check("verify finds all in order", verify.returncode == 0, verify.stdout[-300:] + verify.stderr)
done_testing()
