/* What the room's fuzz targets share: a file in memory. */
#ifndef PARQUET_FUZZ_INTERNAL_H
#define PARQUET_FUZZ_INTERNAL_H

#include "model/batch_check.h"
#include "parquet/reader.h"

/* ctx: a slice of the whole file. The reader only asks for what is there. */
static inline rc_t fuzz_read(void *ctx, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	const struct slice *s = ctx;
	(void)reterr;
	must(offset <= s->len && len <= s->len - offset);
	if (len)
		memcpy(out, s->data + offset, len);
	return RC_OK;
}

#endif
