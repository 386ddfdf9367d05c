#!/usr/bin/env python3
"""Two real S3 servers of different makers on loopback, for tests: Ceph radosgw (Debian) and versitygw (a Go module).

    tests/s3/servers.py radosgw|versitygw COMMAND [ARGUMENT...]

starts one with its data in a temporary folder, runs the command with the AWS variables and HYDRANT_TEST_LAKE=s3://BUCKET/PREFIX in its
environment, ends the server by pid, removes the folder, and exits as the command did; 77 with the reason if the server cannot be had here.
`prepare` alone builds what takes long, and never fails.
As a module:  with servers.start("radosgw") as s: s.client(s.owner) …

Each server has two accounts, `owner` and `stranger`, and the owner's bucket; radosgw also speaks IAM roles and STS. Without systemd, one
node, everything in memory (Ceph) or in the folder (versitygw); ports come from the kernel.
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VERSITYGW = "v1.8.0"  # of github.com/versity/versitygw/cmd/versitygw, built into .cache/go
BUCKET = "hydrant-lake"
REGION = "us-east-1"


class Unavailable(Exception):
    """The server cannot be had on this machine; the reason is the text."""


class Account:
    def __init__(self, name, access, secret, arn):
        self.name, self.access, self.secret, self.arn = name, access, secret, arn


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class S3Server:
    """What both have in common: a folder, processes that are ended by pid, clients, the bucket."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="hydrant-s3.", dir=os.environ.get("HYDRANT_S3_DIR") or None)
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        self.processes = []
        self.owner = self.stranger = None
        self.admin = None  # who may always set the bucket's policy

    def run(self, *argv, env=None, check=True):
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=120, env=dict(os.environ, **(env or {})))
        if check and done.returncode:
            raise RuntimeError("'%s' ended with %d: %s" % (" ".join(argv), done.returncode, done.stdout.strip()[-600:]))
        return done.stdout

    def spawn(self, name, *argv, env=None):
        with open(os.path.join(self.dir, name + ".out"), "wb") as out:
            self.processes.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=dict(os.environ, **(env or {}))))

    def wait_for(self, what, ready, seconds=120):
        deadline = time.monotonic() + seconds
        while not ready():
            for p in self.processes:
                if p.poll() is not None:
                    raise RuntimeError("%s ended while %s was awaited; see %s" % (p.args[0], what, self.tail()))
            if time.monotonic() > deadline:
                raise RuntimeError("%s did not come up in %d s; see %s" % (what, seconds, self.tail()))
            time.sleep(0.1)

    def tail(self):
        said = []
        for name in sorted(os.listdir(self.dir)):
            if name.endswith(".out"):
                with open(os.path.join(self.dir, name), errors="replace") as f:
                    said.append("%s: %s" % (name, f.read()[-400:].replace("\n", " ")))
        return "; ".join(said)

    def answers(self):
        try:
            urllib.request.urlopen(self.url, timeout=2).close()
        except urllib.error.HTTPError:
            return True  # an S3 error is an answer, too
        except OSError:
            return False
        return True

    def client(self, account, service="s3", url=None, **more):
        import boto3  # tests/requirements.txt
        from botocore.config import Config
        config = Config(**{"s3": {"addressing_style": "path"}, "retries": {"max_attempts": 3}, **more.pop("config", {})})
        return boto3.client(service, endpoint_url=url or self.url, region_name=REGION, aws_access_key_id=account.access,
                            aws_secret_access_key=account.secret, config=config, **more)

    def environment(self, account=None, bucket=BUCKET):
        account = account or self.owner
        return {"AWS_ENDPOINT_URL_S3": self.url, "AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": account.access,
                "AWS_SECRET_ACCESS_KEY": account.secret, "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
                "HYDRANT_TEST_LAKE": "s3://%s/%s" % (bucket, uuid.uuid4().hex[:8]), "HYDRANT_TEST_STORE": self.name}

    def stop(self):
        for p in reversed(self.processes):
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in self.processes:
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


