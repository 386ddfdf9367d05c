/* What inference counted -> new fields, by the rules of TABLES.md (Types). */
#include <stdio.h>

#include "shred/evolve_internal.h"
#include "shred/infer_internal.h"

#define MAP_LIKE_CHILDREN 200u /* an object with more different keys, each rare, is a map: its rare keys stay in __rest */
#define DECIMAL_EVIDENCE  100u /* values of one scale that make a decimal, if none has shown that a double cannot restore it */
#define BIT(place)	  (1u << (place))

/* A member whose fields are being chosen: one key of one struct, or the payload itself. */
struct member {
	struct inode *n;
	enum role role;	   /* of its main field: PAYLOAD, VALUE */
	struct slice base; /* name of the main field; empty until needed */
	unsigned main;	   /* place of the main field, if it is not there yet; PLACE_NONE */
	struct node_places have;
};

/* A struct or list that fields may be added to; made itself only when the first one is. */
struct target {
	struct target *up; /* NULL: the schema's root */
	bool list;
	struct field *field; /* NULL: not made yet */
	struct member *m;    /* of which key; NULL: it is the element of `up` */
};

struct evolve {
	struct shredder *s;
	struct inference *inf;
	struct names names;
};

/* __rest has no place for keys of list elements: without a column their rows would pay __raw. */
static bool in_list(const struct inode *n)
{
	while (n && !n->element)
		n = n->parent;
	return n != NULL;
}

/* May a column with so many values be made? */
static bool earns(const struct evolve *ev, const struct inode *parent, uint64_t values)
{
	uint32_t used = ev->s->schema->leaf_count, budget = ev->s->opt.leaf_budget;
	if (used >= budget || !values)
		return false;
	if (values >= 100)
		return true;
	if (parent && parent->children > MAP_LIKE_CHILDREN && values * 100 < parent->seen[GROUP_OBJECT])
		return false;
	if (used < budget / 2 || in_list(parent))
		return true;
	/* In a small call 0.1 % is one row, and every key that comes once and never again would earn a column. */
	return values >= 2 && values * 1000 >= ev->inf->rows;
}

/* ---- making fields ---- */

static const enum type type_of_place[PLACES] = {
	[PLACE_BOOL] = TYPE_BOOL,	 [PLACE_INT] = TYPE_INT64,	[PLACE_DOUBLE] = TYPE_DOUBLE,
	[PLACE_DECIMAL] = TYPE_DECIMAL,	 [PLACE_BIGINT] = TYPE_DECIMAL, [PLACE_STRING] = TYPE_STRING,
	[PLACE_TIME] = TYPE_TIMESTAMPTZ, [PLACE_JSON] = TYPE_STRING,	[PLACE_OBJECT] = TYPE_STRUCT,
	[PLACE_LIST] = TYPE_LIST,
};

static struct field *make_field(struct evolve *ev, struct target *up, struct member *m, const struct inode *n, enum place place);

static struct field *ensure(struct evolve *ev, struct target *t)
{
	if (!t->field)
		t->field = make_field(ev, t->up, t->m, NULL, t->list ? PLACE_LIST : PLACE_OBJECT);
	return t->field;
}

static struct field *add_member(struct evolve *ev, const struct field *parent, struct member *m, enum place place)
{
	struct schema *schema = ev->s->schema;
	char name[NAME_MAX_BYTES + 64];
	if (!m->base.len)
		m->base = names_choose(&ev->names, schema, parent, m->role == ROLE_VALUE ? SLICE_LIT("value") : m->n->key);
	if (place == m->main)
		snprintf(name, sizeof name, "%.*s", SLICE_ARG(m->base));
	else
		snprintf(name, sizeof name, "%.*s__%s", SLICE_ARG(m->base), names_suffix(place));
	size_t len = strlen(name);
	for (int i = 2; place != m->main && field_child(parent, slice_str(name)); i++)
		snprintf(name + len, sizeof name - len, "_%d", i);
	struct field *f = schema_add(schema, (struct field *)parent, slice_str(name), type_of_place[place]);
	f->role = (uint8_t)(m->role == ROLE_VALUE ? ROLE_VALUE : place == m->main ? ROLE_PAYLOAD : ROLE_SIBLING);
	if (m->role != ROLE_VALUE)
		f->key = arena_copy(&schema->arena, m->n->key);
	return f;
}

