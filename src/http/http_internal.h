/* Inside of the room: the pure parts (head, chunked, inflate), the request, the connection, the loop. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "http/http.h"
#include "os/loop.h"

/* Why a request is refused. The text is a constant or lives in err.text. */
struct http_refusal {
	int status;       /* 0 = none */
	const char *code; /* static */
	const char *text; /* static */
};

/* ---- head.c: request line and headers, pure ---- */

enum {
	HTTP_MAX_SEGMENTS = 32,
	HTTP_HEAD_COUNT_MAX = 1000, /* limits.header_count is cut to it */
};

struct http_span {
	uint32_t at, len; /* in the head's bytes */
};

struct http_header {
	struct http_span name, value;
};

enum http_coding { HTTP_CODING_NONE, HTTP_CODING_GZIP, HTTP_CODING_ZSTD, HTTP_CODING_UNKNOWN };

struct http_head {
	enum http_method method;
	struct http_span method_text, target, path, query;
	bool http_1_0;
	bool keep_alive; /* by version and Connection */
	bool chunked;
	bool expect_continue;
	bool expect_unknown; /* 417 */
	enum http_coding coding;
	uint64_t content_length; /* 0 if absent or chunked */
	unsigned header_count;
};

/* Looks for the head's end from *scanned on (kept between calls with more bytes at the same start). Returns the head's length with its
 * empty line, 0 = not there yet; a bare LF is a refusal. */
size_t http_head_scan(const uint8_t *data, size_t len, size_t *scanned, struct http_refusal *refusal);
/* A whole head, or any bytes. headers holds `limits->header_count`. */
void http_head_parse(const uint8_t *data, size_t len, const struct http_limits *limits, struct http_head *h, struct http_header *headers,
		     struct http_refusal *refusal);
/* In place or to another place of at least `in.len` bytes; false: a bad escape. plus: "+" is a space. */
bool http_percent_decode(struct slice in, bool plus, uint8_t *out, size_t *ret_len);
bool http_span_is(const uint8_t *data, struct http_span s, const char *lower); /* any case */

/* ---- chunked.c: RFC 9112 section 7.1, pure, fed byte ranges of any size ---- */

struct http_chunked {
	int state;
	uint64_t left;           /* of the chunk's data */
	unsigned digits;         /* of the chunk size so far */
	size_t extension_bytes;  /* of the whole body: bounded */
	size_t trailer_bytes;    /* bounded by header_bytes */
	unsigned trailer_count;
};

/* Consumes a part of the input; *ret_data is a piece of body within it (maybe empty). done: the body's last byte was consumed. */
/* The last n bytes of *ret_data were not used after all. */
void http_chunked_unread(struct http_chunked *c, size_t n);
size_t http_chunked_feed(struct http_chunked *c, const struct http_limits *limits, struct slice in, struct slice *ret_data, bool *ret_done,
			 struct http_refusal *refusal);

/* ---- inflate.c: gzip and zstd, streaming ---- */

struct http_inflater;
struct http_inflater *http_inflater_new(enum http_coding coding);
void http_inflater_free(struct http_inflater *f);
void http_inflater_reset(struct http_inflater *f);
enum http_coding http_inflater_coding(const struct http_inflater *f);
size_t http_inflater_memory(const struct http_inflater *f);
/* Reads from in, writes to out; *ret_used and *ret_made say how much. Returns false on corrupt input. Call again with more room while
 * *ret_made == out_len: output may wait inside. */
bool http_inflate(struct http_inflater *f, struct slice in, uint8_t *out, size_t out_len, size_t *ret_used, size_t *ret_made,
		  struct http_refusal *refusal);
bool http_inflate_finished(const struct http_inflater *f); /* stands at the end of a member or frame (or before the first) */

/* ---- the request ---- */

enum request_state {
	REQUEST_READING,  /* the loop's: head and body arrive */
	REQUEST_HANDED,   /* the user's */
	REQUEST_ANSWERED, /* the loop's again: being sent */
};

struct http_stream {
	pthread_mutex_t lock;
	pthread_cond_t room;
	struct buf queue; /* framed bytes the loop has not taken yet */
	bool chunked, silent; /* set before it is published: framed; without a body (HEAD) */
	bool posted;      /* stands in the loop's completed list */
	bool ended, complete, cancelled;
};

/* After the head's parse: notes the bearer's hash and wipes the values of Authorization here and in `in`, which the head was copied from. */
void request_take_bearer(struct http_request *r, struct slice in);

struct http_request {
	struct http_request *prev, *next; /* order on the connection; next also in the loop's pool */
	struct http_request *completed_next;
	struct conn *conn;
	enum request_state state; /* read and written by the loop only */
	atomic_bool gone, peer_closed;

