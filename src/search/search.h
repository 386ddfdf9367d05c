/* Search: which events does a query mean? First version: every event of the time range is looked at (scan.h prunes by time).
 *
 * A query is terms separated by white space; all of them must match. Case does not matter, save in keys.
 *   word        a word of the payload: letters, digits and _ around it end it; word* matches its beginning
 *   "a phrase"  these characters anywhere in the payload
 *   field:value the JSON field has that value: text, number, true, false, null. field is the payload's own keys, joined by dots
 *               (http.status_code also finds {"http":{"status_code":…}}); any element of an array counts
 *   field:text* its beginning     field:* the field is there     field:"a phrase"
 *   field:>5  field:>=5  field:<5  field:<=5     numbers; texts are compared as bytes
 *   -term       must not match
 * An empty query matches everything. Ownership: a query owns what it needs. Threads: matching is pure; any number at once.
 */
#ifndef SEARCH_SEARCH_H
#define SEARCH_SEARCH_H

#include "base/err.h"
#include "base/mem.h"
#include "base/slice.h"

#define SEARCH_TERMS_MAX 64

struct search_query;
/* RC_INVALID: what is wrong with it. */
rc_t search_parse(struct slice text, struct search_query **ret, struct err *reterr);
void search_free(struct search_query *q);
AUTO_DEFINE(search_query, search_free)
/* Fields match nothing in a payload that is no JSON. */
bool search_match(const struct search_query *q, struct slice payload);

#endif
