/* Secrets in memory.
 *
 * Promise: what stands here is in pages that the kernel leaves out of core dumps (MADV_DONTDUMP; gcore does as well), and is wiped when freed.
 * Not promised: that nobody with the right to read the process's memory finds it, nor that it is never swapped out.
 * Ownership: free with secret_free. Threads: any.
 */
#ifndef OS_SECRET_H
#define OS_SECRET_H

#include <stddef.h>

/* len zeros, and one more. */
char *secret_alloc(size_t len) __attribute__((returns_nonnull));
char *secret_copy(const char *text); /* NULL for NULL and for "" */
void secret_free(char *secret);      /* NULL is fine */
/* Moves the environment, values that are nobody's business among it, to such pages, and wipes where it stood. Once, before the first thread. */
void secret_environment(void);

#endif
