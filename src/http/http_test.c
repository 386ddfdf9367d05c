#include <sys/resource.h>

#include "http/http_fixture.h"
#include "http/packed_fixture.h"

#define HOST "Host: localhost\r\n"

static const struct {
	const char *request;
	int status;
	const char *code;
} bad_requests[] = {
	{ "GET / HTTP/1.1\r\n\r\n", 400, "bad_request" }, /* no Host */
	{ "GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400, "bad_request" },
	{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad_request" },
	{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "bad_request" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_request" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, "bad_request" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, "bad_request" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\nabc", 400, "bad_request" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: -3\r\n\r\nabc", 400, "bad_request" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\nabc", 400, "bad_request" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x3\r\n\r\nabc", 400, "bad_request" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\nabc", 400, "bad_request" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999999\r\n\r\n", 413, "body_too_large" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551617\r\n\r\n", 413, "body_too_large" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 67108865\r\n\r\n", 413, "body_too_large" },
	{ "GET / HTTP/1.1\nHost: x\n\n", 400, "bad_request" },
	{ "GET / HTTP/1.1\r\nHost: x\n\r\n", 400, "bad_request" },
	{ "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", 400, "bad_request" },
	{ "GET / HTTP/1.1\r\n A: b\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n", 400, "bad_request" },
	{ "GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n", 400, "bad_request" },
	{ "GET / HTTP/1.1\r\n" HOST "novalue\r\n\r\n", 400, "bad_request" },
	{ "GET / HTTP/1.1\r\n" HOST "A: b\x01\r\n\r\n", 400, "bad_request" },
	{ "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n", 400, "bad_request" },
	{ "GET / HTTP/1.1\r\n" HOST "A\x80: b\r\n\r\n", 400, "bad_request" },
	{ "GET  / HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET /  HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET / HTTP/1.1 \r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET /\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET / http/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET / HTTP/1.10\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET path HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET ftp://x/ HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET * HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET /%4 HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET /?a=%zz HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET /a%00b HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET /a/../b HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET /a/%2e%2E/b HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "GET /a/. HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request" },
	{ "\x16\x03\x01\x02", 400, "bad_request" }, /* TLS */
	{ "\nGET / HTTP/1.1\r\n", 400, "bad_request" },
	{ "GET / HTTP/2.0\r\n" HOST "\r\n", 505, "http_version" },
	{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version" },
	{ "GET / HTTP/1.2\r\n" HOST "\r\n", 505, "http_version" },
	{ "GET / HTTP/0.9\r\n" HOST "\r\n", 505, "http_version" },
	{ "CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", 501, "not_implemented" },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "transfer_encoding" },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 501, "transfer_encoding" },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, "bad_request" },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad_request" },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n", 400, "bad_request" },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n", 400, "bad_request" },
	{ "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_request" },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_chunk" },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", 400, "bad_chunk" },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n4000001\r\na", 413, "body_too_large" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx", 415, "unsupported_encoding" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Encoding: gzip, zstd\r\nContent-Length: 1\r\n\r\nx", 415, "unsupported_encoding" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain", 400, "corrupt_body" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Encoding: zstd\r\nContent-Length: 5\r\n\r\nplain", 400, "corrupt_body" },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", 400, "corrupt_body" },
	{ "POST / HTTP/1.1\r\n" HOST "Expect: wonders\r\nContent-Length: 1\r\n\r\nx", 417, "expectation_failed" },
	{ "POST /small HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n", 413, "body_too_large" },
	{ "POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n6\r\nabcdef\r\n", 413, "body_too_large" },
};

