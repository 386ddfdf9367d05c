/* The direct way's inner loops, included once for each instruction set by fast.c with
 *   FAST_NAME(x)  x with the set's suffix
 *   FAST_TARGET   function attribute
 *   FAST_AVX2     1 or 0
 * Each function gets p inside the payload and returns where it stopped, or NULL: left to the tape. Reads go at most EVENT_PAD bytes
 * behind the payload: loops look at p < end before each load of 32. No guard: it is a template. */

/* Bit i: byte i of the 32 at p equals that at q. */
FAST_TARGET static inline uint32_t FAST_NAME(equal_32)(const uint8_t *p, const uint8_t *q)
{
#if FAST_AVX2
	__m256i a = _mm256_loadu_si256((const __m256i *)p), b = _mm256_loadu_si256((const __m256i *)q);
	return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b));
#elif defined(__SSE2__)
	__m128i a = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)p), _mm_loadu_si128((const __m128i *)q));
	__m128i b = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(p + 16)), _mm_loadu_si128((const __m128i *)(q + 16)));
	return (uint32_t)_mm_movemask_epi8(a) | (uint32_t)_mm_movemask_epi8(b) << 16;
#else
	uint32_t m = 0;
	for (int i = 0; i < 32; i++)
		m |= (uint32_t)(p[i] == q[i]) << i;
	return m;
#endif
}

/* Copies 32 bytes from p to d. Bit i: byte i is a control, quote, backslash; *ret_high: or beyond ASCII. */
FAST_TARGET static inline uint32_t FAST_NAME(copy_32)(uint8_t *d, const uint8_t *p, uint32_t *ret_high)
{
#if FAST_AVX2
	const __m256i *stops = fast_stops;
	__asm__("" : "+r"(stops)); /* as operands in memory: the compiler would build all three anew for each string */
	__m256i v = _mm256_loadu_si256((const __m256i *)p);
	_mm256_storeu_si256((__m256i *)d, v);
	__m256i hit = _mm256_or_si256(_mm256_cmpeq_epi8(v, stops[0]), _mm256_cmpeq_epi8(v, stops[1]));
	hit = _mm256_or_si256(hit, _mm256_cmpeq_epi8(_mm256_min_epu8(v, stops[2]), v));
	*ret_high = (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(hit, v));
	return (uint32_t)_mm256_movemask_epi8(hit);
#elif defined(__SSE2__)
	uint32_t m = 0, high = 0;
	for (int i = 0; i < 2; i++) {
		__m128i v = _mm_loadu_si128((const __m128i *)(p + 16 * i));
		_mm_storeu_si128((__m128i *)(d + 16 * i), v);
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
		hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v));
		m |= (uint32_t)_mm_movemask_epi8(hit) << 16 * i;
		high |= (uint32_t)_mm_movemask_epi8(_mm_or_si128(hit, v)) << 16 * i;
	}
	*ret_high = high;
	return m;
#else
	uint32_t m = 0, high = 0;
	memcpy(d, p, 32);
	for (int i = 0; i < 32; i++) {
		m |= (uint32_t)(p[i] < 0x20 || p[i] == '"' || p[i] == '\\') << i;
		high |= (uint32_t)(p[i] >= 0x80) << i;
	}
	*ret_high = m | high;
	return m;
#endif
}

FAST_TARGET static inline bool FAST_NAME(literal_is)(const uint8_t *p, const uint8_t *end, const struct shape_edge *e)
{
	uint32_t n = e->len;
	if (~FAST_NAME(equal_32)(p, e->head) & e->mask)
		return false;
	return __builtin_expect(n <= 32, 1) || (p < end && n <= (size_t)(end - p) && memcmp(p + 32, e->lit + 32, n - 32) == 0);
}

