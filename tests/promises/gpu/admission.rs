//! A GPU takes the cameras that fit, and says in words and numbers why it takes no more; `vas plan` has said so
//! before, and nothing fails for want of memory while it runs.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;
use vas_sim_gpu::testing::{CallRecord, Session, SimulatedGpu};
use vas_tests::clip::{folder, run};
use vas_tests::service::{Plan, Service, vas};

use super::{camera, on_gpu, stop_cleanly, why};

/// 253 MiB of surfaces each, with rows padded: 2 x 10 of 4096x2160.
const SIZE: &str = "3840x2160";
const CAMERAS: usize = 9;

/// A clip with one reference picture, so that its decoder needs the least surfaces.
fn large_clip(fps: u32, frames: u32) -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let _turn = MAKING.lock().unwrap();
    let path = folder().join(format!("one-reference-{SIZE}-{frames}-{fps}.mp4"));
    if !path.exists() {
        let unfinished = path.with_extension(format!("{}.mp4", std::process::id()));
        run(Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i"])
            .arg(format!("testsrc=size={SIZE}:rate={fps},format=yuv420p"))
            .args(["-frames:v", &frames.to_string(), "-c:v", "libx264", "-preset", "ultrafast"])
            .args(["-bf", "0", "-refs", "1", "-g", "4", "-crf", "40"])
            .arg(&unfinished));
        std::fs::rename(&unfinished, &path).unwrap();
    }
    path
}

/// `vas plan` for the config of a service, with a stream for cameras of which nothing is known.
fn plan(service: &Service, arguments: &[&str]) -> Value {
    let config = service.work().join("vas.toml");
    let mut command = Command::new(vas());
    command.args(["plan", "--json", "--gpu", "t4", "--gpu-memory", "2048"]).args(arguments);
    let output = command.arg("--config").arg(config).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {words}"))
}

fn span(value: &Value) -> std::ops::RangeInclusive<usize> {
    let end = |name: &str| value[name].as_u64().unwrap() as usize;
    end("least")..=end("most")
}

/// Calls that failed for want of memory.
fn out_of_memory(gpus: &Session) -> Vec<CallRecord> {
    let calls = gpus.calls();
    calls.into_iter().filter(|call| call.status == "CUDA_ERROR_OUT_OF_MEMORY").collect()
}

#[test]
fn more_cameras_than_a_gpu_of_2_gib_takes() {
    const FRAMES: u32 = 16;
    let file = large_clip(2, FRAMES);
    // A context of the least size in `vas plan`, so that its span ends at what this GPU takes.
    let gpu = SimulatedGpu::new().set("memory_mib", 2048).set("context_mib", 107);
    let gpus = gpu.set("name", "Tesla T4").start();
    let id = |n: usize| format!("c{n}");
    let table = |n| camera(&id(n), file.to_str().unwrap(), "");
    let cameras: String = (0..CAMERAS).map(table).collect();
    let log = tempfile::tempdir().unwrap();
    let arguments = ["--test-frame-log", log.path().to_str().unwrap()];
    // Without an export: the rings of nine such cameras would need 450 MiB of this host.
    let mut service = Service::start_on(&gpus, "false", "", &cameras, &arguments);

    let before = plan(&service, &["--codec", "h264", "--size", SIZE, "--fps", "2"]);
    let problems = before["problems"].as_array().unwrap();
    let problem = problems.iter().find(|problem| problem["what"] == "gpu_memory").unwrap();
    let sentence = problem["sentence"].as_str().unwrap();
    let placed = "the GPU decodes 1 to 7 of 9 cameras, the processor 2 to 8";
    assert!(problem["certain"] == true && sentence.contains(placed), "{problem}");
    let most = *span(&before["placement"]["gpus"][0]).end();

    let decoding = |camera: &Value| {
        camera["decoded"].as_u64() > Some(0)
            && (on_gpu(camera) || camera["decoder"]["why"].is_string())
    };
    let status = service.until_status("pictures of all cameras", |status| {
        let cameras = status["cameras"].as_array().unwrap();
        cameras.len() == CAMERAS && cameras.iter().all(decoding)
    });
    let cameras = status["cameras"].as_array().unwrap();
    let (on, off): (Vec<_>, Vec<_>) = cameras.iter().partition(|camera| on_gpu(camera));
    assert_eq!(on.len(), most, "as planned: {status:#}");
    assert!(span(&before["placement"]["processor"]).contains(&off.len()), "{before:#}");
    for camera in off {
        println!("simulated: {}: {}", camera["id"], why(camera));
        assert_eq!(camera["decoder"]["kind"], "software", "{camera}");
        let words = why(camera);
        for part in [
            "GPU 0 has too little memory left: ",
            " of 2048 MiB are free (the decoder needs 2 x 10 surfaces of 3840x2160, 254 MiB, and 32 MiB must stay free; \
             this process's ",
            " decoders take ",
            ", and contexts and other processes ",
            "; give it fewer cameras, or some of them decode = \"software\"",
        ] {
            assert!(words.contains(part), "{words:?} lacks {part:?}");
        }
    }
    let gpu = &status["shards"][0]["gpus"][0];
    assert_eq!((&gpu["name"], &gpu["cameras"]), (&"Tesla T4".into(), &most.into()), "{gpu}");
    assert_eq!(gpu["memory_bytes"], 2048_u64 << 20, "{gpu}");
    // Of two engines, by published rates: 2 pictures a second of four times the size each.
    let busy = gpu["engines_busy"].as_f64().unwrap();
    assert!((busy - most as f64 * 8.0 / 771.0).abs() < 1e-6, "{gpu}");
    // What the running service reports is planned with its own figures.
    let after = plan(&service, &[]);
    assert_eq!(span(&after["placement"]["gpus"][0]).end(), &most, "{after:#}");

    // A busy machine may leave pictures out; no other is missing.
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    for number in 0..CAMERAS {
        let ended = service.until_of(number, "the end", |camera| {
            let all = count(&camera["decoded"]) + count(&camera["dropped"]["overload"]);
            camera["state"] == "ended" && all == u64::from(FRAMES)
        });
        assert_eq!(ended["dropped"]["undecodable"], 0, "{ended}");
    }
    assert_eq!(out_of_memory(&gpus), [], "no call was made that the GPU has no memory for");
    stop_cleanly(service, &gpus);
}

