/* Return codes and the error a caller owns.
 *
 * Every function that can fail is `rc_t f(object, inputs, ret_outputs, struct err *reterr)`. The code says what the
 * caller should do; the text (one line: what, which thing, why, what to do) and the rest travel in struct err.
 * Outputs are untouched on failure. reterr may be NULL.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

typedef enum rc {
	RC_OK = 0,
	RC_EOF,         /* no more of it: a normal end */
	RC_AGAIN,       /* nothing now: wait and call again */
	RC_NOT_FOUND,   /* the named thing does not exist */
	RC_CONFLICT,    /* somebody else changed it: reload and decide again */
	RC_INVALID,     /* the caller's (finally the user's) input is wrong */
	RC_CORRUPT,     /* stored bytes are not what was written */
	RC_LIMIT,       /* a limit of ours, or a full disk, refuses it */
	RC_UNSUPPORTED, /* a legal thing that this program does not do */
	RC_IO,          /* the system or the network failed */
	RC_CANCELLED    /* asked to stop */
} rc_t;

struct err {
	rc_t rc;
	int sys_errno;  /* 0 if no system call was involved */
	int status;     /* HTTP status that goes with it, 0 if none */
	bool retryable; /* the same call may succeed later */
	char text[512]; /* one line, NUL-terminated */
};

/* Fill *reterr (if given) and return rc, so that `return err_set(…)` reads as one step. */
rc_t err_set(struct err *reterr, rc_t rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same, with ": <strerror(errno)>" appended and sys_errno set; ENOSPC, EDQUOT give RC_LIMIT, ENOENT keeps rc. */
rc_t err_errno(struct err *reterr, rc_t rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Put "<text>: " before the text that is there; returns the code that is there. */
rc_t err_prefix(struct err *reterr, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_clear(struct err *reterr);
const char *rc_name(rc_t rc);

#define TRY(call)                       \
	do {                            \
		rc_t try_rc_ = (call);  \
		if (try_rc_ != RC_OK)   \
			return try_rc_; \
	} while (0)

#endif
