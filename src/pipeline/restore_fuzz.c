/* Any bytes, framed, shredded, written as Parquet with any options, read and rendered again: the same bytes, and a reader that takes the
 * rows in ranges sees the same; and no row that satisfies a predicate is pruned. The first bytes choose options, calls and row groups. */
#include "json/frame.h"
#include "json/json.h"
#include "json/notes.h"
#include "json/render.h"
#include "json/shape.h"
#include "model/batch_check.h"
#include "parquet/prune.h"
#include "parquet/writer.h"
#include "shred/shred.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EVENTS_MAX 400
#define HEAD	   6
#define FRAMING_KEY "hydrant.framing"

enum { HOW_LAKE = 1, HOW_UNCHECKED = 2, HOW_NARROW = 4, HOW_GROUPS = 8 };
enum { WRITE_INDEX = 1, WRITE_V2 = 2, WRITE_DELTA = 4, WRITE_SPLIT = 8, WRITE_BLOOM = 16, WRITE_NO_DICT = 32 };

struct job {
	struct event events[EVENTS_MAX];
	size_t count;
	bool full;
	struct framing framing;
	struct shredder *shredder;
	struct batch batch;
	struct parquet_writer *writer;
	struct buf file;
};

static rc_t add_event(void *ctx, const struct frame_event *e, struct err *reterr)
{
	struct job *j = ctx;
	if (j->count == EVENTS_MAX) {
		j->full = true;
		return RC_OK;
	}
	struct event *to = &j->events[j->count];
	*to = (struct event){ .payload = e->payload, .kind = e->invalid ? PAYLOAD_RAW : e->kind, .received = 1, .pos = j->count };
	to->unchecked = to->kind == PAYLOAD_JSON && e->payload.len > 1 && *e->payload.data == '{';
	j->count++;
	return framing_add(&j->framing, e->gap, reterr);
}

static rc_t file_write(void *ctx, const void *data, size_t len, struct err *reterr)
{
	(void)reterr;
	buf_append(ctx, data, len);
	return RC_OK;
}

static rc_t file_read(void *ctx, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	const struct buf *b = ctx;
	(void)reterr;
	must(offset <= b->len && len <= b->len - offset);
	if (len)
		memcpy(out, b->data + offset, len);
	return RC_OK;
}

static struct batch *route(void *ctx, size_t i, int64_t time_us)
{
	(void)i, (void)time_us;
	return ctx;
}

static void seal(struct job *j)
{
	struct err err;
	batch_seal(&j->batch);
	check_batch(&j->batch);
	must(parquet_writer_row_group(j->writer, &j->batch, &err) == RC_OK);
	batch_reset(&j->batch);
}

static void open_writer(struct job *j, const uint8_t *head)
{
	static const enum parquet_codec codecs[] = { PARQUET_UNCOMPRESSED, PARQUET_SNAPPY, PARQUET_GZIP, PARQUET_ZSTD, PARQUET_LZ4_RAW };
	struct parquet_writer_options o;
	struct err err;
	parquet_writer_options_default(&o);
	o.codec = codecs[head[1] % 5];
	o.level = o.codec == PARQUET_GZIP || o.codec == PARQUET_ZSTD ? 1 : 0;
	o.page_bytes = head[2] & 1 ? 64 : o.page_bytes;
	o.page_rows = head[2] & 2 ? 1 + head[3] % 16u : o.page_rows;
	o.dictionary_bytes = head[4] & WRITE_NO_DICT ? 0 : head[2] & 4 ? 100 : o.dictionary_bytes;
	o.page_index = head[4] & WRITE_INDEX;
	o.data_page_v2 = head[4] & WRITE_V2;
	o.delta = head[4] & WRITE_DELTA;
	o.byte_stream_split = head[4] & WRITE_SPLIT;
	o.bloom_filters = head[4] & WRITE_BLOOM;
	const struct parquet_sink sink = { &j->file, file_write };
	must(parquet_writer_new(&sink, &o, &j->writer, &err) == RC_OK);
}

static void put_metadata(struct job *j)
{
	AUTO_BUF struct buf b;
	buf_init(&b, BUF_MAX_DEFAULT);
	struct schema *schema = shredder_schema_mutable(j->shredder);
	schema_assign_ids(schema);
	schema_notes_encode(schema, &b);
	parquet_writer_metadata(j->writer, SCHEMA_NOTES_KEY, buf_slice(&b));
	buf_reset(&b);
	shredder_keys(j->shredder, &b);
	parquet_writer_metadata(j->writer, SHAPE_KEYS_KEY, buf_slice(&b));
	buf_reset(&b);
	framing_encode(&j->framing, &b);
	parquet_writer_metadata(j->writer, FRAMING_KEY, buf_slice(&b));
}

