/* `ack: store`: the log's objects (wal/replica.h) stand in the lake below _hydrant/log/<log id>/<number, 20 digits>, and are there before a 200. This
 * file is the store's side of our own log: its objects, the thread that says we live and removes what tables hold, and what happens when the log on
 * the disk is not the one in the lake any more. Other servers' logs: adopt.c. */
#include <stdio.h>

#include "base/log.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"
#include "pipeline/pipeline_internal.h"

#define SECOND_US ((int64_t)1000000)
#define ADOPT_AFTER_US (120 * SECOND_US)
#define LOOK_MAX_US (300 * SECOND_US)
#define PUT_TRIES 3 /* whoever waits for a 200 hears in time that there is none */
#define PUT_IDLE_US (5 * SECOND_US)

static char *object_key(const char *log, uint64_t number)
{
	return mem_printf(ACK_FOLDER "/%s/%020llu", log, (unsigned long long)number);
}

static rc_t put_object(void *ctx, const char *log, uint64_t number, struct slice object, struct err *reterr)
{
	struct pipeline *p = ctx;
	AUTO_MEM char *key = object_key(log, number);
	return store_put(p->ack.store, key, object, STORE_CREATE, reterr);
}

static rc_t get_object(void *ctx, const char *log, uint64_t number, struct buf *ret, struct err *reterr)
{
	struct pipeline *p = ctx;
	AUTO_MEM char *key = object_key(log, number);
	return store_get(p->ack.store, key, ret, reterr);
}

static rc_t remove_object(void *ctx, const char *log, uint64_t number, struct err *reterr)
{
	struct pipeline *p = ctx;
	AUTO_MEM char *key = object_key(log, number);
	return store_delete(p->ack.store, key, reterr);
}

struct numbers {
	uint64_t *list;
	size_t count, cap;
};

bool ack_key_parse(const char *key, char ret_log[WAL_ID_LEN + 1], uint64_t *ret_number)
{
	size_t at = sizeof ACK_FOLDER; /* behind its '/' */
	if (strncmp(key, ACK_FOLDER "/", at) != 0 || strlen(key) != at + WAL_ID_LEN + 1 + 20 || key[at + WAL_ID_LEN] != '/' ||
	    strspn(key + at, "abcdefghijklmnopqrstuvwxyz0123456789") != WAL_ID_LEN || strspn(key + at + WAL_ID_LEN + 1, "0123456789") != 20)
		return false;
	memcpy(ret_log, key + at, WAL_ID_LEN);
	ret_log[WAL_ID_LEN] = 0;
	*ret_number = strtoull(key + at + WAL_ID_LEN + 1, NULL, 10);
	return *ret_number != 0;
}

