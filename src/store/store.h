/* The object store: where a lake lives: a folder, or s3://bucket/prefix at AWS and at what speaks its language.
 *
 * Promise: a key is absent or whole, never torn, also after a crash. store_put and store_put_file return once the bytes and the name are
 *   durable. STORE_CREATE is a compare-and-swap on absence: of any number of processes that create one key, exactly one gets RC_OK, the
 *   others RC_CONFLICT. A key never reaches outside the store: "..", ".", empty parts, absolute keys and control bytes are RC_INVALID.
 * Not promised: order or atomicity across keys; a listing that is a snapshot; protection from someone who puts symlinks into the folder.
 *   RC_IO with err.retryable after a put means "unknown": look before you decide. err.status of a bucket's refusal: 403 if a right is missing, 401 if
 *   it does not know, or not believe, who asks.
 * Ownership: results are the caller's to free. The store borrows nothing after a call returns.
 * Threads: one store may be used by any number of threads at once; only store_free must come last.
 *
 * Keys are relative paths, parts separated by one '/', at most STORE_KEY_MAX bytes. A "folder" is a key prefix that ends at a '/' (given
 * without it; "" is the whole store). Opening makes nothing: the folder comes to be with the first put.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/slice.h"

#define STORE_KEY_MAX 1024  /* bytes of a key: S3's limit */
#define STORE_PART_MAX 255  /* bytes between two '/': the limit of common file systems */
#define STORE_TEMP_FOLDER "_hydrant/tmp" /* unfinished files of a folder store, on the same file system as the lake */

struct store;

enum store_put_mode {
	STORE_CREATE, /* RC_CONFLICT if the key is there */
	STORE_REPLACE /* atomically in the place of what may be there */
};

struct store_entry {
	const char *key;  /* full key, from the store's root; valid during the call only */
	uint64_t size;    /* bytes; 0 for a folder */
	int64_t mtime;    /* µs since the epoch, by the store's clock; 0 for a folder */
	bool is_folder;   /* only from store_list_folder */
};
/* RC_OK goes on; anything else ends the listing and is returned by it. */
typedef rc_t (*store_each)(void *ctx, const struct store_entry *entry, struct err *reterr);

/* How a bucket stands in a request's URL. */
enum store_addressing {
	STORE_ADDRESSING_AUTO,   /* path style at an endpoint of one's own, virtual hosts at AWS unless the bucket's name has dots */
	STORE_ADDRESSING_PATH,   /* https://endpoint/bucket/key */
	STORE_ADDRESSING_VIRTUAL /* https://bucket.endpoint/key */
};

/* What a bucket may need beside its URL. All zero is right for a folder, and for a bucket that the AWS environment and profile files
 * describe: each member that is NULL, empty or 0 is looked for there (store_s3.c says where) and then has its default. Strings are copied. */
struct store_options {
	const char *region;             /* NULL: AWS_REGION, AWS_DEFAULT_REGION, the profile, or what the bucket answers */
	const char *endpoint;           /* "https://host[:port]"; NULL: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile, AWS */
	const char *role_arn;           /* assumed with the credentials that are found */
	const char *external_id;        /* the role's owner gave it; with role_arn only */
	const char *kms_key;            /* objects are encrypted with this key (id, ARN or alias); "" or NULL: the bucket's default */
	const char *profile;            /* of the AWS files; NULL: AWS_PROFILE */
	const char *access_key, *secret_key, *session_token; /* both keys or none; session_token only with temporary ones */
	const char *ca_file;            /* PEM; NULL: AWS_CA_BUNDLE, SSL_CERT_FILE, the system's */
	const char *temp_dir;           /* where files are built before they are uploaded; NULL: $TMPDIR, /var/tmp */
	const char *cache_dir;          /* for store_fetch and ranged reads; NULL: temp_dir/hydrant-cache-<uid> */
	uint64_t cache_bytes;           /* bound of that folder; 0: 4 GiB */
	bool owner_full_control;        /* objects go to a bucket of another account: its owner shall own them */
	enum store_addressing addressing;
};

/* Other credentials from now on: what opts says of profile, keys, role and external id; the rest of it is not looked at. On failure all is as it was. */
rc_t store_renew(struct store *s, const struct store_options *opts, struct err *reterr);
/* How long its requests, also those that run, wait for a store that does not answer: `tries` of each, of idle_us without a byte. 0, 0: as it was
 * opened, 8 of 30 s. Atomic. */
