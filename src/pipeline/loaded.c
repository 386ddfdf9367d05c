/* The files that a table remembers (load.c). Those loaded last have a position property each, which stands in every metadata file. When there are more than
 * FOLD_AT, all but the newest FOLD_KEEP go into a list, an object of the lake that never changes:
 *
 *   COLLECTION/_files/<random>.list = "HYDFILE1", struct loaded_file …, u64 XXH3 of all that
 *   hydrant.files = <random>.list     in the table
 *
 * The new list (the old one and what comes to it) is stored first; then one commit names it and removes the properties, if all of them are as they were
 * read; then the old list is removed. A crash before the commit leaves a list that nothing names: the first fold after a day takes it away.
 * LIST_MAX files are remembered, and those of the last LIST_SECONDS also beyond that, as far as LIST_LIMIT.
 * The quarantine's table has no list: what the other one tells of a file holds for both.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/random.h"
#include "pipeline/load_internal.h"

#define LIST_PROPERTY "hydrant.files"
#define LIST_FOLDER "_files"
#define LIST_MAGIC "HYDFILE1"
#define FOLD_AT 500
#define FOLD_KEEP 250
#define LIST_MAX ((size_t)100000)
#define LIST_SECONDS ((uint64_t)30 * 86400)
#define LIST_LIMIT ((size_t)1000000)
#define LIST_BYTES_MAX (LIST_LIMIT * sizeof(struct loaded_file) + 16)
#define SWEEP_US ((int64_t)86400 * 1000000)

_Static_assert(sizeof(struct loaded_file) == 48, "as it is stored");

static void loaded_list_clear(struct loaded_list *l)
{
	free(l->key);
	free(l->files);
	*l = (struct loaded_list){ 0 };
}

void loaded_free(struct pipeline *p)
{
	if (p->loaded)
		loaded_list_clear(p->loaded);
	free(p->loaded);
}

static char *list_key(const struct table *t, const char *name)
{
	AUTO_MEM char *path = mem_printf(LIST_FOLDER "/%s", name);
	return table_key(t, path);
}

static rc_t list_parse(struct slice b, const char *key, struct loaded_list *ret, struct err *reterr)
{
	uint64_t sum;
	size_t body = b.len - 16;
	if (b.len < 16 || body % sizeof *ret->files != 0 || memcmp(b.data, LIST_MAGIC, 8) != 0 ||
	    (memcpy(&sum, b.data + b.len - 8, 8), hash64(slice_of(b.data, b.len - 8)) != sum))
		return err_set(reterr, RC_CORRUPT, "%s, the list of files that were loaded, is damaged: bring it back from a copy, or load new files with --again", key);
	ret->count = body / sizeof *ret->files;
	ret->files = mem_alloc(body ? body : 1);
	memcpy(ret->files, b.data + 8, body);
	ret->key = mem_strdup(key);
	return RC_OK;
}

rc_t loaded_list(struct pipeline *p, struct table *t, const struct loaded_list **ret, struct err *reterr)
{
	const char *name = table_property(t, LIST_PROPERTY);
	*ret = NULL;
	if (!name)
		return RC_OK;
	AUTO_MEM char *key = list_key(t, name);
	if (!p->loaded)
		p->loaded = NEW(struct loaded_list);
	if (!p->loaded->key || strcmp(p->loaded->key, key) != 0) {
		AUTO_BUF struct buf b;
		buf_init(&b, LIST_BYTES_MAX);
		loaded_list_clear(p->loaded);
		TRY(store_get(table_store(t), key, &b, reterr));
		TRY(list_parse(buf_slice(&b), key, p->loaded, reterr));
	}
	*ret = p->loaded;
	return RC_OK;
}

/* ---- folding ---- */

struct fold {
	struct table *t;
	uint64_t now;
	struct table_property *updates, *expect; /* of one commit: each property removed, if it is as it was read */
	size_t count;
	struct loaded_file *add;
	size_t add_count;
	uint64_t forgotten;
};

