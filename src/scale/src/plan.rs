//! Which picture comes out: its size, where the camera's picture lies in it, and how positions map back.

use std::fmt;

/// Largest width or height, as in a slot (`vas_frame::MAX_SIDE`).
pub const MAX_SIDE: u32 = 16_384;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// Left column.
    pub x: u32,
    /// Top row.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// How a picture is fitted into the size that is asked for. None enlarges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fit {
    /// The largest picture of the same aspect within the size.
    #[default]
    Fit,
    /// Exactly the size, whatever the aspect.
    Stretch,
    /// Exactly the size: the picture of [`Fit::Fit`] in its middle, black bars around it.
    Letterbox,
}

/// The size that is asked for. Where a side is left out it follows from the other one by the aspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Request {
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// How the picture is fitted.
    pub fit: Fit,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.width, self.height) {
            (Some(width), Some(height)) => {
                let bound = if self.fit == Fit::Letterbox { "exactly" } else { "at most" };
                write!(f, "{bound} {width}x{height}, {}", self.fit)
            }
            (Some(width), None) => write!(f, "at most {width} wide"),
            (None, Some(height)) => write!(f, "at most {height} high"),
            (None, None) => f.write_str("as decoded"),
        }
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fit => "fit",
            Self::Stretch => "stretch",
            Self::Letterbox => "letterbox",
        })
    }
}

/// Where a chroma sample lies among the two luma samples that it covers in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// On the first one: left, or top.
    First,
    /// Between them.
    Middle,
    /// On the second one: bottom.
    Second,
}

impl Offset {
    /// The factor `a` of docs/ref/scaling.md.
    #[must_use]
    pub fn factor(self) -> i32 {
        match self {
            Self::First => 1,
            Self::Middle => 0,
            Self::Second => -1,
        }
    }
}

/// Where chroma samples lie; output has them where the source does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChromaSite {
    /// Among columns.
    pub across: Offset,
    /// Among rows.
    pub down: Offset,
}

impl ChromaSite {
    /// The place that `chroma_location` of frame.meta states (FFmpeg's `AVChromaLocation`). Unspecified and unknown
    /// ones are left, as H.264 and H.265 say.
    #[must_use]
    pub fn of_chroma_location(code: u32) -> Self {
        let across = if matches!(code, 2 | 4 | 6) { Offset::Middle } else { Offset::First };
        let down = match code {
            3 | 4 => Offset::First,
            5 | 6 => Offset::Second,
            _ => Offset::Middle,
        };
        Self { across, down }
    }
}

impl Default for ChromaSite {
    fn default() -> Self {
        Self::of_chroma_location(0)
    }
}

/// What the filter has to know of a picture's colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ColorInfo {
    /// Where chroma samples lie.
    pub site: ChromaSite,
    /// Whether samples use the full range, in which black is 0 and not 16.
    pub full_range: bool,
}

/// A picture or a request with a side that no slot can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSize {
    what: &'static str,
    pixels: u32,
}

impl fmt::Display for InvalidSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, pixels } = self;
        write!(f, "can't scale to or from {what} of {pixels} pixels: expected 1 to {MAX_SIDE}")
    }
}

impl std::error::Error for InvalidSize {}

/// What comes out for pictures of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    source: Size,
    output: Size,
    content: Rect,
    color: ColorInfo,
}

impl Plan {
    /// Plans for visible pictures of `width` x `height` pixels.
    ///
    /// # Errors
    /// [`InvalidSize`] if a side is 0 or above 16,384.
    pub fn new(
        (width, height): (u32, u32),
        request: Request,
        color: ColorInfo,
    ) -> Result<Self, InvalidSize> {
        let check = |what, pixels: u32| {
            let fits = (1..=MAX_SIDE).contains(&pixels);
            if fits { Ok(pixels) } else { Err(InvalidSize { what, pixels }) }
        };
        let source = Size { width: check("a width", width)?, height: check("a height", height)? };
        let asked_width = request.width.map(|side| check("a width", side)).transpose()?;
        let asked_height = request.height.map(|side| check("a height", side)).transpose()?;
        let fitted = source.fitted(asked_width, asked_height);
        let whole = |size: Size| Rect { x: 0, y: 0, width: size.width, height: size.height };
        let (output, content) = match (request.fit, asked_width, asked_height) {
            (Fit::Stretch, Some(width), Some(height)) => {
                let (width, height) = (width.min(source.width), height.min(source.height));
                let size = Size { width, height };
                (size, whole(size))
            }
            (Fit::Letterbox, Some(width), Some(height)) => {
                // Even, so that the camera's chroma samples are the output's.
                let bar = |side: u32, content: u32| (side - content) / 4 * 2;
                let (x, y) = (bar(width, fitted.width), bar(height, fitted.height));
                (Size { width, height }, Rect { x, y, ..whole(fitted) })
            }
            _ => (fitted, whole(fitted)),
        };
        Ok(Self { source, output, content, color })
    }

    /// The size of the pictures that are scaled.
    #[must_use]
    pub fn source(&self) -> Size {
        self.source
    }

    /// The size of the pictures that come out.
    #[must_use]
    pub fn output(&self) -> Size {
        self.output
    }

    /// The rectangle of the output that the camera's picture fills. `x` and `y` are even.
    #[must_use]
    pub fn content(&self) -> Rect {
        self.content
    }

    /// What the plan was made for.
    #[must_use]
    pub fn color(&self) -> ColorInfo {
        self.color
    }

    /// Whether no sample is averaged: the picture comes out as it is, with bars at most.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        (self.content.width, self.content.height) == (self.source.width, self.source.height)
    }

    /// Whether the output is the source's picture: no scaler is needed.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        self.output == self.source
    }

    /// The position in the source of a position in the output: pixel `i` reaches from `i` to `i + 1`. Positions on
    /// bars are moved to the picture's edge.
    #[must_use]
    pub fn to_source(&self, x: f64, y: f64) -> (f64, f64) {
        let map = |at: f64, from: u32, content: u32, source: u32| {
            let (content, source) = (f64::from(content), f64::from(source));
            ((at - f64::from(from)) * source / content).clamp(0.0, source)
        };
        let Rect { x: left, y: top, width, height } = self.content;
        (map(x, left, width, self.source.width), map(y, top, height, self.source.height))
    }
}

impl Size {
    /// The largest size of this aspect, not above this size, within what is asked for.
    fn fitted(self, width: Option<u32>, height: Option<u32>) -> Self {
        let width_max = width.unwrap_or(self.width).min(self.width);
        let height_max = height.unwrap_or(self.height).min(self.height);
        // Sides are at most 2^14, so all products fit.
        let follows =
            |other: u32, own: u32, side: u32| ((2 * other * side + own) / (2 * own)).max(1);
        if width_max * self.height <= height_max * self.width {
            Self { width: width_max, height: follows(self.height, self.width, width_max) }
        } else {
            Self { width: follows(self.width, self.height, height_max), height: height_max }
        }
    }
}
