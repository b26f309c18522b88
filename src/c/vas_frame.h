/*
 * Reads a camera's decoded frames from local shared memory, pulled at the reader's own pace.
 *
 * The format is docs/ref/frame-format.md, the same reader in Rust is src/frame. C11, 64-bit
 * little-endian Linux, nothing to link but the C library. README.md has an example.
 *
 * A reader follows new sizes and new writers by itself, and nothing that it does or fails to do
 * reaches the writer. It is not shared between threads: open one in each. Frames may go to other
 * threads.
 *
 * A reader has a cursor, the id of the frame that it gave last, so that no call needs an id:
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
    /* Nothing that is surely current has been published since the reader attached. */
    VAS_NOT_YET,
    /* No frame within the time given; the writer lives: a quiet camera. */
    VAS_TIMED_OUT,
    /* The writer stopped, or died. Said at once, and once; later calls wait for the next writer and
     * say it again only when none came in the time given. */
    VAS_WRITER_STOPPED,
    VAS_WRITER_DIED,
    /* The slot was written again before the frame was done with. */
    VAS_OVERWRITTEN,
    /* There is no directory for the camera. */
    VAS_NO_CAMERA,
    /* The files stayed behind after their writer died. */
    VAS_NO_WRITER,
    /* frame.meta or frame.data is not what this reader understands. */
    VAS_BAD_FORMAT,
    /* An argument can't be: a camera id, a rate, a buffer too small. */
    VAS_BAD_ARGUMENT,
    /* A system call failed. */
    VAS_SYSTEM_ERROR
} vas_status;

/* What a status means. */
const char *vas_strerror(vas_status status);

/* The words of this thread's last status other than VAS_OK, with the values in them: which camera,
 * which path, what was expected. Stays until the next one. */
const char *vas_last_error(void);

/* `pts_ns` when the camera gave no time. */
#define VAS_PTS_UNKNOWN INT64_MIN

/* Bits of `flags`. VAS_AFTER_LOSS outweighs VAS_LOSS_UNKNOWN; neither: nothing was lost. */
#define VAS_KEY (UINT32_C(1) << 0)
#define VAS_CORRUPT (UINT32_C(1) << 1)
#define VAS_AFTER_LOSS (UINT32_C(1) << 2)
#define VAS_LOSS_UNKNOWN (UINT32_C(1) << 3)
#define VAS_DISCONTINUITY (UINT32_C(1) << 4)
#define VAS_INTERLACED (UINT32_C(1) << 5)

/* What is known of a frame without touching its pixels. Times are CLOCK_MONOTONIC nanoseconds. */
typedef struct vas_meta {
    uint64_t frame_id;   /* rises, across epochs and writers too; gaps are frames not seen here */
    uint64_t epoch;      /* one size, format, colour and writer */
    int64_t pts_ns;      /* on the camera's own time line, or VAS_PTS_UNKNOWN */
    uint64_t arrival_ns; /* of the first packet; age counts from it */
    uint64_t decoded_ns;
    uint64_t gate_ns; /* by which frames keep the distance of a rate limit */
    uint64_t published_ns;
    uint64_t reuse_not_before_ns; /* until then the slot is not written again */
    int64_t wall_clock_ns; /* the camera's, Unix time; counts only if wall_quality is not 0 */
    uint32_t wall_quality; /* 0 none, 1 by RTCP sender reports */
    uint32_t flags;
    uint32_t width, height;             /* visible, in pixels */
    uint32_t coded_width, coded_height; /* before cropping */
    uint32_t crop_left, crop_top;
    uint32_t content_x, content_y; /* the rectangle that the camera's picture fills */
    uint32_t content_width, content_height;
    uint32_t decoder; /* 0 unknown, 1 software, 2 VA-API, 3 NVDEC */
} vas_meta;

/* How an epoch's pictures lie and how their numbers are to be read as colours. */
typedef struct vas_picture {
    uint32_t width, height;
    uint32_t stride;      /* bytes from row to row in shared memory */
    uint32_t color_range; /* 0 unspecified (read as limited), 1 limited, 2 full */
    uint32_t color_primaries, color_transfer, color_matrix; /* ITU-T H.273 codes */
    uint32_t chroma_location;
    uint32_t bit_depth; /* of the source; slots hold 8 bits a sample */
    size_t tight_size;  /* bytes of the picture as vas_frame_copy_if_valid gives it */
} vas_picture;

/*
 * A frame in the ring: what is known of it, and where its pixels are for as long as they stay.
 *
 * Each frame that a reader gave is released once, and not copied: it keeps its epoch's memory
 * mapped. A zeroed frame, or one whose call failed, holds nothing, and releasing it does nothing.
 */
typedef struct vas_frame {
    vas_meta meta;
    vas_picture picture;
    /* The rest is the reader's own. */
    struct vas_ring *ring;
    uint64_t sequence;
    uint32_t slot;
} vas_frame;

typedef struct vas_reader vas_reader;

/* The export directory where none is given. */
#define VAS_DEFAULT_DIR "/dev/shm/vas"

/* A time without end, for `timeout_ms`. */
#define VAS_FOR_EVER INT64_C(-1)

