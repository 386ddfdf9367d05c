#include "net/credentials.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "net/credentials_internal.h"
#include "net/profile.h"
#include "os/clock.h"
#include "os/secret.h"

#define SOURCES_MAX 12                            /* profiles behind each other */
#define REFRESH_BEFORE_US ((int64_t)5 * 60 * 1000000)  /* asked for anew so long before they expire */
#define REFRESH_URGENT_US ((int64_t)60 * 1000000)      /* from here on nobody goes on with the old ones if there can be new ones */
#define FILES_LOOK_US ((int64_t)5 * 1000000)      /* between two looks whether the profile files have changed */
#define RETRY_AFTER_US ((int64_t)20 * 1000000)         /* a source that failed while old keys serve is left alone for so long */

enum kind { FROM_KEYS, FROM_ENVIRONMENT, FROM_PROCESS, FROM_ROLE, FROM_WEB, FROM_CONTAINER, FROM_INSTANCE };

struct source {
	enum kind kind;
	struct aws_keys keys;   /* FROM_KEYS */
	char *command;          /* FROM_PROCESS */
	char *role_arn, *external_id, *session_name, *token_file; /* FROM_ROLE, FROM_WEB */
	unsigned duration;
	int base;               /* FROM_ROLE: whose keys assume it */
};

/* Who we are, found out once. */
struct chain {
	struct source sources[SOURCES_MAX];
	int count;              /* the last one is asked */
	bool from_files;        /* the profile files were looked into, … */
	uint64_t stamp;         /* … as they were then */
};

/* The options that say who we are, owned. */
struct given {
	char *access_key, *secret_key, *session_token, *profile, *role_arn, *external_id;
};

struct aws_credentials {
	char *region, *sts_url, *ca_file;
	pthread_mutex_t lock;   /* of what follows */
	pthread_mutex_t refresh; /* held by who asks, and by who changes chain or given; before lock */
	struct chain chain;
	struct given given;
	int64_t files_at;       /* clock_mono_us: not looked at before; atomic */
	struct aws_keys now;
	int64_t not_before;     /* after a failure */
};

/* ---- keys ---- */

void aws_keys_clear(struct aws_keys *k)
{
	secret_free(k->access_key);
	secret_free(k->secret_key);
	secret_free(k->session_token);
	*k = (struct aws_keys){ 0 };
}

static char *copy(const char *s)
{
	return s && *s ? mem_strdup(s) : NULL;
}

static void keys_copy(struct aws_keys *to, const struct aws_keys *from)
{
	*to = (struct aws_keys){ secret_copy(from->access_key), secret_copy(from->secret_key), secret_copy(from->session_token), from->expires };
}

/* ---- the chain ---- */

static rc_t add(struct chain *c, const struct source *s, struct err *reterr)
{
	if (c->count == SOURCES_MAX)
		return err_set(reterr, RC_INVALID, "the AWS profiles name each other as source_profile without an end");
	c->sources[c->count++] = *s;
	return RC_OK;
}

static rc_t add_keys(struct chain *c, const char *access, const char *secret, const char *token, const char *where,
		     struct err *reterr)
{
	if (!access || !*access || !secret || !*secret)
		return err_set(reterr, RC_INVALID, "%s has an access key or a secret key without the other: give both", where);
	struct source s = { .kind = FROM_KEYS, .keys = { secret_copy(access), secret_copy(secret), secret_copy(token), INT64_MAX } };
	return add(c, &s, reterr);
}

