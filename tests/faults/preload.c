/* A disk that is full at the n-th write, and a clock that jumps: preloaded by tests/faults/preload.py.

   FAULT_FOLDER   only files below this folder count
   FAULT_EXCEPT   names separated by colons; paths that contain one do not count
   FAULT_ONLY     paths must contain this, if it is set
   FAULT_STATE    a file of 16 bytes, shared by all processes: what was counted, when it began
   FAULT_NUMBER   which write, creation, rename or sync fails with ENOSPC (from 1; 0: none)
   FAULT_STAYS    if set, all later ones fail as well
   FAULT_CLOCK    "AFTER STEP", seconds: the wall clock is STEP off when AFTER have passed
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static volatile long *state(void) {
  static volatile long *shared;
  const char *path = getenv("FAULT_STATE");
  if (!shared && path) {
    int descriptor = REAL(open)(path, O_RDWR);
    void *memory = mmap(0, 16, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    REAL(close)(descriptor);
    if (memory != MAP_FAILED) shared = memory;
  }
  return shared;
}

static int counts(const char *path) {
  const char *folder = getenv("FAULT_FOLDER"), *only = getenv("FAULT_ONLY");
  const char *except = getenv("FAULT_EXCEPT");
  if (!folder || strncmp(path, folder, strlen(folder))) return 0;
  if (only && !strstr(path, only)) return 0;
  if (except) {
    char names[512], *rest = names, *name;
    snprintf(names, sizeof names, "%s", except);
    while ((name = strsep(&rest, ":")))
      if (strstr(path, name)) return 0;
  }
  return 1;
}

static int is_full(const char *path) {
  const char *number = getenv("FAULT_NUMBER");
  if (!number || !counts(path) || !state()) return 0;
  long now = __sync_add_and_fetch(&state()[0], 1), wanted = atol(number);
  if (!wanted || now < wanted || (now > wanted && !getenv("FAULT_STAYS"))) return 0;
  errno = ENOSPC;
  return 1;
}

static int is_full_there(int descriptor) {
  char link[40], path[4096];
  struct stat found;
  if (!getenv("FAULT_NUMBER") || fstat(descriptor, &found) || !S_ISREG(found.st_mode)) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return is_full(path);
}

static int is_full_at(const char *name) {
  char path[4096];
  if (name[0] == '/') return is_full(name);
  if (!getenv("FAULT_NUMBER") || !getcwd(path, sizeof path - 1)) return 0;
  size_t length = strlen(path);
  snprintf(path + length, sizeof path - length, "/%s", name);
  return is_full(path);
}

#define GUARDED(name, parameters, arguments)                  \
  ssize_t name parameters {                                   \
    return is_full_there(fd) ? -1 : REAL(name) arguments;     \
  }
GUARDED(write, (int fd, const void *data, size_t size), (fd, data, size))
GUARDED(pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
GUARDED(pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
GUARDED(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
int fsync(int fd) { return is_full_there(fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return is_full_there(fd) ? -1 : REAL(fdatasync)(fd); }
int rename(const char *from, const char *to) {
  return is_full_at(to) ? -1 : REAL(rename)(from, to);
}

#define MODE(flags)                                           \
  va_list rest; va_start(rest, flags);                        \
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; va_end(rest)
#define CREATES(path, flags) ((flags & O_CREAT) && access(path, F_OK) && is_full_at(path))
int open(const char *path, int flags, ...) {
  MODE(flags);
  return CREATES(path, flags) ? -1 : REAL(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  MODE(flags);
  return CREATES(path, flags) ? -1 : REAL(open64)(path, flags, mode);
}

static long step(void) { /* seconds */
  const char *clock = getenv("FAULT_CLOCK");
  double after = 0, by = 0;
  struct timespec now;
  if (!clock || !state() || sscanf(clock, "%lf %lf", &after, &by) != 2) return 0;
  REAL(clock_gettime)(CLOCK_MONOTONIC, &now);
  long tenths = now.tv_sec * 10 + now.tv_nsec / 100000000;
  __sync_bool_compare_and_swap(&state()[1], 0, tenths);
  return tenths - state()[1] >= after * 10 ? (long)by : 0;
}
int clock_gettime(clockid_t clock, struct timespec *time) {
  int failed = REAL(clock_gettime)(clock, time);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += step();
  return failed;
}
int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  int failed = REAL(gettimeofday)(time, zone);
  if (!failed) time->tv_sec += step();
  return failed;
}
time_t time(time_t *result) {
  time_t now = REAL(time)(NULL) + step();
  return result ? (*result = now) : now;
}
