//! The source of a camera's pictures.

use std::fmt;
use std::path::{Path, PathBuf};

use super::test_pattern::{TestPattern, TestPatternError};
use vas_toml::nearest;

/// The accepted forms of a url, for messages.
const KINDS: &str = "rtsp://HOST/PATH, rtsps://HOST/PATH, testsrc:WIDTHxHEIGHT@FPS, file:PATH or \
                     a path";

/// Schemes that are suggested for a mistyped one.
const SCHEMES: [&str; 4] = ["rtsp", "rtsps", "testsrc", "file"];

/// A source of pictures in a valid form; whether it answers shows when it is opened.
///
/// `Display` and `Debug` mask passwords.
#[derive(Clone, PartialEq, Eq)]
pub enum CameraUrl {
    /// A camera, or any other RTSP server (`rtsp://`, or over TLS `rtsps://`).
    Rtsp(RtspUrl),
    /// A video file, played at its own pace; for testing.
    File(PathBuf),
    /// A generated moving picture; for testing.
    TestPattern(TestPattern),
}

/// An `rtsp://` or `rtsps://` URL, including the login.
#[derive(Clone, PartialEq, Eq)]
pub struct RtspUrl(String);

/// Why a string is no source of pictures. Never quotes an RTSP URL: a malformed one may show its
/// password in an unexpected place.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CameraUrlError {
    /// The url is empty.
    #[error("the url is empty; expected {KINDS}")]
    Empty,
    /// It has a line break, a NUL or the like.
    #[error("the url holds a space or control character; write it as %20 and so on")]
    BadCharacter,
    /// Its scheme is unknown.
    #[error("unknown kind of url `{scheme}:`{}; expected {KINDS}", did_you_mean(*nearest))]
    UnknownScheme {
        /// The text before the first colon.
        scheme: String,
        /// A similar known scheme.
        nearest: Option<&'static str>,
    },
    /// `rtsp:` without `//` and a host.
    #[error("the url names no host; expected rtsp://HOST/PATH")]
    NoHost,
    /// The text after the host's colon is no port.
    #[error(
        "what follows the host's `:` is no port from 1 to 65535; a `/`, `?`, `#`, `@` or `%` in \
         a password is written as %2F, %3F, %23, %40 or %25"
    )]
    BadPort,
    /// `file:` without a path.
    #[error("`file:` names no file; expected file:PATH")]
    NoFile,
    /// `testsrc:` without a valid size and rate.
    #[error(transparent)]
    TestPattern(#[from] TestPatternError),
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |word| format!("; did you mean `{word}:`?"))
}

impl CameraUrl {
    /// Parses a url; relative paths start at `folder`.
    ///
    /// # Errors
    /// The url has none of the accepted forms.
    pub fn parse(url: &str, folder: &Path) -> Result<Self, CameraUrlError> {
        if url.is_empty() {
            return Err(CameraUrlError::Empty);
        }
        let Some((scheme, rest)) = split_scheme(url) else {
            return Ok(Self::File(folder.join(url)));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "rtsp" | "rtsps" => RtspUrl::parse(url, rest).map(Self::Rtsp),
            "testsrc" => Ok(Self::TestPattern(rest.parse()?)),
            "file" => parse_file(rest, folder).map(Self::File),
            lower => Err(CameraUrlError::UnknownScheme {
                scheme: scheme.into(),
                nearest: nearest(lower, SCHEMES),
            }),
        }
    }

    /// The url as libraries take it, **including the password**: not for messages.
    pub fn to_secret_string(&self) -> String {
        match self {
            Self::Rtsp(url) => url.0.clone(),
            Self::File(path) => path.to_string_lossy().into_owned(),
            Self::TestPattern(pattern) => format!("testsrc:{pattern}"),
        }
    }
}

impl RtspUrl {
    /// Checks `url`; `rest` is the part after `rtsp:` or `rtsps:`.
    fn parse(url: &str, rest: &str) -> Result<Self, CameraUrlError> {
        if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(CameraUrlError::BadCharacter);
        }
        let rest = rest.strip_prefix("//").ok_or(CameraUrlError::NoHost)?;
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = split_port(host_and_port);
        if host.is_empty() {
            return Err(CameraUrlError::NoHost);
        }
        match port.map(str::parse::<u16>) {
            None | Some(Ok(1..)) => Ok(Self(url.into())),
            Some(Ok(0) | Err(_)) => Err(CameraUrlError::BadPort),
        }
    }
}

/// Splits `scheme:rest`. A colon after a `/` belongs to a path.
fn split_scheme(url: &str) -> Option<(&str, &str)> {
    url.split_once(':').filter(|(scheme, _)| !scheme.contains('/'))
}

/// Splits `host:port`; an IPv6 address is in brackets.
fn split_port(host_and_port: &str) -> (&str, Option<&str>) {
    let after_address = host_and_port.rfind(']').map_or(0, |at| at + 1);
    match host_and_port[after_address..].rfind(':').map(|at| after_address + at) {
        Some(colon) => (&host_and_port[..colon], Some(&host_and_port[colon + 1..])),
        None => (host_and_port, None),
    }
}

