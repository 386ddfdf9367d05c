/* Schema elements → the model's schema (parquet.thrift SchemaElement, LogicalTypes.md with its rules for older lists and maps). */
#include "parquet/reader_internal.h"

struct builder {
	struct parquet_reader *r;
	const struct meta_schema_element *elements;
	uint32_t count;
	uint32_t *behind; /* element i's subtree ends before element behind[i] */
	struct level_node path[READER_PATH_MAX];
	uint32_t path_len;
	uint8_t element_defs[READER_LEVELS_MAX];
	struct err *err;
};

/* What a place in the tree hands down to the element that stands there. */
struct place {
	struct field *parent;
	struct slice name;
	uint8_t slot_rep, slot_def; /* levels at which it has a slot */
	const char *refused;        /* inherited from a group that cannot be read */
};

static rc_t corrupt(struct builder *b, const char *what, const struct meta_schema_element *e)
{
	return err_set(b->err, RC_CORRUPT, "Parquet schema is damaged: %s at element %.*s", what, SLICE_ARG(e->name));
}

/* Counts the subtrees without recursion and refuses trees that are too deep or not closed. */
static rc_t measure(struct builder *b)
{
	struct {
		uint32_t element, left;
	} stack[READER_DEPTH_MAX + 2];
	uint32_t depth = 0, limit = b->r->limits.depth;
	for (uint32_t i = 0; i < b->count; i++) {
		const struct meta_schema_element *e = &b->elements[i];
		bool group = !META_HAS(e, SCHEMA_TYPE);
		if (i && !depth)
			return corrupt(b, "it stands outside of the tree", e);
		if (e->num_children < 0 || (uint32_t)e->num_children >= b->count || (!group && e->num_children))
			return corrupt(b, "impossible number of children", e);
		if (META_HAS(e, SCHEMA_REPETITION) && (e->repetition_type < 0 || e->repetition_type > REPETITION_REPEATED))
			return corrupt(b, "unknown repetition type", e);
		if (depth)
			stack[depth - 1].left--;
		if (e->num_children) {
			if (depth > limit)
				return err_set(b->err, RC_LIMIT, "Parquet schema is nested deeper than %u levels at element %.*s", limit,
					       SLICE_ARG(e->name));
			stack[depth].element = i;
			stack[depth++].left = (uint32_t)e->num_children;
		} else {
			b->behind[i] = i + 1;
		}
		while (depth && !stack[depth - 1].left)
			b->behind[stack[--depth].element] = i + 1;
	}
	return depth ? corrupt(b, "children are missing", &b->elements[stack[depth - 1].element]) : RC_OK;
}

static bool is_logical(const struct meta_schema_element *e, int id)
{
	return META_HAS(e, SCHEMA_LOGICAL_TYPE) && META_HAS(&e->logical_type, id);
}

/* The annotation, new (0: there is none) or old: the old one counts where the element has no new one. */
static bool is_type(const struct meta_schema_element *e, int logical, int converted)
{
	if (META_HAS(e, SCHEMA_LOGICAL_TYPE) && e->logical_type.has)
		return logical && is_logical(e, logical);
	return META_HAS(e, SCHEMA_CONVERTED_TYPE) && e->converted_type == converted;
}

static void set_decimal(struct leaf *l, struct field *f, const struct meta_schema_element *e)
{
	bool logical = is_logical(e, LOGICAL_DECIMAL);
	int32_t precision = logical ? e->logical_type.decimal.precision : e->precision;
	int32_t scale = logical ? e->logical_type.decimal.scale : e->scale;
	if (precision < 1 || precision > 38 || scale < 0 || scale > precision) {
		l->refused = "decimals outside of precision 1..38 and scale 0..precision";
		return;
	}
	f->type = TYPE_DECIMAL;
	f->precision = (uint8_t)precision;
	f->scale = (uint8_t)scale;
	bool wide = precision > 18;
	if (l->physical == PARQUET_INT32)
		l->convert = wide ? CONVERT_I32_I128 : CONVERT_I32_I64;
	else if (l->physical == PARQUET_INT64)
		l->convert = wide ? CONVERT_I64_I128 : CONVERT_NONE;
	else
		l->convert = wide ? CONVERT_BYTES_I128 : CONVERT_BYTES_I64;
}

static int time_unit(const struct meta_time_type *t)
{
	return META_HAS(&t->unit, TIME_UNIT_MILLIS)   ? TIME_UNIT_MILLIS
	       : META_HAS(&t->unit, TIME_UNIT_MICROS) ? TIME_UNIT_MICROS
	       : META_HAS(&t->unit, TIME_UNIT_NANOS)  ? TIME_UNIT_NANOS
						      : 0;
}

