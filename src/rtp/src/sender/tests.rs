use rtcp_types::{Compound, Packet};
use rtp_types::RtpPacket;

use super::*;
use crate::packetize::tests::depacketize;

const MS: u64 = 1_000_000;
const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1f, 0x95];
const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
const IDR: &[u8] = &[0x65, 0x88, 0x84];
const P: &[u8] = &[0x41, 0b1100_0000, 0x11];
const B: &[u8] = &[0x01, 0b1010_0000, 0x11];

fn annex_b(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
}

/// A sender, a simulated clock, and what was sent.
struct Rig {
    sender: Sender<Vec<u8>>,
    now_ns: u64,
    packets: Vec<Vec<u8>>,
    reports: Vec<(u64, Vec<u8>)>,
}

impl Rig {
    fn new(from: Continuity) -> Self {
        let identity = Identity { ssrc: 7, payload_type: 96, cname: "vas-gate".into() };
        let mut sender = Sender::new(identity, from);
        sender.begin_stream();
        Self { sender, now_ns: 1000 * MS, packets: Vec::new(), reports: Vec::new() }
    }

    fn push(&mut self, units: &[&[u8]], pts_ms: i64) -> Result<(), Refusal> {
        self.sender.push(AccessUnit {
            data: annex_b(units),
            framing: Framing::AnnexB,
            is_key: units.contains(&IDR),
            pts_ns: Some(pts_ms * MS as i64),
            arrival_ns: self.now_ns,
        })
    }

    /// Advances the clock by `then_ms` and sends everything that falls due.
    fn send(&mut self, then_ms: u64) {
        let until_ns = self.now_ns + then_ms * MS;
        loop {
            match self.sender.poll(Now { monotonic_ns: self.now_ns, unix_ns: self.now_ns }) {
                Poll::Rtp(packet, _) => self.packets.push(packet.to_vec()),
                Poll::Rtcp(report) => self.reports.push((self.now_ns, report.to_vec())),
                Poll::Wait(Some(then_ns)) if then_ns <= until_ns => self.now_ns = then_ns,
                Poll::Wait(_) => break,
            }
        }
        self.now_ns = until_ns;
    }

    fn units(&self) -> Vec<Vec<u8>> {
        let payload = |packet: &Vec<u8>| RtpPacket::parse(packet).unwrap().payload().to_vec();
        depacketize(&self.packets.iter().map(payload).collect::<Vec<_>>())
    }

    fn headers(&self) -> Vec<(u16, u32, bool)> {
        let header = |packet: &Vec<u8>| {
            let packet = RtpPacket::parse(packet).unwrap();
            assert_eq!((packet.ssrc(), packet.payload_type()), (7, 96));
            (packet.sequence_number(), packet.timestamp(), packet.marker_bit())
        };
        self.packets.iter().map(header).collect()
    }
}

#[test]
fn a_key_frame_carries_its_parameter_sets() {
    let mut rig = Rig::new(Continuity::beginning(65_535, 0));
    rig.sender.learn(&annex_b(&[SPS, PPS])).unwrap();
    rig.push(&[&[9, 0x10], IDR], 0).unwrap();
    rig.send(40);
    rig.push(&[P], 40).unwrap();
    rig.send(40);
    let other_sps = [0x67, 0x4d, 0x00, 0x1f, 0x95];
    rig.push(&[&other_sps, PPS, IDR], 80).unwrap();
    rig.send(40);
    assert_eq!(rig.units(), [SPS, PPS, IDR, P, &other_sps, PPS, IDR]);
    let headers = rig.headers();
    assert_eq!(headers.iter().map(|h| h.0).collect::<Vec<_>>(), [65_535, 0, 1], "it wraps");
    let step = headers[1].1.wrapping_sub(headers[0].1);
    assert_eq!(step, 3600, "40 ms of 90 kHz");
    assert!(headers.iter().all(|h| h.2), "each ends a picture");
    assert_eq!(rig.sender.parameters().profile_level_id().unwrap().to_string(), "4d001f");
}

