//! Recorded frames, shown to agents.

use std::collections::BTreeMap;

use ruth_core::{CameraId, FrameBinding, ModelId, Registry, Verdict};

use crate::recording::Frame;
use crate::subscriptions::Wanted;
use crate::tally::Tally;

/// Agents with their subscriptions, and what those were answered.
///
/// It takes the part of the models as well: a frame that is allowed counts as dispatched at once.
#[derive(Debug)]
pub struct Replay {
    registry: Registry,
    tallies: BTreeMap<CameraId, Vec<Tally>>,
    unwanted: u64,
}

impl Replay {
    /// Makes an agent for each camera that is wanted, and starts it.
    #[must_use]
    pub fn new(wanted: &[Wanted]) -> Self {
        let mut replay =
            Self { registry: Registry::default(), tallies: BTreeMap::new(), unwanted: 0 };
        for one in wanted {
            replay.subscribe(one);
        }
        replay
    }

    fn subscribe(&mut self, wanted: &Wanted) {
        let Wanted { camera, model, limit, active } = wanted;
        // Refused for the second subscription on, whose agent is there and runs.
        if let Ok(agent) = self.registry.create(camera.clone()) {
            agent.start().expect("a new agent starts");
        }
        let agent = self.registry.agent_mut(camera).expect("it was there or was made");
        // A camera and model that come twice were refused where they were read.
        if agent.subscribe(model.clone(), *limit).is_ok() {
            if !active {
                agent.deactivate(model).expect("the subscription is there");
            }
            let tallies = self.tallies.entry(camera.clone()).or_default();
            tallies.push(Tally::new(model.clone(), *limit));
        }
    }

    /// Shows a frame to its camera's agent, and tells `explain` of each answer.
    pub fn show(&mut self, frame: &Frame, mut explain: impl FnMut(&ModelId, Verdict)) {
        let agent = self.registry.agent_mut(&frame.camera);
        let tallies = self.tallies.get_mut(&frame.camera);
        let (Some(agent), Some(tallies)) = (agent, tallies) else {
            self.unwanted += 1;
            return;
        };
        if agent.binding().is_none_or(|bound| bound.epoch < frame.stamp.epoch) {
            agent.bind(binding_of(frame)).expect("a later epoch of the agent's own camera");
        }
        for tally in tallies {
            let verdict = agent.decide(&tally.model, frame.stamp);
            if verdict.is_allow() {
                let recorded = agent.record_dispatch(&tally.model, frame.stamp);
                recorded.expect("what a running agent allows, it records");
            }
            tally.count(frame, verdict);
            explain(&tally.model, verdict);
        }
    }

    /// What came of it, by camera and in the order of the subscriptions.
    pub fn tallies(&self) -> impl Iterator<Item = (&CameraId, &Tally)> {
        let each = self.tallies.iter();
        each.flat_map(|(camera, tallies)| tallies.iter().map(move |tally| (camera, tally)))
    }

    /// Frames of cameras that nobody subscribed to.
    #[must_use]
    pub fn unwanted(&self) -> u64 {
        self.unwanted
    }
}

/// A recording does not say where its export was; the camera's folder is named as in every export.
fn binding_of(frame: &Frame) -> FrameBinding {
    let (width, height) = frame.size;
    FrameBinding { path: frame.camera.to_string(), epoch: frame.stamp.epoch, width, height }
}

#[cfg(test)]
mod tests {
    use ruth_core::{Limit, Stamp};

    use super::*;

    fn wanted(camera: &str, model: &str, limit: Limit, active: bool) -> Wanted {
        let (camera, model) = (CameraId::new(camera).unwrap(), ModelId::new(model).unwrap());
        Wanted { camera, model, limit, active }
    }

    fn frame(camera: &str, epoch: u64, frame_id: u64, ms: u64) -> Frame {
        Frame {
            camera: CameraId::new(camera).unwrap(),
            stamp: Stamp { epoch, frame_id, gate_ns: ms * 1_000_000, published_ns: ms * 1_000_000 },
            size: (640, 360),
            pts_ns: None,
            arrival_ns: None,
            decoded_ns: None,
        }
    }

    #[test]
    fn frames_go_to_the_agents_and_epochs_are_followed() {
        let mut replay = Replay::new(&[
            wanted("gate", "people", Limit::per_second(10, 1), true),
            wanted("gate", "off", Limit::UNLIMITED, false),
            wanted("yard", "people", Limit::UNLIMITED, true),
        ]);
        let mut explained = Vec::new();
        for frame in [
            frame("gate", 1, 1, 0),
            frame("gate", 1, 2, 50),
            frame("gate", 2, 3, 100),
            frame("gate", 1, 4, 300),
            frame("hall", 1, 1, 0),
        ] {
            replay.show(&frame, |model, verdict| explained.push(format!("{model} {verdict}")));
        }
        assert_eq!(
            explained,
            [
                "people allow first_frame",
                "off skip inactive",
                "people skip too_soon",
                "off skip inactive",
                "people allow elapsed",
                "off skip inactive",
                "people skip other_epoch",
                "off skip other_epoch",
            ]
        );
        assert_eq!(replay.unwanted(), 1);
        let tallies: Vec<_> = replay.tallies().collect();
        let people = tallies[0].1;
        assert_eq!((people.seen.len(), people.allowed.len(), people.skipped.len()), (4, 2, 2));
        assert_eq!((people.mean_fps(), people.highest_judged()), (Some(10.0), 2));
        assert_eq!((tallies[2].1.seen.len(), tallies[2].1.mean_fps()), (0, None));
    }
}
