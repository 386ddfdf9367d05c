/* For the tests of this room: a file in memory, and random numbers that are the same in each run. */
#ifndef PARQUET_TEST_FILE_H
#define PARQUET_TEST_FILE_H

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* ctx: a struct buf. */
static inline rc_t memory_write(void *ctx, const void *data, size_t len, struct err *reterr)
{
	struct buf *b = ctx;
	buf_append(b, data, len);
	return b->overflow ? err_set(reterr, RC_LIMIT, "full") : RC_OK;
}

static size_t bytes_read; /* by all sources so far */

/* ctx: the slice of a whole file. */
static inline rc_t memory_read(void *ctx, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	const struct slice *s = ctx;
	if (offset > s->len || len > s->len - offset)
		return err_set(reterr, RC_IO, "read outside of the file");
	bytes_read += len;
	memcpy(out, s->data + offset, len);
	return RC_OK;
}

static uint64_t seed = 88172645463325252u;
static inline uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 20) % n;
}

#endif
