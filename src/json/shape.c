#include "json/shape.h"

#include <zstd.h>

#include "base/map.h"
#include "json/string.h"

#define EDGE_ROOTS    3u
#define TABLE_MAGIC   "HKEY"
#define TABLE_VERSION 1
#define TABLE_VERSION_ZSTD 2
#define TABLE_LEVEL 9
#define TABLE_BODY_MAX (SHAPE_BYTES_MAX + 16 * (size_t)SHAPE_EDGES_MAX)

struct shape_keys {
	uint32_t space;
	struct shape_edge *edges;
	uint32_t edge_count, edge_cap;
	struct shape_node *nodes;
	uint32_t node_count, node_cap;
	size_t lit_bytes;
	struct arena arena;  /* literals and keys */
	struct map edge_ids; /* from, kind, class, sep, close, literal -> edge */
	struct map node_ids; /* parent, element, key -> node */
	struct buf probe;    /* composite map key, reused */
};

struct edge_head {
	uint32_t from;
	uint8_t kind, class;
	uint16_t sep, close, zero;
};

static uint32_t node_push(struct shape_keys *k, uint32_t parent, bool element, struct slice key)
{
	if (k->node_count == k->node_cap) {
		k->node_cap = k->node_cap ? k->node_cap * 2 : 64;
		k->nodes = mem_realloc(k->nodes, k->node_cap * sizeof *k->nodes);
	}
	k->nodes[k->node_count] = (struct shape_node){
		.parent = parent,
		.depth = parent == SHAPE_NONE ? 0 : k->nodes[parent].depth + 1,
		.element = element,
		.key = arena_copy(&k->arena, key),
	};
	if (parent != SHAPE_NONE && !element)
		k->nodes[parent].keys |= shape_key_bit(key);
	return k->node_count++;
}

static uint32_t edge_push(struct shape_keys *k, struct shape_edge edge)
{
	if (k->edge_count == k->edge_cap) {
		k->edge_cap = k->edge_cap ? k->edge_cap * 2 : 64;
		k->edges = mem_realloc(k->edges, k->edge_cap * sizeof *k->edges);
	}
	for (int i = 0; i < SHAPE_SUCCESSORS; i++)
		edge.next[i] = SHAPE_NONE;
	edge.twin = SHAPE_NONE;
	size_t head = (size_t)edge.len + edge.sep + edge.close;
	memcpy(edge.head, edge.lit, head < SHAPE_HEAD ? head : SHAPE_HEAD);
	edge.class_mask = edge.kind == EDGE_MEMBER ? 0xff : 0;
	bool plain = edge.kind == EDGE_MEMBER && edge.class == CLASS_SCALAR && edge.len <= SHAPE_HEAD;
	edge.plain = !plain ? 0 : *edge.lit == '{' ? SHAPE_PLAIN_FIRST : SHAPE_PLAIN_NEXT;
	edge.optional = edge.kind == EDGE_MEMBER && edge.class == CLASS_SCALAR && *edge.lit != '{';
	edge.mask = edge.len < SHAPE_HEAD ? ((uint32_t)1 << edge.len) - 1 : UINT32_MAX;
	k->edges[k->edge_count] = edge;
	return k->edge_count++;
}

struct shape_keys *shape_keys_new(uint32_t space)
{
	struct shape_keys *k = NEW(struct shape_keys);
	k->space = space;
	arena_init(&k->arena);
	map_init(&k->edge_ids);
	map_init(&k->node_ids);
	buf_init(&k->probe, BUF_MAX_DEFAULT);
	node_push(k, SHAPE_NONE, false, SLICE_LIT(""));
	for (uint8_t class = 0; class < EDGE_ROOTS; class ++)
		edge_push(k, (struct shape_edge){ .lit = (const uint8_t *)"", .kind = EDGE_ROOT, .class = class });
	return k;
}

void shape_keys_free(struct shape_keys *k)
{
	if (!k)
		return;
	free(k->edges);
	free(k->nodes);
	arena_free(&k->arena);
	map_free(&k->edge_ids);
	map_free(&k->node_ids);
	buf_free(&k->probe);
	free(k);
}

uint32_t shape_keys_space(const struct shape_keys *k)
{
	return k->space;
}

uint32_t shape_edge_count(const struct shape_keys *k)
{
	return k->edge_count;
}

uint32_t shape_node_count(const struct shape_keys *k)
{
	return k->node_count;
}

struct shape_edge *shape_edges(const struct shape_keys *k)
{
	return k->edges;
}

struct shape_edge *shape_edge_at(const struct shape_keys *k, uint32_t edge)
{
	return &k->edges[edge];
}

