//! The words for RTSP clients.

use vas_request::RtspClient;

/// A word that is no RTSP client.
#[derive(Debug, thiserror::Error)]
#[error("{typed:?} is no RTSP client; expected \"auto\", \"retina\" or \"ffmpeg\"")]
pub struct RtspClientError {
    typed: String,
}

/// The client for a word.
///
/// # Errors
/// Any word except `auto`, `retina` and `ffmpeg`.
pub fn parse(typed: &str) -> Result<RtspClient, RtspClientError> {
    match typed {
        "auto" => Ok(RtspClient::Auto),
        "retina" => Ok(RtspClient::Retina),
        "ffmpeg" => Ok(RtspClient::Ffmpeg),
        _ => Err(RtspClientError { typed: typed.into() }),
    }
}
