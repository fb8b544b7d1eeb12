/* The chain of the pipeline bench by hand: counts to volts, five sections, FFT of 512, into a ring.
 * One lane a channel, 32 channels by 400 samples; prints p50 and p99 in nanoseconds. */
#include "../limit.h"
#include <math.h>

enum { CHANNELS = 32, SAMPLES = 400, LENGTH = 512, HALF = LENGTH / 2, SECTIONS = 5, ROUNDS = 4000 };
enum { SPECTRUM = (HALF + 1) * 2 * CHANNELS, SLOT = SPECTRUM * 4 + 512, SLOTS = 1000 };

typedef float floats __attribute__((vector_size(64)));
typedef double doubles __attribute__((vector_size(64)));
typedef float half_floats __attribute__((vector_size(32)));
typedef int half_counts __attribute__((vector_size(32)));
typedef int counts __attribute__((vector_size(64)));

static double sos[SECTIONS][6], gain = 1;
static int32_t raw[SAMPLES * CHANNELS] __attribute__((aligned(64)));
static float filtered[SAMPLES * CHANNELS] __attribute__((aligned(64)));
static double state64[SECTIONS][2][CHANNELS] __attribute__((aligned(64)));
static float state32[SECTIONS][2][CHANNELS] __attribute__((aligned(64)));
static floats scratch[HALF][2];
static float window[SAMPLES], twiddles[4][HALF / 4][6], joints[HALF / 2 + 1][2];
static int places[HALF];

#define FILTER(NAME, VECTOR, NUMBER, LANES, COUNTS, OUT, STATE)                                     \
    static void NAME(double scale) {                                                                \
        NUMBER b1[SECTIONS], a1[SECTIONS], a2[SECTIONS], factor = (NUMBER)(scale * gain);           \
        for (int s = 0; s < SECTIONS; s++) {                                                        \
            b1[s] = (NUMBER)(sos[s][1] / sos[s][0]);                                                \
            a1[s] = (NUMBER)sos[s][4];                                                              \
            a2[s] = (NUMBER)sos[s][5];                                                              \
        }                                                                                           \
        for (int lane = 0; lane < CHANNELS; lane += LANES) {                                        \
            VECTOR s1[SECTIONS], s2[SECTIONS];                                                      \
            for (int s = 0; s < SECTIONS; s++) {                                                    \
                s1[s] = *(VECTOR *)&STATE[s][0][lane];                                              \
                s2[s] = *(VECTOR *)&STATE[s][1][lane];                                              \
            }                                                                                       \
            for (int row = 0; row < SAMPLES; row++) {                                               \
                COUNTS in = *(COUNTS *)&raw[row * CHANNELS + lane];                                 \
                VECTOR x = __builtin_convertvector(in, VECTOR) * factor;                            \
                for (int s = 0; s < SECTIONS; s++) {                                                \
                    VECTOR y = x + s1[s];                                                           \
                    s1[s] = b1[s] * x + s2[s] - a1[s] * y;                                          \
                    s2[s] = x - a2[s] * y;                                                          \
                    x = y;                                                                          \
                }                                                                                   \
                *(OUT *)&filtered[row * CHANNELS + lane] = __builtin_convertvector(x, OUT);         \
            }                                                                                       \
            for (int s = 0; s < SECTIONS; s++) {                                                    \
                *(VECTOR *)&STATE[s][0][lane] = s1[s];                                              \
                *(VECTOR *)&STATE[s][1][lane] = s2[s];                                              \
            }                                                                                       \
        }                                                                                           \
    }

FILTER(filter64, doubles, double, 8, half_counts, half_floats, state64)
FILTER(filter32, floats, float, 16, counts, floats, state32)

/* The other layout, channel by channel; each sample of a channel waits for the one before. */
static int32_t planar_raw[CHANNELS * SAMPLES];
static float planar_out[CHANNELS * SAMPLES];
static double planar_state[CHANNELS][SECTIONS][2];

