#include "store/s3_internal.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/test.h"
#include "net/loopback_test.h"
#include "os/clock.h"
#include "os/file.h"

/* The S3 backend against a server of ours that does what real ones do on their bad days. */

static struct err err;
static char folder[64];

struct script {
	const char *const *answers; /* by number of the request; the last one for all that follow. NULL: the connection is reset */
	unsigned count;
	char heads[16][2048];
	char bodies[16][4096];
};

static void play(void *ctx, const struct loopback_request *req, struct buf *out)
{
	struct script *s = ctx;
	unsigned i = req->number - 1 < s->count ? req->number - 1 : s->count - 1;
	if (req->number <= 16) {
		snprintf(s->heads[req->number - 1], sizeof s->heads[0], "%s", req->head);
		snprintf(s->bodies[req->number - 1], sizeof s->bodies[0], "%.*s", req->body.len < 4000 ? (int)req->body.len : 0, (const char *)req->body.data);
	}
	const char *a = s->answers[i];
	if (!a)
		return;
	if (!strncmp(a, "HTTP/", 5)) { /* as it is */
		buf_append_str(out, a);
		return;
	}
	/* "status|headers|body" */
	const char *headers = strchr(a, '|') + 1, *body = strchr(headers, '|') + 1;
	AUTO_MEM char *status = mem_printf("%.*s", (int)(headers - 1 - a), a);
	AUTO_MEM char *fields = mem_printf("%.*s%s", (int)(body - 1 - headers), headers, body - 1 > headers ? "\r\n" : "");
	if (!strncmp(req->head, "HEAD", 4))
		body = "";
	loopback_say(out, status, fields, body);
}

/* The folder of the store before, and of the last one. */
__attribute__((destructor)) static void sweep(void)
{
	if (folder[0])
		dir_remove_tree(folder, NULL);
}

static bool open_at(const char *url, struct store **ret, bool virtual_host)
{
	sweep();
	snprintf(folder, sizeof folder, "/tmp/s3-test-XXXXXX");
	if (!mkdtemp(folder))
		return false;
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
	setenv("AWS_CONFIG_FILE", "/dev/null", 1);
	unsetenv("AWS_ENDPOINT_URL_S3");
	struct store_options o = { .endpoint = url, .access_key = "AKID", .secret_key = "s3cr3t-canary", .region = "us-east-1", .temp_dir = folder,
				   .cache_dir = folder, .addressing = virtual_host ? STORE_ADDRESSING_VIRTUAL : STORE_ADDRESSING_AUTO };
	return store_open("s3://bucket/pre", &o, ret, &err) == RC_OK;
}

#define PLAY(...)                                                                       \
	static const char *const answers_[] = { __VA_ARGS__ };                          \
	static struct script script;                                                    \
	struct loopback server;                                                         \
	AUTO(store) *s = NULL;                                                          \
	memset(&script, 0, sizeof script);                                              \
	script.answers = answers_;                                                      \
	script.count = sizeof answers_ / sizeof *answers_;                              \
	CHECK(loopback_start(&server, play, &script) && open_at(server.url, &s, false))

#define OK "200 OK||"
#define ERROR_(code) "<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>m</Message></Error>"

static rc_t get(struct store *s, const char *key, const char *want)
{
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	rc_t rc = store_get(s, key, &b, &err);
	return rc != RC_OK ? rc : slice_eq_str(buf_slice(&b), want) ? RC_OK : RC_CORRUPT;
}

TEST(s3_requests_are_tried_again_while_that_can_help)
{
	PLAY("503 Slow Down|Retry-After: 1|" ERROR_("SlowDown"), NULL, "500 Oops||" ERROR_("InternalError"), "400 Bad||" ERROR_("RequestTimeout"), OK "hello");
	int64_t start = clock_mono_us();
	CHECK_OK(get(s, "a/b c", "hello"), err);
	CHECK(clock_mono_us() - start >= 1000000);
	CHECK_INT(server.requests, 5);
	CHECK(!strncmp(script.heads[0], "GET /bucket/pre/a/b%20c HTTP/1.1\r\n", 33));
	CHECK(strstr(script.heads[0], "SignedHeaders=host;x-amz-checksum-mode;x-amz-content-sha256;x-amz-date"));
	struct store_stats st;
	store_get_stats(s, &st);
	CHECK_INT(st.retries, 4);
	CHECK_INT(st.requests[S3_GET], 5);
	loopback_stop(&server);
}

