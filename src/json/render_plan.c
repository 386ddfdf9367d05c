#include "json/render_internal.h"

/* A container whose skeleton is being read. */
struct level {
	const struct shape_edge *uniform; /* of UNIFORM arrays */
	uint32_t node;
	uint32_t op;	   /* of UNIFORM: OP_LOOP; of MIXED: OP_MIXED */
	uint32_t elements; /* of MIXED, so far */
	uint16_t reg;	   /* the members' slot, or the first element */
	uint8_t kind;	   /* EDGE_MEMBER: an object; EDGE_UNIFORM; EDGE_MIXED */
};

struct maker {
	struct renderer *r;
	struct space *space;
	struct slice shape;
	size_t pos;
	uint32_t ops, lit; /* ops made; where the literal begins that the next op writes */
	uint16_t reg;	   /* the next free one */
	struct level levels[2 * SHAPE_DEPTH_MAX];
	uint32_t depth;
};

static const struct shape_edge *next_edge(struct maker *m)
{
	uint64_t id;
	if (!slice_varint(m->shape, &m->pos, &id) || id >= shape_edge_count(m->space->keys))
		return NULL;
	return shape_edge_at(m->space->keys, (uint32_t)id);
}

/* Text that stands before whatever comes next. */
static void literal(struct maker *m, const uint8_t *text, size_t n)
{
	buf_append(&m->r->lits, text, n);
}

static struct op *emit(struct maker *m, enum op_kind kind, uint16_t from, uint16_t to, uint32_t arg, struct cursor *cursor)
{
	struct renderer *r = m->r;
	if (m->ops == r->ops_cap) {
		r->ops_cap = r->ops_cap ? r->ops_cap * 2 : 64;
		r->ops = mem_realloc(r->ops, r->ops_cap * sizeof *r->ops);
	}
	r->ops[m->ops] = (struct op){ .kind = (uint8_t)kind, .from = from, .to = to, .arg = arg, .cursor = cursor, .lit = m->lit };
	if (kind != OP_OBJECT && kind != OP_ELEMENT) { /* these write nothing and leave the literal to the next */
		r->ops[m->ops].lit_len = (uint32_t)r->lits.len - m->lit;
		m->lit = (uint32_t)r->lits.len;
	}
	return &r->ops[m->ops++];
}

static bool enter(struct maker *m, struct level level)
{
	if (m->depth == sizeof m->levels / sizeof *m->levels || m->reg + 4 > REGISTERS)
		return false;
	m->levels[m->depth++] = level;
	return true;
}

static enum op_kind kind_of(const struct cursor *c)
{
	switch (c->field ? place_of(c->field) : PLACE_NONE) {
	case PLACE_STRING:
		return OP_STRING;
	case PLACE_INT:
		return OP_INT;
	case PLACE_DECIMAL:
		return c->field->scale <= 18 ? OP_DECIMAL : OP_VALUE;
	default:
		return OP_VALUE;
	}
}

/* A value of a class at a node, whose slot is in register `from`. Containers are entered, their members follow. */
static bool value(struct maker *m, uint32_t node, uint8_t class, uint16_t from)
{
	const struct node_cursors *nc = &m->space->nodes[node];
	if (class == CLASS_SCALAR) {
		if (nc->scalars > 1)
			emit(m, OP_SIBLINGS, from, 0, node, NULL);
		else if (nc->scalars)
			emit(m, kind_of(nc->scalar[0]), from, 0, 0, nc->scalar[0]);
		else
			emit(m, OP_VALUE, from, 0, 0, &m->r->nothing);
		return true;
	}
	if (class == CLASS_OBJECT) {
		uint16_t to = from;
		if (node != SHAPE_ROOT_NODE) {
			to = m->reg++;
			emit(m, OP_OBJECT, from, to, 0, nc->object);
		}
		return enter(m, (struct level){ .node = node, .reg = to, .kind = EDGE_MEMBER });
	}
	const struct shape_edge *e = next_edge(m);
	if (!e || e->from != node)
		return false;
	if (e->kind == EDGE_END) {
		emit(m, OP_EMPTY, from, 0, 0, nc->list);
		literal(m, e->lit, e->len);
		return true;
	}
	uint16_t to = m->reg++;
	struct level level = { .node = node, .op = m->ops, .reg = to, .kind = e->kind, .uniform = e };
	if (e->kind == EDGE_UNIFORM) {
		literal(m, e->lit, e->len);
		emit(m, OP_LOOP, from, to, 0, nc->list);
		return enter(m, level) && value(m, e->to, e->class, to);
	}
	emit(m, OP_MIXED, from, to, 0, nc->list);
	return e->kind == EDGE_MIXED && enter(m, level);
}

/* The choice among the columns of `count` ops from `at` on. */
static struct choice *choice_of(struct maker *m, uint32_t edge, uint32_t first, uint32_t at, uint32_t count)
{
	struct renderer *r = m->r;
	struct choice **slot = &r->choices[edge % CHOICE_SLOTS], *c = *slot;
	if (c && c->space == m->space && c->edge == edge && c->first == first)
		return c;
	c = arena_zalloc(&r->plan_arena, sizeof *c + count * sizeof *c->columns);
	*c = (struct choice){ .space = m->space, .edge = edge, .first = first, .count = count };
	for (uint32_t i = 0; i < count; i++)
		c->columns[i] = r->ops[at + i].cursor;
	return *slot = c;
}

