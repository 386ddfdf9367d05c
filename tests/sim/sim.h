/* The simulator: whole nodes, the shipped objects, over a simulated clock, disk, object store and threads, from one seed.
 *
 *   task.c    threads as coroutines: one runs at a time, who is next is drawn; the clock moves when nobody can run
 *   disk.c    the system calls below os/file.c: a page cache, what a power cut leaves of it, errors
 *   bucket.c  an object store: one more struct store_ops
 *   node.c    a node's life: start, clients, commits, crash
 *   plan.c    what goes wrong, and when; the end
 *   hour.c    another plan: an hour in which one collection's place refuses
 *   other.c   writers that are no node: commits, rows, files, expiry
 *   rot.c     a log's bytes: they go bad while nobody looks; what a start says about that, and about a torn tail; cuts
 *   oracle.c  what was promised, and what the tables hold
 *   sim.c     seeds, the story of one, the smallest plan that still fails
 *   heap.c, quick.c   only make it fast
 *
 * A crash drops a node's tasks where they stand and never looks at its memory again (a seed is a process of its own).
 */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "pipeline/pipeline.h"

#define NODES 2
#define WORLD (-1) /* tasks of nobody: the plan, foreign writers, the check at the end. No fault meets them */

/* ---- chance: streams of their own, so that dropping a step of the plan leaves the others as they are ---- */
enum stream { CHANCE_SCHEDULE, CHANCE_DISK, CHANCE_STORE, CHANCE_CLIENT, CHANCE_RANDOM, CHANCE_PLAN, CHANCE_COUNT };
uint64_t chance(enum stream s);
uint64_t chance_below(enum stream s, uint64_t n); /* 0 … n-1 */
bool chance_of(enum stream s, unsigned percent);

/* ---- the trace: every effect is hashed; printed if the story is wanted ---- */
void trace(const char *what, const char *of, uint64_t n);
void story(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void violated(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn)); /* the promise was broken: the seed ends */
extern bool sim_story;

/* ---- task.c ---- */
void task_start(int node, void *(*run)(void *), void *arg);
void task_run_all(void); /* until no task is left */
void task_sleep(int64_t us);
int task_node(void);     /* whose task this is */
void task_pause(int node, int64_t until); /* as SIGSTOP */
bool task_kill_node(int node); /* true: the caller's, who ends with task_leave_for_good */
void task_tell(void); /* on stdout, where everybody stands; the last thing a seed does */
void task_leave_for_good(void) __attribute__((noreturn));
int64_t sim_now(void);
/* Every effect passes here, before it happens: others may come first, the node may crash. */
void door(const char *what, const char *of, uint64_t n);

/* ---- quick.c ---- */
void memo_forget(void); /* what is read from here on is parsed */

/* ---- what goes wrong ---- */
enum fault { FAULT_SYNC, FAULT_WRITE, FAULT_FULL, FAULT_READ, FAULT_FOLDER, FAULT_HANDLES, FAULT_PLACE, FAULT_503, FAULT_RESET, FAULT_DENIED, FAULT_SLOW, FAULT_COUNT };
bool fault_now(enum fault f); /* does it meet this call of this task? */
extern uint64_t sim_faults_met, sim_crashes, sim_asides; /* asides: segments whose records were moved to side files */

extern struct sim_settings { /* of a seed */
	uint64_t log_bytes;
	int64_t key_window_us;
	size_t write_buffer, index_max; /* 0: the log's default */
	bool big;                       /* now and then an event that is larger than a segment */
	bool aside;                     /* places refuse one collection for long, and it is called stuck now and then without reason */
	bool ack_store;                 /* a 200 is worth an object in the store, and disks vanish with their nodes */
	bool jumped;                    /* wall clocks were set, so that receive times say nothing */
} sim_settings;
extern int64_t sim_latency; /* µs: requests and syncs take up to about so long; a constant of the seed */

/* ---- disk.c ---- */
void disk_power_cut(const char *prefix); /* of every path that begins so */
void disk_other_begins(void); /* another writer, which does not outlive a power cut of everything */
void disk_wipe(const char *prefix);      /* they were never there */
void disk_close_all(int node);
const uint8_t *disk_bytes(const char *path, size_t *ret_len); /* as programs see them; NULL: no such file */
const uint8_t *disk_platter(const char *path, size_t *ret_len); /* as a power cut would leave them at the least */
void disk_flip(const char *path, size_t at, uint8_t bit);
void disk_each(const char *prefix, void (*each)(void *ctx, const char *path), void *ctx);

