"""docs/benchmarks.md out of what was measured."""
import datetime
import subprocess

from converted import MAIN_KINDS, PEERS
from measure import ROOT, geomean

WAYS = {"polars-scan": "scan_ndjson → sink_parquet", "polars-read": "read_ndjson → write_parquet", "polars-scan-all": "scan_ndjson, infer_schema_length=None",
        "polars-read-all": "read_ndjson, infer_schema_length=None"}


def table(head, rows):
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def peers_of(results):
    return [name for name in PEERS if any(name in r["peers"] for r in results)]


def cell(r, name, text):
    peer = r["peers"].get(name)
    return "–" if peer is None else "fails" if "error" in peer else text(peer)


def duckdb_better(r):
    """DuckDB's better way on this corpus."""
    ratios = [p["ratio"] for n, p in r["peers"].items() if n.startswith("DuckDB") and "error" not in p]
    return min(ratios) if ratios else None


def ratio_table(results):
    names = peers_of(results)
    rows = []
    for r in results:
        better = duckdb_better(r)
        rows.append([r["kind"], "%.0f MB" % (r["size"] / 1e6), "%.2f s" % r["cpu"], "**%.0f MB/s**" % (r["size"] / 1e6 / r["cpu"]),
                     "**%.2f**" % better if better else "–"] +
                    [cell(r, n, lambda p: "%.2f%s" % (p["ratio"], "" if p["part"] > 0.99 else " ¹")) for n in names])
    main = [r for r in results if r["kind"] in MAIN_KINDS]
    if len(main) > 1:
        means = []
        for n in names:
            ratios = [r["peers"][n]["ratio"] for r in main if "ratio" in r["peers"].get(n, {})]
            means.append("%.2f%s" % (geomean(ratios), "" if len(ratios) == len(main) else " (of %d)" % len(ratios)) if ratios else "–")
        betters = [duckdb_better(r) for r in main if duckdb_better(r)]
        rows.append(["geometric mean of " + ", ".join(r["kind"] for r in main), "", "", "**%.0f MB/s**" % geomean([r["size"] / 1e6 / r["cpu"] for r in main]),
                     "**%.2f**" % geomean(betters) if betters else "–"] + means)
    yield from table(["", "JSON", "hydrant, CPU", "a core", "DuckDB's better way ÷ hydrant"] + [n + " ÷ hydrant" for n in names], rows)


def rounds_table(results):
    names = peers_of(results)
    yield from table([""] + names, [[r["kind"]] + [cell(r, n, lambda p: " · ".join("%.2f" % x for x in p["ratios"])) for n in names] for r in results])


def size_table(results):
    names = [n for n in peers_of(results) if n != "DuckDB, schema given"]
    rows = []
    def relative(r):
        theirs = [p["bytes"] for n, p in r["peers"].items() if n.startswith("DuckDB") and "error" not in p]
        return r["bytes"] / min(theirs) if theirs else None
    for r in results:
        rows.append([r["kind"], "%.2f MB" % (r["bytes"] / 1e6), "**%.3f**" % relative(r) if relative(r) else "–"] +
                    [cell(r, n, lambda p: "%.2f MB%s" % (p["bytes"] / p["part"] / 1e6, "" if p["part"] > 0.99 else " ¹")) for n in names])
    all_of = [relative(r) for r in results if relative(r)]
    if len(all_of) > 1:
        rows.append(["geometric mean", "", "**%.3f**" % geomean(all_of)] + [""] * len(names))
    yield from table(["", "hydrant", "hydrant ÷ DuckDB"] + names, rows)


def memory_table(results):
    names = peers_of(results)
    yield from table(["", "hydrant", "hydrant, 2 threads"] + names, [
        [r["kind"], "%.0f MiB" % r["peak_mib"], "%.0f MiB" % r["threads"]["peak_mib"] if "threads" in r else "–"] +
        [cell(r, n, lambda p: "%.0f MiB%s" % (p["peak_mib"], "" if p["part"] > 0.99 else " ¹")) for n in names] for r in results])


def restore_table(results):
    rows = []
    for r in results:
        s, back = r["stats"], r["restore"]
        rows.append([r["kind"], "**%.0f MB/s**" % (r["size"] / 1e6 / back["cpu"]), "yes" if back["same"] else "**no**", "%.2f %%" % (100 * s["raw_rows"] / r["events"]),
                     "%.2f %%" % (100 * s["shape_bytes"] / r["bytes"]), "%.2f %%" % (100 * s["raw_bytes"] / r["bytes"]), "%.0f MiB" % back["peak_mib"]])
    yield from table(["", "JSON a CPU second", "the same bytes", "rows with `__raw`", "`__shape`, of the file", "`__raw`, of the file", "peak memory"], rows)


