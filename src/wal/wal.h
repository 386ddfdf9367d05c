/* The write-ahead log: what was acked is in here, on disk, until a table holds it.
 *
 * Promise
 *   - An append is atomic: after any crash either all events of a record are read back, byte for byte, or none.
 *   - A ticket that wal_wait / wal_ticket calls RC_OK is fdatasynced. Group commit: one sync for everything that waits; nothing
 *     wakes up while nothing is appended.
 *   - Positions are gapless from 1 in a fresh log, in append order, one an event over all collections. A position is never
 *     given to two durable events.
 *   - Readers see durable records only. A record that is read back has passed its checksums.
 *   - Nothing is dropped silently: a torn tail goes to a side file and into wal_recovery; damage anywhere else fails wal_open
 *     with its exact place, unless `salvage`, which gives up the damaged records only and lists them.
 *   - A failed sync is never repeated: every waiting ticket fails, the segment is sealed at its last good sync, appends get
 *     RC_IO / 503 until a new segment is begun: by the first append a second later, or by wal_reopen. A full disk or a full log is
 *     RC_LIMIT with status 507 or 503, a full share of a collection RC_LIMIT with 429; what was acked before is not touched by either, and appends go on as soon as
 *     there is space. A full disk leaves room for cuts, commits and trims: a file of 1 MiB that is kept in reserve.
 *   - A crash between any two steps of rotation, trimming, recycling and moving aside is harmless.
 *   - A collection that is called stuck (wal_aside) keeps no segment: its events are moved to side files of its own, which count against its
 *     share, not against max_bytes. Reading, cuts, commits and recovery are as ever; what is moved when is nobody's business.
 *
 * Not promised
 *   - Locking: the caller holds the lock of the data folder. wal_open_readonly beside a running writer sees a prefix, or may report
 *     damage if segments are recycled meanwhile.
 *   - A record that was never acked may survive a crash or be lost: at most once.
 *   - Cutting the last segment exactly at one of its growth steps (1 MiB) looks like a crash before the write; callers compare
 *     wal_next_position with the positions that their tables hold.
 *
 * Ownership: names, payloads and plans given in are copied (appended bytes are no longer needed when wal_append returns).
 * Threads: every function of an open struct wal may be called from any thread; a struct wal_cursor belongs to one at a time.
 * Memory: bounded by write_buffer_bytes * 2, about 40 B an idempotency key or id (options.key_max), index_max * 48 B, a few MiB a cursor.
 */
#ifndef WAL_WAL_H
#define WAL_WAL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "model/event.h"

struct wal;
struct wal_cursor;
struct wal_replica_ops;

#define WAL_ID_LEN 8                              /* characters [a-z0-9] of a log's id */
#define WAL_RECORD_MAX ((uint64_t)128 << 20)      /* bytes of one record; RC_LIMIT 413 above */
#define WAL_RECORD_EVENTS_MAX ((uint64_t)1 << 24) /* events of one record */
#define WAL_KEY_MAX 1024                          /* bytes of an idempotency key */
#define WAL_REPLY_MAX 4096                        /* bytes of a remembered reply */
#define WAL_PLAN_MAX ((size_t)16 << 20)           /* bytes of a cut's plan */
#define WAL_COLLECTIONS_MAX 65536                 /* collections with live records in one log */

/* Zero means the default everywhere. */
struct wal_options {
	const char *dir;               /* made if absent */
	uint64_t segment_bytes;        /* 64 MiB, of a small log a 16th; at least 64 KiB, at most 1 GiB */
	uint64_t max_bytes;            /* 16 GiB: cap of all segments together (control records may pass it by two segments) */
	uint64_t collection_max_bytes; /* share of one collection's uncommitted records; default half of max_bytes */
	uint64_t aside_max_bytes;      /* side files of all collections that are stuck, beside max_bytes; default max_bytes. Beyond, 429 for these */
	int64_t aside_after_us;        /* 5 s: how long one is called stuck before its events are moved; with a log over a quarter full at once */
	uint64_t spare_bytes;          /* recycled files kept for reuse; default max_bytes / 8, at least 4 segments: what one commit lets go */
	size_t write_buffer_bytes;     /* 8 MiB: appended and not yet written; a full buffer makes wal_append wait for the sync thread */
	size_t index_max;              /* 1 M extents: memory bound of the per-collection index, which gets coarser beyond it */
	int64_t key_window_us;         /* 10 minutes: how long an idempotency key or an id that counts once is remembered */
	size_t key_max;                /* 4 M of both; the oldest go first */
	uint64_t key_hold_bytes;       /* default max_bytes / 4, at most 1 GiB (a start reads the log): segments needed only for young keys
					* stay until the log is this big; beyond, the keys are copied forward (into half of max_bytes, the oldest are
					* forgotten) and the segment is trimmed */
	bool salvage;                  /* go on past damage, giving up the damaged records */
	bool manual_sync;              /* no sync thread: wal_flush, wal_wait and the durable calls do the work (simulation, tests) */
	const struct wal_replica_ops *replica; /* wal/replica.h: records count when they are in an object store, too; NULL: on disk */
	void *replica_ctx;
};

