//! What a model wants: size, fit, channels, layout, elements and their normalization.

/// How a picture is fitted into the size that is asked for. Each of them enlarges where it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Fit {
    /// The whole picture, whatever its aspect.
    Stretch,
    /// The whole picture at its own aspect, in the middle, with bars of [`Request::pad`] around it. Size and place are
    /// those of the usual letterbox of YOLO models: sides rounded half to even, the odd row or column of a bar below
    /// or at the right.
    #[default]
    Letterbox,
    /// The middle of the picture at its own aspect, without what does not fit.
    Crop,
}

/// Which channels, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red, as OpenCV has them.
    Bgr,
    /// Luma in full range, the only channel.
    Gray,
}

impl Order {
    /// Channels: 3, or 1 of [`Gray`](Self::Gray).
    #[must_use]
    pub fn channels(self) -> usize {
        if self == Self::Gray { 1 } else { 3 }
    }
}

/// Where the elements of a pixel lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Layout {
    /// A plane for each channel: channels, rows, columns.
    #[default]
    Nchw,
    /// The channels of a pixel side by side: rows, columns, channels.
    Nhwc,
}

/// The type of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Element {
    /// A byte: the level from 0 to 255, rounded. It is not normalized.
    U8,
    /// IEEE half precision, rounded to nearest even.
    F16,
    /// IEEE single precision.
    #[default]
    F32,
}

impl Element {
    /// Bytes of an element.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// What is done to a level `x` from 0 to 255 before it is stored: `(x * scale - mean[c]) / std[c]`.
///
/// `mean` and `std` are in the order of the channels; [`Order::Gray`] uses the first ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalize {
    /// Factor of the level: `1.0 / 255.0` for 0 to 1.
    pub scale: f32,
    /// Subtracted after scaling.
    pub mean: [f32; 3],
    /// Divides what is left.
    pub std: [f32; 3],
}

impl Normalize {
    /// Levels as they are.
    pub const NONE: Self = Self { scale: 1.0, mean: [0.0; 3], std: [1.0; 3] };

    /// Levels from 0 to 1.
    pub const UNIT: Self = Self { scale: 1.0 / 255.0, ..Self::NONE };

    /// The means and deviations of ImageNet, for [`Order::Rgb`].
    pub const IMAGENET: Self =
        Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], ..Self::UNIT };

    /// Factor and summand for levels with 6 bits after the binary point. Computed in double precision and rounded once.
    pub(crate) fn line(&self, channel: usize) -> Line {
        let [scale, mean, std] = [self.scale, self.mean[channel], self.std[channel]].map(f64::from);
        Line { factor: (scale / std / 64.0) as f32, summand: (-mean / std) as f32 }
    }
}

impl Default for Normalize {
    fn default() -> Self {
        Self::NONE
    }
}

/// `x * factor + summand`: a product and a sum that are rounded apart, since a fused one does not exist on every
/// processor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) factor: f32,
    pub(crate) summand: f32,
}

impl Line {
    #[inline(always)]
    pub(crate) fn at(self, level: i16) -> f32 {
        f32::from(level) * self.factor + self.summand
    }
}

/// What a model wants of a picture.
///
/// ```
/// use vas_tensor::{Fit, Normalize, Order, Request};
///
/// let yolo = Request { normalize: Normalize::UNIT, ..Request::new(640, 640) };
/// assert_eq!((yolo.fit, yolo.pad, yolo.order), (Fit::Letterbox, 114, Order::Rgb));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// How the picture is fitted.
    pub fit: Fit,
    /// Level of the bars of [`Fit::Letterbox`], in every channel; it is normalized like a picture's.
    pub pad: u8,
    /// Channels.
    pub order: Order,
    /// Layout.
    pub layout: Layout,
    /// Type of the elements.
    pub element: Element,
    /// Normalization. [`Element::U8`] has none.
    pub normalize: Normalize,
}

impl Request {
    /// A letterboxed picture of a size, with bars of 114, as RGB in planes of `f32` with levels from 0 to 255.
    #[must_use]
    pub fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            fit: Fit::default(),
            pad: 114,
            order: Order::default(),
            layout: Layout::default(),
            element: Element::default(),
            normalize: Normalize::NONE,
        }
    }

    /// Elements of a tensor.
    pub(crate) fn elements(&self) -> usize {
        self.width as usize * self.height as usize * self.order.channels()
    }
}
