/* Side files: what a collection that cannot commit costs the others (nothing), and what a crash, a failed sync or a flipped bit costs it. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "wal/format.h"
#include "wal/wal_fixture.h"
#include "wal/wal_wrap.h"

static atomic_int fail_at;  /* the n-th sync of a side file from now on fails; 0: none */
static atomic_int fail_log; /* 1: the next sync of a segment fails; 2: the next one behind that of a side file */
static atomic_bool hold, held; /* the next one is held, and fails when that is over */

rc_t __wrap_file_sync(int fd, const char *path, struct err *reterr)
{
	if (strstr(path, ".aside") && atomic_load(&hold)) {
		atomic_store(&held, true);
		while (atomic_load(&hold))
			clock_sleep_us(1000);
		return err_set(reterr, RC_IO, "cannot make %s durable: injected", path);
	}
	if (strstr(path, ".aside") && atomic_load(&fail_at) > 0 && atomic_fetch_sub(&fail_at, 1) == 1)
		return err_set(reterr, RC_IO, "cannot make %s durable: injected", path);
	if (atomic_load(&fail_log) == (strstr(path, ".aside") ? 2 : 1) && atomic_fetch_sub(&fail_log, 1) == 1)
		return err_set(reterr, RC_IO, "cannot make %s durable: injected", path);
	return __real_file_sync(fd, path, reterr);
}

rc_t __wrap_file_pwrite(int fd, const char *path, const void *data, size_t len, uint64_t offset, struct err *reterr)
{
	return __real_file_pwrite(fd, path, data, len, offset, reterr);
}

#define STUCK SLICE_LIT("stuck")
#define WELL SLICE_LIT("well")
#define NUMBERS 20000u
static uint64_t next_stuck, next_well; /* numbers of events */
static uint8_t seen[NUMBERS];

/* Rounds of one event of the stuck collection and three of the other, which commits every 16th round. */
static rc_t load(struct wal *w, unsigned rounds, struct err *err)
{
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t first = 0;
		TRY(append_n(w, "stuck", next_stuck, 1, 300, NULL, NULL, NULL, err));
		next_stuck++;
		TRY(append_n(w, "well", next_well, 3, 900, NULL, &first, NULL, err));
		next_well += 3;
		wal_aside(w, STUCK, true);
		if (i % 16 == 15) {
			TRY(wal_flush(w, err));
			TRY(wal_committed(w, WELL, first + 2, err));
			TRY(wal_flush(w, err));
		}
	}
	return wal_flush(w, err);
}

static long read_stuck(struct wal *w, struct err *err)
{
	memset(seen, 0, sizeof seen);
	return read_all_numbers(w, "stuck", seen, NUMBERS, err);
}

static rc_t count_one(void *ctx, const char *name, bool is_dir)
{
	(void)is_dir;
	*(unsigned *)ctx += strstr(name, ".aside") != NULL;
	return RC_OK;
}

static unsigned side_files(const char *dir)
{
	unsigned n = 0;
	dir_list(dir, count_one, &n, NULL);
	return n;
}

static char side_path[200];

static rc_t find_side(void *ctx, const char *name, bool is_dir)
{
	(void)is_dir;
	if (strstr(name, ".aside"))
		snprintf(side_path, sizeof side_path, "%s/%s", (const char *)ctx, name);
	return RC_OK;
}

static uint64_t log_bytes(struct wal *w)
{
	struct wal_stats s;
	wal_stats(w, &s);
	return s.bytes;
}

static struct wal_options begin(void)
{
	next_stuck = next_well = 0;
	struct wal_options o = small(fresh_dir());
	o.max_bytes = 1 << 20;
	o.aside_after_us = 1;
	return o;
}

TEST(wal_stuck_collection_costs_the_others_no_room_and_comes_back_whole)
{
	struct err err = { 0 };
	struct wal_options o = begin();
	struct wal *w = NULL;
	struct wal_pending p;
	struct wal_stats stats;
	o.collection_max_bytes = o.aside_max_bytes = 4 << 20;
	CHECK_OK(wal_open(&o, &w, &err), err);
	for (int i = 0; i < 20; i++) { /* of 60 KiB of the stuck one's and 600 of the other's, over a log of 1 MiB */
		CHECK_OK(load(w, 150, &err), err);
		CHECK(log_bytes(w) <= 400 << 10);
	}
	wal_stats(w, &stats);
	CHECK(stats.asides > 100 && stats.side_files > 10 && stats.side_files < 40 && stats.stuck == 1);
	for (int start = 0; start < 3; start++) {
		wal_pending(w, STUCK, &p);
		CHECK_INT(p.events, 3000);
		CHECK(p.aside > p.bytes * 9 / 10 && p.aside < p.bytes);
		CHECK_INT(read_stuck(w, &err), 3000);
		wal_free(w);
		w = NULL;
		CHECK_OK(wal_open_readonly(o.dir, false, &w, &err), err);
		CHECK_INT(read_stuck(w, &err), 3000);
		wal_free(w);
		w = NULL;
		CHECK_OK(wal_open(&o, &w, &err), err);
		CHECK(wal_recovery(w)->clean && !wal_recovery(w)->damage_count);
	}
	wal_committed(w, STUCK, p.first + 4001, &err); /* behind a quarter: four positions a round */
	CHECK_OK(wal_flush(w, &err), err);
	CHECK(side_files(o.dir) < stats.side_files * 4 / 5);
	wal_pending(w, STUCK, &p);
	uint64_t left = p.events;
	CHECK(left > 1990 && left < 2010);
	wal_free(w);
	w = NULL;
	CHECK_OK(wal_open(&o, &w, &err), err);
	wal_pending(w, STUCK, &p);
	CHECK_INT(p.events, left);
	wal_committed(w, STUCK, p.last, &err);
	CHECK_OK(wal_flush(w, &err), err);
	CHECK_INT(side_files(o.dir), 0);
	wal_stats(w, &stats);
	CHECK(!stats.side_files && !stats.side_bytes && stats.segments <= 2);
	wal_free(w);
}

