//! The tap with pictures in surfaces of VA-API, on simulated render nodes: no result here describes a real GPU.

use std::collections::BTreeSet;

use vas_media::{DecoderKind, Frame, RenderNode, VaapiDevice, render_nodes};
use vas_pipeline::FrameSink as _;
use vas_scale::{ColorInfo, Fit, Plan, Plane, Request, Scaler, Source, StoreKind, Target};
use vas_sim_vaapi::testing::SimulatedVaapi;
use vas_status::{DownloadEngine, DropReason};

use super::nvdec::{Clip, GpuRig, PICTURES, Pictures, md5};
use super::rig::until;
use crate::download::MAX_IN_FLIGHT;

/// Calls with which a picture is read.
const READING: [&str; 6] = [
    "vaSyncSurface",
    "vaCreateImage",
    "vaGetImage",
    "vaMapBuffer",
    "vaUnmapBuffer",
    "vaDestroyImage",
];

/// Pictures pass one at a time; each is one of those predicted.
fn check(clip: Clip, settings: &str, predicted: &[Vec<u8>]) {
    let mut rig = GpuRig::of_nodes(clip, 1, settings);
    let mut pictures = Pictures::on_node(0, &rig.clip);
    let camera = &mut rig.cameras[0];
    camera.warm_up(&mut pictures);
    assert_eq!(pictures.kind(), DecoderKind::Vaapi);
    let mut seen = BTreeSet::new();
    for _ in 0..PICTURES {
        let exported = camera.exported();
        camera.pass(&mut pictures);
        assert_eq!(camera.exported(), exported + 1, "{:?}", camera.dropped());
        let bytes = camera.newest().1;
        assert!(predicted.contains(&bytes));
        seen.insert(bytes);
    }
    assert!(seen.len() > PICTURES / 2);
    camera.until_download(DownloadEngine::Vaapi, str::is_empty);
    assert_eq!(camera.dropped(), []);
    rig.stop([pictures]);
}

#[test]
fn pictures_come_down_whole_on_the_nodes_thread_alone() {
    let nodes = SimulatedVaapi::new().set("seed", 7);
    let Some(run) = nodes.in_child(|_| {
        let clip = Clip::encode((322, 182));
        let predicted = clip.predicted(7);
        check(clip, "", &predicted);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
    let reads = run.calls.iter().filter(|call| READING.contains(&call.function.as_str()));
    // FFmpeg tries vaDeriveImage on a surface of its own when it makes a pool.
    let threads: BTreeSet<_> = reads
        .filter(|call| call.function == "vaGetImage" || call.function == "vaSyncSurface")
        .map(|call| call.thread.as_str())
        .collect();
    assert_eq!(threads.into_iter().collect::<Vec<_>>(), ["vas-va-128"]);
}

#[test]
fn a_crop_on_the_left_and_at_the_top_is_left_out() {
    SimulatedVaapi::new().in_clean_child(|_| {
        let clip = Clip::cropped((640, 368));
        let predicted: Vec<_> = clip
            .contents(1)
            .iter()
            .map(|content| {
                let whole = content.picture(640, 368, 8);
                let rows: Vec<&[u8]> = whole.chunks_exact(640).collect();
                let visible = rows[4..360].iter().chain(&rows[368 + 2..368 + 180]);
                md5(&visible.flat_map(|row| row[6..638].to_vec()).collect::<Vec<u8>>())
            })
            .collect();
        check(clip, "", &predicted);
    });
}

/// As on every route: min(255, (x + 2) >> 2).
#[test]
fn ten_bits_become_eight_by_the_rule() {
    SimulatedVaapi::new().set("seed", 3).in_clean_child(|_| {
        let clip = Clip::ten_bit((326, 182));
        let predicted: Vec<_> = clip
            .contents(3)
            .iter()
            .map(|content| {
                let words = content.picture(326, 182, 10);
                let words = words.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]]));
                let bytes = words.map(|word| (((u32::from(word) >> 6) + 2) >> 2).min(255) as u8);
                md5(&bytes.collect::<Vec<u8>>())
            })
            .collect();
        check(clip, "", &predicted);
    });
}

/// The host's filter runs over the mapped surface: the same bytes as for a picture in memory.
#[test]
fn scaled_exports_are_those_of_the_host() {
    SimulatedVaapi::new().in_clean_child(|_| {
        for deep in [false, true] {
            let clip = if deep { Clip::ten_bit((640, 368)) } else { Clip::encode((640, 368)) };
            let request = Request { width: Some(322), height: None, fit: Fit::Fit };
            let plan = Plan::new((640, 368), request, ColorInfo::default()).unwrap();
            let (width, height) = (plan.output().width as usize, plan.output().height as usize);
            let mut scaler = Scaler::new(&plan);
            let predicted: Vec<_> = clip
                .contents(1)
                .iter()
                .map(|content| {
                    let bits = if deep { 10 } else { 8 };
                    let whole = content.picture(640, 368, bits);
                    let stride = if deep { 1280 } else { 640 };
                    let (y, uv) = whole.split_at(stride * 368);
                    let (y, uv) = (Plane::new(y, stride), Plane::new(uv, stride));
                    let source = if deep { Source::P016 { y, uv } } else { Source::Nv12 { y, uv } };
                    let mut slot = vec![0; width * (height + height.div_ceil(2))];
                    let (luma, chroma) = slot.split_at_mut(width * height);
                    let target = Target { luma, chroma, stride: width };
                    scaler.run(&source, target, StoreKind::Cached).unwrap();
                    md5(&slot)
                })
                .collect();
            check(clip, "decode = \"vaapi\"\nexport.width = 322", &predicted);
        }
    });
}

