#!/usr/bin/env python3
"""What a service manager is told, the unit file, and the package."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
from lib import *

ROOT = os.path.abspath(os.path.join(os.environ["HYDRANT_TESTS"], ".."))


def receive(sock, want, timeout=30):
    sock.settimeout(timeout)
    seen = []
    while not any(want in m for m in seen):
        seen.append(sock.recv(4096).decode())
    return seen


def test_notify(address, name):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind("\0" + address[1:] if address.startswith("@") else address)
    with open("n.yaml", "w") as f:
        f.write("lake: notified\n")
    with Server(None, "--config", "n.yaml", env={"NOTIFY_SOCKET": address}) as s:
        seen = receive(sock, "READY=1")
        check(name + ": READY=1 once it listens", len(seen) == 1 and "127.0.0.1" in seen[0], seen)
        s.process.send_signal(signal.SIGHUP)
        seen = receive(sock, "READY=1")
        check(name + ": RELOADING=1 with its time, then READY=1", seen[0].startswith("RELOADING=1\nMONOTONIC_USEC=") and len(seen) == 2, seen)
        s.process.send_signal(signal.SIGTERM)
        check(name + ": STOPPING=1", receive(sock, "STOPPING=1"))
        equal(name + ": ends with 0", s.process.wait(30), 0)
    sock.close()


def test_unit():
    unit = open(os.path.join(ROOT, "packaging", "hydrant.service"), encoding="utf-8").read()
    check("the unit is told of readiness and reload", "Type=notify" in unit and "ExecReload=/bin/kill -HUP $MAINPID" in unit)
    if not shutil.which("systemd-analyze"):
        return skip("systemd-analyze", "there is none on this machine")
    with open("hydrant.service", "w") as f:
        f.write(unit.replace("/usr/bin/hydrant", HYDRANT))
    done = subprocess.run(["systemd-analyze", "verify", "./hydrant.service"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = [line for line in done.stdout.decode().splitlines() if "hydrant.service" in line]
    check("systemd-analyze verify finds nothing", done.returncode == 0 and not said, done.stdout)


def test_deb():
    if not shutil.which("dpkg-deb") or not shutil.which("readelf"):
        return skip("the package", "there is no dpkg-deb or readelf")
    build = os.path.dirname(HYDRANT)
    done = subprocess.run([os.path.join(ROOT, "tools", "deb"), build, os.getcwd()], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        return not_ok("the package is built", done.stderr)
    deb = done.stdout.decode().strip()
    control = subprocess.run(["dpkg-deb", "-f", deb], stdout=subprocess.PIPE).stdout.decode()
    depends = [line for line in control.splitlines() if line.startswith("Depends:")][0]
    check("it depends on what it is linked with", all(p in depends for p in ("libc6 (>=", "libcurl4", "libssl3", "libyaml-0-2", "libjansson4", "libzstd1")), depends)
    os.mkdir("root")
    subprocess.run(["dpkg-deb", "-x", deb, "root"], check=True)
    files = sorted(os.path.join(d, f)[len("root"):] for d, _, names in os.walk("root") for f in names)
    wanted = ["/etc/hydrant/hydrant.yaml", "/lib/systemd/system/hydrant.service", "/usr/bin/hydrant", "/usr/share/doc/hydrant/README.md", "/usr/share/doc/hydrant/copyright"]
    check("it holds program, unit, settings", all(w in files for w in wanted), files)
    subprocess.run(["dpkg-deb", "-e", deb, "control"], check=True)
    equal("the settings are a conffile", open("control/conffiles").read(), "/etc/hydrant/hydrant.yaml\n")
    for script in ("postinst", "prerm", "postrm"):
        equal("sh reads its " + script, subprocess.run(["sh", "-n", "control/" + script]).returncode, 0)
    env = {"HYDRANT_LAKE_DIR": os.path.abspath("var/lake"), "HYDRANT_DATA_DIR": os.path.abspath("var/data"), "PATH": os.environ["PATH"]}
    done = subprocess.run(["root/usr/bin/hydrant", "serve", "--check", "--config", "root/etc/hydrant/hydrant.yaml"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    equal("what is installed accepts its settings", done.returncode, 0)
    if not os.path.exists("root/usr/lib/hydrant/libduckdb.so"):
        return skip("the package with SQL", "there is no libduckdb.so beside the program")
    subprocess.run(["root/usr/bin/hydrant", "ingest", "c", "-", "--lake", "var/lake"], input=b'{"n":7}\n', check=True, stderr=subprocess.DEVNULL, env=env)
    done = subprocess.run(["root/usr/bin/hydrant", "query", "select n from c", "--lake", "var/lake", "--format", "csv"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=env)
    check("it finds DuckDB's library where it was put", done.stdout == b"n\n7\n", done.stderr)


def readelf(*what):
    return subprocess.run(["readelf", "-W", *what, HYDRANT], stdout=subprocess.PIPE, check=True, env=dict(os.environ, LC_ALL="C")).stdout.decode()


def test_hardening():
    """What the compiler and the linker were asked for is in the file, whichever they were."""
    if not shutil.which("readelf"):
        return skip("hardening", "there is no readelf")
    header, segments, dynamic, imports = readelf("-h"), readelf("-l"), readelf("-d"), readelf("--dyn-syms")
    flags = {line.split()[0]: line.split()[6] for line in segments.splitlines() if re.match(r" +(GNU_STACK|GNU_RELRO) ", line)}
    check("position independent", "DYN" in header and re.search(r"FLAGS_1.*\bPIE\b", dynamic), header)
    check("RELRO, and everything is bound at the start", "GNU_RELRO" in flags and re.search(r"FLAGS_1.*\bNOW\b", dynamic), dynamic)
    equal("no stack that runs", flags.get("GNU_STACK"), "RW")
    check("nothing is both written and run", not re.search(r"^ +LOAD .* RWE ", segments, re.M) and "TEXTREL" not in dynamic, segments)
    check("stack protector", "__stack_chk_fail" in imports, imports)
    sanitized = "__asan_init" in imports or "__tsan_init" in imports
    if not sanitized:
        check("checked copies", all(name in imports for name in ("__memcpy_chk", "__snprintf_chk", "__vsnprintf_chk")), imports)
    if "X86-64" in header:
        place = re.search(r"\] \.text +PROGBITS +\S+ (\S+) (\S+)", readelf("-S"))
        with open(HYDRANT, "rb") as f:
            f.seek(int(place.group(1), 16))
            code = f.read(int(place.group(2), 16))
        check("indirect calls land on endbr64", code.count(b"\xf3\x0f\x1e\xfa") > 500, code.count(b"\xf3\x0f\x1e\xfa"))
    commands = os.path.join(os.path.dirname(HYDRANT), "compile_commands.json")
    if os.path.exists(commands) and not sanitized:
        with open(commands, encoding="utf-8") as f:
            program = [c["command"] for c in json.load(f) if "src/app/main.c" in c["file"]]
        check("each file is compiled so", program and all(
            flag in program[0] for flag in ("-D_FORTIFY_SOURCE=3", "-fstack-protector-strong", "-fstack-clash-protection", "-fcf-protection",
                                            "-fPIE")), program)


test_notify(os.path.abspath("notify.sock"), "a path")
test_notify("@hydrant-test-%d" % os.getpid(), "an abstract name")
test_unit()
test_hardening()
test_deb()
done_testing()
