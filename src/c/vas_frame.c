/*
 * The reader of vas_frame.h, in one file so that it can be added to any build.
 *
 * House rules. The mappings of a camera's files are read-only: loads only, and no atomic read-modify-write, which
 * faults there. The header's sizes are copied and checked once; later changes to them are
 * ignored, so a hostile writer can spoil pictures but can't make a reader leave its mapping. A
 * process with write permission could still shrink the files, and a reader would be killed by
 * SIGBUS: the files' mode prevents that.
 *
 * "The page" is docs/ref/frame-format.md. Each memory ordering names its partner in the writer.
 */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include "vas_frame.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* ---- The layout, as in the page's tables: offset, bits, name ---- */

/* Bytes of a huge page where small ones have 4096. */
#define HUGE_PAGE ((size_t)2 << 20)

#define LAYOUT_HASH UINT64_C(0x85dfb6ffd4c6d070)

/* clang-format off */
#define HEADER_FIELDS(FIELD, ARRAY) \
    FIELD(0, 32, version) FIELD(4, 32, reserved_4) FIELD(8, 64, frame_id)                  \
    FIELD(16, 64, timestamp_ns) FIELD(24, 32, width) FIELD(28, 32, height)                 \
    FIELD(32, 32, pixel_format) FIELD(36, 32, stride) FIELD(40, 64, data_size)             \
    FIELD(48, 64, head_sequence) FIELD(56, 32, newest_slot) FIELD(60, 32, published)       \
    FIELD(64, 64, magic) FIELD(72, 64, layout_hash) FIELD(80, 64, meta_size)               \
    FIELD(88, 32, header_size) FIELD(92, 32, entry_size) FIELD(96, 32, slot_count)         \
    FIELD(100, 32, uv_offset) FIELD(104, 64, slot_stride) FIELD(112, 64, ring_size)        \
    FIELD(120, 64, data_inode) FIELD(128, 64, epoch) FIELD(136, 64, incarnation)           \
    FIELD(144, 64, created_ns) FIELD(152, 64, lease_ns) FIELD(160, 32, frame_rate_num)     \
    FIELD(164, 32, frame_rate_den) FIELD(168, 32, color_range)                             \
    FIELD(172, 32, color_primaries) FIELD(176, 32, color_transfer)                         \
    FIELD(180, 32, color_matrix) FIELD(184, 32, chroma_location) FIELD(188, 32, bit_depth) \
    ARRAY(192, 64, camera_id, 8) FIELD(256, 32, state) FIELD(260, 32, copying)             \
    FIELD(264, 64, resumed_frame_id) ARRAY(272, 64, reserved_272, 30)

#define ENTRY_FIELDS(FIELD) \
    FIELD(0, 64, sequence) FIELD(8, 64, frame_id) FIELD(16, 64, pts_ns)                 \
    FIELD(24, 64, arrival_ns) FIELD(32, 64, decoded_ns) FIELD(40, 64, gate_ns)          \
    FIELD(48, 64, published_ns) FIELD(56, 64, reuse_not_before_ns)                      \
    FIELD(64, 64, wall_clock_ns) FIELD(72, 32, wall_quality) FIELD(76, 32, flags)       \
    FIELD(80, 32, width) FIELD(84, 32, height) FIELD(88, 32, coded_width)               \
    FIELD(92, 32, coded_height) FIELD(96, 32, crop_left) FIELD(100, 32, crop_top)       \
    FIELD(104, 32, content_x) FIELD(108, 32, content_y) FIELD(112, 32, content_width)   \
    FIELD(116, 32, content_height) FIELD(120, 32, decoder) FIELD(124, 32, source_size)
/* clang-format on */

#define MEMBER(offset, bits, name) _Atomic uint##bits##_t name;
#define MEMBERS(offset, bits, name, count) _Atomic uint##bits##_t name[count];

struct header {
    HEADER_FIELDS(MEMBER, MEMBERS)
};

struct entry {
    ENTRY_FIELDS(MEMBER)
};

#define HEADER_AT(offset, bits, name)                                                              \
    _Static_assert(offsetof(struct header, name) == (offset), "header: " #name);
#define HEADER_ARRAY_AT(offset, bits, name, count) HEADER_AT(offset, bits, name)
#define ENTRY_AT(offset, bits, name)                                                               \
    _Static_assert(offsetof(struct entry, name) == (offset), "entry: " #name);

HEADER_FIELDS(HEADER_AT, HEADER_ARRAY_AT)
ENTRY_FIELDS(ENTRY_AT)
_Static_assert(sizeof(struct header) == 512 && sizeof(struct entry) == 128, "no more, no less");

#if !defined(__linux__) || !defined(__LP64__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "frame.meta is read in place: expected 64-bit little-endian Linux"
#endif
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LONG_LOCK_FREE == 2,
               "reading another process's memory needs atomics that are plain loads");

enum {
    VERSION = 2,
    PIXEL_FORMAT_NV12 = 0,
    MAX_SLOTS = 1024,
    MAX_SIDE = 16384,
    STATE_LIVE = 1,
    STATE_STOPPED = 3,
    /* The byte of `readers` that a reader of every frame locks; those after it state a
     * highest rate, in thousandths of a frame per second. */
    DEMAND_BASE = 1048576,
    MAX_FPS = 1000000,
    CAMERA_MAX = 63,
};

#define NS_PER_MS UINT64_C(1000000)
/* Longest wait before the writer's lock is queried again. */
#define LIVENESS_SLICE_NS (50 * NS_PER_MS)
/* How often to look for a ring that does not exist yet. */
#define LOOK_AGAIN_NS (10 * NS_PER_MS)
#define FOR_EVER UINT64_MAX

/* One epoch's files, checked and mapped. */
struct vas_ring {
    atomic_uint references; /* the reader, and each frame that it returned */
    struct page *page;      /* where its reader counts lost frames, or NULL */
    int meta_fd;
    const struct header *header;
    const struct entry *entries;
    const unsigned char *data;
    size_t meta_size, data_size; /* of the mappings */
    /* The header's constant fields. */
    vas_picture picture;
    uint64_t epoch;
    size_t uv_offset, slot_stride;
    uint32_t slots;
};

struct vas_reader {
    uint64_t attached_ns;
    struct vas_ring *ring; /* NULL: none opened yet */
    vas_status gone;       /* the reported end of the writer; VAS_OK before */
    int presence_fd;
    uint32_t demand_byte; /* the byte that it locks there */
    uint64_t cursor;      /* id of the last returned frame */
    int64_t timeout_ms;
    struct telemetry *telemetry; /* NULL without a readers directory */
    char camera[CAMERA_MAX + 1];
    char dir[]; /* the camera's */
};

/* ---- Messages ---- */

static _Thread_local char last_error[1024];

const char *vas_last_error(void)
{
    return last_error;
}

const char *vas_strerror(vas_status status)
{
    switch (status) {
    case VAS_OK: return "no error";
    case VAS_NOT_YET: return "no frame published yet since this reader attached";
    case VAS_TIMED_OUT: return "the camera published no new frame in time; its writer is alive";
    case VAS_WRITER_STOPPED:
        return "the writer of the camera is gone (stopped); a later call follows the next one";
    case VAS_WRITER_DIED:
        return "the writer of the camera is gone (died); a later call follows the next one";
    case VAS_OVERWRITTEN: return "the frame was overwritten while it was read";
    case VAS_NO_CAMERA: return "no such camera";
    case VAS_NO_WRITER:
        return "the writer of the camera is gone: its last files are there, but nobody holds their "
               "lock";
    case VAS_BAD_FORMAT: return "the files have a format that this reader does not support";
    case VAS_BAD_ARGUMENT: return "an argument is invalid";
    case VAS_SYSTEM_ERROR: return "a system call failed";
    }
    return "not a status of vas_frame";
}

__attribute__((format(printf, 2, 3))) static vas_status fail(vas_status status, const char *words,
                                                             ...)
{
    va_list values;
    va_start(values, words);
    vsnprintf(last_error, sizeof last_error, words, values);
    va_end(values);
    return status;
}

static vas_status system_error(const char *action, const char *path)
{
    int code = errno;
    return fail(VAS_SYSTEM_ERROR, "can't %s %s: %s (os error %d)", action, path, strerror(code),
                code);
}

/* ---- Time ---- */

uint64_t vas_monotonic_ns(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
                             .tv_nsec = (long)(ns % 1000000000)};
}

