#include "json/places.h"

struct probe {
	uintptr_t parent;
	uint8_t key[SHAPE_LITERAL_MAX];
};

void places_init(struct places *p)
{
	*p = (struct places){ 0 };
	map_init(&p->by_key);
}

void places_free(struct places *p)
{
	free(p->nodes);
	free(p->chain);
	free(p->chain_next);
	map_free(&p->by_key);
	*p = (struct places){ 0 };
}

enum place place_of(const struct field *f)
{
	switch (f->type) {
	case TYPE_BOOL:
		return PLACE_BOOL;
	case TYPE_INT64:
		return PLACE_INT;
	case TYPE_DOUBLE:
		return PLACE_DOUBLE;
	case TYPE_DECIMAL:
		return f->precision <= 18 ? PLACE_DECIMAL : PLACE_BIGINT;
	case TYPE_STRING:
		return f->format == FORMAT_JSON ? PLACE_JSON : PLACE_STRING;
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		return f->format >= FORMAT_TIME_BASE ? PLACE_TIME : PLACE_NONE;
	case TYPE_STRUCT:
		return PLACE_OBJECT;
	case TYPE_LIST:
		return PLACE_LIST;
	default:
		return PLACE_NONE;
	}
}

static struct slice probe_fill(struct probe *probe, const struct field *parent, struct slice key)
{
	probe->parent = (uintptr_t)parent;
	if (key.len)
		memcpy(probe->key, key.data, key.len);
	return slice_of(probe, offsetof(struct probe, key) + key.len);
}

static void chain_add(struct places *p, struct field *f)
{
	if (p->chain_count == p->chain_cap) {
		p->chain_cap = p->chain_cap ? p->chain_cap * 2 : 64;
		p->chain = mem_realloc(p->chain, p->chain_cap * sizeof *p->chain);
		p->chain_next = mem_realloc(p->chain_next, p->chain_cap * sizeof *p->chain_next);
	}
	struct probe probe;
	uintptr_t *head = map_put(&p->by_key, probe_fill(&probe, f->parent, f->key), NULL);
	p->chain[p->chain_count] = f;
	p->chain_next[p->chain_count] = (uint32_t)*head;
	*head = ++p->chain_count;
}

#define FIELD_DEPTH_MAX 256

static void chain_fields(struct places *p, const struct field *parent, unsigned depth)
{
	if (depth > FIELD_DEPTH_MAX)
		return;
	for (uint32_t i = 0; i < parent->child_count; i++) {
		struct field *f = parent->children[i];
		if (f->type == TYPE_STRUCT || f->type == TYPE_LIST)
			chain_fields(p, f, depth + 1);
		if (parent->type == TYPE_STRUCT && (f->role == ROLE_PAYLOAD || f->role == ROLE_SIBLING) &&
		    f->key.len <= SHAPE_LITERAL_MAX)
			chain_add(p, f);
	}
}

bool places_of_key(const struct places *p, const struct field *parent, struct slice key, struct node_places *ret)
{
	struct probe probe;
	bool any = false;
	*ret = (struct node_places){ 0 };
	if (key.len > SHAPE_LITERAL_MAX)
		return false;
	const uintptr_t *head = map_get(&p->by_key, probe_fill(&probe, parent, key));
	for (uint32_t at = head ? (uint32_t)*head : 0; at; at = p->chain_next[at - 1]) {
		enum place place = place_of(p->chain[at - 1]);
		/* The chain is newest first: the oldest field of a kind wins. */
		if (place != PLACE_NONE) {
			ret->field[place] = p->chain[at - 1];
			any = true;
		}
	}
	return any;
}

static void resolve(struct places *p, const struct shape_keys *keys, const struct schema *schema, uint32_t n)
{
	const struct shape_node *node = shape_node_at(keys, n);
	struct node_places *np = &p->nodes[n];
	*np = (struct node_places){ 0 };
	if (node->parent == SHAPE_NONE) {
		for (uint32_t i = schema->root->child_count; i-- > 0;) {
			struct field *f = schema->root->children[i];
			enum place place = f->role == ROLE_VALUE ? place_of(f) : PLACE_NONE;
			if (place != PLACE_NONE && place != PLACE_OBJECT)
				np->field[place] = f;
		}
		np->field[PLACE_OBJECT] = schema->root;
		return;
	}
	const struct field *up = p->nodes[node->parent].field[node->element ? PLACE_LIST : PLACE_OBJECT];
	if (!up)
		return;
	if (node->element) {
		struct field *f = up->child_count == 1 ? up->children[0] : NULL;
		if (f && place_of(f) != PLACE_NONE)
			np->field[place_of(f)] = f;
		return;
	}
	places_of_key(p, up, node->key, np);
}

bool places_update(struct places *p, const struct shape_keys *keys, const struct schema *schema)
{
	uint32_t from = p->count;
	bool rebuilt = p->field_count != schema->field_count;
	if (rebuilt) {
		map_reset(&p->by_key);
		p->chain_count = 0;
		chain_fields(p, schema->root, 0);
		p->field_count = schema->field_count;
		from = 0;
	}
	uint32_t count = shape_node_count(keys);
	if (count > p->cap) {
		while (count > p->cap)
			p->cap = p->cap ? p->cap * 2 : 64;
		p->nodes = mem_realloc(p->nodes, p->cap * sizeof *p->nodes);
	}
	for (uint32_t n = from; n < count; n++)
		resolve(p, keys, schema, n); /* parents have smaller numbers */
	p->count = count;
	return rebuilt;
}