TEST(http_bad_request_gets_its_exact_status)
{
	struct fixture *f = fixture_new();
	fixture_start(f);
	for (size_t i = 0; i < sizeof(bad_requests) / sizeof(bad_requests[0]); i++) {
		struct answer a;
		char want[64];
		answer_init(&a);
		int status = ask(f, slice_str(bad_requests[i].request), &a);
		snprintf(want, sizeof(want), "{\"error\":{\"code\":\"%s\",\"message\":\"", bad_requests[i].code);
		bool form = strncmp(buf_cstr(&a.body), want, strlen(want)) == 0 && strstr(a.head, "Content-Type: application/json\r\n");
		if (status != bad_requests[i].status || !form)
			fprintf(stderr, "  case %zu: %s", i, bad_requests[i].request);
		CHECK_INT(status, bad_requests[i].status);
		CHECK(form);
		answer_free(&a);
	}
	CHECK_INT(f->handled, 0);
	fixture_free(f);
}

TEST(http_bad_request_body_is_exact)
{
	struct fixture *f = fixture_new();
	struct answer a;
	fixture_start(f);
	answer_init(&a);
	CHECK_INT(ask(f, SLICE_LIT("GET / HTTP/1.1\r\n\r\n"), &a), 400);
	CHECK_SLICE(buf_slice(&a.body), SLICE_LIT("{\"error\":{\"code\":\"bad_request\",\"message\":\"the Host header is missing\"}}\n"));
	CHECK(a.close);
	CHECK_INT(ask(f, SLICE_LIT("POST /denied HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nxx"), &a), 401);
	CHECK_SLICE(buf_slice(&a.body), SLICE_LIT("{\"error\":{\"code\":\"unauthorized\",\"message\":\"who are you, \\\"x\\\"?\"}}\n"));
	answer_free(&a);
	fixture_free(f);
}

TEST(http_error_message_is_valid_utf8_and_json_whatever_it_repeats)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "a\xff\xfez", "a\xef\xbf\xbd\xef\xbf\xbdz" }, { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },	      { "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\x7f\n\"\\", "\\u007f\\u000a\\\"\\\\" },     { "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
		{ "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_BUF struct buf got;
		char want[100];
		buf_init(&got, 1000);
		http_error_body(&got, "c", cases[i].in);
		snprintf(want, sizeof(want), "{\"error\":{\"code\":\"c\",\"message\":\"%s\"}}\n", cases[i].out);
		CHECK_STR(buf_cstr(&got), want);
	}
}

TEST(http_head_limits_answer_414_and_431)
{
	struct fixture *f = fixture_new();
	fixture_start(f);
	for (int kind = 0; kind < 4; kind++) {
		AUTO_BUF struct buf in;
		struct answer a;
		answer_init(&a);
		buf_init(&in, 1 << 20);
		buf_append_str(&in, "GET /");
		for (int i = 0; kind < 2 && i < (kind ? 60000 : 9000); i++)
			buf_byte(&in, 'a');
		buf_append_str(&in, kind == 1 ? "" : " HTTP/1.1\r\n" HOST);
		for (int i = 0; kind == 2 && i < 100; i++)
			buf_append_str(&in, "A: b\r\n");
		for (int i = 0; kind == 3 && i < 40000; i++)
			buf_append_str(&in, i ? "b" : "A: ");
		buf_append_str(&in, "\r\n\r\n");
		CHECK_INT(ask(f, buf_slice(&in), &a), kind < 2 ? 414 : 431);
		answer_free(&a);
	}
	fixture_free(f);
}

