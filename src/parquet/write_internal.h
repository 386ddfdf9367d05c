/* The write half from inside: what levels, stats, choose, page, chunk and writer share.
 *
 *   writer.c        the front door: life of a file
 *   detached.c      a row group on its own: a copy of the tree, an encoder, and what it takes to append it to the file
 *   tree_write.c    nodes (one a field): what is in the file; the walk that writes a row group's chunks
 *   levels.c        presence and offsets → definition and repetition levels of an entry range
 *   outline.c       the groups of finished row groups, kept for null chunks of columns that come later
 *   chunk_write.c   one column chunk: plan, pages, statistics, page index
 *   choose.c        the plan: which encoding and codec, by trial on the chunk's values
 *   bloom_write.c   whether a chunk gets a Bloom filter, and the filter
 *   page_write.c    one page: levels and values → compressed bytes with header
 *   stats.c         bounds: finding, merging, cutting
 *   footer_write.c, schema_write.c   the footer
 */
#ifndef PARQUET_WRITE_INTERNAL_H
#define PARQUET_WRITE_INTERNAL_H

#include "parquet/encoding/encode.h"
#include "parquet/meta_internal.h"
#include "parquet/writer.h"

/* ---- values ------------------------------------------------------------------------------------------------------- */

/* How values are ordered and cut; also how they lie in struct values. */
enum value_kind {
	VALUE_BOOL,    /* one byte each */
	VALUE_I32,
	VALUE_I64,
	VALUE_F32,
	VALUE_F64,
	VALUE_FIXED,   /* width bytes each, unsigned order */
	VALUE_DECIMAL, /* width bytes each, big-endian two's complement */
	VALUE_STRING,  /* offsets into data; valid UTF-8 is cut at code points */
	VALUE_BINARY
};

/* A leaf field's form in the file. */
struct leaf_type {
	enum value_kind kind;
	enum parquet_type physical;
	uint32_t width; /* bytes a stored value; 0 for VALUE_STRING and VALUE_BINARY, 1 for VALUE_BOOL */
};
/* False for nested types. */
bool leaf_type_of(const struct field *f, struct leaf_type *ret);
uint32_t decimal_width(unsigned precision); /* bytes that hold any value of that many digits */

/* The dense values of a chunk in file byte order. */
struct values {
	enum value_kind kind;
	uint32_t width;
	const uint8_t *data;
	const uint32_t *offsets; /* strings and binary, count + 1 entries */
	uint32_t count;
};
static inline struct slice value_at(const struct values *v, uint32_t i)
{
	return v->width ? slice_of(v->data + (size_t)i * v->width, v->width) : slice_of(v->data + v->offsets[i], v->offsets[i + 1] - v->offsets[i]);
}
/* Size in PLAIN encoding. */
static inline size_t values_plain_bytes(const struct values *v, uint32_t first, uint32_t n)
{
	if (v->kind == VALUE_BOOL)
		return ((size_t)n + 7) / 8;
	return v->width ? (size_t)n * v->width : (size_t)n * 4 + (v->offsets[first + n] - v->offsets[first]);
}

/* ---- statistics --------------------------------------------------------------------------------------------------- */

/* The smallest and largest value of a range. Numbers are kept in the stores, the rest borrows from the values. */
struct bounds {
	bool has; /* false: no values, or only NaN */
	uint8_t stored; /* bytes in the stores; 0: min and max hold */
	uint8_t min_store[8], max_store[8];
	struct slice min, max;
	int64_t nans;
};
static inline struct slice bounds_min(const struct bounds *b)
{
	return b->stored ? slice_of(b->min_store, b->stored) : b->min;
}
static inline struct slice bounds_max(const struct bounds *b)
{
	return b->stored ? slice_of(b->max_store, b->stored) : b->max;
}
void stats_find(const struct values *v, uint32_t first, uint32_t n, struct bounds *ret);
/* The same for strings, binaries and fixed-length values of which the dictionary and the n values' indices are known: each entry is compared
 * once. used holds d->count bytes. False: not worth it, or not possible. The bounds borrow from the dictionary. */
