/* TLS under a connection: OpenSSL over our own non-blocking socket, so that the loop stays the only one who waits.
 *
 * What the rest of the room relies on: a read leaves nothing inside OpenSSL (the socket's readiness tells all), a write of which only a
 * part went out is tried again with the same bytes in front, and neither ever asks for the other direction once the handshake is done
 * (there is no renegotiation). Bytes go out with MSG_NOSIGNAL: a client that is gone is no signal. */
#include "http/http_internal.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	RECORD = 16 * 1024,        /* plaintext of one TLS record, at most */
	SEND_A_TURN = 16 * RECORD, /* then the socket is asked again whether it is writable: others have their turn */
};

struct http_tls {
	SSL_CTX *ctx;
};

/* ---- the socket, as OpenSSL sees it ---- */

static int bio_fd(BIO *b)
{
	return (int)(intptr_t)BIO_get_data(b);
}

static int bio_result(BIO *b, ssize_t n, void (*retry)(BIO *b))
{
	BIO_clear_retry_flags(b);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		retry(b);
	return (int)n;
}

static void retry_read(BIO *b)
{
	BIO_set_retry_read(b);
}

static void retry_write(BIO *b)
{
	BIO_set_retry_write(b);
}

static int bio_read(BIO *b, char *out, int len)
{
	return len <= 0 ? 0 : bio_result(b, recv(bio_fd(b), out, (size_t)len, MSG_DONTWAIT), retry_read);
}

static int bio_write(BIO *b, const char *data, int len)
{
	return len <= 0 ? 0 : bio_result(b, send(bio_fd(b), data, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL), retry_write);
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)b, (void)num, (void)ptr;
	return cmd == BIO_CTRL_FLUSH;
}

/* For the life of the process: connections outlive the certificate that they were made with. */
static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "http connection");
	if (!bio_method)
		return;
	BIO_meth_set_read(bio_method, bio_read);
	BIO_meth_set_write(bio_method, bio_write);
	BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

/* ---- certificate and key ---- */

static const char *ssl_reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());
	ERR_clear_error();
	return text ? text : "the reason is not known";
}

/* A server cannot be asked for a pass phrase, and must not wait for one at a terminal. */
static int no_pass_phrase(char *out, int len, int writing, void *ctx)
{
	(void)out, (void)len, (void)writing;
	*(bool *)ctx = true;
	return -1;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len, void *ctx)
{
	static const unsigned char ours[] = "\x08http/1.1";
	(void)ssl, (void)ctx;
	return SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, ours, sizeof ours - 1, in, in_len) == OPENSSL_NPN_NEGOTIATED
		       ? SSL_TLSEXT_ERR_OK
		       : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static rc_t load_pair(SSL_CTX *ctx, const char *cert, const char *key, struct err *reterr)
{
	bool encrypted = false;
	if (access(cert, R_OK) != 0)
		return err_errno(reterr, RC_INVALID, "the certificate %s cannot be read", cert);
	if (access(key, R_OK) != 0)
		return err_errno(reterr, RC_INVALID, "the key %s cannot be read", key);
	SSL_CTX_set_default_passwd_cb(ctx, no_pass_phrase);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, &encrypted);
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
		return err_set(reterr, RC_INVALID, "the certificate %s cannot be used: %s; give a PEM file, the server's own certificate first", cert,
			       ssl_reason());
	int rc = SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM);
	if (rc != 1 && encrypted)
		return err_set(reterr, RC_INVALID, "the key %s has a pass phrase: give one without, readable by hydrant only", key);
	if (rc != 1 && ERR_GET_REASON(ERR_peek_last_error()) != X509_R_KEY_VALUES_MISMATCH)
		return err_set(reterr, RC_INVALID, "the key %s cannot be used: %s; give the PEM file of the certificate's private key", key,
			       ssl_reason());
	if (rc != 1 || SSL_CTX_check_private_key(ctx) != 1)
		return err_set(reterr, RC_INVALID, "the key %s is not the key of the certificate %s (%s): give the two that belong together", key,
			       cert, ssl_reason());
	SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
	return RC_OK;
}