/* What wal_open found. Positions are those of lost events; 0, 0 if none are known to be lost. */
struct wal_damage {
	uint64_t segment;     /* sequence number */
	uint64_t offset, end; /* bytes of that segment that are not records */
	uint64_t first, last; /* positions lost in it, inclusive; first > last or 0 = none */
};
struct wal_recovery {
	uint64_t segments, records, events, bytes; /* read and valid */
	uint64_t torn_bytes;                       /* dropped from the tail, unacked unless the disk lied */
	uint64_t torn_records, torn_events;        /* of those, what could still be recognised */
	uint64_t torn_first, torn_last;            /* positions of torn_events, best effort */
	const char *torn_file;                     /* side file with the dropped bytes; NULL if none (or read-only) */
	const struct wal_damage *damages;          /* given up by salvage, now or earlier, still within kept segments */
	size_t damage_count;
	uint64_t headers_repaired;                 /* segment headers restored from their second copy */
	bool truncated;                            /* the last segment's file is shorter than it was written out */
	bool clean;                                /* the log was closed in order */
	bool made;                                 /* a fresh log was made */
	bool replaced;                             /* … although an older log's id file was there: its segments are gone */
	int64_t took_us;
};

/* With `replica` also RC_CONFLICT: the store has another end of this log, or a seal: it is somebody else's now; begin a new one. RC_UNSUPPORTED without:
 * its last records may be in a store only. */
rc_t wal_open(const struct wal_options *options, struct wal **ret, struct err *reterr);
/* For commands without a server: changes nothing on disk, no thread, appending calls return RC_UNSUPPORTED. RC_NOT_FOUND if there is no
 * log. A torn tail is reported and ignored; damage is RC_CORRUPT unless salvage. */
rc_t wal_open_readonly(const char *dir, bool salvage, struct wal **ret, struct err *reterr);
/* Makes everything appended durable, marks the log as closed in order, frees. NULL is fine. */
rc_t wal_close(struct wal *w, struct err *reterr);
void wal_free(struct wal *w); /* wal_close, its error ignored */
AUTO_DEFINE(wal, wal_free)

const struct wal_recovery *wal_recovery(const struct wal *w); /* valid until wal_close */
const char *wal_id(const struct wal *w);                      /* 8 characters, NUL-terminated */
uint64_t wal_epoch(const struct wal *w);
uint64_t wal_next_position(struct wal *w);    /* of the next event */
uint64_t wal_durable_position(struct wal *w); /* the last durable event's; 0 if none ever */
/* The next event gets at least this position (a table is ahead of a log that was cut or restored): durable. */
rc_t wal_skip_to(struct wal *w, uint64_t position, struct err *reterr);

/* --- Appending --- */

/* What wal_ids_known said holds for so long. */
struct wal_known {
	uint64_t ticket; /* when it is settled, the known ones are durable or none of them is known any more; 0: they are durable */
	uint64_t drops;  /* so many collections have been dropped */
};

/* One request for one collection = one atomic record. Used of each event: payload, kind, id, key, reason. */
struct wal_events {
	struct slice collection;
	int64_t received; /* µs since the epoch, of all of them */
	const struct event *events;
	size_t count;               /* at least 1 */
	struct slice meta;          /* of all of them: "name\0value\0"… */
	struct slice request_key;   /* Idempotency-Key; empty = none */
	struct hash128 body_hash;   /* with request_key */
	struct slice reply;         /* with request_key: what the caller needs to build the same answer again (the position it can
				     * get from wal_key_lookup) */
	bool unique_ids;            /* an event's id counts once in this collection: see wal_ids_known */
	struct wal_known known;     /* with unique_ids: by which others were left out here */
};

