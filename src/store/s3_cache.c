/* Whole local copies of a bucket's objects, for who reads local files only.
 *
 *   DIR/<hash of url, key and size>.<end of the key>   a copy; its time of access (we set it) says when it was last used
 *   DIR/tmp-<random>                                   a download that is not complete
 *   DIR/use-<random>/<n>-<name>, DIR/use-<random>.lock a link for each copy that a process uses: DIR/… may be evicted meanwhile, the bytes stay
 *
 * A copy gets its name when it is complete and synced, so that a name is a whole file also after a power cut. Several processes may share DIR: evicting unlinks,
 * which no reader of a link notices. Copies with a link elsewhere are not evicted (it would give no space back). What a killed process left is
 * swept when the cache is opened: its lock is free then. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"
#include "store/s3_internal.h"

#define RANGE_BYTES ((uint64_t)8 << 20) /* of one request */
#define FETCHERS 8
#define STALE_US ((int64_t)3600 * 1000000)
#define LOCK_STALE_US ((int64_t)60 * 1000000) /* a younger lock file may be one that is being made */
#define NAME_LEN 12

struct s3_cache {
	char *url, *dir, *use; /* use: NULL until the first fetch */
	uint64_t max;
	int lock_fd;
	pthread_mutex_t lock;  /* of what follows, and of evicting */
	pthread_cond_t done;
	uint64_t held;         /* bytes that this process uses */
	uint64_t next;         /* number of the next link */
	char **busy;           /* names that are being downloaded */
	size_t busy_count, busy_cap;
};

/* ---- opening ---- */

static rc_t sweep_one(void *ctx, const char *name, bool is_dir)
{
	struct s3_cache *c = ctx;
	AUTO_MEM char *path = mem_printf("%s/%s", c->dir, name);
	size_t n = strlen(name);
	int64_t mtime;
	if (is_dir || file_stat(path, NULL, &mtime, NULL, NULL) != RC_OK)
		return RC_OK;
	int64_t age = clock_wall_us() - mtime;
	if (!strncmp(name, "tmp-", 4) && age > STALE_US)
		file_remove(path, NULL);
	int fd;
	if (strncmp(name, "use-", 4) != 0 || n < 6 || strcmp(name + n - 5, ".lock") != 0 || age < LOCK_STALE_US || file_lock(path, &fd, NULL) != RC_OK)
		return RC_OK;
	AUTO_MEM char *folder = mem_printf("%.*s", (int)strlen(path) - 5, path);
	dir_remove_tree(folder, NULL);
	file_remove(path, NULL);
	file_close(fd);
	return RC_OK;
}

rc_t s3_cache_open(const char *url, const char *dir, uint64_t bytes, struct s3_cache **ret, struct err *reterr)
{
	struct s3_cache *c = NEW(struct s3_cache);
	(void)reterr;
	c->url = mem_strdup(url);
	c->dir = mem_strdup(dir);
	c->max = bytes;
	c->lock_fd = -1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->done, NULL);
	*ret = c;
	return RC_OK;
}

void s3_cache_free(struct s3_cache *c)
{
	if (!c)
		return;
	if (c->use) {
		AUTO_MEM char *lock = mem_printf("%s.lock", c->use);
		dir_remove_tree(c->use, NULL);
		file_remove(lock, NULL);
		file_close(c->lock_fd);
	}
	for (size_t i = 0; i < c->busy_count; i++)
		free(c->busy[i]);
	free(c->busy);
	free(c->use);
	free(c->url);
	free(c->dir);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->done);
	free(c);
}

