/* The plan of what goes wrong in a seed, and the seed's end. */
#include <stdio.h>
#include <string.h>

#include "sim.h"

#define PLAN_MAX 64
#define CRASHES_MIN 3
#define FAULTS_MIN 5
#define SETTLE_US ((int64_t)120 * 1000000) /* well under the key window: no key may block its sender for that long */
#define DRAIN_US ((int64_t)900 * 1000000)  /* commits that failed wait for a minute at most, a few times */

enum step_kind { STEP_FAULT, STEP_KILL, STEP_POWER, STEP_POINT, STEP_OTHER, STEP_EXPIRE, STEP_PAUSE, STEP_ROT, STEP_CLOCK };
struct step {
	enum step_kind kind;
	int64_t wait;      /* µs behind the step before */
	int node;
	enum fault fault;
	unsigned percent;  /* of the calls that the fault meets */
	int64_t length;    /* of a fault or pause, µs */
	unsigned after;    /* a crash comes with this effect from now on */
	const char *point; /* … from the next passing of this one on */
	unsigned nested;   /* and so often again in the starts behind it */
	unsigned detail;
};
static struct step plan[PLAN_MAX];
int64_t sim_latency;
struct sim_settings sim_settings;

/* Between two of them, something is promised or begins to count. */
static const char *const points[] = {
	"wal.append", "wal.before_sync", "wal.before_sync", "wal.after_sync", "wal.before_rotate", "wal.rotate", "wal.rotate_renamed", "wal.rotate_synced",
	"wal.trim", "wal.trimmed", "wal.recover", "hydrate.cut", "hydrate.built", "hydrate.stored", "store.before_name", "store.before_name", "store.before_name", "store.after_name",
	"table.manifest", "table.manifest_list", "table.before_commit", "table.before_commit", "table.before_commit", "table.after_commit", "table.after_hint", "table.after_ddl",
	"hydrate.committed", "hydrate.before_trim", "wal.aside_written", "wal.aside_synced", "wal.aside_said", "wal.aside_said", "wal.aside_remove", "wal.aside_removed",
	/* with ack_store */
	"replica.put", "replica.put", "replica.put_done", "replica.put_done", "replica.removed", "adopt.seal", "adopt.sealed", "adopt.committed", "adopt.removed",
};
#define ACK_POINTS 9
#define POINTS (sizeof points / sizeof *points - (sim_settings.ack_store ? 0 : ACK_POINTS))

static enum step_kind draw_kind(void)
{
	static const struct {
		enum step_kind kind;
		unsigned weight;
	} kinds[] = { { STEP_FAULT, 38 }, { STEP_KILL, 7 },   { STEP_POWER, 11 }, { STEP_POINT, 16 },
		      { STEP_OTHER, 12 }, { STEP_EXPIRE, 6 }, { STEP_PAUSE, 5 },  { STEP_ROT, 3 },
		      { STEP_CLOCK, 2 } };
	unsigned r = (unsigned)chance_below(CHANCE_PLAN, 100), i = 0;
	while (r >= kinds[i].weight)
		r -= kinds[i++].weight;
	return kinds[i].kind;
}

static void make_settings(void)
{
	static const int64_t latencies[] = { 0, 0, 3, 2000, 20000, 20000, 150000 };
	bool aside = chance_of(CHANCE_PLAN, 50), small = chance_of(CHANCE_PLAN, aside ? 80 : 30);
	sim_latency = latencies[chance_below(CHANCE_PLAN, sizeof latencies / sizeof *latencies)];
	sim_settings = (struct sim_settings){
		.log_bytes = small ? 448 << 10 : 4 << 20, /* seven segments: full now and then */
		.key_window_us = chance_of(CHANCE_PLAN, 30) ? 3000000 : (int64_t)600 * 1000000,
		.write_buffer = chance_of(CHANCE_PLAN, 30) ? 4096 : 0,
		.index_max = chance_of(CHANCE_PLAN, 50) ? 64 : 0,
		.big = chance_of(CHANCE_PLAN, 20) && !small,
		.aside = aside,
		.ack_store = sim_seed / 2 % 4 == 1,
	};
}

