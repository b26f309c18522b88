//! What GPUs' decoders can do, by published figures. A figure that was not found is `None`.

use std::str::FromStr;

use serde::Serialize;

use crate::camera::Codec;
use crate::price::pixels;

/// One GPU, or several of the same model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Its model, in lower case.
    pub model: String,
    /// How many of them the host has.
    pub count: u32,
    /// Device memory of each in bytes.
    pub memory_bytes: Option<u64>,
    /// Where `memory_bytes` comes from, or why it is unknown.
    pub memory_source: &'static str,
    /// NVDEC engines of each.
    pub engines: Option<u32>,
    /// Where `engines` comes from, or why it is unknown.
    pub engines_source: &'static str,
    /// Pictures of 1920x1080 in H.264 that one engine decodes in a second.
    pub h264_fps: Option<u32>,
    /// The same in H.265.
    pub h265_fps: Option<u32>,
    /// Where these rates come from, or why they are unknown.
    pub rates_source: &'static str,
}

/// A text that names no GPU of the table.
#[derive(Debug, thiserror::Error)]
#[error("{typed:?} is no GPU that is known here; expected one of {}", NAMES.join(", "))]
pub struct InvalidGpu {
    typed: String,
}

const NAMES: [&str; 5] = ["l4", "t4", "a2", "a10", "h100"];

/// Rates of one engine, 1920x1080, 8-bit 4:2:0, at the highest video clock, by the column of its generation.
const RATES: &str = "NVIDIA, NVDEC Application Note, Video Codec SDK 13.0, table of performance: one engine, 1920x1080, 8 bits, at \
    the clock of NVIDIA's measurement; a card with a lower video clock decodes less";
const NO_RATES: &str = "the NVDEC Application Note (Video Codec SDK 13.0) states no rate at the video clock of this GPU";
const OTHERS: &str = "reports of others; not compared with NVIDIA's support matrix";
const NO_ENGINES: &str = "not looked up in NVIDIA's support matrix; --nvdec-engines states it";
const NO_MEMORY: &str = "not looked up; --gpu-memory states it";
const NOMINAL: &str =
    "its nominal size, by sellers' descriptions; the driver and ECC take some of it";
const BY_USER: &str = "the command line";
const NO_MODEL: &str = "this model is in no table here";

impl Gpu {
    /// A GPU of this model, of which only the name is known.
    fn unknown(model: &str) -> Self {
        Self {
            model: model.to_lowercase(),
            count: 1,
            memory_bytes: None,
            memory_source: NO_MEMORY,
            engines: None,
            engines_source: NO_ENGINES,
            h264_fps: None,
            h265_fps: None,
            rates_source: NO_MODEL,
        }
    }

    /// The GPU that the driver names like this, such as `NVIDIA L4` or `Tesla T4`.
    #[must_use]
    pub fn of_model(named: &str) -> Self {
        let model = named.trim_start_matches("NVIDIA ").trim_start_matches("Tesla ").trim();
        let key = model.split([' ', '-']).next().unwrap_or(model).to_lowercase();
        key.parse().unwrap_or_else(|_| Self::unknown(model))
    }

    /// With memory and engines as the user states them.
    #[must_use]
    pub fn stated(mut self, memory_bytes: Option<u64>, engines: Option<u32>) -> Self {
        if memory_bytes.is_some() {
            (self.memory_bytes, self.memory_source) = (memory_bytes, BY_USER);
        }
        if engines.is_some() {
            (self.engines, self.engines_source) = (engines, BY_USER);
        }
        self
    }

    /// The part of one engine that decodes such pictures at this rate; `None`: no rate is published.
    #[must_use]
    pub fn load(&self, codec: &Codec, size: (u32, u32), fps: f64) -> Option<f64> {
        Some(fps * pixels(size) / f64::from(self.rate(codec)?))
    }

    /// Pictures of 1920x1080 a second for each engine.
    fn rate(&self, codec: &Codec) -> Option<u32> {
        match codec {
            Codec::H264 => self.h264_fps,
            Codec::H265 => self.h265_fps,
            Codec::Other(_) => None,
        }
    }
}

impl FromStr for Gpu {
    type Err = InvalidGpu;

    fn from_str(typed: &str) -> Result<Self, InvalidGpu> {
        let rates = |model, h264, h265| Self {
            h264_fps: Some(h264),
            h265_fps: Some(h265),
            rates_source: RATES,
            ..Self::unknown(model)
        };
        let engines =
            |gpu: Self, engines| Self { engines: Some(engines), engines_source: OTHERS, ..gpu };
        let memory = |gpu: Self, gib: u64| Self {
            memory_bytes: Some(gib << 30),
            memory_source: NOMINAL,
            ..gpu
        };
        match typed {
            "t4" => Ok(memory(rates("t4", 771, 1316), 16)),
            "a2" => Ok(memory(rates("a2", 748, 1415), 16)),
            "a10" => Ok(rates("a10", 748, 1415)),
            "l4" => Ok(memory(engines(rates("l4", 903, 1641), 4), 24)),
            "h100" => Ok(engines(Self { rates_source: NO_RATES, ..Self::unknown("h100") }, 7)),
            _ => Err(InvalidGpu { typed: typed.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_names_are_understood() {
        assert_eq!(Gpu::of_model("NVIDIA L4").h265_fps, Some(1641));
        assert_eq!(Gpu::of_model("Tesla T4").model, "t4");
        assert_eq!(Gpu::of_model("NVIDIA A10").h264_fps, Some(748));
        assert_eq!(Gpu::of_model("NVIDIA H100 80GB HBM3").engines, Some(7));
        let other = Gpu::of_model("NVIDIA L40S");
        assert_eq!((other.model.as_str(), other.engines, other.h264_fps), ("l40s", None, None));
    }

    #[test]
    fn every_name_in_the_message_is_one() {
        for name in NAMES {
            assert!(name.parse::<Gpu>().is_ok(), "{name}");
        }
        let words = "x".parse::<Gpu>().unwrap_err().to_string();
        assert!(words.contains("l4, t4, a2, a10, h100"), "{words}");
    }
}
