#!/usr/bin/env python3
"""hydrant restore -o, hydrant convert IN OUT: files, devices, pipes, standard output; what fails leaves nothing behind and nothing changed."""
import os
import stat
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

done = hydrant("convert", "in.ndjson", "-")
check("convert to standard output", done.returncode == 0 and done.stdout == read("in.parquet"), done.stderr)
with open("read", "wb") as copy:
    reader = subprocess.Popen(["cat", "pipe"], stdout=copy)
done = hydrant("convert", "in.ndjson", "pipe")
reader.wait()
check("convert to a named pipe", done.returncode == 0 and read("read") == read("in.parquet"), done.stderr)
try:
    os.mknod("full", stat.S_IFCHR | 0o600, os.makedev(1, 7))
    open("full", "wb").close()
except OSError as e:
    skip("convert to a device", "none can be made here: %s" % e)
else:
    done = hydrant("convert", "in.ndjson", "full")
    check("convert to a device writes to it", done.returncode == 1 and b"No space left" in done.stderr and stat.S_ISCHR(os.stat("full").st_mode), done.stderr)
done = hydrant("convert", "in.ndjson", "-", "--stats")
check("not with --stats, which goes there, too", done.returncode == 2 and not done.stdout and b"--stats" in done.stderr, done.stderr)
before, old = names(), read("in.parquet")
with open("bad.ndjson", "wb") as f:
    f.write(content + b"{\n")
done = hydrant("convert", "--strict", "bad.ndjson", "in.parquet")
os.remove("bad.ndjson")
check("a conversion that fails keeps what was there", done.returncode == 1 and read("in.parquet") == old and names() == before, done.stderr)
done = hydrant("convert", "in.ndjson", "in.ndjson")
check("and its own input is no output", done.returncode == 1 and read("in.ndjson") == content, done.stderr)

with open("/dev/full", "wb") as full:
    done = subprocess.run([HYDRANT, "restore", "in.parquet"], stdout=full, stderr=subprocess.PIPE)
check("a full disk is an error", done.returncode == 1 and b"No space left" in done.stderr, done.stderr)
done_testing()
