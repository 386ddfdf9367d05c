/* Fields as schema elements (LogicalTypes.md), in depth-first order.
 *
 *   list  optional group x (LIST) { repeated group list { element } }
 *   map   optional group x (MAP)  { repeated group key_value { required key; value } }
 */
#include "parquet/write_internal.h"

uint32_t decimal_width(unsigned precision)
{
	/* 10^p - 1 < 2^(8 width - 1) */
	unsigned __int128 limit = 1;
	for (unsigned i = 0; i < precision && i < 38; i++)
		limit *= 10;
	uint32_t width = 1;
	while (width < 16 && ((unsigned __int128)1 << (8 * width - 1)) < limit)
		width++;
	return width;
}

bool leaf_type_of(const struct field *f, struct leaf_type *ret)
{
	switch (f->type) {
	case TYPE_BOOL:
		*ret = (struct leaf_type){ VALUE_BOOL, PARQUET_BOOLEAN, 1 };
		return true;
	case TYPE_INT32:
	case TYPE_DATE:
		*ret = (struct leaf_type){ VALUE_I32, PARQUET_INT32, 4 };
		return true;
	case TYPE_INT64:
	case TYPE_TIME:
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		*ret = (struct leaf_type){ VALUE_I64, PARQUET_INT64, 8 };
		return true;
	case TYPE_FLOAT:
		*ret = (struct leaf_type){ VALUE_F32, PARQUET_FLOAT, 4 };
		return true;
	case TYPE_DOUBLE:
		*ret = (struct leaf_type){ VALUE_F64, PARQUET_DOUBLE, 8 };
		return true;
	case TYPE_DECIMAL:
		*ret = f->precision <= 18 ? (struct leaf_type){ VALUE_I64, PARQUET_INT64, 8 }
					  : (struct leaf_type){ VALUE_DECIMAL, PARQUET_FIXED_LEN_BYTE_ARRAY, decimal_width(f->precision) };
		return true;
	case TYPE_STRING:
		*ret = (struct leaf_type){ VALUE_STRING, PARQUET_BYTE_ARRAY, 0 };
		return true;
	case TYPE_BINARY:
		*ret = (struct leaf_type){ VALUE_BINARY, PARQUET_BYTE_ARRAY, 0 };
		return true;
	case TYPE_FIXED:
		*ret = (struct leaf_type){ VALUE_FIXED, PARQUET_FIXED_LEN_BYTE_ARRAY, f->length };
		return true;
	case TYPE_UUID:
		*ret = (struct leaf_type){ VALUE_FIXED, PARQUET_FIXED_LEN_BYTE_ARRAY, 16 };
		return true;
	case TYPE_STRUCT:
	case TYPE_LIST:
	case TYPE_MAP:
		break;
	}
	return false;
}

struct elements {
	struct parquet_writer *w;
	struct meta_schema_element *items;
	uint32_t count, cap;
};

/* The next element; valid until the one after. */
static struct meta_schema_element *element_add(struct elements *x, struct slice name, int repetition)
{
	if (x->count == x->cap) {
		x->cap = x->cap ? 2 * x->cap : 64;
		x->items = mem_realloc(x->items, x->cap * sizeof *x->items);
	}
	struct meta_schema_element *s = &x->items[x->count++];
	*s = (struct meta_schema_element){ .name = name, .repetition_type = repetition };
	if (repetition >= 0)
		META_SET(s, SCHEMA_REPETITION);
	return s;
}

static void set_converted(struct meta_schema_element *s, enum parquet_converted converted)
{
	s->converted_type = (int32_t)converted;
	META_SET(s, SCHEMA_CONVERTED_TYPE);
}

static void set_logical(struct meta_schema_element *s, unsigned logical)
{
	META_SET(&s->logical_type, logical);
	META_SET(s, SCHEMA_LOGICAL_TYPE);
}

static void set_time(struct meta_time_type *t, bool utc)
{
	t->is_adjusted_to_utc = utc;
	META_SET(&t->unit, TIME_UNIT_MICROS);
}

