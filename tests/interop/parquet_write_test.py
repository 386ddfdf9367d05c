#!/usr/bin/env python3
"""Files that parquet_write_gen wrote, read with pyarrow and DuckDB and compared value by value with what was written.

Under tests/run.sh, or by hand:  parquet_write_test.py GENERATOR
"""
import datetime
import decimal
import glob
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

try:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as missing:
    print("skip parquet_write: %s" % missing)
    sys.exit(0)

decimal.getcontext().prec = 80
EPOCH = datetime.datetime(1970, 1, 1)
failures = 0


def report(name, problem):
    global failures
    if problem:
        failures += 1
        print("not ok %s: %s" % (name, str(problem).replace("\n", " ")[:400]), flush=True)
    else:
        print("ok " + name, flush=True)


def members(field):
    return {c["name"]: c for c in field["children"]}


def micros(value):
    if isinstance(value, datetime.datetime):
        value = value.replace(tzinfo=None) - EPOCH
    elif isinstance(value, datetime.time):
        value = datetime.timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
    return value // datetime.timedelta(microseconds=1) if isinstance(value, datetime.timedelta) else value


def floating(text, width):
    v = float(text)
    if width == 4:
        v = struct.unpack("<f", struct.pack("<f", v))[0]
    return "nan" if math.isnan(v) else struct.pack("<d", v)


def wanted(value, field):
    """The generator's JSON in the common form."""
    kind = field["type"]
    if value is None:
        return None
    if kind == "struct":
        return {k: wanted(value.get(k), c) for k, c in members(field).items()}
    if kind == "list":
        return [wanted(v, field["children"][0]) for v in value]
    if kind == "map":
        return [(k, wanted(v, field["children"][1])) for k, v in value]
    if kind in ("float", "double"):
        return floating(value, 4 if kind == "float" else 8)
    if kind.startswith("decimal"):
        return int(value)
    return value


def read(value, field, present):
    """An engine's value in the common form; `present` is the file's own tree of columns: what is not in it counts as null."""
    kind = field["type"]
    if value is None:
        return None
    if kind == "struct":
        return {k: read(value[k], c, present[k]) if k in present else None for k, c in members(field).items()}
    if kind == "list":
        return [read(v, field["children"][0], present["element"]) for v in value]
    if kind == "map":
        pairs = value.items() if isinstance(value, dict) else value
        return [(k, read(v, field["children"][1], present["value"])) for k, v in pairs]
    if kind in ("float", "double"):
        return floating(value, 8)
    if kind.startswith("decimal"):
        return int(value.scaleb(int(kind.split(",")[1].strip(" )"))))
    if kind == "date":
        return (value - datetime.date(1970, 1, 1)).days if isinstance(value, datetime.date) else value
    if kind in ("time", "timestamp", "timestamptz"):
        return micros(value)
    if kind == "uuid" and not isinstance(value, bytes):
        return str(value).replace("-", "")
    if isinstance(value, bytes):
        return value.hex()
    return value


def columns(arrow_field):
    """The tree of columns that a file has."""
    t = arrow_field.type
    if pa.types.is_struct(t):
        return {f.name: columns(f) for f in t}
    if pa.types.is_list(t):
        return {"element": columns(t.value_field)}
    if pa.types.is_map(t):
        return {"value": columns(t.item_field)}
    return {}


def strip(value, field, present):
    """Takes from the expected value what the file has no column for (a struct whose members all never had a value)."""
    kind = field["type"]
    if value is None:
        return None
    if kind == "struct":
        return {k: strip(value[k], c, present[k]) if k in present else None for k, c in members(field).items()}
    if kind == "list":
        return [strip(v, field["children"][0], present["element"]) for v in value]
    if kind == "map":
        return [(k, strip(v, field["children"][1], present["value"])) for k, v in value]
    return value


def lost(value, field, present):
    """A leaf value for which the file has no column: must not be."""
    kind = field["type"]
    if value is None:
        return False
    if kind == "struct":
        return any(lost(value[k], c, present.get(k) if present is not None else None) for k, c in members(field).items())
    if kind in ("list", "map"):
        return present is None
    return present is None


def compare(name, rows, want):
    if len(rows) != len(want):
        return report(name, "%d rows, want %d" % (len(rows), len(want)))
    for i, (got, w) in enumerate(zip(rows, want)):
        for k in w:
            if got.get(k) != w[k]:
                return report(name, "row %d column %s: got %.100r, want %.100r" % (i, k, got.get(k), w[k]))
    report(name, None)


def leaf_paths(field, path=""):
    for c in field["children"]:
        p = path + "." + c["name"] if path else c["name"]
        if c["type"] in ("struct", "list", "map"):
            yield from leaf_paths(c, p)
        else:
            yield p, c


