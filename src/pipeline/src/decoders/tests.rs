use vas_config::{ConfigFiles, Environment};

use super::*;

/// A camera's decoders, with one NVIDIA GPU and an Intel one that answer nothing.
pub(crate) fn decoders() -> (Decoders, Arc<Gpus>) {
    decoders_of("")
}

fn decoders_of(keys: &str) -> (Decoders, Arc<Gpus>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vas.toml");
    let text = "[service]\nrun_dir = \"/run/vas\"\n[[camera]]\nid = \"gate\"\nurl = \"testsrc:64x64@200\"\n";
    std::fs::write(&path, format!("{text}{keys}\n")).unwrap();
    let files = ConfigFiles::read(&path).unwrap();
    let config = vas_config::understand(&files, &Environment::default()).unwrap();
    let gpus = Gpus::simulated(1, &["nvidia", "i915"]);
    (Decoders::new(&config.cameras[0], Roles::ALL, Arc::clone(&gpus), 4), gpus)
}

impl Decoders {
    /// As after VA-API has opened a decoder.
    pub(crate) fn simulate_vaapi(&mut self) {
        self.vaapi.as_mut().unwrap().simulate();
        self.on_vaapi = true;
    }

    /// As while NVDEC has opened the next decoder.
    pub(crate) fn simulate_nvdec(&mut self) {
        self.assigned = Some(self.gpus.assign_simulated(0));
        self.turn = self.gpus.turn(GpuChoice::Auto, 0).unwrap();
    }

    pub(crate) fn reasons(&self) -> (Option<&GpuError>, Option<&GpuError>) {
        (self.why.as_ref(), self.vaapi.as_ref().unwrap().why())
    }
}

#[test]
fn a_gpu_that_may_take_the_stream_later_outweighs_those_that_never_will() {
    let busy = GpuError::Busy { ordinal: 1, words: String::new() };
    let never = [
        GpuError::Unsupported { what: "yuv422p10le".into() },
        GpuError::NoKernels { ordinal: 0, cause: String::new() },
    ];
    for never in never {
        for order in [[&never, &busy], [&busy, &never]] {
            let mut why = None;
            order.into_iter().for_each(|error| weigh(&mut why, error.clone()));
            assert_eq!(why.as_ref(), Some(&busy));
        }
    }
}

#[test]
fn a_camera_without_a_decoder_on_a_gpu_holds_no_turn() {
    let (mut decoders, gpus) = decoders();
    decoders.simulate_vaapi();
    decoders.simulate_nvdec();
    let turns = || {
        let node = gpus.nodes().turn(GpuChoice::Auto, 0).unwrap();
        (gpus.turn(GpuChoice::Auto, 0).unwrap().is_some(), node.is_some())
    };
    assert_eq!(turns(), (false, false));
    decoders.off_gpu();
    assert_eq!(turns(), (true, true));
    // Its assignments it keeps.
    assert_eq!(gpus.cameras(), (vec![1], vec![0, 1]));
}

#[test]
fn a_number_is_a_gpu_of_nvidias_unless_only_vaapi_may_decode() {
    let kinds = |keys| {
        let (decoders, _) = decoders_of(keys);
        (decoders.ladder.rung(0) == Rung::Gpu, decoders.vaapi.is_some())
    };
    assert_eq!(kinds("gpu = \"auto\""), (true, true));
    assert_eq!(kinds("gpu = 0"), (true, false));
    assert_eq!(kinds("gpu = 0\ndecode = \"vaapi\""), (false, true));
    assert_eq!(kinds("gpu = \"/dev/dri/renderD129\""), (false, true));
}

#[test]
fn the_log_names_all_that_may_decode_instead() {
    for (keys, below) in [
        ("", "VA-API or the processor"),
        ("gpu = 0", "the processor"),
        ("decode = \"nvdec\"", "nothing"),
    ] {
        let (decoders, _) = decoders_of(keys);
        let words = next_words(Next::NotForThisStream, decoders.below());
        assert_eq!(words, format!("{below} decodes this stream"));
        let words = next_words(Next::AgainAfter(5_000_000_000), decoders.below());
        assert_eq!(words, format!("next try in 5 s, then less often; {below} decodes until then"));
    }
}
