//! The decode branch: packets to frames, frames to sinks; it rests while there is no demand.

use std::sync::Arc;
use std::time::Duration;

use vas_media::{
    DecodeError, DecodeFrames, Decoder, DecoderKind, Frame, Packet, Received, StreamInfo,
    monotonic_ns,
};
use vas_status::DropReason;
use vas_threads::caught;

use super::branch::{Branch, BranchStats, Late, Packets};
use super::decoders::{Decoders, NoDecoder, Opened};
use super::demand::Demand;
use super::queue::{Item, Limits, Pushed, Taken};
use super::state::{InputStats, no_decoder};
use vas_backoff::Cooldown;

/// What may wait for the decoder. A limit on bytes alone would let a slow camera fall half a minute
/// behind.
const LIMITS: Limits = Limits { bytes: 32 << 20, wait: Some(Duration::from_secs(2)) };

/// A camera that delivers nothing for this long has a gap: its newest frame is no longer current.
const QUIET_AFTER: Duration = Duration::from_millis(500);

/// How often to check whether an open decoder is still wanted, while nothing arrives.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a decoder that only readers need stays open after the last reader has left.
const REST_AFTER_NS: u64 = 10_000_000_000;

/// How long to wait for another decoder after a panic: the first time, and after many.
const AFTER_PANIC: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long a decoder must have been open for the next panic to count as the first.
const STEADY_NS: u64 = 60_000_000_000;

/// Takes decoded frames, at the decode boundary. It may empty the frame, and must not wait.
pub trait FrameSink: Send {
    /// A stream begins, or continues with another decoder: later frames belong to it and are
    /// decoded by `decoder`.
    fn begin(&mut self, stream: &StreamInfo, decoder: DecoderKind);
    /// A frame was decoded.
    fn take(&mut self, frame: &mut Frame);
    /// No frames follow until further notice, or some of the camera's frames were left out.
    fn rest(&mut self) {}
}

/// Several sinks in turn; the last may empty the frame.
impl FrameSink for Vec<Box<dyn FrameSink>> {
    fn begin(&mut self, stream: &StreamInfo, decoder: DecoderKind) {
        self.iter_mut().for_each(|sink| sink.begin(stream, decoder));
    }

    fn take(&mut self, frame: &mut Frame) {
        self.iter_mut().for_each(|sink| sink.take(frame));
    }

    fn rest(&mut self) {
        self.iter_mut().for_each(|sink| sink.rest());
    }
}

/// All that the thread needs.
pub struct Decode {
    stats: Arc<InputStats>,
    sink: Box<dyn FrameSink>,
    /// Which pictures are decoded.
    frames: DecodeFrames,
    /// Rests while there is none; `None`: never rests.
    demand: Option<Arc<Demand>>,
    silence: Silence,
    stream: Option<StreamInfo>,
    decoders: Decoders,
    decoder: Option<Box<dyn Decoder>>,
    /// Whether the decoder is meant to decode on a GPU, and does as far as is known.
    on_gpu: bool,
    /// Whether the GPU has delivered a picture.
    seen_picture: bool,
    /// Packets that the decoder has taken and whose pictures it still holds back.
    held: u64,
    /// Whether the packet at hand is counted, as held or as dropped.
    counted: bool,
    /// When the decoder was opened.
    opened_ns: u64,
    /// When it last panicked, and what the status says of that until another decoder may begin.
    panicked_ns: u64,
    panic_why: Option<String>,
    /// The sink has the frame: a panic is not the decoder's.
    in_sink: bool,
    after_panic: Cooldown,
    frame: Frame,
    late: Option<Late>,
}

/// How the thread has reacted to a silent input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// The input is not silent.
    None,
    /// Sinks know that there is a gap.
    Gap,
    /// The queue is parked: nothing comes out before there is demand.
    Parked,
}

impl Branch for Decode {
    fn job(&self) -> &'static str {
        "decode"
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn late(&self) -> Option<Late> {
        self.late
    }

