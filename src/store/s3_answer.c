/* What an answer of S3 means: its headers, its <Error>, what to do about it, and how it is told. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "os/clock.h"
#include "store/s3_internal.h"

/* ---- headers ---- */

static bool header_is(struct slice line, const char *name, struct slice *ret)
{
	size_t n = strlen(name);
	if (line.len <= n || line.data[n] != ':' || strncasecmp((const char *)line.data, name, n) != 0)
		return false;
	struct slice v = slice_skip(line, n + 1);
	while (v.len && (v.data[0] == ' ' || v.data[0] == '\t'))
		v = slice_skip(v, 1);
	while (v.len && (v.data[v.len - 1] == ' ' || v.data[v.len - 1] == '\t'))
		v.len--;
	*ret = v;
	return true;
}

static void put_text(char *out, size_t size, struct slice v)
{
	snprintf(out, size, "%.*s", SLICE_ARG(v));
	for (char *c = out; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
}

int64_t s3_http_date(const char *text)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char month[4];
	int day, year, hour, minute, second;
	const char *comma = strchr(text, ',');
	if (!comma || sscanf(comma + 1, " %2d %3s %4d %2d:%2d:%2d", &day, month, &year, &hour, &minute, &second) != 6)
		return 0;
	const char *m = strstr(months, month);
	if (!m || strlen(month) != 3 || (m - months) % 3)
		return 0;
	int64_t days = date_to_days(year, (int)(m - months) / 3 + 1, day);
	return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000000;
}

static uint64_t number(struct slice v)
{
	char text[24];
	put_text(text, sizeof text, v);
	return strtoull(text, NULL, 10);
}

void s3_answer_header(struct s3_answer *a, struct slice line)
{
	struct slice v;
	char text[64];
	if (slice_starts(line, SLICE_LIT("HTTP/"))) { /* a new head: 100 Continue, or a proxy's, came before */
		bool unknown = a->unknown;
		memset(a, 0, sizeof *a);
		a->unknown = unknown;
		a->total = UINT64_MAX;
	} else if (header_is(line, "etag", &v)) {
		put_text(a->etag, sizeof a->etag, v);
	} else if (header_is(line, "x-amz-request-id", &v)) {
		put_text(a->request_id, sizeof a->request_id, v);
	} else if (header_is(line, "x-amz-bucket-region", &v)) {
		put_text(a->region, sizeof a->region, v);
	} else if (header_is(line, "x-amz-checksum-crc32c", &v)) {
		if (v.len == 8) /* "…-3" is a checksum of parts' checksums */
			put_text(a->checksum, sizeof a->checksum, v);
	} else if (header_is(line, "x-amz-checksum-algorithm", &v)) {
		put_text(a->algorithm, sizeof a->algorithm, v);
	} else if (header_is(line, "content-length", &v)) {
		a->length = number(v);
	} else if (header_is(line, "content-range", &v)) {
		const uint8_t *slash = memchr(v.data, '/', v.len);
		if (slash && slash + 1 < v.data + v.len && slash[1] != '*')
			a->total = number(slice_skip(v, (size_t)(slash - v.data) + 1));
	} else if (header_is(line, "date", &v)) {
		put_text(text, sizeof text, v);
		a->date = s3_http_date(text);
	} else if (header_is(line, "last-modified", &v)) {
		put_text(text, sizeof text, v);
		a->modified = s3_http_date(text);
	} else if (header_is(line, "retry-after", &v)) {
		put_text(text, sizeof text, v);
		int64_t at = s3_http_date(text);
		a->retry_after = at ? at - clock_wall_us() : (int64_t)(number(v) > 86400 ? 86400 : number(v)) * 1000000;
		a->retry_after = a->retry_after < 0 ? 0 : a->retry_after;
	}
}

/* ---- <Error> ---- */

static rc_t error_each(void *ctx, const char *path, struct slice text, struct err *reterr)
{
	struct s3_answer *a = ctx;
	(void)reterr;
	if (!strcmp(path, "Error/Code"))
		put_text(a->code, sizeof a->code, text);
	else if (!strcmp(path, "Error/Message"))
		put_text(a->message, sizeof a->message, text);
	else if (!strcmp(path, "Error/Region") && !a->region[0])
		put_text(a->region, sizeof a->region, text);
	else if (!strcmp(path, "Error/RequestId") && !a->request_id[0])
		put_text(a->request_id, sizeof a->request_id, text);
	return RC_OK;
}

void s3_answer_error(struct s3_answer *a, struct slice body)
{
	xml_walk(body, error_each, a, NULL); /* what a proxy sends instead is no XML: then the status alone counts */
}

/* ---- the verdict ---- */

static bool one_of(const char *code, const char *const *codes)
{
	for (; *codes; codes++)
		if (!strcmp(code, *codes))
			return true;
	return false;
}

/* radosgw calls a key of KMS that it does not find InvalidAccessKeyId; AWS has codes for it, or says AccessDenied and names the action. */
static bool is_about_kms(const struct s3_answer *a)
{
	return !strncmp(a->code, "KMS.", 4) || ((a->status == 403 || a->status == 400) && strcasestr(a->message, "kms"));
}

