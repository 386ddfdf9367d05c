#!/usr/bin/env python3
"""Memory stays within the budget however much comes and however its times lie: 300 MB of made-up events, in order, shuffled over 400 days, and
over HTTP in 8 MB bodies. The 5 GB version: tests/crash/README.md."""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "crash"))
from lib import *  # noqa: E402,F403
from post_file import post_file  # noqa: E402

BYTES, LIMIT_MIB = 300_000_000, 512


def generate(mode):
    """(path, events, sum of `amount`)"""
    with open("events.ndjson", "wb") as f:
        said = subprocess.run(["./gen", str(BYTES), mode], stdout=f, stderr=subprocess.PIPE, check=True).stderr
    events, total, _ = map(int, said.split())
    return "events.ndjson", events, total


def peak_mib(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) / 1024


def same(name, lake, events, total):
    row = query("select count(*) as n, sum(amount)::bigint as s from ev", lake)[0]
    equal(name, (int(row["n"]), int(row["s"])), (events, total))


def files_of(lake):
    return sum(key.endswith(".parquet") for key in lake_files(lake, "ev/data"))


def ingest(mode, name):
    path, events, total = generate(mode)
    began = time.monotonic()
    process = subprocess.Popen([HYDRANT, *on_store(["ingest", "ev", path, "--lake", mode])], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    peak, cpu = used.ru_maxrss / 1024, used.ru_utime + used.ru_stime
    print("%s: peak %.0f MiB, %.1f s, %.1f s of CPU, %d files" % (mode, peak, time.monotonic() - began, cpu, files_of(mode)), file=sys.stderr)
    equal(name + "_is_done", process.returncode, 0)
    check(name + "_stays_within_512_mib", peak < LIMIT_MIB, "%.0f MiB, %s" % (peak, said[-200:]))
    same(name + "_is_complete", mode, events, total)
    done = hydrant("verify", "ev", "--lake", mode)
    check(name + "_verifies", done.returncode == 0, done.stdout + done.stderr)


def over_http():
    path, events, total = generate("shuffled")
    with open("settings.yaml", "w", encoding="ascii") as f:
        f.write("commit_interval: 5s\ncommit_interval_idle: 5s\n")
    with Server("http", "--config", "settings.yaml") as s:
        accepted, took, _ = post_file(path, "http://127.0.0.1:%d" % s.port, "ev")
        equal("http_accepts_all", accepted, events)
        status, _, _ = s.request("POST", "/v1/collections/ev/flush")
        equal("http_is_flushed", status, 200)
        same("http_is_complete", "http", events, total)
        peak = peak_mib(s.process.pid)
        print("http: peak %.0f MiB, acked in %.1f s, %d files" % (peak, took, files_of("http")), file=sys.stderr)
        check("http_stays_within_512_mib", peak < LIMIT_MIB, "%.0f MiB" % peak)
        equal("http_drains", s.stop(), 0)


subprocess.run([os.environ.get("CC", "cc"), "-O2", "-o", "gen", os.path.join(os.environ["HYDRANT_TESTS"], "crash", "gen_events.c")], check=True)
ingest("ordered", "ingest_in_order")
ingest("shuffled", "ingest_of_400_days")
equal("a_commit_makes_at_most_two_files_a_day", files_of("shuffled") <= 2 * 401, True)
over_http()
done_testing()
