/*
 * Runs commands from standard input, one per line with tabs between words, and answers each with a
 * line: a test in another language drives vas_frame.h over a pipe. Pixels follow their line as raw
 * bytes. N is one of the held frames, 0 to 7.
 *
 *   open DIR CAMERA MAX_FPS      replaces the previous reader
 *   name NAME                    the name of readers that are opened from now on
 *   close
 *   latest N
 *   newer N ID TIMEOUT_MS
 *   newer_if N ID TIMEOUT_MS M   accepts frames whose id is a multiple of M
 *   next N ID TIMEOUT_MS
 *   follow N                     the next one after the cursor
 *   cursor                       the reader's cursor
 *   valid N
 *   copy N ROOM                  into a buffer of ROOM bytes, 0: of the picture's size
 *   view N                       its pixels from shared memory
 *   release N
 *   race COUNT                   copy COUNT frames, each until it is overwritten, and check them
 */
#define _DEFAULT_SOURCE /* strsep */
#include "../vas_frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 8 };

static vas_reader *reader;
static vas_frame frames[FRAMES];
static char name[128];

static const char *name_of(vas_status status)
{
    static const char *const names[] = {
        "OK",        "NOT_YET",   "TIMED_OUT",  "WRITER_STOPPED", "WRITER_DIED",  "OVERWRITTEN",
        "NO_CAMERA", "NO_WRITER", "BAD_FORMAT", "BAD_ARGUMENT",   "SYSTEM_ERROR",
    };
    return names[status];
}

static void say_failure(vas_status status)
{
    printf("%s %s\n", name_of(status), vas_last_error());
}

static void say_status(vas_status status)
{
    if (status == VAS_OK)
        printf("OK\n");
    else
        say_failure(status);
}

static void say_frame(vas_status status, const vas_frame *frame)
{
    const vas_meta *m = &frame->meta;
    const vas_picture *p = &frame->picture;
    if (status != VAS_OK) {
        say_failure(status);
        return;
    }
    printf("OK frame_id=%" PRIu64 " epoch=%" PRIu64 " pts_ns=%" PRId64, m->frame_id, m->epoch,
           m->pts_ns);
    printf(" arrival_ns=%" PRIu64 " decoded_ns=%" PRIu64 " gate_ns=%" PRIu64, m->arrival_ns,
           m->decoded_ns, m->gate_ns);
    printf(" published_ns=%" PRIu64 " reuse_not_before_ns=%" PRIu64, m->published_ns,
           m->reuse_not_before_ns);
    printf(" wall_clock_ns=%" PRId64 " wall_quality=%u flags=%u size=%ux%u", m->wall_clock_ns,
           m->wall_quality, m->flags, m->width, m->height);
    printf(" coded=%ux%u crop=%u,%u content=%u,%u,%u,%u source=%ux%u decoder=%u", m->coded_width,
           m->coded_height, m->crop_left, m->crop_top, m->content_x, m->content_y, m->content_width,
           m->content_height, m->source_width, m->source_height, m->decoder);
    printf(" stride=%u range=%u primaries=%u transfer=%u matrix=%u chroma=%u depth=%u tight=%zu\n",
           p->stride, p->color_range, p->color_primaries, p->color_transfer, p->color_matrix,
           p->chroma_location, p->bit_depth, p->tight_size);
}

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    if (memory == NULL)
        abort();
    return memory;
}

static void say_pixels(const unsigned char *nv12, size_t size)
{
    printf("OK %zu\n", size);
    fwrite(nv12, 1, size, stdout);
}

/* ---- Commands: `a` has the arguments, as many as the table states ---- */

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 10);
}

static vas_frame *held(const char *n)
{
    return &frames[number(n) % FRAMES];
}

/* An entry for a frame; a frame held there is released. */
static vas_frame *place(const char *n)
{
    vas_frame *frame = held(n);
    vas_frame_release(frame);
    return frame;
}

static void do_name(char **a)
{
    snprintf(name, sizeof name, "%s", a[0]);
    printf("OK\n");
}

static void do_open(char **a)
{
    vas_reader_close(reader);
    vas_options options = VAS_OPTIONS_INIT;
    options.dir = a[0];
    options.name = name;
    options.max_fps = strtod(a[2], NULL);
    say_status(vas_reader_open(a[1], &options, &reader));
}

static void do_close(char **a)
{
    (void)a;
    vas_reader_close(reader);
    reader = NULL;
    printf("OK\n");
}

static void do_latest(char **a)
{
    vas_frame *frame = place(a[0]);
    say_frame(vas_reader_latest(reader, frame), frame);
}

/* Sets the cursor and the timeout of the next call. */
static void aim(char **a)
{
    vas_reader_seek(reader, number(a[1]));
    vas_reader_set_timeout(reader, strtoll(a[2], NULL, 10));
}

static void do_newer(char **a)
{
    vas_frame *frame = place(a[0]);
    aim(a);
    say_frame(vas_reader_newer(reader, frame), frame);
}

static void do_next(char **a)
{
    vas_frame *frame = place(a[0]);
    aim(a);
    say_frame(vas_reader_next(reader, frame), frame);
}

