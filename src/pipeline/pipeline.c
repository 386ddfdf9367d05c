#include "pipeline/pipeline.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"
#include "pipeline/pipeline_internal.h"

#define LOG_BYTES ((uint64_t)16 << 30) /* the log's own default */

void pipeline_options_default(struct pipeline_options *ret)
{
	*ret = (struct pipeline_options){
		.memory_bytes = (size_t)128 << 20,
		.file_bytes = (uint64_t)128 << 20,
		.codec = PARQUET_ZSTD,
		.codec_level = 1,
		.commit_busy_us = (int64_t)60 * 1000000,
		.commit_idle_us = (int64_t)15 * 60 * 1000000,
		.commit_bytes = (uint64_t)1 << 30,
	};
}

char *pipeline_default_data_dir(const char *lake)
{
	if (!strncmp(lake, "file://", 7))
		lake += 7;
	else if (strstr(lake, "://"))
		return NULL;
	return mem_printf("%s/_hydrant/local", lake);
}

static rc_t take_lock(struct pipeline *p, struct err *reterr)
{
	AUTO_MEM char *path = mem_printf("%s/lock", p->data_dir);
	rc_t rc = file_lock(path, &p->lock_fd, reterr);
	if (rc != RC_OK)
		return rc;
	AUTO_MEM char *text = mem_printf("%s\n", p->opts.holder ? p->opts.holder : "another hydrant");
	TRY(file_truncate(p->lock_fd, path, 0, reterr));
	return file_pwrite(p->lock_fd, path, text, strlen(text), 0, reterr);
}

/* A collection is committed long before its share of the log is full, or with a small log its senders would wait for the interval. */
static uint64_t commit_bytes(const struct pipeline_options *o)
{
	uint64_t share = o->collection_bytes ? o->collection_bytes : o->log_bytes / 2;
	return share && share / 4 < o->commit_bytes ? share / 4 : o->commit_bytes;
}

static rc_t remove_hot(void *ctx, const char *name, bool is_dir)
{
	const struct pipeline *p = ctx;
	AUTO_MEM char *path = mem_printf("%s/%s", p->data_dir, name);
	if (is_dir && !strncmp(name, "hot-", 4) && !dir_is_claimed(path))
		dir_remove_tree(path, NULL);
	return RC_OK;
}

/* Only what has the form of a query's folder: somebody may have put the spilling elsewhere with a link, beside things of his own. */
static rc_t remove_spilled(void *ctx, const char *name, bool is_dir)
{
	AUTO_MEM char *path = mem_printf("%s/%s", (const char *)ctx, name);
	if (is_dir && strlen(name) == strlen(SPILL_TEMPLATE) && !dir_is_claimed(path))
		dir_remove_tree(path, NULL);
	return RC_OK;
}

/* Of commands and queries that were killed; the lock is held: whoever else uses the folder has claimed what is his. */
static void remove_left(struct pipeline *p)
{
	AUTO_MEM char *spill = pipeline_spill_dir(p);
	dir_list(p->data_dir, remove_hot, p, NULL);
	dir_list(spill, remove_spilled, spill, NULL);
}

