"""What the parts of bench/run share: the machine, child processes and what they cost, medians."""
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MIB = 1 << 20


def say(text):
    print(text, file=sys.stderr, flush=True)


def fail(text):
    say("bench/run: " + text)
    sys.exit(1)


def median(values):
    return statistics.median(values)


def geomean(values):
    return statistics.geometric_mean(values)


# ---- the machine ----

def first_match(path, pattern, default="?"):
    try:
        with open(path, encoding="utf-8") as f:
            found = re.search(pattern, f.read(), re.M)
            return found.group(1) if found else default
    except OSError:
        return default


def filesystem_of(path):
    best = ("", "?", "?")
    with open("/proc/self/mounts", encoding="utf-8") as f:
        for line in f:
            device, mount, kind = line.split()[:3]
            if os.path.commonpath([mount, os.path.realpath(path)]) == mount and len(mount) >= len(best[0]):
                best = (mount, kind, device)
    return best[1]


def disk_probe(folder):
    """What this disk needs for one small durable write and for 4 MiB, overwriting: seconds."""
    path = os.path.join(folder, "probe")
    block = os.urandom(4 * MIB)
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, block, 0)
    os.fsync(fd)
    times = {}
    for size, rounds in ((4096, 100), (4 * MIB, 25)):
        begin = time.monotonic()
        for _ in range(rounds):
            os.pwrite(fd, block[:size], 0)
            os.fdatasync(fd)
        times[size] = (time.monotonic() - begin) / rounds
    os.close(fd)
    os.unlink(path)
    return times


def machine(folder):
    probe = disk_probe(folder)
    return {
        "cpu": first_match("/proc/cpuinfo", r"model name\s*:\s*(.*)"),
        "cores": os.cpu_count(),
        "ram_gib": int(first_match("/proc/meminfo", r"MemTotal:\s*(\d+)", "0")) / MIB,
        "kernel": platform.release().split("-")[0],
        "fs": filesystem_of(folder),
        "sync_ms": probe[4096] * 1000,
        "sync_4m_ms": probe[4 * MIB] * 1000,
        "load": os.getloadavg()[0],
    }


def warm(*paths):
    """Brings files into the page cache, as far as they have left it: reading from the disk costs the reader CPU, too."""
    for path in paths:
        with open(path, "rb", buffering=0) as f:
            while f.read(1 << 22):
                pass


# ---- child processes ----

class Child:
    """A process that is measured: cpu (user + system seconds), wall, peak MiB; `error` is what it complained of, or None."""

    def __init__(self, command, stdout=subprocess.DEVNULL):
        self.begin = time.monotonic()
        self.process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True)

    def wait(self):
        complaint = []
        reading = threading.Thread(target=lambda: complaint.append(self.process.stderr.read()))
        reading.start()
        self.out = self.process.stdout.read() if self.process.stdout else ""
        _, status, used = os.wait4(self.process.pid, 0)
        self.wall = time.monotonic() - self.begin
        reading.join()
        code = self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = used.ru_utime + used.ru_stime
        self.peak_mib = used.ru_maxrss / 1024
        lines = [line for line in (complaint[0] if complaint else "").splitlines() if line.strip()]
        marked = [line[8:] for line in lines if line.startswith("FAILED: ")]
        self.error = None
        if code == -signal.SIGXCPU:
            self.error = "no end after %.0f s of CPU" % self.cpu
        elif code != 0:
            self.error = (marked or lines[-1:] or ["ended with %d" % code])[0]
        return self


def ran(command, what, **options):
    """A child that must succeed."""
    child = Child(command, **options).wait()
    if child.error:
        fail("%s failed: %s" % (what, child.error))
    return child
