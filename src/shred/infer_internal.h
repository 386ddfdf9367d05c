/* What inference counts, for evolve.c to decide on: a tree of the paths that the events of one call hold. */
#ifndef SHRED_INFER_INTERNAL_H
#define SHRED_INFER_INTERNAL_H

#include "base/arena.h"
#include "base/map.h"
#include "shred/shred_internal.h"
#include "json/number.h"
#include "json/places.h"

#define INODES_MAX 50000u /* paths looked at in one inference; keys past it live in __rest */

enum group { GROUP_BOOL, GROUP_NUMBER, GROUP_STRING, GROUP_OBJECT, GROUP_ARRAY, GROUPS };

struct inode {
	struct inode *parent;
	struct inode *next;	    /* sibling, in order of first appearance */
	struct inode *first, *last; /* children: members, or the one element */
	struct inode *guess;	    /* child that came last: its next is tried first */
	struct slice key;	    /* decoded; empty for root and element */
	struct slice lit;	    /* the first literal seen in front of it: names its node in the key table */
	uint8_t class;		    /* of that first value */
	bool element, leafy;	    /* leafy: some value below or here wants a column */
	uint32_t depth, children;
	uint64_t seen[GROUPS]; /* values a group; empty containers are not counted */
	uint64_t objects;      /* empty ones, too */
	/* numbers */
	uint64_t ints, big_doubles; /* int64; of them beyond ±2^53 */
	uint64_t bigints, huge;	    /* ≤ 38 digits; what no column holds */
	uint64_t decimals, doubles; /* NUM_DECIMAL of one scale so far; other fractions and exponents */
	uint32_t fit[NUM_FORMATS]; /* numbers that this format of doubles gives back, integers too */
	uint64_t fit_none;	   /* fractions and exponents that none does */
	uint8_t scale; /* of the decimals; SCALE_MIXED if they differ */
	/* strings */
	uint64_t time_mask; /* formats that fit all strings */
	/* arrays: by the group of all their elements; mixed: several, or too deep */
	uint64_t arrays_of[GROUPS], arrays_mixed;
	uint64_t deep; /* containers with content beyond the typed depth */
};

#define SCALE_NONE  255
#define SCALE_MIXED 254

struct inference {
	struct arena arena;
	struct map children; /* parent's address, key -> inode */
	struct inode *root;
	struct inode **all; /* in order of creation: parents first */
	uint32_t count, cap;
	uint64_t rows;
	uint32_t fit[NUM_FORMATS]; /* of all fractions and exponents: what the writer's habit is */
	uint32_t typed_depth;
	struct buf key, probe; /* scratch */
	const uint8_t *end; /* of the payload at hand */
};

#endif
