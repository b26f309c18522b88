//! What a frame costs on each engine, and a camera on a GPU, in counts. No times: the GPU is
//! simulated.
//!
//! `bench/run.sh download` runs it and keeps the result.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::PathBuf;

use vas_media::CudaDevice;
use vas_pipeline::FrameSink as _;
use vas_sim_gpu::testing::{SimulatedGpu, Simulator};

use super::nvdec::{Cam, Clip, GpuRig, Pictures};

const FRAMES: u64 = 100;
const SIZES: [(usize, usize); 2] = [(640, 360), (1920, 1080)];
const CAMERAS: [usize; 3] = [1, 4, 16];
const SETTINGS: &str = "slots = 8\nhold = \"1ms\"";

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

/// Where the child writes its table: the device is in the child, and its output is not ours.
fn table(pid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("vas-measure-download-{pid}"))
}

#[test]
#[ignore = "a measurement, not a check: see bench/run.sh"]
fn measure_download() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let mut out = String::new();
        for size in SIZES {
            per_frame(&mut out, simulator, size, true);
            per_frame(&mut out, simulator, size, false);
        }
        for size in SIZES {
            CAMERAS.iter().for_each(|cameras| per_camera(&mut out, simulator, size, *cameras));
        }
        std::fs::write(table(std::os::unix::process::parent_id()), out).unwrap();
    }) else {
        return;
    };
    let file = table(std::process::id());
    println!(
        "simulated GPU (tests/sim-gpu): counts only, nothing here says anything of a real GPU's speed"
    );
    print!("{}", std::fs::read_to_string(&file).unwrap());
    std::fs::remove_file(file).unwrap();
    run.report.assert_clean(&[]);
}

/// One camera, a frame at a time.
fn per_frame(out: &mut String, simulator: &Simulator, size: (usize, usize), on_gpu: bool) {
    let clip = Clip::encode(size);
    let device = on_gpu.then(|| CudaDevice::open(0).unwrap());
    let mut rig = GpuRig::new(1, SETTINGS);
    let camera = &mut rig.cameras[0];
    let mut pictures = match &device {
        Some(device) => Pictures::on_gpu(device, &clip),
        None => Pictures::on_processor(&clip),
    };
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
    let (width, height) = size;
    let visible = width * height * 3 / 2;
    let engine = if on_gpu { "cuda" } else { "host" };
    let down = (level("copied_bytes") - copied) as f64 / FRAMES as f64;
    writeln!(out, "\nper frame, {engine}, {width}x{height}: visible NV12 {visible} bytes").unwrap();
    writeln!(out, "  bytes over the link {down:.0} = {:.2} pictures", down / visible as f64)
        .unwrap();
    let half = FRAMES as f64 / 2.0;
    writeln!(
        out,
        "  decode thread, hand-over: allocations {:.2}, system calls {:.2}",
        allocations as f64 / half,
        system_calls as f64 / half
    )
    .unwrap();
    for (name, (before, after)) in CALLS.iter().zip(before.iter().zip(calls())) {
        if after > *before {
            let each = (after - before) as f64 / FRAMES as f64;
            writeln!(out, "  driver: {name} {each:.2}").unwrap();
        }
    }
    drop(pictures);
    rig.stop();
}

/// What running cameras hold.
fn per_camera(out: &mut String, simulator: &Simulator, size: (usize, usize), cameras: usize) {
    let clip = Clip::encode(size);
    let device = CudaDevice::open(0).unwrap();
    let context = simulator.level("device_bytes");
    let mut rig = GpuRig::new(cameras, SETTINGS);
    let mut all: Vec<_> = (0..cameras).map(|_| Pictures::on_gpu(&device, &clip)).collect();
    for _ in 0..3 {
        for (camera, pictures) in rig.cameras.iter_mut().zip(&mut all) {
            Cam::warm_up(camera, pictures);
        }
    }
    let level = |name| simulator.level(name);
    let each = |bytes: u64| bytes as f64 / cameras as f64 / f64::from(1 << 20);
    let surfaces: u32 = all.iter().map(|pictures| pictures.surfaces()).sum();
    let (width, height) = size;
    writeln!(
        out,
        "\n{cameras} cameras, {width}x{height}, 8 slots: contexts {}, decoders {}, streams {}, events {}",
        level("contexts"), level("decoders"), level("streams"), level("events"),
    )
    .unwrap();
    writeln!(
        out,
        "  each: surfaces {:.1}, device {:.2} MiB (beside the context's {} MiB), pinned {:.2} MiB",
        f64::from(surfaces) / cameras as f64,
        each(level("device_bytes") - context),
        context >> 20,
        each(level("pinned_bytes")),
    )
    .unwrap();
    drop(all);
    rig.stop();
}