static void planar64(double scale) {
    for (int channel = 0; channel < CHANNELS; channel++)
        for (int i = 0; i < SAMPLES; i++) {
            double x = planar_raw[channel * SAMPLES + i] * scale;
            for (int s = 0; s < SECTIONS; s++) {
                double *state = planar_state[channel][s], y = sos[s][0] * x + state[0];
                state[0] = sos[s][1] * x + state[1] - sos[s][4] * y;
                state[1] = sos[s][2] * x - sos[s][5] * y;
                x = y;
            }
            planar_out[channel * SAMPLES + i] = x;
        }
}

static void transpose(void) {
    for (int channel = 0; channel < CHANNELS; channel++)
        for (int i = 0; i < SAMPLES; i++)
            planar_raw[channel * SAMPLES + i] = raw[i * CHANNELS + channel];
}

static int place(int k, int length) {
    return length == 1 ? 0 : k % 4 * (length / 4) + place(k / 4, length / 4);
}

static void plan(void) {
    for (int i = 0; i < SAMPLES; i++)
        window[i] = 0.5 - 0.5 * cos(2 * M_PI * i / SAMPLES);
    for (int pass = 0, block = HALF; pass < 4; pass++, block /= 4)
        for (int j = 0; j < block / 4; j++)
            for (int t = 1; t <= 3; t++) {
                twiddles[pass][j][2 * t - 2] = cos(2 * M_PI * j * t / block);
                twiddles[pass][j][2 * t - 1] = -sin(2 * M_PI * j * t / block);
            }
    for (int k = 0; k < HALF; k++)
        places[k] = place(k, HALF);
    for (int k = 0; k <= HALF / 2; k++) {
        joints[k][0] = cos(2 * M_PI * k / LENGTH);
        joints[k][1] = -sin(2 * M_PI * k / LENGTH);
    }
}

static inline floats sample(int i, int lane) {
    return i < SAMPLES ? *(floats *)&filtered[i * CHANNELS + lane] * window[i] : (floats){0};
}

#define BUTTERFLY(AR, AI, BR, BI, CR, CI, DR, DI, W, P0, P1, P2, P3)                                \
    do {                                                                                            \
        floats sr = AR + CR, si = AI + CI, dr = AR - CR, di = AI - CI;                              \
        floats tr = BR + DR, ti = BI + DI, ur = BR - DR, ui = BI - DI;                              \
        floats xr = dr + ui, xi = di - ur, yr = sr - tr, yi = si - ti, zr = dr - ui, zi = di + ur;  \
        scratch[P0][0] = sr + tr;                                                                   \
        scratch[P0][1] = si + ti;                                                                   \
        scratch[P1][0] = xr * W[0] - xi * W[1];                                                     \
        scratch[P1][1] = xr * W[1] + xi * W[0];                                                     \
        scratch[P2][0] = yr * W[2] - yi * W[3];                                                     \
        scratch[P2][1] = yr * W[3] + yi * W[2];                                                     \
        scratch[P3][0] = zr * W[4] - zi * W[5];                                                     \
        scratch[P3][1] = zr * W[5] + zi * W[4];                                                     \
    } while (0)

static void passes(int lane) {
    for (int j = 0; j < HALF / 4; j++) {
        int b = j + HALF / 4, c = j + HALF / 2, d = j + 3 * HALF / 4;
        floats ar = sample(2 * j, lane), ai = sample(2 * j + 1, lane);
        floats br = sample(2 * b, lane), bi = sample(2 * b + 1, lane);
        floats cr = sample(2 * c, lane), ci = sample(2 * c + 1, lane);
        floats er = sample(2 * d, lane), ei = sample(2 * d + 1, lane);
        BUTTERFLY(ar, ai, br, bi, cr, ci, er, ei, twiddles[0][j], j, b, c, d);
    }
    for (int pass = 1, block = HALF / 4; pass < 4; pass++, block /= 4)
        for (int j = 0; j < block / 4; j++)
            for (int a = j; a < HALF; a += block) {
                int q = block / 4, b = a + q, c = a + 2 * q, d = a + 3 * q;
                floats ar = scratch[a][0], ai = scratch[a][1], br = scratch[b][0], bi = scratch[b][1];
                floats cr = scratch[c][0], ci = scratch[c][1], er = scratch[d][0], ei = scratch[d][1];
                BUTTERFLY(ar, ai, br, bi, cr, ci, er, ei, twiddles[pass][j], a, b, c, d);
            }
}

