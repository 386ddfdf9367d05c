/* What a file says of its payloads: key tables, notes, shapes, and columns that fit them or not. The first byte chooses: a key table of any
 * bytes, notes of any bytes, or rows that are made from the bytes: a schema, notes on it, a consistent batch, a key table and shapes.
 * Laws: no crash; a table that is decoded and encoded again stays the same; AVX2 and portable code, a shape walked and a plan run,
 * say the same of each row. */
#include "json/json.h"
#include "json/notes.h"
#include "json/render.h"
#include "json/shape.h"
#include "model/batch_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPACE	   7
#define FIELDS_MAX 40
#define SHAPES	   4

struct maker {
	struct slice in;
	struct schema *schema;
	struct shape_keys *keys;
	struct buf shapes[SHAPES];
};

static uint8_t next(struct maker *m)
{
	uint8_t b = m->in.len ? m->in.data[0] : 0;
	m->in = slice_skip(m->in, 1);
	return b;
}

/* ---- bytes as they are ---- */

static void check_keys(struct slice bytes)
{
	struct err err;
	AUTO(shape_keys) *k = NULL, *again = NULL;
	AUTO_BUF struct buf first, second;
	buf_init(&first, BUF_MAX_DEFAULT);
	buf_init(&second, BUF_MAX_DEFAULT);
	if (shape_keys_decode(bytes, &k, &err) != RC_OK)
		return;
	shape_keys_encode(k, &first);
	must(shape_keys_decode(buf_slice(&first), &again, &err) == RC_OK);
	shape_keys_encode(again, &second);
	must(slice_eq(buf_slice(&first), buf_slice(&second)) && shape_edge_count(k) == shape_edge_count(again));
	for (uint32_t n = 1; n < shape_node_count(k); n++) {
		const struct shape_node *at = shape_node_at(k, n);
		must(at->parent < n && shape_node_find(k, at->parent, at->element, at->key) == n);
	}
}

static struct schema *some_schema(void)
{
	struct schema *s = schema_new();
	struct field *a = schema_add(s, NULL, SLICE_LIT("a"), TYPE_STRUCT);
	schema_add(s, a, SLICE_LIT("b"), TYPE_STRING);
	schema_add(s, NULL, SLICE_LIT("list"), TYPE_LIST);
	schema_add(s, s->root->children[1], SLICE_LIT("element"), TYPE_INT64);
	schema_add(s, NULL, SLICE_LIT("__shape"), TYPE_BINARY);
	schema_assign_ids(s);
	schema_add(s, a, SLICE_LIT("late"), TYPE_DOUBLE); /* without an id */
	return s;
}

static void check_notes(struct slice bytes)
{
	struct err err;
	AUTO(schema) *s = some_schema();
	AUTO_BUF struct buf first, second;
	buf_init(&first, BUF_MAX_DEFAULT);
	buf_init(&second, BUF_MAX_DEFAULT);
	if (schema_notes_decode(bytes, s, &err) != RC_OK)
		return;
	schema_notes_encode(s, &first);
	must(schema_notes_decode(buf_slice(&first), s, &err) == RC_OK); /* what foreign notes took from `__shape` its name gives back */
	buf_reset(&first);
	schema_notes_encode(s, &first);
	must(schema_notes_decode(buf_slice(&first), s, &err) == RC_OK);
	schema_notes_encode(s, &second);
	must(slice_eq(buf_slice(&first), buf_slice(&second)));
}

/* ---- a schema and its notes ---- */

static const char *const names[] = { "a", "b", "c", "" };

static void make_field(struct maker *m, struct field *parent, struct slice name, unsigned depth)
{
	static const enum type types[] = { TYPE_BOOL, TYPE_INT64, TYPE_DOUBLE, TYPE_DECIMAL, TYPE_DECIMAL, TYPE_STRING, TYPE_TIMESTAMPTZ, TYPE_TIMESTAMP,
		                           TYPE_STRUCT, TYPE_STRUCT, TYPE_LIST, TYPE_LIST, TYPE_MAP, TYPE_BINARY, TYPE_INT32, TYPE_FLOAT };
	uint8_t b = next(m);
	enum type t = types[b % 16];
	if ((depth >= 4 || m->schema->field_count > FIELDS_MAX) && type_is_nested(t))
		t = TYPE_INT64;
	struct field *f = schema_add(m->schema, parent, name, t);
	if (t == TYPE_DECIMAL) {
		f->precision = b & 16 ? 38 : 18;
		f->scale = b >> 5;
	}
	if (t == TYPE_STRUCT) {
		for (unsigned i = 0, n = 1 + (b >> 4) % 4; i < n; i++)
			make_field(m, f, slice_str(names[i]), depth + 1);
	} else if (t == TYPE_LIST) {
		make_field(m, f, SLICE_LIT("element"), depth + 1);
	} else if (t == TYPE_MAP) {
		schema_add(m->schema, f, SLICE_LIT("key"), TYPE_STRING)->required = true;
		make_field(m, f, SLICE_LIT("value"), depth + 1);
	}
}

