/* Several shredders for one file: each starts from the state of an earlier one, and what it has added is merged into the file's own shredder, in
 * the order of the input. Schema and key table of the file only grow, and a fork holds a former state of them as its first part.
 *
 * Promise: the rows that a fork has shredded mean the same under the merged schema and key table, once shredder_view and
 *   shredder_renumber have put their columns and shapes in the file's order. What is merged depends on the two states alone.
 * Threads: a shredder that nobody runs or merges into may be forked by several threads at once. Everything else: one thread a shredder.
 */
#ifndef SHRED_MERGE_H
#define SHRED_MERGE_H

#include "shred/shred.h"

/* A shredder with from's options, schema and key table; its statistics are zero. */
struct shredder *shredder_fork(const struct shredder *from);

/* What merging did to the numbers of edges: number i + first of the fork is number edges[i] of the file. */
struct shred_edges {
	uint32_t *edges, first, count;
	bool same; /* no number differs */
};
void shred_edges_free(struct shred_edges *e);

/* Adds to `into` what `fork` has and it has not. first_edge: edges that the fork began with. RC_CONFLICT: the two have given one kind of one
 * key's values columns of different types or formats, or a limit is reached; whoever shreds the rows again from `into` is safe.
 * again: the fork began from `into` as it is now, so nothing can be in the way. */
rc_t shredder_merge(struct shredder *into, const struct shredder *fork, uint32_t first_edge, bool again, struct shred_edges *ret);

/* Puts the file's numbers into the `__shape` values of a batch of the fork's. */
void shredder_renumber(const struct shredder *fork, struct batch *b, const struct shred_edges *edges);

/* The sealed batch b of the fork, after the merge, in the order of into's schema. The view borrows b's values. */
void shredder_view(const struct shredder *into, const struct shredder *fork, const struct batch *b, struct batch *ret);
void shredder_view_free(struct batch *view);

/* Makes b, without rows, a batch of s; its memory serves again. The schema that it was made for still exists. */
void shredder_adopt_batch(const struct shredder *s, struct batch *b);

/* Adds fork's statistics. b: its rows, renumbered; same: of shred_edges. */
void shredder_add_stats(struct shredder *into, const struct shredder *fork, const struct batch *b, bool same);

/* Bytes of schema and key table, about, by what they hold: the same for the same state. */
size_t shredder_weight(const struct shredder *s);

#endif
