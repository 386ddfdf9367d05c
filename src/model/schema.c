#include "model/schema.h"

#include <stdio.h>

struct schema *schema_new(void)
{
	struct schema *s = NEW(struct schema);
	arena_init(&s->arena);
	s->root = arena_zalloc(&s->arena, sizeof *s->root);
	s->root->type = TYPE_STRUCT;
	s->root->required = true;
	return s;
}

void schema_free(struct schema *s)
{
	if (!s)
		return;
	arena_free(&s->arena);
	free(s);
}

bool type_is_nested(enum type t)
{
	return t == TYPE_STRUCT || t == TYPE_LIST || t == TYPE_MAP;
}

struct field *schema_add(struct schema *s, struct field *parent, struct slice name, enum type type)
{
	if (!parent)
		parent = s->root;
	if (parent->child_count == parent->child_cap) {
		uint32_t cap = parent->child_cap ? parent->child_cap * 2 : 4;
		struct field **grown = arena_alloc(&s->arena, cap * sizeof *grown);
		if (parent->child_count)
			memcpy(grown, parent->children, parent->child_count * sizeof *grown);
		parent->children = grown;
		parent->child_cap = cap;
	}
	struct field *f = arena_zalloc(&s->arena, sizeof *f);
	f->parent = parent;
	f->type = type;
	f->index = parent->child_count;
	f->name = slice_str(arena_cstr(&s->arena, name));
	f->name.len = name.len;
	parent->children[parent->child_count++] = f;
	s->field_count++;
	if (!type_is_nested(type))
		s->leaf_count++;
	return f;
}

void field_copy_kind(struct schema *to, struct field *f, const struct field *from)
{
	f->type = from->type;
	f->required = from->required;
	f->precision = from->precision;
	f->scale = from->scale;
	f->length = from->length;
	f->format = from->format;
	f->role = from->role;
	f->key = arena_copy(&to->arena, from->key);
}

static void copy_children(struct schema *to, struct field *tf, const struct field *from)
{
	for (uint32_t i = 0; i < from->child_count; i++) {
		const struct field *f = from->children[i];
		struct field *c = schema_add(to, tf, f->name, f->type);
		c->id = f->id;
		field_copy_kind(to, c, f);
		copy_children(to, c, f);
	}
}

struct schema *schema_copy(const struct schema *s)
{
	struct schema *copy = schema_new();
	copy->last_id = s->last_id;
	copy->schema_id = s->schema_id;
	copy_children(copy, copy->root, s->root);
	return copy;
}

struct field *field_next(const struct field *root, const struct field *f)
{
	if (f->child_count)
		return f->children[0];
	while (f != root) {
		const struct field *p = f->parent;
		if (f->index + 1 < p->child_count)
			return p->children[f->index + 1];
		f = p;
	}
	return NULL;
}

static uint32_t depth_of(const struct field *f)
{
	uint32_t d = 0;
	while ((f = f->parent))
		d++;
	return d;
}

void schema_assign_ids(struct schema *s)
{
	uint32_t deepest = 0;
	for (struct field *f = s->root; f; f = field_next(s->root, f)) {
		uint32_t d = depth_of(f);
		if (f != s->root && !f->id && d > deepest)
			deepest = d;
	}
	for (uint32_t level = 1; level <= deepest; level++)
		for (struct field *f = s->root; f; f = field_next(s->root, f))
			if (f != s->root && !f->id && depth_of(f) == level)
				f->id = ++s->last_id;
}

struct field *field_child(const struct field *parent, struct slice name)
{
	for (uint32_t i = 0; i < parent->child_count; i++)
		if (slice_eq(parent->children[i]->name, name))
			return parent->children[i];
	return NULL;
}

struct field *schema_by_id(const struct schema *s, int32_t id)
{
	for (struct field *f = s->root; f; f = field_next(s->root, f))
		if (f->id == id && f != s->root)
			return f;
	return NULL;
}

