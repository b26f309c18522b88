//! What decodes a camera: the GPU if it can, otherwise what else and until when. It opens nothing
//! and has no clock: times are arguments, `CLOCK_MONOTONIC` nanoseconds.

use vas_config::Decode;
use vas_media::GpuError;

use vas_backoff::Cooldown;

/// How long a GPU must decode before its next failure counts as the first.
const STEADY_NS: u64 = 60_000_000_000;

/// What to decode with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rung {
    Gpu,
    Processor,
    /// Nothing: only NVDEC, or only VA-API, may decode the camera, and it can't.
    Nothing,
}

/// The next step after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Never again for this stream.
    NotForThisStream,
    /// Another GPU at once, if there is one.
    AnotherGpu,
    /// Again after this many nanoseconds.
    AgainAfter(u64),
}

/// A camera's place on the ladder.
#[derive(Debug)]
pub(super) struct Ladder {
    decode: Decode,
    /// The GPU can't decode this stream.
    refused: bool,
    cooldown: Cooldown,
    /// Since when a GPU delivers pictures.
    decoding_since_ns: Option<u64>,
}

impl Ladder {
    pub(super) fn new(decode: Decode) -> Self {
        Self { decode, refused: false, cooldown: Cooldown::default(), decoding_since_ns: None }
    }

    /// What the config asks for.
    pub(super) fn decode(&self) -> Decode {
        self.decode
    }

    /// Another stream begins: a refusal of the last one does not apply to it.
    pub(super) fn stream_begins(&mut self) {
        self.refused = false;
    }

    /// What to decode with now.
    pub(super) fn rung(&self, now_ns: u64) -> Rung {
        let may = self.decode != Decode::Software && !self.refused;
        match self.decode {
            _ if may && self.cooldown.is_over(now_ns) => Rung::Gpu,
            Decode::Nvdec | Decode::Vaapi => Rung::Nothing,
            Decode::Auto | Decode::Software => Rung::Processor,
        }
    }

    /// A GPU delivered a picture.
    pub(super) fn decodes(&mut self, now_ns: u64) {
        self.decoding_since_ns.get_or_insert(now_ns);
    }

    /// A GPU that did decode was lost. Opening a decoder will tell whether there is another one.
    pub(super) fn lost(&mut self) -> Next {
        self.decoding_since_ns = None;
        Next::AnotherGpu
    }

    /// No GPU decodes, or no longer.
    pub(super) fn failed(&mut self, why: &GpuError, now_ns: u64) -> Next {
        let steady = |since_ns| now_ns.saturating_sub(since_ns) >= STEADY_NS;
        if self.decoding_since_ns.take().is_some_and(steady) {
            self.cooldown.reset();
        }
        if why.is_of_stream() {
            self.refused = true;
            return Next::NotForThisStream;
        }
        Next::AgainAfter(self.cooldown.failed(now_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn failing() -> GpuError {
        GpuError::Failing { ordinal: 0, pictures: 8, cause: String::new() }
    }

    fn kinds() -> Vec<GpuError> {
        let cause = String::new;
        vec![
            GpuError::NoLibrary { library: "libcuda.so.1" },
            GpuError::MissingSymbol { symbol: "cuInit" },
            GpuError::NoDevice { cause: cause() },
            GpuError::NoSuchDevice { ordinal: 1, count: 1 },
            GpuError::NoMemory { ordinal: 0, free: 0, total: 0, cause: cause() },
            GpuError::SessionsUsedUp { ordinal: 0, cause: cause() },
            GpuError::Failed { ordinal: 0, cause: cause() },
            failing(),
            GpuError::DeviceLost { ordinal: 0, cause: cause() },
        ]
    }

    #[test]
    fn software_is_software_whatever_happens() {
        let mut ladder = Ladder::new(Decode::Software);
        assert_eq!(ladder.rung(0), Rung::Processor);
        ladder.stream_begins();
        assert_eq!(ladder.rung(u64::MAX), Rung::Processor);
    }

    #[test]
    fn each_failure_leads_down_and_back_up_after_a_while() {
        for (decode, below) in [(Decode::Auto, Rung::Processor), (Decode::Nvdec, Rung::Nothing)] {
            for why in kinds() {
                let mut ladder = Ladder::new(decode);
                assert_eq!(ladder.rung(0), Rung::Gpu);
                assert_eq!(ladder.failed(&why, 0), Next::AgainAfter(5 * SECOND), "{why}");
                assert_eq!(ladder.rung(5 * SECOND - 1), below, "{why}");
                // A reconnect does not shorten it.
                ladder.stream_begins();
                assert_eq!(ladder.rung(5 * SECOND - 1), below, "{why}");
                assert_eq!(ladder.rung(5 * SECOND), Rung::Gpu, "{why}");
                assert_eq!(ladder.failed(&why, 5 * SECOND), Next::AgainAfter(10 * SECOND));
            }
        }
    }

    #[test]
    fn what_a_gpu_does_not_decode_is_not_tried_again_before_another_stream() {
        let unsupported = GpuError::Unsupported { what: "yuv422p10le".into() };
        let no_kernels = GpuError::NoKernels { ordinal: 0, cause: String::new() };
        for why in [unsupported, no_kernels] {
            let mut ladder = Ladder::new(Decode::Auto);
            assert_eq!(ladder.failed(&why, 0), Next::NotForThisStream);
            assert_eq!(ladder.rung(u64::MAX), Rung::Processor);
            ladder.stream_begins();
            assert_eq!(ladder.rung(0), Rung::Gpu);
            let mut strict = Ladder::new(Decode::Nvdec);
            strict.failed(&why, 0);
            assert_eq!(strict.rung(u64::MAX), Rung::Nothing);
        }
    }

    #[test]
    fn a_lost_gpu_is_followed_by_another_at_once() {
        let mut ladder = Ladder::new(Decode::Auto);
        ladder.decodes(0);
        assert_eq!(ladder.lost(), Next::AnotherGpu);
        assert_eq!(ladder.rung(1), Rung::Gpu);
        // There is none.
        let lost = GpuError::DeviceLost { ordinal: 0, cause: String::new() };
        ladder.failed(&lost, 1);
        assert_eq!(ladder.rung(2), Rung::Processor);
    }

    #[test]
    fn only_a_gpu_that_decoded_for_a_while_is_trusted_again() {
        let mut ladder = Ladder::new(Decode::Auto);
        let mut now_ns = 0;
        for expected in [5, 10, 20] {
            ladder.decodes(now_ns);
            now_ns += SECOND;
            assert_eq!(ladder.failed(&failing(), now_ns), Next::AgainAfter(expected * SECOND));
            now_ns += expected * SECOND;
        }
        ladder.decodes(now_ns);
        ladder.decodes(now_ns + STEADY_NS);
        let later = ladder.failed(&failing(), now_ns + STEADY_NS);
        assert_eq!(later, Next::AgainAfter(5 * SECOND));
    }
}
