#include "net/xml.h"

#include <stdlib.h>

struct walk {
	struct slice in;
	size_t at;
	char path[XML_DEPTH_MAX * (XML_NAME_MAX + 1) + 1];
	size_t starts[XML_DEPTH_MAX]; /* where the name of each open element begins in path */
	unsigned depth;
	struct buf text; /* of the innermost element, since its last child ended */
	bool closed;     /* the root has ended */
};

static rc_t bad(const struct walk *w, const char *why, struct err *reterr)
{
	return err_set(reterr, RC_CORRUPT, "the answer is no XML document that S3 sends (byte %zu: %s)", w->at, why);
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Moves behind the next `end`; false if there is none. */
static bool skip_to(struct walk *w, const char *end)
{
	size_t n = strlen(end);
	const void *p = w->at <= w->in.len ? memmem(w->in.data + w->at, w->in.len - w->at, end, n) : NULL;
	if (!p)
		return false;
	w->at = (size_t)((const uint8_t *)p - w->in.data) + n;
	return true;
}

static void put_utf8(struct buf *b, unsigned long c)
{
	if (c < 0x80) {
		buf_byte(b, (uint8_t)c);
	} else if (c < 0x800) {
		buf_byte(b, (uint8_t)(0xc0 | c >> 6));
		buf_byte(b, (uint8_t)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_byte(b, (uint8_t)(0xe0 | c >> 12));
		buf_byte(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		buf_byte(b, (uint8_t)(0x80 | (c & 0x3f)));
	} else {
		buf_byte(b, (uint8_t)(0xf0 | c >> 18));
		buf_byte(b, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		buf_byte(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		buf_byte(b, (uint8_t)(0x80 | (c & 0x3f)));
	}
}

/* s is what stands between '&' and ';'. */
static bool put_entity(struct buf *b, struct slice s)
{
	static const struct {
		const char *name;
		char c;
	} named[] = { { "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' } };
	for (size_t i = 0; i < sizeof named / sizeof *named; i++)
		if (slice_eq_str(s, named[i].name)) {
			buf_byte(b, (uint8_t)named[i].c);
			return true;
		}
	char digits[10];
	if (s.len < 2 || s.len >= sizeof digits || s.data[0] != '#')
		return false;
	bool hexadecimal = s.data[1] == 'x';
	size_t from = hexadecimal ? 2 : 1;
	memcpy(digits, s.data + from, s.len - from);
	digits[s.len - from] = 0;
	char *end;
	unsigned long c = strtoul(digits, &end, hexadecimal ? 16 : 10);
	if (*end || end == digits || digits[0] == '-' || digits[0] == '+' || c == 0 || c > 0x10ffff)
		return false;
	put_utf8(b, c);
	return true;
}

static rc_t take_text(struct walk *w, struct err *reterr)
{
	while (w->at < w->in.len && w->in.data[w->at] != '<') {
		uint8_t c = w->in.data[w->at];
		if (c == '&') {
			const uint8_t *from = w->in.data + w->at + 1;
			size_t most = w->in.len - w->at - 1;
			const uint8_t *end = memchr(from, ';', most < 12 ? most : 12);
			if (!end || !put_entity(&w->text, slice_of(from, (size_t)(end - from))))
				return bad(w, "an unknown entity", reterr);
			w->at += (size_t)(end - from) + 2;
			continue;
		}
		if (w->depth == 0 && !is_blank(c) && c != 0xef && c != 0xbb && c != 0xbf) /* a byte order mark is fine */
			return bad(w, "text outside of the document", reterr);
		buf_byte(&w->text, c);
		w->at++;
	}
	return w->text.overflow ? bad(w, "a text that is too long", reterr) : RC_OK;
}

/* A name without its prefix; at stands behind it. */
static struct slice take_name(struct walk *w)
{
	size_t from = w->at;
	while (w->at < w->in.len && !is_blank(w->in.data[w->at]) && w->in.data[w->at] != '>' && w->in.data[w->at] != '/') {
		if (w->in.data[w->at] == ':')
			from = w->at + 1;
		w->at++;
	}
	return slice_of(w->in.data + from, w->at - from);
}

/* To the '>' of a tag, past quoted attribute values; *ret_empty: "/>". */
static bool end_of_tag(struct walk *w, bool *ret_empty)
{
	uint8_t quote = 0;
	for (; w->at < w->in.len; w->at++) {
		uint8_t c = w->in.data[w->at];
		if (quote) {
			quote = c == quote ? 0 : quote;
		} else if (c == '"' || c == '\'') {
			quote = c;
		} else if (c == '>') {
			*ret_empty = w->in.data[w->at - 1] == '/';
			w->at++;
			return true;
		}
	}
	return false;
}

static rc_t close_element(struct walk *w, xml_each each, void *ctx, struct err *reterr)
{
	TRY(each(ctx, w->path, buf_slice(&w->text), reterr));
	buf_reset(&w->text);
	size_t start = w->starts[--w->depth];
	w->path[start ? start - 1 : 0] = 0;
	w->closed = w->depth == 0;
	return RC_OK;
}

static rc_t open_element(struct walk *w, xml_each each, void *ctx, struct err *reterr)
{
	bool empty;
	struct slice name = take_name(w);
	if (name.len == 0 || name.len > XML_NAME_MAX || memchr(name.data, 0, name.len))
		return bad(w, "an element without a name, or with a long one", reterr);
	if (w->closed || w->depth == XML_DEPTH_MAX)
		return bad(w, w->closed ? "a second document" : "too many elements in each other", reterr);
	if (!end_of_tag(w, &empty))
		return bad(w, "a tag that does not end", reterr);
	size_t len = strlen(w->path);
	w->starts[w->depth] = len ? len + 1 : 0;
	if (len)
		w->path[len++] = '/';
	memcpy(w->path + len, name.data, name.len);
	w->path[len + name.len] = 0;
	w->depth++;
	buf_reset(&w->text);
	return empty ? close_element(w, each, ctx, reterr) : RC_OK;
}

static rc_t take_tag(struct walk *w, xml_each each, void *ctx, struct err *reterr)
{
	struct slice rest = slice_skip(w->in, w->at);
	if (slice_starts(rest, SLICE_LIT("<?")))
		return skip_to(w, "?>") ? RC_OK : bad(w, "a declaration that does not end", reterr);
	if (slice_starts(rest, SLICE_LIT("<!--")))
		return skip_to(w, "-->") ? RC_OK : bad(w, "a comment that does not end", reterr);
	if (slice_starts(rest, SLICE_LIT("<![CDATA["))) {
		size_t from = w->at + 9;
		if (w->depth == 0 || !skip_to(w, "]]>"))
			return bad(w, "CDATA that does not end", reterr);
		if (w->at - 3 > from)
			buf_append(&w->text, w->in.data + from, w->at - 3 - from);
		return w->text.overflow ? bad(w, "a text that is too long", reterr) : RC_OK;
	}
	if (slice_starts(rest, SLICE_LIT("<!")))
		return bad(w, "a document type", reterr);
	if (!slice_starts(rest, SLICE_LIT("</"))) {
		w->at++;
		return open_element(w, each, ctx, reterr);
	}
	w->at += 2;
	bool empty;
	struct slice name = take_name(w);
	if (!w->depth || !slice_eq_str(name, w->path + w->starts[w->depth - 1]) || !end_of_tag(w, &empty))
		return bad(w, "an end that has no beginning", reterr);
	return close_element(w, each, ctx, reterr);
}

rc_t xml_walk(struct slice document, xml_each each, void *ctx, struct err *reterr)
{
	struct walk w = { .in = document };
	buf_init(&w.text, XML_TEXT_MAX);
	rc_t rc = RC_OK;
	while (rc == RC_OK && w.at < document.len)
		rc = document.data[w.at] == '<' ? take_tag(&w, each, ctx, reterr) : take_text(&w, reterr);
	if (rc == RC_OK && !w.closed)
		rc = bad(&w, "it ends too early", reterr);
	buf_free(&w.text);
	return rc;
}

struct find {
	const char *path;
	struct buf *ret;
	bool found;
};

static rc_t find_each(void *ctx, const char *path, struct slice text, struct err *reterr)
{
	struct find *f = ctx;
	if (f->found || strcmp(path, f->path) != 0)
		return RC_OK;
	buf_append_slice(f->ret, text);
	f->found = true;
	return err_set(reterr, RC_EOF, "found");
}

bool xml_find(struct slice document, const char *path, struct buf *ret)
{
	struct find f = { .path = path, .ret = ret };
	xml_walk(document, find_each, &f, NULL);
	return f.found;
}
