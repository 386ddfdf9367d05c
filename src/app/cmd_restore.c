/* restore: the payloads of Parquet files, byte for byte, to standard output or -o PATH.
 *
 * What PATH is decides how it is written: `-` is standard output; a device or pipe that is there is written to as it is; anything else is a file,
 * which gets its name when it is complete and replaces what had that name, so that a restore that fails leaves nothing half done. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"
#include "os/file.h"
#include "scan/scan.h"

#define PIPE_BYTES (1 << 20) /* asked for: fewer wake-ups of the reader than with the usual 64 KiB */

struct target {
	int fd;
	const char *name; /* for messages */
	char *temp;	  /* the file until it is complete; NULL: written in place */
};

static rc_t target_write(void *ctx, struct slice bytes, struct err *reterr)
{
	const struct target *t = ctx;
	while (bytes.len) {
		ssize_t n = write(t->fd, bytes.data, bytes.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(reterr, RC_IO, "cannot write to %s", t->name);
		bytes = slice_skip(bytes, (size_t)n);
	}
	return RC_OK;
}

static rc_t target_open(const char *path, struct target *ret, struct err *reterr)
{
	struct stat st;
	*ret = (struct target){ .fd = STDOUT_FILENO, .name = "standard output" };
	if (path && strcmp(path, "-") != 0) {
		ret->name = path;
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			return err_set(reterr, RC_INVALID, "%s is a folder: -o wants the name of a file", path);
		if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
			ret->fd = open(path, O_WRONLY | O_CLOEXEC);
			if (ret->fd < 0)
				return err_errno(reterr, RC_IO, "cannot open %s", path);
		} else {
			ret->temp = file_temp_name(path);
			return file_open(ret->temp, FILE_CREATE_NEW, &ret->fd, reterr);
		}
	}
	if (fstat(ret->fd, &st) == 0 && S_ISFIFO(st.st_mode))
		fcntl(ret->fd, F_SETPIPE_SZ, PIPE_BYTES); /* refused: then it stays as it is */
	return RC_OK;
}

static rc_t target_close(struct target *t, rc_t rc, struct err *reterr)
{
	if (t->fd >= 0 && t->fd != STDOUT_FILENO && close(t->fd) != 0 && rc == RC_OK)
		rc = err_errno(reterr, RC_IO, "cannot write to %s", t->name);
	if (t->temp && rc == RC_OK)
		rc = file_rename(t->temp, t->name, reterr);
	if (t->temp && rc != RC_OK)
		file_remove(t->temp, NULL);
	free(t->temp);
	return rc;
}

int cmd_restore(int argc, char **argv)
{
	int code;
	const char *name = NULL, *out = NULL;
	const struct option_def defs[] = {
		{ "--framing", OPTION_TEXT, &name, "lines, length (4 bytes big-endian before each), nul; default: as the original file had it", "F" },
		{ "-o", OPTION_TEXT, &out, "a file, device or pipe; - is standard output (default)", "PATH" },
		{ 0 },
	};
	if (!options_parse(command_find("restore"), &argc, argv, defs, 1, -1, &code))
		return code;
	enum restore_framing framing = RESTORE_FILE;
	if (name && !strcmp(name, "lines"))
		framing = RESTORE_LINES;
	else if (name && !strcmp(name, "length"))
		framing = RESTORE_LENGTH;
	else if (name && !strcmp(name, "nul"))
		framing = RESTORE_NUL;
	else if (name)
		return usage_error("restore", "framing '%s' is not one of lines, length, nul", name);
	struct err err;
	struct target target;
	rc_t rc = target_open(out, &target, &err);
	for (int i = 1; i < argc && rc == RC_OK; i++)
		rc = restore_file(argv[i], framing, target_write, &target, &err);
	rc = target_close(&target, rc, &err);
	return rc == RC_OK ? EXIT_DONE : fail(&err);
}
