/* What the child gives up before it reads a statement. */
#ifndef SQL_GUARD_INTERNAL_H
#define SQL_GUARD_INTERNAL_H

#include "sql/proto_internal.h"

/* First thing: dies with the parent, dumps no core, is the first that a machine out of memory ends, yields the CPU to ingest. */
void guard_start(int parent);
/* With the library loaded and no thread begun: address space bounded; files readable only in the tables' and the allowed folders, and
 * writable only in temp_dir (Landlock, where the kernel has it); no sockets, no programs (seccomp). Each layer that the kernel lacks is
 * left out: DuckDB's own locks hold without them. */
void guard_enter(const struct request *r);
int guard_landlock_abi(void); /* of the kernel; 0: it has none, or it is switched off */

#endif
