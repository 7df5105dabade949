// Timers that may be a little late. Go's runtime looks after itself from a thread that sleeps
// for 20 microseconds again and again while anything runs, and longer only when nothing has
// happened for a while. Here that is a process for each node and one for each worker, most of
// whose work is short: a tenth of a small question's time went into waking those threads. The
// kernel may wake a thread later than it asked to be woken, by the slack of its timers, which
// a thread has from the one that starts it: so this is done before the runtime begins.

#include <sys/prctl.h>

__attribute__((constructor)) static void slacken(void) { prctl(PR_SET_TIMERSLACK, 1000000, 0, 0, 0); } // ns