	/* head and body */
	struct http_head head;
	struct http_refusal refusal;
	struct buf head_bytes, body;
	unsigned segment_count;
	bool has_bearer;
	uint8_t bearer[32];    /* SHA-256 of the token */
	size_t body_limit;
	uint64_t charged;      /* of the body memory, all of this request */
	size_t body_reserved;  /* of charged, for body */
	uint64_t wire_left;    /* of a Content-Length body */
	uint64_t wire_got;     /* for the minimum rate */
	struct http_chunked chunked;
	struct http_inflater *inflater;
	bool wire_done;        /* the last byte of the body was read */
	bool inflate_pending;  /* output waits in the inflater */
	bool discard;          /* responded to already: the body is skipped */
	bool responded;        /* http_respond* or http_stream_begin was called, in the caller's thread */
	bool close;            /* the connection ends behind this response */
	bool in_check;
	void *data;
	struct arena arena;
	bool arena_used;

	/* answer */
	int status;
	const char *interim; /* what is left of "100 Continue" */
	struct buf out;      /* head, and a copied body */
	struct buf out_body; /* a body taken over */
	size_t sent;         /* of out, then out_body */
	size_t answer_bytes; /* counted in the connection's and the server's answers */
	_Atomic(struct http_stream *) stream; /* set by the user's thread, at most once */
	int64_t patience;    /* instead of idle_time; 0 = not. Set by the user's thread before `stream` */
	bool stream_begun;   /* its first bytes were taken */
	bool cut;            /* the stream was not complete: reset the connection behind it */

	struct slice segments[HTTP_MAX_SEGMENTS]; /* from here on not cleared for a new request */
	struct http_header headers[];             /* limits.header_count */
};

/* ---- the connection ---- */

struct conn {
	struct http_loop *l;
	struct conn *prev, *next;           /* loop.conns */
	struct conn *wait_prev, *wait_next; /* loop.waiting */
	struct conn *dirty_next;
	struct loop_fd *watch;
	int fd; /* -1 when dead */
	void *tls; /* an SSL, NULL = plain */
	struct loop_timer timer;
	int64_t deadline; /* 0 = none; the timer may fire earlier and looks here */
	struct http_request *first, *last, *reading;
	unsigned count;   /* of requests */
	_Atomic(uint64_t) answers; /* bytes of those that are not out yet */
	struct buf in;    /* bytes read but not consumed */
	size_t in_charged; /* of the body memory */
	size_t in_extra;   /* of what is allowed beyond it while one waits */
	size_t scanned;   /* of them, searched for the head's end */
	int64_t started;  /* of the head or body being read; 0 = none */
	int64_t fast_until, moving_until; /* the body keeps body_rate, or the least rate: see pressure.c */
	int64_t progress; /* last request, answer or byte sent: for the idle time */
	int64_t reads_until; /* answers wait for their reader, who keeps the least rate; 0 = none wait */
	int64_t waiting_since; /* for body memory; 0 = not waiting */
	unsigned blank_lines;
	bool waiting;     /* in loop.waiting */
	bool eof;         /* the client closed its side */
	bool stop;        /* no more requests are taken from it */
	bool lingering;   /* our side is shut; what comes is thrown away */
	bool blocked;     /* the socket's send buffer is full */
	bool handshake;   /* of TLS: not done yet */
	bool midway;      /* a TLS record may be out in part: the bytes it was made of must not change */
	bool paused;      /* too much in work or unsent: not read */
	bool dirty;
	bool dead;        /* closed; waits for requests in the user's hands */
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} peer;
};

struct http_loop {
	struct http_server *server;
	struct loop *loop;
	pthread_t thread;
	unsigned index;
	bool running; /* the thread was started */
	uint8_t *scratch;
	size_t scratch_len;
	struct conn *conns;
	struct conn *graves; /* dead and without requests: freed at the next entry */
	struct http_request *pool;
	unsigned pool_count;
	struct http_inflater *inflaters[4]; /* idle ones */
	unsigned inflater_count;
	_Atomic(struct http_request *) completed;
	struct conn *waiting; /* for body memory, or yielded */
	struct loop_timer wait_timer;
	int64_t last_refused; /* for want of body memory */
	bool resume_posted;
	int64_t now;          /* as of the last loop_enter */
	struct loop_timer accept_timer; /* loop 0: after a failed accept */
	struct loop_fd *listen_watch;   /* loop 0 */
	_Atomic(uint64_t) connections;  /* handed to this loop: also counted by the acceptor */
	/* statistics: written by this loop only */
	_Atomic(uint64_t) requests, in_work, bytes_in, bytes_out, responses[6];
};

