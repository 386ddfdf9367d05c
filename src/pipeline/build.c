/* One pass over the source routes every event to the partition of its day. A partition is HOT (columns being filled, row groups sealed into
 * a temporary file) or DEFERRED (only counted). When memory is full: a partition with a decent row group is sealed; if all are small,
 * the smaller half is dropped from memory and deferred. Deferred partitions are then built by further passes, as many at a time as fit;
 * a two-byte partition number an event, kept from the first pass, tells which events those passes need.
 */
#include "pipeline/build.h"

#include <stdio.h>

#include "json/notes.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"
#include "parquet/writer.h"

#define GROUP_BYTES ((size_t)64 << 20)      /* a row group is sealed at this many buffered bytes */
#define GROUP_DECENT ((size_t)12 << 20)     /* worth sealing when memory is short */
#define KEEP_WARM 4u                        /* with so few partitions their memory is kept from row group to row group */
#define PARTS_MAX 60000u                    /* partition numbers are two bytes */
#define EVENTS_MAX ((size_t)64 << 20)       /* of one cut: bounds the index of partition numbers */
#define PART_MEMO 4096u                     /* more days than an event time may be old: no two plausible days share a place */
#define PASS_PARTS_MAX 256u                 /* deferred partitions built in one pass */
#define KEYS_HANDED_ON 200u                 /* edges of a key table that the next cut goes on with: larger ones are of events without a fixed form */

struct part_file {
	char *temp; /* local path while it is being written; NULL once it is stored */
	char *key;  /* relative to the table's folder; its last part, the content's hash, comes with the footer */
	uint64_t offset;
	struct hash128_stream *content;
	struct parquet_writer *writer;
	uint64_t events;
	struct hash128 hash;
	int32_t day;
	struct parquet_file_info info;
	struct data_column *columns;
};

enum part_state { PART_HOT, PART_DEFERRED, PART_BUILDING, PART_DONE };

struct part {
	int32_t day;
	enum part_state state;
	bool has_batch;
	struct batch batch;
	uint64_t batch_events;
	struct hash128 batch_hash;
	size_t batch_bytes;  /* of values, as last measured */
	size_t batch_memory; /* allocated for them */
	uint64_t payload_bytes;
	struct part_file *open; /* takes the next row group; NULL: none yet, or full */
	uint16_t number;
	unsigned file_count;
	bool touched;
};

struct builder {
	struct build_options opts;
	struct shredder *shredder;
	struct shred_stats stats;
	struct part **parts;
	size_t part_count, part_cap;
	struct part *memo[PART_MEMO]; /* by day modulo PART_MEMO */
	uint16_t *index;
	size_t index_cap;
	struct part_file **files;
	size_t file_count, file_cap;
	struct data_file *result;
	size_t memory; /* sum of batch_memory */
	uint64_t events, left_out;
	struct hash128 hash;
	char *stem;
	uint32_t keys_stored; /* so long is the key table that the table's folder has */
	/* of the shredder_run that is going on */
	const struct event *run_events;
	size_t run_base; /* ordinal of run_events[0] in the cut, first pass */
	const uint32_t *run_parts; /* later passes: partition of each event */
	struct event *selected;
	uint32_t *selected_parts;
	size_t selected_cap;
};

rc_t builder_new(const struct build_options *opts, const struct schema *start, struct builder **ret, struct err *reterr)
{
	struct builder *b = NEW(struct builder);
	b->opts = *opts;
	uint32_t space = (uint32_t)opts->key_seed;
	while (!space)
		random_bytes(&space, sizeof space);
	struct shred_options so = {
		.lake = true,
		.key_space = space,
		.keys = opts->keys,
		.leaf_budget = !opts->narrow ? 0 : start && start->leaf_count ? start->leaf_count : 1,
		.time_field = opts->time_field,
		.source = slice_str(opts->source),
	};
	rc_t rc = shredder_new(&so, start, &b->shredder, reterr);
	if (rc != RC_OK) {
		free(b);
		return rc;
	}
	b->opts.keys = (struct slice){ 0 };
	b->keys_stored = opts->keys.len ? shredder_key_count(b->shredder) : 0;
	*ret = b;
	return RC_OK;
}

