/* What the log does when the disk does not: the door to the disk (os/file.h) is wrapped by the linker (-Wl,--wrap, see meson.build), so
 * that the shipped objects of this room run against syncs that fail and disks that are full. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "wal/wal_fixture.h"
#include "wal/wal_wrap.h"

static atomic_int fail_syncs;       /* so many file_sync calls fail from now on */
static atomic_llong space_left = -1; /* bytes that may still be written behind a file's end; -1: unlimited */
static atomic_int syncs, writes;

rc_t __wrap_file_sync(int fd, const char *path, struct err *reterr)
{
	atomic_fetch_add(&syncs, 1);
	if (atomic_load(&fail_syncs) > 0) {
		atomic_fetch_sub(&fail_syncs, 1);
		return err_set(reterr, RC_IO, "cannot make %s durable: injected", path);
	}
	return __real_file_sync(fd, path, reterr);
}

rc_t __wrap_file_pwrite(int fd, const char *path, const void *data, size_t len, uint64_t offset, struct err *reterr)
{
	atomic_fetch_add(&writes, 1);
	if (atomic_load(&space_left) >= 0) {
		uint64_t size = 0;
		file_size(fd, path, &size, NULL);
		int64_t more = (int64_t)(offset + len) - (int64_t)size;
		if (more > 0 && more > atomic_load(&space_left))
			return err_set(reterr, RC_LIMIT, "cannot write %s: no space left (injected)", path);
		if (more > 0)
			atomic_fetch_sub(&space_left, more);
	}
	return __real_file_pwrite(fd, path, data, len, offset, reterr);
}

TEST(wal_failed_sync_fails_its_tickets_and_is_never_repeated)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	uint64_t t1 = 0, t2 = 0, t3 = 0, t4 = 0, first = 0;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 1, 100, NULL, NULL, &t1, &err), err);
	CHECK_OK(wal_wait(w, t1, &err), err);
	CHECK_OK(append_n(w, "a", 1, 1, 100, "k", NULL, &t2, &err), err);
	CHECK_OK(append_n(w, "b", 2, 1, 100, NULL, &first, &t3, &err), err);
	CHECK_INT(first, 3);
	atomic_store(&fail_syncs, 1);
	CHECK_RC(wal_wait(w, t3, &err), RC_IO);
	CHECK_INT(err.status, 503);
	CHECK(err.retryable);
	CHECK_RC(wal_wait(w, t2, &err), RC_IO);
	CHECK_OK(wal_wait(w, t1, &err), err);
	int before = atomic_load(&syncs);
	CHECK_RC(append_n(w, "a", 3, 1, 100, NULL, NULL, NULL, &err), RC_IO);
	CHECK_RC(wal_status(w, &err), RC_IO);
	CHECK_RC(wal_cut(w, SLICE_LIT("a"), 0, 1, SLICE_LIT(""), &err), RC_IO);
	CHECK_INT(atomic_load(&syncs), before);
	struct wal_key_found f;
	CHECK_RC(wal_key_lookup(w, SLICE_LIT("a"), SLICE_LIT("k"), &f, &err), RC_NOT_FOUND);
	uint8_t seen[10] = { 0 };
	CHECK_INT(read_all_numbers(w, "", seen, 10, &err), 1); /* what was acked is read all the while */
	atomic_store(&fail_syncs, 1);
	CHECK_RC(wal_reopen(w, &err), RC_IO); /* it may fail again */
	CHECK_OK(wal_reopen(w, &err), err);
	CHECK_OK(append_n(w, "a", 4, 1, 100, "k", &first, &t4, &err), err);
	CHECK_INT(first, 2); /* positions stay gapless */
	CHECK_OK(wal_wait(w, t4, &err), err);
	CHECK_RC(wal_wait(w, t3, &err), RC_IO); /* and a failed ticket stays failed */
	for (int round = 0; round < 2; round++) {
		memset(seen, 0, sizeof(seen));
		CHECK_INT(read_all_numbers(w, "", seen, 10, &err), 2);
		CHECK_INT(seen[0] + seen[4], 2); /* 1 and 2 were in the file, but are void */
		struct wal_pending p;
		wal_pending(w, SLICE_LIT("a"), &p);
		CHECK_INT(p.events, 2);
		wal_free(w);
		w = NULL;
		CHECK_OK(wal_open(&o, &w, &err), err);
		CHECK_INT(wal_recovery(w)->damage_count, 0);
		CHECK_INT(wal_recovery(w)->torn_bytes, 0);
	}
	wal_free(w);
}

