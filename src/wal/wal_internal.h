/* What the files of this room share. Everything of struct wal is under `lock` unless it says otherwise; `_locked` functions want it
 * held. Two groups alternate: one takes appends, the other is being written and synced by whoever set `flushing`. */
#ifndef WAL_WAL_INTERNAL_H
#define WAL_WAL_INTERNAL_H

#include <pthread.h>

#include "base/map.h"
#include "wal/format.h"
#include "wal/replica.h"
#include "wal/wal.h"

#define DIRECT_MIN ((size_t)256 << 10) /* records from this size go to the file from the appender's own memory */
#define LISTENERS_MAX 64
#define FAILED_RANGES 64
#define REOPEN_EVERY_US 1000000 /* after a failed sync, or with a full disk, a new segment is tried at most this often */

struct segment {
	struct seg_header h;
	char *path;
	int fd;               /* -1 when nothing is written to it any more; readers open their own */
	bool created;         /* has its final name and a durable header */
	bool lost;            /* salvage: no header is readable, so nothing in it is */
	uint64_t append_end;  /* offset behind the last appended record */
	uint64_t durable_end; /* offset behind the last durable record */
	uint64_t written_out; /* file bytes; belongs to the flusher, not to the lock */
	uint64_t disk_bytes;  /* the same, published when a group settles */
	uint64_t capacity;    /* records end at or before it */
	uint64_t replicated;  /* up to here it is in the store, 0: not even its header; the flusher's */
	uint32_t live;        /* extents with uncommitted events */
	uint32_t pins;        /* readers in it */
	uint32_t cuts;        /* open cuts that stand in it, or are on their way there */
	bool aside, closed;   /* a side file; one that takes no more */
	uint64_t last_first;  /* a side file's last record: position, count, size */
	uint32_t last_count, last_size;
	uint32_t copies;      /* bytes of KEYS records */
	int64_t key_last;     /* newest receive time of an idempotency key that points here, µs; 0 none */
};

/* A run of one segment's bytes with records of one collection (others may lie between). */
struct extent {
	uint64_t first, last; /* positions */
	uint64_t events, bytes;
	int64_t oldest;
	struct segment *seg;
	uint32_t start, end;
};

struct collection {
	struct slice name;   /* the map's copy */
	struct extent *ext;  /* [head, n): uncommitted, in order */
	size_t head, n, cap;
	bool closed;         /* the next record begins a new extent */
	unsigned busy;       /* somebody reads its extent without the lock */
	uint64_t committed;
	uint64_t events, bytes, inflight; /* live durable; bytes appended and not durable */
	bool stuck;          /* it cannot commit: its events may go to side files */
	int64_t stuck_at;    /* clock_mono_us */
	bool moving;         /* they are on their way to the last one */
	struct segment **sides; /* its side files, in order */
	size_t side_count, side_cap;
	uint64_t side_bytes; /* of `bytes`, in side files */
	bool has_cut;
	unsigned cutting;    /* somebody is writing a new one */
	uint64_t cut_after, cut_upto, cut_seq; /* cut_seq: the segment it stands in */
	struct buf plan;
};

/* A record on its way. */
struct flight {
	struct segment *seg;
	struct collection *coll; /* NULL: a record of no collection */
	uint64_t first, size;
	int64_t received;
	uint32_t offset, count;
	uint16_t type;
	uint64_t ticket;
};

/* A run of bytes for one segment. */
struct run {
	struct segment *seg;
	uint64_t offset;   /* in the segment */
	size_t from, len;  /* in group.bytes */
};

struct group {
	struct buf bytes;
	struct run *runs;
	size_t run_count, run_cap;
	struct flight *flights;
	size_t flight_count, flight_cap;
	unsigned direct;      /* appenders that are writing their record themselves */
	bool failed;          /* one of them could not */
	struct err error;
	size_t settled;       /* flights that are durable already */
	bool work;            /* something to write, or a segment to make */
};

struct ticket_range {
	uint64_t from, to; /* inclusive */
	struct err error;
};

enum key_kind { KEY_REQUEST, KEY_EVENT }; /* an idempotency key; the id of an event */

