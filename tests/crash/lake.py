"""A lake whose server is started, killed, robbed of its unsynced writes and asked what it still knows."""
import collections
import csv
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
HERE = os.path.dirname(os.path.abspath(__file__))
HYDRANT = os.environ["HYDRANT"] = os.path.abspath(os.environ.get("HYDRANT") or os.path.join(HERE, "..", "..", "build", "hydrant"))
import powercut  # noqa: E402
from lib import TEST_LAKE, lake_data, lake_iceberg, on_store  # noqa: E402
from load import COLLECTIONS, Load  # noqa: E402

READY_LIMIT = 5.0

# Every named crash point of the product (fault_point in src/) that a server under load passes, with how often it is passed before the kill comes.
FAULTS = {
    "wal.append": (1, 400), "wal.before_sync": (1, 200), "wal.after_sync": (1, 200),
    "wal.before_rotate": (1, 1), "wal.rotate": (1, 1), "wal.rotate_synced": (1, 1), "wal.rotate_renamed": (1, 1),
    "wal.trim": (1, 1), "wal.trimmed": (1, 1), "wal.recover": (1, 1),
    "hydrate.cut": (1, 3), "hydrate.before_trim": (1, 3), "hydrate.stored": (1, 4), "hydrate.committed": (1, 4), "hydrate.built": (1, 3),
    "store.before_name": (1, 12), "store.after_name": (1, 12), "store.written": (1, 10), "store.file_synced": (1, 4),
    "table.manifest": (1, 3), "table.manifest_list": (1, 3), "table.before_commit": (1, 4), "table.after_commit": (1, 4),
    "table.after_hint": (1, 4), "table.after_ddl": (1, 3),
}
# What load alone does not pass: a log's first start, and chores.py.
OTHERS = ("wal.made", "table.drop", "table.retired", "table.swept")
ELSEWHERE = ("store.parts_sent",)  # what only lakes in buckets pass, or only those in folders
if TEST_LAKE:
    ELSEWHERE = ("store.written", "table.swept")
    del FAULTS["store.written"]  # a bucket shows no object before it is whole
    OTHERS = OTHERS[:-1] + ("store.parts_sent",)  # nor an old one on demand
ROTATES = ("wal.before_rotate", "wal.rotate", "wal.rotate_synced", "wal.rotate_renamed")
TRIMS = ("wal.trim", "wal.trimmed")  # want a full segment without young idempotency keys: lakes of their own


