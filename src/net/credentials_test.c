#include "net/credentials.h"

#include <sys/stat.h>

#include "base/test.h"
#include "net/loopback_test.h"
#include "os/clock.h"
#include "os/file.h"

static char folder[64];
static struct err err;

static const char *const variables[] = { "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
					 "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
					 "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
					 "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL" };

static char *file_with(const char *name, const char *text)
{
	char *path = mem_printf("%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	if (f) {
		fputs(text, f);
		fclose(f);
	}
	return path;
}

/* The folder of the test before, and of the last one. */
__attribute__((destructor)) static void sweep(void)
{
	if (folder[0])
		dir_remove_tree(folder, NULL);
}

/* Nothing of this machine's own is seen; `credentials` and `config` are the files. */
static bool setup(const char *credentials, const char *config)
{
	sweep();
	snprintf(folder, sizeof folder, "/tmp/credentials-test-XXXXXX");
	if (!mkdtemp(folder))
		return false;
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		unsetenv(variables[i]);
	AUTO_MEM char *a = file_with("credentials", credentials);
	AUTO_MEM char *b = file_with("config", config);
	setenv("AWS_SHARED_CREDENTIALS_FILE", a, 1);
	setenv("AWS_CONFIG_FILE", b, 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	return true;
}

static bool gives(const struct aws_credentials_options *o, const char *want)
{
	static const struct aws_credentials_options none;
	AUTO(aws_credentials) *c = NULL;
	struct aws_keys k = { 0 };
	rc_t rc = aws_credentials_new(o ? o : &none, &c, &err);
	if (rc == RC_OK)
		rc = aws_credentials_get(c, &k, &err);
	AUTO_MEM char *have = rc == RC_OK ? mem_printf("%s %s %s", k.access_key, k.secret_key, k.session_token ? k.session_token : "-")
					  : mem_printf("%s: %s", rc_name(rc), err.text);
	aws_keys_clear(&k);
	if (strcmp(have, want) != 0 && (rc == RC_OK || strncmp(have, want, strlen(want)) != 0))
		fprintf(stderr, "%s, want %s\n", have, want);
	return !strncmp(have, want, strlen(want));
}

TEST(credentials_parameters_go_before_environment_before_profile)
{
	CHECK(setup("[default]\naws_access_key_id = FILE\naws_secret_access_key = fs\n[other]\naws_access_key_id=OTHER\naws_secret_access_key=os\naws_session_token=ot\n",
		    "[profile third]\naws_access_key_id = THIRD\naws_secret_access_key = ts # why\n"));
	CHECK(gives(NULL, "FILE fs -"));
	CHECK(gives(&(struct aws_credentials_options){ .profile = "other" }, "OTHER os ot"));
	setenv("AWS_PROFILE", "third", 1);
	CHECK(gives(NULL, "THIRD ts -"));
	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "es", 1);
	CHECK(gives(NULL, "ENV es -"));
	setenv("AWS_SESSION_TOKEN", "et", 1);
	CHECK(gives(NULL, "ENV es et"));
	CHECK(gives(&(struct aws_credentials_options){ .profile = "other" }, "OTHER os ot"));
	CHECK(gives(&(struct aws_credentials_options){ .access_key = "PAR", .secret_key = "ps" }, "PAR ps -"));
}

TEST(credentials_that_are_half_or_unknown_are_refused_by_name)
{
	CHECK(setup("[half]\naws_access_key_id = X\n", "[profile sso]\nsso_session = x\n[profile a]\nrole_arn=r\nsource_profile=b\n[profile b]\nrole_arn=r\n"
						       "source_profile=a\n[profile c]\nrole_arn=r\n[profile d]\nrole_arn=r\nsource_profile=nobody\n"));
	AUTO(aws_credentials) *c = NULL;
	const struct {
		const char *profile;
		rc_t rc;
	} bad[] = { { "half", RC_INVALID }, { "none", RC_INVALID }, { "sso", RC_UNSUPPORTED }, { "a", RC_INVALID }, { "c", RC_INVALID }, { "d", RC_INVALID } };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct aws_credentials_options o = { .profile = bad[i].profile };
		CHECK_RC(aws_credentials_new(&o, &c, &err), bad[i].rc);
		CHECK(strstr(err.text, bad[i].profile));
	}
	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	CHECK_RC(aws_credentials_new(&(struct aws_credentials_options){ 0 }, &c, &err), RC_INVALID);
	unsetenv("AWS_ACCESS_KEY_ID");
	CHECK(gives(NULL, "not found: there are no AWS credentials"));
}

