//! Suggests the word that was probably meant.

/// Similarity (Jaro-Winkler, 0 to 1) from which a word is suggested; the same threshold that clap
/// uses for its own suggestions.
const WORTH_SAYING: f64 = 0.7;

/// Returns the one of `words` most similar to `typed`, if any is similar enough.
pub fn nearest<'w>(typed: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    words
        .into_iter()
        .map(|word| (strsim::jaro_winkler(typed, word), word))
        .filter(|(similarity, _)| *similarity > WORTH_SAYING)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_the_word_that_was_meant() {
        let keys = ["id", "url", "transport", "decode", "connect_timeout", "read_timeout"];
        assert_eq!(nearest("transprot", keys), Some("transport"));
        assert_eq!(nearest("uri", keys), Some("url"));
        assert_eq!(nearest("readtimeout", keys), Some("read_timeout"));
        assert_eq!(nearest("decoder", keys), Some("decode"));
        assert_eq!(nearest("zzz", keys), None);
    }
}
