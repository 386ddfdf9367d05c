/* A table's (or file's) schema: a tree of fields, the Iceberg v2 type system (spec "Schemas and Data Types").
 *
 * Ids are stable for ever within a table and never reused. `name` is the column's name as SQL sees it; `key` the exact key bytes
 * of the payload it came from (decoded, UTF-8). Owned by an arena that the schema carries; a field never moves once added.
 */
#ifndef MODEL_SCHEMA_H
#define MODEL_SCHEMA_H

#include "base/arena.h"
#include "base/err.h"

enum type {
	TYPE_STRUCT, /* children: members */
	TYPE_LIST,   /* one child: "element" */
	TYPE_MAP,    /* two children: "key" (required), "value" */
	TYPE_BOOL,
	TYPE_INT32,
	TYPE_INT64,
	TYPE_FLOAT,
	TYPE_DOUBLE,
	TYPE_DECIMAL,      /* precision ≤ 18: values are int64; ≤ 38: 16-byte little-endian two's complement (__int128) */
	TYPE_DATE,         /* int32 days since 1970-01-01 */
	TYPE_TIME,         /* int64 µs since midnight */
	TYPE_TIMESTAMP,    /* int64 µs, no zone */
	TYPE_TIMESTAMPTZ,  /* int64 µs since the epoch, UTC */
	TYPE_STRING,       /* UTF-8 */
	TYPE_BINARY,
	TYPE_FIXED,        /* `length` bytes a value */
	TYPE_UUID          /* 16 bytes */
};

/* How a value's text is rebuilt from its column, a constant of the column (ENGINE.md, Exact restore). */
enum format {
	FORMAT_DEFAULT = 0, /* int: shortest decimal; decimal: exactly `scale` digits; string: as is; bool: true/false */
	FORMAT_DOUBLE_SHORT,  /* shortest round trip, 10 and 10.5 and 1e+21 (JavaScript) */
	FORMAT_DOUBLE_DOT,    /* shortest round trip, always with a fraction: 10.0, 1e+16 (Python, Java-like) */
	FORMAT_JSON,          /* string: JSON text of a value, as it stood (x__json) */
	/* double: the shortest digits in other writers' notations (json/number.h) */
	FORMAT_DOUBLE_RYU,       /* 10.0 0.00001 1e16: orjson, Rust's serde_json before 1.0.146 */
	FORMAT_DOUBLE_SERDE,     /* 10.0 0.00001 1e+16: serde_json since */
	FORMAT_DOUBLE_JQ,        /* 10 1e-05 1e+17: jq */
	FORMAT_DOUBLE_PHP,       /* 10 1.0e-5 1.0e+25: PHP */
	FORMAT_DOUBLE_PHP_DOT,   /* 10.0 1.0e-5 1.0e+25: PHP with JSON_PRESERVE_ZERO_FRACTION */
	FORMAT_DOUBLE_RUBY,      /* 10.0 1.0e-05 1.0e+16: Ruby */
	FORMAT_DOUBLE_JAVA,      /* 10.0 1.0E-5 1.0E7: Java's Double.toString (Jackson, Gson) */
	FORMAT_DOUBLE_JAVA_WHOLE, /* 10 1.0E-5 1.0E7: org.json */
	FORMAT_DOUBLE_DOTNET,    /* 10 1E-05 1E+15: .NET since Core 3.0 */
	FORMAT_DOUBLE_END,
	FORMAT_TIME_BASE = 16 /* timestamp formats: FORMAT_TIME_BASE + row of the table in json/time.h */
};

/* What a field is for; payload fields are ROLE_PAYLOAD, hydrant's own columns have one role each. */
enum role {
	ROLE_PAYLOAD = 0,
	ROLE_SIBLING, /* typed sibling x__string of a payload field: same key and parent as its main field */
	ROLE_TIME, ROLE_RECEIVED, ROLE_SOURCE, ROLE_POS, ROLE_ID, ROLE_KEY, ROLE_META, ROLE_SHAPE, ROLE_RAW, ROLE_REST,
	ROLE_TEXT, /* column `text` of text lines */
	ROLE_VALUE /* column `value` of payloads that are not objects */
};

struct field {
	struct field *parent;       /* NULL for the root */
	struct field **children;    /* in schema order */
	uint32_t child_count, child_cap;
	uint32_t index;             /* own place among the parent's children */
	int32_t id;                 /* field id; 0 = not assigned yet */
	enum type type;
	bool required;
	uint8_t precision, scale;   /* TYPE_DECIMAL */
	uint8_t format;             /* enum format */
	uint8_t role;               /* enum role */
	uint32_t length;            /* TYPE_FIXED: bytes */
	struct slice name;
	struct slice key;           /* ROLE_PAYLOAD, ROLE_SIBLING: original key; else empty */
};

struct schema {
	struct arena arena;
	struct field *root;   /* TYPE_STRUCT, required, no name */
	int32_t last_id;      /* highest id ever assigned */
	int32_t schema_id;    /* Iceberg schema-id */
	uint32_t field_count; /* of the tree, root excluded */
	uint32_t leaf_count;
};

struct schema *schema_new(void);
void schema_free(struct schema *s);
AUTO_DEFINE(schema, schema_free)
/* Deep copy; ids, formats and roles kept. */
struct schema *schema_copy(const struct schema *s);
/* Adds a child to parent (NULL: the root); name is copied; id stays 0 until schema_assign_ids. Lists and maps get their children by
 * further calls with the names "element", "key", "value". */
struct field *schema_add(struct schema *s, struct field *parent, struct slice name, enum type type);
/* Gives each field without id the next one, breadth first in schema order. */
void schema_assign_ids(struct schema *s);
/* Walks the tree below root depth first, without recursion (schemas come from files, too): for (f = root; (f = field_next(root, f));) */
struct field *field_next(const struct field *root, const struct field *f);
/* Type, facets, format, role and key (copied) of `from`; not its name, id or children. */
void field_copy_kind(struct schema *to, struct field *f, const struct field *from);
struct field *field_child(const struct field *parent, struct slice name);
struct field *schema_by_id(const struct schema *s, int32_t id);
struct field *schema_by_role(const struct schema *s, enum role role); /* top level */
/* "a.b.element.c" into out (NUL-terminated, cut at cap). */
void field_path(const struct field *f, char *out, size_t cap);
bool type_is_nested(enum type t);
/* Bytes of one value in a column's fixed-width buffer; 0 for strings and binary, 1 for bool. */
size_t field_width(const struct field *f);
/* Names as Iceberg spells them ("long", "decimal(18, 3)", "timestamptz", …) for primitive types. */
void type_name(const struct field *f, char out[32]);
rc_t type_parse(struct slice name, struct field *f, struct err *reterr);
bool schema_equal(const struct schema *a, const struct schema *b); /* structure, names, types, ids */

#endif
