//! An NV12 picture as a model wants it: resized, as red, green and blue, normalized, in one pass.
//!
//! A [`Request`] states what the model wants. A [`Plan`] is that for pictures of one size and [`ColorSpace`]: made
//! once, it [writes a tensor](Plan::run) for each picture, and says where the picture lies in it. A [`Pool`] does so
//! for many pictures on several threads. [`convert()`] gives a whole picture at its own size as bytes.
//!
//! ```no_run
//! use vas_frame::Reader;
//! use vas_tensor::{Normalize, Output, Plan, Request, Scratch};
//!
//! let request = Request { normalize: Normalize::UNIT, ..Request::new(640, 640) };
//! let mut reader = Reader::open("gate")?;
//! let mut frame = reader.next()?;
//! let mut plan = Plan::for_frame(&frame, &request)?;
//! let (mut tensor, mut scratch) = (vec![0.0; plan.elements()], Scratch::default());
//! loop {
//!     // From the slot: nothing else is copied.
//!     plan.run((&frame).into(), &mut Output::F32(&mut tensor), &mut scratch)?;
//!     // A model's boxes are in the tensor's pixels.
//!     println!("{:?}", plan.box_to_picture([10.0, 200.0, 30.0, 240.0]));
//!     frame = reader.newer()?;
//!     if !plan.is_for(&frame) {
//!         plan = Plan::for_frame(&frame, &request)?;
//!     }
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The result
//!
//! It is that of converting the picture to RGB and then resizing it with `cv2.resize` (`INTER_LINEAR`), without the
//! rounding in between: at most 1.3 levels from OpenCV's result for photographs, a tenth of a level from exact
//! arithmetic for any picture. OpenCV takes luma below 16 for black before it adds chroma, which this crate, swscale
//! and the recommendations do not: such pixels, which cameras hardly have, differ by up to 19 levels.
//!
//! All of it is in integers until the last step, `level * factor + summand` in `f32`. Every processor gives the same
//! elements; `docs/ref/tensor.md` states them to the bit.
//!
//! # Cost
//!
//! A pass reads only the rows that count: a third of them for 1080p to 640. It converts the pixels around each output
//! pixel and no others. It allocates nothing but what [`Scratch`] keeps, takes no lock, and makes no system call.

#![deny(unsafe_code)]

mod color;
mod convert;
mod error;
mod kernels;
mod pass;
mod placement;
mod plan;
#[allow(unsafe_code, reason = "threads share jobs that are borrowed for a call")]
mod pool;
mod request;
mod scratch;
mod source;
mod taps;

pub use color::{ColorSpace, Matrix};
pub use convert::convert;
pub use error::{InvalidPicture, PassError, PlanError};
pub use half::f16;
pub use placement::Content;
pub use plan::{Output, Plan};
pub use pool::{Job, Pool};
pub use request::{Element, Fit, Layout, Normalize, Order, Request};
pub use scratch::Scratch;
pub use source::{Nv12, Source};

#[cfg(test)]
mod tests;
