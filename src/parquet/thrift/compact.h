/* Thrift compact protocol, as far as Parquet metadata uses it (Thrift spec, "Thrift Compact protocol encoding").
 *
 *   varint  unsigned LEB128            zigzag  signed integers of 16, 32, 64 bits, as varint
 *   field   one byte: id delta (high 4 bits, 1..15) and type (low 4); delta 0: a zigzag id follows. A struct ends with byte 0.
 *   bool    in a field: the type itself (1 true, 2 false); in a list: one byte, 1 = true
 *   binary  varint length, bytes       list    one byte: count (high 4, 15 = varint count follows) and element type (low 4)
 *
 * The reader is for hostile bytes: it never reads past `end`, never recurses and allocates nothing. After the first violation
 * `bad` is set, every later read gives zeros and consumes nothing, so a caller checks once.
 */
#ifndef PARQUET_THRIFT_COMPACT_H
#define PARQUET_THRIFT_COMPACT_H

#include "base/buf.h"
#include "base/slice.h"

enum compact_type {
	COMPACT_STOP = 0,
	COMPACT_TRUE = 1, /* also the element type of a list of booleans */
	COMPACT_FALSE = 2,
	COMPACT_I8 = 3,
	COMPACT_I16 = 4,
	COMPACT_I32 = 5,
	COMPACT_I64 = 6,
	COMPACT_DOUBLE = 7,
	COMPACT_BINARY = 8,
	COMPACT_LIST = 9,
	COMPACT_SET = 10,
	COMPACT_MAP = 11,
	COMPACT_STRUCT = 12,
	COMPACT_UUID = 13
};

#define COMPACT_DEPTH_MAX 32 /* structs and containers inside a skipped value, or open in a writer */

struct compact_reader {
	const uint8_t *pos, *end;
	bool bad; /* what was read is not this protocol */
	bool cut; /* bad because the input ended: more bytes may help */
};

void compact_reader_init(struct compact_reader *r, struct slice bytes);
uint64_t compact_varint(struct compact_reader *r);
int64_t compact_zigzag(struct compact_reader *r); /* i16, i32, i64: the caller checks the range */
struct slice compact_binary(struct compact_reader *r); /* borrows from the input */
uint8_t compact_byte(struct compact_reader *r);
/* The next field header. *id holds the previous field's id (0 at the struct's start) and is advanced. False: the struct ended. */
bool compact_field(struct compact_reader *r, int32_t *id, enum compact_type *ret_type);
/* A list's header: its count, never more than the bytes that are left (each element takes one at least). */
uint32_t compact_list(struct compact_reader *r, enum compact_type *ret_type);
/* Passes over a value of that type (a field's: booleans have no bytes), of bounded depth. */
void compact_skip(struct compact_reader *r, enum compact_type type);

/* Writes into `out`, whose maximum and overflow flag tell about size. */
struct compact_writer {
	struct buf *out;
	int32_t last_id[COMPACT_DEPTH_MAX]; /* id of the last field written, for each open struct */
	uint32_t depth;                     /* open structs */
};

void compact_writer_init(struct compact_writer *w, struct buf *out);
void compact_struct_begin(struct compact_writer *w); /* asserts depth: the nesting is the program's, not the input's */
void compact_struct_end(struct compact_writer *w);
void compact_put_field(struct compact_writer *w, int32_t id, enum compact_type type);
void compact_put_zigzag(struct compact_writer *w, int64_t v);
void compact_put_binary(struct compact_writer *w, struct slice s);
void compact_put_list(struct compact_writer *w, enum compact_type type, uint32_t count);

#endif
