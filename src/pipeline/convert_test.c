/* convert with several threads: the same bytes for any number of them, and the input comes back. Ranges are tiny, so that what changes in the
 * input changes between ranges that are under way at once. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/test.h"
#include "json/notes.h"
#include "json/render.h"
#include "os/file.h"
#include "parquet/reader.h"
#include "pipeline/convert.h"

#define BYTES_MAX ((size_t)1 << 30)

struct job {
	char dir[64], in[96], out[96];
	struct buf text;
	struct convert_options o;
	struct convert_result result;
};

static void job_init(struct job *j)
{
	snprintf(j->dir, sizeof j->dir, "/tmp/hydrant-convert-XXXXXX");
	if (!mkdtemp(j->dir))
		abort();
	snprintf(j->in, sizeof j->in, "%s/in", j->dir);
	snprintf(j->out, sizeof j->out, "%s/out.parquet", j->dir);
	buf_init(&j->text, BYTES_MAX);
	j->o = (struct convert_options){ .in = j->in, .out = j->out, .format = FRAME_NDJSON, .codec = PARQUET_ZSTD, .codec_level = 1, .verify_all = true,
					 .range_bytes = 5000, .sample_bytes = 6000 };
}

static void job_free(struct job *j)
{
	buf_free(&j->text);
	dir_remove_tree(j->dir, NULL);
}

static unsigned files_in(const char *dir)
{
	char command[128];
	snprintf(command, sizeof command, "ls -A %s | wc -l", dir);
	FILE *p = popen(command, "r");
	unsigned n = 0;
	if (!p || fscanf(p, "%u", &n) != 1)
		n = 999;
	if (p)
		pclose(p);
	return n;
}

/* ---- restoring, as scan/restore.c does ---- */

static rc_t read_from(void *ctx, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	const struct buf *file = ctx;
	(void)reterr;
	memcpy(out, file->data + offset, len);
	return RC_OK;
}

static rc_t restore_groups(struct parquet_reader *r, struct renderer *renderer, struct framing_reader *gaps, struct buf *out, struct err *reterr)
{
	struct batch b;
	batch_init(&b, parquet_reader_schema(r));
	rc_t rc = RC_OK;
	for (uint32_t g = 0; g < parquet_reader_row_group_count(r) && rc == RC_OK; g++) {
		rc = parquet_reader_read(r, g, NULL, 0, 0, UINT32_MAX, &b, reterr);
		renderer_begin(renderer, &b);
		for (uint32_t row = 0; row < b.rows && rc == RC_OK; row++) {
			struct slice gap;
			rc = framing_reader_next(gaps, &gap);
			buf_append_slice(out, gap);
			if (rc == RC_OK)
				rc = renderer_row(renderer, row, out, reterr);
		}
	}
	batch_free(&b);
	buf_append_slice(out, gaps->tail);
	return rc;
}

static rc_t restore(const struct buf *file, struct buf *out, struct err *reterr)
{
	struct parquet_source source = { (void *)(uintptr_t)file, file->len, read_from };
	AUTO(parquet_reader) *r = NULL;
	TRY(parquet_reader_open(&source, NULL, &r, reterr));
	struct schema *schema = (struct schema *)(uintptr_t)parquet_reader_schema(r);
	TRY(schema_notes_decode(parquet_reader_metadata(r, SCHEMA_NOTES_KEY), schema, reterr));
	struct framing_reader gaps;
	TRY(framing_reader_open(parquet_reader_metadata(r, CONVERT_FRAMING_KEY), &gaps, reterr));
	struct renderer *renderer = renderer_new(schema);
	rc_t rc = renderer_add_keys(renderer, parquet_reader_metadata(r, SHAPE_KEYS_KEY), reterr);
	if (rc == RC_OK)
		rc = restore_groups(r, renderer, &gaps, out, reterr);
	framing_reader_close(&gaps);
	renderer_free(renderer);
	return rc;
}

/* ---- made-up inputs ---- */

