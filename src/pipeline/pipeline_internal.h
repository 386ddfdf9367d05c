/* What the files of this room share. */
#ifndef PIPELINE_INTERNAL_H
#define PIPELINE_INTERNAL_H

#include <pthread.h>

#include "base/map.h"
#include "pipeline/build.h"
#include "pipeline/pipeline.h"

/* Reading a bucket needs no log: this is no folder, and nobody can make it one. */
#define NO_DATA_DIR "/dev/null/none"
#define LAKE_FILE "_hydrant/lake.json"
#define LAKE_FORMAT 1 /* of that file; a higher number is refused */

/* A run of a collection's uncommitted events of one kind as one Parquet file; shared by views, its file removed with the last. */
struct hot_chunk {
	uint64_t after, upto; /* positions, after < pos ≤ upto */
	uint64_t events;
	char *path; /* NULL: no such events in the range */
	int refs;   /* atomic */
};

/* The hot events of one kind (valid, or quarantined) of a collection: gapless chunks in order. */
struct hot {
	struct hot_chunk **chunks;
	size_t count, cap;
	struct shredder *shredder; /* of all chunks, so that they agree on types */
	int32_t schema_id;         /* the table's schema that the shredder started from; -1 = no table */
	char uuid[40];             /* … and which table's; "": no table */
};

/* What the last commit knows of a table's folder, so that the next one does not put it there again. */
struct known {
	char uuid[40];   /* the table's; "": nothing is known */
	uint64_t ddl;    /* table_ddl_hash */
	struct buf keys; /* builder_keys */
};

struct collection {
	char *name;
	pthread_mutex_t commit; /* held by whoever builds and commits a cut: one at a time */
	pthread_mutex_t lock;   /* held while the log's start moves, and while a view is put together; never across a commit */
	struct hot hot[2];      /* valid, quarantined; under `lock` */
	pthread_mutex_t state_lock; /* of what follows; held for moments only: /metrics takes it on an HTTP loop */
	int64_t retry_at;       /* clock_mono_us; 0 = none */
	unsigned failures_in_row;
	struct pipeline_state state;
	char error[512];
	struct known known[2];  /* valid, quarantined */
	int64_t commit_busy_us, commit_idle_us; /* the scheduler's copy of the settings, as of settings_version */
	unsigned settings_version;
	bool taken;             /* due, and waiting for a worker or with one; with what follows under pipeline.lock */
	int64_t taken_at;       /* clock_mono_us */
	struct collection *next_due;
};

#define HYDRATE_WORKERS 4 /* commits at a time */
#define LOOKERS 4         /* places whose rights are tried at a time */

/* lakes.c: a store, and what it needs to be opened. */
#define STORE_TEXTS 12 /* the strings of struct store_options */
struct place {
	struct place *next;
	char *url;
	struct store_options options;
	pthread_mutex_t lock; /* held while it is being opened: of what follows */
	struct store *store;  /* set once; atomic for who does not hold the lock */
	bool open;            /* atomic: the lake in it is one that we know */
	bool warned;          /* atomic: the log was told that it cannot be read */
	int64_t again_at;     /* clock_mono_us; after a failure */
	struct err error;     /* of the last try */
	/* rights.c, of a bucket; under look_lock */
	int64_t look_at, looked_at; /* clock_mono_us; 0: not asked for, never */
	bool looking, looked;       /* looked: and something could be found out */
	bool unsettled;             /* something is lacking, or could not be found out */
	enum store_finding found[STORE_RIGHTS];
	char *missing[STORE_RIGHTS]; /* owned: what its owner must do; NULL: nothing */
	bool away;                  /* the store did not answer the last look: nobody else waits for it */
	unsigned away_looks;        /* in a row */
	char look_error[512];
	/* lakes.c, under look_lock */
	pthread_t opener;           /* joined at the end, if has_opener */
	bool has_opener, opening;
};

/* declared.c: what the API said of a collection. */
struct declared {
	char *name, *time_field, *id_field;
	uint64_t file_bytes;
	int64_t commit_busy_us, commit_idle_us, retention_us;
};

