/* Writes Parquet files: batches of columns in, a file's bytes out to a sink, in one forward pass.
 *
 * Promise: the same batches and options give the same bytes. Every page is cut at a row boundary; every schema node carries its
 *   field id; statistics and page index never claim more than the values say (NaN excluded, cut strings rounded outwards). The file
 *   is complete only when parquet_writer_finish returned RC_OK; before, what the sink has got is no Parquet file. Memory: scratch for
 *   one column chunk, about 1 MiB of output, and for each row group the chunks' metadata, page index and the outline of its
 *   groups (see parquet_writer_memory).
 * What a file holds: leaf columns with at least one value in the file; required top-level ones always; the first leaf of a list or
 *   map that is present (even if only as `[]`) but has no values; key and value of every map that is present. Groups without leaves
 *   vanish. A column that a row group lacks gets an all-null chunk with the right levels, at worst behind the last row group. The
 *   first column of the footer is always stored first in each row group, because engines find a row group's split by it; this may
 *   move one top-level field to the front of the file's schema. A file with dates or timestamps has the footer key org.apache.spark.version, by which
 *   Spark knows their calendar (docs/parquet.md).
 * Not promised: encryption, sorting columns.
 * Ownership: the sink and the schema are borrowed and must outlive the writer; batches are borrowed for the call.
 * Threads: one thread a writer; its row groups may be encoded by several (parquet_group).
 */
#ifndef PARQUET_WRITER_H
#define PARQUET_WRITER_H

#include "base/buf.h"
#include "model/column.h"
#include "parquet/codec.h"

/* Takes the file's bytes in order. A failure is final: the writer passes it on and refuses further work. */
struct parquet_sink {
	void *ctx;
	rc_t (*write)(void *ctx, const void *data, size_t len, struct err *reterr);
};

struct parquet_writer_options {
	enum parquet_codec codec;
	int level;              /* codec's level; see parquet_codec_parse */
	size_t page_bytes;      /* a data page is cut at about so many encoded bytes */
	uint32_t page_rows;     /* … or rows; pages of under 4 KiB may hold up to 8 times as many */
	size_t dictionary_bytes; /* a dictionary page is at most so large; 0 = no dictionaries */
	bool page_index;        /* ColumnIndex and OffsetIndex; without it the statistics go into the page headers */
	bool data_page_v2;
	bool delta;             /* DELTA_* encodings may be chosen */
	bool byte_stream_split; /* may be chosen for float and double; off by default: Spark and Athena do not read it */
	bool bloom_filters;     /* for columns of ids; off by default: docs/decisions/bloom-filters.md */
	int encoding;           /* the format's number of a DELTA_* encoding or BYTE_STREAM_SPLIT: without trial wherever it fits; 0: by trial */
	const char *created_by; /* borrowed; "application version X" */
};

/* zstd 1, 1 MiB, 20,000 rows, 1 MiB dictionaries, page index, v1 pages, delta, no split, "hydrant version <VERSION>". */
void parquet_writer_options_default(struct parquet_writer_options *ret);

#define PARQUET_FOOTER_MAX ((size_t)160 << 20) /* the writer makes none that is larger: chunks take five times as much when decoded */

/* Counts and bounds of one leaf over the file. Bounds are Iceberg single values (spec, appendix D, "Binary single-value
 * serialization"); strings and binaries cut to 16 code points or bytes as truncate[16] does. */
#define PARQUET_BOUND_MAX 64
struct parquet_leaf_info {
	const struct field *field;
	int32_t field_id;
	int64_t column_size; /* bytes in the file, all row groups, page headers included */
	int64_t value_count; /* entries including nulls (and absent lists), as Iceberg counts */
	int64_t null_count;  /* entries without a value */
	int64_t nan_count;   /* float and double; else 0 */
	bool repeated;       /* below a list or map: no bounds then, as Iceberg wants */
	bool has_lower, has_upper;
	uint8_t lower_len, upper_len;
	uint8_t lower[PARQUET_BOUND_MAX], upper[PARQUET_BOUND_MAX];
};

