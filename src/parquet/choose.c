/* The plan of a chunk: which encoding and whether to compress, by trial on the chunk's own values; and the bindings of the encoders.
 *
 * A sample of a few runs of neighbouring values is encoded each possible way and compressed with the file's codec. The dictionary is
 * built over all values (unless that becomes hopeless), because its worth cannot be seen from a sample.
 */
#include "parquet/write_internal.h"

#define SAMPLE_BYTES_MIN ((size_t)2 << 10)  /* a sample is 1/16 of the chunk, but within these; plain bytes */
#define SAMPLE_BYTES_MAX ((size_t)32 << 10)
#define SAMPLE_RUNS 3
#define DICT_PATIENCE_MIN 1024   /* values seen before a dictionary may be called hopeless */
#define DICT_PATIENCE_MAX 16384
#define DICT_GLANCE 1024         /* values seen before it is asked whether most differ */
#define DICT_DRAWS_MAX 4096      /* values drawn to see whether a dictionary can be worth it */
#define DICT_PAIRS 32            /* equal pairs among them, at least, if it is */
#define DICT_SLOTS_MIN 1024
#define SAME_STEP 4096           /* values that are compared at once with the ones before them */
#define DICT_PAGE_MIN 16384      /* bytes */
/* Values an entry from which on a dictionary is not put on trial: of 750 such chunks (355 MB) trials would have saved 7 KB. */
#define DICT_SURE_BYTES 4
#define DICT_SURE_FIXED 64
#define PREFIXES_MAX 0.75        /* encoded size of DELTA_BYTE_ARRAY with prefixes over that without, for it to be compressed on trial */
#define INPUT_COST 0.02
#define PAGE_OVERHEAD 40         /* bytes that a dictionary page costs besides its values */

static void *scratch(struct buf *b, size_t bytes)
{
	buf_reset(b);
	buf_reserve(b, bytes + 1);
	return b->data;
}

/* ---- bindings ----------------------------------------------------------------------------------------------------- */

static void encode_plain(const struct values *v, uint32_t first, uint32_t n, struct buf *out)
{
	size_t bytes = values_plain_bytes(v, first, n);
	if (!buf_reserve(out, bytes))
		return;
	if (v->kind == VALUE_BOOL)
		encode_plain_bool(out->data + out->len, v->data + first, n);
	else if (!v->width)
		encode_plain_bytes(out->data + out->len, v->data, v->offsets, first, n);
	else if (bytes)
		memcpy(out->data + out->len, v->data + (size_t)first * v->width, bytes);
	out->len += bytes;
}

static void encode_delta(struct encoder *e, const struct plan *plan, const struct values *v, uint32_t first, uint32_t n, struct buf *out)
{
	size_t bound = encode_delta_bound(n, v->width ? v->width : 4);
	if (!v->width)
		bound = 2 * bound + (v->offsets[first + n] - v->offsets[first]);
	if (!buf_reserve(out, bound))
		return;
	uint8_t *to = out->data + out->len;
	if (plan->encoding == ENCODING_DELTA_LENGTH_BYTE_ARRAY) {
		out->len += encode_delta_length(to, v->data, v->offsets, first, n, scratch(&e->lengths, (size_t)n * 4));
	} else if (plan->encoding == ENCODING_DELTA_BYTE_ARRAY) {
		int32_t *prefixes = scratch(&e->prefixes, (size_t)n * 4), *lengths = scratch(&e->lengths, (size_t)n * 4);
		out->len += plan->whole ? encode_delta_whole(to, v->data, v->offsets, first, n, prefixes, lengths)
					: encode_delta_bytes(to, v->data, v->offsets, first, n, prefixes, lengths);
	} else if (v->width == 4) {
		out->len += encode_delta_i32(to, (const int32_t *)(const void *)v->data + first, n);
	} else {
		out->len += encode_delta_i64(to, (const int64_t *)(const void *)v->data + first, n);
	}
}

static void encode_indices(struct encoder *e, unsigned width, uint32_t first, uint32_t n, struct buf *out)
{
	if (!buf_reserve(out, 1 + encode_rle_bound(n, width)))
		return;
	out->data[out->len++] = (uint8_t)width;
	const uint32_t *indices = (const uint32_t *)(const void *)e->indices.data;
	out->len += encode_rle_u32(out->data + out->len, indices + first, n, width);
}

