/* HTTP client over libcurl, for sinks, for commands that ask their server, and for object stores.
 *
 * Promise: connections are reused, by a client and by those that a pool hands out in turn; redirects are not followed; every phase has a time
 *   limit. Bodies are streamed both ways: an upload from a file is read as it goes out. Paths go out as they are given ("." and ".."
 *   parts, too: a key may look like that). Proxies of the environment are used, but never for this machine and never for link-local addresses.
 * Not promised: HTTP/2.
 * Threads: one client, one thread at a time; a pool, any number.
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

/* Clients with warm connections, at most `keep` of them idle. */
struct net_pool;
struct net_pool *net_pool_new(unsigned keep);
void net_pool_free(struct net_pool *p); /* every client must have been given back */
rc_t net_pool_take(struct net_pool *p, struct net_client **ret, struct err *reterr);
void net_pool_give(struct net_pool *p, struct net_client *c); /* NULL is fine */

#define NET_NEVER ((int64_t)-1)
struct net_call {
	const char *method;           /* "GET", "POST", … */
	const char *url;
	const char *const *headers;   /* "Name: value", NULL-terminated; may be NULL; "Name;" sends an empty one, "Name:" none */
	struct slice body;            /* of POST and PUT */
	bool from_file;               /* the body is upload_len bytes of upload_fd from upload_offset on (pread: the fd may be shared) */
	int upload_fd;
	uint64_t upload_offset, upload_len;
	const char *pinned_key;       /* "sha256//…": https is trusted by this key alone, whoever signed it for whatever name; NULL: by authorities */
	int64_t idle_us;              /* gives up when nothing moves for so long; 0: 60 s, NET_NEVER */
	const int64_t *idle_now;      /* the same, looked at (atomically) every second meanwhile, while not 0; may be NULL */
	const bool *cancel;           /* ends the call with RC_CANCELLED within about a second of being set (atomically); may be NULL */
	int64_t connect_us;           /* time limit of connecting; 0: 10 s */
	int64_t total_us;             /* of the whole call; 0: none */
	const char *ca_file;          /* PEM of whom to trust; NULL: the system's */
	bool direct;                  /* no proxy, whatever the environment says */
	/* Pieces of a 2xx answer's body; may be NULL. Anything but RC_OK ends the call with it. */
	rc_t (*on_body)(void *ctx, struct slice piece, struct err *reterr);
	void (*on_header)(void *ctx, struct slice line); /* "Name: value" lines; may be NULL */
	void *ctx;
	bool *ret_sent;               /* after a failure: the server may have seen the request; may be NULL */
	bool *ret_twice;              /* after an answer: the server may have seen it once before, on a kept connection that broke; may be NULL */
};
/* RC_OK for any status; an answer other than 2xx leaves its body's first 64 KiB in *ret_error_body (may be NULL).
 * RC_IO: no answer, or half of one (retryable, unless the certificate or the URL is what is wrong). */
rc_t net_request(struct net_client *c, const struct net_call *call, int *ret_status, struct buf *ret_error_body, struct err *reterr);
/* The bytes that the client's last call sent and received, bodies and heads. */
void net_client_bytes(const struct net_client *c, uint64_t *ret_up, uint64_t *ret_down);
/* A host that needs no network but this machine's: 127.*, localhost, [::1]. host may have a port. */
bool net_is_loopback(const char *host);

#endif