rc_t pipeline_open(const struct pipeline_options *opts, struct pipeline **ret, struct err *reterr)
{
	AUTO(pipeline) *p = NEW(struct pipeline);
	p->opts = *opts;
	p->opts.commit_bytes = commit_bytes(opts);
	lakes_init(p);
	p->lock_fd = p->hot_fd = -1;
	random_bytes(&p->random, sizeof p->random);
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->build, NULL);
	pthread_cond_init(&p->due_some, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &monotonic);
	pthread_cond_init(&p->upkeep_wake, &monotonic);
	pthread_mutex_init(&p->look_lock, NULL);
	pthread_cond_init(&p->look_wake, &monotonic);
	pthread_cond_init(&p->opened, &monotonic);
	pthread_cond_init(&p->ack.wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	map_init(&p->collections);
	p->data_dir = opts->data_dir ? mem_strdup(opts->data_dir) : pipeline_default_data_dir(opts->lake);
	if (!p->data_dir && opts->read_only)
		p->data_dir = mem_strdup(NO_DATA_DIR);
	if (!p->data_dir)
		return err_set(reterr, RC_INVALID, "the lake %s is no folder, so --data DIR (or HYDRANT_DATA) is needed for the log",
			       opts->lake);
	if (strcmp(p->data_dir, NO_DATA_DIR) != 0)
		p->hot_dir = opts->read_only ? mem_printf("%s/hot-%016llx", p->data_dir, (unsigned long long)p->random) : mem_printf("%s/hot", p->data_dir);
	TRY(lakes_open_first(p, reterr));
	bool exists = file_stat(p->data_dir, NULL, NULL, NULL, NULL) == RC_OK;
	if (!opts->read_only)
		TRY(dir_make(p->data_dir, reterr));
	if (!opts->read_only || (exists && !opts->lake_only))
		TRY(take_lock(p, reterr));
	if (p->lock_fd >= 0)
		remove_left(p);
	TRY(pipeline_recover(p, reterr));
	*ret = p;
	p = NULL;
	return RC_OK;
}

void pipeline_let_go(struct pipeline *p)
{
	if (!p->opts.read_only || (p->wal && p->hot_fd < 0))
		return;
	wal_free(p->wal);
	p->wal = NULL;
	file_close(p->lock_fd);
	p->lock_fd = -1;
}

void pipeline_close(struct pipeline *p)
{
	if (!p)
		return;
	pipeline_stop(p);
	__atomic_store_n(&p->stopping, true, __ATOMIC_RELAXED);
	lakes_end(p);
	for (struct map_entry *e = NULL; (e = map_next(&p->collections, e));) {
		struct collection *c = (struct collection *)e->value;
		hot_clear(&c->hot[0]);
		hot_clear(&c->hot[1]);
		pthread_mutex_destroy(&c->lock);
		pthread_mutex_destroy(&c->commit);
		pthread_mutex_destroy(&c->state_lock);
		buf_free(&c->known[0].keys);
		buf_free(&c->known[1].keys);
		free(c->name);
		free(c);
	}
	map_free(&p->collections);
	wal_free(p->wal);
	if (p->hot_dir && (p->lock_fd >= 0 || p->hot_fd >= 0))
		dir_remove_tree(p->hot_dir, NULL);
	file_close(p->hot_fd);
	ack_free(p);
	loaded_free(p);
	lakes_free(p);
	file_close(p->lock_fd);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->build);
	pthread_cond_destroy(&p->wake);
	pthread_cond_destroy(&p->upkeep_wake);
	pthread_mutex_destroy(&p->look_lock);
	pthread_cond_destroy(&p->look_wake);
	pthread_cond_destroy(&p->opened);
	pthread_cond_destroy(&p->due_some);
	pthread_cond_destroy(&p->ack.wake);
	free(p->hot_dir);
	free(p->data_dir);
	free(p);
}

struct wal *pipeline_wal(struct pipeline *p)
{
	return p->wal;
}

const char *pipeline_data_dir(const struct pipeline *p)
{
	return p->data_dir;
}

char *pipeline_spill_dir(const struct pipeline *p)
{
	return mem_printf("%s/sql", p->data_dir);
}

void pipeline_backlog_limits(const struct pipeline *p, uint64_t *ret_soft, uint64_t *ret_share)
{
	uint64_t log = p->opts.log_bytes ? p->opts.log_bytes : LOG_BYTES;
	*ret_share = p->opts.collection_bytes ? p->opts.collection_bytes : log / 2;
	*ret_soft = p->opts.commit_bytes * 2 < *ret_share / 2 ? p->opts.commit_bytes * 2 : *ret_share / 2;
}

struct collection *collection_get(struct pipeline *p, const char *name)
{
	pthread_mutex_lock(&p->lock);
	bool fresh;
	uintptr_t *place = map_put(&p->collections, slice_str(name), &fresh);
	if (fresh) {
		struct collection *c = NEW(struct collection);
		c->name = mem_strdup(name);
		c->state.collection = c->name;
		pthread_mutex_init(&c->lock, NULL);
		pthread_mutex_init(&c->commit, NULL);
		pthread_mutex_init(&c->state_lock, NULL);
		*place = (uintptr_t)c;
	}
	struct collection *c = (struct collection *)*place;
	pthread_mutex_unlock(&p->lock);
	return c;
}

