/* A lake in a bucket. Where it is and who we are: what struct store_options says, then the environment and the profile files as every AWS user
 * knows them:
 *   endpoint  AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's endpoint_url (none with AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true)
 *   region    AWS_REGION, AWS_DEFAULT_REGION, the profile's region; a wrong one is corrected by what the bucket answers
 *   trust     AWS_CA_BUNDLE, the profile's ca_bundle, SSL_CERT_FILE
 *   keys      src/net/credentials.h
 * A put is one request, or for large files a multipart upload: S3 shows an object whole or not at all. */
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "net/profile.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"
#include "store/s3_internal.h"

#define POOL_KEEP 32
#define BUDGET_START 500
#define CACHE_BYTES_DEFAULT ((uint64_t)4 << 30)
#define TEMP_NAME_LEN 16

/* ---- reading ---- */

rc_t s3_get(void *self, const char *key, struct buf *ret, struct err *reterr)
{
	struct s3_answer a;
	struct s3_call c = { .kind = S3_GET, .method = "GET", .key = key, .ret_body = ret };
	s3_header(&c, "x-amz-checksum-mode", "ENABLED");
	return s3_request(self, &c, &a, reterr);
}

rc_t s3_range(struct s3 *s, const char *key, uint64_t offset, uint64_t len, void *out, char *ret_etag, uint64_t *ret_total, struct err *reterr)
{
	char range[64];
	struct s3_answer a;
	struct s3_call c = { .kind = S3_GET, .method = "GET", .key = key, .ret_memory = out, .ret_len = len };
	snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)offset, (unsigned long long)(offset + len - 1));
	s3_header(&c, "range", range);
	TRY(s3_request(s, &c, &a, reterr));
	if (ret_etag)
		memcpy(ret_etag, a.etag, sizeof a.etag);
	if (ret_total)
		*ret_total = a.total;
	return RC_OK;
}

/* One byte is asked for, not HEAD: the answer to a HEAD has no body, and so does not tell an object that is not there from a bucket that is not,
 * nor a missing right from a wrong region. The price is the same. */
rc_t s3_size(void *self, const char *key, uint64_t *ret_size, int64_t *ret_mtime, struct err *reterr)
{
	struct s3 *s = self;
	struct s3_answer a;
	uint8_t first[1];
	struct s3_call c = { .kind = S3_GET, .method = "GET", .key = key, .ret_memory = first, .ret_len = 1 };
	s3_header(&c, "range", "bytes=0-0");
	rc_t rc = s3_request(s, &c, &a, reterr);
	if (rc == RC_EOF) { /* an empty object has no first byte */
		struct s3_call head = { .kind = S3_HEAD, .method = "HEAD", .key = key };
		TRY(s3_request(s, &head, &a, reterr));
		a.total = a.length;
	} else {
		TRY(rc);
	}
	if (a.total == UINT64_MAX)
		return err_set(reterr, RC_UNSUPPORTED, "%s: the server does not answer ranges", key);
	s3_blocks_seen(s, key, a.etag, a.total);
	*ret_size = a.total;
	*ret_mtime = a.modified;
	return RC_OK;
}

/* ---- local files ---- */

static rc_t s3_temp_path(void *self, const char *key, char **ret, struct err *reterr)
{
	struct s3 *s = self;
	TRY(dir_make(s->temp_dir, reterr));
	char name[TEMP_NAME_LEN + 1];
	random_name(name, TEMP_NAME_LEN);
	const char *last = strrchr(key, '/');
	last = last ? last + 1 : key;
	*ret = mem_printf("%s/%s-%.*s", s->temp_dir, name, STORE_PART_MAX - TEMP_NAME_LEN - 1, last);
	return RC_OK;
}

struct sweep {
	const char *dir;
	int64_t before;
};

static rc_t sweep_entry(void *ctx, const char *name, bool is_dir)
{
	struct sweep *s = ctx;
	AUTO_MEM char *path = mem_printf("%s/%s", s->dir, name);
	int64_t mtime;
	if (!is_dir && file_stat(path, NULL, &mtime, NULL, NULL) == RC_OK && mtime < s->before)
		file_remove(path, NULL);
	return RC_OK;
}