TEST(wal_stuck_collection_alone_is_refused_when_its_share_or_the_side_files_are_full)
{
	for (int total = 0; total < 2; total++) {
		struct err err = { 0 };
		struct wal_options o = begin();
		struct wal *w = NULL;
		o.collection_max_bytes = total ? 4 << 20 : 200 << 10;
		o.aside_max_bytes = total ? 200 << 10 : 4 << 20;
		CHECK_OK(wal_open(&o, &w, &err), err);
		rc_t rc = RC_OK;
		for (int i = 0; i < 200 && rc == RC_OK; i++)
			rc = load(w, 16, &err);
		CHECK_RC(rc, RC_LIMIT);
		CHECK_INT(err.status, 429);
		CHECK(next_stuck > 300 && next_stuck < 600);
		for (int i = 0; i < 2000; i++) {
			uint64_t first = 0;
			CHECK_OK(append_n(w, "well", next_well, 3, 900, NULL, &first, NULL, &err), err);
			next_well += 3;
			CHECK_OK(wal_flush(w, &err), err);
			CHECK_OK(wal_committed(w, WELL, first + 2, &err), err);
		}
		CHECK(log_bytes(w) <= 400 << 10);
		CHECK_RC(append_n(w, "stuck", next_stuck, 1, 300, NULL, NULL, NULL, &err), RC_LIMIT);
		CHECK_INT(read_stuck(w, &err), (long)next_stuck);
		wal_free(w); /* what said that there are side files has left with its segment many times */
		w = NULL;
		CHECK_OK(wal_open(&o, &w, &err), err);
		CHECK_INT(read_stuck(w, &err), (long)next_stuck);
		struct wal_pending p;
		wal_pending(w, STUCK, &p);
		wal_committed(w, STUCK, p.last, &err);
		wal_aside(w, STUCK, false);
		CHECK_OK(wal_flush(w, &err), err);
		CHECK_OK(load(w, 16, &err), err);
		wal_free(w);
	}
}

TEST(wal_cut_of_a_stuck_collection_outlives_its_segment)
{
	struct err err = { 0 };
	struct wal_options o = begin();
	struct wal *w = NULL;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(load(w, 16, &err), err);
	CHECK_OK(wal_cut(w, STUCK, 0, 61, SLICE_LIT("the plan"), &err), err);
	CHECK_OK(load(w, 800, &err), err);
	for (int start = 0; start < 3; start++) {
		uint64_t after = 1, upto = 0;
		AUTO_BUF struct buf plan;
		buf_init(&plan, 100);
		CHECK_OK(wal_cut_get(w, STUCK, &after, &upto, &plan, &err), err);
		CHECK(after == 0 && upto == 61 && slice_eq_str(buf_slice(&plan), "the plan"));
		wal_free(w);
		w = NULL;
		CHECK_OK(wal_open(&o, &w, &err), err);
		CHECK_INT(read_stuck(w, &err), (long)next_stuck);
	}
	wal_committed(w, STUCK, 61, &err);
	AUTO_BUF struct buf none;
	uint64_t after, upto;
	buf_init(&none, 100);
	CHECK_RC(wal_cut_get(w, STUCK, &after, &upto, &none, &err), RC_NOT_FOUND);
	CHECK_OK(load(w, 400, &err), err);
	CHECK(log_bytes(w) <= 400 << 10);
	wal_free(w);
}

TEST(wal_dropped_events_do_not_come_back_from_side_files)
{
	struct err err = { 0 };
	struct wal_options o = begin();
	struct wal *w = NULL;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(load(w, 800, &err), err);
	CHECK(side_files(o.dir) > 1);
	CHECK_OK(wal_drop(w, STUCK, &err), err);
	uint64_t gone = next_stuck;
	for (int round = 0; round < 4; round++) {
		CHECK_OK(load(w, 200, &err), err); /* the word of the drop leaves with its segment */
		CHECK_INT(read_stuck(w, &err), (long)(next_stuck - gone));
		CHECK(!seen[gone - 1] && seen[gone]);
		wal_free(w);
		w = NULL;
		CHECK_OK(wal_open(&o, &w, &err), err);
		CHECK_INT(read_stuck(w, &err), (long)(next_stuck - gone));
	}
	wal_free(w);
}

