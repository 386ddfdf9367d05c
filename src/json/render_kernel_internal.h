/* Putting a row's text together, included once for each instruction set by render_run.c with
 *   RENDER_NAME(x)  x with the set's suffix
 *   RENDER_TARGET   function attribute
 *   RENDER_AVX2     1 or 0
 * No guard: it is a template. Everywhere: p is where the text goes on, with RENDER_SLACK bytes of room; NULL is a failure that the job tells. */

/* Which value a slot that is present has, of a column that lacks some. */
RENDER_TARGET static inline uint32_t RENDER_NAME(rank_at)(struct cursor *c, uint32_t slot)
{
	uint32_t word = slot >> 6;
	if (word < c->word)
		c->word = c->rank = 0;
	while (c->word < word)
		c->rank += (uint32_t)__builtin_popcountll(c->present[c->word++]);
	return c->rank + (uint32_t)__builtin_popcountll(c->present[word] & (((uint64_t)1 << (slot & 63)) - 1));
}

/* Is `slot` of the cursor's column present, and which value is it? Slots in increasing order: amortised a word each 64. */
RENDER_TARGET static inline bool RENDER_NAME(cursor_at)(struct job *j, struct cursor *c, uint32_t slot, uint32_t *ret_value)
{
	if (__builtin_expect(c->turn != j->r->turn, 0))
		cursor_bind(j->r, c);
	*ret_value = slot;
	if (slot >= c->slots)
		return false;
	if (!c->present)
		return true;
	if (!(c->present[slot >> 6] >> (slot & 63) & 1))
		return false;
	*ret_value = RENDER_NAME(rank_at)(c, slot);
	return true;
}

/* The same, and the value is there. */
RENDER_TARGET static inline bool RENDER_NAME(value_at)(struct job *j, struct cursor *c, uint32_t slot, uint32_t *ret_value)
{
	return RENDER_NAME(cursor_at)(j, c, slot, ret_value) && *ret_value < c->values;
}

RENDER_TARGET enum row_way RENDER_NAME(row_find)(struct job *j)
{
	struct renderer *r = j->r;
	uint32_t value;
	if (RENDER_NAME(value_at)(j, r->raw, j->row, &value)) {
		j->shape = column_bytes_at(r->raw->col, value);
		return ROW_TEXT;
	}
	if (RENDER_NAME(value_at)(j, r->text, j->row, &value)) {
		j->shape = column_bytes_at(r->text->col, value);
		return ROW_TEXT;
	}
	if (!RENDER_NAME(value_at)(j, r->shape, j->row, &value))
		return ROW_NONE;
	j->shape = column_bytes_at(r->shape->col, value);
	if (RENDER_NAME(value_at)(j, r->rest, j->row, &value) && r->rest->col->child_count == 2) {
		j->rest_at = r->rest->offsets[value];
		j->rest_end = r->rest->offsets[value + 1];
	}
	return ROW_SHAPE;
}

/* Copies n bytes in steps of 32: up to 31 past n are read and written. */
RENDER_TARGET static inline uint8_t *RENDER_NAME(put_padded)(uint8_t *p, const uint8_t *from, size_t n)
{
	memcpy(p, from, 32);
	for (size_t i = 32; i < n; i += 32)
		memcpy(p + i, from + i, 32);
	return p + n;
}

/* Bytes of any length from anywhere. */
RENDER_TARGET static inline uint8_t *RENDER_NAME(put_bytes)(struct job *j, uint8_t *p, struct slice s)
{
	if ((size_t)(j->end - p) < s.len + RENDER_SLACK && !(p = render_room(j, p, s.len + RENDER_SLACK)))
		return NULL;
	if (s.len)
		memcpy(p, s.data, s.len);
	return p + s.len;
}

#define CHECK_VALUE()                                                                                                                                  \
	do {                                                                                                                                           \
		if (__builtin_expect(value >= c->values, 0))                                                                                           \
			return render_fault(j, "a column has fewer values than its presence says");                                                    \
	} while (0)