bool stats_find_in_dictionary(const struct values *v, const struct dict *d, const uint32_t *indices, uint32_t n, uint8_t *used, struct bounds *ret);
void stats_merge(enum value_kind kind, struct bounds *into, const struct bounds *from);
int stats_compare(enum value_kind kind, struct slice a, struct slice b);
/* A bound of at most max bytes (and code points, if > 0 and a string): *ret_exact tells whether it is v itself. Lower bounds are
 * always possible for strings and binaries; false: no upper bound so short exists, or the kind cannot be cut. out holds max + 4. */
bool stats_cut_lower(enum value_kind kind, struct slice v, size_t max, size_t max_points, uint8_t *out, size_t *ret_len, bool *ret_exact);
bool stats_cut_upper(enum value_kind kind, struct slice v, size_t max, size_t max_points, uint8_t *out, size_t *ret_len, bool *ret_exact);
/* The Iceberg single-value form of a stored value: decimals shortened or made big-endian, the rest as it is. out holds 16. */
struct slice stats_iceberg(const struct field *f, enum value_kind kind, struct slice v, uint8_t *out);

/* ---- levels ------------------------------------------------------------------------------------------------------- */

/* The entries of one schema node. An entry with def == max_def stands for a slot of the node's children, in order. */
struct level_frame {
	uint32_t entries;
	uint8_t max_def, max_rep;
	int16_t def_same;      /* ≥ 0: every entry's def; def is then not used */
	const uint8_t *def;    /* entries, unless def_same or bits */
	const uint8_t *rep;    /* entries; NULL: all 0 */
	const uint64_t *bits;  /* def = the bit, max_def = 1: a flat optional column */
	struct buf def_store, rep_store; /* what def and rep point at, if not into the parent's */
};
#define LEVEL_MAX 250 /* definition levels are bytes */

void level_frame_init(struct level_frame *f);
void level_frame_free(struct level_frame *f);
/* `rows` entries, def 0 of 0. */
void levels_root(struct level_frame *f, uint32_t rows);
/* f = an optional node below parent; present has one bit for each of parent's slots, of which `values` are set. NULL with values 0:
 * all absent. `leaf`: bits may be used instead of def. */
void levels_optional(struct level_frame *f, const struct level_frame *parent, const uint64_t *present, uint32_t slots, uint32_t values,
		     bool leaf);
/* f = the repeated node below parent, whose slots are the list's present instances: offsets has instances + 1 entries. */
void levels_repeated(struct level_frame *f, const struct level_frame *parent, const uint32_t *offsets, uint32_t instances);
/* f = a node below parent that has no value at all: parent's entries, max levels raised. */
void levels_absent(struct level_frame *f, const struct level_frame *parent, uint8_t max_def, uint8_t max_rep);
uint32_t levels_count_values(const struct level_frame *f, uint32_t from, uint32_t to);
/* The entry at which the row `rows` further than the row starting at `from` starts (or the end); *ret_rows = how many there were. */
uint32_t levels_skip_rows(const struct level_frame *f, uint32_t from, uint32_t rows, uint32_t *ret_rows);
/* Append the RLE form of a range's levels, without its length. */
void levels_encode_def(const struct level_frame *f, uint32_t from, uint32_t to, struct buf *out);
void levels_encode_rep(const struct level_frame *f, uint32_t from, uint32_t to, struct buf *out);

/* ---- chunks ------------------------------------------------------------------------------------------------------- */

/* What the file's footer will say about a chunk. */
struct chunk {
	bool written;
	uint8_t codec;     /* enum parquet_codec */
	uint8_t encoding;  /* of the data pages */
	bool has_min, has_max, min_exact, max_exact;
	uint32_t data_pages;
	int64_t offset;      /* of the first page, in the file */
	int64_t data_offset; /* of the first data page */
	int64_t compressed, uncompressed; /* bytes, headers counted */
	int64_t entries, nulls, nans;
	struct slice min, max; /* in the arena */
	size_t column_index_at, offset_index_at; /* into the encoder's buffers */
	uint32_t column_index_len, offset_index_len; /* 0 = none */
	uint32_t bloom_len; /* of the filter that stands behind the last page; 0 = none */
};

