//! Digest (RFC 7616), including the older forms of RFC 2617 and RFC 2069.

use std::fmt::Write as _;

use md5::Md5;
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest as _, Sha256, Sha512_256};

use crate::challenge::Challenge;
use crate::{Error, PasswordParams};

/// A supported challenge, with the state to answer it.
#[derive(Debug)]
pub(crate) struct Digest {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    hash: Hash,
    /// `-sess`: the secret includes nonce and cnonce.
    session: bool,
    /// The algorithm as the camera writes it, if it names one.
    algorithm: Option<String>,
    qop: Option<Qop>,
    userhash: bool,
    cnonce: String,
    used: u32,
}

#[derive(Debug)]
struct Qop {
    /// As the camera writes it.
    name: String,
    body: bool,
}

impl Digest {
    /// # Errors
    /// The part of the challenge that is not supported, for a message.
    pub(crate) fn new(challenge: &Challenge, cnonce: String) -> Result<Self, String> {
        let text = |name| challenge.get(name).map(str::to_owned);
        let algorithm = text("algorithm");
        let name = algorithm.as_deref().unwrap_or("MD5").to_ascii_lowercase();
        let plain = name.strip_suffix("-sess");
        let hash = Hash::named(plain.unwrap_or(&name))
            .ok_or_else(|| format!("algorithm {}", algorithm.as_deref().unwrap_or_default()))?;
        let qop = match challenge.get("qop") {
            None => None,
            Some(offered) => {
                let named = |wanted| {
                    let mut each = offered.split(',').map(str::trim);
                    each.find(|name| name.eq_ignore_ascii_case(wanted)).map(str::to_owned)
                };
                let auth = named("auth").map(|name| Qop { name, body: false });
                let int = || named("auth-int").map(|name| Qop { name, body: true });
                Some(auth.or_else(int).ok_or_else(|| format!("qop {offered}"))?)
            }
        };
        Ok(Self {
            // A challenge must have a realm, but FFmpeg answers those without one, so this does, too.
            realm: text("realm").unwrap_or_default(),
            nonce: text("nonce").ok_or("no nonce")?,
            // Returned unchanged, even if empty (3.4).
            opaque: challenge.first("opaque").map(str::to_owned),
            hash,
            session: plain.is_some(),
            algorithm,
            qop,
            userhash: challenge.get("userhash").is_some_and(|is| is.eq_ignore_ascii_case("true")),
            cnonce,
            used: 0,
        })
    }

    /// Ranks challenges: the one with the highest rank is answered. Basic has 0.
    pub(crate) fn strength(&self) -> u8 {
        if self.hash == Hash::Md5 { 1 } else { 2 }
    }

    pub(crate) fn answer(&mut self, params: &PasswordParams<'_>) -> Result<String, Error> {
        let h = |parts: &[&str]| self.hash.of(parts);
        let mut secret = h(&[params.username, &self.realm, params.password]);
        if self.session {
            secret = h(&[&secret, &self.nonce, &self.cnonce]);
        }
        let action = match &self.qop {
            Some(Qop { body: true, .. }) => {
                let body = self.hash.of_bytes(params.body.ok_or(Error::NoBody)?);
                h(&[params.method, params.uri, &body])
            }
            _ => h(&[params.method, params.uri]),
        };
        self.used = self.used.checked_add(1).ok_or(Error::UsedUp)?;
        let count = format!("{:08x}", self.used);
        let response = match &self.qop {
            Some(Qop { name, .. }) => {
                h(&[&secret, &self.nonce, &count, &self.cnonce, name, &action])
            }
            None => h(&[&secret, &self.nonce, &action]),
        };

        // The parameters are in the order of FFmpeg's client, which cameras are known to accept, and quoted as RFC
        // 7616, section 3.4, requires.
        let mut answer = format!(
            "Digest {}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            self.user(params.username),
            quoted(&self.realm),
            quoted(&self.nonce),
            quoted(params.uri),
        );
        let mut add = |name: &str, value: &str| {
            let _ = write!(answer, ", {name}={value}");
        };
        if let Some(algorithm) = &self.algorithm {
            add("algorithm", algorithm);
        }
        if let Some(opaque) = &self.opaque {
            add("opaque", &quoted(opaque));
        }
        if let Some(qop) = &self.qop {
            add("qop", &qop.name);
            add("nc", &count);
        }
        // RFC 2617 forbids a cnonce without qop, but a camera can't check a -sess without one.
        if self.qop.is_some() || self.session {
            add("cnonce", &quoted(&self.cnonce));
        }
        if self.userhash {
            add("userhash", "true");
        }
        Ok(answer)
    }

    /// The parameter with the user name: hashed, quoted or encoded.
    fn user(&self, name: &str) -> String {
        if self.userhash {
            format!("username=\"{}\"", self.hash.of(&[name, &self.realm]))
        } else if name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            format!("username={}", quoted(name))
        } else {
            // RFC 8187, since retina sends only ASCII in headers.
            let mut text = String::from("username*=UTF-8''");
            for byte in name.bytes() {
                let _ = match byte {
                    b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => write!(text, "{}", char::from(byte)),
                    _ => write!(text, "%{byte:02X}"),
                };
            }
            text
        }
    }
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The hash of a Digest algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
    Sha512_256,
}

impl Hash {
    /// The hash with this name, in lower case and without `-sess`.
    fn named(name: &str) -> Option<Self> {
        match name {
            "md5" => Some(Self::Md5),
            "sha-256" => Some(Self::Sha256),
            "sha-512-256" => Some(Self::Sha512_256),
            _ => None,
        }
    }

    /// H(a:b:...) of RFC 7616, in lower-case hexadecimal digits.
    fn of(self, parts: &[&str]) -> String {
        self.of_bytes(parts.join(":").as_bytes())
    }

    fn of_bytes(self, bytes: &[u8]) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(bytes)),
            Self::Sha256 => hex(&Sha256::digest(bytes)),
            Self::Sha512_256 => hex(&Sha512_256::digest(bytes)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 128 random bits in hexadecimal digits, for a cnonce.
pub(crate) fn random() -> Result<String, Error> {
    let mut bytes = [0; 16];
    let got = rustix::io::retry_on_intr(|| getrandom(&mut bytes, GetRandomFlags::empty()));
    if got == Ok(bytes.len()) { Ok(hex(&bytes)) } else { Err(Error::NoRandom) }
}