RENDER_TARGET static inline uint8_t *RENDER_NAME(put_string)(struct job *j, uint8_t *p, const struct cursor *c, uint32_t value)
{
	CHECK_VALUE();
	if (c->codes) {
		__builtin_prefetch(c->codes + value + 32);
		value = c->codes[value];
	} else {
		__builtin_prefetch(c->offsets + value + 32);
	}
	size_t from = c->offsets[value], len = c->offsets[value + 1] - from;
	const uint8_t *text = c->data + from;
	if (__builtin_expect((size_t)(j->end - p) < len + RENDER_SLACK, 0) && !(p = render_room(j, p, len + RENDER_SLACK)))
		return NULL;
	*p++ = '"';
#if RENDER_AVX2
	if (__builtin_expect(c->readable - from < len + 32, 0))
#endif
	{
		size_t clean = escape_copy_clean(p, text, len, &escape_sets[j->dialect]);
		p += clean;
		if (clean < len && !(p = render_escaped(j, p, slice_of(text + clean, len - clean))))
			return NULL;
		*p++ = '"';
		return p;
	}
#if RENDER_AVX2
	size_t clean = escape_copy_clean_avx2(p, text, len, &escape_sets[j->dialect]);
	p += clean;
	if (__builtin_expect(clean < len, 0) && !(p = render_escaped(j, p, slice_of(text + clean, len - clean))))
		return NULL;
	*p++ = '"';
	return p;
#endif
}

/* Are the n < 32 bytes at a, of the cursor's column, the same as those at b, which has 32? */
RENDER_TARGET static inline bool RENDER_NAME(same_bytes)(const struct cursor *c, const uint8_t *a, const uint8_t *b, size_t n)
{
#if RENDER_AVX2
	if (__builtin_expect(c->readable - (size_t)(a - c->data) >= 32, 1)) {
		__m256i same = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)a), _mm256_loadu_si256((const __m256i *)b));
		return _bzhi_u32(~(uint32_t)_mm256_movemask_epi8(same), (uint32_t)n) == 0;
	}
#endif
	return n == 0 || memcmp(a, b, n) == 0;
}

/* Bytes of an edge's literal, behind which 16 can be read. */
RENDER_TARGET static inline uint8_t *RENDER_NAME(put_edge)(uint8_t *p, const uint8_t *from, size_t n)
{
	memcpy(p, from, 16);
	for (size_t i = 16; i < n; i += 16)
		memcpy(p + i, from + i, 16);
	return p + n;
}

/* The same, with room asked for. */
RENDER_TARGET static inline uint8_t *RENDER_NAME(put_literal)(struct job *j, uint8_t *p, const uint8_t *from, size_t n)
{
	if (__builtin_expect((size_t)(j->end - p) < n + RENDER_SLACK, 0) && !(p = render_room(j, p, n + RENDER_SLACK)))
		return NULL;
	return RENDER_NAME(put_edge)(p, from, n);
}

/* The __rest entry that edge e of the shape stands for. */
RENDER_TARGET static uint8_t *RENDER_NAME(put_rest)(struct job *j, uint8_t *p, const struct shape_edge *e)
{
	if (j->rest_at >= j->rest_end)
		return render_fault(j, "__rest has fewer entries than the shape says");
	struct cursor *keys = j->r->rest_keys, *texts = j->r->rest_texts;
	uint32_t k, v, entry = j->rest_at++;
	if (!RENDER_NAME(value_at)(j, keys, entry, &k) || !RENDER_NAME(value_at)(j, texts, entry, &v))
		return render_fault(j, "__rest has an entry without text");
	struct slice path = column_bytes_at(keys->col, k), text = column_bytes_at(texts->col, v), name;
	struct rest_path *known = &j->space->nodes[e->from].rest;
	if (known->text && path.len >= known->len && RENDER_NAME(same_bytes)(keys, path.data, known->text, known->len))
		name = slice_of(path.data + known->len, path.len - known->len);
	else if (!render_rest_key(j, e->from, path, &name))
		return render_fault(j, "__rest has an entry of another place");
	size_t len = e->len + name.len + e->sep + text.len + 2;
	if ((size_t)(j->end - p) < len + RENDER_SLACK && !(p = render_room(j, p, len + RENDER_SLACK)))
		return NULL;
	p = RENDER_NAME(put_edge)(p, e->lit, e->len);
	*p++ = '"';
	p = render_copy(p, name.data, name.len, keys->readable - (size_t)(name.data - keys->data));
	*p++ = '"';
	p = RENDER_NAME(put_edge)(p, e->lit + e->len, e->sep);
	return render_copy(p, text.data, text.len, texts->readable - (size_t)(text.data - texts->data));
}