/* Of a request, an event is left out because its id is on its way; the sync takes that one back, and the rest must not be kept as all of it. */
TEST(wal_append_is_refused_if_what_was_left_out_as_known_was_not_kept)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	struct event events[] = { { .payload = SLICE_LIT("1"), .id = SLICE_LIT("one") }, { .payload = SLICE_LIT("2"), .id = SLICE_LIT("two") } };
	struct wal_events e = { .collection = SLICE_LIT("a"), .received = clock_wall_us(), .events = events, .count = 1, .unique_ids = true };
	uint64_t first, ticket;
	bool known[2];
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(wal_append(w, &e, &first, &ticket, &err), err);
	CHECK_INT(wal_ids_known(w, e.collection, events, 2, known, &e.known), 1);
	CHECK(known[0] && e.known.ticket);
	e.events = events + 1;
	atomic_store(&fail_syncs, 1);
	CHECK_RC(wal_flush(w, &err), RC_IO);
	CHECK_OK(wal_reopen(w, &err), err);
	CHECK_RC(wal_append(w, &e, &first, &ticket, &err), RC_CONFLICT);
	CHECK_INT(wal_ids_known(w, e.collection, events, 2, known, &e.known), 0);
	e.events = events;
	e.count = 2;
	CHECK_OK(wal_append(w, &e, &first, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	wal_free(w);
}

TEST(wal_drop_whose_sync_fails_forgets_nothing)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	struct event event = { .payload = SLICE_LIT("1"), .id = SLICE_LIT("one") };
	struct wal_events e = { .collection = SLICE_LIT("a"), .received = clock_wall_us(), .events = &event, .count = 1, .unique_ids = true };
	struct wal_known said;
	struct wal_pending p;
	uint64_t first, ticket;
	bool known;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(wal_append(w, &e, &first, &ticket, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	atomic_store(&fail_syncs, 1);
	CHECK_RC(wal_drop(w, e.collection, &err), RC_IO);
	CHECK_INT(wal_ids_known(w, e.collection, &event, 1, &known, &said), 1);
	CHECK_OK(wal_reopen(w, &err), err);
	CHECK_INT(wal_ids_known(w, e.collection, &event, 1, &known, &said), 1);
	wal_pending(w, e.collection, &p);
	CHECK_INT(p.events, 1);
	CHECK_OK(wal_drop(w, e.collection, &err), err);
	CHECK_INT(wal_ids_known(w, e.collection, &event, 1, &known, &said), 0);
	wal_free(w);
}

/* What a failed sync left in the page cache is read after a restart, and no sync would write it: recovery does, before it counts as durable. */
TEST(wal_recovery_writes_again_what_it_read)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 1, 100, NULL, NULL, NULL, &err), err);
	atomic_store(&fail_syncs, 1);
	CHECK_RC(wal_flush(w, &err), RC_IO);
	wal_free(w);
	int before = atomic_load(&writes);
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK(atomic_load(&writes) > before);
	wal_free(w);
}

TEST(wal_goes_on_by_itself_a_second_after_a_failed_sync)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	uint64_t ticket = 0, first = 0;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 1, 100, NULL, NULL, NULL, &err), err);
	atomic_store(&fail_syncs, 1);
	CHECK_RC(wal_flush(w, &err), RC_IO);
	CHECK_RC(append_n(w, "a", 1, 1, 100, NULL, NULL, NULL, &err), RC_IO);
	clock_sleep_us(1100000);
	CHECK_OK(append_n(w, "a", 1, 1, 100, NULL, &first, &ticket, &err), err);
	CHECK_INT(first, 1);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	wal_free(w);
}

