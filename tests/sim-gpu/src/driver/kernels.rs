//! The kernels of `cuda/nv12.cu`, run on the processor: what `build.rs` compiled of them.
//!
//! A launch is checked before it runs, for what a kernel does not check itself: its addresses, the extent of its
//! planes, and its numbers. What is wrong is misuse, and harms the context as on a device.

use std::sync::{Arc, RwLockReadGuard, RwLockWriteGuard};

use super::memory::{self, Block, BlockUse};
use super::stream::Stream;
use crate::sim::misuse::{Kind, report};
use crate::sim::status::{Result, Status};

/// `VasLaunch` of `cuda/nv12.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct VasLaunch {
    /// Source luma and chroma, output luma and chroma.
    planes: [u64; 4],
    /// Of the same planes.
    pitches: [u32; 4],
    width: u32,
    height: u32,
    black: u32,
    reserved: u32,
    columns: VasAxis,
    rows: VasAxis,
}

/// `VasAxis` of `cuda/nv12.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct VasAxis {
    source: u32,
    content: u32,
    begin: u32,
    shift: i32,
    multiplier: u32,
    multiplier_shift: u32,
}

pub(super) const PARAMETER_BYTES: usize = size_of::<VasLaunch>();
const _: () = assert!(PARAMETER_BYTES == 112);

/// The largest side of a picture.
const MAX_SIDE: u32 = 16_384;

const NAMES: [&str; 3] = ["vas_p016_to_nv12", "vas_nv12_scale", "vas_p016_scale"];

/// One of the kernels, by its place in `kernels.cc`.
#[derive(Clone, Copy)]
pub(super) struct Kernel(usize);

/// A launch that may run.
pub(super) struct Prepared {
    kernel: Kernel,
    block: [u32; 2],
    grid: [u32; 2],
    launch: VasLaunch,
    /// The memory of each plane, and where in it the plane begins.
    planes: [(Arc<Block>, usize); 4],
    _held: [BlockUse; 4],
}

impl Kernel {
    pub(super) fn of_name(name: &str) -> Option<Self> {
        NAMES.iter().position(|known| *known == name).map(Self)
    }

    fn sample_bytes(self) -> u64 {
        if NAMES[self.0] == "vas_nv12_scale" { 1 } else { 2 }
    }

    /// Checks a launch and notes the use of its planes.
    pub(super) fn prepare(
        self,
        parameter: &[u8],
        block: [u32; 3],
        grid: [u32; 3],
        stream: &Arc<Stream>,
    ) -> Result<Prepared> {
        // SAFETY: that many bytes, in which any value of the fields is valid.
        let launch = unsafe { parameter.as_ptr().cast::<VasLaunch>().read_unaligned() };
        if let Some(words) = self.objection(&launch, block, grid) {
            report(Kind::BadLaunch, format_args!("{}: {words}", NAMES[self.0]));
            return Err(Status::LAUNCH_FAILED);
        }
        let planes = self.planes(&launch)?;
        let held = [0, 1, 2, 3].map(|plane: usize| planes[plane].0.use_on(stream));
        let (block, grid) = ([block[0], block[1]], [grid[0], grid[1]]);
        Ok(Prepared { kernel: self, block, grid, launch, planes, _held: held })
    }

    /// What the kernel does not allow.
    fn objection(self, launch: &VasLaunch, block: [u32; 3], grid: [u32; 3]) -> Option<String> {
        let VasLaunch { width, height, columns, rows, .. } = *launch;
        let sides = [width, height, columns.source, rows.source, columns.content, rows.content];
        if !sides.iter().all(|side| (1..=MAX_SIDE).contains(side)) {
            return Some(format!("a side of none or too many pixels: {sides:?}"));
        }
        for (axis, side) in [(columns, width), (rows, height)] {
            let p = (4 * axis.source).next_power_of_two().trailing_zeros();
            let multiplier = (1_u64 << (31 + p)) / u64::from(4 * axis.source) + 1;
            let divides =
                (u64::from(axis.multiplier), axis.multiplier_shift) == (multiplier, p - 1);
            let inside = axis.content <= axis.source && axis.begin + axis.content <= side;
            let scales = NAMES[self.0] != "vas_p016_to_nv12" || axis.content == axis.source;
            if !divides || !inside || !scales || axis.begin % 2 != 0 || axis.shift.abs() > 1 {
                let VasAxis { source, content, begin, shift, .. } = axis;
                return Some(format!(
                    "{source} pixels to {content} from {begin} on of {side}, shift {shift}, divided by {}, {}",
                    axis.multiplier, axis.multiplier_shift
                ));
            }
        }
        if launch.reserved != 0 || !matches!(launch.black, 0 | 16) {
            return Some(format!("black {}, reserved {}", launch.black, launch.reserved));
        }
        let threads = [0, 1].map(|i| u64::from(block[i]) * u64::from(grid[i]));
        let needed = [width, height + height.div_ceil(2)].map(u64::from);
        if threads[0] < needed[0] || threads[1] < needed[1] || block[2] * grid[2] != 1 {
            return Some(format!("{threads:?} threads for {needed:?} samples"));
        }
        None
    }

