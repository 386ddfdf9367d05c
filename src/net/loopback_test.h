/* For tests: a server on this machine that answers each request with what a function of the test writes, bytes and all, so that it can be as
 * wrong as a real one never is. One connection at a time, one request a connection. */
#ifndef NET_LOOPBACK_TEST_H
#define NET_LOOPBACK_TEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"

struct loopback_request {
	char *head; /* request line and headers, NUL-terminated */
	struct slice body;
	unsigned number; /* from 1 on */
};

struct loopback {
	int fd, stop[2];
	char url[64];
	pthread_t thread;
	unsigned requests;
	/* Writes the whole answer; nothing: the connection is reset. */
	void (*answer)(void *ctx, const struct loopback_request *req, struct buf *out);
	void *ctx;
};

static inline size_t loopback_content_length(const char *head)
{
	const char *p = strcasestr(head, "\r\ncontent-length:");
	return p ? strtoul(p + 17, NULL, 10) : 0;
}

static inline void loopback_serve(struct loopback *l, int fd)
{
	struct buf in, out;
	buf_init(&in, (size_t)64 << 20);
	buf_init(&out, (size_t)64 << 20);
	size_t head = 0, want = SIZE_MAX;
	while (in.len < want) {
		char piece[65536];
		ssize_t n = recv(fd, piece, sizeof piece, 0);
		if (n <= 0)
			break;
		buf_append(&in, piece, (size_t)n);
		const char *end = head ? NULL : strstr(buf_cstr(&in), "\r\n\r\n");
		if (end) {
			head = (size_t)(end - (const char *)in.data) + 4;
			in.data[head - 2] = 0;
			want = head + loopback_content_length((const char *)in.data);
		}
	}
	if (head) {
		struct loopback_request req = { (char *)in.data, slice_of(in.data + head, in.len - head), __atomic_add_fetch(&l->requests, 1, __ATOMIC_SEQ_CST) };
		l->answer(l->ctx, &req, &out);
	}
	for (size_t at = 0; at < out.len;) {
		ssize_t n = send(fd, out.data + at, out.len - at, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	struct linger reset = { 1, 0 };
	if (!out.len)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	else
		shutdown(fd, SHUT_WR);
	close(fd);
	buf_free(&in);
	buf_free(&out);
}

static inline void *loopback_run(void *arg)
{
	struct loopback *l = arg;
	for (;;) {
		struct pollfd p[2] = { { .fd = l->fd, .events = POLLIN }, { .fd = l->stop[0], .events = POLLIN } };
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (p[1].revents)
			return NULL;
		int fd = p[0].revents ? accept(l->fd, NULL, NULL) : -1;
		if (fd >= 0)
			loopback_serve(l, fd);
	}
}

static inline bool loopback_start(struct loopback *l, void (*answer)(void *, const struct loopback_request *, struct buf *), void *ctx)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	*l = (struct loopback){ .fd = socket(AF_INET, SOCK_STREAM, 0), .answer = answer, .ctx = ctx };
	if (l->fd < 0 || pipe(l->stop) != 0 || bind(l->fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(l->fd, 64) != 0)
		return false;
	getsockname(l->fd, (struct sockaddr *)&a, &len);
	snprintf(l->url, sizeof l->url, "http://127.0.0.1:%d", ntohs(a.sin_port));
	return pthread_create(&l->thread, NULL, loopback_run, l) == 0;
}

static inline void loopback_stop(struct loopback *l)
{
	close(l->stop[1]);
	pthread_join(l->thread, NULL);
	close(l->stop[0]);
	close(l->fd);
}

/* An answer with the headers given (each ended by \r\n). */
static inline void loopback_say(struct buf *out, const char *status, const char *headers, const char *body)
{
	buf_printf(out, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body), headers, body);
}

#endif
