#include "parquet/encoding/encode.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define BATCH 32 /* values whose hashes are computed, and whose slots are fetched, before they are looked up */

#define K0 0x9e3779b97f4a7c15u
#define K1 0xd6e8feb86659fd93u

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}

static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}

/* Up to 16 bytes as two words, which with the length say all of them; never reads outside p .. p + n. */
struct words {
	uint64_t a, b;
};

static inline struct words words_of(const uint8_t *p, size_t n)
{
	if (n >= 8)
		return (struct words){ load64(p), load64(p + n - 8) };
	if (n >= 4)
		return (struct words){ load32(p), load32(p + n - 4) };
	if (n)
		return (struct words){ (uint64_t)p[0] | (uint64_t)p[n >> 1] << 8 | (uint64_t)p[n - 1] << 16, 0 };
	return (struct words){ 0, 0 };
}

static inline uint32_t hash_bytes(const uint8_t *p, size_t n)
{
	uint64_t h = n * K1;
	if (n <= 16) {
		struct words w = words_of(p, n);
		h = fold(w.a ^ h, w.b ^ K0);
	} else {
		const uint8_t *last = p + n - 16;
		for (; p < last; p += 16)
			h = fold(load64(p) ^ K1, load64(p + 8) ^ h);
		h = fold(load64(last) ^ K1, load64(last + 8) ^ h);
	}
	return (uint32_t)(h ^ h >> 32);
}

uint32_t dict_hash(const uint8_t *value, size_t len)
{
	return hash_bytes(value, len);
}

static inline bool same_bytes(const uint8_t *x, const uint8_t *y, size_t n)
{
	if (n <= 16) {
		struct words v = words_of(x, n), w = words_of(y, n);
		return ((v.a ^ w.a) | (v.b ^ w.b)) == 0;
	}
	for (size_t i = 0;; i = i + 32 < n ? i + 16 : n - 16) {
		if (((load64(x + i) ^ load64(y + i)) | (load64(x + i + 8) ^ load64(y + i + 8))) != 0)
			return false;
		if (i + 16 == n)
			return true;
	}
}

static inline uint32_t hash_int(uint64_t v)
{
	uint64_t h = fold(v ^ K1, K0);
	return (uint32_t)(h ^ h >> 32);
}

/* The loop is the same for all kinds of values: HASH(i) of the i-th value, SAME(entry, i) whether it is that entry, SIZE(i) its bytes in
 * the dictionary page, PUT(entry, i) writes it there. */
#define DICT_ADD_LOOP(HASH, SAME, SIZE, PUT)                                                                    \
	uint32_t hashes[BATCH];                                                                                 \
	struct dict_slot *slots = d->slots;                                                                     \
	size_t mask = d->slot_mask;                                                                             \
	for (size_t at = first; at < first + n; at += BATCH) {                                                  \
		size_t count = first + n - at < BATCH ? first + n - at : BATCH;                                 \
		for (size_t k = 0; k < count; k++) {                                                            \
			hashes[k] = HASH(at + k);                                                            \
			__builtin_prefetch(&slots[hashes[k] & mask]);                                           \
		}                                                                                               \
		for (size_t k = 0; k < count; k++) {                                                            \
			size_t i = at + k, s = hashes[k] & mask;                                                \
			uint32_t entry;                                                                         \
			while ((entry = slots[s].entry) != 0 && !(slots[s].hash == hashes[k] && SAME(entry - 1, i))) { \
				s = (s + 1) & mask;                                                             \
				d->probes++;                                                                    \
			}                                                                                       \
			if (!entry) {                                                                           \
				if (d->count == d->limit || d->page_cap - d->page_len < SIZE(i))                \
					return i - first;                                                       \
				PUT(d->count, i);                                                               \
				d->page_len += SIZE(i);                                                         \
				slots[s] = (struct dict_slot){ hashes[k], entry = ++d->count };                 \
			}                                                                                       \
			indices[i] = entry - 1;                                                                 \
		}                                                                                               \
	}                                                                                                       \
	return n

