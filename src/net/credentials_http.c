/* Keys that are asked for over HTTP: STS (signed, or with a web identity), the container's endpoint, instance metadata. */
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <strings.h>

#include "net/client.h"
#include "net/credentials_internal.h"
#include "net/sign.h"
#include "net/xml.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/secret.h"

#define STS_TIME_US ((int64_t)20 * 1000000)
#define NEAR_CONNECT_US ((int64_t)1000000) /* metadata answers at once or is not there */
#define NEAR_TIME_US ((int64_t)5 * 1000000)
#define TRIES 3
#define PAUSE_US 200000
#define TOKEN_MAX ((size_t)20 << 10) /* a web identity token, an authorization token */
#define IMDS_DEFAULT "http://169.254.169.254"

void secret_buf_free(struct buf *b)
{
	if (b->data)
		OPENSSL_cleanse(b->data, b->cap);
	buf_free(b);
}

static rc_t keep_body(void *ctx, struct slice piece, struct err *reterr)
{
	struct buf *b = ctx;
	buf_append_slice(b, piece);
	return b->overflow ? err_set(reterr, RC_IO, "the answer is larger than 64 KiB") : RC_OK;
}

/* One call with a few tries; *ret holds the body of a 2xx answer, *ret_error the beginning of any other. */
static rc_t call_few_times(struct net_call *call, int *ret_status, struct buf *ret, struct buf *ret_error, struct err *reterr)
{
	AUTO(net_client) *client = NULL;
	TRY(net_client_new(&client, reterr));
	call->on_body = keep_body;
	call->ctx = ret;
	for (int i = 1;; i++) {
		buf_reset(ret);
		buf_reset(ret_error);
		rc_t rc = net_request(client, call, ret_status, ret_error, reterr);
		bool again = rc != RC_OK ? rc == RC_IO : *ret_status >= 500 || *ret_status == 429;
		if (!again || i == TRIES)
			return rc;
		clock_sleep_us(PAUSE_US << i);
	}
}

/* ---- JSON ---- */

rc_t keys_from_json(struct slice text, const char *token_name, const char *what, struct aws_keys *ret, struct err *reterr)
{
	json_t *o = json_loadb((const char *)text.data, text.len, 0, NULL);
	const char *access = json_string_value(json_object_get(o, "AccessKeyId"));
	const char *secret = json_string_value(json_object_get(o, "SecretAccessKey"));
	const char *token = json_string_value(json_object_get(o, token_name));
	const char *expires = json_string_value(json_object_get(o, "Expiration"));
	int64_t at = INT64_MAX;
	rc_t rc = RC_OK;
	if (!access || !secret)
		rc = err_set(reterr, RC_IO, "%s gave no AccessKeyId and SecretAccessKey", what);
	else if (expires && time_parse(expires, &at) != 0)
		rc = err_set(reterr, RC_IO, "%s gave an Expiration that is no time", what);
	if (rc == RC_OK)
		*ret = (struct aws_keys){ secret_copy(access), secret_copy(secret), secret_copy(token), at };
	json_decref(o); /* jansson's copies are not zeroed: they are freed here, at once */
	return rc;
}

/* ---- STS ---- */

static void form(struct buf *b, const char *name, const char *value)
{
	if (!value)
		return;
	buf_printf(b, "&%s=", name);
	sign_encode(slice_str(value), false, b);
}

static rc_t keys_from_sts(const struct sts_request *r, const char *result, int status, struct slice body, struct slice error,
			  struct aws_keys *ret, struct err *reterr)
{
	if (status != 200) {
		AUTO_BUF struct buf code;
		AUTO_BUF struct buf message;
		buf_init(&code, 200);
		buf_init(&message, 300);
		if (!xml_find(error, "ErrorResponse/Error/Code", &code))
			xml_find(error, "Error/Code", &code);
		if (!xml_find(error, "ErrorResponse/Error/Message", &message))
			xml_find(error, "Error/Message", &message);
		err_set(reterr, RC_IO, "the role %s cannot be assumed: STS answered %d %s %s", r->role_arn, status, buf_cstr(&code), buf_cstr(&message));
		if (reterr) {
			reterr->status = status;
			reterr->retryable = status >= 500 || status == 429;
		}
		return RC_IO;
	}
	static const char *const names[] = { "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration" };
	struct buf values[4];
	bool all = true;
	for (int i = 0; i < 4; i++) {
		AUTO_MEM char *path = mem_printf("%sResponse/%sResult/Credentials/%s", result, result, names[i]);
		buf_init(&values[i], XML_TEXT_MAX);
		all = xml_find(body, path, &values[i]) && values[i].len && all;
	}
	int64_t at = 0;
	all = all && time_parse(buf_cstr(&values[3]), &at) == 0;
	if (all)
		*ret = (struct aws_keys){ secret_copy(buf_cstr(&values[0])), secret_copy(buf_cstr(&values[1])), secret_copy(buf_cstr(&values[2])), at };
	for (int i = 0; i < 4; i++)
		secret_buf_free(&values[i]);
	return all ? RC_OK : err_set(reterr, RC_IO, "STS answered 200 without credentials for the role %s", r->role_arn);
}