/* ackstore.c, with `ack: store` only. */
struct seen; /* adopt.c */
struct ack {
	struct store *store; /* of the lake, a handle of its own: it waits for seconds only */
	char asked[WAL_ID_LEN + 1]; /* the log that was looked for last */
	char forced[WAL_ID_LEN + 1]; /* our own earlier log, to be taken over at once; "": none. The adopter's */
	pthread_t keeper, adopter;
	bool has_keeper, has_adopter;
	bool stop;                  /* with pipeline.lock */
	pthread_cond_t wake;
	struct seen *seen;          /* the adopter's */
	size_t seen_count;
	uint64_t logs, events, failures; /* adopted; atomic */
};

struct pipeline {
	struct pipeline_options opts;
	struct ack ack;
	uint64_t random;      /* drawn at open (commit.c) */
	struct loaded_list *loaded; /* loaded.c: what pipeline_load read last; NULL: nothing */
	struct declared *declared; /* under rules_lock */
	size_t declared_count;
	struct place *places; /* the first is the lake; only appended to */
	struct rule *rules;   /* under rules_lock, with their number */
	size_t rule_count;
	pthread_mutex_t rules_lock; /* innermost */
	bool ids_declared, retention_declared; /* some collection may have an id_field, a retention. Atomic, never unset */
	unsigned settings_version; /* not 0; another one after every change of rules and declared. Atomic */
	int64_t shortest_us;  /* the shortest interval that a rule asks for; INT64_MAX: none. Atomic */
	char *data_dir;
	char *hot_dir;  /* hot.c's files; emptied at start, removed at the end */
	int hot_fd;     /* read-only: claims it, so that others' starts leave it alone; -1: not */
	int lock_fd;
	struct wal *wal;
	pthread_mutex_t lock; /* the collections map, what is due, and the scheduler's sleep */
	pthread_cond_t wake;  /* the scheduler */
	struct map collections;
	pthread_t scheduler, workers[HYDRATE_WORKERS];
	unsigned worker_count;
	pthread_cond_t due_some; /* the workers */
	pthread_t upkeep;
	pthread_cond_t upkeep_wake; /* with lock */
	bool upkeep_runs;
	struct collection *due_first, *due_last;
	bool running, stopping;
	bool look_again;      /* since the scheduler's last look: a worker is done, or a store works again, and collections may be due */
	bool asleep_for_good; /* the scheduler waits without a deadline: the next durable group must wake it */
	uint64_t bytes_at_check;
	pthread_mutex_t look_lock; /* of the places' rights */
	pthread_cond_t look_wake;  /* the lookers */
	pthread_cond_t opened;     /* whoever waits for a place to be opened */
	pthread_t lookers[LOOKERS];
	unsigned looker_count;
	pthread_mutex_t build; /* held while a cut is built: memory_bytes are for one at a time */
};

