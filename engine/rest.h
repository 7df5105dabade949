#ifndef WEFT_ENGINE_REST_H
#define WEFT_ENGINE_REST_H

// weft_give_back returns freed memory to the machine.
void weft_give_back(void);

#endif