TEST(wal_key_of_an_event_moved_aside_is_remembered)
{
	struct err err = { 0 };
	struct wal_options o = begin();
	struct wal *w = NULL;
	struct wal_key_found f = { 0 };
	uint64_t first = 0;
	o.key_hold_bytes = 100 << 10;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "stuck", next_stuck++, 2, 10, "key", &first, NULL, &err), err);
	next_stuck++;
	CHECK_OK(load(w, 800, &err), err);
	for (int start = 0; start < 3; start++) {
		CHECK_OK(wal_key_lookup(w, STUCK, SLICE_LIT("key"), &f, &err), err);
		CHECK(f.first == first && f.count == 2);
		buf_free(&f.reply);
		CHECK_RC(append_n(w, "stuck", 0, 2, 10, "key", NULL, NULL, &err), RC_CONFLICT);
		wal_free(w);
		w = NULL;
		CHECK_OK(wal_open(&o, &w, &err), err);
		CHECK_INT(read_stuck(w, &err), (long)next_stuck);
	}
	wal_free(w);
}

TEST(wal_reader_sees_each_event_once_while_its_records_move)
{
	struct err err = { 0 };
	struct wal_options o = begin();
	struct wal *w = NULL;
	AUTO(wal_cursor) *c = NULL;
	struct wal_record r;
	uint64_t n = 0, last = 0;
	o.collection_max_bytes = 1 << 20;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "stuck", next_stuck, 40, 9000, NULL, NULL, NULL, &err), err); /* larger than a segment */
	next_stuck += 40;
	CHECK_OK(load(w, 30, &err), err);
	CHECK_OK(wal_cursor_open(w, STUCK, 0, UINT64_MAX, &c, &err), err);
	for (int i = 0; i < 50; i++) {
		for (int k = 0; k < 23 && wal_cursor_next(c, &r, &err) == RC_OK; k++) {
			for (size_t e = 0; e < r.count; e++, n++)
				CHECK(number_of(r.events[e].payload) == n && r.events[e].pos > last && (last = r.events[e].pos));
		}
		CHECK_OK(load(w, 20, &err), err);
	}
	rc_t rc;
	while ((rc = wal_cursor_next(c, &r, &err)) == RC_OK)
		for (size_t e = 0; e < r.count; e++, n++)
			CHECK(number_of(r.events[e].payload) == n);
	CHECK_RC(rc, RC_EOF);
	CHECK_INT(n, next_stuck);
	wal_cursor_close(c);
	c = NULL;
	wal_free(w);
}

TEST(wal_reader_that_ends_inside_a_record_is_at_its_end_when_that_has_moved)
{
	struct err err = { 0 };
	struct wal_options o = begin();
	struct wal *w = NULL;
	AUTO(wal_cursor) *c = NULL;
	struct wal_record r;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "stuck", next_stuck, 4, 100, NULL, NULL, NULL, &err), err);
	next_stuck += 4;
	CHECK_OK(wal_flush(w, &err), err);
	CHECK_OK(wal_cursor_open(w, STUCK, 0, 2, &c, &err), err);
	CHECK_OK(wal_cursor_next(c, &r, &err), err);
	CHECK_INT(r.count, 2);
	CHECK_OK(load(w, 200, &err), err);
	for (int i = 0; i < 3; i++)
		CHECK_RC(wal_cursor_next(c, &r, &err), RC_EOF);
	wal_cursor_close(c);
	c = NULL;
	wal_free(w);
}

TEST(wal_failed_sync_of_a_side_file_moves_nothing_and_is_not_repeated)
{
	for (int at = 1; at < 12; at++) {
		struct err err = { 0 };
		struct wal_options o = begin();
		struct wal *w = NULL;
		o.max_bytes = 8 << 20;
		CHECK_OK(wal_open(&o, &w, &err), err);
		atomic_store(&fail_at, at);
		CHECK_OK(load(w, 250, &err), err);
		CHECK_INT(atomic_load(&fail_at), 0);
		CHECK_INT(read_stuck(w, &err), 250);
		struct wal_pending p;
		wal_pending(w, STUCK, &p);
		CHECK_INT(p.events, 250);
		if (at == 1) {
			clock_sleep_us(1100000);
			CHECK_OK(load(w, 20, &err), err);
			CHECK(log_bytes(w) <= 400 << 10); /* a second later it goes on in another file */
		}
		wal_free(w);
		w = NULL;
		CHECK_OK(wal_open(&o, &w, &err), err);
		CHECK_INT(read_stuck(w, &err), (long)next_stuck);
		CHECK_OK(wal_flush(w, &err), err);
		CHECK_INT(read_stuck(w, &err), (long)next_stuck);
		wal_free(w);
	}
}

