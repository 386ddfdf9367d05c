#!/usr/bin/env python3
"""hydrant restore -o: files, devices, pipes, standard output; a restore that fails leaves nothing behind and nothing changed."""
import os
import subprocess
import sys
sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

content = b"".join(b'{"n":%d,"text":"caf\xc3\xa9 \\"%d\\"","list":[1,%d]}\r\n' % (i, i, i) for i in range(40000))
with open("in.ndjson", "wb") as f:
    f.write(content)
made = hydrant("convert", "in.ndjson", "in.parquet")
check("converted", made.returncode == 0, made.stderr)
with open("in.parquet", "rb") as f:
    whole = f.read()
with open("cut.parquet", "wb") as f: # pages are damaged, the footer is not
    f.write(whole[:200] + bytes(400) + whole[600:])


def read(path):
    with open(path, "rb") as f:
        return f.read()


def names():
    return sorted(os.listdir("."))


before = names()
done = hydrant("restore", "in.parquet", "-o", "/dev/null")
check("to a device", done.returncode == 0 and not done.stdout and not os.path.isfile("/dev/null"), done.stderr)
check("to standard output by name", hydrant("restore", "in.parquet", "-o", "-").stdout == content)
done = hydrant("restore", "in.parquet", "-o", "out")
check("to a file", done.returncode == 0 and read("out") == content and names() == sorted(before + ["out"]), done.stderr)
done = hydrant("restore", "in.parquet", "in.parquet", "-o", "out")
check("two files into one, over an old one", done.returncode == 0 and read("out") == content * 2, done.stderr)

os.mkfifo("pipe")
with open("read", "wb") as copy:
    reader = subprocess.Popen(["cat", "pipe"], stdout=copy)
done = hydrant("restore", "-o", "pipe", "in.parquet")
reader.wait()
check("to a named pipe", done.returncode == 0 and read("read") == content, done.stderr)
before = names()
done = hydrant("restore", "cut.parquet", "-o", "out")
check("a failure keeps what was there", done.returncode == 1 and b"cut.parquet" in done.stderr and read("out") == content * 2, done.stderr)
check("and leaves nothing behind", names() == before, names())
done = hydrant("restore", "in.parquet", "-o", ".")
check("a folder is refused", done.returncode == 1 and b"is a folder" in done.stderr, done.stderr)
done = hydrant("restore", "in.parquet", "-o", "missing/out")
check("a folder that is not there is named", done.returncode == 1 and b"missing/out" in done.stderr, done.stderr)
with open("/dev/full", "wb") as full:
    done = subprocess.run([HYDRANT, "restore", "in.parquet"], stdout=full, stderr=subprocess.PIPE)
check("a full disk is an error", done.returncode == 1 and b"No space left" in done.stderr, done.stderr)
done_testing()
