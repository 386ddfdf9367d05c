/* The sweep: files in the table's folder that no live metadata names go once they are older than a grace period. Nothing is deleted unless
 * every live snapshot's manifest list could be read; only names that hydrant or Iceberg writers give are touched. And who only wants to know. */
#include <limits.h>

#include "base/fault.h"
#include "base/map.h"
#include "table/table_internal.h"

#define DAY_US ((int64_t)24 * 3600 * 1000000)
#define FRESH_US ((int64_t)60 * 1000000) /* a version this young may have been committed behind the one that was loaded */

struct sweep {
	struct table *t;
	const struct table_keep *keep;
	int64_t now;
	int64_t since;         /* older data files are not this table's */
	struct map live;       /* paths relative to the table's folder */
	struct arena scratch;
	struct versions old;   /* metadata files that go */
	uint64_t removed;
};

static rc_t go_on(const struct sweep *s, struct err *reterr)
{
	bool cancelled = s->keep->cancel && __atomic_load_n(s->keep->cancel, __ATOMIC_RELAXED);
	return cancelled ? err_set(reterr, RC_CANCELLED, "the sweep of %s was stopped; the next one goes on", s->t->collection) : RC_OK;
}

static rc_t mark(struct sweep *s, struct slice absolute, struct err *reterr)
{
	const char *path;
	arena_reset(&s->scratch);
	TRY(table_resolve(s->t, absolute, &s->scratch, &path, reterr));
	map_put(&s->live, slice_str(path), NULL);
	return RC_OK;
}

static rc_t mark_entry(void *ctx, const struct manifest_entry *e, struct err *reterr)
{
	return e->status == ENTRY_DELETED ? RC_OK : mark(ctx, e->path, reterr);
}

static rc_t mark_snapshot(struct sweep *s, const json_t *snapshot, struct map *seen, struct err *reterr)
{
	struct manifest_list l;
	manifest_list_init(&l);
	rc_t rc = table_manifests(s->t, snapshot, &l, reterr);
	if (rc == RC_OK)
		rc = mark(s, slice_str(meta_str(snapshot, "manifest-list")), reterr);
	for (size_t i = 0; rc == RC_OK && i < l.count; i++) {
		bool fresh;
		rc = go_on(s, reterr);
		if (rc != RC_OK)
			break;
		map_put(seen, l.items[i].path, &fresh);
		rc = mark(s, l.items[i].path, reterr);
		if (rc == RC_OK && fresh && s->keep->data)
			rc = table_each_entry(s->t, &l.items[i], mark_entry, s, reterr);
	}
	manifest_list_free(&l);
	return rc;
}

static rc_t mark_all(struct sweep *s, struct err *reterr)
{
	const json_t *snapshots = json_object_get(s->t->state.meta, "snapshots");
	struct map seen;
	map_init(&seen);
	rc_t rc = RC_OK;
	for (size_t i = 0; rc == RC_OK && i < json_array_size(snapshots); i++)
		rc = mark_snapshot(s, json_array_get(snapshots, i), &seen, reterr);
	map_free(&seen);
	return rc;
}

static bool ends(const char *name, const char *with)
{
	size_t n = strlen(name), k = strlen(with);
	return n >= k && !strcmp(name + n - k, with);
}

/* snap-*.avro, *-m<digits>.avro */
static bool is_manifest_name(const char *name)
{
	if (!ends(name, ".avro"))
		return false;
	size_t n = strlen(name) - 5, digits = 0;
	while (digits < n && name[n - 1 - digits] >= '0' && name[n - 1 - digits] <= '9')
		digits++;
	return !strncmp(name, "snap-", 5) || (digits && n > digits + 2 && name[n - 1 - digits] == 'm' && name[n - 2 - digits] == '-');
}

static rc_t remove_key(struct sweep *s, const char *key, struct err *reterr)
{
	TRY(store_delete(s->t->store, key, reterr));
	s->removed++;
	fault_point("table.swept");
	return RC_OK;
}

static rc_t sweep_metadata(void *ctx, const struct store_entry *e, struct err *reterr)
{
	struct sweep *s = ctx;
	const char *rel = e->key + strlen(s->t->collection) + 1, *name = strrchr(e->key, '/') + 1;
	int64_t age = s->now - e->mtime, version = table_version_of(name);
	TRY(go_on(s, reterr));
	if (e->is_folder)
		return RC_OK;
	if (version >= 0) {
		int64_t least_versions = s->keep->versions_min > 100 ? s->keep->versions_min : 100;
		int64_t least_age = s->keep->versions_age > DAY_US ? s->keep->versions_age : DAY_US;
		if (version > s->t->state.version - least_versions || age <= least_age)
			return RC_OK;
		versions_add(&s->old, version, e->key);
		return RC_OK;
	}
	if (age <= s->keep->grace || map_get(&s->live, slice_str(rel)) || !is_manifest_name(name))
		return RC_OK;
	return remove_key(s, e->key, reterr);
}

/* Oldest first, and none if the listing broke off: who comes from an old hint probes forward, version after version, and stops at a hole. */
static rc_t remove_old(struct sweep *s, rc_t rc, struct err *reterr)
{
	versions_sort(&s->old);
	for (size_t i = 0; rc == RC_OK && i < s->old.count; i++) {
		rc = go_on(s, reterr);
		if (rc == RC_OK)
			rc = remove_key(s, s->old.items[i].key, reterr);
	}
	versions_free(&s->old);
	return rc;
}

