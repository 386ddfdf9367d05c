/* Finding, reading, making and listing tables. */
#include <stdio.h>
#include <zlib.h>

#include "base/hash.h"
#include "base/map.h"
#include "model/event.h"
#include "store/probe.h"
#include "table/table_internal.h"

#define PROBE_MAX 64  /* versions probed one by one before the folder is listed instead */
#define LOAD_TRIES 5  /* a file may go between its finding and its reading */

static char *key_in(const char *collection, const char *path)
{
	return mem_printf("%s/%s", collection, path);
}

char *table_key(const struct table *t, const char *path)
{
	return key_in(t->collection, path);
}

char *table_version_key(const struct table *t, int64_t version, bool gzip)
{
	return mem_printf("%s/metadata/v%lld%s.metadata.json", t->collection, (long long)version, gzip ? ".gz" : "");
}

int64_t table_version_of(const char *name)
{
	size_t digits = *name == 'v' ? strspn(name + 1, "0123456789") : 0;
	if (!digits || digits > 17)
		return -1;
	const char *rest = name + 1 + digits;
	if (strcmp(rest, ".metadata.json") && strcmp(rest, ".gz.metadata.json") && strcmp(rest, ".metadata.json.gz"))
		return -1;
	return strtoll(name + 1, NULL, 10);
}

char *table_absolute(const struct table *t, const char *path)
{
	const char *location = table_location(t);
	size_t n = strlen(location);
	while (n > 1 && location[n - 1] == '/')
		n--;
	return mem_printf("%.*s/%s", (int)n, location, path);
}

/* Spellings of one place: file:/x, file:///x and /x; s3://, s3a:// and s3n://. In the arena, no '/' at the end. */
static struct slice plain_path(struct slice s, struct arena *a)
{
	const char *prefix = "";
	if (slice_starts(s, SLICE_LIT("file:"))) {
		s = slice_skip(s, 5);
		while (s.len > 1 && s.data[0] == '/' && s.data[1] == '/')
			s = slice_skip(s, 1);
	} else if (slice_starts(s, SLICE_LIT("s3a://")) || slice_starts(s, SLICE_LIT("s3n://"))) {
		s = slice_skip(s, 6);
		prefix = "s3://";
	}
	while (s.len > 1 && s.data[s.len - 1] == '/')
		s.len--;
	return slice_str(arena_printf(a, "%s%.*s", prefix, SLICE_ARG(s)));
}

static bool strip_folder(struct slice path, struct slice folder, struct slice *ret)
{
	if (!slice_starts(path, folder) || path.len <= folder.len + 1 || path.data[folder.len] != '/')
		return false;
	*ret = slice_skip(path, folder.len + 1);
	return true;
}

rc_t table_resolve(const struct table *t, struct slice absolute, struct arena *a, const char **ret, struct err *reterr)
{
	struct slice path = plain_path(absolute, a), rest;
	AUTO_MEM char *here = mem_printf("%s/%s", store_url(t->store), t->collection);
	if (!memchr(absolute.data, 0, absolute.len) && (strip_folder(path, plain_path(slice_str(table_location(t)), a), &rest) ||
							strip_folder(path, plain_path(slice_str(here), a), &rest))) {
		*ret = (const char *)rest.data;
		return store_key_check(*ret, reterr);
	}
	return err_set(reterr, RC_UNSUPPORTED, "table %s names the file %.*s, which is outside its folder %s", t->collection,
		       SLICE_ARG(absolute), table_location(t));
}

rc_t table_get(const struct table *t, struct slice absolute, struct buf *ret, struct err *reterr)
{
	struct arena a;
	arena_init(&a);
	const char *path;
	rc_t rc = table_resolve(t, absolute, &a, &path, reterr);
	if (rc == RC_OK) {
		AUTO_MEM char *key = table_key(t, path);
		rc = store_get(t->store, key, ret, reterr);
		if (rc == RC_NOT_FOUND) /* live metadata names it: the table is damaged, not absent */
			rc = err_set(reterr, RC_CORRUPT, "table %s lacks its file %s", t->collection, path);
	}
	arena_free(&a);
	return rc;
}

/* ---- Reading a version ---- */