TEST(s3_answers_that_are_final_are_not_tried_again)
{
	PLAY("403 Forbidden|x-amz-request-id: R1|" ERROR_("AccessDenied"), "404 Not Found||" ERROR_("NoSuchKey"), "404 Not Found||" ERROR_("NoSuchBucket"),
	     "403 Forbidden||" ERROR_("SignatureDoesNotMatch"), "416 Range||" ERROR_("InvalidRange"));
	CHECK_RC(get(s, "k", ""), RC_IO);
	CHECK_INT(err.status, 403);
	CHECK(!err.retryable);
	CHECK(strstr(err.text, "s3://bucket/pre/k: GET answered 403 AccessDenied: either it is not there and s3:ListBucket is missing, or s3:GetObject is denied"));
	CHECK(strstr(err.text, "request R1"));
	CHECK_RC(get(s, "k", ""), RC_NOT_FOUND);
	CHECK_RC(get(s, "k", ""), RC_IO); /* a lake whose bucket is gone is not an empty lake */
	CHECK(strstr(err.text, "the bucket is not there"));
	CHECK_RC(get(s, "k", ""), RC_IO);
	CHECK(!strstr(err.text, "s3cr3t-canary"));
	CHECK_INT(server.requests, 4);
	loopback_stop(&server);
}

TEST(s3_a_404_that_no_store_wrote_is_no_absence)
{
	PLAY("404 Not Found||<html><body>404 page not found</body></html>", "404 Not Found||404 page not found\n", "404 Not Found||", "404 Not Found||",
	     "404 Not Found||" ERROR_("NoSuchKey"));
	uint8_t byte;
	CHECK_RC(get(s, "k", ""), RC_IO);
	CHECK(strstr(err.text, "s3://bucket/pre/k: GET answered 404: that is no answer of S3"));
	CHECK_RC(get(s, "k", ""), RC_IO);
	CHECK_RC(store_size(s, "k", NULL, NULL, &err), RC_IO);
	CHECK_RC(store_read(s, "k", 0, 1, &byte, &err), RC_IO);
	CHECK_RC(store_size(s, "k", NULL, NULL, &err), RC_NOT_FOUND);
	loopback_stop(&server);
}

#define SAYING_(code, message) "<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>" message "</Message></Error>"

TEST(s3_a_missing_right_is_told_from_keys_that_are_not_taken_and_from_the_kms_key)
{
	PLAY("403 Forbidden||" ERROR_("InvalidAccessKeyId"), "403 Forbidden||" ERROR_("AccessDenied"),
	     "403 Forbidden||" SAYING_("AccessDenied", "User: arn:aws:sts::111122223333:assumed-role/a-rather-long-name-of-a-role/a-session-name-that-is-long-as-well "
						       "is not authorized to perform: kms:GenerateDataKey on this resource"),
	     "403 Forbidden||" SAYING_("InvalidAccessKeyId", "Failed to retrieve the actual key, kms-keyid: k"), "400 Bad Request||" ERROR_("KMS.DisabledException"));
	CHECK_RC(get(s, "k", ""), RC_IO);
	CHECK_INT(err.status, 401);
	CHECK_RC(get(s, "k", ""), RC_IO);
	CHECK_INT(err.status, 403);
	for (int i = 0; i < 3; i++) {
		CHECK_RC(get(s, "k", ""), RC_IO);
		CHECK_INT(err.status, i < 2 ? 403 : 400);
		CHECK(strstr(err.text, "the KMS key is not there, is disabled, or may not be used"));
	}
	loopback_stop(&server);
}

TEST(s3_patience_ends_tries_and_waiting)
{
	PLAY("500 Internal||", "500 Internal||", "500 Internal||", "500 Internal||");
	store_set_patience(s, 2, 1000000);
	CHECK_RC(get(s, "k", ""), RC_IO);
	CHECK_INT(server.requests, 2);
	store_set_patience(s, 1, 1000000);
	CHECK_RC(get(s, "k", ""), RC_IO);
	CHECK_INT(server.requests, 3);
	loopback_stop(&server);
}

