//! What was received, decoded, exported and dropped, and why.

use std::sync::atomic::{AtomicU64, Ordering};

use vas_status::{DropCounters, DropReason};

use super::queue::Pushed;

/// Counters of one input. They only rise; each is exact, but a set read together is no snapshot.
#[derive(Debug, Default)]
pub struct Counters {
    received: AtomicU64,
    received_bytes: AtomicU64,
    decoded: AtomicU64,
    exported: AtomicU64,
    marked: AtomicU64,
    reconnects: AtomicU64,
    decode_panics: AtomicU64,
    dropped: DropCounters<DropReason>,
}

impl Counters {
    /// A packet of `bytes` was received.
    pub fn received_packet(&self, bytes: usize) {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A frame was decoded.
    pub fn decoded_frame(&self) {
        self.decoded.fetch_add(1, Ordering::Relaxed);
    }

    /// A frame was published; `marked`: as corrupt, or after a loss.
    pub fn exported_frame(&self, marked: bool) {
        self.exported.fetch_add(1, Ordering::Relaxed);
        if marked {
            self.marked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection was lost and is retried.
    pub fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    /// The decode thread got over a panic.
    pub fn decode_panicked(&self) {
        self.decode_panics.fetch_add(1, Ordering::Relaxed);
    }

    /// A packet or a frame was dropped.
    pub fn dropped(&self, why: DropReason) {
        self.dropped_many(why, 1);
    }

    /// `count` packets or frames were dropped.
    pub fn dropped_many(&self, why: DropReason, count: u64) {
        self.dropped.add(why, count);
    }

    /// Adds what the queue before the decoder dropped.
    pub(super) fn pushed(&self, dropped: Pushed) {
        // The usual case. Adding zeros would cost four atomic additions for each packet.
        if dropped == Pushed::default() {
            return;
        }
        self.dropped_many(DropReason::Overload, dropped.overload);
        self.dropped_many(DropReason::BeforeKey, dropped.before_key);
        self.dropped_many(DropReason::Idle, dropped.idle);
        self.dropped_many(DropReason::Undecodable, dropped.not_running + dropped.closed);
    }

    /// Packets received.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes of the packets received.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    /// Frames decoded.
    pub fn decoded(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed)
    }

    /// Frames published.
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Frames published with a mark.
    pub fn marked(&self) -> u64 {
        self.marked.load(Ordering::Relaxed)
    }

    /// Connections lost and retried.
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// Panics that the decode thread got over.
    pub fn decode_panics(&self) -> u64 {
        self.decode_panics.load(Ordering::Relaxed)
    }

    /// What was dropped, and why.
    pub fn drops(&self) -> &DropCounters<DropReason> {
        &self.dropped
    }
}
