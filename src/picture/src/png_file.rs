//! PNG files that are written completely or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A picture could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write picture {}: {source}", path.display())]
pub struct PngFileError {
    /// The requested file.
    path: PathBuf,
    /// The error.
    source: png::EncodingError,
}

impl PngFileError {
    /// The system's error, if it was one.
    #[must_use]
    pub fn io(&self) -> Option<&io::Error> {
        match &self.source {
            png::EncodingError::IoError(error) => Some(error),
            _ => None,
        }
    }
}

/// Writes a picture to `path` as an 8-bit RGB PNG, replacing an existing file.
///
/// `rgb` has three bytes for each pixel of `size`, which is width and height: red, green, blue, in rows without
/// padding.
///
/// The file is written under another name beside `path` and then renamed, so that it is never seen
/// half written, and a failure leaves the old one.
///
/// # Errors
/// The folder or disk can't be written to, a side is 0, or `rgb` has another length.
pub fn write_png(path: &Path, size: (u32, u32), rgb: &[u8]) -> Result<(), PngFileError> {
    let failed = |source| PngFileError { path: path.into(), source };
    let part = part_path(path).map_err(|e| failed(e.into()))?;
    let written = File::create_new(&part)
        .map_err(png::EncodingError::from)
        .and_then(|file| encode(file, size, rgb))
        .and_then(|()| Ok(fs::rename(&part, path)?));
    written.map_err(|source| {
        // If it does not exist, nothing is lost; if it stays, its name explains it.
        let _ = fs::remove_file(&part);
        failed(source)
    })
}

/// A name in the same folder, so that the rename stays on one file system.
fn part_path(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut part = OsString::from(".");
    part.push(name);
    part.push(format!(".{}.part", std::process::id()));
    Ok(path.with_file_name(part))
}

fn encode(file: File, size: (u32, u32), rgb: &[u8]) -> Result<(), png::EncodingError> {
    let mut file = BufWriter::new(file);
    encode_png(&mut file, size, rgb)?;
    Ok(file.flush()?)
}

/// Writes a picture to `to` as [`write_png`] does to a file.
///
/// # Errors
/// `to` can't be written, a side is 0, or `rgb` has another length.
pub fn encode_png(
    to: impl Write,
    (width, height): (u32, u32),
    rgb: &[u8],
) -> Result<(), png::EncodingError> {
    let mut encoder = png::Encoder::new(to, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RGB: [u8; 12] = [0, 0, 0, 80, 90, 100, 160, 160, 160, 255, 0, 255];

    #[test]
    fn a_decoder_reads_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        fs::write(&path, "old").unwrap();
        write_png(&path, (2, 2), &RGB).unwrap();

        let file = io::BufReader::new(File::open(&path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (2, 2, png::ColorType::Rgb));
        assert_eq!(bytes, RGB);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no other file is left");
    }

    #[test]
    fn a_failure_keeps_the_old_file_and_leaves_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        fs::write(&path, "old").unwrap();
        assert!(write_png(&path, (0, 0), &[]).is_err());
        assert!(write_png(&path, (2, 2), &RGB[1..]).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_message_names_the_file() {
        let words =
            write_png(Path::new("/nonexistent/a.png"), (2, 2), &RGB).unwrap_err().to_string();
        assert!(words.starts_with("cannot write picture /nonexistent/a.png: "), "{words}");
        assert!(write_png(Path::new(".."), (2, 2), &RGB).is_err());
    }
}
