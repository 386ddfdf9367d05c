/* The disk, at the system calls below os/file.c. Names and bytes each stand twice: as programs see them, and as the platter has them.
 *
 * A power cut keeps, of each file, any subset of the sectors that were written and not synced, and a size between the two; of the names, any
 * subset of the changes that no fsync of their folder followed, in their order. A failed fdatasync writes some sectors and forgets about the
 * rest (they are clean, and still what was there before on the platter). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "sim.h"

#define SECTOR 512
#define FDS 512
#define FD_FIRST 1000
#define JUST_ONE 101u

struct inode {
	uint8_t *cur, *dur, *dirty;
	size_t size, dsize, cap;
	int64_t mtime;
	bool is_dir, changed;
	int lock_fd;
};
struct name {
	uint64_t hash;
	char *path;
	struct inode *ino;
};
struct names {
	struct name *list;
	size_t count, cap;
};
struct op { /* a change of names on its way to the platter */
	char *dir, *add, *del; /* add: this name is ino's; del: this name goes; both: a rename */
	struct inode *ino;
};
static struct names seen, kept;
static struct op ops[1 << 16];
static size_t op_count;
static unsigned cuts, cuts_before_other; /* power cuts of everything; until another writer began */
static struct {
	struct inode *ino;
	char *path;
	int node;
	size_t at; /* of read(2) */
} fds[FDS];

static struct name *find(struct names *n, const char *path)
{
	uint64_t h = hash64((struct slice){ (const uint8_t *)path, strlen(path) });
	for (size_t i = 0; i < n->count; i++)
		if (n->list[i].hash == h && !strcmp(n->list[i].path, path))
			return &n->list[i];
	return NULL;
}

static void set(struct names *n, const char *path, struct inode *ino)
{
	struct name *have = find(n, path);
	if (have && ino) {
		have->ino = ino;
	} else if (have) {
		*have = n->list[--n->count];
	} else if (ino) {
		if (n->count == n->cap)
			n->list = mem_realloc(n->list, (n->cap = n->cap ? n->cap * 2 : 256) * sizeof *n->list);
		n->list[n->count++] = (struct name){ hash64((struct slice){ (const uint8_t *)path, strlen(path) }), mem_strdup(path), ino };
	}
}

static char *parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash == path ? mem_strdup("/") : mem_printf("%.*s", (int)(slash - path), path);
}

static bool is_dir(struct names *n, const char *path)
{
	struct name *have = find(n, path);
	return !strcmp(path, "/") || (have && have->ino->is_dir);
}

static void change(const char *add, const char *del, struct inode *ino)
{
	if (op_count == sizeof ops / sizeof *ops)
		violated("the simulated disk has no room for more changes");
	if (del)
		set(&seen, del, NULL);
	if (add)
		set(&seen, add, ino);
	ops[op_count++] = (struct op){ parent(add ? add : del), add ? mem_strdup(add) : NULL, del ? mem_strdup(del) : NULL, ino };
}

static void keep(const struct op *o)
{
	if (o->del)
		set(&kept, o->del, NULL);
	AUTO_MEM char *dir = parent(o->add ? o->add : o->del);
	if (o->add && is_dir(&kept, dir))
		set(&kept, o->add, o->ino);
}

static void sync_dir(const char *dir)
{
	size_t n = 0;
	for (size_t i = 0; i < op_count; i++)
		if (!strcmp(ops[i].dir, dir))
			keep(&ops[i]);
		else
			ops[n++] = ops[i];
	op_count = n;
}

static void reserve(struct inode *f, size_t size)
{
	if (size <= f->cap)
		return;
	size_t cap = f->cap ? f->cap : 4096;
	while (cap < size)
		cap *= 2;
	f->cur = mem_realloc(f->cur, cap);
	f->dur = mem_realloc(f->dur, cap);
	f->dirty = mem_realloc(f->dirty, cap / SECTOR);
	memset(f->cur + f->cap, 0, cap - f->cap);
	memset(f->dur + f->cap, 0, cap - f->cap);
	memset(f->dirty + f->cap / SECTOR, 0, (cap - f->cap) / SECTOR);
	f->cap = cap;
}

static void touch(struct inode *f, size_t from, size_t to)
{
	for (size_t s = from / SECTOR; s * SECTOR < to; s++)
		f->dirty[s] = 1;
	f->changed = true;
	f->mtime = sim_now();
}

