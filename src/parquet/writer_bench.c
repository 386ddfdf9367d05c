/* What writing costs, with and without compression: log lines (flat, 10 columns) and sparse wide events (300 leaves in structs); or, with
 * arguments (writer_bench FILE.parquet...), what writing the row groups of those files again costs, which is what real data is measured with.
 */
#include "base/bench.h"
#include "parquet/reader.h"
#include "parquet/writer.h"

static rc_t count_bytes(void *ctx, const void *data, size_t len, struct err *reterr)
{
	*(size_t *)ctx += len;
	return RC_OK;
}

static struct field *add(struct schema *s, struct field *parent, const char *name, enum type type)
{
	return schema_add(s, parent, slice_str(name), type);
}

static void put_text(struct column *c, uint32_t slot, const char *text)
{
	column_put_bytes(c, slot, slice_str(text));
}

static void fill_logs(struct schema *s, struct batch *b, uint32_t rows)
{
	static const struct {
		const char *name;
		enum type type;
	} fields[] = { { "__time", TYPE_TIMESTAMPTZ }, { "ip", TYPE_STRING }, { "method", TYPE_STRING }, { "path", TYPE_STRING },
		       { "status", TYPE_INT64 },       { "bytes", TYPE_INT64 }, { "took", TYPE_DOUBLE }, { "agent", TYPE_STRING },
		       { "request_id", TYPE_STRING },  { "referer", TYPE_STRING } };
	static const char *const methods[] = { "GET", "GET", "GET", "POST", "HEAD" };
	char text[160];
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		add(s, NULL, fields[i].name, fields[i].type);
	batch_init(b, s);
	struct column *c = b->root.children;
	for (uint32_t r = 0; r < rows; r++) {
		int64_t time = 1700000000000000 + (int64_t)r * 1500 + (int64_t)(bench_random() % 1000), status = bench_random() % 20 ? 200 : 404;
		int64_t bytes = (int64_t)(bench_random() % 100000);
		double took = (double)(bench_random() % 5000) / 1000;
		column_put_fixed(&c[0], r, &time, 8);
		snprintf(text, sizeof text, "10.%u.%u.%u", (unsigned)(bench_random() % 4), (unsigned)(bench_random() % 30), (unsigned)(bench_random() % 50));
		put_text(&c[1], r, text);
		put_text(&c[2], r, methods[bench_random() % 5]);
		snprintf(text, sizeof text, "/api/v%u/items/%u/detail", (unsigned)(bench_random() % 3), (unsigned)(bench_random() % 40000));
		put_text(&c[3], r, text);
		column_put_fixed(&c[4], r, &status, 8);
		column_put_fixed(&c[5], r, &bytes, 8);
		column_put_fixed(&c[6], r, &took, 8);
		snprintf(text, sizeof text, "Mozilla/5.0 (X11; Linux x86_64) Gecko/%u Firefox/%u.0", (unsigned)(bench_random() % 30), (unsigned)(bench_random() % 12));
		put_text(&c[7], r, text);
		snprintf(text, sizeof text, "%08x-%04x-%04x-%012llx", (unsigned)bench_random(), (unsigned)(bench_random() & 0xffff), (unsigned)(bench_random() & 0xffff),
			 (unsigned long long)(bench_random() & 0xffffffffffff));
		put_text(&c[8], r, text);
		if (bench_random() % 3 == 0)
			put_text(&c[9], r, "https://www.example.org/start");
	}
	b->rows = rows;
}

/* 12 kinds of events with a struct of 25 fields each; a row has one of them and a few common fields. */
static void fill_wide(struct schema *s, struct batch *b, uint32_t rows)
{
	char name[40], text[80];
	add(s, NULL, "id", TYPE_INT64);
	for (unsigned k = 0; k < 12; k++) {
		snprintf(name, sizeof name, "kind%u", k);
		struct field *g = add(s, NULL, name, TYPE_STRUCT);
		for (unsigned i = 0; i < 25; i++) {
			snprintf(name, sizeof name, "field%u", i);
			add(s, g, name, i % 3 == 0 ? TYPE_INT64 : TYPE_STRING);
		}
	}
	batch_init(b, s);
	for (uint32_t r = 0; r < rows; r++) {
		int64_t id = 5000000000 + (int64_t)r * 7;
		column_put_fixed(&b->root.children[0], r, &id, 8);
		struct column *g = &b->root.children[1 + bench_random() % 12];
		uint32_t slot = column_mark(g, r);
		for (unsigned i = 0; i < 25; i++) {
			struct column *c = &g->children[i];
			if (bench_random() % 5 == 0)
				continue;
			int64_t v = (int64_t)(bench_random() % 1000000);
			if (i % 3 == 0) {
				column_put_fixed(c, slot, &v, 8);
			} else {
				snprintf(text, sizeof text, "https://api.example.org/repos/%u/%s", (unsigned)(bench_random() % (i * 400)), i % 2 ? "commits" : "labels");
				put_text(c, slot, text);
			}
		}
	}
	b->rows = rows;
}

