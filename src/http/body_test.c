/* Laws of the pure parts: a head, a chunked body, a compressed body read the same however the bytes are cut. */
#include <sys/socket.h>
#include <unistd.h>

#include "base/test.h"
#include "http/http_internal.h"
#include "http/packed_fixture.h"

static struct http_limits limits(void)
{
	struct http_server_options o;
	http_server_options_init(&o);
	return o.limits;
}

/* Feeds `in` in two pieces and then in pieces of `step`; returns the status (0 = fine), the body in *out. */
static int unchunk(struct slice in, size_t first, size_t step, struct buf *out, size_t *ret_used, bool *ret_done)
{
	struct http_limits m = limits();
	struct http_chunked c = { 0 };
	struct http_refusal refusal = { 0 };
	size_t at = 0, cut = first;
	*ret_done = false;
	while (at < in.len && !*ret_done) {
		struct slice data;
		size_t n = http_chunked_feed(&c, &m, slice_of(in.data + at, cut - at), &data, ret_done, &refusal);
		if (refusal.status)
			return refusal.status;
		buf_append_slice(out, data);
		at += n;
		if (at == cut)
			cut = cut + step < in.len ? cut + step : in.len;
	}
	*ret_used = at;
	return 0;
}

TEST(chunked_body_reads_the_same_however_it_is_cut)
{
	static const char text[] = "5\r\nhello\r\n1;a=b;c=\"d\"\r\n \r\n00a\r\n0123456789\r\nB\r\nhello world\r\n0;x\r\nTrailer: yes\r\nOther:\r\n\r\nGET";
	struct slice in = slice_str(text);
	for (size_t first = 1; first < in.len; first++) {
		for (size_t step = 1; step < 9; step += 7) {
			AUTO_BUF struct buf out;
			buf_init(&out, 1000);
			size_t used = 0;
			bool done;
			CHECK_INT(unchunk(in, first, step, &out, &used, &done), 0);
			CHECK(done);
			CHECK_INT(used, in.len - 3);
			CHECK_SLICE(buf_slice(&out), SLICE_LIT("hello 0123456789hello world"));
		}
	}
}

TEST(chunked_body_that_is_wrong_is_refused)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		{ "\r\n", 400 },
		{ "g\r\n", 400 },
		{ "-1\r\n", 400 },
		{ "0x5\r\nhello\r\n", 400 },
		{ "+5\r\nhello\r\n", 400 },
		{ "5 \r\nhello\r\n", 400 },
		{ " 5\r\nhello\r\n", 400 },
		{ "5\nhello\r\n", 400 },
		{ "5\r\nhello\n", 400 },
		{ "5\r\nhellox\r\n", 400 },
		{ "5\r\r\nhello", 400 },
		{ "5;a\nb\r\n", 400 },
		{ "5;\x01\r\nhello\r\n", 400 },
		{ "ffffffffffffffff\r\n", 400 },
		{ "10000000000000000\r\n", 400 },
		{ "0\r\n folded: x\r\n\r\n", 400 },
		{ "0\r\nname : x\r\n\r\n", 400 },
		{ "0\r\nname\r\n\r\n", 400 },
		{ "0\r\nname: x\n\r\n", 400 },
		{ "0\r\nname: \x01\r\n\r\n", 400 },
		{ "0\r\n\rx", 400 },
		{ "0\r\n\n", 400 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t first = 1; first <= strlen(cases[i].text); first++) {
			AUTO_BUF struct buf out;
			buf_init(&out, 1000);
			size_t used = 0;
			bool done;
			int got = unchunk(slice_str(cases[i].text), first, 100, &out, &used, &done);
			if (got != cases[i].status)
				fprintf(stderr, "  case %zu cut at %zu\n", i, first);
			CHECK_INT(got, cases[i].status);
		}
	}
}

