//! The kernels of `cuda/nv12.cu` give the bytes of the reference.
//!
//! They run on the processor, thread by thread. What is tested is the source, and the intermediate representation from
//! which the PTX is generated; not the PTX, and not a GPU.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod build;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fastrand::Rng;
use vas_scale::launch::{Kernel, Launch, Pitches, divider};
use vas_scale::{ChromaSite, ColorInfo, Fit, Plan, Plane, Request, Source, reference};

/// The bytes of a kernel's source samples.
fn sample_bytes(kernel: Kernel) -> u32 {
    if kernel == Kernel::Nv12Scale { 1 } else { 2 }
}

/// The bytes that nobody writes.
const FIELD: u8 = 0xee;

/// A plane in memory: rows of so many bytes, so far apart, the first so many bytes from an aligned address.
#[derive(Clone, Copy, Debug)]
struct Shape {
    rows: u32,
    row_bytes: u32,
    pitch: u32,
    offset: u32,
}

impl Shape {
    /// Pitch and offset are random multiples of `align`.
    fn random(rng: &mut Rng, rows: u32, row_bytes: u32, align: u32) -> Self {
        let pitch = row_bytes + align * rng.u32(0..70);
        Self { rows, row_bytes, pitch, offset: align * rng.u32(0..4) }
    }

    /// Up to the last sample: what follows it may not even be read.
    fn bytes(self) -> u32 {
        self.pitch * (self.rows - 1) + self.row_bytes
    }

    /// The rows without what is between them, which must be as it was.
    fn tight(self, memory: &[u8], what: &str) -> Vec<u8> {
        let mut tight = Vec::new();
        for row in memory.chunks(self.pitch as usize) {
            let (samples, padding) = row.split_at(self.row_bytes as usize);
            tight.extend(samples);
            assert!(padding.iter().all(|byte| *byte == FIELD), "padding: {what}");
        }
        tight
    }
}

/// One picture through one kernel.
struct Case {
    kernel: Kernel,
    plan: Plan,
    source: [Shape; 2],
    output: [Shape; 2],
    samples: [Vec<u8>; 2],
    block: [u32; 2],
    surplus: [u32; 2],
    backwards: bool,
}

impl Case {
    fn random(rng: &mut Rng, kernel: Kernel, size: (u32, u32), request: Request) -> Self {
        let site = ChromaSite::of_chroma_location(rng.u32(0..=6));
        let color = ColorInfo { site, full_range: rng.bool() };
        let plan = Plan::new(size, request, color).unwrap();
        let (output, bytes) = (plan.output(), sample_bytes(kernel));
        let half = |side: u32| 2 * side.div_ceil(2);
        let source = [
            Shape::random(rng, size.1, bytes * size.0, bytes),
            Shape::random(rng, size.1.div_ceil(2), bytes * half(size.0), bytes),
        ];
        let to = [
            Shape::random(rng, output.height, output.width, 1),
            Shape::random(rng, output.height.div_ceil(2), half(output.width), 1),
        ];
        // Extremes, where rounding and saturation show, or noise.
        let style = rng.u32(0..4);
        let samples = source.map(|shape| {
            let byte = |rng: &mut Rng| match style {
                0 => 0xff,
                1 => [0, 0xff][usize::from(rng.bool())],
                _ => rng.u8(..),
            };
            (0..shape.bytes()).map(|_| byte(rng)).collect()
        });
        Self {
            kernel,
            plan,
            source,
            output: to,
            samples,
            block: [rng.u32(1..=64), rng.u32(1..=16)],
            surplus: [rng.u32(0..2), rng.u32(0..2)],
            backwards: rng.bool(),
        }
    }

    fn what(&self) -> String {
        let Self { kernel, plan, source, output, .. } = self;
        format!("{kernel:?} {plan:?} {source:?} {output:?}")
    }

    fn expected(&self) -> reference::Picture {
        let plane = |at: usize| Plane::new(&self.samples[at], self.source[at].pitch as usize);
        let source = match self.kernel {
            Kernel::Nv12Scale => Source::Nv12 { y: plane(0), uv: plane(1) },
            Kernel::P016ToNv12 | Kernel::P016Scale => Source::P016 { y: plane(0), uv: plane(1) },
        };
        reference::scale(&source, &self.plan)
    }

    /// As `run.cc` reads it.
    fn job(&self) -> Vec<u8> {
        let output = self.plan.output();
        let rows = output.height + output.height.div_ceil(2);
        let grid = |side: u32, block: u32, surplus: u32| side.div_ceil(block) + surplus;
        let mut words = vec![self.kernel as u32, u32::from(self.backwards)];
        words.extend(self.block);
        words.push(grid(output.width, self.block[0], self.surplus[0]));
        words.push(grid(rows, self.block[1], self.surplus[1]));
        let shapes = || self.source.iter().chain(&self.output);
        words.extend(shapes().map(|shape| shape.bytes()));
        words.extend(shapes().map(|shape| shape.offset));
        let mut job: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let pitches = Pitches {
            source_luma: self.source[0].pitch,
            source_chroma: self.source[1].pitch,
            output_luma: self.output[0].pitch,
            output_chroma: self.output[1].pitch,
        };
        job.extend(Launch::new(&self.plan, pitches).to_bytes());
        job.extend(self.samples.iter().flatten());
        job
    }
}

