#!/usr/bin/env python3
"""Files of ours that another program wrote anew: what it left alone restores, what it took away is refused and never restored as null, and a lake
says which files are no longer as hydrant wrote them."""
import os
import re
import sys
import tempfile

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.catalog.sql import SqlCatalog
except ImportError as missing:
    skip("changed_outside", missing)
    sys.exit(0)

NDJSON = {"Content-Type": "application/x-ndjson"}
EVENTS = b"".join(b'{"t":"2026-11-22T10:00:0%dZ","v":%d,"o":{"a":%d,"b":[{"c":"x%d"}],"d":1.50},"big-key":null,"l":[]}\n' % (i, i, i, i) for i in range(9))


def restored(table, **options):
    pq.write_table(table, "anew.parquet", **options)
    done = hydrant("restore", "anew.parquet")
    return done.returncode, done.stdout, done.stderr.decode()


def test_one_file():
    with open("in.ndjson", "wb") as f:
        f.write(EVENTS)
    hydrant("convert", "in.ndjson", "ours.parquet")
    table = pq.read_table("ours.parquet")
    for name, options in (("as it was", {}), ("in ms", {"coerce_timestamps": "ms"}), ("in INT96", {"use_deprecated_int96_timestamps": True}),
                          ("a row a group", {"row_group_size": 1})):
        equal("written anew %s it restores" % name, restored(table, **options), (0, EVENTS, ""))
    equal("with a column more, too", restored(table.append_column("new", pa.array(range(9), pa.int32())))[:2], (0, EVENTS))
    ids = {name: int(table.schema.field(name).metadata[b"PARQUET:field_id"]) for name in ("t", "v")}
    for name in ("t", "v"):
        code, out, why = restored(table.drop_columns([name]))
        check("without column %s it is refused" % name, (code, out) == (1, b"") and "column of field id %d is gone" % ids[name] in why, (out, why))
    o = table.column("o").combine_chunks()
    kept = [f for f in o.type if f.name != "a"]
    less = pa.StructArray.from_arrays([o.field(f.name) for f in kept], fields=kept)
    field = table.schema.field("o")
    code, out, why = restored(table.set_column(table.column_names.index("o"), pa.field("o", less.type, metadata=field.metadata), less))
    check("without a member of a struct", (code, out) == (1, b"") and "is gone" in why, (out, why))
    field = pa.field("v", pa.int32(), metadata=table.schema.field("v").metadata)
    code, out, why = restored(table.set_column(table.column_names.index("v"), field, table.column("v").cast(pa.int32())))
    check("with a column of a type that ours never have", (code, out) == (1, b"") and "column v is of type int" in why, (out, why))
    code, out, why = restored(table.replace_schema_metadata(None).drop_columns(["__shape"]))
    check("rows without an event's bytes are counted", code == 1 and "9 of its 9 rows hold no event's bytes" in why, why)


def test_lake():
    with Server("lake") as s:
        for half in (EVENTS.splitlines(True)[:4], EVENTS.splitlines(True)[4:]):
            s.post("ev", b"".join(half), NDJSON)
            s.request("POST", "/v1/collections/ev/flush")
        s.stop()
    done = hydrant("verify", "ev", "--lake", "lake")
    check("as hydrant wrote it, nothing is said of others", done.returncode == 0 and b"another program" not in done.stdout, done.stdout)
    names = [re.search(r"/metadata/v(\d+)\.metadata\.json$", k) for k in lake_files("lake", "ev/metadata")]
    n = max(int(m.group(1)) for m in names if m)
    catalog = SqlCatalog("c", uri="sqlite:///%s/c.db" % tempfile.mkdtemp(), **iceberg_properties())
    catalog.create_namespace("ns")
    table = catalog.register_table("ns.ev", "%s/ev/metadata/v%d.metadata.json" % (lake_url("lake") if TEST_LAKE else os.path.abspath("lake"), n))
    rows = table.scan(row_filter="v == 2").to_arrow()
    table.overwrite(rows.set_column(rows.column_names.index("v"), rows.schema.field("v"), pa.array([222], pa.int64())), overwrite_filter="v == 2")
    lake_write("lake", "ev/metadata/v%d.metadata.json" % (n + 1), lake_read("lake", "ev/metadata/" + table.metadata_location.rpartition("/")[2]))
    lines = sorted(EVENTS.replace(b'"v":2,', b'"v":222,').splitlines())
    done = hydrant("replay", "ev", "--to", "stdout", "--lake", "lake")
    equal("a row changed by SQL comes with its new value", sorted(done.stdout.splitlines()), lines)
    check("and replay says whose it is", b"were written by another program: the events in them are as that program wrote them" in done.stderr, done.stderr)
    done = hydrant("verify", "ev", "--lake", "lake")
    named = [line for line in done.stdout.splitlines() if b": rewritten by another program: its events are as that program wrote them" in line]
    equal("verify names their files, and not ours", len(named), 2)
    check("which is no problem", b"payloads are not those" not in done.stdout, done.stdout)


for test in (test_one_file, test_lake):
    try:
        test()
    except Exception as e:
        import traceback
        traceback.print_exc()
        not_ok(test.__name__, "%s: %s" % (type(e).__name__, e))
done_testing()
