/* A range: from the input to a row group. */
#include "pipeline/convert_internal.h"

#include "os/file.h"

#define GROUP_TARGET ((size_t)64 << 20) /* bytes of columns that a range should come to: row groups of this size compress well */
#define GROUP_MAX    ((size_t)80 << 20) /* with so many, a row group is sealed before the range ends */
#define GROUP_MIN    ((size_t)16 << 20) /* … but not with fewer, however large the key table is */
#define RANGE_MIN    ((size_t)4 << 20)	/* bytes of text */
#define RANGE_MAX    ((size_t)128 << 20)
#define TEXT_MAX     ((size_t)48 << 20) /* of a range that is kept in memory */
#define CALL_TEXT    ((size_t)2 << 20)	/* one call of the shredder, of what is kept */
#define CALL_EVENTS  65536u
#define LINE_STEP    ((size_t)64 << 10) /* read at once in search of a line's end */

/* ---- a range's shredder ---- */

/* A large key table does not wait for its successor. */
static void drop_shredder(struct worker *w, bool heavy)
{
	if (heavy && w->has_batch) {
		batch_free(&w->batch);
		w->has_batch = false;
	}
	if (w->has_batch)
		return; /* the batch refers to its schema */
	shredder_free(w->shredder);
	w->shredder = NULL;
}

/* A fork of `from`, and the batch for it. */
static void use_shredder(struct worker *w, const struct shredder *from)
{
	drop_shredder(w, w->shredder && shredder_weight(w->shredder) > BASE_WEIGHT_MAX);
	struct shredder *s = shredder_fork(from);
	w->first_edge = shredder_key_count(s);
	if (w->has_batch && batch_memory(&w->batch) <= 2 * GROUP_MAX) {
		batch_reset(&w->batch);
		shredder_adopt_batch(s, &w->batch);
	} else {
		if (w->has_batch)
			batch_free(&w->batch);
		batch_init(&w->batch, shredder_schema(s));
		w->has_batch = true;
	}
	shredder_free(w->shredder);
	w->shredder = s;
}

static rc_t range_begin(struct worker *w, struct err *reterr)
{
	struct convert *c = w->c;
	const struct shredder *from = w->base ? w->base->shredder : NULL;
	if (w->base && !from) {
		TRY(turn_take(w, reterr));
		w->again = true;
	}
	use_shredder(w, from ? from : c->shredder);
	return RC_OK;
}

static void drop_base(struct worker *w)
{
	if (w->base)
		base_release(w->c, w->base);
	w->base = NULL;
}

/* A range begins, or begins once more. */
static void range_reset(struct worker *w)
{
	framing_free(&w->framing);
	framing_init(&w->framing);
	w->rows = w->invalid = w->lines = 0;
}

/* ---- row groups ---- */

/* In the turn: what the shredder has added becomes the file's, and the batch a reserved row group. */
static rc_t group_reserve(struct worker *w, struct err *reterr)
{
	struct convert *c = w->c;
	struct shred_edges edges = { 0 };
	if (!w->batch.rows)
		return RC_OK;
	if (shredder_merge(c->shredder, w->shredder, w->first_edge, w->again, &edges) != RC_OK) {
		w->conflict = true;
		return err_set(reterr, RC_CONFLICT, "columns of this part of the input differ from the ones before");
	}
	batch_seal(&w->batch);
	shredder_renumber(w->shredder, &w->batch, &edges);
	shredder_add_stats(c->shredder, w->shredder, &w->batch, edges.same);
	shred_edges_free(&edges);
	shredder_view(c->shredder, w->shredder, &w->batch, &w->view);
	pthread_mutex_lock(&c->file_lock);
	rc_t rc = parquet_writer_reserve(c->writer, &w->view, w->group, reterr);
	pthread_mutex_unlock(&c->file_lock);
	return rc;
}

