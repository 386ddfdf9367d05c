/* policy, doctor: what a lake needs from whoever owns its bucket or folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "app/config.h"
#include "app/policy.h"

#define SPACE_LOW ((uint64_t)1 << 30)
#define CLOCK_OFF 60 /* s */

/* ---- policy ---- */

static bool acks_by_store(void)
{
	return settings.ack && !strcmp(settings.ack, "store");
}

static int policy_notes(const struct policy_request *r, enum policy_format format)
{
	static const char *const where[] = {
		[POLICY_IAM] = "an IAM policy: attach it to hydrant's user or role",
		[POLICY_BUCKET] = "a bucket policy: the bucket's owner attaches it to the bucket",
		[POLICY_KMS] = "a statement for the key's policy: the key's owner adds it",
	};
	fprintf(stderr, "hydrant: %s\n", where[format]);
	if (format != POLICY_KMS && !r->maintenance && !r->read_only)
		fprintf(stderr, "hydrant: nothing%s may be deleted with it; --maintenance adds s3:DeleteObject, with which old table metadata is expired\n",
			r->ack_store ? " but the log's objects" : "");
	if (format == POLICY_BUCKET && r->kms_key)
		fprintf(stderr, "hydrant: the key has a policy of its own: --format kms prints the statement that it needs\n");
	return EXIT_DONE;
}

static bool format_of(const char *name, bool has_principal, enum policy_format *ret)
{
	static const char *const names[] = { "iam", "bucket", "kms" };
	if (!name) {
		*ret = has_principal ? POLICY_BUCKET : POLICY_IAM;
		return true;
	}
	for (int i = 0; i < 3; i++) {
		if (!strcmp(name, names[i])) {
			*ret = (enum policy_format)i;
			return true;
		}
	}
	return false;
}

int cmd_policy(int argc, char **argv)
{
	int code;
	const char *name = NULL;
	struct policy_request r = { .lake = settings.lake };
	const struct option_def defs[] = {
		{ "--principal", OPTION_TEXT, &r.principal, "who may, for a policy of the bucket: the user's or role's ARN", "ARN" },
		{ "--format", OPTION_TEXT, &name, "iam, bucket, kms; default: bucket with --principal, otherwise iam", "F" },
		{ "--kms-key", OPTION_TEXT, &r.kms_key, "the bucket's objects are encrypted with this key", "ARN" },
		{ "--read-only", OPTION_FLAG, &r.read_only, "only query, search, replay", NULL },
		{ "--maintenance", OPTION_FLAG, &r.maintenance, "delete, too: old table metadata, purged collections", NULL },
		{ "--ack", OPTION_TEXT, &settings.ack, "as the server's: with `store` its log's objects are deleted, too", "disk|store" },
		{ "--owner-full-control", OPTION_FLAG, &r.owner_full_control, "writes must give the bucket's owner control of the object (ACLs)", NULL },
		{ 0 },
	};
	if (!options_parse(command_find("policy"), &argc, argv, defs, 0, 0, &code))
		return code;
	enum policy_format format;
	if (!format_of(name, r.principal != NULL, &format))
		return usage_error("policy", "--format is iam, bucket or kms, not '%s'", name);
	if (r.read_only && r.maintenance)
		return usage_error("policy", "--read-only and --maintenance exclude each other");
	r.ack_store = acks_by_store();
	struct err err;
	char *text = NULL;
	rc_t rc = policy_text(&r, format, &text, &err);
	if (rc != RC_OK)
		return rc == RC_INVALID ? usage_error("policy", "%s", err.text) : fail(&err);
	printf("%s\n", text);
	free(text);
	return policy_notes(&r, format);
}

/* ---- doctor ---- */

static const char *const right_words[STORE_RIGHTS] = {
	[STORE_RIGHT_LIST] = "list",
	[STORE_RIGHT_WRITE] = "write",
	[STORE_RIGHT_READ] = "read",
	[STORE_RIGHT_ABSENT] = "tell absent objects",
	[STORE_RIGHT_CREATE] = "create without overwriting",
	[STORE_RIGHT_ABORT] = "give up uploads in parts",
	[STORE_RIGHT_DELETE] = "delete",
};

/* What the command was asked to judge by. */
struct needs {
	bool read_only, maintenance;
	bool log; /* this is the lake where the log's objects are */
};

static bool is_needed(enum store_right right, const struct needs *n)
{
	if (right == STORE_RIGHT_WRITE || right == STORE_RIGHT_CREATE || right == STORE_RIGHT_ABORT)
		return !n->read_only;
	return right != STORE_RIGHT_DELETE || n->maintenance || n->log;
}

static char *remedy_of(const char *lake, enum store_right right, const struct err *why)
{
	char *text = policy_remedy(lake, right, why);
	return text ? text : mem_printf("%s; the user that runs hydrant needs it", why->text);
}

/* What is no right, but worth knowing. */
static void print_notes(const char *lake, const struct store_probe *p)
{
	const struct store_facts *f = &p->facts;
	int64_t ahead = f->clock_ahead / 1000000;
	if (p->all_refused)
		printf("  note      everything is refused: before the policy, look whether the store knows the access key, and whether the secret is right\n");
	if (p->left_behind)
		printf("  note      %s/" STORE_PROBE_KEY " stays: it may not be deleted\n", lake);
	if (f->region_said[0] && strcmp(f->region, f->region_said) != 0)
		printf("  note      the bucket is in %s, not in %s as the settings say: each start finds that out anew; name the right one\n", f->region,
		       f->region_said);
	if (llabs(ahead) > CLOCK_OFF)
		printf("  note      this machine's clock is %lld s %s the store's: requests are dated by the store's, but those for a role's keys cannot be, nor "
		       "the events' times; set it right\n", llabs(ahead), ahead > 0 ? "behind" : "before");
}

