/* Opening, closing, and the plain questions. */
#include "wal/wal_internal.h"

#include "base/fault.h"

#define SEGMENT_BYTES ((uint64_t)64 << 20)
#define KEY_HOLD ((uint64_t)1 << 30) /* read in well under a second by the next start */

static void set_default(uint64_t *v, uint64_t dflt)
{
	if (!*v)
		*v = dflt;
}

static uint64_t clamp(uint64_t v, uint64_t lo, uint64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static struct wal *wal_new(const struct wal_options *options)
{
	struct wal *w = NEW(struct wal);
	struct wal_options *o = &w->opt;
	*o = *options;
	o->dir = mem_strdup(options->dir);
	set_default(&o->max_bytes, (uint64_t)16 << 30);
	set_default(&o->segment_bytes, o->max_bytes / 16 < SEGMENT_BYTES ? o->max_bytes / 16 : SEGMENT_BYTES);
	o->segment_bytes = clamp(o->segment_bytes, (uint64_t)64 << 10, (uint64_t)1 << 30);
	set_default(&o->collection_max_bytes, o->max_bytes / 2);
	set_default(&o->aside_max_bytes, o->max_bytes);
	set_default(&o->spare_bytes, o->max_bytes / 8 > 4 * o->segment_bytes ? o->max_bytes / 8 : 4 * o->segment_bytes);
	set_default(&o->key_hold_bytes, o->max_bytes / 4 < KEY_HOLD ? o->max_bytes / 4 : KEY_HOLD);
	o->write_buffer_bytes = o->write_buffer_bytes ? o->write_buffer_bytes : (size_t)8 << 20;
	o->index_max = clamp(o->index_max ? o->index_max : (size_t)1 << 20, 64, (size_t)1 << 28);
	o->key_window_us = o->key_window_us ? o->key_window_us : (int64_t)600 * 1000000;
	o->aside_after_us = o->aside_after_us ? o->aside_after_us : 5 * 1000000;
	o->key_max = clamp(o->key_max ? o->key_max : (size_t)4 << 20, 16, (size_t)1 << 28);
	w->epoch = 1;
	for (int i = 0; i < 2; i++)
		buf_init(&w->groups[i].bytes, BUF_MAX_DEFAULT);
	map_init(&w->collections);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	pthread_cond_init(&w->done, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&w->aside_work, &monotonic);
	pthread_condattr_destroy(&monotonic);
	buf_init(&w->aside_said, BUF_MAX_DEFAULT);
	return w;
}

static void wal_destroy(struct wal *w)
{
	for (size_t i = 0; i < w->seg_count; i++)
		segment_free(w->segs[i]);
	for (size_t i = 0; i < w->trimmed_count; i++)
		segment_free(w->trimmed[i]);
	for (int i = 0; i < 2; i++) {
		buf_free(&w->groups[i].bytes);
		free(w->groups[i].runs);
		free(w->groups[i].flights);
	}
	index_free(w);
	aside_free(w);
	keys_free(w);
	replica_free(w);
	free(w->segs);
	free(w->trimmed);
	free(w->spares);
	free(w->damages);
	free(w->known);
	free(w->torn_file);
	free((void *)(uintptr_t)w->opt.dir);
	pthread_cond_destroy(&w->done);
	pthread_cond_destroy(&w->aside_work);
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static void stop_threads(struct wal *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	if (w->has_thread)
		pthread_join(w->thread, NULL);
	w->has_thread = false;
}

static void stop_aside(struct wal *w)
{
	pthread_mutex_lock(&w->lock);
	bool runs = w->has_aside_thread;
	w->has_aside_thread = false; /* here: the sync thread asks for it */
	__atomic_store_n(&w->aside_stop, true, __ATOMIC_RELAXED);
	pthread_cond_signal(&w->aside_work);
	pthread_mutex_unlock(&w->lock);
	if (runs)
		pthread_join(w->aside_tid, NULL);
}

static rc_t start_threads(struct wal *w, struct err *reterr)
{
	pthread_mutex_lock(&w->lock);
	w->has_thread = pthread_create(&w->thread, NULL, sync_thread, w) == 0;
	w->has_aside_thread = w->has_thread && pthread_create(&w->aside_tid, NULL, aside_thread, w) == 0;
	pthread_mutex_unlock(&w->lock);
	if (w->has_aside_thread)
		return RC_OK;
	stop_threads(w);
	return err_set(reterr, RC_IO, "cannot start the log's threads: too many threads?");
}

rc_t wal_open(const struct wal_options *options, struct wal **ret, struct err *reterr)
{
	struct wal *w = wal_new(options);
	rc_t rc = recover(w, reterr);
	if (rc == RC_OK)
		reserve_make(w);
	if (rc == RC_OK)
		rc = replica_begin(w, reterr);
	w->start_bytes = segments_bytes_locked(w);
	if (rc == RC_OK && !w->opt.manual_sync)
		rc = start_threads(w, reterr);
	if (rc != RC_OK) {
		wal_destroy(w);
		return rc;
	}
	*ret = w;
	return RC_OK;
}

rc_t wal_open_readonly(const char *dir, bool salvage, struct wal **ret, struct err *reterr)
{
	struct wal_options options = { .dir = dir, .salvage = salvage, .manual_sync = true };
	struct wal *w = wal_new(&options);
	w->readonly = true;
	rc_t rc = recover(w, reterr);
	if (rc != RC_OK) {
		wal_destroy(w);
		return rc;
	}
	*ret = w;
	return RC_OK;
}

rc_t wal_close(struct wal *w, struct err *reterr)
{
	if (!w)
		return RC_OK;
	rc_t rc = RC_OK;
	if (!w->readonly) {
		uint64_t ticket;
		stop_aside(w);
		rc = wal_flush(w, reterr);
		pthread_mutex_lock(&w->lock);
		w->closing = true;
		if (rc == RC_OK)
			rc = append_control_locked(w, WAL_SEAL, slice_of(NULL, 0), slice_of(NULL, 0), &ticket, reterr);
		if (rc == RC_OK)
			rc = wait_settled_locked(w, ticket, reterr);
		pthread_mutex_unlock(&w->lock);
		stop_threads(w);
		if (rc == RC_OK)
			rc = replica_end(w, reterr);
	}
	wal_destroy(w);
	return rc;
}

void wal_free(struct wal *w)
{
	wal_close(w, NULL);
}

const struct wal_recovery *wal_recovery(const struct wal *w)
{
	return &w->rec;
}

const char *wal_id(const struct wal *w)
{
	return w->id;
}

uint64_t wal_epoch(const struct wal *w)
{
	return w->epoch;
}

uint64_t wal_next_position(struct wal *w)
{
	pthread_mutex_lock(&w->lock);
	uint64_t position = w->next_position;
	pthread_mutex_unlock(&w->lock);
	return position;
}

uint64_t wal_durable_position(struct wal *w)
{
	pthread_mutex_lock(&w->lock);
	uint64_t position = w->durable_next - 1;
	pthread_mutex_unlock(&w->lock);
	return position;
}

rc_t wal_skip_to(struct wal *w, uint64_t position, struct err *reterr)
{
	pthread_mutex_lock(&w->lock);
	rc_t rc = check_open_locked(w, reterr);
	if (rc == RC_OK && position > w->next_position) {
		uint64_t before = w->next_position;
		w->next_position = position;
		rc = rotate_locked(w, 0, SEG_FLAG_SKIPPED, BEYOND_CONTROL, reterr);
		if (rc != RC_OK)
			w->next_position = before;
		while (rc == RC_OK && !w->failed && w->durable_next < position)
			flush_once_locked(w);
		if (rc == RC_OK && w->failed) {
			rc = w->error.rc;
			if (reterr)
				*reterr = w->error;
		}
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

void wal_stats(struct wal *w, struct wal_stats *ret)
{
	pthread_mutex_lock(&w->lock);
	*ret = w->stats;
	ret->segments = w->seg_count;
	ret->bytes = segments_bytes_locked(w);
	ret->spares = w->spare_count;
	ret->spare_bytes = w->spare_total;
	ret->keys = w->keys.tail - w->keys.head;
	ret->index_extents = w->extents;
	ret->pending_bytes = w->pending_bytes;
	ret->side_files = w->side_files;
	ret->side_bytes = w->side_disk;
	ret->stuck = w->stuck_count;
	pthread_mutex_unlock(&w->lock);
}
