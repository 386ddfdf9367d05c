/* Dropping a table. Crash order: older versions, oldest first; the hint; [gone: the last version]; with purge its files. What lies in the folder
 * is listed before the last version goes, and only that is deleted: the files of a table that is made anew under the name come after it. */
#include "base/fault.h"
#include "model/event.h"
#include "table/table_internal.h"

void versions_add(struct versions *v, int64_t version, const char *key)
{
	if (v->count == v->cap) {
		v->cap = v->cap ? v->cap * 2 : 64;
		v->items = mem_realloc(v->items, v->cap * sizeof *v->items);
	}
	v->items[v->count++] = (struct version){ version, mem_strdup(key) };
}

static int by_version(const void *a, const void *b)
{
	int64_t x = ((const struct version *)a)->version, y = ((const struct version *)b)->version;
	return (x > y) - (x < y);
}

void versions_sort(struct versions *v)
{
	if (v->count)
		qsort(v->items, v->count, sizeof *v->items, by_version);
}

void versions_free(struct versions *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->items[i].key);
	free(v->items);
	*v = (struct versions){ 0 };
}

struct drop {
	struct table *t;       /* of store and collection only */
	int64_t newest;        /* goes last: readers never see the table step back in time; -1: there is no table */
	struct versions older;
	char **keys;           /* what is to be purged */
	size_t count, cap, bytes, bytes_max;
};

static void forget_keys(struct drop *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->keys[i]);
	d->count = d->bytes = 0;
}

static rc_t purge_keys(struct drop *d, struct err *reterr)
{
	rc_t rc = store_delete_keys(d->t->store, d->t->collection, d->keys, d->count, reterr);
	forget_keys(d);
	return rc;
}

