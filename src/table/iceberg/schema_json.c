/* Schemas to and from Iceberg's JSON (spec, Appendix C), the name mapping, and hydrant's notes on fields. */
#include <stdio.h>

#include "base/map.h"
#include "table/iceberg/metadata_internal.h"

static struct slice json_slice(const json_t *j)
{
	return slice_of(json_string_value(j), json_string_length(j));
}

/* ---- From JSON ---- */

struct parse {
	struct schema *s;
	struct map ids; /* seen: an id is used once */
	unsigned depth;
	struct err *reterr;
};

static rc_t bad(struct parse *p, const char *what)
{
	return err_set(p->reterr, RC_CORRUPT, "the table's schema %s", what);
}

static rc_t add_children(struct parse *p, struct field *f, json_t *type);

/* One field below `parent`: its id, whether it is required, its type. */
static rc_t add_field(struct parse *p, struct field *parent, struct slice name, json_t *id, bool required, json_t *type, struct field **ret)
{
	struct field probe = { .type = TYPE_STRUCT };
	if (p->depth >= SCHEMA_DEPTH_MAX || p->s->field_count >= SCHEMA_FIELDS_MAX)
		return bad(p, "is nested too deep or has too many fields");
	if (!json_is_integer(id) || json_integer_value(id) <= 0 || json_integer_value(id) > INT32_MAX)
		return bad(p, "has a field without a proper id");
	if (json_is_string(type)) {
		TRY(type_parse(json_slice(type), &probe, p->reterr));
		if (type_is_nested(probe.type))
			return bad(p, "has a nested type without children");
	} else if (json_is_object(type)) {
		const char *kind = meta_str(type, "type");
		if (!kind || (strcmp(kind, "struct") && strcmp(kind, "list") && strcmp(kind, "map")))
			return bad(p, "has a type that is none");
		probe.type = *kind == 's' ? TYPE_STRUCT : *kind == 'l' ? TYPE_LIST : TYPE_MAP;
	} else {
		return bad(p, "has a field without a type");
	}
	int32_t v = (int32_t)json_integer_value(id);
	bool fresh;
	map_put(&p->ids, slice_of(&v, sizeof v), &fresh);
	if (!fresh)
		return bad(p, "uses one field id twice");
	struct field *f = schema_add(p->s, parent, name, probe.type);
	f->id = v;
	f->required = required;
	f->precision = probe.precision;
	f->scale = probe.scale;
	f->length = probe.length;
	if (v > p->s->last_id)
		p->s->last_id = v;
	*ret = f;
	if (!type_is_nested(f->type))
		return RC_OK;
	p->depth++;
	rc_t rc = add_children(p, f, type);
	p->depth--;
	return rc;
}

static rc_t add_struct(struct parse *p, struct field *parent, json_t *type)
{
	json_t *fields = json_object_get(type, "fields");
	if (!json_is_array(fields))
		return bad(p, "has a struct without fields");
	struct map names;
	map_init(&names);
	rc_t rc = RC_OK;
	for (size_t i = 0; rc == RC_OK && i < json_array_size(fields); i++) {
		json_t *j = json_array_get(fields, i), *name = json_object_get(j, "name");
		struct field *f;
		bool fresh = false;
		if (json_is_string(name) && json_string_length(name) <= 65535)
			map_put(&names, json_slice(name), &fresh);
		rc = fresh ? add_field(p, parent, json_slice(name), json_object_get(j, "id"), json_is_true(json_object_get(j, "required")),
				       json_object_get(j, "type"), &f)
			   : bad(p, "has a field without a proper name, or two of one name");
	}
	map_free(&names);
	return rc;
}

static rc_t add_children(struct parse *p, struct field *f, json_t *type)
{
	struct field *child;
	if (f->type == TYPE_STRUCT)
		return add_struct(p, f, type);
	if (f->type == TYPE_LIST)
		return add_field(p, f, SLICE_LIT("element"), json_object_get(type, "element-id"),
				 json_is_true(json_object_get(type, "element-required")), json_object_get(type, "element"), &child);
	TRY(add_field(p, f, SLICE_LIT("key"), json_object_get(type, "key-id"), true, json_object_get(type, "key"), &child));
	return add_field(p, f, SLICE_LIT("value"), json_object_get(type, "value-id"), json_is_true(json_object_get(type, "value-required")),
			 json_object_get(type, "value"), &child);
}