static rc_t gunzip(struct buf *file, struct err *reterr)
{
	struct buf out;
	buf_init(&out, METADATA_MAX);
	z_stream z = { .next_in = file->data, .avail_in = (uInt)file->len };
	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return err_set(reterr, RC_LIMIT, "zlib has no memory");
	int zrc = Z_OK;
	while (zrc == Z_OK && buf_reserve(&out, 4096)) {
		z.next_out = out.data + out.len;
		z.avail_out = (uInt)(out.cap - out.len);
		zrc = inflate(&z, Z_NO_FLUSH);
		out.len = out.cap - z.avail_out;
	}
	inflateEnd(&z);
	if (zrc != Z_STREAM_END) {
		buf_free(&out);
		return err_set(reterr, RC_CORRUPT, "a gzip metadata file is damaged or too large");
	}
	buf_free(file);
	*file = out;
	return RC_OK;
}

static rc_t read_version(const struct table *t, int64_t version, struct table_state *ret, struct err *reterr)
{
	AUTO_BUF struct buf b;
	buf_init(&b, METADATA_MAX);
	AUTO_MEM char *key = table_version_key(t, version, false);
	bool gzip = false;
	rc_t rc = store_get(t->store, key, &b, reterr);
	if (rc == RC_NOT_FOUND) {
		free(key);
		key = table_version_key(t, version, true);
		gzip = true;
		rc = store_get(t->store, key, &b, reterr);
	}
	if (rc != RC_OK)
		return rc;
	uint64_t size;
	int64_t mtime;
	TRY(store_size(t->store, key, &size, &mtime, reterr));
	if (gzip)
		TRY(gunzip(&b, reterr));
	json_error_t je;
	json_t *meta = json_loadb((const char *)b.data, b.len, JSON_REJECT_DUPLICATES, &je);
	if (!meta)
		return err_set(reterr, RC_CORRUPT, "%s is not JSON: line %d: %s", key, je.line, je.text);
	rc = state_from_json(meta, version, ret, reterr);
	if (rc != RC_OK) {
		json_decref(meta);
		err_prefix(reterr, "%s", key);
		return rc;
	}
	ret->size = size;
	ret->mtime = mtime;
	return RC_OK;
}

rc_t table_version_exists(const struct table *t, int64_t version, bool *ret, struct err *reterr)
{
	AUTO_MEM char *plain = table_version_key(t, version, false);
	AUTO_MEM char *gzip = table_version_key(t, version, true);
	rc_t rc = store_size(t->store, plain, NULL, NULL, reterr);
	if (rc == RC_NOT_FOUND)
		rc = store_size(t->store, gzip, NULL, NULL, reterr);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	*ret = rc == RC_OK;
	return RC_OK;
}

static rc_t newest_entry(void *ctx, const struct store_entry *e, struct err *reterr)
{
	int64_t *newest = ctx, v = table_version_of(strrchr(e->key, '/') + 1);
	if (!e->is_folder && v > *newest)
		*newest = v;
	return RC_OK;
}

rc_t table_newest_listed(const struct table *t, int64_t *ret, struct err *reterr)
{
	AUTO_MEM char *folder = table_key(t, "metadata");
	int64_t newest = -1;
	TRY(store_list_folder(t->store, folder, newest_entry, &newest, reterr));
	if (newest < 0)
		return err_set(reterr, RC_NOT_FOUND, "there is no collection '%s' in %s", t->collection, store_url(t->store));
	*ret = newest;
	return RC_OK;
}

/* What version-hint.text says; -1 if it says nothing. */
static int64_t read_hint(const struct table *t)
{
	AUTO_BUF struct buf b;
	buf_init(&b, 64);
	AUTO_MEM char *key = table_key(t, HINT_PATH);
	if (store_get(t->store, key, &b, NULL) != RC_OK)
		return -1;
	char *end, *text = buf_cstr(&b);
	long long v = strtoll(text, &end, 10);
	return end != text && v > 0 && v < INT64_MAX / 2 && strspn(end, " \r\n") == strlen(end) ? v : -1;
}

/* The newest version from `from` on, which exists. */
static rc_t probe_forward(const struct table *t, int64_t from, int64_t *ret, struct err *reterr)
{
	for (int n = 0; n < PROBE_MAX; n++, from++) {
		bool there;
		TRY(table_version_exists(t, from + 1, &there, reterr));
		if (!there) {
			*ret = from;
			return RC_OK;
		}
	}
	return table_newest_listed(t, ret, reterr);
}

void table_write_hint(const struct table *t)
{
	AUTO_MEM char *key = table_key(t, HINT_PATH);
	AUTO_MEM char *text = mem_printf("%lld", (long long)t->state.version);
	/* A writer that slept must not point the hint back at a file that has expired meanwhile. If the hint still names the version before, it
	 * has not slept so long. */
	int64_t hint = read_hint(t), version = t->state.version;
	bool there;
	if (hint != version - 1) {
		if (hint >= version && (table_version_exists(t, hint, &there, NULL) != RC_OK || there))
			return;
		if (table_version_exists(t, version, &there, NULL) != RC_OK || !there)
			return;
	}
	store_put(t->store, key, slice_str(text), STORE_REPLACE, NULL);
}