static void option(struct maker *m, enum op_kind kind, const struct shape_edge *member, uint16_t from, struct cursor *cursor)
{
	struct op *op = emit(m, kind, from, cursor ? (uint16_t)kind_of(cursor) : 0, member->to, cursor);
	literal(m, member->lit, member->len);
	op->sep = m->lit;
	op->sep_len = (uint16_t)member->len;
	m->lit = (uint32_t)m->r->lits.len;
}

static bool options(struct maker *m, const struct shape_edge *e, uint16_t from)
{
	struct slice numbers = slice_of(e->lit, e->len);
	size_t pos = 0;
	uint64_t id;
	uint32_t edge = (uint32_t)(e - shape_edge_at(m->space->keys, 0)), i = 0, first = 0, choice = 0, count = 0;
	for (; slice_varint(numbers, &pos, &id); i++) {
		const struct shape_edge *member = shape_edge_at(m->space->keys, (uint32_t)id);
		const struct node_cursors *nc = &m->space->nodes[member->to];
		if (nc->scalars > 1 || count == CHOICE_MAX) {
			if (count)
				m->r->ops[choice].choice = choice_of(m, edge, first, choice + 1, count);
			count = 0;
		}
		if (nc->scalars > 1) {
			option(m, OP_OPTIONS, member, from, NULL);
			continue;
		}
		if (!count) {
			first = i;
			choice = m->ops;
			emit(m, OP_CHOICE, from, 0, 0, NULL);
		}
		m->r->ops[choice].arg = ++count;
		option(m, OP_OPTION, member, from, nc->scalars ? nc->scalar[0] : &m->r->nothing);
	}
	if (count)
		m->r->ops[choice].choice = choice_of(m, edge, first, choice + 1, count);
	return true;
}

/* The next step of the innermost container. */
static bool step(struct maker *m)
{
	struct level *l = &m->levels[m->depth - 1];
	m->reg = (uint16_t)(l->reg + 1); /* what was inside of the member or element before is done with */
	if (l->kind == EDGE_UNIFORM) { /* its element is complete */
		const struct shape_edge *e = l->uniform;
		struct op *next = emit(m, OP_NEXT, 0, l->reg, l->op + 1, NULL);
		literal(m, e->lit + e->len, e->sep);
		next->sep = m->lit;
		next->sep_len = e->sep;
		m->lit = (uint32_t)m->r->lits.len;
		literal(m, e->lit + e->len + e->sep, e->close);
		m->depth--;
		return true;
	}
	const struct shape_edge *e = next_edge(m);
	if (!e || e->from != l->node)
		return false;
	if (e->kind == EDGE_REST && l->kind == EDGE_MEMBER) {
		emit(m, OP_REST, 0, 0, (uint32_t)(e - shape_edge_at(m->space->keys, 0)), NULL);
		return true;
	}
	if (e->kind == EDGE_OPTIONS)
		return l->kind == EDGE_MEMBER && options(m, e, l->reg);
	literal(m, e->lit, e->len);
	if (e->kind == EDGE_END) {
		if (l->kind == EDGE_MIXED)
			m->r->ops[l->op].arg = l->elements;
		m->depth--;
		return true;
	}
	if (l->kind == EDGE_MEMBER)
		return e->kind == EDGE_MEMBER && value(m, e->to, e->class, l->reg);
	if (e->kind != EDGE_ELEMENT)
		return false;
	uint16_t to = m->reg++;
	emit(m, OP_ELEMENT, l->reg, to, l->elements++, NULL);
	return value(m, e->to, e->class, to);
}

static bool make(struct maker *m)
{
	const struct shape_edge *e = next_edge(m);
	if (!e || e->kind != EDGE_ROOT || !value(m, SHAPE_ROOT_NODE, e->class, 0))
		return false;
	while (m->depth) {
		if (!step(m) || m->r->lits.len > PLAN_LITS_MAX)
			return false;
	}
	emit(m, OP_END, 0, 0, 0, NULL);
	return m->pos == m->shape.len;
}

struct plan *plan_make(struct renderer *r, struct space *space, struct slice shape)
{
	struct maker m = { .r = r, .space = space, .shape = shape, .pos = 5, .reg = 1 };
	buf_reset(&r->lits);
	if (!make(&m))
		return NULL;
	struct plan *plan = arena_zalloc(&r->plan_arena, sizeof *plan);
	struct op *ops = arena_alloc(&r->plan_arena, m.ops * sizeof *ops);
	memcpy(ops, r->ops, m.ops * sizeof *ops);
	uint8_t *lits = arena_zalloc(&r->plan_arena, r->lits.len + 32);
	if (r->lits.len)
		memcpy(lits, r->lits.data, r->lits.len);
	*plan = (struct plan){ .shape = arena_copy(&r->plan_arena, shape).data,
			       .shape_len = (uint32_t)shape.len,
			       .lits = lits,
			       .ops = ops };
	return plan;
}
