//! Packets on their way from demux to a branch: bounded, and the demux thread never waits.
//!
//! Without demand for decoded frames the queue is parked: nothing comes out, and it keeps the
//! packets since the last key frame, so that decoding can begin as soon as there is demand.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use vas_media::{Coalescing, Packet, StreamInfo, monotonic_ns};

use super::wakeup::Wakeup;

/// Most bytes that are kept while parked: 10 s at 6 Mbit/s. Beyond that, the queue waits for the
/// next key frame.
const MAX_PARKED_BYTES: usize = 8 << 20;

/// What a packet takes beyond its data: FFmpeg's structures and the allocator's. A camera that
/// sends tiny pictures must not be able to fill the memory with these.
const PACKET_BYTES: usize = 512;

/// Limits of a branch's queue. Neither is ever exceeded by more than one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of packets.
    pub bytes: usize,
    /// The longest that the oldest packet may have waited in the queue when another one comes, and half of it
    /// when that is a key frame; `None`: no limit.
    pub wait: Option<Duration>,
}

/// An item of a branch's work, in order.
#[derive(Debug)]
pub enum Item<P = Packet, S = StreamInfo> {
    /// A stream begins: later packets belong to it.
    Stream(Box<S>),
    /// A packet of the stream.
    Packet(P),
    /// The stream is over; frames held back for reordering are due now.
    End,
}

impl<P: Queued, S> Item<P, S> {
    fn bytes(&self) -> usize {
        match self {
            Self::Packet(packet) => packet.bytes(),
            Self::Stream(_) | Self::End => 0,
        }
    }
}

/// What the queue needs to know of a packet.
pub trait Queued {
    /// Bytes that it holds.
    fn bytes(&self) -> usize;
    /// Whether decoding can begin with it.
    fn is_key(&self) -> bool;
    /// Whether it is sound, which stays with the pictures around it and is not counted.
    fn is_sound(&self) -> bool {
        false
    }
    /// Marks that packets before it are missing.
    fn mark_discontinuity(&mut self);
}

impl Queued for Packet {
    fn bytes(&self) -> usize {
        self.size() + PACKET_BYTES
    }

    fn is_key(&self) -> bool {
        Packet::is_key(self)
    }

    fn is_sound(&self) -> bool {
        Packet::is_sound(self)
    }

    fn mark_discontinuity(&mut self) {
        self.set_discontinuity(true);
    }
}

/// What happened to a packet that was pushed, and to those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Packets dropped because the branch can't keep up.
    pub overload: u64,
    /// Packets dropped because their stream has had no key frame yet.
    pub before_key: u64,
    /// Packets dropped because there was no demand for their pictures.
    pub idle: u64,
    /// Packets dropped because their branch had not started yet.
    pub not_running: u64,
    /// Packets dropped because the queue is closed: its branch has ended.
    pub closed: u64,
}

impl Pushed {
    fn count(&mut self, gap: Gap, packets: u64) {
        *match gap {
            Gap::StreamStart => &mut self.before_key,
            Gap::Overload => &mut self.overload,
            Gap::Idle => &mut self.idle,
            Gap::NotRunning => &mut self.not_running,
        } += packets;
    }
}

/// A bounded queue whose writer never waits. When it is full it drops whole runs, up to a key
/// frame, so that nothing is decoded with part of its references missing.
#[derive(Debug)]
pub struct PacketQueue<P = Packet, S = StreamInfo> {
    inner: Mutex<Inner<P, S>>,
    filled: Condvar,
    /// For a reader that waits for other events, too.
    wakeup: OnceLock<Arc<Wakeup>>,
    /// Where it counts as a consumer that needs each packet as it arrives, while it is neither parked nor closed.
    coalescing: Option<Coalescing>,
}

