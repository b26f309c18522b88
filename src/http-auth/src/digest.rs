//! Digest: RFC 7616, and what it took over from RFC 2617 and RFC 2069.

use std::fmt::Write as _;

use crate::challenge::Challenge;
use crate::hash::Hash;
use crate::{Error, PasswordParams};

/// A challenge that can be answered.
#[derive(Debug)]
pub(crate) struct Digest {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    hash: Hash,
    /// `-sess`: the secret is bound to nonce and cnonce.
    session: bool,
    /// The algorithm as the camera writes it, where it names one.
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
    /// What is not known of the challenge, in words.
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
            // A challenge must have a realm; FFmpeg answers those without, so this does, too.
            realm: text("realm").unwrap_or_default(),
            nonce: text("nonce").ok_or("no nonce")?,
            opaque: text("opaque"),
            hash,
            session: plain.is_some(),
            algorithm,
            qop,
            userhash: challenge.get("userhash").is_some_and(|is| is.eq_ignore_ascii_case("true")),
            cnonce,
            used: 0,
        })
    }

    /// Which of several challenges is to be answered: more is better. Basic has 0.
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

        // The parameters stand in the order of FFmpeg's client, which every camera has seen, and are quoted or
        // not as RFC 7616, section 3.4, has it.
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

    /// The parameter that names the user, in the one of three forms that fits.
    fn user(&self, name: &str) -> String {
        if self.userhash {
            format!("username=\"{}\"", self.hash.of(&[name, &self.realm]))
        } else if name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            format!("username={}", quoted(name))
        } else {
            // RFC 8187; a header that retina sends holds nothing but ASCII.
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
