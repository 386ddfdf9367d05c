/* Schema evolution: new columns get their ids in a schema-only commit, before a file uses them. Ids are never used twice: the next one
 * comes from last-column-id, which every commit carries forward. */
#include <ctype.h>

#include "base/map.h"
#include "table/table_internal.h"

/* Children of the table's schema by (parent id, lower-case name): names must differ by more than case. */
struct index {
	struct map fields;
	struct buf key;
};

static struct slice index_key(struct index *x, int32_t parent, struct slice name)
{
	buf_reset(&x->key);
	buf_append(&x->key, &parent, sizeof parent);
	for (size_t i = 0; i < name.len; i++)
		buf_byte(&x->key, (uint8_t)(name.data[i] < 0x80 ? tolower(name.data[i]) : name.data[i]));
	return buf_slice(&x->key);
}

static void index_add(struct index *x, const struct field *f)
{
	*map_put(&x->fields, index_key(x, f->parent->id, f->name), NULL) = (uintptr_t)f;
}

static struct field *index_find(struct index *x, int32_t parent, struct slice name)
{
	uintptr_t *v = map_get(&x->fields, index_key(x, parent, name));
	return v ? (struct field *)*v : NULL;
}

static void index_init(struct index *x, const struct schema *s)
{
	map_init(&x->fields);
	buf_init(&x->key, 1 << 20);
	for (const struct field *f = s->root; (f = field_next(s->root, f));)
		index_add(x, f);
}

static void index_free(struct index *x)
{
	map_free(&x->fields);
	buf_free(&x->key);
}

static bool same_type(const struct field *a, const struct field *b)
{
	return a->type == b->type && a->precision == b->precision && a->scale == b->scale && a->length == b->length;
}

static rc_t incompatible(const struct table *t, const struct field *want, const struct field *have, struct err *reterr)
{
	char path[256], have_type[32], want_type[32];
	field_path(have, path, sizeof path);
	type_name(have, have_type);
	type_name(want, want_type);
	return err_set(reterr, RC_CONFLICT, "table %s has a column %s of type %s by now, not %.*s of type %s: shape the events again", t->collection,
		       path, have_type, SLICE_ARG(want->name), want_type);
}

/* One field of `want` met with `next` (a copy of the table's schema): found there, or added. Its parent has been met. *ret_id 0: it is new. */
static rc_t meet_field(const struct table *t, struct schema *next, struct index *x, const struct field *w, const int32_t *parent_id,
		       struct field *parent, struct field **ret, bool *ret_added, struct err *reterr)
{
	struct field *have = index_find(x, *parent_id, w->name);
	*ret_added = false;
	if (have) {
		if (!slice_eq(have->name, w->name) || !same_type(have, w) || (w->id && w->id != have->id))
			return incompatible(t, w, have, reterr);
		*ret = have;
		return RC_OK;
	}
	if (w->id)
		return err_set(reterr, schema_by_id(next, w->id) ? RC_CONFLICT : RC_INVALID,
			       "table %s has no column %.*s with id %d there: was it renamed? shape the events again", t->collection,
			       SLICE_ARG(w->name), w->id);
	if (type_is_nested(parent->type) && parent->type != TYPE_STRUCT && parent->id <= t->state.schema->last_id)
		return err_set(reterr, RC_INVALID, "table %s: a list or map cannot gain a child", t->collection);
	if (w->required && parent->id <= t->state.schema->last_id)
		return err_set(reterr, RC_INVALID, "table %s: the new column %.*s must be optional, rows before it lack it", t->collection,
			       SLICE_ARG(w->name));
	struct field *f = schema_add(next, parent, w->name, w->type);
	field_copy_kind(next, f, w);
	f->id = ++next->last_id;
	index_add(x, f);
	*ret = f;
	*ret_added = true;
	return RC_OK;
}

/* A step of the walk: a field of `want` and the field of `next` that it is. */
struct pair {
	struct field *want, *next;
};

