//! An encoder's pictures come down on a stream of its own.

use vas_media::{CudaDevice, EncoderRequest, Fraction, Frame, open_nvdec, open_x264};
use vas_sim_gpu::testing::SimulatedGpu;

use crate::clips::{Clip, FRAMES, decode};

#[test]
fn an_encoder_queues_nothing_on_the_stream_of_all_decoders() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let clip = Clip::small();
        let mut source = clip.open();
        let device = CudaDevice::open(0).unwrap();
        let mut decoder = open_nvdec(source.stream(), &device, 1).unwrap();
        let fps = Fraction::new(25, 1).unwrap();
        // Half the size, so that pictures must be scaled, too.
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
    }) else {
        return;
    };
    // It says of a copy that no event or wait puts behind its picture: `unordered_copy`.
    run.report.assert_clean(&["pageable"]);
    // Which stream is the decoders' the first event says: it is recorded there.
    let stream_of = |function: &str| {
        let mut calls = run.calls.iter().filter(|call| call.function == function);
        calls.next().map(|call| call.stream)
    };
    let of_decoders = stream_of("cuEventRecord").expect("an event that orders the copies");
    let copies: Vec<_> =
        run.calls.iter().filter(|call| call.function == "cuMemcpy2DAsync_v2").collect();
    assert_eq!(copies.len(), 2 * FRAMES, "two planes a picture");
    assert!(copies.iter().all(|copy| copy.stream != of_decoders), "{copies:?}");
}