static void do_follow(char **a)
{
    vas_frame *frame = place(a[0]);
    say_frame(vas_reader_next(reader, frame), frame);
}

static void do_cursor(char **a)
{
    (void)a;
    printf("%" PRIu64 "\n", vas_reader_cursor(reader));
}

struct judge {
    uint64_t multiple;
    char judged[256];
};

static bool is_multiple(const vas_meta *meta, void *context)
{
    struct judge *judge = context;
    size_t used = strlen(judge->judged);
    snprintf(judge->judged + used, sizeof judge->judged - used, " %" PRIu64, meta->frame_id);
    return meta->frame_id % judge->multiple == 0;
}

static void do_newer_if(char **a)
{
    struct judge judge = {.multiple = number(a[3])};
    vas_frame *frame = place(a[0]);
    aim(a);
    vas_status status = vas_reader_newer_if(reader, is_multiple, &judge, frame);
    printf("%s judged%s\n", name_of(status), judge.judged);
}

static void do_valid(char **a)
{
    printf("%s\n", vas_frame_still_valid(held(a[0])) ? "yes" : "no");
}

static void do_copy(char **a)
{
    const vas_frame *frame = held(a[0]);
    /* Exactly this size, so that a sanitizer detects a write past it. */
    size_t room = number(a[1]) != 0 ? number(a[1]) : frame->picture.tight_size;
    unsigned char *nv12 = allocate(room);
    vas_status status = vas_frame_copy_if_valid(frame, nv12, room);
    if (status == VAS_OK)
        say_pixels(nv12, frame->picture.tight_size);
    else
        say_failure(status);
    free(nv12);
}

static void do_view(char **a)
{
    const vas_frame *frame = held(a[0]);
    const size_t width = frame->picture.width, height = frame->picture.height;
    const vas_view v = vas_frame_view(frame);
    unsigned char *nv12 = allocate(frame->picture.tight_size), *to = nv12;
    for (size_t row = 0; row < height; row++)
        for (size_t column = 0; column < width; column++)
            *to++ = v.y[row * v.stride + column];
    for (size_t row = 0; row < (height + 1) / 2; row++)
        for (size_t column = 0; column < (width + 1) / 2 * 2; column++)
            *to++ = v.uv[row * v.stride + column];
    if (vas_frame_still_valid(frame))
        say_pixels(nv12, frame->picture.tight_size);
    else
        printf("OVERWRITTEN\n");
    free(nv12);
}

static void do_release(char **a)
{
    vas_frame_release(held(a[0]));
    printf("OK\n");
}

/* The writer fills each picture with the low byte of its id: any other byte is torn. Each frame is
 * copied repeatedly until the writer reuses the slot, so the last copy races with it. */
static void do_race(char **a)
{
    uint64_t left = number(a[0]), whole = 0, torn = 0;
    unsigned char *nv12 = NULL;
    vas_frame frame = {0};
    vas_status status = VAS_OK;
    vas_reader_seek(reader, 0);
    vas_reader_set_timeout(reader, 60000);
    for (; left > 0 && status == VAS_OK; left--) {
        status = vas_reader_newer(reader, &frame);
        const size_t size = frame.picture.tight_size;
        if (nv12 == NULL)
            nv12 = allocate(size);
        for (; status == VAS_OK && vas_frame_copy_if_valid(&frame, nv12, size) == VAS_OK; whole++)
            torn += nv12[0] != (unsigned char)frame.meta.frame_id
                    || memcmp(nv12, nv12 + 1, size - 1) != 0;
        vas_frame_release(&frame);
    }
    free(nv12);
    if (status == VAS_OK)
        printf("OK whole %" PRIu64 " torn %" PRIu64 "\n", whole, torn);
    else
        say_failure(status);
}

static const struct command {
    const char *name;
    size_t arguments;
    void (*run)(char **arguments);
} commands[] = {
    {"open", 3, do_open},       {"close", 0, do_close}, {"latest", 1, do_latest},
    {"newer", 3, do_newer},     {"next", 3, do_next},   {"newer_if", 4, do_newer_if},
    {"valid", 1, do_valid},     {"copy", 2, do_copy},   {"view", 1, do_view},
    {"release", 1, do_release}, {"race", 1, do_race},   {"follow", 1, do_follow},
    {"cursor", 0, do_cursor},   {"name", 1, do_name},
};

static bool obey(char *line)
{
    char *words[6] = {0};
    size_t count = 0;
    line[strcspn(line, "\n")] = '\0';
    /* Not strtok, which skips empty words. */
    while (line != NULL && count < sizeof words / sizeof *words)
        words[count++] = strsep(&line, "\t");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const struct command *c = &commands[i];
        if (strcmp(c->name, words[0]) == 0 && c->arguments == count - 1) {
            c->run(words + 1);
            return true;
        }
    }
    return false;
}

int main(void)
{
    char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (!obey(line)) {
            fprintf(stderr, "driver: unknown command: %s\n", line);
            return 2;
        }
        fflush(stdout);
    }
    for (size_t i = 0; i < FRAMES; i++)
        vas_frame_release(&frames[i]);
    vas_reader_close(reader);
    return 0;
}