static uint64_t next_random(uint64_t *seed)
{
	*seed += 0x9e3779b97f4a7c15u;
	uint64_t z = *seed;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static unsigned pick(uint64_t *seed, unsigned n)
{
	return (unsigned)(next_random(seed) % n);
}

/* A value of kind k: the same key gets different ones in different eras of the input. */
static void put_value(struct buf *b, uint64_t *seed, unsigned k)
{
	unsigned n = pick(seed, 1000);
	switch (k % 16) {
	case 0: buf_printf(b, "%u", n); break;
	case 1: buf_printf(b, "%u.%02u", n, pick(seed, 100)); break;
	case 2: buf_printf(b, "%u.%03u", n, pick(seed, 1000)); break;
	case 3: buf_printf(b, "%u.5e-%u", n, pick(seed, 30)); break;
	case 4: buf_printf(b, "\"text %u\"", n); break;
	case 5: buf_printf(b, "\"2026-11-%02uT10:00:00Z\"", 1 + n % 28); break;
	case 6: buf_printf(b, "\"2026-11-%02u 10:00:00.123+01:00\"", 1 + n % 28); break;
	case 7: buf_printf(b, "[%u, %u]", n, n + 1); break;
	case 8: buf_printf(b, "[\"%u\",\"%u.5\",null]", n, n); break;
	case 9: buf_printf(b, "{\"x\":%u, \"y\":\"%u\"}", n, n); break;
	case 10: buf_printf(b, "{\"x\":\"%u\",\"z\":[{\"q\":%u.5}]}", n, n); break;
	case 11: buf_append_str(b, n % 2 ? "true" : "null"); break;
	case 12: buf_printf(b, "%u0.0", n + 1); break;
	case 13: buf_printf(b, "1234567890123456789012%u", n); break;
	case 14: buf_printf(b, "[%u,\"%u\",[%u]]", n, n, n); break;
	default: buf_append_str(b, n % 3 ? "{}" : "[]"); break;
	}
}

static void put_event(struct buf *b, uint64_t *seed, unsigned era)
{
	static const char *const steady[] = { "id", "name", "at" };
	static const char *const odd[] = { "a.b", "a_b", "A_B", "Name", "year", "", "\\u00e9", "d\xc3\xa9j\xc3\xa0" };
	bool spaced = era % 5 == 3;
	const char *comma = spaced ? ", " : ",", *colon = spaced ? ": " : ":";
	buf_byte(b, '{');
	for (unsigned i = 0; i < 3; i++) {
		buf_printf(b, "%s\"%s\"%s", i ? comma : "", steady[i], colon);
		put_value(b, seed, i == 0 ? 0 : i == 1 ? 4 : 5);
	}
	for (unsigned i = 0, n = pick(seed, 4); i < n; i++) {
		unsigned key = pick(seed, 12);
		if (pick(seed, 20) == 0)
			buf_printf(b, "%s\"%s\"%s", comma, odd[pick(seed, 8)], colon);
		else
			buf_printf(b, "%s\"k%u\"%s", comma, era / 3 * 2 + key, colon);
		put_value(b, seed, key + era + (pick(seed, 30) == 0 ? pick(seed, 16) : 0));
	}
	buf_append_str(b, spaced ? " }" : "}");
}

static void put_events(struct buf *b, uint64_t seed, size_t bytes, size_t era_bytes, const char *between)
{
	while (b->len < bytes) {
		put_event(b, &seed, (unsigned)(b->len / era_bytes));
		buf_append_str(b, between);
	}
}

/* ---- the laws ---- */

static rc_t run(struct job *j, unsigned threads, struct buf *ret, struct err *reterr)
{
	j->o.threads = threads;
	buf_reset(ret);
	TRY(convert_file(&j->o, &j->result, reterr));
	return file_read_all(j->out, ret, reterr);
}

static rc_t write_input(struct job *j, struct err *reterr)
{
	return file_replace_atomic(j->in, buf_slice(&j->text), reterr);
}

/* Converts with 1, 2, 3 and 7 threads; "" if all is well. */
static const char *same_for_all(struct job *j, uint64_t at_least_groups)
{
	static const unsigned threads[] = { 2, 3, 7, 2, 7 };
	static char why[600];
	*why = 0;
	struct err err = { 0 };
	AUTO_BUF struct buf one, other, back;
	buf_init(&one, BYTES_MAX);
	buf_init(&other, BYTES_MAX);
	buf_init(&back, BYTES_MAX);
	if (write_input(j, &err) != RC_OK || run(j, 1, &one, &err) != RC_OK || restore(&one, &back, &err) != RC_OK) {
		snprintf(why, sizeof why, "one thread: %s", err.text);
		return why;
	}
	struct convert_result first = j->result;
	size_t same = 0;
	while (same < back.len && same < j->text.len && back.data[same] == j->text.data[same])
		same++;
	if (same < j->text.len || same < back.len) {
		snprintf(why, sizeof why, "of %zu bytes %zu come back, the same as far as byte %zu: '%.*s'", j->text.len, back.len, same, 80,
			 (const char *)j->text.data + (same > 20 ? same - 20 : 0));
		return why;
	}
	if (first.row_groups < at_least_groups || first.stats.mismatches || first.stats.rows != first.events)
		snprintf(why, sizeof why, "%u row groups, %llu mismatches, %llu rows of %llu events", first.row_groups,
			 (unsigned long long)first.stats.mismatches, (unsigned long long)first.stats.rows, (unsigned long long)first.events);
	if (*why)
		return why;
	for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
		if (run(j, threads[i], &other, &err) != RC_OK) {
			snprintf(why, sizeof why, "%u threads: %s", threads[i], err.text);
			return why;
		}
		j->result.took_us = first.took_us;
		j->result.cpu_us = first.cpu_us;
		j->result.stats.check_ns = first.stats.check_ns;
		if (!slice_eq(buf_slice(&one), buf_slice(&other)) || memcmp(&first, &j->result, sizeof first) != 0) {
			snprintf(why, sizeof why, "%u threads write another file, or count otherwise", threads[i]);
			return why;
		}
	}
	return files_in(j->dir) == 2 ? "" : "temporary files stay";
}

