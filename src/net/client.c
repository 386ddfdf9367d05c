#include "net/client.h"

#include <curl/curl.h>
#include <pthread.h>

#define ERROR_BODY_MAX ((size_t)64 << 10)
#define IDLE_DEFAULT_S 60L

struct net_client {
	CURL *curl;
	char error[CURL_ERROR_SIZE];
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

/* This machine's own server is not behind a proxy, whatever http_proxy says. */
static bool is_loopback(const char *url)
{
	static const char *const heads[] = { "http://127.", "http://localhost:", "http://localhost/", "http://[::1]" };
	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
		if (!strncmp(url, heads[i], strlen(heads[i])))
			return true;
	return false;
}

struct transfer {
	struct net_client *client;
	const struct net_call *call;
	struct buf *error_body;
	struct err *reterr;
	rc_t rc;
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

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	size_t len = size * n;
	while (len && (data[len - 1] == '\n' || data[len - 1] == '\r'))
		len--;
	if (t->call->on_header)
		t->call->on_header(t->call->ctx, slice_of(data, len));
	return size * n;
}

rc_t net_request(struct net_client *c, const struct net_call *call, int *ret_status, struct buf *ret_error_body, struct err *reterr)
{
	struct transfer t = { c, call, ret_error_body, reterr, RC_OK };
	struct curl_slist *headers = NULL;
	for (const char *const *h = call->headers; h && *h; h++)
		headers = curl_slist_append(headers, *h);
	headers = curl_slist_append(headers, "Expect:"); /* no waiting for 100-continue */
	curl_easy_reset(c->curl);
	c->error[0] = 0;
	curl_easy_setopt(c->curl, CURLOPT_URL, call->url);
	curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, call->method);
	curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	if (is_loopback(call->url))
		curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, 10L);
	curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, call->idle_us ? (long)(call->idle_us / 1000000) : IDLE_DEFAULT_S);
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->error);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &t);
	curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, &t);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
	if (call->body.data || !strcmp(call->method, "POST") || !strcmp(call->method, "PUT")) {
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, call->body.data ? (const char *)call->body.data : "");
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
	}
	CURLcode code = curl_easy_perform(c->curl);
	curl_slist_free_all(headers);
	long status = 0;
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t.rc != RC_OK)
		return t.rc;
	if (code != CURLE_OK) {
		rc_t rc = err_set(reterr, RC_IO, "%s %s: %s", call->method, call->url, c->error[0] ? c->error : curl_easy_strerror(code));
		if (reterr)
			reterr->retryable = true;
		return rc;
	}
	*ret_status = (int)status;
	return RC_OK;
}
