/* Answers. Written in the caller's thread into the request's own buffer, then pushed to the loop. */
#include "http/http_internal.h"

#include <stdio.h>
#include <time.h>

#include "os/clock.h"

enum {
	STREAM_QUEUE = 1024 * 1024, /* bytes that wait for the loop; then the writer waits */
	STREAM_CHUNK = 256 * 1024
};

static const char *status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} known[] = { { 200, "OK" },
		      { 201, "Created" },
		      { 202, "Accepted" },
		      { 204, "No Content" },
		      { 206, "Partial Content" },
		      { 301, "Moved Permanently" },
		      { 302, "Found" },
		      { 304, "Not Modified" },
		      { 307, "Temporary Redirect" },
		      { 308, "Permanent Redirect" },
		      { 400, "Bad Request" },
		      { 401, "Unauthorized" },
		      { 403, "Forbidden" },
		      { 404, "Not Found" },
		      { 405, "Method Not Allowed" },
		      { 406, "Not Acceptable" },
		      { 408, "Request Timeout" },
		      { 409, "Conflict" },
		      { 410, "Gone" },
		      { 411, "Length Required" },
		      { 412, "Precondition Failed" },
		      { 413, "Content Too Large" },
		      { 414, "URI Too Long" },
		      { 415, "Unsupported Media Type" },
		      { 416, "Range Not Satisfiable" },
		      { 417, "Expectation Failed" },
		      { 421, "Misdirected Request" },
		      { 422, "Unprocessable Content" },
		      { 428, "Precondition Required" },
		      { 429, "Too Many Requests" },
		      { 431, "Request Header Fields Too Large" },
		      { 500, "Internal Server Error" },
		      { 501, "Not Implemented" },
		      { 502, "Bad Gateway" },
		      { 503, "Service Unavailable" },
		      { 504, "Gateway Timeout" },
		      { 505, "HTTP Version Not Supported" },
		      { 507, "Insufficient Storage" } };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].status == status)
			return known[i].text;
	return "Unknown";
}

/* RFC 9110 section 5.6.7; made anew once a second and thread. */
static struct slice date_line(void)
{
	static _Thread_local int64_t second = -1;
	static _Thread_local char text[48];
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t now = clock_wall_us() / 1000000;
	if (now != second) {
		time_t t = (time_t)now;
		struct tm tm;
		gmtime_r(&t, &tm);
		snprintf(text, sizeof(text), "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n", days + 3 * tm.tm_wday, tm.tm_mday % 100,
			 months + 3 * tm.tm_mon, (tm.tm_year + 1900) % 10000, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
		second = now;
	}
	return slice_str(text);
}

static void put_number(struct buf *b, uint64_t n)
{
	char text[20];
	size_t at = sizeof(text);
	do
		text[--at] = (char)('0' + n % 10);
	while (n /= 10);
	buf_append(b, text + at, sizeof(text) - at);
}

static bool field_ok(const struct http_field *f)
{
	return f->name && f->value && f->name[0] && !strpbrk(f->name, "\r\n:") && !strpbrk(f->value, "\r\n");
}

static void put_field(struct buf *b, const struct http_field *f)
{
	if (!field_ok(f))
		return;
	buf_append_str(b, f->name);
	buf_append(b, ": ", 2);
	buf_append_str(b, f->value);
	buf_append(b, "\r\n", 2);
}

enum body_kind { BODY_LENGTH, BODY_CHUNKED, BODY_TO_END };

static void put_head(struct buf *b, const struct http_request *r, const char *content_type, enum body_kind kind, uint64_t length,
		     const struct http_field *extra, size_t extra_count)
{
	buf_reserve(b, 256);
	buf_append(b, "HTTP/1.1 ", 9);
	put_number(b, (uint64_t)r->status);
	buf_byte(b, ' ');
	buf_append_str(b, status_text(r->status));
	buf_append(b, "\r\n", 2);
	buf_append_slice(b, date_line());
	if (content_type && !strpbrk(content_type, "\r\n")) {
		buf_append_str(b, "Content-Type: ");
		buf_append_str(b, content_type);
		buf_append(b, "\r\n", 2);
	}
	if (kind == BODY_CHUNKED) {
		buf_append_str(b, "Transfer-Encoding: chunked\r\n");
	} else if (kind == BODY_LENGTH && r->status != 204 && r->status != 304) {
		buf_append_str(b, "Content-Length: ");
		put_number(b, length);
		buf_append(b, "\r\n", 2);
	}
	for (size_t i = 0; i < extra_count; i++)
		put_field(b, &extra[i]);
	if (r->close)
		buf_append_str(b, "Connection: close\r\n");
	else if (r->head.http_1_0)
		buf_append_str(b, "Connection: keep-alive\r\n");
	buf_append(b, "\r\n", 2);
}

void response_insert_close(struct http_request *r)
{
	static const char line[] = "Connection: close\r\n";
	size_t n = sizeof(line) - 1;
	const uint8_t *lf = memchr(r->out.data, '\n', r->out.len);
	if (!lf || !buf_reserve(&r->out, n))
		return;
	size_t at = (size_t)(memchr(r->out.data, '\n', r->out.len) - (void *)r->out.data) + 1;
	memmove(r->out.data + at + n, r->out.data + at, r->out.len - at);
	memcpy(r->out.data + at, line, n);
	r->out.len += n;
	r->close = true;
}

/* To the loop; the request is not the caller's any more. */
static void push(struct http_request *r)
{
	struct http_loop *l = r->conn->l;
	if (!atomic_load(&r->stream)) { /* a stream has a bound of its own */
		r->answer_bytes = r->out.len + r->out_body.len;
		atomic_fetch_add_explicit(&r->conn->answers, r->answer_bytes, memory_order_relaxed);
		atomic_fetch_add_explicit(&l->server->answers, sizeof(*r) + r->answer_bytes, memory_order_relaxed);
	}
	struct http_request *head = atomic_load_explicit(&l->completed, memory_order_relaxed);
	do
		r->completed_next = head;
	while (!atomic_compare_exchange_weak_explicit(&l->completed, &head, r, memory_order_acq_rel, memory_order_relaxed));
	if (!head) /* otherwise whoever filled the empty list has woken the loop */
		loop_post(l->loop, loop_completed, l);
}

static void begin(struct http_request *r, int status)
{
	r->responded = true;
	r->status = status < 200 || status > 599 ? 500 : status;
	if (!r->head.keep_alive)
		r->close = true;
}

static bool body_sent(const struct http_request *r)
{
	return r->head.method != HTTP_HEAD && r->status != 204 && r->status != 304;
}

void http_respond(struct http_request *req, int status, const char *content_type, struct slice body, const struct http_field *extra,
		  size_t extra_count)
{
	begin(req, status);
	put_head(&req->out, req, content_type, BODY_LENGTH, body.len, extra, extra_count);
	if (body_sent(req))
		buf_append_slice(&req->out, body);
	push(req);
}

void http_respond_buf(struct http_request *req, int status, const char *content_type, struct buf *body, const struct http_field *extra,
		      size_t extra_count)
{
	begin(req, status);
	put_head(&req->out, req, content_type, BODY_LENGTH, body->len, extra, extra_count);
	if (body_sent(req)) {
		req->out_body = *body;
		buf_init(body, req->out_body.max);
	} else {
		buf_free(body);
	}
	push(req);
}

/* Bytes of the UTF-8 character at p, which ends with a NUL; 0 = there is none. */
static size_t utf8_length(const uint8_t *p)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint32_t c = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
	if (p[0] >= 0xf8 || (p[0] & 0xc0) == 0x80)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : n;
}

