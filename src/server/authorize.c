/* A request's token against what it asks for. The route decides the scope; the collection stands in the path, or, for searches, replays and
 * queries, in the body: those ask a second time, from their worker. */
#include <stdio.h>
#include <string.h>

#include "server/server_internal.h"

void grant_take(struct server *s, const struct http_request *req, struct grant *ret)
{
	uint8_t hash[ACCESS_HASH_LEN];
	pthread_mutex_lock(&s->access_lock);
	*ret = (struct grant){ .set = access_hold(s->access) };
	pthread_mutex_unlock(&s->access_lock);
	if (!access_open(ret->set) && http_request_bearer(req, hash))
		ret->token = access_find(ret->set, hash);
}

void grant_end(struct grant *g)
{
	access_release(g->set);
	g->set = NULL;
}

bool grant_allows(const struct grant *g, enum access_scope scope, const char *collection)
{
	return access_open(g->set) || (g->token && access_allows(g->token, scope, collection));
}

bool grant_reads(const void *grant, const char *collection)
{
	return grant_allows(grant, SCOPE_READ, collection);
}

bool grant_limited(const struct grant *g)
{
	return !access_open(g->set) && (!g->token || g->token->collection_count);
}

/* The same words whether there is such a collection or not. */
rc_t grant_check(const struct grant *g, enum access_scope scope, const char *collection, struct err *reterr)
{
	rc_t rc;
	if (grant_allows(g, scope, collection))
		return RC_OK;
	if (!g->token)
		rc = err_set(reterr, RC_INVALID, "send \"Authorization: Bearer TOKEN\" with a token of this server");
	else if (!access_allows(g->token, scope, NULL))
		rc = err_set(reterr, RC_INVALID, "the token '%.64s' has not the scope '%s'; use one that has, or ask for it", g->token->name,
			     access_scope_name(scope));
	else
		rc = err_set(reterr, RC_INVALID, "the token '%.64s' is not for the collection '%.64s'", g->token->name, collection ? collection : "");
	if (reterr)
		reterr->status = g->token ? 403 : 401;
	return rc;
}

static bool segment_is(const struct http_request *req, unsigned index, const char *want)
{
	return slice_eq_str(http_request_segment(req, index), want);
}

/* false: the address needs no token. */
static bool scope_of(const struct http_request *req, enum access_scope *ret)
{
	enum http_method m = http_request_method(req);
	unsigned n = http_request_segments(req);
	if (!segment_is(req, 0, "v1"))
		return false;
	*ret = SCOPE_ADMIN; /* what is not named here */
	if (n == 4 && segment_is(req, 1, "collections") && segment_is(req, 3, "events"))
		*ret = SCOPE_INGEST;
	else if (segment_is(req, 1, "collections") && (m == HTTP_GET || m == HTTP_HEAD))
		*ret = SCOPE_READ;
	else if (n == 2 && (segment_is(req, 1, "query") || segment_is(req, 1, "search")))
		*ret = SCOPE_READ;
	else if (segment_is(req, 1, "replay") || segment_is(req, 1, "replays"))
		*ret = SCOPE_REPLAY;
	return true;
}

bool authorize(struct server *s, struct http_request *req)
{
	enum access_scope scope;
	struct grant g;
	struct err err = { 0 };
	char name[128] = "";
	if (!scope_of(req, &scope))
		return true;
	if (segment_is(req, 1, "collections"))
		snprintf(name, sizeof name, "%.*s", SLICE_ARG(http_request_segment(req, 2)));
	grant_take(s, req, &g);
	rc_t rc = grant_check(&g, scope, name[0] ? name : NULL, &err);
	grant_end(&g);
	if (rc == RC_OK)
		return true;
	struct http_field field = { "WWW-Authenticate", "Bearer" };
	AUTO_BUF struct buf body;
	buf_init(&body, 4096);
	http_error_body(&body, err.status == 401 ? "unauthorized" : "forbidden", err.text);
	http_respond(req, err.status, "application/json", buf_slice(&body), &field, err.status == 401);
	return false;
}

void server_set_access(struct server *s, const char *token, const struct access_token *tokens, size_t count)
{
	struct access *fresh = access_new(token, tokens, count);
	pthread_mutex_lock(&s->access_lock);
	struct access *old = s->access;
	s->access = fresh;
	pthread_mutex_unlock(&s->access_lock);
	access_release(old);
}

void server_renew_tls(struct server *s, struct http_tls *tls)
{
	http_server_renew_tls(s->http, tls);
}
