/* malloc for processes that live for a few milliseconds and have one thread: size classes, no merging, no locks, nothing given back.
 * Built with a sanitizer, the simulator keeps the sanitizer's. */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#define SPACE ((size_t)4 << 30) /* addresses, not memory */
#define HUGE_PAGE ((size_t)2 << 20)
#define BIG ((size_t)128 << 10)
#define UNTOUCHED ((size_t)1 << 32) /* in class: not for malloc to give again */
#define CLASSES 160

struct head { /* before each block; 16 bytes keep blocks aligned */
	struct head *next;
	size_t class;
};
static struct head *freed[CLASSES];
static struct space {
	char *at, *end;
} used, untouched; /* pages that are never touched cost nothing in the second */

/* Four steps to each power of two, from 16 bytes on. */
static size_t class_of(size_t size)
{
	if (size <= 16)
		return 0;
	size_t n = size - 1, log = 63 - (size_t)__builtin_clzl(n);
	return (log - 4) * 4 + ((n >> (log - 2)) & 3) + 1;
}

static size_t class_size(size_t class)
{
	size_t k = class + 15;
	return class ? (k % 4 + 5) << (k / 4 - 2) : 16;
}

static void space_open(struct space *s, bool huge)
{
	s->at = mmap(NULL, SPACE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->at == MAP_FAILED)
		abort();
	s->end = s->at + SPACE;
	if (!huge)
		return;
	s->at += HUGE_PAGE - (size_t)s->at % HUGE_PAGE;
	madvise(s->at, (size_t)64 << 20, MADV_HUGEPAGE);
}

/* Zeros. */
static void *fresh(size_t class)
{
	struct space *s = class_size(class) < BIG ? &used : &untouched;
	if (!s->at)
		space_open(s, s == &used);
	size_t need = sizeof(struct head) + ((class_size(class) + 15) & ~(size_t)15);
	if ((size_t)(s->end - s->at) < need)
		return NULL;
	struct head *h = (struct head *)s->at;
	s->at += need;
	h->class = class;
	return h + 1;
}

void *malloc(size_t size)
{
	if (size > SPACE) {
		errno = ENOMEM;
		return NULL;
	}
	size_t class = class_of(size);
	struct head *h = freed[class];
	if (!h)
		return fresh(class);
	freed[class] = h->next;
	return h + 1;
}

void free(void *p)
{
	if (!p)
		return;
	struct head *h = (struct head *)p - 1;
	if (h->class >= UNTOUCHED)
		return;
	h->next = freed[h->class];
	freed[h->class] = h;
}

void *calloc(size_t n, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(n, size, &bytes) || bytes > SPACE) {
		errno = ENOMEM;
		return NULL;
	}
	size_t class = class_of(bytes);
	if (bytes >= BIG) {
		struct head *h = fresh(class);
		if (h)
			h[-1].class |= UNTOUCHED;
		return h;
	}
	if (!freed[class])
		return fresh(class);
	return memset(malloc(bytes), 0, bytes);
}

void *realloc(void *p, size_t size)
{
	if (!p)
		return malloc(size);
	size_t have = class_size(((struct head *)p - 1)->class % UNTOUCHED);
	if (size <= have)
		return p;
	void *q = malloc(size);
	if (q) {
		memcpy(q, p, have);
		free(p);
	}
	return q;
}

/* Aligned blocks are never given back. */
void *aligned_alloc(size_t align, size_t size)
{
	char *p = malloc(size + align + sizeof(struct head));
	if (!p || align <= 16)
		return p;
	char *q = p + sizeof(struct head) + align;
	q -= (size_t)q % align;
	((struct head *)q - 1)->class = class_of(size) ? class_of(size) - 1 : 0;
	return q;
}

void *memalign(size_t align, size_t size)
{
	return aligned_alloc(align, size);
}

int posix_memalign(void **ret, size_t align, size_t size)
{
	*ret = aligned_alloc(align, size);
	return *ret ? 0 : ENOMEM;
}

size_t malloc_usable_size(void *p)
{
	return p ? class_size(((struct head *)p - 1)->class % UNTOUCHED) : 0;
}

#endif