static void part_file_free(struct part_file *f)
{
	parquet_writer_free(f->writer);
	hash128_stream_free(f->content);
	parquet_file_info_clear(&f->info);
	if (f->temp)
		file_remove(f->temp, NULL);
	free(f->temp);
	free(f->key);
	free(f->columns);
	free(f);
}

void builder_discard(struct builder *b)
{
	for (size_t i = 0; i < b->file_count; i++)
		part_file_free(b->files[i]);
	b->file_count = 0;
	for (size_t i = 0; i < b->part_count; i++) {
		if (b->parts[i]->has_batch)
			batch_free(&b->parts[i]->batch);
		free(b->parts[i]);
	}
	b->part_count = 0;
	memset(b->memo, 0, sizeof b->memo);
	b->memory = 0;
	b->events = b->left_out = 0;
	b->hash = (struct hash128){ 0 };
	free(b->result);
	b->result = NULL;
	free(b->stem);
	b->stem = NULL;
}

void builder_free(struct builder *b)
{
	if (!b)
		return;
	builder_discard(b);
	shredder_free(b->shredder);
	free(b->parts);
	free(b->files);
	free(b->index);
	free(b->selected);
	free(b->selected_parts);
	free(b);
}

uint64_t builder_events(const struct builder *b)
{
	return b->events;
}

uint64_t builder_left_out(const struct builder *b)
{
	return b->left_out;
}

struct hash128 builder_hash(const struct builder *b)
{
	return b->hash;
}

const struct shred_stats *builder_stats(const struct builder *b)
{
	return &b->stats;
}

const struct schema *builder_schema(const struct builder *b)
{
	return shredder_schema(b->shredder);
}

/* ---- files ---- */

/* Opened for each MiB-sized write rather than kept open: a cut may have hundreds of files. One that is gone meanwhile (we slept for a day, and another
 * server swept it) is not begun anew: it would have a hole. */
static rc_t sink_write(void *ctx, const void *data, size_t len, struct err *reterr)
{
	struct part_file *f = ctx;
	int fd;
	TRY(file_open(f->temp, f->offset ? FILE_WRITE : FILE_CREATE, &fd, reterr));
	rc_t rc = file_pwrite(fd, f->temp, data, len, f->offset, reterr);
	file_close(fd);
	if (rc == RC_OK) {
		f->offset += len;
		hash128_stream_add(f->content, data, len);
	}
	return rc;
}

static rc_t file_begin(struct builder *b, struct part *p, struct err *reterr)
{
	struct part_file *f = NEW(struct part_file);
	int y, m, d;
	date_from_days(p->day, &y, &m, &d);
	f->day = p->day;
	f->content = hash128_stream_new();
	f->key = mem_printf("data/year=%04d/month=%02d/day=%02d/%s-%u", y, m, d, b->stem, p->file_count);
	struct parquet_sink sink = { f, sink_write };
	struct parquet_writer_options wo;
	parquet_writer_options_default(&wo);
	wo.codec = b->opts.codec;
	wo.level = b->opts.codec_level;
	rc_t rc = store_temp_path(b->opts.store, f->key, &f->temp, reterr);
	if (rc == RC_OK)
		rc = parquet_writer_new(&sink, &wo, &f->writer, reterr);
	if (rc != RC_OK) {
		part_file_free(f);
		return rc;
	}
	if (b->file_count == b->file_cap) {
		b->file_cap = b->file_cap ? b->file_cap * 2 : 16;
		b->files = mem_realloc(b->files, b->file_cap * sizeof *b->files);
	}
	b->files[b->file_count++] = f;
	p->file_count++;
	p->open = f;
	return RC_OK;
}

static void part_drop_batch(struct builder *b, struct part *p)
{
	if (p->has_batch)
		batch_free(&p->batch);
	p->has_batch = false;
	b->memory -= p->batch_memory;
	p->batch_memory = p->batch_bytes = 0;
	p->batch_events = 0;
	p->batch_hash = (struct hash128){ 0 };
}

