/* Columns that are filled together: most members of an object are there whenever it is, and then their pages hold the same levels, byte for
 * byte. The levels of some leaves read before are kept as they stood in the file. As long as the pages of a leaf with the same parent
 * have the same bytes, its bitmap is a copy, and the structure above it is what that leaf has shown it to be. At the first page that differs
 * the pages before are applied as if this had not been tried.
 */
#include "parquet/reader_internal.h"

#define ALIKE_LEAVES 8
#define ALIKE_PAGES 32
#define ALIKE_BYTES ((size_t)256 << 10) /* of a leaf's levels; one with more is not kept */

struct alike_page {
	struct page levels; /* what levels_apply looks at; the bytes stand at reps_at */
	size_t reps_at, reps_len, defs_len;
	uint64_t row, row_behind; /* of the sink; and what it says behind the page */
	bool done;
	uint32_t slots, values; /* of the leaf, behind it */
	size_t skip, take, total;
};

struct alike {
	const struct leaf *leaf; /* NULL: none, or not to be used */
	const struct column *column;
	struct buf bytes;
	struct alike_page pages[ALIKE_PAGES];
	uint32_t count;
};

void alike_open(struct parquet_reader *r)
{
	r->alikes = arena_zalloc(&r->arena, ALIKE_LEAVES * sizeof *r->alikes);
	for (uint32_t i = 0; i < ALIKE_LEAVES; i++)
		buf_init(&r->alikes[i].bytes, ALIKE_BYTES + DECODE_PAD);
}

void alike_close(struct parquet_reader *r)
{
	for (uint32_t i = 0; r->alikes && i < ALIKE_LEAVES; i++)
		buf_free(&r->alikes[i].bytes);
}

void alike_begin(struct parquet_reader *r)
{
	for (uint32_t i = 0; i < ALIKE_LEAVES; i++)
		r->alikes[i].leaf = NULL;
	r->alike_next = 0;
}

/* Do the same levels mean the same for both? */
static bool same_rules(const struct leaf *a, const struct leaf *b)
{
	const struct level_node *x = &a->path[a->path_len - 1], *y = &b->path[b->path_len - 1];
	return x->field->parent == y->field->parent && a->path_len == b->path_len && a->max_def == b->max_def && a->max_rep == b->max_rep && !x->list &&
	       !y->list && x->slot_rep == y->slot_rep && x->slot_def == y->slot_def && x->present_def == y->present_def;
}

static bool same_bytes(const uint8_t *a, const uint8_t *b, size_t n)
{
	return !n || memcmp(a, b, n) == 0;
}

static bool same_page(const struct alike *a, const struct alike_page *k, const struct level_sink *s, const struct page *p)
{
	const uint8_t *kept = a->bytes.data + k->reps_at;
	return p->entries == k->levels.entries && s->row == k->row && p->reps_packed == k->levels.reps_packed && p->defs_packed == k->levels.defs_packed &&
	       (size_t)(p->reps_end - p->reps) == k->reps_len && (size_t)(p->defs_end - p->defs) == k->defs_len &&
	       same_bytes(kept, p->reps, k->reps_len) && same_bytes(kept + k->reps_len, p->defs, k->defs_len);
}

/* At a leaf's first page: one that it may be like, or where to keep its own levels. */
static void choose(struct parquet_reader *r, struct level_sink *s, const struct page *p)
{
	for (uint32_t i = 0; i < ALIKE_LEAVES; i++) {
		struct alike *a = &r->alikes[i];
		if (a->leaf && a->count && same_rules(a->leaf, s->leaf) && same_page(a, a->pages, s, p)) {
			s->like = a;
			return;
		}
	}
	struct alike *a = s->kept = &r->alikes[r->alike_next++ % ALIKE_LEAVES];
	buf_reset(&a->bytes);
	a->leaf = s->leaf;
	a->column = s->columns[s->leaf->path_len - 1];
	a->count = 0;
}

