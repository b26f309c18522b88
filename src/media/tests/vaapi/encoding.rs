//! An encoder reads pictures from surfaces.

use vas_media::{
    EncodeError, EncoderRequest, Fraction, Frame, Received, open_software, open_vaapi, open_x264,
};
use vas_sim_vaapi::testing::SimulatedVaapi;

use crate::clips::{Clip, FRAMES, decode, device};

#[test]
fn an_encoder_takes_pictures_of_a_node() {
    SimulatedVaapi::new().in_clean_child(|simulator| {
        let mut source = Clip::small().open();
        let mut decoder = open_vaapi(source.stream(), &device(), 1).unwrap();
        let fps = Fraction::new(25, 1).unwrap();
        // Half the size, so that pictures must also be scaled.
        let request = EncoderRequest { size: (160, 96), fps, bit_rate: 500_000, threads: 1 };
        let mut encoder = open_x264(&request).unwrap();
        let (mut shared, mut encoded) = (Frame::new(), 0);
        let errors = decode(&mut *source, &mut *decoder, |frame| {
            shared.ref_from(frame).unwrap();
            encoder.encode(&mut shared, false).unwrap();
            encoded += 1;
        });
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(encoded, FRAMES);
        drop((encoder, decoder));
        assert_eq!(simulator.level("displays"), 0);
    });
}

/// The call that hangs costs a thread and at most five seconds. What the processor decodes is encoded again.
#[test]
fn a_driver_that_hangs_costs_an_encoder_pictures_and_is_waited_for_once() {
    SimulatedVaapi::new().allowing(&["leak"]).in_clean_child(|simulator| {
        let device = device();
        let mut source = Clip::small().open();
        let mut decoder = open_vaapi(source.stream(), &device, 4).unwrap();
        let fps = Fraction::new(25, 1).unwrap();
        let request = EncoderRequest { size: (160, 96), fps, bit_rate: 500_000, threads: 1 };
        let mut encoder = open_x264(&request).unwrap();
        let mut surfaces = Vec::new();
        while surfaces.len() < 3 {
            let mut frame = Frame::new();
            match decoder.receive(&mut frame).unwrap() {
                Received::Frame => surfaces.push(frame),
                _ => decoder.send(&source.next_packet().unwrap().unwrap()).unwrap(),
            }
        }
        let [mut first, mut second, mut third] = <[Frame; 3]>::try_from(surfaces).ok().unwrap();
        encoder.encode(&mut first, false).unwrap();
        simulator.set("fault=vaGetImage:1:hang");
        for frame in [&mut second, &mut third] {
            let Err(EncodeError::Download(why)) = encoder.encode(frame, false) else {
                panic!("the driver hangs");
            };
            assert!(why.is_loss(), "{why}");
            assert!(why.to_string().contains("did not return within 5 s"), "{why}");
            assert!(frame.is_empty());
            assert!(device.known_health().is_err());
        }
        let mut source = Clip::small().open();
        let mut processor = open_software(source.stream(), 1).unwrap();
        let mut encoded = 0;
        let errors = decode(&mut *source, &mut *processor, |frame| {
            encoder.encode(frame, false).unwrap();
            encoded += 1;
        });
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(encoded, FRAMES);
        // Neither waits for the call.
        drop((encoder, decoder));
        simulator.set("release=");
    });
}
