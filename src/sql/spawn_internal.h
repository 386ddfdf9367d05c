/* The child process as its parent sees it. */
#ifndef SQL_SPAWN_INTERNAL_H
#define SQL_SPAWN_INTERNAL_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct child {
	pid_t pid;
	int fd;    /* the socket to it: its standard input and output */
	int words; /* an unlinked file that has its standard error */
};

/* This executable once more, with SQL_CHILD_ARG; no descriptors but those of struct child, a small environment, default signals. */
rc_t child_spawn(struct child *ret, struct err *reterr);
/* Ends it (kill: at once; else it has ended or is about to) and reaps it; wait status, or -1 if somebody else reaped it. Keeps words. */
int child_end(struct child *c, bool kill_it);
/* The last line of its standard error, cut to cap; closes that file. */
void child_last_words(struct child *c, char *ret, size_t cap);

#endif
