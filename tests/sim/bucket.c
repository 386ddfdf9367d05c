/* An object store as S3 is one: whole objects, durable at once, no folders, a conditional create; and what it does on a bad day. A put whose sender
 * died, or was told nothing, may still come through later. */
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"
#include "sim.h"
#include "store/store.h"

struct object {
	char *key;
	uint8_t *data;
	size_t len;
	int64_t mtime;
};
static struct object *objects;
static size_t object_count, object_cap;

static struct object *find(const char *key)
{
	for (size_t i = 0; i < object_count; i++)
		if (!strcmp(objects[i].key, key))
			return &objects[i];
	return NULL;
}

/* Its own clock, whatever the nodes' say. */
static int64_t b_now(void *self)
{
	(void)self;
	return (int64_t)1790000000 * 1000000 + sim_now();
}

static rc_t unknown(const char *key, struct err *reterr)
{
	rc_t rc = err_set(reterr, RC_IO, "%s: the connection was reset", key);
	if (reterr)
		reterr->retryable = true;
	return rc;
}

/* What may happen before a request is served. */
static rc_t request(const char *what, const char *key, struct err *reterr)
{
	door(what, key, 0);
	if (sim_latency)
		task_sleep(1 + (int64_t)chance_below(CHANCE_STORE, (uint64_t)sim_latency));
	if (fault_now(FAULT_SLOW))
		task_sleep(100000 + (int64_t)chance_below(CHANCE_STORE, 5000000));
	if (fault_now(FAULT_DENIED) || (!strncmp(key, "beta", 4) && fault_now(FAULT_PLACE))) {
		rc_t rc = err_set(reterr, RC_IO, "%s: access denied", key);
		if (reterr)
			reterr->status = 403;
		return rc;
	}
	if (fault_now(FAULT_503)) {
		rc_t rc = err_set(reterr, RC_IO, "%s: slow down", key);
		if (reterr) {
			reterr->status = 503;
			reterr->retryable = true;
		}
		return rc;
	}
	return RC_OK;
}

static rc_t answered(const char *key, struct err *reterr)
{
	door("answer", key, 0);
	return fault_now(FAULT_RESET) ? unknown(key, reterr) : RC_OK;
}

static rc_t absent(const char *key, struct err *reterr)
{
	return err_set(reterr, RC_NOT_FOUND, "%s is not there", key);
}

static void b_free(void *self)
{
	(void)self;
}

static rc_t b_get(void *self, const char *key, struct buf *ret, struct err *reterr)
{
	(void)self;
	TRY(request("GET", key, reterr));
	const struct object *o = find(key);
	if (!o)
		return absent(key, reterr);
	size_t before = ret->len;
	if (!buf_reserve(ret, o->len + 1))
		return err_set(reterr, RC_LIMIT, "%s is too large", key);
	buf_append(ret, o->data, o->len);
	rc_t rc = answered(key, reterr);
	if (rc != RC_OK)
		ret->len = before;
	return rc;
}

static rc_t b_read(void *self, const char *key, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	(void)self;
	TRY(request("GET range", key, reterr));
	const struct object *o = find(key);
	if (!o)
		return absent(key, reterr);
	if (offset > o->len || len > o->len - offset)
		return err_set(reterr, RC_EOF, "%s is shorter", key);
	if (len)
		memcpy(out, o->data + offset, len);
	return answered(key, reterr);
}

static rc_t b_size(void *self, const char *key, uint64_t *ret_size, int64_t *ret_mtime, struct err *reterr)
{
	(void)self;
	TRY(request("HEAD", key, reterr));
	const struct object *o = find(key);
	if (!o)
		return absent(key, reterr);
	*ret_size = o->len;
	*ret_mtime = o->mtime;
	return RC_OK;
}

static void apply(const char *key, struct slice content)
{
	struct object *o = find(key);
	if (!o) {
		if (object_count == object_cap)
			objects = mem_realloc(objects, (object_cap = object_cap ? object_cap * 2 : 256) * sizeof *objects);
		o = &objects[object_count++];
		*o = (struct object){ .key = mem_strdup(key) };
	}
	free(o->data);
	o->data = mem_alloc(content.len);
	if (content.len)
		memcpy(o->data, content.data, content.len);
	o->len = content.len;
	o->mtime = b_now(NULL) / 1000000 * 1000000; /* as S3: whole seconds */
}

