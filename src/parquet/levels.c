/* Definition and repetition levels (Parquet format, "Nested Encoding"; Dremel) from presence bitmaps and list offsets.
 *
 * A frame holds the levels as they are at one schema node; a child's frame is made from its parent's, so siblings share the work.
 * def < max_def: something above (or the node itself) is absent or empty there. def == max_def: the entry stands for a slot.
 */
#include "parquet/write_internal.h"

void level_frame_init(struct level_frame *f)
{
	*f = (struct level_frame){ .def_same = 0 };
	buf_init(&f->def_store, (size_t)UINT32_MAX + 64);
	buf_init(&f->rep_store, (size_t)UINT32_MAX + 64);
}

void level_frame_free(struct level_frame *f)
{
	buf_free(&f->def_store);
	buf_free(&f->rep_store);
}

void levels_root(struct level_frame *f, uint32_t rows)
{
	f->entries = rows;
	f->max_def = f->max_rep = 0;
	f->def_same = 0;
	f->def = f->rep = NULL;
	f->bits = NULL;
}

static uint8_t *room(struct buf *b, size_t n)
{
	buf_reset(b);
	buf_reserve(b, n + 8);
	return b->data;
}

/* Bits 0 .. n to bytes: base + bit. */
static void spread_bits(uint8_t *out, const uint64_t *bits, uint32_t n, uint8_t base)
{
	for (uint32_t i = 0; i < n; i += 64) {
		uint64_t w = bits[i >> 6];
		uint32_t left = n - i < 64 ? n - i : 64;
		if (w == 0 || w == ~(uint64_t)0) {
			memset(out + i, base + (w != 0), left);
			continue;
		}
		for (uint32_t k = 0; k < left; k++)
			out[i + k] = (uint8_t)(base + (w >> k & 1));
	}
}

/* 0x80 in each byte of v that equals `byte`. */
static inline uint64_t bytes_equal(uint64_t v, uint8_t byte)
{
	const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
	uint64_t x = v ^ 0x0101010101010101u * byte;
	return ~(((x & low) + low) | x | low);
}

/* out = from, and one more for those entries at `top` whose slot is present (NULL: all are). */
static void raise_slots(uint8_t *out, const uint8_t *from, uint32_t n, uint8_t top, const uint64_t *present)
{
	uint32_t slot = 0, i = 0;
	for (; i + 8 <= n; i += 8) {
		uint64_t v;
		memcpy(&v, from + i, 8);
		uint64_t slots = bytes_equal(v, top);
		if (!present) {
			v += slots >> 7;
			slots = 0;
		}
		for (; slots; slots &= slots - 1, slot++)
			v += (present[slot >> 6] >> (slot & 63) & 1) << (__builtin_ctzll(slots) - 7);
		memcpy(out + i, &v, 8);
	}
	for (; i < n; i++) {
		out[i] = from[i];
		if (from[i] == top) {
			out[i] = (uint8_t)(top + (!present || (present[slot >> 6] >> (slot & 63) & 1)));
			slot++;
		}
	}
}

void levels_optional(struct level_frame *f, const struct level_frame *parent, const uint64_t *present, uint32_t slots, uint32_t values,
		     bool leaf)
{
	f->entries = parent->entries;
	f->max_def = (uint8_t)(parent->max_def + 1);
	f->max_rep = parent->max_rep;
	f->rep = parent->rep;
	f->def_same = -1;
	f->def = NULL;
	f->bits = NULL;
	bool dense = parent->def_same == parent->max_def; /* every entry is a slot */
	if (values == 0) {
		f->def_same = parent->def_same;
		f->def = parent->def;
	} else if (dense && values == slots) {
		f->def_same = f->max_def;
	} else if (dense && leaf && f->max_def == 1) {
		f->bits = present;
	} else if (dense) {
		uint8_t *def = room(&f->def_store, f->entries);
		spread_bits(def, present, f->entries, parent->max_def);
		f->def = def;
	} else {
		uint8_t *def = room(&f->def_store, f->entries);
		raise_slots(def, parent->def, f->entries, parent->max_def, values == slots ? NULL : present);
		f->def = def;
	}
}

