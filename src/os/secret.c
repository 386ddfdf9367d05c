#include "os/secret.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

#define PAGE ((size_t)4096)
#define SPARE_MAX 32 /* pages kept for the next secrets: a copy of the keys is made for every request to a bucket */

/* In front of the text. */
struct head {
	size_t mapped;
	struct head *next; /* among the spare ones */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct head *spare;
static unsigned spare_count;

static struct head *map(size_t bytes)
{
	bytes = (bytes + PAGE - 1) / PAGE * PAGE;
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		abort(); /* out of memory, as in base/mem.h */
	madvise(p, bytes, MADV_DONTDUMP);
	struct head *h = p;
	h->mapped = bytes;
	return h;
}

char *secret_alloc(size_t len)
{
	struct head *h = NULL;
	if (len + 1 + sizeof *h <= PAGE) {
		pthread_mutex_lock(&lock);
		h = spare;
		if (h) {
			spare = h->next;
			spare_count--;
		}
		pthread_mutex_unlock(&lock);
	}
	if (!h)
		h = map(len + 1 + sizeof *h);
	return (char *)(h + 1);
}

char *secret_copy(const char *text)
{
	if (!text || !*text)
		return NULL;
	size_t len = strlen(text);
	char *s = secret_alloc(len);
	memcpy(s, text, len);
	return s;
}

void secret_free(char *secret)
{
	if (!secret)
		return;
	struct head *h = (struct head *)(void *)secret - 1;
	explicit_bzero(secret, h->mapped - sizeof *h);
	if (h->mapped == PAGE) {
		pthread_mutex_lock(&lock);
		bool keep = spare_count < SPARE_MAX;
		if (keep) {
			h->next = spare;
			spare = h;
			spare_count++;
		}
		pthread_mutex_unlock(&lock);
		if (keep)
			return;
	}
	munmap(h, h->mapped);
}

void secret_environment(void)
{
	size_t count = 0, bytes = 0;
	for (char **e = environ; e && *e; e++) {
		count++;
		bytes += strlen(*e) + 1;
	}
	if (!count)
		return;
	char **list = (char **)(void *)(map(sizeof(struct head) + (count + 1) * sizeof *list + bytes) + 1), *to = (char *)(list + count + 1);
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(environ[i]);
		list[i] = to;
		memcpy(to, environ[i], len + 1);
		to += len + 1;
		explicit_bzero(environ[i], len);
	}
	environ = list; /* for as long as the process lives */
}
