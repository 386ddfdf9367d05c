/* Steps 2 to 4 of the hydrate loop (hydrate.c), for any source: build, new columns, files, one table commit with the position. */
#include <stdio.h>

#include "base/fault.h"
#include "base/log.h"
#include "pipeline/pipeline_internal.h"

#define TRIES 5 /* on columns that clash with another writer's */
#define KNOWN_KEYS_MAX ((size_t)16 << 10)

static char *position_key(const char *log)
{
	return mem_printf("%s%s", TABLE_POSITION_PREFIX, log);
}

uint64_t table_log_position(struct table *t, const char *log, const char **ret_value)
{
	AUTO_MEM char *key = position_key(log);
	const char *value = t ? table_property(t, key) : NULL;
	if (ret_value)
		*ret_value = value;
	const char *colon = value ? strchr(value, ':') : NULL;
	return colon ? strtoull(colon + 1, NULL, 10) : 0;
}

rc_t table_open_if_any(struct store *store, const char *collection, struct table **ret, struct err *reterr)
{
	rc_t rc = table_open(store, collection, ret, reterr);
	if (rc != RC_NOT_FOUND)
		return rc;
	*ret = NULL;
	return RC_OK;
}

/* ---- what is known of the table's folder ---- */

static void known_clear(struct known *k)
{
	buf_free(&k->keys);
	*k = (struct known){ 0 };
}

/* For one commit at a time: whoever comes meanwhile (a file beside the log) knows nothing. After a failure nothing is known, either. */
static struct known known_take(struct commit *c, bool quarantine, struct table *t)
{
	struct collection *of = collection_get(c->p, c->collection);
	pthread_mutex_lock(&of->state_lock);
	struct known k = of->known[quarantine];
	of->known[quarantine] = (struct known){ 0 };
	pthread_mutex_unlock(&of->state_lock);
	if (!t || strcmp(k.uuid, table_uuid(t)) != 0)
		known_clear(&k); /* dropped, and perhaps made again */
	else
		table_know_ddl(t, k.ddl);
	return k;
}

static void known_put(struct commit *c, bool quarantine, const struct table *t, const struct builder *b)
{
	struct known k = { .ddl = table_ddl_hash(t) };
	snprintf(k.uuid, sizeof k.uuid, "%s", table_uuid(t));
	buf_init(&k.keys, KNOWN_KEYS_MAX);
	builder_keys(b, &k.keys);
	if (k.keys.overflow)
		buf_free(&k.keys);
	struct collection *of = collection_get(c->p, c->collection);
	pthread_mutex_lock(&of->state_lock);
	struct known old = of->known[quarantine];
	of->known[quarantine] = k;
	pthread_mutex_unlock(&of->state_lock);
	known_clear(&old);
}

/* ---- the commit ---- */

/* Is a table really absent, or its lake? A folder that was a lake when it was opened, and has no file of its own any more, is an empty mount point, and what
 * is committed there is gone when the disk is back. (A bucket that was made anew is opened anew.) */
static rc_t check_folder(const struct commit *c, struct err *reterr)
{
	AUTO_MEM char *path = store_local_path(c->store, LAKE_FILE);
	rc_t rc = path ? store_size(c->store, LAKE_FILE, NULL, NULL, reterr) : RC_OK;
	if (rc != RC_NOT_FOUND)
		return rc;
	return err_set(reterr, RC_IO, "%s was there, and is gone: is the lake's disk mounted? If the lake is to begin anew, restart", path);
}

