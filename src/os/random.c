#include "os/random.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *out, size_t len)
{
	uint8_t *p = out;
	while (len) {
		ssize_t n = getrandom(p, len < 256 ? len : 256, 0);
		if (n <= 0)
			continue; /* EINTR before the pool is ready at boot: the only failure there is */
		p += n;
		len -= (size_t)n;
	}
}

void random_name(char *out, size_t n)
{
	static const char set[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	random_bytes(out, n);
	for (size_t i = 0; i < n; i++)
		out[i] = set[(uint8_t)out[i] % 36];
	out[n] = 0;
}

void random_uuid(char out[37])
{
	uint8_t b[16];
	random_bytes(b, sizeof b);
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5],
		 b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}
