//! Faults happen at the requested call, and a node's loss ends whatever waits for it.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use vas_sim_vaapi::picture::Content;
use vas_sim_vaapi::testing::{CallRecord, Session, SimulatedVaapi, Simulator};

use crate::clip::{Clip, FRAMES, decode, decode_or_fall_back};
use crate::va::{Display, H264, HEVC_MAIN_10, OK};

/// `VA_STATUS_ERROR_...`
const OPERATION_FAILED: i32 = 1;
const ALLOCATION_FAILED: i32 = 2;
const UNSUPPORTED_PROFILE: i32 = 0xC;
const DECODING_ERROR: i32 = 0x17;
const HW_BUSY: i32 = 0x22;

/// A display with a surface and a decoder.
struct Decoder {
    display: Display,
    surface: u32,
    config: u32,
    context: u32,
}

impl Decoder {
    fn open(node: &Path) -> Self {
        let display = Display::open(node).unwrap();
        let [surface] = display.surfaces().unwrap();
        let config = display.config(H264).unwrap();
        let context = display.context(config, &[surface]).unwrap();
        Self { display, surface, config, context }
    }

    /// Closes all of it; whether every call succeeded.
    fn close(self) -> bool {
        let Self { display, surface, config, context } = self;
        let calls = [
            display.destroy_context(context),
            display.destroy_surfaces(&[surface]),
            display.destroy_config(config),
            display.close(),
        ];
        calls == [OK; 4]
    }
}

/// Waits until a function was called in this process.
fn until_called(simulator: &Simulator, function: &str) {
    while simulator.calls(function) == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn one_call_fails_and_the_next_does_not() {
    let nodes =
        SimulatedVaapi::new().set("fault", "vaSyncSurface:2:VA_STATUS_ERROR_DECODING_ERROR");
    nodes.in_clean_child(|simulator| {
        let decoder = Decoder::open(&simulator.node(0));
        let synced = [0; 3].map(|_| decoder.display.sync(decoder.surface));
        assert_eq!(synced, [OK, DECODING_ERROR, OK]);
        simulator.set("fault=vaInitialize:1:VA_STATUS_ERROR_HW_BUSY@renderD128");
        assert!(decoder.close());
        assert_eq!(Display::open(&simulator.node(0)).err(), Some(HW_BUSY));
        simulator.set("fault=vaGetDisplayDRM:1:VA_STATUS_ERROR_HW_BUSY");
        assert_eq!(Display::open(&simulator.node(0)).err(), Some(-1));
        assert_eq!(Display::open(&simulator.node(0)).unwrap().close(), OK);
    });
}

#[test]
fn what_fails_to_be_released_is_released() {
    let nodes = SimulatedVaapi::new().set("fault", "vaDestroySurfaces:1:VA_STATUS_ERROR_UNKNOWN");
    nodes.in_clean_child(|simulator| {
        let decoder = Decoder::open(&simulator.node(0));
        assert!(!decoder.close());
        assert_eq!(simulator.level("surfaces"), 0);
        assert_eq!(simulator.level("surface_bytes"), 0);
    });
}

#[test]
fn a_call_hangs_until_it_is_released() {
    let nodes = SimulatedVaapi::new().set("fault", "vaSyncSurface:1:hang");
    nodes.in_clean_child(|simulator| {
        let decoder = Decoder::open(&simulator.node(0));
        let (display, surface) = (decoder.display.shared(), decoder.surface);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(move || display.get().sync(surface));
            until_called(simulator, "vaSyncSurface");
            // Other threads' calls of the same node go on.
            let [other] = decoder.display.surfaces().unwrap();
            assert_eq!(decoder.display.sync(other), OK);
            assert_eq!(decoder.display.destroy_surfaces(&[other]), OK);
            assert!(!waiter.is_finished());
            // It may not hang yet.
            while !waiter.is_finished() {
                simulator.set("release=");
            }
            assert_eq!(waiter.join().unwrap(), OK);
        });
        assert!(decoder.close());
    });
}

#[test]
fn a_picture_is_held_back() {
    SimulatedVaapi::new().nodes(2).in_clean_child(|simulator| {
        let decoders = [0, 1].map(|node| Decoder::open(&simulator.node(node)));
        simulator.set("hold_pictures@renderD129=1");
        for decoder in &decoders {
            decoder.display.decode(decoder.context, decoder.surface, b"slice");
        }
        let [free, held] = &decoders;
        assert_eq!(free.display.sync(free.surface), OK);
        assert!(free.display.is_ready(free.surface));
        assert!(!held.display.is_ready(held.surface));
        let (display, surface) = (held.display.shared(), held.surface);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(move || display.get().sync(surface));
            until_called(simulator, "vaSyncSurface");
            assert!(!waiter.is_finished());
            simulator.set("hold_pictures@renderD129=0");
            assert_eq!(waiter.join().unwrap(), OK);
        });
        assert!(held.display.is_ready(held.surface));
        assert!(decoders.into_iter().all(Decoder::close));
    });
}

