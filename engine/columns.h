#ifndef WEFT_ENGINE_COLUMNS_H
#define WEFT_ENGINE_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

// What becomes of a vector in Arrow.
enum weft_kind {
  WEFT_COPY,   // fixed width, the same bytes
  WEFT_BOOL,   // bytes to bits
  WEFT_WIDEN,  // a decimal in 2, 4 or 8 bytes, to 16
  WEFT_HUGE,   // 16 bytes that must fit into 38 digits
  WEFT_UHUGE,  // the same, unsigned
  WEFT_TEXT,   // VARCHAR and BLOB
  WEFT_UUID    // to text
};

// A column of a batch in the making, laid out as Arrow wants it. Its memory is
// used again for the next batch.
struct weft_column {
  int kind;
  size_t width; // of a value in the vector
  char *data;   // values, or the bytes of text
  size_t data_len, data_cap;
  int32_t *offsets; // of text
  size_t offsets_cap;
  uint8_t *valid; // bits, meaningful when nulls > 0
  size_t valid_cap;
  int64_t nulls;
};

struct weft_batch {
  int64_t rows;
  size_t bytes;
  uint64_t n;
  struct weft_column *columns;
  uint64_t bad; // the column of an error
};

// weft_batch_append adds the rows of a DuckDB data chunk. 0 is success; the
// batch is not to be used after an error.
enum { WEFT_OK, WEFT_NO_MEMORY, WEFT_TOO_WIDE, WEFT_TOO_HUGE };
int weft_batch_append(struct weft_batch *b, void *chunk);

void weft_batch_reset(struct weft_batch *b);
void weft_batch_free(struct weft_batch *b);

#endif
