#include "app/spool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/file.h"

#define PIECE ((size_t)64 << 10)

struct spool {
	int out, file;
	uint64_t max;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows, and of the file */
	pthread_cond_t changed;
	uint64_t from, to;    /* bytes taken and given; the file is a ring of max bytes, which begins anew when it is empty */
	bool ended;
	int failed;           /* errno of writing */
};

/* 0, or why not. */
static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);
		if (n < 0 && errno != EINTR)
			return errno;
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static size_t least(uint64_t a, uint64_t b)
{
	return (size_t)(a < b ? a : b);
}

static void *run(void *ctx)
{
	struct spool *s = ctx;
	uint8_t *piece = mem_alloc(PIECE);
	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (s->from == s->to && !s->ended)
			pthread_cond_wait(&s->changed, &s->lock);
		if (s->from == s->to || s->failed)
			break;
		uint64_t at = s->from % s->max;
		size_t n = least(least(s->to - s->from, s->max - at), PIECE);
		bool read = file_pread(s->file, "the spool", piece, n, at, NULL, NULL) == RC_OK;
		pthread_mutex_unlock(&s->lock);
		int failed = read ? write_all(s->out, piece, n) : EIO;
		pthread_mutex_lock(&s->lock);
		s->failed = failed;
		s->from += n;
		if (s->from == s->to)
			s->from = s->to = 0;
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
	free(piece);
	return NULL;
}

rc_t spool_open(int fd, uint64_t max, struct spool **ret, struct err *reterr)
{
	const char *dir = getenv("TMPDIR");
	int file;
	TRY(file_open_unnamed(dir && *dir ? dir : "/tmp", &file, reterr));
	struct spool *s = NEW(struct spool);
	*s = (struct spool){ .out = fd, .file = file, .max = max };
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	if (pthread_create(&s->thread, NULL, run, s) != 0) {
		file_close(file);
		free(s);
		return err_set(reterr, RC_IO, "no thread could be started");
	}
	*ret = s;
	return RC_OK;
}

static rc_t outcome(const struct spool *s, struct err *reterr)
{
	errno = s->failed;
	return s->failed ? err_errno(reterr, s->failed == EPIPE ? RC_CANCELLED : RC_IO, "cannot write to standard output") : RC_OK;
}

rc_t spool_write(struct spool *s, struct slice bytes, struct err *reterr)
{
	pthread_mutex_lock(&s->lock);
	while (bytes.len && !s->failed) {
		uint64_t at = s->to % s->max;
		size_t n = least(least(s->max - (s->to - s->from), s->max - at), bytes.len);
		if (!n) {
			pthread_cond_wait(&s->changed, &s->lock);
			continue;
		}
		if (file_pwrite(s->file, "the spool", bytes.data, n, at, NULL) == RC_OK) {
			s->to += n;
			pthread_cond_broadcast(&s->changed);
		} else if (s->from != s->to) { /* no room on that disk: what waits goes first */
			pthread_cond_wait(&s->changed, &s->lock);
			continue;
		} else {
			s->failed = write_all(s->out, bytes.data, n);
		}
		bytes = slice_skip(bytes, n);
	}
	rc_t rc = outcome(s, reterr);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

rc_t spool_close(struct spool *s, struct err *reterr)
{
	pthread_mutex_lock(&s->lock);
	s->ended = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	rc_t rc = outcome(s, reterr);
	file_close(s->file);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	free(s);
	return rc;
}
