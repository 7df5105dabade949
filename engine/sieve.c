// The scalar functions weft_has('name', value), which stands in the place of a semi-join with
// the keys that came with a question, and weft_may_have('name', value), which stands beside
// one. A join looks each row up in a table that is larger than the processor's cache; these
// look at a bit.
//
// Where the keys lie close to each other there is a bit for each number between the least
// and the largest, which says all; else a filter after Bloom with one word for a key, as in
// keyset.c, and what it lets through is joined still.

#include "sieve.h"

#include "arrow.h"
#include "keycode.h"
#include "scalar.h"

#include <stdatomic.h>

#define MOST_BYTES ((uint64_t)8 << 20) // of a sieve
#define BYTES_A_KEY 64                 // and for each key, where there is a bit for each number
#define LEAST_BYTES ((uint64_t)64 << 10)

// A sieve is not changed once it is made; every place that has it counts.
struct sieve {
  atomic_int used;
  int type;       // of the values that are asked for
  int64_t least;  // of the keys
  uint64_t range; // of the bits: from least on; 0 for a Bloom filter
  uint64_t mask;  // of its words
  uint64_t words[];
};

static void drop(void *p) {
  struct sieve *s = p;
  if (s && atomic_fetch_sub(&s->used, 1) == 1) free(s);
}

static void *keep(void *p) {
  struct sieve *s = p;
  if (s) atomic_fetch_add(&s->used, 1);
  return s;
}

static inline void put(struct sieve *s, int64_t v) {
  if (s->range) {
    uint64_t at = (uint64_t)v - (uint64_t)s->least;
    s->words[at / 64] |= (uint64_t)1 << at % 64;
    return;
  }
  uint64_t h = weft_mix((uint64_t)v);
  s->words[h >> 24 & s->mask] |= weft_four_bits(h);
}

// bloom_has says whether a Bloom filter lets a number through.
static inline bool bloom_has(const struct sieve *s, int64_t v) {
  uint64_t h = weft_mix((uint64_t)v), bits = weft_four_bits(h);
  return (s->words[h >> 24 & s->mask] & bits) == bits;
}

// FOR does something for each of n numbers of a type, as v.
#define EACH(T, data, n, what)                         \
  for (int64_t i = 0; i < (int64_t)(n); i++) {         \
    int64_t v = (int64_t)((const T *)(data))[i];       \
    what;                                              \
  }

#define FOR(type, data, n, what)                           \
  switch (type) {                                          \
    case T_TINYINT: EACH(int8_t, data, n, what) break;     \
    case T_SMALLINT: EACH(int16_t, data, n, what) break;   \
    case T_INTEGER: EACH(int32_t, data, n, what) break;    \
    case T_BIGINT: EACH(int64_t, data, n, what) break;     \
    case T_UTINYINT: EACH(uint8_t, data, n, what) break;   \
    case T_USMALLINT: EACH(uint16_t, data, n, what) break; \
    case T_UINTEGER: EACH(uint32_t, data, n, what) break;  \
  }

static bool is_number(int type) { return (type >= T_TINYINT && type <= T_BIGINT) || (type >= T_UTINYINT && type <= T_UINTEGER); }

// number_of is the engine's type of an Arrow format, 0 where it is no whole number that
// fits 64 bits with a sign.
static int number_of(const char *format) {
  static const char formats[] = "csilCSI";
  static const int types[] = {T_TINYINT, T_SMALLINT, T_INTEGER, T_BIGINT, T_UTINYINT, T_USMALLINT, T_UINTEGER};
  const char *at = format && format[0] && !format[1] ? strchr(formats, format[0]) : NULL;
  return at ? types[at - formats] : 0;
}

// sieve_of makes the sieve of a source's first column, NULL where there can be none.
static struct sieve *sieve_of(const struct weft_schema *schema, const struct weft_array *batches, int64_t n) {
  int type = schema->n_children > 0 && !schema->children[0]->dictionary ? number_of(schema->children[0]->format) : 0;
  if (!type) return NULL;
  uint64_t keys = 0;
  int64_t least = INT64_MAX, most = INT64_MIN;
  for (int64_t b = 0; b < n; b++) {
    const struct weft_array *a = batches[b].children[0];
    if (batches[b].offset || a->offset || (a->null_count && a->buffers[0])) return NULL; // NULL is in no sieve
    FOR(type, a->buffers[1], a->length, least = v < least ? v : least; most = v > most ? v : most)
    keys += (uint64_t)a->length;
  }
  if (!keys) return NULL;
  uint64_t range = (uint64_t)most - (uint64_t)least + 1, words = range / 64 + 1; // 0 for all numbers that there are
  uint64_t room = keys * BYTES_A_KEY + LEAST_BYTES;
  if (range == 0 || words * 8 > (room < MOST_BYTES ? room : MOST_BYTES)) {
    range = 0;
    for (words = 2; words < keys / 4; words *= 2) {
    }
    if (words * 8 > MOST_BYTES) return NULL;
  }
  struct sieve *s = calloc(1, sizeof *s + words * sizeof(uint64_t));
  if (!s) return NULL;
  s->used = 1;
  s->least = least;
  s->range = range;
  s->mask = words - 1;
  for (int64_t b = 0; b < n; b++) {
    const struct weft_array *a = batches[b].children[0];
    FOR(type, a->buffers[1], a->length, put(s, v))
  }
  return s;
}

