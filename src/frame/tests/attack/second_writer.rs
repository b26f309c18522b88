//! A second writer, from any namespace and at any time: a camera has one holder, and the error names it.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use vas_frame::ExportError;

use super::part::{self, Part};
use super::rig::{
    Scratch, claim, epoch, in_own_namespace, is_root, mount, open, options, publish, size,
};

/// A second writer that tries to claim the camera once per message.
pub(crate) fn try_again(root: &Path) {
    let shown = vas_frame::ExportRoot::open(root, vas_frame::Access::default()).unwrap();
    eprintln!("ready");
    while std::io::stdin().read_line(&mut String::new()).unwrap() > 0 {
        let refused = claim(root).unwrap_err();
        assert!(matches!(refused, ExportError::Held { .. }), "{refused}");
        eprintln!("{refused}");
    }
    drop(shown);
}

fn start(root: &Path) -> Part {
    let mut part = Part::start(part::command("second_writer::try_again", root, &[]));
    assert_eq!(part.word(), "ready");
    part
}

/// Makes it try, and checks that the error names this process.
fn is_refused(part: &mut Part) {
    part.tell("try");
    let words = part.word();
    let us = format!("process {} on", std::process::id());
    assert!(words.contains("camera gate") && words.contains(&us), "{words}");
}

fn refused_before_and_after_a_rename(place: &Scratch, seen_at: &Path) {
    let mut export = claim(&place.root()).unwrap();
    let mut early = start(seen_at);
    is_refused(&mut early);
    for side in [64, 128, 64, 256] {
        let mut writer = open(&mut export, size(side, side), options(2, Duration::ZERO)).unwrap();
        publish(&mut writer, 1, epoch(&place.camera())).unwrap();
        is_refused(&mut early);
        is_refused(&mut start(seen_at));
        assert!(export.housekeep(), "a refused writer changed the holder's files");
    }
    assert!(early.ended().success());
    drop(export);
    place.is_left_empty();
}

#[test]
fn refused_in_this_namespace() {
    let place = Scratch::new();
    refused_before_and_after_a_rename(&place, &place.root());
}

#[test]
fn refused_in_another_mount_namespace() {
    if !is_root("creating a mount namespace") {
        return;
    }
    let place = Scratch::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let parent = place.root().parent().unwrap().to_owned();
    in_own_namespace(|| {
        mount(parent.to_str().unwrap(), elsewhere.path(), None, libc::MS_BIND, "");
        refused_before_and_after_a_rename(&place, &elsewhere.path().join("vas"));
    });
}

#[test]
fn of_two_claims_at_once_one_succeeds() {
    const ROUNDS: usize = 1000;
    let place = Scratch::new();
    let (root, turn) = (place.root(), Barrier::new(2));
    let held = AtomicU64::new(0);
    // Results are asserted at the end: otherwise the other thread would wait for one that failed.
    let race = || {
        let (mut refusals, mut at_once) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            turn.wait();
            let claimed = claim(&root);
            match &claimed {
                Ok(_) => drop(held.fetch_add(1, Ordering::Relaxed)),
                Err(error) => refusals.push(error.to_string()),
            }
            turn.wait();
            at_once.push(held.load(Ordering::Relaxed));
            turn.wait();
            drop(claimed);
            held.store(0, Ordering::Relaxed);
        }
        (refusals, at_once)
    };
    let ended = std::thread::scope(|scope| {
        let threads = [scope.spawn(race), scope.spawn(race)];
        threads.map(|thread| thread.join().unwrap())
    });
    let us = format!(
        "camera gate is already exported by another writer: process {}",
        std::process::id()
    );
    for (refusals, at_once) in &ended {
        assert!(at_once.iter().all(|held| *held == 1), "holders: {at_once:?}");
        refusals.iter().for_each(|words| assert!(words.starts_with(&us), "{words}"));
    }
    let refused = ended.map(|(refusals, _)| refusals.len());
    assert_eq!(refused[0] + refused[1], ROUNDS);
    place.is_left_empty();
    println!(
        "two claims at once, {ROUNDS} times: one holder each time, {refused:?} refused by name"
    );
}

/// A writer that stops removes its files while another is at any point of its claim.
#[test]
fn a_claim_while_another_writer_stops_loses_nothing() {
    const ROUNDS: u32 = 1000;
    let place = Scratch::new();
    let (root, held) = (place.root(), AtomicBool::new(false));
    let live = || {
        for round in 0..ROUNDS {
            let mut export = loop {
                match claim(&root) {
                    Ok(export) => break export,
                    Err(ExportError::Held { .. }) => {}
                    // The last writer removed the export directory.
                    Err(ExportError::Io { error, .. })
                        if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => panic!("{error}"),
                }
            };
            assert!(!held.swap(true, Ordering::Relaxed), "a camera has two holders");
            if round % 4 == 0 {
                open(&mut export, size(64, 16), options(2, Duration::ZERO)).unwrap();
            }
            std::thread::yield_now();
            assert!(export.housekeep(), "the stopping writer removed the new holder's files");
            held.store(false, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(live))));
    place.is_left_empty();
}
