// Giving memory back: an idle worker should cost little.

#include "rest.h"

#include <malloc.h>

// DuckDB's allocator, where it is built in; 4096 means all of its arenas.
extern int duckdb_je_mallctl(const char *name, void *old, void *old_len, void *value, unsigned long len)
    __attribute__((weak));

// What jemalloc reads last of its configuration. By itself it keeps the addresses of
// memory that it has given back, and takes more of them than it needs, each time more
// than before. RLIMIT_DATA, which holds a worker, counts addresses: one that used 100 MB
// of 900 had none left.
const char *duckdb_je_malloc_conf_2_conf_harder = "retain:false";

void weft_give_back(void) {
  if (duckdb_je_mallctl) {
    duckdb_je_mallctl("thread.tcache.flush", 0, 0, 0, 0);
    duckdb_je_mallctl("arena.4096.purge", 0, 0, 0, 0);
  }
  malloc_trim(0);
}
