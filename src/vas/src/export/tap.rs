//! The tap, at the decode boundary: admit, claim a slot, hand over, go on.
//!
//! It runs on the decode thread. It waits for nothing, allocates nothing once running, and makes at most
//! one system call a frame: waking a worker that sleeps.

use std::sync::Arc;

use vas_frame::{
    Colour, Decoder, Flags, Geometry, Range, Refused, RingWriter, Stamp, monotonic_ns,
};
use vas_gate::{Limit, Rate, Timeline};
use vas_media::{DecoderKind, Fraction, Frame, StreamInfo};

use super::gates::Gates;
use super::keeper::{Delivery, Door};
use super::lane::Lane;
use super::pool::Entrance;
use crate::pipeline::{Demand, DropReason, Taker};

/// What a camera's config says of its export.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wants {
    /// Whether there is to be a ring also while nobody reads.
    pub(super) ring_ready: bool,
    /// The most frames a second that are exported, whoever wants more.
    pub(super) max_fps: Option<Rate>,
}

/// A camera's tap.
#[derive(Debug)]
pub(crate) struct Tap {
    lane: Arc<Lane>,
    entrance: Entrance,
    door: Door,
    demand: Arc<Demand>,
    ring_ready: bool,
    timeline: Timeline,
    gates: Gates,
    writer: Option<RingWriter>,
    next_frame_id: u64,
    /// What the keeper was last asked for and has not delivered.
    asked: Option<Geometry>,
    refused: bool,
    fps: Option<Fraction>,
    decoder: Decoder,
    knows_loss: bool,
}

impl Taker for Tap {
    fn begin(&mut self, stream: &StreamInfo, decoder: DecoderKind) {
        self.fps = stream.fps;
        self.knows_loss = stream.knows_loss;
        self.decoder = match decoder {
            DecoderKind::Software => Decoder::Software,
            DecoderKind::Vaapi => Decoder::Vaapi,
            DecoderKind::Nvdec => Decoder::Nvdec,
            _ => Decoder::Unknown,
        };
    }

    fn take(&mut self, frame: &mut Frame) {
        if let Err(why) = self.offer(frame) {
            self.lane.shown().counters.dropped(why);
        }
    }

    fn rest(&mut self) {
        self.receive_deliveries();
        self.pause();
    }
}

impl Tap {
    pub(super) fn new(
        lane: Arc<Lane>,
        entrance: Entrance,
        door: Door,
        demand: Arc<Demand>,
        wants: Wants,
    ) -> Self {
        Self {
            lane,
            entrance,
            door,
            demand,
            ring_ready: wants.ring_ready,
            timeline: Timeline::default(),
            gates: Gates::new(wants.max_fps.map(Limit::from)),
            writer: None,
            next_frame_id: 1,
            asked: None,
            refused: false,
            fps: None,
            decoder: Decoder::Unknown,
            knows_loss: false,
        }
    }