/* p: behind the opening quote. The string as the value of slot in c. */
FAST_TARGET static inline const uint8_t *FAST_NAME(put_string)(struct row *r, struct column *c, uint32_t slot, const uint8_t *p)
{
	struct buf *data = &c->data;
	const uint8_t *from = p, *end = r->end;
	size_t start = data->len, len = start;
	bool high = false;
	for (;;) {
		if (__builtin_expect(data->cap - len < 32, 0)) {
			data->len = len; /* what is there moves */
			bool grown = buf_reserve(data, 32);
			data->len = start;
			if (!grown)
				return NULL;
		}
		uint32_t with_high, m = FAST_NAME(copy_32)(data->data + len, p, &with_high);
		if (!m) {
			high |= with_high != 0;
			p += 32;
			len += 32;
			if (__builtin_expect(p >= end, 0))
				return NULL;
			continue;
		}
		unsigned n = (unsigned)__builtin_ctz(m);
		high |= (with_high & ((m & -m) - 1)) != 0;
		p += n;
		len += n;
		if (__builtin_expect(*p == '"', 1))
			break;
		p = fast_escaped(r, data, from); /* an escape, or a control character */
		if (!p)
			return NULL;
		len = data->len;
		high = false;
		break;
	}
	if (high && !r->trusted && !json_utf8_valid(slice_of(from, (size_t)(p - from)), NULL))
		return NULL;
	data->len = len;
	uint32_t i = fast_mark(r, c, slot);
	if (__builtin_expect((size_t)i + 2 > c->offsets_cap, 0))
		column_grow_offsets(c);
	c->offsets[i + 1] = (uint32_t)len;
	return p + 1;
}

/* Digits at p, at most 8, and their value: all of them in one go, so that their number costs no branch. */
FAST_TARGET static inline struct fast_digits FAST_NAME(digits)(const uint8_t *p)
{
	uint64_t w;
	memcpy(&w, p, 8);
	w ^= 0x3030303030303030u;
	uint64_t other = ((w + 0x7676767676767676u) | w) & 0x8080808080808080u; /* exact for the first that is no digit */
	unsigned n = other ? (unsigned)__builtin_ctzll(other) >> 3 : 8;
	if (!n)
		return (struct fast_digits){ 0, 0 };
	w <<= (8 - n) * 8;
	w = w * 10 + (w >> 8);
	w = ((w & 0x000000ff000000ffu) * 0x000f424000000064u + ((w >> 16) & 0x000000ff000000ffu) * 0x0000271000000001u) >> 32;
	return (struct fast_digits){ w, n };
}

FAST_TARGET static const uint8_t *FAST_NAME(put_number)(struct row *r, const struct bind *b, struct column *parent, uint32_t slot, const uint8_t *p)
{
	bool minus = *p == '-';
	const uint8_t *q = p + minus;
	struct fast_digits whole = FAST_NAME(digits)(q), part = { 0, 0 };
	if (__builtin_expect(whole.n == 8, 0)) {
		part = FAST_NAME(digits)(q + 8);
		whole.value = whole.value * fast_tens[part.n] + part.value;
		whole.n += part.n;
	}
	if (whole.n - 1 >= 15 || (*q == '0' && whole.n > 1))
		return fast_odd_number(r, b, parent, slot, p);
	q += whole.n;
	if (*q == '.') {
		part = FAST_NAME(digits)(q + 1);
		uint64_t w = whole.value * fast_tens[part.n] + part.value;
		q += 1 + part.n;
		if (part.n != b->scale || !part.n || whole.n + part.n > 18 || (w == 0 && minus) || (uint8_t)(*q - '0') < 10 ||
		    (*q | 0x20) == 'e' || b->child[PLACE_DECIMAL] == NO_CHILD)
			return fast_odd_number(r, b, parent, slot, p);
		fast_put_eight(r, &parent->children[b->child[PLACE_DECIMAL]], slot, minus ? -w : w);
		return q;
	}
	if ((*q | 0x20) == 'e' || (minus && !whole.value) || b->int_to_double || b->child[PLACE_INT] == NO_CHILD)
		return fast_odd_number(r, b, parent, slot, p);
	fast_put_eight(r, &parent->children[b->child[PLACE_INT]], slot, minus ? -whole.value : whole.value);
	fast_count_conflict(r, b, PLACE_INT);
	return q;
}

