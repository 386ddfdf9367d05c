/* Optional members: thirty independent ones give as many shapes as there are rows. Where a stream has many shapes, each run of scalar members is
 * folded into one OPTIONS edge (json/shape.h): an ordered superset of the members seen between two other edges, whose absence the columns tell. */
#include "shred/shred_internal.h"

#define FOLD_FROM    256u /* distinct shapes of a shredder before it folds: fewer cost nothing in a dictionary */
#define GROUPS_MAX   256u
#define VERSIONS_MAX 500u  /* supersets of a group, each one learnt from a run that did not fit the one before */
#define WIDENED_MAX  5000u /* of all groups: bounds the time that hostile input can cost */
#define RUN_MAX	     SHAPE_OPTIONS_MAX
#define RUN_WORDS    ((RUN_MAX + 63) / 64)
#define PLACES_BITS  9
#define PLACES_SIZE  (1u << PLACES_BITS)

/* The members between two edges that are not folded. */
struct fold_group {
	uint32_t prev, next;
	uint32_t edge; /* the OPTIONS edge of the newest superset; SHAPE_NONE */
	uint32_t versions;
	uint32_t count;
	uint32_t members[RUN_MAX];	     /* edges, as they came up */
	uint64_t behind[RUN_MAX][RUN_WORDS]; /* bit j of behind[i]: member i has stood right behind member j */
	uint16_t order[RUN_MAX];	     /* the superset's: indexes of members */
	uint32_t nodes[RUN_MAX];	     /* that the members lead to */
	uint32_t edges[PLACES_SIZE];	     /* hashed: a member, SHAPE_NONE, */
	uint16_t at[PLACES_SIZE];	     /* and where it stands in the order */
};

void fold_free(struct shredder *s)
{
	for (uint32_t i = 0; i < s->group_count; i++)
		free(s->groups[i]);
	free(s->groups);
	map_free(&s->group_ids);
	buf_free(&s->folded);
}

void fold_init(struct shredder *s)
{
	map_init(&s->group_ids);
	buf_init(&s->folded, SHRED_SHAPE_MAX);
}

static struct fold_group *group_find(struct shredder *s, uint32_t prev, uint32_t next)
{
	uint32_t ends[2] = { prev, next };
	uint32_t *guess = &s->group_guess[(prev * 31 + next) % FOLD_GUESSES];
	if (*guess < s->group_count && s->groups[*guess]->prev == prev && s->groups[*guess]->next == next)
		return s->groups[*guess];
	const uintptr_t *known = map_get(&s->group_ids, slice_of(ends, sizeof ends));
	if (!known)
		return NULL;
	*guess = (uint32_t)*known;
	return s->groups[*known];
}

static struct fold_group *group_add(struct shredder *s, uint32_t prev, uint32_t next)
{
	uint32_t ends[2] = { prev, next };
	struct fold_group *g = group_find(s, prev, next);
	if (g)
		return g;
	if (s->group_count == GROUPS_MAX)
		return NULL;
	if (s->group_count == s->group_cap) {
		s->group_cap = s->group_cap ? s->group_cap * 2 : 8;
		s->groups = mem_realloc(s->groups, s->group_cap * sizeof *s->groups);
	}
	g = NEW(struct fold_group);
	g->prev = prev;
	g->next = next;
	g->edge = SHAPE_NONE;
	*map_put(&s->group_ids, slice_of(ends, sizeof ends), NULL) = s->group_count;
	s->groups[s->group_count++] = g;
	return g;
}

void fold_copy(struct shredder *to, const struct shredder *from)
{
	to->folding = from->folding;
	for (uint32_t i = 0; i < from->group_count; i++)
		*group_add(to, from->groups[i]->prev, from->groups[i]->next) = *from->groups[i];
}

/* The column and the slot of an object's members in the row; NULL if it has none, or stands in a list. Recursion: by the depth of typed columns. */
static const struct column *members_of(const struct shredder *s, const struct batch *b, uint32_t row, uint32_t node, uint32_t *ret_slot)
{
	*ret_slot = row;
	if (node == SHAPE_ROOT_NODE)
		return &b->root;
	const struct shape_node *n = shape_node_at(s->keys, node);
	uint32_t child = s->binds[node].child[PLACE_OBJECT], slot;
	if (n->element || child == NO_CHILD)
		return NULL;
	const struct column *parent = members_of(s, b, row, n->parent, &slot);
	if (!parent || !column_is_present(&parent->children[child], slot))
		return NULL;
	*ret_slot = parent->children[child].values - 1;
	return &parent->children[child];
}

