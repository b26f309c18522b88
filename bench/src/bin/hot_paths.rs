//! Runs one step of a frame's way again and again, for callgrind to count: `hot_paths STEP TIMES`.

#![forbid(unsafe_code)]

use std::hint::black_box;

use vas_bench::{Pictures, Rig};
use vas_frame::nv12::StoreKind;
use vas_frame::{ClaimedSlot, Frame, Nv12Image, PublishMeta, Reader};

/// Small, so that what does not grow with the picture is not lost in what does.
const SIZE: (u32, u32) = (64, 64);

// Each of these is counted where it is the step that was asked for. None is inlined, so callgrind knows it by name.

#[inline(never)]
fn step_claim(rig: &mut Rig) -> ClaimedSlot {
    rig.claim()
}

#[inline(never)]
fn step_write(slot: &mut ClaimedSlot, pictures: &Pictures) {
    slot.write(&pictures.picture(), StoreKind::Auto).expect("the picture is of the slot's size");
}

#[inline(never)]
fn step_publish(slot: ClaimedSlot, meta: &PublishMeta) {
    slot.publish(meta);
}

#[inline(never)]
fn step_latest(reader: &mut Reader) -> Frame {
    reader.latest().expect("a frame was published")
}

#[inline(never)]
fn step_next(reader: &mut Reader) -> Frame {
    reader.next().expect("a frame was published")
}

#[inline(never)]
fn step_newer(reader: &mut Reader) -> Frame {
    reader.newer().expect("a frame was published")
}

#[inline(never)]
fn step_copy(frame: &Frame, image: &mut Nv12Image) {
    frame.copy_if_valid(image).expect("nobody writes the slot now");
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let step = arguments.next().unwrap_or_default();
    let times: u64 = arguments.next().and_then(|times| times.parse().ok()).unwrap_or(1);
    let geometry = Rig::geometry(SIZE.0, SIZE.1);
    let (mut rig, pictures) = (Rig::new(geometry), Pictures::new(geometry, 1));
    let (mut reader, mut image) = (rig.reader(), Nv12Image::default());
    for _ in 0..times {
        let mut slot = step_claim(&mut rig);
        step_write(&mut slot, &pictures);
        let meta = rig.meta();
        step_publish(slot, &meta);
        let frame = match step.as_str() {
            "latest" => step_latest(&mut reader),
            "newer" => step_newer(&mut reader),
            _ => step_next(&mut reader),
        };
        step_copy(&frame, black_box(&mut image));
    }
}
