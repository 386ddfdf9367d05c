/* Planning, and rows in any order. A *unit* is one row group of one file. Ordered scans are in order.c. */
#include "scan/plan_internal.h"

#include "os/clock.h"

rc_t scan_cancelled(const struct scan *s, struct err *reterr)
{
	if (!s->opts.cancel || !__atomic_load_n(s->opts.cancel, __ATOMIC_RELAXED))
		return RC_OK;
	return err_set(reterr, RC_CANCELLED, "stopped after %llu events", (unsigned long long)s->stats.rows);
}

/* ---- files ---- */

rc_t scan_use_file(struct scan *s, uint32_t index, struct scan_file **ret, struct err *reterr)
{
	struct plan_file *pf = &s->files[index];
	if (!pf->open) {
		if (s->open_count == OPEN_MAX) { /* the one used longest ago goes */
			struct plan_file *oldest = NULL;
			for (uint32_t i = 0; i < s->file_count; i++)
				if (s->files[i].open && (!oldest || s->files[i].used < oldest->used))
					oldest = &s->files[i];
			scan_file_close(oldest->open);
			oldest->open = NULL;
			s->open_count--;
		}
		TRY(scan_file_open(pf->hot ? NULL : s->opts.store, pf->name, s->opts.table, s->opts.decode_bytes, &pf->open, reterr));
		s->open_count++;
	}
	pf->used = ++s->clock;
	*ret = pf->open;
	return RC_OK;
}

static void add_file(struct scan *s, char *name, bool hot)
{
	if (s->file_count == s->file_cap) {
		s->file_cap = s->file_cap ? s->file_cap * 2 : 16;
		s->files = mem_realloc(s->files, s->file_cap * sizeof *s->files);
	}
	s->files[s->file_count++] = (struct plan_file){ .name = name, .hot = hot };
}

static rc_t add_data_file(void *ctx, const struct data_file *f, struct err *reterr)
{
	struct scan *s = ctx;
	(void)reterr;
	const struct field *time = schema_by_role(table_schema(s->opts.table), ROLE_TIME);
	for (size_t i = 0; time && i < f->column_count; i++) {
		const struct data_column *c = &f->columns[i];
		if (c->id != time->id || c->lower.len != 8 || c->upper.len != 8)
			continue;
		int64_t lower, upper;
		memcpy(&lower, c->lower.data, 8);
		memcpy(&upper, c->upper.data, 8);
		if (upper < s->opts.from || lower >= s->opts.to) {
			s->stats.pruned_files++;
			return RC_OK;
		}
	}
	add_file(s, table_key(s->opts.table, f->path), false);
	return RC_OK;
}

static void add_unit(struct scan *s, struct unit u)
{
	if (s->unit_count == s->unit_cap) {
		s->unit_cap = s->unit_cap ? s->unit_cap * 2 : 64;
		s->units = mem_realloc(s->units, s->unit_cap * sizeof *s->units);
	}
	s->units[s->unit_count++] = u;
}

static rc_t unit_rows(struct scan *s, struct scan_file *f, struct unit *u, struct err *reterr)
{
	TRY(scan_file_rows(f, u->group, s->opts.from, s->opts.to, &u->row_from, &u->row_to, reterr));
	for (size_t i = 0; i < s->opts.term_count && u->row_from < u->row_to; i++) {
		uint32_t from, to;
		TRY(scan_file_term(f, u->group, &s->opts.terms[i], &from, &to, reterr));
		u->row_from = from > u->row_from ? from : u->row_from;
		u->row_to = to < u->row_to ? to : u->row_to;
	}
	return RC_OK;
}

static rc_t add_units(struct scan *s, uint32_t index, struct err *reterr)
{
	struct scan_file *f;
	TRY(scan_use_file(s, index, &f, reterr));
	s->stats.files++;
	s->stats.files_of_others += scan_file_of_others(f);
	for (uint32_t g = 0; g < parquet_reader_row_group_count(f->reader); g++) {
		struct unit u = { .file = index, .group = g, .rows = (uint64_t)parquet_reader_row_group_rows(f->reader, g) };
		TRY(scan_file_times(f, g, &u.min, &u.max, reterr));
		if (u.max < s->opts.from || u.min >= s->opts.to) {
			s->stats.pruned_row_groups++;
			continue;
		}
		TRY(unit_rows(s, f, &u, reterr));
		s->stats.pruned_rows += u.rows - (u.row_to > u.row_from ? u.row_to - u.row_from : 0);
		if (u.row_from >= u.row_to) {
			s->stats.pruned_row_groups++;
			continue;
		}
		u.bytes = (uint64_t)parquet_reader_row_group_bytes(f->reader, g);
		add_unit(s, u);
	}
	return RC_OK;
}

