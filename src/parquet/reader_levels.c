/* Repetition and definition levels → presence bitmaps and list offsets: the inverse of Dremel's shredding, one pass over the levels for each
 * field on the way to the leaf (see struct level_node for the rules).
 *
 * Levels are read as bits, LEVEL_CHUNK entries at a time: for each level the entries that have at least it, a word for 64 of them. From these
 * words bits are appended and list offsets counted. Levels of at most three bits become words straight from their runs.
 */
#include "parquet/reader_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

bool reader_levels_simd;

#define LEVEL_GROUP 16
#define LEVEL_WORDS (LEVEL_CHUNK / 64 + 1) /* appending may touch one more */
#define PLANES	    3			    /* levels of so many bits are not unpacked */
#define ONES 0x0101010101010101u
#define HIGH 0x8080808080808080u

struct level_bits {
	uint64_t at_least[READER_LEVELS_MAX + 2][LEVEL_WORDS]; /* [level]: bit i: entry i has it, or a higher one. Up to the leaf's highest + 1 */
};

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

/* ---- reading ---- */

struct level_input {
	struct hybrid_reader rle;
	const uint8_t *packed; /* BIT_PACKED instead */
	uint64_t at;
	unsigned width, max;
};

static void input_open(struct level_input *in, const uint8_t *from, const uint8_t *end, bool packed, unsigned max)
{
	unsigned width = max ? 32 - (unsigned)__builtin_clz(max) : 0;
	*in = (struct level_input){ .packed = packed ? from : NULL, .width = width, .max = max };
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

/* By unpacking. */
static bool unpacked_bits(struct level_input *in, size_t n, struct level_bits *ret)
{
	uint8_t levels[LEVEL_CHUNK + LEVEL_GROUP]; /* compared in groups */
	if (!input_read(in, levels, n))
		return false;
	memset(levels + n, 0, LEVEL_GROUP);
	for (unsigned least = 1; least <= in->max + 1; least++)
		for (size_t i = 0; i < n; i += 64)
			ret->at_least[least][i / 64] = mask_at_least(levels + i, n - i < 64 ? n - i : 64, least);
	return true;
}

#if defined(__x86_64__)
__attribute__((constructor)) static void levels_detect(void)
{
	__builtin_cpu_init();
	reader_levels_simd = __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

/* n packed levels to bit `at` of the planes, one for each bit of a level. With a constant width the inner loops are unrolled. */
__attribute__((target("bmi2,popcnt"), always_inline)) static inline void packed_by(const struct hybrid_reader *h, unsigned width, size_t n,
										   uint64_t planes[PLANES][LEVEL_WORDS], size_t at)
{
	static const uint64_t every[PLANES + 1] = { 0, 0xffffffffffff, 0x555555555555, 0x249249249249 };
	const size_t step = 48 / width; /* so many are in one load, wherever it begins */
	uint64_t bit = h->packed_at * width;
	for (size_t i = 0, m; i < n; i += m, bit += m * width) {
		uint64_t v = decode_load64(h->packed + bit / 8) >> (bit % 8);
		m = n - i < step ? n - i : step;
		for (unsigned b = 0; b < width; b++)
			bits_append(planes[b], at + i, _bzhi_u64(_pext_u64(v, every[width] << b), (unsigned)m), m);
	}
}

__attribute__((target("bmi2,popcnt"))) static void packed_planes(const struct hybrid_reader *h, size_t n, uint64_t planes[PLANES][LEVEL_WORDS], size_t at)
{
	if (h->width == 1)
		packed_by(h, 1, n, planes, at);
	else if (h->width == 2)
		packed_by(h, 2, n, planes, at);
	else
		packed_by(h, 3, n, planes, at);
}

/* The entries with a level of at least `least`. */
static void planes_at_least(const uint64_t planes[PLANES][LEVEL_WORDS], unsigned least, size_t words, uint64_t *ret)
{
	const uint64_t *one = planes[0], *two = planes[1], *four = planes[2];
	for (size_t w = 0; w < words; w++) {
		uint64_t a = one[w], b = two[w], c = four[w];
		ret[w] = least == 1 ? a | b | c : least == 2 ? b | c : least == 3 ? (a & b) | c : least == 4 ? c
		       : least == 5 ? c & (a | b) : least == 6 ? c & b : least == 7 ? a & b & c : 0;
	}
}

__attribute__((target("bmi2,popcnt"))) static bool planes_bits(struct level_input *in, size_t n, struct level_bits *ret)
{
	uint64_t planes[PLANES][LEVEL_WORDS];
	struct hybrid_reader *h = &in->rle;
	size_t words = (n + 63) / 64, packed;
	uint32_t level = 0;
	for (unsigned b = 0; b < PLANES; b++)
		memset(planes[b], 0, (words + 1) * sizeof planes[b][0]);
	for (size_t at = 0, m; at < n; at += m) {
		m = hybrid_take_run(h, n - at, &level, &packed);
		for (unsigned b = 0; m && b < PLANES; b++)
			if (level >> b & 1)
				bits_fill(planes[b], at, m);
		if (m)
			continue;
		m = packed;
		if (!m)
			return false;
		packed_planes(h, m, planes, at);
		h->packed_at += m;
	}
	for (unsigned least = 1; least <= in->max + 1; least++)
		planes_at_least(planes, least, words, ret->at_least[least]);
	return true;
}
#else
static bool planes_bits(struct level_input *in, size_t n, struct level_bits *ret)
{
	return unpacked_bits(in, n, ret); /* reader_levels_simd is never set */
}
#endif

/* The next n levels. What stands behind them in the last word is undefined. */
static bool bits_read(struct level_input *in, size_t n, struct level_bits *ret)
{
	return reader_levels_simd && in->width && in->width <= PLANES && !in->packed ? planes_bits(in, n, ret) : unpacked_bits(in, n, ret);
}

/* ---- applying ---- */

void levels_open(struct parquet_reader *r)
{
	r->reps = arena_alloc(&r->arena, sizeof *r->reps);
	r->defs = arena_alloc(&r->arena, sizeof *r->defs);
}

/* A function for both kinds of machine, inlined into one for each. */
#define LEVELS_KERNEL static inline __attribute__((always_inline))

/* Those of the entries from .. to - 1 that are in word w. */
static uint64_t word_range(size_t w, size_t from, size_t to)
{
	uint64_t all = ~(uint64_t)0;
	if (from > w * 64)
		all &= from - w * 64 < 64 ? ~(uint64_t)0 << (from - w * 64) : 0;
	if (to < w * 64 + 64)
		all &= to > w * 64 ? ~(uint64_t)0 >> (w * 64 + 64 - to) : 0;
	return all;
}

LEVELS_KERNEL size_t bits_count(const uint64_t *bits, size_t n)
{
	size_t count = 0;
	for (size_t w = 0; w * 64 < n; w++)
		count += (size_t)__builtin_popcountll(bits[w] & word_range(w, 0, n));
	return count;
}

/* Structure of one field from the entries first .. last - 1. */
LEVELS_KERNEL void node_apply(const struct level_node *node, struct column *c, const struct level_bits *reps, const struct level_bits *defs,
			      size_t first, size_t last)
{
	const uint64_t *inner = reps->at_least[node->slot_rep + 1], *deeper = reps->at_least[node->slot_rep + 2];
	const uint64_t *slot = defs->at_least[node->slot_def], *there = defs->at_least[node->present_def];
	const uint64_t *element = defs->at_least[node->element_def];
	reserve_present(c, last - first);
	if (node->list)
		reader_reserve_offsets(c, last - first);
	for (size_t w = first / 64; w * 64 < last; w++) {
		uint64_t all = word_range(w, first, last), slots = all & ~inner[w] & slot[w], present = slots & there[w];
		if (node->list)
			list_offsets(c, present, all & ~deeper[w] & element[w]);
		size_t count = (size_t)__builtin_popcountll(slots);
		if (present)
			bits_append(c->present, c->slots, slots == ~(uint64_t)0 ? present : bits_extract(present, slots), count);
		c->slots += (uint32_t)count;
		c->values += (uint32_t)__builtin_popcountll(present);
	}
}

/* Refuses levels that no writer makes: the structure built from the rest is then consistent. */
static bool levels_valid(struct level_sink *s, const struct level_bits *reps, const struct level_bits *defs, size_t n)
{
	const struct leaf *l = s->leaf;
	uint64_t bad = !s->started && l->max_rep ? reps->at_least[1][0] & 1 : 0;
	for (size_t w = 0; w * 64 < n; w++)
		bad |= word_range(w, 0, n) & (defs->at_least[l->max_def + 1][w] | reps->at_least[l->max_rep + 1][w]);
	/* An entry continues a list of its repetition level only if it and the entry before lie inside of one that has elements. */
	for (unsigned rep = 1; rep <= l->max_rep; rep++) {
		const uint64_t *inside = defs->at_least[l->element_defs[rep]];
		uint64_t before = s->last_def >= l->element_defs[rep];
		for (size_t w = 0; w * 64 < n; w++) {
			uint64_t continues = word_range(w, 0, n) & reps->at_least[rep][w] & ~reps->at_least[rep + 1][w];
			bad |= continues & ~(inside[w] & (inside[w] << 1 | before));
			before = inside[w] >> 63;
		}
	}
	s->last_def = 0;
	for (unsigned def = 1; def <= l->max_def; def++)
		s->last_def += defs->at_least[def][(n - 1) / 64] >> ((n - 1) % 64) & 1;
	s->started = true;
	return !bad;
}

/* Which of n entries belong to rows in [row_from, row_to); `begun` of them begin rows, all that are not in `inner`. */
static void select_rows(struct level_sink *s, const uint64_t *inner, size_t n, size_t begun, size_t *ret_first, size_t *ret_last)
{
	bool from_start = s->row > s->row_from || (s->row == s->row_from && !(inner[0] & 1));
	if (from_start && s->row + begun <= s->row_to) {
		*ret_first = 0;
		*ret_last = n;
		s->row += begun;
		return;
	}
	size_t first = n, last = n;
	uint64_t row = s->row;
	for (size_t i = 0; i < n; i++) {
		row += !(inner[i / 64] >> (i % 64) & 1);
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

static rc_t levels_bad(struct err *reterr)
{
	return err_set(reterr, RC_CORRUPT, "a data page has invalid repetition or definition levels");
}

/* Memory of a field's structure: what stands below an absent parent has no slots and takes none. */
static rc_t charge_structure(struct parquet_reader *r, struct level_sink *s, uint32_t k, size_t slots, size_t lists, struct err *reterr)
{
	size_t bytes = slots / 8 + lists * sizeof(uint32_t);
	TRY(reader_charge(r, bytes, reterr));
	s->lent += s->columns[k] == &r->shadow[k] ? bytes : 0;
	return RC_OK;
}

LEVELS_KERNEL rc_t apply_any(struct parquet_reader *r, struct level_sink *s, const struct page *p, size_t *ret_skip, size_t *ret_take, size_t *ret_total,
			     struct err *reterr)
{
	const struct leaf *l = s->leaf;
	struct level_bits *reps = r->reps, *defs = r->defs;
	struct level_input rep_in, def_in;
	input_open(&rep_in, p->reps, p->reps_end, p->reps_packed, l->max_rep);
	input_open(&def_in, p->defs, p->defs_end, p->defs_packed, l->max_def);
	struct column *leaf_column = s->columns[l->path_len - 1];
	uint32_t values_before = leaf_column->values;
	size_t skip = 0, total = 0;
	memset(defs->at_least[0], 0xff, sizeof defs->at_least[0]);
	for (unsigned rep = 1; !l->max_rep && rep <= 2; rep++)
		memset(reps->at_least[rep], 0, sizeof reps->at_least[rep]);
	for (size_t left = p->entries, n; left; left -= n) {
		n = left < LEVEL_CHUNK ? left : LEVEL_CHUNK;
		if ((l->max_rep && !bits_read(&rep_in, n, reps)) || !bits_read(&def_in, n, defs) || !levels_valid(s, reps, defs, n))
			return levels_bad(reterr);
		size_t first, last;
		select_rows(s, reps->at_least[1], n, n - bits_count(reps->at_least[1], n), &first, &last);
		skip += bits_count(defs->at_least[l->max_def], first); /* entries before `first` exist only until the range begins */
		total += bits_count(defs->at_least[l->max_def], n);
		for (uint32_t k = 0; k < l->path_len && last > first; k++) {
			struct column *c = s->columns[k];
			uint32_t slots = c->slots, values = c->values;
			node_apply(&l->path[k], c, reps, defs, first, last);
			TRY(charge_structure(r, s, k, c->slots - slots, l->path[k].list ? c->values - values : 0, reterr));
		}
	}
	*ret_skip = skip;
	*ret_take = leaf_column->values - values_before;
	*ret_total = total;
	return RC_OK;
}

static rc_t apply_portable(struct parquet_reader *r, struct level_sink *s, const struct page *p, size_t *ret_skip, size_t *ret_take, size_t *ret_total,
			   struct err *reterr)
{
	return apply_any(r, s, p, ret_skip, ret_take, ret_total, reterr);
}

#if defined(__x86_64__)
__attribute__((target("bmi2,popcnt"))) static rc_t apply_bmi2(struct parquet_reader *r, struct level_sink *s, const struct page *p, size_t *ret_skip,
							      size_t *ret_take, size_t *ret_total, struct err *reterr)
{
	return apply_any(r, s, p, ret_skip, ret_take, ret_total, reterr);
}
#else
#define apply_bmi2 apply_portable
#endif

/* Required all the way: no levels are stored. */
static rc_t apply_required(struct parquet_reader *r, struct level_sink *s, const struct page *p, size_t *ret_skip, size_t *ret_take,
			   size_t *ret_total, struct err *reterr)
{
	uint64_t before = s->row_from > s->row ? s->row_from - s->row : 0, until = s->row_to > s->row ? s->row_to - s->row : 0;
	size_t first = (size_t)(before < p->entries ? before : p->entries), last = (size_t)(until < p->entries ? until : p->entries);
	for (uint32_t k = 0; k < s->leaf->path_len && last > first; k++) {
		TRY(charge_structure(r, s, k, last - first, 0, reterr));
		node_fill(s->columns[k], last - first);
	}
	s->row += p->entries;
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
	TRY(charge_structure(r, s, 0, p->entries, 0, reterr));
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
	} else {
		rc = (reader_levels_simd ? apply_bmi2 : apply_portable)(r, s, p, ret_skip, ret_take, ret_total, reterr);
	}
	if (!l->max_rep && s->row >= s->row_to)
		s->done = true;
	return rc;
}
