#include "sql/sql.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/test.h"
#include "os/clock.h"
#include "os/file.h"
#include "sql/duck_internal.h"
#include "sql/proto_internal.h"
#include "sql/statement_internal.h"

static char folder[] = "/tmp/hydrant-sql-test.XXXXXX";
static char file_1[100], file_2[100], secret[100], spill[100], odd[120];
static struct buf out;
static struct err err;

/* In a process of its own, so that the sanitizers see nothing of DuckDB's. */
static bool duckdb_does(const char *sql)
{
	pid_t pid = fork();
	if (pid == 0) {
		struct duck d;
		char library[4096];
		if (sql_library_path(NULL, library, sizeof(library), &err) != RC_OK || duck_load(&d, library, &err) != RC_OK ||
		    d.open_ext(NULL, &d.db, NULL, NULL) != 0 || d.connect(d.db, &d.connection) != 0 || duck_do(&d, sql, &err) != RC_OK) {
			fprintf(stderr, "  %s\n", err.text);
			_exit(1);
		}
		_exit(0);
	}
	int status;
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static bool have_library(void)
{
	char library[4096];
	return sql_library_path(NULL, library, sizeof(library), NULL) == RC_OK;
}

/* Two files of one table, the second with other columns; made once. */
static bool make_files(void)
{
	static bool made;
	if (made)
		return true;
	char sql[4000];
	if (!mkdtemp(folder))
		return false;
	snprintf(file_1, sizeof(file_1), "%s/one.parquet", folder);
	snprintf(file_2, sizeof(file_2), "%s/two.parquet", folder);
	snprintf(secret, sizeof(secret), "%s/secret.parquet", folder);
	snprintf(spill, sizeof(spill), "%s/spill", folder);
	snprintf(odd, sizeof(odd), "%s/o'dd [1]*.parquet", folder);
	if (dir_make(spill, &err) != RC_OK)
		return false;
	snprintf(sql, sizeof(sql),
		 "SET TimeZone='UTC';"
		 "COPY (SELECT * FROM (VALUES (1::BIGINT, 'ann', {'a': 1::BIGINT, 'b': 'x'}, [1::BIGINT, NULL], 10::BIGINT, NULL::VARCHAR, "
		 "TIMESTAMPTZ '2026-11-22 10:00:00.5+00', 1::BIGINT), (2, 'bo', NULL, [], NULL, 'ten', '2026-11-22 10:00:01+00', 2)) "
		 "t(id, name, s, l, x, x__string, __time, __pos)) TO '%s' (FORMAT parquet);"
		 "COPY (SELECT 3::BIGINT AS id, {'a': 7::BIGINT, 'c': true} AS s, 1.50::DECIMAL(18,2) AS price, TIMESTAMPTZ '1969-12-31 23:59:59+00' "
		 "AS __time, 3::BIGINT AS __pos, 'a\\xFFb'::BLOB AS __raw) TO '%s' (FORMAT parquet);"
		 "COPY (SELECT 42 AS secret) TO '%s' (FORMAT parquet);"
		 "COPY (SELECT 5::BIGINT AS id) TO '%s/o''dd [1]*.parquet' (FORMAT parquet);",
		 file_1, file_2, secret, folder);
	return made = duckdb_does(sql);
}

static struct field *add(struct schema *s, struct field *parent, const char *name, enum type type, enum role role)
{
	struct field *f = schema_add(s, parent, slice_str(name), type);
	f->role = (uint8_t)role;
	if (role == ROLE_PAYLOAD)
		f->key = f->name;
	return f;
}

static struct schema *make_schema(void)
{
	struct schema *s = schema_new();
	add(s, NULL, "__time", TYPE_TIMESTAMPTZ, ROLE_TIME);
	add(s, NULL, "id", TYPE_INT64, ROLE_PAYLOAD);
	add(s, NULL, "name", TYPE_STRING, ROLE_PAYLOAD);
	struct field *st = add(s, NULL, "s", TYPE_STRUCT, ROLE_PAYLOAD);
	add(s, st, "a", TYPE_INT64, ROLE_PAYLOAD);
	add(s, st, "b", TYPE_STRING, ROLE_PAYLOAD);
	add(s, st, "c", TYPE_BOOL, ROLE_PAYLOAD);
	add(s, add(s, NULL, "l", TYPE_LIST, ROLE_PAYLOAD), "element", TYPE_INT64, ROLE_PAYLOAD);
	struct field *x = add(s, NULL, "x", TYPE_INT64, ROLE_PAYLOAD);
	add(s, NULL, "x__string", TYPE_STRING, ROLE_SIBLING)->key = x->key;
	struct field *price = add(s, NULL, "price", TYPE_DECIMAL, ROLE_PAYLOAD);
	price->precision = 18;
	price->scale = 2;
	struct field *never = add(s, NULL, "never \"seen\"", TYPE_MAP, ROLE_PAYLOAD);
	add(s, never, "key", TYPE_STRING, ROLE_PAYLOAD);
	add(s, never, "value", TYPE_DOUBLE, ROLE_PAYLOAD);
	add(s, NULL, "empty", TYPE_STRUCT, ROLE_PAYLOAD);
	add(s, NULL, "__pos", TYPE_INT64, ROLE_POS);
	add(s, NULL, "__raw", TYPE_BINARY, ROLE_RAW);
	return s;
}

static rc_t append(void *ctx, struct slice chunk, struct err *reterr)
{
	(void)ctx;
	(void)reterr;
	buf_append_slice(&out, chunk);
	return RC_OK;
}

/* Runs over: t (two files), none (no file), other (only known by name). */
static rc_t run_with(const struct sql_options *o, const char *sql)
{
	AUTO(schema) *schema = make_schema();
	const char *files[] = { file_1, file_2 };
	const struct sql_table tables[] = { { "t", files, 2, schema, false }, { "none", NULL, 0, schema, false }, { "other", NULL, 0, NULL, false } };
	buf_reset(&out);
	memset(&err, 0, sizeof(err));
	return sql_run(o, tables, 3, slice_str(sql), append, NULL, &err);
}

static rc_t run(const char *sql, enum sql_format format)
{
	const struct sql_options o = { .format = format, .timeout_us = 60000000, .temp_dir = spill };
	return run_with(&o, sql);
}

#define NEED_DUCKDB()                                                \
	do {                                                         \
		if (!have_library())                                 \
			SKIP("there is no DuckDB library: run make"); \
		CHECK(make_files());                                 \
	} while (0)
#define GIVES(sql, format, want)                          \
	do {                                              \
		CHECK_OK(run(sql, format), err);          \
		CHECK_STR(buf_cstr(&out), want);          \
	} while (0)
#define FAILS(sql, rc, words)                                                              \
	do {                                                                               \
		CHECK_RC(run(sql, SQL_CSV), rc);                                           \
		if (!strstr(err.text, words) || strchr(err.text, '\n'))                    \
			TEST_FAIL_("%s: says '%s', not '%s'", sql, err.text, words);       \
	} while (0)

TEST(sql_star_hides_machinery_columns_that_names_find)
{
	NEED_DUCKDB();
	GIVES("select * from t order by id", SQL_CSV,
	      "id,name,s,l,x,price,\"never \"\"seen\"\"\"\n"
	      "1,ann,\"{\"\"a\"\":1,\"\"b\"\":\"\"x\"\",\"\"c\"\":null}\",\"[1,null]\",10,,\n2,bo,,[],,,\n"
	      "3,,\"{\"\"a\"\":7,\"\"b\"\":null,\"\"c\"\":true}\",,,1.50,\n");
	GIVES("select id, __pos, __time from t order by __pos", SQL_CSV,
	      "id,__pos,__time\n1,1,2026-11-22T10:00:00.500Z\n2,2,2026-11-22T10:00:01Z\n3,3,1969-12-31T23:59:59Z\n");
}

TEST(sql_count_star_counts)
{
	NEED_DUCKDB();
	GIVES("select count(*) from t", SQL_CSV, "count_star()\n3\n");
	GIVES("select count(*), count(t.x), max(__pos) from t -- with a comment", SQL_NDJSON, "{\"count_star()\":3,\"count(t.x)\":1,\"max(__pos)\":3}\n");
}

TEST(sql_any_shows_whichever_sibling_is_there)
{
	NEED_DUCKDB();
	GIVES("select x, x__string, x__any from t order by id", SQL_CSV, "x,x__string,x__any\n10,,10\n,ten,ten\n,,\n");
}

TEST(sql_star_of_every_form_hides)
{
	NEED_DUCKDB();
	const char *want = "id,name\n1,ann\n";
	GIVES("select t.* exclude (s,l,x,price,\"never \"\"seen\"\"\") from t where id=1", SQL_CSV, want);
	GIVES("select * exclude (s,l,x,price,\"never \"\"seen\"\"\", __pos) from t where id=1", SQL_CSV, want);
	GIVES("select columns(*) from (select id, name from t) where id=1", SQL_CSV, want);
	GIVES("with c as (select * from t) select * exclude (s,l,x,price,\"never \"\"seen\"\"\") from c where id=1", SQL_CSV, want);
	GIVES("select a.*, b.* from (select id from t) a join (select id, name from t) b using (id) where id=1", SQL_CSV, "id,id,name\n1,1,ann\n");
	GIVES("select * from (select id, __pos from t) where id=1", SQL_CSV, "id,__pos\n1,1\n"); /* asked for by name: it stays */
	GIVES("with t as (select 1 as a__b) select * from t", SQL_CSV, "a__b\n1\n");           /* not the collection */
	GIVES("select count(*) from (from t natural join none)", SQL_CSV, "count_star()\n0\n");
	GIVES("select columns('__po.*') from t where id=1", SQL_CSV, "__pos\n1\n");
	GIVES("from t a(i, n) select i, n, __pos where i=1", SQL_CSV, "i,n,__pos\n1,ann,1\n");
	CHECK_OK(run("select * from t a join t b using (id) join none c on a.id = c.id", SQL_CSV), err);
	CHECK(!strstr(buf_cstr(&out), "__"));
	CHECK_OK(run("select * from t union all select * from none order by 1", SQL_CSV), err);
	CHECK(!strstr(buf_cstr(&out), "__"));
	GIVES("pivot (select id, name, __pos from t) on name in ('ann','bo') using sum(__pos) order by id", SQL_CSV, "id,ann,bo\n1,1,\n2,,2\n3,,\n");
}

TEST(sql_empty_collection_has_its_columns)
{
	NEED_DUCKDB();
	GIVES("select * from none", SQL_CSV, "id,name,s,l,x,price,\"never \"\"seen\"\"\"\n");
	GIVES("select x__any, s.c from none", SQL_CSV, "x__any,c\n");
	GIVES("select typeof(price), typeof(s) from (select price, s from none union all select null, null)", SQL_CSV,
	      "typeof(price),typeof(s)\n\"DECIMAL(18,2)\",\"STRUCT(a BIGINT, b VARCHAR, c BOOLEAN)\"\n");
}

TEST(sql_json_keeps_types)
{
	NEED_DUCKDB();
	GIVES("select id, s, l, price, __raw from t where id <> 2 order by id", SQL_JSON,
	      "[{\"id\":1,\"s\":{\"a\":1,\"b\":\"x\",\"c\":null},\"l\":[1,null],\"price\":null,\"__raw\":null},\n"
	      "{\"id\":3,\"s\":{\"a\":7,\"b\":null,\"c\":true},\"l\":null,\"price\":1.50,\"__raw\":\"a\\\\xFFb\"}]\n");
	GIVES("select id, __time from t where id = 3", SQL_COLUMNS,
	      "{\"columns\":[{\"name\":\"id\",\"type\":\"BIGINT\"},{\"name\":\"__time\",\"type\":\"TIMESTAMP WITH TIME ZONE\"}],"
	      "\"rows\":[\n[3,\"1969-12-31T23:59:59Z\"]],\"row_count\":1}\n");
	GIVES("select id from none", SQL_JSON, "[]\n");
	GIVES("select 1 as a, 2 as a, 3 as a", SQL_NDJSON, "{\"a\":1,\"a_1\":2,\"a_2\":3}\n");
}

TEST(sql_values_are_exact)
{
	NEED_DUCKDB();
	GIVES("select 9223372036854775807 a, -170141183460469231731687303715884105727::hugeint b, 18446744073709551615::ubigint c, "
	      "-0.05::decimal(4,2) d, 12345678901234567890123456789.123456789::decimal(38,9) e, 0.1::double f, 1e21::double g, 0.1::float h, "
	      "'nan'::double i",
	      SQL_NDJSON,
	      "{\"a\":9223372036854775807,\"b\":-170141183460469231731687303715884105727,\"c\":18446744073709551615,\"d\":-0.05,"
	      "\"e\":12345678901234567890123456789.123456789,\"f\":0.1,\"g\":1e+21,\"h\":0.1,\"i\":null}\n");
	GIVES("select '00112233-4455-6677-8899-aabbccddeeff'::uuid u, map {'k': 1, 'l': null} m, [1,2]::int[2] a, 'b'::enum('a','b') e, "
	      "date '2026-01-02' d, time '01:02:03.04' t, timestamp '0001-01-01 00:00:00' ts, timestamp_ns '2026-01-01 00:00:00.000000001' ns, "
	      "true b, null n, '{\"a\": [1]}'::json j",
	      SQL_NDJSON,
	      "{\"u\":\"00112233-4455-6677-8899-aabbccddeeff\",\"m\":{\"k\":1,\"l\":null},\"a\":[1,2],\"e\":\"b\",\"d\":\"2026-01-02\","
	      "\"t\":\"01:02:03.040\",\"ts\":\"0001-01-01T00:00:00\",\"ns\":\"2026-01-01T00:00:00.000000001\",\"b\":true,\"n\":null,\"j\":{\"a\": [1]}}\n");
	GIVES("select interval 3 days i, '101'::bit b, [interval 1 month] l; -- c", SQL_CSV, "i,b,l\n3 days,101,[1 month]\n");
	GIVES("select 'a\"b\\' || chr(10) || chr(1) || 'é' s", SQL_NDJSON, "{\"s\":\"a\\\"b\\\\\\n\\u0001é\"}\n");
	GIVES("select 'a,b' a, 'q\"' b, '' c, null d, 'l' || chr(10) e", SQL_CSV, "a,b,c,d,e\n\"a,b\",\"q\"\"\",\"\",,\"l\n\"\n");
}

TEST(sql_table_is_a_neat_box)
{
	NEED_DUCKDB();
	GIVES("select id, name from t order by id", SQL_TABLE,
	      "┌────┬──────┐\n│ id │ name │\n├────┼──────┤\n│  1 │ ann  │\n│  2 │ bo   │\n│  3 │ NULL │\n└────┴──────┘\n3 rows\n");
	GIVES("select '日本' || chr(27) || '[2J' as x", SQL_TABLE,
	      "┌───────────────┐\n│ x             │\n├───────────────┤\n│ 日本\\u001b[2J │\n└───────────────┘\n1 row\n");
	const struct sql_options o = { .format = SQL_TABLE, .width = 20, .max_rows = 1 };
	CHECK_OK(run_with(&o, "select repeat('x', 100) as x, 1 as y union all select 'b', 2"), err);
	CHECK_STR(buf_cstr(&out), "┌──────────────┬───┐\n│ x            │ y │\n├──────────────┼───┤\n│ xxxxxxxxxxx… │ 1 │\n└──────────────┴───┘\n"
				  "2 rows, the first 1 shown (--format csv, json or ndjson gives all)\n");
}

TEST(sql_errors_say_what_to_do)
{
	NEED_DUCKDB();
	FAILS("select * from nosuch", RC_INVALID, "there is no collection 'nosuch'; there are t, none, other");
	FAILS("select nosuch from t", RC_INVALID, "nosuch");
	FAILS("selec 1", RC_INVALID, "'selec' is not possible here");
	FAILS("select 1; select 2", RC_INVALID, "2 statements");
	FAILS("", RC_INVALID, "no SQL statement");
	FAILS(" -- nothing\n;", RC_INVALID, "no SQL statement");
	FAILS("select ?", RC_INVALID, "parameters");
	FAILS("select from where", RC_INVALID, "syntax error");
	FAILS("select cast('x' as int)", RC_INVALID, "Could not convert");
	FAILS("pivot t on name using sum(x)", RC_INVALID, "IN (");
}

TEST(sql_reads_only)
{
	NEED_DUCKDB();
	static const char *const refused[] = {
		"insert into t values (1)", "create table a (b int)", "drop view t", "delete from t", "update t set id = 1", "set threads = 1",
		"pragma threads = 1", "attach '/tmp/x.db'", "install httpfs", "load httpfs", "copy t to '/tmp/hydrant-sql-evil.csv'",
		"export database '/tmp/hydrant-sql-evil'", "begin", "call pragma_version()", "use memory", "checkpoint", "prepare a as select 1",
		"explain analyze copy t to '/tmp/hydrant-sql-evil.csv'", "explain (format json) insert into t values (1)", "(copy t to 'x')",
		"/* select */ vacuum", "with a as (select 1) insert into t select * from a", "merge into t using t on true", "alter view t rename to u",
		"reset threads", "detach memory", "comment on view t is 'x'", "truncate t", "execute a", "import database 'x'",
	};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		CHECK_RC(run(refused[i], SQL_CSV), RC_INVALID);
		CHECK(err.text[0] && !out.len);
	}
	CHECK(access("/tmp/hydrant-sql-evil.csv", F_OK) != 0);
	CHECK_OK(run("describe t", SQL_CSV), err);
	CHECK(strstr(buf_cstr(&out), "\n__time,TIMESTAMP WITH TIME ZONE,"));
	CHECK_OK(run("show tables", SQL_CSV), err);
	CHECK_STR(buf_cstr(&out), "name\nnone\nt\n");
	CHECK_OK(run("explain select * from t", SQL_CSV), err);
	CHECK_OK(run("explain analyze select count(*) from t", SQL_CSV), err);
	CHECK_OK(run("summarize t", SQL_CSV), err);
	GIVES("(values (1, 2))", SQL_CSV, "col0,col1\n1,2\n");
	GIVES("table t limit 0", SQL_CSV, "id,name,s,l,x,price,\"never \"\"seen\"\"\"\n");
}