/* The format that gives most of n's numbers back; of several, the one that gives back most of all numbers: exponents are rare, and
 * they are where writers differ. */
static uint8_t double_format(const struct inference *inf, const struct inode *n)
{
	int best = 0;
	for (int i = 1; i < NUM_FORMATS; i++)
		if (n->fit[i] > n->fit[best] || (n->fit[i] == n->fit[best] && inf->fit[i] > inf->fit[best]))
			best = i;
	return (uint8_t)NUM_FORMAT_OF_BIT(best);
}

/* n: whose numbers and times decide the format; may be NULL for containers. */
static struct field *make_field(struct evolve *ev, struct target *up, struct member *m, const struct inode *n, enum place place)
{
	struct field *parent = ensure(ev, up);
	struct field *f = up->list ? schema_add(ev->s->schema, parent, SLICE_LIT("element"), type_of_place[place])
				   : add_member(ev, parent, m, place);
	switch (place) {
	case PLACE_DOUBLE:
		f->format = double_format(ev->inf, n);
		break;
	case PLACE_DECIMAL:
		f->precision = 18;
		f->scale = n->scale;
		break;
	case PLACE_BIGINT:
		f->precision = 38;
		break;
	case PLACE_TIME:
		f->format = (uint8_t)(FORMAT_TIME_BASE + __builtin_ctzll(n->time_mask));
		break;
	case PLACE_JSON:
		f->format = FORMAT_JSON;
		break;
	default:
		break;
	}
	if (m)
		m->have.field[place] = f;
	return f;
}

/* ---- which columns a member's values want ---- */

static enum place number_place(const struct inode *n)
{
	uint64_t whole = n->ints + n->bigints, fractions = n->decimals + n->doubles;
	if (!whole && !fractions)
		return PLACE_NONE;
	if (!fractions)
		return n->bigints ? PLACE_BIGINT : PLACE_INT;
	if (!whole && n->scale < SCALE_MIXED && n->doubles * 100 <= n->decimals &&
	    (n->fit_none > n->doubles || n->decimals >= DECIMAL_EVIDENCE))
		return PLACE_DECIMAL;
	if (!n->big_doubles && !n->bigints)
		return PLACE_DOUBLE;
	if (fractions > whole)
		return PLACE_DOUBLE;
	return n->bigints ? PLACE_BIGINT : PLACE_INT;
}

static bool decimal_fits(const struct inode *n, const struct field *f)
{
	return f && n->scale == f->scale;
}

/* Columns for the numbers that the columns in *have* do not take, as place bits. */
static unsigned want_numbers(const struct inode *n, const struct node_places *have)
{
	bool has_int = have->field[PLACE_INT], has_double = have->field[PLACE_DOUBLE], has_big = have->field[PLACE_BIGINT];
	unsigned want = 0;
	uint8_t scale = have->field[PLACE_DECIMAL] ? have->field[PLACE_DECIMAL]->scale : SCALE_NONE;
	if (!has_int && !has_double && !has_big && scale == SCALE_NONE) {
		enum place main = number_place(n);
		if (main == PLACE_NONE)
			return 0;
		want |= BIT(main);
		has_int = main == PLACE_INT;
		has_double = main == PLACE_DOUBLE;
		has_big = main == PLACE_BIGINT;
		scale = main == PLACE_DECIMAL ? n->scale : SCALE_NONE;
	}
	if ((n->decimals && (scale == SCALE_NONE || n->scale != scale) && !has_double) || (n->doubles && !has_double)) {
		want |= BIT(PLACE_DOUBLE);
		has_double = true;
	}
	if (n->bigints && !has_big)
		want |= BIT(PLACE_BIGINT);
	if (n->ints && !has_int && !has_big && (!has_double || n->big_doubles))
		want |= BIT(PLACE_INT);
	return want;
}

