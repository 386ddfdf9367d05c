#include "json/render.h"

#include "base/map.h"
#include "json/number.h"
#include "json/places.h"
#include "json/shape.h"
#include "json/string.h"
#include "json/time.h"

#define NO_SLOT UINT32_MAX

/* A column of the batch with a place in its presence bitmap: value index of slot = rank + ones between. */
struct cursor {
	const struct column *col; /* NULL: not in this batch */
	uint32_t word;		  /* words counted in rank */
	uint32_t rank;
};

/* The columns of one node. */
struct node_cursors {
	struct cursor *scalar[PLACES];
	struct cursor *object, *list;
	uint8_t scalars;
};

struct space {
	const struct shape_keys *keys;
	struct shape_keys *owned; /* NULL: borrowed */
	struct places places;
	struct node_cursors *nodes;
	uint32_t node_count, node_cap;
};

struct renderer {
	const struct schema *schema;
	struct space *spaces;
	uint32_t space_count, space_cap;
	struct map by_field; /* field's address -> cursor's address */
	struct arena arena;
	struct cursor *shape, *raw, *rest, *text;
	struct column const *root;
	uint32_t rows;
};

/* One row under way. */
struct job {
	struct renderer *r;
	struct space *space;
	struct buf *out;
	struct slice shape;
	size_t pos;
	enum json_dialect dialect;
	uint32_t rest_at, rest_end; /* entries of the __rest map left */
	const char *fault;	    /* why the row is corrupt; static */
};

struct renderer *renderer_new(const struct schema *schema)
{
	struct renderer *r = NEW(struct renderer);
	r->schema = schema;
	map_init(&r->by_field);
	arena_init(&r->arena);
	return r;
}

static void space_free(struct space *s)
{
	shape_keys_free(s->owned);
	places_free(&s->places);
	free(s->nodes);
}

void renderer_free(struct renderer *r)
{
	if (!r)
		return;
	for (uint32_t i = 0; i < r->space_count; i++)
		space_free(&r->spaces[i]);
	free(r->spaces);
	map_free(&r->by_field);
	arena_free(&r->arena);
	free(r);
}

static struct space *space_find(const struct renderer *r, uint32_t space)
{
	for (uint32_t i = 0; i < r->space_count; i++)
		if (shape_keys_space(r->spaces[i].keys) == space)
			return &r->spaces[i];
	return NULL;
}

bool renderer_has_keys(const struct renderer *r, uint32_t space)
{
	return space_find(r, space) != NULL;
}

static void space_put(struct renderer *r, const struct shape_keys *keys, struct shape_keys *owned)
{
	struct space *s = space_find(r, shape_keys_space(keys));
	if (s) {
		space_free(s);
	} else {
		if (r->space_count == r->space_cap) {
			r->space_cap = r->space_cap ? r->space_cap * 2 : 4;
			r->spaces = mem_realloc(r->spaces, r->space_cap * sizeof *r->spaces);
		}
		s = &r->spaces[r->space_count++];
	}
	*s = (struct space){ .keys = keys, .owned = owned };
	places_init(&s->places);
}

rc_t renderer_add_keys(struct renderer *r, struct slice bytes, struct err *reterr)
{
	AUTO(shape_keys) *keys = NULL;
	TRY(shape_keys_decode(bytes, &keys, reterr));
	const struct space *known = space_find(r, shape_keys_space(keys));
	if (known && shape_edge_count(known->keys) >= shape_edge_count(keys))
		return RC_OK;
	space_put(r, keys, keys);
	keys = NULL;
	return RC_OK;
}

void renderer_borrow_keys(struct renderer *r, const struct shape_keys *keys)
{
	space_put(r, keys, NULL);
}

/* ---- binding: fields -> cursors -> the batch's columns ---- */

static struct cursor *cursor_of(struct renderer *r, const struct field *f)
{
	bool new;
	uintptr_t *v = map_put(&r->by_field, slice_of(&f, sizeof f), &new);
	if (new)
		*v = (uintptr_t)arena_zalloc(&r->arena, sizeof(struct cursor));
	return (struct cursor *)*v;
}

static void bind_columns(struct renderer *r, const struct column *c, unsigned depth)
{
	*cursor_of(r, c->field) = (struct cursor){ .col = c };
	for (uint32_t i = 0; i < c->child_count && depth < 256; i++)
		bind_columns(r, &c->children[i], depth + 1);
}

static void unbind_fields(struct renderer *r)
{
	for (struct map_entry *e = NULL; (e = map_next(&r->by_field, e));)
		((struct cursor *)e->value)->col = NULL;
}