TEST(sql_sees_only_the_tables_files)
{
	NEED_DUCKDB();
	char sql[400];
	static const char *const refused[] = {
		"select * from read_text('/etc/passwd')", "select * from read_csv('/etc/passwd')", "select * from '/etc/passwd'", "select * from glob('/etc/*')",
		"select * from read_blob('/proc/self/environ')", "select * from read_json_auto('/proc/self/status')",
		"select * from read_parquet('http://127.0.0.1:1/x')", "select * from read_parquet('s3://a/b')", "select getenv('HOME')",
		"select * from query('copy t to ''/tmp/hydrant-sql-evil.csv''')", "select * from duckdb_extensions()",
	};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		rc_t rc = run(refused[i], SQL_CSV);
		if (rc == RC_OK || out.len)
			TEST_FAIL_("%s gave %zu bytes", refused[i], out.len);
	}
	snprintf(sql, sizeof(sql), "select * from '%s'", secret);
	CHECK(run(sql, SQL_CSV) != RC_OK);
	snprintf(sql, sizeof(sql), "select * from read_parquet('%s/*.parquet', union_by_name=true)", folder);
	CHECK(run(sql, SQL_CSV) != RC_OK);
	/* a folder that is allowed can be read */
	const char *dirs[] = { folder };
	const struct sql_options o = { .format = SQL_CSV, .allowed_dirs = dirs, .allowed_dir_count = 1 };
	snprintf(sql, sizeof(sql), "select * from '%s'", secret);
	CHECK_OK(run_with(&o, sql), err);
	CHECK_STR(buf_cstr(&out), "secret\n42\n");
	GIVES("select value from duckdb_settings() where name in ('lock_configuration', 'enable_external_access') order by name", SQL_CSV, "value\nfalse\ntrue\n");
}