/* A node that is taken for dead, wakes up, is heard of for a moment, and dies with its disk. */
static void sleep_and_die(struct step *s, const struct step *before)
{
	if (before && before->kind == STEP_PAUSE && s->detail % 4) {
		s->kind = STEP_POWER;
		s->node = before->node;
		s->wait += before->length;
		s->after = 1 + s->detail % 200;
	} else if (s->detail % 6 == 0) {
		s->kind = STEP_PAUSE;
		s->length = 1500000 + s->length / 4;
	}
}

static void make_plan(void)
{
	static const unsigned percents[] = { 2, 5, 10, 30, 60, 100 };
	unsigned count = 12 + (unsigned)chance_below(CHANCE_PLAN, 8);
	for (unsigned i = 0; i < count; i++) {
		struct step *s = &plan[i];
		s->kind = i % 4 == 0 ? STEP_FAULT : draw_kind();
		s->wait = 30000 + (int64_t)chance_below(CHANCE_PLAN, 400000);
		s->node = (int)chance_below(CHANCE_PLAN, NODES);
		s->fault = (enum fault)chance_below(CHANCE_PLAN, sim_folder ? FAULT_503 : FAULT_COUNT);
		s->percent = percents[chance_below(CHANCE_PLAN, 6)];
		s->length = 50000 + (int64_t)chance_below(CHANCE_PLAN, s->percent <= 10 ? 5000000 : 1500000);
		s->after = 1 + (unsigned)chance_below(CHANCE_PLAN, chance_of(CHANCE_PLAN, 50) ? 20 : 400);
		s->point = points[chance_below(CHANCE_PLAN, POINTS)];
		s->nested = chance_of(CHANCE_PLAN, 40) ? 1 + (unsigned)chance_below(CHANCE_PLAN, 3) : 0;
		s->detail = (unsigned)chance_below(CHANCE_PLAN, 1000);
		if (sim_folder && s->detail % 10 < 4) {
			s->fault = FAULT_FOLDER;
			s->percent = s->detail % 3 ? 10 : 30;
			s->length += 1000000;
		}
		if (sim_settings.aside && (i == 0 || i == count / 2)) {
			s->kind = STEP_FAULT;
			s->fault = FAULT_PLACE;
			s->percent = 100;
			s->length = 2000000 + (int64_t)chance_below(CHANCE_PLAN, 10000000);
		}
		if (i && sim_folder && plan[i - 1].kind == STEP_FAULT && plan[i - 1].fault == FAULT_FOLDER && s->detail % 3) {
			s->kind = STEP_POWER; /* what was not synced goes, when it has been tried again */
			s->wait += 900000;
			s->node = plan[i - 1].node;
		}
		if (sim_settings.ack_store)
			sleep_and_die(s, i ? &plan[i - 1] : NULL);
		if (s->kind == STEP_POINT)
			s->after = 1 + s->after % (s->detail % 3 ? 4 : 60);
	}
	sim_plan_count = count;
}

static void crash_soon(unsigned i, const struct step *s)
{
	struct node *n = &nodes[s->node];
	bool power = s->kind == STEP_POWER || (s->kind == STEP_POINT && s->detail % 2);
	story("step %u: node %d: %s %u effects after %s, then in %u starts", i, s->node, power ? "power cut" : "kill", s->after,
	      s->kind == STEP_POINT ? s->point : "now", s->nested);
	n->power = power;
	n->point = s->kind == STEP_POINT ? s->point : NULL;
	n->crash_after = s->after;
	n->nested = s->nested;
}

static void do_step(unsigned i)
{
	struct step *s = &plan[i];
	struct node *n = &nodes[s->node];
	switch (s->kind) {
	case STEP_FAULT:
		story("step %u: node %d: %s, %u %% of the calls for %lld ms", i, s->node, fault_names[s->fault], s->percent,
		      (long long)(s->length / 1000));
		n->fault_until[s->fault] = sim_now() + s->length;
		n->fault_percent[s->fault] = s->percent;
		break;
	case STEP_KILL:
	case STEP_POWER:
	case STEP_POINT:
		crash_soon(i, s);
		break;
	case STEP_OTHER:
		story("step %u: another writer commits", i);
		other_commit(s->detail);
		break;
	case STEP_EXPIRE:
		story("step %u: another writer expires all snapshots", i);
		other_expire();
		break;
	case STEP_PAUSE:
		story("step %u: node %d stands still for %lld ms", i, s->node, (long long)(s->length / 1000));
		task_pause(s->node, sim_now() + s->length);
		break;
	case STEP_ROT:
		story("step %u: node %d goes down and a bit of its log changes", i, s->node);
		node_crash(s->node, s->detail % 2);
		rot_log(s->node);
		break;
	case STEP_CLOCK:
		n->clock += ((int64_t)s->detail - 500) * (s->after % 2 ? 1000000 : 1000);
		sim_settings.jumped = true;
		story("step %u: node %d's clock is set, it is %lld ms off", i, s->node, (long long)(n->clock / 1000));
		break;
	}
}

