#!/usr/bin/env python3
"""A power cut for tests, second half: undoes what no sync covers, as unsynced.c wrote it down, after a kill -9.

    powercut.py ROOT JOURNAL GRAVE [all|SEED]

all    everything that was not synced is lost: the least that a disk may keep
SEED   of each file: all, nothing, or a random half of its unsynced 4 KiB pages; of the changes of folders: a random number of
       the last ones is lost, in order, as on a journaling file system
It says what it undid.
"""
import os
import random
import struct
import sys

WRITE, DONE, SYNC, CREATE, UNLINK, RENAME, LINK, MKDIR, RMDIR = range(1, 10)
HEAD = struct.Struct("=IIQQQQQQQIIQ")
MAGIC = 0x75C5C0DE
PAGE = 4096


class Rec:
    __slots__ = ("op", "seq", "ref", "ino", "dir", "dir2", "offset", "size", "a", "b", "data", "length", "done")


def read_journal(path):
    """Records in order of seq; content stays in the file."""
    out = []
    size = os.path.getsize(path)
    with open(path, "rb") as f:
        at = 0
        while at + HEAD.size <= size:
            f.seek(at)
            r = Rec()
            magic, r.op, r.seq, r.ref, r.ino, r.dir, r.dir2, r.offset, r.size, a, b, r.length = HEAD.unpack(f.read(HEAD.size))
            if magic != MAGIC:
                raise RuntimeError("%s: no record at byte %d" % (path, at))
            r.a, r.b = f.read(a).decode(), f.read(b).decode()
            r.data = at + HEAD.size + a + b
            r.done = None
            at = r.data + r.length
            if at <= size:
                out.append(r)
    out.sort(key=lambda r: r.seq)
    return out


def uncovered(records):
    """(writes, changes of folders) that no later sync covers."""
    by_seq = {r.seq: r for r in records}
    syncs = {}
    for r in records:
        if r.op == DONE and r.ref in by_seq:
            by_seq[r.ref].done = r.seq
        elif r.op == SYNC:
            syncs[r.ino] = max(syncs.get(r.ino, 0), r.ref)
    writes, names = [], []
    for r in records:
        if r.op in (DONE, SYNC):
            continue
        last = max(syncs.get(i, 0) for i in ((r.ino,) if r.op == WRITE else (r.dir, r.dir2)))
        if r.done is None or r.done > last:
            (writes if r.op == WRITE else names).append(r)
    return writes, names


def inode(path):
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None


def all_files(*roots):
    """A path of each inode."""
    return {e.stat(follow_symlinks=False).st_ino: e.path for root in roots for e in walk(root)}


def walk(folder):
    for e in os.scandir(folder):
        if e.is_dir(follow_symlinks=False):
            yield from walk(e.path)
        else:
            yield e


def undo_contents(journal, path, writes, rng):
    how = "all" if rng is None else rng.choice(("all", "none", "pages"))
    if how == "none":
        return how
    fd = os.open(path, os.O_RDWR)
    keep = {}  # page -> lost?
    now = os.fstat(fd).st_size
    for r in reversed(writes):
        journal.seek(r.data)
        old = journal.read(r.length)
        if how == "all":
            os.pwrite(fd, old, r.offset)
            continue
        end = min(r.offset + r.ref, now)
        at = r.offset
        while at < end:
            stop = min(end, (at // PAGE + 1) * PAGE)
            if keep.setdefault(at // PAGE, rng.random() < 0.5):
                part = old[at - r.offset:stop - r.offset]
                os.pwrite(fd, part + bytes(stop - at - len(part)), at)
            at = stop
    if how == "all":
        os.ftruncate(fd, writes[0].size)
    os.close(fd)
    return how


def undo_name(journal, r, grave):
    """True if there was something to undo."""
    if r.op in (CREATE, LINK):
        if inode(r.a) != r.ino:
            return False
        spare = os.path.join(grave, "undone-%d" % r.seq)
        os.rename(r.a, spare)
    elif r.op == MKDIR:
        if inode(r.a) != r.ino:
            return False
        os.rename(r.a, os.path.join(grave, "undone-%d" % r.seq))
    elif r.op == RMDIR:
        if inode(r.a) is not None or r.done is None:
            return False
        os.mkdir(r.a)
    elif r.op == UNLINK:
        if inode(r.a) is not None or not r.b:
            return False
        os.link(r.b, r.a)
    elif r.op == RENAME:
        if inode(r.b) != r.ino or (inode(r.a) is not None):
            return False
        os.rename(r.b, r.a)
        journal.seek(r.data)
        was = journal.read(r.length).decode()
        if was:
            os.link(was, r.b)
    return True


def cut(root, journal_path, grave, seed=None):
    """seed None: everything unsynced is lost. Returns a sentence."""
    rng = random.Random(seed) if seed is not None else None
    if not os.path.exists(journal_path):
        return "nothing was written"
    writes, names = uncovered(read_journal(journal_path))
    by_inode = {}
    for r in writes:
        by_inode.setdefault(r.ino, []).append(r)
    paths = all_files(root, grave)
    files = undone = 0
    with open(journal_path, "rb") as journal:
        for ino, list_ in by_inode.items():
            if ino in paths:
                files += undo_contents(journal, paths[ino], list_, rng) != "none"
        kept = 0 if rng is None else rng.randint(0, len(names))
        for r in reversed(names[kept:]):
            try:
                undone += undo_name(journal, r, grave)
            except OSError as e:  # its folder went, too, or something else came to stand there
                if not isinstance(e, (FileNotFoundError, FileExistsError)):
                    raise
    os.unlink(journal_path)
    return "%d unsynced writes of %d files, %d of %d unsynced names undone" % (len(writes), files, undone, len(names))


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit("usage: powercut.py ROOT JOURNAL GRAVE [all|SEED]")
    print(cut(*sys.argv[1:4], None if sys.argv[4:] in ([], ["all"]) else int(sys.argv[4])))
