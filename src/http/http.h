/* HTTP/1.1 server: own epoll loops, strict parsing, whole (inflated) bodies to a handler that answers now or later, from any thread.
 *
 * Promise: requests of one connection are handed over in order and answered in order (pipelining, bounded); a body is complete, free
 * of transfer coding, gzip and zstd before the handler sees it; everything a client can send is bounded by struct http_limits and the
 * body memory; what is malformed or too slow is answered here, with the exact status, in the form
 * {"error":{"code":"…","message":"…"}}, and never reaches the handler. Completions are cheap from any thread: http_respond formats in the
 * calling thread and pushes to the loop's queue; only a push to an empty queue wakes the loop, which then writes once per connection.
 * So "200 durable requests at once" costs one wake-up a loop and one write a connection. An idle server does not wake up at all.
 * A slow client costs little: its body's memory grows with what it has sent, answers that it does not read are bounded (64 KiB and 64 MiB
 * for all, then one each), a body that stands still is not kept for what it sent fast before, and once three quarters of the body memory
 * are used, requests that have come in at less than body_rate for the last second or two are answered 408 at once. What was read of
 * requests that wait for memory is at most an eighth of it more: whose does not fit is answered 503.
 * With TLS (1.2 and 1.3, ALPN http/1.1) nothing else changes; a client that is slow with its handshake has header_time_us.
 * Not promised: client certificates, HTTP/2, upgrades. That a client which only closed its sending side is gone (see http_request_peer_closed).
 * Ownership: a request, and every slice its accessors give, is valid from check/handle until it is responded to: the call of
 * http_respond* or http_stream_end takes it away. Each request must be responded to exactly once, also while draining and after
 * http_server_stop, but before http_server_free.
 * Threads: check and handle run on the loop threads and must not block. A request may be handed to any one thread at a time.
 * Formats: RFC 9110, RFC 9112; gzip RFC 1952 (several members), zstd RFC 8878 (several frames, windows up to 8 MiB as RFC 9659).
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct http_server;
struct http_request;
struct http_tls; /* a certificate with its key, ready for use */

struct http_limits {
	size_t header_bytes;      /* request line and headers together: 431 (32 KiB; at most 1 MiB) */
	size_t target_bytes;      /* 414 (8 KiB) */
	unsigned header_count;    /* 431 (100; at most 1,000) */
	size_t body_bytes;        /* after inflation: 413 (64 MiB) */
	unsigned pipelined;       /* requests of one connection in work at a time; then it is not read (128) */
	unsigned max_connections; /* more get 503 and are closed (10,000, at most three quarters of RLIMIT_NOFILE) */
	int64_t header_time_us;   /* from the first byte of a head to its last: 408 (10 s) */
	int64_t body_time_us;     /* for a body, plus what it has sent at body_rate; standing still, or at under a 16th of body_rate: 408 (20 s) */
	uint64_t body_rate;       /* bytes a second that a long body must keep (16 KiB) */
	int64_t idle_time_us;     /* without a request: closed; also for a client that does not read its answer, or at under a 16th of body_rate (75 s) */
	int64_t memory_wait_us;   /* how long a body waits for body_memory, then 503 (5 s) */
};

struct http_server_options {
	const char *listen; /* "127.0.0.1:7311", "[::1]:0", "localhost:80"; port 0 = any free one. Copied. */
	unsigned loops;     /* threads; 0 = one a core */
	struct http_limits limits;
	/* Bytes of heads, bodies and inflaters held for all connections together (128 MiB). When it is used up, connections with more
	 * to read are not read until some is given back, at most memory_wait_us. At least 2 × body_bytes is wise. */
	uint64_t body_memory;
	struct http_tls *tls; /* NULL = plain HTTP. Taken over by a start that succeeds */
	/* Called once the head is there and is well-formed, before the body is read or "100 Continue" is sent; may be NULL. May respond, in
	 * the call itself only (401, 404, 413, 429 …): then handle is not called, a small body is skipped, else the connection
	 * is closed properly after the answer. http_request_body is empty here. */
	void (*check)(void *ctx, struct http_request *req);
	void (*handle)(void *ctx, struct http_request *req); /* the whole request is there */
	void *ctx;
};

