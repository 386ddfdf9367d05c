/* A lake in a temporary folder, and what is in it: for the tests of this room. Events carry {"n": …}, a number of their own. */
#ifndef PIPELINE_FIXTURE_TEST_H
#define PIPELINE_FIXTURE_TEST_H

#include <unistd.h>

#include "base/log.h"
#include "base/test.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"
#include "parquet/reader.h"
#include "pipeline/pipeline_internal.h"

#define NUMBERS_MAX 200000

struct fixture {
	char dir[64];
	struct pipeline_options opts;
	struct pipeline *p;
	uint8_t *times; /* how often number n was seen */
};

static inline void fixture_init(struct fixture *f)
{
	log_set_level(LOG_ERROR);
	snprintf(f->dir, sizeof f->dir, "/tmp/hydrant-pipeline-XXXXXX");
	if (!mkdtemp(f->dir))
		abort();
	pipeline_options_default(&f->opts);
	f->opts.lake = f->dir;
	f->p = NULL;
	f->times = mem_zalloc(NUMBERS_MAX, 1);
}

static inline void fixture_free(struct fixture *f)
{
	pipeline_close(f->p);
	dir_remove_tree(f->dir, NULL);
	free(f->times);
}

static inline rc_t post(struct fixture *f, const char *collection, const char *body, struct err *err)
{
	struct ingest_request r = { .collection = slice_str(collection), .body = slice_str(body), .format = FRAME_NDJSON };
	struct ingest_reply reply;
	TRY(pipeline_ingest(f->p, &r, &reply, err));
	return wal_wait(pipeline_wal(f->p), reply.ticket, err);
}

struct fixture_file {
	int fd;
	const char *path;
};

static inline rc_t fixture_read(void *ctx, uint64_t offset, size_t len, void *out, struct err *err)
{
	struct fixture_file *file = ctx;
	return file_pread(file->fd, file->path, out, len, offset, NULL, err);
}

/* Counts the numbers of one file. */
static inline rc_t count_file(struct fixture *f, const char *path, uint64_t *rows, struct err *err)
{
	struct fixture_file file = { -1, path };
	TRY(file_open(path, FILE_READ, &file.fd, err));
	struct parquet_source source = { &file, 0, fixture_read };
	struct parquet_reader *reader = NULL;
	rc_t rc = file_size(file.fd, path, &source.size, err);
	if (rc == RC_OK)
		rc = parquet_reader_open(&source, NULL, &reader, err);
	const struct field *n = rc == RC_OK ? field_child(parquet_reader_schema(reader)->root, SLICE_LIT("n")) : NULL;
	struct batch batch;
	if (rc == RC_OK) {
		batch_init(&batch, parquet_reader_schema(reader));
		for (uint32_t g = 0; rc == RC_OK && g < parquet_reader_row_group_count(reader); g++) {
			rc = parquet_reader_read(reader, g, NULL, 0, 0, UINT32_MAX, &batch, err);
			*rows += rc == RC_OK ? batch.rows : 0;
			struct column *c = rc == RC_OK && n ? batch_column(&batch, n) : NULL;
			for (uint32_t i = 0; c && i < c->values; i++)
				f->times[column_i64_at(c, i) % NUMBERS_MAX]++;
		}
		batch_free(&batch);
	}
	parquet_reader_free(reader);
	file_close(file.fd);
	return rc;
}

struct count_ctx {
	struct fixture *f;
	struct view *v;
	uint64_t rows;
};

static inline rc_t count_data_file(void *ctx, const struct data_file *file, struct err *err)
{
	struct count_ctx *c = ctx;
	AUTO_MEM char *key = table_key(c->v->table, file->path);
	AUTO_MEM char *path = store_local_path(table_store(c->v->table), key);
	return count_file(c->f, path, &c->rows, err);
}

/* Looks at everything that a reader sees: f->times. */
static inline rc_t count_view(struct fixture *f, const char *collection, uint64_t *ret_rows, struct err *err)
{
	AUTO(view) *v = NULL;
	memset(f->times, 0, NUMBERS_MAX);
	*ret_rows = 0;
	rc_t rc = view_open(f->p, collection, &v, err);
	if (rc == RC_NOT_FOUND)
		return RC_OK;
	TRY(rc);
	struct count_ctx c = { f, v, 0 };
	if (v->table)
		TRY(table_files(v->table, INT32_MIN, INT32_MAX, count_data_file, &c, err));
	for (size_t i = 0; i < v->hot_count; i++)
		TRY(count_file(f, v->hot[i], &c.rows, err));
	*ret_rows = c.rows;
	return RC_OK;
}

#endif
