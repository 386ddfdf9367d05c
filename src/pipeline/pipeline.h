/* The pipeline: the only room that knows the order of things. The two loops of the product are ingest.c and hydrate.c.
 *
 *   ingest:   body → frame + validate → wal.append → wal.sync → ack
 *   hydrate:  wal.read → shred → parquet → cut → store.put* → table.commit(positions) → wal.trim
 *
 * Promise: what pipeline_ingest's ticket reports durable is in the log until a table holds it, and is in a table exactly once afterwards,
 *   across crashes at any step. A collection that cannot commit keeps its events in the log, is retried, and says so (pipeline_state).
 * Ownership: a pipeline owns the data folder (locked) and its log; the lake may be shared with other writers.
 * Threads: every function may be called from any thread, save open, start, stop and close.
 */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H

#include "base/err.h"
#include "json/frame.h"
#include "parquet/codec.h"
#include "store/probe.h"
#include "store/store.h"
#include "table/table.h"
#include "wal/replica.h"
#include "wal/wal.h"

/* A collection's settings: the first rule whose pattern matches its name. Members that are NULL or 0 are as for all collections. */
struct collection_rule {
	const char *pattern;      /* a name; * stands for any characters, ? for one */
	const char *url;          /* where its table lives (URL/NAME), its quarantine beside it; NULL: the lake */
	const struct store_options *store; /* of url */
	const char *time_field;
	const char *id_field;
	uint64_t file_bytes;
	int64_t commit_busy_us, commit_idle_us;
	int64_t retention_us;
};

struct pipeline_options {
	const char *lake;         /* folder or URL */
	const struct store_options *store; /* of the lake; NULL: the environment's; looked at by pipeline_open only */
	const char *data_dir;     /* log and cache; NULL: LAKE/_hydrant/local */
	bool read_only;           /* a command that reads: nothing is made, an absent log is fine */
	bool lake_only;           /* with read_only: neither lock nor log, also while a server holds them; hot events are not seen */
	const char *holder;       /* text for whoever finds the data folder locked: "hydrant serve (pid 7) on http://…" */
	const char *time_field;   /* declared event time for all collections, or NULL */
	int64_t retention_us;     /* days that are over for so long leave the tables; 0: none ever does */
	const char *id_field;     /* declared: events with an id there that was seen within the key window are not kept again; or NULL */
	size_t memory_bytes;      /* for columns being filled by the hydrate loop; 0: 128 MiB */
	uint64_t file_bytes;      /* target size of a data file; 0: 128 MiB */
	enum parquet_codec codec; /* with codec_level; CODEC default: see pipeline_options_default */
	int codec_level;
	int64_t commit_busy_us;   /* commit interval from 8 MiB waiting on; default 60 s */
	int64_t commit_idle_us;   /* … and below; default 15 min */
	uint64_t commit_bytes;    /* commit at once when so many bytes wait; default 1 GiB, at most a quarter of a collection's share */
	uint64_t log_bytes;       /* cap of the log; 0: its default */
	uint64_t collection_bytes; /* share of one collection; 0: half of it */
	bool salvage;             /* open a damaged log, giving up the damaged records */
	int64_t key_window_us;    /* idempotency keys and ids; 0: 10 minutes */
	bool ack_store;           /* `ack: store`: the log's records are in the lake, too, before they are acked (wal/replica.h) */
	int64_t adopt_after_us;   /* so long a log in the lake is without a sign of life before another server takes it over; 0: 2 minutes */
	/* Called once, from a thread of the pipeline: our log was taken over, nothing is acked any more; the process has to start again. */
	void (*fenced)(void *ctx, const struct err *why);
	void *fenced_ctx;
	/* In the bucket owner's words, what is missing for that right; NULL or a text to be freed. NULL: the store's own words. */
	char *(*remedy)(const char *url, enum store_right right, const struct err *why);
	const struct collection_rule *rules; /* looked at by pipeline_open only */
	size_t rule_count;
};

#define ACK_FOLDER "_hydrant/log" /* of the lake: the log's objects, with `ack: store` */

