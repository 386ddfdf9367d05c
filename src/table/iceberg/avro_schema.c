/* Avro schemas: JSON to a tree of types. Named types are shared, recursion through them is refused: Iceberg has none. */
#include <jansson.h>

#include "base/map.h"
#include "table/iceberg/avro_internal.h"

struct parse {
	struct arena *arena;
	struct map named; /* name -> struct avro_type */
	unsigned depth;
	unsigned types;
	struct err *reterr;
};

static rc_t parse_type(struct parse *p, json_t *j, struct avro_type **ret);

static rc_t bad(struct parse *p, const char *what)
{
	return err_set(p->reterr, RC_CORRUPT, "an Avro file's schema %s", what);
}

static const struct {
	const char *name;
	enum avro_kind kind;
} primitives[] = {
	{ "null", AVRO_NULL },     { "boolean", AVRO_BOOL },  { "int", AVRO_INT },     { "long", AVRO_LONG },
	{ "float", AVRO_FLOAT },   { "double", AVRO_DOUBLE }, { "bytes", AVRO_BYTES }, { "string", AVRO_STRING },
};

static rc_t new_type(struct parse *p, enum avro_kind kind, uint32_t count, struct avro_type **ret)
{
	if (++p->types > AVRO_TYPES_MAX)
		return bad(p, "has too many types");
	struct avro_type *t = arena_zalloc(p->arena, sizeof *t);
	t->kind = kind;
	t->count = count;
	if (count)
		t->types = arena_zalloc(p->arena, count * sizeof *t->types);
	*ret = t;
	return RC_OK;
}

static rc_t parse_name(struct parse *p, json_t *j, struct avro_type **ret)
{
	struct slice name = slice_of(json_string_value(j), json_string_length(j));
	for (size_t i = 0; i < sizeof primitives / sizeof *primitives; i++)
		if (slice_eq_str(name, primitives[i].name))
			return new_type(p, primitives[i].kind, 0, ret);
	uintptr_t *known = map_get(&p->named, name);
	if (!known)
		return bad(p, "names a type that it does not define");
	struct avro_type *t = (struct avro_type *)*known;
	if (!t->complete)
		return err_set(p->reterr, RC_UNSUPPORTED, "an Avro file's schema is recursive");
	if (++p->types > AVRO_TYPES_MAX)
		return bad(p, "has too many types");
	*ret = t;
	return RC_OK;
}

/* Records the name (and, with a namespace, the full name) for later references. */
static void remember(struct parse *p, json_t *j, struct avro_type *t)
{
	json_t *name = json_object_get(j, "name"), *space = json_object_get(j, "namespace");
	if (!json_is_string(name))
		return;
	*map_put(&p->named, slice_of(json_string_value(name), json_string_length(name)), NULL) = (uintptr_t)t;
	if (json_is_string(space)) {
		AUTO_MEM char *full = mem_printf("%s.%s", json_string_value(space), json_string_value(name));
		*map_put(&p->named, slice_str(full), NULL) = (uintptr_t)t;
	}
}

static rc_t parse_child(struct parse *p, json_t *j, struct avro_type *t, uint32_t i)
{
	TRY(parse_type(p, j, &t->types[i]));
	if (t->types[i]->depth + 1 > t->depth)
		t->depth = t->types[i]->depth + 1;
	return t->depth > AVRO_DEPTH_MAX ? bad(p, "is nested too deep") : RC_OK;
}

