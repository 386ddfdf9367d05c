#include "sql/render_internal.h"

#define DEPTH_MAX 100 /* of a type; deeper ones are cast to text by DuckDB */

static const char *scalar_name(int type)
{
	static const char *const names[] = {
		[DUCK_BOOLEAN] = "BOOLEAN",
		[DUCK_TINYINT] = "TINYINT",
		[DUCK_SMALLINT] = "SMALLINT",
		[DUCK_INTEGER] = "INTEGER",
		[DUCK_BIGINT] = "BIGINT",
		[DUCK_UTINYINT] = "UTINYINT",
		[DUCK_USMALLINT] = "USMALLINT",
		[DUCK_UINTEGER] = "UINTEGER",
		[DUCK_UBIGINT] = "UBIGINT",
		[DUCK_FLOAT] = "FLOAT",
		[DUCK_DOUBLE] = "DOUBLE",
		[DUCK_TIMESTAMP] = "TIMESTAMP",
		[DUCK_DATE] = "DATE",
		[DUCK_TIME] = "TIME",
		[DUCK_HUGEINT] = "HUGEINT",
		[DUCK_VARCHAR] = "VARCHAR",
		[DUCK_BLOB] = "BLOB",
		[DUCK_TIMESTAMP_S] = "TIMESTAMP_S",
		[DUCK_TIMESTAMP_MS] = "TIMESTAMP_MS",
		[DUCK_TIMESTAMP_NS] = "TIMESTAMP_NS",
		[DUCK_ENUM] = "ENUM",
		[DUCK_UUID] = "UUID",
		[DUCK_TIMESTAMP_TZ] = "TIMESTAMP WITH TIME ZONE",
		[DUCK_UHUGEINT] = "UHUGEINT",
		[DUCK_SQLNULL] = "NULL",
	};
	return type > 0 && (size_t)type < sizeof(names) / sizeof(names[0]) ? names[type] : NULL;
}

static bool resolve(const struct duck *d, void *type, struct arena *arena, struct kind *ret, unsigned depth);

/* Takes the child type and destroys it. */
static bool resolve_child(const struct duck *d, void *type, struct arena *arena, struct kind *ret, unsigned depth)
{
	bool known = depth > 0 && resolve(d, type, arena, ret, depth - 1);
	d->destroy_logical_type(&type);
	return known;
}

static const char *take_text(const struct duck *d, char *text, struct arena *arena)
{
	const char *copy = arena_strdup(arena, text ? text : "");
	d->free(text);
	return copy;
}

static bool resolve_struct(const struct duck *d, void *type, struct arena *arena, struct kind *k, unsigned depth)
{
	uint64_t n = d->struct_type_child_count(type);
	k->child_count = k->label_count = (uint32_t)n;
	k->children = arena_zalloc(arena, (n + 1) * sizeof(*k->children));
	k->labels = arena_zalloc(arena, (n + 1) * sizeof(*k->labels));
	for (uint64_t i = 0; i < n; i++) {
		k->labels[i] = take_text(d, d->struct_type_child_name(type, i), arena);
		if (!resolve_child(d, d->struct_type_child_type(type, i), arena, &k->children[i], depth))
			return false;
	}
	return true;
}

static void resolve_enum(const struct duck *d, void *type, struct arena *arena, struct kind *k)
{
	k->storage = d->enum_internal_type(type);
	k->label_count = d->enum_dictionary_size(type);
	k->labels = arena_zalloc(arena, ((size_t)k->label_count + 1) * sizeof(*k->labels));
	for (uint32_t i = 0; i < k->label_count; i++)
		k->labels[i] = take_text(d, d->enum_dictionary_value(type, i), arena);
}

