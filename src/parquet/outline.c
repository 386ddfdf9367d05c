/* What is kept of a finished row group's structs, lists and maps: a column that only a later row group has still needs, in the
 * earlier one, levels that say where its parents are present and how long its lists are. */
#include "parquet/write_internal.h"

#define OUTLINE_CODEC PARQUET_ZSTD

static rc_t keep_packed(struct encoder *e, struct arena *a, struct slice bytes, struct slice *ret, struct err *reterr)
{
	buf_reset(&e->packed);
	TRY(codec_compress(e->codec, OUTLINE_CODEC, 1, bytes, &e->packed, reterr));
	*ret = arena_copy(a, buf_slice(&e->packed));
	return RC_OK;
}

static size_t bitmap_bytes(uint32_t slots)
{
	return ((size_t)slots + 63) / 64 * 8;
}

rc_t outline_add(struct row_group *g, struct encoder *e, struct arena *a, uint32_t ordinal, const struct column *c, struct err *reterr)
{
	struct outline_entry entry = { .ordinal = ordinal, .slots = c->slots, .values = c->values };
	if (c->values < c->slots)
		TRY(keep_packed(e, a, slice_of(c->present, bitmap_bytes(c->slots)), &entry.bits, reterr));
	if (c->offsets) {
		buf_reset(&e->trial);
		buf_reserve(&e->trial, (size_t)c->values * 4);
		for (uint32_t i = 0; i < c->values; i++)
			buf_u32(&e->trial, c->offsets[i + 1] - c->offsets[i]);
		TRY(keep_packed(e, a, buf_slice(&e->trial), &entry.offsets, reterr));
	}
	if (g->outline_count == g->outline_cap) {
		g->outline_cap = g->outline_cap ? 2 * g->outline_cap : 16;
		g->outline = mem_realloc(g->outline, g->outline_cap * sizeof *g->outline);
	}
	g->outline[g->outline_count++] = entry;
	return RC_OK;
}

rc_t outline_load(const struct outline_entry *entry, struct encoder *e, struct column *c, struct err *reterr)
{
	c->slots = entry->slots;
	c->values = entry->values;
	c->child_count = 0;
	if (entry->slots)
		column_grow_present(c, entry->slots - 1);
	if (entry->bits.data)
		TRY(codec_decompress(e->codec, OUTLINE_CODEC, entry->bits, c->present, bitmap_bytes(entry->slots), reterr));
	if (!entry->offsets.data)
		return RC_OK;
	while (c->offsets_cap < (size_t)entry->values + 1)
		column_grow_offsets(c);
	TRY(codec_decompress(e->codec, OUTLINE_CODEC, entry->offsets, c->offsets + 1, (size_t)entry->values * 4, reterr));
	c->offsets[0] = 0;
	for (uint32_t i = 0; i < entry->values; i++)
		c->offsets[i + 1] += c->offsets[i];
	return RC_OK;
}
