/*
 * Preloaded into a Deno: shifts CLOCK_REALTIME, gettimeofday and time by the number
 * of milliseconds in the file that $WALL_OFFSET names. CLOCK_MONOTONIC and all waits
 * stay as they are.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The file, mapped. */
static volatile int64_t *offset;

__attribute__((constructor)) static void open_offset(void) {
  const char *path = getenv("WALL_OFFSET");
  if (!path) return;
  int fd = open(path, O_RDONLY);
  if (fd < 0) return;
  void *p = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (p != MAP_FAILED) offset = p;
}

/* Adds the offset to `s` seconds and `frac`, of which `per_ms` make a millisecond. */
static void shift(int64_t *s, int64_t *frac, int64_t per_ms) {
  if (!offset) return;
  const int64_t second = per_ms * 1000;
  *s += *offset / 1000;
  *frac += *offset % 1000 * per_ms;
  if (*frac < 0) {
    *frac += second;
    *s -= 1;
  } else if (*frac >= second) {
    *frac -= second;
    *s += 1;
  }
}

int clock_gettime(clockid_t id, struct timespec *ts) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int r = real(id, ts);
  if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
    int64_t s = ts->tv_sec, ns = ts->tv_nsec;
    shift(&s, &ns, 1000000);
    ts->tv_sec = s;
    ts->tv_nsec = ns;
  }
  return r;
}

int gettimeofday(struct timeval *tv, void *tz) {
  static int (*real)(struct timeval *, void *);
  if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
  int r = real(tv, tz);
  if (r == 0 && tv) {
    int64_t s = tv->tv_sec, us = tv->tv_usec;
    shift(&s, &us, 1000);
    tv->tv_sec = s;
    tv->tv_usec = us;
  }
  return r;
}

time_t time(time_t *t) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  if (t) *t = ts.tv_sec;
  return ts.tv_sec;
}
