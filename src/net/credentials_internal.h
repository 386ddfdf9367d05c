/* The sources of keys; credentials.c puts them in order. Each fills *ret (empty before) or says why not, without a secret in it. */
#ifndef NET_CREDENTIALS_INTERNAL_H
#define NET_CREDENTIALS_INTERNAL_H

#include "base/buf.h"
#include "net/credentials.h"

#define KEYS_TEXT_MAX ((size_t)64 << 10) /* of any answer that holds keys */

/* credentials_process.c: the output of `command` (by /bin/sh), 60 s at most. */
rc_t keys_from_process(const char *command, struct aws_keys *ret, struct err *reterr);
/* credentials_http.c */
rc_t keys_from_container(struct aws_keys *ret, struct err *reterr);
rc_t keys_from_instance(struct aws_keys *ret, struct err *reterr);

struct sts_request {
	const char *url;          /* of STS */
	const char *region;
	const char *ca_file;
	const char *role_arn, *external_id, *session_name;
	unsigned duration;        /* s; 0: STS's default */
};
rc_t keys_from_role(const struct sts_request *r, const struct aws_keys *as, struct aws_keys *ret, struct err *reterr);
rc_t keys_from_web_identity(const struct sts_request *r, const char *token_file, struct aws_keys *ret, struct err *reterr);

/* {"AccessKeyId":…,"SecretAccessKey":…,token_name:…,"Expiration":…}; what names the source. */
rc_t keys_from_json(struct slice text, const char *token_name, const char *what, struct aws_keys *ret, struct err *reterr);
void secret_buf_free(struct buf *b); /* zeroed */

#endif