struct key_entry {
	struct hash128 hash;
	uint32_t seq;     /* where the record stands: segment, offset / 8 */
	uint32_t offset8;
	int64_t received; /* µs */
};
struct key_move {
	uint64_t id;
	uint32_t old_seq, old_offset8;
};
#define SEEN 64
struct keys {
	struct key_entry *ring; /* entry id & (cap - 1) */
	uint64_t head, tail;    /* ids */
	size_t cap;
	uint32_t *slots;        /* hash → (id & (cap - 1)) + 1; 2 * cap of them */
	uint64_t seen[SEEN];    /* a bit for 1 of 64 * SEEN collections: there may be some of it */
};

/* replica.c. The flusher's, but what is under the lock. */
struct place {
	uint64_t number, segment, end; /* an object, and where its bytes end */
};
struct replica {
	bool begun;         /* before, in recovery, there is only the disk */
	uint64_t next;      /* number of the next object */
	uint64_t sure;      /* the last one whose put succeeded */
	uint64_t owner, owner_before; /* of our objects; of those of the process before us, 0: none known */
	struct buf object;
	struct place *places; /* under the lock: of the objects from low_said on */
	size_t place_count, place_cap;
	uint64_t open_from; /* under the lock: objects from here on hold records that are not settled yet */
	uint64_t low_said;  /* under the lock: what the last object says */
	uint64_t exists_from; /* the lowest that was not removed; the ticking thread's */
	int64_t last_put;   /* under the lock: clock_mono_us */
	bool rest;          /* under the lock: the last object says that nothing is needed */
	bool fenced;        /* under the lock */
	bool reopen;        /* under the lock: somebody wants to append after a failure */
	struct wal_replica_stats stats; /* under the lock */
};

struct listener {
	void (*fn)(void *ctx, uint64_t settled);
	void *ctx;
};

struct wal {
	struct wal_options opt; /* defaults filled in; dir is owned */
	char id[WAL_ID_LEN + 1];
	uint64_t epoch;
	bool readonly;
	struct wal_recovery rec;
	struct wal_damage *damages, *known; /* found now; listed by DAMAGE records */
	size_t damage_count, damage_cap, known_count, known_cap;
	uint64_t damage_from; /* what lies in segments below is not listed: they were trimmed */
	char *torn_file;

	pthread_mutex_t lock;
	pthread_cond_t work; /* the sync thread's */
	pthread_cond_t done; /* everybody else's: a group is settled, a segment made, a writer finished */
	pthread_t thread;
	bool has_thread, stop;
	bool closing;        /* nothing is trimmed any more: the SEAL is the last record */
	bool flushing;       /* somebody is the flusher: writes the other group, makes or recycles segments */
	struct segment *filling; /* zeros are being written behind this segment's append_end: no appender may write there itself */
	struct segment *file_seg; /* the segment being written; belongs to the flusher */
	bool calling;        /* listeners are being called */

	struct segment **segs; /* oldest first; the last one takes appends */
	size_t seg_count, seg_cap;
	uint64_t last_seq;     /* highest sequence ever given */
	uint64_t oldest;       /* sequence of the oldest still needed */
	uint64_t oldest_logged; /* what a durable TRIM record or header says */
	struct segment **trimmed; /* not needed any more; recycled once that is durable */
	size_t trimmed_count, trimmed_cap;
	uint64_t trim_ticket;  /* of the TRIM record on its way; 0 none */
	uint64_t trim_oldest;  /* what it says */
	uint64_t *spares;      /* sequence numbers in the names of spare files */
	size_t spare_count, spare_cap;
	uint64_t spare_total;  /* bytes */
	bool scarce;           /* the disk is full, and there is no reserve beyond the last segment: no events */
	struct err scarce_error;
	int64_t reserve_at;    /* when one was tried to be made */
	int64_t trim_asked;    /* by who found the log full */
	uint64_t start_bytes;  /* what the segments had at the start */

	uint64_t next_position, durable_next; /* position of the next appended / next durable event */
	uint64_t last_ticket, settled;
	struct ticket_range failed_ranges[FAILED_RANGES];
	size_t failed_count;
	struct group groups[2];
	unsigned cur; /* index of the group that takes appends */

	bool failed; /* appends are refused */
	struct err error;
	int64_t failed_at;

