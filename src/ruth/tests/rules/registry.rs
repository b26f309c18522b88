//! One agent per camera, one subscription per model; failures stay local; messages state the values.

use ruth_core::{AgentState, Limit, Refusal, Registry, RegistryError};

use super::{binding, camera, frame, model};

#[test]
fn a_camera_has_exactly_one_agent() {
    let mut registry = Registry::default();
    let agent = registry.create(camera("gate")).unwrap();
    assert_eq!(agent.stream_agent_id(), agent.camera_id());
    assert_eq!(agent.state(), AgentState::Created);
    agent.start().unwrap();
    let before = registry.clone();
    let again = registry.create(camera("gate")).unwrap_err();
    assert_eq!(again, RegistryError::DuplicateAgent { camera: camera("gate") });
    assert!(again.to_string().contains("gate already has its stream agent"), "{again}");
    let running = registry.remove(&camera("gate")).unwrap_err();
    assert_eq!(running, RegistryError::StillRunning { camera: camera("gate") });
    let unknown = registry.remove(&camera("yard")).unwrap_err();
    assert_eq!(unknown, RegistryError::UnknownAgent { camera: camera("yard") });
    assert_eq!(registry, before, "a refusal changes nothing");

    // A stopped agent stays in the registry until it is removed; the next one is new.
    registry.agent_mut(&camera("gate")).unwrap().stop().unwrap();
    assert!(registry.create(camera("gate")).is_err());
    assert_eq!(registry.remove(&camera("gate")).unwrap().state(), AgentState::Stopped);
    assert_eq!(registry.create(camera("gate")).unwrap().state(), AgentState::Created);
    assert_eq!(registry.agents().count(), 1);
}

#[test]
fn each_subscription_has_its_own_maximum_and_count() {
    let mut registry = Registry::default();
    let agent = registry.create(camera("gate")).unwrap();
    let (fast, slow, all) = (model("fast"), model("slow"), model("all"));
    agent.subscribe(fast.clone(), Limit::per_second(10, 1)).unwrap();
    agent.subscribe(slow.clone(), Limit::per_second(1, 1)).unwrap();
    agent.subscribe(all.clone(), Limit::UNLIMITED).unwrap();
    agent.bind(binding(&camera("gate"), 1)).unwrap();
    agent.start().unwrap();
    for frame in (0..=52).map(|i| frame(1, i, i * 40)) {
        let allowed: Vec<_> = agent
            .decide_each(frame)
            .filter(|(_, verdict)| verdict.is_allow())
            .map(|(model, _)| model.clone())
            .collect();
        for model in allowed {
            agent.record_dispatch(&model, frame).unwrap();
        }
    }
    // Two seconds at 25 per second: every third frame, every twenty-sixth (the one before is a
    // second after another, and rounding may put both into one second), every frame.
    let dispatched =
        [&fast, &slow, &all].map(|model| agent.subscription(model).unwrap().dispatched());
    assert_eq!(dispatched, [18, 3, 53]);
    assert_eq!(agent.unsubscribe(&slow).unwrap().dispatched(), 3);
    assert_eq!(agent.decide(&slow, frame(1, 99, 9000)).reason(), "not_subscribed");
    assert_eq!(agent.decide(&fast, frame(1, 99, 9000)).reason(), "elapsed");
}

#[test]
fn checks_run_in_the_order_of_the_specification() {
    let mut registry = Registry::default();
    let (gate, people) = (camera("gate"), model("people"));
    let agent = registry.create(gate.clone()).unwrap();
    let now = frame(1, 1, 0);
    // All reasons hold at once; each is removed in turn, which reveals the next.
    let mut seen = vec![agent.decide(&people, now).reason()];
    agent.subscribe(people.clone(), Limit::INVALID).unwrap();
    agent.deactivate(&people).unwrap();
    agent.start().unwrap();
    seen.push(agent.decide(&people, now).reason());
    agent.bind(binding(&gate, 1)).unwrap();
    seen.push(agent.decide(&people, frame(2, 1, 0)).reason());
    seen.push(agent.decide(&people, now).reason());
    agent.activate(&people).unwrap();
    seen.push(agent.decide(&people, now).reason());
    agent.set_limit(&people, Limit::UNLIMITED).unwrap();
    seen.push(agent.decide(&people, now).reason());
    agent.set_limit(&people, Limit::per_second(10, 1)).unwrap();
    seen.push(agent.decide(&people, now).reason());
    agent.record_dispatch(&people, now).unwrap();
    seen.push(agent.decide(&people, frame(1, 2, 100)).reason());
    seen.push(agent.decide(&people, frame(1, 2, 99)).reason());
    agent.poison_subscription(&people, "it answers nonsense").unwrap();
    seen.push(agent.decide(&people, frame(1, 2, 100)).reason());
    agent.poison("its camera sends another's pictures");
    seen.push(agent.decide(&people, frame(1, 2, 100)).reason());
    assert_eq!(
        seen,
        [
            "not_running",
            "not_bound",
            "other_epoch",
            "inactive",
            "invalid_limit",
            "unlimited",
            "first_frame",
            "elapsed",
            "too_soon",
            "subscription_poisoned",
            "agent_poisoned",
        ]
    );
}

#[test]
fn messages_state_the_values() {
    let mut registry = Registry::default();
    let (gate, people) = (camera("gate"), model("people"));
    let agent = registry.create(gate.clone()).unwrap();
    let says = |refusal: Result<(), Refusal>, words: &str| {
        let said = refusal.unwrap_err().to_string();
        assert_eq!(said, words);
    };
    says(agent.stop(), "can't stop: the agent of camera gate is Created");
    says(agent.activate(&people), "model people is not subscribed to camera gate");
    agent.subscribe(people.clone(), Limit::UNLIMITED).unwrap();
    says(
        agent.subscribe(people.clone(), Limit::UNLIMITED),
        "model people is already subscribed to camera gate",
    );
    says(
        agent.bind(binding(&camera("yard"), 1)),
        "/dev/shm/vas/yard is not the export of camera gate: expected a path that ends in its id",
    );
    agent.bind(binding(&gate, 5)).unwrap();
    says(agent.bind(binding(&gate, 5)), "camera gate is bound to epoch 5; epoch 5 is not after it");
    agent.poison_subscription(&people, "it hangs").unwrap();
    agent.poison_subscription(&people, "a later reason").unwrap();
    says(
        agent.activate(&people),
        "the subscription of model people to camera gate is poisoned: it hangs",
    );
    agent.poison("its export lies");
    says(agent.start(), "the agent of camera gate is poisoned: its export lies");
    assert_eq!(agent.poisoned(), Some("its export lies"));
}
