//! The documented table of events and states matches what each event does when tried.

use std::fmt::Write as _;

use ruth_core::{AgentState, Limit, Refusal, Registry, StreamAgent};

use super::{binding, camera, frame, model};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ref/agent-events.md");

/// An event's name, and a function that applies it.
type Event = (&'static str, fn(&mut StreamAgent) -> Answer);

/// A word for the effect, or the refusal.
type Answer = Result<String, Refusal>;

fn done(outcome: Result<(), Refusal>) -> Answer {
    outcome.map(|()| "done".into())
}

/// Model `old` is subscribed in every agent below, `new` is not, and `bad` is poisoned.
const EVENTS: [Event; 24] = [
    ("start", |agent| done(agent.start())),
    ("stop", |agent| done(agent.stop())),
    ("bind, next epoch", |agent| done(agent.bind(binding(&camera("gate"), 2)))),
    ("bind, same or earlier epoch", |agent| done(agent.bind(binding(&camera("gate"), 1)))),
    ("bind, another camera", |agent| done(agent.bind(binding(&camera("yard"), 2)))),
    ("subscribe", |agent| done(agent.subscribe(model("new"), Limit::UNLIMITED))),
    ("subscribe, already there", |agent| done(agent.subscribe(model("old"), Limit::UNLIMITED))),
    ("unsubscribe", |agent| done(agent.unsubscribe(&model("old")).map(drop))),
    ("unsubscribe, poisoned", |agent| done(agent.unsubscribe(&model("bad")).map(drop))),
    ("unsubscribe, unknown", |agent| done(agent.unsubscribe(&model("new")).map(drop))),
    ("activate", |agent| done(agent.activate(&model("old")))),
    ("activate, poisoned", |agent| done(agent.activate(&model("bad")))),
    ("activate, unknown", |agent| done(agent.activate(&model("new")))),
    ("deactivate", |agent| done(agent.deactivate(&model("old")))),
    ("set limit", |agent| done(agent.set_limit(&model("old"), Limit::INVALID))),
    ("record dispatch", |agent| done(agent.record_dispatch(&model("old"), frame(1, 9, 9)))),
    ("record dispatch, poisoned", |agent| {
        done(agent.record_dispatch(&model("bad"), frame(1, 9, 9)))
    }),
    ("record dispatch, unknown", |agent| {
        done(agent.record_dispatch(&model("new"), frame(1, 9, 9)))
    }),
    ("poison subscription", |agent| done(agent.poison_subscription(&model("old"), "why"))),
    ("poison subscription, unknown", |agent| done(agent.poison_subscription(&model("new"), "why"))),
    ("poison agent", |agent| {
        agent.poison("why");
        done(Ok(()))
    }),
    ("decide", |agent| Ok(agent.decide(&model("old"), frame(1, 9, 9)).to_string())),
    ("decide, poisoned", |agent| Ok(agent.decide(&model("bad"), frame(1, 9, 9)).to_string())),
    ("decide, unknown", |agent| Ok(agent.decide(&model("new"), frame(1, 9, 9)).to_string())),
];

/// An agent that is bound to epoch 1, in each condition.
fn conditions() -> [(&'static str, StreamAgent); 4] {
    let agent = |name, prepare: fn(&mut StreamAgent) -> Result<(), Refusal>| {
        let mut registry = Registry::default();
        let agent = registry.create(camera("gate")).unwrap();
        for subscribed in ["old", "bad"] {
            agent.subscribe(model(subscribed), Limit::per_second(10, 1)).unwrap();
        }
        agent.poison_subscription(&model("bad"), "before").unwrap();
        agent.bind(binding(&camera("gate"), 1)).unwrap();
        prepare(agent).unwrap();
        (name, agent.clone())
    };
    [
        agent("Created", |_| Ok(())),
        agent("Running", StreamAgent::start),
        agent("Stopped", |agent| agent.start().and_then(|()| agent.stop())),
        agent("Running, poisoned", |agent| {
            agent.start()?;
            agent.poison("before");
            Ok(())
        }),
    ]
}

fn outcome(before: &StreamAgent, event: fn(&mut StreamAgent) -> Answer) -> String {
    let mut agent = before.clone();
    match event(&mut agent) {
        Err(refusal) => {
            assert_eq!(agent, *before, "a refusal changes nothing");
            format!("refused: {}", refusal.name())
        }
        Ok(_) if agent.state() != before.state() => format!("becomes {}", agent.state()),
        Ok(what) => {
            assert!(what == "done" || agent == *before, "deciding changes nothing");
            what
        }
    }
}

fn table() -> String {
    let conditions = conditions();
    let mut table = String::from("| event |");
    for (name, _) in &conditions {
        write!(table, " {name} |").unwrap();
    }
    table += "\n|---|---|---|---|---|\n";
    for (name, event) in EVENTS {
        write!(table, "| {name} |").unwrap();
        for (_, agent) in &conditions {
            write!(table, " {} |", outcome(agent, event)).unwrap();
        }
        table += "\n";
    }
    table
}

#[test]
fn events_match_the_documented_table() {
    let page = std::fs::read_to_string(PAGE).expect("docs/ref/agent-events.md exists");
    let documented: String =
        page.lines().filter(|line| line.starts_with('|')).map(|line| format!("{line}\n")).collect();
    let table = table();
    assert!(documented == table, "docs/ref/agent-events.md should have:\n{table}");
}

#[test]
fn there_is_no_way_back() {
    for (name, event) in EVENTS {
        for (_, agent) in conditions() {
            let before = agent.state();
            let mut agent = agent;
            let _ = event(&mut agent);
            let after = agent.state();
            let step = (before, after);
            let forward = [
                (AgentState::Created, AgentState::Running),
                (AgentState::Running, AgentState::Stopped),
            ];
            assert!(before == after || forward.contains(&step), "{name}: {step:?}");
        }
    }
}
