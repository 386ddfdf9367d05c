/* One request: signed, sent, and sent again while that can help.
 *
 * Tries: at most TRIES, between them a pause of full jitter, doubling, at least as long as the server's Retry-After. Every try after the first takes
 * BUDGET_TRY from a budget that all requests of a store share and that each success fills by BUDGET_BACK: a tenth of requests failing costs
 * nothing but time, an outage is not answered with eight times the load. What an answer names as the cause (region, clock, expired
 * credentials) is put right and tried at once, twice at most.
 *
 * A try of which it is not known whether it was applied (no answer after it was sent, a 5xx, a kept connection that broke under it, or a 409 of a
 * code of the server's own to a create) sets answer.unknown: who creates looks then. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "base/hash.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"
#include "store/s3_internal.h"

#define TRIES 8
#define TRIES_CORRUPT 3 /* bytes that were damaged on the way; stored ones stay so */
#define FIXES 2
#define PAUSE_FIRST_US ((int64_t)100000)
#define PAUSE_MAX_US ((int64_t)5000000)
#define PAUSE_STEP_US ((int64_t)100000) /* so soon a pause notices that there is no patience any more */
#define RETRY_AFTER_MAX_US ((int64_t)30000000) /* a server that wants more gets the error reported */
#define BUDGET_TRY 5
#define BUDGET_BACK 1
#define BUDGET_MAX 500
#define IDLE_US ((int64_t)30000000)
#define CONNECT_US ((int64_t)5000000)
#define LINES_MAX (S3_PAIRS_MAX + 8)

