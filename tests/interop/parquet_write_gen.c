/* Writes Parquet files over types × encodings × codecs × nesting, and what is in them as JSON, for readers that we did not write.
 *
 *   parquet_write_gen FOLDER      FOLDER/NAME.parquet, FOLDER/NAME.ndjson (the rows), FOLDER/NAME.json (schema and file info)
 *
 * The same program gives the same files. JSON forms: decimals are their unscaled integers as text, floats are shortest-17-digit
 * text, binary kinds hex, dates and times integers, maps lists of [key, value]. parquet_write_test.py compares.
 */
#include <math.h>
#include <stdio.h>

#include "parquet/writer.h"

static uint64_t seed = 88172645463325252u;
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* What a column's values look like; chosen by the field's name behind its last '_'. */
enum look { LOOK_RANDOM, LOOK_SEQ, LOOK_LOW, LOOK_SMALL, LOOK_PATH, LOOK_LONG, LOOK_NEVER, LOOK_EMPTY, LOOK_HIGH };

static enum look look_of(const struct field *f)
{
	static const struct {
		const char *suffix;
		enum look look;
	} looks[] = { { "_seq", LOOK_SEQ },   { "_low", LOOK_LOW },	{ "_small", LOOK_SMALL }, { "_path", LOOK_PATH },
		      { "_long", LOOK_LONG }, { "_never", LOOK_NEVER }, { "_empty", LOOK_EMPTY }, { "_high", LOOK_HIGH } };
	for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
		size_t n = strlen(looks[i].suffix);
		if (f->name.len > n && memcmp(f->name.data + f->name.len - n, looks[i].suffix, n) == 0)
			return looks[i].look;
	}
	return LOOK_RANDOM;
}

static struct buf json; /* the row being written */
static uint64_t row_number;

static void json_hex(const void *p, size_t n)
{
	buf_byte(&json, '"');
	for (size_t i = 0; i < n; i++)
		buf_printf(&json, "%02x", ((const uint8_t *)p)[i]);
	buf_byte(&json, '"');
}

static void json_string(struct slice s)
{
	buf_byte(&json, '"');
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < 0x20 || s.data[i] == '"' || s.data[i] == '\\')
			buf_printf(&json, "\\u%04x", s.data[i]);
		else
			buf_byte(&json, s.data[i]);
	buf_byte(&json, '"');
}

static void json_i128(__int128 v)
{
	char text[48];
	size_t at = sizeof text;
	unsigned __int128 u = v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
	do
		text[--at] = (char)('0' + (int)(u % 10));
	while (u /= 10);
	buf_printf(&json, "\"%s%.*s\"", v < 0 ? "-" : "", (int)(sizeof text - at), text + at);
}

static int64_t gen_int(enum look look)
{
	switch (look) {
	case LOOK_SEQ:
		return (int64_t)row_number * 1000 + (int64_t)(rnd() % 8);
	case LOOK_LOW:
		return (int64_t)(rnd() % 7) * 1000003;
	case LOOK_SMALL:
		return (int64_t)(rnd() % 2000) - 1000;
	default:
		return (int64_t)rnd();
	}
}

static double gen_double(enum look look)
{
	switch (look) {
	case LOOK_LOW:
		return (double)(rnd() % 9) / 8;
	case LOOK_SMALL:
		return (double)(rnd() % 100000) / 100;
	case LOOK_HIGH: /* every special value */
		switch (rnd() % 8) {
		case 0:
			return (double)NAN;
		case 1:
			return (double)INFINITY;
		case 2:
			return -0.0;
		case 3:
			return 0.0;
		}
		return ldexp((double)(int64_t)rnd(), (int)(rnd() % 400) - 200);
	default:
		return (double)(int64_t)rnd() / 1e9;
	}
}