TEST(s3_short_bodies_and_wrong_checksums_are_no_answers)
{
	PLAY("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhel", "200 OK|x-amz-checksum-crc32c: AAAAAA==|hello",
	     "200 OK|x-amz-checksum-crc32c: mnG7TA==|hello", "200 OK|x-amz-checksum-crc32c: AAAAAA==|hello");
	CHECK_OK(get(s, "k", "hello"), err);
	CHECK_INT(server.requests, 3);
	CHECK_RC(get(s, "k", "hello"), RC_CORRUPT);
	CHECK(strstr(err.text, "checksum"));
	loopback_stop(&server);
}

TEST(s3_create_that_was_applied_unheard_is_ours_if_our_bytes_are_there)
{
	PLAY(NULL, "412 Precondition Failed||" ERROR_("PreconditionFailed"), OK "mine", NULL, "412 Precondition Failed||" ERROR_("PreconditionFailed"), OK "their");
	CHECK_OK(store_put(s, "k", SLICE_LIT("mine"), STORE_CREATE, &err), err);
	CHECK(strcasestr(script.heads[0], "\r\nif-none-match: *\r\n"));
	CHECK_STR(script.bodies[0], "mine");
	CHECK_INT(server.requests, 3);
	CHECK_RC(store_put(s, "k", SLICE_LIT("mine"), STORE_CREATE, &err), RC_CONFLICT);
	CHECK_INT(server.requests, 6);
	loopback_stop(&server);
}

#define OWN_409 "409 Conflict||" ERROR_("ExistingObjectIsDirectory")
#define GONE "404 Not Found||" ERROR_("NoSuchKey")

TEST(s3_create_that_lost_a_race_by_a_code_of_the_servers_own_is_resolved_by_looking)
{
	PLAY(OWN_409, "200 OK||", OWN_409, "412 Precondition Failed||" ERROR_("PreconditionFailed"), OK "mine", OWN_409,
	     "412 Precondition Failed||" ERROR_("PreconditionFailed"), OK "their", OWN_409, "412 Precondition Failed||" ERROR_("PreconditionFailed"), GONE);
	CHECK_OK(store_put(s, "k", SLICE_LIT("mine"), STORE_CREATE, &err), err);
	CHECK_OK(store_put(s, "k", SLICE_LIT("mine"), STORE_CREATE, &err), err);
	CHECK_RC(store_put(s, "k", SLICE_LIT("mine"), STORE_CREATE, &err), RC_CONFLICT);
	CHECK_RC(store_put(s, "k", SLICE_LIT("mine"), STORE_CREATE, &err), RC_CONFLICT); /* another's, that has gone again */
	CHECK_INT(server.requests, 11);
	loopback_stop(&server);
}

TEST(s3_create_that_is_always_answered_409_is_looked_for_at_the_end)
{
	PLAY(OWN_409, OK "mine", OWN_409, OK "their", OWN_409, GONE, OWN_409);
	store_set_patience(s, 1, 1000000);
	CHECK_OK(store_put(s, "k", SLICE_LIT("mine"), STORE_CREATE, &err), err);
	CHECK_RC(store_put(s, "k", SLICE_LIT("mine"), STORE_CREATE, &err), RC_CONFLICT);
	CHECK_RC(store_put(s, "k", SLICE_LIT("mine"), STORE_CREATE, &err), RC_IO);
	CHECK(err.retryable && strstr(err.text, "ExistingObjectIsDirectory"));
	CHECK_RC(store_put(s, "k", SLICE_LIT("mine"), STORE_REPLACE, &err), RC_IO); /* no create: the server means what it says */
	CHECK(!err.retryable);
	CHECK_INT(server.requests, 7);
	loopback_stop(&server);
}

TEST(s3_create_that_is_refused_at_once_needs_no_look)
{
	PLAY("412 Precondition Failed||" ERROR_("PreconditionFailed"));
	CHECK_RC(store_put(s, "k", SLICE_LIT("mine"), STORE_CREATE, &err), RC_CONFLICT);
	CHECK_INT(server.requests, 1);
	loopback_stop(&server);
}

