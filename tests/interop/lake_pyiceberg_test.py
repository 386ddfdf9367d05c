#!/usr/bin/env python3
"""A lake that hydrant filled — by a server and by files, over several commits, with columns added and types in conflict — read by pyiceberg
and by DuckDB straight from the files: counts and values as the source JSON says."""
import glob
import gzip
import os

import sys
sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

try:
    import duckdb
    import pyiceberg  # noqa: F401
except ImportError as missing:
    skip("lake_pyiceberg", missing)
    sys.exit(0)
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "interop"))
from column_model import *


def rows_of(collection):
    return lake_iceberg("lake", collection).scan().to_arrow().to_pylist()


def evolve():
    """Four commits, each with something new; returns what was sent."""
    batches = [
        [{"n": i, "kind": "first"} for i in range(100)],
        [{"n": i, "kind": "wider", "extra": {"a": i, "b": [i, i + 1]}, "ratio": i / 4 + 0.25} for i in range(100, 300)],
        [{"n": "x%d" % i, "kind": "conflict", "extra": {"a": "text", "c": True}} for i in range(300, 350)],
        [{"n": i, "kind": "narrow", "größe": i} for i in range(350, 400)],
    ]
    sent = []
    with Server("lake") as s:
        for i, batch in enumerate(batches):
            body = "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in batch).encode()
            status, answer = s.post("grown", body, {"Content-Type": "application/x-ndjson"})
            if status != 200 or answer["accepted"] != len(batch):
                raise RuntimeError("%s %s" % (status, answer))
            equal("commit %d" % i, s.request("POST", "/v1/collections/grown/flush")[0], 200)
            sent += batch
        s.post("grown", b'{"n":-1}\n{"n":\n', {"Content-Type": "application/x-ndjson"})
        s.request("POST", "/v1/collections/grown/flush")
        sent.append({"n": -1})
        equal("drains", s.stop(), 0)
    return sent


def test_evolved():
    sent = evolve()
    table = lake_iceberg("lake", "grown")
    rows = table.scan().to_arrow().to_pylist()
    equal("pyiceberg counts", len(rows), len(sent))
    # positions give the order of sending
    rows.sort(key=lambda r: r["__pos"])
    equal("plain column n", [r["n"] for r in rows], [e["n"] if isinstance(e["n"], int) else None for e in sent])
    equal("its sibling", [r["n__string"] for r in rows], [e["n"] if isinstance(e["n"], str) else None for e in sent])
    equal("a string column", [r["kind"] for r in rows], [e.get("kind") for e in sent])
    equal("a struct's member", [(r["extra"] or {}).get("a") for r in rows],
          [e.get("extra", {}).get("a") if isinstance(e.get("extra", {}).get("a"), int) else None for e in sent])
    equal("a struct's sibling", [(r["extra"] or {}).get("a__string") for r in rows],
          [e.get("extra", {}).get("a") if isinstance(e.get("extra", {}).get("a"), str) else None for e in sent])
    equal("a list in a struct", [(r["extra"] or {}).get("b") or None for r in rows], [e.get("extra", {}).get("b") for e in sent])
    equal("a double", [r["ratio"] for r in rows], [e.get("ratio") for e in sent])
    equal("a key that is no name", [r["gr_e"] for r in rows], [e.get("größe") for e in sent])
    field = table.schema().find_field("gr_e")
    equal("its doc is the key", field.doc, "größe")
    check("every event has time, source and position", all(r["__time"] and r["__received"] and r["__source"] and r["__pos"] is not None for r in rows))
    equal("positions are distinct", len({(r["__source"], r["__pos"]) for r in rows}), len(rows))
    summary = table.current_snapshot().summary
    equal("the snapshot's own count", int(summary["total-records"]), len(sent))
    equal("a filter with pruning", len(table.scan(row_filter="kind == 'narrow'").to_arrow()), 50)
    equal("a column alone", sum(table.scan(selected_fields=("ratio",)).to_arrow()["ratio"].drop_null().to_pylist()), sum(e.get("ratio", 0) for e in sent))
    first = lake_iceberg("lake", "grown")
    counts = [len(first.scan(snapshot_id=s.snapshot_id).to_arrow()) for s in sorted(first.metadata.snapshots, key=lambda s: s.sequence_number)]
    equal("each snapshot as it was", counts, [100, 300, 350, 400, 401])
    bad = rows_of("grown__quarantine")
    equal("the quarantine is a table like any other", [(bytes(r["__raw"]), bool(r["reason"])) for r in bad], [(b'{"n":', True)])
    ours = query("select n, n__string, kind, gr_e, ratio from grown order by __pos", "lake")
    equal("hydrant query says the same", ours, [{k: r[k] for k in ("n", "n__string", "kind", "gr_e", "ratio")} for r in rows])


