/* Copies records one after the other into a mapped file, and round again: ns a copy.
 *
 * copy FILE REGION_BYTES RECORD_BYTES COPIES
 */
#include "limit.h"

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    size_t region = strtoull(argv[2], NULL, 10), record = strtoull(argv[3], NULL, 10);
    int copies = atoi(argv[4]);
    char *ring = mapped(argv[1], region), *source = aligned_alloc(64, (record + 63) / 64 * 64);
    memset(source, 7, record);
    int64_t before = 0;
    size_t at = 0;
    /* The first tenth only warms up. */
    for (int i = -copies / 10; i < copies; i++) {
        if (i == 0)
            before = now_nanos();
        memcpy(ring + at, source, record);
        at = at + 2 * record > region ? 0 : at + record;
        __asm__ volatile("" ::: "memory");
    }
    printf("%.3f\n", (double)(now_nanos() - before) / copies);
    return 0;
}
