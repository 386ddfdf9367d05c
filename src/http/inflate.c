#include "http/http_internal.h"

#include <zlib.h>
#include <zstd.h>

enum {
	ZSTD_WINDOW_LOG = 23,   /* 8 MiB: RFC 9659 section 3 */
	GZIP_MEMORY = 48 * 1024 /* zlib: 32 KiB window and its state */
};

struct http_inflater {
	enum http_coding coding;
	z_stream gzip;
	ZSTD_DCtx *zstd;
	bool at_end; /* of a member or frame, or nothing read yet */
};

struct http_inflater *http_inflater_new(enum http_coding coding)
{
	struct http_inflater *f = NEW(struct http_inflater);
	f->coding = coding;
	f->at_end = true;
	if (coding == HTTP_CODING_GZIP) {
		if (inflateInit2(&f->gzip, 15 + 16) != Z_OK) /* 16: gzip only, neither zlib nor raw */
			abort();
	} else {
		f->zstd = ZSTD_createDCtx();
		if (!f->zstd)
			abort();
		ZSTD_DCtx_setParameter(f->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
	}
	return f;
}

void http_inflater_free(struct http_inflater *f)
{
	if (!f)
		return;
	if (f->coding == HTTP_CODING_GZIP)
		inflateEnd(&f->gzip);
	ZSTD_freeDCtx(f->zstd);
	free(f);
}

void http_inflater_reset(struct http_inflater *f)
{
	f->at_end = true;
	if (f->coding == HTTP_CODING_GZIP)
		inflateReset(&f->gzip);
	else
		ZSTD_DCtx_reset(f->zstd, ZSTD_reset_session_only);
}

enum http_coding http_inflater_coding(const struct http_inflater *f)
{
	return f->coding;
}

size_t http_inflater_memory(const struct http_inflater *f)
{
	return f->coding == HTTP_CODING_GZIP ? GZIP_MEMORY : ZSTD_sizeof_DCtx(f->zstd);
}

static bool corrupt(struct http_refusal *refusal, const char *text)
{
	*refusal = (struct http_refusal){ 400, "corrupt_body", text };
	return false;
}

static bool inflate_gzip(struct http_inflater *f, struct slice in, uint8_t *out, size_t out_len, size_t *ret_used, size_t *ret_made,
			 struct http_refusal *refusal)
{
	z_stream *z = &f->gzip;
	size_t in_len = in.len > 1u << 30 ? 1u << 30 : in.len, room = out_len > 1u << 30 ? 1u << 30 : out_len;
	z->next_in = (Bytef *)in.data;
	z->avail_in = (uInt)in_len;
	z->next_out = out;
	z->avail_out = (uInt)room;
	int rc = Z_OK;
	while (rc == Z_OK && z->avail_out && (z->avail_in || !f->at_end)) {
		if (f->at_end && z->avail_in) {
			f->at_end = false;
			if (inflateReset(z) != Z_OK)
				return corrupt(refusal, "the gzip body cannot be read");
		}
		rc = inflate(z, Z_NO_FLUSH);
		if (rc == Z_STREAM_END) { /* another member may follow */
			f->at_end = true;
			rc = Z_OK;
		}
	}
	*ret_used = in_len - z->avail_in;
	*ret_made = room - z->avail_out;
	if (rc != Z_OK && rc != Z_BUF_ERROR) /* BUF_ERROR: no input left */
		return corrupt(refusal, "the body is not gzip as Content-Encoding says, or it is damaged");
	return true;
}

bool http_inflate(struct http_inflater *f, struct slice in, uint8_t *out, size_t out_len, size_t *ret_used, size_t *ret_made,
		  struct http_refusal *refusal)
{
	if (f->coding == HTTP_CODING_GZIP)
		return inflate_gzip(f, in, out, out_len, ret_used, ret_made, refusal);
	ZSTD_inBuffer zin = { in.data, in.len, 0 };
	ZSTD_outBuffer zout = { out, out_len, 0 };
	bool idle = false;
	while (zout.pos < zout.size && !idle && (zin.pos < zin.size || !f->at_end)) {
		size_t in_before = zin.pos, out_before = zout.pos;
		size_t rc = ZSTD_decompressStream(f->zstd, &zout, &zin);
		if (ZSTD_isError(rc)) {
			bool window = strstr(ZSTD_getErrorName(rc), "memory") != NULL;
			return corrupt(refusal, window ? "the zstd body needs a window of over 8 MiB: compress without --ultra and --long" :
							 "the body is not zstd as Content-Encoding says, or it is damaged");
		}
		f->at_end = rc == 0;
		idle = zin.pos == in_before && zout.pos == out_before;
	}
	*ret_used = zin.pos;
	*ret_made = zout.pos;
	return true;
}

bool http_inflate_finished(const struct http_inflater *f)
{
	return f->at_end;
}