TEST(http_request_accessors_tell_what_was_sent)
{
	struct fixture *f = fixture_new();
	struct answer a;
	fixture_start(f);
	answer_init(&a);
	CHECK_INT(ask(f, SLICE_LIT("\r\nGET /describe/a%2Fb//c+d/?x=1&q+q=%26+%C3%A4&flag&&=e HTTP/1.1\r\nhost: y\r\nX-TEST:  v w\t\r\nEmpty:\r\n\r\n"), &a),
		  200);
	CHECK_STR(buf_cstr(&a.body), "GET 0 [/describe/a%2Fb//c+d/] <describe> <a/b> <> <c+d> <> x=1; q q=& \xc3\xa4; flag=; =e; found:& \xc3\xa4"
				     " x-test:v w 3 headers");
	CHECK_INT(ask(f, SLICE_LIT("PURGE http://other:80/describe HTTP/1.1\r\nHost: y\r\n\r\n"), &a), 200);
	CHECK_STR(buf_cstr(&a.body), "PURGE 7 [/describe] <describe> 1 headers");
	CHECK_INT(ask(f, SLICE_LIT("OPTIONS * HTTP/1.1\r\nHost: y\r\n\r\n"), &a), 200);
	CHECK_INT(ask(f, SLICE_LIT("GET /evil HTTP/1.1\r\nHost: y\r\n\r\n"), &a), 200);
	CHECK(!strstr(a.head, "Split") && strstr(a.head, "X-B: fine\r\n") && strstr(a.head, "Date: "));
	answer_free(&a);
	fixture_free(f);
}

TEST(http_bearer_token_is_known_by_its_hash_and_wiped)
{
	struct fixture *f = fixture_new();
	struct answer a;
	fixture_start(f);
	answer_init(&a);
	/* sha256("sesame") = d0c04f4b…d272 */
	CHECK_INT(ask(f, SLICE_LIT("GET /describe HTTP/1.1\r\nHost: y\r\nauthorization: bearer sesame\r\n\r\n"), &a), 200);
	CHECK_STR(buf_cstr(&a.body), "GET 0 [/describe] <describe> bearer:d072 13 bytes of authorization, wiped 2 headers");
	CHECK_INT(ask(f, SLICE_LIT("GET /describe HTTP/1.1\r\nHost: y\r\nAuthorization: Basic c2VzYW1l\r\nAuthorization: Bearer sesame\r\n\r\n"), &a), 200);
	CHECK_STR(buf_cstr(&a.body), "GET 0 [/describe] <describe> bearer:d072 14 bytes of authorization, wiped 3 headers");
	CHECK_INT(ask(f, SLICE_LIT("GET /describe HTTP/1.1\r\nHost: y\r\nAuthorization:\r\n\r\n"), &a), 200);
	CHECK_STR(buf_cstr(&a.body), "GET 0 [/describe] <describe> 0 bytes of authorization, wiped 2 headers");
	answer_free(&a);
	fixture_free(f);
}

TEST(http_request_reads_the_same_however_its_bytes_are_cut)
{
	static const char *const requests[] = {
		"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
		"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: x\r\n\r\n",
	};
	struct fixture *f = fixture_new();
	fixture_start(f);
	for (int k = 0; k < 2; k++) {
		struct slice in = slice_str(requests[k]);
		struct answer a;
		int fd = client_open(f);
		answer_init(&a);
		for (size_t cut = 1; cut < in.len; cut++) { /* all on one connection */
			CHECK(client_send(fd, slice_of(in.data, cut)));
			clock_sleep_us(300);
			CHECK(client_send(fd, slice_skip(in, cut)));
			CHECK(client_read(fd, &a, false));
			CHECK_INT(a.status, 200);
			CHECK_SLICE(buf_slice(&a.body), SLICE_LIT("hello"));
		}
		close(fd);
		answer_free(&a);
	}
	fixture_free(f);
}

TEST(http_pipelined_requests_are_answered_in_order)
{
	enum { N = 1000 };
	struct fixture *f = fixture_new();
	AUTO_BUF struct buf in;
	struct answer a;
	f->options.limits.pipelined = 16;
	fixture_start(f);
	buf_init(&in, 1 << 20);
	answer_init(&a);
	for (int i = 0; i < N; i++)
		buf_printf(&in, "POST /%s HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\n%04d", i % 50 == 7 ? "later" : "echo", i);
	int fd = client_open(f);
	CHECK(client_send(fd, buf_slice(&in)));
	for (int i = 0; i < N; i++) {
		char want[16];
		snprintf(want, sizeof(want), "%04d", i);
		CHECK(client_read(fd, &a, false));
		CHECK_SLICE(buf_slice(&a.body), slice_str(want));
	}
	close(fd);
	answer_free(&a);
	fixture_free(f);
}

