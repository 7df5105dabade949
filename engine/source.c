// The table function arrow_source('name'): Arrow batches in memory, read by
// several threads, only the columns that the statement uses, without a copy.
//
// It is C and not Go because DuckDB calls it from its own threads a few
// thousand times a second, and because a fault in it must not unwind through
// foreign frames. Vectors point into the batches' memory, which the caller
// keeps until the statement's result is destroyed; nothing here frees it.

#include "arrow.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define VECTOR_SIZE 2048
#define TYPE_VARCHAR 17

struct weft_source {
  char *name;
  struct weft_schema *schema;
  struct weft_array *empty;
  struct weft_array *batches;
  int64_t n_batches;
  struct weft_source *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct weft_source *sources;

static struct weft_source *find(const char *name) {
  for (struct weft_source *s = sources; s; s = s->next) {
    if (strcmp(s->name, name) == 0) return s;
  }
  return NULL;
}

struct weft_source *weft_source_add(const char *name, struct weft_schema *schema, struct weft_array *empty,
                                    struct weft_array *batches, int64_t n_batches) {
  struct weft_source *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->name = strdup(name);
  s->schema = schema;
  s->empty = empty;
  s->batches = batches;
  s->n_batches = n_batches;
  pthread_mutex_lock(&lock);
  if (!s->name || find(name)) {
    pthread_mutex_unlock(&lock);
    free(s->name);
    free(s);
    return NULL;
  }
  s->next = sources;
  sources = s;
  pthread_mutex_unlock(&lock);
  return s;
}

bool weft_source_look(const char *name, const struct weft_schema **schema, const struct weft_array **batches, int64_t *n_batches) {
  pthread_mutex_lock(&lock);
  const struct weft_source *s = find(name);
  pthread_mutex_unlock(&lock);
  if (!s) return false;
  *schema = s->schema;
  *batches = s->batches;
  *n_batches = s->n_batches;
  return true;
}

void weft_source_remove(struct weft_source *s) {
  pthread_mutex_lock(&lock);
  for (struct weft_source **p = &sources; *p; p = &(*p)->next) {
    if (*p == s) {
      *p = s->next;
      break;
    }
  }
  pthread_mutex_unlock(&lock);
  free(s->name);
  free(s);
}

// failed reports an error_data through set and destroys it.
static bool failed(void *err, void *info, void (*set)(void *, const char *)) {
  bool bad = err && duckdb_error_data_has_error(err);
  if (bad) set(info, duckdb_error_data_message(err));
  if (err) duckdb_destroy_error_data(&err);
  return bad;
}

// A part is a run of at most VECTOR_SIZE rows of one batch: one struct array
// whose children are the projected columns, moved along by their offsets. DuckDB
// owns it and releases it with its last vector.

static void keep(struct weft_array *a) { a->release = NULL; }

static void release_part(struct weft_array *a) {
  if (!a->release) return;
  a->release = NULL;
  free(a->private_data);
}

// make_part fills *out, or returns false when memory is short. columns may be
// fewer than the batch has; their buffers are the batch's own.
static bool make_part(struct weft_array *out, struct weft_array *batch, const uint64_t *cols, uint64_t n, int64_t offset,
                      int64_t length) {
  char *block = calloc(1, sizeof(void *) + n * (sizeof(struct weft_array *) + sizeof(struct weft_array)));
  if (!block) return false;
  const void **buffers = (const void **)block; // one buffer: the validity that a record batch does not have
  struct weft_array **pointers = (struct weft_array **)(block + sizeof(void *));
  struct weft_array *columns = (struct weft_array *)(pointers + n);
  for (uint64_t i = 0; i < n; i++) {
    columns[i] = *batch->children[cols[i]];
    columns[i].offset += batch->offset + offset;
    columns[i].length = length;
    if (columns[i].null_count != 0) columns[i].null_count = -1; // of the part: unknown
    columns[i].release = keep;
    columns[i].private_data = NULL;
    pointers[i] = &columns[i];
  }
  memset(out, 0, sizeof *out);
  out->length = length;
  out->n_buffers = 1;
  out->buffers = buffers;
  out->n_children = (int64_t)n;
  out->children = pointers;
  out->release = release_part;
  out->private_data = block;
  return true;
}

// connection is the one that the function is registered on; it outlives every
// statement.
static void bind(void *info) {
  void *connection = duckdb_bind_get_extra_info(info);
  void *value = duckdb_bind_get_parameter(info, 0);
  char *name = duckdb_get_varchar(value);
  duckdb_destroy_value(&value);
  pthread_mutex_lock(&lock);
  struct weft_source *s = name ? find(name) : NULL;
  pthread_mutex_unlock(&lock);
  duckdb_free(name);
  if (!s) {
    duckdb_bind_set_error(info, "no such Arrow source");
    return;
  }
  void *converted = NULL, *chunk = NULL;
  if (failed(duckdb_schema_from_arrow(connection, s->schema, &converted), info, duckdb_bind_set_error)) return;
  uint64_t n = (uint64_t)s->schema->n_children, *cols = calloc(n + 1, sizeof *cols);
  struct weft_array part;
  for (uint64_t i = 0; cols && i < n; i++) cols[i] = i;
  if (!cols || !make_part(&part, s->empty, cols, n, 0, 0)) {
    duckdb_bind_set_error(info, "out of memory");
  } else if (!failed(duckdb_data_chunk_from_arrow(connection, &part, converted, &chunk), info, duckdb_bind_set_error)) {
    // The vectors of an empty chunk say which types DuckDB makes of the schema.
    for (uint64_t i = 0; i < n; i++) {
      void *type = duckdb_vector_get_column_type(duckdb_data_chunk_get_vector(chunk, i));
      duckdb_bind_add_result_column(info, s->schema->children[i]->name, type);
      duckdb_destroy_logical_type(&type);
    }
    duckdb_destroy_data_chunk(&chunk);
    uint64_t rows = 0;
    for (int64_t i = 0; i < s->n_batches; i++) rows += (uint64_t)s->batches[i].length;
    duckdb_bind_set_cardinality(info, rows, true);
    duckdb_bind_set_bind_data(info, s, NULL);
  }
  free(cols);
  duckdb_destroy_arrow_converted_schema(&converted);
}

// A scan is the shared state of one execution.
struct scan {
  void *connection;
  struct weft_source *source;
  void *converted;
  uint64_t n; // projected columns
  uint64_t *cols;
  uint64_t *slots; // where each goes in the output chunk
  int64_t next;    // batch to hand out next, atomic
};

static void free_scan(void *p) {
  struct scan *sc = p;
  if (sc->converted) duckdb_destroy_arrow_converted_schema(&sc->converted);
  free(sc->cols);
  free(sc->slots);
  free(sc);
}

extern void *duckdb_init_get_extra_info(void *info);

static void init(void *info) {
  struct weft_source *s = duckdb_init_get_bind_data(info);
  uint64_t count = duckdb_init_get_column_count(info), fields = (uint64_t)s->schema->n_children;
  struct scan *sc = calloc(1, sizeof *sc);
  if (sc) {
    sc->cols = calloc(count + 1, sizeof *sc->cols);
    sc->slots = calloc(count + 1, sizeof *sc->slots);
  }
  struct weft_schema **children = calloc(count + 1, sizeof *children);
  if (!sc || !sc->cols || !sc->slots || !children) {
    if (sc) free_scan(sc);
    free(children);
    duckdb_init_set_error(info, "out of memory");
    return;
  }
  sc->connection = duckdb_init_get_extra_info(info);
  sc->source = s;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t c = duckdb_init_get_column_index(info, i);
    if (c >= fields) continue; // a row id or no column at all, as count(*) asks for
    sc->cols[sc->n] = c;
    sc->slots[sc->n] = i;
    children[sc->n++] = s->schema->children[c];
  }
  struct weft_schema projected = *s->schema;
  projected.n_children = (int64_t)sc->n;
  projected.children = children;
  bool bad = sc->n > 0 &&
             failed(duckdb_schema_from_arrow(sc->connection, &projected, &sc->converted), info, duckdb_init_set_error);
  free(children);
  if (bad) {
    free_scan(sc);
    return;
  }
  duckdb_init_set_max_threads(info, s->n_batches > 1 ? (uint64_t)s->n_batches : 1);
  duckdb_init_set_init_data(info, sc, free_scan);
}