static const char empty_hash[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

void s3_query(struct s3_call *c, const char *name, const char *value)
{
	if (c->query_count < S3_PAIRS_MAX)
		c->query[c->query_count++] = (struct sign_pair){ name, value };
}

void s3_header(struct s3_call *c, const char *name, const char *value)
{
	if (c->header_count < S3_PAIRS_MAX && value && *value)
		c->headers[c->header_count++] = (struct sign_pair){ name, value };
}

char *s3_name(const struct s3 *s, const char *key)
{
	return mem_printf("s3://%s%s%s%s%s", s->bucket, *s->prefix ? "/" : "", s->prefix, key ? "/" : "", key ? key : "");
}

rc_t s3_full_key(const struct s3 *s, const char *key, char **ret, struct err *reterr)
{
	char *full = *s->prefix ? mem_printf("%s/%s", s->prefix, key) : mem_strdup(key);
	if (strlen(full) > STORE_KEY_MAX) {
		free(full);
		return err_set(reterr, RC_INVALID, "store key '%.200s' is too long with the lake's prefix (1024 bytes at most)", key);
	}
	*ret = full;
	return RC_OK;
}

/* ---- one try ---- */

struct try {
	struct s3 *s;
	const struct s3_call *call;
	struct s3_answer *answer;
	size_t body_start;   /* of ret_body */
	char region[S3_REGION_MAX];
	struct aws_keys keys;
	char *url, *path, *host;
	char *lines[LINES_MAX];
	size_t line_count;
};

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static void on_header(void *ctx, struct slice line)
{
	s3_answer_header(((struct try *)ctx)->answer, line);
}

static rc_t on_body(void *ctx, struct slice piece, struct err *reterr)
{
	struct try *t = ctx;
	const struct s3_call *c = t->call;
	uint64_t got = t->answer->got;
	t->answer->got += piece.len;
	if (c->ret_body) {
		bool fits = piece.len <= c->ret_body->max - c->ret_body->len;
		if (fits)
			buf_append_slice(c->ret_body, piece);
		return fits ? RC_OK : err_set(reterr, RC_LIMIT, "%s is larger than %zu bytes", c->key ? c->key : "the answer", c->ret_body->max - t->body_start);
	}
	if (!c->ret_memory && !c->to_file)
		return RC_OK;
	if (piece.len > c->ret_len - got) { /* a server that does not know ranges, or answers with another one */
		rc_t rc = err_set(reterr, RC_UNSUPPORTED, "the server sent more than the range that was asked for of %s", c->key);
		return rc;
	}
	if (c->ret_memory) {
		memcpy((uint8_t *)c->ret_memory + got, piece.data, piece.len);
		return RC_OK;
	}
	return file_pwrite(c->ret_fd, "a local copy", piece.data, piece.len, c->ret_offset + got, reterr);
}

static void address(struct try *t, const char *full)
{
	struct s3 *s = t->s;
	const char *base = s->host ? s->base : "", *scheme = s->host ? s->scheme : "https";
	AUTO_MEM char *host = s->host ? mem_strdup(s->host) : mem_printf("s3.%s.amazonaws.com%s", t->region, strncmp(t->region, "cn-", 3) ? "" : ".cn");
	t->host = s->virtual_host ? mem_printf("%s.%s", s->bucket, host) : mem_strdup(host);
	t->path = s->virtual_host ? mem_printf("%s/%s", base, full) : mem_printf("%s/%s%s%s", base, s->bucket, *full ? "/" : "", full);
	AUTO_BUF struct buf url;
	buf_init(&url, (size_t)1 << 16);
	buf_printf(&url, "%s://%s", scheme, t->host);
	sign_encode(slice_str(t->path), true, &url);
	for (size_t i = 0; i < t->call->query_count; i++) {
		buf_byte(&url, i ? '&' : '?');
		sign_encode(slice_str(t->call->query[i].name), false, &url);
		buf_byte(&url, '=');
		sign_encode(slice_str(t->call->query[i].value ? t->call->query[i].value : ""), false, &url);
	}
	t->url = mem_strdup(buf_cstr(&url));
}

static void sign(struct try *t)
{
	const struct s3_call *c = t->call;
	char time[SIGN_TIME_LEN + 1], hash[SIGN_HASH_LEN + 1];
	struct sign_pair pairs[LINES_MAX];
	size_t n = 0;
	sign_time(clock_wall_us() + __atomic_load_n(&t->s->skew, __ATOMIC_RELAXED), time);
	if (c->payload_hash)
		snprintf(hash, sizeof hash, "%s", c->payload_hash);
	else if (c->body.len)
		sha256_hex(c->body, hash);
	else
		memcpy(hash, empty_hash, sizeof hash);
	pairs[n++] = (struct sign_pair){ "x-amz-date", time };
	pairs[n++] = (struct sign_pair){ "x-amz-content-sha256", hash };
	if (t->keys.session_token)
		pairs[n++] = (struct sign_pair){ "x-amz-security-token", t->keys.session_token };
	for (size_t i = 0; i < c->header_count; i++)
		pairs[n++] = c->headers[i];
	for (size_t i = 0; i < n; i++)
		t->lines[t->line_count++] = mem_printf("%s: %s", pairs[i].name, pairs[i].value);
	pairs[n++] = (struct sign_pair){ "host", t->host };
	struct sign_request r = {
		.method = c->method,
		.path = t->path,
		.query = c->query,
		.query_count = c->query_count,
		.headers = pairs,
		.header_count = n,
		.payload_hash = hash,
		.time = time,
		.region = t->region,
		.service = "s3",
		.access_key = t->keys.access_key,
		.secret_key = t->keys.secret_key,
	};
	AUTO_BUF struct buf authorization;
	buf_init(&authorization, (size_t)64 << 10);
	sign_v4(&r, &authorization);
	t->lines[t->line_count++] = mem_printf("Authorization: %s", buf_cstr(&authorization));
}

static void try_end(struct try *t)
{
	for (size_t i = 0; i < t->line_count; i++) {
		OPENSSL_cleanse(t->lines[i], strlen(t->lines[i]));
		free(t->lines[i]);
	}
	aws_keys_clear(&t->keys);
	free(t->url);
	free(t->path);
	free(t->host);
}

static rc_t perform(struct try *t, struct buf *error_body, bool *ret_unknown, struct err *reterr)
{
	struct s3 *s = t->s;
	const struct s3_call *c = t->call;
	struct net_client *client;
	TRY(net_pool_take(s->pool, &client, reterr));
	struct net_call call = {
		.method = c->method,
		.url = t->url,
		.headers = (const char *const *)t->lines,
		.body = c->body,
		.from_file = c->from_file,
		.upload_fd = c->fd,
		.upload_offset = c->offset,
		.upload_len = c->len,
		.idle_us = IDLE_US,
		.idle_now = &s->idle_us,
		.connect_us = CONNECT_US,
		.ca_file = s->ca_file,
		.on_body = on_body,
		.on_header = on_header,
		.ctx = t,
		.ret_sent = ret_unknown,
		.ret_twice = ret_unknown,
	};
	rc_t rc = net_request(client, &call, &t->answer->status, error_body, reterr);
	uint64_t up, down;
	net_client_bytes(client, &up, &down);
	count(&s->stats.bytes_up, up);
	count(&s->stats.bytes_down, down);
	net_pool_give(s->pool, client);
	return rc;
}

/* The whole body came, and is what was stored. RC_IO: try again. */
static rc_t check_body(const struct try *t, struct err *reterr)
{
	const struct s3_call *c = t->call;
	struct s3_answer *a = t->answer;
	if ((c->ret_memory || c->to_file) && a->got != c->ret_len)
		return err_set(reterr, RC_IO, "%s: %llu of %llu bytes came", c->key, (unsigned long long)a->got, (unsigned long long)c->ret_len);
	if (c->ret_body && c->kind == S3_GET && a->checksum[0]) {
		char have[9];
		crc_base64(crc32c(0, c->ret_body->data + t->body_start, c->ret_body->len - t->body_start), have);
		if (strcmp(have, a->checksum) != 0)
			return err_set(reterr, RC_CORRUPT, "%s: its bytes do not have the checksum that was stored with them", c->key);
	}
	return RC_OK;
}

static rc_t any_element(void *ctx, const char *path, struct slice text, struct err *reterr)
{
	(void)ctx;
	(void)path;
	(void)text;
	(void)reterr;
	return RC_OK;
}

/* An error in a 200, or half of the document: S3 sends the status before it knows. */
static rc_t check_200(const struct try *t, struct err *reterr)
{
	struct slice body = slice_skip(buf_slice(t->call->ret_body), t->body_start);
	TRY(xml_walk(body, any_element, NULL, reterr));
	s3_answer_error(t->answer, body);
	return RC_OK;
}

/* RC_OK: there is an answer, of any status. RC_IO, RC_CORRUPT: there is none that is worth anything. */
static rc_t try_once(struct try *t, struct err *reterr)
{
	struct s3 *s = t->s;
	const struct s3_call *c = t->call;
	AUTO_MEM char *full = NULL;
	if (c->key)
		TRY(s3_full_key(s, c->key, &full, reterr));
	rc_t rc = aws_credentials_get(s->credentials, &t->keys, reterr);
	if (rc != RC_OK) {
		if (reterr->status == 403) /* of STS or who else gives keys: no right in this bucket */
			reterr->status = 401;
		return rc == RC_INVALID || rc == RC_UNSUPPORTED ? rc : RC_IO; /* nobody's absence but that of keys */
	}
	pthread_mutex_lock(&s->lock);
	snprintf(t->region, sizeof t->region, "%s", s->region);
	pthread_mutex_unlock(&s->lock);
	address(t, full ? full : "");
	t->lines[t->line_count++] = mem_strdup("User-Agent: hydrant");
	if (!c->from_file && c->body.len == 0)
		t->lines[t->line_count++] = mem_strdup("Content-Type:"); /* curl's is one of forms */
	sign(t);
	if (c->ret_body)
		c->ret_body->len = t->body_start;
	AUTO_BUF struct buf error;
	buf_init(&error, (size_t)1 << 20);
	bool before = t->answer->unknown, unknown = false;
	*t->answer = (struct s3_answer){ .unknown = before, .total = UINT64_MAX };
	count(&s->stats.requests[c->kind], 1);
	rc = perform(t, &error, &unknown, reterr);
	t->answer->unknown |= unknown;
	if (rc != RC_OK)
		return rc;
	if (t->answer->date)
		__atomic_store_n(&s->ahead, t->answer->date - clock_wall_us(), __ATOMIC_RELAXED);
	if (t->answer->status / 100 != 2)
		s3_answer_error(t->answer, buf_slice(&error));
	else if (c->xml_in_200)
		rc = check_200(t, reterr);
	else
		rc = check_body(t, reterr);
	t->answer->unknown |= rc != RC_OK || t->answer->status >= 500 || t->answer->status == 408 || (t->answer->status == 200 && t->answer->code[0]);
	return rc;
}

/* ---- tries ---- */

static bool take_budget(struct s3 *s)
{
	if (__atomic_sub_fetch(&s->budget, BUDGET_TRY, __ATOMIC_RELAXED) >= 0)
		return true;
	__atomic_add_fetch(&s->budget, BUDGET_TRY, __ATOMIC_RELAXED);
	return false;
}

static void give_budget(struct s3 *s)
{
	if (__atomic_load_n(&s->budget, __ATOMIC_RELAXED) < BUDGET_MAX)
		__atomic_add_fetch(&s->budget, BUDGET_BACK, __ATOMIC_RELAXED);
}

static bool has_tries(const struct s3 *s, int tries)
{
	unsigned most = __atomic_load_n(&s->tries, __ATOMIC_RELAXED);
	return tries < (int)(most ? most : TRIES);
}

static void pause_before(const struct s3 *s, int tries, int64_t at_least)
{
	uint64_t random;
	random_bytes(&random, sizeof random);
	int64_t most = PAUSE_FIRST_US << (tries < 8 ? tries : 8);
	if (most > PAUSE_MAX_US)
		most = PAUSE_MAX_US;
	for (int64_t left = at_least + (int64_t)(random % (uint64_t)most); left > 0 && has_tries(s, tries); left -= PAUSE_STEP_US)
		clock_sleep_us(left < PAUSE_STEP_US ? left : PAUSE_STEP_US);
}

/* Puts right what the answer names. False: that is not possible, or was tried. */
static bool fix(struct s3 *s, enum s3_verdict v, const struct s3_answer *a, const char *access_key)
{
	bool changed = false;
	if (v == S3_CREDENTIALS)
		return aws_credentials_expired(s->credentials, access_key);
	if (v == S3_CLOCK && a->date) {
		__atomic_store_n(&s->skew, a->date - clock_wall_us(), __ATOMIC_RELAXED);
		return true;
	}
	if (v == S3_REGION) {
		pthread_mutex_lock(&s->lock);
		changed = strcmp(s->region, a->region) != 0;
		snprintf(s->region, sizeof s->region, "%s", a->region);
		pthread_mutex_unlock(&s->lock);
	}
	return changed;
}

static bool worth_again(struct s3 *s, rc_t rc, enum s3_verdict v, const struct s3_answer *a, const struct err *e, int tries)
{
	bool can = rc == RC_OK ? v == S3_AGAIN : (rc == RC_CORRUPT && tries < TRIES_CORRUPT) || (rc == RC_IO && e->retryable) || (rc == RC_IO && a->status / 100 == 2);
	return can && has_tries(s, tries) && a->retry_after <= RETRY_AFTER_MAX_US && take_budget(s);
}

rc_t s3_request(struct s3 *s, const struct s3_call *c, struct s3_answer *a, struct err *reterr)
{
	int fixes = 0;
	memset(a, 0, sizeof *a);
	for (int tries = 1;; tries++) {
		struct err e = { 0 };
		struct try t = { .s = s, .call = c, .answer = a, .body_start = c->ret_body ? c->ret_body->len : 0 };
		rc_t rc = try_once(&t, &e);
		enum s3_verdict v = rc == RC_OK ? s3_judge(a) : S3_FAILED;
		if (v == S3_FAILED && rc == RC_OK && c->create && a->status == 409) { /* a race with another create, whatever the server calls it */
			v = S3_AGAIN;
			a->unknown = true;
		}
		bool fixed = rc == RC_OK && v > S3_AGAIN && v < S3_FAILED && fixes < FIXES && fix(s, v, a, t.keys.access_key);
		try_end(&t);
		if (rc == RC_OK && v == S3_DONE) {
			give_budget(s);
			return RC_OK;
		}
		if (c->ret_body)
			c->ret_body->len = t.body_start;
		if (fixed) {
			fixes++;
			continue;
		}
		if (worth_again(s, rc, v, a, &e, tries)) {
			count(&s->stats.retries, 1);
			pause_before(s, tries, a->retry_after);
			a->code[0] = 0;
			continue;
		}
		if (rc == RC_OK && c->quiet_404 && a->status == 404 && strcmp(a->code, "NoSuchBucket") != 0)
			return RC_NOT_FOUND;
		count(&s->stats.errors, rc != RC_OK || (a->status != 404 && a->status != 412 && a->status != 416));
		if (rc == RC_OK)
			return s3_fail(s, c, a, reterr);
		if (reterr)
			*reterr = e;
		if (reterr && rc == RC_IO && a->status / 100 == 2)
			reterr->retryable = true;
		return rc;
	}
}