/* What was listed until now is the old table's, for that still stands, or none does. */
static rc_t is_as_it_was(const struct drop *d, bool *ret, struct err *reterr)
{
	int64_t newest;
	if (d->newest >= 0)
		return table_version_exists(d->t, d->newest, ret, reterr);
	rc_t rc = table_newest_listed(d->t, &newest, reterr);
	*ret = rc == RC_NOT_FOUND;
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static rc_t purge_while_it_stands(struct drop *d, struct err *reterr)
{
	bool same;
	TRY(is_as_it_was(d, &same, reterr));
	return same ? purge_keys(d, reterr) : err_set(reterr, RC_CONFLICT, "table %s was dropped by another writer meanwhile", d->t->collection);
}

static rc_t list_for_purge(void *ctx, const struct store_entry *e, struct err *reterr)
{
	struct drop *d = ctx;
	const char *path = e->key + strlen(d->t->collection) + 1;
	if (!strcmp(path, HINT_PATH) || (!strncmp(path, "metadata/", 9) && table_version_of(path + 9) >= 0))
		return RC_OK;
	bool same = true;
	if (!strncmp(path, "_schema/", 8)) { /* the next table has a file of that name, too */
		TRY(is_as_it_was(d, &same, reterr));
		return same ? store_delete(d->t->store, e->key, reterr) : RC_OK;
	}
	if (d->bytes >= d->bytes_max)
		TRY(purge_while_it_stands(d, reterr));
	if (d->count == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 256;
		d->keys = mem_realloc(d->keys, d->cap * sizeof *d->keys);
	}
	d->bytes += strlen(e->key) + 1 + sizeof *d->keys;
	d->keys[d->count++] = mem_strdup(e->key);
	return RC_OK;
}

static rc_t add_older(void *ctx, const struct store_entry *e, struct err *reterr)
{
	struct drop *d = ctx;
	int64_t v = table_version_of(strrchr(e->key, '/') + 1);
	(void)reterr;
	if (!e->is_folder && v >= 0 && v < d->newest)
		versions_add(&d->older, v, e->key);
	return RC_OK;
}

static rc_t drop_older(struct drop *d, struct err *reterr)
{
	AUTO_MEM char *folder = table_key(d->t, "metadata");
	rc_t rc = store_list_folder(d->t->store, folder, add_older, d, reterr);
	versions_sort(&d->older);
	for (size_t i = 0; rc == RC_OK && i < d->older.count; i++)
		rc = store_delete(d->t->store, d->older.items[i].key, reterr);
	versions_free(&d->older);
	return rc;
}

static rc_t settle(const struct drop *d, struct err *reterr)
{
	AUTO_MEM char *folder = table_key(d->t, "metadata");
	return store_settle(d->t->store, folder, reterr);
}

/* The table as far as d->newest. */
static rc_t drop_once(struct drop *d, bool purge, struct err *reterr)
{
	struct store *store = d->t->store;
	AUTO_MEM char *hint = table_key(d->t, HINT_PATH);
	AUTO_MEM char *plain = table_version_key(d->t, d->newest, false);
	AUTO_MEM char *gzip = table_version_key(d->t, d->newest, true);
	bool same = true;
	TRY(drop_older(d, reterr));
	TRY(settle(d, reterr)); /* or a power cut could leave an older version alone */
	fault_point("table.drop");
	forget_keys(d);
	if (purge) {
		TRY(store_list(store, d->t->collection, list_for_purge, d, reterr));
		TRY(is_as_it_was(d, &same, reterr));
		if (!same) /* somebody else dropped it, and what was listed may be of a table made anew: it is theirs to purge */
			forget_keys(d);
	}
	TRY(store_delete(store, hint, reterr));
	TRY(store_delete(store, plain, reterr));
	return store_delete(store, gzip, reterr);
}

/* What an earlier drop left behind, unless a table is made anew meanwhile. */
static rc_t list_leftovers(struct drop *d, struct err *reterr)
{
	bool same;
	d->newest = -1;
	TRY(store_list(d->t->store, d->t->collection, list_for_purge, d, reterr));
	TRY(is_as_it_was(d, &same, reterr));
	if (!same)
		forget_keys(d);
	return RC_OK;
}

rc_t table_drop_within(struct store *store, const char *collection, bool purge, size_t keys_max, struct err *reterr)
{
	if (!collection_name_valid(slice_str(collection)))
		return err_set(reterr, RC_INVALID, "'%s' is no collection name", collection);
	struct table t = { .store = store, .collection = (char *)collection };
	struct drop d = { .t = &t, .bytes_max = keys_max };
	int64_t gone = -1;
	rc_t rc;
	/* Again, if another writer has added a version meanwhile; one that made the table anew began below. */
	while ((rc = table_newest_listed(&t, &d.newest, reterr)) == RC_OK && d.newest > gone) {
		rc = drop_once(&d, purge, reterr);
		if (rc != RC_OK)
			break;
		gone = d.newest;
	}
	if (rc == RC_NOT_FOUND && (gone >= 0 || purge))
		rc = gone < 0 ? list_leftovers(&d, reterr) : RC_OK;
	bool any = gone >= 0 || d.count;
	if (rc == RC_OK && purge) {
		fault_point("table.purge");
		rc = purge_keys(&d, reterr);
	}
	if (rc == RC_OK && any)
		rc = settle(&d, reterr);
	if (rc == RC_OK && !any)
		rc = err_set(reterr, RC_NOT_FOUND, "there is no table %s", collection);
	forget_keys(&d);
	free(d.keys);
	return rc;
}

rc_t table_drop_check(struct store *store, const char *collection, struct err *reterr)
{
	struct table t = { .store = store, .collection = (char *)collection };
	AUTO_MEM char *hint = table_key(&t, HINT_PATH);
	int64_t newest;
	TRY(table_newest_listed(&t, &newest, reterr));
	return store_delete(store, hint, reterr);
}

rc_t table_drop(struct store *store, const char *collection, bool purge, struct err *reterr)
{
	return table_drop_within(store, collection, purge, PURGE_KEYS_MAX, reterr);
}
