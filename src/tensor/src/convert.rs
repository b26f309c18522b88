//! A whole picture at its own size, as packed bytes.

use crate::color::{ColorSpace, Factors};
use crate::error::PassError;
use crate::kernels::{Kernels, Kind, WithKernels};
use crate::request::{Element, Order};
use crate::scratch::Scratch;
use crate::source::{Rows, Samples, Source};

/// Converts a picture to bytes: rows of pixels without padding, with the channels of a pixel side by side.
///
/// Each sample of chroma colors its two by two pixels, as in `cv2.cvtColor`. [`Order::Gray`] is luma in full range;
/// `cv2.cvtColor` keeps limited luma as it is. The same bytes as those of a [`Plan`](crate::Plan) with the picture's
/// own size, [`Layout::Nhwc`](crate::Layout::Nhwc) and [`Element::U8`].
///
/// ```
/// use vas_tensor::{ColorSpace, Matrix, Nv12, Order, Scratch, convert};
///
/// let (luma, chroma) = ([81, 81, 145, 145], [90, 240, 54, 34]);
/// let picture = Nv12::new((4, 1), (&luma, 4), (&chroma, 4))?;
/// let space = ColorSpace { matrix: Matrix::Bt601, full_range: false };
/// let mut rgb = [0; 12];
/// convert(picture.into(), space, Order::Rgb, &mut rgb, &mut Scratch::default())?;
/// assert_eq!(rgb, [254, 0, 0, 254, 0, 0, 0, 255, 1, 0, 255, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`PassError`] if `to` has another length than the picture's pixels times [`Order::channels`], and if a frame was
/// overwritten meanwhile. What `to` then holds is undefined.
pub fn convert(
    source: Source<'_>,
    space: ColorSpace,
    order: Order,
    to: &mut [u8],
    scratch: &mut Scratch,
) -> Result<(), PassError> {
    let rows = source.checked_rows()?;
    let (width, height) = rows.size();
    let expected = (width as usize)
        .checked_mul(height as usize)
        .and_then(|pixels| pixels.checked_mul(order.channels()));
    if expected != Some(to.len()) {
        return Err(PassError::Output {
            found: to.len(),
            found_type: Element::U8,
            expected: expected.unwrap_or(usize::MAX),
            expected_type: Element::U8,
        });
    }
    if matches!(rows, Rows::Shared(_)) {
        scratch.held.prepare(width);
    }
    convert_on(Kind::best(), &rows, Factors::of(space), order, to, scratch);
    source.check_valid()
}

/// As [`convert`], of what was checked.
pub(crate) fn convert_on(
    kind: Kind,
    rows: &Rows<'_>,
    factors: Factors,
    order: Order,
    to: &mut [u8],
    scratch: &mut Scratch,
) {
    if !to.is_empty() {
        kind.run(Conversion { rows, factors, order, to, scratch });
    }
}

struct Conversion<'a> {
    rows: &'a Rows<'a>,
    factors: Factors,
    order: Order,
    to: &'a mut [u8],
    scratch: &'a mut Scratch,
}

impl WithKernels for Conversion<'_> {
    type Output = ();

    fn run<K: Kernels>(self, kernels: K) {
        let Self { rows, factors, order, to, scratch } = self;
        let width = rows.size().0 as usize;
        let [even, odd] = &mut scratch.held.luma;
        if order == Order::Gray {
            for (at, to) in to.chunks_exact_mut(width).enumerate() {
                kernels.convert_gray(&factors, rows.row(Samples::Luma, at, even), to);
            }
            return;
        }
        for (at, to) in to.chunks_mut(2 * 3 * width).enumerate() {
            let (upper, lower) = to.split_at_mut(3 * width);
            let luma = [
                rows.row(Samples::Luma, 2 * at, even),
                if lower.is_empty() { &[] } else { rows.row(Samples::Luma, 2 * at + 1, odd) },
            ];
            let chroma = rows.row(Samples::Chroma, at, &mut scratch.held.chroma[0]);
            if order == Order::Bgr {
                kernels.convert_rows::<true>(&factors, luma, chroma, [upper, lower]);
            } else {
                kernels.convert_rows::<false>(&factors, luma, chroma, [upper, lower]);
            }
        }
    }
}
