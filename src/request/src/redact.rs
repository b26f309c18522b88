//! Removes secrets from text before it is logged or reported.

const MASK: &str = "***";

/// Query keys with which cameras accept their password, compared in lower case.
const SECRET_KEYS: [&str; 6] = ["password=", "passwd=", "pass=", "pwd=", "token=", "secret="];

/// Masks the secrets in a URL, or in a log line that contains URLs.
///
/// These are the userinfo of every `scheme://user:pass@host`, the values of keys such as
/// `password=`, and everything after `Authorization:`. In doubt it masks more rather than less:
/// a password with an unescaped `/` or `@` is masked too.
///
/// ```
/// assert_eq!(vas_request::redact("rtsp://admin:12@cam/live"), "rtsp://***@cam/live");
/// ```
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let word = &after[..after.find(is_word_end).unwrap_or(after.len())];
        let secret = userinfo_len(word);
        if secret > 0 {
            out.push_str(MASK);
        }
        rest = &after[secret..];
    }
    out.push_str(rest);
    mask_authorization(mask_keys(out))
}

/// How many bytes before the `@` to mask, in the text after `://`.
fn userinfo_len(word: &str) -> usize {
    let Some(last_at) = word.rfind('@') else { return 0 };
    let authority = &word[..word.find(['/', '?', '#']).unwrap_or(word.len())];
    if authority.contains('@') {
        return last_at;
    }
    // The `@` comes after the authority. In `host:554/a@b` it is part of the path; in
    // `user:pa/ss@host` it follows a password that should have been percent-encoded.
    match authority.rsplit_once(':') {
        Some((_, port)) if !port.bytes().all(|byte| byte.is_ascii_digit()) => {
            if authority.starts_with('[') && authority.ends_with(']') { 0 } else { last_at }
        }
        _ => 0,
    }
}

fn mask_keys(text: String) -> String {
    // ASCII lower case keeps every byte offset.
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(value) = next_secret_value(&lower, from) {
        let end = lower[value..]
            .find(|c: char| c == '&' || is_word_end(c))
            .map_or(lower.len(), |length| value + length);
        out.push_str(&text[from..value]);
        if end > value {
            out.push_str(MASK);
        }
        from = end;
    }
    out.push_str(&text[from..]);
    out
}

/// Where the value of the first secret key at or after `from` begins.
fn next_secret_value(lower: &str, from: usize) -> Option<usize> {
    SECRET_KEYS
        .iter()
        .filter_map(|key| lower[from..].find(key).map(|at| from + at + key.len()))
        .min()
}

fn mask_authorization(mut text: String) -> String {
    const HEADER: &str = "authorization:";
    if let Some(at) = text.to_ascii_lowercase().find(HEADER) {
        text.truncate(at + HEADER.len());
        text.push(' ');
        text.push_str(MASK);
    }
    text
}

fn is_word_end(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn userinfo_is_masked() {
        for (text, masked) in [
            ("rtsp://u:p@h/a", "rtsp://***@h/a"),
            ("rtsp://u@h:554/a", "rtsp://***@h:554/a"),
            ("rtsp://u:p@ss@h/a", "rtsp://***@h/a"),
            ("rtsp://u:pa/ss@h/a", "rtsp://***@h/a"),
            ("rtsp://u:p@s/s@h/a", "rtsp://***@h/a"),
            ("rtsps://u:p@[::1]:322/a", "rtsps://***@[::1]:322/a"),
            ("a rtsp://u:p@h then http://x:y@z.", "a rtsp://***@h then http://***@z."),
            ("'rtsp://u:p@h'", "'rtsp://***@h'"),
        ] {
            assert_eq!(redact(text), masked);
        }
    }

    #[test]
    fn text_without_secrets_is_unchanged() {
        for text in [
            "",
            "no url @ all",
            "rtsp://h/a",
            "rtsp://h:554/stream@1",
            "rtsp://[::1]/stream@1",
            "rtsp://[fe80::a]:554/stream@1",
            "/dev/video0",
            "://",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn secrets_in_queries_are_masked() {
        assert_eq!(
            redact("rtsp://h/user=a&password=b&channel=1"),
            "rtsp://h/user=a&password=***&channel=1"
        );
        assert_eq!(redact("rtsp://h/?Pwd=x y"), "rtsp://h/?Pwd=*** y");
    }

    #[test]
    fn credentials_in_headers_are_masked() {
        assert_eq!(redact("Authorization: Basic dTpw"), "Authorization: ***");
    }

    #[test]
    fn other_alphabets_are_preserved() {
        assert_eq!(redact("Kamera Süd rtsp://ü:ß@h/ä"), "Kamera Süd rtsp://***@h/ä");
    }
}
