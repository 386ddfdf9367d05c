#include "source/unpack_internal.h"

#include <errno.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define IN_BYTES ((size_t)256 << 10)
#define GZIP_WINDOW (15 + 16) /* zlib: the largest window, gzip's header */

struct unpack {
	int fd;
	const char *name;
	enum packing packing;
	bool told;     /* packing is known */
	bool input_ended;
	bool between;  /* no member or frame is begun: the input may end here */
	uint64_t taken;
	uint8_t *in;
	size_t at, end; /* bytes of `in` that wait */
	z_stream zlib;
	bool zlib_open;
	ZSTD_DStream *zstd;
};

enum packing packing_of(struct slice head)
{
	const uint8_t *p = head.data;
	if (head.len >= 3 && p[0] == 0x1f && p[1] == 0x8b && p[2] == 8)
		return PACKING_GZIP;
	if (head.len < PACKING_HEAD)
		return PACKING_NONE;
	if (p[0] == 0x28 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd)
		return PACKING_ZSTD;
	return (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18 ? PACKING_ZSTD : PACKING_NONE; /* a skippable frame */
}

struct unpack *unpack_new(int fd, const char *name)
{
	struct unpack *u = NEW(struct unpack);
	u->fd = fd;
	u->name = name;
	u->between = true;
	u->in = mem_alloc(IN_BYTES);
	return u;
}

void unpack_free(struct unpack *u)
{
	if (!u)
		return;
	if (u->zlib_open)
		inflateEnd(&u->zlib);
	ZSTD_freeDStream(u->zstd);
	free(u->in);
	free(u);
}

uint64_t unpack_taken(const struct unpack *u)
{
	return u->taken;
}

static rc_t read_some(struct unpack *u, uint8_t *out, size_t len, size_t *ret_got, struct err *reterr)
{
	ssize_t n;
	do
		n = read(u->fd, out, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(reterr, RC_IO, "cannot read %s", u->name);
	u->input_ended = n == 0;
	u->taken += (uint64_t)n;
	*ret_got = (size_t)n;
	return RC_OK;
}

/* More input behind what waits, at least `want` bytes of it unless it ends. */
static rc_t fill(struct unpack *u, size_t want, struct err *reterr)
{
	if (u->at == u->end)
		u->at = u->end = 0;
	if (IN_BYTES - u->at < want) { /* a read into no room would look like the end */
		memmove(u->in, u->in + u->at, u->end - u->at);
		u->end -= u->at;
		u->at = 0;
	}
	while (u->end - u->at < want && !u->input_ended) {
		size_t got;
		TRY(read_some(u, u->in + u->end, IN_BYTES - u->end, &got, reterr));
		u->end += got;
	}
	return RC_OK;
}

static rc_t tell(struct unpack *u, struct err *reterr)
{
	TRY(fill(u, PACKING_HEAD, reterr));
	u->packing = packing_of(slice_of(u->in + u->at, u->end - u->at));
	u->told = true;
	if (u->packing == PACKING_GZIP) {
		if (inflateInit2(&u->zlib, GZIP_WINDOW) != Z_OK)
			return err_set(reterr, RC_IO, "%s: zlib cannot be started", u->name);
		u->zlib_open = true;
	} else if (u->packing == PACKING_ZSTD) {
		u->zstd = ZSTD_createDStream();
		if (!u->zstd)
			return err_set(reterr, RC_IO, "%s: zstd cannot be started", u->name);
	}
	return RC_OK;
}

static rc_t cut_off(const struct unpack *u, struct err *reterr)
{
	return err_set(reterr, RC_CORRUPT, "%s is packed and ends in the middle: it was cut off, or is still being written", u->name);
}

static rc_t damaged(const struct unpack *u, const char *what, struct err *reterr)
{
	return err_set(reterr, RC_CORRUPT, "%s is packed and cannot be unpacked around byte %llu: %s", u->name,
		       (unsigned long long)(u->taken - (u->end - u->at)), what);
}

/* Behind a gzip member: another one, zeros to the end, or the end. */
static rc_t next_member(struct unpack *u, struct err *reterr)
{
	while (u->at < u->end && !u->in[u->at])
		u->at++;
	if (u->at == u->end)
		return RC_OK;
	TRY(fill(u, 3, reterr));
	if (packing_of(slice_of(u->in + u->at, u->end - u->at)) != PACKING_GZIP)
		return damaged(u, "what follows its gzip data is none", reterr);
	inflateReset(&u->zlib);
	u->between = false;
	return RC_OK;
}

static rc_t gunzip(struct unpack *u, uint8_t *out, size_t len, size_t *ret_got, struct err *reterr)
{
	if (u->between) {
		TRY(next_member(u, reterr));
		if (u->between)
			return RC_OK; /* only zeros here */
	}
	u->zlib.next_in = u->in + u->at;
	u->zlib.avail_in = (uInt)(u->end - u->at);
	u->zlib.next_out = out;
	u->zlib.avail_out = len > 1 << 30 ? 1 << 30 : (uInt)len;
	uInt room = u->zlib.avail_out;
	int z = inflate(&u->zlib, Z_NO_FLUSH);
	u->at = u->end - u->zlib.avail_in;
	*ret_got = room - u->zlib.avail_out;
	if (z == Z_STREAM_END)
		u->between = true;
	else if (z != Z_OK && z != Z_BUF_ERROR)
		return damaged(u, u->zlib.msg ? u->zlib.msg : "no gzip data", reterr);
	return RC_OK;
}

static rc_t unzstd(struct unpack *u, uint8_t *out, size_t len, size_t *ret_got, struct err *reterr)
{
	ZSTD_inBuffer in = { u->in + u->at, u->end - u->at, 0 };
	ZSTD_outBuffer to = { out, len, 0 };
	size_t left = ZSTD_decompressStream(u->zstd, &to, &in);
	if (ZSTD_isError(left))
		return damaged(u, ZSTD_getErrorName(left), reterr);
	u->at += in.pos;
	*ret_got = to.pos;
	u->between = left == 0;
	return RC_OK;
}

rc_t unpack_read(struct unpack *u, uint8_t *out, size_t len, size_t *ret_got, struct err *reterr)
{
	*ret_got = 0;
	if (!u->told)
		TRY(tell(u, reterr));
	if (u->packing == PACKING_NONE) {
		size_t n = u->end - u->at < len ? u->end - u->at : len;
		if (!n)
			return u->input_ended ? RC_OK : read_some(u, out, len, ret_got, reterr);
		memcpy(out, u->in + u->at, n);
		u->at += n;
		*ret_got = n;
		return RC_OK;
	}
	while (len && !*ret_got) {
		size_t before = u->at;
		if (u->at < u->end || !u->between) /* what is unpacked already may still wait inside */
			TRY(u->packing == PACKING_GZIP ? gunzip(u, out, len, ret_got, reterr) : unzstd(u, out, len, ret_got, reterr));
		if (*ret_got || u->at != before)
			continue;
		if (u->input_ended)
			return u->between && u->at == u->end ? RC_OK : cut_off(u, reterr);
		if (u->at)
			memmove(u->in, u->in + u->at, u->end - u->at);
		u->end -= u->at;
		u->at = 0;
		TRY(fill(u, u->end - u->at + 1, reterr));
	}
	return RC_OK;
}