static rc_t group_write(struct worker *w, struct err *reterr)
{
	struct convert *c = w->c;
	if (w->batch.rows)
		TRY(parquet_group_encode(w->group, &w->view, reterr));
	TRY(turn_append(w, reterr));
	if (!w->batch.rows)
		return RC_OK;
	pthread_mutex_lock(&c->file_lock);
	rc_t rc = parquet_writer_append(c->writer, w->group, reterr);
	pthread_mutex_unlock(&c->file_lock);
	shredder_view_free(&w->view);
	return rc;
}

/* The columns are full before the range ends: the row group is written in the turn, which this range keeps. */
static rc_t group_full(struct worker *w, struct err *reterr)
{
	TRY(turn_take(w, reterr));
	TRY(group_reserve(w, reterr));
	TRY(group_write(w, reterr));
	w->again = true; /* from here on nothing can be in the way */
	use_shredder(w, w->c->shredder);
	return RC_OK;
}

/* The key table is part of what a thread may use. */
static bool batch_is_full(const struct worker *w)
{
	size_t weight = shredder_weight(w->shredder);
	if (w->c->opts->group_bytes)
		return batch_bytes(&w->batch) >= w->c->opts->group_bytes;
	return batch_bytes(&w->batch) >= (weight < GROUP_MAX - GROUP_MIN ? GROUP_MAX - weight : GROUP_MIN);
}

/* ---- shredding ---- */

static struct batch *route(void *ctx, size_t i, int64_t time_us)
{
	struct worker *w = ctx;
	(void)i, (void)time_us;
	return &w->batch;
}

static struct event *events_space(struct worker *w, size_t n)
{
	if (n > w->event_cap) {
		w->event_cap = n + n / 2;
		w->events = mem_realloc(w->events, w->event_cap * sizeof *w->events);
	}
	return w->events;
}

/* Invalid events lose their reason and keep their bytes; strict refuses them. */
static rc_t accept_invalid(struct worker *w, const struct event **events, size_t n, struct err *reterr)
{
	const struct convert_options *o = w->c->opts;
	size_t first = 0;
	while (first < n && !(*events)[first].reason.len)
		first++;
	if (first == n)
		return RC_OK;
	if (o->strict)
		return err_set(reterr, RC_INVALID, "%s: %.*s; without --strict such lines are kept as bytes", o->in,
			       SLICE_ARG((*events)[first].reason));
	if (*events != w->events)
		memcpy(events_space(w, n), *events, n * sizeof **events);
	for (size_t i = first; i < n; i++) {
		if (!w->events[i].reason.len)
			continue;
		w->events[i].reason = (struct slice){ 0 };
		w->events[i].kind = PAYLOAD_RAW;
		w->invalid++;
	}
	*events = w->events;
	return RC_OK;
}

/* One call of the source. Lines come unchecked; where one turns out not to be JSON, it and those behind it are checked. */
static rc_t shred_call(struct worker *w, const struct event *events, size_t n, struct err *reterr)
{
	w->rows += n;
	for (;;) {
		TRY(accept_invalid(w, &events, n, reterr));
		rc_t rc = shredder_run(w->shredder, events, n, route, w, reterr);
		if (rc == RC_OK)
			return batch_is_full(w) ? group_full(w, reterr) : RC_OK;
		if (rc != RC_AGAIN)
			return rc;
		file_source_check(w->source, events[shredder_stopped(w->shredder)].pos, &events, &n);
	}
}

/* ---- ranges of lines ---- */

/* The first line that begins at `at` or later; no further than an event may be long, so that a file without line ends is not read once
 * for each range. */
