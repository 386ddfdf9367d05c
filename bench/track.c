/* Analytics calls as the JavaScript library of such a service sends them: a context that nearly all calls share, properties by kind of call. */
#include "line.h"

static const char *const events[] = { "Page Viewed",	   "Product Viewed",   "Product Added",
				      "Products Searched", "Checkout Started", "Order Completed" };
static const char *const agents[] = {
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
	"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
};
static const char *const categories[] = { "shoes", "jackets", "bags", "kitchen", "garden", "toys", "books", "audio", "bikes" };
static const char *const cities[] = { "Berlin", "Paris", "New York", "São Paulo", "Zürich", "Tokyo",
				      "Austin", "Łódź",	 "Lyon",     "東京",	  "Kraków" };
static const char *const countries[] = { "DE", "FR", "US", "BR", "CH", "JP", "PL", "GB" };
static const char *const zones[] = { "Europe/Berlin", "Europe/Paris", "America/New_York", "America/Sao_Paulo", "Asia/Tokyo" };
static const char *const sources[] = { "newsletter", "google", "partner", "instagram" };
static const char *const media[] = { "email", "cpc", "referral", "social" };
static const char *const goods[] = { "Trail Runner", "Rain Jacket", "Canvas Bag", "Espresso Cup",
				     "Garden Hose",  "Café Table",  "City Bike",  "Headphones" };
static const char *const colours[] = { "black", "white", "olive", "blau", "grün", "red" };

static void put_price(struct line *l, const char *key, unsigned most)
{
	put(l, ",\"%s\":%u.%02u", key, skewed(l, most), below(l, 100));
}

/* A product's id, name and category belong together: from its number. */
static void put_product(struct line *l, unsigned product)
{
	unsigned h = product * 2654435761u;
	put(l, "\"product_id\":\"%08x\",\"sku\":\"SKU-%05u\",\"name\":\"%s %s\",\"category\":\"%s\"", h, product,
	    goods[h % COUNT(goods)], colours[(h >> 8) % COUNT(colours)], categories[(h >> 16) % COUNT(categories)]);
}

static void put_page(struct line *l, unsigned product)
{
	const char *category = categories[(product * 2654435761u >> 16) % COUNT(categories)];
	bool found = chance(l, 40);
	put(l, ",\"page\":{\"path\":\"/%s/%u\",\"referrer\":\"", category, product);
	if (found)
		put(l, "https://search.example.org/?q=%s+%u", category, skewed(l, 500));
	put(l, "\",\"search\":\"%s\",\"title\":\"%s – Shop\",\"url\":\"https://shop.example.com/%s/%u\"}",
	    found ? "?from=search" : "", category, category, product);
}

static void put_context(struct line *l, unsigned product, unsigned agent)
{
	static const char *const widths[] = { "1920,\"height\":1080", "390,\"height\":844", "1440,\"height\":900",
					      "412,\"height\":915" };
	put(l, ",\"context\":{\"ip\":\"%u.%u.%u.%u\",\"userAgent\":\"%s\"", 11 + skewed(l, 200), skewed(l, 256), skewed(l, 256),
	    1 + below(l, 254), agents[agent]);
	put(l, ",\"locale\":\"en-%s\",\"timezone\":\"%s\",\"library\":{\"name\":\"analytics.js\",\"version\":\"next-1.%u.0\"}",
	    PICK(l, countries), PICK(l, zones), 51 + skewed(l, 20));
	put_page(l, product);
	put(l, ",\"screen\":{\"width\":%s,\"density\":%u}", widths[agent], agent % 2 ? 3 : 1);
	if (chance(l, 22))
		put(l,
		    ",\"campaign\":{\"source\":\"%s\",\"medium\":\"%s\",\"name\":\"week-%u\",\"term\":\"%s\",\"content\":"
		    "\"banner-%u\"}",
		    PICK(l, sources), PICK(l, media), skewed(l, 52), EVENLY(l, categories), skewed(l, 9));
	if (agent % 2)
		put(l,
		    ",\"device\":{\"id\":\"%08X\",\"manufacturer\":\"%s\",\"model\":\"%s\",\"type\":\"mobile\"},\"os\":{\"name\":"
		    "\"%s\",\"version\":\"%s\"}",
		    (unsigned)any(l), agent == 1 ? "Apple" : "Google", agent == 1 ? "iPhone15,2" : "Pixel 8",
		    agent == 1 ? "iOS" : "Android", agent == 1 ? "17.5" : "14");
	else
		put(l,
		    ",\"userAgentData\":{\"brands\":[{\"brand\":\"Chromium\",\"version\":\"126\"},{\"brand\":\"Not/"
		    "A)Brand\",\"version\":\"8\"}],\"mobile\":false,"
		    "\"platform\":\"%s\"}",
		    agent ? "macOS" : "Windows");
	if (chance(l, 70))
		put(l, ",\"location\":{\"city\":\"%s\",\"country\":\"%s\",\"latitude\":%u.%04u,\"longitude\":%u.%04u}",
		    PICK(l, cities), PICK(l, countries), 30 + skewed(l, 30), 1 + below(l, 9) + 10 * below(l, 999),
		    1 + skewed(l, 80), 1 + below(l, 9) + 10 * below(l, 999));
	put(l, ",\"sessionId\":%u}", 1700000000 + skewed(l, 90000000));
}

