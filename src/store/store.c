#include "store/store.h"

#include <pthread.h>

#include "store/store_internal.h"

#define CREATE_CHECKS 3
#define PARALLEL_MAX 16

struct store {
	const struct store_ops *ops;
	void *self;
	char *url;
};

struct store *store_new(const struct store_ops *ops, void *self, const char *url)
{
	struct store *s = NEW(struct store);
	s->ops = ops;
	s->self = self;
	s->url = mem_strdup(url);
	return s;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	s->ops->free(s->self);
	free(s->url);
	free(s);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX decoded in place; -1 for a bad escape or %00. */
static int percent_decode(char *s)
{
	char *to = s;
	for (; *s; s++) {
		if (*s != '%') {
			*to++ = *s;
			continue;
		}
		int hi = hex_digit(s[1]), lo = hi < 0 ? -1 : hex_digit(s[2]);
		if (lo < 0 || hi * 16 + lo == 0)
			return -1;
		*to++ = (char)(hi * 16 + lo);
		s += 2;
	}
	*to = 0;
	return 0;
}

static rc_t open_file_url(const char *url, struct store **ret, struct err *reterr)
{
	const char *rest = url + strlen("file:");
	if (!strncmp(rest, "//localhost/", 12))
		rest += 11;
	else if (!strncmp(rest, "///", 3))
		rest += 2;
	if (rest[0] != '/' || rest[1] == '/')
		return err_set(reterr, RC_INVALID, "%s is no folder on this machine: write file:///absolute/path", url);
	AUTO_MEM char *path = mem_strdup(rest);
	if (percent_decode(path) != 0)
		return err_set(reterr, RC_INVALID, "%s has a bad %% escape: write %%25 for a percent sign", url);
	return store_local_open(path, ret, reterr);
}

rc_t store_open(const char *url, const struct store_options *opts, struct store **ret, struct err *reterr)
{
	if (!url || !*url)
		return err_set(reterr, RC_INVALID, "the lake's place is empty: give a folder, or s3://bucket/prefix");
	if (!strncmp(url, "file:", 5))
		return open_file_url(url, ret, reterr);
	if (!strncmp(url, "s3://", 5))
		return store_s3_open(url, opts, ret, reterr);
	const char *colon = strstr(url, "://");
	if (colon && !memchr(url, '/', (size_t)(colon - url)))
		return err_set(reterr, RC_INVALID, "%s: no store is known for %.*s:// (a folder, file:// or s3://)", url, (int)(colon - url), url);
	return store_local_open(url, ret, reterr);
}

const char *store_url(const struct store *s)
{
	return s->url;
}

static rc_t folder_check(const char *folder, struct err *reterr)
{
	return *folder ? store_key_check(folder, reterr) : RC_OK;
}

rc_t store_key_check(const char *key, struct err *reterr)
{
	const char *why = NULL;
	size_t len = strlen(key), part = 0;
	if (len == 0)
		why = "is empty";
	else if (len > STORE_KEY_MAX)
		why = "is too long (1024 bytes at most)";
	for (size_t i = 0; !why && i <= len; i++) {
		uint8_t c = (uint8_t)key[i];
		if (c && c != '/') {
			if (c < 0x20 || c == 0x7f)
				why = "has a control character";
			continue;
		}
		size_t n = i - part;
		if (n == 0)
			why = "has an empty part (keys are relative, parts separated by one /)";
		else if ((n == 1 && key[part] == '.') || (n == 2 && key[part] == '.' && key[part + 1] == '.'))
			why = "has a part . or ..";
		else if (n > STORE_PART_MAX)
			why = "has a part over 255 bytes";
		part = i + 1;
	}
	if (why)
		return err_set(reterr, RC_INVALID, "store key '%.200s' %s", key, why);
	return RC_OK;
}

char *store_local_path(const struct store *s, const char *key)
{
	if (!s->ops->local_path || store_key_check(key, NULL) != RC_OK)
		return NULL;
	return s->ops->local_path(s->self, key);
}

rc_t store_get(struct store *s, const char *key, struct buf *ret, struct err *reterr)
{
	TRY(store_key_check(key, reterr));
	return s->ops->get(s->self, key, ret, reterr);
}

rc_t store_read(struct store *s, const char *key, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	TRY(store_key_check(key, reterr));
	return s->ops->read(s->self, key, offset, len, out, reterr);
}

rc_t store_size(struct store *s, const char *key, uint64_t *ret_size, int64_t *ret_mtime, struct err *reterr)
{
	uint64_t size;
	int64_t mtime;
	TRY(store_key_check(key, reterr));
	TRY(s->ops->size(s->self, key, &size, &mtime, reterr));
	if (ret_size)
		*ret_size = size;
	if (ret_mtime)
		*ret_mtime = mtime;
	return RC_OK;
}

rc_t store_put(struct store *s, const char *key, struct slice content, enum store_put_mode mode, struct err *reterr)
{
	TRY(store_key_check(key, reterr));
	return s->ops->put(s->self, key, content, mode, reterr);
}

rc_t store_put_file(struct store *s, const char *key, const char *local, enum store_put_mode mode, struct err *reterr)
{
	TRY(store_key_check(key, reterr));
	return s->ops->put_file(s->self, key, local, mode, reterr);
}

struct uploads {
	struct store *store;
	struct store_upload *items;
	size_t count;
	enum store_put_mode mode;
	pthread_mutex_t lock; /* of what follows */
	size_t next;
	rc_t rc;
	struct err err;
};

static void *upload(void *arg)
{
	struct uploads *u = arg;
	for (;;) {
		pthread_mutex_lock(&u->lock);
		size_t i = u->rc == RC_OK ? u->next++ : u->count;
		pthread_mutex_unlock(&u->lock);
		if (i >= u->count)
			return NULL;
		struct err e = { 0 };
		rc_t rc = store_put_file(u->store, u->items[i].key, u->items[i].local, u->mode, &e);
		pthread_mutex_lock(&u->lock);
		u->items[i].done = rc == RC_OK;
		if (rc != RC_OK && u->rc == RC_OK) {
			u->rc = rc;
			u->err = e;
		}
		pthread_mutex_unlock(&u->lock);
	}
}

rc_t store_put_files(struct store *s, struct store_upload *uploads, size_t n, enum store_put_mode mode, struct err *reterr)
{
	struct uploads u = { .store = s, .items = uploads, .count = n, .mode = mode };
	pthread_t threads[PARALLEL_MAX];
	size_t started = 0;
	pthread_mutex_init(&u.lock, NULL);
	while (started + 1 < n && started + 1 < s->ops->parallel && started < PARALLEL_MAX)
		if (pthread_create(&threads[started++], NULL, upload, &u) != 0) {
			started--;
			break;
		}
	upload(&u); /* this thread, too */
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&u.lock);
	if (u.rc != RC_OK && reterr)
		*reterr = u.err;
	return u.rc;
}

