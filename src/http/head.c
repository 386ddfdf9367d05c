/* A request's head: RFC 9112 sections 2-6 without the leniencies it permits (bare LF, obs-fold, white space before the colon),
 * because what two parsers read differently is how requests are smuggled. */
#include "http/http_internal.h"

enum { TOKEN = 1, VALUE = 2, TARGET = 4, DIGIT = 8, HEX = 16 };

static uint8_t char_class[256];
static const char not_http[] = "this is not an HTTP request line (METHOD /path HTTP/1.1); this port speaks plain HTTP, not TLS";

__attribute__((constructor)) static void char_class_init(void)
{
	for (int c = 0; c < 256; c++) {
		bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'), digit = c >= '0' && c <= '9';
		bool hex = digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
		bool token = alpha || digit || (c && strchr("!#$%&'*+-.^_`|~", c));
		bool value = c == '\t' || (c >= 0x20 && c != 0x7f);
		bool target = c > 0x20 && c < 0x7f && c != '#';
		char_class[c] = (uint8_t)((token ? TOKEN : 0) | (value ? VALUE : 0) | (target ? TARGET : 0) | (digit ? DIGIT : 0) |
					  (hex ? HEX : 0));
	}
}

static bool is(uint8_t c, unsigned classes)
{
	return char_class[c] & classes;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static void refuse(struct http_refusal *refusal, int status, const char *code, const char *text)
{
	*refusal = (struct http_refusal){ status, code, text };
}

static void bad(struct http_refusal *refusal, const char *text)
{
	refuse(refusal, 400, "bad_request", text);
}

bool http_span_is(const uint8_t *data, struct http_span s, const char *want)
{
	size_t i = 0;
	for (; i < s.len && want[i]; i++)
		if (lower(data[s.at + i]) != (uint8_t)want[i])
			return false;
	return i == s.len && !want[i];
}

size_t http_head_scan(const uint8_t *data, size_t len, size_t *scanned, struct http_refusal *refusal)
{
	size_t at = *scanned;
	if (at == 0 && len && !is(data[0], TOKEN) && data[0] != '\n') { /* do not wait for the line of who speaks TLS */
		bad(refusal, not_http);
		return 0;
	}
	while (at < len) {
		const uint8_t *lf = memchr(data + at, '\n', len - at);
		if (!lf)
			break;
		size_t i = (size_t)(lf - data);
		if (i == 0 || data[i - 1] != '\r') {
			bad(refusal, "a line of the request's head ends with LF alone: end lines with CR LF");
			return 0;
		}
		if (i == 1 || (i >= 3 && data[i - 2] == '\n'))
			return i + 1;
		at = i + 1;
	}
	*scanned = len;
	return 0;
}

static int hex_value(uint8_t c)
{
	return is(c, DIGIT) ? c - '0' : lower(c) - 'a' + 10;
}

bool http_percent_decode(struct slice in, bool plus, uint8_t *out, size_t *ret_len)
{
	size_t n = 0;
	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.data[i];
		if (c == '%') {
			if (in.len - i < 3 || !is(in.data[i + 1], HEX) || !is(in.data[i + 2], HEX))
				return false;
			c = (uint8_t)(hex_value(in.data[i + 1]) << 4 | hex_value(in.data[i + 2]));
			i += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		out[n++] = c;
	}
	*ret_len = n;
	return true;
}

static bool escapes_ok(const uint8_t *data, struct http_span s)
{
	const uint8_t *p = data + s.at, *end = p + s.len;
	while (p < end && (p = memchr(p, '%', (size_t)(end - p)))) {
		if (end - p < 3 || !is(p[1], HEX) || !is(p[2], HEX))
			return false;
		p += 3;
	}
	return true;
}

static enum http_method method_of(const uint8_t *data, struct http_span s)
{
	static const struct {
		const char *text;
		enum http_method method;
	} known[] = { { "GET", HTTP_GET },	 { "HEAD", HTTP_HEAD },	  { "POST", HTTP_POST },      { "PUT", HTTP_PUT },
		      { "DELETE", HTTP_DELETE }, { "PATCH", HTTP_PATCH }, { "OPTIONS", HTTP_OPTIONS } };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_eq_str(slice_of(data + s.at, s.len), known[i].text)) /* methods differ by case */
			return known[i].method;
	return HTTP_OTHER;
}

