/* The reader's own structs: how the files reader*.c divide the work.
 *   reader.c         open, footer, questions about the file, the loop over columns of a read
 *   reader_schema.c  schema elements → model schema, level rules and conversions
 *   reader_page.c    the bytes of a column chunk → inflated, checked pages
 *   reader_column.c  one column chunk of one read: dictionary, pages, row range
 *   reader_levels.c  repetition and definition levels → presence bitmaps and list offsets
 *   reader_alike.c   levels that are those of a column beside
 *   reader_values.c  encoded values → the column's values
 *   reader_stats.c   bounds and counts from the footer
 *   reader_index.c   page indexes and Bloom filters
 *   reader_prune.c   which rows predicates leave over
 */
#ifndef PARQUET_READER_INTERNAL_H
#define PARQUET_READER_INTERNAL_H

#include "parquet/encoding/decode.h"
#include "parquet/meta_internal.h"
#include "parquet/reader.h"

#define READER_DEPTH_MAX 100 /* of the file's schema: levels stay below 128 and fit a byte */
#define READER_LEVELS_MAX (READER_DEPTH_MAX + 4)
#define READER_PATH_MAX (2 * READER_DEPTH_MAX + 8) /* a bare repeated field is two model fields */
#define LEVEL_CHUNK 4096     /* levels are decoded and applied so many at a time */

/* From a physical value to the model's. */
enum convert {
	CONVERT_NONE,       /* the bytes are the same */
	CONVERT_I32_I64,    /* sign-extended: decimals up to 18 digits */
	CONVERT_U32_I64,
	CONVERT_I32_I128,
	CONVERT_I64_I128,
	CONVERT_U64_I128,
	CONVERT_I32_TIMES_1000, /* ms → µs, to int64 */
	CONVERT_I64_TIMES_1000,
	CONVERT_I64_BY_1000,    /* ns → µs, rounded down */
	CONVERT_INT96,          /* ns of the day and Julian day → µs since the epoch */
	CONVERT_HALF,           /* float16 → float */
	CONVERT_BYTES_I64,      /* big-endian two's complement of any length */
	CONVERT_BYTES_I128
};

/* One model field on the way from the root to a leaf. An entry (rep, def) of the leaf opens a slot of this field if rep ≤ slot_rep and
 * def ≥ slot_def; the slot is present if def ≥ present_def. For a list or map: it has an element if def ≥ element_def, and each entry
 * with rep ≤ slot_rep + 1 and def ≥ element_def is one. */
struct level_node {
	const struct field *field;
	uint32_t ordinal; /* of the field, depth first */
	uint8_t slot_rep, slot_def, present_def, element_def;
	bool list;
};

struct leaf {
	const struct field *field;
	uint32_t index;    /* of the column chunk in a row group */
	enum parquet_type physical;
	uint32_t width;    /* bytes of a physical value; 0: byte arrays; booleans: 1 when decoded */
	enum convert convert;
	bool is_unsigned;  /* order of its statistics */
	uint8_t max_def, max_rep;
	uint8_t element_defs[READER_LEVELS_MAX]; /* by repetition level: the least definition level of an entry that continues it */
	struct level_node *path;
	uint32_t path_len;
	bool unordered;      /* GEOMETRY, GEOGRAPHY: bounds mean nothing */
	const char *refused; /* why it cannot be read; NULL: it can */
};

struct parquet_reader {
	struct parquet_source source;
	struct parquet_limits limits;
	struct arena arena;   /* footer and all that is derived from it */
	size_t meta_left;     /* of limits.meta_bytes */
	struct meta_file meta;
	int64_t rows;         /* of all row groups: some writers leave the file's own count at 0 */
	struct schema *schema;
	struct leaf *leaves;
	uint32_t leaf_count, node_count;
	uint64_t data_end;    /* where the footer starts: pages end before */
	struct codec_ctx *codec;

	struct meta_offset_index **offset_index; /* [row group * leaf_count + leaf], read when first needed */
	struct meta_column_index **column_index; /* the same */
	struct leaf_bounds *bounds;              /* the same, see reader_stats.c */
	struct buf bloom;                        /* blocks of the filter asked last; empty: of no use */
	bool has_bloom;
	uint32_t bloom_group;
	const struct leaf *bloom_leaf;

	/* scratch of a read, kept for the next */
	struct buf window;     /* a piece of the column chunk as stored */
	struct buf page;       /* an inflated page */
	struct buf converted;  /* physical values before conversion */
	struct buf numbers;    /* lengths of DELTA byte arrays */
	struct column bytes;   /* byte arrays before conversion */
	struct column dict;    /* the chunk's dictionary, as model values */
	bool has_dict;
	bool codes;            /* the batch may have string columns with codes */
	struct level_bits *reps, *defs; /* reader_levels.c */
	struct alike *alikes;  /* reader_alike.c */
	uint32_t alike_next;
	struct column *shadow; /* [READER_PATH_MAX] structure of fields that another leaf has filled, for comparison */
	uint8_t *seen;         /* [node_count] this read has filled the field's structure */
	size_t batch_left;     /* bytes that this read may still add */
};

/* reader_schema.c: fills schema, leaves and node_count from meta.schema. */
rc_t reader_schema_build(struct parquet_reader *r, struct err *reterr);

/* reader_page.c: the pages of a chunk, one after the other. */
struct chunk {
	struct parquet_reader *r;
	const struct leaf *leaf;
	const struct meta_column_meta *meta;
	uint64_t pos;          /* of the next page header in the file */
	uint64_t prefer_end;   /* where the chunk says it ends: reading ahead stops there */
	uint64_t stop;         /* no page that begins here or later is wanted */
	uint64_t window_pos;   /* file position of r->window.data[0] */
};