static int by_age(const void *a, const void *b)
{
	const struct known_file *x = a, *y = b;
	return (x->f.seconds > y->f.seconds) - (x->f.seconds < y->f.seconds);
}

static void drop_property(struct fold *f, const struct known_file *k, bool quarantine)
{
	char *key = mem_printf("%s%s", TABLE_POSITION_PREFIX, k->log);
	f->updates[f->count] = (struct table_property){ key, NULL };
	f->expect[f->count++] = (struct table_property){ key, k->values[quarantine] };
}

static bool is_old(const struct fold *f, uint64_t seconds)
{
	return seconds + LIST_SECONDS < f->now;
}

/* The older ones, into the list. What is packed and not all there cannot be in it. */
static void choose_older(struct fold *f, const struct known_file *known, size_t n)
{
	for (size_t i = 0; i + FOLD_KEEP < n; i++) {
		const struct known_file *k = &known[i];
		bool part = k->f.packed && !k->whole;
		if (!k->values[0] || k->position == UINT64_MAX || (part && !is_old(f, k->f.seconds)))
			continue;
		drop_property(f, k, false);
		if (part)
			f->forgotten++;
		else
			f->add[f->add_count++] = k->f;
	}
}

/* Does the table itself have what its quarantine says of this file? */
static bool told_by_table(const struct known_file *k, const struct loaded_list *list)
{
	const char *colon = strchr(k->values[1], ':');
	if (!k->quarantined)
		return colon && k->position >= strtoull(colon + 1, NULL, 10);
	for (size_t i = 0; list && i < list->count; i++) {
		const struct loaded_file *f = &list->files[i];
		if (f->packed == k->f.packed &&
		    (f->packed ? f->bytes == k->f.bytes && !memcmp(&f->hash, &k->f.hash, sizeof f->hash) : f->path == k->f.path && f->bytes >= k->f.bytes))
			return true;
	}
	return false;
}

static void choose_told(struct fold *f, const struct known_file *known, size_t n, const struct loaded_list *list)
{
	for (size_t i = 0; i + FOLD_KEEP < n; i++) {
		const struct known_file *k = &known[i];
		if (!k->values[1] || k->position == UINT64_MAX)
			continue;
		bool told = told_by_table(k, list);
		if (!told && (n <= 2 * (size_t)FOLD_AT || !is_old(f, k->f.seconds)))
			continue;
		drop_property(f, k, true);
		f->forgotten += !told;
	}
}

/* The same file, of which less was known then. */
static bool outdates(const struct loaded_file *now, const struct loaded_file *was)
{
	if (now->packed != was->packed || now->bytes < was->bytes)
		return false;
	if (now->bytes == was->bytes)
		return !memcmp(&now->hash, &was->hash, sizeof now->hash);
	return !now->packed && now->head && now->head == was->head && now->path == was->path;
}

static void list_merge(struct fold *f, const struct loaded_list *old, struct buf *ret)
{
	size_t had = old ? old->count : 0, count = f->add_count, skip = 0;
	bool *out = mem_zalloc(had + 1, 1);
	for (size_t i = 0; i < had; i++) {
		for (size_t j = 0; j < f->add_count && !out[i]; j++)
			out[i] = outdates(&f->add[j], &old->files[i]);
		count += !out[i];
	}
	buf_append(ret, LIST_MAGIC, 8);
	for (size_t i = 0; i < had; i++) {
		if (out[i])
			continue;
		size_t left = count - skip;
		if (left > LIST_LIMIT || (left > LIST_MAX && is_old(f, old->files[i].seconds)))
			skip++;
		else
			buf_append(ret, &old->files[i], sizeof *old->files);
	}
	buf_append(ret, f->add, f->add_count * sizeof *f->add);
	buf_u64(ret, hash64(buf_slice(ret)));
	f->forgotten += skip;
	free(out);
}

struct list_sweep {
	struct table *t;
	int64_t before;
	const char *keep;
};