def own_table(results):
    rows = []
    for r in results:
        t, i = r.get("threads"), r.get("ingest")
        rows.append([r["kind"]] + (["%.2f s" % t["wall"], "%.2f s" % t["apart"], "**%.2f**" % t["ratio"], "yes" if t["same"] else "**no**"] if t else ["–"] * 4) +
                    (["**%.2f**" % i["ratio"], "%.3f" % (i["bytes"] / r["bytes"]), "%.0f MiB" % i["peak_mib"]] if i else ["–"] * 3))
    yield from table(["", "2 threads, wall", "2 processes on the halves, wall", "processes ÷ threads", "same bytes as 1 thread", "`ingest` ÷ `convert`, CPU",
                      "lake file ÷ converted file", "`ingest`, peak memory"], rows)


def column_lines(results):
    rows = []
    for r in results:
        c = r.get("columns")
        if c:
            rows.append([r["kind"], str(c["leaves"]), "{:,}".format(c["values"]), "yes" if not c["wrong"] else "**no**: " + "; ".join(c["wrong"][:8])])
    if not rows:
        return
    yield from ["### The same values", "",
                "Each leaf column of DuckDB's file (with its own inference) against hydrant's: the number of values that are not null and the sum of a hash of each "
                "value, which does not depend on the order, must agree. Compared are the values, not the types: numbers as numbers (a decimal equals the double that "
                "DuckDB makes of it), UUIDs and dates as text, times as microseconds. A key whose values hydrant keeps in several columns (`x`, `x__string`, …, "
                "`__rest`) counts with all of them; where DuckDB has JSON text or a map, both sides are taken apart into paths and scalars (of the first 200,000 events). A number whose text hydrant "
                "keeps in `__rest` beside its column is one value.", ""]
    yield from table(["", "leaf columns", "values", "equal"], rows)
    yield ""


def convert_lines(args, results, versions):
    yield from ["## `hydrant convert` against the others", "", "![MB of JSON a CPU second, by tool](benchmarks.svg)", "",
                "The same generated file to Parquet, zstd level 1, one thread each, by turns: in each of %d rounds hydrant, then every peer (every other round in reverse), each with the file in the page cache; "
                "CPU seconds (user + system), a round's ratio is of that round, the medians. hydrant's time is that of the whole process and includes what exact "
                "restore needs; of the peers only the conversion counts, not the start of Python and the import. Above 1: hydrant is quicker." % args.rounds, "",
                "DuckDB %s, Polars %s, pyarrow %s, chdb %s. *Schema given*: `columns = {…}` with the types that DuckDB inferred before, not timed." % tuple(
                    versions.get(p, "?") for p in ("duckdb", "polars", "pyarrow", "chdb-core")), ""]
    yield from ratio_table(results)
    notes = ["%s: %s" % (r["kind"], ", ".join("%s %.0f MB" % (n, p["mb"]) for n, p in r["peers"].items() if p.get("part", 1) <= 0.99)) for r in results
             if any(p.get("part", 1) <= 0.99 for p in r["peers"].values())]
    if notes:
        yield from ["", "¹ Slow there, so on the first part of the file only, scaled by bytes (%s)." % "; ".join(notes)]
    failing = ["- %s, %s: %s" % (n, r["kind"], p["error"][:300].replace("|", "\\|")) for r in results for n, p in r["peers"].items() if "error" in p]
    if failing:
        yield from ["", "Failing:"] + failing
    ways = ["%s: %s" % (r["kind"], WAYS[p["way"]]) for r in results for n, p in r["peers"].items() if p.get("way") in WAYS]
    if ways:
        yield from ["", "Polars was tried both ways, the quicker is shown (%s)." % "; ".join(ways)]
    yield from ["", "Ratios of each round:", ""]
    yield from rounds_table(results)
    yield from ["", "### Sizes", "", "Of the files; DuckDB's is the smaller of its two.", ""]
    yield from size_table(results)
    yield from ["", "### Peak memory", "", "Resident, of the process (Python and the library included).", ""]
    yield from memory_table(results)
    yield ""
    yield from column_lines(results)
    yield from ["### Restore, and what it costs", "", "`hydrant restore FILE > /dev/null`, and once through `cmp` with the source.", ""]
    yield from restore_table(results)
    if any("threads" in r or "ingest" in r for r in results):
        yield from ["", "### Two threads, and into a lake", "", "Two threads on the file against two processes of one thread, each on one half, at the same time. `hydrant ingest` of "
                    "the file into a fresh lake against `convert` of it; the size of the lake's data files.", ""]
        yield from own_table(results)
    yield ""


