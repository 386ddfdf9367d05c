/* Shapes: the skeleton of a JSON payload (keys, order, white space, containers), without its values. And the key table they refer to.
 *
 * The *key table* of one key space is an append-only list of edges over nodes; a node is one path of the payload (root; member of a node;
 * element of a node), an edge is a step of the document: the exact text between the previous value and this one, with what follows.
 *
 *   kind           from            literal                          followed by
 *   EDGE_ROOT      the root        (empty)                          a value of its class
 *   EDGE_MEMBER    an object       `{"a":` or `, "b": `             a value of its class at node `to`
 *   EDGE_REST      an object       `{` or `, ` | `: ` (open, sep)   nothing: key and JSON text are the row's next __rest entry
 *   EDGE_END       object or array ` }` or `]`; `{}` `[ ]` if empty nothing; the container ends
 *   EDGE_UNIFORM   an array        `[` | `, ` | `]` (open sep close) one element's skeleton, if its class is a container;
 *                                                                   all elements have it, their number is in the list column
 *   EDGE_MIXED     an array        (empty)                          ELEMENT edges with their values, then END
 *   EDGE_ELEMENT   an array        `[` or `, `                      a value of its class at node `to`
 *   EDGE_OPTIONS   an object       varints: numbers of MEMBER edges those of the members, in this order, that have a value in a column of
 *                                  of scalars, none of which opens  their node in this row; so that independent optional members
 *                                  the object                       need no shape for each combination
 *
 * A *shape* (the bytes of `__shape`): u32 little-endian key space, one byte dialect (json/string.h), then varints: the edge ids in document
 * order, starting with EDGE_ROOT. CLASS_SCALAR means: the value is in a column of its node (also JSON text), else it is null.
 * CLASS_OBJECT, CLASS_ARRAY: MEMBER/REST edges up to an END, or UNIFORM, or MIXED … END, or END alone (empty).
 *
 * Edges 0, 1, 2 are EDGE_ROOT of class scalar, object, array in every table. Nodes are not stored: an edge names its node by
 * its key (decoded from the literal), nodes are numbered as edges first reach them.
 * Threads: one at a time. Limits: SHAPE_EDGES_MAX edges, SHAPE_LITERAL_MAX bytes a literal, SHAPE_BYTES_MAX bytes of literals.
 */
#ifndef JSON_SHAPE_H
#define JSON_SHAPE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#define SHAPE_EDGES_MAX	  200000
#define SHAPE_LITERAL_MAX 4096
#define SHAPE_BYTES_MAX	  ((size_t)16 << 20)
#define SHAPE_DEPTH_MAX	  128 /* nodes above a node */
#define SHAPE_NONE	  UINT32_MAX
#define SHAPE_ROOT_NODE	  0u
#define SHAPE_OPTIONS_MAX 200 /* members of an OPTIONS edge */
#define SHAPE_SUCCESSORS  4 /* remembered successors of an edge */

enum shape_class { CLASS_SCALAR, CLASS_OBJECT, CLASS_ARRAY };
enum edge_kind { EDGE_ROOT, EDGE_MEMBER, EDGE_REST, EDGE_END, EDGE_UNIFORM, EDGE_MIXED, EDGE_ELEMENT, EDGE_OPTIONS, EDGE_KINDS };

#define SHAPE_HEAD 32

enum { SHAPE_PLAIN_FIRST = 1, SHAPE_PLAIN_NEXT }; /* the first of its object, or not */

struct shape_edge {
	uint8_t head[SHAPE_HEAD];	 /* the first bytes of lit, then zeros: for one vector compare */
	uint32_t mask;			 /* a bit for each byte of `open` in head */
	uint32_t len;			 /* of open: MEMBER, END, ELEMENT use only that */
	uint32_t from, to;		 /* nodes; `to` of END, REST is SHAPE_NONE */
	uint32_t next[SHAPE_SUCCESSORS]; /* successors seen last, newest first; SHAPE_NONE. A hint of the writer, not stored */
	uint8_t kind, class;		 /* enum edge_kind; enum shape_class of what follows (UNIFORM: of the elements) */
	uint8_t class_mask;		 /* of class: all of it for a MEMBER, nothing for an END */
	bool optional;			 /* may be a member of an OPTIONS edge */
	uint16_t sep, close;		 /* bytes of the other two */
	uint32_t twin;			 /* same literal, CLASS_SCALAR; SHAPE_NONE if not looked up. A hint, not stored */
	uint8_t plain;			 /* SHAPE_PLAIN_*: a MEMBER before a scalar, all of whose literal is in head; else 0 */
	const uint8_t *lit;		 /* open, sep, close, one after the other; OPTIONS: the numbers */
};

