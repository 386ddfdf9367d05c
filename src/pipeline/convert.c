#include "pipeline/convert_internal.h"

#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>

#include "json/notes.h"
#include "os/clock.h"

#define THREADS_MAX 256u
#define KEEP_MAX    ((size_t)16 << 20) /* encoded bytes of a range that wait for the ranges before */

static rc_t convert_write(void *ctx, const void *data, size_t len, struct err *reterr)
{
	struct convert *c = ctx;
	return output_write(&c->output, slice_of(data, len), reterr);
}

static unsigned cpu_count(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* ---- workers ---- */

static void *worker_main(void *ctx)
{
	struct worker *w = ctx;
	while (turn_next_range(w))
		range_run(w);
	return NULL;
}

/* The calling thread works, too. Threads that cannot be started are done without. */
static void convert_run(struct convert *c, struct worker *workers, unsigned count)
{
	struct parquet_group_options keep = { .keep = KEEP_MAX, .turn = turn_append, .ready = turn_ready };
	unsigned started = 1;
	for (unsigned i = 0; i < count; i++) {
		struct worker *w = &workers[i];
		w->c = c;
		framing_init(&w->framing);
		buf_init(&w->text, SIZE_MAX / 2); /* bounded by the size of a range, and a call of the source */
		buf_init(&w->marks, SIZE_MAX / 2);
		keep.ctx = w;
		w->group = parquet_group_new(c->writer, &keep);
	}
	while (started < count && pthread_create(&workers[started].thread, NULL, worker_main, &workers[started]) == 0)
		started++;
	worker_main(&workers[0]);
	for (unsigned i = 1; i < started; i++)
		pthread_join(workers[i].thread, NULL);
}

static rc_t convert_ranges(struct convert *c, struct err *reterr)
{
	unsigned count = c->opts->threads ? c->opts->threads : cpu_count();
	if (count > THREADS_MAX)
		count = THREADS_MAX;
	struct worker *workers = mem_zalloc(count, sizeof *workers);
	convert_run(c, workers, count);
	for (unsigned i = 0; i < count; i++)
		worker_free(&workers[i]);
	free(workers);
	if (c->failed != RANGE_NONE && reterr)
		*reterr = c->err;
	return c->rc;
}

/* ---- the file ---- */

/* What the footer needs for a value: what is no UTF-8 stands there in base64. */
static uint64_t footer_bytes(const struct buf *value)
{
	return (value->len + 2) / 3 * 4;
}

static void count_leaf(struct convert_result *r, const struct parquet_leaf_info *l)
{
	uint64_t bytes = (uint64_t)l->column_size;
	if (l->field->role == ROLE_SHAPE)
		r->shape_bytes += bytes;
	if (l->field->role == ROLE_RAW)
		r->raw_bytes += bytes;
	if (l->field->parent && l->field->parent->role == ROLE_REST)
		r->rest_bytes += bytes;
}

static rc_t convert_finish(struct convert *c, struct err *reterr)
{
	struct schema *schema = shredder_schema_mutable(c->shredder);
	schema_assign_ids(schema);
	AUTO_BUF struct buf notes;
	buf_init(&notes, BUF_MAX_DEFAULT);
	schema_notes_encode(schema, &notes);
	parquet_writer_metadata(c->writer, SCHEMA_NOTES_KEY, buf_slice(&notes));
	buf_reset(&notes);
	shredder_keys(c->shredder, &notes);
	parquet_writer_metadata(c->writer, SHAPE_KEYS_KEY, buf_slice(&notes));
	c->result->keys_bytes = footer_bytes(&notes);
	buf_reset(&notes);
	framing_encode(&c->framing, &notes);
	parquet_writer_metadata(c->writer, CONVERT_FRAMING_KEY, buf_slice(&notes));
	c->result->framing_bytes = footer_bytes(&notes);
	struct parquet_file_info info;
	TRY(parquet_writer_finish(c->writer, schema, &info, reterr));
	c->result->bytes_out = (uint64_t)info.bytes;
	c->result->columns = info.leaf_count;
	c->result->row_groups = info.split_count;
	for (uint32_t i = 0; i < info.leaf_count; i++)
		count_leaf(c->result, &info.leaves[i]);
	parquet_file_info_clear(&info);
	return RC_OK;
}

/* Renamed over its input, the result would be all that is left of it. */
static rc_t check_distinct(const struct convert_options *o, struct err *reterr)
{
	struct stat in, out;
	if (strcmp(o->in, "-") != 0 && strcmp(o->out, "-") != 0 && stat(o->in, &in) == 0 && stat(o->out, &out) == 0 && S_ISREG(out.st_mode) &&
	    in.st_dev == out.st_dev && in.st_ino == out.st_ino)
		return err_set(reterr, RC_INVALID, "%s is the input: name another output file", o->out);
	return RC_OK;
}

static rc_t convert_open(struct convert *c, struct err *reterr)
{
	const struct convert_options *o = c->opts;
	TRY(check_distinct(o, reterr));
	struct file_source_options so = { .path = o->in, .format = o->format, .once = true, .unchecked = true, .framing = &c->framing,
					  .first_read = o->sample_bytes };
	TRY(file_source_open(&so, &c->source, reterr));
	TRY(file_source_cut(c->source, 0, UINT64_MAX, UINT64_MAX, reterr));
	TRY(file_source_rewind(c->source, reterr));
	struct shred_options ro = { .verify_all = o->verify_all, .cpu_ns = o->time_checks ? clock_thread_cpu_ns : NULL };
	TRY(shredder_new(&ro, NULL, &c->shredder, reterr));
	TRY(output_open(o->out, &c->output, reterr));
	struct parquet_sink sink = { c, convert_write };
	struct parquet_writer_options wo;
	parquet_writer_options_default(&wo);
	wo.codec = o->codec;
	wo.level = o->codec_level;
	wo.bloom_filters = o->bloom_filters;
	return parquet_writer_new(&sink, &wo, &c->writer, reterr);
}

static void convert_close(struct convert *c)
{
	turn_release_bases(c);
	parquet_writer_free(c->writer);
	shredder_free(c->shredder);
	file_source_close(c->source);
	framing_free(&c->framing);
	pthread_cond_destroy(&c->moved);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->file_lock);
}

rc_t convert_file(const struct convert_options *opts, struct convert_result *ret, struct err *reterr)
{
	memset(ret, 0, sizeof *ret);
	int64_t start = clock_mono_us(), cpu = clock_cpu_us();
	struct convert c = { .opts = opts, .result = ret, .output = OUTPUT_CLOSED, .end = RANGE_NONE, .failed = RANGE_NONE };
	pthread_mutex_init(&c.lock, NULL);
	pthread_mutex_init(&c.file_lock, NULL);
	pthread_cond_init(&c.moved, NULL);
	framing_init(&c.framing);
	rc_t rc = convert_open(&c, reterr);
	if (rc == RC_OK)
		rc = convert_ranges(&c, reterr);
	if (rc == RC_OK)
		rc = convert_finish(&c, reterr);
	rc = output_close(&c.output, rc, true, reterr);
	if (rc == RC_OK) {
		ret->format = file_source_format(c.source);
		ret->bytes_in = c.cut ? c.size : file_source_end(c.source);
		ret->stats = shredder_stats(c.shredder);
		ret->took_us = clock_mono_us() - start;
		ret->cpu_us = clock_cpu_us() - cpu;
	}
	convert_close(&c);
	return rc;
}
