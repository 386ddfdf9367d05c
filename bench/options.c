/* Thirty fields that are there or not, each by itself, and maps whose keys are ids and e-mail addresses. */
#include "line.h"

static const char *const names[30] = {
	"account", "amount",   "app_version", "batch",	  "browser",	"campaign", "channel",	  "city",
	"consent", "country",  "coupon",      "currency", "delay_ms",	"device",   "experiment", "feature",
	"gateway", "language", "latitude",    "level",	  "longitude",	"partner",  "plan",	  "priority",
	"region",  "retry",    "score",	      "segment",  "started_at", "tags",
};
static const char *const texts[] = { "default", "basic", "pro", "enterprise", "trial", "partner", "internal", "legacy" };
static const char *const roles[] = { "viewer", "editor", "owner", "admin" };

static void put_option(struct line *l, unsigned i)
{
	put(l, ",\"%s\":", names[i]);
	if (i == 28) {
		put_text(l, "\"");
		put_time(l, -(int64_t)skewed(l, 86400) * 1000000, true);
		put_text(l, "\"");
	} else if (i == 29) {
		put_text(l, "[");
		for (unsigned k = 0, n = below(l, 4); k < n; k++)
			put(l, "%s\"%s\"", k ? "," : "", EVENLY(l, texts));
		put_text(l, "]");
	} else if (i == 8 || i == 25) {
		put_text(l, chance(l, 80) ? "true" : "false");
	} else if (i == 1 || i == 26) {
		put(l, "%u.%02u", skewed(l, 900), below(l, 100));
	} else if (i == 18 || i == 20) {
		put(l, "%s%u.%05u", chance(l, 20) ? "-" : "", 1 + below(l, 80), 1 + below(l, 9) + 10 * below(l, 9999));
	} else if (i % 3 == 0) {
		put(l, "%u", skewed(l, 100000));
	} else {
		put(l, "\"%s-%u\"", PICK(l, texts), skewed(l, 40));
	}
}

void options_make(struct line *l)
{
	put(l, "{\"id\":%llu", (unsigned long long)(700000000 + l->number));
	put_field(l, ",\"timestamp\":\"", 't', "\"");
	uint64_t there = any(l);
	for (unsigned i = 0; i < COUNT(names); i++)
		if (there >> i & 1)
			put_option(l, i);
	put_text(l, ",\"views\":{");
	for (unsigned i = 0, n = 1 + below(l, 5), item = below(l, 50000); i < n; i++)
		put(l, "%s\"item-%06u\":%u", i ? "," : "", item += 1 + below(l, 9000), 1 + skewed(l, 50));
	put_text(l, "},\"members\":{");
	for (unsigned i = 0, n = below(l, 3), user = below(l, 20000); i < n; i++) {
		put_text(l, i ? ",\"" : "\"");
		put_login(l, user += 1 + below(l, 9000));
		put(l, "@example.%s\":{\"role\":\"%s\",\"quota\":%u}", i % 2 ? "org" : "com", PICK(l, roles),
		    10 * (1 + skewed(l, 100)));
	}
	put_text(l, "}");
}
