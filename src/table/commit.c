/* Commits: creating v<N+1>.metadata.json is the commit. Crash order of an append:
 *   manifest, manifest list, [commit: v<N+1>], version hint, _schema/athena.sql, sweep
 * what stands before the commit is garbage until it (the sweep takes it after its grace), what stands behind it is repaired by others. */
#include <stdio.h>

#include "base/fault.h"
#include "base/hash.h"
#include "table/table_internal.h"

#define PROP_COMMIT "hydrant.commit" /* a random name a version: whose v<N+1> it is can be told by looking */
#define PAUSE_MIN 2000               /* µs of the first wait after a conflict; doubled each time, halved by chance */
#define PAUSE_MAX 1000000
#define LOOKS 9                      /* at what is there and not to be seen, a second in all */
#define DDL_MAX ((size_t)16 << 20)

json_t *table_next(const struct table *t)
{
	json_t *next = json_deep_copy(t->state.meta);
	AUTO_MEM char *rel = mem_printf("metadata/v%lld.metadata.json", (long long)t->state.version);
	AUTO_MEM char *previous = table_absolute(t, rel);
	meta_touch(next, previous, store_now(t->store));
	return next;
}

/* After a put that did not say yes: is v<N+1> ours? RC_OK: yes. RC_CONFLICT: another's. RC_NOT_FOUND: nobody's. */
static rc_t look(const struct table *t, const char *key, struct slice ours, struct err *reterr)
{
	AUTO_BUF struct buf b;
	buf_init(&b, METADATA_MAX);
	TRY(store_get(t->store, key, &b, reterr));
	if (slice_eq(buf_slice(&b), ours))
		return RC_OK;
	return err_set(reterr, RC_CONFLICT, "%s was committed by another writer", key);
}

/* The store says that it is there. A server may say so a moment before it shows it (versitygw with its metadata in files beside), and another's that
 * found its base gone goes again: RC_NOT_FOUND after a second. */
static rc_t look_for_taken(const struct table *t, const char *key, struct slice ours)
{
	rc_t rc = look(t, key, ours, NULL);
	for (int n = 0; rc == RC_NOT_FOUND && n < LOOKS; n++) {
		store_pause(t->store, (int64_t)PAUSE_MIN << n);
		rc = look(t, key, ours, NULL);
	}
	return rc;
}

/* v<N> went (or is another file) while we made v<N+1>: we slept so long that our version number was free again, or the table was dropped. */
static bool base_gone(const struct table *t)
{
	uint64_t size;
	int64_t mtime;
	AUTO_MEM char *plain = table_version_key(t, t->state.version, false);
	AUTO_MEM char *gzip = table_version_key(t, t->state.version, true);
	rc_t rc = store_size(t->store, plain, &size, &mtime, NULL);
	if (rc == RC_NOT_FOUND)
		rc = store_size(t->store, gzip, &size, &mtime, NULL);
	return rc == RC_NOT_FOUND || (rc == RC_OK && t->state.size && (size != t->state.size || mtime != t->state.mtime)); /* 0: nobody told us */
}

/* A put of the hint in the same folder that succeeds says that the folder with the version's name in it has been synced. */
static rc_t confirm(struct table *t, int64_t version, struct err *reterr)
{
	AUTO_MEM char *key = table_key(t, HINT_PATH);
	AUTO_MEM char *text = mem_printf("%lld", (long long)version);
	return store_put(t->store, key, slice_str(text), STORE_REPLACE, reterr);
}

rc_t table_confirm(struct table *t, struct err *reterr)
{
	return confirm(t, t->state.version, reterr);
}

