//! What keeps a node from being opened is said in words.

use vas_media::{VaapiDevice, VaapiError, render_nodes};
use vas_sim_vaapi::testing::SimulatedVaapi;

#[test]
fn a_driver_that_does_not_start_is_said_with_what_to_do() {
    SimulatedVaapi::new().in_clean_child(|simulator| {
        simulator.set("fault=vaInitialize:1:VA_STATUS_ERROR_UNKNOWN");
        let node = render_nodes().remove(0);
        let error = VaapiDevice::open(&node).unwrap_err();
        let words = error.to_string();
        assert!(matches!(error, VaapiError::NoDriver { .. }), "{words}");
        assert!(
            words.starts_with("renderD128: no VA-API driver starts (")
                && words.contains("mesa-va-drivers"),
            "{words}"
        );
        // The next try succeeds.
        assert_eq!(VaapiDevice::open(&node).unwrap().node().minor, 128);
    });
}

#[test]
fn a_node_that_went_away_is_said() {
    SimulatedVaapi::new().in_clean_child(|simulator| {
        let node = render_nodes().remove(0);
        drop(VaapiDevice::open(&node).unwrap());
        std::fs::remove_file(simulator.node(0)).unwrap();
        let words = VaapiDevice::open(&node).unwrap_err().to_string();
        assert!(words.starts_with("renderD128: No such file"), "{words}");
        assert_eq!(render_nodes(), []);
    });
}
