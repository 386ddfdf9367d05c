/* Idempotency keys and ids of events of the window: in memory a hash and a place, 32 bytes and two 4-byte slots each; key and reply are read
 * back from the log. A ring in order of insertion, indexed by a linear-probing table. Segments with young keys are kept while the log is small;
 * beyond, what is young is copied forward into KEYS records before the segment goes: into half of the log at most, the
 * oldest are forgotten. */
#include "wal/wal_internal.h"

#include "os/clock.h"
#include "os/file.h"

/* What `received` of an entry says that is not to be found any more, or not unless a drop fails. */
#define FORGOTTEN (INT64_MIN / 2)
#define HIDDEN (INT64_MAX / 4) /* subtracted */
#define KEYS_BODY ((size_t)128 << 10) /* of one KEYS record, at most about */

/* Half of hi stands for the collection, so that its keys can be told (with those of a name whose hash has the same 32 bits). */
static uint32_t collection_of(struct hash128 hash)
{
	return (uint32_t)(hash.hi >> 32);
}

static uint32_t collection_hash(struct slice name)
{
	return (uint32_t)hash64(name);
}

struct hash128 key_hash(enum key_kind kind, struct slice collection, struct slice key)
{
	struct hash128 h = hash128_seed(key, hash64_seed(collection, kind));
	h.hi = (uint64_t)collection_hash(collection) << 32 | (uint32_t)h.hi;
	return h;
}

bool key_counts(struct slice id)
{
	return id.len && id.len <= WAL_KEY_MAX;
}