TEST(s3_create_race_is_tried_again_and_stores_without_it_are_refused_by_name)
{
	PLAY("409 Conflict||" ERROR_("ConditionalRequestConflict"), OK "", "501 Not Implemented||" ERROR_("NotImplemented"), OK "", OK "",
	     OK "", "200 OK||");
	CHECK_OK(store_put(s, "k", SLICE_LIT("x"), STORE_CREATE, &err), err);
	CHECK_RC(store_put(s, "k", SLICE_LIT("x"), STORE_CREATE, &err), RC_UNSUPPORTED);
	CHECK(strstr(err.text, "If-None-Match"));
	CHECK_RC(store_check_create(s, "k", SLICE_LIT("x"), &err), RC_UNSUPPORTED);
	CHECK(strstr(err.text, "overwrote"));
	loopback_stop(&server);
}

TEST(s3_region_and_clock_are_learnt_from_the_answers)
{
	PLAY("400 Bad||<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region></Error>", OK "hello",
	     "301 Moved|x-amz-bucket-region: ap-south-1|", OK "hello", "403 Forbidden|Date: Fri, 24 May 2030 01:02:03 GMT|" ERROR_("RequestTimeTooSkewed"), OK "hello",
	     "400 Bad||" ERROR_("ExpiredToken"));
	CHECK_OK(get(s, "k", "hello"), err);
	CHECK(strstr(script.heads[0], "/us-east-1/s3/") && strstr(script.heads[1], "/eu-central-1/s3/"));
	CHECK_OK(get(s, "k", "hello"), err);
	CHECK(strstr(script.heads[3], "/ap-south-1/s3/"));
	CHECK_OK(get(s, "k", "hello"), err);
	CHECK(strcasestr(script.heads[5], "x-amz-date: 20300524T0102"));
	CHECK_RC(get(s, "k", ""), RC_IO); /* nothing fresher is to be had */
	CHECK(strstr(err.text, "ExpiredToken"));
	CHECK_INT(server.requests, 7);
	loopback_stop(&server);
}

static rc_t list_one(void *ctx, const struct store_entry *e, struct err *reterr)
{
	struct buf *b = ctx;
	(void)reterr;
	buf_printf(b, "%s%s %llu;", e->key, e->is_folder ? "/" : "", (unsigned long long)e->size);
	return RC_OK;
}

#define CONTENT(key, size) "<Contents><Key>" key "</Key><LastModified>2026-11-27T10:00:00.000Z</LastModified><Size>" size "</Size></Contents>"

TEST(s3_a_document_that_is_no_listing_is_no_empty_folder)
{
	PLAY("200 OK||<html><body>please log in</body></html>", "200 OK||<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
	     "200 OK||<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>pre/k</Key><Size>1</Size></Contents></ListBucketResult>");
	AUTO_BUF struct buf b;
	buf_init(&b, 1000);
	CHECK_RC(store_list(s, "", list_one, &b, &err), RC_IO);
	CHECK(strstr(err.text, "answered with something else"));
	CHECK_OK(store_list(s, "", list_one, &b, &err), err);
	CHECK_INT(b.len, 0);
	CHECK_RC(store_list(s, "", list_one, &b, &err), RC_CORRUPT); /* an object without its time is not an old one */
	loopback_stop(&server);
}

TEST(s3_listing_goes_on_and_gives_only_what_a_key_can_name)
{
	PLAY("200 OK||<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>t/1=</NextContinuationToken>" CONTENT(
		     "pre/a%20b", "3") CONTENT("pre/x/", "0") CONTENT("pre/..%2Fetc", "1") CONTENT("other", "1") "</ListBucketResult>",
	     "200 OK||<ListBucketResult><IsTruncated>false</IsTruncated>" CONTENT("pre/c&amp;%41", "5") "<CommonPrefixes><Prefix>pre/f/</Prefix></CommonPrefixes></ListBucketResult>",
	     "200 OK||<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>");
	AUTO_BUF struct buf b;
	buf_init(&b, 10000);
	CHECK_OK(store_list_folder(s, "", list_one, &b, &err), err);
	CHECK_STR(buf_cstr(&b), "a b 3;c&%41 5;f/ 0;");
	CHECK(strstr(script.heads[0], "delimiter=%2F") && strstr(script.heads[0], "prefix=pre%2F"));
	CHECK(strstr(script.heads[1], "continuation-token=t%2F1%3D"));
	CHECK_RC(store_list(s, "", list_one, &b, &err), RC_IO); /* it never ends */
	loopback_stop(&server);
}