/* RFC 9112 section 3.2: origin-form, absolute-form (its authority is dropped), "*" for OPTIONS. */
static void parse_target(const uint8_t *data, struct http_head *h, struct http_refusal *refusal)
{
	struct http_span t = h->target;
	struct slice text = slice_of(data + t.at, t.len);
	if (text.data[0] != '/') {
		size_t skip = 0;
		if (text.len == 1 && text.data[0] == '*' && h->method == HTTP_OPTIONS) {
			h->path = t;
			h->query = (struct http_span){ t.at + 1, 0 };
			return;
		}
		if (text.len >= 7 && http_span_is(data, (struct http_span){ t.at, 7 }, "http://"))
			skip = 7;
		else if (text.len >= 8 && http_span_is(data, (struct http_span){ t.at, 8 }, "https://"))
			skip = 8;
		while (skip && skip < text.len && text.data[skip] != '/' && text.data[skip] != '?')
			skip++;
		if (!skip || skip == text.len || text.data[skip] != '/') {
			bad(refusal, "the request target must be a path that begins with /");
			return;
		}
		t.at += (uint32_t)skip;
		t.len -= (uint32_t)skip;
	}
	const uint8_t *mark = memchr(data + t.at, '?', t.len);
	h->path = (struct http_span){ t.at, mark ? (uint32_t)(mark - (data + t.at)) : t.len };
	h->query = (struct http_span){ t.at + h->path.len + (mark ? 1 : 0), t.len - h->path.len - (mark ? 1 : 0) };
	if (!escapes_ok(data, h->path) || !escapes_ok(data, h->query))
		bad(refusal, "the request target holds a % that is not followed by two hexadecimal digits");
}

/* `line` excludes the CR LF. */
static void parse_request_line(const uint8_t *data, struct http_span line, const struct http_limits *limits, struct http_head *h,
			       struct http_refusal *refusal)
{
	const uint8_t *p = data + line.at, *end = p + line.len, *q = p;
	while (q < end && is(*q, TOKEN))
		q++;
	if (q == p || q == end || *q != ' ') {
		bad(refusal, not_http);
		return;
	}
	h->method_text = (struct http_span){ (uint32_t)(p - data), (uint32_t)(q - p) };
	h->method = method_of(data, h->method_text);
	const uint8_t *target = ++q;
	while (q < end && is(*q, TARGET))
		q++;
	h->target = (struct http_span){ (uint32_t)(target - data), (uint32_t)(q - target) };
	if (h->target.len > limits->target_bytes) {
		refuse(refusal, 414, "uri_too_long", "the request target is too long: put large values into the body");
		return;
	}
	if (q == target || q == end || *q != ' ') {
		bad(refusal, "the request line is not METHOD SP target SP HTTP/1.1, or its target holds bytes that must be percent-encoded");
		return;
	}
	q++;
	if (end - q != 8 || memcmp(q, "HTTP/", 5) != 0 || !is(q[5], DIGIT) || q[6] != '.' || !is(q[7], DIGIT)) {
		bad(refusal, "the request line does not end with HTTP/1.1");
		return;
	}
	if (q[5] != '1' || q[7] > '1') {
		refuse(refusal, 505, "http_version", "only HTTP/1.1 and HTTP/1.0 are spoken here");
		return;
	}
	h->http_1_0 = q[7] == '0';
	h->keep_alive = !h->http_1_0;
	if (slice_eq_str(slice_of(data + h->method_text.at, h->method_text.len), "CONNECT"))
		refuse(refusal, 501, "not_implemented", "CONNECT is not supported: this is not a proxy");
	else
		parse_target(data, h, refusal);
}