/* ---- bucket.c ---- */
struct store *bucket_open(void);
void bucket_lost(int node);  /* it died: its requests on their way may still come through */
extern unsigned bucket_late; /* that have not yet */

/* ---- node.c ---- */
struct node {
	struct pipeline *p;
	unsigned life, users; /* users: tasks with `p` in hand */
	bool up, closed;
	unsigned crash_after, nested;
	const char *point;    /* crash_after counts from the next passing of this fault point on; NULL: from now */
	bool power;
	bool forgot_trim;     /* damage may have cost it the word that a segment is not needed */
	bool forgot;          /* damage may have cost it idempotency keys */
	int64_t clock;        /* its wall clock is so far ahead of the world's, µs */
	bool rotten, salvage; /* its log was damaged; it is started with --salvage */
	int64_t fault_until[FAULT_COUNT];
	unsigned fault_percent[FAULT_COUNT];
};
extern struct node nodes[NODES];
extern const char *const fault_names[];
extern bool sim_folder; /* the lake is a folder on the one disk of all nodes; else a bucket, and a disk a node */
extern bool sim_draining; /* no new events */
#define EVENTS_MIN 1000
#define NUMBERS_MAX 8192
#define FOREIGN_FIRST 6000 /* numbers from here on are other writers' */
const char *sim_lake(void);
void node_start(int n);
void node_crash(int n, bool power);
void nodes_door(void); /* a crash that was planned for about now happens */
void nodes_point(const char *name);
bool nodes_all_sent(void);
bool nodes_settled(void); /* everybody is up, whoever has a key has an answer */
void nodes_drain(void);
bool nodes_closed(void);

/* ---- other.c ---- */
void other_commit(unsigned kind); /* properties, rows or a file */
void other_expire(void);
extern unsigned other_commits, other_expiries; /* that came through */
extern unsigned sim_power_cuts;
struct other_row_state { bool sent, sure; int collection; };
extern struct other_row_state other_rows[NUMBERS_MAX - FOREIGN_FIRST];
void other_check(struct store *store); /* their files are as they were */

/* ---- rot.c ---- */
void rot_log(int node);
/* A node puts a data file: the cut that it is of must be in its log, and durable. */
/* A sector of a segment that was not synced, whose only head begins in it and ends in the next: the worst to be left alone. 0: there is none. */
size_t rot_torn_head(const uint8_t *data, size_t len, const uint8_t *dirty, size_t sector);
void rot_check_cut(int node, const char *key);
bool rot_excuses(const char *log, uint64_t position, int64_t acked_at);
extern unsigned rot_count;
void rot_wiped(int node); /* its disk is another one */

/* ---- plan.c ---- */
void *sim_main(void *unused);

/* ---- hour.c ---- */
extern bool sim_hour;
void hour_settings(void);
void hour_run(void);

/* ---- oracle.c ---- */
struct sent {
	int node, collection;
	uint64_t first, count; /* numbers of its events */
	bool keyed;            /* sent again until acked, with an Idempotency-Key */
	bool acked, dead;      /* dead: never sent again */
	unsigned life;         /* of the node that is sending it */
	unsigned bad;          /* lines that are no JSON */
	int64_t begun, ended;  /* its node's wall clock: first sent, acked */
	int64_t first_at, acked_at; /* the same in sim_now() */
	uint64_t position;     /* of its last event, if an answer came so far; acked: for good */
	char log[WAL_ID_LEN + 1];
};
void hour_reply(const struct sent *s, rc_t rc, const struct err *err);
extern struct sent sim_sent[];
extern size_t sim_sent_count;
#define SENT_MAX 4096
const char *collection_name(int i);
const char *event_text(uint64_t n);
void oracle_check(void);
extern uint64_t sim_rows, sim_acked;

/* A run that ends by itself ends here. */
void sim_done(void) __attribute__((noreturn));
extern uint64_t sim_seed, sim_most_crashes;
extern uint8_t sim_dropped[256]; /* steps of the plan that are left out */
extern unsigned sim_plan_count;

#endif
