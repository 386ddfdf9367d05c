/* What a replicated log promises, against a store in memory that fails, loses replies and lets puts come through late. */
#include <pthread.h>
#include <unistd.h>

#include "wal/replica.h"
#include "wal/wal_fixture.h"

#define STORE_MAX 4096
enum mishap { NO_MISHAP, REFUSED, REPLY_LOST, SENT_AND_LATE }; /* LATE: it comes through with the next put, just before it */

struct store_in_memory {
	struct buf objects[STORE_MAX]; /* by number; data NULL: absent */
	struct buf late;
	uint64_t late_number;
	enum mishap next; /* of the next put */
	int mishaps;      /* … and of so many behind it */
	unsigned puts;
	int64_t takes;    /* µs, of a put */
	pthread_mutex_t lock;
};

static void mem_create(struct store_in_memory *s, uint64_t number, struct slice bytes)
{
	if (s->objects[number].data)
		return;
	buf_init(&s->objects[number], BUF_MAX_DEFAULT);
	buf_append_slice(&s->objects[number], bytes);
}

static rc_t put_locked(struct store_in_memory *s, uint64_t number, struct slice object, struct err *reterr)
{
	s->puts++;
	enum mishap now = s->next;
	if (now && --s->mishaps <= 0)
		s->next = NO_MISHAP;
	if (s->late.data && now == NO_MISHAP) {
		mem_create(s, s->late_number, buf_slice(&s->late));
		buf_free(&s->late);
	}
	if (now == REFUSED || now == SENT_AND_LATE) {
		if (now == SENT_AND_LATE && !s->late.data) {
			buf_init(&s->late, BUF_MAX_DEFAULT);
			buf_append_slice(&s->late, object);
			s->late_number = number;
		}
		return err_set(reterr, RC_IO, "the store is away");
	}
	if (s->objects[number].data)
		return err_set(reterr, RC_CONFLICT, "it is there");
	mem_create(s, number, object);
	return now == REPLY_LOST ? err_set(reterr, RC_IO, "the reply was lost") : RC_OK;
}