TEST(credentials_process_gives_keys_and_shows_none_of_its_output)
{
	CHECK(setup("", "[default]\ncredential_process = printf '{\"Version\":1,\"AccessKeyId\":\"P\",\"SecretAccessKey\":\"s3cr3t\",\"SessionToken\":\"t\",\"Expiration\":\"2099-01-01T00:00:00Z\"}'\n"
			"[profile bad]\ncredential_process = echo s3cr3t; echo s3cr3t >&2; exit 3\n[profile junk]\ncredential_process = echo s3cr3t\n"));
	CHECK(gives(NULL, "P s3cr3t t"));
	CHECK(gives(&(struct aws_credentials_options){ .profile = "bad" }, "i/o error: the credential_process of the AWS profile ended with exit status 3"));
	CHECK(!strstr(err.text, "s3cr3t"));
	CHECK(gives(&(struct aws_credentials_options){ .profile = "junk" }, "i/o error: the credential_process of the AWS profile gave no"));
	CHECK(!strstr(err.text, "s3cr3t"));
}

/* STS, the container's endpoint and instance metadata in one server. */
struct cloud {
	unsigned keys_given;
	int64_t lifetime_us;
	bool refuse;
	char seen[8192]; /* the last request */
};

static void cloud_answer(void *ctx, const struct loopback_request *req, struct buf *out)
{
	struct cloud *c = ctx;
	char expires[32];
	time_format(clock_wall_us() + c->lifetime_us, expires);
	snprintf(c->seen, sizeof c->seen, "%s\n%.*s", req->head, SLICE_ARG(req->body));
	AUTO_MEM char *json = mem_printf("{\"Code\":\"Success\",\"AccessKeyId\":\"K%u\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"%s\"}", c->keys_given + 1, expires);
	const char *action = strstr(c->seen, "WebIdentityToken=") ? "AssumeRoleWithWebIdentity" : "AssumeRole";
	AUTO_MEM char *sts = mem_printf("<%sResponse xmlns=\"x\"><%sResult><Credentials><AccessKeyId>K%u</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
					"<SessionToken>t</SessionToken><Expiration>%s</Expiration></Credentials></%sResult></%sResponse>",
					action, action, c->keys_given + 1, expires, action, action);
	if (c->refuse)
		loopback_say(out, "403 Forbidden", "", "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>");
	else if (!strncmp(req->head, "PUT /latest/api/token", 21))
		loopback_say(out, "200 OK", "", "imds-token");
	else if (!strncmp(req->head, "GET /latest/", 12) && !strcasestr(req->head, "x-aws-ec2-metadata-token: imds-token"))
		loopback_say(out, "401 Unauthorized", "", "");
	else if (strstr(req->head, "security-credentials/ HTTP"))
		loopback_say(out, "200 OK", "", "the-role\n");
	else if (strstr(req->head, "security-credentials/the-role HTTP") || strstr(req->head, "GET /container")) {
		c->keys_given++;
		loopback_say(out, "200 OK", "", json);
	} else if (!strncmp(req->head, "POST /", 6)) {
		c->keys_given++;
		loopback_say(out, "200 OK", "", sts);
	} else
		loopback_say(out, "404 Not Found", "", "");
}

