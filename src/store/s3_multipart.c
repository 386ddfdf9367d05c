/* Large files in parts, a few at a time, each read from the file as it goes out: memory does not grow with the file. A failure aborts the upload,
 * so that its parts are not kept and paid for; a crash in between leaves them, which the bucket's life-cycle rule for incomplete uploads ends. */
#include <stdio.h>

#include "base/fault.h"
#include "base/hash.h"
#include "store/s3_internal.h"

struct part {
	char etag[128];
	char checksum[9];
};

struct upload {
	struct s3 *s;
	const char *key, *local;
	int fd;
	uint64_t size, part_bytes;
	unsigned count;
	struct part *parts;
	char id[1024];
	bool checksums;       /* the server keeps CRC-32C of parts */
	pthread_mutex_t lock; /* of what follows */
	unsigned next;
	rc_t rc;
	struct err err;
};

static rc_t begin(struct upload *u, struct err *reterr)
{
	struct s3_answer a;
	AUTO_BUF struct buf body;
	AUTO_BUF struct buf id;
	buf_init(&body, S3_XML_MAX);
	buf_init(&id, sizeof u->id - 1);
	struct s3_call c = { .kind = S3_PUT, .method = "POST", .key = u->key, .ret_body = &body, .xml_in_200 = true };
	s3_query(&c, "uploads", "");
	s3_write_headers(u->s, u->key, &c);
	s3_header(&c, "x-amz-checksum-algorithm", "CRC32C");
	TRY(s3_request(u->s, &c, &a, reterr));
	if (!xml_find(buf_slice(&body), "InitiateMultipartUploadResult/UploadId", &id) || !id.len || id.overflow)
		return err_set(reterr, RC_IO, "%s: the server began an upload and did not name it", u->key);
	snprintf(u->id, sizeof u->id, "%s", buf_cstr(&id));
	u->checksums = !strcmp(a.algorithm, "CRC32C");
	return RC_OK;
}

static rc_t send_part(struct upload *u, unsigned i, struct err *reterr)
{
	uint64_t from = i * u->part_bytes, len = u->size - from < u->part_bytes ? u->size - from : u->part_bytes;
	char sha[SIGN_HASH_LEN + 1], number[16];
	uint32_t crc;
	struct s3_answer a;
	TRY(s3_hash_file(u->fd, u->local, from, len, sha, &crc, reterr));
	crc_base64(crc, u->parts[i].checksum);
	snprintf(number, sizeof number, "%u", i + 1);
	struct s3_call c = { .kind = S3_PUT, .method = "PUT", .key = u->key, .from_file = true, .fd = u->fd, .offset = from, .len = len, .payload_hash = sha };
	s3_query(&c, "partNumber", number);
	s3_query(&c, "uploadId", u->id);
	if (u->checksums)
		s3_header(&c, "x-amz-checksum-crc32c", u->parts[i].checksum);
	TRY(s3_request(u->s, &c, &a, reterr));
	if (!a.etag[0])
		return err_set(reterr, RC_IO, "%s: the server took part %u and gave no ETag", u->key, i + 1);
	memcpy(u->parts[i].etag, a.etag, sizeof a.etag);
	return RC_OK;
}

static void *worker(void *arg)
{
	struct upload *u = arg;
	for (;;) {
		pthread_mutex_lock(&u->lock);
		unsigned i = u->rc == RC_OK ? u->next++ : u->count;
		pthread_mutex_unlock(&u->lock);
		if (i >= u->count)
			return NULL;
		struct err e = { 0 };
		rc_t rc = send_part(u, i, &e);
		if (rc == RC_OK)
			continue;
		pthread_mutex_lock(&u->lock);
		if (u->rc == RC_OK) {
			u->rc = rc;
			u->err = e;
		}
		pthread_mutex_unlock(&u->lock);
	}
}

static rc_t send_parts(struct upload *u, struct err *reterr)
{
	pthread_t threads[S3_WORKERS];
	unsigned n = 0, want = u->count < S3_WORKERS ? u->count : S3_WORKERS;
	for (; n + 1 < want; n++)
		if (pthread_create(&threads[n], NULL, worker, u) != 0)
			break;
	worker(u); /* this thread, too: no thread to be had is no failure */
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	if (u->rc != RC_OK && reterr)
		*reterr = u->err;
	return u->rc;
}

