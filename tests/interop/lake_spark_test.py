#!/usr/bin/env python3
"""What `convert` writes by default of the five kinds of bench events, and a lake read through Iceberg's HadoopCatalog, with Apache Spark: with its
vectorized reader and with parquet-java's own, every column equal by hash to what DuckDB reads.

HYDRANT_SPARK names a Python that has pyspark; HYDRANT_SPARK_ICEBERG the iceberg-spark-runtime jar that fits it. The last run stands in docs/parquet.md.
"""
import os
import pickle
import subprocess
import sys

SPARK = os.environ.get("HYDRANT_SPARK")
ICEBERG = os.environ.get("HYDRANT_SPARK_ICEBERG")
KINDS = ("logs", "track", "github", "hostile", "options")
CODECS = ("snappy", "gzip", "lz4_raw", "uncompressed")  # of one kind; all of them in zstd, the default


def spark_main(vectorized):
    """In Spark's Python: the rows of each file and table, or what Spark said."""
    import glob
    from pyspark.sql import SparkSession
    builder = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.memory", "2g")
               .config("spark.sql.session.timeZone", "UTC").config("spark.sql.parquet.enableVectorizedReader", vectorized)
               .config("spark.sql.parquet.enableNestedColumnVectorizedReader", vectorized).config("spark.driver.bindAddress", "127.0.0.1")
               .config("spark.driver.host", "127.0.0.1").config("spark.sql.debug.maxToStringFields", "10"))
    if ICEBERG:
        builder = (builder.config("spark.jars", ICEBERG).config("spark.sql.catalog.lake", "org.apache.iceberg.spark.SparkCatalog")
                   .config("spark.sql.catalog.lake.type", "hadoop").config("spark.sql.catalog.lake.warehouse", os.path.abspath("warehouse")))
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    asked = [(path, lambda path=path: spark.read.parquet(path)) for path in sorted(glob.glob("*.parquet"))]
    if ICEBERG:
        asked += [("lake-" + kind, lambda kind=kind: spark.read.option("vectorization-enabled", vectorized).table("lake.db.%s" % kind)) for kind in KINDS]
    out = {}
    for name, frame in asked:
        try:
            out[name] = [r.asDict(recursive=True) for r in frame().collect()]
        except Exception as e:
            out[name] = "%s: %s" % (type(e).__name__, str(e)[-300:])
    with open("spark-%s" % vectorized, "wb") as f:
        pickle.dump(out, f)
    spark.stop()


if len(sys.argv) > 1:
    spark_main(sys.argv[1])
    sys.exit(0)
sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

if not SPARK:
    skip("lake_spark", "set HYDRANT_SPARK to a Python that has pyspark (it wants Java, too)")
    sys.exit(0)
import duckdb
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "interop"))
from column_model import *


def make_events():
    source = os.path.join(os.environ["HYDRANT_TESTS"], "..", "bench")
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-I" + source + "/..", "-o", "load"] +
                   [os.path.join(source, name + ".c") for name in ("load", "events", "line", *KINDS)], check=True)
    for kind in KINDS:
        subprocess.run(["./load", "--generate", kind + ".ndjson", "--kind", kind, "--bytes", "500000"], check=True)


def fill():
    make_events()
    for kind in KINDS:
        for codec in ("zstd:1",) + (CODECS if kind == "github" else ()):
            done = hydrant("convert", kind + ".ndjson", "%s-%s.parquet" % (kind, codec.split(":")[0]), "--codec", codec)
            equal("convert %s, %s" % (kind, codec), done.returncode, 0)
        done = hydrant("ingest", kind, kind + ".ndjson", "--lake", "warehouse/db")
        equal("ingest %s" % kind, (done.returncode, done.stderr[-200:] if done.returncode else b""), (0, b""))


def rows_by_duckdb(name):
    con = duckdb.connect()
    con.execute("set timezone='UTC'")
    files = "warehouse/db/%s/data/**/*.parquet" % name[5:] if name.startswith("lake-") else name
    result = con.sql("select * from read_parquet('%s', union_by_name = true, hive_partitioning = false)" % files)
    return next(getattr(result, m) for m in ("to_arrow_table", "fetch_arrow_table") if hasattr(result, m))()


def compare(label, name, rows):
    label = "%s read by %s" % (name, label)
    if isinstance(rows, str):
        not_ok(label, rows)
        return
    table = rows_by_duckdb(name)
    want, maps = table.to_pylist(), [f.name for f in table.schema if pa.types.is_map(f.type)]
    if name.startswith("lake-"):  # files come in any order
        for some in (rows, want):
            some.sort(key=lambda r: (r["__source"], r["__pos"]))
    differ = []
    for column in table.schema.names:
        hashes = [digest(canonical(as_map(r[column]) if column in maps else r[column]) for r in some) for some in (rows, want) if not some or column in some[0]]
        if len(hashes) != 2 or hashes[0] != hashes[1]:
            differ.append(column)
    check("%s: %d columns of %d rows as in DuckDB" % (label, len(table.schema.names), len(want)), want and len(rows) == len(want) and not differ,
          "%d rows, %d; differ: %s" % (len(rows), len(want), differ[:5]))


fill()
for vectorized in ("true", "false"):
    done = subprocess.run([SPARK, os.path.abspath(__file__), vectorized], capture_output=True,
                          env=dict(os.environ, TZ="UTC", PYSPARK_PYTHON=SPARK, PYSPARK_DRIVER_PYTHON=SPARK))
    equal("spark ran, vectorized %s" % vectorized, (done.returncode, done.stderr[-300:] if done.returncode else b""), (0, b""))
    if done.returncode:
        continue
    with open("spark-" + vectorized, "rb") as f:
        for name, rows in pickle.load(f).items():
            compare("spark-vectorized" if vectorized == "true" else "spark", name, rows)
done_testing()
