//! Question: what does a frame cost on each engine, and a camera on a GPU, in counts?
//!
//! The GPU is simulated (`tests/sim-gpu`), so there are no times. The bench runs itself again as a child process, which
//! finds the simulated driver in place of a real one.
//!
//!     cargo bench --profile dev -p vas-bench --bench download

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use vas_media::CudaDevice;
use vas_sim_gpu::testing::{SimulatedGpu, Simulator};

mod frame_path;

use frame_path::{Export, PICTURES, Pictures};

const FRAMES: u64 = 100;
const SIZES: [(usize, usize); 2] = [(640, 360), (1920, 1080)];
const CAMERAS: [usize; 3] = [1, 4, 16];
const SETTINGS: &str = "slots = 8\nhold = \"1ms\"";

/// Set in the child process.
const CHILD: &str = "VAS_BENCH_DOWNLOAD_CHILD";

/// What an engine may call, and what releases a surface.
const CALLS: [&str; 14] = [
    "cuEventRecord",
    "cuStreamWaitEvent",
    "cuMemcpy2DAsync_v2",
    "cuEventSynchronize",
    "cuvidUnmapVideoFrame64",
    "cuStreamQuery",
    "cuStreamSynchronize",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuMemAllocHost_v2",
    "cuMemFreeHost",
    "cuMemHostRegister_v2",
    "cuMemHostUnregister",
    "cuCtxSetCurrent",
];

fn main() {
    if std::env::var_os(CHILD).is_some() {
        return count(&Simulator::of_this_process());
    }
    println!(
        "simulated GPU (tests/sim-gpu): counts only, nothing here says anything of a real GPU's speed"
    );
    let session = SimulatedGpu::new().start();
    let mut child = Command::new(std::env::current_exe().expect("a process knows its program"));
    let status = session.configure(child.env(CHILD, "1")).status().expect("this program runs");
    assert!(status.success(), "{status}");
    session.report().assert_clean(&[]);
}

fn count(simulator: &Simulator) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let clips = SIZES.map(|size| (size, encode(dir.path(), size)));
    for (size, clip) in &clips {
        per_frame(simulator, *size, clip, Some(&CudaDevice::open(0).expect("a simulated GPU")));
        per_frame(simulator, *size, clip, None);
    }
    for (size, clip) in &clips {
        CAMERAS.iter().for_each(|cameras| per_camera(simulator, *size, clip, *cameras));
    }
}

/// FFmpeg's moving test picture in H.264.
fn encode(dir: &Path, (width, height): (usize, usize)) -> String {
    let path = dir.join(format!("{height}.mp4")).display().to_string();
    let source = format!("testsrc2=size={width}x{height}:rate=240");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", &source, "-frames:v"]);
    ffmpeg.args([&PICTURES.to_string(), "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0"]);
    ffmpeg.args(["-pix_fmt", "yuv420p", &path]).stdin(Stdio::null());
    assert!(ffmpeg.status().expect("ffmpeg is installed").success());
    path
}

/// One camera, a frame at a time.
fn per_frame(
    simulator: &Simulator,
    (width, height): (usize, usize),
    clip: &str,
    device: Option<&Arc<CudaDevice>>,
) {
    let mut export = Export::start(1, SETTINGS);
    let camera = &mut export.cameras[0];
    let mut pictures = Pictures::open(clip, device);
    // More frames than slots: everything that is made once exists.
    (0..20).for_each(|_| camera.warm_up(&mut pictures));
    let level = |name| simulator.level(name);
    let calls = || CALLS.map(|name| simulator.calls(name));
    let (copied, before, exported) = (level("copied_bytes"), calls(), camera.exported());
    let (mut allocations, mut system_calls) = (0, 0);
    for turn in 0..FRAMES {
        let mut frame = pictures.next();
        let was = camera.exported();
        if turn % 2 == 0 {
            allocations += vas_malloc_count::count(|| camera.tap.take(&mut frame)).1;
        } else {
            let tap = RefCell::new((&mut camera.tap, &mut frame));
            system_calls += vas_syscall_count::list(|| {
                let (tap, frame) = &mut *tap.borrow_mut();
                tap.take(frame);
            })
            .len();
        }
        while camera.exported() == was {
            std::thread::yield_now();
        }
    }
    assert_eq!(camera.exported(), exported + FRAMES, "{:?}", camera.dropped());
    drop(pictures.next());
    let visible = width * height * 3 / 2;
    let engine = if device.is_some() { "cuda" } else { "host" };
    let down = (level("copied_bytes") - copied) as f64 / FRAMES as f64;
    println!("\nper frame, {engine}, {width}x{height}: visible NV12 {visible} bytes");
    println!("  bytes over the link {down:.0} = {:.2} pictures", down / visible as f64);
    let half = FRAMES as f64 / 2.0;
    println!(
        "  decode thread, hand-over: allocations {:.2}, system calls {:.2}",
        allocations as f64 / half,
        system_calls as f64 / half
    );
    for (name, (before, after)) in CALLS.iter().zip(before.iter().zip(calls())) {
        if after > *before {
            println!("  driver: {name} {:.2}", (after - before) as f64 / FRAMES as f64);
        }
    }
    drop(pictures);
    export.stop();
}

/// What running cameras hold.
fn per_camera(simulator: &Simulator, (width, height): (usize, usize), clip: &str, cameras: usize) {
    let device = CudaDevice::open(0).expect("a simulated GPU");
    let context = simulator.level("device_bytes");
    let mut export = Export::start(cameras, SETTINGS);
    let mut all: Vec<_> = (0..cameras).map(|_| Pictures::open(clip, Some(&device))).collect();
    for _ in 0..3 {
        for (camera, pictures) in export.cameras.iter_mut().zip(&mut all) {
            camera.warm_up(pictures);
        }
    }
    let level = |name| simulator.level(name);
    let each = |bytes: u64| bytes as f64 / cameras as f64 / f64::from(1 << 20);
    let memory = all.iter().filter_map(|pictures| pictures.decoder.surface_memory());
    let surfaces: u32 = memory.map(|memory| memory.surfaces).sum();
    println!(
        "\n{cameras} cameras, {width}x{height}, 8 slots: contexts {}, decoders {}, streams {}, events {}",
        level("contexts"),
        level("decoders"),
        level("streams"),
        level("events"),
    );
    println!(
        "  each: surfaces {:.1}, device {:.2} MiB (beside the context's {} MiB), pinned {:.2} MiB",
        f64::from(surfaces) / cameras as f64,
        each(level("device_bytes") - context),
        context >> 20,
        each(level("pinned_bytes")),
    );
    drop(all);
    export.stop();
}
