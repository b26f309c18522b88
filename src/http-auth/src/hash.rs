//! The hashes that Digest knows, and its random bytes.

use md5::Md5;
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256, Sha512_256};

use crate::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Md5,
    Sha256,
    Sha512_256,
}

impl Hash {
    /// By its name in lower case, without `-sess`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "md5" => Some(Self::Md5),
            "sha-256" => Some(Self::Sha256),
            "sha-512-256" => Some(Self::Sha512_256),
            _ => None,
        }
    }

    /// H of the parts with colons between them, in lower-case hexadecimal digits.
    pub(crate) fn of(self, parts: &[&str]) -> String {
        self.of_bytes(parts.join(":").as_bytes())
    }

    pub(crate) fn of_bytes(self, bytes: &[u8]) -> String {
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

/// 128 random bits in hexadecimal digits.
pub(crate) fn random() -> Result<String, Error> {
    let mut bytes = [0; 16];
    let got = rustix::io::retry_on_intr(|| getrandom(&mut bytes, GetRandomFlags::empty()));
    if got == Ok(bytes.len()) { Ok(hex(&bytes)) } else { Err(Error::NoRandom) }
}
