/* libva for a program that also runs where there is none: VA-API's functions, which jump to libva.so.2.
 *
 * FFmpeg calls vaGetDisplayDRM first, and nothing else without a display. So that function loads the libraries and
 * finds the others in them; where it can't, it says why in FFmpeg's log and returns no display. scripts/build-ffmpeg
 * installs this as libva.a. A function that FFmpeg needs and that is not in the list fails the link.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

#define FUNCTIONS(F)                                                                                                   \
    F(vaAcquireBufferHandle)                                                                                           \
    F(vaBeginPicture)                                                                                                  \
    F(vaCreateBuffer)                                                                                                  \
    F(vaCreateConfig)                                                                                                  \
    F(vaCreateContext)                                                                                                 \
    F(vaCreateImage)                                                                                                   \
    F(vaCreateSurfaces)                                                                                                \
    F(vaDeriveImage)                                                                                                   \
    F(vaDestroyBuffer)                                                                                                 \
    F(vaDestroyConfig)                                                                                                 \
    F(vaDestroyContext)                                                                                                \
    F(vaDestroyImage)                                                                                                  \
    F(vaDestroySurfaces)                                                                                               \
    F(vaEndPicture)                                                                                                    \
    F(vaErrorStr)                                                                                                      \
    F(vaExportSurfaceHandle)                                                                                           \
    F(vaGetConfigAttributes)                                                                                           \
    F(vaGetImage)                                                                                                      \
    F(vaInitialize)                                                                                                    \
    F(vaMapBuffer)                                                                                                     \
    F(vaMaxNumEntrypoints)                                                                                             \
    F(vaMaxNumImageFormats)                                                                                            \
    F(vaMaxNumProfiles)                                                                                                \
    F(vaPutImage)                                                                                                      \
    F(vaQueryConfigEntrypoints)                                                                                        \
    F(vaQueryConfigProfiles)                                                                                           \
    F(vaQueryImageFormats)                                                                                             \
    F(vaQuerySurfaceAttributes)                                                                                        \
    F(vaQueryVendorString)                                                                                             \
    F(vaReleaseBufferHandle)                                                                                           \
    F(vaRenderPicture)                                                                                                 \
    F(vaSetDriverName)                                                                                                 \
    F(vaSetErrorCallback)                                                                                              \
    F(vaSetInfoCallback)                                                                                               \
    F(vaSyncSurface)                                                                                                   \
    F(vaTerminate)                                                                                                     \
    F(vaUnmapBuffer)

/* Each function is a jump, so it needs no prototype: arguments and result stay where the caller put them. */
#if defined(__x86_64__)
#define JUMP(name) "    jmp *address_" #name "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(name)                                                                                                     \
    "    adrp x16, address_" #name "\n"                                                                                \
    "    ldr x16, [x16, :lo12:address_" #name "]\n"                                                                    \
    "    br x16\n"
#else
#error "no jump for this processor"
#endif

#define FUNCTION(name)                                                                                                 \
    __attribute__((visibility("hidden"))) void *address_##name;                                                        \
    __asm__(".pushsection .text\n.globl " #name "\n.type " #name ", %function\n" #name ":\n" JUMP(                     \
        name) ".size " #name ", . - " #name "\n.popsection\n");
FUNCTIONS(FUNCTION)

/* FFmpeg's; weak, since its configure script links programs with this library alone. */
__attribute__((weak)) void av_log(void *context, int level, const char *format, ...);
#define AV_LOG_ERROR 16

static void *(*get_display)(int fd);

static void load(void)
{
    /* Not with RTLD_GLOBAL: their functions have the names of those here. */
    void *drm = dlopen("libva-drm.so.2", RTLD_NOW | RTLD_LOCAL);
    void *va = drm ? dlopen("libva.so.2", RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!va)
        return;
#define FIND(name)                                                                                                     \
    if (!(address_##name = dlsym(va, #name)))                                                                          \
        return;
    FUNCTIONS(FIND)
    *(void **)&get_display = dlsym(drm, "vaGetDisplayDRM");
}

void *vaGetDisplayDRM(int fd);

void *vaGetDisplayDRM(int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    if (get_display)
        return get_display(fd);
    if (av_log)
        av_log(NULL, AV_LOG_ERROR, "libva 2 (libva.so.2, libva-drm.so.2) can't be loaded: is it installed?\n");
    return NULL;
}