#[test]
fn a_lost_node_wakes_who_waits_for_it_and_comes_back() {
    let nodes = SimulatedVaapi::new().nodes(2).set("hold_pictures", 1);
    let Some(run) = nodes.in_child(|simulator| {
        let [spared, lost] = [0, 1].map(|node| Decoder::open(&simulator.node(node)));
        lost.display.decode(lost.context, lost.surface, b"slice");
        let (display, surface) = (lost.display.shared(), lost.surface);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(move || display.get().sync(surface));
            until_called(simulator, "vaSyncSurface");
            simulator.set("fault=node_lost:renderD129@call 1");
            assert_eq!(lost.display.image(64, 64).err(), Some(OPERATION_FAILED));
            assert_eq!(waiter.join().unwrap(), OPERATION_FAILED);
        });
        assert_eq!(lost.display.config(H264), Err(OPERATION_FAILED));
        // Its objects go, whatever the calls return.
        assert!(!lost.close());
        assert_eq!(simulator.level("surfaces@renderD129"), 0);
        assert_eq!(Display::open(&simulator.node(1)).err(), Some(-1));
        assert_eq!(spared.display.sync(spared.surface), OK);
        assert!(spared.close());
        simulator.set("node_back=renderD129");
        assert!(Decoder::open(&simulator.node(1)).close());
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
    assert!(run.report.remarks.contains(&"node renderD129 is lost".into()));
    assert!(run.report.remarks.contains(&"node renderD129 is back".into()));
}

#[test]
fn limits_of_a_node() {
    let nodes = SimulatedVaapi::new().nodes(2).set("codecs", "h264").set("max_contexts", 1);
    nodes.in_clean_child(|simulator| {
        let decoder = Decoder::open(&simulator.node(0));
        let display = &decoder.display;
        assert_eq!(display.config(HEVC_MAIN_10), Err(UNSUPPORTED_PROFILE));
        assert!(display.context(decoder.config, &[]).is_err());
        let bytes = simulator.level("surface_bytes@renderD128");
        assert!(bytes >= 64 * 64 * 3 / 2);
        // Room for two more, so that three fail whole.
        simulator.set(&format!("memory_bytes@renderD128={}", 3 * bytes));
        assert_eq!(display.surfaces::<3>(), Err(ALLOCATION_FAILED));
        assert_eq!(simulator.level("surface_bytes@renderD128"), bytes);
        let two = display.surfaces::<2>().unwrap();
        assert_eq!(display.surfaces::<1>(), Err(ALLOCATION_FAILED));
        assert_eq!(display.destroy_surfaces(&two), OK);
        simulator.set("max_surfaces=1");
        assert_eq!(display.surfaces::<1>(), Err(ALLOCATION_FAILED));
        simulator.set("derive=0");
        assert_eq!(display.derive(decoder.surface).err(), Some(OPERATION_FAILED));
        // The other node has its own.
        assert!(Decoder::open(&simulator.node(1)).close());
        assert!(decoder.close());
    });
}

#[test]
fn the_time_that_work_takes() {
    let nodes = SimulatedVaapi::new().set("decode_us", 20_000).set("jitter_percent", 0);
    nodes.in_clean_child(|simulator| {
        let decoder = Decoder::open(&simulator.node(0));
        let start = std::time::Instant::now();
        for _ in 0..3 {
            decoder.display.decode(decoder.context, decoder.surface, b"slice");
        }
        // One after the other.
        assert_eq!(decoder.display.sync(decoder.surface), OK);
        assert!(start.elapsed().as_micros() >= 60_000);
        let image = decoder.display.image(64, 64).unwrap();
        simulator.set("read_us_per_mib=10000000");
        let start = std::time::Instant::now();
        let (surface, size) = (decoder.surface, (64, 64));
        assert_eq!(decoder.display.get(surface, (0, 0), size, &image), OK);
        assert!(start.elapsed().as_micros() >= (10_000_000 * 64 * 96) >> 20);
        let expected = Content::of_slices(1, [&b"slice"[..]]).picture(64, 64, 8);
        assert!(decoder.display.read(&image, (64, 64)) == expected);
        assert_eq!(decoder.display.destroy_image(&image), OK);
        assert_eq!(simulator.level("read_bytes"), 64 * 96);
        assert!(decoder.close());
    });
}