static bool any_field(const struct node_places *have)
{
	for (int p = 0; p < PLACES; p++)
		if (have->field[p])
			return true;
	return false;
}

static unsigned want_scalars(const struct inode *n, const struct node_places *have)
{
	unsigned want = want_numbers(n, have);
	if (n->seen[GROUP_BOOL] && !have->field[PLACE_BOOL])
		want |= BIT(PLACE_BOOL);
	if (n->seen[GROUP_STRING] && !have->field[PLACE_STRING]) {
		const struct field *time = have->field[PLACE_TIME];
		bool most = n->seen[GROUP_STRING] >= n->seen[GROUP_NUMBER] && n->seen[GROUP_STRING] >= n->seen[GROUP_BOOL] &&
			    n->seen[GROUP_STRING] >= n->seen[GROUP_OBJECT] && n->seen[GROUP_STRING] >= n->seen[GROUP_ARRAY];
		if (time ? !(n->time_mask >> (time->format - FORMAT_TIME_BASE) & 1) : !most || !n->time_mask || any_field(have))
			want |= BIT(PLACE_STRING);
		else if (!time)
			want |= BIT(PLACE_TIME);
	}
	return want;
}

static uint64_t values_of(const struct inode *n, enum place place)
{
	switch (place) {
	case PLACE_BOOL:
		return n->seen[GROUP_BOOL];
	case PLACE_INT:
	case PLACE_DOUBLE:
	case PLACE_DECIMAL:
	case PLACE_BIGINT:
		return n->seen[GROUP_NUMBER];
	case PLACE_STRING:
	case PLACE_TIME:
		return n->seen[GROUP_STRING];
	case PLACE_OBJECT:
		return n->seen[GROUP_OBJECT];
	case PLACE_LIST:
		return n->seen[GROUP_ARRAY];
	default:
		return n->seen[GROUP_ARRAY] + n->deep + n->huge;
	}
}

static bool members_leafy(const struct inode *n)
{
	for (const struct inode *c = n->first; c; c = c->next)
		if (!c->element && c->leafy)
			return true;
	return false;
}

static struct inode *element_of(const struct inode *n)
{
	for (struct inode *c = n->first; c; c = c->next)
		if (c->element)
			return c;
	return NULL;
}

/* ---- arrays ---- */

static void evolve_object(struct evolve *ev, struct target *t, struct inode *n, uint32_t node);

static enum group group_of_place(enum place place)
{
	switch (place) {
	case PLACE_BOOL:
		return GROUP_BOOL;
	case PLACE_STRING:
	case PLACE_TIME:
		return GROUP_STRING;
	case PLACE_OBJECT:
		return GROUP_OBJECT;
	case PLACE_LIST:
		return GROUP_ARRAY;
	default:
		return GROUP_NUMBER;
	}
}

/* Do all elements of f's group fit f? */
static bool elements_fit(const struct inode *e, enum place place, const struct field *f)
{
	switch (place) {
	case PLACE_INT:
		return !(e->bigints | e->decimals | e->doubles | e->huge);
	case PLACE_DOUBLE:
		return !(e->big_doubles | e->bigints | e->huge);
	case PLACE_DECIMAL:
		return !(e->ints | e->bigints | e->doubles | e->huge) && (!f || decimal_fits(e, f));
	case PLACE_BIGINT:
		return !(e->decimals | e->doubles | e->huge);
	case PLACE_TIME:
		return f && e->time_mask >> (f->format - FORMAT_TIME_BASE) & 1;
	default:
		return true;
	}
}

static enum place element_place(const struct inode *e, enum group g)
{
	switch (g) {
	case GROUP_BOOL:
		return PLACE_BOOL;
	case GROUP_NUMBER:
		return number_place(e);
	case GROUP_STRING:
		return PLACE_STRING; /* later texts need not be times, and elements have no siblings */
	case GROUP_OBJECT:
		return PLACE_OBJECT;
	default:
		return PLACE_LIST;
	}
}

