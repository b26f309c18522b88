//! Each call that FFmpeg makes fails once, or from then on.

use std::collections::BTreeSet;

use vas_media::{DecodeError, DecoderKind, GpuError, VaapiError, open_vaapi};
use vas_sim_vaapi::testing::{SimulatedVaapi, Simulator};

use crate::clips::{Clip, FRAMES, decode, device, picture};

/// Decodes the clip while calls fail. Returns the pictures, the errors, the kind of the decoder and why it fell back.
fn with_fault(
    simulator: &Simulator,
    clip: &Clip,
    fault: &str,
) -> (usize, Vec<DecodeError>, DecoderKind, Option<GpuError>) {
    let device = device();
    let mut source = clip.open();
    let mut decoder = open_vaapi(source.stream(), &device, 2).unwrap();
    simulator.set(&format!("fault={fault}"));
    let mut pictures = 0;
    let errors = decode(&mut *source, &mut *decoder, |_| pictures += 1);
    simulator.set("clear_faults=");
    (pictures, errors, decoder.kind(), decoder.fallback())
}

/// Calls while a decoder is set up: the processor takes over without losing a picture.
const SETUP: [&str; 6] = [
    "vaQueryConfigProfiles",
    "vaCreateConfig",
    "vaQuerySurfaceAttributes",
    "vaCreateSurfaces2",
    "vaCreateContext",
    "vaGetConfigAttributes",
];

#[test]
fn a_setup_that_fails_costs_no_picture() {
    SimulatedVaapi::new().in_clean_child(|simulator| {
        let clip = Clip::small();
        let mut reached = BTreeSet::new();
        for function in SETUP {
            let fault = format!("{function}:1:VA_STATUS_ERROR_OPERATION_FAILED");
            let (pictures, errors, kind, fallback) = with_fault(simulator, &clip, &fault);
            assert!(errors.is_empty(), "{function}: {errors:?}");
            assert_eq!(pictures, FRAMES, "{function}");
            if kind == DecoderKind::Software {
                reached.insert(function);
                let words = fallback.unwrap().to_string();
                assert!(
                    words.starts_with("renderD128: ") || words.starts_with("VA-API does not"),
                    "{words}"
                );
            }
        }
        assert!(reached.len() >= 4, "{reached:?}");
    });
}

#[test]
fn what_the_driver_does_not_decode_is_said_to_be_of_the_stream() {
    SimulatedVaapi::new().set("codecs", "hevc").in_clean_child(|simulator| {
        let (pictures, errors, kind, fallback) = with_fault(simulator, &Clip::small(), "");
        assert_eq!((pictures, errors.len(), kind), (FRAMES, 0, DecoderKind::Software));
        let why = fallback.unwrap();
        assert!(why.is_of_stream(), "{why}");
    });
}

#[test]
fn a_size_that_the_driver_does_not_decode_is_said_to_be_of_the_stream() {
    SimulatedVaapi::new().set("max_size", 256).in_clean_child(|simulator| {
        let (pictures, _, kind, fallback) = with_fault(simulator, &Clip::small(), "");
        assert_eq!((pictures, kind), (FRAMES, DecoderKind::Software));
        let why = fallback.unwrap();
        assert!(why.is_of_stream(), "{why}");
    });
}

/// FFmpeg ends a picture whose beginning failed, and begins the next one when an end failed.
const FFMPEGS_OWN: &str = "wrong_order";

/// Calls for each picture.
const OF_PICTURES: [&str; 4] =
    ["vaBeginPicture", "vaRenderPicture", "vaEndPicture", "vaCreateBuffer"];

#[test]
fn a_picture_that_fails_costs_pictures_and_not_the_decoder() {
    SimulatedVaapi::new().allowing(&[FFMPEGS_OWN]).in_clean_child(|simulator| {
        let clip = Clip::small();
        for function in OF_PICTURES {
            let fault = format!("{function}:5:VA_STATUS_ERROR_DECODING_ERROR");
            let (pictures, errors, kind, _) = with_fault(simulator, &clip, &fault);
            assert_eq!(kind, DecoderKind::Vaapi, "{function}");
            assert!(!errors.is_empty() && !errors[0].is_fatal(), "{function}: {errors:?}");
            assert!((FRAMES - 2..FRAMES).contains(&pictures), "{function}: {pictures}");
        }
    });
}

#[test]
fn failures_in_a_row_end_the_decoder() {
    SimulatedVaapi::new().allowing(&[FFMPEGS_OWN]).in_clean_child(|simulator| {
        let clip = Clip::small().repeated(2);
        for function in OF_PICTURES {
            let fault = format!("{function}:3+:VA_STATUS_ERROR_DECODING_ERROR");
            let (_, errors, ..) = with_fault(simulator, &clip, &fault);
            let Some(DecodeError::Gpu(GpuError::Vaapi(why @ VaapiError::Failing { .. }))) =
                errors.last()
            else {
                panic!("{function}: {errors:?}");
            };
            let words = why.to_string();
            assert!(
                words.starts_with("renderD128: VA-API failed on 8 pictures in a row ("),
                "{words}"
            );
        }
    });
}

#[test]
fn a_lost_node_is_told_from_a_bad_picture() {
    // A lost node does not give back all that it is asked to.
    SimulatedVaapi::new().allowing(&["leak", FFMPEGS_OWN]).in_clean_child(|simulator| {
        let clip = Clip::small();
        let (_, errors, ..) = with_fault(simulator, &clip, "node_lost:renderD128@call 80");
        let Some(DecodeError::Gpu(why)) = errors.last() else { panic!("{errors:?}") };
        assert!(why.is_loss(), "{why}");
        assert!(
            why.to_string().starts_with("renderD128 is lost: it can't create a surface"),
            "{why}"
        );
        simulator.set("node_back=renderD128");
        let mut source = clip.open();
        let mut decoder = open_vaapi(source.stream(), &device(), 2).unwrap();
        let mut pictures = 0;
        decode(&mut *source, &mut *decoder, |frame| pictures += picture(frame).len().min(1));
        assert_eq!(pictures, FRAMES);
    });
}

/// A node without memory works, and those who have theirs go on.
#[test]
fn a_node_without_memory_is_not_lost() {
    SimulatedVaapi::new().in_clean_child(|simulator| {
        let device = device();
        simulator.set("fault=vaCreateSurfaces2:1+:VA_STATUS_ERROR_ALLOCATION_FAILED");
        device.health().unwrap();
        simulator.set("clear_faults=");
        device.known_health().unwrap();
        simulator.set("fault=vaCreateSurfaces2:1+:VA_STATUS_ERROR_OPERATION_FAILED");
        assert!(device.health().is_err());
    });
}
