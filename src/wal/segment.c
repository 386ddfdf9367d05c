/* Segment files: made, written out, recycled. The order of steps is what makes a crash between any two of them harmless: a segment
 * gets its final name only when its header is durable, and a file is reused only when its old name is durably gone. */
#include "wal/wal_internal.h"

#include "base/fault.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"

#define STEP_MAX ((uint64_t)1 << 20)
#define STEP_MIN ((uint64_t)64 << 10)

struct segment *segment_new(const struct wal *w, uint64_t seq)
{
	struct segment *s = NEW(struct segment);
	s->fd = -1;
	s->capacity = w->opt.segment_bytes;
	s->h.seq = seq;
	s->h.epoch = w->epoch;
	memcpy(s->h.id, w->id, WAL_ID_LEN);
	random_bytes(&s->h.salt, sizeof(s->h.salt));
	s->h.step = w->opt.segment_bytes >= 8 * STEP_MAX ? STEP_MAX : STEP_MIN;
	s->h.made = clock_wall_us();
	s->path = segment_path(w, seq, "wal");
	s->append_end = s->durable_end = SEG_DATA;
	return s;
}

void segment_free(struct segment *s)
{
	if (!s)
		return;
	file_close(s->fd);
	free(s->path);
	free(s);
}

char *segment_path(const struct wal *w, uint64_t seq, const char *suffix)
{
	return mem_printf("%s/%016llx.%s", w->opt.dir, (unsigned long long)seq, suffix);
}

char *spare_path(const struct wal *w, uint64_t seq)
{
	return seq == RESERVE_SEQ ? mem_printf("%s/" RESERVE_NAME, w->opt.dir) : segment_path(w, seq, "spare");
}

rc_t segment_write_out(struct segment *s, uint64_t upto, struct err *reterr)
{
	static const uint8_t zeros[64 << 10];
	upto = (upto + s->h.step - 1) / s->h.step * s->h.step;
	while (s->written_out < upto) {
		size_t n = upto - s->written_out < sizeof(zeros) ? upto - s->written_out : sizeof(zeros);
		TRY(file_pwrite(s->fd, s->path, zeros, n, s->written_out, reterr));
		s->written_out += n;
	}
	return RC_OK;
}

rc_t segment_write_header(struct segment *s, struct err *reterr)
{
	uint8_t two[2 * SEG_HEADER];
	seg_header_write(&s->h, two);
	memcpy(two + SEG_HEADER, two, SEG_HEADER);
	return file_pwrite(s->fd, s->path, two, sizeof(two), 0, reterr);
}

/* The newest spare file, out of the pool, of which so many stay; its path in *ret_path. */
static bool spare_take(struct wal *w, size_t stay, char **ret_path)
{
	pthread_mutex_lock(&w->lock);
	bool any = w->spare_count > stay;
	uint64_t seq = any ? w->spares[--w->spare_count] : 0;
	pthread_mutex_unlock(&w->lock);
	if (any)
		*ret_path = spare_path(w, seq);
	return any;
}

static void give_back(struct wal *w, struct segment *t)
{
	pthread_mutex_lock(&w->lock);
	ARRAY_ROOM(w->trimmed, w->trimmed_count, w->trimmed_cap);
	w->trimmed[w->trimmed_count++] = t;
	pthread_mutex_unlock(&w->lock);
}

/* The disk is full, so that no TRIM record can say that the trimmed segments may go: one of them becomes the new segment in place. Its
 * new header says so itself (its oldest needed sequence is beyond the old name), and recovery takes a file whose name and header
 * disagree in this way for a spare. */
