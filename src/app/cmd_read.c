/* query, search, replay: asked of the running server, or of the lake itself. */
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"
#include "app/spool.h"
#include "os/clock.h"
#include "os/secret.h"
#include "replay/pace.h"
#include "server/read.h"

#define SPOOL_MAX ((uint64_t)256 << 20) /* of a query's answer that its reader has not taken yet; beyond, the server's patience counts */

static rc_t to_stdout(void *ctx, struct slice bytes, struct err *reterr)
{
	(void)ctx;
	if (fwrite(bytes.data, 1, bytes.len, stdout) != bytes.len)
		return err_errno(reterr, RC_CANCELLED, "cannot write to standard output");
	return RC_OK;
}

static void note_to_stderr(void *ctx, const char *text)
{
	(void)ctx;
	if (*text)
		fprintf(stderr, "%s\n", text);
}

/* Sends o (taken over) and prints the answer, or gives it to the taker (may be NULL). */
static rc_t ask_server(const char *server, const char *path, json_t *o, struct remote_taker *taker, struct err *reterr)
{
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!text)
		return err_set(reterr, RC_INVALID, "the call holds bytes that are not UTF-8");
	rc_t rc = taker ? remote_stream(server, "POST", path, slice_str(text), taker, reterr)
			: remote_call(server, "POST", path, slice_str(text), NULL, reterr);
	free(text);
	return rc;
}

static json_t *time_json(int64_t us)
{
	char text[32];
	if (us == INT64_MIN || us == INT64_MAX)
		return json_null();
	time_format(us, text);
	return json_string(text);
}

static int finish(rc_t rc, struct err *err)
{
	if (fflush(stdout) != 0 && rc == RC_OK)
		rc = err_errno(err, RC_IO, "cannot write to standard output");
	return rc == RC_OK ? EXIT_DONE : fail(err);
}

/* ---- query ---- */

static unsigned terminal_width(void)
{
	struct winsize w;
	return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

static rc_t to_spool(void *ctx, struct slice bytes, struct err *reterr)
{
	return spool_write(ctx, bytes, reterr);
}

/* A server does not keep a query's process for a reader at rest: the answer is fetched beforehand, unless it goes to a file, which never rests. */
static rc_t query_server(const char *server, json_t *o, struct err *reterr)
{
	struct stat st;
	struct spool *spool;
	if ((fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode)) || spool_open(STDOUT_FILENO, SPOOL_MAX, &spool, NULL) != RC_OK)
		return ask_server(server, "/v1/query", o, NULL, reterr);
	struct remote_taker taker = { .on_body = to_spool, .ctx = spool };
	rc_t rc = ask_server(server, "/v1/query", o, &taker, reterr);
	rc_t closed = spool_close(spool, rc == RC_OK ? reterr : NULL);
	return rc == RC_OK ? closed : rc;
}

int cmd_query(int argc, char **argv)
{
	int code;
	const char *format_name = "table";
	int64_t from = INT64_MIN, to = INT64_MAX;
	const struct option_def defs[] = {
		{ "--format", OPTION_TEXT, &format_name, "table (default), json, ndjson, csv", "F" },
		{ "--from", OPTION_TIME, &from, "of all collections only events at or after this time (2026-11-22T10:00Z, -7d, …)", "T" },
		{ "--to", OPTION_TIME, &to, "events before this time; of a bucket, files of other days are not fetched", "T" },
		{ 0 },
	};
	struct err err;
	struct read_query_options qo = { .width = terminal_width(), .memory_bytes = (uint64_t)(settings.memory_bytes ? settings.memory_bytes : MEMORY_DEFAULT) / 2, .note = note_to_stderr, .write = to_stdout };
	if (!options_parse(command_find("query"), &argc, argv, defs, 1, 1, &code))
		return code;
	if (sql_format_parse(format_name, &qo.format, &err) != RC_OK)
		return usage_error("query", "%s", err.text);
	char *server = NULL;
	AUTO(pipeline) *p = NULL;
	rc_t rc = lake_open(true, &p, &server, &err);
	qo.sql = slice_str(argv[1]);
	qo.from = from;
	qo.to = to;
	if (rc == RC_OK && server)
		rc = query_server(server, json_pack("{s:s,s:s,s:i,s:o,s:o}", "sql", argv[1], "format", format_name, "width", (int)qo.width,
						    "from", time_json(from), "to", time_json(to)), &err);
	else if (rc == RC_OK)
		rc = read_query(p, &qo, &err);
	free(server);
	return finish(rc, &err);
}

