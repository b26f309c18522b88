//! The scaling filter of the frame path, on the processor: a decoded 4:2:0 picture to a smaller NV12 one.
//!
//! The filter averages areas, in integers, and is stated to the bit in `docs/ref/scaling.md`, so that other
//! implementations (CUDA) give the same bytes. [`mod@reference`] is that page in plain loops, for tests of all
//! of them.
//!
//! A [`Plan`] says which picture comes out for a picture of one size: its size, where the camera's picture lies in it,
//! and how positions map back. A [`Scaler`] has the tables and buffers for it, and writes pictures without allocating.
//! [`mod@launch`] is the same plan as the parameter of the CUDA kernels.
//!
//! ```
//! use vas_scale::{Fit, ColorInfo, Plan, Plane, Request, Scaler, Source, StoreKind, Target};
//!
//! let request = Request { width: Some(640), height: Some(640), fit: Fit::Letterbox };
//! let plan = Plan::new((1920, 1080), request, ColorInfo::default())?;
//! assert_eq!((plan.output().width, plan.output().height), (640, 640));
//! assert_eq!((plan.content().y, plan.content().height), (140, 360));
//! assert_eq!(plan.to_source(320.0, 320.0), (960.0, 540.0));
//!
//! let mut scaler = Scaler::new(&plan);
//! let (y, uv) = (vec![90; 1920 * 1080], vec![128; 1920 * 540]);
//! let source = Source::Nv12 { y: Plane::new(&y, 1920), uv: Plane::new(&uv, 1920) };
//! let (mut luma, mut chroma) = (vec![0; 640 * 640], vec![0; 640 * 320]);
//! let target = Target { luma: &mut luma, chroma: &mut chroma, stride: 640 };
//! scaler.run(&source, target, StoreKind::Auto)?;
//! assert_eq!((luma[0], luma[640 * 320]), (16, 90));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod emit;
mod kernels;
pub mod launch;
mod plan;
pub mod reference;
mod scaler;
mod source;
mod tables;
mod window;

pub use emit::StoreKind;
pub use plan::{
    ChromaSite, ColorInfo, Fit, InvalidSize, MAX_SIDE, Offset, Plan, Rect, Request, Size,
};
pub use scaler::{Scaler, Target, Unfit};
pub use source::{Plane, Source, reduce_10, reduce_16};
pub use window::{COLUMN_BITS, ROW_BITS, Spans};

#[cfg(test)]
mod tests;
