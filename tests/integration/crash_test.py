#!/usr/bin/env python3
"""The promise of a 200, in a minute: kill -9 under load, power cuts that drop what was not synced, death at every named crash point, and the
order of write, sync and answer. The long versions: tests/crash/run."""
import os
import shutil
import sys
import threading

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "crash"))
from lib import *  # noqa: E402,F403
import synctrace  # noqa: E402
from lake import FAULTS, TRIMS, Lake, build_shim  # noqa: E402
from load import Big, Broken, HalfClosed, Keyed, Mixed, Quick, Slow  # noqa: E402

FEW = (Quick, Quick, Mixed, Keyed, Slow, HalfClosed, Broken)


def say(text):
    print(text, file=sys.stderr, flush=True)


def verdict(name, lake):
    check(name, not lake.problems, "; ".join(lake.problems[:3]))


def kills():
    lake = Lake("kill", 11, say=say, interval="0.3s")
    for i in range(5):
        say(lake.cycle(lake.rng.uniform(0.3, 1.2), offline=i == 2))
    lake.finish()
    verdict("acked_events_survive_kill", lake)
    check("ready_within_5_s_after_kill", lake.slowest_ready < 5, lake.slowest_ready)


def power_cuts(shim):
    lake = Lake("power", 12, shim, say=say, interval="0.3s")
    for seed in (None, 5, None):
        say(lake.cycle(lake.rng.uniform(0.5, 1.2), seed=seed))
    lake.finish()
    verdict("acked_events_survive_power_cut", lake)


def shim_bites():
    """A disk that forgets synced writes, too, must be noticed: else the test above proves nothing."""
    lake = Lake("liar", 13, build_shim(".", "-DFORGET_SYNCS"), say=lambda text: None, interval="60s")
    lake.load.kinds = (Quick, Quick)
    try:
        lake.cycle(0.5)
    except RuntimeError as e:
        lake.problems.append(str(e))
    lake.kill()
    check("power_cut_finds_a_missing_sync", any("missing" in p or "no restart" in p for p in lake.problems), lake.problems)


def faults(shim):
    """One life a point, in one lake: each restart finds what the death before left. Half of them lose what was not synced."""
    lake = Lake("faults", 14, shim, say=say, interval="0.15s")
    lake.load.kinds = FEW
    missed = []
    for i, name in enumerate(f for f in FAULTS if f not in TRIMS):
        lake.load.kinds = FEW + ((Big,) * 6 if "rotate" in name else ())
        lake.spare_power = i % 2 == 0
        said = lake.cycle(25, "%s:1" % name, quick=True)
        missed += [name] if "not passed" in said else []
        say(said)
    lake.finish()
    verdict("acked_events_survive_every_crash_point", lake)
    equal("every_crash_point_was_passed", missed, [])


def sync_before_answer():
    os.mkdir("order")
    trace = os.path.abspath("order/trace")
    records = {}
    with Server("order/lake", wrap=["strace", *synctrace.STRACE, "-o", trace]) as s:
        def client(k):
            for i in range(12):
                mark = "mark-%d-%d-%s" % (k, i, os.urandom(6).hex())
                body = '{"m":"%s"}' % mark if i != 5 else '{"pad":"%s","m":"%s"}' % ("x" * 300000, mark)
                status, answer = s.post("order", body.encode())
                if status == 200:
                    records[int(answer["position"].split(":")[1])] = mark.encode()
        threads = [threading.Thread(target=client, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        # strace's child is the server
        with open("/proc/%d/task/%d/children" % (s.process.pid, s.process.pid), encoding="ascii") as f:
            os.kill(int(f.read().split()[0]), 9)
        s.process.wait(20)
    seen, problems = synctrace.check(trace, records)
    check("record_is_written_and_synced_before_its_200", not problems, "; ".join(problems[:3]))
    equal("every_200_is_in_the_trace", seen, set(records))
    equal("all_requests_were_acked", len(records), 48)


shim = build_shim(".")
kills()
power_cuts(shim)
shim_bites()
faults(shim)
if shutil.which("strace"):
    sync_before_answer()
else:
    skip("record_is_written_and_synced_before_its_200", "there is no strace")
done_testing()
