#include "base/map.h"

#include <sys/random.h>

#include "base/hash.h"

static uint64_t map_seed(void)
{
	static uint64_t seed;
	uint64_t s = __atomic_load_n(&seed, __ATOMIC_RELAXED);
	if (!s) {
		if (getrandom(&s, sizeof s, 0) != sizeof s)
			s = (uint64_t)(uintptr_t)&seed;
		s |= 1;
		uint64_t none = 0;
		if (!__atomic_compare_exchange_n(&seed, &none, s, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			s = none;
	}
	return s;
}

static uint64_t map_hash(struct slice key)
{
	uint64_t h = hash64_seed(key, map_seed());
	return h ? h : 1;
}

void map_init(struct map *m)
{
	*m = (struct map){ 0 };
	arena_init(&m->keys);
}

void map_free(struct map *m)
{
	if (!m)
		return;
	free(m->slots);
	arena_free(&m->keys);
	*m = (struct map){ 0 };
}

void map_reset(struct map *m)
{
	if (m->slots)
		memset(m->slots, 0, m->cap * sizeof *m->slots);
	m->count = 0;
	arena_reset(&m->keys);
}

static struct map_entry *map_find(const struct map *m, struct slice key, uint64_t hash)
{
	for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct map_entry *e = &m->slots[i];
		if (!e->hash || (e->hash == hash && slice_eq(e->key, key)))
			return e;
	}
}

uintptr_t *map_get(const struct map *m, struct slice key)
{
	if (!m->count)
		return NULL;
	struct map_entry *e = map_find(m, key, map_hash(key));
	return e->hash ? &e->value : NULL;
}

static void map_grow(struct map *m)
{
	struct map_entry *old = m->slots;
	size_t old_cap = m->cap;
	m->cap = old_cap ? old_cap * 2 : 16;
	m->slots = mem_zalloc(m->cap, sizeof *m->slots);
	for (size_t i = 0; i < old_cap; i++) {
		if (!old[i].hash)
			continue;
		size_t j = old[i].hash & (m->cap - 1);
		while (m->slots[j].hash)
			j = (j + 1) & (m->cap - 1);
		m->slots[j] = old[i];
	}
	free(old);
}

uintptr_t *map_put(struct map *m, struct slice key, bool *ret_new)
{
	if ((m->count + 1) * 4 > m->cap * 3)
		map_grow(m);
	uint64_t hash = map_hash(key);
	struct map_entry *e = map_find(m, key, hash);
	bool fresh = !e->hash;
	if (fresh) {
		*e = (struct map_entry){ hash, arena_copy(&m->keys, key), 0 };
		m->count++;
	}
	if (ret_new)
		*ret_new = fresh;
	return &e->value;
}

bool map_remove(struct map *m, struct slice key)
{
	if (!m->count)
		return false;
	struct map_entry *e = map_find(m, key, map_hash(key));
	if (!e->hash)
		return false;
	/* Backward-shift deletion: no tombstones, so that probes stay short for ever. */
	size_t hole = (size_t)(e - m->slots), mask = m->cap - 1;
	for (size_t i = (hole + 1) & mask; m->slots[i].hash; i = (i + 1) & mask) {
		size_t home = m->slots[i].hash & mask;
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = (struct map_entry){ 0 };
	m->count--;
	return true;
}

struct map_entry *map_next(const struct map *m, struct map_entry *after)
{
	for (size_t i = after ? (size_t)(after - m->slots) + 1 : 0; i < m->cap; i++)
		if (m->slots[i].hash)
			return &m->slots[i];
	return NULL;
}