/* Makes the table if there is none, stores the builder's files, and commits them with the position moved from `before`. */
static rc_t append_built(struct commit *c, struct builder *b, const char *name, struct table **t, const char *before, struct err *reterr)
{
	struct store *store = c->store;
	if (!*t) {
		TRY(check_folder(c, reterr));
		rc_t rc = table_create(store, name, builder_schema(b), NULL, 0, t, reterr);
		if (rc == RC_CONFLICT) /* another writer made it just now */
			rc = table_open(store, name, t, reterr);
		c->no_room |= rc == RC_LIMIT;
		TRY(rc);
	}
	const struct data_file *files;
	size_t n;
	rc_t rc = builder_publish(b, *t, &files, &n, reterr);
	c->no_room |= rc == RC_LIMIT;
	TRY(rc);
	fault_point("hydrate.stored");
	char events[24], hash[33];
	snprintf(events, sizeof events, "%llu", (unsigned long long)builder_events(b));
	hash128_hex(builder_hash(b), hash);
	AUTO_MEM char *key = position_key(c->log);
	struct table_property update = { key, c->value }, expect = { key, before };
	struct table_property summary[] = { { "hydrant.events", events }, { "hydrant.hash", hash } };
	struct table_commit commit = {
		.files = files,
		.file_count = n,
		.updates = &update,
		.update_count = 1,
		.expect = &expect,
		.expect_count = 1,
		.summary = summary,
		.summary_count = 2,
	};
	TRY(table_append(*t, &commit, reterr));
	fault_point("hydrate.committed");
	c->events += builder_events(b);
	for (size_t i = 0; i < n; i++)
		c->bytes += (uint64_t)files[i].file_size;
	c->files += n;
	return RC_OK;
}

/* A commit that fails again and again (a store that takes files and no commits) shall put the same file again, not one more each time: all that
 * decides its bytes is in the seed. Not for a loaded file, which may change, and not over a restart, which may be another program. */
static uint64_t key_seed(const struct commit *c, const char *name, struct table *t, uint64_t after)
{
	if (c->measured)
		return 0;
	AUTO_MEM char *text = mem_printf("%016llx %s %s %llu %llu %s %d %d %d %s", (unsigned long long)c->p->random, c->log, name, (unsigned long long)after,
					 (unsigned long long)c->upto, t ? table_uuid(t) : "", t ? table_schema(t)->schema_id : -1,
					 t ? table_schema(t)->last_id : -1, c->narrow, c->settings.time_field ? c->settings.time_field : "");
	return hash64(slice_str(text));
}

static rc_t new_builder(struct commit *c, const char *name, bool quarantine, struct table *t, uint64_t after, struct builder **ret,
			struct err *reterr)
{
	struct known k = known_take(c, quarantine, t);
	const struct pipeline_options *po = &c->p->opts;
	struct build_options bo = {
		.store = c->store,
		.collection = name,
		.source = c->log,
		.time_field = c->settings.time_field,
		.codec = po->codec,
		.codec_level = po->codec_level,
		.file_bytes = c->settings.file_bytes,
		.memory_bytes = po->memory_bytes,
		.quarantine = quarantine,
		.after = after,
		.key_seed = key_seed(c, name, t, after),
		.narrow = c->narrow,
		.keys = buf_slice(&k.keys),
	};
	rc_t rc = builder_new(&bo, t ? table_schema(t) : NULL, ret, reterr);
	known_clear(&k);
	return rc;
}

/* A cut's files are named after where it starts (behind which position). */
static void stem_of(const struct commit *c, uint64_t after, char out[96])
{
	snprintf(out, 96, "%s-%012llx", c->log, (unsigned long long)after);
}

static rc_t build(struct commit *c, struct builder *b, const char *stem, struct err *reterr)
{
	pthread_mutex_lock(&c->p->build);
	rc_t rc = builder_run(b, &c->source, stem, reterr);
	pthread_mutex_unlock(&c->p->build);
	return rc;
}

static void note_seen(struct commit *c, bool quarantine)
{
	if (!c->guarded)
		return;
	free(c->seen[quarantine]);
	c->seen[quarantine] = c->value ? mem_strdup(c->value) : NULL;
}

/* A position that somebody else moved says what is there of their file: whether it is this one, nobody has looked. */
static rc_t check_seen(struct commit *c, bool quarantine, const char *now, struct err *reterr)
{
	const char *seen = c->seen[quarantine];
	if (!c->guarded || (now && seen ? !strcmp(now, seen) : now == seen))
		return RC_OK;
	if (now && c->value && !strcmp(now, c->value)) { /* ours, of an unknown outcome */
		note_seen(c, quarantine);
		return RC_OK;
	}
	c->moved = true;
	return err_set(reterr, RC_CONFLICT, "%s: another process has just loaded the file, or a part of it; run this again when it is done", c->collection);
}

