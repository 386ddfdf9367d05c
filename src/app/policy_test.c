#include "app/policy.h"

#include <jansson.h>

#include "base/test.h"

static json_t *policy(const struct policy_request *r, enum policy_format format)
{
	char *text = NULL;
	struct err err;
	if (policy_text(r, format, &text, &err) != RC_OK)
		return NULL;
	json_t *o = json_loads(text, 0, NULL);
	free(text);
	return o;
}

static const char *action(json_t *policy, size_t statement, size_t i)
{
	json_t *s = json_array_get(json_object_get(policy, "Statement"), statement);
	return json_string_value(json_array_get(json_object_get(s, "Action"), i));
}

static const char *text_of(json_t *policy, size_t statement, const char *name)
{
	return json_string_value(json_object_get(json_array_get(json_object_get(policy, "Statement"), statement), name));
}

/* Every action of a policy, in order, as one text. */
static char *actions(json_t *policy)
{
	char *all = mem_strdup("");
	for (size_t s = 0; s < json_array_size(json_object_get(policy, "Statement")); s++) {
		for (size_t i = 0; action(policy, s, i); i++) {
			char *longer = mem_printf("%s%s%s", all, *all ? " " : "", action(policy, s, i));
			free(all);
			all = longer;
		}
	}
	return all;
}

TEST(a_writer_may_not_delete_unless_asked)
{
	struct policy_request r = { .lake = "s3://bucket/a/b" };
	json_t *o = policy(&r, POLICY_IAM);
	AUTO_MEM char *write = actions(o);
	CHECK_STR(write, "s3:ListBucket s3:GetObject s3:PutObject s3:AbortMultipartUpload");
	json_decref(o);
	r.maintenance = true;
	o = policy(&r, POLICY_IAM);
	AUTO_MEM char *maintain = actions(o);
	CHECK_STR(maintain, "s3:ListBucket s3:GetObject s3:PutObject s3:AbortMultipartUpload s3:DeleteObject");
	json_decref(o);
}

TEST(with_ack_store_the_logs_objects_alone_may_be_deleted)
{
	struct policy_request r = { .lake = "s3://bucket/a/b", .ack_store = true };
	json_t *o = policy(&r, POLICY_IAM);
	AUTO_MEM char *all = actions(o);
	CHECK_STR(all, "s3:ListBucket s3:GetObject s3:PutObject s3:AbortMultipartUpload s3:DeleteObject");
	CHECK_STR(text_of(o, 4, "Resource"), "arn:aws:s3:::bucket/a/b/_hydrant/log/*");
	json_decref(o);
	r.lake = "s3://bucket";
	o = policy(&r, POLICY_IAM);
	CHECK_STR(text_of(o, 4, "Resource"), "arn:aws:s3:::bucket/_hydrant/log/*");
	json_decref(o);
	struct err why;
	err_set(&why, RC_IO, "s3://bucket/_hydrant/log/probe: s3:DeleteObject is denied");
	AUTO_MEM char *text = policy_remedy("s3://bucket/a/b", STORE_RIGHT_DELETE, &why);
	CHECK(strstr(text, "bucket/a/b/_hydrant/log/* (HydrantLog)"));
}

TEST(a_reader_may_only_read)
{
	struct policy_request r = { .lake = "s3://bucket/a/b", .read_only = true, .kms_key = "arn:aws:kms:eu-west-1:1:key/k" };
	json_t *o = policy(&r, POLICY_IAM);
	AUTO_MEM char *all = actions(o);
	CHECK_STR(all, "s3:ListBucket s3:GetObject kms:Decrypt");
	json_decref(o);
}

TEST(objects_are_named_below_the_prefix_only)
{
	struct policy_request r = { .lake = "s3://bucket/a/b//", .principal = "arn:aws-cn:iam::123456789012:role/h" };
	json_t *o = policy(&r, POLICY_BUCKET);
	CHECK_STR(text_of(o, 0, "Resource"), "arn:aws-cn:s3:::bucket");
	CHECK_STR(text_of(o, 1, "Resource"), "arn:aws-cn:s3:::bucket/a/b/*");
	json_t *list = json_array_get(json_object_get(o, "Statement"), 0);
	json_t *like = json_object_get(json_object_get(list, "Condition"), "StringLikeIfExists");
	CHECK_STR(json_string_value(json_object_get(like, "s3:prefix")), "a/b/*");
	CHECK_STR(json_string_value(json_object_get(json_object_get(list, "Principal"), "AWS")), r.principal);
	json_decref(o);
}

TEST(a_whole_bucket_has_no_condition)
{
	struct policy_request r = { .lake = "s3://bucket" };
	json_t *o = policy(&r, POLICY_IAM);
	CHECK(!json_object_get(json_array_get(json_object_get(o, "Statement"), 0), "Condition"));
	CHECK_STR(text_of(o, 1, "Resource"), "arn:aws:s3:::bucket/*");
	json_decref(o);
}

TEST(wildcards_of_a_prefix_are_no_wildcards_of_the_policy)
{
	struct policy_request r = { .lake = "s3://bucket/a*$?" };
	json_t *o = policy(&r, POLICY_IAM);
	CHECK_STR(text_of(o, 1, "Resource"), "arn:aws:s3:::bucket/a${*}${$}${?}/*");
	json_decref(o);
}

TEST(a_bucket_policy_names_somebody)
{
	struct policy_request r = { .lake = "s3://bucket/p" };
	CHECK(!policy(&r, POLICY_BUCKET));
	r.principal = "*";
	CHECK(!policy(&r, POLICY_BUCKET));
	r.principal = "arn:aws:iam::1:root";
	r.lake = "/folder";
	CHECK(!policy(&r, POLICY_BUCKET));
}

TEST(a_foreign_writer_gives_the_owner_control)
{
	struct policy_request r = { .lake = "s3://bucket/p", .principal = "arn:aws:iam::1:root", .owner_full_control = true };
	json_t *o = policy(&r, POLICY_BUCKET);
	json_t *write = json_array_get(json_object_get(o, "Statement"), 2);
	json_t *equals = json_object_get(json_object_get(write, "Condition"), "StringEquals");
	CHECK_STR(json_string_value(json_object_get(equals, "s3:x-amz-acl")), "bucket-owner-full-control");
	json_decref(o);
}

TEST(every_right_has_a_remedy_that_names_its_statement)
{
	static const char *const sid[] = { "HydrantList", "HydrantWrite", "HydrantRead", "HydrantList", "If-None-Match", "HydrantAbort", "HydrantDelete" };
	for (int i = 0; i < STORE_RIGHTS; i++) {
		AUTO_MEM char *text = policy_remedy("s3://bucket/p", (enum store_right)i, NULL);
		CHECK(text && strstr(text, sid[i]));
	}
	CHECK(!policy_remedy("/folder", STORE_RIGHT_READ, NULL));
	struct err key = { .text = "PUT answered 403 AccessDenied: the KMS key may not be used (kms:GenerateDataKey, kms:Decrypt)" };
	AUTO_MEM char *text = policy_remedy("s3://bucket/p", STORE_RIGHT_WRITE, &key);
	CHECK(text && strstr(text, "HydrantKey") && !strstr(text, "HydrantWrite"));
}

TEST_MAIN()