struct http_server_stats {
	uint64_t connections;   /* open now */
	uint64_t accepted;      /* since the start */
	uint64_t refused;       /* over max_connections */
	uint64_t requests;      /* heads parsed, well-formed or not */
	uint64_t in_work;       /* handed over and not yet responded to */
	uint64_t responses[6];  /* by status / 100; [0] = never sent, the client was gone */
	uint64_t bytes_in, bytes_out;
	uint64_t body_memory;   /* in use of the budget now */
};

void http_server_options_init(struct http_server_options *o); /* the defaults named above, listen "127.0.0.1:7311" */
/* Listens and serves when it returns. RC_INVALID: listen is not an address; RC_CONFLICT: the port is taken; RC_IO. */
rc_t http_server_start(const struct http_server_options *o, struct http_server **ret, struct err *reterr);
uint16_t http_server_port(const struct http_server *s);
const char *http_server_address(const struct http_server *s); /* what it really listens on, "127.0.0.1:43211" */
void http_server_get_stats(const struct http_server *s, struct http_server_stats *ret); /* any thread */
/* Stops accepting, closes idle connections, lets running requests finish ("Connection: close") and waits for that until `deadline`
 * (clock_mono_us). RC_AGAIN: some were still running; they may go on until http_server_stop. Not from a loop thread. */
rc_t http_server_drain(struct http_server *s, int64_t deadline, struct err *reterr);
/* Closes every connection at once and ends the loops. Responding stays allowed (and goes nowhere). NULL and twice are harmless. */
void http_server_stop(struct http_server *s);
void http_server_free(struct http_server *s); /* stops first; every request must have been responded to. NULL is harmless. */
AUTO_DEFINE(http_server, http_server_free)

/* PEM files: the certificate with those that lead to its issuer, its key without a pass phrase. RC_INVALID: unreadable, or no pair. */
rc_t http_tls_load(const char *cert, const char *key, struct http_tls **ret, struct err *reterr);
void http_tls_free(struct http_tls *t);
AUTO_DEFINE(http_tls, http_tls_free)
#define HTTP_TLS_PIN_LEN 52 /* "sha256//", base64 of a hash */
/* The certificate's public key, as curl's pinnedpubkey wants it: who has it knows this server without asking an authority. */
void http_tls_pin(const struct http_tls *t, char ret[HTTP_TLS_PIN_LEN + 1]);
/* New connections get this one (taken over), open ones keep theirs. Only for a server that was started with TLS. Any thread. */
void http_server_renew_tls(struct http_server *s, struct http_tls *t);

/* ---- reading a request ---- */

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_PATCH, HTTP_OPTIONS, HTTP_OTHER };

enum http_method http_request_method(const struct http_request *req);
struct slice http_request_method_text(const struct http_request *req);
struct slice http_request_target(const struct http_request *req); /* as sent */
struct slice http_request_path(const struct http_request *req);   /* as sent, without the query, from its "/" on */
/* The path's parts between slashes, percent-decoded one by one: a decoded "/" stays inside its part. "/" has none, "/a/b" has
 * a and b, "/a/" has a and an empty one. Parts "." and "..", a NUL and a bad escape were refused with 400. */
unsigned http_request_segments(const struct http_request *req);
struct slice http_request_segment(const struct http_request *req, unsigned index); /* past the end: empty */
/* The first query parameter of that name, decoded ("+" is a space, too); false if absent. "?a" and "?a=" give an empty value. */
bool http_request_query(struct http_request *req, const char *name, struct slice *ret);
/* The index-th parameter, decoded; false past the end. */
bool http_request_query_at(struct http_request *req, unsigned index, struct slice *ret_name, struct slice *ret_value);
/* SHA-256 of the token in "Authorization: Bearer TOKEN"; false if there is none. The values of such headers are wiped from all buffers as soon as
 * the head is parsed, so that a core has no token: http_request_header gives zeros for them. */
