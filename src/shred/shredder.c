/* The shredder: its life, its own columns, and the loop over events. */
#include "shred/shred.h"

#include <stdio.h>

#include "base/hash.h"
#include "shred/fast_internal.h"
#include "json/scan.h"
#include "json/time.h"

#define ROW_TEXT_MAX ((size_t)1 << 31)
#define PAUSE_MAX 64u
#define PAUSE_FROM 8u

/* ---- hydrant's own columns ---- */

static rc_t own_column(struct shredder *s, enum role role, const char *name, enum type type, struct field **ret,
		       struct err *reterr)
{
	struct field *f = schema_by_role(s->schema, role);
	if (!f) {
		f = schema_add(s->schema, NULL, slice_str(name), type);
		f->role = (uint8_t)role;
		if (type == TYPE_MAP) {
			schema_add(s->schema, f, SLICE_LIT("key"), TYPE_STRING)->required = true;
			schema_add(s->schema, f, SLICE_LIT("value"), TYPE_STRING);
		}
	}
	if (f->type != type)
		return err_set(reterr, RC_INVALID,
			       "column %s has a type that hydrant does not write: was the table changed by another program?",
			       name);
	*ret = f;
	return RC_OK;
}

static rc_t own_columns(struct shredder *s, struct err *reterr)
{
	struct machinery *m = &s->own;
	if (s->opt.lake) {
		TRY(own_column(s, ROLE_TIME, "__time", TYPE_TIMESTAMPTZ, &m->time, reterr));
		m->time->required = true;
		TRY(own_column(s, ROLE_RECEIVED, "__received", TYPE_TIMESTAMPTZ, &m->received, reterr));
		TRY(own_column(s, ROLE_SOURCE, "__source", TYPE_STRING, &m->source, reterr));
		TRY(own_column(s, ROLE_POS, "__pos", TYPE_INT64, &m->pos, reterr));
		TRY(own_column(s, ROLE_ID, "__id", TYPE_STRING, &m->id, reterr));
		TRY(own_column(s, ROLE_KEY, "__key", TYPE_STRING, &m->key, reterr));
		TRY(own_column(s, ROLE_META, "__meta", TYPE_MAP, &m->meta, reterr));
	}
	TRY(own_column(s, ROLE_SHAPE, "__shape", TYPE_BINARY, &m->shape, reterr));
	TRY(own_column(s, ROLE_RAW, "__raw", TYPE_BINARY, &m->raw, reterr));
	TRY(own_column(s, ROLE_REST, "__rest", TYPE_MAP, &m->rest, reterr));
	m->text = schema_by_role(s->schema, ROLE_TEXT);
	return RC_OK;
}

/* `text` and `reason` exist once a row has them. */
static struct field *late_column(struct shredder *s, const char *name, enum role role)
{
	char unique[64];
	snprintf(unique, sizeof unique, "%s", name);
	for (int i = 2; field_child(s->schema->root, slice_str(unique)); i++)
		snprintf(unique, sizeof unique, "%s_%d", name, i);
	struct field *f = schema_add(s->schema, NULL, slice_str(unique), TYPE_STRING);
	f->role = (uint8_t)role;
	if (role == ROLE_PAYLOAD)
		f->key = slice_str(arena_strdup(&s->schema->arena, name));
	shred_bind(s);
	return f;
}

static void need_reason(struct shredder *s)
{
	struct field *f = s->own.reason ? NULL : field_child(s->schema->root, SLICE_LIT("reason"));
	if (f && f->type == TYPE_STRING)
		s->own.reason = f;
	if (!s->own.reason)
		s->own.reason = late_column(s, "reason", ROLE_PAYLOAD);
}

/* ---- life ---- */

static void row_init(struct row *r)
{
	buf_init(&r->shape, SHRED_SHAPE_MAX);
	buf_reserve(&r->shape, 4096);
	buf_init(&r->text, ROW_TEXT_MAX);
	buf_init(&r->paths, ROW_TEXT_MAX);
	buf_init(&r->wide, ROW_TEXT_MAX);
	buf_init(&r->scratch, ROW_TEXT_MAX);
	r->seed = (uint64_t)(uintptr_t)r * 0x9e3779b97f4a7c15u;
}