static void must(rc_t rc, const struct err *err)
{
	if (rc == RC_OK)
		return;
	puts(err->text);
	exit(1);
}

/* Best of the rounds, CPU seconds. */
static void bench(const char *name, const struct schema *s, const struct batch *batches, size_t n, const char *codec, unsigned rounds)
{
	double mb = 0, best = 1e9;
	size_t bytes = 0, memory = 0;
	for (size_t i = 0; i < n; i++)
		mb += (double)batch_bytes(&batches[i]) / 1e6;
	for (unsigned round = 0; round < rounds; round++) {
		struct parquet_writer_options o;
		parquet_writer_options_default(&o);
		parquet_codec_parse(slice_str(codec), &o.codec, &o.level, NULL);
		bytes = 0;
		AUTO(parquet_writer) *w = NULL;
		struct err err = { 0 };
		double start = bench_now();
		must(parquet_writer_new(&(struct parquet_sink){ &bytes, count_bytes }, &o, &w, &err), &err);
		for (size_t i = 0; i < n; i++)
			must(parquet_writer_row_group(w, &batches[i], &err), &err);
		must(parquet_writer_finish(w, s, NULL, &err), &err);
		double took = bench_now() - start;
		best = took < best ? took : best;
		memory = parquet_writer_memory(w);
	}
	printf("%-24s %-12s %6.1f MB in columns %7.4f s %6.0f MB/s, file %9zu bytes, memory %5.1f MB\n", name, codec, mb, best, mb / best, bytes,
	       (double)memory / 1e6);
}

static void bench_made(const char *name, void (*fill)(struct schema *, struct batch *, uint32_t), uint32_t rows)
{
	static const char *const codecs[] = { "uncompressed", "lz4_raw", "snappy", "zstd:1" };
	AUTO(schema) *s = schema_new();
	struct batch b;
	fill(s, &b, rows);
	batch_seal(&b);
	for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++)
		bench(name, s, &b, 1, codecs[i], 3);
	batch_free(&b);
}

static rc_t file_read(void *ctx, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	FILE *f = ctx;
	if (fseek(f, (long)offset, SEEK_SET) != 0 || fread(out, 1, len, f) != len)
		return err_set(reterr, RC_IO, "the file cannot be read");
	return RC_OK;
}

static void bench_file(const char *path, const char *codec, unsigned rounds)
{
	FILE *f = fopen(path, "rb");
	if (!f || fseek(f, 0, SEEK_END) != 0) {
		printf("%s cannot be read\n", path);
		exit(1);
	}
	struct parquet_source source = { f, (uint64_t)ftell(f), file_read };
	AUTO(parquet_reader) *r = NULL;
	struct err err = { 0 };
	must(parquet_reader_open(&source, NULL, &r, &err), &err);
	uint32_t groups = parquet_reader_row_group_count(r);
	struct batch *batches = mem_zalloc(groups + 1, sizeof *batches);
	for (uint32_t i = 0; i < groups; i++) {
		batch_init(&batches[i], parquet_reader_schema(r));
		must(parquet_reader_read(r, i, NULL, 0, 0, UINT32_MAX, &batches[i], &err), &err);
	}
	const char *name = strrchr(path, '/');
	bench(name ? name + 1 : path, parquet_reader_schema(r), batches, groups, codec, rounds);
	for (uint32_t i = 0; i < groups; i++)
		batch_free(&batches[i]);
	free(batches);
	fclose(f);
}

int main(int argc, char **argv)
{
	const char *codec = getenv("BENCH_CODEC"), *rounds = getenv("BENCH_ROUNDS");
	for (int i = 1; i < argc; i++)
		bench_file(argv[i], codec ? codec : "zstd:1", rounds ? (unsigned)strtoul(rounds, NULL, 10) : 5);
	if (argc > 1)
		return 0;
	bench_made("logs", fill_logs, 300000);
	bench_made("wide", fill_wide, 100000);
	return 0;
}