TEST(credentials_role_is_assumed_with_the_profile_behind_it)
{
	struct cloud cloud = { .lifetime_us = (int64_t)3600 * 1000000 };
	struct loopback server;
	CHECK(setup("[base]\naws_access_key_id=BASE\naws_secret_access_key=bs\n",
		    "[profile r]\nrole_arn=arn:aws:iam::1:role/x\nsource_profile=base\nexternal_id=ex/1\nrole_session_name=me\n"
		    "[profile twice]\nrole_arn=arn:aws:iam::2:role/y\nsource_profile=r\n"));
	CHECK(loopback_start(&server, cloud_answer, &cloud));
	setenv("AWS_ENDPOINT_URL_STS", server.url, 1);
	CHECK(gives(&(struct aws_credentials_options){ .profile = "r" }, "K1 s t"));
	CHECK(strstr(cloud.seen, "Credential=BASE/") && strstr(cloud.seen, "/us-east-1/sts/aws4_request"));
	CHECK(strstr(cloud.seen, "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx&RoleSessionName=me&ExternalId=ex%2F1"));
	CHECK(gives(&(struct aws_credentials_options){ .profile = "twice" }, "K3 s t"));
	CHECK(strstr(cloud.seen, "Credential=K2/") && strcasestr(cloud.seen, "x-amz-security-token: t"));
	CHECK(gives(&(struct aws_credentials_options){ .access_key = "A", .secret_key = "as", .role_arn = "arn:z", .external_id = "e" }, "K4 s t"));
	CHECK(strstr(cloud.seen, "ExternalId=e"));
	cloud.refuse = true;
	CHECK(gives(&(struct aws_credentials_options){ .profile = "r" }, "i/o error: the role arn:aws:iam::1:role/x cannot be assumed: STS answered 403 AccessDenied no"));
	CHECK_INT(err.status, 403);
	loopback_stop(&server);
}

TEST(credentials_web_identity_sends_its_token_and_no_signature)
{
	struct cloud cloud = { .lifetime_us = (int64_t)3600 * 1000000 };
	struct loopback server;
	CHECK(setup("", ""));
	CHECK(loopback_start(&server, cloud_answer, &cloud));
	AUTO_MEM char *token = file_with("token", "web.identity-token\n");
	setenv("AWS_ENDPOINT_URL_STS", server.url, 1);
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token, 1);
	setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/w", 1);
	CHECK(gives(NULL, "K1 s t"));
	CHECK(strstr(cloud.seen, "Action=AssumeRoleWithWebIdentity") && strstr(cloud.seen, "WebIdentityToken=web.identity-token") && !strcasestr(cloud.seen, "authorization:"));
	unlink(token);
	CHECK(gives(NULL, "not found: the web identity token of role"));
	loopback_stop(&server);
}

TEST(credentials_container_is_asked_with_its_token_and_only_nearby)
{
	struct cloud cloud = { .lifetime_us = (int64_t)3600 * 1000000 };
	struct loopback server;
	CHECK(setup("", ""));
	CHECK(loopback_start(&server, cloud_answer, &cloud));
	AUTO_MEM char *url = mem_printf("%s/container", server.url);
	AUTO_MEM char *token = file_with("auth", "Basic abc\n");
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token, 1);
	CHECK(gives(NULL, "K1 s t"));
	CHECK(strcasestr(cloud.seen, "authorization: Basic abc\r\n"));
	const char *far[] = { "http://example.com/x", "http://127.0.0.1.example.com/", "http://10.0.0.1/", "ftp://127.0.0.1/", "http://169.254.170.2.example.com/", "" };
	for (size_t i = 0; i + 1 < sizeof far / sizeof *far; i++) {
		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", far[i], 1);
		CHECK(gives(NULL, "invalid: AWS_CONTAINER_CREDENTIALS_FULL_URI is neither"));
	}
	CHECK_INT(server.requests, 1);
	loopback_stop(&server);
}

TEST(credentials_instance_metadata_is_asked_with_a_session_token)
{
	struct cloud cloud = { .lifetime_us = (int64_t)3600 * 1000000 };
	struct loopback server;
	CHECK(setup("", ""));
	CHECK(loopback_start(&server, cloud_answer, &cloud));
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url, 1);
	CHECK(gives(NULL, "not found: there are no AWS credentials"));
	CHECK_INT(server.requests, 0);
	unsetenv("AWS_EC2_METADATA_DISABLED");
	CHECK(gives(NULL, "K1 s t"));
	CHECK_INT(server.requests, 3);
	loopback_stop(&server);
}

static bool get_is(struct aws_credentials *c, const char *want)
{
	struct aws_keys k = { 0 };
	bool same = aws_credentials_get(c, &k, &err) == RC_OK && !strcmp(k.access_key, want);
	if (!same)
		fprintf(stderr, "%s, want %s\n", k.access_key ? k.access_key : err.text, want);
	aws_keys_clear(&k);
	return same;
}

