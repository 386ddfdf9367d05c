#include <unistd.h>

#include "base/test.h"
#include "json/notes.h"
#include "os/file.h"
#include "parquet/writer.h"
#include "scan/scan.h"

#define ROWS_MAX 26000
#define FILES 9

/* Rows in files with row groups whose times overlap in any way; pos is unique; the payload names the row. */
struct model {
	char dir[64];
	char *paths[FILES];
	struct {
		int64_t time, pos;
	} rows[ROWS_MAX];
	size_t count;
	uint64_t seed;
	size_t pad; /* bytes of payload, all the same */
	bool sorted; /* by time in each row group */
	bool tail; /* the payload names the row behind the pad: encoded, it is next to nothing */
	bool unplaced; /* all rows have position 7; the payload's second number still tells them apart */
};

static struct err err;

static uint64_t rnd(struct model *m, uint64_t below)
{
	m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
	return (m->seed >> 33) % below;
}

struct out {
	int fd;
	uint64_t offset;
};

static rc_t write_out(void *ctx, const void *data, size_t len, struct err *reterr)
{
	struct out *o = ctx;
	rc_t rc = file_pwrite(o->fd, "out", data, len, o->offset, reterr);
	o->offset += len;
	return rc;
}

static void put_row(struct model *m, struct batch *b, const struct schema *s, int64_t time)
{
	int64_t pos = (int64_t)m->count * 7919 % 100003;
	AUTO_BUF struct buf payload;
	buf_init(&payload, 1 << 24);
	buf_reserve(&payload, m->pad + 1);
	if (m->tail) {
		memset(payload.data, 'p', m->pad);
		payload.len = m->pad;
	}
	buf_printf(&payload, "%lld %lld ", (long long)time, (long long)pos);
	buf_reserve(&payload, m->pad + 1);
	if (!m->tail) {
		memset(payload.data + payload.len, 'p', m->pad);
		payload.len += m->pad;
	}
	column_put_fixed(batch_column(b, s->root->children[0]), b->rows, &time, 8);
	const int64_t seven = 7;
	column_put_fixed(batch_column(b, s->root->children[1]), b->rows, m->unplaced ? &seven : &pos, 8);
	column_put_bytes(batch_column(b, s->root->children[2]), b->rows, buf_slice(&payload));
	b->rows++;
	m->rows[m->count].time = time;
	m->rows[m->count++].pos = pos;
}

static void write_file(struct model *m, unsigned number, unsigned groups, unsigned group_rows, int64_t span, int64_t grain)
{
	struct schema *s = schema_new();
	schema_add(s, NULL, SLICE_LIT("__time"), TYPE_TIMESTAMPTZ)->role = ROLE_TIME;
	schema_add(s, NULL, SLICE_LIT("__pos"), TYPE_INT64)->role = ROLE_POS;
	schema_add(s, NULL, SLICE_LIT("__raw"), TYPE_BINARY)->role = ROLE_RAW;
	schema_assign_ids(s);
	struct out o = { .fd = -1 };
	m->paths[number] = mem_printf("%s/%u.parquet", m->dir, number);
	struct parquet_sink sink = { &o, write_out };
	struct parquet_writer_options wo;
	struct parquet_writer *w;
	parquet_writer_options_default(&wo);
	wo.page_rows = 10; /* pages as small as these take 80 */
	if (file_open(m->paths[number], FILE_CREATE_NEW, &o.fd, &err) != RC_OK || parquet_writer_new(&sink, &wo, &w, &err) != RC_OK)
		abort();
	struct batch b;
	batch_init(&b, s);
	for (unsigned g = 0; g < groups; g++) {
		int64_t base = (int64_t)rnd(m, (uint64_t)span);
		for (unsigned r = 0; r < group_rows; r++)
			put_row(m, &b, s, m->sorted ? base + r * 5 : (base + (int64_t)rnd(m, (uint64_t)span / 3 + 1)) / grain * grain);
		batch_seal(&b);
		if (parquet_writer_row_group(w, &b, &err) != RC_OK)
			abort();
		batch_reset(&b);
	}
	AUTO_BUF struct buf notes;
	buf_init(&notes, 1 << 20);
	schema_notes_encode(s, &notes);
	parquet_writer_metadata(w, SCHEMA_NOTES_KEY, buf_slice(&notes));
	if (parquet_writer_finish(w, s, NULL, &err) != RC_OK)
		abort();
	parquet_writer_free(w);
	batch_free(&b);
	schema_free(s);
	file_close(o.fd);
}

