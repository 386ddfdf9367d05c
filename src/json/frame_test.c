#include <dirent.h>

#include "base/test.h"
#include "json/frame.h"

static uint64_t seed = 0xda3e39cb94b95bdbu;
static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % below;
}

/* Events as a line of text: valid JSON as J<payload>, text as T<…>, raw as R<…>, invalid as !line:column<…>. */
struct seen {
	struct buf shown;  /* the above */
	struct buf joined; /* gap payload gap payload … */
};

static void seen_init(struct seen *s)
{
	buf_init(&s->shown, BUF_MAX_DEFAULT);
	buf_init(&s->joined, BUF_MAX_DEFAULT);
}

static void seen_free(struct seen *s)
{
	buf_free(&s->shown);
	buf_free(&s->joined);
}

static rc_t show(void *ctx, const struct frame_event *e, struct err *reterr)
{
	struct seen *s = ctx;
	buf_append_slice(&s->joined, e->gap);
	buf_append_slice(&s->joined, e->payload);
	if (e->invalid)
		buf_printf(&s->shown, "!%llu:%llu", (unsigned long long)e->line, (unsigned long long)e->column);
	else
		buf_byte(&s->shown, (uint8_t)(e->kind == PAYLOAD_JSON ? 'J' : e->kind == PAYLOAD_TEXT ? 'T' : 'R'));
	buf_byte(&s->shown, '<');
	buf_append_slice(&s->shown, e->payload);
	buf_byte(&s->shown, '>');
	return RC_OK;
}

/* Frames an exact heap copy (for the address sanitizer) and checks that nothing of it is lost. */
static const char *framed(struct seen *s, struct slice body, enum frame_format format, bool body_is_event, struct frame_counts *ret)
{
	uint8_t *copy = mem_alloc(body.len ? body.len : 1);
	struct frame_counts counts = { 0 };
	struct err err = { 0 };
	if (body.len)
		memcpy(copy, body.data, body.len);
	buf_reset(&s->shown);
	buf_reset(&s->joined);
	if (frame_body(slice_of(copy, body.len), format, body_is_event, NULL, show, s, &counts, &err) != RC_OK)
		buf_printf(&s->shown, "%s", err.text);
	buf_append_slice(&s->joined, counts.tail);
	if (!slice_eq(buf_slice(&s->joined), body))
		buf_printf(&s->shown, " LOST BYTES");
	if (ret)
		*ret = counts;
	free(copy);
	return buf_cstr(&s->shown);
}

