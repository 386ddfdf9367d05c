/* DuckDB's C library, loaded at run time: only the child has it. The functions that we call, as the library's ABI has them (x86-64,
 * aarch64); its header is not needed to build. Handles are opaque pointers, destroyed through a pointer to them. */
#ifndef SQL_DUCK_INTERNAL_H
#define SQL_DUCK_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* A materialised or streaming result: opaque words, passed by value where the ABI says so. */
struct duck_result {
	uint64_t words[6];
};

/* A string in a vector: up to 12 bytes inline, else a prefix and a pointer. */
struct duck_string {
	uint32_t length;
	union {
		char inlined[12];
		struct {
			char prefix[4];
			char pointer[8]; /* unaligned on purpose: the union has no padding before it */
		} out;
	} u;
};

struct duck_list_entry {
	uint64_t offset, length;
};

enum duck_type {
	DUCK_BOOLEAN = 1,
	DUCK_TINYINT = 2,
	DUCK_SMALLINT = 3,
	DUCK_INTEGER = 4,
	DUCK_BIGINT = 5,
	DUCK_UTINYINT = 6,
	DUCK_USMALLINT = 7,
	DUCK_UINTEGER = 8,
	DUCK_UBIGINT = 9,
	DUCK_FLOAT = 10,
	DUCK_DOUBLE = 11,
	DUCK_TIMESTAMP = 12, /* µs */
	DUCK_DATE = 13,      /* int32 days */
	DUCK_TIME = 14,      /* int64 µs */
	DUCK_HUGEINT = 16,
	DUCK_VARCHAR = 17,
	DUCK_BLOB = 18,
	DUCK_DECIMAL = 19,
	DUCK_TIMESTAMP_S = 20,
	DUCK_TIMESTAMP_MS = 21,
	DUCK_TIMESTAMP_NS = 22,
	DUCK_ENUM = 23,
	DUCK_LIST = 24,
	DUCK_STRUCT = 25,
	DUCK_MAP = 26,
	DUCK_UUID = 27,
	DUCK_TIMESTAMP_TZ = 31, /* µs, UTC */
	DUCK_UHUGEINT = 32,
	DUCK_ARRAY = 33,
	DUCK_SQLNULL = 36
};

enum duck_statement {
	DUCK_STATEMENT_SELECT = 1,
	DUCK_STATEMENT_EXPLAIN = 4
};

enum duck_error {
	DUCK_ERROR_CATALOG = 13,
	DUCK_ERROR_IO = 28,
	DUCK_ERROR_INTERRUPT = 29,
	DUCK_ERROR_OUT_OF_MEMORY = 33,
	DUCK_ERROR_PERMISSION = 34
};

