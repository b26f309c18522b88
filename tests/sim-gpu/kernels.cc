/*
 * Runs the kernels of cuda/nv12.cu on the processor, thread by thread, for the simulated device.
 *
 * With VAS_IR they are linked from LLVM's intermediate representation, the one that the PTX is generated from;
 * otherwise they are compiled here. There is no include, so that a compiler for another processor needs no headers.
 */

/* Of this thread: each stream of the device runs its kernels on a thread of its own. */
static thread_local unsigned vas_block[2], vas_block_size[2], vas_thread[2];

/* What the kernels' special registers are in the intermediate representation. */
extern "C" {
unsigned vas_ctaid_x()
{
    return vas_block[0];
}
unsigned vas_ctaid_y()
{
    return vas_block[1];
}
unsigned vas_ntid_x()
{
    return vas_block_size[0];
}
unsigned vas_ntid_y()
{
    return vas_block_size[1];
}
unsigned vas_tid_x()
{
    return vas_thread[0];
}
unsigned vas_tid_y()
{
    return vas_thread[1];
}
}

namespace source
{
#define VAS_HOST
#define VAS_KERNEL [[maybe_unused]] static void
#define VAS_DEVICE static inline
#define VAS_THREAD_X (vas_ctaid_x() * vas_ntid_x() + vas_tid_x())
#define VAS_THREAD_Y (vas_ctaid_y() * vas_ntid_y() + vas_tid_y())
#include "../../cuda/nv12.cu"
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

static void (*const vas_kernels[])(source::VasLaunch) = {vas_p016_to_nv12, vas_nv12_scale,
                                                         vas_p016_scale};

/* Runs all threads of a launch. The addresses are those of memory of this process. */
extern "C" void vas_sim_run(unsigned kernel, const source::VasLaunch *launch,
                            const unsigned *block_size, const unsigned *grid)
{
    vas_block_size[0] = block_size[0];
    vas_block_size[1] = block_size[1];
    for (vas_block[1] = 0; vas_block[1] < grid[1]; vas_block[1]++)
        for (vas_block[0] = 0; vas_block[0] < grid[0]; vas_block[0]++)
            for (vas_thread[1] = 0; vas_thread[1] < block_size[1]; vas_thread[1]++)
                for (vas_thread[0] = 0; vas_thread[0] < block_size[0]; vas_thread[0]++)
                    vas_kernels[kernel](*launch);
}
