//! All interleavings of all events over a small model, explored until no new state appears.
//!
//! Two cameras. `gate` gets every event, for two models; `yard` gets the failures, for one. Both get
//! the same two frames, of two epochs. The invariants hold in every state reached.

use std::collections::HashSet;

use ruth_core::{AgentState, Limit, ModelId, Registry, StreamAgent, Verdict};

use super::{binding, camera, frame, model};

/// A state of the model, and the number of frames so far.
#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    registry: Registry,
    frames: u64,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Create(&'static str),
    Remove(&'static str),
    Start(&'static str),
    Stop(&'static str),
    Bind(&'static str, u64),
    Subscribe(&'static str, &'static str),
    Unsubscribe(&'static str, &'static str),
    Activate(&'static str),
    Deactivate(&'static str),
    PoisonSubscription(&'static str, &'static str),
    Poison(&'static str),
    /// The next frame, which is dispatched to each subscription that allows it.
    Frame(u64),
}

const EVENTS: [Event; 25] = [
    Event::Create("gate"),
    Event::Create("yard"),
    Event::Remove("gate"),
    Event::Remove("yard"),
    Event::Start("gate"),
    Event::Start("yard"),
    Event::Stop("gate"),
    Event::Stop("yard"),
    Event::Bind("gate", 1),
    Event::Bind("gate", 2),
    Event::Bind("yard", 1),
    Event::Subscribe("gate", "a"),
    Event::Subscribe("gate", "b"),
    Event::Subscribe("yard", "a"),
    Event::Unsubscribe("gate", "a"),
    Event::Unsubscribe("gate", "b"),
    Event::Unsubscribe("yard", "a"),
    Event::Activate("a"),
    Event::Deactivate("a"),
    Event::PoisonSubscription("gate", "a"),
    Event::PoisonSubscription("yard", "a"),
    Event::Poison("gate"),
    Event::Poison("yard"),
    Event::Frame(1),
    Event::Frame(2),
];

const FRAMES: u64 = 2;

impl World {
    fn after(&self, event: Event) -> Self {
        let mut next = self.clone();
        next.happen(event);
        next
    }

    /// Applies an event. Refused events are part of the exploration.
    fn happen(&mut self, event: Event) {
        let registry = &mut self.registry;
        let mut tell = |name: &str, what: &dyn Fn(&mut StreamAgent)| {
            registry.agent_mut(&camera(name)).into_iter().for_each(what);
        };
        match event {
            Event::Create(name) => _ = registry.create(camera(name)),
            Event::Remove(name) => _ = registry.remove(&camera(name)),
            Event::Start(name) => tell(name, &|agent| _ = agent.start()),
            Event::Stop(name) => tell(name, &|agent| _ = agent.stop()),
            Event::Bind(name, epoch) => {
                tell(name, &|agent| _ = agent.bind(binding(&camera(name), epoch)));
            }
            Event::Subscribe(name, of) => {
                tell(name, &|agent| _ = agent.subscribe(model(of), Limit::per_second(1, 1)));
            }
            Event::Unsubscribe(name, of) => {
                tell(name, &|agent| _ = agent.unsubscribe(&model(of)));
            }
            Event::Activate(of) => tell("gate", &|agent| _ = agent.activate(&model(of))),
            Event::Deactivate(of) => tell("gate", &|agent| _ = agent.deactivate(&model(of))),
            Event::PoisonSubscription(name, of) => {
                tell(name, &|agent| _ = agent.poison_subscription(&model(of), "why"));
            }
            Event::Poison(name) => tell(name, &|agent| agent.poison("why")),
            Event::Frame(epoch) => self.frame(epoch),
        }
    }

    /// A frame every second for both cameras: exactly the models' maximum.
    fn frame(&mut self, epoch: u64) {
        if self.frames == FRAMES {
            return;
        }
        let stamp = frame(epoch, self.frames, self.frames * 1000);
        self.frames += 1;
        for name in ["gate", "yard"] {
            let Some(agent) = self.registry.agent_mut(&camera(name)) else { continue };
            let before = agent.clone();
            let allowed = allowed(agent, stamp);
            assert_eq!(*agent, before, "deciding changes nothing");
            for model in allowed {
                agent.record_dispatch(&model, stamp).expect("what is allowed can be recorded");
            }
        }
    }

    /// The invariants of every reachable state.
    fn check_state(&self) {
        for agent in self.registry.agents() {
            assert_eq!(agent.stream_agent_id(), agent.camera_id());
            assert!(self.registry.agent(agent.camera_id()).is_some_and(|found| found == agent));
            for (model, subscription) in agent.subscriptions() {
                let may = agent.state() == AgentState::Running
                    && agent.poisoned().is_none()
                    && agent.binding().is_some()
                    && subscription.is_active()
                    && subscription.poison().is_none();
                for epoch in [1, 2] {
                    let verdict = agent.decide(model, frame(epoch, 99, 60_000));
                    let bound = agent.binding().is_some_and(|binding| binding.epoch == epoch);
                    let newest = subscription.last_dispatched().is_none_or(|s| s.epoch <= epoch);
                    // After a minute, exactly the subscriptions that can allow the frame do.
                    assert_eq!(verdict.is_allow(), may && bound && newest, "{verdict}: {agent:?}");
                    let each = agent.decide_each(frame(epoch, 99, 60_000));
                    assert!(each.into_iter().any(|one| one == (model, verdict)));
                }
            }
        }
    }

    /// The invariants of every step: states move forward, and an event changes only its own
    /// subject.
    fn check_step(&self, before: &Self, event: Event) {
        for name in ["gate", "yard"].map(camera) {
            let agents = (before.registry.agent(&name), self.registry.agent(&name));
            if let (Some(was), Some(is)) = agents {
                let step = is.state() as i8 - was.state() as i8;
                assert!((0..=1).contains(&step), "{event:?}: {} to {}", was.state(), is.state());
                assert!(was.poisoned().is_none() || is.poisoned().is_some(), "{event:?}");
            }
            if event.camera().is_some_and(|subject| subject != name.as_str()) {
                assert_eq!(agents.0, agents.1, "{event:?} reached {name}");
            }
        }
        let Some((name, of)) = event.subscription() else { return };
        let others = |world: &Self| -> Vec<_> {
            let agent = world.registry.agent(&camera(name));
            let all = agent.into_iter().flat_map(StreamAgent::subscriptions);
            all.filter(|(model, _)| model.as_str() != of)
                .map(|(model, one)| (model.clone(), one.clone()))
                .collect()
        };
        assert_eq!(others(before), others(self), "{event:?} changed another subscription");
    }
}

impl Event {
    /// The camera that the event belongs to; a frame belongs to all.
    fn camera(self) -> Option<&'static str> {
        match self {
            Self::Create(name) | Self::Remove(name) | Self::Start(name) | Self::Stop(name) => {
                Some(name)
            }
            Self::Bind(name, _) | Self::Poison(name) => Some(name),
            Self::Subscribe(name, _)
            | Self::Unsubscribe(name, _)
            | Self::PoisonSubscription(name, _) => Some(name),
            Self::Activate(_) | Self::Deactivate(_) => Some("gate"),
            Self::Frame(_) => None,
        }
    }

    /// The subscription that the event belongs to.
    fn subscription(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Subscribe(name, of)
            | Self::Unsubscribe(name, of)
            | Self::PoisonSubscription(name, of) => Some((name, of)),
            Self::Activate(of) | Self::Deactivate(of) => Some(("gate", of)),
            _ => None,
        }
    }
}

fn allowed(agent: &StreamAgent, stamp: ruth_core::Stamp) -> Vec<ModelId> {
    let each = agent.decide_each(stamp);
    each.filter(|(_, verdict)| matches!(verdict, Verdict::Allow(_)))
        .map(|(model, _)| model.clone())
        .collect()
}

#[test]
fn the_invariants_hold_in_every_state_that_can_be_reached() {
    let first = World { registry: Registry::default(), frames: 0 };
    let mut seen = HashSet::from([first.clone()]);
    let mut open = vec![first];
    let mut steps = 0_u64;
    while let Some(world) = open.pop() {
        for event in EVENTS {
            let next = world.after(event);
            next.check_step(&world, event);
            steps += 1;
            if seen.insert(next.clone()) {
                next.check_state();
                open.push(next);
            }
        }
    }
    println!("{} states, {steps} steps", seen.len());
}