/* A time that its column takes, else a string. p: the opening quote. */
FAST_TARGET static __attribute__((noinline)) const uint8_t *FAST_NAME(put_time)(struct row *r, const struct bind *b, struct column *parent,
										  uint32_t slot, const uint8_t *p)
{
	const uint8_t *close = b->time_len ? p + 1 + b->time_len : memchr(p + 1, '"', JSON_TIME_CHARS + 1);
	int64_t us;
	if (close && *close == '"' && json_time_parse_near(slice_of(p + 1, (size_t)(close - p - 1)), b->time_format, &r->minute, &us)) {
		fast_put_eight(r, &parent->children[b->child[PLACE_TIME]], slot, (uint64_t)us);
		return close + 1;
	}
	if (b->child[PLACE_STRING] == NO_CHILD)
		return NULL;
	fast_count_conflict(r, b, PLACE_STRING);
	return FAST_NAME(put_string)(r, &parent->children[b->child[PLACE_STRING]], slot, p + 1);
}

FAST_TARGET static const uint8_t *FAST_NAME(put_word)(struct row *r, const struct bind *b, struct column *parent, uint32_t slot, const uint8_t *p)
{
	if (memcmp(p, "null", 4) == 0) {
		r->nulls++;
		return p + 4;
	}
	bool yes = memcmp(p, "true", 4) == 0;
	if ((!yes && memcmp(p, "false", 5) != 0) || b->child[PLACE_BOOL] == NO_CHILD)
		return NULL;
	struct column *c = &parent->children[b->child[PLACE_BOOL]];
	fast_mark(r, c, slot);
	buf_byte(&c->data, yes);
	fast_count_conflict(r, b, PLACE_BOOL);
	return p + (yes ? 4 : 5);
}

FAST_TARGET static inline const uint8_t *FAST_NAME(put_scalar)(struct row *r, const struct bind *b, struct column *parent, uint32_t slot,
							       const uint8_t *p)
{
	if (*p == '"') {
		if (__builtin_expect(b->child[PLACE_TIME] != NO_CHILD, 0))
			return FAST_NAME(put_time)(r, b, parent, slot, p);
		if (__builtin_expect(b->child[PLACE_STRING] == NO_CHILD, 0))
			return NULL;
		fast_count_conflict(r, b, PLACE_STRING);
		return FAST_NAME(put_string)(r, &parent->children[b->child[PLACE_STRING]], slot, p + 1);
	}
	if (*p == '-' || (uint8_t)(*p - '0') < 10)
		return FAST_NAME(put_number)(r, b, parent, slot, p);
	return FAST_NAME(put_word)(r, b, parent, slot, p);
}

FAST_TARGET static inline bool FAST_NAME(edge_fits)(const struct shape_edge *e, uint32_t node, const uint8_t *p, const uint8_t *end)
{
	/* Successors are members, whose class must be the next byte's, and ends. */
	return e->from == node && FAST_NAME(literal_is)(p, end, e) && !((parse_classes[p[e->len]] ^ e->class) & e->class_mask);
}

/* The step that the edge before foretells; NULL: none of its successors fits. */
FAST_TARGET static inline const struct shape_edge *FAST_NAME(predicted)(struct shredder *s, uint32_t node, const uint8_t *p, uint32_t *ret_edge)
{
	const struct row *r = &s->row;
	const struct shape_edge *prev = &r->edges[r->prev];
	uint32_t id = prev->next[0];
	if (__builtin_expect(id != SHAPE_NONE, 1)) {
		*ret_edge = id;
		if (__builtin_expect(FAST_NAME(edge_fits)(&r->edges[id], node, p, r->end), 1))
			return &r->edges[id];
	}
	*ret_edge = id = *fast_step_slot(s, node, p);
	if (id != SHAPE_NONE && FAST_NAME(edge_fits)(&r->edges[id], node, p, r->end))
		return &r->edges[id];
	for (int i = 1; i < SHAPE_SUCCESSORS; i++) {
		id = prev->next[i];
		if (id == SHAPE_NONE)
			return NULL;
		*ret_edge = id;
		if (FAST_NAME(edge_fits)(&r->edges[id], node, p, r->end))
			return &r->edges[id];
	}
	return NULL;
}

