/* What was promised against what the tables hold: every acked event exactly once, others at most once, byte for byte, at the position that was
 * answered; no position of a log is missing; each file is named once and is what the table says; what is others' is as it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "scan/scan.h"
#include "sim.h"

uint64_t sim_rows, sim_acked;
static uint8_t times[2][NUMBERS_MAX], bad_times[NUMBERS_MAX];

const char *collection_name(int i)
{
	return i ? "beta" : "alpha";
}

/* A few shapes; every so often a new column. Made once: texts are most of what a client sends and all that the check compares. */
const char *event_text(uint64_t n)
{
	static char *texts[NUMBERS_MAX];
	if (texts[n])
		return texts[n];
	unsigned long long u = n, h = hash64((struct slice){ (const uint8_t *)&n, sizeof n });
	if (n % 397 == 0)
		return texts[n] = mem_printf("{\"n\":%llu,\"h\":\"%016llx\",\"extra%llu\":%llu}", u, h, u / 397, u);
	if (n % 331 == 7 && sim_settings.big)
		return texts[n] = mem_printf("{\"n\":%llu,\"h\":\"%016llx\",\"text\":\"%0270000llu\"}", u, h, u);
	if (n % 4 == 1 && sim_settings.aside) /* long ones, so that the log rotates */
		return texts[n] = mem_printf("{\"n\":%llu,\"h\":\"%016llx\",\"text\":\"%03000llu\"}", u, h, u);
	if (n % 11 == 0)
		return texts[n] = mem_printf("{\"n\":%llu,\"h\":\"%016llx\",\"text\":\"%0900llu\"}", u, h, u);
	if (n % 3 == 0)
		return texts[n] = mem_printf("{\"n\":%llu,\"h\":\"%016llx\",\"deep\":{\"a\":[%llu,2]}}", u, h, u);
	return texts[n] = mem_printf("{\"h\":\"%016llx\",\"n\":%llu,\"level\":\"info\"}", h, u);
}

/* Which positions of a log the tables hold, over all of them. */
#define POSITIONS_MAX 32768
static struct log {
	char id[16];
	uint64_t max;
	uint8_t seen[POSITIONS_MAX];
} *logs[64];
static uint16_t sender[NUMBERS_MAX]; /* index of sim_sent, + 1 */

struct reading {
	struct table *table;
	int collection;
	bool quarantine;
	uint64_t rows, claimed;
	char **files;
	size_t file_count;
};

static struct log *log_of(struct slice id)
{
	size_t i = 0;
	while (logs[i] && !slice_eq_str(id, logs[i]->id))
		if (++i == sizeof logs / sizeof *logs)
			violated("rows come from more logs than there ever were");
	if (!logs[i]) {
		logs[i] = NEW(struct log);
		snprintf(logs[i]->id, sizeof logs[i]->id, "%.*s", SLICE_ARG(id));
	}
	return logs[i];
}

static void see_position(const struct reading *r, const struct scan_row *row)
{
	struct log *l = log_of(row->source);
	if (row->pos < 1 || row->pos >= POSITIONS_MAX)
		violated("a row of %s has position %lld", table_collection(r->table), (long long)row->pos);
	if (l->seen[row->pos]++)
		violated("position %lld of log %s is there twice, again in %s", (long long)row->pos, l->id, table_collection(r->table));
	l->max = (uint64_t)row->pos > l->max ? (uint64_t)row->pos : l->max;
}

/* A key that was sent again after the window, or whose record was damaged, counts as another. */
static bool may_be_twice(const struct sent *s)
{
	return s->keyed && (nodes[s->node].forgot || sim_settings.jumped || s->acked_at - s->first_at >= sim_settings.key_window_us);
}

/* A row of an acked request stands where the answer said. */
static void check_place(const struct scan_row *row, uint64_t n, bool bad)
{
	const struct sent *s = sender[n] ? &sim_sent[sender[n] - 1] : NULL;
	if (!s)
		violated("event %llu is there and was never sent", (unsigned long long)n);
	if (!s->acked)
		return;
	uint64_t behind_bad = s->bad && n > s->first, first = s->position - (s->count + s->bad) + 1;
	uint64_t want = bad ? first + 1 : first + (n - s->first) + behind_bad;
	if ((!slice_eq_str(row->source, s->log) || (uint64_t)row->pos != want) && !may_be_twice(s))
		violated("event %llu was acked at position %llu of log %s and is at %lld of %.*s", (unsigned long long)n, (unsigned long long)want,
			 s->log, (long long)row->pos, SLICE_ARG(row->source));
	if (!sim_settings.jumped && (row->received < s->begun || row->received > s->ended))
		violated("event %llu was received at %lld, it was sent from %lld to %lld", (unsigned long long)n, (long long)row->received,
			 (long long)s->begun, (long long)s->ended);
}

