/* Flat access logs, as a web server in front of a shop writes them: 22 fields, one of which (the cache's answer) is not always there. */
#include "line.h"

static const char *const methods[] = { "GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD" };
static const int statuses[] = { 200, 200, 200, 200, 200, 304, 204, 301, 404, 403, 500, 503 };
static const char *const agents[] = {
	"curl/8.%u.0",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%u.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.%u Safari/605.1.15",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 17_%u like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
	"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%u.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (X11; Linux x86_64; rv:%u.0) Gecko/20100101 Firefox/127.0",
	"kube-probe/1.%u",
};
static const char *const areas[] = {
	"products", "cart", "search", "account", "static/js", "api/v2/orders", "api/v2/items", "help"
};
static const char *const services[] = { "shop-frontend", "checkout", "catalog", "identity" };
static const char *const sorts[] = { "price", "name", "newest", "rating" };
static const char *const caches[] = { "HIT", "MISS", "BYPASS", "EXPIRED" };

/* Seconds with three digits, as servers write them: "0.120", not "0.12". */
static void put_seconds(struct line *l, const char *key, unsigned ms)
{
	put(l, ",\"%s\":%u.%03u", key, ms / 1000, ms % 1000);
}

static void put_agent(struct line *l)
{
	unsigned version = skewed(l, 30);
	switch (skewed(l, COUNT(agents))) {
	case 0:
		put(l, agents[0], version);
		break;
	case 1:
		put(l, agents[1], 126 - version);
		break;
	case 2:
		put(l, agents[2], version % 6);
		break;
	case 3:
		put(l, agents[3], version % 6);
		break;
	case 4:
		put(l, agents[4], 126 - version);
		break;
	case 5:
		put(l, agents[5], 127 - version);
		break;
	default:
		put(l, agents[6], version);
	}
}

void logs_make(struct line *l)
{
	unsigned upstream = 1 + skewed(l, 3000), page = skewed(l, 20000);
	const char *area = PICK(l, areas);
	put_field(l, "{\"time\":\"", 't', "\",\"level\":\"info\"");
	put(l, ",\"service\":\"%s\",\"host\":\"web-%02u\"", PICK(l, services), skewed(l, 24));
	put_field(l, ",\"request_id\":\"", 'h', "\"");
	put(l, ",\"remote_addr\":\"%u.%u.%u.%u\",\"remote_port\":%u", 11 + skewed(l, 200), skewed(l, 256), skewed(l, 256),
	    1 + below(l, 254), 1024 + below(l, 64000));
	put(l, ",\"user_id\":");
	if (chance(l, 40))
		put(l, "\"u%07u\"", skewed(l, 2000000));
	else
		put_text(l, "null");
	put(l, ",\"method\":\"%s\",\"scheme\":\"https\",\"path\":\"/%s/%u\"", PICK(l, methods), area, page);
	if (chance(l, 45))
		put(l, ",\"query\":\"page=%u&sort=%s\"", skewed(l, 40), PICK(l, sorts));
	else
		put_text(l, ",\"query\":\"\"");
	put(l, ",\"protocol\":\"HTTP/%s\",\"status\":%d,\"bytes_sent\":%u,\"request_length\":%u", chance(l, 70) ? "2.0" : "1.1",
	    PICK(l, statuses), 120 + skewed(l, 180000), 80 + skewed(l, 2000));
	put_seconds(l, "request_time", upstream + skewed(l, 200));
	put_seconds(l, "upstream_time", upstream);
	put(l, ",\"upstream_addr\":\"10.0.%u.%u:8080\"", skewed(l, 8), skewed(l, 250));
	if (chance(l, 75))
		put(l, ",\"cache\":\"%s\"", PICK(l, caches));
	if (chance(l, 80))
		put(l, ",\"referer\":\"https://shop.example.com/%s/%u\"", area, skewed(l, 3000));
	else
		put_text(l, ",\"referer\":\"-\"");
	put_text(l, ",\"user_agent\":\"");
	put_agent(l);
	put_text(l, "\"");
}
