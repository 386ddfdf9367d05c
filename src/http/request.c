#include "http/http_internal.h"

#include <arpa/inet.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	POOL_MAX = 1024,         /* idle requests kept by a loop */
	KEEP_HEAD = 4 * 1024,    /* larger buffers are given back with their request */
	KEEP_BODY = 16 * 1024,
	KEEP_OUT = 16 * 1024,
	KEEP_ARENA = 32 * 1024
};

static struct http_request *request_alloc(unsigned header_count)
{
	struct http_request *r = mem_alloc(sizeof(*r) + header_count * sizeof(r->headers[0]));
	buf_init(&r->head_bytes, BUF_MAX_DEFAULT);
	buf_init(&r->body, BUF_MAX_DEFAULT);
	buf_init(&r->out, BUF_MAX_DEFAULT);
	arena_init(&r->arena);
	return r;
}

struct http_request *request_new(struct conn *c)
{
	struct http_loop *l = c->l;
	struct http_request *r = l->pool;
	if (r) {
		l->pool = r->next;
		l->pool_count--;
	} else {
		r = request_alloc(l->server->options.limits.header_count);
	}
	struct buf head_bytes = r->head_bytes, body = r->body, out = r->out;
	struct arena arena = r->arena;
	memset(r, 0, offsetof(struct http_request, segments));
	r->head_bytes = head_bytes;
	r->body = body;
	r->out = out;
	r->arena = arena;
	buf_init(&r->out_body, BUF_MAX_DEFAULT);
	atomic_init(&r->gone, false);
	atomic_init(&r->peer_closed, c->eof);
	atomic_init(&r->stream, NULL);
	r->body_limit = l->server->options.limits.body_bytes;
	r->conn = c;
	r->prev = c->last;
	if (c->last)
		c->last->next = r;
	else
		c->first = r;
	c->last = r;
	c->count++;
	stat_add(&l->requests, 1);
	return r;
}

void request_unlink(struct http_request *r)
{
	struct conn *c = r->conn;
	if (r->prev)
		r->prev->next = r->next;
	else
		c->first = r->next;
	if (r->next)
		r->next->prev = r->prev;
	else
		c->last = r->prev;
	if (c->reading == r)
		c->reading = NULL;
	c->count--;
}

void request_destroy(struct http_request *r)
{
	buf_free(&r->head_bytes);
	buf_free(&r->body);
	buf_free(&r->out);
	arena_free(&r->arena);
	free(r);
}

static void keep(struct buf *b, size_t max)
{
	if (b->cap > max) {
		buf_free(b);
		buf_init(b, BUF_MAX_DEFAULT);
	}
	buf_reset(b);
	b->max = BUF_MAX_DEFAULT;
}

void request_free(struct http_request *r)
{
	struct http_loop *l = r->conn->l;
	inflater_give(l, r->inflater);
	r->inflater = NULL;
	stream_free(atomic_load(&r->stream));
	buf_free(&r->out_body);
	body_release(l->server, r->charged);
	if (r->patience)
		atomic_fetch_sub(&l->server->patient, 1);
	if (r->answer_bytes) {
		atomic_fetch_sub_explicit(&r->conn->answers, r->answer_bytes, memory_order_relaxed);
		atomic_fetch_sub_explicit(&l->server->answers, sizeof(*r) + r->answer_bytes, memory_order_relaxed);
	}
	if (l->pool_count >= POOL_MAX) {
		request_destroy(r);
		return;
	}
	keep(&r->head_bytes, KEEP_HEAD);
	keep(&r->body, KEEP_BODY);
	keep(&r->out, KEEP_OUT);
	if (r->arena_used) {
		if (r->arena.bytes > KEEP_ARENA)
			arena_free(&r->arena), arena_init(&r->arena);
		else
			arena_reset(&r->arena);
	}
	r->next = l->pool;
	l->pool = r;
	l->pool_count++;
}

static bool charge(_Atomic(uint64_t) *budget, uint64_t bytes, uint64_t max)
{
	/* Not add and take back: another loop would be refused, and /metrics would show, what nobody holds. */
	uint64_t held = atomic_load_explicit(budget, memory_order_relaxed);
	do
		if (held + bytes > max)
			return false;
	while (!atomic_compare_exchange_weak_explicit(budget, &held, held + bytes, memory_order_relaxed, memory_order_relaxed));
	return true;
}

