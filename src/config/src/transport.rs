//! The words for RTSP transports.

use vas_request::Transport;

/// Every transport with its word.
const WORDS: [(&str, Transport); 3] =
    [("auto", Transport::Auto), ("tcp", Transport::Tcp), ("udp", Transport::Udp)];

/// A word that is no transport.
#[derive(Debug, thiserror::Error)]
#[error("{typed:?} is no transport; expected \"auto\", \"tcp\" or \"udp\"")]
pub struct TransportError {
    typed: String,
}

/// The transport for a word.
///
/// # Errors
/// Any word except `auto`, `tcp` and `udp`.
pub fn parse(typed: &str) -> Result<Transport, TransportError> {
    let found = WORDS.iter().find(|(word, _)| *word == typed);
    found.map(|(_, transport)| *transport).ok_or_else(|| TransportError { typed: typed.into() })
}

/// The word for a transport.
pub fn word(transport: Transport) -> &'static str {
    match transport {
        Transport::Auto => "auto",
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for (typed, transport) in WORDS {
            assert_eq!(parse(typed).unwrap(), transport);
            assert_eq!(word(transport), typed);
        }
        assert!(parse("TCP").is_err());
    }
}
