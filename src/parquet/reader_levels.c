/* Repetition and definition levels → presence bitmaps and list offsets: the inverse of Dremel's shredding, one pass over the levels for each
 * field on the way to the leaf (see struct level_node for the rules).
 *
 * Levels are at most 127, so that eight of them are compared in one 64-bit word; 64 entries make three masks (slot, present, element), from
 * which bits are appended and list offsets counted.
 */
#include "parquet/reader_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

bool reader_levels_simd;

#define LEVEL_GROUP 16
#define ONES 0x0101010101010101u
#define HIGH 0x8080808080808080u

/* Bit i of the result: levels[i] ≥ least, for n ≤ 64 levels of at most 127; least ≤ 127. Loads whole groups of LEVEL_GROUP. */
static uint64_t mask_at_least(const uint8_t *levels, size_t n, unsigned least)
{
	uint64_t mask = 0;
#if defined(__SSE2__)
	const __m128i below = _mm_set1_epi8((char)(least - 1));
	for (size_t i = 0; i < n; i += LEVEL_GROUP)
		mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpgt_epi8(_mm_loadu_si128((const __m128i *)(levels + i)), below)) << i;
#else
	for (size_t i = 0; i < n; i += 8) {
		uint64_t ge = ((decode_load64(levels + i) | HIGH) - least * ONES) & HIGH;
		mask |= ((ge >> 7) * 0x0102040810204080u >> 56) << i;
	}
#endif
	return n < 64 ? mask & (((uint64_t)1 << n) - 1) : mask;
}

static size_t count_at_least(const uint8_t *levels, size_t n, unsigned least)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++)
		count += levels[i] >= least;
	return count;
}

/* Appends n ≤ 64 bits at bit `at`; the words from there on are zero behind it. */
static void bits_append(uint64_t *bits, size_t at, uint64_t word, size_t n)
{
	if (!n)
		return;
	bits[at / 64] |= word << (at % 64);
	if (at % 64 + n > 64)
		bits[at / 64 + 1] |= word >> (64 - at % 64);
}

#if defined(__x86_64__)
__attribute__((target("bmi2"))) static uint64_t bits_extract_bmi2(uint64_t word, uint64_t mask)
{
	return _pext_u64(word, mask);
}
#endif

/* The bits of `word` at the places of `mask`, moved together. */
static uint64_t bits_extract(uint64_t word, uint64_t mask)
{
#if defined(__x86_64__)
	if (reader_levels_simd)
		return bits_extract_bmi2(word, mask);
#endif
	uint64_t out = 0;
	for (unsigned k = 0; mask; k++, mask &= mask - 1)
		out |= (word >> __builtin_ctzll(mask) & 1) << k;
	return out;
}

static void reserve_present(struct column *c, size_t slots)
{
	size_t last = c->slots + slots; /* one more than needed: appending may touch the next word */
	if (last >> 6 >= c->present_cap)
		column_grow_present(c, (uint32_t)last);
}

void reader_reserve_offsets(struct column *c, size_t entries)
{
	while ((size_t)c->values + entries + 1 > c->offsets_cap)
		column_grow_offsets(c);
}

/* n slots that are all present. */
static void node_fill(struct column *c, size_t n)
{
	reserve_present(c, n);
	bits_fill(c->present, c->slots, n);
	c->slots += (uint32_t)n;
	c->values += (uint32_t)n;
}

/* Starts of the list instances `begins`, where `elements` has a bit for each entry that is an element. */
static void list_offsets(struct column *c, uint64_t begins, uint64_t elements)
{
	uint32_t base = c->offsets[c->values], v = c->values;
	for (; begins; begins &= begins - 1) {
		uint64_t before = (begins & -begins) - 1;
		c->offsets[v++] = base + (uint32_t)__builtin_popcountll(elements & before);
	}
	c->offsets[v] = base + (uint32_t)__builtin_popcountll(elements);
}