static rc_t s3_sweep_temp(void *self, int64_t min_age, struct err *reterr)
{
	struct s3 *s = self;
	struct sweep w = { s->temp_dir, clock_wall_us() - min_age };
	rc_t rc = dir_list(s->temp_dir, sweep_entry, &w, reterr);
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

/* ---- the rest of the ops ---- */

static int64_t s3_now(void *self)
{
	struct s3 *s = self;
	return clock_wall_us() + __atomic_load_n(&s->skew, __ATOMIC_RELAXED);
}

static void s3_pause(void *self, int64_t us)
{
	(void)self;
	clock_sleep_us(us);
}

static void s3_random(void *self, void *out, size_t len)
{
	(void)self;
	random_bytes(out, len);
}

static void s3_stats(void *self, struct store_stats *ret)
{
	struct s3 *s = self;
	const uint64_t *from = (const uint64_t *)&s->stats;
	uint64_t *to = (uint64_t *)ret; /* all members are counters */
	for (size_t i = 0; i < sizeof *ret / sizeof *to; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static const char *given(const char *s)
{
	return s && *s ? s : NULL;
}

static struct aws_credentials_options who(const struct store_options *o)
{
	return (struct aws_credentials_options){
		.access_key = given(o->access_key),
		.secret_key = given(o->secret_key),
		.session_token = given(o->session_token),
		.profile = given(o->profile),
		.role_arn = given(o->role_arn),
		.external_id = given(o->external_id),
	};
}

static rc_t s3_renew(void *self, const struct store_options *o, struct err *reterr)
{
	struct s3 *s = self;
	struct aws_credentials_options co = who(o);
	return aws_credentials_renew(s->credentials, &co, reterr);
}

static void s3_set_patience(void *self, unsigned tries, int64_t idle_us)
{
	struct s3 *s = self;
	__atomic_store_n(&s->tries, tries, __ATOMIC_RELAXED);
	__atomic_store_n(&s->idle_us, idle_us, __ATOMIC_RELAXED);
}

static void s3_facts(void *self, struct store_facts *ret)
{
	struct s3 *s = self;
	pthread_mutex_lock(&s->lock);
	memcpy(ret->region, s->region, sizeof ret->region);
	pthread_mutex_unlock(&s->lock);
	memcpy(ret->region_said, s->region_said, sizeof ret->region_said);
	ret->clock_ahead = __atomic_load_n(&s->ahead, __ATOMIC_RELAXED);
}

static void s3_free(void *self)
{
	struct s3 *s = self;
	if (!s)
		return;
	s3_cache_free(s->cache);
	s3_blocks_free(s->blocks);
	net_pool_free(s->pool);
	aws_credentials_free(s->credentials);
	pthread_mutex_destroy(&s->lock);
	free(s->bucket);
	free(s->prefix);
	free(s->scheme);
	free(s->host);
	free(s->base);
	free(s->kms_key);
	free(s->ca_file);
	free(s->temp_dir);
	free(s);
}

static void s3_free_auto(struct s3 **s)
{
	s3_free(*s);
}

static const struct store_ops s3_ops = {
	.scheme = "s3",
	.parallel = 8,
	.free = s3_free,
	.get = s3_get,
	.read = s3_read,
	.size = s3_size,
	.put = s3_put,
	.put_file = s3_put_file,
	.temp_path = s3_temp_path,
	.sweep_temp = s3_sweep_temp,
	.delete = s3_delete,
	.delete_keys = s3_delete_keys,
	.list = s3_list,
	.fetch = s3_fetch,
	.release = s3_release,
	.stats = s3_stats,
	.renew = s3_renew,
	.set_patience = s3_set_patience,
	.check_abort = s3_check_abort,
	.facts = s3_facts,
	.now = s3_now,
	.pause = s3_pause,
	.random = s3_random,
};

/* ---- opening ---- */

static const char *env(const char *name)
{
	return given(getenv(name));
}

static char *copy(const char *s)
{
	return given(s) ? mem_strdup(s) : NULL;
}

static rc_t parse_url(struct s3 *s, const char *url, struct err *reterr)
{
	const char *rest = url + strlen("s3://");
	size_t n = strcspn(rest, "/");
	static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	if (n >= 3 && !strncmp(rest, "arn:", 4))
		return err_set(reterr, RC_UNSUPPORTED, "%s: access points are not supported; name the bucket, or the access point's alias", url);
	if (n < 3 || n > 255 || strspn(rest, ok) < n || rest[0] == '.' || rest[0] == '-')
		return err_set(reterr, RC_INVALID, "%s: '%.*s' is no name of a bucket; write s3://bucket/prefix", url, (int)n, rest);
	s->bucket = mem_printf("%.*s", (int)n, rest);
	const char *prefix = rest + n;
	while (*prefix == '/')
		prefix++;
	size_t len = strlen(prefix);
	while (len && prefix[len - 1] == '/')
		len--;
	s->prefix = mem_printf("%.*s", (int)len, prefix);
	if (len && store_key_check(s->prefix, NULL) != RC_OK)
		return err_set(reterr, RC_INVALID, "%s: the prefix has an empty part, a part . or .., or a control character", url);
	return RC_OK;
}

/* "https://host[:port][/path]" taken apart; the scheme's own port is left out, as HTTP clients do in Host. */
static rc_t parse_endpoint(struct s3 *s, const char *endpoint, struct err *reterr)
{
	bool tls = !strncasecmp(endpoint, "https://", 8), plain = !strncasecmp(endpoint, "http://", 7);
	const char *host = endpoint + (tls ? 8 : 7);
	size_t n = plain || tls ? strcspn(host, "/?#") : 0;
	if (n == 0 || memchr(host, '@', n) || strpbrk(host, "?# \t"))
		return err_set(reterr, RC_INVALID, "the S3 endpoint is no http://host[:port] or https://host[:port] (without user, query or blanks)");
	s->scheme = mem_strdup(tls ? "https" : "http");
	const char *port = tls ? ":443" : ":80";
	size_t p = strlen(port);
	if (n > p && !strncmp(host + n - p, port, p))
		s->host = mem_printf("%.*s", (int)(n - p), host);
	else
		s->host = mem_printf("%.*s", (int)n, host);
	size_t len = strlen(host + n);
	while (len && host[n + len - 1] == '/')
		len--;
	s->base = mem_printf("%.*s", (int)len, host + n);
	return RC_OK;
}

static const char *find_endpoint(const struct store_options *o, const struct aws_profiles *p, const char *profile)
{
	const char *ignore = env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
	if (given(o->endpoint))
		return o->endpoint;
	if (ignore && !strcasecmp(ignore, "true"))
		return NULL;
	const char *found = env("AWS_ENDPOINT_URL_S3");
	if (!found)
		found = env("AWS_ENDPOINT_URL");
	return found ? found : aws_profile_get(p, profile, "endpoint_url");
}

/* The folder is this user's alone: in /tmp and /var/tmp others could put links in our way. */
static char *own_temp(const char *what)
{
	const char *base = env("TMPDIR");
	return mem_printf("%s/hydrant-%s-%u", base ? base : "/var/tmp", what, (unsigned)geteuid());
}

static rc_t open_cache(struct s3 *s, const char *url, const struct store_options *o, struct err *reterr)
{
	AUTO_MEM char *dir = given(o->cache_dir) ? mem_strdup(o->cache_dir)
			     : given(o->temp_dir) ? mem_printf("%s/hydrant-cache-%u", o->temp_dir, (unsigned)geteuid())
						  : own_temp("cache");
	s->temp_dir = given(o->temp_dir) ? mem_strdup(o->temp_dir) : own_temp("tmp");
	s->blocks = s3_blocks_new();
	return s3_cache_open(url, dir, o->cache_bytes ? o->cache_bytes : CACHE_BYTES_DEFAULT, &s->cache, reterr);
}

rc_t store_s3_open(const char *url, const struct store_options *opts, struct store **ret, struct err *reterr)
{
	static const struct store_options none;
	const struct store_options *o = opts ? opts : &none;
	AUTO(aws_profiles) *p = NULL;
	__attribute__((cleanup(s3_free_auto))) struct s3 *s = NEW(struct s3);
	pthread_mutex_init(&s->lock, NULL);
	s->budget = BUDGET_START;
	s->pool = net_pool_new(POOL_KEEP);
	TRY(parse_url(s, url, reterr));
	TRY(aws_profiles_open(&p, reterr));
	const char *profile = aws_profile_name(o->profile), *endpoint = find_endpoint(o, p, profile);
	if (endpoint)
		TRY(parse_endpoint(s, endpoint, reterr));
	const char *region = given(o->region);
	region = region ? region : env("AWS_REGION");
	region = region ? region : env("AWS_DEFAULT_REGION");
	region = region ? region : aws_profile_get(p, profile, "region");
	snprintf(s->region, sizeof s->region, "%s", region ? region : "us-east-1");
	snprintf(s->region_said, sizeof s->region_said, "%s", region ? region : "");
	if (s->region[strspn(s->region, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")])
		return err_set(reterr, RC_INVALID, "%s: '%s' is no region", url, s->region);
	const char *ca = given(o->ca_file);
	ca = ca ? ca : env("AWS_CA_BUNDLE");
	ca = ca ? ca : aws_profile_get(p, profile, "ca_bundle");
	s->ca_file = copy(ca ? ca : env("SSL_CERT_FILE"));
	bool dots = strchr(s->bucket, '.') != NULL;
	s->virtual_host = o->addressing == STORE_ADDRESSING_VIRTUAL || (o->addressing == STORE_ADDRESSING_AUTO && !endpoint && !dots);
	s->kms_key = copy(o->kms_key);
	s->owner_full_control = o->owner_full_control;
	struct aws_credentials_options co = who(o);
	co.region = s->region;
	co.endpoint = endpoint;
	co.ca_file = s->ca_file;
	TRY(aws_credentials_new(&co, &s->credentials, reterr));
	AUTO_MEM char *name = mem_printf("s3://%s%s%s", s->bucket, *s->prefix ? "/" : "", s->prefix);
	TRY(open_cache(s, name, o, reterr));
	*ret = store_new(&s3_ops, s, name);
	s = NULL;
	return RC_OK;
}
