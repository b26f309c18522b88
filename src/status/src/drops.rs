//! What was dropped, and why. Every drop has exactly one reason.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use strum::{EnumString, IntoStaticStr, VariantArray};

/// The drop reasons of one part of the service, each with its word in the status.
pub trait Reason: Copy + VariantArray + Into<&'static str> {
    /// Its index in [`VariantArray::VARIANTS`].
    fn index(self) -> usize;
}

/// Why a packet or a frame of a camera did not reach readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray, IntoStaticStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum DropReason {
    /// Packet: it came before the first key frame of a stream.
    BeforeKey,
    /// Packet: decoding did not keep up; dropped up to the next key frame.
    Overload,
    /// Packet: not decoded, since nothing wanted frames.
    Idle,
    /// Packet: the decoder could not decode it.
    Undecodable,
    /// Packet: the camera's `decode_frames` leaves it out.
    LeftOut,
    /// Frame: no reader was attached.
    NoReader,
    /// Frame: it had arrived before its readers attached, and was decoded only for those that
    /// followed.
    BeforeReader,
    /// Frame: the camera's own maximum rate was reached.
    MaxFps,
    /// Frame: no reader wants so high a rate.
    NotDemanded,
    /// Frame: memory for its size was being prepared.
    EpochOpening,
    /// Frame: there is no export for it (no memory, another writer); the status says why.
    NoExport,
    /// Frame: too many earlier copies were unfinished.
    InFlight,
    /// Frame: it lies in other memory than earlier ones, whose copies were unfinished.
    EngineChange,
    /// Frame: its GPU is lost.
    GpuLost,
    /// Frame: every slot was still leased to readers.
    Lease,
    /// Frame: its size or format can't be exported.
    Unsupported,
    /// Frame: its copy failed.
    CopyFailed,
}

impl DropReason {
    /// Whether this reason applies to packets rather than frames.
    pub fn is_of_packets(self) -> bool {
        use DropReason::{BeforeKey, Idle, LeftOut, Overload, Undecodable};
        matches!(self, BeforeKey | Overload | Idle | Undecodable | LeftOut)
    }

    /// Whether what is dropped for it was unwanted, and so is no loss.
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
    /// The recorder did not keep up; dropped up to the next key frame.
    Overload,
    /// No key frame had come yet.
    BeforeKey,
    /// No file could be written.
    Unwritable,
    /// MP4 can't hold it.
    Unsupported,
    /// The recorder had ended.
    Ended,
}

impl Reason for NotRecorded {
    fn index(self) -> usize {
        self as usize
    }
}

/// Why a picture or a packet was not sent to the producer's transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum NotProduced {
    /// Picture: no key frame had come yet.
    BeforeKey,
    /// Picture: too many earlier ones were unsent.
    Overload,
    /// Picture: the stream can't be passed on; the reason says why.
    Refused,
    /// Frame: too many earlier ones were not encoded yet.
    Encoder,
    /// Frame: it could not be encoded.
    NotEncoded,
    /// Packet: the socket's buffer was full.
    SocketFull,
    /// Packet: nothing listened at the other end.
    PeerGone,
    /// Packet: the system did not send it; the reason says why.
    NotSent,
    /// Picture or frame: the producer was not running; the reason says why.
    NotRunning,
}

impl Reason for NotProduced {
    fn index(self) -> usize {
        self as usize
    }
}

/// A counter for each reason. Each only rises and is exact; a set read together is no snapshot.
#[derive(Debug)]
pub struct DropCounters<R> {
    counts: Box<[AtomicU64]>,
    reasons: PhantomData<R>,
}

impl<R: Reason> DropCounters<R> {
    /// Adds `count` drops. Never waits or allocates.
    pub fn add(&self, why: R, count: u64) {
        self.counts[why.index()].fetch_add(count, Ordering::Relaxed);
    }

    /// How many were dropped for one reason.
    pub fn get(&self, why: R) -> u64 {
        self.counts[why.index()].load(Ordering::Relaxed)
    }

    /// All counts by the reasons' words, in the order of the reasons, zeros included.
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
