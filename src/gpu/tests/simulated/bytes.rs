//! A reader gets exactly the visible picture, to the byte.

use vas_gpu::{Failure, Outcome};
use vas_sim_gpu::testing::{SimulatedGpu, Simulator};

use crate::rig::{Rig, geometry};
use crate::surface::Shape;

const SIZES: [(usize, usize); 7] =
    [(1, 1), (2, 2), (33, 17), (64, 64), (187, 101), (318, 238), (640, 362)];

/// The decode stream lags, so that a copy that does not wait for it finds noise.
const SLOW_DECODE: &str = "fault=cuMemcpyHtoDAsync_v2:1+:slow=3000";

fn pictures_come_down(register: bool) {
    let simulator = Simulator::of_this_process();
    let rig = Rig::new(64, 64);
    simulator.set(SLOW_DECODE);
    if !register {
        simulator.set("fault=cuMemHostRegister_v2:1+:CUDA_ERROR_OUT_OF_MEMORY");
    }
    for (width, height) in SIZES {
        let mut camera = rig.another_camera(width, height);
        let plain = Shape::plain(width, height);
        let drawn = (1..=6).map(|seed| Shape::drawn(width, height, seed));
        for (i, shape) in std::iter::once(plain).chain(drawn).enumerate() {
            let visible = camera.publish(&rig.device, shape, 77 + i as u64);
            assert!(camera.newest() == (i as u64 + 1, visible), "{shape:?}: other bytes");
        }
    }
}

#[test]
fn at_any_pitch_padding_and_crop() {
    for seed in [1, 2, 3] {
        let Some(run) =
            SimulatedGpu::new().set("seed", seed).in_child(|_| pictures_come_down(true))
        else {
            return;
        };
        run.report.assert_clean(&[]);
        let down = run.calls.iter().filter(|call| call.function == "cuMemcpy2DAsync_v2");
        let bytes: u64 = down.clone().map(|call| call.bytes).sum();
        let tight = |(w, h): (usize, usize)| geometry(w, h).tight_bytes() as u64;
        assert_eq!(bytes, SIZES.into_iter().map(tight).sum::<u64>() * 7, "visible NV12 once");
        assert!(down.into_iter().all(|call| call.thread == "vas-cuda-0"));
    }
}

#[test]
fn through_staging_as_well() {
    SimulatedGpu::new().in_clean_child(|_| pictures_come_down(false));
}

#[test]
fn a_surface_of_another_size_is_refused() {
    SimulatedGpu::new().in_clean_child(|_| {
        let mut rig = Rig::new(64, 64);
        let (outcome, _) = rig.pass(Shape::plain(64, 62), 1);
        assert_eq!(outcome, Outcome::Failed(Failure::Size(64, 62, 64, 64)));
        rig.publish(Shape::plain(64, 64), 2);
    });
}
