/*
 * Reads a camera's decoded frames from local shared memory, pulled at the reader's own pace.
 *
 * The format is docs/ref/frame-format.md, the same reader in Rust is src/frame. C11, 64-bit
 * little-endian Linux, links only the C library. README.md has an example.
 *
 * A reader follows new sizes and new writers by itself, and nothing that it does or fails to do
 * affects the writer. It is not shared between threads: open one in each. Frames may move to other
 * threads.
 *
 * A reader keeps a cursor, the id of the last frame that it returned, so no call needs an id:
 *
 *   vas_reader *reader;
 *   vas_frame frame;
 *   if (vas_reader_open("gate", NULL, &reader) == VAS_OK)
 *       while (vas_reader_next(reader, &frame) == VAS_OK) {
 *           ... vas_frame_copy_if_valid(&frame, nv12, size) ...
 *           vas_frame_release(&frame);
 *       }
 */
#ifndef VAS_FRAME_H
#define VAS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vas_status {
    VAS_OK = 0,
    /* No frame that is known to be current has been published since the reader attached. */
    VAS_NOT_YET,
    /* No frame came within the timeout; the writer is alive, the camera quiet. */
    VAS_TIMED_OUT,
    /* The writer stopped, or died. Reported once, without a wait; later calls wait for the next
     * writer and report it again only if none comes within the timeout. */
    VAS_WRITER_STOPPED,
    VAS_WRITER_DIED,
    /* The slot was overwritten before the read ended. */
    VAS_OVERWRITTEN,
    /* There is no directory for the camera. */
    VAS_NO_CAMERA,
    /* The writer died and left its files behind. */
    VAS_NO_WRITER,
    /* frame.meta or frame.data has a format that this reader does not support. */
    VAS_BAD_FORMAT,
    /* An argument is invalid: a camera id, a rate, a buffer too small. */
    VAS_BAD_ARGUMENT,
    /* A system call failed. */
    VAS_SYSTEM_ERROR
} vas_status;

/* The meaning of a status. */
const char *vas_strerror(vas_status status);

/* The message of this thread's last status other than VAS_OK, with its values: which camera, which
 * path, what was expected. Valid until the next one. */
const char *vas_last_error(void);

/* `pts_ns` if the camera sent no time. */
#define VAS_PTS_UNKNOWN INT64_MIN

/* Bits of `flags`. VAS_AFTER_LOSS outweighs VAS_LOSS_UNKNOWN; with neither, nothing was lost. */
#define VAS_KEY (UINT32_C(1) << 0)
#define VAS_CORRUPT (UINT32_C(1) << 1)
#define VAS_AFTER_LOSS (UINT32_C(1) << 2)
#define VAS_LOSS_UNKNOWN (UINT32_C(1) << 3)
#define VAS_DISCONTINUITY (UINT32_C(1) << 4)
#define VAS_INTERLACED (UINT32_C(1) << 5)

/* A frame's metadata, without its pixels. Times are CLOCK_MONOTONIC nanoseconds. */
typedef struct vas_meta {
    uint64_t frame_id;   /* rises, across epochs and writers too; gaps are frames not exported */
    uint64_t epoch;      /* one size, format, color and writer */
    int64_t pts_ns;      /* on the camera's own time line, or VAS_PTS_UNKNOWN */
    uint64_t arrival_ns; /* of the first packet; age counts from here */
    uint64_t decoded_ns;
    uint64_t gate_ns; /* on which a rate limit measures the interval between frames */
    uint64_t published_ns;
    uint64_t reuse_not_before_ns; /* the slot is not overwritten before this time */
    int64_t wall_clock_ns; /* the camera's, Unix time; counts only if wall_quality is not 0 */
    uint32_t wall_quality; /* 0 none, 1 by RTCP sender reports */
    uint32_t flags;
    uint32_t width, height;             /* visible, in pixels */
    uint32_t coded_width, coded_height; /* before cropping */
    uint32_t crop_left, crop_top;
    uint32_t content_x, content_y; /* the rectangle that the camera's picture fills */
    uint32_t content_width, content_height;
    uint32_t source_width, source_height; /* of the camera's visible picture before scaling */
    uint32_t decoder;                     /* 0 unknown, 1 software, 2 VA-API, 3 NVDEC */
} vas_meta;

/* The layout of an epoch's pictures, and how to interpret their samples as colors. */
typedef struct vas_picture {
    uint32_t width, height;
    uint32_t stride;      /* bytes between the starts of two rows in shared memory */
    uint32_t color_range; /* 0 unspecified (read as limited), 1 limited, 2 full */
    uint32_t color_primaries, color_transfer, color_matrix; /* ITU-T H.273 codes */
    uint32_t chroma_location;
    uint32_t bit_depth; /* of the source; slots hold 8 bits per sample */
    size_t tight_size;  /* bytes of the picture that vas_frame_copy_if_valid copies */
} vas_picture;

/*
 * A frame in the ring: its metadata, and the location of its pixels while they stay.
 *
 * Release each frame from a reader once, and do not copy it: it keeps its epoch's memory mapped. A
 * zeroed frame, or one whose call failed, holds nothing, and releasing it does nothing.
 */
typedef struct vas_frame {
    vas_meta meta;
    vas_picture picture;
    /* The rest is private to the reader. */
    struct vas_ring *ring;
    uint64_t sequence;
    uint32_t slot;
} vas_frame;

typedef struct vas_reader vas_reader;

/* The default export directory. */
#define VAS_DEFAULT_DIR "/dev/shm/vas"

/* The default readers directory. */
#define VAS_DEFAULT_READERS_DIR "/run/vas-readers"

