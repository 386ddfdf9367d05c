/* A folder of segments as a crash, a disk or an enemy left it: records with right and wrong checksums, links, lengths and bodies, patched and
 * cut anywhere. Opening it, reading it and giving up what is damaged never crashes; what a read-only look sees is what recovery keeps; after
 * salvage the log opens in order, takes events, and reads back the same. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/file.h"
#include "wal/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENT_MAX = 64 * 1024, SEGMENTS_MAX = 6, RECORDS_MAX = 64 };

static void must_hold(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "wal_fuzz: does not hold: %s\n", what);
	abort();
}
#define must(what) must_hold((what), #what)

/* The input: operations, one a byte with what they need behind it; zeros at its end. */
struct input {
	const uint8_t *at, *end;
};

static uint8_t take(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static uint32_t take_u32(struct input *in)
{
	uint32_t v = take(in);
	v |= (uint32_t)take(in) << 8;
	return v | (uint32_t)take(in) << 16;
}

struct maker {
	const char *dir;
	struct seg_header head;
	uint8_t *bytes; /* SEGMENT_MAX */
	size_t len;
	uint64_t next; /* position */
	unsigned segments, records;
};

static void write_segment(struct maker *m)
{
	char path[256];
	if (!m->segments)
		return;
	snprintf(path, sizeof(path), "%s/%016llx.wal", m->dir, (unsigned long long)m->head.seq);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, m->bytes, m->len) == (ssize_t)m->len);
	close(fd);
}

static void begin_segment(struct maker *m, struct input *in)
{
	uint8_t odd = take(in);
	struct seg_header h = { .seq = m->head.seq + 1, .epoch = m->head.epoch + (odd & 1), .salt = 0x5eed + m->segments, .first = m->next,
				.prev_seq = m->head.seq, .prev_end = m->segments ? m->len : 0, .oldest = 1, .step = 4096, .made = 1 };
	write_segment(m);
	memcpy(h.id, "fuzzfuzz", WAL_ID_LEN);
	if (odd & 2)
		h.prev_end = take_u32(in);
	if (odd & 4)
		h.first += take(in) - 8u;
	if (odd & 8)
		h.prev_seq = take(in);
	if (odd & 16)
		h.oldest = take(in);
	if (odd & 32)
		h.flags = SEG_FLAG_SKIPPED;
	if (odd & 64)
		h.seq += take(in);
	m->head = h;
	m->segments++;
	memset(m->bytes, 0, SEG_DATA);
	seg_header_write(&h, m->bytes);
	seg_header_write(&h, m->bytes + SEG_HEADER);
	m->len = SEG_DATA;
}

/* A well-made body of `count` small events. */
static size_t events_body(uint8_t *out, uint32_t count, struct input *in)
{
	memset(out, 0, EVENTS_SUB);
	uint8_t *payload = out + EVENTS_SUB + 4 * (size_t)count;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t n = 1 + take(in) % 16;
		memcpy(out + EVENTS_SUB + 4 * (size_t)i, &n, 4);
		memset(payload, 'a' + (int)(i % 26), n);
		payload += n;
	}
	return (size_t)(payload - out);
}

static void add_record(struct maker *m, struct input *in)
{
	static const char names[][4] = { "a", "b", "", "c_1" };
	static uint8_t body[8192 + 8];
	uint8_t odd = take(in);
	struct rec_head r = { .first = m->next, .count = take(in) % 32u, .type = WAL_EVENTS, .received = 1, .durable = m->len, .offset = m->len };
	if (m->len + REC_HEAD + REC_NAME_MAX + sizeof(body) > SEGMENT_MAX || m->records++ > RECORDS_MAX)
		return;
	memset(body, 0, sizeof(body));
	snprintf(r.name, sizeof(r.name), "%s", names[odd & 3]);
	r.name_len = (uint16_t)strlen(r.name);
	if (odd & 4) { /* any type, any body */
		r.type = (uint16_t)(take(in) % 10);
		r.body_len = take_u32(in) % 512;
		for (uint32_t i = 0; i < r.body_len; i++)
			body[i] = take(in);
		r.flags = take(in) & 7u;
	} else {
		r.count += !r.count;
		r.body_len = (uint32_t)events_body(body, r.count, in);
	}
	if (odd & 8)
		r.first += take(in) - 8u;
	if (odd & 16)
		r.durable = take_u32(in);
	if (odd & 32)
		r.count = take_u32(in);
	r.body_crc = crc32c(odd & 64 ? 1 : 0, body, pad8(r.body_len));
	rec_head_write(&m->head, &r, m->bytes + m->len);
	m->len += REC_HEAD + pad8(r.name_len);
	memcpy(m->bytes + m->len, body, pad8(r.body_len));
	m->len += pad8(r.body_len);
	if (r.type == WAL_EVENTS)
		m->next = r.first + r.count;
}