static void model_make_of(struct model *m, uint64_t seed, unsigned group_rows, int64_t grain, size_t pad, bool tail, bool unplaced)
{
	*m = (struct model){ .seed = seed, .pad = pad, .sorted = !grain, .tail = tail, .unplaced = unplaced };
	snprintf(m->dir, sizeof m->dir, "/tmp/hydrant-scan-XXXXXX");
	if (!mkdtemp(m->dir))
		abort();
	for (unsigned i = 0; i < FILES; i++)
		write_file(m, i, 1 + (unsigned)rnd(m, 4), group_rows, 10000, grain);
}

static void model_make(struct model *m, uint64_t seed, unsigned group_rows, int64_t grain, size_t pad)
{
	model_make_of(m, seed, group_rows, grain, pad, false, false);
}

static void model_free(struct model *m)
{
	dir_remove_tree(m->dir, NULL);
	for (unsigned i = 0; i < FILES; i++)
		free(m->paths[i]);
}

/* The scan gives the rows in [from, to) once each, in order, each with its own payload. */
static uint64_t pruned_rows; /* by the last scan */

static rc_t check(struct model *m, struct scan_options so)
{
	size_t want = 0, got = 0;
	uint64_t sum = 0;
	for (size_t i = 0; i < m->count; i++) {
		bool in = m->rows[i].time >= so.from && m->rows[i].time < so.to;
		want += in;
		sum += in ? (uint64_t)m->rows[i].pos * 31 + (uint64_t)m->rows[i].time : 0;
	}
	so.hot = m->paths;
	so.hot_count = FILES;
	AUTO(scan) *s = NULL;
	TRY(scan_open(&so, &s, &err));
	struct scan_row row;
	pruned_rows = scan_get_stats(s).pruned_rows;
	int64_t time = 0, pos = 0;
	rc_t rc;
	for (; (rc = scan_next(s, &row, &err)) == RC_OK; got++) {
		char head[64];
		int n = snprintf(head, sizeof head, "%lld %lld ", (long long)row.time, (long long)row.pos);
		if (row.payload.len != (size_t)n + m->pad || memcmp(row.payload.data + (m->tail ? m->pad : 0), head, (size_t)n) != 0)
			return err_set(&err, RC_CORRUPT, "row %zu has another's payload: %.40s", got, (const char *)row.payload.data);
		bool after = !got || row.time > time || (row.time == time && row.pos > pos);
		bool before = !got || row.time < time || (row.time == time && row.pos < pos);
		if (so.order == SCAN_OLDEST ? !after : so.order == SCAN_NEWEST && !before)
			return err_set(&err, RC_CORRUPT, "row %zu at %lld, %lld is out of order", got, (long long)row.time, (long long)row.pos);
		time = row.time, pos = row.pos;
		sum -= (uint64_t)row.pos * 31 + (uint64_t)row.time;
	}
	if (rc != RC_EOF)
		return rc;
	return got == want && !sum ? RC_OK : err_set(&err, RC_CORRUPT, "%zu rows, want %zu", got, want);
}