FAST_TARGET static const uint8_t *FAST_NAME(put_array)(struct shredder *s, uint32_t node, struct column *parent, uint32_t slot, const uint8_t *p);

/* ---- plain members: most values, with all that they share in registers ---- */

/* Room for one more value in c at slot, and 32 bytes of it. Where there is none the way that grows columns takes the member. */
FAST_TARGET static inline bool FAST_NAME(has_room)(const struct column *c, uint32_t slot)
{
	return slot >> 6 < c->present_cap && c->data.cap - c->data.len >= 32;
}

FAST_TARGET static inline uint32_t FAST_NAME(plain_mark)(struct column *c, uint32_t slot)
{
	c->present[slot >> 6] |= (uint64_t)1 << (slot & 63);
	c->slots = slot + 1;
	return c->values++;
}

/* p: behind the opening quote. NULL: nothing was done. */
FAST_TARGET static inline const uint8_t *FAST_NAME(plain_string)(const struct row *r, struct column *c, uint32_t slot, const uint8_t *p)
{
	const uint8_t *from = p;
	if (!FAST_NAME(has_room)(c, slot) || (size_t)c->values + 2 > c->offsets_cap)
		return NULL;
	uint8_t *to = c->data.data + c->data.len;
	uint32_t with_high, m = FAST_NAME(copy_32)(to, p, &with_high), high = 0;
	while (__builtin_expect(!m, 0)) {
		high |= with_high;
		p += 32;
		to += 32;
		if (p >= r->end || (size_t)(c->data.data + c->data.cap - to) < 32)
			return NULL;
		m = FAST_NAME(copy_32)(to, p, &with_high);
	}
	unsigned n = (unsigned)__builtin_ctz(m);
	high |= with_high & (m ^ (m - 1)) >> 1;
	p += n;
	if (__builtin_expect(*p != '"', 0))
		return NULL;
	if (__builtin_expect(high, 0) && !r->trusted && !json_utf8_valid(slice_of(from, (size_t)(p - from)), NULL))
		return NULL;
	c->data.len += (size_t)(p - from);
	c->offsets[FAST_NAME(plain_mark)(c, slot) + 1] = (uint32_t)c->data.len;
	return p + 1;
}

/* An integer or decimal as its column has it, at p, whose digits are as foretold. NULL: nothing was done. */
FAST_TARGET static inline const uint8_t *FAST_NAME(plain_number)(const struct bind *b, struct column *columns, uint32_t slot, const uint8_t *p,
								 struct column **ret)
{
	bool minus = *p == '-';
	const uint8_t *q = p + minus;
	struct fast_digits whole = FAST_NAME(digits)(q), part;
	uint8_t plain = PLAIN_INT;
	enum place place = PLACE_INT;
	if (__builtin_expect(whole.n == 8, 0)) { /* ids */
		part = FAST_NAME(digits)(q + 8);
		whole.value = whole.value * fast_tens[part.n] + part.value;
		whole.n += part.n;
	}
	uint64_t value = whole.value;
	if (__builtin_expect(whole.n - 1 >= 15 || (*q == '0' && whole.n > 1), 0))
		return NULL;
	q += whole.n;
	if (*q == '.') {
		part = FAST_NAME(digits)(q + 1);
		q += 1 + part.n;
		if (part.n != b->scale || !part.n || whole.n + part.n > 18 || (uint8_t)(*q - '0') < 10)
			return NULL;
		value = value * fast_tens[part.n] + part.value;
		plain = PLAIN_DECIMAL;
		place = PLACE_DECIMAL;
	}
	if (!(b->plain & plain) || (*q | 0x20) == 'e' || (minus && !value))
		return NULL;
	struct column *c = &columns[b->child[place]];
	if (!FAST_NAME(has_room)(c, slot))
		return NULL;
	value = minus ? -value : value;
	memcpy(c->data.data + c->data.len, &value, 8);
	c->data.len += 8;
	FAST_NAME(plain_mark)(c, slot);
	*ret = c;
	return q;
}