#define INT_HASH(i) hash_int(values[i])
#define INT_SAME(e, i) (load_int(d->page, e) == values[i])
#define INT_SIZE(i) (sizeof *values)
#define INT_PUT(e, i) (memcpy(d->page + d->page_len, &values[i], sizeof *values))
#define load_int(p, e) (((const uint32_t *)(const void *)(p))[e])
size_t dict_add_u32(struct dict *d, const uint32_t *values, size_t first, size_t n, uint32_t *indices)
{
	DICT_ADD_LOOP(INT_HASH, INT_SAME, INT_SIZE, INT_PUT);
}
#undef load_int
#define load_int(p, e) (((const uint64_t *)(const void *)(p))[e])
size_t dict_add_u64(struct dict *d, const uint64_t *values, size_t first, size_t n, uint32_t *indices)
{
	DICT_ADD_LOOP(INT_HASH, INT_SAME, INT_SIZE, INT_PUT);
}

static inline void put_bytes(struct dict *d, uint32_t entry, const uint8_t *p, uint32_t len)
{
	uint8_t *to = d->page + d->page_len;
	d->where[entry] = (uint32_t)d->page_len;
	memcpy(to, &len, 4);
	if (len)
		memcpy(to + 4, p, len);
}

static inline bool same_entry(const struct dict *d, uint32_t entry, const uint8_t *p, uint32_t len)
{
	const uint8_t *q = d->page + d->where[entry];
	return load32(q) == len && same_bytes(q + 4, p, len);
}

#define BYTES_LEN(i) (offsets[(i) + 1] - offsets[i])
#define BYTES_HASH(i) hash_bytes(data + offsets[i], BYTES_LEN(i))
#define BYTES_SAME(e, i) same_entry(d, e, data + offsets[i], BYTES_LEN(i))
#define BYTES_SIZE(i) (4 + (size_t)BYTES_LEN(i))
#define BYTES_PUT(e, i) put_bytes(d, e, data + offsets[i], BYTES_LEN(i))
static size_t dict_add_bytes_portable(struct dict *d, const uint8_t *data, const uint32_t *offsets, size_t first, size_t n, uint32_t *indices)
{
	DICT_ADD_LOOP(BYTES_HASH, BYTES_SAME, BYTES_SIZE, BYTES_PUT);
}

#define FIXED_HASH(i) hash_bytes(data + (i) * width, width)
#define FIXED_SAME(e, i) same_bytes(d->page + (size_t)(e) * width, data + (i) * width, width)
#define FIXED_SIZE(i) (width)
#define FIXED_PUT(e, i) (memcpy(d->page + d->page_len, data + (i) * width, width))
size_t dict_add_fixed(struct dict *d, const uint8_t *data, size_t width, size_t first, size_t n, uint32_t *indices)
{
	DICT_ADD_LOOP(FIXED_HASH, FIXED_SAME, FIXED_SIZE, FIXED_PUT);
}

/* ---- with AVX2 and AES -------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define DICT_TARGET __attribute__((target("avx2,aes,bmi,bmi2")))

static const uint8_t ones_then_zeros[64] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
					     255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };

/* Values of up to 32 bytes go without a branch on their length: lengths that change from value to value would cost more in
 * mispredictions than the hash does. Reads 32 bytes from p, however short the value is. */