TEST(sql_file_names_are_no_patterns)
{
	NEED_DUCKDB();
	AUTO(schema) *schema = schema_new();
	add(schema, NULL, "id", TYPE_INT64, ROLE_PAYLOAD);
	const char *files[] = { odd };
	const struct sql_table table = { "select", files, 1, schema, false };
	const struct sql_options o = { .format = SQL_CSV };
	buf_reset(&out);
	CHECK_OK(sql_run(&o, &table, 1, SLICE_LIT("select * from \"select\""), append, NULL, &err), err);
	CHECK_STR(buf_cstr(&out), "id\n5\n");
}

TEST(sql_missing_file_is_an_error_that_may_pass)
{
	NEED_DUCKDB();
	AUTO(schema) *schema = make_schema();
	char path[120];
	snprintf(path, sizeof(path), "%s/gone.parquet", folder);
	const char *files[] = { file_1, path };
	const struct sql_table table = { "t", files, 2, schema, false };
	const struct sql_options o = { .format = SQL_CSV };
	CHECK_RC(sql_run(&o, &table, 1, SLICE_LIT("select count(*) from t"), append, NULL, &err), RC_IO);
	CHECK(err.retryable && strstr(err.text, "gone.parquet"));
}

TEST(sql_query_that_eats_memory_fails_alone)
{
	NEED_DUCKDB();
	const struct sql_options o = { .format = SQL_CSV, .memory_bytes = (uint64_t)128 << 20, .threads = 2, .timeout_us = 60000000 };
	CHECK_RC(run_with(&o, "select sum(x) from (select range as x, md5(range::varchar) as h from range(20000000) order by h)"), RC_LIMIT);
	CHECK(strstr(err.text, "memory"));
	rc_t rc = run_with(&o, "select length(string_agg(repeat('x', 1000), '')) from range(100000000)");
	CHECK(rc == RC_LIMIT || rc == RC_IO || rc == RC_INVALID);
	CHECK_OK(run_with(&o, "select 1"), err);
}

