#include "net/sign.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <strings.h>

#include "os/clock.h"
#include "os/secret.h"

#define HASH_BYTES 32
#define CANONICAL_MAX ((size_t)1 << 20)

/* ---- hashes ---- */

static void hex(const uint8_t *in, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * n] = 0;
}

void sha256_hex(struct slice s, char out[SIGN_HASH_LEN + 1])
{
	uint8_t md[HASH_BYTES];
	if (!EVP_Digest(s.data, s.len, md, NULL, EVP_sha256(), NULL))
		abort(); /* out of memory */
	hex(md, sizeof md, out);
}

struct sha256 {
	EVP_MD_CTX *ctx;
};

struct sha256 *sha256_new(void)
{
	struct sha256 *h = NEW(struct sha256);
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx || !EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL))
		abort();
	return h;
}

void sha256_add(struct sha256 *h, const void *data, size_t len)
{
	if (!EVP_DigestUpdate(h->ctx, data, len))
		abort();
}

void sha256_end(struct sha256 *h, char out[SIGN_HASH_LEN + 1])
{
	uint8_t md[HASH_BYTES];
	if (!EVP_DigestFinal_ex(h->ctx, md, NULL))
		abort();
	hex(md, sizeof md, out);
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void md5_base64(struct slice s, char out[25])
{
	uint8_t md[16] = { 0 };
	EVP_Digest(s.data, s.len, md, NULL, EVP_md5(), NULL); /* fails where FIPS forbids it: then the server refuses, and says so */
	EVP_EncodeBlock((uint8_t *)out, md, sizeof md);
}

void crc_base64(uint32_t crc, char out[9])
{
	uint8_t big[4] = { (uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc };
	EVP_EncodeBlock((uint8_t *)out, big, sizeof big);
}

static void hmac(const void *key, size_t key_len, const char *text, uint8_t out[HASH_BYTES])
{
	if (!HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text, strlen(text), out, NULL))
		abort();
}

/* ---- the canonical request ---- */

void sign_time(int64_t us, char out[SIGN_TIME_LEN + 1])
{
	char text[32]; /* 2026-11-22T10:00:00.000000Z */
	time_format(us, text);
	snprintf(out, SIGN_TIME_LEN + 1, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", text, text + 5, text + 8, text + 11, text + 14, text + 17);
}

void sign_encode(struct slice s, bool keep_slash, struct buf *ret)
{
	static const char digits[] = "0123456789ABCDEF";
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.data[i];
		bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
			     c == '~' || (keep_slash && c == '/');
		if (plain) {
			buf_byte(ret, c);
		} else {
			buf_byte(ret, '%');
			buf_byte(ret, digits[c >> 4]);
			buf_byte(ret, digits[c & 15]);
		}
	}
}

static char *encoded(const char *s)
{
	AUTO_BUF struct buf b;
	buf_init(&b, CANONICAL_MAX);
	sign_encode(slice_str(s ? s : ""), false, &b);
	return mem_strdup(buf_cstr(&b));
}

struct line {
	char *name, *value;
};

static int compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	int c = strcmp(x->name, y->name);
	return c ? c : strcmp(x->value, y->value);
}

static void lines_free(struct line *lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(lines[i].name);
		free(lines[i].value);
	}
	free(lines);
}

static void canonical_query(const struct sign_request *r, struct buf *ret)
{
	struct line *lines = mem_zalloc(r->query_count + 1, sizeof *lines);
	for (size_t i = 0; i < r->query_count; i++)
		lines[i] = (struct line){ encoded(r->query[i].name), encoded(r->query[i].value) };
	qsort(lines, r->query_count, sizeof *lines, compare_lines);
	for (size_t i = 0; i < r->query_count; i++)
		buf_printf(ret, "%s%s=%s", i ? "&" : "", lines[i].name, lines[i].value);
	lines_free(lines, r->query_count);
}

