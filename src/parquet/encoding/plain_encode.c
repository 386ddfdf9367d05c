#include "parquet/encoding/encode.h"

#include <string.h>

size_t encode_plain_bool(uint8_t *out, const uint8_t *in, size_t n)
{
	size_t bytes = (n + 7) / 8;
	for (size_t i = 0; i < n / 8; i++) {
		uint64_t v;
		memcpy(&v, in + 8 * i, 8);
		/* bytes of 0 or 1: the multiplication gathers bit 0 of byte k at bit 56 + k */
		out[i] = (uint8_t)((v & 0x0101010101010101u) * 0x0102040810204080u >> 56);
	}
	if (n % 8) {
		uint8_t last = 0;
		for (size_t i = n / 8 * 8; i < n; i++)
			last |= (uint8_t)((in[i] & 1) << (i % 8));
		out[bytes - 1] = last;
	}
	return bytes;
}

size_t encode_plain_bytes(uint8_t *out, const uint8_t *data, const uint32_t *offsets, size_t first, size_t n)
{
	uint8_t *p = out;
	for (size_t i = first; i < first + n; i++) {
		uint32_t from = offsets[i], len = offsets[i + 1] - from;
		memcpy(p, &len, 4);
		if (len)
			memcpy(p + 4, data + from, len);
		p += 4 + (size_t)len;
	}
	return (size_t)(p - out);
}

bool encode_decimal(uint8_t *out, const uint8_t *in, size_t n, size_t width)
{
	unsigned spare = (unsigned)(128 - 8 * width);
	unsigned bad = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned __int128 u;
		memcpy(&u, in + 16 * i, 16);
		__int128 v = (__int128)u;
		bad |= v != (__int128)(u << spare) >> spare;
		uint64_t hi = __builtin_bswap64((uint64_t)(u >> 64)), lo = __builtin_bswap64((uint64_t)u);
		uint8_t big[16];
		memcpy(big, &hi, 8);
		memcpy(big + 8, &lo, 8);
		memcpy(out + width * i, big + 16 - width, width);
	}
	return !bad;
}

size_t encode_split(uint8_t *out, const uint8_t *in, size_t n, size_t width)
{
	for (size_t k = 0; k < width; k++)
		for (size_t i = 0; i < n; i++)
			out[k * n + i] = in[i * width + k];
	return n * width;
}