static uint32_t element_node(struct evolve *ev, uint32_t node, const struct inode *e)
{
	uint32_t found = shape_node_find(ev->s->keys, node, true, SLICE_LIT(""));
	if (found != SHAPE_NONE)
		return found;
	AUTO_BUF struct buf lit;
	buf_init(&lit, SHAPE_LITERAL_MAX);
	if (e->lit.len && e->lit.data[0] == '[')
		buf_append_slice(&lit, e->lit);
	else
		buf_byte(&lit, '[');
	buf_append_str(&lit, ",]");
	uint32_t edge =
		lit.overflow ? SHAPE_NONE : shape_edge_add(ev->s->keys, node, EDGE_UNIFORM, e->class, buf_slice(&lit), 1, 1);
	return edge == SHAPE_NONE ? SHAPE_NONE : shape_edge_at(ev->s->keys, edge)->to;
}

/* The list column of an array (list->field set if there is one). True if some arrays will not fit it and want JSON text.
 * Recursion: lists of lists, to the typed depth. */
static bool evolve_list(struct evolve *ev, struct target *list, struct inode *n, uint32_t node)
{
	struct inode *e = element_of(n);
	uint32_t element = e ? element_node(ev, node, e) : SHAPE_NONE;
	if (element == SHAPE_NONE)
		return e && e->leafy;
	enum group g = GROUP_BOOL;
	enum place place;
	struct field *have = list->field && list->field->child_count ? list->field->children[0] : NULL;
	if (have) {
		place = place_of(have);
		if (place == PLACE_NONE)
			return true;
		g = group_of_place(place);
	} else {
		for (enum group i = 0; i < GROUPS; i++)
			if (n->arrays_of[i] > n->arrays_of[g])
				g = i;
		if (n->arrays_mixed > n->arrays_of[g])
			return true;
		if (!n->arrays_of[g])
			return false; /* only nulls */
		place = element_place(e, g);
	}
	bool misfits = n->arrays_mixed > 0;
	for (enum group i = 0; i < GROUPS; i++)
		misfits |= i != g && n->arrays_of[i];
	struct target inner = { .up = list, .list = place == PLACE_LIST, .field = have };
	if (place == PLACE_OBJECT) {
		evolve_object(ev, &inner, e, element);
		return misfits || (members_leafy(e) && !inner.field);
	}
	if (place == PLACE_LIST) {
		misfits |= evolve_list(ev, &inner, e, element);
		return misfits || (e->leafy && !inner.field);
	}
	if (place == PLACE_NONE)
		return true;
	if (!have && !elements_fit(e, place, NULL) && place != PLACE_INT)
		return true;
	if (!have) {
		if (!earns(ev, n->parent, n->arrays_of[g]))
			return true;
		have = make_field(ev, list, NULL, e, place);
	}
	return misfits || !elements_fit(e, place, have);
}

/* ---- members ---- */

static void choose_main(struct member *m, unsigned want)
{
	uint64_t most = 0;
	for (int p = 0; p < PLACES; p++) {
		if (m->have.field[p] && m->have.field[p]->role != ROLE_SIBLING &&
		    (m->role != ROLE_VALUE || names_base(m->have.field[p]).len == m->have.field[p]->name.len)) {
			m->main = PLACE_NONE; /* the plain name is taken for ever */
			return;
		}
	}
	if (members_leafy(m->n) && m->role != ROLE_VALUE)
		want |= BIT(PLACE_OBJECT);
	if (m->n->seen[GROUP_ARRAY] > m->n->arrays_mixed)
		want |= BIT(PLACE_LIST);
	m->main = PLACE_NONE;
	for (unsigned p = 0; p < PLACES; p++) {
		if (want & BIT(p) && p != PLACE_JSON && values_of(m->n, p) > most) {
			most = values_of(m->n, p);
			m->main = p;
		}
	}
	/* Of two columns for numbers the one with more of them. */
	if ((m->main == PLACE_INT || m->main == PLACE_DOUBLE || m->main == PLACE_DECIMAL || m->main == PLACE_BIGINT)) {
		enum place number = number_place(m->n);
		if (number != PLACE_NONE && want & BIT(number))
			m->main = number;
	}
}

