/* Nodes, their clients, and the plan of what goes wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "pipeline/pipeline.h"
#include "sim.h"

#define EVENTS_TARGET 1200
#define CLIENTS 3
#define DRAIN_US ((int64_t)3600 * 1000000)
#define PLAN_MAX 64
#define CRASHES_MIN 3
#define FAULTS_MIN 5

enum step_kind { STEP_FAULT, STEP_KILL, STEP_POWER, STEP_FOREIGN, STEP_EXPIRE };
struct step {
	enum step_kind kind;
	int64_t wait;    /* µs behind the step before */
	int node;
	enum fault fault;
	int64_t length;  /* of a fault, µs */
	unsigned after;  /* a crash comes with this effect from now on */
	unsigned nested; /* and so often again in the starts behind it */
};
static struct step plan[PLAN_MAX];

static struct node {
	struct pipeline *p;
	unsigned life, users; /* users: tasks with `p` in hand */
	bool up, closed;
	unsigned crash_after, nested;
	bool power;
	int64_t fault_until[FAULT_COUNT];
	unsigned fault_percent[FAULT_COUNT];
} nodes[NODES];

bool sim_folder;
struct sent sim_sent[SENT_MAX];
size_t sim_sent_count;
uint64_t sim_faults_met, sim_crashes;
static uint64_t next_number;
static bool draining;

static const char *const fault_names[] = { "syncs fail", "writes fail", "the disk is full", "no file handle is left", "the store says 503",
					   "the store's answers are lost", "the store denies access", "the store is slow" };

const char *sim_lake(void)
{
	return sim_folder ? "/lake" : "s3://bucket/lake";
}

bool fault_now(enum fault f)
{
	int node = task_node();
	if (node < 0 || nodes[node].fault_until[f] <= sim_now() || !chance_of(f < FAULT_503 ? CHANCE_DISK : CHANCE_STORE, nodes[node].fault_percent[f]))
		return false;
	sim_faults_met++;
	trace("fault", fault_names[f], (uint64_t)node);
	return true;
}

/* ---- life ---- */

static void *life(void *arg);

/* The process is gone. Its memory stays where it is, nobody looks at it again. */
static bool end_process(int n)
{
	nodes[n].p = NULL;
	nodes[n].up = false;
	nodes[n].users = 0;
	nodes[n].life++;
	bool self = task_kill_node(n);
	disk_close_all(n);
	return self;
}

static void crash(int n, bool power)
{
	bool self = false;
	char prefix[8];
	sim_crashes++;
	story("node %d: %s", n, power ? sim_folder ? "power cut (all nodes)" : "power cut" : "killed");
	for (int i = 0; i < NODES; i++)
		if (i == n || (power && sim_folder))
			self |= end_process(i);
	snprintf(prefix, sizeof prefix, "/n%d", n);
	if (power)
		disk_power_cut(sim_folder ? "/" : prefix);
	for (int i = 0; i < NODES; i++) {
		if (i != n && !(power && sim_folder))
			continue;
		nodes[i].crash_after = nodes[i].nested ? 1 + (unsigned)chance_below(CHANCE_PLAN, 150) : 0;
		nodes[i].power = chance_of(CHANCE_PLAN, 60);
		nodes[i].nested -= nodes[i].nested > 0;
		task_start(i, life, &nodes[i]);
	}
	if (self)
		task_leave_for_good();
}

void nodes_door(void)
{
	int n = task_node();
	if (n >= 0 && nodes[n].crash_after && --nodes[n].crash_after == 0)
		crash(n, nodes[n].power);
}

/* ---- clients ---- */

static struct sent *to_send(int n)
{
	for (size_t i = 0; i < sim_sent_count; i++) {
		struct sent *s = &sim_sent[i];
		if (s->node == n && s->keyed && !s->acked && s->life != nodes[n].life)
			return s;
	}
	if (draining || next_number >= EVENTS_TARGET || sim_sent_count == SENT_MAX)
		return NULL;
	struct sent *s = &sim_sent[sim_sent_count++];
	*s = (struct sent){ .node = n, .collection = (int)chance_below(CHANCE_CLIENT, 2), .first = next_number,
			    .count = chance_of(CHANCE_CLIENT, 10) ? 60 : 1 + chance_below(CHANCE_CLIENT, 20), .keyed = chance_of(CHANCE_CLIENT, 40),
			    .bad = chance_of(CHANCE_CLIENT, 10) };
	next_number += s->count;
	return s;
}

