/* Places: which schema fields hold the values of each node of a key table. Inside the rooms json and shred.
 *
 * A node has at most one field a kind of value, the main field or a typed sibling, found by parent, key and type. The root node's
 * members are the schema's top level; its other values are in the fields with ROLE_VALUE. Not thread-safe; borrows nothing between calls. */
#ifndef JSON_PLACES_H
#define JSON_PLACES_H

#include "base/map.h"
#include "model/schema.h"
#include "json/shape.h"

enum place {
	PLACE_BOOL,
	PLACE_INT, /* long */
	PLACE_DOUBLE,
	PLACE_DECIMAL, /* decimal(≤ 18, s) */
	PLACE_BIGINT,  /* decimal(> 18, 0) */
	PLACE_STRING,
	PLACE_TIME,   /* timestamptz or timestamp with a time format */
	PLACE_JSON,   /* string with FORMAT_JSON */
	PLACE_OBJECT, /* struct */
	PLACE_LIST,
	PLACES
};
#define PLACE_NONE PLACES

struct node_places {
	struct field *field[PLACES]; /* NULL: no such column */
};

struct places {
	struct node_places *nodes;
	uint32_t count, cap;
	uint32_t field_count; /* of the schema when last updated */
	struct map by_key;    /* parent field's address, key -> first child + 1 in chain order */
	struct field **chain; /* fields by number, with */
	uint32_t *chain_next; /* the next of the same parent and key + 1 */
	uint32_t chain_count, chain_cap;
};

void places_init(struct places *p);
void places_free(struct places *p);
/* Brings p up to the table's nodes and the schema's fields. True if nodes known before have changed, too. */
bool places_update(struct places *p, const struct shape_keys *keys, const struct schema *schema);
/* The fields of a key among a struct field's children; false if there are none. As of the last update. */
bool places_of_key(const struct places *p, const struct field *parent, struct slice key, struct node_places *ret);
/* PLACE_NONE for a type that no JSON value goes to. */
enum place place_of(const struct field *f);

#endif