TEST(sql_spills_what_memory_does_not_hold)
{
	NEED_DUCKDB();
	const struct sql_options o = { .format = SQL_CSV, .memory_bytes = (uint64_t)128 << 20, .threads = 2, .timeout_us = 60000000, .temp_dir = spill };
	CHECK_OK(run_with(&o, "select count(*) from (select range as x, md5(range::varchar) as h from range(2000000) order by h)"), err);
	CHECK_STR(buf_cstr(&out), "count_star()\n2000000\n");
}

TEST(sql_timeout_ends_it)
{
	NEED_DUCKDB();
	const struct sql_options o = { .format = SQL_CSV, .timeout_us = 700000 };
	int64_t from = clock_mono_us();
	CHECK_RC(run_with(&o, "select count(*) from range(1000000) a, range(1000000) b where a.range + b.range = 7"), RC_LIMIT);
	CHECK(strstr(err.text, "0.7 s"));
	CHECK(clock_mono_us() - from < 3000000);
}

static void *cancel_later(void *fd)
{
	clock_sleep_us(400000);
	uint64_t one = 1;
	ssize_t n = write(*(int *)fd, &one, sizeof(one));
	return n == sizeof(one) ? fd : NULL;
}

TEST(sql_cancel_ends_it)
{
	NEED_DUCKDB();
	int fd = eventfd(0, EFD_CLOEXEC);
	const struct sql_options o = { .format = SQL_CSV, .cancel_fd = fd };
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, cancel_later, &fd) == 0);
	CHECK_RC(run_with(&o, "select count(*) from range(1000000) a, range(1000000) b where a.range + b.range = 7"), RC_CANCELLED);
	pthread_join(thread, NULL);
	close(fd);
}

