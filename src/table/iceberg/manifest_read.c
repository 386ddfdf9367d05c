#include "table/iceberg/manifest_internal.h"

#define COLUMNS_MAX 50000 /* leaves with metrics in one entry */

/* ---- Manifest list ---- */

static rc_t read_summaries(const struct avro_value *v, struct arena *a, struct manifest *m)
{
	if (!v || v->type->kind != AVRO_ARRAY)
		return RC_OK;
	struct manifest_summary *s = arena_zalloc(a, v->count * sizeof *s + 1);
	for (uint32_t i = 0; i < v->count; i++) {
		s[i].contains_null = avro_int(avro_field(&v->items[i], 509, "contains_null"), 1) != 0;
		s[i].contains_nan = (int8_t)avro_int(avro_field(&v->items[i], 518, "contains_nan"), -1);
		s[i].lower = avro_bytes(avro_field(&v->items[i], 510, "lower_bound"));
		s[i].upper = avro_bytes(avro_field(&v->items[i], 511, "upper_bound"));
	}
	m->summaries = s;
	m->summary_count = v->count;
	return RC_OK;
}

/* A count that is absent is unknown; a negative one is wrong. */
static int64_t count_of(const struct avro_value *record, int32_t id, const char *name, const char *old_name)
{
	const struct avro_value *v = avro_field(record, id, name);
	if (!v && old_name)
		v = avro_field(record, -1, old_name);
	int64_t n = avro_int(v, -1);
	return n < 0 ? -1 : n;
}

static rc_t read_manifest(const struct avro_value *v, struct arena *a, struct manifest *m, struct err *reterr)
{
	m->path = avro_bytes(avro_field(v, 500, "manifest_path"));
	m->length = avro_int(avro_field(v, 501, "manifest_length"), -1);
	int64_t spec = avro_int(avro_field(v, 502, "partition_spec_id"), -1), content = avro_int(avro_field(v, 517, "content"), 0);
	if (!m->path.len || spec < 0 || spec > INT32_MAX || content < 0 || content > 1)
		return err_set(reterr, RC_CORRUPT, "an entry of a manifest list lacks its path, spec or content");
	m->spec_id = (int32_t)spec;
	m->content = (int32_t)content;
	m->sequence = avro_int(avro_field(v, 515, "sequence_number"), 0);
	m->min_sequence = avro_int(avro_field(v, 516, "min_sequence_number"), 0);
	m->snapshot_id = avro_int(avro_field(v, 503, "added_snapshot_id"), -1);
	m->files[0] = count_of(v, 504, "added_files_count", "added_data_files_count");
	m->files[1] = count_of(v, 505, "existing_files_count", "existing_data_files_count");
	m->files[2] = count_of(v, 506, "deleted_files_count", "deleted_data_files_count");
	m->rows[0] = count_of(v, 512, "added_rows_count", NULL);
	m->rows[1] = count_of(v, 513, "existing_rows_count", NULL);
	m->rows[2] = count_of(v, 514, "deleted_rows_count", NULL);
	m->key_metadata = avro_bytes(avro_field(v, 519, "key_metadata"));
	return read_summaries(avro_field(v, 507, "partitions"), a, m);
}

rc_t manifest_list_read(struct slice file, struct manifest_list *l, struct err *reterr)
{
	AUTO(avro_reader) *r = NULL;
	const struct avro_value *v;
	TRY(avro_open(file, &r, reterr));
	struct arena scratch;
	arena_init(&scratch);
	rc_t rc;
	while ((rc = avro_next(r, &v, reterr)) == RC_OK) {
		struct manifest m = { 0 };
		rc = read_manifest(v, &scratch, &m, reterr);
		if (rc == RC_OK && l->count >= MANIFESTS_MAX)
			rc = err_set(reterr, RC_LIMIT, "a manifest list has over %d entries", MANIFESTS_MAX);
		if (rc != RC_OK)
			break;
		manifest_list_add(l, &m);
		arena_reset(&scratch);
	}
	arena_free(&scratch);
	return rc == RC_EOF ? RC_OK : rc;
}

