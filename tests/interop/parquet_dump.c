/* Prints a Parquet file through our reader, one JSON value a row, for comparison with other readers (parquet_read_test.py).
 *
 *   parquet_dump [-s] [-t] [-p] [-r FROM:TO] [-l BYTES] FILE [COLUMN…]
 *       -s schema, -t processor time only, -r rows of each row group, -l limit of a page and of a read
 *       -p prunes: for each line of stdin, COLUMN tab TEST tab VALUE tab …, the row ranges that are left of each row group (parquet_prune_test.py);
 *          TEST is = < <= > >= in null notnull, or bloom: what the Bloom filter alone says, all rows or none
 *
 * Numbers as JSON numbers; NaN and infinities, decimals (scaled, as digits), and bytes ("0x…") as strings; dates in days, times and time
 * stamps in µs; maps as arrays of [key, value].
 */
#include <stdio.h>
#include <time.h>

#include "parquet/prune.h"
#include "parquet/reader.h"

static rc_t file_read(void *ctx, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	FILE *f = ctx;
	if (fseeko(f, (off_t)offset, SEEK_SET) != 0 || fread(out, 1, len, f) != len)
		return err_set(reterr, RC_IO, "reading %zu bytes at %llu failed", len, (unsigned long long)offset);
	return RC_OK;
}

/* Where the next row stands in a column: values are dense, so they are walked in step with the slots. */
struct cursor {
	const struct column *column;
	uint32_t slot, value;
	struct cursor *children;
};

static void cursor_init(struct cursor *c, const struct column *column)
{
	*c = (struct cursor){ .column = column };
	c->children = mem_zalloc(column->child_count + 1, sizeof *c->children);
	for (uint32_t i = 0; i < column->child_count; i++)
		cursor_init(&c->children[i], &column->children[i]);
}

static void cursor_free(struct cursor *c)
{
	for (uint32_t i = 0; i < c->column->child_count; i++)
		cursor_free(&c->children[i]);
	free(c->children);
}

static void put_string(struct buf *out, struct slice s)
{
	buf_byte(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		uint8_t ch = s.data[i];
		if (ch == '"' || ch == '\\')
			buf_printf(out, "\\%c", ch);
		else if (ch < 0x20)
			buf_printf(out, "\\u%04x", ch);
		else
			buf_byte(out, ch);
	}
	buf_byte(out, '"');
}

static void put_hex(struct buf *out, struct slice s)
{
	buf_append_str(out, "\"0x");
	for (size_t i = 0; i < s.len; i++)
		buf_printf(out, "%02x", s.data[i]);
	buf_byte(out, '"');
}

static void put_double(struct buf *out, double d, int digits)
{
	if (d != d)
		buf_append_str(out, "\"NaN\"");
	else if (d - d != 0)
		buf_append_str(out, d > 0 ? "\"Infinity\"" : "\"-Infinity\"");
	else
		buf_printf(out, "%.*g", digits, d);
}

static void put_i128(struct buf *out, __int128 v)
{
	char digits[44];
	size_t at = sizeof digits;
	unsigned __int128 u = v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
	do
		digits[--at] = (char)('0' + (int)(u % 10));
	while (u /= 10);
	buf_printf(out, "\"%s%.*s\"", v < 0 ? "-" : "", (int)(sizeof digits - at), digits + at);
}

static void put_fixed(struct buf *out, const struct column *c, uint32_t i)
{
	const struct field *f = c->field;
	size_t width = field_width(f);
	const uint8_t *p = c->data.data + (size_t)i * width;
	int32_t i32 = 0;
	int64_t i64 = 0;
	memcpy(&i32, p, width < 4 ? width : 4);
	memcpy(&i64, p, width < 8 ? width : 8);
	switch (f->type) {
	case TYPE_BOOL:
		buf_append_str(out, *p ? "true" : "false");
		break;
	case TYPE_INT32:
	case TYPE_DATE:
		buf_printf(out, "%d", i32);
		break;
	case TYPE_FLOAT: {
		float v;
		memcpy(&v, p, 4);
		put_double(out, (double)v, 17);
		break;
	}
	case TYPE_DOUBLE: {
		double v;
		memcpy(&v, p, 8);
		put_double(out, v, 17);
		break;
	}
	case TYPE_DECIMAL: {
		__int128 v = i64;
		if (width == 16)
			memcpy(&v, p, 16);
		put_i128(out, v);
		break;
	}
	case TYPE_FIXED:
	case TYPE_UUID:
		put_hex(out, slice_of(p, width));
		break;
	default:
		buf_printf(out, "%lld", (long long)i64);
	}
}

static void put_value(struct buf *out, struct cursor *c);