/* Header lines of a signed POST; `keys` NULL: not signed. */
static void sts_headers(const struct sts_request *r, const struct aws_keys *keys, struct slice body, char *lines[5])
{
	char time[SIGN_TIME_LEN + 1], hash[SIGN_HASH_LEN + 1];
	const char *host = strstr(r->url, "://");
	host = host ? host + 3 : r->url;
	AUTO_MEM char *name = mem_printf("%.*s", (int)strcspn(host, "/"), host);
	static const char type[] = "application/x-www-form-urlencoded; charset=utf-8";
	lines[0] = mem_printf("Content-Type: %s", type);
	if (!keys)
		return;
	sign_time(clock_wall_us(), time);
	sha256_hex(body, hash);
	struct sign_pair headers[4] = { { "host", name }, { "content-type", type }, { "x-amz-date", time }, { "x-amz-security-token", keys->session_token } };
	struct sign_request s = {
		.method = "POST",
		.path = host[strcspn(host, "/")] ? host + strcspn(host, "/") : "/",
		.headers = headers,
		.header_count = keys->session_token ? 4 : 3,
		.payload_hash = hash,
		.time = time,
		.region = r->region,
		.service = "sts",
		.access_key = keys->access_key,
		.secret_key = keys->secret_key,
	};
	AUTO_BUF struct buf authorization;
	buf_init(&authorization, KEYS_TEXT_MAX);
	sign_v4(&s, &authorization);
	lines[1] = mem_printf("X-Amz-Date: %s", time);
	lines[2] = mem_printf("Authorization: %s", buf_cstr(&authorization));
	lines[3] = keys->session_token ? mem_printf("X-Amz-Security-Token: %s", keys->session_token) : NULL;
}

static rc_t ask_sts(const struct sts_request *r, const struct aws_keys *keys, struct slice body, const char *result, struct aws_keys *ret,
		    struct err *reterr)
{
	char *lines[5] = { 0 };
	struct buf answer, error;
	int status = 0;
	buf_init(&answer, KEYS_TEXT_MAX);
	buf_init(&error, (size_t)1 << 20);
	sts_headers(r, keys, body, lines);
	struct net_call call = { .method = "POST",
				 .url = r->url,
				 .headers = (const char *const *)lines,
				 .body = body,
				 .total_us = STS_TIME_US,
				 .ca_file = r->ca_file };
	rc_t rc = call_few_times(&call, &status, &answer, &error, reterr);
	if (rc == RC_OK)
		rc = keys_from_sts(r, result, status, buf_slice(&answer), buf_slice(&error), ret, reterr);
	for (int i = 0; i < 5; i++) {
		if (lines[i])
			OPENSSL_cleanse(lines[i], strlen(lines[i]));
		free(lines[i]);
	}
	secret_buf_free(&answer);
	secret_buf_free(&error);
	return rc;
}

static void role_form(const struct sts_request *r, const char *action, struct buf *body)
{
	buf_printf(body, "Action=%s&Version=2011-06-15", action);
	form(body, "RoleArn", r->role_arn);
	form(body, "RoleSessionName", r->session_name);
	if (r->duration)
		buf_printf(body, "&DurationSeconds=%u", r->duration);
}

rc_t keys_from_role(const struct sts_request *r, const struct aws_keys *as, struct aws_keys *ret, struct err *reterr)
{
	struct buf body;
	buf_init(&body, KEYS_TEXT_MAX);
	role_form(r, "AssumeRole", &body);
	form(&body, "ExternalId", r->external_id);
	rc_t rc = ask_sts(r, as, buf_slice(&body), "AssumeRole", ret, reterr);
	secret_buf_free(&body);
	return rc;
}

rc_t keys_from_web_identity(const struct sts_request *r, const char *token_file, struct aws_keys *ret, struct err *reterr)
{
	struct buf token, body;
	buf_init(&token, TOKEN_MAX);
	buf_init(&body, 4 * TOKEN_MAX);
	rc_t rc = file_read_all(token_file, &token, reterr);
	if (rc == RC_OK) {
		while (token.len && (token.data[token.len - 1] == '\n' || token.data[token.len - 1] == '\r'))
			token.len--;
		role_form(r, "AssumeRoleWithWebIdentity", &body);
		form(&body, "WebIdentityToken", buf_cstr(&token));
		rc = ask_sts(r, NULL, buf_slice(&body), "AssumeRoleWithWebIdentity", ret, reterr);
	} else {
		err_prefix(reterr, "the web identity token of role %s", r->role_arn);
	}
	secret_buf_free(&token);
	secret_buf_free(&body);
	return rc;
}

/* ---- the container's endpoint ---- */

