//! `vas snapshot`: a camera's newest frame as PNG.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use vas_cli::{seconds, stdout};
use vas_frame::{FrameMeta, Nv12Image, ReadError, Reader};
use vas_picture::write_png;
use vas_tensor::{ColorSpace, Order, Scratch, convert};

use super::ExportArgs;
use super::failure::Failure;

/// Write the newest frame of a camera to a PNG file
///
/// Colors follow the matrix and range that the camera states. Without them, the matrix is BT.601
/// below 720 rows of the camera's picture and BT.709 otherwise, and the range is limited.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SnapshotArgs {
    #[command(flatten)]
    export: ExportArgs,
    /// The file to write; an existing one is replaced atomically.
    #[arg(short, long, value_name = "FILE.png")]
    output: PathBuf,
    /// How long to wait for a frame.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
}

const EXAMPLES: &str = "\
Examples:
  vas snapshot gate -o gate.png
  vas snapshot gate -o /tmp/now.png --dir /dev/shm/frames --wait 60 --timeout 30";

pub(super) fn run(args: &SnapshotArgs) -> Result<(), Failure> {
    // Never set: a signal ends the process.
    let Some(mut reader) = args.export.open(None, &AtomicBool::new(false))? else { return Ok(()) };
    let mut image = Nv12Image::default();
    let meta = copy_newest(&mut reader, args.timeout, &mut image).map_err(Failure::Read)?;
    let age = meta.age();
    write_png(&args.output, (image.width(), image.height()), &rgb(&image, &meta))?;
    stdout::write(&format!(
        "{}: frame {} of camera {}, {}x{}, {:.1} ms old\n",
        args.output.display(),
        meta.frame_id,
        args.export.camera,
        meta.width,
        meta.height,
        age.as_secs_f64() * 1e3,
    ))
    .map_err(Failure::Stdout)
}

/// Copies the newest frame into `image`, waiting up to `timeout` for one. A frame that the writer
/// overwrites meanwhile is abandoned for a newer one.
fn copy_newest(
    reader: &mut Reader,
    timeout: Duration,
    image: &mut Nv12Image,
) -> Result<FrameMeta, ReadError> {
    reader.set_timeout(timeout);
    loop {
        let frame = reader.newer()?;
        if frame.copy_if_valid(image).is_ok() {
            return Ok(*frame.meta());
        }
    }
}

/// The picture's colors. The height of the camera's own picture decides about a matrix that is not stated.
fn rgb(image: &Nv12Image, meta: &FrameMeta) -> Vec<u8> {
    let color = image.geometry().map(|geometry| geometry.color()).unwrap_or_default();
    let space = ColorSpace::of(color, meta.source.height);
    let mut rgb = vec![0; 3 * image.width() as usize * image.height() as usize];
    convert(image.into(), space, Order::Rgb, &mut rgb, &mut Scratch::default())
        .expect("three bytes for each pixel of a picture in private memory");
    rgb
}
