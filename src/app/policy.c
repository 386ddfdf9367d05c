#include "app/policy.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "pipeline/pipeline.h"

#define BUCKET_MIN 3
#define BUCKET_MAX 63

struct place {
	char *bucket;    /* arn:aws:s3:::bucket */
	char *objects;   /* arn:aws:s3:::bucket/prefix/… */
	char *log;       /* …/_hydrant/log/… of it */
	char *listed;    /* the prefixes that may be listed: "prefix/…"; "*" for a whole bucket */
};

static void place_free(struct place *p)
{
	free(p->bucket);
	free(p->objects);
	free(p->log);
	free(p->listed);
}

/* In a policy, '*', '?' and '$' of a name are written ${*}, ${?}, ${$}. */
static void append_literal(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (strchr("*?$", *s))
			buf_printf(b, "${%c}", *s);
		else
			buf_byte(b, (uint8_t)*s);
	}
}

static bool bucket_is_valid(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!isalnum(name.data[i]) && !strchr("-._", name.data[i]))
			return false;
	return name.len >= BUCKET_MIN && name.len <= BUCKET_MAX;
}

/* "aws-cn" of arn:aws-cn:iam::…: a bucket is named in the partition of who asks for it. */
static struct slice partition_of(const char *principal)
{
	const char *end = principal && !strncmp(principal, "arn:", 4) ? strchr(principal + 4, ':') : NULL;
	return end && end > principal + 4 ? (struct slice){ (const uint8_t *)principal + 4, (size_t)(end - principal - 4) } : slice_str("aws");
}

static rc_t place_parse(const char *lake, const char *principal, struct place *ret, struct err *reterr)
{
	if (strncmp(lake, "s3://", 5) != 0)
		return err_set(reterr, RC_INVALID, "%s is no bucket: name one with --lake s3://BUCKET/PREFIX", lake);
	const char *name = lake + 5, *slash = strchr(name, '/');
	struct slice bucket = { (const uint8_t *)name, slash ? (size_t)(slash - name) : strlen(name) };
	if (!bucket_is_valid(bucket))
		return err_set(reterr, RC_INVALID, "'%.*s' in %s is no bucket's name (3 to 63 letters, digits, dots, hyphens)", SLICE_ARG(bucket), lake);
	AUTO_MEM char *prefix = mem_strdup(slash ? slash + 1 : "");
	for (size_t n = strlen(prefix); n && prefix[n - 1] == '/'; n--)
		prefix[n - 1] = 0;
	AUTO_BUF struct buf below;
	buf_init(&below, BUF_MAX_DEFAULT);
	append_literal(&below, prefix);
	buf_append_str(&below, below.len ? "/*" : "*");
	buf_byte(&below, 0);
	struct slice partition = partition_of(principal);
	ret->bucket = mem_printf("arn:%.*s:s3:::%.*s", SLICE_ARG(partition), SLICE_ARG(bucket));
	ret->objects = mem_printf("%s/%s", ret->bucket, (const char *)below.data);
	ret->log = mem_printf("%.*s" ACK_FOLDER "/*", (int)strlen(ret->objects) - 1, ret->objects);
	ret->listed = mem_strdup((const char *)below.data);
	return RC_OK;
}

static json_t *statement(const char *sid, const struct policy_request *r, enum policy_format format, json_t *actions, const char *resource)
{
	json_t *s = json_pack("{s:s, s:s}", "Sid", sid, "Effect", "Allow");
	if (format != POLICY_IAM)
		json_object_set_new(s, "Principal", json_pack("{s:s}", "AWS", r->principal));
	json_object_set_new(s, "Action", actions);
	json_object_set_new(s, "Resource", json_string(resource));
	return s;
}

static json_t *s3_statements(const struct policy_request *r, enum policy_format format, const struct place *p)
{
	json_t *all = json_array();
	/* Without "IfExists" the right would not count where a request names no prefix: a missing object would be refused, not absent. */
	json_t *list = statement("HydrantList", r, format, json_pack("[s]", "s3:ListBucket"), p->bucket);
	if (strcmp(p->listed, "*") != 0)
		json_object_set_new(list, "Condition", json_pack("{s:{s:s}}", "StringLikeIfExists", "s3:prefix", p->listed));
	json_array_append_new(all, list);
	json_array_append_new(all, statement("HydrantRead", r, format, json_pack("[s]", "s3:GetObject"), p->objects));
	if (r->read_only)
		return all;
	json_t *write = statement("HydrantWrite", r, format, json_pack("[s]", "s3:PutObject"), p->objects);
	if (r->owner_full_control)
		json_object_set_new(write, "Condition", json_pack("{s:{s:s}}", "StringEquals", "s3:x-amz-acl", "bucket-owner-full-control"));
	json_array_append_new(all, write);
	json_array_append_new(all, statement("HydrantAbort", r, format, json_pack("[s]", "s3:AbortMultipartUpload"), p->objects));
	if (r->maintenance)
		json_array_append_new(all, statement("HydrantDelete", r, format, json_pack("[s]", "s3:DeleteObject"), p->objects));
	else if (r->ack_store)
		json_array_append_new(all, statement("HydrantLog", r, format, json_pack("[s]", "s3:DeleteObject"), p->log));
	return all;
}

