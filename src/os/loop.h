/* Event loop: epoll with deadlines, one thread a loop.
 *
 * Promise: callbacks run on the loop's thread, one at a time. loop_post may be called from any thread and wakes the loop.
 * Sleeps until something happens: no periodic wake-ups.
 */
#ifndef OS_LOOP_H
#define OS_LOOP_H

#include "base/err.h"
#include <stdint.h>

struct loop;
struct loop_fd; /* a watched descriptor */
struct loop_timer {
	int64_t due; /* µs, clock_mono_us; 0 = not set */
	void (*fire)(struct loop_timer *t);
	struct loop_timer *prev, *next; /* internal */
};

#define LOOP_READ 1u
#define LOOP_WRITE 2u
#define LOOP_HANGUP 4u /* reported only: error or peer gone */

rc_t loop_new(struct loop **ret, struct err *reterr);
void loop_free(struct loop *l);
rc_t loop_run(struct loop *l, struct err *reterr); /* until loop_stop */
void loop_stop(struct loop *l);                    /* any thread */
rc_t loop_add(struct loop *l, int fd, unsigned events, void (*ready)(void *ctx, unsigned events), void *ctx,
	      struct loop_fd **ret, struct err *reterr);
rc_t loop_modify(struct loop *l, struct loop_fd *w, unsigned events, struct err *reterr);
void loop_remove(struct loop *l, struct loop_fd *w); /* the fd stays open; safe inside its own callback */
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t due); /* replaces an earlier due */
void loop_timer_clear(struct loop *l, struct loop_timer *t);
void loop_post(struct loop *l, void (*run)(void *ctx), void *ctx); /* any thread */

#endif