static rc_t parse_record(struct parse *p, json_t *j, struct avro_type **ret)
{
	json_t *fields = json_object_get(j, "fields");
	if (!json_is_array(fields))
		return bad(p, "has a record without fields");
	size_t n = json_array_size(fields);
	if (n > AVRO_TYPES_MAX)
		return bad(p, "has too many types");
	struct avro_type *t = NULL;
	TRY(new_type(p, AVRO_RECORD, (uint32_t)n, &t));
	t->names = arena_zalloc(p->arena, n * sizeof *t->names + 1);
	t->ids = arena_zalloc(p->arena, n * sizeof *t->ids + 1);
	remember(p, j, t);
	for (uint32_t i = 0; i < n; i++) {
		json_t *f = json_array_get(fields, i), *name = json_object_get(f, "name"), *id = json_object_get(f, "field-id");
		if (!json_is_string(name))
			return bad(p, "has a field without a name");
		t->names[i] = arena_copy(p->arena, slice_of(json_string_value(name), json_string_length(name)));
		json_int_t v = json_is_integer(id) ? json_integer_value(id) : -1;
		t->ids[i] = v >= 0 && v <= INT32_MAX ? (int32_t)v : -1;
		TRY(parse_child(p, json_object_get(f, "type"), t, i));
	}
	t->complete = true;
	*ret = t;
	return RC_OK;
}

static rc_t parse_object(struct parse *p, json_t *j, struct avro_type **ret)
{
	json_t *type = json_object_get(j, "type");
	if (json_is_object(type) || json_is_array(type))
		return parse_type(p, type, ret);
	if (!json_is_string(type))
		return bad(p, "has an object without a type");
	const char *name = json_string_value(type);
	struct avro_type *t = NULL;
	if (!strcmp(name, "record"))
		return parse_record(p, j, ret);
	if (!strcmp(name, "array") || !strcmp(name, "map")) {
		TRY(new_type(p, *name == 'a' ? AVRO_ARRAY : AVRO_MAP, 1, &t));
		TRY(parse_child(p, json_object_get(j, *name == 'a' ? "items" : "values"), t, 0));
	} else if (!strcmp(name, "fixed")) {
		json_int_t size = json_integer_value(json_object_get(j, "size"));
		if (size < 0 || size > (1 << 20))
			return bad(p, "has a fixed type of an odd size");
		TRY(new_type(p, AVRO_FIXED, 0, &t));
		t->size = (uint32_t)size;
		remember(p, j, t);
	} else if (!strcmp(name, "enum")) {
		TRY(new_type(p, AVRO_ENUM, 0, &t));
		t->size = (uint32_t)json_array_size(json_object_get(j, "symbols"));
		remember(p, j, t);
	} else {
		return parse_name(p, type, ret);
	}
	t->complete = true;
	*ret = t;
	return RC_OK;
}

static rc_t parse_union(struct parse *p, json_t *j, struct avro_type **ret)
{
	size_t n = json_array_size(j);
	if (n == 0 || n > 256)
		return bad(p, "has a union of no or too many branches");
	struct avro_type *t = NULL;
	TRY(new_type(p, AVRO_UNION, (uint32_t)n, &t));
	for (uint32_t i = 0; i < n; i++) {
		TRY(parse_child(p, json_array_get(j, i), t, i));
		if (t->types[i]->kind == AVRO_UNION)
			return bad(p, "has a union in a union");
	}
	*ret = t;
	return RC_OK;
}

static rc_t parse_type(struct parse *p, json_t *j, struct avro_type **ret)
{
	if (p->depth >= AVRO_DEPTH_MAX * 2)
		return bad(p, "is nested too deep");
	p->depth++;
	rc_t rc;
	if (json_is_string(j))
		rc = parse_name(p, j, ret);
	else if (json_is_object(j))
		rc = parse_object(p, j, ret);
	else if (json_is_array(j))
		rc = parse_union(p, j, ret);
	else
		rc = bad(p, "lacks a type");
	p->depth--;
	return rc;
}

rc_t avro_schema_parse(struct slice text, struct arena *a, struct avro_type **ret, struct err *reterr)
{
	json_error_t je;
	json_t *j = json_loadb((const char *)text.data, text.len, JSON_DECODE_ANY, &je);
	if (!j)
		return err_set(reterr, RC_CORRUPT, "an Avro file's schema is not JSON: %s", je.text);
	struct parse p = { .arena = a, .reterr = reterr };
	map_init(&p.named);
	rc_t rc = parse_type(&p, j, ret);
	map_free(&p.named);
	json_decref(j);
	return rc;
}