    fn stats(&self) -> Arc<dyn BranchStats> {
        Arc::clone(&self.stats) as _
    }

    fn run(self: Box<Self>, packets: Arc<Packets>) {
        self.work(&packets);
    }
}

/// An input's status includes its decoder.
impl BranchStats for InputStats {
    fn dropped(&self, dropped: Pushed) {
        self.counters.pushed(dropped);
    }

    fn panicked(&self) {
        let why = Some("internal error in the decode thread".into());
        self.state.set_decoder(Some(no_decoder(why)));
    }
}

impl Decode {
    /// Decodes for `sink`; with a `demand`, only while there is some.
    pub fn new(
        stats: &Arc<InputStats>,
        sink: Box<dyn FrameSink>,
        demand: Option<Arc<Demand>>,
        decoders: Decoders,
        frames: DecodeFrames,
    ) -> Self {
        Self {
            frames,
            stats: Arc::clone(stats),
            sink,
            demand,
            silence: Silence::None,
            stream: None,
            decoders,
            decoder: None,
            on_gpu: false,
            seen_picture: false,
            held: 0,
            counted: true,
            opened_ns: 0,
            panicked_ns: 0,
            panic_why: None,
            in_sink: false,
            after_panic: Cooldown::new(AFTER_PANIC.0, AFTER_PANIC.1),
            frame: Frame::new(),
            late: None,
        }
    }

    /// The camera runs without the branch while the system has no thread for it.
    pub fn may_be_late(self, late: Late) -> Self {
        Self { late: Some(late), ..self }
    }

    fn work(mut self, queue: &Arc<Packets>) {
        if let Some(demand) = &self.demand {
            demand.wakes(queue);
        }
        self.rest_if_unwanted(queue, 0);
        loop {
            let item = match queue.pop_within(self.patience()) {
                Taken::Item(item) => item,
                Taken::Nothing => {
                    self.guard(Self::silent);
                    self.guard(|this| this.rest_if_unwanted(queue, REST_AFTER_NS));
                    self.count_load();
                    continue;
                }
                Taken::Closed => break,
            };
            self.silence = Silence::None;
            self.guard(|this| this.item(item));
            self.guard(|this| this.rest_if_unwanted(queue, REST_AFTER_NS));
            self.count_load();
        }
        self.stats.state.set_decoder(None);
    }

    /// A camera without a decoder on a GPU is no load there.
    fn count_load(&mut self) {
        if self.decoder.is_none() || !self.on_gpu {
            self.decoders.off_gpu();
        }
    }

    /// Does a piece of work. A panic in it, of a decoder or a sink, costs the decoder: another one
    /// begins at a key frame.
    fn guard(&mut self, work: impl FnOnce(&mut Self)) {
        if let Err(words) = caught(|| work(self)) {
            self.panicked(&words);
        }
    }

    fn panicked(&mut self, words: &str) {
        let now_ns = monotonic_ns();
        self.stats.counters.decode_panicked();
        let lost = std::mem::take(&mut self.held) + u64::from(!self.counted);
        self.stats.counters.dropped_many(DropReason::Undecodable, lost);
        self.counted = true;
        // The decoder may have been closed since; only the time without a panic counts.
        let since_ns = self.opened_ns.max(std::mem::replace(&mut self.panicked_ns, now_ns));
        if now_ns.saturating_sub(since_ns) >= STEADY_NS {
            self.after_panic.reset();
        }
        let wait = Duration::from_nanos(self.after_panic.failed(now_ns));
        // It may not be dropped in one piece either.
        let (decoder, mut frame) = (self.decoder.take(), std::mem::take(&mut self.frame));
        let dropped = caught(|| {
            // Before the decoder, with which it may be the last of its node.
            frame.release_apart();
            drop((decoder, frame));
        });
        let rested = caught(|| self.sink.rest());
        let in_sink = std::mem::take(&mut self.in_sink);
        let on_gpu = std::mem::take(&mut self.on_gpu) && !in_sink;
        self.decoders.panicked(words, on_gpu, now_ns);
        let why = format!(
            "internal error while decoding: {words}; another decoder begins at a key frame, not before {} s from then",
            wait.as_secs()
        );
        tracing::error!("{why}");
        for words in [dropped, rested].into_iter().filter_map(Result::err) {
            self.stats.counters.decode_panicked();
            tracing::error!("internal error after that: {words}");
        }
        self.panic_why = Some(why);
        self.without_decoder(self.panic_why.clone());
    }

