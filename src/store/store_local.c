/* A lake in a folder. A put writes a randomly named file in _hydrant/tmp, syncs it, and gives it its name: link(2) to create (fails if
 * taken, atomic across a crash, which O_EXCL on the final name is not), rename(2) to replace; then the folder is synced. */
#include "store/store_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"

#define LIST_DEPTH_MAX 64          /* folders below folders that a listing follows */
#define COPY_BYTES ((size_t)1 << 18) /* a step of a copy across file systems */
#define TEMP_NAME_LEN 16           /* 36^16: two processes never draw the same name */

struct local {
	char *root; /* absolute, without a '/' at the end */
};

static void local_free(void *self)
{
	struct local *l = self;
	free(l->root);
	free(l);
}

static char *local_path(void *self, const char *key)
{
	struct local *l = self;
	return mem_printf("%s/%s", l->root, key);
}

/* A parent that is a file, or a key that is a folder, is an absent object. Takes e's place in *reterr. */
static rc_t absent_or(rc_t rc, struct err *e, const char *path, struct err *reterr)
{
	if (rc == RC_IO && (e->sys_errno == ENOTDIR || e->sys_errno == EISDIR))
		return err_set(reterr, RC_NOT_FOUND, "%s is not there", path);
	if (rc != RC_OK && reterr)
		*reterr = *e;
	return rc;
}

static rc_t local_get(void *self, const char *key, struct buf *ret, struct err *reterr)
{
	AUTO_MEM char *path = local_path(self, key);
	struct err e = { 0 };
	size_t before = ret->len;
	rc_t rc = file_read_all(path, ret, &e);
	if (rc != RC_OK)
		ret->len = before;
	return absent_or(rc, &e, path, reterr);
}

static rc_t local_read(void *self, const char *key, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	AUTO_MEM char *path = local_path(self, key);
	struct err e = { 0 };
	int fd;
	rc_t rc = file_open(path, FILE_READ, &fd, &e);
	if (rc == RC_OK) {
		rc = file_pread(fd, path, out, len, offset, NULL, &e);
		file_close(fd);
	}
	return absent_or(rc, &e, path, reterr);
}

static rc_t local_size(void *self, const char *key, uint64_t *ret_size, int64_t *ret_mtime, struct err *reterr)
{
	AUTO_MEM char *path = local_path(self, key);
	uint64_t size;
	int64_t mtime;
	bool is_dir;
	TRY(file_stat(path, &size, &mtime, &is_dir, reterr));
	if (is_dir)
		return err_set(reterr, RC_NOT_FOUND, "%s is a folder", path);
	*ret_size = size;
	*ret_mtime = mtime;
	return RC_OK;
}

static rc_t local_temp_path(void *self, const char *key, char **ret, struct err *reterr)
{
	struct local *l = self;
	AUTO_MEM char *dir = mem_printf("%s/%s", l->root, STORE_TEMP_FOLDER);
	TRY(dir_make(dir, reterr));
	char name[TEMP_NAME_LEN + 1];
	random_name(name, TEMP_NAME_LEN);
	const char *last = strrchr(key, '/');
	last = last ? last + 1 : key;
	*ret = mem_printf("%s/%s-%.*s", dir, name, STORE_PART_MAX - TEMP_NAME_LEN - 1, last);
	return RC_OK;
}

static rc_t make_parent(const char *path, struct err *reterr)
{
	AUTO_MEM char *dir = mem_strdup(path);
	*strrchr(dir, '/') = 0;
	return dir_make(dir, reterr);
}

/* The synced file `temp` becomes path. Its name is gone on RC_OK, and only then. */
static rc_t publish(const char *temp, const char *path, enum store_put_mode mode, struct err *reterr)
{
	TRY(make_parent(path, reterr));
	fault_point("store.before_name");
	if (mode == STORE_CREATE) {
		TRY(file_publish(temp, path, reterr));
	} else {
		TRY(file_rename(temp, path, reterr));
		AUTO_MEM char *dir = mem_strdup(path);
		*strrchr(dir, '/') = 0;
		TRY(dir_sync(dir, reterr));
	}
	fault_point("store.after_name");
	return RC_OK;
}

