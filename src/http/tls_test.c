/* The server over TLS, with OpenSSL's own client. Certificates are made here. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>

#include "http/http_fixture.h"

#define HOST "Host: localhost\r\n"

/* ---- certificates ---- */

struct pair {
	char cert[64], key[64];
};

static EVP_PKEY *write_key(const char *path, const char *pass)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	FILE *f = fopen(path, "w");
	PEM_write_PrivateKey(f, key, pass ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL, (void *)(uintptr_t)pass);
	fclose(f);
	return key;
}

static void write_cert(const char *path, EVP_PKEY *key, const char *name)
{
	X509 *x = X509_new();
	X509_NAME *subject = X509_get_subject_name(x);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, subject);
	X509_sign(x, key, EVP_sha256());
	FILE *f = fopen(path, "w");
	PEM_write_X509(f, x);
	fclose(f);
	X509_free(x);
}

static void pair_make(struct pair *p, const char *name, const char *pass)
{
	static int count;
	snprintf(p->cert, sizeof p->cert, "/tmp/hydrant-tls-%d-%d.crt", (int)getpid(), count);
	snprintf(p->key, sizeof p->key, "/tmp/hydrant-tls-%d-%d.key", (int)getpid(), count++);
	EVP_PKEY *key = write_key(p->key, pass);
	write_cert(p->cert, key, name);
	EVP_PKEY_free(key);
}

static void pair_remove(const struct pair *p)
{
	unlink(p->cert);
	unlink(p->key);
}

static void start_with(struct fixture *f, const char *name)
{
	struct pair p;
	struct err err;
	pair_make(&p, name, NULL);
	if (http_tls_load(p.cert, p.key, &f->options.tls, &err) != RC_OK) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	fixture_start(f);
	pair_remove(&p);
}

/* ---- a client ---- */

struct tls_client {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
};

