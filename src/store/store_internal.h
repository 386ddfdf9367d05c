/* Inside the store room: one opener a backend. */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "store/store.h"

/* A folder; path absolute or relative to the working directory. Nothing is made. RC_INVALID if a file stands there. */
rc_t store_local_open(const char *path, struct store **ret, struct err *reterr);

/* s3://bucket/prefix. Nothing is asked of it yet. */
rc_t store_s3_open(const char *url, const struct store_options *opts, struct store **ret, struct err *reterr);

#endif
