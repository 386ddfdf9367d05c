/* What a table remembers of the files that were loaded into it: for load.c, kept by loaded.c. */
#ifndef PIPELINE_LOAD_INTERNAL_H
#define PIPELINE_LOAD_INTERNAL_H

#include "base/hash.h"
#include "pipeline/pipeline_internal.h"

/* One file, as it stands in a list (little-endian). */
struct loaded_file {
	uint64_t bytes; /* of its beginning; packed: of the whole file as it lies there */
	uint64_t path;  /* hash */
	uint64_t head;  /* hash of the first 64 KiB; 0: it has fewer, or was loaded before this was kept */
	struct hash128 hash; /* of so many bytes */
	uint32_t seconds; /* when, since the epoch */
	uint32_t packed;  /* 1: in gzip or zstd, and all of it is in the table */
};

/* One that has a position property. */
struct known_file {
	struct loaded_file f; /* packed 1: also if not all of it is there */
	char *log;            /* "file-…" */
	char *values[2];      /* the position property, and the quarantine's; NULL: absent */
	uint64_t position;    /* in the table, or if it is `quarantined` in the other one; UINT64_MAX: it only has such a name */
	uint64_t size;        /* when begun */
	bool whole;           /* packed: all of it */
	bool quarantined;     /* only the quarantine's table tells of it: nothing is known to be in the other one */
};

/* The files that have no property any more, oldest first. */
struct loaded_list {
	char *key; /* of the object; NULL: none was read */
	struct loaded_file *files;
	size_t count;
};

/* The table's list, kept in the pipeline for the next file. *ret NULL: it has none. RC_NOT_FOUND: it is not there: if the table still names it
 * when it is opened anew, it is lost. */
rc_t loaded_list(struct pipeline *p, struct table *t, const struct loaded_list **ret, struct err *reterr);
/* If the table has many position properties of files: the older ones go into the list (quarantine: those of files that the other table's `list` or
 * properties tell of are dropped). *ret_changed: what is known must be read again. *ret_forgotten grows by the files that nothing tells of from
 * now on. */
rc_t loaded_fold(struct table *t, bool quarantine, struct known_file *known, size_t n, const struct loaded_list *list, bool *ret_changed,
		 uint64_t *ret_forgotten, struct err *reterr);

#endif
