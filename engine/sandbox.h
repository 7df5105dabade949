#ifndef WEFT_ENGINE_SANDBOX_H
#define WEFT_ENGINE_SANDBOX_H

// weft_restrict_threads makes every thread of the process enter the Landlock
// domain of ruleset, and returns how many did not (0 is success). It must be
// called once, while no thread is being confined otherwise.
int weft_restrict_threads(int ruleset);

#endif
