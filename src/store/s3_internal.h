/* Inside the S3 backend. store_s3.c: opening, reading, deleting · s3_request.c: one request, signed, tried again · s3_answer.c: what an answer
 * means · s3_upload.c: puts and multipart · s3_list.c: listings and batched deletes · s3_blocks.c: ranged reads · s3_cache.c: local copies. */
#ifndef STORE_S3_INTERNAL_H
#define STORE_S3_INTERNAL_H

#include <pthread.h>

#include "net/client.h"
#include "net/credentials.h"
#include "net/sign.h"
#include "net/xml.h"
#include "store/store_internal.h"

#define S3_PART_BYTES ((uint64_t)16 << 20) /* of a multipart upload; what is not larger goes in one PUT */
#define S3_PARTS_MAX 10000                 /* S3's limit: larger files get larger parts */
#define S3_PUT_MAX ((uint64_t)5 << 30)     /* S3's limit of one PUT */
#define S3_WORKERS 4                       /* requests of one upload or download at a time */
#define S3_XML_MAX ((size_t)16 << 20)      /* of an answer: a listing of 1,000 keys of 1,024 bytes, percent-encoded, is 4 MiB */
#define S3_REGION_MAX STORE_REGION_MAX
#define S3_DELETE_BATCH 1000

struct s3_cache;
struct s3_blocks;

struct s3 {
	char *bucket, *prefix;      /* prefix: "" or without '/' at its ends */
	char *scheme, *host, *base; /* of an endpoint of one's own; base: its path, "" or "/x"; host NULL: AWS */
	bool virtual_host;
	char *kms_key, *ca_file, *temp_dir;
	bool owner_full_control;
	struct aws_credentials *credentials;
	struct net_pool *pool;
	struct s3_cache *cache;
	struct s3_blocks *blocks;
	pthread_mutex_t lock;       /* of region */
	char region[S3_REGION_MAX];
	char region_said[S3_REGION_MAX]; /* set once */
	int64_t skew;               /* µs; our clock + skew is the server's; atomic, like the rest */
	int64_t ahead;              /* the same by the last answer's Date, not made use of */
	int64_t budget;             /* of tries after the first: see s3_request.c */
	unsigned tries;             /* store_set_patience; 0: the default */
	int64_t idle_us;
	bool no_batch_delete;       /* the server does not know DeleteObjects */
	struct store_stats stats;
};

enum s3_kind { S3_GET, S3_HEAD, S3_PUT, S3_LIST, S3_DELETE, S3_OTHER }; /* how a request is counted */

#define S3_PAIRS_MAX 10

struct s3_call {
	enum s3_kind kind;
	const char *method;
	const char *key;                      /* from the store's root; NULL: the bucket itself */
	struct sign_pair query[S3_PAIRS_MAX];
	size_t query_count;
	struct sign_pair headers[S3_PAIRS_MAX]; /* lower-case names */
	size_t header_count;
	/* the body: memory, or a file's range */
	struct slice body;
	bool from_file;
	int fd;
	uint64_t offset, len;
	const char *payload_hash;             /* hex SHA-256 of the body; NULL: it is computed */
	/* where a 2xx answer's body goes: at most one of them; each try begins anew */
	struct buf *ret_body;                 /* appended; its max is the limit */
	void *ret_memory;                     /* exactly ret_len bytes */
	bool to_file;                         /* exactly ret_len bytes of ret_fd from ret_offset on */
	int ret_fd;
	uint64_t ret_offset, ret_len;
	bool xml_in_200;                      /* the body of a 200 may be an error, and must be a whole document */
	bool create;                          /* If-None-Match: * */
	bool quiet_404;                       /* no error text is made for it: absence is what is asked about */
};
void s3_query(struct s3_call *c, const char *name, const char *value);
void s3_header(struct s3_call *c, const char *name, const char *value);

struct s3_answer {
	int status;
	bool unknown;             /* some try may have been applied although it did not say so */
	char code[64];            /* S3's, of an error; "" if there was none */
	char message[256];
	char request_id[80];
	char region[S3_REGION_MAX]; /* x-amz-bucket-region, or the error's */
	char etag[128];
	char checksum[16];        /* x-amz-checksum-crc32c of the whole object, base64; "" if none */
	char algorithm[16];       /* x-amz-checksum-algorithm */
	int64_t date;             /* µs; 0: none */
	int64_t modified;         /* µs; 0: none */
	uint64_t length;          /* Content-Length */
	uint64_t total;           /* of Content-Range; UINT64_MAX: none */
	int64_t retry_after;      /* µs */
	uint64_t got;             /* bytes that were taken of the body */
};

