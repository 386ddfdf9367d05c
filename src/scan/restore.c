#include "json/frame.h"
#include "scan/scan_internal.h"

#define FLUSH_BYTES ((size_t)1 << 20)

struct restore {
	struct scan_file *file;
	enum restore_framing framing;
	struct framing_reader gaps;
	bool has_gaps;
	uint64_t foreign; /* rows that no event's bytes are in */
	struct buf out;
	rc_t (*write)(void *ctx, struct slice bytes, struct err *reterr);
	void *ctx;
};

static rc_t flush(struct restore *r, struct err *reterr)
{
	rc_t rc = r->write(r->ctx, buf_slice(&r->out), reterr);
	buf_reset(&r->out);
	return rc;
}

static rc_t restore_row(struct restore *r, uint32_t row, struct err *reterr)
{
	if (r->has_gaps) {
		struct slice gap;
		if (framing_reader_next(&r->gaps, &gap) != RC_OK)
			return err_set(reterr, RC_CORRUPT, "%s has more rows than its framing says", r->file->name);
		buf_append_slice(&r->out, gap);
	}
	size_t at = r->out.len;
	if (r->framing == RESTORE_LENGTH)
		buf_u32(&r->out, 0);
	bool foreign;
	TRY(scan_file_payload(r->file, row, &r->out, &foreign, reterr));
	if (foreign) {
		r->foreign++;
		r->out.len = at;
		return RC_OK;
	}
	if (r->framing == RESTORE_LENGTH) {
		uint32_t len = __builtin_bswap32((uint32_t)(r->out.len - at - 4));
		memcpy(r->out.data + at, &len, 4);
	} else if (r->framing == RESTORE_NUL) {
		buf_byte(&r->out, 0);
	} else if (!r->has_gaps) {
		buf_byte(&r->out, '\n');
	}
	return r->out.len >= FLUSH_BYTES ? flush(r, reterr) : RC_OK;
}

static rc_t restore_rows(struct restore *r, struct err *reterr)
{
	struct slice framing = parquet_reader_metadata(r->file->reader, "hydrant.framing");
	if (r->framing == RESTORE_FILE && framing.data) {
		TRY(framing_reader_open(framing, &r->gaps, reterr));
		r->has_gaps = true;
		if (r->gaps.events != (uint64_t)parquet_reader_rows(r->file->reader))
			return err_set(reterr, RC_CORRUPT, "%s has %lld rows but framing for %llu; --framing lines ignores it", r->file->name,
				       (long long)parquet_reader_rows(r->file->reader), (unsigned long long)r->gaps.events);
	}
	for (uint32_t g = 0; g < parquet_reader_row_group_count(r->file->reader); g++) {
		TRY(scan_file_load(r->file, g, 0, UINT32_MAX, true, reterr));
		struct scan_row row;
		uint32_t number;
		rc_t rc;
		while ((rc = scan_file_row(r->file, &row, &number, reterr)) == RC_OK)
			TRY(restore_row(r, number, reterr));
		if (rc != RC_EOF)
			return rc;
	}
	if (r->has_gaps)
		buf_append_slice(&r->out, r->gaps.tail);
	TRY(flush(r, reterr));
	if (r->foreign)
		return err_set(reterr, RC_CORRUPT, "%s: %llu of its %lld rows hold no event's bytes: another program wrote them, or dropped __shape and __raw; the "
			       "others were restored", r->file->name, (unsigned long long)r->foreign, (long long)parquet_reader_rows(r->file->reader));
	return RC_OK;
}

rc_t restore_file(const char *path, enum restore_framing framing, rc_t (*write)(void *ctx, struct slice bytes, struct err *reterr), void *ctx,
		  struct err *reterr)
{
	AUTO(scan_file) *f = NULL;
	TRY(scan_file_open(NULL, path, NULL, 0, &f, reterr));
	struct restore r = { .file = f, .framing = framing, .write = write, .ctx = ctx };
	buf_init(&r.out, BUF_MAX_DEFAULT);
	rc_t rc = restore_rows(&r, reterr);
	if (r.has_gaps)
		framing_reader_close(&r.gaps);
	buf_free(&r.out);
	return rc;
}
