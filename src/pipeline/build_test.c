#include "pipeline/build.h"
#include "pipeline/fixture_test.h"

#define EVENTS 30000
#define DAYS 40

static struct event events[EVENTS];
static struct err err;
static bool changes; /* the second reading misses an event */
static const char *swept; /* a folder that loses its files after a half of each reading */

struct source {
	size_t at, readings;
};

static rc_t source_rewind(void *ctx, struct err *e)
{
	struct source *s = ctx;
	(void)e;
	s->at = 0;
	s->readings++;
	return RC_OK;
}

static rc_t remove_file(void *ctx, const char *name, bool is_dir)
{
	AUTO_MEM char *path = mem_printf("%s/%s", swept, name);
	(void)ctx, (void)is_dir;
	return file_remove(path, NULL);
}

static rc_t source_next(void *ctx, const struct event **ret, size_t *n, struct err *e)
{
	struct source *s = ctx;
	(void)e;
	size_t end = EVENTS - (changes && s->readings > 1);
	if (s->at == end)
		return RC_EOF;
	if (swept && s->at > end / 2)
		dir_list(swept, remove_file, NULL, NULL);
	*ret = events + s->at;
	*n = end - s->at < 777 ? end - s->at : 777;
	s->at += *n;
	return RC_OK;
}

static void make_events(void)
{
	if (events[0].payload.len)
		return;
	for (unsigned i = 0; i < EVENTS; i++) {
		unsigned day = (i * 2654435761u >> 8) % DAYS;
		char *text = mem_printf("{\"n\":%u,\"time\":\"2026-%02u-%02uT10:00:00Z\",\"pad\":\"%040u\"}", i, 1 + day / 28 % 12, 1 + day % 28, i);
		events[i] = (struct event){ .payload = slice_str(text), .received = 1798761600000000, .pos = i + 1 };
		if (i % 100 == 7)
			events[i].reason = SLICE_LIT("for the test");
	}
}

struct built {
	size_t files, readings;
	uint64_t rows, largest;
	struct hash128 hash;
};

/* Builds and counts: f->times. */
static rc_t build(struct fixture *f, size_t memory, uint64_t file_bytes, uint64_t after, bool quarantine, bool twice, struct built *ret)
{
	static unsigned serial;
	AUTO_MEM char *name = mem_printf("c%u", serial++);
	struct build_options bo = { .store = f->p->places->store, .collection = name, .source = "log", .codec = PARQUET_ZSTD, .codec_level = 1,
				    .file_bytes = file_bytes, .memory_bytes = memory, .after = after, .quarantine = quarantine };
	AUTO(builder) *b = NULL;
	AUTO(table) *t = NULL;
	struct source s = { 0 };
	struct build_source source = { &s, source_rewind, source_next };
	TRY(builder_new(&bo, NULL, &b, &err));
	TRY(builder_run(b, &source, "stem", &err));
	if (twice) {
		builder_discard(b);
		TRY(builder_run(b, &source, "stem", &err));
	}
	TRY(table_create(bo.store, name, builder_schema(b), NULL, 0, &t, &err));
	const struct data_file *files;
	size_t n;
	TRY(builder_publish(b, t, &files, &n, &err));
	*ret = (struct built){ .files = n, .readings = s.readings, .hash = builder_hash(b) };
	memset(f->times, 0, NUMBERS_MAX);
	uint64_t claimed = 0;
	for (size_t i = 0; i < n; i++) {
		AUTO_MEM char *key = table_key(t, files[i].path);
		AUTO_MEM char *path = store_local_path(bo.store, key);
		TRY(count_file(f, path, &ret->rows, &err));
		claimed += (uint64_t)files[i].record_count;
		ret->largest = (uint64_t)files[i].file_size > ret->largest ? (uint64_t)files[i].file_size : ret->largest;
	}
	return claimed == ret->rows && ret->rows == builder_events(b) ? RC_OK : err_set(&err, RC_CORRUPT, "counts differ");
}

static bool wanted_once(const struct fixture *f, uint64_t after)
{
	for (unsigned i = 0; i < EVENTS; i++)
		if (f->times[i] != (!events[i].reason.len && events[i].pos > after))
			return false;
	return true;
}

TEST(build_with_little_memory_gives_the_same_rows)
{
	struct fixture f;
	struct built plenty, little;
	fixture_init(&f);
	make_events();
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(build(&f, (size_t)512 << 20, 1 << 27, 0, false, false, &plenty), err);
	CHECK(wanted_once(&f, 0));
	CHECK_INT(plenty.readings, 1);
	CHECK_OK(build(&f, (size_t)2 << 20, 1 << 27, 0, false, false, &little), err);
	CHECK(wanted_once(&f, 0));
	CHECK(little.readings > 1); /* partitions were deferred */
	CHECK_INT(little.files, plenty.files);
	CHECK(little.hash.lo == plenty.hash.lo && little.hash.hi == plenty.hash.hi);
	fixture_free(&f);
}