static json_t *kms_statement(const struct policy_request *r, enum policy_format format)
{
	json_t *actions = r->read_only ? json_pack("[s]", "kms:Decrypt") : json_pack("[s, s]", "kms:GenerateDataKey", "kms:Decrypt");
	return statement("HydrantKey", r, format, actions, format == POLICY_KMS ? "*" : r->kms_key); /* in a key's own policy "*" is that key */
}

static rc_t request_check(const struct policy_request *r, enum policy_format format, struct err *reterr)
{
	if (format != POLICY_IAM && !r->principal)
		return err_set(reterr, RC_INVALID, "a %s policy says who may: name hydrant's user or role with --principal ARN",
			       format == POLICY_KMS ? "key" : "bucket");
	if (r->principal && (!*r->principal || strchr(r->principal, '*')))
		return err_set(reterr, RC_INVALID, "the principal '%s' would be anybody: name one user or role by its ARN", r->principal);
	if (format == POLICY_KMS && !r->kms_key)
		return err_set(reterr, RC_INVALID, "a key policy needs the key: --kms-key ARN");
	if (r->kms_key && strncmp(r->kms_key, "arn:", 4) != 0)
		return err_set(reterr, RC_INVALID, "'%s' is no key's ARN (arn:aws:kms:REGION:ACCOUNT:key/ID); policies know keys by nothing else",
			       r->kms_key);
	return RC_OK;
}

rc_t policy_text(const struct policy_request *r, enum policy_format format, char **ret, struct err *reterr)
{
	struct place place = { 0 };
	TRY(request_check(r, format, reterr));
	TRY(place_parse(r->lake, r->principal, &place, reterr));
	json_t *all = format == POLICY_KMS ? json_array() : s3_statements(r, format, &place);
	if (format == POLICY_KMS || (format == POLICY_IAM && r->kms_key))
		json_array_append_new(all, kms_statement(r, format));
	json_t *policy = json_pack("{s:s, s:o}", "Version", "2012-10-17", "Statement", all);
	char *text = policy ? json_dumps(policy, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
	json_decref(policy);
	place_free(&place);
	if (!text)
		return err_set(reterr, RC_INVALID, "the lake's or principal's name is no UTF-8, and a policy must be");
	*ret = text;
	return RC_OK;
}

char *policy_remedy(const char *lake, enum store_right right, const struct err *why)
{
	struct place p = { 0 };
	if (place_parse(lake, NULL, &p, NULL) != RC_OK)
		return NULL;
	char *text = NULL;
	if ((right == STORE_RIGHT_WRITE || right == STORE_RIGHT_READ) && why && strstr(why->text, "kms:")) {
		place_free(&p);
		return mem_printf("the bucket's KMS key is not there, or does not allow %s (HydrantKey), in our policy or in its own: without it nothing can be %s",
				  right == STORE_RIGHT_WRITE ? "kms:GenerateDataKey" : "kms:Decrypt", right == STORE_RIGHT_WRITE ? "written" : "read");
	}
	switch (right) {
	case STORE_RIGHT_LIST:
	case STORE_RIGHT_ABSENT:
		text = mem_printf("no policy allows s3:ListBucket on %s for prefix %s (HydrantList): without it hydrant cannot find the tables, nor tell "
				  "a missing object from a forbidden one", p.bucket, p.listed);
		break;
	case STORE_RIGHT_WRITE:
		text = mem_printf("no policy allows s3:PutObject on %s (HydrantWrite): without it nothing can be committed; events stay in the log",
				  p.objects);
		break;
	case STORE_RIGHT_READ:
		text = mem_printf("no policy allows s3:GetObject on %s (HydrantRead): without it tables cannot be read, nor committed to", p.objects);
		break;
	case STORE_RIGHT_CREATE:
		text = mem_printf("the store behind %s ignores `If-None-Match: *` on PutObject: two writers could overwrite each other's commits; use a "
				  "store that honours it", p.bucket);
		break;
	case STORE_RIGHT_ABORT:
		text = mem_printf("no policy allows s3:AbortMultipartUpload on %s (HydrantAbort): without it the parts of failed uploads stay, and are paid "
				  "for, until a lifecycle rule of the bucket removes them", p.objects);
		break;
	case STORE_RIGHT_DELETE:
		if (why && strstr(why->text, ACK_FOLDER))
			text = mem_printf("no policy allows s3:DeleteObject on %s (HydrantLog): without it the objects of `ack: store` stay, and are paid for, when "
					  "tables hold their events", p.log);
		else
			text = mem_printf("no policy allows s3:DeleteObject on %s (HydrantDelete): without it old table metadata stays and `collections delete "
				  "--purge` cannot work", p.objects);
		break;
	case STORE_RIGHTS:
		break;
	}
	place_free(&p);
	return text;
}