#[test]
fn decoding_goes_on_while_no_picture_is_read() {
    SimulatedVaapi::new().in_clean_child(|simulator| {
        let mut rig = GpuRig::of_nodes(Clip::small(), 1, "");
        let mut pictures = Pictures::on_node(0, &rig.clip);
        let camera = &mut rig.cameras[0];
        camera.warm_up(&mut pictures);
        let before = camera.exported();
        simulator.set("fault=vaGetImage:1:hang");
        let mut frame = Frame::new();
        // All of them decode, although the first one is never read.
        for _ in 0..10 * PICTURES {
            pictures.next_into(&mut frame);
            camera.tap.take(&mut frame);
            frame.clear();
        }
        assert_eq!(camera.exported(), before);
        let dropped = (10 * PICTURES) as u64 - u64::from(MAX_IN_FLIGHT);
        assert_eq!(camera.dropped(), [("in_flight", dropped)]);

        // The call may not have begun to hang yet.
        until(|| {
            simulator.set("release=");
            camera.exported() >= before + u64::from(MAX_IN_FLIGHT)
        });
        camera.pass(&mut pictures);
        assert_eq!(camera.exported(), before + u64::from(MAX_IN_FLIGHT) + 1);
        drop(frame);
        rig.stop([pictures]);
    });
}

#[test]
fn a_call_that_fails_costs_one_frame_of_one_camera() {
    SimulatedVaapi::new().set("seed", 5).in_clean_child(|simulator| {
        let mut rig = GpuRig::of_nodes(Clip::small(), 2, "");
        let predicted = rig.clip.predicted(5);
        let mut pictures = [(); 2].map(|()| Pictures::on_node(0, &rig.clip));
        let [camera, other] = &mut rig.cameras[..] else { unreachable!() };
        camera.warm_up(&mut pictures[0]);
        other.warm_up(&mut pictures[1]);
        // Releasing an image that was read costs nothing if it fails.
        for (failed, function) in (1..).zip(&READING[..4]) {
            let (older, exported) = (camera.newest(), camera.exported());
            let mut frame = pictures[0].next();
            simulator.set(&format!("fault={function}:1:VA_STATUS_ERROR_OPERATION_FAILED"));
            camera.tap.take(&mut frame);
            until(|| camera.drops(DropReason::CopyFailed) == failed);
            simulator.set("clear_faults=");
            assert_eq!(camera.exported(), exported, "{function}");
            assert!(camera.newest() == older, "{function}: the older frame stays");
            // The next frames succeed, and so do other cameras'.
            let exported = other.exported();
            other.pass(&mut pictures[1]);
            assert_eq!(other.exported(), exported + 1);
            camera.pass(&mut pictures[0]);
            let (frame_id, bytes) = camera.newest();
            assert!(frame_id == older.0 + 2 && predicted.contains(&bytes), "{function}");
        }
        for function in &READING[4..] {
            let mut frame = pictures[0].next();
            let exported = camera.exported();
            simulator.set(&format!("fault={function}:1:VA_STATUS_ERROR_OPERATION_FAILED"));
            camera.tap.take(&mut frame);
            until(|| camera.exported() > exported);
        }
        assert_eq!(camera.dropped(), [("copy_failed", 4)]);
        assert_eq!(other.dropped(), []);
        rig.stop(pictures);
    });
}

#[test]
fn frames_stay_in_order_from_node_to_processor_to_another_node_and_back() {
    SimulatedVaapi::new().nodes(2).in_clean_child(|simulator| {
        let mut rig = GpuRig::of_nodes(Clip::small(), 1, "");
        let mut all = [
            Pictures::on_node(0, &rig.clip),
            Pictures::on_processor(&rig.clip),
            Pictures::on_node(1, &rig.clip),
        ];
        let camera = &mut rig.cameras[0];
        camera.warm_up(&mut all[0]);
        for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 2), (2, 1), (1, 0)] {
            for pictures in [from, to] {
                camera.warm_up(&mut all[pictures]);
                camera.pass(&mut all[pictures]);
            }
            // While copies of one node are in flight, nothing goes to the other.
            if from != 1 {
                camera.warm_up(&mut all[from]);
                let mut first = all[from].next();
                let others: Vec<_> = (0..5).map(|_| all[to].next()).collect();
                simulator.set("fault=vaGetImage:1:hang");
                let (exported, changed) =
                    (camera.exported(), camera.drops(DropReason::EngineChange));
                camera.tap.take(&mut first);
                others.into_iter().for_each(|mut other| camera.tap.take(&mut other));
                assert_eq!(camera.exported(), exported, "{from} to {to}");
                assert_eq!(camera.drops(DropReason::EngineChange), changed + 5);
                // The call may not have begun to hang yet.
                until(|| {
                    simulator.set("release=");
                    camera.exported() > exported
                });
                simulator.set("clear_faults=");
            }
        }
        let readable = camera.readable();
        assert!(readable.len() > 20, "{readable:?}");
        assert!(readable.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{readable:?}");
        rig.stop(all);
    });
}