static bool has_value(const struct shredder *s, const struct column *members, uint32_t slot, uint32_t edge)
{
	const struct bind *b = &s->binds[shape_edges(s->keys)[edge].to];
	for (unsigned places = b->places & (((unsigned)1 << PLACE_OBJECT) - 1); places; places &= places - 1)
		if (column_is_present(&members->children[b->child[__builtin_ctz(places)]], slot))
			return true;
	return false;
}

/* Are run's members among the group's, in its order? */
static bool is_among(const struct fold_group *g, const uint32_t *run, uint32_t n)
{
	uint32_t at = 0;
	for (uint32_t i = 0; i < n; i++, at++) {
		while (at < g->count && g->members[g->order[at]] != run[i])
			at++;
		if (at >= g->count)
			return false;
	}
	return true;
}

/* The group's index of an edge; its count: it is none of the group's; RUN_MAX: the group has another edge of the same key, written in another way. */
static uint32_t member_find(const struct shredder *s, const struct fold_group *g, uint32_t edge)
{
	uint32_t to = shape_edge_at(s->keys, edge)->to;
	for (uint32_t i = 0; i < g->count; i++)
		if (shape_edge_at(s->keys, g->members[i])->to == to)
			return g->members[i] == edge ? i : RUN_MAX;
	return g->count;
}

/* Can all of run be the group's? Asked before anything is added: the group's edge must never lack one of its members. */
static bool run_joins(const struct shredder *s, const struct fold_group *g, const uint32_t *run, uint32_t n)
{
	uint32_t more = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t m = member_find(s, g, run[i]);
		if (m == RUN_MAX)
			return false;
		more += m == g->count;
	}
	return g->count + more <= RUN_MAX;
}

/* An order in which every member stands behind those that have stood before it; false if there is none. */
static bool group_sort(struct fold_group *g)
{
	uint64_t placed[RUN_WORDS] = { 0 };
	uint16_t order[RUN_MAX];
	for (uint32_t n = 0; n < g->count; n++) {
		uint32_t at = 0;
		for (; at < g->count; at++) {
			uint32_t m = g->order[at];
			uint64_t missing = placed[m >> 6] >> (m & 63) & 1;
			for (uint32_t w = 0; w < RUN_WORDS; w++)
				missing |= g->behind[m][w] & ~placed[w];
			if (!missing)
				break;
		}
		if (at == g->count)
			return false;
		order[n] = g->order[at];
		placed[order[n] >> 6] |= (uint64_t)1 << (order[n] & 63);
	}
	memcpy(g->order, order, sizeof order);
	return true;
}

static uint32_t *place_find(struct fold_group *g, uint32_t edge)
{
	uint32_t i = (edge * 0x9e3779b1u) >> (32 - PLACES_BITS);
	while (g->edges[i] != edge && g->edges[i] != SHAPE_NONE)
		i = (i + 1) % PLACES_SIZE;
	return &g->edges[i];
}

/* The superset as is_foretold wants it. */
static void group_index(const struct shredder *s, struct fold_group *g)
{
	memset(g->edges, 0xff, sizeof g->edges);
	for (uint32_t i = 0; i < g->count; i++) {
		uint32_t edge = g->members[g->order[i]], *place = place_find(g, edge);
		*place = edge;
		g->at[place - g->edges] = (uint16_t)i;
		g->nodes[i] = shape_edge_at(s->keys, edge)->to;
	}
}

/* A superset that has run's members, too, in an order that all runs so far agree with. A group that has none is given up. */
static bool group_widen(struct shredder *s, struct fold_group *g, uint32_t node, const uint32_t *run, uint32_t n)
{
	if (g->versions++ >= VERSIONS_MAX || s->widened++ >= WIDENED_MAX)
		return false;
	if (!run_joins(s, g, run, n))
		return false;
	uint32_t prev = RUN_MAX;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t m = member_find(s, g, run[i]);
		if (m == g->count) {
			g->order[m] = (uint16_t)m;
			g->members[m] = run[i];
			g->count++;
		}
		if (prev != RUN_MAX)
			g->behind[m][prev >> 6] |= (uint64_t)1 << (prev & 63);
		prev = m;
	}
	g->edge = SHAPE_NONE;
	if (!group_sort(g)) {
		g->versions = VERSIONS_MAX;
		return false;
	}
	AUTO_BUF struct buf numbers;
	buf_init(&numbers, SHAPE_LITERAL_MAX);
	for (uint32_t i = 0; i < g->count; i++)
		buf_varint(&numbers, g->members[g->order[i]]);
	if (!numbers.overflow)
		g->edge = shape_edge_add(s->keys, node, EDGE_OPTIONS, CLASS_SCALAR, buf_slice(&numbers), 0, 0);
	if (g->edge != SHAPE_NONE)
		group_index(s, g);
	return g->edge != SHAPE_NONE;
}

