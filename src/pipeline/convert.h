/* One file in, one Parquet file out: the ingest path without lake and log. Payload columns, `__shape`, and `__raw` / `__rest` where a row needs
 * them; the file's framing (line ends, byte order mark, blank lines) is metadata "hydrant.framing", so that `hydrant restore` gives back the same bytes.
 * A line that is no JSON becomes a row of `__raw` alone (strict: an error instead). Memory: about 300 MiB however long the input.
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
	const char *out; /* appears whole or not at all; replaced if there */
	enum frame_format format;
	enum parquet_codec codec;
	int codec_level;
	bool strict;
	bool verify_all; /* re-render every row, not one in 64 */
	void (*progress)(void *ctx, uint64_t offset, uint64_t size, uint64_t events); /* may be NULL */
	void *ctx;
};

struct convert_result {
	enum frame_format format;
	uint64_t events, invalid, bytes_in, bytes_out;
	uint64_t shape_bytes, raw_bytes; /* of the columns __shape and __raw in the file: what exact restore costs */
	uint32_t columns, row_groups;
	struct shred_stats stats;
	int64_t took_us;
};

rc_t convert_file(const struct convert_options *opts, struct convert_result *ret, struct err *reterr);

#endif
