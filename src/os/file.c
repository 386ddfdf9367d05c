#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "os/random.h"

#define DURABLE_FOLDERS 1024

rc_t file_open(const char *path, enum file_mode mode, int *ret_fd, struct err *reterr)
{
	static const int flags[] = {
		[FILE_READ] = O_RDONLY,
		[FILE_WRITE] = O_RDWR,
		[FILE_CREATE] = O_RDWR | O_CREAT,
		[FILE_CREATE_NEW] = O_RDWR | O_CREAT | O_EXCL,
	};
	int fd;
	do
		fd = open(path, flags[mode] | O_CLOEXEC, 0644);
	while (fd < 0 && errno == EINTR);
	if (fd < 0) {
		rc_t rc = errno == ENOENT ? RC_NOT_FOUND : errno == EEXIST ? RC_CONFLICT : RC_IO;
		return err_errno(reterr, rc, "cannot open %s", path);
	}
	*ret_fd = fd;
	return RC_OK;
}

void file_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

rc_t file_pread(int fd, const char *path, void *data, size_t len, uint64_t offset, size_t *ret_got, struct err *reterr)
{
	size_t got = 0;
	while (got < len) {
		ssize_t n = pread(fd, (uint8_t *)data + got, len - got, (off_t)(offset + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(reterr, RC_IO, "cannot read %s at byte %llu", path, (unsigned long long)offset);
		if (n == 0)
			break;
		got += (size_t)n;
	}
	if (ret_got)
		*ret_got = got;
	return got == len ? RC_OK : err_set(reterr, RC_EOF, "%s ends before byte %llu", path, (unsigned long long)(offset + len));
}

rc_t file_pwrite(int fd, const char *path, const void *data, size_t len, uint64_t offset, struct err *reterr)
{
	size_t done = 0;
	while (done < len) {
		ssize_t n = pwrite(fd, (const uint8_t *)data + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(reterr, RC_IO, "cannot write %s", path);
		done += (size_t)n;
	}
	return RC_OK;
}

rc_t file_sync(int fd, const char *path, struct err *reterr)
{
	if (fdatasync(fd) != 0)
		return err_errno(reterr, RC_IO, "cannot make %s durable (fdatasync)", path);
	return RC_OK;
}

rc_t file_truncate(int fd, const char *path, uint64_t size, struct err *reterr)
{
	if (ftruncate(fd, (off_t)size) != 0)
		return err_errno(reterr, RC_IO, "cannot set the size of %s", path);
	return RC_OK;
}

rc_t file_size(int fd, const char *path, uint64_t *ret_size, struct err *reterr)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return err_errno(reterr, RC_IO, "cannot look at %s", path);
	*ret_size = (uint64_t)st.st_size;
	return RC_OK;
}

rc_t file_stat(const char *path, uint64_t *ret_size, int64_t *ret_mtime, bool *ret_is_dir, struct err *reterr)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return err_errno(reterr, errno == ENOENT || errno == ENOTDIR ? RC_NOT_FOUND : RC_IO, "cannot look at %s", path);
	if (ret_size)
		*ret_size = (uint64_t)st.st_size;
	if (ret_mtime)
		*ret_mtime = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
	if (ret_is_dir)
		*ret_is_dir = S_ISDIR(st.st_mode);
	return RC_OK;
}

rc_t file_read_all(const char *path, struct buf *ret, struct err *reterr)
{
	int fd;
	TRY(file_open(path, FILE_READ, &fd, reterr));
	rc_t rc = RC_OK;
	for (;;) {
		if (!buf_reserve(ret, 1)) {
			rc = err_set(reterr, RC_LIMIT, "%s is larger than the %zu bytes allowed here", path, ret->max);
			break;
		}
		if (ret->cap - ret->len < 65536 && ret->max - ret->len >= 65536)
			buf_reserve(ret, 65536);
		ssize_t n = read(fd, ret->data + ret->len, ret->cap - ret->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = err_errno(reterr, RC_IO, "cannot read %s", path);
			break;
		}
		if (n == 0)
			break;
		ret->len += (size_t)n;
	}
	close(fd);
	return rc;
}

char *file_temp_name(const char *path)
{
	char name[13]; /* random: a pid comes again in a container, and may meet what a crashed run left */
	random_name(name, 12);
	return mem_printf("%s.tmp-%s", path, name);
}

/* The folder part of path, "." if there is none. Caller frees. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return mem_strdup(".");
	if (slash == path)
		return mem_strdup("/");
	return mem_printf("%.*s", (int)(slash - path), path);
}

static rc_t sync_parent(const char *path, struct err *reterr)
{
	AUTO_MEM char *dir = parent_of(path);
	return dir_sync(dir, reterr);
}

/* Content in a new, synced temporary file beside path. */
static rc_t write_temp(const char *temp, struct slice content, struct err *reterr)
{
	int fd;
	TRY(file_open(temp, FILE_CREATE_NEW, &fd, reterr));
	rc_t rc = file_pwrite(fd, temp, content.data, content.len, 0, reterr);
	if (rc == RC_OK)
		rc = file_sync(fd, temp, reterr);
	close(fd);
	if (rc != RC_OK)
		unlink(temp);
	return rc;
}

rc_t file_publish(const char *temp, const char *path, struct err *reterr)
{
	if (link(temp, path) != 0)
		return err_errno(reterr, errno == EEXIST ? RC_CONFLICT : RC_IO, "cannot create %s", path);
	unlink(temp);
	return sync_parent(path, reterr);
}

rc_t file_create_atomic(const char *path, struct slice content, struct err *reterr)
{
	AUTO_MEM char *temp = file_temp_name(path);
	TRY(write_temp(temp, content, reterr));
	rc_t rc = file_publish(temp, path, reterr);
	if (rc != RC_OK)
		unlink(temp);
	return rc;
}

rc_t file_replace_atomic(const char *path, struct slice content, struct err *reterr)
{
	AUTO_MEM char *temp = file_temp_name(path);
	TRY(write_temp(temp, content, reterr));
	rc_t rc = file_rename(temp, path, reterr);
	if (rc != RC_OK) {
		unlink(temp);
		return rc;
	}
	return sync_parent(path, reterr);
}

rc_t file_remove(const char *path, struct err *reterr)
{
	if (unlink(path) != 0 && errno != ENOENT)
		return err_errno(reterr, RC_IO, "cannot remove %s", path);
	return RC_OK;
}

rc_t file_rename(const char *from, const char *to, struct err *reterr)
{
	if (rename(from, to) != 0)
		return err_errno(reterr, errno == ENOENT ? RC_NOT_FOUND : RC_IO, "cannot rename %s to %s", from, to);
	return RC_OK;
}

rc_t dir_sync(const char *path, struct err *reterr)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(reterr, RC_IO, "cannot open folder %s", path);
	rc_t rc = RC_OK;
	if (fsync(fd) != 0)
		rc = err_errno(reterr, RC_IO, "cannot make folder %s durable (fsync)", path);
	close(fd);
	return rc;
}

