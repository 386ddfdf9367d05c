/* Output that does not hold up who makes it: what its reader has not taken yet waits in a file without a name. For answers whose maker is not ours for
 * long, a query's process in the server, while they stand in a pager.
 *
 * Promise: bytes arrive in order, or an error says that they did not. At most `max` bytes wait; then, or where there is no room for the file, the writer
 *   waits, as he would without it.
 * Ownership: the descriptor is borrowed. Threads: one writer; a thread of its own writes to the descriptor.
 */
#ifndef APP_SPOOL_H
#define APP_SPOOL_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct spool;
rc_t spool_open(int fd, uint64_t max, struct spool **ret, struct err *reterr);
rc_t spool_write(struct spool *s, struct slice bytes, struct err *reterr); /* RC_CANCELLED: nobody reads any more */
/* Waits until all is out, and frees it. */
rc_t spool_close(struct spool *s, struct err *reterr);

#endif
