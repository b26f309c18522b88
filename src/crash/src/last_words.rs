//! What a dying process writes: 80 bytes at the beginning of a file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::name::MAX_NAME;

/// Magic, signal, thread id, length of the name, the name; numbers in little-endian order.
pub(crate) const LEN: usize = 16 + MAX_NAME + 1;
const MAGIC: [u8; 4] = *b"VASC";

/// What a process wrote as it died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWords {
    /// The signal that its thread received.
    pub signal: i32,
    /// The thread's id.
    pub thread: i32,
    /// The camera that the thread worked for; empty when it had no name.
    pub name: String,
}

impl LastWords {
    /// Reads last words from `file`; `None` when there are none, or none that are valid. Their
    /// writer was dying: look a name up, don't trust it.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(file: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; LEN];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(Self::decode(&bytes)),
        }
    }

    fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        let number = |at: usize| bytes[at..at + 4].try_into().map(i32::from_le_bytes).ok();
        let len = usize::try_from(number(12)?).ok().filter(|len| *len <= MAX_NAME)?;
        let name = std::str::from_utf8(&bytes[16..16 + len]).ok()?;
        (bytes[..4] == MAGIC).then_some(Self {
            signal: number(4)?,
            thread: number(8)?,
            name: name.into(),
        })
    }
}

/// Encodes last words. Async-signal-safe.
pub(crate) fn encode(signal: i32, thread: i32, name: &[u8; MAX_NAME], len: usize) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..8].copy_from_slice(&signal.to_le_bytes());
    bytes[8..12].copy_from_slice(&thread.to_le_bytes());
    bytes[12..16].copy_from_slice(&(len.min(MAX_NAME) as u32).to_le_bytes());
    bytes[16..16 + MAX_NAME].copy_from_slice(name);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_nonsense_is_none() {
        let mut name = [0; MAX_NAME];
        name[..4].copy_from_slice(b"gate");
        let bytes = encode(11, 7, &name, 4);
        let expected = LastWords { signal: 11, thread: 7, name: "gate".into() };
        assert_eq!(LastWords::decode(&bytes), Some(expected));
        for (at, value) in [(0, 0), (12, 64), (15, 0xff), (16, 0xff)] {
            let mut wrong = bytes;
            wrong[at] = value;
            assert_eq!(LastWords::decode(&wrong), None, "byte {at}");
        }
        let file = tempfile::tempfile().unwrap();
        assert_eq!(LastWords::read(&file).unwrap(), None);
    }
}
