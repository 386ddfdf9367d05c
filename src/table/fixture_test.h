/* Shared by the table room's tests: a lake in a temporary folder behind a store whose clock and puts a test can bend. */
#ifndef TABLE_FIXTURE_TEST_H
#define TABLE_FIXTURE_TEST_H

#include <dirent.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/test.h"
#include "table/table_internal.h"

#define DAY_US_ ((int64_t)86400 * 1000000)

enum put_fate {
	PUT_NORMAL,
	PUT_DONE_BUT_LOST,     /* stored, then RC_IO: the answer was lost */
	PUT_DONE_BUT_CONFLICT, /* stored, then RC_CONFLICT: what a retried conditional PUT says */
	PUT_LOST,              /* not stored, RC_IO */
	PUT_TAKEN_AND_GONE     /* not stored, RC_CONFLICT: another's stood there for a moment */
};

static struct {
	char folder[64];
	struct store *real, *lake; /* lake: real behind the bent ops */
	int64_t clock_offset;
	int hidden;                /* so many gets of a metadata version find nothing */
	enum put_fate fate;        /* of the next put of a metadata version */
	void (*before_commit)(void); /* called once, before the next put of a metadata version */
	void (*before_purge)(void);  /* called once, before keys are deleted by the dozen */
	const char *away;            /* keys that hold this cannot be looked at, nor listed */
	int deletes;
	int cancel_at;               /* with so many deletes … */
	bool cancel;                 /* … this is set */
	bool descending;             /* the delete of a version that is older than the last one deleted was seen */
	int64_t last_version;
} fx;
static struct err err;

static void bent_free(void *self) { store_free(self); }
static char *bent_path(void *self, const char *key) { return store_local_path(self, key); }
static rc_t bent_get(void *self, const char *key, struct buf *ret, struct err *e)
{
	if (fx.hidden && strstr(key, ".metadata.json")) {
		fx.hidden--;
		return err_set(e, RC_NOT_FOUND, "%s is not there yet", key);
	}
	return store_get(self, key, ret, e);
}
static rc_t bent_read(void *self, const char *key, uint64_t offset, size_t len, void *out, struct err *e)
{
	return store_read(self, key, offset, len, out, e);
}
static rc_t bent_away(const char *key, struct err *e)
{
	return fx.away && strstr(key, fx.away) ? err_set(e, RC_IO, "%s: the store is away", key) : RC_OK;
}
static rc_t bent_size(void *self, const char *key, uint64_t *size, int64_t *mtime, struct err *e)
{
	TRY(bent_away(key, e));
	return store_size(self, key, size, mtime, e);
}
static rc_t bent_put(void *self, const char *key, struct slice content, enum store_put_mode mode, struct err *e)
{
	if (!strstr(key, ".metadata.json"))
		return store_put(self, key, content, mode, e);
	if (fx.before_commit) {
		void (*call)(void) = fx.before_commit;
		fx.before_commit = NULL;
		call();
	}
	enum put_fate fate = fx.fate;
	fx.fate = PUT_NORMAL;
	if (fate != PUT_LOST && fate != PUT_TAKEN_AND_GONE)
		TRY(store_put(self, key, content, mode, e));
	if (fate == PUT_NORMAL)
		return RC_OK;
	return err_set(e, fate == PUT_DONE_BUT_CONFLICT || fate == PUT_TAKEN_AND_GONE ? RC_CONFLICT : RC_IO, "the answer was lost");
}
static rc_t bent_put_file(void *self, const char *key, const char *local, enum store_put_mode mode, struct err *e)
{
	return store_put_file(self, key, local, mode, e);
}
static rc_t bent_temp(void *self, const char *key, char **ret, struct err *e) { return store_temp_path(self, key, ret, e); }
static rc_t bent_sweep(void *self, int64_t age, struct err *e) { return store_sweep_temp(self, age, e); }
static rc_t bent_delete(void *self, const char *key, struct err *e)
{
	int64_t version = table_version_of(strrchr(key, '/') + 1);
	if (++fx.deletes == fx.cancel_at)
		fx.cancel = true;
	fx.descending |= version >= 0 && version < fx.last_version;
	fx.last_version = version >= 0 ? version : fx.last_version;
	return store_delete(self, key, e);
}
static rc_t bent_delete_keys(void *self, const char *folder, char *const *keys, size_t n, struct err *e)
{
	if (fx.before_purge) {
		void (*call)(void) = fx.before_purge;
		fx.before_purge = NULL;
		call();
	}
	return store_delete_keys(self, folder, keys, n, e);
}
static rc_t bent_list(void *self, const char *folder, bool recursive, store_each each, void *ctx, struct err *e)
{
	TRY(bent_away(folder, e));
	return recursive ? store_list(self, folder, each, ctx, e) : store_list_folder(self, folder, each, ctx, e);
}
static int64_t bent_now(void *self) { return store_now(self) + fx.clock_offset; }
static void bent_pause(void *self, int64_t us) { store_pause(self, us / 20); }
static void bent_random(void *self, void *out, size_t len) { store_random(self, out, len); }