void encode_values(struct encoder *e, const struct plan *plan, const struct values *v, uint32_t first, uint32_t n, struct buf *out)
{
	switch (plan->encoding) {
	case ENCODING_RLE_DICTIONARY:
		encode_indices(e, plan->index_width, first, n, out);
		break;
	case ENCODING_DELTA_BINARY_PACKED:
	case ENCODING_DELTA_LENGTH_BYTE_ARRAY:
	case ENCODING_DELTA_BYTE_ARRAY:
		encode_delta(e, plan, v, first, n, out);
		break;
	case ENCODING_BYTE_STREAM_SPLIT:
		if (buf_reserve(out, (size_t)n * v->width))
			out->len += encode_split(out->data + out->len, v->data + (size_t)first * v->width, n, v->width);
		break;
	case ENCODING_RLE: { /* booleans of v2 pages: RLE with its length in front */
		size_t at = out->len;
		if (!buf_reserve(out, 4 + encode_rle_bound(n, 1)))
			return;
		uint32_t len = (uint32_t)encode_rle_u8(out->data + at + 4, v->data + first, n, 1);
		memcpy(out->data + at, &len, 4);
		out->len += 4 + len;
		break;
	}
	default:
		encode_plain(v, first, n, out);
	}
}

/* ---- dictionary --------------------------------------------------------------------------------------------------- */

static void dict_grow(struct encoder *e, const struct values *v)
{
	struct dict *d = &e->dict;
	size_t slots = d->slots ? 4 * (d->slot_mask + 1) : DICT_SLOTS_MIN;
	struct buf *to = d->slots == (struct dict_slot *)(void *)e->slots[0].data ? &e->slots[1] : &e->slots[0];
	void *table = scratch(to, slots * sizeof(struct dict_slot));
	memset(table, 0, slots * sizeof(struct dict_slot));
	dict_rehash(d, table, slots - 1);
	d->limit = (uint32_t)(slots / 4);
	if (!v->width) {
		e->where.len = (size_t)d->count * 4;
		buf_reserve(&e->where, (slots / 4 - d->count) * 4);
		d->where = (uint32_t *)(void *)e->where.data;
	}
}

/* The page's memory grows with its entries; false if it has reached what a dictionary may take. */
static bool dict_grow_page(struct encoder *e)
{
	struct dict *d = &e->dict;
	if (d->page_cap >= e->opts.dictionary_bytes)
		return false;
	size_t want = d->page_cap ? 2 * d->page_cap : DICT_PAGE_MIN;
	d->page_cap = want < e->opts.dictionary_bytes ? want : e->opts.dictionary_bytes;
	e->entries.len = d->page_len;
	buf_reserve(&e->entries, d->page_cap - d->page_len + 32);
	d->page = e->entries.data;
	return true;
}

static size_t dict_add(struct dict *d, const struct values *v, uint32_t first, uint32_t n, uint32_t *indices)
{
	if (!v->width)
		return dict_add_bytes(d, v->data, v->offsets, first, n, indices);
	if (v->width == 4)
		return dict_add_u32(d, (const uint32_t *)(const void *)v->data, first, n, indices);
	if (v->width == 8)
		return dict_add_u64(d, (const uint64_t *)(const void *)v->data, first, n, indices);
	return dict_add_fixed(d, v->data, v->width, first, n, indices);
}

static unsigned dict_index_width(const struct dict *d)
{
	unsigned width = d->count ? encode_width(d->count - 1) : 0;
	return width ? width : 1; /* width 0 is legal but readers have stumbled over it */
}

/* The most entries with which a dictionary would be accepted. */
static double dict_entries_max(const struct encoder *e, const struct values *v)
{
	double plain = (double)values_plain_bytes(v, 0, v->count) / v->count, limit = (double)e->opts.dictionary_bytes / plain;
	double width = encode_width(limit < v->count ? (uint32_t)limit : v->count) / 8.0;
	double worth = v->count * (0.875 - width / plain);
	return worth < limit ? worth : limit;
}

/* Draws values from all over the chunk and counts equal pairs. Whatever their frequencies, D different values give at least draws² / 2D
 * pairs on average: far fewer, and there are more values than a dictionary may have. Repetitions at any distance count, so that
 * this loses no dictionary that a look at the chunk's start would lose (a sequence that starts again, say). */
