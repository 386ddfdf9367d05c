/* From answered requests to the socket: in order, as many as fit into one write. */
#include "http/http_internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	PIECES = 96,      /* of one sendmsg */
	WRITES_A_TURN = 8 /* then others have their turn; the socket stays writable and brings us back */
};

static size_t unsent(const struct http_request *r)
{
	return r->out.len + r->out_body.len - r->sent;
}

static void add_piece(struct iovec *iov, int *count, size_t *total, const void *data, size_t len)
{
	if (!len)
		return;
	iov[(*count)++] = (struct iovec){ (void *)data, len };
	*total += len;
}

/* While draining the last answer of a connection says that it ends; its head may have been written before draining began. */
static void announce_end(struct conn *c, struct http_request *r)
{
	if (!atomic_load_explicit(&c->l->server->draining, memory_order_relaxed) || c->midway || r->close || r->sent || r->next || c->reading)
		return;
	if (r->out.len)
		response_insert_close(r);
}

static size_t gather(struct conn *c, struct iovec *iov, int *ret_count)
{
	size_t total = 0;
	*ret_count = 0;
	for (struct http_request *r = c->first; r && *ret_count + 3 <= PIECES; r = r->next) {
		if (r->interim)
			add_piece(iov, ret_count, &total, r->interim, strlen(r->interim));
		if (r->state == REQUEST_READING || r->state == REQUEST_HANDED) {
			if (!atomic_load(&r->stream))
				break;
		}
		bool begun = r->sent > 0 || r->stream_begun;
		if (r->state == REQUEST_HANDED && !unsent(r)) {
			stream_take(r);
			r->stream_begun = true;
		}
		if (!begun)
			announce_end(c, r);
		if (r->sent < r->out.len)
			add_piece(iov, ret_count, &total, r->out.data + r->sent, r->out.len - r->sent);
		struct slice body = slice_skip(buf_slice(&r->out_body), r->sent > r->out.len ? r->sent - r->out.len : 0);
		add_piece(iov, ret_count, &total, body.data, body.len);
		if (r->state != REQUEST_ANSWERED || r->close)
			break;
	}
	return total;
}

/* n bytes went out: from the first requests on. */
static void advance(struct conn *c, size_t n)
{
	for (struct http_request *r = c->first; r && n; r = r->next) {
		if (r->interim) {
			size_t len = strlen(r->interim), part = n < len ? n : len;
			r->interim = part == len ? NULL : r->interim + part;
			n -= part;
		}
		size_t part = n < unsent(r) ? n : unsent(r);
		r->sent += part;
		n -= part;
	}
}

static void reset_connection(struct conn *c)
{
	struct linger now = { 1, 0 };
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)); /* RST: an HTTP/1.0 client must see it, too */
	conn_abort(c);
}

/* Forgets answers that are out. False: the connection is gone. */
static bool pop_sent(struct conn *c)
{
	struct http_request *r;
	while ((r = c->first) && r->state == REQUEST_ANSWERED && !r->interim && !unsent(r)) {
		bool end = r->close, cut = r->cut;
		if (!r->wire_done && !end)
			break;
		stat_add(&c->l->responses[r->status / 100], 1);
		request_unlink(r);
		request_free(r);
		if (cut) {
			reset_connection(c);
			return false;
		}
		if (end) {
			c->stop = true;
			break;
		}
	}
	return true;
}

static bool more_to_send(const struct conn *c)
{
	const struct http_request *r = c->first;
	return r && (r->interim || r->state == REQUEST_ANSWERED || (r->state == REQUEST_HANDED && atomic_load(&r->stream)));
}

/* Returns how much went out. */
static uint64_t send_answers(struct conn *c)
{
	struct iovec iov[PIECES];
	uint64_t sent = 0;
	for (int turn = 0; !c->dead && !c->blocked && more_to_send(c); turn++) {
		struct msghdr msg = { .msg_iov = iov };
		int count;
		size_t total = gather(c, iov, &count);
		if (!total) {
			pop_sent(c);
			break;
		}
		if (turn == WRITES_A_TURN) {
			c->blocked = true;
			break;
		}
		msg.msg_iovlen = (size_t)count;
		ssize_t n = c->tls ? tls_send(c->tls, iov, count) : sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			conn_abort(c);
			break;
		}
		c->blocked = n < 0 || (size_t)n < total;
		c->midway = c->tls && c->blocked;
		if (n > 0) {
			stat_add(&c->l->bytes_out, (uint64_t)n);
			c->progress = c->l->now;
			advance(c, (size_t)n);
			sent += (uint64_t)n;
			if (!pop_sent(c))
				break;
		}
	}
	return sent;
}

void conn_flush(struct conn *c)
{
	bool could = !c->blocked;
	uint64_t sent = send_answers(c);
	if (could && !c->dead)
		pace_sent(c, sent);
}

static void take_completed(struct http_loop *l, struct http_request *r, struct conn **dirty)
{
	struct conn *c = r->conn;
	bool over = true;
	if (atomic_load(&r->stream)) {
		stream_posted(r);
		over = c->dead && stream_cancel(r);
	} else {
		r->state = REQUEST_ANSWERED;
	}
	if (c->dead) {
		if (over) {
			stat_add(&l->responses[0], 1);
			stat_add(&l->in_work, (uint64_t)-1);
			request_unlink(r);
			request_free(r);
			conn_release(c);
		}
		return;
	}
	if (over)
		stat_add(&l->in_work, (uint64_t)-1);
	if (!c->dirty) {
		c->dirty = true;
		c->dirty_next = *dirty;
		*dirty = c;
	}
}

void loop_completed(void *ctx)
{
	struct http_loop *l = ctx;
	struct conn *dirty = NULL;
	loop_enter(l);
	struct http_request *list = atomic_exchange_explicit(&l->completed, NULL, memory_order_acq_rel);
	while (list) { /* any order: each connection sends in the order of its requests */
		struct http_request *r = list;
		list = r->completed_next;
		take_completed(l, r, &dirty);
	}
	while (dirty) {
		struct conn *c = dirty;
		dirty = c->dirty_next;
		c->dirty = false;
		conn_flush(c);
		conn_resume(c);
	}
}
