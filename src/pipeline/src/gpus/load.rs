//! How busy a camera keeps a GPU's decoders, by published rates: the sums of `vas plan`.

use vas_media::{Codec, GpuError, NvdecCaps, StreamInfo};
use vas_plan::{Codec as Planned, Gpu};

/// The rate of a stream that states none, as for rings and in `vas plan`.
const ASSUMED_FPS: f64 = 30.0;
/// A stream that states more is not believed: such cameras state the ticks of a clock.
const MOST_FPS: f64 = 120.0;
/// What adding up fractions may lose.
const ROUNDING: f64 = 1e-6;

/// What one camera takes of a GPU's decoders, and what this process may take of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Load {
    /// Engines that it keeps busy.
    pub(super) engines: f64,
    /// Engines that this process may keep busy.
    pub(super) may: f64,
    /// What it is, for people.
    pub(super) words: String,
}

impl Load {
    /// The load of a stream on the GPU that the driver names `name`; `None` if nobody has published a rate for it, or
    /// nobody knows its engines. `sharers` is how many processes divide the GPU.
    pub(crate) fn of(
        stream: &StreamInfo,
        name: &str,
        nvdec: Option<&NvdecCaps>,
        sharers: u32,
    ) -> Option<Self> {
        let codec = match stream.codec {
            Codec::H264 => Planned::H264,
            Codec::H265 => Planned::H265,
            _ => return None,
        };
        let stated = stream.fps.map(|fps| f64::from(fps.num()) / f64::from(fps.den()));
        let fps = stated.filter(|fps| (1.0..=MOST_FPS).contains(fps)).unwrap_or(ASSUMED_FPS);
        let size = stream.size?;
        let gpu = Gpu::of_model(name).stated(None, nvdec.and_then(NvdecCaps::engines));
        let words = format!("{codec} {}x{} at {fps:.0} a second", size.0, size.1);
        Some(Self {
            engines: gpu.load(&codec, size, fps)?,
            may: f64::from(gpu.engines?) / f64::from(sharers.max(1)),
            words,
        })
    }

    /// Whether the load of cameras on this GPU is known.
    pub(super) fn is_known(name: &str, nvdec: Option<&NvdecCaps>) -> bool {
        let gpu = Gpu::of_model(name).stated(None, nvdec.and_then(NvdecCaps::engines));
        gpu.engines.is_some() && gpu.load(&Planned::H264, (16, 16), 1.0).is_some()
    }

    /// Whether it fits beside `others` that keep `busy` engines busy.
    pub(super) fn check(&self, ordinal: usize, busy: f64, others: u32) -> Result<(), GpuError> {
        if busy + self.engines <= self.may + ROUNDING {
            return Ok(());
        }
        let Self { engines, may, words } = self;
        let others = match others {
            1 => "1 camera that this process decodes there takes".to_owned(),
            others => format!("{others} cameras that this process decodes there take"),
        };
        let words = format!(
            "this camera ({words}) takes {engines:.3} NVDEC engines by NVIDIA's published rates, and the {others} \
             {busy:.3} of {may}"
        );
        Err(GpuError::Busy { ordinal, words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(engines: f64, may: f64) -> Load {
        Load { engines, may, words: "h264 1920x1080 at 30 a second".into() }
    }

    #[test]
    fn a_camera_fits_up_to_the_published_rates() {
        let one = load(30.0 / 771.0, 2.0);
        let most = (2.0 / one.engines) as u32;
        let fits = |others: u32| one.check(0, f64::from(others) * one.engines, others).is_ok();
        assert!(fits(most - 1) && !fits(most));
        assert_eq!(most, 51);
        let words = one.check(1, 1.99, 51).unwrap_err().to_string();
        let expected = "GPU 1 has no time left for another decoder: this camera (h264 1920x1080 at 30 a second) takes \
                        0.039 NVDEC engines by NVIDIA's published rates, and the 51 cameras that this process decodes \
                        there take 1.990 of 2";
        assert_eq!(words, expected);
    }

    #[test]
    fn ten_tenths_are_one() {
        let tenth = load(0.1, 1.0);
        let busy = (0..9).fold(0.0, |sum, _| sum + tenth.engines);
        assert_eq!(tenth.check(0, busy, 9), Ok(()));
    }
}
