/* The answers of S3 and STS: small XML documents without attributes that matter.
 *
 * Promise: any bytes are read in one pass without recursion; at most XML_DEPTH_MAX elements inside each other and XML_TEXT_MAX bytes of text in
 *   one. Entities are decoded; comments, processing instructions, attributes and name-space prefixes are passed over; a DOCTYPE is
 *   refused (nothing legitimate sends one).
 */
#ifndef NET_XML_H
#define NET_XML_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#define XML_DEPTH_MAX 16
#define XML_TEXT_MAX ((size_t)16 << 10)
#define XML_NAME_MAX 64

/* Called where an element ends: path is "ListBucketResult/Contents/Key", text what stands directly in it, decoded; both valid in the
 * call only. Anything but RC_OK ends the walk and is returned. */
typedef rc_t (*xml_each)(void *ctx, const char *path, struct slice text, struct err *reterr);
/* RC_CORRUPT: this is no such document. */
rc_t xml_walk(struct slice document, xml_each each, void *ctx, struct err *reterr);
/* The first text at the path; false if there is none. */
bool xml_find(struct slice document, const char *path, struct buf *ret);

#endif
