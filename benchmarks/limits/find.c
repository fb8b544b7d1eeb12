/* Maps a ring, searches its index by time, and reads the first value found: ns for all of it.
 *
 * find RING INDEX_AT ENTRIES OLDEST NEXT TIME_NANOS DATA_AT CAPACITY
 */
#include "limit.h"

int main(int argc, char **argv) {
    if (argc != 9)
        return 2;
    int64_t number[9];
    for (int i = 2; i < 9; i++)
        number[i] = atoll(argv[i]);
    int64_t before = now_nanos();
    int fd = open(argv[1], O_RDONLY);
    size_t size = lseek(fd, 0, SEEK_END);
    const char *ring = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (ring == MAP_FAILED)
        return 1;
    int64_t low = number[4], high = number[5];
    const int64_t *entry = NULL;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        entry = (const int64_t *)(ring + number[2] + 32 * (middle % number[3]));
        if (entry[3] < number[6])
            low = middle + 1;
        else
            high = middle;
    }
    entry = (const int64_t *)(ring + number[2] + 32 * (low % number[3]));
    volatile char first = ring[number[7] + entry[1] % number[8]];
    (void)first;
    printf("%ld\n", (long)(now_nanos() - before));
    return 0;
}
