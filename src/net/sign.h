/* AWS Signature Version 4: what makes an S3 or STS request ours.
 *
 * Promise: the Authorization header of the request exactly as described: every header given is signed, names in lower case and sorted,
 *   values trimmed; the query sorted by encoded name and value; the path encoded once, as S3 wants it (a path that other services would
 *   normalise, such as one with "." parts, is for S3 keys only). Tested with the values that AWS publishes.
 * Not promised: presigned URLs, chunked (streaming) signatures.
 * Threads: no state.
 */
#ifndef NET_SIGN_H
#define NET_SIGN_H

#include "base/buf.h"
#include "base/slice.h"

#define SIGN_TIME_LEN 16 /* "20150830T123600Z" */
#define SIGN_HASH_LEN 64 /* SHA-256 in lower-case hex */
#define SIGN_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

struct sign_pair {
	const char *name;  /* raw, not encoded */
	const char *value; /* raw; NULL counts as "" */
};

struct sign_request {
	const char *method;
	const char *path;                 /* raw, from its '/' on */
	const struct sign_pair *query;
	size_t query_count;
	const struct sign_pair *headers;  /* with host and x-amz-date; with x-amz-security-token for temporary keys */
	size_t header_count;
	const char *payload_hash;         /* hex, or SIGN_UNSIGNED_PAYLOAD */
	const char *time;                 /* the value of x-amz-date */
	const char *region, *service;
	const char *access_key, *secret_key;
};

/* The value of Authorization, appended. */
void sign_v4(const struct sign_request *r, struct buf *ret);
/* What is hashed and signed on the way: for tests, and for who compares with a server's SignatureDoesNotMatch. */
void sign_canonical(const struct sign_request *r, struct buf *ret);
void sign_time(int64_t us, char out[SIGN_TIME_LEN + 1]);
/* Appends s percent-encoded as AWS does it: all but A-Z a-z 0-9 - _ . ~ (and '/' if it is kept), upper-case hex. */
void sign_encode(struct slice s, bool keep_slash, struct buf *ret);

/* SHA-256 in hex, whole or in pieces. */
void sha256_hex(struct slice s, char out[SIGN_HASH_LEN + 1]);
struct sha256;
struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *h, const void *data, size_t len);
void sha256_end(struct sha256 *h, char out[SIGN_HASH_LEN + 1]); /* frees h */
/* Content-MD5, base64: 24 characters; and 4 bytes of a CRC in base64, big-endian, as the x-amz-checksum headers want it. */
void md5_base64(struct slice s, char out[25]);
void crc_base64(uint32_t crc, char out[9]);

#endif
