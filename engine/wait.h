#ifndef WEFT_ENGINE_WAIT_H
#define WEFT_ENGINE_WAIT_H

#include <stdbool.h>

// weft_work runs a pending result's tasks until there is none left to run, or none that
// can be run without the engine's own loop; true says that it may have failed.
bool weft_work(void *pending);

#endif
