/* Decoding kernels of the Parquet encodings (Apache Parquet format, Encodings.md): pure loops over arrays, no allocation, no error texts.
 *
 * Every kernel takes its input as [in, end) and is safe for any bytes in it, but may *load* (never use) up to DECODE_PAD bytes past
 * `end`, and may *store* up to DECODE_PAD bytes past the output it was asked for where a comment says so: callers pad buffers.
 * Kernels that can meet bad input return the bytes consumed or DECODE_BAD.
 */
#ifndef PARQUET_ENCODING_DECODE_H
#define PARQUET_ENCODING_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DECODE_PAD 32
#define DECODE_BAD SIZE_MAX

static inline uint64_t decode_load64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}

static inline uint32_t decode_load32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}

/* ---- RLE / bit-packed hybrid ("RLE = 3"): levels, dictionary indices, booleans ---- */

struct hybrid_reader {
	const uint8_t *pos, *end;
	unsigned width;         /* bits a value, 0..32 */
	uint32_t value;         /* of the repeated run */
	uint64_t repeated;      /* values left in the repeated run */
	const uint8_t *packed;  /* start of the bit-packed run */
	uint64_t packed_at;     /* values of it consumed */
	uint64_t packed_count;  /* values in it */
};

void hybrid_init(struct hybrid_reader *h, const uint8_t *in, const uint8_t *end, unsigned width);
/* The next n values; false if the input holds fewer. u8: width ≤ 8. */
bool hybrid_read_u8(struct hybrid_reader *h, uint8_t *out, size_t n);
bool hybrid_read_u32(struct hybrid_reader *h, uint32_t *out, size_t n);
/* The next run, when the one before is used up. False: the input holds no more, or is bad. */
bool hybrid_next(struct hybrid_reader *h);
/* Takes up to n values that are all *ret_value, and returns how many; 0 if the next *ret_packed ≤ n values are bit-packed (they are still
 * to be read), or with *ret_packed = 0 if the input holds no more. */
static inline size_t hybrid_take_run(struct hybrid_reader *h, size_t n, uint32_t *ret_value, size_t *ret_packed)
{
	*ret_packed = 0;
	while (!h->repeated && h->packed_at == h->packed_count)
		if (!hybrid_next(h))
			return 0;
	if (!h->repeated) {
		uint64_t left = h->packed_count - h->packed_at;
		*ret_packed = left < n ? (size_t)left : n;
		return 0;
	}
	size_t taken = h->repeated < n ? (size_t)h->repeated : n;
	*ret_value = h->value;
	h->repeated -= h->width ? taken : 0;
	return taken;
}
/* Width 1: ORs the next n values into a zeroed bitmap from bit `at` on (little-endian words, room up to bit at + n rounded up to 64);
 * *ret_ones = how many are 1. */
bool hybrid_read_bits(struct hybrid_reader *h, uint64_t *bits, size_t at, size_t n, size_t *ret_ones);

/* n values of `width` bits (0..32), least significant bit first, from bit `at` (a multiple of `width`) of in; the caller has checked
 * that they are there. */
void unpack_u32(const uint8_t *in, uint64_t first, unsigned width, uint32_t *out, size_t n);
/* Deprecated BIT_PACKED levels: most significant bit first, width ≤ 8, values first .. first + n - 1. */
void unpack_msb_u8(const uint8_t *in, uint64_t first, unsigned width, uint8_t *out, size_t n);
/* Sets n bits from bit `at` on to 1 in a bitmap. */
void bits_fill(uint64_t *bits, size_t at, size_t n);

/* ---- PLAIN and dictionaries ---- */

/* n bits (least significant first) → n bytes 0 or 1, from bit `first` on. */
void plain_bool_decode(const uint8_t *in, size_t first, uint8_t *out, size_t n);
/* n byte arrays, each a u32 length and its bytes. offsets[0] is given; offsets[1..n] are written; bytes go to data + offsets[0] and on,
 * room for end - in and DECODE_PAD more. */
size_t plain_bytes_decode(const uint8_t *in, const uint8_t *end, uint8_t *data, uint32_t *offsets, size_t n);
/* out[i] = dict[index[i]], values of `width` bytes. The indices have been checked. */
void dict_gather(const uint8_t *dict, size_t width, const uint32_t *index, uint8_t *out, size_t n);
uint32_t index_max(const uint32_t *index, size_t n);
/* Bytes that the dictionary strings take. */
uint64_t dict_bytes_size(const uint32_t *dict_offsets, const uint32_t *index, size_t n);
/* Appends dictionary strings like plain_bytes_decode; loads up to DECODE_PAD past the dictionary's end. */
void dict_bytes_gather(const uint8_t *dict, const uint32_t *dict_offsets, const uint32_t *index, uint8_t *data, uint32_t *offsets, size_t n);

/* ---- DELTA_* ---- */

/* DELTA_BINARY_PACKED: the page must hold exactly n values. */
size_t delta_decode_i32(const uint8_t *in, const uint8_t *end, int32_t *out, size_t n);
size_t delta_decode_i64(const uint8_t *in, const uint8_t *end, int64_t *out, size_t n);
/* Lengths → offsets[1..n], given offsets[0]; returns the sum, or DECODE_BAD for a negative length or a sum over INT32_MAX. */
size_t lengths_to_offsets(const int32_t *lengths, uint32_t *offsets, size_t n);
/* DELTA_BYTE_ARRAY: value i = the first prefix[i] bytes of value i - 1, then its own suffix. delta_bytes_size checks the lengths (suffixes
 * lie within `avail` bytes) and returns the size of all values, or DECODE_BAD. delta_bytes_join then writes them. */
uint64_t delta_bytes_size(const int32_t *prefix, const int32_t *suffix, size_t n, size_t avail);
void delta_bytes_join(const int32_t *prefix, const int32_t *suffix, const uint8_t *suffixes, uint8_t *data, uint32_t *offsets, size_t n);

/* ---- BYTE_STREAM_SPLIT ---- */

/* `width` streams of n bytes → values first .. first + count - 1 of `width` bytes. */
void split_decode(const uint8_t *in, size_t n, size_t width, size_t first, uint8_t *out, size_t count);

#endif