static rc_t post_once(struct pipeline *p, struct sent *s, const char *body, const char *key, struct err *err)
{
	struct ingest_request r = { .collection = slice_str(collection_name(s->collection)), .body = slice_str(body), .format = FRAME_NDJSON,
				    .key = s->keyed ? slice_str(key) : (struct slice){ 0 } };
	struct ingest_reply reply;
	rc_t rc = pipeline_ingest(p, &r, &reply, err);
	if (rc == RC_AGAIN) {
		wal_wait(pipeline_wal(p), reply.ticket, NULL);
		return rc;
	}
	if (rc == RC_OK && reply.ticket)
		rc = wal_wait(pipeline_wal(p), reply.ticket, err);
	return rc;
}

static rc_t post(struct pipeline *p, struct sent *s, struct err *err)
{
	char key[32], text[1024];
	AUTO_BUF struct buf body;
	buf_init(&body, 1 << 20);
	snprintf(key, sizeof key, "key-%llu", (unsigned long long)s->first);
	for (uint64_t i = 0; i < s->count; i++) {
		event_text(s->first + i, text);
		buf_append(&body, text, strlen(text));
		buf_byte(&body, '\n');
		if (s->bad && i == 0) {
			snprintf(text, sizeof text, "{\"bad\":%llu\n", (unsigned long long)s->first);
			buf_append(&body, text, strlen(text));
		}
	}
	buf_byte(&body, 0);
	return post_once(p, s, (const char *)body.data, key, err);
}

/* The log is sealed: somebody starts the node anew, or has the log go on. */
static void mend(int n, struct pipeline *p)
{
	task_sleep(100000);
	if (wal_status(pipeline_wal(p), NULL) != RC_IO)
		return;
	if (chance_of(CHANCE_CLIENT, 50))
		wal_reopen(pipeline_wal(p), NULL);
	else
		crash(n, false);
}

static void *client(void *arg)
{
	struct node *node = arg;
	int n = (int)(node - nodes);
	struct pipeline *p = node->p;
	for (struct sent *s; (s = to_send(n));) {
		struct err err = { 0 };
		s->life = node->life;
		rc_t rc = post(p, s, &err);
		trace("reply", rc_name(rc), s->first);
		if (rc == RC_OK) {
			s->acked = true;
			sim_acked += s->count;
		} else {
			story("node %d: not acked %llu: %s", n, (unsigned long long)s->first, err.text);
			if (rc == RC_CORRUPT || rc == RC_INVALID)
				violated("a client was told %s", err.text);
			s->life = s->keyed ? node->life - 1 : node->life;
			s->dead = !s->keyed;
			mend(n, p);
		}
		task_sleep(1000 + (int64_t)chance_below(CHANCE_CLIENT, 1000000));
	}
	node->users--;
	return NULL;
}

static void *flusher(void *arg)
{
	struct pipeline *p = ((struct node *)arg)->p;
	while (!draining) {
		task_sleep(500000 + (int64_t)chance_below(CHANCE_CLIENT, 4000000));
		pipeline_flush(p, chance_of(CHANCE_CLIENT, 50) ? collection_name((int)chance_below(CHANCE_CLIENT, 2)) : NULL, NULL);
	}
	((struct node *)arg)->users--;
	return NULL;
}

static void *life(void *arg)
{
	struct node *node = arg;
	int n = (int)(node - nodes);
	char dir[16];
	struct pipeline_options o;
	struct pipeline *p = NULL;
	struct err err = { 0 };
	task_sleep(1000 + (int64_t)chance_below(CHANCE_CLIENT, 500000));
	snprintf(dir, sizeof dir, "/n%d/data", n);
	pipeline_options_default(&o);
	o.lake = sim_lake();
	o.data_dir = dir;
	o.memory_bytes = 4 << 20;
	o.log_bytes = 4 << 20;
	o.commit_idle_us = o.commit_busy_us = 2000000;
	rc_t rc = pipeline_open(&o, &p, &err);
	if (rc == RC_OK)
		rc = pipeline_start(p, &err);
	if (rc != RC_OK) {
		story("node %d: does not start: %s", n, err.text);
		if (rc == RC_CORRUPT || rc == RC_INVALID || rc == RC_UNSUPPORTED)
			violated("node %d does not start: %s", n, err.text);
		end_process(n);
		task_start(n, life, node);
		task_leave_for_good();
	}
	story("node %d: up, next position %llu", n, (unsigned long long)wal_next_position(pipeline_wal(p)));
	node->p = p;
	node->up = true;
	node->users = CLIENTS + 1;
	for (int i = 0; i < CLIENTS; i++)
		task_start(n, client, node);
	task_start(n, flusher, node);
	return NULL;
}

