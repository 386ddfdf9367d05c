/* Search: which events does a query mean? Every event that the scan gives is looked at (scan.h prunes by time and by search_terms).
 *
 * A query is terms separated by white space; all of them must match. Case does not matter, save in keys.
 *   word        a word of the payload: letters, digits and _ around it end it; word* matches its beginning
 *   "a phrase"  these characters anywhere in the payload
 *   field:value the JSON field has that value: text, number, true, false, null. field is the payload's own keys, joined by dots
 *               (http.status_code also finds {"http":{"status_code":…}}); any element of an array counts
 *   field:text* its beginning (a number's, too: 50* finds 503)     field:* the field is there     field:"a phrase"
 *   field:>5  field:>=5  field:<5  field:<=5     numbers; texts are compared as bytes
 *   -term       must not match
 * An empty query matches everything. Ownership: a query owns what it needs. Threads: matching is pure; any number at once.
 */
#ifndef SEARCH_SEARCH_H
#define SEARCH_SEARCH_H

#include "base/err.h"
#include "base/mem.h"
#include "base/slice.h"
#include "scan/scan.h"

#define SEARCH_TERMS_MAX 64

struct search_query;
/* RC_INVALID: what is wrong with it. */
rc_t search_parse(struct slice text, struct search_query **ret, struct err *reterr);
void search_free(struct search_query *q);
AUTO_DEFINE(search_query, search_free)
/* What every payload that matches must satisfy, for the scan to leave others out; borrows from q. Returns how many; ret holds SEARCH_TERMS_MAX. */
size_t search_terms(const struct search_query *q, struct scan_term *ret);
/* Fields match nothing in a payload that is no JSON. */
bool search_match(const struct search_query *q, struct slice payload);

#endif
