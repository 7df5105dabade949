// Waiting for the engine's other threads without taking a processor from them: the
// engine's own loop asks for a task again and again while others have the last ones.

#include "wait.h"

#include <sys/prctl.h>
#include <time.h>

extern int duckdb_pending_execute_task(void *pending);

enum { READY = 0, NOT_READY = 1, NO_TASKS = 3 };

bool weft_work(void *pending) {
  // Short, because what follows the others' tasks waits for this thread, too.
  const struct timespec pause = {0, 20000};
  prctl(PR_SET_TIMERSLACK, 50000, 0, 0, 0); // ns: slack.c is for threads that nobody waits for
  for (;;) {
    switch (duckdb_pending_execute_task(pending)) {
    case READY:
      return false;
    case NOT_READY:
      break;
    case NO_TASKS:
      nanosleep(&pause, 0);
      break;
    default:
      return true;
    }
  }
}