struct head_seen {
	bool length, transfer, host, coding;
};

static void parse_content_length(const uint8_t *p, size_t len, struct http_head *h, struct head_seen *seen, struct http_refusal *refusal)
{
	uint64_t n = 0;
	bool digits = len > 0;
	for (size_t i = 0; i < len && digits; i++) {
		digits = is(p[i], DIGIT);
		n = n > UINT64_MAX / 10 - 1 ? UINT64_MAX / 10 : n * 10 + (uint64_t)(p[i] - '0'); /* saturates: then it is too large anyway */
	}
	if (!digits)
		bad(refusal, "Content-Length is not a decimal number");
	else if (seen->length) /* also the same twice: whoever stands in front of us may have counted by another */
		bad(refusal, "there are two Content-Length headers");
	h->content_length = n;
	seen->length = true;
}

static bool next_list_item(const uint8_t *data, struct http_span *list, struct http_span *ret)
{
	while (list->len) {
		const uint8_t *p = data + list->at, *comma = memchr(p, ',', list->len);
		uint32_t n = comma ? (uint32_t)(comma - p) : list->len;
		*ret = (struct http_span){ list->at, n };
		list->at += n + (comma ? 1 : 0);
		list->len -= n + (comma ? 1 : 0);
		while (ret->len && (data[ret->at] == ' ' || data[ret->at] == '\t')) {
			ret->at++;
			ret->len--;
		}
		while (ret->len && (data[ret->at + ret->len - 1] == ' ' || data[ret->at + ret->len - 1] == '\t'))
			ret->len--;
		if (ret->len)
			return true;
	}
	return false;
}

static void parse_transfer_encoding(const uint8_t *data, struct http_span value, struct http_head *h, struct head_seen *seen,
				    struct http_refusal *refusal)
{
	struct http_span item, rest = value;
	bool other = false;
	while (next_list_item(data, &rest, &item))
		other = other || !http_span_is(data, item, "chunked");
	if (seen->transfer)
		bad(refusal, "there are two Transfer-Encoding headers");
	else if (other)
		refuse(refusal, 501, "transfer_encoding", "the only Transfer-Encoding known here is chunked");
	else if (!http_span_is(data, value, "chunked")) /* no empty list items either: not everybody passes over them */
		bad(refusal, "Transfer-Encoding must be chunked, once");
	seen->transfer = true;
	h->chunked = true;
}

static void parse_connection(const uint8_t *data, struct http_span value, struct http_head *h)
{
	struct http_span item;
	while (next_list_item(data, &value, &item)) {
		if (http_span_is(data, item, "close"))
			h->keep_alive = false;
		else if (h->http_1_0 && http_span_is(data, item, "keep-alive"))
			h->keep_alive = true;
	}
}

static void parse_host(const uint8_t *p, size_t len, struct head_seen *seen, struct http_refusal *refusal)
{
	if (seen->host)
		bad(refusal, "there are two Host headers");
	for (size_t i = 0; i < len; i++)
		if (p[i] <= ' ' || p[i] >= 0x7f || p[i] == '/' || p[i] == ',' || p[i] == '@' || p[i] == '#' || p[i] == '?')
			bad(refusal, "the Host header is not host or host:port");
	seen->host = true;
}

