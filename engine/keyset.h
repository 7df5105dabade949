// The scalar function weft_unchanged('name', since, key, …): is the key in none of
// the named sets whose numbers begin after since, with a number up to the one that
// the name gives for that set?
#ifndef WEFT_ENGINE_KEYSET_H
#define WEFT_ENGINE_KEYSET_H

#include <stdbool.h>
#include <stdint.h>

// A set as its maker laid it out (keyset.go), checked against the bytes there.
struct weft_keyset {
  const uint64_t *bloom;
  const uint64_t *slots;
  const int64_t *numbers;
  const uint64_t *ends; // of the keys in bytes, NULL where all keys are of one width
  const uint8_t *bytes;
  uint64_t width; // 0 where keys differ in length
  uint64_t capacity, slot_mask, bloom_mask, room, seed;
  unsigned slot_shift;
  int64_t from; // no number is less
  int64_t upto; // a key counts where its number is at most this
};

struct weft_keysets;

// weft_keysets_add makes a list of sets known under its name and returns it, or
// NULL when the name is taken or memory is short. The sets are copied, what they
// point to is borrowed until weft_keysets_remove.
struct weft_keysets *weft_keysets_add(const char *name, const struct weft_keyset *sets, uint64_t n);
void weft_keysets_remove(struct weft_keysets *k);

// weft_keysets_register installs the function on a connection; 0 is success.
int weft_keysets_register(void *connection);

#endif