void store_set_patience(struct store *s, unsigned tries, int64_t idle_us);

/* url: a folder's path, file:///abs/path (percent-decoded), or s3://bucket/prefix. opts may be NULL. Nothing is asked of
 * a bucket yet. */
rc_t store_open(const char *url, const struct store_options *opts, struct store **ret, struct err *reterr);
void store_free(struct store *s);
AUTO_DEFINE(store, store_free)
/* "file:///abs/path" or "s3://bucket/prefix": absolute, no '/' at the end, as Iceberg's `location` wants it (not percent-encoded). */
const char *store_url(const struct store *s);
/* Absolute path of a key in a folder store, to open or to show; NULL if the store is none (store_fetch works for both). Caller frees. */
char *store_local_path(const struct store *s, const char *key);

/* Appends the object to *ret; ret->max bounds it (RC_LIMIT). RC_NOT_FOUND. */
rc_t store_get(struct store *s, const char *key, struct buf *ret, struct err *reterr);
/* Exactly len bytes from offset; RC_EOF if the object is shorter; RC_NOT_FOUND. For many reads of one local file open store_local_path. */
rc_t store_read(struct store *s, const char *key, uint64_t offset, size_t len, void *out, struct err *reterr);
/* RC_NOT_FOUND if absent (or a folder). Outputs may be NULL; mtime in µs. */
rc_t store_size(struct store *s, const char *key, uint64_t *ret_size, int64_t *ret_mtime, struct err *reterr);

rc_t store_put(struct store *s, const char *key, struct slice content, enum store_put_mode mode, struct err *reterr);
/* A finished local file becomes the key: synced, then linked or renamed (copied only across file systems). On RC_OK the local name is
 * gone; on failure it is still there. Build it at store_temp_path, so that nothing is copied. */
rc_t store_put_file(struct store *s, const char *key, const char *local, enum store_put_mode mode, struct err *reterr);
/* The same of many, each RC_OK or not by itself; where a request takes its time, several at once. The first failure is returned, what is `done` is
 * stored all the same. */
struct store_upload {
	const char *key, *local;
	bool done;
};
rc_t store_put_files(struct store *s, struct store_upload *uploads, size_t n, enum store_put_mode mode, struct err *reterr);
/* A unique, unused local path, its folder made, that suits store_put_file(key). Caller frees *ret and removes the file it abandons. */
rc_t store_temp_path(struct store *s, const char *key, char **ret, struct err *reterr);
/* Removes files older than min_age µs from the place of store_temp_path: what crashed processes left. Give it a day. */
rc_t store_sweep_temp(struct store *s, int64_t min_age, struct err *reterr);
rc_t store_delete(struct store *s, const char *key, struct err *reterr); /* absent is fine */
/* What was deleted in the folder stays so after a power cut; it may be gone itself. */
rc_t store_settle(struct store *s, const char *folder, struct err *reterr);
/* n keys, all of them below `folder` ("" is refused), as many in a request as the store takes; a folder store then loses the folders there that hold
 * nothing, `folder` too. Not atomic. Absent is fine. */
rc_t store_delete_keys(struct store *s, const char *folder, char *const *keys, size_t n, struct err *reterr);

/* Every object below the folder, at any depth; order unspecified. An absent folder lists nothing. */
rc_t store_list(struct store *s, const char *folder, store_each each, void *ctx, struct err *reterr);
/* One level: objects and folders directly in it. */
rc_t store_list_folder(struct store *s, const char *folder, store_each each, void *ctx, struct err *reterr);

/* A whole local copy of each object, for who can read local files only. A folder's objects are their own copies; a bucket's come into the cache
 * folder (bounded, least recently used first out, kept across restarts), a few at a time and large ones in several ranges at once. Objects
 * that never change only: a copy is known by key and size. The copies stay until store_release. RC_NOT_FOUND: one is gone; RC_CORRUPT: one
 * has another size than it should; RC_LIMIT: all of them at once are more than the cache may hold. On failure none is held. */
struct store_want {
	const char *key;
	uint64_t size;
};
rc_t store_fetch(struct store *s, const struct store_want *wants, size_t n, char **ret_paths, struct err *reterr);
void store_release(struct store *s, char *path); /* frees path; NULL is fine */

/* Can this store create without overwriting, as commits need it? key must be there and hold content: it is put once more, which must be
 * refused. RC_OK; RC_UNSUPPORTED, saying what the store does instead. Costs one request. */