static rc_t sweep_list(void *ctx, const struct store_entry *e, struct err *reterr)
{
	const struct list_sweep *s = ctx;
	return e->is_folder || e->mtime > s->before || !strcmp(e->key, s->keep) ? RC_OK : store_delete(table_store(s->t), e->key, reterr);
}

/* Lists that nothing names. Best effort: what stays is looked at again. */
static void list_remove(struct table *t, const char *old, const char *keep)
{
	AUTO_MEM char *folder = table_key(t, LIST_FOLDER);
	struct list_sweep s = { t, store_now(table_store(t)) - SWEEP_US, keep };
	if (old)
		store_delete(table_store(t), old, NULL);
	store_list_folder(table_store(t), folder, sweep_list, &s, NULL);
}

static rc_t fold_commit(struct fold *f, struct err *reterr)
{
	struct table_commit commit = { .updates = f->updates, .update_count = f->count, .expect = f->expect, .expect_count = f->count };
	return table_append(f->t, &commit, reterr);
}

static rc_t fold_into_list(struct fold *f, const struct loaded_list *old, struct err *reterr)
{
	char name[33];
	random_name(name, 16);
	snprintf(name + 16, sizeof name - 16, ".list");
	AUTO_MEM char *key = list_key(f->t, name);
	AUTO_MEM char *old_key = old ? mem_strdup(old->key) : NULL;
	AUTO_BUF struct buf b;
	buf_init(&b, LIST_BYTES_MAX);
	list_merge(f, old, &b);
	if (b.overflow)
		return err_set(reterr, RC_LIMIT, "the list of files that were loaded into %s would have %zu more", table_collection(f->t), f->add_count);
	TRY(store_put(table_store(f->t), key, buf_slice(&b), STORE_CREATE, reterr));
	fault_point("files.stored");
	AUTO_MEM char *was = old ? mem_strdup(strrchr(old->key, '/') + 1) : NULL;
	f->updates[f->count] = (struct table_property){ LIST_PROPERTY, name };
	f->expect[f->count++] = (struct table_property){ LIST_PROPERTY, was };
	rc_t rc = fold_commit(f, reterr);
	f->count--;
	if (rc == RC_OK) {
		fault_point("files.committed");
		list_remove(f->t, old_key, key);
	} else if (rc == RC_CONFLICT) {
		store_delete(table_store(f->t), key, NULL); /* it was refused: nothing names it */
	}
	return rc;
}

static size_t count_in(const struct known_file *known, size_t n, bool quarantine)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++)
		count += known[i].values[quarantine] != NULL;
	return count;
}

rc_t loaded_fold(struct table *t, bool quarantine, struct known_file *known, size_t n, const struct loaded_list *list, bool *ret_changed,
		 uint64_t *ret_forgotten, struct err *reterr)
{
	*ret_changed = false;
	if (count_in(known, n, quarantine) <= FOLD_AT)
		return RC_OK;
	qsort(known, n, sizeof *known, by_age);
	struct fold f = { .t = t, .now = (uint64_t)(clock_wall_us() / 1000000) };
	f.updates = mem_alloc((n + 1) * sizeof *f.updates);
	f.expect = mem_alloc((n + 1) * sizeof *f.expect);
	f.add = mem_alloc(n * sizeof *f.add);
	if (quarantine)
		choose_told(&f, known, n, list);
	else
		choose_older(&f, known, n);
	rc_t rc = !f.count ? RC_OK : quarantine ? fold_commit(&f, reterr) : fold_into_list(&f, list, reterr);
	if (rc == RC_OK)
		*ret_forgotten += f.forgotten;
	*ret_changed = f.count > 0;
	for (size_t i = 0; i < f.count; i++)
		free((void *)f.updates[i].key);
	free(f.updates);
	free(f.expect);
	free(f.add);
	return rc == RC_CONFLICT || rc == RC_AGAIN ? RC_OK : rc; /* another process does the same */
}