/* Structure of one field from n entries. reps is NULL for leaves without repetition. */
static void node_apply(const struct level_node *node, struct column *c, const uint8_t *reps, const uint8_t *defs, size_t n)
{
	reserve_present(c, n);
	if (node->list)
		reader_reserve_offsets(c, n);
	for (size_t i = 0; i < n; i += 64) {
		size_t m = n - i < 64 ? n - i : 64;
		uint64_t all = m < 64 ? ((uint64_t)1 << m) - 1 : ~(uint64_t)0;
		uint64_t opens = reps ? all & ~mask_at_least(reps + i, m, node->slot_rep + 1u) : all;
		uint64_t slots = opens & mask_at_least(defs + i, m, node->slot_def);
		uint64_t present = slots & mask_at_least(defs + i, m, node->present_def);
		if (node->list) {
			uint64_t elements = mask_at_least(defs + i, m, node->element_def);
			if (reps)
				elements &= ~mask_at_least(reps + i, m, node->slot_rep + 2u);
			list_offsets(c, present, elements);
		}
		size_t count = (size_t)__builtin_popcountll(slots);
		bits_append(c->present, c->slots, slots == all ? present : bits_extract(present, slots), count);
		c->slots += (uint32_t)count;
		c->values += (uint32_t)__builtin_popcountll(present);
	}
}

/* Refuses levels that no writer makes: the structure built from the rest is then consistent. */
static bool levels_valid(struct level_sink *s, const uint8_t *reps, const uint8_t *defs, size_t n)
{
	const struct leaf *l = s->leaf;
	uint8_t max_rep = 0, max_def = 0;
	for (size_t i = 0; i < n; i++)
		max_def = defs[i] > max_def ? defs[i] : max_def;
	if (max_def > l->max_def)
		return false;
	if (!reps)
		return true;
	for (size_t i = 0; i < n; i++)
		max_rep = reps[i] > max_rep ? reps[i] : max_rep;
	if (max_rep > l->max_rep || (!s->started && reps[0]))
		return false;
	/* An entry continues a list of its repetition level only if it and the entry before lie inside of one that has elements. */
	bool bad = false;
	uint8_t before = s->last_def;
	for (size_t i = 0; i < n; i++) {
		uint8_t least = l->element_defs[reps[i]];
		bad |= defs[i] < least || before < least;
		before = defs[i];
	}
	s->last_def = before;
	s->started = true;
	return !bad;
}

/* Which of n entries belong to rows in [row_from, row_to); counts the rows begun. */
static void select_rows(struct level_sink *s, const uint8_t *reps, size_t n, size_t *ret_first, size_t *ret_last)
{
	size_t begun = reps ? n - count_at_least(reps, n, 1) : n;
	bool from_start = s->row > s->row_from || (s->row == s->row_from && (!reps || reps[0] == 0));
	if (from_start && s->row + begun <= s->row_to) {
		*ret_first = 0;
		*ret_last = n;
		s->row += begun;
		return;
	}
	size_t first = n, last = n;
	uint64_t row = s->row;
	for (size_t i = 0; i < n; i++) {
		row += !reps || reps[i] == 0;
		if (first == n && row > s->row_from)
			first = i;
		if (row > s->row_to) {
			last = i;
			s->done = true;
			break;
		}
	}
	*ret_first = first < last ? first : last;
	*ret_last = last;
	s->row += begun;
}

struct level_input {
	struct hybrid_reader rle;
	const uint8_t *packed; /* BIT_PACKED instead */
	uint64_t at;
	unsigned width;
};

static void input_open(struct level_input *in, const uint8_t *from, const uint8_t *end, bool packed, unsigned max)
{
	unsigned width = max ? 32 - (unsigned)__builtin_clz(max) : 0;
	*in = (struct level_input){ .packed = packed ? from : NULL, .width = width };
	hybrid_init(&in->rle, from, end, width);
}

