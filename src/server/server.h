/* The HTTP API over a pipeline: ingest, reading, health. DESIGN section 2, HTTP.
 *
 * Promise: a 200 to an ingest request is sent only after its events are durable in the log. Reading happens on worker threads, a bounded
 *   number at a time; ingest never waits for it. Half of them may wait an hour for a reader at rest (search, replay), SQL never longer than
 *   the server's idle_time.
 * Ownership: borrows the pipeline. Threads: start, drain, free from one thread.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "base/err.h"
#include "base/mem.h"
#include "http/http.h"
#include "pipeline/pipeline.h"
#include "server/access.h"

struct server_options {
	const char *listen;   /* "127.0.0.1:7311" */
	/* If there is any: every /v1 request needs "Authorization: Bearer TOKEN". token may do everything. Copied. */
	const char *token;
	const struct access_token *tokens;
	size_t token_count;
	struct http_tls *tls; /* NULL = plain HTTP; taken over by a start that succeeds */
	unsigned loops;       /* 0 = one a core */
	struct pipeline *pipeline;
	uint64_t sql_memory_bytes; /* of a query's child process; 0 = its default */
	uint64_t soft_bytes, share_bytes; /* a collection's backlog from which acks are slowed, and at which they are refused; 0 = never slowed */
	uint64_t body_memory; /* for request bodies of all connections; 0 = the HTTP server's default */
	const char *const *meta_headers; /* allow-listed request headers for __meta, lower case; NULL-terminated; may be NULL */
};

struct server;
rc_t server_start(const struct server_options *opts, struct server **ret, struct err *reterr);
const char *server_address(const struct server *s);
/* From the next request on: other tokens, and for new connections another certificate (taken over). Connections stay. */
void server_set_access(struct server *s, const char *token, const struct access_token *tokens, size_t count);
void server_renew_tls(struct server *s, struct http_tls *tls);
/* No new connections, requests in work are answered; gives up at `deadline` (clock_mono_us). */
void server_drain(struct server *s, int64_t deadline);
void server_free(struct server *s);
AUTO_DEFINE(server, server_free)

#endif
