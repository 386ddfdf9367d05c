/* For the room's tests: a server with a handler of many habits, and a blocking client on a raw socket. */
#ifndef HTTP_FIXTURE_H
#define HTTP_FIXTURE_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/test.h"
#include "http/http.h"
#include "os/clock.h"

struct fixture {
	struct http_server *server;
	struct http_server_options options;
	pthread_mutex_t lock;
	struct http_request *held[512]; /* of /hold, until fixture_release */
	unsigned held_count;
	unsigned handled;
	unsigned streams; /* threads of /stream that are still running */
	rc_t stream_rc; /* what the last /stream ended with */
};

static inline void *fixture_later(void *arg)
{
	struct http_request *req = arg;
	clock_sleep_us(20000);
	http_respond(req, 200, "text/plain", http_request_body(req), NULL, 0);
	return NULL;
}

struct stream_job {
	struct fixture *f;
	struct http_request *req;
	uint64_t bytes;
	bool cut, trailer;
	int64_t patience; /* µs */
};

static inline void *fixture_stream(void *arg)
{
	struct stream_job *job = arg;
	char line[1000];
	rc_t rc = RC_OK;
	if (job->patience)
		http_stream_patience(job->req, job->patience);
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	http_stream_begin(job->req, 200, "text/plain", NULL, 0);
	for (uint64_t done = 0; done < job->bytes && rc == RC_OK; done += sizeof(line))
		rc = http_stream_write(job->req, slice_of(line, sizeof(line)), NULL);
	static const struct http_field last = { "X-Last", "of all" };
	http_stream_end(job->req, !job->cut, job->trailer ? &last : NULL);
	pthread_mutex_lock(&job->f->lock);
	job->f->stream_rc = rc;
	job->f->streams--;
	pthread_mutex_unlock(&job->f->lock);
	free(job);
	return NULL;
}

static inline void fixture_thread(void *(*run)(void *), void *arg)
{
	pthread_t t;
	pthread_create(&t, NULL, run, arg);
	pthread_detach(t);
}

/* What the accessors say, as text. */
static inline void fixture_describe(struct http_request *req)
{
	struct buf out;
	struct slice name, value;
	buf_init(&out, 100000);
	buf_printf(&out, "%.*s %d [%.*s]", SLICE_ARG(http_request_method_text(req)), http_request_method(req),
		   SLICE_ARG(http_request_path(req)));
	for (unsigned i = 0; i < http_request_segments(req); i++)
		buf_printf(&out, " <%.*s>", SLICE_ARG(http_request_segment(req, i)));
	for (unsigned i = 0; http_request_query_at(req, i, &name, &value); i++)
		buf_printf(&out, " %.*s=%.*s;", SLICE_ARG(name), SLICE_ARG(value));
	if (http_request_query(req, "q q", &value))
		buf_printf(&out, " found:%.*s", SLICE_ARG(value));
	if (http_request_header(req, "x-test", &value))
		buf_printf(&out, " x-test:%.*s", SLICE_ARG(value));
	uint8_t hash[32];
	if (http_request_bearer(req, hash))
		buf_printf(&out, " bearer:%02x%02x", hash[0], hash[31]);
	if (http_request_header(req, "authorization", &value)) {
		bool zeros = true;
		for (size_t i = 0; i < value.len; i++)
			zeros = zeros && !value.data[i];
		buf_printf(&out, " %zu bytes of authorization, %s", value.len, zeros ? "wiped" : "readable");
	}
	buf_printf(&out, " %u headers", http_request_headers(req));
	http_respond_buf(req, 200, "text/plain", &out, NULL, 0);
}

