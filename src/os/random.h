/* Randomness from the system (a simulator replaces this unit). */
#ifndef OS_RANDOM_H
#define OS_RANDOM_H

#include <stddef.h>

void random_bytes(void *out, size_t len);
/* n random characters of [0-9a-z], NUL-terminated: out holds n + 1 bytes. */
void random_name(char *out, size_t n);
/* A version-4 UUID in its 36-character form; out holds 37 bytes. */
void random_uuid(char out[37]);

#endif