RENDER_TARGET static inline uint8_t *RENDER_NAME(put_int)(struct job *j, uint8_t *p, const struct cursor *c, uint32_t value)
{
	int64_t i;
	CHECK_VALUE();
	__builtin_prefetch(c->data + (size_t)value * 8 + 128);
	memcpy(&i, c->data + (size_t)value * 8, 8);
	*p = '-';
	p += i < 0;
	return p + digits_put(i < 0 ? 0 - (uint64_t)i : (uint64_t)i, p);
}

/* Of scale 18 or less. */
RENDER_TARGET static inline uint8_t *RENDER_NAME(put_decimal)(struct job *j, uint8_t *p, const struct cursor *c, uint32_t value)
{
	int64_t i;
	CHECK_VALUE();
	__builtin_prefetch(c->data + (size_t)value * 8 + 128);
	memcpy(&i, c->data + (size_t)value * 8, 8);
	uint64_t v = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
	unsigned scale = c->scale;
	*p = '-';
	p += i < 0;
	unsigned count = digits_count(v), places = count > scale ? count : scale + 1;
	if (__builtin_expect(places <= 8 && scale, 1)) { /* the point moves what stands behind it a byte on */
		uint64_t word = digits_word8(v) >> (64 - 8 * places);
		unsigned whole = places - scale;
		uint64_t fraction = word >> (8 * whole);
		memcpy(p, &word, 8);
		p[whole] = '.';
		memcpy(p + whole + 1, &fraction, 8);
		return p + places + 1;
	}
	digits_put_fixed(v, places, p);
	if (!scale)
		return p + places;
	uint8_t fraction[24]; /* moves a byte on, for the point */
	memcpy(fraction, p + places - scale, sizeof fraction);
	p += places - scale;
	*p = '.';
	memcpy(p + 1, fraction, sizeof fraction);
	return p + 1 + scale;
}

/* A value of a scalar column as JSON text. */
RENDER_TARGET static inline uint8_t *RENDER_NAME(put_value)(struct job *j, uint8_t *p, struct cursor *c, uint32_t value)
{
	int64_t i;
	CHECK_VALUE();
	switch (c->place) {
	case PLACE_STRING:
		return RENDER_NAME(put_string)(j, p, c, value);
	case PLACE_INT:
		return RENDER_NAME(put_int)(j, p, c, value);
	case PLACE_DECIMAL:
		if (__builtin_expect(c->scale <= 18, 1))
			return RENDER_NAME(put_decimal)(j, p, c, value);
		memcpy(&i, c->data + (size_t)value * 8, 8);
		return p + json_format_decimal(i, c->scale, (char *)p);
	case PLACE_BOOL:
		if (c->data[value]) {
			memcpy(p, "true", 4);
			return p + 4;
		}
		memcpy(p, "false", 5);
		return p + 5;
	case PLACE_TIME: {
		memcpy(&i, c->data + (size_t)value * 8, 8);
		*p = '"';
		size_t n = json_time_format_near(i, c->format, &c->day, (char *)p + 1);
		if (!n)
			return render_fault(j, "a timestamp has more digits than its format");
		p[n + 1] = '"';
		return p + n + 2;
	}
	case PLACE_DOUBLE: {
		double d;
		memcpy(&d, c->data + (size_t)value * 8, 8);
		return p + json_number_format_double(d, (enum format)c->format, (char *)p);
	}
	case PLACE_BIGINT: {
		__int128 wide;
		memcpy(&wide, c->data + (size_t)value * 16, 16);
		return p + json_format_decimal(wide, c->scale, (char *)p);
	}
	case PLACE_JSON:
		return RENDER_NAME(put_bytes)(j, p, column_bytes_at(c->col, value));
	default:
		return render_fault(j, "a column has a type that no JSON value goes to");
	}
}

RENDER_TARGET static inline uint8_t *RENDER_NAME(put_null)(uint8_t *p)
{
	memcpy(p, "null", 4);
	return p + 4;
}

/* The scalar column of a node that has a value at slot; NULL: none has, or the job has a fault, for two have. */
RENDER_TARGET static inline struct cursor *RENDER_NAME(scalar_at)(struct job *j, uint32_t node, uint32_t slot, uint32_t *ret_value)
{
	const struct node_cursors *nc = &j->space->nodes[node];
	struct cursor *found = NULL;
	uint32_t at;
	if (nc->scalars == 1)
		return RENDER_NAME(cursor_at)(j, nc->scalar[0], slot, ret_value) ? nc->scalar[0] : NULL;
	for (uint8_t i = 0; i < nc->scalars; i++) {
		if (!RENDER_NAME(cursor_at)(j, nc->scalar[i], slot, &at))
			continue;
		if (found) {
			render_fault(j, "a field has values in two of its columns");
			return NULL;
		}
		found = nc->scalar[i];
		*ret_value = at;
	}
	return found;
}

