//! What can be wrong with a picture, a request or a pass.

use crate::request::Element;

/// A plane is too short for its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no NV12 picture: {plane} has {bytes} bytes with a stride of {stride}: expected {rows} rows of {row_bytes} bytes"
)]
pub struct InvalidPicture {
    /// The plane.
    pub plane: &'static str,
    /// Its bytes.
    pub bytes: usize,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Bytes that a row needs.
    pub row_bytes: usize,
    /// Rows that are needed.
    pub rows: usize,
}

/// A request that no plan can be made for.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A side is 0 or too long.
    #[error(
        "cannot make a tensor of {what} of {width}x{height}: expected 1 to {} pixels a side",
        vas_frame::MAX_SIDE
    )]
    Size {
        /// Which size.
        what: &'static str,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A number of the normalization is not finite, or a deviation is 0.
    #[error("cannot normalize by a {what} of {value}: expected a finite number{}", not_zero(what))]
    Normalize {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f32,
    },
    /// Bytes are not normalized.
    #[error("cannot normalize bytes: expected f32 or f16 elements, or no normalization")]
    NormalizedBytes,
}

fn not_zero(what: &str) -> &'static str {
    if what == "std" { " other than 0" } else { "" }
}

/// A pass failed. What its output holds is undefined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassError {
    /// The picture has another size than the plan, or its planes do not belong together.
    #[error(
        "the picture has {}x{} pixels: expected {}x{}", found.0, found.1, expected.0, expected.1
    )]
    Picture {
        /// Its width and height.
        found: (u32, u32),
        /// The plan's.
        expected: (u32, u32),
    },
    /// The planes of a view do not belong together.
    #[error("the chroma plane does not belong to a picture of {}x{} pixels", .0.0, .0.1)]
    Planes((u32, u32)),
    /// The output has another length or type than the plan.
    #[error(
        "the output has {found} elements of {found_type:?}: expected {expected} of {expected_type:?}"
    )]
    Output {
        /// Its elements.
        found: usize,
        /// Its type.
        found_type: Element,
        /// The plan's elements.
        expected: usize,
        /// The plan's type.
        expected_type: Element,
    },
    /// The frame was overwritten while it was read.
    #[error("frame {frame_id} was overwritten while it was read")]
    Overwritten {
        /// The frame.
        frame_id: u64,
    },
    /// The pass panicked: a defect of this crate.
    #[error("the pass panicked: {0}")]
    Panicked(String),
}
