//! RTCP from the receiver: requests for key frames and reception reports.

use rtcp_types::{
    Compound, Fir, Packet, PayloadFeedback, Pli, ReceiverReport, ReportBlock, SenderReport,
};

/// The requests and reports in one RTCP datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// Picture loss indications (RFC 4585, 6.3.1).
    pub pli: u32,
    /// Full intra requests (RFC 5104, 4.3.1), without repetitions.
    pub fir: u32,
    /// The reception report, if there is one.
    pub reception: Option<Reception>,
}

/// A receiver's report on the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception {
    /// Packets lost since reception began.
    pub lost: u32,
    /// Share of packets lost since the last report, in 256ths.
    pub fraction_lost: u8,
}

impl Feedback {
    /// Whether the receiver requests a key frame.
    pub fn wants_key_frame(&self) -> bool {
        self.pli + self.fir > 0
    }
}

/// Reads the RTCP that concerns one SSRC.
#[derive(Debug)]
pub(crate) struct Reader {
    ssrc: u32,
    last_fir: Option<u8>,
}

impl Reader {
    pub(crate) fn new(ssrc: u32) -> Self {
        Self { ssrc, last_fir: None }
    }

    /// Reads a datagram. Ignores unknown packet types, as RFC 3550 6.1 requires.
    pub(crate) fn read(&mut self, datagram: &[u8]) -> Feedback {
        let mut feedback = Feedback::default();
        let Ok(compound) = Compound::parse(datagram) else { return feedback };
        for packet in compound.flatten() {
            match packet {
                Packet::PayloadFeedback(payload) => self.payload(&payload, &mut feedback),
                Packet::Rr(report) => self.receiver(&report, &mut feedback),
                Packet::Sr(report) => self.sender(&report, &mut feedback),
                _ => {}
            }
        }
        feedback
    }

    fn payload(&mut self, payload: &PayloadFeedback<'_>, feedback: &mut Feedback) {
        if payload.parse_fci::<Pli<'_>>().is_ok() {
            // Some receivers leave the media SSRC at 0; the socket carries only one stream.
            if payload.media_ssrc() == self.ssrc || payload.media_ssrc() == 0 {
                feedback.pli += 1;
            }
            return;
        }
        let Ok(fir) = payload.parse_fci::<Fir<'_>>() else { return };
        // RFC 5104, 4.3.1.2: the header's media SSRC is 0; each entry names its SSRC.
        for entry in fir.entries().filter(|entry| entry.ssrc() == self.ssrc) {
            if self.last_fir != Some(entry.sequence()) {
                self.last_fir = Some(entry.sequence());
                feedback.fir += 1;
            }
        }
    }

    fn receiver(&self, report: &ReceiverReport<'_>, feedback: &mut Feedback) {
        report.report_blocks().for_each(|block| self.block(&block, feedback));
    }

    fn sender(&self, report: &SenderReport<'_>, feedback: &mut Feedback) {
        report.report_blocks().for_each(|block| self.block(&block, feedback));
    }

    fn block(&self, block: &ReportBlock<'_>, feedback: &mut Feedback) {
        if block.ssrc() == self.ssrc {
            let lost = block.cumulative_lost();
            feedback.reception = Some(Reception { lost, fraction_lost: block.fraction_lost() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rtcp_types::prelude::*;
    use rtcp_types::{FirBuilder, RtcpWriteError};

    const SSRC: u32 = 0x1234_5678;

    fn bytes(packet: &impl RtcpPacketWriterExt) -> Result<Vec<u8>, RtcpWriteError> {
        let mut bytes = vec![0; 512];
        let length = packet.write_into(&mut bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    fn pli(media: u32) -> Vec<u8> {
        bytes(&PayloadFeedback::builder(&Pli::builder()).sender_ssrc(9).media_ssrc(media)).unwrap()
    }

    fn fir(entries: &[(u32, u8)]) -> Vec<u8> {
        let mut builder: FirBuilder = Fir::builder();
        for (ssrc, sequence) in entries {
            builder = builder.add_ssrc(*ssrc, *sequence);
        }
        bytes(&PayloadFeedback::builder(&builder).sender_ssrc(9).media_ssrc(0)).unwrap()
    }

    #[test]
    fn only_picture_losses_of_this_stream_count() {
        let mut reader = Reader::new(SSRC);
        assert_eq!(reader.read(&pli(SSRC)).pli, 1);
        assert_eq!(reader.read(&pli(0)).pli, 1);
        assert_eq!(reader.read(&pli(5)), Feedback::default());
    }

    #[test]
    fn full_intra_requests_for_this_stream_count_once() {
        let mut reader = Reader::new(SSRC);
        assert_eq!(reader.read(&fir(&[(5, 0)])).fir, 0);
        assert_eq!(reader.read(&fir(&[(5, 0), (SSRC, 0)])).fir, 1);
        assert_eq!(reader.read(&fir(&[(SSRC, 0)])).fir, 0, "a repetition");
        assert_eq!(reader.read(&fir(&[(SSRC, 1)])).fir, 1);
    }

    #[test]
    fn every_packet_of_a_compound_is_read() {
        let block = ReportBlock::builder(SSRC).cumulative_lost(3).fraction_lost(64);
        let report = bytes(&ReceiverReport::builder(9).add_report_block(block)).unwrap();
        let datagram = [report, pli(SSRC), pli(SSRC)].concat();
        let feedback = Reader::new(SSRC).read(&datagram);
        assert_eq!(feedback.pli, 2);
        assert_eq!(feedback.reception, Some(Reception { lost: 3, fraction_lost: 64 }));
        assert!(feedback.wants_key_frame());
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_without_a_panic(datagram: Vec<u8>, kind in 200u8..208) {
            let mut reader = Reader::new(SSRC);
            reader.read(&datagram);
            // The same with a valid header.
            let mut datagram = datagram;
            datagram.resize(datagram.len().div_ceil(4) * 4 + 4, 0);
            let words = u16::try_from(datagram.len() / 4 - 1).unwrap().to_be_bytes();
            datagram[..4].copy_from_slice(&[0x81, kind, words[0], words[1]]);
            reader.read(&datagram);
        }
    }
}
