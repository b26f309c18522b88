//! The hammer without the fence that x86-64 needs: it must find torn frames, which proves that it
//! can.
//!
//! On the x86-64 processors tried, only the closing `sfence` has a visible effect; `docs/design/ring.md`
//! explains why. The model checker covers all sites (`src/model`).

use vas_frame::{Site, weaken as weaken_sites};

use super::bare;
use super::case::{Case, Stores};
use super::reader::Tally;
use super::turn;

/// Frames within which a torn one must be found; on the machine where this was written some
/// hundreds were enough.
const ENOUGH: u64 = 1_000_000;

/// Called by the writer's process.
pub(crate) fn weaken(bits: u32) {
    let sites: Vec<_> = Site::ALL.into_iter().filter(|&site| bits & bit(site) != 0).collect();
    weaken_sites(&sites);
}

fn bit(site: Site) -> u32 {
    1 << site as u32
}

/// Reads a single slot until a torn frame is found.
fn torn_without(sites: &[Site], stores: Stores) -> Tally {
    let _turn = turn();
    let weakened = sites.iter().fold(0, |bits, &site| bits | bit(site));
    let case = Case { weakened, ..Case::new(1, (64, 64), stores) };
    let tally = bare::run(&case, |tally| tally.torn == 0 && tally.frames < ENOUGH);
    println!("{sites:?}: {case} {tally} {}", tally.first_torn);
    tally
}

#[test]
fn without_the_closing_sfence_frames_are_torn() {
    for stores in [Stores::Streaming, Stores::Partial] {
        let tally = torn_without(&[Site::SlotCloseDrain], stores);
        assert!(tally.torn > 0, "{stores:?}: not one of {} frames", tally.frames);
    }
}

#[test]
#[ignore = "on no processor tried does a streaming store overtake an older store"]
fn without_the_opening_sfence_frames_are_torn() {
    let tally = torn_without(&[Site::SlotOpenDrain], Stores::Streaming);
    assert!(tally.torn > 0, "not one of {} frames", tally.frames);
}

#[test]
fn without_either_sfence_frames_are_torn() {
    let tally = torn_without(&[Site::SlotOpenDrain, Site::SlotCloseDrain], Stores::Streaming);
    assert!(tally.torn > 0, "not one of {} frames", tally.frames);
}
