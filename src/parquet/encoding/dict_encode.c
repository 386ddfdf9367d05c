#include "parquet/encoding/encode.h"

#include <string.h>

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

#define K0 0x9e3779b97f4a7c15u
#define K1 0xd6e8feb86659fd93u

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}

static inline uint64_t load32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}

/* Never reads outside p .. p + n. */
static inline uint64_t hash_bytes(const uint8_t *p, size_t n)
{
	uint64_t h = n * K1;
	if (n >= 8) {
		const uint8_t *last = p + n - 8;
		for (; p < last; p += 8)
			h = fold(h ^ load64(p), K0);
		return fold(h ^ load64(last), K1);
	}
	if (n >= 4)
		return fold(h ^ (load32(p) << 32 | load32(p + n - 4)), K1);
	if (n)
		return fold(h ^ ((uint64_t)p[0] << 16 | (uint64_t)p[n >> 1] << 8 | p[n - 1]), K1);
	return h;
}

static inline size_t slot_of(uint64_t hash)
{
	return (size_t)(hash ^ hash >> 32);
}

#define DEFINE_DICT_ADD_INT(NAME, T)                                                                 \
	size_t NAME(struct dict *d, const T *values, size_t first, size_t n, uint32_t *indices)      \
	{                                                                                            \
		for (size_t i = first; i < first + n; i++) {                                         \
			uint64_t v = values[i];                                                      \
			size_t s = slot_of(fold(v ^ K1, K0)) & d->slot_mask;                         \
			while (d->slots[s].entry && d->slots[s].key != v) {                          \
				s = (s + 1) & d->slot_mask;                                          \
				d->probes++;                                                         \
			}                                                                            \
			struct dict_slot *slot = &d->slots[s];                                       \
			if (!slot->entry) {                                                          \
				if (d->count == d->limit)                                            \
					return i - first;                                            \
				d->first[d->count++] = (uint32_t)i;                                  \
				*slot = (struct dict_slot){ v, d->count, sizeof(T) };                \
				d->value_bytes += sizeof(T);                                         \
			}                                                                            \
			indices[i] = slot->entry - 1;                                                \
		}                                                                                    \
		return n;                                                                            \
	}

DEFINE_DICT_ADD_INT(dict_add_u32, uint32_t)
DEFINE_DICT_ADD_INT(dict_add_u64, uint64_t)

#define DEFINE_DICT_ADD_RUN(NAME, PARAMS, FROM, LEN)                                                                      \
	size_t NAME(struct dict *d, const uint8_t *data, PARAMS, size_t first, size_t n, uint32_t *indices)                \
	{                                                                                                                  \
		for (size_t i = first; i < first + n; i++) {                                                               \
			const uint8_t *p = data + FROM(i);                                                                 \
			uint32_t len = (uint32_t)(LEN(i));                                                                 \
			uint64_t h = hash_bytes(p, len);                                                                   \
			size_t s = slot_of(h) & d->slot_mask;                                                              \
			while (d->slots[s].entry &&                                                                        \
			       !(d->slots[s].key == h && d->slots[s].bytes == len &&                                       \
				 (len == 0 || memcmp(data + FROM((size_t)d->first[d->slots[s].entry - 1]), p, len) == 0))) { \
				s = (s + 1) & d->slot_mask;                                                                \
				d->probes++;                                                                               \
			}                                                                                                  \
			struct dict_slot *slot = &d->slots[s];                                                             \
			if (!slot->entry) {                                                                                \
				if (d->count == d->limit)                                                                  \
					return i - first;                                                                  \
				d->first[d->count++] = (uint32_t)i;                                                        \
				*slot = (struct dict_slot){ h, d->count, len };                                            \
				d->value_bytes += len;                                                                     \
			}                                                                                                  \
			indices[i] = slot->entry - 1;                                                                      \
		}                                                                                                          \
		return n;                                                                                                  \
	}

#define RUN_FROM(i) (offsets[i])
#define RUN_LEN(i) (offsets[(i) + 1] - offsets[i])
DEFINE_DICT_ADD_RUN(dict_add_bytes, const uint32_t *offsets, RUN_FROM, RUN_LEN)
#define FIXED_FROM(i) ((i) * width)
#define FIXED_LEN(i) (width)
DEFINE_DICT_ADD_RUN(dict_add_fixed, size_t width, FIXED_FROM, FIXED_LEN)

void dict_rehash(struct dict *d, struct dict_slot *slots, size_t slot_mask, size_t value_width)
{
	bool is_int = value_width == 4 || value_width == 8;
	for (size_t i = 0; i <= d->slot_mask && d->slots; i++) {
		const struct dict_slot *old = &d->slots[i];
		if (!old->entry)
			continue;
		size_t s = slot_of(is_int ? fold(old->key ^ K1, K0) : old->key) & slot_mask;
		while (slots[s].entry)
			s = (s + 1) & slot_mask;
		slots[s] = *old;
	}
	d->slots = slots;
	d->slot_mask = slot_mask;
}