/* Creates the version's file. Whatever the put says, what stands in the store decides. */
static rc_t create_version(struct table *t, int64_t version, struct slice text, struct err *reterr)
{
	AUTO_MEM char *key = table_version_key(t, version, false);
	AUTO_MEM char *gzip = table_version_key(t, version, true);
	struct err e = { 0 };
	rc_t rc = store_size(t->store, gzip, NULL, NULL, reterr);
	if (rc == RC_OK)
		return err_set(reterr, RC_CONFLICT, "%s was committed by another writer", gzip);
	if (rc != RC_NOT_FOUND) /* another writer's commit may stand there */
		return rc;
	fault_point("table.before_commit");
	rc = store_put(t->store, key, text, STORE_CREATE, &e);
	if (rc != RC_OK) {
		rc_t seen = rc == RC_CONFLICT ? look_for_taken(t, key, text) : look(t, key, text, NULL);
		if (seen == RC_OK && rc != RC_CONFLICT)
			rc = confirm(t, version, &e); /* it is there, but was it durable when the put failed? */
		else if (seen == RC_OK || seen == RC_CONFLICT)
			rc = seen;
		else if (rc == RC_CONFLICT && seen != RC_NOT_FOUND)
			rc = RC_IO; /* taken, and nobody can tell by whom: the caller reloads and looks at its positions */
	}
	if (rc == RC_CONFLICT)
		return err_set(reterr, rc, "%s was committed by another writer", key);
	if (rc != RC_OK) {
		if (reterr)
			*reterr = e;
		err_prefix(reterr, "cannot commit %s", key);
		return rc;
	}
	fault_point("table.after_commit");
	if (version > 1 && base_gone(t)) {
		store_delete(t->store, key, NULL); /* ours for certain, and nobody's base: no reader gets here from an older version */
		return err_set(reterr, RC_CONFLICT, "table %s moved on or was dropped while this commit waited", t->collection);
	}
	return RC_OK;
}

/* The document as text. One that takes up too much room loses earlier snapshots, and with them the schemas that only they have, before their time:
 * a table that cannot be committed to any more would be worse. NULL: it is too large all the same. */
static char *document(const struct table *t, json_t *next, size_t max)
{
	static const uint32_t fewer[] = { 10, 1 };
	size_t room = t->room < max ? t->room : max;
	for (size_t i = 0;; i++) {
		char *text = json_dumps(next, JSON_COMPACT);
		size_t n = text ? strlen(text) : SIZE_MAX; /* NULL only out of memory: the document was JSON before */
		if (n < room || (i == sizeof fewer / sizeof *fewer && n < max))
			return text;
		free(text);
		if (i == sizeof fewer / sizeof *fewer)
			return NULL;
		const struct table_keep keep = { .snapshots_min = fewer[i], .snapshots_max = fewer[i] };
		meta_expire_snapshots(next, &keep, store_now(t->store));
		meta_prune_schemas(next);
	}
}

static rc_t publish(struct table *t, json_t *next, size_t max, struct table_state *fresh, struct err *reterr)
{
	uint8_t id[16];
	char hex[33];
	struct hash128 h;
	store_random(t->store, id, sizeof id);
	memcpy(&h, id, sizeof h);
	hash128_hex(h, hex);
	TRY(meta_set_property(next, PROP_COMMIT, hex, reterr));
	AUTO_MEM char *text = document(t, next, max);
	if (!text)
		return err_set(reterr, RC_LIMIT, "the metadata of table %s would be over %zu KiB: too many columns, or too long names", t->collection,
			       max >> 10);
	TRY(state_from_json(next, t->state.version + 1, fresh, reterr)); /* never commit what could not be read back */
	json_incref(next);
	rc_t rc = create_version(t, fresh->version, slice_str(text), reterr);
	if (rc != RC_OK) {
		state_free(fresh);
		return rc;
	}
	AUTO_MEM char *key = table_version_key(t, fresh->version, false);
	store_size(t->store, key, &fresh->size, &fresh->mtime, NULL);
	return RC_OK;
}

static rc_t publish_within(struct table *t, json_t *next, size_t max, struct err *reterr)
{
	struct table_state fresh;
	rc_t rc = publish(t, next, max, &fresh, reterr);
	json_decref(next);
	if (rc != RC_OK)
		return rc;
	state_free(&t->state);
	t->state = fresh;
	table_write_hint(t);
	fault_point("table.after_hint");
	return RC_OK;
}