/* False: no handshake. max_version 0: any; alpn in wire format, or NULL. */
static bool tls_connect(const struct fixture *f, struct tls_client *c, int max_version, const char *alpn)
{
	c->fd = client_open(f);
	c->ctx = SSL_CTX_new(TLS_client_method());
	if (max_version) {
		SSL_CTX_set_security_level(c->ctx, 0); /* as careless as an old client is */
		SSL_CTX_set_min_proto_version(c->ctx, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(c->ctx, max_version);
	}
	c->ssl = SSL_new(c->ctx);
	if (alpn)
		SSL_set_alpn_protos(c->ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
	SSL_set_fd(c->ssl, c->fd);
	bool fine = SSL_connect(c->ssl) == 1;
	ERR_clear_error();
	return fine;
}

static void tls_leave(struct tls_client *c)
{
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	close(c->fd);
}

static bool tls_say(struct tls_client *c, struct slice s)
{
	size_t n;
	return !s.len || SSL_write_ex(c->ssl, s.data, s.len, &n) == 1;
}

/* Everything until the server ends it; RC_OK: with a proper close. */
static bool tls_read_all(struct tls_client *c, struct buf *out)
{
	int n;
	do {
		buf_reserve(out, 65536);
		n = SSL_read(c->ssl, out->data + out->len, 65536);
		if (n > 0)
			out->len += (size_t)n;
	} while (n > 0);
	bool proper = SSL_get_error(c->ssl, n) == SSL_ERROR_ZERO_RETURN;
	ERR_clear_error();
	return proper;
}

static void peer_name(struct tls_client *c, char out[64])
{
	X509 *x = SSL_get1_peer_certificate(c->ssl);
	X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, out, 64);
	X509_free(x);
}

static size_t count_of(const struct buf *b, const char *what)
{
	size_t n = 0, len = strlen(what); /* not memmem: the thread sanitizer looks at all that is left each time */
	for (size_t i = 0; i + len <= b->len; i++)
		n += b->data[i] == (uint8_t)what[0] && memcmp(b->data + i, what, len) == 0;
	return n;
}

/* ---- the laws ---- */

TEST(tls_pipelined_requests_are_answered_in_order)
{
	struct fixture *f = fixture_new();
	struct tls_client c;
	struct buf out;
	buf_init(&out, 1 << 20);
	start_with(f, "one");
	CHECK(tls_connect(f, &c, 0, "\x02h2\x08http/1.1"));
	const unsigned char *alpn;
	unsigned len;
	SSL_get0_alpn_selected(c.ssl, &alpn, &len);
	CHECK_SLICE(slice_of(alpn, len), SLICE_LIT("http/1.1"));
	CHECK(tls_say(&c, SLICE_LIT("POST /later HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nfirst"
				    "POST /b HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nsecond"
				    "POST /c HTTP/1.1\r\n" HOST "Connection: close\r\nContent-Length: 5\r\n\r\nthird")));
	CHECK(tls_read_all(&c, &out));
	const char *text = buf_cstr(&out), *a = strstr(text, "first"), *b = strstr(text, "second"), *d = strstr(text, "third");
	CHECK(a && b && d && a < b && b < d);
	CHECK_INT(count_of(&out, "HTTP/1.1 200"), 3);
	tls_leave(&c);
	buf_free(&out);
	fixture_free(f);
}

TEST(tls_1_2_is_the_oldest_version)
{
	struct fixture *f = fixture_new();
	struct tls_client c;
	start_with(f, "one");
	CHECK(tls_connect(f, &c, TLS1_2_VERSION, NULL));
	CHECK_STR(SSL_get_version(c.ssl), "TLSv1.2");
	tls_leave(&c);
	CHECK(!tls_connect(f, &c, TLS1_1_VERSION, NULL));
	tls_leave(&c);
	CHECK(!tls_connect(f, &c, 0, "\x02h2")); /* no protocol in common */
	tls_leave(&c);
	fixture_free(f);
}

static void big_chunked(struct tls_client *c, size_t chunks)
{
	AUTO_BUF struct buf chunk;
	buf_init(&chunk, 1 << 20);
	buf_append_str(&chunk, "186a0\r\n"); /* 100,000 */
	buf_reserve(&chunk, 100002);
	memset(chunk.data + chunk.len, 'x', 100000);
	chunk.len += 100000;
	buf_append_str(&chunk, "\r\n");
	CHECK(tls_say(c, SLICE_LIT("POST /length HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n")));
	for (size_t i = 0; i < chunks; i++)
		CHECK(tls_say(c, buf_slice(&chunk)));
	CHECK(tls_say(c, SLICE_LIT("0\r\n\r\n")));
}

TEST(tls_large_bodies_arrive_whole_both_ways)
{
	struct fixture *f = fixture_new();
	struct tls_client c;
	struct buf out;
	buf_init(&out, 1 << 30);
	start_with(f, "one");
	CHECK(tls_connect(f, &c, 0, NULL));
	big_chunked(&c, 300);
	clock_sleep_us(100000);
	/* the answer is larger than what the sockets take: records go out in parts, and while the client does not read it waits */
	CHECK(tls_say(&c, SLICE_LIT("GET /stream?bytes=30000000 HTTP/1.1\r\n" HOST "\r\nGET /describe HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n")));
	clock_sleep_us(300000);
	CHECK(tls_read_all(&c, &out));
	CHECK(strstr(buf_cstr(&out), "\r\n\r\n30000000"));
	CHECK_INT(count_of(&out, "\n3e8\r\n"), 30000);
	CHECK(strstr((char *)out.data + out.len - 200, "GET 0 [/describe]"));
	tls_leave(&c);
	buf_free(&out);
	fixture_free(f);
}

TEST(tls_slow_and_wrong_handshakes_end_alone)
{
	struct fixture *f = fixture_new();
	struct tls_client good;
	char text[512] = "";
	f->options.limits.header_time_us = 300000;
	start_with(f, "one");
	int silent = client_open(f), slow = client_open(f), garbage = client_open(f), plain = client_open(f);
	CHECK(client_send(slow, slice_of("\x16\x03\x01\x02", 4)));
	CHECK(client_send(garbage, SLICE_LIT("\x80 this is no hello at all, and long enough to be one")));
	CHECK(client_send(plain, SLICE_LIT("GET /healthz HTTP/1.1\r\n" HOST "\r\n")));
	CHECK(tls_connect(f, &good, 0, NULL)); /* meanwhile others are served */
	ssize_t n = recv(plain, text, sizeof text - 1, MSG_WAITALL);
	CHECK(n > 0 && strstr(text, "400 Bad Request") && strstr(text, "https://"));
	while ((n = recv(garbage, text, sizeof text, 0)) > 0)
		; /* an alert */
	CHECK(n <= 0);
	int64_t start = clock_mono_us();
	CHECK(recv(silent, text, 1, 0) <= 0);
	CHECK(recv(slow, text, 1, 0) <= 0);
	CHECK(clock_mono_us() - start < 5000000);
	close(silent), close(slow), close(garbage), close(plain);
	big_chunked(&good, 1);
	CHECK(SSL_read(good.ssl, text, sizeof text) > 0);
	CHECK(!strncmp(text, "HTTP/1.1 200", 12));
	tls_leave(&good);
	fixture_free(f);
}

TEST(tls_renewed_certificate_is_for_new_connections)
{
	struct fixture *f = fixture_new();
	struct tls_client before, after;
	struct pair p;
	struct err err;
	struct http_tls *renewed;
	char name[64];
	struct buf out;
	buf_init(&out, 1 << 20);
	start_with(f, "old");
	CHECK(tls_connect(f, &before, 0, NULL));
	pair_make(&p, "new", NULL);
	CHECK_OK(http_tls_load(p.cert, p.key, &renewed, &err), err);
	pair_remove(&p);
	http_server_renew_tls(f->server, renewed);
	CHECK(tls_connect(f, &after, 0, NULL));
	peer_name(&after, name);
	CHECK_STR(name, "new");
	peer_name(&before, name);
	CHECK_STR(name, "old");
	CHECK(tls_say(&before, SLICE_LIT("POST / HTTP/1.1\r\n" HOST "Connection: close\r\nContent-Length: 5\r\n\r\nstill")));
	CHECK(tls_read_all(&before, &out));
	CHECK(strstr(buf_cstr(&out), "still"));
	tls_leave(&before);
	tls_leave(&after);
	buf_free(&out);
	fixture_free(f);
}

TEST(tls_pairs_that_cannot_serve_are_refused_by_name)
{
	struct pair a, b, locked;
	struct err err;
	struct http_tls *t = NULL;
	pair_make(&a, "a", NULL);
	pair_make(&b, "b", NULL);
	pair_make(&locked, "c", "secret");
	CHECK_RC(http_tls_load(a.cert, b.key, &t, &err), RC_INVALID);
	CHECK(strstr(err.text, "is not the key of the certificate"));
	CHECK_RC(http_tls_load(a.cert, locked.key, &t, &err), RC_INVALID);
	CHECK(strstr(err.text, "pass phrase"));
	CHECK_RC(http_tls_load("/nonexistent.crt", a.key, &t, &err), RC_INVALID);
	CHECK(strstr(err.text, "/nonexistent.crt"));
	CHECK_RC(http_tls_load(a.key, a.key, &t, &err), RC_INVALID);
	CHECK(!t);
	pair_remove(&a);
	pair_remove(&b);
	pair_remove(&locked);
}

TEST(tls_drain_answers_what_runs_and_says_goodbye)
{
	struct fixture *f = fixture_new();
	struct tls_client busy, idle;
	struct err err;
	struct buf out;
	buf_init(&out, 1 << 20);
	start_with(f, "one");
	CHECK(tls_connect(f, &busy, 0, NULL));
	CHECK(tls_connect(f, &idle, 0, NULL));
	CHECK(tls_say(&busy, SLICE_LIT("POST /hold HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nkept")));
	CHECK(fixture_wait_held(f, 1));
	CHECK_RC(http_server_drain(f->server, clock_mono_us() + 50000, &err), RC_AGAIN);
	CHECK(tls_read_all(&idle, &out));
	CHECK_INT(out.len, 0);
	fixture_release(f);
	CHECK(tls_read_all(&busy, &out));
	CHECK(strstr(buf_cstr(&out), "Connection: close") && strstr(buf_cstr(&out), "kept"));
	tls_leave(&busy);
	tls_leave(&idle);
	buf_free(&out);
	fixture_free(f);
}

TEST(tls_client_that_goes_away_is_no_signal)
{
	struct fixture *f = fixture_new();
	struct tls_client c;
	signal(SIGPIPE, SIG_DFL);
	start_with(f, "one");
	f->stream_rc = RC_EOF;
	CHECK(tls_connect(f, &c, 0, NULL));
	CHECK(tls_say(&c, SLICE_LIT("GET /stream?bytes=99999999999 HTTP/1.1\r\n" HOST "\r\n")));
	char first[1];
	CHECK_INT(SSL_read(c.ssl, first, 1), 1);
	tls_leave(&c);
	rc_t rc = RC_EOF;
	for (int i = 0; i < 1000 && rc == RC_EOF; i++) {
		clock_sleep_us(5000);
		rc = fixture_stream_rc(f);
	}
	CHECK_RC(rc, RC_CANCELLED);
	fixture_free(f);
}

TEST_MAIN()