def build_shim(folder, *flags):
    out = os.path.abspath(os.path.join(folder, "unsynced%s.so" % "".join(flags)))
    subprocess.run([os.environ.get("CC", "cc"), "-O2", *flags, "-shared", "-fPIC", "-o", out, os.path.join(HERE, "unsynced.c"), "-ldl"], check=True)
    return out


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Lake:
    """In `folder`: disk/ with lake/ (or what is local of it, lib.py), the settings, logs. shim: path of unsynced.so, or None."""

    def __init__(self, folder, seed, shim=None, say=print, interval="0.4s", settings=""):
        self.folder = os.path.abspath(folder)
        self.disk = os.path.join(self.folder, "disk")  # what a power cut robs
        self.lake, self.data = os.path.join(self.disk, "lake"), None  # data: of this server, if it is not where it usually is
        self.journal, self.grave = os.path.join(self.folder, "journal"), os.path.join(self.folder, "grave")
        self.config = os.path.join(self.folder, "hydrant.yaml")
        os.makedirs(lake_data(self.lake) if TEST_LAKE else self.lake)
        with open(self.config, "w", encoding="utf-8") as f:
            f.write("commit_interval: %s\ncommit_interval_idle: %s\n%s" % (interval, interval, settings))
        self.shim, self.say, self.env = shim, say, {}  # env: what a server is started with, too
        self.rng, self.load = random.Random(seed), Load(seed)
        self.process, self.port, self.starts = None, 0, 0
        self.slowest_ready = 0.0
        self.ready, self.hits, self.deaths = [], collections.Counter(), 0  # seconds of each start; of the named points, those that killed
        self.problems = []
        self.spare_power = False  # the next deaths lose nothing, although there is a shim

    # --- the server ---

    def where(self):
        return ["--config", self.config, "--lake", self.lake, *(["--data", self.data] if self.data else [])]

    def launch(self, fault=None, wrap=()):
        self.port = free_port()
        env = dict(os.environ, **self.env)
        env.pop("HYDRANT_FAULT", None)
        if fault:
            env["HYDRANT_FAULT"] = fault
        if self.shim:
            shutil.rmtree(self.grave, ignore_errors=True)
            os.makedirs(self.grave)
            if os.path.exists(self.journal):
                os.unlink(self.journal)
            env.update(LD_PRELOAD=self.shim, UNSYNCED_ROOT=self.disk, UNSYNCED_JOURNAL=self.journal, UNSYNCED_GRAVE=self.grave)
        with open(os.path.join(self.folder, "server-%d.log" % self.starts), "wb") as log:
            self.process = subprocess.Popen([*wrap, HYDRANT, *on_store(["serve", *self.where(), "--listen", "127.0.0.1:%d" % self.port])],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        self.starts += 1

    def start(self, fault=None, wrap=(), limit=READY_LIMIT):
        """False: it died before it was ready."""
        began = time.monotonic()
        self.launch(fault, wrap)
        while True:
            if self.process.poll() is not None:
                return False
            try:
                c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=limit)
                c.request("GET", "/readyz")
                if c.getresponse().status == 200:
                    break
            except OSError:
                pass
            finally:
                c.close()
            if time.monotonic() - began > 60:
                raise RuntimeError("not ready within a minute: " + self.log_tail())
            time.sleep(0.004)
        took = time.monotonic() - began
        self.slowest_ready = max(self.slowest_ready, took)
        self.ready.append(took)
        if took > limit:
            self.problem("ready only after %.2f s" % took)
        return True

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def power_cut(self, seed=None):
        return powercut.cut(self.disk, self.journal, self.grave, seed) if self.shim and not self.spare_power else ""

    def log_tail(self):
        with open(os.path.join(self.folder, "server-%d.log" % (self.starts - 1)), encoding="utf-8", errors="replace") as f:
            return " | ".join(f.read().strip().splitlines()[-3:])

    def request(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        c.request(method, path, body)
        r = c.getresponse()
        out = r.status, r.read()
        c.close()
        return out

    # --- the books against the lake ---

    def problem(self, text):
        self.problems.append(text)
        self.say("PROBLEM: " + text)

    def hydrant(self, *args, timeout=120):
        return subprocess.run([HYDRANT, *on_store([*args, *self.where()])], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout)

    def rows(self, sql):
        done = self.hydrant("query", sql, "--format", "csv")
        text = done.stderr.decode(errors="replace").strip()
        if done.returncode and "collection" in text.lower() and ("no " in text or "not exist" in text):
            return []
        if done.returncode:
            raise RuntimeError("%s: %s" % (sql, text))
        return list(csv.reader(done.stdout.decode().splitlines()))[1:]

    def check(self, when):
        """Every event by number, committed and hot; and the bytes by their hash."""
        total = 0
        for name in COLLECTIONS:
            books = self.load.books[name]
            rows, odd = [], 0
            for p, n, changed in self.rows("select p, n, h is null or h <> md5(p::varchar || ':' || n::varchar || ':' || pad) from %s" % name):
                rows.append((int(p), int(n)))
                odd += changed != "false"
            bad = [bad_line(bytes.fromhex(text)) for (text,) in self.rows("select hex(__raw) from %s__quarantine" % name)]
            total += len(rows) + len(bad)
            for text in books.check(rows) + ["quarantine: " + t for t in books.check(bad, bad=True)]:
                self.problem("%s, %s: %s" % (when, name, text))
            if odd:
                self.problem("%s, %s: %d events have changed" % (when, name, odd))
        return total

    def iceberg(self, name):
        return lake_iceberg(self.lake, name)

    def check_other_reader(self):
        """The same with pyiceberg and pyarrow over the last committed metadata: nothing of ours reads."""
        for name in COLLECTIONS:
            for suffix in ("", "__quarantine"):
                table = self.iceberg(name + suffix)
                books, rows = self.load.books[name], []
                if table:
                    table = table.scan(selected_fields=("__raw",) if suffix else ("p", "n")).to_arrow()
                    rows = [bad_line(v) for v in table["__raw"].to_pylist()] if suffix else \
                        list(zip(table["p"].to_pylist(), table["n"].to_pylist()))
                for text in books.check(rows, bad=bool(suffix)):
                    self.problem("pyiceberg, %s%s: %s" % (name, suffix, text))

    def flush(self):
        for name in COLLECTIONS:
            status, answer = self.request("POST", "/v1/collections/%s/flush" % name)
            if status != 200 and (status != 404 or self.load.books[name].acked):  # there is no collection of which nothing was taken
                self.problem("flush of %s: %d %s" % (name, status, answer))

    # --- one crash ---

    def cycle(self, seconds, fault=None, seed=None, offline=False, quick=False):
        """Load, death, restart, check. Returns a sentence. quick: no restart and check, the next cycle is it."""
        how, sent = "kill -9", 0
        if self.start(fault):
            before = self.load.acked()
            self.load.start(self.port)
            end = time.monotonic() + seconds
            while time.monotonic() < end and self.process.poll() is None:
                time.sleep(0.003 if fault else min(0.05, max(0, end - time.monotonic())))
            if fault:
                how = fault if self.process.poll() is not None else fault + " (was not passed, so kill -9)"
            self.kill()
            self.load.stop(gone=True)
            sent = self.load.acked() - before
        elif fault and self.process.returncode == -9:
            how = fault + " at the start"
        self.deaths += 1
        if fault and "not passed" not in how:
            self.hits[fault.split(":")[0]] += 1
        if self.process.returncode != -9:
            self.problem("the server ended by itself with %d before %s: %s" % (self.process.returncode, how, self.log_tail()))
            raise RuntimeError(self.problems[-1])
        lost = self.power_cut(seed)
        for text in self.load.surprises:
            self.problem(text)
        self.load.surprises.clear()
        if quick:
            return "%s: %d acked in it; %s" % (how, sent, lost)
        if offline:
            self.check("without a server after " + how)
        if not self.start():
            self.problem("no restart after %s: %s" % (how, self.log_tail()))
            raise RuntimeError(self.problems[-1])
        there = self.check("after " + how)
        self.kill()
        self.power_cut(seed)
        return "%s: %d acked in it, %d there; %s" % (how, sent, there, lost)

    def stillborn(self, seconds, seed=None):
        """Killed on its way to being ready, most often within recovery."""
        self.launch()
        time.sleep(seconds)
        self.kill()
        self.deaths += 1
        if self.process.returncode != -9:
            self.problem("a start ended by itself with %d: %s" % (self.process.returncode, self.log_tail()))
        return "kill -9 %.0f ms after the start; %s" % (seconds * 1000, self.power_cut(seed))

    def finish(self):
        """Everything into the tables, an orderly end, verify, the other reader."""
        if not self.start():
            self.problem("no last start: " + self.log_tail())
            return
        self.check("before the end")
        self.flush()
        self.check("flushed")
        self.process.terminate()
        if self.process.wait(60) != 0:
            self.problem("SIGTERM: exit %d, %s" % (self.process.returncode, self.log_tail()))
        self.check("closed")
        done = self.hydrant("verify")
        if done.returncode:
            self.problem("verify: " + (done.stdout + done.stderr).decode(errors="replace")[-500:])
        self.check_other_reader()


def bad_line(text):
    """(p, n) of an event without its closing brace."""
    if isinstance(text, bytes):
        text = text.decode()
    event = json.loads(text + "}")
    return event["p"], event["n"]