/* Messages repeat what the client sent, which may be anything, and may have been cut inside a character. */
static void put_json_text(struct buf *b, const char *s)
{
	for (const uint8_t *p = (const uint8_t *)s; *p;) {
		size_t n = utf8_length(p);
		if (*p == '"' || *p == '\\')
			buf_byte(b, '\\');
		if (n == 0)
			buf_append(b, "\xef\xbf\xbd", 3);
		else if (*p < 0x20 || *p == 0x7f)
			buf_printf(b, "\\u%04x", *p);
		else
			buf_append(b, p, n);
		p += n ? n : 1;
	}
}

void http_error_body(struct buf *out, const char *code, const char *message)
{
	buf_append_str(out, "{\"error\":{\"code\":\"");
	put_json_text(out, code);
	buf_append_str(out, "\",\"message\":\"");
	put_json_text(out, message);
	buf_append_str(out, "\"}}\n");
}

static void respond_error(struct http_request *r, int status, const struct http_field *extra, size_t extra_count, const char *code,
			  const char *message)
{
	AUTO_BUF struct buf body;
	buf_init(&body, 64 * 1024);
	http_error_body(&body, code, message);
	http_respond(r, status, "application/json", buf_slice(&body), extra, extra_count);
}

void http_respond_error(struct http_request *req, int status, int retry_after, const char *code, const char *fmt, ...)
{
	char message[2048], seconds[16];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	snprintf(seconds, sizeof(seconds), "%d", retry_after);
	struct http_field extra = { "Retry-After", seconds };
	respond_error(req, status, &extra, retry_after > 0, code, message);
}

void respond_refusal(struct http_request *r, const struct http_refusal *refusal)
{
	static const struct http_field accept = { "Accept-Encoding", "gzip, zstd" }, retry = { "Retry-After", "1" };
	r->state = REQUEST_HANDED;
	stat_add(&r->conn->l->in_work, 1);
	respond_error(r, refusal->status, refusal->status == 415 ? &accept : &retry, refusal->status == 415 || refusal->status == 503,
		      refusal->code, refusal->text);
}

/* ---- streams ---- */

static void post_stream(struct http_request *r, struct http_stream *st)
{
	if (st->posted)
		return;
	st->posted = true;
	push(r); /* inside the lock: behind it the loop may free the stream */
}