bool body_charge(struct http_server *s, uint64_t bytes)
{
	return charge(&s->body_memory, bytes, s->options.body_memory);
}

bool extra_charge(struct http_server *s, uint64_t bytes)
{
	return charge(&s->extra_memory, bytes, s->options.body_memory / 8);
}

void extra_release(struct http_server *s, uint64_t bytes)
{
	if (bytes)
		atomic_fetch_sub_explicit(&s->extra_memory, bytes, memory_order_relaxed);
}

void body_release(struct http_server *s, uint64_t bytes)
{
	if (bytes)
		atomic_fetch_sub_explicit(&s->body_memory, bytes, memory_order_relaxed);
}

static struct slice span(const struct http_request *r, struct http_span s)
{
	return slice_of(r->head_bytes.data + s.at, s.len);
}

void *http_request_alloc(struct http_request *req, size_t bytes)
{
	req->arena_used = true;
	return arena_alloc(&req->arena, bytes);
}

/* The escapes were checked with the head. */
static struct slice decoded(struct http_request *r, struct slice in, bool plus)
{
	if (!in.len || (!memchr(in.data, '%', in.len) && !(plus && memchr(in.data, '+', in.len))))
		return in;
	uint8_t *out = http_request_alloc(r, in.len);
	size_t len = 0;
	http_percent_decode(in, plus, out, &len);
	return slice_of(out, len);
}

void request_segments(struct http_request *r)
{
	struct slice path = span(r, r->head.path);
	if (path.data[0] != '/' || path.len == 1) /* "*" or "/" */
		return;
	for (size_t at = 1; at <= path.len;) {
		const uint8_t *slash = at < path.len ? memchr(path.data + at, '/', path.len - at) : NULL;
		size_t end = slash ? (size_t)(slash - path.data) : path.len;
		struct slice part = decoded(r, slice_of(path.data + at, end - at), false);
		const char *why = part.len && memchr(part.data, 0, part.len)	       ? "the path holds a NUL (%00)" :
				  slice_eq_str(part, ".") || slice_eq_str(part, "..") ? "the path holds a . or .. part" :
				  r->segment_count == HTTP_MAX_SEGMENTS		       ? "the path has over 32 parts" :
											 NULL;
		if (why) {
			r->refusal = (struct http_refusal){ 400, "bad_request", why };
			return;
		}
		r->segments[r->segment_count++] = part;
		at = end + 1;
	}
}

enum http_method http_request_method(const struct http_request *req)
{
	return req->head.method;
}

struct slice http_request_method_text(const struct http_request *req)
{
	return span(req, req->head.method_text);
}

struct slice http_request_target(const struct http_request *req)
{
	return span(req, req->head.target);
}

struct slice http_request_path(const struct http_request *req)
{
	return span(req, req->head.path);
}

unsigned http_request_segments(const struct http_request *req)
{
	return req->segment_count;
}

struct slice http_request_segment(const struct http_request *req, unsigned index)
{
	return index < req->segment_count ? req->segments[index] : slice_of(NULL, 0);
}

/* Cuts the next name=value off the front of *rest; false at the end. Empty pairs ("a&&b") are passed over. */
static bool next_pair(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
	while (rest->len) {
		const uint8_t *amp = memchr(rest->data, '&', rest->len);
		struct slice pair = slice_of(rest->data, amp ? (size_t)(amp - rest->data) : rest->len);
		*rest = slice_skip(*rest, pair.len + 1);
		if (!pair.len)
			continue;
		const uint8_t *eq = memchr(pair.data, '=', pair.len);
		*ret_name = slice_of(pair.data, eq ? (size_t)(eq - pair.data) : pair.len);
		*ret_value = slice_skip(pair, ret_name->len + 1);
		return true;
	}
	return false;
}

bool http_request_query(struct http_request *req, const char *name, struct slice *ret)
{
	struct slice rest = span(req, req->head.query), key, value;
	while (next_pair(&rest, &key, &value)) {
		if (slice_eq_str(decoded(req, key, true), name)) {
			*ret = decoded(req, value, true);
			return true;
		}
	}
	return false;
}

