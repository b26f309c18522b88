//! An encoder downloads its pictures on a stream of its own.

use vas_media::{CudaDevice, EncoderRequest, Fraction, Frame, open_nvdec, open_x264};
use vas_sim_gpu::bitstream::Codec;
use vas_sim_gpu::testing::{ChildRun, SimulatedGpu, Simulator};

use crate::clips::{Clip, FRAMES, decode};

#[test]
fn an_encoder_queues_no_copy_on_the_decode_stream() {
    check(SimulatedGpu::new().in_child(|simulator| encode(simulator, &Clip::small())));
}

#[test]
fn an_encoder_takes_surfaces_of_ten_bits() {
    check(SimulatedGpu::new().in_child(|simulator| {
        let options = ["-bf", "0", "-pix_fmt", "yuv420p10le"];
        encode(simulator, &Clip::encode(Codec::Hevc, (320, 192), &options));
    }));
}

/// Encodes a clip that a GPU decodes.
fn encode(simulator: &Simulator, clip: &Clip) {
    let mut source = clip.open();
    let device = CudaDevice::open(0).unwrap();
    let mut decoder = open_nvdec(source.stream(), &device, 1).unwrap();
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
    drop((encoder, decoder, device));
    assert_eq!((simulator.level("contexts"), simulator.level("decoders")), (0, 0));
}

fn check(run: Option<ChildRun>) {
    let Some(run) = run else { return };
    // The report lists copies that no event or wait orders after their picture as `unordered_copy`.
    run.report.assert_clean(&["pageable"]);
    // The first event is recorded on the decode stream.
    let stream_of = |function: &str| {
        let mut calls = run.calls.iter().filter(|call| call.function == function);
        calls.next().map(|call| call.stream)
    };
    let decode_stream = stream_of("cuEventRecord").expect("an event that orders the copies");
    let copies: Vec<_> =
        run.calls.iter().filter(|call| call.function == "cuMemcpy2DAsync_v2").collect();
    assert_eq!(copies.len(), 2 * FRAMES, "two planes a picture");
    assert!(copies.iter().all(|copy| copy.stream != decode_stream), "{copies:?}");
}
