/* Who we are to AWS and to stores that speak its language: the chain that every AWS user expects.
 *
 *   1 the parameters, or an explicit `profile` parameter   2 AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *   3 the profile's role_arn (source_profile, credential_source, web_identity_token_file)   4 AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN
 *   5 the profile's keys   6 its credential_process   7 the container's endpoint (AWS_CONTAINER_CREDENTIALS_…)   8 instance metadata v2
 * and, with role_arn, AssumeRole on top of what was found.
 *
 * Promise: the first of them that is configured is it: an error of it is reported, not passed over. Temporary keys are asked for anew before
 *   they expire; while that fails the old ones serve to their end. Profile files that change are read again, within seconds, or as soon as a server
 *   refuses the keys that were in them. Every source has a time limit. Keys are zeroed when freed, and no key, token
 *   or answer of a source stands in an error's text.
 * Not promised: SSO (RC_UNSUPPORTED, saying what to do), instance metadata v1.
 * Ownership: strings are copied.
 * Threads: any; a refresh runs in one of them, the others wait for it only if there is nothing valid.
 */
#ifndef NET_CREDENTIALS_H
#define NET_CREDENTIALS_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct aws_keys {
	char *access_key, *secret_key;
	char *session_token; /* NULL: permanent keys */
	int64_t expires;     /* µs since the epoch; INT64_MAX: never */
};
void aws_keys_clear(struct aws_keys *k); /* zeroed and freed; twice is harmless */

struct aws_credentials_options {
	const char *access_key, *secret_key, *session_token;
	const char *profile;
	const char *role_arn, *external_id; /* on top */
	const char *region;                 /* of STS; NULL: us-east-1 */
	const char *endpoint;               /* where STS is, too, at a store of one's own; NULL: AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL, AWS */
	const char *ca_file;
};

struct aws_credentials;
/* Asks nobody yet. RC_INVALID: one key without the other, an unknown profile, a loop of profiles. */
rc_t aws_credentials_new(const struct aws_credentials_options *o, struct aws_credentials **ret, struct err *reterr);
void aws_credentials_free(struct aws_credentials *c);
AUTO_DEFINE(aws_credentials, aws_credentials_free)
/* A copy of valid keys. RC_NOT_FOUND: nothing is configured anywhere; RC_IO, with the status of who refused. */
rc_t aws_credentials_get(struct aws_credentials *c, struct aws_keys *ret, struct err *reterr);
/* Other parameters from now on: keys, profile, role and external id of *o; the rest stays. What was given out serves on. On failure nothing changes. */
rc_t aws_credentials_renew(struct aws_credentials *c, const struct aws_credentials_options *o, struct err *reterr);
/* A server said that it does not take these keys, or that they have expired: the next get asks anew, unless somebody has meanwhile. True if that can help. */
bool aws_credentials_expired(struct aws_credentials *c, const char *access_key);

#endif
