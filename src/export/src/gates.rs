//! Which frames are copied: those that the gate of at least one requested rate would allow.
//!
//! Readers decide again, by the time of publication. That is not known here, so these gates use the
//! time of admission. If a reader then refused a frame that its rate's gate had allowed, it would
//! lose a whole interval, since nothing is copied for it until then. So these gates make a second
//! slightly longer than it is.

use vas_frame::{Demanded, MaxFps};
use vas_gate::{Limit, Stamp, State, decide};
use vas_status::DropReason;

/// The gates of a camera: its own, if the config sets a maximum, and one for each rate that readers
/// request. Each is a vas-gate: there is no other rate limit in the service.
#[derive(Debug)]
pub(super) struct Gates {
    own: Option<Gate>,
    /// Whether a reader wants every frame; then the rates of others change nothing.
    every_frame: bool,
    demanded: Vec<(MaxFps, Gate)>,
}

/// The fraction by which the gates of rates lengthen a second: 8 ms, more than the copies of two
/// frames usually differ by, and less than a camera's frame interval.
const LONGER: u64 = 128;

/// The stamp for the gates of rates, whose time runs slightly slower.
fn slowed(stamp: Stamp) -> Stamp {
    Stamp { published_ns: stamp.published_ns - stamp.published_ns / LONGER, ..stamp }
}

#[derive(Debug)]
struct Gate {
    limit: Limit,
    state: State,
}

impl Gate {
    fn new(limit: Limit) -> Self {
        Self { limit, state: State::default() }
    }

    fn allows(&self, stamp: Stamp) -> bool {
        decide(&self.state, &self.limit, stamp).is_allow()
    }
}

impl Gates {
    pub(super) fn new(max_fps: Option<Limit>) -> Self {
        Self { own: max_fps.map(Gate::new), every_frame: false, demanded: Vec::new() }
    }

    /// Applies what readers request from now on. A rate that stays keeps its pace.
    pub(super) fn demand(&mut self, demanded: Demanded) {
        let rates = match demanded {
            Demanded::Nothing => Vec::new(),
            Demanded::EveryFrame => {
                self.every_frame = true;
                return;
            }
            Demanded::Rates(rates) => rates,
        };
        self.every_frame = false;
        self.demanded.retain(|(rate, _)| rates.contains(rate));
        for rate in rates {
            if !self.demanded.iter().any(|(known, _)| *known == rate) {
                let limit = Limit::per_second(rate.millihertz(), 1000);
                self.demanded.push((rate, Gate::new(limit)));
            }
        }
    }

    /// Whether readers get every frame that the camera's own maximum lets through.
    pub(super) fn every_frame(&self) -> bool {
        self.every_frame
    }

    /// Whether a frame is to be copied.
    ///
    /// # Errors
    /// The reason it is dropped for.
    pub(super) fn admit(&self, stamp: Stamp) -> Result<(), DropReason> {
        if self.own.as_ref().is_some_and(|own| !own.allows(stamp)) {
            return Err(DropReason::MaxFps);
        }
        let slowed = slowed(stamp);
        let wanted = self.every_frame || self.demanded.iter().any(|(_, gate)| gate.allows(slowed));
        if wanted { Ok(()) } else { Err(DropReason::NotDemanded) }
    }

