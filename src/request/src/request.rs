//! A request, and the parser of its URL.

use std::time::Duration;

use crate::fraction::Fraction;

const RTSP_PORT: u16 = 554;
const RTSPS_PORT: u16 = 322;
/// Largest side of a test picture; larger ones would only test memory.
const MAX_TEST_SIDE: u32 = 8192;
const MIN_TEST_SIDE: u32 = 16;

/// A source to open.
///
/// `url` is one of
/// - `rtsp://` or `rtsps://`, with `user:password@` before the host if the camera requires it
///   (percent-encoded if it contains `/ ? # @ :`),
/// - a path or a `file:` URL (not percent-decoded): played once, in real time,
/// - `testsrc:WIDTHxHEIGHT@FPS` with even sizes: an endless moving test picture, in real time.
#[derive(Clone, Debug)]
pub struct SourceRequest {
    /// The source's URL.
    pub url: String,
    /// The transport of RTP; cameras only.
    pub transport: Transport,
    /// The RTSP client; cameras only.
    pub client: RtspClient,
    /// Time limit for opening, including the name look-up, until the stream is known; cameras only.
    pub connect_timeout: Duration,
    /// Time limit for each packet of video; cameras only.
    pub read_timeout: Duration,
    /// Whether to request sound; cameras only.
    pub sound: bool,
}

/// The transport of RTP from a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Transport {
    /// TCP, or UDP if the camera refuses TCP (RTSP 461).
    #[default]
    Auto,
    /// Interleaved in the RTSP connection.
    Tcp,
    /// UDP to ports of this host.
    Udp,
}

/// The implementation of RTSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RtspClient {
    /// retina, or FFmpeg where retina fails.
    #[default]
    Auto,
    /// The crate retina, which detects loss and reads the camera's clock.
    Retina,
    /// FFmpeg's RTSP demuxer.
    Ffmpeg,
}

impl RtspClient {
    /// The name in the config: `auto`, `retina`, `ffmpeg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Retina => "retina",
            Self::Ffmpeg => "ffmpeg",
        }
    }
}

/// Which pictures a decoder decodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecodeFrames {
    /// All.
    #[default]
    All,
    /// Those that other pictures refer to.
    Reference,
    /// Those that decode without any other, each output at once.
    Key,
}

/// A parsed URL.
#[derive(Debug, PartialEq)]
pub enum Location {
    /// `rtsp://` or `rtsps://`.
    Camera {
        /// A name or an address; IPv6 without brackets.
        host: String,
        /// The port, by default that of the scheme.
        port: u16,
        /// Whether the scheme is `rtsps`.
        tls: bool,
    },
    /// A path or `file:`.
    File {
        /// The path, as given.
        path: String,
    },
    /// `testsrc:`.
    TestPicture {
        /// Columns; even.
        width: u32,
        /// Rows; even.
        height: u32,
        /// Pictures a second.
        fps: Fraction,
    },
}

impl Location {
    /// Parses a URL.
    ///
    /// # Errors
    /// What is wrong with it, without any part of it that could be a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        if url.is_empty() {
            return Err("it is empty".into());
        }
        if url.contains('\0') {
            return Err("it contains a NUL byte".into());
        }
        if let Some(rest) = strip_scheme(url, "rtsp://") {
            return parse_camera(rest, false);
        }
        if let Some(rest) = strip_scheme(url, "rtsps://") {
            return parse_camera(rest, true);
        }
        if let Some(rest) = strip_scheme(url, "testsrc:") {
            return parse_test_picture(rest);
        }
        if let Some(rest) = strip_scheme(url, "file:") {
            return parse_file(rest);
        }
        if let Some((scheme, _)) = url.split_once("://") {
            return Err(format!(
                "its scheme {scheme:?} is not one of rtsp, rtsps, file and testsrc"
            ));
        }
        parse_file(url)
    }
}

/// Schemes are case-insensitive (RFC 3986, 3.1).
fn strip_scheme<'a>(url: &'a str, scheme: &str) -> Option<&'a str> {
    let head = url.get(..scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then(|| &url[scheme.len()..])
}