rc_t table_publish(struct table *t, json_t *next, struct err *reterr)
{
	return publish_within(t, next, METADATA_MAX, reterr);
}

rc_t table_publish_schema(struct table *t, json_t *next, struct err *reterr)
{
	return publish_within(t, next, t->room, reterr);
}

/* Waits a little, longer each time, and reloads. RC_AGAIN when it has been too often. */
static rc_t wait_and_reload(struct table *t, unsigned attempt, struct err *reterr)
{
	if (attempt >= COMMIT_TRIES) {
		rc_t rc = err_set(reterr, RC_AGAIN, "table %s: %u commits of others in a row were first; try again", t->collection, attempt);
		if (reterr)
			reterr->retryable = true;
		return rc;
	}
	uint64_t random;
	store_random(t->store, &random, sizeof random);
	int64_t most = attempt < 9 ? PAUSE_MIN << attempt : PAUSE_MAX;
	store_pause(t->store, most / 2 + (int64_t)(random % (uint64_t)most));
	return table_reload(t, NULL, reterr);
}

/* A read costs a tenth of a write, so what nobody remembers is looked at first. */
static bool ddl_stands(const struct table *t, const char *key, struct slice text)
{
	AUTO_BUF struct buf b;
	buf_init(&b, DDL_MAX);
	return store_get(t->store, key, &b, NULL) == RC_OK && slice_eq(buf_slice(&b), text);
}

void table_write_ddl(struct table *t)
{
	AUTO_BUF struct buf b;
	buf_init(&b, DDL_MAX);
	if (table_ddl(t, TABLE_DDL_ATHENA, NULL, &b, NULL) != RC_OK || b.overflow)
		return;
	uint64_t hash = hash64(buf_slice(&b)) | 1;
	if (hash == t->ddl_hash)
		return;
	AUTO_MEM char *key = table_key(t, "_schema/athena.sql");
	if (!t->ddl_hash && ddl_stands(t, key, buf_slice(&b)))
		t->ddl_hash = hash;
	else if (store_put(t->store, key, buf_slice(&b), STORE_REPLACE, NULL) == RC_OK)
		t->ddl_hash = hash;
}

/* ---- Append ---- */

static rc_t check_expect(const struct table *t, const struct table_commit *c, struct err *reterr)
{
	for (size_t i = 0; i < c->expect_count; i++) {
		const char *have = table_property(t, c->expect[i].key), *want = c->expect[i].value;
		if (have ? want && !strcmp(have, want) : !want)
			continue;
		return err_set(reterr, RC_CONFLICT, "table %s: property %s is %s, this commit starts from %s: another writer has taken over, or it is done already",
			       t->collection, c->expect[i].key, have ? have : "absent", want ? want : "absent");
	}
	return RC_OK;
}

static rc_t check_files(const struct table *t, const struct table_commit *c, struct err *reterr)
{
	for (size_t i = 0; i < c->file_count; i++) {
		const struct data_file *f = &c->files[i];
		TRY(store_key_check(f->path, reterr));
		json_t *utf8 = json_string(f->path);
		json_decref(utf8);
		if (!utf8 || f->day == TABLE_DAY_NONE || f->record_count < 0 || f->file_size <= 0)
			return err_set(reterr, RC_INVALID, "table %s: file %s lacks its day, count or size, or is no UTF-8", t->collection, f->path);
	}
	return RC_OK;
}

static bool changes_nothing(const struct table *t, const struct table_commit *c)
{
	if (c->file_count)
		return false;
	for (size_t i = 0; i < c->update_count; i++) {
		const char *have = table_property(t, c->updates[i].key), *want = c->updates[i].value;
		if (have ? !want || strcmp(have, want) != 0 : want != NULL)
			return false;
	}
	return true;
}