/* The chunk's plan. */
struct plan {
	enum parquet_encoding encoding;
	enum parquet_codec codec;
	double coded_per_plain; /* encoded bytes for a plain byte, for cutting pages */
	unsigned index_width;   /* dictionary: bits an index */
	bool whole;             /* DELTA_BYTE_ARRAY without prefixes */
};

/* Memory that is used again from chunk to chunk, and where the bytes go. */
struct encoder {
	struct parquet_writer_options opts;
	struct parquet_sink sink;
	struct codec_ctx *codec;
	struct arena arena;   /* lives as long as the file: statistics */
	struct arena brief;   /* lives as long as a chunk: its page index */
	struct buf pages;     /* of the present chunk: array of struct page */
	struct buf out;       /* bytes not yet given to the sink */
	int64_t base;         /* file offset of out.data[0] */
	struct buf column_indexes, offset_indexes; /* thrift, ready but for their place in the file */
	struct buf body, packed;      /* a page's bytes before and after compression */
	struct buf convert;           /* values in file byte order, where the column's differ */
	struct buf trial; /* choose.c */
	struct buf lengths, prefixes; /* int32 scratch of the delta encodings */
	struct dict dict;             /* of the present chunk; its arrays: */
	struct buf slots[2], where, entries, indices;
};
void encoder_init(struct encoder *e, const struct parquet_sink *sink, const struct parquet_writer_options *opts);
void encoder_free(struct encoder *e);
size_t encoder_memory(const struct encoder *e);
static inline int64_t encoder_position(const struct encoder *e)
{
	return e->base + (int64_t)e->out.len;
}
rc_t encoder_flush(struct encoder *e, size_t above, struct err *reterr); /* to the sink, if more than `above` bytes wait */

rc_t encoder_rest(struct encoder *e, struct err *reterr); /* flushes, and frees all scratch memory */

/* choose.c */
void choose_plan(struct encoder *e, const struct values *v, struct plan *ret);
/* Appends the values first .. first + n in the plan's encoding; for a dictionary the indices. */
void encode_values(struct encoder *e, const struct plan *plan, const struct values *v, uint32_t first, uint32_t n, struct buf *out);

/* page_write.c: both append a page to e->out and add to the chunk's sizes. */
struct page {
	uint32_t entry_from, entry_to, value_from, value_to;
	uint32_t first_row, rows; /* in the row group */
	struct bounds bounds;
	int64_t offset;           /* of the header, in the file; from here on set by page_write_data */
	uint32_t stored;          /* bytes in the file, header counted */
};
rc_t page_write_dictionary(struct encoder *e, const struct plan *plan, struct chunk *chunk, struct err *reterr);
rc_t page_write_data(struct encoder *e, const struct plan *plan, const struct values *v, const struct level_frame *levels,
		     const struct meta_statistics *stats, struct page *page, struct chunk *chunk, struct err *reterr);

/* bloom_write.c: appends a filter behind the chunk's pages if it is worth its bytes. */
void bloom_write(struct encoder *e, const struct plan *plan, const struct values *v, struct chunk *c);

/* chunk_write.c. v->count may be 0: a null chunk. *ret_bounds (of the whole chunk, for the Iceberg bounds) borrows from v. */
rc_t chunk_write(struct encoder *e, const struct values *v, const struct level_frame *levels, struct chunk *ret, struct bounds *ret_bounds,
		 struct err *reterr);

/* ---- nodes, row groups -------------------------------------------------------------------------------------------- */

/* A field as the writer knows it. */
struct node {
	const struct field *field;
	struct node *parent, **children;
	uint32_t child_count, child_cap;
	uint32_t ordinal;    /* of all nodes, in order of making */
	bool leaf;
	bool optional;       /* frozen when first seen: levels depend on it */
	struct leaf_type type; /* leaves; frozen, too */
	uint8_t max_def, max_rep; /* of the leaf's entries; group: of its children's slots */
	bool active;         /* leaf: it is in the file; group: some leaf below is */
	bool present;        /* list, map: had an instance */
	bool wanted;         /* leaf: to be written in the running walk; group: some leaf below is */
	uint32_t leaf_index; /* leaf, once active: index of its chunks */
	struct parquet_leaf_info info; /* leaf: sums over the row groups */
	bool no_lower, no_upper;       /* a row group's bound could not be expressed */
};

