/* Made-up events as NDJSON on standard output, as fast as a disk takes them; how many, and two sums to check them by, on standard error.
 *   gen_events BYTES ordered|shuffled [DAYS] [SEED]
 * ordered: times go on by a few milliseconds an event. shuffled: each event lies on any of DAYS days (default 400).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t state;

static uint64_t next(void) /* splitmix64 */
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)(next() >> 32) % n;
}

static int event(char *out, size_t size, uint64_t n, int64_t ms, uint64_t *sum)
{
	static const char *const types[] = { "page_view", "click", "purchase", "signup", "search", "error" };
	static const char *const agents[] = { "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
					      "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15",
					      "curl/8.5.0", "okhttp/4.12.0" };
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	gmtime_r(&s, &tm);
	uint32_t amount = below(1000000);
	*sum += amount;
	uint64_t id = next(), session = next();
	int len = snprintf(out, size,
			   "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\",\"n\":%llu,\"type\":\"%s\",\"amount\":%u,\"id\":\"%016llx\","
			   "\"user\":{\"id\":%u,\"name\":\"user-%u\",\"plan\":\"%s\"},\"session\":\"%08llx\",\"ip\":\"10.%u.%u.%u\","
			   "\"path\":\"/shop/%u/item/%u?ref=%u\",\"agent\":\"%s\",\"ms\":%u.%u,\"ok\":%s,\"tags\":[\"a%u\",\"b%u\"]",
			   tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(ms % 1000),
			   (unsigned long long)n, types[below(6)], amount, (unsigned long long)id, below(200000), below(200000),
			   below(10) ? "free" : "pro", (unsigned long long)session & 0xffffffff, below(256), below(256), below(256), below(50),
			   below(5000), below(100), agents[below(4)], below(900), 1 + below(9), below(20) ? "true" : "false", below(20), below(300));
	if (below(8) == 0)
		len += snprintf(out + len, size - (size_t)len, ",\"error\":{\"code\":%u,\"message\":\"upstream %u timed out after %u ms\"}",
				500 + below(4), below(30), below(30000));
	len += snprintf(out + len, size - (size_t)len, "}\n");
	return len;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: gen_events BYTES ordered|shuffled [DAYS] [SEED]\n");
		return 2;
	}
	uint64_t bytes = strtoull(argv[1], NULL, 10), sum = 0, n = 0, done = 0;
	int shuffled = !strcmp(argv[2], "shuffled");
	uint32_t days = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 400;
	state = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
	int64_t end = (int64_t)time(NULL) * 1000 - 86400000, ms = end - (int64_t)days * 86400000;
	int64_t first = shuffled ? ms : end - (int64_t)(bytes / 400) * 4;
	static char buffer[1 << 20];
	setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
	while (done < bytes) {
		char line[2048];
		if (shuffled)
			ms = first + (int64_t)(next() % ((uint64_t)days * 86400000u));
		else
			ms = first + (int64_t)n * 4;
		int len = event(line, sizeof line, n++, ms, &sum);
		if (fwrite(line, 1, (size_t)len, stdout) != (size_t)len) {
			perror("gen_events");
			return 1;
		}
		done += (uint64_t)len;
	}
	if (fflush(stdout) != 0) {
		perror("gen_events");
		return 1;
	}
	fprintf(stderr, "%llu %llu %llu\n", (unsigned long long)n, (unsigned long long)sum, (unsigned long long)done);
	return 0;
}