static void row_free(struct row *r)
{
	free(r->tape);
	free(r->rest);
	free(r->touched);
	buf_free(&r->shape);
	buf_free(&r->text);
	buf_free(&r->paths);
	buf_free(&r->wide);
	buf_free(&r->scratch);
}

rc_t shredder_new(const struct shred_options *opt, const struct schema *start, struct shredder **ret, struct err *reterr)
{
	AUTO(shredder) *s = NEW(struct shredder);
	s->opt = *opt;
	if (!s->opt.leaf_budget)
		s->opt.leaf_budget = SHRED_LEAF_BUDGET;
	if (!s->opt.typed_depth)
		s->opt.typed_depth = SHRED_TYPED_DEPTH;
	if (s->opt.typed_depth > 64)
		s->opt.typed_depth = 64;
	row_init(&s->row);
	places_init(&s->places);
	buf_init(&s->rendered, BUF_MAX_DEFAULT);
	buf_init(&s->padded, ROW_TEXT_MAX);
	fold_init(s);
	memset(s->steps, 0xff, sizeof s->steps); /* SHAPE_NONE */
	s->simd = json_scan_has_simd();
	s->schema = start ? schema_copy(start) : schema_new();
	if (opt->keys.len)
		TRY(shape_keys_decode(opt->keys, &s->keys, reterr));
	else
		s->keys = shape_keys_new(opt->key_space);
	s->opt.key_space = shape_keys_space(s->keys);
	s->opt.keys = (struct slice){ 0 };
	s->source_text = mem_alloc(opt->source.len + 1);
	if (opt->source.len)
		memcpy(s->source_text, opt->source.data, opt->source.len);
	s->opt.source = slice_of(s->source_text, opt->source.len);
	TRY(own_columns(s, reterr));
	if (opt->time_field)
		s->time_path = mem_strdup(opt->time_field);
	else if (s->own.time && s->own.time->key.len)
		s->time_path = mem_printf("%.*s", SLICE_ARG(s->own.time->key));
	if (s->own.time && s->time_path)
		s->own.time->key = slice_str(arena_strdup(&s->schema->arena, s->time_path));
	s->opt.time_field = NULL; /* borrowed: not to be used later */
	shred_bind(s);
	batch_init(&s->check, s->schema);
	s->renderer = renderer_new(s->schema);
	renderer_borrow_keys(s->renderer, s->keys);
	*ret = s;
	s = NULL;
	return RC_OK;
}

void shredder_free(struct shredder *s)
{
	if (!s)
		return;
	row_free(&s->row);
	if (s->check.schema)
		batch_free(&s->check);
	renderer_free(s->renderer);
	places_free(&s->places);
	free(s->binds);
	free(s->shapes);
	free(s->map_like);
	free(s->source_text);
	free(s->time_path);
	buf_free(&s->rendered);
	buf_free(&s->padded);
	fold_free(s);
	shape_keys_free(s->keys);
	schema_free(s->schema);
	free(s);
}

const struct schema *shredder_schema(const struct shredder *s)
{
	return s->schema;
}

struct schema *shredder_schema_mutable(struct shredder *s)
{
	return s->schema;
}

struct shred_stats shredder_stats(const struct shredder *s)
{
	return s->stats;
}

void shredder_keys(const struct shredder *s, struct buf *ret)
{
	shape_keys_encode(s->keys, ret);
}

uint32_t shredder_key_space(const struct shredder *s)
{
	return s->opt.key_space;
}

uint32_t shredder_key_count(const struct shredder *s)
{
	return shape_edge_count(s->keys);
}

/* ---- rows ---- */

static struct batch *check_batch(struct shredder *s)
{
	if (batch_bytes(&s->check) > KEEP_BYTES) {
		batch_free(&s->check);
		batch_init(&s->check, s->schema);
	}
	batch_reset(&s->check);
	return &s->check;
}

