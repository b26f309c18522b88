//! Requests, pictures and outputs that are refused, and the messages.

use vas_frame::Nv12Image;
use vas_tensor::{
    ColorSpace, Element, Matrix, Normalize, Nv12, Order, Output, Plan, Request, Scratch, convert,
};

const SPACE: ColorSpace = ColorSpace { matrix: Matrix::Bt709, full_range: false };

#[test]
fn planes_that_are_too_short() {
    let refused = |luma: &[u8], luma_stride, chroma: &[u8], chroma_stride| {
        let words = Nv12::new((5, 3), (luma, luma_stride), (chroma, chroma_stride)).unwrap_err();
        words.to_string()
    };
    assert_eq!(
        refused(&[0; 14], 5, &[0; 12], 6),
        "no NV12 picture: luma has 14 bytes with a stride of 5: expected 3 rows of 5 bytes"
    );
    assert_eq!(
        refused(&[0; 15], 5, &[0; 11], 6),
        "no NV12 picture: chroma has 11 bytes with a stride of 6: expected 2 rows of 6 bytes"
    );
    assert!(refused(&[0; 99], 4, &[0; 99], 6).contains("luma"), "a stride below a row");
    assert!(refused(&[0; 99], usize::MAX, &[0; 99], 6).contains("luma"), "beyond memory");
    // The last row needs no padding.
    assert!(Nv12::new((5, 3), (&[0; 25], 10), (&[0; 22], 16)).is_ok());
}

#[test]
fn requests_that_no_plan_can_be_made_for() {
    let refused =
        |picture, request: Request| Plan::new(picture, SPACE, &request).unwrap_err().to_string();
    let request = Request::new(640, 640);
    assert_eq!(
        refused((0, 5), request),
        "cannot make a tensor of a picture of 0x5: expected 1 to 16384 pixels a side"
    );
    assert_eq!(
        refused((5, 5), Request::new(16_385, 1)),
        "cannot make a tensor of a target of 16385x1: expected 1 to 16384 pixels a side"
    );
    let normalize = |normalize| Request { normalize, ..request };
    assert_eq!(
        refused((5, 5), normalize(Normalize { scale: f32::NAN, ..Normalize::NONE })),
        "cannot normalize by a scale of NaN: expected a finite number"
    );
    assert_eq!(
        refused((5, 5), normalize(Normalize { std: [1.0, 0.0, 1.0], ..Normalize::NONE })),
        "cannot normalize by a std of 0: expected a finite number other than 0"
    );
    assert!(
        refused(
            (5, 5),
            normalize(Normalize { mean: [0.0, 0.0, f32::INFINITY], ..Normalize::NONE })
        )
        .contains("mean of inf")
    );
    assert_eq!(
        refused((5, 5), Request { element: Element::U8, ..normalize(Normalize::UNIT) }),
        "cannot normalize bytes: expected f32 or f16 elements, or no normalization"
    );
}

#[test]
fn pictures_and_outputs_of_another_size() {
    let plan = Plan::new((64, 36), SPACE, &Request::new(32, 32)).unwrap();
    let (luma, chroma) = (vec![0; 64 * 40], vec![0; 64 * 20]);
    let picture = |height| Nv12::new((64, height), (&luma, 64), (&chroma, 64)).unwrap().into();
    let mut scratch = Scratch::default();
    let mut run = |source, mut output: Output<'_>| {
        plan.run(source, &mut output, &mut scratch).unwrap_err().to_string()
    };
    let mut floats = vec![0.0; 3 * 32 * 32];
    assert_eq!(
        run(picture(35), Output::F32(&mut floats)),
        "the picture has 64x35 pixels: expected 64x36"
    );
    let empty = Nv12Image::default();
    assert_eq!(
        run((&empty).into(), Output::F32(&mut floats)),
        "the picture has 0x0 pixels: expected 64x36"
    );
    assert_eq!(
        run(picture(36), Output::F32(&mut floats[1..])),
        "the output has 3071 elements of F32: expected 3072 of F32"
    );
    assert_eq!(
        run(picture(36), Output::U8(&mut [0; 3072])),
        "the output has 3072 elements of U8: expected 3072 of F32"
    );
    let mut short = [0; 5];
    let words = convert(picture(36), SPACE, Order::Gray, &mut short, &mut Scratch::default());
    assert_eq!(
        words.unwrap_err().to_string(),
        "the output has 5 elements of U8: expected 2304 of U8"
    );
    convert((&empty).into(), SPACE, Order::Rgb, &mut [], &mut Scratch::default()).unwrap();
}
