#include "wal/format.h"

#include "os/file.h"

static void put_u32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static void put_u64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, 8);
}

static uint32_t header_crc(const uint8_t *h)
{
	return crc32c(crc32c(0, h, 12), h + 16, SEG_HEADER - 16);
}

void seg_header_write(const struct seg_header *h, uint8_t out[SEG_HEADER])
{
	memset(out, 0, SEG_HEADER);
	memcpy(out, "hydrwal\n", 8);
	put_u32(out + 8, SEG_VERSION);
	put_u64(out + 16, h->seq);
	put_u64(out + 24, h->epoch);
	memcpy(out + 32, h->id, WAL_ID_LEN);
	put_u64(out + 40, h->salt);
	put_u64(out + 48, h->first);
	put_u64(out + 56, h->prev_seq);
	put_u64(out + 64, h->prev_end);
	put_u64(out + 72, h->oldest);
	put_u64(out + 80, h->step);
	put_u64(out + 88, (uint64_t)h->made);
	put_u64(out + 96, h->flags);
	memcpy(out + 104, &h->name_len, 2);
	memcpy(out + 112, h->name, h->name_len);
	put_u32(out + 12, header_crc(out));
}

rc_t seg_header_parse(const uint8_t in[SEG_HEADER], struct seg_header *ret)
{
	if (memcmp(in, "hydrwal\n", 8) != 0 || get_u32(in + 12) != header_crc(in))
		return RC_CORRUPT;
	if (get_u32(in + 8) != SEG_VERSION)
		return RC_UNSUPPORTED;
	*ret = (struct seg_header){
		.seq = get_u64(in + 16), .epoch = get_u64(in + 24), .salt = get_u64(in + 40), .first = get_u64(in + 48),
		.prev_seq = get_u64(in + 56), .prev_end = get_u64(in + 64), .oldest = get_u64(in + 72), .step = get_u64(in + 80),
		.made = (int64_t)get_u64(in + 88), .flags = get_u64(in + 96),
	};
	memcpy(ret->id, in + 32, WAL_ID_LEN);
	memcpy(&ret->name_len, in + 104, 2);
	if (ret->name_len > REC_NAME_MAX)
		return RC_CORRUPT;
	memcpy(ret->name, in + 112, ret->name_len);
	/* The checksum holds, so these are what was written; the bounds keep a crafted file from being followed. */
	if (ret->first == 0 || ret->step < SEG_DATA * 2 || ret->step > ((uint64_t)1 << 30) || ret->prev_seq >= ret->seq)
		return RC_CORRUPT;
	return RC_OK;
}

uint32_t rec_magic(const struct seg_header *h)
{
	uint32_t m = (uint32_t)(h->salt ^ (h->salt >> 32)) ^ 0x4c415748u;
	return m ? m : 0x4c415748u; /* never the zeros of a written-out file */
}

static uint32_t head_crc(const struct seg_header *s, uint64_t offset, const uint8_t *head, size_t name_padded)
{
	uint64_t seed[3] = { s->salt, s->seq, offset };
	return crc32c(crc32c(0, seed, sizeof(seed)), head + 8, REC_HEAD - 8 + name_padded);
}

void rec_head_write(const struct seg_header *s, const struct rec_head *r, uint8_t *out)
{
	size_t name_padded = pad8(r->name_len);
	put_u32(out, rec_magic(s));
	put_u64(out + 8, r->first);
	put_u32(out + 16, r->count);
	memcpy(out + 20, &r->type, 2);
	memcpy(out + 22, &r->name_len, 2);
	put_u32(out + 24, r->body_len);
	put_u32(out + 28, r->body_crc);
	put_u64(out + 32, (uint64_t)r->received);
	put_u64(out + 40, r->durable);
	put_u32(out + 48, r->flags | (r->before_count ? (r->before_count - 1) << 8 : 0));
	put_u32(out + 52, r->before_size / 8);
	memset(out + REC_HEAD, 0, name_padded);
	memcpy(out + REC_HEAD, r->name, r->name_len);
	put_u32(out + 4, head_crc(s, r->offset, out, name_padded));
}

enum rec_state rec_head_parse(const struct seg_header *s, const uint8_t *in, size_t len, uint64_t offset, uint64_t limit,
			      struct rec_head *ret)
{
	ret->size = 0;
	if (len < 4)
		return REC_NONE;
	bool magic = get_u32(in) == rec_magic(s);
	enum rec_state bad = magic ? REC_ATTEMPT : REC_NONE;
	if (len < REC_HEAD)
		return bad;
	uint16_t type, name_len;
	memcpy(&type, in + 20, 2);
	memcpy(&name_len, in + 22, 2);
	if (name_len > REC_NAME_MAX || len < REC_HEAD + pad8(name_len))
		return bad;
	if (get_u32(in + 4) != head_crc(s, offset, in, pad8(name_len)))
		return bad;
	ret->first = get_u64(in + 8);
	ret->count = get_u32(in + 16);
	ret->type = type;
	ret->name_len = name_len;
	ret->body_len = get_u32(in + 24);
	ret->body_crc = get_u32(in + 28);
	ret->received = (int64_t)get_u64(in + 32);
	ret->durable = get_u64(in + 40);
	ret->flags = get_u32(in + 48) & 0xff;
	ret->before_size = get_u32(in + 52) * 8;
	ret->before_count = ret->before_size ? (get_u32(in + 48) >> 8) + 1 : 0;
	memcpy(ret->name, in + REC_HEAD, name_len);
	ret->offset = offset;
	ret->body = offset + REC_HEAD + pad8(name_len);
	ret->size = rec_size(name_len, ret->body_len);
	if (!magic) /* only the magic is damaged */
		return REC_ATTEMPT;
	if (ret->body_len > WAL_RECORD_MAX || ret->count > WAL_RECORD_EVENTS_MAX || (type == WAL_EVENTS) != (ret->count > 0) ||
	    ret->size > limit - offset)
		return REC_ATTEMPT;
	return REC_VALID;
}

