/* Puts in one request. A create is `If-None-Match: *`: the server is the one who compares. */
#include <errno.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/hash.h"
#include "os/file.h"
#include "store/s3_internal.h"

#define HASH_STEP ((size_t)256 << 10)

void s3_write_headers(const struct s3 *s, const char *key, struct s3_call *c)
{
	size_t n = strlen(key);
	bool json = n > 5 && !strcmp(key + n - 5, ".json");
	s3_header(c, "content-type", json ? "application/json" : "application/octet-stream");
	if (s->kms_key) {
		s3_header(c, "x-amz-server-side-encryption", "aws:kms");
		s3_header(c, "x-amz-server-side-encryption-aws-kms-key-id", s->kms_key);
	}
	if (s->owner_full_control)
		s3_header(c, "x-amz-acl", "bucket-owner-full-control");
}

rc_t s3_hash_file(int fd, const char *path, uint64_t offset, uint64_t len, char sha[SIGN_HASH_LEN + 1], uint32_t *ret_crc, struct err *reterr)
{
	uint8_t *step = mem_alloc(HASH_STEP);
	struct sha256 *h = sha256_new();
	uint32_t crc = 0;
	rc_t rc = RC_OK;
	for (uint64_t at = 0; rc == RC_OK && at < len;) {
		size_t n = len - at < HASH_STEP ? (size_t)(len - at) : HASH_STEP;
		rc = file_pread(fd, path, step, n, offset + at, NULL, reterr);
		sha256_add(h, step, n);
		crc = crc32c(crc, step, n);
		at += n;
	}
	sha256_end(h, sha);
	free(step);
	*ret_crc = crc;
	return rc;
}

static void as_create(struct s3_call *c)
{
	c->create = true;
	s3_header(c, "if-none-match", "*");
}

/* Is the object that stands there the one that we were putting? RC_OK yes, RC_CONFLICT no. */
static rc_t is_ours(struct s3 *s, const char *key, struct slice content, struct err *reterr)
{
	AUTO_BUF struct buf b;
	buf_init(&b, content.len);
	rc_t rc = s3_get(s, key, &b, reterr);
	if (rc == RC_LIMIT || (rc == RC_OK && !slice_eq(buf_slice(&b), content)))
		return err_set(reterr, RC_CONFLICT, "%s is there already", key);
	return rc;
}

/* The same of a file, piece by piece. */
static rc_t is_ours_file(struct s3 *s, const char *key, const char *path, int fd, uint64_t size, struct err *reterr)
{
	uint64_t have;
	int64_t mtime;
	TRY(s3_size(s, key, &have, &mtime, reterr));
	rc_t rc = have == size ? RC_OK : err_set(reterr, RC_CONFLICT, "%s is there already", key);
	uint8_t *theirs = mem_alloc(HASH_STEP), *ours = mem_alloc(HASH_STEP);
	for (uint64_t at = 0; rc == RC_OK && at < size;) {
		size_t n = size - at < HASH_STEP ? (size_t)(size - at) : HASH_STEP;
		rc = file_pread(fd, path, ours, n, at, NULL, reterr);
		if (rc == RC_OK)
			rc = s3_range(s, key, at, n, theirs, NULL, NULL, reterr);
		if (rc == RC_OK && memcmp(ours, theirs, n) != 0)
			rc = err_set(reterr, RC_CONFLICT, "%s is there already", key);
		at += n;
	}
	free(theirs);
	free(ours);
	return rc;
}

static rc_t refused_create(const struct s3 *s, const char *key, struct err *reterr)
{
	AUTO_MEM char *name = s3_name(s, key);
	return err_set(reterr, RC_UNSUPPORTED,
		       "%s: the server refuses If-None-Match, with which hydrant commits without overwriting others' work; `hydrant doctor` says "
		       "which stores have it",
		       name);
}

/* Does what stands there say what became of a create? A server that has lost a race of two creates may answer it with a 409 of its own. */
static bool is_to_be_looked_at(rc_t rc, const struct s3_answer *a)
{
	return (rc == RC_CONFLICT && a->unknown) || (rc == RC_IO && a->status == 409);
}