/* A group column of a finished row group: enough to make the levels of a column that was not there. */
struct outline_entry {
	uint32_t ordinal; /* of the node */
	uint32_t slots, values;
	struct slice bits;    /* zstd, slots / 64 words; empty: all present */
	struct slice offsets; /* zstd, lengths as u32; data NULL: not a list or map */
};

struct row_group {
	int64_t rows, start;
	struct chunk *chunks; /* by leaf_index; may lag behind */
	uint32_t chunk_count;
	struct outline_entry *outline;
	uint32_t outline_count, outline_cap;
};

rc_t outline_add(struct row_group *g, struct encoder *e, struct arena *a, uint32_t ordinal, const struct column *c, struct err *reterr);
/* Rebuilds present and offsets in c (a scratch column). */
rc_t outline_load(const struct outline_entry *entry, struct encoder *e, struct column *c, struct err *reterr);

#define WRITE_DEPTH_MAX 64 /* of the schema */

struct parquet_writer {
	struct encoder enc;
	struct arena arena;      /* nodes, outlines */
	const struct schema *schema;
	struct node *root;
	uint32_t node_count;
	struct node **leaves;    /* active ones, by leaf_index */
	uint32_t leaf_count, leaf_cap;
	struct node *anchor;     /* the leaf stored first in every row group */
	struct row_group *groups;
	uint32_t group_count, group_cap;
	int64_t rows;
	struct meta_key_value *metadata;
	uint32_t metadata_count, metadata_cap;
	struct level_frame frames[2 * WRITE_DEPTH_MAX + 2]; /* by depth: a list takes two */
	struct column loaded[WRITE_DEPTH_MAX + 1];          /* finish: outlines of the way down */
	struct parquet_group *own;                          /* parquet_writer_row_group's; NULL until used */
	bool failed, finished;
};

/* writer.c: all but the file's magic. */
void writer_init(struct parquet_writer *w, const struct parquet_sink *sink, const struct parquet_writer_options *opts);
void writer_clear(struct parquet_writer *w);
rc_t writer_usable(const struct parquet_writer *w, const struct schema *schema, struct err *reterr);
/* Adopts b's schema, and activates the leaves that b brings into the file. */
rc_t writer_mark(struct parquet_writer *w, const struct batch *b, struct err *reterr);
/* detached.c */
size_t group_memory(const struct parquet_group *g);

/* tree_write.c */
struct node *node_new(struct parquet_writer *w, const struct field *f, struct node *parent);
/* Brings the nodes up to the schema and activates the leaves that b (NULL: none) brings into the file, by the rules in writer.h. */
rc_t tree_mark(struct parquet_writer *w, const struct batch *b, struct err *reterr);
/* Activates n's first leaf; false if it has none. */
bool node_activate_first(struct parquet_writer *w, struct node *n);
/* Writes the chunks of a new row group: the active leaves, null chunks among them; then keeps the outline. */
rc_t tree_write(struct parquet_writer *w, const struct batch *b, struct row_group *g, struct err *reterr);
/* Writes null chunks for the active leaves that a finished row group lacks. */
rc_t tree_complete(struct parquet_writer *w, struct row_group *g, struct err *reterr);

/* footer_write.c: page indexes and footer. order = the file's leaves, tree order with the anchor's branch first. */
rc_t footer_write(struct parquet_writer *w, struct node **order, uint32_t count, struct err *reterr);
/* schema_write.c: elements in depth-first order of the nodes that have an active leaf below. */
rc_t schema_write(struct parquet_writer *w, struct arena *a, struct meta_file *file, struct err *reterr);
/* As the file calls it: list elements and map members have fixed names. */
struct slice node_name(const struct node *n);
/* The children of n in the order of the file: the anchor's branch first. i counts all children. */
struct node *node_child_in_order(const struct parquet_writer *w, const struct node *n, uint32_t i);

#endif
