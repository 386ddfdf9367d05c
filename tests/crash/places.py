"""Lakes of more than one place: a collection's own, which refuses until the last life (`stuck`); and two servers with a folder each, of which the other
takes the log over when one is gone (`store`). Places are folders: these kinds do not run with a lake in a bucket."""
import os
import re
import shutil
import threading
import time

from lake import Lake
from lib import lake_data, lake_iceberg
from load import COLLECTIONS

# As FAULTS in lake.py. What is moved out while the place refuses; and what goes when it takes files again.
ASIDES = {"wal.aside_written": (1, 4), "wal.aside_synced": (1, 3), "wal.aside_said": (1, 3)}
ASIDES_GO = {"wal.aside_remove": (1, 1), "wal.aside_removed": (1, 1)}
PUTS = {"replica.put": (1, 200), "replica.put_done": (1, 200), "replica.removed": (1, 20)}
ADOPTS = {"adopt.seal": (1, 1), "adopt.sealed": (1, 1), "adopt.committed": (1, 1), "adopt.removed": (1, 6)}

WELL, STUCK = COLLECTIONS
OBJECT_HEAD = 2176  # WAL_OBJECT_HEAD: a seal has nothing else


class Stuck(Lake):
    """Where the folders of the second collection's tables should be stand files."""

    def __init__(self, folder, seed, shim, say, interval, settings=""):
        self.place = os.path.abspath(os.path.join(folder, "disk", "refuses"))
        super().__init__(folder, seed, shim, say, interval, settings + "log_size: 24M\ncollection_log_size: 8M\nlakes:\n  refuses: {url: \"%s\"}\n"
                         "collections:\n  %s: {lake: refuses}\n" % (self.place, STUCK))
        os.makedirs(self.place)
        self.in_the_way = [os.path.join(self.place, STUCK + suffix) for suffix in ("", "__quarantine")]
        for path in self.in_the_way:
            with open(path, "wb"):
                pass

    def side_files(self):
        folder = os.path.join(lake_data(self.lake), "log")
        return [f for f in os.listdir(folder) if f.endswith(".aside")] if os.path.isdir(folder) else []

    def repair(self):
        while self.in_the_way:
            os.unlink(self.in_the_way.pop())

    def repair_when_filled(self):
        """The place takes files as soon as the first side file has been there for a while."""
        end = time.monotonic() + 60
        while not self.side_files() and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(1)
        self.repair()

    def live(self, point, seed, offline):
        repair = threading.Thread(target=self.repair_when_filled)
        if point in ASIDES_GO:
            repair.start()
        said = self.cycle(90, "%s:%d" % (point, self.rng.randint(*(ASIDES | ASIDES_GO)[point])), seed, offline)
        if point in ASIDES_GO:
            repair.join()
        return said

    def iceberg(self, name):
        return lake_iceberg(self.place if name.startswith(STUCK) else self.lake, name)

    def finish(self):
        self.repair()
        super().finish()
        if self.side_files():
            self.problem("side files of committed events are left: %s" % self.side_files())


class Store(Lake):
    """`ack: store` on two servers, a and b, which run in turn. The log of who does not is dead for the other."""

    def __init__(self, folder, seed, shim, say, interval, settings=""):
        super().__init__(folder, seed, shim, say, interval, settings + "ack: store\nadopt_after: 4s\n")
        self.data = os.path.join(self.disk, "a")
        self.asleep = {}  # of a server that still has its disk: what it has not acked, per collection

    def move(self):
        """The other's turn. The dead one has lost its disk, or will find its log taken over; or, if nothing of it was in the lake that no table
        had, goes on with it, and so with what it has not acked."""
        wiped = self.rng.random() < 0.6
        if wiped:
            shutil.rmtree(self.data)
        else:
            self.asleep[self.data] = {name: (set(b.maybe), set(b.bad_maybe)) for name, b in self.load.books.items()}
        self.data = os.path.join(self.disk, "b" if self.data.endswith("a") else "a")
        for name, unacked in self.asleep.pop(self.data, {}).items():
            self.load.books[name].reopen(*unacked)
        self.load.forget_keys()  # are not shared
        return "wiped" if wiped else "left"

    def live(self, point, seed, quick):
        moved = ""
        if point in ADOPTS:
            last = self.rng.choice((None, *PUTS))
            self.cycle(self.rng.uniform(0.2, 1), last and "%s:%d" % (last, self.rng.randint(*PUTS[last])), seed, quick=True)
            moved = self.move() + ", then "
        return moved + self.cycle(20, "%s:%d" % (point, self.rng.randint(*(PUTS | ADOPTS)[point])), seed, quick=quick and not moved)

    def orphans(self):
        """Objects that are not of the running server's log, and more than seals."""
        with open(os.path.join(self.folder, "server-%d.log" % (self.starts - 1)), encoding="utf-8") as f:
            own = re.findall(r"\blog (\S+) open: ", f.read())[-1]
        out = []
        folder = os.path.join(self.lake, "_hydrant", "log")
        for log in sorted(set(os.listdir(folder)) - {own}) if os.path.isdir(folder) else ():
            out += [log + "/" + e.name for e in os.scandir(os.path.join(folder, log)) if not e.name.startswith(".") and size_of(e) > OBJECT_HEAD]
        return out

    def check(self, when):
        """What dead servers have acked is there once a living one has taken it over."""
        end = time.monotonic() + 40
        while self.process.poll() is None and self.orphans():
            if time.monotonic() > end:
                self.problem("%s: nobody takes over %s: %s" % (when, self.orphans()[:3], self.log_tail()))
                break
            time.sleep(0.05)
        return super().check(when)


def size_of(entry):
    try:
        return entry.stat().st_size
    except FileNotFoundError:
        return 0