bool http_stream_patience(struct http_request *req, int64_t us)
{
	struct http_server *s = req->conn->l->server;
	if (req->patience)
		return true;
	if (atomic_fetch_add(&s->patient, 1) >= HTTP_PATIENT_MAX) {
		atomic_fetch_sub(&s->patient, 1);
		return false;
	}
	req->patience = us;
	return true;
}

void http_stream_begin(struct http_request *req, int status, const char *content_type, const struct http_field *extra, size_t extra_count)
{
	struct http_stream *st = NEW(struct http_stream);
	pthread_mutex_init(&st->lock, NULL);
	pthread_cond_init(&st->room, NULL);
	buf_init(&st->queue, BUF_MAX_DEFAULT);
	begin(req, status);
	st->chunked = !req->head.http_1_0;
	st->silent = !body_sent(req);
	if (!st->chunked)
		req->close = true;
	put_head(&st->queue, req, content_type, st->chunked ? BODY_CHUNKED : BODY_TO_END, 0, extra, extra_count);
	atomic_store(&req->stream, st);
	pthread_mutex_lock(&st->lock);
	post_stream(req, st);
	pthread_mutex_unlock(&st->lock);
}

static void put_chunk(struct http_stream *st, struct slice data)
{
	if (st->chunked) {
		buf_printf(&st->queue, "%zx\r\n", data.len);
		buf_append_slice(&st->queue, data);
		buf_append(&st->queue, "\r\n", 2);
	} else {
		buf_append_slice(&st->queue, data);
	}
}

rc_t http_stream_write(struct http_request *req, struct slice data, struct err *reterr)
{
	struct http_stream *st = atomic_load(&req->stream);
	bool on_loop = http_current_loop != NULL;
	rc_t rc = RC_OK;
	pthread_mutex_lock(&st->lock);
	if (on_loop && st->queue.len >= STREAM_QUEUE)
		rc = err_set(reterr, RC_AGAIN, "response: the client reads more slowly than it is written: go on later");
	while (rc == RC_OK && data.len && !st->silent) {
		while (!on_loop && st->queue.len >= STREAM_QUEUE && !st->cancelled && !http_request_gone(req))
			pthread_cond_wait(&st->room, &st->lock);
		if (st->cancelled || http_request_gone(req))
			break;
		struct slice piece = slice_of(data.data, data.len < STREAM_CHUNK ? data.len : STREAM_CHUNK);
		put_chunk(st, piece);
		post_stream(req, st);
		data = slice_skip(data, piece.len);
	}
	if (rc == RC_OK && (st->cancelled || http_request_gone(req)))
		rc = err_set(reterr, RC_CANCELLED, "response: the client has gone away");
	pthread_mutex_unlock(&st->lock);
	return rc;
}

void http_stream_end(struct http_request *req, bool complete, const struct http_field *trailer)
{
	struct http_stream *st = atomic_load(&req->stream);
	pthread_mutex_lock(&st->lock);
	if (complete && st->chunked && !st->silent) {
		buf_append_str(&st->queue, "0\r\n");
		if (trailer)
			put_field(&st->queue, trailer);
		buf_append_str(&st->queue, "\r\n");
	}
	st->complete = complete;
	st->ended = true;
	post_stream(req, st);
	pthread_mutex_unlock(&st->lock);
}

void stream_posted(struct http_request *r)
{
	struct http_stream *st = atomic_load(&r->stream);
	pthread_mutex_lock(&st->lock);
	st->posted = false;
	pthread_mutex_unlock(&st->lock);
}

void stream_take(struct http_request *r)
{
	struct http_stream *st = atomic_load(&r->stream);
	pthread_mutex_lock(&st->lock);
	struct buf empty = r->out;
	buf_reset(&empty);
	r->out = st->queue;
	st->queue = empty;
	r->sent = 0;
	if (st->ended && !st->posted) { /* posted: it still stands in the loop's list and is taken from there */
		r->state = REQUEST_ANSWERED;
		stat_add(&r->conn->l->in_work, (uint64_t)-1);
		r->cut = !st->complete;
		r->close |= r->cut;
	}
	pthread_cond_broadcast(&st->room);
	pthread_mutex_unlock(&st->lock);
}

bool stream_cancel(struct http_request *r)
{
	struct http_stream *st = atomic_load(&r->stream);
	if (!st)
		return false;
	pthread_mutex_lock(&st->lock);
	st->cancelled = true;
	bool over = st->ended && !st->posted;
	pthread_cond_broadcast(&st->room);
	pthread_mutex_unlock(&st->lock);
	return over;
}

void stream_free(struct http_stream *st)
{
	if (!st)
		return;
	pthread_mutex_lock(&st->lock); /* http_stream_end may still be on its way out of it */
	pthread_mutex_unlock(&st->lock);
	pthread_cond_destroy(&st->room);
	pthread_mutex_destroy(&st->lock);
	buf_free(&st->queue);
	free(st);
}
