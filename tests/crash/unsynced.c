/* A power cut for tests, first half: preloaded into a program, it writes down what its file operations below one folder change and what is
 * synced, so that tests/crash/powercut.py can undo, after a kill -9, whatever no sync covers. The program's own operations go
 * through unchanged.
 *
 *   LD_PRELOAD=unsynced.so UNSYNCED_ROOT=/lake UNSYNCED_JOURNAL=/elsewhere/journal UNSYNCED_GRAVE=/elsewhere/grave hydrant …
 *
 * The journal is records in the machine's byte order, each appended by one write: struct rec, then `a` bytes of path, `b` bytes of a second
 * path, `data` bytes of old content. Removed and replaced files get a name in GRAVE (the same file system as ROOT) first, so that they
 * can come back, and so that no inode number is used twice. Only the process that was started counts, not its children.
 * What it cannot see (mmap, io_uring) the program must not use. Order: a sequence number a record. A write is covered by a sync that
 * began after the write was done; a change of a folder by an fsync of it that began after the change was done.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum op { OP_WRITE = 1, OP_DONE, OP_SYNC, OP_CREATE, OP_UNLINK, OP_RENAME, OP_LINK, OP_MKDIR, OP_RMDIR };

struct rec {
	uint32_t magic; /* a record cut short by the kill is ignored */
	uint32_t op;
	uint64_t seq;
	uint64_t ref;          /* DONE: the operation's seq. SYNC: seq when it began */
	uint64_t ino;          /* the file's, or for SYNC the folder's */
	uint64_t dir, dir2;    /* inodes of the folders changed */
	uint64_t offset, size; /* WRITE: place, and the file's size before */
	uint32_t a, b;         /* bytes of paths */
	uint64_t data;
};
#define MAGIC 0x75c5c0deu
#define GRAVE_NONE ""

static char root[PATH_MAX], grave[PATH_MAX];
static size_t root_len;
static int journal = -1;
static pid_t owner;
static uint64_t sequence, graves;

__attribute__((constructor)) static void start(void)
{
	const char *r = getenv("UNSYNCED_ROOT"), *j = getenv("UNSYNCED_JOURNAL"), *g = getenv("UNSYNCED_GRAVE");
	if (!r || !j || !g || !realpath(r, root) || !realpath(g, grave))
		return;
	root_len = strlen(root);
	journal = (int)syscall(SYS_openat, AT_FDCWD, j, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	owner = getpid();
	unsetenv("LD_PRELOAD");
	unsetenv("UNSYNCED_ROOT");
	if (journal < 0) {
		perror("unsynced: the journal");
		_exit(99);
	}
}

static int active(void)
{
	return journal >= 0 && getpid() == owner;
}

static uint64_t next_seq(void)
{
	return __atomic_add_fetch(&sequence, 1, __ATOMIC_SEQ_CST);
}

static void put(struct rec *r, const char *a, const char *b, const void *data)
{
	r->magic = MAGIC;
	r->a = a ? (uint32_t)strlen(a) : 0;
	r->b = b ? (uint32_t)strlen(b) : 0;
	struct iovec v[4] = { { r, sizeof *r }, { (void *)a, r->a }, { (void *)b, r->b }, { (void *)data, r->data } };
	size_t want = sizeof *r + r->a + r->b + r->data;
	if (syscall(SYS_writev, journal, v, 4) != (ssize_t)want) {
		fprintf(stderr, "unsynced: the journal cannot be written\n");
		_exit(99);
	}
}

static void done(uint64_t seq)
{
	struct rec r = { .op = OP_DONE, .seq = next_seq(), .ref = seq };
	put(&r, NULL, NULL, NULL);
}

/* The absolute path of something below the root; its folder must be there. */
static int below(int at, const char *path, char out[PATH_MAX], uint64_t *ret_dir)
{
	char full[2 * PATH_MAX], *slash;
	if (path[0] == '/') {
		snprintf(full, sizeof full, "%s", path);
	} else {
		char link[64], base[PATH_MAX];
		snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
		ssize_t n = readlink(link, base, sizeof base - 1);
		if (n < 0)
			return 0;
		base[n] = 0;
		snprintf(full, sizeof full, "%s/%s", base, path);
	}
	slash = strrchr(full, '/');
	*slash = 0;
	char dir[PATH_MAX];
	struct stat st;
	if (!realpath(*full ? full : "/", dir) || strncmp(dir, root, root_len) != 0 || (dir[root_len] && dir[root_len] != '/') ||
	    stat(dir, &st) != 0)
		return 0;
	*ret_dir = st.st_ino;
	return snprintf(out, PATH_MAX, "%s/%s", dir, slash + 1) < PATH_MAX;
}

static int tracked(int fd, struct stat *ret)
{
	char link[64], path[PATH_MAX];
	int saved = errno;
	if (!active() || fstat(fd, ret) != 0 || (!S_ISREG(ret->st_mode) && !S_ISDIR(ret->st_mode))) {
		errno = saved;
		return 0;
	}
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path - 1);
	errno = saved;
	if (n < 0)
		return 0;
	path[n] = 0;
	return !strncmp(path, root, root_len) && (path[root_len] == '/' || !path[root_len]);
}