/* Fields for all values at m->n but the members of objects. */
static void evolve_values(struct evolve *ev, struct target *t, struct member *m, uint32_t node, unsigned want)
{
	struct inode *n = m->n;
	if (m->main < PLACES && want & BIT(m->main))
		make_field(ev, t, m, n, m->main);
	for (unsigned p = 0; p < PLACES; p++)
		if (want & BIT(p) && p != m->main && earns(ev, n->parent, values_of(n, p)))
			make_field(ev, t, m, n, p);
	bool json = n->deep || n->huge;
	if (n->seen[GROUP_ARRAY]) {
		struct target list = { .up = t, .list = true, .field = m->have.field[PLACE_LIST], .m = m };
		json |= evolve_list(ev, &list, n, node);
	}
	if (json && !m->have.field[PLACE_JSON] && earns(ev, n->parent, values_of(n, PLACE_JSON)))
		make_field(ev, t, m, n, PLACE_JSON);
}

static void base_from(struct member *m)
{
	for (int p = 0; p < PLACES && !m->base.len; p++) {
		const struct field *f = m->have.field[p];
		if (f)
			m->base = f->role == ROLE_SIBLING || f->role == ROLE_VALUE ? names_base(f) : f->name;
	}
}

/* One key of one object. Recursion: to the typed depth. */
static void evolve_member(struct evolve *ev, struct target *t, struct inode *n, uint32_t parent_node)
{
	struct shredder *s = ev->s;
	struct member m = { .n = n, .role = ROLE_PAYLOAD };
	bool had = t->field && places_of_key(&s->places, t->field, n->key, &m.have);
	unsigned want = want_scalars(n, &m.have);
	for (unsigned p = 0; p < PLACES; p++)
		if (want & BIT(p) && !earns(ev, n->parent, values_of(n, p)))
			want &= ~BIT(p);
	uint32_t node = shape_node_find(s->keys, parent_node, false, n->key);
	if (node == SHAPE_NONE) {
		bool containers = n->deep || members_leafy(n) || n->seen[GROUP_ARRAY];
		if (!had && !want && (containers ? s->schema->leaf_count >= s->opt.leaf_budget : n->leafy))
			return; /* no column earned: __rest */
		if (!had && containers && !want && !earns(ev, n->parent, n->seen[GROUP_OBJECT] + n->seen[GROUP_ARRAY] + n->deep))
			return;
		if (!had && !want && shape_node_count(s->keys) >= NODES_MAX)
			return;
		uint32_t edge = shape_edge_add(s->keys, parent_node, EDGE_MEMBER, n->class, n->lit, 0, 0);
		if (edge == SHAPE_NONE)
			return;
		node = shape_edge_at(s->keys, edge)->to;
	}
	base_from(&m);
	choose_main(&m, want);
	evolve_values(ev, t, &m, node, want);
	struct target inner = { .up = t, .field = m.have.field[PLACE_OBJECT], .m = &m };
	evolve_object(ev, &inner, n, node);
}

static void evolve_object(struct evolve *ev, struct target *t, struct inode *n, uint32_t node)
{
	uint32_t known = shape_node_count(ev->s->keys), members = 0;
	for (struct inode *c = n->first; c; c = c->next)
		if (!c->element) {
			evolve_member(ev, t, c, node);
			members++;
		}
	if (members > MAP_LIKE_CHILDREN && members - MAP_LIKE_CHILDREN > shape_node_count(ev->s->keys) - known)
		shred_map_like(ev->s, node);
}

void evolve_schema(struct shredder *s, struct inference *inf)
{
	struct evolve ev = { .s = s, .inf = inf };
	names_init(&ev.names, s->schema);
	struct target root = { .field = s->schema->root };
	struct member value = { .n = inf->root, .role = ROLE_VALUE, .have = s->places.nodes[SHAPE_ROOT_NODE] };
	value.have.field[PLACE_OBJECT] = NULL;
	base_from(&value);
	unsigned want = want_scalars(inf->root, &value.have);
	choose_main(&value, want);
	evolve_values(&ev, &root, &value, SHAPE_ROOT_NODE, want);
	evolve_object(&ev, &root, inf->root, SHAPE_ROOT_NODE);
	names_free(&ev.names);
}
