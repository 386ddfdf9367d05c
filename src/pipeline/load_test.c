#include <limits.h>
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

static char *text_of(unsigned i, unsigned lines)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	for (unsigned n = 0; n < lines; n++)
		buf_printf(&b, "{\"n\":%u}\n", i * 2 + n);
	return buf_cstr(&b);
}

static rc_t load_one_of(unsigned i, unsigned lines)
{
	AUTO_MEM char *text = text_of(i, lines), *name = mem_printf("many%u", i), *path = put(&f, name, text);
	return load(&f, path, 0, &r, &err);
}

static struct table *open_table(void)
{
	struct store *store;
	struct table *t = NULL;
	if (pipeline_store_of(f.p, "x", &store, &err) != RC_OK || table_open(store, "x", &t, &err) != RC_OK)
		abort();
	return t;
}

/* As if files `from` to `to` of one line had been loaded, a second after one another, by whoever wrote no more than this of them. */
static rc_t seem_loaded(unsigned from, unsigned to, uint64_t first_second)
{
	AUTO(table) *t = open_table();
	struct table_property *all = mem_zalloc(to - from, sizeof *all);
	for (unsigned i = from; i < to; i++) {
		char hash[33], real[PATH_MAX];
		AUTO_MEM char *text = text_of(i, 1);
		hash128_hex(hash128(slice_str(text)), hash);
		if (!realpath(f.dir, real))
			abort();
		AUTO_MEM char *path = mem_printf("%s/many%u", real, i);
		all[i - from].key = mem_printf("%sfile-%012u", TABLE_POSITION_PREFIX, i);
		all[i - from].value = mem_printf("0:%zu:%zu:%s:%llx:%llu", strlen(text), strlen(text), hash, (unsigned long long)hash64(slice_str(path)),
						 (unsigned long long)(first_second + i));
	}
	struct table_commit c = { .updates = all, .update_count = to - from };
	rc_t rc = table_append(t, &c, &err);
	for (unsigned i = from; i < to; i++) {
		free((void *)all[i - from].key);
		free((void *)all[i - from].value);
	}
	free(all);
	return rc;
}

/* Another process, in the middle of this one's load. */
struct meanwhile {
	const char *path;
	const char *content; /* it replaces the file first; NULL: the file as it is */
	uint64_t cut_bytes, at;
	unsigned also; /* so many files seem to be loaded before that, too */
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
	if (m->also)
		CHECK_OK(seem_loaded(1000, 1000 + m->also, 1), err);
	AUTO_MEM char *data = mem_printf("%s/other", f.dir);
	struct pipeline_options po = f.opts;
	po.data_dir = data;
	AUTO(pipeline) *other = NULL;
	struct load_options lo = { .path = m->path, .collection = "x", .cut_bytes = m->cut_bytes, .format = FRAME_NDJSON };
	struct load_result theirs;
	CHECK_OK(pipeline_open(&po, &other, &err), err);
	CHECK_OK(pipeline_load(other, &lo, &theirs, &err), err);
}

static size_t position_count;
static bool count_position(void *ctx, const char *key, const char *value)
{
	(void)ctx, (void)value;
	position_count += !strncmp(key, TABLE_POSITION_PREFIX, strlen(TABLE_POSITION_PREFIX));
	return true;
}

/* More files than the metadata has room for: most of them are in the list, and a file that is there may grow. */
TEST(load_of_one_of_thousands_of_known_files_adds_nothing)
{
	enum { FILES = 3000 };
	begin();
	uint64_t now = (uint64_t)(clock_wall_us() / 1000000);
	CHECK_OK(load_one_of(FILES, 1), err);
	for (unsigned i = 0; i < FILES; i += 1000) {
		CHECK_OK(seem_loaded(i, i + 1000, now - 2 * FILES), err);
		CHECK_OK(load_one_of(FILES + 1 + i / 1000, 1), err);
		CHECK(!r.already);
		CHECK_INT(r.forgotten, 0);
	}
	for (unsigned i = 0; i <= FILES + 3; i += i < FILES ? 60 : 1) {
		CHECK_OK(load_one_of(i, 1), err);
		CHECK(r.already);
	}
	CHECK_OK(load_one_of(3, 2), err); /* it has grown */
	CHECK_INT(r.events, 1);
	CHECK_OK(load_one_of(3, 2), err);
	CHECK(r.already);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 5);
	CHECK_INT(f.times[7], 1);
	AUTO(table) *t = open_table();
	position_count = 0;
	table_properties(t, count_position, NULL);
	CHECK(position_count <= 501);
	/* without the list nothing is added by mistake */
	AUTO_MEM char *list = mem_printf("x/_files/%s", table_property(t, "hydrant.files"));
	CHECK_OK(store_delete(table_store(t), list, &err), err);
	pipeline_close(f.p);
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_RC(load_one_of(FILES + 9, 1), RC_CORRUPT);
	CHECK(strstr(err.text, "--again"));
	fixture_free(&f);
}

TEST(load_forgets_only_what_is_old_and_beyond_a_hundred_thousand_files_and_says_so)
{
	begin();
	uint64_t now = (uint64_t)(clock_wall_us() / 1000000);
	CHECK_OK(load_one_of(200000, 1), err);
	CHECK_OK(seem_loaded(0, 100000, 1), err);
	CHECK_OK(load_one_of(200001, 1), err);
	CHECK_OK(seem_loaded(100000, 101000, now - 10 * 86400), err); /* 1000 too many, and 250 of them are kept beside the list */
	CHECK_OK(load_one_of(200002, 1), err);
	CHECK_INT(r.forgotten, 1000 + 3 - 1 - 250);
	CHECK_OK(load_one_of(1500, 1), err);
	CHECK(r.already);
	CHECK_OK(load_one_of(5, 1), err);
	CHECK(!r.already);
	fixture_free(&f);
}

/* Two at once that both fold: what one of them read of a file's property is no more what stands there. */
TEST(load_that_finds_its_files_property_folded_by_another_adds_nothing_twice)
{
	begin();
	uint64_t now = (uint64_t)(clock_wall_us() / 1000000);
	AUTO_MEM char *two = text_of(0, 2), *a = put(&f, "many0", two), *b = put(&f, "b", "{\"n\":99}\n");
	CHECK_OK(load_one_of(9999, 1), err);
	CHECK_OK(seem_loaded(0, 400, now - 1000), err);
	free(put(&f, "many0", two));
	struct meanwhile m = { .path = b, .also = 400 };
	struct load_options lo = { .path = a, .collection = "x", .progress = load_meanwhile, .ctx = &m };
	CHECK_OK(pipeline_load(f.p, &lo, &r, &err), err);
	CHECK(m.done);
	CHECK_OK(load_one_of(0, 2), err);
	CHECK(r.already);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 3);
	CHECK_INT(f.times[1], 1);
	fixture_free(&f);
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
