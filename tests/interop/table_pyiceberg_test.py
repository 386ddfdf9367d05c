#!/usr/bin/env python3
"""Our tables read by pyiceberg; pyiceberg's tables read and appended to by us.

Under tests/run.sh, or by hand:  table_pyiceberg_test.py TABLE_PROBE
The second half needs pyiceberg's catalog in a file: sqlalchemy and pyiceberg-core beside pyiceberg==0.12.0.
"""
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.expressions import And, EqualTo, GreaterThanOrEqual, LessThan
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import DayTransform
    from pyiceberg.types import LongType, NestedField, StringType, TimestamptzType
except ImportError as missing:
    print("skip table_pyiceberg: %s" % missing)
    sys.exit(0)
try:
    import pyiceberg_core  # noqa: F401: what its writer computes partitions with
    from pyiceberg.catalog.sql import SqlCatalog
except ImportError as missing:
    SqlCatalog = None
    without = str(missing)

os.environ.setdefault("HYDRANT", "hydrant")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib import TEST_LAKE, iceberg_properties, lake_files, lake_iceberg, lake_read, lake_url, lake_write  # noqa: E402
if len(sys.argv) > 1:
    PROBE = os.path.abspath(sys.argv[1])
else:
    build = os.path.dirname(os.environ.get("HYDRANT") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/hydrant"))
    PROBE = os.path.join(build, "src/table/table_probe")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


class Wrong(Exception):
    pass


def check(got, want, what):
    if got != want:
        raise Wrong("%s is %.200r, want %.200r" % (what, got, want))


def probe(lake, collection, *args, want=0):
    p = subprocess.run([PROBE, lake_url(lake), collection, *map(str, args)], capture_output=True, text=True)
    if p.returncode != want:
        raise Wrong("table_probe %s ended with %d: %s" % (" ".join(map(str, args)), p.returncode, p.stderr))
    return p.stdout


def field(name, kind, id):
    return pa.field(name, kind, metadata={"PARQUET:field_id": str(id)})


def put_parquet(lake, key, table):
    """Returns the file's size."""
    with tempfile.TemporaryFile() as f:
        pq.write_table(table, f)
        f.seek(0)
        content = f.read()
    lake_write(lake, key, content)
    return len(content)


def write_file(lake, n, rows, extra):
    """A Parquet file with field ids as hydrant's shredder numbers them; extra: columns added by evolution, name -> (id, type, value)."""
    day = 20000 + n % 5
    date = EPOCH + datetime.timedelta(days=day)
    rel = "data/year=%04d/month=%02d/day=%02d/f%d.parquet" % (date.year, date.month, date.day, n)
    fields = [field("__time", pa.timestamp("us", tz="UTC"), 1), field("n", pa.int64(), 2),
              field("http", pa.struct([field("path", pa.string(), 5)]), 3),
              field("tags", pa.list_(field("element", pa.string(), 6)), 4)]
    numbers = list(range(n * 1000, n * 1000 + rows))
    columns = [[date + datetime.timedelta(seconds=i) for i in range(rows)], numbers,
               [{"path": "/p%d" % (i % 7)} if i % 3 else None for i in numbers], [["x", "y"] if i % 2 else [] for i in numbers]]
    for name, (id, kind, value) in extra.items():
        fields.append(field(name, kind, id))
        columns.append([value] * rows)
    schema = pa.schema(fields)
    size = put_parquet(lake, "trail/" + rel, pa.table([pa.array(c, type=f.type) for c, f in zip(columns, schema)], schema=schema))
    low = day * 86400 * 1000000
    probe(lake, "trail", "append", "n1", n, rel, day, rows, size, low, low + (rows - 1) * 1000000, numbers[0], numbers[-1])
    return numbers


def ours_is_read(lake):
    probe(lake, "trail", "create")
    numbers, extra = [], {}
    for n in range(60):
        if n == 10:
            extra["later"] = (int(probe(lake, "trail", "evolve", "later", "string")), pa.string(), "v")
        if n == 20:
            extra["price"] = (int(probe(lake, "trail", "evolve", "price", "decimal(18, 3)")), pa.decimal128(18, 3), None)
        numbers += write_file(lake, n, 10, extra)
    for stage in ("before", "after"):
        t = lake_iceberg(lake, "trail")
        got = t.scan().to_arrow()
        check(got.num_rows, 600, "rows %s expiry" % stage)
        check(sorted(got["n"].to_pylist()), numbers, "column n")
        check(got.schema.names, ["__time", "n", "http", "tags", "later", "price"], "columns")
        check(sum(v == "v" for v in got["later"].to_pylist()), 500, "rows with the later column")
        by_n = {r["n"]: r for r in got.to_pylist()}
        check(by_n[7001]["http"], {"path": "/p%d" % (7001 % 7)}, "a struct")
        check(by_n[7001]["tags"], ["x", "y"], "a list")
        check(by_n[7002]["__time"], EPOCH + datetime.timedelta(days=20002, seconds=2), "a time")
        day = EPOCH + datetime.timedelta(days=20003)
        one_day = t.scan(row_filter=And(GreaterThanOrEqual("__time", day.isoformat()), LessThan("__time", (day + datetime.timedelta(days=1)).isoformat())))
        check(len(list(one_day.plan_files())), 12, "files of one day")
        check(one_day.to_arrow().num_rows, 120, "rows of one day")
        check(len(list(t.scan(row_filter=EqualTo("n", 7001)).plan_files())), 1, "files by the bounds of n")
        manifests = t.current_snapshot().manifests(t.io)
        check(len(manifests) <= 51, True, "few manifests")
        check(len(t.inspect.files()), 60, "files in the metadata")
        check({f["file_format"] for f in t.inspect.files().to_pylist()}, {"PARQUET"}, "formats")
        check(t.current_snapshot().summary["total-records"], "600", "total-records")
        check(t.properties["hydrant.position.n1"], "1:60", "the position")
        check(json.loads(t.properties["schema.name-mapping.default"])[0], {"field-id": 1, "names": ["__time"]}, "the name mapping")
        check(t.metadata.last_column_id, 8, "last-column-id")
        if stage == "before":
            first = t.metadata.snapshots[3]
            check(t.scan(snapshot_id=first.snapshot_id).to_arrow().num_rows, 40, "rows of an old snapshot")
            check(int(probe(lake, "trail", "expire")) > 50, True, "files that expire")
    check(len(t.metadata.snapshots), 2, "snapshots after expiry")
    check(b"day=" in lake_read(lake, "trail/_schema/athena.sql"), True, "athena.sql")


def theirs_is_read(lake, codec):
    work = tempfile.mkdtemp(prefix="table-check-")
    catalog = SqlCatalog("c", uri="sqlite:///%s/c.db" % work, warehouse="file://%s" % work, **iceberg_properties())
    catalog.create_namespace("ns")
    location = (lake_url(lake) if TEST_LAKE else "file://" + lake) + "/theirs"
    schema = Schema(NestedField(1, "__time", TimestamptzType(), required=False), NestedField(2, "n", LongType(), required=False),
                    NestedField(3, "text", StringType(), required=False))
    spec = PartitionSpec(PartitionField(source_id=1, field_id=1000, transform=DayTransform(), name="by_day"))
    t = catalog.create_table("ns.theirs", schema, location=location, partition_spec=spec,
                             properties={"format-version": "2", "write.avro.compression-codec": codec})
    arrow = t.schema().as_arrow()

    def batch(day, n):
        return pa.table({"__time": [EPOCH + datetime.timedelta(days=day)] * 3, "n": [n, n + 1, n + 2], "text": ["a", "b" * 40, None]}, schema=arrow)

    for i in range(4):
        t.append(batch(20000 + i, i * 10))
    t.delete(EqualTo("n", 11))
    t.delete(And(GreaterThanOrEqual("n", 20), LessThan("n", 30)))
    want = sorted(t.scan().to_arrow()["n"].to_pylist())
    versions = [k for k in lake_files(lake, "theirs/metadata") if k.endswith(".metadata.json")]
    last = max(versions, key=lambda k: int(os.path.basename(k).split("-")[0]))
    lake_write(lake, "theirs/metadata/v1.metadata.json", lake_read(lake, last))
    lines = [l.split() for l in probe(lake, "theirs", "files", -2**31 + 1, 2**31 - 1).splitlines()]
    check(sorted(int(l[1]) for l in lines), [20000, 20001, 20003], "days of their files (%s)" % codec)
    check(sum(int(l[2]) for l in lines), len(want), "rows of their files (%s)" % codec)
    check(sorted((int(l[4]), int(l[5])) for l in lines), [(0, 2), (10, 12), (30, 32)], "bounds of their files (%s)" % codec)
    for l in lines:
        check(len(lake_read(lake, "theirs/" + l[0])), int(l[3]), "the size of their file")
    check(len(probe(lake, "theirs", "files", 20001, 20002).splitlines()), 1, "their files of two days")
    # we append to it (and merge nothing of theirs wrongly), they read it again
    for n in range(55):
        size = put_parquet(lake, "theirs/data/ours%d.parquet" % n, pa.table(
            {"__time": [EPOCH + datetime.timedelta(days=20009)], "n": [1000 + n], "text": ["ours"]},
            schema=pa.schema([field("__time", pa.timestamp("us", tz="UTC"), 1), field("n", pa.int64(), 2), field("text", pa.string(), 3)])))
        low = 20009 * 86400 * 1000000
        probe(lake, "theirs", "append", "n1", n, "data/ours%d.parquet" % n, 20009, 1, size, low, low, 1000 + n, 1000 + n)
    again = lake_iceberg(lake, "theirs")
    check(sorted(again.scan().to_arrow()["n"].to_pylist()), want + list(range(1000, 1055)), "rows of both (%s)" % codec)
    shutil.rmtree(work)


def main():
    cases = [("table_ours_read_by_pyiceberg", ours_is_read, ())]
    for codec in ("gzip", "null"):
        cases.append(("table_of_pyiceberg_read_and_appended_%s" % codec, theirs_is_read, (codec,)))
    failures = 0
    for name, run, args in cases:
        if run is theirs_is_read and not SqlCatalog:
            print("skip %s: %s" % (name, without), flush=True)
            continue
        lake = tempfile.mkdtemp(prefix="table-check-")
        try:
            run(lake, *args)
            print("ok " + name, flush=True)
        except Exception as e:  # one case's trouble, whatever it is, must not hide the others
            failures += 1
            print("not ok %s: %s: %s" % (name, type(e).__name__, str(e).replace("\n", " ")[:400]), flush=True)
        finally:
            shutil.rmtree(lake, ignore_errors=True)
    sys.exit(1 if failures else 0)


main()