	pthread_cond_t aside_work;
	pthread_t aside_tid;
	bool has_aside_thread;
	bool aside_stop;       /* atomic for who does not hold the lock */
	bool asiding;          /* somebody is at it */
	bool aside_stale;      /* the newest ASIDE record is not what there is */
	int64_t aside_again;   /* not before, after an error; clock_mono_us, 0: at once */
	uint64_t aside_seq;    /* the segment in which the newest durable ASIDE record stands; 0: none */
	uint64_t aside_at;     /* and where (start) */
	size_t side_files;     /* there are, of all collections */
	uint64_t side_disk;    /* their bytes */
	struct segment **side_gone; /* not needed any more; removed once that is durable */
	size_t side_gone_count, side_gone_cap;
	struct buf aside_said; /* during recovery: the newest ASIDE record */
	size_t stuck_count;    /* collections */
	unsigned dropping;     /* drops on their way: nothing is trimmed */
	uint64_t drops;        /* since open: what was known before one is not after it */
	uint64_t looked_seq;   /* the front segment, when it was last looked at in vain, */
	uint32_t looked_live;  /* and how much kept it */

	struct map collections; /* name → struct collection * */
	size_t extents;
	unsigned coarse; /* extents are this many times doubled, because there are too many */
	uint64_t pending_bytes;
	struct keys keys;
	struct key_move *moves; /* keys copied forward and not durable yet */
	size_t move_count, move_cap;
	uint64_t move_ticket; /* of the last of their records */
	uint64_t move_seq;    /* the segment they leave */
	struct listener listeners[LISTENERS_MAX];
	size_t listener_count;
	struct wal_stats stats;
	struct replica rep;
};

static inline struct segment *active(struct wal *w)
{
	return w->seg_count ? w->segs[w->seg_count - 1] : NULL;
}
static inline struct group *cur_group(struct wal *w)
{
	return &w->groups[w->cur];
}
/* Grows an array by one element's place. */
#define ARRAY_ROOM(array, count, cap)                                                  \
	do {                                                                           \
		if ((count) == (cap)) {                                                \
			(cap) = (cap) ? (cap) * 2 : 16;                                \
			(array) = mem_realloc((array), (cap) * sizeof(*(array)));      \
		}                                                                      \
	} while (0)

/* segment.c: files */
struct segment *segment_new(const struct wal *w, uint64_t seq); /* not created; header half filled in */
void segment_free(struct segment *s);                           /* closes; NULL is fine */
char *segment_path(const struct wal *w, uint64_t seq, const char *suffix);
/* Makes the file under its final name, from a spare if there is one; durable. Not locked. */
rc_t segment_create(struct wal *w, struct segment *s, bool last_resort, struct err *reterr);
/* The last spare file is a reserve: a full disk leaves it to cuts, commits and trims, so that tables can take what the log holds. Makes one
 * if there is none and the disk has room. Not locked, and by the flusher only (or before there is one). */
void reserve_make(struct wal *w);
#define RESERVE_NAME "reserve"
#define RESERVE_SEQ UINT64_MAX /* stands for it among the spares: it takes no sequence number */
char *spare_path(const struct wal *w, uint64_t seq);
/* Writes zeros from written_out so that at least `upto` bytes, in whole steps, are written out. */
rc_t segment_write_out(struct segment *s, uint64_t upto, struct err *reterr);
rc_t segment_write_header(struct segment *s, struct err *reterr);
void segment_push(struct wal *w, struct segment *s);
struct segment *segment_by_seq(struct wal *w, uint64_t seq);
/* Puts a file that nobody needs into the pool or removes it. */
void segment_recycle(struct wal *w, struct segment *s);
void spare_push(struct wal *w, uint64_t seq, uint64_t bytes);
uint64_t segments_bytes_locked(const struct wal *w);

/* append.c */
/* A record as it is put together: head and name come at append time, `bytes` is name-less body (padded) or, for big EVENTS, its
 * beginning; `events` then gives the rest. */
struct draft {
	uint16_t type;
	uint32_t count, flags;
	int64_t received;
	struct slice name;
	uint64_t body_len;
	uint32_t body_crc;
	struct buf bytes;
	const struct wal_events *events; /* NULL: bytes is all of it */
};
/* Appends a small control record; w->lock held; never blocks, may pass max_bytes. */
rc_t append_control_locked(struct wal *w, uint16_t type, struct slice collection, struct slice body, uint64_t *ret_ticket,
			   struct err *reterr);
/* A new segment in memory that takes the appends from here on; the flusher makes its file when it gets there. beyond: so many segments may be over
 * the cap: none for events; copies of keys leave one to the records that make room. */
