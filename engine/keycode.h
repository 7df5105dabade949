// How the columns of a key are encoded: what the store's keys.go does, for the
// engine's vectors.
#ifndef WEFT_ENGINE_KEYCODE_H
#define WEFT_ENGINE_KEYCODE_H

#include "keyset.h"

#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS 64

enum { // DuckDB's numbers of types
  T_BOOLEAN = 1, T_TINYINT = 2, T_SMALLINT = 3, T_INTEGER = 4, T_BIGINT = 5, T_UTINYINT = 6, T_USMALLINT = 7,
  T_UINTEGER = 8, T_UBIGINT = 9, T_TIMESTAMP = 12, T_DATE = 13, T_TIME = 14, T_HUGEINT = 16, T_VARCHAR = 17,
  T_DECIMAL = 19, T_UUID = 27, T_TIMESTAMP_TZ = 31, T_ANY = 34
};

// A call is one place in a statement where the function stands.
struct call {
  struct weft_keysets *sets;
  uint64_t columns;
  uint64_t width; // of an encoded key, 0 where there is text in it
  int types[MAX_COLUMNS];
};

// keys are the encoded keys of one chunk.
struct keys {
  uint8_t *bytes;
  uint64_t *ends; // NULL where all are of one width
};

// physical is the type that tells how a column's values lie in memory; 0 is
// one that cannot be part of a key.
int weft_key_physical(void *type);

// encoded is the length of a column's encoding, 0 of text, -1 of what cannot be.
int weft_key_encoded(int type);

// encode encodes n keys; the caller frees what keys has, also where it returns
// false because memory is short. Rows that have a null are left out where keys
// differ in length.
bool weft_key_encode(const struct call *c, void **data, const uint8_t *null, uint64_t n, struct keys *out);

#endif
