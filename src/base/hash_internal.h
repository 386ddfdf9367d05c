/* XXH3 of 128 bits once more, compiled for AVX2: the library's is for every processor, and takes twice as long over an event. */
#ifndef BASE_HASH_INTERNAL_H
#define BASE_HASH_INTERNAL_H

#include "base/hash.h"

#define WIDE_MIN 241 /* bytes; what is shorter is not hashed with vectors */

#if defined(__x86_64__)
struct hash128 hash128_wide(struct slice s);
void *hash_wide_new(void);
void hash_wide_free(void *state); /* NULL is fine */
void hash_wide_reset(void *state);
void hash_wide_add(void *state, const void *data, size_t len);
struct hash128 hash_wide_value(const void *state);
#else /* never called */
#define hash128_wide(s) ((struct hash128){ 0, 0 })
#define hash_wide_new() NULL
#define hash_wide_free(state) ((void)(state))
#define hash_wide_reset(state) ((void)(state))
#define hash_wide_add(state, data, len) ((void)(state), (void)(data), (void)(len))
#define hash_wide_value(state) ((struct hash128){ 0, 0 })
#endif

#endif
