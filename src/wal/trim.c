/* Trimming: segments without uncommitted events go, oldest first: decided in memory, said by a TRIM record (or a new segment's header),
 * and only when that is durable is the file renamed to the pool of spares. Recovery finishes what was said and not done. */
#include "wal/wal_internal.h"

#include "base/fault.h"
#include "os/clock.h"
#include "os/file.h"

/* Young keys hold a segment while the log is small; beyond, they are copied forward. True: it may go now. */
static bool keys_let_go(struct wal *w, struct segment *s)
{
	if (!s->key_last || s->key_last + w->opt.key_window_us <= clock_wall_us())
		return true;
	if (w->failed || keys_hold_locked(w, s))
		return false;
	bool any;
	if (w->move_count || keys_move_locked(w, s, &any, NULL) != RC_OK)
		return false;
	return !any; /* else the next settled group comes back here */
}

void trim_locked(struct wal *w)
{
	if (w->readonly || w->closing)
		return;
	while (w->seg_count > 1) {
		struct segment *s = w->segs[0];
		/* append_end != durable_end: records on their way; file_seg: the flusher has it open. */
		if (s->live || s->pins || !s->created || s == w->file_seg || s->append_end != s->durable_end || !w->segs[1]->created)
			break;
		if (aside_holds_locked(w, s) || !keys_let_go(w, s) || s->pins) /* it lets go of the lock */
			break;
		ARRAY_ROOM(w->trimmed, w->trimmed_count, w->trimmed_cap);
		w->trimmed[w->trimmed_count++] = s;
		memmove(w->segs, w->segs + 1, --w->seg_count * sizeof(w->segs[0]));
		w->oldest = w->segs[0]->h.seq;
		w->stats.trimmed++;
	}
	aside_wake_locked(w);
	if (w->trimmed_count && w->oldest > w->oldest_logged && !w->trim_ticket && !w->failed) {
		uint64_t oldest = w->oldest, ticket;
		if (append_control_locked(w, WAL_TRIM, slice_of(NULL, 0), slice_of(&oldest, 8), &ticket, NULL) == RC_OK) {
			w->trim_ticket = ticket;
			w->trim_oldest = oldest;
			kick_locked(w);
		}
	}
}

void trim_for_room_locked(struct wal *w)
{
	bool could = w->trimmed_count || (w->seg_count > 1 && !w->segs[0]->live && !w->segs[0]->pins);
	if (!could || cur_group(w)->work || clock_mono_us() - w->trim_asked < REOPEN_EVERY_US)
		return;
	w->trim_asked = clock_mono_us();
	cur_group(w)->work = true;
	kick_locked(w);
}

void trim_unpinned_locked(struct wal *w, const struct segment *s)
{
	if (w->readonly || s->pins)
		return;
	if (w->seg_count > 1 && s == w->segs[0] && !s->live) { /* the flusher trims behind a group, even an empty one */
		cur_group(w)->work = true;
		kick_locked(w);
	}
	aside_wake_locked(w);
}

void trim_settled_locked(struct wal *w)
{
	bool any = false;
	while (w->trimmed_count && w->trimmed[0]->h.seq < w->oldest_logged) {
		struct segment *s = w->trimmed[0];
		memmove(w->trimmed, w->trimmed + 1, --w->trimmed_count * sizeof(w->trimmed[0]));
		pthread_mutex_unlock(&w->lock);
		fault_point("wal.trim");
		segment_recycle(w, s);
		fault_point("wal.trimmed");
		segment_free(s);
		pthread_mutex_lock(&w->lock);
		any = true;
	}
	if (!any)
		return;
	pthread_mutex_unlock(&w->lock);
	dir_sync(w->opt.dir, NULL); /* failing, the old names may come back: recovery knows that they are void */
	pthread_mutex_lock(&w->lock);
}