static bool dict_hopeless(struct encoder *e, const struct values *v)
{
	double entries = dict_entries_max(e, v);
	if (entries < 1)
		return true;
	uint32_t draws = 512;
	while (draws < DICT_DRAWS_MAX && (double)draws * draws < 2 * DICT_PAIRS * entries)
		draws *= 2;
	double expected = (double)draws * draws / 2 / entries;
	if (expected < DICT_PAIRS || draws > v->count / 8)
		return false;
	size_t mask = 4 * DICT_DRAWS_MAX - 1;
	struct dict_slot *seen = scratch(&e->trial, (mask + 1) * sizeof *seen);
	memset(seen, 0, (mask + 1) * sizeof *seen);
	uint64_t random = 1, pairs = 0;
	for (uint32_t i = 0; i < draws; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		struct slice s = value_at(v, (uint32_t)((random >> 32) * v->count >> 32));
		uint32_t hash = dict_hash(s.data, s.len);
		size_t at = hash & mask;
		while (seen[at].entry && seen[at].hash != hash)
			at = (at + 1) & mask;
		pairs += seen[at].entry++;
		seen[at].hash = hash;
	}
	return (double)pairs < expected / 4;
}

/* Adds the values; false if there are too many different ones. */
static bool dict_fill(struct encoder *e, const struct values *v, uint32_t first, uint32_t n, uint32_t *indices)
{
	struct dict *d = &e->dict;
	for (uint32_t done = 0; done < n;) {
		done += (uint32_t)dict_add(d, v, first + done, n - done, indices);
		if (done < n && d->count == d->limit)
			dict_grow(e, v);
		else if (done < n && !dict_grow_page(e))
			return false;
		if (d->probes > 16 * (uint64_t)v->count + 4096)
			return false;
	}
	return true;
}

/* How many of the values from `first` on are the one before them: all that a column of one value costs. */
static uint32_t run_of_same(const struct values *v, uint32_t first)
{
	uint32_t at = first;
	while (at < v->count) {
		uint32_t n = v->count - at < SAME_STEP ? v->count - at : SAME_STEP, other = 0;
		size_t from, len = v->width;
		if (v->width) {
			from = (size_t)at * len;
		} else {
			from = v->offsets[at];
			len = from - v->offsets[at - 1];
			for (uint32_t i = at; i < at + n; i++)
				other |= v->offsets[i + 1] - v->offsets[i] - (uint32_t)len;
		}
		if (other || (len && memcmp(v->data + from, v->data + from - len, n * len) != 0))
			break;
		at += n;
	}
	return at - first;
}

/* Fills e->dict and e->indices; false if it is not worth it. */
static bool dict_build(struct encoder *e, const struct values *v)
{
	struct dict *d = &e->dict;
	*d = (struct dict){ 0 };
	if (v->kind == VALUE_BOOL || !e->opts.dictionary_bytes || v->count < 4)
		return false;
	uint32_t *indices = scratch(&e->indices, (size_t)v->count * 4);
	dict_grow(e, v);
	uint32_t at = v->count < DICT_GLANCE ? v->count : DICT_GLANCE, patience = v->count / 4;
	patience = patience < DICT_PATIENCE_MIN ? DICT_PATIENCE_MIN : patience > DICT_PATIENCE_MAX ? DICT_PATIENCE_MAX : patience;
	if (!dict_fill(e, v, 0, at, indices) || (d->count > at / 2 && dict_hopeless(e, v)))
		return false;
	if (d->count == 1) {
		uint32_t same = run_of_same(v, at);
		memset(indices + at, 0, (size_t)same * 4);
		at += same;
	}
	while (at < v->count) {
		uint32_t n = v->count - at < patience ? v->count - at : patience;
		if (!dict_fill(e, v, at, n, indices))
			return false;
		at += n;
		size_t coded = d->page_len + (size_t)at * dict_index_width(d) / 8;
		if (coded > values_plain_bytes(v, 0, at) / 8 * 7)
			return false;
	}
	return d->page_len + (size_t)at * dict_index_width(d) / 8 <= values_plain_bytes(v, 0, at) / 8 * 7;
}

/* ---- trial -------------------------------------------------------------------------------------------------------- */

struct sample {
	uint32_t first[SAMPLE_RUNS], count[SAMPLE_RUNS];
	uint32_t runs;
	size_t plain; /* bytes */
	size_t total; /* plain bytes of the whole chunk */
};