static int by_min(const void *a, const void *b)
{
	const struct unit *x = a, *y = b;
	if (x->min != y->min)
		return (x->min > y->min) - (x->min < y->min);
	return x->file != y->file ? (x->file > y->file) - (x->file < y->file) : (x->group > y->group) - (x->group < y->group);
}

static int by_max_descending(const void *a, const void *b)
{
	const struct unit *x = a, *y = b;
	if (x->max != y->max)
		return (x->max < y->max) - (x->max > y->max);
	return x->file != y->file ? (x->file > y->file) - (x->file < y->file) : (x->group > y->group) - (x->group < y->group);
}

static rc_t plan(struct scan *s, struct err *reterr)
{
	for (size_t i = 0; i < s->opts.hot_count; i++)
		add_file(s, mem_strdup(s->opts.hot[i]), true);
	if (s->opts.table)
		TRY(table_files(s->opts.table, s->opts.from == INT64_MIN ? INT32_MIN : time_day(s->opts.from),
				s->opts.to == INT64_MAX ? INT32_MAX : time_day(s->opts.to - 1), add_data_file, s, reterr));
	for (uint32_t i = 0; i < s->file_count; i++) {
		TRY(scan_cancelled(s, reterr));
		TRY(add_units(s, i, reterr));
	}
	if (s->opts.order != SCAN_ANY && s->unit_count)
		qsort(s->units, s->unit_count, sizeof *s->units, s->opts.order == SCAN_OLDEST ? by_min : by_max_descending);
	return RC_OK;
}

/* ---- the scan ---- */

rc_t scan_open(const struct scan_options *opts, struct scan **ret, struct err *reterr)
{
	struct scan *s = NEW(struct scan);
	s->opts = *opts;
	if (!s->opts.memory_bytes)
		s->opts.memory_bytes = (size_t)64 << 20;
	if (!s->opts.places_max)
		s->opts.places_max = (size_t)2 << 20;
	buf_init(&s->payload, BUF_MAX_DEFAULT);
	order_init(&s->order);
	rc_t rc = plan(s, reterr);
	if (rc != RC_OK) {
		scan_close(s);
		return rc;
	}
	*ret = s;
	return RC_OK;
}

void scan_close(struct scan *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->file_count; i++) {
		scan_file_close(s->files[i].open);
		free(s->files[i].name);
	}
	free(s->files);
	free(s->units);
	buf_free(&s->payload);
	order_free(&s->order);
	free(s);
}

struct scan_stats scan_get_stats(const struct scan *s)
{
	return s->stats;
}

static rc_t next_any(struct scan *s, struct scan_row *ret, struct err *reterr)
{
	for (;;) {
		if (!s->current) {
			if (s->unit_next == s->unit_count)
				return RC_EOF;
			TRY(scan_cancelled(s, reterr));
			const struct unit *u = &s->units[s->unit_next++];
			TRY(scan_use_file(s, u->file, &s->current, reterr));
			TRY(scan_file_load(s->current, u->group, u->row_from, u->row_to, true, reterr));
			s->stats.row_groups++;
		}
		uint32_t row;
		rc_t rc;
		while ((rc = scan_file_row(s->current, ret, &row, reterr)) == RC_OK) {
			if (ret->time < s->opts.from || ret->time >= s->opts.to)
				continue;
			buf_reset(&s->payload);
			TRY(scan_file_payload(s->current, row, &s->payload, &ret->foreign, reterr));
			ret->payload = buf_slice(&s->payload);
			return RC_OK;
		}
		if (rc != RC_EOF)
			return rc;
		s->current = NULL;
	}
}

rc_t scan_next(struct scan *s, struct scan_row *ret, struct err *reterr)
{
	TRY(scan_cancelled(s, reterr));
	TRY(s->opts.order == SCAN_ANY ? next_any(s, ret, reterr) : order_next(s, ret, reterr));
	s->stats.rows++;
	s->stats.bytes += ret->payload.len;
	return RC_OK;
}
