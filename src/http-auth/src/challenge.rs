//! Parses the challenges of a `WWW-Authenticate` field (RFC 9110, section 11).
//!
//! Accepts more than the grammar, since cameras send it: parameters without commas between them, unquoted values that
//! are not tokens, a quoted string without an end. No input is an error.

/// A scheme and its parameters, whose names are converted to lower case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    pub(crate) parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The first parameter of this name.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(known, _)| known == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// The first parameter of this name that is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(known, _)| known == name);
        named.find(|(_, value)| !value.is_empty()).map(|(_, value)| value.as_str())
    }
}

const BLANK: [char; 2] = [' ', '\t'];

/// The challenges of one field value, or of several joined by commas.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return found;
        }
        let (word, behind) = split(rest, &[' ', '\t', ',', '=', '"']);
        if let Some(value) = behind.trim_start_matches(BLANK).strip_prefix('=') {
            let (value, behind) = take_value(value.trim_start_matches(BLANK));
            rest = behind;
            if let Some(challenge) = found.last_mut() {
                challenge.parameters.push((word.to_ascii_lowercase(), value));
            }
        } else if word.is_empty() {
            // A quoted string without a name.
            rest = take_value(rest).1;
        } else {
            found.push(Challenge { scheme: word.to_owned(), parameters: Vec::new() });
            // The two known schemes have no token68, but may have a parameter with an empty value.
            let known = ["digest", "basic"].iter().any(|known| word.eq_ignore_ascii_case(known));
            rest = if known { behind } else { skip_token68(behind) };
        }
    }
}

/// Splits before the first of `ends`.
fn split<'a>(text: &'a str, ends: &[char]) -> (&'a str, &'a str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = split(text, &[' ', '\t', ',']);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut left = quoted.chars();
    while let Some(char) = left.next() {
        match char {
            '"' => break,
            '\\' => value.extend(left.next()),
            char => value.push(char),
        }
    }
    (value, left.as_str())
}

/// What follows a scheme's token68; all of `text` if there is none.
fn skip_token68(text: &str) -> &str {
    let is_part = |char: char| char.is_ascii_alphanumeric() || "-._~+/".contains(char);
    let token = text.trim_start_matches(BLANK);
    let behind = token.trim_start_matches(is_part).trim_start_matches('=');
    let next = behind.trim_start_matches(BLANK);
    if token.len() < text.len() && (next.is_empty() || next.starts_with(',')) { next } else { text }
}