static inline void fixture_handle(void *ctx, struct http_request *req)
{
	struct fixture *f = ctx;
	struct slice first = http_request_segment(req, 0), value;
	pthread_mutex_lock(&f->lock);
	f->handled++;
	pthread_mutex_unlock(&f->lock);
	if (slice_eq_str(first, "later")) {
		fixture_thread(fixture_later, req);
	} else if (slice_eq_str(first, "hold")) {
		pthread_mutex_lock(&f->lock);
		f->held[f->held_count++] = req;
		pthread_mutex_unlock(&f->lock);
	} else if (slice_eq_str(first, "stream")) {
		struct stream_job *job = NEW(struct stream_job);
		*job = (struct stream_job){ f, req, 0, http_request_query(req, "cut", &value), http_request_query(req, "trailer", &value) };
		pthread_mutex_lock(&f->lock);
		f->streams++;
		pthread_mutex_unlock(&f->lock);
		if (http_request_query(req, "bytes", &value))
			for (size_t i = 0; i < value.len; i++)
				job->bytes = job->bytes * 10 + (uint64_t)(value.data[i] - '0');
		if (http_request_query(req, "patient", &value))
			job->patience = 60 * 1000000;
		fixture_thread(fixture_stream, job);
	} else if (slice_eq_str(first, "describe")) {
		fixture_describe(req);
	} else if (slice_eq_str(first, "length")) {
		char text[32];
		snprintf(text, sizeof(text), "%zu", http_request_body(req).len);
		http_respond(req, 200, NULL, slice_str(text), NULL, 0);
	} else if (slice_eq_str(first, "evil")) {
		struct http_field extra[] = { { "X-A", "1\r\nX-Split: 1" }, { "X-B", "fine" } };
		http_respond(req, 200, NULL, SLICE_LIT("ok"), extra, 2);
	} else {
		http_respond(req, 200, "text/plain", http_request_body(req), NULL, 0);
	}
}

static inline void fixture_check(void *ctx, struct http_request *req)
{
	if (slice_eq_str(http_request_segment(req, 0), "denied"))
		http_respond_error(req, 401, 0, "unauthorized", "who are you, \"%s\"?", "x");
	if (slice_eq_str(http_request_segment(req, 0), "small"))
		http_request_limit_body(req, 10);
}

static inline struct fixture *fixture_new(void)
{
	struct fixture *f = NEW(struct fixture);
	pthread_mutex_init(&f->lock, NULL);
	http_server_options_init(&f->options);
	f->options.listen = "127.0.0.1:0";
	f->options.loops = 2;
	f->options.check = fixture_check;
	f->options.handle = fixture_handle;
	f->options.ctx = f;
	return f;
}

static inline void fixture_start(struct fixture *f)
{
	struct err err;
	if (http_server_start(&f->options, &f->server, &err) != RC_OK) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
}

static inline void fixture_release(struct fixture *f)
{
	pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < f->held_count; i++)
		http_respond(f->held[i], 200, "text/plain", http_request_body(f->held[i]), NULL, 0);
	f->held_count = 0;
	pthread_mutex_unlock(&f->lock);
}

/* Waits up to 5 s until that many requests are held. */
static inline bool fixture_wait_held(struct fixture *f, unsigned want)
{
	for (int i = 0; i < 1000; i++) {
		pthread_mutex_lock(&f->lock);
		unsigned n = f->held_count;
		pthread_mutex_unlock(&f->lock);
		if (n == want)
			return true;
		clock_sleep_us(5000);
	}
	return false;
}