def test_glob():
    con = duckdb.connect()
    con.execute("set timezone='UTC'")
    files = "read_parquet('%s/grown/data/*/*/*/*.parquet', union_by_name=true, hive_partitioning=true)" % lake_copy("lake", "grown/data")
    got = con.sql("select count(*), count(n), count(n__string), sum(n) from " + files).fetchone()
    equal("the bare folder in DuckDB", got, (401, 351, 50, sum(range(300)) + sum(range(350, 400)) - 1))
    got = con.sql("select count(*) from " + files + " where make_date(year::int, month::int, day::int) <> cast(__time as date)").fetchone()
    equal("every row lies in its day's folder", got, (0,))


def test_trail():
    if not SHARED or not os.path.isdir(os.path.join(SHARED, "events")):
        skip("trail", "there is no sample data beside the checkout")
        return
    lines = []
    for i, name in enumerate(("cloudtrail.ndjson", "nginxplus-status.ndjson")):
        with gzip.open(os.path.join(SHARED, "events", name + ".gz")) as f:
            some = f.read().splitlines()
        lines += some
        half = len(some) // 2
        for part, piece in enumerate((some[:half], some[half:])):
            with open("part%d%d" % (i, part), "wb") as f:
                f.write(b"\n".join(piece) + b"\n")
            done = hydrant("ingest", "trail", "part%d%d" % (i, part), "--lake", "lake")
            if done.returncode:
                raise RuntimeError(done.stderr)
    table = lake_iceberg("lake", "trail")
    arrow = table.scan().to_arrow()
    equal("trail: count of %d" % len(lines), len(arrow), len(lines))
    equal("trail: files are in the folders of their days", all("/year=" in t.file.file_path for t in table.scan().plan_files()), True)
    rows = arrow.to_pylist()
    # The table's notes by field id: pyiceberg's schema has the ids, the newest data file the notes.
    nodes = lake_nodes(table, arrow)
    by_id = {}
    for row in rows:
        by_id.setdefault(identity(row), []).append(row)
    wrong, checked = [], 0
    for line in lines:
        want, rest = predict(nodes, line)
        e = json.loads(line)
        candidates = by_id.get(e.get("eventID") or (e.get("timestamp"), e.get("generation")), [])
        if not any(same(row, want, rest) for row in candidates):
            row = candidates[0] if candidates else {}
            wrong.append(str([(k, canonical(row.get(k)), v) for k, v in want.items() if canonical(row.get(k)) != v][:2]) or "only __rest differs: %.200s" % rest)
        checked += len(want)
    check("trail: %d values of all columns as the source JSON says" % checked, not wrong, "%d: %s" % (len(wrong), "; ".join(wrong[:2])))


def identity(row):
    return row.get("eventID") or (canonical(row.get("timestamp")), row.get("generation"))


def same(row, want, rest):
    """Columns settle as the table grows: a value that came before its column stands in __rest, so both places count."""
    got_rest = without_empty({k: load(v) for k, v in as_map(row.get("__rest")).items()})
    for column, value in want.items():
        if canonical(row[column]) != value and not got_rest:
            return False
    if not got_rest:
        return not rest or row.get("__raw") is not None
    return flat(row, want, got_rest)


def flat(row, want, got_rest):
    """Every leaf that the model wants in a column stands there or in __rest."""
    for column, value in want.items():
        got = canonical(row[column])
        if got == value:
            continue
        missing = set(leaves(value, column)) - set(leaves(got, column))
        if set(leaves(got, column)) - set(leaves(value, column)):
            return False
        if any(not any(p == k or p.startswith(k + ".") for k in got_rest) for p, _ in missing):
            return False
    return True


def leaves(value, path):
    if isinstance(value, dict):
        for k, v in value.items():
            yield from leaves(v, path + "." + k)
    elif value is not None:
        yield path, json.dumps(value, sort_keys=True)


def lake_nodes(table, arrow):
    notes = json.loads(next((v for k, v in table.metadata.properties.items() if k.endswith("fields") or k.endswith("notes")), "{}"))
    roles = ["payload", "sibling", "time", "received", "source", "pos", "id", "key", "meta", "shape", "raw", "rest", "text", "value"]
    fields = [{"id": int(i), "role": roles[n.get("r", 0)], **({"key": n["k"]} if "k" in n else {}), "format": n.get("f", 0)} for i, n in notes.items()]
    fields += [{"id": f.field_id, "role": f.name[2:]} for f in table.schema().fields if f.name.startswith("__")]
    from pyiceberg.io.pyarrow import schema_to_pyarrow
    return nodes_of(schema_to_pyarrow(table.schema()), json.dumps({"fields": fields}))


for test in (test_evolved, test_glob, test_trail):
    try:
        test()
    except Exception as e:
        import traceback
        traceback.print_exc()
        not_ok(test.__name__, "%s: %s" % (type(e).__name__, e))
done_testing()