/* X(returns, name, parameters): duck->name is the library's duckdb_name. 0 is success where an int is returned. */
#define DUCK_FUNCTIONS(X)                                                                       \
	X(const char *, library_version, (void))                                                \
	X(int, create_config, (void **config))                                                  \
	X(int, set_config, (void *config, const char *name, const char *value))                 \
	X(void, destroy_config, (void **config))                                                \
	X(int, open_ext, (const char *path, void **ret_db, void *config, char **ret_error))     \
	X(void, close, (void **db))                                                             \
	X(int, connect, (void *db, void **ret_connection))                                      \
	X(void, disconnect, (void **connection))                                                \
	X(void, free, (void *p))                                                                \
	X(int, query, (void *connection, const char *sql, struct duck_result *ret))             \
	X(void, destroy_result, (struct duck_result *r))                                        \
	X(const char *, result_error, (struct duck_result *r))                                  \
	X(int, result_error_type, (struct duck_result *r))                                      \
	X(uint64_t, extract_statements, (void *connection, const char *sql, void **ret))        \
	X(const char *, extract_statements_error, (void *extracted))                            \
	X(int, prepare_extracted_statement, (void *connection, void *extracted, uint64_t i, void **ret)) \
	X(void, destroy_extracted, (void **extracted))                                          \
	X(int, prepare, (void *connection, const char *sql, void **ret_statement))              \
	X(const char *, prepare_error, (void *statement))                                       \
	X(void, destroy_prepare, (void **statement))                                            \
	X(int, prepared_statement_type, (void *statement))                                      \
	X(uint64_t, nparams, (void *statement))                                                 \
	X(int, bind_varchar_length, (void *statement, uint64_t i, const char *text, uint64_t length)) \
	X(int, execute_prepared, (void *statement, struct duck_result *ret))                    \
	X(int, pending_prepared_streaming, (void *statement, void **ret_pending))               \
	X(const char *, pending_error, (void *pending))                                         \
	X(int, execute_pending, (void *pending, struct duck_result *ret))                       \
	X(void, destroy_pending, (void **pending))                                              \
	X(uint64_t, prepared_statement_column_count, (void *statement))                         \
	X(char *, prepared_statement_column_name, (void *statement, uint64_t i))                \
	X(void *, prepared_statement_column_logical_type, (void *statement, uint64_t i))        \
	X(void *, fetch_chunk, (struct duck_result r))                                          \
	X(void, destroy_data_chunk, (void **chunk))                                             \
	X(uint64_t, data_chunk_get_size, (void *chunk))                                         \
	X(void *, data_chunk_get_vector, (void *chunk, uint64_t i))                             \
	X(void *, vector_get_data, (void *vector))                                              \
	X(uint64_t *, vector_get_validity, (void *vector))                                      \
	X(void *, list_vector_get_child, (void *vector))                                        \
	X(void *, struct_vector_get_child, (void *vector, uint64_t i))                          \
	X(void *, array_vector_get_child, (void *vector))                                       \
	X(void, destroy_logical_type, (void **type))                                            \
	X(int, get_type_id, (void *type))                                                       \
	X(char *, logical_type_get_alias, (void *type))                                         \
	X(uint8_t, decimal_width, (void *type))                                                 \
	X(uint8_t, decimal_scale, (void *type))                                                 \
	X(int, decimal_internal_type, (void *type))                                             \
	X(int, enum_internal_type, (void *type))                                                \
	X(uint32_t, enum_dictionary_size, (void *type))                                         \
	X(char *, enum_dictionary_value, (void *type, uint64_t i))                              \
	X(void *, list_type_child_type, (void *type))                                           \
	X(void *, array_type_child_type, (void *type))                                          \
	X(uint64_t, array_type_array_size, (void *type))                                        \
	X(void *, map_type_key_type, (void *type))                                              \
	X(void *, map_type_value_type, (void *type))                                            \
	X(uint64_t, struct_type_child_count, (void *type))                                      \
	X(char *, struct_type_child_name, (void *type, uint64_t i))                             \
	X(void *, struct_type_child_type, (void *type, uint64_t i))

struct duck {
	void *library;
#define DUCK_MEMBER(type, name, parameters) type(*name) parameters;
	DUCK_FUNCTIONS(DUCK_MEMBER)
#undef DUCK_MEMBER
	void *db, *connection;
};

/* Loads the library; a missing function says which, and that the library is of another version. */
rc_t duck_load(struct duck *d, const char *path, struct err *reterr);
/* Runs a statement of ours for its effect. */
rc_t duck_do(struct duck *d, const char *sql, struct err *reterr);
/* The library's message on one line, without its class and the echo of the statement; rc by its error type (0: unknown). */
rc_t duck_error(int type, const char *message, struct err *reterr);

static inline const char *duck_string_data(const struct duck_string *s)
{
	if (s->length <= sizeof(s->u.inlined))
		return s->u.inlined;
	const char *p;
	__builtin_memcpy(&p, s->u.out.pointer, sizeof(p));
	return p;
}

static inline bool duck_valid(const uint64_t *validity, uint64_t row)
{
	return !validity || (validity[row >> 6] >> (row & 63) & 1);
}

#endif
