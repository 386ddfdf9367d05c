/* restore: the payloads of Parquet files, byte for byte, to standard output or -o PATH (os/output.h). */
#include <string.h>

#include "app/app.h"
#include "os/heap.h"
#include "os/output.h"
#include "scan/scan.h"

#define HEAP_BYTES ((size_t)64 << 20) /* a row group, decoded */

static rc_t restore_write(void *ctx, struct slice bytes, struct err *reterr)
{
	return output_write(ctx, bytes, reterr);
}

int cmd_restore(int argc, char **argv)
{
	int code;
	const char *name = NULL, *out = "-";
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
	heap_large_pages(HEAP_BYTES);
	struct err err;
	struct output output;
	rc_t rc = output_open(out, &output, &err);
	for (int i = 1; i < argc && rc == RC_OK; i++)
		rc = restore_file(argv[i], framing, restore_write, &output, &err);
	rc = output_close(&output, rc, false, &err);
	return rc == RC_OK ? EXIT_DONE : fail(&err);
}
