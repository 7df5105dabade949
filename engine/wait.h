#ifndef WEFT_ENGINE_WAIT_H
#define WEFT_ENGINE_WAIT_H

// weft_work runs a pending result's tasks until there is none left to run, or none that
// can be run without the engine's own loop.
void weft_work(void *pending);

#endif
