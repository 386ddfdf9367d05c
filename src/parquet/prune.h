/* Which rows of a row group can satisfy predicates, by what the file says beside the data: statistics, page index, Bloom filter.
 *
 * Promise: a row that satisfies all predicates is in one of the ranges, whatever the values; what is left out satisfies some predicate not.
 *   Where the file says nothing, all rows are left. Bounds that were cut, only one bound, pages of nulls only, missing indexes and any boundary
 *   order are treated as what they are. A file whose statistics lie prunes wrongly; one whose indexes are damaged gives RC_CORRUPT.
 * What satisfies: values compare as the column's values do: numbers and times as such, bool false < true, strings, binary, fixed and UUID by
 *   unsigned bytes. NaN satisfies no comparison, the zeros are equal. A null satisfies only IS NULL. Below a list or map a row satisfies a
 *   predicate if one of its elements does; IS NULL is then: there may be a null or an empty list.
 * Ownership: the caller clears the ranges. Threads: as the reader.
 */
#ifndef PARQUET_PRUNE_H
#define PARQUET_PRUNE_H

#include "parquet/reader.h"

enum parquet_test {
	PARQUET_EQUAL,
	PARQUET_LESS,
	PARQUET_LESS_EQUAL,
	PARQUET_MORE,
	PARQUET_MORE_EQUAL,
	PARQUET_IN,
	PARQUET_IS_NULL,
	PARQUET_NOT_NULL
};

struct parquet_predicate {
	const struct field *field;  /* a leaf of the reader's schema */
	enum parquet_test test;
	const struct slice *values; /* as the column holds them: field_width bytes, or a string's. IN: any number; null tests: none; else one */
	uint32_t value_count;
};

/* from ≤ row < to, ascending, apart from each other. */
struct parquet_row_range {
	uint32_t from, to;
};
struct parquet_ranges {
	struct parquet_row_range *items;
	uint32_t count, cap;
};
void parquet_ranges_clear(struct parquet_ranges *r);

/* Fills ret (zeroed or used before) with the rows that may satisfy all n predicates; none of them: count 0. RC_INVALID for a predicate that is
 * not one: no leaf of this reader, a value of the wrong width or number. A column that cannot be read excludes nothing. */
rc_t parquet_reader_prune(struct parquet_reader *r, uint32_t row_group, const struct parquet_predicate *predicates, size_t n,
			  struct parquet_ranges *ret, struct err *reterr);

/* May the row group hold the value in leaf f, by its Bloom filter alone? True where it has none. */
rc_t parquet_reader_may_hold(struct parquet_reader *r, uint32_t row_group, const struct field *f, struct slice value, bool *ret,
			     struct err *reterr);

#endif
