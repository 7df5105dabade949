// The scalar functions weft_has('name', value) and weft_may_have('name', value): has the first
// column of the source of that name the value, or may it have it?
//
// weft_has is not bound where it cannot tell: where the keys or the values are no whole
// numbers of 64 bits with a sign, or the keys lie too far from each other. Of NULL it is
// false. weft_may_have is true of all values that are there, of few others, and of whatever
// it cannot say anything of.
#ifndef WEFT_ENGINE_SIEVE_H
#define WEFT_ENGINE_SIEVE_H

// weft_sieve_register installs the functions on a connection; 0 is success.
int weft_sieve_register(void *connection);

#endif
