#include "net/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/clock.h"

#define ERROR_BODY_MAX ((size_t)64 << 10)
#define IDLE_DEFAULT_S 60L
#define CONNECT_DEFAULT_MS 10000L
#define TRANSFER_BUFFER (512L << 10) /* what curl reads and writes at a time */
#define CONNECTIONS_MAX 4L           /* that a client keeps: S3 and STS, two regions */

struct net_client {
	CURL *curl;
	char error[CURL_ERROR_SIZE];
	uint64_t up, down;
	int fd;                  /* of the connection that was opened last; 0: none */
	bool used;               /* it may have a connection already */
	struct net_client *next; /* in its pool */
};

struct net_pool {
	pthread_mutex_t lock;
	struct net_client *idle;
	unsigned count, keep;
};

static void global_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

rc_t net_client_new(struct net_client **ret, struct err *reterr)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, global_init);
	struct net_client *c = NEW(struct net_client);
	c->curl = curl_easy_init();
	if (!c->curl) {
		free(c);
		return err_set(reterr, RC_IO, "libcurl cannot be started");
	}
	*ret = c;
	return RC_OK;
}

void net_client_free(struct net_client *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	free(c);
}

void net_client_bytes(const struct net_client *c, uint64_t *ret_up, uint64_t *ret_down)
{
	*ret_up = c->up;
	*ret_down = c->down;
}

/* ---- the pool ---- */

struct net_pool *net_pool_new(unsigned keep)
{
	struct net_pool *p = NEW(struct net_pool);
	pthread_mutex_init(&p->lock, NULL);
	p->keep = keep;
	return p;
}

void net_pool_free(struct net_pool *p)
{
	if (!p)
		return;
	while (p->idle) {
		struct net_client *c = p->idle;
		p->idle = c->next;
		net_client_free(c);
	}
	pthread_mutex_destroy(&p->lock);
	free(p);
}

rc_t net_pool_take(struct net_pool *p, struct net_client **ret, struct err *reterr)
{
	pthread_mutex_lock(&p->lock);
	struct net_client *c = p->idle;
	if (c) {
		p->idle = c->next;
		p->count--;
	}
	pthread_mutex_unlock(&p->lock);
	if (!c)
		return net_client_new(ret, reterr);
	*ret = c;
	return RC_OK;
}

void net_pool_give(struct net_pool *p, struct net_client *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&p->lock);
	bool keep = p->count < p->keep;
	if (keep) {
		c->next = p->idle;
		p->idle = c;
		p->count++;
	}
	pthread_mutex_unlock(&p->lock);
	if (!keep)
		net_client_free(c);
}

/* ---- a call ---- */

bool net_is_loopback(const char *host)
{
	static const char *const names[] = { "localhost", "[::1]", "::1" };
	size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i]) == n && !strncasecmp(host, names[i], n))
			return true;
	return n <= 15 && !strncmp(host, "127.", 4) && strspn(host, "0123456789.") == n;
}

/* This machine's own server, and what the machine says about itself, is not behind a proxy, whatever http_proxy says. */
static bool is_near(const char *url)
{
	const char *host = strstr(url, "://");
	return host && (net_is_loopback(host + 3) || !strncmp(host + 3, "169.254.", 8));
}

struct transfer {
	struct net_client *client;
	const struct net_call *call;
	struct buf *error_body;
	struct err *reterr;
	uint64_t uploaded;
	rc_t rc;
	curl_off_t moved;  /* bytes both ways at the last look, … */
	int64_t moved_at;  /* … and when they had last changed, clock_mono_us */
};

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	long status = 0;
	curl_easy_getinfo(t->client->curl, CURLINFO_RESPONSE_CODE, &status);
	struct slice piece = slice_of(data, size * n);
	if (status / 100 == 2) {
		if (t->call->on_body)
			t->rc = t->call->on_body(t->call->ctx, piece, t->reterr);
	} else if (t->error_body && t->error_body->len < ERROR_BODY_MAX) {
		buf_append_slice(t->error_body, piece);
	}
	return t->rc == RC_OK ? piece.len : 0;
}

/* A server that sends head and body in two writes without TCP_NODELAY (radosgw as it comes) waits for our ACK between them, which the kernel
 * would delay by 40 ms. */
static void acknowledge(const struct net_client *c)
{
	int on = 1;
	if (c->fd > 0)
		setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on); /* of another socket, when the client has several: harmless */
}

static int on_socket(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
	struct net_client *c = ctx;
	(void)purpose;
	c->fd = fd;
	return CURL_SOCKOPT_OK;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	size_t len = size * n;
	while (len && (data[len - 1] == '\n' || data[len - 1] == '\r'))
		len--;
	if (t->call->on_header)
		t->call->on_header(t->call->ctx, slice_of(data, len));
	if (len == 0)
		acknowledge(t->client);
	return size * n;
}

static size_t on_upload(char *out, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	const struct net_call *call = t->call;
	uint64_t rest = call->upload_len - t->uploaded;
	size_t want = size * n < rest ? size * n : (size_t)rest;
	size_t got = 0;
	while (got < want) {
		ssize_t r = pread(call->upload_fd, out + got, want - got, (off_t)(call->upload_offset + t->uploaded + got));
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			t->rc = r < 0 ? err_errno(t->reterr, RC_IO, "cannot read what is to be sent to %s", call->url)
				      : err_set(t->reterr, RC_IO, "the file that is sent to %s became shorter meanwhile", call->url);
			return CURL_READFUNC_ABORT;
		}
		got += (size_t)r;
	}
	t->uploaded += got;
	return got;
}