#[test]
fn more_cameras_than_the_engines_decode() {
    let file = large_clip(100, 60);
    // Pictures take so long that both cameras want the engine until the test has seen it.
    let gpu = SimulatedGpu::new().set("name", "Tesla T4").set("nvdecs", 1);
    let gpus = gpu.set("decode_us", 1_000_000).set("jitter_percent", 0).start();
    let table = |id: &str| camera(id, file.to_str().unwrap(), "");
    let cameras = [table("a"), table("b")].concat();
    let log = tempfile::tempdir().unwrap();
    let arguments = ["--test-frame-log", log.path().to_str().unwrap()];
    let mut service = Service::start_on(&gpus, "false", "", &cameras, &arguments);
    let status = service.until_status("a decoder for each", |status| {
        let cameras = status["cameras"].as_array().unwrap();
        cameras.len() == 2 && cameras.iter().all(|camera| camera["decoder"].is_object())
    });
    let cameras = status["cameras"].as_array().unwrap();
    let (on, off): (Vec<_>, Vec<_>) = cameras.iter().partition(|camera| on_gpu(camera));
    assert_eq!((on.len(), off.len()), (1, 1), "{status:#}");
    let expected = "GPU 0 has no time left for another decoder: this camera (h264 3840x2160 at 100 a second) takes 0.519 \
                    NVDEC engines by NVIDIA's published rates, and the 1 camera that this process decodes there takes \
                    0.519 of 1; give it fewer cameras";
    assert!(why(off[0]).starts_with(expected), "{:?}", why(off[0]));
    gpus.change("decode_us=0");
    stop_cleanly(service, &gpus);
}

#[test]
fn shards_that_share_a_gpu_divide_its_engines() {
    let file = large_clip(100, 60);
    let gpus = SimulatedGpu::new().set("name", "Tesla T4").set("nvdecs", 1).start();
    let mut command = Command::new("vas");
    let set = gpus.configure(&mut command).get_envs();
    let variables: Vec<_> = set.filter_map(|(name, to)| name.to_str().zip(to?.to_str())).collect();
    let mut service = Service::launch(Plan {
        flag: "true",
        service: "shards = 2",
        cameras: &camera("a", file.to_str().unwrap(), "decode = \"nvdec\"\nidle = \"decode\""),
        variables: &variables,
        ..Plan::default()
    });
    let camera = service.until("a refusal", |camera| camera["decoder"]["why"].is_string());
    assert_eq!(camera["decoder"]["kind"], "none", "{camera}");
    let words = why(&camera);
    assert!(words.contains("takes 0.519 NVDEC engines"), "{words}");
    assert!(
        words.contains("0 cameras that this process decodes there take 0.000 of 0.5"),
        "{words}"
    );
    stop_cleanly(service, &gpus);
}
