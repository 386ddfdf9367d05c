/* Avro object container files (Avro 1.11 specification, "Object Container Files", "Binary encoding"): what Iceberg manifests are made of.
 *
 * The writer takes records that its caller encodes with the helpers below. The reader is driven by the schema that the file carries, so that
 * fields in any order, unknown fields and other engines' choices are read; fields are found by `field-id`, else by name.
 * Promise: any bytes give RC_CORRUPT, RC_UNSUPPORTED or RC_LIMIT, never a crash, and cost memory in proportion to their inflated size.
 * Codecs: null and deflate. Threads: none shared.
 */
#ifndef TABLE_AVRO_INTERNAL_H
#define TABLE_AVRO_INTERNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define AVRO_FILE_MAX ((size_t)256 << 20)  /* bytes of a container file that is read or written */
#define AVRO_BLOCK_MAX ((size_t)64 << 20)  /* bytes of one inflated block */
#define AVRO_DEPTH_MAX 32                  /* types within types; Iceberg needs 6 */
#define AVRO_TYPES_MAX 20000               /* nodes of one schema, named types counted at each use */

enum avro_kind {
	AVRO_NULL, AVRO_BOOL, AVRO_INT, AVRO_LONG, AVRO_FLOAT, AVRO_DOUBLE, AVRO_BYTES, AVRO_STRING, AVRO_FIXED, AVRO_ENUM,
	AVRO_ARRAY, AVRO_MAP, AVRO_RECORD, AVRO_UNION
};

struct avro_type {
	enum avro_kind kind;
	uint32_t count;            /* record: fields; union: branches; array, map: 1 */
	uint32_t size;             /* fixed: bytes; enum: symbols */
	struct avro_type **types;  /* `count` of them */
	struct slice *names;       /* record: field names */
	int32_t *ids;              /* record: field-id or -1 */
	uint32_t depth;            /* levels of types below, 0 for a primitive: bounds the reader's recursion */
	bool complete;             /* a record whose definition has ended; else a reference to it would be recursive */
};

/* A decoded value; a union is its branch. Bytes point into the reader's block. */
struct avro_value {
	const struct avro_type *type;
	union {
		int64_t i;          /* bool, int, long, enum */
		double d;
		struct slice bytes; /* bytes, string, fixed */
		struct {
			struct avro_value *items; /* record: fields in order; array: elements; map: key, value, key, value … */
			uint32_t count;
		};
	};
};

/* ---- Reading ---- */
struct avro_reader;
/* `file` is borrowed until avro_close. */
rc_t avro_open(struct slice file, struct avro_reader **ret, struct err *reterr);
void avro_close(struct avro_reader *r);
AUTO_DEFINE(avro_reader, avro_close)
struct slice avro_meta(const struct avro_reader *r, const char *key); /* data NULL if absent */
/* The next record; RC_EOF behind the last. It lives until the next call. */
rc_t avro_next(struct avro_reader *r, const struct avro_value **ret, struct err *reterr);

/* The field with this id, or, where the schema has no ids, with this name. NULL if absent or null. */
const struct avro_value *avro_field(const struct avro_value *record, int32_t id, const char *name);
int64_t avro_int(const struct avro_value *v, int64_t absent); /* of bool, int, long, enum; else `absent` */
struct slice avro_bytes(const struct avro_value *v);          /* of bytes, string, fixed; else data NULL. An empty value has data set */

/* Parses a schema (JSON); types in the arena. */
rc_t avro_schema_parse(struct slice json, struct arena *a, struct avro_type **ret, struct err *reterr);

/* ---- Writing ---- */
struct avro_writer {
	struct buf out;    /* the file so far */
	struct buf block;  /* records of the open block: append here */
	uint64_t records;  /* in the open block */
	uint64_t total;    /* in the file */
	uint8_t sync[16];
};
struct avro_meta_pair {
	const char *key;
	struct slice value;
};
void avro_writer_init(struct avro_writer *w, const uint8_t sync[16], struct slice schema, const struct avro_meta_pair *meta, size_t n);
void avro_writer_end_record(struct avro_writer *w);
/* w->out is then the whole file. RC_LIMIT if it grew past AVRO_FILE_MAX. */
rc_t avro_writer_finish(struct avro_writer *w, struct err *reterr);
void avro_writer_free(struct avro_writer *w);

static inline void avro_put_long(struct buf *b, int64_t v)
{
	buf_zigzag(b, v);
}
static inline void avro_put_bytes(struct buf *b, struct slice s)
{
	buf_zigzag(b, (int64_t)s.len);
	buf_append_slice(b, s);
}
/* union ["null", X]: branch 0, or 1 followed by the value */
static inline void avro_put_branch(struct buf *b, bool present)
{
	buf_byte(b, present ? 2 : 0);
}
static inline void avro_put_optional_long(struct buf *b, bool present, int64_t v)
{
	avro_put_branch(b, present);
	if (present)
		avro_put_long(b, v);
}
static inline void avro_put_optional_bytes(struct buf *b, struct slice s)
{
	avro_put_branch(b, s.data != NULL);
	if (s.data)
		avro_put_bytes(b, s);
}

#endif