static void put_order(struct line *l, unsigned kind, unsigned product)
{
	unsigned products = 1 + skewed(l, 3);
	put(l, "\"order_id\":\"%u-%06u\",\"step\":%u,\"currency\":\"EUR\"", 2026, below(l, 1000000), kind == 5 ? 4 : 1);
	put_price(l, "total", 900);
	put_price(l, "revenue", 800);
	put_price(l, "shipping", 10);
	put_price(l, "tax", 90);
	if (chance(l, 25)) {
		put(l, ",\"coupon\":\"SAVE%u\"", 5 * (1 + skewed(l, 6)));
		put_price(l, "discount", 40);
	}
	put_text(l, ",\"products\":[");
	for (unsigned i = 0; i < products; i++) {
		put_text(l, i ? ",{" : "{");
		put_product(l, i ? skewed(l, 30000) : product);
		put_price(l, "price", 300);
		put(l, ",\"quantity\":%u,\"position\":%u}", 1 + skewed(l, 5), i + 1);
	}
	put_text(l, "]");
	if (kind == 5)
		put(l, ",\"first_order\":%s", chance(l, 30) ? "true" : "false");
}

static void put_properties(struct line *l, unsigned kind, unsigned product)
{
	put_text(l, ",\"properties\":{");
	if (kind == 0) {
		put_field(l, "\"elapsed_ms\":", 'd', "");
		put(l, ",\"scroll\":0.%02u,\"variant\":\"%c\"", below(l, 100), 'A' + (char)skewed(l, 3));
	} else if (kind == 1 || kind == 2) {
		put_product(l, product);
		put_price(l, "price", 300);
		put(l, ",\"quantity\":%u,\"currency\":\"EUR\",\"in_stock\":%s", 1 + skewed(l, 5),
		    chance(l, 90) ? "true" : "false");
	} else if (kind == 3) {
		put(l, "\"query\":\"%s %s\",\"results\":%u", EVENLY(l, colours), EVENLY(l, categories), skewed(l, 400));
	} else {
		put_order(l, kind, product);
	}
	put_text(l, "}");
}

void track_make(struct line *l)
{
	unsigned kind = skewed(l, COUNT(events)), product = skewed(l, 30000), agent = skewed(l, COUNT(agents));
	put(l, "{\"type\":\"track\",\"event\":\"%s\"", events[kind]);
	put_field(l, ",\"messageId\":\"", 'u', "\"");
	put_text(l, ",\"anonymousId\":\"");
	put_uuid(l);
	put_text(l, "\",\"userId\":");
	if (chance(l, 45))
		put(l, "\"u%07u\"", skewed(l, 4000000));
	else
		put_text(l, "null");
	put_field(l, ",\"timestamp\":\"", 't', "\",\"originalTimestamp\":\"");
	put_time(l, 1000 * (int64_t)skewed(l, 900), true);
	put_text(l, "\",\"sentAt\":\"");
	put_time(l, 1000 * (int64_t)(900 + skewed(l, 200)), true);
	put_text(l, "\",\"receivedAt\":\"");
	put_time(l, 1000 * (int64_t)(1100 + skewed(l, 900)), true);
	put_text(l, "\",\"channel\":\"client\",\"version\":2,\"projectId\":\"p7Kq2mWx\",\"integrations\":{\"All\":true,"
		    "\"Warehouse\":");
	put_text(l, chance(l, 80) ? "true" : "false");
	put_text(l, "}");
	put_context(l, product, agent);
	put_properties(l, kind, product);
}