static void write_file(struct job *j, const uint8_t *head)
{
	struct err err;
	const struct shred_options o = { .lake = head[0] & HOW_LAKE,
		                         .key_space = head[0] & HOW_LAKE ? 9 : 0,
		                         .leaf_budget = head[0] & HOW_NARROW ? 6 : 0,
		                         .typed_depth = head[0] & HOW_NARROW ? 3 : 0 };
	must(shredder_new(&o, NULL, &j->shredder, &err) == RC_OK);
	batch_init(&j->batch, shredder_schema(j->shredder));
	open_writer(j, head);
	size_t step = 1 + head[5] % 128;
	for (size_t at = 0, k; at < j->count; at += k) {
		k = j->count - at < step ? j->count - at : step;
		if (!(head[0] & HOW_UNCHECKED))
			for (size_t i = at; i < at + k; i++)
				j->events[i].unchecked = false;
		must(shredder_run(j->shredder, j->events + at, k, route, &j->batch, &err) == RC_OK);
		if (head[0] & HOW_GROUPS)
			seal(j);
	}
	seal(j);
	must(shredder_stats(j->shredder).mismatches == 0);
	put_metadata(j);
	must(parquet_writer_finish(j->writer, shredder_schema(j->shredder), NULL, &err) == RC_OK);
}

/* The rows of a group in ranges, rendered with their gaps. */
static void read_group(struct parquet_reader *r, struct renderer *render, uint32_t group, uint32_t step, struct framing_reader *gaps,
		       struct buf *out)
{
	struct err err;
	struct batch b;
	struct slice gap;
	uint32_t rows = (uint32_t)parquet_reader_row_group_rows(r, group);
	batch_init(&b, parquet_reader_schema(r));
	b.may_be_coded = step % 2;
	for (uint32_t from = 0; from < rows; from += step) {
		must(parquet_reader_read(r, group, NULL, 0, from, from + step, &b, &err) == RC_OK);
		check_batch(&b);
		renderer_begin(render, &b);
		for (uint32_t row = 0; row < b.rows; row++) {
			must(framing_reader_next(gaps, &gap) == RC_OK);
			buf_append_slice(out, gap);
			must(renderer_row(render, row, out, &err) == RC_OK);
		}
	}
	batch_free(&b);
}

/* ---- pruning ---- */

static struct slice value_of(const struct column *c, uint32_t value)
{
	size_t width = field_width(c->field);
	return width ? slice_of(c->data.data + value * width, width) : column_bytes_at(c, value);
}

/* As the column's values compare. */
static int value_cmp(const struct field *f, struct slice a, struct slice b)
{
	if (f->type == TYPE_DOUBLE) {
		double x, y;
		memcpy(&x, a.data, 8);
		memcpy(&y, b.data, 8);
		return (x > y) - (x < y);
	}
	if (a.len == 8 && b.len == 8 && f->type != TYPE_STRING && f->type != TYPE_BINARY) {
		int64_t x, y;
		memcpy(&x, a.data, 8);
		memcpy(&y, b.data, 8);
		return (x > y) - (x < y);
	}
	if (f->type == TYPE_DECIMAL) {
		__int128 x, y;
		memcpy(&x, a.data, 16);
		memcpy(&y, b.data, 16);
		return (x > y) - (x < y);
	}
	return slice_cmp(a, b);
}

static bool satisfies(const struct parquet_predicate *p, const struct column *c, bool present, uint32_t value)
{
	if (p->test == PARQUET_IS_NULL || p->test == PARQUET_NOT_NULL || !present)
		return present == (p->test == PARQUET_NOT_NULL) && (present || p->test == PARQUET_IS_NULL);
	int k = value_cmp(c->field, value_of(c, value), p->values[0]);
	switch (p->test) {
	case PARQUET_LESS:
		return k < 0;
	case PARQUET_LESS_EQUAL:
		return k <= 0;
	case PARQUET_MORE:
		return k > 0;
	case PARQUET_MORE_EQUAL:
		return k >= 0;
	default: /* EQUAL, IN */
		return k == 0;
	}
}

