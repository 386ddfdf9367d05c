#include "parquet/page_crc.h"

#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/test.h"

#define BYTES 4096

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

static void fill(uint8_t *p, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)next_random(&seed);
}

static void check_both(uint32_t crc, const uint8_t *p, size_t n)
{
	uint32_t want = (uint32_t)crc32_z(crc, p, n);
	for (int simd = 0; simd < 2; simd++) {
		page_crc_use_simd(simd);
		uint32_t got = page_crc(crc, p, n);
		if (got != want)
			fprintf(stderr, "  %zu bytes from %08x, simd %d: %08x, want %08x\n", n, crc, simd, got, want);
		CHECK(got == want);
	}
}

TEST(page_crc_is_that_of_zlib_for_every_length_and_alignment)
{
	uint8_t *at = mem_alloc(BYTES);
	fill(at, BYTES, 1);
	for (size_t n = 1; n <= 1100; n++) {
		for (size_t align = 0; align < 16; align += n % 8 ? 5 : 1) {
			check_both(0, at + align, n);
			check_both(0x9a3c51e7u + (uint32_t)n, at + align, n);
		}
		uint8_t *own = mem_alloc(n); /* a sanitizer sees a byte read too many */
		memcpy(own, at, n);
		check_both(0, own, n);
		free(own);
	}
	free(at);
}

TEST(page_crc_of_pieces_is_that_of_the_whole)
{
	size_t n = 300000;
	uint8_t *at = mem_alloc(n);
	fill(at, n, 2);
	uint32_t want = (uint32_t)crc32_z(0, at, n);
	page_crc_use_simd(true);
	uint64_t seed = 3;
	for (int round = 0; round < 50; round++) {
		uint32_t crc = 0;
		for (size_t done = 0; done < n;) {
			size_t piece = next_random(&seed) % (round % 2 ? 700 : 70000);
			if (piece > n - done)
				piece = n - done;
			crc = page_crc(crc, piece ? at + done : NULL, piece);
			done += piece;
		}
		CHECK(crc == want);
	}
	free(at);
}

TEST(page_crc_of_single_bits_and_of_nothing_but_zeros_is_right)
{
	uint8_t at[400] = { 0 };
	CHECK(page_crc(0, "123456789", 9) == 0xcbf43926u); /* the catalogue's check value */
	for (size_t bit = 0; bit < 8 * sizeof at; bit++) {
		at[bit / 8] = (uint8_t)(1u << bit % 8);
		check_both(0, at, sizeof at);
		at[bit / 8] = 0;
	}
	check_both(0, at, sizeof at);
	check_both(0xffffffff, at, sizeof at);
}

TEST_MAIN()
