#include "os/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"

#define PIPE_BYTES (1 << 20) /* asked for: fewer wake-ups of the reader than with the usual 64 KiB */

rc_t output_open(const char *path, struct output *ret, struct err *reterr)
{
	struct stat st;
	*ret = (struct output){ .fd = STDOUT_FILENO, .name = "standard output" };
	if (strcmp(path, "-") != 0) {
		ret->fd = -1;
		ret->name = path;
		bool there = stat(path, &st) == 0;
		if (there && S_ISDIR(st.st_mode))
			return err_set(reterr, RC_INVALID, "%s is a folder: name a file", path);
		if (!there || S_ISREG(st.st_mode)) {
			char *temp = file_temp_name(path);
			rc_t rc = file_open(temp, FILE_CREATE_NEW, &ret->fd, reterr);
			if (rc == RC_OK)
				ret->temp = temp;
			else
				free(temp);
			return rc;
		}
		ret->fd = open(path, O_WRONLY | O_CLOEXEC);
		if (ret->fd < 0)
			return err_errno(reterr, RC_IO, "cannot open %s", path);
	}
	if (fstat(ret->fd, &st) == 0 && S_ISFIFO(st.st_mode))
		fcntl(ret->fd, F_SETPIPE_SZ, PIPE_BYTES); /* refused: then it stays as it is */
	return RC_OK;
}

rc_t output_write(const struct output *o, struct slice bytes, struct err *reterr)
{
	while (bytes.len) {
		ssize_t n = write(o->fd, bytes.data, bytes.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(reterr, RC_IO, "cannot write to %s", o->name);
		bytes = slice_skip(bytes, (size_t)n);
	}
	return RC_OK;
}

rc_t output_close(struct output *o, rc_t rc, bool durable, struct err *reterr)
{
	if (o->temp && durable && rc == RC_OK)
		rc = file_sync(o->fd, o->temp, reterr);
	if (o->fd >= 0 && o->fd != STDOUT_FILENO && close(o->fd) != 0 && rc == RC_OK)
		rc = err_errno(reterr, RC_IO, "cannot write to %s", o->name);
	if (o->temp && rc == RC_OK)
		rc = file_rename(o->temp, o->name, reterr);
	if (o->temp && rc != RC_OK)
		file_remove(o->temp, NULL);
	free(o->temp);
	*o = (struct output)OUTPUT_CLOSED;
	return rc;
}