/* ---- foreign writers ---- */

static rc_t open_lake(struct store **ret, struct err *err)
{
	if (sim_folder)
		return store_open(sim_lake(), NULL, ret, err);
	*ret = bucket_open();
	return RC_OK;
}

static void foreign(bool expire)
{
	AUTO(store) *store = NULL;
	AUTO(table) *t = NULL;
	struct err err = { 0 };
	const char *name = collection_name((int)chance_below(CHANCE_PLAN, 2));
	rc_t rc = open_lake(&store, &err);
	if (rc == RC_OK)
		rc = table_open(store, name, &t, &err);
	if (rc == RC_OK && expire) {
		struct table_keep keep = table_keep_default();
		keep.snapshot_age = 0;
		keep.snapshots_min = keep.snapshots_max = 1;
		rc = table_expire(t, &keep, NULL, &err);
	} else if (rc == RC_OK) {
		char value[32];
		snprintf(value, sizeof value, "%llu", (unsigned long long)chance(CHANCE_PLAN));
		struct table_property update = { "foreign.note", value };
		struct table_commit commit = { .updates = &update, .update_count = 1 };
		rc = table_append(t, &commit, &err);
	}
	story("%s of %s: %s", expire ? "expiry" : "foreign commit", name, rc == RC_OK ? "done" : err.text);
	if (rc == RC_CORRUPT)
		violated("another engine finds %s damaged: %s", name, err.text);
}

/* ---- the plan ---- */

static void make_plan(void)
{
	unsigned count = 14 + (unsigned)chance_below(CHANCE_PLAN, 10);
	for (unsigned i = 0; i < count; i++) {
		struct step *s = &plan[i];
		unsigned what = (unsigned)chance_below(CHANCE_PLAN, 100);
		s->kind = i % 4 == 1 ? (what < 60 ? STEP_POWER : STEP_KILL) : what < 55 ? STEP_FAULT : what < 85 ? STEP_FOREIGN : STEP_EXPIRE;
		if (i % 3 == 0)
			s->kind = STEP_FAULT;
		s->wait = 100000 + (int64_t)chance_below(CHANCE_PLAN, 1500000);
		s->node = (int)chance_below(CHANCE_PLAN, NODES);
		s->fault = (enum fault)chance_below(CHANCE_PLAN, sim_folder ? FAULT_503 : FAULT_COUNT);
		s->length = 50000 + (int64_t)chance_below(CHANCE_PLAN, 3000000);
		s->after = 1 + (unsigned)chance_below(CHANCE_PLAN, chance_of(CHANCE_PLAN, 50) ? 20 : 400);
		s->nested = chance_of(CHANCE_PLAN, 50) ? 1 + (unsigned)chance_below(CHANCE_PLAN, 3) : 0;
	}
	sim_plan_count = count;
}

static void do_step(unsigned i)
{
	struct step *s = &plan[i];
	struct node *n = &nodes[s->node];
	switch (s->kind) {
	case STEP_FAULT:
		story("step %u: node %d: %s for %lld ms", i, s->node, fault_names[s->fault], (long long)(s->length / 1000));
		n->fault_until[s->fault] = sim_now() + s->length;
		n->fault_percent[s->fault] = s->fault == FAULT_DENIED ? 100 : 30 + (unsigned)(s->after % 60);
		break;
	case STEP_KILL:
	case STEP_POWER:
		story("step %u: node %d: %s after %u effects, then in %u starts", i, s->node, s->kind == STEP_POWER ? "power cut" : "kill", s->after, s->nested);
		n->power = s->kind == STEP_POWER;
		n->crash_after = s->after;
		n->nested = s->nested;
		break;
	default:
		story("step %u: %s", i, s->kind == STEP_FOREIGN ? "a foreign commit" : "an expiry of all snapshots");
		foreign(s->kind == STEP_EXPIRE);
	}
}

