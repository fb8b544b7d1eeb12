/* Prints a ringdaq ring, from the oldest record left to the writer's end:
 *   cc -std=c11 -O2 -o ring_reader ring_reader.c && ./ring_reader /dev/shm/.../eeg.00000001.ring
 * A line "record SEQUENCE ROWS FIRST_NANOS LAST_NANOS", then a line a row, a tab before each value;
 * of an image its sum. Losses go to stderr. Exit code 0 at the writer's end, 2 for what is no whole
 * ring. All it knows is in docs/reference/ring-layout.md; for little-endian machines. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
enum { CAPACITY = 8, SCHEMA_LEN = 32, VERSION = 36, NEXT = 56, OLDEST = 72, STATE = 80, INDEX = 96,
       ENTRIES = 104, SCHEMA = 112, SCHEMA_CRC = 120, HEADER_CRC = 124, HEADER = 128, FRAME = 64 };
enum { INT = 2, FLOAT = 3, UTF8 = 5, BOOL = 6, TIMESTAMP = 10, LIST = 16 }; /* of Arrow's types */
typedef struct { const uint8_t *at; uint64_t len; } Span;
typedef struct { uint64_t type, bits, is_unsigned, items; Span valid, ends, data; } Column;
static const uint8_t *ring;
static uint64_t size, capacity, entries, width;
static Column columns[4096]; /* `width` of them */
static struct stat found;
static int fd, rights = PROT_READ | PROT_WRITE; /* of the ring's file; on the bell */
static _Noreturn void damaged(const char *what) {
    fprintf(stderr, "damaged: %s\n", what);
    exit(2);
}
static uint64_t get(const uint8_t *from, unsigned bytes) {
    uint64_t value = 0;
    return memcpy(&value, from, bytes), value;
}
static uint64_t acquire(uint64_t at) {
    return atomic_load_explicit((const _Atomic uint64_t *)(ring + at), memory_order_acquire);
}
static uint32_t crc32(uint32_t crc, const uint8_t *bytes, uint64_t count) {
    for (crc = ~crc; count--; bytes++)
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - ((crc ^ *bytes >> bit) & 1)));
    return ~crc;
}
/* --- Arrow's messages are flatbuffers; every place is checked before it is followed */
static uint64_t look(Span in, uint64_t at, unsigned bytes) {
    if (at > in.len || in.len - at < bytes) damaged("a message leads beyond its end");
    return get(in.at + at, bytes);
}
static uint64_t field(Span in, uint64_t table, unsigned id) { /* 0 if it is absent */
    uint64_t vtable = table - (uint64_t)(int32_t)look(in, table, 4);
    uint64_t offset = look(in, vtable, 2) < 6 + 2 * id ? 0 : look(in, vtable + 4 + 2 * id, 2);
    return offset ? table + offset : 0;
}
static uint64_t number(Span in, uint64_t table, unsigned id, unsigned bytes) {
    uint64_t at = field(in, table, id);
    return at ? look(in, at, bytes) : 0;
}
static uint64_t follow(Span in, uint64_t at) { return at + look(in, at, 4); }
static uint64_t message(Span in, uint64_t *body) { /* its header, and where its body begins */
    *body = 8 + look(in, 4, 4);
    if (look(in, 0, 4) != 0xFFFFFFFF || *body > in.len) damaged("no Arrow message");
    return follow(in, field(in, follow(in, 8), 2));
}
static Column read_column(Span in, uint64_t at) {
    uint64_t type = number(in, at, 2, 1), details = follow(in, field(in, at, 3));
    Column c = {.type = type, .bits = type == BOOL ? 1 : type == UTF8 ? 32 : 64};
    if (type == LIST) c = read_column(in, follow(in, follow(in, field(in, at, 5)) + 4));
    if (type == LIST) c.items = number(in, details, 0, 4);
    if (type == INT) c.bits = number(in, details, 0, 4), c.is_unsigned = !number(in, details, 1, 1);
    if (type == FLOAT) c.bits = 16u << (number(in, details, 0, 2) & 3);
    if (c.bits > 64 || c.bits & (c.bits - 1) || (c.bits < 8 && c.type != BOOL)) damaged("a type");
    return c;
}
/* --- the rows of a record */
static double item(const Column *c, const uint8_t *at, bool print) {
    union { uint64_t raw; int64_t whole; float narrow; double wide; } v = {get(at, c->bits / 8)};
    double real = c->bits == 32 ? (double)v.narrow : v.wide;
    if (c->type != FLOAT && !c->is_unsigned)
        v.whole = (int64_t)(v.raw << (64 - c->bits)) >> (64 - c->bits);
    if (print && c->type == FLOAT) printf("\t%.*g", c->bits == 32 ? 9 : 17, real);
    else if (print) printf(c->is_unsigned ? "\t%" PRIu64 : "\t%" PRId64, v.raw);
    return c->type == FLOAT ? real : c->is_unsigned ? (double)v.raw : (double)v.whole;
}
static void print_value(const Column *c, uint64_t row) {
    uint64_t items = c->items ? c->items : 1, step = c->bits / 8, place = row / 8, bit = row % 8;
    double sum = 0;
    if (c->valid.len && !(look(c->valid, place, 1) >> bit & 1)) printf("\tnull");
    else if (c->type == BOOL) printf(look(c->data, place, 1) >> bit & 1 ? "\ttrue" : "\tfalse");
    else if (c->type == UTF8) {
        uint64_t begin = look(c->ends, 4 * row, 4), end = look(c->ends, 4 * row + 4, 4);
        if (begin > end || end > c->data.len) damaged("a text");
        printf("\t%.*s", (int)(end - begin), (const char *)c->data.at + begin);
    } else if (c->data.len / (items * step) <= row) damaged("too few values");
    else for (uint64_t i = row * items; i < (row + 1) * items; i++)
        sum += item(c, c->data.at + i * step, width == 1 || !c->items);
    if (width > 1 && c->items) printf("\t%.17g", sum);
}
static Span buffer(Span in, uint64_t body, uint64_t entry) {
    uint64_t at = look(in, entry, 8), len = look(in, entry + 8, 8);
    if (at > in.len - body || len > in.len - body - at) damaged("a buffer beyond its message");
    return (Span){in.at + body + at, len};
}
static void print_record(const uint8_t *frame) {
    Span in = {frame + FRAME, get(frame + 56, 8)};
    uint64_t body, batch = message(in, &body), entry = follow(in, field(in, batch, 2)) + 4;
    uint64_t rows = get(frame + 48, 8);
    if (number(in, batch, 0, 8) != rows) damaged("the number of rows");
    for (Column *c = columns; c < columns + width; c++, entry += 16) {
        c->valid = buffer(in, body, entry);
        if (c->type == UTF8) c->ends = buffer(in, body, entry += 16);
        if (c->items) entry += 16; /* the items of a list have validity bits of their own */
        c->data = buffer(in, body, entry += 16);
    }
    printf("record %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 "\n", get(frame + 16, 8), rows,
           (int64_t)get(frame + 24, 8), (int64_t)get(frame + 32, 8));
    for (uint64_t row = 0; row < rows; row++, putchar('\n'))
        for (const Column *c = columns; c < columns + width; c++) print_value(c, row);
    fflush(stdout);
}
/* --- the ring */
static void attach(const char *path) {
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &found) || !S_ISREG(found.st_mode)) damaged("no file to read");
    size = (uint64_t)found.st_size;
    ring = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (size < HEADER || ring == MAP_FAILED) damaged("no header");
    if (get(ring, 8) != 0xDADADADA00000001 || get(ring + VERSION, 4) != 1) damaged("not layout 1");
    uint32_t crc = crc32(crc32(crc32(0, ring, 16), ring + 32, 24), ring + 96, 28);
    if (crc != get(ring + HEADER_CRC, 4)) damaged("the header's checksum");
    capacity = get(ring + CAPACITY, 8), entries = get(ring + ENTRIES, 8);
    uint64_t at = get(ring + SCHEMA, 8), index = get(ring + INDEX, 8);
    Span schema = {ring + at, get(ring + SCHEMA_LEN, 4)};
    if (capacity < FRAME || capacity % 64 || capacity > size || entries - 2 > size / 32 ||
        index != HEADER + capacity || at != index + 32 * entries || size < at + schema.len)
        damaged("the sizes");
    if (crc32(0, schema.at, schema.len) != get(ring + SCHEMA_CRC, 4)) damaged("the schema");
    uint64_t body, fields = follow(schema, field(schema, message(schema, &body), 1));
    width = look(schema, fields, 4);
    if (width > sizeof columns / sizeof *columns) damaged("too many columns");
    for (uint64_t i = 0; i < width; i++)
        columns[i] = read_column(schema, follow(schema, fields + 4 + 4 * i));
}
static bool take(uint64_t n, uint8_t *copy) { /* false if the writer came by */
    uint64_t entry = HEADER + capacity + 32 * (n % entries), name = acquire(entry);
    uint64_t at = acquire(entry + 8) % capacity, length = 0;
    bool whole = name == n + 1 && at % 64 == 0;
    if (whole) {
        memcpy(copy, ring + HEADER + at, FRAME);
        length = get(copy + 8, 8);
        whole = get(copy, 4) == 0x52494E47 && get(copy + 4, 4) == crc32(0, copy + 8, 56) &&
                get(copy + 16, 8) == n && length >= FRAME && length <= capacity - at &&
                get(copy + 56, 8) <= length - FRAME;
    }
    if (whole) memcpy(copy + FRAME, ring + HEADER + at + FRAME, length - FRAME);
    atomic_thread_fence(memory_order_acquire);
    if (acquire(OLDEST) > n) return false;
    return whole || (damaged("a record"), false);
}
static bool await(uint64_t n, const char *path) { /* false once the writer has ended */
    static _Atomic uint32_t *bell;
    const struct timespec limit = {0, 250000000};
    char wake[4096];
    for (;;) {
        uint32_t own, seen = bell ? atomic_load(bell) : 0;
        do own = rights & PROT_WRITE ? seen | (seen & 1 ? 5 : 1) : seen; /* asleep; and not alone */
        while (bell && own != seen && !atomic_compare_exchange_weak(bell, &seen, own));
        atomic_thread_fence(memory_order_seq_cst);
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
        bool closed = acquire(STATE) >> 32, gone = fcntl(fd, F_OFD_GETLK, &lock);
        if (fstat(fd, &found) || (uint64_t)found.st_size < size) damaged("the file was cut");
        if (acquire(NEXT) > n) return true;
        if (closed || gone || lock.l_type == F_UNLCK) return acquire(NEXT) > n;
        if (!bell) { /* readers of a group may only look at it; the writer then rings unasked */
            snprintf(wake, sizeof wake, "%.*s.wake", (int)strlen(path) - 5, path);
            if (access(wake, W_OK)) rights = PROT_READ;
            int file = open(wake, (rights & PROT_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
            bell = mmap(NULL, 64, rights, MAP_SHARED, file, 0);
            if (bell == MAP_FAILED) damaged("no wake file");
        } else if (!(own & 2)) syscall(SYS_futex, bell, FUTEX_WAIT, own, &limit);
        if (rights & PROT_WRITE && atomic_fetch_and(bell, ~2u) & 2)
            syscall(SYS_futex, bell, FUTEX_WAKE, INT32_MAX);
    }
}
int main(int count, char **words) {
    if (count != 2 || strlen(words[1]) < 5) damaged("say which ring to read");
    attach(words[1]);
    uint8_t *copy = malloc(capacity);
    uint64_t n = acquire(OLDEST), next = n, row = 0;
    while (acquire(NEXT) > n || await(n, words[1])) {
        if (!take(n, copy)) { n = acquire(OLDEST), next = row ? next : n; continue; }
        uint64_t first = get(copy + 40, 8);
        if (n > next) fprintf(stderr, "lost %" PRIu64 " %" PRIu64 "\n", n - next, first - row);
        print_record(copy);
        row = first + get(copy + 48, 8), next = ++n;
    }
    free(copy);
}