static size_t one_dirty(const struct inode *f)
{
	size_t dirty = 0, s = rot_torn_head(f->cur, f->size, f->dirty, SECTOR);
	if (s)
		return s;
	for (size_t i = 0; i < f->cap / SECTOR; i++)
		dirty += f->dirty[i];
	for (uint64_t skip = dirty ? chance_below(CHANCE_DISK, dirty) + 1 : 0; skip; s++)
		skip -= f->dirty[s];
	return s - 1;
}

/* percent of the unsynced sectors reach the platter (JUST_ONE: a single one); all: everything, size and all. */
static void settle(struct inode *f, unsigned percent)
{
	bool any_lost = false;
	size_t one = percent == JUST_ONE ? one_dirty(f) : 0;
	for (size_t s = 0; s * SECTOR < f->cap; s++)
		if (f->dirty[s]) {
			if (percent == JUST_ONE ? s == one : percent == 100 || chance_of(CHANCE_DISK, percent))
				memcpy(f->dur + s * SECTOR, f->cur + s * SECTOR, SECTOR);
			else
				any_lost = true;
			f->dirty[s] = 0;
		}
	if (percent == 100 || chance_of(CHANCE_DISK, any_lost ? 50 : 80))
		f->dsize = f->size;
	else if (f->size > f->dsize && chance_of(CHANCE_DISK, 50))
		f->dsize += chance_below(CHANCE_DISK, f->size - f->dsize + 1) / SECTOR * SECTOR;
	f->changed = false;
}

static bool starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

static void lose_inode(struct inode *f)
{
	static const unsigned fates[] = { 0, JUST_ONE, 20, 50, 80, 99 };
	if (f->changed)
		settle(f, fates[chance_below(CHANCE_DISK, 6)]);
	if (f->size > f->dsize)
		memset(f->cur + f->dsize, 0, f->size - f->dsize);
	if (f->dur)
		memset(f->dur + f->dsize, 0, f->cap - f->dsize);
	if (f->cur)
		memcpy(f->cur, f->dur, f->cap);
	f->size = f->dsize;
}

void disk_other_begins(void)
{
	cuts_before_other = cuts;
}

/* Another writer in a folder dies with the machine: what it goes on to make durable and name has lost what it wrote before. */
static bool other_is_dead(void)
{
	return task_node() < 0 && cuts != cuts_before_other;
}

void disk_power_cut(const char *prefix)
{
	cuts += !strcmp(prefix, "/");
	size_t n = 0;
	unsigned percent = (unsigned)chance_below(CHANCE_DISK, 5) * 25;
	for (size_t i = 0; i < op_count; i++) {
		const char *path = ops[i].add ? ops[i].add : ops[i].del;
		if (!starts(path, prefix))
			ops[n++] = ops[i];
		else if (chance_of(CHANCE_DISK, percent))
			keep(&ops[i]);
	}
	op_count = n;
	for (size_t i = 0; i < seen.count; i++)
		if (starts(seen.list[i].path, prefix))
			lose_inode(seen.list[i].ino);
	for (size_t i = 0; i < kept.count; i++)
		if (starts(kept.list[i].path, prefix))
			lose_inode(kept.list[i].ino);
	for (size_t i = seen.count; i-- > 0;)
		if (starts(seen.list[i].path, prefix))
			seen.list[i] = seen.list[--seen.count];
	for (size_t i = 0; i < kept.count; i++)
		if (starts(kept.list[i].path, prefix))
			set(&seen, kept.list[i].path, kept.list[i].ino);
}

void disk_wipe(const char *prefix)
{
	size_t n = 0;
	for (size_t i = 0; i < op_count; i++)
		if (!starts(ops[i].add ? ops[i].add : ops[i].del, prefix))
			ops[n++] = ops[i];
	op_count = n;
	for (size_t i = seen.count; i-- > 0;)
		if (starts(seen.list[i].path, prefix))
			seen.list[i] = seen.list[--seen.count];
	for (size_t i = kept.count; i-- > 0;)
		if (starts(kept.list[i].path, prefix))
			kept.list[i] = kept.list[--kept.count];
}

const uint8_t *disk_bytes(const char *path, size_t *ret_len)
{
	const struct name *have = find(&seen, path);
	*ret_len = have ? have->ino->size : 0;
	return have ? have->ino->cur : NULL;
}

const uint8_t *disk_platter(const char *path, size_t *ret_len)
{
	const struct name *have = find(&kept, path);
	*ret_len = have ? have->ino->dsize : 0;
	return have ? have->ino->dur : NULL;
}

void disk_flip(const char *path, size_t at, uint8_t bit)
{
	struct inode *f = find(&seen, path)->ino;
	f->cur[at] ^= bit;
	f->dur[at] ^= bit;
}

