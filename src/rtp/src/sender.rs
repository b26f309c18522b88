//! The sender: takes access units and returns datagrams when they are due.

use std::ops::Range;

use rtp_types::RtpPacketBuilder;
use vas_nal::{
    Framing, NalCodec, NalHeader, NalKind, ParameterSets, PictureKind, Slice, SliceType, ranges,
};

use crate::continuity::Continuity;
use crate::feedback::{Feedback, Reader};
use crate::pace::Pacer;
use crate::packetize::{Cursor, HEADER, MAX_PACKET};
use crate::report::{EVERY_NS, MAX_REPORT, Report};
use crate::timeline::Timeline;

/// What identifies the stream to the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Synchronisation source.
    pub ssrc: u32,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Canonical name, at most 255 bytes.
    pub cname: String,
}

/// A coded picture.
#[derive(Clone, Copy, Debug)]
pub struct AccessUnit<B> {
    /// Its NAL units.
    pub data: B,
    /// What separates them.
    pub framing: Framing,
    /// Whether decoding can begin with it.
    pub is_key: bool,
    /// Its presentation time in nanoseconds, on its source's own time line.
    pub pts_ns: Option<i64>,
    /// Its arrival (`CLOCK_MONOTONIC`, nanoseconds).
    pub arrival_ns: u64,
}

/// The current time on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub monotonic_ns: u64,
    /// Nanoseconds since 1970.
    pub unix_ns: u64,
}

