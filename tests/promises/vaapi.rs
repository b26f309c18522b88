//! The service on simulated render nodes, behind libva's own loader: nothing here describes a real GPU.

use std::path::PathBuf;

use serde_json::Value;
use vas_frame::{CameraId, Reader};
use vas_sim_vaapi::testing::{CallRecord, SimulatedVaapi};
use vas_tests::clip::Clip;
use vas_tests::service::Service;

use crate::producer::Transport;

fn clip(frames: u32) -> PathBuf {
    Clip { encoder: "libx264", size: "320x192", pixels: "yuv420p", range: "tv", frames }.make()
}

fn camera(id: &str, url: &str, more: &str) -> String {
    format!("[[camera]]\nid = {id:?}\nurl = {url:?}\n{more}\n")
}

fn id(number: usize) -> String {
    format!("c{number:02}")
}

fn node(camera: &Value) -> &str {
    camera["decoder"]["gpu"].as_str().unwrap_or("none")
}

/// Waits until all cameras export frames from a node, and attaches a reader to each.
fn readers(service: &mut Service, cameras: usize) -> Vec<Reader> {
    let readers = (0..cameras).map(|number| {
        service.until_exported(&id(number));
        Reader::options().dir(service.dir()).open(CameraId::new(id(number)).unwrap()).unwrap()
    });
    let readers = readers.collect();
    for number in 0..cameras {
        service.until_of(number, "pictures of a node, exported", |camera| {
            camera["decoder"]["kind"] == "vaapi"
                && camera["decoded"].as_u64() > Some(5)
                && camera["exported"].as_u64() > Some(0)
        });
    }
    readers
}

/// Half of the cameras continue on the other node from a key frame on; the other half misses nothing.
#[test]
fn a_lost_node_costs_its_own_cameras_seconds_and_the_others_nothing() {
    const CAMERAS: usize = 32;
    const FRAMES: u32 = 150;
    let file = clip(FRAMES);
    let nodes = SimulatedVaapi::new().nodes(2).start();
    let url = file.to_str().unwrap();
    let tables: String = (0..CAMERAS).map(|n| camera(&id(n), url, "decode = \"vaapi\"")).collect();
    let mut service = Service::start_on(&nodes, "true", "", &tables, &[]);
    let readers = readers(&mut service, CAMERAS);
    let status = service.status().unwrap();
    let lost: Vec<_> =
        (0..CAMERAS).filter(|n| node(&status["cameras"][n]) == "renderD128").collect();
    assert_eq!(lost.len(), CAMERAS / 2, "spread evenly: {status}");
    nodes.change("fault=node_lost:renderD128@call 1");
    for number in 0..CAMERAS {
        let camera = service.until_of(number, "the end", |camera| camera["state"] == "ended");
        let camera = service.until_of(number, "all packets", |now| {
            let sum = now["decoded"].as_u64().zip(now["dropped"]["undecodable"].as_u64());
            sum.map(|(decoded, not)| decoded + not) == camera["received"].as_u64()
        });
        if lost.contains(&number) {
            assert_eq!(node(&camera), "renderD129", "{camera}");
            // A key frame comes every 25.
            assert!(camera["decoded"].as_u64() >= Some(u64::from(FRAMES) - 50), "{camera}");
        } else {
            assert_eq!(camera["decoded"], FRAMES, "{camera}");
        }
    }
    drop(readers);
    let opened = nodes.calls().into_iter().filter(|call| {
        call.function == "vaInitialize"
            && call.succeeded()
            && call.node.as_deref() == Some("renderD129")
    });
    assert_eq!(opened.count(), 1, "one display a node and process");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    // A lost node does not give back all that it is asked to.
    nodes.report().assert_clean(&["leak", "wrong_order"]);
}