void disk_each(const char *prefix, void (*each)(void *ctx, const char *path), void *ctx)
{
	for (size_t i = 0; i < seen.count; i++)
		if (starts(seen.list[i].path, prefix))
			each(ctx, seen.list[i].path);
}

/* What takes time on a real disk, and lets others in between. */
static void busy(void)
{
	if (sim_latency > 3 && task_node() >= 0)
		task_sleep(1 + (int64_t)chance_below(CHANCE_DISK, (uint64_t)sim_latency / 4));
}

static void release(int fd)
{
	if (fds[fd].ino && fds[fd].ino->lock_fd == fd + 1)
		fds[fd].ino->lock_fd = 0;
	fds[fd].ino = NULL;
	free(fds[fd].path);
	fds[fd].path = NULL;
}

void disk_close_all(int node)
{
	for (int i = 0; i < FDS; i++)
		if (fds[i].ino && fds[i].node == node)
			release(i);
}

static int fail(int e)
{
	errno = e;
	return -1;
}

static int fd_of(struct inode *ino, const char *path)
{
	if (fault_now(FAULT_HANDLES))
		return fail(EMFILE);
	for (int i = 0; i < FDS; i++)
		if (!fds[i].ino) {
			fds[i].ino = ino;
			fds[i].path = mem_strdup(path);
			fds[i].node = task_node();
			fds[i].at = 0;
			return FD_FIRST + i;
		}
	violated("file handles leak: %d are open", FDS);
}

static struct inode *of(int fd)
{
	if (fd < FD_FIRST || fd >= FD_FIRST + FDS || !fds[fd - FD_FIRST].ino)
		violated("file handle %d is not open", fd);
	return fds[fd - FD_FIRST].ino;
}

static const char *path_of(int fd)
{
	of(fd);
	return fds[fd - FD_FIRST].path;
}

#define MAKE(name) __wrap_##name
int __real_close(int fd);
ssize_t __real_read(int fd, void *out, size_t len);
int MAKE(open64)(const char *path, int flags, ...);
int MAKE(close)(int fd);
ssize_t MAKE(pread64)(int fd, void *out, size_t len, off_t at);
ssize_t MAKE(read)(int fd, void *out, size_t len);
ssize_t MAKE(pwrite64)(int fd, const void *data, size_t len, off_t at);
int MAKE(fdatasync)(int fd);
int MAKE(fsync)(int fd);
int MAKE(ftruncate64)(int fd, off_t size);
int MAKE(fstat64)(int fd, struct stat *st);
int MAKE(stat64)(const char *path, struct stat *st);
int MAKE(lstat64)(const char *path, struct stat *st);
int MAKE(link)(const char *from, const char *to);
int MAKE(unlink)(const char *path);
int MAKE(rename)(const char *from, const char *to);
int MAKE(mkdir)(const char *path, mode_t mode);
int MAKE(rmdir)(const char *path);
DIR *MAKE(opendir)(const char *path);
struct dirent *MAKE(readdir64)(DIR *d);
int MAKE(closedir)(DIR *d);
int MAKE(flock)(int fd, int how);
int MAKE(fallocate64)(int fd, int mode, off_t at, off_t len);

int MAKE(open64)(const char *path, int flags, ...)
{
	door("open", path, (uint64_t)flags);
	if (starts(path, "/lake/beta") && fault_now(FAULT_PLACE))
		return fail(EIO);
	struct name *have = find(&seen, path);
	if ((flags & O_DIRECTORY) && !strcmp(path, "/"))
		return fd_of(calloc(1, sizeof(struct inode)), "/");
	if (have && (flags & O_EXCL))
		return fail(EEXIST);
	if (have && have->ino->is_dir && (flags & O_ACCMODE) != O_RDONLY)
		return fail(EISDIR);
	if (have)
		return fd_of(have->ino, path);
	if (!(flags & O_CREAT))
		return fail(ENOENT);
	AUTO_MEM char *dir = parent(path);
	if (!is_dir(&seen, dir))
		return fail(ENOENT);
	if (fault_now(FAULT_FULL))
		return fail(ENOSPC);
	struct inode *ino = calloc(1, sizeof *ino);
	int fd = fd_of(ino, path);
	if (fd >= 0) {
		ino->mtime = sim_now();
		change(path, NULL, ino);
	}
	return fd;
}

int MAKE(close)(int fd)
{
	if (fd < FD_FIRST)
		return __real_close(fd); /* the simulator's own */
	of(fd);
	release(fd - FD_FIRST);
	return 0;
}