/* seen: what stands there; RC_OK: ours. Nothing: it was there for others, and has gone again; or it never was, and the server's word stands. */
static rc_t looked(rc_t seen, rc_t rc, const struct err *e, struct err *reterr)
{
	if (seen != RC_NOT_FOUND)
		return seen;
	if (reterr) {
		*reterr = *e;
		reterr->retryable = true;
	}
	return rc;
}

/* What the answer to a create means, when it was not yes. */
static rc_t create_failed(const struct s3 *s, const char *key, const struct s3_answer *a, rc_t rc, struct err *reterr)
{
	AUTO_MEM char *name = s3_name(s, key);
	bool no_such_header = a->status == 501 || (a->status == 400 && (!strcmp(a->code, "NotImplemented") || strcasestr(a->message, "none-match")));
	if (no_such_header)
		return refused_create(s, key, reterr);
	return rc == RC_CONFLICT ? err_set(reterr, RC_CONFLICT, "%s is there already", name) : rc;
}

rc_t s3_put(void *self, const char *key, struct slice content, enum store_put_mode mode, struct err *reterr)
{
	struct s3 *s = self;
	char checksum[9];
	struct s3_answer a;
	struct s3_call c = { .kind = S3_PUT, .method = "PUT", .key = key, .body = content };
	crc_base64(crc32c(0, content.data, content.len), checksum);
	s3_write_headers(s, key, &c);
	s3_header(&c, "x-amz-checksum-crc32c", checksum);
	if (mode == STORE_CREATE)
		as_create(&c);
	fault_point("store.before_name");
	struct err e = { 0 };
	rc_t rc = s3_request(s, &c, &a, &e);
	s3_blocks_forget(s, key);
	if (rc != RC_OK && reterr)
		*reterr = e;
	if (mode == STORE_CREATE && is_to_be_looked_at(rc, &a))
		rc = looked(is_ours(s, key, content, reterr), rc, &e, reterr);
	if (mode == STORE_CREATE && rc != RC_OK)
		rc = create_failed(s, key, &a, rc, reterr);
	if (rc == RC_OK)
		fault_point("store.after_name");
	return rc;
}

static rc_t put_file_whole(struct s3 *s, const char *key, const char *local, int fd, uint64_t size, enum store_put_mode mode, struct err *reterr)
{
	char sha[SIGN_HASH_LEN + 1], checksum[9];
	uint32_t crc;
	struct s3_answer a;
	if (size > S3_PUT_MAX)
		return err_set(reterr, RC_LIMIT, "%s: a file of %llu bytes cannot be created in one request (5 GiB at most)", key,
			       (unsigned long long)size);
	TRY(s3_hash_file(fd, local, 0, size, sha, &crc, reterr));
	crc_base64(crc, checksum);
	struct s3_call c = { .kind = S3_PUT, .method = "PUT", .key = key, .from_file = true, .fd = fd, .len = size, .payload_hash = sha };
	s3_write_headers(s, key, &c);
	s3_header(&c, "x-amz-checksum-crc32c", checksum);
	if (mode == STORE_CREATE)
		as_create(&c);
	struct err e = { 0 };
	rc_t rc = s3_request(s, &c, &a, &e);
	if (rc != RC_OK && reterr)
		*reterr = e;
	if (mode == STORE_CREATE && is_to_be_looked_at(rc, &a))
		rc = looked(is_ours_file(s, key, local, fd, size, reterr), rc, &e, reterr);
	return mode == STORE_CREATE && rc != RC_OK ? create_failed(s, key, &a, rc, reterr) : rc;
}

rc_t s3_put_file(void *self, const char *key, const char *local, enum store_put_mode mode, struct err *reterr)
{
	struct s3 *s = self;
	int fd;
	uint64_t size;
	TRY(file_open(local, FILE_READ, &fd, reterr));
	rc_t rc = file_size(fd, local, &size, reterr);
	fault_point("store.file_synced");
	fault_point("store.before_name");
	if (rc == RC_OK && (mode == STORE_CREATE || size <= S3_PART_BYTES))
		rc = put_file_whole(s, key, local, fd, size, mode, reterr);
	else if (rc == RC_OK)
		rc = s3_put_parts(s, key, local, fd, size, reterr);
	file_close(fd);
	s3_blocks_forget(s, key);
	if (rc != RC_OK)
		return rc;
	fault_point("store.after_name");
	return file_remove(local, reterr);
}
