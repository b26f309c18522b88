//! A plan: what comes out for pictures of one size, and the tables for it.

use half::f16;
use vas_frame::{Frame, MAX_SIDE};

use crate::color::{ColorSpace, Factors};
use crate::error::{PassError, PlanError};
use crate::pass;
use crate::placement::Content;
use crate::request::{Element, Layout, Line, Order, Request};
use crate::scratch::Scratch;
use crate::source::Source;
use crate::taps::{Columns, RowTaps, rows};

/// How pictures of one size and color space become tensors.
///
/// It holds the tables, so make it once for each size of picture and reuse it: for a camera until the size or color of
/// its frames changes, which [`is_for`](Self::is_for) tells. Threads may share it.
#[derive(Debug)]
pub struct Plan {
    picture: (u32, u32),
    space: ColorSpace,
    request: Request,
    content: Content,
    pub(crate) factors: Factors,
    /// The part of the target with a picture in it.
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) rows: Vec<RowTaps>,
    pub(crate) columns: Columns,
    /// The normalization of each channel.
    pub(crate) lines: [Line; 3],
}

/// A tensor to be written, in row-major order without gaps.
#[derive(Debug)]
pub enum Output<'a> {
    /// Bytes.
    U8(&'a mut [u8]),
    /// Half precision.
    F16(&'a mut [f16]),
    /// Single precision.
    F32(&'a mut [f32]),
}

impl Output<'_> {
    /// The type of its elements.
    #[must_use]
    pub fn element(&self) -> Element {
        match self {
            Self::U8(_) => Element::U8,
            Self::F16(_) => Element::F16,
            Self::F32(_) => Element::F32,
        }
    }

    /// Its elements.
    #[expect(clippy::len_without_is_empty, reason = "a tensor is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(to) => to.len(),
            Self::F16(to) => to.len(),
            Self::F32(to) => to.len(),
        }
    }
}

impl Plan {
    /// A plan for pictures of a width and height.
    ///
    /// # Errors
    /// [`PlanError`] if a side of the picture or the target is 0 or above [`MAX_SIDE`], if a number of the
    /// normalization is not finite, a deviation is 0, or bytes are to be normalized.
    pub fn new(
        picture: (u32, u32),
        space: ColorSpace,
        request: &Request,
    ) -> Result<Self, PlanError> {
        let target = (request.width, request.height);
        check_size("a picture", picture)?;
        check_size("a target", target)?;
        check_normalization(request)?;
        let content = Content::new(picture, target, request.fit);
        let inside = |begin: i32, length: u32, limit: u32| {
            let [length, limit] = [length, limit].map(u32::cast_signed);
            begin.max(0)..(begin + length).min(limit)
        };
        let across = inside(content.x, content.width, target.0);
        let down = inside(content.y, content.height, target.1);
        let (left, top) = (across.start as usize, down.start as usize);
        Ok(Self {
            picture,
            space,
            request: *request,
            content,
            factors: Factors::of(space),
            left,
            top,
            rows: rows(down, content.y, content.height, picture.1),
            columns: Columns::new(across, content.x, content.width, picture.0),
            lines: [0, 1, 2].map(|channel| request.normalize.line(channel)),
        })
    }

