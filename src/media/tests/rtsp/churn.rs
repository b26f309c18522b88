//! Opening and closing cameras leaks no descriptors, threads or memory.

use std::process::Command;
use std::time::{Duration, Instant};

use vas_harness::{LIMIT, waiting_at_most};
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

/// Overrides the number of reconnects of each kind; the first ones only warm up.
const ROUNDS: &str = "VAS_CHURN_ROUNDS";
const LONG: usize = 220;
const SHORT: usize = 16;
const WARM_UP: usize = 20;
/// Longest wait for sessions to be closed; a timeout is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// In a process of its own, so that the resources of other tests don't count.
#[test]
fn some_reconnects_leak_nothing() {
    let name = "churn::two_hundred_reconnects_leak_nothing";
    let _wait = waiting_at_most(4 * LIMIT, "reconnects in a process of their own");
    let mut alone = Command::new(std::env::current_exe().unwrap());
    let alone = alone.args(["--exact", name, "--ignored", "--nocapture"]);
    let output = alone.env(ROUNDS, SHORT.to_string()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
}

/// Run alone: by `make test-long`, and by `some_reconnects_leak_nothing`.
#[test]
#[ignore = "takes some minutes, and a process of its own: make test-long"]
fn two_hundred_reconnects_leak_nothing() {
    let rounds = std::env::var(ROUNDS).map_or(LONG, |rounds| rounds.parse().unwrap());
    let warm_up = WARM_UP.min(rounds / 2);
    assert!(warm_up > 0, "{ROUNDS}={rounds} is too few");
    for client in [RtspClient::Retina, RtspClient::Ffmpeg] {
        for transport in [Transport::Tcp, Transport::Udp] {
            let camera = Rig::camera(&H264.file(), "", &[]);
            let mut before = held();
            for n in 0..rounds {
                let request = request(camera.url(""), client, transport);
                let mut source = vas_media::open(&request, &StopFlag::new()).unwrap();
                source.next_packet().unwrap();
                // Half of them are closed in order, half dropped as after an error.
                if n % 2 == 0 {
                    source.close();
                }
                if n + 1 == warm_up {
                    before = held();
                }
            }
            // A dropped session is closed asynchronously, which may also affect `before`.
            let start = Instant::now();
            let mut after = held();
            while (after.0 > before.0 || after.1 > before.1) && start.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(20));
                after = held();
            }
            println!("{client:?} {transport:?}: descriptors, threads, KiB {before:?} -> {after:?}");
            assert!(after.0 <= before.0, "{} descriptors more", after.0 - before.0);
            assert!(after.1 <= before.1, "{} threads more", after.1 - before.1);
            assert!(after.2 < before.2 + 2048, "{} KiB more", after.2 - before.2);
        }
    }
}
