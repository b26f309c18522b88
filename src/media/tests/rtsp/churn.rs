//! Opening and closing leaves nothing behind.

use vas_media::{RtspClient, StopFlag, Transport};

use crate::clips::H264;
use crate::rig::{Rig, request};

/// Open descriptors, threads, and resident KiB of this process.
fn held() -> (usize, usize, usize) {
    let count = |dir: &str| std::fs::read_dir(dir).unwrap().count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib = resident.split_whitespace().next().unwrap().parse().unwrap();
    (count("/proc/self/fd"), count("/proc/self/task"), kib)
}

/// Run alone: `cargo test -p vas-media --test rtsp churn -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement of some minutes; its figures are kept in bench/results"]
fn two_hundred_reconnects_leave_nothing() {
    for client in [RtspClient::Retina, RtspClient::Ffmpeg] {
        for transport in [Transport::Tcp, Transport::Udp] {
            let camera = Rig::camera(&H264.file(), "", &[]);
            let mut before = held();
            for n in 0..220 {
                let request = request(camera.url(""), client, transport);
                let mut source = vas_media::open(&request, &StopFlag::new()).unwrap();
                source.next_packet().unwrap();
                // Half of them in order, half as an error would end them.
                if n % 2 == 0 {
                    source.close();
                }
                if n == 19 {
                    before = held();
                }
            }
            let after = held();
            println!("{client:?} {transport:?}: descriptors, threads, KiB {before:?} -> {after:?}");
            assert_eq!((before.0, before.1), (after.0, after.1));
            assert!(after.2 < before.2 + 2048, "200 reconnects took {} KiB", after.2 - before.2);
        }
    }
}
