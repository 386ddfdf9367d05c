/* Hash map from bytes to a pointer-sized value. Keys are copied into the map. Open addressing, power-of-two.
 * Seeded a process, so that crafted keys cannot collide on purpose. Not thread-safe. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/arena.h"

struct map_entry {
	uint64_t hash; /* 0 = empty slot */
	struct slice key;
	uintptr_t value;
};

struct map {
	struct map_entry *slots;
	size_t cap, count;
	struct arena keys;
};

void map_init(struct map *m);
void map_free(struct map *m);
void map_reset(struct map *m);
/* The value's place, or NULL. Valid until the next put. */
uintptr_t *map_get(const struct map *m, struct slice key);
/* The value's place, made with 0 if absent (*ret_new tells; may be NULL). */
uintptr_t *map_put(struct map *m, struct slice key, bool *ret_new);
bool map_remove(struct map *m, struct slice key);
/* for (struct map_entry *e = NULL; (e = map_next(m, e));) */
struct map_entry *map_next(const struct map *m, struct map_entry *after);

#endif
