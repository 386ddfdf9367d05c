#include "pipeline/convert.h"

#include <stdio.h>
#include <sys/stat.h>

#include "json/notes.h"
#include "os/clock.h"
#include "os/file.h"
#include "parquet/writer.h"
#include "source/file.h"

#define GROUP_BYTES ((size_t)64 << 20)

struct convert {
	const struct convert_options *opts;
	struct convert_result *result;
	struct framing framing;
	struct file_source *source;
	struct shredder *shredder;
	struct parquet_writer *writer;
	struct batch batch;
	bool has_batch;
	char *temp;
	int fd;
	uint64_t offset;
	struct event *events; /* a copy where some are invalid */
	size_t cap;
};

static rc_t convert_write(void *ctx, const void *data, size_t len, struct err *reterr)
{
	struct convert *c = ctx;
	TRY(file_pwrite(c->fd, c->temp, data, len, c->offset, reterr));
	c->offset += len;
	return RC_OK;
}

static struct batch *convert_route(void *ctx, size_t i, int64_t time_us)
{
	struct convert *c = ctx;
	(void)i, (void)time_us;
	return &c->batch;
}

static rc_t convert_seal(struct convert *c, struct err *reterr)
{
	if (!c->batch.rows)
		return RC_OK;
	batch_seal(&c->batch);
	TRY(parquet_writer_row_group(c->writer, &c->batch, reterr));
	batch_reset(&c->batch);
	return RC_OK;
}

/* Invalid events lose their reason and keep their bytes; strict refuses them. */
static rc_t accept_invalid(struct convert *c, const struct event **events, size_t n, struct err *reterr)
{
	size_t first = 0;
	while (first < n && !(*events)[first].reason.len)
		first++;
	if (first == n)
		return RC_OK;
	if (c->opts->strict)
		return err_set(reterr, RC_INVALID, "%s: %.*s; without --strict such lines are kept as bytes", c->opts->in,
			       SLICE_ARG((*events)[first].reason));
	if (n > c->cap) {
		c->cap = n + n / 2;
		c->events = mem_realloc(c->events, c->cap * sizeof *c->events);
	}
	memcpy(c->events, *events, n * sizeof *c->events);
	for (size_t i = first; i < n; i++) {
		if (!c->events[i].reason.len)
			continue;
		c->events[i].reason = (struct slice){ 0 };
		c->events[i].kind = PAYLOAD_RAW;
		c->result->invalid++;
	}
	*events = c->events;
	return RC_OK;
}

/* Lines come unchecked; where one turns out not to be JSON, it and those behind it are checked. */
static rc_t convert_batch(struct convert *c, const struct event *events, size_t n, struct err *reterr)
{
	for (;;) {
		TRY(accept_invalid(c, &events, n, reterr));
		rc_t rc = shredder_run(c->shredder, events, n, convert_route, c, reterr);
		if (rc != RC_AGAIN)
			return rc;
		file_source_check(c->source, events[shredder_stopped(c->shredder)].pos, &events, &n);
	}
}

static rc_t convert_events(struct convert *c, struct err *reterr)
{
	TRY(file_source_cut(c->source, 0, UINT64_MAX, UINT64_MAX, reterr));
	TRY(file_source_rewind(c->source, reterr));
	for (;;) {
		const struct event *events;
		size_t n;
		rc_t rc = file_source_next(c->source, &events, &n, reterr);
		if (rc == RC_EOF)
			return convert_seal(c, reterr);
		if (rc != RC_OK)
			return rc;
		TRY(convert_batch(c, events, n, reterr));
		c->result->events += n;
		if (batch_bytes(&c->batch) >= GROUP_BYTES)
			TRY(convert_seal(c, reterr));
		if (c->opts->progress)
			c->opts->progress(c->opts->ctx, file_source_offset(c->source), file_source_size(c->source), c->result->events);
	}
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
	buf_reset(&notes);
	framing_encode(&c->framing, &notes);
	parquet_writer_metadata(c->writer, CONVERT_FRAMING_KEY, buf_slice(&notes));
	struct parquet_file_info info;
	TRY(parquet_writer_finish(c->writer, schema, &info, reterr));
	c->result->bytes_out = (uint64_t)info.bytes;
	c->result->columns = info.leaf_count;
	c->result->row_groups = info.split_count;
	for (uint32_t i = 0; i < info.leaf_count; i++) {
		const struct parquet_leaf_info *l = &info.leaves[i];
		if (l->field->role == ROLE_SHAPE)
			c->result->shape_bytes = (uint64_t)l->column_size;
		if (l->field->role == ROLE_RAW)
			c->result->raw_bytes = (uint64_t)l->column_size;
	}
	parquet_file_info_clear(&info);
	TRY(file_sync(c->fd, c->temp, reterr));
	return file_rename(c->temp, c->opts->out, reterr);
}

/* Renamed over its input, the result would be all that is left of it. */
static rc_t check_distinct(const struct convert_options *o, struct err *reterr)
{
	struct stat in, out;
	if (strcmp(o->in, "-") != 0 && stat(o->in, &in) == 0 && stat(o->out, &out) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
		return err_set(reterr, RC_INVALID, "%s is the input: name another output file", o->out);
	return RC_OK;
}

static rc_t convert_open(struct convert *c, struct err *reterr)
{
	TRY(check_distinct(c->opts, reterr));
	struct file_source_options so = { .path = c->opts->in, .format = c->opts->format, .once = true, .unchecked = true, .framing = &c->framing };
	TRY(file_source_open(&so, &c->source, reterr));
	struct shred_options ro = { .verify_all = c->opts->verify_all };
	TRY(shredder_new(&ro, NULL, &c->shredder, reterr));
	TRY(file_open(c->temp, FILE_CREATE_NEW, &c->fd, reterr));
	struct parquet_sink sink = { c, convert_write };
	struct parquet_writer_options wo;
	parquet_writer_options_default(&wo);
	wo.codec = c->opts->codec;
	wo.level = c->opts->codec_level;
	TRY(parquet_writer_new(&sink, &wo, &c->writer, reterr));
	batch_init(&c->batch, shredder_schema(c->shredder));
	c->has_batch = true;
	return RC_OK;
}

rc_t convert_file(const struct convert_options *opts, struct convert_result *ret, struct err *reterr)
{
	memset(ret, 0, sizeof *ret);
	int64_t start = clock_mono_us();
	struct convert c = { .opts = opts, .result = ret, .fd = -1 };
	framing_init(&c.framing);
	c.temp = file_temp_name(opts->out);
	rc_t rc = convert_open(&c, reterr);
	if (rc == RC_OK)
		rc = convert_events(&c, reterr);
	if (rc == RC_OK)
		rc = convert_finish(&c, reterr);
	if (rc == RC_OK) {
		ret->format = file_source_format(c.source);
		ret->bytes_in = file_source_end(c.source);
		ret->stats = shredder_stats(c.shredder);
		ret->took_us = clock_mono_us() - start;
	} else if (c.fd >= 0) {
		file_remove(c.temp, NULL);
	}
	file_close(c.fd);
	if (c.has_batch)
		batch_free(&c.batch);
	parquet_writer_free(c.writer);
	shredder_free(c.shredder);
	file_source_close(c.source);
	framing_free(&c.framing);
	free(c.events);
	free(c.temp);
	return rc;
}
