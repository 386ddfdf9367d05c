#!/usr/bin/env python3
"""`ack: store`: what was answered with 200 is in the lake, whatever becomes of the server and its disk; another server puts it into tables, once.

HYDRANT_ACK_ROUNDS=20 kills and wipes so many servers in a row (2)."""
import os
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *  # noqa: E402,F403

ROUNDS = int(os.environ.get("HYDRANT_ACK_ROUNDS", "2"))
COLLECTIONS = ("a", "b")


def config(lake, node, more=""):
    """The file of a server with a data folder of its own."""
    path = "%s-%s.yaml" % (lake, node)
    with open(path, "w") as f:
        f.write("lake: %s\ndata: %s\nack: store\nadopt_after: 4s\n%s" % (lake_url(lake), os.path.abspath("%s-%s.data" % (lake, node)), more))
    return path


def node(lake, name, *args, **more):
    return Server(None, "--config", config(lake, name), *args, ready=20, **more)


def wipe(lake, name):
    shutil.rmtree("%s-%s.data" % (lake, name))


class Load:
    """Clients that number their events. A number whose request was answered with 200 is acked."""

    def __init__(self):
        self.lock, self.next, self.acked, self.sent, self.stop = threading.Lock(), 0, {}, {}, False

    def numbers(self, count):
        with self.lock:
            first, self.next = self.next, self.next + count
        return range(first, first + count)

    def post(self, server, collection, count, **more):
        numbers = self.numbers(count)
        body = "".join('{"n":%d,"pad":"%s"}\n' % (n, "x" * (n % 97)) for n in numbers)
        with self.lock:
            self.sent.update((n, collection) for n in numbers)
        try:
            status, answer = server.post(collection, body.encode(), **more)
        except OSError:
            return 0, ""
        if status == 200:
            with self.lock:
                self.acked.update((n, (collection, body, answer["position"])) for n in numbers)
        return status, answer

    def client(self, server, k):
        while not self.stop:
            status, _ = self.post(server, COLLECTIONS[k % 2], 1 + 200 * (k == 5))
            if status == 0:
                return

    def run(self, server, seconds, clients=6):
        self.stop = False
        threads = [threading.Thread(target=self.client, args=(server, k)) for k in range(clients)]
        for t in threads:
            t.start()
        time.sleep(seconds)
        return threads

    def end(self, threads):
        self.stop = True
        for t in threads:
            t.join()


def metric(server, name):
    text = server.request("GET", "/metrics")[1].decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("hydrant_%s " % name))


def wait_for(what, ready, seconds=40):
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError("%s did not come within %g s" % (what, seconds))
        time.sleep(0.1)


def numbers_in(lake, name, collection):
    done = hydrant("query", "select n from %s" % collection, "--format", "ndjson", "--config", config(lake, name))
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return [json.loads(line)["n"] for line in done.stdout.splitlines()]


def verdict(law, load, lake, name):
    """Every acked event is there once, every other one at most once."""
    wrong = []
    for c in COLLECTIONS:
        there = numbers_in(lake, name, c)
        acked = {n for n, v in load.acked.items() if v[0] == c}
        wrong += ["%d of %s are lost" % (len(acked - set(there)), c)] * bool(acked - set(there))
        wrong += ["%d of %s are there twice" % (len(there) - len(set(there)), c)] * (len(there) != len(set(there)))
        wrong += ["%s holds what nobody sent" % c] * any(load.sent.get(n) != c for n in there)
    check(law, not wrong, "; ".join(wrong))


def committed_numbers(lake, collection):
    """By pyiceberg, from the tables alone."""
    table = lake_iceberg(lake, collection)
    return [] if table is None else table.scan(selected_fields=("n",)).to_arrow()["n"].to_pylist()


