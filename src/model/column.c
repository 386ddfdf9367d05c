#include "model/column.h"

void column_init(struct column *c, const struct field *f)
{
	*c = (struct column){ .field = f };
	buf_init(&c->data, BUF_MAX_DEFAULT);
}

void column_free(struct column *c)
{
	for (uint32_t i = 0; i < c->child_count; i++)
		column_free(&c->children[i]);
	free(c->children);
	free(c->present);
	free(c->offsets);
	free(c->codes);
	buf_free(&c->data);
	*c = (struct column){ .field = c->field };
}

static void column_reset(struct column *c)
{
	for (uint32_t i = 0; i < c->child_count; i++)
		column_reset(&c->children[i]);
	if (c->present) {
		size_t words = ((size_t)c->slots + 63) / 64;
		memset(c->present, 0, (words < c->present_cap ? words : c->present_cap) * 8);
	}
	if (c->offsets)
		c->offsets[0] = 0;
	c->slots = 0;
	c->values = 0;
	c->coded = false;
	buf_reset(&c->data);
}

void column_grow_present(struct column *c, uint32_t slot)
{
	size_t cap = c->present_cap ? c->present_cap : 4;
	while (cap <= (size_t)slot >> 6)
		cap *= 2;
	c->present = mem_realloc(c->present, cap * 8);
	memset(c->present + c->present_cap, 0, (cap - c->present_cap) * 8);
	c->present_cap = cap;
}

void column_grow_offsets(struct column *c)
{
	bool first = !c->offsets;
	size_t cap = c->offsets_cap ? c->offsets_cap * 2 : 64;
	c->offsets = mem_realloc(c->offsets, cap * sizeof *c->offsets);
	c->offsets_cap = cap;
	if (first)
		c->offsets[0] = 0;
}

uint32_t column_list_begin(struct column *c, uint32_t slot)
{
	uint32_t i = column_mark(c, slot);
	if ((size_t)i + 2 > c->offsets_cap)
		column_grow_offsets(c);
	c->offsets[i + 1] = c->offsets[i];
	return i;
}

void batch_init(struct batch *b, const struct schema *schema)
{
	*b = (struct batch){ .schema = schema };
	column_init(&b->root, schema->root);
	batch_adopt_schema(b);
}

void batch_free(struct batch *b)
{
	column_free(&b->root);
	b->rows = 0;
}

void batch_reset(struct batch *b)
{
	column_reset(&b->root);
	b->rows = 0;
}

static void column_adopt(struct column *c)
{
	const struct field *f = c->field;
	if (c->child_count < f->child_count) {
		c->children = mem_realloc(c->children, f->child_count * sizeof *c->children);
		for (uint32_t i = c->child_count; i < f->child_count; i++)
			column_init(&c->children[i], f->children[i]);
		c->child_count = f->child_count;
	}
	for (uint32_t i = 0; i < c->child_count; i++)
		column_adopt(&c->children[i]);
}

void batch_adopt_schema(struct batch *b)
{
	column_adopt(&b->root);
	b->adopted = b->schema->field_count;
}

static void column_pad(struct column *c, uint32_t slots)
{
	if (slots && ((size_t)slots - 1) >> 6 >= c->present_cap)
		column_grow_present(c, slots - 1);
	c->slots = slots;
}

static void column_seal(struct column *c)
{
	bool list = c->field->type == TYPE_LIST || c->field->type == TYPE_MAP;
	if ((list || c->field->type == TYPE_STRING || c->field->type == TYPE_BINARY) && !c->offsets)
		column_grow_offsets(c);
	uint32_t instances = list ? c->offsets[c->values] : c->values;
	for (uint32_t i = 0; i < c->child_count; i++) {
		column_pad(&c->children[i], instances);
		column_seal(&c->children[i]);
	}
}

void batch_seal(struct batch *b)
{
	b->root.slots = b->root.values = b->rows;
	column_seal(&b->root);
}

static size_t column_bytes(const struct column *c)
{
	size_t bytes = c->data.len + c->slots / 8;
	if (c->offsets)
		bytes += (size_t)c->values * sizeof *c->offsets + (c->coded ? c->entries * sizeof *c->codes : 0);
	for (uint32_t i = 0; i < c->child_count; i++)
		bytes += column_bytes(&c->children[i]);
	return bytes;
}

size_t batch_bytes(const struct batch *b)
{
	return column_bytes(&b->root);
}

static size_t column_memory(const struct column *c)
{
	size_t bytes = c->data.cap + c->present_cap * 8 + c->offsets_cap * sizeof *c->offsets + c->codes_cap * sizeof *c->codes + c->child_count * sizeof *c;
	for (uint32_t i = 0; i < c->child_count; i++)
		bytes += column_memory(&c->children[i]);
	return bytes;
}

size_t batch_memory(const struct batch *b)
{
	return column_memory(&b->root);
}

struct column *batch_column(struct batch *b, const struct field *f)
{
	if (!f->parent)
		return &b->root;
	struct column *p = batch_column(b, f->parent);
	return p && f->index < p->child_count ? &p->children[f->index] : NULL;
}