void levels_repeated(struct level_frame *f, const struct level_frame *parent, const uint32_t *offsets, uint32_t instances)
{
	uint8_t top = parent->max_def, next_rep = (uint8_t)(parent->max_rep + 1);
	uint32_t empty = 0;
	for (uint32_t i = 0; i < instances; i++)
		empty += offsets[i + 1] == offsets[i];
	/* each instance has one entry already; one with k elements gets k - 1 more */
	size_t entries = (size_t)parent->entries + offsets[instances] - (instances - empty);
	uint8_t *def = room(&f->def_store, entries), *rep = room(&f->rep_store, entries);
	size_t at = 0;
	uint32_t instance = 0;
	for (uint32_t i = 0; i < parent->entries; i++) {
		uint8_t d = parent->def_same >= 0 ? (uint8_t)parent->def_same : parent->def[i];
		uint8_t r = parent->rep ? parent->rep[i] : 0;
		if (d < top) {
			def[at] = d;
			rep[at++] = r;
			continue;
		}
		uint32_t n = offsets[instance + 1] - offsets[instance];
		instance++;
		def[at] = (uint8_t)(top + (n != 0));
		rep[at++] = r;
		for (uint32_t k = 1; k < n; k++) {
			def[at] = (uint8_t)(top + 1);
			rep[at++] = next_rep;
		}
	}
	f->entries = (uint32_t)at;
	f->max_def = (uint8_t)(top + 1);
	f->max_rep = next_rep;
	f->def_same = -1;
	f->def = def;
	f->rep = rep;
	f->bits = NULL;
}

void levels_absent(struct level_frame *f, const struct level_frame *parent, uint8_t max_def, uint8_t max_rep)
{
	f->entries = parent->entries;
	f->max_def = max_def;
	f->max_rep = max_rep;
	f->def_same = parent->def_same;
	f->def = parent->def;
	f->rep = parent->rep;
	f->bits = NULL;
}

static uint32_t count_bits(const uint64_t *bits, uint32_t from, uint32_t to)
{
	if (from >= to)
		return 0;
	uint32_t first = from >> 6, last = (to - 1) >> 6, n = 0;
	uint64_t head = ~(uint64_t)0 << (from & 63), tail = ~(uint64_t)0 >> (63 - ((to - 1) & 63));
	if (first == last)
		return (uint32_t)__builtin_popcountll(bits[first] & head & tail);
	n = (uint32_t)__builtin_popcountll(bits[first] & head) + (uint32_t)__builtin_popcountll(bits[last] & tail);
	for (uint32_t w = first + 1; w < last; w++)
		n += (uint32_t)__builtin_popcountll(bits[w]);
	return n;
}

uint32_t levels_count_values(const struct level_frame *f, uint32_t from, uint32_t to)
{
	if (f->bits)
		return count_bits(f->bits, from, to);
	if (f->def_same >= 0)
		return f->def_same == f->max_def ? to - from : 0;
	uint32_t n = 0, i = from;
	for (; i + 8 <= to; i += 8) {
		uint64_t v;
		memcpy(&v, f->def + i, 8);
		n += (uint32_t)((bytes_equal(v, f->max_def) >> 7) * 0x0101010101010101u >> 56);
	}
	for (; i < to; i++)
		n += f->def[i] == f->max_def;
	return n;
}

uint32_t levels_skip_rows(const struct level_frame *f, uint32_t from, uint32_t rows, uint32_t *ret_rows)
{
	if (!f->rep) {
		*ret_rows = f->entries - from < rows ? f->entries - from : rows;
		return from + *ret_rows;
	}
	uint32_t n = 0, i = from;
	for (; i < f->entries; i++) {
		if (f->rep[i] == 0 && n++ == rows)
			break;
	}
	*ret_rows = n > rows ? rows : n;
	return i;
}

void levels_encode_def(const struct level_frame *f, uint32_t from, uint32_t to, struct buf *out)
{
	unsigned width = encode_width(f->max_def);
	if (f->def_same >= 0) {
		buf_reserve(out, 16);
		out->len += encode_rle_same(out->data + out->len, (uint32_t)f->def_same, to - from, width);
		return;
	}
	buf_reserve(out, encode_rle_bound(to - from, width));
	if (f->bits)
		out->len += encode_rle_bits(out->data + out->len, f->bits, from, to - from);
	else
		out->len += encode_rle_u8(out->data + out->len, f->def + from, to - from, width);
}

void levels_encode_rep(const struct level_frame *f, uint32_t from, uint32_t to, struct buf *out)
{
	unsigned width = encode_width(f->max_rep);
	buf_reserve(out, encode_rle_bound(to - from, width));
	if (f->rep)
		out->len += encode_rle_u8(out->data + out->len, f->rep + from, to - from, width);
	else
		out->len += encode_rle_same(out->data + out->len, 0, to - from, width);
}
