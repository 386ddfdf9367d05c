/* BYTE_STREAM_SPLIT */
#include "parquet/encoding/decode.h"

static inline __attribute__((always_inline)) void split(const uint8_t *in, size_t n, size_t width, size_t first, uint8_t *out, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < width; k++)
			out[i * width + k] = in[k * n + first + i];
}

void split_decode(const uint8_t *in, size_t n, size_t width, size_t first, uint8_t *out, size_t count)
{
	if (width == 4)
		split(in, n, 4, first, out, count);
	else if (width == 8)
		split(in, n, 8, first, out, count);
	else
		split(in, n, width, first, out, count);
}