/* Without white space around, and runs of it as one blank. */
static char *trimmed(const char *value)
{
	AUTO_BUF struct buf b;
	buf_init(&b, CANONICAL_MAX);
	bool blank = false;
	for (const char *p = value ? value : ""; *p; p++) {
		bool is_blank = *p == ' ' || *p == '\t' || *p == '\n' || *p == '\r';
		if (is_blank) {
			blank = true;
			continue;
		}
		if (blank && b.len)
			buf_byte(&b, ' ');
		blank = false;
		buf_byte(&b, (uint8_t)*p);
	}
	return mem_strdup(buf_cstr(&b));
}

static int compare_names(const void *a, const void *b)
{
	const struct line *const *x = a, *const *y = b;
	int c = strcmp((*x)->name, (*y)->name);
	return c ? c : (*x > *y) - (*x < *y); /* one name several times: its values stay in their order */
}

/* The header lines into *ret (may be NULL), the names, separated by ';', into *ret_names. */
static void canonical_headers(const struct sign_request *r, struct buf *ret, struct buf *ret_names)
{
	size_t n = r->header_count;
	struct line *lines = mem_zalloc(n + 1, sizeof *lines);
	struct line **order = mem_zalloc(n + 1, sizeof *order);
	for (size_t i = 0; i < n; i++) {
		lines[i] = (struct line){ mem_strdup(r->headers[i].name), trimmed(r->headers[i].value) };
		for (char *c = lines[i].name; *c; c++)
			*c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
		order[i] = &lines[i];
	}
	qsort(order, n, sizeof *order, compare_names);
	for (size_t i = 0; i < n; i++) {
		bool again = i && !strcmp(order[i]->name, order[i - 1]->name);
		bool more = i + 1 < n && !strcmp(order[i]->name, order[i + 1]->name);
		if (!again)
			buf_printf(ret_names, "%s%s", i ? ";" : "", order[i]->name);
		if (ret && !again)
			buf_printf(ret, "%s:", order[i]->name);
		if (ret)
			buf_printf(ret, "%s%s", order[i]->value, more ? "," : "\n");
	}
	free(order);
	lines_free(lines, n);
}

void sign_canonical(const struct sign_request *r, struct buf *ret)
{
	AUTO_BUF struct buf names;
	buf_init(&names, CANONICAL_MAX);
	buf_printf(ret, "%s\n", r->method);
	sign_encode(slice_str(r->path), true, ret);
	buf_byte(ret, '\n');
	canonical_query(r, ret);
	buf_byte(ret, '\n');
	canonical_headers(r, ret, &names);
	buf_printf(ret, "\n%s\n%s", buf_cstr(&names), r->payload_hash);
}

void sign_v4(const struct sign_request *r, struct buf *ret)
{
	AUTO_BUF struct buf canonical;
	AUTO_BUF struct buf names;
	buf_init(&canonical, CANONICAL_MAX);
	buf_init(&names, CANONICAL_MAX);
	sign_canonical(r, &canonical);
	canonical_headers(r, NULL, &names);
	char hash[SIGN_HASH_LEN + 1], signature[SIGN_HASH_LEN + 1], date[9];
	sha256_hex(buf_slice(&canonical), hash);
	snprintf(date, sizeof date, "%.8s", r->time);
	AUTO_MEM char *scope = mem_printf("%s/%s/%s/aws4_request", date, r->region, r->service);
	AUTO_MEM char *text = mem_printf("AWS4-HMAC-SHA256\n%s\n%s\n%s", r->time, scope, hash);
	char *first = secret_alloc(4 + strlen(r->secret_key));
	memcpy(first, "AWS4", 4);
	memcpy(first + 4, r->secret_key, strlen(r->secret_key));
	uint8_t key[HASH_BYTES];
	hmac(first, strlen(first), date, key);
	hmac(key, sizeof key, r->region, key);
	hmac(key, sizeof key, r->service, key);
	hmac(key, sizeof key, "aws4_request", key);
	hmac(key, sizeof key, text, key);
	hex(key, sizeof key, signature);
	OPENSSL_cleanse(key, sizeof key);
	secret_free(first);
	buf_printf(ret, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", r->access_key, scope, buf_cstr(&names), signature);
}
