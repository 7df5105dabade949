// The scalar function weft_unchanged('name', since, key, …), which stands in the
// place of an anti join: nothing is built for a query, and what it filters can still
// be found by the zone maps of its files. A row asks only the sets of what came
// after it, so that rows of several levels can be asked by one call.
//
// Keys are compared byte by byte in the one encoding that the store has for
// them; a small filter that stays in the processor's cache answers for nearly
// all that are in no set. What the sets say of offsets and lengths is checked
// before it is followed: they lie in memory and in files.

#include "keycode.h"
#include "scalar.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

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

static void *copy_call(void *p) {
  struct call *c = malloc(sizeof *c);
  if (c) memcpy(c, p, sizeof *c);
  return c;
}

char *weft_first_argument(void *info) {
  void *e = duckdb_scalar_function_bind_get_argument(info, 0), *context = NULL, *value = NULL;
  char *text = NULL;
  if (e && duckdb_expression_is_foldable(e)) {
    duckdb_scalar_function_get_client_context(info, &context);
    void *err = duckdb_expression_fold(context, e, &value);
    if (!(err && duckdb_error_data_has_error(err)) && value && !duckdb_is_null_value(value)) text = duckdb_get_varchar(value);
    if (err) duckdb_destroy_error_data(&err);
    if (value) duckdb_destroy_value(&value);
    duckdb_destroy_client_context(&context);
  }
  if (e) duckdb_destroy_expression(&e);
  return text;
}

static void bind(void *info) {
  char *name = weft_first_argument(info);
  pthread_mutex_lock(&lock);
  struct weft_keysets *k = name ? find(name) : NULL;
  pthread_mutex_unlock(&lock);
  if (name) duckdb_free(name);
  uint64_t n = duckdb_scalar_function_bind_get_argument_count(info);
  if (!k || n < 3 || n - 2 > MAX_COLUMNS) {
    duckdb_scalar_function_bind_set_error(info, "no such set of keys");
    return;
  }
  struct call *c = calloc(1, sizeof *c);
  if (!c) {
    duckdb_scalar_function_bind_set_error(info, "out of memory");
    return;
  }
  c->sets = k;
  c->columns = n - 2;
  bool text = false;
  for (uint64_t i = 0; i < c->columns; i++) {
    void *e = duckdb_scalar_function_bind_get_argument(info, i + 2), *type = duckdb_expression_return_type(e);
    c->types[i] = weft_key_physical(type);
    duckdb_destroy_logical_type(&type);
    duckdb_destroy_expression(&e);
    int w = weft_key_encoded(c->types[i]);
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

// hash is what keyset.go has as hashKey.
static inline uint64_t hash(const uint8_t *p, uint64_t n, uint64_t seed) {
  uint64_t h = seed + n * 0x9e3779b97f4a7c15ull, w;
  for (; n >= 8; p += 8, n -= 8) {
    memcpy(&w, p, 8);
    h = weft_mix(h ^ w);
  }
  if (n > 0) {
    w = 0;
    memcpy(&w, p, n);
    h = weft_mix(h ^ w);
  }
  return h;
}

static inline bool may_have(const struct weft_keyset *s, uint64_t h) {
  uint64_t bits = weft_four_bits(h);
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
  const int64_t *since;
  int64_t least; // of since
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
    m += may_have(s, c->hashes[i]) & (c->since[i] < s->from);
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
  c.since = duckdb_vector_get_data(duckdb_data_chunk_get_vector(vectors, 1)); // never null
  c.least = INT64_MAX;
  for (uint64_t i = 0; i < c.n; i++) c.least = c.since[i] < c.least ? c.since[i] : c.least;
  for (uint64_t i = 0; ok && i < c.call->columns; i++) {
    void *v = duckdb_data_chunk_get_vector(vectors, i + 2);
    data[i] = duckdb_vector_get_data(v);
    uint64_t *valid = duckdb_vector_get_validity(v);
    for (uint64_t r = 0; valid && r < c.n; r++) c.null[r] |= !(valid[r / 64] >> (r % 64) & 1);
  }
  ok = ok && weft_key_encode(c.call, data, c.null, c.n, &c.keys);
  if (ok) {
    c.slots = c.hashes + c.n + 1;
    c.maybe = (uint32_t *)(c.slots + c.n + 1);
    const struct weft_keysets *k = c.call->sets;
    const struct weft_keyset *hashed = NULL;
    for (const struct weft_keyset *s = k->sets; s < k->sets + k->n; s++) {
      if (c.least >= s->from) continue;
      if (!hashed || s->seed != hashed->seed) hash_all(&c, s->seed); // mostly all have one
      hashed = s;
      probe(&c, s);
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
       *number = duckdb_create_logical_type(T_BIGINT), *any = duckdb_create_logical_type(T_ANY), *boolean = duckdb_create_logical_type(T_BOOLEAN);
  duckdb_scalar_function_set_name(f, "weft_unchanged");
  duckdb_scalar_function_add_parameter(f, text);
  duckdb_scalar_function_add_parameter(f, number);
  duckdb_scalar_function_set_varargs(f, any);
  duckdb_scalar_function_set_return_type(f, boolean);
  duckdb_scalar_function_set_special_handling(f); // a null is no key: true
  duckdb_scalar_function_set_bind(f, bind);
  duckdb_scalar_function_set_function(f, unchanged);
  int state = duckdb_register_scalar_function(connection, f);
  duckdb_destroy_logical_type(&text);
  duckdb_destroy_logical_type(&number);
  duckdb_destroy_logical_type(&any);
  duckdb_destroy_logical_type(&boolean);
  duckdb_destroy_scalar_function(&f);
  return state;
}
