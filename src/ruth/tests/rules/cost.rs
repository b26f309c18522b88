//! Deciding allocates no memory.

use ruth_core::{Limit, Registry};
use vas_malloc_count::count;

use super::{binding, camera, frame, model};

#[test]
fn deciding_allocates_nothing() {
    let mut registry = Registry::default();
    let agent = registry.create(camera("gate")).unwrap();
    let models = ["a", "b", "c"].map(model);
    for model in &models {
        agent.subscribe(model.clone(), Limit::per_second(10, 1)).unwrap();
    }
    agent.bind(binding(&camera("gate"), 1)).unwrap();
    agent.start().unwrap();
    let (allowed, allocations) = count(|| {
        let mut allowed = 0;
        for now in (0..1000).map(|i| frame(1, i, i * 40)) {
            allowed += agent.decide_each(now).filter(|(_, verdict)| verdict.is_allow()).count();
            if agent.decide(&models[0], now).is_allow() {
                agent.record_dispatch(&models[0], now).unwrap();
            }
        }
        allowed
    });
    // The first model gets every third frame; nothing is ever dispatched to the others.
    assert_eq!((allowed, allocations), (334 + 2 * 1000, 0));
}
