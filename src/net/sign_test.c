#include "net/sign.h"

#include "base/test.h"
#include "os/clock.h"

/* The requests and signatures that AWS publishes: the aws-sig-v4-test-suite (service "service"), and the examples of the S3 documentation. */

static const char suite_secret[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HOST { "Host", "example.amazonaws.com" }
#define DATE { "X-Amz-Date", "20150830T123600Z" }
#define UNRESERVED "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define STS_TOKEN \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUu" \
	"wthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQc" \
	"HNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/o" \
	"LxBA=="

struct vector {
	const char *name, *method, *path;
	struct sign_pair query[3], headers[6];
	const char *body, *signature;
};

static const struct vector vectors[] = {
	{ "get-vanilla", "GET", "/", { { 0 } }, { HOST, DATE }, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ "get-header-key-duplicate", "GET", "/", { { 0 } }, { HOST, { "My-Header1", "value2" }, { "My-Header1", "value2" }, { "My-Header1", "value1" }, DATE },
	  "", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea" },
	{ "get-header-value-order", "GET", "/", { { 0 } },
	  { HOST, { "My-Header1", "value4" }, { "My-Header1", "value1" }, { "My-Header1", "value3" }, { "My-Header1", "value2" }, DATE }, "",
	  "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01" },
	{ "get-header-value-trim", "GET", "/", { { 0 } }, { HOST, { "My-Header1", " value1" }, { "My-Header2", " \"a   b   c\"" }, DATE }, "",
	  "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
	{ "get-unreserved", "GET", "/" UNRESERVED, { { 0 } }, { HOST, DATE }, "", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },
	{ "get-vanilla-empty-query-key", "GET", "/", { { "Param1", "value1" } }, { HOST, DATE }, "",
	  "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb" },
	{ "get-vanilla-query-order-key", "GET", "/", { { "Param1", "value2" }, { "Param1", "Value1" } }, { HOST, DATE }, "",
	  "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1" },
	{ "get-vanilla-query-order-key-case", "GET", "/", { { "Param2", "value2" }, { "Param1", "value1" } }, { HOST, DATE }, "",
	  "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
	{ "get-vanilla-query-order-value", "GET", "/", { { "Param1", "value2" }, { "Param1", "value1" } }, { HOST, DATE }, "",
	  "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694" },
	{ "get-vanilla-query-unreserved", "GET", "/", { { UNRESERVED, UNRESERVED } }, { HOST, DATE }, "",
	  "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197" },
	{ "get-vanilla-utf8-query", "GET", "/", { { "\xe1\x88\xb4", "bar" } }, { HOST, DATE }, "",
	  "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04" },
	{ "post-vanilla", "POST", "/", { { 0 } }, { HOST, DATE }, "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
	{ "post-header-key-sort", "POST", "/", { { 0 } }, { HOST, DATE, { "My-Header1", "value1" } }, "",
	  "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c" },
	{ "post-header-value-case", "POST", "/", { { 0 } }, { HOST, { "My-Header1", "VALUE1" }, DATE }, "",
	  "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d" },
	{ "post-vanilla-query", "POST", "/", { { "Param1", "value1" } }, { HOST, DATE }, "",
	  "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11" },
	{ "post-x-www-form-urlencoded", "POST", "/", { { 0 } }, { { "Content-Type", "application/x-www-form-urlencoded" }, HOST, DATE }, "Param1=value1",
	  "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
	{ "post-x-www-form-urlencoded-parameters", "POST", "/", { { 0 } },
	  { { "Content-Type", "application/x-www-form-urlencoded; charset=utf8" }, HOST, DATE }, "Param1=value1",
	  "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe" },
	{ "post-sts-header-before", "POST", "/", { { 0 } }, { HOST, DATE, { "X-Amz-Security-Token", STS_TOKEN } }, "",
	  "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead" },
};

static size_t count_pairs(const struct sign_pair *p, size_t max)
{
	size_t n = 0;
	while (n < max && p[n].name)
		n++;
	return n;
}

static bool signature_is(const struct sign_request *r, const char *want)
{
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	sign_v4(r, &b);
	const char *have = strstr(buf_cstr(&b), "Signature=");
	bool same = have && !strcmp(have + 10, want);
	if (!same) {
		AUTO_BUF struct buf canonical;
		buf_init(&canonical, 1 << 20);
		sign_canonical(r, &canonical);
		fprintf(stderr, "%s\n%s\n", buf_cstr(&canonical), buf_cstr(&b));
	}
	return same;
}

TEST(sign_v4_is_what_aws_publishes)
{
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		const struct vector *v = &vectors[i];
		char hash[SIGN_HASH_LEN + 1];
		sha256_hex(slice_str(v->body), hash);
		struct sign_request r = { .method = v->method, .path = v->path, .query = v->query, .query_count = count_pairs(v->query, 3),
					  .headers = v->headers, .header_count = count_pairs(v->headers, 6), .payload_hash = hash,
					  .time = "20150830T123600Z", .region = "us-east-1", .service = "service",
					  .access_key = "AKIDEXAMPLE", .secret_key = suite_secret };
		if (!signature_is(&r, v->signature)) {
			fprintf(stderr, "%s\n", v->name);
			CHECK(!"signature");
		}
	}
}

/* "Signature Calculations for the Authorization Header", S3 API reference. */
TEST(sign_v4_is_what_the_s3_documentation_shows)
{
	static const char bucket[] = "examplebucket.s3.amazonaws.com", date[] = "20130524T000000Z";
	static const char put_hash[] = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
	const struct sign_pair get[] = { { "Host", bucket }, { "Range", "bytes=0-9" }, { "x-amz-content-sha256", EMPTY_HASH }, { "x-amz-date", date } };
	const struct sign_pair put[] = { { "Host", bucket }, { "Date", "Fri, 24 May 2013 00:00:00 GMT" }, { "x-amz-date", date },
					 { "x-amz-storage-class", "REDUCED_REDUNDANCY" }, { "x-amz-content-sha256", put_hash } };
	const struct sign_pair plain[] = { { "Host", bucket }, { "x-amz-date", date }, { "x-amz-content-sha256", EMPTY_HASH } };
	const struct sign_pair lifecycle[] = { { "lifecycle", NULL } }, list[] = { { "prefix", "J" }, { "max-keys", "2" } };
	char hash[SIGN_HASH_LEN + 1];
	sha256_hex(SLICE_LIT("Welcome to Amazon S3."), hash);
	CHECK_STR(hash, put_hash);
	struct sign_request r = { .method = "GET", .path = "/test.txt", .headers = get, .header_count = 4, .payload_hash = EMPTY_HASH, .time = date,
				  .region = "us-east-1", .service = "s3", .access_key = "AKIAIOSFODNN7EXAMPLE",
				  .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
	CHECK(signature_is(&r, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"));
	r.headers = plain;
	r.header_count = 3;
	r.path = "/";
	r.query = lifecycle;
	r.query_count = 1;
	CHECK(signature_is(&r, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
	r.query = list;
	r.query_count = 2;
	CHECK(signature_is(&r, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
	r = (struct sign_request){ .method = "PUT", .path = "/test$file.text", .headers = put, .header_count = 5, .payload_hash = put_hash, .time = date,
				   .region = "us-east-1", .service = "s3", .access_key = "AKIAIOSFODNN7EXAMPLE",
				   .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
	CHECK(signature_is(&r, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
}

TEST(sign_encodes_all_but_the_unreserved)
{
	AUTO_BUF struct buf b;
	buf_init(&b, 1000);
	sign_encode(SLICE_LIT("a/b c+d%\xc3\xbc=&*'()!~"), true, &b);
	CHECK_STR(buf_cstr(&b), "a/b%20c%2Bd%25%C3%BC%3D%26%2A%27%28%29%21~");
	buf_reset(&b);
	sign_encode(SLICE_LIT("a/b"), false, &b);
	CHECK_STR(buf_cstr(&b), "a%2Fb");
}

TEST(sign_time_and_checksums_have_their_forms)
{
	char text[SIGN_TIME_LEN + 1], md5[25], crc[9], whole[SIGN_HASH_LEN + 1], parts[SIGN_HASH_LEN + 1];
	int64_t at;
	CHECK(time_parse("2015-08-30T12:36:00Z", &at) == 0);
	sign_time(at, text);
	CHECK_STR(text, "20150830T123600Z");
	md5_base64(SLICE_LIT(""), md5);
	CHECK_STR(md5, "1B2M2Y8AsgTpgAmY7PhCfg==");
	crc_base64(0xe3069283, crc); /* CRC-32C of "123456789" */
	CHECK_STR(crc, "4waSgw==");
	struct sha256 *h = sha256_new();
	sha256_add(h, "ab", 2);
	sha256_add(h, "c", 1);
	sha256_end(h, parts);
	sha256_hex(SLICE_LIT("abc"), whole);
	CHECK_STR(parts, whole);
	CHECK_STR(whole, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_MAIN()