/* The newest version into *ret. */
static rc_t load(const struct table *t, struct table_state *ret, struct err *reterr)
{
	rc_t rc = RC_OK;
	for (int n = 0; n < LOAD_TRIES; n++) {
		int64_t hint = read_hint(t), version = hint;
		rc = hint > 0 ? probe_forward(t, hint, &version, reterr) : RC_NOT_FOUND;
		if (rc == RC_OK)
			rc = read_version(t, version, ret, reterr);
		if (rc == RC_NOT_FOUND) { /* no hint, or it names a file that is not there */
			rc = table_newest_listed(t, &version, reterr);
			if (rc == RC_NOT_FOUND)
				return rc;
			if (rc == RC_OK)
				rc = read_version(t, version, ret, reterr);
		}
		if (rc == RC_OK && hint != version) {
			struct table seen = *t;
			seen.state = *ret;
			table_write_hint(&seen);
		}
		if (rc != RC_NOT_FOUND)
			return rc;
	}
	return err_set(reterr, RC_IO, "the newest version of table %s is listed, and cannot be read, %d times in a row", t->collection, LOAD_TRIES);
}

static struct table *table_new(struct store *store, const char *collection)
{
	struct table *t = NEW(struct table);
	t->store = store;
	t->collection = mem_strdup(collection);
	t->room = METADATA_ROOM;
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	state_free(&t->state);
	buf_free(&t->list);
	free(t->list_path);
	free(t->collection);
	free(t);
}

rc_t table_open(struct store *store, const char *collection, struct table **ret, struct err *reterr)
{
	if (!collection_name_valid(slice_str(collection)))
		return err_set(reterr, RC_INVALID, "'%s' is no collection name: a-z, 0-9 and single _, starting with a letter, 63 at most", collection);
	struct table *t = table_new(store, collection);
	rc_t rc = load(t, &t->state, reterr);
	if (rc != RC_OK) {
		table_free(t);
		return rc;
	}
	*ret = t;
	return RC_OK;
}

rc_t table_reload(struct table *t, bool *ret_changed, struct err *reterr)
{
	AUTO_MEM char *plain = table_version_key(t, t->state.version, false);
	AUTO_MEM char *gzip = table_version_key(t, t->state.version, true);
	uint64_t size = 0;
	int64_t mtime = 0, newest = 0;
	struct table_state fresh;
	rc_t rc = store_size(t->store, plain, &size, &mtime, reterr);
	if (rc == RC_NOT_FOUND)
		rc = store_size(t->store, gzip, &size, &mtime, reterr);
	if (rc == RC_OK && size == t->state.size && mtime == t->state.mtime) {
		TRY(probe_forward(t, t->state.version, &newest, reterr));
		if (newest == t->state.version) {
			if (ret_changed)
				*ret_changed = false;
			return RC_OK;
		}
		rc = read_version(t, newest, &fresh, reterr);
	} else if (rc == RC_OK) {
		rc = RC_NOT_FOUND; /* another file under the old name: dropped and made again */
	}
	if (rc == RC_NOT_FOUND)
		rc = load(t, &fresh, reterr);
	if (rc != RC_OK)
		return rc;
	state_free(&t->state);
	t->state = fresh;
	table_write_hint(t);
	if (ret_changed)
		*ret_changed = true;
	return RC_OK;
}

/* ---- Making and listing ---- */

static rc_t is_there(void *ctx, const struct store_entry *e, struct err *reterr)
{
	(void)ctx;
	return err_set(reterr, RC_CANCELLED, "%s is there", e->key);
}

/* What a table of this name that was dropped has left in data/ is not ours to sweep. All of it was stored before *ret_since (0: there is none), which
 * has come when this returns; of a bucket by whole seconds, as it tells times, and one more for its clock. */
static rc_t leftovers_until(struct table *t, int64_t *ret_since, struct err *reterr)
{
	AUTO_MEM char *data = table_key(t, "data");
	struct err e = { 0 };
	rc_t rc = store_list(t->store, data, is_there, NULL, &e);
	*ret_since = 0;
	if (rc == RC_CANCELLED) {
		int64_t now = store_now(t->store);
		AUTO_MEM char *local = store_local_path(t->store, data);
		*ret_since = local ? now + 20000 : (now / 1000000 + 2) * 1000000; /* a file system's clock ticks every few ms */
		store_pause(t->store, *ret_since - now);
		return RC_OK;
	}
	if (rc != RC_OK && reterr)
		*reterr = e;
	return rc;
}