TEST(http_answers_given_in_another_order_go_out_in_the_requests_order)
{
	struct fixture *f = fixture_new();
	struct answer a;
	fixture_start(f);
	answer_init(&a);
	int fd = client_open(f);
	CHECK(client_send(fd, SLICE_LIT("POST /hold HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nA"
					"GET /echo HTTP/1.1\r\n" HOST "\r\n"
					"POST /hold HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nB")));
	CHECK(fixture_wait_held(f, 2));
	struct http_request *first = f->held[0];
	f->held[0] = f->held[1];
	f->held[1] = first;
	fixture_release(f);
	static const char *const want[] = { "A", "", "B" };
	for (int i = 0; i < 3; i++) {
		CHECK(client_read(fd, &a, false));
		CHECK_SLICE(buf_slice(&a.body), slice_str(want[i]));
	}
	close(fd);
	answer_free(&a);
	fixture_free(f);
}

TEST(http_keep_alive_follows_version_and_connection_header)
{
	static const struct {
		const char *request;
		bool stays;
	} cases[] = {
		{ "GET /echo HTTP/1.1\r\n" HOST "\r\n", true },
		{ "GET /echo HTTP/1.1\r\n" HOST "Connection: Close\r\n\r\n", false },
		{ "GET /echo HTTP/1.1\r\n" HOST "Connection: a, close ,b\r\n\r\n", false },
		{ "GET /echo HTTP/1.0\r\n\r\n", false },
		{ "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true },
		{ "POST /denied HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", true }, /* a small unwanted body is skipped */
		{ "POST /denied HTTP/1.1\r\n" HOST "Content-Length: 3000000\r\n\r\nabc", false },
		{ "POST /denied HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", false },
		{ "POST /denied HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n", false },
	};
	struct fixture *f = fixture_new();
	fixture_start(f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer a;
		int fd = client_open(f);
		answer_init(&a);
		CHECK(client_send(fd, slice_str(cases[i].request)));
		CHECK(client_read(fd, &a, false));
		CHECK_INT(a.close, !cases[i].stays && !strstr(cases[i].request, "keep-alive"));
		if (cases[i].stays) {
			CHECK(client_send(fd, SLICE_LIT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nZ")));
			CHECK(client_read(fd, &a, false));
			CHECK_SLICE(buf_slice(&a.body), SLICE_LIT("Z"));
		} else {
			CHECK(client_at_end(fd, &a));
		}
		close(fd);
		answer_free(&a);
	}
	fixture_free(f);
}

TEST(http_head_answers_without_a_body)
{
	struct fixture *f = fixture_new();
	struct answer a;
	fixture_start(f);
	answer_init(&a);
	int fd = client_open(f);
	CHECK(client_send(fd, SLICE_LIT("HEAD /describe HTTP/1.1\r\n" HOST "\r\nHEAD /stream?bytes=5000 HTTP/1.1\r\n" HOST "\r\n"
					"GET /echo HTTP/1.1\r\n" HOST "\r\n")));
	CHECK(client_read(fd, &a, true));
	CHECK_INT(a.status, 200);
	CHECK(strstr(a.head, "Content-Length: ") && !strstr(a.head, "Content-Length: 0"));
	CHECK(client_read(fd, &a, true));
	CHECK(client_read(fd, &a, false));
	CHECK_INT(a.status, 200);
	CHECK_INT(a.rest.len, 0);
	close(fd);
	answer_free(&a);
	fixture_free(f);
}

TEST(http_expect_100_is_answered_only_when_the_body_will_be_read)
{
	struct fixture *f = fixture_new();
	struct answer a;
	fixture_start(f);
	answer_init(&a);
	int fd = client_open(f);
	CHECK(client_send(fd, SLICE_LIT("GET /later HTTP/1.1\r\n" HOST "\r\nPOST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-Continue\r\n\r\n")));
	CHECK(client_read(fd, &a, false)); /* the earlier answer comes first */
	CHECK_INT(a.status, 200);
	CHECK(client_read(fd, &a, false));
	CHECK_INT(a.status, 100);
	CHECK(client_send(fd, SLICE_LIT("ok")));
	CHECK(client_read(fd, &a, false));
	CHECK_INT(a.status, 200);
	CHECK_SLICE(buf_slice(&a.body), SLICE_LIT("ok"));
	CHECK(client_send(fd, SLICE_LIT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")));
	CHECK(client_read(fd, &a, false));
	CHECK_INT(a.status, 413);
	CHECK(client_at_end(fd, &a));
	close(fd);
	/* with the body right behind it no 100 is sent */
	CHECK_INT(ask(f, SLICE_LIT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\nxy"), &a), 200);
	/* HTTP/1.0 does not know it */
	CHECK_INT(ask(f, SLICE_LIT("POST /echo HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nxy"), &a), 200);
	answer_free(&a);
	fixture_free(f);
}

static size_t pack(bool with_zstd, struct buf *out, struct slice in)
{
	(with_zstd ? pack_zstd : pack_gzip)(out, in);
	return out->len;
}

/* Sends head, then the body whole or chunked; the status. */
static int post_packed(const struct fixture *f, const char *path, bool with_zstd, bool chunked, struct slice body, struct answer *a)
{
	AUTO_BUF struct buf in;
	buf_init(&in, (size_t)1 << 30);
	buf_printf(&in, "POST %s HTTP/1.1\r\n" HOST "Content-Encoding: %s\r\n", path, with_zstd ? "zstd" : "gzip");
	if (!chunked) {
		buf_printf(&in, "Content-Length: %zu\r\n\r\n", body.len);
		buf_append_slice(&in, body);
	} else {
		buf_append_str(&in, "Transfer-Encoding: chunked\r\n\r\n");
		for (size_t at = 0; at < body.len; at += 1000) {
			struct slice part = slice_skip(body, at);
			part.len = part.len > 1000 ? 1000 : part.len;
			buf_printf(&in, "%zx\r\n", part.len);
			buf_append_slice(&in, part);
			buf_append_str(&in, "\r\n");
		}
		buf_append_str(&in, "0\r\n\r\n");
	}
	return ask(f, buf_slice(&in), a);
}

TEST(http_compressed_bodies_arrive_inflated)
{
	struct fixture *f = fixture_new();
	AUTO_BUF struct buf plain;
	fixture_start(f);
	buf_init(&plain, 1 << 24);
	for (int i = 0; plain.len < 9 << 20; i++)
		buf_printf(&plain, "{\"n\":%d,\"hash\":%u}\n", i, (unsigned)i * 2654435761u);
	for (int kind = 0; kind < 4; kind++) {
		AUTO_BUF struct buf packed;
		struct answer a;
		buf_init(&packed, 1 << 24);
		answer_init(&a);
		pack(kind & 1, &packed, slice_of(plain.data, 100));
		pack(kind & 1, &packed, slice_skip(buf_slice(&plain), 100)); /* two members */
		CHECK_INT(post_packed(f, "/echo", kind & 1, kind & 2, buf_slice(&packed), &a), 200);
		CHECK_SLICE(buf_slice(&a.body), buf_slice(&plain));
		answer_free(&a);
	}
	fixture_free(f);
}

TEST(http_compression_bomb_is_413_at_the_limit)
{
	struct fixture *f = fixture_new();
	AUTO_BUF struct buf zeros;
	fixture_start(f);
	buf_init(&zeros, (size_t)1 << 28);
	buf_reserve(&zeros, (64 << 20) + 1);
	memset(zeros.data, 0, (64 << 20) + 1);
	for (int kind = 0; kind < 4; kind++) {
		AUTO_BUF struct buf packed;
		struct answer a;
		buf_init(&packed, (size_t)1 << 28);
		answer_init(&a);
		zeros.len = (64 << 20) + (kind & 2 ? 1 : 0);
		pack(kind & 1, &packed, buf_slice(&zeros));
		CHECK_INT(post_packed(f, "/length", kind & 1, false, buf_slice(&packed), &a), kind & 2 ? 413 : 200);
		if (!(kind & 2))
			CHECK_SLICE(buf_slice(&a.body), SLICE_LIT("67108864"));
		answer_free(&a);
	}
	struct http_server_stats st;
	for (int i = 0; i < 1000; i++) {
		http_server_get_stats(f->server, &st);
		if (!st.body_memory)
			break;
		clock_sleep_us(5000);
	}
	CHECK_INT(st.body_memory, 0);
	fixture_free(f);
}

TEST(http_413_is_read_by_a_client_that_is_still_sending)
{
	struct fixture *f = fixture_new();
	AUTO_BUF struct buf in;
	struct answer a;
	f->options.limits.body_bytes = 1 << 20;
	fixture_start(f);
	buf_init(&in, (size_t)1 << 28);
	answer_init(&a);
	buf_append_str(&in, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2000000\r\n");
	size_t head = in.len;
	buf_reserve(&in, 32 << 20);
	in.len += 32 << 20;
	memset(in.data + head, 'x', in.len - head);
	CHECK_INT(ask(f, buf_slice(&in), &a), 413);
	CHECK(strstr(buf_cstr(&a.body), "split -C"));
	answer_free(&a);
	fixture_free(f);
}

TEST(http_stream_arrives_whole_and_bounded)
{
	struct fixture *f = fixture_new();
	struct answer a;
	fixture_start(f);
	answer_init(&a);
	CHECK_INT(ask(f, SLICE_LIT("GET /stream?bytes=20000000 HTTP/1.1\r\n" HOST "\r\n"), &a), 200);
	CHECK_INT(a.body.len, 20000000);
	CHECK_INT(ask(f, SLICE_LIT("GET /stream?bytes=3000000 HTTP/1.0\r\n\r\n"), &a), 200);
	CHECK_INT(a.body.len, 3000000);
	CHECK(!strstr(a.head, "chunked"));
	CHECK_INT(ask(f, SLICE_LIT("GET /stream?bytes=0 HTTP/1.1\r\n" HOST "\r\n"), &a), 200);
	CHECK_INT(a.body.len, 0);
	CHECK(!a.trailer[0]);
	/* a field behind it; not where there is no place for it, and what follows is the next answer */
	CHECK_INT(ask(f, SLICE_LIT("GET /stream?bytes=3000&trailer=1 HTTP/1.1\r\n" HOST "\r\n"), &a), 200);
	CHECK(a.body.len == 3000 && !strcmp(a.trailer, "X-Last: of all"));
	CHECK_INT(ask(f, SLICE_LIT("GET /stream?bytes=3000&trailer=1 HTTP/1.0\r\n\r\n"), &a), 200);
	CHECK_INT(a.body.len, 3000);
	/* one that breaks off is seen to */
	CHECK_INT(ask(f, SLICE_LIT("GET /stream?bytes=1000&cut=1 HTTP/1.1\r\n" HOST "\r\n"), &a), 0);
	answer_free(&a);
	fixture_free(f);
}

TEST(http_stream_ends_when_the_client_goes)
{
	struct fixture *f = fixture_new();
	fixture_start(f);
	int fd = client_open(f);
	char c;
	f->stream_rc = RC_EOF;
	CHECK(client_send(fd, SLICE_LIT("GET /stream?bytes=99999999999 HTTP/1.1\r\n" HOST "\r\n")));
	CHECK_INT(recv(fd, &c, 1, 0), 1);
	close(fd);
	rc_t rc = RC_EOF;
	for (int i = 0; i < 1000 && rc == RC_EOF; i++) {
		clock_sleep_us(5000);
		rc = fixture_stream_rc(f);
	}
	CHECK_RC(rc, RC_CANCELLED);
	fixture_free(f);
}

TEST_MAIN()
