//! Golden tests of the text and the JSON, and of the sums against what a real ring takes.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use vas_config::{Decode, GpuChoice, Video};
use vas_frame::{
    Access, CameraExport, CameraId, Color, ExportRoot, Geometry, MemoryLimit, MemoryScope,
    Notifier, OpenRing, RingOptions,
};
use vas_gate::Rate;
use vas_harness::assert_golden;
use vas_scale::{Fit, Request};

use super::*;

const HOLD: Duration = Duration::from_millis(500);

fn rate(fps: u32) -> Option<Rate> {
    Rate::new(fps, 1)
}

fn stream(codec: Codec, size: (u32, u32), fps: u32) -> Stream {
    Stream { codec, size, fps: rate(fps) }
}

fn plan(cameras: &[Camera], gpu: Option<&Gpu>, host: Option<&Host>) -> Plan {
    Plan::of(&Inputs { cameras, hold: HOLD, slots: None, gpu, host })
}

/// Compares text and JSON, and checks that a terminal of 80 columns holds the text.
fn assert_both(name: &str, plan: &Plan) {
    let text = plan.to_string();
    for line in text.lines() {
        assert!(line.len() <= 80, "{} columns: {line}", line.len());
        assert_eq!(line, line.trim_end());
    }
    assert_golden(format!("golden/{name}.txt"), &text);
    assert_golden(format!("golden/{name}.json"), &plan.to_json());
}

fn host(tmpfs: u64, memory: u64) -> Host {
    let limit = |scope, free| MemoryLimit { scope, free };
    Host {
        dir: "/dev/shm".into(),
        limits: vec![
            limit(MemoryScope::Tmpfs { dir: "/dev/shm".into() }, tmpfs),
            limit(MemoryScope::Machine, memory),
        ],
        processors: Some(8),
        descriptors: Some(524_288),
        gpu: None,
    }
}

#[test]
fn sixteen_cameras_on_an_l4() {
    let cameras = Camera::alike(16, &stream(Codec::H265, (1920, 1080), 25), rate(5));
    let plan = plan(&cameras, Some(&"l4".parse().unwrap()), None);
    assert!(plan.fits());
    assert_eq!(plan.kinds[0].each.slots, 13);
    assert_eq!(plan.sum.link_bytes_s, 16 * 5 * 1920 * 1080 * 3 / 2);
    assert_both("l4", &plan);
}

#[test]
fn two_hundred_cameras_on_the_processor() {
    let cameras = Camera::alike(200, &stream(Codec::H264, (1280, 720), 15), rate(5));
    assert_both("processor", &plan(&cameras, None, None));
}

/// A config as the service reads it, with an export that is scaled, one that is not, and one that has no frames taken.
fn configured() -> (vas_config::Config, vas_status::ServiceStatus) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cameras.toml");
    let text = format!(
        "[record]\ndir = \"{}\"\n\
         [[camera]]\nid = \"gate\"\nurl = \"rtsp://10.0.0.2/a\"\nrecord = {{}}\n\
         [[camera]]\nid = \"yard\"\nurl = \"rtsp://10.0.0.3/a\"\n\
         export = {{ width = 640, height = 640, fit = \"letterbox\", max_fps = 5 }}\n\
         [[camera]]\nid = \"test\"\nurl = \"testsrc:640x360@10\"\n\
         [[camera]]\nid = \"door\"\nurl = \"rtsp://10.0.0.4/a\"\nexport = {{ width = 640 }}\n",
        folder.path().display()
    );
    std::fs::write(&path, text).unwrap();
    let environment = vas_config::Environment {
        variables: Default::default(),
        is_root: true,
        groups: String::new(),
    };
    let config = vas_config::load(&path, &environment).unwrap_or_else(|error| panic!("{error}"));
    let mut status = vas_status::sample::full_status();
    status.cameras[0].decoder = None;
    (config, status)
}

