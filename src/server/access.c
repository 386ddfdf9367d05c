#include "server/access.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/pipeline.h"

struct access {
	int refs; /* atomic */
	bool open;
	struct access_token *tokens;
	size_t count;
};

static const struct {
	const char *name;
	enum access_scope scope;
} scopes[] = { { "ingest", SCOPE_INGEST }, { "read", SCOPE_READ }, { "replay", SCOPE_REPLAY }, { "admin", SCOPE_ADMIN } };

void access_hash(struct slice token, uint8_t ret[ACCESS_HASH_LEN])
{
	SHA256(token.data, token.len, ret);
}

unsigned access_scope_parse(const char *name)
{
	for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++)
		if (!strcmp(scopes[i].name, name))
			return scopes[i].scope;
	return 0;
}

const char *access_scope_name(enum access_scope scope)
{
	for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++)
		if (scopes[i].scope == scope)
			return scopes[i].name;
	return "?";
}

static void copy_token(struct access_token *to, const struct access_token *from)
{
	*to = *from;
	to->name = mem_strdup(from->name);
	const char **patterns = mem_zalloc(from->collection_count + 1, sizeof *patterns);
	for (size_t i = 0; i < from->collection_count; i++)
		patterns[i] = mem_strdup(from->collections[i]);
	to->collections = patterns;
}

struct access *access_new(const char *token, const struct access_token *tokens, size_t count)
{
	struct access *a = NEW(struct access);
	a->refs = 1;
	a->open = !token && !count;
	a->tokens = mem_zalloc(count + 1, sizeof *a->tokens);
	for (size_t i = 0; i < count; i++)
		copy_token(&a->tokens[a->count++], &tokens[i]);
	if (token) {
		struct access_token all = { .name = "token", .hash_count = 1, .scopes = SCOPE_ALL };
		access_hash(slice_str(token), all.hashes[0]);
		copy_token(&a->tokens[a->count++], &all);
	}
	return a;
}

struct access *access_hold(struct access *a)
{
	__atomic_add_fetch(&a->refs, 1, __ATOMIC_RELAXED);
	return a;
}

void access_release(struct access *a)
{
	if (!a || __atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < a->count; i++) {
		for (size_t k = 0; k < a->tokens[i].collection_count; k++)
			free((char *)(uintptr_t)a->tokens[i].collections[k]);
		free((void *)(uintptr_t)a->tokens[i].collections);
		free((char *)(uintptr_t)a->tokens[i].name);
	}
	free(a->tokens);
	free(a);
}

bool access_open(const struct access *a)
{
	return a->open;
}

const struct access_token *access_find(const struct access *a, const uint8_t hash[ACCESS_HASH_LEN])
{
	const struct access_token *found = NULL;
	for (size_t i = 0; i < a->count; i++) /* all of them: the time says nothing of which one it was */
		for (unsigned k = 0; k < a->tokens[i].hash_count; k++)
			if (CRYPTO_memcmp(hash, a->tokens[i].hashes[k], ACCESS_HASH_LEN) == 0)
				found = &a->tokens[i];
	return found;
}

bool access_allows(const struct access_token *t, enum access_scope scope, const char *collection)
{
	if (!t)
		return true;
	if (!(t->scopes & (scope | SCOPE_ADMIN)))
		return false;
	if (!collection || !t->collection_count)
		return true;
	size_t n = strlen(collection), suffix = sizeof QUARANTINE_SUFFIX - 1;
	bool quarantine = n > suffix && !strcmp(collection + n - suffix, QUARANTINE_SUFFIX);
	AUTO_MEM char *base = mem_printf("%.*s", (int)(quarantine ? n - suffix : n), collection);
	for (size_t i = 0; i < t->collection_count; i++)
		if (collection_pattern_matches(t->collections[i], base))
			return true;
	return false;
}
