/* Nodes and their clients. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "pipeline/pipeline.h"
#include "sim.h"

#define CLIENTS 3

struct node nodes[NODES];
bool sim_folder, sim_draining;
struct sent sim_sent[SENT_MAX];
size_t sim_sent_count;
uint64_t sim_faults_met, sim_crashes, sim_asides;
unsigned sim_power_cuts;
static uint64_t next_number;
static bool closing;

const char *const fault_names[] = { "syncs fail", "writes fail", "the disk is full", "reads fail", "syncs of folders fail, three in a row", "no file handle is left", "the place of beta refuses", "the store says 503",
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
static void *drain(void *arg);

void node_start(int n)
{
	task_start(n, life, &nodes[n]);
}

/* The process is gone. Its memory stays where it is, nobody looks at it again. */
static bool end_process(int n)
{
	nodes[n].p = NULL;
	nodes[n].up = false;
	nodes[n].users = 0;
	nodes[n].life++;
	nodes[n].point = NULL;
	bucket_lost(n);
	bool self = task_kill_node(n);
	disk_close_all(n);
	return self;
}

static void newest_segment(void *ctx, const char *path)
{
	char *newest = ctx;
	if (strstr(path, ".wal") && strcmp(path, newest) > 0)
		snprintf(newest, 128, "%s", path);
}

/* With `ack: store` a disk may vanish, or lie: what was synced last is not there. */
static void lose_disk(int n)
{
	char prefix[32], newest[128] = "";
	if (chance_of(CHANCE_PLAN, 30)) {
		snprintf(prefix, sizeof prefix, "/n%d/data/log/", n);
		disk_each(prefix, newest_segment, newest);
		story("node %d: its disk has lost %s", n, newest);
		if (newest[0])
			disk_wipe(newest);
		nodes[n].forgot = true; /* the keys in it; if its records were committed nobody begins a new log */
	} else {
		snprintf(prefix, sizeof prefix, "/n%d/", n);
		story("node %d: its disk is gone", n);
		disk_wipe(prefix);
		rot_wiped(n);
	}
}

void node_crash(int n, bool power)
{
	bool self = false;
	char prefix[8];
	sim_crashes++;
	sim_power_cuts += power;
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
		if (power && sim_settings.ack_store && chance_of(CHANCE_PLAN, 50))
			lose_disk(i);
		nodes[i].crash_after = nodes[i].nested ? 1 + (unsigned)chance_below(CHANCE_PLAN, 150) : 0;
		nodes[i].power = chance_of(CHANCE_PLAN, 60);
		nodes[i].nested -= nodes[i].nested > 0;
		node_start(i);
	}
	if (self)
		task_leave_for_good();
}

void nodes_door(void)
{
	int n = task_node();
	if (n >= 0 && !nodes[n].point && nodes[n].crash_after && --nodes[n].crash_after == 0)
		node_crash(n, nodes[n].power);
}

void nodes_point(const char *name)
{
	int n = task_node();
	sim_asides += !strcmp(name, "wal.aside_said");
	if (n >= 0 && nodes[n].point && !strcmp(nodes[n].point, name))
		nodes[n].point = NULL;
}

/* ---- clients ---- */

static struct sent *to_send(int n)
{
	for (size_t i = 0; i < sim_sent_count; i++) {
		struct sent *s = &sim_sent[i];
		if (s->node == n && s->keyed && !s->acked && s->life != nodes[n].life)
			return s;
	}
	if (sim_draining || sim_sent_count == SENT_MAX || next_number > FOREIGN_FIRST - 100)
		return NULL;
	struct sent *s = &sim_sent[sim_sent_count++];
	*s = (struct sent){ .node = n, .collection = (int)chance_below(CHANCE_CLIENT, 2), .first = next_number,
			    .count = chance_of(CHANCE_CLIENT, 10) ? 60 : 1 + chance_below(CHANCE_CLIENT, 16), .keyed = chance_of(CHANCE_CLIENT, 40) && !sim_hour,
			    .bad = chance_of(CHANCE_CLIENT, 10) };
	s->begun = clock_wall_us();
	s->first_at = sim_now();
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
	if (rc != RC_OK)
		return rc;
	s->position = reply.position;
	memcpy(s->log, reply.log, sizeof s->log);
	if (reply.ticket)
		TRY(wal_wait(pipeline_wal(p), reply.ticket, err));
	if (reply.accepted != s->count + s->bad || reply.quarantined != s->bad)
		violated("a request of %llu events and %u bad ones was answered with %llu and %llu", (unsigned long long)s->count, s->bad,
			 (unsigned long long)reply.accepted, (unsigned long long)reply.quarantined);
	return rc;
}