static const struct store_ops bent_ops = { "file", 0, bent_free, bent_path, bent_get, bent_read, bent_size, bent_put, bent_put_file, bent_temp,
					   bent_sweep, bent_delete, bent_delete_keys, bent_list, NULL, NULL, NULL, bent_now, bent_pause, bent_random };

static inline bool setup(void)
{
	memset(&fx, 0, sizeof fx);
	snprintf(fx.folder, sizeof fx.folder, "/tmp/table-test-XXXXXX");
	if (!mkdtemp(fx.folder) || store_open(fx.folder, NULL, &fx.real, &err) != RC_OK)
		return false;
	fx.lake = store_new(&bent_ops, fx.real, store_url(fx.real));
	return true;
}

static inline int run(const char *command)
{
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	return status;
}

static inline void teardown(void)
{
	AUTO_MEM char *command = mem_printf("rm -rf %s", fx.folder);
	run(command);
	store_free(fx.lake);
}

static inline struct field *add(struct schema *s, struct field *parent, const char *name, enum type type)
{
	struct field *f = schema_add(s, parent, slice_str(name), type);
	f->key = f->name;
	return f;
}

/* __time, a (long), s { x (string) } */
static inline struct schema *small_schema(void)
{
	struct schema *s = schema_new();
	struct field *time = schema_add(s, NULL, SLICE_LIT("__time"), TYPE_TIMESTAMPTZ);
	time->role = ROLE_TIME;
	add(s, NULL, "a", TYPE_INT64);
	add(s, add(s, NULL, "s", TYPE_STRUCT), "x", TYPE_STRING);
	return s;
}

static inline struct table *new_table(const char *name)
{
	AUTO(schema) *s = small_schema();
	struct table *t = NULL;
	table_create(fx.lake, name, s, NULL, 0, &t, &err);
	return t;
}

/* One file of `records` rows on `day`, named by n; property "pos" from n to n + 1 (absent at 0). */
static inline rc_t append_one(struct table *t, const char *log, int n, int32_t day, int64_t records, struct err *e)
{
	AUTO_MEM char *path = mem_printf("data/year=2026/month=01/day=01/%s-%d.parquet", log, n);
	AUTO_MEM char *key = mem_printf(TABLE_POSITION_PREFIX "%s", log);
	AUTO_MEM char *from = mem_printf("1:%d", n);
	AUTO_MEM char *to = mem_printf("1:%d", n + 1);
	int64_t lower = (int64_t)day * DAY_US_, upper = lower + 5;
	const struct data_column columns[] = { { 1, 10, records, 0, -1, slice_of(&lower, 8), slice_of(&upper, 8) },
					       { 4, 10, records, 0, -1, SLICE_LIT("alpha"), SLICE_LIT("omega") } };
	const struct data_file f = { .path = path, .day = day, .record_count = records, .file_size = 1000, .columns = columns, .column_count = 2 };
	const struct table_property update = { key, to }, expect = { key, n ? from : NULL };
	const struct table_commit c = { &f, 1, &update, 1, &expect, 1, NULL, 0 };
	return table_append(t, &c, e);
}

struct seen {
	int files;
	int64_t records, bytes;
	int32_t day_min, day_max;
	int64_t sequence_max;
	bool bounds_ok;
};

static inline rc_t see(void *ctx, const struct data_file *f, struct err *e)
{
	struct seen *s = ctx;
	s->files++;
	s->records += f->record_count;
	s->bytes += f->file_size;
	if (f->sequence > s->sequence_max)
		s->sequence_max = f->sequence;
	s->day_min = s->files == 1 || f->day < s->day_min ? f->day : s->day_min;
	s->day_max = s->files == 1 || f->day > s->day_max ? f->day : s->day_max;
	int64_t lower = f->day == TABLE_DAY_NONE ? 0 : (int64_t)f->day * DAY_US_;
	s->bounds_ok = (s->files == 1 || s->bounds_ok) && f->column_count == 2 && f->columns[0].id == 1 &&
		       slice_eq(f->columns[0].lower, slice_of(&lower, 8)) && slice_eq_str(f->columns[1].upper, "omega");
	return RC_OK;
}

static inline struct seen look_at(struct table *t, int32_t from, int32_t to)
{
	struct seen s = { 0 };
	if (table_files(t, from, to, see, &s, &err) != RC_OK) {
		fprintf(stderr, "  %s\n", err.text);
		s.files = -1;
	}
	return s;
}

/* Files in the collection's metadata folder whose name contains `part`. */
static inline int count_metadata(const char *collection, const char *part)
{
	AUTO_MEM char *path = mem_printf("%s/%s/metadata", fx.folder, collection);
	DIR *d = opendir(path);
	int n = 0;
	for (struct dirent *e; d && (e = readdir(d));)
		n += e->d_name[0] != '.' && strstr(e->d_name, part) != NULL;
	if (d)
		closedir(d);
	return n;
}

#endif
