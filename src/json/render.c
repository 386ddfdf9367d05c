#include "json/render_internal.h"

#include "base/hash.h"
#include "json/scan_internal.h"

#define PLAN_SLOTS 4096u /* of the table, half of which are used */
#define PLAN_BYTES ((size_t)8 << 20)

struct renderer *renderer_new(const struct schema *schema)
{
	struct renderer *r = NEW(struct renderer);
	r->schema = schema;
	map_init(&r->by_field);
	arena_init(&r->arena);
	arena_init(&r->plan_arena);
	buf_init(&r->lits, BUF_MAX_DEFAULT);
	r->role_fields = UINT32_MAX;
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
	arena_free(&r->plan_arena);
	buf_free(&r->lits);
	free(r->plans);
	free(r->sighted);
	free(r->ops);
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

/* Columns or key tables are not what plans were made for. */
static void plans_reset(struct renderer *r)
{
	r->recent = NULL;
	memset(r->choices, 0, sizeof r->choices);
	if (!r->plan_count)
		return;
	r->plan_count = 0;
	arena_reset(&r->plan_arena);
	memset(r->plans, 0, PLAN_SLOTS * sizeof *r->plans);
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
	plans_reset(r); /* spaces may have moved */
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

/* Recursion: by the depth of the schema, which is limited where it comes from. */
struct cursor *renderer_cursor(struct renderer *r, const struct field *f)
{
	bool new;
	uintptr_t *v = map_put(&r->by_field, slice_of(&f, sizeof f), &new);
	if (!new)
		return (struct cursor *)*v;
	uintptr_t room = (uintptr_t)arena_zalloc(&r->arena, sizeof(struct cursor) + CURSOR_LINE - 1);
	struct cursor *c = (struct cursor *)((room + CURSOR_LINE - 1) & ~(uintptr_t)(CURSOR_LINE - 1));
	*v = (uintptr_t)c; /* before the map grows */
	c->field = f;
	c->parent = f->parent ? renderer_cursor(r, f->parent) : NULL;
	return c;
}

static const struct column *column_of(struct renderer *r, struct cursor *c)
{
	if (!c->field)
		return NULL;
	if (!c->parent)
		return r->root;
	if (c->parent->turn != r->turn)
		cursor_bind(r, c->parent);
	const struct column *up = c->parent->col;
	uint32_t index = c->field->index;
	return up && index < up->child_count && up->children[index].field == c->field ? &up->children[index] : NULL;
}

void cursor_bind(struct renderer *r, struct cursor *c)
{
	const struct column *col = column_of(r, c);
	c->turn = r->turn;
	c->col = col;
	c->word = c->rank = c->slots = c->values = 0;
	if (!col)
		return;
	size_t width = field_width(c->field);
	bool by_offsets = col->field->type == TYPE_STRING || col->field->type == TYPE_BINARY || col->field->type == TYPE_LIST ||
			  col->field->type == TYPE_MAP;
	c->values = by_offsets && !col->offsets ? 0 : width && col->data.len / width < col->values ? (uint32_t)(col->data.len / width) : col->values;
	c->present = col->values == col->slots ? NULL : col->present; /* a required column needs no bitmap */
	c->slots = c->present ? col->slots : col->values;
	c->data = col->data.data;
	c->readable = col->data.cap;
	c->offsets = col->offsets;
	c->codes = col->coded ? col->codes : NULL;
	c->place = (uint8_t)place_of(c->field);
	c->format = c->field->format;
	c->scale = c->field->scale;
}

static void bind_nodes(struct renderer *r, struct space *s)
{
	bool changed = places_update(&s->places, s->keys, r->schema);
	uint32_t from = changed ? 0 : s->node_count;
	if (changed)
		plans_reset(r);
	if (s->places.count > s->node_cap) {
		s->node_cap = s->places.cap;
		s->nodes = mem_realloc(s->nodes, s->node_cap * sizeof *s->nodes);
	}
	for (uint32_t n = from; n < s->places.count; n++) {
		struct node_cursors *nc = &s->nodes[n];
		*nc = (struct node_cursors){ .rest = n < s->node_count ? nc->rest : (struct rest_path){ 0 }, .object = &r->nothing, .list = &r->nothing };
		for (int p = 0; p < PLACES; p++) {
			const struct field *f = s->places.nodes[n].field[p];
			if (!f)
				continue;
			if (p == PLACE_OBJECT)
				nc->object = renderer_cursor(r, f);
			else if (p == PLACE_LIST)
				nc->list = renderer_cursor(r, f);
			else
				nc->scalar[nc->scalars++] = renderer_cursor(r, f);
		}
	}
	s->node_count = s->places.count;
}

static bool is_bytes(const struct field *f)
{
	return f->type == TYPE_STRING || f->type == TYPE_BINARY;
}

/* Roles come from files: a column with another type than its role needs is none. */
static struct cursor *cursor_of_role(struct renderer *r, enum role role)
{
	const struct field *f = schema_by_role(r->schema, role);
	bool fits = f && (role != ROLE_REST ? is_bytes(f)
					    : f->type == TYPE_MAP && f->child_count == 2 && is_bytes(f->children[0]) && is_bytes(f->children[1]));
	return fits ? renderer_cursor(r, f) : &r->nothing;
}

void renderer_begin(struct renderer *r, const struct batch *batch)
{
	r->root = &batch->root;
	r->rows = batch->rows;
	r->turn++; /* cursors bind themselves when they are used */
	if (r->role_fields != r->schema->field_count) {
		r->shape = cursor_of_role(r, ROLE_SHAPE);
		r->raw = cursor_of_role(r, ROLE_RAW);
		r->rest = cursor_of_role(r, ROLE_REST);
		r->text = cursor_of_role(r, ROLE_TEXT);
		const struct field *map = r->rest->field;
		r->rest_keys = map && map->child_count == 2 ? renderer_cursor(r, map->children[0]) : &r->nothing;
		r->rest_texts = map && map->child_count == 2 ? renderer_cursor(r, map->children[1]) : &r->nothing;
		r->role_fields = r->schema->field_count;
	}
	for (uint32_t i = 0; i < r->space_count; i++)
		bind_nodes(r, &r->spaces[i]);
}

/* ---- what the kernels call ---- */

uint8_t *render_fault(struct job *j, const char *why)
{
	if (!j->fault)
		j->fault = why;
	return NULL;
}

/* a's bit j of word i becomes bit i of word j: halves, quarters … change places. */
static void transpose(uint64_t a[64])
{
	uint64_t mask = UINT32_MAX;
	for (unsigned j = 32; j; j >>= 1, mask ^= mask << j)
		for (unsigned k = 0; k < 64; k = ((k | j) + 1) & ~j) {
			uint64_t t = (a[k] >> j ^ a[k | j]) & mask;
			a[k] ^= t << j;
			a[k | j] ^= t;
		}
}

static void choice_fill(struct choice *c)
{
	memset(c->rows, 0, sizeof c->rows);
	for (uint32_t i = 0; i < c->count; i++) {
		const struct cursor *k = c->columns[i];
		uint32_t left = k->slots > c->word * 64 ? k->slots - c->word * 64 : 0;
		if (left)
			c->rows[i] = (k->present ? k->present[c->word] : ~(uint64_t)0) & ~(uint64_t)0 >> (left < 64 ? 64 - left : 0);
	}
	transpose(c->rows);
}

uint64_t choice_find(struct renderer *r, struct choice *c, uint32_t slot)
{
	for (uint32_t i = 0; c->turn != r->turn && i < c->count; i++)
		if (c->columns[i]->turn != r->turn)
			cursor_bind(r, c->columns[i]);
	if (c->word != slot / 64 || c->turn != r->turn)
		c->asked = 0;
	c->word = slot / 64;
	c->turn = r->turn;
	if (c->asked++ == CHOICE_ALONE) {
		choice_fill(c);
		return c->rows[slot % 64];
	}
	uint64_t found = 0;
	for (uint32_t i = 0; i < c->count; i++) {
		const struct cursor *k = c->columns[i];
		if (slot < k->slots)
			found |= (k->present ? k->present[c->word] >> (slot % 64) & 1 : 1) << i;
	}
	return found;
}

uint8_t *render_room(struct job *j, uint8_t *p, size_t more)
{
	struct buf *out = j->out;
	out->len = (size_t)(p - out->data);
	if (!buf_reserve(out, more))
		return NULL;
	j->end = out->data + out->cap;
	return out->data + out->len;
}

uint8_t *render_escaped(struct job *j, uint8_t *p, struct slice utf8)
{
	j->out->len = (size_t)(p - j->out->data);
	json_string_escape(utf8, j->dialect, j->out);
	return j->out->overflow ? NULL : render_room(j, j->out->data + j->out->len, RENDER_SLACK);
}

bool render_rest_key(struct job *j, uint32_t node, struct slice path, struct slice *ret_key)
{
	const struct shape_keys *keys = j->space->keys;
	struct rest_path *known = &j->space->nodes[node].rest;
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
	if (prefix < REST_PATH_MAX && !known->text) {
		known->text = arena_zalloc(&j->r->arena, REST_PATH_MAX);
		known->len = prefix;
		if (prefix)
			memcpy(known->text, path.data, prefix);
	}
	*ret_key = slice_skip(path, prefix);
	return true;
}

/* ---- rows ---- */

/* The plan of the row's shape; NULL: it is to be walked. */
static struct plan *plan_of(struct renderer *r, struct space *space, struct slice shape)
{
	struct plan *before = r->recent, *plan = before;
	if (before && before->follower)
		plan = before->follower;
	if (plan && slice_eq(slice_of(plan->shape, plan->shape_len), shape))
		return r->recent = plan;
	if (shape.len > PLAN_SHAPE_MAX)
		return NULL;
	if (!r->plans) {
		r->plans = mem_zalloc(PLAN_SLOTS, sizeof *r->plans);
		r->sighted = mem_zalloc(PLAN_SLOTS, sizeof *r->sighted);
	}
	uint64_t hash = hash64(shape);
	uint32_t at = (uint32_t)hash % PLAN_SLOTS, tag = (uint32_t)(hash >> 32);
	for (uint32_t i = at; (plan = r->plans[i]); i = (i + 1) % PLAN_SLOTS)
		if (plan->hash == hash && slice_eq(slice_of(plan->shape, plan->shape_len), shape))
			break;
	if (!plan && r->sighted[at] != tag) {
		r->sighted[at] = tag;
		return NULL;
	}
	if (!plan) {
		if (r->plan_count >= PLAN_SLOTS / 2 || r->plan_arena.bytes > PLAN_BYTES) {
			plans_reset(r);
			before = NULL;
		}
		plan = plan_make(r, space, shape);
		if (!plan)
			return NULL;
		plan->hash = hash;
		while (r->plans[at])
			at = (at + 1) % PLAN_SLOTS;
		r->plans[at] = plan;
		r->plan_count++;
	}
	if (before)
		before->follower = plan;
	return r->recent = plan;
}

static rc_t shape_space(struct job *j, struct err *reterr)
{
	uint32_t id;
	if (j->shape.len < 5 || j->shape.data[4] >= JSON_DIALECT_COUNT)
		return err_set(reterr, RC_CORRUPT, "row %u: its shape is no shape (%zu bytes)", j->row, j->shape.len);
	memcpy(&id, j->shape.data, 4);
	j->space = space_find(j->r, id);
	if (!j->space)
		return err_set(reterr, RC_NOT_FOUND,
			       "row %u: no key table of space %08x: it is in the file's metadata or in the lake's _shapes folder",
			       j->row, id);
	if (j->space->node_count != shape_node_count(j->space->keys) || j->space->places.field_count != j->r->schema->field_count)
		bind_nodes(j->r, j->space);
	j->dialect = j->shape.data[4];
	j->pos = 5;
	return RC_OK;
}

static rc_t render_shape(struct job *j, struct err *reterr)
{
	TRY(shape_space(j, reterr));
	/* The kernels write past what they need; out's maximum is looked after here. */
	struct buf *out = j->out;
	size_t max = out->max;
	out->max += RENDER_SLACK;
	uint8_t *p = render_room(j, out->data + out->len, RENDER_SLACK);
	struct plan *plan = plan_of(j->r, j->space, j->shape);
	if (p && plan)
		p = json_scan_simd ? plan_run_avx2(j, plan, p) : plan_run_portable(j, plan, p);
	else if (p)
		p = json_scan_simd ? shape_walk_avx2(j, p) : shape_walk_portable(j, p);
	if (p)
		out->len = (size_t)(p - out->data);
	out->max = max;
	if (out->len > max) {
		out->len = max;
		out->overflow = true;
	}
	if (out->cap > max)
		out->cap = max; /* what was taken beyond is not to be used */
	if (p && j->rest_at != j->rest_end)
		render_fault(j, "__rest has more entries than the shape says");
	if (j->fault)
		return err_set(reterr, RC_CORRUPT, "row %u cannot be restored: %s (was it changed by another program?)", j->row, j->fault);
	return RC_OK;
}

rc_t renderer_row(struct renderer *r, uint32_t row, struct buf *out, struct err *reterr)
{
	if (row >= r->rows)
		return err_set(reterr, RC_INVALID, "row %u: the batch has %u rows", row, r->rows);
	struct job j = { .r = r, .out = out, .row = row };
	rc_t rc = RC_OK;
	switch (json_scan_simd ? row_find_avx2(&j) : row_find_portable(&j)) {
	case ROW_TEXT:
		buf_append_slice(out, j.shape);
		break;
	case ROW_SHAPE:
		rc = render_shape(&j, reterr);
		break;
	case ROW_NONE:
		return err_set(reterr, RC_UNSUPPORTED, "row %u has neither __raw nor __shape nor text: it was not written by hydrant",
			       row);
	}
	if (out->overflow)
		return err_set(reterr, RC_LIMIT, "row %u is longer than the %zu bytes of its buffer", row, out->max);
	return rc;
}
