#ifndef WEFT_ENGINE_LEAVE_H
#define WEFT_ENGINE_LEAVE_H

// weft_give_file asks the kernel, by the ioctl request give on wishes with its
// argument file, to put a file into another process as the answer to its wish. It
// returns 0, or the error's number.
int weft_give_file(int wishes, unsigned long give, void *file);

#endif
