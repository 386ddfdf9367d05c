/* Any bytes, cut anywhere, to the pure parsers and to a whole connection: no crash, no leak, the same result however they are cut, and
 * what comes back is always a row of whole answers. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/http_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct loop *loop;
	int fd;
	struct slice in;
	size_t step;
	struct buf out;
	struct loop_fd *watch;
	struct http_request *held;
	uint64_t payload; /* of all handled bodies: their sum */
	unsigned handled;
};

static void must_hold(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "http_fuzz: does not hold: %s\n", what);
	abort();
}
#define must(what) must_hold((what), #what)

static void release(void *ctx)
{
	struct run *run = ctx;
	if (run->held)
		http_respond(run->held, 200, NULL, SLICE_LIT("held"), NULL, 0);
	run->held = NULL;
}

static void handle(void *ctx, struct http_request *req)
{
	struct run *run = ctx;
	struct slice body = http_request_body(req), name, value;
	run->handled++;
	for (size_t i = 0; i < body.len; i++)
		run->payload = run->payload * 31 + body.data[i];
	for (unsigned i = 0; i < 50 && http_request_query_at(req, i, &name, &value); i++)
		run->payload += name.len + value.len;
	for (unsigned i = 0; i < http_request_segments(req); i++)
		run->payload += http_request_segment(req, i).len;
	if (!run->held) { /* every second answer waits for the next one, if that comes with the same read */
		run->held = req;
		loop_post(run->loop, release, run);
		return;
	}
	http_respond(req, 200, NULL, body, NULL, 0);
	release(run);
}

static void client_ready(void *ctx, unsigned events)
{
	struct run *run = ctx;
	uint8_t got[65536];
	if (run->in.len && events & LOOP_WRITE) {
		size_t n = run->in.len < run->step ? run->in.len : run->step;
		ssize_t sent = send(run->fd, run->in.data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent > 0)
			run->in = slice_skip(run->in, (size_t)sent);
		else if (errno != EAGAIN)
			run->in.len = 0;
		if (!run->in.len) {
			shutdown(run->fd, SHUT_WR);
			loop_modify(run->loop, run->watch, LOOP_READ, NULL);
		}
	}
	ssize_t n = recv(run->fd, got, sizeof(got), MSG_DONTWAIT);
	if (n > 0)
		buf_append(&run->out, got, (size_t)n);
	else if (n == 0 || errno != EAGAIN)
		loop_stop(run->loop);
}

static void run_connection(const uint8_t *data, size_t size, size_t step, struct run *run)
{
	struct http_server_options o;
	struct http_server *s = NULL;
	int fds[2];
	*run = (struct run){ .in = slice_of(data, size), .step = step };
	http_server_options_init(&o);
	o.listen = NULL;
	o.loops = 1;
	o.limits.header_bytes = 2048;
	o.limits.target_bytes = 256;
	o.limits.header_count = 10;
	o.limits.body_bytes = 100000;
	o.limits.pipelined = 4;
	o.handle = handle;
	o.ctx = run;
	must(http_server_make(&o, &s, NULL) == RC_OK);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	run->loop = s->loops[0].loop;
	run->fd = fds[1];
	buf_init(&run->out, 1 << 24);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	atomic_fetch_add(&s->loops[0].connections, 1);
	conn_start(&s->loops[0], fds[0], &none, sizeof(none));
	must(loop_add(run->loop, run->fd, LOOP_READ | LOOP_WRITE, client_ready, run, &run->watch, NULL) == RC_OK);
	must(loop_run(run->loop, NULL) == RC_OK);
	release(run);
	loop_remove(run->loop, run->watch);
	close(run->fd);
	http_server_free(s);
}