/* TIME and TIMESTAMP of both annotations; false if e is neither or does not fit the physical type. */
static bool set_time(struct leaf *l, struct field *f, const struct meta_schema_element *e)
{
	int unit = 0;
	enum type type = TYPE_TIME;
	if (is_logical(e, LOGICAL_TIME)) {
		unit = time_unit(&e->logical_type.time);
	} else if (is_logical(e, LOGICAL_TIMESTAMP)) {
		unit = time_unit(&e->logical_type.timestamp);
		type = e->logical_type.timestamp.is_adjusted_to_utc ? TYPE_TIMESTAMPTZ : TYPE_TIMESTAMP;
	} else if (META_HAS(e, SCHEMA_CONVERTED_TYPE) && !(META_HAS(e, SCHEMA_LOGICAL_TYPE) && e->logical_type.has)) {
		int32_t c = e->converted_type; /* the old annotations mean instants in UTC */
		if (c != CONVERTED_TIME_MILLIS && c != CONVERTED_TIME_MICROS && c != CONVERTED_TIMESTAMP_MILLIS && c != CONVERTED_TIMESTAMP_MICROS)
			return false;
		unit = c == CONVERTED_TIME_MILLIS || c == CONVERTED_TIMESTAMP_MILLIS ? TIME_UNIT_MILLIS : TIME_UNIT_MICROS;
		type = c == CONVERTED_TIME_MILLIS || c == CONVERTED_TIME_MICROS ? TYPE_TIME : TYPE_TIMESTAMPTZ;
	} else {
		return false;
	}
	bool millis32 = type == TYPE_TIME && unit == TIME_UNIT_MILLIS;
	if (l->physical != (millis32 ? PARQUET_INT32 : PARQUET_INT64))
		return false;
	f->type = type;
	l->convert = millis32                   ? CONVERT_I32_TIMES_1000
		     : unit == TIME_UNIT_MILLIS ? CONVERT_I64_TIMES_1000
		     : unit == TIME_UNIT_NANOS  ? CONVERT_I64_BY_1000
						: CONVERT_NONE;
	if (!unit)
		l->refused = "a time unit that is newer than this version";
	return true;
}

static void set_integer(struct leaf *l, struct field *f, const struct meta_schema_element *e)
{
	bool logical = is_logical(e, LOGICAL_INTEGER);
	bool u32 = logical ? e->logical_type.integer.bit_width == 32 && !e->logical_type.integer.is_signed
			   : is_type(e, 0, CONVERTED_UINT_32);
	bool u64 = logical ? e->logical_type.integer.bit_width == 64 && !e->logical_type.integer.is_signed
			   : is_type(e, 0, CONVERTED_UINT_64);
	if (u32 && l->physical == PARQUET_INT32) {
		f->type = TYPE_INT64;
		l->convert = CONVERT_U32_I64;
		l->is_unsigned = true;
	} else if (u64 && l->physical == PARQUET_INT64) {
		f->type = TYPE_DECIMAL;
		f->precision = 20;
		l->convert = CONVERT_U64_I128;
		l->is_unsigned = true;
	}
}

/* Types stored as bytes. */
static void set_bytes(struct leaf *l, struct field *f, const struct meta_schema_element *e)
{
	if (l->physical == PARQUET_BYTE_ARRAY) {
		l->is_unsigned = true;
		f->type = is_type(e, LOGICAL_STRING, CONVERTED_UTF8) || is_type(e, LOGICAL_ENUM, CONVERTED_ENUM) ||
					  is_type(e, LOGICAL_JSON, CONVERTED_JSON)
				  ? TYPE_STRING
				  : TYPE_BINARY;
		return;
	}
	f->type = TYPE_FIXED;
	f->length = l->width;
	if (is_logical(e, LOGICAL_UUID) && l->width == 16) {
		f->type = TYPE_UUID;
		f->length = 0;
		l->is_unsigned = true;
	} else if (is_logical(e, LOGICAL_FLOAT16) && l->width == 2) {
		f->type = TYPE_FLOAT;
		f->length = 0;
		l->convert = CONVERT_HALF;
	} else if (is_type(e, 0, CONVERTED_INTERVAL)) {
		l->refused = "logical type INTERVAL";
	} else {
		l->is_unsigned = true;
	}
}