static void bind_nodes(struct renderer *r, struct space *s)
{
	uint32_t from = places_update(&s->places, s->keys, r->schema) ? 0 : s->node_count;
	if (s->places.count > s->node_cap) {
		s->node_cap = s->places.cap;
		s->nodes = mem_realloc(s->nodes, s->node_cap * sizeof *s->nodes);
	}
	for (uint32_t n = from; n < s->places.count; n++) {
		struct node_cursors *nc = &s->nodes[n];
		*nc = (struct node_cursors){ 0 };
		for (int p = 0; p < PLACES; p++) {
			const struct field *f = s->places.nodes[n].field[p];
			if (!f)
				continue;
			if (p == PLACE_OBJECT)
				nc->object = cursor_of(r, f);
			else if (p == PLACE_LIST)
				nc->list = cursor_of(r, f);
			else
				nc->scalar[nc->scalars++] = cursor_of(r, f);
		}
	}
	s->node_count = s->places.count;
}

static struct cursor *cursor_of_role(struct renderer *r, enum role role)
{
	const struct field *f = schema_by_role(r->schema, role);
	return f ? cursor_of(r, f) : NULL;
}

void renderer_begin(struct renderer *r, const struct batch *batch)
{
	unbind_fields(r);
	bind_columns(r, &batch->root, 0);
	for (uint32_t i = 0; i < r->space_count; i++)
		bind_nodes(r, &r->spaces[i]);
	r->shape = cursor_of_role(r, ROLE_SHAPE);
	r->raw = cursor_of_role(r, ROLE_RAW);
	r->rest = cursor_of_role(r, ROLE_REST);
	r->text = cursor_of_role(r, ROLE_TEXT);
	r->root = &batch->root;
	r->rows = batch->rows;
}

/* Is `slot` of the cursor's column present, and which value is it? Slots in increasing order: amortised a word each 64. */
static bool cursor_at(struct cursor *c, uint32_t slot, uint32_t *ret_value)
{
	if (!c || !c->col || slot == NO_SLOT)
		return false;
	const struct column *col = c->col;
	if (!col->present) { /* a required column needs no bitmap */
		*ret_value = slot;
		return slot < col->values;
	}
	if (slot >= col->slots)
		return false;
	uint32_t word = slot >> 6;
	uint64_t bit = (uint64_t)1 << (slot & 63);
	if (!(col->present[word] & bit))
		return false;
	if (word < c->word)
		c->word = c->rank = 0;
	while (c->word < word)
		c->rank += (uint32_t)__builtin_popcountll(col->present[c->word++]);
	*ret_value = c->rank + (uint32_t)__builtin_popcountll(col->present[word] & (bit - 1));
	return *ret_value < col->values;
}

/* ---- rendering ---- */

static bool fault(struct job *j, const char *why)
{
	if (!j->fault)
		j->fault = why;
	return false;
}

static const struct shape_edge *next_edge(struct job *j)
{
	uint64_t id;
	if (!slice_varint(j->shape, &j->pos, &id)) {
		fault(j, "its shape is cut off");
		return NULL;
	}
	if (id >= shape_edge_count(j->space->keys)) {
		fault(j, "its shape names an edge that the key table does not have");
		return NULL;
	}
	return shape_edge_at(j->space->keys, (uint32_t)id);
}

static void render_quoted(struct job *j, struct slice utf8)
{
	buf_byte(j->out, '"');
	json_string_escape(utf8, j->dialect, j->out);
	buf_byte(j->out, '"');
}

/* A fixed-width or variable value of a scalar column as JSON text. */
static bool render_cell(struct job *j, const struct column *col, uint32_t value)
{
	const struct field *f = col->field;
	size_t width = field_width(f), n = 0;
	char text[JSON_DECIMAL_CHARS];
	if (width ? ((size_t)value + 1) * width > col->data.len : !col->offsets)
		return fault(j, "a column has fewer values than its presence says");
	const uint8_t *at = width ? col->data.data + (size_t)value * width : NULL;
	int64_t i = 0;
	if (width == 8)
		memcpy(&i, at, 8);
	switch (place_of(f)) {
	case PLACE_BOOL:
		buf_append_str(j->out, *at ? "true" : "false");
		return true;
	case PLACE_INT:
		n = json_number_format_int(i, text);
		break;
	case PLACE_DOUBLE: {
		double d;
		memcpy(&d, at, 8);
		if (f->format && !json_number_format_bit(f->format))
			return fault(j, "its numbers are written as only a newer hydrant knows");
		n = json_number_format_double(d, (enum format)f->format, text);
		break;
	}
	case PLACE_DECIMAL:
		n = json_format_decimal(i, f->scale, text);
		break;
	case PLACE_BIGINT: {
		__int128 wide;
		memcpy(&wide, at, 16);
		n = json_format_decimal(wide, f->scale, text);
		break;
	}
	case PLACE_TIME:
		text[0] = '"';
		n = json_time_format(i, f->format, text + 1);
		if (!n)
			return fault(j, "a timestamp has more digits than its format");
		text[n + 1] = '"';
		n += 2;
		break;
	case PLACE_STRING:
		render_quoted(j, column_bytes_at(col, value));
		return true;
	case PLACE_JSON:
		buf_append_slice(j->out, column_bytes_at(col, value));
		return true;
	default:
		return fault(j, "a column has a type that no JSON value goes to");
	}
	buf_append(j->out, text, n);
	return true;
}

