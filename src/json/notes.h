/* What a Parquet file says about its columns beyond Parquet's own schema: the exact key, the role and the format of each field.
 *
 * Key-value metadata entry "hydrant.fields": compact JSON
 *   {"version":1,"fields":[{"id":7,"key":"user-agent","role":"payload","format":1},…]}
 * A field is named by "id", or by "path" ("a.b.element.c") as long as it has no id. Only what differs from the default is written. Defaults: key = the column's name (members of
 * structs) or empty (list and map children, machinery columns), role payload, format 0. Roles are words, so that the file
 * explains itself: sibling time received source pos id key meta shape raw rest text value.
 */
#ifndef JSON_NOTES_H
#define JSON_NOTES_H

#include "base/buf.h"
#include "base/err.h"
#include "model/schema.h"

#define SCHEMA_NOTES_KEY "hydrant.fields"
#define SHAPE_KEYS_KEY	 "hydrant.keys" /* metadata entry: bytes of shape_keys_encode (base64 in the footer); further spaces: hydrant.keys.1, .2, … */

void schema_notes_encode(const struct schema *s, struct buf *ret);
/* Sets key, role, format of s's fields (all of them: defaults first). Notes of fields that are not there are skipped.
 * Empty notes: defaults only, save that the machinery columns' own names (`__shape`, `__raw`, …) give their roles. RC_CORRUPT for bytes that
 * are no notes; RC_UNSUPPORTED for a newer version. */
rc_t schema_notes_decode(struct slice notes, struct schema *s, struct err *reterr);

#endif