static void leaf_type(struct leaf *l, struct field *f, const struct meta_schema_element *e)
{
	static const enum type plain[] = { TYPE_BOOL, TYPE_INT32, TYPE_INT64, TYPE_TIMESTAMP, TYPE_FLOAT, TYPE_DOUBLE, TYPE_BINARY, TYPE_FIXED };
	static const uint8_t widths[] = { 1, 4, 8, 12, 4, 8, 0, 0 };
	l->physical = (enum parquet_type)e->type;
	l->width = l->physical == PARQUET_FIXED_LEN_BYTE_ARRAY ? (uint32_t)e->type_length : widths[l->physical];
	f->type = plain[l->physical];
	bool numeric = l->physical == PARQUET_INT32 || l->physical == PARQUET_INT64;
	bool bytes = l->physical == PARQUET_BYTE_ARRAY || l->physical == PARQUET_FIXED_LEN_BYTE_ARRAY;
	if (META_HAS(e, SCHEMA_LOGICAL_TYPE) && !e->logical_type.has)
		l->refused = "a logical type that is newer than this version";
	if (l->physical == PARQUET_INT96)
		l->convert = CONVERT_INT96;
	if (is_type(e, LOGICAL_DECIMAL, CONVERTED_DECIMAL) && (numeric || bytes)) {
		set_decimal(l, f, e);
	} else if (bytes) {
		set_bytes(l, f, e);
	} else if (numeric && !set_time(l, f, e)) {
		if (l->physical == PARQUET_INT32 && is_type(e, LOGICAL_DATE, CONVERTED_DATE))
			f->type = TYPE_DATE;
		else
			set_integer(l, f, e);
	}
	l->unordered = is_logical(e, LOGICAL_GEOMETRY) || is_logical(e, LOGICAL_GEOGRAPHY);
	if (is_logical(e, LOGICAL_VARIANT) || is_logical(e, LOGICAL_FILE))
		l->refused = "logical types VARIANT and FILE";
}

static struct field *add_field(struct builder *b, const struct place *at, enum type type, const struct meta_schema_element *e, bool optional,
			       struct level_node **ret_node)
{
	struct field *f = schema_add(b->r->schema, at->parent, at->name, type);
	f->required = !optional;
	f->id = e && META_HAS(e, SCHEMA_FIELD_ID) && e->field_id > 0 ? e->field_id : 0;
	if (f->id > b->r->schema->last_id)
		b->r->schema->last_id = f->id;
	struct level_node *n = &b->path[b->path_len++];
	*n = (struct level_node){ .field = f, .ordinal = b->r->node_count++, .slot_rep = at->slot_rep, .slot_def = at->slot_def };
	n->present_def = (uint8_t)(at->slot_def + optional);
	n->element_def = (uint8_t)(n->present_def + 1);
	n->list = type == TYPE_LIST || type == TYPE_MAP;
	if (n->list)
		b->element_defs[at->slot_rep + 1] = n->element_def;
	*ret_node = n;
	return f;
}

static rc_t add_leaf(struct builder *b, const struct place *at, const struct meta_schema_element *e, bool optional)
{
	struct parquet_reader *r = b->r;
	if (e->type < 0 || e->type > PARQUET_FIXED_LEN_BYTE_ARRAY)
		return corrupt(b, "unknown physical type", e);
	if (e->type == PARQUET_FIXED_LEN_BYTE_ARRAY && (e->type_length < 1 || (size_t)e->type_length > r->limits.page_bytes))
		return corrupt(b, "impossible length of fixed-length bytes", e);
	struct leaf *l = &r->leaves[r->leaf_count];
	*l = (struct leaf){ .index = r->leaf_count, .refused = at->refused };
	r->leaf_count++;
	struct level_node *n;
	struct field *f = add_field(b, at, TYPE_BINARY, e, optional, &n);
	leaf_type(l, f, e);
	if (at->refused)
		l->refused = at->refused;
	l->field = f;
	l->max_def = n->present_def;
	l->max_rep = at->slot_rep;
	memcpy(l->element_defs, b->element_defs, sizeof l->element_defs);
	l->path_len = b->path_len;
	if (l->path_len * sizeof *l->path > r->meta_left)
		return err_set(b->err, RC_LIMIT, "Parquet schema takes more memory than the limit allows");
	r->meta_left -= l->path_len * sizeof *l->path;
	l->path = arena_alloc(&r->arena, b->path_len * sizeof *l->path);
	memcpy(l->path, b->path, b->path_len * sizeof *l->path);
	b->path_len--;
	return RC_OK;
}

static rc_t build(struct builder *b, uint32_t i, struct place at, bool repeated_done);

static bool name_is(struct slice name, struct slice list, const char *suffix)
{
	return name.len == list.len + strlen(suffix) && slice_starts(name, list) && slice_eq_str(slice_skip(name, list.len), suffix);
}

/* Whether the repeated group below a LIST is itself the element (files older than the 3-level form). */
static bool is_two_level(const struct builder *b, uint32_t list, uint32_t group)
{
	const struct meta_schema_element *g = &b->elements[group];
	if (META_HAS(g, SCHEMA_TYPE) || g->num_children != 1)
		return true;
	if (b->elements[group + 1].repetition_type == REPETITION_REPEATED)
		return true;
	return slice_eq_str(g->name, "array") || name_is(g->name, b->elements[list].name, "_tuple");
}