static rc_t append_once(struct table *t, const struct table_commit *c, struct append_files *a, struct err *reterr)
{
	TRY(check_expect(t, c, reterr));
	if (changes_nothing(t, c))
		return RC_OK;
	const struct table_keep keep = table_keep_default();
	json_t *next = table_next(t);
	rc_t rc = RC_OK;
	for (size_t i = 0; rc == RC_OK && i < c->update_count; i++)
		rc = meta_set_property(next, c->updates[i].key, c->updates[i].value, reterr);
	if (rc == RC_OK && c->file_count)
		rc = append_files_snapshot(a, t, c, next, reterr);
	if (rc != RC_OK) {
		json_decref(next);
		return rc;
	}
	meta_expire_snapshots(next, &keep, store_now(t->store));
	meta_prune_schemas(next);
	return table_publish(t, next, reterr);
}

rc_t table_answer_again(struct table *t, rc_t rc, bool lost_race, unsigned attempt, bool *ret_again, struct err *reterr)
{
	bool changed = true;
	struct err e = { 0 };
	AUTO_MEM char *uuid = mem_strdup(table_uuid(t));
	rc_t reload = lost_race ? wait_and_reload(t, attempt, &e) : table_reload(t, &changed, &e);
	*ret_again = false;
	if (reload == RC_OK && strcmp(uuid, table_uuid(t)) != 0)
		reload = err_set(&e, RC_CONFLICT, "table %s was dropped and made anew meanwhile", t->collection);
	if (reload != RC_OK) {
		if (reterr)
			*reterr = e;
		return reload;
	}
	*ret_again = changed;
	return rc;
}

/* RC_CONFLICT comes from append_once for two things: a version that was taken is worth another try, an expectation that does not hold is
 * not, unless our view was an old one. RC_CORRUPT may come from an old view, too: what it names may have been swept. */
rc_t table_append(struct table *t, const struct table_commit *c, struct err *reterr)
{
	TRY(check_files(t, c, reterr));
	struct append_files a;
	append_files_init(&a, t, c);
	int64_t before = t->state.version;
	bool again = true;
	rc_t rc = RC_OK;
	for (unsigned attempt = 0; again; attempt++) {
		again = false;
		rc = append_once(t, c, &a, reterr);
		if (rc == RC_CONFLICT || rc == RC_CORRUPT)
			rc = table_answer_again(t, rc, rc == RC_CONFLICT && check_expect(t, c, NULL) == RC_OK, attempt, &again, reterr);
	}
	append_files_free(&a);
	if (rc == RC_OK && t->state.version != before) {
		const struct table_keep keep = table_keep_default();
		if (t->state.version % SWEEP_EVERY == 0)
			t->ddl_hash = 0; /* another writer that was slow may have put an older one over it */
		table_write_ddl(t);
		fault_point("table.after_ddl");
		if (t->state.version % SWEEP_EVERY == 0)
			table_sweep(t, &keep, NULL, NULL); /* the next one makes up for a failure */
	}
	return rc;
}

/* ---- Properties and snapshots alone ---- */

struct table_keep table_keep_default(void)
{
	const int64_t day = (int64_t)24 * 3600 * 1000000;
	return (struct table_keep){ .snapshot_age = day, .snapshots_min = 10, .snapshots_max = 100, .versions_min = 100,
				    .versions_age = day, .grace = day };
}

rc_t table_expire(struct table *t, const struct table_keep *keep, uint64_t *ret_removed, struct err *reterr)
{
	bool again = true;
	for (unsigned attempt = 0; again; attempt++) {
		again = false;
		json_t *next = table_next(t);
		if (!meta_expire_snapshots(next, keep, store_now(t->store))) {
			json_decref(next);
			break;
		}
		meta_prune_schemas(next);
		rc_t rc = table_publish(t, next, reterr);
		if (rc == RC_CONFLICT)
			rc = table_answer_again(t, rc, true, attempt, &again, reterr);
		if (rc != RC_OK && !again)
			return rc;
	}
	return table_sweep(t, keep, ret_removed, reterr);
}
