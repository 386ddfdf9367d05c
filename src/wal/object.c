/* Objects of a replicated log (wal/replica.h): their bytes, and the folder that is made of them again. */
#include "wal/wal_internal.h"

#include "os/file.h"

#define OBJECT_VERSION 1
#define SEGMENT_MAX ((uint64_t)1 << 30) /* (wal_options) */
#define FILLER_BYTES ((uint64_t)1 << 20)
enum { AT_VERSION = 8, AT_CRC = 12, AT_LOG = 16, AT_NUMBER = 24, AT_EPOCH = 32, AT_LOW = 40, AT_KIND = 48, AT_BYTES_CRC = 52, AT_OFFSET = 56,
       AT_LEN = 64, AT_FIRST = 72, AT_POSITION = 80, AT_OWNER = 88, AT_BY = 96, AT_SURE = 104, AT_HEADER = 128 };

static void put_u32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static void put_u64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, 8);
}

static uint32_t head_crc(const uint8_t *p)
{
	return crc32c(crc32c(0, p, AT_CRC), p + AT_LOG, WAL_OBJECT_HEAD - AT_LOG);
}

static uint8_t *begin_head(struct buf *out, enum wal_object_kind kind, const char *log, uint64_t epoch)
{
	static const uint8_t zeros[WAL_OBJECT_HEAD];
	size_t at = out->len;
	buf_append(out, zeros, sizeof zeros);
	uint8_t *p = out->data + at;
	memcpy(p, "hydrlog\n", 8);
	put_u32(p + AT_VERSION, OBJECT_VERSION);
	memcpy(p + AT_LOG, log, WAL_ID_LEN);
	put_u64(p + AT_EPOCH, epoch);
	put_u32(p + AT_KIND, kind);
	return p;
}

/* The first record that begins in the first n of the bytes: where, and its first position. Heads are salted: no payload looks like one. */
static void first_record(const struct segment *s, uint64_t offset, struct slice bytes, size_t n, uint64_t *ret_at, uint64_t *ret_position)
{
	uint32_t magic = rec_magic(&s->h);
	*ret_at = 0;
	*ret_position = s->h.first;
	for (size_t i = 0; i < n && i + REC_HEAD <= bytes.len; i += 8) {
		struct rec_head r;
		size_t len = bytes.len - i < REC_HEAD + REC_NAME_MAX ? bytes.len - i : REC_HEAD + REC_NAME_MAX;
		if (get_u32(bytes.data + i) != magic || rec_head_parse(&s->h, bytes.data + i, len, offset + i, UINT64_MAX, &r) != REC_VALID)
			continue;
		*ret_at = offset + i;
		*ret_position = r.first;
		return;
	}
}

void object_build(const struct replica *rep, const struct segment *s, const char *log, uint64_t offset, size_t ahead, struct buf *object)
{
	struct slice all = slice_of(object->data + WAL_OBJECT_HEAD, object->len - WAL_OBJECT_HEAD), bytes = slice_of(all.data, all.len - ahead);
	uint64_t at, position;
	size_t len = object->len - ahead;
	object->len = 0;
	uint8_t *p = begin_head(object, WAL_OBJECT_BYTES, log, s->h.epoch);
	object->len = len;
	first_record(s, offset, all, bytes.len, &at, &position);
	put_u32(p + AT_BYTES_CRC, crc32c(0, bytes.data, bytes.len));
	put_u64(p + AT_OFFSET, offset);
	put_u64(p + AT_LEN, bytes.len);
	put_u64(p + AT_FIRST, at);
	put_u64(p + AT_POSITION, position);
	put_u64(p + AT_OWNER, rep->owner);
	put_u64(p + AT_SURE, rep->sure);
	seg_header_write(&s->h, p + AT_HEADER);
}

void object_number(struct buf *object, uint64_t number, uint64_t low)
{
	put_u64(object->data + AT_NUMBER, number);
	put_u64(object->data + AT_LOW, low);
	put_u32(object->data + AT_CRC, head_crc(object->data));
}

void wal_object_seal(struct buf *out, const char *log, uint64_t number, uint64_t end, uint64_t epoch, const char *by, bool done)
{
	uint8_t *p = begin_head(out, WAL_OBJECT_SEAL, log, epoch);
	put_u64(p + AT_NUMBER, number);
	put_u64(p + AT_LOW, done ? number : 0);
	put_u64(p + AT_POSITION, end);
	memcpy(p + AT_BY, by, WAL_ID_LEN);
	put_u32(p + AT_CRC, head_crc(p));
}