/* Kills every child of this process that has not become a zombie. */
static void *kill_children_later(void *unused)
{
	(void)unused;
	clock_sleep_us(400000);
	char path[64], text[4096] = "";
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	FILE *f = fopen(path, "r");
	if (f && fgets(text, sizeof(text), f))
		for (char *p = text, *end; strtol(p, &end, 10) > 0; p = end)
			kill((pid_t)strtol(p, NULL, 10), SIGKILL);
	if (f)
		fclose(f);
	return NULL;
}

TEST(sql_crash_is_a_clean_error)
{
	NEED_DUCKDB();
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, kill_children_later, NULL) == 0);
	const struct sql_options o = { .format = SQL_CSV, .timeout_us = 20000000 };
	CHECK_RC(run_with(&o, "select count(*) from range(1000000) a, range(1000000) b where a.range + b.range = 7"), RC_IO);
	pthread_join(thread, NULL);
	CHECK(strstr(err.text, "signal 9") && err.retryable);
	CHECK_OK(run_with(&o, "select 1"), err);
}

static rc_t refuse(void *ctx, struct slice chunk, struct err *reterr)
{
	(void)chunk;
	++*(int *)ctx;
	return err_set(reterr, RC_CANCELLED, "the reader has gone");
}

TEST(sql_failed_write_ends_the_query)
{
	NEED_DUCKDB();
	int calls = 0;
	const struct sql_options o = { .format = SQL_CSV };
	CHECK_RC(sql_run(&o, NULL, 0, SLICE_LIT("select * from range(100000000)"), refuse, &calls, &err), RC_CANCELLED);
	CHECK_INT(calls, 1);
	CHECK_STR(err.text, "the reader has gone");
}

