/* Questions to a pipeline: SQL, search, replay. What the HTTP API and the commands without a server both call.
 * Threads: any; each call blocks its thread. */
#ifndef SERVER_READ_H
#define SERVER_READ_H

#include "base/err.h"
#include "pipeline/pipeline.h"
#include "replay/replay.h"
#include "sql/sql.h"

typedef rc_t (*read_write)(void *ctx, struct slice bytes, struct err *reterr);

struct read_query_options {
	struct slice sql;
	enum sql_format format;
	unsigned width;              /* terminal columns for SQL_TABLE */
	int64_t from, to;            /* µs: events with from ≤ time < to, and no file of other days is fetched; 0, 0: all */
	uint64_t memory_bytes;       /* of DuckDB; 0 = its default */
	int cancel_fd;               /* > 0: hung up means cancel */
	/* The collections that the statement may know of; NULL: all. */
	bool (*visible)(const void *ctx, const char *collection);
	const void *visible_ctx;
	/* Told before the first byte of the result: "trail: snapshot 12, 34 hot events; …". May be NULL. */
	void (*note)(void *ctx, const char *text);
	read_write write;
	void *ctx;
};
rc_t read_query(struct pipeline *p, const struct read_query_options *opts, struct err *reterr);

struct read_search_options {
	const char *collection;
	struct slice query;
	int64_t from, to;            /* µs */
	int64_t limit;               /* hits at most */
	const bool *cancel;          /* set by another thread; may be NULL */
	bool json;                   /* {"time":…,"position":…,"payload":…} a line; else the payload a line */
	read_write write;
	void *ctx;
};
struct read_search_result {
	uint64_t hits, scanned;
	bool more;                   /* the limit cut it */
};
rc_t read_search(struct pipeline *p, const struct read_search_options *opts, struct read_search_result *ret, struct err *reterr);

/* What a POST of these bytes says of them, so that who takes it can read it as what it is; another hydrant gets the very event with ?body=event. */
const char *read_content_type(struct slice payload);
struct read_replay_options {
	const char *collection;
	const char *to;              /* sink URL; NULL: framed bytes to `write` */
	read_write write;
	enum sink_framing framing;
	const char *const *headers;  /* of POSTs; see sink.h */
	struct slice where;          /* a search query; empty = all */
	int64_t from, until;
	double rate, speed;
	void (*progress)(void *ctx, uint64_t events, uint64_t bytes, int64_t time);
	void *ctx;
	const bool *cancel;
};
rc_t read_replay(struct pipeline *p, const struct read_replay_options *opts, struct replay_result *ret, struct err *reterr);

#endif
