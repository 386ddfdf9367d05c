/* Settings of a collection that came through the API: kept in the lake, one object a collection, so that every server of the lake has them:
 *
 *   LAKE/_hydrant/collections/NAME.json     {"time_field": "meta.ts", "id_field": "id", "file_size": bytes, "commit_interval": seconds, "commit_interval_idle": seconds,
 *                                            "retention": seconds}
 *
 * Every member may be absent; one that is unknown is a newer hydrant's, and is passed over. They are read when the lake is opened: another
 * server of the same lake sees a change with its next start. The last writer wins, each object is replaced as a whole. */
#include <jansson.h>
#include <stdio.h>

#include "base/log.h"
#include "pipeline/pipeline_internal.h"

#define DECLARED_FOLDER "_hydrant/collections"
#define DECLARED_MAX 65536 /* collections */
#define OBJECT_MAX ((size_t)64 << 10)

static void clear(struct declared *d)
{
	free(d->name);
	free(d->time_field);
	free(d->id_field);
}

void declared_free(struct pipeline *p)
{
	for (size_t i = 0; i < p->declared_count; i++)
		clear(&p->declared[i]);
	free(p->declared);
}

const struct declared *declared_of(const struct pipeline *p, const char *name)
{
	for (size_t i = 0; i < p->declared_count; i++)
		if (!strcmp(p->declared[i].name, name))
			return &p->declared[i];
	return NULL;
}

/* Takes d's strings over. */
static void put(struct pipeline *p, struct declared d)
{
	pthread_mutex_lock(&p->rules_lock);
	struct declared *at = (struct declared *)(uintptr_t)declared_of(p, d.name);
	note_declared(p, d.id_field, d.retention_us);
	if (at) {
		clear(at);
		*at = d;
	} else {
		p->declared = mem_realloc(p->declared, (p->declared_count + 1) * sizeof *p->declared);
		p->declared[p->declared_count++] = d;
	}
	for (int64_t us = d.commit_busy_us, i = 0; i < 2; us = d.commit_idle_us, i++)
		if (us && us < __atomic_load_n(&p->shortest_us, __ATOMIC_RELAXED))
			__atomic_store_n(&p->shortest_us, us, __ATOMIC_RELAXED);
	settings_changed(p);
	pthread_mutex_unlock(&p->rules_lock);
}

static void forget(struct pipeline *p, const char *name)
{
	pthread_mutex_lock(&p->rules_lock);
	struct declared *at = (struct declared *)(uintptr_t)declared_of(p, name);
	if (at) {
		clear(at);
		*at = p->declared[--p->declared_count];
		settings_changed(p);
	}
	pthread_mutex_unlock(&p->rules_lock);
}

static int64_t amount(json_t *o, const char *key, double unit)
{
	double v = json_number_value(json_object_get(o, key)) * unit;
	return v > 0 && v < 9e15 ? (int64_t)v : 0;
}

static char *text(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s && *s ? mem_strdup(s) : NULL;
}

static struct declared parse(const char *name, json_t *o)
{
	return (struct declared){
		.name = mem_strdup(name),
		.time_field = text(o, "time_field"),
		.id_field = text(o, "id_field"),
		.file_bytes = (uint64_t)amount(o, "file_size", 1),
		.commit_busy_us = amount(o, "commit_interval", 1e6),
		.commit_idle_us = amount(o, "commit_interval_idle", 1e6),
		.retention_us = amount(o, "retention", 1e6),
	};
}

struct loading {
	struct pipeline *p;
	struct store *store;
};

static rc_t load_one(void *ctx, const struct store_entry *e, struct err *reterr)
{
	struct loading *l = ctx;
	const char *slash = strrchr(e->key, '/'), *dot = strrchr(e->key, '.');
	if (e->is_folder || !slash || !dot || strcmp(dot, ".json") != 0 || l->p->declared_count == DECLARED_MAX)
		return RC_OK;
	AUTO_MEM char *name = mem_printf("%.*s", (int)(dot - slash - 1), slash + 1);
	AUTO_BUF struct buf text;
	buf_init(&text, OBJECT_MAX);
	rc_t rc = collection_name_valid(slice_str(name)) ? store_get(l->store, e->key, &text, reterr) : RC_NOT_FOUND;
	if (rc == RC_NOT_FOUND) /* foreign; or dropped just now */
		return RC_OK;
	TRY(rc);
	json_t *o = json_loadb((const char *)text.data, text.len, 0, NULL);
	if (json_is_object(o))
		put(l->p, parse(name, o));
	else
		log_error("%s of the lake cannot be read, and '%s' goes without: PUT its settings again, or remove the object", e->key, name);
	json_decref(o);
	return RC_OK;
}

rc_t declared_load(struct pipeline *p, struct store *store, struct err *reterr)
{
	struct loading l = { p, store };
	return store_list_folder(store, DECLARED_FOLDER, load_one, &l, reterr);
}

rc_t pipeline_declare(struct pipeline *p, const struct collection_rule *rule, struct err *reterr)
{
	struct store *store;
	const char *name = rule->pattern;
	if (!collection_name_valid(slice_str(name)) || strstr(name, "__"))
		return err_set(reterr, RC_INVALID, "'%.100s' is no collection name: [a-z][a-z0-9_]{0,62} without '__'", name);
	TRY(place_open(p, p->places, &store, reterr));
	json_t *o = json_object();
	if (rule->time_field)
		json_object_set_new(o, "time_field", json_string(rule->time_field));
	if (rule->id_field)
		json_object_set_new(o, "id_field", json_string(rule->id_field));
	if (rule->file_bytes)
		json_object_set_new(o, "file_size", json_integer((json_int_t)rule->file_bytes));
	if (rule->commit_busy_us)
		json_object_set_new(o, "commit_interval", json_real((double)rule->commit_busy_us / 1e6));
	if (rule->commit_idle_us)
		json_object_set_new(o, "commit_interval_idle", json_real((double)rule->commit_idle_us / 1e6));
	if (rule->retention_us)
		json_object_set_new(o, "retention", json_real((double)rule->retention_us / 1e6));
	char *json = json_dumps(o, JSON_COMPACT);
	AUTO_MEM char *key = mem_printf(DECLARED_FOLDER "/%s.json", name);
	rc_t rc = json ? store_put(store, key, slice_str(json), STORE_REPLACE, reterr) : err_set(reterr, RC_INVALID, "a field's name is not UTF-8");
	if (rc == RC_OK)
		put(p, parse(name, o));
	free(json);
	json_decref(o);
	TRY(rc);
	struct collection *c = collection_get(p, name);
	pthread_mutex_lock(&c->lock); /* hot events are shown by the new settings, too */
	hot_clear(&c->hot[0]);
	hot_clear(&c->hot[1]);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_lock(&p->lock);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	return RC_OK;
}

bool declared_is(struct pipeline *p, const char *name)
{
	pthread_mutex_lock(&p->rules_lock);
	bool is = declared_of(p, name) != NULL;
	pthread_mutex_unlock(&p->rules_lock);
	return is;
}

rc_t declared_drop(struct pipeline *p, const char *name, bool *ret_any, struct err *reterr)
{
	struct store *store;
	*ret_any = declared_is(p, name);
	if (!*ret_any)
		return RC_OK;
	AUTO_MEM char *key = mem_printf(DECLARED_FOLDER "/%s.json", name);
	TRY(place_open(p, p->places, &store, reterr));
	TRY(store_delete(store, key, reterr));
	TRY(store_settle(store, DECLARED_FOLDER, reterr));
	forget(p, name);
	return RC_OK;
}
