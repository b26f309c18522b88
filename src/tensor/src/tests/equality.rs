//! All kinds of processors give the same elements.

use super::rig::{Picture, spaces};
use crate::color::Factors;
use crate::convert::convert_on;
use crate::kernels::Kind;
use crate::pass::run_on;
use crate::plan::{Output, Plan};
use crate::request::{Element, Fit, Layout, Normalize, Order, Request};
use crate::scratch::Scratch;
use crate::source::Source;
use half::f16;

const ORDERS: [Order; 3] = [Order::Rgb, Order::Bgr, Order::Gray];

fn vectors() -> Vec<Kind> {
    let kinds: Vec<Kind> = Kind::all().filter(|kind| !matches!(kind, Kind::Scalar)).collect();
    assert!(!kinds.is_empty(), "a processor without vectors tests nothing");
    kinds
}

/// A tensor of any type, as bits.
fn tensor(kind: Kind, plan: &Plan, picture: &Picture, scratch: &mut Scratch) -> Vec<u32> {
    let rows = Source::from(picture.nv12()).checked_rows().unwrap();
    scratch.prepare(plan);
    let len = plan.elements();
    match plan.request().element {
        Element::U8 => {
            let mut to = vec![0xa5; len];
            run_on(kind, plan, rows, &mut Output::U8(&mut to), scratch);
            to.into_iter().map(u32::from).collect()
        }
        Element::F16 => {
            let mut to = vec![f16::NAN; len];
            run_on(kind, plan, rows, &mut Output::F16(&mut to), scratch);
            to.into_iter().map(|element| u32::from(element.to_bits())).collect()
        }
        Element::F32 => {
            let mut to = vec![f32::NAN; len];
            run_on(kind, plan, rows, &mut Output::F32(&mut to), scratch);
            to.into_iter().map(f32::to_bits).collect()
        }
    }
}

#[test]
fn tensors_are_equal() {
    let kinds = vectors();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut scratch = Scratch::default();
    let spaces: Vec<_> = spaces().collect();
    for round in 0..600 {
        let largest = if round % 10 == 0 { 400 } else { 90 };
        let mut side = || rng.u32(1..=largest);
        let (size, width, height) = ((side(), side()), side(), side());
        let picture = Picture::random(size, &mut rng);
        let mut any = || rng.f32() * 2.0 - 1.0;
        let normalize = Normalize {
            scale: any(),
            mean: [any(), any(), any()],
            std: [any() + 1.1, any() + 1.1, any() + 1.1],
        };
        let element = rng.choice([Element::U8, Element::F16, Element::F32]).unwrap();
        let request = Request {
            width,
            height,
            fit: rng.choice([Fit::Stretch, Fit::Letterbox, Fit::Crop]).unwrap(),
            pad: rng.u8(..),
            order: rng.choice(ORDERS).unwrap(),
            layout: rng.choice([Layout::Nchw, Layout::Nhwc]).unwrap(),
            element,
            normalize: if element == Element::U8 { Normalize::NONE } else { normalize },
        };
        let space = rng.choice(spaces.iter().copied()).unwrap();
        let plan = Plan::new(size, space, &request).unwrap();
        let expected = tensor(Kind::Scalar, &plan, &picture, &mut scratch);
        for kind in &kinds {
            let found = tensor(*kind, &plan, &picture, &mut scratch);
            let first = found.iter().zip(&expected).position(|(found, expected)| found != expected);
            assert_eq!(first, None, "{kind:?}: {size:?} {space:?} {request:?}");
        }
    }
}

/// All samples that there are, in their extremes.
#[test]
fn extreme_samples_are_equal() {
    let kinds = vectors();
    let mut rng = fastrand::Rng::with_seed(2);
    let mut scratch = Scratch::default();
    for space in spaces() {
        let picture = Picture::new((67, 41), || rng.choice([0, 1, 127, 128, 254, 255]).unwrap());
        let request = Request { fit: Fit::Stretch, ..Request::new(50, 63) };
        let plan = Plan::new(picture.size, space, &request).unwrap();
        let expected = tensor(Kind::Scalar, &plan, &picture, &mut scratch);
        for kind in &kinds {
            assert!(tensor(*kind, &plan, &picture, &mut scratch) == expected, "{kind:?} {space:?}");
        }
    }
}

fn converted(kind: Kind, picture: &Picture, factors: Factors, order: Order) -> Vec<u8> {
    let rows = Source::from(picture.nv12()).checked_rows().unwrap();
    let mut to = vec![0xa5; picture.size.0 as usize * picture.size.1 as usize * order.channels()];
    convert_on(kind, &rows, factors, order, &mut to, &mut Scratch::default());
    to
}

#[test]
fn conversions_are_equal() {
    let kinds = vectors();
    let mut rng = fastrand::Rng::with_seed(3);
    for width in (1..200).chain([639, 640, 641]) {
        let height = rng.u32(1..6);
        let picture = Picture::random((width, height), &mut rng);
        for space in spaces() {
            let factors = Factors::of(space);
            for order in ORDERS {
                let expected = converted(Kind::Scalar, &picture, factors, order);
                for kind in &kinds {
                    let found = converted(*kind, &picture, factors, order);
                    assert!(found == expected, "{kind:?} {width}x{height} {space:?} {order:?}");
                }
            }
        }
    }
}

/// A plan that does not resize gives the bytes of the conversion.
#[test]
fn a_plan_of_the_same_size_converts() {
    let mut rng = fastrand::Rng::with_seed(4);
    let mut scratch = Scratch::default();
    for size in [(1, 1), (33, 7), (64, 64), (101, 50)] {
        let picture = Picture::random(size, &mut rng);
        for space in spaces() {
            for order in ORDERS {
                let request = Request {
                    order,
                    layout: Layout::Nhwc,
                    element: Element::U8,
                    ..Request::new(size.0, size.1)
                };
                let plan = Plan::new(size, space, &request).unwrap();
                let found = tensor(Kind::best(), &plan, &picture, &mut scratch);
                let expected = converted(Kind::best(), &picture, Factors::of(space), order);
                let expected: Vec<u32> = expected.into_iter().map(u32::from).collect();
                assert_eq!(found, expected, "{size:?} {space:?} {order:?}");
            }
        }
    }
}
