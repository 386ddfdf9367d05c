/* Who may do what: tokens with scopes × collections.
 *
 * Promise: a token is known by its SHA-256 only, and compared in constant time with every hash there is. A set of tokens is immutable; a request
 *   is judged by the set that was there when it began.
 * Ownership: access_new copies. Threads: any; a set is counted, access_hold and access_release.
 */
#ifndef SERVER_ACCESS_H
#define SERVER_ACCESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/slice.h"

#define ACCESS_HASH_LEN 32
#define ACCESS_HASHES_MAX 2 /* of one token: the old one and the new one */

enum access_scope {
	SCOPE_INGEST = 1, /* send events */
	SCOPE_READ = 2,   /* list, query, search, schema */
	SCOPE_REPLAY = 4, /* replay: the bytes themselves, also to other places */
	SCOPE_ADMIN = 8,  /* all of it, and flush, drop, settings */
	SCOPE_ALL = 15
};

struct access_token {
	const char *name; /* for people; not secret */
	uint8_t hashes[ACCESS_HASHES_MAX][ACCESS_HASH_LEN];
	unsigned hash_count;
	unsigned scopes; /* of enum access_scope, or-ed; SCOPE_ADMIN brings all */
	const char *const *collections; /* patterns; none = all collections */
	size_t collection_count;
};

/* The token's hash, as it stands in settings. */
void access_hash(struct slice token, uint8_t ret[ACCESS_HASH_LEN]);
/* "ingest", "read", …; 0 if there is none of that name. */
unsigned access_scope_parse(const char *name);
const char *access_scope_name(enum access_scope scope);

struct access;
/* token: the one that may do everything, or NULL. Neither token nor tokens: everybody may do everything. */
struct access *access_new(const char *token, const struct access_token *tokens, size_t count);
void access_release(struct access *a); /* NULL is fine */
struct access *access_hold(struct access *a);
bool access_open(const struct access *a); /* everybody may do everything */
/* The token that is meant, or NULL if it is none of these; lives as long as the set. */
const struct access_token *access_find(const struct access *a, const uint8_t hash[ACCESS_HASH_LEN]);
/* May it, at all (collection NULL), or with this collection (or its quarantine)? t NULL: yes, for sets that are open. */
bool access_allows(const struct access_token *t, enum access_scope scope, const char *collection);

#endif
