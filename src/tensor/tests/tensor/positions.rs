//! Boxes come back to where they were.

use vas_tensor::{
    ColorSpace, Element, Fit, Layout, Matrix, Nv12, Order, Output, Plan, Request, Scratch,
};

const SPACE: ColorSpace = ColorSpace { matrix: Matrix::Bt601, full_range: true };

#[test]
fn mapping_there_and_back_changes_nothing() {
    for (picture, width, height) in
        [((1920, 1080), 640, 640), ((33, 97), 224, 100), ((640, 480), 640, 480)]
    {
        for fit in [Fit::Stretch, Fit::Letterbox, Fit::Crop] {
            let plan =
                Plan::new(picture, SPACE, &Request { fit, ..Request::new(width, height) }).unwrap();
            for (x, y) in [(0.0, 0.0), (10.5, 20.25), (f64::from(picture.0), f64::from(picture.1))]
            {
                let (to_x, to_y) = plan.from_picture(x, y);
                let (back_x, back_y) = plan.to_picture(to_x, to_y);
                assert!((back_x - x).abs() < 1e-9 && (back_y - y).abs() < 1e-9, "{fit:?} {x} {y}");
            }
        }
    }
}

/// A bright block of the picture lies in the tensor where the plan says.
#[test]
fn a_block_is_where_the_plan_says() {
    let (width, height) = (320, 180);
    let [left, top, right, bottom] = [120, 60, 200, 120];
    let mut luma = vec![0; width * height];
    for row in luma.chunks_exact_mut(width).take(bottom).skip(top) {
        row[left..right].fill(255);
    }
    let chroma = vec![128; width * height / 2];
    let picture = Nv12::new((320, 180), (&luma, width), (&chroma, width)).unwrap();
    for fit in [Fit::Stretch, Fit::Letterbox, Fit::Crop] {
        let request = Request {
            fit,
            pad: 0,
            order: Order::Gray,
            layout: Layout::Nhwc,
            element: Element::U8,
            ..Request::new(128, 128)
        };
        let plan = Plan::new((320, 180), SPACE, &request).unwrap();
        let mut tensor = vec![7; plan.elements()];
        plan.run(picture.into(), &mut Output::U8(&mut tensor), &mut Scratch::default()).unwrap();
        let is_bright = |at: &usize| tensor[*at] >= 128;
        let bright: Vec<usize> = (0..tensor.len()).filter(is_bright).collect();
        let columns = bright.iter().map(|at| at % 128);
        let found = [
            columns.clone().min().unwrap(),
            bright[0] / 128,
            columns.max().unwrap() + 1,
            bright[bright.len() - 1] / 128 + 1,
        ];
        let corners = plan.box_to_picture(found.map(|side| side as f64));
        // Half a pixel of the tensor.
        let step = f64::from(320) / f64::from(plan.content().width) / 2.0 + 0.01;
        let step = step.max(f64::from(180) / f64::from(plan.content().height) / 2.0 + 0.01);
        for (corner, side) in corners.into_iter().zip([left, top, right, bottom]) {
            assert!((corner - side as f64).abs() <= step, "{fit:?}: {corners:?}");
        }
    }
}