TEST(sniffing_follows_the_written_rule)
{
	static const struct { const char *body; enum frame_format format; const char *events; } cases[] = {
		{ "", FRAME_TEXT, "" }, { " \r\n\n", FRAME_TEXT, "" }, { "\xef\xbb\xbf", FRAME_TEXT, "" },
		{ "{\"a\":1}", FRAME_JSON, "J<{\"a\":1}>" }, { "\xef\xbb\xbf{\"a\":1}\n", FRAME_JSON, "J<{\"a\":1}>" }, { " {\"a\":1} \n\n", FRAME_JSON, "J<{\"a\":1}>" },
		{ "{\"a\":1}\n{\"a\":2}\n", FRAME_NDJSON, "J<{\"a\":1}>J<{\"a\":2}>" }, { "{\"a\":1}\r\n\r\n  {\"a\":2} \r\n", FRAME_NDJSON, "J<{\"a\":1}>J<{\"a\":2}>" },
		{ "{\"a\":1}\nnonsense\n{\"a\":2}", FRAME_NDJSON, "J<{\"a\":1}>!2:2<nonsense>J<{\"a\":2}>" }, { "{\"a\":1\n{\"a\":2}\n", FRAME_NDJSON, "!1:7<{\"a\":1>J<{\"a\":2}>" },
		{ "{\"a\":1}{\"a\":2} {\"a\":3}", FRAME_JSON, "J<{\"a\":1}>J<{\"a\":2}>J<{\"a\":3}>" }, { "{\n \"a\": 1\n}\n{\n \"a\": 2\n}\n", FRAME_JSON, "J<{\n \"a\": 1\n}>J<{\n \"a\": 2\n}>" },
		{ "[{\"a\":1},{\"a\":2}]", FRAME_JSON, "J<{\"a\":1}>J<{\"a\":2}>" }, { "[\n{\"a\":1} ,\n 2, \"x\" , [3]\n]\n", FRAME_JSON, "J<{\"a\":1}>J<2>J<\"x\">J<[3]>" },
		{ "[]", FRAME_JSON, "" }, { "[1,2]\n[3]\n", FRAME_NDJSON, "J<[1,2]>J<[3]>" }, { "1", FRAME_JSON, "J<1>" }, { "\"a b\"", FRAME_JSON, "J<\"a b\">" }, { "null\n", FRAME_JSON, "J<null>" },
		{ "1\n2\n", FRAME_NDJSON, "J<1>J<2>" }, { "1\ntwo\n", FRAME_TEXT, "T<1>T<two>" }, { "1 2", FRAME_TEXT, "T<1 2>" },
		/* a slip must not become text */
		{ "{\"a\":1,}", FRAME_JSON, "!1:8<{\"a\":1,}>" }, { "{'a':1}", FRAME_JSON, "!1:2<{'a':1}>" }, { "{a:1}", FRAME_JSON, "!1:2<{a:1}>" }, { "{\n  \"a\": 1\n  \"b\": 2\n}", FRAME_JSON, "!3:3<{\n  \"a\": 1\n  \"b\": 2\n}>" },
		{ "[1,2", FRAME_JSON, "J<1>!1:5<2>" }, { "[1,2,", FRAME_JSON, "J<1>J<2>!1:6<,>" }, { "[", FRAME_JSON, "!1:2<[>" }, { "[1,]", FRAME_JSON, "J<1>!1:4<]>" }, { "[{\"a\":1},{\"a\":},{\"a\":3}]", FRAME_JSON, "J<{\"a\":1}>!1:15<{\"a\":},{\"a\":3}]>" },
		{ "[1] [2]", FRAME_JSON, "J<1>!1:5<[2]>" }, { "[True]", FRAME_JSON, "!1:2<True]>" }, { "{\"a\":1}}", FRAME_JSON, "J<{\"a\":1}>!1:8<}>" },
		/* logs that only look like it */
		{ "[error] disk full\n[info] ok\n", FRAME_TEXT, "T<[error] disk full>T<[info] ok>" }, { "[    0.000000] Linux version\n[    0.1] x\n", FRAME_TEXT, "T<[    0.000000] Linux version>T<[    0.1] x>" },
		{ "[Sun Dec 04 04:47:44 2005] [notice] done [x]", FRAME_TEXT, "T<[Sun Dec 04 04:47:44 2005] [notice] done [x]>" }, { "[[ACTIVE] thread]\nx\n", FRAME_TEXT, "T<[[ACTIVE] thread]>T<x>" },
		{ "2026-11-22 10:00:00 started\r\n\r\nnull pointer\r\n", FRAME_TEXT, "T<2026-11-22 10:00:00 started>T<null pointer>" }, { "10.0.0.1 - - \"GET /\" 200", FRAME_TEXT, "T<10.0.0.1 - - \"GET /\" 200>" },
		{ "a\nb\xff\nc", FRAME_RAW, "R<a\nb\xff\nc>" }, { "\xff\xfe{\"a\":1}", FRAME_RAW, "R<\xff\xfe{\"a\":1}>" },
	};
	struct seen s;
	seen_init(&s);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct frame_counts counts;
		const char *got = framed(&s, slice_str(cases[i].body), FRAME_AUTO, false, &counts);
		if (counts.format != cases[i].format || strcmp(got, cases[i].events) != 0)
			TEST_FAIL_("'%s' is %s: '%s', want %s: '%s'", cases[i].body, frame_format_name(counts.format), got, frame_format_name(cases[i].format), cases[i].events);
	}
	seen_free(&s);
}

TEST(arrays_nested_too_deeply_are_refused_not_taken_for_text)
{
	struct seen s;
	struct frame_counts counts;
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	seen_init(&s);
	for (int i = 0; i < 200; i++)
		buf_byte(&b, '[');
	for (int i = 0; i < 200; i++)
		buf_byte(&b, ']');
	for (int one = 0; one < 2; one++) {
		framed(&s, buf_slice(&b), FRAME_AUTO, one, &counts);
		CHECK_INT(counts.format, FRAME_JSON);
		CHECK_INT(counts.events, 1);
		CHECK_INT(counts.invalid, 1);
	}
	seen_free(&s);
}

