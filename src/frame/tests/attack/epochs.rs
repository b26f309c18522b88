//! Epochs that change faster than anybody can read: no reader ever combines the meta of one with the data
//! of another.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::part::{self, Part};
use super::rig::{
    Scratch, Stop, claim, epoch, open, open_again_and_again, options, publish, size, until,
};

/// Epochs of each writer.
const LIFE: u64 = 64;

/// A sequence of writers. Every other epoch gets new, larger files, the rest reuse the pages.
pub(crate) fn change(root: &Path, count: u64) {
    let mut export = None;
    for change in 0..count {
        if change % LIFE == 0 {
            drop(export.take());
            export = Some(claim(root).unwrap());
        }
        let export = export.as_mut().unwrap();
        let step = change % LIFE;
        let width = if step.is_multiple_of(2) { 64 + 64 * step as u32 } else { 64 };
        let mut writer = open(export, size(width, 16), options(2, Duration::ZERO)).unwrap();
        let (id, epoch) = (export.first_frame_id() + 2 * step, epoch(&root.join("gate")));
        (id..id + 2).for_each(|id| publish(&mut writer, id, epoch).unwrap());
    }
    eprintln!("changed {count}");
}

fn changes(count: u64) {
    let place = Scratch::new();
    let root = place.root();
    let stop = AtomicBool::new(false);
    let words = [count.to_string()];
    let (opened, frames) = std::thread::scope(|scope| {
        let guard = Stop(&stop);
        let mut writer = Part::start(part::command("epochs::change", &root, &[&words[0]]));
        until("export", || place.camera().exists());
        let readers: Vec<_> =
            (0..3).map(|_| scope.spawn(|| open_again_and_again(&root, &stop))).collect();
        writer.number("changed");
        drop(guard);
        assert!(writer.ended().success());
        let sum = |a: (u64, u64), b: (u64, u64)| (a.0 + b.0, a.1 + b.1);
        readers.into_iter().map(|reader| reader.join().unwrap()).fold((0, 0), sum)
    });
    place.is_left_empty();
    assert!(frames > count / 100, "{frames}");
    println!("epochs: {count}, opened at random: {opened}, frames checked to the byte: {frames}");
    assert!(stop.load(Ordering::Relaxed));
}

#[test]
fn ten_thousand_epochs() {
    changes(10_000);
}

#[test]
#[ignore = "takes minutes: make test-long"]
fn a_hundred_thousand_epochs() {
    changes(100_000);
}