static void pause_ns(uint64_t ns)
{
    struct timespec time = timespec_of(ns);
    nanosleep(&time, NULL);
}

static uint64_t deadline_after(int64_t timeout_ms)
{
    uint64_t now = vas_monotonic_ns();
    if (timeout_ms < 0 || (uint64_t)timeout_ms > (FOR_EVER - now) / NS_PER_MS)
        return FOR_EVER;
    return now + (uint64_t)timeout_ms * NS_PER_MS;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- Reads of memory that the writer may be changing ---- */

/* Relaxed: a field's value counts only after its sequence was found unchanged. */
#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

/* The sequence of a region; false while the region is being written. */
static bool begin_read(const _Atomic uint64_t *sequence, uint64_t *value)
{
    /* Partner: the release store of the even value. */
    *value = atomic_load_explicit(sequence, memory_order_acquire);
    return (*value & 1) == 0;
}

/* Whether nothing was written since `begin_read` returned `value`: what was read since is whole. */
static bool still(const _Atomic uint64_t *sequence, uint64_t value)
{
    /* Partner: the release fence after the store of the odd value. */
    atomic_thread_fence(memory_order_acquire);
    return LOAD(*sequence) == value;
}

/*
 * Copies memory that another process may be writing. `memcpy` is not allowed: to the language that
 * is a data race, and it may read a byte twice. A relaxed atomic load reads an aligned word once.
 */
static void copy_words(unsigned char *to, const unsigned char *from, size_t size)
{
    const size_t word_size = sizeof(uint64_t);
    for (; size > 0 && (uintptr_t)from % word_size != 0; size--)
        *to++ = LOAD(*(const _Atomic unsigned char *)from++);
    for (; size >= word_size; size -= word_size) {
        uint64_t word = LOAD(*(const _Atomic uint64_t *)(const void *)from);
        memcpy(to, &word, word_size);
        to += word_size;
        from += word_size;
    }
    for (; size > 0; size--)
        *to++ = LOAD(*(const _Atomic unsigned char *)from++);
}

/* From this size on (720p is larger), copying past the cache is faster, even if the copy is read
 * afterwards. */
#define STREAM_FROM_BYTES ((size_t)1 << 20)

#if defined(__x86_64__) && defined(__GNUC__)

/* Bytes of a cache line, and those that are copied at once: two of them. */
#define LINE ((size_t)64)
#define RUN (2 * LINE)
/* Four streams of stores, 32 KiB apart, take less time than one while other processors use the
 * memory, too. */
#define STREAMS ((size_t)4)
#define APART (((size_t)32 << 10) / RUN)

/* Inline assembly does what the processor does: the compiler assumes nothing about the bytes. */
#define COPY_RUN(store)                                                                            \
    __asm__ volatile("vmovdqu (%1), %%ymm0\n\tvmovdqu 32(%1), %%ymm1\n\t"                          \
                     "vmovdqu 64(%1), %%ymm2\n\tvmovdqu 96(%1), %%ymm3\n\t" store                  \
                     " %%ymm0, (%0)\n\t" store " %%ymm1, 32(%0)\n\t" store                         \
                     " %%ymm2, 64(%0)\n\t" store " %%ymm3, 96(%0)"                                 \
                     :                                                                             \
                     : "r"(to), "r"(from)                                                          \
                     : "xmm0", "xmm1", "xmm2", "xmm3", "memory")

static void copy_run(unsigned char *to, const unsigned char *from, bool stream)
{
    if (stream)
        COPY_RUN("vmovntdq");
    else
        COPY_RUN("vmovdqu");
}

/* Copies whole runs, and returns how many bytes that were. When streaming, `to` begins a line. */
static size_t copy_runs(unsigned char *to, const unsigned char *from, size_t size, bool stream)
{
    const size_t runs = size / RUN;
    size_t done = 0;
    for (; stream && runs - done >= STREAMS * APART; done += STREAMS * APART) {
        for (size_t first = done; first < done + APART; first++) {
            for (size_t run = first; run < first + STREAMS * APART; run += APART)
                copy_run(to + run * RUN, from + run * RUN, true);
        }
    }
    for (; done < runs; done++)
        copy_run(to + done * RUN, from + done * RUN, stream);
    /* Without it, older SSE code is slow afterwards. It clears the upper half of each register. */
    __asm__ volatile("vzeroupper"
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    return runs * RUN;
}

/* Copies memory that another process may be writing, past the cache if `stream` is set and the
 * processor can. The caller ends streaming with `end_stream`. */
static void copy_racing(unsigned char *to, const unsigned char *from, size_t size, bool stream)
{
    if (!__builtin_cpu_supports("avx")) {
        copy_words(to, from, size);
        return;
    }
    size_t done = stream ? (size_t)(-(uintptr_t)to % LINE) : 0;
    done = done < size ? done : size;
    copy_words(to, from, done);
    done += copy_runs(to + done, from + done, size - done, stream);
    copy_words(to + done, from + done, size - done);
}

/* Nothing else orders streaming stores before a later release. */
static void end_stream(void)
{
    __asm__ volatile("sfence" ::: "memory");
}

#else

static void copy_racing(unsigned char *to, const unsigned char *from, size_t size, bool stream)
{
    (void)stream;
    copy_words(to, from, size);
}

static void end_stream(void)
{
}

#endif

/* ---- Telemetry, as in docs/ref/reader-telemetry.md: a file of this reader's own, which the service
 * reads. The only memory that this file stores into. ---- */

/* clang-format off */
#define STATEMENT_FIELDS(FIELD, ARRAY) \
    FIELD(0, 64, magic) FIELD(8, 32, version) FIELD(12, 32, file_size) FIELD(16, 32, pid)   \
    FIELD(20, 32, max_millihertz) FIELD(24, 64, opened_ns) ARRAY(32, 64, reserved_32, 4)    \
    ARRAY(64, 64, camera_id, 8) ARRAY(128, 64, name, 8) ARRAY(192, 64, program, 8)          \
    FIELD(256, 64, sequence) FIELD(264, 64, taken) FIELD(272, 64, missed)                   \
    FIELD(280, 64, last_frame_id) FIELD(288, 64, last_taken_ns)                             \
    ARRAY(296, 64, reserved_296, 3) FIELD(320, 64, overwritten)                             \
    ARRAY(328, 64, reserved_328, 23)

#define WINDOW_FIELDS(FIELD, ARRAY) \
    FIELD(0, 64, start_ns) FIELD(8, 64, taken) FIELD(16, 64, missed) FIELD(24, 64, overwritten) \
    ARRAY(32, 64, reserved_32, 4) ARRAY(64, 32, ages, 273) ARRAY(1156, 32, reserved_1156, 15)
/* clang-format on */

struct window {
    WINDOW_FIELDS(MEMBER, MEMBERS)
};

struct statement {
    STATEMENT_FIELDS(MEMBER, MEMBERS)
    struct window windows[2];
};

#define STATEMENT_AT(offset, bits, name)                                                           \
    _Static_assert(offsetof(struct statement, name) == (offset), "statement: " #name);
#define STATEMENT_ARRAY_AT(offset, bits, name, count) STATEMENT_AT(offset, bits, name)
#define WINDOW_AT(offset, bits, name)                                                              \
    _Static_assert(offsetof(struct window, name) == (offset), "window: " #name);
#define WINDOW_ARRAY_AT(offset, bits, name, count) WINDOW_AT(offset, bits, name)

STATEMENT_FIELDS(STATEMENT_AT, STATEMENT_ARRAY_AT)
WINDOW_FIELDS(WINDOW_AT, WINDOW_ARRAY_AT)
_Static_assert(sizeof(struct window) == 1216 && sizeof(struct statement) == 2944,
               "no more, no less");

#define STATEMENT_SUFFIX ".reader"
#define STATEMENT_NAME 64
#define WINDOW_NS (30 * 1000 * NS_PER_MS)
#define TMPFS 0x01021994

/* The mapped file, as long as the reader or one of its rings lives. */
struct page {
    atomic_uint references;
    struct statement *statement;
    /* A page of this process: 1 here, and 0 in a child of `fork`, for which the kernel wipes it. */
    volatile unsigned char *mark;
    _Atomic uint64_t last_overwritten;
};

/* What a reader keeps beside its file. */
struct telemetry {
    struct page *page;
    int fd; /* holds the lock that tells a live reader's file from one that was left behind */
    uint64_t last_frame_id, overwritten_seen, window_start_ns;
    unsigned window;
    char path[];
};

static void page_release(struct page *page)
{
    /* As in `ring_release`. */
    if (page == NULL || atomic_fetch_sub_explicit(&page->references, 1, memory_order_acq_rel) != 1)
        return;
    if (page->statement != NULL)
        munmap(page->statement, sizeof *page->statement);
    if (page->mark != NULL)
        munmap((void *)(uintptr_t)page->mark, 1);
    free(page);
}

static struct page *page_map(int fd)
{
    struct page *page = calloc(1, sizeof *page);
    if (page == NULL)
        return NULL;
    atomic_init(&page->references, 1);
    void *file = mmap(NULL, sizeof *page->statement, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    void *mark = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page->statement = file == MAP_FAILED ? NULL : file;
    page->mark = mark == MAP_FAILED ? NULL : mark;
    if (page->statement == NULL || page->mark == NULL || madvise(mark, 1, MADV_WIPEONFORK) != 0) {
        page_release(page);
        return NULL;
    }
    *page->mark = 1;
    return page;
}

/* Not in a child of `fork`, which has its parent's file mapped. */
static bool page_is_ours(const struct page *page)
{
    return *page->mark == 1;
}

/* Counts a frame that was overwritten while it was read, once however often its user asks. */
static void count_overwritten(struct page *page, uint64_t frame_id)
{
    if (page != NULL && page_is_ours(page)
        && atomic_exchange_explicit(&page->last_overwritten, frame_id, memory_order_relaxed)
               != frame_id)
        atomic_fetch_add_explicit(&page->statement->overwritten, 1, memory_order_relaxed);
}

#define STORE(field, value) atomic_store_explicit(&(field), value, memory_order_relaxed)

/* The only thread that stores into the counter adds to it, without a locked instruction. */
static void add_to(_Atomic uint64_t *counter, uint64_t by)
{
    STORE(*counter, LOAD(*counter) + by);
}

/* 16 buckets up to 1 ms, 16 for each doubling up to 65,536 ms, and one for all that is older. */
static size_t bucket_of(uint64_t age_ns)
{
    uint64_t units = age_ns == 0 ? 0 : least((age_ns - 1) / 62500, UINT64_C(16) << 16);
    unsigned shift = 63 - (unsigned)__builtin_clzll(units | 16) - 4;
    return shift * 16 + (size_t)(units >> shift);
}

static void begin_window(struct window *window, uint64_t now_ns)
{
    STORE(window->start_ns, now_ns);
    STORE(window->taken, 0);
    STORE(window->missed, 0);
    STORE(window->overwritten, 0);
    for (size_t i = 0; i < sizeof window->ages / sizeof *window->ages; i++)
        STORE(window->ages[i], 0);
}

/* Counts a frame that is about to be returned, and `missed` ones before it. A frame that is returned
 * again counts once. */
static void count_taken(struct telemetry *t, const vas_meta *meta, uint64_t missed)
{
    if (meta->frame_id == t->last_frame_id || !page_is_ours(t->page))
        return;
    struct statement *s = t->page->statement;
    const uint64_t now_ns = vas_monotonic_ns();
    const uint64_t odd = LOAD(s->sequence) | 1;
    t->last_frame_id = meta->frame_id;
    STORE(s->sequence, odd);
    /* Partner: the fence behind the service's read: who sees one of these stores sees the odd
     * sequence. */
    atomic_thread_fence(memory_order_release);
    if (now_ns - t->window_start_ns >= WINDOW_NS) {
        t->window = !t->window;
        t->window_start_ns = now_ns;
        begin_window(&s->windows[t->window], now_ns);
    }
    struct window *window = &s->windows[t->window];
    add_to(&s->taken, 1);
    add_to(&window->taken, 1);
    add_to(&s->missed, missed);
    add_to(&window->missed, missed);
    const uint64_t overwritten = LOAD(s->overwritten);
    add_to(&window->overwritten, overwritten - t->overwritten_seen);
    t->overwritten_seen = overwritten;
    STORE(s->last_frame_id, meta->frame_id);
    STORE(s->last_taken_ns, now_ns);
    const uint64_t age_ns = now_ns > meta->arrival_ns ? now_ns - meta->arrival_ns : 0;
    _Atomic uint32_t *bucket = &window->ages[bucket_of(age_ns)];
    STORE(*bucket, LOAD(*bucket) + 1);
    atomic_store_explicit(&s->sequence, odd + 1, memory_order_release);
}

/* Copies a text, cut to fit between two characters, into a field of zeros. */
static void put_text(unsigned char *field, const char *text)
{
    size_t length = text == NULL ? 0 : strlen(text);
    if (length > STATEMENT_NAME - 1) {
        length = STATEMENT_NAME - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    }
    if (length > 0)
        memcpy(field, text, length);
}

/* Fills a new file. */
static bool write_statement(int fd, const vas_reader *reader, const char *name, uint64_t opened_ns)
{
    const uint32_t version = 1, file_size = sizeof(struct statement), pid = (uint32_t)getpid();
    const uint32_t rate = reader->demand_byte - DEMAND_BASE;
    unsigned char image[sizeof(struct statement)] = {0};
    memcpy(image, "VASREADR", 8);
    memcpy(image + offsetof(struct statement, version), &version, sizeof version);
    memcpy(image + offsetof(struct statement, file_size), &file_size, sizeof file_size);
    memcpy(image + offsetof(struct statement, pid), &pid, sizeof pid);
    memcpy(image + offsetof(struct statement, max_millihertz), &rate, sizeof rate);
    memcpy(image + offsetof(struct statement, opened_ns), &opened_ns, sizeof opened_ns);
    put_text(image + offsetof(struct statement, camera_id), reader->camera);
    put_text(image + offsetof(struct statement, name), name);
    put_text(image + offsetof(struct statement, program), program_invocation_short_name);
    return pwrite(fd, image, sizeof image, 0) == (ssize_t)sizeof image;
}

/* Whether a file of this user's was left behind by a dead reader. */
static bool is_left_over(int dir, const char *name)
{
    struct stat about;
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    if (fstatat(dir, name, &about, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(about.st_mode)
        || about.st_uid != geteuid() || (size_t)about.st_size != sizeof(struct statement))
        return false;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool left = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
    close(fd);
    return left;
}

/* Removes what dead readers of this user left. Live ones lock their files before naming them. */
static void sweep(int dir)
{
    enum { MOST_NAMES = 1024 };
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;
    if (names == NULL) {
        if (copy >= 0)
            close(copy);
        return;
    }
    for (int i = 0; i < MOST_NAMES && (entry = readdir(names)) != NULL; i++) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot != NULL && strcmp(dot, STATEMENT_SUFFIX) == 0 && is_left_over(dir, entry->d_name))
            unlinkat(dir, entry->d_name, 0);
    }
    closedir(names);
}

/* Gives the nameless file a name that no other has. */
static bool name_statement(int dir, int fd, const char *folder, uint64_t opened_ns, char *path,
                           size_t size)
{
    enum { MOST_NAMES = 16 };
    char this[64];
    snprintf(this, sizeof this, "/proc/self/fd/%d", fd);
    for (int number = 0; number < MOST_NAMES; number++) {
        /* Processes of two PID namespaces may have the same id, hence the time. */
        int length = snprintf(path, size, "%s/%d-%" PRIx64 "-%d" STATEMENT_SUFFIX, folder,
                              (int)getpid(), opened_ns, number);
        if (length < 0 || (size_t)length >= size)
            return false;
        if (linkat(AT_FDCWD, this, dir, strrchr(path, '/') + 1, AT_SYMLINK_FOLLOW) == 0)
            return true;
        if (errno != EEXIST)
            return false;
    }
    return false;
}

/* Creates the reader's file; NULL without a readers directory, or where it can't be used. */
static struct telemetry *telemetry_open(const vas_reader *reader, const char *folder,
                                        const char *name)
{
    if (folder == NULL)
        folder = getenv("VAS_READERS_DIR");
    if (folder == NULL)
        folder = VAS_DEFAULT_READERS_DIR;
    int dir = *folder == '\0' ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return NULL;
    struct statfs fs;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const uint64_t opened_ns = vas_monotonic_ns();
    const size_t size = strlen(folder) + 96;
    struct telemetry *t = calloc(1, sizeof *t + size);
    int fd = -1;
    bool done = false;
    /* A disk would be written to every few seconds, and its errors are SIGBUS here. */
    if (t != NULL && fstatfs(dir, &fs) == 0 && fs.f_type == TMPFS) {
        sweep(dir);
        /* Nameless until it is complete and locked: an unlocked file is always a dead reader's. */
        fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
        /* fchmod: regardless of the umask. */
        done = fd >= 0 && fchmod(fd, 0644) == 0 && write_statement(fd, reader, name, opened_ns)
               && fcntl(fd, F_OFD_SETLK, &lock) == 0 && (t->page = page_map(fd)) != NULL
               && name_statement(dir, fd, folder, opened_ns, t->path, size);
    }
    close(dir);
    if (done) {
        t->fd = fd;
        t->window = 1;
        return t;
    }
    if (fd >= 0)
        close(fd);
    if (t != NULL)
        page_release(t->page);
    free(t);
    return NULL;
}

/* Removes the file, unless this is a child of `fork`, whose parent still uses it. */
static void telemetry_close(struct telemetry *t)
{
    struct stat named, held;
    if (t == NULL)
        return;
    if (page_is_ours(t->page) && lstat(t->path, &named) == 0 && fstat(t->fd, &held) == 0
        && named.st_dev == held.st_dev && named.st_ino == held.st_ino)
        unlink(t->path);
    close(t->fd);
    page_release(t->page);
    free(t);
}

/* ---- Opening, as in the page's section of that name ---- */

static void ring_release(struct vas_ring *ring)
{
    /* Other holders' accesses happen before the unmapping, as with any reference count. */
    if (ring == NULL || atomic_fetch_sub_explicit(&ring->references, 1, memory_order_acq_rel) != 1)
        return;
    if (ring->header != NULL)
        munmap((void *)(uintptr_t)ring->header, ring->meta_size);
    if (ring->data != NULL)
        munmap((void *)(uintptr_t)ring->data, ring->data_size);
    if (ring->meta_fd >= 0)
        close(ring->meta_fd);
    page_release(ring->page);
    free(ring);
}

static uint32_t state_of(const struct vas_ring *ring)
{
    /* Partner: the release store that ends an epoch: after it everything published is visible. */
    return atomic_load_explicit(&ring->header->state, memory_order_acquire);
}

/* Whether the writer holds its lock on this file. If the query fails, it counts as alive. */
static bool writer_lives(const struct vas_ring *ring)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    return fcntl(ring->meta_fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_WRLCK;
}

/* Internal to this file: no permission to open a file; the message is set. A reader that had access
 * before takes it for a writer that has created the directory and not yet opened it to readers. */
#define NO_ACCESS ((vas_status)(VAS_SYSTEM_ERROR + 1))

/* `*fd` is -1 if there is no such file. */
static vas_status open_file(const char *path, int *fd, struct stat *about)
{
    /* Nonblocking: opening a FIFO would wait for a writer. */
    *fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 && errno == ENOENT)
        return VAS_OK;
    if (*fd < 0) {
        vas_status status = errno == EACCES ? NO_ACCESS : VAS_SYSTEM_ERROR;
        (void)system_error("open", path);
        return status;
    }
    if (fstat(*fd, about) != 0)
        return system_error("look at", path);
    if (!S_ISREG(about->st_mode))
        return fail(VAS_BAD_FORMAT, "%s: is not a regular file", path);
    return VAS_OK;
}

/* NULL, with the message set, if it can't be mapped. */
static const void *map(int fd, const char *path, size_t size)
{
    char *place = NULL;
    if (size >= HUGE_PAGE) {
        /* Huge pages back a mapping only where its address is a multiple of their size: reserve more
         * than enough, and map the file over the part that begins with one. */
        char *reserved =
            mmap(NULL, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (reserved == MAP_FAILED) {
            (void)system_error("map", path);
            return NULL;
        }
        place = reserved + (HUGE_PAGE - (uintptr_t)reserved % HUGE_PAGE) % HUGE_PAGE;
        size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (size_t)(place - reserved);
        size_t end = (size + page - 1) / page * page;
        if (before > 0)
            munmap(reserved, before);
        munmap(place + end, HUGE_PAGE - before);
    }
    int flags = MAP_SHARED | (place != NULL ? MAP_FIXED : 0);
    void *address = mmap(place, size, PROT_READ, flags, fd, 0);
    if (address != MAP_FAILED)
        return address;
    /* Where MAP_FIXED failed, the place may be another thread's by now: addresses are lost, no memory. */
    (void)system_error("map", path);
    return NULL;
}

static vas_status expect(const char *path, const char *name, uint64_t found, uint64_t expected)
{
    if (found == expected)
        return VAS_OK;
    return fail(VAS_BAD_FORMAT, "%s: has %s %" PRIu64 ", expected %" PRIu64, path, name, found,
                expected);
}

/* Whether the file has this layout. */
static vas_status check_layout(const char *path, const struct header *h)
{
    vas_status status = expect(path, "version", LOAD(h->version), VERSION);
    if (status != VAS_OK)
        return status;
    uint64_t magic = LOAD(h->magic), hash = LOAD(h->layout_hash);
    if (memcmp(&magic, "VASFRAME", sizeof magic) != 0)
        return fail(VAS_BAD_FORMAT, "%s: has no magic VASFRAME at byte 64 but 0x%016" PRIx64, path,
                    magic);
    if (hash != LAYOUT_HASH)
        return fail(VAS_BAD_FORMAT, "%s: has layout 0x%016" PRIx64 ", expected 0x%016" PRIx64, path,
                    hash, LAYOUT_HASH);
    status = expect(path, "header_size", LOAD(h->header_size), sizeof(struct header));
    if (status == VAS_OK)
        status = expect(path, "entry_size", LOAD(h->entry_size), sizeof(struct entry));
    if (status == VAS_OK)
        status = expect(path, "pixel_format", LOAD(h->pixel_format), PIXEL_FORMAT_NV12);
    return status;
}

/* Copies the sizes, once, and checks that entries and pictures lie within them. */
static vas_status read_shape(const char *path, uint64_t length, struct vas_ring *ring)
{
    const struct header *h = ring->header;
    uint32_t slots = LOAD(h->slot_count), width = LOAD(h->width), height = LOAD(h->height);
    if (slots < 1 || slots > MAX_SLOTS)
        return fail(VAS_BAD_FORMAT, "%s: has %u slots, expected 1 to %d", path, slots, MAX_SLOTS);
    uint64_t entries = sizeof(struct header) + slots * sizeof(struct entry);
    if (length < entries)
        return fail(VAS_BAD_FORMAT,
                    "%s: is %" PRIu64 " bytes long, expected %" PRIu64 " for %u slots", path,
                    length, entries, slots);
    if (width < 1 || width > MAX_SIDE || height < 1 || height > MAX_SIDE)
        return fail(VAS_BAD_FORMAT, "%s: has pictures of %ux%u, expected 1 to %d a side", path,
                    width, height, MAX_SIDE);
    uint64_t stride = LOAD(h->stride), uv_offset = LOAD(h->uv_offset);
    uint64_t slot_stride = LOAD(h->slot_stride);
    uint64_t chroma_rows = (height + 1) / 2, chroma_row = (width + 1) / 2 * 2;
    /* In 64 bits no product or sum overflows: sides are small, the rest is below 2^32. */
    if (stride < chroma_row || uv_offset < stride * height
        || slot_stride < uv_offset + stride * chroma_rows || slot_stride > UINT32_MAX)
        return fail(VAS_BAD_FORMAT,
                    "%s: has stride %" PRIu64 ", uv_offset %" PRIu64 ", slot_stride %" PRIu64
                    ": pictures of %ux%u do not fit",
                    path, stride, uv_offset, slot_stride, width, height);
    ring->slots = slots;
    ring->uv_offset = uv_offset;
    ring->slot_stride = slot_stride;
    ring->data_size = slots * slot_stride;
    ring->epoch = LOAD(h->epoch);
    ring->picture = (vas_picture){
        .width = width,
        .height = height,
        .stride = (uint32_t)stride,
        .color_range = LOAD(h->color_range),
        .color_primaries = LOAD(h->color_primaries),
        .color_transfer = LOAD(h->color_transfer),
        .color_matrix = LOAD(h->color_matrix),
        .chroma_location = LOAD(h->chroma_location),
        .bit_depth = LOAD(h->bit_depth),
        .tight_size = (size_t)width * height + chroma_row * chroma_rows,
    };
    return VAS_OK;
}

/* Maps `path` as the ring's frame.meta and checks it. VAS_NOT_YET: it does not exist. */
static vas_status open_meta(const char *path, struct vas_ring *ring)
{
    struct stat about;
    vas_status status = open_file(path, &ring->meta_fd, &about);
    if (status != VAS_OK || ring->meta_fd < 0)
        return status != VAS_OK ? status : VAS_NOT_YET;
    uint64_t length = (uint64_t)about.st_size;
    if (length < sizeof(struct header))
        return fail(VAS_BAD_FORMAT, "%s: is %" PRIu64 " bytes long, expected at least 512", path,
                    length);
    ring->meta_size = least(length, sizeof(struct header) + MAX_SLOTS * sizeof(struct entry));
    ring->header = map(ring->meta_fd, path, ring->meta_size);
    if (ring->header == NULL)
        return VAS_SYSTEM_ERROR;
    ring->entries = (const struct entry *)(ring->header + 1);
    if ((status = check_layout(path, ring->header)) != VAS_OK)
        return status;
    return read_shape(path, length, ring);
}

/* Maps `path` as the ring's frame.data. VAS_NOT_YET: it does not exist, or is another epoch's. */
static vas_status open_data(const char *path, struct vas_ring *ring)
{
    struct stat about;
    int fd;
    vas_status status = open_file(path, &fd, &about);
    if (status == VAS_OK && (fd < 0 || about.st_ino != LOAD(ring->header->data_inode)))
        status = VAS_NOT_YET;
    if (status == VAS_OK && (uint64_t)about.st_size < ring->data_size)
        status = fail(VAS_BAD_FORMAT, "%s: is %" PRIu64 " bytes long, expected %zu", path,
                      (uint64_t)about.st_size, ring->data_size);
    if (status == VAS_OK && (ring->data = map(fd, path, ring->data_size)) == NULL)
        status = VAS_SYSTEM_ERROR;
    if (fd >= 0)
        close(fd);
    return status;
}

/*
 * Opens the epoch at the path, if a live writer publishes there. Otherwise, without a message,
 * VAS_NOT_YET (also briefly in an ordinary change of epoch), VAS_NO_CAMERA, VAS_WRITER_STOPPED,
 * VAS_WRITER_DIED; with a message, VAS_BAD_FORMAT, VAS_SYSTEM_ERROR and NO_ACCESS.
 */
static vas_status ring_open(const char *dir, struct vas_ring **opened)
{
    char path[PATH_MAX];
    struct vas_ring *ring = calloc(1, sizeof *ring);
    if (ring == NULL)
        return system_error("allocate a ring of", dir);
    atomic_init(&ring->references, 1);
    snprintf(path, sizeof path, "%s/frame.meta", dir);
    vas_status status = open_meta(path, ring);
    if (status == VAS_NOT_YET && access(dir, F_OK) != 0)
        status = VAS_NO_CAMERA;
    if (status == VAS_OK) {
        /* The lock before the state: a live writer releases its lock only after it has ended the
         * epoch. */
        bool lives = writer_lives(ring);
        uint32_t state = state_of(ring);
        if (state == STATE_STOPPED)
            status = VAS_WRITER_STOPPED;
        else if (state != STATE_LIVE)
            status = VAS_NOT_YET;
        else if (!lives)
            status = VAS_WRITER_DIED;
    }
    snprintf(path, sizeof path, "%s/frame.data", dir);
    if (status == VAS_OK)
        status = open_data(path, ring);
    if (status == VAS_OK)
        *opened = ring;
    else
        ring_release(ring);
    return status;
}

static vas_status no_camera(const vas_reader *reader)
{
    return fail(VAS_NO_CAMERA,
                "no such camera: %s does not exist "
                "(is the service running with AI_FRAME_EXPORT_ENABLED=true?)",
                reader->dir);
}

/* Takes the demand lock, and again after the next writer has created another `readers`. */
static vas_status show_presence(vas_reader *reader)
{
    char path[PATH_MAX];
    struct stat named, held;
    snprintf(path, sizeof path, "%s/readers", reader->dir);
    if (reader->presence_fd >= 0 && lstat(path, &named) == 0
        && fstat(reader->presence_fd, &held) == 0 && named.st_dev == held.st_dev
        && named.st_ino == held.st_ino)
        return VAS_OK;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? no_camera(reader) : system_error("open", path);
    struct flock lock = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = reader->demand_byte, .l_len = 1};
    /* Only a write lock prevents a read lock, and no honest writer takes one here; without the lock
     * this reader is merely not counted. */
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0 && errno != EAGAIN && errno != EACCES) {
        vas_status status = system_error("lock a byte of", path);
        close(fd);
        return status;
    }
    if (reader->presence_fd >= 0)
        close(reader->presence_fd);
    reader->presence_fd = fd;
    return VAS_OK;
}

static uint32_t demand_byte(double max_fps)
{
    uint32_t whole = (uint32_t)(max_fps * 1000);
    /* Rounded up, so that the demand is never understated. */
    return DEMAND_BASE + whole + ((double)whole < max_fps * 1000);
}

static vas_status check_camera(const char *camera)
{
    size_t length = strlen(camera);
    const char *why = NULL;
    if (length == 0)
        why = "empty";
    else if (length > CAMERA_MAX)
        why = "too long";
    else if (camera[0] == '.' || camera[0] == '-')
        why = "begins with . or -";
    else if (strspn(camera, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
             != length)
        why = "has another character";
    if (why == NULL)
        return VAS_OK;
    return fail(VAS_BAD_ARGUMENT,
                "`%s` is no camera id (%s): expected 1 to 63 of A-Z a-z 0-9 . _ -, "
                "not beginning with . or -",
                camera, why);
}

/* ---- Frames in the ring ---- */

/* Whether an entry's size matches its ring's. Copies use the header's size, and users crop the
 * content out of it; an entry with another size is hostile. */
static bool fits(const vas_meta *meta, const vas_picture *picture)
{
    return meta->width == picture->width && meta->height == picture->height
           && meta->content_width <= meta->width && meta->content_height <= meta->height
           && meta->content_x <= meta->width - meta->content_width
           && meta->content_y <= meta->height - meta->content_height;
}

/* The slot's frame; false if there is none, or it is being changed. */
static bool read_entry(const struct vas_ring *ring, uint32_t slot, vas_frame *frame)
{
    const struct entry *e = &ring->entries[slot];
    uint64_t sequence;
    if (!begin_read(&e->sequence, &sequence))
        return false;
    uint32_t source_size = LOAD(e->source_size);
    vas_meta meta = {
        .frame_id = LOAD(e->frame_id),
        .epoch = ring->epoch,
        .pts_ns = (int64_t)LOAD(e->pts_ns),
        .arrival_ns = LOAD(e->arrival_ns),
        .decoded_ns = LOAD(e->decoded_ns),
        .gate_ns = LOAD(e->gate_ns),
        .published_ns = LOAD(e->published_ns),
        .reuse_not_before_ns = LOAD(e->reuse_not_before_ns),
        .wall_clock_ns = (int64_t)LOAD(e->wall_clock_ns),
        .wall_quality = LOAD(e->wall_quality),
        .flags = LOAD(e->flags),
        .width = LOAD(e->width),
        .height = LOAD(e->height),
        .coded_width = LOAD(e->coded_width),
        .coded_height = LOAD(e->coded_height),
        .crop_left = LOAD(e->crop_left),
        .crop_top = LOAD(e->crop_top),
        .content_x = LOAD(e->content_x),
        .content_y = LOAD(e->content_y),
        .content_width = LOAD(e->content_width),
        .content_height = LOAD(e->content_height),
        .source_width = source_size & 0xffff,
        .source_height = source_size >> 16,
        .decoder = LOAD(e->decoder),
    };
    if (!still(&e->sequence, sequence) || meta.frame_id == 0 || !fits(&meta, &ring->picture))
        return false;
    *frame =
        (vas_frame){.meta = meta, .picture = ring->picture, .sequence = sequence, .slot = slot};
    return true;
}

/* The newest frame's slot and id; false before the first, or while they are being changed. */
static bool read_head(const struct vas_ring *ring, uint32_t *slot, uint64_t *id)
{
    const struct header *h = ring->header;
    uint64_t sequence;
    if (!begin_read(&h->head_sequence, &sequence))
        return false;
    *slot = LOAD(h->newest_slot);
    *id = LOAD(h->frame_id);
    return still(&h->head_sequence, sequence) && *id != 0 && *slot < ring->slots;
}

/* Whether a frame is known to be current: published since this reader attached, or part of a run of
 * copying that still continues. */
static bool is_current(const vas_reader *reader, const vas_meta *meta)
{
    const struct header *h = reader->ring->header;
    if (meta->published_ns >= reader->attached_ns)
        return true;
    /* In this order. Partner: the writer stores `resumed_frame_id` before it sets `copying`. */
    uint32_t copying = atomic_load_explicit(&h->copying, memory_order_acquire);
    return copying == 1 && meta->frame_id >= LOAD(h->resumed_frame_id);
}

static bool newest(const vas_reader *reader, vas_frame *frame)
{
    const struct vas_ring *ring = reader->ring;
    uint32_t slot;
    uint64_t id, best = 0;
    /* The head suffices, unless its slot is being overwritten (rings of one or two slots). */
    if (read_head(ring, &slot, &id) && read_entry(ring, slot, frame) && frame->meta.frame_id >= id)
        return is_current(reader, &frame->meta);
    for (slot = 0; slot < ring->slots; slot++) {
        vas_frame found;
        if (!read_entry(ring, slot, &found) || found.meta.frame_id < best)
            continue;
        best = found.meta.frame_id;
        *frame = found;
    }
    return best != 0 && is_current(reader, &frame->meta);
}

static bool oldest_after(const vas_reader *reader, uint64_t id, bool ended, vas_frame *frame)
{
    const struct vas_ring *ring = reader->ring;
    uint32_t slot;
    uint64_t last = UINT64_MAX;
    bool any = false;
    /* The head is read before the entries, and no frame above it counts while the writer is active:
     * a frame published during the scan, in a slot already passed, would be skipped in favor of a
     * later one. */
    if (!ended && !read_head(ring, &slot, &last))
        return false;
    for (slot = 0; slot < ring->slots; slot++) {
        vas_frame found;
        if (!read_entry(ring, slot, &found) || found.meta.frame_id <= id
            || found.meta.frame_id > last || !is_current(reader, &found.meta))
            continue;
        /* The next one found must be older still. */
        last = found.meta.frame_id - 1;
        *frame = found;
        any = true;
    }
    return any;
}

/* ---- Reading ---- */

struct choice {
    uint64_t after;    /* only ids above this one */
    bool every;        /* the oldest of these, not the newest */
    vas_wanted wanted; /* NULL: any */
    void *context;
};

static bool pick(const vas_reader *reader, struct choice *choice, bool ended, vas_frame *frame)
{
    vas_frame found;
    bool any = reader->ring != NULL
               && (choice->every ? oldest_after(reader, choice->after, ended, &found)
                                 : newest(reader, &found));
    if (!any || found.meta.frame_id <= choice->after)
        return false;
    choice->after = found.meta.frame_id;
    if (choice->wanted != NULL && !choice->wanted(&found.meta, choice->context))
        return false;
    found.ring = reader->ring;
    atomic_fetch_add_explicit(&found.ring->references, 1, memory_order_relaxed);
    *frame = found;
    return true;
}

/* Whether nothing more will be published here. */
static bool has_ended(const struct vas_ring *ring)
{
    return ring == NULL || state_of(ring) != STATE_LIVE || !writer_lives(ring);
}

/* How the writer of an ended ring ended, or VAS_OK while its next epoch may still come; `path` is
 * the result of ring_open. */
static vas_status end_of(const struct vas_ring *ring, vas_status path)
{
    switch (state_of(ring)) {
    case STATE_LIVE: return VAS_WRITER_DIED; /* The writer sets this before it releases its lock. */
    case STATE_STOPPED: return VAS_WRITER_STOPPED;
    default: break; /* Superseded: then a released lock proves nothing. */
    }
    if (path == VAS_NO_CAMERA)
        return VAS_WRITER_STOPPED;
    return path == VAS_WRITER_STOPPED || path == VAS_WRITER_DIED ? path : VAS_OK;
}

static vas_status writer_gone(const vas_reader *reader)
{
    return fail(reader->gone,
                "the writer of camera %s is gone (%s); a later call follows the next one",
                reader->camera, reader->gone == VAS_WRITER_STOPPED ? "stopped" : "died");
}

/* Lets a ring's frames count in the reader's telemetry. */
static void share_page(const vas_reader *reader)
{
    if (reader->telemetry == NULL || reader->ring == NULL)
        return;
    reader->ring->page = reader->telemetry->page;
    atomic_fetch_add_explicit(&reader->ring->page->references, 1, memory_order_relaxed);
}

/* Moves on to the next epoch or writer, if there is one. Reports once that the writer is gone. */
static vas_status follow(vas_reader *reader, bool *moved)
{
    struct vas_ring *next;
    *moved = false;
    /* Before there is a ring: the next writer may wait for a reader. Retried after a failure. */
    (void)show_presence(reader);
    vas_status path = ring_open(reader->dir, &next);
    if (path == VAS_OK) {
        ring_release(reader->ring);
        reader->ring = next;
        reader->gone = VAS_OK;
        share_page(reader);
        *moved = true;
        return VAS_OK;
    }
    /* This reader had access before: wait until NO_ACCESS ends. */
    if (path == VAS_BAD_FORMAT || path == VAS_SYSTEM_ERROR)
        return path;
    if (reader->ring == NULL || reader->gone != VAS_OK)
        return VAS_OK;
    reader->gone = end_of(reader->ring, path);
    return reader->gone == VAS_OK ? VAS_OK : writer_gone(reader);
}

static vas_status not_yet(const vas_reader *reader)
{
    return fail(VAS_NOT_YET, "no frame published yet since this reader attached to camera %s",
                reader->camera);
}

static vas_status out_of_time(const vas_reader *reader)
{
    if (reader->gone != VAS_OK)
        return writer_gone(reader);
    if (reader->ring == NULL || LOAD(reader->ring->header->frame_id) == 0)
        return not_yet(reader);
    return fail(VAS_TIMED_OUT,
                "camera %s published no new frame within %" PRId64 " ms; its writer is alive",
                reader->camera, reader->timeout_ms);
}

/* Waits while the counter is `seen`. A return proves nothing: check again. */
static void wait_for_change(const struct vas_ring *ring, uint32_t seen, uint64_t timeout_ns)
{
    struct timespec timeout = timespec_of(timeout_ns);
    syscall(SYS_futex, &ring->header->published, FUTEX_WAIT, seen, &timeout, NULL, 0);
}

/* How many of the frames with ids between two others are known to have been published here: those since
 * copying began, if it still runs. */
static uint64_t known_between(const struct vas_ring *ring, uint64_t after, uint64_t before)
{
    /* In this order, as in `is_current`. */
    uint32_t copying = atomic_load_explicit(&ring->header->copying, memory_order_acquire);
    uint64_t first = LOAD(ring->header->resumed_frame_id);
    if (first <= after)
        first = after + 1;
    return copying == 1 && before > first ? before - first : 0;
}

/* Moves the cursor to the frame that is returned; `every`: to a caller that wants each one. */
static vas_status give(vas_reader *reader, const vas_frame *frame, bool every)
{
    struct telemetry *telemetry = reader->telemetry;
    if (telemetry != NULL) {
        uint64_t cursor = reader->cursor, id = frame->meta.frame_id;
        /* A gap in the ids alone proves nothing, since frames are also left out. Before the first frame,
         * and where the caller moved the cursor, none was expected. */
        bool expected = every && cursor != 0 && cursor == telemetry->last_frame_id && id > cursor;
        count_taken(telemetry, &frame->meta, expected ? known_between(frame->ring, cursor, id) : 0);
    }
    reader->cursor = frame->meta.frame_id;
    return VAS_OK;
}

static vas_status wait_for(vas_reader *reader, struct choice choice, vas_frame *frame)
{
    const uint64_t deadline = deadline_after(reader->timeout_ms);
    choice.after = reader->cursor;
    *frame = (vas_frame){0};
    for (;;) {
        const struct vas_ring *ring = reader->ring;
        /* Before the frames are searched: a publication after the search then changes the counter.
         * Partner: the release addition by which the writer publishes. */
        uint32_t seen =
            ring == NULL ? 0 : atomic_load_explicit(&ring->header->published, memory_order_acquire);
        if (pick(reader, &choice, false, frame))
            return give(reader, frame, choice.every);
        bool ended = has_ended(ring), moved = false;
        /* Frames published between the search and the end are returned before the next epoch's. */
        if (ended && pick(reader, &choice, true, frame))
            return give(reader, frame, choice.every);
        vas_status status = ended ? follow(reader, &moved) : VAS_OK;
        if (status != VAS_OK)
            return status;
        if (moved && pick(reader, &choice, false, frame))
            return give(reader, frame, choice.every);
        uint64_t now = vas_monotonic_ns();
        if (now >= deadline)
            return out_of_time(reader);
        if (moved)
            continue;
        if (ended)
            pause_ns(least(deadline - now, LOOK_AGAIN_NS));
        else
            wait_for_change(ring, seen, least(deadline - now, LIVENESS_SLICE_NS));
    }
}

/* ---- The interface ---- */

static vas_status attach(vas_reader *reader)
{
    vas_status status = show_presence(reader);
    if (status != VAS_OK)
        return status;
    switch (status = ring_open(reader->dir, &reader->ring)) {
    case VAS_OK:
    case VAS_NOT_YET: return VAS_OK;
    case VAS_NO_CAMERA: return no_camera(reader);
    case VAS_WRITER_STOPPED:
    case VAS_WRITER_DIED:
        return fail(VAS_NO_WRITER,
                    "the writer of camera %s is gone: its last files are there, "
                    "but nobody holds their lock",
                    reader->camera);
    default: return status == NO_ACCESS ? VAS_SYSTEM_ERROR : status;
    }
}

vas_status vas_reader_open(const char *camera, const vas_options *options, vas_reader **opened)
{
    static const vas_options defaults = VAS_OPTIONS_INIT;
    if (options == NULL)
        options = &defaults;
    const char *dir = options->dir == NULL ? VAS_DEFAULT_DIR : options->dir;
    const double max_fps = options->max_fps;
    *opened = NULL;
    vas_status status = check_camera(camera);
    if (status != VAS_OK)
        return status;
    if (!(max_fps >= 0 && max_fps <= MAX_FPS))
        return fail(VAS_BAD_ARGUMENT, "max_fps is %g, expected up to %d, or 0 for every frame",
                    max_fps, MAX_FPS);
    const size_t size = strlen(dir) + sizeof "/" + strlen(camera);
    if (size > PATH_MAX - sizeof "/frame.meta")
        return fail(VAS_BAD_ARGUMENT, "the directory's path is longer than PATH_MAX");
    vas_reader *reader = calloc(1, sizeof *reader + size);
    if (reader == NULL)
        return system_error("allocate a reader of", camera);
    reader->presence_fd = -1;
    reader->demand_byte = demand_byte(max_fps);
    reader->timeout_ms = options->timeout_ms;
    reader->attached_ns = vas_monotonic_ns();
    snprintf(reader->camera, sizeof reader->camera, "%s", camera);
    snprintf(reader->dir, size, "%s/%s", dir, camera);
    status = attach(reader);
    if (status != VAS_OK) {
        vas_reader_close(reader);
        return status;
    }
    reader->telemetry = telemetry_open(reader, options->readers_dir, options->name);
    share_page(reader);
    *opened = reader;
    return VAS_OK;
}

void vas_reader_close(vas_reader *reader)
{
    if (reader == NULL)
        return;
    telemetry_close(reader->telemetry);
    ring_release(reader->ring);
    if (reader->presence_fd >= 0)
        close(reader->presence_fd);
    free(reader);
}

vas_status vas_reader_latest(vas_reader *reader, vas_frame *frame)
{
    struct choice any = {0};
    bool moved;
    *frame = (vas_frame){0};
    vas_status status = has_ended(reader->ring) ? follow(reader, &moved) : VAS_OK;
    if (status != VAS_OK)
        return status;
    if (reader->gone != VAS_OK)
        return writer_gone(reader);
    return pick(reader, &any, false, frame) ? give(reader, frame, false) : not_yet(reader);
}

vas_status vas_reader_next(vas_reader *reader, vas_frame *frame)
{
    return wait_for(reader, (struct choice){.every = true}, frame);
}

vas_status vas_reader_newer(vas_reader *reader, vas_frame *frame)
{
    return vas_reader_newer_if(reader, NULL, NULL, frame);
}

vas_status vas_reader_newer_if(vas_reader *reader, vas_wanted wanted, void *context,
                               vas_frame *frame)
{
    return wait_for(reader, (struct choice){.wanted = wanted, .context = context}, frame);
}

uint64_t vas_reader_cursor(const vas_reader *reader)
{
    return reader->cursor;
}

void vas_reader_seek(vas_reader *reader, uint64_t frame_id)
{
    reader->cursor = frame_id;
}

void vas_reader_set_timeout(vas_reader *reader, int64_t timeout_ms)
{
    reader->timeout_ms = timeout_ms;
}

bool vas_frame_still_valid(const vas_frame *frame)
{
    const struct vas_ring *ring = frame->ring;
    if (ring == NULL)
        return false;
    bool valid = still(&ring->entries[frame->slot].sequence, frame->sequence);
    if (!valid)
        count_overwritten(ring->page, frame->meta.frame_id);
    return valid;
}

static void copy_plane(unsigned char *to, const unsigned char *from, size_t stride,
                       size_t row_bytes, size_t rows, bool stream)
{
    if (stride == row_bytes) {
        copy_racing(to, from, rows * row_bytes, stream);
        return;
    }
    for (size_t row = 0; row < rows; row++)
        copy_racing(to + row * row_bytes, from + row * stride, row_bytes, stream);
}

vas_status vas_frame_copy_if_valid(const vas_frame *frame, void *nv12, size_t size)
{
    const vas_picture *p = &frame->picture;
    const struct vas_ring *ring = frame->ring;
    if (ring == NULL)
        return fail(VAS_BAD_ARGUMENT, "the frame holds nothing");
    if (size < p->tight_size)
        return fail(VAS_BAD_ARGUMENT, "a picture of %ux%u takes %zu bytes, %zu were given",
                    p->width, p->height, p->tight_size, size);
    if (vas_frame_still_valid(frame)) {
        const size_t width = p->width, height = p->height;
        const unsigned char *slot = ring->data + frame->slot * ring->slot_stride;
        unsigned char *luma = nv12, *chroma = luma + width * height;
        const bool stream = p->tight_size >= STREAM_FROM_BYTES;
        copy_plane(luma, slot, p->stride, width, height, stream);
        copy_plane(chroma, slot + ring->uv_offset, p->stride, (width + 1) / 2 * 2, (height + 1) / 2,
                   stream);
        if (stream)
            end_stream();
        if (vas_frame_still_valid(frame))
            return VAS_OK;
    }
    return fail(VAS_OVERWRITTEN, "frame %" PRIu64 " was overwritten while it was read",
                frame->meta.frame_id);
}

vas_view vas_frame_view(const vas_frame *frame)
{
    const struct vas_ring *ring = frame->ring;
    if (ring == NULL)
        return (vas_view){0};
    const unsigned char *slot = ring->data + frame->slot * ring->slot_stride;
    return (vas_view){.y = slot, .uv = slot + ring->uv_offset, .stride = frame->picture.stride};
}

void vas_frame_release(vas_frame *frame)
{
    ring_release(frame->ring);
    frame->ring = NULL;
}
