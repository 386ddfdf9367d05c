#!/usr/bin/env python3
"""Reads every file of a folder of Parquet files with our reader (parquet_dump) and with pyarrow, and compares all values.

Under tests/run.sh, or by hand:  parquet_read_test.py PARQUET_DUMP FOLDER [--list]

A file must read with equal values or be refused with an error that names the reason, as the table REFUSED says. --list prints the table of
docs/parquet.md. By hand, pyarrow is installed, pinned, into a virtual environment beside PARQUET_DUMP if this Python has none.
"""
import datetime
import decimal
import json
import math
import os
import subprocess
import sys

PYARROW = "21.0.0"

# file (from FOLDER) → what the error must say; everything else must read.
REFUSED = {
    "datapage_v1-corrupt-checksum.parquet": "checksum",
    "rle-dict-uncompressed-corrupt-checksum.parquet": "checksum",
    "large_string_map.brotli.parquet": "brotli",
    "unknown-logical-type.parquet": "logical type",
    "aes256/encrypt_columns_plaintext_footer.parquet.encrypted": "encrypt",
    "encrypt_columns_plaintext_footer.parquet.encrypted": "encrypt",
}
# Values that the format's or the file's own documentation gives, where pyarrow gives others or none.
EXPECTED = {
    # int96_from_spark.md
    "int96_from_spark.parquet": [{"a": v} for v in (1704141296123456, 1704070800000000, 253402225200000000, 1735599600000000, None,
                                                    9089380393200000000)],
    # README.md "Incorrect Map Schema": pyarrow refuses the optional key; this is what DuckDB reads, too
    "incorrect_map_schema.parquet": [{"my_map": [["parent", "another"], ["name", "report"]]}],
}


def ensure_pyarrow(dump):
    try:
        import pyarrow
        if pyarrow.__version__ == PYARROW:
            return
    except ImportError:
        pass
    venv = os.path.join(os.path.dirname(os.path.abspath(dump)), "interop-venv")
    python = os.path.join(venv, "bin", "python")
    if os.path.abspath(sys.prefix) == venv:
        sys.exit("pyarrow %s could not be installed into %s" % (PYARROW, venv))
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "pyarrow==" + PYARROW], check=True)
    os.execv(python, [python] + sys.argv)


def micros(v):
    """µs of a value that pyarrow gives as integer nanoseconds, rounded down."""
    return v // 1000


def plain(array):
    """An Arrow array as the JSON values that parquet_dump prints."""
    import pyarrow as pa
    t = array.type
    if isinstance(array, pa.ChunkedArray):
        return [v for c in array.chunks for v in plain(c)]
    if isinstance(array, pa.ExtensionArray):
        return plain(array.storage)
    if pa.types.is_dictionary(t):
        return plain(array.dictionary_decode())
    if pa.types.is_struct(t):
        columns = [plain(array.field(i)) for i in range(t.num_fields)]
        names = [t.field(i).name for i in range(t.num_fields)]
        return [dict(zip(names, row)) if ok else None
                for ok, row in zip(array.is_valid().to_pylist(), zip(*columns) if columns else [()] * len(array))]
    if pa.types.is_map(t):
        keys, items = plain(array.keys), plain(array.items)
        offsets, first = array.offsets.to_pylist(), array.offsets[0].as_py()
        return [[[keys[k - first], items[k - first]] for k in range(offsets[i], offsets[i + 1])] if ok else None
                for i, ok in enumerate(array.is_valid().to_pylist())]
    if pa.types.is_list(t) or pa.types.is_large_list(t):
        values, offsets = plain(array.values), array.offsets.to_pylist()
        return [values[offsets[i]:offsets[i + 1]] if ok else None for i, ok in enumerate(array.is_valid().to_pylist())]
    if pa.types.is_timestamp(t) or pa.types.is_time(t):
        factor = {"s": 1000000, "ms": 1000, "us": 1, "ns": None}[t.unit]
        raw = array.cast(pa.int32() if pa.types.is_time32(t) else pa.int64()).to_pylist()
        return [None if v is None else v * factor if factor else micros(v) for v in raw]
    if pa.types.is_date(t):
        return array.cast(pa.int32()).to_pylist()
    return [scalar(v, t) for v in array.to_pylist()]


def scalar(v, t):
    import pyarrow as pa
    if v is None or isinstance(v, (bool, str)):
        return v
    if isinstance(v, decimal.Decimal):
        return str(int(v.scaleb(t.scale, decimal.Context(prec=80))))
    if isinstance(v, (bytes, bytearray)):
        return "0x" + v.hex()
    if t == pa.uint64():
        return str(v)
    if hasattr(v, "item"):
        v = v.item()
    if isinstance(v, float):
        return "NaN" if math.isnan(v) else ("Infinity" if v > 0 else "-Infinity") if math.isinf(v) else v
    return v