#[test]
fn a_config_with_scaled_exports() {
    let (config, status) = configured();
    let missing = cameras_of(&config, Some(&status), &Assumed::default()).unwrap_err();
    assert!(missing.to_string().contains("2 of 4 cameras are unknown (yard, door)"), "{missing}");
    let assumed =
        Assumed { stream: Some(stream(Codec::H264, (1920, 1080), 25)), read_fps: rate(10) };
    let cameras = cameras_of(&config, Some(&status), &assumed).unwrap();
    let bases: Vec<_> = cameras.iter().map(|camera| camera.basis).collect();
    assert_eq!(bases, [Basis::Status, Basis::Assumed, Basis::Config, Basis::Assumed]);
    let plan = plan(&cameras, Some(&"t4".parse().unwrap()), Some(&host(2 << 30, 8 << 30)));
    let sizes: Vec<_> = plan.kinds.iter().map(|kind| kind.each.export_size.unwrap()).collect();
    assert_eq!(sizes, [(1920, 1080), (640, 640), (640, 360), (640, 360)]);
    // A scaled export is decoded and scaled on the GPU.
    let decoders: Vec<_> = plan.kinds.iter().map(|kind| kind.each.decoder).collect();
    use Decoder::{Nvdec, Software};
    assert_eq!(decoders, [Nvdec, Nvdec, Software, Nvdec]);
    let scratch: Vec<_> = plan.kinds.iter().map(|kind| kind.each.scratch_bytes).collect();
    let of = |bytes| Span { least: bytes, most: bytes };
    assert_eq!(scratch, [of(0), of(640 * 640 * 3 / 2), of(0), of(640 * 360 * 3 / 2)]);
    assert_both("scaled", &plan);
}

#[test]
fn one_that_can_not_fit() {
    let cameras = Camera::alike(64, &stream(Codec::H265, (3840, 2160), 30), None);
    let gpu: Gpu = "l4".parse().unwrap();
    let gpu = gpu.stated(Some(2 << 30), Some(2));
    let plan = plan(&cameras, Some(&gpu), Some(&host(1 << 30, 8 << 30)));
    assert!(!plan.fits());
    let what: Vec<_> = plan.problems.iter().map(|problem| problem.what).collect();
    assert_eq!(what, ["rings", "gpu_memory", "decoder"]);
    assert_both("too-much", &plan);
}

/// The sum for a ring is what the service's own code takes from the file system, page for page.
#[test]
fn a_real_ring_takes_what_was_planned() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let root = Arc::new(ExportRoot::open(dir.path().join("vas"), Access::default()).unwrap());
    let notifier = Arc::new(Notifier::start().unwrap());
    let scaled = Request { width: Some(320), height: Some(320), fit: Fit::Letterbox };
    let sizes = [
        ((640, 360), 5, None),
        ((853, 481), 30, None),
        ((1280, 720), 25, Some(scaled)),
        ((1920, 1080), 4, None),
    ];
    for (number, (size, fps, request)) in sizes.into_iter().enumerate() {
        let mut camera = Camera::alike(1, &stream(Codec::H264, size, fps), None).remove(0);
        camera.export_size = request.unwrap_or_default();
        let planned = plan(&[camera], None, None).kinds.remove(0).each;
        let (width, height) = planned.export_size.unwrap();
        let geometry = Geometry::new(width, height, Color::default(), 8).unwrap();
        let id = CameraId::new(format!("camera-{number}")).unwrap();
        let mut export = CameraExport::claim(&root, &id, &notifier).unwrap();
        let options = RingOptions { slots: planned.slots, lease: Duration::ZERO, frame_rate: None };
        let OpenRing::Ready(writer) = export.open_ring(geometry, options).unwrap() else {
            panic!("there was no ring before");
        };
        let file = |name| std::fs::metadata(root.path().join(id.as_str()).join(name)).unwrap();
        let (data, meta) = (file("frame.data"), file("frame.meta"));
        assert_eq!(planned.ring_bytes, data.len() + meta.len(), "{size:?}");
        assert_eq!(planned.ring_bytes, (data.blocks() + meta.blocks()) * 512, "{size:?}");
        assert!(writer.pages().huge().bytes() <= planned.huge_bytes, "{size:?}");
        // With huge pages all of them are had, as the sum says.
        if writer.pages().huge().refused().is_none() {
            assert_eq!(writer.pages().huge().bytes(), planned.huge_bytes, "{size:?}");
        }
    }
}

