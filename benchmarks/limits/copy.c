/* Copies records one after the other into a part of a mapped file, and round again: ns a copy.
 *
 * copy FILE FROM REGION_BYTES RECORD_BYTES COPIES
 */
#include "limit.h"

int main(int argc, char **argv) {
    if (argc != 6)
        return 2;
    size_t from = strtoull(argv[2], NULL, 10), region = strtoull(argv[3], NULL, 10);
    size_t record = strtoull(argv[4], NULL, 10);
    int copies = atoi(argv[5]);
    char *ring = mapped(argv[1], from + region) + from, *source = aligned_alloc(64, (record + 63) / 64 * 64);
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
