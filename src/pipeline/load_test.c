#include <sys/wait.h>
#include <zlib.h>

#include "pipeline/fixture_test.h"

static char *put(struct fixture *f, const char *name, const char *content)
{
	char *path = mem_printf("%s/%s", f->dir, name);
	if (file_replace_atomic(path, slice_str(content), NULL) != RC_OK)
		abort();
	return path;
}

static rc_t load(struct fixture *f, const char *path, uint64_t cut_bytes, struct load_result *ret, struct err *err)
{
	struct load_options lo = { .path = path, .collection = "x", .cut_bytes = cut_bytes };
	return pipeline_load(f->p, &lo, ret, err);
}

static char *numbers(unsigned from, unsigned to)
{
	struct buf b;
	buf_init(&b, 1 << 26);
	for (unsigned n = from; n < to; n++)
		buf_printf(&b, "{\"n\":%u,\"t\":\"2026-%02u-%02uT00:00:00Z\"}\n", n, 1 + n % 12, 1 + n % 28);
	return buf_cstr(&b);
}

/* Every number below `to` once. */
static bool each_once(struct fixture *f, unsigned to)
{
	for (unsigned n = 0; n < NUMBERS_MAX; n++)
		if (f->times[n] != (n < to))
			return false;
	return true;
}

static struct fixture f;
static struct err err;
static struct load_result r;
static uint64_t rows;

static void begin(void)
{
	fixture_init(&f);
	if (pipeline_open(&f.opts, &f.p, &err) != RC_OK)
		abort();
}

TEST(load_of_the_same_file_adds_nothing_whatever_its_name)
{
	begin();
	AUTO_MEM char *text = numbers(0, 1000), *a = put(&f, "a", text), *b = put(&f, "b", text);
	CHECK_OK(load(&f, a, 0, &r, &err), err);
	CHECK_INT(r.events, 1000);
	CHECK(!r.already);
	CHECK_OK(load(&f, a, 0, &r, &err), err);
	CHECK(r.already);
	CHECK_OK(load(&f, b, 0, &r, &err), err);
	CHECK(r.already);
	CHECK_INT(r.commits, 0);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK(each_once(&f, 1000));
	struct load_options again = { .path = a, .collection = "x", .again = true };
	CHECK_OK(pipeline_load(f.p, &again, &r, &err), err);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 2000);
	fixture_free(&f);
}

TEST(load_in_many_cuts_gives_every_event_once)
{
	begin();
	AUTO_MEM char *text = numbers(0, 500), *a = put(&f, "a", text);
	CHECK_OK(load(&f, a, 3000, &r, &err), err);
	CHECK_INT(r.events, 500);
	CHECK(r.commits > 3);
	CHECK_INT(r.bytes, strlen(text));
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK(each_once(&f, 500));
	CHECK_OK(load(&f, a, 3000, &r, &err), err);
	CHECK(r.already);
	fixture_free(&f);
}

/* As if the process had been killed then. */
static bool stop_progress;
static void stop_at(void *ctx, uint64_t offset, uint64_t size, uint64_t events)
{
	(void)offset, (void)size;
	if (stop_progress && events > *(unsigned *)ctx)
		_exit(7);
}

TEST(load_goes_on_after_an_interruption)
{
	fixture_init(&f);
	AUTO_MEM char *text = numbers(0, 500), *a = put(&f, "a", text);
	for (unsigned limit = 50; limit < 400; limit += 120) {
		pid_t pid = fork();
		if (!pid) {
			stop_progress = true;
			if (pipeline_open(&f.opts, &f.p, &err) != RC_OK)
				_exit(1);
			struct load_options lo = { .path = a, .collection = "x", .cut_bytes = 3000, .progress = stop_at, .ctx = &limit };
			pipeline_load(f.p, &lo, &r, &err);
			_exit(0);
		}
		int status;
		waitpid(pid, &status, 0);
	}
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(load(&f, a, 0, &r, &err), err);
	CHECK(r.skipped_bytes > 0);
	CHECK(r.events < 500);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK(each_once(&f, 500));
	fixture_free(&f);
}