rc_t store_check_create(struct store *s, const char *key, struct slice content, struct err *reterr);

/* Can an upload in parts be given up, so that its parts are not kept and paid for? One without parts is begun at key and given up. RC_OK also for
 * a folder, which has none. *ret_begun: it was; if it could not be given up, it stays. Costs two requests. */
rc_t store_check_abort(struct store *s, const char *key, bool *ret_begun, struct err *reterr);

/* What a bucket's answers tell of where and when it is. All "" and 0 for a folder. */
#define STORE_REGION_MAX 64
struct store_facts {
	char region_said[STORE_REGION_MAX]; /* by the settings or the environment; "" if nobody did */
	char region[STORE_REGION_MAX];      /* in use now: what the bucket answered, if it was another one */
	int64_t clock_ahead; /* µs that its clock is before ours, by its last answer (whole seconds) */
};
void store_get_facts(struct store *s, struct store_facts *ret);

/* What was asked of the store since it was opened. All 0 for a folder. */
#define STORE_KINDS 6
extern const char *const store_kind_names[STORE_KINDS]; /* "get", "head", "put", "list", "delete", "other", for requests[] */
struct store_stats {
	uint64_t requests[STORE_KINDS]; /* tries, too */
	uint64_t retries, errors;       /* errors: given up, or refused; an absent object is none */
	uint64_t bytes_up, bytes_down;  /* heads and bodies */
	uint64_t cache_hits, cache_misses; /* of store_fetch and of ranged reads */
};
void store_get_stats(struct store *s, struct store_stats *ret);

/* The store's time, against which the mtimes above make sense, and randomness and pauses for those who retry on it: rooms above the store
 * that may not include os (table) get them here, and a simulated store brings its own. */
int64_t store_now(struct store *s);               /* µs since the epoch */
void store_pause(struct store *s, int64_t us);
void store_random(struct store *s, void *out, size_t len);

rc_t store_key_check(const char *key, struct err *reterr); /* RC_INVALID, naming what is wrong */

/* ---- The seam: what a backend provides. Keys and folders arrive checked. ---- */
struct store_ops {
	const char *scheme; /* "file", "s3" */
	unsigned parallel;  /* puts that are worth making at once; 0: one after the other */
	void (*free)(void *self);
	char *(*local_path)(void *self, const char *key); /* NULL: none */
	rc_t (*get)(void *self, const char *key, struct buf *ret, struct err *reterr);
	rc_t (*read)(void *self, const char *key, uint64_t offset, size_t len, void *out, struct err *reterr);
	rc_t (*size)(void *self, const char *key, uint64_t *ret_size, int64_t *ret_mtime, struct err *reterr); /* outputs never NULL */
	rc_t (*put)(void *self, const char *key, struct slice content, enum store_put_mode mode, struct err *reterr);
	rc_t (*put_file)(void *self, const char *key, const char *local, enum store_put_mode mode, struct err *reterr);
	rc_t (*temp_path)(void *self, const char *key, char **ret, struct err *reterr);
	rc_t (*sweep_temp)(void *self, int64_t min_age, struct err *reterr);
	rc_t (*delete)(void *self, const char *key, struct err *reterr);
	rc_t (*delete_keys)(void *self, const char *folder, char *const *keys, size_t n, struct err *reterr);
	rc_t (*list)(void *self, const char *folder, bool recursive, store_each each, void *ctx, struct err *reterr);
	/* NULL for all three: objects are local files (local_path) */
	rc_t (*fetch)(void *self, const struct store_want *wants, size_t n, char **ret_paths, struct err *reterr);
	void (*release)(void *self, const char *path);
	void (*stats)(void *self, struct store_stats *ret);
	int64_t (*now)(void *self);
	void (*pause)(void *self, int64_t us);
	void (*random)(void *self, void *out, size_t len);
	/* NULL for all five: it has no uploads in parts, is on this machine, asks nobody who we are, and what it says is done stays done */
	rc_t (*renew)(void *self, const struct store_options *opts, struct err *reterr);
	void (*set_patience)(void *self, unsigned tries, int64_t idle_us);
	rc_t (*check_abort)(void *self, const char *key, bool *ret_begun, struct err *reterr);
	void (*facts)(void *self, struct store_facts *ret);
	rc_t (*settle)(void *self, const char *folder, struct err *reterr);
};
/* Takes `self` over (freed by ops->free). url as store_url gives it; copied. */
struct store *store_new(const struct store_ops *ops, void *self, const char *url);

#endif