/* A time of its column's format, all of whose texts have one length. p: behind the opening quote. NULL: nothing was done. */
FAST_TARGET static inline const uint8_t *FAST_NAME(plain_time)(struct row *r, const struct bind *b, struct column *columns, uint32_t slot,
							       const uint8_t *p, struct column **ret)
{
	struct column *c = *ret = &columns[b->child[PLACE_TIME]];
	int64_t us;
	if (p[b->time_len] != '"' || !FAST_NAME(has_room)(c, slot) ||
	    !json_time_parse_near(slice_of(p, b->time_len), b->time_format, &r->minute, &us))
		return NULL;
	memcpy(c->data.data + c->data.len, &us, 8);
	c->data.len += 8;
	FAST_NAME(plain_mark)(c, slot);
	return p + b->time_len + 1;
}

/* The value at p of a member of b, whose columns stand in `columns`; *ret: where it went. NULL: nothing was done. */
FAST_TARGET static inline const uint8_t *FAST_NAME(plain_value)(struct row *r, const struct bind *b, struct column *columns, uint32_t slot,
								const uint8_t *p, struct column **ret)
{
	if (*p == '"') {
		if (b->plain & PLAIN_TIME)
			return FAST_NAME(plain_time)(r, b, columns, slot, p + 1, ret);
		if (!(b->plain & PLAIN_STRING))
			return NULL;
		*ret = &columns[b->child[PLACE_STRING]];
		return FAST_NAME(plain_string)(r, *ret, slot, p + 1);
	}
	if (*p <= '9')
		return FAST_NAME(plain_number)(b, columns, slot, p, ret);
	bool yes = memcmp(p, "true", 4) == 0;
	if (!(b->plain & PLAIN_BOOL) || !(yes || memcmp(p, "false", 5) == 0))
		return NULL;
	struct column *c = &columns[b->child[PLACE_BOOL]];
	if (!FAST_NAME(has_room)(c, slot))
		return NULL;
	c->data.data[c->data.len++] = yes;
	FAST_NAME(plain_mark)(c, slot);
	*ret = c;
	return p + (yes ? 4 : 5);
}

/* The members from p on, as long as they are foretold and plain. Stops before the first that is not, with everything as if put_object
 * had done them. begin: the object's opening brace. */
FAST_TARGET static inline const uint8_t *FAST_NAME(put_plain)(struct shredder *s, uint32_t node, struct column *own, uint32_t slot,
						       uint64_t instance, const uint8_t *begin, const uint8_t *p)
{
	struct row *r = &s->row;
	const struct shape_edge *edges = r->edges, *prev = &edges[r->prev];
	if (!own || prev->next[0] == SHAPE_NONE || !edges[prev->next[0]].plain)
		return p;
	struct column *columns = own->children;
	uint8_t place = p == begin ? SHAPE_PLAIN_FIRST : SHAPE_PLAIN_NEXT;
	uint8_t *shape = r->shape.data + r->shape.len;
	struct column **touched = r->touched + r->touched_count;
	for (;;) {
		uint32_t id = prev->next[0];
		if (__builtin_expect(id == SHAPE_NONE, 0))
			break;
		const struct shape_edge *e = &edges[id];
		const uint8_t *value = p + e->len;
		if (e->plain != place || e->from != node || ~FAST_NAME(equal_32)(p, e->head) & e->mask || value >= r->end)
			break;
		struct bind *b = &s->binds[e->to];
		if (b->stamp == instance)
			break;
		if (*value == 'n') {
			if (memcmp(value, "null", 4) != 0 || !(b->plain & PLAIN_NULL))
				break;
			r->nulls++;
			p = value + 4;
		} else {
			const uint8_t *behind = FAST_NAME(plain_value)(r, b, columns, slot, value, touched);
			if (!behind)
				break;
			touched++;
			p = behind;
		}
		b->stamp = instance;
		place = SHAPE_PLAIN_NEXT;
		shape = shape_put_edge(shape, id);
		r->prev = id;
		prev = e;
	}
	r->shape.len = (size_t)(shape - r->shape.data);
	r->touched_count = (uint32_t)(touched - r->touched);
	return p;
}

