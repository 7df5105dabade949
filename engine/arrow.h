// The few functions of DuckDB's C API that speak Arrow, declared here with
// plain pointers: the Go bindings only declare them behind a build tag.
#ifndef WEFT_ENGINE_ARROW_H
#define WEFT_ENGINE_ARROW_H

#include <stdbool.h>
#include <stdint.h>

// The Arrow C data interface.
struct weft_schema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct weft_schema **children;
  struct weft_schema *dictionary;
  void (*release)(struct weft_schema *);
  void *private_data;
};

struct weft_array {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct weft_array **children;
  struct weft_array *dictionary;
  void (*release)(struct weft_array *);
  void *private_data;
};

// duckdb_to_arrow_schema and friends return an error_data to be destroyed.
extern void *duckdb_to_arrow_schema(void *options, void **types, const char **names, uint64_t columns, void *out_schema);
extern void *duckdb_data_chunk_to_arrow(void *options, void *chunk, void *out_array);
extern void *duckdb_schema_from_arrow(void *connection, void *schema, void **out_converted);
extern void *duckdb_data_chunk_from_arrow(void *connection, void *array, void *converted, void **out_chunk);
extern void duckdb_destroy_arrow_converted_schema(void **converted);
extern bool duckdb_error_data_has_error(void *error_data);
extern const char *duckdb_error_data_message(void *error_data);
extern void duckdb_destroy_error_data(void **error_data);

extern void *duckdb_create_table_function(void);
extern void duckdb_destroy_table_function(void **f);
extern void duckdb_table_function_set_name(void *f, const char *name);
extern void *duckdb_create_logical_type(int type);
extern void duckdb_destroy_logical_type(void **type);
extern void duckdb_table_function_add_parameter(void *f, void *type);
extern void duckdb_table_function_set_extra_info(void *f, void *info, void (*destroy)(void *));
extern void duckdb_table_function_set_bind(void *f, void (*bind)(void *));
extern void duckdb_table_function_set_init(void *f, void (*init)(void *));
extern void duckdb_table_function_set_local_init(void *f, void (*init)(void *));
extern void duckdb_table_function_set_function(void *f, void (*fn)(void *, void *));
extern void duckdb_table_function_supports_projection_pushdown(void *f, bool pushdown);
extern int duckdb_register_table_function(void *connection, void *f);
extern void *duckdb_bind_get_extra_info(void *info);
extern void *duckdb_bind_get_parameter(void *info, uint64_t index);
extern char *duckdb_get_varchar(void *value);
extern void duckdb_destroy_value(void **value);
extern void duckdb_free(void *p);
extern void duckdb_bind_add_result_column(void *info, const char *name, void *type);
extern void duckdb_bind_set_bind_data(void *info, void *data, void (*destroy)(void *));
extern void duckdb_bind_set_cardinality(void *info, uint64_t cardinality, bool exact);
extern void duckdb_bind_set_error(void *info, const char *error);
extern void *duckdb_init_get_bind_data(void *info);
extern void duckdb_init_set_init_data(void *info, void *data, void (*destroy)(void *));
extern uint64_t duckdb_init_get_column_count(void *info);
extern uint64_t duckdb_init_get_column_index(void *info, uint64_t index);
extern void duckdb_init_set_max_threads(void *info, uint64_t n);
extern void duckdb_init_set_error(void *info, const char *error);
extern void *duckdb_function_get_init_data(void *info);
extern void *duckdb_function_get_local_init_data(void *info);
extern void duckdb_function_set_error(void *info, const char *error);
extern void *duckdb_data_chunk_get_vector(void *chunk, uint64_t index);
extern void duckdb_data_chunk_set_size(void *chunk, uint64_t size);
extern void duckdb_destroy_data_chunk(void **chunk);
extern void *duckdb_vector_get_column_type(void *vector);
extern void duckdb_vector_reference_vector(void *to, void *from);

// A source: the exported batches of one arrow_source('name'). The memory that
// the arrays point to belongs to the caller and outlives the source.
struct weft_source;

// weft_source_add makes a source known under its name and returns it, or NULL
// when the name is taken or memory is short. schema, empty and batches are
// borrowed until weft_source_remove.
struct weft_source *weft_source_add(const char *name, struct weft_schema *schema, struct weft_array *empty,
                                    struct weft_array *batches, int64_t n_batches);
void weft_source_remove(struct weft_source *s);

// weft_source_look finds what a source has, false where there is none of that name. It is
// as long as the source is.
bool weft_source_look(const char *name, const struct weft_schema **schema, const struct weft_array **batches, int64_t *n_batches);

// weft_source_register installs arrow_source(VARCHAR) on a connection; 0 is success.
int weft_source_register(void *connection);

#endif