TEST(scan_gives_every_row_once_and_in_order_with_any_memory)
{
	static const size_t memories[] = { 1, 4096, 1 << 26 }, places[] = { 3, 40, 0 };
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct model m;
		model_make(&m, seed, 20, 1, 10);
		for (int order = SCAN_ANY; order <= SCAN_NEWEST; order++)
			for (int i = 0; i < 9; i++) {
				struct scan_options so = { .from = INT64_MIN, .to = INT64_MAX, .order = (enum scan_order)order,
							   .memory_bytes = memories[i / 3], .places_max = places[i % 3] };
				if (i / 3 == 0 && i % 3 == 0 && seed > 1)
					continue; /* the slowest */
				CHECK_OK(check(&m, so), err);
			}
		model_free(&m);
	}
}

TEST(scan_of_a_time_range_drops_no_row)
{
	struct model m;
	model_make(&m, 4, 30, 1, 10);
	for (int i = 0; i < 60; i++) {
		int64_t from = (int64_t)rnd(&m, 14000) - 500, to = from + (int64_t)rnd(&m, i & 1 ? 30 : 8000);
		struct scan_options so = { .from = from, .to = to, .order = (enum scan_order)(i % 3), .places_max = 100 };
		CHECK_OK(check(&m, so), err);
	}
	/* a bound that is a row's very time */
	for (size_t i = 0; i < m.count; i += 97)
		for (int order = 0; order < 3; order++) {
			struct scan_options so = { .from = m.rows[i].time, .to = m.rows[i].time + 1, .order = (enum scan_order)order };
			CHECK_OK(check(&m, so), err);
			so.to = so.from, so.from = INT64_MIN;
			CHECK_OK(check(&m, so), err);
		}
	model_free(&m);
}

TEST(scan_of_a_time_range_reads_no_page_outside_of_it)
{
	struct model m;
	model_make(&m, 8, 700, 0, 10); /* rows in the order of time */
	for (int i = 0; i < 60; i++) {
		int64_t from = (int64_t)rnd(&m, 14000) - 500, to = from + (int64_t)rnd(&m, 100) + 1;
		struct scan_options so = { .from = from, .to = to, .order = (enum scan_order)(i % 3), .memory_bytes = i % 2 ? 1 : 0 };
		CHECK_OK(check(&m, so), err);
		uint64_t overlap = 0;
		for (size_t k = 0; k + 700 <= m.count; k += 700) /* row groups that the range touches: all but two pages of 80 go */
			overlap += m.rows[k].time < to && m.rows[k + 699].time >= from;
		CHECK(from <= 0 || pruned_rows >= overlap * 500);
	}
	model_free(&m);
}

TEST(scan_orders_more_rows_of_one_instant_than_it_may_sort_at_a_time)
{
	struct model m;
	model_make(&m, 5, 150, 10000, 5); /* two instants or three */
	for (int order = SCAN_OLDEST; order <= SCAN_NEWEST; order++) {
		struct scan_options so = { .from = INT64_MIN, .to = INT64_MAX, .order = (enum scan_order)order, .places_max = 64 };
		CHECK_OK(check(&m, so), err);
	}
	model_free(&m);
}

TEST(scan_orders_more_rows_of_one_time_and_position_than_it_may_sort_at_a_time)
{
	static struct model m;
	static unsigned char seen[100003]; /* by number */
	model_make_of(&m, 9, 150, 10000, 5, false, true);
	for (int order = SCAN_OLDEST; order <= SCAN_NEWEST; order++) {
		struct scan_options so = { .hot = m.paths, .hot_count = FILES, .from = INT64_MIN, .to = INT64_MAX, .order = (enum scan_order)order, .places_max = 64 };
		AUTO(scan) *s = NULL;
		struct scan_row row;
		size_t n = 0;
		int64_t last = 0;
		rc_t rc;
		CHECK_OK(scan_open(&so, &s, &err), err);
		for (; (rc = scan_next(s, &row, &err)) == RC_OK && n < m.count; n++) {
			long long time, number;
			char text[64];
			snprintf(text, sizeof text, "%.*s", SLICE_ARG(row.payload));
			CHECK_INT(sscanf(text, "%lld %lld", &time, &number), 2);
			CHECK(time == row.time && row.pos == 7);
			CHECK(!n || (order == SCAN_OLDEST ? time >= last : time <= last));
			last = time;
			seen[number]++;
		}
		CHECK_RC(rc, RC_EOF);
		CHECK_INT(n, m.count);
	}
	for (size_t i = 0; i < m.count; i++) /* once in each order */
		CHECK_INT(seen[m.rows[i].pos], 2);
	model_free(&m);
}

