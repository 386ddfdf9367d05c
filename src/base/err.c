#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const rc_names[] = {
	[RC_OK] = "ok",           [RC_EOF] = "end",         [RC_AGAIN] = "again",     [RC_NOT_FOUND] = "not found",
	[RC_CONFLICT] = "conflict", [RC_INVALID] = "invalid", [RC_CORRUPT] = "corrupt", [RC_LIMIT] = "limit",
	[RC_UNSUPPORTED] = "unsupported", [RC_IO] = "i/o error",  [RC_CANCELLED] = "cancelled",
};

const char *rc_name(rc_t rc)
{
	return (unsigned)rc < sizeof(rc_names) / sizeof(*rc_names) ? rc_names[rc] : "unknown code";
}

/* An error is one line: line ends inside (a file name, a peer's message) become spaces. */
static void err_one_line(struct err *e)
{
	for (char *p = e->text; *p; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
}

rc_t err_set(struct err *reterr, rc_t rc, const char *fmt, ...)
{
	if (!reterr)
		return rc;
	struct err e = { .rc = rc };
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e.text, sizeof e.text, fmt, ap);
	va_end(ap);
	err_one_line(&e);
	*reterr = e;
	return rc;
}

rc_t err_errno(struct err *reterr, rc_t rc, const char *fmt, ...)
{
	int saved = errno;
	if (saved == ENOSPC || saved == EDQUOT || saved == EFBIG)
		rc = RC_LIMIT;
	if (!reterr)
		return rc;
	struct err e = { .rc = rc, .sys_errno = saved };
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e.text, sizeof e.text, fmt, ap);
	va_end(ap);
	size_t n = strlen(e.text);
	snprintf(e.text + n, sizeof e.text - n, ": %s", strerror(saved));
	err_one_line(&e);
	*reterr = e;
	return rc;
}

rc_t err_prefix(struct err *reterr, const char *fmt, ...)
{
	if (!reterr)
		return RC_OK;
	char old[sizeof reterr->text];
	memcpy(old, reterr->text, sizeof old);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(reterr->text, sizeof reterr->text, fmt, ap);
	va_end(ap);
	size_t n = strlen(reterr->text);
	snprintf(reterr->text + n, sizeof reterr->text - n, ": %s", old);
	err_one_line(reterr);
	return reterr->rc;
}

void err_clear(struct err *reterr)
{
	if (reterr)
		*reterr = (struct err){ .rc = RC_OK };
}
