// Preloaded into a service: logs the options of each call of FFmpeg, with its thread, to the file that
// VAS_OPTIONS_LOG names. The options are those in the contexts at the time of the call, however they were set.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/dict.h>
#include <libavutil/hwcontext.h>
#include <libavutil/opt.h>

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

// One write per line, so that threads' lines do not mix.
static void line(const char *call, const char *what, const char *dict, const char *own, const char *inner) {
    const char *path = getenv("VAS_OPTIONS_LOG");
    char thread[16] = "", *text = NULL;
    if (!path) return;
    prctl(PR_GET_NAME, thread);
    int length = asprintf(&text, "%s %s %s given{%s} set{%s} private{%s}\n", thread, call, what, dict, own, inner);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (length < 0 || fd < 0 || write(fd, text, (size_t)length) != length) abort();
    close(fd);
    free(text);
}

static char *given(AVDictionary **dict) {
    char *text = NULL;
    if (!dict || av_dict_get_string(*dict, &text, '=', ',') < 0 || !text) return av_strdup("");
    return text;
}

static char *set(void *object) {
    char *text = NULL;
    // NULL, or an object whose first field is its AVClass.
    if (!object || !*(void **)object || av_opt_serialize(object, 0, 0, &text, '=', ',') < 0 || !text)
        return av_strdup("");
    return text;
}

static void say(const char *call, const char *what, AVDictionary **dict, void *object, void *inner) {
    char *first = given(dict), *second = set(object), *third = set(inner);
    line(call, what ? what : "", first, second, third);
    av_free(first);
    av_free(second);
    av_free(third);
}

int avformat_open_input(AVFormatContext **ps, const char *url, const AVInputFormat *format, AVDictionary **options) {
    say("avformat_open_input", format ? format->name : url, options, ps ? *ps : NULL, NULL);
    return REAL(avformat_open_input)(ps, url, format, options);
}

int avformat_find_stream_info(AVFormatContext *context, AVDictionary **options) {
    const AVInputFormat *format = context->iformat;
    void *inner = format && format->priv_class ? context->priv_data : NULL;
    say("avformat_find_stream_info", format ? format->name : "", options, context, inner);
    return REAL(avformat_find_stream_info)(context, options);
}

int avformat_write_header(AVFormatContext *context, AVDictionary **options) {
    void *inner = context->oformat->priv_class ? context->priv_data : NULL;
    say("avformat_write_header", context->oformat->name, options, context, inner);
    return REAL(avformat_write_header)(context, options);
}

int avcodec_open2(AVCodecContext *context, const AVCodec *codec, AVDictionary **options) {
    const AVCodec *used = codec ? codec : context->codec;
    void *inner = used && used->priv_class ? context->priv_data : NULL;
    say("avcodec_open2", used ? used->name : "", options, context, inner);
    return REAL(avcodec_open2)(context, codec, options);
}

int av_hwdevice_ctx_create(AVBufferRef **context, enum AVHWDeviceType type, const char *device, AVDictionary *options,
                           int flags) {
    say("av_hwdevice_ctx_create", av_hwdevice_get_type_name(type), &options, NULL, NULL);
    return REAL(av_hwdevice_ctx_create)(context, type, device, options, flags);
}
