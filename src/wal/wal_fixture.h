/* For this room's tests: a log in a folder of its own, and events whose bytes tell their number. */
#ifndef WAL_WAL_FIXTURE_H
#define WAL_WAL_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "base/test.h"
#include "os/clock.h"
#include "os/file.h"
#include "wal/wal.h"

static char fixture_dir[128];

__attribute__((unused)) static const char *fresh_dir(void)
{
	const char *tmp = getenv("TMPDIR");
	if (fixture_dir[0])
		dir_remove_tree(fixture_dir, NULL);
	if (!tmp) /* thousands of logs are made: in memory where that is possible */
		tmp = file_stat("/dev/shm", NULL, NULL, NULL, NULL) == RC_OK ? "/dev/shm" : "/tmp";
	snprintf(fixture_dir, sizeof(fixture_dir), "%s/wal-test-XXXXXX", tmp);
	if (!mkdtemp(fixture_dir))
		abort();
	return fixture_dir;
}

__attribute__((destructor, unused)) static void fixture_remove(void)
{
	if (fixture_dir[0])
		dir_remove_tree(fixture_dir, NULL);
}

__attribute__((unused)) static struct wal_options small(const char *dir)
{
	return (struct wal_options){ .dir = dir, .segment_bytes = 64 << 10, .max_bytes = 64 << 20, .manual_sync = true };
}

/* n events "<collection>:<number>:xxxx" of `pad` x's; number counts from `number`. */
__attribute__((unused)) static rc_t append_n(struct wal *w, const char *collection, uint64_t number, size_t n, size_t pad, const char *key,
					      uint64_t *ret_first, uint64_t *ret_ticket, struct err *reterr)
{
	struct event *events = mem_zalloc(n, sizeof(*events));
	struct buf text;
	buf_init(&text, BUF_MAX_DEFAULT);
	size_t *at = mem_zalloc(n + 1, sizeof(*at));
	for (size_t i = 0; i < n; i++) {
		buf_printf(&text, "%s:%llu:", collection, (unsigned long long)(number + i));
		for (size_t k = 0; k < pad; k++)
			buf_byte(&text, 'x');
		at[i + 1] = text.len;
	}
	for (size_t i = 0; i < n; i++)
		events[i].payload = slice_of(text.data + at[i], at[i + 1] - at[i]);
	struct wal_events e = { .collection = slice_str(collection), .received = clock_wall_us(), .events = events, .count = n,
				.request_key = slice_str(key ? key : ""), .reply = slice_str(key ? "ok" : ""),
				.body_hash = { number, n } };
	uint64_t first, ticket;
	rc_t rc = wal_append(w, &e, ret_first ? ret_first : &first, ret_ticket ? ret_ticket : &ticket, reterr);
	free(events);
	free(at);
	buf_free(&text);
	return rc;
}

/* The number in a payload. */
__attribute__((unused)) static uint64_t number_of(struct slice payload)
{
	uint64_t v = 0;
	size_t i = 0;
	while (i < payload.len && payload.data[i] != ':')
		i++;
	for (i++; i < payload.len && payload.data[i] >= '0' && payload.data[i] <= '9'; i++)
		v = v * 10 + (uint64_t)(payload.data[i] - '0');
	return v;
}

/* Reads a collection ("" all) and marks seen[number] for each event; returns how many events, -1 on an error or a repeated number. */
__attribute__((unused)) static long read_all_numbers(struct wal *w, const char *collection, uint8_t *seen, size_t seen_len, struct err *reterr)
{
	AUTO(wal_cursor) *c = NULL;
	struct wal_record r;
	long n = 0;
	uint64_t last = 0;
	if (wal_cursor_open(w, slice_str(collection), 0, UINT64_MAX, &c, reterr) != RC_OK)
		return -1;
	for (;;) {
		rc_t rc = wal_cursor_next(c, &r, reterr);
		if (rc == RC_EOF)
			return n;
		if (rc != RC_OK)
			return -1;
		if (r.type != WAL_EVENTS)
			continue;
		for (size_t i = 0; i < r.count; i++, n++) {
			uint64_t v = number_of(r.events[i].payload);
			if (r.events[i].pos <= last || v >= seen_len || seen[v]++) {
				err_set(reterr, RC_CORRUPT, "number %llu at %llu", (unsigned long long)v, (unsigned long long)r.events[i].pos);
				return -1;
			}
			last = r.events[i].pos;
		}
	}
}

#endif
