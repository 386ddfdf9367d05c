/* What the files of this room share. */
#ifndef SERVER_INTERNAL_H
#define SERVER_INTERNAL_H

#include <jansson.h>
#include <pthread.h>

#include "http/http.h"
#include "server/server.h"

#define WORKERS_MAX 8     /* queries and searches at a time; more get 503 */
#define PATIENT_MAX (WORKERS_MAX / 2) /* of them, may wait long for readers at rest: others always get a turn */
#define PATIENCE_US ((int64_t)3600 * 1000000)
#define SQL_SLOTS 2       /* SQL children at a time */
#define JSON_BODY_MAX (((size_t)1 << 20) + ((size_t)64 << 10)) /* SQL_TEXT_MAX and what is around it: a tree takes 50 times as much */

/* An appended request that waits for its group's sync. */
struct waiting {
	struct http_request *req;
	uint64_t ticket;
	struct ingest_reply reply;
};

/* A long answer in work, looked after by the watch thread: it is cancelled when its client is gone, or when the server ends. */
struct watch {
	struct http_request *req;
	bool cancel; /* atomic */
	int fd;      /* readable once cancelled; -1: none */
	struct watch *next;
};

/* Acks that wait because their collection's backlog is long (pace.c). */
struct delayed {
	int64_t due; /* clock_mono_us */
	struct waiting waiting;
};
struct pace {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	struct delayed *heap;
	size_t count, cap;
	bool started, stopping;
};

/* Requests whose Idempotency-Key is on its way in another one (repeat.c). */
struct repeats {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	struct repeat *first, **tail;
	size_t count; /* with the one that the thread looks after */
	bool started, stopping;
};

struct server {
	struct server_options opts;
	struct pipeline *pipeline;
	struct wal *wal;
	struct http_server *http;
	pthread_mutex_t access_lock;
	struct access *access; /* of the next request */
	int64_t started;      /* wall µs */
	bool draining;
	/* api_ingest.c */
	pthread_mutex_t lock;
	struct waiting *queue; /* ring */
	size_t queue_head, queue_count, queue_cap;
	uint64_t accepted_events, accepted_bytes, quarantined_events, deduplicated_events, repeated_requests;
	struct pace pace;
	uint64_t delayed_acks;
	struct repeats repeats;
	/* workers */
	pthread_mutex_t workers_lock;
	pthread_cond_t workers_idle;
	unsigned workers;
	unsigned patient;         /* of them, wait for readers at rest; under workers_lock */
	unsigned sql_running;     /* with sql_ended under workers_lock */
	pthread_cond_t sql_ended;     /* or who waits for that is cancelled; monotonic clock */
	struct watch *watches;        /* under workers_lock, as are the next three */
	pthread_cond_t watch_changed; /* monotonic clock */
	bool watch_running, ending;
	pthread_t watch_thread;
	uint64_t queries, searches, query_errors;
};

/* Runs work(s, req) on a thread of its own; answers 503 itself if too many are running. */
void server_work(struct server *s, struct http_request *req, void (*work)(struct server *s, struct http_request *req));
/* From before the long part until before the response. */
void watch_begin(struct server *s, struct watch *w, struct http_request *req);
void watch_end(struct server *s, struct watch *w);
rc_t watch_start(struct server *s, struct err *reterr);
void watch_stop(struct server *s); /* cancels everything */
/* authorize.c: a request's rights, as they are at this moment. */
struct grant {
	struct access *set;
	const struct access_token *token; /* NULL: none that is known */
};
void grant_take(struct server *s, const struct http_request *req, struct grant *ret);
void grant_end(struct grant *g);
bool grant_allows(const struct grant *g, enum access_scope scope, const char *collection);
bool grant_reads(const void *grant, const char *collection); /* grant_allows as a callback */
bool grant_limited(const struct grant *g); /* not all collections */
/* RC_INVALID with status 401 or 403. collection may be NULL. */
rc_t grant_check(const struct grant *g, enum access_scope scope, const char *collection, struct err *reterr);
/* By route and path; false: it was answered. */
bool authorize(struct server *s, struct http_request *req);

/* The status and code that go with an error. */
void respond_err(struct http_request *req, const struct err *err);
void respond_json(struct http_request *req, int status, json_t *value); /* takes value */

rc_t pace_start(struct server *s, struct err *reterr);
void pace_stop(struct server *s); /* what is delayed is answered now */
bool pace_delays(struct server *s); /* could any ack have to wait? */
void pace_ack(struct server *s, const struct waiting *w); /* answers now or later */
rc_t repeat_start(struct server *s, struct err *reterr);
void repeat_stop(struct server *s); /* who waits is answered first */
void repeat_wait(struct server *s, struct http_request *req, uint64_t ticket); /* ingest_again later; answers 503 itself if too many wait */
void ingest_accepted(struct server *s, const struct waiting *w);
void ingest_again(struct server *s, struct http_request *req, uint64_t ticket); /* blocks until the ticket is settled */
void ingest_handle(struct server *s, struct http_request *req, struct slice collection);
void ingest_durable(void *ctx, uint64_t settled); /* wal_on_durable */
void api_query(struct server *s, struct http_request *req);
void api_search(struct server *s, struct http_request *req);
void api_collections(struct server *s, struct http_request *req);
void api_collection(struct server *s, struct http_request *req);
void api_collection_put(struct server *s, struct http_request *req);
json_t *body_object(struct http_request *req); /* or NULL after a 400 */
void api_collection_drop(struct server *s, struct http_request *req);
void api_schema(struct server *s, struct http_request *req);
void api_flush(struct server *s, struct http_request *req);
void api_replay(struct server *s, struct http_request *req);
void metrics_handle(struct server *s, struct http_request *req);
void ready_handle(struct server *s, struct http_request *req);

#endif