rc_t http_tls_load(const char *cert, const char *key, struct http_tls **ret, struct err *reterr)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	AUTO(http_tls) *t = NEW(struct http_tls);
	pthread_once(&once, make_bio_method);
	ERR_clear_error();
	t->ctx = SSL_CTX_new(TLS_server_method());
	if (!t->ctx || !bio_method)
		return err_set(reterr, RC_IO, "OpenSSL cannot be started: %s", ssl_reason());
	SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF |
					    SSL_OP_CLEANSE_PLAINTEXT); /* heads have tokens */
	SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF); /* tickets, and nothing kept here */
	SSL_CTX_set_session_id_context(t->ctx, (const unsigned char *)"hydrant", 7);
	SSL_CTX_set_alpn_select_cb(t->ctx, choose_protocol, NULL);
	TRY(load_pair(t->ctx, cert, key, reterr));
	*ret = t;
	t = NULL;
	return RC_OK;
}

void http_tls_free(struct http_tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}

void http_tls_pin(const struct http_tls *t, char ret[HTTP_TLS_PIN_LEN + 1])
{
	unsigned char *der = NULL, hash[SHA256_DIGEST_LENGTH];
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(SSL_CTX_get0_certificate(t->ctx)), &der);
	SHA256(der, len > 0 ? (size_t)len : 0, hash);
	OPENSSL_free(der);
	memcpy(ret, "sha256//", 8);
	EVP_EncodeBlock((unsigned char *)ret + 8, hash, sizeof hash);
}

/* ---- a connection ---- */

void *tls_open(const struct http_tls *t, int fd)
{
	SSL *ssl = SSL_new(t->ctx);
	BIO *bio = ssl ? BIO_new(bio_method) : NULL;
	if (!bio) {
		SSL_free(ssl);
		ERR_clear_error();
		return NULL;
	}
	BIO_set_data(bio, (void *)(intptr_t)fd);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_accept_state(ssl);
	return ssl;
}

void tls_close(void *ssl)
{
	SSL_free(ssl);
	ERR_clear_error();
}

void tls_goodbye(void *ssl)
{
	SSL_shutdown(ssl);
	ERR_clear_error();
}

enum tls_step tls_handshake(void *ssl)
{
	ERR_clear_error();
	int n = SSL_do_handshake(ssl);
	if (n == 1)
		return TLS_DONE;
	int why = SSL_get_error(ssl, n);
	bool plain = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
	ERR_clear_error();
	return why == SSL_ERROR_WANT_READ ? TLS_READ : why == SSL_ERROR_WANT_WRITE ? TLS_WRITE : plain ? TLS_PLAIN : TLS_FAILED;
}

/* As errno says it for a socket. */
static ssize_t socket_result(SSL *ssl, int n)
{
	int why = SSL_get_error(ssl, n);
	ERR_clear_error();
	if (why == SSL_ERROR_ZERO_RETURN)
		return 0;
	errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
	return -1;
}

ssize_t tls_recv(void *ssl, uint8_t *out, size_t len)
{
	size_t got = 0;
	errno = ECONNRESET;
	if (len < RECORD)
		return -1; /* the limits do not let that happen */
	/* Only whole records: what is left inside OpenSSL no epoll would tell of. */
	while (len - got >= RECORD) {
		size_t n;
		ERR_clear_error();
		int rc = SSL_read_ex(ssl, out + got, len - got, &n);
		if (rc == 1) {
			got += n;
			continue;
		}
		if (got)
			break; /* an end or an error is met again by the next call */
		return socket_result(ssl, rc);
	}
	return (ssize_t)got;
}

ssize_t tls_send(void *ssl, const struct iovec *iov, int count)
{
	uint8_t record[RECORD];
	ssize_t sent = 0;
	int piece = 0;
	size_t at = 0; /* in the piece */
	while (piece < count && sent < SEND_A_TURN) {
		size_t len = 0, n;
		size_t from = at;
		for (int i = piece; i < count && len < RECORD; i++, from = 0) {
			size_t part = iov[i].iov_len - from < RECORD - len ? iov[i].iov_len - from : RECORD - len;
			memcpy(record + len, (const uint8_t *)iov[i].iov_base + from, part);
			len += part;
		}
		ERR_clear_error();
		int rc = SSL_write_ex(ssl, record, len, &n);
		if (rc != 1) {
			ssize_t why = socket_result(ssl, rc);
			return sent ? sent : why < 0 ? why : -1;
		}
		sent += (ssize_t)n;
		for (at += n; piece < count && at >= iov[piece].iov_len; piece++)
			at -= iov[piece].iov_len;
	}
	return sent;
}