/* ---- search ---- */

int cmd_search(int argc, char **argv)
{
	int code;
	int64_t from = INT64_MIN, to = INT64_MAX, limit = 100;
	bool json = false;
	const struct option_def defs[] = {
		{ "--from", OPTION_TIME, &from, "events at or after this time (2026-11-22T10:00Z, -15m, -7d, …)", "T" },
		{ "--to", OPTION_TIME, &to, "events before this time", "T" },
		{ "--limit", OPTION_NUMBER, &limit, "hits at most (default 100)", "N" },
		{ "--json", OPTION_FLAG, &json, "with time and position: {\"time\":…,\"position\":…,\"payload\":…} a line", NULL },
		{ 0 },
	};
	struct command c = *command_find("search");
	c.help = "word  word*  \"a phrase\"  field:value  field:val*  field:*  field:>5  -term      all terms must match\n"
		 "A query that begins with - stands behind --:  hydrant search COLLECTION -- '-status:200'";
	if (!options_parse(&c, &argc, argv, defs, 1, 2, &code))
		return code;
	const char *query = argc > 2 ? argv[2] : "";
	char *server = NULL;
	struct err err;
	AUTO(pipeline) *p = NULL;
	rc_t rc = lake_open(true, &p, &server, &err);
	struct read_search_options so = {
		.collection = argv[1], .query = slice_str(query), .from = from, .to = to, .limit = limit, .json = json, .write = to_stdout
	};
	struct read_search_result result = { 0 };
	if (rc == RC_OK && server)
		rc = ask_server(server, "/v1/search",
				json_pack("{s:s,s:s,s:o,s:o,s:I,s:b}", "collection", argv[1], "query", query, "from", time_json(from), "to",
					  time_json(to), "limit", (json_int_t)limit, "payloads_only", !json),
				NULL, &err);
	else if (rc == RC_OK)
		rc = read_search(p, &so, &result, &err);
	if (rc == RC_OK && result.more)
		fprintf(stderr, "the first %lld hits; --limit N shows more\n", (long long)limit);
	free(server);
	return finish(rc, &err);
}

/* ---- replay ---- */

static bool replay_cancelled;

static void on_interrupt(int sig)
{
	(void)sig;
	__atomic_store_n(&replay_cancelled, true, __ATOMIC_RELAXED);
}

/* A server streams framed payloads; they are taken apart and written to the sink here. */
struct remote_replay {
	struct sink *sink;
	struct replay_pace pace; /* of what we send on: the server only sees how fast we read */
	struct buf rest;
	uint64_t events, bytes;
	bool paced;
	struct progress *bar;
};

static rc_t remote_piece(void *ctx, struct slice piece, struct err *reterr)
{
	struct remote_replay *r = ctx;
	buf_append_slice(&r->rest, piece);
	size_t at = 0;
	struct sink_event event;
	for (size_t len; (len = sink_record_parse(slice_skip(buf_slice(&r->rest), at), &event)) > 0; at += len) {
		TRY(replay_pace_wait(&r->pace, r->events, 0, r->sink, reterr));
		TRY(sink_write(r->sink, &event, reterr));
		r->events++;
		r->bytes += event.payload.len;
		progress_update(r->bar, r->bytes, 0, r->events);
	}
	memmove(r->rest.data, r->rest.data + at, r->rest.len - at);
	r->rest.len -= at;
	return r->paced ? sink_flush(r->sink, reterr) : RC_OK;
}

