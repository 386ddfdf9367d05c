#include "net/xml.h"

#include "base/test.h"

struct seen {
	struct buf text;
};

static rc_t each(void *ctx, const char *path, struct slice text, struct err *reterr)
{
	struct seen *s = ctx;
	(void)reterr;
	buf_printf(&s->text, "%s=%.*s;", path, SLICE_ARG(text));
	return RC_OK;
}

static bool reads(const char *document, const char *want)
{
	struct seen s;
	struct err err = { 0 };
	buf_init(&s.text, 1 << 20);
	rc_t rc = xml_walk(slice_str(document), each, &s, &err);
	bool ok = rc == RC_OK && !strcmp(buf_cstr(&s.text), want);
	if (!ok)
		fprintf(stderr, "%s\n", rc == RC_OK ? buf_cstr(&s.text) : err.text);
	buf_free(&s.text);
	return ok;
}

TEST(xml_elements_are_told_where_they_end)
{
	CHECK(reads("<?xml version=\"1.0\"?>\n<!-- c --><a x='>' xmlns=\"u\"><b>1</b><c/><b>2 &lt;&amp;&#228;&#xe4;&quot;&apos;&gt;</b></a>\n",
		    "a/b=1;a/c=;a/b=2 <&\xc3\xa4\xc3\xa4\"'>;a=;"));
	CHECK(reads("\xef\xbb\xbf<n:a><n:b><![CDATA[<x>&]]></n:b></n:a >", "a/b=<x>&;a=;"));
	CHECK(reads("<a>\n  <b>x</b>\n</a>", "a/b=x;a=\n;"));
}

TEST(xml_that_s3_does_not_send_is_refused)
{
	const char *bad[] = { "", "x", "<a>", "<a></b>", "<a/><b/>", "<a>&nope;</a>", "<a>&#0;</a>", "<a>&#x110000;</a>", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
			      "<a", "<a><b></a>", "</a>", "< a/>", "<a><![CDATA[x</a>", "<a>&amp</a>", "<a/>x" };
	struct seen s;
	buf_init(&s.text, 1 << 20);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK_RC(xml_walk(slice_str(bad[i]), each, &s, NULL), RC_CORRUPT);
	buf_free(&s.text);
}

TEST(xml_depth_and_text_have_limits)
{
	AUTO_BUF struct buf b;
	struct seen s;
	buf_init(&b, 1 << 20);
	buf_init(&s.text, 1 << 20);
	for (int i = 0; i < XML_DEPTH_MAX + 1; i++)
		buf_append_str(&b, "<a>");
	CHECK_RC(xml_walk(buf_slice(&b), each, &s, NULL), RC_CORRUPT);
	buf_reset(&b);
	buf_append_str(&b, "<a>");
	for (size_t i = 0; i <= XML_TEXT_MAX; i++)
		buf_byte(&b, 'x');
	buf_append_str(&b, "</a>");
	CHECK_RC(xml_walk(buf_slice(&b), each, &s, NULL), RC_CORRUPT);
	buf_free(&s.text);
}

TEST(xml_find_gives_the_first_or_nothing)
{
	AUTO_BUF struct buf b;
	buf_init(&b, 100);
	CHECK(xml_find(SLICE_LIT("<a><b>1</b><b>2</b></a>"), "a/b", &b));
	CHECK_STR(buf_cstr(&b), "1");
	CHECK(!xml_find(SLICE_LIT("<a><b>1</b></a>"), "a/c", &b));
}

TEST_MAIN()