/* wal_pending says how many events a cursor gives. */
static bool wal_pending_is_exact(struct wal *w)
{
	AUTO(wal_cursor) *c = NULL;
	struct wal_pending p;
	struct wal_record r;
	uint64_t n = 0;
	wal_pending(w, SLICE_LIT("a"), &p);
	if (wal_cursor_open(w, SLICE_LIT("a"), p.committed, UINT64_MAX, &c, NULL) != RC_OK)
		return false;
	while (wal_cursor_next(c, &r, NULL) == RC_OK)
		n += r.count;
	return n == p.events;
}

TEST(wal_sync_that_fails_at_any_step_of_much_work_loses_nothing_that_was_acked)
{
	for (int at = 1; at < 60; at++) {
		struct err err = { 0 };
		struct wal_options o = small(fresh_dir());
		struct wal *w = NULL;
		uint8_t acked[600] = { 0 }, seen[600];
		uint64_t ticket = 0, committed = 0;
		bool done = false;
		CHECK_OK(wal_open(&o, &w, &err), err);
		int base = atomic_load(&syncs);
		for (uint64_t i = 0; i < 300; i++) {
			if (!done && atomic_load(&syncs) - base >= at) {
				done = true;
				atomic_store(&fail_syncs, 1 + at % 3);
			}
			rc_t rc = append_n(w, "a", i, 1, 4000, NULL, NULL, &ticket, &err);
			if (rc == RC_OK && i % 4 == 3) {
				uint64_t t = ticket;
				rc = wal_wait(w, t, &err);
				for (uint64_t k = 0; k < 4 && rc == RC_OK; k++, t--)
					acked[i - k] = wal_ticket(w, t, NULL) == RC_OK;
			}
			if (rc != RC_OK)
				wal_reopen(w, NULL);
			if (i % 50 == 49 && wal_durable_position(w) > 40) {
				committed = wal_durable_position(w) - 40;
				CHECK_OK(wal_committed(w, SLICE_LIT("a"), committed, &err), err);
			}
		}
		atomic_store(&fail_syncs, 0);
		wal_reopen(w, NULL);
		wal_free(w);
		w = NULL;
		CHECK_OK(wal_open(&o, &w, &err), err);
		memset(seen, 0, sizeof(seen));
		CHECK(read_all_numbers(w, "", seen, sizeof(seen), &err) >= 0);
		long lost = 0;
		for (int i = 260; i < 300; i++) /* surely not committed */
			lost += acked[i] && !seen[i];
		CHECK_INT(lost, 0);
		CHECK(wal_pending_is_exact(w));
		wal_free(w);
	}
}

