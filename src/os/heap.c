#include "os/heap.h"

#include <limits.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE ((size_t)2 << 20)

void heap_large_pages(size_t bytes)
{
#if defined(__GLIBC__)
	/* Columns grow as one heap, not each in a mapping of its own, and it is not cut off when something is freed. */
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	mallopt(M_TOP_PAD, bytes < INT_MAX ? (int)bytes : INT_MAX);
	void *first = malloc(LARGE);
	uintptr_t from = ((uintptr_t)first + LARGE - 1) & ~(LARGE - 1), end = (uintptr_t)sbrk(0);
	if (first && from < end) /* not so where another malloc is linked: its memory lies elsewhere */
		madvise((void *)from, end - from, MADV_HUGEPAGE);
	free(first);
	mallopt(M_TOP_PAD, 128 << 10);
#endif
}