RENDER_TARGET static uint8_t *RENDER_NAME(put_scalar)(struct job *j, uint8_t *p, uint32_t node, uint32_t slot)
{
	uint32_t value = 0;
	struct cursor *found = RENDER_NAME(scalar_at)(j, node, slot, &value);
	if (found)
		return RENDER_NAME(put_value)(j, p, found, value);
	return j->fault ? NULL : RENDER_NAME(put_null)(p);
}

/* A member with its literal, if it has a value. */
RENDER_TARGET static uint8_t *RENDER_NAME(put_option)(struct job *j, uint8_t *p, uint32_t node, uint32_t slot, struct slice literal)
{
	uint32_t value = 0; /* literal: an edge's or a plan's */
	struct cursor *found = RENDER_NAME(scalar_at)(j, node, slot, &value);
	if (!found)
		return j->fault ? NULL : p;
	p = RENDER_NAME(put_literal)(j, p, literal.data, literal.len);
	return p ? RENDER_NAME(put_value)(j, p, found, value) : NULL;
}

/* The elements of a list at `slot`: *ret_first is NO_SLOT and the count 0 if there is no list. */
RENDER_TARGET static inline bool RENDER_NAME(list_at)(struct job *j, struct cursor *list, uint32_t slot, uint32_t *ret_first, uint32_t *ret_count)
{
	uint32_t value;
	*ret_first = NO_SLOT;
	*ret_count = 0;
	if (!RENDER_NAME(cursor_at)(j, list, slot, &value))
		return true;
	if (value >= list->values)
		return render_fault(j, "a list column has no lengths") != NULL;
	*ret_first = list->offsets[value];
	*ret_count = list->offsets[value + 1] - *ret_first;
	return true;
}

#define LITERAL(lit, n)                                                                                                                                \
	do {                                                                                                                                           \
		size_t n_ = (n);                                                                                                                       \
		if (__builtin_expect((size_t)(j->end - p) < n_ + RENDER_SLACK, 0) && !(p = render_room(j, p, n_ + RENDER_SLACK)))                      \
			return NULL;                                                                                                                   \
		p = RENDER_NAME(put_padded)(p, lit, n_);                                                                                               \
	} while (0)

#define VALUE(kind, put)                                                                                                                               \
	case kind:                                                                                                                                     \
		p = RENDER_NAME(cursor_at)(j, op->cursor, reg[op->from], &value) ? RENDER_NAME(put)(j, p, op->cursor, value) : RENDER_NAME(put_null)(p); \
		break;

#define EMPTY_LIST "a list is missing or empty where the shape has elements"
#define FULL_LIST "a list has elements where the shape has none"
#define OTHER_LENGTH "a list has another length than the shape says"

/* The members that the row has, of the OP_OPTIONs behind an OP_CHOICE. */
RENDER_TARGET static inline uint8_t *RENDER_NAME(put_choice)(struct job *j, uint8_t *p, const struct plan *plan, const struct op *op, uint32_t slot)
{
	struct choice *c = op->choice;
	if (slot == NO_SLOT)
		return p;
	bool known = c->word == slot / 64 && c->turn == j->r->turn && c->asked > CHOICE_ALONE;
	for (uint64_t bits = known ? c->rows[slot % 64] : choice_find(j->r, c, slot); bits; bits &= bits - 1) {
		const struct op *member = op + 1 + __builtin_ctzll(bits);
		struct cursor *column = member->cursor;
		uint32_t value = column->present ? RENDER_NAME(rank_at)(column, slot) : slot;
		LITERAL(plan->lits + member->sep, member->sep_len);
		if (member->to == OP_STRING)
			p = RENDER_NAME(put_string)(j, p, column, value);
		else if (member->to == OP_INT)
			p = RENDER_NAME(put_int)(j, p, column, value);
		else
			p = RENDER_NAME(put_value)(j, p, column, value);
		if (__builtin_expect(!p, 0))
			return NULL;
	}
	return p;
}