/* The digits behind the key; a payload has no NUL at its end. */
static bool find_number(struct slice text, const char *key, uint64_t *ret)
{
	size_t n = strlen(key), i = 0;
	while (i + n <= text.len && memcmp(text.data + i, key, n))
		i++;
	if (i + n > text.len)
		return false;
	*ret = 0;
	for (i += n; i < text.len && text.data[i] >= '0' && text.data[i] <= '9' && *ret < NUMBERS_MAX; i++)
		*ret = *ret * 10 + text.data[i] - '0';
	return true;
}

static void check_row(const struct reading *r, const struct scan_row *row)
{
	char bad[64];
	const char *want = bad;
	uint64_t n = 0;
	if (!find_number(row->payload, r->quarantine ? "{\"bad\":" : "\"n\":", &n) || n >= NUMBERS_MAX)
		violated("%s holds what nobody sent: %.*s", table_collection(r->table), SLICE_ARG(row->payload));
	if (r->quarantine)
		snprintf(bad, sizeof bad, "{\"bad\":%llu", (unsigned long long)n);
	else
		want = event_text(n);
	if (!slice_eq_str(row->payload, want) || (row->reason.len > 0) != r->quarantine)
		violated("event %llu came back as %.*s", (unsigned long long)n, SLICE_ARG(row->payload));
	see_position(r, row);
	if (n < FOREIGN_FIRST)
		check_place(row, n, r->quarantine);
	r->quarantine ? bad_times[n]++ : times[r->collection][n]++;
}

static rc_t check_file(void *ctx, const struct data_file *f, struct err *err)
{
	struct reading *r = ctx;
	uint64_t size = 0;
	for (size_t i = 0; i < r->file_count; i++)
		if (!strcmp(r->files[i], f->path))
			violated("the table names %s twice", f->path);
	r->files = mem_realloc(r->files, (r->file_count + 1) * sizeof *r->files);
	r->files[r->file_count++] = mem_strdup(f->path);
	AUTO_MEM char *key = table_key(r->table, f->path);
	TRY(store_size(table_store(r->table), key, &size, NULL, err));
	if (size != (uint64_t)f->file_size)
		violated("%s has %llu bytes, the table says %lld", key, (unsigned long long)size, (long long)f->file_size);
	struct scan_count count;
	TRY(scan_count_file(table_store(r->table), r->table, key, &count, err));
	if (count.rows != (uint64_t)f->record_count || !count.claimed || count.claimed_rows != count.rows || count.claimed_hash.lo != count.hash.lo ||
	    count.claimed_hash.hi != count.hash.hi)
		violated("%s has %llu rows, the table says %lld, it says itself %llu, or their hash differs", key, (unsigned long long)count.rows,
			 (long long)f->record_count, (unsigned long long)count.claimed_rows);
	r->claimed += count.rows;
	return RC_OK;
}

static rc_t check_rows(struct reading *r, struct err *err)
{
	struct scan_options o = { .store = table_store(r->table), .table = r->table, .from = INT64_MIN, .to = INT64_MAX, .order = SCAN_ANY };
	AUTO(scan) *s = NULL;
	struct scan_row row;
	rc_t rc;
	TRY(scan_open(&o, &s, err));
	while ((rc = scan_next(s, &row, err)) == RC_OK) {
		check_row(r, &row);
		r->rows++;
	}
	return rc == RC_EOF ? RC_OK : rc;
}