static void gen_string(struct buf *out, enum look look)
{
	static const char *const words[] = { "alpha", "be\"ta", "gämma", "日本語", "", "delta\n", "𝄞 clef" };
	buf_reset(out);
	switch (look) {
	case LOOK_LOW:
		buf_append_str(out, words[rnd() % 7]);
		break;
	case LOOK_PATH:
		buf_printf(out, "/srv/www/%04u/%03u/index-%u.html", (unsigned)(row_number / 50), (unsigned)(row_number % 50 / 5), (unsigned)(rnd() % 4));
		break;
	case LOOK_LONG:
		for (uint64_t n = rnd() % 900; n; n--)
			buf_append_str(out, words[rnd() % 7]);
		break;
	case LOOK_HIGH: /* maxima that cannot be cut upwards */
		for (uint64_t n = rnd() % 40; n; n--)
			buf_append_str(out, "\xf4\x8f\xbf\xbf");
		break;
	default:
		for (uint64_t n = rnd() % 24; n; n--)
			buf_byte(out, (uint8_t)(rnd() % 90 + '!'));
	}
}

static void gen_bytes(uint8_t *out, size_t n, enum look look)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(look == LOOK_LOW ? row_number % 3 * 17 : look == LOOK_HIGH ? 0xff : rnd() & 0xff);
}

static void gen_decimal(struct column *c, uint32_t slot, const struct field *f, enum look look)
{
	unsigned __int128 limit = 1;
	for (unsigned i = 0; i < f->precision; i++)
		limit *= 10;
	unsigned __int128 u = look == LOOK_LOW ? rnd() % 5 : ((unsigned __int128)rnd() << 64 | rnd()) % limit;
	__int128 v = rnd() & 1 ? (__int128)u : -(__int128)u;
	int64_t v64 = (int64_t)v;
	json_i128(v);
	if (f->precision <= 18)
		column_put_fixed(c, slot, &v64, 8);
	else
		column_put_fixed(c, slot, &v, 16);
}

static void gen_leaf(struct column *c, uint32_t slot, const struct field *f)
{
	static struct buf text;
	enum look look = look_of(f);
	uint8_t bytes[32];
	if (!text.max)
		buf_init(&text, BUF_MAX_DEFAULT);
	switch (f->type) {
	case TYPE_BOOL:
		bytes[0] = look == LOOK_LOW ? row_number % 100 < 70 : (rnd() & 1) != 0;
		column_put_fixed(c, slot, bytes, 1);
		buf_append_str(&json, bytes[0] ? "true" : "false");
		break;
	case TYPE_INT32:
	case TYPE_DATE: {
		int32_t v = (int32_t)gen_int(look);
		if (f->type == TYPE_DATE)
			v = v % 20000;
		column_put_fixed(c, slot, &v, 4);
		buf_printf(&json, "%d", v);
		break;
	}
	case TYPE_INT64:
	case TYPE_TIME:
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ: {
		int64_t v = gen_int(look);
		if (f->type == TYPE_TIME)
			v = (int64_t)((uint64_t)v % 86400000000);
		else if (f->type != TYPE_INT64)
			v = 1700000000000000 + v % 1000000000000000;
		column_put_fixed(c, slot, &v, 8);
		buf_printf(&json, "%lld", (long long)v);
		break;
	}
	case TYPE_FLOAT: {
		float v = (float)gen_double(look);
		column_put_fixed(c, slot, &v, 4);
		buf_printf(&json, "\"%.9g\"", (double)v);
		break;
	}
	case TYPE_DOUBLE: {
		double v = gen_double(look);
		column_put_fixed(c, slot, &v, 8);
		buf_printf(&json, "\"%.17g\"", v);
		break;
	}
	case TYPE_DECIMAL:
		gen_decimal(c, slot, f, look);
		break;
	case TYPE_STRING:
		gen_string(&text, look);
		column_put_bytes(c, slot, buf_slice(&text));
		json_string(buf_slice(&text));
		break;
	case TYPE_BINARY: {
		size_t n = look == LOOK_LOW ? 3 : rnd() % 32;
		gen_bytes(bytes, n, look);
		column_put_bytes(c, slot, slice_of(bytes, n));
		json_hex(bytes, n);
		break;
	}
	default: { /* fixed, uuid */
		size_t n = f->type == TYPE_UUID ? 16 : f->length;
		gen_bytes(bytes, n, look);
		column_put_fixed(c, slot, bytes, n);
		json_hex(bytes, n);
	}
	}
}

static void gen_value(struct column *c, uint32_t slot);

