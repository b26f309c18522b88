//! A hundred sizes, each mapped by a suspended reader: their total memory stays bounded.

use std::path::Path;
use std::time::Duration;

use vas_frame::Nv12Image;

use super::part::{self, Part};
use super::rig::{
    Scratch, camera, claim, epoch, is_right, is_root, on_tmpfs, open, options, publish, size,
    until, used,
};

const CAP: u64 = 64 << 20;

/// A reader that maps the current epoch and is then suspended.
pub(crate) fn stay(root: &Path) {
    let mut reader = vas_frame::Reader::options().dir(root).open(camera()).unwrap();
    let frame = reader.latest().unwrap();
    assert!(is_right(&frame, &mut Nv12Image::default()));
    eprintln!("mapped {}", frame.meta().epoch);
    let _ = std::io::stdin().read_line(&mut String::new());
    // By now overwritten or freed, which the reader detects.
    let _ = is_right(&frame, &mut Nv12Image::default());
    eprintln!("still {}", u64::from(frame.still_valid()));
}

fn signal(part: &Part, signal: libc::c_int) {
    // SAFETY: a signal to a child that has not been waited for.
    assert_eq!(unsafe { libc::kill(part.process.id() as libc::pid_t, signal) }, 0);
}

#[test]
fn a_hundred_sizes_with_a_suspended_reader_each() {
    if !is_root("mounting a tmpfs") {
        return;
    }
    let place = Scratch::new();
    let root = place.root();
    on_tmpfs(root.parent().unwrap(), "size=2g", || {
        let mut export = claim(&root).unwrap();
        let (mut stopped, mut most, mut largest) = (Vec::new(), 0, 0);
        for step in 1..=100 {
            let geometry = size(640 + 64 * step, 720);
            let mut writer = open(&mut export, geometry, options(4, Duration::ZERO)).unwrap();
            let (id, epoch) = (u64::from(step), epoch(&place.camera()));
            publish(&mut writer, id, epoch).unwrap();
            let mut reader = Part::start(part::command("sizes::stay", &root, &[]));
            assert_eq!(reader.number("mapped"), epoch, "the export continues");
            signal(&reader, libc::SIGSTOP);
            stopped.push(reader);
            largest = geometry.ring_bytes(4);
            let held = used(root.parent().unwrap());
            assert!(held <= 2 * largest + CAP, "step {step}: {} MiB held", held >> 20);
            most = most.max(held);
        }
        println!(
            "100 sizes, 100 stopped readers: at most {} MiB held, the last ring {} MiB",
            most >> 20,
            largest >> 20
        );
        // After the grace period the old rings are freed, even while mapped.
        let left = largest + (1 << 20);
        let export = std::cell::RefCell::new(export);
        until("end of the grace", || {
            assert!(export.borrow_mut().housekeep());
            used(root.parent().unwrap()) <= left
        });
        for (step, reader) in (1..=100).zip(&mut stopped) {
            signal(reader, libc::SIGCONT);
            reader.tell("go on");
            assert_eq!(reader.number("still"), u64::from(step == 100), "step {step}");
            assert!(reader.ended().success());
        }
        // The reads allocated zeroed pages, which were freed with the readers.
        assert!(used(root.parent().unwrap()) <= left);
    });
}