struct pipeline;
void pipeline_options_default(struct pipeline_options *ret);
/* RC_CONFLICT: the data folder is in use, the text is the holder's. RC_UNSUPPORTED: a newer hydrant's lake. */
rc_t pipeline_open(const struct pipeline_options *opts, struct pipeline **ret, struct err *reterr);
rc_t pipeline_start(struct pipeline *p, struct err *reterr); /* the threads that commit */
/* With `ack: store`, between the last request and pipeline_stop: commits what waits, so that nothing of the log stays in the lake. */
rc_t pipeline_drain(struct pipeline *p, struct err *reterr);
struct ack_state {
	bool on;
	struct wal_replica_stats log;
	uint64_t adopted_logs, adopted_events, failures; /* of other servers' logs; looks or adoptions that failed */
};
void pipeline_ack_state(struct pipeline *p, struct ack_state *ret);
void pipeline_stop(struct pipeline *p);                      /* waits for running commits; the log keeps the rest */
void pipeline_close(struct pipeline *p);                     /* NULL is fine */
AUTO_DEFINE(pipeline, pipeline_close)
/* A read-only pipeline whose views are open gives log and lock back, so that a server can start meanwhile; the views stay as they are. Only they, and
 * the spill folder if the caller has claimed its own, may be used then. Of others, and where a start would sweep the views' files away: nothing. */
void pipeline_let_go(struct pipeline *p);
void pipeline_store_stats(struct pipeline *p, struct store_stats *ret); /* of all its lakes */
/* The store that a collection lives in, opened if it is the first question. What opening says: RC_IO, RC_UNSUPPORTED (a newer lake), … */
rc_t pipeline_store_of(struct pipeline *p, const char *collection, struct store **ret, struct err *reterr);
/* Other rules, at once, and other credentials for the lake (`lake` is as pipeline_options.store; the rest of it is not looked at) and for the places that
 * rules name. RC_CONFLICT: a collection in use would move to another place; nothing is changed. One call at a time. */
rc_t pipeline_set_rules(struct pipeline *p, const struct store_options *lake, const struct collection_rule *rules, size_t count, struct err *reterr);
/* Settings of one collection (rule->pattern is its name; url is not looked at), kept in the lake in the place of earlier ones. What the rules
 * say of the same name counts more, what they say of patterns less. */
rc_t pipeline_declare(struct pipeline *p, const struct collection_rule *rule, struct err *reterr);
bool collection_pattern_matches(const char *pattern, const char *name);
/* The lake and the places that rules name. error: why it could not be opened; NULL = fine, or not asked for yet. */
void pipeline_lakes(struct pipeline *p, void (*each)(void *ctx, const char *url, const char *error), void *ctx);
/* What the lakes in buckets let us do, as the last look at each found: at the start, after something was refused, and until all is well. */
struct lake_state {
	const char *url;
	bool looked;                     /* false: nothing could be found out yet */
	const enum store_finding *found; /* by enum store_right */
	const char *const *missing;      /* by enum store_right: what its owner must do; NULL: nothing. The right to delete is not missed */
	const char *error;               /* why it could not be looked at last; NULL: it could */
};
/* each must not call the pipeline. */
void pipeline_lake_states(struct pipeline *p, void (*each)(void *ctx, const struct lake_state *s), void *ctx);
struct wal *pipeline_wal(struct pipeline *p); /* NULL: read-only and there is no log */
const char *pipeline_data_dir(const struct pipeline *p);
/* Where queries spill, each into a folder that mkdtemp makes there of SPILL_TEMPLATE (caller frees). What a killed process left goes when the data
 * folder is opened the next time. */
#define SPILL_TEMPLATE "XXXXXX"
char *pipeline_spill_dir(const struct pipeline *p);
/* Where the data folder of a lake is (caller frees); NULL if the lake is no folder and none was given. */
char *pipeline_default_data_dir(const char *lake);

/* ---- ingest ---- */

struct ingest_request {
	struct slice collection;
	struct slice body;
	enum frame_format format;
	bool body_is_event;
	bool reject;       /* one bad event refuses the whole body */
	struct slice key;  /* Idempotency-Key, or empty */
	struct slice meta; /* allow-listed headers, "name\0value\0"… */
};

#define INGEST_ERRORS_MAX 10
struct ingest_error {
	uint64_t line, column;
	char message[120];
};

struct ingest_reply {
	uint64_t accepted, quarantined; /* accepted counts all */
	uint64_t deduplicated;          /* not kept: their id was seen */
	uint64_t position;              /* of the last event */
	enum frame_format format;
	struct ingest_error errors[INGEST_ERRORS_MAX];
	unsigned error_count;
	uint64_t ticket;                /* wal_ticket says when it is durable; 0 = it already is */
	bool repeated;                  /* the key was seen: this is the first answer again */
	char log[WAL_ID_LEN + 1];       /* positions are of this log */
};

/* Appends the body's events as one atomic record. RC_INVALID (status 400): no event is valid, nothing kept; RC_CONFLICT (409): same key, another
 * body; RC_LIMIT (413, 429, 503, 507); RC_AGAIN: the key's first send is not durable yet, wait for reply->ticket and call again. */