/// Why an access unit is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It ends within a NAL unit.
    #[error("it ends within a NAL unit")]
    Truncated,
    /// There was no key frame since the stream began or since a gap.
    #[error("no key frame has come yet")]
    BeforeKey,
    /// The stream has sent no parameter sets.
    #[error("the stream has sent no parameter sets (SPS, PPS)")]
    NoParameterSets,
    /// The stream has pictures that are coded out of order.
    #[error(
        "the stream has B-frames, which WebRTC viewers can't play; switch them off in the camera, or encode \
         the video again with `video = \"h264\"`"
    )]
    BFrames,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Poll<'a> {
    /// Send this over RTP, after storing the stream's state: a successor may skip a sequence number but must never
    /// reuse one.
    Rtp(&'a [u8], Continuity),
    /// Send this over RTCP.
    Rtcp(&'a [u8]),
    /// Nothing before this time (`CLOCK_MONOTONIC`, nanoseconds), or with `None` until the next picture.
    Wait(Option<u64>),
}

/// One RTP stream. Push one access unit at a time, while it [is idle](Self::is_idle).
#[derive(Debug)]
pub struct Sender<B> {
    identity: Identity,
    state: Continuity,
    timeline: Timeline,
    pacer: Pacer,
    reader: Reader,
    parameters: ParameterSets,
    /// Set from a gap until a key frame.
    waits_for_key: bool,
    has_b_frames: bool,
    /// The picture that is being sent.
    sending: Option<AccessUnit<B>>,
    units: Vec<Unit>,
    cursor: Cursor,
    latest: Option<Latest>,
    next_report_ns: u64,
    packet: [u8; MAX_PACKET],
    report: [u8; MAX_REPORT],
}

/// Where the bytes of a NAL unit are: which parameter set, or which part of the picture.
#[derive(Clone, Debug)]
enum Unit {
    Parameters(usize),
    Picture(Range<usize>),
}

/// The picture from which reports derive their timestamp.
#[derive(Clone, Copy, Debug)]
struct Latest {
    media_ns: u64,
    arrival_ns: u64,
}

impl<B: AsRef<[u8]>> Sender<B> {
    /// A sender that continues from the state of another one.
    pub fn new(identity: Identity, from: Continuity) -> Self {
        Self {
            reader: Reader::new(identity.ssrc),
            identity,
            timeline: Timeline::after(from.media_ns),
            state: from,
            pacer: Pacer::default(),
            parameters: ParameterSets::default(),
            waits_for_key: true,
            has_b_frames: false,
            sending: None,
            units: Vec::new(),
            cursor: Cursor::default(),
            latest: None,
            next_report_ns: 0,
            packet: [0; MAX_PACKET],
            report: [0; MAX_REPORT],
        }
    }

    /// Begins a new connection to the source: forgets parameter sets, B-frames and the old time line.
    pub fn begin_stream(&mut self) {
        self.timeline.begin_stream();
        self.parameters = ParameterSets::default();
        self.waits_for_key = true;
        self.has_b_frames = false;
    }

    /// Takes parameter sets that came out of band (SDP, MP4).
    ///
    /// # Errors
    /// [`Refusal::Truncated`]; the parameter sets stay as they were.
    pub fn learn(&mut self, configuration: &[u8]) -> Result<(), Refusal> {
        self.parameters = ParameterSets::of(configuration).ok_or(Refusal::Truncated)?;
        Ok(())
    }

    /// Reports missing pictures: the next one must be a key frame.
    pub fn gap(&mut self) {
        self.waits_for_key = true;
    }

    /// Whether the last access unit is sent, so that the next can be pushed.
    pub fn is_idle(&self) -> bool {
        self.sending.is_none()
    }

    /// The stream's parameter sets so far.
    pub fn parameters(&self) -> &ParameterSets {
        &self.parameters
    }

    /// The state from which another sender can continue.
    pub fn continuity(&self) -> Continuity {
        self.state
    }

    /// Begins to send an access unit.
    ///
    /// # Errors
    /// [`Refusal`]; the access unit is skipped, and so is every later one until the next key frame.
    pub fn push(&mut self, picture: AccessUnit<B>) -> Result<(), Refusal> {
        let outcome = self.prepare(&picture);
        if outcome.is_err() {
            self.waits_for_key = true;
            return outcome;
        }
        self.waits_for_key = false;
        let AccessUnit { pts_ns, arrival_ns, .. } = picture;
        let media_ns = self.timeline.place(pts_ns, arrival_ns);
        self.state.media_ns = media_ns;
        self.latest = Some(Latest { media_ns, arrival_ns });
        self.pacer.begin(picture.data.as_ref().len() / (MAX_PACKET - HEADER) + 1);
        self.cursor = Cursor::default();
        self.sending = Some(picture);
        Ok(())
    }

    /// Lists the NAL units to send.
    fn prepare(&mut self, picture: &AccessUnit<B>) -> Result<(), Refusal> {
        let data = picture.data.as_ref();
        let (mut has_b, mut has_idr, mut sets) = (false, false, [false; 2]);
        self.units.clear();
        for place in ranges(data, picture.framing) {
            let place = place.map_err(|_| Refusal::Truncated)?;
            let unit = &data[place.clone()];
            match NalHeader::of(NalCodec::H264, unit).map(|header| header.kind) {
                // No decoder needs these, and RFC 6184 does not ask for them.
                Some(NalKind::Delimiter | NalKind::Filler) => continue,
                Some(NalKind::Sps) => sets[0] = true,
                Some(NalKind::Pps) => sets[1] = true,
                Some(NalKind::Slice(PictureKind::Idr)) => has_idr = true,
                Some(NalKind::Slice(_)) => has_b |= is_b(unit),
                _ => {}
            }
            self.parameters.keep(unit);
            self.units.push(Unit::Picture(place));
        }
        self.has_b_frames |= has_b;
        if self.has_b_frames {
            return Err(Refusal::BFrames);
        }
        let is_key = picture.is_key || has_idr;
        if is_key && !self.parameters.are_complete() {
            return Err(Refusal::NoParameterSets);
        }
        if self.waits_for_key && !is_key {
            return Err(Refusal::BeforeKey);
        }
        if is_key && sets != [true; 2] {
            // A viewer that joins now has only this picture to begin with. Sets that the picture already contains are
            // sent twice; they are the same, so the decoder accepts them.
            let missing = (0..self.parameters.count()).map(Unit::Parameters);
            self.units.splice(0..0, missing);
        }
        Ok(())
    }

    /// Returns what to do now. Call it until it returns [`Poll::Wait`].
    pub fn poll(&mut self, now: Now) -> Poll<'_> {
        if let Some(latest) = self.latest
            && now.monotonic_ns >= self.next_report_ns
            && self.state.packets > 0
        {
            self.next_report_ns = now.monotonic_ns + EVERY_NS;
            let length = self.write_report(latest, now);
            if length > 0 {
                return Poll::Rtcp(&self.report[..length]);
            }
        }
        let report_ns = (self.state.packets > 0).then_some(self.next_report_ns);
        if self.sending.is_none() {
            return Poll::Wait(report_ns.filter(|_| self.latest.is_some()));
        }
        if self.cursor.is_past(self.units.len()) {
            self.sending = None;
            return Poll::Wait(report_ns);
        }
        match self.pacer.take(now.monotonic_ns) {
            Err(then_ns) => {
                Poll::Wait(Some(report_ns.map_or(then_ns, |report_ns| report_ns.min(then_ns))))
            }
            Ok(()) => {
                let length = self.write_packet();
                Poll::Rtp(&self.packet[..length], self.state)
            }
        }
    }

    fn write_packet(&mut self) -> usize {
        let Some(picture) = &self.sending else { return 0 };
        let (data, units, parameters) = (picture.data.as_ref(), &self.units, &self.parameters);
        let unit = |place: usize| match &units[place] {
            Unit::Parameters(place) => parameters.unit(*place),
            Unit::Picture(place) => &data[place.clone()],
        };
        let octets = self.cursor.next(units.len(), unit, &mut self.packet);
        let is_last = self.cursor.is_past(self.units.len());
        let header = RtpPacketBuilder::<&[u8], &[u8]>::new()
            .payload_type(self.identity.payload_type)
            .ssrc(self.identity.ssrc)
            .sequence_number(self.state.sequence)
            .timestamp(self.state.timestamp(self.state.media_ns))
            .marker_bit(is_last);
        let written = header.write_into(&mut self.packet[..HEADER]);
        debug_assert_eq!(written, Ok(HEADER));
        self.state.sequence = self.state.sequence.wrapping_add(1);
        self.state.packets = self.state.packets.wrapping_add(1);
        self.state.octets = self.state.octets.wrapping_add(u32::try_from(octets).unwrap_or(0));
        if is_last {
            self.sending = None;
        }
        HEADER + octets
    }

    /// Writes a report that states the timestamp a picture would have now.
    fn write_report(&mut self, latest: Latest, now: Now) -> usize {
        let since_ns = now.monotonic_ns.saturating_sub(latest.arrival_ns);
        let report = Report {
            ssrc: self.identity.ssrc,
            cname: &self.identity.cname,
            unix_ns: now.unix_ns,
            timestamp: self.state.timestamp(latest.media_ns + since_ns),
            packets: self.state.packets,
            octets: self.state.octets,
        };
        report.write(&mut self.report).unwrap_or(0)
    }

    /// Reads RTCP from the receiver.
    pub fn receive(&mut self, datagram: &[u8]) -> Feedback {
        self.reader.read(datagram)
    }
}

/// Whether a NAL unit is a B slice. B pictures follow pictures that are displayed after them; a browser's decoder
/// outputs such pictures late or never.
fn is_b(unit: &[u8]) -> bool {
    Slice::of(NalCodec::H264, unit).and_then(|slice| slice.slice_type()) == Some(SliceType::B)
}

#[cfg(test)]
mod tests;
