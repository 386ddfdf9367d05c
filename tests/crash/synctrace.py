"""Reads an strace of a server and says of each acked request whether the bytes of its record were written to the log, and that file synced
by a sync that began after the write had ended and had ended before the answer was sent.

    strace STRACE -o FILE hydrant serve …
"""
import re

STRACE = ["-f", "-ttt", "-y", "-s", "400000", "-xx", "-e", "trace=pwrite64,fdatasync,fsync,sendto,sendmsg,writev,write"]

LINE = re.compile(r"^(\d+) +[\d.]+ (.*)$")
CALL = re.compile(r"^(\w+)\(\d+<([^>]*)>")
ACCEPTED = re.compile(rb'"accepted":\d+,"quarantined":\d+,"position":"[a-z0-9]+:(\d+)"')


def unescape(text):
    return bytes.fromhex(text.replace("\\x", ""))


def strings(text):
    return b"".join(unescape(m) for m in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', text))


def calls(path):
    """(line where it began, line where it ended, name, file, arguments as text) of each call that did not fail."""
    running = {}
    with open(path, encoding="utf-8", errors="replace") as f:
        for order, line in enumerate(f):
            m = LINE.match(line.rstrip("\n"))
            if not m:
                continue
            thread, rest = m.groups()
            began = order
            if rest.endswith("<unfinished ...>"):
                running[thread] = (order, rest[:-len("<unfinished ...>")])
                continue
            if rest.startswith("<... "):
                began, head = running.pop(thread, (0, ""))
                rest = head + rest[rest.index(">") + 1:]
            call, result = CALL.match(rest), re.search(r"\) += (-?\d+)", rest[-80:])
            if call and result and int(result.group(1)) >= 0:
                yield began, order, call.group(1), unescape(call.group(2)).decode(errors="replace"), rest


def check(path, records):
    """records: {position: bytes that only its record holds}. Returns (acked positions seen, problems)."""
    writes, syncs, problems, seen = [], [], [], set()
    for began, ended, name, file, text in calls(path):
        if name == "pwrite64" and file.endswith(".wal"):
            writes.append((ended, file, strings(text)))
        elif name in ("fdatasync", "fsync"):
            syncs.append((began, ended, file))
        elif file.startswith(("socket:", "TCP:")):
            for position in (int(m.group(1)) for m in ACCEPTED.finditer(strings(text))):
                seen.add(position)
                found = [w for w in writes if records[position] in w[2] and w[0] < began]
                if not found:
                    problems.append("position %d was acked, its record was not written before" % position)
                elif not any(s[2] == w[1] and w[0] < s[0] and s[1] < began for w in found for s in syncs):
                    problems.append("position %d was acked before its record was synced" % position)
    return seen, problems
