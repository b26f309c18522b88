/*
 * Prints a line for each frame of a camera, and keeps the pixels if asked to.
 *
 *   gcc -std=c11 -O2 -o example example.c vas_frame.c
 *   ./example gate
 *   ./example gate --count 100 --nv12 gate.nv12
 *
 * Exit codes: 0 after --count frames; 1 if no frame came within --timeout; 2 for wrong usage; 3 if
 * there is no such camera, or its writer is dead and none replaced it within --timeout.
 */
#include "vas_frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *camera, *nv12;
    uint64_t count;
    vas_options reader;
    bool latest;
};

static void print_usage(void)
{
    fprintf(stderr, "usage: example CAMERA [--dir DIR] [--count N] [--timeout SECONDS] [--latest]"
                    " [--nv12 FILE]\n"
                    "  --dir DIR          the export, /dev/shm/vas by default\n"
                    "  --count N          stop after N frames\n"
                    "  --timeout SECONDS  give up if no frame comes for this long, 10 by default\n"
                    "  --latest           the newest frame each time instead of every one\n"
                    "  --nv12 FILE        append each picture's pixels to FILE\n");
}

static bool parse(int argc, char **argv, struct options *options)
{
    *options = (struct options){.count = UINT64_MAX, .reader = VAS_OPTIONS_INIT};
    options->reader.timeout_ms = 10000;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(word, "--latest") == 0) {
            options->latest = true;
            continue;
        }
        if (word[0] != '-') {
            options->camera = word;
            continue;
        }
        if (value == NULL)
            return false;
        i++;
        if (strcmp(word, "--dir") == 0)
            options->reader.dir = value;
        else if (strcmp(word, "--nv12") == 0)
            options->nv12 = value;
        else if (strcmp(word, "--count") == 0)
            options->count = strtoull(value, NULL, 10);
        else if (strcmp(word, "--timeout") == 0)
            options->reader.timeout_ms = (int64_t)(strtod(value, NULL) * 1000);
        else
            return false;
    }
    return options->camera != NULL && options->count > 0 && options->reader.timeout_ms > 0;
}

static void print_frame(const char *camera, const vas_meta *m)
{
    static const char *const decoders[] = {"unknown", "software", "vaapi", "nvdec"};
    printf("%s frame %" PRIu64 " %ux%u age %.1f ms epoch %" PRIu64 " %s%s%s%s\n", camera,
           m->frame_id, m->width, m->height, (double)(vas_monotonic_ns() - m->arrival_ns) / 1e6,
           m->epoch, m->decoder < 4 ? decoders[m->decoder] : "unknown",
           m->flags & VAS_KEY ? " key" : "", m->flags & VAS_CORRUPT ? " corrupt" : "",
           m->flags & VAS_AFTER_LOSS ? " after-loss" : "");
    fflush(stdout);
}

/* The picture's pixels in private memory, which grows with the pictures. */
struct copy {
    unsigned char *nv12;
    size_t room;
};

/* Appends a frame's pixels to the file. */
static vas_status keep(const vas_frame *frame, struct copy *copy, FILE *file)
{
    const size_t size = frame->picture.tight_size;
    if (copy->room < size) {
        free(copy->nv12);
        copy->nv12 = malloc(size);
        copy->room = copy->nv12 == NULL ? 0 : size;
    }
    vas_status status = vas_frame_copy_if_valid(frame, copy->nv12, copy->room);
    if (status == VAS_OK && (fwrite(copy->nv12, 1, size, file) != size || fflush(file) != 0)) {
        perror("can't write the pixels");
        exit(2);
    }
    return status;
}

static vas_status watch(vas_reader *reader, const struct options *options, FILE *file)
{
    struct copy copy = {0};
    vas_status status = VAS_OK;
    uint64_t seen = 0;
    bool gone = false, go_on = true;
    while (go_on && seen < options->count) {
        vas_frame frame;
        status =
            options->latest ? vas_reader_newer(reader, &frame) : vas_reader_next(reader, &frame);
        if (status == VAS_OK) {
            gone = false;
            status = file == NULL ? VAS_OK : keep(&frame, &copy, file);
        }
        if (status == VAS_OK) {
            seen++;
            print_frame(options->camera, &frame.meta);
        } else {
            fprintf(stderr, "%s\n", vas_last_error());
            /* After an overwritten frame, continue with the next one. After the end of a writer,
             * wait once for the next. */
            bool was_gone = gone;
            gone = status == VAS_WRITER_STOPPED || status == VAS_WRITER_DIED;
            go_on = status == VAS_OVERWRITTEN || (gone && !was_gone);
        }
        vas_frame_release(&frame);
    }
    free(copy.nv12);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    if (!parse(argc, argv, &options)) {
        print_usage();
        return 2;
    }
    FILE *file = options.nv12 == NULL ? NULL : fopen(options.nv12, "ab");
    if (options.nv12 != NULL && file == NULL) {
        perror(options.nv12);
        return 2;
    }
    vas_reader *reader;
    vas_status status = vas_reader_open(options.camera, &options.reader, &reader);
    if (status == VAS_OK)
        status = watch(reader, &options, file);
    else
        fprintf(stderr, "%s\n", vas_last_error());
    vas_reader_close(reader);
    if (file != NULL)
        fclose(file);
    switch (status) {
    case VAS_OK: return 0;
    case VAS_TIMED_OUT:
    case VAS_NOT_YET: return 1;
    case VAS_BAD_ARGUMENT: return 2;
    default: return 3;
    }
}