#define BEYOND_KEYS 1
#define BEYOND_CONTROL 2
rc_t rotate_locked(struct wal *w, uint64_t need, uint64_t flags, unsigned beyond, struct err *reterr);
rc_t check_open_locked(struct wal *w, struct err *reterr);

/* sync.c */
rc_t flush_once_locked(struct wal *w); /* one group; drops the lock meanwhile */
void kick_locked(struct wal *w);       /* there is work for the sync thread */
rc_t wait_settled_locked(struct wal *w, uint64_t ticket, struct err *reterr);
rc_t ticket_status_locked(struct wal *w, uint64_t ticket, struct err *reterr);
void *sync_thread(void *wal);
rc_t reopen_locked(struct wal *w, struct err *reterr);
void become_flusher_locked(struct wal *w);
void resign_flusher_locked(struct wal *w);

/* index.c */
struct collection *index_collection(struct wal *w, struct slice name, bool make);
void index_add(struct wal *w, struct collection *c, struct segment *seg, uint64_t offset, uint64_t size, uint64_t first, uint32_t count,
	       int64_t received);
/* Events up to position are not live any more. True: the first extent left straddles it and index_split would make it exact. */
bool index_commit(struct wal *w, struct collection *c, uint64_t position);
void index_cut(struct wal *w, struct collection *c, uint64_t after, uint64_t upto, struct slice plan, uint64_t seq);
/* Appends a CUT record and waits for it; *ret_seq: the segment it stands in, which counts it already (index_cut_moved or index_cut_left). */
rc_t index_log_cut_locked(struct wal *w, struct collection *c, struct slice body, uint64_t *ret_seq, struct err *reterr);
void index_cut_moved(struct wal *w, struct collection *c, uint64_t seq); /* the cut stands there now, which counts it already */
void index_cut_left(struct wal *w, uint64_t seq);                        /* a cut there is none any more */
/* `old` extents from `at` on become these, which hold the same records elsewhere. */
void index_replace_locked(struct wal *w, struct collection *c, size_t at, size_t old, const struct extent *by, size_t count);
/* Reads the straddling extent and replaces it by its part after the committed position. Drops the lock while it reads. */
void index_split_locked(struct wal *w, struct collection *c);
void index_sweep(struct wal *w); /* frees collections with nothing pending */
void index_free(struct wal *w);

/* keys.c */
struct hash128 key_hash(enum key_kind kind, struct slice collection, struct slice key);
bool key_counts(struct slice id); /* an event's, once */
void keys_insert_locked(struct wal *w, struct hash128 hash, uint64_t seq, uint64_t offset, int64_t received);
void keys_expire_locked(struct wal *w, int64_t now);
/* Forget the keys that stand at or behind this place (records that were never durable). */
void keys_rollback_locked(struct wal *w, uint64_t seq, uint64_t offset);
/* Those of the collection, of the entries before this one, are not found: until keys_hidden_locked has them forgotten, or found again. */
void keys_hide_locked(struct wal *w, struct slice collection, uint64_t upto);
void keys_hidden_locked(struct wal *w, struct slice collection, uint64_t upto, bool forget);
/* Copies the young keys that point into the segment forward, or forgets those for which there is no room; the flusher only, drops the lock.
 * Nothing was copied: *ret_any false. */
rc_t keys_move_locked(struct wal *w, struct segment *s, bool *ret_any, struct err *reterr);
void keys_moves_settled_locked(struct wal *w, bool durable);
/* body: of an EVENTS record at least up to its reply, of a KEYS record all. */
rc_t keys_recover(struct wal *w, struct segment *s, const struct rec_head *r, struct slice body, struct err *reterr);
rc_t keys_recover_ids(struct wal *w, struct segment *s, struct window *win, const struct rec_head *r, struct err *reterr);
/* So small a log waits for the segment's young keys to grow old. */
bool keys_hold_locked(const struct wal *w, const struct segment *s);
bool keys_has_locked(struct wal *w, struct hash128 hash, int64_t now);
rc_t keys_find_locked(struct wal *w, struct slice collection, struct slice key, struct wal_key_found *ret, struct err *reterr);
void keys_free(struct wal *w);