TEST(formats_that_are_asked_for_are_kept)
{
	static const struct { const char *body; enum frame_format format; bool one; const char *events; } cases[] = {
		{ "{\"a\":1}\nx\n", FRAME_TEXT, false, "T<{\"a\":1}>T<x>" }, { "a\rb\r\nc\r", FRAME_TEXT, false, "T<a\rb>T<c\r>" }, { "ok\n\xff\xfe\n  \nok", FRAME_TEXT, false, "T<ok>R<\xff\xfe>T<ok>" },
		{ "a\nb\n", FRAME_RAW, false, "R<a\nb\n>" }, { "{\n\"a\":1}\n", FRAME_NDJSON, false, "!1:2<{>!2:4<\"a\":1}>" }, { " bad \r\n", FRAME_NDJSON, false, "!1:2< bad >" },
		{ "hello", FRAME_JSON, false, "!1:1<hello>" }, { "[error] x", FRAME_JSON, false, "!1:2<error] x>" }, { "1 2\n3", FRAME_JSON, false, "J<1>J<2>J<3>" },
		{ "{\"a\":1}\n{\"a\":2}", FRAME_JSON, false, "J<{\"a\":1}>J<{\"a\":2}>" }, { "{\"a\":1} tru\n more\n{\"a\":2}\n", FRAME_JSON, false, "J<{\"a\":1}>!1:12<tru\n more>J<{\"a\":2}>" },
		{ "{\n\"a\": 1\n}\n{\n\"a\": tru\n}\n{\n}", FRAME_JSON, false, "J<{\n\"a\": 1\n}>!5:9<{\n\"a\": tru\n}>J<{\n}>" },
		{ "[1,2]", FRAME_AUTO, true, "J<[1,2]>" }, { " [1,2]\n", FRAME_AUTO, true, "J< [1,2]\n>" }, { "{}\n{}\n", FRAME_AUTO, true, "!2:1<{}\n{}\n>" }, { "a\nb\n", FRAME_AUTO, true, "T<a\nb\n>" },
		{ "", FRAME_AUTO, true, "!1:1<>" }, { "", FRAME_JSON, true, "!1:1<>" }, { " ", FRAME_AUTO, true, "!1:2< >" }, { "\xef\xbb\xbf{}", FRAME_JSON, true, "J<{}>" }, { "\xef\xbb\xbf", FRAME_AUTO, true, "!1:1<>" },
		{ "x", FRAME_RAW, true, "R<x>" }, { "[1", FRAME_NDJSON, true, "!1:3<[1>" },
	};
	struct seen s;
	seen_init(&s);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *got = framed(&s, slice_str(cases[i].body), cases[i].format, cases[i].one, NULL);
		if (strcmp(got, cases[i].events) != 0)
			TEST_FAIL_("'%s' is '%s', want '%s'", cases[i].body, got, cases[i].events);
	}
	seen_free(&s);
}

TEST(lines_and_columns_of_faults_are_those_of_the_input)
{
	struct seen s;
	seen_init(&s);
	CHECK_STR(framed(&s, slice_str("\xef\xbb\xbf{\"a\":1}\n\n{\"\xc3\xa9\": x}\n{}\n"), FRAME_AUTO, false, NULL), "J<{\"a\":1}>!3:7<{\"\xc3\xa9\": x}>J<{}>");
	CHECK_STR(framed(&s, slice_str("[\n  {\"a\": 1},\n  {\"a\": 2}, {\"a\" 3}\n]"), FRAME_AUTO, false, NULL), "J<{\"a\": 1}>J<{\"a\": 2}>!3:18<{\"a\" 3}\n]>");
	seen_free(&s);
}