    /// Records a hand-over in every gate that allows the frame.
    pub(super) fn dispatched(&mut self, stamp: Stamp) {
        let demanded = self.demanded.iter_mut().map(|(_, gate)| (gate, slowed(stamp)));
        for (gate, stamp) in demanded.chain(self.own.iter_mut().map(|own| (own, stamp))) {
            if gate.allows(stamp) {
                gate.state.dispatched(stamp);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(fps: &[u32]) -> Demanded {
        Demanded::Rates(fps.iter().map(|&fps| MaxFps::new(fps, 1).unwrap()).collect())
    }

    fn stamp(frame_id: u64, ns: u64) -> Stamp {
        Stamp { epoch: 0, frame_id, gate_ns: ns, published_ns: ns }
    }

    /// Ids of the frames that are copied in `seconds` from a camera of 30 frames a second.
    fn copied(gates: &mut Gates, seconds: u64) -> Vec<u64> {
        let frames =
            (0..30 * seconds).map(|frame_id| stamp(frame_id, frame_id * 1_000_000_000 / 30));
        let copied = frames.filter(|stamp| {
            let admitted = gates.admit(*stamp).is_ok();
            if admitted {
                gates.dispatched(*stamp);
            }
            admitted
        });
        copied.map(|stamp| stamp.frame_id).collect()
    }

    #[test]
    fn what_several_rates_want_is_copied_once() {
        let mut gates = Gates::new(None);
        assert!(copied(&mut gates, 2).is_empty());
        gates.demand(rates(&[5]));
        assert_eq!(copied(&mut gates, 1), [0, 6, 12, 18, 24]);
        let mut gates = Gates::new(None);
        gates.demand(rates(&[5, 7, 30]));
        assert_eq!(copied(&mut gates, 1).len(), 30);
        let mut gates = Gates::new(None);
        gates.demand(rates(&[5, 10]));
        assert_eq!(copied(&mut gates, 1).len(), 10, "each fifth is a tenth, too");
    }

    #[test]
    fn every_frame_is_every_frame_below_the_cameras_own_maximum() {
        let mut gates = Gates::new(None);
        gates.demand(Demanded::EveryFrame);
        assert_eq!(copied(&mut gates, 1).len(), 30);
        let mut gates = Gates::new(Some(Limit::per_second(10, 1)));
        gates.demand(Demanded::EveryFrame);
        assert_eq!(copied(&mut gates, 1).len(), 10);
        gates.demand(rates(&[5]));
        assert!(!gates.every_frame());
        let stamp = stamp(31, 1_040_000_000);
        assert_eq!(gates.admit(stamp), Ok(()));
        gates.dispatched(stamp);
        assert_eq!(gates.admit(stamp), Err(DropReason::MaxFps));
    }

    #[test]
    fn a_rate_that_stays_keeps_its_pace() {
        let mut gates = Gates::new(None);
        gates.demand(rates(&[1]));
        let at = |frame_id| stamp(frame_id, frame_id * 105_000_000);
        gates.dispatched(at(0));
        gates.demand(rates(&[1, 2]));
        assert_eq!(gates.admit(at(1)), Ok(()), "the new rate's first");
        gates.dispatched(at(1));
        gates.demand(rates(&[1]));
        assert_eq!(gates.admit(at(9)), Err(DropReason::NotDemanded));
        assert_eq!(gates.admit(at(10)), Ok(()));
    }

    /// No second of admission holds more frames than the camera's own maximum, however they arrive.
    #[test]
    fn no_second_of_admission_holds_more_than_the_own_maximum() {
        let mut gates = Gates::new(Some(Limit::per_second(7, 1)));
        gates.demand(Demanded::EveryFrame);
        // On time by the camera's clock, but admitted in bursts of up to half a second.
        let mut admitted: Vec<u64> = Vec::new();
        for frame_id in 0..3000_u64 {
            let gate_ns = frame_id * 40_000_000;
            let held_ns = 500_000_000 * (frame_id * frame_id % 7);
            let stamp = Stamp { published_ns: gate_ns.max(held_ns), ..stamp(frame_id, gate_ns) };
            let admitted_ns = stamp.published_ns.div_ceil(500_000_000) * 500_000_000 + frame_id;
            let stamp = Stamp { published_ns: admitted_ns, ..stamp };
            if gates.admit(stamp).is_ok() {
                gates.dispatched(stamp);
                admitted.push(admitted_ns);
            }
        }
        for from in &admitted {
            let second = *from..from + 1_000_000_000;
            assert!(admitted.iter().filter(|time| second.contains(time)).count() <= 7);
        }
        assert!(admitted.len() > 100, "{}", admitted.len());
    }

    /// A reader that refuses a frame copied for it loses an interval.
    #[test]
    fn what_is_copied_for_a_rate_its_reader_takes() {
        for camera in [25, 30, 50, 60] {
            for fps in [1, 5, 10, 15, 25, 30] {
                let mut gates = Gates::new(None);
                gates.demand(rates(&[fps]));
                let mut reader = Gate::new(Limit::per_second(fps, 1));
                let mut copied = 0;
                for frame_id in 0..camera * 60 {
                    let now_ns = 123_456_789 + frame_id * 1_000_000_000 / camera;
                    let stamp = stamp(frame_id, now_ns);
                    if gates.admit(stamp).is_err() {
                        continue;
                    }
                    gates.dispatched(stamp);
                    copied += 1;
                    // Copies that take up to 6 ms.
                    let published_ns = now_ns + 1_000_000 * (frame_id * frame_id % 7);
                    let stamp = Stamp { published_ns, ..stamp };
                    assert!(reader.allows(stamp), "{camera} at {fps}: {stamp:?}");
                    reader.state.dispatched(stamp);
                }
                let even = camera / camera.div_ceil(fps.into());
                assert!(copied * 100 >= even * 60 * 95, "{camera} at {fps}: {copied}");
            }
        }
    }
}