    /// Finds the planes, each with all of its rows.
    fn planes(self, launch: &VasLaunch) -> Result<[(Arc<Block>, usize); 4]> {
        let bytes = self.sample_bytes();
        let even = |side: u32| u64::from(side.next_multiple_of(2));
        let half = |side: u32| u64::from(side.div_ceil(2));
        let (from, to) =
            ((launch.columns.source, launch.rows.source), (launch.width, launch.height));
        let shapes = [
            (bytes * u64::from(from.0), u64::from(from.1)),
            (bytes * even(from.0), half(from.1)),
            (u64::from(to.0), u64::from(to.1)),
            (even(to.0), half(to.1)),
        ];
        let mut found = Vec::new();
        for (plane, (row_bytes, rows)) in shapes.into_iter().enumerate() {
            let (address, pitch) = (launch.planes[plane], u64::from(launch.pitches[plane]));
            let align = if plane < 2 { bytes } else { 1 };
            if address % align != 0 || pitch % align != 0 {
                let name = NAMES[self.0];
                report(
                    Kind::Misaligned,
                    format_args!("{name}: words at {address:#x}, pitch {pitch}"),
                );
                return Err(Status::MISALIGNED_ADDRESS);
            }
            if !memory::is_device(address) || rows > 1 && pitch < row_bytes {
                let name = NAMES[self.0];
                report(
                    Kind::IllegalAddress,
                    format_args!("{name}: plane {plane} at {address:#x}, pitch {pitch}"),
                );
                return Err(Status::ILLEGAL_ADDRESS);
            }
            let len = usize::try_from((rows - 1) * pitch + row_bytes).unwrap_or(usize::MAX);
            found.push(memory::find(address, len).map_err(|_| Status::ILLEGAL_ADDRESS)?);
        }
        found.try_into().map_err(|_| Status::UNKNOWN)
    }
}

/// A block's bytes while a kernel uses them.
enum Locked<'a> {
    Read(RwLockReadGuard<'a, Box<[u8]>>),
    Write(RwLockWriteGuard<'a, Box<[u8]>>),
}

impl Locked<'_> {
    fn start(&mut self) -> *mut u8 {
        match self {
            // A kernel only reads its sources.
            Self::Read(bytes) => bytes.as_ptr().cast_mut(),
            Self::Write(bytes) => bytes.as_mut_ptr(),
        }
    }
}

impl Prepared {
    /// Runs all threads, one after the other.
    pub(super) fn run(self) {
        let mut launch = self.launch;
        // Planes of one block share its lock. In the order of addresses, since other streams lock blocks, too.
        let mut order = [0, 1, 2, 3];
        order.sort_by_key(|plane: &usize| self.planes[*plane].0.address);
        let mut locked: Vec<(u64, Locked<'_>)> = Vec::new();
        for plane in order {
            let (block, offset) = &self.planes[plane];
            if locked.last().is_none_or(|(address, _)| *address != block.address) {
                let written =
                    self.planes[2..].iter().any(|(output, _)| output.address == block.address);
                let bytes = match written {
                    true => Locked::Write(block.storage.write()),
                    false => Locked::Read(block.storage.read()),
                };
                locked.push((block.address, bytes));
            }
            let (_, bytes) = locked.last_mut().expect("just locked");
            launch.planes[plane] = bytes.start().wrapping_add(*offset) as u64;
        }
        run(self.kernel, &launch, self.block, self.grid);
    }
}

#[cfg(kernels)]
fn run(kernel: Kernel, launch: &VasLaunch, block: [u32; 2], grid: [u32; 2]) {
    unsafe extern "C" {
        fn vas_sim_run(kernel: u32, launch: *const VasLaunch, block: *const u32, grid: *const u32);
    }
    // SAFETY: `kernels.cc` has this function and as many kernels as there are names. The planes were found to have all
    // the rows that the kernel reads or writes, and the caller holds their locks.
    unsafe { vas_sim_run(kernel.0 as u32, launch, block.as_ptr(), grid.as_ptr()) }
}

#[cfg(not(kernels))]
fn run(_: Kernel, _: &VasLaunch, _: [u32; 2], _: [u32; 2]) {
    panic!(
        "the simulated device has no kernels: no compiler was found when it was built (scripts/setup.sh)"
    );
}

/// What the kernels were compiled from.
pub(crate) const FROM: Option<&str> = option_env!("SIM_GPU_KERNELS_FROM");
