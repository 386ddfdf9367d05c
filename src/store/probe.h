/* What a store lets us do: each right that hydrant needs is tried for real.
 *
 * Promise: one finding a right, in the order of the enum. A right is LACKING only if the store refused just that (403, EACCES, …), or if it let a
 *   create overwrite; what could not be tried because another right is lacking is UNKNOWN. A store that does not answer is asked no more than once.
 *   Writes nothing but STORE_PROBE_KEY, some bytes, which is removed again; without the right to delete it stays, and the next probe replaces
 *   it. An upload in parts is begun there, without any part, and given up; without the right to do that it stays.
 * Not promised: that the right is still there a moment later; the rights to other keys of the same store.
 * Ownership: findings are the caller's struct.
 * Threads: any number at once, also of several processes: they share the key, and a probe that meets another is UNKNOWN at worst.
 */
#ifndef STORE_PROBE_H
#define STORE_PROBE_H

#include "store/store.h"

#define STORE_PROBE_KEY "_hydrant/doctor/probe"

enum store_right {
	STORE_RIGHT_LIST,
	STORE_RIGHT_WRITE,
	STORE_RIGHT_READ,
	STORE_RIGHT_ABSENT, /* that a key is not there is told, not refused */
	STORE_RIGHT_CREATE, /* a create does not overwrite */
	STORE_RIGHT_ABORT,  /* an upload in parts can be given up */
	STORE_RIGHT_DELETE,
	STORE_RIGHTS
};
extern const char *const store_right_names[STORE_RIGHTS]; /* "list", "write", … */
enum store_finding { STORE_HAS, STORE_LACKS, STORE_UNKNOWN };

struct store_probe {
	enum store_finding found[STORE_RIGHTS];
	struct err why[STORE_RIGHTS]; /* of those that are not STORE_HAS */
	bool left_behind;             /* STORE_PROBE_KEY is still there */
	bool all_refused;             /* whatever was tried: some stores say that of keys that they do not know, too */
	struct store_facts facts;     /* after the tries */
};

/* RC_OK if every right could be judged or depends on one that is lacking; otherwise what kept the store from answering (network, no such
 * bucket, credentials). *ret is filled in both cases. */
rc_t store_probe(struct store *s, struct store_probe *ret, struct err *reterr);
/* If the right to delete is lacking: is it there below this folder, where it is needed? Deletes a key there that does not exist. */
void store_probe_delete(struct store *s, const char *folder, struct store_probe *p);
/* The store refused it for want of a right, and trying again is of no use. */
bool store_refused(const struct err *e);

#endif