static bool input_read(struct level_input *in, uint8_t *out, size_t n)
{
	if (!in->packed)
		return hybrid_read_u8(&in->rle, out, n);
	unpack_msb_u8(in->packed, in->at, in->width, out, n);
	in->at += n;
	return true;
}

static rc_t levels_bad(struct err *reterr)
{
	return err_set(reterr, RC_CORRUPT, "a data page has invalid repetition or definition levels");
}

/* Memory of the structure that n entries can add. */
static rc_t charge_structure(struct parquet_reader *r, const struct leaf *l, size_t n, struct err *reterr)
{
	size_t bytes = 0;
	for (uint32_t k = 0; k < l->path_len; k++)
		bytes += n / 8 + (l->path[k].list ? n : 0); /* a byte an entry stands for the offsets: most entries begin no list */
	return reader_charge(r, bytes, reterr);
}

static rc_t apply_nested(struct parquet_reader *r, struct level_sink *s, const struct page *p, size_t *ret_skip, size_t *ret_take,
			 size_t *ret_total, struct err *reterr)
{
	const struct leaf *l = s->leaf;
	uint8_t reps_room[LEVEL_CHUNK + LEVEL_GROUP], defs[LEVEL_CHUNK + LEVEL_GROUP]; /* compared in groups */
	const uint8_t *reps = l->max_rep ? reps_room : NULL;
	struct level_input rep_in, def_in;
	input_open(&rep_in, p->reps, p->reps_end, p->reps_packed, l->max_rep);
	input_open(&def_in, p->defs, p->defs_end, p->defs_packed, l->max_def);
	struct column *leaf_column = s->columns[l->path_len - 1];
	uint32_t values_before = leaf_column->values;
	size_t skip = 0, total = 0;
	memset(reps_room, 0, sizeof reps_room);
	memset(defs, 0, sizeof defs);
	for (size_t left = p->entries, n; left; left -= n) {
		n = left < LEVEL_CHUNK ? left : LEVEL_CHUNK;
		if ((reps && !input_read(&rep_in, reps_room, n)) || !input_read(&def_in, defs, n) || !levels_valid(s, reps, defs, n))
			return levels_bad(reterr);
		size_t first, last;
		select_rows(s, reps, n, &first, &last);
		TRY(charge_structure(r, l, last - first, reterr));
		skip += count_at_least(defs, first, l->max_def); /* entries before `first` exist only until the range begins */
		total += count_at_least(defs, n, l->max_def);
		/* The masks want groups from an even start. */
		if (first) {
			memmove(reps_room, reps_room + first, last - first);
			memmove(defs, defs + first, last - first);
		}
		for (uint32_t k = 0; k < l->path_len && last > first; k++)
			node_apply(&l->path[k], s->columns[k], reps, defs, last - first);
	}
	*ret_skip = skip;
	*ret_take = leaf_column->values - values_before;
	*ret_total = total;
	return RC_OK;
}

/* n entries of one level. */
static void node_run(const struct level_node *node, struct column *c, unsigned def, size_t n)
{
	if (def < node->slot_def)
		return;
	reserve_present(c, n);
	if (def >= node->present_def) {
		bits_fill(c->present, c->slots, n);
		c->values += (uint32_t)n;
	}
	c->slots += (uint32_t)n;
}