/* An edge's number in a shape, for shapes that are known to be whole: three bytes at most. */
static inline uint8_t *shape_put_edge(uint8_t *to, uint32_t edge)
{
	if (__builtin_expect(edge < 128, 1)) {
		to[0] = (uint8_t)edge;
		return to + 1;
	}
	to[0] = (uint8_t)(edge | 128);
	if (edge < 16384) {
		to[1] = (uint8_t)(edge >> 7);
		return to + 2;
	}
	to[1] = (uint8_t)(edge >> 7 | 128);
	to[2] = (uint8_t)(edge >> 14);
	return to + 3;
}

static inline uint32_t shape_get_edge(const uint8_t **at)
{
	const uint8_t *p = *at;
	uint32_t edge = *p++;
	if (__builtin_expect(edge >= 128, 0)) {
		edge = (edge & 127) | (uint32_t)*p++ << 7;
		if (edge >= 16384)
			edge = (edge & 16383) | (uint32_t)*p++ << 14;
	}
	*at = p;
	return edge;
}

struct shape_node {
	uint32_t parent;  /* SHAPE_NONE for the root */
	uint32_t depth;	  /* 0 for the root */
	bool element;	  /* of the array `parent` */
	struct slice key; /* decoded; empty for root and elements */
	uint64_t keys;	  /* shape_key_bit of all its members' keys: a key whose bit is missing has no node. Not stored */
};

/* One of 64 bits, by the key's length and its first and last bytes. */
static inline uint64_t shape_key_bit(struct slice key)
{
	uint64_t a = 0, b = 0;
	if (key.len >= 8) {
		memcpy(&a, key.data, 8);
		memcpy(&b, key.data + key.len - 8, 8);
	} else if (key.len) {
		a = key.data[0] | (uint64_t)key.data[key.len / 2] << 8 | (uint64_t)key.data[key.len - 1] << 16;
	}
	uint64_t h = (a ^ key.len) * 0x9e3779b97f4a7c15u;
	return (uint64_t)1 << (((h >> 32 ^ h ^ b) * 0xc2b2ae3d27d4eb4fu) >> 58);
}

struct shape_keys;

struct shape_keys *shape_keys_new(uint32_t space);
void shape_keys_free(struct shape_keys *k);
AUTO_DEFINE(shape_keys, shape_keys_free)
uint32_t shape_keys_space(const struct shape_keys *k);
uint32_t shape_edge_count(const struct shape_keys *k);
uint32_t shape_node_count(const struct shape_keys *k);
/* All edges by number; valid until the next add. */
struct shape_edge *shape_edges(const struct shape_keys *k);
struct shape_edge *shape_edge_at(const struct shape_keys *k, uint32_t edge);
const struct shape_node *shape_node_at(const struct shape_keys *k, uint32_t node);

/* SHAPE_NONE if there is none. element: key is ignored. */
uint32_t shape_node_find(const struct shape_keys *k, uint32_t parent, bool element, struct slice key);
/* The edge, SHAPE_NONE if there is none. lit is open, sep and close in one run. */
uint32_t shape_edge_find(const struct shape_keys *k, uint32_t from, enum edge_kind kind, enum shape_class class, struct slice lit,
			 size_t sep, size_t close);
/* The edge, made if it is not there, with its node; SHAPE_NONE when a limit is reached or lit cannot be such an edge's text. */
uint32_t shape_edge_add(struct shape_keys *k, uint32_t from, enum edge_kind kind, enum shape_class class, struct slice lit,
			size_t sep, size_t close);

/* Appends the table's bytes: "HKEY", u8 version, u32 space, body.
 * body, version 1: varint count of edges after the three roots, then for each: u8 kind | class << 4, varint from, varint open,
 *   [REST, UNIFORM: varint sep] [UNIFORM: varint close], the literal's bytes.
 * body, version 2: varint length of version 1's body, and that as one zstd frame with checksum. Written where it is shorter. */
void shape_keys_encode(const struct shape_keys *k, struct buf *ret);
/* RC_CORRUPT for anything that shape_keys_encode cannot have written; RC_UNSUPPORTED for a newer version. */
rc_t shape_keys_decode(struct slice bytes, struct shape_keys **ret, struct err *reterr);

#endif