const struct shape_node *shape_node_at(const struct shape_keys *k, uint32_t node)
{
	return &k->nodes[node];
}

static struct slice node_probe(const struct shape_keys *k, uint32_t parent, bool element, struct slice key)
{
	struct buf *p = &((struct shape_keys *)k)->probe;
	buf_reset(p);
	buf_u32(p, parent);
	buf_byte(p, element);
	if (!element)
		buf_append_slice(p, key);
	return buf_slice(p);
}

static struct slice edge_probe(const struct shape_keys *k, struct edge_head head, struct slice lit)
{
	struct buf *p = &((struct shape_keys *)k)->probe;
	buf_reset(p);
	buf_append(p, &head, sizeof head);
	buf_append_slice(p, lit);
	return buf_slice(p);
}

uint32_t shape_node_find(const struct shape_keys *k, uint32_t parent, bool element, struct slice key)
{
	const uintptr_t *v = map_get(&k->node_ids, node_probe(k, parent, element, key));
	return v ? (uint32_t)*v : SHAPE_NONE;
}

uint32_t shape_edge_find(const struct shape_keys *k, uint32_t from, enum edge_kind kind, enum shape_class class, struct slice lit,
			 size_t sep, size_t close)
{
	if (kind == EDGE_ROOT)
		return class < EDGE_ROOTS ? class : SHAPE_NONE;
	if (lit.len > SHAPE_LITERAL_MAX || sep > lit.len || close > lit.len)
		return SHAPE_NONE;
	struct edge_head head = { from, (uint8_t)kind, (uint8_t) class, (uint16_t)sep, (uint16_t)close, 0 };
	const uintptr_t *v = map_get(&k->edge_ids, edge_probe(k, head, lit));
	return v ? (uint32_t)*v : SHAPE_NONE;
}

/* What a literal may be: white space, punctuation, and a key. Each step eats from the front of *s. */
static void eat_space(struct slice *s)
{
	while (s->len && (*s->data == ' ' || *s->data == '\n' || *s->data == '\r' || *s->data == '\t'))
		*s = slice_skip(*s, 1);
}

static bool eat(struct slice *s, uint8_t c)
{
	if (!s->len || *s->data != c)
		return false;
	*s = slice_skip(*s, 1);
	return true;
}

static bool eat_comma(struct slice *s)
{
	eat_space(s);
	return eat(s, ',');
}

static bool eat_key(struct slice *s, struct slice *ret_raw)
{
	if (!eat(s, '"'))
		return false;
	for (size_t i = 0; i < s->len; i++) {
		if (s->data[i] == '\\') {
			i++;
		} else if (s->data[i] == '"') {
			*ret_raw = slice_of(s->data, i);
			*s = slice_skip(*s, i + 1);
			return true;
		}
	}
	return false;
}

/* True if open, sep and close can stand in a document for this kind; *ret_key is the member's key as written. */
static bool literal_legal(enum edge_kind kind, struct slice open, struct slice sep, struct slice close, struct slice *ret_key)
{
	switch (kind) {
	case EDGE_MEMBER:
		if (!eat(&open, '{') && !eat_comma(&open))
			return false;
		eat_space(&open);
		if (!eat_key(&open, ret_key))
			return false;
		eat_space(&open);
		if (!eat(&open, ':'))
			return false;
		break;
	case EDGE_REST:
		if ((!eat(&open, '{') && !eat_comma(&open)))
			return false;
		eat_space(&sep);
		if (!eat(&sep, ':'))
			return false;
		break;
	case EDGE_END: {
		bool object = eat(&open, '{'), array = !object && eat(&open, '[');
		eat_space(&open);
		if (!(!array && eat(&open, '}')) && !(!object && eat(&open, ']')))
			return false;
		return !open.len && !sep.len && !close.len;
	}
	case EDGE_UNIFORM:
		if (!eat(&open, '[') || !eat_comma(&sep))
			return false;
		eat_space(&close);
		if (!eat(&close, ']'))
			return false;
		break;
	case EDGE_ELEMENT:
		if (!eat(&open, '[') && !eat_comma(&open))
			return false;
		break;
	case EDGE_MIXED:
		break;
	default:
		return false;
	}
	eat_space(&open);
	eat_space(&sep);
	return !open.len && !sep.len && !close.len;
}

/* The node that a step leads to, made if need be; SHAPE_NONE at a limit. */
static uint32_t node_reach(struct shape_keys *k, uint32_t parent, bool element, struct slice key)
{
	if (k->nodes[parent].depth >= SHAPE_DEPTH_MAX)
		return SHAPE_NONE;
	bool new;
	uintptr_t *v = map_put(&k->node_ids, node_probe(k, parent, element, key), &new);
	if (new) {
		*v = k->node_count;
		node_push(k, parent, element, element ? SLICE_LIT("") : key);
	}
	return (uint32_t)*v;
}