/// What FFmpeg makes of a fault in each function that it calls: it neither crashes nor invents pictures.
#[test]
fn ffmpeg_survives_a_fault_in_each_function() {
    let dir = tempfile::tempdir().unwrap();
    let clip = Clip::h264(320, 192);
    let path = clip.make(dir.path());
    let nodes = SimulatedVaapi::new().start();
    assert!(decode(&nodes, 0, &path, 8).status.success());
    let calls = nodes.calls();
    let functions: BTreeSet<&str> = calls.iter().map(|call| call.function.as_str()).collect();
    assert!(functions.len() > 20, "{functions:?}");
    let predicted = clip.predicted(1, &path);
    for function in functions {
        let fault = format!("{function}:1:VA_STATUS_ERROR_OPERATION_FAILED");
        let nodes = SimulatedVaapi::new().set("fault", &fault).start();
        let output = decode(&nodes, 0, &path, 8);
        assert!(output.status.code().is_some(), "{function}: FFmpeg crashed");
        let failed = nodes.calls().into_iter().find(|call| !call.succeeded());
        assert_eq!(failed.map(|call| call.function).as_deref(), Some(function));
        for picture in output.stdout.chunks(clip.picture_bytes()) {
            assert!(predicted.iter().any(|predicted| predicted == picture), "{function}");
        }
    }
}

#[test]
fn a_node_without_memory_makes_ffmpeg_decode_in_software() {
    let dir = tempfile::tempdir().unwrap();
    let clip = Clip::h264(320, 192);
    let path = clip.make(dir.path());
    let nodes = SimulatedVaapi::new().set("memory_bytes", 1 << 20).start();
    let output = decode_or_fall_back(&nodes, &path);
    assert_eq!(output.stdout.len(), FRAMES * clip.picture_bytes());
    let refused = |call: &&CallRecord| call.status == "VA_STATUS_ERROR_ALLOCATION_FAILED";
    assert!(nodes.calls().iter().find(refused).unwrap().function.starts_with("vaCreateSurfaces"));
    let predicted = clip.predicted(1, &path);
    let first = &output.stdout[..clip.picture_bytes()];
    assert!(predicted.iter().all(|predicted| predicted != first), "not the node's pictures");
}

#[test]
fn settings_reach_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let clip = Clip::h264(320, 192);
    let path = clip.make(dir.path());
    let nodes = SimulatedVaapi::new().nodes(2).start();
    nodes
        .change("jitter_percent=0\nfault=vaEndPicture:2:VA_STATUS_ERROR_DECODING_ERROR@renderD129");
    let pictures = |node| decode(&nodes, node, &path, 8).stdout.len() / clip.picture_bytes();
    assert_eq!([pictures(0), pictures(1)], [FRAMES, FRAMES - 1]);
}

/// Starts FFmpeg on a long stream, and lets `act` loose once it has got some pictures.
fn while_decoding(nodes: &Session, act: impl FnOnce()) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let clip = Clip::h264(320, 192);
    let path = clip.make(dir.path());
    let long = dir.path().join("long.h264");
    std::fs::write(&long, clip.stream(&path).repeat(10)).unwrap();
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "quiet", "-nostdin", "-hwaccel", "vaapi", "-hwaccel_device"]);
    command.arg(nodes.node(0)).args(["-hwaccel_output_format", "vaapi", "-i"]).arg(long);
    command.args(["-vf", "hwdownload,format=nv12", "-f", "rawvideo", "-"]).stdout(Stdio::piped());
    let mut program = nodes.configure(&mut command).spawn().unwrap();
    let mut output = program.stdout.take().unwrap();
    let mut picture = vec![0; clip.picture_bytes()];
    for _ in 0..FRAMES {
        output.read_exact(&mut picture).unwrap();
    }
    act();
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    program.wait().unwrap();
    FRAMES + rest.len() / clip.picture_bytes()
}

#[test]
fn a_node_is_lost_at_any_time() {
    let nodes = SimulatedVaapi::new().set("decode_us", 2000).start();
    let status = "VA_STATUS_ERROR_HW_BUSY";
    let loss = format!("fault=node_lost:renderD128@call 1:{status}");
    let pictures = while_decoding(&nodes, || nodes.change(&loss));
    assert!(pictures < 10 * FRAMES, "{pictures} pictures");
    let calls = nodes.calls();
    let first = calls.iter().position(|call| call.status == status).expect("a call that fails");
    assert!(calls[first..].iter().all(|call| !call.succeeded()));
    assert!(nodes.report().remarks.contains(&"node renderD128 is lost".into()));
}

#[test]
fn a_program_hangs_until_it_is_released() {
    let nodes = SimulatedVaapi::new().set("decode_us", 2000).start();
    let pictures = while_decoding(&nodes, || {
        nodes.change("fault=vaGetImage:1:hang");
        let hangs = |remark: &String| remark.starts_with("vaGetImage hangs");
        while !nodes.report().remarks.iter().any(hangs) {
            std::thread::yield_now();
        }
        nodes.change("release=");
    });
    assert_eq!(pictures, 10 * FRAMES);
    nodes.report().assert_clean(&[]);
}
