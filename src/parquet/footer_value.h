/* Values of the footer's key/value pairs. parquet.thrift declares them as `string`, and readers that check (those in Rust) refuse the whole
 * file for one that is not UTF-8. Bytes that are no text stand as "base64:" and their base64 (RFC 4648 section 4, padded).
 *
 * Threads: both are pure.
 */
#ifndef PARQUET_FOOTER_VALUE_H
#define PARQUET_FOOTER_VALUE_H

#include "base/arena.h"
#include "base/slice.h"

/* The value as it goes into the footer; freshly allocated (free ret.data), also when value is text already. */
struct slice footer_value_encode(struct slice value);
/* The bytes again: text itself, or what its base64 gives, from a. A value of others that only looks like ours is left as it is. */
struct slice footer_value_decode(struct slice text, struct arena *a);

#endif