static const char *env(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

static bool truth(const char *text)
{
	return text && (!strcasecmp(text, "true") || !strcmp(text, "1"));
}

static bool has_container(void)
{
	return env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") || env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
}

static char *session_name(const char *given)
{
	return given ? mem_strdup(given) : mem_strdup("hydrant");
}

static unsigned duration_of(const char *text)
{
	unsigned long v = text ? strtoul(text, NULL, 10) : 0;
	return v >= 900 && v <= 43200 ? (unsigned)v : 0;
}

static rc_t add_profile(struct chain *c, const struct aws_profiles *p, const char *name, bool keys_only, bool *ret_found,
			struct err *reterr);

/* credential_source: who assumes the profile's role. */
static rc_t add_named_source(struct chain *c, const char *profile, const char *source, struct err *reterr)
{
	struct source s = { 0 };
	if (!strcmp(source, "Environment"))
		return add_keys(c, env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN"), "the environment", reterr);
	if (!strcmp(source, "EcsContainer"))
		s.kind = FROM_CONTAINER;
	else if (!strcmp(source, "Ec2InstanceMetadata"))
		s.kind = FROM_INSTANCE;
	else
		return err_set(reterr, RC_INVALID, "AWS profile %s: credential_source is none of Environment, EcsContainer, Ec2InstanceMetadata", profile);
	return add(c, &s, reterr);
}

static rc_t add_profile_role(struct chain *c, const struct aws_profiles *p, const char *name, const char *role, struct err *reterr)
{
	const char *from = aws_profile_get(p, name, "source_profile"), *source = aws_profile_get(p, name, "credential_source");
	const char *token_file = aws_profile_get(p, name, "web_identity_token_file");
	struct source s = { .kind = token_file ? FROM_WEB : FROM_ROLE };
	if (!token_file) {
		bool found = true;
		if (from && strcmp(from, name) == 0)
			TRY(add_profile(c, p, name, true, &found, reterr));
		else if (from)
			TRY(c->count > SOURCES_MAX - 3 ? err_set(reterr, RC_INVALID, "the AWS profiles name each other as source_profile without an end")
						       : add_profile(c, p, from, false, &found, reterr));
		else if (source)
			TRY(add_named_source(c, name, source, reterr));
		else
			return err_set(reterr, RC_INVALID, "AWS profile %s has a role_arn and neither source_profile nor credential_source", name);
		if (!found)
			return err_set(reterr, RC_INVALID, "AWS profile %s is to assume a role with profile %s, which has no credentials", name, from);
		s.base = c->count - 1;
	}
	s.role_arn = copy(role);
	s.external_id = secret_copy(aws_profile_get(p, name, "external_id"));
	s.session_name = session_name(aws_profile_get(p, name, "role_session_name"));
	s.duration = duration_of(aws_profile_get(p, name, "duration_seconds"));
	s.token_file = copy(token_file);
	rc_t rc = add(c, &s, reterr);
	if (rc != RC_OK) {
		free(s.role_arn);
		secret_free(s.external_id);
		free(s.session_name);
		free(s.token_file);
	}
	return rc;
}

/* What a profile says. keys_only: a role that names itself as its source. Bounded by SOURCES_MAX: each level adds a source on its way back,
 * and one that goes down is counted by `depth`. */
static rc_t add_profile(struct chain *c, const struct aws_profiles *p, const char *name, bool keys_only, bool *ret_found,
			struct err *reterr)
{
	const char *role = keys_only ? NULL : aws_profile_get(p, name, "role_arn");
	const char *access = aws_profile_get(p, name, "aws_access_key_id"), *command = aws_profile_get(p, name, "credential_process");
	AUTO_MEM char *where = mem_printf("AWS profile %s", name);
	*ret_found = true;
	if (role)
		return add_profile_role(c, p, name, role, reterr);
	if (access || aws_profile_get(p, name, "aws_secret_access_key"))
		return add_keys(c, access, aws_profile_get(p, name, "aws_secret_access_key"), aws_profile_get(p, name, "aws_session_token"), where,
				reterr);
	if (command) {
		struct source s = { .kind = FROM_PROCESS, .command = mem_strdup(command) };
		return add(c, &s, reterr);
	}
	if (aws_profile_get(p, name, "sso_start_url") || aws_profile_get(p, name, "sso_session"))
		return err_set(reterr, RC_UNSUPPORTED,
			       "AWS profile %s signs in through SSO, which hydrant does not do: give it a credential_process of "
			       "`aws configure export-credentials --profile %s`",
			       name, name);
	*ret_found = false;
	return RC_OK;
}

/* source_profile chains are followed here once without adding anything, so that a loop is found before it is walked. */
static rc_t check_loop(const struct aws_profiles *p, const char *name, struct err *reterr)
{
	const char *at = name;
	for (int i = 0; i < SOURCES_MAX - 4; i++) {
		const char *next = aws_profile_get(p, at, "role_arn") ? aws_profile_get(p, at, "source_profile") : NULL;
		if (!next || !strcmp(next, at))
			return RC_OK;
		at = next;
	}
	return err_set(reterr, RC_INVALID, "AWS profile %s: its source_profile chain has no end", name);
}

static rc_t add_surroundings(struct chain *c, struct err *reterr)
{
	struct source s = { .kind = FROM_INSTANCE };
	if (has_container())
		s.kind = FROM_CONTAINER;
	else if (truth(env("AWS_EC2_METADATA_DISABLED")))
		return RC_OK;
	return add(c, &s, reterr);
}

static rc_t find_base(struct chain *c, const struct aws_credentials_options *o, const struct aws_profiles *p, struct err *reterr)
{
	const char *name = aws_profile_name(o->profile);
	bool named = o->profile && *o->profile, found = false;
	if (o->access_key || o->secret_key)
		return add_keys(c, o->access_key, o->secret_key, o->session_token, "the configuration", reterr);
	if (!named && (env("AWS_ACCESS_KEY_ID") || env("AWS_SECRET_ACCESS_KEY"))) {
		TRY(add_keys(c, env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN"), "the environment", reterr));
		c->sources[0].kind = FROM_ENVIRONMENT;
		return RC_OK;
	}
	c->from_files = true;
	if (strcmp(name, "default") != 0 && !aws_profile_exists(p, name))
		return err_set(reterr, RC_INVALID, "there is no AWS profile %s in the configuration files (AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE)",
			       name);
	TRY(check_loop(p, name, reterr));
	bool has_role = aws_profile_get(p, name, "role_arn") != NULL;
	if (!named && !has_role && env("AWS_WEB_IDENTITY_TOKEN_FILE") && env("AWS_ROLE_ARN")) {
		struct source s = { .kind = FROM_WEB,
				    .role_arn = copy(env("AWS_ROLE_ARN")),
				    .session_name = session_name(env("AWS_ROLE_SESSION_NAME")),
				    .token_file = copy(env("AWS_WEB_IDENTITY_TOKEN_FILE")) };
		return add(c, &s, reterr);
	}
	TRY(add_profile(c, p, name, false, &found, reterr));
	return found ? RC_OK : add_surroundings(c, reterr);
}

static char *sts_url(const struct aws_credentials_options *o, const char *region)
{
	const char *set = env("AWS_ENDPOINT_URL_STS");
	if (!set && o->endpoint && *o->endpoint)
		set = o->endpoint;
	if (!set)
		set = env("AWS_ENDPOINT_URL");
	if (set)
		return mem_printf("%s%s", set, set[strlen(set) - 1] == '/' ? "" : "/");
	return mem_printf("https://sts.%s.amazonaws.com%s/", region, strncmp(region, "cn-", 3) ? "" : ".cn");
}

static void chain_clear(struct chain *c)
{
	for (int i = 0; i < c->count; i++) {
		struct source *s = &c->sources[i];
		aws_keys_clear(&s->keys);
		free(s->command);
		free(s->role_arn);
		secret_free(s->external_id);
		free(s->session_name);
		free(s->token_file);
	}
	*c = (struct chain){ 0 };
}

/* On failure *ret is empty. */
static rc_t chain_find(const struct aws_credentials_options *o, struct chain *ret, struct err *reterr)
{
	uint64_t stamp = aws_profiles_stamp(); /* before they are read: what changes meanwhile is read again */
	AUTO(aws_profiles) *p = NULL;
	*ret = (struct chain){ 0 };
	TRY(aws_profiles_open(&p, reterr));
	ret->stamp = stamp;
	rc_t rc = find_base(ret, o, p, reterr);
	if (rc == RC_OK && o->role_arn && *o->role_arn && ret->count) {
		struct source s = { .kind = FROM_ROLE,
				    .role_arn = copy(o->role_arn),
				    .external_id = secret_copy(o->external_id),
				    .session_name = session_name(NULL),
				    .base = ret->count - 1 };
		rc = add(ret, &s, reterr);
	}
	if (rc != RC_OK)
		chain_clear(ret);
	return rc;
}

static void given_clear(struct given *g)
{
	secret_free(g->access_key);
	secret_free(g->secret_key);
	secret_free(g->session_token);
	free(g->profile);
	free(g->role_arn);
	secret_free(g->external_id);
	*g = (struct given){ 0 };
}

static struct given given_copy(const struct aws_credentials_options *o)
{
	return (struct given){ secret_copy(o->access_key), secret_copy(o->secret_key), secret_copy(o->session_token), copy(o->profile), copy(o->role_arn),
			       secret_copy(o->external_id) };
}

rc_t aws_credentials_new(const struct aws_credentials_options *o, struct aws_credentials **ret, struct err *reterr)
{
	AUTO(aws_credentials) *c = NEW(struct aws_credentials);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->refresh, NULL);
	c->region = mem_strdup(o->region && *o->region ? o->region : "us-east-1");
	c->sts_url = sts_url(o, c->region);
	c->ca_file = copy(o->ca_file);
	c->given = given_copy(o);
	TRY(chain_find(o, &c->chain, reterr));
	*ret = c;
	c = NULL;
	return RC_OK;
}

void aws_credentials_free(struct aws_credentials *c)
{
	if (!c)
		return;
	chain_clear(&c->chain);
	given_clear(&c->given);
	aws_keys_clear(&c->now);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->refresh);
	free(c->region);
	free(c->sts_url);
	free(c->ca_file);
	free(c);
}

/* ---- changing ---- */

/* Under refresh. Takes the chain over. */
static void chain_set(struct aws_credentials *c, struct chain *fresh)
{
	pthread_mutex_lock(&c->lock);
	struct chain old = c->chain;
	c->chain = *fresh;
	aws_keys_clear(&c->now);
	c->not_before = 0;
	pthread_mutex_unlock(&c->lock);
	chain_clear(&old);
}

rc_t aws_credentials_renew(struct aws_credentials *c, const struct aws_credentials_options *o, struct err *reterr)
{
	struct chain fresh;
	TRY(chain_find(o, &fresh, reterr));
	pthread_mutex_lock(&c->refresh);
	given_clear(&c->given);
	c->given = given_copy(o);
	chain_set(c, &fresh);
	pthread_mutex_unlock(&c->refresh);
	return RC_OK;
}

/* The profile files again, if they have changed; half-written ones stay unread until they make sense. Whoever asks meanwhile does it for us. True
 * if they say something else. */
static bool look_at_files(struct aws_credentials *c, bool at_once)
{
	if ((!at_once && clock_mono_us() < __atomic_load_n(&c->files_at, __ATOMIC_RELAXED)) || pthread_mutex_trylock(&c->refresh) != 0)
		return false;
	__atomic_store_n(&c->files_at, clock_mono_us() + FILES_LOOK_US, __ATOMIC_RELAXED);
	const struct given *g = &c->given;
	struct aws_credentials_options o = { .access_key = g->access_key, .secret_key = g->secret_key, .session_token = g->session_token,
					     .profile = g->profile, .role_arn = g->role_arn, .external_id = g->external_id };
	struct chain fresh;
	bool changed = c->chain.from_files && aws_profiles_stamp() != c->chain.stamp && chain_find(&o, &fresh, NULL) == RC_OK;
	if (changed)
		chain_set(c, &fresh);
	pthread_mutex_unlock(&c->refresh);
	return changed;
}

/* ---- asking ---- */

static rc_t ask(struct aws_credentials *c, int index, struct aws_keys *ret, struct err *reterr);

static rc_t ask_role(struct aws_credentials *c, const struct source *s, struct aws_keys *ret, struct err *reterr)
{
	struct sts_request r = { c->sts_url, c->region, c->ca_file, s->role_arn, s->external_id, s->session_name, s->duration };
	if (s->kind == FROM_WEB)
		return keys_from_web_identity(&r, s->token_file, ret, reterr);
	struct aws_keys base = { 0 };
	TRY(ask(c, s->base, &base, reterr));
	rc_t rc = keys_from_role(&r, &base, ret, reterr);
	aws_keys_clear(&base);
	return rc;
}

/* A source's base comes before it: the depth is at most SOURCES_MAX. */
static rc_t ask(struct aws_credentials *c, int index, struct aws_keys *ret, struct err *reterr)
{
	const struct source *s = &c->chain.sources[index];
	switch (s->kind) {
	case FROM_KEYS:
	case FROM_ENVIRONMENT:
		keys_copy(ret, &s->keys);
		return RC_OK;
	case FROM_PROCESS:
		return keys_from_process(s->command, ret, reterr);
	case FROM_CONTAINER:
		return keys_from_container(ret, reterr);
	case FROM_INSTANCE:
		return keys_from_instance(ret, reterr);
	case FROM_ROLE:
	case FROM_WEB:
		break;
	}
	return ask_role(c, s, ret, reterr);
}

/* Gives a copy of the keys that are there if they are good for `ahead` longer. */
static bool take_valid(struct aws_credentials *c, int64_t ahead, struct aws_keys *ret)
{
	pthread_mutex_lock(&c->lock);
	int64_t now = clock_wall_us();
	bool good = c->now.access_key && (c->now.expires == INT64_MAX || c->now.expires - now > ahead);
	if (c->now.access_key && !good && ahead > 0 && now < c->not_before && c->now.expires > now)
		good = true; /* asked a moment ago, in vain */
	if (good)
		keys_copy(ret, &c->now);
	pthread_mutex_unlock(&c->lock);
	return good;
}

static rc_t refresh(struct aws_credentials *c, struct aws_keys *ret, struct err *reterr)
{
	struct aws_keys fresh = { 0 };
	struct err e = { 0 };
	rc_t rc = ask(c, c->chain.count - 1, &fresh, &e);
	pthread_mutex_lock(&c->lock);
	if (rc == RC_OK) {
		aws_keys_clear(&c->now);
		c->now = fresh;
		c->not_before = 0;
	} else {
		c->not_before = clock_wall_us() + RETRY_AFTER_US;
	}
	pthread_mutex_unlock(&c->lock);
	if (take_valid(c, 0, ret))
		return RC_OK;
	if (rc == RC_OK)
		rc = err_set(&e, RC_IO, "the AWS credentials that were given have expired already: is this machine's clock right?");
	if (reterr)
		*reterr = e;
	return rc;
}

static int chain_count(struct aws_credentials *c, enum kind *ret_last)
{
	pthread_mutex_lock(&c->lock);
	int count = c->chain.count;
	if (count && ret_last)
		*ret_last = c->chain.sources[count - 1].kind;
	pthread_mutex_unlock(&c->lock);
	return count;
}

rc_t aws_credentials_get(struct aws_credentials *c, struct aws_keys *ret, struct err *reterr)
{
	look_at_files(c, false);
	if (!chain_count(c, NULL))
		return err_set(reterr, RC_NOT_FOUND,
			       "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role is given");
	if (take_valid(c, REFRESH_BEFORE_US, ret))
		return RC_OK;
	if (pthread_mutex_trylock(&c->refresh) != 0) { /* somebody asks already */
		if (take_valid(c, REFRESH_URGENT_US, ret))
			return RC_OK;
		pthread_mutex_lock(&c->refresh);
	}
	rc_t rc = take_valid(c, REFRESH_BEFORE_US, ret) ? RC_OK : refresh(c, ret, reterr);
	pthread_mutex_unlock(&c->refresh);
	return rc;
}

bool aws_credentials_expired(struct aws_credentials *c, const char *access_key)
{
	enum kind kind = FROM_KEYS;
	bool changed = look_at_files(c, true);
	if (!chain_count(c, &kind))
		return false;
	pthread_mutex_lock(&c->lock);
	changed |= c->now.access_key && strcmp(c->now.access_key, access_key) != 0; /* somebody was first */
	if (!changed && kind != FROM_KEYS && kind != FROM_ENVIRONMENT) {
		aws_keys_clear(&c->now);
		changed = true;
	}
	pthread_mutex_unlock(&c->lock);
	return changed;
}