/* Number of rights that are needed and lacking, a line each. */
static int print_findings(const char *lake, const struct store_probe *p, const struct needs *n)
{
	int lacking = 0;
	for (int i = 0; i < STORE_RIGHTS; i++) {
		enum store_right right = (enum store_right)i;
		if (p->found[i] == STORE_HAS) {
			printf("  ok        %s\n", right_words[i]);
		} else if (p->found[i] == STORE_UNKNOWN) {
			printf("  untried   %s: %s\n", right_words[i], p->why[i].text);
		} else {
			AUTO_MEM char *remedy = remedy_of(lake, right, &p->why[i]);
			bool needed = is_needed(right, n);
			printf("  %s %s: %s\n", needed ? "MISSING  " : "not given", right_words[i], remedy);
			lacking += needed;
		}
	}
	return lacking;
}

/* A folder also needs room. 1 if it has none to speak of. */
static int print_space(const char *folder)
{
	struct statvfs v;
	if (!folder || statvfs(folder, &v) != 0)
		return 0;
	uint64_t left = (uint64_t)v.f_bavail * v.f_frsize;
	char text[16];
	format_bytes(left, text);
	printf("  %s space: %s left in %s\n", left < SPACE_LOW ? "MISSING  " : "ok       ", text, folder);
	return left < SPACE_LOW;
}

static int examine(const char *url, const struct store_options *options, const struct needs *needs)
{
	struct err err = { 0 };
	AUTO(store) *s = NULL;
	struct store_probe p;
	if (store_open(url, options, &s, &err) != RC_OK)
		return fail(&err);
	printf("%s\n", store_url(s));
	rc_t rc = store_probe(s, &p, &err);
	if (rc == RC_OK && needs->log && !needs->maintenance)
		store_probe_delete(s, ACK_FOLDER, &p);
	const char *lake = strstr(url, "://") ? store_url(s) : url;
	int lacking = p.found[STORE_RIGHT_LIST] == STORE_UNKNOWN ? 0 : print_findings(lake, &p, needs);
	print_notes(lake, &p);
	AUTO_MEM char *folder = store_local_path(s, "_hydrant");
	lacking += print_space(folder);
	fflush(stdout);
	if (rc != RC_OK)
		return fail(&err);
	printf(lacking ? "%d missing; `hydrant policy --lake %s` prints what is needed\n" : "all is there\n", lacking, url);
	return lacking ? EXIT_FAILED : EXIT_DONE;
}

struct seen {
	const char *url;
	const struct store_options *options;
};

/* Unless it was examined already. */
static int examine_once(struct seen *seen, size_t *count, const char *url, const struct store_options *options, const struct needs *needs)
{
	static const struct store_options none;
	options = options ? options : &none;
	for (size_t i = 0; i < *count; i++)
		if (!strcmp(seen[i].url, url) && !memcmp(seen[i].options, options, sizeof *options)) /* copies share their strings */
			return EXIT_DONE;
	seen[(*count)++] = (struct seen){ url, options };
	return examine(url, options, needs);
}

/* The lake, and all that the config file names beside it. */
static int examine_all(const struct config *c, const struct needs *needs)
{
	AUTO_MEM struct seen *seen = mem_zalloc(1 + c->lake_count + c->rule_count, sizeof *seen);
	size_t count = 0;
	int worst = examine_once(seen, &count, settings.lake, settings_store(settings.lake), needs);
	struct needs others = *needs;
	others.log = false;
	for (size_t i = 0; i < c->lake_count + c->rule_count; i++) {
		const struct collection_rule *r = i < c->lake_count ? NULL : &c->rules[i - c->lake_count];
		const char *url = r ? r->url : c->lakes[i].place.url;
		int code = url ? examine_once(seen, &count, url, r ? r->store : &c->lakes[i].place.store, &others) : EXIT_DONE;
		worst = code > worst ? code : worst;
	}
	return worst;
}

int cmd_doctor(int argc, char **argv)
{
	int code;
	struct needs needs = { 0 };
	struct command c = *command_find("doctor");
	c.help = "With a config file, and no --lake: every lake that it names, those of single collections, too.";
	const struct option_def defs[] = {
		{ "--read-only", OPTION_FLAG, &needs.read_only, "judge by what query, search and replay need", NULL },
		{ "--maintenance", OPTION_FLAG, &needs.maintenance, "the right to delete is needed, too", NULL },
		{ "--ack", OPTION_TEXT, &settings.ack, "as the server's: with `store` its log's objects have to be deleted", "disk|store" },
		{ 0 },
	};
	if (!options_parse(&c, &argc, argv, defs, 0, 0, &code))
		return code;
	needs.log = acks_by_store() && !needs.read_only;
	bool named = !settings.file || (settings.file->flat.lake && settings.lake != settings.file->flat.lake);
	return named ? examine(settings.lake, settings_store(settings.lake), &needs) : examine_all(settings.file, &needs);
}
