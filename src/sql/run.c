/* The caller's side: the request out, the frames in, an eye on the clock, and the child's end whatever happens. */
#include "sql/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "sql/spawn_internal.h"
#include "sql/view_internal.h"

#define MEMORY_DEFAULT ((uint64_t)256 << 20)
#define TEMP_DEFAULT ((uint64_t)10 << 30)
#define ROWS_DEFAULT 1000

struct run {
	const struct sql_options *options;
	rc_t (*write)(void *ctx, struct slice chunk, struct err *reterr);
	void *ctx;
	struct child child;
	struct slice unsent;  /* of the request */
	struct buf in;        /* bytes of frames that are not complete yet */
	int64_t deadline;     /* µs, monotonic; 0: none */
	bool done;            /* the last frame came */
};

static rc_t fill_request(const struct sql_options *o, const struct sql_table *tables, size_t n, struct slice sql, const char *library,
			 struct arena *arena, struct request *ret, struct err *reterr)
{
	size_t files = 0;
	for (size_t i = 0; i < n; i++)
		files += tables[i].schema ? tables[i].n : 0;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	*ret = (struct request){
		.library = library,
		.memory_bytes = o->memory_bytes ? o->memory_bytes : MEMORY_DEFAULT,
		.threads = o->threads ? o->threads : (uint32_t)(cores < 1 ? 1 : cores > 8 ? 8 : cores),
		.temp_dir = o->temp_dir ? o->temp_dir : "",
		.temp_bytes = o->temp_bytes ? o->temp_bytes : TEMP_DEFAULT,
		.format = o->format,
		.width = o->width,
		.max_rows = o->max_rows ? o->max_rows : ROWS_DEFAULT,
		.sql = arena_cstr(arena, sql),
		.allowed_dirs = { (const char **)o->allowed_dirs, (uint32_t)o->allowed_dir_count },
		.allowed_paths = { arena_alloc(arena, (files + 1) * sizeof(char *)), 0 },
		.tables = arena_zalloc(arena, (n + 1) * sizeof(struct request_table)),
		.n_tables = (uint32_t)n,
	};
	for (size_t i = 0; i < n; i++) {
		TRY(view_build(&tables[i], arena, &ret->tables[i], reterr));
		for (size_t j = 0; tables[i].schema && j < tables[i].n; j++)
			ret->allowed_paths.items[ret->allowed_paths.n++] = tables[i].files[j];
	}
	return RC_OK;
}

/* One complete frame. */
static rc_t take_frame(struct run *r, uint8_t kind, struct slice body, struct err *reterr)
{
	switch (kind) {
	case FRAME_DATA:
		return r->write(r->ctx, body, reterr);
	case FRAME_DONE:
		r->done = true;
		return RC_OK;
	case FRAME_ERROR:
		if (body.len >= 2 && body.data[0] > RC_OK && body.data[0] <= RC_CANCELLED) {
			r->done = true;
			err_set(reterr, body.data[0], "%.*s", SLICE_ARG(slice_skip(body, 2)));
			if (reterr)
				reterr->retryable = body.data[1];
			return body.data[0];
		}
		/* fall through */
	default:
		return err_set(reterr, RC_CORRUPT, "the query process sent what it should not (kind %u): run it again", kind);
	}
}

static rc_t take_frames(struct run *r, struct err *reterr)
{
	size_t at = 0;
	rc_t rc = RC_OK;
	while (rc == RC_OK && !r->done && r->in.len - at >= PROTO_FRAME_HEAD) {
		uint32_t len;
		memcpy(&len, r->in.data + at + 1, 4);
		if (len > PROTO_FRAME_MAX)
			return err_set(reterr, RC_CORRUPT, "the query process sent a frame of %u bytes: run it again", len);
		if (r->in.len - at - PROTO_FRAME_HEAD < len)
			break;
		rc = take_frame(r, r->in.data[at], slice_of(r->in.data + at + PROTO_FRAME_HEAD, len), reterr);
		at += PROTO_FRAME_HEAD + len;
	}
	if (at) {
		memmove(r->in.data, r->in.data + at, r->in.len - at);
		r->in.len -= at;
	}
	return rc;
}

