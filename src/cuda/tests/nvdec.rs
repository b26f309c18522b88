//! What a simulated GPU's NVDEC decodes, asked with and without its library.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use cudarc::driver::CudaContext;
use vas_cuda::{CapsUnknown, Chroma, Driver, NvdecCaps, VideoCodec, Wanted};
use vas_sim_gpu::testing::{SimulatedGpu, library};

/// Asks for device `ordinal`, whose context is current meanwhile.
fn ask(ordinal: usize) -> Result<NvdecCaps, CapsUnknown> {
    let driver = Driver::probe().unwrap();
    let context = CudaContext::new(ordinal).unwrap();
    context.bind_to_thread().unwrap();
    NvdecCaps::ask(&driver)
}

fn wanted(codec: VideoCodec, bits: u8, side: u32) -> Wanted {
    Wanted { codec, samples: Some((Chroma::C420, bits)), size: Some((side, side)) }
}

#[test]
fn each_gpu_answers_for_itself() {
    let gpu = SimulatedGpu::new().set("devices", 2).set("codecs", "h264,hevc/hevc,hevc10");
    let Some(run) = gpu.set("max_side", 2048).set("nvdecs", 3).in_child(|_| {
        let [first, second] = [ask(0).unwrap(), ask(1).unwrap()];
        assert_eq!(first.to_string(), "H.264 (8 bits) and H.265 (8 bits); 3 engines");
        assert_eq!(second.to_string(), "H.265 (8 and 10 bits); 3 engines");
        assert_eq!(first.engines(), Some(3));
        assert_eq!(second.check(wanted(VideoCodec::H265, 10, 2048)), Ok(()));
        for (caps, wanted, words) in [
            (&first, wanted(VideoCodec::H265, 10, 640), "at 8 bits; this camera sends 10 bits"),
            (&first, wanted(VideoCodec::H265, 8, 4096), "; this camera sends 4096x4096"),
            (&second, wanted(VideoCodec::H264, 8, 640), "decodes H.265; this camera sends H.264"),
        ] {
            let refusal = caps.check(wanted).unwrap_err().to_string();
            assert!(refusal.ends_with(words), "{refusal}");
        }
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn a_failure_is_reported_and_asked_again() {
    let Some(_run) = SimulatedGpu::new().in_child(|simulator| {
        simulator.set("fault=cuvidGetDecoderCaps:1+:CUDA_ERROR_NOT_INITIALIZED");
        let error = ask(0).unwrap_err().to_string();
        assert!(error.contains("cuvidGetDecoderCaps failed: CUDA_ERROR_"), "{error}");
        simulator.set("clear_faults=");
        assert!(ask(0).is_ok());
    }) else {
        return;
    };
}

#[test]
fn without_the_video_library_nothing_is_known() {
    const CHILD: &str = "VAS_CUDA_NVDEC_CHILD";
    if std::env::var_os(CHILD).is_some() {
        assert_eq!(ask(0), Err(CapsUnknown::NoLibrary));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for name in ["libcuda.so", "libcuda.so.1"] {
        std::os::unix::fs::symlink(library(), dir.path().join(name)).unwrap();
    }
    // Found before a real one, but no library.
    std::fs::write(dir.path().join("libnvcuvid.so.1"), "").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["without_the_video_library_nothing_is_known", "--exact"]).env(CHILD, "1");
    assert!(child.env("LD_LIBRARY_PATH", dir.path()).status().unwrap().success());
}