/* The partition's buffered rows become a row group of its file. */
static rc_t part_seal(struct builder *b, struct part *p, struct err *reterr)
{
	if (!p->has_batch || !p->batch.rows)
		return RC_OK;
	if (p->open && (uint64_t)parquet_writer_bytes(p->open->writer) >= b->opts.file_bytes)
		p->open = NULL; /* full: footer and name come when the cut is published */
	if (!p->open)
		TRY(file_begin(b, p, reterr));
	batch_seal(&p->batch);
	TRY(parquet_writer_row_group(p->open->writer, &p->batch, reterr));
	p->open->events += p->batch_events;
	hash128_add(&p->open->hash, p->batch_hash);
	p->batch_events = 0;
	p->batch_hash = (struct hash128){ 0 };
	p->batch_bytes = 0;
	batch_reset(&p->batch);
	if (b->part_count <= KEEP_WARM)
		return RC_OK;
	part_drop_batch(b, p); /* the next may be long in coming */
	return parquet_writer_rest(p->open->writer, reterr);
}

/* ---- routing ---- */

static struct part *part_of(struct builder *b, int64_t time_us)
{
	int32_t day = time_day(time_us);
	struct part **memo = &b->memo[(uint32_t)day % PART_MEMO];
	if (*memo && (*memo)->day == day)
		return *memo;
	for (size_t i = b->part_count; i-- > 0;)
		if (b->parts[i]->day == day)
			return *memo = b->parts[i];
	if (b->part_count == b->part_cap) {
		b->part_cap = b->part_cap ? b->part_cap * 2 : 16;
		b->parts = mem_realloc(b->parts, b->part_cap * sizeof *b->parts);
	}
	struct part *p = NEW(struct part);
	p->day = day;
	p->number = (uint16_t)b->part_count;
	p->state = b->memory < b->opts.memory_bytes / 2 ? PART_HOT : PART_DEFERRED;
	b->parts[b->part_count++] = p;
	return *memo = p;
}

static struct batch *part_take(struct builder *b, struct part *p, struct slice payload)
{
	if (!p->has_batch) {
		batch_init(&p->batch, shredder_schema(b->shredder));
		p->has_batch = true;
	}
	p->touched = true;
	p->batch_events++;
	hash128_add(&p->batch_hash, hash128(payload));
	return &p->batch;
}

static struct batch *route_first(void *ctx, size_t i, int64_t time_us)
{
	struct builder *b = ctx;
	struct part *p = part_of(b, time_us);
	b->index[b->run_base + i] = p->number;
	p->payload_bytes += b->run_events[i].payload.len + 64;
	return p->state == PART_HOT ? part_take(b, p, b->run_events[i].payload) : NULL;
}

static struct batch *route_again(void *ctx, size_t i, int64_t time_us)
{
	struct builder *b = ctx;
	(void)time_us;
	return part_take(b, b->parts[b->run_parts[i]], b->run_events[i].payload);
}

/* ---- memory ---- */

static void measure(struct builder *b)
{
	for (size_t i = 0; i < b->part_count; i++) {
		struct part *p = b->parts[i];
		if (!p->touched)
			continue;
		size_t now = batch_memory(&p->batch);
		b->memory += now - p->batch_memory;
		p->batch_memory = now;
		p->batch_bytes = batch_bytes(&p->batch);
		p->touched = false;
	}
}

static int by_bytes(const void *a, const void *b)
{
	size_t x = (*(struct part *const *)a)->batch_memory, y = (*(struct part *const *)b)->batch_memory;
	return (x > y) - (x < y);
}

/* All partitions in memory are small: the smaller half, as long as nothing of them is in a file yet, is left for a later pass. */
static void defer_half(struct builder *b)
{
	struct part **sorted = mem_alloc(b->part_count * sizeof *sorted);
	size_t n = 0;
	for (size_t i = 0; i < b->part_count; i++)
		if (b->parts[i]->state == PART_HOT && b->parts[i]->has_batch && !b->parts[i]->file_count)
			sorted[n++] = b->parts[i];
	qsort(sorted, n, sizeof *sorted, by_bytes);
	for (size_t i = 0; i < n && b->memory > b->opts.memory_bytes / 2; i++) {
		part_drop_batch(b, sorted[i]);
		sorted[i]->state = PART_DEFERRED;
	}
	free(sorted);
}

/* More to seal; or, if nothing is, more memory kept warm. */
static bool larger(const struct part *a, const struct part *b)
{
	return a->batch_bytes != b->batch_bytes ? a->batch_bytes > b->batch_bytes : a->batch_memory > b->batch_memory;
}