static bool options_legal(const struct shape_keys *k, uint32_t from, struct slice numbers)
{
	size_t pos = 0, count = 0;
	uint64_t id;
	for (; pos < numbers.len && count < SHAPE_OPTIONS_MAX; count++) {
		if (!slice_varint(numbers, &pos, &id) || id >= k->edge_count)
			return false;
		const struct shape_edge *e = &k->edges[id];
		if (!e->optional || e->from != from)
			return false;
	}
	return pos == numbers.len && count;
}

uint32_t shape_edge_add(struct shape_keys *k, uint32_t from, enum edge_kind kind, enum shape_class class, struct slice lit,
			size_t sep, size_t close)
{
	uint32_t edge = shape_edge_find(k, from, kind, class, lit, sep, close);
	if (edge != SHAPE_NONE || kind == EDGE_ROOT)
		return edge;
	if (kind >= EDGE_KINDS || class > CLASS_ARRAY || from >= k->node_count || lit.len > SHAPE_LITERAL_MAX ||
	    sep + close > lit.len || k->edge_count >= SHAPE_EDGES_MAX || k->lit_bytes + lit.len > SHAPE_BYTES_MAX)
		return SHAPE_NONE;
	size_t open = lit.len - sep - close;
	struct slice raw_key = { 0 };
	if (kind == EDGE_OPTIONS ? !options_legal(k, from, lit)
				 : !literal_legal(kind, slice_of(lit.data, open), slice_of(lit.data + open, sep),
						  slice_of(lit.data + open + sep, close), &raw_key))
		return SHAPE_NONE;
	uint32_t to = SHAPE_NONE;
	if (kind == EDGE_MEMBER) {
		AUTO_BUF struct buf key;
		buf_init(&key, SHAPE_LITERAL_MAX);
		if (!json_string_unescape(raw_key, &key))
			return SHAPE_NONE;
		to = node_reach(k, from, false, buf_slice(&key));
	} else if (kind == EDGE_ELEMENT || kind == EDGE_UNIFORM) {
		to = node_reach(k, from, true, SLICE_LIT(""));
	}
	if (to == SHAPE_NONE && (kind == EDGE_MEMBER || kind == EDGE_ELEMENT || kind == EDGE_UNIFORM))
		return SHAPE_NONE;
	/* Padded, so that a comparison may load whole words. */
	uint8_t *copy = arena_zalloc(&k->arena, lit.len + 16);
	if (lit.len)
		memcpy(copy, lit.data, lit.len);
	k->lit_bytes += lit.len;
	edge = edge_push(k, (struct shape_edge){ .lit = copy,
						 .len = (uint32_t)open,
						 .sep = (uint16_t)sep,
						 .close = (uint16_t)close,
						 .from = from,
						 .to = to,
						 .kind = (uint8_t)kind,
						 .class = (uint8_t) class });
	struct edge_head head = { from, (uint8_t)kind, (uint8_t) class, (uint16_t)sep, (uint16_t)close, 0 };
	*map_put(&k->edge_ids, edge_probe(k, head, slice_of(copy, lit.len)), NULL) = edge;
	return edge;
}

static void body_encode(const struct shape_keys *k, struct buf *ret)
{
	buf_varint(ret, k->edge_count - EDGE_ROOTS);
	for (uint32_t i = EDGE_ROOTS; i < k->edge_count; i++) {
		const struct shape_edge *e = &k->edges[i];
		buf_byte(ret, (uint8_t)(e->kind | e->class << 4));
		buf_varint(ret, e->from);
		buf_varint(ret, e->len);
		if (e->kind == EDGE_REST || e->kind == EDGE_UNIFORM)
			buf_varint(ret, e->sep);
		if (e->kind == EDGE_UNIFORM)
			buf_varint(ret, e->close);
		buf_append(ret, e->lit, e->len + e->sep + e->close);
	}
}

/* Version 2's body; false if it is no shorter. */
static bool body_compress(struct slice body, struct buf *ret)
{
	buf_varint(ret, body.len);
	size_t bound = ZSTD_compressBound(body.len);
	ZSTD_CCtx *c = ZSTD_createCCtx();
	if (!c || !buf_reserve(ret, bound)) {
		ZSTD_freeCCtx(c);
		return false;
	}
	ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, TABLE_LEVEL);
	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	size_t len = ZSTD_compress2(c, ret->data + ret->len, bound, body.data, body.len);
	ZSTD_freeCCtx(c);
	if (ZSTD_isError(len) || ret->len + len >= body.len)
		return false;
	ret->len += len;
	return true;
}