static bool bound_day(struct slice s, int32_t *ret)
{
	if (s.len != 4)
		return false;
	memcpy(ret, s.data, 4);
	return true;
}

bool manifest_may_hold(const struct manifest *m, int32_t day_from, int32_t day_to)
{
	int32_t lower, upper;
	if (m->summary_count != 1 || m->summaries[0].contains_null)
		return true;
	if (!bound_day(m->summaries[0].lower, &lower) || !bound_day(m->summaries[0].upper, &upper))
		return true;
	return lower <= day_to && upper >= day_from;
}

/* ---- Manifest ---- */

struct manifest_reader {
	struct avro_reader *avro;
	struct manifest list_entry;
	bool day_spec;
	int32_t partition_field_id;
	struct manifest_entry entry;
	struct data_column *columns; /* of the entry */
	size_t column_cap;
	int64_t *splits;
	size_t split_cap;
};

rc_t manifest_open(struct slice file, const struct manifest *m, bool day_spec, int32_t partition_field_id, struct manifest_reader **ret,
		   struct err *reterr)
{
	struct avro_reader *avro;
	TRY(avro_open(file, &avro, reterr));
	struct manifest_reader *r = NEW(struct manifest_reader);
	r->avro = avro;
	r->list_entry = *m;
	r->day_spec = day_spec;
	r->partition_field_id = partition_field_id;
	*ret = r;
	return RC_OK;
}

void manifest_close(struct manifest_reader *r)
{
	if (!r)
		return;
	avro_close(r->avro);
	free(r->columns);
	free(r->splits);
	free(r);
}

/* The entry's column of that id, made if absent. Metrics name ids in one order in all maps, so the hint nearly always hits. */
static struct data_column *column_of(struct manifest_reader *r, int32_t id, size_t hint)
{
	struct data_file *f = &r->entry.file;
	if (hint < f->column_count && r->columns[hint].id == id)
		return &r->columns[hint];
	for (size_t i = 0; i < f->column_count; i++)
		if (r->columns[i].id == id)
			return &r->columns[i];
	if (f->column_count == COLUMNS_MAX)
		return NULL;
	if (f->column_count == r->column_cap) {
		r->column_cap = r->column_cap ? r->column_cap * 2 : 64;
		r->columns = mem_realloc(r->columns, r->column_cap * sizeof *r->columns);
	}
	struct data_column *c = &r->columns[f->column_count++];
	*c = (struct data_column){ .id = id, .column_size = -1, .value_count = -1, .null_count = -1, .nan_count = -1 };
	return c;
}

/* A metrics map (array of key, value records) into the member at `offset` of each column. */
static rc_t read_metrics(struct manifest_reader *r, const struct avro_value *map, size_t offset, bool is_bound, struct err *reterr)
{
	if (!map || map->type->kind != AVRO_ARRAY)
		return RC_OK;
	for (uint32_t i = 0; i < map->count; i++) {
		const struct avro_value *kv = &map->items[i];
		if (kv->type->kind != AVRO_RECORD || kv->count != 2)
			return err_set(reterr, RC_CORRUPT, "a manifest's metrics map is not made of keys and values");
		int key = slice_eq_str(kv->type->names[0], "value");
		int64_t id = avro_int(&kv->items[key], -1);
		if (id < 0 || id > INT32_MAX)
			continue;
		struct data_column *c = column_of(r, (int32_t)id, i);
		if (!c)
			return err_set(reterr, RC_LIMIT, "a manifest entry has metrics of over %d columns", COLUMNS_MAX);
		if (is_bound)
			*(struct slice *)((char *)c + offset) = avro_bytes(&kv->items[!key]);
		else
			*(int64_t *)((char *)c + offset) = avro_int(&kv->items[!key], -1);
	}
	return RC_OK;
}