/* A process that begins anew reads it all the same, and counts it. An older hydrant had removed the file: the segment that has its events stays then. */
TEST(wal_word_of_a_side_file_whose_sync_failed_names_nothing_that_is_missed)
{
	for (int removed = 0; removed < 2; removed++) {
		struct err err = { 0 };
		struct wal_options o = begin();
		struct wal *w = NULL;
		struct wal_pending p;
		CHECK_OK(wal_open(&o, &w, &err), err);
		atomic_store(&fail_log, 2);
		CHECK_RC(load(w, 64, &err), RC_IO);
		CHECK_INT(atomic_load(&fail_log), 0);
		wal_pending(w, STUCK, &p);
		wal_free(w);
		w = NULL;
		CHECK_OK(dir_list(o.dir, find_side, (void *)(uintptr_t)o.dir, &err), err);
		CHECK(!removed || unlink(side_path) == 0);
		CHECK_OK(wal_open(&o, &w, &err), err);
		CHECK_INT(read_stuck(w, &err), (long)p.events);
		atomic_store(&fail_log, 1); /* so that nothing else is said of side files */
		wal_flush(w, &err);
		CHECK_INT(atomic_load(&fail_log), 0);
		CHECK_OK(wal_committed(w, STUCK, p.last - 8, &err), err); /* the table has most of it, and the log cannot say so */
		CHECK_OK(wal_committed(w, WELL, p.last, &err), err);
		CHECK_OK(wal_reopen(w, &err), err); /* its header may say that the first segment is not needed */
		wal_free(w);
		w = NULL;
		CHECK_OK(wal_open(&o, &w, &err), err);
		CHECK_OK(wal_committed(w, STUCK, p.last, &err), err);
		CHECK_OK(wal_flush(w, &err), err);
		CHECK_INT(side_files(o.dir), 0);
		struct wal_stats stats;
		wal_stats(w, &stats);
		CHECK_INT(stats.segments, 1);
		wal_free(w);
	}
}

/* Each is admitted by its own bytes: what all of them have in the log may be more than the side files have room for. */
TEST(wal_of_three_stuck_collections_that_fill_the_side_files_goes_on_for_others)
{
	static const char *const names[] = { "one", "two", "three" };
	struct err err = { 0 };
	struct wal_options o = begin();
	struct wal *w = NULL;
	unsigned refused[3] = { 0 };
	uint64_t first = 0;
	o.max_bytes = 4 << 20;
	o.aside_max_bytes = 1 << 20;
	CHECK_OK(wal_open(&o, &w, &err), err);
	for (int i = 0; i < 3000; i++) {
		for (int k = 0; k < 3; k++) {
			rc_t rc = append_n(w, names[k], 0, 1, 600, NULL, NULL, NULL, &err);
			CHECK(rc == RC_OK || (rc == RC_LIMIT && err.status == 429));
			refused[k] += rc != RC_OK;
			wal_aside(w, slice_str(names[k]), true);
		}
		CHECK_OK(append_n(w, "well", 0, 1, 2000, NULL, &first, NULL, &err), err);
		CHECK_OK(wal_flush(w, &err), err);
		if (i % 800 == 799)
			CHECK_OK(wal_committed(w, WELL, first, &err), err);
	}
	for (int k = 0; k < 3; k++)
		CHECK(refused[k] > 100);
	wal_free(w);
}

/* --- killed between any two steps --- */

static const char *const points[] = { "wal.aside_written", "wal.aside_synced", "wal.aside_said", "wal.aside_remove", "wal.aside_removed", "wal.trim",
				      "wal.before_sync", "wal.after_sync", "wal.recover" };

/* In the child: each pair of numbers that is acked goes to the pipe; the stuck one's last 200 are never committed. */
static void work_until_killed(const struct wal_options *o, int out, const char *fault)
{
	struct wal *w = NULL;
	struct err err = { 0 };
	setenv("HYDRANT_FAULT", fault, 1);
	fault_init();
	if (wal_open(o, &w, &err) != RC_OK) {
		fprintf(stderr, "  open: %s\n", err.text);
		_exit(3);
	}
	uint64_t first[1024] = { 0 };
	for (int i = 0; i < 900; i++) {
		uint64_t ticket, at = 0;
		if (append_n(w, "stuck", next_stuck, 1, 700, NULL, &first[i], &ticket, &err) != RC_OK ||
		    append_n(w, "well", next_well, 1, 2000, NULL, &at, &ticket, &err) != RC_OK || wal_flush(w, &err) != RC_OK ||
		    write(out, &next_stuck, 8) != 8) {
			fprintf(stderr, "  append: %s\n", err.text);
			_exit(4);
		}
		next_stuck++;
		next_well++;
		wal_aside(w, STUCK, true);
		wal_committed(w, WELL, at, NULL);
		if (i % 100 == 99 && i > 200)
			wal_committed(w, STUCK, first[i - 200], NULL);
	}
	_exit(0);
}

TEST(wal_killed_between_any_two_steps_keeps_what_was_moved_aside_once)
{
	static const int passes[] = { 1, 2, 9, 30 };
	for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
		struct err err = { 0 };
		struct wal_options o = begin();
		int kills = 0;
		for (size_t k = 0; k < sizeof passes / sizeof *passes; k++) {
			char fault[64];
			int fds[2], status = 0;
			uint64_t v, acked = next_stuck;
			snprintf(fault, sizeof fault, "%s:%d", points[p], strcmp(points[p], "wal.recover") ? passes[k] : 1);
			CHECK(pipe(fds) == 0);
			pid_t pid = fork();
			if (pid == 0) {
				close(fds[0]);
				work_until_killed(&o, fds[1], fault);
			}
			close(fds[1]);
			while (read(fds[0], &v, 8) == 8)
				acked = v + 1;
			close(fds[0]);
			waitpid(pid, &status, 0);
			CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
			kills += WIFSIGNALED(status) && WTERMSIG(status) == 9;
			for (int start = 0; start < 2; start++) {
				struct wal *w = NULL;
				CHECK_OK(wal_open(&o, &w, &err), err);
				CHECK_INT(wal_recovery(w)->damage_count, 0);
				long n = read_stuck(w, &err);
				struct wal_pending pending;
				wal_pending(w, STUCK, &pending);
				CHECK(n >= 0 && (uint64_t)n == pending.events);
				for (uint64_t i = acked > 200 ? acked - 200 : 0; i < acked; i++)
					CHECK(seen[i] == 1);
				next_stuck = seen[acked] ? acked + 1 : acked;
				wal_free(w);
			}
		}
		CHECK(kills >= 2);
	}
}

