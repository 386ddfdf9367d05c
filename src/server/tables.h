/* What the commands and the API say about collections. Threads: any. */
#ifndef SERVER_TABLES_H
#define SERVER_TABLES_H

#include <jansson.h>

#include "pipeline/pipeline.h"

/* One collection: {"name","events","bytes","files","hot_events","columns","version","snapshot",…}. Caller frees. */
rc_t collection_json(struct pipeline *p, const char *name, json_t **ret, struct err *reterr);
/* All of them that `visible` says yes to (NULL: all), an array by name. One that cannot be read now has only "name" and "error". */
rc_t collections_json(struct pipeline *p, bool (*visible)(const void *ctx, const char *collection), const void *ctx, json_t **ret, struct err *reterr);
/* The lakes that cannot be opened now: [{"lake","error"}]. */
json_t *lake_problems_json(struct pipeline *p);
/* format: "athena", "glue", "iceberg", "parquet", "json". The text is appended to *ret. */
rc_t schema_text(struct pipeline *p, const char *name, const char *format, struct buf *ret, struct err *reterr);

#endif
