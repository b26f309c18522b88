use std::time::Duration;

use super::*;

const MAX_BYTES: usize = 32 << 20;
const LIMITS: Limits = Limits { bytes: MAX_BYTES, wait: Some(Duration::from_secs(2)) };

#[derive(Debug, PartialEq, Eq)]
struct Fake {
    id: u32,
    key: bool,
    bytes: usize,
    at_ms: u64,
    marked: bool,
}

impl Queued for Fake {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_key(&self) -> bool {
        self.key
    }

    fn mark_discontinuity(&mut self) {
        self.marked = true;
    }
}

type Queue = PacketQueue<Fake, &'static str>;

impl Queue {
    /// Pushes at the packet's own time.
    fn push_due(&self, packet: Fake) -> Pushed {
        let now_ns = packet.at_ms * 1_000_000;
        self.push_at(packet, now_ns)
    }
}

fn packet(id: u32, key: bool) -> Fake {
    Fake { id, key, bytes: 1000, at_ms: 0, marked: false }
}

/// Empties the queue: ids, with a mark after those that begin after a gap.
fn drain(queue: &Queue) -> Vec<String> {
    queue.push_stream("last");
    let mut out = Vec::new();
    loop {
        match queue.pop().unwrap() {
            Item::Stream(name) if *name == "last" => return out,
            Item::Stream(name) => out.push(name.to_string()),
            Item::Packet(p) => out.push(format!("{}{}", p.id, if p.marked { "!" } else { "" })),
            Item::End => out.push("end".into()),
        }
    }
}

#[test]
fn a_stream_begins_with_a_key_frame() {
    let queue = Queue::new(LIMITS);
    queue.push_stream("a");
    assert_eq!(queue.push_due(packet(1, false)), Pushed { before_key: 1, ..Pushed::default() });
    assert_eq!(queue.push_due(packet(2, true)), Pushed::default());
    assert_eq!(queue.push_due(packet(3, false)), Pushed::default());
    queue.push_end();
    assert_eq!(drain(&queue), ["a", "2!", "3", "end"]);
}

#[test]
fn streams_of_which_nothing_is_left_do_not_pile_up() {
    let queue = Queue::new(LIMITS);
    for id in 0..100 {
        queue.push_stream("tried");
        if id % 2 == 0 {
            queue.push_due(Fake { bytes: MAX_BYTES, ..packet(id, true) });
        }
        queue.push_end();
    }
    queue.push_stream("now");
    assert_eq!(drain(&queue), ["tried", "98!", "end", "now"]);
    // The end of a stream that the reader knows of is kept.
    let queue = Queue::new(LIMITS);
    queue.push_stream("a");
    queue.pop();
    queue.push_end();
    queue.push_stream("b");
    queue.push_end();
    assert_eq!(drain(&queue), ["end"]);
}

#[test]
fn a_queue_that_is_held_takes_no_packet_and_begins_with_a_key_frame_later() {
    let queue = Queue::new(LIMITS);
    let missed = |count| Pushed { not_running: count, ..Pushed::default() };
    queue.push_stream("z");
    queue.push_due(packet(1, true));
    assert_eq!(queue.hold(), missed(1));
    assert_eq!(queue.hold(), missed(0));
    assert_eq!(queue.push_due(packet(2, false)), missed(1));
    queue.push_end();
    for stream in ["a", "b"] {
        queue.push_stream(stream);
        assert_eq!(queue.push_due(packet(1, true)), missed(1));
        queue.push_end();
    }
    queue.push_stream("c");
    assert_eq!(queue.push_due(packet(2, true)), missed(1));
    queue.release();
    assert_eq!(queue.push_due(packet(3, false)), missed(1));
    assert_eq!(queue.push_due(packet(4, true)), Pushed::default());
    assert_eq!(drain(&queue), ["c", "4!"]);
    // A reader that was there in time misses nothing.
    let queue = Queue::new(LIMITS);
    queue.hold();
    queue.release();
    queue.push_stream("a");
    assert_eq!(queue.push_due(packet(1, true)), Pushed::default());
    assert_eq!(drain(&queue), ["a", "1!"]);
}

#[test]
fn too_many_bytes_drop_to_the_next_key_frame() {
    let queue = Queue::new(LIMITS);
    let large = |id, key| Fake { bytes: MAX_BYTES / 2, ..packet(id, key) };
    assert_eq!(queue.push_due(large(1, true)), Pushed::default());
    assert_eq!(queue.push_due(large(2, false)), Pushed::default());
    for id in 3..6 {
        assert_eq!(queue.push_due(large(id, false)).overload, 1);
    }
    // There is room again, but its references are gone.
    queue.pop();
    assert_eq!(queue.push_due(large(6, false)).overload, 1);
    assert_eq!(queue.push_due(large(7, true)), Pushed::default());
    assert_eq!(drain(&queue), ["2", "7!"]);
}

