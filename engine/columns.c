// DuckDB's vectors to Arrow's columns, straight into the memory that is then
// written to the wire: one copy instead of the three of exporting each vector,
// importing it and joining the pieces.

#include "columns.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

extern uint64_t duckdb_data_chunk_get_size(void *chunk);
extern void *duckdb_data_chunk_get_vector(void *chunk, uint64_t column);
extern void *duckdb_vector_get_data(void *vector);
extern uint64_t *duckdb_vector_get_validity(void *vector);

// As DuckDB lays out a string: up to twelve bytes are in place, from prefix on.
struct text {
  uint32_t length;
  char prefix[4];
  const char *ptr;
};

struct huge {
  uint64_t lower;
  int64_t upper;
};

// room makes *p hold need bytes, with some to spare.
static bool room(void *p, size_t *cap, size_t need) {
  if (need <= *cap) return true;
  size_t want = *cap * 2 > need ? *cap * 2 : need;
  void *q = realloc(*(void **)p, want);
  if (!q) return false;
  *(void **)p = q;
  *cap = want;
  return true;
}

static bool valid_at(const uint64_t *v, uint64_t i) { return !v || (v[i / 64] >> (i % 64) & 1); }

static bool all_valid(const uint64_t *v, uint64_t n) {
  uint64_t i = 0;
  for (; i + 64 <= n; i += 64) {
    if (v[i / 64] != ~(uint64_t)0) return false;
  }
  for (; i < n; i++) {
    if (!valid_at(v, i)) return false;
  }
  return true;
}

static void set_bit(uint8_t *bits, int64_t i, bool on) {
  uint8_t m = (uint8_t)(1u << (i % 8));
  bits[i / 8] = (uint8_t)(on ? bits[i / 8] | m : bits[i / 8] & ~m);
}

// add_valid notes which of n rows after the first `rows` are there; v is NULL
// when all are.
static bool add_valid(struct weft_column *c, int64_t rows, const uint64_t *v, uint64_t n) {
  if (!v && c->nulls == 0) return true;
  if (!room(&c->valid, &c->valid_cap, ((size_t)rows + n + 7) / 8 + 8)) return false;
  if (c->nulls == 0) memset(c->valid, 0xff, ((size_t)rows + 7) / 8);
  if (rows % 8 == 0) {
    if (v) {
      memcpy(c->valid + rows / 8, v, (n + 7) / 8);
    } else {
      memset(c->valid + rows / 8, 0xff, (n + 7) / 8);
    }
  }
  for (uint64_t i = 0; i < n; i++) {
    bool on = valid_at(v, i);
    if (rows % 8 != 0) set_bit(c->valid, rows + (int64_t)i, on);
    c->nulls += !on;
  }
  return true;
}

static bool add_bits(struct weft_column *c, int64_t rows, const uint8_t *data, uint64_t n) {
  size_t need = ((size_t)rows + n + 7) / 8;
  if (!room(&c->data, &c->data_cap, need)) return false;
  memset(c->data + c->data_len, 0, need - c->data_len);
  c->data_len = need;
  for (uint64_t i = 0; i < n; i++) set_bit((uint8_t *)c->data, rows + (int64_t)i, data[i] != 0);
  return true;
}

static bool add_wide(struct weft_column *c, const void *data, const uint64_t *v, uint64_t n) {
  if (!room(&c->data, &c->data_cap, c->data_len + n * 16)) return false;
  struct huge *out = (struct huge *)(c->data + c->data_len);
  for (uint64_t i = 0; i < n; i++) {
    int64_t x = 0;
    if (valid_at(v, i)) {
      x = c->width == 2   ? ((const int16_t *)data)[i]
          : c->width == 4 ? ((const int32_t *)data)[i]
                          : ((const int64_t *)data)[i];
    }
    out[i] = (struct huge){(uint64_t)x, x < 0 ? -1 : 0};
  }
  c->data_len += n * 16;
  return true;
}

// fits says whether a 128-bit integer has at most 38 digits.
static bool fits(struct huge h, bool is_signed) {
  const __int128 most = (__int128)10000000000000000000u * 10000000000000000000u - 1;
  __int128 x = (__int128)((unsigned __int128)(uint64_t)h.upper << 64 | h.lower);
  return x <= most && x >= (is_signed ? -most : 0);
}

static bool all_fit(const struct huge *h, const uint64_t *v, uint64_t n, bool is_signed) {
  for (uint64_t i = 0; i < n; i++) {
    if (!fits(h[i], is_signed) && valid_at(v, i)) return false;
  }
  return true;
}

