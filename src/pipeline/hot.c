/* Hot events are one more Parquet file: what a table does not hold yet is shredded from the log, when somebody looks, into files like any
 * other, so that scan, search, SQL and replay never see the log. Each look only adds a chunk for what came in since the last one.
 *
 * A view pairs a snapshot with exactly the events behind its position. The collection's lock is held while it is put together, and while the
 * log is told that a commit is done: so the log still has everything behind the position that the view reads, whatever the table does meanwhile.
 */
#include <stdio.h>

#include "json/notes.h"
#include "os/file.h"
#include "parquet/writer.h"
#include "pipeline/pipeline_internal.h"

#define CHUNKS_MAX 24                       /* more are made into one */
#define GROUP_BYTES ((size_t)24 << 20)      /* row groups of hot files: small, memory is shared with ingest */

void hot_unref(struct hot_chunk *chunk)
{
	if (__atomic_sub_fetch(&chunk->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (chunk->path)
		file_remove(chunk->path, NULL);
	free(chunk->path);
	free(chunk);
}

static void hot_drop_chunks(struct hot *h)
{
	for (size_t i = 0; i < h->count; i++)
		hot_unref(h->chunks[i]);
	h->count = 0;
}

void hot_clear(struct hot *h)
{
	hot_drop_chunks(h);
	free(h->chunks);
	shredder_free(h->shredder);
	*h = (struct hot){ 0 };
}

/* ---- one chunk ---- */

struct chunk_build {
	struct pipeline *p;
	struct hot *h;
	struct hot_chunk *chunk;
	struct batch batch;
	int fd;
	uint64_t offset;
	struct parquet_writer *writer;
	bool quarantine;
};

static rc_t chunk_write(void *ctx, const void *data, size_t len, struct err *reterr)
{
	struct chunk_build *k = ctx;
	TRY(file_pwrite(k->fd, k->chunk->path, data, len, k->offset, reterr));
	k->offset += len;
	return RC_OK;
}

static struct batch *chunk_route(void *ctx, size_t i, int64_t time_us)
{
	struct chunk_build *k = ctx;
	(void)i, (void)time_us;
	return &k->batch;
}

static rc_t chunk_seal(struct chunk_build *k, struct err *reterr)
{
	if (!k->batch.rows)
		return RC_OK;
	batch_seal(&k->batch);
	TRY(parquet_writer_row_group(k->writer, &k->batch, reterr));
	batch_reset(&k->batch);
	return RC_OK;
}

static rc_t chunk_events(struct chunk_build *k, struct wal_source *source, struct err *reterr)
{
	struct event *picked = NULL;
	TRY(wal_source_rewind(source, reterr));
	rc_t rc;
	for (;;) {
		const struct event *events;
		size_t n, count = 0;
		rc = wal_source_next(source, &events, &n, reterr);
		if (rc != RC_OK)
			break;
		picked = mem_realloc(picked, n * sizeof *picked);
		for (size_t i = 0; i < n; i++)
			if ((events[i].reason.len > 0) == k->quarantine)
				picked[count++] = events[i];
		if (!count)
			continue;
		rc = shredder_run(k->h->shredder, picked, count, chunk_route, k, reterr);
		k->chunk->events += count;
		if (rc == RC_OK && batch_bytes(&k->batch) >= GROUP_BYTES)
			rc = chunk_seal(k, reterr);
		if (rc != RC_OK)
			break;
	}
	free(picked);
	return rc == RC_EOF ? RC_OK : rc;
}

static rc_t chunk_finish(struct chunk_build *k, struct err *reterr)
{
	TRY(chunk_seal(k, reterr));
	AUTO_BUF struct buf notes;
	buf_init(&notes, BUF_MAX_DEFAULT);
	const struct schema *schema = shredder_schema(k->h->shredder);
	schema_notes_encode(schema, &notes);
	parquet_writer_metadata(k->writer, SCHEMA_NOTES_KEY, buf_slice(&notes));
	buf_reset(&notes);
	shredder_keys(k->h->shredder, &notes);
	parquet_writer_metadata(k->writer, SHAPE_KEYS_KEY, buf_slice(&notes));
	return parquet_writer_finish(k->writer, schema, NULL, reterr);
}

static rc_t chunk_build(struct pipeline *p, struct hot *h, struct wal_source *source, const char *name, bool quarantine,
			struct hot_chunk *chunk, struct err *reterr)
{
	static unsigned serial;
	chunk->path = mem_printf("%s/%s-%llu-%u.parquet", p->hot_dir, name, (unsigned long long)chunk->upto,
				 __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED));
	struct chunk_build k = { .p = p, .h = h, .chunk = chunk, .quarantine = quarantine, .fd = -1 };
	rc_t rc = file_open(chunk->path, FILE_CREATE, &k.fd, reterr);
	if (rc != RC_OK)
		return rc;
	struct parquet_sink sink = { &k, chunk_write };
	struct parquet_writer_options wo;
	parquet_writer_options_default(&wo);
	batch_init(&k.batch, shredder_schema(h->shredder));
	rc = parquet_writer_new(&sink, &wo, &k.writer, reterr);
	if (rc == RC_OK)
		rc = chunk_events(&k, source, reterr);
	if (rc == RC_OK && chunk->events)
		rc = chunk_finish(&k, reterr);
	parquet_writer_free(k.writer);
	batch_free(&k.batch);
	file_close(k.fd);
	if (rc == RC_OK && !chunk->events) {
		file_remove(chunk->path, NULL);
		free(chunk->path);
		chunk->path = NULL;
	}
	return rc;
}

/* ---- views ---- */

/* Chunks for exactly the events behind `position`. */
static rc_t hot_update(struct pipeline *p, struct collection *c, const char *name, bool quarantine, struct table *t, uint64_t position,
		       struct err *reterr)
{
	struct hot *h = &c->hot[quarantine];
	int32_t schema_id = t ? table_schema(t)->schema_id : -1;
	struct wal_pending pending;
	wal_pending(p->wal, slice_str(c->name), &pending);
	if (pending.committed > position)
		position = pending.committed; /* dropped; or a quarantine, which gets no new position from cuts without such events */
	const char *uuid = t ? table_uuid(t) : "";
	if (h->shredder && (h->schema_id != schema_id || strcmp(h->uuid, uuid) != 0)) /* evolved; or dropped, perhaps by another node, and made anew */
		hot_clear(h);
	size_t gone = 0;
	while (gone < h->count && h->chunks[gone]->upto <= position)
		hot_unref(h->chunks[gone++]);
	if (gone) {
		h->count -= gone;
		memmove(h->chunks, h->chunks + gone, h->count * sizeof *h->chunks);
	}
	if (h->count && (h->chunks[0]->after < position || h->count >= CHUNKS_MAX))
		hot_drop_chunks(h);
	/* What the log calls committed or dropped may still be in it; and a quarantine table lags behind when nothing comes for it. */
	uint64_t after = pending.first && pending.first - 1 > position ? pending.first - 1 : position;
	if (h->count)
		after = h->chunks[h->count - 1]->upto;
	if (!pending.events || pending.last <= after)
		return RC_OK;
	if (!h->shredder) {
		struct collection_settings settings;
		collection_settings_get(p, c->name, &settings);
		struct shred_options so = { .lake = true, .key_space = 1, .time_field = settings.time_field, .source = slice_str(wal_id(p->wal)) };
		rc_t rc = shredder_new(&so, t ? table_schema(t) : NULL, &h->shredder, reterr);
		collection_settings_clear(&settings);
		TRY(rc);
		h->schema_id = schema_id;
		snprintf(h->uuid, sizeof h->uuid, "%s", uuid);
	}
	if (h->count == h->cap) {
		h->cap = h->cap ? h->cap * 2 : 8;
		h->chunks = mem_realloc(h->chunks, h->cap * sizeof *h->chunks);
	}
	struct hot_chunk *chunk = NEW(struct hot_chunk);
	*chunk = (struct hot_chunk){ .after = after, .upto = pending.last, .refs = 1 };
	struct wal_source source;
	wal_source_init(&source, p->wal, c->name, after, pending.last);
	rc_t rc = chunk_build(p, h, &source, name, quarantine, chunk, reterr);
	wal_source_free(&source);
	if (rc != RC_OK) {
		hot_unref(chunk);
		return rc;
	}
	h->chunks[h->count++] = chunk;
	return RC_OK;
}

static void view_take_hot(struct view *v, struct hot *h)
{
	v->hot = mem_zalloc(h->count, sizeof *v->hot);
	v->refs = mem_zalloc(h->count, sizeof *v->refs);
	for (size_t i = 0; i < h->count; i++) {
		struct hot_chunk *chunk = h->chunks[i];
		if (!chunk->path)
			continue;
		__atomic_add_fetch(&chunk->refs, 1, __ATOMIC_RELAXED);
		v->refs[v->hot_count] = chunk;
		v->hot[v->hot_count++] = chunk->path;
		v->hot_events += chunk->events;
	}
}

static rc_t view_fill(struct pipeline *p, struct collection *c, const char *name, bool quarantine, struct view *v, struct err *reterr)
{
	TRY(pipeline_store_of(p, name, &v->store, reterr));
	TRY(table_open_if_any(v->store, name, &v->table, reterr));
	if (p->wal) {
		uint64_t position = table_log_position(v->table, wal_id(p->wal), NULL);
		TRY(hot_update(p, c, name, quarantine, v->table, position, reterr));
		view_take_hot(v, &c->hot[quarantine]);
	}
	if (v->hot_count)
		v->schema = v->owned = schema_copy(shredder_schema(c->hot[quarantine].shredder));
	else if (v->table)
		v->schema = table_schema(v->table);
	else
		return err_set(reterr, RC_NOT_FOUND, "there is no collection '%s'; `hydrant collections` lists those there are", name);
	return RC_OK;
}

rc_t view_open(struct pipeline *p, const char *collection, struct view **ret, struct err *reterr)
{
	struct slice name = slice_str(collection);
	if (!collection_name_valid(name))
		return err_set(reterr, RC_INVALID, "'%s' is no collection name: [a-z][a-z0-9_]{0,62} without '__'", collection);
	size_t suffix = sizeof QUARANTINE_SUFFIX - 1;
	bool quarantine = name.len > suffix && !strcmp(collection + name.len - suffix, QUARANTINE_SUFFIX);
	AUTO_MEM char *base = mem_printf("%.*s", (int)(name.len - (quarantine ? suffix : 0)), collection);
	if (!collection_exists(p, base, collection))
		return err_set(reterr, RC_NOT_FOUND, "there is no collection '%s'; `hydrant collections` lists those there are", collection);
	struct collection *c = collection_get(p, base);
	struct view *v = NEW(struct view);
	pthread_mutex_lock(&c->lock);
	struct err err = { 0 };
	rc_t rc = view_fill(p, c, collection, quarantine, v, &err);
	pthread_mutex_unlock(&c->lock);
	rights_outcome(p, place_with(p, collection), rc, &err);
	if (rc != RC_OK) {
		if (reterr)
			*reterr = err;
		view_close(v);
		return rc;
	}
	*ret = v;
	return RC_OK;
}

void view_close(struct view *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->hot_count; i++)
		hot_unref(v->refs[i]);
	free(v->refs);
	free(v->hot);
	table_free(v->table);
	schema_free(v->owned);
	free(v);
}
