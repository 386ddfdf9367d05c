#!/usr/bin/env python3
"""Small file systems of the test's own, tmpfs and ext4: full, drained, read-only, broken down. What was acked is there once, and it goes on by itself when there
is space again. Wants root; CRASH_LONG=1: several rounds."""
import os
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "crash"))
from lib import *  # noqa: E402,F403
from hurt import LONG, Disk, in_own_mounts, wait_for  # noqa: E402
from lake import Lake  # noqa: E402
from load import Big, Bulk, Keyed, Mixed, Quick  # noqa: E402


def say(text):
    print(text, file=sys.stderr, flush=True)


def flushed(lake):
    return all(lake.request("POST", "/v1/collections/%s/flush" % name)[0] == 200 for name in ("load_a", "load_b"))


class Full:
    """How long load was refused, and what it was told."""

    def __init__(self, lake):
        self.lake, self.refused = lake, lake.load.refused

    def met(self, least=4):
        return self.lake.load.refused >= self.refused + least


def goes_on(lake, seconds=15):
    acked = lake.load.acked()
    return wait_for(lambda: lake.load.acked() > acked, seconds)


def ends(lake, name, extra=""):
    lake.problems += lake.load.surprises
    lake.kill()
    lake.finish()
    check(name, not lake.problems and lake.load.acked() > 0, "; ".join(lake.problems[:3]))


def full_and_drained(kind):
    """Log and lake on one disk, which somebody else fills."""
    disk = Disk("full-" + kind, 192, kind)
    lake = Lake(disk.folder + "/x", 41, say=say, interval="0.3s")
    lake.load.kinds = (Quick, Quick, Mixed, Keyed, Big)
    lake.start()
    for _ in range(4 if LONG else 1):
        lake.load.start(lake.port)
        time.sleep(0.4)
        full = Full(lake)
        disk.fill(1 << 20)
        check("a_full_%s_is_said_to_clients" % kind, wait_for(full.met, 20), lake.log_tail())
        time.sleep(0.5)
        check("the_server_outlives_a_full_" + kind, lake.process.poll() is None, lake.log_tail())
        status, answer = lake.request("POST", "/v1/collections/load_a/events", b'{"p":0,"n":0,"h":"","pad":"%s"}' % (b"x" * 3000000))
        equal("disk_full_is_507_on_" + kind, status, 507)
        disk.drain()
        check("acks_go_on_by_themselves_after_a_full_" + kind, goes_on(lake), lake.log_tail())
        lake.load.stop()
        check("commits_go_on_by_themselves_after_a_full_" + kind, wait_for(lambda: flushed(lake), 15, 0.1), lake.log_tail())
    ends(lake, "acked_events_survive_a_full_" + kind)
    disk.unmount()


def log_fills_its_disk():
    """The log's disk fills with events that wait for their commit; commits to another disk still work, and make room."""
    disk = Disk("log-disk", 300, "ext4")
    disk.fill(190 << 20)
    lake = Lake("log-fills", 42, say=say, interval="1h", settings="memory: 2G\ndata: %s/data\n" % disk.folder)
    lake.load.kinds = (Bulk, Bulk, Bulk, Quick)
    lake.start()
    lake.load.start(lake.port)
    full = Full(lake)
    check("a_log_that_fills_its_disk_says_so", wait_for(full.met, 60), lake.log_tail())
    say("%d acked, %d refused, %s" % (lake.load.acked(), lake.load.refused, lake.log_tail()))
    lake.load.stop()
    lake.kill()
    disk.fill(0)
    check("a_server_starts_on_a_full_disk", lake.start(), lake.log_tail())
    lake.load.start(lake.port)
    check("commits_have_room_when_events_fill_the_disk_of_the_log", wait_for(lambda: flushed(lake), 60, 0.1), lake.log_tail())
    check("and_make_room_for_events", goes_on(lake), lake.log_tail())
    lake.load.stop()
    check("commits_go_on", wait_for(lambda: flushed(lake), 60, 0.1), lake.log_tail())
    disk.drain()
    ends(lake, "acked_events_survive_a_log_that_fills_its_disk")
    disk.unmount()