/* --- contents --- */

/* Keeps what [offset, offset + len) holds. Returns the seq, 0 = not tracked. */
static uint64_t keep(int fd, uint64_t offset, uint64_t len)
{
	struct stat st;
	if (!tracked(fd, &st))
		return 0;
	uint64_t size = (uint64_t)st.st_size, there = offset >= size ? 0 : offset + len > size ? size - offset : len, got = 0;
	char *old = there ? malloc(there) : NULL;
	char self[64];
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd); /* the descriptor may be for writing only */
	int in = there ? (int)syscall(SYS_openat, AT_FDCWD, self, O_RDONLY | O_CLOEXEC, 0) : -1;
	while (got < there) {
		ssize_t n = syscall(SYS_pread64, in, old + got, there - got, offset + got);
		if (n <= 0)
			break;
		got += (uint64_t)n;
	}
	if (in >= 0)
		syscall(SYS_close, in);
	struct rec r = { .op = OP_WRITE, .seq = next_seq(), .ino = st.st_ino, .offset = offset, .size = size, .ref = len, .data = got };
	put(&r, NULL, NULL, old);
	free(old);
	return r.seq;
}

#define REAL(ret, name, ...)                       \
	static ret (*real)(__VA_ARGS__);           \
	if (!real)                                 \
		*(void **)&real = dlsym(RTLD_NEXT, name)