bool http_request_query_at(struct http_request *req, unsigned index, struct slice *ret_name, struct slice *ret_value)
{
	struct slice rest = span(req, req->head.query), key, value;
	while (next_pair(&rest, &key, &value)) {
		if (index-- == 0) {
			*ret_name = decoded(req, key, true);
			*ret_value = decoded(req, value, true);
			return true;
		}
	}
	return false;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

bool http_request_header(const struct http_request *req, const char *name, struct slice *ret)
{
	size_t len = strlen(name);
	for (unsigned i = 0; i < req->head.header_count; i++) {
		const struct http_header *h = &req->headers[i];
		if (h->name.len != len)
			continue;
		const uint8_t *p = req->head_bytes.data + h->name.at;
		size_t k = 0;
		while (k < len && lower(p[k]) == lower((uint8_t)name[k]))
			k++;
		if (k == len) {
			*ret = span(req, h->value);
			return true;
		}
	}
	return false;
}

void request_take_bearer(struct http_request *r, struct slice in)
{
	static const char name[] = "authorization", scheme[] = "bearer ";
	for (unsigned i = 0; i < r->head.header_count; i++) {
		const struct http_header *h = &r->headers[i];
		uint8_t *value = r->head_bytes.data + h->value.at;
		if (h->name.len != sizeof name - 1 || strncasecmp((const char *)r->head_bytes.data + h->name.at, name, sizeof name - 1) != 0)
			continue;
		size_t n = sizeof scheme - 1;
		if (!r->has_bearer && h->value.len >= n && !strncasecmp((const char *)value, scheme, n)) {
			SHA256(value + n, h->value.len - n, r->bearer);
			r->has_bearer = true;
		}
		explicit_bzero(value, h->value.len);
		explicit_bzero((uint8_t *)(uintptr_t)in.data + h->value.at, h->value.len);
	}
}

bool http_request_bearer(const struct http_request *req, uint8_t ret_sha256[32])
{
	if (req->has_bearer)
		memcpy(ret_sha256, req->bearer, 32);
	return req->has_bearer;
}

unsigned http_request_headers(const struct http_request *req)
{
	return req->head.header_count;
}

void http_request_header_at(const struct http_request *req, unsigned index, struct slice *ret_name, struct slice *ret_value)
{
	bool there = index < req->head.header_count;
	*ret_name = there ? span(req, req->headers[index].name) : slice_of(NULL, 0);
	*ret_value = there ? span(req, req->headers[index].value) : slice_of(NULL, 0);
}

int64_t http_request_content_length(const struct http_request *req)
{
	return req->head.chunked ? -1 : (int64_t)req->head.content_length;
}

struct slice http_request_body(const struct http_request *req)
{
	return buf_slice(&req->body);
}

void http_request_take_body(struct http_request *req, struct buf *ret)
{
	*ret = req->body;
	ret->max = BUF_MAX_DEFAULT;
	buf_init(&req->body, BUF_MAX_DEFAULT);
	body_release(req->conn->l->server, req->body_reserved);
	req->charged -= req->body_reserved;
	req->body_reserved = 0;
}

void http_request_limit_body(struct http_request *req, size_t bytes)
{
	if (bytes < req->body_limit)
		req->body_limit = bytes;
}

unsigned http_request_loop(const struct http_request *req)
{
	return req->conn->l->index;
}

void http_request_peer(const struct http_request *req, char out[64])
{
	char host[INET6_ADDRSTRLEN] = "?";
	const struct conn *c = req->conn;
	if (c->peer.sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &c->peer.in6.sin6_addr, host, sizeof(host));
		snprintf(out, 64, "[%s]:%u", host, ntohs(c->peer.in6.sin6_port));
	} else {
		inet_ntop(AF_INET, &c->peer.in4.sin_addr, host, sizeof(host));
		snprintf(out, 64, "%s:%u", host, ntohs(c->peer.in4.sin_port));
	}
}

bool http_request_gone(const struct http_request *req)
{
	return atomic_load_explicit(&req->gone, memory_order_relaxed);
}

bool http_request_peer_closed(const struct http_request *req)
{
	return http_request_gone(req) || atomic_load_explicit(&req->peer_closed, memory_order_relaxed);
}

void http_request_set_data(struct http_request *req, void *data)
{
	req->data = data;
}

void *http_request_data(const struct http_request *req)
{
	return req->data;
}