/* No time limit, for `timeout_ms`. */
#define VAS_FOR_EVER INT64_C(-1)

/*
 * Options for opening a reader. Start with VAS_OPTIONS_INIT and change what you need:
 *
 *   vas_options options = VAS_OPTIONS_INIT;
 *   options.max_fps = 5;
 */
typedef struct vas_options {
    /* The export directory; NULL: VAS_DEFAULT_DIR. */
    const char *dir;
    /* The highest frame rate that this reader wants, up to a million, so that the service need not
     * copy more for it. The reader also sees the frames copied for others. 0: every frame. */
    double max_fps;
    /* How long a waiting call waits for a frame, in milliseconds; below 0, as VAS_FOR_EVER, until
     * there is one or the writer is gone. */
    int64_t timeout_ms;
    /* A name for the status of the service, such as the model's: up to 63 bytes of it are kept. NULL:
     * only the program's name. It counts only where there is a readers directory. */
    const char *name;
    /* The readers directory, `[readers] dir` of the service's config: where it exists, on tmpfs, each
     * reader keeps a small file that states what it does (docs/ref/reader-telemetry.md). NULL: the
     * environment variable VAS_READERS_DIR, or else VAS_DEFAULT_READERS_DIR. Empty: no file. Without
     * the file reading works as well. */
    const char *readers_dir;
} vas_options;

/* The defaults: every frame, below VAS_DEFAULT_DIR, no timeout, no name. */
#define VAS_OPTIONS_INIT                                                                           \
    {                                                                                              \
        VAS_DEFAULT_DIR, 0, VAS_FOR_EVER, NULL, NULL                                               \
    }

/*
 * Attaches to a camera's export. `options` may be NULL, which means VAS_OPTIONS_INIT; the reader
 * keeps no pointer to it. Attaching works before the camera's ring is open: reading then waits, or
 * returns VAS_NOT_YET.
 *
 * VAS_NO_CAMERA, VAS_NO_WRITER, VAS_BAD_FORMAT, VAS_BAD_ARGUMENT, VAS_SYSTEM_ERROR: `*reader` is
 * then NULL.
 */
vas_status vas_reader_open(const char *camera, const vas_options *options, vas_reader **reader);

/* Detaches. Frames from the reader stay valid until they are released. NULL is allowed. */
void vas_reader_close(vas_reader *reader);

/*
 * The newest frame, without waiting. It may be the last returned one again.
 *
 * VAS_NOT_YET if no frame is known to be current: a frame from before a pause in copying may be of
 * any age. VAS_WRITER_STOPPED, VAS_WRITER_DIED until the next writer comes.
 */
vas_status vas_reader_latest(vas_reader *reader, vas_frame *frame);

/*
 * Waits for the next frame after the last returned one: for readers that want every frame and keep
 * up. It is the oldest such frame still in the ring; a gap in the ids means that the frames between
 * were not exported, or were overwritten before this call.
 *
 * VAS_NOT_YET, VAS_TIMED_OUT, VAS_WRITER_STOPPED, VAS_WRITER_DIED; VAS_BAD_FORMAT and
 * VAS_SYSTEM_ERROR if a new epoch could not be opened.
 */
vas_status vas_reader_next(vas_reader *reader, vas_frame *frame);

/* Waits for a frame newer than the last returned one, and returns the newest: for readers that want
 * to be current and may miss frames. */
vas_status vas_reader_newer(vas_reader *reader, vas_frame *frame);

/* Whether a frame is wanted, by its metadata alone: no byte of a picture is touched. */
typedef bool (*vas_wanted)(const vas_meta *meta, void *context);

/* As vas_reader_newer, for a frame that `wanted` accepts. A call judges each frame at most once. */
vas_status vas_reader_newer_if(vas_reader *reader, vas_wanted wanted, void *context,
                               vas_frame *frame);

/* The id of the last returned frame, or the value set by vas_reader_seek; 0 at first. */
uint64_t vas_reader_cursor(const vas_reader *reader);

/* Moves the cursor: later calls return frames with ids above `frame_id`, as far as the ring still
 * holds them. 0 starts with the oldest. */
void vas_reader_seek(vas_reader *reader, uint64_t frame_id);

/* Sets how long a waiting call waits, as `timeout_ms` of the options. */
void vas_reader_set_timeout(vas_reader *reader, int64_t timeout_ms);

/* Whether the slot still holds this frame: if so, everything read before this call is whole. */
bool vas_frame_still_valid(const vas_frame *frame);

/*
 * Copies the picture as tight NV12, rows without padding and chroma directly after luma:
 * `picture.tight_size` bytes. VAS_OVERWRITTEN if the slot was overwritten meanwhile: `nv12` then
 * holds no picture.
 */
vas_status vas_frame_copy_if_valid(const vas_frame *frame, void *nv12, size_t size);

/*
 * A frame's planes in shared memory, until the frame is released. The bytes may change at any time,
 * so they are volatile: use them, then call vas_frame_still_valid. The result counts only if that
 * returns true.
 */
typedef struct vas_view {
    const volatile uint8_t *y;  /* `height` rows, `stride` bytes apart */
    const volatile uint8_t *uv; /* half of `height` rows rounded up; U and V interleaved */
    size_t stride;
} vas_view;

/* Both planes are NULL if the frame holds nothing. */
vas_view vas_frame_view(const vas_frame *frame);

/* Releases a frame; it then holds nothing. */
void vas_frame_release(vas_frame *frame);

/* The current CLOCK_MONOTONIC time; a frame's age is this less its `arrival_ns`. */
uint64_t vas_monotonic_ns(void);

#ifdef __cplusplus
}
#endif

#endif