static inline rc_t fixture_stream_rc(struct fixture *f)
{
	pthread_mutex_lock(&f->lock);
	rc_t rc = f->stream_rc;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

/* Waits up to 5 s until the server has no request in work. */
static inline bool fixture_wait_idle(struct fixture *f)
{
	struct http_server_stats st;
	for (int i = 0; i < 1000; i++) {
		http_server_get_stats(f->server, &st);
		if (!st.in_work && !st.body_memory)
			return true;
		clock_sleep_us(5000);
	}
	return false;
}

static inline void fixture_free(struct fixture *f)
{
	fixture_release(f);
	fixture_wait_idle(f); /* threads of /later */
	for (bool wait = true; wait; clock_sleep_us(100)) {
		pthread_mutex_lock(&f->lock);
		wait = f->streams > 0;
		pthread_mutex_unlock(&f->lock);
	}
	http_server_free(f->server);
	free(f);
}

static inline int client_open(const struct fixture *f)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(http_server_port(f->server)),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval patience = { 10, 0 };
	int one = 1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline bool client_send(int fd, struct slice s)
{
	while (s.len) {
		ssize_t n = send(fd, s.data, s.len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		s = slice_skip(s, (size_t)n);
	}
	return true;
}

struct answer {
	int status;
	bool close;
	char head[4096], trailer[128];
	struct buf body;
	struct buf rest; /* read already, of the next answers */
};

static inline void answer_init(struct answer *a)
{
	memset(a, 0, sizeof(*a));
	buf_init(&a->body, (size_t)1 << 30);
	buf_init(&a->rest, (size_t)1 << 30);
}

static inline void answer_free(struct answer *a)
{
	buf_free(&a->body);
	buf_free(&a->rest);
}

static inline bool more(int fd, struct answer *a)
{
	buf_reserve(&a->rest, 65536);
	ssize_t n = recv(fd, a->rest.data + a->rest.len, 65536, 0);
	if (n > 0)
		a->rest.len += (size_t)n;
	return n > 0;
}

static inline void drop(struct answer *a, size_t n)
{
	memmove(a->rest.data, a->rest.data + n, a->rest.len - n);
	a->rest.len -= n;
}

/* What stands behind the last chunk's line, up to the empty line. */
static inline bool read_trailer(int fd, struct answer *a, size_t line)
{
	char *end;
	drop(a, line - 2); /* without a trailer its own end is half of what is looked for */
	while (!(end = strstr(buf_cstr(&a->rest), "\r\n\r\n")))
		if (!more(fd, a))
			return false;
	size_t n = (size_t)(end - (char *)a->rest.data);
	snprintf(a->trailer, sizeof a->trailer, "%.*s", (int)(n ? n - 2 : 0), (char *)a->rest.data + 2);
	drop(a, n + 4);
	return true;
}

static inline bool read_chunks(int fd, struct answer *a)
{
	for (;;) {
		uint8_t *lf;
		while (!(lf = a->rest.len ? memchr(a->rest.data, '\n', a->rest.len) : NULL))
			if (!more(fd, a))
				return false;
		size_t line = (size_t)(lf - a->rest.data) + 1, n = strtoul((char *)a->rest.data, NULL, 16);
		while (a->rest.len < line + n + 2)
			if (!more(fd, a))
				return false;
		if (!n)
			return read_trailer(fd, a, line);
		buf_append(&a->body, a->rest.data + line, n);
		drop(a, line + n + 2);
	}
}

/* Reads one answer; false if the connection ended before it was whole. head_only: to a HEAD request. */
static inline bool client_read(int fd, struct answer *a, bool head_only)
{
	char *end, *field;
	buf_reset(&a->body);
	a->status = 0;
	for (;;) {
		if (a->rest.len && (end = strstr(buf_cstr(&a->rest), "\r\n\r\n")))
			break;
		if (!more(fd, a))
			return false;
	}
	size_t head = (size_t)(end - (char *)a->rest.data) + 4;
	snprintf(a->head, sizeof(a->head), "%.*s", (int)head, (char *)a->rest.data);
	drop(a, head);
	a->status = (int)strtoul(a->head + 9, NULL, 10);
	a->close = strstr(a->head, "Connection: close\r\n") != NULL;
	if (head_only || a->status == 100 || a->status == 204)
		return true;
	if (strstr(a->head, "Transfer-Encoding: chunked"))
		return read_chunks(fd, a);
	field = strstr(a->head, "Content-Length: ");
	if (!field) {
		while (more(fd, a))
			;
		buf_append_slice(&a->body, buf_slice(&a->rest));
		buf_reset(&a->rest);
		return true;
	}
	size_t n = strtoul(field + 16, NULL, 10);
	while (a->rest.len < n)
		if (!more(fd, a))
			return false;
	buf_append(&a->body, a->rest.data, n);
	drop(a, n);
	return true;
}

/* True if the server ends the connection without another byte. */
static inline bool client_at_end(int fd, struct answer *a)
{
	char c;
	return a->rest.len == 0 && recv(fd, &c, 1, 0) == 0;
}

/* One request on a connection of its own; the status, 0 if there was no answer. */
static inline int ask(const struct fixture *f, struct slice request, struct answer *a)
{
	int fd = client_open(f);
	if (fd < 0)
		return 0;
	bool sent = client_send(fd, request);
	int status = client_read(fd, a, false) ? a->status : 0;
	close(fd);
	return sent || status ? status : 0;
}

#endif