rc_t schema_from_json(json_t *j, struct schema **ret, struct err *reterr)
{
	struct parse p = { .s = schema_new(), .reterr = reterr };
	map_init(&p.ids);
	rc_t rc = add_struct(&p, p.s->root, j);
	map_free(&p.ids);
	if (rc != RC_OK) {
		schema_free(p.s);
		return rc;
	}
	p.s->schema_id = (int32_t)meta_int(j, "schema-id", 0);
	*ret = p.s;
	return RC_OK;
}

/* ---- To JSON ---- */

static json_t *type_to_json(const struct field *f);

static json_t *field_to_json(const struct field *f)
{
	json_t *j = json_object(), *name = json_stringn((const char *)f->name.data, f->name.len), *type = type_to_json(f);
	bool ok = name && type;
	json_object_set_new(j, "id", json_integer(f->id));
	json_object_set_new(j, "name", name);
	json_object_set_new(j, "required", json_boolean(f->required));
	json_object_set_new(j, "type", type);
	if ((f->role == ROLE_PAYLOAD || f->role == ROLE_SIBLING) && f->key.len && !slice_eq(f->key, f->name)) {
		/* NULL if no UTF-8, and none with U+0000, which JSON readers (our own too) refuse: then only the notes have the key */
		json_t *doc = memchr(f->key.data, 0, f->key.len) ? NULL : json_stringn((const char *)f->key.data, f->key.len);
		if (doc)
			json_object_set_new(j, "doc", doc);
	}
	if (ok)
		return j;
	json_decref(j);
	return NULL;
}

static json_t *struct_to_json(const struct field *f)
{
	json_t *j = json_object(), *fields = json_array();
	json_object_set_new(j, "type", json_string("struct"));
	json_object_set_new(j, "fields", fields);
	for (uint32_t i = 0; i < f->child_count; i++)
		if (json_array_append_new(fields, field_to_json(f->children[i])) != 0) {
			json_decref(j);
			return NULL;
		}
	return j;
}

/* "element" or "key" or "value" of a list or map: id, type, required. */
static bool set_part(json_t *j, const char *part, const struct field *f)
{
	char key[32];
	snprintf(key, sizeof key, "%s-id", part);
	json_object_set_new(j, key, json_integer(f->id));
	if (strcmp(part, "key") != 0) {
		snprintf(key, sizeof key, "%s-required", part);
		json_object_set_new(j, key, json_boolean(f->required));
	}
	return json_object_set_new(j, part, type_to_json(f)) == 0;
}

static json_t *type_to_json(const struct field *f)
{
	char name[32];
	if (!type_is_nested(f->type)) {
		type_name(f, name);
		return json_string(name);
	}
	if (f->type == TYPE_STRUCT)
		return struct_to_json(f);
	json_t *j = json_object();
	bool ok;
	json_object_set_new(j, "type", json_string(f->type == TYPE_LIST ? "list" : "map"));
	if (f->type == TYPE_LIST)
		ok = f->child_count == 1 && set_part(j, "element", f->children[0]);
	else
		ok = f->child_count == 2 && set_part(j, "key", f->children[0]) && set_part(j, "value", f->children[1]);
	if (ok)
		return j;
	json_decref(j);
	return NULL;
}

json_t *schema_to_json(const struct schema *s)
{
	json_t *j = struct_to_json(s->root);
	if (j)
		json_object_set_new(j, "schema-id", json_integer(s->schema_id));
	return j;
}

static json_t *mapping_of(const struct field *f)
{
	json_t *all = json_array();
	for (uint32_t i = 0; i < f->child_count; i++) {
		const struct field *c = f->children[i];
		json_t *j = json_object(), *names = json_array();
		json_array_append_new(names, json_stringn((const char *)c->name.data, c->name.len));
		json_object_set_new(j, "field-id", json_integer(c->id));
		json_object_set_new(j, "names", names);
		if (c->child_count)
			json_object_set_new(j, "fields", mapping_of(c));
		json_array_append_new(all, j);
	}
	return all;
}