static bool render_scalar(struct job *j, uint32_t node, uint32_t slot)
{
	const struct node_cursors *nc = &j->space->nodes[node];
	const struct column *found = NULL;
	uint32_t value = 0, at;
	for (uint8_t i = 0; i < nc->scalars; i++) {
		if (!cursor_at(nc->scalar[i], slot, &at))
			continue;
		if (found)
			return fault(j, "a field has values in two of its columns");
		found = nc->scalar[i]->col;
		value = at;
	}
	if (found)
		return render_cell(j, found, value);
	buf_append_str(j->out, "null");
	return true;
}

/* True if path is the node's dotted path and `.` (nothing for the root) and then *ret_key. */
static bool rest_key(const struct shape_keys *keys, uint32_t node, struct slice path, struct slice *ret_key)
{
	size_t prefix = 0;
	for (uint32_t n = node; n != SHAPE_ROOT_NODE; n = shape_node_at(keys, n)->parent)
		prefix += shape_node_at(keys, n)->key.len + 1;
	if (prefix > path.len)
		return false;
	size_t at = prefix;
	for (uint32_t n = node; n != SHAPE_ROOT_NODE; n = shape_node_at(keys, n)->parent) {
		struct slice key = shape_node_at(keys, n)->key;
		if (path.data[--at] != '.')
			return false;
		at -= key.len;
		if (key.len && memcmp(path.data + at, key.data, key.len) != 0)
			return false;
	}
	*ret_key = slice_skip(path, prefix);
	return true;
}

static bool render_rest(struct job *j, const struct shape_edge *e)
{
	if (j->rest_at >= j->rest_end)
		return fault(j, "__rest has fewer entries than the shape says");
	const struct column *map = j->r->rest->col;
	struct cursor key = { .col = &map->children[0] };
	uint32_t k, v, entry = j->rest_at++;
	if (!cursor_at(&key, entry, &k) || !cursor_at(cursor_of(j->r, map->children[1].field), entry, &v))
		return fault(j, "__rest has an entry without text");
	struct slice name;
	if (!rest_key(j->space->keys, e->from, column_bytes_at(&map->children[0], k), &name))
		return fault(j, "__rest has an entry of another place");
	buf_append(j->out, e->lit, e->len);
	buf_byte(j->out, '"');
	buf_append_slice(j->out, name);
	buf_byte(j->out, '"');
	buf_append(j->out, e->lit + e->len, e->sep);
	buf_append_slice(j->out, column_bytes_at(&map->children[1], v));
	return true;
}

static bool render_value(struct job *j, uint32_t node, uint8_t class, uint32_t slot);

static bool render_object(struct job *j, uint32_t node, uint32_t slot)
{
	uint32_t members;
	/* The top level is the row itself. */
	if (node == SHAPE_ROOT_NODE)
		members = slot;
	else if (!cursor_at(j->space->nodes[node].object, slot, &members))
		members = NO_SLOT;
	for (;;) {
		const struct shape_edge *e = next_edge(j);
		if (!e)
			return false;
		if (e->from != node)
			return fault(j, "its shape does not fit the key table");
		if (e->kind == EDGE_REST) {
			if (!render_rest(j, e))
				return false;
			continue;
		}
		buf_append(j->out, e->lit, e->len);
		if (e->kind == EDGE_END)
			return true;
		if (e->kind != EDGE_MEMBER)
			return fault(j, "its shape does not fit the key table");
		if (!render_value(j, e->to, e->class, members))
			return false;
	}
}

/* Elements first .. first + count - 1 of the list's children; open set says whether the list is there at all. */
static bool render_uniform(struct job *j, const struct shape_edge *e, uint32_t first, uint32_t count)
{
	size_t body = j->pos;
	if (!count)
		return fault(j, "a list is missing or empty where the shape has elements");
	for (uint32_t i = 0; i < count; i++) {
		j->pos = body;
		if (i)
			buf_append(j->out, e->lit + e->len, e->sep);
		else
			buf_append(j->out, e->lit, e->len);
		if (!render_value(j, e->to, e->class, first + i))
			return false;
		if (j->out->overflow)
			return false;
	}
	buf_append(j->out, e->lit + e->len + e->sep, e->close);
	return true;
}