/* Under the lock. The folder must be ours: in a shared place somebody could have made it for us. */
static rc_t make_use(struct s3_cache *c, struct err *reterr)
{
	if (c->use)
		return RC_OK;
	TRY(dir_make(c->dir, reterr));
	struct stat st;
	if (lstat(c->dir, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return err_set(reterr, RC_INVALID, "the cache folder %s is not this user's own: remove it, or name another one", c->dir);
	chmod(c->dir, 0700);
	dir_list(c->dir, sweep_one, c, NULL);
	char name[NAME_LEN + 1];
	random_name(name, NAME_LEN);
	AUTO_MEM char *use = mem_printf("%s/use-%s", c->dir, name);
	AUTO_MEM char *lock = mem_printf("%s.lock", use);
	TRY(file_lock(lock, &c->lock_fd, reterr));
	rc_t rc = dir_make(use, reterr);
	if (rc != RC_OK) {
		file_close(c->lock_fd);
		return rc;
	}
	c->use = use;
	use = NULL;
	return RC_OK;
}

/* ---- room ---- */

struct copy_file {
	char *path;
	uint64_t size;
	int64_t used;
};

struct listing {
	struct s3_cache *cache;
	struct copy_file *files; /* that can be evicted */
	size_t count, cap;
	uint64_t total;          /* of all copies */
};

static rc_t list_one(void *ctx, const char *name, bool is_dir)
{
	struct listing *l = ctx;
	struct stat st;
	AUTO_MEM char *path = mem_printf("%s/%s", l->cache->dir, name);
	if (is_dir || strchr(name, '-') || lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return RC_OK;
	l->total += (uint64_t)st.st_size;
	if (st.st_nlink > 1)
		return RC_OK;
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->files = mem_realloc(l->files, l->cap * sizeof *l->files);
	}
	l->files[l->count++] = (struct copy_file){ path, (uint64_t)st.st_size, (int64_t)st.st_atim.tv_sec * 1000000 + st.st_atim.tv_nsec / 1000 };
	path = NULL;
	return RC_OK;
}

static int oldest_first(const void *a, const void *b)
{
	const struct copy_file *x = a, *y = b;
	return (x->used > y->used) - (x->used < y->used);
}

/* Under the lock: gives space back until `need` more bytes fit. Copies that are in use may leave it over its bound: see hold. */
static void make_room(struct s3_cache *c, uint64_t need)
{
	struct listing l = { .cache = c };
	dir_list(c->dir, list_one, &l, NULL);
	if (l.count)
		qsort(l.files, l.count, sizeof *l.files, oldest_first);
	for (size_t i = 0; i < l.count; i++) {
		if (l.total + need > c->max && unlink(l.files[i].path) == 0)
			l.total -= l.files[i].size;
		free(l.files[i].path);
	}
	free(l.files);
}

/* ---- a batch ---- */

struct file {
	const struct store_want *want;
	char *name;      /* in DIR */
	char *temp;      /* while it is downloaded */
	char *link;      /* in DIR/use-…: what the caller gets */
	int fd;
	unsigned ranges, left; /* requests in all, and not done yet */
	char etag[128];  /* of the first answer: all others must have it */
	bool busy;       /* this batch downloads it */
};

struct batch {
	struct s3 *s;
	struct s3_cache *cache;
	struct file *files;
	size_t count;
	pthread_mutex_t lock; /* of what follows, and of the files' state */
	size_t at;            /* file whose ranges are being handed out */
	unsigned range;
	rc_t rc;
	struct err err;
};

static char *name_of(const struct s3_cache *c, const struct store_want *w)
{
	char hex[33];
	AUTO_MEM char *text = mem_printf("%s %s %llu", c->url, w->key, (unsigned long long)w->size);
	hash128_hex(hash128(slice_str(text)), hex);
	const char *dot = strrchr(w->key, '.');
	bool plain = dot && strlen(dot) < 12 && !strpbrk(dot, "/-");
	return mem_printf("%s%s", hex, plain ? dot : "");
}

static bool is_busy(const struct s3_cache *c, const char *name)
{
	for (size_t i = 0; i < c->busy_count; i++)
		if (!strcmp(c->busy[i], name))
			return true;
	return false;
}

static void set_busy(struct s3_cache *c, const char *name)
{
	if (c->busy_count == c->busy_cap) {
		c->busy_cap = c->busy_cap ? c->busy_cap * 2 : 16;
		c->busy = mem_realloc(c->busy, c->busy_cap * sizeof *c->busy);
	}
	c->busy[c->busy_count++] = mem_strdup(name);
}

static void clear_busy(struct s3_cache *c, const char *name)
{
	for (size_t i = 0; i < c->busy_count; i++)
		if (!strcmp(c->busy[i], name)) {
			free(c->busy[i]);
			c->busy[i] = c->busy[--c->busy_count];
			return;
		}
}

/* A link to the copy, if it is there and whole. */
static bool take_copy(struct s3_cache *c, struct file *f)
{
	AUTO_MEM char *path = mem_printf("%s/%s", c->dir, f->name);
	uint64_t size;
	if (file_stat(path, &size, NULL, NULL, NULL) != RC_OK)
		return false;
	if (size != f->want->size) { /* nobody of us made it so */
		unlink(path);
		return false;
	}
	AUTO_MEM char *link_path = mem_printf("%s/%llu-%s", c->use, (unsigned long long)c->next++, f->name);
	if (link(path, link_path) != 0)
		return false;
	const struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } };
	utimensat(AT_FDCWD, path, times, 0);
	f->link = link_path;
	link_path = NULL;
	c->held += size;
	return true;
}

