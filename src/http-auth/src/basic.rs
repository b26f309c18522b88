//! Basic (RFC 7617): user name and password in UTF-8, as base64.

use crate::{Error, PasswordParams};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn answer(params: &PasswordParams<'_>) -> Result<String, Error> {
    let (user, password) = (params.username, params.password);
    if user.contains(':') || user.chars().chain(password.chars()).any(char::is_control) {
        return Err(Error::NotForBasic);
    }
    Ok(format!("Basic {}", base64(format!("{user}:{password}").as_bytes())))
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(*group.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}
