"""Clients that send events to a server which dies under them, and the books they keep: what was acked, what may be there, what must not be.

An event is {"p": producer, "n": its number, "h": md5 of "p:n:pad", "pad": …, …}. Producers differ in manners: some post quickly, some dribble
their bytes, some hang up in the middle of a body, some close their half of the connection, some repeat with an Idempotency-Key until they
have an answer, some send broken lines among good ones.
"""
import gzip
import hashlib
import http.client
import json
import random
import socket
import threading
import time

COLLECTIONS = ("load_a", "load_b")


def event(rng, p, n, size=60):
    pad = "x" * rng.randint(0, size) + rng.choice(("", "é", "\\u00e9", "日本"))
    digest = hashlib.md5(("%d:%d:%s" % (p, n, json.loads('"%s"' % pad))).encode()).hexdigest()
    odd = rng.choice(('', '', '', ',"v":%d' % n, ',"v":"%d"' % n, ',"v":{"deep":[%d]}' % n, ',"k%d":true' % rng.randint(0, 30), ',"f":%d.5' % n))
    return '{"p":%d,"n":%d,"h":"%s","pad":"%s","sub":{"p":%d}%s}' % (p, n, digest, pad, p, odd)


class Books:
    """Of one collection's events, as (producer, number)."""

    def __init__(self):
        self.lock = threading.Lock()
        self.lost = self.doubled = 0  # the most that a check missed, found twice
        self.acked, self.maybe, self.never = set(), set(), set()
        self.bad_acked, self.bad_maybe, self.bad_never = set(), set(), set()  # of broken lines

    def note(self, fate, events, bad=()):
        with self.lock:
            getattr(self, fate).update(events)
            getattr(self, "bad_" + fate).update(bad)

    def reopen(self, events, bad=()):
        """These may come yet, although a check has not found them."""
        with self.lock:
            self.maybe.update(set(events) - self.acked)
            self.bad_maybe.update(set(bad) - self.bad_acked)
            self.never.difference_update(events)
            self.bad_never.difference_update(bad)

    def check(self, rows, bad=False):
        """Problems as a list of sentences. What is there now must stay, what is not must not come."""
        acked, maybe, never = (self.bad_acked, self.bad_maybe, self.bad_never) if bad else (self.acked, self.maybe, self.never)
        there, problems = set(rows), []
        self.lost, self.doubled = max(self.lost, len(acked - there)), max(self.doubled, len(rows) - len(there))
        if len(there) != len(rows):
            problems.append("%d events are there twice" % (len(rows) - len(there)))
        for what, some in (("acked events are missing", acked - there), ("events are there that nobody sent whole", there & never),
                           ("events are there that nobody sent", there - acked - maybe - never)):
            if some:
                problems.append("%d %s: %s" % (len(some), what, sorted(some)[:5]))
        acked |= maybe & there
        never |= maybe - there
        maybe.clear()
        return problems


class Producer(threading.Thread):
    """One client; run by Load. `send` is its manner."""

    def __init__(self, load, p):
        super().__init__(daemon=True)
        self.load, self.p, self.n = load, p, 0
        self.rng = random.Random(load.seed * 1000 + p)
        self.name_ = COLLECTIONS[p % len(COLLECTIONS)]
        self.books = load.books[self.name_]
        self.connection = None

    def take(self, count, size=60):
        events = [event(self.rng, self.p, self.n + i, size) for i in range(count)]
        keys = [(self.p, self.n + i) for i in range(count)]
        self.n += count
        return events, keys

    def run(self):
        while not self.load.stopping.is_set():
            try:
                self.send()
                if self.load.pause:
                    self.load.stopping.wait(self.load.pause * self.rng.uniform(0.5, 1.5))
            except (OSError, http.client.HTTPException):
                self.close()
                if not self.load.stopping.wait(0.05) and self.load.server_gone.is_set():
                    return
        self.close()

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def post(self, body, headers=None):
        """(status, answer)"""
        if not self.connection:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.load.port, timeout=30)
        self.connection.request("POST", "/v1/collections/%s/events" % self.name_, body, headers or {})
        r = self.connection.getresponse()
        text = r.read()
        return r.status, json.loads(text) if text[:1] == b"{" else {}

    def settle(self, status, answer, keys, bad=()):
        if status == 200 and answer.get("accepted") == len(keys) + len(bad) and answer.get("quarantined") == len(bad):
            self.books.note("acked", keys, bad)
            self.load.requests += 1
        elif status in (429, 503, 507):
            self.books.note("maybe", keys, bad)
            self.load.refused += 1
            self.load.stopping.wait(0.2)
        else:
            self.load.surprises.append("%s got %d %s for %d events" % (type(self).__name__, status, str(answer)[:200], len(keys)))

    def send_all(self, body, keys, bad=(), headers=None):
        try:
            status, answer = self.post(body, headers)
        except (OSError, http.client.HTTPException):
            self.books.note("maybe", keys, bad)
            raise
        self.settle(status, answer, keys, bad)


