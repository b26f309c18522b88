//! Question: what does a smaller slot cost at a camera's pace, against swscale and a slot of the picture's own size?
//!
//! A camera has a frame every 33 ms and sleeps in between, as in `paced`. Timed is the processor time from the claim
//! of a slot until its bytes are written. Ways run in turns of a second; the figures are medians of the turns' medians:
//!
//! - `Scaled`: vas-scale into the slot, as in the service;
//! - `Cached`: the same with ordinary stores;
//! - `Area`, `Bilinear`: swscale into the slot with `SWS_AREA`, and with `SWS_FAST_BILINEAR`, which looks at some of
//!   the rows only and aliases; bars of a letterbox are filled in addition;
//! - `Copy`: no scaling, the whole picture into a slot of its size.
//!
//!     cargo bench -p vas-bench --bench scaling [-- 1920x1080-640x360]

use std::ffi::c_int;
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPixelFormat::{AV_PIX_FMT_NV12, AV_PIX_FMT_YUV420P};
use vas_bench::{Distribution, Pictures, Rig, own_cpu_time, pin_to};
use vas_frame::nv12;
use vas_scale::{ColorInfo, Fit, Plan, Plane, Rect, Request, Scaler, Source, StoreKind, Target};

const PERIOD: Duration = Duration::from_nanos(33_333_333);
const DECODER_POOL: usize = 8;
const TURNS: usize = 7;
const FRAMES: usize = 30;

// libswscale/swscale.h
const SWS_FAST_BILINEAR: c_int = 1;
const SWS_AREA: c_int = 0x20;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Scaled,
    Cached,
    Area,
    Bilinear,
    Copy,
}

const WAYS: [Way; 5] = [Way::Scaled, Way::Cached, Way::Area, Way::Bilinear, Way::Copy];

/// FFmpeg's scaler, from yuv420p to NV12.
struct Swscale {
    context: NonNull<ffi::SwsContext>,
    source_height: c_int,
}

impl Swscale {
    fn new(plan: &Plan, flags: c_int) -> Self {
        let side = |pixels: u32| c_int::try_from(pixels).expect("a side of a picture");
        let (source, content) = (plan.source(), plan.content());
        // SAFETY: sizes and formats are valid; null filters and parameters mean none.
        let context = NonNull::new(unsafe {
            ffi::sws_getContext(
                side(source.width),
                side(source.height),
                AV_PIX_FMT_YUV420P,
                side(content.width),
                side(content.height),
                AV_PIX_FMT_NV12,
                flags,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null(),
            )
        });
        let context = context.expect("a scaler");
        Self { context, source_height: side(source.height) }
    }

    fn run(&mut self, source: &Source<'_>, plan: &Plan, target: Target<'_>) {
        let Source::Yuv420p { y, u, v } = source else { unreachable!("pictures here are planar") };
        let Target { luma, chroma, stride } = target;
        let Rect { x, y: top, width, height } = plan.content();
        // swscale writes whole vectors.
        assert!(x == 0 && width.is_multiple_of(64), "rows of whole lines");
        let rows = top as usize..(top + height) as usize;
        let halves = rows.start / 2..rows.end / 2;
        let (above, luma) = luma.split_at_mut(rows.start * stride);
        let (luma, below) = luma.split_at_mut(height as usize * stride);
        above.fill(16);
        below.fill(16);
        let (above, chroma) = chroma.split_at_mut(halves.start * stride);
        let (chroma, below) = chroma.split_at_mut(halves.len() * stride);
        above.fill(128);
        below.fill(128);
        let planes = [y.data.as_ptr(), u.data.as_ptr(), v.data.as_ptr()];
        let strides = [y.stride, u.stride, v.stride].map(|stride| stride as c_int);
        let (to, to_strides) = ([luma.as_mut_ptr(), chroma.as_mut_ptr()], [stride as c_int; 2]);
        // SAFETY: the planes have the size that the context was made for, source and destination.
        let written = unsafe {
            ffi::sws_scale(
                self.context.as_ptr(),
                planes.as_ptr(),
                strides.as_ptr(),
                0,
                self.source_height,
                to.as_ptr(),
                to_strides.as_ptr(),
            )
        };
        assert_eq!(written, height as c_int);
    }
}

impl Drop for Swscale {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { ffi::sws_freeContext(self.context.as_ptr()) };
    }
}