static void put_struct(struct buf *out, struct cursor *c)
{
	const struct field *f = c->column->field;
	buf_byte(out, '{');
	for (uint32_t i = 0; i < f->child_count; i++) {
		if (i)
			buf_byte(out, ',');
		put_string(out, f->children[i]->name);
		buf_byte(out, ':');
		put_value(out, &c->children[i]);
	}
	buf_byte(out, '}');
}

static void put_list(struct buf *out, struct cursor *c, uint32_t value)
{
	uint32_t n = c->column->offsets[value + 1] - c->column->offsets[value];
	buf_byte(out, '[');
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			buf_byte(out, ',');
		if (c->column->field->type == TYPE_LIST) {
			put_value(out, &c->children[0]);
		} else {
			buf_byte(out, '[');
			put_value(out, &c->children[0]);
			buf_byte(out, ',');
			put_value(out, &c->children[1]);
			buf_byte(out, ']');
		}
	}
	buf_byte(out, ']');
}

/* The next slot of a column. Recursion follows the schema, whose depth the reader bounds. */
static void put_value(struct buf *out, struct cursor *c)
{
	if (!column_is_present(c->column, c->slot++)) {
		buf_append_str(out, "null");
		return;
	}
	uint32_t value = c->value++;
	switch (c->column->field->type) {
	case TYPE_STRUCT:
		put_struct(out, c);
		break;
	case TYPE_LIST:
	case TYPE_MAP:
		put_list(out, c, value);
		break;
	case TYPE_STRING:
		put_string(out, column_bytes_at(c->column, value));
		break;
	case TYPE_BINARY:
		put_hex(out, column_bytes_at(c->column, value));
		break;
	default:
		put_fixed(out, c->column, value);
	}
}

static void print_rows(const struct batch *b)
{
	struct cursor root;
	struct buf out;
	buf_init(&out, BUF_MAX_DEFAULT);
	cursor_init(&root, &b->root);
	for (uint32_t i = 0; i < b->rows; i++) {
		put_struct(&out, &root);
		buf_byte(&out, '\n');
		if (out.len > (1u << 20)) {
			fwrite(out.data, 1, out.len, stdout);
			buf_reset(&out);
		}
	}
	if (out.len)
		fwrite(out.data, 1, out.len, stdout);
	cursor_free(&root);
	buf_free(&out);
}

static void print_schema(const struct field *f, int depth)
{
	for (uint32_t i = 0; i < f->child_count; i++) {
		const struct field *c = f->children[i];
		char type[32];
		type_name(c, type);
		printf("%*s%.*s: %s%s id %d\n", depth * 2, "", SLICE_ARG(c->name), type, c->required ? " required" : "", c->id);
		print_schema(c, depth + 1);
	}
}

static const struct field *find(const struct field *root, const char *path)
{
	while (root && *path) {
		size_t n = strcspn(path, ".");
		root = field_child(root, slice_of(path, n));
		path += n + (path[n] == '.');
	}
	return root;
}

/* ---- pruning ---- */

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
}

/* A value's text as the column holds it: numbers as such (decimals unscaled), bytes as "0x…"; out holds 65,536 bytes. */
static struct slice parse_value(const struct field *f, const char *text, uint8_t *out)
{
	size_t width = field_width(f);
	long long n = strtoll(text, NULL, 10);
	double d = strtod(text, NULL);
	float fl = (float)d;
	if (f->type == TYPE_STRING)
		return slice_str(text);
	if (f->type == TYPE_BINARY || f->type == TYPE_FIXED || f->type == TYPE_UUID) {
		size_t len = 0;
		for (text += 2; text[0] && text[1] && len < 65536; text += 2)
			out[len++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
		return slice_of(out, len);
	}
	__int128 wide = 0;
	for (const char *p = text + (*text == '-'); *p >= '0' && *p <= '9'; p++)
		wide = wide * 10 + (*p - '0');
	wide = *text == '-' ? -wide : wide;
	const void *from = f->type == TYPE_DOUBLE ? (void *)&d : f->type == TYPE_FLOAT ? (void *)&fl : width == 16 ? (void *)&wide : (void *)&n;
	memcpy(out, from, width);
	return slice_of(out, width);
}

static rc_t prune_line(struct parquet_reader *r, char *line, struct err *reterr)
{
	static const char *const tests[] = { "=", "<", "<=", ">", ">=", "in", "null", "notnull" };
	static uint8_t store[32][65536];
	struct slice values[32];
	char *next = line, *column = strsep(&next, "\t"), *test = strsep(&next, "\t"), *text;
	struct parquet_predicate p = { find(parquet_reader_schema(r)->root, column), PARQUET_EQUAL, values, 0 };
	for (unsigned i = 0; test && i < sizeof tests / sizeof *tests; i++)
		if (strcmp(test, tests[i]) == 0)
			p.test = (enum parquet_test)i;
	if (!p.field || !test)
		return err_set(reterr, RC_INVALID, "no such column or test: %s", column);
	while ((text = strsep(&next, "\t")) && p.value_count < 32) {
		values[p.value_count] = parse_value(p.field, text, store[p.value_count]);
		p.value_count++;
	}
	struct parquet_ranges left = { 0 };
	putchar('[');
	for (uint32_t g = 0; g < parquet_reader_row_group_count(r); g++) {
		bool may = true;
		if (strcmp(test, "bloom") == 0) {
			TRY(parquet_reader_may_hold(r, g, p.field, values[0], &may, reterr));
			TRY(parquet_reader_prune(r, g, NULL, 0, &left, reterr));
		} else {
			TRY(parquet_reader_prune(r, g, &p, 1, &left, reterr));
		}
		printf("%s[", g ? "," : "");
		for (uint32_t i = 0; may && i < left.count; i++)
			printf("%s[%u,%u]", i ? "," : "", left.items[i].from, left.items[i].to);
		putchar(']');
	}
	puts("]");
	parquet_ranges_clear(&left);
	return RC_OK;
}

static rc_t prune(struct parquet_reader *r, struct err *reterr)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	rc_t rc = RC_OK;
	while (rc == RC_OK && (len = getline(&line, &cap, stdin)) > 0) {
		line[len - 1] = 0;
		rc = prune_line(r, line, reterr);
	}
	free(line);
	return rc;
}

