#include "events.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENT_MAX 4096

uint64_t events_random(uint64_t *seed)
{
	uint64_t z = (*seed += 0x9e3779b97f4a7c15u); /* splitmix64 */
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

struct line {
	char text[EVENT_MAX];
	size_t len;
	struct events_field fields[16];
	size_t field_count;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *l, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(l->text + l->len, sizeof l->text - l->len, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof l->text - l->len)
		abort(); /* the texts below are far shorter */
	l->len += (size_t)n;
}

static void put_field(struct line *l, const char *before, char type, const char *after)
{
	put(l, "%s", before);
	l->fields[l->field_count++] = (struct events_field){ (uint32_t)l->len, type };
	put(l, "%s%s", type == 't' ? "2026-01-01T00:00:00.000Z" : type == 'h' ? "0123456789abcdef0123456789abcdef" : "100", after);
}

/* Small numbers far more often than big ones, as users, pages and products are. */
static unsigned skewed(uint64_t *seed, unsigned n)
{
	double u = (double)(events_random(seed) >> 11) / 9007199254740992.0;
	return (unsigned)(u * u * u * n);
}

#define PICK(seed, list) ((list)[skewed(seed, sizeof(list) / sizeof *(list))])

static const char *const methods[] = { "GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD" };
static const int statuses[] = { 200, 200, 200, 200, 200, 304, 204, 301, 404, 403, 500, 503 };
static const char *const agents[] = {
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
	"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "curl/8.5.0", "kube-probe/1.29",
};
static const char *const areas[] = { "products", "cart", "search", "account", "static", "api/v2/orders", "api/v2/items", "help" };
static const char *const names[] = { "Page Viewed", "Product Clicked", "Product Added", "Checkout Started", "Order Completed", "Signed In" };
static const char *const cities[] = { "Berlin", "Paris", "New York", "São Paulo", "Zürich", "Tokyo", "Austin", "Warsaw", "Lyon" };
static const char *const countries[] = { "DE", "FR", "US", "BR", "CH", "JP", "PL", "GB" };

static void make_logs(struct line *l, uint64_t *s)
{
	put_field(l, "{\"time\":\"", 't', "\",");
	put(l, "\"host\":\"web-%02u\",\"remote_addr\":\"%u.%u.%u.%u\",", skewed(s, 24), 11 + skewed(s, 200), skewed(s, 256), skewed(s, 256),
	    1 + (unsigned)(events_random(s) % 254));
	const char *area = PICK(s, areas);
	put(l, "\"method\":\"%s\",\"path\":\"/%s/%u\",\"query\":\"page=%u&sort=price\",", PICK(s, methods), area, skewed(s, 20000), skewed(s, 40));
	put(l, "\"protocol\":\"HTTP/1.1\",\"status\":%d,\"bytes\":%u,", PICK(s, statuses), 120 + skewed(s, 180000));
	put_field(l, "\"duration_ms\":", 'd', "");
	put(l, ",\"upstream_time\":0.%03u,\"referer\":\"https://shop.example.com/%s\",", (unsigned)(events_random(s) % 900 + 100), area);
	put_field(l, "\"request_id\":\"", 'h', "\",");
	put(l, "\"user_agent\":\"%s\"", PICK(s, agents));
}

static void make_track(struct line *l, uint64_t *s)
{
	unsigned products = skewed(s, 4);
	put(l, "{\"type\":\"track\",\"event\":\"%s\",", PICK(s, names));
	put_field(l, "\"messageId\":\"", 'h', "\",");
	put(l, "\"userId\":\"u%07u\",", skewed(s, 4000000));
	put_field(l, "\"timestamp\":\"", 't', "\",");
	put(l, "\"context\":{\"ip\":\"%u.%u.%u.%u\",\"locale\":\"en-%s\",", 11 + skewed(s, 200), skewed(s, 256), skewed(s, 256), skewed(s, 256),
	    PICK(s, countries));
	put(l, "\"userAgent\":\"%s\",\"library\":{\"name\":\"analytics.js\",\"version\":\"4.%u.0\"},", PICK(s, agents), skewed(s, 5));
	const char *area = PICK(s, areas);
	put(l, "\"page\":{\"path\":\"/%s/%u\",\"title\":\"%s | Shop\"", area, skewed(s, 20000), area);
	if (events_random(s) % 3 == 0)
		put(l, ",\"referrer\":\"https://search.example.org/?q=%u\"", skewed(s, 5000));
	put(l, "}");
	if (events_random(s) % 4 == 0)
		put(l, ",\"campaign\":{\"source\":\"newsletter\",\"name\":\"week-%u\"}", skewed(s, 52));
	put(l, ",\"location\":{\"city\":\"%s\",\"country\":\"%s\"}},\"properties\":{", PICK(s, cities), PICK(s, countries));
	put_field(l, "\"elapsed\":", 'd', "");
	put(l, ",\"revenue\":%u.%02u,\"currency\":\"EUR\",\"returning\":%s", skewed(s, 900), (unsigned)(events_random(s) % 100),
	    events_random(s) % 2 ? "true" : "false");
	for (unsigned i = 0; i < products; i++)
		put(l, "%s{\"sku\":\"sku-%05u\",\"quantity\":%u,\"price\":%u.%02u}%s", i ? "," : ",\"products\":[", skewed(s, 30000), 1 + skewed(s, 5),
		    skewed(s, 300), (unsigned)(events_random(s) % 100), i + 1 == products ? "]" : "");
	put(l, "}");
}

void events_make(struct events_body *b, enum events_kind kind, size_t max, int one, uint64_t *seed)
{
	size_t field_cap = max / 100 * 4 + 16;
	*b = (struct events_body){ .data = malloc(max + 2 * EVENT_MAX), .fields = malloc(field_cap * sizeof *b->fields) };
	if (!b->data || !b->fields)
		abort();
	do {
		struct line l;
		l.len = l.field_count = 0;
		if (kind == EVENTS_LOGS)
			make_logs(&l, seed);
		else
			make_track(&l, seed);
		if (one && l.len + 10 < max)
			put(&l, ",\"note\":\"%.*s\"", (int)(max - l.len - 11),
			    "the quick brown fox jumps over the lazy dog, again and again, until the post has the size that was asked for and no more");
		put(&l, one ? "}" : "}\n");
		if (b->count && b->len + l.len > max)
			break;
		for (size_t i = 0; i < l.field_count; i++) {
			b->fields[b->field_count] = l.fields[i];
			b->fields[b->field_count++].at += (uint32_t)b->len;
		}
		memcpy(b->data + b->len, l.text, l.len);
		b->len += l.len;
		b->count++;
	} while (!one && b->field_count + 8 < field_cap);
}

static void put_time(char *to, int64_t now_us)
{
	static _Thread_local int64_t known = -1;
	static _Thread_local char text[32];
	int64_t second = now_us / 1000000;
	if (second != known) {
		time_t t = (time_t)second;
		struct tm tm;
		gmtime_r(&t, &tm);
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
		known = second;
	}
	unsigned ms = (unsigned)(now_us / 1000 % 1000);
	memcpy(to, text, 24);
	to[20] = (char)('0' + ms / 100);
	to[21] = (char)('0' + ms / 10 % 10);
	to[22] = (char)('0' + ms % 10);
}

void events_freshen(struct events_body *b, int64_t now_us, uint64_t *seed)
{
	static const char hex[] = "0123456789abcdef";
	for (size_t i = 0; i < b->field_count; i++) {
		char *to = b->data + b->fields[i].at;
		uint64_t r = events_random(seed);
		if (b->fields[i].type == 't') {
			put_time(to, now_us++);
		} else if (b->fields[i].type == 'd') {
			unsigned d = 100 + (unsigned)(r % 900);
			to[0] = (char)('0' + d / 100);
			to[1] = (char)('0' + d / 10 % 10);
			to[2] = (char)('0' + d % 10);
		} else {
			for (unsigned k = 0; k < 32; k++) {
				to[k] = hex[r & 15];
				r = k == 15 ? events_random(seed) : r >> 4;
			}
		}
	}
}

void events_free(struct events_body *b)
{
	free(b->data);
	free(b->fields);
	*b = (struct events_body){ 0 };
}
