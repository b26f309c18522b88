//! The protocol under the model checker: every scenario holds, and every site is needed, since a scenario
//! fails without it.
//!
//!     RUSTFLAGS="--cfg loom" cargo test --target-dir target/loom -p vas-frame --test model

#![forbid(unsafe_code)]
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use vas_frame::model::scenarios;
use vas_frame::{Site, weaken};

/// How often a thread that could continue is preempted. Two are enough to find every weakened site;
/// `LOOM_MAX_PREEMPTIONS` sets another number.
const PREEMPTIONS: usize = 2;

/// Weakening affects the whole process: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Runs a scenario in every order; returns the number of orders.
fn explore(scenario: fn()) -> usize {
    let orders = Arc::new(AtomicUsize::new(0));
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(PREEMPTIONS));
    let counted = Arc::clone(&orders);
    model.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    orders.load(Ordering::Relaxed)
}

#[test]
fn the_protocol_holds() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    weaken(&[]);
    for (name, scenario) in scenarios::ALL {
        let orders = explore(scenario);
        println!("{name}: {orders} orders");
        assert!(orders > 1, "{name} ran in one order only: its threads do not interact");
    }
}

#[test]
fn every_site_is_needed() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let unneeded: Vec<_> = Site::ALL
        .into_iter()
        .filter(|&site| {
            weaken(&[site]);
            let fails = |scenario| catch_unwind(AssertUnwindSafe(|| explore(scenario))).is_err();
            !scenarios::needing(site).iter().any(|&scenario| fails(scenario))
        })
        .collect();
    weaken(&[]);
    assert!(unneeded.is_empty(), "no scenario fails without {unneeded:?}");
}
