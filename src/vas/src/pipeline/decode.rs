//! The decode thread: packets to frames, frames to whoever takes them.

use std::sync::Arc;

use vas_media::{DecodeError, Decoder, Frame, Packet, Received, StreamInfo};

use super::Shown;
use super::counters::DropReason;
use super::queue::{Item, PacketQueue};

/// Threads of a software decoder. One: more would hold frames back, and cameras are many.
const DECODER_THREADS: u32 = 1;

/// Who takes decoded frames, at the decode boundary. It may empty the frame, and must not wait.
pub(crate) trait Taker: Send {
    /// A stream begins: frames from here on are of it, decoded by `decoder`.
    fn begin(&mut self, stream: &StreamInfo, decoder: vas_media::DecoderKind);
    /// A frame was decoded.
    fn take(&mut self, frame: &mut Frame);
}

/// Several takers in turn; the last may empty the frame.
impl Taker for Vec<Box<dyn Taker>> {
    fn begin(&mut self, stream: &StreamInfo, decoder: vas_media::DecoderKind) {
        self.iter_mut().for_each(|taker| taker.begin(stream, decoder));
    }

    fn take(&mut self, frame: &mut Frame) {
        self.iter_mut().for_each(|taker| taker.take(frame));
    }
}

/// All that the thread needs.
pub(super) struct Decode {
    queue: Arc<PacketQueue>,
    shown: Arc<Shown>,
    taker: Box<dyn Taker>,
    stream: Option<StreamInfo>,
    decoder: Option<Box<dyn Decoder>>,
    frame: Frame,
}

impl Decode {
    pub(super) fn new(queue: Arc<PacketQueue>, shown: Arc<Shown>, taker: Box<dyn Taker>) -> Self {
        Self { queue, shown, taker, stream: None, decoder: None, frame: Frame::new() }
    }

    pub(super) fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        while let Some(item) = queue.pop() {
            match item {
                Item::Stream(stream) => {
                    self.stream = Some(*stream);
                    self.open();
                }
                Item::Packet(packet) => self.packet(&packet),
                Item::End => self.end(),
            }
        }
        self.shown.state.set_decoder(None);
    }

    /// Opens a decoder for the stream; without one, its packets are counted as undecodable.
    fn open(&mut self) {
        self.decoder = None;
        let Some(stream) = &self.stream else { return };
        match vas_media::open_software(stream, DECODER_THREADS) {
            Ok(decoder) => {
                self.shown.state.set_decoder(Some(decoder.kind().to_string()));
                self.taker.begin(stream, decoder.kind());
                self.decoder = Some(decoder);
            }
            Err(error) => {
                tracing::error!("no decoder: {error}");
                self.shown.state.set_decoder(Some(format!("none: {error}")));
            }
        }
    }

    fn packet(&mut self, packet: &Packet) {
        if self.decoder.is_none() && packet.is_key() {
            self.open();
        }
        loop {
            let Some(decoder) = &mut self.decoder else {
                return self.shown.counters.dropped(DropReason::Undecodable);
            };
            match decoder.send(packet) {
                // Room comes by receiving.
                Err(DecodeError::Full) => self.receive(),
                Err(error) => {
                    self.shown.counters.dropped(DropReason::Undecodable);
                    self.report(&error);
                    break;
                }
                Ok(()) => break,
            }
        }
        self.receive();
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
                    self.shown.counters.decoded_frame();
                    self.taker.take(&mut self.frame);
                    self.frame.clear();
                }
                Ok(Received::NeedPacket | Received::End) => return,
                Err(error) => {
                    self.shown.counters.dropped(DropReason::Undecodable);
                    self.report(&error);
                }
            }
        }
    }

    /// Says what failed; after a fatal error a new decoder begins at the next key frame.
    fn report(&mut self, error: &DecodeError) {
        if error.is_fatal() {
            tracing::warn!("{error}; a new decoder begins at the next key frame");
            self.decoder = None;
        } else {
            tracing::debug!("{error}");
        }
    }
}
