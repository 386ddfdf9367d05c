/* A log whose records stand in an object store before they count (`ack: store`): what a disk that may vanish, or lie, cannot promise.
 *
 * Promise
 *   - A ticket is settled only when an object with its records' bytes stands in the store, beside the local segment.
 *   - Objects of a log are numbered from 1 without a gap, and each is created, never replaced: the number is the fence. Whoever takes a log over
 *     creates the next number as a seal; its owner's next put meets the seal, no ack follows it, and the log is fenced for good.
 *   - Only a put that succeeded counts. What stands at a number after an unknown outcome is looked at before anything else is done: an earlier
 *     attempt of ours is left where it is, and the same bytes go under the next number (to be seen is not to be durable: a folder's sync may have
 *     failed). If its records were given up, those behind it are in a new segment, whose header says where the one before ends: so they do not count
 *     for a reader either.
 *   - An object is removed only when a later one says (`low`) that it is not needed any more; `low` passes nothing that no table holds. Removed is
 *     from below. So what is left below is rubbish, and a number that is missing from `low` on is damage if a later object says that its put had
 *     succeeded (`sure`); if none does, nothing from it on was ever acked.
 *   - The objects from `low` on, restored, are a log's folder: same positions, same bytes.
 *
 * Not promised: idempotency keys and ids in the restored log beyond the records that are there.
 * Ownership: ops and their context are the caller's and outlive the log. Threads: put, get are called by one thread at a time (the flusher), remove by
 *   the caller of wal_replica_tick, beside it.
 *
 * Object (little-endian):
 *   0   char[8] "hydrlog\n"   8   u32 version (1)          12  u32 crc32c of bytes 0-11 and 16-2175
 *   16  char[8] log id        24  u64 number               32  u64 epoch            40  u64 low
 *   48  u32 kind (1 bytes of a segment, 2 seal)            52  u32 crc32c of the bytes behind the head
 *   56  u64 offset in the segment    64  u64 bytes         72  u64 offset of the first record that begins in them, 0: none
 *   80  u64 position expected there; of a seal: number of the first 88  u64 owner (random, a process)              96  char[8] who sealed it
 *   104 u64 the last number whose put had succeeded before     112 16 zeros        128 the segment's header (2048 bytes)                 2176 bytes of the segment
 */
#ifndef WAL_REPLICA_H
#define WAL_REPLICA_H

#include "wal/wal.h"

#define WAL_OBJECT_HEAD 2176u
#define WAL_OBJECT_CHUNK ((size_t)16 << 20) /* bytes of a segment in one object */

struct wal_replica_ops {
	/* Creates object `number` of the log. RC_OK: these bytes stand there. RC_CONFLICT: others do. Anything else: unknown. */
	rc_t (*put)(void *ctx, const char *log, uint64_t number, struct slice object, struct err *reterr);
	rc_t (*get)(void *ctx, const char *log, uint64_t number, struct buf *ret, struct err *reterr); /* RC_NOT_FOUND */
	rc_t (*remove)(void *ctx, const char *log, uint64_t number, struct err *reterr);              /* absent is fine */
	/* The lowest and the highest number that are there, and the one from which on none is missing; RC_NOT_FOUND: none is there. */
	rc_t (*range)(void *ctx, const char *log, uint64_t *ret_first, uint64_t *ret_whole, uint64_t *ret_last, struct err *reterr);
};

/* To be called twice a beat, at least once a second, by one thread: says in an object what is not needed any more, unless other objects do so anyway, that
 * its owner is alive (every beat_us while there is something that tables do not hold; once a day otherwise), and removes what is not needed, for half a
 * beat; RC_AGAIN: there is more of that, call at once. RC_CONFLICT: the log is fenced. Other errors will be tried again by the next call. */
rc_t wal_replica_tick(struct wal *w, int64_t beat_us, struct err *reterr);

struct wal_replica_stats {
	bool on, fenced;
	uint64_t objects, bytes; /* put since open */
	uint64_t failures;       /* puts that failed, after all tries */
	uint64_t put_us, put_us_max;
	uint64_t kept;           /* objects that are there now */
	uint64_t removed;
};
void wal_replica_stats(struct wal *w, struct wal_replica_stats *ret);

/* --- objects, for who takes a log over --- */

enum wal_object_kind { WAL_OBJECT_BYTES = 1, WAL_OBJECT_SEAL };
struct wal_object {
	enum wal_object_kind kind;
	char log[WAL_ID_LEN + 1], by[WAL_ID_LEN + 1];
	uint64_t number, epoch, low, owner, sure;
	uint64_t segment, offset, first_record, position; /* of a seal: position is the first seal's number */
	struct slice header, bytes; /* in what was parsed */
};
/* RC_CORRUPT: it is none, or damaged. RC_UNSUPPORTED: a newer hydrant's. */
rc_t wal_object_parse(struct slice object, struct wal_object *ret, struct err *reterr);
/* Nothing below it, itself included, is needed: there is nothing to take over. */
bool wal_object_at_rest(const struct wal_object *o);
/* A seal of a log, appended to out: the first one, numbered `end`, or one more behind it, of who goes on with what the one before it began, or says
 * that nothing below `end` is needed any more (done: `low` is its own number). by: id of the log of whoever seals. */
void wal_object_seal(struct buf *out, const char *log, uint64_t number, uint64_t end, uint64_t epoch, const char *by, bool done);

/* Puts objects, in the order of their numbers from `low` on, into an empty folder that wal_open then opens. */
struct wal_restore {
	const char *dir;
	uint64_t segment, first; /* of the last object; the first one with something in it; 0: none yet */
	bool filled;      /* something is there: the first segment has its header */
};
rc_t wal_restore_object(struct wal_restore *r, const struct wal_object *o, struct err *reterr);

#endif
