//! What was received, decoded, exported and dropped, and why.

use std::sync::atomic::{AtomicU64, Ordering};

use super::queue::Pushed;

/// Why a packet or a frame went no further. Nothing is dropped under another heading, or under none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
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
    /// Every reason, in the order of the status.
    pub(crate) const ALL: [(Self, &str); 17] = [
        (Self::BeforeKey, "before_key"),
        (Self::Overload, "overload"),
        (Self::Idle, "idle"),
        (Self::Undecodable, "undecodable"),
        (Self::LeftOut, "left_out"),
        (Self::NoReader, "no_reader"),
        (Self::BeforeReader, "before_reader"),
        (Self::MaxFps, "max_fps"),
        (Self::NotDemanded, "not_demanded"),
        (Self::EpochOpening, "epoch_opening"),
        (Self::NoExport, "no_export"),
        (Self::InFlight, "in_flight"),
        (Self::EngineChange, "engine_change"),
        (Self::GpuLost, "gpu_lost"),
        (Self::Lease, "lease"),
        (Self::Unsupported, "unsupported"),
        (Self::CopyFailed, "copy_failed"),
    ];
}

impl DropReason {
    /// Whether it is packets, and not frames, that are dropped for the reason of this name.
    pub(crate) fn is_of_packets(name: &str) -> bool {
        let why = Self::ALL.iter().find(|(_, known)| *known == name).map(|(why, _)| *why);
        matches!(
            why,
            Some(Self::BeforeKey | Self::Overload | Self::Idle | Self::Undecodable | Self::LeftOut)
        )
    }
}

/// Counters of one input. They only rise; each is exact, and a set of them read together is not one
/// moment.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    received: AtomicU64,
    received_bytes: AtomicU64,
    decoded: AtomicU64,
    exported: AtomicU64,
    marked: AtomicU64,
    reconnects: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
}

impl Counters {
    pub(crate) fn received_packet(&self, bytes: usize) {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn decoded_frame(&self) {
        self.decoded.fetch_add(1, Ordering::Relaxed);
    }

    /// A frame was published; `marked`: as corrupt, or after a loss.
    pub(crate) fn exported_frame(&self, marked: bool) {
        self.exported.fetch_add(1, Ordering::Relaxed);
        if marked {
            self.marked.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self, why: DropReason) {
        self.dropped_many(why, 1);
    }

    pub(crate) fn dropped_many(&self, why: DropReason, count: u64) {
        self.dropped[why as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// What the queue before the decoder dropped.
    pub(super) fn pushed(&self, dropped: Pushed) {
        // As nearly always. Adding nothing would cost four atomic additions with each packet.
        if dropped == Pushed::default() {
            return;
        }
        self.dropped_many(DropReason::Overload, dropped.overload);
        self.dropped_many(DropReason::BeforeKey, dropped.before_key);
        self.dropped_many(DropReason::Idle, dropped.idle);
        self.dropped_many(DropReason::Undecodable, dropped.closed);
    }

    /// Packets received.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes of the packets received.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    /// Frames decoded.
    pub(crate) fn decoded(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed)
    }

    /// Frames published.
    pub(crate) fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Frames published with a mark.
    pub(crate) fn marked(&self) -> u64 {
        self.marked.load(Ordering::Relaxed)
    }

    /// Connections lost and tried again.
    pub(crate) fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// What was dropped for one reason.
    pub(crate) fn drops(&self, why: DropReason) -> u64 {
        self.dropped[why as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_place_and_name() {
        let counters = Counters::default();
        for (n, (why, _)) in DropReason::ALL.iter().enumerate() {
            counters.dropped_many(*why, n as u64 + 1);
        }
        for (n, (why, name)) in DropReason::ALL.iter().enumerate() {
            assert_eq!(counters.drops(*why), n as u64 + 1, "{name}");
            assert_eq!(*why as usize, n, "{name} is in its place");
        }
    }
}