static rc_t begin_file(struct batch *b, struct file *f, struct err *reterr)
{
	char name[NAME_LEN + 1];
	random_name(name, NAME_LEN);
	f->temp = mem_printf("%s/tmp-%s", b->cache->dir, name);
	return file_open(f->temp, FILE_CREATE_NEW, &f->fd, reterr);
}

/* All ranges are there. Synced before it is named: a copy of the right size with blocks that never reached the disk would be read as if it were
 * the object, and not every reader checks its pages. */
static rc_t end_file(struct batch *b, struct file *f, struct err *reterr)
{
	AUTO_MEM char *path = mem_printf("%s/%s", b->cache->dir, f->name);
	TRY(file_sync(f->fd, f->temp, reterr));
	file_close(f->fd);
	f->fd = -1;
	TRY(file_rename(f->temp, path, reterr));
	free(f->temp);
	f->temp = NULL;
	pthread_mutex_lock(&b->cache->lock);
	bool taken = take_copy(b->cache, f);
	pthread_mutex_unlock(&b->cache->lock);
	return taken ? RC_OK : err_errno(reterr, RC_IO, "the copy %s cannot be linked", path);
}

static rc_t get_range(struct batch *b, struct file *f, unsigned range, struct err *reterr)
{
	uint64_t from = range * RANGE_BYTES, len = f->want->size - from < RANGE_BYTES ? f->want->size - from : RANGE_BYTES;
	char text[64];
	struct s3_answer a;
	struct s3_call c = { .kind = S3_GET, .method = "GET", .key = f->want->key, .to_file = true, .ret_fd = f->fd, .ret_offset = from, .ret_len = len };
	snprintf(text, sizeof text, "bytes=%llu-%llu", (unsigned long long)from, (unsigned long long)(from + len - 1));
	s3_header(&c, "range", text);
	rc_t rc = s3_request(b->s, &c, &a, reterr);
	if (rc == RC_EOF || (rc == RC_OK && a.total != f->want->size))
		return err_set(reterr, RC_CORRUPT, "%s has another size than the table says (%llu bytes): it was overwritten", f->want->key,
			       (unsigned long long)f->want->size);
	TRY(rc);
	pthread_mutex_lock(&b->lock);
	bool same = !f->etag[0] || !strcmp(f->etag, a.etag);
	memcpy(f->etag, a.etag, sizeof f->etag);
	bool last = same && --f->left == 0;
	pthread_mutex_unlock(&b->lock);
	if (!same)
		return err_set(reterr, RC_CORRUPT, "%s changed while it was read; objects of a lake never do", f->want->key);
	return last ? end_file(b, f, reterr) : RC_OK;
}

/* The next range to get; false: none is left. The file's local one is made by whom its first range is given. */
static bool next_range(struct batch *b, struct file **ret, unsigned *ret_range)
{
	bool found = false;
	pthread_mutex_lock(&b->lock);
	while (b->rc == RC_OK && !found && b->at < b->count) {
		struct file *f = &b->files[b->at];
		if (!f->busy || b->range >= f->ranges) { /* what is linked was never ours, or has no range left */
			b->at++;
			b->range = 0;
			continue;
		}
		if (b->range == 0)
			b->rc = begin_file(b, f, &b->err);
		*ret = f;
		*ret_range = b->range++;
		found = b->rc == RC_OK;
	}
	pthread_mutex_unlock(&b->lock);
	return found;
}

static void *fetcher(void *arg)
{
	struct batch *b = arg;
	struct file *f;
	unsigned range;
	while (next_range(b, &f, &range)) {
		struct err e = { 0 };
		rc_t rc = get_range(b, f, range, &e);
		if (rc == RC_OK)
			continue;
		pthread_mutex_lock(&b->lock);
		if (b->rc == RC_OK) {
			b->rc = rc;
			b->err = e;
		}
		pthread_mutex_unlock(&b->lock);
	}
	return NULL;
}