TEST(load_of_a_grown_file_adds_what_is_new)
{
	begin();
	AUTO_MEM char *first = numbers(0, 100), *all = numbers(0, 300), *a = put(&f, "a", first);
	CHECK_OK(load(&f, a, 0, &r, &err), err);
	free(put(&f, "a", all));
	CHECK_OK(load(&f, a, 0, &r, &err), err);
	CHECK_INT(r.events, 200);
	CHECK_OK(load(&f, a, 0, &r, &err), err);
	CHECK(r.already);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK(each_once(&f, 300));
	fixture_free(&f);
}

TEST(load_of_a_grown_file_that_was_rotated_adds_what_is_new)
{
	begin();
	AUTO_MEM char *first = numbers(0, 3000), *all = numbers(0, 3500), *a = put(&f, "a", first), *rotated = mem_printf("%s.1", a);
	CHECK(strlen(first) > 65536);
	CHECK_OK(load(&f, a, 0, &r, &err), err);
	free(put(&f, "a", all));
	CHECK(rename(a, rotated) == 0);
	CHECK_OK(load(&f, rotated, 0, &r, &err), err);
	CHECK_INT(r.events, 500);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK(each_once(&f, 3500));
	CHECK_OK(load(&f, rotated, 0, &r, &err), err);
	CHECK(r.already);
	fixture_free(&f);
}

/* What is short may be a header that files have in common. */
TEST(load_of_another_path_that_begins_with_a_short_known_file_adds_all_of_it)
{
	begin();
	AUTO_MEM char *first = numbers(0, 10), *all = numbers(0, 30), *a = put(&f, "a", first), *b = put(&f, "b", all);
	CHECK_OK(load(&f, a, 0, &r, &err), err);
	CHECK_OK(load(&f, b, 0, &r, &err), err);
	CHECK_INT(r.events, 30);
	fixture_free(&f);
}

/* Another process, in the middle of this one's load. */
struct meanwhile {
	const char *path;
	const char *content; /* it replaces the file first; NULL: the file as it is */
	uint64_t cut_bytes, at;
	bool done;
};

static void load_meanwhile(void *ctx, uint64_t offset, uint64_t size, uint64_t events)
{
	struct meanwhile *m = ctx;
	(void)offset, (void)size;
	if (m->done || events < m->at)
		return;
	m->done = true;
	if (m->content)
		free(put(&f, "a", m->content));
	AUTO_MEM char *data = mem_printf("%s/other", f.dir);
	struct pipeline_options po = f.opts;
	po.data_dir = data;
	AUTO(pipeline) *other = NULL;
	struct load_options lo = { .path = m->path, .collection = "x", .cut_bytes = m->cut_bytes, .format = FRAME_NDJSON };
	struct load_result theirs;
	CHECK_OK(pipeline_open(&po, &other, &err), err);
	CHECK_OK(pipeline_load(other, &lo, &theirs, &err), err);
}

TEST(load_of_one_file_by_two_at_once_adds_it_once)
{
	for (unsigned at = 0; at < 500; at += 240) { /* before the first cut, and behind some */
		begin();
		AUTO_MEM char *text = numbers(0, 500), *bad = mem_printf("%s{bad\n", text), *a = put(&f, "a", bad);
		struct meanwhile m = { .path = a, .at = at, .cut_bytes = 3000 };
		struct load_options lo = { .path = a, .collection = "x", .cut_bytes = 3000, .progress = load_meanwhile, .ctx = &m, .format = FRAME_NDJSON };
		CHECK_OK(pipeline_load(f.p, &lo, &r, &err), err);
		CHECK(m.done);
		CHECK(r.already == !at);
		CHECK_OK(count_view(&f, "x", &rows, &err), err);
		CHECK(each_once(&f, 500));
		CHECK_OK(count_view(&f, "x__quarantine", &rows, &err), err);
		CHECK_INT(rows, 1);
		fixture_free(&f);
	}
}