static rc_t file_of_trimmed(struct wal *w, struct segment *s, char **ret_path, struct segment **ret_trimmed, struct err *full)
{
	struct segment *t = NULL;
	pthread_mutex_lock(&w->lock);
	if (w->trimmed_count && w->trimmed[w->trimmed_count - 1]->h.seq < s->h.oldest)
		t = w->trimmed[--w->trimmed_count];
	pthread_mutex_unlock(&w->lock);
	if (!t)
		return RC_LIMIT;
	rc_t rc = file_open(t->path, FILE_WRITE, &s->fd, full);
	if (rc == RC_OK) {
		s->written_out = t->written_out;
		*ret_path = mem_strdup(t->path);
		*ret_trimmed = t;
	} else {
		give_back(w, t);
	}
	return rc;
}

static bool file_of_spare(struct wal *w, struct segment *s, size_t stay, char **ret_path)
{
	char *path;
	while (spare_take(w, stay, &path)) { /* one that does not open stays where it is for the next start */
		rc_t rc = file_open(path, FILE_WRITE, &s->fd, NULL);
		if (rc == RC_OK)
			rc = file_size(s->fd, path, &s->written_out, NULL);
		pthread_mutex_lock(&w->lock);
		uint64_t gone = s->written_out < w->spare_total && w->spare_count ? s->written_out : w->spare_total;
		w->spare_total -= gone;
		w->stats.recycled += rc == RC_OK;
		pthread_mutex_unlock(&w->lock);
		if (rc == RC_OK) {
			*ret_path = path;
			return true;
		}
		file_close(s->fd);
		s->fd = -1;
		free(path);
	}
	return false;
}

static void scarce_locked(struct wal *w, const struct err *full)
{
	w->scarce = true;
	w->scarce_error = *full;
	w->scarce_error.status = 507;
	w->scarce_error.retryable = true;
}

void reserve_make(struct wal *w)
{
	pthread_mutex_lock(&w->lock);
	bool there = w->spare_count > 0;
	w->reserve_at = clock_mono_us();
	pthread_mutex_unlock(&w->lock);
	if (there)
		return;
	struct err err = { 0 };
	struct segment *s = segment_new(w, RESERVE_SEQ);
	AUTO_MEM char *temp = mem_printf("%s/" RESERVE_NAME ".tmp", w->opt.dir);
	AUTO_MEM char *spare = spare_path(w, RESERVE_SEQ);
	/* Never what is there: behind a power cut that kept the second of two renames only, it may be another name of a segment. */
	file_remove(temp, NULL);
	rc_t rc = file_open(temp, FILE_CREATE_NEW, &s->fd, &err);
	if (rc == RC_OK)
		rc = segment_write_out(s, s->h.step, &err);
	if (rc == RC_OK)
		rc = file_sync(s->fd, temp, &err);
	if (rc == RC_OK)
		rc = file_rename(temp, spare, &err);
	if (rc != RC_OK)
		file_remove(temp, NULL);
	pthread_mutex_lock(&w->lock);
	if (rc == RC_OK)
		spare_push(w, RESERVE_SEQ, s->written_out);
	else if (rc == RC_LIMIT)
		scarce_locked(w, &err); /* also in a new process, whose last segment may be what was the reserve */
	pthread_mutex_unlock(&w->lock);
	segment_free(s);
}

static bool file_of_reserve(struct wal *w, struct segment *s, char **ret_path, const struct err *full)
{
	if (!file_of_spare(w, s, 0, ret_path))
		return false;
	pthread_mutex_lock(&w->lock);
	scarce_locked(w, full);
	pthread_mutex_unlock(&w->lock);
	return true;
}

