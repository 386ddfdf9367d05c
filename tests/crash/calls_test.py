#!/usr/bin/env python3
"""A server under load whose calls fail: syncs, writes, names, file handles, memory. What was acked before, meanwhile and after is there once, and it goes
on by itself when the fault is over. CRASH_LONG=1: five rounds, and all events are looked at after each fault."""
import os
import shutil
import signal
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "crash"))
from lib import *  # noqa: E402,F403
from hurt import CALL_FAULTS, LONG, Injector, can_attach, wait_for  # noqa: E402
from lake import Lake  # noqa: E402
from load import Big, Broken, HalfClosed, Keyed, Mixed, Quick, Slow  # noqa: E402

FEW = (Quick, Mixed, Keyed, Slow, HalfClosed, Broken)


def say(text):
    print(text, file=sys.stderr, flush=True)


def flushed(lake):
    return all(lake.request("POST", "/v1/collections/%s/flush" % name)[0] == 200 for name in ("load_a", "load_b"))


def failing_calls():
    lake = Lake("calls", 21, say=say, interval="0.2s")
    lake.load.kinds = FEW
    lake.start()
    for round_ in range(5 if LONG else 1):
        for name, (calls, error) in CALL_FAULTS.items():
            lake.load.start(lake.port)
            time.sleep(0.2)
            acked, refused = lake.load.acked(), lake.load.refused
            injector = Injector(lake.process.pid, calls, error)
            time.sleep(0.5)
            wait_for(lambda: injector.met() > 1, 8)  # noqa: B023
            met = injector.stop()
            say("%s: %d calls failed, %d events acked meanwhile, %d requests refused" % (name, met, lake.load.acked() - acked, lake.load.refused - refused))
            if not met:
                not_ok(name + "_is_met", "no %s was called" % calls)
            acked = lake.load.acked()
            goes_on = wait_for(lambda: lake.load.acked() > acked, 5) and lake.process.poll() is None  # noqa: B023
            lake.load.stop()
            commits = wait_for(lambda: flushed(lake), 10, 0.1)
            if LONG:
                lake.check(name)
            for text in lake.load.surprises:
                lake.problem("%s: %s" % (name, text))
            lake.load.surprises.clear()
            check("goes_on_by_itself_after_" + name, goes_on and commits, "acks: %s, commits: %s; %s" % (goes_on, commits, lake.log_tail()))
    lake.kill()
    lake.finish()
    check("acked_events_survive_calls_that_fail", not lake.problems, "; ".join(lake.problems[:3]))


def handles(lake):
    try:
        return len(os.listdir("/proc/%d/fd" % lake.process.pid))
    except OSError:
        return 0


def few_handles():
    lake, limit, most = Lake("few_handles", 22, say=say, interval="0.2s"), 40, 0
    lake.load.kinds = FEW * 8
    lake.start(wrap=["prlimit", "--nofile=%d" % limit])
    lake.load.start(lake.port)
    began = time.monotonic()
    while time.monotonic() - began < (2 if most >= limit - 2 else 15):  # it is met for moments only
        time.sleep(0.005)
        most = max(most, handles(lake))
    lake.load.stop()
    lake.problems += lake.load.surprises
    check("the_limit_of_handles_was_met", most >= limit - 2, most)
    check("goes_on_by_itself_after_few_file_handles", wait_for(lambda: flushed(lake), 10, 0.1), lake.log_tail())
    lake.kill()
    lake.finish()
    check("acked_events_survive_few_file_handles", not lake.problems and lake.load.acked(), "; ".join(lake.problems[:3]))


def little_memory():
    """Ever more address space, until a start succeeds and load then makes it end: by an abort, and the next start has all that was acked."""
    lake, aborts = Lake("little_memory", 23, say=say, interval="0.2s"), 0
    lake.load.kinds = (Big,) * 24 + FEW
    for megabytes in range(96, 4096, 4):
        acked = lake.load.acked()
        if not lake.start(wrap=["prlimit", "--as=%d" % (megabytes << 20)]):
            continue
        lake.load.start(lake.port)
        ended = wait_for(lambda: lake.process.poll() is not None, 3)
        lake.load.stop(gone=ended)
        lake.kill()
        say("%d MiB: ended with %d, %d events acked" % (megabytes, lake.process.returncode, lake.load.acked() - acked))
        aborts += lake.process.returncode == -signal.SIGABRT
        if lake.load.acked() and (aborts or not ended):
            break
    lake.problems += lake.load.surprises
    check("memory_that_ends_is_an_abort", aborts > 0, "%d aborts" % aborts)
    lake.finish()
    check("acked_events_survive_too_little_memory", not lake.problems and lake.load.acked(), "; ".join(lake.problems[:3]))


failing = shutil.which("strace") and can_attach() or ("" if shutil.which("strace") else "there is no strace")
if failing:
    skip("acked_events_survive_calls_that_fail", failing)
else:
    failing_calls()
few_handles()
little_memory()
done_testing()