/// A running `run.cc`.
struct Program(Child);

impl Program {
    fn start(path: &Path) -> Self {
        let mut command = Command::new(path);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn check(&mut self, case: &Case) {
        let what = case.what();
        let (stdin, stdout) = (self.0.stdin.as_mut().unwrap(), self.0.stdout.as_mut().unwrap());
        stdin.write_all(&case.job()).unwrap_or_else(|e| panic!("{e}: {what}"));
        let planes = case.output.map(|shape| {
            let mut memory = vec![0; shape.bytes() as usize];
            stdout.read_exact(&mut memory).unwrap_or_else(|e| panic!("{e}: {what}"));
            shape.tight(&memory, &what)
        });
        let expected = case.expected();
        assert!(planes[0] == expected.luma, "luma: {what}");
        assert!(planes[1] == expected.chroma, "chroma: {what}");
    }

    fn finish(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

fn request(rng: &mut Rng, kernel: Kernel, size: (u32, u32)) -> Request {
    if kernel == Kernel::P016ToNv12 {
        // At its own size, and now and then within bars.
        if rng.bool() {
            return Request::default();
        }
        let (width, height) = (size.0 + rng.u32(0..40), size.1 + rng.u32(0..40));
        return Request { width: Some(width), height: Some(height), fit: Fit::Letterbox };
    }
    let side = |rng: &mut Rng| (rng.u32(0..6) > 0).then(|| rng.u32(1..=160));
    let fit = [Fit::Fit, Fit::Stretch, Fit::Stretch, Fit::Letterbox][rng.usize(0..4)];
    Request { width: side(rng), height: side(rng), fit }
}

fn a_thousand_random_sizes(program: &Path, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut program = Program::start(program);
    for at in 0..1000 {
        let kernel = Kernel::ALL[at % 3];
        // A long side now and then, where weights of rows become 0.
        let side = |rng: &mut Rng| {
            let most = if rng.u32(0..16) == 0 { 1200 } else { 150 };
            rng.u32(1..=most)
        };
        let size = (side(&mut rng), side(&mut rng));
        let request = request(&mut rng, kernel, size);
        program.check(&Case::random(&mut rng, kernel, size, request));
    }
    program.finish();
}

fn ratios_of_cameras(program: &Path) {
    let mut rng = Rng::with_seed(7);
    let mut program = Program::start(program);
    for (side, content) in [
        (1920, 640),
        (1920, 1919),
        (3840, 640),
        (2592, 640),
        (1366, 640),
        (704, 352),
        (4096, 4096),
        (16_383, 100),
        (16_384, 1),
    ] {
        for kernel in [Kernel::Nv12Scale, Kernel::P016Scale] {
            let across = Request { width: Some(content), height: Some(2), fit: Fit::Stretch };
            program.check(&Case::random(&mut rng, kernel, (side, 5), across));
            let down = Request { width: Some(3), height: Some(content), fit: Fit::Stretch };
            program.check(&Case::random(&mut rng, kernel, (5, side), down));
        }
    }
    program.finish();
}

#[test]
fn the_source_gives_the_bytes_of_the_reference() {
    let program = build::optimized();
    a_thousand_random_sizes(&program, 1);
    ratios_of_cameras(&program);
}

#[test]
fn the_source_stays_within_its_planes_and_numbers() {
    let program = build::sanitized();
    a_thousand_random_sizes(&program, 2);
    ratios_of_cameras(&program);

    // Where the numbers of a window are largest.
    let mut program = Program::start(&program);
    let request = Request { width: Some(16_383), height: Some(1), fit: Fit::Stretch };
    let case = Case::random(&mut Rng::with_seed(8), Kernel::P016Scale, (16_384, 2), request);
    program.check(&case);
    program.finish();
}

#[test]
fn the_representation_gives_the_bytes_of_the_reference() {
    if let Some(program) = build::representation() {
        a_thousand_random_sizes(&program, 3);
        ratios_of_cameras(&program);
    }
}

/// By the names and with the parameter that launch them.
#[test]
fn the_ptx_has_the_kernels() {
    let ptx = include_str!("../../../../cuda/nv12.ptx");
    let bytes = size_of::<Launch>();
    for name in Kernel::ALL.map(Kernel::name) {
        let entry =
            format!(".visible .entry {name}(\n\t.param .align 8 .b8 {name}_param_0[{bytes}]\n)");
        assert!(ptx.contains(&entry), "{entry}");
    }
    assert_eq!(ptx.matches(".entry").count(), Kernel::ALL.len());
}

/// Around each multiple of `4 * N`, where a quotient that is not exact would be wrong first.
#[test]
fn multiplying_divides_exactly() {
    for n in 1..=16_384 {
        let (multiplier, shift) = divider(n);
        let divide = |x: u32| ((u64::from(x) * u64::from(multiplier)) >> 32) as u32 >> shift;
        let largest = (1_u32 << 31) - 1;
        let quotients = largest / (4 * n);
        // The largest ones, whose error is largest.
        for quotient in quotients.saturating_sub(1000)..=quotients {
            let first = quotient * 4 * n;
            assert_eq!(divide(first), quotient, "{first} / {}", 4 * n);
            let last = first.saturating_add(4 * n - 1).min(largest);
            assert_eq!(divide(last), quotient, "{last} / {}", 4 * n);
        }
    }
}
