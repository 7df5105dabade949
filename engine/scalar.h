// What scalar functions of the worker have in common: what they use of DuckDB's C API, and
// how a key finds its bits in a filter.
#ifndef WEFT_ENGINE_SCALAR_H
#define WEFT_ENGINE_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

extern void *duckdb_create_scalar_function(void);
extern void duckdb_destroy_scalar_function(void **f);
extern void duckdb_scalar_function_set_name(void *f, const char *name);
extern void duckdb_scalar_function_set_varargs(void *f, void *type);
extern void duckdb_scalar_function_set_special_handling(void *f);
extern void duckdb_scalar_function_add_parameter(void *f, void *type);
extern void duckdb_scalar_function_set_return_type(void *f, void *type);
extern void duckdb_scalar_function_set_bind(void *f, void (*bind)(void *));
extern void duckdb_scalar_function_set_bind_data(void *info, void *data, void (*destroy)(void *));
extern void duckdb_scalar_function_set_bind_data_copy(void *info, void *(*copy)(void *));
extern void duckdb_scalar_function_bind_set_error(void *info, const char *error);
extern void duckdb_scalar_function_set_function(void *f, void (*fn)(void *, void *, void *));
extern void duckdb_scalar_function_set_error(void *info, const char *error);
extern void *duckdb_scalar_function_get_bind_data(void *info);
extern void duckdb_scalar_function_get_client_context(void *info, void **context);
extern uint64_t duckdb_scalar_function_bind_get_argument_count(void *info);
extern void *duckdb_scalar_function_bind_get_argument(void *info, uint64_t index);
extern int duckdb_register_scalar_function(void *connection, void *f);
extern void duckdb_destroy_client_context(void **context);
extern void duckdb_destroy_expression(void **expression);
extern void *duckdb_expression_return_type(void *expression);
extern bool duckdb_expression_is_foldable(void *expression);
extern void *duckdb_expression_fold(void *context, void *expression, void **value);
extern bool duckdb_error_data_has_error(void *error_data);
extern void duckdb_destroy_error_data(void **error_data);
extern char *duckdb_get_varchar(void *value);
extern bool duckdb_is_null_value(void *value);
extern void duckdb_destroy_value(void **value);
extern void duckdb_free(void *p);
extern void *duckdb_create_logical_type(int type);
extern void duckdb_destroy_logical_type(void **type);
extern uint64_t duckdb_data_chunk_get_size(void *chunk);
extern void *duckdb_data_chunk_get_vector(void *chunk, uint64_t index);
extern void *duckdb_vector_get_data(void *vector);
extern uint64_t *duckdb_vector_get_validity(void *vector);
extern int duckdb_get_type_id(void *type);

// weft_first_argument returns the constant text that a scalar function is bound with first,
// to be freed by duckdb_free; NULL where it is none.
char *weft_first_argument(void *info);

// weft_mix spreads a number over all bits: mixKey of keyset.go.
static inline uint64_t weft_mix(uint64_t h) {
  h ^= h >> 32;
  h *= 0xd6e8feb86659fd93ull;
  h ^= h >> 32;
  h *= 0xd6e8feb86659fd93ull;
  return h ^ h >> 32;
}

// weft_four_bits are the bits of a Bloom filter's word that a mixed number has; bits 24 and
// above say which word it is.
static inline uint64_t weft_four_bits(uint64_t h) {
  return (uint64_t)1 << (h & 63) | (uint64_t)1 << (h >> 6 & 63) | (uint64_t)1 << (h >> 12 & 63) | (uint64_t)1 << (h >> 18 & 63);
}

#endif
