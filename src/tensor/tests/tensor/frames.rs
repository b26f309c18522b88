//! Tensors from shared memory.

use vas_frame::{Color, Nv12Image, Placement, Range, Rect, Size};
use vas_tensor::{
    ColorSpace, Element, Fit, Layout, Matrix, Order, Output, PassError, Plan, Request, Scratch,
    convert,
};

use crate::camera::Camera;

/// What is read in place is what a copy holds: odd sizes, all fits, many rows from few.
#[test]
fn a_slot_and_a_copy_give_the_same() {
    let mut scratch = Scratch::default();
    for (size, width, height) in
        [((97, 61), 40, 50), ((33, 17), 100, 90), ((640, 31), 20, 300), ((1, 1), 5, 3)]
    {
        let mut camera = Camera::new(size, Color::default(), 4);
        for fit in [Fit::Stretch, Fit::Letterbox, Fit::Crop] {
            camera.publish();
            let frame = camera.reader.next().unwrap();
            let mut image = Nv12Image::default();
            frame.copy_if_valid(&mut image).unwrap();
            let plan = Plan::for_frame(&frame, &Request { fit, ..Request::new(width, height) });
            let plan = plan.unwrap();
            let mut tensors = [(); 3].map(|()| vec![f32::NAN; plan.elements()]);
            let sources = [(&frame).into(), frame.raw().into(), (&image).into()];
            for (source, tensor) in sources.into_iter().zip(&mut tensors) {
                plan.run(source, &mut Output::F32(tensor), &mut scratch).unwrap();
            }
            assert!(tensors[2].iter().all(|element| (0.0..=255.0).contains(element)));
            assert!(tensors[0] == tensors[2] && tensors[1] == tensors[2], "{size:?} {fit:?}");

            for order in [Order::Bgr, Order::Gray] {
                let bytes = size.0 as usize * size.1 as usize * order.channels();
                let mut pictures = [vec![0; bytes], vec![1; bytes]];
                for (source, to) in
                    [(&frame).into(), (&image).into()].into_iter().zip(&mut pictures)
                {
                    convert(source, plan.space(), order, to, &mut scratch).unwrap();
                }
                assert!(pictures[0] == pictures[1], "{size:?} {order:?}");
            }
        }
    }
}

#[test]
fn an_overwritten_frame_is_told() {
    let mut camera = Camera::new((64, 48), Color::default(), 2);
    camera.publish();
    let frame = camera.reader.next().unwrap();
    let request = Request { layout: Layout::Nhwc, element: Element::U8, ..Request::new(32, 32) };
    let plan = Plan::for_frame(&frame, &request).unwrap();
    let (mut tensor, mut scratch) = (vec![0; plan.elements()], Scratch::default());
    let mut run = || plan.run((&frame).into(), &mut Output::U8(&mut tensor), &mut scratch);
    run().unwrap();
    camera.publish();
    camera.publish();
    assert_eq!(run(), Err(PassError::Overwritten { frame_id: 1 }));
    let mut rgb = vec![0; 64 * 48 * 3];
    let converted = convert((&frame).into(), plan.space(), Order::Rgb, &mut rgb, &mut scratch);
    assert_eq!(converted, Err(PassError::Overwritten { frame_id: 1 }));
}

/// The height of the camera's picture decides, although its export is scaled down.
#[test]
fn a_plan_takes_the_color_space_of_its_frame() {
    let unspecified = Color { matrix: 2, range: Range::Full, ..Color::default() };
    let mut camera = Camera::new((64, 36), unspecified, 4);
    camera.publish();
    let frame = camera.reader.next().unwrap();
    let own = Plan::for_frame(&frame, &Request::new(32, 32)).unwrap();
    assert_eq!(own.space(), ColorSpace { matrix: Matrix::Bt601, full_range: true });
    assert!(own.is_for(&frame));

    let source = Size { width: 1920, height: 1080 };
    let content = Rect { x: 0, y: 0, width: 64, height: 36 };
    camera.publish_with(Some(Placement { source, content }));
    let frame = camera.reader.next().unwrap();
    let scaled = Plan::for_frame(&frame, &Request::new(32, 32)).unwrap();
    assert_eq!(scaled.space().matrix, Matrix::Bt709);
    assert!(scaled.is_for(&frame) && !own.is_for(&frame));
}