bool http_request_bearer(const struct http_request *req, uint8_t ret_sha256[32]);
/* The first header of that name (any case), without the white space around; false if absent. */
bool http_request_header(const struct http_request *req, const char *name, struct slice *ret);
unsigned http_request_headers(const struct http_request *req);
void http_request_header_at(const struct http_request *req, unsigned index, struct slice *ret_name, struct slice *ret_value);
int64_t http_request_content_length(const struct http_request *req); /* as declared, before inflation; -1 = chunked; 0 = no body */
struct slice http_request_body(const struct http_request *req);      /* inflated; in handle only */
/* The body's memory becomes the caller's (out of the budget); the request's body is then empty. */
void http_request_take_body(struct http_request *req, struct buf *ret);
void http_request_limit_body(struct http_request *req, size_t bytes); /* in check: a smaller limits.body_bytes for this one */
unsigned http_request_loop(const struct http_request *req);           /* 0 … loops - 1 */
/* "127.0.0.1:51234" */
void http_request_peer(const struct http_request *req, char out[64]);
/* The connection is broken: nobody will read the answer (responding is still due). Any thread. */
bool http_request_gone(const struct http_request *req);
/* The client has closed its sending side, or the connection is broken. Most clients do that only when they give up (Ctrl-C in curl),
 * some (nc -N) to say "that was all": stop an expensive answer, but not an ingest. Noticed while the connection has no other
 * pipelined request waiting to be read. Any thread. */
bool http_request_peer_closed(const struct http_request *req);
/* Memory that lives as long as the request, 16-byte aligned, not zeroed; for small things (a few KiB). */
void *http_request_alloc(struct http_request *req, size_t bytes);
/* One pointer of the handler's. */
void http_request_set_data(struct http_request *req, void *data);
void *http_request_data(const struct http_request *req);

/* ---- answering: any thread; the request is gone after the call ---- */

/* Extra headers; one whose name or value holds CR, LF or NUL is left out. Content-Length, Date and Connection are written here. */
struct http_field {
	const char *name, *value;
};

/* Copies everything. content_type may be NULL. For HEAD the body is measured but not sent. Status 200 … 599. */
void http_respond(struct http_request *req, int status, const char *content_type, struct slice body, const struct http_field *extra,
		  size_t extra_count);
/* The same, taking *body's memory instead of copying (left empty). */
void http_respond_buf(struct http_request *req, int status, const char *content_type, struct buf *body, const struct http_field *extra,
		      size_t extra_count);
/* {"error":{"code":"…","message":"…"}}; retry_after in seconds, 0 = without that header. */
void http_respond_error(struct http_request *req, int status, int retry_after, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* Only the text of such an error, for those who answer in another way. */
void http_error_body(struct buf *out, const char *code, const char *message);

/* Before http_stream_begin: the reader of this answer may be at rest for so long, instead of idle_time, and read as slowly as he likes meanwhile. Each
 * keeps 1 to 2 MiB all that time, so that there is a bound: false, and it is as it was, when HTTP_PATIENT_MAX such answers are on their way. */
#define HTTP_PATIENT_MAX 16
bool http_stream_patience(struct http_request *req, int64_t us);
/* A long answer, piece by piece (chunked; for an HTTP/1.0 client until the connection's end). begin, then writes, then end. */
void http_stream_begin(struct http_request *req, int status, const char *content_type, const struct http_field *extra, size_t extra_count);
/* Blocks while 1 MiB is waiting to be sent. RC_CANCELLED: the client is gone or the server stops; call http_stream_end then, too.
 * On a loop thread it never blocks: RC_AGAIN, nothing taken, while the queue is full. */
rc_t http_stream_write(struct http_request *req, struct slice data, struct err *reterr);
/* complete = false: the connection is cut, so that the client sees that the answer is not whole. trailer: a field behind the body, which a client
 * may overlook, and which HTTP/1.0 has no place for; may be NULL. */
void http_stream_end(struct http_request *req, bool complete, const struct http_field *trailer);

#endif
