//! The result against exact arithmetic, and the error that remains.

use super::rig::{Picture, spaces};
use crate::color::{ColorSpace, Factors, Matrix};
use crate::kernels::Kind;
use crate::plan::{Output, Plan};
use crate::request::{Fit, Layout, Normalize, Order, Request};
use crate::scratch::Scratch;

/// Weights as in the recommendations, apart from the crate's.
fn weights(matrix: Matrix) -> (f64, f64) {
    match matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
        Matrix::Fcc => (0.30, 0.11),
        Matrix::Smpte240m => (0.212, 0.087),
    }
}

/// Levels before clamping, solved from the equations of luma and the color differences.
fn rgb(space: ColorSpace, [y, u, v]: [f64; 3]) -> [f64; 3] {
    let (red, blue) = weights(space.matrix);
    let green = 1.0 - red - blue;
    let (y, u, v) = if space.full_range {
        (y / 255.0, (u - 128.0) / 255.0, (v - 128.0) / 255.0)
    } else {
        ((y - 16.0) / 219.0, (u - 128.0) / 224.0, (v - 128.0) / 224.0)
    };
    // u = (b - y) / (2 - 2 * blue), v = (r - y) / (2 - 2 * red), y = red * r + green * g + blue * b
    let (r, b) = (y + v * 2.0 * (1.0 - red), y + u * 2.0 * (1.0 - blue));
    let g = (y - red * r - blue * b) / green;
    [r, g, b].map(|channel| channel * 255.0)
}

/// Every combination of samples, in every color space.
#[test]
fn every_color_is_within_one_level_of_the_exact_one() {
    let mut scratch = Scratch::default();
    for space in spaces() {
        let mut differing = 0;
        // A row for each V: all U in turns; a picture for each luma.
        let mut samples = Vec::with_capacity(512);
        for u in 0..=255 {
            samples.extend([u, 0]);
        }
        let mut to = [0; 3 * 512];
        for y in 0..=255 {
            let luma = [y; 512];
            for v in 0..=255 {
                samples.iter_mut().skip(1).step_by(2).for_each(|sample| *sample = v);
                let picture = crate::Nv12::new((512, 1), (&luma, 512), (&samples, 512)).unwrap();
                crate::convert(picture.into(), space, Order::Rgb, &mut to, &mut scratch).unwrap();
                for (u, found) in to.chunks_exact(6).enumerate() {
                    let exact = rgb(space, [f64::from(y), u as f64, f64::from(v)]);
                    for (found, exact) in found.iter().zip(exact) {
                        let off = f64::from(*found) - exact.clamp(0.0, 255.0).round();
                        assert!(off.abs() <= 1.0, "{space:?} {y} {u} {v}: {found} {exact}");
                        differing += u32::from(off != 0.0);
                    }
                }
            }
        }
        // Of 2^24 colors of three channels: those next to a half.
        assert!(differing < 3 * (1 << 24) / 50, "{space:?}: {differing} are not the nearest");
    }
}

#[test]
fn grays_are_exact() {
    for space in spaces() {
        let factors = Factors::of(space);
        let (black, white) = if space.full_range { (0, 255) } else { (16, 235) };
        for (sample, level) in [(black, 0), (white, 255)] {
            let (mut to, luma) = ([7; 3], [sample]);
            let picture = crate::Nv12::new((1, 1), (&luma, 1), (&[128; 2], 2)).unwrap();
            let mut scratch = Scratch::default();
            crate::convert(picture.into(), space, Order::Rgb, &mut to, &mut scratch).unwrap();
            assert_eq!(to, [level; 3], "{space:?} {factors:?}");
        }
    }
}

/// Colors of the pixels, interpolated: what a pass computes, without any rounding.
fn exact_tensor(plan: &Plan, picture: &Picture) -> Vec<f64> {
    let request = plan.request();
    let (width, height) = picture.size;
    let mut levels = Vec::new();
    for y in 0..request.height {
        for x in 0..request.width {
            let place = |at: u32, target: u32, source: u32| {
                let place = (f64::from(at) + 0.5) * f64::from(source) / f64::from(target) - 0.5;
                place.clamp(0.0, f64::from(source - 1))
            };
            let (column, row) = (place(x, request.width, width), place(y, request.height, height));
            let mut sum = [0.0; 3];
            for (row, down) in [(row.floor(), 1.0 - row.fract()), (row.ceil(), row.fract())] {
                for (column, across) in
                    [(column.floor(), 1.0 - column.fract()), (column.ceil(), column.fract())]
                {
                    // At an integer both are the same, and the second has no weight.
                    let samples = picture.pixel(column as usize, row as usize).map(f64::from);
                    for (sum, level) in sum.iter_mut().zip(rgb(plan.space(), samples)) {
                        *sum += level.clamp(0.0, 255.0) * down * across;
                    }
                }
            }
            levels.extend(sum);
        }
    }
    levels
}

#[test]
fn a_pass_is_within_a_tenth_of_a_level() {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut worst = 0.0_f64;
    for space in spaces() {
        for (size, width, height) in [
            ((97, 61), 40, 40),
            ((33, 17), 100, 90),
            ((64, 64), 64, 64),
            ((90, 30), 30, 10),
            ((300, 40), 50, 9),
        ] {
            let picture = Picture::random(size, &mut rng);
            let request = Request {
                fit: Fit::Stretch,
                layout: Layout::Nhwc,
                normalize: Normalize::NONE,
                ..Request::new(width, height)
            };
            let plan = Plan::new(size, space, &request).unwrap();
            let mut to = vec![f32::NAN; plan.elements()];
            plan.run(picture.nv12().into(), &mut Output::F32(&mut to), &mut Scratch::default())
                .unwrap();
            for (found, exact) in to.iter().zip(exact_tensor(&plan, &picture)) {
                worst = worst.max((f64::from(*found) - exact).abs());
            }
        }
    }
    assert!(worst < 0.1, "{worst} with {:?}", Kind::best());
}