static void check_answers(struct slice out)
{
	while (out.len) {
		must(out.len > 12 && memcmp(out.data, "HTTP/1.1 ", 9) == 0);
		const uint8_t *end = memmem(out.data, out.len, "\r\n\r\n", 4);
		must(end != NULL);
		size_t head = (size_t)(end - out.data) + 4;
		const uint8_t *length = memmem(out.data, head, "Content-Length: ", 16);
		out = slice_skip(out, head);
		if (length) {
			size_t n = strtoul((const char *)length + 16, NULL, 10);
			if (n > out.len) /* the answer to a HEAD */
				n = 0;
			if (out.len - n >= 5 && memcmp(out.data + n, "HTTP/", 5) == 0)
				out = slice_skip(out, n);
			else if (out.len == n)
				return;
			/* else HEAD again: its next answer begins here */
		}
	}
}

static void fuzz_chunked(const uint8_t *data, size_t size)
{
	struct http_limits limits = { .header_bytes = 500, .header_count = 5 };
	uint64_t sums[2] = { 0 };
	int status[2] = { 0 };
	size_t ends[2] = { 0 };
	for (int k = 0; k < 2; k++) {
		struct http_chunked c = { 0 };
		struct http_refusal refusal = { 0 };
		bool done = false;
		size_t at = 0, cut = k ? 1 : size;
		while (at < size && !done) {
			struct slice piece;
			size_t n = http_chunked_feed(&c, &limits, slice_of(data + at, cut - at), &piece, &done, &refusal);
			status[k] = refusal.status;
			if (refusal.status)
				break;
			for (size_t i = 0; i < piece.len; i++)
				sums[k] = sums[k] * 31 + piece.data[i];
			must(n <= cut - at);
			at += n;
			cut = k && cut < size && at == cut ? cut + 1 : cut;
		}
		ends[k] = refusal.status ? 0 : at;
	}
	must(status[0] == status[1] && sums[0] == sums[1] && ends[0] == ends[1]);
}

/* In pieces of `in_step` into pieces of `room`; false: refused. *ret_sum of what came out, *ret_ended: and it was whole. */
static bool inflate_all(struct slice in, enum http_coding coding, size_t in_step, size_t room, uint64_t *ret_sum, bool *ret_ended)
{
	uint8_t out[1024];
	struct http_refusal refusal = { 0 };
	struct http_inflater *f = http_inflater_new(coding);
	bool fine = true;
	*ret_sum = 0;
	for (size_t all = 0; all < 1 << 17;) {
		size_t used, made, n = in.len < in_step ? in.len : in_step;
		fine = http_inflate(f, slice_of(in.data, n), out, room, &used, &made, &refusal);
		if (!fine)
			break;
		must(used <= n && made <= room);
		for (size_t i = 0; i < made && all + i < 1 << 17; i++)
			*ret_sum = *ret_sum * 31 + out[i];
		all += made;
		in = slice_skip(in, used);
		if (!in.len && made < room)
			break;
	}
	*ret_ended = http_inflate_finished(f);
	must(http_inflater_memory(f) < 10 << 20); /* a window of 8 MiB, and what is around it */
	http_inflater_free(f);
	return fine;
}

static void fuzz_inflate(const uint8_t *data, size_t size, size_t step, enum http_coding coding)
{
	uint64_t sums[2];
	bool ended[2];
	bool whole = inflate_all(slice_of(data, size), coding, size, 1024, &sums[0], &ended[0]);
	bool cut = inflate_all(slice_of(data, size), coding, step, 1024 - step, &sums[1], &ended[1]);
	must(whole == cut && (!whole || (sums[0] == sums[1] && ended[0] == ended[1])));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3 || size > 20000)
		return 0;
	unsigned kind = data[0] % 8;
	size_t step = data[1] % 64 + 1;
	data += 2;
	size -= 2;
	if (kind == 0) {
		fuzz_chunked(data, size);
	} else if (kind <= 2) {
		fuzz_inflate(data, size, step, kind == 1 ? HTTP_CODING_GZIP : HTTP_CODING_ZSTD);
	} else {
		struct run whole, cut;
		run_connection(data, size, size ? size : 1, &whole);
		check_answers(buf_slice(&whole.out));
		run_connection(data, size, step, &cut);
		must(whole.handled == cut.handled && whole.payload == cut.payload);
		buf_free(&whole.out);
		buf_free(&cut.out);
	}
	return 0;
}
