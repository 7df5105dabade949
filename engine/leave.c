// Giving a file as the answer to a wish, undisturbed: a signal while the kernel waits for
// the other process to take the file takes the file back and leaves the answer, which
// is then the number 0 (kernel/seccomp.c, seccomp_notify_addfd). The other process would
// read its standard input for its file.

#include "leave.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>

int weft_give_file(int wishes, unsigned long give, void *file) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  int error = ioctl(wishes, give, file) < 0 ? errno : 0;
  pthread_sigmask(SIG_SETMASK, &before, 0);
  return error;
}
