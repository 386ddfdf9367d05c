/* Inside evolve: choosing names for new fields. */
#ifndef SHRED_EVOLVE_INTERNAL_H
#define SHRED_EVOLVE_INTERNAL_H

#include "base/map.h"
#include "model/schema.h"
#include "json/places.h"

#define NAME_MAX_BYTES 200 /* of a name made from a key, before suffixes: Athena takes 255 */

/* The names taken below each struct, lower case, siblings' base names included. */
struct names {
	struct map taken;
	struct buf probe;
};

void names_init(struct names *n, const struct schema *s);
void names_free(struct names *n);
/* The name for a key's main field below parent (TABLES.md, Names), taken from now on. */
struct slice names_choose(struct names *n, struct schema *s, const struct field *parent, struct slice key);
/* The base of a field's name: x of x__string. */
struct slice names_base(const struct field *f);
/* "string", "list", … */
const char *names_suffix(enum place place);

#endif
