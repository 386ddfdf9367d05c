/* Where a command's result goes. What the path is decides how it is written: `-` is standard output; a device or pipe that is there is written to
 * as it is; anything else is a file, which gets its name when it is complete and replaces what had that name, so that a command that fails
 * leaves nothing half done. Bytes are written in order. */
#ifndef OS_OUTPUT_H
#define OS_OUTPUT_H

#include "base/err.h"
#include "base/slice.h"

struct output {
	int fd;
	const char *name; /* for messages; the caller's path */
	char *temp;	  /* the file until it is complete; NULL: written in place */
};

#define OUTPUT_CLOSED { .fd = -1 }

/* RC_INVALID: the path is a folder. */
rc_t output_open(const char *path, struct output *ret, struct err *reterr);
rc_t output_write(const struct output *o, struct slice bytes, struct err *reterr);
/* rc: how the work ended; the result, which is an error of closing if that is the first. A file appears if it is RC_OK, synced before if
 * `durable`. Closed already: rc. */
rc_t output_close(struct output *o, rc_t rc, bool durable, struct err *reterr);

#endif
