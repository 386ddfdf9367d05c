/* Lines of any bytes, shredded and rendered again. The first bytes choose the options, who has validated the lines before, and how they
 * are cut into calls. Laws: whatever goes in comes out, byte for byte, and no re-rendered row ever differed; an unchecked event is refused
 * if and only if json_validate_all refuses it; the direct way and the tape, AVX2 and portable code give the same columns; the batches are consistent;
 * what the notes say of the columns is what they are. */
#include "shred/shred_internal.h"

#include "json/json.h"
#include "json/notes.h"
#include "model/batch_check.h"
#include "shred/fuzz_internal.h"

#define EVENTS_MAX 100
#define NOW_US	   ((int64_t)1795341600 * 1000000)

enum {
	HOW_UNCHECKED = 1, /* lines that begin with { and end with } come as they are */
	HOW_PADDED = 2,	   /* … with something readable behind them */
	HOW_LAKE = 4,
	HOW_SAMPLED = 8, /* one row in 64 is verified, not all */
	HOW_NARROW = 16, /* a budget of few columns, and JSON text from the third level on */
	HOW_TIMED = 32,	 /* the event time is declared */
	HOW_TWO = 64,	 /* rows go to two batches in turn */
	HOW_LATER = 128, /* some rows are put off */
};
enum { MODE_REASON = 1, MODE_RECORDS = 2, MODE_AGAIN = 4, MODE_TAPE = 8, MODE_PORTABLE = 16 };

struct lines {
	struct event events[EVENTS_MAX];
	bool valid[EVENTS_MAX]; /* JSON, as json_validate_all says */
	size_t count;
	bool all_valid;
};

/* One way of shredding them. */
struct way {
	struct shredder *s;
	struct batch batches[2];
	size_t rows[2][EVENTS_MAX * 2]; /* which event a row is of */
	uint32_t how;
	const size_t *calls; /* index of the event by its place in the call */
	bool postponed[EVENTS_MAX], may_postpone;
};

static struct event make_event(struct slice line, size_t pos, uint8_t how, uint8_t mode, bool *ret_valid)
{
	struct event e = { .kind = PAYLOAD_JSON, .received = NOW_US, .pos = pos };
	*ret_valid = json_validate_all(line, NULL, NULL, NULL) == RC_OK;
	e.unchecked = how & HOW_UNCHECKED && line.len > 1 && *line.data == '{' && line.data[line.len - 1] == '}';
	e.padded = how & HOW_PADDED;
	uint8_t *copy = mem_alloc(line.len + (e.padded ? EVENT_PAD : 0) + 1); /* exact: a byte read too far is seen */
	if (e.padded)
		for (size_t i = 0; i < EVENT_PAD; i++)
			copy[line.len + i] = (uint8_t)"\"}\n{\"a\":0123456789,"[(pos + i) % 19];
	if (line.len)
		memcpy(copy, line.data, line.len);
	e.payload = slice_of(copy, line.len);
	if (!*ret_valid && !e.unchecked) {
		e.kind = json_utf8_valid(line, NULL) ? PAYLOAD_TEXT : PAYLOAD_RAW;
		if (mode & MODE_REASON)
			e.reason = SLICE_LIT("no JSON");
	}
	if (how & HOW_LAKE) {
		e.id = pos % 3 ? SLICE_LIT("") : SLICE_LIT("id");
		e.key = pos % 4 ? SLICE_LIT("") : SLICE_LIT("key");
		e.meta = pos % 5 ? SLICE_LIT("") : slice_of("name\0value\0", 11);
	}
	return e;
}

static void read_lines(struct slice text, uint8_t how, uint8_t mode, struct lines *l)
{
	uint8_t end = mode & MODE_RECORDS ? 0x1e : '\n'; /* with the first, lines may stand in a payload */
	l->count = 0;
	l->all_valid = true;
	while (text.len && l->count < EVENTS_MAX) {
		const uint8_t *stop = memchr(text.data, end, text.len);
		struct slice line = slice_of(text.data, stop ? (size_t)(stop - text.data) : text.len);
		text = slice_skip(text, line.len + (stop != NULL));
		if (!line.len)
			continue;
		l->events[l->count] = make_event(line, l->count, how, mode, &l->valid[l->count]);
		l->all_valid &= l->valid[l->count];
		l->count++;
	}
}

static void way_open(struct way *w, uint32_t how, const struct schema *start)
{
	struct err err;
	const struct shred_options o = {
		.lake = how & HOW_LAKE,
		.key_space = how & HOW_LAKE ? 7 : 0,
		.time_field = how & HOW_TIMED ? "a.b" : NULL,
		.leaf_budget = how & HOW_NARROW ? 5 : 0,
		.typed_depth = how & HOW_NARROW ? 3 : 0,
		.source = SLICE_LIT("source"),
		.verify_all = !(how & HOW_SAMPLED),
	};
	*w = (struct way){ .how = how };
	must(shredder_new(&o, start, &w->s, &err) == RC_OK);
	for (int i = 0; i < 2; i++)
		batch_init(&w->batches[i], shredder_schema(w->s));
}

static void way_close(struct way *w)
{
	for (int i = 0; i < 2; i++)
		batch_free(&w->batches[i]);
	shredder_free(w->s);
}

static struct batch *route(void *ctx, size_t i, int64_t time_us)
{
	struct way *w = ctx;
	(void)time_us;
	size_t event = w->calls[i];
	if (w->how & HOW_LATER && w->may_postpone && event % 5 == 4) {
		w->postponed[event] = true;
		return NULL;
	}
	int b = w->how & HOW_TWO && event % 3 == 1;
	w->rows[b][w->batches[b].rows] = event;
	return &w->batches[b];
}