static rc_t replay_remote(const char *server, const struct read_replay_options *ro, struct progress *bar, struct replay_result *ret,
			  struct err *reterr)
{
	struct remote_replay r = { .bar = bar, .pace = { .rate = ro->rate, .cancel = ro->cancel }, .paced = ro->rate > 0 || ro->speed > 0 };
	struct remote_taker taker = { .on_body = remote_piece, .ctx = &r, .cancel = ro->cancel, .patient = r.paced };
	buf_init(&r.rest, BUF_MAX_DEFAULT);
	struct sink_options so = { .framing = ro->framing, .cancel = ro->cancel, .headers = ro->headers, .content_type = read_content_type };
	TRY(sink_open(ro->to, &so, &r.sink, reterr));
	json_t *o = json_pack("{s:s,s:s%,s:o,s:o,s:s,s:f,s:f}", "collection", ro->collection, "where", (const char *)ro->where.data, ro->where.len,
			      "from", time_json(ro->from), "to", time_json(ro->until), "framing", "records", "rate", ro->rate, "speed", ro->speed);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	rc_t rc = text ? remote_stream(server, "POST", "/v1/replay", slice_str(text), &taker, reterr)
		       : err_set(reterr, RC_INVALID, "--where holds bytes that are not UTF-8");
	free(text);
	if (rc == RC_OK && r.rest.len)
		rc = err_set(reterr, RC_IO, "the server's answer was cut off");
	bool stopped = __atomic_load_n(ro->cancel, __ATOMIC_RELAXED), begun = r.events || taker.failed || rc == RC_OK;
	if (begun || stopped)
		rc = replay_end(r.sink, rc, r.events, stopped, reterr);
	ret->events = r.events;
	ret->bytes = r.bytes;
	buf_free(&r.rest);
	sink_free(r.sink);
	return rc;
}

static void local_progress(void *ctx, uint64_t events, uint64_t bytes, int64_t time)
{
	(void)time;
	progress_update(ctx, bytes, 0, events);
}

static bool parse_pace(const char *rate, const char *speed, struct read_replay_options *ro, int *ret_exit)
{
	char *end;
	if (rate) {
		ro->rate = strtod(rate, &end);
		if (end == rate || (*end && strcmp(end, "/s") != 0) || !(ro->rate > 0) || isinf(ro->rate)) {
			*ret_exit = usage_error("replay", "--rate wants events a second such as 500/s, not '%s'", rate);
			return false;
		}
	}
	if (speed && strcmp(speed, "max") != 0) {
		ro->speed = strtod(speed, &end);
		if (end == speed || (*end && strcmp(end, "x") != 0) || !(ro->speed > 0) || isinf(ro->speed)) {
			*ret_exit = usage_error("replay", "--speed wants a factor such as 1x or 10x, or max, not '%s'", speed);
			return false;
		}
	}
	return true;
}

/* The contract has --to for both the address and the end of the time range: a value that is a time is the latter. */
static void tell_times_from_urls(int argc, char **argv)
{
	static char until[] = "--until", *whole; /* lives as long as argv does */
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		int64_t us;
		if (!strcmp(argv[i], "--to") && i + 1 < argc && time_parse(argv[i + 1], &us) == 0)
			argv[i] = until;
		else if (!strncmp(argv[i], "--to=", 5) && time_parse(argv[i] + 5, &us) == 0)
			argv[i] = whole = mem_printf("%s=%s", until, argv[i] + 5);
	}
}

/* What is not as it came. A server's stream of payloads has no place for it: then verify tells. */
static void tell_of_others(const struct replay_result *r)
{
	if (r->files_of_others)
		fprintf(stderr, "hydrant: %llu data %s written by another program: the events in %s are as that program wrote them\n",
			(unsigned long long)r->files_of_others, r->files_of_others == 1 ? "file was" : "files were", r->files_of_others == 1 ? "it" : "them");
	if (r->foreign)
		fprintf(stderr, "hydrant: %llu %s of another program passed over: they are no events and have no bytes to replay; search and query show them\n",
			(unsigned long long)r->foreign, r->foreign == 1 ? "row" : "rows");
}

