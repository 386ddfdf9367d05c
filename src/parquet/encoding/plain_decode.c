/* PLAIN and dictionary values. */
#include "parquet/encoding/decode.h"

void plain_bool_decode(const uint8_t *in, size_t first, uint8_t *out, size_t n)
{
	size_t i = 0;
	for (; i < n && (first + i) % 8; i++)
		out[i] = in[(first + i) / 8] >> ((first + i) % 8) & 1;
	for (; i + 8 <= n; i += 8) {
		unsigned byte = in[(first + i) / 8];
		for (unsigned k = 0; k < 8; k++)
			out[i + k] = byte >> k & 1;
	}
	for (; i < n; i++)
		out[i] = in[(first + i) / 8] >> ((first + i) % 8) & 1;
}

/* Copies in steps of DECODE_PAD, which are cheaper than a call for the exact length; long strings want the call. */
static inline __attribute__((always_inline)) void copy_padded(uint8_t *to, const uint8_t *from, size_t len)
{
	if (len > 8 * DECODE_PAD) {
		memcpy(to, from, len);
		return;
	}
	memcpy(to, from, DECODE_PAD);
	for (size_t i = DECODE_PAD; i < len; i += DECODE_PAD)
		memcpy(to + i, from + i, DECODE_PAD);
}

size_t plain_bytes_decode(const uint8_t *in, const uint8_t *end, uint8_t *data, uint32_t *offsets, size_t n)
{
	const uint8_t *start = in;
	uint32_t at = offsets[0];
	for (size_t i = 0; i < n; i++) {
		if (end - in < 4)
			return DECODE_BAD;
		uint32_t len = decode_load32(in);
		in += 4;
		if (len > (size_t)(end - in))
			return DECODE_BAD;
		copy_padded(data + at, in, len);
		in += len;
		at += len;
		offsets[i + 1] = at;
	}
	return (size_t)(in - start);
}

static inline __attribute__((always_inline)) void gather(const uint8_t *dict, size_t width, const uint32_t *index, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		memcpy(out + i * width, dict + (size_t)index[i] * width, width);
}

void dict_gather(const uint8_t *dict, size_t width, const uint32_t *index, uint8_t *out, size_t n)
{
	if (width == 4)
		gather(dict, 4, index, out, n);
	else if (width == 8)
		gather(dict, 8, index, out, n);
	else if (width == 16)
		gather(dict, 16, index, out, n);
	else
		gather(dict, width, index, out, n);
}

uint32_t index_max(const uint32_t *index, size_t n)
{
	uint32_t max = 0;
	for (size_t i = 0; i < n; i++)
		max = index[i] > max ? index[i] : max;
	return max;
}

uint64_t dict_bytes_size(const uint32_t *dict_offsets, const uint32_t *index, size_t n)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += dict_offsets[index[i] + 1] - dict_offsets[index[i]];
	return sum;
}

void dict_bytes_gather(const uint8_t *dict, const uint32_t *dict_offsets, const uint32_t *index, uint8_t *data, uint32_t *offsets, size_t n)
{
	uint32_t at = offsets[0];
	for (size_t i = 0; i < n; i++) {
		uint32_t from = dict_offsets[index[i]], len = dict_offsets[index[i] + 1] - from;
		copy_padded(data + at, dict + from, len);
		at += len;
		offsets[i + 1] = at;
	}
}
