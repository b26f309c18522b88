//! Scaling a picture allocates no memory.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use vas_malloc_count::count;
use vas_scale::{ColorInfo, Fit, Plan, Plane, Request, Scaler, Source, StoreKind, Target};

#[test]
fn scaling_allocates_nothing() {
    let samples = vec![7; 320 * 180];
    let plane = Plane::new(&samples, 320);
    let source = Source::Yuv420p { y: plane, u: plane, v: plane };
    for (width, height, fit) in [
        (100, 100, Fit::Letterbox),
        (100, 100, Fit::Stretch),
        (20, 20, Fit::Fit),
        (320, 180, Fit::Fit),
        (320, 300, Fit::Letterbox),
    ] {
        let request = Request { width: Some(width), height: Some(height), fit };
        let plan = Plan::new((320, 180), request, ColorInfo::default()).unwrap();
        let mut scaler = Scaler::new(&plan);
        let (mut luma, mut chroma) = (vec![0; 320 * 300], vec![0; 320 * 150]);
        let ((), allocations) = count(|| {
            let target = Target { luma: &mut luma, chroma: &mut chroma, stride: 320 };
            scaler.run(&source, target, StoreKind::Streaming).unwrap();
        });
        assert_eq!(allocations, 0, "{request:?}");
    }
}
