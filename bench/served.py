"""What a running server does: posts and bodies acked, a stream committed."""
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request

from measure import fail, first_match, say

PORT_LINE = re.compile(r"ready on http://127\.0\.0\.1:(\d+)")
TICK = os.sysconf("SC_CLK_TCK")


class Server:
    def __init__(self, args, folder, config=""):
        self.lake = os.path.join(folder, "lake")
        self.log = os.path.join(folder, "serve.log")
        self.hydrant = args.hydrant
        settings = os.path.join(folder, "hydrant.yaml")
        with open(settings, "w", encoding="utf-8") as f:
            f.write("listen: 127.0.0.1:0\n" + config)
        self.process = subprocess.Popen([self.hydrant, "serve", "--config", settings, "--lake", self.lake], stderr=open(self.log, "w"),
                                        stdout=subprocess.DEVNULL)
        for _ in range(100):
            found = PORT_LINE.search(open(self.log, encoding="utf-8").read())
            if found:
                self.port = int(found.group(1))
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        fail("the server does not start:\n" + open(self.log, encoding="utf-8").read())

    def get(self, path, method="GET"):
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.port, path), method=method)
        with urllib.request.urlopen(request, timeout=600) as answer:
            return answer.read().decode()

    def metrics(self):
        """Name without labels → sum over collections."""
        values = {}
        for line in self.get("/metrics").splitlines():
            if line and line[0] != "#":
                name, value = line.rsplit(" ", 1)
                name = name.split("{")[0]
                values[name] = values.get(name, 0) + float(value)
        return values

    def cpu(self):
        fields = open("/proc/%d/stat" % self.process.pid, encoding="utf-8").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def peak_mib(self):
        return int(first_match("/proc/%d/status" % self.process.pid, r"VmHWM:\s*(\d+)", "0")) / 1024

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def load(args, server, **options):
    command = [args.load, "--port", str(server.port)]
    for name, value in options.items():
        command += ["--" + name, str(value)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def load_result(process):
    out, _ = process.communicate()
    if process.returncode != 0:
        fail("the load client says: %s" % (out.strip() or "nothing, see above"))
    return json.loads(out)


def count_again(server, want, what):
    """Commits what waits; the committed events must be those that were acked."""
    for _ in range(3):
        for name in re.findall(r'hydrant_waiting_events\{collection="(\w+)"\} [1-9]', server.get("/metrics")):
            server.get("/v1/collections/%s/flush" % name, "POST")
        if server.metrics()["hydrant_waiting_events"] == 0:
            break
    have = int(server.metrics()["hydrant_committed_events_total"])
    if have != want:
        fail("%s: %d events were acked, %d are in the table" % (what, want, have))


def acked(args, folder, what, **options):
    """Acked events or bytes a second, of runs of some seconds: all of them, the best first."""
    runs = []
    for i in range(args.rounds):
        with Server(args, os.path.join(folder)) as server:
            load_result(load(args, server, seconds=2, collection="warm", **options))
            before_cpu, before = server.cpu(), server.metrics()
            r = load_result(load(args, server, seconds=args.ack_seconds, **options))
            after = server.metrics()
            r["server_cpu_s"] = server.cpu() - before_cpu
            r["syncs"] = after["hydrant_log_syncs_total"] - before["hydrant_log_syncs_total"]
            r["peak_mib"] = server.peak_mib()
            runs.append(r)
            say("%s %d/%d: %.0f events/s, %.1f MB/s, p50 %.2f ms, p99 %.2f ms, %.1f µs server CPU a request" %
                (what, i + 1, args.rounds, r["events_per_s"], r["mb_per_s"], r["p50_ms"], r["p99_ms"], r["server_cpu_s"] / r["requests"] * 1e6))
            count_again(server, int(after["hydrant_accepted_events_total"]), what)
        shutil.rmtree(os.path.join(folder, "lake"))
    return sorted(runs, key=lambda r: -r["events_per_s"])


def stream(args, folder, kind):
    samples = []
    with Server(args, folder) as server:
        client = load(args, server, mode="ndjson", kind=kind, connections=16, seconds=args.seconds, rate=args.rate, collection=kind)
        begin = time.monotonic()
        while client.poll() is None:
            m = server.metrics()
            samples.append({"t": time.monotonic() - begin, "pending": m["hydrant_log_pending_bytes"], "log": m["hydrant_log_bytes"],
                            "events": m.get("hydrant_committed_events_total", 0), "files": m.get("hydrant_committed_files_total", 0),
                            "file_bytes": m.get("hydrant_committed_bytes_total", 0), "commits": m.get("hydrant_commits_total", 0)})
            if len(samples) % 30 == 0:
                say("stream of %s: %4.0f s, %6.0f MB wait, %11.0f events committed, peak %.0f MiB" %
                    (kind, samples[-1]["t"], samples[-1]["pending"] / 1e6, samples[-1]["events"], server.peak_mib()))
            time.sleep(1)
        r = load_result(client)
        r["server_cpu_s"] = server.cpu()
        count_again(server, r["events"], "stream of " + kind)
        r["catch_up_s"] = time.monotonic() - begin - r["seconds"]
        r["peak_mib"] = server.peak_mib()
        last = server.metrics()
        r["files"], r["file_bytes"] = last["hydrant_committed_files_total"], last["hydrant_committed_bytes_total"]
        r["commits"] = last["hydrant_commits_total"]
    shutil.rmtree(os.path.join(folder, "lake"))
    r["samples"] = samples
    r["log_mb"] = max(s["log"] for s in samples) / 1e6
    # Between the first commit and the last, so that neither the start nor the end flatters.
    steps = [s for i, s in enumerate(samples) if i and s["events"] > samples[i - 1]["events"]]
    per_event = r["bytes"] / r["events"]
    r["committed_mb_per_s"] = 0.0
    if len(steps) > 1:
        r["committed_mb_per_s"] = (steps[-1]["events"] - steps[0]["events"]) * per_event / (steps[-1]["t"] - steps[0]["t"]) / 1e6
    # The most that waited, in each fifth of the time: a flat backlog has the same peaks at the end as in the middle.
    span = samples[-1]["t"] / 5
    r["pending_peaks"] = [max([s["pending"] for s in samples if i * span <= s["t"] <= (i + 1) * span] or [0]) / 1e6 for i in range(5)]
    middle = max(r["pending_peaks"][1:3])
    r["flat"] = r["pending_peaks"][4] <= 1.25 * middle
    return r