#[test]
fn a_key_frame_takes_the_place_of_what_waits_too_long() {
    let queue = Queue::new(LIMITS);
    let at = |id, key, at_ms| Fake { at_ms, ..packet(id, key) };
    queue.push_due(at(1, true, 0));
    queue.push_due(at(2, false, 1900));
    assert_eq!(queue.push_due(at(3, false, 2100)).overload, 1);
    assert_eq!(queue.push_due(at(4, true, 2200)).overload, 2);
    assert_eq!(drain(&queue), ["4!"]);
}

#[test]
fn a_key_frame_brings_a_late_reader_up_to_date_before_anything_is_refused() {
    let queue = Queue::new(LIMITS);
    let at = |id, key, at_ms| Fake { at_ms, ..packet(id, key) };
    queue.push_due(at(1, true, 0));
    assert_eq!(queue.push_due(at(2, false, 1500)), Pushed::default());
    assert_eq!(queue.push_due(at(3, true, 1600)).overload, 2);
    queue.push_due(at(4, false, 2000));
    assert_eq!(queue.push_due(at(5, true, 2600)), Pushed::default());
    assert_eq!(drain(&queue), ["3!", "4", "5"]);
}

/// The age limit, with a decoder that takes three times the duration of a picture.
#[test]
fn under_overload_nothing_is_read_later_than_a_group_of_pictures_and_a_second() {
    for gop in [2, 10, 25, 50] {
        let queue = Queue::new(LIMITS);
        let (mut free_ms, mut worst_ms, mut read) = (0, 0, 0);
        for n in 0..1000 {
            let now_ms = u64::from(n) * 100;
            queue.push_due(Fake { at_ms: now_ms, ..packet(n, n % gop == 0) });
            // All that the decoder begins before the next picture arrives.
            while free_ms < now_ms + 100 && !queue.lock().items.is_empty() {
                let Some(Item::Packet(next)) = queue.pop() else { panic!("only packets") };
                let begun_ms = free_ms.max(next.at_ms);
                worst_ms = worst_ms.max(begun_ms - next.at_ms);
                free_ms = begun_ms + 300;
                read += 1;
            }
        }
        let allowed_ms = u64::from(gop) * 100 + 1000;
        assert!(worst_ms <= allowed_ms, "{gop}: {worst_ms} ms");
        assert!(read >= 300, "{gop}: the decoder was not left idle: {read}");
    }
}

#[test]
fn dropping_keeps_the_beginnings_and_ends_of_streams() {
    let at = |id, at_ms| Fake { at_ms, ..packet(id, true) };
    for (is_read, expected) in [(true, &["end", "b", "2!"][..]), (false, &["b", "2!"])] {
        let queue = Queue::new(LIMITS);
        queue.push_stream("a");
        if is_read {
            queue.pop();
        }
        queue.push_due(at(1, 0));
        queue.push_end();
        queue.push_stream("b");
        assert_eq!(queue.push_due(at(2, 9000)).overload, 1);
        assert_eq!(drain(&queue), expected);
    }
}

#[test]
fn a_parked_queue_keeps_what_decoding_could_begin_with() {
    let queue = Queue::new(LIMITS);
    queue.push_stream("a");
    assert_eq!(queue.park_unless(|| true), None);
    assert_eq!(queue.park_unless(|| false), Some(Pushed::default()));
    let at = |id, key, at_ms| Fake { at_ms, ..packet(id, key) };
    queue.push_due(at(1, true, 0));
    queue.push_due(at(2, false, 1000));
    let idle = |n| Pushed { idle: n, ..Pushed::default() };
    assert_eq!(queue.push_due(at(3, true, 2000)), idle(2));
    // However long ago the key frame came, it is needed.
    assert_eq!(queue.push_due(at(4, false, 60_000)), idle(0));
    queue.unpark(60_001_000_000);
    assert_eq!(queue.push_due(at(5, false, 61_000)), idle(0));
    assert_eq!(drain(&queue), ["a", "3!", "4", "5"]);
}