/* The same through a framer, fed in pieces. */
static bool stream(struct seen *s, struct slice input, enum frame_format format, size_t piece, struct framing *framing, enum frame_format *ret_format)
{
	AUTO(framer) *f = framer_new(format, NULL);
	struct err err = { 0 };
	size_t at = 0;
	buf_reset(&s->shown);
	buf_reset(&s->joined);
	for (;;) {
		struct frame_event e;
		rc_t rc = framer_next(f, &e, &err);
		if (rc == RC_OK) {
			if (e.offset != s->joined.len + e.gap.len)
				return false;
			show(s, &e, &err);
			if (framing && framing_add(framing, e.gap, &err) != RC_OK)
				return false;
		} else if (rc == RC_AGAIN) {
			size_t n = piece ? piece : 1 + rnd(40);
			uint8_t *space = framer_space(f, n);
			n = n < input.len - at ? n : input.len - at;
			memcpy(space, input.data + at, n);
			at += n;
			if (n)
				framer_fed(f, n);
			else
				framer_finish(f);
		} else {
			buf_append_slice(&s->joined, framer_tail(f));
			if (framing && framing_finish(framing, framer_tail(f), &err) != RC_OK)
				return false;
			*ret_format = framer_detected(f);
			return rc == RC_EOF && slice_eq(buf_slice(&s->joined), input);
		}
	}
}

static void random_input(struct buf *b)
{
	static const char *const pieces[] = { "{\"a\":1}", "{\"b\":[1,{\"c\":\"x\\n\"}]}", "[1,2]", "\"s\"", "12", "true", "\n", "\n", "\r\n", ",", "[", "]", " ", "{", "}", "bad", "\xff", "\xc3\xa9", "{\n \"a\" : 1\n}\n", "\n{\"a\":}\n" };
	static const char *const lines[] = { "{\"a\":1}\n", "{\"a\":2}\r\n", "\n", "{\"a\":\n", "text\n", "[1]\n" };
	static const char *const elements[] = { "{\"a\":1},", " 2 ,\n", "\"x\", ", "[],", "{},\n" };
	buf_reset(b);
	uint32_t style = rnd(4);
	if (rnd(8) == 0)
		buf_append_str(b, "\xef\xbb\xbf");
	if (style == 2)
		buf_append_str(b, "[");
	for (uint32_t n = rnd(12); n-- > 0;)
		buf_append_str(b, style == 0 ? pieces[rnd(20)] : style == 1 ? lines[rnd(6)] : style == 2 ? elements[rnd(5)] : pieces[rnd(4)]);
	if (style == 2)
		buf_append_str(b, rnd(2) ? "1]\n" : "]");
	if (rnd(6) == 0 && b->len)
		b->len -= rnd((uint32_t)b->len);
}

TEST(pieces_of_any_size_give_the_events_of_the_whole_and_framing_gives_the_file_back)
{
	struct seen s, t;
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	seen_init(&s);
	seen_init(&t);
	for (int round = 0; round < 20000; round++) {
		random_input(&b);
		struct frame_counts counts;
		framed(&s, buf_slice(&b), FRAME_AUTO, false, &counts);
		CHECK(!strstr(buf_cstr(&s.shown), "LOST BYTES"));
		struct framing framing;
		enum frame_format format;
		framing_init(&framing);
		if (!stream(&t, buf_slice(&b), FRAME_AUTO, 1 << 20, &framing, &format))
			TEST_FAIL_("'%.*s' is not given back", SLICE_ARG(buf_slice(&b)));
		if (strcmp(buf_cstr(&s.shown), buf_cstr(&t.shown)) != 0 || format != counts.format)
			TEST_FAIL_("'%.*s': body '%s' %d stream '%s' %d", SLICE_ARG(buf_slice(&b)), buf_cstr(&s.shown), counts.format, buf_cstr(&t.shown), format);
		AUTO_BUF struct buf encoded;
		buf_init(&encoded, 1 << 20);
		framing_encode(&framing, &encoded);
		framing_free(&framing);
		/* restore: the payloads stand in t.shown between < and >, the joined bytes are the file; walk both */
		struct framing_reader r;
		struct err err;
		CHECK_OK(framing_reader_open(buf_slice(&encoded), &r, &err), err);
		CHECK_INT(r.events, counts.events);
		AUTO(framer) *f = framer_new(format, NULL);
		memcpy(framer_space(f, b.len + 1), b.data ? b.data : (uint8_t *)"", b.len);
		framer_fed(f, b.len);
		framer_finish(f);
		AUTO_BUF struct buf restored;
		buf_init(&restored, 1 << 20);
		struct frame_event e;
		struct slice gap;
		while (framer_next(f, &e, &err) == RC_OK && framing_reader_next(&r, &gap) == RC_OK) {
			buf_append_slice(&restored, gap);
			buf_append_slice(&restored, e.payload);
		}
		CHECK_RC(framing_reader_next(&r, &gap), RC_EOF);
		buf_append_slice(&restored, r.tail);
		CHECK_SLICE(buf_slice(&restored), buf_slice(&b));
		framing_reader_close(&r);
		/* known format: small pieces change nothing */
		enum frame_format asked = (enum frame_format[]){ FRAME_NDJSON, FRAME_TEXT, FRAME_RAW }[rnd(3)];
		framed(&s, buf_slice(&b), asked, false, NULL);
		if (!stream(&t, buf_slice(&b), asked, rnd(3), NULL, &format) || strcmp(buf_cstr(&s.shown), buf_cstr(&t.shown)) != 0)
			TEST_FAIL_("'%.*s': body '%s' pieces '%s'", SLICE_ARG(buf_slice(&b)), buf_cstr(&s.shown), buf_cstr(&t.shown));
	}
	seen_free(&s);
	seen_free(&t);
}