static rc_t dump(struct parquet_reader *r, const struct field *const *fields, size_t n, uint32_t from, uint32_t to, bool quiet,
		 struct err *reterr)
{
	struct batch b;
	batch_init(&b, parquet_reader_schema(r));
	size_t bytes = 0;
	struct timespec t0, t1;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	rc_t rc = RC_OK;
	for (uint32_t g = 0; g < parquet_reader_row_group_count(r) && rc == RC_OK; g++) {
		rc = parquet_reader_read(r, g, n ? fields : NULL, n, from, to, &b, reterr);
		bytes += batch_bytes(&b);
		if (rc == RC_OK && !quiet)
			print_rows(&b);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
	double s = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) * 1e-9;
	if (quiet && rc == RC_OK)
		printf("%.3f s of CPU, %.1f MB in memory, %.0f MB/s\n", s, (double)bytes / 1e6, (double)bytes / 1e6 / s);
	batch_free(&b);
	return rc;
}

int main(int argc, char **argv)
{
	bool schema = false, quiet = false, pruning = false;
	unsigned from = 0, to = UINT32_MAX;
	unsigned long long limit = 0;
	int at = 1;
	for (; at < argc && argv[at][0] == '-'; at++) {
		schema |= strcmp(argv[at], "-s") == 0;
		quiet |= strcmp(argv[at], "-t") == 0;
		pruning |= strcmp(argv[at], "-p") == 0;
		if (strcmp(argv[at], "-r") == 0 && at + 1 < argc && sscanf(argv[++at], "%u:%u", &from, &to) != 2)
			return 2;
		if (strcmp(argv[at], "-l") == 0 && at + 1 < argc && sscanf(argv[++at], "%llu", &limit) != 1)
			return 2;
	}
	FILE *f = at < argc ? fopen(argv[at], "rb") : NULL;
	if (!f) {
		fprintf(stderr, "usage: parquet_dump [-s] [-t] [-p] [-r FROM:TO] [-l BYTES] FILE [COLUMN...]\n");
		return 2;
	}
	fseeko(f, 0, SEEK_END);
	struct parquet_source source = { f, (uint64_t)ftello(f), file_read };
	struct err err = { 0 };
	AUTO(parquet_reader) *r = NULL;
	struct parquet_limits limits = { .page_bytes = limit, .batch_bytes = limit };
	rc_t rc = parquet_reader_open(&source, &limits, &r, &err);
	if (rc == RC_OK && schema) {
		print_schema(parquet_reader_schema(r)->root, 0);
	} else if (rc == RC_OK && pruning) {
		rc = prune(r, &err);
	} else if (rc == RC_OK) {
		const struct field *fields[256];
		size_t n = 0;
		for (at++; at < argc && n < 256; at++)
			if ((fields[n] = find(parquet_reader_schema(r)->root, argv[at])))
				n++;
		rc = dump(r, fields, n, from, to, quiet, &err);
	}
	if (rc != RC_OK)
		fprintf(stderr, "%s: %s\n", rc_name(rc), err.text);
	fclose(f);
	return rc == RC_OK ? 0 : 1;
}