rc_t store_temp_path(struct store *s, const char *key, char **ret, struct err *reterr)
{
	TRY(store_key_check(key, reterr));
	return s->ops->temp_path(s->self, key, ret, reterr);
}

rc_t store_sweep_temp(struct store *s, int64_t min_age, struct err *reterr)
{
	return s->ops->sweep_temp(s->self, min_age, reterr);
}

rc_t store_delete(struct store *s, const char *key, struct err *reterr)
{
	TRY(store_key_check(key, reterr));
	return s->ops->delete(s->self, key, reterr);
}

rc_t store_settle(struct store *s, const char *folder, struct err *reterr)
{
	TRY(store_key_check(folder, reterr));
	return s->ops->settle ? s->ops->settle(s->self, folder, reterr) : RC_OK;
}

rc_t store_delete_keys(struct store *s, const char *folder, char *const *keys, size_t n, struct err *reterr)
{
	size_t len = strlen(folder);
	TRY(store_key_check(folder, reterr));
	for (size_t i = 0; i < n; i++) {
		TRY(store_key_check(keys[i], reterr));
		if (strncmp(keys[i], folder, len) != 0 || keys[i][len] != '/')
			return err_set(reterr, RC_INVALID, "%s is not below %s", keys[i], folder);
	}
	return s->ops->delete_keys(s->self, folder, keys, n, reterr);
}

