/* The order of ranges: one lock, one condition, and three counters that only grow (next, turn, appended). */
#include "pipeline/convert_internal.h"

#define GENERATION 32u			 /* ranges that share a base, in a long input */

/* ---- bases ---- */

/* A base made after `done` ranges serves from range base_from(done) on; 0: none is made. Early ones come soon, because keys do; each serves
 * late enough for many threads to be under way. */
static uint64_t base_from(uint64_t done)
{
	if (done == 4 || done == 8 || done == 16)
		return 2 * done;
	return done && done % GENERATION == 0 ? done + GENERATION : 0;
}

/* Ranges whose turn must be over before `range` may begin. */
static uint64_t base_needs(uint64_t range)
{
	for (uint64_t done = 16; done >= 4; done /= 2)
		if (range >= 2 * done && range < 4 * done)
			return done;
	return range < 8 ? 0 : range / GENERATION * GENERATION - GENERATION;
}

void base_release(struct convert *c, struct base *b)
{
	pthread_mutex_lock(&c->lock);
	bool last = --b->refs == 0;
	pthread_mutex_unlock(&c->lock);
	if (!last)
		return;
	shredder_free(b->shredder);
	free(b);
}

static void base_publish(struct convert *c, uint64_t from, struct shredder *shredder)
{
	struct base *b = NEW(struct base);
	*b = (struct base){ from, shredder, 1 };
	c->bases[c->base_count++] = b;
}

void turn_release_bases(struct convert *c)
{
	while (c->base_count)
		base_release(c, c->bases[--c->base_count]);
}

/* The base of a range, with a reference; those before it are of no more use. The lock is held; *ret_old: to be released. */
static struct base *base_take(struct convert *c, uint64_t range, struct base **ret_old)
{
	*ret_old = NULL;
	if (c->base_count > 1 && c->bases[1]->from <= range) { /* ranges are taken one by one: never two steps */
		*ret_old = c->bases[0];
		c->base_count--;
		memmove(c->bases, c->bases + 1, c->base_count * sizeof *c->bases);
	}
	if (!c->base_count)
		return NULL;
	c->bases[0]->refs++;
	return c->bases[0];
}

/* ---- ranges ---- */

static void wait_moved(struct convert *c)
{
	pthread_cond_wait(&c->moved, &c->lock);
}

bool turn_next_range(struct worker *w)
{
	struct convert *c = w->c;
	struct base *old = NULL;
	pthread_mutex_lock(&c->lock);
	bool some;
	while ((some = c->failed == RANGE_NONE && c->next < c->end) &&
	       (c->reading || (c->next && (!c->base_count || c->turn < base_needs(c->next)))))
		wait_moved(c);
	if (some) {
		w->range = c->next++;
		w->base = base_take(c, w->range, &old);
		c->reading = !c->cut;
	}
	pthread_mutex_unlock(&c->lock);
	if (old)
		base_release(c, old);
	return some;
}

void turn_begin(struct worker *w)
{
	struct convert *c = w->c;
	bool heavy = shredder_weight(w->shredder) > BASE_WEIGHT_MAX;
	struct shredder *base = heavy ? NULL : shredder_fork(w->shredder);
	if (!w->again) { /* else a row group refers to the schema there is */
		shredder_free(c->shredder);
		c->shredder = shredder_fork(w->shredder);
	}
	w->first_edge = shredder_key_count(w->shredder);
	pthread_mutex_lock(&c->lock);
	base_publish(c, 0, base);
	if (c->cut) {
		c->reading = false;
		c->end = (c->size + c->step - 1) / c->step;
	}
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
}

void turn_read(struct worker *w, bool last, bool empty)
{
	struct convert *c = w->c;
	pthread_mutex_lock(&c->lock);
	c->reading = false;
	if (last)
		c->end = w->range + !empty;
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
}

/* ---- turns ---- */

static rc_t wait_for(struct worker *w, const uint64_t *counter, struct err *reterr)
{
	struct convert *c = w->c;
	pthread_mutex_lock(&c->lock);
	while (*counter < w->range && c->failed > w->range)
		wait_moved(c);
	bool mine = *counter >= w->range;
	pthread_mutex_unlock(&c->lock);
	return mine ? RC_OK : err_set(reterr, RC_CANCELLED, "an earlier part of the input has failed");
}

rc_t turn_take(struct worker *w, struct err *reterr)
{
	if (!w->in_turn)
		TRY(wait_for(w, &w->c->turn, reterr));
	w->in_turn = true;
	return RC_OK;
}

static bool base_is_news(const struct convert *c)
{
	const struct shredder *last = c->bases[c->base_count - 1]->shredder;
	return last && shredder_weight(c->shredder) != shredder_weight(last);
}

void turn_pass(struct worker *w)
{
	struct convert *c = w->c;
	uint64_t from = base_from(w->range + 1);
	pthread_mutex_lock(&c->lock);
	bool news = from && c->base_count && base_is_news(c);
	pthread_mutex_unlock(&c->lock);
	bool heavy = shredder_weight(c->shredder) > BASE_WEIGHT_MAX;
	struct shredder *base = news && !heavy ? shredder_fork(c->shredder) : NULL;
	w->in_turn = false;
	pthread_mutex_lock(&c->lock);
	if (news)
		base_publish(c, from, base);
	c->turn++;
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
}

rc_t turn_append(void *worker, struct err *reterr)
{
	struct worker *w = worker;
	return wait_for(w, &w->c->appended, reterr);
}

bool turn_ready(void *worker)
{
	struct worker *w = worker;
	pthread_mutex_lock(&w->c->lock);
	bool ready = w->c->appended >= w->range;
	pthread_mutex_unlock(&w->c->lock);
	return ready;
}

void turn_appended(struct worker *w)
{
	struct convert *c = w->c;
	pthread_mutex_lock(&c->lock);
	c->appended++;
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
}

/* The first failure in the order of the input counts: ranges before this one go on, and may still fail. */
void turn_fail(struct worker *w, rc_t rc, const struct err *err)
{
	struct convert *c = w->c;
	pthread_mutex_lock(&c->lock);
	if (rc != RC_CANCELLED && w->range < c->failed) {
		c->failed = w->range;
		c->rc = rc;
		c->err = *err;
	}
	c->reading = false;
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
}

void turn_progress(struct worker *w, uint64_t more, uint64_t offset, size_t events)
{
	struct convert *c = w->c;
	pthread_mutex_lock(&c->lock);
	c->events_seen += events;
	c->bytes_seen = more ? c->bytes_seen + more : offset;
	if (c->opts->progress)
		c->opts->progress(c->opts->ctx, c->bytes_seen, file_source_size(c->source), c->events_seen);
	pthread_mutex_unlock(&c->lock);
}
