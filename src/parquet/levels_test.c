/* Levels against a slow, obvious walk over the same column tree, value by value (the Dremel definition). */
#include "parquet/write_internal.h"

#include "base/test.h"

static uint64_t seed = 7;
static uint64_t rnd(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return seed >> 33;
}

/* rows of  optional list< optional struct { optional list< optional int > } >,  as nested counts: -1 = null */
struct model {
	int list[200];               /* elements of the row's list */
	int element[2000];           /* elements of the inner list; -1 struct null, -2 inner list null */
	bool value[20000];           /* innermost: present */
	uint64_t bits[4][400];
	uint32_t offsets[2][4001];
	uint32_t rows, slots[4], values[4]; /* list, struct, inner list, int */
};
static struct model m;
static uint8_t want_def[40000], want_rep[40000];
static uint32_t want_entries;

static void want(unsigned def, unsigned rep)
{
	want_def[want_entries] = (uint8_t)def;
	want_rep[want_entries++] = (uint8_t)rep;
}

static void set_bit(int which, uint32_t slot)
{
	m.bits[which][slot / 64] |= (uint64_t)1 << slot % 64;
	m.values[which]++;
}

static void inner_list(unsigned rep)
{
	uint32_t slot = m.slots[2]++;
	if (rnd() % 4 == 0) {
		want(3, rep); /* list, element, struct there; inner list null */
		return;
	}
	set_bit(2, slot);
	uint32_t n = (uint32_t)(rnd() % 4);
	if (n == 0)
		want(4, rep);
	for (uint32_t i = 0; i < n; i++) {
		bool there = rnd() % 3 != 0;
		if (there)
			set_bit(3, m.slots[3]);
		m.slots[3]++;
		want(there ? 6 : 5, i ? 2 : rep);
	}
	m.offsets[1][m.values[2]] = m.slots[3];
}

static void build(uint32_t rows)
{
	memset(&m, 0, sizeof m);
	want_entries = 0;
	m.rows = rows;
	for (uint32_t r = 0; r < rows; r++) {
		uint32_t slot = m.slots[0]++;
		if (rnd() % 4 == 0) {
			want(0, 0);
			continue;
		}
		set_bit(0, slot);
		uint32_t n = (uint32_t)(rnd() % 4);
		if (n == 0)
			want(1, 0);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t s = m.slots[1]++;
			if (rnd() % 4 == 0) {
				want(2, i != 0);
				continue;
			}
			set_bit(1, s);
			inner_list(i != 0);
		}
		m.offsets[0][m.values[0]] = m.slots[1];
	}
}

static bool frame_is(const struct level_frame *f)
{
	if (f->entries != want_entries)
		return false;
	for (uint32_t i = 0; i < f->entries; i++) {
		unsigned def = f->bits ? (unsigned)(f->bits[i / 64] >> i % 64 & 1) : f->def_same >= 0 ? (unsigned)f->def_same : f->def[i];
		if (def != want_def[i] || (f->rep ? f->rep[i] : 0) != want_rep[i])
			return false;
	}
	return true;
}

TEST(levels_of_nested_lists_are_those_of_the_definition)
{
	struct level_frame f[7];
	for (int i = 0; i < 7; i++)
		level_frame_init(&f[i]);
	for (uint32_t rows = 1; rows < 200; rows++) {
		build(rows);
		levels_root(&f[0], rows);
		levels_optional(&f[1], &f[0], m.bits[0], m.slots[0], m.values[0], false);
		levels_repeated(&f[2], &f[1], m.offsets[0], m.values[0]);
		levels_optional(&f[3], &f[2], m.bits[1], m.slots[1], m.values[1], false);
		levels_optional(&f[4], &f[3], m.bits[2], m.slots[2], m.values[2], false);
		if (m.values[2]) {
			levels_repeated(&f[5], &f[4], m.offsets[1], m.values[2]);
			levels_optional(&f[6], &f[5], m.bits[3], m.slots[3], m.values[3], true);
		} else {
			levels_absent(&f[6], &f[4], 6, 2);
		}
		CHECK_INT(f[6].max_def, 6);
		CHECK_INT(f[6].max_rep, 2);
		CHECK(frame_is(&f[6]));
		CHECK_INT(levels_count_values(&f[6], 0, f[6].entries), m.values[3]);
		uint32_t at = 0, got, seen = 0;
		while (at < f[6].entries) {
			at = levels_skip_rows(&f[6], at, 7, &got);
			CHECK(at == f[6].entries || want_rep[at] == 0);
			CHECK(got == 7 || at == f[6].entries);
			seen += got;
		}
		CHECK_INT(seen, rows);
	}
	for (int i = 0; i < 7; i++)
		level_frame_free(&f[i]);
}

TEST(levels_of_flat_columns_count_and_stay_bits)
{
	uint64_t bits[8];
	struct level_frame root, f;
	level_frame_init(&root);
	level_frame_init(&f);
	for (uint32_t rows = 1; rows < 500; rows++) {
		uint32_t values = 0;
		memset(bits, 0, sizeof bits);
		for (uint32_t i = 0; i < rows; i++)
			if (rnd() & 1) {
				bits[i / 64] |= (uint64_t)1 << i % 64;
				values++;
			}
		levels_root(&root, rows);
		levels_optional(&f, &root, bits, rows, values, true);
		for (uint32_t from = 0; from < rows; from += 37)
			for (uint32_t to = from; to <= rows; to += 29) {
				uint32_t n = 0;
				for (uint32_t i = from; i < to; i++)
					n += bits[i / 64] >> i % 64 & 1;
				CHECK_INT(levels_count_values(&f, from, to), n);
			}
	}
	level_frame_free(&root);
	level_frame_free(&f);
}

TEST(levels_that_are_all_the_same_take_a_few_bytes)
{
	struct level_frame root, f;
	struct buf out;
	buf_init(&out, 1 << 20);
	level_frame_init(&root);
	level_frame_init(&f);
	levels_root(&root, 1000000);
	levels_optional(&f, &root, NULL, 1000000, 1000000, true);
	levels_encode_def(&f, 0, 1000000, &out);
	CHECK_INT(out.len, 4);
	levels_absent(&f, &root, 1, 0);
	CHECK_INT(levels_count_values(&f, 0, 1000000), 0);
	buf_free(&out);
	level_frame_free(&root);
	level_frame_free(&f);
}

TEST_MAIN()