static bool same_hash(struct hash128 a, struct hash128 b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

static size_t slot_of(const struct keys *k, struct hash128 hash)
{
	return hash.lo & (2 * k->cap - 1);
}

static struct key_entry *entry_at(const struct keys *k, uint32_t slot_value)
{
	return &k->ring[slot_value - 1];
}

static void slots_add(struct keys *k, uint64_t id)
{
	uint32_t index = (uint32_t)(id & (k->cap - 1));
	size_t i = slot_of(k, k->ring[index].hash);
	while (k->slots[i])
		i = (i + 1) & (2 * k->cap - 1);
	k->slots[i] = index + 1;
}

static void slots_remove(struct keys *k, uint64_t id)
{
	uint32_t index = (uint32_t)(id & (k->cap - 1));
	size_t mask = 2 * k->cap - 1, i = slot_of(k, k->ring[index].hash);
	while (k->slots[i] != index + 1)
		i = (i + 1) & mask;
	for (size_t j = i;;) { /* close the gap */
		k->slots[i] = 0;
		do {
			j = (j + 1) & mask;
			if (!k->slots[j])
				return;
		} while (((j - slot_of(k, entry_at(k, k->slots[j])->hash)) & mask) < ((j - i) & mask));
		k->slots[i] = k->slots[j];
		i = j;
	}
}

static void keys_grow(struct keys *k)
{
	size_t old_cap = k->cap;
	struct key_entry *old = k->ring;
	k->cap = old_cap ? old_cap * 2 : 1024;
	k->ring = mem_alloc(k->cap * sizeof(*k->ring));
	for (uint64_t id = k->head; id < k->tail; id++)
		k->ring[id & (k->cap - 1)] = old[id & (old_cap - 1)];
	free(old);
	free(k->slots);
	k->slots = mem_zalloc(2 * k->cap, sizeof(*k->slots));
	for (uint64_t id = k->head; id < k->tail; id++)
		slots_add(k, id);
}

void keys_free(struct wal *w)
{
	free(w->keys.ring);
	free(w->keys.slots);
	free(w->moves);
	w->keys = (struct keys){ 0 };
	w->moves = NULL;
}

static void note_segment(struct wal *w, uint64_t seq, int64_t received)
{
	struct segment *s = segment_by_seq(w, seq);
	if (s && received > s->key_last)
		s->key_last = received;
}

void keys_insert_locked(struct wal *w, struct hash128 hash, uint64_t seq, uint64_t offset, int64_t received)
{
	struct keys *k = &w->keys;
	uint32_t of = collection_of(hash);
	k->seen[of / 64 % SEEN] |= UINT64_C(1) << of % 64;
	if (k->tail - k->head == k->cap) {
		if (k->cap < w->opt.key_max)
			keys_grow(k);
		else
			slots_remove(k, k->head++);
	}
	if (k->tail - k->head >= w->opt.key_max)
		slots_remove(k, k->head++);
	k->ring[k->tail & (k->cap - 1)] = (struct key_entry){ hash, (uint32_t)seq, (uint32_t)(offset / 8), received };
	slots_add(k, k->tail++);
	note_segment(w, seq, received);
}

void keys_expire_locked(struct wal *w, int64_t now)
{
	struct keys *k = &w->keys;
	while (!w->dropping && k->head < k->tail && k->ring[k->head & (k->cap - 1)].received + w->opt.key_window_us < now)
		slots_remove(k, k->head++);
}

/* The next entry of this collection from *id on, below upto; NULL: there is none. */
static struct key_entry *next_of(const struct keys *k, uint32_t collection, uint64_t *id, uint64_t upto)
{
	if (!(k->seen[collection / 64 % SEEN] >> collection % 64 & 1))
		return NULL;
	for (*id = *id > k->head ? *id : k->head; *id < k->tail && *id < upto; ++*id) {
		struct key_entry *e = &k->ring[*id & (k->cap - 1)];
		if (collection_of(e->hash) == collection)
			return e;
	}
	return NULL;
}

void keys_hide_locked(struct wal *w, struct slice collection, uint64_t upto)
{
	uint64_t id = 0;
	for (struct key_entry *e; (e = next_of(&w->keys, collection_hash(collection), &id, upto)); id++)
		e->received -= e->received > 0 ? HIDDEN : 0;
}

void keys_hidden_locked(struct wal *w, struct slice collection, uint64_t upto, bool forget)
{
	uint64_t id = 0;
	for (struct key_entry *e; (e = next_of(&w->keys, collection_hash(collection), &id, upto)); id++)
		if (e->received < 0 && e->received != FORGOTTEN)
			e->received = forget ? FORGOTTEN : e->received + HIDDEN;
}

void keys_rollback_locked(struct wal *w, uint64_t seq, uint64_t offset)
{
	struct keys *k = &w->keys;
	while (k->tail > k->head) {
		const struct key_entry *e = &k->ring[(k->tail - 1) & (k->cap - 1)];
		if (e->seq < seq || (e->seq == seq && (uint64_t)e->offset8 * 8 < offset))
			break;
		slots_remove(k, k->tail - 1);
		k->tail--;
	}
}

/* The entry of this hash that is young enough; at a place if seq is not 0. */
static struct key_entry *find_entry(struct wal *w, struct hash128 hash, int64_t now, uint64_t seq, uint64_t offset)
{
	struct keys *k = &w->keys;
	if (!k->cap)
		return NULL;
	for (size_t i = slot_of(k, hash); k->slots[i]; i = (i + 1) & (2 * k->cap - 1)) {
		struct key_entry *e = entry_at(k, k->slots[i]);
		if (!same_hash(e->hash, hash) || e->received + w->opt.key_window_us < now)
			continue;
		if (!seq || (e->seq == (uint32_t)seq && e->offset8 == (uint32_t)(offset / 8)))
			return e;
	}
	return NULL;
}

/* Of copies mostly: to copy these once more frees next to nothing. */
static bool is_copies(const struct segment *s)
{
	return 2 * (uint64_t)s->copies > s->durable_end;
}

/* Something behind the front segment could go if that did. */
static bool gain_behind(const struct wal *w)
{
	for (size_t i = 1; i + 1 < w->seg_count; i++)
		if (!w->segs[i]->live && !is_copies(w->segs[i]))
			return true;
	return false;
}

static uint64_t copies_bytes(const struct wal *w, const struct segment *but)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < w->seg_count; i++) {
		const struct segment *s = w->segs[i];
		uint64_t whole = s->disk_bytes > s->append_end ? s->disk_bytes : s->append_end;
		sum += s == but ? 0 : is_copies(s) ? whole : s->copies;
	}
	return sum;
}

bool keys_hold_locked(const struct wal *w, const struct segment *s)
{
	uint64_t bytes = segments_bytes_locked(w);
	if (!s->key_last || s->key_last + w->opt.key_window_us <= clock_wall_us())
		return false;
	return bytes <= w->opt.key_hold_bytes || (is_copies(s) && (bytes <= w->opt.key_hold_bytes + copies_bytes(w, NULL) || !gain_behind(w)));
}

