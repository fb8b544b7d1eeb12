/* Hands a cache line to a process that spins on it: p50 of the delay in ns.
 *
 * spin FILE MESSAGES PERIOD_NANOS [WRITER_CPU READER_CPU]
 */
#include "limit.h"
#include <stdatomic.h>
#include <sys/wait.h>

struct shared {
    _Atomic int64_t stamp;
    char apart[4096 - 8];
    int64_t late[1 << 17];
    _Atomic int ready;
};

int main(int argc, char **argv) {
    if (argc != 4 && argc != 6)
        return 2;
    int messages = atoi(argv[2]);
    int64_t period = atoll(argv[3]);
    if (messages > 1 << 17)
        return 2;
    struct shared *shared = (void *)mapped(argv[1], sizeof *shared);
    memset(shared, 0, sizeof *shared);
    if (fork() == 0) {
        if (argc == 6)
            pin(argv[5]);
        int64_t seen = 0;
        shared->ready = 1;
        for (int i = 0; i < messages; i++) {
            int64_t stamp;
            while ((stamp = atomic_load(&shared->stamp)) == seen)
                ;
            shared->late[i] = now_nanos() - stamp;
            if ((seen = stamp) < 0)
                break;
        }
        _exit(0);
    }
    if (argc == 6)
        pin(argv[4]);
    while (!shared->ready)
        usleep(1000);
    for (int i = 0; i < messages; i++) {
        /* Busy between the messages: both ends are warm. */
        int64_t due = now_nanos() + period;
        while (now_nanos() < due)
            ;
        atomic_store(&shared->stamp, now_nanos());
    }
    usleep(1000);
    atomic_store(&shared->stamp, -1);
    wait(NULL);
    int count = 0;
    while (count < messages && shared->late[count] > 0 && shared->late[count] < 1000000000)
        count++;
    printf("%ld\n", count ? (long)median(shared->late, count) : 0L);
    return 0;
}
