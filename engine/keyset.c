// The scalar function weft_unchanged('name', key, …), which stands in the place of
// an anti join: nothing is built for a query, and what it filters can still be
// found by the zone maps of its files.
//
// Keys are compared byte by byte in the one encoding that the store has for
// them; a small filter that stays in the processor's cache answers for nearly
// all that are in no set. What the sets say of offsets and lengths is checked
// before it is followed: they lie in memory and in files.

#include "keyset.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS 64

// What is used of DuckDB's C API.
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
extern void duckdb_destroy_value(void **value);
extern void duckdb_free(void *p);
extern void *duckdb_create_logical_type(int type);
extern void duckdb_destroy_logical_type(void **type);
extern int duckdb_get_type_id(void *type);
extern int duckdb_decimal_internal_type(void *type);
extern uint64_t duckdb_data_chunk_get_size(void *chunk);
extern void *duckdb_data_chunk_get_vector(void *chunk, uint64_t index);
extern void *duckdb_vector_get_data(void *vector);
extern uint64_t *duckdb_vector_get_validity(void *vector);

enum { // DuckDB's numbers of types
  T_BOOLEAN = 1, T_TINYINT = 2, T_SMALLINT = 3, T_INTEGER = 4, T_BIGINT = 5, T_UTINYINT = 6, T_USMALLINT = 7,
  T_UINTEGER = 8, T_UBIGINT = 9, T_TIMESTAMP = 12, T_DATE = 13, T_TIME = 14, T_HUGEINT = 16, T_VARCHAR = 17,
  T_DECIMAL = 19, T_UUID = 27, T_TIMESTAMP_TZ = 31, T_ANY = 34
};