TEST(s3_errors_inside_of_200_are_errors)
{
	PLAY("200 OK||<DeleteResult><Error><Key>pre/f/b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>");
	char *keys[] = { "f/a", "f/b" };
	CHECK_RC(store_delete_keys(s, "f", keys, 2, &err), RC_IO);
	CHECK_INT(err.status, 403);
	CHECK(strstr(err.text, "s3:DeleteObject is denied"));
	CHECK(strstr(script.bodies[0], "<Object><Key>pre/f/a</Key></Object><Object><Key>pre/f/b</Key></Object>"));
	CHECK(strcasestr(script.heads[0], "content-md5: "));
	loopback_stop(&server);
}

/* ---- multipart: the server keeps the parts ---- */

struct parts {
	unsigned complete_fails, completes, aborts, bad_parts;
	size_t bytes;
};

static void parts_answer(void *ctx, const struct loopback_request *req, struct buf *out)
{
	struct parts *p = ctx;
	if (strstr(req->head, "POST /bucket/pre/big?uploads="))
		loopback_say(out, "200 OK", "", "<InitiateMultipartUploadResult><UploadId>id&amp;1</UploadId></InitiateMultipartUploadResult>");
	else if (strstr(req->head, "DELETE /bucket/pre/big?uploadId=id%261")) {
		p->aborts++;
		loopback_say(out, "204 No Content", "", "");
	} else if (strstr(req->head, "POST /bucket/pre/big?uploadId=id%261")) {
		p->completes++;
		loopback_say(out, "200 OK", "", p->completes <= p->complete_fails ? ERROR_("InternalError") : "<CompleteMultipartUploadResult/>");
	} else if (strstr(req->head, "PUT /bucket/pre/big?partNumber=")) {
		char hash[SIGN_HASH_LEN + 1];
		sha256_hex(req->body, hash);
		p->bad_parts += strcasestr(req->head, hash) == NULL;
		p->bytes += req->body.len;
		loopback_say(out, "200 OK", "ETag: \"e\"\r\n", "");
	} else
		loopback_say(out, "400 Bad", "", ERROR_("Unexpected"));
}

static char *big_file(uint64_t size)
{
	char *path = mem_printf("%s/big", folder);
	int fd;
	if (file_open(path, FILE_CREATE, &fd, NULL) == RC_OK) {
		file_truncate(fd, path, size, NULL);
		file_pwrite(fd, path, "end", 3, size - 3, NULL);
		file_close(fd);
	}
	return path;
}

TEST(s3_large_files_go_in_parts_and_a_failure_aborts_them)
{
	struct parts p = { .complete_fails = 1 };
	struct loopback server;
	AUTO(store) *s = NULL;
	CHECK(loopback_start(&server, parts_answer, &p) && open_at(server.url, &s, false));
	AUTO_MEM char *path = big_file(S3_PART_BYTES * 2 + 5);
	CHECK_OK(store_put_file(s, "big", path, STORE_REPLACE, &err), err);
	CHECK_INT(p.bytes, S3_PART_BYTES * 2 + 5);
	CHECK_INT(p.completes, 2);
	CHECK_INT(p.bad_parts, 0);
	CHECK_INT(p.aborts, 0);
	CHECK_RC(file_stat(path, NULL, NULL, NULL, NULL), RC_NOT_FOUND);
	p.complete_fails = 1000;
	AUTO_MEM char *again = big_file(S3_PART_BYTES + 1);
	CHECK_RC(store_put_file(s, "big", again, STORE_REPLACE, &err), RC_IO);
	CHECK_INT(p.aborts, 1);
	CHECK_RC(file_stat(again, NULL, NULL, NULL, NULL), RC_OK);
	loopback_stop(&server);
}

/* ---- ranges, blocks, copies: the server has one object ---- */

struct object {
	uint8_t *bytes;
	size_t size;
	const char *etag;
};

static void object_answer(void *ctx, const struct loopback_request *req, struct buf *out)
{
	struct object *o = ctx;
	unsigned long long from, to;
	const char *range = strcasestr(req->head, "\r\nrange: bytes=");
	if (!range || sscanf(range + 15, "%llu-%llu", &from, &to) != 2 || from >= o->size) {
		loopback_say(out, "416 Range", "", ERROR_("InvalidRange"));
		return;
	}
	to = to < o->size ? to : o->size - 1;
	buf_printf(out, "HTTP/1.1 206 Partial\r\nConnection: close\r\nETag: %s\r\nContent-Length: %llu\r\nContent-Range: bytes %llu-%llu/%zu\r\n\r\n", o->etag,
		   to - from + 1, from, to, o->size);
	buf_append(out, o->bytes + from, (size_t)(to - from + 1));
}

