/* Whether a chunk gets a Bloom filter, and the filter: docs/decisions/bloom-filters.md has what it costs and saves.
 *
 * It pays where a reader looks for one value among many: values like ids, short and nearly all different, that neither a dictionary nor the
 * bounds of the pages tell apart, and whose chunk is much larger than the filter that saves reading it.
 */
#include "parquet/bloom.h"
#include "parquet/write_internal.h"

#define VALUES_MIN 1024    /* of fewer the chunk itself is read as quickly */
#define VALUE_BYTES_MAX 64 /* on average; longer ones are texts */
#define CHUNK_SHARE 4      /* the filter takes at most so much of its chunk's bytes: a quarter */
#define LOOK 4096          /* values after which it can be seen that they repeat */

static bool may_be_ids(const struct plan *plan, const struct values *v, const struct chunk *c)
{
	if (v->kind != VALUE_STRING && v->kind != VALUE_BINARY && v->kind != VALUE_I32 && v->kind != VALUE_I64 && v->kind != VALUE_FIXED)
		return false;
	return plan->encoding != ENCODING_RLE_DICTIONARY && v->count >= VALUES_MIN && v->count <= INT32_MAX / 4 &&
	       values_plain_bytes(v, 0, v->count) / v->count <= VALUE_BYTES_MAX &&
	       bloom_bytes(v->count / 2) <= (uint64_t)c->compressed / CHUNK_SHARE;
}

/* Most pages lie beside each other: sequences, times, ids that begin with a time. */
static bool pages_separate(enum value_kind kind, const struct page *pages, uint32_t count)
{
	uint32_t pairs = 0, apart = 0;
	for (uint32_t i = 1; i < count; i++) {
		const struct bounds *a = &pages[i - 1].bounds, *b = &pages[i].bounds;
		if (!a->has || !b->has)
			continue;
		pairs++;
		apart += stats_compare(kind, bounds_max(a), bounds_min(b)) < 0 || stats_compare(kind, bounds_max(b), bounds_min(a)) < 0;
	}
	return pairs && apart >= pairs - pairs / 4;
}

/* Fills e->trial with blocks for all values, as many as there are different ones need. False: too few are different. */
static bool build(struct encoder *e, const struct values *v)
{
	size_t bytes = bloom_bytes(v->count);
	uint32_t different = 0;
	buf_reset(&e->trial);
	if (!buf_reserve(&e->trial, bytes))
		return false;
	memset(e->trial.data, 0, bytes);
	for (uint32_t i = 0; i < v->count; i++) {
		struct slice s = value_at(v, i);
		different += bloom_add(e->trial.data, bytes / BLOOM_BLOCK, bloom_hash(s.data, s.len));
		if (i == LOOK && different < LOOK / 2)
			return false;
	}
	if (different < v->count / 2)
		return false;
	for (; bloom_bytes(different) < bytes; bytes /= 2)
		bloom_fold(e->trial.data, bytes / BLOOM_BLOCK);
	e->trial.len = bytes;
	return true;
}

void bloom_write(struct encoder *e, const struct plan *plan, const struct values *v, struct chunk *c)
{
	if (!may_be_ids(plan, v, c) || pages_separate(v->kind, (const struct page *)(const void *)e->pages.data, c->data_pages) ||
	    !build(e, v) || e->trial.len > (uint64_t)c->compressed / CHUNK_SHARE)
		return;
	struct meta_bloom_header h = { .num_bytes = (int32_t)e->trial.len };
	META_SET(&h.algorithm, BLOOM_CHOICE_KNOWN);
	META_SET(&h.hash, BLOOM_CHOICE_KNOWN);
	META_SET(&h.compression, BLOOM_CHOICE_KNOWN);
	size_t at = e->out.len;
	meta_bloom_header_encode(&h, &e->out);
	buf_append_slice(&e->out, buf_slice(&e->trial));
	if (e->out.overflow)
		return; /* the next page says so */
	c->bloom_len = (uint32_t)(e->out.len - at);
}