TEST(build_whose_temporary_files_were_swept_fails_and_writes_no_file_with_a_hole)
{
	struct fixture f;
	struct built built = { 0 };
	fixture_init(&f);
	make_events();
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	AUTO_MEM char *temp = mem_printf("%s/_hydrant/tmp", f.dir);
	swept = temp;
	CHECK_RC(build(&f, (size_t)2 << 20, 1 << 27, 0, false, false, &built), RC_NOT_FOUND);
	swept = NULL;
	CHECK_OK(build(&f, (size_t)2 << 20, 1 << 27, 0, false, false, &built), err);
	CHECK(wanted_once(&f, 0));
	fixture_free(&f);
}

TEST(build_again_after_discarding_gives_the_same)
{
	struct fixture f;
	struct built once, twice;
	fixture_init(&f);
	make_events();
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(build(&f, (size_t)4 << 20, 1 << 27, 0, false, false, &once), err);
	CHECK_OK(build(&f, (size_t)4 << 20, 1 << 27, 0, false, true, &twice), err);
	CHECK(wanted_once(&f, 0));
	CHECK_INT(twice.files, once.files);
	CHECK(twice.hash.lo == once.hash.lo && twice.hash.hi == once.hash.hi);
	fixture_free(&f);
}

/* Builds the cut for the table `name` and stores it; the first file's key in the store. */
static rc_t put_cut(struct fixture *f, const char *name, uint64_t seed, char **ret_key)
{
	struct store *store;
	TRY(pipeline_store_of(f->p, name, &store, &err));
	struct build_options bo = { .store = store, .collection = name, .source = "log", .codec = PARQUET_ZSTD, .codec_level = 1,
				    .file_bytes = 1 << 27, .memory_bytes = (size_t)64 << 20, .key_seed = seed };
	AUTO(builder) *b = NULL;
	AUTO(table) *t = NULL;
	struct source s = { 0 };
	struct build_source source = { &s, source_rewind, source_next };
	const struct data_file *files;
	size_t n;
	rc_t rc = table_open(bo.store, name, &t, &err);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	TRY(builder_new(&bo, t ? table_schema(t) : NULL, &b, &err));
	TRY(builder_run(b, &source, "stem", &err));
	if (!t)
		TRY(table_create(bo.store, name, builder_schema(b), NULL, 0, &t, &err));
	TRY(builder_publish(b, t, &files, &n, &err));
	*ret_key = table_key(t, files[0].path);
	return RC_OK;
}

/* A put whose sender is gone may come through late, when the repeated cut is committed already: the table says how long its file is. */
TEST(build_of_a_repeated_cut_never_puts_other_bytes_under_a_name)
{
	struct fixture f;
	char *first, *again, *other;
	fixture_init(&f);
	make_events();
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(put_cut(&f, "names", 7, &first), err);
	CHECK_OK(put_cut(&f, "names", 7, &again), err);
	CHECK(strcmp(first, again) == 0); /* nor one more file each time that a commit is tried */
	free(again);
	CHECK_OK(put_cut(&f, "names", 0, &other), err); /* after a restart */
	CHECK(strcmp(first, other) != 0);
	CHECK(strncmp(first, other, strlen(first) - strlen("00000000.parquet")) == 0);
	free(first);
	free(other);
	fixture_free(&f);
}

TEST(build_leaves_out_what_is_committed_and_the_other_kind)
{
	struct fixture f;
	struct built b;
	fixture_init(&f);
	make_events();
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(build(&f, (size_t)4 << 20, 1 << 27, 12345, false, false, &b), err);
	CHECK(wanted_once(&f, 12345));
	CHECK_OK(build(&f, (size_t)4 << 20, 1 << 27, EVENTS, false, false, &b), err);
	CHECK_INT(b.rows, 0);
	CHECK_OK(build(&f, (size_t)64 << 20, 1 << 27, 0, true, false, &b), err);
	CHECK_INT(b.rows, EVENTS / 100);
	fixture_free(&f);
}

TEST(build_from_a_source_that_changes_fails)
{
	struct fixture f;
	struct built b;
	fixture_init(&f);
	make_events();
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	changes = true;
	rc_t rc = build(&f, (size_t)2 << 20, 1 << 27, 0, false, false, &b);
	changes = false;
	CHECK_RC(rc, RC_CONFLICT);
	fixture_free(&f);
}

TEST_MAIN()