bool keys_has_locked(struct wal *w, struct hash128 hash, int64_t now)
{
	return find_entry(w, hash, now, 0, 0) != NULL;
}

/* --- what stands in records --- */

struct key_text {
	enum key_kind kind;
	struct slice collection, key, reply;
	uint64_t first, count;
	int64_t received;
	struct hash128 body_hash;
};

/* body: at least up to the reply. False: not as it should be. */
static bool parse_events_key(const struct rec_head *r, struct slice body, struct key_text *ret)
{
	if (body.len < EVENTS_SUB)
		return false;
	uint64_t meta = get_u32(body.data + 4), key = get_u32(body.data + 8), reply = get_u32(body.data + 12);
	if (key > WAL_KEY_MAX || reply > WAL_REPLY_MAX || EVENTS_SUB + meta + key + reply > body.len)
		return false;
	*ret = (struct key_text){ .collection = slice_of(r->name, r->name_len), .first = r->first, .count = r->count,
				  .received = r->received, .key = slice_of(body.data + EVENTS_SUB + meta, key),
				  .reply = slice_of(body.data + EVENTS_SUB + meta + key, reply) };
	memcpy(&ret->body_hash, body.data + 16, 16);
	return true;
}

/* The entry at *pos of a KEYS body; false at its end (or where it is not as it should be: *pos != body.len). */
static bool parse_keys_entry(struct slice body, size_t *pos, struct key_text *ret)
{
	if (*pos + KEYS_SUB > body.len)
		return false;
	const uint8_t *p = body.data + *pos;
	uint64_t coll = get_u32(p), key = get_u32(p + 4), reply = get_u32(p + 8);
	uint64_t len = KEYS_SUB + pad8(coll + key + reply);
	if (get_u32(p + 12) > KEY_EVENT || coll > REC_NAME_MAX || key > WAL_KEY_MAX || reply > WAL_REPLY_MAX || *pos + len > body.len)
		return false;
	*ret = (struct key_text){ .kind = (enum key_kind)get_u32(p + 12), .first = get_u64(p + 16), .count = get_u64(p + 24),
				  .received = (int64_t)get_u64(p + 32), .collection = slice_of(p + KEYS_SUB, coll), .key = slice_of(p + KEYS_SUB + coll, key),
				  .reply = slice_of(p + KEYS_SUB + coll + key, reply) };
	memcpy(&ret->body_hash, p + 40, 16);
	*pos += len;
	return true;
}

static void put_keys_entry(struct buf *b, const struct key_text *t)
{
	static const uint8_t zeros[8];
	size_t len = t->collection.len + t->key.len + t->reply.len;
	buf_u32(b, (uint32_t)t->collection.len);
	buf_u32(b, (uint32_t)t->key.len);
	buf_u32(b, (uint32_t)t->reply.len);
	buf_u32(b, t->kind);
	buf_u64(b, t->first);
	buf_u64(b, t->count);
	buf_u64(b, (uint64_t)t->received);
	buf_append(b, &t->body_hash, 16);
	buf_append_slice(b, t->collection);
	buf_append_slice(b, t->key);
	buf_append_slice(b, t->reply);
	buf_append(b, zeros, pad8(len) - len);
}

static rc_t bytes_at(struct window *win, const struct rec_head *r, uint64_t at, uint64_t len, const uint8_t **ret, struct err *reterr)
{
	size_t got = 0;
	if (at > r->body_len || len > r->body_len - at)
		return err_set(reterr, RC_CORRUPT, "%s: the record at byte %llu has no readable ids", win->path, (unsigned long long)r->offset);
	TRY(window_get(win, r->body + at, len, ret, &got, reterr));
	return got == len ? RC_OK : err_set(reterr, RC_CORRUPT, "%s: the record at byte %llu ends too soon", win->path, (unsigned long long)r->offset);
}

#define IDS_AT_ONCE 65536u