DICT_TARGET static inline uint32_t hash_avx2(const uint8_t *p, uint32_t n)
{
	__m128i key = _mm_set_epi64x((int64_t)K0, (int64_t)(K1 + n));
	__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
	if (n > 32) {
		__m128i a = key, b = key;
		const uint8_t *last = p + n - 32;
		for (; p < last; p += 32) {
			a = _mm_aesenc_si128(a, _mm_loadu_si128((const __m128i *)(const void *)p));
			b = _mm_aesenc_si128(b, _mm_loadu_si128((const __m128i *)(const void *)(p + 16)));
		}
		key = _mm_aesenc_si128(a, b);
		v = _mm256_loadu_si256((const __m256i *)(const void *)last);
	} else {
		v = _mm256_and_si256(v, _mm256_loadu_si256((const __m256i *)(const void *)(ones_then_zeros + 32 - n)));
	}
	__m128i h = _mm_aesenc_si128(_mm_xor_si128(key, _mm256_castsi256_si128(v)), _mm256_extracti128_si256(v, 1));
	h = _mm_aesenc_si128(_mm_aesenc_si128(h, key), key);
	return (uint32_t)_mm_cvtsi128_si32(h);
}

/* The last values, behind which there are no 32 bytes to read. */
DICT_TARGET static uint32_t hash_avx2_last(const uint8_t *p, uint32_t n)
{
	uint8_t copy[32];
	if (n >= 32)
		return hash_avx2(p, n);
	memcpy(copy, p, n);
	return hash_avx2(copy, n);
}

/* A bit for each of 32 bytes that is not the same. */
DICT_TARGET static inline uint32_t differ_avx2(const uint8_t *p, const uint8_t *q)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p), w = _mm256_loadu_si256((const __m256i *)(const void *)q);
	return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, w));
}

/* Whether entry is the value, of which 32 bytes can be read. */
DICT_TARGET static inline bool same_avx2(const struct dict *d, uint32_t entry, const uint8_t *p, uint32_t n)
{
	const uint8_t *q = d->page + d->where[entry];
	if (load32(q) != n)
		return false;
	q += 4;
	if (n <= 32)
		return _bzhi_u32(differ_avx2(p, q), n) == 0;
	for (uint32_t i = 0; i + 32 < n; i += 32)
		if (differ_avx2(p + i, q + i))
			return false;
	return differ_avx2(p + n - 32, q + n - 32) == 0;
}

#define AVX2_SAFE(i) (offsets[i] + 32 <= end)
#define AVX2_HASH(i) (AVX2_SAFE(i) ? hash_avx2(data + offsets[i], BYTES_LEN(i)) : hash_avx2_last(data + offsets[i], BYTES_LEN(i)))
#define AVX2_SAME(e, i) \
	(AVX2_SAFE(i) ? same_avx2(d, e, data + offsets[i], BYTES_LEN(i)) : same_entry(d, e, data + offsets[i], BYTES_LEN(i)))
DICT_TARGET static size_t dict_add_bytes_avx2(struct dict *d, const uint8_t *data, const uint32_t *offsets, size_t first, size_t n,
					      uint32_t *indices)
{
	const size_t end = offsets[first + n];
	DICT_ADD_LOOP(AVX2_HASH, AVX2_SAME, BYTES_SIZE, BYTES_PUT);
}
#endif

size_t dict_add_bytes(struct dict *d, const uint8_t *data, const uint32_t *offsets, size_t first, size_t n, uint32_t *indices)
{
#if defined(__x86_64__)
	if (encode_simd)
		return dict_add_bytes_avx2(d, data, offsets, first, n, indices);
#endif
	return dict_add_bytes_portable(d, data, offsets, first, n, indices);
}

bool encode_simd;

void encode_use_simd(bool use)
{
#if defined(__x86_64__)
	__builtin_cpu_init();
	use = use && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("aes");
#endif
	encode_simd = use;
}

__attribute__((constructor)) static void encode_detect(void)
{
	encode_use_simd(true);
}

void dict_rehash(struct dict *d, struct dict_slot *slots, size_t slot_mask)
{
	for (size_t i = 0; i <= d->slot_mask && d->slots; i++) {
		if (!d->slots[i].entry)
			continue;
		size_t s = d->slots[i].hash & slot_mask;
		while (slots[s].entry)
			s = (s + 1) & slot_mask;
		slots[s] = d->slots[i];
	}
	d->slots = slots;
	d->slot_mask = slot_mask;
}