class Quick(Producer):
    def send(self):
        events, keys = self.take(self.rng.choice((1, 1, 3, 20, 60)))
        form = self.rng.randrange(3)
        body = ("[" + ",".join(events) + "]" if form == 0 else "\n".join(events) + "\n").encode()
        if form == 1:
            self.send_all(gzip.compress(body, 1), keys, headers={"Content-Encoding": "gzip"})
        else:
            self.send_all(body, keys)


class Mixed(Producer):
    """A broken line among good ones goes to quarantine."""

    def send(self):
        events, keys = self.take(5)
        bad = [keys.pop(2)]
        events[2] = events[2][:-1]
        self.send_all(("\n".join(events) + "\n").encode(), keys, bad)


class Big(Producer):
    """Bodies that the log takes directly, without its buffer."""

    def send(self):
        events, keys = self.take(300, 4000)
        self.send_all("\n".join(events).encode(), keys)
        self.load.stopping.wait(0.1)


class Bulk(Producer):
    """Fills the log's segments quickly with few, large events."""

    def send(self):
        events, keys = self.take(12, 1000000)
        self.send_all("\n".join(events).encode(), keys)


class Keyed(Producer):
    """Repeats a request with its key until there is an answer, also over a crash: then the events are there once."""
    pending = None

    def send(self):
        if not self.pending:
            events, keys = self.take(4)
            self.pending = ("%d-%d" % (self.p, self.n), "\n".join(events).encode(), keys)
        key, body, keys = self.pending
        self.books.reopen(keys)  # it may come now, whether or not there is an answer
        status, answer = self.post(body, {"Idempotency-Key": key})
        with self.books.lock:
            self.books.maybe.difference_update(keys)
        self.settle(status, answer, keys)
        if status == 200:
            self.pending = None


class Raw(Producer):
    def raw(self):
        s = socket.create_connection(("127.0.0.1", self.load.port), timeout=30)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def head(self, length):
        return ("POST /v1/collections/%s/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (self.name_, length)).encode()

    def answer(self, s):
        data = b""
        while True:
            part = s.recv(65536)
            if not part:
                break
            data += part
        if b"\r\n\r\n" not in data:
            raise OSError("no answer")
        head, body = data.split(b"\r\n\r\n", 1)
        return int(head.split()[1]), json.loads(body) if body[:1] == b"{" else {}


class Slow(Raw):
    """A few bytes at a time."""

    def send(self):
        events, keys = self.take(3)
        body = "\n".join(events).encode()
        try:
            with self.raw() as s:
                data = self.head(len(body)) + body
                for i in range(0, len(data), 24):
                    s.sendall(data[i:i + 24])
                    time.sleep(0.004)
                status, answer = self.answer(s)
        except OSError:
            self.books.note("maybe", keys)
            raise
        self.settle(status, answer, keys)


class HalfClosed(Raw):
    """Says all, closes its sending half, and waits for the answer."""

    def send(self):
        events, keys = self.take(2)
        body = "\n".join(events).encode()
        try:
            with self.raw() as s:
                s.sendall(self.head(len(body)) + body)
                s.shutdown(socket.SHUT_WR)
                status, answer = self.answer(s)
        except OSError:
            self.books.note("maybe", keys)
            raise
        self.settle(status, answer, keys)
        self.load.stopping.wait(0.01)


class Broken(Raw):
    """Hangs up in the middle of a body: none of it may be kept."""

    def send(self):
        events, keys = self.take(10)
        body = "\n".join(events).encode()
        self.books.note("never", keys)
        with self.raw() as s:
            s.sendall(self.head(len(body)) + body[:self.rng.randrange(len(body))])
            time.sleep(0.02)
            if self.rng.random() < 0.5:
                s.shutdown(socket.SHUT_WR)
                s.settimeout(5)
                while s.recv(65536):
                    pass


class Load:
    """All producers together; they live over crashes: start(port), stop()."""

    def __init__(self, seed, kinds=(Quick, Quick, Quick, Quick, Mixed, Mixed, Big, Big, Keyed, Keyed, Slow, Slow, HalfClosed, Broken, Broken)):
        self.seed = seed
        self.books = {name: Books() for name in COLLECTIONS}
        self.kinds, self.producers = kinds, []
        self.requests = self.refused = 0
        self.pause = 0  # seconds between two requests of a client
        self.surprises = []
        self.stopping, self.server_gone = threading.Event(), threading.Event()
        self.state = {}

    def start(self, port):
        self.port = port
        self.stopping.clear()
        self.server_gone.clear()
        self.producers = []
        for i, kind in enumerate(self.kinds):
            p = kind(self, i + 1)
            p.n, p.rng, pending = self.state.get(i, (0, p.rng, None))
            if pending:
                p.pending = pending
            self.producers.append(p)
            p.start()

    def stop(self, gone=False):
        if gone:
            self.server_gone.set()
        self.stopping.set()
        for i, p in enumerate(self.producers):
            p.join(40)
            if p.is_alive():
                raise RuntimeError("a client hangs: " + type(p).__name__)
            self.state[i] = (p.n, p.rng, getattr(p, "pending", None))
        self.producers = []

    def forget_keys(self):
        """The next server has never heard of them: what was not answered is not said again."""
        self.state = {i: (n, rng, None) for i, (n, rng, _) in self.state.items()}

    def acked(self):
        return sum(len(b.acked) for b in self.books.values())