def lake_disk():
    """The lake's disk is full, then read-only; the log has its own. Acks never stop."""
    disk = Disk("lake-disk", 64, "ext4")
    lake = Lake("lake-disk-x", 43, say=say, interval="0.2s", settings="data: %s\n" % os.path.abspath("lake-disk-data"))
    lake.lake = disk.folder + "/lake"
    lake.load.kinds = (Quick, Mixed, Keyed)
    lake.start()

    def hurts(name, begin, end):
        lake.load.start(lake.port)
        time.sleep(0.4)
        acked, refused = lake.load.acked(), lake.load.refused
        check("lake_disk_becomes_" + name, wait_for(lambda: not fails(begin), 10, 0.005))
        failed = wait_for(lambda: b"cannot commit" in log(lake), 10)
        time.sleep(0.3)
        check("a_lake_disk_that_is_%s_fails_commits" % name, failed, lake.log_tail())
        check("acks_go_on_while_the_lake_disk_is_" + name, lake.load.acked() > acked and lake.load.refused == refused, lake.load.refused - refused)
        end()
        lake.load.stop()
        check("commits_go_on_by_themselves_after_a_lake_disk_was_" + name, wait_for(lambda: flushed(lake), 15, 0.1), lake.log_tail())
        lake.kill()
        lake.start()

    hurts("full", lambda: disk.fill(0), disk.drain)
    hurts("read_only", lambda: disk.remount("ro"), lambda: disk.remount("rw"))
    ends(lake, "acked_events_survive_a_lake_disk_that_is_full_or_read_only")
    disk.unmount()


def fails(do):
    """A remount is refused while a file is open for writing."""
    try:
        do()
    except RuntimeError:
        return True
    return False


def log(lake):
    with open(os.path.join(lake.folder, "server-%d.log" % (lake.starts - 1)), "rb") as f:
        return f.read()


def breaks_down():
    """ext4 is shut down under load: what it had not written is lost, as by a power cut, every call fails until it is mounted again."""
    disk = Disk("breaks", 192, "ext4")
    lake = Lake(disk.folder + "/x", 44, say=say, interval="0.2s")
    logs = os.path.abspath("logs")
    os.makedirs(logs)
    lake.folder = logs  # the server's own words stand elsewhere
    lake.load.kinds = (Quick, Quick, Mixed, Keyed, Big)
    for i in range(12 if LONG else 2):
        lake.start()
        lake.load.start(lake.port)
        time.sleep(lake.rng.uniform(0.2, 0.8))
        refused = lake.load.refused
        disk.break_down()
        said = wait_for(lambda: lake.load.refused > refused + 2, 10) or lake.process.poll() is not None
        check("a_disk_that_breaks_down_is_said_to_clients", said, lake.log_tail())
        time.sleep(0.2)
        lake.kill()
        lake.load.stop(gone=True)
        disk.unmount()
        disk.mount()
        if i == 0:
            disk.remount("ro")
            check("a_start_on_a_read_only_disk_is_refused", not lake.start(), "it started")
            check("and_says_why", b"ead-only file system" in log(lake), lake.log_tail())
            disk.remount("rw")
    ends(lake, "acked_events_survive_a_disk_that_breaks_down")
    disk.unmount()


why_not = in_own_mounts()
if why_not:
    skip("disks", why_not)
    sys.exit(0)
full_and_drained("tmpfs")
try:
    Disk("trial", 16, "ext4").unmount()
except RuntimeError as e:
    skip("ext4", e)
    done_testing()
if LONG:
    full_and_drained("ext4")
log_fills_its_disk()
lake_disk()
breaks_down()
done_testing()
