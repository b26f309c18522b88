//! Writes sender reports (RFC 3550, 6.4.1) with the CNAME that must accompany them.

use rtcp_types::prelude::*;
use rtcp_types::{Compound, RtcpWriteError, Sdes, SdesChunk, SdesItem, SenderReport};

/// Time between reports. RFC 3550 asks for 5 s in a whole session, but a receiver needs the first report before it
/// can synchronize pictures or request key frames.
pub(crate) const EVERY_NS: u64 = 1_000_000_000;
/// Length of a report with the longest CNAME that SDES allows.
pub(crate) const MAX_REPORT: usize = 28 + 12 + 256;

/// Seconds from 1900, NTP's epoch, to 1970.
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

/// The contents of a report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) ssrc: u32,
    pub(crate) cname: &'a str,
    pub(crate) unix_ns: u64,
    pub(crate) timestamp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

impl Report<'_> {
    /// Writes the report as a compound packet and returns its length.
    pub(crate) fn write(&self, into: &mut [u8]) -> Result<usize, RtcpWriteError> {
        let report = SenderReport::builder(self.ssrc)
            .ntp_timestamp(ntp(self.unix_ns))
            .rtp_timestamp(self.timestamp)
            .packet_count(self.packets)
            .octet_count(self.octets);
        let name = SdesItem::builder(SdesItem::CNAME, self.cname);
        let names = Sdes::builder().add_chunk(SdesChunk::builder(self.ssrc).add_item(name));
        Compound::builder().add_packet(report).add_packet(names).write_into(into)
    }
}

/// An NTP timestamp of 32.32 bits, which omits the era.
fn ntp(unix_ns: u64) -> u64 {
    let seconds = unix_ns / 1_000_000_000 + NTP_TO_UNIX_S;
    let fraction = ((unix_ns % 1_000_000_000) << 32) / 1_000_000_000;
    seconds << 32 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtcp_types::Packet;

    #[test]
    fn ntp_counts_from_1900() {
        assert_eq!(ntp(0), 2_208_988_800 << 32);
        assert_eq!(ntp(1_500_000_000), 2_208_988_801 << 32 | 1 << 31);
    }

    #[test]
    fn a_report_parses() {
        let report = Report {
            ssrc: 7,
            cname: "vas-gate",
            unix_ns: 0,
            timestamp: 90_000,
            packets: 5,
            octets: 600,
        };
        let mut bytes = [0; MAX_REPORT];
        let length = report.write(&mut bytes).unwrap();
        let packets: Vec<_> =
            Compound::parse(&bytes[..length]).unwrap().collect::<Result<_, _>>().unwrap();
        let [Packet::Sr(sent), Packet::Sdes(names)] = &packets[..] else {
            panic!("{packets:?}");
        };
        assert_eq!((sent.ssrc(), sent.rtp_timestamp()), (7, 90_000));
        assert_eq!((sent.packet_count(), sent.octet_count()), (5, 600));
        let chunk = names.chunks().next().unwrap();
        assert_eq!(chunk.items().next().unwrap().value(), b"vas-gate");
    }

    #[test]
    fn the_longest_name_fits() {
        let cname = "x".repeat(255);
        let report =
            Report { ssrc: 7, cname: &cname, unix_ns: 0, timestamp: 0, packets: 0, octets: 0 };
        report.write(&mut [0; MAX_REPORT]).unwrap();
    }
}