ssize_t MAKE(pread64)(int fd, void *out, size_t len, off_t at)
{
	door("read", path_of(fd), (uint64_t)at);
	struct inode *f = of(fd);
	if (fault_now(FAULT_READ))
		return fail(EIO);
	size_t n = (size_t)at >= f->size ? 0 : f->size - (size_t)at < len ? f->size - (size_t)at : len;
	if (n)
		memcpy(out, f->cur + at, n);
	return (ssize_t)n;
}

ssize_t MAKE(read)(int fd, void *out, size_t len)
{
	if (fd < FD_FIRST)
		return __real_read(fd, out, len);
	ssize_t n = MAKE(pread64)(fd, out, len, (off_t)fds[fd - FD_FIRST].at);
	if (n > 0)
		fds[fd - FD_FIRST].at += (size_t)n;
	return n;
}

ssize_t MAKE(pwrite64)(int fd, const void *data, size_t len, off_t at)
{
	door("write", path_of(fd), (uint64_t)at);
	struct inode *f = of(fd);
	size_t end = (size_t)at + len;
	if (fault_now(FAULT_WRITE))
		return fail(EIO);
	if (end > f->size && fault_now(FAULT_FULL)) {
		len = chance_below(CHANCE_DISK, len);
		if (!len)
			return fail(ENOSPC);
		end = (size_t)at + len;
	}
	reserve(f, end);
	memcpy(f->cur + at, data, len);
	if (end > f->size)
		f->size = end;
	touch(f, (size_t)at, end);
	return (ssize_t)len;
}

int MAKE(fdatasync)(int fd)
{
	door("sync", path_of(fd), 0);
	busy();
	struct inode *f = of(fd);
	if (other_is_dead())
		return fail(EIO);
	if (fault_now(FAULT_SYNC)) {
		settle(f, (unsigned)chance_below(CHANCE_DISK, 90));
		return fail(EIO);
	}
	settle(f, 100);
	door("synced", path_of(fd), 0);
	return 0;
}

int MAKE(fsync)(int fd)
{
	static unsigned more[NODES]; /* so that the next thing that is tried fails, too */
	int node = task_node();
	door("sync folder", path_of(fd), 0);
	if (other_is_dead())
		return fail(EIO);
	if (node >= 0 && more[node] && nodes[node].fault_until[FAULT_FOLDER] > sim_now()) {
		more[node]--;
		return fail(EIO);
	}
	if (fault_now(FAULT_FOLDER)) {
		more[node] = 2;
		return fail(EIO);
	}
	if (fault_now(FAULT_SYNC))
		return fail(EIO);
	sync_dir(path_of(fd));
	return 0;
}

int MAKE(ftruncate64)(int fd, off_t size)
{
	door("truncate", path_of(fd), (uint64_t)size);
	struct inode *f = of(fd);
	size_t to = (size_t)size;
	if (to > f->size && fault_now(FAULT_FULL))
		return fail(ENOSPC);
	reserve(f, to);
	if (to < f->size) {
		memset(f->cur + to, 0, f->size - to);
		touch(f, to, f->size);
	}
	f->size = to;
	f->changed = true;
	return 0;
}

static int look(const struct inode *f, struct stat *st)
{
	memset(st, 0, sizeof *st);
	st->st_mode = f->is_dir ? S_IFDIR | 0755 : S_IFREG | 0644;
	st->st_size = (off_t)f->size;
	int64_t us = f->mtime + (int64_t)1790000000 * 1000000;
	st->st_mtim = (struct timespec){ us / 1000000, us % 1000000 * 1000 };
	return 0;
}

int MAKE(fstat64)(int fd, struct stat *st)
{
	return look(of(fd), st);
}

int MAKE(stat64)(const char *path, struct stat *st)
{
	static const struct inode root = { .is_dir = true };
	door("stat", path, 0);
	struct name *have = find(&seen, path);
	if (!strcmp(path, "/"))
		return look(&root, st);
	return have ? look(have->ino, st) : fail(ENOENT);
}

int MAKE(lstat64)(const char *path, struct stat *st)
{
	return MAKE(stat64)(path, st);
}

int MAKE(link)(const char *from, const char *to)
{
	door("link", to, 0);
	busy();
	struct name *have = find(&seen, from);
	AUTO_MEM char *dir = parent(to);
	if (other_is_dead())
		return fail(EIO);
	if (!have || !is_dir(&seen, dir))
		return fail(ENOENT);
	if (find(&seen, to))
		return fail(EEXIST);
	if (fault_now(FAULT_FULL))
		return fail(ENOSPC);
	change(to, NULL, have->ino);
	door("linked", to, 0);
	return 0;
}

