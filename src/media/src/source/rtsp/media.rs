//! The items of a retina session: its frames or, for JPEG, its packets.
//!
//! retina's JPEG frames ignore the header extension, which alone states the size of large pictures, and do not report a
//! loss within a picture. JPEG is therefore depacketized here.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_core::Stream as _;
use retina::client::{Demuxed, PacketItem, Playing, Session, Stream};
use retina::codec::{AudioFrame, CodecItem, ParametersRef, VideoFrame, VideoParameters};
use retina::rtcp::ReceivedCompoundPacket;
use retina::rtp::ReceivedPacket;

use super::{aac, jpeg};
use crate::error::Cause;

/// How often in a row the size may be missing: packets after a loss may belong to a picture whose headers are lost.
const SIZELESS_AT_MOST: u32 = 2;

/// A session that plays.
pub(super) enum Media {
    Frames(Demuxed),
    Packets(Box<Packets>),
}

/// A session with JPEG video.
pub(super) struct Packets {
    session: Session<Playing>,
    track: usize,
    pictures: jpeg::Depacketizer,
    /// The size of the last picture.
    size: Option<(u32, u32)>,
    sizeless: u32,
    sound: Option<Aac>,
}

struct Aac {
    track: usize,
    /// Duration of an access unit in ticks.
    duration: u32,
    units: aac::Depacketizer,
}

/// An item of a session.
pub(super) enum Item {
    Picture(Picture),
    Sound(SoundFrame),
    Rtcp(ReceivedCompoundPacket),
    /// An invalid video packet.
    Invalid(Cause),
    /// The size of the pictures is not stated.
    Sizeless,
    Other,
}

impl Media {
    /// For a session of which `track` and `sound` play.
    pub(super) fn of(
        session: Session<Playing>,
        track: usize,
        sound: Option<usize>,
    ) -> Result<Self, retina::Error> {
        if session.streams()[track].encoding_name() != "jpeg" {
            return Ok(Self::Frames(session.demuxed()?));
        }
        let sound = sound.and_then(|track| {
            let Some(ParametersRef::Audio(stated)) = session.streams()[track].parameters() else {
                return None;
            };
            let duration = stated.frame_length()?.get();
            Some(Aac { track, duration, units: aac::Depacketizer::default() })
        });
        let pictures = jpeg::Depacketizer::new();
        let (size, sizeless) = (None, 0);
        Ok(Self::Packets(Box::new(Packets { session, track, pictures, size, sizeless, sound })))
    }

    pub(super) fn streams(&self) -> &[Stream] {
        match self {
            Self::Frames(session) => session.streams(),
            Self::Packets(packets) => packets.session.streams(),
        }
    }

    /// The parameters of a video track, as of the last picture.
    pub(super) fn parameters(&self, track: usize) -> Option<Parameters<'_>> {
        match self {
            Self::Frames(session) => match session.streams()[track].parameters()? {
                ParametersRef::Video(parameters) => Some(Parameters::Stated(parameters)),
                _ => None,
            },
            Self::Packets(packets) => packets.size.map(|size| Parameters::Jpeg { size }),
        }
    }

    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Item, retina::Error>>> {
        match self {
            Self::Frames(session) => {
                let next = ready!(Pin::new(session).poll_next(context));
                Poll::Ready(next.map(|next| next.map(Item::from)))
            }
            Self::Packets(packets) => packets.poll_next(context),
        }
    }
}

impl From<CodecItem> for Item {
    fn from(item: CodecItem) -> Self {
        match item {
            CodecItem::VideoFrame(frame) => Self::Picture(Picture::Frame(frame)),
            CodecItem::AudioFrame(frame) => Self::Sound(SoundFrame::Frame(frame)),
            CodecItem::Rtcp(reports) => Self::Rtcp(reports),
            _ => Self::Other,
        }
    }
}