    fn item(&mut self, item: Item) {
        match item {
            Item::Stream(stream) => {
                self.stream = Some(*stream);
                self.decoders.stream_begins();
                self.open();
            }
            Item::Packet(packet) => self.packet(&packet),
            Item::End => {
                self.end();
                self.sink.rest();
            }
        }
    }

    /// How long to wait for the next item; `None`: until it arrives.
    fn patience(&self) -> Option<Duration> {
        match self.silence {
            Silence::None => Some(QUIET_AFTER),
            // Without demand the decoder must also time out while nothing arrives.
            Silence::Gap => self.demand.as_ref().map(|_| LOOK_EVERY),
            Silence::Parked => None,
        }
    }

    /// Nothing arrived for a while.
    fn silent(&mut self) {
        if self.silence == Silence::None {
            self.silence = Silence::Gap;
            self.sink.rest();
        }
    }

    /// Closes the decoder and parks the queue when there has been no demand for `after_ns`.
    fn rest_if_unwanted(&mut self, queue: &Packets, after_ns: u64) {
        let Some(demand) = &self.demand else { return };
        let unwanted = || demand.since_ns().is_none();
        if !unwanted() || monotonic_ns() < demand.gone_ns() + after_ns {
            return;
        }
        let Some(dropped) = queue.park_unless(|| !unwanted()) else { return };
        self.silence = Silence::Parked;
        self.stats.counters.pushed(dropped);
        self.sink.rest();
        if self.decoder.take().is_some() {
            tracing::info!("decoder closed until a reader attaches");
        }
        self.stats.state.set_decoder(None);
    }

    /// Opens a decoder for the stream; without one, its packets count as undecodable.
    fn open(&mut self) {
        self.decoder = None;
        let Some(stream) = &self.stream else { return };
        let now_ns = monotonic_ns();
        if !self.after_panic.is_over(now_ns) {
            // Again, since the camera may have rested in between.
            return self.without_decoder(self.panic_why.clone());
        }
        match self.decoders.open(stream, now_ns) {
            Ok(opened) => self.begin(opened),
            Err(NoDecoder::OnlyGpu) => self.without_decoder(self.decoders.why()),
            Err(NoDecoder::Failed(error)) => {
                tracing::error!("no decoder: {error}");
                self.without_decoder(Some(error.to_string()));
            }
        }
    }

    /// Continues with this decoder.
    fn begin(&mut self, opened: Opened) {
        self.decoders.begins(&opened);
        let Opened { mut decoder, on_gpu, .. } = opened;
        decoder.decode_only(self.frames);
        let Some(stream) = &self.stream else { return };
        self.on_gpu = on_gpu;
        self.seen_picture = false;
        self.held = 0;
        self.opened_ns = monotonic_ns();
        self.stats.state.set_decoder(Some(self.decoders.report(decoder.as_ref())));
        self.sink.begin(stream, decoder.kind());
        self.decoder = Some(decoder);
    }

    fn without_decoder(&mut self, why: Option<String>) {
        self.decoder = None;
        self.stats.state.set_decoder(Some(no_decoder(why)));
    }

    /// Changes to a decoder higher on the ladder, if one is due, at a key frame. What the old decoder holds back comes
    /// out first.
    fn climb(&mut self) {
        let Some(stream) = &self.stream else { return };
        let Some(opened) = self.decoders.climb(stream, self.on_gpu, monotonic_ns()) else { return };
        self.change_to(opened);
    }