TEST(wal_full_disk_refuses_keeps_the_acked_and_goes_on_when_there_is_space)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	uint64_t n = 0, ticket = 0, acked = 0;
	rc_t rc = RC_OK;
	CHECK_OK(wal_open(&o, &w, &err), err);
	atomic_store(&space_left, 300 << 10);
	for (; n < 1000; n++) {
		rc = append_n(w, "a", n, 1, 3000, NULL, NULL, &ticket, &err);
		if (rc == RC_OK)
			rc = wal_wait(w, ticket, &err);
		if (rc != RC_OK)
			break;
		acked++;
	}
	CHECK_INT(rc, RC_LIMIT);
	CHECK_INT(err.status, 507);
	CHECK(acked > 80);
	CHECK_RC(append_n(w, "a", n, 1, 3000, NULL, NULL, &ticket, &err), RC_LIMIT);
	uint8_t seen[1100] = { 0 };
	CHECK_INT(read_all_numbers(w, "a", seen, sizeof(seen), &err), acked);
	/* A table takes the first part: its segments serve again, although the disk stays full. */
	CHECK_OK(wal_committed(w, SLICE_LIT("a"), acked - 30, &err), err);
	CHECK_OK(append_n(w, "a", 1000, 1, 3000, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	for (uint64_t i = 1; i < 10; i++) {
		CHECK_OK(append_n(w, "a", 1000 + i, 1, 3000, NULL, NULL, &ticket, &err), err);
		CHECK_OK(wal_wait(w, ticket, &err), err);
	}
	atomic_store(&space_left, -1);
	clock_sleep_us(1100000);
	CHECK_OK(append_n(w, "a", 1010, 1, 3000, NULL, NULL, &ticket, &err), err);
	wal_free(w);
	w = NULL;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(wal_committed(w, SLICE_LIT("a"), acked - 30, &err), err); /* the full log could not write that down */
	memset(seen, 0, sizeof(seen));
	CHECK_INT(read_all_numbers(w, "a", seen, sizeof(seen), &err), 30 + 11);
	for (uint64_t i = acked - 30; i < acked; i++)
		CHECK_INT(seen[i], 1);
	CHECK_INT(wal_durable_position(w), acked + 11);
	wal_free(w);
}

/* What waits for its first commit fills the disk, and the commit begins with a record: the reserve takes it, and no events. */
TEST(wal_full_disk_of_events_has_room_for_the_cut_and_the_commit_that_free_it)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	uint64_t n = 0, ticket = 0, acked = 0;
	uint8_t seen[1100] = { 0 };
	CHECK_OK(wal_open(&o, &w, &err), err);
	for (int round = 0; round < 3; round++) {
		uint64_t before = acked;
		atomic_store(&space_left, 300 << 10);
		for (int misses = 0; misses < 3; n++) {
			rc_t rc = append_n(w, "a", n, 1, 3000, NULL, NULL, &ticket, &err);
			if (rc == RC_OK)
				rc = wal_wait(w, ticket, &err);
			acked += rc == RC_OK;
			if (rc == RC_OK)
				continue;
			CHECK_INT(rc, RC_LIMIT);
			CHECK_INT(err.status, 507);
			misses++;
		}
		CHECK(acked > before + 50);
		atomic_store(&space_left, 0);
		if (round == 2) { /* a new process knows of it, too */
			wal_free(w);
			w = NULL;
			CHECK_OK(wal_open(&o, &w, &err), err);
			for (int i = 0; i < 1000; i++) {
				CHECK_RC(append_n(w, "a", n, 1, 3000, NULL, NULL, &ticket, &err), RC_LIMIT);
				CHECK_INT(err.status, 507);
			}
		}
		struct wal_pending pending;
		wal_pending(w, SLICE_LIT("a"), &pending);
		CHECK_INT(pending.events, acked - before);
		CHECK_OK(wal_cut(w, SLICE_LIT("a"), pending.first - 1, pending.last, (struct slice){ 0 }, &err), err);
		CHECK_OK(wal_committed(w, SLICE_LIT("a"), pending.last, &err), err);
		CHECK_OK(wal_flush(w, &err), err);
		for (int i = 0; i < 10; i++, n++) { /* the trimmed segments serve again, although the disk stays full */
			CHECK_OK(append_n(w, "b", n, 1, 3000, NULL, NULL, &ticket, &err), err);
			CHECK_OK(wal_wait(w, ticket, &err), err);
		}
		wal_pending(w, SLICE_LIT("b"), &pending);
		CHECK_INT(pending.events, 10);
		CHECK_OK(wal_committed(w, SLICE_LIT("b"), pending.last, &err), err);
		if (round != 1)
			continue;
		wal_free(w);
		w = NULL;
		CHECK_OK(wal_open(&o, &w, &err), err);
	}
	atomic_store(&space_left, -1);
	CHECK_INT(read_all_numbers(w, "a", seen, sizeof(seen), &err), 0);
	wal_free(w);
}

/* The reserve became a segment, and a power cut kept that rename without the one before it, by which it had become the reserve. */
TEST(wal_reserve_is_never_made_of_what_a_power_cut_left_under_its_first_name)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	AUTO_MEM char *segment = mem_printf("%s/0000000000000001.wal", o.dir);
	AUTO_MEM char *temp = mem_printf("%s/reserve.tmp", o.dir);
	AUTO_MEM char *reserve = mem_printf("%s/reserve", o.dir);
	uint8_t seen[10] = { 0 };
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 1, 100, NULL, NULL, NULL, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	wal_free(w);
	w = NULL;
	CHECK(rename(segment, temp) == 0 && link(temp, segment) == 0 && unlink(reserve) == 0);
	for (int start = 0; start < 2; start++) {
		CHECK_OK(wal_open(&o, &w, &err), err);
		memset(seen, 0, sizeof(seen));
		CHECK_INT(read_all_numbers(w, "a", seen, sizeof(seen), &err), 1);
		CHECK_OK(file_stat(reserve, NULL, NULL, NULL, &err), err);
		wal_free(w);
		w = NULL;
	}
}