RENDER_TARGET uint8_t *RENDER_NAME(plan_run)(struct job *j, const struct plan *plan, uint8_t *p)
{
	uint32_t reg[REGISTERS], end[REGISTERS], value, first, count;
	reg[0] = j->row;
	for (const struct op *op = plan->ops;; op++) {
		LITERAL(plan->lits + op->lit, op->lit_len);
		switch ((enum op_kind)op->kind) {
			VALUE(OP_VALUE, put_value)
			VALUE(OP_STRING, put_string)
			VALUE(OP_INT, put_int)
			VALUE(OP_DECIMAL, put_decimal)
		case OP_SIBLINGS:
			p = RENDER_NAME(put_scalar)(j, p, op->arg, reg[op->from]);
			break;
		case OP_OBJECT:
			reg[op->to] = RENDER_NAME(cursor_at)(j, op->cursor, reg[op->from], &value) ? value : NO_SLOT;
			break;
		case OP_LOOP:
			if (!RENDER_NAME(list_at)(j, op->cursor, reg[op->from], &first, &count))
				return NULL;
			if (!count)
				return render_fault(j, EMPTY_LIST);
			reg[op->to] = first;
			end[op->to] = first + count;
			break;
		case OP_NEXT:
			if (++reg[op->to] < end[op->to]) {
				LITERAL(plan->lits + op->sep, op->sep_len);
				op = plan->ops + op->arg - 1;
			}
			break;
		case OP_MIXED:
			if (!RENDER_NAME(list_at)(j, op->cursor, reg[op->from], &first, &count))
				return NULL;
			if (first != NO_SLOT && count != op->arg)
				return render_fault(j, OTHER_LENGTH);
			reg[op->to] = first;
			break;
		case OP_ELEMENT:
			reg[op->to] = reg[op->from] == NO_SLOT ? NO_SLOT : reg[op->from] + op->arg;
			break;
		case OP_EMPTY:
			if (!RENDER_NAME(list_at)(j, op->cursor, reg[op->from], &first, &count))
				return NULL;
			if (count)
				return render_fault(j, FULL_LIST);
			break;
		case OP_CHOICE:
			p = RENDER_NAME(put_choice)(j, p, plan, op, reg[op->from]);
			op += op->arg;
			break;
		case OP_OPTION:
			break; /* they are skipped */
		case OP_OPTIONS:
			p = RENDER_NAME(put_option)(j, p, op->arg, reg[op->from], slice_of(plan->lits + op->sep, op->sep_len));
			break;
		case OP_REST:
			p = RENDER_NAME(put_rest)(j, p, shape_edge_at(j->space->keys, op->arg));
			break;
		case OP_END:
			return p;
		}
		if (__builtin_expect(!p, 0))
			return NULL;
	}
}

/* ---- walking ---- */

RENDER_TARGET static inline const struct shape_edge *RENDER_NAME(next_edge)(struct job *j)
{
	uint64_t id;
	if (j->pos < j->shape.len && j->shape.data[j->pos] < 0x80) {
		id = j->shape.data[j->pos++];
	} else if (!slice_varint(j->shape, &j->pos, &id)) {
		render_fault(j, "its shape is cut off");
		return NULL;
	}
	if (id >= shape_edge_count(j->space->keys)) {
		render_fault(j, "its shape names an edge that the key table does not have");
		return NULL;
	}
	return shape_edge_at(j->space->keys, (uint32_t)id);
}

RENDER_TARGET static uint8_t *RENDER_NAME(walk_value)(struct job *j, uint8_t *p, uint32_t node, uint8_t class, uint32_t slot);

RENDER_TARGET static uint8_t *RENDER_NAME(walk_options)(struct job *j, uint8_t *p, const struct shape_edge *e, uint32_t slot)
{
	struct slice numbers = slice_of(e->lit, e->len);
	size_t pos = 0;
	uint64_t id;
	while (p && slice_varint(numbers, &pos, &id)) {
		const struct shape_edge *member = shape_edge_at(j->space->keys, (uint32_t)id);
		p = RENDER_NAME(put_option)(j, p, member->to, slot, slice_of(member->lit, member->len));
	}
	return p;
}

RENDER_TARGET static uint8_t *RENDER_NAME(walk_object)(struct job *j, uint8_t *p, uint32_t node, uint32_t slot)
{
	uint32_t members = slot; /* the top level is the row itself */
	if (node != SHAPE_ROOT_NODE && !RENDER_NAME(cursor_at)(j, j->space->nodes[node].object, slot, &members))
		members = NO_SLOT;
	while (p) {
		const struct shape_edge *e = RENDER_NAME(next_edge)(j);
		if (!e)
			return NULL;
		if (e->from != node || (e->kind != EDGE_REST && e->kind != EDGE_END && e->kind != EDGE_MEMBER && e->kind != EDGE_OPTIONS))
			return render_fault(j, SHAPE_MISFIT);
		if (e->kind == EDGE_OPTIONS) {
			p = RENDER_NAME(walk_options)(j, p, e, members);
			continue;
		}
		if (e->kind == EDGE_REST) {
			p = RENDER_NAME(put_rest)(j, p, e);
			continue;
		}
		p = RENDER_NAME(put_literal)(j, p, e->lit, e->len);
		if (!p || e->kind == EDGE_END)
			return p;
		p = RENDER_NAME(walk_value)(j, p, e->to, e->class, members);
	}
	return NULL;
}

