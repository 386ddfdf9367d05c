/* Files: the one door to the local disk (a simulator replaces this unit). Errors name the path.
 *
 * Not promised: that a write is durable before file_sync, or a name before dir_sync of its folder. A failed file_sync may have
 * dropped the pages: never call it again on that file, treat the file as lost from the last good sync on.
 */
#ifndef OS_FILE_H
#define OS_FILE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

enum file_mode {
	FILE_READ,      /* must exist */
	FILE_WRITE,     /* read and write, must exist */
	FILE_CREATE,    /* read and write, made if absent, kept if present */
	FILE_CREATE_NEW /* read and write, RC_CONFLICT if present */
};

rc_t file_open(const char *path, enum file_mode mode, int *ret_fd, struct err *reterr);
void file_close(int fd);
/* Reads exactly len bytes; fewer: RC_EOF with *ret_got (may be NULL) set. */
rc_t file_pread(int fd, const char *path, void *data, size_t len, uint64_t offset, size_t *ret_got, struct err *reterr);
rc_t file_pwrite(int fd, const char *path, const void *data, size_t len, uint64_t offset, struct err *reterr);
rc_t file_sync(int fd, const char *path, struct err *reterr); /* fdatasync */
rc_t file_truncate(int fd, const char *path, uint64_t size, struct err *reterr);
rc_t file_size(int fd, const char *path, uint64_t *ret_size, struct err *reterr);
/* RC_NOT_FOUND if absent. Outputs may be NULL. mtime in µs. */
rc_t file_stat(const char *path, uint64_t *ret_size, int64_t *ret_mtime, bool *ret_is_dir, struct err *reterr);
/* The whole file appended to *ret (whose max bounds it: RC_LIMIT). */
rc_t file_read_all(const char *path, struct buf *ret, struct err *reterr);
/* Durable create that fails if present (RC_CONFLICT): temporary file, sync, link(2), sync the folder. Atomic across a crash. */
rc_t file_create_atomic(const char *path, struct slice content, struct err *reterr);
/* Durable replace: temporary file, sync, rename, sync the folder. */
rc_t file_replace_atomic(const char *path, struct slice content, struct err *reterr);
/* A finished temporary file gets its final name, failing with RC_CONFLICT if taken; folder synced. The old name goes away. */
rc_t file_publish(const char *temp, const char *path, struct err *reterr);
rc_t file_remove(const char *path, struct err *reterr);       /* absent is fine */
rc_t file_rename(const char *from, const char *to, struct err *reterr);
rc_t dir_make(const char *path, struct err *reterr);          /* with parents; made durable */
rc_t dir_sync(const char *path, struct err *reterr);
rc_t dir_remove_tree(const char *path, struct err *reterr);
/* path and the folders below it that hold no file. Absent is fine. */
rc_t dir_remove_empty(const char *path, struct err *reterr);
/* Calls each for every entry but . and .. ; stops when it returns other than RC_OK. Order unspecified. Absent: RC_NOT_FOUND. */
rc_t dir_list(const char *path, rc_t (*each)(void *ctx, const char *name, bool is_dir), void *ctx, struct err *reterr);
/* Gives the disk space of a range back; it reads as zeros. A file system that cannot: RC_OK, nothing happens. */
rc_t file_punch(int fd, const char *path, uint64_t offset, uint64_t len, struct err *reterr);
/* A new file in folder dir without a name: gone when closed, also after a crash. */
rc_t file_open_unnamed(const char *dir, int *ret_fd, struct err *reterr);
/* Exclusive advisory lock on path (made if absent), held until the fd is closed. Taken: RC_CONFLICT, the holder's text (what it wrote
 * with file_pwrite) in *reterr. */
rc_t file_lock(const char *path, int *ret_fd, struct err *reterr);
/* Marks an existing folder as in use until the fd is closed; RC_CONFLICT: another process does. A file system that cannot: RC_IO. */
rc_t dir_claim(const char *path, int *ret_fd, struct err *reterr);
bool dir_is_claimed(const char *path);
/* Unique name for a temporary file in the folder of `path`: "<path>.tmp-<random>". Caller frees. */
char *file_temp_name(const char *path);

#endif
