#include "keycode.h"

extern int duckdb_get_type_id(void *type);
extern int duckdb_decimal_internal_type(void *type);

int weft_key_physical(void *type) {
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

static inline int encoded(int type) {
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

int weft_key_encoded(int type) { return encoded(type); }

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

bool weft_key_encode(const struct call *c, void **data, const uint8_t *null, uint64_t n, struct keys *out) {
  return c->width ? encode_fixed(c, data, n, out) : encode_text(c, data, null, n, out);
}
