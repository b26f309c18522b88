/*
 * Decoded pictures on a GPU to NV12: docs/ref/scaling.md, to the bit, in the form of its section "On a GPU".
 *
 *   vas_p016_to_nv12   P010, P012 and P016 at their own size: N = D in both directions
 *   vas_nv12_scale     NV12, scaled
 *   vas_p016_scale     P010, P012 and P016, reduced to 8 bits and scaled, in one pass
 *
 * Each kernel writes the whole output, bars included, and nothing else: no padding of rows. Threads share nothing.
 *
 * One thread makes a luma sample, or a U and V pair. Column x of the grid is column x of the output's plane. Rows of
 * the grid are first the output's rows of luma, then those of chroma: the grid covers at least `width` columns and
 * `height + ceil(height / 2)` rows. Threads beyond the output return at once, so any block size does; blocks whose
 * width is a multiple of 32 keep luma and chroma in different warps.
 *
 * There is no include, so that a compiler without CUDA's headers takes it (scripts/build-ptx). VAS_HOST is for the
 * processor: whoever defines it has defined the macros below.
 */
#if defined(VAS_HOST)
/* VAS_KERNEL, VAS_DEVICE, VAS_THREAD_X, VAS_THREAD_Y. */
#elif defined(__NVCC__) || defined(__CUDACC_RTC__)
#define VAS_KERNEL extern "C" __global__ void
#define VAS_DEVICE static __device__ __forceinline__
#define VAS_THREAD_X (blockIdx.x * blockDim.x + threadIdx.x)
#define VAS_THREAD_Y (blockIdx.y * blockDim.y + threadIdx.y)
#else
#define VAS_KERNEL extern "C" __attribute__((global)) void
#define VAS_DEVICE static __attribute__((device, always_inline)) inline
#define VAS_READ(name, axis) ((unsigned)__nvvm_read_ptx_sreg_##name##_##axis())
#define VAS_THREAD_X (VAS_READ(ctaid, x) * VAS_READ(ntid, x) + VAS_READ(tid, x))
#define VAS_THREAD_Y (VAS_READ(ctaid, y) * VAS_READ(ntid, y) + VAS_READ(tid, y))
#endif

/* One direction: columns or rows. The names in capitals are the page's. */
struct VasAxis {
    /* N: pixels of the visible source picture, 1 to 16384. */
    unsigned source;
    /* D: pixels of the content, 1 to N. */
    unsigned content;
    /* x0 or y0: where the content begins in the output. Even. */
    unsigned begin;
    /* a of the chroma planes: 1, 0 or -1. */
    int shift;
    /* Division by 4 * N: with p the least number for which 2^p >= 4 * N, floor(2^(31 + p) / (4 * N)) + 1. */
    unsigned multiplier;
    /* p - 1. */
    unsigned multiplier_shift;
};

/* The only parameter of each kernel, by value: 112 bytes without padding, little-endian. */
struct VasLaunch {
    /* Device addresses of the visible source picture's first samples, behind any crop. Words begin at even ones. */
    const unsigned char *source_luma;
    const unsigned char *source_chroma;
    /* Device addresses of the output's planes. Any. */
    unsigned char *output_luma;
    unsigned char *output_chroma;
    /* Bytes between rows. Those of a source of words are even. */
    unsigned source_luma_pitch;
    unsigned source_chroma_pitch;
    unsigned output_luma_pitch;
    unsigned output_chroma_pitch;
    /* The output's pixels, 1 to 16384 each; begin + content of each direction is not above. */
    unsigned width;
    unsigned height;
    /* Luma of the bars: 0 for the full range, 16 otherwise. */
    unsigned black;
    /* 0. */
    unsigned reserved;
    VasAxis columns;
    VasAxis rows;
};

static_assert(sizeof(VasAxis) == 24, "a layout that another language fills");
static_assert(sizeof(VasLaunch) == 112, "a layout that another language fills");

/* The weights of a window add up to 2 to this power. */
enum { VAS_COLUMN_BITS = 14, VAS_ROW_BITS = 8 };

/* An 8-bit sample, of a byte or of a word whose high bits count. */
VAS_DEVICE unsigned vas_reduce(unsigned char sample)
{
    return sample;
}

VAS_DEVICE unsigned vas_reduce(unsigned short word)
{
    const unsigned rounded = (word + 128u) >> 8;
    return rounded < 255u ? rounded : 255u;
}

/* The window of one output sample in one direction of one plane. */
struct VasWindow {
    /* 4 * N, 4 * D, M, B. */
    int length;
    int step;
    int samples;
    int begin;
    unsigned multiplier;
    unsigned multiplier_shift;
};

VAS_DEVICE VasWindow vas_luma_window(const VasAxis &axis, unsigned k)
{
    VasWindow window;
    window.length = (int)(4 * axis.source);
    window.step = (int)(4 * axis.content);
    window.samples = (int)axis.source;
    window.begin = (int)(4 * k * axis.source);
    window.multiplier = axis.multiplier;
    window.multiplier_shift = axis.multiplier_shift;
    return window;
}

VAS_DEVICE VasWindow vas_chroma_window(const VasAxis &axis, unsigned k)
{
    VasWindow window = vas_luma_window(axis, k);
    window.samples = (window.samples + 1) / 2;
    window.begin -= axis.shift * (int)(axis.source - axis.content);
    return window;
}

