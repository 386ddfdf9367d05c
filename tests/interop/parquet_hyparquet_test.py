#!/usr/bin/env python3
"""The files of parquet_write_test.py, read with hyparquet, which has no code in common with the other readers.

It is JavaScript: tools/test-venv puts it into .cache/node where npm is. Its decimals are doubles.
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

MODULES = os.path.join(os.path.dirname(os.environ["HYDRANT_TESTS"]), ".cache", "node", "node_modules")
if not shutil.which("node") or not os.path.isdir(os.path.join(MODULES, "hyparquet-compressors")):
    print("skip parquet_hyparquet: there is no node, or no hyparquet in .cache/node: install npm and run tools/test-venv")
    sys.exit(0)
try:
    import pyarrow  # noqa: F401
except ImportError as missing:
    print("skip parquet_hyparquet: %s" % missing)
    sys.exit(0)
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "interop"))
import json
import written
from written import Written, compare, floating, generate, members, report


class Near(float):
    """A decimal as a double, give or take its last digits."""

    def __eq__(self, other):
        return abs(self - float(other)) <= 1e-14 * abs(self)

    def __ne__(self, other):
        return not self == other


def given(value, field, present):
    """A value as hyparquet_dump.mjs prints it, in the common form."""
    kind = field["type"]
    if value is None:
        return None
    if kind == "struct":
        return {k: given(value.get(k), c, present[k]) if k in present else None for k, c in members(field).items()}
    if kind == "list":
        return [given(v, field["children"][0], present["element"]) for v in value]
    if kind == "map":
        return [(k, given(v, field["children"][1], present["value"])) for k, v in value.items()]
    if kind in ("float", "double"):
        return floating(str(value), 8)
    if kind.startswith("decimal"):
        return Near(value * 10.0 ** int(kind.split(",")[1].strip(" )")))
    if isinstance(value, str) and (kind == "binary" or kind.startswith("fixed")):
        return value[2:]
    return value.replace("-", "") if kind == "uuid" else value


def rounded(value, field):
    """Decimals as given() has them."""
    kind = field["type"]
    if value is None:
        return None
    if kind == "struct":
        return {k: rounded(value.get(k), c) for k, c in members(field).items()}
    return Near(value) if kind.startswith("decimal") else value


with tempfile.TemporaryDirectory() as folder:
    generate(folder)
    paths = sorted(p for p in glob.glob(folder + "/*.parquet") if not os.path.basename(p).startswith("none"))
    subprocess.run(["node", os.path.join(os.environ["HYDRANT_TESTS"], "interop", "hyparquet_dump.mjs"), MODULES, *paths], check=True)
    for path in paths:
        w = Written(path)
        with open(path + ".js.ndjson", encoding="utf-8") as f:
            rows = [json.loads(line) for line in f]
        if rows and "__error" in rows[0]:
            report(w.name + "/hyparquet", rows[0]["__error"])
            continue
        compare(w.name + "/hyparquet", [given(r, w.schema, w.present) for r in rows], [rounded(r, w.schema) for r in w.want])
sys.exit(1 if written.failures else 0)
