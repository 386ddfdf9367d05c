/* What `convert --stats` says. */
#include <stdio.h>

#include "app/app.h"
#include "pipeline/convert.h"

static double percent(double part, double whole)
{
	return whole > 0 ? part / whole * 100 : 0;
}

/* What it takes to give the exact bytes back. The CPU time is that of checking rows against their payload (one in 64, --check: all of them);
 * shapes come out of parsing itself, docs/decisions/0008 says what they were measured to cost. */
static void print_restore_costs(const struct convert_result *r)
{
	const struct shred_stats *s = &r->stats;
	const struct {
		const char *name;
		uint64_t bytes;
	} costs[] = { { "__shape", r->shape_bytes }, { "__raw", r->raw_bytes }, { "__rest", r->rest_bytes }, { "key table", r->keys_bytes }, { "framing", r->framing_bytes } };
	uint64_t all = 0;
	for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
		all += costs[i].bytes;
	printf("exact restore   %llu bytes (%.2f %% of the file)\n", (unsigned long long)all, percent((double)all, (double)r->bytes_out));
	for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
		printf("  %-13s %llu (%.2f %%)\n", costs[i].name, (unsigned long long)costs[i].bytes, percent((double)costs[i].bytes, (double)r->bytes_out));
	printf("  checked       %llu rows, %.3f s (%.2f %% of the CPU)\n", (unsigned long long)s->checked, (double)s->check_ns / 1e9,
	       percent((double)s->check_ns / 1e3, (double)r->cpu_us));
	printf("mismatches      %llu\n", (unsigned long long)s->mismatches);
}

void convert_stats_print(const struct convert_result *r)
{
	const struct shred_stats *s = &r->stats;
	char in[16], out[16], rate[16];
	format_bytes(r->bytes_in, in);
	format_bytes(r->bytes_out, out);
	format_bytes((uint64_t)((double)r->bytes_in / ((double)r->took_us / 1e6)), rate);
	printf("format          %s\n", frame_format_name(r->format));
	printf("rows            %llu\n", (unsigned long long)r->events);
	printf("invalid         %llu\n", (unsigned long long)r->invalid);
	printf("columns         %u\n", r->columns);
	printf("row groups      %u\n", r->row_groups);
	printf("bytes in        %llu (%s)\n", (unsigned long long)r->bytes_in, in);
	printf("bytes out       %llu (%s)\n", (unsigned long long)r->bytes_out, out);
	printf("rows with __raw %llu (%.3f %%)\n", (unsigned long long)s->raw_rows, percent((double)s->raw_rows, (double)r->events));
	printf("  why           number %llu, string %llu, duplicate key %llu, shape %llu, other %llu\n", (unsigned long long)s->raw_number,
	       (unsigned long long)s->raw_string, (unsigned long long)s->raw_duplicate, (unsigned long long)s->raw_shape,
	       (unsigned long long)s->raw_other);
	printf("rows with __rest %llu\n", (unsigned long long)s->rest_rows);
	printf("rows put directly %llu\n", (unsigned long long)s->direct);
	printf("shapes          %llu\n", (unsigned long long)s->shapes);
	print_restore_costs(r);
	for (unsigned d = 0; d < sizeof s->dialects / sizeof *s->dialects; d++)
		if (s->dialects[d])
			printf("string dialect %-2u %llu rows\n", d, (unsigned long long)s->dialects[d]);
	printf("time            %.3f s (%s/s), CPU %.3f s\n", (double)r->took_us / 1e6, rate, (double)r->cpu_us / 1e6);
}
