//! Packs NAL units into RTP payloads: single, aggregated (STAP-A) or fragmented (FU-A), RFC 6184 5.6 to 5.8.

/// Most bytes in an RTP packet. MediaSoup keeps no packet above 1500 for retransmission, and WebRTC's own limit is
/// 1200.
pub const MAX_PACKET: usize = 1200;
/// Length of an RTP header without extension or contributing sources.
pub(crate) const HEADER: usize = 12;
const MAX_PAYLOAD: usize = MAX_PACKET - HEADER;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;
/// `nal_ref_idc` and the forbidden bit of a NAL unit's header.
const IMPORTANCE: u8 = 0xe0;

/// How far the NAL units of an access unit have been sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    /// The next unit.
    unit: usize,
    /// Bytes of it that have been sent in fragments.
    sent: usize,
}

impl Cursor {
    /// Whether all of `count` units have been sent.
    pub(crate) fn is_past(&self, count: usize) -> bool {
        self.unit >= count
    }

    /// Writes the next payload into `packet`, after the space for the header, and returns its length. `unit` returns
    /// one of `count` NAL units by its index; none is empty.
    pub(crate) fn next<'a>(
        &mut self,
        count: usize,
        unit: impl Fn(usize) -> &'a [u8],
        packet: &mut [u8; MAX_PACKET],
    ) -> usize {
        let payload = &mut packet[HEADER..];
        let first = unit(self.unit);
        if self.sent > 0 || first.len() > MAX_PAYLOAD {
            return self.fragment(first, payload);
        }
        let fits = self.aggregate(count, &unit);
        if fits == 1 {
            self.unit += 1;
            payload[..first.len()].copy_from_slice(first);
            return first.len();
        }
        let mut at = 1;
        let mut importance = 0;
        for index in self.unit..self.unit + fits {
            let unit = unit(index);
            importance = importance.max(unit[0] & IMPORTANCE);
            let length = u16::try_from(unit.len()).unwrap_or(u16::MAX).to_be_bytes();
            payload[at..at + 2].copy_from_slice(&length);
            payload[at + 2..at + 2 + unit.len()].copy_from_slice(unit);
            at += 2 + unit.len();
        }
        payload[0] = importance | STAP_A;
        self.unit += fits;
        at
    }

    /// How many units from the next one on fit into one packet.
    fn aggregate<'a>(&self, count: usize, unit: &impl Fn(usize) -> &'a [u8]) -> usize {
        let mut bytes = 1;
        let fitting = (self.unit..count).take_while(|index| {
            bytes += 2 + unit(*index).len();
            bytes <= MAX_PAYLOAD
        });
        fitting.count().max(1)
    }

    fn fragment(&mut self, unit: &[u8], payload: &mut [u8]) -> usize {
        // The NAL unit's header is not sent; two bytes in each fragment replace it.
        let body = &unit[1..];
        let left = &body[self.sent..];
        let length = left.len().min(MAX_PAYLOAD - 2);
        let start = if self.sent == 0 { FU_START } else { 0 };
        let end = if length == left.len() { FU_END } else { 0 };
        payload[0] = unit[0] & IMPORTANCE | FU_A;
        payload[1] = start | end | unit[0] & 0x1f;
        payload[2..2 + length].copy_from_slice(&left[..length]);
        if end == 0 {
            self.sent += length;
        } else {
            self.unit += 1;
            self.sent = 0;
        }
        length + 2
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The NAL units that a receiver reads from payloads. Panics on a violation of RFC 6184.
    pub(crate) fn depacketize(payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut units: Vec<Vec<u8>> = Vec::new();
        let mut open = false;
        for payload in payloads {
            assert!(payload.len() <= MAX_PAYLOAD);
            match payload[0] & 0x1f {
                STAP_A => {
                    let mut rest = &payload[1..];
                    while let [high, low, more @ ..] = rest {
                        let (unit, more) =
                            more.split_at(usize::from(u16::from_be_bytes([*high, *low])));
                        units.push(unit.to_vec());
                        rest = more;
                    }
                }
                FU_A => {
                    let (indicator, header) = (payload[0], payload[1]);
                    assert_eq!(header & FU_START != 0, !open, "one start for each unit");
                    assert_ne!(header & (FU_START | FU_END), FU_START | FU_END, "RFC 6184, 5.8");
                    if !open {
                        units.push(vec![indicator & IMPORTANCE | header & 0x1f]);
                    }
                    units.last_mut().unwrap().extend_from_slice(&payload[2..]);
                    open = header & FU_END == 0;
                }
                1..24 => units.push(payload.clone()),
                other => panic!("payload of type {other}"),
            }
        }
        assert!(!open);
        units
    }

    fn packetize(units: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut cursor = Cursor::default();
        let mut packet = [0; MAX_PACKET];
        let mut payloads = Vec::new();
        while !cursor.is_past(units.len()) {
            let length = cursor.next(units.len(), |index| &units[index], &mut packet);
            payloads.push(packet[HEADER..HEADER + length].to_vec());
        }
        payloads
    }

    fn unit(header: u8, length: usize) -> Vec<u8> {
        (0..length).map(|at| if at == 0 { header } else { at as u8 }).collect()
    }

    #[test]
    fn small_units_are_aggregated_and_large_ones_fragmented() {
        let units = [unit(0x67, 20), unit(0x68, 4), unit(0x65, 3000)];
        let payloads = packetize(&units);
        assert_eq!(payloads.iter().map(|p| p[0] & 0x1f).collect::<Vec<_>>(), [24, 28, 28, 28]);
        assert_eq!(depacketize(&payloads), units);
    }

    #[test]
    fn units_close_to_the_packet_size() {
        for length in [MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 2 * (MAX_PAYLOAD - 2) + 1] {
            let units = [unit(0x41, length)];
            let payloads = packetize(&units);
            assert_eq!(depacketize(&payloads), units, "{length}");
            assert_eq!(payloads.len(), if length <= MAX_PAYLOAD { 1 } else { 2 }, "{length}");
        }
    }

    proptest! {
        #[test]
        fn depacketizing_reverses_packetizing(
            shapes in prop::collection::vec((1u8..24, 0u8..4, 1usize..4000), 1..12)
        ) {
            let units: Vec<_> =
                shapes.iter().map(|(kind, importance, length)| unit(importance << 5 | kind, *length)).collect();
            prop_assert_eq!(depacketize(&packetize(&units)), units);
        }
    }
}
