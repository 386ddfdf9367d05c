#!/usr/bin/env python3
"""Files that parquet_write_gen wrote over types, encodings, codecs, page versions and nesting, read with pyarrow, DuckDB and Polars and compared
value by value with what was written; footers, bounds and pruning, too. Further readers: parquet_hyparquet_test.py, parquet_spark_test.py."""
import glob
import os
import struct
import sys
import tempfile

try:
    import duckdb
    import polars
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as missing:
    print("skip parquet_write: %s" % missing)
    sys.exit(0)
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "interop"))
import written
from written import GENERATOR, Written, generate, members, report


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


def check_bloom(name, w, con, column, absent):
    """DuckDB's own look into our filters: a value that is there is never excluded, one that is not nearly always."""
    values = [r[column] for r in w.want if r[column] is not None][::400]
    probe = "select count(*) filter (not bloom_filter_excludes) from parquet_bloom_probe('%s', '%s', ?)" % (w.path, column)
    found = sum(con.execute(probe, [v]).fetchone()[0] > 0 for v in values)
    wrong = sum(con.execute(probe, [v]).fetchone()[0] > 0 for v in absent)
    report(name, None if found == len(values) and wrong <= 0.05 * len(absent) else "%d of %d found, %d of %d wrong" % (found, len(values), wrong, len(absent)))


def count_encodings(w, cells):
    """Which (codec, page version, flat or nested, physical type, encoding) occurred."""
    if w.name.count("-") < 3:
        return
    shape, codec, version, _ = w.name.split("-")
    for g in range(w.file.metadata.num_row_groups):
        for c in range(w.file.metadata.row_group(g).num_columns):
            chunk = w.file.metadata.row_group(g).column(c)
            for encoding in chunk.encodings:
                cells.add((shape, codec, version, chunk.physical_type, encoding))


def check_encodings(cells):
    """All of what the writer can do, in each codec, both page versions, flat and nested."""
    types = {"INT64": {"PLAIN", "RLE_DICTIONARY", "DELTA_BINARY_PACKED"}, "INT32": {"PLAIN", "RLE_DICTIONARY", "DELTA_BINARY_PACKED"},
             "BYTE_ARRAY": {"PLAIN", "RLE_DICTIONARY", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"},
             "DOUBLE": {"PLAIN", "RLE_DICTIONARY", "BYTE_STREAM_SPLIT"}, "FLOAT": {"PLAIN", "BYTE_STREAM_SPLIT"},
             "FIXED_LEN_BYTE_ARRAY": {"PLAIN", "RLE_DICTIONARY"}, "BOOLEAN": {"PLAIN"}}
    for shape in ("flat", "nested"):
        for version in ("v1", "v2"):
            for codec in ("uncompressed", "snappy", "gzip", "zstd", "lz4_raw"):
                missing = [(t, e) for t, es in types.items() for e in ({"RLE"} if t == "BOOLEAN" and version == "v2" else es)
                           if (shape, codec, version, t, e) not in cells]
                report("every encoding occurred: %s %s %s" % (shape, codec, version), missing)


def check_file(path, cells):
    w = Written(path)
    count_encodings(w, cells)
    if w.lost():
        report(w.name + "/complete", "a value has no column")
    if w.facts["splits"]:
        check_meta(w.name + "/meta", w.file, w.facts)
    check_ids(w.name + "/ids", w.file.schema_arrow, w.schema)
    w.compare("pyarrow", w.file.read().to_pylist())
    con = duckdb.connect()
    con.execute("set timezone='UTC'")
    result = con.sql("select * from read_parquet('%s')" % path)
    # as Python values DuckDB would want pytz; the name of the call depends on its version
    table = next(getattr(result, m) for m in ("to_arrow_table", "fetch_arrow_table") if hasattr(result, m))()
    w.compare("duckdb", table.to_pylist())
    w.compare("polars", polars.read_parquet(path, use_pyarrow=False, glob=False).to_arrow().to_pylist())
    if "flat" in w.name or w.name == "large":
        check_bounds(w.name + "/bounds", w.facts, w.want)
        check_filter(w.name + "/filter", con, path, w.want)
    if w.name == "large":
        check_bloom(w.name + "/bloom i64", w, con, "i64", [2**62 + i for i in range(100)])


def main():
    if not os.access(GENERATOR, os.X_OK):
        print("skip parquet_write: there is no %s" % GENERATOR)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(folder)
        cells = set()
        for path in sorted(glob.glob(folder + "/*.parquet")):
            try:
                check_file(path, cells)
            except Exception as e:
                report(os.path.basename(path), "%s: %s" % (type(e).__name__, e))
        check_encodings(cells)
    return 1 if written.failures else 0


sys.exit(main())