static rc_t quarantine_once(struct commit *c, const char *name, struct err *reterr)
{
	const char *before;
	AUTO(table) *t = NULL;
	TRY(table_open_if_any(c->store, name, &t, reterr));
	uint64_t position = table_log_position(t, c->log, &before);
	TRY(check_seen(c, true, before, reterr));
	if (position >= c->upto)
		return table_confirm(t, reterr); /* committed before a crash or an unknown outcome */
	uint64_t after = position > c->after ? position : c->after;
	AUTO(builder) *b = NULL;
	TRY(new_builder(c, name, true, t, after, &b, reterr));
	char stem[96];
	stem_of(c, after, stem);
	TRY(build(c, b, stem, reterr));
	if (!builder_events(b))
		return RC_OK;
	AUTO_MEM char *was = before ? mem_strdup(before) : NULL;
	TRY(append_built(c, b, name, &t, was, reterr));
	note_seen(c, true);
	known_put(c, true, t, b);
	c->quarantined += builder_events(b);
	return RC_OK;
}

static rc_t commit_once(struct commit *c, const char *name, struct err *reterr)
{
	const char *before;
	AUTO(table) *t = NULL;
	TRY(table_open_if_any(c->store, name, &t, reterr));
	uint64_t position = table_log_position(t, c->log, &before);
	TRY(check_seen(c, false, before, reterr));
	if (c->upto && position >= c->upto)
		return table_confirm(t, reterr); /* and so are the quarantined events: they go first */
	uint64_t after = position > c->after ? position : c->after;
	AUTO(builder) *b = NULL;
	TRY(new_builder(c, name, false, t, after, &b, reterr));
	char stem[96];
	stem_of(c, after, stem);
	TRY(build(c, b, stem, reterr));
	fault_point("hydrate.built");
	if (c->measured)
		TRY(c->measured(c, reterr));
	if (c->upto <= c->after)
		return RC_OK; /* the source has nothing new */
	if (builder_left_out(b) && !c->quarantine_done) {
		AUTO_MEM char *quarantine = mem_printf("%s%s", name, QUARANTINE_SUFFIX);
		rc_t rc = RC_CONFLICT;
		for (int i = 0; i < TRIES && !c->moved && (rc == RC_CONFLICT || rc == RC_AGAIN); i++)
			rc = quarantine_once(c, quarantine, reterr);
		TRY(rc);
		c->quarantine_done = true; /* a retry cannot see it by the position if that is removed (value NULL) */
	}
	if (!builder_events(b) && !t)
		return RC_OK; /* no table is made for nothing */
	AUTO_MEM char *was = before ? mem_strdup(before) : NULL;
	TRY(append_built(c, b, name, &t, was, reterr));
	note_seen(c, false);
	known_put(c, false, t, b);
	c->raw_rows += builder_stats(b)->raw_rows;
	c->mismatches += builder_stats(b)->mismatches;
	return RC_OK;
}

static rc_t commit_tries(struct commit *c, const char *collection, struct err *reterr)
{
	rc_t rc = RC_CONFLICT;
	for (int i = 0; i < TRIES && !c->moved && (rc == RC_CONFLICT || rc == RC_AGAIN); i++)
		rc = commit_once(c, collection, reterr);
	return rc;
}

rc_t commit_cut(struct commit *c, const char *collection, struct err *reterr)
{
	c->collection = collection;
	TRY(pipeline_store_of(c->p, collection, &c->store, reterr));
	collection_settings_get(c->p, collection, &c->settings);
	struct err err = { 0 };
	rc_t rc = commit_tries(c, collection, &err);
	if (rc == RC_LIMIT && c->no_room && !c->narrow) {
		log_warn("%s: new fields of its events go into __rest, without columns of their own: %s", collection, err.text);
		c->narrow = true;
		rc = commit_tries(c, collection, &err);
	}
	if (rc != RC_OK && reterr)
		*reterr = err;
	collection_settings_clear(&c->settings);
	return rc == RC_EOF ? err_set(reterr, RC_IO, "the commit of %s met a file that ends too soon", collection) : rc; /* callers: no more to commit */
}