/* ---- puts on their way ---- */

struct put {
	const char *key;
	struct slice content;
	enum store_put_mode mode;
	int node;
	/* of one that comes late: */
	enum { LATE_ANY, LATE_BEFORE, LATE_BEHIND } when; /* just before or behind the next put under this name, if there is one by then */
	bool landed;
};
static struct put *flights[64], *late[64];
unsigned bucket_late;

static bool land(const struct put *p)
{
	if (p->mode == STORE_CREATE && find(p->key))
		return false;
	apply(p->key, p->content);
	return true;
}

static void land_late(struct put *p)
{
	bool done = land(p);
	p->landed = true;
	trace("late PUT", p->key, done);
	story("a put that node %d was told nothing about %s: %s", p->node, done ? "comes through" : "finds the name taken", p->key);
}

static void land_rivals(const char *key, int when)
{
	for (size_t i = 0; i < sizeof late / sizeof *late; i++)
		if (late[i] && !late[i]->landed && (int)late[i]->when == when && !strcmp(late[i]->key, key))
			land_late(late[i]);
}

static void *late_task(void *arg)
{
	struct put **place = arg;
	task_sleep(1 + (int64_t)chance_below(CHANCE_STORE, (*place)->when == LATE_ANY && chance_of(CHANCE_STORE, 70) ? 300000 : 5000000));
	if (!(*place)->landed)
		land_late(*place);
	*place = NULL;
	bucket_late--;
	return NULL;
}

static void come_later(const struct put *p)
{
	struct put *copy = NEW(struct put);
	uint8_t *bytes = mem_alloc(p->content.len + 1);
	size_t i = 0;
	while (late[i])
		if (++i == sizeof late / sizeof *late)
			violated("too many late puts");
	memcpy(bytes, p->content.data, p->content.len);
	*copy = (struct put){ mem_strdup(p->key), { bytes, p->content.len }, p->mode, p->node, LATE_ANY, false };
	if (chance_of(CHANCE_STORE, 70)) /* where it hurts most */
		copy->when = p->mode == STORE_CREATE ? LATE_BEFORE : LATE_BEHIND;
	late[i] = copy;
	bucket_late++;
	task_start(WORLD, late_task, &late[i]);
}

void bucket_lost(int node)
{
	for (size_t i = 0; i < sizeof flights / sizeof *flights; i++) {
		if (!flights[i] || flights[i]->node != node)
			continue;
		if (chance_of(CHANCE_STORE, 70))
			come_later(flights[i]);
		flights[i] = NULL;
	}
}

static rc_t travel(struct put *p, const char *what, struct err *reterr)
{
	size_t i = 0;
	while (flights[i])
		if (++i == sizeof flights / sizeof *flights)
			violated("too many puts at a time");
	flights[i] = p;
	rc_t rc = request(what, p->key, reterr);
	flights[i] = NULL;
	return rc;
}

static rc_t b_put(void *self, const char *key, struct slice content, enum store_put_mode mode, struct err *reterr)
{
	(void)self;
	struct put p = { key, content, mode, task_node(), LATE_ANY, false };
	rot_check_cut(p.node, key);
	if (strstr(key, "/data/"))
		nodes_point("store.before_name"); /* the same moment as in a folder */
	TRY(travel(&p, mode == STORE_CREATE ? "PUT if absent" : "PUT", reterr));
	if (fault_now(FAULT_RESET) && chance_of(CHANCE_STORE, 50)) {
		if (chance_of(CHANCE_STORE, 50))
			come_later(&p);
		return unknown(key, reterr); /* and was not applied yet */
	}
	land_rivals(key, LATE_BEFORE);
	if (!land(&p))
		return err_set(reterr, RC_CONFLICT, "%s is there already", key);
	land_rivals(key, LATE_BEHIND);
	return answered(key, reterr);
}

static rc_t b_put_file(void *self, const char *key, const char *local, enum store_put_mode mode, struct err *reterr)
{
	AUTO_BUF struct buf b;
	buf_init(&b, (size_t)64 << 20);
	TRY(file_read_all(local, &b, reterr));
	TRY(b_put(self, key, buf_slice(&b), mode, reterr));
	return file_remove(local, reterr);
}