#[test]
fn parking_drops_what_could_no_longer_be_decoded() {
    let queue = Queue::new(LIMITS);
    queue.push_due(packet(1, true));
    queue.push_due(packet(2, false));
    queue.pop();
    let idle = |n| Pushed { idle: n, ..Pushed::default() };
    assert_eq!(queue.park_unless(|| false), Some(idle(1)));
    assert_eq!(queue.push_due(packet(3, false)), idle(1));
    queue.unpark(0);
    assert_eq!(queue.push_due(packet(4, false)), idle(1));
    assert_eq!(queue.push_due(packet(5, true)), idle(0));
    assert_eq!(drain(&queue), ["5!"]);
}

#[test]
fn a_queue_that_is_parked_late_keeps_the_key_frame_that_waits() {
    let idle = |count| Pushed { idle: count, ..Pushed::default() };
    let queue = Queue::new(LIMITS);
    queue.push_stream("a");
    for id in 1..=5 {
        queue.push_due(packet(id, id % 3 == 1));
    }
    assert_eq!(queue.park_unless(|| false), Some(idle(3)));
    assert_eq!(queue.push_due(packet(6, false)), Pushed::default());
    queue.unpark(0);
    assert_eq!(drain(&queue), ["a", "4!", "5", "6"]);
    // Nothing is kept of a stream that is over.
    let queue = Queue::new(LIMITS);
    queue.push_stream("a");
    queue.push_due(packet(1, true));
    queue.push_end();
    queue.push_stream("b");
    assert_eq!(queue.park_unless(|| false), Some(idle(1)));
    queue.unpark(0);
    assert_eq!(drain(&queue), ["b"]);
}

#[test]
fn a_parked_queue_is_bounded_in_bytes_and_in_streams() {
    let queue = Queue::new(LIMITS);
    queue.park_unless(|| false);
    for stream in ["a", "b", "c"] {
        queue.push_stream(stream);
        queue.push_due(packet(1, true));
        assert_eq!(queue.push_end().idle, 1);
    }
    queue.push_stream("d");
    let large = |id, key| Fake { bytes: MAX_PARKED_BYTES / 2, ..packet(id, key) };
    queue.push_due(large(1, true));
    queue.push_due(large(2, false));
    assert_eq!(queue.push_due(large(3, false)).idle, 3);
    assert_eq!(queue.push_due(large(4, false)).idle, 1);
    assert_eq!(queue.push_due(large(5, true)).idle, 0);
    queue.unpark(0);
    assert_eq!(drain(&queue), ["d", "5!"]);
}

#[test]
fn a_lone_packet_always_fits() {
    let queue = Queue::new(LIMITS);
    let huge = Fake { bytes: 10 * MAX_BYTES, ..packet(1, true) };
    assert_eq!(queue.push_due(huge), Pushed::default());
    assert_eq!(drain(&queue), ["1"]);
}

#[test]
fn without_a_limit_of_time_bytes_alone_decide() {
    let queue = Queue::new(Limits { wait: None, ..LIMITS });
    let at = |id, key, at_ms| Fake { at_ms, ..packet(id, key) };
    queue.push_due(at(1, true, 0));
    assert_eq!(queue.push_due(at(2, false, 3_600_000)), Pushed::default());
    assert_eq!(drain(&queue), ["1", "2"]);
}

#[test]
fn a_closed_queue_holds_nothing() {
    let queue = Queue::new(LIMITS);
    queue.push_due(packet(1, true));
    queue.close();
    queue.push_stream("a");
    assert_eq!(queue.push_due(packet(2, true)), Pushed { closed: 1, ..Pushed::default() });
    assert!(queue.lock().items.is_empty());
    assert!(queue.pop().is_none());
}

#[test]
fn closing_ends_a_waiting_reader() {
    let queue = Queue::new(LIMITS);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| queue.pop().is_none());
        queue.close();
        assert!(reader.join().unwrap());
    });
}

#[test]
fn its_source_reads_each_packet_as_it_arrives_unless_parked() {
    let coalescing = Coalescing::new(&vas_media::StopFlag::new());
    let (one, other) =
        (Queue::new(LIMITS).prompt(&coalescing), Queue::new(LIMITS).prompt(&coalescing));
    assert!(!coalescing.is_allowed());
    one.park_unless(|| false);
    one.park_unless(|| false);
    assert!(!coalescing.is_allowed(), "the other one is not parked");
    other.park_unless(|| false);
    assert!(coalescing.is_allowed());
    one.unpark(0);
    one.unpark(0);
    assert!(!coalescing.is_allowed());
    one.close();
    one.close();
    assert!(coalescing.is_allowed(), "nothing takes packets from a closed queue");
    one.unpark(0);
    one.park_unless(|| false);
    other.unpark(0);
    assert!(!coalescing.is_allowed());
}