/* Runs until the fault point kills it: how many numbers are acked; -1: it was not killed. *ret_front: the log's oldest file, its bytes in `seg`. */
static int64_t leave_behind(const struct wal_options *o, const char *fault, char **ret_front, struct buf *seg)
{
	int status = 0, fds[2];
	uint64_t v, acked = 0, front = 1;
	if (pipe(fds) != 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0)
		work_until_killed(o, fds[1], fault);
	close(fds[1]);
	while (read(fds[0], &v, 8) == 8)
		acked = v + 1;
	close(fds[0]);
	waitpid(pid, &status, 0);
	for (*ret_front = NULL; !*ret_front || file_read_all(*ret_front, seg, NULL) != RC_OK; front++) {
		free(*ret_front);
		*ret_front = mem_printf("%s/%016llx.wal", o->dir, (unsigned long long)front);
	}
	return WIFSIGNALED(status) ? (int64_t)acked : -1;
}

/* Flips a bit in the head of the collection's n-th record there; false: there is none. */
static bool flip_record(const char *path, const struct buf *seg, size_t name_len, unsigned n)
{
	struct seg_header h;
	struct rec_head r;
	uint64_t off = SEG_DATA;
	int fd;
	if (seg_header_parse(seg->data, &h) != RC_OK || file_open(path, FILE_WRITE, &fd, NULL) != RC_OK)
		return false;
	bool there;
	while ((there = rec_head_parse(&h, seg->data + off, seg->len - off, off, seg->len, &r) == REC_VALID) && (r.name_len != name_len || --n))
		off += r.size;
	uint8_t byte = seg->data[off + 9] ^ 1;
	there = there && __real_file_pwrite(fd, path, &byte, 1, off + 9, NULL) == RC_OK;
	file_close(fd);
	return there;
}

/* A segment that may go may still stand there after a crash. Its records count no more, whatever they look like. */
TEST(wal_segment_that_may_go_does_not_stand_in_for_a_side_file)
{
	struct err err = { 0 };
	struct wal_options o = begin();
	AUTO_MEM char *path = NULL;
	AUTO_BUF struct buf seg;
	buf_init(&seg, 16 << 20);
	int64_t acked = leave_behind(&o, "wal.trim:3", &path, &seg);
	CHECK(acked > 50);
	CHECK(flip_record(path, &seg, 5, 4)); /* of the stuck one's, others before and behind it */
	struct wal *w = NULL;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_INT(wal_recovery(w)->damage_count, 0);
	read_stuck(w, &err);
	for (int64_t i = 0; i < acked; i++)
		CHECK(seen[i] == 1);
	wal_free(w);
}

/* And the other way round: what an unfinished move has left, torn by a power cut, is no damage, not even when there is some in the segments. */
TEST(wal_torn_side_file_of_an_unfinished_move_is_no_damage)
{
	struct err err = { 0 };
	struct wal_options o = begin();
	AUTO_MEM char *path = NULL;
	AUTO_BUF struct buf seg, left;
	buf_init(&seg, 16 << 20);
	buf_init(&left, 16 << 20);
	int64_t acked = leave_behind(&o, "wal.aside_written:1", &path, &seg);
	CHECK(acked > 10);
	side_path[0] = 0;
	dir_list(o.dir, find_side, (void *)(uintptr_t)o.dir, NULL);
	CHECK_OK(file_read_all(side_path, &left, &err), err);
	CHECK(flip_record(side_path, &left, 5, 2) && flip_record(side_path, &left, 5, 4));
	CHECK(flip_record(path, &seg, 5, 4));
	struct wal *w = NULL;
	CHECK_RC(wal_open(&o, &w, &err), RC_CORRUPT);
	o.salvage = true;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_INT(wal_recovery(w)->damage_count, 1);
	read_stuck(w, &err);
	for (int64_t i = 0; i < acked; i++)
		CHECK(seen[i] == (i != 3));
	wal_free(w);
}

/* --- damage --- */

static struct buf image;

static void must(rc_t rc, const struct err *err)
{
	if (rc == RC_OK)
		return;
	fprintf(stderr, "  %s\n", err->text);
	abort();
}
static void put_side(size_t len, size_t flip, uint8_t bit)
{
	int fd;
	file_remove(side_path, NULL);
	if (flip < len)
		image.data[flip] ^= bit;
	if (file_open(side_path, FILE_CREATE_NEW, &fd, NULL) != RC_OK || __real_file_pwrite(fd, side_path, image.data, len, 0, NULL) != RC_OK)
		abort();
	file_close(fd);
	if (flip < len)
		image.data[flip] ^= bit;
}

/* A log with one side file of about ten records, positions of others between them. late: they are moved one after the other at the end, and what
 * names them stands in one segment. */