/* In the child: the disk is full, a table has taken most, and the new segment is made of a trimmed one; that fails, or the process dies. */
static void reuse_and_die(const struct wal_options *o, int failing, const char *fault, int out)
{
	struct wal *w = NULL;
	struct err err = { 0 };
	uint64_t n = 0, ticket;
	if (wal_open(o, &w, &err) != RC_OK)
		_exit(3);
	atomic_store(&space_left, 300 << 10);
	while (append_n(w, "a", n, 1, 3000, NULL, NULL, &ticket, &err) == RC_OK && wal_wait(w, ticket, &err) == RC_OK)
		n++;
	static const uint8_t plan[80 << 10]; /* more than the reserve has room for */
	if (wal_cut(w, SLICE_LIT("a"), 0, n, slice_of(plan, sizeof(plan)), NULL) != RC_LIMIT)
		_exit(5);
	if (wal_committed(w, SLICE_LIT("a"), n - 30, &err) != RC_OK || write(out, &n, 8) != 8)
		_exit(4);
	atomic_store(&fail_syncs, failing);
	if (fault) {
		setenv("HYDRANT_FAULT", fault, 1);
		fault_init();
	}
	for (int i = 0; i < failing + 1; i++)
		wal_reopen(w, NULL);
	_exit(0);
}

TEST(wal_trimmed_segment_whose_reuse_failed_or_was_cut_short_is_not_missed)
{
	static const struct {
		int failing;
		const char *fault;
	} ends[] = { { 1, NULL }, { 2, NULL }, { 3, NULL }, { 0, "wal.rotate_synced:1" }, { 0, "wal.rotate_renamed:1" }, { 1, "wal.rotate_synced:2" } };
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		struct err err = { 0 };
		struct wal_options o = small(fresh_dir());
		struct wal *w = NULL;
		int fds[2], status;
		uint64_t acked = 0;
		uint8_t seen[1100] = { 0 };
		CHECK(pipe(fds) == 0);
		pid_t pid = fork();
		if (pid == 0)
			reuse_and_die(&o, ends[i].failing, ends[i].fault, fds[1]);
		close(fds[1]);
		CHECK(read(fds[0], &acked, 8) == 8 && acked > 80);
		close(fds[0]);
		waitpid(pid, &status, 0);
		CHECK(ends[i].fault ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0);
		for (int start = 0; start < 3; start++) { /* the first one sweeps */
			CHECK_OK(wal_open(&o, &w, &err), err);
			CHECK_OK(wal_committed(w, SLICE_LIT("a"), acked - 30, &err), err);
			memset(seen, 0, sizeof seen);
			CHECK_INT(read_all_numbers(w, "a", seen, sizeof(seen), &err), 30);
			CHECK_INT(wal_durable_position(w), acked);
			wal_free(w);
			w = NULL;
		}
	}
}

/* In the child: keyed events fill the log, and it dies when tables have them all, but nothing is trimmed yet. */
static void fill_and_die(const struct wal_options *o)
{
	struct wal *w = NULL;
	struct err err = { 0 };
	char key[16] = "";
	uint64_t n = 0, ticket;
	if (wal_open(o, &w, &err) != RC_OK)
		_exit(3);
	for (rc_t rc = RC_OK; rc == RC_OK; n++) {
		snprintf(key, sizeof key, "%llu", (unsigned long long)n);
		rc = append_n(w, "a", n, 1, 3000, key, NULL, &ticket, &err);
		if (rc == RC_OK && (rc = wal_wait(w, ticket, &err)) != RC_OK)
			_exit(4);
	}
	setenv("HYDRANT_FAULT", "wal.after_sync:1", 1);
	fault_init();
	wal_committed(w, SLICE_LIT("a"), wal_durable_position(w), &err);
	wal_flush(w, &err);
	_exit(0);
}