/* p: the opening brace. own: its struct column, NULL if it has none; instance: its value there. Recursion: nodes are at most
 * SHAPE_DEPTH_MAX deep. */
FAST_TARGET static const uint8_t *FAST_NAME(put_object)(struct shredder *s, uint32_t node, struct column *own, uint32_t slot, const uint8_t *p)
{
	struct row *r = &s->row;
	uint64_t instance = ++s->instances;
	const uint8_t *begin = p;
	for (;;) {
		uint32_t edge, to;
		uint8_t class;
		p = FAST_NAME(put_plain)(s, node, own, slot, instance, begin, p);
		size_t at = r->shape.len;
		const uint8_t *from = p;
		if (__builtin_expect(*p == '{' && p != begin, 0))
			return NULL; /* what opens an object may be foretold behind a first member that went to __rest */
		const struct shape_edge *e = FAST_NAME(predicted)(s, node, p, &edge);
		if (__builtin_expect(e != NULL, 1)) {
			p += e->len;
			class = e->class;
			to = e->to;
			r->prev = edge;
			fast_emit(r, edge);
			if (__builtin_expect(p >= r->end, 0))
				return e->kind == EDGE_END && p == r->end ? p : NULL;
			if (e->kind == EDGE_END)
				return p;
		} else {
			const uint8_t *behind = fast_rest_again(s, node, p == begin, p);
			if (behind) {
				p = behind;
				continue;
			}
			struct step st = fast_step(s, node, p == begin, p);
			if (st.edge == SHAPE_NONE) {
				p = fast_rest(s, node, p, &st);
				if (!p)
					return NULL;
				continue;
			}
			p = r->p;
			class = st.class;
			to = st.to;
			fast_emit(r, st.edge);
			if (st.end)
				return p;
		}
		struct bind *b = &s->binds[to];
		if (__builtin_expect(b->stamp == instance, 0))
			return NULL; /* a duplicate key */
		b->stamp = instance;
		const uint8_t *value = p;
		if (class == CLASS_SCALAR) {
			p = FAST_NAME(put_scalar)(r, b, own, slot, p);
			if (__builtin_expect(!p, 0))
				p = fast_keep_number(s, node, b, own, slot, at, from, value);
		} else if (__builtin_expect(b->child[PLACE_JSON] != NO_CHILD, 0) && p[1] != '}' && p[1] != ']' && !fast_is_typed(s, b, class, p)) {
			p = fast_json(s, to, own, slot, at, p);
		} else if (class == CLASS_OBJECT) {
			uint32_t child = b->child[PLACE_OBJECT];
			struct column *c = child == NO_CHILD ? NULL : &own->children[child];
			if (!c && b->deep && p[1] != '}')
				return NULL;
			fast_count_conflict(r, b, PLACE_OBJECT);
			p = FAST_NAME(put_object)(s, to, c, c ? fast_mark(r, c, slot) : 0, p);
		} else {
			p = FAST_NAME(put_array)(s, to, own, slot, p);
		}
		if (__builtin_expect(!p, 0))
			return NULL;
		if (__builtin_expect(b->event_time, 0))
			r->time = slice_of(value, (size_t)(p - value));
	}
}

FAST_TARGET static inline const uint8_t *FAST_NAME(put_element)(struct shredder *s, uint32_t element, uint8_t class, struct column *list,
								const uint8_t *p)
{
	struct row *r = &s->row;
	uint32_t i = column_list_extend(list), child;
	switch (class) {
	case CLASS_SCALAR:
		return FAST_NAME(put_scalar)(r, &s->binds[element], list, i, p);
	case CLASS_OBJECT:
		child = s->binds[element].child[PLACE_OBJECT];
		if (child == NO_CHILD)
			return NULL;
		return FAST_NAME(put_object)(s, element, &list->children[child], fast_mark(r, &list->children[child], i), p);
	case CLASS_ARRAY:
		return FAST_NAME(put_array)(s, element, list, i, p);
	default:
		return NULL;
	}
}