/* Long enough that the sniffer decides on its first megabyte. */
TEST(a_hurried_framer_decides_by_the_first_line)
{
	AUTO(framer) *f = framer_new(FRAME_AUTO, NULL);
	struct frame_event e;
	struct err err;
	memcpy(framer_space(f, 30), "{\"a\":1}\n{\"a\":2}\n{", 17);
	framer_fed(f, 17);
	CHECK_RC(framer_next(f, &e, &err), RC_AGAIN);
	framer_hurry(f);
	CHECK_OK(framer_next(f, &e, &err), err);
	CHECK_SLICE(e.payload, slice_str("{\"a\":1}"));
	CHECK_INT(framer_detected(f), FRAME_NDJSON);
	CHECK_OK(framer_next(f, &e, &err), err);
	CHECK_RC(framer_next(f, &e, &err), RC_AGAIN);
	framer_finish(f);
	CHECK_OK(framer_next(f, &e, &err), err);
	CHECK(e.invalid && e.line == 3);
	CHECK_RC(framer_next(f, &e, &err), RC_EOF);
}

TEST(large_inputs_stream_alike_in_every_mode)
{
	static const struct { const char *open, *unit, *close; enum frame_format format; } kinds[] = {
		{ "", "{\"a\":[1,2,3],\"b\":\"some text to make it longer\"}\n", "", FRAME_NDJSON }, { "[", "{\"a\":[1,2,3],\"b\":\"some text\"}, ", "12345]\n", FRAME_JSON },
		{ "", "{\n  \"a\": [1,2,3],\n  \"b\": \"some text\"\n}\n", "", FRAME_JSON }, { "", "just a line of text\r\n", "last", FRAME_TEXT }, { "", "{\"a\":1}{\"b\":123}", "", FRAME_JSON },
		{ "", "\x01\xfe binary", "", FRAME_RAW } };
	struct seen s, t;
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 24);
	seen_init(&s);
	seen_init(&t);
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		buf_reset(&b);
		buf_append_str(&b, kinds[k].open);
		while (b.len < (3 << 20))
			buf_append_str(&b, kinds[k].unit);
		buf_append_str(&b, kinds[k].close);
		struct frame_counts counts;
		framed(&s, buf_slice(&b), FRAME_AUTO, false, &counts);
		CHECK_INT(counts.format, kinds[k].format);
		CHECK_INT(counts.invalid, 0);
		for (size_t piece = 4099; piece < (size_t)4 << 20; piece *= 16) {
			enum frame_format format;
			CHECK(stream(&t, buf_slice(&b), FRAME_AUTO, piece, NULL, &format));
			CHECK_INT(format, kinds[k].format);
			CHECK(slice_eq(buf_slice(&s.shown), buf_slice(&t.shown)));
		}
	}
	seen_free(&s);
	seen_free(&t);
}