static bool add_copy(struct weft_column *c, const void *data, uint64_t n) {
  if (!room(&c->data, &c->data_cap, c->data_len + n * c->width)) return false;
  memcpy(c->data + c->data_len, data, n * c->width);
  c->data_len += n * c->width;
  return true;
}

static void write_uuid(char *out, struct huge h) {
  static const char hex[] = "0123456789abcdef";
  uint64_t half[2] = {(uint64_t)h.upper ^ (uint64_t)1 << 63, h.lower};
  for (int i = 0; i < 32; i++) {
    if (i == 8 || i == 12 || i == 16 || i == 20) *out++ = '-';
    *out++ = hex[half[i / 16] >> (60 - i % 16 * 4) & 15];
  }
}

static int add_text(struct weft_column *c, int64_t rows, const void *data, const uint64_t *v, uint64_t n) {
  const struct text *t = data;
  size_t more = 0;
  for (uint64_t i = 0; i < n; i++) {
    if (valid_at(v, i)) more += c->kind == WEFT_UUID ? 36 : t[i].length;
  }
  if (c->data_len + more > INT32_MAX) return WEFT_TOO_WIDE;
  if (!room(&c->data, &c->data_cap, c->data_len + more) ||
      !room(&c->offsets, &c->offsets_cap, ((size_t)rows + n + 1) * sizeof(int32_t))) {
    return WEFT_NO_MEMORY;
  }
  if (rows == 0) c->offsets[0] = 0;
  for (uint64_t i = 0; i < n; i++) {
    if (valid_at(v, i)) {
      if (c->kind == WEFT_UUID) {
        write_uuid(c->data + c->data_len, ((const struct huge *)data)[i]);
        c->data_len += 36;
      } else {
        const char *from = t[i].length <= 12 ? (const char *)&t[i] + offsetof(struct text, prefix) : t[i].ptr;
        memcpy(c->data + c->data_len, from, t[i].length);
        c->data_len += t[i].length;
      }
    }
    c->offsets[rows + (int64_t)i + 1] = (int32_t)c->data_len;
  }
  return WEFT_OK;
}

static int add(struct weft_column *c, int64_t rows, const void *data, const uint64_t *v, uint64_t n) {
  if (v && all_valid(v, n)) v = NULL;
  if (!add_valid(c, rows, v, n)) return WEFT_NO_MEMORY;
  bool ok = true;
  switch (c->kind) {
  case WEFT_BOOL:
    ok = add_bits(c, rows, data, n);
    break;
  case WEFT_WIDEN:
    ok = add_wide(c, data, v, n);
    break;
  case WEFT_TEXT:
  case WEFT_UUID:
    return add_text(c, rows, data, v, n);
  case WEFT_HUGE:
  case WEFT_UHUGE:
    if (!all_fit(data, v, n, c->kind == WEFT_HUGE)) return WEFT_TOO_HUGE;
    ok = add_copy(c, data, n);
    break;
  default:
    ok = add_copy(c, data, n);
  }
  return ok ? WEFT_OK : WEFT_NO_MEMORY;
}

int weft_batch_append(struct weft_batch *b, void *chunk) {
  uint64_t n = duckdb_data_chunk_get_size(chunk);
  b->bytes = 0;
  for (uint64_t i = 0; i < b->n; i++) {
    void *vector = duckdb_data_chunk_get_vector(chunk, i);
    struct weft_column *c = &b->columns[i];
    int state = add(c, b->rows, duckdb_vector_get_data(vector), duckdb_vector_get_validity(vector), n);
    if (state != WEFT_OK) {
      b->bad = i;
      return state;
    }
    b->bytes += c->data_len + (c->offsets ? (size_t)b->rows * 4 : 0);
  }
  b->rows += (int64_t)n;
  return WEFT_OK;
}

void weft_batch_reset(struct weft_batch *b) {
  b->rows = 0;
  b->bytes = 0;
  for (uint64_t i = 0; i < b->n; i++) {
    b->columns[i].data_len = 0;
    b->columns[i].nulls = 0;
  }
}

void weft_batch_free(struct weft_batch *b) {
  for (uint64_t i = 0; i < b->n; i++) {
    free(b->columns[i].data);
    free(b->columns[i].offsets);
    free(b->columns[i].valid);
  }
  free(b->columns);
  free(b);
}
