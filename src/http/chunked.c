#include "http/http_internal.h"

/* State machine over bytes; only chunk data is taken in ranges. */
enum {
	SIZE,      /* hexadecimal digits */
	EXTENSION, /* after ";", up to CR */
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_START,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	LAST_LF,
	DONE
};

enum { EXTENSION_MAX = 16384 }; /* of one body: nobody uses them, but they cost no payload */

static size_t refuse(struct http_refusal *refusal, int status, const char *code, const char *text)
{
	*refusal = (struct http_refusal){ status, code, text };
	return 0;
}

static bool is_token(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool size_byte(struct http_chunked *c, uint8_t b)
{
	int v = b >= '0' && b <= '9' ? b - '0' : b >= 'a' && b <= 'f' ? b - 'a' + 10 : b >= 'A' && b <= 'F' ? b - 'A' + 10 : -1;
	if (v >= 0) {
		if (++c->digits > 15)
			return false;
		c->left = c->left << 4 | (uint64_t)v;
		return true;
	}
	if (!c->digits)
		return false;
	c->state = b == '\r' ? SIZE_LF : EXTENSION;
	return b == '\r' || b == ';';
}

static bool line_byte(struct http_chunked *c, uint8_t b, const char **why)
{
	switch (c->state) {
	case SIZE:
		*why = "a chunk's size is not a hexadecimal number of up to 15 digits";
		return size_byte(c, b);
	case EXTENSION:
		*why = "a chunk extension holds a control character, or all of them are too long";
		if (b == '\r')
			c->state = SIZE_LF;
		return b == '\r' || ((b >= ' ' || b == '\t') && b != 0x7f && ++c->extension_bytes <= EXTENSION_MAX);
	case SIZE_LF:
		*why = "a chunk's size line does not end with CR LF";
		c->state = c->left ? DATA : TRAILER_START;
		c->digits = 0;
		return b == '\n';
	case DATA_CR:
		*why = "a chunk is longer than its size says";
		c->state = DATA_LF;
		return b == '\r';
	case DATA_LF:
		*why = "a chunk does not end with CR LF";
		c->state = SIZE;
		return b == '\n';
	case TRAILER_START:
		*why = "a trailer line is not a header (name: value)";
		c->state = b == '\r' ? LAST_LF : TRAILER_NAME;
		return b == '\r' || is_token(b);
	case TRAILER_NAME:
		*why = "a trailer line is not a header (name: value)";
		if (b == ':')
			c->state = TRAILER_VALUE;
		return b == ':' || is_token(b);
	case TRAILER_VALUE:
		*why = "a trailer's value holds a control character";
		if (b == '\r')
			c->state = TRAILER_LF;
		return b == '\r' || b == '\t' || (b >= ' ' && b != 0x7f);
	case TRAILER_LF:
	case LAST_LF:
		*why = "a trailer line does not end with CR LF";
		c->state = c->state == LAST_LF ? DONE : TRAILER_START;
		return b == '\n';
	default:
		return false;
	}
}

size_t http_chunked_feed(struct http_chunked *c, const struct http_limits *limits, struct slice in, struct slice *ret_data, bool *ret_done,
			 struct http_refusal *refusal)
{
	const char *why = "";
	size_t i = 0;
	*ret_data = (struct slice){ NULL, 0 };
	*ret_done = false;
	for (; i < in.len; i++) {
		if (c->state == DATA) {
			size_t n = in.len - i < c->left ? in.len - i : (size_t)c->left;
			*ret_data = slice_of(in.data + i, n);
			c->left -= n;
			if (!c->left)
				c->state = DATA_CR;
			return i + n;
		}
		if (c->state >= TRAILER_START && ++c->trailer_bytes > limits->header_bytes)
			return refuse(refusal, 431, "header_too_large", "the trailers are too large");
		if (c->state == TRAILER_NAME && in.data[i] == ':' && ++c->trailer_count > limits->header_count)
			return refuse(refusal, 431, "header_too_large", "there are too many trailers");
		if (!line_byte(c, in.data[i], &why))
			return refuse(refusal, 400, "bad_chunk", why);
		if (c->state == DONE) {
			*ret_done = true;
			return i + 1;
		}
	}
	return i;
}

void http_chunked_unread(struct http_chunked *c, size_t n)
{
	if (n) {
		c->left += n;
		c->state = DATA;
	}
}
