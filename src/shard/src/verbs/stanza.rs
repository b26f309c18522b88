//! The config stanza that `vas try` prints, without the password in it.

use std::fmt;

use vas_config::{CameraUrl, transport};
use vas_media::{RtspClient, Transport, redact};

/// The variable that replaces a typed password.
pub(super) const PASSWORD_VARIABLE: &str = "CAMERA_PASSWORD";

/// A `[[camera]]` to paste.
#[derive(Debug)]
pub(super) struct Stanza {
    url: String,
    transport: Transport,
    rtsp_client: RtspClient,
    /// Whether the password was removed.
    pub(super) hides_password: bool,
}

impl Stanza {
    /// The stanza for `url`, which was typed as `typed`.
    pub(super) fn new(
        typed: &str,
        url: &CameraUrl,
        transport: Transport,
        rtsp_client: RtspClient,
    ) -> Self {
        // A user who typed a variable has protected the secret.
        let as_typed = typed.contains("${");
        let url = match url {
            CameraUrl::Rtsp(_) if as_typed => typed.to_owned(),
            _ => without_secrets(&url.to_secret_string().replace('$', "$$")),
        };
        let hides_password = !as_typed && url.contains(&placeholder());
        Self { url, transport, rtsp_client, hides_password }
    }
}

impl fmt::Display for Stanza {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[[camera]]")?;
        writeln!(f, "id = \"camera1\"")?;
        writeln!(f, "url = {}", toml::Value::from(self.url.as_str()))?;
        match self.transport {
            Transport::Auto => {}
            chosen => writeln!(f, "transport = \"{}\"", transport::word(chosen))?,
        }
        match self.rtsp_client {
            RtspClient::Auto => Ok(()),
            chosen => writeln!(f, "rtsp_client = \"{}\"", chosen.name()),
        }
    }
}

/// Replaces the password of an RTSP URL by a variable, wherever it is.
fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let login_and_host = authority.rsplit_once('@').and_then(|(login, host)| {
        let (user, _) = login.split_once(':')?;
        Some(format!("{user}:{}@{host}", placeholder()))
    });
    let authority = login_and_host.as_deref().unwrap_or(authority);
    format!("{scheme}://{authority}{}", without_named_secrets(path))
}

/// Does the same for `password=` and the like in a path or query: whatever messages mask must be
/// removed.
fn without_named_secrets(path: &str) -> String {
    const MASK: &str = "***";
    match redact(path) {
        masked if masked != path && !path.contains(MASK) => masked.replace(MASK, &placeholder()),
        _ => path.into(),
    }
}

fn placeholder() -> String {
    format!("${{{PASSWORD_VARIABLE}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn stanza(typed: &str, meant: &str) -> Stanza {
        let url = CameraUrl::parse(meant, Path::new("/home/me")).unwrap();
        Stanza::new(typed, &url, Transport::Auto, RtspClient::Auto)
    }

    fn url_line(typed: &str) -> String {
        stanza(typed, typed).to_string().lines().nth(2).unwrap().to_owned()
    }

    #[test]
    fn the_password_becomes_a_variable() {
        let stanza = stanza("rtsp://admin:s3:c@cam:554/a", "rtsp://admin:s3:c@cam:554/a");
        assert!(stanza.hides_password);
        assert_eq!(
            stanza.to_string(),
            "[[camera]]\nid = \"camera1\"\nurl = \"rtsp://admin:${CAMERA_PASSWORD}@cam:554/a\"\n"
        );
        assert_eq!(
            url_line("rtsp://cam/user=a&password=b&channel=1"),
            "url = \"rtsp://cam/user=a&password=${CAMERA_PASSWORD}&channel=1\""
        );
    }

    #[test]
    fn other_parts_of_a_url_stay() {
        for url in ["rtsp://cam/a", "rtsp://admin@cam/a@b", "testsrc:64x48@25"] {
            assert!(!stanza(url, url).hides_password, "{url}");
            assert_eq!(url_line(url), format!("url = \"{url}\""));
        }
        assert_eq!(url_line("clip.mp4"), "url = \"/home/me/clip.mp4\"");
    }

    #[test]
    fn a_typed_variable_is_kept() {
        let typed = "rtsp://admin:${GATE_PASSWORD}@cam/a";
        let stanza = stanza(typed, "rtsp://admin:s3cret@cam/a");
        assert!(!stanza.hides_password);
        assert!(stanza.to_string().contains(&format!("url = \"{typed}\"")), "{stanza}");
    }

    #[test]
    fn the_config_reads_it_back() {
        for url in ["rtsp://cam/a$b", "/srv/a\"b\\c.mp4"] {
            let text = stanza(url, url).to_string();
            let parsed: toml::Table = text.parse().unwrap();
            let read = parsed["camera"][0]["url"].as_str().unwrap();
            assert_eq!(read, url.replace('$', "$$"));
        }
    }

    #[test]
    fn a_chosen_transport_and_client_are_kept() {
        let url = CameraUrl::parse("rtsp://cam/a", Path::new("/")).unwrap();
        let stanza = Stanza::new("rtsp://cam/a", &url, Transport::Udp, RtspClient::Ffmpeg);
        let text = stanza.to_string();
        assert!(text.ends_with("transport = \"udp\"\nrtsp_client = \"ffmpeg\"\n"), "{text}");
    }
}