#[test]
fn admission_refuses_the_ring_that_the_plan_says() {
    let cameras = Camera::alike(3, &stream(Codec::H264, (1920, 1080), 25), None);
    let ring = plan(&cameras, None, None).kinds[0].each.ring_bytes;
    let reserve = ring / 2;
    let refused = |free| {
        let problems = plan(&cameras, None, Some(&host(free, u64::MAX))).problems;
        problems.iter().find(|problem| problem.what == "rings").map(|it| it.sentence.clone())
    };
    assert_eq!(refused(3 * ring + reserve), None);
    let words = refused(3 * ring + reserve - 1).unwrap();
    assert!(words.starts_with("1 of 3 cameras get no ring"), "{words}");
    assert!(words.contains("must stay free"), "{words}");
    let words = refused(ring).unwrap();
    assert!(words.starts_with("3 of 3 cameras") && words.contains("--shm-size"), "{words}");
}

#[test]
fn what_nobody_measured_is_no_figure() {
    let gpu: Gpu = "h100".parse().unwrap();
    let cameras = Camera::alike(2, &stream(Codec::H264, (1920, 1080), 25), None);
    let on_gpu = plan(&cameras, Some(&gpu), None);
    assert_eq!(on_gpu.sum.engines, Partial { known: 0.0, unknown_cameras: 2 });
    assert_eq!(on_gpu.sum.processors.unknown_cameras, 2);
    let h265 = Camera::alike(2, &stream(Codec::H265, (1920, 1080), 25), None);
    assert_eq!(plan(&h265, None, None).kinds[0].each.processors, None);
    let a10 = plan(&cameras, Some(&"a10".parse().unwrap()), None);
    assert!(a10.to_string().contains("--nvdec-engines states it"), "{a10}");
    assert!(a10.problems.is_empty());
}

#[test]
fn surfaces_are_counted_as_the_decoder_is_opened() {
    let gpu: Gpu = "l4".parse().unwrap();
    let mut camera = Camera::alike(1, &stream(Codec::H264, (1920, 1080), 25), None).remove(0);
    let each =
        |camera: &Camera| plan(std::slice::from_ref(camera), Some(&gpu), None).kinds.remove(0).each;
    // 10 of 1920x1088 to decode to, as the simulated device counted.
    let alone = each(&camera);
    assert_eq!(alone.surfaces, Span { least: 20, most: 64 });
    assert_eq!(alone.device_bytes.least, 20 * 1920 * 1088 * 3 / 2);
    camera.producer = Some(Video::H264);
    assert_eq!(each(&camera).surfaces.least, 30);
    assert_eq!((each(&camera).threads, alone.threads), (4, 2));
    // What a running service reports replaces both bounds.
    camera.gpu_bytes = Some(24 * 1920 * 1088 * 3 / 2);
    assert_eq!(each(&camera).surfaces, Span { least: 24, most: 24 });
}

/// Priced for each camera, and not compared with an NVIDIA GPU's memory.
#[test]
fn vaapi_has_surfaces_of_its_own() {
    let mut cameras = Camera::alike(1, &stream(Codec::H264, (1920, 1080), 25), None);
    cameras[0].decode = Decode::Vaapi;
    let plan = plan(&cameras, Some(&"l4".parse().unwrap()), None);
    let each = &plan.kinds[0].each;
    assert_eq!((each.decoder, each.threads), (Decoder::Vaapi, 3));
    assert_eq!(each.surfaces, Span { least: 24, most: 24 });
    assert_eq!(each.device_bytes.most, 24 * 1920 * 1088 * 3 / 2);
    assert_eq!(plan.sum.device_bytes, Span::default());
    assert!(plan.fits());
    let text = plan.to_string();
    assert!(text.contains("VA-API") && text.contains("their memory, MiB"), "{text}");
}