static void sample_take(const struct values *v, struct sample *s)
{
	s->total = values_plain_bytes(v, 0, v->count);
	s->plain = 0;
	s->runs = 0;
	size_t want = s->total / 16;
	want = want < SAMPLE_BYTES_MIN ? SAMPLE_BYTES_MIN : want > SAMPLE_BYTES_MAX ? SAMPLE_BYTES_MAX : want;
	if (want >= s->total / 2) {
		s->first[0] = 0;
		s->count[0] = v->count;
		s->runs = 1;
		s->plain = s->total;
		return;
	}
	uint32_t per_run = (uint32_t)((double)v->count * ((double)want / (double)s->total) / SAMPLE_RUNS) + 1;
	for (uint32_t r = 0; r < SAMPLE_RUNS; r++) {
		uint32_t at = (uint32_t)((uint64_t)v->count * r / SAMPLE_RUNS), n = per_run;
		if (n > v->count - at)
			n = v->count - at;
		/* one giant value must not make the trial expensive */
		while (n > 1 && values_plain_bytes(v, at, n) > 4 * SAMPLE_BYTES_MAX)
			n /= 2;
		s->first[s->runs] = at;
		s->count[s->runs++] = n;
		s->plain += values_plain_bytes(v, at, n);
	}
}

struct outcome {
	double coded, stored; /* bytes for a plain byte: encoded; encoded and compressed */
	double input;         /* … what the codec gets: coded and the dictionary's entries */
};

/* Compresses and scales to a plain byte. */
static struct outcome trial_weigh(struct encoder *e, struct slice coded, double plain)
{
	struct outcome o = { .coded = (double)coded.len / plain };
	o.stored = o.input = o.coded;
	buf_reset(&e->packed);
	if (e->opts.codec != PARQUET_UNCOMPRESSED &&
	    codec_compress(e->codec, e->opts.codec, e->opts.level, coded, &e->packed, NULL) == RC_OK)
		o.stored = (double)e->packed.len / plain;
	return o;
}

static void trial_encode(struct encoder *e, const struct plan *plan, const struct values *v, const struct sample *s)
{
	buf_reset(&e->trial);
	for (uint32_t r = 0; r < s->runs; r++)
		encode_values(e, plan, v, s->first[r], s->count[r], &e->trial);
}

static struct outcome trial_run(struct encoder *e, const struct plan *plan, const struct values *v, const struct sample *s)
{
	trial_encode(e, plan, v, s);
	return trial_weigh(e, buf_slice(&e->trial), (double)s->plain);
}

/* The dictionary's entries count once for the chunk, the indices as the sample shows. */
static struct outcome trial_dictionary(struct encoder *e, const struct plan *plan, const struct values *v, const struct sample *s)
{
	struct outcome indices = trial_run(e, plan, v, s);
	struct slice page = slice_of(e->dict.page, e->dict.page_len);
	if (page.len > SAMPLE_BYTES_MAX)
		page.len = SAMPLE_BYTES_MAX;
	double part = (double)page.len / (double)e->dict.page_len;
	struct outcome entries = trial_weigh(e, page, (double)s->total * part);
	return (struct outcome){ .coded = indices.coded,
				 .stored = indices.stored + entries.stored + PAGE_OVERHEAD / (double)s->total,
				 .input = indices.coded + (double)e->dict.page_len / (double)s->total };
}

/* What an outcome costs. Compressing a byte is worth so much of a stored one: 2 % of it halves the time that compression takes where
 * values share much (URLs), and costs under half a percent of the file there, nothing elsewhere. */
static double outcome_cost(const struct outcome *o)
{
	return o->stored + INPUT_COST * o->input;
}

static void consider(struct plan *best, struct outcome *best_outcome, const struct plan *plan, struct outcome o)
{
	if (outcome_cost(&o) < outcome_cost(best_outcome)) {
		*best = *plan;
		*best_outcome = o;
	}
}

/* Whether compression saves 2 % of a page: small samples hardly compress, so that they only raise the question. */
static bool pays(struct encoder *e, const struct plan *plan, const struct values *v)
{
	struct sample first = { .count = { v->count < e->opts.page_rows ? v->count : e->opts.page_rows }, .runs = 1 };
	while (first.count[0] > 1 && values_plain_bytes(v, 0, first.count[0]) > e->opts.page_bytes)
		first.count[0] /= 2;
	first.plain = values_plain_bytes(v, 0, first.count[0]);
	struct outcome o = trial_run(e, plan, v, &first);
	return o.stored < o.coded * 0.98;
}