TEST(convert_gives_the_same_bytes_for_any_number_of_threads)
{
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct job j;
		job_init(&j);
		put_events(&j.text, seed, 300000, 2000 + 3000 * seed, "\n");
		CHECK_STR(same_for_all(&j, 40), "");
		job_free(&j);
	}
}

TEST(convert_keeps_lines_that_are_not_json_and_what_stands_between_them)
{
	static const char *const between[] = { "\n", "\r\n", "\n\n", " \t\n", "\n{\"broken\":\n", "\nnull\n[1,2]\n\"x\"\n7.50\n", "\n\xef\xbb\xbf{\"id\":1}\n",
					       "\n\xff\xfe\n" };
	struct job j;
	job_init(&j);
	buf_append_str(&j.text, "\xef\xbb\xbf\r\n");
	uint64_t seed = 77;
	while (j.text.len < 200000) {
		put_event(&j.text, &seed, (unsigned)(j.text.len / 7000));
		buf_append_str(&j.text, between[pick(&seed, 10) ? 0 : pick(&seed, 8)]);
	}
	put_event(&j.text, &seed, 3); /* without a line end */
	CHECK_STR(same_for_all(&j, 20), "");
	CHECK(j.result.invalid > 10);
	job_free(&j);
}

TEST(convert_reads_what_cannot_be_cut_by_one_thread_at_a_time)
{
	static const char *const between[] = { ",", " ", "\n,\r\n" };
	for (size_t i = 0; i < 3; i++) {
		struct job j;
		job_init(&j);
		j.o.format = FRAME_JSON;
		j.o.range_bytes = 20000;
		buf_append_str(&j.text, i == 1 ? "" : "[");
		put_events(&j.text, 5 + i, 1500000, 30000, between[i]); /* the first MiB tells what it is */
		j.text.len -= strlen(between[i]);
		buf_append_str(&j.text, i == 1 ? "\n" : "]\n");
		CHECK_STR(same_for_all(&j, 15), "");
		job_free(&j);
	}
}

