//! NAL units of H.264 and H.265, as packets carry them. Pure.

/// How NAL units follow each other in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Start codes `00 00 01` (H.264 and H.265, annex B).
    AnnexB,
    /// A length of so many bytes before each (ISO/IEC 14496-15).
    Length(u8),
}

impl Framing {
    /// What `extradata` says: a decoder configuration record begins with its version 1, parameter sets with
    /// a start code. `length_at` is where the record keeps the size of lengths.
    pub(crate) fn of(extradata: &[u8], length_at: usize) -> Self {
        match extradata.first() {
            Some(1) => Self::Length(extradata.get(length_at).map_or(4, |byte| (byte & 0b11) + 1)),
            _ => Self::AnnexB,
        }
    }
}

/// The NAL units of a packet, in order, without what frames them. What is cut off at the packet's end is
/// given out as far as it goes.
pub(crate) fn nals(data: &[u8], framing: Framing) -> impl Iterator<Item = &[u8]> {
    let mut rest = match framing {
        Framing::AnnexB => after_start_code(data),
        Framing::Length(_) => Some(data),
    };
    std::iter::from_fn(move || {
        let data = rest?;
        let (nal, next) = match framing {
            Framing::AnnexB => match start_code(data) {
                Some(at) => (&data[..at], Some(&data[at + 3..])),
                None => (data, None),
            },
            Framing::Length(bytes) => {
                let (prefix, data) = data.split_at_checked(usize::from(bytes))?;
                let length = prefix.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                let (nal, data) = data.split_at(length.min(data.len()));
                (nal, Some(data))
            }
        };
        rest = next;
        Some(nal)
    })
    .filter(|nal| !nal.is_empty())
}

fn after_start_code(data: &[u8]) -> Option<&[u8]> {
    start_code(data).map(|at| &data[at + 3..])
}

/// Where `00 00 01` begins. Looks at every third byte where it can.
fn start_code(data: &[u8]) -> Option<usize> {
    let mut at = 2;
    while let Some(&byte) = data.get(at) {
        match byte {
            0 => at += 1,
            1 if data[at - 1] == 0 && data[at - 2] == 0 => return Some(at - 2),
            _ => at += 3,
        }
    }
    None
}

/// The bytes of a NAL unit without its emulation prevention (`03` after `00 00`).
pub(super) fn unescaped(nal: &[u8]) -> impl Iterator<Item = u8> {
    let mut zeros = 0;
    nal.iter().copied().filter(move |&byte| {
        let prevention = zeros >= 2 && byte == 3;
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        !prevention
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(data: &[u8], framing: Framing) -> Vec<&[u8]> {
        nals(data, framing).collect()
    }

    #[test]
    fn start_codes_of_three_and_four_bytes() {
        let data = [0, 0, 0, 1, 0x67, 9, 0, 0, 1, 0x68, 0, 0, 0, 1, 0x65, 1, 0, 2];
        let found = list(&data, Framing::AnnexB);
        // The zero of a longer start code is a trailing zero of the unit before it.
        assert_eq!(found, [&[0x67, 9][..], &[0x68, 0], &[0x65, 1, 0, 2]]);
        assert!(list(&[7, 7, 7], Framing::AnnexB).is_empty());
        assert!(list(&[0, 0, 1], Framing::AnnexB).is_empty());
    }

    #[test]
    fn every_place_of_a_start_code_is_found() {
        for before in 0..9 {
            let mut data = vec![0, 0, 1, 9];
            data.extend(std::iter::repeat_n(5, before));
            data.extend([0, 0, 1, 8]);
            assert_eq!(list(&data, Framing::AnnexB).last(), Some(&&[8][..]), "{before}");
        }
    }

    #[test]
    fn lengths() {
        let data = [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 9, 0x41];
        assert_eq!(list(&data, Framing::Length(4)), [&[0x65, 1][..], &[0x41]]);
        assert_eq!(list(&[1, 7, 1, 8], Framing::Length(1)), [[7], [8]]);
        assert!(list(&[0, 0], Framing::Length(4)).is_empty());
    }

    #[test]
    fn extradata_tells_the_framing() {
        assert_eq!(Framing::of(&[], 4), Framing::AnnexB);
        assert_eq!(Framing::of(&[0, 0, 0, 1, 0x67], 4), Framing::AnnexB);
        assert_eq!(Framing::of(&[1, 77, 0, 30, 0xff], 4), Framing::Length(4));
        assert_eq!(Framing::of(&[1, 77, 0, 30, 0xfd], 4), Framing::Length(2));
    }

    #[test]
    fn emulation_prevention_is_taken_out() {
        let plain: Vec<_> = unescaped(&[1, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3]).collect();
        assert_eq!(plain, [1, 0, 0, 1, 0, 0, 0, 0, 3]);
    }
}