static bool is_minimal(void)
{
	for (unsigned i = 0; i < sizeof sim_dropped; i++)
		if (sim_dropped[i])
			return true;
	return false;
}

/* A seed with a mild plan gets more of it, unless its smallest plan is being looked for. */
static void at_least(void)
{
	for (unsigned i = 0; i < 60 && !is_minimal(); i++) {
		int n = (int)(i % NODES);
		if (sim_crashes < CRASHES_MIN)
			node_crash(n, i % 3);
		else if (!other_commits)
			other_commit(i);
		else if (!other_expiries)
			other_expire();
		else if (sim_faults_met >= FAULTS_MIN)
			return;
		task_sleep(400000);
		if (sim_faults_met >= FAULTS_MIN)
			continue; /* nothing that keeps others from committing */
		enum fault f = (enum fault)(i % FAULT_HANDLES);
		nodes[n].fault_until[f] = sim_now() + 600000;
		nodes[n].fault_percent[f] = 60;
	}
}

/* What every seed is worth. */
static void check_worth(void)
{
	uint64_t writers = 0;
	for (size_t i = 0; i < sim_sent_count; i++)
		writers |= sim_sent[i].acked ? 1u << sim_sent[i].node : 0;
	if (is_minimal())
		return;
	if (sim_acked < EVENTS_MIN || sim_crashes < CRASHES_MIN || sim_faults_met < FAULTS_MIN || !other_commits || !other_expiries ||
	    writers != (1u << NODES) - 1)
		violated("the seed is too mild: %llu events acked, %llu crashes, %llu faults, %u foreign commits, %u expiries, writers %llx",
			 (unsigned long long)sim_acked, (unsigned long long)sim_crashes, (unsigned long long)sim_faults_met, other_commits,
			 other_expiries, (unsigned long long)writers);
}

static void wait_for(bool (*what)(void), int64_t us, const char *why)
{
	for (int64_t end = sim_now() + us; !what(); task_sleep(200000))
		if (sim_now() > end)
			violated("%lld s after the last fault %s", (long long)(us / 1000000), why);
}

static bool all_landed(void)
{
	return !bucket_late;
}

static void end_faults(void)
{
	story("faults end");
	for (int i = 0; i < NODES; i++) {
		for (int f = 0; f < FAULT_COUNT; f++)
			nodes[i].fault_until[f] = f == FAULT_PLACE ? nodes[i].fault_until[f] : 0; /* others go on meanwhile, and it ends by itself */
		nodes[i].crash_after = nodes[i].nested = 0;
		nodes[i].point = NULL;
		task_pause(i, 0);
	}
}

void *sim_main(void *unused)
{
	(void)unused;
	sim_folder = sim_seed & 1;
	sim_hour ? hour_settings() : make_settings();
	if (!sim_hour)
		make_plan();
	for (int i = 0; i < NODES; i++) {
		nodes[i].life = 1;
		node_start(i);
	}
	if (sim_hour)
		hour_run();
	for (unsigned i = 0; i < sim_plan_count; i++) {
		task_sleep(plan[i].wait);
		if (!sim_dropped[i])
			do_step(i);
	}
	if (!sim_hour)
		at_least();
	end_faults();
	if (!sim_hour)
		wait_for(nodes_all_sent, DRAIN_US, "not all events are sent");
	sim_draining = true;
	wait_for(nodes_settled, SETTLE_US, "a client still gets no ack, or a node does not start");
	nodes_drain();
	wait_for(nodes_closed, DRAIN_US, "the log is not drained");
	wait_for(all_landed, DRAIN_US, "puts are on their way");
	sim_latency = 0;
	oracle_check();
	if (!sim_hour)
		check_worth();
	if (sim_crashes > sim_most_crashes)
		violated("%llu crashes, %llu are allowed", (unsigned long long)sim_crashes, (unsigned long long)sim_most_crashes);
	sim_done();
}