def acked_table(rows):
    yield from table(["", "acked a second", "aim", "MB/s", "p50", "p99", "events a sync", "server CPU a request", "peak memory"], [
        [what, "{:,.0f}".format(r["events_per_s"]), aim, "%.0f" % r["mb_per_s"], "%.2f ms" % r["p50_ms"], "%.2f ms" % r["p99_ms"],
         "%.0f" % (r["events"] / max(r["syncs"], 1)), "%.1f µs" % (r["server_cpu_s"] / r["requests"] * 1e6), "%.0f MiB" % r["peak_mib"]] for what, aim, r in rows])


def stream_table(results):
    yield from table(["", "sent", "acked", "committed", "waiting, peak of each fifth of the time", "flat", "429s", "p99", "server CPU", "MB a CPU second", "client CPU",
                      "peak memory", "Parquet"], [
        [kind, "%.1f GB in %.0f s" % (r["bytes"] / 1e9, r["seconds"]), "%.0f MB/s" % r["mb_per_s"], "**%.0f MB/s**" % r["committed_mb_per_s"],
         " · ".join("%.0f" % p for p in r["pending_peaks"]) + " MB", "yes" if r["flat"] else "no", "%d" % r["refused"], "%.0f ms" % r["p99_ms"],
         "%.2f cores" % (r["server_cpu_s"] / r["seconds"]), "%.0f" % (r["bytes"] / 1e6 / r["server_cpu_s"]), "%.2f cores" % (r["client_cpu_s"] / r["seconds"]),
         "%.0f MiB" % r["peak_mib"], "%d files, %.1f %% of the JSON" % (r["files"], 100 * r["file_bytes"] / r["bytes"])] for kind, r in results.items()])


def served_lines(args, results):
    yield from ["The client of the next parts (`bench/load.c`) runs on the same cores as the server, over loopback, with one request in flight on each connection. It "
                "checks that every answer is a 200 that accepts exactly the events sent; after each run all acked events are counted again in the committed table.", ""]
    if results["acked"]:
        yield from ["## Acked: durable in the log", "", "fsync is on, as always: a 200 means that the log's `fdatasync` behind the event has returned. "
                    "Best of %d runs of %.0f s." % (args.rounds, args.ack_seconds), ""]
        yield from acked_table(results["acked"])
        yield from ["", "Small posts are bound by the system calls of TCP (one receive and one send on each side), not by the log: all posts that arrive "
                    "during one sync share the next one (`events a sync`). Bodies are bound by the disk, and by checking each byte's JSON before it is accepted.", ""]
    if results["stream"]:
        yield from ["## Committed: NDJSON over HTTP into Parquet", "",
                    "64 KB bodies on 16 connections%s, each event with the time of its sending and ids of its own, against the default settings. `committed` is "
                    "measured from the first table commit to the last; `MB a CPU second` counts all of the server, from start to the last commit." % (
                        " at %.0f MB/s" % args.rate if args.rate else " as fast as they are acked"), ""]
        yield from stream_table(results["stream"])
        yield from ["", "The backlog is a saw: a commit takes what has come in during the one before (at least 1 GiB, or 60 s). It is flat when its peaks do not "
                    "grow. Memory is that of the whole server, the log's buffers and the columns being filled included; the budget is 512 MiB.", ""]


CORPORA = """The events are made up, the same bytes for the same seed (`load --generate FILE --kind K`), after what such services write:
- `logs`: flat access logs, 0.55 KB, 22 columns, floats with three digits (`0.120`): `bench/logs.c`
- `track`: analytics as the JavaScript libraries send them, 1.2 KB, nested, 77 leaf columns, UUIDs, times, lists of objects: `bench/track.c`
- `github`: public events of a code host, 1.6 KB, 328 leaf columns, sparse (9 types of events), long URLs: `bench/github.c`
- `hostile`: keys made of ids and fields that change their type in every event; in one of ten odd white space, escapes, keys twice, numbers in any form: `bench/hostile.c`
- `options`: 30 fields that are there or not, each by itself, and maps with ids and e-mail addresses as keys: `bench/options.c`"""


def page(args, m, results, versions, minutes):
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    lines = [
        "# Benchmarks", "",
        "Made by one command, `make bench` (%.0f minutes; `bench/run --help` for parts), on %s, commit %s." % (
            minutes, datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), commit), "",
        "Machine: %s, %d cores, %.0f GiB, Linux %s; the files on %s. One durable overwrite (`pwrite` + `fdatasync`) takes %.2f ms for 4 KiB and "
        "%.2f ms for 4 MiB here. Load average at the start: %.1f%s." % (
            m["cpu"], m["cores"], m["ram_gib"], m["kernel"], m["fs"], m["sync_ms"], m["sync_4m_ms"], m["load"],
            "" if m["load"] < 0.5 else " (**the machine was not quiet: figures are too low**)"), "", CORPORA, ""]
    if results["convert"]:
        lines += convert_lines(args, results["convert"], versions)
    if results["acked"] or results["stream"]:
        lines += served_lines(args, results)
    return "\n".join(lines)