    /// What the old decoder still reports is not the new one's.
    fn change_to(&mut self, opened: Opened) {
        self.end();
        self.begin(opened);
    }

    /// Checks whether a decoder that was opened on a GPU still decodes there.
    fn look_after_gpu(&mut self) {
        let Some(decoder) = self.decoder.as_ref().filter(|_| self.on_gpu) else { return };
        let Some(why) = decoder.fallback() else { return };
        self.on_gpu = false;
        let surfaces = decoder.surface_memory();
        self.decoders.fell(&why, surfaces, monotonic_ns());
        if self.decoders.gpu_only() {
            return self.without_decoder(self.decoders.why());
        }
        let Some(stream) = &self.stream else { return };
        self.stats.state.set_decoder(Some(self.decoders.report(decoder.as_ref())));
        self.sink.begin(stream, decoder.kind());
    }

    fn packet(&mut self, packet: &Packet) {
        self.counted = false;
        if packet.is_key() {
            match &self.decoder {
                None => self.open(),
                Some(_) => self.climb(),
            }
        }
        if let Some(decoder) = &mut self.decoder
            && decoder.leaves_out(packet)
        {
            return self.lost(DropReason::LeftOut);
        }
        loop {
            let Some(decoder) = &mut self.decoder else {
                return self.lost(DropReason::Undecodable);
            };
            match decoder.send(packet) {
                // Receiving makes room.
                Err(DecodeError::Full) => self.receive(),
                Err(error) => {
                    self.lost(DropReason::Undecodable);
                    self.report(&error);
                    break;
                }
                Ok(()) => {
                    self.held += 1;
                    self.counted = true;
                    break;
                }
            }
        }
        self.look_after_gpu();
        self.receive();
    }

    /// Counts a packet that yields no frame.
    fn lost(&mut self, why: DropReason) {
        self.stats.counters.dropped(why);
        self.counted = true;
        self.sink.rest();
    }

    fn end(&mut self) {
        let Some(decoder) = &mut self.decoder else { return };
        if let Err(error) = decoder.finish() {
            self.report(&error);
        }
        self.receive();
        self.decoder = None;
    }

    fn receive(&mut self) {
        while let Some(decoder) = &mut self.decoder {
            match decoder.receive(&mut self.frame) {
                Ok(Received::Frame) => {
                    self.stats.counters.decoded_frame();
                    self.held = self.held.saturating_sub(1);
                    if self.on_gpu && !self.seen_picture {
                        self.seen_picture = true;
                        self.decoders.decodes(monotonic_ns());
                        let report = self.decoders.report(decoder.as_ref());
                        self.stats.state.set_decoder(Some(report));
                    }
                    self.in_sink = true;
                    self.sink.take(&mut self.frame);
                    self.in_sink = false;
                    // A driver that destroys its decoder may hang.
                    match self.frame.is_last_of_decoder() {
                        true => self.frame.release_apart(),
                        false => self.frame.clear(),
                    }
                }
                Ok(Received::NeedPacket | Received::End) => return,
                Err(error) => {
                    self.lost(DropReason::Undecodable);
                    self.report(&error);
                }
            }
        }
    }

    /// Logs the failure; after a fatal error a new decoder begins at the next key frame.
    fn report(&mut self, error: &DecodeError) {
        if !error.is_fatal() {
            return tracing::debug!("{error}");
        }
        self.decoder = None;
        self.stats.counters.dropped_many(DropReason::Undecodable, std::mem::take(&mut self.held));
        match error {
            DecodeError::Gpu(why) if self.on_gpu => {
                self.on_gpu = false;
                self.decoders.fell(why, None, monotonic_ns());
                self.without_decoder(self.decoders.why());
            }
            _ => tracing::warn!("{error}; a new decoder begins at the next key frame"),
        }
    }
}

#[cfg(test)]
mod tests;
