"""What happens to a running server beside its death: calls that fail, a wall clock that jumps, a file system of its own that fills or breaks."""
import fcntl
import os
import signal
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LONG = bool(os.environ.get("CRASH_LONG"))  # more rounds than CI has time for

# What each refuses, and why.
CALL_FAULTS = {
    "a_sync_of_the_log_fails": ("fdatasync", "EIO"),
    "a_write_fails": ("pwrite64,write", "EIO"),
    "there_is_no_space_to_write": ("pwrite64,write,fallocate", "ENOSPC"),
    "a_sync_of_a_file_or_folder_fails": ("fsync", "EIO"),
    "a_sync_finds_no_space": ("fsync,fdatasync", "ENOSPC"),
    "nothing_can_be_named": ("rename,renameat,renameat2,link,linkat", "EIO"),
    "there_are_no_file_handles": ("openat,accept4", "EMFILE"),
}


class Injector:
    """strace, attached to a running program: calls fail until stop(). when: as strace's. signal: sent instead of an error."""

    def __init__(self, pid, calls, error=None, out="injected", when="1+", signal_=None):
        self.out = os.path.abspath(out)
        how = "signal=" + signal_ if signal_ else "error=" + error
        self.process = subprocess.Popen(["strace", "-f", "-o", self.out, "-e", "trace=" + calls, "-e", "inject=%s:%s:when=%s" % (calls, how, when), "-p", str(pid)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        if "attached" not in line:
            self.process.wait(10)
            raise RuntimeError("strace: " + line.strip())

    def met(self):
        """How many calls were made to fail so far."""
        with open(self.out, encoding="utf-8", errors="replace") as f:
            return sum("(INJECTED)" in line for line in f)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        self.process.stderr.close()
        return self.met()


def can_attach():
    """A reason why not, or None."""
    child = subprocess.Popen(["sleep", "30"])
    try:
        Injector(child.pid, "fsync", "EIO", "attach-trial").stop()
    except (OSError, RuntimeError) as e:
        return str(e)
    finally:
        child.kill()
        child.wait()
    return None


class Clock:
    """env: what a program needs to follow it. jump(seconds) is at once."""

    def __init__(self, folder):
        shim, self.path = os.path.join(os.path.abspath(folder), "clock.so"), os.path.join(os.path.abspath(folder), "skew")
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-o", shim, os.path.join(HERE, "clock.c"), "-ldl"], check=True)
        self.off = 0
        self.jump(0)
        self.env = {"LD_PRELOAD": shim, "CLOCK_SKEW": self.path}

    def jump(self, seconds):
        self.off += seconds
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as f:
            f.write(struct.pack("=q", self.off))


def in_own_mounts():
    """Starts the calling script again where its mounts are its own and go with it. A reason why not, or None."""
    if os.environ.get("HURT_MOUNTS") == "own":
        return None
    if os.geteuid():
        return "mounting needs root"
    trial = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "trial", "/mnt"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if trial.returncode:
        return "nothing can be mounted here: " + trial.stdout.strip()
    os.environ["HURT_MOUNTS"] = "own"
    os.execvp("unshare", ["unshare", "-m", sys.executable, os.path.abspath(sys.argv[0])])


class Disk:
    """A small file system at `folder`: tmpfs, or ext4 in a file beside it."""

    GOING_DOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN; 2: what is not synced is lost, as in a power cut

    def __init__(self, folder, megabytes, kind):
        self.folder, self.kind, self.image = os.path.abspath(folder), kind, os.path.abspath(folder) + ".img"
        os.makedirs(folder)
        if kind == "tmpfs":
            self.options = "size=%dm" % megabytes
        else:
            self.options = "loop"
            with open(self.image, "wb") as f:
                f.truncate(megabytes << 20)
            run("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
        self.mount()

    def mount(self):
        run("mount", "-t", self.kind, "-o", self.options, self.image if self.kind == "ext4" else "x", self.folder)

    def unmount(self):
        run("umount", self.folder)

    def remount(self, how):
        run("mount", "-o", "remount," + how, self.folder)

    def fill(self, leave):
        """A ballast file takes all but about `leave` bytes, while others write, too."""
        fd = os.open(os.path.join(self.folder, "ballast"), os.O_WRONLY | os.O_CREAT, 0o600)
        at, step = 0, 64 << 20
        while step >= 4096:
            now = os.statvfs(self.folder)
            try:
                if now.f_bavail * now.f_frsize < leave + step:
                    raise OSError
                os.posix_fallocate(fd, at, step)
                at += step
            except OSError:
                step //= 2
        os.close(fd)

    def drain(self):
        os.unlink(os.path.join(self.folder, "ballast"))

    def break_down(self):
        """Every call on it fails from now on, and what was not synced is gone when it is mounted again."""
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, self.GOING_DOWN, struct.pack("=I", 2))
        finally:
            os.close(fd)


def run(*argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(argv), done.stdout.strip()))


def wait_for(what, seconds, every=0.02):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(every)
    return False