struct field *schema_by_role(const struct schema *s, enum role role)
{
	for (uint32_t i = 0; i < s->root->child_count; i++)
		if (s->root->children[i]->role == role)
			return s->root->children[i];
	return NULL;
}

void field_path(const struct field *f, char *out, size_t cap)
{
	if (!cap)
		return;
	out[0] = 0;
	if (!f->parent)
		return;
	field_path(f->parent, out, cap);
	size_t n = strlen(out);
	snprintf(out + n, cap - n, "%s%.*s", n ? "." : "", SLICE_ARG(f->name));
}

size_t field_width(const struct field *f)
{
	switch (f->type) {
	case TYPE_BOOL:
		return 1;
	case TYPE_INT32:
	case TYPE_FLOAT:
	case TYPE_DATE:
		return 4;
	case TYPE_INT64:
	case TYPE_DOUBLE:
	case TYPE_TIME:
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		return 8;
	case TYPE_DECIMAL:
		return f->precision <= 18 ? 8 : 16;
	case TYPE_UUID:
		return 16;
	case TYPE_FIXED:
		return f->length;
	default:
		return 0;
	}
}

static const struct {
	const char *name;
	enum type type;
} type_names[] = {
	{ "struct", TYPE_STRUCT },       { "list", TYPE_LIST },     { "map", TYPE_MAP },
	{ "boolean", TYPE_BOOL },        { "int", TYPE_INT32 },     { "long", TYPE_INT64 },
	{ "float", TYPE_FLOAT },         { "double", TYPE_DOUBLE }, { "date", TYPE_DATE },
	{ "time", TYPE_TIME },           { "timestamp", TYPE_TIMESTAMP }, { "timestamptz", TYPE_TIMESTAMPTZ },
	{ "string", TYPE_STRING },       { "binary", TYPE_BINARY }, { "uuid", TYPE_UUID },
};

void type_name(const struct field *f, char out[32])
{
	if (f->type == TYPE_DECIMAL)
		snprintf(out, 32, "decimal(%u, %u)", f->precision, f->scale);
	else if (f->type == TYPE_FIXED)
		snprintf(out, 32, "fixed[%u]", f->length);
	else
		for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++)
			if (type_names[i].type == f->type)
				snprintf(out, 32, "%s", type_names[i].name);
}

rc_t type_parse(struct slice name, struct field *f, struct err *reterr)
{
	for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++) {
		if (slice_eq_str(name, type_names[i].name)) {
			f->type = type_names[i].type;
			return RC_OK;
		}
	}
	char text[64];
	unsigned p, s;
	int n = 0;
	snprintf(text, sizeof text, "%.*s", SLICE_ARG(name));
	if (sscanf(text, "decimal(%u ,%u )%n", &p, &s, &n) == 2 && n == (int)name.len && p >= 1 && p <= 38 && s <= p) {
		f->type = TYPE_DECIMAL;
		f->precision = (uint8_t)p;
		f->scale = (uint8_t)s;
		return RC_OK;
	}
	if (sscanf(text, "fixed[%u]%n", &p, &n) == 1 && n == (int)name.len && p <= 65536) {
		f->type = TYPE_FIXED;
		f->length = p;
		return RC_OK;
	}
	return err_set(reterr, RC_UNSUPPORTED, "type '%s' is not one this version knows", text);
}

static bool field_equal(const struct field *a, const struct field *b)
{
	if (a->id != b->id || a->type != b->type || a->required != b->required || a->precision != b->precision || a->scale != b->scale ||
	    a->length != b->length || a->child_count != b->child_count || !slice_eq(a->name, b->name))
		return false;
	for (uint32_t i = 0; i < a->child_count; i++)
		if (!field_equal(a->children[i], b->children[i]))
			return false;
	return true;
}

bool schema_equal(const struct schema *a, const struct schema *b)
{
	return field_equal(a->root, b->root);
}
