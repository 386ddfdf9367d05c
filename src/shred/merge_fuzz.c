/* One file in three ranges, as convert cuts it: the second and the third are shredded by forks, from the state after the first (or the third
 * from the state after the second), and merged in either order. The first bytes choose the options and where the cuts are. Laws: every row comes
 * out byte for byte under the schema and the key table that the merges made, whichever came first, as it does when nothing is cut; no re-rendered row ever
 * differed; what a merge does depends on the two states alone; a fork of the file as it is now is never in conflict with it. */
#include "shred/merge.h"

#include "json/json.h"
#include "model/batch_check.h"
#include "shred/fuzz_internal.h"
#include "shred/shred_internal.h"

#define EVENTS_MAX 100
#define RANGES	   3
#define NOW_US	   ((int64_t)1795341600 * 1000000)

enum {
	HOW_UNCHECKED = 1, /* valid lines come as they are */
	HOW_LATER = 2,	   /* the range merged last begins from the state after the one before it */
	HOW_SAMPLED = 8,   /* one row in 64 is verified, not all */
	HOW_NARROW = 16,   /* a budget of few columns, and JSON text from the third level on */
	HOW_PORTABLE = 32,
};

struct range {
	struct shredder *s;
	struct batch batch;
	const struct event *events;
	size_t count, step; /* events; events a call */
	uint32_t first_edge; /* edges that the fork began with */
};

static size_t read_lines(struct slice text, uint8_t how, struct event *events)
{
	size_t count = 0;
	while (text.len && count < EVENTS_MAX) {
		const uint8_t *stop = memchr(text.data, '\n', text.len);
		struct slice line = slice_of(text.data, stop ? (size_t)(stop - text.data) : text.len);
		text = slice_skip(text, line.len + (stop != NULL));
		if (!line.len)
			continue;
		uint8_t *copy = mem_alloc(line.len); /* exact: a byte read too far is seen */
		memcpy(copy, line.data, line.len);
		struct event e = { .kind = PAYLOAD_JSON, .received = NOW_US, .pos = count, .payload = slice_of(copy, line.len) };
		if (json_validate_all(line, NULL, NULL, NULL) != RC_OK)
			e.kind = json_utf8_valid(line, NULL) ? PAYLOAD_TEXT : PAYLOAD_RAW;
		e.unchecked = e.kind == PAYLOAD_JSON && how & HOW_UNCHECKED && *line.data == '{' && line.data[line.len - 1] == '}';
		events[count++] = e;
	}
	return count;
}

static struct batch *route(void *ctx, size_t i, int64_t time_us)
{
	(void)i;
	(void)time_us;
	return ctx;
}

static void range_shred(struct range *r)
{
	struct err err;
	for (size_t at = 0, k; at < r->count; at += k) {
		k = r->count - at < r->step ? r->count - at : r->step;
		must(shredder_run(r->s, r->events + at, k, route, &r->batch, &err) == RC_OK);
	}
	must(r->batch.rows == r->count);
	batch_seal(&r->batch);
	check_batch(&r->batch);
}

static void range_fork(struct range *r, const struct shredder *from)
{
	r->s = shredder_fork(from);
	r->first_edge = shredder_key_count(r->s);
	batch_init(&r->batch, shredder_schema(r->s));
	range_shred(r);
}

/* Once more, from the file as it is; the batch serves again, as convert's does. */
static void range_again(struct range *r, const struct shredder *file)
{
	struct shredder *s = shredder_fork(file);
	r->first_edge = shredder_key_count(s);
	batch_reset(&r->batch);
	shredder_adopt_batch(s, &r->batch);
	shredder_free(r->s);
	r->s = s;
	range_shred(r);
}

static void check_equal(const struct shredder *a, const struct shredder *b)
{
	AUTO_BUF struct buf x, y;
	buf_init(&x, BUF_MAX_DEFAULT);
	buf_init(&y, BUF_MAX_DEFAULT);
	shredder_keys(a, &x);
	shredder_keys(b, &y);
	must(schema_equal(a->schema, b->schema) && slice_eq(buf_slice(&x), buf_slice(&y)));
}

