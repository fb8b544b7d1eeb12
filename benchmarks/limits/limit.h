/* What all limits share: the clock, medians, and a mapped file. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static inline int64_t now_nanos(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static inline int64_t median(int64_t *values, int count) {
    qsort(values, count, sizeof *values, by_size);
    return values[count / 2];
}

/* Keeps this process on one processor. */
static inline void pin(const char *cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(atoi(cpu), &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
}

/* Maps a file, made as large as needed; every page is touched before anything is measured. */
static inline char *mapped(const char *path, size_t size) {
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, size) != 0) {
        perror(path);
        exit(1);
    }
    char *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (start == MAP_FAILED) {
        perror(path);
        exit(1);
    }
    close(fd);
    for (size_t at = 0; at < size; at += 4096)
        start[at] = 1;
    return start;
}