static rc_t keep_within_memory(struct builder *b, bool may_defer, struct err *reterr)
{
	measure(b);
	for (size_t i = 0; i < b->part_count; i++)
		if (b->parts[i]->batch_bytes >= GROUP_BYTES)
			TRY(part_seal(b, b->parts[i], reterr));
	while (b->memory > b->opts.memory_bytes) {
		struct part *largest = NULL;
		for (size_t i = 0; i < b->part_count; i++)
			if (!largest || larger(b->parts[i], largest))
				largest = b->parts[i];
		size_t before = b->memory;
		if (may_defer && largest->batch_bytes < GROUP_DECENT)
			defer_half(b);
		if (b->memory < before)
			continue;
		TRY(part_seal(b, largest, reterr));
		part_drop_batch(b, largest);
		if (b->memory >= before)
			return RC_OK; /* nothing more to give back */
	}
	return RC_OK;
}

/* ---- passes ---- */

static void reserve_selected(struct builder *b, size_t n)
{
	if (n <= b->selected_cap)
		return;
	b->selected_cap = n + n / 2;
	b->selected = mem_realloc(b->selected, b->selected_cap * sizeof *b->selected);
	b->selected_parts = mem_realloc(b->selected_parts, b->selected_cap * sizeof *b->selected_parts);
}

static bool wanted(const struct builder *b, const struct event *e)
{
	return (e->reason.len > 0) == b->opts.quarantine && e->pos > b->opts.after;
}

/* The events that this builder is for among n; *ret_n of them. */
static const struct event *select_wanted(struct builder *b, const struct event *events, size_t n, size_t *ret_n)
{
	size_t k = 0;
	for (size_t i = 0; i < n; i++)
		k += wanted(b, &events[i]);
	*ret_n = k;
	if (k == n || k == 0)
		return events;
	reserve_selected(b, n);
	k = 0;
	for (size_t i = 0; i < n; i++)
		if (wanted(b, &events[i]))
			b->selected[k++] = events[i];
	return b->selected;
}

/* Shreds events of the first pass; *ret_stopped: how many of them are done if RC_AGAIN says that the next is no JSON. */
static rc_t first_events(struct builder *b, const struct event *events, size_t n, size_t *ret_stopped, struct err *reterr)
{
	if (b->run_base + n > EVENTS_MAX || b->part_count > PARTS_MAX)
		return err_set(reterr, RC_LIMIT, "a cut of %s has more than %zu events or %u days; make cuts smaller", b->opts.collection,
			       EVENTS_MAX, PARTS_MAX);
	if (b->run_base + n > b->index_cap) {
		b->index_cap = (b->run_base + n) * 3 / 2;
		b->index = mem_realloc(b->index, b->index_cap * sizeof *b->index);
	}
	b->run_events = events;
	rc_t rc = shredder_run(b->shredder, events, n, route_first, b, reterr);
	*ret_stopped = rc == RC_AGAIN ? shredder_stopped(b->shredder) : n;
	b->run_base += *ret_stopped;
	b->events += *ret_stopped;
	return rc;
}

static rc_t first_batch(struct builder *b, const struct build_source *source, const struct event *events, size_t n, struct err *reterr)
{
	for (;;) {
		size_t k, stopped = 0;
		const struct event *selected = select_wanted(b, events, n, &k);
		rc_t rc = k ? first_events(b, selected, k, &stopped, reterr) : RC_OK;
		if (rc != RC_OK && rc != RC_AGAIN)
			return rc;
		uint64_t pos = rc == RC_AGAIN ? selected[stopped].pos : UINT64_MAX;
		for (size_t i = 0; i < n && events[i].pos < pos; i++)
			b->left_out += (events[i].reason.len > 0) != b->opts.quarantine;
		if (rc == RC_OK)
			return k ? keep_within_memory(b, true, reterr) : RC_OK;
		source->check(source->ctx, pos, &events, &n);
	}
}

static rc_t first_pass(struct builder *b, const struct build_source *source, struct err *reterr)
{
	TRY(source->rewind(source->ctx, reterr));
	for (;;) {
		const struct event *events;
		size_t n;
		rc_t rc = source->next(source->ctx, &events, &n, reterr);
		if (rc != RC_OK)
			return rc == RC_EOF ? RC_OK : rc;
		TRY(first_batch(b, source, events, n, reterr));
	}
}