    /// A plan for a frame and those like it.
    ///
    /// Where the camera does not state its matrix, the height of its own picture decides, not that of a scaled export.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn for_frame(frame: &Frame, request: &Request) -> Result<Self, PlanError> {
        Self::new(size_of(frame), space_of(frame), request)
    }

    /// Whether a frame has the size and color space of this plan.
    #[must_use]
    pub fn is_for(&self, frame: &Frame) -> bool {
        self.picture == size_of(frame) && self.space == space_of(frame)
    }

    /// Width and height of the pictures.
    #[must_use]
    pub fn picture(&self) -> (u32, u32) {
        self.picture
    }

    /// How their samples are interpreted.
    #[must_use]
    pub fn space(&self) -> ColorSpace {
        self.space
    }

    /// What was asked for.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Elements of the tensor.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.request.elements()
    }

    /// The tensor's dimensions: channels, rows, columns for [`Layout::Nchw`]; rows, columns, channels for
    /// [`Layout::Nhwc`].
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        let Request { width, height, order, layout, .. } = self.request;
        let (rows, columns, channels) = (height as usize, width as usize, order.channels());
        match layout {
            Layout::Nchw => [channels, rows, columns],
            Layout::Nhwc => [rows, columns, channels],
        }
    }

    /// Where the whole picture lies in the target.
    #[must_use]
    pub fn content(&self) -> Content {
        self.content
    }

    /// The point of the picture that is at `(x, y)` of the target, in pixels. Both count from the upper left corner, so
    /// the center of the first pixel is at `(0.5, 0.5)`. A point in a bar yields the nearest one of the picture.
    ///
    /// ```
    /// # use vas_tensor::{ColorSpace, Matrix, Plan, Request};
    /// let space = ColorSpace { matrix: Matrix::Bt709, full_range: false };
    /// let plan = Plan::new((1920, 1080), space, &Request::new(640, 640))?;
    /// assert_eq!(plan.to_picture(320.0, 320.0), (960.0, 540.0));
    /// assert_eq!(plan.to_picture(0.0, 0.0), (0.0, 0.0));
    /// assert_eq!(plan.from_picture(960.0, 540.0), (320.0, 320.0));
    /// assert_eq!(plan.box_to_picture([0.0, 140.0, 64.0, 204.0]), [0.0, 0.0, 192.0, 192.0]);
    /// # Ok::<(), vas_tensor::PlanError>(())
    /// ```
    #[must_use]
    pub fn to_picture(&self, x: f64, y: f64) -> (f64, f64) {
        let along = |at: f64, from: i32, length: u32, picture: u32| {
            let picture = f64::from(picture);
            ((at - f64::from(from)) * picture / f64::from(length)).clamp(0.0, picture)
        };
        let Content { x: left, y: top, width, height } = self.content;
        (along(x, left, width, self.picture.0), along(y, top, height, self.picture.1))
    }

    /// The point of the target where `(x, y)` of the picture is: the inverse of [`to_picture`](Self::to_picture).
    /// It lies outside of the target where [`Fit::Crop`](crate::Fit::Crop) leaves it out.
    #[must_use]
    pub fn from_picture(&self, x: f64, y: f64) -> (f64, f64) {
        let along = |at: f64, from: i32, length: u32, picture: u32| {
            at * f64::from(length) / f64::from(picture) + f64::from(from)
        };
        let Content { x: left, y: top, width, height } = self.content;
        (along(x, left, width, self.picture.0), along(y, top, height, self.picture.1))
    }

    /// The corners of a box `[left, top, right, bottom]` by [`to_picture`](Self::to_picture).
    #[must_use]
    pub fn box_to_picture(&self, [left, top, right, bottom]: [f64; 4]) -> [f64; 4] {
        let ((left, top), (right, bottom)) =
            (self.to_picture(left, top), self.to_picture(right, bottom));
        [left, top, right, bottom]
    }

    /// Makes a tensor of a picture.
    ///
    /// It allocates nothing if `scratch` was used with a plan of this size before, or [prepared](Scratch::prepare) for
    /// one.
    ///
    /// # Errors
    /// [`PassError`] if the picture or the output does not have the plan's size or type, and if a frame was overwritten
    /// meanwhile. What the output then holds is undefined.
    pub fn run(
        &self,
        source: Source<'_>,
        output: &mut Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), PassError> {
        if output.len() != self.elements() || output.element() != self.request.element {
            return Err(PassError::Output {
                found: output.len(),
                found_type: output.element(),
                expected: self.elements(),
                expected_type: self.request.element,
            });
        }
        let rows = source.checked_rows()?;
        if rows.size() != self.picture {
            return Err(PassError::Picture { found: rows.size(), expected: self.picture });
        }
        source.check_valid()?;
        scratch.prepare(self);
        pass::run(self, rows, output, scratch);
        source.check_valid()
    }

    pub(crate) fn is_gray(&self) -> bool {
        self.request.order == Order::Gray
    }
}

fn size_of(frame: &Frame) -> (u32, u32) {
    let geometry = frame.geometry();
    (geometry.width(), geometry.height())
}

fn space_of(frame: &Frame) -> ColorSpace {
    ColorSpace::of(frame.geometry().color(), frame.meta().source.height)
}

fn check_size(what: &'static str, (width, height): (u32, u32)) -> Result<(), PlanError> {
    let sides = 1..=MAX_SIDE;
    if sides.contains(&width) && sides.contains(&height) {
        Ok(())
    } else {
        Err(PlanError::Size { what, width, height })
    }
}

fn check_normalization(request: &Request) -> Result<(), PlanError> {
    let crate::Normalize { scale, mean, std } = request.normalize;
    let refused = |what, value| Err(PlanError::Normalize { what, value });
    if !scale.is_finite() {
        return refused("scale", scale);
    }
    if let Some(value) = mean.into_iter().find(|mean| !mean.is_finite()) {
        return refused("mean", value);
    }
    if let Some(value) = std.into_iter().find(|std| !std.is_finite() || *std == 0.0) {
        return refused("std", value);
    }
    if request.element == Element::U8 && request.normalize != crate::Normalize::NONE {
        return Err(PlanError::NormalizedBytes);
    }
    Ok(())
}
