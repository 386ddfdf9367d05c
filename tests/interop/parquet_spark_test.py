#!/usr/bin/env python3
"""The files of parquet_write_test.py, read with Apache Spark, with its vectorized reader and with parquet-java's own.

Spark is 400 MB and wants Java: HYDRANT_SPARK names a Python that has pyspark. The results of the last run stand in docs/parquet.md.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

SPARK = os.environ.get("HYDRANT_SPARK")
# Spark up to 3.5.6 and 4.0.0 reads DELTA_LENGTH_BYTE_ARRAY wrongly with its vectorized reader where a column has nulls or a second page
# (SPARK-52240). What the writer does by default must not need that mended.
KNOWN = "ArrayIndexOutOfBounds"
# What Spark 3.5 has no type for, at the top level of the generated files: left out.
NO_TYPE = ("time", "uuid")


def spark_main(folder, vectorized):
    """In Spark's Python: a line of JSON a row for each file, or what Spark said."""
    from pyspark.sql import SparkSession
    from pyspark.sql.types import (BinaryType, BooleanType, DateType, DecimalType, DoubleType, FloatType, IntegerType, LongType, MapType, ArrayType,
                                   StringType, StructField, StructType, TimestampNTZType, TimestampType)
    os.environ["TZ"] = "UTC"
    spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.memory", "1g")
             .config("spark.sql.session.timeZone", "UTC").config("spark.sql.parquet.enableVectorizedReader", vectorized)
             .config("spark.sql.parquet.enableNestedColumnVectorizedReader", vectorized).config("spark.driver.bindAddress", "127.0.0.1")
             .config("spark.driver.host", "127.0.0.1").config("spark.sql.warehouse.dir", folder + "/warehouse").getOrCreate())
    spark.sparkContext.setLogLevel("OFF")
    simple = {"boolean": BooleanType, "int": IntegerType, "long": LongType, "float": FloatType, "double": DoubleType, "date": DateType,
              "timestamp": TimestampNTZType, "timestamptz": TimestampType, "string": StringType, "binary": BinaryType}

    def type_of(f, present):
        kind = f["type"]
        if kind == "struct":
            inner = [StructField(c["name"], type_of(c, present[c["name"]])) for c in f["children"]
                     if c["name"] in present and not c["type"].startswith(NO_TYPE) or c["type"].startswith("timestamp") and c["name"] in present]
            return StructType(inner)
        if kind == "list":
            return ArrayType(type_of(f["children"][0], present["element"]))
        if kind == "map":
            return MapType(StringType(), type_of(f["children"][1], present["value"]))
        if kind.startswith("decimal"):
            digits, scale = kind[8:-1].split(",")
            return DecimalType(int(digits), int(scale))
        return BinaryType() if kind.startswith("fixed") else simple[kind]()

    for path in sorted(glob.glob(folder + "/*.parquet")):
        with open(path[:-8] + ".present") as f:
            present = json.load(f)
        with open(path[:-8] + ".json") as f:
            schema = type_of(json.load(f)["schema"], present)
        with open(path + ".spark", "wb") as out:
            import pickle
            try:
                rows = [r.asDict(recursive=True) for r in spark.read.schema(schema).parquet(path).collect()]
                pickle.dump((schema.fieldNames(), rows), out)
            except Exception as e:
                pickle.dump((None, str(e)), out)
    with open(folder + "/ancient.spark", "w") as out:
        try:
            json.dump([r[0] for r in spark.read.parquet(folder + "/ancient").selectExpr("cast(t as string)").collect()], out)
        except Exception as e:
            json.dump(str(e), out)
    spark.stop()


if len(sys.argv) > 2:
    spark_main(sys.argv[1], sys.argv[2])
    sys.exit(0)
if not SPARK:
    print("skip parquet_spark: set HYDRANT_SPARK to a Python that has pyspark (it wants Java, too)")
    sys.exit(0)