/* What the fork has added becomes the file's, and the same a second time with a copy of the file. */
static rc_t range_merge(struct range *r, struct shredder *file, bool again)
{
	struct shred_edges edges, other;
	AUTO(shredder) *twin = shredder_fork(file);
	rc_t rc = shredder_merge(file, r->s, r->first_edge, again, &edges);
	must(shredder_merge(twin, r->s, r->first_edge, again, &other) == rc);
	if (rc != RC_OK) {
		must(rc == RC_CONFLICT && !again);
		return rc;
	}
	check_equal(file, twin);
	must(edges.same == other.same && edges.count == other.count && !memcmp(edges.edges, other.edges, edges.count * sizeof *edges.edges));
	shredder_renumber(r->s, &r->batch, &edges);
	shredder_add_stats(file, r->s, &r->batch, edges.same);
	shred_edges_free(&edges);
	shred_edges_free(&other);
	return rc;
}

/* The rows under the file's last state. */
static void check_range(const struct range *r, const struct shredder *file)
{
	struct err err;
	struct batch view;
	AUTO_BUF struct buf keys, out;
	buf_init(&keys, BUF_MAX_DEFAULT);
	buf_init(&out, BUF_MAX_DEFAULT);
	shredder_keys(file, &keys);
	shredder_view(file, r->s, &r->batch, &view);
	AUTO(renderer) *render = renderer_new(file->schema);
	must(renderer_add_keys(render, buf_slice(&keys), &err) == RC_OK);
	renderer_begin(render, &view);
	must(view.rows == r->count);
	for (uint32_t i = 0; i < view.rows; i++) {
		buf_reset(&out);
		must(renderer_row(render, i, &out, &err) == RC_OK);
		must(slice_eq(buf_slice(&out), r->events[i].payload));
	}
	shredder_view_free(&view);
}

static void file_try(struct range *ranges, uint8_t how, bool swapped)
{
	struct err err;
	const struct shred_options o = {
		.leaf_budget = how & HOW_NARROW ? 5 : 0, .typed_depth = how & HOW_NARROW ? 3 : 0, .source = SLICE_LIT("source"), .verify_all = !(how & HOW_SAMPLED)
	};
	struct range *first = &ranges[0], *second = &ranges[1 + swapped], *third = &ranges[2 - swapped];
	size_t count = first->count + second->count + third->count;
	must(shredder_new(&o, NULL, &first->s, &err) == RC_OK);
	batch_init(&first->batch, shredder_schema(first->s));
	range_shred(first);
	first->first_edge = shredder_key_count(first->s);
	AUTO(shredder) *file = shredder_fork(first->s), *base = shredder_fork(first->s);
	check_equal(file, first->s);
	must(range_merge(first, file, false) == RC_OK); /* it has nothing that the file has not */
	check_equal(file, first->s);
	range_fork(second, base);
	if (!(how & HOW_LATER))
		range_fork(third, base);
	for (struct range *r = second; r; r = r == second ? third : NULL) {
		if (!r->s)
			range_fork(r, file);
		if (range_merge(r, file, r == third && how & HOW_LATER) == RC_OK)
			continue;
		range_again(r, file);
		must(range_merge(r, file, true) == RC_OK);
	}
	for (int i = 0; i < RANGES; i++)
		check_range(&ranges[i], file);
	struct shred_stats st = shredder_stats(file);
	must(st.rows == count && st.mismatches == 0);
	for (int i = 0; i < RANGES; i++) {
		batch_free(&ranges[i].batch);
		shredder_free(ranges[i].s);
		ranges[i].s = NULL;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event events[EVENTS_MAX];
	struct range ranges[RANGES] = { 0 };
	if (size < FUZZ_HEAD)
		return 0;
	size_t count = read_lines(slice_of(data + FUZZ_HEAD, size - FUZZ_HEAD), data[0], events);
	size_t cut = data[2] % (count + 1), other = cut + data[3] % (count - cut + 1);
	for (int i = 0; i < RANGES; i++) {
		size_t from = i == 0 ? 0 : i == 1 ? cut : other, to = i == 0 ? cut : i == 1 ? other : count;
		ranges[i] = (struct range){ .events = events + from, .count = to - from, .step = 1 + data[1] % EVENTS_MAX };
	}
	json_scan_use_simd(!(data[0] & HOW_PORTABLE));
	file_try(ranges, data[0], false);
	file_try(ranges, data[0], true);
	for (size_t i = 0; i < count; i++)
		free((void *)events[i].payload.data);
	return 0;
}