TEST(convert_cuts_text_into_lines)
{
	struct job j;
	job_init(&j);
	j.o.format = FRAME_TEXT;
	uint64_t seed = 9;
	while (j.text.len < 100000)
		buf_printf(&j.text, "2026-11-22 line %u of a log%s", pick(&seed, 1000), pick(&seed, 50) ? "\n" : "\r\n\n  \n");
	CHECK_STR(same_for_all(&j, 10), "");
	CHECK(j.result.format == FRAME_TEXT);
	job_free(&j);
}

TEST(convert_lines_longer_than_ranges_and_inputs_shorter_than_them)
{
	static const char *const texts[] = { "", "\n", " \n\n", "{\"a\":1}", "{\"a\":1}\n", "\n\n{\"a\":1}\n\n{\"a\":2.50}", "[]", "[1,[2],{\"a\":3}]" };
	struct job j;
	job_init(&j);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		for (int asked = 0; asked < 2; asked++) {
			j.o.format = asked ? FRAME_NDJSON : FRAME_AUTO;
			buf_reset(&j.text);
			buf_append_str(&j.text, texts[i]);
			CHECK_STR(same_for_all(&j, 0), "");
		}
	}
	buf_reset(&j.text);
	uint64_t seed = 4;
	for (unsigned i = 0; i < 60; i++) {
		buf_append_str(&j.text, "{\"long\":\"");
		for (unsigned n = pick(&seed, 30000); n; n--)
			buf_byte(&j.text, (uint8_t)('a' + n % 26));
		buf_printf(&j.text, "\",\"n\":%u}\n", i);
	}
	CHECK_STR(same_for_all(&j, 10), "");
	job_free(&j);
}

TEST(convert_seals_row_groups_within_a_range)
{
	struct job j;
	job_init(&j);
	j.o.range_bytes = 60000;
	j.o.group_bytes = 9000;
	put_events(&j.text, 11, 400000, 20000, "\n");
	CHECK_STR(same_for_all(&j, 20), "");
	j.o.format = FRAME_JSON;
	buf_reset(&j.text);
	buf_byte(&j.text, '[');
	for (unsigned i = 0; i < 300000; i++)
		buf_printf(&j.text, "%s%u", i ? "," : "", i);
	buf_append_str(&j.text, "]");
	CHECK_STR(same_for_all(&j, 20), "");
	job_free(&j);
}

/* Hundreds of ranges with keys of their own: bases change, and the columns run out in the middle. */
TEST(convert_shares_the_budget_of_columns_between_ranges)
{
	struct job j;
	job_init(&j);
	uint64_t seed = 21;
	while (j.text.len < 900000) {
		unsigned era = (unsigned)(j.text.len / 4000);
		buf_printf(&j.text, "{\"n\":%u", pick(&seed, 1000));
		for (unsigned i = 0; i < 3; i++)
			buf_printf(&j.text, ",\"e%u_%u\":{\"deep\":[%u]}", era, pick(&seed, 8), pick(&seed, 9));
		buf_append_str(&j.text, "}\n");
	}
	CHECK_STR(same_for_all(&j, 100), "");
	job_free(&j);
}

static void watch_progress(void *ctx, uint64_t offset, uint64_t size, uint64_t events)
{
	uint64_t *last = ctx;
	last[2] += offset < last[0] || events < last[1] || offset > size;
	last[0] = offset;
	last[1] = events;
}

TEST(convert_progress_never_goes_back)
{
	for (int array = 0; array < 2; array++) {
		struct job j;
		job_init(&j);
		uint64_t last[3] = { 0 };
		j.o.format = array ? FRAME_JSON : FRAME_NDJSON;
		j.o.progress = watch_progress;
		j.o.ctx = last;
		put_events(&j.text, 3, 1200000, 9000, "\n");
		struct err err;
		AUTO_BUF struct buf out;
		buf_init(&out, BYTES_MAX);
		CHECK_OK(write_input(&j, &err), err);
		CHECK_OK(run(&j, 3, &out, &err), err);
		CHECK(last[2] == 0);
		CHECK_INT(last[0], j.text.len);
		CHECK_INT(last[1], j.result.events);
		job_free(&j);
	}
}