void window_init(struct window *win, int fd, const char *path)
{
	*win = (struct window){ .fd = fd, .path = path };
}

void window_free(struct window *win)
{
	free(win->data);
	win->data = NULL;
	win->len = win->cap = 0;
}

void window_forget(struct window *win)
{
	win->len = 0;
}

rc_t window_get(struct window *win, uint64_t offset, size_t len, const uint8_t **ret, size_t *ret_len, struct err *reterr)
{
	if (win->len && offset >= win->offset && offset + len <= win->offset + win->len) {
		*ret = win->data + (offset - win->offset);
		*ret_len = len;
		return RC_OK;
	}
	if (win->stay)
		return RC_AGAIN;
	size_t want = len > WINDOW_CHUNK ? len : WINDOW_CHUNK;
	if (win->cap < want || (win->cap > 4 * WINDOW_CHUNK && want == WINDOW_CHUNK)) {
		free(win->data); /* grown for one big record: not kept */
		win->data = mem_alloc(want + EVENT_PAD);
		win->cap = want;
	}
	if (win->until > offset && want > win->until - offset)
		want = win->until - offset > len ? win->until - offset : len;
	size_t got = want;
	win->len = 0;
	rc_t rc = file_pread(win->fd, win->path, win->data, want, offset, &got, reterr);
	if (rc != RC_OK && rc != RC_EOF)
		return rc;
	if (rc == RC_OK)
		got = want;
	win->offset = offset;
	win->len = got;
	*ret = win->data;
	*ret_len = got < len ? got : len;
	return RC_OK;
}

rc_t rec_read_head(struct window *win, const struct seg_header *s, uint64_t offset, uint64_t limit, struct rec_head *ret,
		   enum rec_state *ret_state, struct err *reterr)
{
	*ret_state = REC_NONE;
	if (offset >= limit)
		return RC_OK;
	const uint8_t *p;
	size_t len, want = REC_HEAD + REC_NAME_MAX;
	if (want > limit - offset)
		want = limit - offset;
	TRY(window_get(win, offset, want, &p, &len, reterr));
	*ret_state = rec_head_parse(s, p, len, offset, limit, ret);
	return RC_OK;
}

rc_t rec_check_body(struct window *win, const struct rec_head *r, bool *ret_ok, struct err *reterr)
{
	uint64_t left = pad8(r->body_len), offset = r->body;
	uint32_t crc = 0;
	*ret_ok = false;
	while (left) {
		size_t n = left < WINDOW_CHUNK ? left : WINDOW_CHUNK, got;
		const uint8_t *p;
		TRY(window_get(win, offset, n, &p, &got, reterr));
		if (got < n)
			return RC_OK; /* the file ends inside */
		crc = crc32c(crc, p, n);
		left -= n;
		offset += n;
	}
	*ret_ok = crc == r->body_crc;
	return RC_OK;
}

rc_t rec_find_attempt(struct window *win, const struct seg_header *s, uint64_t from, uint64_t limit, uint64_t *ret, struct err *reterr)
{
	uint32_t magic = rec_magic(s);
	uint64_t offset = pad8(from);
	while (offset < limit) {
		size_t n = limit - offset < WINDOW_CHUNK ? limit - offset : WINDOW_CHUNK, got, i;
		const uint8_t *p;
		TRY(window_get(win, offset, n, &p, &got, reterr));
		for (i = 0; i + 8 <= got && get_u32(p + i) != magic; i += 8)
			;
		if (i + 8 <= got) {
			*ret = offset + i;
			return RC_OK;
		}
		if (got < n || got < 8)
			break;
		offset += got & ~(size_t)7;
	}
	return RC_NOT_FOUND;
}

rc_t rec_find(struct window *win, const struct seg_header *s, uint64_t from, uint64_t limit, uint64_t position, uint64_t *ret,
	      struct err *reterr)
{
	for (uint64_t offset = from;; offset += 8) {
		struct rec_head head;
		enum rec_state state;
		TRY(rec_find_attempt(win, s, offset, limit, &offset, reterr));
		TRY(rec_read_head(win, s, offset, limit, &head, &state, reterr));
		if (state == REC_VALID && head.first >= position) {
			*ret = offset;
			return RC_OK;
		}
	}
}
