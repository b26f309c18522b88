//! cudarc's safe interface finds the simulated device and works on it.

use cudarc::driver::{CudaContext, sys};
use vas_sim_gpu::testing::SimulatedGpu;

#[test]
fn bytes_go_up_and_come_down() {
    let Some(run) = SimulatedGpu::new().set("devices", 2).in_child(|simulator| {
        // SAFETY: only checks whether the library can be loaded.
        assert!(unsafe { sys::is_culib_present() });
        assert_eq!(CudaContext::device_count().unwrap(), 2);
        let context = CudaContext::new(1).unwrap();
        assert!(context.name().unwrap().starts_with("Simulated GPU 1"));
        let (up, down) = (context.new_stream().unwrap(), context.new_stream().unwrap());
        let sent: Vec<u8> = (0..=255).collect();
        let memory = up.clone_htod(&sent).unwrap();
        let done = up.record_event(None).unwrap();
        down.wait(&done).unwrap();
        assert_eq!(down.clone_dtoh(&memory).unwrap(), sent);
        context.synchronize().unwrap();
        drop((memory, done, up, down, context));
        assert_eq!(simulator.level("contexts"), 0);
    }) else {
        return;
    };
    // cudarc copies from and to a Vec asynchronously.
    run.report.assert_clean(&["pageable"]);
}
