/* The simulator: whole nodes, the shipped objects, over a simulated clock, disk, object store and threads, from one seed.
 *
 *   task.c    threads as coroutines: one runs at a time, who is next is drawn; the clock moves when nobody can run
 *   disk.c    the system calls below os/file.c: a page cache, what a power cut leaves of it, errors
 *   bucket.c  an object store: one more struct store_ops
 *   node.c    a node's life: start, clients, commits, crash; the plan of what goes wrong; foreign writers
 *   oracle.c  what was promised, and what the tables hold
 *   sim.c     seeds, the story of one, the smallest plan that still fails
 *
 * A crash drops a node's tasks where they stand and never looks at its memory again (a seed is a process of its own).
 */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

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
bool task_kill_node(int node); /* true: the caller's, who ends with task_leave_for_good */
void task_leave_for_good(void) __attribute__((noreturn));
int64_t sim_now(void);
/* Every effect passes here, before it happens: others may come first, the node may crash. */
void door(const char *what, const char *of, uint64_t n);

/* ---- what goes wrong ---- */
enum fault { FAULT_SYNC, FAULT_WRITE, FAULT_FULL, FAULT_HANDLES, FAULT_503, FAULT_RESET, FAULT_DENIED, FAULT_SLOW, FAULT_COUNT };
bool fault_now(enum fault f); /* does it meet this call of this task? */
extern uint64_t sim_faults_met, sim_crashes;

/* ---- disk.c ---- */
void disk_power_cut(const char *prefix); /* of every path that begins so */
void disk_close_all(int node);

/* ---- bucket.c ---- */
struct store;
struct store *bucket_open(void);

/* ---- node.c ---- */
extern bool sim_folder; /* the lake is a folder on the one disk of all nodes; else a bucket, and a disk a node */
const char *sim_lake(void);
void nodes_door(void); /* a crash that was planned for about now happens */
void *sim_main(void *unused);

/* ---- oracle.c ---- */
struct sent {
	int node, collection;
	uint64_t first, count; /* numbers of its events */
	bool keyed;            /* sent again until acked, with an Idempotency-Key */
	bool acked, dead;      /* dead: never sent again */
	unsigned life;         /* of the node that is sending it */
	unsigned bad;          /* lines that are no JSON */
};
extern struct sent sim_sent[];
extern size_t sim_sent_count;
#define SENT_MAX 4096
const char *collection_name(int i);
void event_text(uint64_t n, char out[1024]);
void oracle_check(void);
extern uint64_t sim_rows, sim_acked;

/* A run that ends by itself ends here. */
void sim_done(void) __attribute__((noreturn));
extern uint64_t sim_seed, sim_plan_mask_count;
extern uint8_t sim_dropped[256]; /* steps of the plan that are left out */
extern unsigned sim_plan_count;

#endif