/* Plain http goes to this machine and to the addresses that ECS and EKS have, so that nobody's URL gets our token. */
static rc_t check_container_url(const char *url, struct err *reterr)
{
	static const char *const hosts[] = { "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]" };
	if (!strncmp(url, "https://", 8))
		return RC_OK;
	if (!strncmp(url, "http://", 7)) {
		const char *host = url + 7;
		size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
		if (net_is_loopback(host))
			return RC_OK;
		for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
			if (n == strlen(hosts[i]) && !strncmp(host, hosts[i], n))
				return RC_OK;
	}
	return err_set(reterr, RC_INVALID,
		       "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor on this machine nor an address of ECS or EKS: it is not asked");
}

static rc_t container_token(char **ret, struct err *reterr)
{
	const char *file = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), *token = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	*ret = NULL;
	struct buf text;
	buf_init(&text, TOKEN_MAX);
	rc_t rc = RC_OK;
	if (file && *file)
		rc = file_read_all(file, &text, reterr);
	else if (token && *token)
		buf_append_str(&text, token);
	while (text.len && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
		text.len--;
	if (rc == RC_OK && text.len && strpbrk(buf_cstr(&text), "\r\n"))
		rc = err_set(reterr, RC_INVALID, "the container's authorization token has several lines");
	if (rc == RC_OK && text.len)
		*ret = mem_printf("Authorization: %s", buf_cstr(&text));
	secret_buf_free(&text);
	return rc;
}

rc_t keys_from_container(struct aws_keys *ret, struct err *reterr)
{
	const char *relative = getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), *full = getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	AUTO_MEM char *url = relative && *relative ? mem_printf("http://169.254.170.2%s", relative) : mem_strdup(full ? full : "");
	char *token = NULL;
	struct buf body, error;
	int status = 0;
	TRY(check_container_url(url, reterr));
	TRY(container_token(&token, reterr));
	const char *headers[] = { token, NULL };
	struct net_call call = { .method = "GET", .url = url, .headers = headers, .connect_us = NEAR_CONNECT_US, .total_us = NEAR_TIME_US, .direct = true };
	buf_init(&body, KEYS_TEXT_MAX);
	buf_init(&error, (size_t)1 << 20);
	rc_t rc = call_few_times(&call, &status, &body, &error, reterr);
	if (rc == RC_OK && status != 200) {
		rc = err_set(reterr, RC_IO, "the container's credentials endpoint answered %d", status);
		if (reterr)
			reterr->status = status;
	}
	if (rc == RC_OK)
		rc = keys_from_json(buf_slice(&body), "Token", "the container's credentials endpoint", ret, reterr);
	if (token)
		OPENSSL_cleanse(token, strlen(token));
	free(token);
	secret_buf_free(&body);
	secret_buf_free(&error);
	return rc;
}

/* ---- instance metadata, version 2 ---- */

static rc_t imds(const char *method, const char *path, const char *header, struct buf *ret, struct err *reterr)
{
	const char *base = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	if (!base || !*base)
		base = IMDS_DEFAULT;
	size_t n = strlen(base);
	AUTO_MEM char *url = mem_printf("%.*s%s", (int)(n && base[n - 1] == '/' ? n - 1 : n), base, path);
	const char *headers[] = { header, NULL };
	struct net_call call = { .method = method, .url = url, .headers = headers, .connect_us = NEAR_CONNECT_US, .total_us = NEAR_TIME_US, .direct = true };
	struct buf error;
	int status = 0;
	buf_init(&error, (size_t)1 << 20);
	rc_t rc = call_few_times(&call, &status, ret, &error, reterr);
	if (rc == RC_OK && status != 200) {
		rc = err_set(reterr, RC_IO, "instance metadata answered %d for %s", status, path);
		if (reterr)
			reterr->status = status;
	}
	secret_buf_free(&error);
	return rc;
}

static rc_t imds_keys(const char *token, struct aws_keys *ret, struct err *reterr)
{
	static const char base[] = "/latest/meta-data/iam/security-credentials/";
	AUTO_MEM char *header = mem_printf("X-aws-ec2-metadata-token: %s", token);
	AUTO_BUF struct buf role;
	struct buf text;
	buf_init(&role, 1024);
	TRY(imds("GET", base, header, &role, reterr));
	role.len = strcspn(buf_cstr(&role), "\r\n");
	AUTO_MEM char *path = mem_printf("%s%s", base, buf_cstr(&role));
	buf_init(&text, KEYS_TEXT_MAX);
	rc_t rc = imds("GET", path, header, &text, reterr);
	if (rc == RC_OK)
		rc = keys_from_json(buf_slice(&text), "Token", "instance metadata", ret, reterr);
	secret_buf_free(&text);
	return rc;
}

rc_t keys_from_instance(struct aws_keys *ret, struct err *reterr)
{
	struct buf token;
	buf_init(&token, TOKEN_MAX);
	rc_t rc = imds("PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600", &token, reterr);
	if (rc == RC_OK)
		rc = imds_keys(buf_cstr(&token), ret, reterr);
	secret_buf_free(&token);
	if (rc != RC_OK)
		err_prefix(reterr, "no AWS credentials are set (AWS_ACCESS_KEY_ID, AWS_PROFILE, …), and this machine gives none");
	return rc;
}
