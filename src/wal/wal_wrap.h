/* For failure_test.c: the calls that the linker redirects (-Wl,--wrap) and what they really are. */
#ifndef WAL_WAL_WRAP_H
#define WAL_WAL_WRAP_H

#include "os/file.h"

rc_t __real_file_sync(int fd, const char *path, struct err *reterr);
rc_t __wrap_file_sync(int fd, const char *path, struct err *reterr);
rc_t __real_file_pwrite(int fd, const char *path, const void *data, size_t len, uint64_t offset, struct err *reterr);
rc_t __wrap_file_pwrite(int fd, const char *path, const void *data, size_t len, uint64_t offset, struct err *reterr);

#endif