TEST(scan_keeps_to_its_memory_when_one_value_is_repeated)
{
	struct model m;
	model_make(&m, 6, 60, 1, 20000); /* compresses to nothing */
	for (int order = SCAN_OLDEST; order <= SCAN_NEWEST; order++) {
		struct scan_options so = { .from = INT64_MIN, .to = INT64_MAX, .order = (enum scan_order)order, .memory_bytes = 1 << 20 };
		CHECK_OK(check(&m, so), err);
	}
	model_free(&m);
}

/* Other programs' row groups may be of any size, and what they hold many times what is stored. */
TEST(scan_decodes_a_row_group_in_steps_that_fit)
{
	for (int tail = 0; tail < 2; tail++) {
		struct model m;
		model_make_of(&m, 6, 700, 1, 2000, tail, false);
		for (int order = SCAN_ANY; order <= SCAN_NEWEST; order++) {
			struct scan_options so = { .from = INT64_MIN, .to = INT64_MAX, .order = (enum scan_order)order, .decode_bytes = 400000 };
			CHECK_OK(check(&m, so), err);
			so.decode_bytes = 1000; /* not one row */
			CHECK_RC(check(&m, so), RC_LIMIT);
		}
		model_free(&m);
	}
}

TEST(scan_stops_when_told_to)
{
	struct model m;
	bool cancel = true;
	model_make(&m, 7, 20, 1, 10);
	struct scan_options so = { .from = INT64_MIN, .to = INT64_MAX, .order = SCAN_OLDEST, .cancel = &cancel };
	CHECK_RC(check(&m, so), RC_CANCELLED);
	model_free(&m);
}

/* Rows until the end, after the file was cut to `size` behind the scan's back. */
static rc_t scan_cut(struct model *m, struct scan_options so, off_t size, size_t *ret_rows)
{
	AUTO(scan) *s = NULL;
	struct scan_row row;
	rc_t rc;
	*ret_rows = 0;
	TRY(scan_open(&so, &s, &err));
	if (truncate(m->paths[0], size) != 0)
		return RC_IO;
	while ((rc = scan_next(s, &row, &err)) == RC_OK)
		++*ret_rows;
	return rc;
}

TEST(scan_of_a_file_that_was_cut_meanwhile_does_not_end_before_its_last_row)
{
	static struct model m;
	size_t want, got, failed = 0;
	AUTO_BUF struct buf bytes;
	buf_init(&bytes, 1 << 24);
	model_make(&m, 7, 100, 0, 20);
	struct scan_options so = { .hot = m.paths, .hot_count = 1, .from = m.rows[50].time, .to = m.rows[60].time };
	CHECK_OK(file_read_all(m.paths[0], &bytes, &err), err);
	CHECK_RC(scan_cut(&m, so, (off_t)bytes.len, &want), RC_EOF);
	CHECK(want >= 10);
	for (size_t cut = 50; cut < bytes.len; cut += 50) {
		rc_t rc = scan_cut(&m, so, (off_t)(bytes.len - cut), &got);
		CHECK(rc == RC_EOF ? got == want : rc == RC_CORRUPT);
		failed += rc == RC_CORRUPT;
		int fd = -1;
		CHECK_OK(file_open(m.paths[0], FILE_WRITE, &fd, &err), err);
		CHECK_OK(file_pwrite(fd, m.paths[0], bytes.data, bytes.len, 0, &err), err);
		file_close(fd);
	}
	CHECK(failed > 0);
	model_free(&m);
}

TEST_MAIN()
