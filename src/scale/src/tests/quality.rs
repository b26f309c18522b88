//! How near the filter comes to the same filter in real numbers, and to Lanczos. Run with `--nocapture` for the table.

use crate::{ColorInfo, Fit, Plan, Plane, Request, Source, reference};

/// One direction's weights in real numbers: for each output sample, of samples from the first on.
type Weights = Vec<(usize, Vec<f64>)>;

fn area(source: usize, content: usize) -> Weights {
    let ratio = source as f64 / content as f64;
    let window = |k: usize| {
        let (begin, end) = (k as f64 * ratio, ((k + 1) as f64 * ratio).min(source as f64));
        let first = begin as usize;
        let share = |m: usize| (end.min((m + 1) as f64) - begin.max(m as f64)) / ratio;
        (first, (first..(end.ceil() as usize)).map(share).collect())
    };
    (0..content).map(window).collect()
}

/// Three lobes, widened by the ratio.
fn lanczos(source: usize, content: usize) -> Weights {
    let ratio = source as f64 / content as f64;
    let sinc = |x: f64| {
        let x = x * std::f64::consts::PI;
        if x == 0.0 { 1.0 } else { x.sin() / x }
    };
    let window = |k: usize| {
        let center = (k as f64 + 0.5) * ratio;
        let first = (center - 3.0 * ratio).floor().max(0.0) as usize;
        let end = ((center + 3.0 * ratio).ceil() as usize).min(source);
        let weight = |m: usize| {
            let x = (m as f64 + 0.5 - center) / ratio;
            if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
        };
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        (first, weights.iter().map(|weight| weight / sum).collect())
    };
    (0..content).map(window).collect()
}

fn filter(picture: &[u8], width: usize, across: &Weights, down: &Weights) -> Vec<f64> {
    let mut out = Vec::new();
    for (first_row, down) in down {
        let column = |x: usize| -> f64 {
            let samples = down.iter().enumerate();
            samples.map(|(at, w)| w * f64::from(picture[(first_row + at) * width + x])).sum()
        };
        let sums: Vec<f64> = (0..width).map(column).collect();
        out.extend(across.iter().map(|(first, weights)| -> f64 {
            weights.iter().zip(&sums[*first..]).map(|(weight, sum)| weight * sum).sum()
        }));
    }
    out
}

fn psnr(one: impl Iterator<Item = f64>, other: &[f64]) -> f64 {
    let squares: f64 = one.zip(other).map(|(one, other)| (one - other).powi(2)).sum();
    10.0 * (255.0_f64.powi(2) * other.len() as f64 / squares).log10()
}

/// Rings that become finer towards the corner, a slope, edges and some noise: more than a camera shows.
fn picture(width: usize, height: usize) -> Vec<u8> {
    let mut noise = super::rig::Noise::new(5);
    let mut pixel = |at: usize| {
        let (x, y) = ((at % width) as f64 / width as f64, (at / width) as f64 / height as f64);
        let rings = ((x * x + y * y) * 150.0).sin() * 50.0;
        let edge = if ((x * 9.0 + y * 4.0) as u32).is_multiple_of(2) { 30.0 } else { -30.0 };
        let grain = f64::from(noise.within(0, 12)) - 6.0;
        (128.0 + rings + edge + 20.0 * (x - y) + grain).clamp(0.0, 255.0) as u8
    };
    (0..width * height).map(&mut pixel).collect()
}

/// The error of one rounding to integers alone gives 58.9 dB.
#[test]
fn near_the_area_in_real_numbers() {
    println!("source      output      dB to area  to Lanczos  (area rounded to Lanczos)");
    for ((width, height), (out_width, out_height), least) in [
        ((1920, 1080), (640, 360), 57.0),
        ((3840, 2160), (640, 360), 57.0),
        ((1920, 1080), (1280, 720), 57.0),
        ((1920, 1080), (854, 480), 57.0),
        ((1280, 720), (640, 360), 57.0),
        ((2592, 1944), (640, 640), 57.0),
        ((1920, 1080), (1919, 1079), 57.0),
        ((3840, 2160), (120, 68), 57.0),
    ] {
        let luma = picture(width, height);
        let gray = vec![128; width * height.div_ceil(2)];
        let source = Source::Nv12 { y: Plane::new(&luma, width), uv: Plane::new(&gray, width) };
        let (w, h) = (Some(out_width as u32), Some(out_height as u32));
        let request = Request { width: w, height: h, fit: Fit::Stretch };
        let size = (width as u32, height as u32);
        let plan = Plan::new(size, request, ColorInfo::default()).unwrap();
        let ours = reference::scale(&source, &plan).luma;
        let by = |weights: fn(usize, usize) -> Weights| {
            filter(&luma, width, &weights(width, out_width), &weights(height, out_height))
        };
        let (area, lanczos) = (by(area), by(lanczos));
        let to_area = psnr(ours.iter().map(|s| f64::from(*s)), &area);
        let to_lanczos = psnr(ours.iter().map(|s| f64::from(*s)), &lanczos);
        let limit = psnr(area.iter().map(|s| s.round()), &lanczos);
        println!(
            "{:<11} {:<11} {to_area:>10.2} {to_lanczos:>11.2} {limit:>11.2}",
            format!("{width}x{height}"),
            format!("{out_width}x{out_height}"),
        );
        assert!(to_area > least, "{to_area} dB");
    }
}
