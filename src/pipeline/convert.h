/* One file in, one Parquet file out: the ingest path without lake and log. Payload columns, `__shape`, and `__raw` / `__rest` where a row needs
 * them; the file's framing (line ends, byte order mark, blank lines) is metadata "hydrant.framing", so that `hydrant restore` gives back the same bytes.
 * A line that is no JSON becomes a row of `__raw` alone (strict: an error instead).
 * The file's bytes depend on the input and the options only, not on the number of threads. Memory: at most 300 MiB, and 150 MiB for each further
 * thread, however long the input.
 */
#ifndef PIPELINE_CONVERT_H
#define PIPELINE_CONVERT_H

#include "base/err.h"
#include "json/frame.h"
#include "parquet/codec.h"
#include "shred/shred.h"

#define CONVERT_FRAMING_KEY "hydrant.framing" /* framing_encode's bytes */

struct convert_options {
	const char *in;  /* "-": standard input */
	const char *out; /* as os/output.h has it: a file appears whole or not at all, and is replaced if there */
	enum frame_format format;
	enum parquet_codec codec;
	int codec_level;
	bool bloom_filters; /* for columns of ids */
	bool strict;
	bool verify_all; /* re-render every row, not one in 64 */
	bool time_checks; /* result.stats.check_ns is wanted: two calls of the system a row that is checked, 1 to 2 % of the CPU on short rows */
	unsigned threads; /* 0: as many as there are CPUs for this process */
	/* for tests; 0: chosen by what the input holds */
	size_t range_bytes;  /* of input that one thread takes at once */
	size_t sample_bytes; /* that columns are first settled by */
	size_t group_bytes;  /* of columns, with which a row group is sealed before its range ends */
	void (*progress)(void *ctx, uint64_t offset, uint64_t size, uint64_t events); /* may be NULL; one thread at a time */
	void *ctx;
};

struct convert_result {
	enum frame_format format;
	uint64_t events, invalid, bytes_in, bytes_out;
	/* what exact restore costs, bytes of the file: the columns __shape, __raw and __rest (whose keys without a column are data, too), and in
	 * the footer the key table and the framing */
	uint64_t shape_bytes, raw_bytes, rest_bytes, keys_bytes, framing_bytes;
	uint32_t columns, row_groups;
	struct shred_stats stats;
	int64_t took_us, cpu_us; /* cpu: of all threads */
};

rc_t convert_file(const struct convert_options *opts, struct convert_result *ret, struct err *reterr);

#endif