/* Folders whose names are known to be on the disk, by a hash of the path: a folder that is there may have been made by a process that was killed, or
 * whose sync failed, before its name was durable. Each is synced once a process. */
static uint64_t durable_folders[DURABLE_FOLDERS];

static uint64_t *durable_place(const char *path, uint64_t *ret_hash)
{
	*ret_hash = hash64(slice_str(path)) | 1;
	return &durable_folders[*ret_hash / 2 % DURABLE_FOLDERS];
}

static bool is_durable(const char *path)
{
	uint64_t hash, *place = durable_place(path, &hash);
	return __atomic_load_n(place, __ATOMIC_RELAXED) == hash;
}

static void set_durable(const char *path, bool durable)
{
	uint64_t hash, *place = durable_place(path, &hash);
	__atomic_store_n(place, durable ? hash : 0, __ATOMIC_RELAXED);
}

rc_t dir_make(const char *path, struct err *reterr)
{
	bool is_dir = false, there = file_stat(path, NULL, NULL, &is_dir, NULL) == RC_OK;
	if (there && !is_dir)
		return err_set(reterr, RC_INVALID, "%s is a file, a folder is needed there", path);
	if (there && is_durable(path))
		return RC_OK;
	AUTO_MEM char *parent = parent_of(path);
	if (strcmp(parent, path) != 0)
		TRY(dir_make(parent, reterr));
	if (!there && mkdir(path, 0755) != 0 && errno != EEXIST)
		return err_errno(reterr, RC_IO, "cannot create folder %s", path);
	struct err e = { 0 };
	rc_t rc = dir_sync(parent, &e);
	bool not_ours = there && (e.sys_errno == EACCES || e.sys_errno == EPERM || e.sys_errno == EROFS || e.sys_errno == EINVAL);
	if (rc != RC_OK && !not_ours) {
		if (reterr)
			*reterr = e;
		return rc;
	}
	set_durable(path, true);
	return RC_OK;
}