struct parquet_file_info {
	int64_t rows;
	int64_t bytes;             /* of the file */
	uint32_t split_count;      /* row groups */
	int64_t *split_offsets;    /* where each row group starts, ascending */
	uint32_t leaf_count;       /* leaves in the file, in file order */
	struct parquet_leaf_info *leaves;
};
/* Frees what it points at, not itself; zeroed afterwards. NULL is fine. */
void parquet_file_info_clear(struct parquet_file_info *info);

/* Footer key: the field ids of the leaf columns that the file was written with, ascending ("1-25,27"), so that a reader sees when another program has
 * dropped one. Only if all of them have ids. */
#define PARQUET_COLUMNS_KEY "hydrant.columns"

struct parquet_writer;
/* Copies sink and opts. RC_INVALID for a codec that cannot be written or a page size of 0. */
rc_t parquet_writer_new(const struct parquet_sink *sink, const struct parquet_writer_options *opts, struct parquet_writer **ret,
			struct err *reterr);
/* b is sealed; all batches of a file have the same (growing) schema. A batch without rows is skipped. RC_LIMIT: too large for the
 * format (a page or chunk over 2 GiB). */
rc_t parquet_writer_row_group(struct parquet_writer *w, const struct batch *b, struct err *reterr);
/* A key/value pair of the footer; both copied. The same key again replaces the value. A value of any bytes: what is no UTF-8 stands there as
 * "base64:…", and parquet_reader_metadata gives the bytes again. */
void parquet_writer_metadata(struct parquet_writer *w, const char *key, struct slice value);
/* Writes what is left: null chunks, page index, footer. `final` is the batches' schema as it now is: names, ids and types are read
 * from it here. ret (may be NULL) is filled on success only. */
rc_t parquet_writer_finish(struct parquet_writer *w, const struct schema *final, struct parquet_file_info *ret, struct err *reterr);
void parquet_writer_free(struct parquet_writer *w);
AUTO_DEFINE(parquet_writer, parquet_writer_free)

/* ---- Row groups that other threads encode ----
 * A file's row groups can be encoded side by side, each in a struct parquet_group; the file's bytes are those that parquet_writer_row_group
 * would have written. For each batch:
 *   parquet_writer_reserve  one thread at a time, in the order of the file: settles which columns the row group has
 *   parquet_group_encode    any thread, several groups at once
 *   parquet_writer_append   one thread at a time, in the order of the file
 * reserve for one group may run while append runs for another if the caller takes care that they do not run at once (one lock for both).
 * Memory: what the group encodes is kept up to `keep` bytes; beyond, `turn` is called once, which returns when every group reserved before
 * has been appended (or fails): from then on the group's bytes go to the writer's sink, and nobody else may append. `ready` says whether that would
 * return at once: then nothing is kept, and copied once more. Both may be NULL. */
struct parquet_group;
struct parquet_group_options {
	size_t keep;
	rc_t (*turn)(void *ctx, struct err *reterr);
	bool (*ready)(void *ctx);
	void *ctx;
};
/* The options of the writer are copied; the group may be used for any number of its row groups, one after the other. */
struct parquet_group *parquet_group_new(const struct parquet_writer *w, const struct parquet_group_options *opts);
void parquet_group_free(struct parquet_group *g);
AUTO_DEFINE(parquet_group, parquet_group_free)
/* b is sealed, has rows, and is the batch that parquet_group_encode gets. Failures as of parquet_writer_row_group. */
rc_t parquet_writer_reserve(struct parquet_writer *w, const struct batch *b, struct parquet_group *g, struct err *reterr);
rc_t parquet_group_encode(struct parquet_group *g, const struct batch *b, struct err *reterr);
rc_t parquet_writer_append(struct parquet_writer *w, struct parquet_group *g, struct err *reterr);

/* Gives the sink what waits and frees scratch memory, for a writer that will not be used for a while. */
rc_t parquet_writer_rest(struct parquet_writer *w, struct err *reterr);
int64_t parquet_writer_bytes(const struct parquet_writer *w); /* of the file so far, without what finish will add */
int64_t parquet_writer_rows(const struct parquet_writer *w);
size_t parquet_writer_memory(const struct parquet_writer *w); /* held now, for budgets */

#endif