/* The headers that decide how the rest of the bytes is read. */
static void parse_known(const uint8_t *data, const struct http_header *f, struct http_head *h, struct head_seen *seen,
			struct http_refusal *refusal)
{
	struct http_span v = f->value, n = f->name;
	switch (n.len) {
	case 4:
		if (http_span_is(data, n, "host"))
			parse_host(data + v.at, v.len, seen, refusal);
		break;
	case 6:
		if (http_span_is(data, n, "expect")) {
			if (http_span_is(data, v, "100-continue"))
				h->expect_continue = !h->http_1_0;
			else
				h->expect_unknown = !h->http_1_0;
		}
		break;
	case 10:
		if (http_span_is(data, n, "connection"))
			parse_connection(data, v, h);
		break;
	case 14:
		if (http_span_is(data, n, "content-length"))
			parse_content_length(data + v.at, v.len, h, seen, refusal);
		break;
	case 16:
		if (http_span_is(data, n, "content-encoding")) {
			enum http_coding coding = http_span_is(data, v, "gzip") || http_span_is(data, v, "x-gzip") ? HTTP_CODING_GZIP :
						  http_span_is(data, v, "zstd")				   ? HTTP_CODING_ZSTD :
						  http_span_is(data, v, "identity")			   ? HTTP_CODING_NONE :
													     HTTP_CODING_UNKNOWN;
			h->coding = seen->coding ? HTTP_CODING_UNKNOWN : coding; /* codings on top of each other are not undone */
			seen->coding = true;
		}
		break;
	case 17:
		if (http_span_is(data, n, "transfer-encoding"))
			parse_transfer_encoding(data, v, h, seen, refusal);
		break;
	default:
		break;
	}
}

static void parse_field(const uint8_t *data, struct http_span line, struct http_header *f, struct http_refusal *refusal)
{
	const uint8_t *start = data + line.at, *end = start + line.len, *p = start;
	if (*p == ' ' || *p == '\t') {
		bad(refusal, "a header is folded over two lines: send it as one");
		return;
	}
	while (p < end && is(*p, TOKEN))
		p++;
	if (p == start || p == end || *p != ':') {
		bad(refusal, p < end && (*p == ' ' || *p == '\t') ? "there is white space before the colon of a header" :
								     "a line of the head is not a header (name: value)");
		return;
	}
	f->name = (struct http_span){ line.at, (uint32_t)(p - start) };
	p++;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	f->value = (struct http_span){ (uint32_t)(p - data), (uint32_t)(end - p) };
	for (; p < end; p++)
		if (!is(*p, VALUE)) {
			bad(refusal, "a header's value holds a control character");
			return;
		}
}

static void check_framing(const struct http_head *h, const struct head_seen *seen, struct http_refusal *refusal)
{
	if (seen->transfer && seen->length)
		bad(refusal, "there are both Content-Length and Transfer-Encoding");
	else if (seen->transfer && h->http_1_0)
		bad(refusal, "Transfer-Encoding needs HTTP/1.1");
	else if (!seen->host && !h->http_1_0)
		bad(refusal, "the Host header is missing");
}

void http_head_parse(const uint8_t *data, size_t len, const struct http_limits *limits, struct http_head *h, struct http_header *headers,
		     struct http_refusal *refusal)
{
	struct head_seen seen = { 0 };
	bool first = true;
	*h = (struct http_head){ .method = HTTP_OTHER };
	for (size_t at = 0; at < len;) {
		const uint8_t *lf = memchr(data + at, '\n', len - at);
		if (!lf || lf == data + at || lf[-1] != '\r') {
			bad(refusal, "a line of the request's head does not end with CR LF");
			return;
		}
		struct http_span line = { (uint32_t)at, (uint32_t)(lf - 1 - (data + at)) };
		at = (size_t)(lf - data) + 1;
		if (first) {
			first = false;
			parse_request_line(data, line, limits, h, refusal);
		} else if (line.len == 0) {
			check_framing(h, &seen, refusal);
			return;
		} else if (h->header_count == limits->header_count) {
			refuse(refusal, 431, "header_too_large", "the request has too many headers");
		} else {
			struct http_header *f = &headers[h->header_count];
			parse_field(data, line, f, refusal);
			if (!refusal->status) {
				h->header_count++;
				parse_known(data, f, h, &seen, refusal);
			}
		}
		if (refusal->status)
			return;
	}
	bad(refusal, "the request's head is not complete");
}