// A place is where one thread is.
struct place {
  struct weft_array *batch;
  int64_t offset;
};

static void local_init(void *info) {
  struct place *p = calloc(1, sizeof *p);
  if (!p) {
    duckdb_init_set_error(info, "out of memory");
    return;
  }
  duckdb_init_set_init_data(info, p, free);
}

static void scan(void *info, void *out) {
  struct scan *sc = duckdb_function_get_init_data(info);
  struct place *p = duckdb_function_get_local_init_data(info);
  while (!p->batch || p->offset >= p->batch->length) {
    int64_t i = __atomic_fetch_add(&sc->next, 1, __ATOMIC_RELAXED);
    if (i >= sc->source->n_batches) {
      duckdb_data_chunk_set_size(out, 0);
      return;
    }
    p->batch = &sc->source->batches[i];
    p->offset = 0;
  }
  int64_t rows = p->batch->length - p->offset;
  if (rows > VECTOR_SIZE) rows = VECTOR_SIZE;
  if (sc->n > 0) {
    struct weft_array part;
    void *chunk = NULL;
    if (!make_part(&part, p->batch, sc->cols, sc->n, p->offset, rows)) {
      duckdb_function_set_error(info, "out of memory");
      return;
    }
    void *err = duckdb_data_chunk_from_arrow(sc->connection, &part, sc->converted, &chunk);
    if (failed(err, info, duckdb_function_set_error)) return;
    for (uint64_t i = 0; i < sc->n; i++) {
      duckdb_vector_reference_vector(duckdb_data_chunk_get_vector(out, sc->slots[i]), duckdb_data_chunk_get_vector(chunk, i));
    }
    duckdb_destroy_data_chunk(&chunk);
  }
  duckdb_data_chunk_set_size(out, (uint64_t)rows);
  p->offset += rows;
}

int weft_source_register(void *connection) {
  void *f = duckdb_create_table_function(), *text = duckdb_create_logical_type(TYPE_VARCHAR);
  duckdb_table_function_set_name(f, "arrow_source");
  duckdb_table_function_add_parameter(f, text);
  duckdb_destroy_logical_type(&text);
  duckdb_table_function_set_extra_info(f, connection, NULL);
  duckdb_table_function_set_bind(f, bind);
  duckdb_table_function_set_init(f, init);
  duckdb_table_function_set_local_init(f, local_init);
  duckdb_table_function_set_function(f, scan);
  duckdb_table_function_supports_projection_pushdown(f, true);
  int state = duckdb_register_table_function(connection, f);
  duckdb_destroy_table_function(&f);
  return state;
}
