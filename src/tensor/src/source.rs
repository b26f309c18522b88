//! Where the samples come from: private memory, or a slot that its writer may be overwriting.

use vas_frame::{Frame, Nv12Image, RawPlane, RawView};

use crate::error::{InvalidPicture, PassError};

/// An NV12 picture in private memory.
#[derive(Clone, Copy, Debug)]
pub struct Nv12<'a> {
    width: u32,
    height: u32,
    luma: Plane<'a>,
    chroma: Plane<'a>,
}

/// Rows of bytes that begin `stride` bytes apart.
#[derive(Clone, Copy, Debug)]
struct Plane<'a> {
    data: &'a [u8],
    stride: usize,
    row_bytes: usize,
}

impl<'a> Plane<'a> {
    fn row(&self, row: usize) -> &'a [u8] {
        &self.data[row * self.stride..][..self.row_bytes]
    }
}

impl<'a> Nv12<'a> {
    /// A picture of `width` x `height` pixels: rows of luma, and rows of interleaved chroma for each two rows, both
    /// with their strides in bytes. A row of chroma has as many bytes as columns, rounded up to even. The last row of a
    /// plane needs no padding.
    ///
    /// # Errors
    /// [`InvalidPicture`] if a plane is too short or a stride is smaller than a row.
    pub fn new(
        (width, height): (u32, u32),
        (luma, luma_stride): (&'a [u8], usize),
        (chroma, chroma_stride): (&'a [u8], usize),
    ) -> Result<Self, InvalidPicture> {
        let plane = |name, data: &'a [u8], stride, row_bytes: u32, rows: u32| {
            let (row_bytes, rows) = (row_bytes as usize, rows as usize);
            let needed = match rows.checked_sub(1) {
                None => Some(0),
                Some(above) => above.checked_mul(stride).and_then(|n| n.checked_add(row_bytes)),
            };
            if stride >= row_bytes && needed.is_some_and(|needed| data.len() >= needed) {
                Ok(Plane { data, stride, row_bytes })
            } else {
                let bytes = data.len();
                Err(InvalidPicture { plane: name, bytes, stride, row_bytes, rows })
            }
        };
        Ok(Self {
            width,
            height,
            luma: plane("luma", luma, luma_stride, width, height)?,
            chroma: plane(
                "chroma",
                chroma,
                chroma_stride,
                width.next_multiple_of(2),
                height.div_ceil(2),
            )?,
        })
    }
}

/// A picture to be read.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// In private memory.
    Owned(Nv12<'a>),
    /// In shared memory. The result counts only if the caller finds it [still
    /// valid](vas_frame::Frame::still_valid) afterwards.
    Shared(RawView<'a>),
    /// A frame in shared memory, which is checked: [`PassError::Overwritten`] if it was
    /// overwritten meanwhile. Nothing but the rows that are needed is read.
    Frame(&'a Frame),
}

impl<'a> From<Nv12<'a>> for Source<'a> {
    fn from(picture: Nv12<'a>) -> Self {
        Self::Owned(picture)
    }
}

impl<'a> From<&'a Nv12Image> for Source<'a> {
    fn from(image: &'a Nv12Image) -> Self {
        let (width, height) = (image.width(), image.height());
        let plane = |data, row_bytes: u32| {
            let row_bytes = row_bytes as usize;
            Plane { data, stride: row_bytes, row_bytes }
        };
        Self::Owned(Nv12 {
            width,
            height,
            luma: plane(image.luma(), width),
            chroma: plane(image.chroma(), width.next_multiple_of(2)),
        })
    }
}

impl<'a> From<RawView<'a>> for Source<'a> {
    fn from(view: RawView<'a>) -> Self {
        Self::Shared(view)
    }
}

impl<'a> From<&'a Frame> for Source<'a> {
    fn from(frame: &'a Frame) -> Self {
        Self::Frame(frame)
    }
}

impl<'a> Source<'a> {
    /// Width and height in pixels. Views of inconsistent planes have the size of their luma.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.rows().size()
    }

    /// The planes, checked to belong together.
    pub(crate) fn checked_rows(&self) -> Result<Rows<'a>, PassError> {
        let rows = self.rows();
        if rows.are_consistent() { Ok(rows) } else { Err(PassError::Planes(rows.size())) }
    }

    /// Whether what was read so far is whole, as far as this can tell.
    pub(crate) fn check_valid(&self) -> Result<(), PassError> {
        match self {
            Self::Frame(frame) if !frame.still_valid() => {
                Err(PassError::Overwritten { frame_id: frame.id() })
            }
            _ => Ok(()),
        }
    }

    fn rows(&self) -> Rows<'a> {
        match *self {
            Self::Owned(picture) => Rows::Owned(picture),
            Self::Shared(view) => Rows::Shared(view),
            Self::Frame(frame) => Rows::Shared(frame.raw()),
        }
    }
}

/// Which plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Samples {
    Luma,
    Chroma,
}

/// The rows of a source.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a> {
    Owned(Nv12<'a>),
    Shared(RawView<'a>),
}

impl<'a> Rows<'a> {
    pub(crate) fn size(&self) -> (u32, u32) {
        match self {
            Self::Owned(picture) => (picture.width, picture.height),
            Self::Shared(view) => {
                let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
                (side(view.y.row_bytes()), side(view.y.rows()))
            }
        }
    }

    /// Whether there is a row of chroma for each two rows of luma, as wide. A [`RawView`] may come from anywhere.
    pub(crate) fn are_consistent(&self) -> bool {
        match self {
            Self::Owned(_) => true,
            Self::Shared(RawView { y, uv }) => {
                uv.rows() == y.rows().div_ceil(2)
                    && uv.row_bytes() == y.row_bytes().next_multiple_of(2)
            }
        }
    }

    /// A row. One in shared memory is first copied to `to`, unless `held` says that it is there already.
    pub(crate) fn row<'b>(&self, samples: Samples, row: usize, to: &'b mut Held) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Owned(picture) => match samples {
                Samples::Luma => picture.luma.row(row),
                Samples::Chroma => picture.chroma.row(row),
            },
            Self::Shared(view) => {
                to.copy(if samples == Samples::Luma { &view.y } else { &view.uv }, row)
            }
        }
    }
}

/// Private memory for a row of shared memory.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    row: Option<usize>,
}

impl Held {
    pub(crate) fn reserve(&mut self, bytes: usize) {
        if self.bytes.len() < bytes {
            self.bytes.resize(bytes, 0);
        }
    }

    /// Forgets which row it holds: another picture follows.
    pub(crate) fn clear(&mut self) {
        self.row = None;
    }

    fn copy(&mut self, plane: &RawPlane<'_>, row: usize) -> &[u8] {
        let bytes = &mut self.bytes[..plane.row_bytes()];
        if self.row != Some(row) {
            let from = plane.row(row).expect("the size was checked");
            from.copy_to(bytes);
            self.row = Some(row);
        }
        bytes
    }
}