KMS_KEY = "lake-key"
KMS_KEYS = KMS_KEY + "=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="  # 32 bytes; Ceph's key store for tests
CEPH_CONF = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon}/0]
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
ms bind ipv6 = false
ms mon cluster mode = crc
ms mon service mode = crc
ms mon client mode = crc
ms cluster mode = crc
ms service mode = crc
ms client mode = crc
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
run dir = {dir}/run
admin socket = {dir}/run/$name.asok
log file = {dir}/$name.log
keyring = {dir}/keyring
[mon.a]
mon data = {dir}/mon
public addrv = [v2:127.0.0.1:{mon}/0]
[osd]
osd data = {dir}/osd
osd objectstore = memstore
memstore device bytes = {memory}
osd max object name len = 2048
osd memory target = 1073741824
osd class load list = *
osd class default list = *
[client.rgw.a]
rgw data = {dir}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw sts key = abcdefghijklmnop
rgw s3 auth use sts = true
rgw enable usage log = false
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = {kms}
rgw thread pool size = 64
"""


class Radosgw(S3Server):
    """A monitor, one memory-backed OSD, one gateway."""
    name = "radosgw"

    def __init__(self):
        for program in ("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "monmaptool"):
            if not shutil.which(program):
                raise Unavailable("there is no %s: tools/bootstrap s3" % program)
        super().__init__()
        try:
            self.up()
        except BaseException:
            self.stop()
            raise

    def up(self):
        for d in ("run", "mon", "osd", "rgw"):
            os.mkdir(os.path.join(self.dir, d))
        self.conf = os.path.join(self.dir, "ceph.conf")
        fsid, mon = str(uuid.uuid4()), free_port()
        with open(self.conf, "w") as f:
            f.write(CEPH_CONF.format(fsid=fsid, mon=mon, dir=self.dir, port=self.port, kms=KMS_KEYS, memory=int(os.environ.get("HYDRANT_S3_BYTES", 6 << 30))))
        ring, monmap = self.dir + "/keyring", self.dir + "/monmap"
        self.run("ceph-authtool", "--create-keyring", ring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        for who in ("client.admin", "client.rgw.a"):
            self.run("ceph-authtool", ring, "--gen-key", "-n", who, "--cap", "mon", "allow *", "--cap", "osd", "allow *")
        self.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", "[v2:127.0.0.1:%d/0]" % mon, monmap)
        self.run("ceph-mon", "-c", self.conf, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", ring)
        self.spawn("mon", "ceph-mon", "-c", self.conf, "-i", "a", "-f")
        osd = str(uuid.uuid4())
        self.run("ceph", "-c", self.conf, "--connect-timeout", "20", "osd", "new", osd)
        self.run("ceph-osd", "-c", self.conf, "-i", "0", "--mkfs", "--osd-uuid", osd, "--no-mon-config")
        self.spawn("osd", "ceph-osd", "-c", self.conf, "-i", "0", "-f")
        self.wait_for("the OSD", lambda: "1 up" in self.run("ceph", "-c", self.conf, "--connect-timeout", "20", "osd", "stat", check=False))
        self.spawn("rgw", "radosgw", "-c", self.conf, "-n", "client.rgw.a", "-f")
        self.wait_for("radosgw", self.answers)
        self.owner = self.user("owner", caps="roles=*")
        self.stranger = self.user("stranger", caps="roles=*")
        self.admin = self.owner
        self.client(self.owner).create_bucket(Bucket=BUCKET)

    def user(self, name, caps=None, tenant=None):
        # A tenant is radosgw's word for an account of its own.
        access, secret = (name.upper() + "ACCESSKEY00000000")[:20], name + "-secret-" + uuid.uuid4().hex
        argv = ["radosgw-admin", "-c", self.conf, "-n", "client.rgw.a", "user", "create", "--uid", name, "--display-name", name,
                "--access-key", access, "--secret-key", secret]
        self.run(*argv, *(["--caps", caps] if caps else []), *(["--tenant", tenant] if tenant else []))
        return Account(name, access, secret, "arn:aws:iam::%s:user/%s" % (tenant or "", name))


    def forget(self, account):
        """Its access key is deleted."""
        self.run("radosgw-admin", "-c", self.conf, "-n", "client.rgw.a", "key", "rm", "--uid", account.name, "--access-key", account.access)


class Versitygw(S3Server):
    """A gateway over a folder (the posix backend, extended attributes beside the files)."""
    name = "versitygw"

    def __init__(self):
        program = build_versitygw()
        super().__init__()
        try:
            self.up(program)
        except BaseException:
            self.stop()
            raise

    def up(self, program):
        for d in ("data", "iam", "sidecar"):
            os.mkdir(os.path.join(self.dir, d))
        self.program = program
        self.admin = root = Account("root", "ROOTACCESSKEY0000000", "root-secret-" + uuid.uuid4().hex, "")
        self.root_env = {"ROOT_ACCESS_KEY": root.access, "ROOT_SECRET_KEY": root.secret}
        self.spawn("versitygw", program, "--port", "127.0.0.1:%d" % self.port, "--region", REGION, "--iam-dir", self.dir + "/iam", "--quiet", "--keep-alive",
                   "posix", "--sidecar", self.dir + "/sidecar", self.dir + "/data", env=self.root_env)
        self.wait_for("versitygw", self.answers)
        self.owner, self.stranger = self.user("owner"), self.user("stranger")
        self.client(self.owner).create_bucket(Bucket=BUCKET)

    def manage(self, *args):
        self.run(self.program, "admin", "--access", self.root_env["ROOT_ACCESS_KEY"], "--secret", self.root_env["ROOT_SECRET_KEY"],
                 "--endpoint-url", self.url, "--region", REGION, *args)

    def forget(self, account):
        self.manage("delete-user", "--access", account.access)

    def user(self, name):
        access, secret = (name.upper() + "ACCESSKEY00000000")[:20], name + "-secret-" + uuid.uuid4().hex
        self.manage("create-user", "--access", access, "--secret", secret, "--role", "userplus")
        return Account(name, access, secret, access)  # a policy's principal is the access key here


def build_versitygw():
    """Its path; built once, a minute or two."""
    place = os.path.join(ROOT, ".cache", "go")
    program = os.path.join(place, "versitygw-" + VERSITYGW)
    if os.path.exists(program):
        return program
    if os.environ.get("HYDRANT_NO_INSTALL") or not shutil.which("go"):
        raise Unavailable("versitygw is built with Go, and there is none")
    print("hydrant: building versitygw %s (a minute or two)" % VERSITYGW, file=sys.stderr, flush=True)
    os.makedirs(place, exist_ok=True)
    done = subprocess.run(["go", "install", "github.com/versity/versitygw/cmd/versitygw@" + VERSITYGW], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ, GOBIN=place, CGO_ENABLED="0"))
    if done.returncode:
        raise Unavailable("versitygw could not be built: " + done.stdout.strip()[-200:].replace("\n", " "))
    os.rename(os.path.join(place, "versitygw"), program)
    return program


KINDS = {"radosgw": Radosgw, "versitygw": Versitygw}


def start(kind):
    try:
        import boto3  # noqa: F401
    except ImportError:
        raise Unavailable("there is no boto3: tools/test-venv") from None
    return KINDS[kind]()


def each(*laws, kinds=KINDS):
    """Each law on a server of each kind. A law that raises keeps no other from its turn."""
    import lib
    for kind in kinds:
        try:
            server = start(kind)
        except Unavailable as why:
            lib.skip(kind, why)
            continue
        with server:
            for law in laws:
                try:
                    law(server)
                except Exception as e:
                    lib.not_ok("%s: %s" % (kind, law.__name__), repr(e))


def main():
    venv = os.path.join(ROOT, ".cache", "venv", "bin", "python3")
    if os.path.exists(venv) and os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(os.path.dirname(venv))):
        os.execv(venv, [venv, *sys.argv])
    if sys.argv[1:] == ["prepare"]:
        try:
            build_versitygw()
        except Unavailable as why:
            print("hydrant: %s" % why, file=sys.stderr)
        return
    if len(sys.argv) < 3 or sys.argv[1] not in KINDS:
        sys.exit("usage: tests/s3/servers.py %s COMMAND [ARGUMENT...]" % "|".join(KINDS))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with start(sys.argv[1]) as server:
            sys.exit(subprocess.run(sys.argv[2:], env=dict(os.environ, **server.environment())).returncode)
    except Unavailable as why:
        print("skip s3 on %s: %s" % (sys.argv[1], why), flush=True)
        sys.exit(77)


if __name__ == "__main__":
    main()
