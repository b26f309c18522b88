//! The hammer without the fence that x86-64 needs: it has to find torn frames, or it would never.
//!
//! Of the sites it is the closing `sfence` alone that the x86-64 at hand shows; `docs/design/ring.md` says
//! why. The model checker has all of them (`src/model`).

use vas_frame::{Site, weaken as weaken_sites};

use super::bare;
use super::case::{Case, Stores};
use super::reader::Tally;
use super::turn;

/// Frames within which a torn one is found; on the machine that this was written on some
/// hundreds were enough.
const ENOUGH: u64 = 1_000_000;

/// To be called by the writer's process.
pub(crate) fn weaken(bits: u32) {
    let sites: Vec<_> = Site::ALL.into_iter().filter(|&site| bits & bit(site) != 0).collect();
    weaken_sites(&sites);
}

fn bit(site: Site) -> u32 {
    1 << site as u32
}

/// Looks at a single slot until a torn frame was found.
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
#[ignore = "no processor at hand lets a streaming store overtake an older store"]
fn without_the_opening_sfence_frames_are_torn() {
    let tally = torn_without(&[Site::SlotOpenDrain], Stores::Streaming);
    assert!(tally.torn > 0, "not one of {} frames", tally.frames);
}

#[test]
fn without_either_sfence_frames_are_torn() {
    let tally = torn_without(&[Site::SlotOpenDrain, Site::SlotCloseDrain], Stores::Streaming);
    assert!(tally.torn > 0, "not one of {} frames", tally.frames);
}
