#include "sql/proto_internal.h"

static void put_string(struct buf *b, const char *s)
{
	size_t len = strlen(s);
	buf_u32(b, (uint32_t)len);
	buf_append(b, s, len);
}

static void put_strings(struct buf *b, const struct strings *s)
{
	buf_u32(b, s->n);
	for (uint32_t i = 0; i < s->n; i++)
		put_string(b, s->items[i]);
}

void request_encode(const struct request *r, struct buf *out)
{
	buf_u32(out, PROTO_MAGIC);
	put_string(out, r->library);
	buf_u64(out, r->memory_bytes);
	buf_u32(out, r->threads);
	put_string(out, r->temp_dir);
	buf_u64(out, r->temp_bytes);
	buf_u32(out, r->format);
	buf_u32(out, r->width);
	buf_u32(out, r->max_rows);
	put_string(out, r->sql);
	put_strings(out, &r->allowed_dirs);
	put_strings(out, &r->allowed_paths);
	buf_u32(out, r->n_tables);
	for (uint32_t i = 0; i < r->n_tables; i++) {
		put_string(out, r->tables[i].name);
		put_string(out, r->tables[i].ddl);
		put_strings(out, &r->tables[i].hidden);
		buf_u32(out, r->tables[i].visible);
	}
}

struct reader {
	struct slice rest;
	struct arena *arena;
	bool bad; /* once set, every read gives nothing */
};

static void take(struct reader *r, void *out, size_t len)
{
	if (r->bad || r->rest.len < len) {
		r->bad = true;
		memset(out, 0, len);
		return;
	}
	memcpy(out, r->rest.data, len);
	r->rest = slice_skip(r->rest, len);
}

static uint32_t take_u32(struct reader *r)
{
	uint32_t v;
	take(r, &v, 4);
	return v;
}

static uint64_t take_u64(struct reader *r)
{
	uint64_t v;
	take(r, &v, 8);
	return v;
}

static const char *take_string(struct reader *r)
{
	uint32_t len = take_u32(r);
	if (r->bad || r->rest.len < len) {
		r->bad = true;
		return "";
	}
	const char *s = arena_cstr(r->arena, slice_of(r->rest.data, len));
	r->rest = slice_skip(r->rest, len);
	return s;
}

/* A count of things that take at least 4 bytes each, so that a lie cannot allocate much. */
static uint32_t take_count(struct reader *r)
{
	uint32_t n = take_u32(r);
	if (n > r->rest.len / 4)
		r->bad = true;
	return r->bad ? 0 : n;
}

static struct strings take_strings(struct reader *r)
{
	struct strings s = { .n = take_count(r) };
	s.items = arena_alloc(r->arena, (s.n + 1) * sizeof(*s.items));
	for (uint32_t i = 0; i < s.n; i++)
		s.items[i] = take_string(r);
	return s;
}

rc_t request_decode(struct slice bytes, struct arena *arena, struct request *ret, struct err *reterr)
{
	struct reader r = { .rest = bytes, .arena = arena };
	struct request q = { 0 };
	if (take_u32(&r) != PROTO_MAGIC)
		return err_set(reterr, RC_CORRUPT, "what came over the pipe is no query request: this command is for hydrant's own use");
	q.library = take_string(&r);
	q.memory_bytes = take_u64(&r);
	q.threads = take_u32(&r);
	q.temp_dir = take_string(&r);
	q.temp_bytes = take_u64(&r);
	q.format = take_u32(&r);
	q.width = take_u32(&r);
	q.max_rows = take_u32(&r);
	q.sql = take_string(&r);
	q.allowed_dirs = take_strings(&r);
	q.allowed_paths = take_strings(&r);
	q.n_tables = take_count(&r);
	q.tables = arena_zalloc(arena, (q.n_tables + 1) * sizeof(*q.tables));
	for (uint32_t i = 0; i < q.n_tables; i++) {
		q.tables[i].name = take_string(&r);
		q.tables[i].ddl = take_string(&r);
		q.tables[i].hidden = take_strings(&r);
		q.tables[i].visible = take_u32(&r);
	}
	if (r.bad || r.rest.len)
		return err_set(reterr, RC_CORRUPT, "the query request is cut off");
	*ret = q;
	return RC_OK;
}