/* A folder may have gone between its making and its use (a collection was dropped): once more. */
static rc_t publish_again(const char *temp, const char *path, enum store_put_mode mode, struct err *reterr)
{
	struct err e = { 0 };
	rc_t rc = publish(temp, path, mode, &e);
	if (rc != RC_OK && e.sys_errno == ENOENT && file_stat(temp, NULL, NULL, NULL, NULL) == RC_OK)
		rc = publish(temp, path, mode, &e);
	if (rc == RC_CONFLICT)
		return err_set(reterr, RC_CONFLICT, "%s is there already", path);
	if (rc != RC_OK && reterr)
		*reterr = e;
	return rc;
}

static rc_t write_synced(const char *temp, struct slice content, struct err *reterr)
{
	int fd;
	TRY(file_open(temp, FILE_CREATE_NEW, &fd, reterr));
	rc_t rc = file_pwrite(fd, temp, content.data, content.len, 0, reterr);
	fault_point("store.written");
	if (rc == RC_OK)
		rc = file_sync(fd, temp, reterr);
	file_close(fd);
	return rc;
}

static rc_t local_put(void *self, const char *key, struct slice content, enum store_put_mode mode, struct err *reterr)
{
	AUTO_MEM char *path = local_path(self, key);
	if (mode == STORE_CREATE && file_stat(path, NULL, NULL, NULL, NULL) == RC_OK)
		return err_set(reterr, RC_CONFLICT, "%s is there already", path);
	AUTO_MEM char *temp = NULL;
	TRY(local_temp_path(self, key, &temp, reterr));
	rc_t rc = write_synced(temp, content, reterr);
	if (rc == RC_OK)
		rc = publish_again(temp, path, mode, reterr);
	if (rc != RC_OK)
		file_remove(temp, NULL);
	return rc;
}

static rc_t copy_synced(const char *from, const char *to, struct err *reterr)
{
	int in, out;
	TRY(file_open(from, FILE_READ, &in, reterr));
	rc_t rc = file_open(to, FILE_CREATE_NEW, &out, reterr);
	if (rc != RC_OK) {
		file_close(in);
		return rc;
	}
	uint8_t *step = mem_alloc(COPY_BYTES);
	size_t got = COPY_BYTES;
	for (uint64_t at = 0; rc == RC_OK && got == COPY_BYTES; at += got) {
		rc = file_pread(in, from, step, COPY_BYTES, at, &got, reterr);
		if (rc == RC_EOF)
			rc = RC_OK;
		if (rc == RC_OK)
			rc = file_pwrite(out, to, step, got, at, reterr);
	}
	if (rc == RC_OK)
		rc = file_sync(out, to, reterr);
	free(step);
	file_close(in);
	file_close(out);
	return rc;
}

static rc_t put_file_copied(void *self, const char *key, const char *path, const char *local, enum store_put_mode mode, struct err *reterr)
{
	AUTO_MEM char *temp = NULL;
	TRY(local_temp_path(self, key, &temp, reterr));
	rc_t rc = copy_synced(local, temp, reterr);
	if (rc == RC_OK)
		rc = publish_again(temp, path, mode, reterr);
	if (rc != RC_OK) {
		file_remove(temp, NULL);
		return rc;
	}
	return file_remove(local, reterr);
}

static rc_t local_put_file(void *self, const char *key, const char *local, enum store_put_mode mode, struct err *reterr)
{
	AUTO_MEM char *path = local_path(self, key);
	int fd;
	TRY(file_open(local, FILE_WRITE, &fd, reterr));
	rc_t rc = file_sync(fd, local, reterr);
	file_close(fd);
	if (rc != RC_OK)
		return rc;
	fault_point("store.file_synced");
	struct err e = { 0 };
	rc = publish_again(local, path, mode, &e);
	if (rc == RC_IO && e.sys_errno == EXDEV)
		return put_file_copied(self, key, path, local, mode, reterr);
	if (rc != RC_OK && reterr)
		*reterr = e;
	return rc;
}