fn parse_camera(rest: &str, tls: bool) -> Result<Location, String> {
    if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("it contains a space or a control character; percent-encode it".into());
    }
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match host_port.strip_prefix('[') {
        Some(v6) => {
            let (host, port) = v6.split_once(']').ok_or("its [ has no ]")?;
            (host, port.strip_prefix(':').unwrap_or(port))
        }
        None => host_port.split_once(':').unwrap_or((host_port, "")),
    };
    if host.is_empty() {
        return Err("it names no host".into());
    }
    let port = match port {
        "" if tls => RTSPS_PORT,
        "" => RTSP_PORT,
        digits => match digits.parse() {
            Ok(port) if port > 0 => port,
            _ => {
                return Err("its port is not a number from 1 to 65535; if the password contains \
                            / ? # @ or :, percent-encode them"
                    .into());
            }
        },
    };
    Ok(Location::Camera { host: host.to_owned(), port, tls })
}

fn parse_file(rest: &str) -> Result<Location, String> {
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => return Err("it names a host; write file:///path".into()),
        None => rest,
    };
    if path.is_empty() {
        return Err("it names no file".into());
    }
    Ok(Location::File { path: path.to_owned() })
}

fn parse_test_picture(rest: &str) -> Result<Location, String> {
    let form = || format!("{rest:?} is not WIDTHxHEIGHT@FPS, such as testsrc:1280x720@25");
    let (size, fps) = rest.split_once('@').ok_or_else(form)?;
    let (width, height) = size.split_once('x').ok_or_else(form)?;
    let side = |text: &str| text.parse::<u32>().map_err(|_| form());
    let (width, height) = (side(width)?, side(height)?);
    let range = MIN_TEST_SIDE..=MAX_TEST_SIDE;
    if !range.contains(&width) || !range.contains(&height) {
        return Err(format!(
            "{width}x{height} is outside {MIN_TEST_SIDE} to {MAX_TEST_SIDE} pixels a side"
        ));
    }
    if width % 2 != 0 || height % 2 != 0 {
        // Chroma is halved, so FFmpeg's testsrc2 would silently round them down.
        return Err(format!("{width}x{height} is odd; expected an even width and height"));
    }
    let fps = Fraction::parse(fps).ok_or_else(form)?;
    if fps.as_f64() > 1000.0 {
        return Err(format!("{fps} fps is more than 1000"));
    }
    Ok(Location::TestPicture { width, height, fps })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(host: &str, port: u16, tls: bool) -> Location {
        Location::Camera { host: host.into(), port, tls }
    }

    fn file(path: &str) -> Location {
        Location::File { path: path.into() }
    }

    #[test]
    fn cameras() {
        for (url, expected) in [
            ("rtsp://cam/live", camera("cam", 554, false)),
            ("RTSP://u:p%40@cam:8554/live?x=1", camera("cam", 8554, false)),
            ("rtsp://u:p@x@cam", camera("cam", 554, false)),
            ("rtsps://[::1]/a", camera("::1", 322, true)),
            ("rtsps://u@[::1]:99/a", camera("::1", 99, true)),
        ] {
            assert_eq!(Location::parse(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn files() {
        for (url, path) in [
            ("/a/b.mp4", "/a/b.mp4"),
            ("b c.mp4", "b c.mp4"),
            ("odd:name.mp4", "odd:name.mp4"),
            ("file:/a", "/a"),
            ("file:///a", "/a"),
            ("file:a", "a"),
        ] {
            assert_eq!(Location::parse(url), Ok(file(path)), "{url}");
        }
    }

    #[test]
    fn test_pictures() {
        let fps = Fraction::new(30000, 1001).unwrap();
        assert_eq!(
            Location::parse("testsrc:640x360@30000/1001"),
            Ok(Location::TestPicture { width: 640, height: 360, fps })
        );
    }

    #[test]
    fn bad_urls_are_refused_with_a_reason() {
        for (url, word) in [
            ("", "empty"),
            ("http://h/x", "scheme"),
            ("rtsp://", "no host"),
            ("rtsp://u:p@/x", "no host"),
            ("rtsp://h:0/x", "port"),
            ("rtsp://h/a b", "space"),
            ("rtsp://[::1/a", "]"),
            ("file://host/a", "host"),
            ("file:", "no file"),
            ("testsrc:640x360", "WIDTHxHEIGHT@FPS"),
            ("testsrc:640x360@0", "WIDTHxHEIGHT@FPS"),
            ("testsrc:1x1@25", "outside"),
            ("testsrc:641x360@25", "even"),
            ("testsrc:64x64@2000", "1000"),
            ("a\0b", "NUL"),
        ] {
            let words = Location::parse(url).unwrap_err();
            assert!(words.contains(word), "{url:?}: {words}");
        }
    }

    #[test]
    fn errors_do_not_quote_passwords() {
        let words = Location::parse("rtsp://user:hun/ter2@host/x").unwrap_err();
        assert!(!words.contains("hun") && !words.contains("ter2"), "{words}");
    }
}