/* Opens a file for s: a spare, a new one, a trimmed segment (*ret_trimmed), or the reserve. *ret_path: its name so far, caller frees. */
static rc_t file_for(struct wal *w, struct segment *s, bool last_resort, char **ret_path, struct segment **ret_trimmed, struct err *reterr)
{
	if (file_of_spare(w, s, 1, ret_path))
		return RC_OK;
	struct err full = { 0 };
	char *path = segment_path(w, s->h.seq, "tmp");
	s->written_out = 0;
	rc_t rc = file_open(path, FILE_CREATE, &s->fd, &full);
	if (rc == RC_OK)
		rc = segment_write_out(s, s->h.step, &full);
	if (rc == RC_OK) {
		*ret_path = path;
		return RC_OK;
	}
	file_close(s->fd);
	s->fd = -1;
	file_remove(path, NULL);
	free(path);
	if (reterr)
		*reterr = full;
	if (rc != RC_LIMIT)
		return rc;
	rc = file_of_trimmed(w, s, ret_path, ret_trimmed, reterr);
	return rc == RC_LIMIT && last_resort && file_of_reserve(w, s, ret_path, &full) ? RC_OK : rc;
}

rc_t segment_create(struct wal *w, struct segment *s, bool last_resort, struct err *reterr)
{
	AUTO_MEM char *temp = NULL;
	struct segment *trimmed = NULL;
	fault_point("wal.rotate");
	TRY(file_for(w, s, last_resort, &temp, &trimmed, reterr));
	uint64_t upto = s->written_out > s->h.step ? s->written_out : s->h.step; /* a torn size is evened out */
	rc_t rc = segment_write_out(s, upto, reterr);
	if (rc == RC_OK)
		rc = segment_write_header(s, reterr);
	if (rc == RC_OK)
		rc = file_sync(s->fd, temp, reterr);
	fault_point("wal.rotate_synced");
	if (rc == RC_OK)
		rc = file_rename(temp, s->path, reterr);
	bool renamed = rc == RC_OK;
	fault_point("wal.rotate_renamed");
	if (rc == RC_OK)
		rc = dir_sync(w->opt.dir, reterr);
	if (rc == RC_OK) {
		segment_free(trimmed);
		return RC_OK;
	}
	file_close(s->fd);
	s->fd = -1;
	if (trimmed && !renamed) { /* nothing durable says yet that it is not needed, unless its own header does */
		give_back(w, trimmed);
		return rc;
	}
	segment_free(trimmed);
	file_remove(temp, NULL); /* if it was renamed already: the chain does not reach it, the next start sweeps it */
	return rc;
}

void segment_push(struct wal *w, struct segment *s)
{
	ARRAY_ROOM(w->segs, w->seg_count, w->seg_cap);
	w->segs[w->seg_count++] = s;
}

struct segment *segment_by_seq(struct wal *w, uint64_t seq)
{
	size_t lo = 0, hi = w->seg_count;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (w->segs[mid]->h.seq < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->seg_count && w->segs[lo]->h.seq == seq ? w->segs[lo] : NULL;
}

void spare_push(struct wal *w, uint64_t seq, uint64_t bytes)
{
	ARRAY_ROOM(w->spares, w->spare_count, w->spare_cap);
	w->spares[w->spare_count++] = seq;
	w->spare_total += bytes;
}

void segment_recycle(struct wal *w, struct segment *s)
{
	pthread_mutex_lock(&w->lock);
	bool keep = w->spare_total + s->written_out <= w->opt.spare_bytes && s->written_out <= w->opt.segment_bytes + s->h.step;
	pthread_mutex_unlock(&w->lock);
	AUTO_MEM char *spare = segment_path(w, s->h.seq, "spare");
	rc_t rc = keep ? file_rename(s->path, spare, NULL) : RC_IO;
	if (rc != RC_OK) {
		file_remove(s->path, NULL); /* what cannot be removed is void for the next start */
		return;
	}
	/* Only the flusher takes from the pool, and it is the flusher who syncs the folder before it goes on. */
	pthread_mutex_lock(&w->lock);
	spare_push(w, s->h.seq, s->written_out);
	pthread_mutex_unlock(&w->lock);
}

uint64_t segments_bytes_locked(const struct wal *w)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < w->seg_count; i++)
		sum += w->segs[i]->disk_bytes > w->segs[i]->append_end ? w->segs[i]->disk_bytes : w->segs[i]->append_end;
	return sum;
}
