#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/test.h"
#include "net/client.h"
#include "os/clock.h"
#include "os/file.h"
#include "server/server.h"

#define SOFT ((uint64_t)64 << 10)
#define SHARE (SOFT + ((uint64_t)1 << 20)) /* a second of delay for this much over SOFT */

static struct {
	char dir[64];
	struct pipeline *p; /* not started: nothing is committed unless a test asks */
	struct server *s;
} f;
static struct err err;

static void begin(void)
{
	struct pipeline_options po;
	log_set_level(LOG_ERROR);
	snprintf(f.dir, sizeof f.dir, "/tmp/hydrant-server-XXXXXX");
	if (!mkdtemp(f.dir))
		abort();
	pipeline_options_default(&po);
	po.lake = f.dir;
	if (pipeline_open(&po, &f.p, &err) != RC_OK)
		abort();
	struct server_options so = { .listen = "127.0.0.1:0", .loops = 1, .pipeline = f.p, .soft_bytes = SOFT, .share_bytes = SHARE };
	if (server_start(&so, &f.s, &err) != RC_OK)
		abort();
}

static void end(void)
{
	server_free(f.s);
	pipeline_close(f.p);
	dir_remove_tree(f.dir, NULL);
}

static rc_t take_body(void *ctx, struct slice piece, struct err *reterr)
{
	buf_append_slice(ctx, piece);
	return RC_OK;
}

/* The status, or 0 without an answer. */
static int request(const char *method, const char *path, struct slice body, struct buf *answer)
{
	AUTO(net_client) *c = NULL;
	AUTO_MEM char *url = mem_printf("http://%s%s", server_address(f.s), path);
	int status = 0;
	if (net_client_new(&c, NULL) != RC_OK)
		return 0;
	struct net_call call = { .method = method, .url = url, .body = body, .on_body = take_body, .ctx = answer };
	return net_request(c, &call, &status, NULL, NULL) == RC_OK ? status : 0;
}

/* An event of about `bytes`; *ret_us: how long the ack took. */
static int post(const char *path, size_t bytes, int64_t *ret_us)
{
	AUTO_BUF struct buf body, answer;
	buf_init(&body, BUF_MAX_DEFAULT);
	buf_init(&answer, BUF_MAX_DEFAULT);
	buf_append_str(&body, "{\"x\":\"");
	for (size_t i = 0; i < bytes; i++)
		buf_byte(&body, 'x');
	buf_append_str(&body, "\"}");
	int64_t start = clock_mono_us();
	int status = request("POST", path, buf_slice(&body), &answer);
	*ret_us = clock_mono_us() - start;
	return status;
}

static unsigned long delayed(void)
{
	AUTO_BUF struct buf answer;
	buf_init(&answer, BUF_MAX_DEFAULT);
	request("GET", "/metrics", (struct slice){ 0 }, &answer);
	buf_byte(&answer, 0);
	const char *at = strstr((const char *)answer.data, "\nhydrant_delayed_acks_total ");
	return at ? strtoul(at + sizeof "\nhydrant_delayed_acks_total " - 1, NULL, 10) : 12345;
}

TEST(acks_of_a_long_backlog_wait_in_proportion_and_no_others)
{
	static const char a[] = "/v1/collections/a/events", b[] = "/v1/collections/b/events";
	int64_t us;
	begin();
	CHECK_INT(post(a, 100, &us), 200);
	CHECK_INT(delayed(), 0);
	CHECK_INT(post(a, (size_t)SOFT + (300 << 10), &us), 200);
	CHECK(us >= 290000);
	CHECK_INT(delayed(), 1);
	CHECK_INT(post(b, 100, &us), 200);
	CHECK_INT(delayed(), 1);
	CHECK_INT(post(a, 300 << 10, &us), 200);
	CHECK(us >= 580000);
	CHECK_INT(delayed(), 2);
	CHECK_OK(pipeline_flush(f.p, "a", &err), err);
	CHECK_INT(post(a, 100, &us), 200);
	CHECK_INT(delayed(), 2);
	end();
}

struct sender {
	pthread_t thread;
	int status;
	int64_t us;
};

static void *send_one(void *arg)
{
	struct sender *s = arg;
	s->status = post("/v1/collections/a/events", (size_t)SHARE, &s->us);
	return NULL;
}

#define SENDERS 5
/* Waits until so many acks are delayed, or 10 s. */
static bool wait_delayed(unsigned long n)
{
	for (int64_t start = clock_mono_us(); delayed() < n; usleep(1000))
		if (clock_mono_us() > start + 10000000)
			return false;
	return true;
}

static void begin_senders(struct sender *senders)
{
	begin();
	for (int i = 0; i < SENDERS; i++)
		if (pthread_create(&senders[i].thread, NULL, send_one, &senders[i]) != 0)
			abort();
}

TEST(a_server_that_drains_answers_what_waits)
{
	struct sender senders[SENDERS];
	begin_senders(senders);
	CHECK(wait_delayed(SENDERS)); /* all of them are appended, none is refused */
	server_drain(f.s, clock_mono_us() + 30000000);
	for (int i = 0; i < SENDERS; i++) {
		pthread_join(senders[i].thread, NULL);
		CHECK_INT(senders[i].status, 200);
		CHECK(senders[i].us >= 1000000);
	}
	end();
}

TEST(a_server_that_ends_does_not_wait_for_slowed_acks)
{
	struct sender senders[SENDERS];
	begin_senders(senders);
	CHECK(wait_delayed(1));
	server_free(f.s);
	f.s = NULL;
	for (int i = 0; i < SENDERS; i++)
		pthread_join(senders[i].thread, NULL);
	end();
}

TEST_MAIN()