TEST(events_over_the_limit_are_refused_with_their_place)
{
	struct frame_limits limits = { .event_max = 100 };
	struct seen s;
	seen_init(&s);
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	for (int format = FRAME_NDJSON; format <= FRAME_RAW; format++)
		for (size_t n = 95; n < 110; n++) {
			buf_reset(&b);
			buf_append_str(&b, format == FRAME_RAW ? "" : "\"\"\n");
			size_t head = b.len;
			buf_byte(&b, '"');
			for (size_t i = 2; i < n; i++)
				buf_byte(&b, 'x');
			buf_append_str(&b, format == FRAME_RAW ? "\"" : "\"\r\n\"\"");
			struct frame_counts counts;
			struct err err = { 0 };
			rc_t want = n > 100 ? RC_LIMIT : RC_OK;
			CHECK_RC(frame_body(buf_slice(&b), (enum frame_format)format, false, &limits, show, &s, &counts, &err), want);
			if (want != RC_OK) {
				CHECK_INT(err.status, 413);
				CHECK(strstr(err.text, format == FRAME_RAW ? "line 1" : "line 2"));
			}
			AUTO(framer) *f = framer_new((enum frame_format)format, &limits);
			rc_t rc;
			size_t at = 0;
			struct frame_event e;
			while ((rc = framer_next(f, &e, &err)) == RC_OK || rc == RC_AGAIN)
				if (rc == RC_AGAIN && at == b.len) {
					framer_finish(f);
				} else if (rc == RC_AGAIN) {
					*framer_space(f, 1) = b.data[at++];
					framer_fed(f, 1);
				}
			CHECK_RC(rc, want == RC_OK ? RC_EOF : RC_LIMIT);
			(void)head;
		}
	seen_free(&s);
}

TEST(json_test_suite_as_bodies)
{
	char folder[900];
	const char *shared = getenv("HYDRANT_SHARED"), *root = getenv("HYDRANT_ROOT");
	snprintf(folder, sizeof folder, "%s/data/json-test-suite/test_parsing", shared ? shared : "");
	if (!shared)
		snprintf(folder, sizeof folder, "%s/../shared/data/json-test-suite/test_parsing", root ? root : ".");
	DIR *d = opendir(folder);
	if (!d)
		SKIP("no JSONTestSuite: set HYDRANT_SHARED");
	struct seen s;
	AUTO_BUF struct buf b, among;
	buf_init(&b, 1 << 21);
	buf_init(&among, 1 << 21);
	seen_init(&s);
	int seen = 0, as_text = 0;
	for (struct dirent *e; (e = readdir(d));) {
		char path[2048];
		snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
		FILE *file = strstr(e->d_name, ".json") ? fopen(path, "rb") : NULL;
		if (!file)
			continue;
		buf_reset(&b);
		buf_reserve(&b, 1 << 20);
		b.len = fread(b.data, 1, 1 << 20, file);
		fclose(file);
		struct frame_counts counts;
		for (int format = FRAME_AUTO; format <= FRAME_JSON; format++) {
			framed(&s, buf_slice(&b), (enum frame_format)format, true, &counts);
			CHECK(!strstr(buf_cstr(&s.shown), "LOST"));
			CHECK_INT(counts.events, 1);
			if (e->d_name[0] == 'y' && (counts.invalid || counts.format == FRAME_TEXT))
				TEST_FAIL_("%s: refused", e->d_name);
			if (e->d_name[0] == 'n' && !counts.invalid && format != FRAME_AUTO)
				TEST_FAIL_("%s: accepted", e->d_name);
			as_text += e->d_name[0] == 'n' && !counts.invalid;
		}
		if (e->d_name[0] == 'n' && b.len && !memchr(b.data, '\n', b.len) && json_space(b.data, b.data + b.len) < b.data + b.len) {
			buf_reset(&among);
			buf_append_str(&among, "{\"a\":1}\n");
			buf_append_slice(&among, buf_slice(&b));
			buf_append_str(&among, "\n{\"b\":2}\n");
			framed(&s, buf_slice(&among), FRAME_AUTO, false, &counts);
			CHECK_INT(counts.format, FRAME_NDJSON);
			CHECK_INT(counts.events, 3);
			CHECK_INT(counts.invalid, 1);
			CHECK(memmem(s.shown.data, s.shown.len, b.data, b.len)); /* with its exact bytes */
		}
		seen++;
	}
	closedir(d);
	seen_free(&s);
	CHECK(seen > 300);
	printf("# %d n_ cases are text or bytes when nobody says that they are JSON\n", as_text);
}