/* The elements behind one whose skeleton was another than the first's: they stand in the shape one by one. p: behind that one. */
FAST_TARGET static const uint8_t *FAST_NAME(put_mixed)(struct shredder *s, uint32_t node, struct column *list, const uint8_t *p)
{
	struct row *r = &s->row;
	const struct bind *b = &s->binds[node];
	for (;;) {
		const uint8_t *from = p;
		p = json_space(p, r->end);
		bool end = *p == ']';
		if (p >= r->end || (!end && *p != ','))
			return NULL;
		p = end ? p + 1 : json_space(p + 1, r->end);
		if (p >= r->end)
			return NULL;
		uint8_t class = end ? CLASS_SCALAR : parse_classes[*p];
		uint32_t edge = fast_mixed_edge(s, node, end ? MIXED_END : MIXED_NEXT, class, slice_of(from, (size_t)(p - from)));
		if (edge == SHAPE_NONE)
			return NULL;
		fast_emit(r, edge);
		r->prev = end ? edge : b->uniform;
		if (end)
			return p;
		p = FAST_NAME(put_element)(s, b->element, class, list, p);
		if (!p)
			return NULL;
	}
}

/* p: the opening bracket. As long as all elements have the skeleton that the shape holds once, there is nothing to look up. */
FAST_TARGET static const uint8_t *FAST_NAME(put_array)(struct shredder *s, uint32_t node, struct column *parent, uint32_t slot, const uint8_t *p)
{
	struct row *r = &s->row;
	const struct bind *b = &s->binds[node];
	struct column *list = b->child[PLACE_LIST] == NO_CHILD ? NULL : &parent->children[b->child[PLACE_LIST]];
	if (p[1] == ']' && b->empty != SHAPE_NONE) {
		if (list)
			fast_begin_list(r, list, slot);
		fast_emit(r, b->empty);
		r->prev = b->empty;
		return p + 2;
	}
	uint32_t uniform = b->uniform;
	if (!list || uniform == SHAPE_NONE || b->element == SHAPE_NONE)
		return NULL;
	const struct shape_edge e = r->edges[uniform];
	if (e.len + e.sep + e.close > 16 || memcmp(p, e.lit, e.len) != 0)
		return NULL;
	p += e.len;
	size_t start = r->shape.len, first_len = 0;
	fast_emit(r, uniform);
	fast_begin_list(r, list, slot);
	fast_count_conflict(r, b, PLACE_LIST);
	size_t body = r->shape.len;
	r->lists++;
	for (uint32_t count = 0;; count++) {
		size_t at = r->shape.len;
		if (p >= r->end || parse_classes[*p] != e.class)
			return NULL;
		r->prev = uniform;
		p = FAST_NAME(put_element)(s, b->element, e.class, list, p);
		if (!p || p >= r->end)
			return NULL;
		if (!count) {
			first_len = r->shape.len - at;
		} else if (r->shape.len - at == first_len && memcmp(r->shape.data + at, r->shape.data + body, first_len) == 0) {
			r->shape.len = at;
		} else {
			p = fast_turn_mixed(s, uniform, start, body, at, count) ? FAST_NAME(put_mixed)(s, node, list, p) : NULL;
			r->lists--;
			return p;
		}
		if (memcmp(p, e.lit + e.len, e.sep) == 0)
			p += e.sep;
		else if (memcmp(p, e.lit + e.len + e.sep, e.close) == 0)
			break;
		else
			return NULL;
	}
	r->lists--;
	r->prev = uniform;
	return p + e.close;
}

FAST_TARGET bool FAST_NAME(fast_row)(struct shredder *s, struct batch *b, struct slice payload)
{
	return FAST_NAME(put_object)(s, SHAPE_ROOT_NODE, &b->root, b->rows, payload.data) == payload.data + payload.len;
}