static void read_table(struct store *store, int c, bool quarantine)
{
	struct err err = { 0 };
	AUTO_MEM char *name = mem_printf("%s%s", collection_name(c), quarantine ? "__quarantine" : "");
	AUTO(table) *t = NULL;
	rc_t rc = table_open(store, name, &t, &err);
	if (rc == RC_NOT_FOUND)
		return;
	struct reading r = { .table = t, .collection = c, .quarantine = quarantine };
	if (rc == RC_OK)
		rc = table_files(t, INT32_MIN, INT32_MAX, check_file, &r, &err);
	if (rc == RC_OK)
		rc = check_rows(&r, &err);
	if (rc != RC_OK)
		violated("table %s cannot be read: %s", name, err.text);
	int64_t total = 0;
	if (table_totals(t, &total, NULL, NULL, &err) != RC_OK || total != (int64_t)r.rows || r.claimed != r.rows)
		violated("table %s counts %lld rows, its files %llu, and it has %llu", name, (long long)total, (unsigned long long)r.claimed,
			 (unsigned long long)r.rows);
	sim_rows += r.rows;
}

/* Each position of a log is an event's; save those that were reported lost. */
static void check_gaps(const struct log *l)
{
	for (uint64_t pos = 1; pos < l->max; pos++)
		if (!l->seen[pos] && strcmp(l->id, "other") && !rot_excuses(l->id, pos, 0))
			violated("position %llu of log %s is nowhere, %llu is there", (unsigned long long)pos, l->id, (unsigned long long)l->max);
}

/* Of how many of its events the log has said that they are lost; what was committed before the damage stays. Not acked, nobody may know where it
 * stood. */
static uint64_t excused(const struct sent *s)
{
	if (!s->position)
		return rot_count ? s->count + s->bad : 0;
	uint64_t n = 0;
	for (uint64_t pos = s->position - (s->count + s->bad) + 1; pos <= s->position; pos++)
		n += rot_excuses(s->log, pos, s->acked ? s->acked_at : s->first_at);
	return n;
}

static void check_sent(const struct sent *s)
{
	uint64_t missing = 0, lost = excused(s);
	unsigned here = 0;
	for (uint64_t n = s->first; n < s->first + s->count; n++) {
		unsigned got = times[s->collection][n];
		if (times[!s->collection][n])
			violated("event %llu is in the wrong table", (unsigned long long)n);
		/* A key counts on its log: behind each loss of a disk a retry is another one. No position is there twice all the same. */
		if (got > (!may_be_twice(s) ? 1u : sim_settings.ack_store ? 8u : 2u))
			violated("event %llu is there %u times (%sacked, %s)", (unsigned long long)n, got, s->acked ? "" : "not ",
				 s->keyed ? "with a key" : "without a key");
		missing += !got;
		if (s->acked && missing > lost)
			violated("event %llu was acked by node %d and is lost; the request ended at position %llu of log %s", (unsigned long long)n, s->node,
				 (unsigned long long)s->position, s->log);
		here += got;
	}
	if (here && here != s->count && !may_be_twice(s) && missing > lost)
		violated("of a request of %llu events only %u are there", (unsigned long long)s->count, here);
	/* A quarantine is committed before its collection: in between the log may lose the request. */
	if (s->bad && lost < s->count + s->bad && !may_be_twice(s) && (bad_times[s->first] != 1) != (here == 0))
		violated("the bad line of request %llu is there %u times, its events %u", (unsigned long long)s->first, bad_times[s->first], here);
}

static void check_others(void)
{
	for (size_t i = 0; i < NUMBERS_MAX - FOREIGN_FIRST; i++) {
		const struct other_row_state *o = &other_rows[i];
		unsigned here = times[o->collection][FOREIGN_FIRST + i], there = times[!o->collection][FOREIGN_FIRST + i];
		if (there || here > o->sent || (o->sure && !here))
			violated("another writer's row %zu is there %u times", i, here + there);
	}
}

void oracle_check(void)
{
	struct store *store = NULL;
	struct err err = { 0 };
	memo_forget();
	if (store_open(sim_lake(), NULL, &store, &err) != RC_OK)
		violated("the lake cannot be opened: %s", err.text);
	for (size_t i = 0; i < sim_sent_count; i++)
		for (uint64_t n = 0; n < sim_sent[i].count; n++)
			sender[sim_sent[i].first + n] = (uint16_t)(i + 1);
	for (int c = 0; c < 2; c++) {
		read_table(store, c, false);
		read_table(store, c, true);
	}
	for (size_t i = 0; i < sim_sent_count; i++)
		check_sent(&sim_sent[i]);
	for (size_t i = 0; i < sizeof logs / sizeof *logs && logs[i]; i++)
		check_gaps(logs[i]);
	check_others();
	other_check(store);
}