static void check_predicate(struct parquet_reader *r, uint32_t group, const struct column *c, const struct parquet_predicate *p)
{
	struct err err;
	struct parquet_ranges ranges = { 0 };
	uint32_t value = 0, at = 0;
	must(parquet_reader_prune(r, group, p, 1, &ranges, &err) == RC_OK);
	for (uint32_t i = 0; i < ranges.count; i++)
		must(ranges.items[i].from < ranges.items[i].to && ranges.items[i].to <= c->slots && (!i || ranges.items[i - 1].to < ranges.items[i].from));
	for (uint32_t row = 0; row < c->slots; row++) {
		bool present = column_is_present(c, row), wanted = satisfies(p, c, present, value);
		value += present;
		while (at < ranges.count && ranges.items[at].to <= row)
			at++;
		must(!wanted || (at < ranges.count && ranges.items[at].from <= row));
	}
	parquet_ranges_clear(&ranges);
}

/* Some value of each plain column at the top, asked for in every way. */
static void check_pruning(struct parquet_reader *r, uint32_t group, uint32_t seed)
{
	struct err err;
	struct batch b;
	batch_init(&b, parquet_reader_schema(r));
	must(parquet_reader_read(r, group, NULL, 0, 0, UINT32_MAX, &b, &err) == RC_OK);
	for (uint32_t i = 0; i < b.root.child_count && i < 12; i++) {
		const struct column *c = &b.root.children[i];
		if (type_is_nested(c->field->type) || !c->values)
			continue;
		struct slice value = value_of(c, (seed + i) % c->values);
		bool may;
		must(parquet_reader_may_hold(r, group, c->field, value, &may, &err) == RC_OK && may);
		for (enum parquet_test t = PARQUET_EQUAL; t <= PARQUET_NOT_NULL; t++) {
			bool null_test = t == PARQUET_IS_NULL || t == PARQUET_NOT_NULL;
			const struct parquet_predicate p = { c->field, t, null_test ? NULL : &value, null_test ? 0 : 1 };
			check_predicate(r, group, c, &p);
		}
	}
	batch_free(&b);
}

static void read_file(struct job *j, uint32_t step, struct buf *out)
{
	struct err err;
	struct framing_reader gaps;
	const struct parquet_source source = { &j->file, j->file.len, file_read };
	AUTO(parquet_reader) *r = NULL;
	must(parquet_reader_open(&source, NULL, &r, &err) == RC_OK);
	must((size_t)parquet_reader_rows(r) == j->count);
	must(schema_notes_decode(parquet_reader_metadata(r, SCHEMA_NOTES_KEY), (struct schema *)parquet_reader_schema(r), &err) == RC_OK);
	must(framing_reader_open(parquet_reader_metadata(r, FRAMING_KEY), &gaps, &err) == RC_OK);
	AUTO(renderer) *render = renderer_new(parquet_reader_schema(r));
	must(renderer_add_keys(render, parquet_reader_metadata(r, SHAPE_KEYS_KEY), &err) == RC_OK);
	for (uint32_t g = 0; g < parquet_reader_row_group_count(r); g++)
		read_group(r, render, g, step, &gaps, out);
	for (uint32_t g = 0; g < parquet_reader_row_group_count(r) && g < 3; g++)
		check_pruning(r, g, (uint32_t)j->file.len);
	buf_append_slice(out, gaps.tail);
	framing_reader_close(&gaps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct job j;
	struct frame_counts counts;
	struct err err;
	if (size < HEAD)
		return 0;
	struct slice body = slice_of(data + HEAD, size - HEAD);
	j = (struct job){ 0 };
	framing_init(&j.framing);
	buf_init(&j.file, BUF_MAX_DEFAULT);
	enum frame_format format = (enum frame_format)(data[0] >> 4 & 7);
	if (format > FRAME_RAW)
		format = FRAME_NDJSON;
	must(frame_body(body, format, false, NULL, add_event, &j, &counts, &err) == RC_OK);
	if (!j.full) {
		AUTO_BUF struct buf out;
		buf_init(&out, BUF_MAX_DEFAULT);
		must(framing_finish(&j.framing, counts.tail, &err) == RC_OK);
		write_file(&j, data);
		read_file(&j, data[2] & 8 ? 1 + data[3] % 50u : UINT32_MAX / 2, &out);
		must(slice_eq(buf_slice(&out), body));
		parquet_writer_free(j.writer);
		batch_free(&j.batch);
		shredder_free(j.shredder);
	}
	framing_free(&j.framing);
	buf_free(&j.file);
	return 0;
}