static void gen_list(struct column *c, uint32_t slot)
{
	bool map = c->field->type == TYPE_MAP;
	column_list_begin(c, slot);
	uint64_t n = look_of(c->field) == LOOK_EMPTY ? 0 : rnd() % 4 ? rnd() % 4 : rnd() % 12;
	buf_byte(&json, '[');
	for (uint64_t i = 0; i < n; i++) {
		if (i)
			buf_byte(&json, ',');
		uint32_t s = column_list_extend(c);
		if (!map) {
			gen_value(&c->children[0], s);
			continue;
		}
		char key[24];
		snprintf(key, sizeof key, "k%llu.%llu", (unsigned long long)i, (unsigned long long)(rnd() % 5));
		column_put_bytes(&c->children[0], s, slice_str(key));
		buf_printf(&json, "[\"%s\",", key);
		gen_value(&c->children[1], s);
		buf_byte(&json, ']');
	}
	buf_byte(&json, ']');
}

static void gen_struct(struct column *c, uint32_t index)
{
	buf_byte(&json, '{');
	for (uint32_t i = 0; i < c->child_count; i++) {
		buf_printf(&json, "%s\"%.*s\":", i ? "," : "", SLICE_ARG(c->children[i].field->name));
		gen_value(&c->children[i], index);
	}
	buf_byte(&json, '}');
}

static void gen_value(struct column *c, uint32_t slot)
{
	const struct field *f = c->field;
	unsigned null_percent = f->required ? 0 : f->name.data[0] == 'd' ? 0 : f->name.data[0] == 's' ? 95 : 20;
	if (look_of(f) == LOOK_NEVER || rnd() % 100 < null_percent)
		buf_append_str(&json, "null");
	else if (f->type == TYPE_STRUCT)
		gen_struct(c, column_mark(c, slot));
	else if (f->type == TYPE_LIST || f->type == TYPE_MAP)
		gen_list(c, slot);
	else
		gen_leaf(c, slot, f);
}

/* Names: d… never null, s… nearly always, else a fifth of the time. */
static struct field *add(struct schema *s, struct field *parent, const char *name, enum type type)
{
	return schema_add(s, parent, slice_str(name), type);
}

static struct field *add_decimal(struct schema *s, const char *name, uint8_t precision, uint8_t scale)
{
	struct field *f = add(s, NULL, name, TYPE_DECIMAL);
	f->precision = precision;
	f->scale = scale;
	return f;
}

static struct field *add_map(struct schema *s, struct field *parent, const char *name, enum type value)
{
	struct field *m = add(s, parent, name, TYPE_MAP);
	add(s, m, "key", TYPE_STRING)->required = true;
	return add(s, m, "value", value);
}

static void schema_flat(struct schema *s)
{
	add(s, NULL, "d_id_seq", TYPE_INT64)->required = true;
	static const struct {
		const char *name;
		enum type type;
	} plain[] = { { "i32", TYPE_INT32 }, { "i32_seq", TYPE_INT32 }, { "i32_low", TYPE_INT32 }, { "di32_small", TYPE_INT32 },
		      { "i64", TYPE_INT64 }, { "i64_seq", TYPE_INT64 }, { "i64_low", TYPE_INT64 }, { "si64_small", TYPE_INT64 },
		      { "f32", TYPE_FLOAT }, { "f32_high", TYPE_FLOAT }, { "f64", TYPE_DOUBLE }, { "df64_low", TYPE_DOUBLE },
		      { "f64_small", TYPE_DOUBLE }, { "f64_high", TYPE_DOUBLE }, { "bool", TYPE_BOOL }, { "dbool_low", TYPE_BOOL },
		      { "date_small", TYPE_DATE }, { "time", TYPE_TIME }, { "ts_seq", TYPE_TIMESTAMP }, { "dtstz_seq", TYPE_TIMESTAMPTZ },
		      { "tstz", TYPE_TIMESTAMPTZ }, { "str", TYPE_STRING }, { "dstr_low", TYPE_STRING }, { "str_path", TYPE_STRING },
		      { "str_long", TYPE_STRING }, { "str_high", TYPE_STRING }, { "sstr", TYPE_STRING }, { "str_never", TYPE_STRING },
		      { "bin", TYPE_BINARY }, { "bin_low", TYPE_BINARY }, { "bin_high", TYPE_BINARY }, { "uuid", TYPE_UUID },
		      { "uuid_low", TYPE_UUID } };
	for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
		add(s, NULL, plain[i].name, plain[i].type);
	add_decimal(s, "dec9", 9, 2);
	add_decimal(s, "dec18", 18, 3);
	add_decimal(s, "dec19_low", 19, 0);
	add_decimal(s, "dec25", 25, 5);
	add_decimal(s, "dec38", 38, 10);
	add(s, NULL, "fixed5", TYPE_FIXED)->length = 5;
}