/* Each id that counts of an EVENTS record whose checksum holds. */
static rc_t each_id(struct window *win, const struct rec_head *r, void (*fn)(void *ctx, struct slice id), void *ctx, struct err *reterr)
{
	const uint8_t *p = NULL;
	uint64_t n = r->count, sum = 0;
	TRY(bytes_at(win, r, 0, EVENTS_SUB, &p, reterr));
	uint32_t flags = get_u32(p);
	if (!(flags & EVENTS_IDS))
		return RC_OK;
	uint64_t payloads = EVENTS_SUB + (uint64_t)get_u32(p + 4) + get_u32(p + 8) + get_u32(p + 12), ids = payloads + 4 * n;
	uint64_t at = ids + 4 * n * (1 + !!(flags & EVENTS_KEYS) + !!(flags & EVENTS_REASONS)) + (flags & EVENTS_KINDS ? n : 0);
	AUTO_MEM uint32_t *lengths = mem_alloc(IDS_AT_ONCE * sizeof *lengths);
	for (uint64_t i = 0, k; i < n; i += k) {
		k = n - i < IDS_AT_ONCE ? n - i : IDS_AT_ONCE;
		TRY(bytes_at(win, r, payloads + 4 * i, 4 * k, &p, reterr));
		for (uint64_t j = 0; j < k; j++)
			sum += get_u32(p + 4 * j);
	}
	at += sum;
	for (uint64_t i = 0, k; i < n; i += k) {
		k = n - i < IDS_AT_ONCE ? n - i : IDS_AT_ONCE;
		TRY(bytes_at(win, r, ids + 4 * i, 4 * k, &p, reterr));
		memcpy(lengths, p, 4 * k);
		for (uint64_t j = 0; j < k; at += lengths[j++]) {
			TRY(bytes_at(win, r, at, lengths[j], &p, reterr));
			if (key_counts(slice_of(p, lengths[j])))
				fn(ctx, slice_of(p, lengths[j]));
		}
	}
	return RC_OK;
}

/* The body as far as keys need it, valid until the window is used again. */
static rc_t read_key_body(struct window *win, const struct rec_head *r, struct slice *ret, struct err *reterr)
{
	const uint8_t *p;
	size_t got, len = r->body_len;
	if (r->type == WAL_EVENTS) {
		TRY(window_get(win, r->body, len < EVENTS_SUB ? len : EVENTS_SUB, &p, &got, reterr));
		uint64_t prefix = got < EVENTS_SUB ? 0 : EVENTS_SUB + (uint64_t)get_u32(p + 4) + get_u32(p + 8) + get_u32(p + 12);
		len = prefix < len ? prefix : len;
	}
	TRY(window_get(win, r->body, len, &p, &got, reterr));
	*ret = slice_of(p, got);
	return RC_OK;
}

static void recover_one(struct wal *w, struct segment *s, const struct rec_head *r, const struct key_text *t)
{
	struct hash128 hash = key_hash(t->kind, t->collection, t->key);
	if (t->received + w->opt.key_window_us < clock_wall_us())
		return;
	struct key_entry *e = find_entry(w, hash, t->received, 0, 0);
	if (!e) {
		keys_insert_locked(w, hash, s->h.seq, r->offset, t->received);
		return;
	}
	e->seq = (uint32_t)s->h.seq; /* copied forward */
	e->offset8 = (uint32_t)(r->offset / 8);
	note_segment(w, s->h.seq, t->received);
}

rc_t keys_recover(struct wal *w, struct segment *s, const struct rec_head *r, struct slice body, struct err *reterr)
{
	struct key_text t;
	size_t pos = 0;
	if (r->type == WAL_EVENTS) {
		if (!parse_events_key(r, body, &t))
			return err_set(reterr, RC_CORRUPT, "%s: the record at byte %llu has no readable key", s->path, (unsigned long long)r->offset);
		recover_one(w, s, r, &t);
		return RC_OK;
	}
	while (parse_keys_entry(body, &pos, &t))
		recover_one(w, s, r, &t);
	return RC_OK;
}

struct recovering {
	struct wal *w;
	struct segment *s;
	const struct rec_head *r;
};

static void recover_id(void *ctx, struct slice id)
{
	struct recovering *v = ctx;
	struct key_text t = { .kind = KEY_EVENT, .collection = slice_of(v->r->name, v->r->name_len), .key = id, .received = v->r->received };
	recover_one(v->w, v->s, v->r, &t);
}

rc_t keys_recover_ids(struct wal *w, struct segment *s, struct window *win, const struct rec_head *r, struct err *reterr)
{
	struct recovering v = { w, s, r };
	if (r->received + w->opt.key_window_us < clock_wall_us())
		return RC_OK;
	return each_id(win, r, recover_id, &v, reterr);
}

