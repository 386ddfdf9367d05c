/* Ranged reads of objects that do not change, through blocks in memory: a reader of Parquet asks for a footer, an index, a few pages at a time, and
 * each request costs a round trip and money. What is missing of a read is fetched in one request; a read that goes on where the last fetch
 * ended fetches ahead, twice as much each time. Large reads go straight through. Blocks of another ETag are another object's: they are dropped. */
#include <stdio.h>

#include "base/hash.h"
#include "base/map.h"
#include "store/s3_internal.h"

#define BLOCK_BYTES ((uint64_t)256 << 10)
#define BLOCKS_MAX 64                    /* 16 MiB for a store */
#define AHEAD_MAX 8                      /* blocks in one fetch, unless the read itself is longer */
#define DIRECT_BYTES ((size_t)2 << 20)   /* reads of so much are not kept */
#define KEYS_MAX 4096                    /* objects whose size is remembered */

struct object {
	char etag[128];
	uint64_t size;
	uint64_t next;  /* block behind the last fetch */
	unsigned ahead; /* blocks of the next one */
};

struct block {
	uint64_t key;   /* hash of the object's key; 0: free */
	uint64_t index;
	uint64_t used;  /* of a running number: the smallest goes first */
	uint8_t *data;  /* BLOCK_BYTES, fewer at the object's end */
};

struct s3_blocks {
	pthread_mutex_t lock;
	struct map objects; /* key → struct object */
	struct block blocks[BLOCKS_MAX];
	uint64_t clock;
};

struct s3_blocks *s3_blocks_new(void)
{
	struct s3_blocks *b = NEW(struct s3_blocks);
	pthread_mutex_init(&b->lock, NULL);
	map_init(&b->objects);
	return b;
}

static void objects_clear(struct s3_blocks *b)
{
	for (struct map_entry *e = NULL; (e = map_next(&b->objects, e));)
		free((void *)e->value);
	map_reset(&b->objects);
}