static rc_t mem_put(void *ctx, const char *log, uint64_t number, struct slice object, struct err *reterr)
{
	struct store_in_memory *s = ctx;
	(void)log;
	if (number >= STORE_MAX)
		abort();
	if (s->takes)
		clock_sleep_us(s->takes);
	pthread_mutex_lock(&s->lock);
	rc_t rc = put_locked(s, number, object, reterr);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static rc_t mem_get(void *ctx, const char *log, uint64_t number, struct buf *ret, struct err *reterr)
{
	struct store_in_memory *s = ctx;
	(void)log;
	if (number >= STORE_MAX || !s->objects[number].data)
		return err_set(reterr, RC_NOT_FOUND, "it is not there");
	buf_append_slice(ret, buf_slice(&s->objects[number]));
	return RC_OK;
}

static rc_t mem_remove(void *ctx, const char *log, uint64_t number, struct err *reterr)
{
	struct store_in_memory *s = ctx;
	(void)log, (void)reterr;
	pthread_mutex_lock(&s->lock);
	buf_free(&s->objects[number]);
	s->objects[number].data = NULL;
	pthread_mutex_unlock(&s->lock);
	return RC_OK;
}

static rc_t mem_range(void *ctx, const char *log, uint64_t *ret_first, uint64_t *ret_whole, uint64_t *ret_last, struct err *reterr)
{
	struct store_in_memory *s = ctx;
	uint64_t first = 0, whole = 0, last = 0;
	(void)log;
	for (uint64_t n = 1; n < STORE_MAX; n++) {
		if (!s->objects[n].data)
			continue;
		first = first ? first : n;
		whole = last + 1 == n && whole ? whole : n;
		last = n;
	}
	if (!last)
		return err_set(reterr, RC_NOT_FOUND, "nothing");
	*ret_first = first;
	*ret_whole = whole;
	*ret_last = last;
	return RC_OK;
}

static const struct wal_replica_ops mem_ops = { mem_put, mem_get, mem_remove, mem_range };

static struct store_in_memory *store_new(void)
{
	struct store_in_memory *s = NEW(struct store_in_memory);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

static void store_free(struct store_in_memory *s)
{
	for (size_t i = 0; i < STORE_MAX; i++)
		buf_free(&s->objects[i]);
	buf_free(&s->late);
	free(s);
}

static struct wal_options replicated(const char *dir, struct store_in_memory *s)
{
	struct wal_options o = small(dir);
	o.replica = &mem_ops;
	o.replica_ctx = s;
	return o;
}

static uint64_t last_of(struct store_in_memory *s)
{
	uint64_t first, whole, last = 0;
	return mem_range(s, "", &first, &whole, &last, NULL) == RC_OK ? last : 0;
}

static rc_t restore(struct store_in_memory *s, uint64_t last, const char *dir, struct wal **ret, struct err *err)
{
	struct wal_object o;
	struct wal_restore r = { .dir = dir };
	struct wal_options opts = { .dir = dir, .key_window_us = 1, .manual_sync = true };
	TRY(dir_remove_tree(dir, err));
	TRY(dir_make(dir, err));
	TRY(wal_object_parse(buf_slice(&s->objects[last]), &o, err));
	for (uint64_t n = o.low; n <= last; n++) {
		if (!s->objects[n].data)
			return err_set(err, RC_NOT_FOUND, "object %llu is gone", (unsigned long long)n);
		TRY(wal_object_parse(buf_slice(&s->objects[n]), &o, err));
		if (o.number != n)
			return err_set(err, RC_CORRUPT, "object %llu says that it is %llu", (unsigned long long)n, (unsigned long long)o.number);
		TRY(wal_restore_object(&r, &o, err));
	}
	return wal_open(&opts, ret, err);
}

/* Restores the objects from `low` on, up to `last`, as who takes the log over does, and reads what is in it: how many events; -1: err says why. */
static long restored(struct store_in_memory *s, uint64_t last, const char *collection, uint8_t *seen, size_t len, struct err *err)
{
	char dir[160];
	AUTO(wal) *w = NULL;
	snprintf(dir, sizeof dir, "%s.restored", fixture_dir);
	memset(seen, 0, len);
	rc_t rc = restore(s, last, dir, &w, err);
	if (rc == RC_OK && wal_recovery(w)->damage_count)
		rc = err_set(err, RC_CORRUPT, "the restored log is damaged");
	long got = rc == RC_OK ? read_all_numbers(w, collection, seen, len, err) : -1;
	if (got < 0)
		printf("# %s\n", err->text);
	dir_remove_tree(dir, NULL);
	return got;
}

TEST(replica_acks_what_stands_in_the_store_and_nothing_else)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s);
	struct wal *w = NULL;
	uint64_t ticket, first;
	uint8_t seen[16];
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 2, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	CHECK_INT(restored(s, last_of(s), "a", seen, sizeof seen, &err), 2);
	s->next = REFUSED;
	s->mishaps = 1000;
	CHECK_OK(append_n(w, "a", 2, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_RC(wal_wait(w, ticket, &err), RC_IO);
	CHECK_INT(err.status, 503);
	CHECK_INT(restored(s, last_of(s), "a", seen, sizeof seen, &err), 2);
	CHECK_RC(wal_reopen(w, &err), RC_IO); /* no new segment as long as the store is away */
	struct wal_stats stats;
	wal_stats(w, &stats);
	CHECK_INT(stats.segments, 1);
	s->next = NO_MISHAP;
	CHECK_OK(wal_reopen(w, &err), err);
	CHECK_OK(append_n(w, "a", 3, 1, 100, NULL, &first, &ticket, &err), err);
	CHECK_INT(first, 3);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	CHECK_INT(restored(s, last_of(s), "a", seen, sizeof seen, &err), 3);
	CHECK(seen[3] && !seen[2]);
	wal_free(w);
	store_free(s);
}

TEST(replica_put_whose_reply_is_lost_is_made_again_and_counts_once)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s);
	struct wal *w = NULL;
	uint64_t ticket;
	uint8_t seen[16];
	CHECK_OK(wal_open(&o, &w, &err), err);
	uint64_t before = last_of(s);
	s->next = REPLY_LOST;
	s->mishaps = 1;
	CHECK_OK(append_n(w, "a", 0, 3, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	CHECK_INT(last_of(s), before + 2); /* seen is not durable: under the next number, too */
	CHECK_INT(restored(s, last_of(s), "a", seen, sizeof seen, &err), 3);
	wal_free(w);
	store_free(s);
}

TEST(replica_group_that_was_given_up_and_comes_late_displaces_nothing)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s);
	struct wal *w = NULL;
	uint64_t ticket, first;
	uint8_t seen[16];
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	s->next = SENT_AND_LATE;
	s->mishaps = 1;
	CHECK_OK(append_n(w, "a", 1, 3, 100, NULL, NULL, &ticket, &err), err);
	CHECK_RC(wal_wait(w, ticket, &err), RC_IO);
	CHECK_OK(wal_reopen(w, &err), err); /* its object finds the late one at its number */
	CHECK_OK(append_n(w, "a", 5, 1, 100, NULL, &first, &ticket, &err), err);
	CHECK_INT(first, 2); /* the positions that were given up */
	CHECK_OK(wal_wait(w, ticket, &err), err);
	CHECK_INT(restored(s, last_of(s), "a", seen, sizeof seen, &err), 2);
	CHECK(seen[0] && seen[5]);
	wal_free(w);
	store_free(s);
}

