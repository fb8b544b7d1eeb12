/* Stamps a row and stores its two columns; each batch is then copied into a mapped file: ns a row.
 *
 * append FILE REGION_BYTES ROWS_A_BATCH ROWS
 */
#include "limit.h"

enum { MOST = 4096 };
static int64_t times[MOST];
static double values[MOST];

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    size_t region = strtoull(argv[2], NULL, 10), at = 0;
    int batch = atoi(argv[3]), rows = atoi(argv[4]), pending = 0;
    if (batch < 1 || batch > MOST)
        return 2;
    char *ring = mapped(argv[1], region);
    int64_t before = now_nanos();
    for (int row = 0; row < rows; row++) {
        times[pending] = now_nanos();
        values[pending] = row;
        if (++pending < batch)
            continue;
        memcpy(ring + at, times, batch * sizeof *times);
        memcpy(ring + at + batch * sizeof *times, values, batch * sizeof *values);
        at = at + 32 * batch > region ? 0 : at + 16 * batch;
        pending = 0;
    }
    printf("%.3f\n", (double)(now_nanos() - before) / rows);
    return 0;
}
