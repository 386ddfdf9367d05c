/* Counting: what kinds of values each path of the call's events holds. */
#include <math.h>

#include "shred/infer_internal.h"
#include "json/number.h"
#include "json/scan.h"
#include "json/time.h"

#define ZONED_MASK (((uint64_t)1 << TIME_ZONE_NONE * TIME_FRACTIONS * TIME_SEPARATORS) - 1)
#define EXACT_INT  ((int64_t)1 << 53)
#define GROUP_NULL GROUPS
#define SIBLINGS_TRIED 4

static struct inode *inode_new(struct inference *inf, struct inode *parent, struct slice key, bool element)
{
	if (inf->count >= INODES_MAX)
		return NULL;
	struct inode *n = arena_zalloc(&inf->arena, sizeof *n);
	n->parent = parent;
	n->key = key;
	n->element = element;
	n->depth = parent ? parent->depth + 1 : 0;
	n->time_mask = ZONED_MASK;
	n->scale = SCALE_NONE;
	if (parent) {
		*(parent->last ? &parent->last->next : &parent->first) = n;
		parent->last = n;
		parent->children++;
	}
	if (inf->count == inf->cap) {
		inf->cap = inf->cap ? inf->cap * 2 : 256;
		inf->all = mem_realloc(inf->all, inf->cap * sizeof *inf->all);
	}
	inf->all[inf->count++] = n;
	return n;
}

static bool is_member(const struct inode *n, struct slice key)
{
	return !n->element && slice_eq(n->key, key);
}

/* Members are found by a map only when they do not come in the order of last time, a few left out. An array's element may also have been made
 * first: objects and arrays at one path share the node. */
static struct inode *child_of(struct inference *inf, struct inode *parent, struct slice raw, bool escaped)
{
	struct inode *guess = parent->guess ? parent->guess->next : parent->first;
	if (escaped) {
		buf_reset(&inf->key);
		if (!json_string_unescape(raw, &inf->key))
			return NULL; /* a lone surrogate: no such column */
		raw = buf_slice(&inf->key);
	}
	if (raw.len > SHAPE_LITERAL_MAX)
		return NULL;
	for (int i = 0; guess && i < SIBLINGS_TRIED && !is_member(guess, raw); i++)
		guess = guess->next;
	if (!guess || !is_member(guess, raw)) {
		buf_reset(&inf->probe);
		buf_append(&inf->probe, &parent, sizeof parent);
		buf_append_slice(&inf->probe, raw);
		bool new;
		uintptr_t *v = map_put(&inf->children, buf_slice(&inf->probe), &new);
		if (new)
			*v = (uintptr_t)inode_new(inf, parent, arena_copy(&inf->arena, raw), false);
		guess = (struct inode *)*v;
	}
	if (guess)
		parent->guess = guess;
	return guess;
}

static struct inode *element_of(struct inference *inf, struct inode *array)
{
	for (struct inode *n = array->first; n; n = n->next)
		if (n->element)
			return n;
	return inode_new(inf, array, SLICE_LIT(""), true);
}

static void count_formats(uint32_t fit[NUM_FORMATS], uint32_t formats)
{
	for (; formats; formats &= formats - 1)
		fit[__builtin_ctz(formats)]++;
}

static void count_number(struct inference *inf, struct inode *n, struct slice text)
{
	struct json_number num = json_number_parse(text);
	n->seen[GROUP_NUMBER]++;
	switch (num.kind) {
	case NUM_INT64: {
		bool exact = num.i64 >= -EXACT_INT && num.i64 <= EXACT_INT;
		n->ints++;
		n->big_doubles += !exact;
		count_formats(n->fit, num.formats);
		return;
	}
	case NUM_BIGINT:
		*(num.digits <= 38 ? &n->bigints : &n->huge) += 1;
		return;
	case NUM_DECIMAL:
		n->decimals++;
		n->scale = n->scale == SCALE_NONE || n->scale == num.scale ? num.scale : SCALE_MIXED;
		break;
	default:
		if (!isfinite(num.f64)) {
			n->huge++;
			return;
		}
		n->doubles++;
	}
	count_formats(n->fit, num.formats);
	count_formats(inf->fit, num.formats);
	n->fit_none += !num.formats;
}

static unsigned count_scalar(struct inference *inf, struct inode *n, const uint8_t **at)
{
	const uint8_t *p = *at;
	uint32_t marks;
	switch (*p) {
	case '"': {
		const uint8_t *to = json_string_end(p + 1, inf->end, &marks);
		if (n->time_mask)
			n->time_mask &= marks ? 0 : json_time_candidates(slice_of(p + 1, (size_t)(to - p - 1)));
		n->seen[GROUP_STRING]++;
		*at = to + 1;
		return GROUP_STRING;
	}
	case 't':
	case 'f':
		*at = p + (*p == 't' ? 4 : 5);
		n->seen[GROUP_BOOL]++;
		return GROUP_BOOL;
	case 'n':
		*at = p + 4;
		return GROUP_NULL;
	default:
		*at = json_number_end(p, inf->end);
		count_number(inf, n, slice_of(p, (size_t)(*at - p)));
		return GROUP_NUMBER;
	}
}

static unsigned count_value(struct inference *inf, struct inode *n, const uint8_t **at);

static void note_literal(struct inode *n, const uint8_t *from, const uint8_t *value)
{
	if (n->lit.data)
		return;
	n->lit = slice_of(from, (size_t)(value - from));
	n->class = parse_classes[*value];
}

