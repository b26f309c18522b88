//! A camera that a GPU can't decode moves down the ladder with a reason, and returns when the GPU can.

use serde_json::Value;
use vas_sim_gpu::testing::{Session, SimulatedGpu};
use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::service::Service;

use super::{camera, clip, on_gpu, stop_cleanly, why};

/// Cameras that always decode, from one RTSP server; `cameras` has further lines for each.
struct Rig {
    _rtsp: Camera,
    gpus: Session,
    service: Service,
}

impl Rig {
    fn start(gpu: SimulatedGpu, clip: Clip, cameras: &[&str]) -> Self {
        let rtsp = Camera::start(&[&clip.make()], "");
        let gpus = gpu.start();
        let table = |(number, more): (usize, &&str)| {
            camera(&format!("c{number}"), &rtsp.url(), &format!("idle = \"decode\"\n{more}"))
        };
        let cameras: String = cameras.iter().enumerate().map(table).collect();
        let service = Service::start_on(&gpus, "true", "", &cameras, &[]);
        Self { _rtsp: rtsp, gpus, service }
    }

    /// Waits until camera `number` is as wanted and, unless it has no decoder, decodes.
    fn until(&mut self, number: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.service.until_of(number, what, wanted)
    }

    /// Waits until the camera decoded more frames than in `before`.
    fn decodes_on(&mut self, number: usize, before: &Value) {
        let count = before["decoded"].as_u64();
        self.until(number, "further frames", |camera| camera["decoded"].as_u64() > count);
    }

    /// Waits until camera `number` is on the processor; returns the reason.
    fn on_processor(&mut self, number: usize) -> String {
        let camera = self.until(number, "the processor", |camera| {
            camera["decoder"]["kind"] == "software" && camera["decoder"]["why"].is_string()
        });
        self.decodes_on(number, &camera);
        why(&camera).to_owned()
    }

    fn is_on_gpu(&mut self, number: usize) -> Value {
        let camera = self.until(number, "the GPU", on_gpu);
        self.decodes_on(number, &camera);
        camera
    }

    fn end(self) {
        stop_cleanly(self.service, &self.gpus);
    }
}

#[test]
fn a_codec_that_the_gpu_lacks_is_decoded_on_the_processor() {
    let gpu = SimulatedGpu::new().set("codecs", "hevc").set("name", "Simulated H.265 card");
    let mut rig = Rig::start(gpu, clip(60), &[""]);
    let why = rig.on_processor(0);
    let expected = "NVDEC does not decode this stream: GPU 0 (Simulated H.265 card) decodes H.265; this camera sends H.264";
    assert!(why.starts_with(expected), "{why}");
    let created = |call: &vas_sim_gpu::testing::CallRecord| call.function == "cuvidCreateDecoder";
    assert!(!rig.gpus.calls().iter().any(created), "nothing is tried");
    let shard = &rig.service.status().unwrap()["shards"][0];
    let decodes = &shard["gpus"][0]["decodes"];
    assert_eq!((&decodes[0]["codec"], &decodes[0]["max_width"]), (&"H.265".into(), &8192.into()));
    assert_eq!(shard["gpus"][0]["engines"], 2, "{shard}");
    assert!(rig.service.log().contains("the processor decodes this stream"));
    rig.end();
}

#[test]
fn a_codec_that_one_gpu_lacks_is_decoded_on_another() {
    let gpu = SimulatedGpu::new().set("devices", 2).set("codecs", "hevc/h264");
    let mut rig = Rig::start(gpu, clip(60), &["", "", "gpu = \"0\""]);
    for number in [0, 1] {
        let camera = rig.is_on_gpu(number);
        assert_eq!(camera["decoder"]["gpu"], "1", "{camera}");
    }
    let why = rig.on_processor(2);
    assert!(why.contains("decodes H.265; this camera sends H.264"), "{why}");
    rig.end();
}

#[test]
fn other_chroma_is_never_read_as_4_2_0() {
    let clip = Clip {
        encoder: "libx265",
        size: "854x482",
        pixels: "yuv422p10le",
        range: "tv",
        frames: 60,
    };
    let mut rig = Rig::start(SimulatedGpu::new(), clip, &["", "decode = \"nvdec\""]);
    let words = rig.on_processor(0);
    assert!(words.contains("yuv422p10le") && words.contains("4:2:0"), "{words}");
    let strict = rig.until(1, "a refusal", |camera| camera["decoder"]["kind"] == "none");
    assert!(why(&strict).contains("yuv422p10le"), "{strict}");
    assert_eq!(strict["decoded"], 0);
    assert_eq!(rig.service.stop(), Some(0));
    // A stream that no GPU decodes loads no driver.
    assert_eq!(rig.gpus.calls(), []);
}

/// A driver that refuses the kernels: cameras that need them move down, and others do not notice.
#[test]
fn without_kernels_only_pictures_that_must_be_converted_leave_the_gpu() {
    let refused = SimulatedGpu::new().set("fault", "cuModuleLoadData:1+:CUDA_ERROR_INVALID_PTX");
    let more = ["", "export.width = 160", "export.width = 160\ndecode = \"nvdec\""];
    let mut rig = Rig::start(refused, clip(60), &more);
    rig.is_on_gpu(0);
    let reason = rig.on_processor(1);
    let words = "GPU 0 can't convert pictures of 10 bits or to another size: cuModuleLoadData: \
                 CUDA_ERROR_INVALID_PTX; a newer driver may take the kernels";
    assert_eq!(reason, words);
    let strict = rig.until(2, "a refusal", |camera| camera["decoder"]["kind"] == "none");
    assert_eq!(why(&strict), words);
    rig.end();
}

