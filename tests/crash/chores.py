"""Deaths in what a lake is asked to do beside taking events: a collection is dropped, days leave it, what nobody names is swept. Each is
done again after the crash, and then it is as if it had been done once."""
import json
import os
import random
import subprocess
import time

from lake import HYDRANT
from lib import on_store

DAY = 86400
SETTINGS = "collections:\n  days: {time_field: at, retention: 10d}\n"  # of a Lake that is given chores


class Chores:
    def __init__(self, lake):
        self.lake, self.serial = lake, 0
        self.parts = []
        self.young = set()  # acked events of `days` that stay

    def do(self, point):
        """Returns a sentence, as Lake.cycle."""
        before = self.lake.hits[point]
        {"table.drop": self.drop, "table.retired": self.retire, "table.swept": self.sweep,
         "store.parts_sent": self.send_parts}[point](point)
        self.lake.kill()
        self.lake.power_cut()
        return "%s%s" % (point, "" if self.lake.hits[point] > before else " (was not passed)")

    def post(self, collection, events):
        status, answer = self.lake.request("POST", "/v1/collections/%s/events" % collection, "\n".join(json.dumps(e) for e in events))
        if status != 200 or json.loads(answer)["accepted"] != len(events):
            raise RuntimeError("post to %s: %d %s" % (collection, status, answer))

    def flush(self, collection):
        status, answer = self.lake.request("POST", "/v1/collections/%s/flush" % collection)
        if status != 200:
            raise RuntimeError("flush of %s: %d %s" % (collection, status, answer))

    def numbers(self, collection):
        return sorted(int(n) for (n,) in self.lake.rows("select n from %s" % collection))

    def expect(self, what, got, want):
        if got != want:
            self.lake.problem("%s: %.200r are there, not %.200r" % (what, got, want))

    def next(self, count):
        self.serial += count
        return range(self.serial - count, self.serial)

    # --- a collection goes, and another of its name comes ---

    def drop(self, point):
        lake = self.lake
        lake.start(point + ":1")
        self.post("gone", [{"n": n} for n in self.next(5)])
        self.flush("gone")
        self.post("gone", [{"n": n} for n in self.next(2)])
        try:
            lake.request("DELETE", "/v1/collections/gone")
        except OSError:
            lake.process.wait(20)
        lake.deaths += 1
        lake.hits[point] += lake.process.poll() == -9
        lake.kill()
        lake.power_cut()
        lake.start()
        status, answer = lake.request("DELETE", "/v1/collections/gone")
        if status not in (200, 204, 404):
            lake.problem("a drop that was repeated: %d %s" % (status, answer))
        fresh = list(self.next(3))
        self.post("gone", [{"n": n} for n in fresh])
        self.expect("of a dropped collection", self.numbers("gone"), fresh)
        self.flush("gone")
        self.expect("of a dropped collection, committed", self.numbers("gone"), fresh)

    # --- a file that goes to a bucket in parts ---

    def send_parts(self, point):
        lake = self.lake
        lake.start(point + ":1")
        fresh = list(self.next(24))
        noise = random.Random(self.serial)
        try:
            self.post("parts", [{"n": n, "noise": noise.randbytes(1 << 20).hex()} for n in fresh])
            lake.request("POST", "/v1/collections/parts/flush")
        except OSError:
            lake.process.wait(20)
        lake.deaths += 1
        lake.hits[point] += lake.process.poll() == -9
        lake.kill()
        lake.start()
        self.parts += fresh
        self.expect("of a file in parts", self.numbers("parts"), self.parts)
        self.flush("parts")
        self.expect("of a file in parts, committed", self.numbers("parts"), self.parts)

    # --- `hydrant expire` beside the server ---

    def expire(self, collection, point=None):
        env = dict(os.environ)
        if point:
            env["HYDRANT_FAULT"] = point + ":1"
        lake = self.lake
        done = subprocess.run([HYDRANT, *on_store(["expire", collection, *lake.where()])], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, timeout=60)
        if point:
            lake.deaths += 1
            lake.hits[point] += done.returncode == -9
        elif done.returncode:
            lake.problem("expire %s: %s" % (collection, done.stderr.decode(errors="replace").strip()))
        return done.returncode

    def retire(self, point):
        self.lake.start()
        now = time.time()
        day = lambda ago: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - ago * DAY))  # noqa: E731
        young, old = list(self.next(4)), list(self.next(6))
        self.post("days", [{"n": n, "at": day(n % 5)} for n in young] + [{"n": n, "at": day(20 + n % 5)} for n in old])
        self.flush("days")
        self.young.update(young)
        self.expire("days", point)
        self.expire("days")
        self.expect("of days that are not over", self.numbers("days"), sorted(self.young))

    def sweep(self, point):
        """Files of commits that were never finished, five days old; those that the table names stay."""
        lake = self.lake
        lake.start()
        lake.load.start(lake.port)
        time.sleep(0.2)
        lake.flush()
        folder = os.path.join(lake.lake, "load_a", "metadata")
        orphans = [os.path.join(folder, name % self.serial) for name in ("snap-%d-1-left.avro", "left-%d-m0.avro", "left-%d-m1.avro")]
        for path in orphans:
            with open(path, "wb") as f:
                f.write(b"left over")
            os.utime(path, (time.time() - 5 * DAY,) * 2)
        self.next(1)
        self.expire("load_a", point)
        if lake.process.poll() is not None:
            lake.problem("the server ended beside expire: " + lake.log_tail())
        self.expire("load_a")
        left = [path for path in orphans if os.path.exists(path)]
        if left:
            lake.problem("not swept: %s" % left)
        lake.load.stop()
        lake.check("after a sweep that was killed")
