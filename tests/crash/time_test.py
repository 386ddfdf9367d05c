#!/usr/bin/env python3
"""Time that does not go on as it should: the wall clock jumps by hours under load, one of two nodes on a lake stands still through the other's commits.
CRASH_LONG=1: many rounds."""
import os
import random
import shutil
import signal
import sys
import threading

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "crash"))
from lib import *  # noqa: E402,F403
from hurt import LONG, Clock, Injector, can_attach, wait_for  # noqa: E402
from lake import Lake  # noqa: E402
from load import Broken, HalfClosed, Mixed, Quick, Slow  # noqa: E402

HOUR = 3600
UNKEYED = (Quick, Quick, Mixed, Slow, HalfClosed, Broken)  # the window of a key is a time


def say(text):
    print(text, file=sys.stderr, flush=True)


def clock_jumps():
    lake = Lake("clock", 31, say=say, interval="0.2s")
    lake.load.kinds = UNKEYED
    clock = Clock(".")
    lake.env = clock.env
    jumps = [5 * HOUR, -9 * HOUR, 400 * 24 * HOUR, -400 * 24 * HOUR]
    for i, seconds in enumerate(jumps * (5 if LONG else 1)):
        lake.start()
        lake.load.start(lake.port)
        time.sleep(0.3)
        clock.jump(seconds)
        acked = lake.load.acked()
        check("acks_go_on_when_the_clock_jumps_by_%d_h" % (seconds // HOUR), wait_for(lambda: lake.load.acked() > acked, 3), lake.log_tail())  # noqa: B023
        time.sleep(0.3)
        refused = lake.load.refused
        lake.kill() if i % 2 else None
        lake.load.stop(gone=bool(i % 2))
        commits = i % 2 or lake.request("POST", "/v1/collections/load_a/flush")[0] == 200
        check("commits_go_on_when_the_clock_jumps_by_%d_h" % (seconds // HOUR), commits and not refused, "%s %d %s" % (commits, refused, lake.log_tail()))
        lake.problems += lake.load.surprises
        lake.kill()
        clock.jump(-seconds if i % 4 == 3 else 0)  # it may be another at the start
    lake.finish()
    check("acked_events_survive_a_clock_that_jumps", not lake.problems, "; ".join(lake.problems[:3]))


class Node:
    """A server with a log of its own on the lake of both, and a client of it."""

    def __init__(self, number):
        self.number, self.acked, self.sent, self.failed, self.ending = number, set(), set(), [], threading.Event()
        with open("node-%d.yaml" % number, "w", encoding="utf-8") as f:
            f.write("lake: %s\ndata: %s\ncommit_interval: 0.2s\ncommit_interval_idle: 0.2s\n" % (lake_url("two"), os.path.abspath("data-%d" % number)))
        self.server = Server(None, "--config", "node-%d.yaml" % number)
        self.thread = threading.Thread(target=self.client, daemon=True)
        self.thread.start()

    def client(self):
        n = self.number
        while not self.ending.is_set():
            some = set(range(n, n + 40, 2))
            n += 40
            self.sent |= some
            status, answer = self.server.post("ev", "".join('{"n":%d}\n' % k for k in sorted(some)).encode(), {"Content-Type": "application/x-ndjson"})
            if status == 200:
                self.acked |= some
            else:
                self.failed.append(answer)
            time.sleep(0.02)

    def end(self):
        self.ending.set()
        self.thread.join(60)


def versions():
    return sum(k.endswith(".metadata.json") for k in lake_files("two", "ev/metadata"))


def state(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        return f.read().rpartition(")")[2].split()[0]


def a_node_stands_still(precise):
    nodes, rng, stood = [Node(0), Node(1)], random.Random(32), 0
    check("both_nodes_commit", wait_for(lambda: os.path.isdir("two/ev") and versions() > 3, 10))
    for i in range(30 if LONG else 4):
        node = nodes[i % 2]
        pid = node.server.process.pid
        if precise:  # as it is about to name something: a file's, or the table's next version
            injector = Injector(pid, "link,linkat,rename", signal_="SIGSTOP", when=str(rng.randint(1, 2)))
            met = wait_for(lambda: state(pid) in "tT", 8)  # noqa: B023
            injector.stop()
            os.kill(pid, signal.SIGSTOP)
        else:
            time.sleep(rng.random() * 0.3)
            os.kill(pid, signal.SIGSTOP)
            met = True
        before = versions()
        wait_for(lambda: state(pid) == "T", 2)  # noqa: B023
        others = wait_for(lambda: versions() >= before + 2, 10)  # noqa: B023
        os.kill(pid, signal.SIGCONT)
        acked = len(node.acked)
        if not others:
            not_ok("the_other_node_commits_meanwhile", versions() - before)
        if not wait_for(lambda: len(node.acked) > acked, 10):  # noqa: B023
            not_ok("a_node_that_stood_still_goes_on", node.server.last_line())
        stood += met
    say("stood still %d times, %d versions of the table" % (stood, versions()))
    check("nodes_stood_still", stood >= (20 if LONG else 3), stood)
    for node in nodes:
        node.end()
        equal("node_%d_refused_nothing" % node.number, node.failed, [])
    for node in nodes:
        equal("node_%d_commits_the_rest" % node.number, node.server.request("POST", "/v1/collections/ev/flush")[0], 200)
        equal("node_%d_ends_well" % node.number, node.server.stop(), 0)
    got = sorted(int(r["n"]) for r in query("select n from ev", "two"))
    acked = nodes[0].acked | nodes[1].acked
    check("a_node_that_stood_still_through_commits_loses_and_doubles_nothing", got == sorted(acked), "%d there, %d of them distinct, %d acked" % (
        len(got), len(set(got)), len(acked)))
    equal("verify_agrees", hydrant("verify", "--lake", "two").returncode, 0)


clock_jumps()
why_not = (shutil.which("strace") is None and "there is no strace") or can_attach()
if why_not:
    say("standing still at random moments only: " + why_not)
a_node_stands_still(not why_not)
done_testing()