static struct wal_options make_side_when(bool late, uint64_t *ret_count, struct err *err)
{
	struct wal_options o = begin();
	struct wal *w = NULL;
	o.key_window_us = 1000;
	must(wal_open(&o, &w, err), err);
	for (int i = 0; i < (late ? 60 : 12); i++, next_stuck += 2) {
		uint64_t first = 0;
		must(append_n(w, "stuck", next_stuck, 2, 30, NULL, NULL, NULL, err), err);
		must(append_n(w, "well", 0, 3, 3000, NULL, &first, NULL, err), err);
		if (!late)
			wal_aside(w, STUCK, true);
		must(wal_flush(w, err), err);
		must(wal_committed(w, WELL, first + 2, err), err);
	}
	wal_aside(w, STUCK, true);
	for (int i = 0; i < (late ? 30 : 1); i++)
		must(wal_flush(w, err), err);
	struct wal_pending p;
	wal_pending(w, STUCK, &p);
	*ret_count = p.events;
	wal_free(w);
	dir_list(o.dir, find_side, (void *)(uintptr_t)o.dir, NULL);
	buf_free(&image);
	buf_init(&image, 16 << 20);
	must(file_read_all(side_path, &image, err), err);
	return o;
}

static struct wal_options make_side(uint64_t *ret_count, struct err *err)
{
	return make_side_when(false, ret_count, err);
}

TEST(wal_damaged_side_file_is_reported_with_its_positions_and_costs_that_record)
{
	struct err err = { 0 };
	uint64_t count = 0;
	struct wal_options o = make_side(&count, &err);
	struct seg_header h;
	CHECK_INT(seg_header_parse(image.data, &h), RC_OK);
	CHECK_INT(count, 24);
	for (uint64_t off = SEG_DATA; off < image.len;) {
		struct rec_head r;
		CHECK_INT(rec_head_parse(&h, image.data + off, image.len - off, off, image.len, &r), REC_VALID);
		for (uint64_t at = off; at < off + r.size; at++) {
			struct wal *w = NULL;
			put_side(image.len, at, (uint8_t)(1u << (at % 8)));
			CHECK_RC(wal_open(&o, &w, &err), RC_CORRUPT);
			CHECK(strstr(err.text, ".aside") && strstr(err.text, "--salvage"));
			CHECK_OK(wal_open_readonly(o.dir, true, &w, &err), err);
			const struct wal_recovery *rec = wal_recovery(w);
			CHECK_INT(rec->damage_count, 1);
			CHECK(rec->damages[0].segment == h.seq && rec->damages[0].offset == off && rec->damages[0].end == off + r.size);
			CHECK_INT(rec->damages[0].first, r.first);
			CHECK_INT(rec->damages[0].last, r.first + r.count - 1);
			CHECK_INT(read_stuck(w, &err), (long)count - (long)r.count);
			wal_free(w);
		}
		off += r.size;
	}
	for (size_t len = 0; len < image.len; len += len < SEG_DATA ? 512 : 8) {
		struct wal *w = NULL;
		put_side(len, SIZE_MAX, 0);
		CHECK_RC(wal_open_readonly(o.dir, false, &w, &err), RC_CORRUPT);
	}
	for (size_t at = 0; at < SEG_DATA; at += 7) { /* the other copy of the header is there */
		struct wal *w = NULL;
		put_side(image.len, at, 1);
		CHECK_OK(wal_open_readonly(o.dir, false, &w, &err), err);
		CHECK_INT(read_stuck(w, &err), (long)count);
		wal_free(w);
	}
}

TEST(wal_salvage_of_a_side_file_is_remembered_and_goes_on)
{
	struct err err = { 0 };
	for (int what = 0; what < 3; what++) {
		uint64_t count = 0;
		struct wal_options o = make_side(&count, &err);
		struct wal *w = NULL;
		if (what == 0)
			put_side(image.len, SEG_DATA + 5, 1); /* the first record */
		else if (what == 1)
			put_side(SEG_DATA - 100, SEG_DATA - 150, 1), put_side(100, 20, 1); /* no header */
		else
			CHECK_OK(file_remove(side_path, &err), err);
		CHECK_RC(wal_open(&o, &w, &err), RC_CORRUPT);
		o.salvage = true;
		CHECK_OK(wal_open(&o, &w, &err), err);
		CHECK_INT(wal_recovery(w)->damage_count, 1);
		CHECK_INT(wal_recovery(w)->damages[0].first, 1);
		long left = read_stuck(w, &err);
		CHECK(what ? left < (long)count - 2 : left == (long)count - 2);
		o.salvage = false;
		for (int start = 0; start < 4; start++) {
			CHECK_OK(load(w, start * 100u, &err), err); /* what the log said of it is trimmed */
			left += start * 100;
			wal_free(w);
			w = NULL;
			CHECK_OK(wal_open(&o, &w, &err), err);
			CHECK_INT(read_stuck(w, &err), left);
		}
		wal_free(w);
	}
}

