#!/usr/bin/env python3
"""A healthy client does not notice 2,000 slow ones: heads and bodies of a byte now and then, compressed ones whose windows cost memory, and
readers that ask for much and take nothing. The medians of several rounds before and after, and among them, are compared; other tests may run
beside this one: the best of four counts. SLOW_KINDS=… picks some, SLOW_ROUNDS=50 measures longer."""
import gzip
import os
import random
import resource
import selectors
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

SLOW = int(os.environ.get("SLOW_CLIENTS", "2000"))
ROUNDS = int(os.environ.get("SLOW_ROUNDS", "5"))
REQUESTS = 400
HEAD = b"POST /v1/collections/%s/events HTTP/1.1\r\nHost: x\r\n"
KINDS = {
    "head": b"GET /v1/collections HTTP/1.1\r\nHost: x\r\nX: ",
    "body": HEAD % b"slow" + b"Content-Length: 65000\r\n\r\n{",
    "gzip": HEAD % b"slow" + b"Content-Encoding: gzip\r\nContent-Length: 65000\r\n\r\n" + gzip.compress(b"{")[:12],
    "zstd": HEAD % b"slow" + b"Content-Encoding: zstd\r\nContent-Length: 65000\r\n\r\n\x28\xb5\x2f\xfd\x00" + bytes([13 << 3]) + b"\x0a\x00\x10 ",
    "reader": b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 1000,
}
kinds = os.environ.get("SLOW_KINDS", "head,body,gzip,zstd,reader").split(",")


def crowd(port, ready, end):
    """In a process of its own: keeps all of them connected and slow until `end` can be read."""
    rng, poll, open_ = random.Random(1), selectors.DefaultSelector(), []
    poll.register(end, selectors.EVENT_READ)

    def connect(kind):
        c = socket.socket()
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.settimeout(20)
        c.connect(("127.0.0.1", port))
        c.setblocking(False)
        try:
            c.send(KINDS[kind])
        except BlockingIOError:
            pass
        return [kind, c]

    for i in range(SLOW):
        open_.append(connect(kinds[i % len(kinds)]))
    os.write(ready, b"r")
    while not poll.select(0.05):
        for _ in range(SLOW // 40):  # each about every two seconds
            one = rng.choice(open_)
            try:
                if one[0] == "reader":
                    one[1].recv(1)
                else:
                    one[1].send(b"a")
                    one[1].recv(1)
                    raise ConnectionResetError  # answered 408, or ended: it comes again
            except BlockingIOError:
                pass
            except OSError:
                one[1].close()
                try:
                    one[:] = connect(one[0])
                except OSError:
                    pass
    os._exit(0)


class Crowd:
    def __init__(self, port):
        (ready, theirs), (end, self.end) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.end)
            try:
                crowd(port, theirs, end)
            finally:
                os._exit(1)
        os.close(theirs)
        os.close(end)
        if not os.read(ready, 1):
            raise RuntimeError("the slow clients could not connect")
        os.close(ready)

    def leave(self):
        os.close(self.end)
        if os.waitpid(self.pid, 0)[1]:
            raise RuntimeError("the slow clients ended early")


def p99(port):
    """Milliseconds, of requests one after the other on one connection; also how many were not 200."""
    request = HEAD % b"healthy" + b"Content-Length: 7\r\n\r\n{\"a\":1}"
    took, bad = [], 0
    with socket.create_connection(("127.0.0.1", port), timeout=20) as c:
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(REQUESTS):
            start = time.perf_counter()
            c.sendall(request)
            said = c.recv(65536)
            took.append(time.perf_counter() - start)
            bad += not said.startswith(b"HTTP/1.1 200 ")
    took.sort()
    return took[len(took) * 99 // 100] * 1000, bad


def memory(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


def median(values):
    return sorted(values)[len(values) // 2]


def measure(s):
    quiet = [p99(s.port)[0] for _ in range(ROUNDS)]
    slow = Crowd(s.port)
    time.sleep(1)  # what the readers have asked for at once is work, not slowness
    crowded = [p99(s.port) for _ in range(ROUNDS)]
    most = memory(s.process.pid)
    slow.leave()
    quiet += [p99(s.port)[0] for _ in range(ROUNDS)]
    return median(quiet), median([value for value, _ in crowded]), sum(bad for _, bad in crowded), most


resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))  # what the server is started with
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
with Server("lake") as server:
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    p99(server.port)
    for _ in range(4):
        quiet, crowded, bad, most = measure(server)
        print("# p99 %.2f ms alone, %.2f ms among %d slow ones (%s); %.0f MiB" % (quiet, crowded, SLOW, ",".join(kinds), most))
        if crowded <= 2 * quiet and not bad:
            break
    check("p99 of a healthy client stays within twice of what it is alone", quiet and crowded <= 2 * quiet, (quiet, crowded))
    equal("none of its requests is refused", bad, 0)
    check("the slow ones cost bounded memory", most < 300, "%.0f MiB" % most)
done_testing()