#[test]
fn a_lost_node_is_reported_and_another_takes_over() {
    // A lost node does not give back all that it is asked to.
    SimulatedVaapi::new().nodes(2).allowing(&["leak"]).in_clean_child(|simulator| {
        let mut rig = GpuRig::of_nodes(Clip::small(), 1, "");
        let mut pictures = Pictures::on_node(0, &rig.clip);
        let mut others = Pictures::on_node(1, &rig.clip);
        let camera = &mut rig.cameras[0];
        camera.warm_up(&mut pictures);
        let older = camera.newest();
        let surfaces = [(); 2].map(|()| pictures.next());
        simulator.set("fault=node_lost:renderD128@call 1");
        for (gone, mut surface) in (1..).zip(surfaces) {
            camera.tap.take(&mut surface);
            until(|| camera.drops(DropReason::GpuLost) >= gone);
        }
        let known = [128, 129].map(|node| VaapiDevice::find(node).unwrap().known_health().is_ok());
        assert_eq!(known, [false, true]);
        assert!(camera.newest() == older, "the ring serves what it has");
        camera.until_download(DownloadEngine::None, |why| why.starts_with("renderD128 is lost: "));
        camera.warm_up(&mut others);
        camera.until_download(DownloadEngine::Vaapi, str::is_empty);
        assert!(camera.newest().0 > older.0);
        rig.stop([pictures, others]);
    });
}

/// Five seconds after a call began that does not return, its frames are given up. Nothing waits for the call.
#[test]
fn a_node_that_hangs_costs_its_frames_and_no_stop_waits_for_it() {
    SimulatedVaapi::new().allowing(&["leak"]).in_clean_child(|simulator| {
        let mut rig = GpuRig::of_nodes(Clip::small(), 1, "");
        let mut pictures = Pictures::on_node(0, &rig.clip);
        let mut others = Pictures::on_processor(&rig.clip);
        let camera = &mut rig.cameras[0];
        camera.warm_up(&mut pictures);
        let older = camera.newest().0;
        let surfaces = [(); 3].map(|()| pictures.next());
        simulator.set("fault=vaGetImage:1:hang");
        surfaces.into_iter().for_each(|mut surface| camera.tap.take(&mut surface));
        // Frames of the processor wait for those in flight, until these are given up.
        while camera.drops(DropReason::GpuLost) == 0 {
            camera.tap.take(&mut others.next());
            std::thread::yield_now();
        }
        // One after the other.
        until(|| camera.drops(DropReason::GpuLost) >= 3);
        assert_eq!(camera.drops(DropReason::GpuLost), 3);
        assert!(VaapiDevice::find(128).unwrap().known_health().is_err());
        camera.warm_up(&mut others);
        // In a ring of its own: the call may still write to the last one.
        let newer = camera.readable().last().unwrap().0;
        assert!(newer > older);
        rig.stop([pictures, others]);
        // The call returns at last, and its frame goes nowhere.
        simulator.set("release=");
    });
}

#[test]
fn an_engine_ends_with_its_last_camera_and_the_next_one_starts_another() {
    SimulatedVaapi::new().in_clean_child(|simulator| {
        let mut rig = GpuRig::of_nodes(Clip::small(), 2, "");
        let mut pictures = Pictures::on_node(0, &rig.clip);
        rig.cameras[0].warm_up(&mut pictures);
        drop((pictures, rig.cameras.remove(0)));
        until(|| simulator.level("displays") == 0);
        let mut pictures = Pictures::on_node(0, &rig.clip);
        rig.cameras[0].warm_up(&mut pictures);
        rig.stop([pictures]);
        until(|| simulator.level("displays") == 0);
    });
}

#[test]
fn nodes_of_this_process_are_the_simulated_ones() {
    SimulatedVaapi::new().nodes(2).in_clean_child(|simulator| {
        let minors: Vec<_> = render_nodes().iter().map(|node: &RenderNode| node.minor).collect();
        assert_eq!(minors, [128, 129]);
        drop(VaapiDevice::open(&render_nodes()[1]).unwrap());
        assert_eq!(simulator.level("displays"), 0);
    });
}