#if defined(__x86_64__)
__attribute__((constructor)) static void levels_detect(void)
{
	__builtin_cpu_init();
	reader_levels_simd = __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

/* Bit i of the result: entry i's level is at least `least`, from the bits of the levels by weight. */
__attribute__((target("bmi2,popcnt"))) static inline uint64_t planes_at_least(const uint64_t planes[3], unsigned least)
{
	uint64_t greater = 0, equal = ~(uint64_t)0;
	for (unsigned b = 3; b-- > 0;) {
		if (least >> b & 1) {
			equal &= planes[b];
		} else {
			greater |= equal & planes[b];
			equal &= ~planes[b];
		}
	}
	return least > 7 ? 0 : greater | equal;
}

/* n entries, in no list, whose levels of at most 3 bits are packed at `in` from entry `at` on: 64 at a time, without unpacking. False for a
 * level over the leaf's. */
__attribute__((target("bmi2,popcnt"))) static bool packed_bmi2(const struct level_sink *s, const uint8_t *in, uint64_t at, unsigned width, size_t n,
							       bool keep, size_t *ret_values)
{
	static const uint64_t every[4] = { 0, 0xffff, 0x55555555, 0x249249249249 };
	const struct leaf *l = s->leaf;
	uint64_t bad = 0;
	for (uint32_t k = 0; k < l->path_len && keep; k++)
		reserve_present(s->columns[k], n);
	for (size_t i = 0; i < n; i += 64) {
		size_t m = n - i < 64 ? n - i : 64;
		uint64_t all = ~(uint64_t)0 >> (64 - m), planes[3] = { 0 };
		for (unsigned part = 0; part < 4; part++) {
			uint64_t bit = (at + i + 16 * part) * width, v = decode_load64(in + bit / 8) >> (bit % 8);
			for (unsigned b = 0; b < width; b++)
				planes[b] |= _pext_u64(v, every[width] << b) << (16 * part);
		}
		bad |= all & planes_at_least(planes, l->max_def + 1u);
		*ret_values += (size_t)__builtin_popcountll(all & planes_at_least(planes, l->max_def));
		for (uint32_t k = 0; k < l->path_len && keep; k++) {
			struct column *c = s->columns[k];
			uint64_t slots = all & planes_at_least(planes, l->path[k].slot_def);
			uint64_t present = slots & planes_at_least(planes, l->path[k].present_def);
			size_t count = (size_t)__builtin_popcountll(slots);
			bits_append(c->present, c->slots, _pext_u64(present, slots), count);
			c->slots += (uint32_t)count;
			c->values += (uint32_t)__builtin_popcountll(present);
		}
	}
	return !bad;
}
#else
static bool packed_bmi2(const struct level_sink *s, const uint8_t *in, uint64_t at, unsigned width, size_t n, bool keep, size_t *ret_values)
{
	return false; /* reader_levels_simd is never set */
}
#endif

/* The next n entries of a field that lies in no list, a run of equal levels at a time; keep: they belong to the rows wanted. */
static bool entries_optional(const struct level_sink *s, struct hybrid_reader *h, size_t n, bool keep, size_t *ret_values)
{
	const struct leaf *l = s->leaf;
	uint8_t defs[LEVEL_CHUNK + LEVEL_GROUP];
	uint32_t def = 0;
	for (size_t m, packed; n; n -= m) {
		m = hybrid_take_run(h, n, &def, &packed);
		if (m) {
			if (def > l->max_def)
				return false;
			*ret_values += def == l->max_def ? m : 0;
			for (uint32_t k = 0; k < l->path_len && keep; k++)
				node_run(&l->path[k], s->columns[k], def, m);
			continue;
		}
		m = packed < LEVEL_CHUNK ? packed : LEVEL_CHUNK;
		if (m && reader_levels_simd && h->width <= 3) {
			if (!packed_bmi2(s, h->packed, h->packed_at, h->width, m, keep, ret_values))
				return false;
			h->packed_at += m;
			continue;
		}
		if (!m || !hybrid_read_u8(h, defs, m))
			return false;
		memset(defs + m, 0, LEVEL_GROUP);
		if (count_at_least(defs, m, l->max_def + 1u))
			return false;
		*ret_values += count_at_least(defs, m, l->max_def);
		for (uint32_t k = 0; k < l->path_len && keep; k++)
			node_apply(&l->path[k], s->columns[k], NULL, defs, m);
	}
	return true;
}

/* In no list: an entry is a row. */
static rc_t apply_optional(struct parquet_reader *r, struct level_sink *s, const struct page *p, size_t *ret_skip, size_t *ret_take,
			   size_t *ret_total, struct err *reterr)
{
	uint64_t entries = p->entries, before = s->row_from > s->row ? s->row_from - s->row : 0, until = s->row_to > s->row ? s->row_to - s->row : 0;
	size_t first = (size_t)(before < entries ? before : entries), last = (size_t)(until < entries ? until : entries);
	size_t skip = 0, take = 0, rest = 0;
	struct hybrid_reader h;
	hybrid_init(&h, p->defs, p->defs_end, 32 - (unsigned)__builtin_clz(s->leaf->max_def));
	TRY(charge_structure(r, s->leaf, last - first, reterr));
	if (!entries_optional(s, &h, first, false, &skip) || !entries_optional(s, &h, last - first, true, &take) ||
	    !entries_optional(s, &h, (size_t)entries - last, false, &rest))
		return levels_bad(reterr);
	s->row += entries;
	*ret_skip = skip;
	*ret_take = take;
	*ret_total = skip + take + rest;
	return RC_OK;
}

/* Required all the way: no levels are stored. */
static rc_t apply_required(struct parquet_reader *r, struct level_sink *s, const struct page *p, size_t *ret_skip, size_t *ret_take,
			   size_t *ret_total, struct err *reterr)
{
	size_t first, last;
	select_rows(s, NULL, p->entries, &first, &last);
	TRY(charge_structure(r, s->leaf, last - first, reterr));
	for (uint32_t k = 0; k < s->leaf->path_len && last > first; k++)
		node_fill(s->columns[k], last - first);
	*ret_skip = first;
	*ret_take = last - first;
	*ret_total = p->entries;
	return RC_OK;
}

/* One optional field at top level: the definition levels are the bitmap. */
static rc_t apply_flat(struct parquet_reader *r, struct level_sink *s, const struct page *p, size_t *ret_skip, size_t *ret_take,
		       size_t *ret_total, struct err *reterr)
{
	struct column *c = s->columns[0];
	struct hybrid_reader h;
	size_t ones = 0;
	TRY(charge_structure(r, s->leaf, p->entries, reterr));
	reserve_present(c, p->entries);
	hybrid_init(&h, p->defs, p->defs_end, 1);
	c->slots += p->entries; /* in any case, so that a reset finds all bits */
	if (!hybrid_read_bits(&h, c->present, c->slots - p->entries, p->entries, &ones))
		return levels_bad(reterr);
	c->values += (uint32_t)ones;
	s->row += p->entries;
	*ret_skip = 0;
	*ret_take = *ret_total = ones;
	return RC_OK;
}

rc_t levels_apply(struct parquet_reader *r, struct level_sink *s, const struct page *p, size_t *ret_skip, size_t *ret_take,
		  size_t *ret_total, struct err *reterr)
{
	const struct leaf *l = s->leaf;
	rc_t rc;
	if (!p->entries) {
		*ret_skip = *ret_take = *ret_total = 0;
		rc = RC_OK;
	} else if (!l->max_rep && !l->max_def) {
		rc = apply_required(r, s, p, ret_skip, ret_take, ret_total, reterr);
	} else if (l->path_len == 1 && l->max_def == 1 && !l->max_rep && !p->defs_packed && s->row >= s->row_from &&
		   s->row + p->entries <= s->row_to) {
		rc = apply_flat(r, s, p, ret_skip, ret_take, ret_total, reterr);
	} else if (!l->max_rep && !p->defs_packed) {
		rc = apply_optional(r, s, p, ret_skip, ret_take, ret_total, reterr);
	} else {
		rc = apply_nested(r, s, p, ret_skip, ret_take, ret_total, reterr);
	}
	if (!l->max_rep && s->row >= s->row_to)
		s->done = true;
	return rc;
}
