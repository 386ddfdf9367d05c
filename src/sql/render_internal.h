/* Values of DuckDB's vectors as text or JSON. */
#ifndef SQL_RENDER_INTERNAL_H
#define SQL_RENDER_INTERNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "sql/duck_internal.h"

/* A column's type, resolved once a result. */
struct kind {
	int type;              /* enum duck_type; physical type below */
	int storage;           /* DECIMAL, ENUM: the type that holds it */
	uint8_t width, scale;  /* DECIMAL */
	bool is_json;          /* VARCHAR that holds JSON text */
	uint64_t array_size;   /* ARRAY */
	const char **labels;   /* ENUM: the values; STRUCT: the members' names */
	uint32_t label_count;
	struct kind *children; /* LIST, ARRAY: 1; MAP: key, value; STRUCT: members */
	uint32_t child_count;
};

/* One vector of a chunk with those under it. */
struct view {
	const struct kind *kind;
	const uint8_t *data;
	const uint64_t *validity;
	struct view *children;
};

/* Resolves a type; false if it, or something in it, is one that we do not render: the statement then has to cast it to VARCHAR. */
bool kind_resolve(const struct duck *d, void *logical_type, struct arena *arena, struct kind *ret);
/* The type's SQL name: "DECIMAL(18,3)", "STRUCT(a BIGINT, b VARCHAR[])". */
void kind_name(const struct kind *k, struct buf *out);
bool kind_is_number(const struct kind *k);
struct view view_of(const struct duck *d, const struct kind *k, void *vector, struct arena *arena);

bool view_is_null(const struct view *v, uint64_t row);
/* For people and CSV: strings as they are, nested values as JSON; nothing for NULL. */
void render_text(const struct view *v, uint64_t row, struct buf *out);
void render_json(const struct view *v, uint64_t row, struct buf *out);
void render_json_string(struct buf *out, struct slice s);

#endif
