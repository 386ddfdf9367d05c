/* HTTP client over libcurl, for sinks and for commands that ask their server.
 *
 * Promise: connections are reused; redirects are not followed; every phase has a time limit. The answer's body is streamed.
 * Threads: one client, one thread at a time.
 */
#ifndef NET_CLIENT_H
#define NET_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/slice.h"

struct net_client;
rc_t net_client_new(struct net_client **ret, struct err *reterr);
void net_client_free(struct net_client *c);
AUTO_DEFINE(net_client, net_client_free)

struct net_call {
	const char *method;           /* "GET", "POST", … */
	const char *url;
	const char *const *headers;   /* "Name: value", NULL-terminated; may be NULL */
	struct slice body;            /* of POST and PUT */
	int64_t idle_us;              /* gives up when nothing moves for so long; 0: 60 s */
	/* Pieces of a 2xx answer's body; may be NULL. Anything but RC_OK ends the call with it. */
	rc_t (*on_body)(void *ctx, struct slice piece, struct err *reterr);
	void (*on_header)(void *ctx, struct slice line); /* "Name: value" lines; may be NULL */
	void *ctx;
};
/* RC_OK for any status; an answer other than 2xx leaves its body's first 64 KiB in *ret_error_body (may be NULL).
 * RC_IO: no answer (retryable). */
rc_t net_request(struct net_client *c, const struct net_call *call, int *ret_status, struct buf *ret_error_body, struct err *reterr);

#endif