def killed_and_wiped():
    """Servers die under load and lose their disks; one lives and takes their logs over. At the same time one is stopped, and wakes up again."""
    load = Load()
    with node("lake", "keeper") as keeper, node("lake", "sleeper") as sleeper:
        for i in range(5):
            equal("acked", load.post(sleeper, "a", 20)[0], 200) if i == 0 else load.post(sleeper, "b", 20)
        sleeper.process.send_signal(signal.SIGSTOP)
        for k in range(ROUNDS):
            victim = node("lake", "victim%d" % k)
            threads = load.run(victim, 0.8)
            victim.kill()
            load.end(threads)
            wipe("lake", "victim%d" % k)
        check("ack_store_load_was_acked", len(load.acked) > 200, len(load.acked))
        wait_for("adoption", lambda: metric(keeper, "adopted_logs_total") >= ROUNDS + 1)
        verdict("acked_events_survive_a_kill_and_the_loss_of_the_disk", load, "lake", "keeper")
        sleeper.process.send_signal(signal.SIGCONT)
        answers = [load.post(sleeper, "a", 5)[0] for _ in range(3)]
        check("a_server_whose_log_was_taken_over_acks_nothing", 200 not in answers, answers)
        equal("it_ends_and_says_why", (sleeper.process.wait(40), "taken over" in sleeper.last_line()), (1, True))
        with node("lake", "sleeper") as again:
            equal("started_again_it_acks_into_a_new_log", load.post(again, "a", 5)[0], 200)
            equal("its_old_log_is_kept_for_people", os.path.isdir("lake-sleeper.data/log.lost"), True)
            again.stop()
        load.post(keeper, "b", 3)
        keeper.stop()
    left = [k for k in lake_files("lake", "_hydrant/log")]
    sizes = {len(lake_read("lake", k)) for k in left}
    check("only_seals_stay_in_the_lake", len(left) == 2 * (ROUNDS + 1) and sizes == {2176}, (left, sizes))
    there = sorted(committed_numbers("lake", "a") + committed_numbers("lake", "b"))
    check("pyiceberg_reads_each_acked_event_once", set(load.acked) <= set(there) and len(there) == len(set(there)), len(there))


def killed_and_started_again():
    """With its folder whole a server goes on where it was: at once, same log, same keys."""
    load = Load()
    key = {"Idempotency-Key": "once"}
    with node("intact", "n") as s:
        first = load.post(s, "a", 10, headers=key)
        threads = load.run(s, 0.5)
        s.kill()
        load.end(threads)
    with node("intact", "n") as s:
        verdict("after_a_restart_all_is_there_at_once", load, "intact", "n")
        n, (c, body, position) = next(iter(load.acked.items()))
        status, answer = s.post("a", body.encode(), headers=key)
        equal("its_keys_count_on", (status, answer.get("position")), (200, first[1]["position"]))
        status, answer = load.post(s, "a", 1)
        equal("its_log_is_the_same", answer["position"].split(":")[0], position.split(":")[0])
        equal("an_orderly_end", s.stop(), 0)
    equal("leaves_nothing_of_the_log_in_the_lake", lake_files("intact", "_hydrant/log"), [])
    verdict("and_all_of_it_in_tables", load, "intact", "n")
    with node("intact", "n") as s:
        status, answer = load.post(s, "b", 1)
        equal("and_the_log_goes_on", (status, answer["position"].split(":")[0]), (200, position.split(":")[0]))
        s.kill()
    done = hydrant("serve", "--lake", "intact", "--data", "intact-n.data", "--listen", "127.0.0.1:0")
    check("its_log_does_not_open_as_one_of_ack_disk", done.returncode == 1 and b"ack: store" in done.stderr, done.stderr)


def damaged():
    """An object that is gone is reported, and nothing of that log is touched; --salvage gives up what was in it."""
    load = Load()
    with node("gap", "victim") as victim:
        for _ in range(8):
            load.post(victim, "a", 3)
        victim.kill()
    wipe("gap", "victim")
    objects = lake_files("gap", "_hydrant/log")
    lake_remove("gap", objects[4])
    with node("gap", "keeper") as s:
        wait_for("a failed adoption", lambda: metric(s, "adoption_failures_total") >= 1)
        with open(s.log) as f:
            said = f.read()
        check("a_missing_object_is_reported_by_name", objects[4].rpartition("/")[2] in said and "is missing" in said, said[-300:])
        equal("and_nothing_is_put_into_tables", committed_numbers("gap", "a"), [])
        check("nor_removed", set(lake_files("gap", "_hydrant/log")) >= set(objects) - {objects[4]})
        s.stop()
    with node("gap", "keeper", "--salvage") as s:
        wait_for("salvage", lambda: metric(s, "adopted_logs_total") >= 1)
        there = numbers_in("gap", "keeper", "a")
        equal("salvage_gives_up_that_object_alone", (len(there), len(set(there)), len(load.acked) - len(there)), (21, 21, 3))
        s.stop()


failed = []


def guarded(run):
    try:
        run()
    except Exception as e:
        failed.append(e)
        not_ok(run.__name__, repr(e))


threads = [threading.Thread(target=guarded, args=(f,)) for f in (killed_and_wiped, killed_and_started_again, damaged)]
for t in threads:
    t.start()
for t in threads:
    t.join()
done_testing()
