/* Rows -> the original JSON text, from columns, shapes and key tables (json/shape.h).
 *
 * Promise: the exact bytes of the payload that was shredded, or RC_CORRUPT when row and shape do not agree (a row changed by another
 *   program), never other bytes silently as far as structure shows it. Any batch with the schema's fields will do: from the shredder or from a Parquet file;
 *   fields are found by role, key and type, so order, extra and missing columns do not matter. Roles, keys and formats must be filled: the
 *   reader of a file restores them with schema_notes_decode.
 * Ownership: the renderer borrows schema and batch. Threads: one at a time.
 */
#ifndef JSON_RENDER_H
#define JSON_RENDER_H

#include "base/buf.h"
#include "base/err.h"
#include "model/column.h"
#include "model/schema.h"

struct renderer;
struct shape_keys;

struct renderer *renderer_new(const struct schema *schema);
void renderer_free(struct renderer *r);
AUTO_DEFINE(renderer, renderer_free)
/* Adds a key table (bytes of shape_keys_encode). A longer table of a known space replaces the shorter. */
rc_t renderer_add_keys(struct renderer *r, struct slice bytes, struct err *reterr);
/* The same with a live table, borrowed: it may grow between rows. */
void renderer_borrow_keys(struct renderer *r, const struct shape_keys *keys);
bool renderer_has_keys(const struct renderer *r, uint32_t space);

/* The batch that the next rows are of. It must be sealed or at least not change until the last renderer_row; its schema must be the one of
 * renderer_new (which may have grown: new fields are picked up here). */
void renderer_begin(struct renderer *r, const struct batch *batch);
/* Appends the payload of row `row`: `__raw` if present, else the text line, else by the row's shape. Rows in increasing order cost
 * amortised linear time; going back is allowed and starts the cursors again. On failure out may hold a part of the row.
 * RC_CORRUPT: shape and columns disagree; RC_UNSUPPORTED: it has none of the three, another program wrote it; RC_NOT_FOUND: the key table of the row's space (in the text) is not there; RC_LIMIT: out is full. */
rc_t renderer_row(struct renderer *r, uint32_t row, struct buf *out, struct err *reterr);
/* Appends the row as its columns have it, whatever its shape says: one JSON object of those that have a value, by their keys, hydrant's own left
 * out. Not the bytes of any event: for rows that renderer_row has no text of. RC_LIMIT: out is full. */
rc_t renderer_columns(struct renderer *r, uint32_t row, struct buf *out, struct err *reterr);

#endif