static rc_t local_delete(void *self, const char *key, struct err *reterr)
{
	AUTO_MEM char *path = local_path(self, key);
	struct err e = { 0 };
	rc_t rc = file_remove(path, &e);
	if (rc == RC_IO && e.sys_errno == ENOTDIR)
		return RC_OK;
	if (rc != RC_OK && reterr)
		*reterr = e;
	return rc;
}

static rc_t local_settle(void *self, const char *folder, struct err *reterr)
{
	AUTO_MEM char *key = mem_strdup(folder);
	for (;;) { /* where it was, if it is gone */
		AUTO_MEM char *path = local_path(self, key);
		rc_t rc = file_stat(path, NULL, NULL, NULL, reterr);
		if (rc != RC_NOT_FOUND || !*key)
			return rc == RC_OK ? dir_sync(path, reterr) : rc;
		char *slash = strrchr(key, '/');
		*(slash ? slash : key) = 0;
	}
}

static rc_t local_delete_keys(void *self, const char *folder, char *const *keys, size_t n, struct err *reterr)
{
	AUTO_MEM char *path = local_path(self, folder);
	bool is_dir = false;
	for (size_t i = 0; i < n; i++)
		TRY(local_delete(self, keys[i], reterr));
	rc_t rc = file_stat(path, NULL, NULL, &is_dir, reterr);
	return rc == RC_OK && is_dir ? dir_remove_empty(path, reterr) : rc == RC_NOT_FOUND ? RC_OK : rc;
}

struct walk {
	struct local *local;
	const char *folder; /* key of the folder being listed */
	bool recursive;
	unsigned depth;
	store_each each;
	void *ctx;
	struct err *reterr;
};

static rc_t walk_folder(struct walk *w);

static rc_t walk_entry(void *ctx, const char *name, bool is_dir)
{
	struct walk *w = ctx;
	AUTO_MEM char *key = *w->folder ? mem_printf("%s/%s", w->folder, name) : mem_strdup(name);
	if (store_key_check(key, NULL) != RC_OK)
		return RC_OK; /* not ours: no key could name it */
	struct store_entry entry = { .key = key, .is_folder = is_dir };
	if (is_dir && !w->recursive)
		return w->each(w->ctx, &entry, w->reterr);
	if (is_dir) {
		struct walk below = *w;
		below.folder = key;
		below.depth++;
		return walk_folder(&below);
	}
	AUTO_MEM char *path = local_path(w->local, key);
	struct err e = { 0 };
	rc_t rc = file_stat(path, &entry.size, &entry.mtime, NULL, &e);
	if (rc == RC_NOT_FOUND)
		return RC_OK; /* gone meanwhile */
	if (rc != RC_OK) {
		if (w->reterr)
			*w->reterr = e;
		return rc;
	}
	return w->each(w->ctx, &entry, w->reterr);
}

static rc_t walk_folder(struct walk *w)
{
	if (w->depth > LIST_DEPTH_MAX)
		return err_set(w->reterr, RC_LIMIT, "%s/%s is nested too deep to be part of a lake", w->local->root, w->folder);
	AUTO_MEM char *path = *w->folder ? local_path(w->local, w->folder) : mem_strdup(w->local->root);
	bool is_dir = false;
	rc_t rc = file_stat(path, NULL, NULL, &is_dir, w->reterr);
	if (rc == RC_NOT_FOUND || (rc == RC_OK && !is_dir))
		return RC_OK;
	if (rc != RC_OK)
		return rc;
	return dir_list(path, walk_entry, w, w->reterr);
}

static rc_t local_list(void *self, const char *folder, bool recursive, store_each each, void *ctx, struct err *reterr)
{
	struct walk w = { .local = self, .folder = folder, .recursive = recursive, .each = each, .ctx = ctx, .reterr = reterr };
	return walk_folder(&w);
}