rc_t wal_object_parse(struct slice object, struct wal_object *ret, struct err *reterr)
{
	const uint8_t *p = object.data;
	struct seg_header h;
	if (object.len < WAL_OBJECT_HEAD || memcmp(p, "hydrlog\n", 8) != 0)
		return err_set(reterr, RC_CORRUPT, "it is no object of a log");
	if (get_u32(p + AT_CRC) != head_crc(p))
		return err_set(reterr, RC_CORRUPT, "its head is damaged");
	uint32_t kind = get_u32(p + AT_KIND);
	if (get_u32(p + AT_VERSION) != OBJECT_VERSION || (kind != WAL_OBJECT_BYTES && kind != WAL_OBJECT_SEAL))
		return err_set(reterr, RC_UNSUPPORTED, "a newer hydrant wrote it: use that one");
	struct wal_object o = { .kind = (enum wal_object_kind)kind, .number = get_u64(p + AT_NUMBER), .epoch = get_u64(p + AT_EPOCH),
				.low = get_u64(p + AT_LOW), .owner = get_u64(p + AT_OWNER), .sure = get_u64(p + AT_SURE), .offset = get_u64(p + AT_OFFSET),
				.first_record = get_u64(p + AT_FIRST), .position = get_u64(p + AT_POSITION),
				.header = slice_of(p + AT_HEADER, SEG_HEADER),
				.bytes = slice_of(p + WAL_OBJECT_HEAD, object.len - WAL_OBJECT_HEAD) };
	memcpy(o.log, p + AT_LOG, WAL_ID_LEN);
	memcpy(o.by, p + AT_BY, WAL_ID_LEN);
	if (o.bytes.len != get_u64(p + AT_LEN) || crc32c(0, o.bytes.data, o.bytes.len) != get_u32(p + AT_BYTES_CRC))
		return err_set(reterr, RC_CORRUPT, "its bytes are not what was written");
	if (kind == WAL_OBJECT_SEAL) {
		if (!o.position || o.position > o.number || o.low > o.number)
			return err_set(reterr, RC_CORRUPT, "its head contradicts itself");
		*ret = o;
		return RC_OK;
	}
	TRY(seg_header_parse(o.header.data, &h));
	o.segment = h.seq;
	uint64_t end = o.offset + o.bytes.len;
	if (memcmp(h.id, o.log, WAL_ID_LEN) != 0 || o.offset < SEG_DATA || o.offset % 8 || end > SEGMENT_MAX || o.low > o.number || o.sure >= o.number ||
	    o.position == 0 || (o.first_record && (o.first_record < o.offset || o.first_record >= end || o.first_record % 8)))
		return err_set(reterr, RC_CORRUPT, "its head contradicts itself");
	*ret = o;
	return RC_OK;
}

bool wal_object_at_rest(const struct wal_object *o)
{
	return o->kind == WAL_OBJECT_BYTES && o->low == o->number && !o->bytes.len;
}

/* ---- the folder again ---- */

/* What tables hold already is not there: records without a meaning, up to the first that is. */
static rc_t fill(const struct seg_header *h, int fd, const char *path, uint64_t upto, struct err *reterr)
{
	uint8_t *zeros = mem_zalloc(1, FILLER_BYTES), head[REC_HEAD];
	rc_t rc = RC_OK;
	for (uint64_t at = SEG_DATA; rc == RC_OK && at < upto;) {
		uint64_t size = upto - at <= FILLER_BYTES ? upto - at : upto - at < FILLER_BYTES + REC_HEAD ? FILLER_BYTES - REC_HEAD : FILLER_BYTES;
		uint64_t len = size - REC_HEAD;
		struct rec_head r = { .first = h->first, .type = WAL_SEAL, .body_len = (uint32_t)len, .body_crc = crc32c(0, zeros, len), .offset = at };
		rec_head_write(h, &r, head);
		rc = file_pwrite(fd, path, head, sizeof head, at, reterr);
		if (rc == RC_OK && len)
			rc = file_pwrite(fd, path, zeros, len, at + REC_HEAD, reterr);
		at += size;
	}
	free(zeros);
	return rc;
}

static rc_t write_header(const struct seg_header *h, int fd, const char *path, struct err *reterr)
{
	uint8_t two[2 * SEG_HEADER];
	seg_header_write(h, two);
	memcpy(two + SEG_HEADER, two, SEG_HEADER);
	return file_pwrite(fd, path, two, sizeof two, 0, reterr);
}