TEST(chunked_body_trailers_and_extensions_are_bounded)
{
	AUTO_BUF struct buf in;
	AUTO_BUF struct buf out;
	buf_init(&in, 1 << 20);
	buf_init(&out, 1 << 20);
	size_t used;
	bool done;
	buf_append_str(&in, "0\r\n");
	for (int i = 0; i < 101; i++)
		buf_append_str(&in, "a: b\r\n");
	CHECK_INT(unchunk(buf_slice(&in), in.len, 1, &out, &used, &done), 431);
	buf_reset(&in);
	buf_append_str(&in, "0\r\na: ");
	for (int i = 0; i < 40000; i++)
		buf_byte(&in, 'x');
	CHECK_INT(unchunk(buf_slice(&in), in.len, 1, &out, &used, &done), 431);
	buf_reset(&in);
	for (int i = 0; i < 1000; i++)
		buf_append_str(&in, "1;aaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n");
	CHECK_INT(unchunk(buf_slice(&in), in.len, 1, &out, &used, &done), 400);
}

/* Inflates with input pieces of `in_step` (the first one `first`) and output pieces of `out_step`; false: refused or not finished. */
static bool inflate_all(enum http_coding coding, struct slice in, size_t first, size_t in_step, size_t out_step, struct buf *out)
{
	struct http_inflater *f = http_inflater_new(coding);
	struct http_refusal refusal = { 0 };
	size_t at = 0, cut = first < in.len ? first : in.len;
	bool ok = true;
	for (;;) {
		size_t used, made;
		if (!buf_reserve(out, out_step)) {
			ok = false;
			break;
		}
		if (!http_inflate(f, slice_of(in.data + at, cut - at), out->data + out->len, out_step, &used, &made, &refusal)) {
			ok = false;
			break;
		}
		out->len += made;
		at += used;
		if (made == out_step || at < cut)
			continue;
		if (at == in.len)
			break;
		cut = cut + in_step < in.len ? cut + in_step : in.len;
	}
	ok = ok && http_inflate_finished(f);
	http_inflater_free(f);
	return ok;
}

static void two_members(enum http_coding coding, struct buf *packed, struct buf *plain)
{
	buf_init(packed, 1 << 20);
	buf_init(plain, 1 << 20);
	for (int i = 0; i < 60; i++)
		buf_printf(plain, "{\"n\":%d,\"text\":\"value %d\"}\n", i, i * 7919);
	void (*pack)(struct buf *, struct slice) = coding == HTTP_CODING_GZIP ? pack_gzip : pack_zstd;
	pack(packed, slice_of(plain->data, 500));
	pack(packed, slice_of(NULL, 0));
	pack(packed, slice_skip(buf_slice(plain), 500));
}

TEST(inflate_reads_the_same_however_it_is_cut_with_several_members)
{
	for (enum http_coding coding = HTTP_CODING_GZIP; coding <= HTTP_CODING_ZSTD; coding++) {
		AUTO_BUF struct buf packed;
		AUTO_BUF struct buf plain;
		two_members(coding, &packed, &plain);
		for (size_t first = 0; first <= packed.len; first++) {
			AUTO_BUF struct buf out;
			buf_init(&out, 1 << 20);
			CHECK(inflate_all(coding, buf_slice(&packed), first, first % 2 ? 1 : 5000, first % 3 ? 7 : 4096, &out));
			CHECK_SLICE(buf_slice(&out), buf_slice(&plain));
		}
	}
}

TEST(inflate_refuses_what_is_cut_off_or_has_garbage_behind)
{
	for (enum http_coding coding = HTTP_CODING_GZIP; coding <= HTTP_CODING_ZSTD; coding++) {
		AUTO_BUF struct buf packed;
		AUTO_BUF struct buf plain;
		AUTO_BUF struct buf one;
		two_members(coding, &packed, &plain);
		buf_init(&one, 1 << 20);
		(coding == HTTP_CODING_GZIP ? pack_gzip : pack_zstd)(&one, buf_slice(&plain));
		for (size_t len = 1; len < one.len; len++) {
			AUTO_BUF struct buf out;
			buf_init(&out, 1 << 20);
			CHECK(!inflate_all(coding, slice_of(one.data, len), len, 1, 512, &out));
		}
		AUTO_BUF struct buf out;
		buf_init(&out, 1 << 20);
		buf_append_str(&one, "garbage");
		CHECK(!inflate_all(coding, buf_slice(&one), one.len, 1, 512, &out));
	}
}