#[derive(Debug)]
struct Inner<P, S> {
    limits: Limits,
    items: VecDeque<Waiting<P, S>>,
    bytes: usize,
    waits_for_key: Option<Gap>,
    parked: bool,
    /// Takes no packets: nothing reads it yet.
    held: bool,
    /// When it was last unparked: time spent waiting before that does not count.
    unparked_ns: u64,
    closed: bool,
}

/// A queued item.
#[derive(Debug)]
struct Waiting<P, S> {
    item: Item<P, S>,
    /// When it was queued (`CLOCK_MONOTONIC`, nanoseconds). Its arrival says nothing of the reader: a client that
    /// reads ahead may deliver pictures at once that arrived seconds apart.
    since_ns: u64,
}

/// Why the next packet must be a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    StreamStart,
    Overload,
    Idle,
    NotRunning,
}

impl<P: Queued, S> PacketQueue<P, S> {
    /// An empty queue.
    pub fn new(limits: Limits) -> Self {
        let inner = Inner {
            limits,
            items: VecDeque::new(),
            bytes: 0,
            waits_for_key: None,
            parked: false,
            held: false,
            unparked_ns: 0,
            closed: false,
        };
        Self {
            inner: Mutex::new(inner),
            filled: Condvar::new(),
            wakeup: OnceLock::new(),
            coalescing: None,
        }
    }

    /// Has the source read each packet as it arrives, except while the queue is parked.
    pub(super) fn prompt(self, coalescing: &Coalescing) -> Self {
        coalescing.begin_prompt();
        Self { coalescing: Some(coalescing.clone()), ..self }
    }

    /// Begins a stream; its first packet will be a key frame, and marked.
    pub fn push_stream(&self, stream: S) -> Pushed {
        let mut dropped = Pushed::default();
        let mut inner = self.lock();
        if inner.closed {
            return dropped;
        }
        if inner.parked {
            // There can be no demand for a stream that is over.
            dropped.idle = inner.drop_packets();
            inner.items.clear();
        }
        inner.add(Item::Stream(Box::new(stream)), 0);
        inner.waits_for_key = Some(Gap::StreamStart);
        drop(inner);
        self.wake();
        dropped
    }

    /// Ends a stream.
    pub fn push_end(&self) -> Pushed {
        let mut dropped = Pushed::default();
        let mut inner = self.lock();
        if inner.closed {
            return dropped;
        }
        if inner.parked {
            dropped.idle = inner.drop_packets();
        }
        inner.add(Item::End, 0);
        inner.drop_empty_streams();
        drop(inner);
        self.wake();
        dropped
    }

    /// Adds a packet, drops it, or drops queued packets in its favour. Never waits for the reader.
    pub fn push(&self, packet: P) -> Pushed {
        self.push_at(packet, monotonic_ns())
    }

    /// [`push`](Self::push), at `now_ns` (`CLOCK_MONOTONIC`).
    fn push_at(&self, mut packet: P, now_ns: u64) -> Pushed {
        let mut dropped = Pushed::default();
        let mut inner = self.lock();
        if inner.closed {
            dropped.closed = u64::from(!packet.is_sound());
            return dropped;
        }
        if inner.held {
            inner.waits_for_key = Some(Gap::NotRunning);
            dropped.not_running = u64::from(!packet.is_sound());
            return dropped;
        }
        let gap = if inner.parked { Gap::Idle } else { Gap::Overload };
        let full = inner.is_full_for(&packet, now_ns);
        // A key frame replaces packets that wait too long, and all that a parked queue keeps. A run
        // that a parked queue can't keep whole is worthless.
        let replaces = if packet.is_key() { full || inner.parked } else { full && inner.parked };
        let replaced = if replaces { inner.drop_packets() } else { 0 };
        dropped.count(gap, replaced);
        if full || replaced > 0 {
            inner.waits_for_key.get_or_insert(gap);
        }
        match inner.waits_for_key {
            Some(gap) if !packet.is_key() => {
                dropped.count(gap, u64::from(!packet.is_sound()));
                return dropped;
            }
            Some(_) => {
                packet.mark_discontinuity();
                inner.waits_for_key = None;
            }
            None => {}
        }
        inner.bytes += packet.bytes();
        inner.add(Item::Packet(packet), now_ns);
        let parked = inner.parked;
        drop(inner);
        if !parked {
            self.wake();
        }
        dropped
    }