#define PWRITE(name)                                                          \
	ssize_t name(int fd, const void *data, size_t len, off_t offset)      \
	{                                                                     \
		REAL(ssize_t, #name, int, const void *, size_t, off_t);       \
		uint64_t seq = keep(fd, (uint64_t)offset, len);               \
		ssize_t n = real(fd, data, len, offset);                      \
		if (seq)                                                      \
			done(seq);                                            \
		return n;                                                     \
	}
PWRITE(pwrite)
PWRITE(pwrite64)

static uint64_t keep_at_position(int fd, size_t len)
{
	struct stat st;
	if (!tracked(fd, &st))
		return 0;
	int flags = fcntl(fd, F_GETFL);
	off_t at = flags & O_APPEND ? st.st_size : lseek(fd, 0, SEEK_CUR);
	return at < 0 ? 0 : keep(fd, (uint64_t)at, len);
}

ssize_t write(int fd, const void *data, size_t len)
{
	REAL(ssize_t, "write", int, const void *, size_t);
	uint64_t seq = keep_at_position(fd, len);
	ssize_t n = real(fd, data, len);
	if (seq)
		done(seq);
	return n;
}

static size_t total(const struct iovec *v, int count)
{
	size_t sum = 0;
	for (int i = 0; i < count; i++)
		sum += v[i].iov_len;
	return sum;
}

ssize_t writev(int fd, const struct iovec *v, int count)
{
	REAL(ssize_t, "writev", int, const struct iovec *, int);
	uint64_t seq = keep_at_position(fd, total(v, count));
	ssize_t n = real(fd, v, count);
	if (seq)
		done(seq);
	return n;
}

#define PWRITEV(name)                                                             \
	ssize_t name(int fd, const struct iovec *v, int count, off_t offset)      \
	{                                                                         \
		REAL(ssize_t, #name, int, const struct iovec *, int, off_t);      \
		uint64_t seq = keep(fd, (uint64_t)offset, total(v, count));       \
		ssize_t n = real(fd, v, count, offset);                           \
		if (seq)                                                          \
			done(seq);                                                \
		return n;                                                         \
	}
PWRITEV(pwritev)
PWRITEV(pwritev64)

static uint64_t keep_from(int fd, off_t from)
{
	struct stat st;
	if (!tracked(fd, &st))
		return 0;
	return keep(fd, (uint64_t)from, from < st.st_size ? (uint64_t)(st.st_size - from) : 0);
}

#define FTRUNCATE(name)                                    \
	int name(int fd, off_t size)                       \
	{                                                  \
		REAL(int, #name, int, off_t);              \
		uint64_t seq = keep_from(fd, size);        \
		int rc = real(fd, size);                   \
		if (seq)                                   \
			done(seq);                         \
		return rc;                                 \
	}
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

#define FALLOCATE(name)                                                        \
	int name(int fd, int mode, off_t offset, off_t len)                    \
	{                                                                      \
		REAL(int, #name, int, int, off_t, off_t);                      \
		uint64_t seq = keep(fd, (uint64_t)offset, (uint64_t)len);      \
		int rc = real(fd, mode, offset, len);                          \
		if (seq)                                                       \
			done(seq);                                             \
		return rc;                                                     \
	}
FALLOCATE(fallocate)
FALLOCATE(fallocate64)

static int sync_fd(int fd, int (*real)(int))
{
	struct stat st;
	int track = tracked(fd, &st);
	uint64_t began = next_seq();
	int rc = real(fd);
#ifdef FORGET_SYNCS /* a disk that lies: the tests must notice */
	track = 0;
#endif
	if (track && rc == 0) {
		struct rec r = { .op = OP_SYNC, .seq = next_seq(), .ref = began, .ino = st.st_ino };
		put(&r, NULL, NULL, NULL);
	}
	return rc;
}

int fsync(int fd)
{
	REAL(int, "fsync", int);
	return sync_fd(fd, real);
}

int fdatasync(int fd)
{
	REAL(int, "fdatasync", int);
	return sync_fd(fd, real);
}

/* --- names --- */

static uint64_t inode_of(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0 ? st.st_ino : 0;
}

/* One more name, in the grave, for a file that is about to lose this one. */
static const char *bury(const char *path, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%.4000s/%d-%llu", grave, (int)owner, (unsigned long long)__atomic_add_fetch(&graves, 1, __ATOMIC_SEQ_CST));
	return syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, out, 0) == 0 ? out : GRAVE_NONE;
}

static void created(int at, const char *path, int existed, int fd)
{
	char full[PATH_MAX];
	uint64_t dir;
	if (fd < 0 || existed || !below(at, path, full, &dir))
		return;
	struct rec r = { .op = OP_CREATE, .seq = next_seq(), .dir = dir, .ino = inode_of(full) };
	put(&r, full, NULL, NULL);
	done(r.seq);
}

static int exists(int at, const char *path)
{
	struct stat st;
	return fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int open_at(int (*real)(int, const char *, int, ...), int at, const char *path, int flags, mode_t mode)
{
	int watch = active() && (flags & O_CREAT) && (flags & O_TMPFILE) != O_TMPFILE, saved = errno;
	int existed = watch && exists(at, path);
	errno = saved;
	int fd = real(at, path, flags, mode);
	saved = errno;
	if (watch)
		created(at, path, existed, fd);
	errno = saved;
	return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

#define OPENAT(name)                                                    \
	int name(int at, const char *path, int flags, ...)              \
	{                                                               \
		REAL(int, #name, int, const char *, int, ...);          \
		va_list ap;                                             \
		va_start(ap, flags);                                    \
		mode_t mode = mode_of(flags, ap);                       \
		va_end(ap);                                             \
		return open_at(real, at, path, flags, mode);            \
	}
OPENAT(openat)
OPENAT(openat64)

#define OPEN(name, via)                                                 \
	int name(const char *path, int flags, ...)                      \
	{                                                               \
		REAL(int, via, int, const char *, int, ...);            \
		va_list ap;                                             \
		va_start(ap, flags);                                    \
		mode_t mode = mode_of(flags, ap);                       \
		va_end(ap);                                             \
		return open_at(real, AT_FDCWD, path, flags, mode);      \
	}
OPEN(open, "openat")
OPEN(open64, "openat64")

#define MKOSTEMP(name)                                                  \
	int name(char *path, int flags)                                 \
	{                                                               \
		REAL(int, #name, char *, int);                          \
		int fd = real(path, flags);                             \
		if (active())                                           \
			created(AT_FDCWD, path, 0, fd);                 \
		return fd;                                              \
	}
MKOSTEMP(mkostemp)
MKOSTEMP(mkostemp64)

static int remove_at(int at, const char *path, int flags)
{
	char full[PATH_MAX], buried[PATH_MAX];
	uint64_t dir;
	if (!active() || !below(at, path, full, &dir))
		return (int)syscall(SYS_unlinkat, at, path, flags);
	int folder = flags & AT_REMOVEDIR;
	struct rec r = { .op = folder ? OP_RMDIR : OP_UNLINK, .seq = next_seq(), .dir = dir, .ino = inode_of(full) };
	put(&r, full, folder ? NULL : bury(full, buried), NULL);
	int rc = (int)syscall(SYS_unlinkat, at, path, flags);
	if (rc == 0)
		done(r.seq);
	return rc;
}

int unlink(const char *path)
{
	return remove_at(AT_FDCWD, path, 0);
}

int unlinkat(int at, const char *path, int flags)
{
	return remove_at(at, path, flags);
}

int rmdir(const char *path)
{
	return remove_at(AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdir(const char *path, mode_t mode)
{
	char full[PATH_MAX];
	uint64_t dir;
	int track = active() && below(AT_FDCWD, path, full, &dir);
	int rc = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
	if (track && rc == 0) {
		struct rec r = { .op = OP_MKDIR, .seq = next_seq(), .dir = dir, .ino = inode_of(full) };
		int saved = errno;
		put(&r, full, NULL, NULL);
		done(r.seq);
		errno = saved;
	}
	return rc;
}

int rename(const char *from, const char *to)
{
	char a[PATH_MAX], b[PATH_MAX], buried[PATH_MAX];
	uint64_t dir_a, dir_b;
	if (!active() || !below(AT_FDCWD, from, a, &dir_a) || !below(AT_FDCWD, to, b, &dir_b))
		return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
	/* third path, of what `to` was: as content */
	const char *was = bury(b, buried);
	struct rec r = { .op = OP_RENAME, .seq = next_seq(), .dir = dir_a, .dir2 = dir_b, .ino = inode_of(a), .data = strlen(was) };
	put(&r, a, b, was);
	int rc = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
	if (rc == 0)
		done(r.seq);
	return rc;
}

int link(const char *from, const char *to)
{
	char full[PATH_MAX];
	uint64_t dir;
	int track = active() && below(AT_FDCWD, to, full, &dir);
	int rc = (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0), saved = errno;
	if (track && rc == 0) {
		struct rec r = { .op = OP_LINK, .seq = next_seq(), .dir = dir, .ino = inode_of(full) };
		put(&r, full, NULL, NULL);
		done(r.seq);
	}
	errno = saved;
	return rc;
}