bool collection_exists(struct pipeline *p, const char *base, const char *name)
{
	struct wal_pending pending = { 0 };
	if (p->wal)
		wal_pending(p->wal, slice_str(base), &pending);
	if (pending.events)
		return true;
	AUTO(table) *t = NULL;
	struct store *store;
	if (pipeline_store_of(p, base, &store, NULL) != RC_OK)
		return true; /* nobody knows; whoever goes on meets the error */
	return table_open(store, name, &t, NULL) != RC_NOT_FOUND;
}

/* ---- names ---- */

struct names {
	struct pipeline *p;
	const struct place *place; /* being listed: what the rules put elsewhere is not of it */
	char **list;
	size_t count, cap;
};

static void names_add(struct names *n, const char *name)
{
	for (size_t i = 0; i < n->count; i++)
		if (!strcmp(n->list[i], name))
			return;
	if (n->count == n->cap) {
		n->cap = n->cap ? n->cap * 2 : 16;
		n->list = mem_realloc(n->list, n->cap * sizeof *n->list);
	}
	n->list[n->count++] = mem_strdup(name);
}

static rc_t names_table(void *ctx, const char *collection, struct err *reterr)
{
	struct names *n = ctx;
	(void)reterr;
	if (place_holds(n->p, n->place, collection))
		names_add(n, collection);
	return RC_OK;
}

static rc_t names_log(void *ctx, struct slice name, const struct wal_pending *pending)
{
	AUTO_MEM char *text = mem_printf("%.*s", SLICE_ARG(name));
	if (pending->events)
		names_add(ctx, text);
	return RC_OK;
}

static void names_add_rule(void *ctx, const char *collection)
{
	names_add(ctx, collection);
}

