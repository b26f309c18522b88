//! Recorded metadata: what `vas watch --json` printed.

use std::io::{self, BufRead, Lines};

use ruth_core::{CameraId, InvalidId, Stamp};
use serde::Deserialize;

/// What was recorded of one frame. Keys that are not needed here are not looked at.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The camera.
    pub camera: CameraId,
    /// What the gate looks at.
    pub stamp: Stamp,
    /// Visible size in pixels; zero if nobody recorded it.
    pub size: (u32, u32),
    /// The camera's presentation time.
    pub pts_ns: Option<i64>,
    /// When its first packet arrived.
    pub arrival_ns: Option<u64>,
    /// When the decoder gave it out.
    pub decoded_ns: Option<u64>,
}

/// Frames, a line of JSON each, in the order in which they came.
#[derive(Debug)]
pub struct Recording<R> {
    lines: Lines<R>,
    line: usize,
}

/// A recording that can't be read on.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The system did not give it out.
    #[error("line {line}: {source}")]
    Read {
        /// Number of the line, from 1.
        line: usize,
        /// What the system said.
        source: io::Error,
    },
    /// A line is no frame.
    #[error("line {line}: {source}; expected what `vas watch --json` prints")]
    Frame {
        /// Number of the line, from 1.
        line: usize,
        /// What it is not.
        source: serde_json::Error,
    },
    /// A frame's camera can't be one.
    #[error("line {line}: `camera`: {source}")]
    Camera {
        /// Number of the line, from 1.
        line: usize,
        /// Why not.
        source: InvalidId,
    },
}

#[derive(Deserialize)]
struct Line {
    camera: String,
    epoch: u64,
    frame_id: u64,
    gate_ns: u64,
    published_ns: Option<u64>,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
    pts_ns: Option<i64>,
    arrival_ns: Option<u64>,
    decoded_ns: Option<u64>,
}

impl<R: BufRead> Recording<R> {
    /// A recording that `from` gives out.
    pub fn new(from: R) -> Self {
        Self { lines: from.lines(), line: 0 }
    }

    fn read(&self, text: &str) -> Result<Frame, RecordingError> {
        let line = self.line;
        let read: Line =
            serde_json::from_str(text).map_err(|source| RecordingError::Frame { line, source })?;
        let camera =
            CameraId::new(read.camera).map_err(|source| RecordingError::Camera { line, source })?;
        Ok(Frame {
            camera,
            stamp: Stamp {
                epoch: read.epoch,
                frame_id: read.frame_id,
                gate_ns: read.gate_ns,
                // The nearest that there is, if nobody recorded it.
                published_ns: read.published_ns.unwrap_or(read.gate_ns),
            },
            size: (read.width, read.height),
            pts_ns: read.pts_ns,
            arrival_ns: read.arrival_ns,
            decoded_ns: read.decoded_ns,
        })
    }
}

impl<R: BufRead> Iterator for Recording<R> {
    type Item = Result<Frame, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.line += 1;
            match self.lines.next()? {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => return Some(self.read(&text)),
                Err(source) => {
                    return Some(Err(RecordingError::Read { line: self.line, source }));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Frame>, RecordingError> {
        Recording::new(text.as_bytes()).collect()
    }

    #[test]
    fn what_watch_prints_is_read() {
        let text = "\n{\"camera\":\"gate\",\"epoch\":3,\"frame_id\":7,\"pts_ns\":-40,\"arrival_ns\":1,\
                    \"decoded_ns\":2,\"gate_ns\":3,\"published_ns\":4,\"age_ns\":5,\"width\":640,\
                    \"height\":360,\"key\":true,\"md5\":null}\n\
                    {\"camera\":\"gate\",\"epoch\":3,\"frame_id\":8,\"gate_ns\":9}\n";
        let frames = read(text).unwrap();
        let stamp = Stamp { epoch: 3, frame_id: 7, gate_ns: 3, published_ns: 4 };
        assert_eq!((frames[0].stamp, frames[0].size), (stamp, (640, 360)));
        let times = (frames[0].pts_ns, frames[0].arrival_ns, frames[0].decoded_ns);
        assert_eq!(times, (Some(-40), Some(1), Some(2)));
        assert_eq!((frames[1].stamp.published_ns, frames[1].size), (9, (0, 0)));
    }

    #[test]
    fn what_is_no_frame_is_named_by_its_line() {
        let words = |text: &str| read(text).unwrap_err().to_string();
        let good = "{\"camera\":\"a\",\"epoch\":1,\"frame_id\":1,\"gate_ns\":1}\n";
        let missing = words(&format!("{good}\n{{\"camera\":\"a\",\"epoch\":1,\"frame_id\":1}}"));
        assert!(missing.starts_with("line 3: missing field `gate_ns`"), "{missing}");
        assert!(missing.ends_with("expected what `vas watch --json` prints"), "{missing}");
        assert!(words("x").starts_with("line 1: expected value"), "{}", words("x"));
        let camera = words(&good.replace("\"a\"", "\"a/b\""));
        assert!(camera.starts_with("line 1: `camera`: \"a/b\" is no id"), "{camera}");
        assert!(words("\u{0}").starts_with("line 1: "));
        assert!(read("").unwrap().is_empty());
    }
}