struct page {
	struct meta_page_header header;
	const uint8_t *reps, *reps_end; /* encoded levels; v1 levels still have their framing stripped */
	const uint8_t *defs, *defs_end;
	bool reps_packed, defs_packed;  /* deprecated BIT_PACKED */
	const uint8_t *values, *values_end;
	uint32_t entries;               /* dictionary: values */
	int32_t encoding;
};

rc_t chunk_open(struct parquet_reader *r, uint32_t row_group, const struct leaf *leaf, struct chunk *ret, struct err *reterr);
/* The next dictionary or data page; others are passed over. RC_EOF where no page header can stand any more. Its bytes have DECODE_PAD
 * readable bytes behind them and live until the next call. */
rc_t chunk_next_page(struct chunk *c, struct page *ret, struct err *reterr);

/* reader_levels.c */
void levels_open(struct parquet_reader *r);
extern bool reader_levels_simd; /* use BMI2? Set when the program starts, and by tests */
struct level_sink {
	const struct leaf *leaf;
	struct column *columns[READER_PATH_MAX]; /* one for each path node: the batch's or a shadow */
	uint8_t last_def;    /* of the entry before; 0 at the start */
	bool started;        /* an entry has been seen */
	uint64_t row;        /* rows begun so far, counted from the row group's start */
	uint64_t row_from, row_to;
	bool done;           /* row_to was reached: nothing that follows counts */
	uint32_t pages;	     /* applied so far */
	struct alike *like;  /* the leaf that has had the same levels in all of them; NULL: none */
	struct alike *kept;  /* where this leaf's levels are kept */
	size_t copied;       /* charged for what was copied from `like` */
	size_t lent;         /* charged for shadows, which the next leaf uses again */
};
/* Applies a page's levels. *ret_skip values come first that belong to rows before row_from, then *ret_take that belong to the batch, of
 * *ret_total in the page. */
rc_t levels_apply(struct parquet_reader *r, struct level_sink *s, const struct page *p, size_t *ret_skip, size_t *ret_take,
		  size_t *ret_total, struct err *reterr);

/* reader_alike.c. levels_apply, or the same by copying. What a sink is alike in is missing in its shadows. */
void alike_open(struct parquet_reader *r);
void alike_close(struct parquet_reader *r);
void alike_begin(struct parquet_reader *r); /* a read: columns are empty */
rc_t alike_apply(struct parquet_reader *r, struct level_sink *s, const struct page *p, size_t *ret_skip, size_t *ret_take, size_t *ret_total,
		 struct err *reterr);
/* All levels were those of another leaf: the structure of the fields above is that leaf's. */
bool alike_whole(const struct level_sink *s);
/* Applies to the shadows, too, what has been copied. */
rc_t alike_leave(struct parquet_reader *r, struct level_sink *s, struct err *reterr);

/* reader_values.c */
/* Appends values skip .. skip + take - 1 of `total` encoded ones to the leaf column's data (its structure is there already). */
rc_t values_append(struct parquet_reader *r, const struct leaf *leaf, const struct page *p, size_t skip, size_t take, size_t total,
		   struct column *c, struct err *reterr);
/* Decodes a dictionary page into r->dict. */
rc_t values_dictionary(struct parquet_reader *r, const struct leaf *leaf, const struct page *p, struct err *reterr);
/* n physical values → model values; false if one does not fit. out has field_width(leaf->field) bytes a value. */
bool values_convert(const struct leaf *leaf, const uint8_t *in, const uint32_t *offsets, size_t n, uint8_t *out);

/* Charges `bytes` to the read's budget: RC_LIMIT when it is used up. */
rc_t reader_charge(struct parquet_reader *r, uint64_t bytes, struct err *reterr);
/* Room for n more values behind c->values entries: offsets for byte arrays. */
void reader_reserve_offsets(struct column *c, size_t entries);

/* reader_column.c */
rc_t reader_column_read(struct parquet_reader *r, uint32_t row_group, const struct leaf *leaf, uint32_t row_from, uint32_t row_to,
			struct batch *ret, struct err *reterr);

/* reader_stats.c */
struct leaf_bounds {
	bool decoded;
	struct slice min, max;
};

/* A bound as the column holds a value: `raw` itself, or out; data NULL if it is none. A float's is widened so that it bounds the other zero;
 * NaN is none. */
struct slice reader_bound(const struct leaf *l, struct slice raw, bool upper, uint8_t out[16]);
/* The footer or page index has bounds in an order that is known. */
bool reader_has_type_order(const struct parquet_reader *r, const struct leaf *l);

/* reader_index.c. Indexes are kept for later; NULL if the chunk has none. What they borrow from is kept, too. */
rc_t reader_offset_index(struct parquet_reader *r, uint32_t row_group, const struct leaf *l, const struct meta_offset_index **ret,
			 struct err *reterr);
rc_t reader_column_index(struct parquet_reader *r, uint32_t row_group, const struct leaf *l, const struct meta_column_index **ret,
			 struct err *reterr);
/* May the chunk hold the value (as its column holds it)? True where there is no filter that can say. */
rc_t reader_bloom_find(struct parquet_reader *r, uint32_t row_group, const struct leaf *l, struct slice value, bool *ret_may,
		       struct err *reterr);

const struct leaf *reader_leaf(const struct parquet_reader *r, const struct field *f);

#endif
