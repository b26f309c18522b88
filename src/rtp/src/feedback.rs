//! What the receiver sends back: requests for key frames, and how much arrived.

use rtcp_types::{
    Compound, Fir, Packet, PayloadFeedback, Pli, ReceiverReport, ReportBlock, SenderReport,
};

/// What one datagram of RTCP asked for and reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// Picture loss indications (RFC 4585, 6.3.1).
    pub pli: u32,
    /// Full intra requests (RFC 5104, 4.3.1) that are no repetition.
    pub fir: u32,
    /// How much arrived, when it says so.
    pub reception: Option<Reception>,
}

/// A receiver's report on us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception {
    /// Packets lost since the receiver began.
    pub lost: u32,
    /// Of the last packets, how many of 256 were lost.
    pub fraction_lost: u8,
}

impl Feedback {
    /// Whether a key frame is asked for.
    pub fn wants_key_frame(&self) -> bool {
        self.pli + self.fir > 0
    }
}

/// Reads RTCP about one SSRC.
#[derive(Debug)]
pub(crate) struct Reader {
    ssrc: u32,
    last_fir: Option<u8>,
}

impl Reader {
    pub(crate) fn new(ssrc: u32) -> Self {
        Self { ssrc, last_fir: None }
    }

    /// Reads a datagram; what is not understood is left out, as RFC 3550 6.1 asks.
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
            // Some senders leave the media's SSRC at 0; the socket has one stream only.
            if payload.media_ssrc() == self.ssrc || payload.media_ssrc() == 0 {
                feedback.pli += 1;
            }
            return;
        }
        let Ok(fir) = payload.parse_fci::<Fir<'_>>() else { return };
        // RFC 5104, 4.3.1.2: the header's media SSRC is 0, and each entry has its own.
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
    use rtcp_types::{FirBuilder, ReportBlockBuilder, RtcpWriteError};

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
    fn a_loss_is_for_us_or_for_nobody_else() {
        let mut reader = Reader::new(SSRC);
        assert_eq!(reader.read(&pli(SSRC)).pli, 1);
        assert_eq!(reader.read(&pli(0)).pli, 1);
        assert_eq!(reader.read(&pli(5)), Feedback::default());
    }

    #[test]
    fn a_full_intra_request_names_us_itself_and_is_counted_once() {
        let mut reader = Reader::new(SSRC);
        assert_eq!(reader.read(&fir(&[(5, 0)])).fir, 0);
        assert_eq!(reader.read(&fir(&[(5, 0), (SSRC, 0)])).fir, 1);
        assert_eq!(reader.read(&fir(&[(SSRC, 0)])).fir, 0, "a repetition");
        assert_eq!(reader.read(&fir(&[(SSRC, 1)])).fir, 1);
    }

    #[test]
    fn a_compound_is_read_whole() {
        let block = ReportBlockBuilder::default_for(SSRC);
        let report = bytes(&ReceiverReport::builder(9).add_report_block(block)).unwrap();
        let datagram = [report, pli(SSRC), pli(SSRC)].concat();
        let feedback = Reader::new(SSRC).read(&datagram);
        assert_eq!(feedback.pli, 2);
        assert_eq!(feedback.reception, Some(Reception { lost: 3, fraction_lost: 64 }));
        assert!(feedback.wants_key_frame());
    }

    trait ForTests {
        fn default_for(ssrc: u32) -> ReportBlockBuilder;
    }

    impl ForTests for ReportBlockBuilder {
        fn default_for(ssrc: u32) -> ReportBlockBuilder {
            ReportBlock::builder(ssrc).cumulative_lost(3).fraction_lost(64)
        }
    }

    proptest! {
        #[test]
        fn any_datagram_is_borne(datagram: Vec<u8>, kind in 200u8..208) {
            let mut reader = Reader::new(SSRC);
            reader.read(&datagram);
            // The same with a header that makes sense.
            let mut datagram = datagram;
            datagram.resize(datagram.len().div_ceil(4) * 4 + 4, 0);
            let words = u16::try_from(datagram.len() / 4 - 1).unwrap().to_be_bytes();
            datagram[..4].copy_from_slice(&[0x81, kind, words[0], words[1]]);
            reader.read(&datagram);
        }
    }
}