/* Sends what fits of the request; the stream is ended behind it. A child that has gone shows when we read. */
static void send_some(struct run *r)
{
	ssize_t n = send(r->child.fd, r->unsent.data, r->unsent.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	r->unsent = n < 0 ? (struct slice){ 0 } : slice_skip(r->unsent, (size_t)n);
	if (!r->unsent.len)
		shutdown(r->child.fd, SHUT_WR);
}

/* RC_EOF: the child closed its end. */
static rc_t receive_some(struct run *r, struct err *reterr)
{
	if (!buf_reserve(&r->in, 65536))
		return err_set(reterr, RC_CORRUPT, "the query process sent too much at once: run it again");
	ssize_t n = recv(r->child.fd, r->in.data + r->in.len, r->in.cap - r->in.len, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return RC_EOF;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? RC_OK : err_errno(reterr, RC_IO, "cannot read from the query process");
	r->in.len += (size_t)n;
	return take_frames(r, reterr);
}

static rc_t wait_and_move(struct run *r, struct err *reterr)
{
	struct pollfd fds[2] = {
		{ .fd = r->child.fd, .events = (short)(POLLIN | (r->unsent.len ? POLLOUT : 0)) },
		{ .fd = r->options->cancel_fd > 0 ? r->options->cancel_fd : -1, .events = POLLIN | POLLRDHUP },
	};
	int64_t left = r->deadline ? r->deadline - clock_mono_us() : 0;
	if (r->deadline && left <= 0)
		return err_set(reterr, RC_LIMIT, "the query took longer than %.3g s and was stopped: ask for less, or raise the timeout",
			       (double)r->options->timeout_us / 1e6);
	int64_t ms = r->deadline ? left / 1000 + 1 : -1;
	int n = poll(fds, 2, ms > 1000000 ? 1000000 : (int)ms);
	if (n < 0 && errno != EINTR)
		return err_errno(reterr, RC_IO, "cannot wait for the query process");
	if (n <= 0)
		return RC_OK;
	if (fds[1].revents)
		return err_set(reterr, RC_CANCELLED, "the query was cancelled");
	if (fds[0].revents & POLLOUT && r->unsent.len)
		send_some(r);
	if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
		return receive_some(r, reterr);
	return RC_OK;
}

/* The child ended without a last word: why, as far as one can tell. */
static rc_t describe_crash(struct run *r, int status, struct err *reterr)
{
	char said[200];
	child_last_words(&r->child, said, sizeof(said));
	char how[64];
	if (status >= 0 && WIFSIGNALED(status))
		snprintf(how, sizeof(how), "signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(how, sizeof(how), "exit code %d", status >= 0 ? WEXITSTATUS(status) : -1);
	const char *why = said[0] ? said : "perhaps the machine is out of memory";
	err_set(reterr, RC_IO, "the query process ended in the middle of the query (%s): %s; nothing else was affected", how, why);
	if (reterr)
		reterr->retryable = true;
	return RC_IO;
}

static rc_t run_child(struct run *r, struct err *reterr)
{
	rc_t rc = RC_OK;
	while (rc == RC_OK && !r->done)
		rc = wait_and_move(r, reterr);
	bool crashed = rc == RC_EOF && !r->done;
	/* A child that has said its last word has nothing to clean up that its end would not: it need not be waited for. */
	int status = child_end(&r->child, !crashed);
	if (crashed)
		rc = describe_crash(r, status, reterr);
	return rc;
}

rc_t sql_run(const struct sql_options *options, const struct sql_table *tables, size_t n, struct slice sql,
	     rc_t (*write)(void *ctx, struct slice chunk, struct err *reterr), void *ctx, struct err *reterr)
{
	if (sql.len > SQL_TEXT_MAX)
		return err_set(reterr, RC_LIMIT, "the SQL text has %zu bytes, at most %zu are read", sql.len, SQL_TEXT_MAX);
	if (sql.len && memchr(sql.data, 0, sql.len))
		return err_set(reterr, RC_INVALID, "the SQL text holds a NUL byte: remove it");
	char library[4096];
	TRY(sql_library_path(options, library, sizeof(library), reterr));

	struct run r = { .options = options, .write = write, .ctx = ctx };
	struct arena arena;
	arena_init(&arena);
	AUTO_BUF struct buf message;
	buf_init(&message, PROTO_REQUEST_MAX);
	struct request request;
	rc_t rc = fill_request(options, tables, n, sql, library, &arena, &request, reterr);
	if (rc == RC_OK)
		request_encode(&request, &message);
	arena_free(&arena);
	if (rc != RC_OK)
		return rc;
	if (message.overflow)
		return err_set(reterr, RC_LIMIT, "the query is over too many files at once: narrow it down to fewer collections");

	TRY(child_spawn(&r.child, reterr));
	buf_init(&r.in, 2 * (PROTO_FRAME_MAX + PROTO_FRAME_HEAD) + 65536);
	r.unsent = buf_slice(&message);
	r.deadline = options->timeout_us ? clock_mono_us() + options->timeout_us : 0;
	rc = run_child(&r, reterr);
	buf_free(&r.in);
	return rc;
}