char *schema_name_mapping(const struct schema *s)
{
	json_t *j = mapping_of(s->root);
	char *text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return text;
}

/* ---- Notes ---- */

static const char *const machinery[] = {
	[ROLE_TIME] = "__time", [ROLE_RECEIVED] = "__received", [ROLE_SOURCE] = "__source", [ROLE_POS] = "__pos",
	[ROLE_ID] = "__id",     [ROLE_KEY] = "__key",           [ROLE_META] = "__meta",     [ROLE_SHAPE] = "__shape",
	[ROLE_RAW] = "__raw",   [ROLE_REST] = "__rest",
};

/* A field's role when no note tells: hydrant's own columns by their names, so that a table whose notes an engine dropped still works. */
static enum role default_role(const struct schema *s, const struct field *f)
{
	for (enum role r = 0; f->parent == s->root && r < sizeof machinery / sizeof *machinery; r++)
		if (machinery[r] && slice_eq_str(f->name, machinery[r]))
			return r;
	return ROLE_PAYLOAD;
}

static void default_key(struct field *f)
{
	bool payload = f->role == ROLE_PAYLOAD || f->role == ROLE_SIBLING;
	f->key = payload ? f->name : (struct slice){ NULL, 0 };
}

static void set_key(json_t *note, struct slice key)
{
	json_t *text = memchr(key.data ? (const void *)key.data : "", 0, key.len) ? NULL : json_stringn(key.data ? (const char *)key.data : "", key.len);
	if (text) {
		json_object_set_new(note, "k", text);
		return;
	}
	char *hex = mem_alloc(key.len * 2 + 1);
	for (size_t i = 0; i < key.len; i++)
		snprintf(hex + 2 * i, 3, "%02x", key.data[i]);
	hex[key.len * 2] = 0;
	json_object_set_new(note, "b", json_string(hex));
	free(hex);
}

char *schema_notes(const struct schema *s)
{
	json_t *all = json_object();
	for (const struct field *f = s->root; (f = field_next(s->root, f));) {
		struct field plain = *f;
		json_t *note = json_object();
		char id[16];
		if (f->role != default_role(s, f))
			json_object_set_new(note, "r", json_integer(f->role));
		default_key(&plain);
		if (!slice_eq(plain.key, f->key))
			set_key(note, f->key);
		if (f->format)
			json_object_set_new(note, "f", json_integer(f->format));
		snprintf(id, sizeof id, "%d", f->id);
		if (json_object_size(note))
			json_object_set(all, id, note);
		json_decref(note);
	}
	char *text = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	return text;
}

static bool hex_key(struct schema *s, const char *hex, struct slice *ret)
{
	size_t n = strlen(hex) / 2;
	uint8_t *p = arena_alloc(&s->arena, n + 1);
	for (size_t i = 0; i < n; i++) {
		unsigned v;
		if (sscanf(hex + 2 * i, "%2x", &v) != 1)
			return false;
		p[i] = (uint8_t)v;
	}
	*ret = slice_of(p, n);
	return true;
}

void schema_apply_notes(struct schema *s, const char *notes)
{
	json_t *all = notes ? json_loads(notes, 0, NULL) : NULL;
	for (struct field *f = s->root; (f = field_next(s->root, f));) {
		char id[16];
		snprintf(id, sizeof id, "%d", f->id);
		json_t *note = json_object_get(all, id), *k = json_object_get(note, "k");
		const char *hex = meta_str(note, "b");
		int64_t role = meta_int(note, "r", default_role(s, f)), format = meta_int(note, "f", 0);
		f->role = role >= 0 && role <= ROLE_VALUE ? (uint8_t)role : ROLE_PAYLOAD;
		f->format = format >= 0 && format <= UINT8_MAX ? (uint8_t)format : 0;
		default_key(f);
		if (json_is_string(k))
			f->key = arena_copy(&s->arena, json_slice(k));
		else if (hex)
			hex_key(s, hex, &f->key);
	}
	json_decref(all);
}