impl Packets {
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Item, retina::Error>>> {
        loop {
            if let Some(picture) = self.pictures.pull() {
                self.sizeless = 0;
                let is_new = self.size.replace(picture.size) != Some(picture.size);
                let picture = Picture::Jpeg { track: self.track, picture, is_new };
                return Poll::Ready(Some(Ok(Item::Picture(picture))));
            }
            if let Some(sound) = &mut self.sound
                && let Some(unit) = sound.units.pull()
            {
                let (track, duration) = (sound.track, sound.duration);
                let sound = SoundFrame::Aac { track, unit, duration };
                return Poll::Ready(Some(Ok(Item::Sound(sound))));
            }
            let item = match ready!(Pin::new(&mut self.session).poll_next(context)) {
                Some(Ok(PacketItem::Rtp(packet))) => self.packet(&packet),
                Some(Ok(PacketItem::Rtcp(reports))) => Some(Item::Rtcp(reports)),
                Some(Ok(_)) => Some(Item::Other),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            if let Some(item) = item {
                return Poll::Ready(Some(Ok(item)));
            }
        }
    }

    /// Depacketizes a packet. Returns an item if the packet is unusable.
    fn packet(&mut self, packet: &ReceivedPacket) -> Option<Item> {
        let (ticks, received) = (packet.timestamp().elapsed(), packet.ctx().received());
        let lost = packet.loss() > 0;
        if packet.stream_id() != self.track {
            let sound = self.sound.as_mut().filter(|sound| sound.track == packet.stream_id())?;
            let done = sound.units.push(packet.payload(), (ticks, sound.duration), received, lost);
            if let Err(why) = done {
                tracing::debug!("invalid sound packet: {why}");
            }
            return None;
        }
        let done = self.pictures.push(&jpeg::Part {
            extension: jpeg::Extension::of(packet.raw()),
            payload: packet.payload(),
            marker: packet.mark(),
            ticks,
            received,
            lost,
        });
        let why = match done {
            Ok(()) => return None,
            Err(jpeg::Error::Invalid(why)) => why,
            Err(jpeg::Error::NoSize) => {
                self.sizeless += 1;
                if self.sizeless > SIZELESS_AT_MOST {
                    return Some(Item::Sizeless);
                }
                // The picture's first packet, which states the size, may be lost.
                return None;
            }
        };
        Some(Item::Invalid(Cause::message(&why)))
    }
}

/// The parameters of a video track.
#[derive(Clone, Copy)]
pub(super) enum Parameters<'a> {
    Stated(&'a VideoParameters),
    Jpeg { size: (u32, u32) },
}

impl<'a> Parameters<'a> {
    /// retina's parameters, if it depacketizes the track.
    pub(super) fn stated(self) -> Option<&'a VideoParameters> {
        match self {
            Self::Stated(parameters) => Some(parameters),
            Self::Jpeg { .. } => None,
        }
    }

    pub(super) fn size(self) -> (u32, u32) {
        match self {
            Self::Stated(parameters) => parameters.pixel_dimensions(),
            Self::Jpeg { size } => size,
        }
    }
}

/// A picture.
pub(super) enum Picture {
    Frame(VideoFrame),
    Jpeg { track: usize, picture: jpeg::Picture, is_new: bool },
}

impl Picture {
    pub(super) fn track(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.stream_id(),
            Self::Jpeg { track, .. } => *track,
        }
    }

    /// Whether its parameters differ from those of the previous picture.
    pub(super) fn has_new_parameters(&self) -> bool {
        match self {
            Self::Frame(frame) => frame.has_new_parameters(),
            Self::Jpeg { is_new, .. } => *is_new,
        }
    }

    /// Whether packets before its end are missing.
    pub(super) fn lost(&self) -> bool {
        match self {
            Self::Frame(frame) => frame.loss() > 0,
            Self::Jpeg { picture, .. } => picture.lost,
        }
    }

    pub(super) fn ticks(&self) -> i64 {
        match self {
            Self::Frame(frame) => frame.timestamp().elapsed(),
            Self::Jpeg { picture, .. } => picture.ticks,
        }
    }

    /// The arrival of its first packet.
    pub(super) fn received(&self) -> Instant {
        match self {
            Self::Frame(frame) => frame.start_ctx().received(),
            Self::Jpeg { picture, .. } => picture.received,
        }
    }

    /// Its size in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.data().len(),
            Self::Jpeg { picture, .. } => picture.data.len(),
        }
    }

    pub(super) fn into_data(self) -> Vec<u8> {
        match self {
            Self::Frame(frame) => frame.into_data(),
            Self::Jpeg { picture, .. } => picture.data,
        }
    }
}

/// A frame of sound.
pub(super) enum SoundFrame {
    Frame(AudioFrame),
    Aac { track: usize, unit: aac::Unit, duration: u32 },
}

impl SoundFrame {
    pub(super) fn track(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.stream_id(),
            Self::Aac { track, .. } => *track,
        }
    }

    pub(super) fn ticks(&self) -> i64 {
        match self {
            Self::Frame(frame) => frame.timestamp().elapsed(),
            Self::Aac { unit, .. } => unit.ticks,
        }
    }

    /// Its duration in ticks.
    pub(super) fn duration(&self) -> u32 {
        match self {
            Self::Frame(frame) => frame.frame_length().get(),
            Self::Aac { duration, .. } => *duration,
        }
    }

    pub(super) fn received(&self) -> Instant {
        match self {
            Self::Frame(frame) => frame.ctx().received(),
            Self::Aac { unit, .. } => unit.received,
        }
    }

    pub(super) fn data(&self) -> &[u8] {
        match self {
            Self::Frame(frame) => frame.data(),
            Self::Aac { unit, .. } => &unit.data,
        }
    }
}