/* Called at least once a second, also while nothing moves. */
static int on_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	struct transfer *t = ctx;
	const struct net_call *call = t->call;
	int64_t limit = call->idle_now ? __atomic_load_n(call->idle_now, __ATOMIC_RELAXED) : 0, now = clock_mono_us();
	(void)down_total, (void)up_total;
	if (call->cancel && __atomic_load_n(call->cancel, __ATOMIC_RELAXED)) {
		t->rc = err_set(t->reterr, RC_CANCELLED, "%s %s: stopped before the answer came", call->method, call->url);
		return 1;
	}
	if (t->moved != down + up || !t->moved_at) {
		t->moved = down + up;
		t->moved_at = now;
	}
	return limit && now - t->moved_at > limit;
}

/* curl sends once more on a connection that the server had closed. */
static int on_rewind(void *ctx, curl_off_t offset, int origin)
{
	struct transfer *t = ctx;
	if (origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	t->uploaded = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static void set_body(struct transfer *t)
{
	CURL *curl = t->client->curl;
	const struct net_call *call = t->call;
	if (call->from_file) {
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->upload_len);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_upload);
		curl_easy_setopt(curl, CURLOPT_READDATA, t);
		curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_rewind);
		curl_easy_setopt(curl, CURLOPT_SEEKDATA, t);
		curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, TRANSFER_BUFFER);
	} else if (call->body.data || !strcmp(call->method, "POST") || !strcmp(call->method, "PUT")) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.data ? (const char *)call->body.data : "");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
	} else if (!strcmp(call->method, "HEAD")) {
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_options(struct transfer *t)
{
	CURL *curl = t->client->curl;
	const struct net_call *call = t->call;
	curl_easy_setopt(curl, CURLOPT_URL, call->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, on_socket);
	curl_easy_setopt(curl, CURLOPT_SOCKOPTDATA, t->client);
	curl_easy_setopt(curl, CURLOPT_MAXCONNECTS, CONNECTIONS_MAX);
	curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, TRANSFER_BUFFER);
	if (call->direct || is_near(call->url))
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
	if (call->ca_file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, call->ca_file);
	if (call->pinned_key) {
		curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, call->pinned_key);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, call->connect_us ? (long)(call->connect_us / 1000) : CONNECT_DEFAULT_MS);
	if (call->total_us)
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(call->total_us / 1000));
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	long idle = call->idle_us == NET_NEVER ? 0L : call->idle_us ? (long)((call->idle_us + 999999) / 1000000) : IDLE_DEFAULT_S;
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, idle);
	if (call->idle_now || call->cancel) {
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
	}
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->client->error);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
}

static void count_bytes(struct net_client *c)
{
	curl_off_t up = 0, down = 0;
	long head_up = 0, head_down = 0;
	curl_easy_getinfo(c->curl, CURLINFO_SIZE_UPLOAD_T, &up);
	curl_easy_getinfo(c->curl, CURLINFO_SIZE_DOWNLOAD_T, &down);
	curl_easy_getinfo(c->curl, CURLINFO_REQUEST_SIZE, &head_up);
	curl_easy_getinfo(c->curl, CURLINFO_HEADER_SIZE, &head_down);
	c->up = (uint64_t)up + (uint64_t)head_up;
	c->down = (uint64_t)down + (uint64_t)head_down;
}

static rc_t call_failed(const struct transfer *t, CURLcode code, struct err *reterr)
{
	const struct net_call *call = t->call;
	const char *why = code == CURLE_ABORTED_BY_CALLBACK && t->rc == RC_OK ? "no answer came in time"
			  : t->client->error[0]				       ? t->client->error
										       : curl_easy_strerror(code);
	bool trust = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR;
	bool final = trust || code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
	if (call->ret_sent)
		*call->ret_sent = !final && code != CURLE_COULDNT_CONNECT && code != CURLE_COULDNT_RESOLVE_HOST &&
				  code != CURLE_COULDNT_RESOLVE_PROXY && code != CURLE_SSL_CONNECT_ERROR;
	rc_t rc = err_set(reterr, RC_IO, "%s %s: %s%s", call->method, call->url, why,
			  trust ? "; name the certificate authority's PEM file with AWS_CA_BUNDLE or SSL_CERT_FILE" : "");
	if (reterr)
		reterr->retryable = !final;
	return rc;
}

rc_t net_request(struct net_client *c, const struct net_call *call, int *ret_status, struct buf *ret_error_body, struct err *reterr)
{
	struct transfer t = { .client = c, .call = call, .error_body = ret_error_body, .reterr = reterr };
	struct curl_slist *headers = NULL;
	for (const char *const *h = call->headers; h && *h; h++)
		headers = curl_slist_append(headers, *h);
	headers = curl_slist_append(headers, "Expect:"); /* no waiting for 100-continue */
	curl_easy_reset(c->curl);
	c->error[0] = 0;
	set_options(&t);
	set_body(&t);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
	CURLcode code = curl_easy_perform(c->curl);
	curl_slist_free_all(headers);
	count_bytes(c);
	long status = 0, connects = 0;
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	/* curl sends again by itself, on a new connection, when a kept one ends without an answer */
	curl_easy_getinfo(c->curl, CURLINFO_NUM_CONNECTS, &connects);
	if (call->ret_twice)
		*call->ret_twice = c->used && connects > 0;
	c->used = true;
	if (t.rc != RC_OK)
		return t.rc;
	/* A server that refuses a body answers, and then may not read the rest of it: the answer is what counts. */
	bool refused = status >= 400 && (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_PARTIAL_FILE);
	if (code != CURLE_OK && !refused)
		return call_failed(&t, code, reterr);
	*ret_status = (int)status;
	return RC_OK;
}