static rc_t line_begin(struct worker *w, uint64_t at, uint64_t *ret, struct err *reterr)
{
	const struct convert *c = w->c;
	uint8_t bytes[LINE_STEP + 3];
	uint64_t last = at + FRAME_EVENT_MAX + LINE_STEP;
	for (uint64_t from = at - 1; from < c->size && from < last; from += LINE_STEP) {
		size_t got;
		TRY(file_source_read(c->source, from, bytes, sizeof bytes, &got, reterr));
		if (got < sizeof bytes && got < c->size - from)
			return err_set(reterr, RC_IO, "%s was cut while it was read", c->opts->in);
		size_t n = got < LINE_STEP ? got : LINE_STEP;
		for (const uint8_t *lf, *p = bytes; (lf = memchr(p, '\n', (size_t)(bytes + n - p))); p = lf + 1) {
			size_t next = (size_t)(lf + 1 - bytes);
			/* A byte order mark is framing at the start of an input only. */
			if (got - next < 3 || memcmp(lf + 1, "\xef\xbb\xbf", 3) != 0) {
				*ret = from + next < c->size ? from + next : c->size;
				return RC_OK;
			}
		}
	}
	*ret = last < c->size ? last : c->size;
	return RC_OK;
}

/* Where range i begins, and range i - 1 ends. */
static rc_t range_at(struct worker *w, uint64_t i, uint64_t *ret, struct err *reterr)
{
	const struct convert *c = w->c;
	uint64_t at = i * c->step;
	if (i == 0 || at >= c->size)
		*ret = i ? c->size : 0;
	else if (at <= c->first_at)
		*ret = c->first_at;
	else
		return line_begin(w, at, ret, reterr);
	return RC_OK;
}

/* The lines between two bytes of the input. */
static rc_t shred_lines(struct worker *w, uint64_t from, uint64_t to, uint64_t lines, struct err *reterr)
{
	if (from >= to)
		return RC_OK;
	TRY(file_source_lines(w->source, from, to, lines, &w->framing, reterr));
	if (w->told < from)
		w->told = from;
	for (;;) {
		const struct event *events;
		size_t n;
		rc_t rc = file_source_next(w->source, &events, &n, reterr);
		if (rc == RC_EOF)
			break;
		if (rc != RC_OK)
			return rc;
		uint64_t end = events[n - 1].pos;
		TRY(shred_call(w, events, n, reterr));
		if (end > w->told) {
			turn_progress(w, end - w->told, 0, n);
			w->told = end;
		}
	}
	if (to > w->told)
		turn_progress(w, to - w->told, 0, 0);
	w->told = to;
	w->lines = file_source_line(w->source) - 1;
	struct slice tail = buf_slice(&w->framing.tail);
	for (const uint8_t *lf; tail.len && (lf = memchr(tail.data, '\n', tail.len));) {
		w->lines++;
		tail = slice_skip(tail, (size_t)(lf + 1 - tail.data));
	}
	w->lines -= lines;
	return RC_OK;
}

static rc_t range_lines(struct worker *w, struct err *reterr)
{
	uint64_t from, to;
	if (!w->source)
		TRY(file_source_twin(w->c->source, &w->source, reterr));
	TRY(range_at(w, w->range, &from, reterr));
	TRY(range_at(w, w->range + 1, &to, reterr));
	return shred_lines(w, from, to, 0, reterr);
}

/* ---- ranges of anything else ---- */

/* A mark: bytes of the payload, and its kind above. */
#define MARK_KIND 30
#define MARK_LEN  (((uint32_t)1 << MARK_KIND) - 1)

static void keep_events(struct worker *w, const struct event *events, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool invalid = events[i].reason.len != 0;
		w->kept_invalid += invalid;
		uint32_t kind = invalid ? PAYLOAD_RAW : events[i].kind;
		buf_u32(&w->marks, (uint32_t)events[i].payload.len | kind << MARK_KIND);
		buf_append_slice(&w->text, events[i].payload);
	}
}

