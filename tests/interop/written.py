"""What tests/interop/parquet_write_gen.c wrote, and what readers give back, in one common form."""
import datetime
import decimal
import json
import math
import os
import struct
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq

GENERATOR = os.path.join(os.path.dirname(os.environ["HYDRANT"]), "src/parquet/parquet_write_gen")
EPOCH = datetime.datetime(1970, 1, 1)
decimal.getcontext().prec = 80
failures = 0


def report(name, problem):
    global failures
    if problem:
        failures += 1
        print("not ok %s: %s" % (name, str(problem).replace("\n", " ")[:400]), flush=True)
    else:
        print("ok " + name, flush=True)


def generate(folder):
    subprocess.run([GENERATOR, folder], check=True)


class Written:
    """A generated file: what it says of itself, and its rows as every reader must give them."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)[:-len(".parquet")]
        with open(path[:-8] + ".json", encoding="utf-8") as f:
            self.facts = json.load(f)
        self.schema = self.facts["schema"]
        self.file = pq.ParquetFile(path, page_checksum_verification=True)
        self.present = {f.name: columns(f) for f in self.file.schema_arrow}
        with open(path[:-8] + ".ndjson", encoding="utf-8") as f:
            self.full = [wanted(json.loads(line), self.schema) for line in f]
        self.want = [strip(r, self.schema, self.present) for r in self.full]

    def lost(self):
        """A value has no column."""
        return any(lost(r, self.schema, self.present) for r in self.full)

    def compare(self, reader, rows):
        compare("%s/%s" % (self.name, reader), [read(r, self.schema, self.present) for r in rows], self.want)


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
        pairs = [(p["key"], p["value"]) if isinstance(p, dict) else p for p in pairs]
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
    if isinstance(value, (bytes, bytearray)):
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