/* trim.c */
/* Both are the flusher's. */
void trim_locked(struct wal *w);         /* decide what is not needed; logs it */
void trim_settled_locked(struct wal *w); /* recycle what is durably known not to be needed; drops the lock */
void trim_for_room_locked(struct wal *w); /* the log is full: has the flusher look, at most once a second, whether something can go */
void trim_unpinned_locked(struct wal *w, const struct segment *s); /* a reader has left it */

/* aside.c */
bool aside_holds_locked(const struct wal *w, const struct segment *s); /* something in it is still to be said elsewhere */
void aside_retire_locked(struct wal *w, struct collection *c); /* those of its side files that are empty now */
void aside_mark_locked(struct wal *w, struct collection *c, bool stuck);
bool aside_step_locked(struct wal *w); /* one, in this thread; false: nothing to do. Drops the lock */
void aside_wake_locked(struct wal *w);
void *aside_thread(void *wal);
void aside_free(struct wal *w);

/* replica.c; without a replica they do nothing. */
/* Puts what is missing of the segment up to there, its header at least. Not locked; the flusher's. */
rc_t replica_put(struct wal *w, struct segment *s, uint64_t upto, struct err *reterr);
void replica_settled_locked(struct wal *w); /* all records of the objects so far are settled */
/* After recovery: is what the store has what we have? RC_CONFLICT: no. */
rc_t replica_begin(struct wal *w, struct err *reterr);
/* At an orderly end: if no event is waiting, nothing stays in the store. */
rc_t replica_end(struct wal *w, struct err *reterr);
void replica_free(struct wal *w);

/* object.c */
/* object: WAL_OBJECT_HEAD bytes of room, the bytes from `offset` on, and `ahead` bytes more of the segment, which are not kept. */
void object_build(const struct replica *rep, const struct segment *s, const char *log, uint64_t offset, size_t ahead, struct buf *object);
void object_number(struct buf *object, uint64_t number, uint64_t low); /* the last to be filled in */

/* scan.c: one segment, read from its first record on */
struct scan {
	struct wal *w;
	struct segment *s;
	struct window win;
	uint64_t limit;       /* records end at or before it */
	uint64_t expected;    /* next position; in and out */
	bool visit;           /* put what is found into the log's memory */
	uint64_t until;       /* of a side file: from this position on the segments have them; 0: nothing */
	uint64_t cut;         /* out: where the first such record stands; 0: none */
	struct rec_head last; /* out: the last record before that; size 0: none */
	uint64_t end;         /* out: behind the last valid record or hole */
	uint64_t claim;       /* out: valid records say that everything below was durable */
	bool attempt;         /* out: the bytes at `end`, or some beyond, were meant to be a record */
	struct wal_damage *holes; /* out: what is not valid, in order */
	size_t hole_count, hole_cap;
	uint64_t records, events, bytes; /* out */
	bool sealed;          /* out: the last record is a SEAL */
	uint64_t trim;        /* out: highest TRIM */
};
/* known_end: the records are known to end at limit, so that anything else is a hole. */
rc_t scan_segment(struct scan *sc, bool known_end, struct err *reterr);
void scan_free(struct scan *sc);

/* aside_recover.c */
/* A file of the log as a start finds it. */
struct found {
	uint64_t seq, size;
	struct seg_header h;
	bool readable, is_void;
	bool reused;  /* another segment's header in it: it was not needed any more, and neither was what that header says */
	int bad_copy; /* 0, 1: which header copy is to be repaired; -1 none */
};
/* An ASIDE record of that segment. */
void aside_visit(struct wal *w, uint64_t seq, uint64_t offset, struct slice body, struct slice *ret_damages);
/* Behind all segments: reads the side files, in order of their numbers; is_void: not one. trim: segments below are not needed. w->damages:
 * what those that are have lost. */
rc_t aside_recover(struct wal *w, struct found *files, size_t count, uint64_t trim, struct err *reterr);
bool aside_is_file(const struct wal *w, uint64_t seq); /* until recovery is over */

/* recover.c: fills in an empty struct wal from its folder; repairs, unless readonly. */
rc_t recover(struct wal *w, struct err *reterr);
rc_t recover_new_segment(struct wal *w, struct err *reterr);
void damage_push(struct wal *w, struct wal_damage d);
/* Was this place given up by salvage? What cannot be read anywhere else was not, and is passed over by nobody. */
bool damage_covers(const struct wal *w, const struct segment *s, uint64_t offset);
rc_t write_again(const struct segment *last, struct err *reterr);

#endif
