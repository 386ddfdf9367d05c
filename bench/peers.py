"""One conversion by another tool, in a process of its own: peers.py WAY IN.ndjson OUT.parquet SECONDS [SCHEMA]

It prints one line of JSON: the CPU seconds (user + system, all threads) that the conversion took, the import of the library and the start of
Python not counted. One thread, zstd level 1, everything else as the library does it by itself. For `duckdb-schema` SCHEMA is what
`duckdb-describe` printed: the types that DuckDB itself inferred.
After SECONDS of CPU the kernel ends it (SIGXCPU).
"""
import json
import os
import resource
import sys

MEMORY_MAX = 16 << 30  # of address space: what needs more fails instead of taking the machine down

os.environ["POLARS_MAX_THREADS"] = "1"


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


# Each way: imports, then returns what does the work.

def duckdb_copy(source, target):
    return ("copy (select * from %s) to %s (format parquet, compression zstd, compression_level 1)" % (source, quoted(target)))


def duckdb_connection():
    import duckdb
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    return connection


def duckdb_infer(source, target, _):
    connection = duckdb_connection()
    return lambda: connection.execute(duckdb_copy("read_json(%s, format = 'newline_delimited')" % quoted(source), target))


def duckdb_schema(source, target, schema):
    connection = duckdb_connection()
    columns = json.loads(schema)
    # Where it made one map of the whole record, that is no column of the record's.
    records = "" if len(columns) > 1 or not columns[0][1].startswith("MAP") else ", records = false"
    listed = "{" + ", ".join("%s: %s" % (quoted(n), quoted(t)) for n, t in columns) + "}"
    reader = "read_json(%s, format = 'newline_delimited', columns = %s%s)" % (quoted(source), listed, records)
    return lambda: connection.execute(duckdb_copy(reader, target))


def duckdb_describe(source, _, __):
    connection = duckdb_connection()
    return lambda: [row[:2] for row in connection.execute("describe select * from read_json(%s, format = 'newline_delimited')" % quoted(source)).fetchall()]


def polars_way(scan, **options):
    def way(source, target, _):
        import polars
        if scan:
            return lambda: polars.scan_ndjson(source, **options).sink_parquet(target, compression="zstd", compression_level=1)
        return lambda: polars.read_ndjson(source, **options).write_parquet(target, compression="zstd", compression_level=1)
    return way


def pyarrow_json(source, target, _):
    import pyarrow
    import pyarrow.json
    import pyarrow.parquet
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    options = pyarrow.json.ReadOptions(use_threads=False)
    return lambda: pyarrow.parquet.write_table(pyarrow.json.read_json(source, read_options=options), target, compression="zstd", compression_level=1)


def chdb_file(source, target, _):
    import chdb
    query = ("select * from file(%s, JSONEachRow) into outfile %s truncate format Parquet settings max_threads = 1, "
             "output_format_parquet_compression_method = 'zstd', output_format_compression_level = 1, output_format_parquet_parallel_encoding = 0, "
             "input_format_parallel_parsing = 0" % (quoted(source), quoted(target)))
    return lambda: chdb.query(query)


WAYS = {
    "duckdb-infer": duckdb_infer,
    "duckdb-schema": duckdb_schema,
    "duckdb-describe": duckdb_describe,
    "polars-scan": polars_way(True),
    "polars-read": polars_way(False),
    "polars-scan-all": polars_way(True, infer_schema_length=None),
    "polars-read-all": polars_way(False, infer_schema_length=None),
    "pyarrow": pyarrow_json,
    "chdb": chdb_file,
}


def main():
    if sys.argv[1] == "versions":
        from importlib.metadata import version
        print(json.dumps({p: version(p) for p in ("duckdb", "polars", "pyarrow", "chdb-core")}))
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    seconds = int(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))  # at the second number it would be SIGKILL
    work = WAYS[sys.argv[1]](sys.argv[2], sys.argv[3], sys.argv[5] if len(sys.argv) > 5 else None)
    before = cpu()
    result = work()
    said = {"cpu": cpu() - before}
    if sys.argv[1] == "duckdb-describe":
        said["schema"] = result
    print(json.dumps(said), flush=True)
    os._exit(0)  # what the libraries do while they end is not measured either


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:
        # The libraries say it in any number of lines, some after a stack trace of their own: the parent looks for this mark.
        text = " ".join(str(error).split()) or type(error).__name__
        print("FAILED: " + text.replace(sys.argv[2], "FILE")[:300], file=sys.stderr)
        os._exit(1)