rc_t pipeline_ingest(struct pipeline *p, const struct ingest_request *req, struct ingest_reply *ret, struct err *reterr);

/* ---- files ---- */

struct load_options {
	const char *path;          /* "-": standard input */
	const char *collection;
	enum frame_format format;
	bool again;                /* even if the lake has this file */
	uint64_t cut_bytes;        /* a commit at least every so many bytes of input; 0: 2 GiB */
	/* progress, may be NULL: bytes read of size (0 = unknown), events so far */
	void (*progress)(void *ctx, uint64_t offset, uint64_t size, uint64_t events);
	void *ctx;
};
struct load_result {
	uint64_t events, quarantined, bytes, commits, skipped_bytes; /* skipped: already in the lake */
	uint64_t forgotten;        /* files loaded long ago that nothing knows again from now on */
	bool already;              /* all of it was there: nothing was added */
	bool of_file;              /* it failed, and for what is wrong with this file: another one may do */
	enum frame_format format;
};
/* A file is its own log: committed cut by cut with the offset as position, so that a second run adds nothing, an interrupted one goes on, and
 * one that has grown gives what is new. A gzip or zstd file is known by all its bytes: packed anew it is another file. Of a collection 100,000 files
 * are remembered, and those of the last 30 days also beyond that (a million at most). One call at a time; other processes may load the same file at once. */
rc_t pipeline_load(struct pipeline *p, const struct load_options *opts, struct load_result *ret, struct err *reterr);

/* ---- hydrate ---- */

/* Commits what waits, of one collection or (NULL) all, now, in the calling thread. RC_NOT_FOUND: no such collection. */
rc_t pipeline_flush(struct pipeline *p, const char *collection, struct err *reterr);
struct expiry {
	uint64_t files, events, bytes; /* taken out of the tables: their days are over */
	uint64_t removed;              /* files that no live metadata names, deleted */
};
/* Retention, now: of the collection and its quarantine. With `sweep` earlier snapshots go, too, and what none names any more is deleted; what was
 * taken out a moment ago stays for a day. RC_NOT_FOUND: no such table, or a quarantine whose collection is there. */
rc_t pipeline_expire(struct pipeline *p, const char *collection, bool sweep, struct expiry *ret, struct err *reterr);
/* Forgets a collection: its events in the log, its table; with purge its files. */
rc_t pipeline_drop(struct pipeline *p, const char *collection, bool purge, struct err *reterr);

/* A collection's backlog in the log, bytes: *ret_soft is what commits need to work well, *ret_share what is refused with 429. */
void pipeline_backlog_limits(const struct pipeline *p, uint64_t *ret_soft, uint64_t *ret_share);

/* What /metrics and /readyz show of a collection. */
struct pipeline_state {
	const char *collection;
	uint64_t waiting_events, waiting_bytes;
	uint64_t aside_bytes;  /* of waiting_bytes, in the collection's own side files, because its commits fail */
	int64_t oldest;        /* µs, 0 if none */
	uint64_t commits, committed_events, committed_bytes, committed_files, failures; /* since start */
	uint64_t raw_rows;     /* of the committed ones: with __raw */
	uint64_t mismatches;   /* rows that did not come back when they were checked: a defect, healed by __raw */
	const char *error;     /* of the last commit, NULL = fine */
};
rc_t pipeline_states(struct pipeline *p, rc_t (*each)(void *ctx, const struct pipeline_state *s), void *ctx);

/* ---- reading ---- */

/* A collection as it is this moment: the table's snapshot plus the events that it does not hold yet, as Parquet files. */
struct view {
	struct store *store;         /* of the table */
	struct table *table;         /* NULL: nothing committed yet */
	const struct schema *schema; /* of both */
	char **hot;                  /* local paths */
	size_t hot_count;
	uint64_t hot_events;
	void **refs;                 /* internal */
	struct schema *owned;        /* internal */
};
/* RC_NOT_FOUND: no such collection. */
rc_t view_open(struct pipeline *p, const char *collection, struct view **ret, struct err *reterr);
void view_close(struct view *v);
AUTO_DEFINE(view, view_close)
/* Every collection, committed or only in the log, sorted by name. A lake that cannot be read now is told to the log and left out, but for
 * the collections that the rules name; if none can be read, that is the error. */
rc_t pipeline_collections(struct pipeline *p, rc_t (*each)(void *ctx, const char *collection, struct err *reterr), void *ctx,
			  struct err *reterr);

#endif