/* Reads the range's text: at least one batch of the source, until there is enough. What goes wrong is told behind what went before. */
static void read_text(struct worker *w)
{
	struct convert *c = w->c;
	buf_reset(&w->text);
	buf_reset(&w->marks);
	w->read_rc = RC_OK;
	while (w->read_rc == RC_OK && w->text.len + 2 * w->marks.len < c->step) {
		const struct event *events;
		size_t n;
		w->read_rc = file_source_next(c->source, &events, &n, &w->read_err);
		if (w->read_rc != RC_OK)
			break;
		file_source_check(c->source, 0, &events, &n);
		if (c->opts->strict)
			w->read_rc = accept_invalid(w, &events, n, &w->read_err);
		keep_events(w, events, n);
		turn_progress(w, 0, file_source_offset(c->source), n);
	}
	buf_reserve(&w->text, EVENT_PAD);
	memset(w->text.data + w->text.len, 0, EVENT_PAD);
	turn_read(w, w->read_rc != RC_OK, w->read_rc == RC_EOF && !w->marks.len && w->range);
}

/* Shreds what read_text has kept. */
static rc_t shred_text(struct worker *w, struct err *reterr)
{
	const uint8_t *at = w->text.data;
	size_t total = w->marks.len / 4;
	for (size_t i = 0; i < total;) {
		struct event *events = events_space(w, CALL_EVENTS);
		size_t n = 0, bytes = 0;
		for (; i < total && n < CALL_EVENTS && bytes < CALL_TEXT; i++) {
			uint32_t mark;
			memcpy(&mark, w->marks.data + i * 4, 4);
			size_t len = mark & MARK_LEN;
			events[n++] = (struct event){ .payload = slice_of(at, len), .kind = mark >> MARK_KIND, .padded = true };
			at += len;
			bytes += len;
		}
		TRY(shred_call(w, events, n, reterr));
	}
	if (w->read_rc == RC_OK || w->read_rc == RC_EOF)
		return RC_OK;
	*reterr = w->read_err;
	return w->read_rc;
}

/* ---- the first range ---- */

/* How large ranges are: such that the columns of one make one good row group, and that their number is even. */
static void settle_ranges(struct worker *w, uint64_t first_at)
{
	struct convert *c = w->c;
	enum frame_format format = file_source_format(c->source);
	size_t columns = w->again ? GROUP_MAX : batch_bytes(&w->batch);
	double per_column_byte = columns ? (double)first_at / (double)columns : 1;
	double step = (double)GROUP_TARGET * per_column_byte;
	c->step = step < RANGE_MIN ? RANGE_MIN : step > RANGE_MAX ? RANGE_MAX : (uint64_t)step;
	c->size = file_source_size(c->source);
	/* An input that has ended is framed: its tail must not be read once more. */
	c->cut = file_source_seekable(c->source) && !file_source_finished(c->source) && (format == FRAME_NDJSON || format == FRAME_TEXT) &&
		 c->size >= first_at;
	c->first_at = first_at;
	if (c->opts->range_bytes) {
		c->step = c->opts->range_bytes;
	} else if (c->cut) {
		uint64_t count = (c->size + c->step - 1) / c->step;
		count += count > 1 && count % 2;
		c->step = (c->size + count - 1) / count;
	} else if (c->step > TEXT_MAX) {
		c->step = TEXT_MAX;
	}
}

static rc_t range_first(struct worker *w, struct err *reterr)
{
	struct convert *c = w->c;
	const struct event *events;
	size_t n;
	w->source = c->source;
	rc_t rc = file_source_next(c->source, &events, &n, reterr);
	if (rc == RC_EOF) {
		turn_read(w, true, false);
		return RC_OK;
	}
	TRY(rc);
	uint64_t first_at = events[n - 1].pos, line = file_source_line(c->source);
	turn_progress(w, 0, file_source_seekable(c->source) ? first_at : file_source_offset(c->source), n);
	TRY(shred_call(w, events, n, reterr));
	settle_ranges(w, first_at);
	uint64_t to = c->cut && c->step < c->size ? c->step : c->size;
	if (c->cut) /* the others look at c->source from now on: it stays as it is */
		TRY(file_source_twin(c->source, &w->source, reterr));
	turn_begin(w);
	if (!c->cut) {
		read_text(w);
		return shred_text(w, reterr);
	}
	if (to < c->size)
		TRY(range_at(w, 1, &to, reterr));
	rc = shred_lines(w, first_at, to, line - 1, reterr);
	w->lines += line - 1;
	return rc;
}

