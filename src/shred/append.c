/* The tape -> one row of a batch. Nothing here can fail: whatever could was noticed while the tape was written. */
#include "shred/shred_internal.h"

#define LEVELS_MAX 256 /* containers on the tape around a value: typed_depth bounds them far below */

struct level {
	struct column *col;
	uint32_t slot; /* of its children, if it is a struct */
	bool list;
};

static void put_entry(const struct row *r, const struct tape_entry *e, struct column *col, uint32_t slot)
{
	switch (e->op) {
	case OP_BOOL: {
		uint8_t bit = (uint8_t)e->value;
		column_put_fixed(col, slot, &bit, 1);
		break;
	}
	case OP_EIGHT:
		column_put_fixed(col, slot, &e->value, 8);
		break;
	case OP_WIDE:
		column_put_fixed(col, slot, r->wide.data + e->value * 16, 16);
		break;
	case OP_BYTES:
		column_put_bytes(col, slot, slice_of((const void *)(uintptr_t)e->value, e->len));
		break;
	default:
		break;
	}
}

static void append_tape(const struct row *r, struct column *root, uint32_t row)
{
	struct level stack[LEVELS_MAX];
	unsigned depth = 0;
	stack[0] = (struct level){ root, row, false };
	for (uint32_t i = 0; i < r->tape_count;) {
		const struct tape_entry *e = &r->tape[i++];
		struct level *at = &stack[depth];
		if (e->op == OP_SKIP) {
			i = e->len;
			continue;
		}
		if (e->op == OP_END) {
			depth--;
			continue;
		}
		uint32_t slot = at->slot;
		struct column *col = &at->col->children[e->child];
		if (at->list)
			slot = column_list_extend(at->col);
		if (e->op == OP_STRUCT)
			stack[++depth] = (struct level){ col, column_mark(col, slot), false };
		else if (e->op == OP_LIST) {
			column_list_begin(col, slot);
			stack[++depth] = (struct level){ col, 0, true };
		} else {
			put_entry(r, e, col, slot);
		}
	}
}

static void put_i64(struct batch *b, const struct field *f, uint32_t row, int64_t v)
{
	if (f)
		column_put_fixed(&b->root.children[f->index], row, &v, 8);
}

static void put_text(struct shredder *s, struct batch *b, const struct field *f, uint32_t row, struct slice text)
{
	struct column *col = &b->root.children[f->index];
	column_put_bytes(col, row, text);
	if (col->data.len > COLUMN_BYTES_FULL)
		s->full = b;
}

static void put_pair(struct column *map, struct slice key, struct slice value)
{
	uint32_t slot = column_list_extend(map);
	column_put_bytes(&map->children[0], slot, key);
	column_put_bytes(&map->children[1], slot, value);
}

static void put_rest_map(struct shredder *s, struct batch *b, uint32_t row)
{
	const struct row *r = &s->row;
	struct column *map = &b->root.children[s->own.rest->index];
	column_list_begin(map, row);
	for (uint32_t i = 0; i < r->rest_count; i++)
		put_pair(map, slice_of(r->paths.data + r->rest[i].path_at, r->rest[i].path_len), r->rest[i].text);
	if (map->children[0].data.len > COLUMN_BYTES_FULL || map->children[1].data.len > COLUMN_BYTES_FULL)
		s->full = b;
}

/* "name\0value\0"…; a name twice: the first stays. */
static void put_meta(struct batch *b, const struct field *f, uint32_t row, struct slice meta)
{
	struct column *map = &b->root.children[f->index];
	column_list_begin(map, row);
	uint32_t first = map->offsets[map->values];
	while (meta.len) {
		size_t n = strnlen((const char *)meta.data, meta.len);
		struct slice name = slice_of(meta.data, n);
		meta = slice_skip(meta, n + 1);
		n = strnlen((const char *)meta.data, meta.len);
		struct slice value = slice_of(meta.data, n);
		meta = slice_skip(meta, n + 1);
		bool twice = false;
		for (uint32_t i = first; i < map->children[0].values && !twice; i++)
			twice = slice_eq(column_bytes_at(&map->children[0], i), name);
		if (!twice)
			put_pair(map, name, value);
	}
}

static void put_machinery(struct shredder *s, struct batch *b, uint32_t row, const struct row_meta *m)
{
	const struct event *e = m->event;
	put_i64(b, s->own.time, row, m->time_us);
	put_i64(b, s->own.received, row, e->received);
	put_i64(b, s->own.pos, row, (int64_t)e->pos);
	if (s->opt.source.len)
		put_text(s, b, s->own.source, row, s->opt.source);
	if (e->id.len)
		put_text(s, b, s->own.id, row, e->id);
	if (e->key.len)
		put_text(s, b, s->own.key, row, e->key);
	if (e->meta.len)
		put_meta(b, s->own.meta, row, e->meta);
}

void append_finish(struct shredder *s, struct batch *b, const struct row_meta *m)
{
	uint32_t row = b->rows++;
	b->root.slots = b->root.values = b->rows;
	if (s->opt.lake)
		put_machinery(s, b, row, m);
	if (m->event->reason.len)
		put_text(s, b, s->own.reason, row, m->event->reason);
	if (m->has_tape && s->row.rest_count)
		put_rest_map(s, b, row);
	if (m->raw)
		put_text(s, b, s->own.raw, row, m->event->payload);
	else if (m->has_tape)
		put_text(s, b, s->own.shape, row, s->stored = fold_shape(s, b, row));
	else
		put_text(s, b, s->own.text, row, m->event->payload);
}

void append_row(struct shredder *s, struct batch *b, const struct row_meta *m)
{
	if (b->adopted != s->schema->field_count)
		batch_adopt_schema(b);
	if (m->has_tape)
		append_tape(&s->row, &b->root, b->rows);
	append_finish(s, b, m);
}
