//! The tap, at the decode boundary: admit, claim a slot, hand over, return.
//!
//! It runs on the decode thread. It never waits, allocates nothing once running, and makes at most
//! one system call a frame: waking a worker that sleeps.

use std::sync::Arc;

use vas_frame::{
    Crop, Decoder, Flags, Geometry, PublishMeta, Refused, RingWriter, Size, monotonic_ns,
};
use vas_gate::{Limit, Rate, Timeline};
use vas_media::{DecoderKind, Fraction, Frame, StreamInfo};
use vas_pipeline::{Demand, FrameSink, InputStats};
use vas_scale::Request;
use vas_status::DropReason;

use super::download::{Download, Memory};
use super::gates::Gates;
use super::panics::caught;
use super::ring_manager::{Delivery, RingHandle};
use super::routes::{Route, Routes};
use super::sizing::{Fitted, Sizing, placement};

/// A camera's export settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wants {
    /// Whether the ring stays open while nothing reads.
    pub(super) ring_ready: bool,
    /// The most frames a second that are exported, whatever readers request.
    pub(super) max_fps: Option<Rate>,
    /// The size of exported frames.
    pub(super) size: Request,
}

/// A camera's tap.
#[derive(Debug)]
pub(crate) struct Tap {
    input_stats: Arc<InputStats>,
    routes: Routes,
    handle: RingHandle,
    demand: Arc<Demand>,
    ring_ready: bool,
    timeline: Timeline,
    gates: Gates,
    sizing: Sizing,
    writer: Option<RingWriter>,
    next_frame_id: u64,
    /// What was asked of the ring manager and has not been delivered.
    asked: Option<Geometry>,
    refused: bool,
    fps: Option<Fraction>,
    decoder: Decoder,
    knows_loss: bool,
    /// The demand for which a frame that arrived after its start was seen.
    current_since: Option<u64>,
}

impl FrameSink for Tap {
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
        // Other sinks take frames on this thread, too.
        let offered = caught(|| self.offer(frame)).unwrap_or_else(|words| {
            self.panicked(&words);
            Err(DropReason::CopyFailed)
        });
        if let Err(why) = offered {
            self.input_stats.counters.dropped(why);
            // A missing frame makes the newest one older than it looks.
            self.pause();
        }
    }

    fn rest(&mut self) {
        let rested = caught(|| {
            self.receive_deliveries();
            // Perhaps no frame follows with which they would be counted.
            self.routes.abandon_if_hanging();
            self.pause();
        });
        if let Err(words) = rested {
            self.panicked(&words);
        }
    }
}

impl Tap {
    pub(super) fn new(
        input_stats: Arc<InputStats>,
        routes: Routes,
        handle: RingHandle,
        demand: Arc<Demand>,
        wants: Wants,
    ) -> Self {
        Self {
            input_stats,
            routes,
            handle,
            demand,
            ring_ready: wants.ring_ready,
            timeline: Timeline::default(),
            gates: Gates::new(wants.max_fps.map(Limit::from)),
            sizing: Sizing::new(wants.size),
            writer: None,
            next_frame_id: 1,
            asked: None,
            refused: false,
            fps: None,
            decoder: Decoder::Unknown,
            knows_loss: false,
            current_since: None,
        }
    }

    fn offer(&mut self, frame: &mut Frame) -> Result<(), DropReason> {
        self.receive_deliveries();
        self.handle.trip("tap");
        let now_ns = monotonic_ns();
        // Before any drop: the timeline must see every frame.
        let gate_ns = self.timeline.admit(frame.pts_ns(), now_ns);
        let Fitted { geometry, plan } = self.sizing.fit(frame).ok_or(DropReason::Unsupported)?;
        let memory = Memory::of(frame);
        // By a kernel, which needs memory on the GPU.
        let deep = frame.bit_depth() > 8;
        let converted = matches!(memory, Memory::Cuda(_)) && (plan.is_some() || deep);
        let frame_id = self.next_frame_id;
        self.next_frame_id += 1;
        let wanted_since_ns = self.demand.since_ns();
        if wanted_since_ns.is_none() && !self.ring_ready {
            return Err(DropReason::NoReader);
        }
        // Before asking for a ring, so that the ring is prepared for the engine that fills it.
        let route = self.routes.choose(memory, converted, &self.handle, self.writer.as_ref());
        if self.routes.has_lost_slots() {
            (self.writer, self.asked) = (None, None);
        }
        let fits = self.writer.as_ref().is_some_and(|writer| *writer.geometry() == geometry);
        if !fits {
            return Err(self.ask(geometry, memory, converted));
        }
        // A frame that arrived before its readers is not current for them.
        match wanted_since_ns {
            // With B-frames packets arrive in another order: what follows a current frame in
            // display order is current.
            Some(since_ns)
                if frame.arrival_ns() >= since_ns || self.current_since == Some(since_ns) =>
            {
                self.current_since = Some(since_ns);
            }
            since_ns => {
                return Err(since_ns.map_or(DropReason::NoReader, |_| DropReason::BeforeReader));
            }
        }
        route?;
        let writer = self.writer.as_mut().ok_or(DropReason::EpochOpening)?;

        // One timeline for all epochs: the gates need to know of none. The time of publication is
        // not known yet.
        let stamp = vas_gate::Stamp { epoch: 0, frame_id, gate_ns, published_ns: now_ns };
        self.gates.admit(stamp)?;
        let coded = frame.coded_size();
        let meta = PublishMeta {
            frame_id,
            pts_ns: frame.pts_ns(),
            arrival_ns: frame.arrival_ns(),
            decoded_ns: now_ns,
            gate_ns,
            wall_clock_ns: frame.wall_clock_ns(),
            flags: flags_of(frame, self.knows_loss),
            coded: Size { width: coded.0, height: coded.1 },
            crop: Crop { left: frame.crop().left, top: frame.crop().top },
            placement: plan.as_ref().map(placement),
            decoder: self.decoder,
        };
        let mut handover = Handover { writer, gates: &mut self.gates, stamp, meta, now_ns };
        match self.routes.chosen() {
            Route::Host(copy_queue) => handover.through(&copy_queue.scaling(plan), frame),
            Route::Cuda(copy_queue) => handover.through(&copy_queue.scaling(plan), frame),
            Route::Vaapi(copy_queue) => handover.through(&copy_queue.scaling(plan), frame),
        }
    }

