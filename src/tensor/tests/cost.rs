//! Once a plan was used, its tensors allocate no memory, on any thread.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use vas_malloc_count::{count, count_in_process};
use vas_tensor::{
    ColorSpace, Element, Fit, Job, Layout, Matrix, Normalize, Nv12, Order, Output, Plan, Pool,
    Request, Scratch, convert, f16,
};

const SPACE: ColorSpace = ColorSpace { matrix: Matrix::Bt709, full_range: false };

/// The only test of this program: what other threads allocate counts.
#[test]
fn a_warm_plan_allocates_nothing() {
    let (luma, chroma) = (vec![90; 1000 * 300], vec![120; 1000 * 150]);
    let picture = Nv12::new((999, 299), (&luma, 1000), (&chroma, 1000)).unwrap();
    for (width, height, fit) in
        [(100, 100, Fit::Letterbox), (640, 640, Fit::Crop), (33, 7, Fit::Stretch)]
    {
        let request = Request {
            fit,
            layout: Layout::Nhwc,
            element: Element::F16,
            normalize: Normalize::IMAGENET,
            ..Request::new(width, height)
        };
        let plan = Plan::new((999, 299), SPACE, &request).unwrap();
        let mut scratch = Scratch::default();
        scratch.prepare(&plan);
        let mut tensor = vec![f16::NAN; plan.elements()];
        let (result, allocations) =
            count(|| plan.run(picture.into(), &mut Output::F16(&mut tensor), &mut scratch));
        assert_eq!((result, allocations), (Ok(()), 0), "{request:?}");

        let mut rgb = vec![0; 3 * 999 * 299];
        let (result, allocations) =
            count(|| convert(picture.into(), SPACE, Order::Rgb, &mut rgb, &mut scratch));
        assert_eq!((result, allocations), (Ok(()), 0));
    }

    let plan = Plan::new((999, 299), SPACE, &Request::new(320, 320)).unwrap();
    let mut tensors = vec![0.0; 16 * plan.elements()];
    let mut jobs: Vec<Job<'_>> = tensors
        .chunks_exact_mut(plan.elements())
        .map(|tensor| Job::new(picture.into(), &plan, Output::F32(tensor)))
        .collect();
    let mut pool = Pool::new(4.try_into().unwrap()).unwrap();
    pool.run(&mut jobs);
    let ((), allocations) = count_in_process(|| {
        for _ in 0..50 {
            pool.run(&mut jobs);
        }
    });
    assert_eq!(allocations, 0, "of all threads together");
    assert!(jobs.iter().all(|job| job.result().is_ok()));
}
