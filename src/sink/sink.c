#include "sink/sink.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/client.h"
#include "os/clock.h"
#include "os/file.h"

#define FLUSH_BYTES ((size_t)1 << 20)
#define TRIES 8
#define PAUSE_FIRST_US 200000
#define NAP_US 200000 /* pauses are slept in naps, to see `cancel` */
#define LAST_MS 500   /* after a cancel: how long a reader who is at rest may let us wait */

struct sink {
	struct sink_options opts;
	int fd; /* stdout or a file; -1 for HTTP */
	bool is_file;
	bool kept; /* the file has something in it, or is meant to be empty */
	char *target; /* path or URL */
	struct buf out;
	struct net_client *client;
	rc_t (*write)(void *ctx, struct slice bytes, struct err *reterr); /* sink_to */
	void *ctx;
};

rc_t sink_open(const char *url, const struct sink_options *opts, struct sink **ret, struct err *reterr)
{
	AUTO(sink) *s = NEW(struct sink);
	s->opts = *opts;
	s->fd = -1;
	buf_init(&s->out, BUF_MAX_DEFAULT);
	bool http = !strncmp(url, "http://", 7) || !strncmp(url, "https://", 8);
	if (http) {
		TRY(net_client_new(&s->client, reterr));
	} else if (!strcmp(url, "stdout") || !strcmp(url, "-")) {
		s->fd = STDOUT_FILENO;
	} else if (strstr(url, "://") && strncmp(url, "file://", 7) != 0) {
		return err_set(reterr, RC_UNSUPPORTED, "cannot replay to '%s'; give stdout, file://PATH or http(s)://…", url);
	}
	s->target = mem_strdup(!strncmp(url, "file://", 7) ? url + 7 : s->fd == STDOUT_FILENO ? "standard output" : url);
	if (!http && s->fd < 0) {
		rc_t rc = file_open(s->target, FILE_CREATE_NEW, &s->fd, reterr);
		if (rc == RC_CONFLICT)
			return err_set(reterr, RC_CONFLICT, "%s exists; a replay does not overwrite, remove it or name another file", s->target);
		TRY(rc);
		s->is_file = true;
	}
	*ret = s;
	s = NULL;
	return RC_OK;
}

struct sink *sink_to(enum sink_framing framing, rc_t (*write)(void *ctx, struct slice bytes, struct err *reterr), void *ctx)
{
	struct sink *s = NEW(struct sink);
	*s = (struct sink){ .opts.framing = framing, .fd = -1, .write = write, .ctx = ctx };
	buf_init(&s->out, BUF_MAX_DEFAULT);
	return s;
}

void sink_free(struct sink *s)
{
	if (!s)
		return;
	if (s->is_file)
		file_close(s->fd);
	if (s->is_file && !s->kept)
		file_remove(s->target, NULL); /* or the next try would be refused, because of nothing */
	net_client_free(s->client);
	buf_free(&s->out);
	free(s->target);
	free(s);
}

static bool cancelled(const struct sink *s)
{
	return s->opts.cancel && __atomic_load_n(s->opts.cancel, __ATOMIC_RELAXED);
}

static rc_t write_out(struct sink *s, size_t *done, struct err *reterr)
{
	while (*done < s->out.len) {
		size_t most = s->out.len - *done;
		if (cancelled(s) && !s->is_file) { /* what fits goes out all the same, but nobody is waited for */
			struct pollfd p = { .fd = s->fd, .events = POLLOUT };
			if (poll(&p, 1, LAST_MS) == 0)
				return err_set(reterr, RC_CANCELLED, "stopped while nobody read %s: %zu bytes of events did not go out", s->target, most);
			most = most < PIPE_BUF ? most : PIPE_BUF;
		}
		ssize_t n = write(s->fd, s->out.data + *done, most);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(reterr, errno == EPIPE ? RC_CANCELLED : RC_IO, "cannot write to %s", s->target);
		*done += (size_t)n;
		s->kept = true;
	}
	return RC_OK;
}

rc_t sink_flush(struct sink *s, struct err *reterr)
{
	size_t done = 0;
	rc_t rc = RC_OK;
	if (s->write && s->out.len)
		rc = s->write(s->ctx, buf_slice(&s->out), reterr);
	else if (s->fd >= 0)
		rc = write_out(s, &done, reterr);
	if (s->write || done == s->out.len) {
		buf_reset(&s->out);
	} else { /* another flush does not write it twice */
		memmove(s->out.data, s->out.data + done, s->out.len - done);
		s->out.len -= done;
	}
	return rc;
}

static rc_t pause_for(struct sink *s, int64_t us, struct err *reterr)
{
	for (int64_t nap; us > 0; us -= nap) {
		if (cancelled(s))
			return err_set(reterr, RC_CANCELLED, "POST %s: stopped before it was tried again", s->target);
		nap = us < NAP_US ? us : NAP_US;
		clock_sleep_us(nap);
	}
	return RC_OK;
}