/* Copies the record into the log; not durable yet: wait for *ret_ticket. Blocks only for a full write buffer, or (records from 256 KiB)
 * while a segment is changed. Errors: RC_LIMIT (413 record too big, 429 share full, 503 log full, 507 disk full; retryable but the
 * first), RC_IO (503: the log is sealed after a failed sync), RC_INVALID (name), RC_CONFLICT: request_key is already there, ask
 * wal_key_lookup; or one of unique ids is, or what was left out as known was not kept or dropped, ask wal_ids_known. */
rc_t wal_append(struct wal *w, const struct wal_events *e, uint64_t *ret_first_position, uint64_t *ret_ticket, struct err *reterr);
/* The same checks without appending, so that a body can be refused before it is read: bytes may be 0 or an estimate. */
rc_t wal_check(struct wal *w, struct slice collection, uint64_t bytes, struct err *reterr);

/* Blocks until the ticket is settled: RC_OK durable; else why it failed (the record is not in the log, or not for sure). */
rc_t wal_wait(struct wal *w, uint64_t ticket, struct err *reterr);
/* The same without blocking: RC_AGAIN while it is on its way. */
rc_t wal_ticket(struct wal *w, uint64_t ticket, struct err *reterr);
uint64_t wal_durable(struct wal *w); /* all tickets up to this one are settled */
/* fn is called on the sync thread after each group: all tickets up to `settled` are decided, wal_ticket says how. It must not block
 * or call the log except wal_ticket (an event loop: loop_post). At most 64; wal_remove_on_durable ends it (not from fn). */
rc_t wal_on_durable(struct wal *w, void (*fn)(void *ctx, uint64_t settled), void *ctx, struct err *reterr);
void wal_remove_on_durable(struct wal *w, void (*fn)(void *ctx, uint64_t settled), void *ctx);
/* Makes all appended records durable now (manual_sync: in this thread). */
rc_t wal_flush(struct wal *w, struct err *reterr);
/* RC_OK, or why appends are refused (sealed, disk full). */
rc_t wal_status(struct wal *w, struct err *reterr);
/* After a failed sync: a new segment after the last durable record, now. RC_OK if there is nothing to do. Needs no call: appends try again
 * by themselves, once a second. */
rc_t wal_reopen(struct wal *w, struct err *reterr);

/* --- Idempotency keys --- */

struct wal_key_found {
	struct hash128 body_hash;
	struct buf reply;          /* caller frees */
	uint64_t first, count;     /* positions of the first send */
	uint64_t ticket;           /* 0 = durable; else wait for it (RC_AGAIN was returned) */
};
/* RC_OK: found and durable. RC_NOT_FOUND. RC_AGAIN: the first send is not durable yet, wait for ret->ticket and ask again (only ticket is
 * set). The window is restored from the log on start. */
rc_t wal_key_lookup(struct wal *w, struct slice collection, struct slice key, struct wal_key_found *ret, struct err *reterr);

/* Which of these events have an id that the window holds, or that an event before them in the array has: ret_known, one each; returns how
 * many. An event without an id, or with one of over WAL_KEY_MAX bytes, is none of them. Ids are compared by 96 bits of a hash, collections by 32 (and
 * the ids' hash depends on it). */
size_t wal_ids_known(struct wal *w, struct slice collection, const struct event *events, size_t count, bool *ret_known, struct wal_known *ret);

/* --- Reading --- */

enum wal_type { WAL_EVENTS = 1, WAL_CUT, WAL_COMMITTED, WAL_DROP, WAL_KEYS, WAL_TRIM, WAL_SEAL, WAL_DAMAGE, WAL_ASIDE };

/* Valid until the next call on the cursor. */
struct wal_record {
	enum wal_type type;
	struct slice collection;    /* empty for KEYS, TRIM, SEAL, DAMAGE, ASIDE */
	uint64_t first, last;       /* EVENTS: positions in `events`, inclusive */
	uint64_t after, upto;       /* CUT; COMMITTED, DROP: upto */
	int64_t received;           /* µs, of the record */
	const struct event *events; /* EVENTS; received, pos and meta are filled in; payloads lie one behind the other */
	size_t count;
	struct slice plan;          /* CUT */
	uint64_t segment, offset;   /* where it stands */
};

