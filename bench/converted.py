"""`hydrant convert` and its peers by turns on the same files; restore, two threads, and the way into a lake."""
import json
import os
import re
import shutil
import subprocess
import sys

from measure import Child, ROOT, fail, median, ran, say, warm

KINDS = ("logs", "track", "github", "hostile", "options")
MAIN_KINDS = ("logs", "track", "github")  # what the geometric means are of
PEERS = {  # name on the page: the ways that are tried, of which the quickest that works counts
    "DuckDB": ("duckdb-infer",),
    "DuckDB, schema given": ("duckdb-schema",),
    "Polars": ("polars-scan", "polars-read", "polars-scan-all", "polars-read-all"),
    "pyarrow": ("pyarrow",),
    "chdb": ("chdb",),
}
PILOT_BYTES = 16000000
PILOT_SECONDS = 20  # of CPU; no end by then: it has failed
SLICE_SECONDS = 5   # of CPU: a peer that needs longer for the file gets a part of it (not DuckDB)
RUN_SECONDS = 120
HERE = os.path.dirname(os.path.abspath(__file__))


def python_with_peers():
    for python in (os.environ.get("BENCH_PYTHON"), os.path.join(ROOT, ".cache/bench-venv/bin/python"), os.path.join(ROOT, ".cache/venv/bin/python"), sys.executable):
        if python and os.path.exists(python) and subprocess.run([python, "-c", "import duckdb"], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    fail("no Python with the peers: bench/venv")


def versions(python):
    done = subprocess.run([python, os.path.join(HERE, "peers.py"), "versions"], stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def head(source, target, size):
    """The first lines of the file, about `size` bytes; the whole file if it is not much bigger."""
    if os.path.getsize(source) <= size * 1.05:
        return source
    with open(source, "rb") as f, open(target, "wb") as out:
        left = size
        while left > 0:
            block = f.read(min(left, 1 << 22))
            out.write(block)
            left -= len(block)
        out.write(f.readline())
    return target


class Corpus:
    """One generated file, and all that is measured on it."""

    def __init__(self, args, folder, kind, python):
        self.args, self.folder, self.kind, self.python = args, folder, kind, python
        self.source, self.ours = self.path("events.ndjson"), self.path("hydrant.parquet")
        ran([args.load, "--generate", self.source, "--kind", kind, "--bytes", str(args.convert_mb * 1000000)], "load --generate")
        self.size = os.path.getsize(self.source)
        with open(self.source, "rb") as f:
            self.events = sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 22), b""))
        self.hydrant, self.peers = [], {}
        self.schema = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def convert(self, threads=1, source=None, target=None):
        return [self.args.hydrant, "convert", source or self.source, target or self.ours, "--codec", "zstd:1", "--threads", str(threads)]

    # ---- peers ----

    def run_peer(self, way, source, target, seconds):
        command = [self.python, os.path.join(HERE, "peers.py"), way, source, target, str(seconds)]
        if way == "duckdb-schema":
            command.append(self.schema)
        child = Child(command, stdout=subprocess.PIPE).wait()
        if not child.error:
            child.said = json.loads(child.out)
            child.cpu = child.said["cpu"]
        return child

    def best_way(self, name, target):
        """(The quickest way that works, its CPU seconds a byte) on the first part of the file, or an error."""
        source = head(self.source, self.path("pilot.ndjson"), PILOT_BYTES)
        best, error = None, None
        for way in PEERS[name]:
            if way.endswith("-all") and best:
                break  # needed only where looking at the first lines is not enough
            child = self.run_peer(way, source, target, PILOT_SECONDS)
            error = error or child.error
            if not child.error and (best is None or child.cpu < best[1]):
                best = (way, child.cpu)
        return (best[0], best[1] / os.path.getsize(source), None) if best else (None, None, error)

    def prepare(self, name):
        """Finds a peer's best way and how much of the file it gets. DuckDB always gets all of it."""
        target, source = self.path("peer-%d.parquet" % len(self.peers)), self.source
        way, error = PEERS[name][0], None
        if way == "duckdb-schema":
            described = self.run_peer("duckdb-describe", self.source, "-", RUN_SECONDS)
            error = described.error
            if not error:
                self.schema = json.dumps(described.said["schema"])
        elif not way.startswith("duckdb"):
            way, cost, error = self.best_way(name, target)
            if not error and cost * self.size > SLICE_SECONDS:
                source = head(self.source, self.path("slice-%d.ndjson" % len(self.peers)), max(int(SLICE_SECONDS / cost), 2000000))
        if error:
            self.fails(name, error)
        else:
            self.peers[name] = {"way": way, "source": source, "target": target, "size": os.path.getsize(source), "runs": []}

    def fails(self, name, error):
        self.peers[name] = {"error": error}
        say("  %s: %s" % (name, error))

    def rounds(self, names):
        for name in names:
            self.prepare(name)
        ran(self.convert(), "hydrant convert")  # not counted: whoever is first pays for memory that the machine has not used lately
        for number in range(self.args.rounds):
            warm(self.source)
            self.hydrant.append(ran(self.convert(), "hydrant convert"))
            ours = self.hydrant[-1].cpu / self.size
            order = [n for n in names if "error" not in self.peers[n]]
            for name in order if number % 2 == 0 else order[::-1]:
                peer = self.peers[name]
                warm(peer["source"])
                child = self.run_peer(peer["way"], peer["source"], peer["target"], RUN_SECONDS)
                if child.error:
                    self.fails(name, child.error)
                    continue
                peer["runs"].append({"cpu": child.cpu, "wall": child.wall, "peak_mib": child.peak_mib, "ratio": child.cpu / peer["size"] / ours})
            say("  round %d: hydrant %.2f s CPU; %s" % (number + 1, self.hydrant[-1].cpu, "; ".join(
                "%s %.2f×" % (n, self.peers[n]["runs"][-1]["ratio"]) for n in order if self.peers[n].get("runs"))))

    def peer_results(self):
        results = {}
        for name, peer in self.peers.items():
            if "error" in peer:
                results[name] = {"error": peer["error"]}
                continue
            runs = peer["runs"]
            results[name] = {"way": peer["way"], "mb": peer["size"] / 1e6, "part": peer["size"] / self.size, "bytes": os.path.getsize(peer["target"]),
                             "ratios": [r["ratio"] for r in runs], "ratio": median([r["ratio"] for r in runs])}
            for key in ("cpu", "wall", "peak_mib"):
                results[name][key] = median([r[key] for r in runs])
        return results

    # ---- hydrant alone ----

    def stats(self):
        done = ran(self.convert() + ["--stats"], "hydrant convert --stats", stdout=subprocess.PIPE)
        found = re.search(r"__shape +(\d+) .*\n +__raw +(\d+) ", done.out)
        raw_rows = re.search(r"rows with __raw (\d+)", done.out)
        if not found or not raw_rows:
            fail("hydrant convert --stats does not say what restore costs")
        return {"shape_bytes": int(found.group(1)), "raw_bytes": int(found.group(2)), "raw_rows": int(raw_rows.group(1))}

    def restore(self):
        warm(self.ours)
        runs = [ran([self.args.hydrant, "restore", self.ours], "hydrant restore") for _ in range(self.args.rounds)]
        same = subprocess.run("'%s' restore '%s' | cmp - '%s'" % (self.args.hydrant, self.ours, self.source), shell=True, stderr=subprocess.PIPE, text=True)
        if same.returncode != 0:
            say("  %s: the restored bytes differ: %s" % (self.kind, same.stderr.strip()))
        return {"cpu": median([r.cpu for r in runs]), "wall": median([r.wall for r in runs]), "peak_mib": median([r.peak_mib for r in runs]), "same": same.returncode == 0}

    def halves(self):
        middle = head(self.source, self.path("half-0.ndjson"), self.size // 2)
        rest = self.path("half-1.ndjson")
        with open(self.source, "rb") as f, open(rest, "wb") as out:
            f.seek(os.path.getsize(middle))
            shutil.copyfileobj(f, out, 1 << 22)
        return middle, rest

    def two_threads(self):
        """Wall time of two threads, against two processes of one thread, each on one half, at the same time."""
        halves, target = self.halves(), self.path("two.parquet")
        runs = []
        for _ in range(self.args.rounds):
            warm(self.source, *halves)
            both = ran(self.convert(2, target=target), "hydrant convert --threads 2")
            apart = [Child(self.convert(1, half, half + ".parquet")) for half in halves]
            apart = max(child.wait().wall for child in apart)
            runs.append({"wall": both.wall, "apart": apart, "ratio": apart / both.wall, "peak_mib": both.peak_mib, "cpu": both.cpu})
        same = subprocess.run(["cmp", "-s", target, self.ours]).returncode == 0
        if not same:
            say("  %s: two threads make another file than one" % self.kind)
        return {"same": same, **{key: median([r[key] for r in runs]) for key in runs[0]}}

    def ingest(self):
        """Into a fresh lake; and what lies there then."""
        runs, size, lake = [], 0, self.path("lake")
        for _ in range(self.args.rounds):
            warm(self.source)
            once = ran(self.convert(target=self.path("again.parquet")), "hydrant convert")
            child = ran([self.args.hydrant, "--lake", lake, "ingest", "bench", self.source], "hydrant ingest")
            runs.append({"cpu": child.cpu, "ratio": child.cpu / once.cpu, "peak_mib": child.peak_mib})
            size = sum(os.path.getsize(os.path.join(where, f)) for where, _, files in os.walk(os.path.join(lake, "bench", "data")) for f in files if f.endswith(".parquet"))
            shutil.rmtree(lake)
        return {"bytes": size, **{key: median([r[key] for r in runs]) for key in runs[0]}}

    def columns(self):
        """Each column of DuckDB's file against hydrant's: bench/columns.py."""
        peer = self.peers.get("DuckDB")
        if not peer or "error" in peer or not os.path.exists(os.path.join(HERE, "columns.py")):
            return None
        child = Child([self.python, os.path.join(HERE, "columns.py"), peer["target"], self.ours], stdout=subprocess.PIPE).wait()
        if child.error:
            fail("comparing the columns of %s: %s" % (self.kind, child.error))
        return json.loads(child.out)

    def results(self):
        r = {"kind": self.kind, "size": self.size, "events": self.events, "bytes": os.path.getsize(self.ours), "peers": self.peer_results()}
        for key in ("cpu", "wall", "peak_mib"):
            r[key] = median([getattr(run, key) for run in self.hydrant])
        return r


def measure(args, folder, kind, python):
    say("convert %s" % kind)
    corpus = Corpus(args, folder, kind, python)
    corpus.rounds([name for name in PEERS if not args.peers or any(p.lower() in name.lower() for p in args.peers.split(","))])
    r = corpus.results()
    r["stats"], r["restore"] = corpus.stats(), corpus.restore()
    if "columns" in args.only:
        r["columns"] = corpus.columns()
    if "threads" in args.only:
        r["threads"] = corpus.two_threads()
    if "ingest" in args.only:
        r["ingest"] = corpus.ingest()
    for name in os.listdir(folder):
        if name.endswith((".ndjson", ".parquet")):
            os.unlink(os.path.join(folder, name))
    return r
