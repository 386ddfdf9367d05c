/* The child's side: the request in, DuckDB opened and locked, one statement run, its result out. Ends with the process. */
#include "sql/sql.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sql/guard_internal.h"
#include "sql/statement_internal.h"
#include "sql/view_internal.h"

#define SOCKET 0 /* both ways */

/* A parent that has gone wants no answer. */
static void send_all(const void *data, size_t len)
{
	const uint8_t *p = data;
	while (len) {
		ssize_t n = send(SOCKET, p, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			_exit(1);
		p += n;
		len -= (size_t)n;
	}
}

static void send_frame(enum frame_kind kind, struct slice body)
{
	uint8_t head[PROTO_FRAME_HEAD] = { (uint8_t)kind };
	uint32_t len = (uint32_t)body.len;
	memcpy(head + 1, &len, 4);
	send_all(head, sizeof(head));
	send_all(body.data, body.len);
}

static rc_t send_data(void *ctx, struct slice bytes, struct err *reterr)
{
	(void)ctx;
	(void)reterr;
	while (bytes.len) {
		size_t n = bytes.len < PROTO_FRAME_MAX ? bytes.len : PROTO_FRAME_MAX;
		send_frame(FRAME_DATA, slice_of(bytes.data, n));
		bytes = slice_skip(bytes, n);
	}
	return RC_OK;
}

static void send_error(const struct err *e)
{
	uint8_t body[2 + sizeof(e->text)] = { (uint8_t)e->rc, e->retryable };
	size_t len = strnlen(e->text, sizeof(e->text));
	memcpy(body + 2, e->text, len);
	send_frame(FRAME_ERROR, slice_of(body, 2 + len));
}

static rc_t receive_request(struct buf *ret, struct err *reterr)
{
	for (;;) {
		if (!buf_reserve(ret, 65536))
			return err_set(reterr, RC_LIMIT, "the query request is too large");
		ssize_t n = read(SOCKET, ret->data + ret->len, ret->cap - ret->len);
		if (n == 0)
			return RC_OK;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(reterr, RC_IO, "cannot read the query request");
		ret->len += (size_t)n;
	}
}

static rc_t set_option(struct duck *d, void *config, const char *name, const char *value, struct err *reterr)
{
	if (d->set_config(config, name, value) != 0)
		return err_set(reterr, RC_UNSUPPORTED, "this version of DuckDB (%s) refuses the setting %s", d->library_version(), name);
	return RC_OK;
}

static rc_t configure(struct duck *d, const struct request *r, void *config, struct err *reterr)
{
	char text[40];
	snprintf(text, sizeof(text), "%lluKiB", (unsigned long long)(r->memory_bytes / 4 * 3 >> 10)); /* the rest is for what it does not count */
	TRY(set_option(d, config, "memory_limit", text, reterr));
	snprintf(text, sizeof(text), "%u", r->threads);
	TRY(set_option(d, config, "threads", text, reterr));
	TRY(set_option(d, config, "temp_directory", r->temp_dir, reterr));
	snprintf(text, sizeof(text), "%lluKiB", (unsigned long long)(r->temp_bytes >> 10));
	TRY(set_option(d, config, "max_temp_directory_size", text, reterr));
	TRY(set_option(d, config, "autoinstall_known_extensions", "false", reterr));
	TRY(set_option(d, config, "autoload_known_extensions", "false", reterr));
	return set_option(d, config, "allow_community_extensions", "false", reterr);
}

static rc_t open_database(struct duck *d, const struct request *r, struct err *reterr)
{
	void *config = NULL;
	if (d->create_config(&config) != 0)
		return err_set(reterr, RC_LIMIT, "DuckDB could not be configured: out of memory");
	rc_t rc = configure(d, r, config, reterr);
	char *why = NULL;
	if (rc == RC_OK && d->open_ext(NULL, &d->db, config, &why) != 0)
		rc = duck_error(0, why, reterr);
	d->free(why);
	d->destroy_config(&config);
	if (rc == RC_OK && d->connect(d->db, &d->connection) != 0)
		rc = err_set(reterr, RC_IO, "cannot connect to DuckDB");
	return rc;
}

static rc_t set_list(struct duck *d, const char *name, const struct strings *values, struct err *reterr)
{
	AUTO_BUF struct buf sql;
	buf_init(&sql, PROTO_REQUEST_MAX);
	buf_printf(&sql, "SET %s = [", name);
	for (uint32_t i = 0; i < values->n; i++) {
		if (i)
			buf_byte(&sql, ',');
		sql_quote_text(&sql, slice_str(values->items[i]));
	}
	buf_byte(&sql, ']');
	return values->n ? duck_do(d, buf_cstr(&sql), reterr) : RC_OK;
}

/* The views, then the locks: after this nothing can be opened but the listed files and folders, and nothing can be set. */
static rc_t fill_database(struct duck *d, const struct request *r, struct err *reterr)
{
	TRY(duck_do(d, "SET TimeZone = 'UTC'", reterr));
	TRY(set_list(d, "allowed_paths", &r->allowed_paths, reterr));
	TRY(set_list(d, "allowed_directories", &r->allowed_dirs, reterr));
	TRY(duck_do(d, "SET enable_external_access = false", reterr));
	for (uint32_t i = 0; i < r->n_tables; i++) {
		if (!r->tables[i].ddl[0])
			continue;
		if (duck_do(d, r->tables[i].ddl, reterr) != RC_OK)
			return err_prefix(reterr, "collection %s", r->tables[i].name);
	}
	return duck_do(d, "SET lock_configuration = true", reterr);
}

static rc_t stream(struct duck *d, struct statement *s, struct output *o, struct err *reterr)
{
	struct duck_result r = { { 0 } };
	void *pending = NULL;
	rc_t rc = RC_OK;
	if (d->pending_prepared_streaming(s->prepared, &pending) != 0)
		rc = duck_error(0, d->pending_error(pending), reterr);
	else if (d->execute_pending(pending, &r) != 0)
		rc = duck_error(d->result_error_type(&r), d->result_error(&r), reterr);
	struct arena arena;
	arena_init(&arena);
	while (rc == RC_OK) {
		void *chunk = d->fetch_chunk(r);
		if (!chunk) {
			const char *why = d->result_error(&r);
			if (why && *why)
				rc = duck_error(d->result_error_type(&r), why, reterr);
			break;
		}
		arena_reset(&arena);
		struct view *views = arena_alloc(&arena, ((size_t)s->n + 1) * sizeof(*views));
		for (uint32_t i = 0; i < s->n; i++)
			views[i] = view_of(d, &s->columns[i].kind, d->data_chunk_get_vector(chunk, i), &arena);
		rc = output_chunk(o, views, d->data_chunk_get_size(chunk), reterr);
		d->destroy_data_chunk(&chunk);
	}
	arena_free(&arena);
	d->destroy_result(&r);
	if (pending)
		d->destroy_pending(&pending);
	return rc;
}

/* A compaction may remove files under a query; DuckDB then complains about something else. */
static void explain_missing_file(const struct request *r, struct err *e)
{
	for (uint32_t i = 0; i < r->allowed_paths.n; i++) {
		if (access(r->allowed_paths.items[i], F_OK) == 0 || errno != ENOENT)
			continue;
		err_set(e, RC_IO, "the file %s has gone: run the query again; if it stays, hydrant verify tells more", r->allowed_paths.items[i]);
		e->retryable = true;
		break;
	}
}

static rc_t run(const struct request *r, struct arena *arena, struct duck *d, struct err *reterr)
{
	TRY(duck_load(d, r->library, reterr));
	guard_enter(r);
	TRY(open_database(d, r, reterr));
	TRY(fill_database(d, r, reterr));
	struct statement s;
	TRY(statement_prepare(d, r, arena, &s, reterr));
	struct output o;
	output_init(&o, r->format, r->width, r->max_rows, s.columns, s.n, send_data, NULL);
	rc_t rc = stream(d, &s, &o, reterr);
	if (rc == RC_OK)
		rc = output_end(&o, reterr);
	output_free(&o);
	d->destroy_prepare(&s.prepared);
	return rc;
}

int sql_child_main(int argc, char **argv)
{
	guard_start(argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0);
	struct err e = { 0 };
	struct arena arena;
	arena_init(&arena);
	AUTO_BUF struct buf message;
	buf_init(&message, PROTO_REQUEST_MAX + 65536);
	struct request r;
	struct duck d = { 0 };
	rc_t rc = receive_request(&message, &e);
	if (rc == RC_OK)
		rc = request_decode(buf_slice(&message), &arena, &r, &e);
	if (rc == RC_OK)
		rc = run(&r, &arena, &d, &e);
	if (rc != RC_OK && d.db)
		explain_missing_file(&r, &e);
	if (rc == RC_OK)
		send_frame(FRAME_DONE, (struct slice){ 0 });
	else
		send_error(&e);
	_exit(0); /* the result is out: nothing is left that closing DuckDB would save */
}
