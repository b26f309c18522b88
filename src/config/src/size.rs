//! Amounts of storage as people write them: `500MiB`, `2TB`.

use std::fmt;

/// Why a string is no amount of storage.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{typed:?} is no amount of storage; expected a whole number above 0 and one of MB, GB, TB, MiB, GiB, \
     TiB, such as \"500GiB\""
)]
pub(crate) struct SizeError {
    typed: String,
}

const UNITS: [(&str, u64); 6] = [
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Parses a whole number above 0 and a unit, into bytes.
///
/// # Errors
/// Any other form, or more bytes than 64 bits can count.
pub(crate) fn parse(typed: &str) -> Result<u64, SizeError> {
    let bytes = || {
        let (number, unit) = typed.split_at(typed.find(|c: char| !c.is_ascii_digit())?);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
        number.parse::<u64>().ok()?.checked_mul(*factor).filter(|&bytes| bytes > 0)
    };
    bytes().ok_or_else(|| SizeError { typed: typed.into() })
}

/// Prints bytes in the form that [`parse`] reads, in the largest unit without a remainder.
#[derive(Debug, Clone, Copy)]
pub struct Words(pub u64);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole =
            UNITS.iter().filter(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match whole.max_by_key(|(_, factor)| *factor) {
            Some((name, factor)) => write!(f, "{}{name}", self.0 / factor),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_numbers_with_a_unit() {
        assert_eq!(parse("500MB"), Ok(500_000_000));
        assert_eq!(parse("2 GiB"), Ok(2 << 30));
        assert_eq!(parse("1TiB"), Ok(1 << 40));
    }

    #[test]
    fn refuses_other_forms() {
        for bad in ["", "5", "GB", "0GB", "-1GB", "1.5GB", "5gb", "5GB x", "99999999TiB"] {
            let words = parse(bad).unwrap_err().to_string();
            assert!(words.contains("is no amount of storage; expected a whole number"), "{words}");
        }
    }

    #[test]
    fn words_read_back() {
        for words in ["500MB", "2GiB", "3TB", "1536MiB"] {
            assert_eq!(Words(parse(words).unwrap()).to_string(), words);
        }
        assert_eq!(Words(5).to_string(), "5 bytes");
    }
}
