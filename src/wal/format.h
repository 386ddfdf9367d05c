/* Bytes of the log on disk. Internal to the room.
 *
 * A log is a folder:
 *   id                      text: "hydrant-wal 1\n<log id>\n<epoch>\n"; a convenience, segments carry both, too
 *   <sequence, 16 hex>.wal  segments, in order; the numbers ascend, and may skip
 *   <sequence>.spare        a trimmed segment waiting for reuse; its content means nothing
 *   reserve                 a spare that never was a segment: what a full disk leaves to cuts and commits
 *   <sequence>.tmp          a segment that was being made; removed on start
 *   torn-<sequence>-<offset>[-<n>].bin   a dropped tail, kept for people
 *   <sequence>.aside        a side file: records of one collection that were moved out of segments (aside.c)
 *
 * Segment. All integers are little-endian.
 *   0     header, first copy    2048 bytes
 *   2048  header, second copy   2048 bytes
 *   4096  records, each 8-byte aligned, one behind the other
 *   ...   bytes that mean nothing: zeros, or what an earlier use of the file left
 * The file is written out (with zeros) in steps ahead of the records, so that a sync rarely has to record a new file size.
 *
 * Segment header (2048 bytes):
 *   0  char[8] "hydrwal\n"      8  u32 version (1)   12 u32 crc32c of bytes 0-11 and 16-2047
 *   16 u64 sequence             24 u64 epoch         32 char[8] log id        40 u64 salt (random)
 *   48 u64 first position       56 u64 sequence of the segment before (0: none)
 *   64 u64 where the records of the segment before end                        72 u64 oldest sequence still needed
 *   80 u64 step (bytes)         88 i64 made at (µs)  96 u64 flags (1: positions were skipped before this segment; 2: a side file)
 *   104 u16 length of the collection's name, 112 the name (side files)
 *
 * Record: head (56 bytes), collection name padded with zeros to 8, body padded with zeros to 8.
 *   0  u32 magic of the segment (from its salt)      4  u32 crc32c of head from byte 8 on and the padded name
 *   8  u64 first position       16 u32 count         20 u16 type              22 u16 name length
 *   24 u32 body length          28 u32 crc32c of the padded body              32 i64 received, µs
 *   40 u64 offset in this segment up to which records were durable when this one was appended
 *   48 u32 flags (1: has an idempotency key; 2: its events' ids count once)      52 u32 0
 *   In a side file, where positions have gaps, a head tells of the record before it in the file instead, so that damage to that one has exact
 *   positions: 40 its first position (0: none), 48 bits 8-31 its count less one, 52 its size / 8.
 * The head's checksum is seeded with salt, sequence and offset: no byte of an earlier use of the file, of another place or of a
 * payload ever passes as a record.
 *
 * A record is valid when its magic and both checksums hold, it ends within the segment's records, and its first position is not below
 * the next expected one. A segment's records end where the header of its successor says; of the last one, at the first place without
 * a valid record. There, bytes that were meant to be a record (right magic or right checksum, or such bytes beyond) are a torn
 * tail if nothing says that they were durable: no valid record beyond carries a greater durable offset. Otherwise they are damage.
 * A segment that the chain of predecessors, going from the newest, does not reach is void.
 * A side file's records end where the newest ASIDE record says, which is written twice; a file that it does not name is void (with damage in the
 * segments, which may have cost both: they end at the first place without a valid one). What a segment still has counts there, not in a side file.
 *
 * Bodies:
 *   EVENTS     u32 flags (bits 0-1 kind of all, 4 kinds table, 8 ids, 16 keys, 32 reasons), u32 meta length, u32 idempotency key length,
 *              u32 reply length, 16 bytes body hash; meta, key, reply; u32 payload length each; u32 id length each (if 8); u32 key
 *              length each (16); u32 reason length each (32); u8 kind each (4); payloads; ids; keys; reasons
 *   CUT        u64 after, u64 upto, plan            COMMITTED, DROP  u64 upto
 *   KEYS       entries: u32 collection, key, reply length, u32 kind (0 idempotency key, 1 id of an event), u64 first, u64 count,
 *              i64 received, 16 bytes body hash; the three texts; padded to 8
 *   TRIM       u64 oldest sequence still needed     SEAL  empty: closed in order
 *   DAMAGE     entries: u64 segment, offset, end, first, last
 *   ASIDE      u64 how many; each side file: u64 sequence, end of its records, first position, of the last record first position, u32 count,
 *              u32 size / 8, u64 what the collection had committed, u32 name length, u32 0, name padded to 8; then known damage in them,
 *              as in DAMAGE; then zeros
 */
#ifndef WAL_FORMAT_H
#define WAL_FORMAT_H

#include "base/err.h"
#include "base/hash.h"
#include "wal/wal.h"

