/* libFuzzer: any bytes are safe to open and read, and what comes out is a consistent batch. Seeds: ../shared/data/parquet-testing/data. */
#include "parquet/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static rc_t memory_read(void *ctx, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	const struct slice *s = ctx;
	if (offset > s->len || len > s->len - offset)
		abort(); /* the reader must only ask for what is there */
	memcpy(out, s->data + offset, len);
	return RC_OK;
}

#define MUST(cond)       \
	do {             \
		if (!(cond)) \
			abort(); \
	} while (0)

static void check_column(const struct column *c, uint32_t slots)
{
	uint32_t present = 0;
	MUST(c->slots == slots);
	for (uint32_t i = 0; i < slots; i++)
		present += column_is_present(c, i);
	MUST(present == c->values);
	for (size_t bit = slots; bit < c->present_cap * 64; bit++)
		MUST(!(c->present[bit / 64] >> (bit % 64) & 1));
	uint32_t inner = c->values;
	size_t width = field_width(c->field);
	if (c->field->type == TYPE_STRING || c->field->type == TYPE_BINARY || c->field->type == TYPE_LIST || c->field->type == TYPE_MAP) {
		MUST(c->offsets[0] == 0);
		for (uint32_t i = 0; i < c->values; i++)
			MUST(c->offsets[i] <= c->offsets[i + 1]);
		inner = c->offsets[c->values];
	}
	if (type_is_nested(c->field->type)) {
		for (uint32_t i = 0; i < c->child_count; i++)
			check_column(&c->children[i], inner);
	} else {
		MUST(c->data.len == (width ? (size_t)c->values * width : inner));
	}
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
			if (i < 8 && parquet_reader_read(r, g, &f, 1, 0, UINT32_MAX, b, &err) == RC_OK)
				for (uint32_t k = 0; k < b->root.child_count; k++)
					check_column(&b->root.children[k], b->rows);
		}
		uint32_t rows = (uint32_t)parquet_reader_row_group_rows(r, g);
		if (parquet_reader_read(r, g, NULL, 0, rows / 3, rows / 3 * 2, b, &err) == RC_OK)
			for (uint32_t k = 0; k < b->root.child_count; k++)
				check_column(&b->root.children[k], b->rows);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice file = { data, size };
	const struct parquet_source source = { &file, size, memory_read };
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