/// A driver's call that does not return costs the cameras of its node their decoder. The others, and the service's stop,
/// do not wait for it.
#[test]
fn a_node_that_hangs_costs_its_own_cameras_their_decoder_and_no_stop_waits() {
    const CAMERAS: usize = 4;
    let file = clip(500);
    let nodes = SimulatedVaapi::new().nodes(2).start();
    let url = file.to_str().unwrap();
    let tables: String = (0..CAMERAS).map(|n| camera(&id(n), url, "gpu = \"auto\"")).collect();
    let mut service = Service::start_on(&nodes, "true", "", &tables, &[]);
    let readers = readers(&mut service, CAMERAS);
    let status = service.status().unwrap();
    let hung: Vec<_> =
        (0..CAMERAS).filter(|n| node(&status["cameras"][n]) == "renderD128").collect();
    assert_eq!(hung.len(), CAMERAS / 2, "spread evenly: {status}");
    nodes.change("fault=vaBeginPicture:1+:hang@renderD128");
    for number in 0..CAMERAS {
        let before = service.status().unwrap()["cameras"][number]["exported"].as_u64();
        let goes_on = |camera: &Value| {
            let moved = !hung.contains(&number) || node(camera) != "renderD128";
            moved && camera["exported"].as_u64() > before.map(|exported| exported + 5)
        };
        let camera = service.until_of(number, "frames again", goes_on);
        if hung.contains(&number) {
            let log = service.log();
            assert!(log.contains("did not return within 5 s"), "{camera}: {log}");
        } else {
            assert_eq!(node(&camera), "renderD129", "{camera}");
        }
    }
    drop(readers);
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

/// A call for an encoder that does not return costs its producer pictures. The camera's frames and the other cameras go
/// on, and neither a removal nor the service's stop waits for the call.
#[test]
fn a_node_that_hangs_for_an_encoder_costs_the_producer_pictures_alone() {
    let transport = Transport::new();
    let file = clip(2000);
    let nodes = SimulatedVaapi::new().start();
    let url = file.to_str().unwrap();
    let producer =
        format!("[camera.producer]\nrtp = \"127.0.0.1:{}\"\nvideo = \"h264\"\n", transport.port);
    let tables = [camera("c00", url, &producer), camera("c01", url, "")];
    let mut service = Service::start_on(&nodes, "true", "", &tables.concat(), &[]);
    let readers = readers(&mut service, 2);
    let encoded = |camera: &Value| camera["producer"]["encoded"].as_u64();
    service.until_of(0, "encoded pictures", |camera| encoded(camera) > Some(5));
    // The encoder's thread or the export's, whichever comes first; the other then finds the node lost.
    nodes.change("fault=vaGetImage:1+:hang");
    let moved = |camera: &Value| camera["decoder"]["kind"] == "software";
    let one = service.until_of(0, "the processor", moved);
    let (before, exported) = (encoded(&one), one["exported"].as_u64());
    service.until_of(0, "encoded and exported pictures again", |camera| {
        encoded(camera) > before.map(|encoded| encoded + 5)
            && camera["exported"].as_u64() > exported.map(|exported| exported + 5)
    });
    let other = service.until_of(1, "the processor", moved);
    let exported = other["exported"].as_u64();
    // The removal ends the producer, whose reading thread still hangs.
    service.reload(&camera("c01", url, ""));
    service.until_status("one camera that goes on", |status| {
        let cameras = status["cameras"].as_array();
        cameras.is_some_and(|cameras| {
            cameras.len() == 1 && cameras[0]["exported"].as_u64() > exported.map(|n| n + 5)
        })
    });
    drop(readers);
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

/// The calls of a run that decodes a file, with a reader if frames are exported.
fn calls(flag: &str) -> Vec<CallRecord> {
    const FRAMES: u32 = 60;
    let file = clip(FRAMES);
    let nodes = SimulatedVaapi::new().start();
    let log = tempfile::tempdir().unwrap();
    let arguments = ["--test-frame-log", log.path().to_str().unwrap()];
    let cameras = camera("cam", file.to_str().unwrap(), "decode = \"vaapi\"");
    let mut service = Service::start_on(&nodes, flag, "", &cameras, &arguments);
    let _reader = (flag == "true").then(|| service.until_read("cam"));
    let camera = service
        .until("the end", |camera| camera["state"] == "ended" && camera["decoded"] == FRAMES);
    assert_eq!(camera["decoder"]["kind"], "vaapi");
    assert_eq!(camera["exported"].as_u64() > Some(0), flag == "true", "{camera}");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    nodes.report().assert_clean(&[]);
    nodes.calls()
}

/// Contract V3. The decoder's surfaces are among the calls.
#[test]
fn decoding_makes_the_same_calls_with_the_flag_on_and_off() {
    let (on, off) = (calls("true"), calls("false"));
    let of_decoding = |calls: &[CallRecord]| -> Vec<_> {
        let own = calls.iter().filter(|call| call.thread.starts_with("vaa:"));
        // Whoever releases a decoder's last surface destroys them all.
        let kept = own
            .filter(|call| !["vaDestroySurfaces", "vaTerminate"].contains(&call.function.as_str()));
        kept.map(|call| (call.function.clone(), call.bytes, call.status.clone())).collect()
    };
    let (decoding_on, decoding_off) = (of_decoding(&on), of_decoding(&off));
    assert!(decoding_off.iter().any(|(function, ..)| function == "vaCreateSurfaces2"));
    let differ = decoding_on.iter().zip(&decoding_off).find(|(on, off)| on != off);
    assert_eq!((differ, decoding_on.len()), (None, decoding_off.len()));
    // Without export no surface is read; with it one is, which proves that the check can fail.
    let reads = |calls: &[CallRecord]| calls.iter().any(|call| call.function == "vaGetImage");
    assert_eq!((reads(&on), reads(&off)), (true, false));
    assert!(off.iter().all(|call| call.thread.starts_with("vaa:")), "{off:?}");
    assert!(on.iter().all(|call| !call.thread.starts_with("dec:")), "{on:?}");
}

/// What is missing is said, and what to do.
#[test]
fn a_camera_without_its_node_says_why() {
    let file = clip(500);
    let nodes = SimulatedVaapi::new().start();
    let url = file.to_str().unwrap();
    let tables = [
        camera("c00", url, "decode = \"vaapi\"\ngpu = \"/dev/dri/renderD140\""),
        camera("c01", url, "decode = \"vaapi\"\ngpu = 0"),
    ];
    let mut service = Service::start_on(&nodes, "true", "", &tables.concat(), &[]);
    let readers = [0, 1].map(|number| {
        service.until_exported(&id(number));
        Reader::options().dir(service.dir()).open(CameraId::new(id(number)).unwrap()).unwrap()
    });
    let camera = service.until_of(0, "a reason", |camera| camera["decoder"]["why"].is_string());
    assert_eq!(camera["decoder"]["kind"], "none", "{camera}");
    let why = camera["decoder"]["why"].as_str().unwrap();
    assert_eq!(why, "there is no /dev/dri/renderD140: this process sees renderD128");
    service.until_of(1, "pictures of its node", |other| node(other) == "renderD128");
    drop(readers);
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    nodes.report().assert_clean(&[]);
}