/* A page that was applied in the usual way. */
static void keep(struct level_sink *s, const struct page *p, struct alike_page done)
{
	struct alike *a = s->kept;
	done.reps_at = a->bytes.len;
	done.reps_len = (size_t)(p->reps_end - p->reps);
	done.defs_len = (size_t)(p->defs_end - p->defs);
	if (a->count == ALIKE_PAGES || done.reps_len + done.defs_len > ALIKE_BYTES - a->bytes.len ||
	    !buf_reserve(&a->bytes, done.reps_len + done.defs_len + DECODE_PAD)) {
		a->leaf = NULL;
		s->kept = NULL;
		return;
	}
	buf_append(&a->bytes, p->reps, done.reps_len);
	buf_append(&a->bytes, p->defs, done.defs_len);
	done.levels = *p;
	done.row_behind = s->row;
	done.done = s->done;
	done.slots = a->column->slots;
	done.values = a->column->values;
	a->pages[a->count++] = done;
}

/* The leaf's bitmap up to the end of a page that both have. */
static void copy_slots(struct column *to, const struct column *from, uint32_t slots, uint32_t values)
{
	size_t first = to->slots / 64, words = ((size_t)slots + 63) / 64;
	if (words > first) {
		if (words > to->present_cap)
			column_grow_present(to, slots);
		memcpy(to->present + first, from->present + first, (words - first) * sizeof *to->present);
		if (slots % 64)
			to->present[words - 1] &= ~(~(uint64_t)0 << slots % 64);
	}
	to->slots = slots;
	to->values = values;
}

static rc_t follow(struct parquet_reader *r, struct level_sink *s, const struct alike_page *k, struct err *reterr)
{
	size_t bytes = (k->slots - s->columns[s->leaf->path_len - 1]->slots) / 8;
	TRY(reader_charge(r, bytes, reterr));
	s->copied += bytes;
	copy_slots(s->columns[s->leaf->path_len - 1], s->like->column, k->slots, k->values);
	s->row = k->row_behind;
	s->done = k->done;
	s->pages++;
	return RC_OK;
}

rc_t alike_leave(struct parquet_reader *r, struct level_sink *s, struct err *reterr)
{
	const struct alike *a = s->like;
	struct column *c = s->columns[s->leaf->path_len - 1];
	size_t skip, take, total;
	if (!a)
		return RC_OK;
	if (c->present)
		memset(c->present, 0, ((size_t)c->slots + 63) / 64 * sizeof *c->present);
	c->slots = c->values = 0;
	r->batch_left += s->copied;
	s->copied = 0;
	s->like = NULL;
	s->row = a->pages[0].row;
	s->done = s->started = false;
	s->last_def = 0;
	for (uint32_t i = 0; i < s->pages; i++) {
		struct page p = a->pages[i].levels;
		p.reps = a->bytes.data + a->pages[i].reps_at;
		p.defs = p.reps_end = p.reps + a->pages[i].reps_len;
		p.defs_end = p.defs + a->pages[i].defs_len;
		TRY(levels_apply(r, s, &p, &skip, &take, &total, reterr));
	}
	return RC_OK;
}

rc_t alike_apply(struct parquet_reader *r, struct level_sink *s, const struct page *p, size_t *ret_skip, size_t *ret_take, size_t *ret_total,
		 struct err *reterr)
{
	if (!s->pages && s->leaf->path_len > 1 && s->leaf->max_def)
		choose(r, s, p);
	if (s->like && s->pages < s->like->count && same_page(s->like, &s->like->pages[s->pages], s, p)) {
		const struct alike_page *k = &s->like->pages[s->pages];
		*ret_skip = k->skip;
		*ret_take = k->take;
		*ret_total = k->total;
		return follow(r, s, k, reterr);
	}
	TRY(alike_leave(r, s, reterr));
	struct alike_page done = { .row = s->row };
	TRY(levels_apply(r, s, p, ret_skip, ret_take, ret_total, reterr));
	done.skip = *ret_skip;
	done.take = *ret_take;
	done.total = *ret_total;
	if (s->kept)
		keep(s, p, done);
	s->pages++;
	return RC_OK;
}

bool alike_whole(const struct level_sink *s)
{
	return s->like && s->pages == s->like->count;
}