    /// Takes no packets until [`release`](Self::release), only the starts and ends of streams:
    /// there is no reader yet. Returns what was dropped.
    pub(super) fn hold(&self) -> Pushed {
        let mut inner = self.lock();
        inner.held = true;
        let not_running = inner.drop_packets();
        if not_running > 0 {
            inner.waits_for_key = Some(Gap::NotRunning);
        }
        Pushed { not_running, ..Pushed::default() }
    }

    /// Takes packets again, from the next key frame on.
    pub(super) fn release(&self) {
        self.lock().held = false;
    }

    /// Parks the queue, unless `wanted`: from now on nothing comes out, and only packets since the
    /// last key frame are kept, including those that already wait: a thread that starts late on a
    /// busy machine parks a queue that has its first key frame. Returns what was dropped; `None`
    /// when it was not parked.
    pub(super) fn park_unless(&self, wanted: impl FnOnce() -> bool) -> Option<Pushed> {
        let mut inner = self.lock();
        // Under the lock. Partner: the store before `unpark` in `Demand::begin`.
        if wanted() {
            return None;
        }
        let was_prompt = inner.is_prompt();
        inner.parked = true;
        if was_prompt {
            self.coalescing.iter().for_each(Coalescing::end_prompt);
        }
        let idle = inner.keep_last_run();
        if inner.bytes == 0 {
            inner.waits_for_key.get_or_insert(Gap::Idle);
        }
        Some(Pushed { idle, ..Pushed::default() })
    }

