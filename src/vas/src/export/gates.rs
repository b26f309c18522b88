//! Which frames are copied: those that the gate of some rate that readers state would allow.

use vas_frame::{Demanded, MaxFps};
use vas_gate::{Limit, Stamp, State, decide};

use crate::pipeline::DropReason;

/// The gates of a camera: its own, if the config gives it a maximum, and one for each rate that readers
/// state. Every one is a vas-gate: there is no other rate limit in the service.
#[derive(Debug)]
pub(super) struct Gates {
    own: Option<Gate>,
    /// Whether somebody wants every frame; then the rates of others change nothing.
    every_frame: bool,
    demanded: Vec<(MaxFps, Gate)>,
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

    /// Takes note of what readers state from now on. A rate that stays keeps its pace.
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

    /// Whether readers are shown every frame that the camera's own maximum lets through.
    pub(super) fn every_frame(&self) -> bool {
        self.every_frame
    }

    /// Whether a frame is to be copied.
    ///
    /// # Errors
    /// What it is dropped for.
    pub(super) fn admit(&self, stamp: Stamp) -> Result<(), DropReason> {
        if self.own.as_ref().is_some_and(|own| !own.allows(stamp)) {
            return Err(DropReason::MaxFps);
        }
        let wanted = self.every_frame || self.demanded.iter().any(|(_, gate)| gate.allows(stamp));
        if wanted { Ok(()) } else { Err(DropReason::NotDemanded) }
    }

    /// Takes down that a frame was handed over: to all those whose gates allow it.
    pub(super) fn dispatched(&mut self, stamp: Stamp) {
        let demanded = self.demanded.iter_mut().map(|(_, gate)| gate);
        for gate in demanded.chain(&mut self.own) {
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

    /// Ids of the frames of a camera of 30 a second that are copied in `seconds`.
    fn copied(gates: &mut Gates, seconds: u64) -> Vec<u64> {
        let frames = (0..30 * seconds).map(|frame_id| Stamp {
            epoch: 0,
            frame_id,
            gate_ns: frame_id * 1_000_000_000 / 30,
        });
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
        let stamp = Stamp { epoch: 0, frame_id: 31, gate_ns: 1_000_000_001 };
        assert_eq!(gates.admit(stamp), Ok(()));
        gates.dispatched(stamp);
        assert_eq!(gates.admit(stamp), Err(DropReason::MaxFps));
    }

    #[test]
    fn a_rate_that_stays_keeps_its_pace() {
        let mut gates = Gates::new(None);
        gates.demand(rates(&[1]));
        let at = |frame_id| Stamp { epoch: 0, frame_id, gate_ns: frame_id * 100_000_000 };
        gates.dispatched(at(0));
        gates.demand(rates(&[1, 2]));
        assert_eq!(gates.admit(at(1)), Ok(()), "the new rate's first");
        gates.dispatched(at(1));
        gates.demand(rates(&[1]));
        assert_eq!(gates.admit(at(9)), Err(DropReason::NotDemanded));
        assert_eq!(gates.admit(at(10)), Ok(()));
    }
}