/* ---- the end ---- */

static rc_t any_left(void *ctx, struct slice name, const struct wal_pending *pending)
{
	(void)name;
	*(uint64_t *)ctx += pending->events;
	return RC_OK;
}

static void *drain(void *arg)
{
	struct node *node = arg;
	struct pipeline *p = node->p;
	unsigned tries = 0;
	while (node->users)
		task_sleep(100000);
	for (uint64_t left = 1; left;) {
		struct err err = { 0 };
		left = 0;
		rc_t rc = pipeline_flush(p, NULL, &err);
		if (rc != RC_OK && tries++ < 3)
			story("node %d: drain: %s", (int)(node - nodes), err.text);
		wal_collections(pipeline_wal(p), any_left, &left);
		task_sleep(1000000);
	}
	node->p = NULL;
	pipeline_close(p);
	story("node %d: closed", (int)(node - nodes));
	node->closed = true;
	return NULL;
}

static bool settled(void)
{
	for (size_t i = 0; i < sim_sent_count; i++)
		if (sim_sent[i].keyed && !sim_sent[i].acked)
			return false;
	for (int i = 0; i < NODES; i++)
		if (!nodes[i].up)
			return false;
	return true;
}

static bool all_closed(void)
{
	for (int i = 0; i < NODES; i++)
		if (!nodes[i].closed)
			return false;
	return true;
}

static void wait_for(bool (*what)(void), const char *why)
{
	for (int64_t end = sim_now() + DRAIN_US; !what(); task_sleep(200000))
		if (sim_now() > end)
			violated("an hour after the last fault %s", why);
}

/* A seed with a mild plan gets more of it, unless its smallest plan is being looked for. */
static void at_least(void)
{
	for (unsigned i = 0; i < sizeof sim_dropped; i++)
		if (sim_dropped[i])
			return;
	for (unsigned i = 0; i < 40 && (sim_crashes < CRASHES_MIN || sim_faults_met < FAULTS_MIN); i++) {
		struct step s = { .kind = sim_faults_met < FAULTS_MIN && i % 2 ? STEP_FAULT : i % 4 ? STEP_POWER : STEP_KILL, .node = (int)(i % NODES),
				  .fault = (enum fault)(i % FAULT_HANDLES), .length = 1000000, .after = 1 + i * 7 };
		plan[PLAN_MAX - 1] = s;
		do_step(PLAN_MAX - 1);
		task_sleep(1000000);
	}
}

static bool all_sent(void)
{
	return next_number >= EVENTS_TARGET;
}

void *sim_main(void *unused)
{
	(void)unused;
	sim_folder = sim_seed & 1;
	make_plan();
	for (int i = 0; i < NODES; i++) {
		nodes[i].life = 1;
		task_start(i, life, &nodes[i]);
	}
	for (unsigned i = 0; i < sim_plan_count; i++) {
		task_sleep(plan[i].wait);
		if (!sim_dropped[i])
			do_step(i);
	}
	at_least();
	wait_for(all_sent, "not all events are sent");
	story("faults end");
	for (int i = 0; i < NODES; i++) {
		memset(nodes[i].fault_until, 0, sizeof nodes[i].fault_until);
		nodes[i].crash_after = nodes[i].nested = 0;
	}
	draining = true;
	wait_for(settled, "a client still gets no ack, or a node does not start");
	for (int i = 0; i < NODES; i++)
		task_start(i, drain, &nodes[i]);
	wait_for(all_closed, "the log is not drained");
	oracle_check();
	sim_done();
}

rc_t __real_wal_open(const struct wal_options *options, struct wal **ret, struct err *reterr);
rc_t __wrap_wal_open(const struct wal_options *options, struct wal **ret, struct err *reterr);
/* Small segments, so that a thousand events rotate, trim and recycle them. */
rc_t __wrap_wal_open(const struct wal_options *options, struct wal **ret, struct err *reterr)
{
	struct wal_options o = *options;
	o.segment_bytes = 64 << 10;
	return __real_wal_open(&o, ret, reterr);
}