struct Camera {
    plan: Plan,
    pictures: Pictures,
    /// Slots of the output's size, and of the picture's.
    rings: [Rig; 2],
    scaler: Scaler,
    area: Swscale,
    bilinear: Swscale,
}

impl Camera {
    fn new((width, height): (u32, u32), request: Request) -> Self {
        let plan = Plan::new((width, height), request, ColorInfo::default()).expect("valid sizes");
        let whole = Rig::geometry(width, height);
        let small = Rig::geometry(plan.output().width, plan.output().height);
        Self {
            plan,
            pictures: Pictures::new(whole, DECODER_POOL),
            rings: [Rig::new(small), Rig::new(whole)],
            scaler: Scaler::new(&plan),
            area: Swscale::new(&plan, SWS_AREA),
            bilinear: Swscale::new(&plan, SWS_FAST_BILINEAR),
        }
    }

    fn write(&mut self, way: Way) -> Duration {
        self.pictures.decode_next();
        let picture = self.pictures.picture();
        let nv12::Picture::Yuv420p { y, u, v } = picture else { unreachable!("planar") };
        let source = Source::Yuv420p {
            y: Plane::new(y.data, y.stride),
            u: Plane::new(u.data, u.stride),
            v: Plane::new(v.data, v.stride),
        };
        let ring = &mut self.rings[usize::from(way == Way::Copy)];
        let start = own_cpu_time();
        let mut slot = ring.claim();
        if way == Way::Copy {
            slot.write(&picture, nv12::StoreKind::Auto).expect("the slot has the picture's size");
        } else {
            let stride = slot.geometry().stride() as usize;
            let (luma, chroma) = slot.planes_mut();
            let target = Target { luma, chroma, stride };
            match way {
                Way::Scaled => self.scaler.run(&source, target, StoreKind::Auto).expect("it fits"),
                Way::Cached => {
                    self.scaler.run(&source, target, StoreKind::Cached).expect("it fits");
                }
                Way::Area => self.area.run(&source, &self.plan, target),
                _ => self.bilinear.run(&source, &self.plan, target),
            }
        }
        let took = own_cpu_time() - start;
        let meta = ring.meta();
        slot.publish(&meta);
        took
    }

    fn turn(&mut self, way: Way) -> Distribution {
        let mut times = Distribution::default();
        let mut due = Instant::now();
        for _ in 0..FRAMES {
            due += PERIOD;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            times.add(self.write(way));
        }
        times
    }
}

fn bench(source: (u32, u32), request: Request) {
    let mut camera = Camera::new(source, request);
    for way in WAYS {
        camera.turn(way);
    }
    let mut medians = WAYS.map(|_| Distribution::default());
    for turn in 0..TURNS {
        for at in 0..WAYS.len() {
            // Nobody always runs behind the same one.
            let index = (at * (turn % 2 * 2 + 1) + turn) % WAYS.len();
            let times = camera.turn(WAYS[index]);
            medians[index].add(times.percentile(50));
        }
    }
    let us = |way: usize, percent| medians[way].percentile(percent).as_secs_f64() * 1e6;
    let ((width, height), output) = (source, camera.plan.output());
    println!(
        "\n{width}x{height} to {}x{}, {:?}, {}",
        output.width,
        output.height,
        request.fit,
        camera.scaler.instructions()
    );
    println!("  way             us  lowest highest  to Area  to Copy");
    for (at, way) in WAYS.iter().enumerate() {
        println!(
            "  {:<9} {:>8.1} {:>7.1} {:>7.1} {:>8.2} {:>8.2}",
            format!("{way:?}"),
            us(at, 50),
            us(at, 0),
            us(at, 100),
            us(at, 50) / us(2, 50),
            us(at, 50) / us(4, 50),
        );
    }
}

fn main() {
    pin_to(0);
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let to = |width, height, fit| Request { width: Some(width), height: Some(height), fit };
    for (source, request) in [
        ((1920, 1080), to(640, 360, Fit::Fit)),
        ((3840, 2160), to(640, 360, Fit::Fit)),
        ((1920, 1080), to(640, 640, Fit::Letterbox)),
        ((1920, 1080), to(1280, 720, Fit::Fit)),
    ] {
        let side = |side: Option<u32>| side.unwrap_or_default();
        let (width, height) = (side(request.width), side(request.height));
        let name = format!("{}x{}-{width}x{height}", source.0, source.1);
        if filter.as_ref().is_none_or(|filter| name.contains(filter.as_str())) {
            bench(source, request);
        }
    }
}