TEST(replica_segment_of_a_dead_process_that_comes_late_hides_nothing)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s);
	struct wal *w = NULL;
	uint64_t ticket;
	uint8_t seen[16];
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	s->next = REFUSED;
	s->mishaps = 3;
	CHECK_OK(append_n(w, "a", 1, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_RC(wal_wait(w, ticket, &err), RC_IO);
	CHECK_RC(wal_reopen(w, &err), RC_IO); /* segments 2 and 3 */
	CHECK_RC(wal_reopen(w, &err), RC_IO);
	s->next = SENT_AND_LATE;
	s->mishaps = 1;
	CHECK_RC(wal_reopen(w, &err), RC_IO); /* segment 4 */
	wal_free(w);
	CHECK_OK(wal_open(&o, &w, &err), err); /* segment 2 again: it is behind 4 by its number alone */
	CHECK_OK(append_n(w, "a", 2, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	CHECK(restored(s, last_of(s), "a", seen, sizeof seen, &err) >= 2);
	CHECK(seen[0] && seen[2]);
	wal_free(w);
	store_free(s);
}

/* Segment of the object; which making of it. */
static struct slice header_of(struct store_in_memory *s, uint64_t number, uint64_t *ret_segment)
{
	struct wal_object o = { 0 };
	if (wal_object_parse(buf_slice(&s->objects[number]), &o, NULL) != RC_OK)
		abort();
	*ret_segment = o.segment;
	return o.header;
}

TEST(replica_segment_that_its_disk_lost_gives_way_to_the_one_made_anew)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s);
	struct wal *w = NULL;
	uint64_t ticket, lost, anew;
	uint8_t seen[16];
	char path[200];
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 1, 40000, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	uint64_t before = last_of(s);
	s->next = SENT_AND_LATE;
	s->mishaps = 1;
	CHECK_OK(append_n(w, "a", 1, 1, 40000, NULL, NULL, &ticket, &err), err); /* does not fit: segment 2 */
	CHECK_RC(wal_wait(w, ticket, &err), RC_IO);
	wal_free(w);
	snprintf(path, sizeof path, "%s/%016x.wal", fixture_dir, 2);
	CHECK_INT(remove(path), 0);
	CHECK_OK(wal_open(&o, &w, &err), err); /* its first put finds the late one at its number */
	CHECK_OK(append_n(w, "a", 2, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	struct slice one = header_of(s, before + 1, &lost), other = header_of(s, before + 2, &anew);
	CHECK_INT(lost, 2);
	CHECK_INT(anew, 2);
	CHECK(memcmp(one.data, other.data, one.len) != 0);
	CHECK(restored(s, last_of(s), "a", seen, sizeof seen, &err) >= 2);
	CHECK(seen[0] && seen[2]);
	wal_free(w);
	store_free(s);
}

TEST(replica_restore_may_begin_with_objects_that_hold_nothing)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s);
	struct wal *w = NULL;
	struct wal_object last;
	uint64_t ticket;
	uint8_t seen[16];
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	CHECK_OK(wal_committed(w, SLICE_LIT("a"), 1, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	uint64_t before = last_of(s);
	s->next = REPLY_LOST; /* a sign of life that is there, for all that anybody knows of it */
	s->mishaps = 3;
	CHECK_RC(wal_replica_tick(w, 1, &err), RC_IO);
	CHECK_INT(last_of(s), before + 3);
	CHECK_OK(append_n(w, "a", 1, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	CHECK_OK(wal_object_parse(buf_slice(&s->objects[last_of(s)]), &last, &err), err);
	CHECK_INT(last.low, before + 1);
	CHECK_INT(restored(s, last_of(s), "a", seen, sizeof seen, &err), 1);
	CHECK(seen[1]);
	wal_free(w);
	store_free(s);
}

TEST(replica_restored_segment_that_cannot_be_read_back_is_an_error_and_drops_nothing)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s);
	struct wal *w = NULL;
	struct wal_object object;
	uint64_t ticket, size = 0;
	char dir[160], path[200];
	CHECK_OK(wal_open(&o, &w, &err), err);
	for (uint64_t n = 0; n < 2; n++) {
		CHECK_OK(append_n(w, "a", n, 1, 100, NULL, NULL, &ticket, &err), err);
		CHECK_OK(wal_wait(w, ticket, &err), err);
	}
	snprintf(dir, sizeof dir, "%s.restored", fixture_dir);
	snprintf(path, sizeof path, "%s/%016x.wal", dir, 1);
	CHECK_OK(dir_make(dir, &err), err);
	struct wal_restore r = { .dir = dir };
	for (uint64_t n = 1; n < last_of(s); n++) {
		CHECK_OK(wal_object_parse(buf_slice(&s->objects[n]), &object, &err), err);
		CHECK_OK(wal_restore_object(&r, &object, &err), err);
	}
	CHECK_INT(truncate(path, 100), 0); /* as good as a disk that does not answer */
	CHECK_OK(wal_object_parse(buf_slice(&s->objects[last_of(s)]), &object, &err), err);
	CHECK(wal_restore_object(&r, &object, &err) != RC_OK);
	CHECK_OK(file_stat(path, &size, NULL, NULL, &err), err);
	CHECK_INT(size, 100);
	dir_remove_tree(dir, NULL);
	wal_free(w);
	store_free(s);
}

TEST(replica_meets_a_seal_and_acks_nothing_more)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s);
	struct wal *w = NULL;
	struct buf mark;
	uint64_t ticket, end;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	buf_init(&mark, BUF_MAX_DEFAULT);
	end = last_of(s) + 1;
	wal_object_seal(&mark, wal_id(w), end, end, 2, "whoseals", false);
	mem_create(s, end, buf_slice(&mark));
	CHECK_OK(append_n(w, "a", 1, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_RC(wal_wait(w, ticket, &err), RC_IO);
	CHECK(strstr(err.text, "whoseals"));
	CHECK_RC(wal_reopen(w, &err), RC_IO);
	CHECK_RC(append_n(w, "a", 2, 1, 100, NULL, NULL, &ticket, &err), RC_IO);
	CHECK_RC(wal_replica_tick(w, 1, &err), RC_CONFLICT);
	CHECK_INT(last_of(s), end);
	wal_free(w);
	CHECK_RC(wal_open(&o, &w, &err), RC_CONFLICT); /* nor after a restart */
	buf_free(&mark);
	store_free(s);
}

TEST(replica_log_goes_on_only_where_the_store_ends)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s), plain = o;
	struct wal *w = NULL;
	uint64_t ticket;
	uint8_t seen[16];
	char path[200], aside[210];
	plain.replica = NULL;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 4, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	wal_free(w); /* events wait, so that the objects stay */
	CHECK_RC(wal_open(&plain, &w, &err), RC_UNSUPPORTED);
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 4, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	CHECK_INT(restored(s, last_of(s), "a", seen, sizeof seen, &err), 5);
	wal_free(w);
	snprintf(path, sizeof path, "%s/%016x.wal", fixture_dir, 2);
	snprintf(aside, sizeof aside, "%s.aside", path);
	CHECK_INT(rename(path, aside), 0); /* a disk that lied: what was synced last is not there */
	CHECK_RC(wal_open(&o, &w, &err), RC_CONFLICT);
	CHECK(strstr(err.text, "holds more"));
	CHECK_INT(rename(aside, path), 0);
	uint64_t last = last_of(s);
	mem_remove(s, "", last - 1, NULL);
	CHECK_RC(wal_open(&o, &w, &err), RC_CONFLICT);
	CHECK(strstr(err.text, "missing"));
	store_free(s);
}

TEST(replica_keeps_what_no_table_holds_and_removes_the_rest)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s);
	struct wal *w = NULL;
	struct wal_replica_stats stats;
	uint64_t ticket;
	uint8_t seen[200];
	CHECK_OK(wal_open(&o, &w, &err), err);
	for (unsigned i = 0; i < 60; i++) { /* some segments of 64 KiB */
		CHECK_OK(append_n(w, i % 3 ? "a" : "b", i, 1, 5000, NULL, NULL, &ticket, &err), err);
		CHECK_OK(wal_wait(w, ticket, &err), err);
	}
	for (uint64_t upto = 0; upto < 60; upto += 7) {
		CHECK_OK(wal_committed(w, SLICE_LIT("a"), upto, &err), err);
		CHECK_OK(wal_committed(w, SLICE_LIT("b"), upto, &err), err);
		CHECK_OK(wal_flush(w, &err), err);
		CHECK_OK(wal_replica_tick(w, 1000000000, &err), err); /* a group has said it */
		CHECK_INT(restored(s, last_of(s), "", seen, sizeof seen, &err), 60 - (long)upto);
		CHECK(upto == 60 || seen[upto]);
		wal_replica_stats(w, &stats);
		CHECK(stats.kept <= 60 - upto + 2 * (upto / 7 + 2)); /* with what says that they are committed, and trimmed */
	}
	CHECK_OK(wal_committed(w, SLICE_LIT("a"), 60, &err), err);
	CHECK_OK(wal_committed(w, SLICE_LIT("b"), 60, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	rc_t rc; /* an object of its own */
	while ((rc = wal_replica_tick(w, 0, &err)) == RC_AGAIN)
		;
	CHECK_OK(rc, err);
	wal_replica_stats(w, &stats);
	CHECK_INT(stats.kept, 1);
	struct wal_object rest;
	CHECK_OK(wal_object_parse(buf_slice(&s->objects[last_of(s)]), &rest, &err), err);
	CHECK(wal_object_at_rest(&rest));
	unsigned puts = s->puts;
	CHECK_OK(wal_replica_tick(w, 0, &err), err);
	CHECK_INT(s->puts, puts); /* at rest it is silent */
	uint64_t last = last_of(s);
	CHECK_OK(wal_close(w, &err), err);
	CHECK_INT(last_of(s), 0);
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK(last_of(s) > last); /* numbers are never given again */
	wal_free(w);
	store_free(s);
}

#define SENDERS 16
#define SENDS 40
struct sender {
	struct wal *w;
	unsigned failed;
	bool stop;
};

static void *send_many(void *arg)
{
	struct sender *s = arg;
	uint64_t ticket;
	for (uint64_t i = 0; i < SENDS; i++)
		if (append_n(s->w, "a", i, 1, 50, NULL, NULL, &ticket, NULL) != RC_OK || wal_wait(s->w, ticket, NULL) != RC_OK)
			__atomic_add_fetch(&s->failed, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *keep(void *arg)
{
	struct sender *s = arg;
	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		wal_committed(s->w, SLICE_LIT("a"), wal_durable_position(s->w) / 2, NULL);
		wal_replica_tick(s->w, 1000, NULL);
	}
	return NULL;
}

TEST(replica_needs_an_object_a_group_not_a_sender)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s);
	struct sender sender = { 0 };
	struct wal_replica_stats stats;
	pthread_t threads[SENDERS], keeper;
	o.manual_sync = false;
	s->takes = 3000;
	CHECK_OK(wal_open(&o, &sender.w, &err), err);
	for (int i = 0; i < SENDERS; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, send_many, &sender), 0);
	CHECK_INT(pthread_create(&keeper, NULL, keep, &sender), 0);
	for (int i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&sender.stop, true, __ATOMIC_RELAXED);
	pthread_join(keeper, NULL);
	CHECK_INT(sender.failed, 0);
	CHECK_INT(wal_durable_position(sender.w), SENDERS * SENDS);
	wal_replica_stats(sender.w, &stats);
	CHECK(stats.objects < SENDERS * SENDS);
	CHECK(stats.removed > 0);
	CHECK_OK(wal_committed(sender.w, SLICE_LIT("a"), SENDERS * SENDS, &err), err);
	CHECK_OK(wal_close(sender.w, &err), err);
	CHECK_INT(last_of(s), 0);
	store_free(s);
}