rc_t dir_list(const char *path, rc_t (*each)(void *ctx, const char *name, bool is_dir), void *ctx, struct err *reterr)
{
	DIR *d = opendir(path);
	if (!d)
		return err_errno(reterr, errno == ENOENT ? RC_NOT_FOUND : RC_IO, "cannot list %s", path);
	rc_t rc = RC_OK;
	struct dirent *e;
	while (rc == RC_OK && (errno = 0, e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		bool is_dir = e->d_type == DT_DIR;
		if (e->d_type == DT_UNKNOWN || e->d_type == DT_LNK) {
			struct stat st;
			is_dir = fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
		}
		rc = each(ctx, e->d_name, is_dir);
	}
	if (rc == RC_OK && errno)
		rc = err_errno(reterr, RC_IO, "cannot list %s", path);
	closedir(d);
	return rc;
}

struct remove_ctx {
	const char *path;
	struct err *reterr;
};

static rc_t remove_entry(void *ctx, const char *name, bool is_dir)
{
	struct remove_ctx *r = ctx;
	AUTO_MEM char *path = mem_printf("%s/%s", r->path, name);
	struct stat st;
	if (is_dir && lstat(path, &st) == 0 && !S_ISLNK(st.st_mode))
		return dir_remove_tree(path, r->reterr);
	return file_remove(path, r->reterr);
}

rc_t dir_remove_tree(const char *path, struct err *reterr)
{
	struct remove_ctx ctx = { path, reterr };
	rc_t rc = dir_list(path, remove_entry, &ctx, reterr);
	if (rc == RC_NOT_FOUND)
		return RC_OK;
	set_durable(path, false);
	if (rc == RC_OK && rmdir(path) != 0 && errno != ENOENT)
		rc = err_errno(reterr, RC_IO, "cannot remove folder %s", path);
	return rc;
}

static rc_t remove_empty_entry(void *ctx, const char *name, bool is_dir)
{
	struct remove_ctx *r = ctx;
	struct stat st;
	if (!is_dir)
		return RC_OK;
	AUTO_MEM char *path = mem_printf("%s/%s", r->path, name);
	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) ? dir_remove_empty(path, r->reterr) : RC_OK;
}

rc_t dir_remove_empty(const char *path, struct err *reterr)
{
	struct remove_ctx ctx = { path, reterr };
	rc_t rc = dir_list(path, remove_empty_entry, &ctx, reterr);
	if (rc == RC_NOT_FOUND)
		return RC_OK;
	TRY(rc);
	set_durable(path, false);
	if (rmdir(path) != 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST)
		return err_errno(reterr, RC_IO, "cannot remove folder %s", path);
	return RC_OK;
}

rc_t file_punch(int fd, const char *path, uint64_t offset, uint64_t len, struct err *reterr)
{
	if (len && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) != 0 && errno != EOPNOTSUPP)
		return err_errno(reterr, RC_IO, "cannot give space of %s back", path);
	return RC_OK;
}

rc_t file_open_unnamed(const char *dir, int *ret_fd, struct err *reterr)
{
	AUTO_MEM char *path = mem_printf("%s/spool-XXXXXX", dir);
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_errno(reterr, RC_IO, "cannot make a temporary file in %s", dir);
	unlink(path);
	*ret_fd = fd;
	return RC_OK;
}

rc_t dir_claim(const char *path, int *ret_fd, struct err *reterr)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
		rc_t rc = err_errno(reterr, fd >= 0 && errno == EWOULDBLOCK ? RC_CONFLICT : RC_IO, "cannot claim folder %s", path);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	*ret_fd = fd;
	return RC_OK;
}

bool dir_is_claimed(const char *path)
{
	int fd = -1;
	bool claimed = dir_claim(path, &fd, NULL) == RC_CONFLICT;
	file_close(fd);
	return claimed;
}

rc_t file_lock(const char *path, int *ret_fd, struct err *reterr)
{
	int fd;
	TRY(file_open(path, FILE_CREATE, &fd, reterr));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		char holder[256] = { 0 };
		ssize_t n = errno == EWOULDBLOCK ? pread(fd, holder, sizeof holder - 1, 0) : -1;
		if (n > 0 && holder[n - 1] == '\n')
			holder[n - 1] = 0;
		rc_t rc = n >= 0 ? err_set(reterr, RC_CONFLICT, "%s", n > 0 ? holder : "another process")
				 : err_errno(reterr, RC_IO, "cannot lock %s", path);
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return RC_OK;
}