rc_t store_list(struct store *s, const char *folder, store_each each, void *ctx, struct err *reterr)
{
	TRY(folder_check(folder, reterr));
	return s->ops->list(s->self, folder, true, each, ctx, reterr);
}

rc_t store_list_folder(struct store *s, const char *folder, store_each each, void *ctx, struct err *reterr)
{
	TRY(folder_check(folder, reterr));
	return s->ops->list(s->self, folder, false, each, ctx, reterr);
}

static void release_all(struct store *s, char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++)
		store_release(s, paths[i]);
}

rc_t store_fetch(struct store *s, const struct store_want *wants, size_t n, char **ret_paths, struct err *reterr)
{
	for (size_t i = 0; i < n; i++)
		TRY(store_key_check(wants[i].key, reterr));
	if (s->ops->fetch)
		return s->ops->fetch(s->self, wants, n, ret_paths, reterr);
	for (size_t i = 0; i < n; i++) {
		ret_paths[i] = store_local_path(s, wants[i].key);
		if (!ret_paths[i]) {
			release_all(s, ret_paths, i);
			return err_set(reterr, RC_UNSUPPORTED, "%s has no local files", s->url);
		}
	}
	return RC_OK;
}

void store_release(struct store *s, char *path)
{
	if (path && s->ops->release)
		s->ops->release(s->self, path);
	free(path);
}

rc_t store_check_create(struct store *s, const char *key, struct slice content, struct err *reterr)
{
	rc_t rc = RC_OK;
	for (int i = 0; i < CREATE_CHECKS && rc == RC_OK; i++) /* a refusal whose answer is lost looks like a success: what is there is what was put */
		rc = store_put(s, key, content, STORE_CREATE, reterr);
	if (rc == RC_CONFLICT)
		return RC_OK;
	if (rc == RC_OK)
		return err_set(reterr, RC_UNSUPPORTED,
			       "%s: the store overwrote %s, although it was asked to create it only (If-None-Match: *): two writers would lose each "
			       "other's commits there",
			       s->url, key);
	return rc;
}

rc_t store_renew(struct store *s, const struct store_options *opts, struct err *reterr)
{
	return s->ops->renew ? s->ops->renew(s->self, opts, reterr) : RC_OK;
}

void store_set_patience(struct store *s, unsigned tries, int64_t idle_us)
{
	if (s->ops->set_patience)
		s->ops->set_patience(s->self, tries, idle_us);
}

rc_t store_check_abort(struct store *s, const char *key, bool *ret_begun, struct err *reterr)
{
	*ret_begun = false;
	TRY(store_key_check(key, reterr));
	return s->ops->check_abort ? s->ops->check_abort(s->self, key, ret_begun, reterr) : RC_OK;
}

void store_get_facts(struct store *s, struct store_facts *ret)
{
	*ret = (struct store_facts){ 0 };
	if (s->ops->facts)
		s->ops->facts(s->self, ret);
}

const char *const store_kind_names[STORE_KINDS] = { "get", "head", "put", "list", "delete", "other" };

void store_get_stats(struct store *s, struct store_stats *ret)
{
	*ret = (struct store_stats){ 0 };
	if (s->ops->stats)
		s->ops->stats(s->self, ret);
}

int64_t store_now(struct store *s)
{
	return s->ops->now(s->self);
}

void store_pause(struct store *s, int64_t us)
{
	s->ops->pause(s->self, us);
}

void store_random(struct store *s, void *out, size_t len)
{
	s->ops->random(s->self, out, len);
}
