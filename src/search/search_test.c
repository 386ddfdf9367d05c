#include "base/test.h"
#include "search/search.h"

static bool matches(const char *query, const char *payload)
{
	AUTO(search_query) *q = NULL;
	struct err err;
	if (search_parse(slice_str(query), &q, &err) != RC_OK)
		return false;
	return search_match(q, slice_str(payload));
}

#define EVENT "{\"user\":{\"name\":\"Zo\\u00eb\",\"ids\":[1,22]},\"status\":503,\"http.status_code\":200,\"msg\":\"Disk full\\nsoon\",\"ok\":true,\"x\":null}"

TEST(words_match_whole_and_in_any_case)
{
	CHECK(matches("disk", EVENT) && matches("DISK full", EVENT) && !matches("dis", EVENT) && matches("dis*", EVENT));
	CHECK(matches("soon", EVENT));
	CHECK(matches("\"disk full\"", EVENT) && !matches("\"full disk\"", EVENT));
	CHECK(matches("zoë", EVENT));
	CHECK(matches("failed", "sshd: Failed password"));
	CHECK(matches("", EVENT));
}

TEST(a_minus_excludes)
{
	CHECK(matches("disk -empty", EVENT) && !matches("disk -full", EVENT) && !matches("-status:503", EVENT));
}

TEST(fields_match_by_the_payloads_own_keys)
{
	CHECK(matches("status:503", EVENT) && matches("status:503.0", EVENT) && !matches("status:50", EVENT));
	CHECK(matches("user.name:zoë", EVENT) && matches("user.ids:22", EVENT) && !matches("user.ids:2", EVENT));
	CHECK(matches("http.status_code:200", EVENT));
	CHECK(matches("msg:\"Disk full\nsoon\"", EVENT) && matches("msg:disk*", EVENT));
	CHECK(matches("ok:true", EVENT) && matches("x:null", EVENT) && matches("x:*", EVENT) && !matches("y:*", EVENT));
	CHECK(!matches("Status:503", EVENT));
	CHECK(!matches("status:503", "status:504 plain text"));
	CHECK(matches("a.b:7", "{\"a\":[{\"b\":6},{\"b\":7}]}"));
}

TEST(numbers_compare)
{
	CHECK(matches("status:>500", EVENT) && matches("status:>=503", EVENT) && matches("status:<504", EVENT) && !matches("status:<=502", EVENT));
	CHECK(matches("status:>500 status:<600", EVENT));
}

TEST(integers_compare_exactly)
{
	const char *event = "{\"big\":9007199254740992,\"low\":-9007199254740993,\"zero\":-0,\"huge\":"
			    "1000000000000000000000000000000000000000000000000000000000000000000000001}";
	CHECK(matches("big:9007199254740992", event) && !matches("big:9007199254740993", event) && !matches("big:9007199254740991", event));
	CHECK(matches("big:<9007199254740993", event) && !matches("big:>=9007199254740993", event) && matches("big:>9007199254740991", event));
	CHECK(matches("low:<-9007199254740992", event) && !matches("low:-9007199254740992", event) && matches("low:>-9007199254740994", event));
	CHECK(matches("big:009007199254740992", event) && matches("zero:0", event) && matches("zero:>-1", event) && matches("low:<0", event));
	CHECK(matches("huge:>9", event) && !matches("huge:<9", event));
	CHECK(matches("big:9007199254740992.0", event) && !matches("big:-nan", event) && !matches("big:>=-nan", event));
}

TEST(a_number_begins_as_it_is_written)
{
	CHECK(matches("status:50*", EVENT) && matches("status:503*", EVENT) && !matches("status:5030*", EVENT) && !matches("status:4*", EVENT));
	CHECK(matches("user.ids:2*", EVENT) && matches("a:-1.5E*", "{\"a\":-1.5e3}") && matches("ok:tr*", EVENT));
	CHECK(matches("n:71*", "{\"n\":7111111111222222222233333333334444444444555555555566666666667777777777}"));
}

TEST(texts_compare_as_bytes)
{
	const char *event = "{\"ts\":\"2026-11-01T10:00:00Z\",\"name\":\"Carl\"}";
	CHECK(matches("ts:>=2026-11-01T10:00:00Z ts:<=2026-11-01T10:00:00Z", event) && !matches("ts:>2026-11-01T10:00:00Z", event));
	CHECK(matches("ts:>2026-11-01T09:59:59Z", event) && !matches("ts:<2026-11-01T10:00:00Z", event));
	CHECK(matches("name:>Bob", event) && matches("name:<bob", event) && matches("name:CARL", event));
}

TEST(what_a_scan_leaves_out_by_are_the_bytes_that_are_compared)
{
	AUTO(search_query) *q = NULL;
	struct err err;
	struct scan_term terms[SEARCH_TERMS_MAX];
	CHECK_OK(search_parse(SLICE_LIT("ts:>=2026T name:Bob at:Mon*"), &q, &err), err);
	CHECK_INT(search_terms(q, terms), 3);
	CHECK(slice_eq_str(terms[0].text, "2026T") && slice_eq_str(terms[1].text, "bob") && slice_eq_str(terms[2].text, "mon"));
}

TEST(a_bad_query_says_what_is_wrong)
{
	AUTO(search_query) *q = NULL;
	struct err err;
	CHECK_RC(search_parse(SLICE_LIT("\"open"), &q, &err), RC_INVALID);
	CHECK_RC(search_parse(SLICE_LIT("a: b"), &q, &err), RC_INVALID);
	CHECK(strstr(err.text, "field:*"));
}

TEST_MAIN()