TEST(load_of_a_file_that_is_replaced_and_loaded_by_another_meanwhile_skips_nothing)
{
	begin();
	AUTO_MEM char *text = numbers(0, 300), *more = numbers(400, 900), *other = mem_printf("%.*s%s", (int)(strchr(text, '\n') + 1 - text), text, more);
	AUTO_MEM char *a = put(&f, "a", text), *kept = mem_printf("%s.kept", a);
	CHECK(link(a, kept) == 0);
	struct meanwhile m = { .path = a, .content = other };
	struct load_options lo = { .path = a, .collection = "x", .progress = load_meanwhile, .ctx = &m };
	CHECK_RC(pipeline_load(f.p, &lo, &r, &err), RC_IO);
	CHECK(strstr(err.text, "was replaced"));
	CHECK_OK(load(&f, kept, 0, &r, &err), err);
	CHECK_INT(r.events, 300);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 801);
	fixture_free(&f);
}

TEST(load_of_another_file_of_the_same_size_and_beginning_adds_all_of_it)
{
	begin();
	AUTO_MEM char *a = put(&f, "a", "{\"n\":1}\n{\"n\":2}\n"), *b = put(&f, "b", "{\"n\":1}\n{\"n\":2} ");
	CHECK_OK(load(&f, a, 0, &r, &err), err);
	CHECK_OK(load(&f, b, 0, &r, &err), err);
	CHECK_INT(r.events, 2);
	fixture_free(&f);
}

TEST(load_of_nothing_but_invalid_lines_is_known_again)
{
	begin();
	AUTO_MEM char *a = put(&f, "a", "{bad\n{\"n\":}\n");
	struct load_options lo = { .path = a, .collection = "x", .format = FRAME_NDJSON };
	CHECK_OK(pipeline_load(f.p, &lo, &r, &err), err);
	CHECK_INT(r.quarantined, 2);
	CHECK_OK(pipeline_load(f.p, &lo, &r, &err), err);
	CHECK(r.already);
	CHECK_OK(count_view(&f, "x__quarantine", &rows, &err), err);
	CHECK_INT(rows, 2);
	fixture_free(&f);
}

TEST(load_of_a_file_that_is_cut_meanwhile_says_so)
{
	begin();
	AUTO_MEM char *text = numbers(0, 500), *a = put(&f, "a", text);
	CHECK_OK(load(&f, a, 0, &r, &err), err);
	AUTO_MEM char *shorter = numbers(0, 200);
	free(put(&f, "a", shorter)); /* its beginning: nothing is known to be this file */
	CHECK_OK(load(&f, a, 0, &r, &err), err);
	CHECK_INT(r.events, 200);
	fixture_free(&f);
}

TEST(load_of_a_packed_file_is_known_by_its_bytes)
{
	begin();
	AUTO_MEM char *text = numbers(0, 2000), *path = mem_printf("%s/a.gz", f.dir), *copy = mem_printf("%s/b.gz", f.dir);
	for (int i = 0; i < 2; i++) {
		gzFile z = gzopen(i ? copy : path, "wb6");
		gzwrite(z, text, (unsigned)strlen(text));
		gzclose(z);
	}
	CHECK_OK(load(&f, path, 20000, &r, &err), err);
	CHECK_INT(r.events, 2000);
	CHECK(r.commits > 1);
	CHECK_OK(load(&f, path, 0, &r, &err), err);
	CHECK(r.already);
	CHECK_OK(load(&f, copy, 0, &r, &err), err);
	CHECK(r.already);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK(each_once(&f, 2000));
	fixture_free(&f);
}

TEST(load_of_a_pipe_in_many_cuts_gives_every_event_once)
{
	begin();
	AUTO_MEM char *text = numbers(0, 1000);
	int ends[2], was = dup(0);
	CHECK(pipe(ends) == 0);
	pid_t pid = fork();
	if (!pid) {
		close(ends[0]);
		_exit(write(ends[1], text, strlen(text)) < 0);
	}
	close(ends[1]);
	dup2(ends[0], 0);
	close(ends[0]);
	rc_t rc = load(&f, "-", 5000, &r, &err);
	dup2(was, 0);
	close(was);
	waitpid(pid, NULL, 0);
	CHECK_OK(rc, err);
	CHECK_INT(r.events, 1000);
	CHECK(r.commits > 5);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK(each_once(&f, 1000));
	fixture_free(&f);
}

TEST_MAIN()