void loaded_free(struct pipeline *p);
void lakes_init(struct pipeline *p);
void lakes_free(struct pipeline *p);
rc_t lakes_open_first(struct pipeline *p, struct err *reterr); /* without a look into it */
/* A store at the place, with the settings that its own has. */
rc_t place_store_open(struct pipeline *p, const struct place *pl, struct store **ret, struct err *reterr);
struct place *place_next(const struct pipeline *p, const struct place *after); /* after NULL: the lake */
rc_t place_open(struct pipeline *p, struct place *pl, struct store **ret, struct err *reterr);
/* In threads of their own: the first `most` buckets that are not open yet. */
void places_open_begin(struct pipeline *p, unsigned most);
/* Waits for them until clock_mono_us says deadline: RC_IO then. Others are opened as ever. */
rc_t place_open_by(struct pipeline *p, struct place *pl, int64_t deadline, struct store **ret, struct err *reterr);
/* Who waits for a store that does not answer goes on within seconds; nothing is asked twice any more. */
void lakes_hurry(struct pipeline *p);
void lakes_end(struct pipeline *p); /* after it no thread of this file runs */
/* Its store, of which nothing has been asked yet. */
rc_t place_reach(struct pipeline *p, struct place *pl, struct store **ret, struct err *reterr);
struct place *place_with(struct pipeline *p, const char *collection);
bool place_holds(struct pipeline *p, const struct place *pl, const char *collection); /* do the rules say so? */
/* All that the lake holds of them; on opening it. Called again they are read again. */
rc_t declared_load(struct pipeline *p, struct store *store, struct err *reterr);
const struct declared *declared_of(const struct pipeline *p, const char *name); /* under rules_lock */
bool declared_is(struct pipeline *p, const char *name);
rc_t declared_drop(struct pipeline *p, const char *name, bool *ret_any, struct err *reterr);
void declared_free(struct pipeline *p);
/* The collections of a place that the rules call by name. */
void rules_names(struct pipeline *p, const struct place *pl, void (*each)(void *ctx, const char *collection), void *ctx);
/* lake.json of a place, made if it is not there. RC_UNSUPPORTED: a newer hydrant's. */
rc_t lake_check(struct pipeline *p, struct place *pl, struct err *reterr);
/* What the rules say of a collection (or of its quarantine), as a copy. */
struct collection_settings {
	struct place *place;
	char *time_field; /* owned; NULL: detected */
	char *id_field;   /* owned; NULL: none */
	uint64_t file_bytes;
	int64_t commit_busy_us, commit_idle_us;
	int64_t retention_us; /* 0: for ever */
};
void settings_changed(struct pipeline *p); /* under rules_lock */
void note_declared(struct pipeline *p, const char *id_field, int64_t retention_us);
void collection_settings_get(struct pipeline *p, const char *name, struct collection_settings *ret);
void collection_settings_clear(struct collection_settings *s);

/* ids.c: the string or number at the dotted path of a valid JSON object, as text (in it, or in `a`); empty if there is none. */
struct slice event_id(struct slice payload, const char *path, struct arena *a);

/* The collection's entry, made if absent; lives as long as the pipeline. */
struct collection *collection_get(struct pipeline *p, const char *name);
/* Asked before an entry is made for a name: names come from outside. `name` is base, or the name of its quarantine. */
bool collection_exists(struct pipeline *p, const char *base, const char *name);
/* "<epoch>:<position>" of a log in the table; 0 if the table does not know it. *ret_value: the property as it stands (may be NULL). */
uint64_t table_log_position(struct table *t, const char *log, const char **ret_value);
/* Opens the table, *ret NULL if there is none. */
rc_t table_open_if_any(struct store *store, const char *collection, struct table **ret, struct err *reterr);

/* One cut of one source on its way into the tables (commit.c). */
struct commit {
	struct pipeline *p;
	const char *log;            /* the source's id: a log's, or a file's */
	uint64_t after, upto;       /* positions: after < pos ≤ upto; upto 0: `measured` will set it */
	/* Called when the source has been read once, to set upto and value; may be NULL. */
	rc_t (*measured)(struct commit *c, struct err *reterr);
	void *ctx;
	const char *value;          /* the position property afterwards, "<epoch>:<upto>…"; NULL: removed */
	struct build_source source;
	/* A file's, which another process may load at this moment: the position property in the table and in the quarantine's (NULL: absent) must be as
	 * they were seen, or as this commit left them, which `seen` is then (owned by the caller). Else RC_CONFLICT and `moved`. */
	bool guarded, moved;
	char *seen[2];
	const char *collection;     /* internal, as what follows */
	bool no_room;               /* the table took no new columns: RC_LIMIT */
	bool narrow;                /* … so that this try makes none */
	bool quarantine_done;       /* those events of the cut are in their table */
	struct store *store;        /* of the collection */
	struct collection_settings settings;
	/* results, summed up */
	uint64_t events, quarantined, files, bytes;
	uint64_t raw_rows, mismatches; /* of shred_stats, valid events only */
};
/* The quarantined events, then the valid ones. What is committed already, from an earlier attempt, is not again. */
rc_t commit_cut(struct commit *c, const char *collection, struct err *reterr);