/* Local times have no converted type of their own; the format asks for the UTC one all the same (forward compatibility). */
static void annotate(struct meta_schema_element *s, const struct field *f)
{
	switch (f->type) {
	case TYPE_STRING:
		set_converted(s, CONVERTED_UTF8);
		set_logical(s, LOGICAL_STRING);
		break;
	case TYPE_DATE:
		set_converted(s, CONVERTED_DATE);
		set_logical(s, LOGICAL_DATE);
		break;
	case TYPE_TIME:
		set_converted(s, CONVERTED_TIME_MICROS);
		set_time(&s->logical_type.time, false);
		set_logical(s, LOGICAL_TIME);
		break;
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		set_converted(s, CONVERTED_TIMESTAMP_MICROS);
		set_time(&s->logical_type.timestamp, f->type == TYPE_TIMESTAMPTZ);
		set_logical(s, LOGICAL_TIMESTAMP);
		break;
	case TYPE_DECIMAL:
		set_converted(s, CONVERTED_DECIMAL);
		s->scale = f->scale;
		s->precision = f->precision;
		META_SET(s, SCHEMA_SCALE);
		META_SET(s, SCHEMA_PRECISION);
		s->logical_type.decimal.scale = f->scale;
		s->logical_type.decimal.precision = f->precision;
		set_logical(s, LOGICAL_DECIMAL);
		break;
	case TYPE_UUID:
		set_logical(s, LOGICAL_UUID);
		break;
	default:
		break;
	}
}

static void set_children(struct meta_schema_element *s, uint32_t count)
{
	s->num_children = (int32_t)count;
	META_SET(s, SCHEMA_NUM_CHILDREN);
}

static uint32_t active_children(const struct node *n)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < n->child_count; i++)
		count += n->children[i]->active;
	return count;
}

struct slice node_name(const struct node *n)
{
	const struct field *parent = n->field->parent;
	if (parent && parent->type == TYPE_LIST)
		return SLICE_LIT("element");
	if (parent && parent->type == TYPE_MAP)
		return n->field->index == 0 ? SLICE_LIT("key") : SLICE_LIT("value");
	return n->field->name;
}

/* The depth is bounded: nodes are not made below WRITE_DEPTH_MAX. */
static rc_t elements_write(struct elements *x, const struct node *n, struct err *reterr)
{
	const struct field *f = n->field;
	struct meta_schema_element *s = element_add(x, node_name(n), n->optional ? REPETITION_OPTIONAL : REPETITION_REQUIRED);
	if (f->id) {
		s->field_id = f->id;
		META_SET(s, SCHEMA_FIELD_ID);
	}
	if (n->leaf) {
		struct leaf_type now;
		if (!leaf_type_of(f, &now) || now.physical != n->type.physical || now.width != n->type.width)
			return err_set(reterr, RC_INVALID, "column '%.*s' changed its type after rows of it were written",
				       SLICE_ARG(f->name));
		s->type = (int32_t)now.physical;
		META_SET(s, SCHEMA_TYPE);
		if (now.physical == PARQUET_FIXED_LEN_BYTE_ARRAY) {
			s->type_length = (int32_t)now.width;
			META_SET(s, SCHEMA_TYPE_LENGTH);
		}
		annotate(s, f);
		return RC_OK;
	}
	if (f->type == TYPE_STRUCT) {
		set_children(s, active_children(n));
	} else {
		bool map = f->type == TYPE_MAP;
		set_children(s, 1);
		set_converted(s, map ? CONVERTED_MAP : CONVERTED_LIST);
		set_logical(s, map ? LOGICAL_MAP : LOGICAL_LIST);
		s = element_add(x, map ? SLICE_LIT("key_value") : SLICE_LIT("list"), REPETITION_REPEATED);
		set_children(s, active_children(n));
	}
	for (uint32_t i = 0; i < n->child_count; i++) {
		const struct node *child = node_child_in_order(x->w, n, i);
		if (child->active)
			TRY(elements_write(x, child, reterr));
	}
	return RC_OK;
}

rc_t schema_write(struct parquet_writer *w, struct arena *a, struct meta_file *file, struct err *reterr)
{
	struct elements x = { .w = w };
	rc_t rc = RC_OK;
	set_children(element_add(&x, SLICE_LIT("schema"), -1), active_children(w->root));
	for (uint32_t i = 0; i < w->root->child_count && rc == RC_OK; i++) {
		const struct node *child = node_child_in_order(w, w->root, i);
		if (child->active)
			rc = elements_write(&x, child, reterr);
	}
	if (rc == RC_OK) {
		file->schema.items = arena_alloc(a, x.count * sizeof *x.items);
		file->schema.count = x.count;
		memcpy(file->schema.items, x.items, x.count * sizeof *x.items);
	}
	free(x.items);
	return rc;
}