struct http_server {
	struct http_server_options options;
	pthread_mutex_t tls_lock;
	struct http_tls *tls; /* for new connections; NULL = plain */
	char address[80];
	uint16_t port;
	int listen_fd;
	struct http_loop *loops;
	unsigned loop_count;
	_Atomic(uint64_t) body_memory, accepted, refused;
	_Atomic(uint64_t) extra_memory;    /* input beyond body_memory of connections that wait for it */
	_Atomic(uint64_t) answers;         /* bytes of all connections, with what their requests take */
	_Atomic(unsigned) patient;         /* requests with a patience of their own */
	_Atomic(int64_t) pressure_looked;  /* clock_mono_us */
	atomic_bool draining, stopped;
	pthread_mutex_t drain_lock;
	pthread_cond_t drain_cond; /* a connection closed while draining */
};

extern _Thread_local const struct http_loop *http_current_loop; /* server.c: set on loop threads */

static inline void stat_add(_Atomic(uint64_t) *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* server.c: everything but the listener and the threads */
rc_t http_server_make(const struct http_server_options *o, struct http_server **ret, struct err *reterr);

/* request.c */
struct http_request *request_new(struct conn *c);
void request_free(struct http_request *r); /* into the pool; gives its memory back to the budget */
void request_destroy(struct http_request *r);
void request_segments(struct http_request *r); /* fills segments, or refuses */
bool body_charge(struct http_server *s, uint64_t bytes);
void body_release(struct http_server *s, uint64_t bytes);
/* The same for what was read already, an eighth beyond the budget. */
bool extra_charge(struct http_server *s, uint64_t bytes);
void extra_release(struct http_server *s, uint64_t bytes);

void request_unlink(struct http_request *r);   /* from its connection */

/* respond.c */
void respond_refusal(struct http_request *r, const struct http_refusal *refusal);
void response_insert_close(struct http_request *r); /* "Connection: close" into a head that is already written */
/* The loop's side of a stream. taken: is there anything new in r->out; sets state, close and cut when it has ended. */
void stream_posted(struct http_request *r);
void stream_take(struct http_request *r);
bool stream_cancel(struct http_request *r); /* true: it has ended and nobody will post it any more */
void stream_free(struct http_stream *st);

/* conn.c */
void conn_start(struct http_loop *l, int fd, const struct sockaddr *peer, size_t peer_len);
void conn_abort(struct conn *c);  /* closes at once; freed when nobody holds a request of it */
void conn_release(struct conn *c);
void conn_free(struct conn *c);
void conn_resume(struct conn *c); /* goes on with what was read before */
void conn_update(struct conn *c); /* what to wait for and until when, or the end of it */
void conn_refuse(struct conn *c, const struct http_refusal *refusal); /* instead of the request being read */
void conn_give_up(struct conn *c); /* 408 for what it is sending */
void loop_enter(struct http_loop *l);

/* tls.c: below, ssl is what tls_open gave. Results of recv and send are those of the system calls, errno included. */
enum tls_step { TLS_DONE, TLS_READ, TLS_WRITE, TLS_PLAIN /* the client speaks HTTP */, TLS_FAILED };
void *tls_open(const struct http_tls *t, int fd); /* NULL: out of memory */
void tls_close(void *ssl);                        /* NULL is fine; the socket stays open */
enum tls_step tls_handshake(void *ssl);
void tls_goodbye(void *ssl); /* close_notify, if the socket takes it */
ssize_t tls_recv(void *ssl, uint8_t *out, size_t len);
struct iovec;
ssize_t tls_send(void *ssl, const struct iovec *iov, int count);

/* pressure.c */
void pressure_look(struct http_loop *l);          /* cheap; call it where memory was asked for */
void pace_begin(struct conn *c);                  /* a body begins */
void pace_got(struct conn *c, uint64_t bytes);    /* so much of it came */
void pace_waited(struct conn *c, int64_t us);     /* its sender was not listened to for so long */
void pace_sent(struct conn *c, uint64_t bytes);   /* so much of the answers went out; c->blocked: not all of them */

/* body.c */
extern const struct http_refusal overloaded;
void body_begin(struct conn *c, struct http_request *r);
void body_drop(struct http_request *r); /* nobody will read it: its memory goes back now */
/* Returns the bytes used; *ret_blocked: no memory now, or enough done for this turn (c->waiting is set). */
size_t body_feed(struct conn *c, struct http_request *r, struct slice in, bool *ret_blocked);
void wait_begin(struct conn *c, bool memory);
void wait_end(struct conn *c);
void wait_fired(struct loop_timer *t);
struct http_inflater *inflater_take(struct http_loop *l, enum http_coding coding);
void inflater_give(struct http_loop *l, struct http_inflater *f);

/* send.c */
void conn_flush(struct conn *c);
void loop_completed(void *ctx); /* posted: takes loop.completed */

#endif