TEST(wal_full_of_what_only_young_keys_hold_makes_room_also_when_nothing_else_happens)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	int status;
	uint64_t ticket;
	o.max_bytes = o.collection_max_bytes = 512 << 10;
	o.manual_sync = false;
	pid_t pid = fork();
	if (pid == 0)
		fill_and_die(&o);
	waitpid(pid, &status, 0);
	CHECK(WIFSIGNALED(status));
	CHECK_OK(wal_open(&o, &w, &err), err);
	struct wal_pending pending;
	wal_pending(w, SLICE_LIT("a"), &pending);
	CHECK_INT(pending.events, 0);
	rc_t rc = RC_LIMIT;
	for (int64_t until = clock_mono_us() + 20000000; rc == RC_LIMIT && clock_mono_us() < until; usleep(20000))
		rc = append_n(w, "b", 0, 1, 60000, NULL, NULL, &ticket, &err);
	CHECK_RC(rc, RC_OK);
	CHECK_OK(wal_wait(w, ticket, &err), err);
	struct wal_key_found found = { 0 };
	CHECK_OK(wal_key_lookup(w, SLICE_LIT("a"), SLICE_LIT("5"), &found, &err), err);
	buf_free(&found.reply);
	wal_free(w);
}

TEST(wal_that_holds_more_than_its_cap_drains_all_the_same)
{
	static const uint8_t plan[60 << 10]; /* wants a segment of its own */
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	uint64_t n = 0, ticket;
	o.max_bytes = o.collection_max_bytes = 1 << 20;
	CHECK_OK(wal_open(&o, &w, &err), err);
	while (append_n(w, "a", n, 1, 3000, NULL, NULL, &ticket, &err) == RC_OK)
		n++;
	CHECK(n > 200);
	CHECK_OK(wal_flush(w, &err), err);
	wal_free(w);
	o.max_bytes = o.collection_max_bytes = 256 << 10; /* lowered; starts over a full log can bring it there, too */
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_RC(append_n(w, "b", 0, 1, 60000, NULL, NULL, &ticket, &err), RC_LIMIT);
	CHECK_OK(wal_cut(w, SLICE_LIT("a"), 0, n, slice_of(plan, sizeof(plan)), &err), err);
	CHECK_OK(wal_committed(w, SLICE_LIT("a"), n, &err), err);
	for (int i = 0; i < 3; i++)
		CHECK_OK(wal_flush(w, &err), err);
	CHECK_OK(append_n(w, "b", 0, 1, 60000, NULL, NULL, &ticket, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	wal_free(w);
}

/* --- killed at every step --- */

static const char *const points[] = { "wal.append", "wal.before_sync", "wal.after_sync", "wal.before_rotate", "wal.rotate", "wal.rotate_synced",
				      "wal.rotate_renamed", "wal.trim", "wal.trimmed", "wal.recover", "wal.made" };

/* In the child: appends for ever, writing each acked number to the pipe, until the fault point kills it. */
static void work_until_killed(const struct wal_options *o, uint64_t number, int out, const char *fault)
{
	struct wal *w = NULL;
	struct err err = { 0 };
	setenv("HYDRANT_FAULT", fault, 1);
	fault_init();
	if (wal_open(o, &w, &err) != RC_OK) {
		fprintf(stderr, "  open: %s\n", err.text);
		_exit(3);
	}
	for (int i = 0; i < 3000; i++) {
		uint64_t ticket, last = 0;
		char key[32];
		snprintf(key, sizeof(key), "k%llu", (unsigned long long)number);
		if (append_n(w, i % 3 ? "a" : "b", number, 1, 3000, i % 7 ? NULL : key, &last, &ticket, &err) != RC_OK ||
		    wal_wait(w, ticket, &err) != RC_OK) {
			fprintf(stderr, "  append: %s\n", err.text);
			_exit(4);
		}
		if (write(out, &number, 8) != 8)
			_exit(5);
		if (i % 60 == 59 && last > 100) {
			wal_committed(w, SLICE_LIT("a"), last - 100, NULL);
			wal_committed(w, SLICE_LIT("b"), last - 100, NULL);
		}
		number++;
	}
	_exit(0);
}

/* Returns the highest number acked before the kill (or `number` - 1), -1 if the child failed. */
static int64_t run_child(const struct wal_options *o, uint64_t number, const char *fault, bool *ret_killed)
{
	int fds[2], status = 0;
	int64_t acked = (int64_t)number - 1;
	if (pipe(fds) != 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		close(fds[0]);
		work_until_killed(o, number, fds[1], fault);
	}
	close(fds[1]);
	uint64_t v;
	while (read(fds[0], &v, 8) == 8)
		acked = (int64_t)v;
	close(fds[0]);
	waitpid(pid, &status, 0);
	*ret_killed = WIFSIGNALED(status) && WTERMSIG(status) == 9;
	return WIFSIGNALED(status) || WEXITSTATUS(status) == 0 ? acked : -1;
}

TEST(wal_killed_at_every_step_keeps_what_was_acked_once)
{
	static const int passes[] = { 1, 2, 7, 40 };
	for (size_t p = 0; p < sizeof(points) / sizeof(points[0]); p++) {
		struct err err = { 0 };
		struct wal_options o = small(fresh_dir());
		uint64_t number = 0;
		int kills = 0;
		o.key_hold_bytes = 300 << 10;
		for (size_t k = 0; k < sizeof(passes) / sizeof(passes[0]); k++) {
			char fault[64];
			bool killed = false;
			bool once = strcmp(points[p], "wal.made") == 0 || strcmp(points[p], "wal.recover") == 0; /* an open passes it once */
			snprintf(fault, sizeof(fault), "%s:%d", points[p], once ? 1 : passes[k]);
			int64_t acked = run_child(&o, number, fault, &killed);
			CHECK(acked >= (int64_t)number - 1);
			kills += killed;
			struct wal *w = NULL;
			CHECK_OK(wal_open(&o, &w, &err), err);
			uint64_t next = (uint64_t)acked + 1, cap = next + 10;
			uint8_t *seen = mem_zalloc(cap, 1);
			CHECK(read_all_numbers(w, "", seen, cap, &err) >= 0);
			for (uint64_t i = next > 90 ? next - 90 : 0; i < next; i++) /* never committed */
				CHECK(seen[i] == 1);
			number = seen[next] ? next + 1 : next; /* one that was on its way may be there */
			CHECK_INT(wal_next_position(w), number + 1);
			free(seen);
			wal_free(w);
		}
		CHECK(kills >= (strcmp(points[p], "wal.made") ? 3 : 1));
	}
}

/* --- many threads --- */

#define THREADS 4
#define EACH 2000u
struct worker {
	struct wal *w;
	unsigned index;
	uint64_t count; /* acked */
	bool bad;
};

static void *appender(void *ctx)
{
	struct worker *t = ctx;
	struct err err = { 0 };
	char name[4] = { 'c', (char)('0' + t->index), 0 };
	for (unsigned i = 0; i < EACH && !t->bad; i++) {
		uint64_t ticket;
		rc_t rc = append_n(t->w, name, i, 1, i % 97 == 0 ? 300000 : 400, NULL, NULL, &ticket, &err);
		if (rc == RC_OK && i % 8 == 0)
			rc = wal_wait(t->w, ticket, &err);
		if (rc == RC_OK && i % 500 == 499) {
			struct wal_pending p;
			wal_pending(t->w, slice_str(name), &p);
			if (p.events > 300) /* commit, but leave the end for the reader of the end */
				rc = wal_committed(t->w, slice_str(name), p.first + 100, &err);
		}
		t->bad = rc != RC_OK;
		if (t->bad)
			fprintf(stderr, "  %s\n", err.text);
	}
	return NULL;
}

static void *appender_until_failure(void *ctx)
{
	struct worker *t = ctx;
	struct err err = { 0 };
	uint64_t ticket;
	char name[4] = { 'c', (char)('0' + t->index), 0 };
	for (uint64_t i = 0;; i++) {
		if (append_n(t->w, name, i, 1, i % 50 ? 100 : 300000, NULL, NULL, &ticket, &err) != RC_OK)
			return NULL;
		if (wal_wait(t->w, ticket, &err) != RC_OK)
			return NULL;
		t->count++;
	}
}

static void on_durable(void *ctx, uint64_t settled)
{
	atomic_store((atomic_ulong *)ctx, settled);
}

/* Follows everything from the start; positions must come in order. */
static void *follower(void *ctx)
{
	struct worker *t = ctx;
	AUTO(wal_cursor) *c = NULL;
	struct wal_record r;
	struct err err = { 0 };
	uint64_t last = 0, n = 0, next[THREADS] = { 0 };
	if (wal_cursor_open(t->w, SLICE_LIT(""), 0, UINT64_MAX, &c, &err) != RC_OK)
		t->bad = true;
	for (int idle = 0; !t->bad && n < THREADS * EACH && idle < 20000;) {
		rc_t rc = wal_cursor_next(c, &r, &err);
		if (rc == RC_EOF) {
			clock_sleep_us(1000);
			idle++;
			continue;
		}
		idle = 0;
		if (rc != RC_OK) {
			fprintf(stderr, "  %s\n", err.text);
			t->bad = true;
		}
		for (size_t i = 0; !t->bad && i < r.count && r.type == WAL_EVENTS; i++, n++) {
			unsigned who = (unsigned)(r.collection.data[1] - '0');
			t->bad = r.events[i].pos <= last || number_of(r.events[i].payload) < next[who];
			next[who] = number_of(r.events[i].payload) + 1;
			last = r.events[i].pos;
		}
	}
	return NULL;
}

TEST(wal_takes_appends_of_many_threads_and_a_reader_at_once)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	struct worker workers[THREADS + 1];
	pthread_t threads[THREADS + 1];
	atomic_ulong settled = 0;
	o.manual_sync = false;
	o.segment_bytes = 1 << 20;
	o.max_bytes = 256 << 20;
	o.write_buffer_bytes = 64 << 10;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(wal_on_durable(w, on_durable, &settled, &err), err);
	for (unsigned i = 0; i <= THREADS; i++) {
		workers[i] = (struct worker){ .w = w, .index = i };
		pthread_create(&threads[i], NULL, i < THREADS ? appender : follower, &workers[i]);
	}
	bool bad = false;
	for (unsigned i = 0; i <= THREADS; i++) {
		pthread_join(threads[i], NULL);
		bad |= workers[i].bad;
	}
	CHECK(!bad);
	CHECK_OK(wal_flush(w, &err), err);
	wal_remove_on_durable(w, on_durable, &settled);
	CHECK(atomic_load(&settled) >= THREADS * EACH);
	CHECK_INT(wal_durable_position(w), THREADS * EACH);
	struct wal_stats st;
	wal_stats(w, &st);
	CHECK(st.syncs < THREADS * EACH); /* groups */
	CHECK_OK(wal_close(w, &err), err);
	w = NULL;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_INT(wal_durable_position(w), THREADS * EACH);
	for (char k = '0'; k < '0' + THREADS; k++) {
		uint8_t *seen = mem_zalloc(EACH, 1);
		char name[4] = { 'c', k, 0 };
		CHECK(read_all_numbers(w, name, seen, EACH, &err) > 100);
		CHECK_INT(seen[EACH - 1], 1);
		free(seen);
	}
	CHECK_OK(wal_close(w, &err), err);
}

TEST(wal_threads_that_wait_are_all_told_of_a_failed_sync)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	o.manual_sync = false;
	for (int round = 0; round < 20; round++) {
		pthread_t threads[THREADS];
		struct worker workers[THREADS];
		CHECK_OK(wal_open(&o, &w, &err), err);
		for (unsigned i = 0; i < THREADS; i++) {
			workers[i] = (struct worker){ .w = w, .index = i };
			pthread_create(&threads[i], NULL, appender_until_failure, &workers[i]);
		}
		clock_sleep_us(3000 + round * 300);
		atomic_store(&fail_syncs, 1);
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		CHECK_OK(wal_reopen(w, &err), err);
		uint64_t ticket;
		CHECK_OK(append_n(w, "z", 0, 1, 10, NULL, NULL, &ticket, &err), err);
		CHECK_OK(wal_wait(w, ticket, &err), err);
		uint64_t acked = 0;
		for (unsigned i = 0; i < THREADS; i++)
			acked += workers[i].count;
		CHECK(wal_durable_position(w) >= acked);
		CHECK_OK(wal_drop(w, SLICE_LIT("c0"), &err), err);
		CHECK_OK(wal_close(w, &err), err);
		w = NULL;
	}
}

TEST_MAIN()