void s3_blocks_free(struct s3_blocks *b)
{
	if (!b)
		return;
	objects_clear(b);
	map_free(&b->objects);
	for (size_t i = 0; i < BLOCKS_MAX; i++)
		free(b->blocks[i].data);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static uint64_t key_hash(const char *key)
{
	return hash64(slice_str(key)) | 1;
}

/* ---- with the lock held ---- */

static void drop(struct s3_blocks *b, uint64_t key)
{
	for (size_t i = 0; i < BLOCKS_MAX; i++)
		if (b->blocks[i].key == key)
			b->blocks[i].key = 0;
}

static struct object *object_of(struct s3_blocks *b, const char *key)
{
	uintptr_t *found = map_get(&b->objects, slice_str(key));
	return found ? (struct object *)*found : NULL;
}

/* An answer named the object's state. True if it is the known one. */
static bool seen(struct s3_blocks *b, const char *key, const char *etag, uint64_t size)
{
	struct object *o = object_of(b, key);
	if (o && o->size == size && !strcmp(o->etag, etag))
		return true;
	drop(b, key_hash(key));
	if (!o) {
		if (b->objects.count >= KEYS_MAX)
			objects_clear(b);
		o = NEW(struct object);
		*map_put(&b->objects, slice_str(key), NULL) = (uintptr_t)o;
	}
	*o = (struct object){ .size = size, .ahead = 1, .next = UINT64_MAX };
	snprintf(o->etag, sizeof o->etag, "%s", etag);
	return false;
}

static struct block *find(struct s3_blocks *b, uint64_t key, uint64_t index)
{
	for (size_t i = 0; i < BLOCKS_MAX; i++)
		if (b->blocks[i].key == key && b->blocks[i].index == index)
			return &b->blocks[i];
	return NULL;
}

static void keep(struct s3_blocks *b, uint64_t key, uint64_t index, const uint8_t *data, size_t len)
{
	struct block *to = find(b, key, index);
	for (size_t i = 0; !to && i < BLOCKS_MAX; i++)
		if (!b->blocks[i].key)
			to = &b->blocks[i];
	if (!to) {
		to = &b->blocks[0];
		for (size_t i = 1; i < BLOCKS_MAX; i++)
			if (b->blocks[i].used < to->used)
				to = &b->blocks[i];
	}
	if (!to->data)
		to->data = mem_alloc(BLOCK_BYTES);
	memcpy(to->data, data, len);
	to->key = key;
	to->index = index;
	to->used = ++b->clock;
}

/* Copies what of [offset, offset + len) stands in block `index`. */
static void copy_out(const uint8_t *block, uint64_t index, uint64_t offset, size_t len, uint8_t *out)
{
	uint64_t start = index * BLOCK_BYTES, from = offset > start ? offset : start;
	uint64_t end = offset + len < start + BLOCK_BYTES ? offset + len : start + BLOCK_BYTES;
	memcpy(out + (from - offset), block + (from - start), (size_t)(end - from));
}

/* Gives what is there, and says which blocks are not: *ret_first > *ret_last if all are. */
static void take(struct s3_blocks *b, const char *key, uint64_t offset, size_t len, uint8_t *out, uint64_t *ret_first, uint64_t *ret_last)
{
	uint64_t k = key_hash(key), last = (offset + len - 1) / BLOCK_BYTES;
	*ret_first = UINT64_MAX;
	*ret_last = 0;
	for (uint64_t i = offset / BLOCK_BYTES; i <= last; i++) {
		struct block *block = find(b, k, i);
		if (block) {
			block->used = ++b->clock;
			copy_out(block->data, i, offset, len, out);
			continue;
		}
		if (*ret_first == UINT64_MAX)
			*ret_first = i;
		*ret_last = i;
	}
}

/* The last block to fetch when `first` to `last` are missing. */
static uint64_t with_ahead(struct object *o, uint64_t first, uint64_t last)
{
	uint64_t end = (o->size - 1) / BLOCK_BYTES;
	o->ahead = first == o->next ? (o->ahead * 2 < AHEAD_MAX ? o->ahead * 2 : AHEAD_MAX) : 1;
	if (last - first + 1 < o->ahead)
		last = first + o->ahead - 1;
	last = last < end ? last : end;
	o->next = last + 1;
	return last;
}

/* ---- the door ---- */

void s3_blocks_seen(struct s3 *s, const char *key, const char *etag, uint64_t size)
{
	pthread_mutex_lock(&s->blocks->lock);
	seen(s->blocks, key, etag, size);
	pthread_mutex_unlock(&s->blocks->lock);
}

void s3_blocks_forget(struct s3 *s, const char *key)
{
	struct s3_blocks *b = s->blocks;
	pthread_mutex_lock(&b->lock);
	struct object *o = object_of(b, key);
	if (o) {
		drop(b, key_hash(key));
		free(o);
		map_remove(&b->objects, slice_str(key));
	}
	pthread_mutex_unlock(&b->lock);
}

static rc_t known_size(struct s3 *s, const char *key, uint64_t *ret, struct err *reterr)
{
	int64_t mtime;
	pthread_mutex_lock(&s->blocks->lock);
	struct object *o = object_of(s->blocks, key);
	if (o)
		*ret = o->size;
	pthread_mutex_unlock(&s->blocks->lock);
	return o ? RC_OK : s3_size(s, key, ret, &mtime, reterr);
}

/* Fetches blocks first to last (and ahead), keeps them and gives of them what was asked for. RC_AGAIN: the object is another one now. */
static rc_t fetch(struct s3 *s, const char *key, uint64_t first, uint64_t last, uint64_t offset, size_t len, uint8_t *out, struct err *reterr)
{
	struct s3_blocks *b = s->blocks;
	char etag[128];
	uint64_t total, size = 0;
	pthread_mutex_lock(&b->lock);
	struct object *o = object_of(b, key);
	if (o) {
		last = with_ahead(o, first, last);
		size = o->size;
	}
	pthread_mutex_unlock(&b->lock);
	if (!o)
		return RC_AGAIN;
	uint64_t from = first * BLOCK_BYTES, end = (last + 1) * BLOCK_BYTES < size ? (last + 1) * BLOCK_BYTES : size;
	AUTO_MEM uint8_t *data = mem_alloc((size_t)(end - from));
	rc_t rc = s3_range(s, key, from, end - from, data, etag, &total, reterr);
	pthread_mutex_lock(&b->lock);
	if (rc == RC_OK && !seen(b, key, etag, total))
		rc = RC_AGAIN;
	for (uint64_t i = first; rc == RC_OK && i <= last; i++) {
		uint64_t at = i * BLOCK_BYTES - from, n = end - from - at < BLOCK_BYTES ? end - from - at : BLOCK_BYTES;
		keep(b, key_hash(key), i, data + at, (size_t)n);
		if (i <= (offset + len - 1) / BLOCK_BYTES)
			copy_out(data + at, i, offset, len, out);
	}
	pthread_mutex_unlock(&b->lock);
	return rc;
}

static rc_t read_once(struct s3 *s, const char *key, uint64_t offset, size_t len, uint8_t *out, struct err *reterr)
{
	uint64_t size, first, last;
	TRY(known_size(s, key, &size, reterr));
	if (offset > size || len > size - offset)
		return err_set(reterr, RC_EOF, "%s has %llu bytes", key, (unsigned long long)size);
	if (len == 0)
		return RC_OK;
	if (len >= DIRECT_BYTES) {
		char etag[128];
		uint64_t total;
		TRY(s3_range(s, key, offset, len, out, etag, &total, reterr));
		pthread_mutex_lock(&s->blocks->lock);
		bool same = seen(s->blocks, key, etag, total);
		pthread_mutex_unlock(&s->blocks->lock);
		return same ? RC_OK : RC_AGAIN;
	}
	pthread_mutex_lock(&s->blocks->lock);
	take(s->blocks, key, offset, len, out, &first, &last);
	pthread_mutex_unlock(&s->blocks->lock);
	__atomic_fetch_add(first > last ? &s->stats.cache_hits : &s->stats.cache_misses, 1, __ATOMIC_RELAXED);
	return first > last ? RC_OK : fetch(s, key, first, last, offset, len, out, reterr);
}

rc_t s3_read(void *self, const char *key, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	for (int i = 0; i < 3; i++) {
		rc_t rc = read_once(self, key, offset, len, out, reterr);
		if (rc != RC_AGAIN)
			return rc;
	}
	return err_set(reterr, RC_CORRUPT, "%s changes while it is read; objects of a lake never do", key);
}
