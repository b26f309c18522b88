//! Functions that FFmpeg's loader must find and its hwaccel does not use: source, parser, reconfiguration.

use crate::driver::not_supported;

not_supported! {
    cuvidReconfigureDecoder
    cuvidCreateVideoSource
    cuvidCreateVideoSourceW
    cuvidDestroyVideoSource
    cuvidSetVideoSourceState
    cuvidGetVideoSourceState
    cuvidGetSourceVideoFormat
    cuvidGetSourceAudioFormat
    cuvidCreateVideoParser
    cuvidParseVideoData
    cuvidDestroyVideoParser
}