TEST(credentials_are_fresh_before_they_expire_and_old_ones_serve_to_their_end)
{
	struct cloud cloud = { .lifetime_us = (int64_t)3600 * 1000000 };
	struct loopback server;
	CHECK(setup("", ""));
	CHECK(loopback_start(&server, cloud_answer, &cloud));
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url, 1);
	unsetenv("AWS_EC2_METADATA_DISABLED");
	AUTO(aws_credentials) *c = NULL;
	CHECK_OK(aws_credentials_new(&(struct aws_credentials_options){ 0 }, &c, &err), err);
	CHECK(get_is(c, "K1"));
	CHECK(get_is(c, "K1"));
	CHECK(aws_credentials_expired(c, "K1"));
	CHECK(aws_credentials_expired(c, "K0")); /* others are there already */
	cloud.lifetime_us = (int64_t)200 * 1000000; /* sooner than we like: asked for again at once */
	CHECK(get_is(c, "K2"));
	CHECK(get_is(c, "K3"));
	cloud.refuse = true;
	CHECK(get_is(c, "K3"));
	cloud.refuse = false;
	cloud.lifetime_us = -1000000;
	aws_credentials_expired(c, "K3");
	struct aws_keys k = { 0 };
	CHECK_RC(aws_credentials_get(c, &k, &err), RC_IO);
	loopback_stop(&server);
	AUTO(aws_credentials) *fixed = NULL;
	CHECK_OK(aws_credentials_new(&(struct aws_credentials_options){ .access_key = "A", .secret_key = "b" }, &fixed, &err), err);
	CHECK(!aws_credentials_expired(fixed, "A"));
}

/* The keys that are given now, "access/secret"; "" if there are none. */
static const char *now(struct aws_credentials *c)
{
	static char text[64];
	struct aws_keys k = { 0 };
	text[0] = 0;
	if (aws_credentials_get(c, &k, &err) == RC_OK)
		snprintf(text, sizeof text, "%s/%s", k.access_key, k.secret_key);
	aws_keys_clear(&k);
	return text;
}

TEST(credentials_follow_the_profile_files_once_the_server_refuses_the_old_keys)
{
	CHECK(setup("[default]\naws_access_key_id = A\naws_secret_access_key = one\n", ""));
	AUTO(aws_credentials) *c = NULL;
	CHECK_OK(aws_credentials_new(&(struct aws_credentials_options){ 0 }, &c, &err), err);
	CHECK_STR(now(c), "A/one");
	CHECK(!aws_credentials_expired(c, "A")); /* nothing has changed: asking again is of no use */
	AUTO_MEM char *half = file_with("credentials", "[default]\naws_access_key_id = B\n");
	CHECK(!aws_credentials_expired(c, "A")); /* a file being written makes no sense yet */
	CHECK_STR(now(c), "A/one");
	AUTO_MEM char *whole = file_with("credentials", "[default]\naws_access_key_id = B\naws_secret_access_key = two\n");
	CHECK(aws_credentials_expired(c, "A"));
	CHECK_STR(now(c), "B/two");
	CHECK(aws_credentials_expired(c, "A")); /* by another who still had the old ones */
	CHECK(!aws_credentials_expired(c, "B"));
	AUTO_MEM char *secret = file_with("credentials", "[default]\naws_access_key_id = B\naws_secret_access_key = three\n");
	CHECK(aws_credentials_expired(c, "B"));
	CHECK_STR(now(c), "B/three");
}

TEST(credentials_are_renewed_as_a_whole_or_not_at_all)
{
	CHECK(setup("", ""));
	AUTO(aws_credentials) *c = NULL;
	CHECK_OK(aws_credentials_new(&(struct aws_credentials_options){ .access_key = "A", .secret_key = "one" }, &c, &err), err);
	CHECK_STR(now(c), "A/one");
	CHECK_RC(aws_credentials_renew(c, &(struct aws_credentials_options){ .access_key = "B" }, &err), RC_INVALID);
	CHECK_STR(now(c), "A/one");
	CHECK_OK(aws_credentials_renew(c, &(struct aws_credentials_options){ .access_key = "B", .secret_key = "two" }, &err), err);
	CHECK_STR(now(c), "B/two");
}

TEST_MAIN()