/* All of `want` met with `next`, level by level, so that ids go breadth first. *ret: want's fields with their counterparts, want's count. */
static rc_t meet(const struct table *t, struct schema *next, struct schema *want, struct pair **ret, size_t *ret_count, size_t *ret_added,
		 struct err *reterr)
{
	struct pair *pairs = mem_alloc((want->field_count + 1) * sizeof *pairs);
	size_t count = 0, added = 0;
	struct index x;
	index_init(&x, next);
	pairs[count++] = (struct pair){ want->root, next->root };
	rc_t rc = RC_OK;
	for (size_t at = 0; rc == RC_OK && at < count; at++) {
		struct pair p = pairs[at];
		for (uint32_t i = 0; rc == RC_OK && i < p.want->child_count; i++) {
			struct field *w = p.want->children[i];
			bool fresh;
			pairs[count].want = w;
			rc = meet_field(t, next, &x, w, &p.next->id, p.next, &pairs[count].next, &fresh, reterr);
			count += rc == RC_OK;
			added += rc == RC_OK && fresh;
		}
	}
	index_free(&x);
	if (rc != RC_OK) {
		free(pairs);
		return rc;
	}
	*ret = pairs;
	*ret_count = count;
	*ret_added = added;
	return RC_OK;
}

/* What the table has and `from`'s counterpart in `want` has not: appended there, all the way down. */
static void adopt_below(struct schema *want, struct field *to, const struct field *from)
{
	for (uint32_t i = 0; i < from->child_count; i++) {
		const struct field *f = from->children[i];
		if (field_child(to, f->name))
			continue;
		struct field *c = schema_add(want, to, f->name, f->type);
		field_copy_kind(want, c, f);
		c->id = f->id;
		adopt_below(want, c, f);
	}
}

/* Fills ids, keys, roles and formats of `want` from the schema that was committed; depth is bounded by SCHEMA_DEPTH_MAX. */
static void settle(struct schema *want, struct pair *pairs, size_t count, const struct schema *next)
{
	for (size_t i = 1; i < count; i++) {
		pairs[i].want->id = pairs[i].next->id;
		pairs[i].want->required = pairs[i].next->required;
	}
	for (size_t i = 0; i < count; i++)
		if (pairs[i].want->child_count < pairs[i].next->child_count)
			adopt_below(want, pairs[i].want, pairs[i].next);
	want->last_id = next->last_id;
	want->schema_id = next->schema_id;
}

static rc_t evolve_once(struct table *t, struct schema *want, struct err *reterr)
{
	AUTO(schema) *next = schema_copy(t->state.schema);
	struct pair *pairs = NULL;
	size_t count = 0, added = 0;
	TRY(meet(t, next, want, &pairs, &count, &added, reterr));
	AUTO_MEM struct pair *owned = pairs;
	if (added) {
		json_t *meta = table_next(t);
		rc_t rc = meta_set_schema(meta, next, reterr);
		if (rc != RC_OK) {
			json_decref(meta);
			return rc;
		}
		const struct table_keep keep = table_keep_default();
		meta_expire_snapshots(meta, &keep, store_now(t->store));
		meta_prune_schemas(meta);
		rc = table_publish_schema(t, meta, reterr);
		if (rc == RC_CONFLICT)
			return RC_AGAIN; /* a race for the version, not for a column */
		if (rc != RC_OK)
			return rc;
	}
	settle(want, owned, count, next);
	if (added)
		table_write_ddl(t);
	return RC_OK;
}

static rc_t check_depth(const struct schema *s, struct err *reterr)
{
	uint32_t depth = 0;
	for (const struct field *f = s->root; (f = field_next(s->root, f));) {
		depth = 0;
		for (const struct field *p = f; p->parent; p = p->parent)
			depth++;
		if (depth > SCHEMA_DEPTH_MAX)
			return err_set(reterr, RC_LIMIT, "a column is nested deeper than %d levels", SCHEMA_DEPTH_MAX);
	}
	return s->field_count > SCHEMA_FIELDS_MAX ? err_set(reterr, RC_LIMIT, "a table has at most %d columns", SCHEMA_FIELDS_MAX) : RC_OK;
}

rc_t table_evolve(struct table *t, struct schema *want, struct err *reterr)
{
	TRY(check_depth(want, reterr));
	bool again = true;
	rc_t rc = RC_OK;
	for (unsigned attempt = 0; again; attempt++) {
		again = false;
		rc = evolve_once(t, want, reterr);
		/* RC_AGAIN: a race for the version. A no may come from an old view: it counts against the newest only. */
		if (rc == RC_AGAIN || rc == RC_CONFLICT || rc == RC_INVALID)
			rc = table_answer_again(t, rc, rc == RC_AGAIN, attempt, &again, reterr);
	}
	return rc;
}