/* The first sample that can have a weight. All before it have none. */
VAS_DEVICE int vas_first(const VasWindow &window)
{
    const int first = window.begin < 0 ? 0 : window.begin / window.step;
    return first < window.samples ? first : window.samples - 1;
}

/* R(m), for m from 1 to M: the weights of all samples below m. R(M) is 2^bits. */
VAS_DEVICE unsigned vas_below(const VasWindow &window, int m, int bits)
{
    int covered = window.length;
    if (m < window.samples) {
        covered = m * window.step - window.begin;
        covered = covered < 0 ? 0 : covered;
        covered = covered < window.length ? covered : window.length;
    }
    /* At most 2^30 + 2^15: below 2^31, for which the multiplier is exact. */
    const unsigned dividend = ((unsigned)covered << bits) + (unsigned)window.length / 2;
    const unsigned long long product = (unsigned long long)dividend * window.multiplier;
    return (unsigned)(product >> 32) >> window.multiplier_shift;
}

/* PARTS samples that lie side by side, each the mean of its part of the source. The sums are exact: any order does. */
template <typename Word, unsigned PARTS>
VAS_DEVICE void vas_average(const unsigned char *plane, unsigned pitch, const VasWindow &columns,
                            const VasWindow &rows, unsigned char *out)
{
    unsigned total[PARTS] = {};
    const int first = vas_first(columns);
    /* Weights end where their sum is complete. Wrong parameters must neither loop for ever nor read past the plane. */
    unsigned above = 0;
    for (int n = vas_first(rows); n < rows.samples && above < 1u << VAS_ROW_BITS; n++) {
        const unsigned next_above = vas_below(rows, n + 1, VAS_ROW_BITS);
        const unsigned row_weight = next_above - above;
        above = next_above;

        const Word *row = (const Word *)(plane + (unsigned long long)(unsigned)n * pitch);
        unsigned sums[PARTS] = {};
        unsigned left = 0;
        for (int m = first; m < columns.samples && left < 1u << VAS_COLUMN_BITS; m++) {
            const unsigned next_left = vas_below(columns, m + 1, VAS_COLUMN_BITS);
            const unsigned weight = next_left - left;
            left = next_left;
            for (unsigned part = 0; part < PARTS; part++)
                sums[part] += weight * vas_reduce(row[(unsigned)m * PARTS + part]);
        }
        for (unsigned part = 0; part < PARTS; part++)
            total[part] += row_weight * sums[part];
    }
    for (unsigned part = 0; part < PARTS; part++)
        out[part] = (unsigned char)((total[part] + (1u << 21)) >> 22);
}

/* The same where N = D: nothing is averaged. */
template <typename Word, unsigned PARTS>
VAS_DEVICE void vas_copy(const unsigned char *plane, unsigned pitch, unsigned k, unsigned r,
                         unsigned char *out)
{
    const Word *row = (const Word *)(plane + (unsigned long long)r * pitch);
    for (unsigned part = 0; part < PARTS; part++)
        out[part] = (unsigned char)vas_reduce(row[k * PARTS + part]);
}

/* Whatever this thread has to do. */
template <typename Word, bool SCALED> VAS_DEVICE void vas_sample(const VasLaunch &launch)
{
    const unsigned x = VAS_THREAD_X, y = VAS_THREAD_Y;
    if (y < launch.height) {
        if (x >= launch.width)
            return;
        unsigned char *out =
            launch.output_luma + (unsigned long long)y * launch.output_luma_pitch + x;
        /* Left of the content or above it, these wrap around to large numbers. */
        const unsigned k = x - launch.columns.begin, r = y - launch.rows.begin;
        if (k >= launch.columns.content || r >= launch.rows.content)
            *out = (unsigned char)launch.black;
        else if (SCALED)
            vas_average<Word, 1>(launch.source_luma, launch.source_luma_pitch,
                                 vas_luma_window(launch.columns, k),
                                 vas_luma_window(launch.rows, r), out);
        else
            vas_copy<Word, 1>(launch.source_luma, launch.source_luma_pitch, k, r, out);
        return;
    }

    const unsigned row = y - launch.height;
    if (row >= (launch.height + 1) / 2 || x >= (launch.width + 1) / 2)
        return;
    unsigned char *out =
        launch.output_chroma + (unsigned long long)row * launch.output_chroma_pitch + 2 * x;
    const unsigned k = x - launch.columns.begin / 2, r = row - launch.rows.begin / 2;
    if (k >= (launch.columns.content + 1) / 2 || r >= (launch.rows.content + 1) / 2)
        out[0] = out[1] = 128;
    else if (SCALED)
        vas_average<Word, 2>(launch.source_chroma, launch.source_chroma_pitch,
                             vas_chroma_window(launch.columns, k),
                             vas_chroma_window(launch.rows, r), out);
    else
        vas_copy<Word, 2>(launch.source_chroma, launch.source_chroma_pitch, k, r, out);
}

VAS_KERNEL vas_p016_to_nv12(const VasLaunch launch)
{
    vas_sample<unsigned short, false>(launch);
}

VAS_KERNEL vas_nv12_scale(const VasLaunch launch)
{
    vas_sample<unsigned char, true>(launch);
}

VAS_KERNEL vas_p016_scale(const VasLaunch launch)
{
    vas_sample<unsigned short, true>(launch);
}