/* Does the one row of the batch `check` give the payload back? */
static bool check_restores(struct shredder *s, const struct event *e)
{
	renderer_begin(s->renderer, &s->check);
	buf_reset(&s->rendered);
	return renderer_row(s->renderer, 0, &s->rendered, NULL) == RC_OK && slice_eq(buf_slice(&s->rendered), e->payload);
}

/* Does the row on the tape give its payload back? Tried on a batch of its own, before anything is stored. */
static bool row_restores(struct shredder *s, const struct event *e)
{
	struct row_meta m = { .event = e, .time_us = e->received, .has_tape = true };
	append_row(s, check_batch(s), &m);
	return check_restores(s, e);
}

static bool verify_this(const struct shredder *s)
{
	return s->opt.verify_all || s->stats.rows % VERIFY_EVERY == 0;
}

static int64_t check_clock(const struct shredder *s)
{
	return s->opt.cpu_ns ? s->opt.cpu_ns() : 0;
}

static void count_check(struct shredder *s, int64_t since, bool same)
{
	s->stats.checked++;
	s->stats.check_ns += check_clock(s) - since;
	s->stats.mismatches += !same;
}

uint64_t shred_shape_hash(const struct shredder *s, struct slice shape)
{
	return hash64_seed(shape, s->row.seed) | 1;
}

void shred_count_shape(struct shredder *s, uint64_t hash)
{
	const size_t mask = SHAPES_COUNTED * 2 - 1;
	if (s->stats.shapes >= SHAPES_COUNTED)
		return;
	if (!s->shapes)
		s->shapes = mem_zalloc(mask + 1, sizeof *s->shapes);
	size_t i = hash >> 8 & mask;
	while (s->shapes[i] && s->shapes[i] != hash)
		i = (i + 1) & mask;
	s->stats.shapes += !s->shapes[i];
	s->shapes[i] = hash;
}

static void count_row(struct shredder *s, const struct row_meta *m)
{
	struct shred_stats *st = &s->stats;
	st->rows++;
	st->raw_rows += m->raw;
	st->quarantined += m->event->reason.len > 0;
	if (!m->has_tape)
		return;
	st->rest_rows += s->row.rest_count > 0;
	st->conflicts += s->row.conflicts;
	if (!m->raw) {
		st->dialects[s->row.shape.data[4] & 31]++;
		shred_count_shape(s, shred_shape_hash(s, s->stored));
		return;
	}
	st->raw_number += s->row.raw & RAW_NUMBER ? 1 : 0;
	st->raw_string += s->row.raw & RAW_STRING ? 1 : 0;
	st->raw_duplicate += s->row.raw & RAW_DUPLICATE ? 1 : 0;
	st->raw_shape += s->row.raw & RAW_SHAPE ? 1 : 0;
	st->raw_other += s->row.raw & RAW_OTHER ? 1 : 0;
}

struct slice event_value(const struct event *e)
{
	struct slice v = e->payload;
	while (v.len && json_is_space(v.data[0]))
		v = slice_skip(v, 1);
	while (v.len && json_is_space(v.data[v.len - 1]))
		v.len--;
	return v;
}

/* ---- the direct way ---- */

/* The payload, with EVENT_PAD readable bytes behind it. */
static struct slice padded_payload(struct shredder *s, const struct event *e)
{
	if (e->padded)
		return e->payload;
	buf_reset(&s->padded);
	if (!buf_reserve(&s->padded, e->payload.len + EVENT_PAD))
		return (struct slice){ 0 };
	memset(s->padded.data + e->payload.len, 0, EVENT_PAD);
	buf_append_slice(&s->padded, e->payload);
	return buf_slice(&s->padded);
}

