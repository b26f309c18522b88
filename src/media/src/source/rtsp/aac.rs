//! Depacketizes AAC over RTP (RFC 3640, mode AAC-hbr, the only one whose description retina accepts). Pure.
//!
//! Used with Motion JPEG, because retina then leaves depacketizing to this crate.

use std::collections::VecDeque;
use std::time::Instant;

/// The size field of an access unit has 13 bits.
const MOST_BYTES: usize = 1 << 13;

/// An access unit.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) data: Vec<u8>,
    pub(super) ticks: i64,
    pub(super) received: Instant,
}

/// Splits packets into access units, and joins fragmented ones.
#[derive(Debug, Default)]
pub(super) struct Depacketizer {
    ready: VecDeque<Unit>,
    /// A unit that is not complete yet, and its size.
    partial: Option<(Unit, usize)>,
}

impl Depacketizer {
    pub(super) fn pull(&mut self) -> Option<Unit> {
        self.ready.pop_front()
    }

    /// Takes the next packet; `duration` is that of a unit, in ticks.
    ///
    /// # Errors
    /// The packet is invalid; the message says how. Units before the error can still be pulled.
    pub(super) fn push(
        &mut self,
        payload: &[u8],
        (ticks, duration): (i64, u32),
        received: Instant,
        lost: bool,
    ) -> Result<(), &'static str> {
        let cut = "an AAC packet that ends in its headers";
        let (bits, rest) = payload.split_first_chunk::<2>().ok_or(cut)?;
        let bytes = usize::from(u16::from_be_bytes(*bits)).div_ceil(8);
        let (headers, mut data) = rest.split_at_checked(bytes).ok_or(cut)?;
        if lost {
            self.partial = None;
        }
        let mut ticks = ticks;
        for header in headers.chunks_exact(2) {
            // After the size there are 3 bits of an index, which is 0 if units are in order.
            let size = usize::from(u16::from_be_bytes([header[0], header[1]]) >> 3);
            if let Some((unit, total)) = &mut self.partial
                && unit.ticks == ticks
                && *total == size
            {
                unit.data.extend(data);
                data = &[];
                if unit.data.len() >= size {
                    self.ready.extend(self.partial.take().map(|(unit, _)| unit));
                }
                continue;
            }
            self.partial = None;
            let (own, rest) = data.split_at_checked(size).unwrap_or((data, &[]));
            let unit = Unit { data: own.to_vec(), ticks, received };
            match own.len() {
                length if length == size && length > 0 => self.ready.push_back(unit),
                _ if headers.len() == 2 && size < MOST_BYTES => self.partial = Some((unit, size)),
                _ => return Err("an AAC packet that is shorter than its units"),
            }
            data = rest;
            ticks += i64::from(duration);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(packets: &[(&[u8], i64, bool)]) -> Vec<(Vec<u8>, i64)> {
        let mut depacketizer = Depacketizer::default();
        for (payload, ticks, lost) in packets {
            let _ = depacketizer.push(payload, (*ticks, 1024), Instant::now(), *lost);
        }
        std::iter::from_fn(|| depacketizer.pull()).map(|unit| (unit.data, unit.ticks)).collect()
    }

    #[test]
    fn units_of_a_packet_follow_each_other_in_time() {
        let packet = [0, 32, 0, 2 << 3, 0, 1 << 3, 7, 8, 9];
        assert_eq!(units(&[(&packet, 50, false)]), [(vec![7, 8], 50), (vec![9], 50 + 1024)]);
    }

    #[test]
    fn fragmented_units_are_joined() {
        let part = |bytes: &[u8]| [&[0, 16, 0, 3 << 3], bytes].concat();
        let (one, two) = (part(&[1, 2]), part(&[3]));
        assert_eq!(units(&[(&one, 0, false), (&two, 0, false)]), [(vec![1, 2, 3], 0)]);
        assert_eq!(units(&[(&one, 0, false), (&two, 0, true)]), []);
        assert_eq!(units(&[(&one, 0, false), (&two, 9, false)]), []);
    }

    #[test]
    fn invalid_packets_are_refused() {
        let mut depacketizer = Depacketizer::default();
        for payload in [&[][..], &[0], &[0, 16, 0], &[0, 32, 0, 8, 0, 8, 1], &[0, 16, 0, 0]] {
            let done = depacketizer.push(payload, (0, 1024), Instant::now(), false);
            assert!(done.is_err() || payload == [0, 16, 0, 0], "{payload:?}");
        }
    }
}