struct weft_keysets {
  char *name;
  uint64_t n;
  struct weft_keyset *sets;
  struct weft_keysets *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct weft_keysets *all;

static struct weft_keysets *find(const char *name) {
  for (struct weft_keysets *k = all; k; k = k->next) {
    if (strcmp(k->name, name) == 0) return k;
  }
  return NULL;
}

static void free_keysets(struct weft_keysets *k) {
  if (!k) return;
  free(k->name);
  free(k->sets);
  free(k);
}

struct weft_keysets *weft_keysets_add(const char *name, const struct weft_keyset *sets, uint64_t n) {
  struct weft_keysets *k = calloc(1, sizeof *k);
  if (!k) return NULL;
  k->name = strdup(name);
  k->n = n;
  k->sets = calloc(n + 1, sizeof *sets);
  if (!k->name || !k->sets) {
    free_keysets(k);
    return NULL;
  }
  memcpy(k->sets, sets, n * sizeof *sets);
  pthread_mutex_lock(&lock);
  if (find(name)) {
    pthread_mutex_unlock(&lock);
    free_keysets(k);
    return NULL;
  }
  k->next = all;
  all = k;
  pthread_mutex_unlock(&lock);
  return k;
}

void weft_keysets_remove(struct weft_keysets *k) {
  pthread_mutex_lock(&lock);
  for (struct weft_keysets **p = &all; *p; p = &(*p)->next) {
    if (*p == k) {
      *p = k->next;
      break;
    }
  }
  pthread_mutex_unlock(&lock);
  free_keysets(k);
}

// A call is one place in a statement where the function stands.
struct call {
  struct weft_keysets *sets;
  uint64_t columns;
  uint64_t width; // of an encoded key, 0 where there is text in it
  int types[MAX_COLUMNS];
};

static void *copy_call(void *p) {
  struct call *c = malloc(sizeof *c);
  if (c) memcpy(c, p, sizeof *c);
  return c;
}

// physical is the type that tells how a column's values lie in memory; 0 is
// one that cannot be part of a key.
static int physical(void *type) {
  int id = duckdb_get_type_id(type);
  if (id != T_DECIMAL) return id;
  switch (duckdb_decimal_internal_type(type)) {
  case T_SMALLINT: return -T_SMALLINT; // below zero: as 16 bytes
  case T_INTEGER: return -T_INTEGER;
  case T_BIGINT: return -T_BIGINT;
  case T_HUGEINT: return -T_HUGEINT;
  }
  return 0;
}

// encoded is the length of a column's encoding, 0 of text, -1 of what cannot be.
static int encoded(int type) {
  switch (type) {
  case T_BOOLEAN:
    return 1;
  case T_TINYINT: case T_SMALLINT: case T_INTEGER: case T_BIGINT: case T_UTINYINT: case T_USMALLINT: case T_UINTEGER: case T_UBIGINT:
  case T_TIMESTAMP: case T_TIMESTAMP_TZ: case T_DATE: case T_TIME:
    return 8;
  case T_UUID: case -T_SMALLINT: case -T_INTEGER: case -T_BIGINT: case -T_HUGEINT:
    return 16;
  case T_VARCHAR:
    return 0;
  }
  return -1;
}

// first_argument returns the constant text, to be freed by duckdb_free.
static char *first_argument(void *info) {
  void *e = duckdb_scalar_function_bind_get_argument(info, 0), *context = NULL, *value = NULL;
  char *text = NULL;
  if (e && duckdb_expression_is_foldable(e)) {
    duckdb_scalar_function_get_client_context(info, &context);
    void *err = duckdb_expression_fold(context, e, &value);
    if (!(err && duckdb_error_data_has_error(err)) && value) text = duckdb_get_varchar(value);
    if (err) duckdb_destroy_error_data(&err);
    if (value) duckdb_destroy_value(&value);
    duckdb_destroy_client_context(&context);
  }
  if (e) duckdb_destroy_expression(&e);
  return text;
}

static void bind(void *info) {
  char *name = first_argument(info);
  pthread_mutex_lock(&lock);
  struct weft_keysets *k = name ? find(name) : NULL;
  pthread_mutex_unlock(&lock);
  if (name) duckdb_free(name);
  uint64_t n = duckdb_scalar_function_bind_get_argument_count(info);
  if (!k || n < 2 || n > MAX_COLUMNS) {
    duckdb_scalar_function_bind_set_error(info, "no such set of keys");
    return;
  }
  struct call *c = calloc(1, sizeof *c);
  if (!c) {
    duckdb_scalar_function_bind_set_error(info, "out of memory");
    return;
  }
  c->sets = k;
  c->columns = n - 1;
  bool text = false;
  for (uint64_t i = 0; i < c->columns; i++) {
    void *e = duckdb_scalar_function_bind_get_argument(info, i + 1), *type = duckdb_expression_return_type(e);
    c->types[i] = physical(type);
    duckdb_destroy_logical_type(&type);
    duckdb_destroy_expression(&e);
    int w = encoded(c->types[i]);
    if (w < 0) {
      duckdb_scalar_function_bind_set_error(info, "a column of this type is no part of a key");
      free(c);
      return;
    }
    text = text || w == 0;
    c->width += (uint64_t)w;
  }
  if (text) c->width = 0;
  for (uint64_t i = 0; i < k->n; i++) {
    if (k->sets[i].width != c->width) {
      duckdb_scalar_function_bind_set_error(info, "the set has keys of other columns");
      free(c);
      return;
    }
  }
  duckdb_scalar_function_set_bind_data_copy(info, copy_call);
  duckdb_scalar_function_set_bind_data(info, c, free);
}

// number reads a number of up to eight bytes.
static inline uint64_t number(int type, const void *data, uint64_t i) {
  switch (type) {
  case T_TINYINT: return (uint64_t)(int64_t)((const int8_t *)data)[i];
  case T_SMALLINT: return (uint64_t)(int64_t)((const int16_t *)data)[i];
  case T_INTEGER: case T_DATE: return (uint64_t)(int64_t)((const int32_t *)data)[i];
  case T_UTINYINT: return ((const uint8_t *)data)[i];
  case T_USMALLINT: return ((const uint16_t *)data)[i];
  case T_UINTEGER: return ((const uint32_t *)data)[i];
  }
  return ((const uint64_t *)data)[i];
}

// The encoding is big-endian; the machines that Weft runs on are little-endian.
static inline void put(uint8_t *to, uint64_t v) {
  v = __builtin_bswap64(v);
  memcpy(to, &v, 8);
}

static const uint64_t sign = (uint64_t)1 << 63;

// put_number writes a number so that its bytes sort as it does.
static inline void put_number(int type, const void *data, uint64_t i, uint8_t *to) {
  uint64_t v = number(type, data, i);
  bool is_unsigned = type == T_UTINYINT || type == T_USMALLINT || type == T_UINTEGER || type == T_UBIGINT;
  put(to, is_unsigned ? v : v ^ sign);
}

union text { // duckdb_string_t
  struct {
    uint32_t length;
    char prefix[4];
    const char *p;
  } far;
  struct {
    uint32_t length;
    char bytes[12];
  } near;
};

// put_wide writes a column of 16 bytes. The engine keeps a UUID as a number with
// its sign turned over.
static void put_wide(int type, const void *data, uint64_t i, uint8_t *to) {
  uint64_t low, high;
  if (type == T_UUID || type == -T_HUGEINT) {
    low = ((const uint64_t *)data)[2 * i];
    high = ((const uint64_t *)data)[2 * i + 1];
  } else {
    low = number(-type, data, i);
    high = (int64_t)low < 0 ? ~(uint64_t)0 : 0;
  }
  put(to, high ^ sign);
  put(to + 8, low);
}

// put_one writes a value of a column of fixed width and returns the end.
static inline uint8_t *put_one(int type, const void *data, uint64_t i, uint8_t *to) {
  switch (encoded(type)) {
  case 1:
    *to = ((const uint8_t *)data)[i] != 0;
    return to + 1;
  case 8:
    put_number(type, data, i, to);
    return to + 8;
  }
  put_wide(type, data, i, to);
  return to + 16;
}

// put_text writes a text with a mark at its end, so that none is the beginning
// of another.
static uint8_t *put_text(const union text *t, uint8_t *to) {
  uint32_t length = t->near.length;
  const char *p = length <= 12 ? t->near.bytes : t->far.p;
  if (!memchr(p, 0, length)) {
    memcpy(to, p, length);
    to += length;
  } else {
    for (uint32_t i = 0; i < length; i++) {
      *to++ = (uint8_t)p[i];
      if (!p[i]) *to++ = 0xff;
    }
  }
  *to++ = 0;
  *to++ = 1;
  return to;
}

// keys are the encoded keys of one chunk.
struct keys {
  uint8_t *bytes;
  uint64_t *ends; // NULL where all are of one width
};

static bool encode_fixed(const struct call *c, void **data, uint64_t n, struct keys *out) {
  out->bytes = malloc(n * c->width + 8);
  if (!out->bytes) return false;
  uint64_t at = 0;
  for (uint64_t k = 0; k < c->columns; k++) {
    int type = c->types[k];
    uint8_t *to = out->bytes + at;
    if (type == T_BIGINT) { // the one that matters most
      for (uint64_t i = 0; i < n; i++) put(to + i * c->width, ((const uint64_t *)data[k])[i] ^ sign);
    } else {
      for (uint64_t i = 0; i < n; i++) put_one(type, data[k], i, to + i * c->width);
    }
    at += (uint64_t)encoded(type);
  }
  return true;
}

static bool encode_text(const struct call *c, void **data, const uint8_t *null, uint64_t n, struct keys *out) {
  uint64_t size = 8;
  for (uint64_t k = 0; k < c->columns; k++) {
    if (c->types[k] != T_VARCHAR) {
      size += n * (uint64_t)encoded(c->types[k]);
      continue;
    }
    const union text *t = data[k];
    for (uint64_t i = 0; i < n; i++) {
      if (!null[i]) size += 2 * (uint64_t)t[i].near.length + 2;
    }
  }
  out->bytes = malloc(size);
  out->ends = malloc(n * sizeof *out->ends);
  if (!out->bytes || !out->ends) return false;
  uint8_t *to = out->bytes;
  for (uint64_t i = 0; i < n; i++) {
    for (uint64_t k = 0; k < c->columns && !null[i]; k++) {
      int type = c->types[k];
      to = type == T_VARCHAR ? put_text((const union text *)data[k] + i, to) : put_one(type, data[k], i, to);
    }
    out->ends[i] = (uint64_t)(to - out->bytes);
  }
  return true;
}

static inline uint64_t mix(uint64_t h) {
  h ^= h >> 32;
  h *= 0xd6e8feb86659fd93ull;
  h ^= h >> 32;
  h *= 0xd6e8feb86659fd93ull;
  h ^= h >> 32;
  return h;
}

// hash is what keyset.go has as hashKey.
static inline uint64_t hash(const uint8_t *p, uint64_t n, uint64_t seed) {
  uint64_t h = seed + n * 0x9e3779b97f4a7c15ull, w;
  for (; n >= 8; p += 8, n -= 8) {
    memcpy(&w, p, 8);
    h = mix(h ^ w);
  }
  if (n > 0) {
    w = 0;
    memcpy(&w, p, n);
    h = mix(h ^ w);
  }
  return h;
}

static inline bool may_have(const struct weft_keyset *s, uint64_t h) {
  uint64_t bits = (uint64_t)1 << (h & 63) | (uint64_t)1 << (h >> 6 & 63) | (uint64_t)1 << (h >> 12 & 63) | (uint64_t)1 << (h >> 18 & 63);
  return (s->bloom[h >> 24 & s->bloom_mask] & bits) == bits;
}

// has looks a key up whose slots begin at at. The sets may grow meanwhile: a slot
// is written after what it points to.
static bool has(const struct weft_keyset *s, uint64_t h, uint64_t at, const uint8_t *key, uint64_t n) {
  for (uint64_t steps = 0; steps <= s->slot_mask; steps++, at = (at + 1) & s->slot_mask) {
    uint64_t slot = __atomic_load_n(&s->slots[at], __ATOMIC_ACQUIRE);
    if (slot == 0) return false;
    uint64_t i = (slot & 0xffffffff) - 1;
    if (slot >> 32 != h >> 32 || i >= s->capacity) continue;
    if (s->width) {
      if (memcmp(s->bytes + i * s->width, key, s->width) != 0) continue;
    } else {
      uint64_t from = i ? s->ends[i - 1] : 0, to = s->ends[i];
      if (to > s->room || from > to || to - from != n || memcmp(s->bytes + from, key, n) != 0) continue;
    }
    return s->numbers[i] <= s->upto;
  }
  return false;
}

// fetch brings near what has is going to read of a key's first slot.
static inline void fetch(const struct weft_keyset *s, uint64_t at) {
  uint64_t i = (__atomic_load_n(&s->slots[at], __ATOMIC_RELAXED) & 0xffffffff) - 1;
  if (i >= s->capacity) return;
  __builtin_prefetch(&s->numbers[i]);
  __builtin_prefetch(s->width ? (const void *)(s->bytes + i * s->width) : (const void *)&s->ends[i]);
}

// chunk is what a chunk's keys are looked up with.
struct chunk {
  const struct call *call;
  struct keys keys;
  uint64_t n;
  uint8_t *null;
  uint64_t *hashes;
  uint32_t *maybe; // rows that the filter of a set lets through
  uint64_t *slots; // where they begin
  bool *unchanged;
};

static inline uint64_t key_at(const struct chunk *c, uint64_t i) {
  return c->keys.ends ? (i ? c->keys.ends[i - 1] : 0) : i * c->call->width;
}

static void hash_all(struct chunk *c, uint64_t seed) {
  if (c->call->width == 8) {
    for (uint64_t i = 0; i < c->n; i++) c->hashes[i] = hash(c->keys.bytes + 8 * i, 8, seed);
    return;
  }
  for (uint64_t i = 0, from = 0, to; i < c->n; i++, from = to) {
    to = c->keys.ends ? c->keys.ends[i] : from + c->call->width;
    c->hashes[i] = hash(c->keys.bytes + from, to - from, seed);
  }
}

// probe asks one set, in steps: each waits for the memory of many keys at once.
static void probe(struct chunk *c, const struct weft_keyset *s) {
  uint64_t m = 0;
  for (uint64_t i = 0; i < c->n; i++) {
    c->maybe[m] = (uint32_t)i;
    m += may_have(s, c->hashes[i]);
  }
  for (uint64_t j = 0; j < m; j++) {
    c->slots[j] = (c->hashes[c->maybe[j]] * 0x9e3779b97f4a7c15ull) >> s->slot_shift;
    __builtin_prefetch(&s->slots[c->slots[j]]);
  }
  for (uint64_t j = 0; j < m; j++) fetch(s, c->slots[j]);
  for (uint64_t j = 0; j < m; j++) {
    uint64_t i = c->maybe[j], from = key_at(c, i);
    uint64_t length = c->keys.ends ? c->keys.ends[i] - from : c->call->width;
    if (!c->null[i] && has(s, c->hashes[i], c->slots[j], c->keys.bytes + from, length)) c->unchanged[i] = false;
  }
}

static void unchanged(void *info, void *vectors, void *output) {
  struct chunk c = {.call = duckdb_scalar_function_get_bind_data(info), .n = duckdb_data_chunk_get_size(vectors)};
  c.unchanged = duckdb_vector_get_data(output);
  memset(c.unchanged, true, c.n);
  void *data[MAX_COLUMNS];
  c.null = calloc(c.n + 1, 1);
  c.hashes = malloc((c.n + 1) * (2 * sizeof(uint64_t) + sizeof(uint32_t)));
  bool ok = c.null && c.hashes;
  for (uint64_t i = 0; ok && i < c.call->columns; i++) {
    void *v = duckdb_data_chunk_get_vector(vectors, i + 1);
    data[i] = duckdb_vector_get_data(v);
    uint64_t *valid = duckdb_vector_get_validity(v);
    for (uint64_t r = 0; valid && r < c.n; r++) c.null[r] |= !(valid[r / 64] >> (r % 64) & 1);
  }
  ok = ok && (c.call->width ? encode_fixed(c.call, data, c.n, &c.keys) : encode_text(c.call, data, c.null, c.n, &c.keys));
  if (ok) {
    c.slots = c.hashes + c.n + 1;
    c.maybe = (uint32_t *)(c.slots + c.n + 1);
    const struct weft_keysets *k = c.call->sets;
    for (uint64_t j = 0; j < k->n; j++) {
      if (j == 0 || k->sets[j].seed != k->sets[j - 1].seed) hash_all(&c, k->sets[j].seed); // mostly all have one
      probe(&c, &k->sets[j]);
    }
  } else {
    duckdb_scalar_function_set_error(info, "out of memory");
  }
  free(c.keys.bytes);
  free(c.keys.ends);
  free(c.hashes);
  free(c.null);
}

int weft_keysets_register(void *connection) {
  void *f = duckdb_create_scalar_function(), *text = duckdb_create_logical_type(T_VARCHAR),
       *any = duckdb_create_logical_type(T_ANY), *boolean = duckdb_create_logical_type(T_BOOLEAN);
  duckdb_scalar_function_set_name(f, "weft_unchanged");
  duckdb_scalar_function_add_parameter(f, text);
  duckdb_scalar_function_set_varargs(f, any);
  duckdb_scalar_function_set_return_type(f, boolean);
  duckdb_scalar_function_set_special_handling(f); // a null is no key: true
  duckdb_scalar_function_set_bind(f, bind);
  duckdb_scalar_function_set_function(f, unchanged);
  int state = duckdb_register_scalar_function(connection, f);
  duckdb_destroy_logical_type(&text);
  duckdb_destroy_logical_type(&any);
  duckdb_destroy_logical_type(&boolean);
  duckdb_destroy_scalar_function(&f);
  return state;
}
