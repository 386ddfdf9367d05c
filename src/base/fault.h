/* Named crash points, in the release binary, for tests. HYDRANT_FAULT="name:N" kills the process (SIGKILL) at the N-th
 * passing of fault_point("name"); several are separated by commas. Costs one load when unset. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

extern bool fault_armed_;
void fault_init(void); /* once at start: reads HYDRANT_FAULT */
void fault_hit_(const char *name);
#define fault_point(name)                   \
	do {                                \
		if (fault_armed_)           \
			fault_hit_((name)); \
	} while (0)

#endif