RENDER_TARGET static uint8_t *RENDER_NAME(walk_uniform)(struct job *j, uint8_t *p, const struct shape_edge *e, uint32_t first, uint32_t count)
{
	size_t body = j->pos;
	if (!count)
		return render_fault(j, EMPTY_LIST);
	for (uint32_t i = 0; i < count && p; i++) {
		j->pos = body;
		p = RENDER_NAME(put_literal)(j, p, e->lit + (i ? e->len : 0), i ? e->sep : e->len);
		if (p)
			p = RENDER_NAME(walk_value)(j, p, e->to, e->class, first + i);
	}
	return p ? RENDER_NAME(put_literal)(j, p, e->lit + e->len + e->sep, e->close) : NULL;
}

RENDER_TARGET static uint8_t *RENDER_NAME(walk_mixed)(struct job *j, uint8_t *p, uint32_t node, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; p; i++) {
		const struct shape_edge *e = RENDER_NAME(next_edge)(j);
		if (!e)
			return NULL;
		if (e->from != node || (e->kind != EDGE_END && e->kind != EDGE_ELEMENT))
			return render_fault(j, SHAPE_MISFIT);
		if (first != NO_SLOT && (e->kind == EDGE_END ? i != count : i >= count))
			return render_fault(j, OTHER_LENGTH);
		p = RENDER_NAME(put_literal)(j, p, e->lit, e->len);
		if (!p || e->kind == EDGE_END)
			return p;
		p = RENDER_NAME(walk_value)(j, p, e->to, e->class, first == NO_SLOT ? NO_SLOT : first + i);
	}
	return NULL;
}

RENDER_TARGET static uint8_t *RENDER_NAME(walk_array)(struct job *j, uint8_t *p, uint32_t node, uint32_t slot)
{
	uint32_t first, count;
	if (!RENDER_NAME(list_at)(j, j->space->nodes[node].list, slot, &first, &count))
		return NULL;
	const struct shape_edge *e = RENDER_NAME(next_edge)(j);
	if (!e)
		return NULL;
	if (e->from == node && e->kind == EDGE_END)
		return count ? render_fault(j, FULL_LIST) : RENDER_NAME(put_literal)(j, p, e->lit, e->len);
	if (e->from == node && e->kind == EDGE_UNIFORM)
		return RENDER_NAME(walk_uniform)(j, p, e, first, count);
	if (e->from == node && e->kind == EDGE_MIXED)
		return RENDER_NAME(walk_mixed)(j, p, node, first, count);
	return render_fault(j, SHAPE_MISFIT);
}

/* Recursion: nodes are at most SHAPE_DEPTH_MAX deep. */
RENDER_TARGET static uint8_t *RENDER_NAME(walk_value)(struct job *j, uint8_t *p, uint32_t node, uint8_t class, uint32_t slot)
{
	switch (class) {
	case CLASS_SCALAR:
		return RENDER_NAME(put_scalar)(j, p, node, slot);
	case CLASS_OBJECT:
		return RENDER_NAME(walk_object)(j, p, node, slot);
	default:
		return RENDER_NAME(walk_array)(j, p, node, slot);
	}
}

RENDER_TARGET uint8_t *RENDER_NAME(shape_walk)(struct job *j, uint8_t *p)
{
	const struct shape_edge *e = RENDER_NAME(next_edge)(j);
	if (!e)
		return NULL;
	if (e->kind != EDGE_ROOT)
		return render_fault(j, "its shape does not start at the root");
	p = RENDER_NAME(walk_value)(j, p, SHAPE_ROOT_NODE, e->class, j->row);
	if (p && j->pos != j->shape.len)
		return render_fault(j, "its shape goes on behind the end");
	return p;
}

#undef LITERAL
#undef VALUE
#undef CHECK_VALUE
#undef EMPTY_LIST
#undef FULL_LIST
#undef OTHER_LENGTH
