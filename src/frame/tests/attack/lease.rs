//! Leases hold: a burst drops new frames, never one within its lease.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vas_frame::{FrameRate, Nv12Image, ReadError, Reader, Refused, RingOptions, monotonic_ns};

use super::rig::{Scratch, Stop, claim, epoch, is_right, open, publish, size};

/// Takes every frame that it can and checks each until its lease ends; returns how many it took.
fn hold(mut reader: Reader, stop: &AtomicBool) -> u64 {
    let (mut last, mut frames, mut image) = (0, 0, Nv12Image::default());
    while !stop.load(Ordering::Relaxed) {
        match reader.seek(last).set_timeout(Duration::from_millis(100)).next() {
            Ok(frame) => {
                last = frame.meta().frame_id;
                let until = frame.meta().reuse_not_before_ns;
                loop {
                    let whole = is_right(&frame, &mut image) && frame.still_valid();
                    // Checked first, so the time below is later than the check.
                    if monotonic_ns() >= until {
                        break;
                    }
                    assert!(whole, "frame {last} was lost within its lease");
                    frames += 1;
                }
            }
            Err(ReadError::TimedOut { .. } | ReadError::NotYet { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    frames
}

#[test]
fn thirty_frames_in_ten_milliseconds() {
    const BURSTS: u64 = 40;
    let place = Scratch::new();
    let mut export = claim(&place.root()).unwrap();
    // A camera at 30 fps: 15 slots, a lease of 250 ms.
    let fps = FrameRate { num: 30, den: 1 };
    let options = RingOptions::choose(Some(fps), Duration::from_millis(500), None, 1);
    let mut writer = open(&mut export, size(320, 240), options).unwrap();
    let epoch = epoch(&place.camera());
    let stop = AtomicBool::new(false);
    let (mut published, mut leased, mut id) = (0, 0, 0);
    let looks = std::thread::scope(|scope| {
        let _guard = Stop(&stop);
        let readers: Vec<_> = (0..3).map(|_| place.reader()).collect();
        let readers: Vec<_> =
            readers.into_iter().map(|reader| scope.spawn(|| hold(reader, &stop))).collect();
        for _ in 0..BURSTS {
            for _ in 0..30 {
                id += 1;
                match publish(&mut writer, id, epoch) {
                    Ok(()) => published += 1,
                    Err(Refused::Lease) => leased += 1,
                    Err(Refused::InFlight) => panic!("no copy is in flight"),
                }
                std::thread::sleep(Duration::from_micros(333));
            }
            // A second's frames came in 10 ms; now most of the second passes.
            std::thread::sleep(Duration::from_millis(100));
        }
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum::<u64>()
    });
    assert_eq!(published + leased, 30 * BURSTS);
    assert!(published >= 15 && leased > 0 && looks > 100, "{published} {leased} {looks}");
    println!("{published} published, {leased} refused for the lease, {looks} checks within it");
}
