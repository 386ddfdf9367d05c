/* Between the units of the parser. */
#ifndef SHRED_PARSE_INTERNAL_H
#define SHRED_PARSE_INTERNAL_H

#include "shred/shred_internal.h"

/* Where the step led. */
struct step {
	uint32_t edge; /* SHAPE_NONE: unknown to the key table (a limit), or a rest key */
	uint32_t to;   /* node; SHAPE_NONE: no node, a key without columns */
	uint8_t class;
	bool end;     /* the object ended */
	bool unknown; /* infer first */
};

/* What a member's value has put down so far, to be taken back. */
struct mark {
	uint32_t tape, rest, lists;
	size_t shape, wide, text, paths;
	uint8_t raw;
	uint64_t conflicts;
	const uint8_t *value;
};

static inline struct mark mark_here(const struct row *r)
{
	return (struct mark){ r->tape_count, r->rest_count, r->lists, r->shape.len, r->wide.len,
			      r->text.len,   r->paths.len,  r->raw,   r->conflicts, r->p };
}

/* Takes back whatever was put down since; r->p is the caller's. */
void mark_restore(struct row *r, const struct mark *m);
/* The member's value is in its columns, but they do not give back how a number in it is written (1 among 1.0 and 2.5; 1E+05). m was
 * taken in front of the member's edge, from is the start of its literal, r->p behind the value: its text goes to __rest, too. */
void parse_keep_text(struct shredder *s, uint32_t node, const struct mark *m, const uint8_t *from);

static inline void parse_put_bytes(struct row *r, const struct bind *b, enum place place, struct slice s)
{
	struct tape_entry *e = tape_push(r, OP_BYTES, b->child[place]);
	e->len = (uint32_t)s.len;
	e->value = (uintptr_t)s.data;
	r->conflicts += b->siblings >> place & 1;
}

/* parse.c: steps that were not predicted and from now on are. The literal is [from, r->p), and legal: it ends the object, or a value follows and
 * key is its key as written. */
struct step parse_step_end(struct shredder *s, uint32_t node, const uint8_t *from);
struct step parse_step_member(struct shredder *s, uint32_t node, const uint8_t *from, struct slice key, uint32_t marks);

/* The key has no node. Is it worth an inference? */
bool parse_step_unknown(const struct shredder *s, uint32_t node, struct slice key);

/* Is the container at r->p `{}` or `[]`, white space inside allowed? */
bool parse_is_empty(const struct row *r);

/* parse_scalar.c */
struct json_number;
#define PARSE_EXACT_INT ((int64_t)1 << 53)
enum outcome parse_scalar(struct shredder *s, uint32_t node);
/* Which column of eight bytes of its node a number goes to, and as what; *ret_exact: it gives back how the number is written. False: to none. */
bool parse_number_home(const struct bind *b, const struct json_number *n, enum place *ret_place, uint64_t *ret_value, bool *ret_exact);
/* raw as UTF-8, in row.text; a lone surrogate makes the row pay __raw. */
struct slice parse_unescape(struct row *r, struct slice raw);

/* parse_rest.c */
/* The raw key in a member's literal [from, to). */
struct slice parse_literal_key(const uint8_t *from, const uint8_t *to, uint32_t *ret_marks);
/* A member of node whose key is no column's, and whose value is text, goes to __rest; its edge is the caller's. */
void parse_add_rest(struct shredder *s, uint32_t node, struct slice key, struct slice text);
/* The member whose literal is [from, value) and whose value is [value, r->p) goes to __rest. */
void parse_put_rest(struct shredder *s, uint32_t node, const uint8_t *from, const uint8_t *value);
/* Is JSON text the column for such a value, so that no inference would find it a better one? */
bool parse_json_takes(const struct bind *b, uint8_t class, struct slice text);
/* The edge of the same literal with class scalar: its value is JSON text. SHAPE_NONE if there is no room for it. */
uint32_t parse_twin(struct shredder *s, uint32_t edge);
/* A member's value has no column: JSON text, or __rest. m was taken in front of the member's edge. */
enum outcome parse_settle(struct shredder *s, uint32_t node, const struct step *st, const struct mark *m, const uint8_t *from);
/* A path twice in __rest (a duplicate key, or "a.b" beside {"a":{"b":…}}): maps hold a key once, the last stays. Entries without text, which
 * a duplicate key has blanked, go as well. */
void parse_rest_unique(struct row *r);

#endif