static void put_note(struct maker *m, struct buf *notes, bool first)
{
	static const char *const roles[] = { "payload", "sibling", "time", "received", "source", "pos", "id", "key", "meta", "shape", "raw", "rest",
		                             "text", "value" };
	uint8_t id = next(m), what = next(m), format = next(m);
	buf_printf(notes, "%s{\"id\":%u,\"role\":\"%s\"", first ? "" : ",", 1 + id % m->schema->field_count, roles[what % 16 < 14 ? what % 16 : 1]);
	if (what & 0x80)
		buf_printf(notes, ",\"key\":\"%s\"", names[what >> 5 & 3]);
	buf_printf(notes, ",\"format\":%u}", format % 80);
}

/* What notes could say of the fields, oftener than chance would have it: times with formats, JSON text, a second column for a key. */
static void make_kinds(struct maker *m, struct schema *s)
{
	for (struct field *f = s->root; (f = field_next(s->root, f));) {
		uint8_t b = next(m);
		if (f->role != ROLE_PAYLOAD)
			continue;
		if (f->type == TYPE_TIMESTAMP || f->type == TYPE_TIMESTAMPTZ)
			f->format = (uint8_t)(FORMAT_TIME_BASE + b % 54);
		else if (b % 4 == 1)
			f->format = f->type == TYPE_STRING ? FORMAT_JSON : f->type == TYPE_DOUBLE ? FORMAT_DOUBLE_DOT : 0;
		if (b >> 6 == 3 && f->index && f->parent->type == TYPE_STRUCT && f->parent->children[f->index - 1]->role == ROLE_PAYLOAD) {
			f->role = ROLE_SIBLING;
			f->key = f->parent->children[f->index - 1]->key;
		}
	}
}

static void make_schema(struct maker *m)
{
	struct err err;
	uint8_t b = next(m);
	m->schema = schema_new();
	for (unsigned i = 0, n = 1 + b % 4; i < n; i++)
		make_field(m, NULL, slice_str(i < 4 ? names[i] : "d"), 0);
	schema_add(m->schema, NULL, SLICE_LIT("__shape"), TYPE_BINARY);
	schema_add(m->schema, NULL, SLICE_LIT("__raw"), TYPE_BINARY);
	struct field *rest = schema_add(m->schema, NULL, SLICE_LIT("__rest"), TYPE_MAP);
	schema_add(m->schema, rest, SLICE_LIT("key"), TYPE_STRING)->required = true;
	schema_add(m->schema, rest, SLICE_LIT("value"), TYPE_STRING);
	schema_assign_ids(m->schema);
	must(schema_notes_decode((struct slice){ 0 }, m->schema, &err) == RC_OK); /* names give the roles */
	make_kinds(m, m->schema);
	if (!(b & 16))
		return;
	AUTO_BUF struct buf notes, all;
	buf_init(&notes, BUF_MAX_DEFAULT);
	buf_init(&all, BUF_MAX_DEFAULT);
	schema_notes_encode(m->schema, &all);
	buf_append(&notes, all.data, all.len - 2);
	bool first = notes.data[notes.len - 1] == '[';
	for (unsigned i = 0, n = 1 + b / 32; i < n; i++, first = false)
		put_note(m, &notes, first);
	buf_append_str(&notes, "]}");
	schema_notes_decode(buf_slice(&notes), m->schema, &err);
}

/* ---- a batch ---- */

static struct slice some_text(struct maker *m)
{
	static const char *const texts[] = { "a", "b", "a.b", "b.a", "", "x", "1", "{\"a\":1}", "a text of over thirty-two bytes, which goes another way",
		                             "\"\\\n\x01\x7f", "\xc3\xa9\xe2\x80\xa8</>", "\xff\xfe" };
	return slice_str(texts[next(m) % (sizeof texts / sizeof *texts)]);
}