/* The first segment: what was before it is not needed; it may begin in its middle. */
static rc_t restore_first(struct wal_restore *r, const struct wal_object *o, struct seg_header *h, int fd, const char *path, struct err *reterr)
{
	h->prev_seq = h->prev_end = 0;
	h->oldest = h->seq;
	if (o->offset > SEG_DATA)
		h->first = o->position;
	r->filled = true;
	r->first = o->segment;
	TRY(write_header(h, fd, path, reterr));
	return o->offset > SEG_DATA ? fill(h, fd, path, o->first_record, reterr) : RC_OK;
}

static rc_t restore_bytes(struct wal_restore *r, const struct wal_object *o, struct seg_header *h, int fd, const char *path, struct err *reterr)
{
	struct slice bytes = o->bytes;
	uint64_t at = o->offset, size;
	TRY(file_size(fd, path, &size, reterr));
	if (!r->filled) {
		bool middle = at > SEG_DATA;
		TRY(restore_first(r, o, h, fd, path, reterr));
		if (middle) {
			bytes = slice_skip(bytes, o->first_record - at);
			at = o->first_record;
		}
	} else if (!size) {
		TRY(write_header(h, fd, path, reterr));
	}
	return bytes.len ? file_pwrite(fd, path, bytes.data, bytes.len, at, reterr) : RC_OK;
}

struct leftovers {
	const char *dir;
	uint64_t above;
	struct err *err;
};

static rc_t drop_leftover(void *ctx, const char *name, bool is_dir)
{
	struct leftovers *l = ctx;
	(void)is_dir;
	if (strtoull(name, NULL, 16) <= l->above)
		return RC_OK;
	AUTO_MEM char *path = mem_printf("%s/%s", l->dir, name);
	return file_remove(path, l->err);
}

/* Segments ascend with the numbers, each behind the one that its header names, but for those that were given up when their first put failed, and that
 * came through all the same, perhaps late. */
static rc_t drop_given_up(struct wal_restore *r, const struct seg_header *h, bool fresh, struct err *reterr)
{
	struct leftovers l = { r->dir, fresh ? h->prev_seq : h->seq, reterr };
	if (r->segment > l.above)
		TRY(dir_list(r->dir, drop_leftover, &l, reterr));
	if (r->first > l.above)
		r->filled = false; /* nothing is left */
	return RC_OK;
}

/* Is this making of the segment there? A process that died may have put the header of one that its disk then lost, and the next one has made a segment
 * of the same number. What cannot be read is no "no": its bytes would be dropped. */
static rc_t is_there(const char *path, const struct seg_header *h, bool *ret, struct err *reterr)
{
	uint8_t bytes[SEG_HEADER];
	struct seg_header have;
	int fd;
	*ret = false;
	rc_t rc = file_open(path, FILE_READ, &fd, reterr);
	if (rc == RC_NOT_FOUND)
		return RC_OK;
	TRY(rc);
	rc = file_pread(fd, path, bytes, sizeof bytes, 0, NULL, reterr);
	file_close(fd);
	TRY(rc);
	if (seg_header_parse(bytes, &have) != RC_OK)
		return err_set(reterr, RC_IO, "%s does not hold what was written there just now", path);
	*ret = have.salt == h->salt;
	return RC_OK;
}

rc_t wal_restore_object(struct wal_restore *r, const struct wal_object *o, struct err *reterr)
{
	struct seg_header h;
	bool there;
	int fd;
	if (o->kind != WAL_OBJECT_BYTES)
		return RC_OK;
	TRY(seg_header_parse(o->header.data, &h));
	AUTO_MEM char *path = mem_printf("%s/%016llx.wal", r->dir, (unsigned long long)o->segment);
	TRY(is_there(path, &h, &there, reterr));
	TRY(drop_given_up(r, &h, !there, reterr));
	if (!r->filled && o->offset > SEG_DATA && !o->first_record)
		return RC_OK; /* a sign of life, or the end of a record whose beginning is gone: not needed, and no file for it */
	TRY(file_open(path, FILE_CREATE, &fd, reterr));
	rc_t rc = restore_bytes(r, o, &h, fd, path, reterr);
	file_close(fd);
	if (rc == RC_OK)
		r->segment = o->segment;
	return rc;
}
