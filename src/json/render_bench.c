/* What rendering costs: rows of ten members of one kind, and rows like those of real collections; by plan, with both instruction sets.
 * MB/s of JSON text; ns a member. */
#include "json/render.h"

#include "base/bench.h"
#include "json/number.h"
#include "json/scan.h"
#include "json/shape.h"
#include "json/string.h"
#include "json/time.h"

#define ROWS 20000u
#define MEMBERS_MAX 400u

enum kind { SMALL, BIG, DECIMAL, DOUBLE, BOOL, TIME, WORD, TEXT, LONG, QUOTED, FOREIGN, KINDS };
static const char *const kind_names[KINDS] = { "integers of 1 to 4 digits", "integers of 19 digits", "decimals 123.45", "doubles", "booleans", "times",
					       "strings of 8",		   "strings of 40",	    "strings of 1,000", "strings with 4 % escapes",
					       "\\u escapes beyond ASCII" };

static void put(struct column *c, uint32_t row, enum kind kind)
{
	char text[1000];
	int64_t i = (int64_t)(bench_random() >> (bench_random() % 4 ? 54 : 60));
	double d = (double)(bench_random() % 10000000) / 997;
	size_t len = kind == WORD ? 8 : kind == LONG ? 1000 : 40;
	for (size_t k = 0; k < len; k++)
		text[k] = (char)('a' + (k * 7 + row) % 26);
	for (size_t k = bench_random() % 25; kind == QUOTED && k < len; k += 25)
		text[k] = k & 1 ? '"' : '\n';
	for (size_t k = 0; kind == FOREIGN && k + 8 < len; k += 8)
		memcpy(text + k, "\xc3\xa9", 2);
	switch (kind) {
	case SMALL: column_put_fixed(c, row, &i, 8); break;
	case BIG: i = INT64_MAX - i; column_put_fixed(c, row, &i, 8); break;
	case DECIMAL: i *= 37; column_put_fixed(c, row, &i, 8); break;
	case DOUBLE: column_put_fixed(c, row, &d, 8); break;
	case BOOL: column_put_fixed(c, row, (uint8_t[]){ i & 1 }, 1); break;
	case TIME: i = 1795341600000000 + (int64_t)row * 1234000; column_put_fixed(c, row, &i, 8); break;
	default: column_put_bytes(c, row, slice_of(text, len));
	}
}

static struct field *add(struct schema *s, const char *name, enum kind kind)
{
	static const enum type types[KINDS] = { TYPE_INT64, TYPE_INT64, TYPE_DECIMAL, TYPE_DOUBLE, TYPE_BOOL, TYPE_TIMESTAMPTZ, TYPE_STRING, TYPE_STRING,
						TYPE_STRING, TYPE_STRING, TYPE_STRING };
	struct field *f = schema_add(s, NULL, slice_str(name), types[kind]);
	f->key = f->name;
	f->precision = 18;
	f->scale = kind == DECIMAL ? 2 : 0;
	f->format = kind == TIME ? FORMAT_TIME_BASE + 3 * TIME_SEPARATORS : kind == DOUBLE ? FORMAT_DOUBLE_SHORT : FORMAT_DEFAULT;
	return f;
}

/* Rows with `members` of `columns` columns each, of the kinds in turn; shapes: how many kinds of rows there are. */
static void measure(const char *name, const enum kind *kinds, uint32_t kind_count, uint32_t columns, uint32_t members, uint32_t shapes)
{
	AUTO(schema) *s = schema_new();
	AUTO(shape_keys) *keys = shape_keys_new(7);
	uint32_t first[MEMBERS_MAX], later[MEMBERS_MAX];
	struct field *shape_field = schema_add(s, NULL, SLICE_LIT("__shape"), TYPE_BINARY);
	shape_field->role = ROLE_SHAPE;
	for (uint32_t i = 0; i < columns; i++) {
		char key[32], lit[48];
		snprintf(key, sizeof key, "member_%u", i);
		add(s, key, kinds[i % kind_count]);
		snprintf(lit, sizeof lit, "{\"%s\":", key);
		first[i] = shape_edge_add(keys, SHAPE_ROOT_NODE, EDGE_MEMBER, CLASS_SCALAR, slice_str(lit), 0, 0);
		lit[0] = ',';
		later[i] = shape_edge_add(keys, SHAPE_ROOT_NODE, EDGE_MEMBER, CLASS_SCALAR, slice_str(lit), 0, 0);
	}
	uint32_t end = shape_edge_add(keys, SHAPE_ROOT_NODE, EDGE_END, CLASS_SCALAR, SLICE_LIT("}"), 0, 0);
	struct batch b;
	batch_init(&b, s);
	AUTO_BUF struct buf shape, out;
	buf_init(&shape, BUF_MAX_DEFAULT);
	buf_init(&out, BUF_MAX_DEFAULT);
	for (uint32_t row = 0; row < ROWS; row++) {
		uint32_t which = (uint32_t)(bench_random() % shapes);
		buf_reset(&shape);
		buf_u32(&shape, 7);
		buf_byte(&shape, kinds[0] == FOREIGN ? JSON_DIALECT_ASCII_LOWER : JSON_DIALECT_MINIMAL);
		buf_varint(&shape, CLASS_OBJECT);
		for (uint32_t i = 0; i < members; i++) {
			uint32_t at = (i * (columns / members) + which) % columns;
			buf_varint(&shape, i ? later[at] : first[at]);
			put(&b.root.children[at + 1], row, kinds[at % kind_count]);
		}
		buf_varint(&shape, end);
		column_put_bytes(&b.root.children[0], row, buf_slice(&shape));
	}
	b.rows = ROWS;
	batch_seal(&b);
	printf("%-26s", name);
	for (int simd = 0; simd < 2; simd++) {
		json_scan_use_simd(simd);
		AUTO(renderer) *r = renderer_new(s);
		renderer_borrow_keys(r, keys);
		size_t bytes = 0;
		double best = BENCH_BEST(7, {
			bytes = 0;
			renderer_begin(r, &b);
			for (uint32_t row = 0; row < ROWS; row++) {
				struct err err;
				if (renderer_row(r, row, &out, &err) != RC_OK) {
					printf("%s\n", err.text);
					exit(1);
				}
				if (out.len > 1 << 18 || row == ROWS - 1) {
					bytes += out.len;
					buf_reset(&out);
				}
			}
		});
		printf("  %7.0f MB/s %6.1f ns", (double)bytes / best / 1e6, best * 1e9 / ROWS / members);
	}
	printf("\n");
	json_scan_use_simd(true);
	batch_free(&b);
}

int main(void)
{
	printf("%-26s  %-22s  %-22s\n", "", "portable", "AVX2");
	for (int k = 0; k < KINDS; k++)
		measure(kind_names[k], (enum kind[]){ (enum kind)k }, 1, 10, 10, 1);
	static const enum kind mixed[] = { TIME, WORD, TEXT, SMALL, WORD, DECIMAL, TEXT, BOOL, WORD, SMALL, TEXT };
	const uint32_t n = sizeof mixed / sizeof *mixed;
	measure("access logs, 22 columns", mixed, n, 22, 22, 1);
	measure("78 columns, 60 shapes", mixed, n, 78, 78, 60);
	measure("sparse, 60 of 330 columns", mixed, n, 330, 60, 60);
	measure("20,000 shapes", mixed, n, 390, 30, 20000);
	return 0;
}
