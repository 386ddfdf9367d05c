/* An hour in which the place of one collection refuses, and nothing else goes wrong but that nodes are killed now and then: acks of the other one,
 * what it waits for its commits and the log's disk stay as they are; the one alone is refused when its share is full; then all of it is there, once. */
#include <string.h>

#include "sim.h"

#define HOUR_US ((int64_t)3600 * 1000000)
#define LOOK_US 5000000
#define KILL_EVERY 150                /* looks */
#define ACK_US 1000000                /* a disk that takes 20 ms for a sync, and a segment or two being made */
#define FRESH_US ((int64_t)10 * 1000000) /* it is committed every 1.5 s */

bool sim_hour;
static uint64_t most_log, most_aside, refused;
static int64_t slowest, oldest;

void hour_reply(const struct sent *s, rc_t rc, const struct err *err)
{
	int64_t took = sim_now() - s->first_at;
	if (s->collection == 1) {
		if (rc != RC_OK && err->status != 429)
			violated("the collection that cannot commit was refused with %d: %s", err->status, err->text);
		refused += rc != RC_OK;
		return;
	}
	if (rc != RC_OK)
		violated("another collection was refused: %s", err->text);
	if (took > ACK_US)
		violated("an ack of another collection took %lld ms", (long long)(took / 1000));
	slowest = took > slowest ? took : slowest;
}

static void look(const struct node *n)
{
	struct wal_stats stats;
	struct wal_pending p;
	if (!n->up || !n->p)
		return;
	wal_stats(pipeline_wal(n->p), &stats);
	wal_pending(pipeline_wal(n->p), slice_str(collection_name(0)), &p);
	if (stats.bytes > sim_settings.log_bytes * 3 / 4)
		violated("the log has %llu bytes", (unsigned long long)stats.bytes);
	if (p.aside)
		violated("events of the other collection are in side files");
	most_log = stats.bytes > most_log ? stats.bytes : most_log;
	most_aside = stats.side_bytes > most_aside ? stats.side_bytes : most_aside;
}

/* How long the oldest event of the other collection has waited, by looks. */
static void look_fresh(int i)
{
	static uint64_t first[NODES];
	static int64_t since[NODES];
	struct wal_pending p = { 0 };
	if (nodes[i].up && nodes[i].p)
		wal_pending(pipeline_wal(nodes[i].p), slice_str(collection_name(0)), &p);
	if (!p.events || p.first != first[i]) {
		first[i] = p.events ? p.first : 0;
		since[i] = sim_now();
		return;
	}
	int64_t age = sim_now() - since[i];
	oldest = age > oldest ? age : oldest;
	if (age > FRESH_US)
		violated("events of the other collection have waited for %lld s", (long long)(age / 1000000));
}

void hour_settings(void)
{
	sim_latency = 20000;
	sim_settings = (struct sim_settings){ .log_bytes = 1 << 20, .key_window_us = (int64_t)60 * 1000000, .aside = true };
}

void hour_run(void)
{
	for (int i = 0; i < NODES; i++) {
		nodes[i].fault_until[FAULT_PLACE] = sim_now() + HOUR_US;
		nodes[i].fault_percent[FAULT_PLACE] = 100;
	}
	story("the place of beta refuses for an hour");
	for (unsigned k = 1; k < HOUR_US / LOOK_US; k++) {
		task_sleep(LOOK_US);
		for (int i = 0; i < NODES; i++) {
			look(&nodes[i]);
			look_fresh(i);
		}
		if (k % KILL_EVERY == 0)
			node_crash((int)(k / KILL_EVERY % NODES), k / KILL_EVERY % 3 == 0);
	}
	story("the hour is over: log %llu bytes at most, side files %llu, refused %llu; others' slowest ack %lld ms, oldest event %lld ms",
	      (unsigned long long)most_log, (unsigned long long)most_aside, (unsigned long long)refused, (long long)(slowest / 1000),
	      (long long)(oldest / 1000));
	if (most_aside < sim_settings.log_bytes / 4 || !refused)
		violated("the collection that cannot commit did not fill its share: %llu bytes", (unsigned long long)most_aside);
}