static void schema_nested(struct schema *s)
{
	add(s, NULL, "never_never", TYPE_INT64); /* first in the schema, not in the file */
	add(s, NULL, "d_id_seq", TYPE_INT64);
	struct field *a = add(s, NULL, "a", TYPE_STRUCT);
	add(s, a, "x", TYPE_INT64);
	struct field *b = add(s, a, "b", TYPE_STRUCT);
	add(s, b, "c", TYPE_STRING);
	add(s, b, "sd", TYPE_DOUBLE);
	add(s, add(s, NULL, "li", TYPE_LIST), "element", TYPE_INT64);
	add(s, add(s, NULL, "dls", TYPE_LIST), "element", TYPE_STRING);
	add(s, add(s, NULL, "sls_low", TYPE_LIST), "element", TYPE_STRING);
	add(s, add(s, NULL, "l_empty", TYPE_LIST), "element", TYPE_STRING);
	struct field *e = add(s, add(s, NULL, "los", TYPE_LIST), "element", TYPE_STRUCT);
	add(s, e, "x_seq", TYPE_INT32);
	add(s, add(s, e, "y", TYPE_LIST), "element", TYPE_STRING);
	add_map(s, NULL, "m", TYPE_INT64);
	add(s, add_map(s, NULL, "mos", TYPE_STRUCT), "p_low", TYPE_STRING);
	add_map(s, NULL, "m_empty", TYPE_STRING);
	add(s, add(s, add(s, NULL, "ll", TYPE_LIST), "element", TYPE_LIST), "element", TYPE_DOUBLE);
	static const struct {
		const char *name;
		enum type type;
	} looks[] = { { "i32_low", TYPE_INT32 }, { "i32_seq", TYPE_INT32 }, { "i64_low", TYPE_INT64 }, { "i64_seq", TYPE_INT64 }, { "f32", TYPE_FLOAT },
		      { "f64_low", TYPE_DOUBLE }, { "f64", TYPE_DOUBLE }, { "bool_low", TYPE_BOOL }, { "str_path", TYPE_STRING }, { "str_low", TYPE_STRING },
		      { "str", TYPE_STRING }, { "bin", TYPE_BINARY }, { "uuid", TYPE_UUID }, { "uuid_low", TYPE_UUID }, { "ts_seq", TYPE_TIMESTAMPTZ } };
	struct field *lot = add(s, add(s, NULL, "lot", TYPE_LIST), "element", TYPE_STRUCT);
	for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
		add(s, lot, looks[i].name, looks[i].type);
	struct field *r = add(s, NULL, "dreq", TYPE_STRUCT);
	r->required = true;
	add(s, r, "inner", TYPE_STRING)->required = true;
	add(s, add(s, r, "tags", TYPE_LIST), "element", TYPE_STRING)->required = true;
}

/* Columns that only later row groups know, at every kind of place. */
static void schema_late(struct schema *s)
{
	add(s, NULL, "late", TYPE_STRING);
	struct field *a = field_child(s->root, slice_str("a"));
	if (!a)
		return;
	add(s, a, "late_low", TYPE_STRING);
	add(s, field_child(a, slice_str("b")), "late", TYPE_INT64);
	struct field *e = field_child(field_child(s->root, slice_str("los")), slice_str("element"));
	add(s, e, "late", TYPE_BOOL);
	add(s, add(s, e, "latel", TYPE_LIST), "element", TYPE_INT32);
	struct field *v = field_child(field_child(s->root, slice_str("mos")), slice_str("value"));
	add(s, v, "late", TYPE_DOUBLE);
	add_map(s, NULL, "latem", TYPE_DATE);
}