/* Seals what is in memory and closes those partitions. */
static rc_t finish_parts(struct builder *b, enum part_state state, struct err *reterr)
{
	for (size_t i = 0; i < b->part_count; i++) {
		struct part *p = b->parts[i];
		if (p->state != state)
			continue;
		TRY(part_seal(b, p, reterr));
		part_drop_batch(b, p);
		if (p->open)
			TRY(parquet_writer_rest(p->open->writer, reterr));
		p->state = PART_DONE;
	}
	return RC_OK;
}

/* Marks the next deferred partitions that fit in memory together; false if none are left. */
static bool choose_parts(struct builder *b)
{
	uint64_t bytes = 0;
	unsigned chosen = 0;
	for (size_t i = 0; i < b->part_count && chosen < PASS_PARTS_MAX; i++) {
		struct part *p = b->parts[i];
		if (p->state != PART_DEFERRED || (chosen && bytes + p->payload_bytes > b->opts.memory_bytes))
			continue;
		bytes += p->payload_bytes;
		p->state = PART_BUILDING;
		chosen++;
	}
	return chosen > 0;
}

static rc_t later_pass(struct builder *b, const struct build_source *source, struct err *reterr)
{
	TRY(source->rewind(source->ctx, reterr));
	size_t ordinal = 0;
	for (;;) {
		const struct event *events;
		size_t n, k = 0;
		rc_t rc = source->next(source->ctx, &events, &n, reterr);
		if (rc == RC_EOF)
			break;
		if (rc != RC_OK)
			return rc;
		reserve_selected(b, n);
		for (size_t i = 0; i < n; i++) {
			if (!wanted(b, &events[i]))
				continue;
			if (ordinal == b->events)
				return err_set(reterr, RC_CONFLICT, "the source of %s has changed while it was read; run again",
					       b->opts.collection);
			uint16_t number = b->index[ordinal++];
			if (b->parts[number]->state != PART_BUILDING)
				continue;
			b->selected[k] = events[i];
			b->selected_parts[k++] = number;
		}
		if (!k)
			continue;
		b->run_events = b->selected;
		b->run_parts = b->selected_parts;
		TRY(shredder_run(b->shredder, b->selected, k, route_again, b, reterr));
		TRY(keep_within_memory(b, false, reterr));
	}
	if (ordinal != b->events)
		return err_set(reterr, RC_CONFLICT, "the source of %s has changed while it was read; run again", b->opts.collection);
	return finish_parts(b, PART_BUILDING, reterr);
}

rc_t builder_run(struct builder *b, const struct build_source *source, const char *stem, struct err *reterr)
{
	builder_discard(b);
	b->stem = mem_strdup(stem);
	b->run_base = 0;
	rc_t rc = first_pass(b, source, reterr);
	if (rc == RC_OK)
		rc = finish_parts(b, PART_HOT, reterr);
	while (rc == RC_OK && choose_parts(b))
		rc = later_pass(b, source, reterr);
	for (size_t i = 0; i < b->file_count; i++)
		hash128_add(&b->hash, b->files[i]->hash);
	b->stats = shredder_stats(b->shredder);
	if (rc != RC_OK)
		builder_discard(b);
	return rc;
}

/* ---- publishing ---- */

static void file_notes(struct builder *b, struct part_file *f)
{
	AUTO_BUF struct buf notes;
	buf_init(&notes, BUF_MAX_DEFAULT);
	schema_notes_encode(shredder_schema(b->shredder), &notes);
	parquet_writer_metadata(f->writer, SCHEMA_NOTES_KEY, buf_slice(&notes));
	buf_reset(&notes);
	shredder_keys(b->shredder, &notes);
	parquet_writer_metadata(f->writer, SHAPE_KEYS_KEY, buf_slice(&notes));
	buf_reset(&notes);
	char hex[33];
	hash128_hex(f->hash, hex);
	buf_printf(&notes, "%llu:%s", (unsigned long long)f->events, hex);
	parquet_writer_metadata(f->writer, BUILD_COUNT_KEY, buf_slice(&notes));
}

