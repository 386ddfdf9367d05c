#include "base/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define FAULT_MAX 16

bool fault_armed_;
static struct {
	char name[64];
	long left; /* passings until the kill */
} faults[FAULT_MAX];
static int fault_count;

void fault_init(void)
{
	const char *spec = getenv("HYDRANT_FAULT");
	while (spec && *spec && fault_count < FAULT_MAX) {
		size_t len = strcspn(spec, ",");
		size_t name = strcspn(spec, ":,");
		if (name > 0 && name < sizeof faults[0].name) {
			memcpy(faults[fault_count].name, spec, name);
			faults[fault_count].left = spec[name] == ':' ? strtol(spec + name + 1, NULL, 10) : 1;
			fault_count++;
		}
		spec += len + (spec[len] == ',');
	}
	fault_armed_ = fault_count > 0;
}

void fault_hit_(const char *name)
{
	for (int i = 0; i < fault_count; i++)
		if (!strcmp(faults[i].name, name) && __atomic_sub_fetch(&faults[i].left, 1, __ATOMIC_RELAXED) == 0)
			raise(SIGKILL);
}