/* RC_OK: a 2xx answer, complete and intact. Anything else has its text in *reterr; *a tells the rest. */
rc_t s3_request(struct s3 *s, const struct s3_call *c, struct s3_answer *a, struct err *reterr);
/* s3://bucket/key, for messages. Caller frees. */
char *s3_name(const struct s3 *s, const char *key);
/* The full key in the bucket, or RC_INVALID when it is longer than S3 allows. Caller frees. */
rc_t s3_full_key(const struct s3 *s, const char *key, char **ret, struct err *reterr);

/* ---- s3_answer.c ---- */
void s3_answer_header(struct s3_answer *a, struct slice line);
void s3_answer_error(struct s3_answer *a, struct slice body); /* code, message, region of <Error> */
enum s3_verdict {
	S3_DONE,
	S3_AGAIN,       /* the same request may succeed later */
	S3_REGION,      /* … in the region that the answer names */
	S3_CLOCK,       /* … with the server's time */
	S3_CREDENTIALS, /* … with fresh credentials */
	S3_FAILED
};
enum s3_verdict s3_judge(const struct s3_answer *a);
rc_t s3_fail(const struct s3 *s, const struct s3_call *c, const struct s3_answer *a, struct err *reterr);
int64_t s3_http_date(const char *text); /* "Fri, 24 May 2013 00:00:00 GMT" as µs; 0: none */

/* ---- s3_upload.c ---- */
rc_t s3_put(void *self, const char *key, struct slice content, enum store_put_mode mode, struct err *reterr);
rc_t s3_put_file(void *self, const char *key, const char *local, enum store_put_mode mode, struct err *reterr);
/* ---- s3_multipart.c ---- */
rc_t s3_put_parts(struct s3 *s, const char *key, const char *local, int fd, uint64_t size, struct err *reterr);
rc_t s3_check_abort(void *self, const char *key, bool *ret_begun, struct err *reterr);
void s3_write_headers(const struct s3 *s, const char *key, struct s3_call *c); /* encryption, owner, type: of what makes an object */
/* SHA-256 (hex) and CRC-32C of a file's range, in one pass. */
rc_t s3_hash_file(int fd, const char *path, uint64_t offset, uint64_t len, char sha[SIGN_HASH_LEN + 1], uint32_t *ret_crc, struct err *reterr);

/* ---- s3_list.c ---- */
rc_t s3_list(void *self, const char *folder, bool recursive, store_each each, void *ctx, struct err *reterr);
rc_t s3_delete_keys(void *self, const char *folder, char *const *keys, size_t n, struct err *reterr);
rc_t s3_delete(void *self, const char *key, struct err *reterr);

/* ---- reading ---- */
rc_t s3_get(void *self, const char *key, struct buf *ret, struct err *reterr);
rc_t s3_size(void *self, const char *key, uint64_t *ret_size, int64_t *ret_mtime, struct err *reterr);
/* One range; *ret_etag (128 bytes) and *ret_total may be NULL. RC_EOF: the object is shorter. */
rc_t s3_range(struct s3 *s, const char *key, uint64_t offset, uint64_t len, void *out, char *ret_etag, uint64_t *ret_total, struct err *reterr);

/* s3_blocks.c: small reads of objects that do not change, through blocks in memory. */
struct s3_blocks *s3_blocks_new(void);
void s3_blocks_free(struct s3_blocks *b);
rc_t s3_read(void *self, const char *key, uint64_t offset, size_t len, void *out, struct err *reterr);
void s3_blocks_seen(struct s3 *s, const char *key, const char *etag, uint64_t size); /* an answer named the object's state */
void s3_blocks_forget(struct s3 *s, const char *key);

/* s3_cache.c: whole local copies */
rc_t s3_cache_open(const char *url, const char *dir, uint64_t bytes, struct s3_cache **ret, struct err *reterr);
void s3_cache_free(struct s3_cache *c);
rc_t s3_fetch(void *self, const struct store_want *wants, size_t n, char **ret_paths, struct err *reterr);
void s3_release(void *self, const char *path);

#endif