/* Puts the event into the batch of the row before it, as a row that is not counted yet. False: left to the tape. */
static bool shred_directly(struct shredder *s, const struct event *e)
{
	struct row *r = &s->row;
	r->trusted = false;
	if (!s->last || e->kind != PAYLOAD_JSON || e->reason.len || !e->payload.len || *e->payload.data != '{')
		return false;
	if (s->pause) {
		s->pause--;
		return false;
	}
	struct slice payload = padded_payload(s, e);
	bool done = payload.len != 0;
	if (done && verify_this(s)) {
		struct row_meta m = { .event = e, .time_us = e->received, .has_tape = true };
		int64_t since = check_clock(s);
		done = fast_row(s, check_batch(s), payload, e->unchecked);
		if (done) {
			append_finish(s, &s->check, &m);
			done = check_restores(s, e); /* else the tape tries */
			count_check(s, since, done);
		}
	}
	done = done && fast_row(s, s->last, payload, e->unchecked);
	if (done) {
		s->misses = 0;
	} else {
		s->misses += s->misses < PAUSE_MAX;
		s->pause = s->misses < PAUSE_FROM ? 0 : s->misses / 2;
	}
	return done;
}

/* ---- by way of the tape ---- */

/* Parses events[i] to the row, inferring first if it holds something new. */
static void shred_event(struct shredder *s, const struct event *events, size_t i, size_t n, struct row_meta *m)
{
	const struct event *e = &events[i];
	if (e->reason.len || e->kind == PAYLOAD_RAW || !e->payload.len) {
		m->raw = true;
		if (e->reason.len)
			need_reason(s);
		return;
	}
	if (e->kind == PAYLOAD_TEXT) {
		if (!s->own.text)
			s->own.text = late_column(s, "text", ROLE_TEXT);
		return;
	}
	m->has_tape = true;
	struct slice value = event_value(e);
	if (parse_row(s, value) != HOME) {
		s->inferred = true;
		shred_infer(s, events + i, n - i);
		parse_row(s, value);
	}
	if (value.len != e->payload.len)
		s->row.raw |= RAW_OTHER;
	m->raw = s->row.raw != 0;
	if (!m->raw && verify_this(s)) {
		int64_t since = check_clock(s);
		m->raw = !row_restores(s, e);
		count_check(s, since, !m->raw);
	}
}

/* Is an unchecked event no JSON after all? */
static bool turns_out_invalid(const struct event *e)
{
	return e->unchecked && json_validate_all(e->payload, NULL, NULL, NULL) != RC_OK;
}

rc_t shredder_run(struct shredder *s, const struct event *events, size_t n, shred_route route, void *ctx, struct err *reterr)
{
	s->inferred = false;
	s->quiet -= s->quiet > 0;
	s->calls++;
	s->full = NULL;
	s->last = NULL;
	event_time_settle(s, events, n);
	for (size_t i = 0; i < n; i++) {
		struct row_meta m = { .event = &events[i] };
		s->row.time = SLICE_LIT("");
		bool direct = shred_directly(s, &events[i]);
		if (direct) {
			m.has_tape = true;
		} else if (turns_out_invalid(&events[i])) {
			s->stopped = i;
			return err_set(reterr, RC_AGAIN, "event %zu of the call is not valid JSON: check it and the ones behind it", i);
		} else {
			shred_event(s, events, i, n, &m);
		}
		m.time_us = s->opt.lake ? event_time_of(s, &events[i]) : events[i].received;
		struct batch *b = route(ctx, i, m.time_us);
		if (direct && b != s->last) {
			fast_undo(s);
			if (b)
				shred_event(s, events, i, n, &m);
			direct = false;
		}
		if (!b)
			continue;
		if (b == s->full && batch_bytes(b) > COLUMN_BYTES_FULL) {
			if (direct)
				fast_undo(s);
			return err_set(reterr, RC_LIMIT,
				       "a row group holds over 1.7 GiB in one column: seal it before event %zu of the call", i);
		}
		if (direct)
			append_finish(s, b, &m);
		else
			append_row(s, b, &m);
		s->last = b;
		s->stats.direct += direct;
		count_row(s, &m);
	}
	return RC_OK;
}

size_t shredder_stopped(const struct shredder *s)
{
	return s->stopped;
}
