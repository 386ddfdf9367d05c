/* Where collections are kept, and how: the rules of the settings, and the stores that they name.
 *
 * A place is a store with what it needs to be opened. It is opened when something is first asked of it and stays open as long as the pipeline;
 * one that cannot be opened is nobody else's trouble: whoever asks for it gets the error, and a moment later the next try. */
#include <stdio.h>

#include "base/log.h"
#include "os/clock.h"
#include "os/secret.h"
#include "pipeline/pipeline_internal.h"

#define OPEN_AGAIN_US ((int64_t)2 * 1000000) /* so long an error of opening stands for the next ones who ask */
#define LITTLE_TRIES 3 /* while it is doubtful whether the store answers */
#define LITTLE_IDLE_US ((int64_t)5 * 1000000)
#define HURRY_IDLE_US ((int64_t)3 * 1000000) /* at the end of the process; then one try, too */
#define TEMP_AGE_US ((int64_t)86400 * 1000000) /* another writer's unfinished file is younger than this */

struct rule {
	char *pattern, *time_field, *id_field;
	struct place *place;
	uint64_t file_bytes;
	int64_t commit_busy_us, commit_idle_us, retention_us;
};

/* ---- patterns ---- */

bool collection_pattern_matches(const char *pattern, const char *name)
{
	const char *star = NULL, *again = NULL;
	while (*name) {
		if (*pattern == '*') {
			star = ++pattern;
			again = name;
		} else if (*pattern == *name || (*pattern == '?' && *name != '*')) {
			pattern++;
			name++;
		} else if (star) {
			pattern = star;
			name = ++again;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

/* ---- places ---- */

static char *copy(const char *text)
{
	return text ? mem_strdup(text) : NULL;
}

/* The texts of a struct store_options, one after the other. */
static void store_texts(struct store_options *o, const char **ret[STORE_TEXTS])
{
	const char **list[STORE_TEXTS] = { &o->region,	  &o->endpoint,	  &o->role_arn,	   &o->external_id, &o->kms_key,  &o->profile,
					   &o->access_key, &o->secret_key, &o->session_token, &o->ca_file,     &o->temp_dir, &o->cache_dir };
	memcpy(ret, list, sizeof list);
}

/* Those of them that say who asks, and not where. */
static bool is_about_who(size_t text)
{
	static const bool who[STORE_TEXTS] = { false, false, true, true, false, true, true, true, true };
	return who[text];
}

/* who: by the same credentials, too. */
static bool same_place(const struct place *a, const char *url, const struct store_options *options, bool who)
{
	struct store_options x = a->options, y = options ? *options : (struct store_options){ 0 };
	const char **in[STORE_TEXTS], **on[STORE_TEXTS];
	store_texts(&x, in);
	store_texts(&y, on);
	for (size_t i = 0; i < STORE_TEXTS; i++)
		if ((who || !is_about_who(i)) && strcmp(*in[i] ? *in[i] : "", *on[i] ? *on[i] : "") != 0)
			return false;
	return !strcmp(a->url, url) && x.owner_full_control == y.owner_full_control && x.addressing == y.addressing && x.cache_bytes == y.cache_bytes;
}

/* The place, made if there is none like it. Only appended to, under rules_lock: whoever has one may keep it. */
static struct place *place_get(struct pipeline *p, const char *url, const struct store_options *options)
{
	struct place **at = &p->places;
	for (; *at; at = &(*at)->next)
		if (same_place(*at, url, options, true))
			return *at;
	struct place *pl = NEW(struct place);
	const char **texts[STORE_TEXTS];
	pl->url = mem_strdup(url);
	if (options)
		pl->options = *options;
	store_texts(&pl->options, texts);
	for (size_t i = 0; i < STORE_TEXTS; i++)
		*texts[i] = secret_copy(*texts[i]);
	pthread_mutex_init(&pl->lock, NULL);
	__atomic_store_n(at, pl, __ATOMIC_RELEASE);
	return pl;
}

static void place_free(struct place *pl)
{
	const char **texts[STORE_TEXTS];
	store_texts(&pl->options, texts);
	for (size_t i = 0; i < STORE_TEXTS; i++)
		secret_free((char *)(uintptr_t)*texts[i]);
	for (int i = 0; i < STORE_RIGHTS; i++)
		free(pl->missing[i]);
	store_free(pl->store);
	pthread_mutex_destroy(&pl->lock);
	free(pl->url);
	free(pl);
}

struct place *place_next(const struct pipeline *p, const struct place *after)
{
	return __atomic_load_n(after ? &after->next : &p->places, __ATOMIC_ACQUIRE);
}

/* What a bucket's store keeps on the local disk stands beside the log, unless the settings have another folder. */
rc_t place_store_open(struct pipeline *p, const struct place *pl, struct store **ret, struct err *reterr)
{
	struct store_options so = pl->options;
	bool has_dir = strcmp(p->data_dir, NO_DATA_DIR) != 0;
	AUTO_MEM char *cache = mem_printf("%s/cache", p->data_dir);
	AUTO_MEM char *temp = mem_printf("%s/tmp", p->data_dir);
	if (has_dir && !so.cache_dir)
		so.cache_dir = cache;
	if (has_dir && !so.temp_dir)
		so.temp_dir = temp;
	return store_open(pl->url, &so, ret, reterr);
}

static rc_t place_store(struct pipeline *p, struct place *pl, struct err *reterr)
{
	struct store *store;
	TRY(place_store_open(p, pl, &store, reterr));
	__atomic_store_n(&pl->store, store, __ATOMIC_RELEASE);
	if (pipeline_stopping(p))
		place_patience(p, pl, true);
	return RC_OK;
}

bool is_bucket(const struct place *pl)
{
	return !strncmp(pl->url, "s3://", 5);
}

void place_patience(struct pipeline *p, struct place *pl, bool little)
{
	struct store *store = __atomic_load_n(&pl->store, __ATOMIC_ACQUIRE);
	if (!store)
		return;
	if (little)
		store_set_patience(store, LITTLE_TRIES, LITTLE_IDLE_US);
	else
		store_set_patience(store, 0, 0);
	if (pipeline_stopping(p)) /* which may have begun just now */
		store_set_patience(store, 1, HURRY_IDLE_US);
}

void lakes_hurry(struct pipeline *p)
{
	for (struct place *pl = NULL; (pl = place_next(p, pl));)
		place_patience(p, pl, true);
}

static rc_t open_locked(struct pipeline *p, struct place *pl, struct err *reterr)
{
	struct err left;
	if (!pl->store)
		TRY(place_store(p, pl, reterr));
	TRY(lake_check(p, pl, reterr));
	if (pl == p->places)
		TRY(declared_load(p, pl->store, reterr));
	if (!p->opts.read_only && store_sweep_temp(pl->store, TEMP_AGE_US, &left) != RC_OK)
		log_warn("what killed processes left in %s stays there: %s", pl->url, left.text);
	__atomic_store_n(&pl->open, true, __ATOMIC_RELEASE);
	return RC_OK;
}

rc_t place_open(struct pipeline *p, struct place *pl, struct store **ret, struct err *reterr)
{
	if (!__atomic_load_n(&pl->open, __ATOMIC_ACQUIRE)) {
		pthread_mutex_lock(&pl->lock);
		rc_t rc = RC_OK;
		bool open = __atomic_load_n(&pl->open, __ATOMIC_ACQUIRE);
		if (!open && clock_mono_us() < pl->again_at) {
			rc = pl->error.rc;
		} else if (!open) {
			rc = open_locked(p, pl, &pl->error);
			pl->again_at = rc == RC_OK ? 0 : clock_mono_us() + OPEN_AGAIN_US;
		}
		if (rc != RC_OK && reterr)
			*reterr = pl->error;
		pthread_mutex_unlock(&pl->lock);
		TRY(rc);
	}
	*ret = pl->store;
	return RC_OK;
}

/* ---- opening while others wait, but not for long ---- */

struct opening {
	struct pipeline *p;
	struct place *pl;
};

static void *opener_thread(void *arg)
{
	struct opening *o = arg;
	struct pipeline *p = o->p;
	struct store *store;
	if (place_reach(p, o->pl, &store, NULL) == RC_OK)
		place_patience(p, o->pl, true);
	place_open(p, o->pl, &store, NULL); /* an error stands in the place */
	place_patience(p, o->pl, false);
	pthread_mutex_lock(&p->look_lock);
	o->pl->opening = false;
	pthread_cond_broadcast(&p->opened);
	pthread_mutex_unlock(&p->look_lock);
	free(o);
	return NULL;
}

void places_open_begin(struct pipeline *p, unsigned most)
{
	pthread_mutex_lock(&p->look_lock);
	for (struct place *pl = NULL; most && (pl = place_next(p, pl));) {
		if (!is_bucket(pl) || pl->has_opener || __atomic_load_n(&pl->open, __ATOMIC_ACQUIRE))
			continue;
		struct opening *o = NEW(struct opening);
		*o = (struct opening){ p, pl };
		pl->has_opener = pl->opening = pthread_create(&pl->opener, NULL, opener_thread, o) == 0;
		if (!pl->has_opener)
			free(o);
		most--;
	}
	pthread_mutex_unlock(&p->look_lock);
}

rc_t place_open_by(struct pipeline *p, struct place *pl, int64_t deadline, struct store **ret, struct err *reterr)
{
	struct timespec ts = { deadline / 1000000, deadline % 1000000 * 1000 };
	pthread_mutex_lock(&p->look_lock);
	while (pl->opening && clock_mono_us() < deadline)
		pthread_cond_timedwait(&p->opened, &p->look_lock, &ts);
	bool late = pl->opening;
	pthread_mutex_unlock(&p->look_lock);
	return late ? err_set(reterr, RC_IO, "%s has not answered yet", pl->url) : place_open(p, pl, ret, reterr);
}

void lakes_end(struct pipeline *p)
{
	lakes_hurry(p);
	for (struct place *pl = NULL; (pl = place_next(p, pl));) {
		if (pl->has_opener)
			pthread_join(pl->opener, NULL);
		pl->has_opener = false;
	}
}

rc_t place_reach(struct pipeline *p, struct place *pl, struct store **ret, struct err *reterr)
{
	pthread_mutex_lock(&pl->lock);
	rc_t rc = pl->store ? RC_OK : place_store(p, pl, reterr);
	*ret = pl->store;
	pthread_mutex_unlock(&pl->lock);
	return rc;
}

rc_t lakes_open_first(struct pipeline *p, struct err *reterr)
{
	return place_store(p, p->places, reterr);
}

/* ---- rules ---- */

static void rules_free(struct rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(rules[i].pattern);
		free(rules[i].time_field);
		free(rules[i].id_field);
	}
	free(rules);
}

static const struct rule *rule_of(const struct rule *rules, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (collection_pattern_matches(rules[i].pattern, name))
			return &rules[i];
	return NULL;
}

static char *text_said(bool named, const char *rule, const char *declared, const char *all)
{
	return copy(named && rule ? rule : declared ? declared : rule ? rule : all);
}

static int64_t first_said(bool named, int64_t rule, int64_t declared, int64_t all)
{
	return named && rule ? rule : declared ? declared : rule ? rule : all;
}

void note_declared(struct pipeline *p, const char *id_field, int64_t retention_us)
{
	if (id_field)
		__atomic_store_n(&p->ids_declared, true, __ATOMIC_RELAXED);
	if (retention_us)
		__atomic_store_n(&p->retention_declared, true, __ATOMIC_RELAXED);
}

void settings_changed(struct pipeline *p)
{
	if (!__atomic_add_fetch(&p->settings_version, 1, __ATOMIC_RELEASE))
		__atomic_add_fetch(&p->settings_version, 1, __ATOMIC_RELEASE);
}

void collection_settings_get(struct pipeline *p, const char *name, struct collection_settings *ret)
{
	size_t n = strlen(name), suffix = sizeof QUARANTINE_SUFFIX - 1;
	bool quarantine = n > suffix && !strcmp(name + n - suffix, QUARANTINE_SUFFIX);
	AUTO_MEM char *base = mem_printf("%.*s", (int)(quarantine ? n - suffix : n), name);
	const struct pipeline_options *o = &p->opts;
	pthread_mutex_lock(&p->rules_lock);
	const struct rule *r = rule_of(p->rules, p->rule_count, base);
	const struct declared *d = declared_of(p, base);
	static const struct rule no_rule;
	static const struct declared nothing;
	r = r ? r : &no_rule;
	d = d ? d : &nothing;
	bool named = r->pattern && !strpbrk(r->pattern, "*?"); /* the file's word on this very name comes first, on patterns last */
	*ret = (struct collection_settings){
		.place = r->place ? r->place : p->places,
		.time_field = text_said(named, r->time_field, d->time_field, o->time_field),
		.id_field = text_said(named, r->id_field, d->id_field, o->id_field),
		.file_bytes = (uint64_t)first_said(named, (int64_t)r->file_bytes, (int64_t)d->file_bytes, (int64_t)o->file_bytes),
		.commit_busy_us = first_said(named, r->commit_busy_us, d->commit_busy_us, o->commit_busy_us),
		.commit_idle_us = first_said(named, r->commit_idle_us, d->commit_idle_us, o->commit_idle_us),
		.retention_us = first_said(named, r->retention_us, d->retention_us, o->retention_us),
	};
	pthread_mutex_unlock(&p->rules_lock);
}

void collection_settings_clear(struct collection_settings *s)
{
	free(s->time_field);
	free(s->id_field);
	s->time_field = s->id_field = NULL;
}

struct place *place_with(struct pipeline *p, const char *collection)
{
	struct collection_settings s;
	collection_settings_get(p, collection, &s);
	collection_settings_clear(&s);
	return s.place;
}

bool place_holds(struct pipeline *p, const struct place *pl, const char *collection)
{
	return place_with(p, collection) == pl;
}

void rules_names(struct pipeline *p, const struct place *pl, void (*each)(void *ctx, const char *collection), void *ctx)
{
	pthread_mutex_lock(&p->rules_lock);
	for (size_t i = 0; i < p->rule_count; i++)
		if (p->rules[i].place == pl && !strpbrk(p->rules[i].pattern, "*?"))
			each(ctx, p->rules[i].pattern);
	pthread_mutex_unlock(&p->rules_lock);
}

rc_t pipeline_store_of(struct pipeline *p, const char *collection, struct store **ret, struct err *reterr)
{
	struct place *pl = place_with(p, collection);
	TRY(rights_away(p, pl, reterr));
	return place_open(p, pl, ret, reterr);
}

/* The place that the rule of this pattern names now, if the new one differs from it in its credentials alone. */
static struct place *same_rules_place(struct pipeline *p, const struct collection_rule *rule)
{
	for (size_t i = 0; i < p->rule_count; i++)
		if (p->rules[i].place && !strcmp(p->rules[i].pattern, rule->pattern) && same_place(p->rules[i].place, rule->url, rule->store, false))
			return p->rules[i].place;
	return NULL;
}

/* ret_renewed: NULL, or count members: the places that get other credentials. */
static struct rule *rules_make(struct pipeline *p, const struct collection_rule *from, size_t count, struct place **ret_renewed)
{
	struct rule *rules = mem_zalloc(count, sizeof *rules);
	for (size_t i = 0; i < count; i++) {
		note_declared(p, from[i].id_field, from[i].retention_us);
		struct place *pl = from[i].url && ret_renewed ? same_rules_place(p, &from[i]) : NULL;
		if (pl && !same_place(pl, from[i].url, from[i].store, true))
			ret_renewed[i] = pl;
		rules[i] = (struct rule){
			.pattern = mem_strdup(from[i].pattern),
			.time_field = copy(from[i].time_field),
			.id_field = copy(from[i].id_field),
			.place = pl ? pl : from[i].url ? place_get(p, from[i].url, from[i].store) : NULL,
			.file_bytes = from[i].file_bytes,
			.commit_busy_us = from[i].commit_busy_us,
			.commit_idle_us = from[i].commit_idle_us,
			.retention_us = from[i].retention_us,
		};
	}
	return rules;
}

/* Other credentials for the place, at once. */
static rc_t place_renew(struct pipeline *p, struct place *pl, const struct store_options *options, struct err *reterr)
{
	struct store_options fresh = options ? *options : (struct store_options){ 0 };
	const char **to[STORE_TEXTS], **from[STORE_TEXTS];
	pthread_mutex_lock(&pl->lock);
	rc_t rc = pl->store ? store_renew(pl->store, &fresh, reterr) : RC_OK;
	if (rc == RC_OK && pl == p->places && p->ack.store)
		rc = store_renew(p->ack.store, &fresh, reterr);
	store_texts(&pl->options, to);
	store_texts(&fresh, from);
	for (size_t i = 0; i < STORE_TEXTS && rc == RC_OK; i++) {
		if (!is_about_who(i))
			continue;
		secret_free((char *)(uintptr_t)*to[i]);
		*to[i] = secret_copy(*from[i]);
	}
	pl->again_at = 0;
	pthread_mutex_unlock(&pl->lock);
	if (rc == RC_OK)
		log_info("%s is asked with other credentials from now on", pl->url);
	rights_look(p, pl);
	return rc;
}

static rc_t renew_all(struct pipeline *p, const struct store_options *lake, const struct collection_rule *from, size_t count, struct place **renewed,
		      struct err *reterr)
{
	if (!same_place(p->places, p->places->url, lake, true) && same_place(p->places, p->places->url, lake, false))
		TRY(place_renew(p, p->places, lake, reterr));
	for (size_t i = 0; i < count; i++)
		if (renewed[i] && !same_place(renewed[i], from[i].url, from[i].store, true)) /* another rule may have done it */
			TRY(place_renew(p, renewed[i], from[i].store, reterr));
	return RC_OK;
}

static void note_shortest(struct pipeline *p, const struct collection_rule *rules, size_t count)
{
	int64_t least = INT64_MAX;
	for (size_t i = 0; i < count; i++) {
		least = rules[i].commit_busy_us && rules[i].commit_busy_us < least ? rules[i].commit_busy_us : least;
		least = rules[i].commit_idle_us && rules[i].commit_idle_us < least ? rules[i].commit_idle_us : least;
	}
	__atomic_store_n(&p->shortest_us, least, __ATOMIC_RELAXED);
}

void lakes_init(struct pipeline *p)
{
	pthread_mutex_init(&p->rules_lock, NULL);
	note_declared(p, p->opts.id_field, p->opts.retention_us);
	p->settings_version = 1;
	note_shortest(p, p->opts.rules, p->opts.rule_count);
	place_get(p, p->opts.lake, p->opts.store);
	p->opts.store = NULL; /* the caller's */
	p->rules = rules_make(p, p->opts.rules, p->opts.rule_count, NULL);
	p->rule_count = p->opts.rule_count;
	p->opts.rules = NULL;
}

void lakes_free(struct pipeline *p)
{
	rules_free(p->rules, p->rule_count);
	declared_free(p);
	for (struct place *pl = p->places, *next; pl; pl = next) {
		next = pl->next;
		place_free(pl);
	}
	pthread_mutex_destroy(&p->rules_lock);
}

struct collection **known_collections(struct pipeline *p, size_t *ret_count)
{
	pthread_mutex_lock(&p->lock);
	struct collection **list = mem_zalloc(p->collections.count + 1, sizeof *list);
	*ret_count = 0;
	for (struct map_entry *e = NULL; (e = map_next(&p->collections, e));)
		list[(*ret_count)++] = (struct collection *)e->value;
	pthread_mutex_unlock(&p->lock);
	return list;
}

rc_t pipeline_set_rules(struct pipeline *p, const struct store_options *lake, const struct collection_rule *from, size_t count, struct err *reterr)
{
	size_t known;
	AUTO_MEM struct collection **list = known_collections(p, &known);
	AUTO_MEM struct place **renewed = mem_zalloc(count, sizeof *renewed);
	const char *moved = NULL;
	pthread_mutex_lock(&p->rules_lock);
	struct rule *rules = rules_make(p, from, count, renewed);
	for (size_t i = 0; i < known && !moved; i++) {
		const struct rule *was = rule_of(p->rules, p->rule_count, list[i]->name), *is = rule_of(rules, count, list[i]->name);
		struct place *a = was && was->place ? was->place : p->places, *b = is && is->place ? is->place : p->places;
		moved = a != b ? list[i]->name : NULL;
	}
	pthread_mutex_unlock(&p->rules_lock);
	rc_t rc = moved ? err_set(reterr, RC_CONFLICT, "collection '%s' would move to another lake, which needs a restart; its old table stays where it is",
				  moved)
			: renew_all(p, lake, from, count, renewed, reterr); /* without rules_lock: a place may be being opened */
	if (rc != RC_OK) {
		rules_free(rules, count);
		return rc;
	}
	pthread_mutex_lock(&p->rules_lock);
	note_shortest(p, from, count);
	struct rule *old = p->rules;
	size_t old_count = p->rule_count;
	p->rules = rules;
	p->rule_count = count;
	settings_changed(p);
	pthread_mutex_unlock(&p->rules_lock);
	rules_free(old, old_count);
	for (size_t i = 0; i < known; i++) { /* hot events are shown by the new rules, too */
		pthread_mutex_lock(&list[i]->lock);
		hot_clear(&list[i]->hot[0]);
		hot_clear(&list[i]->hot[1]);
		pthread_mutex_unlock(&list[i]->lock);
	}
	pthread_mutex_lock(&p->lock);
	pthread_cond_signal(&p->wake); /* intervals may be shorter */
	pthread_mutex_unlock(&p->lock);
	if (p->running)
		rights_begin(p);
	return RC_OK;
}

static void add_stats(struct store *store, struct store_stats *sum)
{
	struct store_stats one;
	if (!store)
		return;
	store_get_stats(store, &one);
	for (size_t i = 0; i < sizeof one / sizeof(uint64_t); i++) /* all members are counters */
		((uint64_t *)sum)[i] += ((const uint64_t *)&one)[i];
}

void pipeline_store_stats(struct pipeline *p, struct store_stats *ret)
{
	*ret = (struct store_stats){ 0 };
	for (struct place *pl = NULL; (pl = place_next(p, pl));)
		add_stats(__atomic_load_n(&pl->store, __ATOMIC_ACQUIRE), ret); /* also of one that is not open: counters never go back */
	add_stats(p->ack.store, ret);
}

void pipeline_lakes(struct pipeline *p, void (*each)(void *ctx, const char *url, const char *error), void *ctx)
{
	for (struct place *pl = NULL; (pl = place_next(p, pl));) {
		char text[sizeof pl->error.text] = "";
		pthread_mutex_lock(&pl->lock);
		if (!__atomic_load_n(&pl->open, __ATOMIC_ACQUIRE) && pl->error.rc != RC_OK)
			snprintf(text, sizeof text, "%s", pl->error.text);
		pthread_mutex_unlock(&pl->lock);
		each(ctx, pl->url, text[0] ? text : NULL);
	}
}