static struct object object_of(size_t size)
{
	struct object o = { mem_alloc(size), size, "\"1\"" };
	for (size_t i = 0; i < size; i++)
		o.bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	return o;
}

TEST(s3_small_reads_share_requests_and_never_mix_two_objects)
{
	struct object o = object_of((size_t)3 << 20);
	struct loopback server;
	AUTO(store) *s = NULL;
	uint8_t out[1000];
	CHECK(loopback_start(&server, object_answer, &o) && open_at(server.url, &s, false));
	for (size_t at = 0; at + sizeof out <= o.size; at += sizeof out) {
		CHECK_OK(store_read(s, "o", at, sizeof out, out, &err), err);
		CHECK(!memcmp(out, o.bytes + at, sizeof out));
	}
	CHECK(server.requests < 8);
	CHECK_RC(store_read(s, "o", o.size - 10, 11, out, &err), RC_EOF);
	unsigned before = server.requests;
	CHECK_OK(store_read(s, "o", o.size - 10, 10, out, &err), err);
	CHECK_INT(server.requests, before);
	memset(o.bytes, 'z', o.size);
	o.etag = "\"2\"";
	uint64_t size;
	CHECK_OK(store_size(s, "o", &size, NULL, &err), err); /* whoever opens the file looks */
	CHECK_OK(store_read(s, "o", 5, 10, out, &err), err);
	CHECK(!memcmp(out, "zzzzzzzzzz", 10));
	free(o.bytes);
	loopback_stop(&server);
}

TEST(s3_copies_are_whole_kept_and_bounded)
{
	struct object o = object_of(((size_t)16 << 20) + 77);
	struct loopback server;
	AUTO(store) *s = NULL;
	char *path[2];
	CHECK(loopback_start(&server, object_answer, &o) && open_at(server.url, &s, false));
	const struct store_want wants[] = { { "a.parquet", o.size }, { "b.parquet", o.size } };
	CHECK_OK(store_fetch(s, wants, 2, path, &err), err);
	CHECK_INT(server.requests, 6);
	for (int i = 0; i < 2; i++) {
		AUTO_BUF struct buf b;
		buf_init(&b, (size_t)32 << 20);
		CHECK_OK(file_read_all(path[i], &b, &err), err);
		CHECK(b.len == o.size && !memcmp(b.data, o.bytes, o.size));
		store_release(s, path[i]);
	}
	CHECK_OK(store_fetch(s, wants, 1, path, &err), err);
	CHECK_INT(server.requests, 6);
	store_release(s, path[0]);
	const struct store_want wrong = { "a.parquet", o.size + 1 };
	CHECK_RC(store_fetch(s, &wrong, 1, path, &err), RC_CORRUPT);
	const struct store_want huge = { "c.parquet", (uint64_t)1 << 40 };
	CHECK_RC(store_fetch(s, &huge, 1, path, &err), RC_LIMIT);
	free(o.bytes);
	loopback_stop(&server);
}

TEST(s3_addresses_are_path_style_at_ones_own_endpoint_and_virtual_when_told)
{
	AUTO(store) *s = NULL;
	CHECK(open_at("http://127.0.0.1:1/base/", &s, true));
	CHECK_STR(store_url(s), "s3://bucket/pre");
	const char *bad[] = { "127.0.0.1:1", "ftp://x", "http://", "http://user@host", "http://h?x" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct store *none;
		CHECK_RC(store_open("s3://bucket", &(struct store_options){ .endpoint = bad[i], .access_key = "a", .secret_key = "b" }, &none, &err), RC_INVALID);
	}
}

TEST(s3_http_dates_are_read)
{
	CHECK_INT(s3_http_date("Fri, 24 May 2013 00:00:01 GMT"), 1369353601LL * 1000000);
	CHECK_INT(s3_http_date("120"), 0);
	CHECK_INT(s3_http_date("Fri, 24 Mai 2013 00:00:01 GMT"), 0);
}

TEST_MAIN()