/* A put that nobody waits for any more (its sender died, or gave up) may come through at any time. Under the name of what it holds it replaces
 * nothing but itself. */
static void name_file(struct part_file *f)
{
	char *key = mem_printf("%s-%08x.parquet", f->key, (unsigned)hash128_stream_value(f->content).lo);
	free(f->key);
	f->key = key;
}

static void describe_file(struct part_file *f, struct data_file *ret)
{
	f->columns = mem_zalloc(f->info.leaf_count, sizeof *f->columns);
	for (uint32_t i = 0; i < f->info.leaf_count; i++) {
		const struct parquet_leaf_info *l = &f->info.leaves[i];
		f->columns[i] = (struct data_column){
			.id = l->field_id,
			.column_size = l->column_size,
			.value_count = l->value_count,
			.null_count = l->null_count,
			.nan_count = l->nan_count,
			.lower = l->has_lower ? slice_of(l->lower, l->lower_len) : (struct slice){ 0 },
			.upper = l->has_upper ? slice_of(l->upper, l->upper_len) : (struct slice){ 0 },
		};
	}
	*ret = (struct data_file){
		.path = f->key,
		.day = f->day,
		.record_count = f->info.rows,
		.file_size = f->info.bytes,
		.columns = f->columns,
		.column_count = f->info.leaf_count,
		.split_offsets = f->info.split_offsets,
		.split_count = f->info.split_count,
	};
}

/* The key table once more beside the data, so that files whose footers another engine has rewritten can still be restored. */
static rc_t put_keys(struct builder *b, struct table *t, struct err *reterr)
{
	uint32_t count = shredder_key_count(b->shredder);
	if (count <= 3 || count == b->keys_stored)
		return RC_OK; /* only the three roots: nothing to look up; or nothing new */
	AUTO_MEM char *path = mem_printf("_shapes/%08x-%06u", shredder_key_space(b->shredder), count);
	AUTO_MEM char *key = table_key(t, path);
	AUTO_BUF struct buf keys;
	buf_init(&keys, BUF_MAX_DEFAULT);
	shredder_keys(b->shredder, &keys);
	rc_t rc = store_put(b->opts.store, key, buf_slice(&keys), STORE_CREATE, reterr);
	if (rc == RC_OK || rc == RC_CONFLICT)
		b->keys_stored = count;
	return rc == RC_CONFLICT ? RC_OK : rc;
}

void builder_keys(const struct builder *b, struct buf *ret)
{
	if (b->keys_stored && b->keys_stored <= KEYS_HANDED_ON)
		shredder_keys(b->shredder, ret);
}

/* Stores the finished files; those that are there have lost their local name, whatever became of the others. */
static rc_t put_files(struct builder *b, struct table *t, struct err *reterr)
{
	struct store_upload *uploads = mem_zalloc(b->file_count + 1, sizeof *uploads);
	for (size_t i = 0; i < b->file_count; i++)
		uploads[i] = (struct store_upload){ .key = table_key(t, b->files[i]->key), .local = b->files[i]->temp };
	rc_t rc = store_put_files(b->opts.store, uploads, b->file_count, STORE_REPLACE, reterr);
	for (size_t i = 0; i < b->file_count; i++) {
		if (uploads[i].done) {
			free(b->files[i]->temp);
			b->files[i]->temp = NULL;
		}
		free((void *)uploads[i].key);
	}
	free(uploads);
	return rc;
}

rc_t builder_publish(struct builder *b, struct table *t, const struct data_file **ret_files, size_t *ret_n, struct err *reterr)
{
	TRY(table_evolve(t, shredder_schema_mutable(b->shredder), reterr));
	TRY(put_keys(b, t, reterr));
	free(b->result);
	b->result = mem_zalloc(b->file_count, sizeof *b->result);
	for (size_t i = 0; i < b->file_count; i++) {
		struct part_file *f = b->files[i];
		file_notes(b, f);
		TRY(parquet_writer_finish(f->writer, shredder_schema(b->shredder), &f->info, reterr));
		name_file(f);
		describe_file(f, &b->result[i]);
	}
	TRY(put_files(b, t, reterr));
	*ret_files = b->result;
	*ret_n = b->file_count;
	return RC_OK;
}