static bool render_mixed(struct job *j, uint32_t node, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0;; i++) {
		const struct shape_edge *e = next_edge(j);
		if (!e)
			return false;
		buf_append(j->out, e->lit, e->len);
		if (e->from != node || (e->kind != EDGE_END && e->kind != EDGE_ELEMENT))
			return fault(j, "its shape does not fit the key table");
		if (e->kind == EDGE_END)
			return first == NO_SLOT || i == count ? true : fault(j, "a list has another length than the shape says");
		if (first != NO_SLOT && i >= count)
			return fault(j, "a list has another length than the shape says");
		if (!render_value(j, e->to, e->class, first == NO_SLOT ? NO_SLOT : first + i))
			return false;
	}
}

static bool render_array(struct job *j, uint32_t node, uint32_t slot)
{
	struct cursor *list = j->space->nodes[node].list;
	uint32_t value, first = NO_SLOT, count = 0;
	if (cursor_at(list, slot, &value)) {
		if (!list->col->offsets)
			return fault(j, "a list column has no lengths");
		first = list->col->offsets[value];
		count = list->col->offsets[value + 1] - first;
	}
	const struct shape_edge *e = next_edge(j);
	if (!e)
		return false;
	if (e->from != node)
		return fault(j, "its shape does not fit the key table");
	switch (e->kind) {
	case EDGE_END:
		buf_append(j->out, e->lit, e->len);
		return count ? fault(j, "a list has elements where the shape has none") : true;
	case EDGE_UNIFORM:
		return render_uniform(j, e, first, count);
	case EDGE_MIXED:
		return render_mixed(j, node, first, count);
	default:
		return fault(j, "its shape does not fit the key table");
	}
}

/* Recursion: nodes are at most SHAPE_DEPTH_MAX deep. */
static bool render_value(struct job *j, uint32_t node, uint8_t class, uint32_t slot)
{
	switch (class) {
	case CLASS_SCALAR:
		return render_scalar(j, node, slot);
	case CLASS_OBJECT:
		return render_object(j, node, slot);
	default:
		return render_array(j, node, slot);
	}
}

static rc_t render_shape(struct job *j, uint32_t row, struct err *reterr)
{
	uint32_t id;
	if (j->shape.len < 5 || j->shape.data[4] >= JSON_DIALECT_COUNT)
		return err_set(reterr, RC_CORRUPT, "row %u: its shape is no shape (%zu bytes)", row, j->shape.len);
	memcpy(&id, j->shape.data, 4);
	j->space = space_find(j->r, id);
	if (!j->space)
		return err_set(reterr, RC_NOT_FOUND,
			       "row %u: no key table of space %08x: it is in the file's metadata or in the lake's _shapes folder",
			       row, id);
	if (j->space->node_count != shape_node_count(j->space->keys) || j->space->places.field_count != j->r->schema->field_count)
		bind_nodes(j->r, j->space);
	j->dialect = j->shape.data[4];
	j->pos = 5;
	if (j->r->rest) {
		uint32_t value;
		if (cursor_at(j->r->rest, row, &value) && j->r->rest->col->offsets && j->r->rest->col->child_count == 2) {
			j->rest_at = j->r->rest->col->offsets[value];
			j->rest_end = j->r->rest->col->offsets[value + 1];
		}
	}
	const struct shape_edge *e = next_edge(j);
	if (e && e->kind != EDGE_ROOT)
		fault(j, "its shape does not start at the root");
	if (e && !j->fault && render_value(j, SHAPE_ROOT_NODE, e->class, row)) {
		if (j->pos != j->shape.len)
			fault(j, "its shape goes on behind the end");
		else if (j->rest_at != j->rest_end)
			fault(j, "__rest has more entries than the shape says");
	}
	if (j->fault)
		return err_set(reterr, RC_CORRUPT, "row %u cannot be restored: %s (was it changed by another program?)", row,
			       j->fault);
	return RC_OK;
}

rc_t renderer_row(struct renderer *r, uint32_t row, struct buf *out, struct err *reterr)
{
	uint32_t value;
	rc_t rc = RC_OK;
	if (row >= r->rows)
		return err_set(reterr, RC_INVALID, "row %u: the batch has %u rows", row, r->rows);
	if (cursor_at(r->raw, row, &value)) {
		buf_append_slice(out, column_bytes_at(r->raw->col, value));
	} else if (cursor_at(r->text, row, &value)) {
		buf_append_slice(out, column_bytes_at(r->text->col, value));
	} else if (cursor_at(r->shape, row, &value)) {
		struct job j = { .r = r, .out = out, .shape = column_bytes_at(r->shape->col, value) };
		rc = render_shape(&j, row, reterr);
	} else {
		return err_set(reterr, RC_CORRUPT, "row %u has neither __raw nor __shape nor text: it was not written by hydrant",
			       row);
	}
	if (out->overflow)
		return err_set(reterr, RC_LIMIT, "row %u is longer than the %zu bytes of its buffer", row, out->max);
	return rc;
}