#[test]
fn a_lack_of_memory_is_reported_with_the_bytes_and_retried() {
    let gpu = SimulatedGpu::new().set("memory_mib", 257).set("context_mib", 256);
    let mut rig = Rig::start(gpu, clip(60), &[""]);
    let why = rig.on_processor(0);
    let expected = "GPU 0 has too little memory left: 1 of 257 MiB are free (the decoder needs 2 x 10 surfaces of 320x192, \
                    3 MiB, and 32 MiB must stay free; this process's 0 decoders take 0 MiB, and contexts and other \
                    processes 256 MiB)";
    assert!(why.starts_with(expected), "{why}");
    assert!(why.contains("give it fewer cameras"), "{why}");
    // No call was made that the driver could not have fulfilled.
    let created = |call: &vas_sim_gpu::testing::CallRecord| call.function == "cuvidCreateDecoder";
    assert!(!rig.gpus.calls().iter().any(created));
    rig.gpus.change("memory_mib=8192");
    let camera = rig.is_on_gpu(0);
    assert_eq!((&camera["decoder"]["gpu"], super::why(&camera)), (&"0".into(), "nothing"));
    rig.end();
}

#[test]
fn a_gpu_that_refuses_another_decoder_keeps_those_it_has() {
    let gpu = SimulatedGpu::new().set("max_decoders", 1);
    let mut rig = Rig::start(gpu, clip(60), &["", "decode = \"nvdec\""]);
    let settled = |camera: &Value| {
        on_gpu(camera) && camera["decoded"].as_u64() > Some(0)
            || camera["decoder"]["why"].is_string()
    };
    let states = [0, 1].map(|number| rig.until(number, "a decoder or none", settled));
    let refused = usize::from(on_gpu(&states[0]));
    let reason = why(&states[refused]);
    assert!(reason.contains("takes no further decoder although memory is free"), "{reason}");
    let below = if refused == 0 { "software" } else { "none" };
    assert_eq!(states[refused]["decoder"]["kind"], below, "{states:?}");
    rig.is_on_gpu(1 - refused);
    rig.gpus.change("max_decoders=2");
    rig.is_on_gpu(refused);
    let camera = rig.is_on_gpu(1 - refused);
    assert_eq!(camera["dropped"]["undecodable"], 0, "the other one lost nothing: {camera}");
    rig.end();
}

#[test]
fn a_failing_decoder_is_replaced_and_retried() {
    let mut rig = Rig::start(SimulatedGpu::new(), clip(60), &["", "decode = \"software\""]);
    rig.is_on_gpu(0);
    rig.gpus.change("fault=cuvidDecodePicture:1+:CUDA_ERROR_UNKNOWN");
    let why = rig.on_processor(0);
    assert!(why.contains("failed on 8 pictures in a row"), "{why}");
    assert!(why.contains("Xid"), "{why}");
    rig.gpus.change("clear_faults=");
    rig.is_on_gpu(0);
    let other = rig.until(1, "the other camera", |camera| camera["decoded"].as_u64() > Some(0));
    assert_eq!(other["dropped"]["undecodable"], 0, "{other}");
    rig.end();
}

#[test]
fn after_the_only_gpu_is_lost_the_processor_continues_in_the_same_ring() {
    let cameras = ["", "decode = \"nvdec\"", "decode = \"software\""];
    let mut rig = Rig::start(SimulatedGpu::new(), clip(60), &cameras);
    let _reader = rig.service.until_read("c0");
    for number in [0, 1] {
        rig.is_on_gpu(number);
    }
    rig.gpus.change("fault=device_lost:0@call 1");
    let words = rig.on_processor(0);
    assert!(words.contains("GPU 0 is lost") && words.contains("restart the service"), "{words}");
    let now = rig.until(0, "any state", |_| true);
    let exported = now["exported"].as_u64();
    rig.until(0, "export", |camera| camera["exported"].as_u64() > exported);
    let strict = rig.until(1, "a refusal", |camera| camera["decoder"]["kind"] == "none");
    assert!(why(&strict).contains("GPU 0 is lost"), "{strict}");
    let received = strict["received"].as_u64();
    rig.until(1, "packets without a decoder", |camera| camera["received"].as_u64() > received);
    let other = rig.until(2, "the other camera", |camera| camera["decoded"].as_u64() > Some(0));
    assert_eq!(other["dropped"]["undecodable"], 0, "{other}");
    rig.end();
}

#[test]
fn without_a_gpu_the_processor_decodes_and_nvdec_alone_is_refused() {
    let gpu = SimulatedGpu::new().set("devices", 0);
    let mut rig = Rig::start(gpu, clip(60), &["", "decode = \"nvdec\"", ""]);
    for number in [0, 2] {
        let why = rig.on_processor(number);
        assert!(why.contains("the NVIDIA driver finds no GPU"), "{why}");
    }
    let strict = rig.until(1, "a refusal", |camera| camera["decoder"]["kind"] == "none");
    assert!(why(&strict).contains("nvidia-smi"), "{strict}");
    assert!(strict["received"].as_u64() > Some(0) && strict["decoded"] == 0, "{strict}");
    let log = rig.service.log();
    assert_eq!(log.matches("no NVIDIA GPU decodes").count(), 1, "{log}");
    assert_eq!(rig.service.stop(), Some(0));
}
