//! What was dropped, and why. Nothing is dropped under another heading, or under none.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use strum::{EnumString, IntoStaticStr, VariantArray};

/// The reasons of one part of the service, each with its word in the status.
pub trait Reason: Copy + VariantArray + Into<&'static str> {
    /// Its place in [`VariantArray::VARIANTS`].
    fn index(self) -> usize;
}

/// Why a packet or a frame of a camera did not get to readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray, IntoStaticStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum DropReason {
    /// Packet: it came before the first key frame of a stream.
    BeforeKey,
    /// Packet: decode did not keep up; dropped to the next key frame.
    Overload,
    /// Packet: nobody wanted frames, and so it was not decoded.
    Idle,
    /// Packet: the decoder could not decode it.
    Undecodable,
    /// Packet: the camera's `decode_frames` leaves it out.
    LeftOut,
    /// Frame: nobody was there to read it.
    NoReader,
    /// Frame: it had arrived before its readers came, and was decoded for those that followed.
    BeforeReader,
    /// Frame: the camera's own maximum rate was reached.
    MaxFps,
    /// Frame: nobody wants so many.
    NotDemanded,
    /// Frame: memory for its size was being made ready.
    EpochOpening,
    /// Frame: there is no export for it (no memory, another writer); the status says why.
    NoExport,
    /// Frame: the copies before it were not done yet.
    InFlight,
    /// Frame: it lies in other memory than those before it, whose copies were not done yet.
    EngineChange,
    /// Frame: its GPU is lost.
    GpuLost,
    /// Frame: every slot was still promised to readers.
    Lease,
    /// Frame: of a size or kind that can't be exported.
    Unsupported,
    /// Frame: its copy failed.
    CopyFailed,
}

impl DropReason {
    /// Whether packets are dropped for it, and not frames.
    pub fn is_of_packets(self) -> bool {
        use DropReason::{BeforeKey, Idle, LeftOut, Overload, Undecodable};
        matches!(self, BeforeKey | Overload | Idle | Undecodable | LeftOut)
    }

    /// Whether nobody wanted what is dropped for it, so that it is no loss.
    pub fn is_unwanted(self) -> bool {
        use DropReason::{BeforeReader, Idle, MaxFps, NoReader, NotDemanded};
        matches!(self, Idle | NoReader | BeforeReader | MaxFps | NotDemanded)
    }
}

impl Reason for DropReason {
    fn index(self) -> usize {
        self as usize
    }
}

/// Why a packet is in no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum NotRecorded {
    /// The recorder did not keep up; dropped to the next key frame.
    Overload,
    /// No key frame had come yet.
    BeforeKey,
    /// No file could be written.
    Unwritable,
    /// MP4 has no place for it.
    Unsupported,
    /// The recorder had ended.
    Ended,
}

impl Reason for NotRecorded {
    fn index(self) -> usize {
        self as usize
    }
}

/// Why a picture or a packet did not go out to the producer's transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum NotProduced {
    /// Picture: no key frame had come yet.
    BeforeKey,
    /// Picture: the ones before it were not sent yet.
    Overload,
    /// Picture: the stream can't be passed on; the reason says why.
    Refused,
    /// Frame: the ones before it were not encoded yet.
    Encoder,
    /// Frame: it could not be encoded.
    NotEncoded,
    /// Packet: the socket's buffer was full.
    SocketFull,
    /// Packet: nobody was at the other end.
    PeerGone,
    /// Packet: the system did not send it; the reason says why.
    NotSent,
}

impl Reason for NotProduced {
    fn index(self) -> usize {
        self as usize
    }
}

/// A counter for each reason. Each only rises and is exact; a set of them read together is not one moment.
#[derive(Debug)]
pub struct DropCounters<R> {
    counts: Box<[AtomicU64]>,
    reasons: PhantomData<R>,
}

impl<R: Reason> DropCounters<R> {
    /// Counts `count` more that were dropped. Waits for nothing and allocates nothing.
    pub fn add(&self, why: R, count: u64) {
        self.counts[why.index()].fetch_add(count, Ordering::Relaxed);
    }

    /// How many were dropped for one reason.
    pub fn get(&self, why: R) -> u64 {
        self.counts[why.index()].load(Ordering::Relaxed)
    }

    /// All of them by the reasons' words, in the order of the reasons, those that are 0 included.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        R::VARIANTS.iter().map(|why| ((*why).into(), self.get(*why)))
    }

    /// The same for the status.
    pub fn by_reason(&self) -> BTreeMap<String, u64> {
        self.iter().map(|(word, count)| (word.to_owned(), count)).collect()
    }
}

impl<R: Reason> Default for DropCounters<R> {
    fn default() -> Self {
        let counts = R::VARIANTS.iter().map(|_| AtomicU64::new(0)).collect();
        Self { counts, reasons: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_reason_has_its_own_place_and_word<R: Reason>() {
        let counters = DropCounters::<R>::default();
        for (n, why) in R::VARIANTS.iter().enumerate() {
            counters.add(*why, n as u64 + 1);
            assert_eq!(why.index(), n, "{}", (*why).into());
        }
        let by_reason = counters.by_reason();
        for (n, why) in R::VARIANTS.iter().enumerate() {
            assert_eq!(
                (counters.get(*why), by_reason[(*why).into()]),
                (n as u64 + 1, n as u64 + 1)
            );
        }
    }

    #[test]
    fn no_reason_is_counted_as_another() {
        each_reason_has_its_own_place_and_word::<DropReason>();
        each_reason_has_its_own_place_and_word::<NotRecorded>();
        each_reason_has_its_own_place_and_word::<NotProduced>();
    }
}
