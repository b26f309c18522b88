//! How much of an unclosed file can be played. Pure except for reading.
//!
//! A fragmented MP4 file is a list of boxes (ISO/IEC 14496-12, 4.2): what a player must know
//! (`ftyp`, `moov`), then for each fragment its index (`moof`) and its data (`mdat`). It is
//! playable up to its last complete pair.

use std::io::{self, Read, Seek, SeekFrom};

/// The complete part of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Whole {
    /// Length from its start.
    pub(super) bytes: u64,
    /// Fragments in that length.
    pub(super) fragments: u64,
}

/// Walks the boxes of a file.
///
/// # Errors
/// Those of reading; a truncated file is none.
pub(super) fn whole(file: &mut (impl Read + Seek)) -> io::Result<Whole> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut whole = Whole::default();
    let mut at = 0;
    let (mut described, mut indexed) = (false, false);
    while let Some((kind, size)) = header(file, at, length)? {
        let end = at + size;
        match &kind {
            b"moov" => described = true,
            b"moof" => indexed = true,
            b"mdat" if described && indexed => {
                indexed = false;
                whole = Whole { bytes: end, fragments: whole.fragments + 1 };
            }
            // The index over all fragments, with which a closed file ends.
            b"mfra" if !indexed => whole.bytes = end,
            _ => {}
        }
        at = end;
    }
    Ok(whole)
}

/// The kind and size of the box at `at`; `None` if no complete box is there. Zeros, with which a
/// file can end after a power cut, are no box either.
fn header(
    file: &mut (impl Read + Seek),
    at: u64,
    length: u64,
) -> io::Result<Option<([u8; 4], u64)>> {
    let left = length - at;
    if left < 8 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(at))?;
    let mut head = [0; 8];
    file.read_exact(&mut head)?;
    let [a, b, c, d, kind @ ..] = head;
    let mut size = u64::from(u32::from_be_bytes([a, b, c, d]));
    let mut least = 8;
    if size == 1 && left >= 16 {
        let mut large = [0; 8];
        file.read_exact(&mut large)?;
        (size, least) = (u64::from_be_bytes(large), 16);
    }
    Ok((least..=left).contains(&size).then_some((kind, size)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn boxed(kind: &[u8; 4], body: usize) -> Vec<u8> {
        let size = u32::try_from(8 + body).unwrap();
        [&size.to_be_bytes()[..], kind, &vec![7; body]].concat()
    }

    fn of(bytes: &[u8]) -> (u64, u64) {
        let Whole { bytes, fragments } = whole(&mut Cursor::new(bytes)).unwrap();
        (bytes, fragments)
    }

    #[test]
    fn it_ends_with_the_last_whole_fragment_wherever_it_is_cut() {
        let head = [boxed(b"ftyp", 20), boxed(b"moov", 100)].concat();
        let fragment = [boxed(b"moof", 30), boxed(b"mdat", 50)].concat();
        let file = [&head[..], &fragment, &fragment].concat();
        let (start, length) = (head.len() as u64, fragment.len() as u64);
        for cut in 0..=file.len() {
            let fragments = (cut as u64).saturating_sub(start) / length;
            let bytes = if fragments == 0 { 0 } else { start + fragments * length };
            assert_eq!(of(&file[..cut]), (bytes, fragments), "{cut}");
        }
        let closed = [&file[..], &boxed(b"mfra", 40)].concat();
        assert_eq!(of(&closed), (closed.len() as u64, 2));
    }

    #[test]
    fn what_is_no_such_file_has_nothing_whole() {
        let fragment = [boxed(b"moof", 30), boxed(b"mdat", 50)].concat();
        assert_eq!(of(&fragment), (0, 0));
        assert_eq!(of(&[0; 4096]), (0, 0));
        assert_eq!(of(b"text that is long enough to have a box"), (0, 0));
    }

    #[test]
    fn zeros_and_large_sizes_end_it() {
        let file = [boxed(b"moov", 9), boxed(b"moof", 9), boxed(b"mdat", 9)].concat();
        let whole = file.len() as u64;
        assert_eq!(of(&[&file[..], &[0; 100]].concat()), (whole, 1));
        let huge = [&file[..], &1u32.to_be_bytes(), b"mdat", &u64::MAX.to_be_bytes()].concat();
        assert_eq!(of(&huge), (whole, 1));
        let wide = [
            &file[..],
            &boxed(b"moof", 2),
            &1u32.to_be_bytes(),
            b"mdat",
            &17u64.to_be_bytes(),
            &[1],
        ];
        assert_eq!(of(&wide.concat()), (whole + 10 + 17, 2));
    }
}