def check_meta(name, file, facts):
    """Sizes, offsets, ids and counts of the footer against file and file info."""
    size = os.path.getsize(file.reader.source_path) if hasattr(file.reader, "source_path") else facts["bytes"]
    meta = file.metadata
    if size != facts["bytes"] or meta.num_rows != facts["rows"] or meta.created_by.split()[:2] != ["hydrant", "version"]:
        return report(name, "size, rows or created_by are wrong")
    if meta.num_row_groups != len(facts["splits"]) or meta.metadata[b"hydrant.test"].decode() != "wörld":
        return report(name, "row groups or metadata are wrong")
    end = facts["bytes"]
    chunks = []
    sums = {}
    for g in range(meta.num_row_groups):
        group = meta.row_group(g)
        total = 0
        for c in range(group.num_columns):
            chunk = group.column(c)
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            chunks.append((start, start + chunk.total_compressed_size))
            total += chunk.total_compressed_size
            path = chunk.path_in_schema.replace(".list.element", ".element").replace(".key_value.", ".")
            s = sums.setdefault(path, [0, 0, 0])
            s[0] += chunk.total_compressed_size
            s[1] += chunk.num_values
            s[2] += chunk.statistics.null_count if chunk.statistics else 0
            if c == 0:
                if start != facts["splits"][g]:
                    return report(name, "row group %d starts at %d, split offset is %d" % (g, start, facts["splits"][g]))
                first = start
        if first + total // 2 >= end:
            return report(name, "row group %d has its middle behind the file's end: Spark would skip it" % g)
    chunks.sort()
    if any(a[1] > b[0] for a, b in zip(chunks, chunks[1:])):
        return report(name, "chunks overlap")
    for leaf in facts["leaves"]:
        if sums.pop(leaf["path"], None) != [leaf["size"], leaf["values"], leaf["nulls"]]:
            return report(name, "file info of %s differs from the footer" % leaf["path"])
    ids = dict((p, c["id"]) for p, c in leaf_paths(facts["schema"]))
    for leaf in facts["leaves"]:
        if ids[leaf["path"]] != leaf["id"] or not leaf["id"]:
            return report(name, "field id of %s" % leaf["path"])
    report(name, "columns without file info: %s" % list(sums) if sums else None)


def check_ids(name, schema, field):
    def walk(arrow_field, f):
        got = (arrow_field.metadata or {}).get(b"PARQUET:field_id", b"0")
        if int(got) != f["id"]:
            raise ValueError("%s has id %s, want %d" % (f["name"], got, f["id"]))
        t = arrow_field.type
        inner = list(t) if pa.types.is_struct(t) else [t.value_field] if pa.types.is_list(t) else \
            [t.key_field, t.item_field] if pa.types.is_map(t) else []
        for a in inner:
            walk(a, members(f)[a.name])
    try:
        for a in schema:
            walk(a, members(field)[a.name])
        report(name, None)
    except ValueError as e:
        report(name, e)


def plain_value(raw, kind):
    if kind in ("int", "date"):
        return struct.unpack("<i", raw)[0]
    if kind in ("long", "time", "timestamp", "timestamptz"):
        return struct.unpack("<q", raw)[0]
    if kind.startswith("decimal"):
        return int.from_bytes(raw, "big", signed=True)
    if kind == "float":
        return struct.unpack("<f", raw)[0]
    if kind == "double":
        return struct.unpack("<d", raw)[0]
    if kind == "boolean":
        return raw == b"\1"
    return raw


def check_bounds(name, facts, rows):
    """Iceberg bounds of the top-level columns bound the values, and are tight unless cut."""
    by_path = {leaf["path"]: leaf for leaf in facts["leaves"]}
    for c in facts["schema"]["children"]:
        leaf = by_path.get(c["name"])
        if c["type"] in ("struct", "list", "map") or not leaf:
            continue
        kind = c["type"]
        values = [r[c["name"]] for r in rows if r[c["name"]] is not None]
        nans = 0
        if kind in ("float", "double"):
            nans = sum(v == "nan" for v in values)
            values = [struct.unpack("<d", v)[0] for v in values if v != "nan"]
        elif kind == "string":
            values = [v.encode() for v in values]
        elif kind in ("binary", "uuid") or kind.startswith("fixed"):
            values = [bytes.fromhex(v) for v in values]
        if leaf["nans"] != nans:
            return report(name, "%s: %d NaN, want %d" % (c["name"], leaf["nans"], nans))
        if not values:
            if leaf["lower"] is not None or leaf["upper"] is not None:
                return report(name, "%s: bounds without values" % c["name"])
            continue
        lower, upper = leaf["lower"], leaf["upper"]
        if lower is None or (upper is None and kind not in ("string", "binary")):
            return report(name, "%s: no bounds" % c["name"])
        lo = plain_value(bytes.fromhex(lower), kind)
        low, high = min(values), max(values)
        if kind in ("string", "binary"):
            prefix = low.decode()[:16].encode() if kind == "string" else low[:16]
            if lo != prefix:
                return report(name, "%s: lower bound %r of %r" % (c["name"], lo, low))
            if upper is not None:
                up = bytes.fromhex(upper)
                short = len(high.decode()) <= 16 if kind == "string" else len(high) <= 16
                if up < high or (short and up != high):
                    return report(name, "%s: upper bound %r of %r" % (c["name"], up, high))
        elif lo != low or plain_value(bytes.fromhex(upper), kind) != high:
            return report(name, "%s: bounds %r %r, want %r %r" % (c["name"], lo, upper, low, high))
    report(name, None)


