/* Laws of a replay over HTTP: what cannot become better is not tried again, what can is, and whoever cancels does not wait. */
#include "sink/sink.h"

#include "base/test.h"
#include "net/loopback_test.h"
#include "os/clock.h"
#include "os/file.h"

#define SOON_US 3000000 /* the limit of silence is 60 s, the tries with their pauses take 25 s */

static const struct sink_event event = { { (const uint8_t *)"{}", 2 }, { (const uint8_t *)"a1b2c3d4", 8 }, 7 };

static void *set_later(void *arg)
{
	clock_sleep_us(300000);
	__atomic_store_n((bool *)arg, true, __ATOMIC_RELAXED);
	return NULL;
}

/* What one event to this address gives when it is cancelled after 0.3 s, and how long that takes. */
static rc_t write_cancelled(const char *url, int64_t *ret_us, struct err *reterr)
{
	AUTO(sink) *s = NULL;
	bool cancel = false;
	pthread_t t;
	TRY(sink_open(url, &(struct sink_options){ .cancel = &cancel }, &s, reterr));
	int64_t start = clock_mono_us();
	pthread_create(&t, NULL, set_later, &cancel);
	rc_t rc = sink_write(s, &event, reterr);
	*ret_us = clock_mono_us() - start;
	pthread_join(t, NULL);
	return rc;
}

TEST(sink_that_waits_for_an_answer_ends_soon_after_cancel)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0); /* the kernel takes the connection and the request; nobody ever answers */
	char url[64];
	struct err err = { 0 };
	int64_t took = 0;
	CHECK(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 8) == 0 && getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(a.sin_port));
	CHECK_INT(write_cancelled(url, &took, &err), RC_CANCELLED);
	CHECK(took < SOON_US);
	close(fd);
}

static void say_busy(void *ctx, const struct loopback_request *req, struct buf *out)
{
	(void)ctx, (void)req;
	loopback_say(out, "503 Service Unavailable", "", "later");
}

TEST(sink_between_two_tries_ends_soon_after_cancel)
{
	struct loopback l;
	struct err err = { 0 };
	int64_t took = 0;
	CHECK(loopback_start(&l, say_busy, NULL));
	CHECK_INT(write_cancelled(l.url, &took, &err), RC_CANCELLED);
	CHECK(took < 1000000 && l.requests < 3);
	loopback_stop(&l);
}

TEST(sink_with_an_address_that_cannot_work_fails_at_once)
{
	AUTO(sink) *s = NULL;
	struct err err = { 0 };
	CHECK_OK(sink_open("http://127.0.0.1:99999999/", &(struct sink_options){ 0 }, &s, &err), err);
	int64_t start = clock_mono_us();
	CHECK_INT(sink_write(s, &event, &err), RC_IO);
	CHECK(clock_mono_us() - start < SOON_US);
	CHECK(!err.retryable && strstr(err.text, "99999999"));
}

static void say_busy_once(void *ctx, const struct loopback_request *req, struct buf *out)
{
	(void)ctx;
	loopback_say(out, req->number == 1 ? "503 Service Unavailable" : "200 OK", "", "x");
}

TEST(sink_tries_again_what_may_become_better)
{
	struct loopback l;
	AUTO(sink) *s = NULL;
	struct err err = { 0 };
	CHECK(loopback_start(&l, say_busy_once, NULL));
	CHECK_OK(sink_open(l.url, &(struct sink_options){ 0 }, &s, &err), err);
	CHECK_OK(sink_write(s, &event, &err), err);
	CHECK_INT(l.requests, 2);
	loopback_stop(&l);
}

static void note_heads(void *ctx, const struct loopback_request *req, struct buf *out)
{
	buf_append_str(ctx, req->head);
	loopback_say(out, req->number == 1 ? "503 Service Unavailable" : "200 OK", "", "x");
}

TEST(sink_post_is_known_again_by_its_key_and_carries_the_headers_given)
{
	struct loopback l;
	AUTO(sink) *s = NULL;
	struct err err = { 0 };
	AUTO_BUF struct buf heads;
	buf_init(&heads, 1 << 20);
	const char *given[] = { "Authorization: Bearer t0ken", "content-type: text/x-mine", NULL };
	CHECK(loopback_start(&l, note_heads, &heads));
	CHECK_OK(sink_open(l.url, &(struct sink_options){ .headers = given }, &s, &err), err);
	CHECK_OK(sink_write(s, &event, &err), err);
	const char *first = buf_cstr(&heads), *again = strstr(first + 1, "POST ");
	CHECK(again && strstr(again, "Idempotency-Key: a1b2c3d4-7\r\n"));
	CHECK(strstr(first, "Idempotency-Key: a1b2c3d4-7\r\n") < again);
	CHECK(strstr(again, "Authorization: Bearer t0ken\r\n"));
	CHECK(strstr(again, "content-type: text/x-mine\r\n") && !strstr(first, "octet-stream"));
	buf_reset(&heads);
	struct sink_event evil = { event.payload, SLICE_LIT("a\r\nX-Evil: 1"), 7 };
	CHECK_OK(sink_write(s, &evil, &err), err);
	CHECK(!strstr(buf_cstr(&heads), "X-Evil") && !strstr(buf_cstr(&heads), "Idempotency-Key"));
	loopback_stop(&l);
}

TEST(sink_leaves_no_file_that_nothing_was_written_to)
{
	char dir[] = "/tmp/hydrant-sink-XXXXXX";
	struct err err = { 0 };
	struct sink *s = NULL;
	struct sink_options o = { 0 };
	CHECK(mkdtemp(dir));
	AUTO_MEM char *path = mem_printf("%s/x", dir);
	CHECK_OK(sink_open(path, &o, &s, &err), err);
	sink_free(s);
	CHECK_OK(sink_open(path, &o, &s, &err), err); /* it is not there any more */
	CHECK_OK(sink_write(s, &event, &err), err);
	CHECK_OK(sink_flush(s, &err), err);
	sink_free(s);
	CHECK_RC(sink_open(path, &o, &s, &err), RC_CONFLICT); /* but what has come is kept */
	CHECK(file_remove(path, &err) == RC_OK);
	CHECK_OK(sink_open(path, &o, &s, &err), err);
	CHECK_OK(sink_finish(s, &err), err);
	sink_free(s);
	CHECK_RC(sink_open(path, &o, &s, &err), RC_CONFLICT); /* no events are a result, too */
	dir_remove_tree(dir, NULL);
}

static rc_t collect(void *ctx, struct slice bytes, struct err *reterr)
{
	(void)reterr;
	buf_append_slice(ctx, bytes);
	return RC_OK;
}

TEST(sink_records_come_back_and_half_of_one_is_none)
{
	AUTO_BUF struct buf out;
	struct err err = { 0 };
	struct sink_event got;
	buf_init(&out, 1 << 20);
	AUTO(sink) *s = sink_to(SINK_RECORDS, collect, &out);
	CHECK_OK(sink_write(s, &event, &err), err);
	CHECK_OK(sink_flush(s, &err), err);
	for (size_t n = 0; n < out.len; n++)
		CHECK_INT(sink_record_parse(slice_of(out.data, n), &got), 0);
	CHECK_INT(sink_record_parse(buf_slice(&out), &got), out.len);
	CHECK_SLICE(got.payload, event.payload);
	CHECK_SLICE(got.source, event.source);
	CHECK_INT(got.pos, event.pos);
}

TEST_MAIN()