static bool is_given(const struct sink *s, const char *name)
{
	size_t n = strlen(name);
	for (const char *const *h = s->opts.headers; h && *h; h++)
		if (!strncasecmp(*h, name, n) && (*h)[n] == ':')
			return true;
	return false;
}

/* A source is what a file of the lake says: it makes no header lines of its own. */
static bool is_plain(struct slice source)
{
	bool plain = source.len > 0 && source.len <= SINK_SOURCE_MAX;
	for (size_t i = 0; i < source.len && plain; i++)
		plain = isalnum(source.data[i]) || source.data[i] == '-' || source.data[i] == '_' || source.data[i] == '.';
	return plain;
}

static rc_t post(struct sink *s, const struct sink_event *e, struct err *reterr)
{
	char type[128], key[SINK_SOURCE_MAX + 64];
	const char *headers[SINK_HEADERS_MAX + 3];
	size_t n = 0;
	for (const char *const *h = s->opts.headers; h && *h && n < SINK_HEADERS_MAX; h++)
		headers[n++] = *h;
	snprintf(type, sizeof type, "Content-Type: %s", s->opts.content_type ? s->opts.content_type(e->payload) : "application/octet-stream");
	snprintf(key, sizeof key, "Idempotency-Key: %.*s-%lld", SLICE_ARG(e->source), (long long)e->pos);
	if (!is_given(s, "Content-Type"))
		headers[n++] = type;
	if (is_plain(e->source) && !is_given(s, "Idempotency-Key"))
		headers[n++] = key;
	headers[n] = NULL;
	struct net_call call = { .method = "POST", .url = s->target, .headers = headers, .body = e->payload, .cancel = s->opts.cancel };
	int64_t pause = PAUSE_FIRST_US;
	for (int i = 1;; i++, pause *= 2) {
		int status = 0;
		struct err err = { 0 };
		AUTO_BUF struct buf body;
		buf_init(&body, 1 << 17);
		rc_t rc = net_request(s->client, &call, &status, &body, &err);
		if (rc == RC_OK && status / 100 == 2)
			return RC_OK;
		bool again = rc != RC_OK ? rc == RC_IO && err.retryable : status >= 500 || status == 429 || status == 408;
		if (rc == RC_OK)
			rc = err_set(&err, RC_IO, "%s answered %d: %.*s", s->target, status, (int)(body.len < 200 ? body.len : 200),
				     (const char *)body.data);
		if (!again || i == TRIES) {
			if (reterr)
				*reterr = err;
			return rc;
		}
		TRY(pause_for(s, pause, reterr));
	}
}

static void put_be(struct buf *b, uint64_t value, int bytes)
{
	while (bytes--)
		buf_byte(b, (uint8_t)(value >> 8 * bytes));
}

static uint64_t get_be(const uint8_t *p, int bytes)
{
	uint64_t v = 0;
	for (int i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

size_t sink_record_parse(struct slice in, struct sink_event *ret)
{
	if (in.len < SINK_RECORD_HEAD)
		return 0;
	size_t payload = get_be(in.data, 4), source = get_be(in.data + 12, 2), head = SINK_RECORD_HEAD + source;
	if (in.len - SINK_RECORD_HEAD < source || in.len - head < payload)
		return 0;
	*ret = (struct sink_event){ slice_of(in.data + head, payload), slice_of(in.data + SINK_RECORD_HEAD, source), (int64_t)get_be(in.data + 4, 8) };
	return head + payload;
}

rc_t sink_write(struct sink *s, const struct sink_event *e, struct err *reterr)
{
	enum sink_framing framing = s->opts.framing;
	size_t source = e->source.len <= SINK_SOURCE_MAX ? e->source.len : 0;
	if (s->client)
		return post(s, e, reterr);
	if (framing == SINK_LENGTH || framing == SINK_RECORDS)
		put_be(&s->out, e->payload.len, 4);
	if (framing == SINK_RECORDS) {
		put_be(&s->out, (uint64_t)e->pos, 8);
		put_be(&s->out, source, 2);
		buf_append(&s->out, e->source.data, source);
	}
	buf_append_slice(&s->out, e->payload);
	if (framing == SINK_LINES || framing == SINK_NUL)
		buf_byte(&s->out, framing == SINK_LINES ? '\n' : 0);
	return s->out.len >= FLUSH_BYTES ? sink_flush(s, reterr) : RC_OK;
}

rc_t sink_finish(struct sink *s, struct err *reterr)
{
	TRY(sink_flush(s, reterr));
	s->kept = true;
	return s->is_file ? file_sync(s->fd, s->target, reterr) : RC_OK;
}