/* ---- the course of a range ---- */

static rc_t range_rows(struct worker *w, struct err *reterr)
{
	if (w->range == 0)
		return range_first(w, reterr);
	return w->c->cut ? range_lines(w, reterr) : shred_text(w, reterr);
}

/* The range failed, counting lines from its own beginning: reads it again to say where it was in the file. */
static rc_t range_blame(struct worker *w, rc_t rc, struct err *reterr)
{
	struct convert *c = w->c;
	const struct event *events;
	size_t n;
	uint64_t from, to;
	TRY(turn_take(w, reterr));
	range_reset(w);
	TRY(range_at(w, w->range, &from, reterr));
	TRY(range_at(w, w->range + 1, &to, reterr));
	if (from < to)
		TRY(file_source_lines(w->source, from, to, c->lines, &w->framing, reterr));
	for (rc_t again = RC_OK; from < to;) {
		struct err err;
		again = file_source_next(w->source, &events, &n, &err);
		if (again == RC_EOF)
			break;
		if (again == RC_OK)
			file_source_check(w->source, 0, &events, &n);
		if (again == RC_OK && c->opts->strict)
			again = accept_invalid(w, &events, n, &err);
		if (again != RC_OK) {
			*reterr = err;
			return again;
		}
	}
	return rc;
}

/* In the turn, when nothing of the range can fail any more but writing. */
static rc_t range_account(struct worker *w, struct err *reterr)
{
	struct convert *c = w->c;
	if (c->cut)
		TRY(framing_join(&c->framing, &w->framing, reterr));
	c->lines += w->lines;
	c->result->events += w->rows;
	c->result->invalid += w->invalid + w->kept_invalid;
	return RC_OK;
}

static rc_t range_merge(struct worker *w, struct err *reterr)
{
	rc_t rc = range_rows(w, reterr);
	if (rc == RC_OK)
		rc = turn_take(w, reterr);
	if (rc == RC_OK)
		rc = group_reserve(w, reterr);
	if (w->conflict && !w->again) {
		w->again = true;
		range_reset(w);
		use_shredder(w, w->c->shredder);
		rc = range_rows(w, reterr);
		if (rc == RC_OK)
			rc = group_reserve(w, reterr);
	}
	if (rc != RC_OK && rc != RC_CANCELLED && w->c->cut && w->range)
		rc = range_blame(w, rc, reterr);
	return rc == RC_OK ? range_account(w, reterr) : rc;
}

void range_run(struct worker *w)
{
	struct convert *c = w->c;
	struct err err;
	w->in_turn = w->again = w->conflict = false;
	w->told = w->kept_invalid = 0;
	range_reset(w);
	if (w->range && !c->cut) {
		read_text(w);
		if (w->read_rc == RC_EOF && !w->marks.len) { /* the input ended with the range before */
			drop_base(w);
			return;
		}
	}
	rc_t rc = range_begin(w, &err);
	drop_base(w);
	if (rc == RC_OK)
		rc = range_merge(w, &err);
	if (rc == RC_OK) {
		turn_pass(w);
		rc = group_write(w, &err);
	}
	if (rc == RC_OK)
		turn_appended(w);
	else
		turn_fail(w, rc, &err);
	if (w->shredder && shredder_weight(w->shredder) > BASE_WEIGHT_MAX)
		drop_shredder(w, true);
}

void worker_free(struct worker *w)
{
	drop_base(w);
	if (w->source != w->c->source)
		file_source_close(w->source);
	framing_free(&w->framing);
	if (w->view.schema)
		shredder_view_free(&w->view);
	if (w->has_batch)
		batch_free(&w->batch);
	shredder_free(w->shredder);
	parquet_group_free(w->group);
	free(w->events);
	buf_free(&w->text);
	buf_free(&w->marks);
}