#[test]
fn only_the_last_packet_of_a_picture_has_the_marker_bit() {
    let mut rig = Rig::new(Continuity::beginning(0, 0));
    let large = [IDR, &[0x11; 5000]].concat();
    rig.push(&[SPS, PPS, &large], 0).unwrap();
    rig.send(40);
    let headers = rig.headers();
    assert_eq!(
        headers.iter().map(|h| h.2).collect::<Vec<_>>(),
        [false, false, false, false, false, true]
    );
    assert!(headers.iter().all(|h| h.1 == headers[0].1));
    assert_eq!(rig.units()[2], large);
}

#[test]
fn a_stream_begins_with_parameter_sets_and_a_key_frame() {
    let mut rig = Rig::new(Continuity::beginning(0, 0));
    assert_eq!(rig.push(&[P], 0), Err(Refusal::BeforeKey));
    assert_eq!(rig.push(&[IDR], 0), Err(Refusal::NoParameterSets));
    rig.push(&[SPS, PPS, IDR], 0).unwrap();
    rig.send(40);
    rig.sender.gap();
    assert_eq!(rig.push(&[P], 40), Err(Refusal::BeforeKey));
    rig.push(&[IDR], 80).unwrap();
    rig.send(40);
    assert_eq!(rig.units(), [SPS, PPS, IDR, SPS, PPS, IDR]);
}

#[test]
fn b_frames_are_refused_until_the_next_connection() {
    let mut rig = Rig::new(Continuity::beginning(0, 0));
    rig.push(&[SPS, PPS, IDR], 0).unwrap();
    rig.send(40);
    assert_eq!(rig.push(&[B], 40), Err(Refusal::BFrames));
    assert_eq!(rig.push(&[SPS, PPS, IDR], 80), Err(Refusal::BFrames));
    rig.sender.begin_stream();
    rig.push(&[SPS, PPS, IDR], 0).unwrap();
}

#[test]
fn a_stream_continues_in_another_connection_and_process() {
    let mut rig = Rig::new(Continuity::beginning(10, 99));
    rig.push(&[SPS, PPS, IDR], 500_000).unwrap();
    rig.send(3000);
    rig.sender.begin_stream();
    rig.push(&[SPS, PPS, IDR], 7).unwrap();
    rig.send(2000);

    let mut after = Rig::new(rig.sender.continuity());
    after.now_ns = rig.now_ns;
    after.push(&[SPS, PPS, IDR], 123).unwrap();
    after.send(40);
    rig.packets.append(&mut after.packets);
    let headers = rig.headers();
    assert_eq!(headers.iter().map(|h| h.0).collect::<Vec<_>>(), [10, 11, 12]);
    let steps: Vec<_> = headers.windows(2).map(|pair| pair[1].1.wrapping_sub(pair[0].1)).collect();
    assert_eq!(steps, [3 * 90_000, 2 * 90_000], "the time that passed, and no more");
    assert_eq!(after.sender.continuity().packets, 3);
}

#[test]
fn reports_come_every_second_with_the_timestamp_of_that_time() {
    let mut rig = Rig::new(Continuity::beginning(0, 0));
    rig.send(5000);
    assert!(rig.reports.is_empty(), "nothing to report on yet");
    for picture in 0..100 {
        let units: &[&[u8]] = if picture == 0 { &[SPS, PPS, IDR] } else { &[P] };
        rig.push(units, picture * 40).unwrap();
        rig.send(40);
    }
    assert_eq!(rig.reports.len(), 5);
    for (at_ns, report) in &rig.reports {
        let packets: Vec<_> = Compound::parse(report).unwrap().collect::<Result<_, _>>().unwrap();
        let [Packet::Sr(report), Packet::Sdes(_)] = &packets[..] else { panic!("{packets:?}") };
        // Presentation times advance with the clock here, so both agree.
        assert_eq!(u64::from(report.rtp_timestamp()), at_ns * 9 / 100_000);
    }
    let last = rig.reports.len();
    rig.send(3000);
    assert!(rig.reports.len() >= last + 2, "reports go on without pictures");
}

#[test]
fn a_truncated_picture_is_skipped() {
    let mut rig = Rig::new(Continuity::beginning(0, 0));
    let data = vec![0, 0, 0, 9, 0x65];
    let picture = AccessUnit {
        data,
        framing: Framing::Lengths(4),
        is_key: true,
        pts_ns: None,
        arrival_ns: 1,
    };
    assert_eq!(rig.sender.push(picture), Err(Refusal::Truncated));
    assert!(rig.sender.is_idle());
}