TEST(sql_large_result_streams)
{
	NEED_DUCKDB();
	CHECK_OK(run("select range from range(300000)", SQL_NDJSON), err);
	size_t lines = 0;
	for (size_t i = 0; i < out.len; i++)
		lines += out.data[i] == '\n';
	CHECK_INT(lines, 300000);
}

TEST(sql_missing_library_says_what_to_do)
{
	const struct sql_options o = { .library = "/nonexistent/libduckdb.so" };
	CHECK_RC(sql_run(&o, NULL, 0, SLICE_LIT("select 1"), append, NULL, &err), RC_NOT_FOUND);
	CHECK(strstr(err.text, "/nonexistent/libduckdb.so"));
}

TEST(sql_mentions_finds_names_and_the_catalog)
{
	CHECK(sql_mentions(SLICE_LIT("select * from Trail where 1"), "trail"));
	CHECK(sql_mentions(SLICE_LIT("select * from \"trail\""), "trail"));
	CHECK(!sql_mentions(SLICE_LIT("select * from trails"), "trail"));
	CHECK(!sql_mentions(SLICE_LIT("select * from a_trail"), "trail"));
	CHECK(sql_mentions(SLICE_LIT("show tables"), "trail"));
	CHECK(sql_mentions(SLICE_LIT("select * from duckdb_columns()"), "trail"));
	CHECK(!sql_mentions(SLICE_LIT(""), "trail"));
}