    #[cfg(test)]
    pub(super) fn copy_queue(&self) -> Arc<super::copy_queue::CopyQueue> {
        self.routes.host().copy_queue()
    }

    /// After a panic: discards the ring and asks again for what may have been lost.
    fn panicked(&mut self, words: &str) {
        self.handle.account().panicked("tap", words);
        self.pause();
        self.writer = None;
        self.asked = None;
    }

    /// Marks for readers that frames are left out from here on.
    fn pause(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.pause();
        }
    }

    /// Takes what the ring manager delivers: the readers' demand, a ring, a refusal.
    fn receive_deliveries(&mut self) {
        if let Some(demanded) = self.handle.demanded() {
            self.gates.demand(demanded);
        }
        self.routes.receive(&self.handle);
        while let Some(delivery) = self.handle.receive() {
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

    /// Asks the ring manager once for a ring of this geometry; returns the reason to drop the frame
    /// for.
    fn ask(&mut self, geometry: Geometry, memory: Memory, converted: bool) -> DropReason {
        // The ring manager can reuse the pages only once we have released them.
        self.writer = None;
        if self.asked != Some(geometry) && self.handle.ask(geometry, self.fps, memory, converted) {
            self.asked = Some(geometry);
        }
        if self.refused { DropReason::NoExport } else { DropReason::EpochOpening }
    }
}

/// A frame that is wanted, and its open ring.
struct Handover<'a> {
    writer: &'a mut RingWriter,
    gates: &'a mut Gates,
    stamp: vas_gate::Stamp,
    meta: PublishMeta,
    now_ns: u64,
}

impl Handover<'_> {
    fn through<D: Download>(
        &mut self,
        copy_queue: &D,
        frame: &mut Frame,
    ) -> Result<(), DropReason> {
        let permit = copy_queue.admit()?;
        let slot = self.writer.claim(self.now_ns).map_err(|refused| match refused {
            Refused::Lease => DropReason::Lease,
            Refused::InFlight => DropReason::InFlight,
        })?;
        if self.meta.flags.contains(Flags::DISCONTINUITY) {
            // Frames are missing before this one.
            self.writer.pause();
        }
        if self.gates.every_frame() {
            self.writer.resume(self.meta.frame_id);
        }
        self.gates.dispatched(self.stamp);
        copy_queue.submit(permit, frame, slot, self.meta);
        Ok(())
    }
}

fn flags_of(frame: &Frame, knows_loss: bool) -> Flags {
    Flags::default()
        .with(Flags::KEY, frame.is_key())
        .with(Flags::CORRUPT, frame.is_corrupt())
        .with(Flags::AFTER_LOSS, frame.after_loss())
        .with(Flags::LOSS_UNKNOWN, !knows_loss)
        .with(Flags::DISCONTINUITY, frame.discontinuity())
        .with(Flags::INTERLACED, frame.interlaced())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vas_media::{Received, RtspClient, SourceRequest, StopFlag, Transport};

    use vas_frame::Range;

    use super::*;

    /// A picture in RGB is exported as YUV and marked so: not full range and no matrix, as RGB has
    /// it.
    #[test]
    fn the_colour_is_that_of_the_slot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("red.ppm");
        let pixels = [255, 0, 0].repeat(16 * 16);
        std::fs::write(&path, [b"P6 16 16 255\n", &pixels[..]].concat()).unwrap();
        let request = SourceRequest {
            url: path.to_str().unwrap().into(),
            transport: Transport::Tcp,
            client: RtspClient::Auto,
            connect_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(30),
            sound: false,
        };
        let mut source = vas_media::open(&request, &StopFlag::new()).unwrap();
        let mut decoder = vas_media::open_software(source.stream(), 1).unwrap();
        decoder.send(&source.next_packet().unwrap().unwrap()).unwrap();
        decoder.finish().unwrap();
        let mut frame = Frame::new();
        assert_eq!(decoder.receive(&mut frame).unwrap(), Received::Frame);
        assert_eq!(frame.format_name(), "rgb24");
        let color = Sizing::new(Request::default()).fit(&frame).unwrap().geometry.color();
        assert_eq!((color.range, color.matrix), (Range::Limited, 6));
    }
}