static void make_folder(const char *dir, struct input in)
{
	static uint8_t bytes[SEGMENT_MAX];
	struct maker m = { .dir = dir, .bytes = bytes, .next = 1 };
	begin_segment(&m, &in);
	while (in.at < in.end) {
		uint8_t op = take(&in) % 16;
		if (op < 8) {
			add_record(&m, &in);
		} else if (op < 10) {
			if (m.segments < SEGMENTS_MAX)
				begin_segment(&m, &in);
		} else if (op < 12) {
			size_t at = take_u32(&in) % m.len;
			m.bytes[at] ^= take(&in);
		} else if (op < 13) {
			m.len = take_u32(&in) % (m.len + 1);
			m.len += !m.len;
		} else if (op < 14) {
			for (size_t n = take(&in); n && m.len < SEGMENT_MAX; n--)
				m.bytes[m.len++] = take(&in);
		} else if (m.len + 64 < SEGMENT_MAX) { /* bytes that mean nothing */
			memset(m.bytes + m.len, 0, 64);
			m.len += 64;
		}
	}
	write_segment(&m);
}

/* What all events are, in order: a hash, and how many. False: the log says itself that it cannot be read. */
static bool read_all(struct wal *w, uint64_t *ret_sum, uint64_t *ret_count)
{
	AUTO(wal_cursor) *c = NULL;
	struct wal_record r;
	rc_t rc;
	*ret_sum = *ret_count = 0;
	if (wal_cursor_open(w, (struct slice){ 0 }, 0, UINT64_MAX, &c, NULL) != RC_OK)
		return false;
	while ((rc = wal_cursor_next(c, &r, NULL)) == RC_OK) {
		for (size_t i = 0; r.type == WAL_EVENTS && i < r.count; i++, ++*ret_count)
			*ret_sum = *ret_sum * 31 + hash64(r.events[i].payload) + r.events[i].pos + hash64(r.collection);
	}
	return rc == RC_EOF;
}

static rc_t each_collection(void *ctx, struct slice name, const struct wal_pending *p)
{
	uint64_t sum, after, upto;
	struct buf plan;
	(void)p;
	buf_init(&plan, WAL_PLAN_MAX);
	wal_cut_get(ctx, name, &after, &upto, &plan, NULL);
	buf_free(&plan);
	AUTO(wal_cursor) *c = NULL;
	struct wal_record r;
	if (wal_cursor_open(ctx, name, 0, UINT64_MAX, &c, NULL) == RC_OK)
		for (sum = 0; wal_cursor_next(c, &r, NULL) == RC_OK;)
			sum += r.count;
	return RC_OK;
}

static void check_log(const char *dir)
{
	AUTO(wal) *w = NULL;
	struct wal_options o = { .dir = dir, .segment_bytes = 64 << 10, .max_bytes = 64 << 20, .manual_sync = true };
	uint64_t seen_sum = 0, seen = 0, sum = 0, count = 0, more = 0;
	bool look = wal_open_readonly(dir, false, &w, NULL) == RC_OK;
	if (look)
		look = read_all(w, &seen_sum, &seen);
	wal_free(w);
	w = NULL;
	rc_t rc = wal_open(&o, &w, NULL);
	if (rc != RC_OK) {
		o.salvage = true;
		rc = wal_open(&o, &w, NULL);
	}
	if (rc != RC_OK) /* of a newer version, or not one log */
		return;
	bool whole = read_all(w, &sum, &count);
	must(!look || !whole || o.salvage || (sum == seen_sum && count == seen));
	wal_collections(w, each_collection, w);
	struct event e = { .payload = SLICE_LIT("{\"last\":1}") };
	struct wal_events one = { .collection = SLICE_LIT("a"), .received = 1, .events = &e, .count = 1 };
	uint64_t first, ticket;
	rc = wal_append(w, &one, &first, &ticket, NULL);
	must(rc != RC_OK || wal_flush(w, NULL) == RC_OK);
	if (wal_close(w, NULL) != RC_OK || rc != RC_OK) {
		w = NULL;
		return;
	}
	w = NULL;
	o.salvage = false;
	must(wal_open(&o, &w, NULL) == RC_OK);
	must(!whole || (read_all(w, &sum, &more) && more == count + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char dir[64];
	if (size > 4096)
		return 0;
	if (!dir[0])
		snprintf(dir, sizeof(dir), "%s/wal-fuzz-%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
	must(dir_make(dir, NULL) == RC_OK);
	make_folder(dir, (struct input){ data, data + size });
	check_log(dir);
	dir_remove_tree(dir, NULL);
	return 0;
}