rc_t pipeline_recover(struct pipeline *p, struct err *reterr);
/* Commits what waits of one collection, in the calling thread; notes the outcome (hydrate.c). */
rc_t hydrate_collection(struct pipeline *p, struct collection *c, struct err *reterr);
/* The same from any log, under c->commit; the outcome is the caller's to note. epoch: what the table's position says. */
rc_t hydrate_cuts(struct pipeline *p, struct wal *wal, uint64_t epoch, struct collection *c, struct err *reterr);
/* ackstore.c: the log's objects in the lake. open: ours, in place of wal_open. begin, end: its threads. */
rc_t ack_open(struct pipeline *p, const struct wal_options *wo, struct err *reterr);
int64_t ack_adopt_after(const struct pipeline *p); /* the setting, or what it is without one, µs */
void ack_begin(struct pipeline *p);
void ack_end(struct pipeline *p);
void ack_free(struct pipeline *p);
extern const struct wal_replica_ops ack_ops; /* their context is the pipeline */
bool ack_key_parse(const char *key, char ret_log[WAL_ID_LEN + 1], uint64_t *ret_number);
/* adopt.c: logs of servers that are gone. Looks at all logs in the lake once, and takes over those that are dead. */
void adopt_look(struct pipeline *p);
bool adopt_is_over(struct pipeline *p, const char *id); /* tables have all of that log, as far as the lake tells */
void adopt_free(struct pipeline *p);
bool pipeline_stopping(const struct pipeline *p);
/* What waits of this place's collections and was to be tried later is tried now (schedule.c). */
void schedule_again(struct pipeline *p, const struct place *pl);
/* The collections that this process knows by name. Caller frees the list. */
struct collection **known_collections(struct pipeline *p, size_t *ret_count);
/* rights.c. begin: also when there are new places. outcome: of what was asked of the place, *err only if rc says so. */
void rights_begin(struct pipeline *p);
/* upkeep.c: the thread that looks after tables beside their commits. */
void upkeep_begin(struct pipeline *p);
void upkeep_end(struct pipeline *p);
struct clock_watch {
	int64_t offset;     /* of the wall clock from the monotonic one at the last look */
	int64_t even_since; /* monotonic µs */
};
/* last_wall: what the wall clock showed when it was last trusted, maybe by another process; 0: unknown. */
void clock_watch_begin(struct clock_watch *w, int64_t wall, int64_t mono, int64_t last_wall);
bool clock_watch_trusts(struct clock_watch *w, int64_t wall, int64_t mono);
/* One look at all collections with a retention, if the clock is to be trusted. */
void upkeep_look(struct pipeline *p, struct clock_watch *w, int64_t wall, int64_t mono, bool sweep);
void rights_end(struct pipeline *p);
void rights_outcome(struct pipeline *p, struct place *pl, rc_t rc, const struct err *err);
void rights_look(struct pipeline *p, struct place *pl); /* soon, whatever its state */
rc_t rights_away(struct pipeline *p, struct place *pl, struct err *reterr); /* RC_IO: it does not answer, as was found out a moment ago */
bool is_bucket(const struct place *pl);
void place_patience(struct pipeline *p, struct place *pl, bool little);
void hot_clear(struct hot *h);
void hot_unref(struct hot_chunk *chunk);

/* The log's events of one collection in a range of positions, as a builder wants them. */
struct wal_source {
	struct wal *wal;
	struct slice collection;
	uint64_t after, upto;
	struct wal_cursor *cursor;
	struct arena arena;
	struct event *events;
	size_t count, cap;
	size_t moved;   /* of count: those whose bytes are in the arena */
	bool big_first; /* the first batch is a large sample */
	bool started;
};
void wal_source_init(struct wal_source *s, struct wal *wal, const char *collection, uint64_t after, uint64_t upto);
void wal_source_free(struct wal_source *s);
rc_t wal_source_rewind(void *ctx, struct err *reterr);
rc_t wal_source_next(void *ctx, const struct event **ret_events, size_t *ret_n, struct err *reterr);

#endif
