//! AAC over RTP (RFC 3640, mode AAC-hbr, the only one that retina accepts a description of). Pure.
//!
//! For the sound beside JPEG, whose packets are not taken apart by retina.

use std::collections::VecDeque;
use std::time::Instant;

/// An access unit has 13 bits for its size.
const MOST_BYTES: usize = 1 << 13;

/// An access unit.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) data: Vec<u8>,
    pub(super) ticks: i64,
    pub(super) received: Instant,
}

/// Takes packets apart, and puts units together that are spread over several.
#[derive(Debug, Default)]
pub(super) struct Depacketiser {
    ready: VecDeque<Unit>,
    /// A unit of which parts have come, and its size.
    torn: Option<(Unit, usize)>,
}

impl Depacketiser {
    pub(super) fn pull(&mut self) -> Option<Unit> {
        self.ready.pop_front()
    }

    /// Takes the next packet; `duration` is that of a unit, in ticks.
    ///
    /// # Errors
    /// What makes no sense, in words. Units before it can be pulled.
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
            self.torn = None;
        }
        let mut ticks = ticks;
        for header in headers.chunks_exact(2) {
            // Behind the size, 3 bits of an index, which is 0 where units are in order.
            let size = usize::from(u16::from_be_bytes([header[0], header[1]]) >> 3);
            if let Some((unit, whole)) = &mut self.torn
                && unit.ticks == ticks
                && *whole == size
            {
                unit.data.extend(data);
                data = &[];
                if unit.data.len() >= size {
                    self.ready.extend(self.torn.take().map(|(unit, _)| unit));
                }
                continue;
            }
            self.torn = None;
            let (own, rest) = data.split_at_checked(size).unwrap_or((data, &[]));
            let unit = Unit { data: own.to_vec(), ticks, received };
            match own.len() {
                length if length == size && length > 0 => self.ready.push_back(unit),
                _ if headers.len() == 2 && size < MOST_BYTES => self.torn = Some((unit, size)),
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
        let mut depacketiser = Depacketiser::default();
        for (payload, ticks, lost) in packets {
            let _ = depacketiser.push(payload, (*ticks, 1024), Instant::now(), *lost);
        }
        std::iter::from_fn(|| depacketiser.pull()).map(|unit| (unit.data, unit.ticks)).collect()
    }

    #[test]
    fn units_of_a_packet_follow_each_other_in_time() {
        let packet = [0, 32, 0, 2 << 3, 0, 1 << 3, 7, 8, 9];
        assert_eq!(units(&[(&packet, 50, false)]), [(vec![7, 8], 50), (vec![9], 50 + 1024)]);
    }

    #[test]
    fn a_unit_may_be_spread_over_packets() {
        let part = |bytes: &[u8]| [&[0, 16, 0, 3 << 3], bytes].concat();
        let (one, two) = (part(&[1, 2]), part(&[3]));
        assert_eq!(units(&[(&one, 0, false), (&two, 0, false)]), [(vec![1, 2, 3], 0)]);
        assert_eq!(units(&[(&one, 0, false), (&two, 0, true)]), []);
        assert_eq!(units(&[(&one, 0, false), (&two, 9, false)]), []);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut depacketiser = Depacketiser::default();
        for payload in [&[][..], &[0], &[0, 16, 0], &[0, 32, 0, 8, 0, 8, 1], &[0, 16, 0, 0]] {
            let done = depacketiser.push(payload, (0, 1024), Instant::now(), false);
            assert!(done.is_err() || payload == [0, 16, 0, 0], "{payload:?}");
        }
    }
}
