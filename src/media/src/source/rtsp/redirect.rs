//! Where a camera sends its clients (RFC 2326, 11.3): retina says that it does, not where to.
//!
//! FFmpeg's client would follow, without a limit: a camera that sends its clients to itself was asked thousands of
//! times a second.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use url::Url;

use super::Limit;
use crate::stop::StopFlag;

/// How many places are asked after each other.
pub(super) const MAX_HOPS: usize = 5;

/// How long the camera may take: it answered the same question a moment ago.
const ANSWER: Duration = Duration::from_secs(2);
/// How often the stop flag is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// More than a head has ever had.
const MAX_HEAD: usize = 16 << 10;

/// What the camera says of its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// To be asked there.
    Elsewhere(String),
    /// It tells only who has logged in.
    WantsLogin,
    /// Nothing that can be followed.
    Nowhere,
}

/// Asks the camera at `address` once more for the description of `url`, and reads the head of its answer.
pub(super) fn ask(url: &str, address: IpAddr, limit: &Limit, stop: &StopFlag) -> Answer {
    let Ok(mut bare) = Url::parse(url) else { return Answer::Nowhere };
    let login = (bare.username().to_owned(), bare.password().map(str::to_owned));
    if bare.set_password(None).and_then(|()| bare.set_username("")).is_err() {
        return Answer::Nowhere;
    }
    let at = SocketAddr::new(address, bare.port().unwrap_or(554));
    match head(&bare, at, &limit.at_most(ANSWER), stop) {
        Ok(head) => read(&head, &bare, &login),
        Err(error) => {
            tracing::debug!("asking where the camera sends its clients: {error}");
            Answer::Nowhere
        }
    }
}

fn head(url: &Url, at: SocketAddr, limit: &Limit, stop: &StopFlag) -> std::io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect_timeout(&at, limit.left().max(LOOK))?;
    socket.set_read_timeout(Some(LOOK))?;
    socket.set_write_timeout(Some(ANSWER))?;
    let agent = concat!("vas/", env!("CARGO_PKG_VERSION"));
    write!(
        socket,
        "DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: {agent}\r\nAccept: application/sdp\r\n\r\n"
    )?;
    let mut head = Vec::new();
    let mut portion = [0; 1024];
    while !is_whole(&head) && head.len() < MAX_HEAD && !stop.is_stopped() && !limit.left().is_zero()
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

fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n") || head.windows(2).any(|end| end == b"\n\n")
}

/// What a head says. The place keeps the login that the camera was asked with, unless it has one itself.
fn read(head: &[u8], asked: &Url, login: &(String, Option<String>)) -> Answer {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines().map(str::trim_end).skip_while(|line| line.is_empty());
    let status = lines.next().and_then(|line| line.split_whitespace().nth(1));
    match status.and_then(|status| status.parse().ok()) {
        Some(300..=399u16) => {}
        Some(401) => return Answer::WantsLogin,
        _ => return Answer::Nowhere,
    }
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    };
    let Some(place) = lines.take_while(|line| !line.is_empty()).find_map(field) else {
        return Answer::Nowhere;
    };
    let Ok(mut place) = asked.join(&place) else { return Answer::Nowhere };
    if !matches!(place.scheme(), "rtsp" | "rtsps") || place.host().is_none() {
        return Answer::Nowhere;
    }
    let (user, password) = login;
    if place.username().is_empty() && place.password().is_none() && !user.is_empty() {
        let kept = place.set_username(user).and_then(|()| place.set_password(password.as_deref()));
        if kept.is_err() {
            return Answer::Nowhere;
        }
    }
    Answer::Elsewhere(place.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(head: &str) -> Answer {
        let asked = Url::parse("rtsp://10.0.0.2:8554/live/a?b").unwrap();
        read(head.as_bytes(), &asked, &("u%40".into(), Some("p".into())))
    }

    fn to(location: &str) -> Answer {
        place(&format!("RTSP/1.0 302 Moved\r\nCSeq: 1\r\nlocation : {location}\r\n\r\n"))
    }

    #[test]
    fn places_are_whole_or_a_path() {
        let is = |location: &str, expected: &str| {
            assert_eq!(to(location), Answer::Elsewhere(expected.into()), "{location}");
        };
        is("rtsp://10.0.0.3/x", "rtsp://u%40:p@10.0.0.3/x");
        is("rtsp://other:pw@cam.example:1/x", "rtsp://other:pw@cam.example:1/x");
        is("rtsps://10.0.0.3/x", "rtsps://u%40:p@10.0.0.3/x");
        is("/real", "rtsp://u%40:p@10.0.0.2:8554/real");
    }

    #[test]
    fn what_can_not_be_followed_leads_nowhere() {
        assert_eq!(to("http://10.0.0.3/x"), Answer::Nowhere);
        assert_eq!(to("rtsp://[bad"), Answer::Nowhere);
        assert_eq!(place("RTSP/1.0 302 Moved\r\n\r\n"), Answer::Nowhere);
        assert_eq!(place("RTSP/1.0 200 OK\r\nLocation: rtsp://a/b\r\n\r\n"), Answer::Nowhere);
        assert_eq!(place("RTSP/1.0 401 Unauthorized\r\n\r\n"), Answer::WantsLogin);
        assert_eq!(place(""), Answer::Nowhere);
        assert_eq!(
            place("RTSP/1.0 301 x\r\n\r\nLocation: rtsp://a/b"),
            Answer::Nowhere,
            "a body is no head"
        );
    }

    #[test]
    fn a_head_ends_at_an_empty_line() {
        assert!(is_whole(b"a\r\nb\r\n\r\n") && is_whole(b"a\n\n") && !is_whole(b"a\r\nb\r\n"));
    }
}