/* They may be secrets: where they are is left out of core dumps, the list of processes does not show them for long, and no message does. */
static bool take_headers(const char **headers, const char *to, int *ret_exit)
{
	for (size_t i = 0; headers[i]; i++) {
		char *given = (char *)(uintptr_t)headers[i], *header = secret_copy(given);
		explicit_bzero(given, strlen(given));
		headers[i] = header ? header : "";
		size_t name = strspn(headers[i], "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
		const char *value = headers[i] + name;
		value += *value == ':' ? 1 + strspn(value + 1, " \t") : strlen(value);
		if (!name || !*value || strpbrk(value, "\r\n") || !strncasecmp(headers[i], "Content-Length:", 15) ||
		    !strncasecmp(headers[i], "Transfer-Encoding:", 18)) {
			*ret_exit = usage_error("replay", "--header wants 'Name: value', on one line, of what we do not write ourselves; number %zu is no such", i + 1);
			return false;
		}
	}
	if (headers[0] && strncmp(to, "http://", 7) && strncmp(to, "https://", 8)) {
		*ret_exit = usage_error("replay", "--header is for --to http://… and https://…");
		return false;
	}
	return true;
}

int cmd_replay(int argc, char **argv)
{
	tell_times_from_urls(argc, argv);
	int code;
	const char *to = NULL, *where = "", *rate = NULL, *speed = NULL, *framing = "lines";
	const char *headers[OPTION_LIST_MAX + 1] = { NULL };
	int64_t from = INT64_MIN, until = INT64_MAX;
	const struct option_def defs[] = {
		{ "--to", OPTION_TEXT, &to, "stdout, file://PATH, http(s)://… (one POST an event; another hydrant: …/events?body=event)", "URL" },
		{ "--where", OPTION_TEXT, &where, "only events that this search finds", "QUERY" },
		{ "--from", OPTION_TIME, &from, "events at or after this time", "T" },
		{ "--until", OPTION_TIME, &until, "events before this time (--to T means the same)", "T" },
		{ "--rate", OPTION_TEXT, &rate, "events a second, such as 500/s (default: no limit)", "N/s" },
		{ "--speed", OPTION_TEXT, &speed, "1x: as they came, 10x, max (default)", "X" },
		{ "--header", OPTION_LIST, headers, "of each POST, such as 'Authorization: Bearer …'; may be given several times", "'N: V'" },
		{ "--framing", OPTION_TEXT, &framing, "stdout and files: lines (default), length, nul", "F" },
		{ 0 },
	};
	struct read_replay_options ro = { 0 };
	if (!options_parse(command_find("replay"), &argc, argv, defs, 1, 1, &code) || !parse_pace(rate, speed, &ro, &code))
		return code;
	if (!to)
		return usage_error("replay", "say where to: --to stdout, --to file://PATH or --to http://…");
	if (!take_headers(headers, to, &code))
		return code;
	ro.headers = headers;
	ro.collection = argv[1];
	ro.to = to;
	ro.where = slice_str(where);
	ro.from = from;
	ro.until = until;
	if (strcmp(framing, "lines") && strcmp(framing, "length") && strcmp(framing, "nul"))
		return usage_error("replay", "framing '%s' is not one of lines, length, nul", framing);
	ro.framing = !strcmp(framing, "length") ? SINK_LENGTH : !strcmp(framing, "nul") ? SINK_NUL : SINK_LINES;
	char *server = NULL;
	struct err err;
	struct progress bar;
	struct replay_result result = { 0 };
	AUTO(pipeline) *p = NULL;
	progress_begin(&bar, argv[1]);
	rc_t rc = lake_open(true, &p, &server, &err);
	ro.progress = local_progress;
	ro.ctx = &bar;
	ro.cancel = &replay_cancelled;
	struct sigaction interrupt = { .sa_handler = on_interrupt }; /* without SA_RESTART: it ends a write that nobody reads */
	sigaction(SIGINT, &interrupt, NULL);
	if (rc == RC_OK)
		rc = server ? replay_remote(server, &ro, &bar, &result, &err) : read_replay(p, &ro, &result, &err);
	progress_end(&bar);
	if (rc == RC_OK) {
		char bytes[16], events[32];
		format_bytes(result.bytes, bytes);
		format_count(result.events, events);
		fprintf(stderr, "replayed %s %s (%s) to %s\n", events, result.events == 1 ? "event" : "events", bytes, to);
		tell_of_others(&result);
	}
	free(server);
	return finish(rc, &err);
}
