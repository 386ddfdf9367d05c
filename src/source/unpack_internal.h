/* A stream that may be packed: gzip (RFC 1952, any number of members, zero padding behind the last) or zstd (RFC 8878, any number of frames,
 * skippable ones too) give what is in them; everything else comes through as it is. Told by the first bytes.
 * Memory: 256 KiB, and zstd's window (at most 128 MiB; files packed below --ultra want 8). */
#ifndef SOURCE_UNPACK_INTERNAL_H
#define SOURCE_UNPACK_INTERNAL_H

#include "base/err.h"
#include "base/mem.h"
#include "base/slice.h"

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

#define PACKING_HEAD 4 /* bytes that tell */
enum packing packing_of(struct slice head);

struct unpack;
/* Reads fd from where it stands; name is for messages, borrowed. */
struct unpack *unpack_new(int fd, const char *name);
void unpack_free(struct unpack *u);
AUTO_DEFINE(unpack, unpack_free)
/* Some unpacked bytes, at most len; 0: the end. RC_CORRUPT: damaged, or cut off. */
rc_t unpack_read(struct unpack *u, uint8_t *out, size_t len, size_t *ret_got, struct err *reterr);
uint64_t unpack_taken(const struct unpack *u); /* bytes read from fd */

#endif
