#!/usr/bin/env python3
"""Reads every file of a folder of Parquet files, and files made here, with our reader (parquet_dump) and with pyarrow, and compares all values.

Under tests/run.sh, or by hand:  parquet_read_test.py PARQUET_DUMP FOLDER [--list]

A file must read with equal values or be refused with an error that names the reason, as the table REFUSED says. --list prints the table of
docs/parquet.md. By hand, pyarrow is installed, pinned, into a virtual environment beside PARQUET_DUMP if this Python has none.
"""
import decimal
import json
import math
import os
import subprocess
import sys
import tempfile

PYARROW = "21.0.0"

# file (from FOLDER) → what the error must say; everything else must read.
REFUSED = {
    "datapage_v1-corrupt-checksum.parquet": "checksum",
    "rle-dict-uncompressed-corrupt-checksum.parquet": "checksum",
    "large_string_map.brotli.parquet": "page of 1073741828 bytes passes the limit",
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
    return check_ranges(dump, path, rows) or ("equal", "%d rows, as %s" % (len(rows), by))


def check_ranges(dump, path, rows):
    """Ranges of rows of each row group must be the rows that the whole read gave."""
    import pyarrow.parquet as pq
    try:
        meta = pq.read_metadata(path)
        sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    except Exception:  # pyarrow refuses the schema: the files of EXPECTED have one row group
        sizes = [len(rows)]
    longest = max(sizes, default=0)
    for a, b in ((longest // 4, longest // 2), (longest - 1, longest), (0, longest // 3), (longest // 2, longest // 2 + 1)):
        if not 0 <= a < b:
            continue
        part, error = ours(dump, path, "-r", "%d:%d" % (a, b))
        if error:
            return "FAIL", "rows %d to %d: %s" % (a, b, error)
        want, start = [], 0
        for n in sizes:
            want += rows[start + min(a, n):start + min(b, n)]
            start += n
        if not same(part, want):
            return "FAIL", "rows %d to %d differ from the whole" % (a, b)
    return None


def random_table(rng, rows, past):
    """Every Arrow type that Parquet stores and the reader reads, with nulls, nested and flat."""
    import pyarrow as pa
    words = ["", "a", "hydrant", "ünïcode", "x" * 40, "y" * 300] + ["w%d" % i for i in range(50)]

    def some(make, nulls=0.2):
        return [None if rng.random() < nulls else make() for _ in range(rows)]

    def nest(t, depth):
        if depth and pa.types.is_list(t):
            return lambda: [maybe(nest(t.value_type, depth)) for _ in range(rng.choice((0, 0, 1, 2, 7)))]
        if depth and pa.types.is_struct(t):
            return lambda: {t.field(i).name: maybe(nest(t.field(i).type, depth)) for i in range(t.num_fields)}
        if depth and pa.types.is_map(t):
            return lambda: [(rng.choice(words) + str(i), maybe(nest(t.item_type, depth))) for i in range(rng.choice((0, 1, 3)))]
        return (lambda: rng.choice(words)) if pa.types.is_string(t) else (lambda: rng.randrange(-50, 50))

    def maybe(make):
        return None if rng.random() < 0.2 else make()

    def dec(digits):
        return lambda: decimal.Decimal(rng.randrange(-10**digits + 1, 10**digits)).scaleb(-3, decimal.Context(prec=80))

    us = lambda: rng.randrange(-10**15 if past else 0, 10**16)  # noqa: E731
    inner = pa.struct([("s", pa.string()), ("l", pa.list_(pa.int32()))])
    nested = {
        "st": pa.struct([("a", pa.int64()), ("b", pa.struct([("c", pa.string()), ("d", pa.int32())]))]),
        "ll": pa.list_(pa.list_(pa.int64())), "ls": pa.list_(inner), "mp": pa.map_(pa.string(), pa.int64()),
        "ml": pa.map_(pa.string(), pa.list_(inner)), "sl": pa.struct([("x", pa.list_(pa.string())), ("y", pa.map_(pa.string(), inner))]),
    }
    cols = {
        "i8": pa.array(some(lambda: rng.randrange(-128, 128)), pa.int8()), "u8": pa.array(some(lambda: rng.randrange(256)), pa.uint8()),
        "u16": pa.array(some(lambda: rng.randrange(65536)), pa.uint16()), "i32": pa.array(some(lambda: rng.randrange(-2**31, 2**31)), pa.int32()),
        "u32": pa.array(some(lambda: rng.randrange(2**32)), pa.uint32()), "i64": pa.array(some(lambda: rng.randrange(-2**63, 2**63)), pa.int64()),
        "u64": pa.array(some(lambda: rng.randrange(2**64)), pa.uint64()), "seq": pa.array(range(rows), pa.int64()),
        "low": pa.array(some(lambda: rng.randrange(5), 0), pa.int32()), "bo": pa.array(some(lambda: rng.random() < 0.3), pa.bool_()),
        "f4": pa.array(some(lambda: rng.choice((0.0, -0.0, math.nan, math.inf, rng.gauss(0, 1)))), pa.float32()),
        "f8": pa.array(some(lambda: rng.choice((0.0, -0.0, math.nan, -math.inf, rng.gauss(0, 1e9)))), pa.float64()),
        "s": pa.array(some(lambda: rng.choice(words)), pa.string()), "sr": pa.array(some(lambda: "key/%08d" % rng.randrange(10**6), 0), pa.string()),
        "bin": pa.array(some(lambda: rng.randbytes(rng.randrange(20))), pa.binary()), "fix": pa.array(some(lambda: rng.randbytes(7)), pa.binary(7)),
        "d9": pa.array(some(dec(9)), pa.decimal128(9, 3)), "d18": pa.array(some(dec(18)), pa.decimal128(18, 3)),
        "d38": pa.array(some(dec(38)), pa.decimal128(38, 3)), "date": pa.array(some(lambda: rng.randrange(-10**5, 10**5)), pa.int32()).cast(pa.date32()),
        "t32": pa.array(some(lambda: rng.randrange(86400000)), pa.int32()).cast(pa.time32("ms")),
        "t64": pa.array(some(lambda: rng.randrange(86400000000)), pa.int64()).cast(pa.time64("us")),
        "tns": pa.array(some(lambda: rng.randrange(86400000000000)), pa.int64()).cast(pa.time64("ns")),
        "ms": pa.array(some(lambda: us() // 1000), pa.int64()).cast(pa.timestamp("ms")), "us": pa.array(some(us), pa.int64()).cast(pa.timestamp("us", "UTC")),
        "ns": pa.array(some(us), pa.int64()).cast(pa.timestamp("ns")), "null": pa.nulls(rows, pa.int32()),
    }
    for name, t in nested.items():
        cols[name] = pa.array(some(nest(t, 9)), t)
    return pa.table(cols)


def generate(folder):
    """Files of pyarrow's writer over codecs, encodings, page versions and page sizes; the same ones every time."""
    import random
    import pyarrow.parquet as pq
    rng = random.Random(7)
    ints, texts, split = ["i8", "u16", "i32", "u32", "i64", "u64", "seq", "low", "date", "ms", "us", "ns"], ["s", "sr", "bin"], ["f4", "f8", "i32", "i64", "fix"]
    encodings = {
        "dict": None, "plain": {},
        "delta": {**dict.fromkeys(ints, "DELTA_BINARY_PACKED"), **dict.fromkeys(texts, "DELTA_BYTE_ARRAY"), "bo": "RLE", "fix": "DELTA_BYTE_ARRAY"},
        "lengths": {**dict.fromkeys(texts, "DELTA_LENGTH_BYTE_ARRAY"), **dict.fromkeys(split, "BYTE_STREAM_SPLIT")},
    }
    codecs = ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]
    n = 0
    for encoding, columns in encodings.items():
        for version in ("1.0", "2.0"):
            for page in (200, 1 << 20):
                int96 = n % 4 == 3 and not columns  # pyarrow reads its own INT96 before 1970 wrongly as µs
                table = random_table(rng, rng.choice((1, 63, 64, 1000, 3000)), not int96)
                options = {"use_dictionary": True} if columns is None else {"use_dictionary": False, "column_encoding": columns}
                pq.write_table(table, os.path.join(folder, "%s-v%s-%d.parquet" % (encoding, version[0], page)), compression=codecs[n % 6],
                               data_page_version=version, data_page_size=page, write_batch_size=64 if page < 1000 else 1024,
                               row_group_size=1700, write_page_index=n % 2 == 0, write_page_checksum=n % 3 == 0,
                               use_deprecated_int96_timestamps=int96, store_decimal_as_integer=n % 4 == 1, version="2.6", **options)
                n += 1


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
    failed = run(dump, folder)
    if "--list" in sys.argv:
        return 1 if failed else 0
    with tempfile.TemporaryDirectory() as made:
        generate(made)
        failed += run(dump, made)
    return 1 if failed else 0


def run(dump, folder):
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
    return failed


if __name__ == "__main__":
    sys.exit(main())