#define SEG_VERSION 1
#define SEG_HEADER 2048
#define SEG_DATA 4096 /* offset of the first record */
#define SEG_FLAG_SKIPPED 1u
#define SEG_FLAG_ASIDE 2u
#define REC_HEAD 56
#define REC_NAME_MAX 80
#define REC_FLAG_KEY 1u
#define REC_FLAG_IDS 2u
#define EVENTS_SUB 32 /* fixed part of an EVENTS body */
#define EVENTS_KINDS 4u
#define EVENTS_IDS 8u
#define EVENTS_KEYS 16u
#define EVENTS_REASONS 32u
#define KEYS_SUB 56
#define DAMAGE_SUB 40
#define ASIDE_SUB 56

struct seg_header {
	uint64_t seq, epoch, salt, first, prev_seq, prev_end, oldest, step, flags;
	int64_t made;
	char id[WAL_ID_LEN];
	uint16_t name_len; /* side files */
	char name[REC_NAME_MAX];
};

struct rec_head {
	uint64_t first;
	uint32_t count;
	uint16_t type, name_len;
	uint32_t body_len, body_crc;
	int64_t received;
	uint64_t durable;
	uint32_t flags;
	uint32_t before_count, before_size; /* side files, with `durable` its first position: the record before; 0: none */
	char name[REC_NAME_MAX];
	uint64_t offset; /* in its segment */
	uint64_t body;   /* offset of the body in its segment */
	uint64_t size;   /* the whole record */
};

static inline uint64_t pad8(uint64_t n)
{
	return (n + 7) & ~(uint64_t)7;
}
static inline uint32_t get_u32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}
static inline uint64_t get_u64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}

void seg_header_write(const struct seg_header *h, uint8_t out[SEG_HEADER]);
/* RC_CORRUPT, or RC_UNSUPPORTED for a valid header of a newer version. */
rc_t seg_header_parse(const uint8_t in[SEG_HEADER], struct seg_header *ret);

uint32_t rec_magic(const struct seg_header *h);
static inline uint64_t rec_size(uint16_t name_len, uint64_t body_len)
{
	return REC_HEAD + pad8(name_len) + pad8(body_len);
}
/* Writes head and padded name (REC_HEAD + pad8(name_len) bytes) for the given place. */
void rec_head_write(const struct seg_header *s, const struct rec_head *r, uint8_t *out);

enum rec_state {
	REC_VALID,   /* the head is */
	REC_ATTEMPT, /* not valid, but it was meant to be a record of this segment; ret->size is 0 unless the head can be trusted */
	REC_NONE
};
/* `in` are the `len` bytes at `offset` (enough: REC_HEAD + REC_NAME_MAX, or up to limit). limit (> offset): where records must end. */
enum rec_state rec_head_parse(const struct seg_header *s, const uint8_t *in, size_t len, uint64_t offset, uint64_t limit,
			      struct rec_head *ret);

/* A view on a file through a sliding buffer. */
struct window {
	int fd;
	const char *path; /* borrowed */
	uint64_t offset;  /* of data[0] */
	size_t len;
	uint8_t *data;
	size_t cap;
	uint64_t until;   /* of the file: nobody will ask behind it, so that is not read ahead; 0: not known */
	bool stay;        /* what is not there is not read: RC_AGAIN */
};
#define WINDOW_CHUNK ((size_t)512 << 10)

void window_init(struct window *win, int fd, const char *path);
void window_free(struct window *win);    /* not the fd */
void window_forget(struct window *win);  /* the bytes may have changed */
/* *ret: up to len bytes at offset, *ret_len of them are there (fewer only at the end of the file), EVENT_PAD bytes behind them can be read;
 * valid until the next call. */
rc_t window_get(struct window *win, uint64_t offset, size_t len, const uint8_t **ret, size_t *ret_len, struct err *reterr);
/* Reads and checks the head at offset. RC_OK, RC_IO; *ret_state says what is there. */
rc_t rec_read_head(struct window *win, const struct seg_header *s, uint64_t offset, uint64_t limit, struct rec_head *ret,
		   enum rec_state *ret_state, struct err *reterr);
/* Reads the whole body once: *ret_ok = its checksum holds. */
rc_t rec_check_body(struct window *win, const struct rec_head *r, bool *ret_ok, struct err *reterr);
/* First offset ≥ from (8-aligned, below limit) where a record of this segment begins or was meant to; RC_NOT_FOUND. */
rc_t rec_find_attempt(struct window *win, const struct seg_header *s, uint64_t from, uint64_t limit, uint64_t *ret, struct err *reterr);
/* First offset ≥ from (8-aligned, below limit) with a valid head and first position ≥ position; RC_NOT_FOUND. */
rc_t rec_find(struct window *win, const struct seg_header *s, uint64_t from, uint64_t limit, uint64_t position, uint64_t *ret,
	      struct err *reterr);

#endif