#[test]
fn cameras_are_placed_until_a_gpu_is_full() {
    let gpu: Gpu = "t4".parse().unwrap();
    let mut gpu = gpu.stated(Some(2 << 30), Some(2));
    let mut cameras = Camera::alike(9, &stream(Codec::H264, (3840, 2160), 2), None);
    cameras[8].decode = Decode::Nvdec;
    let placed = plan(&cameras, Some(&gpu), None).placement;
    // 2048 MiB without the least context and the reserve, by 254 MiB for 20 surfaces with padded rows; 811 for 64.
    assert_eq!(placed.gpus, [Span { least: 1, most: 7 }]);
    assert_eq!(placed.processor, Span { least: 1, most: 7 });
    assert_eq!(placed.nothing, Span { least: 1, most: 1 });
    gpu.count = 4;
    let placed = plan(&cameras, Some(&gpu), None).placement;
    let most: Vec<_> = placed.gpus.iter().map(|span| span.most).collect();
    assert_eq!((most, placed.on_gpus().most), (vec![3, 2, 2, 2], 9));
    // By engines: 8 pictures of this size at 30 a second take 1.25.
    let busy = Camera::alike(40, &stream(Codec::H264, (3840, 2160), 30), None);
    let gpu = gpu.stated(Some(1 << 40), Some(1));
    let placed = plan(&busy, Some(&gpu), None).placement;
    assert_eq!(
        (&placed.gpus[..], placed.processor.most),
        (&[Span { least: 6, most: 6 }; 4][..], 16)
    );
}

#[test]
fn a_camera_is_placed_on_the_gpu_that_its_config_names() {
    let mut gpu: Gpu = "t4".parse().unwrap();
    gpu.count = 2;
    let mut cameras = Camera::alike(5, &stream(Codec::H264, (640, 360), 25), None);
    let [first, second, third, fourth, _] = &mut cameras[..] else { unreachable!() };
    (first.gpu, second.gpu) = (GpuChoice::Number(1), GpuChoice::Number(1));
    third.gpu = GpuChoice::Number(2);
    fourth.gpu = GpuChoice::Node(129);
    let plan = plan(&cameras, Some(&gpu), None);
    let placed = &plan.placement;
    assert_eq!(placed.gpus, [Span { least: 1, most: 1 }, Span { least: 2, most: 2 }]);
    // There is no GPU 2.
    assert_eq!(placed.processor, Span { least: 1, most: 1 });
    let by_vaapi = |kind: &&Kind| kind.each.decoder == Decoder::Vaapi;
    assert_eq!(plan.kinds.iter().filter(by_vaapi).count(), 1);
}

#[test]
fn nvdec_without_a_gpu_is_a_problem() {
    let mut cameras = Camera::alike(2, &stream(Codec::H264, (640, 360), 25), None);
    cameras.iter_mut().for_each(|camera| camera.decode = Decode::Nvdec);
    let plan = plan(&cameras, None, None);
    assert_eq!(plan.problems[0].what, "no_gpu");
    assert!(!plan.fits());
}

#[test]
fn sizes_are_read_strictly() {
    assert_eq!(parse_size("1920x1080").unwrap(), (1920, 1080));
    for bad in ["", "1920", "x", "0x1", "1x0", "1920x1080x1", "-1x2", "1920X1080"] {
        assert!(parse_size(bad).is_err(), "{bad}");
    }
}

/// docs/ref/plan.md documents exactly the fields that there are.
#[test]
fn every_field_is_documented() {
    fn leaves(path: &str, value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(&format!("{path}{dot}{key}"), value, found);
            }),
            Value::Array(list) => {
                list.iter().for_each(|value| leaves(&format!("{path}[]"), value, found))
            }
            _ => {
                found.insert(path.to_owned());
            }
        }
    }
    let cameras = Camera::alike(64, &stream(Codec::H265, (3840, 2160), 30), rate(5));
    let gpu: Gpu = "l4".parse().unwrap();
    let plan = plan(&cameras, Some(&gpu), Some(&host(1 << 30, 8 << 30)));
    let mut there = BTreeSet::new();
    leaves("", &serde_json::from_str(&plan.to_json()).unwrap(), &mut there);
    let document = include_str!("../../../docs/ref/plan.md");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let first = rows.map(|row| row.split('|').nth(1).unwrap());
    let documented: BTreeSet<_> =
        first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    assert_eq!(documented, there);
}
