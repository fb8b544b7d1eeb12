/* Wakes sleeping processes with a futex at a fixed pace.
 *
 * wake FILE SLEEPERS MESSAGES PERIOD_NANOS MESSAGE_BYTES [WAKER_CPU SLEEPER_CPU]
 *
 * Prints: p50 and p99 of the delay until the first sleeper runs, p50 of the waker's own cost, and
 * the processor time of all processes for each message, all in ns.
 */
#include "limit.h"
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct shared {
    _Atomic uint32_t word;
    _Atomic uint32_t ready;
    _Atomic int64_t stamp;
    _Atomic int64_t late[1 << 17];
    char data[1 << 20];
};

static void futex(_Atomic uint32_t *word, int operation, uint32_t value) {
    syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static void sleeper(struct shared *shared, uint32_t messages, int keeps_time) {
    atomic_fetch_add(&shared->ready, 1);
    uint32_t seen = 0;
    while (seen < messages) {
        futex(&shared->word, FUTEX_WAIT, seen);
        uint32_t word = atomic_load(&shared->word);
        if (word == seen)
            continue;
        if (keeps_time)
            shared->late[word - 1] = now_nanos() - shared->stamp;
        seen = word;
    }
    _exit(0);
}

static int64_t processor_nanos(int who) {
    struct rusage used;
    getrusage(who, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000LL +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000LL;
}

int main(int argc, char **argv) {
    if (argc != 6 && argc != 8)
        return 2;
    int sleepers = atoi(argv[2]), messages = atoi(argv[3]), size = atoi(argv[5]);
    int64_t period = atoll(argv[4]);
    if (messages > 1 << 17 || size > 1 << 20)
        return 2;
    struct shared *shared = (void *)mapped(argv[1], sizeof *shared);
    memset(shared, 0, sizeof *shared);
    char *message = calloc(1, size);
    int64_t *cost = calloc(messages, sizeof *cost);
    for (int i = 0; i < sleepers; i++)
        if (fork() == 0) {
            if (argc == 8)
                pin(argv[7]);
            sleeper(shared, messages, i == 0);
        }
    if (argc == 8)
        pin(argv[6]);
    while (atomic_load(&shared->ready) < (uint32_t)sleepers)
        usleep(1000);
    usleep(10000);
    int64_t used = processor_nanos(RUSAGE_SELF), due = now_nanos();
    for (int i = 0; i < messages; i++) {
        due += period;
        struct timespec until = {due / 1000000000LL, due % 1000000000LL};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        int64_t before = now_nanos();
        memcpy(shared->data, message, size);
        shared->stamp = before;
        atomic_fetch_add(&shared->word, 1);
        if (sleepers > 0)
            futex(&shared->word, FUTEX_WAKE, INT_MAX);
        cost[i] = now_nanos() - before;
    }
    used = processor_nanos(RUSAGE_SELF) - used;
    while (wait(NULL) > 0)
        ;
    used += processor_nanos(RUSAGE_CHILDREN);
    int64_t *late = calloc(messages, sizeof *late);
    int count = 0;
    for (int i = 0; i < messages; i++)
        if (shared->late[i] > 0)
            late[count++] = shared->late[i];
    int64_t p50 = count ? median(late, count) : 0, p99 = count ? late[count * 99 / 100] : 0;
    printf("%ld %ld %ld %ld\n", (long)p50, (long)p99, (long)median(cost, messages),
           (long)(used / messages));
    return 0;
}