static void count_object(struct inference *inf, struct inode *n, const uint8_t **at)
{
	const uint8_t *from = *at, *p = json_space(from + 1, inf->end);
	n->guess = NULL;
	n->objects++;
	if (*p == '}') {
		*at = p + 1;
		return;
	}
	n->seen[GROUP_OBJECT]++;
	for (;;) {
		uint32_t marks;
		const uint8_t *to = json_string_end(p + 1, inf->end, &marks);
		struct inode *child = child_of(inf, n, slice_of(p + 1, (size_t)(to - p - 1)), marks & JSON_MARK_ESCAPE);
		p = json_space(to + 1, inf->end);
		p = json_space(p + 1, inf->end);
		if (child) {
			note_literal(child, from, p);
			count_value(inf, child, &p);
		} else {
			p = json_value_end(p, inf->end);
		}
		from = p;
		p = json_space(p, inf->end);
		if (*p == '}')
			break;
		p = json_space(p + 1, inf->end);
	}
	*at = p + 1;
}

static void count_array(struct inference *inf, struct inode *n, const uint8_t **at)
{
	const uint8_t *from = *at, *p = json_space(from + 1, inf->end);
	if (*p == ']') {
		*at = p + 1;
		return;
	}
	struct inode *element = element_of(inf, n);
	n->seen[GROUP_ARRAY]++;
	if (!element) {
		*at = json_value_end(from, inf->end);
		n->arrays_mixed++;
		return;
	}
	unsigned groups = 0;
	note_literal(element, from, p);
	for (;;) {
		uint64_t deep = element->deep;
		unsigned group = count_value(inf, element, &p);
		groups |= group == GROUP_NULL ? 0 : element->deep > deep ? 1u << GROUP_NULL | 1 : 1u << group;
		p = json_space(p, inf->end);
		if (*p == ']')
			break;
		p = json_space(p + 1, inf->end);
	}
	*at = p + 1;
	if (groups & (groups - 1))
		n->arrays_mixed++;
	else if (groups)
		n->arrays_of[__builtin_ctz(groups)]++;
}

/* Recursion: to the typed depth. Returns the value's group. */
static unsigned count_value(struct inference *inf, struct inode *n, const uint8_t **at)
{
	const uint8_t *p = *at;
	uint8_t class = parse_classes[*p];
	if (class == CLASS_SCALAR)
		return count_scalar(inf, n, at);
	if (n->depth >= inf->typed_depth) {
		const uint8_t *q = json_space(p + 1, inf->end);
		n->deep += *q != '}' && *q != ']';
		n->objects += class == CLASS_OBJECT;
		*at = json_value_end(p, inf->end);
	} else if (class == CLASS_OBJECT) {
		count_object(inf, n, at);
	} else {
		count_array(inf, n, at);
	}
	return class == CLASS_OBJECT ? GROUP_OBJECT : GROUP_ARRAY;
}

bool shred_is_map_like(const struct shredder *s, uint32_t node)
{
	return node < s->map_like_cap && s->map_like[node];
}

void shred_map_like(struct shredder *s, uint32_t node)
{
	if (node >= s->map_like_cap) {
		uint32_t cap = node * 2 + 64;
		s->map_like = mem_realloc(s->map_like, cap);
		memset(s->map_like + s->map_like_cap, 0, cap - s->map_like_cap);
		s->map_like_cap = cap;
	}
	s->map_like[node] = 1;
}

void shred_infer(struct shredder *s, const struct event *events, size_t n)
{
	struct inference inf = { .typed_depth = s->opt.typed_depth };
	arena_init(&inf.arena);
	map_init(&inf.children);
	buf_init(&inf.key, BUF_MAX_DEFAULT);
	buf_init(&inf.probe, BUF_MAX_DEFAULT);
	inf.root = inode_new(&inf, NULL, SLICE_LIT(""), false);
	for (size_t i = 0; i < n; i++) {
		if (events[i].kind != PAYLOAD_JSON || events[i].reason.len || !events[i].payload.len)
			continue;
		if (events[i].unchecked && json_validate_all(events[i].payload, NULL, NULL, NULL) != RC_OK)
			continue;
		struct slice value = event_value(&events[i]);
		const uint8_t *p = value.data;
		inf.end = p + value.len;
		inf.rows++;
		count_value(&inf, inf.root, &p);
	}
	for (uint32_t i = inf.count; i-- > 0;) {
		struct inode *node = inf.all[i];
		node->leafy |= node->seen[GROUP_BOOL] + node->seen[GROUP_NUMBER] + node->seen[GROUP_STRING] + node->deep > 0;
		if (node->leafy && node->parent)
			node->parent->leafy = true;
	}
	s->stats.inferences++;
	uint32_t before = s->schema->field_count;
	evolve_schema(s, &inf);
	/* Keys that are never worth a column, ids for instance, must not cost each call an inference. */
	if (s->schema->field_count != before)
		s->fruitless = 0;
	else if (s->fruitless < QUIET_MAX)
		s->fruitless = s->fruitless ? s->fruitless * 2 : 1;
	s->quiet = s->fruitless;
	shred_bind(s);
	map_free(&inf.children);
	arena_free(&inf.arena);
	buf_free(&inf.key);
	buf_free(&inf.probe);
	free(inf.all);
}