import pickle
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "interop"))
import written
from written import Written, compare, generate, read, report


def typed(field, present):
    """The tree of columns without what Spark has no type for."""
    out = {}
    for c in field["children"]:
        name = c["name"] if field["type"] == "struct" else "value" if field["type"] == "map" and c["name"] == "value" else "element"
        if name in present and (c["type"].startswith("timestamp") or not c["type"].startswith(NO_TYPE)):
            out[name] = typed(c, present[name])
    return out


def drop(value, field):
    """Without what Spark has no type for."""
    kind = field["type"]
    if value is None:
        return None
    if kind == "struct":
        return {c["name"]: drop(value.get(c["name"]), c) for c in field["children"] if c["type"].startswith("timestamp") or not c["type"].startswith(NO_TYPE)}
    if kind == "list":
        return [drop(v, field["children"][0]) for v in value]
    if kind == "map":
        return sorted(((k, drop(v, field["children"][1])) for k, v in value), key=lambda p: p[0])  # Spark's maps have no order
    return value


def asked(path):
    """By trial in all codecs, the other variants in one."""
    name = os.path.basename(path)
    return name.count("-") < 3 or "trial" in name or "zstd" in name


def check(folder, vectorized):
    label = "spark-vectorized" if vectorized == "true" else "spark"
    done = subprocess.run([SPARK, os.path.abspath(__file__), folder, vectorized], capture_output=True, env=dict(os.environ, TZ="UTC", PYSPARK_PYTHON=SPARK, PYSPARK_DRIVER_PYTHON=SPARK))
    if done.returncode:
        report(label, done.stderr.decode(errors="replace")[-400:])
        return
    with open(folder + "/ancient.spark") as f:
        times = json.load(f)
    report("years before 1900/" + label, times if times != ["0001-01-01 00:00:00", "1582-10-10 00:00:00", "2026-11-22 10:00:00"] else None)
    refused = set()
    for path in sorted(glob.glob(folder + "/*.parquet")):
        w = Written(path)
        with open(path + ".spark", "rb") as f:
            names, rows = pickle.load(f)
        name = "%s/%s" % (w.name, label)
        if names is None:
            if vectorized == "true" and "BYTE_STREAM_SPLIT" in rows:
                refused.add("BYTE_STREAM_SPLIT")  # why the writer does not choose it unless asked to
                continue
            lengths = any("DELTA_LENGTH_BYTE_ARRAY" in w.file.metadata.row_group(g).column(c).encodings
                          for g in range(w.file.metadata.num_row_groups) for c in range(w.file.metadata.num_columns))
            if vectorized == "true" and lengths and KNOWN in rows and "lengths" in w.name:
                refused.add("DELTA_LENGTH_BYTE_ARRAY")
                continue
            report(name, rows)
            continue
        present = typed(w.schema, w.present)
        compare(name, [drop(read(r, w.schema, present), w.schema) for r in rows], [drop(r, w.schema) for r in w.want])
    print("ok %s refuses: %s" % (label, sorted(refused)))


with tempfile.TemporaryDirectory() as folder:
    generate(folder)
    os.mkdir(folder + "/ancient")
    with open(folder + "/ancient.ndjson", "w") as f: # Go's zero time, and a day that the Julian calendar's last ten do not have
        f.writelines('{"t":"%sZ"}\n' % t for t in ("0001-01-01T00:00:00", "1582-10-10T00:00:00", "2026-11-22T10:00:00"))
    subprocess.run([os.environ["HYDRANT"], "convert", folder + "/ancient.ndjson", folder + "/ancient/a.parquet"], check=True)
    for path in glob.glob(folder + "/*.parquet"):
        if not asked(path):
            os.remove(path)
    for path in glob.glob(folder + "/*.parquet"):
        with open(path[:-8] + ".present", "w") as f:
            json.dump(Written(path).present, f)
    for vectorized in ("true", "false"):
        check(folder, vectorized)
sys.exit(1 if written.failures else 0)