void shape_keys_encode(const struct shape_keys *k, struct buf *ret)
{
	AUTO_BUF struct buf body, packed;
	buf_init(&body, BUF_MAX_DEFAULT);
	buf_init(&packed, BUF_MAX_DEFAULT);
	body_encode(k, &body);
	bool pack = body_compress(buf_slice(&body), &packed);
	buf_append(ret, TABLE_MAGIC, 4);
	buf_byte(ret, pack ? TABLE_VERSION_ZSTD : TABLE_VERSION);
	buf_u32(ret, k->space);
	buf_append_slice(ret, buf_slice(pack ? &packed : &body));
}

static bool edge_decode(struct shape_keys *k, struct slice bytes, size_t *pos)
{
	if (*pos >= bytes.len)
		return false;
	uint8_t kind = bytes.data[*pos] & 15, class = bytes.data[*pos] >> 4;
	uint64_t from, open, sep = 0, close = 0;
	++*pos;
	if (!slice_varint(bytes, pos, &from) || !slice_varint(bytes, pos, &open) || from > UINT32_MAX)
		return false;
	if ((kind == EDGE_REST || kind == EDGE_UNIFORM) && !slice_varint(bytes, pos, &sep))
		return false;
	if (kind == EDGE_UNIFORM && !slice_varint(bytes, pos, &close))
		return false;
	if (open > SHAPE_LITERAL_MAX || sep > SHAPE_LITERAL_MAX || close > SHAPE_LITERAL_MAX ||
	    open + sep + close > bytes.len - *pos)
		return false;
	uint32_t want = k->edge_count;
	struct slice lit = slice_of(bytes.data + *pos, open + sep + close);
	*pos += lit.len;
	/* A table never holds an edge twice. */
	return shape_edge_add(k, (uint32_t)from, kind, class, lit, sep, close) == want;
}

static rc_t body_unpack(struct slice packed, struct buf *ret, struct err *reterr)
{
	size_t pos = 0;
	uint64_t len;
	if (!slice_varint(packed, &pos, &len) || len > TABLE_BODY_MAX || !buf_reserve(ret, len + 1))
		return err_set(reterr, RC_CORRUPT, "key table: bad length");
	size_t got = ZSTD_decompress(ret->data, len, packed.data + pos, packed.len - pos);
	if (ZSTD_isError(got) || got != len)
		return err_set(reterr, RC_CORRUPT, "key table: cannot be unpacked (%s)", ZSTD_isError(got) ? ZSTD_getErrorName(got) : "too short");
	ret->len = got;
	return RC_OK;
}

static rc_t body_decode(struct shape_keys *k, struct slice body, struct err *reterr)
{
	size_t pos = 0;
	uint64_t count;
	if (!slice_varint(body, &pos, &count) || count > SHAPE_EDGES_MAX)
		return err_set(reterr, RC_CORRUPT, "key table: bad count of edges");
	for (uint64_t i = 0; i < count; i++)
		if (!edge_decode(k, body, &pos))
			return err_set(reterr, RC_CORRUPT, "key table: edge %llu of %llu is wrong",
				       (unsigned long long)i + EDGE_ROOTS, (unsigned long long)count + EDGE_ROOTS);
	if (pos != body.len)
		return err_set(reterr, RC_CORRUPT, "key table: %zu bytes too many", body.len - pos);
	return RC_OK;
}

rc_t shape_keys_decode(struct slice bytes, struct shape_keys **ret, struct err *reterr)
{
	if (bytes.len < 10 || memcmp(bytes.data, TABLE_MAGIC, 4) != 0)
		return err_set(reterr, RC_CORRUPT, "key table: not one (%zu bytes without its magic)", bytes.len);
	uint8_t version = bytes.data[4];
	if (version != TABLE_VERSION && version != TABLE_VERSION_ZSTD)
		return err_set(reterr, RC_UNSUPPORTED, "key table: version %u is newer than this program, upgrade it",
			       version);
	uint32_t space;
	memcpy(&space, bytes.data + 5, 4);
	struct slice body = slice_skip(bytes, 9);
	AUTO_BUF struct buf unpacked;
	buf_init(&unpacked, TABLE_BODY_MAX + 1);
	if (version == TABLE_VERSION_ZSTD) {
		TRY(body_unpack(body, &unpacked, reterr));
		body = buf_slice(&unpacked);
	}
	AUTO(shape_keys) *k = shape_keys_new(space);
	TRY(body_decode(k, body, reterr));
	*ret = k;
	k = NULL;
	return RC_OK;
}
