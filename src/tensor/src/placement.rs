//! Where the picture lies in the target, and how positions map.

use crate::request::Fit;

/// The rectangle of the target that the whole picture would fill. With [`Fit::Crop`] it reaches beyond the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    /// Its leftmost column; negative where columns are cropped.
    pub x: i32,
    /// Its topmost row; negative where rows are cropped.
    pub y: i32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Content {
    /// `picture` and `target` are widths and heights from 1 to [`MAX_SIDE`](vas_frame::MAX_SIDE).
    pub(crate) fn new(picture: (u32, u32), target: (u32, u32), fit: Fit) -> Self {
        let ratios = [
            f64::from(target.0) / f64::from(picture.0),
            f64::from(target.1) / f64::from(picture.1),
        ];
        let ratio = match fit {
            Fit::Stretch => return Self { x: 0, y: 0, width: target.0, height: target.1 },
            Fit::Letterbox => ratios[0].min(ratios[1]),
            Fit::Crop => ratios[0].max(ratios[1]),
        };
        // Half to even, as Python's `round` in the letterbox of YOLO models.
        let side = |side: u32| (f64::from(side) * ratio).round_ties_even().max(1.0) as u32;
        let (width, height) = (side(picture.0), side(picture.1));
        // The floor of a half, also of a negative one.
        let middle = |outer: u32, inner: u32| (outer.cast_signed() - inner.cast_signed()) >> 1;
        Self { x: middle(target.0, width), y: middle(target.1, height), width, height }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(picture: (u32, u32), target: (u32, u32), fit: Fit) -> (i32, i32, u32, u32) {
        let Content { x, y, width, height } = Content::new(picture, target, fit);
        (x, y, width, height)
    }

    #[test]
    fn a_letterbox_is_that_of_yolo_models() {
        for (picture, target, expected) in [
            ((1920, 1080), (640, 640), (0, 140, 640, 360)),
            ((1080, 1920), (640, 640), (140, 0, 360, 640)),
            ((1280, 960), (640, 640), (0, 80, 640, 480)),
            // 333 * 640 / 500 = 426.24; 214 rows are left.
            ((500, 333), (640, 640), (0, 107, 640, 426)),
            // 107 rows are left: 53 above, 54 below.
            ((640, 533), (640, 640), (0, 53, 640, 533)),
            ((16_384, 1), (640, 640), (0, 319, 640, 1)),
        ] {
            assert_eq!(content(picture, target, Fit::Letterbox), expected, "{picture:?}");
        }
    }

    #[test]
    fn a_crop_covers_the_target() {
        assert_eq!(content((1920, 1080), (224, 224), Fit::Crop), (-87, 0, 398, 224));
        assert_eq!(content((100, 100), (224, 224), Fit::Crop), (0, 0, 224, 224));
        for (picture, target) in
            [((7, 1000), (224, 100)), ((16_384, 3), (3, 16_384)), ((1, 1), (5, 3))]
        {
            let (x, y, width, height) = content(picture, target, Fit::Crop);
            assert!(x <= 0 && x + width.cast_signed() >= target.0.cast_signed(), "{picture:?}");
            assert!(y <= 0 && y + height.cast_signed() >= target.1.cast_signed(), "{picture:?}");
        }
    }

    #[test]
    fn a_stretch_fills_the_target() {
        assert_eq!(content((1920, 1080), (3, 500), Fit::Stretch), (0, 0, 3, 500));
    }
}