static rc_t read_all_metrics(struct manifest_reader *r, const struct avro_value *df, struct err *reterr)
{
	r->entry.file.column_count = 0;
	TRY(read_metrics(r, avro_field(df, 108, "column_sizes"), offsetof(struct data_column, column_size), false, reterr));
	TRY(read_metrics(r, avro_field(df, 109, "value_counts"), offsetof(struct data_column, value_count), false, reterr));
	TRY(read_metrics(r, avro_field(df, 110, "null_value_counts"), offsetof(struct data_column, null_count), false, reterr));
	TRY(read_metrics(r, avro_field(df, 137, "nan_value_counts"), offsetof(struct data_column, nan_count), false, reterr));
	TRY(read_metrics(r, avro_field(df, 125, "lower_bounds"), offsetof(struct data_column, lower), true, reterr));
	TRY(read_metrics(r, avro_field(df, 128, "upper_bounds"), offsetof(struct data_column, upper), true, reterr));
	r->entry.file.columns = r->columns;
	return RC_OK;
}

static void read_splits(struct manifest_reader *r, const struct avro_value *v)
{
	struct data_file *f = &r->entry.file;
	if (!v || v->type->kind != AVRO_ARRAY)
		return;
	if (v->count > r->split_cap) {
		r->split_cap = v->count;
		r->splits = mem_realloc(r->splits, r->split_cap * sizeof *r->splits);
	}
	for (uint32_t i = 0; i < v->count; i++)
		r->splits[i] = avro_int(&v->items[i], 0);
	f->split_offsets = v->count ? r->splits : NULL;
	f->split_count = v->count;
}

static int32_t read_day(const struct manifest_reader *r, const struct avro_value *df)
{
	const struct avro_value *partition = avro_field(df, 102, "partition");
	if (!r->day_spec || !partition)
		return TABLE_DAY_NONE;
	const struct avro_value *day = avro_field(partition, r->partition_field_id, NULL);
	if (!day && partition->type->kind == AVRO_RECORD && partition->count == 1)
		day = &partition->items[0];
	int64_t v = avro_int(day, INT64_MIN);
	return v > INT32_MIN && v <= INT32_MAX ? (int32_t)v : TABLE_DAY_NONE;
}

rc_t manifest_next(struct manifest_reader *r, const struct manifest_entry **ret, struct err *reterr)
{
	const struct avro_value *v;
	TRY(avro_next(r->avro, &v, reterr));
	struct manifest_entry *e = &r->entry;
	*e = (struct manifest_entry){ 0 };
	const struct avro_value *df = avro_field(v, 2, "data_file");
	int64_t status = avro_int(avro_field(v, 0, "status"), -1), content = avro_int(avro_field(df, 134, "content"), 0);
	e->path = avro_bytes(avro_field(df, 100, "file_path"));
	e->format = avro_bytes(avro_field(df, 101, "file_format"));
	e->file.record_count = avro_int(avro_field(df, 103, "record_count"), -1);
	e->file.file_size = avro_int(avro_field(df, 104, "file_size_in_bytes"), -1);
	if (status < 0 || status > 2 || content < 0 || content > 2 || !e->path.len || e->file.record_count < 0 || e->file.file_size < 0)
		return err_set(reterr, RC_CORRUPT, "a manifest entry lacks its status, path, count or size");
	e->status = (enum entry_status)status;
	e->content = (int32_t)content;
	/* Inheritance (spec, "Sequence Number Inheritance"): only what the manifest's own commit added may leave them out. */
	e->file.snapshot_id = avro_int(avro_field(v, 1, "snapshot_id"), r->list_entry.snapshot_id);
	e->file.sequence = avro_int(avro_field(v, 3, "sequence_number"), r->list_entry.sequence);
	e->file_sequence = avro_int(avro_field(v, 4, "file_sequence_number"), r->list_entry.sequence);
	e->file.day = read_day(r, df);
	int64_t order = avro_int(avro_field(df, 140, "sort_order_id"), 0);
	e->file.sort_order = order >= 0 && order <= INT32_MAX ? (int32_t)order : 0;
	e->key_metadata = avro_bytes(avro_field(df, 131, "key_metadata"));
	e->foreign = e->key_metadata.data || avro_field(df, 135, "equality_ids");
	TRY(read_all_metrics(r, df, reterr));
	read_splits(r, avro_field(df, 132, "split_offsets"));
	*ret = e;
	return RC_OK;
}