static void download(struct batch *b)
{
	pthread_t threads[FETCHERS];
	unsigned n = 0, requests = 0;
	for (size_t i = 0; i < b->count; i++)
		requests += b->files[i].busy ? b->files[i].ranges : 0;
	for (; n + 1 < requests && n < FETCHERS - 1; n++)
		if (pthread_create(&threads[n], NULL, fetcher, b) != 0)
			break;
	fetcher(b);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

/* Under the cache's lock: what is there is taken, what nobody downloads is ours to do. Returns how many are left to others. */
static size_t plan(struct batch *b, uint64_t *ret_need)
{
	size_t others = 0;
	for (size_t i = 0; i < b->count; i++) {
		struct file *f = &b->files[i];
		if (f->link || take_copy(b->cache, f))
			continue;
		if (is_busy(b->cache, f->name)) {
			others++;
			continue;
		}
		set_busy(b->cache, f->name);
		f->busy = true;
		f->left = f->ranges;
		*ret_need += f->want->size;
	}
	return others;
}

static void end_round(struct batch *b)
{
	pthread_mutex_lock(&b->cache->lock);
	for (size_t i = 0; i < b->count; i++) {
		struct file *f = &b->files[i];
		if (f->busy)
			clear_busy(b->cache, f->name);
		f->busy = false;
		if (f->temp) {
			file_close(f->fd);
			unlink(f->temp);
			free(f->temp);
			f->temp = NULL;
		}
	}
	pthread_cond_broadcast(&b->cache->done);
	pthread_mutex_unlock(&b->cache->lock);
}

static rc_t rounds(struct batch *b, struct err *reterr)
{
	struct s3_cache *c = b->cache;
	for (size_t others = 1; others && b->rc == RC_OK;) {
		uint64_t need = 0;
		pthread_mutex_lock(&c->lock);
		others = plan(b, &need);
		if (need)
			make_room(c, need);
		else if (others)
			pthread_cond_wait(&c->done, &c->lock);
		pthread_mutex_unlock(&c->lock);
		b->at = b->range = 0;
		if (need)
			download(b);
		end_round(b);
	}
	if (b->rc != RC_OK && reterr)
		*reterr = b->err;
	return b->rc;
}

static rc_t check_size(struct s3_cache *c, const struct store_want *wants, size_t n, struct err *reterr)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < n; i++) {
		if (!wants[i].size)
			return err_set(reterr, RC_INVALID, "%s: an empty object has no copy", wants[i].key);
		sum += wants[i].size;
	}
	pthread_mutex_lock(&c->lock);
	rc_t rc = make_use(c, reterr);
	if (rc == RC_OK && sum + c->held > c->max)
		rc = err_set(reterr, RC_LIMIT, "%zu files of %llu bytes are needed at once, and the cache may hold %llu bytes (%llu are in use): ask for fewer days (from, to), or give it more "
			     "(cache_size in the config file)",
			     n, (unsigned long long)sum, (unsigned long long)c->max, (unsigned long long)c->held);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

rc_t s3_fetch(void *self, const struct store_want *wants, size_t n, char **ret_paths, struct err *reterr)
{
	struct s3 *s = self;
	struct batch b = { .s = s, .cache = s->cache, .count = n };
	TRY(check_size(s->cache, wants, n, reterr));
	pthread_mutex_init(&b.lock, NULL);
	b.files = mem_zalloc(n + 1, sizeof *b.files);
	for (size_t i = 0; i < n; i++)
		b.files[i] = (struct file){ .want = &wants[i],
					    .name = name_of(s->cache, &wants[i]),
					    .fd = -1,
					    .ranges = (unsigned)((wants[i].size + RANGE_BYTES - 1) / RANGE_BYTES) };
	uint64_t before = __atomic_load_n(&s->stats.requests[S3_GET], __ATOMIC_RELAXED);
	rc_t rc = rounds(&b, reterr);
	bool asked = __atomic_load_n(&s->stats.requests[S3_GET], __ATOMIC_RELAXED) != before;
	__atomic_fetch_add(asked ? &s->stats.cache_misses : &s->stats.cache_hits, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < n; i++) {
		if (rc == RC_OK) {
			ret_paths[i] = b.files[i].link;
		} else if (b.files[i].link) {
			s3_release(s, b.files[i].link);
			free(b.files[i].link);
		}
		free(b.files[i].name);
	}
	free(b.files);
	pthread_mutex_destroy(&b.lock);
	return rc;
}

void s3_release(void *self, const char *path)
{
	struct s3 *s = self;
	uint64_t size = 0;
	file_stat(path, &size, NULL, NULL, NULL);
	unlink(path);
	pthread_mutex_lock(&s->cache->lock);
	s->cache->held -= size < s->cache->held ? size : s->cache->held;
	pthread_mutex_unlock(&s->cache->lock);
}
