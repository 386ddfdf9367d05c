/* Compiled with -mavx2: called only where the processor has it. */
#define XXH_INLINE_ALL
#include <stdlib.h>
#include <xxhash.h>

#include "base/hash_internal.h"

static struct hash128 from_xxh(XXH128_hash_t h)
{
	return (struct hash128){ h.low64, h.high64 };
}

struct hash128 hash128_wide(struct slice s)
{
	return from_xxh(XXH3_128bits(s.data, s.len));
}

void *hash_wide_new(void)
{
	void *state = XXH3_createState();
	if (!state)
		abort(); /* out of memory */
	return state;
}

void hash_wide_free(void *state)
{
	XXH3_freeState(state);
}

void hash_wide_reset(void *state)
{
	XXH3_128bits_reset(state);
}

void hash_wide_add(void *state, const void *data, size_t len)
{
	XXH3_128bits_update(state, data, len);
}

struct hash128 hash_wide_value(const void *state)
{
	return from_xxh(XXH3_128bits_digest(state));
}