struct sweep {
	struct local *local;
	int64_t before; /* files last written before this go */
};

static rc_t sweep_entry(void *ctx, const struct store_entry *entry, struct err *reterr)
{
	struct sweep *s = ctx;
	if (entry->is_folder || entry->mtime >= s->before)
		return RC_OK;
	return local_delete(s->local, entry->key, reterr);
}

static int64_t local_now(void *self)
{
	(void)self;
	return clock_wall_us();
}

static rc_t local_sweep_temp(void *self, int64_t min_age, struct err *reterr)
{
	struct sweep s = { .local = self, .before = local_now(self) - min_age };
	return local_list(self, STORE_TEMP_FOLDER, false, sweep_entry, &s, reterr);
}

static void local_pause(void *self, int64_t us)
{
	(void)self;
	clock_sleep_us(us);
}

static void local_random(void *self, void *out, size_t len)
{
	(void)self;
	random_bytes(out, len);
}

static const struct store_ops local_ops = {
	.scheme = "file",
	.free = local_free,
	.local_path = local_path,
	.get = local_get,
	.read = local_read,
	.size = local_size,
	.put = local_put,
	.put_file = local_put_file,
	.temp_path = local_temp_path,
	.sweep_temp = local_sweep_temp,
	.delete = local_delete,
	.delete_keys = local_delete_keys,
	.settle = local_settle,
	.list = local_list,
	.now = local_now,
	.pause = local_pause,
	.random = local_random,
};

/* realpath(3) of the longest part of `path` that exists, the rest behind it; NULL if it cannot be told. */
static char *absolute(const char *path)
{
	AUTO_MEM char *have = mem_strdup(path);
	const char *rest = path + strlen(path);
	for (;;) {
		char *real = realpath(*have ? have : ".", NULL);
		if (real) {
			while (*rest == '/')
				rest++;
			char *all = *rest ? mem_printf("%s/%s", strcmp(real, "/") ? real : "", rest) : mem_strdup(real);
			free(real);
			return all;
		}
		size_t n = strlen(have);
		if (errno != ENOENT || n == 0)
			return NULL;
		while (n > 0 && have[n - 1] == '/')
			n--;
		while (n > 0 && have[n - 1] != '/')
			n--;
		rest = path + n;
		have[n] = 0;
	}
}

/* No empty part, no ".", no ".." (a folder that is not there yet cannot be walked to say what they mean). */
static char *clean(const char *abs)
{
	struct buf b;
	buf_init(&b, PATH_MAX);
	for (const char *p = abs; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.') {
			buf_free(&b);
			return NULL;
		}
		if (n && !(n == 1 && *p == '.')) {
			buf_byte(&b, '/');
			buf_append(&b, p, n);
		}
		p += n + (p[n] == '/');
	}
	char *s = b.overflow ? NULL : mem_printf("%.*s", (int)b.len, b.data ? (char *)b.data : "");
	buf_free(&b);
	return s;
}

rc_t store_local_open(const char *path, struct store **ret, struct err *reterr)
{
	AUTO_MEM char *abs = absolute(path);
	if (!abs)
		return err_errno(reterr, RC_INVALID, "cannot use folder %s", path);
	AUTO_MEM char *root = clean(abs);
	if (!root)
		return err_set(reterr, RC_INVALID, "folder %s: write its absolute path", path);
	if (!*root)
		return err_set(reterr, RC_INVALID, "the root folder / cannot be a lake: name a folder in it");
	bool is_dir = true;
	rc_t rc = file_stat(root, NULL, NULL, &is_dir, reterr);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	if (!is_dir)
		return err_set(reterr, RC_INVALID, "%s is a file: a lake is a folder", root);
	struct local *l = NEW(struct local);
	AUTO_MEM char *url = mem_printf("file://%s", root);
	l->root = root;
	root = NULL;
	*ret = store_new(&local_ops, l, url);
	return RC_OK;
}