/* Damages the log's newest records that name side files, of those that are left the n-th one from the end (0: every one); returns how many. */
static unsigned damage_words(const struct wal_options *o, unsigned n)
{
	struct err err = { 0 };
	struct { uint64_t seq, at; } words[256];
	unsigned count = 0, hit = 0;
	AUTO_BUF struct buf seg;
	buf_init(&seg, 16 << 20);
	for (uint64_t seq = 1; seq < 40; seq++) {
		AUTO_MEM char *path = mem_printf("%s/%016llx.wal", o->dir, (unsigned long long)seq);
		struct seg_header h;
		buf_reset(&seg);
		if (file_read_all(path, &seg, NULL) != RC_OK || seg_header_parse(seg.data, &h) != RC_OK)
			continue;
		struct rec_head r;
		for (uint64_t off = SEG_DATA; rec_head_parse(&h, seg.data + off, seg.len - off, off, seg.len, &r) == REC_VALID; off += r.size)
			if (r.type == WAL_ASIDE && count < 256)
				words[count].seq = seq, words[count++].at = r.body + 3;
	}
	for (unsigned i = 0; i < count; i++) {
		AUTO_MEM char *path = mem_printf("%s/%016llx.wal", o->dir, (unsigned long long)words[i].seq);
		uint8_t byte = 0xa5;
		int fd;
		if (n && i != count - n)
			continue;
		must(file_open(path, FILE_WRITE, &fd, &err), &err);
		must(__real_file_pwrite(fd, path, &byte, 1, words[i].at, &err), &err);
		file_close(fd);
		hit++;
	}
	return hit;
}

/* Two damages: a record that names the side files, and the head of a side file's last one, which tells of itself nothing any more. */
TEST(wal_side_file_that_ends_in_damage_is_reported_with_either_word_of_it_damaged)
{
	struct err err = { 0 };
	for (unsigned copy = 1; copy <= 2; copy++) {
		uint64_t count = 0, last = 0;
		struct wal_options o = make_side(&count, &err);
		struct wal *w = NULL;
		struct seg_header h;
		struct rec_head r = { 0 };
		CHECK_INT(seg_header_parse(image.data, &h), RC_OK);
		for (uint64_t off = SEG_DATA; off < image.len; off += r.size) {
			CHECK_INT(rec_head_parse(&h, image.data + off, image.len - off, off, image.len, &r), REC_VALID);
			last = off;
		}
		put_side(image.len, last + 9, 1);
		CHECK_INT(damage_words(&o, copy), 1);
		CHECK_RC(wal_open(&o, &w, &err), RC_CORRUPT);
		o.salvage = true;
		CHECK_OK(wal_open(&o, &w, &err), err);
		const struct wal_recovery *rec = wal_recovery(w);
		bool named = false;
		for (size_t i = 0; i < rec->damage_count; i++)
			named |= rec->damages[i].segment == h.seq && rec->damages[i].first == r.first && rec->damages[i].last == r.first + r.count - 1;
		CHECK(named);
		CHECK_INT(rec->damage_count, 2);
		CHECK_INT(read_stuck(w, &err), (long)(count - r.count));
		wal_free(w);
	}
}