/* A place that cannot be read hides only what is in it, and says so once. */
static rc_t names_tables(struct pipeline *p, struct names *n, struct err *reterr)
{
	unsigned read = 0;
	rc_t rc = RC_OK;
	for (struct place *pl = NULL; (pl = place_next(p, pl));) {
		struct store *store;
		struct err err;
		n->place = pl;
		rc = rights_away(p, pl, &err);
		if (rc == RC_OK)
			rc = place_open(p, pl, &store, &err);
		if (rc == RC_OK)
			rc = table_list(store, names_table, n, &err);
		read += rc == RC_OK;
		rights_outcome(p, pl, rc, &err);
		if (rc == RC_OK)
			__atomic_store_n(&pl->warned, false, __ATOMIC_RELAXED);
		else if (!__atomic_exchange_n(&pl->warned, true, __ATOMIC_RELAXED) && p->places->next)
			log_warn("collections in %s cannot be listed now: %s", pl->url, err.text);
		if (rc != RC_OK && reterr)
			*reterr = err;
		if (rc != RC_OK)
			rules_names(p, pl, names_add_rule, n);
	}
	return read ? RC_OK : rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

rc_t pipeline_collections(struct pipeline *p, rc_t (*each)(void *ctx, const char *collection, struct err *reterr), void *ctx,
			  struct err *reterr)
{
	struct names n = { .p = p };
	rc_t rc = names_tables(p, &n, reterr);
	if (rc == RC_OK && p->wal)
		rc = wal_collections(p->wal, names_log, &n);
	if (n.count)
		qsort(n.list, n.count, sizeof *n.list, by_name);
	for (size_t i = 0; i < n.count; i++) {
		if (rc == RC_OK)
			rc = each(ctx, n.list[i], reterr);
		free(n.list[i]);
	}
	free(n.list);
	return rc;
}

static rc_t name_pending(void *ctx, struct slice name, const struct wal_pending *pending)
{
	AUTO_MEM char *text = mem_printf("%.*s", SLICE_ARG(name));
	if (pending->events)
		collection_get(ctx, text);
	return RC_OK;
}

rc_t pipeline_states(struct pipeline *p, rc_t (*each)(void *ctx, const struct pipeline_state *s), void *ctx)
{
	wal_collections(p->wal, name_pending, p); /* so that each has an entry */
	pthread_mutex_lock(&p->lock);
	size_t n = 0;
	struct collection **list = mem_zalloc(p->collections.count, sizeof *list);
	for (struct map_entry *e = NULL; (e = map_next(&p->collections, e));)
		list[n++] = (struct collection *)e->value;
	pthread_mutex_unlock(&p->lock);
	rc_t rc = RC_OK;
	for (size_t i = 0; i < n && rc == RC_OK; i++) {
		pthread_mutex_lock(&list[i]->state_lock);
		struct pipeline_state s = list[i]->state;
		char error[sizeof list[i]->error];
		memcpy(error, list[i]->error, sizeof error);
		pthread_mutex_unlock(&list[i]->state_lock);
		s.error = error[0] ? error : NULL;
		struct wal_pending pending;
		wal_pending(p->wal, slice_str(s.collection), &pending);
		s.waiting_events = pending.events;
		s.waiting_bytes = pending.bytes;
		s.aside_bytes = pending.aside;
		s.oldest = pending.oldest;
		rc = each(ctx, &s);
	}
	free(list);
	return rc;
}

enum drop { DROP_CHECK, DROP_KEEP, DROP_PURGE };

static rc_t drop_table(struct pipeline *p, const char *name, enum drop what, bool *any, struct err *reterr)
{
	struct store *store;
	TRY(pipeline_store_of(p, name, &store, reterr));
	rc_t rc = what == DROP_CHECK ? table_drop_check(store, name, reterr) : table_drop(store, name, what == DROP_PURGE, reterr);
	if (rc == RC_NOT_FOUND)
		return RC_OK;
	*any = true;
	return rc;
}

/* It is as if it had never failed. */
static void forget_failures(struct collection *c)
{
	pthread_mutex_lock(&c->state_lock);
	c->failures_in_row = 0;
	c->retry_at = 0;
	c->error[0] = 0;
	pthread_mutex_unlock(&c->state_lock);
}

rc_t pipeline_drop(struct pipeline *p, const char *collection, bool purge, struct err *reterr)
{
	AUTO_MEM char *quarantine = mem_printf("%s%s", collection, QUARANTINE_SUFFIX);
	if (!purge && !collection_exists(p, collection, collection) && !collection_exists(p, collection, quarantine) && !declared_is(p, collection))
		return err_set(reterr, RC_NOT_FOUND, "there is no collection '%s'; `hydrant collections` lists those there are", collection);
	struct collection *c = collection_get(p, collection);
	pthread_mutex_lock(&c->commit);
	pthread_mutex_lock(&c->lock);
	struct wal_pending pending;
	wal_pending(p->wal, slice_str(collection), &pending);
	bool any = false;
	/* If tables cannot be dropped, what waits must not go. */
	rc_t rc = drop_table(p, quarantine, DROP_CHECK, &any, reterr);
	if (rc == RC_OK)
		rc = drop_table(p, collection, DROP_CHECK, &any, reterr);
	/* Also when nothing waits: the log's word that they are committed may not be durable yet, and without a table they would come back. And
	 * the ids and keys of the window would have what is sent again taken for kept. */
	any |= pending.events > 0;
	if (rc == RC_OK) {
		rc = wal_drop(p->wal, slice_str(collection), reterr);
		hot_clear(&c->hot[0]);
		hot_clear(&c->hot[1]);
	}
	if (rc == RC_OK)
		rc = drop_table(p, quarantine, purge ? DROP_PURGE : DROP_KEEP, &any, reterr);
	if (rc == RC_OK)
		rc = drop_table(p, collection, purge ? DROP_PURGE : DROP_KEEP, &any, reterr);
	bool declared = false;
	if (rc == RC_OK)
		rc = declared_drop(p, collection, &declared, reterr);
	if (rc == RC_OK && !any && !declared)
		rc = err_set(reterr, RC_NOT_FOUND, "there is no collection '%s'; `hydrant collections` lists those there are", collection);
	if (rc == RC_OK)
		forget_failures(c);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->commit);
	return rc;
}
