/* Any bytes are safe to open and read, and what comes out is a consistent batch. Mutations keep the footer's length right, and pages in
 * their place, so that they reach what lies behind. Seeds: the small files of ../shared/data/parquet-testing/data. */
#include "parquet/fuzz_internal.h"
#include "parquet/prune.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Predicates on a column, whatever its indexes and filters say. */
static void prune(struct parquet_reader *r, uint32_t group, const struct field *f)
{
	static const uint8_t zeros[64];
	struct err err;
	struct parquet_ranges ranges = { 0 };
	while (type_is_nested(f->type) && f->child_count)
		f = f->children[f->child_count - 1];
	size_t width = field_width(f);
	struct slice value = slice_of(zeros, width ? width : 3);
	bool may;
	if (type_is_nested(f->type) || width > sizeof zeros)
		return;
	parquet_reader_may_hold(r, group, f, value, &may, &err);
	for (enum parquet_test t = PARQUET_EQUAL; t <= PARQUET_NOT_NULL; t++) {
		bool null_test = t == PARQUET_IS_NULL || t == PARQUET_NOT_NULL;
		const struct parquet_predicate p = { f, t, null_test ? NULL : &value, null_test ? 0 : 1 };
		if (parquet_reader_prune(r, group, &p, 1, &ranges, &err) != RC_OK)
			continue;
		for (uint32_t i = 0; i < ranges.count; i++)
			must(ranges.items[i].from < ranges.items[i].to && (!i || ranges.items[i - 1].to < ranges.items[i].from));
	}
	parquet_ranges_clear(&ranges);
}

static void read_all(struct parquet_reader *r, struct batch *b)
{
	struct err err;
	uint32_t groups = parquet_reader_row_group_count(r);
	for (uint32_t g = 0; g < groups && g < 3; g++) {
		const struct schema *s = parquet_reader_schema(r);
		for (uint32_t i = 0; i < s->root->child_count; i++) {
			const struct field *f = s->root->children[i];
			struct parquet_leaf_stats stats;
			parquet_reader_leaf_stats(r, g, f, &stats, &err);
			if (i < 8)
				prune(r, g, f);
			if (i < 8 && parquet_reader_read(r, g, &f, 1, 0, UINT32_MAX, b, &err) == RC_OK)
				check_batch(b);
		}
		uint32_t rows = (uint32_t)parquet_reader_row_group_rows(r, g);
		if (parquet_reader_read(r, g, NULL, 0, rows / 3, rows / 3 * 2, b, &err) == RC_OK)
			check_batch(b);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice file = { data, size };
	const struct parquet_source source = { &file, size, fuzz_read };
	const struct parquet_limits limits = { .footer_bytes = 1 << 20, .meta_bytes = 8 << 20, .page_bytes = 1 << 20, .batch_bytes = 4 << 20,
					       .window_bytes = 4096 };
	struct parquet_reader *r = NULL;
	struct err err;
	if (parquet_reader_open(&source, &limits, &r, &err) != RC_OK)
		return 0;
	struct batch b;
	batch_init(&b, parquet_reader_schema(r));
	read_all(r, &b);
	batch_free(&b);
	parquet_reader_free(r);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	uint32_t footer;
	if (size < 12 || seed % 16 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	memcpy(&footer, data + size - 8, 4);
	if (footer > size - 12)
		return LLVMFuzzerMutate(data, size, max_size);
	size_t body = size - 8 - footer;
	if (seed % 3 == 0) { /* in front of the footer: nothing moves */
		LLVMFuzzerMutate(data, body, body);
		return size;
	}
	if (max_size < body + 8)
		return size;
	uint8_t tail[4] = { 'P', 'A', 'R', '1' };
	footer = (uint32_t)LLVMFuzzerMutate(data + body, footer, max_size - body - 8);
	memcpy(data + body + footer, &footer, 4);
	memcpy(data + body + footer + 4, tail, 4);
	return body + footer + 8;
}
