/* Preloaded into a process: notes every write to files whose path holds CAPTURE_MATCH.
   The log is a sequence of (kind, i64 offset or mark, i64 length, bytes): W write, T truncate, M mark. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static FILE *capture_log;
static int inside;

static int is_watched(int fd)
{
    char link[64], path[4096];
    const char *wanted = getenv("CAPTURE_MATCH");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || !wanted)
        return 0;
    path[length] = 0;
    return strstr(path, wanted) != NULL;
}

static void note(char kind, int64_t offset, const void *data, int64_t length)
{
    if (!capture_log)
        capture_log = fopen(getenv("CAPTURE_LOG"), "wb");
    fwrite(&kind, 1, 1, capture_log);
    fwrite(&offset, 8, 1, capture_log);
    fwrite(&length, 8, 1, capture_log);
    fwrite(data, 1, length, capture_log);
    fflush(capture_log);
}

static void note_if_watched(int fd, char kind, int64_t offset, const void *data, int64_t length)
{
    if (inside)
        return;
    inside = 1;
    if (is_watched(fd))
        note(kind, offset, data, length);
    inside = 0;
}

#define WRITE(name)                                                                 \
    ssize_t name(int fd, const void *data, size_t length, off_t offset)            \
    {                                                                               \
        ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, #name); \
        ssize_t written = real(fd, data, length, offset);                           \
        if (written > 0)                                                            \
            note_if_watched(fd, 'W', offset, data, written);                        \
        return written;                                                             \
    }

#define TRUNCATE(name)                                                              \
    int name(int fd, off_t length)                                                  \
    {                                                                               \
        int (*real)(int, off_t) = dlsym(RTLD_NEXT, #name);                          \
        int result = real(fd, length);                                              \
        if (!result)                                                                \
            note_if_watched(fd, 'T', length, "", 0);                                \
        return result;                                                              \
    }

WRITE(pwrite)
WRITE(pwrite64)
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

void capture_mark(int64_t value)
{
    inside = 1;
    note('M', value, "", 0);
    inside = 0;
}
