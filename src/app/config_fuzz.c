/* hydrant.yaml, whatever it holds: no crash, every problem is one line with the file's name, and reading it again says the same. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/config.h"
#include "os/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_hold(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "config_fuzz: does not hold: %s\n", what);
	abort();
}
#define must(what) must_hold((what), #what)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char dir[64], path[96];
	if (size > 16384)
		return 0;
	if (!dir[0]) { /* once: relative names of secret files start here, and absolute ones must not be anything that waits */
		snprintf(dir, sizeof(dir), "%s/config-fuzz-%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
		snprintf(path, sizeof(path), "%s/h.yaml", dir);
		setenv("FUZZ", "from the environment", 1);
	}
	must(dir_make(dir, NULL) == RC_OK);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
	AUTO(config) *a = NULL, *b = NULL;
	struct err err_a = { 0 }, err_b = { 0 };
	rc_t rc = config_read(path, &a, &err_a);
	must(config_read(path, &b, &err_b) == rc);
	must(rc == RC_OK || (strchr(err_a.text, '\n') == NULL && strcmp(err_a.text, err_b.text) == 0));
	if (rc == RC_OK) {
		must(a->problem_count == b->problem_count && a->lake_count <= CONFIG_NAMES_MAX && a->token_count <= CONFIG_NAMES_MAX);
		for (size_t i = 0; i < a->problem_count; i++) {
			must(strcmp(a->problems[i], b->problems[i]) == 0);
			must(strncmp(a->problems[i], path, strlen(path)) == 0);
			must(strchr(a->problems[i], '\n') == NULL);
		}
		must((config_verdict(a, &err_a) == RC_OK) == (a->problem_count == 0));
	}
	dir_remove_tree(dir, NULL);
	return 0;
}
