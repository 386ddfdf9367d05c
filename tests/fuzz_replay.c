/* A main for fuzz targets where there is no libFuzzer: every file of the folders that are named goes through the target once, in a block of
 * exactly its size. What a target once broke on stands there, so the suite (with sanitizers) sees it come back. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Custom mutators name it; nothing is mutated here. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
	(void)data, (void)max_size;
	return size;
}

static void replay(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f || fseek(f, 0, SEEK_END) != 0) {
		fprintf(stderr, "%s: cannot be read\n", path);
		exit(1);
	}
	size_t size = (size_t)ftell(f);
	rewind(f);
	uint8_t *data = mem_alloc(size ? size : 1);
	if (fread(data, 1, size, f) != size)
		exit(1);
	fclose(f);
	fprintf(stderr, "%s\n", path); /* shown if the next line is the end */
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

int main(int argc, char **argv)
{
	size_t files = 0;
	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		for (struct dirent *e; d && (e = readdir(d));) {
			if (e->d_name[0] == '.')
				continue;
			AUTO_MEM char *path = mem_printf("%s/%s", argv[i], e->d_name);
			replay(path);
			files++;
		}
		if (d)
			closedir(d);
	}
	if (!files)
		fprintf(stderr, "no inputs in the folders named\n");
	return files ? 0 : 1;
}
