//! What `vas watch` prints for a frame.

use std::fmt;
use std::time::Duration;

use md5::{Digest as _, Md5};
use serde::Serialize;
use vas_frame::{Flags, FrameMeta, Loss, Nv12Image};

/// One frame, for a line of text (`Display`) or of JSON. The names of the fields are the JSON keys
/// and part of the interface.
#[derive(Debug, Clone, Serialize)]
pub(super) struct FrameLine<'a> {
    /// Id of the camera.
    camera: &'a str,
    /// Rises with each change of size, format, color or writer.
    epoch: u64,
    /// Rises with each frame.
    frame_id: u64,
    /// Presentation time on the camera's own clock, in nanoseconds; null if it sent none.
    pts_ns: Option<i64>,
    /// When its first packet arrived (`CLOCK_MONOTONIC`, nanoseconds, as all times but `pts_ns`).
    arrival_ns: u64,
    /// When the decoder output it.
    decoded_ns: u64,
    /// The time that rate limits use.
    gate_ns: u64,
    /// When the frame was published.
    published_ns: u64,
    /// Nanoseconds from the arrival of the frame's first packet until it was read here.
    age_ns: u64,
    /// Visible width in pixels.
    width: u32,
    /// Visible height in pixels.
    height: u32,
    /// Whether it is a key frame.
    key: bool,
    /// Whether the decoder marked it as damaged.
    corrupt: bool,
    /// `no`, `yes` or `unknown`: three answers, so no boolean and no null that reads as false.
    after_loss: &'static str,
    /// What decoded it.
    decoder: String,
    /// MD5 of the pixels in hexadecimal; null unless requested.
    md5: Option<String>,
}

impl<'a> FrameLine<'a> {
    /// Describes a frame that is `age` old; `image` holds its pixels, if requested.
    pub(super) fn new(
        camera: &'a str,
        meta: &FrameMeta,
        age: Duration,
        image: Option<&Nv12Image>,
    ) -> Self {
        Self {
            camera,
            epoch: meta.epoch,
            frame_id: meta.frame_id,
            pts_ns: meta.pts_ns,
            arrival_ns: meta.arrival_ns,
            decoded_ns: meta.decoded_ns,
            gate_ns: meta.gate_ns,
            published_ns: meta.published_ns,
            age_ns: u64::try_from(age.as_nanos()).unwrap_or(u64::MAX),
            width: meta.width,
            height: meta.height,
            key: meta.flags.contains(Flags::KEY),
            corrupt: meta.flags.contains(Flags::CORRUPT),
            after_loss: match meta.flags.loss() {
                Loss::None => "no",
                Loss::AfterLoss => "yes",
                Loss::Unknown => "unknown",
            },
            decoder: meta.decoder.to_string(),
            md5: image.map(|image| hex_md5(image.data())),
        }
    }

    /// The line as JSON, without its line feed.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain numbers and strings always become JSON")
    }
}

impl fmt::Display for FrameLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { camera, epoch, frame_id, width, height, decoder, .. } = self;
        write!(f, "{camera} frame {frame_id} {width}x{height}")?;
        write!(f, " age {:.1} ms", self.age_ns as f64 / 1e6)?;
        match self.pts_ns {
            Some(pts_ns) => write!(f, " pts {:.3} s", pts_ns as f64 / 1e9)?,
            None => write!(f, " pts unknown")?,
        }
        write!(f, " epoch {epoch} {decoder}")?;
        let marks = [
            (self.key, "key"),
            (self.corrupt, "corrupt"),
            (self.after_loss == "yes", "after-loss"),
        ];
        for (_, mark) in marks.iter().filter(|(set, _)| *set) {
            write!(f, " {mark}")?;
        }
        match &self.md5 {
            Some(md5) => write!(f, " md5 {md5}"),
            None => Ok(()),
        }
    }
}

/// As FFmpeg's `framemd5` muxer prints it for the same bytes in pixel format nv12.
fn hex_md5(pixels: &[u8]) -> String {
    Md5::digest(pixels).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vas_frame::{Crop, Decoder, Rect, Size};

    fn meta(flags: Flags, pts_ns: Option<i64>) -> FrameMeta {
        FrameMeta {
            frame_id: 7,
            epoch: 3,
            pts_ns,
            arrival_ns: 1_000_000,
            decoded_ns: 1_500_000,
            gate_ns: 1_400_000,
            published_ns: 2_000_000,
            reuse_not_before_ns: 0,
            wall_clock_ns: None,
            flags,
            width: 640,
            height: 360,
            coded: Size::default(),
            crop: Crop::default(),
            content: Rect { x: 0, y: 0, width: 640, height: 360 },
            source: Size { width: 640, height: 360 },
            decoder: Decoder::Software,
        }
    }

    #[test]
    fn json_has_exactly_these_keys_in_this_order() {
        let age = Duration::from_nanos(12_345_678);
        let line = FrameLine::new("gate", &meta(Flags::KEY, Some(-40)), age, None);
        assert_eq!(
            line.to_json(),
            "{\"camera\":\"gate\",\"epoch\":3,\"frame_id\":7,\"pts_ns\":-40,\
             \"arrival_ns\":1000000,\"decoded_ns\":1500000,\"gate_ns\":1400000,\
             \"published_ns\":2000000,\"age_ns\":12345678,\"width\":640,\"height\":360,\
             \"key\":true,\"corrupt\":false,\"after_loss\":\"no\",\"decoder\":\"software\",\
             \"md5\":null}"
        );
    }

    #[test]
    fn unknown_values_are_printed_as_unknown() {
        let line = FrameLine::new("gate", &meta(Flags::LOSS_UNKNOWN, None), Duration::ZERO, None);
        let json = line.to_json();
        assert!(json.contains("\"pts_ns\":null"), "{json}");
        assert!(json.contains("\"after_loss\":\"unknown\""), "{json}");
        assert_eq!(
            line.to_string(),
            "gate frame 7 640x360 age 0.0 ms pts unknown epoch 3 software"
        );
    }

    #[test]
    fn text_is_for_people() {
        let flags = Flags::KEY.with(Flags::CORRUPT, true).with(Flags::AFTER_LOSS, true);
        let age = Duration::from_nanos(12_345_678);
        let line = FrameLine::new("gate", &meta(flags, Some(1_500_000_000)), age, None);
        assert_eq!(
            line.to_string(),
            "gate frame 7 640x360 age 12.3 ms pts 1.500 s epoch 3 software key corrupt after-loss"
        );
        assert!(line.to_json().contains("\"after_loss\":\"yes\""));
    }

    #[test]
    fn md5_is_that_of_the_standard() {
        // RFC 1321, A.5.
        assert_eq!(hex_md5(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hex_md5(b""), "d41d8cd98f00b204e9800998ecf8427e");
    }
}