static bool resolve(const struct duck *d, void *type, struct arena *arena, struct kind *k, unsigned depth)
{
	*k = (struct kind){ .type = d->get_type_id(type) };
	switch (k->type) {
	case DUCK_DECIMAL:
		k->width = d->decimal_width(type);
		k->scale = d->decimal_scale(type);
		k->storage = d->decimal_internal_type(type);
		return true;
	case DUCK_ENUM:
		resolve_enum(d, type, arena, k);
		return true;
	case DUCK_STRUCT:
		return resolve_struct(d, type, arena, k, depth);
	case DUCK_LIST:
	case DUCK_ARRAY:
	case DUCK_MAP:
		k->child_count = k->type == DUCK_MAP ? 2 : 1;
		k->children = arena_zalloc(arena, 2 * sizeof(*k->children));
		if (k->type == DUCK_ARRAY) {
			k->array_size = d->array_type_array_size(type);
			return resolve_child(d, d->array_type_child_type(type), arena, k->children, depth);
		}
		if (k->type == DUCK_LIST)
			return resolve_child(d, d->list_type_child_type(type), arena, k->children, depth);
		return resolve_child(d, d->map_type_key_type(type), arena, &k->children[0], depth) &&
		       resolve_child(d, d->map_type_value_type(type), arena, &k->children[1], depth);
	case DUCK_VARCHAR: {
		char *alias = d->logical_type_get_alias(type);
		k->is_json = alias && strcmp(alias, "JSON") == 0;
		d->free(alias);
		return true;
	}
	default:
		return scalar_name(k->type) != NULL;
	}
}

bool kind_resolve(const struct duck *d, void *logical_type, struct arena *arena, struct kind *ret)
{
	return resolve(d, logical_type, arena, ret, DEPTH_MAX);
}

void kind_name(const struct kind *k, struct buf *out)
{
	switch (k->type) {
	case DUCK_DECIMAL:
		buf_printf(out, "DECIMAL(%u,%u)", k->width, k->scale);
		break;
	case DUCK_LIST:
		kind_name(k->children, out);
		buf_append_str(out, "[]");
		break;
	case DUCK_ARRAY:
		kind_name(k->children, out);
		buf_printf(out, "[%llu]", (unsigned long long)k->array_size);
		break;
	case DUCK_MAP:
		buf_append_str(out, "MAP(");
		kind_name(&k->children[0], out);
		buf_append_str(out, ", ");
		kind_name(&k->children[1], out);
		buf_byte(out, ')');
		break;
	case DUCK_STRUCT:
		buf_append_str(out, "STRUCT(");
		for (uint32_t i = 0; i < k->child_count; i++) {
			buf_printf(out, "%s%s ", i ? ", " : "", k->labels[i]);
			kind_name(&k->children[i], out);
		}
		buf_byte(out, ')');
		break;
	default:
		buf_append_str(out, k->is_json ? "JSON" : scalar_name(k->type));
	}
}

bool kind_is_number(const struct kind *k)
{
	switch (k->type) {
	case DUCK_TINYINT:
	case DUCK_SMALLINT:
	case DUCK_INTEGER:
	case DUCK_BIGINT:
	case DUCK_UTINYINT:
	case DUCK_USMALLINT:
	case DUCK_UINTEGER:
	case DUCK_UBIGINT:
	case DUCK_HUGEINT:
	case DUCK_UHUGEINT:
	case DUCK_FLOAT:
	case DUCK_DOUBLE:
	case DUCK_DECIMAL:
		return true;
	default:
		return false;
	}
}

struct view view_of(const struct duck *d, const struct kind *k, void *vector, struct arena *arena)
{
	struct view v = { k, d->vector_get_data(vector), d->vector_get_validity(vector), NULL };
	if (!k->child_count)
		return v;
	v.children = arena_alloc(arena, k->child_count * sizeof(*v.children));
	if (k->type == DUCK_STRUCT) {
		for (uint32_t i = 0; i < k->child_count; i++)
			v.children[i] = view_of(d, &k->children[i], d->struct_vector_get_child(vector, i), arena);
	} else if (k->type == DUCK_MAP) { /* a list of structs (key, value) */
		void *entries = d->list_vector_get_child(vector);
		for (uint32_t i = 0; i < 2; i++)
			v.children[i] = view_of(d, &k->children[i], d->struct_vector_get_child(entries, i), arena);
	} else {
		void *child = k->type == DUCK_ARRAY ? d->array_vector_get_child(vector) : d->list_vector_get_child(vector);
		v.children[0] = view_of(d, k->children, child, arena);
	}
	return v;
}