static rc_t file_write(void *ctx, const void *data, size_t len, struct err *reterr)
{
	return fwrite(data, 1, len, ctx) == len ? RC_OK : err_errno(reterr, RC_IO, "cannot write the file");
}

static void schema_json(FILE *out, const struct field *f)
{
	char type[32] = "struct";
	if (f->type == TYPE_LIST || f->type == TYPE_MAP)
		snprintf(type, sizeof type, "%s", f->type == TYPE_LIST ? "list" : "map");
	else if (f->type != TYPE_STRUCT)
		type_name(f, type);
	fprintf(out, "{\"name\":\"%.*s\",\"id\":%d,\"type\":\"%s\",\"children\":[", SLICE_ARG(f->name), f->id, type);
	for (uint32_t i = 0; i < f->child_count; i++) {
		if (i)
			fputc(',', out);
		schema_json(out, f->children[i]);
	}
	fputs("]}", out);
}

static void hex_json(FILE *out, const char *name, bool has, const uint8_t *p, size_t n)
{
	fprintf(out, ",\"%s\":", name);
	if (!has) {
		fputs("null", out);
		return;
	}
	fputc('"', out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%02x", p[i]);
	fputc('"', out);
}

static void info_json(FILE *out, const struct schema *s, const struct parquet_file_info *info)
{
	fprintf(out, "{\"rows\":%lld,\"bytes\":%lld,\"splits\":[", (long long)info->rows, (long long)info->bytes);
	for (uint32_t i = 0; i < info->split_count; i++)
		fprintf(out, "%s%lld", i ? "," : "", (long long)info->split_offsets[i]);
	fputs("],\"leaves\":[", out);
	for (uint32_t i = 0; i < info->leaf_count; i++) {
		const struct parquet_leaf_info *l = &info->leaves[i];
		char path[256];
		field_path(l->field, path, sizeof path);
		fprintf(out, "%s{\"path\":\"%s\",\"id\":%d,\"size\":%lld,\"values\":%lld,\"nulls\":%lld,\"nans\":%lld", i ? "," : "", path, l->field_id,
			(long long)l->column_size, (long long)l->value_count, (long long)l->null_count, (long long)l->nan_count);
		hex_json(out, "lower", l->has_lower, l->lower, l->lower_len);
		hex_json(out, "upper", l->has_upper, l->upper, l->upper_len);
		fputc('}', out);
	}
	fputs("],\"schema\":", out);
	schema_json(out, s->root);
	fputs("}\n", out);
}

struct sheet {
	const char *name;
	void (*schema)(struct schema *s);
	bool late;
	uint32_t groups[4]; /* rows of each, 0 = no more */
	struct parquet_writer_options opts;
};

static FILE *open_file(const char *folder, const char *name, const char *suffix)
{
	AUTO_MEM char *path = mem_printf("%s/%s%s", folder, name, suffix);
	FILE *f = fopen(path, "wb");
	if (!f) {
		perror(path);
		exit(1);
	}
	return f;
}

static void must(rc_t rc, const struct err *err)
{
	if (rc != RC_OK) {
		fprintf(stderr, "%s: %s\n", rc_name(rc), err->text);
		exit(1);
	}
}

static void write_rows(FILE *rows, struct batch *b, uint32_t count)
{
	batch_reset(b);
	for (; b->rows < count; b->rows++, row_number++) {
		buf_reset(&json);
		gen_struct(&b->root, b->rows);
		buf_byte(&json, '\n');
		fwrite(json.data, 1, json.len, rows);
	}
	batch_seal(b);
}

static void write_sheet(const char *folder, const struct sheet *sheet)
{
	FILE *file = open_file(folder, sheet->name, ".parquet"), *rows = open_file(folder, sheet->name, ".ndjson");
	struct parquet_sink sink = { file, file_write };
	struct parquet_writer *w;
	struct err err;
	struct schema *s = schema_new();
	struct batch b;
	row_number = 0;
	sheet->schema(s);
	batch_init(&b, s);
	must(parquet_writer_new(&sink, &sheet->opts, &w, &err), &err);
	for (int g = 0; g < 4 && sheet->groups[g]; g++) {
		if (g == 2 && sheet->late) {
			schema_late(s);
			batch_adopt_schema(&b);
		}
		write_rows(rows, &b, sheet->groups[g]);
		must(parquet_writer_row_group(w, &b, &err), &err);
	}
	parquet_writer_metadata(w, "hydrant.test", SLICE_LIT("first"));
	parquet_writer_metadata(w, "hydrant.test", SLICE_LIT("wörld"));
	schema_assign_ids(s);
	struct parquet_file_info info;
	must(parquet_writer_finish(w, s, &info, &err), &err);
	FILE *facts = open_file(folder, sheet->name, ".json");
	info_json(facts, s, &info);
	parquet_file_info_clear(&info);
	parquet_writer_free(w);
	batch_free(&b);
	schema_free(s);
	fclose(facts);
	fclose(rows);
	fclose(file);
}

/* Options that bring each encoding: by trial, by leaving it no rival, or by its number in the format. */
static const struct variant {
	const char *name;
	bool dictionary, delta;
	int encoding;
	bool page_index;
	uint32_t page_rows;
	size_t page_bytes;
} variants[] = {
	{ "trial", true, true, 0, true, 300, 4000 }, /* as by default */
	{ "plain", false, false, 0, true, 64, 700 },
	{ "dict", true, false, 0, false, 300, 4000 },
	{ "delta", false, false, 5, true, 64, 700 },
	{ "lengths", false, false, 6, true, 64, 700 },
	{ "prefixes", false, false, 7, false, 300, 4000 },
	{ "split", false, false, 9, true, 300, 4000 },
};

static void sheet_codec(const char *folder, const char *codec)
{
	struct sheet flat = { .schema = schema_flat, .late = true, .groups = { 1, 160, 120, 3 } };
	struct parquet_writer_options *o = &flat.opts;
	parquet_writer_options_default(o);
	must(parquet_codec_parse(slice_str(codec), &o->codec, &o->level, NULL), &(struct err){ .text = "codec" });
	for (size_t i = 0; i < 2 * sizeof variants / sizeof *variants; i++) {
		const struct variant *v = &variants[i / 2];
		char name[64];
		o->data_page_v2 = i % 2;
		o->dictionary_bytes = v->dictionary ? (size_t)1 << 20 : 0;
		o->delta = v->delta;
		o->encoding = v->encoding;
		o->page_index = v->page_index;
		o->page_rows = v->page_rows;
		o->page_bytes = v->page_bytes;
		snprintf(name, sizeof name, "flat-%.*s-v%d-%s", (int)strcspn(codec, ":"), codec, o->data_page_v2 ? 2 : 1, v->name);
		flat.name = name;
		write_sheet(folder, &flat);
		struct sheet nested = flat;
		snprintf(name, sizeof name, "nested-%.*s-v%d-%s", (int)strcspn(codec, ":"), codec, o->data_page_v2 ? 2 : 1, v->name);
		nested.schema = schema_nested;
		write_sheet(folder, &nested);
	}
}

static void schema_hollow(struct schema *s)
{
	add(s, NULL, "x_never", TYPE_INT64);
	add(s, add(s, NULL, "a", TYPE_STRUCT), "y_never", TYPE_STRING);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: parquet_write_gen FOLDER\n", stderr);
		return 2;
	}
	buf_init(&json, BUF_MAX_DEFAULT);
	static const char *const codecs[] = { "uncompressed", "snappy", "gzip:2", "zstd:3", "lz4_raw" };
	for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++)
		sheet_codec(argv[1], codecs[i]);
	struct sheet large = { .name = "large", .schema = schema_flat, .groups = { 22000 } };
	parquet_writer_options_default(&large.opts);
	large.opts.bloom_filters = true;
	write_sheet(argv[1], &large);
	large.name = "large-nested";
	large.schema = schema_nested;
	write_sheet(argv[1], &large);
	large.name = "hollow"; /* no value at all: one column has to stand for the rows */
	large.schema = schema_hollow;
	write_sheet(argv[1], &large);
	large.name = "none";
	large.schema = schema_flat;
	large.groups[0] = 0;
	write_sheet(argv[1], &large);
	buf_free(&json);
	return 0;
}