/// Parses the part after `file:`; RFC 8089 allows `file:/path` and `file:///path`.
fn parse_file(rest: &str, folder: &Path) -> Result<PathBuf, CameraUrlError> {
    let path = match rest.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        _ => rest,
    };
    if path.is_empty() {
        return Err(CameraUrlError::NoFile);
    }
    Ok(folder.join(path))
}

impl fmt::Display for CameraUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&vas_request::redact(&self.to_secret_string()))
    }
}

impl fmt::Debug for CameraUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CameraUrl({self})")
    }
}

impl fmt::Debug for RtspUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RtspUrl({})", vas_request::redact(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<CameraUrl, CameraUrlError> {
        CameraUrl::parse(url, Path::new("/etc/vas"))
    }

    fn refusal(url: &str) -> String {
        parse(url).unwrap_err().to_string()
    }

    #[test]
    fn accepts_rtsp() {
        for url in [
            "rtsp://10.0.0.2",
            "rtsp://cam:554/Streaming/Channels/101?x=1",
            "rtsps://user:p%40ss@cam.example:322/a",
            "rtsp://[fe80::1]/a",
            "rtsp://[fe80::1]:8554/a:b",
            "RTSP://cam/",
        ] {
            let parsed = parse(url).unwrap();
            assert!(matches!(parsed, CameraUrl::Rtsp(_)), "{url}");
            assert_eq!(parsed.to_secret_string(), url);
        }
    }

    #[test]
    fn accepts_files_from_the_folder_of_the_config() {
        let file = |path: &str| Ok(CameraUrl::File(PathBuf::from(path)));
        assert_eq!(parse("/srv/a.mp4"), file("/srv/a.mp4"));
        assert_eq!(parse("a b.mp4"), file("/etc/vas/a b.mp4"));
        assert_eq!(parse("./12:30.mp4"), file("/etc/vas/./12:30.mp4"));
        assert_eq!(parse("file:a.mp4"), file("/etc/vas/a.mp4"));
        assert_eq!(parse("file:/srv/a.mp4"), file("/srv/a.mp4"));
        assert_eq!(parse("file:///srv/a.mp4"), file("/srv/a.mp4"));
    }

    #[test]
    fn accepts_a_test_pattern() {
        let parsed = parse("testsrc:640x360@30000/1001").unwrap();
        assert!(matches!(parsed, CameraUrl::TestPattern(_)));
        assert_eq!(parsed.to_secret_string(), "testsrc:640x360@30000/1001");
    }

    #[test]
    fn never_shows_a_password() {
        let parsed = parse("rtsp://admin:s3cret@cam/a").unwrap();
        assert_eq!(parsed.to_string(), "rtsp://***@cam/a");
        assert_eq!(format!("{parsed:?}"), "CameraUrl(rtsp://***@cam/a)");
        let CameraUrl::Rtsp(rtsp) = &parsed else { panic!("{parsed:?}") };
        assert_eq!(format!("{rtsp:?}"), "RtspUrl(rtsp://***@cam/a)");
        for url in ["rtsp://admin:s3cret/x@cam/a", "rtsp://admin:s3cret@/a", "rtsp:admin:s3cret@c"]
        {
            assert!(!refusal(url).contains("s3cret"), "{}", refusal(url));
        }
    }

    #[test]
    fn refuses_other_schemes() {
        assert!(refusal("http://cam/mjpeg").starts_with("unknown kind of url `http:`; expected "));
        assert!(
            refusal("rstp://cam/").contains("`rstp:`; did you mean `rtsp:`?; expected rtsp://")
        );
        assert!(refusal("testscr:1x1@1").contains("did you mean `testsrc:`?"));
        assert!(refusal("10.0.0.2:554/live").starts_with("unknown kind of url `10.0.0.2:`"));
    }

    #[test]
    fn refuses_rtsp_urls_that_cannot_work() {
        assert!(refusal("").starts_with("the url is empty; expected rtsp://HOST/PATH"));
        for url in ["rtsp:", "rtsp:/cam", "rtsp://", "rtsp:///a", "rtsp://u:p@/a", "rtsp://:554/"] {
            assert_eq!(refusal(url), "the url names no host; expected rtsp://HOST/PATH", "{url}");
        }
        for url in ["rtsp://cam:0/", "rtsp://cam:65536/", "rtsp://cam:/", "rtsp://u:pa/ss@cam/"] {
            assert!(refusal(url).contains("no port from 1 to 65535"), "{url}");
        }
        for url in ["rtsp://cam/a b", "rtsp://cam/\n", "rtsp://cam/\0"] {
            assert!(refusal(url).contains("space or control character"), "{url:?}");
        }
    }

    #[test]
    fn refuses_a_file_without_a_name() {
        assert_eq!(refusal("file:"), "`file:` names no file; expected file:PATH");
    }
}