/* A 403 that is about who asks, not about what they may. */
static bool is_about_who(const struct s3_answer *a)
{
	static const char *const codes[] = { "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "InvalidClientTokenId",
					     "TokenRefreshRequired", "RequestTimeTooSkewed", "RequestExpired", "AccountProblem", "NotSignedUp", "InvalidSecurity",
					     NULL };
	return a->status == 403 && one_of(a->code, codes) && !is_about_kms(a);
}

enum s3_verdict s3_judge(const struct s3_answer *a)
{
	static const char *const expired[] = { "ExpiredToken", "TokenRefreshRequired", "ExpiredTokenException", NULL };
	static const char *const clock[] = { "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture", NULL };
	static const char *const moved[] = { "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect",
					     "IllegalLocationConstraintException", NULL };
	static const char *const again[] = { "RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "Throttling", "ThrottlingException",
					     "RequestLimitExceeded", "BandwidthLimitExceeded", "ConditionalRequestConflict", "OperationAborted",
					     "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "PriorRequestNotComplete", NULL };
	if (a->status / 100 == 2 && !a->code[0])
		return S3_DONE;
	if (one_of(a->code, expired))
		return S3_CREDENTIALS;
	if (one_of(a->code, clock))
		return S3_CLOCK;
	if (is_about_who(a)) /* keys may have been changed where they come from */
		return S3_CREDENTIALS;
	if (a->region[0] && (one_of(a->code, moved) || a->status == 301 || a->status == 307 || (a->status == 400 && !a->code[0])))
		return S3_REGION;
	if (one_of(a->code, again) || a->status == 429 || a->status == 408 || a->status == 307 || (a->status >= 500 && a->status != 501))
		return S3_AGAIN;
	return S3_FAILED;
}

/* ---- telling ---- */

/* The remedy, where the code names one. */
static const char *advice(const struct s3_call *c, const struct s3_answer *a)
{
	static const struct {
		const char *code, *text;
	} known[] = {
		{ "InvalidAccessKeyId", ": the access key is not known there" },
		{ "SignatureDoesNotMatch", ": the secret key is wrong, or a proxy changes requests" },
		{ "NoSuchBucket", ": the bucket is not there" },
		{ "ExpiredToken", ": the session token has expired" },
		{ "RequestTimeTooSkewed", ": this machine's clock is wrong" },
		{ "InvalidObjectState", ": the object was moved to an archive tier; restore it" },
	};
	if (is_about_kms(a))
		return ": the KMS key is not there, is disabled, or may not be used (kms:GenerateDataKey, kms:Decrypt)";
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (!strcmp(a->code, known[i].code))
			return known[i].text;
	if (a->status == 404 && !a->code[0] && c->kind == S3_GET)
		return ": that is no answer of S3; is it a proxy's, before a store that is away?";
	if (a->status != 403)
		return a->status == 301 || a->status == 307 ? ": the bucket is in another region; name it" : "";
	switch (c->kind) {
	case S3_GET:
	case S3_HEAD:
		return ": either it is not there and s3:ListBucket is missing, or s3:GetObject is denied";
	case S3_PUT:
		return ": s3:PutObject is denied (or the KMS key, or the ACL)";
	case S3_LIST:
		return ": s3:ListBucket is denied";
	case S3_DELETE:
		return c->query_count && !strcmp(c->query[0].name, "uploadId") ? ": s3:AbortMultipartUpload is denied" : ": s3:DeleteObject is denied";
	case S3_OTHER:
		break;
	}
	return ": access is denied";
}

static rc_t code_of(const struct s3_call *c, const struct s3_answer *a)
{
	if (a->status == 404 && c->kind == S3_GET) /* only the store's own word is an absence: what stands before it answers 404, too, while it is away */
		return a->code[0] && strcmp(a->code, "NoSuchBucket") ? RC_NOT_FOUND : RC_IO;
	if (a->status == 404)
		return c->kind == S3_HEAD ? RC_NOT_FOUND : RC_IO;
	if (a->status == 412)
		return RC_CONFLICT;
	if (a->status == 416)
		return RC_EOF;
	return a->status == 501 || !strcmp(a->code, "NotImplemented") ? RC_UNSUPPORTED : RC_IO;
}

rc_t s3_fail(const struct s3 *s, const struct s3_call *c, const struct s3_answer *a, struct err *reterr)
{
	rc_t rc = code_of(c, a);
	AUTO_MEM char *name = s3_name(s, c->key);
	if (!reterr)
		return rc;
	const char *what = c->kind == S3_LIST ? "LIST" : c->method;
	err_set(reterr, rc, "%.250s: %s answered %d%s%s%s%s%.120s%s%s%s", name, what, a->status, a->code[0] ? " " : "", a->code, advice(c, a),
		a->message[0] ? " (" : "", a->message, a->message[0] ? ")" : "", a->request_id[0] ? ", request " : "", a->request_id);
	reterr->status = is_about_who(a) ? 401 : a->status;
	reterr->retryable = s3_judge(a) != S3_FAILED;
	return rc;
}