/* --- asking --- */

static rc_t read_key(const struct segment *s, uint64_t offset, uint64_t limit, struct slice collection, struct slice key,
		     struct wal_key_found *ret, struct err *reterr)
{
	struct window win;
	struct rec_head r;
	enum rec_state state;
	struct slice body;
	struct key_text t;
	int fd;
	bool ok = false, found = false;
	TRY(file_open(s->path, FILE_READ, &fd, reterr));
	window_init(&win, fd, s->path);
	rc_t rc = rec_read_head(&win, &s->h, offset, limit, &r, &state, reterr);
	if (rc == RC_OK && state == REC_VALID)
		rc = rec_check_body(&win, &r, &ok, reterr);
	if (rc == RC_OK && !ok)
		rc = err_set(reterr, RC_CORRUPT, "%s: the record at byte %llu changed on disk", s->path, (unsigned long long)offset);
	if (rc == RC_OK)
		rc = read_key_body(&win, &r, &body, reterr);
	if (rc == RC_OK && r.type == WAL_EVENTS) {
		found = parse_events_key(&r, body, &t) && slice_eq(t.key, key) && slice_eq(t.collection, collection);
	} else if (rc == RC_OK && r.type == WAL_KEYS) {
		for (size_t pos = 0; !found && parse_keys_entry(body, &pos, &t);)
			found = t.kind == KEY_REQUEST && slice_eq(t.key, key) && slice_eq(t.collection, collection);
	}
	if (found) {
		*ret = (struct wal_key_found){ .body_hash = t.body_hash, .first = t.first, .count = t.count };
		buf_init(&ret->reply, WAL_REPLY_MAX + 1);
		buf_append_slice(&ret->reply, t.reply);
	}
	window_free(&win);
	file_close(fd);
	return rc != RC_OK || found ? rc : RC_NOT_FOUND;
}

rc_t keys_find_locked(struct wal *w, struct slice collection, struct slice key, struct wal_key_found *ret, struct err *reterr)
{
	struct key_entry *e = find_entry(w, key_hash(KEY_REQUEST, collection, key), clock_wall_us(), 0, 0);
	struct segment *s = e ? segment_by_seq(w, e->seq) : NULL;
	if (!s)
		return RC_NOT_FOUND;
	uint64_t offset = (uint64_t)e->offset8 * 8, limit = s->durable_end;
	if (offset >= limit) {
		*ret = (struct wal_key_found){ .ticket = w->last_ticket };
		buf_init(&ret->reply, WAL_REPLY_MAX + 1);
		return RC_AGAIN;
	}
	s->pins++;
	pthread_mutex_unlock(&w->lock);
	rc_t rc = read_key(s, offset, limit, collection, key, ret, reterr);
	pthread_mutex_lock(&w->lock);
	s->pins--;
	return rc;
}

