//! Two processes on one ring, as fast as they can: no reader may accept a torn frame.
//!
//! The writer is this same binary in its own process on its own processor, with the real export, ring and
//! stores; its slots have no lease, so they are overwritten all the time. The reader uses every way of
//! reading that the crate offers. A frame's content is derived from its id and differs from any other
//! frame's in every word.
//!
//! - `cargo test -p vas-frame --test hammer` ends after a number of accepted frames, within seconds.
//! - `HAMMER_MINUTES=5 cargo test --release -p vas-frame --test hammer -- --ignored --nocapture` runs
//!   for minutes and prints a table.
//! - `--features mutants` also checks that the hammer can fail.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bare;
mod case;
#[cfg(feature = "mutants")]
mod mutants;
mod picture;
mod reader;
mod writer;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use case::{Case, Stores};
use reader::Tally;

/// Accepted frames, in multiples of the number wanted, after which a run with too few refusals fails:
/// it does not stress the ring.
const PATIENCE: u64 = 50;

/// One test at a time: a hammer needs two processors, and there may be no more.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writer's process runs this test.
#[test]
#[ignore = "started by the other tests"]
fn writer_process() {
    writer::run_if_asked();
}

#[test]
fn tiny_frames_are_whole_or_refused() {
    for slots in [1, 2, 3, 8] {
        for stores in Stores::ALL {
            for size in [(16, 16), (64, 64)] {
                hammer(&Case::new(slots, size, stores), 1_000);
            }
        }
    }
}

#[test]
fn frames_of_4k_are_whole_or_refused() {
    for slots in [1, 4] {
        for stores in [Stores::Cached, Stores::Auto] {
            hammer(&Case::new(slots, (3840, 2160), stores), 30);
        }
    }
}

/// The most sensitive reader.
#[test]
fn a_bare_reader_finds_no_torn_frame_either() {
    let _turn = turn();
    for stores in Stores::ALL {
        let case = Case::new(1, (64, 64), stores);
        let tally = bare::run(&case, |tally| tally.torn == 0 && tally.frames < 20_000);
        println!("{case} {tally}");
        assert_eq!(tally.torn, 0, "{case}: {tally}\n{}", tally.first_torn);
        assert!(tally.accepted > 0 && tally.refused > 0, "{case}: {tally}");
    }
}

/// Reads until `wanted` frames were accepted and a fair part refused.
fn hammer(case: &Case, wanted: u64) {
    let _turn = turn();
    let fair = wanted / 20;
    let tally = reader::run(case, |tally| {
        let done = tally.accepted >= wanted && tally.refused >= fair;
        !done && tally.torn == 0 && tally.accepted < wanted * PATIENCE
    });
    println!("{case} {tally}");
    assert_eq!(tally.torn, 0, "{case}: {tally}\n{}", tally.first_torn);
    assert!(tally.accepted >= wanted && tally.refused >= fair, "{case}: {tally}");
}

#[test]
#[ignore = "takes minutes: HAMMER_MINUTES, 5 unless set"]
fn for_minutes() {
    let _turn = turn();
    let minutes = std::env::var("HAMMER_MINUTES").map_or(5.0, |text| text.parse().unwrap());
    let sizes = [(16, 16), (64, 64), (640, 360), (3840, 2160)];
    let cases: Vec<_> = sizes
        .into_iter()
        .flat_map(|size| Stores::ALL.map(|stores| (size, stores)))
        .flat_map(|(size, stores)| (1..=8).map(move |slots| Case::new(slots, size, stores)))
        .collect();
    let each = Duration::from_secs_f64(minutes * 60.0 / cases.len() as f64);
    println!("{} {}", Case::TITLE, Tally::TITLE);
    let mut torn = 0;
    for case in cases {
        let start = Instant::now();
        let tally = reader::run(&case, |_| start.elapsed() < each);
        println!("{case} {tally}");
        assert!(tally.accepted > 0 && tally.refused > 0, "{case}: {tally}");
        torn += tally.torn;
    }
    assert_eq!(torn, 0);
}