static rc_t post(struct pipeline *p, struct sent *s, struct err *err)
{
	char key[32], bad[64];
	AUTO_BUF struct buf body;
	buf_init(&body, 1 << 20);
	snprintf(key, sizeof key, "key-%llu", (unsigned long long)s->first);
	for (uint64_t i = 0; i < s->count; i++) {
		const char *text = event_text(s->first + i);
		buf_append(&body, text, strlen(text));
		buf_byte(&body, '\n');
		if (s->bad && i == 0) {
			snprintf(bad, sizeof bad, "{\"bad\":%llu\n", (unsigned long long)s->first);
			buf_append(&body, bad, strlen(bad));
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
		node_crash(n, false);
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
		if (sim_hour)
			hour_reply(s, rc, &err);
		if (rc == RC_OK) {
			s->acked = true;
			s->ended = clock_wall_us();
			s->acked_at = sim_now();
			sim_acked += s->count;
		} else {
			story("node %d: not acked %llu: %s", n, (unsigned long long)s->first, err.text);
			if (rc == RC_CORRUPT || rc == RC_INVALID)
				violated("a client was told %s", err.text);
			s->life = s->keyed ? node->life - 1 : node->life;
			s->dead = !s->keyed;
			mend(n, p);
		}
		task_sleep(1000 + (int64_t)chance_below(CHANCE_CLIENT, sim_hour ? 100000000 : 450000));
	}
	node->users--;
	return NULL;
}

static void *flusher(void *arg)
{
	struct pipeline *p = ((struct node *)arg)->p;
	while (!sim_draining && !sim_hour) {
		task_sleep(300000 + (int64_t)chance_below(CHANCE_CLIENT, 3000000));
		if (sim_settings.aside && chance_of(CHANCE_CLIENT, 50)) { /* whoever says so may err */
			wal_aside(pipeline_wal(p), slice_str(collection_name((int)chance_below(CHANCE_CLIENT, 2))), true);
			continue;
		}
		pipeline_flush(p, chance_of(CHANCE_CLIENT, 50) ? collection_name((int)chance_below(CHANCE_CLIENT, 2)) : NULL, NULL);
	}
	((struct node *)arg)->users--;
	return NULL;
}

/* Another node took its log over: the process ends, and is started again. */
static void on_fenced(void *ctx, const struct err *why)
{
	int n = (int)((struct node *)ctx - nodes);
	story("node %d: %s", n, why->text);
	bool self = end_process(n);
	node_start(n);
	if (self)
		task_leave_for_good();
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
	o.codec = PARQUET_UNCOMPRESSED; /* time is better spent on more seeds */
	o.salvage = node->salvage;
	o.memory_bytes = 4 << 20;
	o.log_bytes = sim_settings.log_bytes;
	o.key_window_us = sim_settings.key_window_us;
	o.commit_idle_us = o.commit_busy_us = 1500000;
	o.ack_store = sim_settings.ack_store;
	o.adopt_after_us = sim_seed / 8 % 2 ? 800000 : 2000000; /* so short that the living are taken for dead */
	o.fenced = on_fenced;
	o.fenced_ctx = node;
	rc_t rc = pipeline_open(&o, &p, &err);
	if (rc == RC_OK)
		rc = pipeline_start(p, &err);
	if (rc != RC_OK) {
		story("node %d: does not start: %s", n, err.text);
		if (rc == RC_CORRUPT && node->rotten) /* somebody reads that and does as it says */
			node->salvage = true;
		else if (rc == RC_CORRUPT || rc == RC_INVALID || rc == RC_UNSUPPORTED)
			violated("node %d does not start: %s", n, err.text);
		end_process(n);
		node_start(n);
		task_leave_for_good();
	}
	node->rotten = node->salvage = false;
	story("node %d: up, next position %llu", n, (unsigned long long)wal_next_position(pipeline_wal(p)));
	node->p = p;
	node->up = true;
	if (closing) { /* its log was taken over at the very end */
		task_start(n, drain, node);
		return NULL;
	}
	node->users = CLIENTS + 1;
	for (int i = 0; i < CLIENTS; i++)
		task_start(n, client, node);
	task_start(n, flusher, node);
	return NULL;
}

/* ---- the end ---- */

bool nodes_all_sent(void)
{
	unsigned writers = 0;
	for (size_t i = 0; i < sim_sent_count; i++)
		writers |= sim_sent[i].acked ? 1u << sim_sent[i].node : 0;
	return (sim_acked >= EVENTS_MIN && writers == (1u << NODES) - 1) || sim_sent_count == SENT_MAX || next_number > FOREIGN_FIRST - 100;
}

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
	if (sim_settings.ack_store) /* for logs of earlier lives */
		task_sleep(60000000);
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

bool nodes_settled(void)
{
	for (size_t i = 0; i < sim_sent_count; i++)
		if (sim_sent[i].keyed && !sim_sent[i].acked)
			return false;
	for (int i = 0; i < NODES; i++)
		if (!nodes[i].up || nodes[i].users)
			return false;
	return true;
}

bool nodes_closed(void)
{
	for (int i = 0; i < NODES; i++)
		if (!nodes[i].closed)
			return false;
	return true;
}


void nodes_drain(void)
{
	closing = true;
	for (int i = 0; i < NODES; i++)
		task_start(i, drain, &nodes[i]);
}
