/* For the tests of this room: a table in memory, that stores events and compares what comes back. */
#ifndef SHRED_TEST_TABLE_H
#define SHRED_TEST_TABLE_H

#include "base/test.h"

#include "shred/shred.h"
#include "json/json.h"
#include "json/notes.h"
#include "json/render.h"
#include "json/scan.h"
#include "json/shape.h"

/* ---- a table in memory ---- */

#define DAY_US ((int64_t)86400 * 1000000)
#define NOW_US ((int64_t)1795341600 * 1000000) /* 2026-11-22T10:00:00Z */

struct table {
	struct shredder *s;
	struct batch batch;
	struct event *events;
	size_t count, cap;
	struct buf text;   /* payloads, one after the other */
	int64_t times[64]; /* of the first rows */
};

static inline void table_open_with(struct table *t, struct shred_options opt, const struct schema *start)
{
	struct err err;
	*t = (struct table){ 0 };
	buf_init(&t->text, BUF_MAX_DEFAULT);
	if (shredder_new(&opt, start, &t->s, &err) != RC_OK)
		abort();
	batch_init(&t->batch, shredder_schema(t->s));
}

static inline void table_open(struct table *t)
{
	table_open_with(t, (struct shred_options){ .key_space = 7, .verify_all = true }, NULL);
}

static inline void table_close(struct table *t)
{
	batch_free(&t->batch);
	shredder_free(t->s);
	free(t->events);
	buf_free(&t->text);
}

static inline struct batch *to_batch(void *ctx, size_t i, int64_t time_us)
{
	struct table *t = ctx;
	if (t->batch.rows < 64)
		t->times[t->batch.rows] = time_us;
	return &t->batch;
}

/* Events keep their payloads in one buffer that may move: offsets until the run. */
static inline void add_event(struct table *t, enum payload_kind kind, struct slice payload)
{
	if (t->count == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->events = mem_realloc(t->events, t->cap * sizeof *t->events);
	}
	size_t at = t->text.len;
	buf_append_slice(&t->text, payload);
	t->events[t->count++] = (struct event){
		.payload = { (const uint8_t *)(uintptr_t)at, payload.len }, .kind = kind, .received = NOW_US, .pos = t->count
	};
}

static inline void add(struct table *t, const char *json)
{
	add_event(t, PAYLOAD_JSON, slice_str(json));
}

/* Exactly sized copies, so that the sanitizer sees a byte read too far. */
static inline void run(struct table *t, size_t from)
{
	struct err err;
	size_t n = t->count - from;
	struct event *events = mem_zalloc(n + 1, sizeof *events);
	for (size_t i = 0; i < n; i++) {
		struct event *e = &t->events[from + i];
		uint8_t *copy = mem_alloc(e->payload.len + 1);
		memcpy(copy + 1, t->text.data + (uintptr_t)e->payload.data, e->payload.len);
		events[i] = *e;
		events[i].payload.data = copy + 1;
	}
	if (shredder_run(t->s, events, n, to_batch, t, &err) != RC_OK)
		abort();
	for (size_t i = 0; i < n; i++)
		free((void *)(events[i].payload.data - 1));
	free(events);
}

static inline struct slice payload_at(const struct table *t, size_t i)
{
	return slice_of(t->text.data + (uintptr_t)t->events[i].payload.data, t->events[i].payload.len);
}

/* Renders a row into a buffer that has just enough room, and into one that lacks a byte. */
static inline bool row_right(struct table *t, struct renderer *r, uint32_t row, bool tell)
{
	struct err err = { 0 };
	struct slice want = payload_at(t, row);
	AUTO_BUF struct buf out, tight;
	buf_init(&out, want.len);
	buf_init(&tight, want.len ? want.len - 1 : 0);
	rc_t rc = renderer_row(r, row, &out, &err);
	if (rc == RC_OK && slice_eq(buf_slice(&out), want))
		return want.len == 0 || renderer_row(r, row, &tight, NULL) == RC_LIMIT;
	if (tell)
		fprintf(stderr, "  row %u: %s %s\n    want %.200s\n    got  %.*s\n", row, rc_name(rc), rc ? err.text : "", (const char *)want.data,
			(int)(out.len < 200 ? out.len : 200), (const char *)out.data);
	return false;
}

/* Renders all rows with a renderer that knows only stored bytes (key table, notes); returns the rows that differ. */
static inline size_t rows_wrong(struct table *t)
{
	struct err err;
	AUTO_BUF struct buf keys, notes;
	buf_init(&keys, BUF_MAX_DEFAULT);
	buf_init(&notes, BUF_MAX_DEFAULT);
	size_t wrong = 0;
	schema_assign_ids(shredder_schema_mutable(t->s));
	shredder_keys(t->s, &keys);
	schema_notes_encode(shredder_schema(t->s), &notes);
	AUTO(schema) *schema = schema_copy(shredder_schema(t->s));
	if (schema_notes_decode(buf_slice(&notes), schema, &err) != RC_OK) {
		fprintf(stderr, "  notes: %s\n", err.text);
		return SIZE_MAX;
	}
	batch_seal(&t->batch);
	for (int simd = 0; simd < 2; simd++) {
		json_scan_use_simd(simd);
		AUTO(renderer) *r = renderer_new(shredder_schema(t->s));
		if (renderer_add_keys(r, buf_slice(&keys), &err) != RC_OK) {
			fprintf(stderr, "  keys: %s\n", err.text);
			return SIZE_MAX;
		}
		/* A shape that is new is rendered in another way than one that was seen before. */
		for (int again = 0; again < 3; again++) {
			renderer_begin(r, &t->batch);
			for (uint32_t i = 0; i < t->batch.rows; i++)
				wrong += !row_right(t, r, i, wrong < 5);
		}
	}
	return wrong;
}

static inline const struct field *field_at(const struct table *t, const char *path)
{
	const struct field *f = shredder_schema(t->s)->root;
	while (f && *path) {
		size_t n = strcspn(path, ".");
		f = field_child(f, slice_of(path, n));
		path += n + (path[n] == '.');
	}
	return f;
}

static inline bool type_is(const struct table *t, const char *path, const char *want)
{
	const struct field *f = field_at(t, path);
	char name[32] = "none";
	if (f)
		type_name(f, name);
	if (strcmp(name, want) != 0)
		fprintf(stderr, "  %s is %s, want %s\n", path, name, want);
	return strcmp(name, want) == 0;
}

#define CHECK_ALL_RESTORED(t)                                       \
	do {                                                        \
		CHECK_INT(rows_wrong(t), 0);                        \
		CHECK_INT(shredder_stats((t)->s).mismatches, 0);    \
		CHECK_INT(shredder_stats((t)->s).rows, (t)->count); \
	} while (0)

#endif
