/*
 * Runs the kernels of cuda/nv12.cu on the processor, thread by thread, for tests.
 *
 * Reads jobs from standard input until it ends, each a Job with its source planes behind it, and writes the output
 * planes of each to standard output. With VAS_IR the kernels are linked from LLVM's intermediate representation
 * instead of being compiled here.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

static unsigned block[2], block_size[2], thread[2];

/* What the kernels' special registers are in the intermediate representation. */
extern "C" {
unsigned vas_ctaid_x()
{
    return block[0];
}
unsigned vas_ctaid_y()
{
    return block[1];
}
unsigned vas_ntid_x()
{
    return block_size[0];
}
unsigned vas_ntid_y()
{
    return block_size[1];
}
unsigned vas_tid_x()
{
    return thread[0];
}
unsigned vas_tid_y()
{
    return thread[1];
}
}

namespace source
{
#define VAS_HOST
#define VAS_KERNEL [[maybe_unused]] static void
#define VAS_DEVICE static inline
#define VAS_THREAD_X (vas_ctaid_x() * vas_ntid_x() + vas_tid_x())
#define VAS_THREAD_Y (vas_ctaid_y() * vas_ntid_y() + vas_tid_y())
#include "nv12.cu"
} // namespace source

#if defined(VAS_IR)
extern "C" {
void vas_p016_to_nv12(source::VasLaunch);
void vas_nv12_scale(source::VasLaunch);
void vas_p016_scale(source::VasLaunch);
}
#else
using namespace source;
#endif

static void (*const kernels[])(source::VasLaunch) = {vas_p016_to_nv12, vas_nv12_scale,
                                                     vas_p016_scale};

struct Job {
    uint32_t kernel;
    uint32_t backwards;
    uint32_t block_size[2];
    uint32_t grid[2];
    /* Bytes of source luma, source chroma, output luma, output chroma; and before each. */
    uint32_t bytes[4];
    uint32_t offsets[4];
    /* Without addresses. */
    source::VasLaunch launch;
};
static_assert(sizeof(Job) == 56 + 112, "what the test writes");

static void check(bool good, const char *what)
{
    if (!good) {
        std::fprintf(stderr, "run: %s\n", what);
        std::exit(1);
    }
}

static void run(const Job &job, const source::VasLaunch &launch)
{
    std::memcpy(block_size, job.block_size, sizeof block_size);
    const uint64_t blocks = (uint64_t)job.grid[0] * job.grid[1];
    for (uint64_t i = 0; i < blocks; i++) {
        const uint64_t at = job.backwards ? blocks - 1 - i : i;
        block[0] = (unsigned)(at % job.grid[0]);
        block[1] = (unsigned)(at / job.grid[0]);
        for (thread[1] = 0; thread[1] < block_size[1]; thread[1]++)
            for (thread[0] = 0; thread[0] < block_size[0]; thread[0]++)
                kernels[job.kernel](launch);
    }
}

int main()
{
    Job job;
    while (std::fread(&job, sizeof job, 1, stdin) == 1) {
        check(job.kernel < sizeof kernels / sizeof *kernels, "no such kernel");
        unsigned char *memory[4], *planes[4];
        for (int i = 0; i < 4; i++) {
            /* Each of its own, and ending with its last byte, so that sanitizers see any access beyond it. */
            memory[i] = (unsigned char *)std::malloc(job.offsets[i] + job.bytes[i]);
            check(memory[i], "out of memory");
            planes[i] = memory[i] + job.offsets[i];
            std::memset(memory[i], 0xee, job.offsets[i] + job.bytes[i]);
            if (i < 2)
                check(std::fread(planes[i], 1, job.bytes[i], stdin) == job.bytes[i], "a short job");
        }
        source::VasLaunch launch = job.launch;
        launch.source_luma = planes[0];
        launch.source_chroma = planes[1];
        launch.output_luma = planes[2];
        launch.output_chroma = planes[3];
        run(job, launch);
        for (int i = 2; i < 4; i++) {
            for (unsigned at = 0; at < job.offsets[i]; at++)
                check(memory[i][at] == 0xee, "written before a plane");
            check(std::fwrite(planes[i], 1, job.bytes[i], stdout) == job.bytes[i], "can't write");
        }
        check(std::fflush(stdout) == 0, "can't write");
        for (unsigned char *plane : memory)
            std::free(plane);
    }
}