    /// Releases what was kept, and what follows.
    pub(super) fn unpark(&self, now_ns: u64) {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.parked) {
            inner.unparked_ns = now_ns;
            if inner.is_prompt() {
                self.coalescing.iter().for_each(Coalescing::begin_prompt);
            }
        }
        drop(inner);
        self.wake();
    }

    /// Takes the next item, waiting for it; `None` once closed.
    pub fn pop(&self) -> Option<Item<P, S>> {
        let mut inner = self.lock();
        loop {
            match inner.take() {
                Taken::Item(item) => return Some(item),
                Taken::Closed => return None,
                Taken::Nothing => {
                    inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Takes the next item, waiting up to `longest`, or without limit. May wait longer.
    pub(super) fn pop_within(&self, longest: Option<Duration>) -> Taken<P, S> {
        let mut inner = self.lock();
        loop {
            let taken = inner.take();
            if !matches!(taken, Taken::Nothing) {
                return taken;
            }
            let Some(longest) = longest else {
                inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waited = self.filled.wait_timeout(inner, longest);
            let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            inner = guard;
            if waited.timed_out() {
                return inner.take();
            }
        }
    }

    /// Takes the next item if there is one.
    pub fn try_pop(&self) -> Taken<P, S> {
        self.lock().take()
    }

    /// Signals `wakeup` from now on whenever there may be something to take. The first one stays.
    pub fn wakes(&self, wakeup: &Arc<Wakeup>) {
        let _ = self.wakeup.set(Arc::clone(wakeup));
        // For what came before.
        wakeup.signal();
    }

    fn wake(&self) {
        self.filled.notify_one();
        if let Some(wakeup) = self.wakeup.get() {
            wakeup.signal();
        }
    }

    /// Ends the queue: nothing more goes in or comes out.
    pub fn close(&self) {
        let mut inner = self.lock();
        if inner.is_prompt() {
            self.coalescing.iter().for_each(Coalescing::end_prompt);
        }
        inner.closed = true;
        inner.items.clear();
        inner.bytes = 0;
        drop(inner);
        self.filled.notify_all();
        self.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Inner<P, S>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result for a reader that does not wait.
#[derive(Debug)]
pub enum Taken<P, S> {
    /// The next item.
    Item(Item<P, S>),
    /// The queue is empty.
    Nothing,
    /// The queue is closed and yields nothing more.
    Closed,
}

impl<P, S> Waiting<P, S> {
    fn is_packet(&self) -> bool {
        matches!(self.item, Item::Packet(_))
    }
}

impl<P: Queued, S> Inner<P, S> {
    /// Whether something waits for each packet.
    fn is_prompt(&self) -> bool {
        !self.parked && !self.closed
    }

    fn take(&mut self) -> Taken<P, S> {
        if self.closed {
            return Taken::Closed;
        }
        if self.parked {
            return Taken::Nothing;
        }
        let Some(Waiting { item, .. }) = self.items.pop_front() else { return Taken::Nothing };
        if let Item::Packet(packet) = &item {
            self.bytes -= packet.bytes();
        }
        Taken::Item(item)
    }

    fn add(&mut self, item: Item<P, S>, since_ns: u64) {
        self.items.push_back(Waiting { item, since_ns });
    }

    fn is_full_for(&self, packet: &P, now_ns: u64) -> bool {
        let oldest = self.items.iter().find(|waiting| waiting.is_packet());
        let oldest = oldest.map(|waiting| waiting.since_ns);
        let bytes = self.bytes + packet.bytes();
        // A single packet always fits, however large.
        oldest.is_some_and(|oldest| {
            if self.parked {
                return bytes > MAX_PARKED_BYTES;
            }
            let waited = now_ns.saturating_sub(oldest.max(self.unparked_ns));
            let Limits { bytes: most, wait } = self.limits;
            // At a key frame the reader can restart, so it is brought up to date at half the limit:
            // what it reads has then waited at most that long, plus until the next key frame.
            let wait = wait.map(|wait| if packet.is_key() { wait / 2 } else { wait });
            bytes > most || wait.is_some_and(|wait| u128::from(waited) > wait.as_nanos())
        })
    }

    /// Drops the packets but keeps, in order, the starts and ends of streams that the reader may
    /// know of.
    fn drop_packets(&mut self) -> u64 {
        let is_picture = |waiting: &&Waiting<P, S>| matches!(&waiting.item, Item::Packet(packet) if !packet.is_sound());
        let pictures = self.items.iter().filter(is_picture).count();
        self.items.retain(|waiting| !waiting.is_packet());
        self.bytes = 0;
        self.drop_empty_streams();
        pictures as u64
    }

    /// Drops what is older than the newest key frame at which decoding could begin, otherwise all
    /// packets.
    fn keep_last_run(&mut self) -> u64 {
        let is_key = |waiting: &Waiting<P, S>| matches!(&waiting.item, Item::Packet(packet) if packet.is_key());
        let Some(key) = self.items.iter().rposition(is_key) else { return self.drop_packets() };
        let mut later = self.items.split_off(key);
        let dropped = self.drop_packets();
        let first = later.front_mut().filter(|_| dropped > 0);
        if let Some(Waiting { item: Item::Packet(packet), .. }) = first {
            packet.mark_discontinuity();
        }
        if later.iter().all(Waiting::is_packet) {
            self.bytes = later.iter().map(|waiting| waiting.item.bytes()).sum();
            self.items.extend(later);
            return dropped;
        }
        // Its stream is over: there can be no demand for it.
        self.items.extend(later);
        dropped + self.drop_packets()
    }

    /// Drops streams that are over and empty: a reader that hangs must not accumulate one for each
    /// time that its camera is retried.
    fn drop_empty_streams(&mut self) {
        let mut at = 0;
        while let (Some(one), Some(next)) = (self.items.get(at), self.items.get(at + 1)) {
            if matches!((&one.item, &next.item), (Item::Stream(_), Item::End)) {
                self.items.drain(at..at + 2);
            } else {
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