/* Events with after < position ≤ upto (UINT64_MAX: as far as they come), in order. collection empty: all records of all
 * collections, control records too, as far as they stand in segments (a stuck one's events may not); else only that collection's EVENTS, other records' bytes are skipped by way of the index. Events
 * at or before wal_committed or a drop may still be returned if `after` asks for them and they are not trimmed yet. */
rc_t wal_cursor_open(struct wal *w, struct slice collection, uint64_t after, uint64_t upto, struct wal_cursor **ret,
		     struct err *reterr);
/* RC_EOF at upto or at the durable end (a later call goes on there). A big record comes in several pieces, each a run of positions.
 * RC_CORRUPT: the bytes changed since recovery. */
rc_t wal_cursor_next(struct wal_cursor *c, struct wal_record *ret, struct err *reterr);
/* While it stays, what the slices of the events given out point to is valid through further calls (the array of events is not), and
 * wal_cursor_next says RC_AGAIN where it would have to read. So that readers of many events need no copy of them. */
void wal_cursor_stay(struct wal_cursor *c, bool stay);
void wal_cursor_close(struct wal_cursor *c); /* NULL is fine; before wal_close */
AUTO_DEFINE(wal_cursor, wal_cursor_close)

/* --- Collections: what is pending, cuts, commits --- */

/* Durable events of a collection after its committed position. */
struct wal_pending {
	uint64_t events, bytes; /* bytes as they stand in the log */
	uint64_t aside;         /* of these bytes, in side files */
	int64_t oldest;         /* receive time of the oldest, µs; 0 if none */
	uint64_t first, last;   /* positions: the first event is at or after `first`, the last one is `last`; 0 if none */
	uint64_t committed;     /* wal_committed said so; 0 if the log does not know (the table does) */
};
/* All zero for a collection that is not in the log. */
void wal_pending(struct wal *w, struct slice collection, struct wal_pending *ret);
/* Every collection with pending events or a cut; `each` runs without the log's lock, on a copy. Stops when it returns other than RC_OK. */
rc_t wal_collections(struct wal *w, rc_t (*each)(void *ctx, struct slice collection, const struct wal_pending *p), void *ctx);

/* The next commit of the collection will be exactly its events with after < position ≤ upto, under this plan. Durable on return, and
 * replaces an earlier cut. upto must be durable. */
rc_t wal_cut(struct wal *w, struct slice collection, uint64_t after, uint64_t upto, struct slice plan, struct err *reterr);
/* The last cut that wal_committed has not reached; RC_NOT_FOUND if none. plan is appended (the caller's buffer). */
rc_t wal_cut_get(struct wal *w, struct slice collection, uint64_t *ret_after, uint64_t *ret_upto, struct buf *plan, struct err *reterr);
/* The table holds everything up to and including this position. Not synced: rides along with the next group, because the table's own
 * property is the truth. Trims what nobody needs any more. Lower than before: no effect. */
rc_t wal_committed(struct wal *w, struct slice collection, uint64_t position, struct err *reterr);
/* Forget the collection's events so far, their ids and keys, and its cut: durable on return. */
rc_t wal_drop(struct wal *w, struct slice collection, struct err *reterr);

/* The collection's commits fail and will go on doing so for a while, as far as the caller knows; or that is over. Not remembered over a restart;
 * what was moved aside stays there until it is committed. A collection that is not in the log, or a log with a replica: nothing happens. */
void wal_aside(struct wal *w, struct slice collection, bool stuck);

/* For /metrics. */
struct wal_stats {
	uint64_t segments, bytes, spares, spare_bytes;
	uint64_t appends, events, appended_bytes; /* since open */
	uint64_t syncs, sync_us, sync_us_max;     /* group commits, time in write + fdatasync */
	uint64_t failures, trimmed, recycled, rotations;
	uint64_t keys, keys_forgotten, index_extents, pending_bytes; /* keys_forgotten: before their time, for want of room; since open */
	uint64_t side_files, side_bytes, stuck; /* collections that are called stuck, and all side files on disk */
	uint64_t asides, aside_failures;        /* since open: segments whose records were moved aside, and tries that failed */
};
void wal_stats(struct wal *w, struct wal_stats *ret);

#endif