static rc_t b_temp_path(void *self, const char *key, char **ret, struct err *reterr)
{
	char name[17];
	(void)self, (void)key;
	AUTO_MEM char *dir = mem_printf("/n%d/tmp", task_node());
	TRY(dir_make(dir, reterr));
	random_name(name, 16);
	*ret = mem_printf("%s/%s", dir, name);
	return RC_OK;
}

static rc_t b_sweep_temp(void *self, int64_t min_age, struct err *reterr)
{
	(void)self, (void)min_age, (void)reterr;
	return RC_OK;
}

static void drop(struct object *o)
{
	free(o->key);
	free(o->data);
	*o = objects[--object_count];
}

static rc_t b_delete(void *self, const char *key, struct err *reterr)
{
	(void)self;
	TRY(request("DELETE", key, reterr));
	struct object *o = find(key);
	if (o)
		drop(o);
	return answered(key, reterr);
}

static rc_t b_delete_keys(void *self, const char *folder, char *const *keys, size_t n, struct err *reterr)
{
	(void)self;
	TRY(request("DELETE keys", folder, reterr));
	for (size_t i = 0; i < n; i++) {
		struct object *o = find(keys[i]);
		if (o)
			drop(o);
	}
	return answered(folder, reterr);
}

/* A folder, once. */
static bool first_of_folder(size_t i, size_t len)
{
	for (size_t k = 0; k < i; k++)
		if (!strncmp(objects[k].key, objects[i].key, len + 1))
			return false;
	return true;
}

static rc_t b_list(void *self, const char *folder, bool recursive, store_each each, void *ctx, struct err *reterr)
{
	(void)self;
	TRY(request("LIST", folder, reterr));
	TRY(answered(folder, reterr));
	size_t n = *folder ? strlen(folder) + 1 : 0, count = 0;
	struct store_entry *list = mem_zalloc(object_count, sizeof *list);
	for (size_t i = 0; i < object_count; i++) {
		const char *key = objects[i].key;
		if (n && (strncmp(key, folder, n - 1) || key[n - 1] != '/'))
			continue;
		const char *slash = recursive ? NULL : strchr(key + n, '/');
		if (slash && !first_of_folder(i, (size_t)(slash - key)))
			continue;
		list[count++] = slash ? (struct store_entry){ .key = mem_printf("%.*s", (int)(slash - key), key), .is_folder = true }
				      : (struct store_entry){ .key = mem_strdup(key), .size = objects[i].len, .mtime = objects[i].mtime };
	}
	rc_t rc = RC_OK;
	for (size_t i = 0; i < count && rc == RC_OK; i++)
		rc = each(ctx, &list[i], reterr);
	for (size_t i = 0; i < count; i++)
		free((char *)list[i].key);
	free(list);
	return rc;
}

static void b_pause(void *self, int64_t us)
{
	(void)self;
	clock_sleep_us(us);
}

static void b_random(void *self, void *out, size_t len)
{
	(void)self;
	random_bytes(out, len);
}

static const struct store_ops bucket_ops = {
	.scheme = "s3",
	.free = b_free,
	.get = b_get,
	.read = b_read,
	.size = b_size,
	.put = b_put,
	.put_file = b_put_file,
	.temp_path = b_temp_path,
	.sweep_temp = b_sweep_temp,
	.delete = b_delete,
	.delete_keys = b_delete_keys,
	.list = b_list,
	.now = b_now,
	.pause = b_pause,
	.random = b_random,
};

struct store *bucket_open(void)
{
	return store_new(&bucket_ops, NULL, sim_lake());
}

rc_t __real_store_open(const char *url, const struct store_options *opts, struct store **ret, struct err *reterr);
rc_t __wrap_store_open(const char *url, const struct store_options *opts, struct store **ret, struct err *reterr);
rc_t __wrap_store_open(const char *url, const struct store_options *opts, struct store **ret, struct err *reterr)
{
	if (strncmp(url, "s3://", 5) != 0)
		return __real_store_open(url, opts, ret, reterr);
	*ret = bucket_open();
	return RC_OK;
}