#define PUT(K, RE, IM)                                                                              \
    do {                                                                                            \
        *(floats *)&out[2 * (K) * CHANNELS + lane] = RE;                                            \
        *(floats *)&out[(2 * (K) + 1) * CHANNELS + lane] = IM;                                      \
    } while (0)

static void transform(float *out) {
    for (int lane = 0; lane < CHANNELS; lane += 16) {
        passes(lane);
        floats re = scratch[0][0], im = scratch[0][1], zero = {0};
        PUT(0, re + im, zero);
        PUT(HALF, re - im, zero);
        for (int k = 1; k <= HALF / 2; k++) {
            floats *z = scratch[places[k]], *m = scratch[places[HALF - k]];
            floats er = (z[0] + m[0]) * 0.5f, ei = (z[1] - m[1]) * 0.5f;
            floats pr = (z[1] + m[1]) * 0.5f, pi = (m[0] - z[0]) * 0.5f;
            floats qr = pr * joints[k][0] - pi * joints[k][1];
            floats qi = pr * joints[k][1] + pi * joints[k][0];
            PUT(k, er + qr, ei + qi);
            PUT(HALF - k, er - qr, qi - ei);
        }
    }
}

static void report(const char *name, int64_t *times) {
    int64_t p50 = median(times, ROUNDS);
    printf("%s %lld %lld\n", name, (long long)p50, (long long)times[ROUNDS * 99 / 100]);
}

#define MEASURE(NAME, WORK)                                                                         \
    do {                                                                                            \
        for (int i = 0; i < ROUNDS; i++) {                                                          \
            char *slot = ring + (size_t)(i % SLOTS) * SLOT;                                         \
            (void)slot;                                                                             \
            for (int j = 0; j < SAMPLES * CHANNELS; j++)                                            \
                raw[j] = source[j];                                                                 \
            int64_t start = now_nanos();                                                            \
            WORK;                                                                                   \
            __atomic_store_n((int64_t *)ring, i, __ATOMIC_RELEASE);                                 \
            times[i] = now_nanos() - start;                                                         \
        }                                                                                           \
        report(NAME, times);                                                                        \
    } while (0)

int main(int argc, char **argv) {
    if (argc != 2 + 6 * SECTIONS)
        return 2;
    for (int i = 0; i < 6 * SECTIONS; i++)
        sos[i / 6][i % 6] = atof(argv[2 + i]);
    for (int s = 0; s < SECTIONS; s++)
        gain *= sos[s][0];
    char *ring = mapped(argv[1], (size_t)SLOT * (SLOTS + 1));
    static int64_t times[ROUNDS];
    static int32_t source[SAMPLES * CHANNELS];
    for (int i = 0; i < SAMPLES * CHANNELS; i++)
        source[i] = i * 7919 % 100000 - 50000;
    plan();
    double scale = 4.5 / 24 / 8388608;
    MEASURE("filter_f64", filter64(scale));
    MEASURE("filter_f32", filter32(scale));
    MEASURE("transpose", transpose());
    MEASURE("planar_f64", planar64(scale));
    MEASURE("chain", (filter64(scale), transform((float *)(slot + 512))));
    MEASURE("chain_f32", (filter32(scale), transform((float *)(slot + 512))));
    return 0;
}