rc_t wal_key_lookup(struct wal *w, struct slice collection, struct slice key, struct wal_key_found *ret, struct err *reterr)
{
	pthread_mutex_lock(&w->lock);
	rc_t rc = keys_find_locked(w, collection, key, ret, reterr);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* Marks those whose hash stands in the array before. */
static void mark_repeated(const struct hash128 *hashes, const struct event *events, size_t n, bool *known)
{
	size_t cap = 16;
	while (cap < 2 * n)
		cap *= 2;
	AUTO_MEM uint32_t *slots = mem_zalloc(cap, sizeof *slots); /* index + 1 */
	for (size_t i = 0; i < n; i++) {
		if (!key_counts(events[i].id))
			continue;
		size_t at = hashes[i].lo & (cap - 1);
		while (slots[at] && !same_hash(hashes[slots[at] - 1], hashes[i]))
			at = (at + 1) & (cap - 1);
		known[i] = slots[at] != 0;
		if (!slots[at])
			slots[at] = (uint32_t)i + 1;
	}
}

size_t wal_ids_known(struct wal *w, struct slice collection, const struct event *events, size_t count, bool *ret_known, struct wal_known *ret)
{
	size_t known = 0;
	int64_t now = clock_wall_us();
	AUTO_MEM struct hash128 *hashes = mem_alloc((count + 1) * sizeof *hashes);
	memset(ret_known, 0, count * sizeof *ret_known);
	for (size_t i = 0; i < count; i++)
		if (key_counts(events[i].id))
			hashes[i] = key_hash(KEY_EVENT, collection, events[i].id);
	mark_repeated(hashes, events, count, ret_known);
	ret->ticket = 0;
	pthread_mutex_lock(&w->lock);
	ret->drops = w->drops;
	for (size_t i = 0; i < count; i++) {
		const struct key_entry *e = key_counts(events[i].id) ? find_entry(w, hashes[i], now, 0, 0) : NULL;
		const struct segment *s = e ? segment_by_seq(w, e->seq) : NULL;
		if (s && (uint64_t)e->offset8 * 8 >= s->durable_end)
			ret->ticket = w->last_ticket;
		ret_known[i] = ret_known[i] || e;
		known += ret_known[i];
	}
	pthread_mutex_unlock(&w->lock);
	return known;
}

/* --- copying forward --- */

struct key_place {
	struct hash128 hash;
	uint64_t offset;
	size_t from, len; /* in the gathered bytes */
};
struct gathered {
	struct buf bytes; /* KEYS entries */
	struct key_place *places;
	size_t count, cap;
};

static void gather_one(struct gathered *g, const struct rec_head *r, const struct key_text *t)
{
	ARRAY_ROOM(g->places, g->count, g->cap);
	struct key_place *p = &g->places[g->count++];
	*p = (struct key_place){ .hash = key_hash(t->kind, t->collection, t->key), .offset = r->offset, .from = g->bytes.len };
	put_keys_entry(&g->bytes, t);
	p->len = g->bytes.len - p->from;
}

struct gathered_from {
	struct gathered *g;
	const struct rec_head *r;
};

static void gather_id(void *ctx, struct slice id)
{
	struct gathered_from *f = ctx;
	struct key_text t = { .kind = KEY_EVENT, .collection = slice_of(f->r->name, f->r->name_len), .key = id, .received = f->r->received };
	gather_one(f->g, f->r, &t);
}

/* All keys of a segment that are younger than `since`. */
static rc_t gather(const struct segment *s, int64_t since, struct gathered *g, struct err *reterr)
{
	struct window win;
	int fd;
	TRY(file_open(s->path, FILE_READ, &fd, reterr));
	window_init(&win, fd, s->path);
	rc_t rc = RC_OK;
	for (uint64_t off = SEG_DATA; off < s->durable_end && rc == RC_OK;) {
		struct rec_head r;
		enum rec_state state;
		struct slice body;
		struct key_text t;
		rc = rec_read_head(&win, &s->h, off, s->durable_end, &r, &state, reterr);
		if (rc == RC_OK && state != REC_VALID) {
			rc = rec_find(&win, &s->h, off + 8, s->durable_end, 0, &off, reterr);
			continue;
		}
		if (rc != RC_OK)
			break;
		off += r.size;
		struct gathered_from from = { g, &r };
		if (r.type == WAL_EVENTS && r.flags & REC_FLAG_IDS && r.received >= since)
			rc = each_id(&win, &r, gather_id, &from, reterr);
		if (rc != RC_OK || (r.type != WAL_KEYS && !(r.type == WAL_EVENTS && (r.flags & REC_FLAG_KEY))))
			continue;
		rc = read_key_body(&win, &r, &body, reterr);
		if (rc == RC_OK && r.type == WAL_EVENTS && r.received >= since && parse_events_key(&r, body, &t))
			gather_one(g, &r, &t);
		for (size_t pos = 0; rc == RC_OK && r.type == WAL_KEYS && parse_keys_entry(body, &pos, &t);)
			if (t.received >= since)
				gather_one(g, &r, &t);
	}
	window_free(&win);
	file_close(fd);
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

/* Entry ids from..to of `moved` go into one KEYS record. */
static rc_t append_moves(struct wal *w, struct segment *s, const struct gathered *g, const size_t *index, size_t n, struct err *reterr)
{
	struct buf body;
	uint64_t ticket;
	buf_init(&body, BUF_MAX_DEFAULT);
	for (size_t i = 0; i < n; i++)
		buf_append(&body, g->bytes.data + g->places[index[i]].from, g->places[index[i]].len);
	rc_t rc = append_control_locked(w, WAL_KEYS, slice_of(NULL, 0), buf_slice(&body), &ticket, reterr);
	buf_free(&body);
	if (rc != RC_OK)
		return rc;
	const struct flight *f = &cur_group(w)->flights[cur_group(w)->flight_count - 1];
	for (size_t i = 0; i < n; i++) {
		const struct key_place *p = &g->places[index[i]];
		struct key_entry *e = find_entry(w, p->hash, 0, s->h.seq, p->offset);
		if (!e)
			continue;
		ARRAY_ROOM(w->moves, w->move_count, w->move_cap);
		uint32_t at = (uint32_t)(e - w->keys.ring), head = (uint32_t)(w->keys.head & (w->keys.cap - 1));
		uint64_t id = w->keys.head + ((at - head) & (w->keys.cap - 1));
		w->moves[w->move_count++] = (struct key_move){ id, e->seq, e->offset8 };
		e->seq = (uint32_t)f->seg->h.seq;
		e->offset8 = f->offset / 8;
		if (e->received > f->seg->key_last)
			f->seg->key_last = e->received;
	}
	f->seg->copies += (uint32_t)f->size;
	w->move_ticket = ticket;
	w->move_seq = s->h.seq;
	return RC_OK;
}

static void forget_places(struct wal *w, const struct segment *s, const struct gathered *g, const size_t *index, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct key_entry *e = find_entry(w, g->places[index[i]].hash, 0, s->h.seq, g->places[index[i]].offset);
		if (e)
			e->received = FORGOTTEN;
		w->stats.keys_forgotten += e != NULL;
	}
}

rc_t keys_move_locked(struct wal *w, struct segment *s, bool *ret_any, struct err *reterr)
{
	struct gathered g = { 0 };
	int64_t since = clock_wall_us() - w->opt.key_window_us;
	buf_init(&g.bytes, BUF_MAX_DEFAULT);
	s->pins++;
	pthread_mutex_unlock(&w->lock);
	rc_t rc = gather(s, since, &g, reterr);
	pthread_mutex_lock(&w->lock);
	s->pins--;
	if (rc == RC_OK && w->dropping)
		rc = RC_AGAIN; /* they may be about to be forgotten */
	size_t *index = mem_alloc((g.count + 1) * sizeof(*index)), n = 0, from = 0, all = 0, room = 0;
	uint64_t others = copies_bytes(w, s), most = w->opt.max_bytes / 2; /* or events would have no room */
	if (others < most)
		room = most - others;
	for (size_t i = 0; i < g.count && rc == RC_OK; i++) {
		if (!find_entry(w, g.places[i].hash, 0, s->h.seq, g.places[i].offset))
			continue; /* expired, or moved already */
		index[n++] = i;
		all += g.places[i].len;
	}
	for (; from < n && all > room; from++) /* the oldest first */
		all -= g.places[index[from]].len;
	forget_places(w, s, &g, index, from);
	*ret_any = false;
	while (from < n && rc == RC_OK) {
		size_t to = from, body = w->opt.segment_bytes / 8 < KEYS_BODY ? w->opt.segment_bytes / 8 : KEYS_BODY;
		for (size_t bytes = 0; to < n && bytes < body; to++)
			bytes += g.places[index[to]].len;
		rc = append_moves(w, s, &g, index + from, to - from, reterr);
		if (rc == RC_LIMIT && !w->failed) { /* better than a log that takes nothing until they are old */
			forget_places(w, s, &g, index + from, n - from);
			to = n;
			rc = RC_OK;
		} else {
			*ret_any = true;
		}
		from = to;
	}
	if (rc != RC_OK)
		w->move_seq = 0; /* some stay behind */
	free(index);
	free(g.places);
	buf_free(&g.bytes);
	return rc;
}

void keys_moves_settled_locked(struct wal *w, bool durable)
{
	struct keys *k = &w->keys;
	struct segment *s = segment_by_seq(w, w->move_seq);
	for (size_t i = 0; i < w->move_count && !durable; i++) {
		const struct key_move *m = &w->moves[i];
		if (m->id < k->head || m->id >= k->tail)
			continue;
		k->ring[m->id & (k->cap - 1)].seq = m->old_seq;
		k->ring[m->id & (k->cap - 1)].offset8 = m->old_offset8;
	}
	if (durable && w->move_count && s)
		s->key_last = 0;
	w->move_count = 0;
}
