//! The crate behind C calls, so that `bench/tensor.py` can call it in turns with OpenCV in one process.
//!
//! House rules. The caller is that script alone: each pointer points to as many elements as are named beside it, and
//! nothing else uses them during a call.

#![allow(clippy::missing_safety_doc, reason = "the house rules")]

use std::slice::{from_raw_parts, from_raw_parts_mut};

use vas_tensor::{
    ColorSpace, Element, Fit, Job, Layout, Matrix, Normalize, Nv12, Order, Output, Plan, Pool,
    Request, Scratch, convert, f16,
};

const MATRICES: [Matrix; 5] =
    [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020, Matrix::Fcc, Matrix::Smpte240m];
const ORDERS: [Order; 3] = [Order::Rgb, Order::Bgr, Order::Gray];

fn space(matrix: u32, full_range: u32) -> ColorSpace {
    ColorSpace { matrix: MATRICES[matrix as usize], full_range: full_range != 0 }
}

/// A tight NV12 picture: luma, then chroma.
unsafe fn picture<'a>(nv12: *const u8, width: u32, height: u32) -> Nv12<'a> {
    let (luma, row) = (width as usize * height as usize, width.next_multiple_of(2) as usize);
    // SAFETY: house rules.
    let bytes = unsafe { from_raw_parts(nv12, luma + row * height.div_ceil(2) as usize) };
    let (luma, chroma) = bytes.split_at(luma);
    Nv12::new((width, height), (luma, width as usize), (chroma, row)).expect("a tight picture")
}

/// The tensor of a plan.
unsafe fn tensor<'a>(plan: &Plan, to: *mut u8) -> Output<'a> {
    let len = plan.elements();
    // SAFETY: house rules.
    unsafe {
        match plan.request().element {
            Element::U8 => Output::U8(from_raw_parts_mut(to, len)),
            Element::F16 => Output::F16(from_raw_parts_mut(to.cast::<f16>(), len)),
            Element::F32 => Output::F32(from_raw_parts_mut(to.cast::<f32>(), len)),
        }
    }
}

/// Converts a picture; 0 if it did.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vas_convert(
    nv12: *const u8,
    width: u32,
    height: u32,
    matrix: u32,
    full_range: u32,
    order: u32,
    to: *mut u8,
) -> i32 {
    let order = ORDERS[order as usize];
    let len = width as usize * height as usize * order.channels();
    // SAFETY: house rules.
    let (picture, to) = unsafe { (picture(nv12, width, height), from_raw_parts_mut(to, len)) };
    let space = space(matrix, full_range);
    convert(picture.into(), space, order, to, &mut Scratch::default()).map_or(1, |()| 0)
}

/// A plan, which is never freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vas_plan(
    width: u32,
    height: u32,
    matrix: u32,
    full_range: u32,
    target_width: u32,
    target_height: u32,
    fit: u32,
    order: u32,
    layout: u32,
    element: u32,
    normalize: *const [f32; 7],
) -> *const Plan {
    // SAFETY: house rules.
    let [scale, m0, m1, m2, s0, s1, s2] = unsafe { *normalize };
    let request = Request {
        fit: [Fit::Stretch, Fit::Letterbox, Fit::Crop][fit as usize],
        order: ORDERS[order as usize],
        layout: [Layout::Nchw, Layout::Nhwc][layout as usize],
        element: [Element::U8, Element::F16, Element::F32][element as usize],
        normalize: Normalize { scale, mean: [m0, m1, m2], std: [s0, s1, s2] },
        ..Request::new(target_width, target_height)
    };
    let plan = Plan::new((width, height), space(matrix, full_range), &request);
    Box::leak(Box::new(plan.expect("a valid request")))
}

/// A pool, which is never freed.
#[unsafe(no_mangle)]
pub extern "C" fn vas_pool(threads: u32) -> *mut Pool {
    let threads = (threads as usize).try_into().expect("at least one thread");
    Box::leak(Box::new(Pool::new(threads).expect("threads")))
}

/// Makes tensors of pictures; returns how many failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vas_run(
    pool: *mut Pool,
    plan: *const Plan,
    count: usize,
    pictures: *const *const u8,
    tensors: *const *mut u8,
) -> usize {
    // SAFETY: house rules.
    let (pool, plan, pictures, tensors) = unsafe {
        (&mut *pool, &*plan, from_raw_parts(pictures, count), from_raw_parts(tensors, count))
    };
    let (width, height) = plan.picture();
    let job = |(from, to): (&*const u8, &*mut u8)| {
        // SAFETY: house rules.
        let (picture, tensor) = unsafe { (picture(*from, width, height), tensor(plan, *to)) };
        Job::new(picture.into(), plan, tensor)
    };
    let mut jobs: Vec<_> = pictures.iter().zip(tensors).map(job).collect();
    pool.run(&mut jobs);
    jobs.iter().filter(|job| job.result().is_err()).count()
}