def same(a, b):
    """Equal, where a float's sign of zero counts and an integral float may be printed without a point."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, float) or isinstance(b, float):
        return isinstance(a, (int, float)) and isinstance(b, (int, float)) and float(a) == float(b) and \
            math.copysign(1, a) == math.copysign(1, b)
    return a == b


def zero_sign(text):
    return -0.0 if text == "-0" else int(text)


def ours(dump, path, *args):
    p = subprocess.run([dump, *args, path], capture_output=True)
    if p.returncode:
        return None, p.stderr.decode("utf-8", "replace").strip() or "exit %d" % p.returncode
    # one "-0" is a float's
    return [json.loads(line, parse_int=zero_sign) for line in p.stdout.decode("utf-8", "surrogateescape").splitlines()], None


def theirs(path):
    import pyarrow.parquet as pq
    f = pq.ParquetFile(path, coerce_int96_timestamp_unit="us", arrow_extensions_enabled=False)
    table = f.read()
    columns = [plain(c) for c in table.columns]
    return [dict(zip(table.column_names, row)) for row in zip(*columns)] if columns else [{}] * table.num_rows


def check(dump, folder, name):
    path = os.path.join(folder, name)
    rows, error = ours(dump, path)
    want = REFUSED.get(name, "encryption" if name.endswith(".encrypted") else None)
    if want:
        if error is None:
            return "FAIL", "should be refused (%s)" % want
        return ("refused", error) if want in error else ("FAIL", "refused for another reason: " + error)
    if error:
        return "FAIL", error
    if name in EXPECTED:
        expected, by = EXPECTED[name], "expected"
    else:
        try:
            expected, by = theirs(path), "pyarrow"
        except Exception as e:  # whatever pyarrow raises: the file must then be listed by hand
            return "FAIL", "pyarrow does not read it (%s): give the expected values" % str(e).splitlines()[0]
    if len(rows) != len(expected):
        return "FAIL", "%d rows, %s has %d" % (len(rows), by, len(expected))
    for i, (a, b) in enumerate(zip(rows, expected)):
        if not same(a, b):
            return "FAIL", "row %d: ours %s, %s %s" % (i, json.dumps(a)[:300], by, json.dumps(b)[:300])
    half = len(rows) // 2
    if half:  # a range of rows of each row group must be the same rows: checked for files of one row group
        part, error = ours(dump, path, "-r", "%d:%d" % (half // 2, half))
        if error:
            return "FAIL", "row range: " + error
        import pyarrow.parquet as pq
        if pq.ParquetFile(path).num_row_groups == 1 and not same(part, rows[half // 2:half]):
            return "FAIL", "a row range differs from the whole"
    return "equal", "%d rows, as %s" % (len(rows), by)


def arguments():
    """The dump program and the folder, or a reason to skip."""
    args = [a for a in sys.argv[1:] if a != "--list"]
    if len(args) == 2:
        if not os.path.isdir(args[1]):
            return None, None, "there is no folder " + args[1]
        ensure_pyarrow(args[0])
        return args[0], args[1], None
    if args or "HYDRANT" not in os.environ:
        sys.exit(__doc__)
    dump = os.path.join(os.path.dirname(os.environ["HYDRANT"]), "src/parquet/parquet_dump")
    if not os.environ.get("HYDRANT_SHARED"):
        return None, None, "there is no ../shared/data beside this checkout"
    try:
        import pyarrow  # noqa: F401
    except ImportError as missing:
        return None, None, missing
    return dump, os.path.join(os.environ["HYDRANT_SHARED"], "parquet-testing", "data"), None


def main():
    dump, folder, reason = arguments()
    if reason:
        print("skip parquet_read: %s" % reason)
        return 0
    names = sorted(os.path.relpath(os.path.join(d, f), folder) for d, _, files in os.walk(folder) for f in files
                   if f.endswith(".parquet") or f.endswith(".encrypted"))
    failed = 0
    for name in names:
        verdict, text = check(dump, folder, name)
        failed += verdict == "FAIL"
        if "--list" in sys.argv:
            print("| `%s` | %s: %s |" % (name, verdict, text))
        else:
            print("not ok %s: %s" % (name, text.replace("\n", " ")[:400]) if verdict == "FAIL" else "ok " + name, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
