#include "pipeline/fixture_test.h"

static struct fixture f;
static struct err err;
static struct ingest_reply reply;

static void begin(void)
{
	fixture_init(&f);
	if (pipeline_open(&f.opts, &f.p, &err) != RC_OK)
		abort();
}

static rc_t send_body(const char *body, const char *key, bool reject)
{
	struct ingest_request r = { .collection = SLICE_LIT("x"), .body = slice_str(body), .key = slice_str(key), .reject = reject,
				    .format = FRAME_NDJSON };
	TRY(pipeline_ingest(f.p, &r, &reply, &err));
	return reply.ticket ? wal_wait(pipeline_wal(f.p), reply.ticket, &err) : RC_OK;
}

static uint64_t waiting(void)
{
	struct wal_pending pending;
	wal_pending(pipeline_wal(f.p), SLICE_LIT("x"), &pending);
	return pending.events;
}

TEST(ingest_keeps_all_of_a_body_or_nothing)
{
	begin();
	CHECK_OK(send_body("{\"n\":1}\n{bad\n{\"n\":2}\n", "", false), err);
	CHECK_INT(reply.accepted, 3);
	CHECK_INT(reply.quarantined, 1);
	CHECK_INT(reply.error_count, 1);
	CHECK_INT(reply.errors[0].line, 2);
	CHECK_INT(reply.position, 3);
	CHECK_INT(waiting(), 3);
	CHECK_RC(send_body("{\"n\":1}\n{bad\n{\"n\":2}\n", "", true), RC_INVALID);
	CHECK_INT(err.status, 400);
	CHECK_RC(send_body("{bad\n", "", false), RC_INVALID);
	CHECK(strstr(err.text, "line 1, column 2"));
	CHECK_RC(send_body(" \n ", "", false), RC_INVALID);
	CHECK_INT(waiting(), 3);
	fixture_free(&f);
}

TEST(ingest_with_a_key_counts_once)
{
	begin();
	CHECK_OK(send_body("{\"n\":1}\n{bad\n", "k", false), err);
	uint64_t position = reply.position;
	for (int i = 0; i < 2; i++) {
		CHECK_OK(send_body("{\"n\":1}\n{bad\n", "k", false), err);
		CHECK(reply.repeated);
		CHECK_INT(reply.accepted, 2);
		CHECK_INT(reply.quarantined, 1);
		CHECK_INT(reply.position, position);
		if (i == 0) { /* the window outlives a restart, and the commit of its events */
			CHECK_OK(pipeline_flush(f.p, "x", &err), err);
			pipeline_close(f.p);
			f.p = NULL;
			CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
		}
	}
	CHECK_RC(send_body("{\"n\":2}\n", "k", false), RC_CONFLICT);
	CHECK_INT(err.status, 409);
	CHECK_OK(send_body("{\"n\":2}\n", "other", false), err);
	uint64_t rows;
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 2);
	fixture_free(&f);
}

TEST(ingest_messages_are_JSON_strings_as_they_are)
{
	begin();
	CHECK_OK(send_body("1\n\"\\q\"\n\"\xff\"\n{\"a\" 1}\n[\"\t\"]\n", "", false), err);
	CHECK(reply.error_count > 2);
	for (unsigned i = 0; i < reply.error_count; i++)
		for (const char *c = reply.errors[i].message; *c; c++)
			CHECK(*c != '"' && *c != '\\' && (unsigned char)*c >= 0x20);
	fixture_free(&f);
}

TEST(pipeline_is_opened_by_one_at_a_time)
{
	begin();
	struct pipeline *second = NULL;
	CHECK_RC(pipeline_open(&f.opts, &second, &err), RC_CONFLICT);
	CHECK(second == NULL);
	struct pipeline_options reading = f.opts;
	reading.read_only = true;
	CHECK_RC(pipeline_open(&reading, &second, &err), RC_CONFLICT);
	CHECK_OK(send_body("{\"n\":1}\n", "", false), err);
	pipeline_close(f.p);
	CHECK_OK(pipeline_open(&reading, &f.p, &err), err);
	uint64_t rows;
	CHECK_OK(count_view(&f, "x", &rows, &err), err); /* without a server the log is read */
	CHECK_INT(rows, 1);
	fixture_free(&f);
}

TEST_MAIN()
