/*
 * Times the copies of a reader in C: copy DIR...
 *
 * A line on standard input with a number asks for as many frames of the camera `bench` of each
 * directory, in turn. The answer is "ready", and then a line with the nanoseconds of processor that
 * each copy took.
 */
#include "vas_frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void check(vas_status status)
{
    if (status != VAS_OK) {
        fprintf(stderr, "copy: %s\n", vas_last_error());
        exit(1);
    }
}

static long long cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char **argv)
{
    const int cameras = argc - 1;
    vas_reader **readers = calloc((size_t)argc, sizeof(*readers));
    unsigned char **images = calloc((size_t)argc, sizeof(*images));
    uint64_t *ends = calloc((size_t)argc, sizeof(*ends));
    if (readers == NULL || images == NULL || ends == NULL)
        return 1;
    for (int i = 0; i < cameras; i++) {
        vas_options options = VAS_OPTIONS_INIT;
        options.dir = argv[i + 1];
        options.timeout_ms = 10000;
        check(vas_reader_open("bench", &options, &readers[i]));
    }
    vas_frame frame;
    int frames;
    while (scanf("%d", &frames) == 1) {
        for (int i = 0; i < cameras; i++) { /* Skip what is old. */
            if (vas_reader_latest(readers[i], &frame) == VAS_OK)
                vas_frame_release(&frame);
            ends[i] = vas_reader_cursor(readers[i]) + (uint64_t)frames;
        }
        puts("ready");
        fflush(stdout);
        for (int n = 0; n < frames * cameras; n++) {
            const int i = n % cameras;
            if (vas_reader_cursor(readers[i]) >= ends[i]) /* Some were lost: the machine is busy. */
                continue;
            check(vas_reader_next(readers[i], &frame));
            const size_t size = frame.picture.tight_size;
            if (images[i] == NULL && (images[i] = malloc(size)) == NULL)
                return 1;
            const long long start = cpu_ns();
            if (vas_frame_copy_if_valid(&frame, images[i], size) == VAS_OK)
                printf("%lld ", cpu_ns() - start);
            vas_frame_release(&frame);
        }
        puts("");
        fflush(stdout);
    }
}