/*
 * How a reader is opened. Begin with VAS_OPTIONS_INIT and set what is to be different:
 *
 *   vas_options options = VAS_OPTIONS_INIT;
 *   options.max_fps = 5;
 */
typedef struct vas_options {
    /* The export directory; NULL: VAS_DEFAULT_DIR. */
    const char *dir;
    /* The highest frame rate that this reader will ever want, up to a million, so that no more need
     * be copied for it. It may be shown more: what others want, it sees too. 0: every frame. */
    double max_fps;
    /* How long a waiting call waits for a frame, in milliseconds; below 0, as VAS_FOR_EVER: until
     * there is one or the writer is gone. */
    int64_t timeout_ms;
} vas_options;

/* Every frame, below VAS_DEFAULT_DIR, waited for without a limit. */
#define VAS_OPTIONS_INIT                                                                           \
    {                                                                                              \
        VAS_DEFAULT_DIR, 0, VAS_FOR_EVER                                                           \
    }

/*
 * Attaches to a camera's export. `options` may be NULL, which is as good as VAS_OPTIONS_INIT; what
 * it points to is not needed afterwards. A camera whose ring is not open yet can be attached to:
 * reading it waits, or gives VAS_NOT_YET.
 *
 * VAS_NO_CAMERA, VAS_NO_WRITER, VAS_BAD_FORMAT, VAS_BAD_ARGUMENT, VAS_SYSTEM_ERROR: `*reader` is
 * then NULL.
 */
vas_status vas_reader_open(const char *camera, const vas_options *options, vas_reader **reader);

/* Detaches. Frames that it gave stay as they are until they are released. NULL is as good. */
void vas_reader_close(vas_reader *reader);

/*
 * The newest frame, without waiting. It may be the one that was given last.
 *
 * VAS_NOT_YET when there is none that is surely current: a frame from before a pause in copying may
 * be of any age. VAS_WRITER_STOPPED, VAS_WRITER_DIED for as long as no next writer has come.
 */
vas_status vas_reader_latest(vas_reader *reader, vas_frame *frame);

/*
 * The frame after the one that was given last, waiting for it: for those who want every frame and
 * keep up. It is the oldest one still in the ring; a gap in the ids means that the frames between
 * were not exported, or were overwritten before they were asked for.
 *
 * VAS_NOT_YET, VAS_TIMED_OUT, VAS_WRITER_STOPPED, VAS_WRITER_DIED; VAS_BAD_FORMAT and
 * VAS_SYSTEM_ERROR when a new epoch could not be opened.
 */
vas_status vas_reader_next(vas_reader *reader, vas_frame *frame);

/* The newest frame, once it is another than was given last, waiting for it as vas_reader_next does:
 * for those who want to be current and may miss frames. */
vas_status vas_reader_newer(vas_reader *reader, vas_frame *frame);

/* Whether a frame is wanted, by what is known of it alone: no byte of a picture is touched. */
typedef bool (*vas_wanted)(const vas_meta *meta, void *context);

/* As vas_reader_newer, for a frame that `wanted` wants. Each frame is judged once at most in a
 * call. */
vas_status vas_reader_newer_if(vas_reader *reader, vas_wanted wanted, void *context,
                               vas_frame *frame);

/* The id of the frame that was given last, or what vas_reader_seek set; 0 at first. */
uint64_t vas_reader_cursor(const vas_reader *reader);

/* Moves the cursor: frames whose ids are above `frame_id` are given next, as far as the ring still
 * holds them. 0 begins with the oldest. */
void vas_reader_seek(vas_reader *reader, uint64_t frame_id);

/* Sets how long a waiting call waits, as `timeout_ms` of the options. */
void vas_reader_set_timeout(vas_reader *reader, int64_t timeout_ms);

/* Whether the slot still holds this frame: everything read of it before this call was whole. */
bool vas_frame_still_valid(const vas_frame *frame);

/*
 * Copies the picture as tight NV12, rows without padding and chroma right behind luma:
 * `picture.tight_size` bytes. VAS_OVERWRITTEN when the slot was written again meanwhile: `nv12`
 * then holds no picture.
 */
vas_status vas_frame_copy_if_valid(const vas_frame *frame, void *nv12, size_t size);

/*
 * A frame's planes in shared memory, until the frame is released. The bytes may change at any time,
 * so they are volatile: use them, then ask vas_frame_still_valid. Only a true makes the result
 * worth anything.
 */
typedef struct vas_view {
    const volatile uint8_t *y;  /* `height` rows, `stride` bytes apart */
    const volatile uint8_t *uv; /* half of `height` rows rounded up; U and V in turn */
    size_t stride;
} vas_view;

/* Both planes are NULL when the frame holds nothing. */
vas_view vas_frame_view(const vas_frame *frame);

/* Gives a frame back; it then holds nothing. */
void vas_frame_release(vas_frame *frame);

/* CLOCK_MONOTONIC now, on which a frame's age is this less its `arrival_ns`. */
uint64_t vas_monotonic_ns(void);

#ifdef __cplusplus
}
#endif

#endif
