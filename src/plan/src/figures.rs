//! Figures that sums are made of, and where each comes from.

use serde::Serialize;

/// A figure that a plan uses, or the word that there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// What it is a figure of.
    pub of: &'static str,
    /// Its value, or `not measured` or `unknown`.
    pub value: String,
    /// Where it comes from, or why there is none.
    pub source: &'static str,
}

impl Figure {
    pub(crate) fn new(of: &'static str, value: impl Into<String>, source: &'static str) -> Self {
        Self { of, value: value.into(), source }
    }
}

/// Pixels of the pictures that times are stated for.
pub(crate) const FULL_HD: f64 = 1920.0 * 1080.0;

/// Milliseconds of processor for a picture of 1920x1080.
pub(crate) struct Milliseconds {
    pub(crate) decode_h264: f64,
    pub(crate) receive: f64,
    pub(crate) copy: f64,
    pub(crate) record: f64,
}

/// Measured on one machine; other processors differ.
pub(crate) const MS: Milliseconds =
    Milliseconds { decode_h264: 6.474, receive: 0.194, copy: 0.343, record: 0.030 };

pub(crate) const MS_SOURCE: &str = "bench/results/cpu-2026-11-30.txt: 1920x1080 at 30, 4 Mbit/s, Intel Xeon (family 6, \
    model 207), 2 virtual processors, medians of 5; other sizes are estimated by their pixels";
pub(crate) const RECORD_SOURCE: &str = "bench/results/ingest-2026-11-30.txt: 27 to 32 us for a picture, small pictures, \
    Intel Xeon, while other work ran; larger ones take more";

/// The time to scale a picture into a slot over that to copy it.
pub(crate) const SCALE_OVER_COPY: f64 = 2.23;
pub(crate) const SCALE_SOURCE: &str =
    "bench/results/scaling-2026-11-30.txt: 1.06 to 2.23 times the copy; the highest is used";

/// Descriptors of a camera that is received and recorded, and the most that an export adds.
pub(crate) const DESCRIPTORS: u32 = 6;
pub(crate) const EXPORT_DESCRIPTORS: u32 = 7;
pub(crate) const DESCRIPTORS_SOURCE: &str = "bench/results/scale-2026-11-25.txt: 6 for a camera that is received and \
    recorded; at most 7 more for one that is exported, the process's own included";

pub(crate) const THREADS_SOURCE: &str = "docs/design/README.md, threads; bench/results/scale-2026-11-25.txt counted 2 for a recorded camera";

/// Device memory of one CUDA context, by reports.
pub(crate) const CONTEXT: (u64, u64) = vas_surfaces::CONTEXT_BYTES;
pub(crate) const CONTEXT_SOURCE: &str = "reports of others (llama.cpp issue 23604, InvokeAI issue 9413); not measured with this service";

pub(crate) const SURFACES_SOURCE: &str = "at least: a stream with one reference picture, as FFmpeg 5.1 counts surfaces, without \
    the driver's padding; at most: NVDEC's limit of 32 to decode to and as many to output, for H.265 \
    with 10 bits";

pub(crate) const SCRATCH_SOURCE: &str =
    "docs/design/gpu.md, kernels; at least: 8 bits; their time on a GPU is not measured";
