// Landlock confines one thread at a time (kernels before 7.0), and Go has made
// several before a worker knows what it may read. As the C library does it for
// setuid, each thread is sent a signal whose handler makes the call for its own
// thread; threads made later inherit from those that made them.

#define _GNU_SOURCE
#include "sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif

#define MAX_THREADS 1024
#define ENTER_SIGNAL (SIGRTMIN + 7)

static int ruleset_fd;
static atomic_int answered; // the thread that ran the handler last
static atomic_int failures;

static int enter(void) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return (int)syscall(SYS_landlock_restrict_self, ruleset_fd, 0);
}

static void on_signal(int sig) {
  (void)sig;
  int keep = errno;
  if (enter() != 0) atomic_fetch_add(&failures, 1);
  atomic_store(&answered, (int)syscall(SYS_gettid));
  errno = keep;
}

// ask makes one thread enter the domain and waits up to a second for it. A
// thread that is gone needs nothing.
static void ask(int tid) {
  atomic_store(&answered, 0);
  if (syscall(SYS_tgkill, getpid(), tid, ENTER_SIGNAL) != 0) {
    if (errno != ESRCH) atomic_fetch_add(&failures, 1);
    return;
  }
  for (int i = 0; i < 20000 && atomic_load(&answered) != tid; i++) {
    struct timespec t = {0, 50000};
    nanosleep(&t, NULL);
    if (i % 100 == 99 && syscall(SYS_tgkill, getpid(), tid, 0) != 0) return;
  }
  if (atomic_load(&answered) != tid) atomic_fetch_add(&failures, 1);
}

static bool add(int *list, int *n, int tid) {
  for (int i = 0; i < *n; i++) {
    if (list[i] == tid) return false;
  }
  if (*n == MAX_THREADS) return false;
  list[(*n)++] = tid;
  return true;
}

int weft_restrict_threads(int ruleset) {
  static int done[MAX_THREADS];
  int n = 0;
  ruleset_fd = ruleset;
  struct sigaction mine, before;
  memset(&mine, 0, sizeof mine);
  mine.sa_handler = on_signal;
  mine.sa_flags = SA_RESTART | SA_ONSTACK;
  sigfillset(&mine.sa_mask);
  add(done, &n, (int)syscall(SYS_gettid));
  DIR *d = opendir("/proc/self/task"); // now, while it can be opened
  if (!d) return 1;
  if (enter() != 0 || sigaction(ENTER_SIGNAL, &mine, &before) != 0) {
    closedir(d);
    return 1;
  }
  // A thread that is not confined yet may make another: look until none is new.
  for (bool fresh = true; fresh;) {
    fresh = false;
    rewinddir(d);
    for (struct dirent *e; (e = readdir(d));) {
      int tid = atoi(e->d_name);
      if (tid <= 0 || !add(done, &n, tid)) continue;
      fresh = true;
      ask(tid);
    }
  }
  closedir(d);
  sigaction(ENTER_SIGNAL, &before, NULL);
  return atomic_load(&failures);
}