static rc_t build_list(struct builder *b, uint32_t i, const struct place *at, bool optional)
{
	struct level_node *n;
	struct field *list = add_field(b, at, TYPE_LIST, &b->elements[i], optional, &n);
	struct place inner = { list, SLICE_LIT("element"), (uint8_t)(at->slot_rep + 1), n->element_def, at->refused };
	rc_t rc = is_two_level(b, i, i + 1) ? build(b, i + 1, inner, true) : build(b, i + 2, inner, false);
	b->path_len--;
	return rc;
}

/* A map without a value column is the list of its keys. */
static rc_t build_map(struct builder *b, uint32_t i, const struct place *at, bool optional)
{
	bool has_value = b->elements[i + 1].num_children == 2;
	struct level_node *n;
	struct field *map = add_field(b, at, has_value ? TYPE_MAP : TYPE_LIST, &b->elements[i], optional, &n);
	struct place inner = { map, has_value ? SLICE_LIT("key") : SLICE_LIT("element"), (uint8_t)(at->slot_rep + 1), n->element_def, at->refused };
	rc_t rc = build(b, i + 2, inner, false);
	if (rc == RC_OK && has_value) {
		inner.name = SLICE_LIT("value");
		rc = build(b, b->behind[i + 2], inner, false);
	}
	b->path_len--;
	return rc;
}

/* A bare repeated field: a required list of required elements. */
static rc_t build_repeated(struct builder *b, uint32_t i, const struct place *at)
{
	struct level_node *n;
	struct field *list = add_field(b, at, TYPE_LIST, NULL, false, &n);
	struct place inner = { list, SLICE_LIT("element"), (uint8_t)(at->slot_rep + 1), n->element_def, at->refused };
	rc_t rc = build(b, i, inner, true);
	b->path_len--;
	return rc;
}

/* Element i and what is below it. Recursion is bounded by `measure`. repeated_done: its repetition has become a list already. */
static rc_t build(struct builder *b, uint32_t i, struct place at, bool repeated_done)
{
	const struct meta_schema_element *e = &b->elements[i];
	if (e->repetition_type == REPETITION_REPEATED && !repeated_done)
		return build_repeated(b, i, &at);
	bool optional = e->repetition_type == REPETITION_OPTIONAL;
	if (META_HAS(e, SCHEMA_TYPE))
		return add_leaf(b, &at, e, optional);
	if (is_logical(e, LOGICAL_VARIANT) || is_logical(e, LOGICAL_FILE))
		at.refused = "logical types VARIANT and FILE";
	bool wraps = e->num_children == 1 && b->elements[i + 1].repetition_type == REPETITION_REPEATED;
	if (wraps && is_type(e, LOGICAL_LIST, CONVERTED_LIST))
		return build_list(b, i, &at, optional);
	int32_t entry = wraps && !META_HAS(&b->elements[i + 1], SCHEMA_TYPE) ? b->elements[i + 1].num_children : 0;
	bool map = is_type(e, LOGICAL_MAP, CONVERTED_MAP) || is_type(e, 0, CONVERTED_MAP_KEY_VALUE);
	if (map && (entry == 1 || entry == 2))
		return build_map(b, i, &at, optional);
	struct level_node *n;
	struct place inner = { .slot_rep = at.slot_rep, .refused = at.refused };
	inner.parent = add_field(b, &at, TYPE_STRUCT, e, optional, &n);
	inner.slot_def = n->present_def;
	rc_t rc = RC_OK;
	for (uint32_t c = i + 1; c < b->behind[i] && rc == RC_OK; c = b->behind[c]) {
		inner.name = b->elements[c].name;
		rc = build(b, c, inner, false);
	}
	b->path_len--;
	return rc;
}

rc_t reader_schema_build(struct parquet_reader *r, struct err *reterr)
{
	if (!r->meta.schema.count)
		return err_set(reterr, RC_CORRUPT, "Parquet schema is damaged: it has no elements");
	struct builder b = { .r = r, .elements = r->meta.schema.items, .count = r->meta.schema.count, .err = reterr };
	size_t need = (size_t)b.count * (sizeof *b.behind + sizeof *r->leaves + sizeof(struct field) + 64);
	if (need > r->meta_left)
		return err_set(reterr, RC_LIMIT, "Parquet schema has too many elements (%u)", b.count);
	r->meta_left -= need;
	b.behind = arena_zalloc(&r->arena, b.count * sizeof *b.behind);
	TRY(measure(&b));
	r->leaves = arena_zalloc(&r->arena, b.count * sizeof *r->leaves);
	r->schema = schema_new();
	struct place at = { .parent = NULL };
	for (uint32_t c = 1; c < b.count; c = b.behind[c]) {
		at.name = b.elements[c].name;
		TRY(build(&b, c, at, false));
	}
	return RC_OK;
}