TEST(sql_request_survives_every_cut)
{
	struct request_table tables[1] = { { "t", "CREATE VIEW t AS SELECT 1", { (const char *[]){ "a__b" }, 1 }, 3 } };
	const struct request r = { .library = "l", .temp_dir = "", .sql = "select 1", .allowed_paths = { (const char *[]){ "a", "b" }, 2 },
				   .tables = tables, .n_tables = 1, .threads = 7 };
	struct buf b;
	buf_init(&b, 4096);
	request_encode(&r, &b);
	struct arena arena;
	arena_init(&arena);
	struct request got;
	CHECK_OK(request_decode(buf_slice(&b), &arena, &got, &err), err);
	CHECK_STR(got.tables[0].hidden.items[0], "a__b");
	CHECK_INT(got.allowed_paths.n, 2);
	CHECK_INT(got.threads, 7);
	for (size_t cut = 0; cut < b.len; cut++)
		CHECK_RC(request_decode(slice_of(b.data, cut), &arena, &got, &err), RC_CORRUPT);
	arena_free(&arena);
	buf_free(&b);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], SQL_CHILD_ARG) == 0)
		return sql_child_main(argc, argv);
	buf_init(&out, BUF_MAX_DEFAULT);
	int code = test_run_all_(argc, argv);
	buf_free(&out);
	if (!strchr(folder, 'X'))
		dir_remove_tree(folder, NULL);
	return code;
}
