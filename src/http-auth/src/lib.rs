//! Digest (RFC 7616, 2617, 2069) and Basic (RFC 7617) authentication, in place of the crates.io package `http-auth` in
//! retina, because that one answers SHA-256 without `qop` and `auth-int` wrongly.
//!
//! Written from the RFCs; it has what retina uses and no more. Of several challenges (RFC 9110, section 11) it answers
//! the strongest that it supports: Digest before Basic, SHA-256 and SHA-512-256 before MD5, otherwise the first.
//!
//! ```
//! let offered = r#"Basic realm="cam", Digest realm="cam", nonce="4f2a", algorithm=SHA-256, qop="auth""#;
//! let mut login = http_auth::PasswordClient::try_from(offered)?;
//! let answer = login.respond(&http_auth::PasswordParams {
//!     username: "admin",
//!     password: "secret",
//!     uri: "rtsp://10.0.0.2/live",
//!     method: "DESCRIBE",
//!     body: Some(&[]),
//! })?;
//! assert!(answer.starts_with(r#"Digest username="admin", realm="cam", nonce="4f2a""#));
//! # Ok::<(), http_auth::Error>(())
//! ```

#![forbid(unsafe_code)]

mod basic;
mod challenge;
mod digest;

use std::fmt;

/// One login: the challenge to answer, and how often its nonce was used.
#[derive(Debug)]
pub struct PasswordClient(Scheme);

#[derive(Debug)]
enum Scheme {
    Basic,
    Digest(Box<digest::Digest>),
}

/// Everything that an answer depends on besides the challenge.
#[derive(Clone, Copy)]
pub struct PasswordParams<'a> {
    /// The plain user name, neither quoted nor encoded.
    pub username: &'a str,
    /// The plain password.
    pub password: &'a str,
    /// The URI in the request line.
    pub uri: &'a str,
    /// The method in the request line.
    pub method: &'a str,
    /// The request's body, which only `qop=auth-int` needs; empty if the request has none.
    pub body: Option<&'a [u8]>,
}

impl TryFrom<&str> for PasswordClient {
    type Error = Error;

    /// Chooses a challenge from the value of a `WWW-Authenticate` field, or of several joined by commas.
    fn try_from(header: &str) -> Result<Self, Error> {
        let mut best: Option<(u8, Scheme)> = None;
        let mut refused = Vec::new();
        for offered in challenge::parse(header) {
            let (rank, scheme) = if offered.scheme.eq_ignore_ascii_case("Digest") {
                match digest::Digest::new(&offered, digest::random()?) {
                    Ok(digest) => (digest.strength(), Scheme::Digest(Box::new(digest))),
                    Err(reason) => {
                        refused.push(format!("Digest ({reason})"));
                        continue;
                    }
                }
            } else if offered.scheme.eq_ignore_ascii_case("Basic") {
                (0, Scheme::Basic)
            } else {
                refused.push(offered.scheme);
                continue;
            };
            if best.as_ref().is_none_or(|(before, _)| rank > *before) {
                best = Some((rank, scheme));
            }
        }
        let (_, scheme) = best.ok_or(Error::NoneKnown { offered: refused.join(", ") })?;
        Ok(Self(scheme))
    }
}

impl PasswordClient {
    /// The value of the `Authorization` field for one request, in printable ASCII.
    ///
    /// # Errors
    /// The login or the request has something that the scheme can't carry.
    pub fn respond(&mut self, params: &PasswordParams<'_>) -> Result<String, Error> {
        let answer = match &mut self.0 {
            Scheme::Basic => basic::answer(params)?,
            Scheme::Digest(digest) => digest.answer(params)?,
        };
        match answer.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            true => Ok(answer),
            false => Err(Error::Unprintable),
        }
    }
}

/// Why a login can't be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No challenge is supported.
    NoneKnown {
        /// The offered schemes; for a Digest, also what is not supported in it.
        offered: String,
    },
    /// Basic can't carry a colon in the user name, or control characters.
    NotForBasic,
    /// `qop=auth-int`, and the body is not known.
    NoBody,
    /// A value has a character that a header field can't have.
    Unprintable,
    /// The nonce was used 2^32 - 1 times.
    UsedUp,
    /// The system returned no random bytes.
    NoRandom,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoneKnown { offered } => {
                let (some, what) = if offered.is_empty() {
                    ("no login", String::new())
                } else {
                    ("only ", offered.chars().take(200).collect())
                };
                write!(
                    f,
                    "the camera offers {some}{what}; supported are Basic, and Digest with MD5, SHA-256 or \
                     SHA-512-256, each with or without -sess, and qop auth, auth-int or none"
                )
            }
            Self::NotForBasic => f.write_str(
                "the camera offers only Basic, which allows no colon in the user name and no control characters; \
                 choose another user name or password",
            ),
            Self::NoBody => {
                f.write_str("the camera requires qop=auth-int, and the body of the request is not known")
            }
            Self::Unprintable => f.write_str(
                "the camera's challenge or the request's URI has characters other than printable ASCII, which \
                 an answer can't carry",
            ),
            Self::UsedUp => f.write_str("the camera's nonce was used 2^32 - 1 times; log in again"),
            Self::NoRandom => f.write_str("the system returned no random bytes for a login"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