    fn offer(&mut self, frame: &mut Frame) -> Result<(), DropReason> {
        self.receive_deliveries();
        let now_ns = monotonic_ns();
        // It is to see every frame.
        let gate_ns = self.timeline.admit(frame.pts_ns(), now_ns);
        let geometry = geometry_of(frame).ok_or(DropReason::Unsupported)?;
        let frame_id = self.next_frame_id;
        self.next_frame_id += 1;
        let wanted_since_ns = self.demand.since_ns();
        if wanted_since_ns.is_none() && !self.ring_ready {
            self.pause();
            return Err(DropReason::NoReader);
        }
        let fits = self.writer.as_ref().is_some_and(|writer| *writer.geometry() == geometry);
        if !fits {
            return Err(self.ask(geometry));
        }
        // A frame from before its readers came is not current for them.
        match wanted_since_ns {
            Some(since_ns) if frame.arrival_ns() >= since_ns => {}
            since_ns => {
                self.pause();
                return Err(since_ns.map_or(DropReason::NoReader, |_| DropReason::BeforeReader));
            }
        }
        let writer = self.writer.as_mut().ok_or(DropReason::EpochOpening)?;

        // One line of time for all epochs: the gates need to know of none.
        let gate_stamp = vas_gate::Stamp { epoch: 0, frame_id, gate_ns };
        self.gates.admit(gate_stamp).inspect_err(|_| {
            // What is left out from here on would make the newest frame older than it looks.
            if !self.gates.every_frame() {
                writer.pause();
            }
        })?;
        let mut place = self.lane.admit().ok_or(DropReason::InFlight)?;
        let slot = match writer.claim(now_ns) {
            Ok(slot) => slot,
            Err(refused) => {
                self.lane.give_back(place);
                return Err(match refused {
                    Refused::Lease => DropReason::Lease,
                    Refused::InFlight => DropReason::InFlight,
                });
            }
        };
        if self.gates.every_frame() {
            writer.resume(frame_id);
        }
        self.gates.dispatched(gate_stamp);
        let stamp = Stamp {
            frame_id,
            pts_ns: frame.pts_ns(),
            arrival_ns: frame.arrival_ns(),
            decoded_ns: now_ns,
            gate_ns,
            wall_clock_ns: None,
            flags: self.flags_of(frame),
            coded: frame.coded_size(),
            crop: (frame.crop().left, frame.crop().top),
            decoder: self.decoder,
        };
        place.take_from(frame);
        if self.lane.submit(place, slot, stamp) {
            self.entrance.enter(&self.lane);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn lane(&self) -> Arc<Lane> {
        Arc::clone(&self.lane)
    }

    /// Tells readers that frames are left out from here on.
    fn pause(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.pause();
        }
    }

    /// Takes what the keeper has for us: what readers want, a ring, or word that there is none.
    fn receive_deliveries(&mut self) {
        if let Some(demanded) = self.door.demanded() {
            self.gates.demand(demanded);
        }
        while let Some(delivery) = self.door.receive() {
            match delivery {
                Delivery::Ring { writer, first_frame_id } => {
                    self.asked = None;
                    self.next_frame_id = self.next_frame_id.max(first_frame_id);
                    self.refused = false;
                    self.writer = Some(writer);
                }
                Delivery::Refused => self.refused = true,
                Delivery::Revoked => {
                    self.asked = None;
                    self.writer = None;
                }
            }
        }
    }

    /// Asks the keeper for a ring of this geometry, once, and says what the frame is dropped for.
    fn ask(&mut self, geometry: Geometry) -> DropReason {
        // The keeper can use the pages again only when we have let go of them.
        self.writer = None;
        if self.asked != Some(geometry) && self.door.ask(geometry, self.fps) {
            self.asked = Some(geometry);
        }
        if self.refused { DropReason::NoExport } else { DropReason::EpochOpening }
    }

    fn flags_of(&self, frame: &Frame) -> Flags {
        Flags::default()
            .with(Flags::KEY, frame.is_key())
            .with(Flags::CORRUPT, frame.is_corrupt())
            .with(Flags::LOSS_UNKNOWN, !self.knows_loss)
            .with(Flags::DISCONTINUITY, frame.discontinuity())
            .with(Flags::INTERLACED, frame.interlaced())
    }
}

/// What a ring for this frame must be like; `None` when no ring could be.
fn geometry_of(frame: &Frame) -> Option<Geometry> {
    let color = frame.color();
    let colour = Colour {
        range: match color.range {
            vas_media::Range::Unspecified => Range::Unspecified,
            vas_media::Range::Limited => Range::Limited,
            vas_media::Range::Full => Range::Full,
        },
        primaries: color.primaries,
        transfer: color.transfer,
        matrix: color.matrix,
        chroma_location: color.chroma_location,
    };
    Geometry::new(frame.width(), frame.height(), colour, frame.bit_depth()).ok()
}