static bool takes_encoding(enum value_kind kind, int encoding)
{
	switch (encoding) {
	case ENCODING_DELTA_BINARY_PACKED:
		return kind == VALUE_I32 || kind == VALUE_I64;
	case ENCODING_DELTA_LENGTH_BYTE_ARRAY:
	case ENCODING_DELTA_BYTE_ARRAY:
		return kind == VALUE_STRING || kind == VALUE_BINARY;
	case ENCODING_BYTE_STREAM_SPLIT:
		return kind == VALUE_F32 || kind == VALUE_F64;
	default:
		return false;
	}
}

/* Whether the values come again so often that the dictionary wins without a trial. */
static bool dict_is_best(const struct dict *d, const struct values *v)
{
	return v->count / (v->width ? DICT_SURE_FIXED : DICT_SURE_BYTES) >= d->count;
}

static void plan_dictionary(const struct encoder *e, const struct values *v, struct plan *plan)
{
	plan->encoding = ENCODING_RLE_DICTIONARY;
	plan->index_width = dict_index_width(&e->dict);
	plan->coded_per_plain = (double)v->count * plan->index_width / 8 / (double)values_plain_bytes(v, 0, v->count);
}

void choose_plan(struct encoder *e, const struct values *v, struct plan *ret)
{
	struct plan best = { .encoding = ENCODING_PLAIN, .codec = e->opts.codec, .coded_per_plain = 1 };
	if (v->kind == VALUE_BOOL && e->opts.data_page_v2)
		best.encoding = ENCODING_RLE;
	*ret = best;
	if (!v->count || values_plain_bytes(v, 0, v->count) < 16) {
		/* nothing or next to nothing: a codec would only add its header */
		ret->codec = v->count ? e->opts.codec : PARQUET_UNCOMPRESSED;
		return;
	}
	if (v->kind == VALUE_BOOL)
		return;
	if (takes_encoding(v->kind, e->opts.encoding)) {
		ret->encoding = (enum parquet_encoding)e->opts.encoding;
		return;
	}
	bool dict = dict_build(e, v);
	if (dict && dict_is_best(&e->dict, v)) {
		plan_dictionary(e, v, ret);
		return;
	}
	struct sample sample;
	sample_take(v, &sample);
	struct outcome outcome = trial_run(e, &best, v, &sample);
	struct plan plan = best;
	bool integer = v->kind == VALUE_I32 || v->kind == VALUE_I64;
	bool bytes = v->kind == VALUE_STRING || v->kind == VALUE_BINARY;
	if (dict) {
		plan_dictionary(e, v, &plan);
		struct outcome o = trial_dictionary(e, &plan, v, &sample);
		consider(&best, &outcome, &plan, o);
	}
	if (e->opts.delta && integer) {
		plan.encoding = ENCODING_DELTA_BINARY_PACKED;
		consider(&best, &outcome, &plan, trial_run(e, &plan, v, &sample));
	}
	if (e->opts.delta && bytes) {
		/* never DELTA_LENGTH_BYTE_ARRAY: Spark's vectorised reader gives wrong values for it (SPARK-52240) */
		plan.encoding = ENCODING_DELTA_BYTE_ARRAY;
		plan.whole = true;
		struct outcome lengths = trial_run(e, &plan, v, &sample);
		consider(&best, &outcome, &plan, lengths);
		/* compression finds the prefixes, too: they pay only where they save much before it */
		plan.whole = false;
		trial_encode(e, &plan, v, &sample);
		if ((double)e->trial.len < PREFIXES_MAX * lengths.coded * (double)sample.plain)
			consider(&best, &outcome, &plan, trial_weigh(e, buf_slice(&e->trial), (double)sample.plain));
	}
	if (e->opts.byte_stream_split && (v->kind == VALUE_F32 || v->kind == VALUE_F64)) {
		plan.encoding = ENCODING_BYTE_STREAM_SPLIT;
		consider(&best, &outcome, &plan, trial_run(e, &plan, v, &sample));
	}
	best.coded_per_plain = outcome.coded;
	if (best.encoding != ENCODING_RLE_DICTIONARY && outcome.stored > outcome.coded * 0.95 && !pays(e, &best, v))
		best.codec = PARQUET_UNCOMPRESSED;
	*ret = best;
}
