/* Writes a record and the words that tell of it, each after a sleep of more than a millisecond: ns.
 *
 * idle FILE REGION_BYTES RECORD_BYTES RECORDS
 */
#include "limit.h"
#include <stdatomic.h>

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    size_t region = strtoull(argv[2], NULL, 10), size = strtoull(argv[3], NULL, 10), at = 4096;
    int records = atoi(argv[4]);
    if (records < 1 || region < 4096 + size)
        return 2;
    char *ring = mapped(argv[1], region), *record = calloc(1, size);
    _Atomic uint64_t *counters = (void *)ring;
    int64_t *cost = calloc(records, sizeof *cost);
    for (int n = 0; n < records; n++) {
        struct timespec pause = {0, 1500000};
        nanosleep(&pause, NULL);
        int64_t before = now_nanos();
        memcpy(record, &before, sizeof before);
        memcpy(ring + at, record, size);
        atomic_store_explicit(&counters[0], at, memory_order_release);
        atomic_store(&counters[8], n + 1);
        at = at + 2 * size > region ? 4096 : at + size;
        cost[n] = now_nanos() - before;
    }
    printf("%ld\n", (long)median(cost, records));
    return 0;
}