TEST(inflate_survives_every_flipped_bit)
{
	for (enum http_coding coding = HTTP_CODING_GZIP; coding <= HTTP_CODING_ZSTD; coding++) {
		AUTO_BUF struct buf packed;
		AUTO_BUF struct buf plain;
		two_members(coding, &packed, &plain);
		for (size_t bit = 0; bit < packed.len * 8; bit++) {
			AUTO_BUF struct buf out;
			buf_init(&out, 1 << 20);
			packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			bool ok = inflate_all(coding, buf_slice(&packed), packed.len, 1, 4096, &out);
			packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (ok && coding == HTTP_CODING_GZIP) /* it has a checksum over everything but parts of its header */
				CHECK_SLICE(buf_slice(&out), buf_slice(&plain));
		}
	}
}

TEST(inflate_refuses_a_window_over_8_mib)
{
	static const uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88 /* window log 10 + 17 */, 0x01, 0x00, 0x00 };
	AUTO_BUF struct buf out;
	buf_init(&out, 1 << 20);
	CHECK(!inflate_all(HTTP_CODING_ZSTD, slice_of(frame, sizeof(frame)), sizeof(frame), 1, 4096, &out));
}

TEST(head_end_is_found_however_it_is_cut)
{
	struct slice in = SLICE_LIT("POST /a?b=c HTTP/1.1\r\nHost: x\r\nA:\r\n\r\nbody\r\n\r\n");
	size_t want = in.len - 8;
	for (size_t cut = 1; cut <= in.len; cut++) {
		struct http_refusal refusal = { 0 };
		size_t scanned = 0, got = 0;
		for (size_t len = cut; !got && len <= in.len; len++)
			got = http_head_scan(in.data, len, &scanned, &refusal);
		CHECK_INT(refusal.status, 0);
		CHECK_INT(got, want);
	}
}

TEST(percent_decoding_takes_only_two_hex_digits)
{
	static const struct {
		const char *in, *out;
	} cases[] = { { "a%20b+c", "a b+c" }, { "%41%7a", "Az" }, { "%", NULL }, { "%2", NULL }, { "%2g", NULL }, { "%%41", NULL }, { "", "" } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t out[32];
		size_t len = 0;
		bool ok = http_percent_decode(slice_str(cases[i].in), false, out, &len);
		CHECK_INT(ok, cases[i].out != NULL);
		if (ok)
			CHECK_SLICE(slice_of(out, len), slice_str(cases[i].out));
	}
}

TEST(interim_answer_that_a_tls_record_may_hold_stays_until_it_is_out)
{
	struct http_server_options o;
	struct http_server *s = NULL;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int fds[2];
	http_server_options_init(&o);
	CHECK_INT(http_server_make(&o, &s, NULL), RC_OK);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	atomic_fetch_add(&s->loops[0].connections, 1);
	conn_start(&s->loops[0], fds[0], &none, sizeof(none));
	struct conn *c = s->loops[0].conns;
	struct http_request *r = request_new(c);
	bool blocked = false;
	r->head.content_length = r->wire_left = 5;
	r->interim = "HTTP/1.1 100 Continue\r\n\r\n";
	c->reading = r;
	c->midway = true;
	CHECK_INT(body_feed(c, r, SLICE_LIT("he"), &blocked), 2); /* its sender does not wait */
	CHECK(r->interim != NULL);
	c->midway = false;
	CHECK_INT(body_feed(c, r, SLICE_LIT("l"), &blocked), 1);
	CHECK(r->interim == NULL && !blocked);
	close(fds[1]);
	http_server_free(s);
}

TEST_MAIN()