static void xml_text(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '&')
			buf_append_str(b, "&amp;");
		else if (*s == '<')
			buf_append_str(b, "&lt;");
		else if (*s == '"')
			buf_append_str(b, "&quot;");
		else
			buf_byte(b, (uint8_t)*s);
	}
}

/* A completion that was applied without our hearing of it leaves no upload, and the object. */
static rc_t completed_unheard(struct upload *u, const struct s3_answer *a, rc_t rc, struct err *reterr)
{
	char tail[16];
	char etag[128] = "";
	uint64_t total = 0;
	uint8_t first;
	if (rc == RC_OK || !a->unknown || strcmp(a->code, "NoSuchUpload") != 0)
		return rc;
	if (s3_range(u->s, u->key, 0, 1, &first, etag, &total, NULL) != RC_OK || total != u->size)
		return rc;
	snprintf(tail, sizeof tail, "-%u\"", u->count);
	size_t n = strlen(etag), t = strlen(tail);
	if (n < t || strcmp(etag + n - t, tail) != 0)
		return rc;
	err_clear(reterr);
	return RC_OK;
}

static rc_t complete(struct upload *u, struct err *reterr)
{
	struct s3_answer a;
	AUTO_BUF struct buf request;
	AUTO_BUF struct buf body;
	buf_init(&request, S3_XML_MAX);
	buf_init(&body, S3_XML_MAX);
	buf_append_str(&request, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (unsigned i = 0; i < u->count; i++) {
		buf_printf(&request, "<Part><PartNumber>%u</PartNumber><ETag>", i + 1);
		xml_text(&request, u->parts[i].etag);
		buf_append_str(&request, "</ETag>");
		if (u->checksums)
			buf_printf(&request, "<ChecksumCRC32C>%s</ChecksumCRC32C>", u->parts[i].checksum);
		buf_append_str(&request, "</Part>");
	}
	buf_append_str(&request, "</CompleteMultipartUpload>");
	struct s3_call c = { .kind = S3_PUT, .method = "POST", .key = u->key, .body = buf_slice(&request), .ret_body = &body, .xml_in_200 = true };
	s3_query(&c, "uploadId", u->id);
	s3_header(&c, "content-type", "application/xml");
	rc_t rc = s3_request(u->s, &c, &a, reterr);
	return completed_unheard(u, &a, rc, reterr);
}

static rc_t abort_upload(struct upload *u, struct err *reterr)
{
	struct s3_answer a;
	struct s3_call c = { .kind = S3_DELETE, .method = "DELETE", .key = u->key };
	s3_query(&c, "uploadId", u->id);
	return s3_request(u->s, &c, &a, reterr);
}

rc_t s3_check_abort(void *self, const char *key, bool *ret_begun, struct err *reterr)
{
	struct upload u = { .s = self, .key = key };
	TRY(begin(&u, reterr));
	*ret_begun = true;
	return abort_upload(&u, reterr);
}

rc_t s3_put_parts(struct s3 *s, const char *key, const char *local, int fd, uint64_t size, struct err *reterr)
{
	struct upload u = { .s = s, .key = key, .local = local, .fd = fd, .size = size, .part_bytes = S3_PART_BYTES };
	while ((size + u.part_bytes - 1) / u.part_bytes > S3_PARTS_MAX)
		u.part_bytes *= 2;
	u.count = (unsigned)((size + u.part_bytes - 1) / u.part_bytes);
	TRY(begin(&u, reterr));
	pthread_mutex_init(&u.lock, NULL);
	u.parts = mem_zalloc(u.count, sizeof *u.parts);
	rc_t rc = send_parts(&u, reterr);
	fault_point("store.parts_sent");
	if (rc == RC_OK)
		rc = complete(&u, reterr);
	if (rc != RC_OK)
		abort_upload(&u, NULL); /* what is left then is the life-cycle rule's */
	pthread_mutex_destroy(&u.lock);
	free(u.parts);
	return rc;
}