static rc_t sweep_data(void *ctx, const struct store_entry *e, struct err *reterr)
{
	struct sweep *s = ctx;
	const char *rel = e->key + strlen(s->t->collection) + 1;
	TRY(go_on(s, reterr));
	if (s->now - e->mtime <= s->keep->grace || e->mtime < s->since || !ends(rel, ".parquet") || map_get(&s->live, slice_str(rel)))
		return RC_OK;
	return remove_key(s, e->key, reterr);
}

rc_t table_sweep(struct table *t, const struct table_keep *keep, uint64_t *ret_removed, struct err *reterr)
{
	TRY(table_reload(t, NULL, reterr));
	const char *since = table_property(t, PROP_SINCE);
	struct sweep s = { .t = t, .keep = keep, .now = store_now(t->store), .since = since ? strtoll(since, NULL, 10) : 0 };
	AUTO_MEM char *metadata = table_key(t, "metadata");
	AUTO_MEM char *data = table_key(t, "data");
	map_init(&s.live);
	arena_init(&s.scratch);
	rc_t rc = mark_all(&s, reterr);
	if (rc == RC_OK)
		rc = store_list_folder(t->store, metadata, sweep_metadata, &s, reterr);
	rc = remove_old(&s, rc, reterr);
	if (rc == RC_OK && keep->data)
		rc = store_list(t->store, data, sweep_data, &s, reterr);
	map_free(&s.live);
	arena_free(&s.scratch);
	if (rc == RC_OK && ret_removed)
		*ret_removed = s.removed;
	return rc;
}

/* ---- strays ---- */

struct strays {
	struct sweep sweep;
	rc_t (*each)(void *ctx, const struct table_stray *s, struct err *reterr);
	void *ctx;
};

/* How many of the `at` characters are of the kind, from the last one back. */
static size_t run_before(const char *name, size_t at, const char *kind)
{
	size_t n = 0;
	while (n < at && strchr(kind, name[at - 1 - n]))
		n++;
	return n;
}

/* A writer's data file: "<log>-<12 hex digits>-<number>-<8 hex digits>.parquet" (pipeline/commit.c, build.c); before, without the last ones. */
static bool is_data_name(const char *name)
{
	static const char hex[] = "0123456789abcdef", digit[] = "0123456789";
	if (!ends(name, ".parquet"))
		return false;
	size_t at = strlen(name) - strlen(".parquet");
	if (run_before(name, at, hex) == 8 && at > 9 && name[at - 9] == '-' && run_before(name, at - 9, digit))
		at -= 9;
	size_t digits = run_before(name, at, digit);
	at -= digits;
	return digits && at > 14 && name[at - 1] == '-' && run_before(name, at - 1, hex) == 12 && name[at - 14] == '-';
}

/* By its name alone: one of ours, whether the table still needs it or not. */
static bool is_own_name(const struct sweep *s, const char *path, int64_t mtime)
{
	const char *name = strrchr(path, '/');
	name = name ? name + 1 : path;
	if (!strncmp(path, "data/", 5))
		return is_data_name(name);
	if (strncmp(path, "metadata/", 9) != 0 || name != path + 9)
		return false;
	int64_t version = table_version_of(name);
	if (version >= 0)
		return version <= s->t->state.version || s->now - mtime < FRESH_US;
	return !strcmp(path, HINT_PATH) || is_manifest_name(name);
}

/* Engines, and those who read folders, leave alone what begins so; some of it is ours. */
static bool is_hidden(const char *path)
{
	const char *name = strrchr(path, '/');
	name = name ? name + 1 : path;
	return path[0] == '_' || name[0] == '_' || name[0] == '.';
}

/* Of our names, those that no manifest needs to name. */
static bool is_kept(const char *path)
{
	return !strcmp(path, HINT_PATH) || (!strncmp(path, "metadata/", 9) && table_version_of(path + 9) >= 0);
}

static rc_t stray_one(void *ctx, const struct store_entry *e, struct err *reterr)
{
	struct strays *s = ctx;
	struct table_stray stray = { .path = e->key + strlen(s->sweep.t->collection) + 1, .size = e->size };
	if (e->is_folder || is_hidden(stray.path) || map_get(&s->sweep.live, slice_str(stray.path)))
		return RC_OK;
	stray.foreign = !is_own_name(&s->sweep, stray.path, e->mtime);
	if (!stray.foreign && is_kept(stray.path))
		return RC_OK;
	return s->each(s->ctx, &stray, reterr);
}

rc_t table_strays(struct table *t, rc_t (*each)(void *ctx, const struct table_stray *s, struct err *reterr), void *ctx, struct err *reterr)
{
	static const struct table_keep with_data = { .data = true };
	TRY(table_reload(t, NULL, reterr));
	struct strays s = { .sweep = { .t = t, .keep = &with_data, .now = store_now(t->store) }, .each = each, .ctx = ctx };
	map_init(&s.sweep.live);
	arena_init(&s.sweep.scratch);
	rc_t rc = mark_all(&s.sweep, reterr);
	if (rc == RC_OK)
		rc = store_list(t->store, t->collection, stray_one, &s, reterr);
	map_free(&s.sweep.live);
	arena_free(&s.sweep.scratch);
	return rc;
}
