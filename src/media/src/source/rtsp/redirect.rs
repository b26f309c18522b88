//! Finds out where a camera redirects its clients (RFC 2326, 11.3): retina reports only that it does.
//!
//! FFmpeg's client follows redirects without a limit: it sent thousands of requests a second to a camera that
//! redirects to itself.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use url::Url;

use super::Limit;
use crate::stop::StopFlag;

/// How many redirects are followed.
pub(super) const MAX_HOPS: usize = 5;

/// Time limit for the camera's response. It has just answered the same request.
const RESPONSE_LIMIT: Duration = Duration::from_secs(2);
/// How often to check the stop flag.
const POLL: Duration = Duration::from_millis(50);
/// Most bytes of a response's head; none is known to be this large.
const MAX_HEAD: usize = 16 << 10;

/// Why an [unusable](Redirect::Unusable) redirect is not followed.
pub(super) const NO_URL: &str = "names no usable URL";

/// The camera's response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// It redirects to this URL.
    To(String),
    /// It responds only after a login.
    WantsLogin,
    /// It names no URL that can be followed.
    Unusable,
}

/// Requests the description of `url` once more from the camera at `address`, and reads the head of its response.
pub(super) fn ask(url: &str, address: IpAddr, limit: &Limit, stop: &StopFlag) -> Redirect {
    let Ok(mut bare) = Url::parse(url) else { return Redirect::Unusable };
    let login = (bare.username().to_owned(), bare.password().map(str::to_owned));
    if bare.set_password(None).and_then(|()| bare.set_username("")).is_err() {
        return Redirect::Unusable;
    }
    let at = SocketAddr::new(address, bare.port().unwrap_or(554));
    match head(&bare, at, &limit.at_most(RESPONSE_LIMIT), stop) {
        Ok(head) => read(&head, &bare, &login),
        Err(error) => {
            tracing::debug!("can't find out where the camera redirects its clients: {error}");
            Redirect::Unusable
        }
    }
}

fn head(url: &Url, at: SocketAddr, limit: &Limit, stop: &StopFlag) -> std::io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect_timeout(&at, limit.left().max(POLL))?;
    socket.set_read_timeout(Some(POLL))?;
    socket.set_write_timeout(Some(RESPONSE_LIMIT))?;
    let agent = concat!("vas/", env!("CARGO_PKG_VERSION"));
    write!(
        socket,
        "DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: {agent}\r\nAccept: application/sdp\r\n\r\n"
    )?;
    let mut head = Vec::new();
    let mut portion = [0; 1024];
    while !is_complete(&head)
        && head.len() < MAX_HEAD
        && !stop.is_stopped()
        && !limit.left().is_zero()
    {
        match socket.read(&mut portion) {
            Ok(0) => break,
            Ok(bytes) => head.extend_from_slice(&portion[..bytes]),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(head)
}

fn is_complete(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n") || head.windows(2).any(|end| end == b"\n\n")
}

/// Reads the head of a response. The new URL gets the login of the request unless it has its own.
fn read(head: &[u8], asked: &Url, login: &(String, Option<String>)) -> Redirect {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines().map(str::trim_end).skip_while(|line| line.is_empty());
    let status = lines.next().and_then(|line| line.split_whitespace().nth(1));
    match status.and_then(|status| status.parse().ok()) {
        Some(300..=399u16) => {}
        Some(401) => return Redirect::WantsLogin,
        _ => return Redirect::Unusable,
    }
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    };
    let Some(location) = lines.take_while(|line| !line.is_empty()).find_map(field) else {
        return Redirect::Unusable;
    };
    let Ok(mut location) = asked.join(&location) else { return Redirect::Unusable };
    if !matches!(location.scheme(), "rtsp" | "rtsps") || location.host().is_none() {
        return Redirect::Unusable;
    }
    let (user, password) = login;
    if location.username().is_empty() && location.password().is_none() && !user.is_empty() {
        let kept =
            location.set_username(user).and_then(|()| location.set_password(password.as_deref()));
        if kept.is_err() {
            return Redirect::Unusable;
        }
    }
    Redirect::To(location.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(head: &str) -> Redirect {
        let asked = Url::parse("rtsp://10.0.0.2:8554/live/a?b").unwrap();
        read(head.as_bytes(), &asked, &("u%40".into(), Some("p".into())))
    }

    fn to(location: &str) -> Redirect {
        redirect(&format!("RTSP/1.0 302 Moved\r\nCSeq: 1\r\nlocation : {location}\r\n\r\n"))
    }

    #[test]
    fn locations_are_urls_or_paths() {
        let is = |location: &str, expected: &str| {
            assert_eq!(to(location), Redirect::To(expected.into()), "{location}");
        };
        is("rtsp://10.0.0.3/x", "rtsp://u%40:p@10.0.0.3/x");
        is("rtsp://other:pw@cam.example:1/x", "rtsp://other:pw@cam.example:1/x");
        is("rtsps://10.0.0.3/x", "rtsps://u%40:p@10.0.0.3/x");
        is("/real", "rtsp://u%40:p@10.0.0.2:8554/real");
    }

    #[test]
    fn unusable_redirects() {
        assert_eq!(to("http://10.0.0.3/x"), Redirect::Unusable);
        assert_eq!(to("rtsp://[bad"), Redirect::Unusable);
        assert_eq!(redirect("RTSP/1.0 302 Moved\r\n\r\n"), Redirect::Unusable);
        assert_eq!(redirect("RTSP/1.0 200 OK\r\nLocation: rtsp://a/b\r\n\r\n"), Redirect::Unusable);
        assert_eq!(redirect("RTSP/1.0 401 Unauthorized\r\n\r\n"), Redirect::WantsLogin);
        assert_eq!(redirect(""), Redirect::Unusable);
        assert_eq!(
            redirect("RTSP/1.0 301 x\r\n\r\nLocation: rtsp://a/b"),
            Redirect::Unusable,
            "the location is in the body"
        );
    }

    #[test]
    fn a_head_ends_at_an_empty_line() {
        assert!(
            is_complete(b"a\r\nb\r\n\r\n") && is_complete(b"a\n\n") && !is_complete(b"a\r\nb\r\n")
        );
    }
}