static void fill_value(struct maker *m, struct column *c, uint32_t slot)
{
	size_t width = field_width(c->field);
	if (!width && !type_is_nested(c->field->type)) {
		if (c->field->role == ROLE_SHAPE || slice_eq_str(c->field->name, "__shape"))
			column_put_bytes(c, slot, buf_slice(&m->shapes[next(m) % SHAPES]));
		else
			column_put_bytes(c, slot, some_text(m));
		return;
	}
	uint8_t b = next(m), bytes[16];
	memset(bytes, b & 1 ? 0xff : 0, sizeof bytes);
	bytes[0] = c->field->type == TYPE_BOOL ? b & 1 : b;
	bytes[b % 8] ^= (uint8_t)(b * 31);
	if (c->field->type == TYPE_STRUCT)
		column_mark(c, slot);
	else if (type_is_nested(c->field->type))
		for (column_list_begin(c, slot), b %= 4; b; b--)
			column_list_extend(c);
	else
		column_put_fixed(c, slot, bytes, width);
}

static void fill(struct maker *m, struct column *c, uint32_t slots, bool always)
{
	uint8_t mask = 0xff;
	for (uint32_t i = 0; i < slots; i++) {
		if (!always && i % 8 == 0)
			mask = next(m);
		if (mask >> i % 8 & 1)
			fill_value(m, c, i);
	}
	uint32_t inner = c->offsets && type_is_nested(c->field->type) ? c->offsets[c->values] : c->values;
	for (uint32_t i = 0; type_is_nested(c->field->type) && i < c->child_count; i++)
		fill(m, &c->children[i], inner, c->children[i].field->required);
}

/* ---- a key table and shapes ---- */

/* The first edge from `at` on that an EDGE_OPTIONS of node may name; else SHAPE_NONE. */
static uint32_t option_from(const struct shape_keys *k, uint32_t node, uint32_t at)
{
	for (uint32_t n = shape_edge_count(k); at < n; at++)
		if (shape_edge_at(k, at)->from == node && shape_edge_at(k, at)->optional)
			return at;
	return SHAPE_NONE;
}

static void make_edge(struct maker *m)
{
	uint8_t from = next(m), what = next(m);
	enum edge_kind kind = (enum edge_kind)(EDGE_MEMBER + what % (EDGE_KINDS - 1));
	const char *open = "", *sep = "", *close = "";
	char member[16];
	bool first = what & 64;
	if (kind > EDGE_ELEMENT) { /* made of the numbers of other edges */
		uint8_t numbers[4];
		uint32_t node = (from & 63) % shape_node_count(m->keys), some;
		uint8_t count = (uint8_t)(shape_edge_count(m->keys) < 128 ? shape_edge_count(m->keys) : 128);
		for (int i = 0; i < 4; i++) {
			uint8_t b = next(m);
			numbers[i] = b % count;
			if (b < 0xc0 && (some = option_from(m->keys, node, b % count)) < count)
				numbers[i] = (uint8_t)some;
		}
		shape_edge_add(m->keys, node, kind, CLASS_SCALAR, slice_of(numbers, 1 + (what & 3)), 0, 0);
		return;
	}
	switch (kind) {
	case EDGE_MEMBER:
		snprintf(member, sizeof member, "%s\"%s\":", first ? "{" : what & 128 ? ", " : ",", names[from >> 6]);
		open = member;
		break;
	case EDGE_REST:
		open = first ? "{" : ",";
		sep = ":";
		break;
	case EDGE_END:
		open = (const char *[]){ "}", "]", "{}", "[ ]" }[from >> 6];
		break;
	case EDGE_UNIFORM:
		open = "[";
		sep = what & 128 ? ", " : ",";
		close = "]";
		break;
	case EDGE_ELEMENT:
		open = first ? "[" : ",";
		break;
	default:
		break;
	}
	char lit[64];
	int len = snprintf(lit, sizeof lit, "%s%s%s", open, sep, close);
	enum shape_class class = (enum shape_class)(what / 6 % 3);
	shape_edge_add(m->keys, (from & 63) % shape_node_count(m->keys), kind, class, slice_of(lit, (size_t)len), strlen(sep), strlen(close));
}

/* An edge out of the node that can stand there, the first behind a chosen one; SHAPE_NONE if there is none. */
static uint32_t pick_edge(struct maker *m, uint32_t node, unsigned kinds)
{
	uint32_t n = shape_edge_count(m->keys), at = next(m) % n;
	for (uint32_t i = 0; i < n; i++, at = (at + 1) % n) {
		const struct shape_edge *e = shape_edge_at(m->keys, at);
		if (e->from == node && kinds >> e->kind & 1 && e->kind != EDGE_ROOT)
			return at;
	}
	return SHAPE_NONE;
}

