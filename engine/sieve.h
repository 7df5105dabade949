// The scalar function weft_may_have('name', value): may the first column of the source of
// that name have the value? It is true of all that are in it, of few others, and of
// whatever it cannot say anything of.
#ifndef WEFT_ENGINE_SIEVE_H
#define WEFT_ENGINE_SIEVE_H

// weft_sieve_register installs the function on a connection; 0 is success.
int weft_sieve_register(void *connection);

#endif
