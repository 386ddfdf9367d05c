/* How malloc gets its memory, for commands that fill tens of MB at once and end.
 *
 * Promise: up to about `bytes` that are allocated next lie in large pages where the system gives them (transparent huge pages are on, or on
 *   request): a fault for 2 MiB in place of 512. It takes no memory by itself.
 * Not promised: that there are any; then nothing changes. The process may hold more than without, for it takes whole pages.
 * Threads: once, when a command starts, before others run.
 */
#ifndef OS_HEAP_H
#define OS_HEAP_H

#include <stddef.h>

void heap_large_pages(size_t bytes);

#endif