/* What the newest one said is lost with both its copies, and by the one before everything in the file is committed. */
TEST(wal_side_file_that_an_older_word_calls_committed_is_read_if_a_newer_may_be_lost)
{
	struct err err = { 0 };
	uint64_t count = 0, before = 0;
	struct wal_options o = make_side_when(true, &count, &err);
	struct wal *w = NULL;
	struct seg_header h;
	struct rec_head r = { 0 };
	CHECK_INT(seg_header_parse(image.data, &h), RC_OK);
	for (uint64_t off = SEG_DATA; off < image.len; off += r.size) {
		before = r.first + r.count - 1;
		CHECK_INT(rec_head_parse(&h, image.data + off, image.len - off, off, image.len, &r), REC_VALID);
	}
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(wal_committed(w, STUCK, before, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	long left = read_stuck(w, &err);
	CHECK(left >= (long)r.count);
	wal_free(w);
	CHECK_INT(damage_words(&o, 1), 1);
	CHECK_INT(damage_words(&o, 2), 1);
	o.salvage = true;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_INT(read_stuck(w, &err), left);
	wal_free(w);
}

/* The records that name the side files are like others: without them, these are found by themselves. */
TEST(wal_damage_to_the_word_of_side_files_costs_no_event)
{
	struct err err = { 0 };
	uint64_t count = 0;
	struct wal_options o = make_side(&count, &err);
	CHECK(damage_words(&o, 0) > 1);
	struct wal *w = NULL;
	CHECK_RC(wal_open(&o, &w, &err), RC_CORRUPT);
	o.salvage = true;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_INT(read_stuck(w, &err), (long)count);
	o.salvage = false;
	for (int start = 0; start < 3; start++) {
		CHECK_OK(wal_flush(w, &err), err);
		CHECK_OK(load(w, 100, &err), err);
		wal_free(w);
		w = NULL;
		CHECK_OK(wal_open(&o, &w, &err), err);
		CHECK_INT(read_stuck(w, &err), (long)count + 100 * (start + 1));
	}
	wal_free(w);
}

TEST(wal_side_files_without_a_log_are_not_thrown_away)
{
	struct err err = { 0 };
	uint64_t count = 0;
	struct wal_options o = make_side(&count, &err);
	struct wal *w = NULL;
	for (uint64_t seq = 1; seq < 40; seq++) {
		AUTO_MEM char *path = mem_printf("%s/%016llx.wal", o.dir, (unsigned long long)seq);
		file_remove(path, NULL);
	}
	CHECK_RC(wal_open(&o, &w, &err), RC_CORRUPT);
	CHECK_INT(side_files(o.dir), 1);
}

/* --- threads --- */

static atomic_bool stop;

static void *reader(void *ctx)
{
	struct wal *w = ctx;
	while (!atomic_load(&stop)) {
		AUTO(wal_cursor) *c = NULL;
		struct wal_record r;
		uint64_t last = 0;
		if (wal_cursor_open(w, STUCK, 0, UINT64_MAX, &c, NULL) != RC_OK)
			return ctx;
		rc_t rc;
		while ((rc = wal_cursor_next(c, &r, NULL)) == RC_OK) {
			if (r.first <= last)
				return NULL;
			last = r.last;
		}
		if (rc != RC_EOF)
			return NULL;
	}
	return ctx;
}

TEST(wal_moves_aside_by_itself_while_others_append_read_and_commit)
{
	struct err err = { 0 };
	struct wal_options o = begin();
	struct wal *w = NULL;
	pthread_t thread;
	void *ok = NULL;
	uint64_t from = 0;
	struct wal_stats stats;
	o.manual_sync = false;
	o.max_bytes = 4 << 20;
	CHECK_OK(wal_open(&o, &w, &err), err);
	atomic_store(&stop, false);
	CHECK(pthread_create(&thread, NULL, reader, w) == 0);
	rc_t rc = RC_OK;
	for (int i = 0; i < 120 && rc == RC_OK; i++) {
		rc = load(w, 32, &err);
		for (int k = 0; k < 2000 && log_bytes(w) > 2 << 20; k++) /* a busy machine */
			clock_sleep_us(5000);
		if (i % 30 == 29) { /* its store is well for a moment */
			struct wal_pending p;
			wal_pending(w, STUCK, &p);
			wal_committed(w, STUCK, p.last - 100, NULL);
			from = next_stuck - 25;
		}
	}
	atomic_store(&stop, true);
	pthread_join(thread, &ok);
	CHECK_OK(rc, err);
	CHECK(ok != NULL);
	wal_stats(w, &stats);
	CHECK(stats.asides > 10);
	wal_free(w);
	w = NULL;
	CHECK_OK(wal_open(&o, &w, &err), err);
	struct wal_pending p;
	wal_pending(w, STUCK, &p);
	CHECK_INT(read_stuck(w, &err), (long)p.events);
	for (uint64_t i = from; i < next_stuck; i++)
		CHECK(seen[i] == 1);
	wal_free(w);
}

static atomic_bool closed;

static void *closer(void *w)
{
	wal_free(w);
	atomic_store(&closed, true);
	return NULL;
}

TEST(wal_closes_while_a_move_fails)
{
	struct err err = { 0 };
	struct wal_options o = begin();
	struct wal *w = NULL;
	pthread_t thread;
	o.manual_sync = false;
	o.max_bytes = 64 << 20;
	CHECK_OK(wal_open(&o, &w, &err), err);
	atomic_store(&held, false);
	atomic_store(&hold, true);
	for (int i = 0; i < 500 && !atomic_load(&held); i++) {
		CHECK_OK(load(w, 16, &err), err);
		clock_sleep_us(1000);
	}
	CHECK(atomic_load(&held));
	CHECK(pthread_create(&thread, NULL, closer, w) == 0);
	clock_sleep_us(100000); /* it says that it closes, and waits for the mover */
	atomic_store(&hold, false);
	for (int i = 0; i < 2000 && !atomic_load(&closed); i++)
		clock_sleep_us(5000);
	CHECK(atomic_load(&closed));
	pthread_join(thread, NULL);
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_INT(read_stuck(w, &err), (long)next_stuck);
	wal_free(w);
}

/* Others are refused because the log is full, and nothing comes into it any more that would have somebody look again. */
TEST(wal_full_of_a_stuck_collection_makes_room_after_a_failed_move)
{
	struct err err = { 0 };
	struct wal_options o = begin();
	struct wal *w = NULL;
	rc_t rc = RC_OK;
	o.manual_sync = false;
	o.collection_max_bytes = o.max_bytes;
	o.aside_max_bytes = 4 * o.max_bytes;
	CHECK_OK(wal_open(&o, &w, &err), err);
	atomic_store(&held, false);
	atomic_store(&hold, true);
	for (int i = 0; i < 2000 && rc == RC_OK; i++) {
		rc = append_n(w, "stuck", next_stuck, 1, 1000, NULL, NULL, NULL, &err);
		next_stuck += rc == RC_OK;
		wal_aside(w, STUCK, true);
		wal_flush(w, NULL);
	}
	CHECK_RC(rc, RC_LIMIT);
	for (int i = 0; i < 2000 && !atomic_load(&held); i++)
		clock_sleep_us(1000);
	CHECK(atomic_load(&held));
	CHECK_RC(append_n(w, "well", 0, 20, 1000, NULL, NULL, NULL, &err), RC_LIMIT);
	CHECK_INT(err.status, 503);
	atomic_store(&hold, false);
	for (int i = 0; i < 100 && rc != RC_OK; i++) {
		clock_sleep_us(50000);
		rc = append_n(w, "well", 0, 20, 1000, NULL, NULL, NULL, &err);
	}
	CHECK_OK(rc, err);
	CHECK_INT(read_stuck(w, &err), (long)next_stuck);
	wal_free(w);
}

TEST_MAIN()