static rc_t first_document(struct table *t, const struct schema *schema, const struct table_property *properties, size_t n, json_t **ret,
			   struct err *reterr)
{
	AUTO(schema) *s = schema_copy(schema);
	for (const struct field *f = s->root; (f = field_next(s->root, f));)
		s->last_id = f->id > s->last_id ? f->id : s->last_id;
	schema_assign_ids(s);
	const struct field *time = schema_by_role(s, ROLE_TIME);
	if (!time || (time->type != TYPE_TIMESTAMPTZ && time->type != TYPE_TIMESTAMP))
		return err_set(reterr, RC_INVALID, "the schema of table %s has no event time column (timestamptz)", t->collection);
	uint8_t b[16];
	char uuid[37];
	store_random(t->store, b, sizeof b);
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(uuid, sizeof uuid, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5],
		 b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
	AUTO_MEM char *location = mem_printf("%s/%s", store_url(t->store), t->collection);
	json_t *meta = metadata_new(uuid, location, s, store_now(t->store));
	if (!meta)
		return err_set(reterr, RC_INVALID, "the lake's place %s is not UTF-8: give it another name", store_url(t->store));
	rc_t rc = meta_set_schema(meta, s, reterr);
	AUTO_MEM char *format = mem_printf("%d", HYDRANT_FORMAT);
	if (rc == RC_OK)
		rc = meta_set_property(meta, PROP_FORMAT, format, reterr);
	for (size_t i = 0; rc == RC_OK && i < n; i++)
		rc = meta_set_property(meta, properties[i].key, properties[i].value, reterr);
	if (rc != RC_OK)
		json_decref(meta);
	else
		*ret = meta;
	return rc;
}

rc_t table_create(struct store *store, const char *collection, const struct schema *schema, const struct table_property *properties,
		  size_t n, struct table **ret, struct err *reterr)
{
	if (!collection_name_valid(slice_str(collection)))
		return err_set(reterr, RC_INVALID, "'%s' is no collection name: a-z, 0-9 and single _, starting with a letter, 63 at most", collection);
	AUTO(table) *t = table_new(store, collection);
	int64_t newest;
	rc_t rc = table_newest_listed(t, &newest, reterr);
	if (rc == RC_OK)
		return err_set(reterr, RC_CONFLICT, "collection '%s' is there already", collection);
	if (rc != RC_NOT_FOUND)
		return rc;
	json_t *meta = NULL;
	int64_t since;
	TRY(leftovers_until(t, &since, reterr));
	TRY(first_document(t, schema, properties, n, &meta, reterr));
	if (since) {
		AUTO_MEM char *text = mem_printf("%lld", (long long)since);
		meta_set_property(meta, PROP_SINCE, text, NULL); /* digits are UTF-8 */
	}
	TRY(table_publish_schema(t, meta, reterr));
	table_write_ddl(t);
	*ret = t;
	t = NULL;
	return RC_OK;
}

struct list_ctx {
	struct store *store;
	rc_t (*each)(void *ctx, const char *collection, struct err *reterr);
	void *ctx;
};

static rc_t list_entry(void *ctx, const struct store_entry *e, struct err *reterr)
{
	struct list_ctx *l = ctx;
	if (!e->is_folder || e->key[0] == '_' || !collection_name_valid(slice_str(e->key)))
		return RC_OK;
	struct table probe = { .store = l->store, .collection = (char *)e->key };
	int64_t version;
	struct err err = { 0 };
	AUTO_MEM char *hint = table_key(&probe, HINT_PATH);
	rc_t rc = store_size(l->store, hint, NULL, NULL, NULL);
	if (rc != RC_OK)
		rc = table_newest_listed(&probe, &version, &err);
	if (rc == RC_OK)
		return l->each(l->ctx, e->key, reterr);
	if (rc == RC_NOT_FOUND || store_refused(&err)) /* somebody's folder that is closed to us hides no other's table */
		return RC_OK;
	if (reterr)
		*reterr = err;
	return rc;
}

rc_t table_list(struct store *store, rc_t (*each)(void *ctx, const char *collection, struct err *reterr), void *ctx, struct err *reterr)
{
	struct list_ctx l = { store, each, ctx };
	return store_list_folder(store, "", list_entry, &l, reterr);
}