int MAKE(unlink)(const char *path)
{
	door("unlink", path, 0);
	struct name *have = find(&seen, path);
	if (!have)
		return fail(ENOENT);
	change(NULL, path, NULL);
	return 0;
}

static char *moved(char *path, const char *from, const char *to)
{
	size_t n = strlen(from);
	return path && starts(path, from) && (path[n] == '/' || !path[n]) ? mem_printf("%s%s", to, path + n) : path;
}

static void move_names(struct names *n, const char *from, const char *to)
{
	for (size_t i = 0; i < n->count; i++) {
		char *path = n->list[i].path = moved(n->list[i].path, from, to);
		n->list[i].hash = hash64((struct slice){ (const uint8_t *)path, strlen(path) });
	}
}

/* A folder with all that is in it; durable at once. */
static void move_folder(const char *from, const char *to)
{
	move_names(&seen, from, to);
	move_names(&kept, from, to);
	for (size_t i = 0; i < op_count; i++) {
		ops[i].dir = moved(ops[i].dir, from, to);
		ops[i].add = moved(ops[i].add, from, to);
		ops[i].del = moved(ops[i].del, from, to);
	}
}

int MAKE(rename)(const char *from, const char *to)
{
	door("rename", to, 0);
	struct name *have = find(&seen, from);
	AUTO_MEM char *dir = parent(to);
	if (other_is_dead())
		return fail(EIO);
	if (!have || !is_dir(&seen, dir))
		return fail(ENOENT);
	if (have->ino->is_dir) {
		move_folder(from, to);
		return 0;
	}
	change(to, from, have->ino);
	door("renamed", to, 0);
	return 0;
}

int MAKE(mkdir)(const char *path, mode_t mode)
{
	(void)mode;
	door("mkdir", path, 0);
	AUTO_MEM char *dir = parent(path);
	if (find(&seen, path))
		return fail(EEXIST);
	if (!is_dir(&seen, dir))
		return fail(ENOENT);
	if (fault_now(FAULT_FULL))
		return fail(ENOSPC);
	struct inode *ino = calloc(1, sizeof *ino);
	ino->is_dir = true;
	change(path, NULL, ino);
	return 0;
}

static bool in_dir(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	return !strncmp(path, dir, n) && path[n] == '/' && !strchr(path + n + 1, '/');
}

int MAKE(rmdir)(const char *path)
{
	door("rmdir", path, 0);
	if (!find(&seen, path))
		return fail(ENOENT);
	for (size_t i = 0; i < seen.count; i++)
		if (in_dir(seen.list[i].path, path))
			return fail(ENOTEMPTY);
	change(NULL, path, NULL);
	return 0;
}

struct listing {
	struct dirent *list;
	size_t count, at;
};

DIR *MAKE(opendir)(const char *path)
{
	door("list", path, 0);
	if (!is_dir(&seen, path)) {
		errno = find(&seen, path) ? ENOTDIR : ENOENT;
		return NULL;
	}
	if (fault_now(FAULT_HANDLES)) {
		errno = EMFILE;
		return NULL;
	}
	struct listing *l = calloc(1, sizeof *l);
	l->list = calloc(seen.count + 1, sizeof *l->list);
	for (size_t i = 0; i < seen.count; i++)
		if (in_dir(seen.list[i].path, strcmp(path, "/") ? path : "")) {
			struct dirent *e = &l->list[l->count++];
			snprintf(e->d_name, sizeof e->d_name, "%s", strrchr(seen.list[i].path, '/') + 1);
			e->d_type = seen.list[i].ino->is_dir ? DT_DIR : DT_REG;
		}
	return (DIR *)l;
}

struct dirent *MAKE(readdir64)(DIR *d)
{
	struct listing *l = (struct listing *)d;
	return l->at < l->count ? &l->list[l->at++] : NULL;
}

int MAKE(closedir)(DIR *d)
{
	struct listing *l = (struct listing *)d;
	free(l->list);
	free(l);
	return 0;
}

int MAKE(flock)(int fd, int how)
{
	(void)how;
	struct inode *f = of(fd);
	if (f->lock_fd)
		return fail(EWOULDBLOCK);
	f->lock_fd = fd - FD_FIRST + 1;
	return 0;
}

int MAKE(fallocate64)(int fd, int mode, off_t at, off_t len)
{
	(void)mode;
	door("punch", path_of(fd), (uint64_t)at);
	struct inode *f = of(fd);
	size_t from = (size_t)at, to = from + (size_t)len;
	to = to > f->size ? f->size : to;
	if (from < to) {
		memset(f->cur + from, 0, to - from);
		touch(f, from, to);
	}
	return 0;
}