TEST(framing_is_small_when_uniform_and_linear_when_not)
{
	struct framing g;
	struct err err;
	AUTO_BUF struct buf b;
	buf_init(&b, BUF_MAX_DEFAULT);
	framing_init(&g);
	for (int i = 0; i < 1000000; i++)
		CHECK_OK(framing_add(&g, slice_str(i ? "\n" : ""), &err), err);
	CHECK_OK(framing_finish(&g, slice_str("\n"), &err), err);
	framing_encode(&g, &b);
	CHECK(b.len < 16);
	framing_free(&g);

	/* every gap different: past the table's size, and the limit holds */
	framing_init(&g);
	rc_t rc = RC_OK;
	size_t n = 0;
	for (; rc == RC_OK && n < 5000000; n++) {
		char gap[32];
		int len = snprintf(gap, sizeof gap, "%*zx", (int)(1 + n % 20), n);
		rc = framing_add(&g, slice_of(gap, (size_t)len), &err);
	}
	CHECK_RC(rc, RC_LIMIT);
	CHECK(n > 1000000);
	framing_free(&g);

	/* alternating: the most frequent is the usual one wherever it comes first */
	static const char *const gaps[] = { "\r\n", "\n", "\n", " \n", "\n", "\r\n\r\n" };
	framing_init(&g);
	for (size_t i = 0; i < 60001; i++)
		CHECK_OK(framing_add(&g, slice_str(i ? gaps[i % 6] : "\xef\xbb\xbf"), &err), err);
	CHECK_OK(framing_finish(&g, slice_str(""), &err), err);
	buf_reset(&b);
	framing_encode(&g, &b);
	framing_free(&g);
	CHECK(b.len < 60000 * 3);
	struct framing_reader r;
	CHECK_OK(framing_reader_open(buf_slice(&b), &r, &err), err);
	for (size_t i = 0; i < 60001; i++) {
		struct slice gap;
		CHECK_RC(framing_reader_next(&r, &gap), RC_OK);
		CHECK_SLICE(gap, slice_str(i ? gaps[i % 6] : "\xef\xbb\xbf"));
	}
	framing_reader_close(&r);
}

TEST(damaged_framing_is_reported_never_believed)
{
	struct framing g;
	struct err err;
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	framing_init(&g);
	static const char *const gaps[] = { "\n", "\r\n", "", " \n" };
	for (size_t i = 0; i < 300; i++)
		CHECK_OK(framing_add(&g, slice_str(gaps[rnd(4)]), &err), err);
	CHECK_OK(framing_finish(&g, slice_str("\n"), &err), err);
	framing_encode(&g, &b);
	framing_free(&g);
	for (size_t n = 0; n < b.len; n++) {
		struct framing_reader r;
		uint8_t *copy = mem_alloc(n + 1);
		memcpy(copy, b.data, n);
		copy = mem_realloc(copy, n ? n : 1);
		CHECK_RC(framing_reader_open(slice_of(copy, n), &r, &err), RC_CORRUPT);
		free(copy);
	}
	for (int round = 0; round < 50000; round++) { /* any bytes: refused, or a reader that ends */
		uint8_t *copy = mem_alloc(b.len);
		struct framing_reader r;
		struct slice gap;
		memcpy(copy, b.data, b.len);
		for (int i = 0; i < 3; i++)
			copy[rnd((uint32_t)b.len)] = (uint8_t)rnd(256);
		if (framing_reader_open(slice_of(copy, b.len), &r, &err) == RC_OK) {
			for (int i = 0; i < 1000 && framing_reader_next(&r, &gap) == RC_OK; i++)
				;
			framing_reader_close(&r);
		}
		free(copy);
	}
}

TEST_MAIN()