/* Does the group's newest superset fit the run, as far as can be told without a look at the columns? Where no value of the row is null, the run's
 * members have theirs; of the others those have none whose nodes were not stepped on in this row. */
static bool is_foretold(const struct shredder *s, struct fold_group *g, const uint32_t *run, uint32_t n)
{
	if (s->row.nulls || g->edge == SHAPE_NONE)
		return false;
	uint32_t behind = 0, present = 0;
	bool fits = true;
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t *place = place_find(g, run[i]);
		uint32_t at = g->at[place - g->edges];
		fits &= *place == run[i] && at >= behind;
		behind = at + 1;
	}
	if (!fits)
		return false;
	for (uint32_t i = 0; i < g->count; i++)
		present += s->binds[g->nodes[i]].stamp > s->row.since;
	return present == n;
}

/* A run of members of node, between the edges prev and next. */
struct fold_run {
	uint32_t node, prev, next, count;
	const uint32_t *members;
};

/* The OPTIONS edge that stands for the run; SHAPE_NONE: none does. */
static __attribute__((noinline)) uint32_t fold_run(struct shredder *s, const struct batch *b, uint32_t row, const struct fold_run *run)
{
	uint32_t slot, n = run->count, present = 0;
	struct fold_group *g = group_find(s, run->prev, run->next);
	if (g && is_foretold(s, g, run->members, n))
		return g->edge;
	const struct column *members = members_of(s, b, row, run->node, &slot);
	if (!members)
		return SHAPE_NONE;
	for (uint32_t i = 0; i < n; i++)
		if (!has_value(s, members, slot, run->members[i]))
			return SHAPE_NONE; /* null: that it is there only the shape tells */
	g = group_add(s, run->prev, run->next);
	if (!g || (!(g->edge != SHAPE_NONE && is_among(g, run->members, n)) && !group_widen(s, g, run->node, run->members, n)))
		return SHAPE_NONE;
	for (uint32_t i = 0; i < g->count; i++)
		present += has_value(s, members, slot, g->members[i]);
	return present == n ? g->edge : SHAPE_NONE; /* else some stand elsewhere in the object */
}

struct slice fold_shape(struct shredder *s, const struct batch *b, uint32_t row)
{
	struct slice shape = buf_slice(&s->row.shape);
	if (!s->folding) {
		s->folding = s->stats.shapes >= FOLD_FROM;
		return shape;
	}
	uint32_t run[RUN_MAX], prev = SHAPE_NONE;
	const uint8_t *at = shape.data + 5, *end = shape.data + shape.len, *kept = shape.data;
	const struct shape_edge *edges = shape_edges(s->keys);
	buf_reset(&s->folded);
	while (at < end) {
		const uint8_t *from = at;
		uint32_t id = shape_get_edge(&at), n = 0, node = edges[id].from;
		/* Members of objects in lists are never folded: their columns do not tell whose they are. */
		if (!edges[id].optional || s->binds[node].listed) {
			prev = id;
			continue;
		}
		const uint8_t *run_from = from;
		while (at < end && edges[id].optional && edges[id].from == node && n < RUN_MAX) {
			run[n++] = id;
			from = at;
			id = shape_get_edge(&at);
		}
		uint32_t edge = fold_run(s, b, row, &(struct fold_run){ .node = node, .prev = prev, .next = id, .members = run, .count = n });
		edges = shape_edges(s->keys);
		prev = id;
		if (edge == SHAPE_NONE)
			continue;
		buf_append(&s->folded, kept, (size_t)(run_from - kept));
		buf_varint(&s->folded, edge);
		kept = from;
	}
	if (kept == shape.data)
		return shape;
	buf_append(&s->folded, kept, (size_t)(end - kept));
	return s->folded.overflow ? shape : buf_slice(&s->folded);
}