static rc_t range_one(void *ctx, const struct store_entry *entry, struct err *reterr)
{
	struct numbers *n = ctx;
	char log[WAL_ID_LEN + 1];
	uint64_t number;
	(void)reterr;
	if (!ack_key_parse(entry->key, log, &number))
		return RC_OK;
	if (n->count == n->cap) {
		n->cap = n->cap ? n->cap * 2 : 64;
		n->list = mem_realloc(n->list, n->cap * sizeof *n->list);
	}
	n->list[n->count++] = number;
	return RC_OK;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static rc_t object_range(void *ctx, const char *log, uint64_t *ret_first, uint64_t *ret_whole, uint64_t *ret_last, struct err *reterr)
{
	struct pipeline *p = ctx;
	struct numbers n = { 0 };
	AUTO_MEM char *folder = mem_printf(ACK_FOLDER "/%s", log);
	snprintf(p->ack.asked, sizeof p->ack.asked, "%s", log);
	rc_t rc = store_list(p->ack.store, folder, range_one, &n, reterr);
	if (rc == RC_OK && !n.count)
		rc = err_set(reterr, RC_NOT_FOUND, "the lake has nothing of the log %s", log);
	if (rc == RC_OK) {
		qsort(n.list, n.count, sizeof *n.list, by_number);
		size_t i = n.count - 1;
		while (i > 0 && n.list[i - 1] + 1 == n.list[i])
			i--;
		*ret_first = n.list[0];
		*ret_whole = n.list[i];
		*ret_last = n.list[n.count - 1];
	}
	free(n.list);
	return rc;
}

const struct wal_replica_ops ack_ops = { put_object, get_object, remove_object, object_range };

/* ---- the start ---- */

/* The id of the log in the folder; "" if it cannot be told. */
static void id_in(const char *dir, char ret[WAL_ID_LEN + 1])
{
	AUTO_MEM char *path = mem_printf("%s/id", dir);
	AUTO_BUF struct buf text;
	buf_init(&text, 4096);
	ret[0] = 0;
	if (file_read_all(path, &text, NULL) == RC_OK)
		sscanf(buf_cstr(&text), "hydrant-wal 1\n%8s", ret);
}

/* One that was kept before goes, if the lake says that its tables have all of it. Else it may be the only copy of what is damaged there. */
static rc_t make_way(struct pipeline *p, const char *aside, struct err *reterr)
{
	char id[WAL_ID_LEN + 1];
	bool is_dir = false;
	rc_t rc = file_stat(aside, NULL, NULL, &is_dir, reterr);
	if (rc == RC_NOT_FOUND)
		return RC_OK;
	TRY(rc);
	id_in(aside, id);
	if (id[0] && adopt_is_over(p, id))
		return dir_remove_tree(aside, reterr);
	AUTO_MEM char *kept = mem_printf("%s-%s", aside, id[0] ? id : "unknown");
	log_warn("%s holds a log that no server has taken over yet, and is kept as %s", aside, kept);
	TRY(dir_remove_tree(kept, reterr));
	return file_rename(aside, kept, reterr);
}

/* What is on the disk is not the log's end any more. All that was acked is in the lake; the folder is kept for people, once. */
static rc_t move_aside(struct pipeline *p, const char *dir, struct err *reterr)
{
	AUTO_MEM char *aside = mem_printf("%s.lost", dir);
	char asked[sizeof p->ack.asked];
	if (!p->ack.asked[0]) /* it could not be read so far that anybody asked */
		id_in(dir, p->ack.asked);
	memcpy(asked, p->ack.asked, sizeof asked);
	TRY(make_way(p, aside, reterr));
	memcpy(p->ack.asked, asked, sizeof asked);
	TRY(file_rename(dir, aside, reterr));
	TRY(dir_sync(p->data_dir, reterr));
	snprintf(p->ack.forced, sizeof p->ack.forced, "%s", p->ack.asked);
	return RC_OK;
}

rc_t ack_open(struct pipeline *p, const struct wal_options *wo, struct err *reterr)
{
	struct wal_options o = *wo;
	struct err err;
	AUTO_MEM char *adopted = mem_printf("%s/adopt", p->data_dir);
	TRY(dir_remove_tree(adopted, reterr)); /* made again from the lake */
	TRY(place_store_open(p, p->places, &p->ack.store, reterr));
	store_set_patience(p->ack.store, PUT_TRIES, PUT_IDLE_US);
	o.replica = &ack_ops;
	o.replica_ctx = p;
	rc_t rc = wal_open(&o, &p->wal, &err);
	if (rc == RC_CONFLICT || (rc == RC_CORRUPT && !p->opts.salvage)) {
		log_warn("%s; a new log is begun, what the lake holds of the old one goes into its tables, and the folder is kept as %s.lost", err.text, wo->dir);
		TRY(move_aside(p, wo->dir, reterr));
		rc = wal_open(&o, &p->wal, &err);
	}
	if (rc != RC_OK && reterr)
		*reterr = err;
	return rc;
}

/* ---- the threads ---- */

int64_t ack_adopt_after(const struct pipeline *p)
{
	return p->opts.adopt_after_us ? p->opts.adopt_after_us : ADOPT_AFTER_US;
}

/* Until then, or the end. True: go on. */
static bool pause_until(struct pipeline *p, int64_t at)
{
	struct timespec ts = { at / SECOND_US, at % SECOND_US * 1000 };
	pthread_mutex_lock(&p->lock);
	while (!p->ack.stop && clock_mono_us() < at)
		pthread_cond_timedwait(&p->ack.wake, &p->lock, &ts);
	bool on = !p->ack.stop;
	pthread_mutex_unlock(&p->lock);
	return on;
}

static void *keeper_thread(void *arg)
{
	struct pipeline *p = arg;
	bool warned = false;
	int64_t beat = ack_adopt_after(p) / 4, pause = beat / 2 < SECOND_US ? beat / 2 : SECOND_US;
	rc_t rc = RC_OK;
	while (pause_until(p, clock_mono_us() + (rc == RC_AGAIN ? 0 : pause))) {
		struct err err;
		rc = wal_replica_tick(p->wal, beat, &err);
		if (rc == RC_CONFLICT) {
			log_error("%s", err.text);
			if (p->opts.fenced)
				p->opts.fenced(p->opts.fenced_ctx, &err);
			break;
		}
		if (rc == RC_AGAIN)
			continue;
		if (rc != RC_OK && !warned)
			log_warn("what the log %s no longer needs stays in the lake for now: %s", wal_id(p->wal), err.text);
		warned = rc != RC_OK;
	}
	return NULL;
}

/* Not all servers of a lake at the same moment. */
static int64_t look_pause(const struct pipeline *p)
{
	uint64_t random;
	int64_t pause = ack_adopt_after(p) / 4 < LOOK_MAX_US ? ack_adopt_after(p) / 4 : LOOK_MAX_US;
	random_bytes(&random, sizeof random);
	return pause * 3 / 4 + (int64_t)(random % (uint64_t)(pause / 2 + 1));
}

static void *adopter_thread(void *arg)
{
	struct pipeline *p = arg;
	do
		adopt_look(p);
	while (pause_until(p, clock_mono_us() + look_pause(p)));
	return NULL;
}

void ack_begin(struct pipeline *p)
{
	struct ack *a = &p->ack;
	if (!p->opts.ack_store)
		return;
	a->has_keeper = pthread_create(&a->keeper, NULL, keeper_thread, p) == 0;
	a->has_adopter = pthread_create(&a->adopter, NULL, adopter_thread, p) == 0;
	if (!a->has_keeper || !a->has_adopter)
		log_warn("a thread that looks after logs in the lake cannot be started: other servers may take this one for dead, and it takes over none");
}

void ack_end(struct pipeline *p)
{
	struct ack *a = &p->ack;
	pthread_mutex_lock(&p->lock);
	a->stop = true;
	pthread_cond_broadcast(&a->wake);
	pthread_mutex_unlock(&p->lock);
	if (a->has_keeper)
		pthread_join(a->keeper, NULL);
	if (a->has_adopter)
		pthread_join(a->adopter, NULL);
	a->has_keeper = a->has_adopter = false;
}

void ack_free(struct pipeline *p)
{
	adopt_free(p);
	store_free(p->ack.store);
}

rc_t pipeline_drain(struct pipeline *p, struct err *reterr)
{
	return p->opts.ack_store ? pipeline_flush(p, NULL, reterr) : RC_OK;
}

void pipeline_ack_state(struct pipeline *p, struct ack_state *ret)
{
	*ret = (struct ack_state){ .on = p->opts.ack_store };
	if (!ret->on)
		return;
	wal_replica_stats(p->wal, &ret->log);
	ret->adopted_logs = __atomic_load_n(&p->ack.logs, __ATOMIC_RELAXED);
	ret->adopted_events = __atomic_load_n(&p->ack.events, __ATOMIC_RELAXED);
	ret->failures = __atomic_load_n(&p->ack.failures, __ATOMIC_RELAXED);
}
