//! Every kind of processor and every way to store give the bytes of the reference.

use super::rig::{LAYOUTS, Layout, Memory, Noise};
use crate::kernels::Kind;
use crate::reference;
use crate::{
    ChromaSite, ColorInfo, Fit, Plan, Request, Scaler, Size, Source, StoreKind, Target, Unfit,
};

const FIELD: u8 = 0xee;

/// A destination with bytes around the picture that must stay.
struct Slot {
    memory: Vec<u8>,
    start: usize,
    stride: usize,
    size: Size,
}

impl Slot {
    fn new(size: Size, offset: usize, stride: usize) -> Self {
        let rows = size.height as usize + size.height.div_ceil(2) as usize;
        let memory = vec![FIELD; stride * rows + 256];
        let start = memory.as_ptr().align_offset(64) + 64 + offset;
        Self { memory, start, stride, size }
    }

    fn fill(&mut self, scaler: &mut Scaler, source: &Source<'_>, store: StoreKind) {
        let (height, stride) = (self.size.height as usize, self.stride);
        let slot = &mut self.memory[self.start..][..stride * (height + height.div_ceil(2))];
        let (luma, chroma) = slot.split_at_mut(height * stride);
        scaler.run(source, Target { luma, chroma, stride }, store).unwrap();
        #[cfg(target_arch = "x86_64")]
        // SAFETY: accesses no Rust memory; it orders the streaming stores before the loads below.
        unsafe {
            std::arch::x86_64::_mm_sfence();
        }
    }

    /// The picture, where nothing else was written but padding up to a whole line.
    fn picture(&self, what: &str) -> reference::Picture {
        let Size { width, height } = self.size;
        let rows = |first: usize, rows: u32, bytes: usize| -> Vec<u8> {
            let row = |row: usize| {
                let row = &self.memory[self.start + (first + row) * self.stride..][..self.stride];
                let kept = &row[bytes.next_multiple_of(64).min(self.stride)..];
                assert!(kept.iter().all(|byte| *byte == FIELD), "padding: {what}");
                row[..bytes].to_vec()
            };
            (0..rows as usize).flat_map(row).collect()
        };
        let end = self.start + (height + height.div_ceil(2)) as usize * self.stride;
        let around = self.memory[..self.start].iter().chain(&self.memory[end..]);
        assert!(around.copied().all(|byte| byte == FIELD), "around the slot: {what}");
        reference::Picture {
            luma: rows(0, height, width as usize),
            chroma: rows(height as usize, height.div_ceil(2), width.next_multiple_of(2) as usize),
        }
    }
}

fn check(noise: &mut Noise, layout: Layout, source: Size, request: Request) {
    let site = ChromaSite::of_chroma_location(noise.within(0, 6));
    let color = ColorInfo { site, full_range: noise.within(0, 1) == 1 };
    let plan = Plan::new((source.width, source.height), request, color).unwrap();
    let memory = Memory::random(noise, layout, source);
    let expected = reference::scale(&memory.source(), &plan);
    for kind in Kind::all() {
        let mut scaler = Scaler::with(&plan, kind);
        let line = plan.output().width.next_multiple_of(64) as usize;
        let odd = plan.output().width.next_multiple_of(2) as usize + 2;
        for (offset, stride, store) in [
            (0, line, StoreKind::Streaming),
            (0, line, StoreKind::Cached),
            (3, odd, StoreKind::Auto),
        ] {
            let what = format!("{} {layout:?} {store:?} {plan:?}", kind.name());
            let mut slot = Slot::new(plan.output(), offset, stride);
            slot.fill(&mut scaler, &memory.source(), store);
            assert!(slot.picture(&what) == expected, "{what}");
        }
    }
}

fn request(noise: &mut Noise, most: u32) -> Request {
    let side = |noise: &mut Noise| (noise.within(0, 5) > 0).then(|| noise.within(1, most));
    let fit = noise.one_of(&[Fit::Fit, Fit::Stretch, Fit::Stretch, Fit::Letterbox]);
    Request { width: side(noise), height: side(noise), fit }
}

#[test]
fn a_thousand_random_sizes() {
    let mut noise = Noise::new(1);
    for _ in 0..1000 {
        let layout = noise.one_of(&LAYOUTS);
        // A side above 255 now and then, where weights of rows become 0.
        let long = |noise: &mut Noise| if noise.within(0, 15) == 0 { 1200 } else { 150 };
        let (wide, high) = (long(&mut noise), long(&mut noise));
        let source = Size { width: noise.within(1, wide), height: noise.within(1, high) };
        let request = request(&mut noise, 160);
        check(&mut noise, layout, source, request);
    }
}