/* The events with these numbers, in calls of `step`. */
static void shred_these(struct way *w, struct lines *l, const size_t *these, size_t n, size_t step)
{
	struct event events[EVENTS_MAX];
	struct err err;
	for (size_t at = 0, k; at < n; at += k) {
		k = n - at < step ? n - at : step;
		for (size_t i = 0; i < k; i++)
			events[i] = l->events[these[at + i]];
		w->calls = these + at;
		rc_t rc = shredder_run(w->s, events, k, route, w, &err);
		size_t done = rc == RC_AGAIN ? shredder_stopped(w->s) : k;
		must(rc == RC_OK || (rc == RC_AGAIN && done < k));
		for (size_t i = 0; i < done; i++)
			must(!events[i].unchecked || l->valid[these[at + i]]);
		k = done;
		if (rc != RC_AGAIN)
			continue;
		struct event *bad = &l->events[these[at + done]];
		must(bad->unchecked && !l->valid[these[at + done]]);
		bad->unchecked = false;
		bad->kind = PAYLOAD_RAW;
	}
}

static void shred_all(struct way *w, const struct lines *lines, size_t step)
{
	static struct lines l;
	size_t all[EVENTS_MAX], later[EVENTS_MAX], n = 0;
	l = *lines;
	for (size_t i = 0; i < l.count; i++)
		all[i] = i;
	w->may_postpone = true;
	shred_these(w, &l, all, l.count, step);
	w->may_postpone = false;
	for (size_t i = 0; i < l.count; i++)
		if (w->postponed[i])
			later[n++] = i;
	shred_these(w, &l, later, n, step);
	for (int b = 0; b < 2; b++)
		batch_seal(&w->batches[b]);
}

static void check_notes(const struct way *w)
{
	struct err err;
	AUTO_BUF struct buf notes;
	buf_init(&notes, BUF_MAX_DEFAULT);
	schema_notes_encode(w->s->schema, &notes);
	AUTO(schema) *copy = schema_copy(w->s->schema);
	must(schema_notes_decode(buf_slice(&notes), copy, &err) == RC_OK);
	const struct field *a = w->s->schema->root, *b = copy->root;
	while ((a = field_next(w->s->schema->root, a)) && (b = field_next(copy->root, b)))
		must(a->role == b->role && a->format == b->format && slice_eq(a->key, b->key));
}

static void check_way(struct way *w, const struct lines *l)
{
	struct err err;
	AUTO_BUF struct buf keys, out;
	buf_init(&keys, BUF_MAX_DEFAULT);
	buf_init(&out, BUF_MAX_DEFAULT);
	schema_assign_ids(shredder_schema_mutable(w->s));
	check_notes(w);
	shredder_keys(w->s, &keys);
	AUTO(renderer) *r = renderer_new(w->s->schema);
	must(renderer_add_keys(r, buf_slice(&keys), &err) == RC_OK);
	for (int b = 0; b < 2; b++) {
		batch_adopt_schema(&w->batches[b]);
		batch_seal(&w->batches[b]);
		check_batch(&w->batches[b]);
		renderer_begin(r, &w->batches[b]);
		for (uint32_t row = 0; row < w->batches[b].rows; row++) {
			buf_reset(&out);
			must(renderer_row(r, row, &out, &err) == RC_OK);
			must(slice_eq(buf_slice(&out), l->events[w->rows[b][row]].payload));
		}
	}
	struct shred_stats st = shredder_stats(w->s);
	must(st.mismatches == 0 && st.rows == l->count && w->batches[0].rows + w->batches[1].rows == l->count);
}

static void check_equal(const struct way *a, const struct way *b)
{
	AUTO_BUF struct buf x, y;
	buf_init(&x, BUF_MAX_DEFAULT);
	buf_init(&y, BUF_MAX_DEFAULT);
	shredder_keys(a->s, &x);
	shredder_keys(b->s, &y);
	for (int i = 0; i < 2; i++) {
		batch_print(&a->batches[i], &x);
		batch_print(&b->batches[i], &y);
	}
	must(schema_equal(a->s->schema, b->s->schema) && slice_eq(buf_slice(&x), buf_slice(&y)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lines l;
	static struct way first, second;
	if (size < FUZZ_HEAD)
		return 0;
	uint8_t how = data[0], mode = data[1];
	size_t step = 1 + data[2] % EVENTS_MAX, other = 1 + data[3] % EVENTS_MAX;
	read_lines(slice_of(data + FUZZ_HEAD, size - FUZZ_HEAD), how, mode, &l);
	json_scan_use_simd(true);
	way_open(&first, how, NULL);
	shred_all(&first, &l, step);
	check_way(&first, &l);
	if (mode & MODE_AGAIN) { /* a later file of the same table, cut otherwise */
		way_open(&second, how, first.s->schema);
		shred_all(&second, &l, other);
		check_way(&second, &l);
		way_close(&second);
	}
	if (mode & (MODE_TAPE | MODE_PORTABLE)) {
		json_scan_use_simd(!(mode & MODE_PORTABLE));
		way_open(&second, how, NULL);
		second.s->pause = mode & MODE_TAPE ? UINT32_MAX : 0;
		shred_all(&second, &l, step);
		check_way(&second, &l);
		if (l.all_valid || !(mode & MODE_TAPE))
			check_equal(&first, &second);
		way_close(&second);
	}
	way_close(&first);
	for (size_t i = 0; i < l.count; i++)
		free((void *)l.events[i].payload.data);
	return 0;
}