TEST(replica_big_records_take_several_objects)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s);
	struct wal *w = NULL;
	uint64_t ticket;
	uint8_t seen[16];
	o.max_bytes = (uint64_t)256 << 20;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	uint64_t before = last_of(s);
	CHECK_OK(append_n(w, "a", 1, 4, 10 << 20, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	CHECK(last_of(s) >= before + 3);
	CHECK_OK(append_n(w, "a", 5, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	CHECK_INT(restored(s, last_of(s), "a", seen, sizeof seen, &err), 6);
	CHECK_INT(restored(s, before + 1, "a", seen, sizeof seen, &err), 1); /* half a record is a torn tail */
	wal_free(w);
	store_free(s);
}

TEST(replica_objects_with_a_flipped_bit_are_refused)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s);
	struct wal *w = NULL;
	struct wal_object object;
	uint64_t ticket;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 1, 100, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	struct buf *b = &s->objects[last_of(s)];
	for (size_t i = 0; i < b->len * 8; i++) {
		b->data[i / 8] ^= (uint8_t)(1u << i % 8);
		CHECK(wal_object_parse(buf_slice(b), &object, &err) != RC_OK);
		b->data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t n = 0; n < b->len; n++)
		CHECK_RC(wal_object_parse(slice_of(b->data, n), &object, &err), RC_CORRUPT);
	CHECK_OK(wal_object_parse(buf_slice(b), &object, &err), err);
	wal_free(w);
	store_free(s);
}

/* Appends, commits, mishaps and restarts by chance: at each moment the store holds what was acked and no table has, once. */
static unsigned lives; /* that lasted */
static void random_life(uint64_t seed)
{
	struct err err = { 0 };
	struct store_in_memory *s = store_new();
	struct wal_options o = replicated(fresh_dir(), s);
	struct wal *w = NULL;
	uint8_t seen[2048], acked[2048] = { 0 };
	uint64_t committed = 0, number = 0, position_of[2048], state = seed * 2654435761u + 1;
	CHECK_OK(wal_open(&o, &w, &err), err);
	for (int step = 0; step < 250; step++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		unsigned dice = (unsigned)(state >> 33) % 100;
		uint64_t ticket, first;
		if (step % 8 == 0) {
			CHECK(restored(s, last_of(s), "a", seen, sizeof seen, &err) >= 0);
			for (uint64_t n = 0; n < number; n++)
				CHECK(!acked[n] || position_of[n] <= committed || seen[n] == 1);
		}
		if (dice < 20) {
			s->next = (enum mishap)(1 + dice % 3);
			s->mishaps = 1 + (int)dice / 7;
		}
		if (dice >= 90) {
			wal_free(w);
			w = NULL;
			s->next = NO_MISHAP;
			rc_t rc = wal_open(&o, &w, &err);
			if (rc == RC_CONFLICT) /* what was given up is there: somebody takes the log over */
				break;
			CHECK_OK(rc, err);
		} else if (dice >= 80 && number) {
			committed = wal_durable_position(w);
			CHECK_OK(wal_committed(w, SLICE_LIT("a"), committed, &err), err);
		} else if (dice >= 75) {
			wal_replica_tick(w, 0, &err);
		} else if (append_n(w, "a", number, 1, dice * 40, NULL, &first, &ticket, &err) == RC_OK) {
			position_of[number] = first;
			acked[number] = wal_wait(w, ticket, &err) == RC_OK;
			number++;
		} else {
			wal_reopen(w, &err);
		}
	}
	s->next = NO_MISHAP;
	if (w)
		wal_reopen(w, &err);
	CHECK(!last_of(s) || restored(s, last_of(s), "a", seen, sizeof seen, &err) >= 0);
	for (uint64_t n = 0; n < number; n++)
		CHECK(!acked[n] || position_of[n] <= committed || seen[n] == 1);
	wal_free(w);
	lives += w != NULL;
	store_free(s);
}

TEST(replica_holds_what_was_acked_through_any_mishaps)
{
	for (uint64_t seed = 1; seed <= 40; seed++)
		random_life(seed);
	CHECK(lives > 10);
}

TEST_MAIN()