static void walk(struct maker *m, struct buf *shape, uint32_t node, uint8_t class, unsigned depth)
{
	if (class == CLASS_SCALAR || depth > 8)
		return;
	const unsigned of_arrays = 1u << EDGE_UNIFORM | 1u << EDGE_MIXED | 1u << EDGE_ELEMENT, end = 1u << EDGE_END;
	unsigned kinds = class == CLASS_OBJECT ? ~of_arrays : (of_arrays & ~(1u << EDGE_ELEMENT)) | end;
	for (int i = 0; i < 6; i++) {
		uint32_t edge = pick_edge(m, node, i < 5 ? kinds : end);
		if (edge == SHAPE_NONE)
			return;
		buf_varint(shape, edge);
		struct shape_edge e = *shape_edge_at(m->keys, edge);
		if (e.to != SHAPE_NONE)
			walk(m, shape, e.to, e.class, depth + 1);
		if (e.kind == EDGE_END || e.kind == EDGE_UNIFORM)
			return;
		if (e.kind == EDGE_MIXED)
			kinds = 1u << EDGE_ELEMENT | end;
	}
}

static void make_shapes(struct maker *m)
{
	m->keys = shape_keys_new(SPACE);
	for (int i = next(m) % 100; i >= 0; i--)
		make_edge(m);
	for (int i = 0; i < SHAPES; i++) {
		struct buf *s = &m->shapes[i];
		uint8_t how = next(m);
		buf_init(s, BUF_MAX_DEFAULT);
		buf_u32(s, how == 255 ? SPACE + 1 : SPACE);
		buf_byte(s, how % 32);
		if (how & 0x80) {
			for (int n = next(m) % 16; n > 0; n--)
				buf_byte(s, next(m));
		} else {
			buf_byte(s, how >> 5 & 3);
			walk(m, s, SHAPE_ROOT_NODE, how >> 5 & 3, 0);
		}
	}
}

static void render_all(const struct maker *m, const struct batch *b, bool simd, struct buf *out)
{
	struct err err;
	AUTO_BUF struct buf keys;
	buf_init(&keys, BUF_MAX_DEFAULT);
	shape_keys_encode(m->keys, &keys);
	json_scan_use_simd(simd);
	AUTO(renderer) *r = renderer_new(m->schema);
	must(renderer_add_keys(r, buf_slice(&keys), &err) == RC_OK && renderer_has_keys(r, SPACE));
	if (b->rows % 3 == 0)
		renderer_borrow_keys(r, m->keys);
	must(renderer_add_keys(r, buf_slice(&keys), &err) == RC_OK); /* known already */
	struct buf rows[3];
	for (int again = 0; again < 3; again++) { /* walked; planned; run */
		AUTO_BUF struct buf row;
		buf_init(&row, b->rows % 2 ? 200 : 1 << 16);
		buf_init(&rows[again], BUF_MAX_DEFAULT);
		renderer_begin(r, b);
		for (uint32_t i = 0; i < b->rows; i++) {
			buf_reset(&row);
			rc_t rc = renderer_row(r, i, &row, &err);
			must(rc == RC_OK || rc == RC_CORRUPT || rc == RC_NOT_FOUND || rc == RC_LIMIT || rc == RC_UNSUPPORTED);
			buf_byte(&rows[again], (uint8_t)rc);
			if (rc == RC_OK)
				buf_append_slice(&rows[again], buf_slice(&row));
			buf_reset(&row);
			rc = renderer_columns(r, i, &row, &err);
			must(rc == RC_OK ? row.data[row.len - 1] == '}' : rc == RC_LIMIT);
		}
		must(renderer_row(r, b->rows, &row, &err) == RC_INVALID);
		must(!again || slice_eq(buf_slice(&rows[again]), buf_slice(&rows[0])));
	}
	buf_append_slice(out, buf_slice(&rows[0]));
	for (int i = 0; i < 3; i++)
		buf_free(&rows[i]);
}

static void check_rows(struct slice in)
{
	struct maker m = { .in = in };
	AUTO_BUF struct buf simd, portable;
	buf_init(&simd, BUF_MAX_DEFAULT);
	buf_init(&portable, BUF_MAX_DEFAULT);
	make_schema(&m);
	make_shapes(&m);
	struct batch b;
	batch_init(&b, m.schema);
	b.rows = 1 + next(&m) % 150;
	for (uint32_t i = 0; i < b.root.child_count; i++)
		fill(&m, &b.root.children[i], b.rows, false);
	batch_seal(&b);
	check_batch(&b);
	render_all(&m, &b, true, &simd);
	render_all(&m, &b, false, &portable);
	must(slice_eq(buf_slice(&simd), buf_slice(&portable)));
	batch_free(&b);
	for (int i = 0; i < SHAPES; i++)
		buf_free(&m.shapes[i]);
	shape_keys_free(m.keys);
	schema_free(m.schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct slice in = slice_of(data + 1, size - 1);
	if (data[0] % 8 == 0)
		check_keys(in);
	else if (data[0] % 8 == 1)
		check_notes(in);
	else
		check_rows(in);
	return 0;
}
