/* The least that a bucket's owner must grant, as text.
 *
 * Promise: what is printed is enough for hydrant to write (or only read) the lake, and each statement is needed: without it `hydrant doctor`
 *   names that one. No network, no file.
 * Not promised: that the account's other policies (boundaries, organisation, VPC endpoint) let it through.
 * Ownership: results are the caller's to free. Threads: any.
 */
#ifndef APP_POLICY_H
#define APP_POLICY_H

#include "base/buf.h"
#include "base/err.h"
#include "store/probe.h"

enum policy_format {
	POLICY_IAM,    /* attached to hydrant's own user or role */
	POLICY_BUCKET, /* attached to the bucket by its owner; says who may */
	POLICY_KMS     /* attached to the key by its owner; when hydrant is of another account */
};

struct policy_request {
	const char *lake;      /* s3://BUCKET[/PREFIX] */
	const char *principal; /* ARN or what the store calls a user; needed by bucket and KMS policies */
	const char *kms_key;   /* ARN; NULL: none */
	bool read_only, maintenance, owner_full_control;
	bool ack_store;        /* the log's objects are written there, and removed */
};

rc_t policy_text(const struct policy_request *r, enum policy_format format, char **ret, struct err *reterr);

/* One line in the bucket owner's words: which statement is missing, on what, and what comes of it; why: what the store said. NULL for a lake that is
 * no s3:// URL. Caller frees. */
char *policy_remedy(const char *lake, enum store_right right, const struct err *why);

#endif