#[test]
fn every_width_around_a_block() {
    let mut noise = Noise::new(2);
    for width in 1..=130_u32 {
        for content in [width, width.div_ceil(2), (2 * width).div_ceil(3), width.div_ceil(5)] {
            let request = Request { width: Some(content), height: Some(3), fit: Fit::Stretch };
            check(&mut noise, LAYOUTS[width as usize % 4], Size { width, height: 7 }, request);
        }
    }
}

#[test]
fn ratios_of_cameras() {
    let mut noise = Noise::new(3);
    for (width, content) in [
        (1920, 640),
        (1920, 1280),
        (1920, 1919),
        (3840, 640),
        (2592, 640),
        (1366, 640),
        (704, 352),
        (16_384, 100),
        (16_384, 1),
    ] {
        for layout in LAYOUTS {
            let request = Request { width: Some(content), height: Some(2), fit: Fit::Stretch };
            check(&mut noise, layout, Size { width, height: 5 }, request);
            let (source, height) = (Size { width: 5, height: width }, Some(content));
            let request = Request { width: Some(5), height, fit: Fit::Stretch };
            check(&mut noise, layout, source, request);
        }
    }
}

/// Ratio 1 in one direction or both.
#[test]
fn identity_changes_no_sample() {
    let mut noise = Noise::new(4);
    let size = Size { width: 53, height: 37 };
    for layout in LAYOUTS {
        for (width, height) in [(None, None), (Some(53), Some(9)), (Some(10), Some(37))] {
            let request = Request { width, height, fit: Fit::Stretch };
            check(&mut noise, layout, size, request);
        }
    }
    let memory = Memory::random(&mut noise, Layout::Nv12, size);
    let plan = Plan::new((53, 37), Request::default(), ColorInfo::default()).unwrap();
    assert!(plan.is_copy());
    let Source::Nv12 { y, uv } = memory.source() else { unreachable!() };
    let tight = |plane: crate::Plane<'_>, rows: usize, bytes: usize| -> Vec<u8> {
        (0..rows).flat_map(|row| plane.row(row, bytes).to_vec()).collect()
    };
    let picture = reference::scale(&memory.source(), &plan);
    assert_eq!((picture.luma, picture.chroma), (tight(y, 37, 53), tight(uv, 19, 54)));
}

/// A picture of one color stays that color, in every ratio.
#[test]
fn flat_pictures_stay_flat() {
    for level in [0, 1, 128, 254, 255] {
        for (width, height) in [(1, 1), (7, 5), (33, 17), (63, 47)] {
            let samples = vec![level; 64 * 48];
            let plane = crate::Plane::new(&samples, 64);
            let source = Source::Nv12 { y: plane, uv: plane };
            let request = Request { width: Some(width), height: Some(height), fit: Fit::Stretch };
            let plan = Plan::new((64, 48), request, ColorInfo::default()).unwrap();
            let picture = reference::scale(&source, &plan);
            assert!(picture.luma.iter().chain(&picture.chroma).all(|sample| *sample == level));
        }
    }
}

#[test]
fn what_is_too_small_is_refused_and_nothing_written() {
    let request = Request { width: Some(32), height: None, fit: Fit::Fit };
    let plan = Plan::new((64, 48), request, ColorInfo::default()).unwrap();
    let mut scaler = Scaler::new(&plan);
    let samples = vec![7; 64 * 48];
    let whole = crate::Plane::new(&samples, 64);
    let mut run = |y, uv, luma: usize, stride| {
        let (mut luma, mut chroma) = (vec![FIELD; luma], vec![FIELD; 32 * 12]);
        let target = Target { luma: &mut luma, chroma: &mut chroma, stride };
        let result = scaler.run(&Source::Nv12 { y, uv }, target, StoreKind::Auto);
        assert!(result.is_ok() || luma.iter().chain(&chroma).all(|byte| *byte == FIELD));
        result
    };
    let short = crate::Plane::new(&samples[..64 * 47 + 63], 64);
    assert_eq!(run(whole, whole, 32 * 24, 32), Ok(()));
    assert_eq!(run(short, whole, 32 * 24, 32), Err(Unfit::Source(plan.source())));
    let narrow = crate::Plane::new(&samples, 63);
    assert_eq!(run(whole, narrow, 32 * 24, 32), Err(Unfit::Source(plan.source())));
    assert_eq!(run(whole, whole, 32 * 24 - 1, 32), Err(Unfit::Target(plan.output())));
    assert_eq!(run(whole, whole, 32 * 24, 31), Err(Unfit::Target(plan.output())));
}