def check_filter(name, con, path, rows):
    """Pruning by statistics and page index finds what a full scan finds."""
    if not rows:
        return
    for column, literal in (("i64", "%d"), ("str_path", "'%s'"), ("dec25", None)):
        picks = [r[column] for r in rows if r.get(column) is not None][:: max(1, len(rows) // 5)]
        for v in picks[:6]:
            text = literal % v if literal else "cast('%d' as decimal(38,0))::hugeint" % v
            condition = "%s = %s" % (column, text) if literal else "(%s * 100000)::hugeint = %s" % (column, text)
            got = con.execute("select count(*) from read_parquet('%s') where %s" % (path, condition)).fetchone()[0]
            want = sum(r[column] == v for r in rows)
            if got != want:
                return report(name, "%s: %d rows, want %d" % (condition, got, want))
            if literal:
                got = pq.read_table(path, columns=[column], filters=[(column, "=", v)]).num_rows
                if got != want:
                    return report(name, "pyarrow, %s = %r: %d rows, want %d" % (column, v, got, want))
    report(name, None)


def check_file(path, encodings):
    name = os.path.basename(path)[:-len(".parquet")]
    facts = json.load(open(path[:-8] + ".json"))
    schema = facts["schema"]
    file = pq.ParquetFile(path, page_checksum_verification=True)
    present = {f.name: columns(f) for f in file.schema_arrow}
    raw = [json.loads(line) for line in open(path[:-8] + ".ndjson", encoding="utf-8")]
    full = [wanted(r, schema) for r in raw]
    for g in range(file.metadata.num_row_groups):
        for c in range(file.metadata.row_group(g).num_columns):
            chunk = file.metadata.row_group(g).column(c)
            encodings.setdefault(chunk.physical_type, set()).update(chunk.encodings)
    if any(lost(r, schema, present) for r in full):
        report(name + "/complete", "a value has no column")
    want = [strip(r, schema, present) for r in full]
    if facts["splits"]:
        check_meta(name + "/meta", file, facts)
    check_ids(name + "/ids", file.schema_arrow, schema)
    compare(name + "/pyarrow", [read(r, schema, present) for r in file.read().to_pylist()], want)
    con = duckdb.connect()
    con.execute("set timezone='UTC'")
    result = con.sql("select * from read_parquet('%s')" % path)
    # as Python values DuckDB would want pytz; the name of the call depends on its version
    table = next(getattr(result, m) for m in ("to_arrow_table", "fetch_arrow_table") if hasattr(result, m))()
    compare(name + "/duckdb", [read(r, schema, present) for r in table.to_pylist()], want)
    if "flat" in name or name == "large":
        check_bounds(name + "/bounds", facts, want)
        check_filter(name + "/filter", con, path, want)


def main():
    hydrant = os.environ.get("HYDRANT", "")
    generator = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(hydrant), "src/parquet/parquet_write_gen")
    if not os.access(generator, os.X_OK):
        print("skip parquet_write: there is no %s" % generator)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([generator, folder], check=True)
        encodings = {}
        for path in sorted(glob.glob(folder + "/*.parquet")):
            try:
                check_file(path, encodings)
            except Exception as e:
                report(os.path.basename(path), "%s: %s" % (type(e).__name__, e))
        everything = {"INT64": {"PLAIN", "RLE_DICTIONARY", "DELTA_BINARY_PACKED"}, "INT32": {"PLAIN", "RLE_DICTIONARY", "DELTA_BINARY_PACKED"},
                      "BYTE_ARRAY": {"PLAIN", "RLE_DICTIONARY", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"},
                      "DOUBLE": {"PLAIN", "RLE_DICTIONARY", "BYTE_STREAM_SPLIT"}, "FLOAT": {"PLAIN", "BYTE_STREAM_SPLIT"},
                      "FIXED_LEN_BYTE_ARRAY": {"PLAIN", "RLE_DICTIONARY"}, "BOOLEAN": {"PLAIN", "RLE"}}
        missing = {t: e - encodings.get(t, set()) for t, e in everything.items() if e - encodings.get(t, set())}
        report("every encoding occurred", missing)
    return 1 if failures else 0


sys.exit(main())
