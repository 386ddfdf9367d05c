/* Reads Parquet files: a source of bytes in, struct batch out, one row group (or a range of its rows) at a time.
 *
 * Promise: any bytes are safe to open and read; what is not a Parquet file gives RC_CORRUPT, what this reader does not do gives
 *   RC_UNSUPPORTED naming the feature, what would pass the limits gives RC_LIMIT, before anything is allocated for it. Page checksums are
 *   checked where a file has them. Structure is checked: what parquet_reader_read gives back is a consistent struct batch.
 * Values are normalised to the model's types:
 *   INT32 of any width up to 32 bits, signed, and uint8, uint16 → int32; uint32 → int64; uint64 → decimal(20, 0);
 *   decimals of every physical type → int64 (precision ≤ 18) or __int128; float16 → float;
 *   times and timestamps of ms, µs and ns → µs (ns are cut down to µs, towards the past); INT96 → timestamp, without zone (it wraps
 *   around outside of 64-bit µs, as in Spark);
 *   UTF8, ENUM, JSON → string; BSON, GEOMETRY, GEOGRAPHY, unannotated BYTE_ARRAY → binary; UNKNOWN (null) → its physical type.
 *   Lists of both the 3-level and the older 2-level forms and bare repeated fields → list ("element"); maps → map ("key", "value"); a map
 *   without value column → list of its keys. Strings are not checked for valid UTF-8.
 * Refused when projected: INTERVAL, VARIANT and unknown logical types, decimals over 38 digits, LZO; when opened: encryption.
 * Not promised: files split over several paths. Which rows are worth reading: prune.h.
 * Ownership: the source's ctx is borrowed until parquet_reader_free; schema, metadata and bounds belong to the reader.
 * Threads: one thread a reader. Several readers may share a source whose read is thread-safe.
 */
#ifndef PARQUET_READER_H
#define PARQUET_READER_H

#include "base/err.h"
#include "base/slice.h"
#include "model/column.h"

struct parquet_source {
	void *ctx;
	uint64_t size; /* of the file, bytes */
	/* Fills out[0 .. len) from `offset` completely, or fails. Only called for ranges inside `size`. */
	rc_t (*read)(void *ctx, uint64_t offset, size_t len, void *out, struct err *reterr);
};

/* 0 = the default. */
struct parquet_limits {
	size_t footer_bytes; /* the footer as stored: PARQUET_FOOTER_MAX */
	size_t meta_bytes;   /* what footer or page index take when decoded: 1 GiB */
	size_t page_bytes;   /* a page, stored or inflated: 256 MiB */
	size_t batch_bytes;  /* what one parquet_reader_read adds to the batch: 1 GiB */
	size_t window_bytes; /* column chunks are read in pieces of this size: 4 MiB */
	uint32_t depth;      /* of the schema: 64 */
};

struct parquet_reader;
/* Reads and checks the footer. limits may be NULL. */
rc_t parquet_reader_open(const struct parquet_source *source, const struct parquet_limits *limits, struct parquet_reader **ret,
			 struct err *reterr);
void parquet_reader_free(struct parquet_reader *r);
AUTO_DEFINE(parquet_reader, parquet_reader_free)

/* Names, types and field ids (0 where the file gives none). Columns that cannot be read are in it, too. */
const struct schema *parquet_reader_schema(const struct parquet_reader *r);
int64_t parquet_reader_rows(const struct parquet_reader *r);
uint32_t parquet_reader_row_group_count(const struct parquet_reader *r);
int64_t parquet_reader_row_group_rows(const struct parquet_reader *r, uint32_t row_group);
int64_t parquet_reader_row_group_bytes(const struct parquet_reader *r, uint32_t row_group); /* uncompressed, as the file says */
/* The footer's value of that key (the last, if there are several); data is NULL if there is none. */
struct slice parquet_reader_metadata(const struct parquet_reader *r, const char *key);
struct slice parquet_reader_created_by(const struct parquet_reader *r);
/* Why this field (or a leaf below it) cannot be read, or NULL if it can: for callers who would rather leave it out. */
const char *parquet_reader_refused(const struct parquet_reader *r, const struct field *f);

/* What a row group's footer says about a leaf. */
struct parquet_leaf_stats {
	int64_t values;       /* entries, nulls and empty lists counted */
	int64_t nulls;        /* -1 = not known; below a list, absent and empty lists count as nulls */
	int64_t compressed, uncompressed; /* bytes */
	struct slice raw_min, raw_max;    /* as stored; data NULL if absent or not to be trusted */
	/* The same as the column holds a value (field_width bytes; strings and binary: the bytes); data NULL like raw. They bound
	 * the values but need not occur. Float bounds never exclude NaN or the other zero. Below a list: over all elements. */
	struct slice min, max;
	bool min_exact, max_exact; /* the bound is known to occur */
};
/* RC_INVALID if f is not a leaf of this reader's schema or row_group is out of range. */
rc_t parquet_reader_leaf_stats(struct parquet_reader *r, uint32_t row_group, const struct field *f, struct parquet_leaf_stats *ret,
			       struct err *reterr);

/* Fills `ret`, which must have been made by batch_init with parquet_reader_schema (it is reset first; keep it for the next call: its
 * memory is used again), with the rows row_from ≤ row < row_to of a row group; a row_to past the end means the end.
 * fields: any fields of the reader's schema, a nested one stands for everything below it; fields = NULL: all columns. Columns that
 * were not asked for stay absent, also if required. Pages outside the row range are skipped by the offset index where there is one.
 * A batch with may_be_coded gets string columns by their dictionary, where they have one. On failure `ret` is left reset. */
rc_t parquet_reader_read(struct parquet_reader *r, uint32_t row_group, const struct field *const *fields, size_t n, uint32_t row_from,
			 uint32_t row_to, struct batch *ret, struct err *reterr);

#endif
