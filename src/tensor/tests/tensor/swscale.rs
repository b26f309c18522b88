//! Colors are those of FFmpeg's swscale.

use std::io::Write;
use std::process::{Command, Stdio};

use vas_tensor::{ColorSpace, Matrix, Nv12, Order, Scratch, convert};

const SIZE: (u32, u32) = (320, 240);

/// The picture as swscale converts it, with each sample of chroma for its two by two pixels.
fn by_swscale(nv12: &[u8], matrix: &str, range: &str) -> Vec<u8> {
    let flags = "neighbor+accurate_rnd+full_chroma_int";
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "nv12"])
        .args(["-s", &format!("{}x{}", SIZE.0, SIZE.1), "-i", "-", "-vf"])
        .arg(format!(
            "scale=in_color_matrix={matrix}:in_range={range}:out_range=full:flags={flags},format=rgb24"
        ))
        .args(["-f", "rawvideo", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg is installed");
    // FFmpeg reads the whole picture before it writes anything.
    ffmpeg.stdin.take().unwrap().write_all(nv12).unwrap();
    let output = ffmpeg.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn within_one_level_of_swscale() {
    let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
    let mut rng = fastrand::Rng::with_seed(1);
    for (matrix, name) in [
        (Matrix::Bt601, "bt601"),
        (Matrix::Bt709, "bt709"),
        (Matrix::Bt2020, "bt2020"),
        (Matrix::Fcc, "fcc"),
        (Matrix::Smpte240m, "smpte240m"),
    ] {
        for full_range in [false, true] {
            // In limited range samples within it: swscale's blue overflows at the brightest ones beyond.
            let (luma, chroma) = if full_range { (0..=255, 0..=255) } else { (16..=235, 16..=240) };
            let mut nv12: Vec<u8> = (0..width * height).map(|_| rng.u8(luma.clone())).collect();
            nv12.extend((0..width * height / 2).map(|_| rng.u8(chroma.clone())));
            let range = if full_range { "full" } else { "limited" };
            let theirs = by_swscale(&nv12, name, range);

            let (luma, chroma) = nv12.split_at(width * height);
            let picture = Nv12::new(SIZE, (luma, width), (chroma, width)).unwrap();
            let mut ours = vec![0; 3 * width * height];
            let space = ColorSpace { matrix, full_range };
            convert(picture.into(), space, Order::Rgb, &mut ours, &mut Scratch::default()).unwrap();
            assert_eq!(ours.len(), theirs.len());
            let largest = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(largest <= Some(1), "{name} {range}: {largest:?} levels");
        }
    }
}
