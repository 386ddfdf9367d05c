/* Encoders of Parquet values and levels: kernels (DESIGN idea 3). Pure loops over arrays: no allocation, no errors, std headers only.
 * The caller gives an output of at least the bound's size; each returns the bytes written. Encodings.md of the format is the spec.
 */
#ifndef PARQUET_ENCODING_ENCODE_H
#define PARQUET_ENCODING_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether kernels with AVX2 are used: at the start if the processor has it. The bytes are the same. For tests. */
extern bool encode_simd;
void encode_use_simd(bool use);

/* --- RLE / bit-packed hybrid (RLE = 3), without the length in front ---------------------------------------------------
 * run = varint header; header even: header >> 1 copies of one value of ceil(width / 8) bytes; odd: (header >> 1) groups of 8
 * values, `width` bits each, least significant first. Values must be < 2^width; width 1..32 (0 gives one run without a value). */
size_t encode_rle_bound(size_t n, unsigned width);
size_t encode_rle_u8(uint8_t *out, const uint8_t *in, size_t n, unsigned width);
size_t encode_rle_u32(uint8_t *out, const uint32_t *in, size_t n, unsigned width);
/* Width 1, values are the bits from .. from + n of a bitmap. */
size_t encode_rle_bits(uint8_t *out, const uint64_t *bitmap, size_t from, size_t n);
/* n times the same value. */
size_t encode_rle_same(uint8_t *out, uint32_t value, size_t n, unsigned width);
/* Bits that values 0 .. max need; 0 for max = 0. */
unsigned encode_width(uint32_t max);

/* --- PLAIN (0) -------------------------------------------------------------------------------------------------------- */
/* Booleans, one byte each in, one bit each out. */
size_t encode_plain_bool(uint8_t *out, const uint8_t *in, size_t n);
/* 4-byte length and the bytes, for the values first .. first + n of data/offsets. Bound: 4n + bytes. */
size_t encode_plain_bytes(uint8_t *out, const uint8_t *data, const uint32_t *offsets, size_t first, size_t n);
/* 16-byte little-endian two's complement to `width`-byte big-endian. False if a value does not fit (out is then undefined). */
bool encode_decimal(uint8_t *out, const uint8_t *in, size_t n, size_t width);

/* --- DELTA_BINARY_PACKED (5): blocks of 128 values, 4 miniblocks ------------------------------------------------------ */
size_t encode_delta_bound(size_t n, size_t value_bytes);
size_t encode_delta_i32(uint8_t *out, const int32_t *in, size_t n);
size_t encode_delta_i64(uint8_t *out, const int64_t *in, size_t n);

/* --- DELTA_LENGTH_BYTE_ARRAY (6), DELTA_BYTE_ARRAY (7) ---------------------------------------------------------------- *
 * lengths (and prefixes) are scratch of n entries. Bounds: bytes + 1 or 2 × encode_delta_bound(n, 4). */
size_t encode_delta_length(uint8_t *out, const uint8_t *data, const uint32_t *offsets, size_t first, size_t n, int32_t *lengths);
/* DELTA_BYTE_ARRAY in which no value has a prefix: DELTA_LENGTH_BYTE_ARRAY for readers that do not know it. */
size_t encode_delta_whole(uint8_t *out, const uint8_t *data, const uint32_t *offsets, size_t first, size_t n, int32_t *prefixes, int32_t *lengths);
size_t encode_delta_bytes(uint8_t *out, const uint8_t *data, const uint32_t *offsets, size_t first, size_t n, int32_t *prefixes,
			  int32_t *lengths);

/* --- BYTE_STREAM_SPLIT (9): n * width bytes --------------------------------------------------------------------------- */
size_t encode_split(uint8_t *out, const uint8_t *in, size_t n, size_t width);

/* --- dictionary building ----------------------------------------------------------------------------------------------
 * Open addressing, a quarter full at most: a value whose slot is taken costs a misprediction. The arrays belong to the caller. Entries are numbered by first occurrence and stand in `page` as
 * the dictionary page wants them: PLAIN. */
struct dict_slot {
	uint32_t hash;
	uint32_t entry; /* entry + 1; 0 = empty */
};

struct dict {
	struct dict_slot *slots; /* slot_mask + 1, zeroed at the start */
	size_t slot_mask;
	uint32_t count;       /* entries */
	uint32_t limit;       /* entries that fit: where[] and a quarter of slots */
	uint8_t *page;        /* page_cap + 32 bytes, aligned to the values */
	size_t page_len, page_cap;
	uint32_t *where;      /* variable length: entry → where its length stands in page */
	uint64_t probes;      /* slots looked at besides each value's own: crafted values show here */
};

/* Each numbers the values first .. first + n into indices[first ...]; returns how many it did: fewer only when a new value comes and
 * count has reached limit or page has no room for it. */
size_t dict_add_u32(struct dict *d, const uint32_t *values, size_t first, size_t n, uint32_t *indices);
size_t dict_add_u64(struct dict *d, const uint64_t *values, size_t first, size_t n, uint32_t *indices);
size_t dict_add_bytes(struct dict *d, const uint8_t *data, const uint32_t *offsets, size_t first, size_t n, uint32_t *indices);
size_t dict_add_fixed(struct dict *d, const uint8_t *data, size_t width, size_t first, size_t n, uint32_t *indices);
/* For estimates; not the hash of the tables. */
uint32_t dict_hash(const uint8_t *value, size_t len);
/* Moves the entries into a larger zeroed table. */
void dict_rehash(struct dict *d, struct dict_slot *slots, size_t slot_mask);

#endif