// sieve_for is the sieve that a function is bound with, NULL where there can be none.
static struct sieve *sieve_for(void *info) {
  struct sieve *s = NULL;
  void *e = duckdb_scalar_function_bind_get_argument(info, 1), *type = duckdb_expression_return_type(e);
  int of = duckdb_get_type_id(type);
  duckdb_destroy_logical_type(&type);
  duckdb_destroy_expression(&e);
  char *name = is_number(of) ? weft_first_argument(info) : NULL;
  const struct weft_schema *schema;
  const struct weft_array *batches;
  int64_t n;
  if (name && weft_source_look(name, &schema, &batches, &n)) s = sieve_of(schema, batches, n);
  if (name) duckdb_free(name);
  if (s) s->type = of;
  return s;
}

static void hold(void *info, struct sieve *s) {
  duckdb_scalar_function_set_bind_data_copy(info, keep);
  duckdb_scalar_function_set_bind_data(info, s, drop);
}

static void bind_may_have(void *info) {
  struct sieve *s = sieve_for(info);
  if (s) hold(info, s); // else it says nothing
}

static void bind_has(void *info) {
  struct sieve *s = sieve_for(info);
  if (s && s->range) {
    hold(info, s);
    return;
  }
  drop(s);
  duckdb_scalar_function_bind_set_error(info, "weft_has does not know these keys or this type");
}

// look asks a sieve for n values, and says unknown of NULL.
static void look(const struct sieve *s, void *values, uint64_t n, bool *out, bool unknown) {
  void *data = duckdb_vector_get_data(values);
  if (s->range) {
    const uint64_t *words = s->words, range = s->range, least = (uint64_t)s->least;
    FOR(s->type, data, n, { // without a branch: which way it goes cannot be foreseen
      uint64_t at = (uint64_t)v - least;
      uint64_t in = at < range;
      at = in ? at : 0;
      out[i] = in & words[at / 64] >> at % 64;
    })
  } else {
    FOR(s->type, data, n, out[i] = bloom_has(s, v))
  }
  const uint64_t *valid = duckdb_vector_get_validity(values);
  for (uint64_t i = 0; valid && i < n; i++) {
    if (!(valid[i / 64] >> (i % 64) & 1)) out[i] = unknown;
  }
}

static void may_have(void *info, void *vectors, void *output) {
  const struct sieve *s = duckdb_scalar_function_get_bind_data(info);
  uint64_t n = duckdb_data_chunk_get_size(vectors);
  bool *out = duckdb_vector_get_data(output);
  if (s) {
    look(s, duckdb_data_chunk_get_vector(vectors, 1), n, out, true);
  } else {
    memset(out, true, n);
  }
}

static void has(void *info, void *vectors, void *output) {
  look(duckdb_scalar_function_get_bind_data(info), duckdb_data_chunk_get_vector(vectors, 1), duckdb_data_chunk_get_size(vectors),
       duckdb_vector_get_data(output), false);
}

static int with(void *connection, const char *name, void (*bind)(void *), void (*run)(void *, void *, void *)) {
  void *f = duckdb_create_scalar_function(), *text = duckdb_create_logical_type(T_VARCHAR), *any = duckdb_create_logical_type(T_ANY),
       *boolean = duckdb_create_logical_type(T_BOOLEAN);
  duckdb_scalar_function_set_name(f, name);
  duckdb_scalar_function_add_parameter(f, text);
  duckdb_scalar_function_add_parameter(f, any);
  duckdb_scalar_function_set_return_type(f, boolean);
  duckdb_scalar_function_set_special_handling(f); // NULL is asked for, too
  duckdb_scalar_function_set_bind(f, bind);
  duckdb_scalar_function_set_function(f, run);
  int state = duckdb_register_scalar_function(connection, f);
  duckdb_destroy_logical_type(&text);
  duckdb_destroy_logical_type(&any);
  duckdb_destroy_logical_type(&boolean);
  duckdb_destroy_scalar_function(&f);
  return state;
}

int weft_sieve_register(void *connection) {
  int state = with(connection, "weft_may_have", bind_may_have, may_have);
  return state ? state : with(connection, "weft_has", bind_has, has);
}