/* ---- failures ---- */

TEST(convert_strict_names_the_first_invalid_line_whatever_the_threads)
{
	struct job j;
	struct err err, first = { 0 };
	AUTO_BUF struct buf out;
	buf_init(&out, BYTES_MAX);
	for (int array = 0; array < 2; array++) {
		job_init(&j);
		j.o.strict = true;
		j.o.format = array ? FRAME_JSON : FRAME_NDJSON;
		uint64_t seed = 31;
		unsigned lines = 0;
		char want[64] = "";
		buf_append_str(&j.text, array ? "[" : "");
		size_t bytes = array ? 1500000 : 300000;
		while (j.text.len < bytes) {
			lines++;
			bool bad = j.text.len > bytes / 6 * 5 && lines % 100 == 0;
			if (bad && !*want)
				snprintf(want, sizeof want, "line %u,", lines);
			put_event(&j.text, &seed, (unsigned)(j.text.len / 7000));
			j.text.len -= bad;
			buf_append_str(&j.text, array ? ",\n" : "\n");
		}
		CHECK_OK(write_input(&j, &err), err);
		for (unsigned threads = 1; threads <= 7; threads += 2) {
			CHECK(run(&j, threads, &out, &err) == RC_INVALID);
			CHECK(array || strstr(err.text, want));
			if (threads == 1)
				first = err;
			CHECK_STR(err.text, first.text);
			CHECK(files_in(j.dir) == 1);
		}
		job_free(&j);
	}
}

TEST(convert_times_its_checks_only_if_that_is_asked_for)
{
	struct job j;
	struct err err;
	AUTO_BUF struct buf out;
	job_init(&j);
	buf_init(&out, BYTES_MAX);
	put_events(&j.text, 17, 300000, 9000, "\n");
	CHECK_OK(write_input(&j, &err), err);
	for (int timed = 0; timed < 2; timed++) {
		j.o.time_checks = timed;
		CHECK_OK(run(&j, 1, &out, &err), err);
		CHECK(j.result.stats.checked > 0 && (j.result.stats.check_ns > 0) == (timed > 0));
	}
	job_free(&j);
}

TEST(convert_onto_a_full_disk_fails_and_leaves_nothing)
{
	struct job j;
	struct err err;
	struct rlimit old;
	AUTO_BUF struct buf out;
	job_init(&j);
	buf_init(&out, BYTES_MAX);
	put_events(&j.text, 13, 600000, 9000, "\n");
	CHECK_OK(write_input(&j, &err), err);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	for (unsigned threads = 1; threads <= 7; threads += 3) {
		struct rlimit small = { 60000, old.rlim_max };
		setrlimit(RLIMIT_FSIZE, &small);
		rc_t rc = run(&j, threads, &out, &err);
		setrlimit(RLIMIT_FSIZE, &old);
		CHECK(rc == RC_IO || rc == RC_LIMIT);
		CHECK(strstr(err.text, "out.parquet"));
		CHECK(files_in(j.dir) == 1);
	}
	job_free(&j);
}

static void cut_input(void *ctx, uint64_t done, uint64_t size, uint64_t events)
{
	const struct job *j = ctx;
	(void)events;
	if (done >= size / 2 && truncate(j->in, (off_t)(size / 2)) != 0)
		abort();
}

TEST(convert_of_a_file_that_is_cut_meanwhile_is_an_error_and_no_shorter_file)
{
	struct job j;
	struct err err = { 0 };
	job_init(&j);
	for (int i = 0; i < 10000; i++)
		buf_printf(&j.text, "{\"n\":%d,\"text\":\"line %d\"}\n", i, i * 7);
	CHECK_OK(file_create_atomic(j.in, buf_slice(&j.text), &err), err);
	j.o.threads = 1;
	j.o.progress = cut_input;
	j.o.ctx = &j;
	CHECK_RC(convert_file(&j.o, &j.result, &err), RC_IO);
	CHECK(strstr(err.text, "was cut while it was read"));
	CHECK_INT(files_in(j.dir), 1);
	job_free(&j);
}

TEST_MAIN()
