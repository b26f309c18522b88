//! The test's side: configures the nodes, changes them at run time, reads their findings.
//!
//! ```no_run
//! # use vas_sim_vaapi::testing::SimulatedVaapi;
//! #[test]
//! fn a_failed_download_is_counted() {
//!     let nodes = SimulatedVaapi::new().set("fault", "vaGetImage:3:VA_STATUS_ERROR_UNKNOWN");
//!     let Some(run) = nodes.in_child(|simulator| {
//!         // The program under test; libva finds the simulated driver for this node here.
//!         assert!(simulator.node(0).exists());
//!         assert_eq!(simulator.level("surfaces"), 0);
//!     }) else {
//!         return;
//!     };
//!     run.report.assert_clean(&[]);
//! }
//! ```

mod calls;
mod install;
mod session;
mod simulator;

pub use calls::CallRecord;
pub use install::{library, library_dir};
pub use session::{ChildRun, Session, SimulatedVaapi};
pub use simulator::Simulator;
pub use vas_sim_common::testing::{Devices, Misuse, Report};
